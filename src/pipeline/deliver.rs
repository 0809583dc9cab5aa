//! From an object to a response: conditions, then ranges, then bytes (RFC 9110 §13.2.2, §14.2; behaviour §6).

use std::time::Duration;

use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};

use super::{Answer, multipart};
use crate::body::Body;
use crate::cache::inflight::Arriving;
use crate::cache::object::{Head, Object};
use crate::cache::pieces::Pieces;
use crate::clock::Timestamp;
use crate::error::Refusal;
use crate::observe::record::ResultType;
use crate::semantics::conditional::{self, Verdict};
use crate::semantics::fields::Fields;
use crate::semantics::range::{self, Selection, Spec};
use crate::semantics::view::View;

/// How far ahead of what has arrived a range may begin and still wait for it.
pub(super) const WAIT_AHEAD: u64 = 8 << 20;

/// A stored object, of which `pieces` is the body.
pub(super) fn stored(
    view: &View<'_>,
    object: &Object,
    pieces: &Pieces,
    now: Timestamp,
    result: ResultType,
) -> Result<Answer, Refusal> {
    let part = match examine(view, &object.head, Some(object.len()))? {
        Wanted::NotModified => return Ok(not_modified(&object.head, object.age(now), result)),
        Wanted::Several(parts) => {
            let mut response = multipart::respond(object, pieces, &parts);
            set_age(&mut response, object.age(now), result);
            return Ok(Answer { response, result });
        }
        Wanted::Whole => None,
        Wanted::Part { first, last } => Some((first, last)),
    };
    let (first, length) = part.map_or((0, object.len()), |(first, last)| (first, last - first + 1));
    Ok(answer(object, part, Body::stored(pieces, first, length), object.age(now), result))
}

/// `part` of an object, or all of it.
pub(super) fn answer(
    object: &Object,
    part: Option<(u64, u64)>,
    body: Body,
    age: Duration,
    result: ResultType,
) -> Answer {
    let mut response = respond(&object.head, part, Some(object.len()), body);
    set_age(&mut response, age, result);
    Answer { response, result }
}

/// An object that is still arriving. `None`: this viewer is better off with a fetch of its own.
pub(super) fn arriving(
    view: &View<'_>,
    arriving: &Arriving,
    now: Timestamp,
    result: ResultType,
) -> Result<Option<Answer>, Refusal> {
    let age = arriving.age(now);
    if result == ResultType::Hit && age >= arriving.lifetime.ttl {
        return Ok(None); // it takes longer to arrive than it is fresh
    }
    let leads = result == ResultType::Miss;
    let head = if leads { &arriving.head } else { &arriving.head_for_others };
    let length = arriving.body.length();
    let part = match examine(view, head, length)? {
        Wanted::NotModified => return Ok(Some(not_modified(head, age, result))),
        Wanted::Whole | Wanted::Several(_) => None,
        Wanted::Part { first, .. } if first > arriving.body.arrived() + WAIT_AHEAD => return Ok(None),
        Wanted::Part { first, last } => Some((first, last)),
    };
    let reader = arriving.body.reader(part.map_or(0, |(first, _)| first), part.map(|(_, last)| last));
    let Some(reader) = reader else { return Ok(None) };
    let mut response = respond(head, part, length, Body::Arriving(reader));
    set_age(&mut response, age, result);
    if leads {
        response.extensions_mut().insert(arriving.timing);
    }
    Ok(Some(Answer { response, result }))
}

/// What this viewer is to get of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Part {
        first: u64,
        last: u64,
    },
    /// Several, of what is at hand; otherwise the whole will do (RFC 9110 §14.2).
    Several(Vec<(u64, u64)>),
    NotModified,
}

/// `length`: bytes of the whole body, if known; without it there are no ranges (behaviour §6).
pub(super) fn examine(
    view: &View<'_, impl Fields>,
    head: &Head,
    length: Option<u64>,
) -> Result<Wanted, Refusal> {
    // A redirect is neither confirmed nor cut, nor is what a server can do (RFC 9110 §13.2.1, §14.2).
    if !head.status.is_success() || view.method == Method::OPTIONS {
        return Ok(Wanted::Whole);
    }
    let validators = head.validators();
    match conditional::evaluate(view.headers, validators) {
        Verdict::NotModified => return Ok(Wanted::NotModified),
        Verdict::PreconditionFailed => return Err(Refusal::PreconditionFailed),
        Verdict::Proceed => {}
    }
    let may_ask = view.method == Method::GET && head.status == StatusCode::OK;
    let asked = view.headers.first(&RANGE).filter(|_| may_ask);
    let (Some(asked), Some(length)) = (asked, length) else { return Ok(Wanted::Whole) };
    // What the edge has compressed has no strong validator (RFC 9110 §13.1.5).
    let incomparable = head.is_compressed() && view.headers.has(&IF_RANGE);
    if incomparable || !conditional::range_applies(view.headers, validators) {
        return Ok(Wanted::Whole);
    }
    match range::parse(asked) {
        Some(spec) => part(spec, length),
        None => Ok(range::parse_several(asked, length).map_or(Wanted::Whole, Wanted::Several)),
    }
}

fn part(spec: Spec, length: u64) -> Result<Wanted, Refusal> {
    match spec.select(length) {
        Selection::Part { first, last } => Ok(Wanted::Part { first, last }),
        Selection::Unsatisfiable => Err(Refusal::RangeNotSatisfiable { length }),
    }
}

/// `part` is the range, `length` the whole body's length.
pub(super) fn respond(
    head: &Head,
    part: Option<(u64, u64)>,
    length: Option<u64>,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = head.to_map();
    match (part, length) {
        (Some((first, last)), Some(length)) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            forget_digests(response.headers_mut());
            response.headers_mut().insert(CONTENT_RANGE, range::content_range(first, last, length));
            response.headers_mut().insert(CONTENT_LENGTH, (last - first + 1).into());
        }
        (None, Some(length)) if head.status != StatusCode::NO_CONTENT => {
            *response.status_mut() = head.status;
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        (None, _) | (_, None) => *response.status_mut() = head.status,
    }
    response
}

/// Those of the content as it came (RFC 9530 §2): of a part they say nothing, and those of a part nothing of the whole.
pub(super) fn forget_digests(headers: &mut HeaderMap) {
    const DIGESTS: [&str; 2] = ["content-digest", "content-md5"];
    DIGESTS.iter().for_each(|name| drop(headers.remove(*name)));
}

pub(super) fn not_modified(head: &Head, age: Duration, result: ResultType) -> Answer {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = without_representation(head);
    set_age(&mut response, age, result);
    Answer { response, result }
}

/// A 304 says nothing about a body that it does not bring (RFC 9110 §15.4.5).
pub(super) fn without_representation(head: &Head) -> HeaderMap {
    let describes =
        |name: &HeaderName| name.as_str().starts_with("content-") && name != http::header::CONTENT_LOCATION;
    let mut headers = head.to_map();
    let named: Vec<_> = headers.keys().filter(|name| describes(name)).cloned().collect();
    for name in named {
        headers.remove(name);
    }
    headers
}

/// What comes from the cache has an age (behaviour §9.1), and so has what was old when it came (RFC 9111 §5.1).
fn set_age(response: &mut Response<Body>, age: Duration, result: ResultType) {
    if result != ResultType::Miss || age.as_secs() > 0 {
        response.headers_mut().insert(AGE, age.as_secs().into());
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;
    use crate::semantics::view;

    #[test]
    fn conditions_come_before_ranges() {
        type Fields = &'static [(&'static str, &'static str)];
        let head_fields: HeaderMap = [("etag", "\"1\""), ("last-modified", "Sat, 29 Oct 1994 19:43:31 GMT")]
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect();
        let head = Head::new(StatusCode::OK, &head_fields);
        let part = |first, last| Ok(Wanted::Part { first, last });
        // RFC 9110 §13.2.2, §14.2; behaviour §6
        let table: &[(&str, Fields, Result<Wanted, u16>)] = &[
            ("GET", &[], Ok(Wanted::Whole)),
            ("GET", &[("range", "bytes=0-3")], part(0, 3)),
            ("HEAD", &[("range", "bytes=0-3")], Ok(Wanted::Whole)),
            ("GET", &[("range", "bytes=-4")], part(6, 9)),
            ("GET", &[("range", "bytes=10-")], Err(416)),
            ("GET", &[("range", "bytes=0-1,3-4")], Ok(Wanted::Several(vec![(0, 1), (3, 4)]))),
            ("GET", &[("range", "bytes=3-4,0-1")], Ok(Wanted::Whole)),
            ("GET", &[("if-none-match", "\"1\""), ("range", "bytes=0-3")], Ok(Wanted::NotModified)),
            ("OPTIONS", &[("if-none-match", "*")], Ok(Wanted::Whole)), // RFC 9110 §13.2.1
            ("OPTIONS", &[("if-match", "\"2\"")], Ok(Wanted::Whole)),
            ("GET", &[("if-match", "\"2\""), ("range", "bytes=10-")], Err(412)),
            ("GET", &[("if-range", "\"1\""), ("range", "bytes=0-3")], part(0, 3)),
            ("GET", &[("if-range", "\"2\""), ("range", "bytes=0-3")], Ok(Wanted::Whole)),
        ];
        for (method, fields, expected) in table {
            let mut request = Request::builder().method(*method).uri("/a").header("host", "h");
            for (name, value) in *fields {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let view = view::parse(&parts, true).unwrap();
            let found = examine(&view, &head, Some(10)).map_err(|refusal| refusal.status().as_u16());
            assert_eq!(&found, expected, "{method} {fields:?}");
        }
    }
}
