//! One gzip file that grows. What it has taken is on disk a second later, and never lost to a full disk: it waits in memory
//! until there is room, and no more is taken meanwhile.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::super::MODE;
use super::name;

/// The lines in front of all others (behaviour §12.8).
pub(super) const HEADER: &str = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) \
    cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id \
    x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type \
    cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type \
    sc-content-type sc-content-len sc-range-start sc-range-end\n";

/// Bytes that are compressed at a time.
const BATCH: usize = 64 * 1024;
/// How long a disk is left alone that took nothing.
pub(super) const STUCK: Duration = Duration::from_millis(50);
/// Tries for a name that is free.
const NAMES: usize = 4;

/// A file under way.
pub(super) struct Page {
    folder: PathBuf,
    name: String,
    /// Locked, so that nobody else takes it for one that a crash has left.
    file: File,
    /// Into memory: what a disk has not taken yet.
    encoder: GzEncoder<Vec<u8>>,
    /// Not compressed yet.
    lines: Vec<u8>,
    /// Compressed, on disk.
    written: u64,
    began: Instant,
    /// Something has been taken since the last flush.
    is_dirty: bool,
    /// Nothing more can be taken: the end is made.
    is_ended: bool,
    /// When the disk took nothing, and why.
    stuck: Option<(Instant, io::ErrorKind)>,
}

impl Page {
    /// In `folder`, which is made if need be.
    pub(super) fn open(folder: &Path, distribution: &str, hour: &str) -> io::Result<Self> {
        make_folder(folder)?;
        let mut taken = io::ErrorKind::AlreadyExists.into();
        for _ in 0..NAMES {
            let name = name::make(distribution, hour);
            let path = name::growing(folder, &name);
            let file = match create(&path) {
                Ok(_) if folder.join(&name).exists() => {
                    fs::remove_file(&path)?;
                    continue;
                }
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    taken = error;
                    continue;
                }
                Err(error) => return Err(error),
            };
            // Another process that is starting may have found it in this moment; it takes it away then.
            if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
                continue;
            }
            // The fastest: one thread compresses what all workers log.
            let encoder = GzEncoder::new(Vec::new(), Compression::fast());
            return Ok(Self {
                folder: folder.into(),
                name,
                file,
                encoder,
                lines: HEADER.into(),
                written: 0,
                began: Instant::now(),
                is_dirty: true,
                is_ended: false,
                stuck: None,
            });
        }
        Err(taken)
    }

    /// Takes a line with its end.
    ///
    /// # Errors
    /// When the disk has not taken what came before: the line is not taken either.
    pub(super) fn add(&mut self, line: &[u8]) -> io::Result<()> {
        if self.lines.len() + line.len() > BATCH {
            self.pack()?;
        }
        self.lines.extend_from_slice(line);
        self.is_dirty = true;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn swap_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Since its first line.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Bytes, compressed.
    pub(super) fn size(&self) -> u64 {
        self.written + self.encoder.get_ref().len() as u64
    }

    /// Puts out what has been taken, so that it outlives this process.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.is_dirty && !self.is_ended {
            self.pack()?;
            self.encoder.flush()?;
            self.is_dirty = false;
        }
        self.drain()
    }

    /// Ends it and gives it its name. May be tried again.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if !self.is_ended {
            self.pack()?;
            self.encoder.try_finish()?;
            self.is_ended = true;
        }
        self.drain()?;
        self.file.sync_data()?;
        let (from, to) = (name::growing(&self.folder, &self.name), self.folder.join(&self.name));
        match fs::rename(from, to) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.save(),
            renamed => renamed,
        }
    }

    /// Somebody has deleted it, with its folder perhaps; what it held is still there for us.
    fn save(&mut self) -> io::Result<()> {
        make_folder(&self.folder)?;
        let path = name::growing(&self.folder, &self.name);
        let mut copy = create(&path)?;
        self.file.rewind()?;
        let copied = io::copy(&mut self.file, &mut copy).and_then(|_| copy.sync_data());
        match copied.and_then(|()| fs::rename(&path, self.folder.join(&self.name))) {
            Ok(()) => Ok(()),
            Err(error) => {
                // To be tried again from its beginning.
                let _ = fs::remove_file(&path);
                self.file.seek(io::SeekFrom::End(0))?;
                Err(error)
            }
        }
    }

    /// Compresses what lines there are, if the disk has taken all that was compressed before.
    fn pack(&mut self) -> io::Result<()> {
        self.drain()?;
        self.encoder.write_all(&self.lines)?;
        self.lines.clear();
        // What it does not take now, it is asked to take before there is more.
        let _ = self.drain();
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        // Not for every line anew.
        if let Some((at, why)) = self.stuck
            && at.elapsed() < STUCK
        {
            return Err(why.into());
        }
        let packed = self.encoder.get_mut();
        let mut count = 0;
        let outcome: io::Result<()> = loop {
            if count == packed.len() {
                break Ok(());
            }
            match self.file.write(&packed[count..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => count += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        packed.drain(..count);
        self.written += count as u64;
        self.stuck = outcome.as_ref().err().map(|error| (Instant::now(), error.kind()));
        outcome
    }
}

/// Readable too: see [`Page::save`].
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(MODE).open(path)
}

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(folder)
}
