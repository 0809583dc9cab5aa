//! Session tickets that a fleet shares: sealed under keys from a file, so that each edge resumes the sessions of the others.
//!
//! The file is nginx's `ssl_session_ticket_key`: 80 random bytes a key, several in a row, or one of 48. The first seals;
//! the others still open what they have sealed. What comes of a key here differs by security policy, and from nginx's.
//!
//! ```text
//! ticket = key id (16) │ nonce (12) │ AES-256-GCM-SIV( second of issue (8) │ session ) │ tag (16)
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use rustls::server::ProducesTickets;

use crate::clock::{self, Timestamp};

/// Bytes of a key in the file; one alone may have [`SHORT`].
const LONG: usize = 80;
const SHORT: usize = 48;
/// Each one is tried only by its id, but nobody rotates as many.
const MAX_KEYS: usize = 16;
/// Seconds for which a ticket is good, as with rustls's own. A key should stay in the file for as long.
const LIFETIME: u32 = 12 * 60 * 60;
/// The clocks of a fleet differ.
const SKEW: u64 = 60;
const ID: usize = 16;
const STAMP: usize = 8;

/// The keys of a file, and all who seal with them.
#[derive(Debug)]
pub struct TicketKeys {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    masters: Masters,
    sealers: Vec<Arc<Sealer>>,
}

/// Why a file gives no keys. Each names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TicketKeyError {
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error(
        "{}: has {length} bytes, and a ticket key has {LONG}; make one with `openssl rand {LONG}`, and put older ones \
         behind it (at most {MAX_KEYS})",
        file.display()
    )]
    WrongSize { file: PathBuf, length: usize },
}

/// What is odd about a file that is used all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: others can read it, and whoever can reads what viewers send; `chmod 600` it", .0.display())]
pub struct Exposed(PathBuf);

impl TicketKeys {
    /// Reads `file`.
    ///
    /// # Errors
    /// [`TicketKeyError`].
    pub fn load(file: &Path) -> Result<Arc<Self>, TicketKeyError> {
        let state = State { masters: read(file)?, sealers: Vec::new() };
        Ok(Arc::new(Self { file: file.to_owned(), state: Mutex::new(state) }))
    }

    /// Is the file open to others than its owner and group?
    #[must_use]
    pub fn warning(&self) -> Option<Exposed> {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = fs::metadata(&self.file).ok()?;
        (metadata.permissions().mode() & 0o007 != 0).then(|| Exposed(self.file.clone()))
    }

    /// Seals and opens tickets for `purpose`; they are good for no other.
    pub(super) fn ticketer(&self, purpose: &str) -> Arc<dyn ProducesTickets> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let sealer = Arc::new(Sealer {
            purpose: purpose.into(),
            keys: ArcSwap::from_pointee(state.masters.keys_for(purpose)),
        });
        state.sealers.push(Arc::clone(&sealer));
        sealer
    }

    /// Reads the file again. `true`: there are other keys now. After an error the last good ones stay.
    ///
    /// # Errors
    /// [`TicketKeyError`].
    pub fn reload(&self) -> Result<bool, TicketKeyError> {
        let masters = read(&self.file)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if masters == state.masters {
            return Ok(false);
        }
        state.masters = masters;
        for sealer in &state.sealers {
            sealer.keys.store(Arc::new(state.masters.keys_for(&sealer.purpose)));
        }
        Ok(true)
    }
}

/// What the file holds. Never printed.
#[derive(PartialEq, Eq)]
struct Masters(Vec<Box<[u8]>>);

impl std::fmt::Debug for Masters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Masters {
    fn keys_for(&self, purpose: &str) -> Vec<Key> {
        self.0.iter().map(|master| Key::new(master, purpose)).collect()
    }
}

fn read(file: &Path) -> Result<Masters, TicketKeyError> {
    let bytes =
        fs::read(file).map_err(|source| TicketKeyError::Unreadable { file: file.to_owned(), source })?;
    let size = if bytes.len() == SHORT { SHORT } else { LONG };
    if bytes.is_empty() || bytes.len() % size != 0 || bytes.len() / size > MAX_KEYS {
        return Err(TicketKeyError::WrongSize { file: file.to_owned(), length: bytes.len() });
    }
    Ok(Masters(bytes.chunks(size).map(Box::from).collect()))
}

#[derive(Debug)]
struct Sealer {
    purpose: Box<str>,
    /// Never empty.
    keys: ArcSwap<Vec<Key>>,
}

#[derive(Debug)]
struct Key {
    id: [u8; ID],
    sealing: RandomizedNonceKey,
}

/// Bytes that are derived.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Key {
    fn new(master: &[u8], purpose: &str) -> Self {
        let extracted = Salt::new(HKDF_SHA256, b"edgeseal session tickets, version 1").extract(master);
        let (mut id, mut key) = ([0; ID], [0; 32]);
        derive(&extracted, "id", purpose, &mut id);
        derive(&extracted, "key", purpose, &mut key);
        let sealing =
            RandomizedNonceKey::new(&AES_256_GCM_SIV, &key).expect("a key of this cipher has 32 bytes");
        Self { id, sealing }
    }

    fn seal(&self, session: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let mut sealed = Vec::with_capacity(STAMP + session.len() + AES_256_GCM_SIV.tag_len());
        sealed.extend_from_slice(&now.as_secs().to_be_bytes());
        sealed.extend_from_slice(session);
        let nonce = self.sealing.seal_in_place_append_tag(Aad::from(self.id), &mut sealed).ok()?;
        Some([&self.id[..], nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, nonce: [u8; NONCE_LEN], sealed: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.sealing.open_in_place(nonce, Aad::from(self.id), &mut sealed).ok()?;
        let (issued, session) = opened.split_first_chunk::<STAMP>()?;
        let (issued, now) = (u64::from_be_bytes(*issued), now.as_secs());
        let good = issued <= now.saturating_add(SKEW) && now <= issued.saturating_add(LIFETIME.into());
        good.then(|| session.to_vec())
    }
}

fn derive(extracted: &Prk, what: &str, purpose: &str, into: &mut [u8]) {
    let info = [what.as_bytes(), b" for ", purpose.as_bytes()];
    let derived = extracted.expand(&info, Length(into.len())).and_then(|derived| derived.fill(into));
    derived.expect("HKDF gives as little as this");
}

impl Sealer {
    fn seal(&self, session: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        self.keys.load().first()?.seal(session, now)
    }

    fn open(&self, ticket: &[u8], now: Timestamp) -> Option<Vec<u8>> {
        let (id, rest) = ticket.split_first_chunk::<ID>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys.load();
        keys.iter().find(|key| key.id == *id)?.open(*nonce, sealed, now)
    }
}

impl ProducesTickets for Sealer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, clock::now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, clock::now())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn sealer(masters: &[u8], purpose: &str) -> Sealer {
        let masters = Masters(masters.iter().map(|byte| vec![*byte; LONG].into()).collect());
        Sealer { purpose: purpose.into(), keys: ArcSwap::from_pointee(masters.keys_for(purpose)) }
    }

    #[test]
    fn a_ticket_is_good_with_the_same_key_and_purpose_alone() {
        let ticket = sealer(&[1], "a").seal(b"session", NOW).unwrap();
        for (masters, purpose, good) in
            [(&[1][..], "a", true), (&[2, 1], "a", true), (&[2], "a", false), (&[1], "b", false)]
        {
            let opened = sealer(masters, purpose).open(&ticket, NOW);
            assert_eq!(opened.as_deref(), good.then_some(&b"session"[..]), "{masters:?} {purpose}");
        }
    }

    #[test]
    fn a_ticket_is_good_for_its_lifetime() {
        let sealer = sealer(&[1], "a");
        let ticket = sealer.seal(b"session", NOW).unwrap();
        let lifetime = u64::from(LIFETIME);
        for (at, good) in [
            (NOW.as_secs() + lifetime, true),
            (NOW.as_secs() + lifetime + 1, false),
            (NOW.as_secs() - SKEW, true),
            (NOW.as_secs() - SKEW - 1, false),
        ] {
            assert_eq!(sealer.open(&ticket, Timestamp::from_secs(at)).is_some(), good, "{at}");
        }
    }

    #[test]
    fn what_has_been_changed_or_cut_is_no_ticket() {
        let sealer = sealer(&[1], "a");
        let ticket = sealer.seal(b"session", NOW).unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(sealer.open(&changed, NOW), None, "byte {at}");
            assert_eq!(sealer.open(&ticket[..at], NOW), None, "{at} bytes");
        }
        assert_ne!(ticket, sealer.seal(b"session", NOW).unwrap(), "each has a nonce of its own");
    }

    #[test]
    fn a_file_has_one_key_or_several_and_another_size_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tickets.key");
        for (length, keys) in [
            (48, Some(1)),
            (80, Some(1)),
            (240, Some(3)),
            (1280, Some(16)),
            (0, None),
            (47, None),
            (96, None),
            (1360, None),
        ] {
            fs::write(&file, vec![7; length]).unwrap();
            match (TicketKeys::load(&file), keys) {
                (Ok(loaded), Some(keys)) => assert_eq!(loaded.state.lock().unwrap().masters.0.len(), keys),
                (Err(error), None) => {
                    let text = error.to_string();
                    assert!(
                        text.contains(&format!("{length} bytes")) && text.contains("openssl rand 80"),
                        "{text}"
                    );
                }
                (loaded, _) => panic!("{length}: {loaded:?}"),
            }
        }
        fs::remove_file(&file).unwrap();
        assert!(matches!(TicketKeys::load(&file), Err(TicketKeyError::Unreadable { .. })));
    }

    #[test]
    fn new_keys_are_taken_up_and_a_bad_file_leaves_the_last_good_ones() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tickets.key");
        fs::write(&file, [1; LONG]).unwrap();
        let keys = TicketKeys::load(&file).unwrap();
        let ticketer = keys.ticketer("a");
        let first = ticketer.encrypt(b"first").unwrap();
        assert!(!keys.reload().unwrap());

        fs::write(&file, [[2; LONG], [1; LONG]].concat()).unwrap();
        assert!(keys.reload().unwrap());
        let second = ticketer.encrypt(b"second").unwrap();
        assert_ne!(first[..ID], second[..ID], "the first in the file seals");
        assert_eq!(ticketer.decrypt(&first).as_deref(), Some(&b"first"[..]));

        fs::write(&file, [3; 5]).unwrap();
        assert!(keys.reload().is_err());
        assert_eq!(ticketer.decrypt(&second).as_deref(), Some(&b"second"[..]));

        fs::write(&file, [2; LONG]).unwrap();
        assert!(keys.reload().unwrap());
        assert_eq!(ticketer.decrypt(&first), None, "its key is gone");
    }

    #[test]
    fn a_file_that_others_can_read_is_warned_of_and_nothing_of_it_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tickets.key");
        fs::write(&file, [b'S'; LONG]).unwrap();
        let keys = TicketKeys::load(&file).unwrap();
        for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(keys.warning().is_some(), warned, "{mode:o}");
        }
        let ticketer = keys.ticketer("a");
        let printed = format!("{keys:?} {ticketer:?}");
        assert!(
            printed.contains("1 keys") && !printed.contains("83, 83") && !printed.contains("SS"),
            "{printed}"
        );
    }
}
