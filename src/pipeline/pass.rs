//! Past the cache: one viewer, one fetch, the viewer's own range and conditions, in bounded memory.

use http::header::{
    CONTENT_LENGTH, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};

use super::{Answer, Route, story};
use crate::body::Body;
use crate::edge::Edge;
use crate::error::Refusal;
use crate::observe::record::ResultType;
use crate::origin::error::OriginError;
use crate::origin::{Ask, OriginResponse};
use crate::policy::admission::NotStored;
use crate::policy::cache_status::Story;
use crate::semantics::range;
use crate::semantics::view::View;

/// Asks the origin for just what this viewer wants.
pub(super) async fn pass(route: &Route, view: &View<'_>) -> Result<Answer, Refusal> {
    let (ask, resumes) = own(&route.ask, view);
    match route.fetch_in_time(&ask).await {
        Ok(response) => Ok(deliver(response)),
        // `If-Range` did not hold: the whole object, as RFC 9110 §13.1.5 asks.
        Err(OriginError::Refused { status: 412, .. }) if resumes => {
            Ok(deliver(route.fetch_in_time(&whole(&route.ask, view)).await?))
        }
        Err(error) => Err(error.into()),
    }
}

/// The same, where it is known why the cache has no part in it.
pub(super) async fn known(
    edge: &Edge,
    route: &Route,
    view: &View<'_>,
    why: NotStored,
) -> Result<Answer, Refusal> {
    story::told(edge, pass(route, view).await, || Story::passed(why))
}

/// Hands an answer of the origin to the viewer.
pub(super) fn deliver(origin: OriginResponse) -> Answer {
    let length = origin.length().filter(|_| origin.status != StatusCode::NOT_MODIFIED);
    let mut response = Response::new(Body::Origin(origin.body));
    *response.status_mut() = origin.status;
    *response.headers_mut() = origin.headers;
    response.extensions_mut().insert(origin.timing);
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    Answer { response, result: ResultType::Miss }
}

/// A plain request, that an answer for the whole object answers.
pub(super) fn wants_whole(view: &View<'_>) -> bool {
    const NARROWING: [HeaderName; 5] =
        [RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
    !NARROWING.iter().any(|name| view.headers.contains_key(name))
}

fn whole(ask: &Ask, view: &View<'_>) -> Ask {
    Ask { method: view.method.clone(), ..ask.clone() }
}

/// A condition, all its lines in one (RFC 9110 §5.3). One that is not text is none, as a date that is none.
fn joined(view: &View<'_>, name: &HeaderName) -> Option<HeaderValue> {
    let lines: Result<Vec<_>, _> = view.headers.get_all(name).iter().map(HeaderValue::to_str).collect();
    let lines = lines.ok().filter(|lines| !lines.is_empty())?;
    HeaderValue::try_from(lines.join(", ")).ok()
}

/// The viewer's own question. `true`: it resumes a download of one version, and 412 means that there is another.
/// S3 knows no `If-Range`; `If-Match` beside the range says the same (s3 §2.4).
pub(super) fn own(ask: &Ask, view: &View<'_>) -> (Ask, bool) {
    let mut ask = whole(ask, view);
    for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
        if let Some(value) = joined(view, &name) {
            ask.headers.insert(name, value);
        }
    }
    let asked =
        view.headers.get(RANGE).filter(|range| view.method == Method::GET && range::parse(range).is_some());
    let Some(range) = asked else { return (ask, false) };
    match view.headers.get(IF_RANGE) {
        None => {
            ask.headers.insert(RANGE, range.clone());
            (ask, false)
        }
        // A strong entity tag and no condition of the viewer's that `If-Match` would replace.
        Some(tag) if tag.as_bytes().starts_with(b"\"") && !ask.headers.contains_key(IF_MATCH) => {
            ask.headers.insert(RANGE, range.clone());
            ask.headers.insert(IF_MATCH, tag.clone());
            if ask.told.is_some() {
                // Not every server knows `If-Match`.
                ask.headers.insert(IF_RANGE, tag.clone());
            }
            (ask, true)
        }
        // A date, or a weak tag: the whole object is always right.
        Some(_) => (ask, false),
    }
}
