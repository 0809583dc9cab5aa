//! Straight to the origin: what changes something there, or brings a body (behaviour §2.2). Sent once, to the first origin
//! alone, and never from or into the cache.

use std::sync::Arc;

use http::Method;
use http::header::CONTENT_LENGTH;
use hyper::body::Incoming;

use super::{Answer, Route, pass};
use crate::config::Behavior;
use crate::edge::Edge;
use crate::error::Refusal;
use crate::origin::upload::{MAX_BODY, Outgoing, Upload};
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
        let read = View { method: &Method::GET, headers: view.headers, host: view.host.clone(), ..*view };
        let key = key::key(&route.site.id, &read, raw_path, &route.behavior.cache_policy);
        edge.store.memory.remove(&key);
    }
    Ok(pass::deliver(response))
}

/// behaviour §2.4. S3 takes no body without a length.
fn limits(route: &Route, view: &View<'_>, upload: Option<&Upload>) -> Result<(), Refusal> {
    let announced =
        view.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(Refusal::BodyTooLarge);
    }
    let is_s3 = route.origin.config().s3().is_some();
    match upload {
        Some(upload) if is_s3 && upload.length().is_none() => Err(Refusal::LengthRequired),
        _ => Ok(()),
    }
}
