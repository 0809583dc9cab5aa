//! `GET /`: how the edge is doing, for a person. `GET /status.json`: the same for a program.
//!
//! One HTML document that needs nothing else. Its script replaces the document's body by what `/` says a few seconds later;
//! without a script the browser loads it anew. Where there are administrator keys, whoever has not signed, and so every
//! browser, is shown what `/readyz` and `/metrics` reveal to anyone, and no more.

mod html;
mod status;

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use self::status::{Private, Status};
use super::answer::{JSON, error, respond};
use super::{Admin, Caller};
use crate::clock;

const HTML: &str = "text/html; charset=utf-8";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Of the invalidations, the newest.
const INVALIDATIONS: usize = 10;
/// Of each of them.
const PATHS: usize = 5;

pub(super) fn page(admin: &Admin, caller: &Caller) -> Response<Full<Bytes>> {
    let mut answer = respond(StatusCode::OK, HTML, html::render(&status(admin, caller)));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, content_security_policy());
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

pub(super) fn json(admin: &Admin, caller: &Caller) -> Response<Full<Bytes>> {
    match serde_json::to_string(&status(admin, caller)) {
        Ok(text) => respond(StatusCode::OK, JSON, text),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the status cannot be written"),
    }
}

fn status(admin: &Admin, caller: &Caller) -> Status {
    let mut readiness = (admin.readiness)();
    let private = if *caller == Caller::Unknown {
        readiness.checks.iter_mut().for_each(|check| check.detail.clear());
        None
    } else {
        Some(Private { names: admin.api.names(), invalidations: admin.api.recent(INVALIDATIONS, PATHS) })
    };
    Status::of(&admin.metrics.gather(), readiness, private, clock::now())
}

/// Nothing from anywhere but this document, and no script but its own.
fn content_security_policy() -> HeaderValue {
    static POLICY: OnceLock<HeaderValue> = OnceLock::new();
    let policy = || {
        let hash = |text: &str| BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes()));
        let (script, style) = (hash(html::SCRIPT), hash(html::STYLE));
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy).expect("base64 and words are a value")
    };
    POLICY.get_or_init(policy).clone()
}
