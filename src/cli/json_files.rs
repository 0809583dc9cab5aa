//! The JSON files that `--distribution` and `import` name: a file, or all of a folder and what is below it.

use std::io;
use std::path::{Path, PathBuf};

use super::source::finding;
use crate::config::Finding;
use crate::config::import::File;

/// A folder below more than this many others is not looked into.
const DEEPEST: usize = 8;
/// Bytes of one file. An account's longest list is far below it.
const LARGEST: u64 = 32 << 20;

/// In the order of their paths. Names that begin with a dot are left alone.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<File>, Vec<Finding>> {
    let mut files = Vec::new();
    let mut findings = Vec::new();
    for path in paths {
        let read = find(path).and_then(|found| {
            let read = |found: Found| file(&found).map_err(|error| (found.path, error));
            found.into_iter().map(read).collect::<Result<Vec<_>, _>>()
        });
        match read {
            Ok(read) => files.extend(read),
            Err((path, error)) => {
                let message = format!("cannot be read: {error}");
                let fix = "give a JSON file, or a folder of JSON files";
                findings.push(finding(&path.display().to_string(), &message, fix));
            }
        }
    }
    if findings.is_empty() { Ok(files) } else { Err(findings) }
}

/// The files that [`read`] would read now, as far as they can be found.
pub(super) fn list(paths: &[PathBuf]) -> Vec<PathBuf> {
    let found = paths.iter().flat_map(|path| find(path).unwrap_or_default());
    found.map(|found| found.path).collect()
}

/// A file, and the whole path of the folder in which it was found.
struct Found {
    path: PathBuf,
    folder: Option<PathBuf>,
}

type Failed = (PathBuf, io::Error);

fn find(path: &Path) -> Result<Vec<Found>, Failed> {
    let of = |error| (path.to_owned(), error);
    if !std::fs::metadata(path).map_err(of)?.is_dir() {
        return Ok(vec![Found { path: path.to_owned(), folder: None }]);
    }
    let mut files = Vec::new();
    // `.` has no name of its own.
    let name = path.canonicalize().map_err(of)?;
    add_folder(path, &name, DEEPEST, &mut files)?;
    if files.is_empty() {
        return Err(of(io::Error::other("there is no JSON file in it")));
    }
    Ok(files)
}

/// `name`: the folder's whole path, for the ids of what has none.
fn add_folder(folder: &Path, name: &Path, depth: usize, files: &mut Vec<Found>) -> Result<(), Failed> {
    let of = |error| (folder.to_owned(), error);
    let entries = std::fs::read_dir(folder).map_err(of)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().map_err(of)?;
    paths.sort();
    for path in paths {
        let Some(own) = path.file_name().map(|own| own.to_string_lossy().into_owned()) else { continue };
        if own.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            // A link to a folder may lead round in a circle.
            if depth > 0 && !path.is_symlink() {
                add_folder(&path, &name.join(&own), depth - 1, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            files.push(Found { path, folder: Some(name.to_owned()) });
        }
    }
    Ok(())
}

fn file(Found { path, folder }: &Found) -> io::Result<File> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::other("it is larger than 32 MiB"));
    }
    Ok(File {
        name: path.display().to_string(),
        stem: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        folder: folder.clone(),
        bytes: std::fs::read(path)?,
    })
}
