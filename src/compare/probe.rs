//! The questions that are asked of either endpoint.

use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;

/// A question about one URL. They are asked in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    Cold,
    Warm,
    Revalidated,
    Range,
    Conditional,
    Head,
    Compressed,
    Missing,
    Redirect,
}

impl Probe {
    pub const ALL: [Self; 9] = [
        Self::Cold,
        Self::Warm,
        Self::Revalidated,
        Self::Range,
        Self::Conditional,
        Self::Head,
        Self::Compressed,
        Self::Missing,
        Self::Redirect,
    ];

    /// A word for the heads of tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
            Self::Revalidated => "revalidated",
            Self::Range => "range",
            Self::Conditional => "conditional",
            Self::Head => "head",
            Self::Compressed => "compressed",
            Self::Missing => "missing",
            Self::Redirect => "redirect",
        }
    }

    /// What is asked.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Cold => "GET, as the first one comes",
            Self::Warm => "the same GET again, as often as there are samples",
            Self::Revalidated => "GET with Cache-Control: max-age=0, as a browser reloads",
            Self::Range => "GET with Range: bytes=1-1024",
            Self::Conditional => "GET with If-None-Match, or If-Modified-Since, of what the first GET said",
            Self::Head => "HEAD",
            Self::Compressed => "GET with Accept-Encoding: br, gzip; asked twice, the second is judged",
            Self::Missing => "GET of a name that nobody has made, in the same folder",
            Self::Redirect => "GET over plain HTTP",
        }
    }

    #[must_use]
    pub fn method(self) -> Method {
        if self == Self::Head { Method::HEAD } else { Method::GET }
    }

    /// What the question says beside its path. `cold`: the fields that the same endpoint answered the first one with.
    /// `None`: there is nothing to ask with.
    #[must_use]
    pub fn fields(self, cold: &HeaderMap) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let field = |name, value| Some(vec![(name, HeaderValue::from_static(value))]);
        match self {
            Self::Revalidated => field(CACHE_CONTROL, "max-age=0"),
            Self::Range => field(RANGE, "bytes=1-1024"),
            Self::Compressed => field(ACCEPT_ENCODING, "br, gzip"),
            Self::Conditional => {
                let tag = cold.get(ETAG).map(|tag| (IF_NONE_MATCH, tag.clone()));
                let date = || cold.get(LAST_MODIFIED).map(|date| (IF_MODIFIED_SINCE, date.clone()));
                Some(vec![tag.or_else(date)?])
            }
            Self::Cold | Self::Warm | Self::Head | Self::Missing | Self::Redirect => Some(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_needs_something_to_ask_with() {
        let map = |fields: &[(HeaderName, &'static str)]| {
            fields.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect::<HeaderMap>()
        };
        let date = "Tue, 24 Nov 2026 12:00:00 GMT";
        let table = [
            (map(&[(ETAG, "\"1\""), (LAST_MODIFIED, date)]), Some((IF_NONE_MATCH, "\"1\""))),
            (map(&[(LAST_MODIFIED, date)]), Some((IF_MODIFIED_SINCE, date))),
            (map(&[]), None),
        ];
        for (cold, expected) in table {
            let expected = expected.map(|(name, value)| vec![(name, HeaderValue::from_static(value))]);
            assert_eq!(Probe::Conditional.fields(&cold), expected, "{cold:?}");
        }
    }
}
