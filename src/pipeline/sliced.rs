//! A large object: the slices that this viewer wants, each asked of the origin when it is not there (behaviour §6).

use std::sync::Arc;

use http::header::{CONTENT_RANGE, ETAG, IF_MATCH, RANGE};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;

use super::{Answer, Route, deliver, pass};
use crate::body::Body;
use crate::cache::Key;
use crate::cache::object::{Layout, Object};
use crate::cache::slices::{Asked, Open, Source, Version};
use crate::clock;
use crate::edge::Edge;
use crate::error::Refusal;
use crate::observe::record::ResultType;
use crate::origin::OriginResponse;
use crate::origin::error::OriginError;
use crate::semantics::range;
use crate::semantics::view::View;
use deliver::Wanted;

/// Serves `object`, which is cut as `layout` says. `open` is the answer that made it known, unless somebody else reads
/// on from it.
pub(super) async fn serve(
    edge: &Edge,
    route: &Route,
    view: &View<'_>,
    key: Key,
    object: &Object,
    layout: &Layout,
    (open, result): (Option<Open>, ResultType),
) -> Result<Answer, Refusal> {
    let age = object.age(clock::now());
    let part = match deliver::examine(view, &object.head, Some(layout.length))? {
        Wanted::NotModified => return Ok(deliver::not_modified(&object.head, age, result)),
        Wanted::Whole | Wanted::Several(_) => None,
        Wanted::Part { first, last } => Some((first, last)),
    };
    if view.method == Method::HEAD {
        return Ok(deliver::answer(object, part, Body::Empty, age, result));
    }
    let source = Arc::new(Pinned { route: route.clone(), layout: layout.clone() });
    let version = Version { slices: Arc::clone(&edge.store.slices), key, layout: layout.clone(), source };
    let (first, last) = part.unwrap_or((0, layout.length - 1));
    let (reader, was_there) = match version.read(first, last, open).await {
        Ok(read) => read,
        // The object has changed: what there is now, for this viewer. The next begins anew.
        Err(error) if error.says_it_is_another() => return pass::pass(route, view).await,
        Err(error) => return Err(error.into()),
    };
    let result = if was_there { result } else { ResultType::Miss };
    Ok(deliver::answer(object, part, Body::Sliced(Box::new(reader)), age, result))
}

/// One version of one object at its origin.
#[derive(Debug)]
struct Pinned {
    route: Route,
    layout: Layout,
}

impl Source for Pinned {
    fn range(&self, first: u64, last: u64) -> Asked {
        let (route, layout) = (self.route.clone(), self.layout.clone());
        Box::pin(async move {
            let mut ask = route.ask.clone();
            ask.headers.insert(RANGE, bytes(first, last));
            if let Ok(etag) = HeaderValue::from_str(&layout.etag) {
                ask.headers.insert(IF_MATCH, etag);
            }
            let response = route.fetch_in_time(&ask).await?;
            check(&response, first, &layout)?;
            Ok(response.body.boxed_unsync())
        })
    }
}

/// `bytes=FIRST-LAST`
pub(super) fn bytes(first: u64, last: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes={first}-{last}")).expect("digits and punctuation")
}

/// Is this a part of that version, whatever the origin makes of `If-Match`?
fn check(response: &OriginResponse, first: u64, layout: &Layout) -> Result<(), OriginError> {
    if response.status != StatusCode::PARTIAL_CONTENT {
        return Err(OriginError::WrongRange);
    }
    // A 206 must say it where a 200 would (RFC 9110 §15.3.7).
    let same = response.headers.get(ETAG).is_some_and(|etag| etag.as_bytes() == layout.etag.as_bytes());
    let found = response.headers.get(CONTENT_RANGE).and_then(range::parse_content_range);
    match found {
        Some((from, _, Some(length))) if same && from == first && length == layout.length => Ok(()),
        _ => Err(OriginError::WrongRange),
    }
}
