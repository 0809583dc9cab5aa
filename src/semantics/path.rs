//! Request paths: decoded once, encoded once, and normalised only to choose a behaviour.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but `A-Z a-z 0-9 - . _ ~` and `/` (s3 §1.2). RFC 3986 would let more stand; S3 would not sign it so.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Why a path cannot be the name of an object.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MalformedPath {
    #[error("a percent sign is not followed by two hexadecimal digits")]
    BadEscape,
    #[error("the decoded path is not UTF-8")]
    NotUtf8,
}

/// Percent-decodes `raw` exactly once (s3 §1.2). A `+` stays a plus.
///
/// # Errors
/// A `%` without two hexadecimal digits, or bytes that are not UTF-8 once decoded.
pub fn decode(raw: &str) -> Result<Cow<'_, str>, MalformedPath> {
    if !escapes_are_whole(raw) {
        return Err(MalformedPath::BadEscape);
    }
    percent_decode_str(raw).decode_utf8().map_err(|_| MalformedPath::NotUtf8)
}

/// The one encoding that S3 signs (s3 §1.2): for the request line and for the signer alike. Slashes stay.
#[must_use]
pub fn encode(decoded: &str) -> String {
    utf8_percent_encode(decoded, STRICT).to_string()
}

/// The path that patterns are tested on (behaviour §1.3): dot segments resolved as in RFC 3986 §5.2.4, then
/// duplicate slashes collapsed. Always begins with `/`. The origin is sent the path without this.
///
/// In that order, because to RFC 3986 the empty segment is one that `..` can remove: `/a//../b` is `/a/b`.
#[must_use]
pub fn normalize(decoded: &str) -> Cow<'_, str> {
    if is_normal(decoded) {
        return Cow::Borrowed(decoded);
    }
    let relative = decoded.strip_prefix('/').unwrap_or(decoded);
    let mut kept = Vec::new();
    let mut last = "";
    for segment in relative.split('/') {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
        last = segment;
    }
    let mut path = String::with_capacity(decoded.len() + 1);
    for segment in kept.into_iter().filter(|segment| !segment.is_empty()) {
        path.push('/');
        path.push_str(segment);
    }
    let names_directory = matches!(last, "" | "." | "..");
    if names_directory || path.is_empty() {
        path.push('/');
    }
    Cow::Owned(path)
}

fn is_normal(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|relative| {
        !path.contains("//") && relative.split('/').all(|segment| !matches!(segment, "." | ".."))
    })
}

fn escapes_are_whole(raw: &str) -> bool {
    let mut after_percent = raw.as_bytes().split(|&b| b == b'%');
    after_percent.next(); // what stands before the first one
    after_percent.all(|rest| matches!(rest, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decodes_exactly_once() {
        // s3 §1.2
        let table: &[(&str, Result<&str, MalformedPath>)] = &[
            ("/a.txt", Ok("/a.txt")),
            ("", Ok("")),
            ("/a%20b", Ok("/a b")),
            ("/a+b", Ok("/a+b")),
            ("/a%2Bb", Ok("/a+b")),
            ("/%2520", Ok("/%20")),
            ("/%2e%2E/", Ok("/../")),
            ("/%C3%A9", Ok("/é")),
            ("/é", Ok("/é")),
            ("/%00", Ok("/\0")),
            ("/%", Err(MalformedPath::BadEscape)),
            ("/%4", Err(MalformedPath::BadEscape)),
            ("/%g0", Err(MalformedPath::BadEscape)),
            ("/%%41", Err(MalformedPath::BadEscape)),
            ("/%4%31", Err(MalformedPath::BadEscape)),
            ("/%+1", Err(MalformedPath::BadEscape)),
            ("/%ff", Err(MalformedPath::NotUtf8)),
            ("/%C3", Err(MalformedPath::NotUtf8)),
        ];
        for (raw, expected) in table {
            assert_eq!(decode(raw).as_deref(), expected.as_ref().copied(), "{raw}");
        }
    }

    #[test]
    fn decoding_a_plain_path_copies_nothing() {
        assert!(matches!(decode("/plain/path"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn encodes_as_s3_signs() {
        // s3 §1.2
        let table = [
            ("/A-Z_a.z~0/9", "/A-Z_a.z~0/9"),
            ("/a b", "/a%20b"),
            ("/!*'()+,:;=@&$[]", "/%21%2A%27%28%29%2B%2C%3A%3B%3D%40%26%24%5B%5D"),
            ("/100%", "/100%25"),
            ("/%20", "/%2520"),
            ("/é\n?#", "/%C3%A9%0A%3F%23"),
            ("//./../", "//./../"),
        ];
        for (decoded, expected) in table {
            assert_eq!(encode(decoded), expected);
        }
    }

    #[test]
    fn normalizes_to_choose_a_behavior() {
        // behaviour §1.3, RFC 3986 §5.2.4
        let table = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/", "/a/"),
            ("", "/"),
            ("a/b", "/a/b"),
            ("*", "/*"),
            ("/a/b/..", "/a/"),
            ("/a/b/../", "/a/"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/c/./../../g", "/a/g"),
            ("/a/.", "/a/"),
            ("/./a", "/a"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("..", "/"),
            ("//", "/"),
            ("//a///b//", "/a/b/"),
            ("/a//../b", "/a/b"),
            ("/a/b//..", "/a/b/"),
            ("/...", "/..."),
            ("/.a/b..", "/.a/b.."),
        ];
        for (path, expected) in table {
            assert_eq!(normalize(path), expected, "{path}");
        }
    }

    #[test]
    fn normalizing_a_normal_path_copies_nothing() {
        for path in ["/", "/a/b", "/a/b/", "/.a/b.."] {
            assert!(matches!(normalize(path), Cow::Borrowed(_)), "{path}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(path in any::<String>()) {
            let encoded = encode(&path);
            prop_assert_eq!(decode(&encoded).unwrap(), path);
        }

        #[test]
        fn normal_paths_are_normal(path in "[./ab%]{0,24}") {
            let normal = normalize(&path);
            prop_assert!(normal.starts_with('/'));
            for rest in ["//", "/./", "/../"] {
                prop_assert!(!normal.contains(rest), "{normal}");
            }
            prop_assert!(!normal.ends_with("/.") && !normal.ends_with("/.."), "{normal}");
            prop_assert!(matches!(normalize(&normal), Cow::Borrowed(_)), "{normal}");
        }
    }
}
