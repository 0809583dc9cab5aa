//! What files of the standard log are called (behaviour §12.8): `E2EXAMPLE.2025-11-24-16.RT4KCN4SGK9.gz`.

use std::path::{Path, PathBuf};

/// How many characters tell the files of one distribution and hour apart.
const UNIQUE: usize = 11;
const HOUR: &str = "0000-00-00-00";

/// A name that no other file has.
pub(super) fn make(distribution: &str, hour: &str) -> String {
    const CHARACTERS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let unique: String =
        (0..UNIQUE).map(|_| char::from(CHARACTERS[fastrand::usize(..CHARACTERS.len())])).collect();
    format!("{distribution}.{hour}.{unique}.gz")
}

/// The hour of a finished file, as its name says it. `None`: it is none.
#[must_use]
pub fn hour(name: &str) -> Option<&str> {
    let mut parts = name.strip_suffix(".gz")?.rsplitn(3, '.');
    let (unique, hour, distribution) = (parts.next()?, parts.next()?, parts.next()?);
    let is_hour = hour.len() == HOUR.len()
        && hour
            .bytes()
            .zip(HOUR.bytes())
            .all(|(byte, of)| if of == b'0' { byte.is_ascii_digit() } else { byte == of });
    let is_unique = unique.len() == UNIQUE
        && unique.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (is_hour && is_unique && !distribution.is_empty() && !name.starts_with('.')).then_some(hour)
}

/// Where a file is while it grows. Athena and Hive pass over names that begin with a dot, shippers of `*.gz` over its end.
pub(super) fn growing(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.part"))
}

/// The name that a growing file is to get. `None`: it is none.
pub(super) fn of_growing(hidden: &str) -> Option<&str> {
    let name = hidden.strip_prefix('.')?.strip_suffix(".part")?;
    hour(name).map(|_| name)
}

/// Where what is left of one is made whole.
pub(super) fn mended(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}.mend"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_hour() {
        let made = make("E2EXAMPLE", "2025-11-24-16");
        assert_eq!(hour(&made), Some("2025-11-24-16"), "{made}");
        assert_ne!(made, make("E2EXAMPLE", "2025-11-24-16"));
        let hidden = growing(Path::new(""), &made).display().to_string();
        assert_eq!((hour(&hidden), of_growing(&hidden)), (None, Some(&*made)));
        for (name, expected) in [
            ("EMLARXS9EXAMPLE.2019-11-14-20.RT4KCN4SGK9.gz", Some("2019-11-14-20")), // CloudFront's own example
            ("my.site.2019-11-14-20.RT4KCN4SGK9.gz", Some("2019-11-14-20")),
            (".2019-11-14-20.RT4KCN4SGK9.gz", None),
            ("E1.2019-11-14.RT4KCN4SGK9.gz", None),
            ("E1.2019-11-14-2x.RT4KCN4SGK9.gz", None),
            ("E1.2019-11-14-20.RT4KCN4SGK.gz", None),
            ("E1.2019-11-14-20.rt4kcn4sgk9.gz", None),
            ("E1.2019-11-14-20.RT4KCN4SGK9", None),
            ("access.log.1.gz", None),
        ] {
            assert_eq!(hour(name), expected, "{name}");
        }
    }
}
