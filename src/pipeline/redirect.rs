//! From HTTP to HTTPS, as CloudFront does it (behaviour §2.1).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode};

use super::Answer;
use crate::body::Body;
use crate::edge::HttpsPort;
use crate::error::Refusal;
use crate::observe::record::ResultType;
use crate::semantics::view::View;

/// The redirect for a request that came over plain HTTP.
///
/// # Errors
/// [`Refusal::HttpsRequired`] for a method with a body over a protocol that knows no 307.
pub(super) fn to_https(view: &View<'_>, port: HttpsPort) -> Result<Answer, Refusal> {
    let status = match *view.method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ if super::is_http_1_0(view.version) => return Err(Refusal::HttpsRequired),
        _ => StatusCode::TEMPORARY_REDIRECT,
    };
    let location =
        HeaderValue::try_from(location(view, port)).map_err(|_| Refusal::Malformed("invalid target"))?;
    let mut response = Response::new(Body::Full(page(status)));
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    Ok(Answer { response, result: ResultType::Redirect })
}

/// Host, path and query as they were; the port by interface.md: a configured one, else the listener's when the viewer
/// named one, else none.
fn location(view: &View<'_>, port: HttpsPort) -> String {
    let port = match (port.public, view.host.port) {
        (Some(public), _) => Some(public),
        (None, Some(_)) => Some(port.listener),
        (None, None) => None,
    };
    let mut location = format!("https://{}", view.host.name);
    if let Some(port) = port.filter(|&port| port != 443) {
        location.push_str(&format!(":{port}"));
    }
    location.push_str(view.raw_path);
    if let Some(query) = view.query {
        location.push('?');
        location.push_str(query);
    }
    location
}

fn page(status: StatusCode) -> Bytes {
    let title = format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or_default());
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    .into()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::semantics::view;

    #[test]
    fn the_location_keeps_host_path_and_query() {
        let listener = |public| HttpsPort { listener: 8443, public };
        let table = [
            ("/a?b=c", "cdn.example.com", None, "https://cdn.example.com/a?b=c"),
            ("/a%20b/", "CDN.example.com:8080", None, "https://cdn.example.com:8443/a%20b/"),
            ("/a", "cdn.example.com:8080", Some(443), "https://cdn.example.com/a"),
            ("/a", "cdn.example.com", Some(9443), "https://cdn.example.com:9443/a"),
            ("/a?", "[::1]:8080", None, "https://[::1]:8443/a?"),
        ];
        for (target, host, public, expected) in table {
            let (parts, ()) =
                Request::builder().uri(target).header("host", host).body(()).unwrap().into_parts();
            let view = view::parse(&parts, false).unwrap();
            assert_eq!(location(&view, listener(public)), expected);
        }
    }
}
