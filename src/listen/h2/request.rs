//! A request's head in HTTP/2's form (RFC 9113 §8.2, §8.3): checked as strictly as the RFC says, since what is lax here
//! becomes another request behind us.

use bytes::Bytes;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::hpack::{Fields, Name};
use super::priority::Priority;
use crate::semantics::fields::{Line, Lines};
use crate::semantics::view::Received;

/// Fields of a request that can be a hit; one with more goes the long way.
pub(super) const LINES: usize = 48;

/// Not a request (RFC 9113 §8.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where in a list of fields is what makes it a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    method: usize,
    scheme: Option<usize>,
    authority: Option<usize>,
    /// `None`: CONNECT.
    path: Option<usize>,
    /// The first field that is not a pseudo-header.
    first: usize,
    pub(super) content_length: Option<u64>,
    pub(super) priority: Priority,
}

/// A head that has been checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    fields: &'a Fields,
    shape: Shape,
}

impl Shape {
    /// Of a list that has not been kept.
    pub(super) const EMPTY: Self = Self {
        method: 0,
        scheme: None,
        authority: None,
        path: None,
        first: 0,
        content_length: None,
        priority: Priority { urgency: 3, incremental: false },
    };

    /// Checks a list, and joins its cookies (RFC 9113 §8.2.3).
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Malformed> {
        let (mut method, mut scheme, mut authority, mut path) = (None, None, None, None);
        let (mut content_length, mut priority, mut cookies) = (None, Priority::default(), 0);
        let mut first = None;
        for index in 0..fields.len() {
            let (name, text, value) = fields.get(index);
            if !fields.is_valid(index) {
                return Err(Malformed);
            }
            let place = match name {
                Name::METHOD => &mut method,
                Name::SCHEME => &mut scheme,
                Name::AUTHORITY => &mut authority,
                Name::PATH => &mut path,
                _ => {
                    regular(name, text, value)?;
                    first.get_or_insert(index);
                    match name {
                        // Two of them, or a list, are two readings of one body.
                        Name::CONTENT_LENGTH if content_length.is_some() => return Err(Malformed),
                        Name::CONTENT_LENGTH => content_length = Some(length(value)?),
                        Name::COOKIE => cookies += 1,
                        Name::OTHER if text == b"priority" => priority = priority.updated(value),
                        _ => {}
                    }
                    continue;
                }
            };
            // Each once, and before all others (RFC 9113 §8.3).
            if first.is_some() || place.replace(index).is_some() {
                return Err(Malformed);
            }
        }
        let method = method.ok_or(Malformed)?;
        let is_connect = fields.get(method).2 == b"CONNECT";
        let complete = if is_connect {
            scheme.is_none() && path.is_none() && authority.is_some() // RFC 9113 §8.5
        } else {
            scheme.is_some() && path.is_some_and(|path| !fields.get(path).2.is_empty())
        };
        if !complete {
            return Err(Malformed);
        }
        let first = first.unwrap_or(fields.len());
        if cookies > 1 {
            fields.join(Name::COOKIE, b"; ");
        }
        Ok(Self { method, scheme, authority, path, first, content_length, priority })
    }

    pub(super) fn head(self, fields: &Fields) -> Head<'_> {
        Head { fields, shape: self }
    }
}

/// Trailers hold no pseudo-headers, and keep the rules of all fields (RFC 9113 §8.1).
pub(super) fn check_trailers(fields: &Fields) -> Result<(), Malformed> {
    (0..fields.len()).try_for_each(|index| {
        let (name, text, value) = fields.get(index);
        if fields.is_valid(index) { regular(name, text, value) } else { Err(Malformed) }
    })
}

impl<'a> Head<'a> {
    fn value(&self, index: Option<usize>) -> Option<&'a [u8]> {
        index.map(|index| self.fields.get(index).2)
    }

    /// Those that are not pseudo-headers, each with one value.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let fields = self.fields;
        (self.shape.first..fields.len()).map(|index| {
            let (_, name, value) = fields.get(index);
            (name, value)
        })
    }

    /// The same request as hits are answered from. `None`: it is not one of those that can be a hit.
    pub(super) fn received<'l>(&self, lines: &'l mut [Line<'a>; LINES]) -> Option<Received<'l>>
    where
        'a: 'l,
    {
        static GET: Method = Method::GET;
        static HEAD: Method = Method::HEAD;
        let method = match self.fields.get(self.shape.method).2 {
            b"GET" => &GET,
            b"HEAD" => &HEAD,
            _ => return None,
        };
        if !matches!(self.value(self.shape.scheme)?, b"https" | b"http") {
            return None;
        }
        let mut count = 0;
        for index in self.shape.first..self.fields.len() {
            let (known, name, value) = self.fields.get(index);
            let name = match known.text() {
                Some(name) => name,
                None => text(name)?,
            };
            *lines.get_mut(count)? = (name, value);
            count += 1;
        }
        let authority = match self.value(self.shape.authority) {
            Some(authority) => Some(text(authority)?),
            None => None,
        };
        Some(Received {
            method,
            version: Version::HTTP_2,
            authority,
            target: text(self.value(self.shape.path)?)?,
            lines: Lines(&lines[..count]),
        })
    }

    /// The same request as the `http` crate has it.
    ///
    /// # Errors
    /// [`Malformed`]: a pseudo-header's value is not what its name says.
    pub(super) fn parts(&self) -> Result<Parts, Malformed> {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.version = Version::HTTP_2;
        parts.method = Method::from_bytes(self.fields.get(self.shape.method).2).map_err(|_| Malformed)?;
        parts.uri = self.uri()?;
        parts.headers.reserve(self.fields.len() - self.shape.first);
        // One allocation for all values.
        let size = self.fields().map(|(_, value)| value.len()).sum();
        let mut text = Vec::with_capacity(size);
        self.fields().for_each(|(_, value)| text.extend_from_slice(value));
        let mut text = Bytes::from(text);
        for (name, value) in self.fields() {
            let name = HeaderName::from_lowercase(name).map_err(|_| Malformed)?;
            let value = HeaderValue::from_maybe_shared(text.split_to(value.len())).map_err(|_| Malformed)?;
            parts.headers.append(name, value);
        }
        Ok(parts)
    }

    fn uri(&self) -> Result<Uri, Malformed> {
        let mut uri = http::uri::Parts::default();
        let authority = self.value(self.shape.authority).map(Authority::try_from);
        uri.authority = authority.transpose().map_err(|_| Malformed)?;
        let path = self.value(self.shape.path).map(PathAndQuery::try_from);
        uri.path_and_query = path.transpose().map_err(|_| Malformed)?;
        let scheme = self.value(self.shape.scheme).map(Scheme::try_from);
        // Without an authority there is no place for it.
        uri.scheme = scheme.transpose().map_err(|_| Malformed)?.filter(|_| uri.authority.is_some());
        Uri::from_parts(uri).map_err(|_| Malformed)
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// RFC 9113 §8.2.2: what is of one connection alone, and what is said before all fields.
fn regular(name: Name, text: &[u8], value: &[u8]) -> Result<(), Malformed> {
    match name {
        Name::OTHER => {
            let is_forbidden = match text {
                b"connection" | b"keep-alive" | b"proxy-connection" | b"upgrade" => true,
                b"te" => value != b"trailers",
                _ => false,
            };
            if is_forbidden { Err(Malformed) } else { Ok(()) }
        }
        Name::TRANSFER_ENCODING | Name::STATUS => Err(Malformed),
        Name::METHOD | Name::SCHEME | Name::AUTHORITY | Name::PATH => Err(Malformed),
        _ => Ok(()),
    }
}

/// Digits alone.
fn length(value: &[u8]) -> Result<u64, Malformed> {
    let text = std::str::from_utf8(value).map_err(|_| Malformed)?;
    let is_digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits).ok_or(Malformed)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::hpack::Decoder;
    use super::*;

    /// A block of literals.
    pub(in crate::listen::h2) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.extend([0, u8::try_from(name.len()).unwrap()]);
            block.extend(name.bytes());
            block.push(u8::try_from(value.len()).unwrap());
            block.extend(value.bytes());
        }
        block
    }

    fn list(given: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::new(1 << 16);
        Decoder::new().decode(&block(given), &mut fields).unwrap();
        fields
    }

    const USUAL: [(&str, &str); 4] =
        [(":method", "GET"), (":scheme", "https"), (":authority", "cdn.example.com"), (":path", "/a?b")];

    fn with(more: &[(&str, &str)]) -> Fields {
        list(&[&USUAL[..], more].concat())
    }

    #[test]
    fn a_request_becomes_what_the_pipeline_reads() {
        let mut fields = with(&[("cookie", "a=1"), ("x-a", "b"), ("cookie", "b=2"), ("priority", "u=1, i")]);
        let shape = Shape::read(&mut fields).unwrap();
        assert_eq!(shape.priority, Priority { urgency: 1, incremental: true });
        let parts = shape.head(&fields).parts().unwrap();
        assert_eq!((parts.method, parts.version), (Method::GET, Version::HTTP_2));
        assert_eq!(parts.uri, "https://cdn.example.com/a?b");
        let seen: Vec<_> = parts.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(seen, [("cookie", "a=1; b=2"), ("x-a", "b"), ("priority", "u=1, i")]);
    }

    #[test]
    fn a_host_alone_will_do() {
        let mut fields = list(&[USUAL[0], USUAL[1], USUAL[3], ("host", "cdn.example.com")]);
        let parts = Shape::read(&mut fields).unwrap().head(&fields).parts().unwrap();
        assert_eq!(
            (parts.uri, parts.headers["host"].to_str().unwrap()),
            ("/a?b".parse().unwrap(), "cdn.example.com")
        );
    }

    #[test]
    fn malformed_requests_are_told_apart() {
        // RFC 9113 §8.2, §8.3; RFC 9110 §8.6
        for more in [
            ("X-Upper", "a"),
            ("x a", "a"),
            ("", "a"),
            ("x:a", "a"),
            ("x-\u{e4}", "a"),
            ("x-a", "a\rb"),
            ("x-a", "a\nb"),
            ("x-a", "a\0b"),
            ("x-a", " a"),
            ("x-a", "a\t"),
            ("connection", "x-a"),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            ("te", "trailers, gzip"),
            ("content-length", ""),
            ("content-length", "+1"),
            ("content-length", "1, 1"),
            ("content-length", "18446744073709551616"),
            (":path", "/b"),
            (":status", "200"),
            (":protocol", "websocket"),
            (":x", "a"),
        ] {
            assert_eq!(Shape::read(&mut with(&[more])), Err(Malformed), "{more:?}");
        }
        for fields in [
            &[("x-a", "a"), USUAL[0], USUAL[1], USUAL[2], USUAL[3]][..],
            &USUAL[1..],
            &[USUAL[0], USUAL[2], USUAL[3]],
            &USUAL[..3],
            &[USUAL[0], USUAL[1], USUAL[2], (":path", "")],
            &[("content-length", "1"), ("content-length", "1")],
            &[(":method", "CONNECT"), USUAL[1], USUAL[2], USUAL[3]],
            &[(":method", "CONNECT")],
            &[],
        ] {
            assert_eq!(Shape::read(&mut list(fields)), Err(Malformed), "{fields:?}");
        }
        assert_eq!(
            Shape::read(&mut with(&[("content-length", "1"), ("content-length", "1")])),
            Err(Malformed)
        );
        for more in [("te", "trailers"), ("x-a", ""), ("x-a", "a\tb \u{e4}"), ("content-length", "007")] {
            assert!(Shape::read(&mut with(&[more])).is_ok(), "{more:?}");
        }
        let connect = [(":method", "CONNECT"), (":authority", "cdn.example.com:443")];
        let mut fields = list(&connect);
        let parts = Shape::read(&mut fields).unwrap().head(&fields).parts().unwrap();
        assert_eq!(parts.uri, "cdn.example.com:443");
    }

    #[test]
    fn values_that_the_pipeline_could_not_read_are_malformed() {
        for (at, value) in [(0, "G T"), (1, "h t"), (2, "a b"), (2, "a/b"), (3, "a b")] {
            let mut fields = USUAL;
            fields[at].1 = value;
            let mut fields = list(&fields);
            let parts = Shape::read(&mut fields).and_then(|shape| shape.head(&fields).parts());
            assert_eq!(parts.err(), Some(Malformed), "{value:?}");
        }
    }

    #[test]
    fn trailers_have_no_pseudo_headers() {
        assert_eq!(check_trailers(&list(&[("x-a", "a"), ("x-b", "")])), Ok(()));
        for field in [(":path", "/"), (":x", ""), ("X", "a"), ("connection", "close"), ("x", "\r")] {
            assert_eq!(check_trailers(&list(&[field])), Err(Malformed), "{field:?}");
        }
    }
}
