//! Preconditions of GET and HEAD (RFC 9110 §13), answered from what is known of the object.

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderName, HeaderValue};

use super::date;
use super::fields::Fields;
use crate::clock::Timestamp;

/// What tells one version of an object from another.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validators<'a> {
    /// As the origin wrote it, quotes and `W/` included.
    pub etag: Option<&'a str>,
    /// Compared in whole seconds, which is all that HTTP can say.
    pub last_modified: Option<Timestamp>,
    /// When the origin sent it: all that `If-Modified-Since` can be compared with where nothing else is said
    /// (RFC 9111 §4.3.2).
    pub date: Option<Timestamp>,
}

/// What the preconditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send the object, or the range of it.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// Weighs the preconditions of a GET or HEAD in the order of RFC 9110 §13.2.2. An ETag without quotes is accepted,
/// as S3 does (s3 §2.4); a date that is none is ignored.
#[must_use]
pub fn evaluate(request: &impl Fields, object: Validators<'_>) -> Verdict {
    if !is_still_the_one(request, object) {
        return Verdict::PreconditionFailed;
    }
    if is_already_known(request, object) {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

/// Do two entity tags name the same version but for `W/` (RFC 9110 §8.8.3.2)?
#[must_use]
pub fn is_same_weakly(one: &HeaderValue, other: &HeaderValue) -> bool {
    let tag = |value: &'_ HeaderValue| Tag::split(value.as_bytes().trim_ascii()).0.opaque.to_owned();
    tag(one) == tag(other)
}

/// Whether `Range` may be honoured: `If-Range` is absent, or names this very version (RFC 9110 §13.1.5). ETags are
/// compared strongly, a date must be `Last-Modified` exactly. Otherwise the whole object is the answer.
#[must_use]
pub fn range_applies(request: &impl Fields, object: Validators<'_>) -> bool {
    if !request.has(&IF_RANGE) {
        return true;
    }
    let Some(value) = request.single(&IF_RANGE) else {
        return false;
    };
    match date::parse(value) {
        Some(at) => object.last_modified.is_some_and(|modified| modified.as_secs() == at.as_secs()),
        None => match Tag::split(value.trim_ascii()) {
            (tag, []) => object.etag.is_some_and(|etag| tag.equals(Tag::of(etag), Comparison::Strong)),
            _ => false,
        },
    }
}

/// Steps 1 and 2: `If-Unmodified-Since` counts only without `If-Match`.
fn is_still_the_one(request: &impl Fields, object: Validators<'_>) -> bool {
    if request.has(&IF_MATCH) {
        return lists(request, &IF_MATCH, object.etag, Comparison::Strong);
    }
    match (date_in(request, &IF_UNMODIFIED_SINCE), object.last_modified) {
        (Some(since), Some(modified)) => modified.as_secs() <= since.as_secs(),
        _ => true,
    }
}

/// Steps 3 and 4: `If-Modified-Since` counts only without `If-None-Match`.
fn is_already_known(request: &impl Fields, object: Validators<'_>) -> bool {
    if request.has(&IF_NONE_MATCH) {
        return lists(request, &IF_NONE_MATCH, object.etag, Comparison::Weak);
    }
    match (date_in(request, &IF_MODIFIED_SINCE), object.last_modified.or(object.date)) {
        (Some(since), Some(modified)) => modified.as_secs() <= since.as_secs(),
        _ => false,
    }
}

/// A date said once; RFC 9110 §13.1.3 has one with several members ignored.
fn date_in(request: &impl Fields, name: &HeaderName) -> Option<Timestamp> {
    request.single(name).and_then(date::parse)
}

/// Whether any of the fields is `*` or lists the object's ETag. `*` holds for any object that exists.
fn lists(request: &impl Fields, name: &HeaderName, etag: Option<&str>, by: Comparison) -> bool {
    let ours = etag.map(Tag::of);
    request.all(name).map(<[u8]>::trim_ascii).any(|field| {
        field == b"*" || ours.is_some_and(|ours| Tags { rest: field }.any(|theirs| theirs.equals(ours, by)))
    })
}

/// RFC 9110 §8.8.3.2
#[derive(Clone, Copy)]
enum Comparison {
    /// Byte for byte the same: two weak tags are never equal.
    Strong,
    /// Good enough to stand for it.
    Weak,
}

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Clone, Copy)]
struct Tag<'a> {
    weak: bool,
    /// Without the quotes, so that an ETag written without them is equal.
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    fn of(etag: &'a str) -> Self {
        Self::split(etag.as_bytes().trim_ascii()).0
    }

    /// The tag that `text` begins with, and what follows it. Without quotes it ends before a comma.
    fn split(text: &'a [u8]) -> (Self, &'a [u8]) {
        let (weak, text) = match text.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if let Some(inner) = text.strip_prefix(b"\"")
            && let Some(end) = inner.iter().position(|&b| b == b'"')
        {
            return (Self { weak, opaque: &inner[..end] }, &inner[end + 1..]);
        }
        let (opaque, rest) = text.split_at(comma_in(text));
        (Self { weak, opaque: opaque.trim_ascii_end() }, rest)
    }

    fn equals(self, other: Self, by: Comparison) -> bool {
        let strong_enough = match by {
            Comparison::Strong => !self.weak && !other.weak,
            Comparison::Weak => true,
        };
        strong_enough && self.opaque == other.opaque
    }
}

/// What is left of a list of entity tags.
struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let start = self.rest.iter().position(|b| !b", \t".contains(b))?;
        let (tag, rest) = Tag::split(&self.rest[start..]);
        self.rest = &rest[comma_in(rest)..];
        Some(tag)
    }
}

/// Where the next comma stands, or the end.
fn comma_in(text: &[u8]) -> usize {
    text.iter().position(|&b| b == b',').unwrap_or(text.len())
}

#[cfg(test)]
mod tests;
