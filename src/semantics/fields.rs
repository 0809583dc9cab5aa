//! The fields of a request, however they are kept: what the pipeline reads is an [`http::HeaderMap`]; what answers hits
//! reads the lines where they were received.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Names are compared without regard to case; values are bytes, without the spaces around them.
pub trait Fields {
    /// Every line, those of one name in the order in which they came.
    fn lines(&self) -> impl Iterator<Item = (&str, &[u8])>;

    /// The values of one name, in their order.
    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]>;

    /// The first value of a name.
    fn first<'a>(&'a self, name: &'a HeaderName) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Is there any of this name?
    fn has(&self, name: &HeaderName) -> bool {
        self.first(name).is_some()
    }

    /// The value of a name that comes exactly once.
    fn single<'a>(&'a self, name: &'a HeaderName) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// All of them as a map; what cannot be a field's name or value is left out.
    fn to_map(&self) -> HeaderMap {
        let lines = self.lines().filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
        });
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(name, value);
        }
        map
    }
}

impl Fields for HeaderMap {
    fn lines(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn first<'a>(&'a self, name: &'a HeaderName) -> Option<&'a [u8]> {
        self.get(name).map(HeaderValue::as_bytes)
    }

    fn to_map(&self) -> HeaderMap {
        self.clone()
    }
}

/// Lines as they were received. A request has few, so they are searched from the first to the last.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a>(pub &'a [Line<'a>]);

/// One field: its name in any case, and its value.
pub type Line<'a> = (&'a str, &'a [u8]);

impl Fields for Lines<'_> {
    fn lines(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().copied()
    }

    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_str();
        self.0.iter().filter(move |(of, _)| of.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, COOKIE, HOST};

    use super::*;

    const LINES: [Line<'static>; 4] =
        [("Host", b"h"), ("cookie", b"a=1"), ("COOKIE", b"b=2"), ("x y", b"no name")];

    /// Whatever is asked, the lines and a map of them say the same.
    #[test]
    fn lines_answer_like_a_map() {
        let lines = Lines(&LINES);
        let map = lines.to_map();
        assert_eq!(map.len(), 3, "what is no name is left out");
        for name in [&HOST, &COOKIE, &ACCEPT] {
            assert_eq!(lines.first(name), map.first(name), "{name}");
            assert_eq!(lines.single(name), map.single(name), "{name}");
            assert_eq!(lines.has(name), map.has(name), "{name}");
            assert!(lines.all(name).eq(map.all(name)), "{name}");
        }
        assert_eq!(lines.single(&COOKIE), None);
        assert_eq!(lines.first(&COOKIE), Some(&b"a=1"[..]));
    }
}
