use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::*;
use crate::config::{Environment, Overrides, load_toml};

const HOUR_16: &str = "2025-11-24\t16:59:59\tone";
const HOUR_17: &str = "2025-11-24\t17:00:00\ttwo";

fn distributions() -> Vec<Distribution> {
    let one = |id: &str, keys: &str| {
        format!(
            "[[distribution]]\nid = \"{id}\"\naliases = [\"{}.example\"]\n{keys}\n[[distribution.origin]]\n\
             bucket = \"site\"\nregion = \"r\"\n",
            id.to_lowercase()
        )
    };
    let toml = one("E1", "") + &one("E2", "[distribution.logging]\nprefix = \"cdn\"");
    load_toml("t", &toml, &Environment::default(), &Overrides::default()).unwrap().config.distributions
}

fn settings(folder: &Path) -> StandardLog {
    StandardLog {
        directory: folder.into(),
        interval: Duration::from_secs(300),
        max_size: 1 << 20,
        upload: None,
    }
}

fn open(settings: &StandardLog) -> Standard {
    let mut log = Standard::open(settings, &distributions(), Arc::default()).unwrap();
    // What it does to the folder in the meantime is not to be seen.
    log.recovery.take().unwrap().join().unwrap();
    log
}

fn piece(lines: &[(u32, &str)]) -> Piece {
    let mut piece = Piece::default();
    for (shelf, line) in lines {
        label(*shelf, &mut piece.bytes);
        piece.bytes.extend_from_slice(line.as_bytes());
        piece.bytes.push(b'\n');
        piece.lines += 1;
    }
    piece
}

/// Everything there is below a folder, by name; of gzip files what they hold, if they are whole.
fn found(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.extend(
                found(&entry.path()).into_iter().map(|(inner, text)| (format!("{name}/{inner}"), text)),
            );
        } else {
            all.insert(name, unpacked(&entry.path()));
        }
    }
    all
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    let read = GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text);
    read.map_or_else(|error| format!("not whole: {error}"), |_| text)
}

/// The name without what makes it unique.
fn stem(name: &str) -> &str {
    name.rsplitn(3, '.').nth(2).unwrap()
}

fn with_head(lines: &[&str]) -> String {
    format!("{}{}\n", page::HEADER, lines.join("\n"))
}

#[test]
fn the_header_names_the_fields() {
    let names: Vec<_> = crate::config::log::LogField::ALL[..33].iter().map(|field| field.name()).collect();
    assert_eq!(page::HEADER, format!("#Version: 1.0\n#Fields: {}\n", names.join(" "))); // behaviour §12.8
}

/// By distribution and by the line's own hour, whatever the order; nothing has its name before it is whole.
#[test]
fn lines_go_to_the_file_of_their_distribution_and_hour() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(&settings(folder.path()));
    log.write(&piece(&[(0, HOUR_16), (1, HOUR_16), (0, HOUR_17), (0, HOUR_16)])).unwrap();
    let names: Vec<_> = found(folder.path()).into_keys().collect();
    assert_eq!(names.len(), 3);
    let hidden = |name: &String| name.rsplit('/').next().unwrap().starts_with('.') && name.ends_with(".part");
    assert!(names.iter().all(hidden), "{names:?}");
    log.close();
    let found = found(folder.path());
    let by_stem: Vec<_> = found.iter().map(|(name, text)| (stem(name), text.as_str())).collect();
    assert_eq!(
        by_stem,
        [
            ("E1.2025-11-24-16", &*with_head(&[HOUR_16, HOUR_16])),
            ("E1.2025-11-24-17", &*with_head(&[HOUR_17])),
            ("cdn/E2.2025-11-24-16", &*with_head(&[HOUR_16])),
        ]
    );
    for name in found.keys() {
        let mode = folder.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{name}: nobody else reads it");
        assert!(name::hour(name.rsplit('/').next().unwrap()).is_some(), "{name}");
    }
}

#[test]
fn a_file_is_finished_by_age_size_and_the_end_of_its_hour() {
    let folder = tempfile::tempdir().unwrap();
    let finished = |folder: &Path| found(folder).keys().filter(|name| name.ends_with(".gz")).count();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_003_599); // 2025-11-24 16:59:59
    let next_hour = long_ago + Duration::from_secs(1);

    let mut log = open(&settings(folder.path()));
    log.write(&piece(&[(0, HOUR_16)])).unwrap();
    log.end_due(next_hour + LATE - Duration::from_secs(1));
    assert_eq!(finished(folder.path()), 0, "other workers' lines of that hour may still come");
    log.end_due(next_hour + LATE);
    assert_eq!(finished(folder.path()), 1);

    log.write(&piece(&[(0, HOUR_16)])).unwrap();
    log.end_due(long_ago);
    assert_eq!(finished(folder.path()), 1);
    log.interval = Duration::ZERO;
    log.end_due(long_ago);
    assert_eq!(finished(folder.path()), 2);

    log.max_size = 4096;
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2_000 {
        let noise: String = (0..60).map(|_| random.alphanumeric()).collect();
        log.write(&piece(&[(0, &format!("{HOUR_17}\t{noise}"))])).unwrap();
    }
    let full = finished(folder.path()) - 2;
    assert!(full > 0, "2,000 lines of noise are more than 4 KiB");
    log.close();
    let lines: usize = found(folder.path()).values().map(|text| text.matches("\ttwo\t").count()).sum();
    assert_eq!(lines, 2_000);
}

/// A crash in mid-file: what was flushed is there after the next start, a torn line is not, and whole gzip it is.
#[test]
fn what_a_crash_leaves_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let name = name::make("E1", "2025-11-24-16");
    let part = name::growing(folder.path(), &name);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(with_head(&[HOUR_16, HOUR_16]).as_bytes()).unwrap();
    encoder.flush().unwrap();
    encoder.write_all(b"2025-11-24\t16:59:59\ttorn").unwrap();
    encoder.flush().unwrap();
    let bytes = encoder.get_ref().clone();
    for cut in [bytes.len(), bytes.len() - 3] {
        fs::write(&part, &bytes[..cut]).unwrap();
        fs::write(name::mended(folder.path(), &name), "of a crash while it was mended").unwrap();
        assert_eq!(recovery::recover(&[folder.path().to_owned()].into()), 1);
        assert_eq!(found(folder.path()), [(name.clone(), with_head(&[HOUR_16, HOUR_16]))].into());
        fs::remove_file(folder.path().join(&name)).unwrap();
    }
    // Nothing in it, or the crash came after it had got its name.
    for (left, whole) in [(&b""[..], None), (&bytes[..5], None), (&bytes, Some("whole"))] {
        fs::write(&part, left).unwrap();
        whole.into_iter().for_each(|text| fs::write(folder.path().join(&name), text).unwrap());
        assert_eq!(recovery::recover(&[folder.path().to_owned()].into()), 0);
        assert!(!part.exists());
        assert_eq!(fs::read_to_string(folder.path().join(&name)).ok().as_deref(), whole);
    }
}

/// Two processes share a folder: what one still writes, the other leaves alone.
#[test]
fn what_is_still_written_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(&settings(folder.path()));
    log.write(&piece(&[(0, HOUR_16)])).unwrap();
    log.pages.values_mut().for_each(|page| page.flush().unwrap());
    assert_eq!(recovery::recover(&[folder.path().to_owned()].into()), 0);
    log.close();
    assert_eq!(found(folder.path()).into_values().collect::<Vec<_>>(), [with_head(&[HOUR_16])]);
}

/// What was flushed can be read although the process has not finished the file.
#[test]
fn a_second_later_lines_are_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(&settings(folder.path()));
    // The clock of this hour, so that it is not over.
    let line = format!(
        "{}:00:00\tnow",
        hour_of(SystemTime::now()).replacen('-', "/", 2).replacen('-', "\t", 1).replace('/', "-")
    );
    log.write(&piece(&[(0, &line)])).unwrap();
    log.tended -= TEND;
    assert!(log.tend().is_some(), "there will be more to do");
    let part =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_file());
    let mut text = Vec::new();
    let read = GzDecoder::new(File::open(part.unwrap()).unwrap()).read_to_end(&mut text);
    assert!(read.is_err(), "it has no end yet");
    assert_eq!(String::from_utf8(text).unwrap(), with_head(&[&line]));
}

/// The folder is deleted under it: nothing is lost, the file comes back with it.
#[test]
fn a_folder_that_vanishes_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("logs");
    let mut log = open(&settings(&inner));
    log.write(&piece(&[(0, HOUR_16)])).unwrap();
    fs::remove_dir_all(&inner).unwrap();
    log.write(&piece(&[(0, HOUR_16), (1, HOUR_16)])).unwrap();
    log.close();
    let texts: Vec<_> = found(&inner).into_values().collect();
    assert_eq!(texts, [with_head(&[HOUR_16, HOUR_16]), with_head(&[HOUR_16])]);
}

/// It cannot come back: what is lost is counted, and there is no attempt for every line.
#[test]
fn lines_without_a_file_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("logs");
    let mut log = open(&settings(&inner));
    fs::remove_dir_all(&inner).unwrap();
    fs::write(&inner, "in the way").unwrap();
    let lost = log.write(&piece(&[(0, HOUR_16); 5])).unwrap_err();
    assert_eq!(lost.lines, 5);
    fs::remove_file(&inner).unwrap();
    assert!(log.write(&piece(&[(0, HOUR_16)])).is_err(), "a second has not passed");
    log.shut = None;
    log.write(&piece(&[(0, HOUR_16)])).unwrap();
    // A distribution that nobody knows.
    assert_eq!(log.write(&piece(&[(9, HOUR_16), (0, HOUR_16)])).unwrap_err().lines, 1);
    log.close();
    assert_eq!(found(&inner).into_values().collect::<Vec<_>>(), [with_head(&[HOUR_16, HOUR_16])]);
}

/// A full disk: lines wait as long as there is room in memory, the others are counted, and when there is room on disk the
/// file is whole.
#[test]
fn a_full_disk_tears_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(&settings(folder.path()));
    log.write(&piece(&[(0, HOUR_16)])).unwrap();
    let page = log.pages.values_mut().next().unwrap();
    let disk = page.swap_file(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let (mut kept, mut lost) = (1, 0);
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..10_000 {
        let noise: String = (0..60).map(|_| random.alphanumeric()).collect();
        match log.write(&piece(&[(0, &format!("{HOUR_16}\t{noise}"))])) {
            Ok(()) => kept += 1,
            Err(Lost { lines, error }) => {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                lost += lines;
            }
        }
    }
    assert!(lost > 5_000 && kept > 100, "{lost} lost, {kept} kept");
    assert!(log.pages.values_mut().next().unwrap().finish().is_err());
    log.pages.values_mut().next().unwrap().swap_file(disk);
    thread::sleep(page::STUCK);
    log.close();
    let texts: Vec<_> = found(folder.path()).into_values().collect();
    let [text] = texts.as_slice() else { panic!("{}", texts.len()) };
    assert_eq!(text.matches("\tone").count(), kept);
    assert!(text.starts_with(page::HEADER) && text.ends_with('\n'));
}

/// Of many distributions no more than so many files are open.
#[test]
fn open_files_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(&settings(folder.path()));
    for n in 0..MOST_PAGES + 20 {
        let line = format!("2{:03}-01-01\t00:00:00\tn", n % 1_000);
        log.write(&piece(&[(0, &line)])).unwrap();
        assert!(log.pages.len() <= MOST_PAGES);
    }
    log.close();
    assert_eq!(found(folder.path()).len(), MOST_PAGES + 20);
}

/// Nor when the disk takes nothing, so that none of them can be finished: each takes memory, and hours go by.
#[test]
fn open_files_are_bounded_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open(&settings(folder.path()));
    let mut lost = 0;
    for n in 0..MOST_PAGES + MOST_ENDED + 20 {
        let line = format!("2{:03}-01-01\t00:00:00\tn", n % 1_000);
        lost += log.write(&piece(&[(0, &line)])).map_or_else(|lost| lost.lines, |()| 0);
        for page in log.pages.values_mut() {
            page.swap_file(OpenOptions::new().write(true).open("/dev/full").unwrap());
        }
    }
    assert!(log.pages.len() <= MOST_PAGES && log.ended.len() <= MOST_ENDED, "{}", log.pages.len());
    assert_eq!(lost, 20);
}
