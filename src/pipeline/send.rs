//! Straight to the origin: what changes something there, or brings a body (behaviour §2.2). Sent once, to the first origin
//! alone, and never from or into the cache.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method, Uri};

use super::{Answer, Route, pass};
use crate::clock;
use crate::config::Behavior;
use crate::early::EARLY_DATA;
use crate::edge::Edge;
use crate::error::Refusal;
use crate::origin::upload::{Incoming, MAX_BODY, Outgoing, Upload};
use crate::policy::{forward, key};
use crate::semantics::view::View;

/// Is a request of this method for the origin alone?
pub(super) fn is_for_origin(behavior: &Behavior, method: &Method, has_body: bool) -> bool {
    forward::is_write(method) || (*method == Method::OPTIONS && has_body && !behavior.cache_options)
}

/// Puts the request to the origin. Once something has changed there, what the cache has of the same target is forgotten
/// (RFC 9111 §4.4).
pub(super) async fn send(
    edge: &Arc<Edge>,
    route: &Route,
    view: &View<'_>,
    raw_path: &str,
    body: Option<Incoming>,
) -> Result<Answer, Refusal> {
    let upload = body.map(Upload::new);
    limits(route, view, upload.as_ref())?;
    let (ask, _) = pass::own(&route.ask, view);
    let response = route.origin.send(&ask, upload.map_or(Outgoing::Nothing, Outgoing::Viewer)).await?;
    if ask.is_write() {
        forget(edge, route, view, raw_path, &response.headers);
    }
    Ok(pass::deliver(response))
}

/// The target itself, and what the answer says has come of it, if it is of the same host (RFC 9111 §4.4).
fn forget(edge: &Edge, route: &Route, view: &View<'_>, raw_path: &str, answer: &HeaderMap) {
    let invalidations = edge.store.memory.invalidations();
    let key = |path: &str, query: Option<&str>| {
        let read = View {
            method: &Method::GET,
            headers: view.headers,
            host: view.host.clone(),
            viewer: view.viewer.clone(),
            query,
            ..*view
        };
        key::key(&route.site.id, &read, path, &route.behavior.cache_policy, route.accepted)
    };
    invalidations.add_key(&key(raw_path, view.query), clock::now());
    for name in [LOCATION, CONTENT_LOCATION] {
        let named = answer.get(name).and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
        let Some(uri) = named.filter(|uri| uri.host().is_none_or(|host| *host == *view.host.name)) else {
            continue;
        };
        if uri.path().starts_with('/') {
            invalidations.add_key(&key(uri.path(), uri.query()), clock::now());
        }
    }
}

/// behaviour §2.4. S3 takes no body without a length, and cannot tell a replay (RFC 8470 §5.2).
fn limits(route: &Route, view: &View<'_>, upload: Option<&Upload>) -> Result<(), Refusal> {
    let announced =
        view.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(Refusal::BodyTooLarge);
    }
    let is_s3 = route.origin.config().s3().is_some();
    if is_s3 && forward::is_write(view.method) && view.headers.contains_key(EARLY_DATA) {
        return Err(Refusal::TooEarly);
    }
    match upload {
        Some(upload) if is_s3 && upload.length().is_none() => Err(Refusal::LengthRequired),
        _ => Ok(()),
    }
}
