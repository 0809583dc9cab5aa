//! `POST /invalidate`: removes objects from the cache.
//!
//! ```text
//! {"distribution": "E123", "paths": ["/index.html", "/images/*", "#tag"]}      the id may be left out where there is one
//! ```

use std::error::Error;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;

use super::Admin;
use super::answer::{JSON, error, method_not_allowed, respond};

/// Bytes of a request's body: 4,000 characters a path, and a few hundred of them.
const MAX_BODY: usize = 1 << 20;
const BODY_READ: Duration = Duration::from_secs(10);

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invalidation {
    /// `None`: the only one.
    pub distribution: Option<String>,
    pub paths: Vec<String>,
}

/// Why it was not; nothing was removed. For a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    NoSuchDistribution(String),
    Invalid(String),
}

pub(super) async fn answer<B>(admin: &Admin, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if request.method() != Method::POST {
        return method_not_allowed("only POST", "POST");
    }
    // A web page can have a browser post to a local address, but not say this without asking first.
    if !is_json(request.headers()) {
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json");
    }
    let reading = Limited::new(request.into_body(), MAX_BODY).collect();
    let Ok(Ok(body)) = tokio::time::timeout(BODY_READ, reading).await else {
        return error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is over 1 MiB, or did not come to its end in 10 s",
        );
    };
    let invalidation: Invalidation = match serde_json::from_reader(body.aggregate().reader()) {
        Ok(invalidation) => invalidation,
        Err(why) => return error(StatusCode::BAD_REQUEST, &format!("not an invalidation: {why}")),
    };
    match (admin.invalidate)(&invalidation) {
        Ok(paths) => {
            respond(StatusCode::OK, JSON, serde_json::json!({ "invalidated_paths": paths }).to_string())
        }
        Err(Refused::NoSuchDistribution(why)) => error(StatusCode::NOT_FOUND, &why),
        Err(Refused::Invalid(why)) => error(StatusCode::BAD_REQUEST, &why),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(JSON)
}
