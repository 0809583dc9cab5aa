//! The owner's page in the place of an error (behaviour §8.3). It is an object like any other: of the behaviour that its
//! path chooses, from that behaviour's origin, in the same cache.

use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    RANGE, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use super::tx::Transaction;
use super::{Answer, choose, obtain, page};
use crate::config::ErrorPage;
use crate::edge::{Edge, Site};
use crate::error::Refusal;
use crate::observe::record::ResultType;
use crate::semantics::view::{self, View, Viewer};

/// The answer to a refusal: the page that is configured for its status, else a small one of the edge's own. A page that
/// cannot be had fails with its own failure's status.
pub(super) async fn answer(
    edge: &Arc<Edge>,
    tx: &mut Transaction,
    parts: &Parts,
    refusal: Refusal,
) -> Answer {
    let Some((site, page)) = wanted(tx, &refusal) else { return page::refusal(edge, tx, parts, &refusal) };
    match fetch(edge, &site, tx, parts, &page.path).await {
        Ok(answer) => {
            tx.refused(&refusal);
            in_place_of(&refusal, answer, &page, parts.version)
        }
        Err(failure) => page::refusal(edge, tx, parts, &failure),
    }
}

fn wanted(tx: &Transaction, refusal: &Refusal) -> Option<(Arc<Site>, ErrorPage)> {
    let site = tx.site().filter(|_| refusal.may_have_page())?;
    let page = site.error_responses.get(&refusal.status().as_u16())?.page.clone()?;
    Some((Arc::clone(site), page))
}

/// One request of the edge's own, in the viewer's name: its fields may be part of the page's key.
async fn fetch(
    edge: &Arc<Edge>,
    site: &Arc<Site>,
    tx: &Transaction,
    parts: &Parts,
    page_path: &str,
) -> Result<Answer, Refusal> {
    let raw_path = site.substitute_root(page_path);
    let (path, behavior) = choose(site, &raw_path)?;
    let headers = about_the_viewer(&parts.headers);
    let method = if parts.method == Method::HEAD { Method::HEAD } else { Method::GET };
    let view = view::parse(parts, tx.is_secure())?;
    let viewer = Viewer {
        session: tx.session(),
        failed: Some((view.raw_path, view.query)),
        place: site.place(tx.hop().viewer.ip()),
    };
    let view = View { method: &method, raw_path: &raw_path, query: None, headers: &headers, viewer, ..view };
    obtain(edge, site, behavior, &view, tx.hop(), (&raw_path, &path)).await
}

/// Without conditions, range and body, which are about what was asked for, and not about the page.
fn about_the_viewer(headers: &HeaderMap) -> HeaderMap {
    const ABOUT_THE_OBJECT: [HeaderName; 8] = [
        RANGE,
        IF_RANGE,
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
        CONTENT_LENGTH,
        TRANSFER_ENCODING,
    ];
    let mut headers = headers.clone();
    for name in ABOUT_THE_OBJECT {
        headers.remove(name);
    }
    headers
}

/// The page with the status that was chosen for it, and its own fields.
fn in_place_of(refusal: &Refusal, page: Answer, config: &ErrorPage, version: Version) -> Answer {
    let mut response = page.response;
    *response.status_mut() = config.status;
    let headers = response.headers_mut();
    if config.status == refusal.status() {
        page::explain(refusal, config.status, headers);
    }
    if version == Version::HTTP_11 && closes_connection(refusal.status()) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Answer { response, result: ResultType::Error }
}

/// behaviour §8.3
fn closes_connection(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 405 | 414 | 416 | 500 | 501)
}
