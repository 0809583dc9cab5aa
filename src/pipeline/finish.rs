//! What every response carries (behaviour §9.1).

use http::header::{ALT_SVC, CONTENT_LENGTH, DATE, HeaderName, SERVER, VIA};
use http::{HeaderValue, Response, StatusCode};
use http_body::Body as _;

use super::Answer;
use super::dress::Dress;
use super::story;
use super::tx::{Tracked, Transaction};
use crate::body::Body;
use crate::edge::Edge;
use crate::semantics::date;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
const X_AMZ_CF_ID: HeaderName = HeaderName::from_static("x-amz-cf-id");
const X_AMZ_CF_POP: HeaderName = HeaderName::from_static("x-amz-cf-pop");

/// Adds what the behaviour's policy says and the edge's own fields, and ties the transaction to the body.
pub(super) fn seal(
    edge: &Edge,
    mut tx: Transaction,
    answer: Answer,
    dress: Option<Dress<'_>>,
) -> Response<Tracked> {
    let Answer { response, result } = answer;
    let (mut parts, mut body) = response.into_parts();
    let headers = &mut parts.headers;
    if tx.is_head() {
        // The head of what a GET would get; nobody asks for the body (RFC 9110 §9.3.2). Of no body it says nothing (§8.6).
        let may_say = !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = body.size_hint().exact().filter(|_| may_say && !headers.contains_key(CONTENT_LENGTH));
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        body = Body::Empty;
    }
    if let Some(dress) = dress {
        dress.put_on(edge, &tx, result, &mut parts);
    }
    if edge.cache_status {
        story::put_on(edge, &parts.extensions, &mut parts.headers);
    }
    let headers = &mut parts.headers;
    headers.insert(X_CACHE, edge.marks.x_cache(result));
    // An earlier proxy's entry stays in front (RFC 9110 §7.6.3).
    headers.append(VIA, edge.marks.via());
    headers.insert(X_AMZ_CF_POP, edge.marks.pop());
    if let Ok(id) = HeaderValue::from_str(tx.request_id()) {
        headers.insert(X_AMZ_CF_ID, id);
    }
    // What an origin says of itself is not true of this edge, and is replaced.
    if let Some(alternative) = tx.alternative() {
        headers.insert(ALT_SVC, alternative.clone());
    }
    if !headers.contains_key(SERVER) {
        headers.insert(SERVER, edge.marks.server());
    }
    if !headers.contains_key(DATE) {
        headers.insert(DATE, date::format(crate::clock::now()));
    }
    tx.answered(&parts, result);
    Response::from_parts(parts, Tracked::new(body, tx))
}
