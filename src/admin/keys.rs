//! Administrators' keys. The secrets are in files or variables, and are printed nowhere.
//!
//! To change a key, add another beside it, give callers that one, and take the first away; or write a new secret to the file
//! of the same key, which is read again while the edge runs.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::clock::Timestamp;
use crate::config::{AdminKey, SecretSource};

/// Characters of a secret. The AWS CLI's have 40; fewer than the least can be guessed.
const SHORTEST: usize = 16;
const LONGEST: usize = 1_024;

/// Seconds between two warnings of a wrong secret.
const WARNING: u64 = 60;

/// Keys with which requests may be signed.
#[derive(Debug)]
pub struct Keys {
    held: RwLock<Held>,
    /// Second of the last warning of a wrong secret.
    warned: AtomicU64,
}

#[derive(Debug)]
struct Held {
    sources: Vec<AdminKey>,
    known: Vec<Key>,
}

/// An id, and its secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub id: Arc<str>,
    pub secret: Arc<str>,
}

/// Why a secret cannot be used; it is not quoted.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the secret of {id}: {} cannot be read: {source}", file.display())]
    Unreadable { id: Arc<str>, file: PathBuf, source: io::Error },
    #[error("the secret of {id}: the variable {variable} is not set")]
    Unset { id: Arc<str>, variable: Arc<str> },
    #[error(
        "the secret of {id} is not {SHORTEST} to {LONGEST} printable characters without spaces; make one with \
         `openssl rand -hex 20`"
    )]
    Unusable { id: Arc<str> },
}

/// What is odd about a file that is used all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: others can read this secret, and whoever can is an administrator; `chmod 600` it", .0.display())]
pub struct Exposed(PathBuf);

impl Keys {
    /// `None`: no keys are configured.
    ///
    /// # Errors
    /// [`KeyError`] of the first that cannot be used.
    pub fn load(sources: &[AdminKey]) -> Result<Option<Arc<Self>>, KeyError> {
        if sources.is_empty() {
            return Ok(None);
        }
        let held = Held { sources: sources.to_vec(), known: read(sources)? };
        Ok(Some(Arc::new(Self { held: RwLock::new(held), warned: AtomicU64::new(0) })))
    }

    /// Reads the secrets again. `true`: some are others now. After an error the last good ones stay.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn reload(&self) -> Result<bool, KeyError> {
        let sources = self.sources();
        let keys = read(&sources)?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if held.known == keys || held.sources != sources {
            return Ok(false);
        }
        held.known = keys;
        Ok(true)
    }

    /// From now on the keys are those of `others`.
    pub(crate) fn become_those_of(&self, others: &Self) {
        let (sources, known) = {
            let others = others.held.read().unwrap_or_else(PoisonError::into_inner);
            (others.sources.clone(), others.known.clone())
        };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Held { sources, known };
    }

    fn sources(&self) -> Vec<AdminKey> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).sources.clone()
    }

    /// Files that are open to others than their owner and group.
    #[must_use]
    pub fn warnings(&self) -> Vec<Exposed> {
        use std::os::unix::fs::PermissionsExt as _;
        let files = self.sources().into_iter().filter_map(|key| match key.secret {
            SecretSource::File(file) => Some(file),
            SecretSource::Variable(_) => None,
        });
        let is_open = |file: &PathBuf| {
            fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
        };
        files.filter(is_open).map(Exposed).collect()
    }

    /// Somebody uses this key with a wrong secret. Said once a minute, for anybody can.
    pub(super) fn warn_of_wrong_secret(&self, id: &str, now: Timestamp) {
        let last = self.warned.load(Ordering::Relaxed);
        if now.as_secs() >= last + WARNING && self.warned.swap(now.as_secs(), Ordering::Relaxed) == last {
            tracing::warn!(id, "a request to the admin listener was signed with a wrong secret");
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<Key> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.known.iter().find(|key| *key.id == *id).cloned()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

fn read(sources: &[AdminKey]) -> Result<Vec<Key>, KeyError> {
    sources.iter().map(|AdminKey { access_key_id, secret }| key(access_key_id, secret)).collect()
}

fn key(id: &Arc<str>, source: &SecretSource) -> Result<Key, KeyError> {
    let id = Arc::clone(id);
    let text = match source {
        SecretSource::File(file) => match fs::read_to_string(file) {
            Ok(text) => text,
            Err(source) => return Err(KeyError::Unreadable { id, file: file.clone(), source }),
        },
        SecretSource::Variable(variable) => match std::env::var(&**variable) {
            Ok(text) => text,
            Err(_) => return Err(KeyError::Unset { id, variable: Arc::clone(variable) }),
        },
    };
    // Editors and `echo` end a line.
    let secret = text.trim_ascii();
    if !(SHORTEST..=LONGEST).contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyError::Unusable { id });
    }
    Ok(Key { id, secret: secret.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(id: &str, file: &std::path::Path) -> AdminKey {
        AdminKey { access_key_id: id.into(), secret: SecretSource::File(file.into()) }
    }

    #[test]
    fn a_secret_is_read_again_and_the_last_good_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "first-secret-of-an-admin\n").unwrap();
        let keys = Keys::load(&[source("ADMIN1", &file)]).unwrap().unwrap();
        let secret = || keys.find("ADMIN1").unwrap().secret.to_string();
        assert_eq!(secret(), "first-secret-of-an-admin");
        assert!(keys.find("ADMIN2").is_none());
        assert!(!keys.reload().unwrap());
        fs::write(&file, "second-secret-of-an-admin").unwrap();
        assert!(keys.reload().unwrap());
        assert_eq!(secret(), "second-secret-of-an-admin");
        for bad in ["", "short", "has a space in its middle", "xxxxxxxxxxxxxxxxxxü"] {
            fs::write(&file, bad).unwrap();
            let error = keys.reload().unwrap_err().to_string();
            assert!(error.contains("ADMIN1") && (bad.is_empty() || !error.contains(bad)), "{error}");
        }
        fs::remove_file(&file).unwrap();
        assert!(keys.reload().unwrap_err().to_string().contains("cannot be read"));
        assert_eq!(secret(), "second-secret-of-an-admin");
        assert!(!format!("{keys:?}").contains("second-secret"), "{keys:?}");
    }

    #[test]
    fn other_keys_take_the_place_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        fs::write(&first, "first-secret-of-an-admin").unwrap();
        fs::write(&second, "second-secret-of-an-admin").unwrap();
        let keys = Keys::load(&[source("ADMIN1", &first)]).unwrap().unwrap();
        keys.become_those_of(&Keys::load(&[source("ADMIN2", &second)]).unwrap().unwrap());
        assert!(keys.find("ADMIN1").is_none());
        assert_eq!(&*keys.find("ADMIN2").unwrap().secret, "second-secret-of-an-admin");
        fs::write(&second, "third-secret-of-an-admin").unwrap();
        assert!(keys.reload().unwrap());
        assert_eq!(&*keys.find("ADMIN2").unwrap().secret, "third-secret-of-an-admin");
    }

    #[test]
    fn secrets_that_are_not_there_are_told() {
        assert!(Keys::load(&[]).unwrap().is_none());
        let variable = SecretSource::Variable("EDGESEAL_NO_SUCH_VARIABLE".into());
        let error = Keys::load(&[AdminKey { access_key_id: "ADMIN1".into(), secret: variable }]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the secret of ADMIN1: the variable EDGESEAL_NO_SUCH_VARIABLE is not set"
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_worth_a_warning() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "first-secret-of-an-admin").unwrap();
        for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let keys = Keys::load(&[source("ADMIN1", &file)]).unwrap().unwrap();
            assert_eq!(keys.warnings().len(), warnings, "{mode:o}");
        }
    }
}
