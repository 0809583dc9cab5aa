//! An origin's answer: checked against what was asked, and stripped of what is none of the viewer's business.

use std::time::Duration;

use http::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, RANGE, RETRY_AFTER, SET_COOKIE, TRANSFER_ENCODING};
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::body::OriginBody;
use super::error::OriginError;
use super::pool::Dial;
use super::request::Ask;
use crate::clock::Timestamp;
use crate::semantics::hop;
use crate::semantics::range::{self, Spec};
use crate::semantics::targeted::CDN_CACHE_CONTROL;

/// Bytes of a response's header block (behaviour §2.4).
const MAX_HEAD: usize = 32_768;

/// An answer that is not an error: 2xx, or the 304 that was asked for.
#[derive(Debug)]
pub struct OriginResponse {
    pub status: StatusCode,
    /// As the viewer may see them.
    pub headers: HeaderMap,
    pub framing: Framing,
    pub received_at: Timestamp,
    pub timing: Timing,
    pub body: OriginBody,
}

/// How long it took, of the attempt that was answered (behaviour §9.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    pub dial: Dial,
    /// From the request's being sent.
    pub first_byte: Duration,
}

impl OriginResponse {
    /// Bytes of the body, if announced.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        }
    }
}

/// Is this head an answer to that question (RFC 9110 §15.3.7, §15.4.5)?
///
/// # Errors
/// What a truthful origin does not send.
pub fn check(ask: &Ask, status: StatusCode, headers: &HeaderMap) -> Result<(), OriginError> {
    // hyper's own limit is a buffer's size, which it may overshoot.
    if headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>() > MAX_HEAD {
        return Err(OriginError::HeadTooLarge);
    }
    let asked = ask.headers.get(RANGE).and_then(range::parse);
    match status {
        StatusCode::PARTIAL_CONTENT => match asked {
            None => Err(OriginError::InvalidResponse("206 without a range request")),
            Some(spec) => check_range(spec, headers),
        },
        StatusCode::NOT_MODIFIED if !is_conditional(&ask.headers) => {
            Err(OriginError::InvalidResponse("304 without a condition"))
        }
        _ => Ok(()),
    }
}

fn check_range(asked: Spec, headers: &HeaderMap) -> Result<(), OriginError> {
    let (first, last, total) =
        headers.get(CONTENT_RANGE).and_then(range::parse_content_range).ok_or(OriginError::WrongRange)?;
    let length_agrees =
        content_length(headers).is_none_or(|length| Some(length) == (last - first).checked_add(1));
    let begins_right = match asked {
        Spec::From(from) | Spec::FromTo(from, _) => first == from,
        Spec::Suffix(n) => total.is_none_or(|total| last.checked_add(1) == Some(total) && last - first < n),
    };
    let ends_right = match asked {
        Spec::FromTo(_, to) => last <= to,
        Spec::From(_) | Spec::Suffix(_) => true,
    };
    if length_agrees && begins_right && ends_right { Ok(()) } else { Err(OriginError::WrongRange) }
}

fn is_conditional(headers: &HeaderMap) -> bool {
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// `Content-Length`, if it is there once and is a number.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next()?.to_str().ok()?;
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    if digits && lengths.next().is_none() { length.parse().ok() } else { None }
}

/// How the end of a body is told (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    Chunked,
    /// By the end of the connection, which a lost one has, too.
    Close,
}

/// How the end of this answer's body is told; for a HEAD, the end of the body that a GET would have.
///
/// # Errors
/// Both kinds of framing at once, several lengths, or a coding that only the end of the connection ends: no origin
/// needs them, and whoever reads them otherwise than we do sees another body.
pub fn framing(status: StatusCode, headers: &HeaderMap) -> Result<Framing, OriginError> {
    // It has no body, whatever its fields say (RFC 9112 §6.3).
    if status == StatusCode::NO_CONTENT {
        return Ok(Framing::Length(0));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), headers.contains_key(CONTENT_LENGTH)) {
        (Some(_), true) => Err(OriginError::InvalidResponse("both Content-Length and Transfer-Encoding")),
        (Some(coding), false)
            if coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none() =>
        {
            Ok(Framing::Chunked)
        }
        (Some(_), false) => Err(OriginError::InvalidResponse("a transfer coding other than chunked")),
        (None, true) => content_length(headers)
            .map(Framing::Length)
            .ok_or(OriginError::InvalidResponse("Content-Length is not one number")),
        (None, false) => Ok(Framing::Close),
    }
}

/// The fields of a refusal that are kept: how long it holds (behaviour §8.1), and how long an object is of which a
/// range cannot be had. Copies: a value is a slice of the connection's read buffer.
#[must_use]
pub fn lasting(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in [CACHE_CONTROL, CDN_CACHE_CONTROL, EXPIRES, AGE, DATE, RETRY_AFTER, CONTENT_RANGE] {
        for value in headers.get_all(&name) {
            if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
                kept.append(name.clone(), copy);
            }
        }
    }
    kept
}

/// Removes what must not travel: hop-by-hop fields, cookies (none are ever forwarded, so none are for this viewer:
/// behaviour §5.6), and S3's own fields, which name keys, accounts and versions (s3 §2.2). User metadata stays.
pub fn sanitize(headers: &mut HeaderMap) {
    hop::strip(headers);
    headers.remove(SET_COOKIE);
    headers.remove(CONTENT_LENGTH); // said anew for what is sent
    let own: Vec<_> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-amz-") && !name.as_str().starts_with("x-amz-meta-"))
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn ask(fields: &[(&'static str, &'static str)]) -> Ask {
        Ask { headers: map(fields), ..Ask::get("/a".into()) }
    }

    #[test]
    fn only_an_answer_to_the_question_is_an_answer() {
        type Fields = &'static [(&'static str, &'static str)];
        let invalid = |why| Err(OriginError::InvalidResponse(why));
        let table: &[(Fields, u16, Fields, Result<(), OriginError>)] = &[
            (&[], 200, &[], Ok(())),
            (&[], 206, &[("content-range", "bytes 0-1/5")], invalid("206 without a range request")),
            (&[("range", "bytes=0-1")], 200, &[], Ok(())), // the whole instead (behaviour §6)
            (&[("range", "bytes=0-1")], 206, &[("content-range", "bytes 0-1/5")], Ok(())),
            (&[("range", "bytes=0-9")], 206, &[("content-range", "bytes 0-4/5")], Ok(())),
            (&[("range", "bytes=0-1")], 206, &[], Err(OriginError::WrongRange)),
            (
                &[("range", "bytes=0-1")],
                206,
                &[("content-range", "bytes 1-2/5")],
                Err(OriginError::WrongRange),
            ),
            (
                &[("range", "bytes=0-1")],
                206,
                &[("content-range", "bytes 0-2/5")],
                Err(OriginError::WrongRange),
            ),
            (
                &[("range", "bytes=0-1")],
                206,
                &[("content-range", "bytes 0-1/5"), ("content-length", "3")],
                Err(OriginError::WrongRange),
            ),
            (&[("range", "bytes=-2")], 206, &[("content-range", "bytes 3-4/5")], Ok(())),
            (
                &[("range", "bytes=-2")],
                206,
                &[("content-range", "bytes 2-3/5")],
                Err(OriginError::WrongRange),
            ),
            (&[], 304, &[], invalid("304 without a condition")),
            (&[("if-none-match", "\"1\"")], 304, &[], Ok(())),
        ];
        for (asked, status, answered, expected) in table {
            let status = StatusCode::from_u16(*status).unwrap();
            assert_eq!(
                check(&ask(asked), status, &map(answered)),
                *expected,
                "{asked:?} {status} {answered:?}"
            );
        }
    }

    #[test]
    fn an_end_is_told_in_one_way_or_not_at_all() {
        use Framing::*;
        type Fields = &'static [(&'static str, &'static str)];
        let table: &[(Fields, Option<Framing>)] = &[
            (&[("content-length", "5")], Some(Length(5))),
            (&[("transfer-encoding", "chunked")], Some(Chunked)),
            (&[("transfer-encoding", "Chunked")], Some(Chunked)),
            (&[], Some(Close)),
            // RFC 9112 §6.1, §6.3: what used to be stored although it was cut or lied about its length.
            (&[("transfer-encoding", "gzip")], None),
            (&[("transfer-encoding", "gzip, chunked")], None),
            (&[("content-length", "5"), ("transfer-encoding", "chunked")], None),
            (&[("content-length", "+5")], None),
            (&[("content-length", "5, 5")], None),
        ];
        for (fields, expected) in table {
            assert_eq!(framing(StatusCode::OK, &map(fields)).ok(), *expected, "{fields:?}");
        }
        assert_eq!(framing(StatusCode::NO_CONTENT, &map(&[])).ok(), Some(Length(0)));
    }

    #[test]
    fn a_head_may_not_be_larger_than_cloudfront_takes() {
        let fixed = "x: \r\n".len();
        let of = |length: usize| {
            let value = HeaderValue::try_from("v".repeat(length - fixed)).unwrap();
            check(&ask(&[]), StatusCode::OK, &HeaderMap::from_iter([(HeaderName::from_static("x"), value)]))
        };
        assert_eq!(of(MAX_HEAD), Ok(()));
        assert_eq!(of(MAX_HEAD + 1), Err(OriginError::HeadTooLarge)); // behaviour §2.4
    }

    #[test]
    fn the_largest_content_range_is_only_wrong() {
        let lie = map(&[("content-range", "bytes 0-18446744073709551615/*"), ("content-length", "5")]);
        let asked = ask(&[("range", "bytes=0-")]);
        assert_eq!(check(&asked, StatusCode::PARTIAL_CONTENT, &lie), Err(OriginError::WrongRange));
    }

    #[test]
    fn s3s_own_fields_do_not_reach_the_viewer() {
        let mut headers = map(&[
            ("x-amz-server-side-encryption-aws-kms-key-id", "arn:aws:kms:eu-west-1:111122223333:key/1"),
            ("x-amz-request-id", "R"),
            ("x-amz-id-2", "I"),
            ("x-amz-version-id", "V"),
            ("x-amz-meta-owner", "me"),
            ("set-cookie", "a=b"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-length", "5"),
            ("etag", "\"1\""),
        ]);
        sanitize(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["etag", "x-amz-meta-owner"]);
    }
}
