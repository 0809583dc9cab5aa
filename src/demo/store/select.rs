//! Which part of an object a request asks for, and whether at all. Pure; an oracle beside the edge's own code, written
//! from S3's observed answers and not from RFC 9110, from which S3 departs.

use http::HeaderMap;
use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};

/// What `Range` selects (s3 §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selection {
    /// No range, or one that S3 ignores: several ranges, another unit, bad syntax.
    Whole,
    /// Bytes from `first` to `last`, both included.
    Part { first: usize, last: usize },
    /// 416
    Unsatisfiable,
}

pub(super) fn select(range: Option<&str>, len: usize) -> Selection {
    let Some((first, last)) =
        range.and_then(|r| r.strip_prefix("bytes=")).and_then(|spec| spec.split_once('-'))
    else {
        return Selection::Whole;
    };
    match (number(first), number(last)) {
        (Some(first), _) if first >= len && (last.is_empty() || number(last) >= Some(first)) => {
            Selection::Unsatisfiable
        }
        (Some(first), None) if last.is_empty() => Selection::Part { first, last: len - 1 },
        (Some(first), Some(last)) if first <= last => Selection::Part { first, last: last.min(len - 1) },
        (None, Some(0)) if first.is_empty() => Selection::Unsatisfiable,
        (None, Some(_)) if first.is_empty() && len == 0 => Selection::Unsatisfiable,
        (None, Some(suffix)) if first.is_empty() => {
            Selection::Part { first: len.saturating_sub(suffix), last: len - 1 }
        }
        _ => Selection::Whole,
    }
}

/// What the conditions of a request come to (s3 §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precondition {
    Met,
    /// 304
    NotModified,
    /// 412, with the header that failed.
    Failed(&'static str),
}

/// `etag` with its quotes; `modified` and `now` in seconds since the epoch.
pub(super) fn precondition(headers: &HeaderMap, etag: &str, modified: u64, now: u64) -> Precondition {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let seconds = |name| {
        let date = httpdate::parse_http_date(text(name)?).ok()?;
        Some(crate::clock::Timestamp::from_system_time(date).as_secs())
    };
    match (text(IF_MATCH), seconds(IF_UNMODIFIED_SINCE)) {
        (Some(tags), _) if !lists(tags, etag) => return Precondition::Failed("If-Match"),
        (None, Some(since)) if modified > since => return Precondition::Failed("If-Unmodified-Since"),
        _ => {}
    }
    match (text(IF_NONE_MATCH), seconds(IF_MODIFIED_SINCE)) {
        (Some(tags), _) if lists(tags, etag) => Precondition::NotModified,
        (None, Some(since)) if modified <= since && since <= now => Precondition::NotModified,
        _ => Precondition::Met,
    }
}

/// Digits only: `usize::from_str` would take a sign.
fn number(text: &str) -> Option<usize> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// S3 takes tags without quotes too.
fn lists(tags: &str, etag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    tags.split(',').any(|tag| tag.trim() == "*" || bare(tag) == bare(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_ten_byte_object() {
        use Selection::{Part, Unsatisfiable, Whole};
        let part = |first, last| Part { first, last };
        let cases = [
            (None, Whole),
            (Some("bytes=0-8"), part(0, 8)),
            (Some("bytes=1-1"), part(1, 1)),
            (Some("bytes=0-0"), part(0, 0)),
            (Some("bytes=1-"), part(1, 9)),
            (Some("bytes=0-100"), part(0, 9)),
            (Some("bytes=-2"), part(8, 9)),
            (Some("bytes=-9"), part(1, 9)),
            (Some("bytes=-15"), part(0, 9)),
            (Some("bytes=-0"), Unsatisfiable),
            (Some("bytes=100-200"), Unsatisfiable),
            (Some("bytes=10-"), Unsatisfiable),
            (Some("bytes=1-0"), Whole),
            (Some("bytes=200-100"), Whole),
            (Some("bytes=-"), Whole),
            (Some("0-1"), Whole),
            (Some("bytes=-1-"), Whole),
            (Some("bytes=0--1"), Whole),
            (Some("bytes=+0-1"), Whole),
            (Some("bytes=0-x"), Whole),
            (Some("bytes=100-x"), Whole),
            (Some("bytes=0-1,3-4,7-9"), Whole),
            (Some("lines=0-1"), Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(select(range, 10), expected, "{range:?}");
        }
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(select(Some(range), 0), Unsatisfiable, "{range} of nothing");
        }
    }

    #[test]
    fn conditions_have_s3s_precedence() {
        use Precondition::{Failed, Met, NotModified};
        const OLD: &str = "Thu, 01 Jan 1970 00:01:30 GMT"; // 90
        const SAME: &str = "Thu, 01 Jan 1970 00:01:40 GMT"; // 100
        const FUTURE: &str = "Thu, 01 Jan 1970 01:00:00 GMT"; // 3600
        let cases: &[(&[(&'static str, &str)], Precondition)] = &[
            (&[], Met),
            (&[("if-match", "\"e\"")], Met),
            (&[("if-match", "e")], Met),
            (&[("if-match", "*")], Met),
            (&[("if-match", "\"x\"")], Failed("If-Match")),
            (&[("if-unmodified-since", SAME)], Met),
            (&[("if-unmodified-since", OLD)], Failed("If-Unmodified-Since")),
            (&[("if-match", "\"e\""), ("if-unmodified-since", OLD)], Met),
            (&[("if-none-match", "\"e\"")], NotModified),
            (&[("if-none-match", "e")], NotModified),
            (&[("if-none-match", "\"x\", \"e\"")], NotModified),
            (&[("if-none-match", "\"x\"")], Met),
            (&[("if-modified-since", SAME)], NotModified),
            (&[("if-modified-since", OLD)], Met),
            (&[("if-modified-since", FUTURE)], Met),
            (&[("if-modified-since", "yesterday")], Met),
            (&[("if-none-match", "\"e\""), ("if-modified-since", OLD)], NotModified),
            (&[("if-none-match", "\"x\""), ("if-modified-since", SAME)], Met),
            (&[("if-match", "\"x\""), ("if-none-match", "\"e\"")], Failed("If-Match")),
        ];
        for (headers, expected) in cases {
            let headers = headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
            assert_eq!(precondition(&headers, "\"e\"", 100, 200), *expected, "{headers:?}");
        }
    }
}
