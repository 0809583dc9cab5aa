//! Encryption at rest: one file per object, AES-256-GCM under a data key of its own, that key wrapped by a master
//! key which never leaves memory. Neither plaintext nor key names reach the disk.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hmac, rand};

/// A directory of sealed objects. What it holds is lost with the value: the master key is made anew each time.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    bucket: String,
    master: RandomizedNonceKey,
    /// File names are keyed hashes, so that a guessed object key cannot be confirmed from a directory listing.
    names: hmac::Key,
}

/// Why an object could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("cannot read the sealed file")]
    Io(#[from] io::Error),
    #[error("the sealed file was altered, or belongs to another key")]
    Tampered,
}

impl Vault {
    /// Opens an empty vault for `bucket` in `dir`, which is created if need be.
    ///
    /// # Errors
    /// The directory cannot be created, or the system gives no randomness.
    pub fn create(dir: &Path, bucket: &str) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            bucket: bucket.to_owned(),
            master: sealing_key(&random::<KEY_LEN>()?)?,
            names: hmac::Key::new(hmac::HMAC_SHA256, &random::<KEY_LEN>()?),
        })
    }

    /// Stores `plain` under `key`. Atomic: a reader finds the old object or the new one, whole.
    ///
    /// # Errors
    /// The file cannot be written, or the system gives no randomness.
    pub fn put(&self, key: &str, plain: &[u8]) -> io::Result<()> {
        let data_key = random::<KEY_LEN>()?;
        let wrapped = seal(&self.master, &self.aad(Purpose::DataKey, key), &data_key)?;
        let sealed = seal(&sealing_key(&data_key)?, &self.aad(Purpose::Object, key), plain)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&wrapped)?;
        file.write_all(&sealed)?;
        file.persist(self.file(key))?;
        Ok(())
    }

    /// The plaintext of `key`, verified.
    ///
    /// # Errors
    /// [`VaultError::Io`] when there is no such file, [`VaultError::Tampered`] when a byte of it changed.
    pub fn get(&self, key: &str) -> Result<Vec<u8>, VaultError> {
        let file = std::fs::read(self.file(key))?;
        let (wrapped, sealed) = file.split_at_checked(WRAPPED_LEN).ok_or(VaultError::Tampered)?;
        let data_key = open(&self.master, &self.aad(Purpose::DataKey, key), wrapped)?;
        open(&sealing_key(&data_key)?, &self.aad(Purpose::Object, key), sealed)
    }

    /// Forgets `key`.
    ///
    /// # Errors
    /// There is no such object, or the file cannot be removed.
    pub fn remove(&self, key: &str) -> io::Result<()> {
        std::fs::remove_file(self.file(key))
    }

    /// Where `key` lies, whether or not it exists.
    #[must_use]
    pub fn file(&self, key: &str) -> PathBuf {
        self.dir.join(hex(hmac::sign(&self.names, key.as_bytes()).as_ref()))
    }

    /// Binds a ciphertext to its bucket, key and purpose, so that files cannot be swapped. Parts carry their length:
    /// no two triples read the same.
    fn aad(&self, purpose: Purpose, key: &str) -> Vec<u8> {
        let mut aad = vec![purpose as u8];
        for part in [self.bucket.as_str(), key] {
            aad.extend((part.len() as u64).to_be_bytes());
            aad.extend(part.as_bytes());
        }
        aad
    }
}

const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
const WRAPPED_LEN: usize = NONCE_LEN + KEY_LEN + TAG_LEN;

#[derive(Clone, Copy)]
enum Purpose {
    DataKey = 1,
    Object = 2,
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Fresh random bytes.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    Ok(bytes)
}

fn sealing_key(bytes: &[u8]) -> io::Result<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| io::Error::other("not an AES-256 key"))
}

/// nonce ‖ ciphertext ‖ tag
fn seal(key: &RandomizedNonceKey, aad: &[u8], plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = plain.to_vec();
    let nonce = key
        .seal_in_place_append_tag(Aad::from(aad), &mut body)
        .map_err(|_| io::Error::other("cannot seal"))?;
    Ok([nonce.as_ref().as_slice(), &body].concat())
}

fn open(key: &RandomizedNonceKey, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(VaultError::Tampered)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::Tampered)?;
    let mut body = body.to_vec();
    let plain = key.open_in_place(nonce, Aad::from(aad), &mut body).map_err(|_| VaultError::Tampered)?;
    let len = plain.len();
    body.truncate(len);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(dir: &tempfile::TempDir) -> Vault {
        Vault::create(dir.path(), "bucket").unwrap()
    }

    #[test]
    fn nothing_readable_reaches_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(&dir);
        vault.put("site/secret-name.txt", b"attack at dawn, attack at dawn").unwrap();
        assert_eq!(vault.get("site/secret-name.txt").unwrap(), b"attack at dawn, attack at dawn");
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().path()).collect();
        assert_eq!(files, [vault.file("site/secret-name.txt")], "one file, no temporary left");
        assert!(!files[0].to_string_lossy().contains("secret-name"));
        let sealed = std::fs::read(&files[0]).unwrap();
        assert!(!sealed.windows(6).any(|w| w == b"attack" || w == b"secret"));
    }

    #[test]
    fn every_byte_is_verified() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(&dir);
        vault.put("a", b"x").unwrap();
        let good = std::fs::read(vault.file("a")).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(vault.file("a"), bad).unwrap();
            assert!(matches!(vault.get("a"), Err(VaultError::Tampered)), "byte {at}");
        }
        std::fs::write(vault.file("a"), &good[..good.len() - 1]).unwrap();
        assert!(matches!(vault.get("a"), Err(VaultError::Tampered)), "truncated");
    }

    #[test]
    fn a_file_cannot_stand_in_for_another() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(&dir);
        vault.put("public", b"p").unwrap();
        vault.put("private", b"s").unwrap();
        std::fs::copy(vault.file("private"), vault.file("public")).unwrap();
        assert!(matches!(vault.get("public"), Err(VaultError::Tampered)));
    }

    #[test]
    fn removed_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let vault = vault(&dir);
        vault.put("a", b"x").unwrap();
        vault.remove("a").unwrap();
        assert!(matches!(vault.get("a"), Err(VaultError::Io(_))));
        assert!(!vault.file("a").exists());
    }
}
