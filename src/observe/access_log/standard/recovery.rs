//! What a crash has left: files that nobody writes any more become whole ones of the lines that they hold.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::{name, page};

/// Longer than any line: viewers' heads are limited (behaviour §2.4), and encoding makes at most three bytes of one.
const LONGEST: u64 = 1 << 20;

/// Looks through `folders`; how many files were made whole. What cannot be is told and left where it is.
pub(super) fn recover(folders: &BTreeSet<PathBuf>) -> usize {
    let mut count = 0;
    for folder in folders {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for hidden in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let Some(name) = name::of_growing(&hidden) else { continue };
            match mend(folder, name) {
                Ok(Found::Lines(lines)) => {
                    count += 1;
                    tracing::info!(file = name, lines, "finished a log file that a crash had left");
                }
                Ok(Found::Nothing) => {}
                Err(error) => {
                    tracing::warn!(file = name, %error, "cannot finish a log file that a crash had left")
                }
            }
        }
    }
    count
}

enum Found {
    Lines(u64),
    /// No line, or it is somebody's.
    Nothing,
}

fn mend(folder: &Path, name: &str) -> io::Result<Found> {
    let (left, whole) = (name::growing(folder, name), folder.join(name));
    let file = File::open(&left)?;
    if file.try_lock().is_err() {
        return Ok(Found::Nothing);
    }
    let mended = name::mended(folder, name);
    // Of a crash while this was done before.
    remove(&mended)?;
    let lines = if whole.exists() { 0 } else { copy(&file, &mended)? };
    if lines > 0 {
        fs::rename(&mended, &whole)?;
    } else {
        remove(&mended)?;
    }
    remove(&left)?;
    Ok(if lines > 0 { Found::Lines(lines) } else { Found::Nothing })
}

/// Copies all whole lines; how many there are beside the two of the head.
fn copy(from: &File, to: &Path) -> io::Result<u64> {
    let mut lines = BufReader::new(GzDecoder::new(BufReader::new(from)));
    let mut out = GzEncoder::new(BufWriter::new(page::create(to)?), Compression::fast());
    let (mut count, mut line) = (0_u64, Vec::new());
    // An error is where the crash was: what came before it counts.
    while io::Read::take(&mut lines, LONGEST).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        if line.last() != Some(&b'\n') {
            break;
        }
        out.write_all(&line)?;
        count += u64::from(!line.starts_with(b"#"));
        line.clear();
    }
    out.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
    Ok(count)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
