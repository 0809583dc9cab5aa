//! A file that lines are appended to, and that may be moved away (logrotate) or deleted under us.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::MODE;

/// Between two looks whether the file is still where it was.
const LOOK: Duration = Duration::from_secs(1);

/// Writes to what is at its path.
pub(super) struct Appended {
    path: PathBuf,
    file: File,
    looked: Instant,
}

impl Appended {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: open(path)?, path: path.into(), looked: Instant::now() })
    }

    /// What has another file at its path, or none, is opened anew; what cannot be is written to where it is.
    fn follow(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let there = self.path.metadata().map(identity).ok();
        if self.file.metadata().map(identity).ok() == there {
            return;
        }
        if let Ok(file) = open(&self.path) {
            self.file = file;
        }
    }
}

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.follow();
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe is opened for reading, too: else opening it would wait for a reader, and writing fail without one.
fn open(path: &Path) -> io::Result<File> {
    let is_pipe = path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    OpenOptions::new().read(is_pipe).create(true).append(true).mode(MODE).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lines_go_to_what_is_at_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut out = Appended::open(&path).unwrap();
        out.write_all(b"1\n").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o137, 0, "nobody else reads it");
        let moved = folder.path().join("access.log.1");
        fs::rename(&path, &moved).unwrap();
        out.write_all(b"2\n").unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "1\n2\n", "not looked at for every line");
        out.looked -= LOOK;
        out.write_all(b"3\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
        fs::remove_dir_all(folder.path()).unwrap();
        out.looked -= LOOK;
        out.write_all(b"4\n").unwrap();
        fs::create_dir(folder.path()).unwrap();
        out.looked -= LOOK;
        out.write_all(b"5\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "5\n");
    }
}
