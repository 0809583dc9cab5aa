//! Fields as HTTP/1.1 writes them, in one piece: ready to be sent, and less than half of what a map of them would take.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{ALT_SVC, CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, SERVER};
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

/// `name: value\r\n` for each; names in lower case.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// The key, and then the fields.
    bytes: Bytes,
    /// Where the fields begin.
    begin: u32,
    etag: Range<u32>,
    content_type: Range<u32>,
    content_length: Option<u64>,
    has_date: bool,
    has_server: bool,
    has_alt_svc: bool,
}

/// Fields that are reckoned, or said by the edge itself, in each answer anew (behaviour §9.1).
const OF_EACH_ANSWER: [&str; 4] = ["age", "x-cache", "x-amz-cf-id", "x-amz-cf-pop"];

impl Text {
    /// Copies `headers`, but for those that each answer has of its own: values that come from a connection are slices of
    /// its read buffer, and would keep that alive.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let kept = || headers.iter().filter(|(name, _)| !OF_EACH_ANSWER.contains(&name.as_str()));
        let length = kept().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum();
        let mut bytes = BytesMut::with_capacity(length);
        let mut text = Self::default();
        for (name, value) in kept() {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            let begin = bytes.len();
            bytes.extend_from_slice(value.as_bytes());
            text.note(name, value, begin..bytes.len());
            bytes.extend_from_slice(b"\r\n");
        }
        text.bytes = bytes.freeze();
        text
    }

    /// The first of a name counts.
    fn note(&mut self, name: &HeaderName, value: &HeaderValue, place: Range<usize>) {
        let place = || offset(place.start)..offset(place.end);
        match *name {
            DATE => self.has_date = true,
            SERVER => self.has_server = true,
            ALT_SVC => self.has_alt_svc = true,
            ETAG if self.etag.is_empty() => self.etag = place(),
            CONTENT_TYPE if self.content_type.is_empty() => self.content_type = place(),
            CONTENT_LENGTH => {
                self.content_length = value.to_str().ok().and_then(|digits| digits.parse().ok())
            }
            _ => {}
        }
    }

    /// The same behind the key of what it belongs to: whoever has compared that finds what is to be sent right after it,
    /// where memory that no cache holds is not waited for once more.
    #[must_use]
    pub fn behind(self, key: &str) -> Self {
        Self { bytes: [key.as_bytes(), self.as_bytes()].concat().into(), begin: offset(key.len()), ..self }
    }

    /// What it stands behind; empty, if it does behind nothing.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.begin as usize]
    }

    /// All of it, to be sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.begin as usize..]
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.places().map(|(name, value)| {
            // Names are of ASCII.
            (std::str::from_utf8(&self.as_bytes()[name]).unwrap_or_default(), &self.as_bytes()[value])
        })
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<HeaderValue> {
        let name = name.as_str().as_bytes();
        self.places().find(|(of, _)| &self.as_bytes()[of.clone()] == name).map(|(_, value)| self.value(value))
    }

    #[must_use]
    pub fn etag(&self) -> Option<&[u8]> {
        self.at(&self.etag)
    }

    #[must_use]
    pub fn content_type(&self) -> Option<&[u8]> {
        self.at(&self.content_type)
    }

    /// What it says itself.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    #[must_use]
    pub fn has_date(&self) -> bool {
        self.has_date
    }

    #[must_use]
    pub fn has_server(&self) -> bool {
        self.has_server
    }

    #[must_use]
    pub fn has_alt_svc(&self) -> bool {
        self.has_alt_svc
    }

    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(24);
        for (name, value) in self.places() {
            if let Ok(name) = HeaderName::from_bytes(&self.as_bytes()[name]) {
                map.append(name, self.value(value));
            }
        }
        map
    }

    /// Of each line, where its name is and where its value.
    fn places(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let mut begin = 0;
        std::iter::from_fn(move || {
            let line = self.as_bytes().get(begin..)?;
            // Neither names nor values hold a line's end, nor names a colon.
            let (colon, end) = (memchr(b':', line)?, memchr(b'\n', line)?);
            let places = (begin..begin + colon, begin + colon + 2..begin + end - 1);
            begin += end + 1;
            Some(places)
        })
    }

    fn value(&self, place: Range<usize>) -> HeaderValue {
        let begin = self.begin as usize;
        HeaderValue::from_maybe_shared(self.bytes.slice(begin + place.start..begin + place.end))
            .expect("the bytes of a header value are a header value")
    }

    fn at(&self, place: &Range<u32>) -> Option<&[u8]> {
        self.as_bytes().get(place.start as usize..place.end as usize).filter(|value| !value.is_empty())
    }
}

/// Header blocks are far smaller than 4 GiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_what_http_1_1_sends() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "text/css"),
            ("x-a", ""),
            ("x-a", "b: c"),
            ("age", "5"),
            ("x-cache", "Hit from another"),
            ("etag", "\"1\""),
            ("content-length", "7"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let text = Text::of(&headers);
        let expected: &[u8] =
            b"content-type: text/css\r\nx-a: \r\nx-a: b: c\r\netag: \"1\"\r\ncontent-length: 7\r\n";
        assert_eq!(text.as_bytes(), expected);
        assert_eq!(text.etag(), Some(&b"\"1\""[..]));
        assert_eq!(text.content_type(), Some(&b"text/css"[..]));
        assert_eq!(text.content_length(), Some(7));
        assert_eq!((text.has_date(), text.has_server()), (false, false));
        assert_eq!(text.get(&ETAG).unwrap(), "\"1\"");
        assert_eq!(text.get(&SERVER), None);
    }

    #[test]
    fn a_key_before_it_is_none_of_its_fields() {
        let mut headers = HeaderMap::new();
        headers.append("etag", HeaderValue::from_static("\"1\""));
        headers.append("x-a", HeaderValue::from_static("b"));
        let text = Text::of(&headers);
        let behind = text.clone().behind("E1\n/x-a: c\r\n");
        assert_eq!((text.key(), behind.key()), (&b""[..], &b"E1\n/x-a: c\r\n"[..]));
        assert_eq!(behind.as_bytes(), text.as_bytes());
        assert_eq!(behind.etag(), text.etag());
        assert_eq!(behind.get(&HeaderName::from_static("x-a")).unwrap(), "b");
        assert_eq!(behind.to_map(), headers);
        assert!(behind.iter().eq(text.iter()));
        let another = behind.behind("E2");
        assert_eq!((another.key(), another.as_bytes()), (&b"E2"[..], text.as_bytes()));
    }

    proptest! {
        #[test]
        fn a_map_comes_back_whole(
            fields in proptest::collection::vec(("[a-z][a-z0-9-]{0,8}", "[ -~\t\u{80}-\u{ff}]{0,12}"), 0..12)
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in &fields {
                let name = HeaderName::try_from(name).unwrap();
                headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).unwrap());
            }
            for name in OF_EACH_ANSWER {
                headers.remove(name);
            }
            let text = Text::of(&headers);
            prop_assert_eq!(text.to_map(), headers.clone());
            let lines: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            prop_assert_eq!(text.iter().collect::<Vec<_>>(), lines);
        }
    }
}
