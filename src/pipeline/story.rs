//! What became of a request is told in `Cache-Status`, if the owner wants it told; it travels as an extension of the
//! response.

use http::header::HeaderName;
use http::{Extensions, HeaderMap};

use super::Answer;
use crate::edge::Edge;
use crate::error::Refusal;
use crate::origin::error::OriginError;
use crate::policy::cache_status::{self, Forward, Story};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Ties the story to an answer; who does not want it does not pay for it.
pub(super) fn told(
    edge: &Edge,
    answer: Result<Answer, Refusal>,
    story: impl FnOnce() -> Story,
) -> Result<Answer, Refusal> {
    let mut answer = answer?;
    if edge.cache_status {
        answer.response.extensions_mut().insert(story());
    }
    Ok(answer)
}

/// The same for an answer in the place of a refusal.
pub(super) fn tell(edge: &Edge, answer: &mut Answer, story: Option<Story>) {
    if let Some(story) = story.filter(|_| edge.cache_status) {
        answer.response.extensions_mut().insert(story);
    }
}

/// `None`: the cache had no part in it.
pub(super) fn of_refusal(refusal: &Refusal) -> Option<Story> {
    match refusal {
        Refusal::Remembered(_) => Some(Story::remembered()),
        Refusal::Origin(OriginError::Refused { status, .. }) => {
            Some(Story::forwarded(Forward::Miss).with_status(*status))
        }
        Refusal::Origin(error) => Some(Story::forwarded(Forward::Miss).because(error.label())),
        _ => None,
    }
}

/// Behind what caches nearer to the origin have said (RFC 9211 §2).
pub(super) fn put_on(edge: &Edge, extensions: &Extensions, headers: &mut HeaderMap) {
    if let Some(story) = extensions.get()
        && let Some(member) = cache_status::member(&edge.identity.name, story)
    {
        headers.append(CACHE_STATUS, member);
    }
}
