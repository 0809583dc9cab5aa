//! Content codings, and which of them a viewer takes (RFC 9110 §8.4.1, §12.5.3).

use http::HeaderValue;
use http::header::ACCEPT_ENCODING;

use super::fields::Fields;

/// A coding that the edge knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Brotli,
}

impl Coding {
    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }

    /// As `Content-Encoding` says it.
    #[must_use]
    pub fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }
}

/// Does the request list `coding` by its name, and not with a weight of zero? `*` lists nothing by name. In doubt no:
/// what is not compressed can always be read.
#[must_use]
pub fn is_accepted(headers: &impl Fields, coding: Coding) -> bool {
    let mut listed = false;
    for member in headers.all(&ACCEPT_ENCODING).flat_map(|field| field.split(|&b| b == b',')) {
        let mut parts = member.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        if parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding.name().as_bytes())) {
            if parts.any(is_zero_weight) {
                return false;
            }
            listed = true;
        }
    }
    listed
}

/// `q=0`, `q=0.000` and the like.
fn is_zero_weight(parameter: &[u8]) -> bool {
    let Some((b'q' | b'Q', rest)) = parameter.split_first() else { return false };
    let Some(weight) = rest.trim_ascii_start().strip_prefix(b"=") else { return false };
    let weight = weight.trim_ascii_start();
    weight.contains(&b'0') && weight.iter().all(|b| b"0.".contains(b))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// RFC 9110 §12.5.3
    #[test]
    fn what_a_viewer_takes() {
        let table: &[(&[&'static str], bool, bool)] = &[
            (&[], false, false),
            (&[""], false, false),
            (&["gzip"], true, false),
            (&["br"], false, true),
            (&["gzip, deflate, br, zstd"], true, true),
            (&["GZIP,Br"], true, true),
            (&["gzip", "br"], true, true),
            (&["identity"], false, false),
            (&["*"], false, false),
            (&["gzipped, brotli, xbr"], false, false),
            (&["gzip;q=0"], false, false),
            (&["gzip;q=0.000, br;q=0.001"], false, true),
            (&["gzip ; Q = 0 , br;q=1.0"], false, true),
            (&["gzip;q=0, gzip"], false, false),
            (&["gzip, gzip;q=0"], false, false),
            (&["gzip;q=x, br;q="], true, true),
            (&["gzip;level=0"], true, false),
        ];
        for (fields, gzip, brotli) in table {
            let mut headers = HeaderMap::new();
            for field in *fields {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(field));
            }
            assert_eq!(is_accepted(&headers, Coding::Gzip), *gzip, "{fields:?}");
            assert_eq!(is_accepted(&headers, Coding::Brotli), *brotli, "{fields:?}");
        }
    }
}
