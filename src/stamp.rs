//! How a file looks from outside: whether it may have changed since it was read.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Of the file that a path leads to, through links: those of Kubernetes' ConfigMaps and Secrets are swapped, not their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds since the Unix epoch: of the last change of the content, and of anything at all.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None`: there is no such file, or nobody may know.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn whatever_may_be_another_content_looks_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("one"), "aaaa").unwrap();
        fs::copy(path("one"), path("two")).unwrap();
        symlink("one", path("link")).unwrap();
        let first = Stamp::of(&path("link"));
        assert!(first.is_some());
        assert_eq!(first, Stamp::of(&path("one")), "links are followed");

        symlink("two", path("link.new")).unwrap();
        fs::rename(path("link.new"), path("link")).unwrap();
        let swapped = Stamp::of(&path("link"));
        assert_ne!(first, swapped, "the same size, another file");

        fs::write(path("two"), "aaaaa").unwrap();
        assert_ne!(swapped, Stamp::of(&path("link")), "another size");
        fs::remove_file(path("two")).unwrap();
        assert_eq!(Stamp::of(&path("link")), None);
    }
}
