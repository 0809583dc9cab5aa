//! What of a viewer's request is an origin told that is not a bucket (behaviour §4.4, §4.5)?

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE, HOST, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use super::{collapse, cookies, forward, key, query, viewer_header};
use crate::config::{Behavior, OriginRequestPolicy, Selection};
use crate::early::{EARLY_DATA, Early};
use crate::interim::Interims;
use crate::origin::request::Told;
use crate::semantics::hop;
use crate::semantics::view::View;

/// This edge's kind in `CDN-Loop` (RFC 8586).
const CDN_ID: &str = "edgeseal";
/// So many edges may stand in one chain (behaviour §1.5).
const LONGEST_CHAIN: usize = 2;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_AMZ_CF_ID: HeaderName = HeaderName::from_static("x-amz-cf-id");
const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// The edge's own part in a request on its way to an origin.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    pub viewer: SocketAddr,
    pub request_id: &'a str,
    /// No other edge has it.
    pub node: &'a str,
    /// [`crate::config::Identity::name`]
    pub name: &'a str,
    /// `None`: the viewer cannot be sent 1xx answers.
    pub interims: Option<&'a Arc<Interims>>,
    /// `None`: the viewer's handshake was over when the request came, or is by now.
    pub early: Option<&'a Early>,
}

/// The request has been here already, or there are too many edges in front of this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loops;

/// `raw_path` is the viewer's, but for the root.
///
/// # Errors
/// [`Loops`]: the answer would wait for itself (RFC 8586), or the chain is too long (behaviour §1.5).
pub fn told(behavior: &Behavior, view: &View<'_>, raw_path: &str, hop: Hop<'_>) -> Result<Told, Loops> {
    if loops(view.headers, hop.node) {
        return Err(Loops);
    }
    let request = behavior.origin_request_policy.as_deref();
    let mut headers = taken(behavior, view);
    let no_cookies = Selection::None;
    let by_request = request.map_or(&no_cookies, |policy| &policy.cookies);
    if let Some(cookie) = cookies::forwarded(view.headers, &behavior.cache_policy.cookies, by_request) {
        headers.insert(COOKIE, cookie);
    }
    for &header in forward::made(behavior) {
        let value = viewer_header::value(header, view, hop.viewer);
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(&*value).ok()) {
            headers.insert(HeaderName::from_static(header.name()), value);
        }
    }
    add_hop(&mut headers, view, hop);
    Ok(Told {
        path: raw_path.to_owned(),
        query: query::as_written(view.query, behavior),
        headers,
        host: selects(behavior, request, &HOST).then(|| host(view)).flatten(),
        secure: view.secure,
        with_cookies: !collapse::may_share(behavior),
    })
}

/// The viewer's own fields, as far as a policy takes them or behaviour §4.5 sends them without one.
fn taken(behavior: &Behavior, view: &View<'_>) -> HeaderMap {
    let request = behavior.origin_request_policy.as_deref();
    let mut fields = view.headers.clone();
    hop::strip(&mut fields);
    let mut told = HeaderMap::new();
    for name in fields.keys() {
        if goes(behavior, request, view.method, name) {
            fields.get_all(name).iter().for_each(|value| forward::append(&mut told, name, value));
        }
    }
    told
}

/// behaviour §4.5, row by row. What may depend on one viewer's whim and is not in the key goes by a policy only
/// (behaviour §14): the answer is everybody's.
fn goes(
    behavior: &Behavior,
    request: Option<&OriginRequestPolicy>,
    method: &Method,
    name: &HeaderName,
) -> bool {
    let selected = || selects(behavior, request, name);
    match name.as_str() {
        // Told in another way, or by the edge itself.
        "host" | "cookie" | "via" | "x-forwarded-for" | "cdn-loop" | "x-amz-cf-id" | "content-length" => {
            false
        }
        "range" | "request-range" | "expect" | "x-forwarded-proto" | "x-real-ip" => false,
        "accept-encoding" if normalized(behavior) => false,
        "authorization" => {
            selects_by_key(behavior, &AUTHORIZATION)
                || forward::keeps_authorization(behavior, method)
                || request.is_some_and(|policy| policy.headers.takes(AUTHORIZATION.as_str()))
        }
        "content-type" | "content-md5" => {
            selected() || forward::is_write(method) || *method == Method::OPTIONS
        }
        "origin" | "access-control-request-method" | "access-control-request-headers" => {
            selected()
                || (*method == Method::OPTIONS
                    && key::preflight(&behavior.cache_policy).any(|own| own == name))
        }
        other => {
            let reserved = ["if-", "proxy-", "x-edge-", "cloudfront-"];
            !reserved.iter().any(|prefix| other.starts_with(prefix)) && selected()
        }
    }
}

/// `Accept-Encoding` goes in its normal form, and not by any list (behaviour §4.3).
fn normalized(behavior: &Behavior) -> bool {
    let policy = &behavior.cache_policy;
    policy.enable_accept_encoding_gzip || policy.enable_accept_encoding_brotli
}

fn selects(behavior: &Behavior, request: Option<&OriginRequestPolicy>, name: &HeaderName) -> bool {
    selects_by_key(behavior, name) || request.is_some_and(|policy| policy.headers.takes(name.as_str()))
}

fn selects_by_key(behavior: &Behavior, name: &HeaderName) -> bool {
    behavior.cache_policy.headers.contains(name)
}

/// As the viewer named it; HTTP/2 has no such field.
pub(super) fn host<F>(view: &View<'_, F>) -> Option<HeaderValue> {
    let name = &view.host.name;
    HeaderValue::try_from(match view.host.port {
        Some(port) => format!("{name}:{port}"),
        None => name.to_string(),
    })
    .ok()
}

/// What the edge says of itself and of the viewer (behaviour §4.5).
fn add_hop(headers: &mut HeaderMap, view: &View<'_>, hop: Hop<'_>) {
    let version = match view.version {
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        Version::HTTP_11 => "1.1",
        _ => "1.0",
    };
    let Hop { viewer, request_id, node, name, interims: _, early } = hop;
    extend(headers, view, &X_FORWARDED_FOR, ",", &viewer.ip().to_canonical().to_string());
    extend(headers, view, &VIA, ", ", &format!("{version} {node}.{name} ({name})"));
    extend(headers, view, &CDN_LOOP, ", ", &format!("{CDN_ID}; node={node}"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(X_AMZ_CF_ID, id);
    }
    // Whatever a viewer has written there means this (RFC 8470 §5.1).
    if early.is_some() || view.headers.contains_key(EARLY_DATA) {
        headers.insert(EARLY_DATA, HeaderValue::from_static("1"));
    }
}

/// `own` after whatever the viewer said under that name.
fn extend(headers: &mut HeaderMap, view: &View<'_>, name: &HeaderName, between: &str, own: &str) {
    let mut text: Vec<u8> = Vec::new();
    for value in view.headers.get_all(name).iter().filter(|value| !value.is_empty()) {
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(between.as_bytes());
    }
    text.extend_from_slice(own.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        headers.insert(name, value);
    }
}

fn loops(headers: &HeaderMap, node: &str) -> bool {
    let fields = headers.get_all(CDN_LOOP).iter().filter_map(|field| field.to_str().ok());
    let mut edges = 0;
    for entry in fields.flat_map(|field| field.split(',')) {
        let mut parts = entry.split(';').map(str::trim);
        if parts.next().is_some_and(|id| id.eq_ignore_ascii_case(CDN_ID)) {
            edges += 1;
            if parts.any(|parameter| parameter.strip_prefix("node=") == Some(node)) {
                return true;
            }
        }
    }
    edges >= LONGEST_CHAIN
}

#[cfg(test)]
mod tests;
