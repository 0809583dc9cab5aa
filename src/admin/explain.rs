//! `GET /explain?url=…`: what a request would get, and what the cache has of it now.
//!
//! Further parameters: `method`, `header` (`Name: value`, any number of them), `viewer` (an address).

use std::net::IpAddr;

use bytes::Bytes;
use http::{Response, StatusCode, Uri};
use http_body_util::Full;
use percent_encoding::percent_decode_str;

use super::Admin;
use super::answer::{JSON, error, respond};

/// A request to explain, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub url: String,
    pub method: Option<String>,
    /// `Name: value`
    pub headers: Vec<String>,
    pub viewer: Option<IpAddr>,
}

pub(super) fn answer(admin: &Admin, uri: &Uri) -> Response<Full<Bytes>> {
    match asked(uri.query().unwrap_or_default()).and_then(|asked| (admin.explain)(&asked)) {
        Ok(json) => respond(StatusCode::OK, JSON, json),
        Err(why) => error(StatusCode::BAD_REQUEST, &why),
    }
}

fn asked(query: &str) -> Result<Asked, String> {
    let mut asked = Asked::default();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = percent_decode_str(value).decode_utf8().map_err(|_| format!("{name} is not UTF-8"))?;
        match name {
            "url" => asked.url = value.into_owned(),
            "method" => asked.method = Some(value.into_owned()),
            "header" => asked.headers.push(value.into_owned()),
            "viewer" => {
                let viewer = value.parse().map_err(|_| format!("viewer: {value:?} is no address"))?;
                asked.viewer = Some(viewer);
            }
            other => return Err(format!("no parameter {other:?}; there are url, method, header and viewer")),
        }
    }
    if asked.url.is_empty() { Err("url is missing".to_owned()) } else { Ok(asked) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_or_named() {
        let of = |query| asked(query).map_err(|why| why.to_string());
        let read = of(
            "url=https%3A%2F%2Fa%2Fb%3Fc%3D1&method=HEAD&header=A%3A%201&header=B%3A%202&viewer=192.0.2.1",
        )
        .unwrap();
        let headers = vec!["A: 1".to_owned(), "B: 2".to_owned()];
        let viewer = Some("192.0.2.1".parse().unwrap());
        assert_eq!(
            read,
            Asked { url: "https://a/b?c=1".into(), method: Some("HEAD".into()), headers, viewer }
        );
        for (query, words) in [
            ("", "url is missing"),
            ("uri=x", "no parameter \"uri\""),
            ("url=x&viewer=y", "is no address"),
            ("url=%ff", "url is not UTF-8"),
        ] {
            assert!(of(query).unwrap_err().contains(words), "{query}");
        }
    }
}
