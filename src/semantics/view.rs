//! The viewer's request, read once and never changed again: everything that decides looks at this.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

use super::fields::{Fields, Lines};
use super::host::{self, Host};
use super::place::Place;

/// Bytes of scheme, host, path and query together (behaviour §2.4).
pub const MAX_URL: usize = 8_192;
/// Bytes of request line and header block together (behaviour §2.4).
pub const MAX_HEADERS: usize = 32_768;

/// A request that can be read in exactly one way.
#[derive(Debug)]
pub struct View<'a, F = HeaderMap> {
    pub method: &'a Method,
    pub host: Host<'a>,
    /// Begins with `/`; percent-encoded as the viewer wrote it.
    pub raw_path: &'a str,
    pub query: Option<&'a str>,
    /// It came over TLS.
    pub secure: bool,
    pub version: Version,
    pub headers: &'a F,
    pub viewer: Viewer<'a>,
}

/// What the edge knows of a viewer and the request does not say (behaviour §4.7). The pipeline fills it in.
#[derive(Debug, Clone, Default)]
pub struct Viewer<'a> {
    /// `None`: it came by plain HTTP.
    pub session: Option<Session>,
    /// The request that failed, path and query, when this one is for the page that takes an answer's place.
    pub failed: Option<(&'a str, Option<&'a str>)>,
    /// Looked up only for distributions that need it.
    pub place: Option<Box<Place<'a>>>,
}

/// A TLS session, in CloudFront's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// `TLSv1.3`
    pub protocol: &'static str,
    /// `TLS_AES_128_GCM_SHA256`
    pub cipher: &'static str,
    pub begun: Begun,
}

/// How a request's session came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    FullHandshake,
    SessionResumed,
    /// There was a request on the connection before.
    ConnectionReused,
}

/// Why a request cannot be taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    Malformed(&'static str),
    UrlTooLong,
    HeadersTooLarge,
}

/// Reads a request head. The limits come first, as nothing else of an oversized request is looked at
/// (behaviour §12.15).
///
/// # Errors
/// [`Unreadable`] for what RFC 9112 §3.2 or RFC 9113 §8.3 calls malformed, for a request that names two different
/// hosts, and for what exceeds the limits of behaviour §2.4.
pub fn parse(parts: &Parts, secure: bool) -> Result<View<'_>, Unreadable> {
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let host = of_limited(&parts.method, authority, target, &parts.headers, secure)?;
    if parts.uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return Err(Unreadable::Malformed("the target is not of this protocol"));
    }
    let raw_path = parts.uri.path();
    if !raw_path.starts_with('/') {
        return Err(Unreadable::Malformed("the target is not a path"));
    }
    Ok(View {
        method: &parts.method,
        host,
        raw_path,
        query: parts.uri.query(),
        secure,
        version: parts.version,
        headers: &parts.headers,
        viewer: Viewer::default(),
    })
}

/// A request head whose parts are still where they were received.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    pub method: &'a Method,
    pub version: Version,
    /// What HTTP/2 and HTTP/3 say beside the fields.
    pub authority: Option<&'a str>,
    /// Path and query, nothing else.
    pub target: &'a str,
    pub lines: Lines<'a>,
}

impl Received<'_> {
    /// Bytes in its HTTP/1.1 form.
    #[must_use]
    pub fn bytes(&self) -> usize {
        bytes(self.method, self.target, &self.lines) + host_line(self.version, self.authority)
    }
}

/// As [`parse`]. What it refuses need not be what [`parse`] would refuse: a target that [`http::Uri`] would not take, say,
/// may be among it.
///
/// # Errors
/// [`Unreadable`]
pub fn read<'a>(received: &'a Received<'a>, secure: bool) -> Result<View<'a, Lines<'a>>, Unreadable> {
    let Received { method, version, authority, target, ref lines } = *received;
    let host = of_limited(method, authority, target, lines, secure)?;
    if !target.starts_with('/') || !target.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        return Err(Unreadable::Malformed("the target is not a path"));
    }
    let (raw_path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let viewer = Viewer::default();
    Ok(View { method, host, raw_path, query, secure, version, headers: lines, viewer })
}

/// What may stand in a target without a second thought: visible ASCII but for what RFC 3986 has escaped.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x7f {
        byte += 1;
        plain[byte as usize] = byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#');
    }
    plain
};

/// The host, of a request within the limits.
fn of_limited<'a>(
    method: &Method,
    of_target: Option<&'a str>,
    target: &str,
    fields: &'a impl Fields,
    secure: bool,
) -> Result<Host<'a>, Unreadable> {
    let authority = authority(of_target, fields);
    let scheme = if secure { "https://" } else { "http://" };
    if scheme.len() + authority.map_or(0, str::len) + target.len() > MAX_URL {
        return Err(Unreadable::UrlTooLong);
    }
    if bytes(method, target, fields) > MAX_HEADERS {
        return Err(Unreadable::HeadersTooLarge);
    }
    let authority = authority.map_err(Unreadable::Malformed)?;
    host::parse(authority).map_err(|_| Unreadable::Malformed("invalid Host"))
}

impl<F: Fields> View<'_, F> {
    /// A body is announced.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.headers.has(&TRANSFER_ENCODING)
            || self.headers.first(&CONTENT_LENGTH).is_some_and(|length| length != b"0")
    }
}

/// The one host that the request names: `Host`, `:authority` or an absolute target, which must agree.
fn authority<'a>(of_target: Option<&'a str>, fields: &'a impl Fields) -> Result<&'a str, &'static str> {
    let mut hosts = fields.all(&HOST);
    let field =
        hosts.next().map(|value| std::str::from_utf8(value).map_err(|_| "invalid Host")).transpose()?;
    if hosts.next().is_some() {
        return Err("several Host fields");
    }
    match (of_target, field) {
        (Some(target), Some(field)) if !target.eq_ignore_ascii_case(field) => Err("Host and target differ"),
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err("no Host"),
    }
}

/// Bytes of a request head in its HTTP/1.1 form, whatever version it came by.
#[must_use]
pub fn head_bytes(parts: &Parts) -> usize {
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    bytes(&parts.method, target, &parts.headers) + host_line(parts.version, authority)
}

/// What HTTP/1.1 says in a field of its own.
fn host_line(version: Version, authority: Option<&str>) -> usize {
    match authority {
        Some(authority) if version >= Version::HTTP_2 => "host: \r\n".len() + authority.len(),
        _ => 0,
    }
}

fn bytes(method: &Method, target: &str, fields: &impl Fields) -> usize {
    const LINE: usize = "  HTTP/1.1\r\n\r\n".len();
    const FIELD: usize = ": \r\n".len();
    let fields: usize = fields.lines().map(|(name, value)| name.len() + value.len() + FIELD).sum();
    method.as_str().len() + target.len() + LINE + fields
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        use Unreadable::Malformed;
        type Fields = &'static [(&'static str, &'static str)];
        let table: &[(&str, Fields, Result<&str, Unreadable>)] = &[
            ("/a", &[("host", "Cdn.Example.com:8443")], Ok("cdn.example.com")),
            ("http://cdn.example.com/a", &[("host", "CDN.example.com")], Ok("cdn.example.com")),
            ("https://cdn.example.com/a", &[], Ok("cdn.example.com")), // HTTP/2: no Host field
            ("ftp://h/a", &[("host", "h")], Err(Malformed("the target is not of this protocol"))),
            ("/a", &[], Err(Malformed("no Host"))),
            ("/a", &[("host", "a"), ("host", "a")], Err(Malformed("several Host fields"))),
            ("http://evil/a", &[("host", "cdn.example.com")], Err(Malformed("Host and target differ"))),
            ("/a", &[("host", "user@cdn")], Err(Malformed("invalid Host"))),
            ("/a", &[("host", "")], Err(Malformed("invalid Host"))),
            ("*", &[("host", "cdn")], Err(Malformed("the target is not a path"))),
        ];
        for (uri, headers, expected) in table {
            let parts = parts(uri, headers);
            let host = parse(&parts, true).map(|view| view.host.name.to_string());
            assert_eq!(host, expected.map(str::to_owned), "{uri} {headers:?}");
        }
    }

    /// What answers hits reads a request as the pipeline does, or leaves it to it.
    #[test]
    fn a_received_request_is_read_alike() {
        let table = [
            ("/a?b=c", &[("Host", "Cdn.Example.com:8443"), ("X-A", "1")][..]),
            ("/", &[("host", "h")]),
            ("/%zz?", &[("host", "h")]),
            ("/a", &[]),
            ("/a", &[("host", "a"), ("Host", "a")]),
            ("/a\"b", &[("host", "h")]),
            ("/a#b", &[("host", "h")]),
            ("*", &[("host", "h")]),
        ];
        for (target, headers) in table {
            let lines: Vec<_> = headers.iter().map(|&(name, value)| (name, value.as_bytes())).collect();
            let (method, version) = (&Method::GET, Version::HTTP_11);
            let received = Received { method, version, authority: None, target, lines: Lines(&lines) };
            let Ok(view) = read(&received, true) else { continue };
            let parts = parts(target, headers);
            let other = parse(&parts, true).unwrap();
            assert_eq!((view.host, view.raw_path, view.query), (other.host, other.raw_path, other.query));
            assert_eq!(received.bytes(), head_bytes(&parts), "{target}");
        }
        for target in ["*", "a", "/a#b", "/a b", "/\u{e9}", "/a\"", "http://h/"] {
            let lines = [("host", &b"h"[..])];
            let (method, version) = (&Method::GET, Version::HTTP_11);
            let received = Received { method, version, authority: None, target, lines: Lines(&lines) };
            assert!(read(&received, true).is_err(), "{target}");
        }
    }

    /// behaviour §12.8 field 18
    #[test]
    fn a_request_is_as_long_by_any_version() {
        let mut parts = parts("/a", &[("host", "h.example")]);
        let expected = "GET /a HTTP/1.1\r\nhost: h.example\r\n\r\n".len();
        assert_eq!(head_bytes(&parts), expected);
        parts.headers.clear();
        parts.uri = "https://h.example/a".parse().unwrap();
        parts.version = Version::HTTP_2;
        assert_eq!(head_bytes(&parts), expected);
        let (method, version, authority) = (&Method::GET, Version::HTTP_3, Some("h.example"));
        let received = Received { method, version, authority, target: "/a", lines: Lines(&[]) };
        assert_eq!(received.bytes(), expected);
    }

    #[test]
    fn limits_are_cloudfronts() {
        // behaviour §2.4: the URL counts scheme, host, path and query.
        let fixed = "https://h/".len();
        let longest = format!("/{}", "a".repeat(MAX_URL - fixed));
        assert!(parse(&parts(&longest, &[("host", "h")]), true).is_ok());
        let too_long = format!("{longest}a");
        assert_eq!(parse(&parts(&too_long, &[("host", "h")]), true).unwrap_err(), Unreadable::UrlTooLong);
        assert!(parse(&parts(&too_long, &[("host", "h")]), false).is_ok(), "http:// is one byte shorter");

        // "GET / HTTP/1.1\r\n" + "host: h\r\n" + "x: …\r\n" + "\r\n"
        let fixed = 16 + 9 + 5 + 2;
        let largest = "v".repeat(MAX_HEADERS - fixed);
        assert!(parse(&parts("/", &[("host", "h"), ("x", &largest)]), true).is_ok());
        let too_large = format!("{largest}v");
        assert_eq!(
            parse(&parts("/", &[("host", "h"), ("x", &too_large)]), true).unwrap_err(),
            Unreadable::HeadersTooLarge
        );
    }

    #[test]
    fn a_body_is_seen_by_its_framing() {
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[("host", "h")], false),
            (&[("host", "h"), ("content-length", "0")], false),
            (&[("host", "h"), ("content-length", "5")], true),
            (&[("host", "h"), ("transfer-encoding", "chunked")], true),
        ];
        for (headers, expected) in table {
            assert_eq!(parse(&parts("/", headers), true).unwrap().has_body(), *expected, "{headers:?}");
        }
    }
}
