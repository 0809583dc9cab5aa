//! Which codings does this viewer take, of those that the policy asks about (behaviour §4.3)?

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue, Version};

use crate::config::Encoding;
use crate::semantics::coding::{self, Coding};
use crate::semantics::fields::Fields;

/// What is left of the viewer's `Accept-Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalized {
    /// Nothing is asked: the field is a field like any other.
    #[default]
    Untouched,
    /// The viewer does not say, or speaks HTTP/1.0, for which nothing is compressed (behaviour §7.1).
    Absent,
    /// It names none that is enabled.
    Identity,
    Gzip,
    Brotli,
    Both,
}

/// Reads the viewer's field. `encoding` is the behaviour's.
#[must_use]
pub fn normalized(encoding: Encoding, version: Version, headers: &impl Fields) -> Normalized {
    if !encoding.gzip && !encoding.brotli {
        return Normalized::Untouched;
    }
    if version < Version::HTTP_11 || !headers.has(&ACCEPT_ENCODING) {
        return Normalized::Absent;
    }
    let takes = |enabled, coding| enabled && coding::is_accepted(headers, coding);
    match (takes(encoding.gzip, Coding::Gzip), takes(encoding.brotli, Coding::Brotli)) {
        (true, true) => Normalized::Both,
        (true, false) => Normalized::Gzip,
        (false, true) => Normalized::Brotli,
        (false, false) => Normalized::Identity,
    }
}

impl Normalized {
    /// The value in the cache key.
    #[must_use]
    pub fn in_key(self) -> Option<&'static str> {
        match self {
            Self::Untouched | Self::Absent | Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
            Self::Both => Some("br,gzip"),
        }
    }

    /// Makes `told` say what an origin that negotiates is told; whatever a policy put there gives way.
    pub fn tell(self, told: &mut HeaderMap) {
        let value = match self {
            Self::Untouched => return,
            Self::Absent => None,
            Self::Identity => Some("identity"),
            Self::Gzip | Self::Brotli | Self::Both => self.in_key(),
        };
        match value {
            Some(value) => told.insert(ACCEPT_ENCODING, HeaderValue::from_static(value)),
            None => told.remove(ACCEPT_ENCODING),
        };
    }

    /// What the edge may compress with, the best first (behaviour §7.1).
    #[must_use]
    pub fn codings(self) -> &'static [Coding] {
        match self {
            Self::Untouched | Self::Absent | Self::Identity => &[],
            Self::Gzip => &[Coding::Gzip],
            Self::Brotli => &[Coding::Brotli],
            Self::Both => &[Coding::Brotli, Coding::Gzip],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// behaviour §4.3: enabled, the viewer's field, in the key, told to the origin. `told` begins with what a policy
    /// would have forwarded.
    #[test]
    fn every_row_of_the_table() {
        let (both, gzip, brotli, none) = ((true, true), (true, false), (false, true), (false, false));
        let table = [
            (both, None, None, None),
            (gzip, None, None, None),
            (brotli, None, None, None),
            (both, Some("gzip, deflate, br"), Some("br,gzip"), Some("br,gzip")),
            (both, Some("gzip, deflate"), Some("gzip"), Some("gzip")),
            (both, Some("br"), Some("br"), Some("br")),
            (gzip, Some("gzip"), Some("gzip"), Some("gzip")),
            (gzip, Some("br, gzip"), Some("gzip"), Some("gzip")),
            (brotli, Some("br"), Some("br"), Some("br")),
            (brotli, Some("gzip, br"), Some("br"), Some("br")),
            (both, Some("deflate, zstd"), None, Some("identity")),
            (gzip, Some("br"), None, Some("identity")),
            (brotli, Some("gzip"), None, Some("identity")),
            (both, Some(""), None, Some("identity")),
            (both, Some("gzip;q=0, br;q=0.5"), Some("br"), Some("br")), // RFC 9110 §12.5.3
            (none, Some("gzip"), None, Some("raw")),
            (none, None, None, Some("raw")),
        ];
        for ((gzip, brotli), field, in_key, to_origin) in table {
            let encoding = Encoding { gzip, brotli, compress: true };
            let mut headers = HeaderMap::new();
            if let Some(field) = field {
                headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(field));
            }
            let found = normalized(encoding, Version::HTTP_2, &headers);
            assert_eq!(found.in_key(), in_key, "{encoding:?} {field:?}");
            let mut told = HeaderMap::new();
            told.insert(ACCEPT_ENCODING, HeaderValue::from_static("raw"));
            found.tell(&mut told);
            let told = told.get(ACCEPT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!(told, to_origin, "{encoding:?} {field:?}");
        }
    }

    /// behaviour §7.1
    #[test]
    fn brotli_comes_first_and_http_1_0_gets_nothing() {
        let encoding = Encoding { gzip: true, brotli: true, compress: true };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        for (version, expected) in [
            (Version::HTTP_09, &[][..]),
            (Version::HTTP_10, &[]),
            (Version::HTTP_11, &[Coding::Brotli, Coding::Gzip]),
            (Version::HTTP_2, &[Coding::Brotli, Coding::Gzip]),
        ] {
            let found = normalized(encoding, version, &headers);
            assert_eq!(found.codings(), expected, "{version:?}");
            assert_eq!(found.in_key().is_some(), !expected.is_empty(), "{version:?}");
        }
    }
}
