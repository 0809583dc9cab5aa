//! The answer to one admin request.

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};

use super::api::{self, Call, Refusal};
use super::{Admin, Caller, Readiness, explain, page, sigv4};
use crate::clock::Timestamp;

pub(super) const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const XML: &str = "text/xml";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Bytes of a request's body: a few hundred paths of 4,000 characters, or all 3,000 of some hundred.
const MAX_BODY: usize = 1 << 20;
const BODY_READ: Duration = Duration::from_secs(10);

/// Answers `request`; `is_local`: it came to a loopback address. hyper leaves out the body of an answer to HEAD.
pub(super) async fn answer<B>(admin: &Admin, request: Request<B>, is_local: bool) -> Response<Full<Bytes>>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let is_open = matches!(parts.uri.path(), "/healthz" | "/readyz" | "/metrics" | "/" | "/status.json");
    // A signature is for one host; where nothing is signed, the names that a page on the web can have are none.
    let is_named = admin.keys.is_some() && !(is_open && is_local);
    if !is_named && !is_local_host(&parts) {
        return error(StatusCode::FORBIDDEN, "the Host must be an IP address or localhost");
    }
    match admitted(admin, &parts, body, is_open).await {
        Ok((caller, body)) => respond_to(admin, &parts, &caller, &body),
        Err(refusal) => refuse(&refusal),
    }
}

/// Who asks, and the body, if it is of any interest.
async fn admitted<B>(admin: &Admin, parts: &Parts, body: B, is_open: bool) -> Result<(Caller, Bytes), Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Some(keys) = &admin.keys else {
        if !parts.uri.path().starts_with(api::PREFIX) {
            return Ok((Caller::Local, Bytes::new()));
        }
        refuse_pages(parts)?;
        return Ok((Caller::Local, read(body).await?));
    };
    let now = SystemTime::now();
    let claim = sigv4::Claim::read(parts, now);
    let claim = claim.and_then(|claim| {
        let key = keys.find(claim.access_key_id).ok_or_else(sigv4::unknown_key)?;
        Ok((claim, key))
    });
    match claim {
        // Nobody who has no key makes the edge read anything.
        Ok((claim, key)) => {
            let body = read(body).await?;
            if claim.is_signed_with(&key.secret, &body) {
                return Ok((Caller::Administrator(key.id), body));
            }
            keys.warn_of_wrong_secret(&key.id, Timestamp::from_system_time(now));
            if is_open { Ok((Caller::Unknown, Bytes::new())) } else { Err(sigv4::wrong_signature()) }
        }
        Err(_) if is_open => Ok((Caller::Unknown, Bytes::new())),
        Err(refusal) => Err(refusal),
    }
}

fn respond_to(admin: &Admin, parts: &Parts, caller: &Caller, body: &[u8]) -> Response<Full<Bytes>> {
    let known: fn(&Admin, &Parts, &Caller) -> _ = match parts.uri.path() {
        "/healthz" => |_, _, _| respond(StatusCode::OK, TEXT, "ok"),
        "/readyz" => |admin, _, caller| readiness(admin, caller),
        "/metrics" => |admin, parts, _| metrics(admin, &parts.headers),
        "/" => |admin, _, caller| page::page(admin, caller),
        "/status.json" => |admin, _, caller| page::json(admin, caller),
        "/explain" => |admin, parts, _| explain::answer(admin, &parts.uri),
        path if path.starts_with(api::PREFIX) => return call(admin, parts, caller, body),
        _ => {
            let there = "no such path; there are /, /status.json, /healthz, /readyz, /metrics, /explain and \
                         /2020-05-31/distribution";
            return error(StatusCode::NOT_FOUND, there);
        }
    };
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        let mut refusal = error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    known(admin, parts, caller)
}

/// CloudFront's API.
fn call(admin: &Admin, parts: &Parts, caller: &Caller, body: &[u8]) -> Response<Full<Bytes>> {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let call = Call {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        host: host.unwrap_or("localhost"),
        body,
        caller,
        now: Timestamp::from_system_time(SystemTime::now()),
    };
    let answered = match admin.api.answer(&call) {
        Ok(answered) => answered,
        Err(refusal) => return refuse(&refusal),
    };
    let mut response = respond(answered.status, XML, answered.body);
    let value = |text: String| HeaderValue::try_from(text).ok();
    let headers = response.headers_mut();
    headers.extend(value(request_id()).map(|id| (REQUEST_ID, id)));
    headers.extend(answered.etag.and_then(value).map(|etag| (header::ETAG, etag)));
    headers.extend(answered.location.and_then(value).map(|location| (header::LOCATION, location)));
    response
}

/// As CloudFront does.
fn refuse(refusal: &Refusal) -> Response<Full<Bytes>> {
    let id = request_id();
    let mut response = respond(refusal.status, XML, refusal.body(&id));
    let headers = response.headers_mut();
    headers.extend(HeaderValue::try_from(id).ok().map(|id| (REQUEST_ID, id)));
    headers.extend(refusal.allow.map(|allow| (header::ALLOW, HeaderValue::from_static(allow))));
    response
}

/// A page on the web can have a browser post to a local address, and needs not see the answer. Browsers say where such a
/// request comes from, and without asking first send only some kinds of content, or none.
fn refuse_pages(parts: &Parts) -> Result<(), Refusal> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let text = |name: &HeaderName| parts.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text(&header::ORIGIN).is_some() || text(&FETCH_SITE).is_some_and(|site| site != "none") {
        let message = "This API is not for pages on the web: the request has an Origin.";
        return Err(Refusal::forbidden("AccessDenied", message));
    }
    let kind = text(&header::CONTENT_TYPE).map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let is_xml =
        |kind: &str| ["application/xml", "text/xml"].iter().any(|xml| kind.eq_ignore_ascii_case(xml));
    if kind.is_none_or(is_xml) {
        return Ok(());
    }
    let message = "Content-Type must be application/xml, or left out.";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "InvalidArgument", message))
}

async fn read<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match tokio::time::timeout(BODY_READ, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        _ => Err(api::too_large("the body is over 1 MiB, or did not come to its end in 10 s")),
    }
}

/// A UUID (version 4), as CloudFront's are.
fn request_id() -> String {
    let bits = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Who has no key, where there are keys, is told what fails and not why.
fn readiness(admin: &Admin, caller: &Caller) -> Response<Full<Bytes>> {
    let Readiness { ready, mut checks } = (admin.readiness)();
    if *caller == Caller::Unknown {
        checks.iter_mut().for_each(|check| check.detail.clear());
    }
    let readiness = Readiness { ready, checks };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&readiness) {
        Ok(json) => respond(status, JSON, json),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "readiness cannot be written"),
    }
}

fn metrics(admin: &Admin, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
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
fn is_local_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    host.to_str().is_ok_and(is_local_name) && parts.uri.host().is_none_or(is_local_name)
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
