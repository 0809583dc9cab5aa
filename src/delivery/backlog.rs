//! Files that wait: which there are, and which must go.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::observe::access_log::standard::name;

/// Where finished files are, and what their keys begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) prefix: Arc<str>,
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) path: PathBuf,
    pub(super) key: String,
    pub(super) bytes: u64,
    /// By which they are sorted: the hour of its lines, and when it was finished.
    age: (String, SystemTime),
}

/// A file that no other process sends meanwhile.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    _lock: File,
}

/// The oldest first. What cannot be looked at is left out.
pub(super) fn list(folders: &[Folder]) -> Vec<Waiting> {
    let mut all: Vec<Waiting> = folders.iter().flat_map(in_folder).collect();
    all.sort_by(|a, b| a.age.cmp(&b.age));
    all
}

fn in_folder(folder: &Folder) -> impl Iterator<Item = Waiting> + '_ {
    let entries = fs::read_dir(&folder.path).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let hour = name::hour(&name)?.to_owned();
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let age = (hour, metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        Some(Waiting {
            path: entry.path(),
            key: format!("{}{name}", folder.prefix),
            bytes: metadata.len(),
            age,
        })
    })
}

/// Deletes the oldest of what is more than `room` bytes; what is left, and how many are not.
pub(super) fn trim(mut waiting: Vec<Waiting>, room: u64) -> (Vec<Waiting>, usize) {
    let mut total: u64 = waiting.iter().map(|file| file.bytes).sum();
    let mut dropped = 0;
    waiting.retain(|file| {
        let goes = total > room && fs::remove_file(&file.path).is_ok();
        if goes {
            total -= file.bytes;
            dropped += 1;
        }
        !goes
    });
    (waiting, dropped)
}

/// Reads a file, and holds it for as long as what is returned lives. `None`: another process does.
pub(super) fn hold(path: &Path) -> io::Result<Option<Held>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(Held { bytes, _lock: file }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path, prefix: &str) -> Folder {
        Folder { path: path.join(prefix), prefix: prefix.into() }
    }

    #[test]
    fn the_oldest_come_first_and_nothing_else_does() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("cdn")).unwrap();
        for name in [
            "E1.2025-11-24-17.AAAAAAAAAAA.gz",
            "E2.2025-11-24-16.BBBBBBBBBBB.gz",
            "cdn/E3.2025-11-24-15.CCCCCCCCCCC.gz",
            ".E1.2025-11-24-15.DDDDDDDDDDD.gz.part",
            "access.log",
            "backup.tar.gz",
        ] {
            fs::write(root.path().join(name), name).unwrap();
        }
        fs::create_dir(root.path().join("E1.2025-11-24-14.EEEEEEEEEEE.gz")).unwrap();
        let gone = folder(root.path(), "gone/");
        let waiting = list(&[folder(root.path(), ""), folder(root.path(), "cdn/"), gone]);
        let keys: Vec<_> = waiting.iter().map(|file| file.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "cdn/E3.2025-11-24-15.CCCCCCCCCCC.gz",
                "E2.2025-11-24-16.BBBBBBBBBBB.gz",
                "E1.2025-11-24-17.AAAAAAAAAAA.gz"
            ]
        );
        // Two are left: the oldest had 35 bytes, the others 31 each.
        let (kept, dropped) = trim(waiting, 62);
        assert_eq!((kept.len(), dropped), (2, 1));
        assert!(!root.path().join("cdn/E3.2025-11-24-15.CCCCCCCCCCC.gz").exists());
        assert_eq!(trim(list(&[folder(root.path(), "")]), 1).1, 2, "not one fits");
    }

    #[test]
    fn a_file_is_held_by_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("f");
        assert!(hold(&path).unwrap().is_none());
        fs::write(&path, "abc").unwrap();
        let held = hold(&path).unwrap().unwrap();
        assert_eq!(held.bytes, b"abc");
        assert!(hold(&path).unwrap().is_none());
        drop(held);
        assert!(hold(&path).unwrap().is_some());
    }
}
