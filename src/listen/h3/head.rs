//! A request's fields, and what makes them malformed (RFC 9114 §4.1.2, §4.2, §4.3). Strict, so that a request is the same
//! request for this edge and for an HTTP/1.1 origin behind it.

use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, TE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, Method, Request, Version};

use super::qpack::is_of_connection;

/// There is no such request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// A request head in the making.
#[derive(Debug, Default)]
pub(super) struct Head {
    method: Option<Method>,
    scheme: Option<Scheme>,
    authority: Option<Authority>,
    path: Option<PathAndQuery>,
    /// A field has come that is no pseudo-header field.
    begun: bool,
    headers: HeaderMap,
    /// Viewers may send each cookie in a field of its own (RFC 9114 §4.2.1).
    cookies: Vec<u8>,
    length: Option<u64>,
}

/// A whole request head.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) parts: Parts,
    /// Bytes of the body, if they are announced.
    pub(super) length: Option<u64>,
}

impl Head {
    /// The next field.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        match name.strip_prefix(b":") {
            Some(name) => self.pseudo(name, value),
            None => self.regular(name, value),
        }
    }

    /// RFC 9114 §4.3: before all others, each once, and no others.
    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if self.begun {
            return Err(Malformed("a pseudo-header field after others"));
        }
        match name {
            b"method" => once(&mut self.method, Method::from_bytes(value).ok()),
            b"scheme" => once(&mut self.scheme, Scheme::try_from(value).ok()),
            b"authority" => once(&mut self.authority, Authority::try_from(value).ok()),
            b"path" => once(&mut self.path, path(value)),
            _ => Err(Malformed("an unknown pseudo-header field")),
        }
    }

    fn regular(&mut self, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
        self.begun = true;
        let (name, value) = field(name, value)?;
        match name {
            COOKIE => {
                if !self.cookies.is_empty() {
                    self.cookies.extend_from_slice(b"; ");
                }
                self.cookies.extend_from_slice(value.as_bytes());
                return Ok(());
            }
            CONTENT_LENGTH => once(&mut self.length, length(&value))?,
            TE if !value.as_bytes().eq_ignore_ascii_case(b"trailers") => {
                return Err(Malformed("TE other than trailers"));
            }
            _ => {}
        }
        self.headers.append(name, value);
        Ok(())
    }

    /// All fields are there.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(super) fn finish(mut self) -> Result<Asked, Malformed> {
        let method = self.method.ok_or(Malformed("no :method"))?;
        if method == Method::CONNECT {
            if self.scheme.is_some() || self.path.is_some() || self.authority.is_none() {
                return Err(Malformed("CONNECT is to an authority alone")); // RFC 9114 §4.4
            }
        } else {
            if self.scheme.is_none() || self.path.is_none() {
                return Err(Malformed("no :scheme or no :path"));
            }
            if self.authority.is_none() && !self.headers.contains_key(HOST) {
                return Err(Malformed("neither :authority nor Host"));
            }
        }
        if !self.cookies.is_empty() {
            let cookies = HeaderValue::from_bytes(&self.cookies).map_err(|_| Malformed("a field's value"))?;
            self.headers.insert(COOKIE, cookies);
        }
        let mut target = http::uri::Parts::default();
        // A target without an authority has no scheme, either: the Host field says where.
        target.scheme = self.scheme.filter(|_| self.authority.is_some());
        (target.authority, target.path_and_query) = (self.authority, self.path);
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = method;
        parts.uri = Uri::from_parts(target).map_err(|_| Malformed("no target"))?;
        parts.version = Version::HTTP_3;
        parts.headers = self.headers;
        Ok(Asked { parts, length: self.length })
    }
}

/// Checks a field of a trailer section, which goes no further (behaviour §4.5).
///
/// # Errors
/// [`Malformed`]: RFC 9114 §4.3 allows no pseudo-header fields there.
pub(super) fn trailer(name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    field(name, value).map(drop)
}

/// RFC 9114 §4.2: lower-case names, none about a connection; RFC 9110 §5.5: values without space around them.
fn field(name: &[u8], value: &[u8]) -> Result<(HeaderName, HeaderValue), Malformed> {
    let name = HeaderName::from_lowercase(name).map_err(|_| Malformed("a field's name"))?;
    if is_of_connection(name.as_str()) {
        return Err(Malformed("a field about the connection"));
    }
    let around = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if around(value.first()) || around(value.last()) {
        return Err(Malformed("space around a field's value"));
    }
    let value = HeaderValue::from_bytes(value).map_err(|_| Malformed("a field's value"))?;
    Ok((name, value))
}

/// `None` among the values: it is not valid.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), Malformed> {
    let value = value.ok_or(Malformed("a value that is not valid"))?;
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed("a field twice that may be there once")),
    }
}

/// Not empty, and without a fragment, which the library would take off (RFC 9114 §4.3.1).
fn path(value: &[u8]) -> Option<PathAndQuery> {
    let whole = (value.starts_with(b"/") || value == b"*") && !value.contains(&b'#');
    PathAndQuery::try_from(value).ok().filter(|_| whole)
}

/// Digits alone: no sign, no list.
fn length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn read(fields: Pairs<'_>) -> Result<Asked, Malformed> {
        let mut head = Head::default();
        for (name, value) in fields {
            head.push(name.as_bytes(), value.as_bytes())?;
        }
        head.finish()
    }

    const GET: Pairs<'_> =
        &[(":method", "GET"), (":scheme", "https"), (":authority", "cdn.example.com"), (":path", "/a?b")];

    #[test]
    fn a_request_is_what_its_fields_say() {
        let mut fields = GET.to_vec();
        fields.extend([("x-a", "1"), ("cookie", "a=1"), ("x-a", "2"), ("cookie", "b=2"), ("te", "trailers")]);
        let Asked { parts, length } = read(&fields).unwrap();
        assert_eq!((parts.method, parts.version, length), (Method::GET, Version::HTTP_3, None));
        assert_eq!(parts.uri, "https://cdn.example.com/a?b");
        assert_eq!(parts.headers["cookie"], "a=1; b=2"); // RFC 9114 §4.2.1
        assert_eq!(parts.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);

        let by_host = [
            (":method", "PUT"),
            (":scheme", "https"),
            (":path", "/a"),
            ("host", "h"),
            ("content-length", "5"),
        ];
        let Asked { parts, length } = read(&by_host).unwrap();
        assert_eq!((parts.uri, length), (Uri::from_static("/a"), Some(5)));
        assert!(read(&[(":method", "CONNECT"), (":authority", "h:443")]).is_ok());
    }

    #[test]
    fn malformed_requests_are_none() {
        // RFC 9114 §4.1.2, §4.2, §4.3, §4.4, §10.3
        let after: [Pairs<'_>; 22] = [
            &[(":method", "GET")],
            &[(":path", "/b")],
            &[(":authority", "evil")],
            &[(":scheme", "https")],
            &[(":status", "200")],
            &[(":protocol", "websocket")],
            &[("x", "1"), (":x", "1")],
            &[("cookie", "a=1"), (":authority", "h")],
            &[("X-Upper", "1")],
            &[("", "1")],
            &[("x y", "1")],
            &[("connection", "close")],
            &[("transfer-encoding", "chunked")],
            &[("keep-alive", "1")],
            &[("proxy-connection", "close")],
            &[("upgrade", "h2c")],
            &[("te", "gzip")],
            &[("content-length", "5"), ("content-length", "5")],
            &[("content-length", "5, 5")],
            &[("content-length", "+5")],
            &[("x", " 1")],
            &[("x", "a\r\nhost: evil")],
        ];
        for more in after {
            let fields = [GET, more].concat();
            assert!(read(&fields).is_err(), "{more:?}");
        }
        let whole: [Pairs<'_>; 14] = [
            &[(":method", "GET"), (":scheme", "https"), (":authority", "h"), ("x", ""), (":path", "/")],
            &[
                (":method", "GET"),
                (":scheme", "https"),
                (":authority", "h"),
                ("cookie", "a=1"),
                (":path", "/"),
            ],
            &[(":method", "GET"), (":scheme", "https"), (":authority", "h"), ("cookie", ""), (":path", "/")],
            &[(":scheme", "https"), (":authority", "h"), (":path", "/")],
            &[(":method", "GET"), (":authority", "h"), (":path", "/")],
            &[(":method", "GET"), (":scheme", "https"), (":authority", "h")],
            &[(":method", "GET"), (":scheme", "https"), (":path", "/")],
            &[(":method", "GET"), (":scheme", "https"), (":authority", ""), (":path", "/")],
            &[(":method", "GET"), (":scheme", "https"), (":authority", "h"), (":path", "")],
            &[(":method", "GET"), (":scheme", "https"), (":authority", "h"), (":path", "a")],
            &[(":method", "GET"), (":scheme", "https"), (":authority", "h"), (":path", "/a#b")],
            &[(":method", "GET"), (":scheme", "https"), (":authority", "h"), (":path", "/a b")],
            &[(":method", "G T"), (":scheme", "https"), (":authority", "h"), (":path", "/")],
            &[(":method", "CONNECT"), (":scheme", "https"), (":authority", "h"), (":path", "/")],
        ];
        for fields in whole {
            assert!(read(fields).is_err(), "{fields:?}");
        }
        assert!(trailer(b"x-checksum", b"1").is_ok());
        assert!(trailer(b":path", b"/").is_err());
        assert!(trailer(b"transfer-encoding", b"chunked").is_err());
    }
}
