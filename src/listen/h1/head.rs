//! A request's head in HTTP/1.1, read in place (RFC 9112).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::semantics::fields::{Line, Lines};
use crate::semantics::view::Received;

/// Fields of a request. Whoever sends more is hyper's.
const MOST: usize = 100;

/// What stands at the beginning of a buffer.
#[derive(Debug)]
pub(super) enum Found<T> {
    /// Not all of it is here.
    Partial,
    /// Of `length` bytes; what came of it.
    Whole { length: usize, made: T },
    /// It has a body, wants another protocol or none of ours, or is malformed: for hyper, which knows what to do.
    Foreign,
}

/// Lets `make` have the head, if it is a plain one: HTTP/1.1, without a body, about nothing but its target; and whether
/// the viewer wants the connection to end with the answer.
pub(super) fn read<T>(buffer: &[u8], make: impl FnOnce(&Received<'_>, bool) -> T) -> Found<T> {
    let mut fields = [const { MaybeUninit::uninit() }; MOST];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(buffer, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Found::Partial,
        Err(_) => return Found::Foreign,
    };
    let (Some(method), Some(target), Some(1)) =
        (request.method.and_then(plain), request.path, request.version)
    else {
        return Found::Foreign;
    };
    let mut lines = [const { ("", &[] as &[u8]) }; MOST];
    let mut closes = false;
    for (line, field) in lines.iter_mut().zip(&*request.headers) {
        match what(field) {
            What::Plain => {}
            What::Closes => closes = true,
            What::Foreign => return Found::Foreign,
        }
        *line = (field.name, field.value);
    }
    let lines: &[Line<'_>] = &lines[..request.headers.len()];
    let received =
        Received { method: &method, version: Version::HTTP_11, authority: None, target, lines: Lines(lines) };
    Found::Whole { length, made: make(&received, closes) }
}

/// May a head end behind the first `looked` bytes, in which none does?
pub(super) fn may_end(buffer: &[u8], looked: usize) -> bool {
    let mut rest = &buffer[looked.saturating_sub(2).min(buffer.len())..];
    while let Some(at) = memchr::memchr(b'\n', rest) {
        rest = &rest[at + 1..];
        if rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
            return true;
        }
    }
    false
}

/// Methods that come without a body.
fn plain(method: &str) -> Option<Method> {
    match method {
        "GET" => Some(Method::GET),
        "HEAD" => Some(Method::HEAD),
        "OPTIONS" => Some(Method::OPTIONS),
        _ => None,
    }
}

enum What {
    Plain,
    /// The connection ends with the answer.
    Closes,
    Foreign,
}

/// Fields that are about the connection or a body.
fn what(field: &httparse::Header<'_>) -> What {
    let is = |name: &str| field.name.eq_ignore_ascii_case(name);
    // By their lengths: of the usual fields none is looked at twice.
    match field.name.len() {
        6 if is("expect") => What::Foreign,
        7 if is("upgrade") => What::Foreign,
        10 if is("connection") => connection(field.value),
        14 if is("content-length") && field.value != b"0" => What::Foreign,
        14 if is("http2-settings") => What::Foreign,
        16 if is("proxy-connection") => connection(field.value),
        17 if is("transfer-encoding") => What::Foreign,
        _ => What::Plain,
    }
}

fn connection(value: &[u8]) -> What {
    let mut closes = false;
    for member in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        if member.eq_ignore_ascii_case(b"close") {
            closes = true;
        } else if !(member.is_empty() || member.eq_ignore_ascii_case(b"keep-alive")) {
            return What::Foreign;
        }
    }
    if closes { What::Closes } else { What::Plain }
}

/// The same as a map, for the pipeline; its values are slices of `head`, from which it was read. `None`: it holds what the
/// `http` crate does not take.
pub(super) fn parts(head: &Bytes, received: &Received<'_>) -> Option<Parts> {
    let place = |part: &[u8]| head.slice_ref(part);
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = received.method.clone();
    parts.version = received.version;
    parts.uri = Uri::from_maybe_shared(place(received.target.as_bytes())).ok()?;
    parts.headers.reserve(received.lines.0.len());
    for (name, value) in received.lines.0 {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        parts.headers.append(name, HeaderValue::from_maybe_shared(place(value)).ok()?);
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::fields::Fields as _;

    fn found(head: &str) -> String {
        let told = |received: &Received<'_>, closes| {
            let closes = if closes { " closes" } else { "" };
            let fields =
                received.lines.lines().map(|(name, value)| format!("{name}={}", value.escape_ascii()));
            format!(
                "{} {} {}{closes}",
                received.method,
                received.target,
                fields.collect::<Vec<_>>().join(",")
            )
        };
        match read(head.as_bytes(), told) {
            Found::Partial => "partial".into(),
            Found::Foreign => "foreign".into(),
            Found::Whole { length, made } => format!("{made} +{}", head.len() - length),
        }
    }

    #[test]
    fn only_a_plain_request_is_taken() {
        let table = [
            ("GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a?b Host=h +0"),
            ("HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET", "HEAD / Host=h +3"),
            ("OPTIONS / HTTP/1.1\r\nHost:h \r\n\r\n", "OPTIONS / Host=h +0"),
            ("GET /a HTTP/1.1\r\nHost: h\r\n", "partial"),
            ("", "partial"),
            ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "GET / Connection=close closes +0"),
            (
                "GET / HTTP/1.1\r\nConnection: keep-alive, Close\r\n\r\n",
                "GET / Connection=keep-alive, Close closes +0",
            ),
            ("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "GET / Content-Length=0 +0"),
            // For hyper: what has a body or might have one, what changes the protocol, what is malformed.
            ("GET / HTTP/1.0\r\n\r\n", "foreign"),
            ("POST / HTTP/1.1\r\n\r\n", "foreign"),
            ("get / HTTP/1.1\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nCONTENT-LENGTH: 00\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\ntransfer-encoding:\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nConnection: x-private\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nA : b\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "foreign"), // obs-fold, RFC 9112 §5.2
            ("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "foreign"),
            ("GET / HTTP/1.1\r\nA: \0\r\n\r\n", "foreign"),
            ("GET  / HTTP/1.1\r\n\r\n", "foreign"),
        ];
        for (head, expected) in table {
            assert_eq!(found(head), expected, "{head:?}");
        }
        let many = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(found(&many(100)).starts_with("GET / a=b"));
        assert_eq!(found(&many(101)), "foreign");
    }

    /// In whatever pieces a head comes, its end is found in the last of them.
    #[test]
    fn an_end_is_seen_across_pieces() {
        for head in ["GET / HTTP/1.1\r\nhost: h\r\n\r\n", "GET / HTTP/1.1\nhost: h\n\n"] {
            for cut in 1..head.len() {
                let looked = &head.as_bytes()[..cut];
                assert!(may_end(head.as_bytes(), cut), "{cut}");
                assert!((1..cut).all(|before| !may_end(looked, before)), "{cut}");
            }
        }
    }

    #[test]
    fn the_parts_are_what_was_read() {
        let head = Bytes::from("GET /a?b HTTP/1.1\r\nHoSt: h\r\nX: 1\r\nx: \r\n\r\n");
        let Found::Whole { made: Some(parts), .. } = read(&head, |received, _| parts(&head, received)) else {
            panic!("whole");
        };
        assert_eq!((parts.method, parts.uri.to_string()), (Method::GET, "/a?b".to_owned()));
        let fields: Vec<_> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(fields, [("host", &b"h"[..]), ("x", b"1"), ("x", b"")]);
    }
}
