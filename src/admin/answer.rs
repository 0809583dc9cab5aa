//! The answer to one admin request.

use std::error::Error;
use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::Full;

use super::{Admin, explain, invalidate};

pub(super) const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers `request`. hyper leaves out the body of an answer to HEAD.
pub(super) async fn answer<B>(admin: &Admin, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if !is_local(&request) {
        return error(StatusCode::FORBIDDEN, "the Host must be an IP address or localhost");
    }
    let known: fn(&Admin, &Request<B>) -> _ = match request.uri().path() {
        "/healthz" => |_, _| respond(StatusCode::OK, TEXT, "ok"),
        "/readyz" => |admin, _| readiness(admin),
        "/metrics" => metrics,
        "/explain" => explain::answer,
        "/invalidate" => return invalidate::answer(admin, request).await,
        _ => {
            let there = "no such path; there are /healthz, /readyz, /metrics, /explain and /invalidate";
            return error(StatusCode::NOT_FOUND, there);
        }
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return method_not_allowed("only GET and HEAD", "GET, HEAD");
    }
    known(admin, &request)
}

pub(super) fn method_not_allowed(message: &str, allowed: &'static str) -> Response<Full<Bytes>> {
    let mut refusal = error(StatusCode::METHOD_NOT_ALLOWED, message);
    refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    refusal
}

fn readiness(admin: &Admin) -> Response<Full<Bytes>> {
    let readiness = (admin.readiness)();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&readiness) {
        Ok(json) => respond(status, JSON, json),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "readiness cannot be written"),
    }
}

fn metrics<B>(admin: &Admin, request: &Request<B>) -> Response<Full<Bytes>> {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let (content_type, text) = admin.metrics.render(accept);
    let mut answer = respond(StatusCode::OK, content_type, text);
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    answer
}

pub(super) fn error(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    respond(status, JSON, serde_json::json!({ "error": message }).to_string())
}

pub(super) fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Against DNS rebinding: a web page can make its own name resolve to 127.0.0.1 and have a browser ask us, but
/// the browser then says that name in `Host`. Both the target and the one `Host` must be local names.
fn is_local<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    host.to_str().is_ok_and(is_local_name) && request.uri().host().is_none_or(is_local_name)
}

fn is_local_name(authority: &str) -> bool {
    let Ok(uri) = authority.parse::<Uri>() else {
        return false;
    };
    let (Some(host), true) = (uri.host(), uri.scheme().is_none()) else {
        return false;
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        for (name, local) in [
            ("127.0.0.1", true),
            ("127.0.0.1:9090", true),
            ("10.1.2.3:9090", true),
            ("[::1]", true),
            ("[::1]:9090", true),
            ("localhost", true),
            ("LocalHost:9090", true),
            ("evil.example", false),
            ("evil.example:9090", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("127.0.0.1@evil.example", false),
            ("http://127.0.0.1/", false),
            ("/127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_local_name(name), local, "{name}");
        }
    }
}
