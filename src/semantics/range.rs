//! Byte ranges (RFC 9110 §14): one, as S3 understands it, or several in order, which only a cache can answer with less
//! than the whole (s3 §2.5, behaviour §6).

use http::HeaderValue;

/// A range as it was asked for, without knowing the length. Positions count bytes from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spec {
    /// `bytes=N-`
    From(u64),
    /// `bytes=N-M`, both included.
    FromTo(u64, u64),
    /// `bytes=-N`: the last N bytes.
    Suffix(u64),
}

/// What a range means for a body of known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// 206 with these bytes, both included; they lie within the body.
    Part { first: u64, last: u64 },
    /// 416.
    Unsatisfiable,
}

/// Reads a `Range` that asks for exactly one valid byte range. `None`: ignore the field and send the whole, because
/// it is malformed, in another unit, or has several ranges (behaviour §6, s3 §2.5).
///
/// Numbers too large for 64 bits are clamped: no body reaches there.
#[must_use]
pub fn parse(value: impl AsRef<[u8]>) -> Option<Spec> {
    let (unit, range) = std::str::from_utf8(value.as_ref()).ok()?.split_once('=')?;
    if unit.eq_ignore_ascii_case("bytes") { parse_spec(range) } else { None }
}

fn parse_spec(range: &str) -> Option<Spec> {
    match range.split_once('-')? {
        ("", length) => Some(Spec::Suffix(clamped(length)?)),
        (first, "") => Some(Spec::From(clamped(first)?)),
        (first, last) => {
            let (first, last) = (clamped(first)?, clamped(last)?);
            (first <= last).then_some(Spec::FromTo(first, last))
        }
    }
}

/// Ranges that are answered together; who asks for more gets the whole (RFC 9110 §14.2).
const MOST: usize = 16;

/// Reads a `Range` that asks for several valid ranges of a body of `length` bytes, ascending and apart from each other
/// (behaviour §6). Those that lie outside are left out. First and last byte of each, both included. `None`: one range,
/// or no such; ignore the field, or see [`parse`].
#[must_use]
pub fn parse_several(value: impl AsRef<[u8]>, length: u64) -> Option<Vec<(u64, u64)>> {
    let (unit, ranges) = std::str::from_utf8(value.as_ref()).ok()?.split_once('=')?;
    let specs: Vec<&str> = ranges.split(',').map(|spec| spec.trim_matches([' ', '\t'])).collect();
    if !unit.eq_ignore_ascii_case("bytes") || !(2..=MOST).contains(&specs.len()) {
        return None;
    }
    let mut parts: Vec<(u64, u64)> = Vec::with_capacity(specs.len());
    for spec in specs {
        let Selection::Part { first, last } = parse_spec(spec)?.select(length) else { continue };
        if parts.last().is_some_and(|(_, previous)| first <= *previous) {
            return None;
        }
        parts.push((first, last));
    }
    (!parts.is_empty()).then_some(parts)
}

impl Spec {
    /// Cuts the range out of a body of `length` bytes (RFC 9110 §14.1.2, s3 §2.5): the end is moved back to the
    /// body's, a suffix longer than the body is all of it, and nothing at all is unsatisfiable.
    #[must_use]
    pub fn select(self, length: u64) -> Selection {
        let (first, last) = match self {
            Self::From(first) => (first, u64::MAX),
            Self::FromTo(first, last) => (first, last),
            Self::Suffix(count) => (length.saturating_sub(count), u64::MAX),
        };
        if first >= length || first > last {
            return Selection::Unsatisfiable;
        }
        Selection::Part { first, last: last.min(length - 1) }
    }
}

/// `Content-Range` of a 206: bytes `first` to `last`, both included, of `length` (RFC 9110 §14.4).
#[must_use]
pub fn content_range(first: u64, last: u64, length: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes {first}-{last}/{length}")).expect("digits and punctuation")
}

/// `Content-Range` of a 416 (RFC 9110 §14.4).
#[must_use]
pub fn unsatisfied(length: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes */{length}")).expect("digits and punctuation")
}

/// Is it the `Content-Range` of a 416, and nothing else?
#[must_use]
pub fn is_unsatisfied(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .strip_prefix(b"bytes */")
        .is_some_and(|length| (1..=20).contains(&length.len()) && length.iter().all(u8::is_ascii_digit))
}

/// First and last byte, both included, and the length unless it is `*`. `None`: not in bytes, of a 416, or its
/// numbers contradict each other; then the body cannot be placed (RFC 9110 §14.4).
#[must_use]
pub fn parse_content_range(value: &HeaderValue) -> Option<(u64, u64, Option<u64>)> {
    let (unit, range) = value.to_str().ok()?.split_once(' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (positions, length) = range.split_once('/')?;
    let (first, last) = positions.split_once('-')?;
    let (first, last) = (exact(first)?, exact(last)?);
    let length = if length == "*" { None } else { Some(exact(length)?) };
    let consistent = first <= last && length.is_none_or(|length| last < length);
    consistent.then_some((first, last, length))
}

fn exact(digits: &str) -> Option<u64> {
    if are_digits(digits) { digits.parse().ok() } else { None }
}

fn clamped(digits: &str) -> Option<u64> {
    are_digits(digits).then(|| digits.parse().unwrap_or(u64::MAX))
}

/// `u64`'s own parser also takes a plus sign.
fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests;
