//! What concerns one connection only and must not travel further.

use http::header::{
    CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes the hop-by-hop fields, and every field that `Connection` lists (RFC 9110 §7.6.1). A peer can list any
/// name: set our own fields after this, not before.
pub fn strip(headers: &mut HeaderMap) {
    for name in listed(headers) {
        headers.remove(name);
    }
    let always = [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in always {
        headers.remove(name);
    }
}

/// Names in `Connection`; what cannot be a field's name (and so removes nothing) is passed over.
fn listed(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|field| field.as_bytes().split(|&b| b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn left_of(fields: &[(&'static str, &'static [u8])]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(ToString::to_string).collect();
        left.sort();
        left
    }

    #[test]
    fn removes_each_hop_by_hop_field() {
        // RFC 9110 §7.6.1
        for name in [
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ] {
            assert_eq!(left_of(&[(name, b"x"), (name, b"y"), ("etag", b"z")]), ["etag"], "{name}");
        }
    }

    #[test]
    fn removes_what_connection_lists() {
        let fields: &[(&str, &[u8])] = &[
            ("connection", b"close, X-One ,,bad name"),
            ("connection", b"x-two"),
            ("connection", b"\xff"),
            ("x-one", b"1"),
            ("x-one", b"1"),
            ("x-two", b"2"),
            ("x-three", b"3"),
            ("close", b"4"),
        ];
        assert_eq!(left_of(fields), ["x-three"]);
    }

    #[test]
    fn keeps_end_to_end_fields() {
        let fields: &[(&str, &[u8])] = &[("authorization", b"a"), ("cache-control", b"b"), ("via", b"c")];
        assert_eq!(left_of(fields), ["authorization", "cache-control", "via"]);
    }
}
