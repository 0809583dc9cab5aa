//! Which parameters of the query are part of the key, and which does S3 get?
//!
//! `&` alone divides them, their order stays, repeated ones stay, and `a` is not `a=` (behaviour §4.2). Names are
//! compared as S3 would read them, decoded: `%76` names `v`. An empty query is none.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::forward;
use crate::config::s3::{self, Parameter};
use crate::config::{Behavior, Selection};

/// The parameters that `selection` takes, as the viewer wrote them.
pub fn keyed<'q>(query: Option<&'q str>, selection: &Selection) -> impl Iterator<Item = &'q str> {
    let query = query.filter(|query| !query.is_empty() && !selection.is_none());
    query.into_iter().flat_map(|query| query.split('&')).filter(|parameter| selection.takes(&name(parameter)))
}

/// What goes to S3, each name and value strictly encoded, as it is signed (s3 §1.3); empty: nothing.
///
/// A `+` is a space, as S3 reads it. What cannot be signed because it is not UTF-8 means nothing to S3 and is left out.
#[must_use]
pub fn forwarded(query: Option<&str>, behavior: &Behavior) -> String {
    let Some(query) = query.filter(|_| takes_any(behavior)) else { return String::new() };
    let encode = |text: &str| utf8_percent_encode(text, STRICT).to_string();
    let mut parameters = Vec::new();
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if let (Some(name), Some(value)) = (decode(name), decode(value))
            && !name.is_empty()
            && goes(&name, behavior)
        {
            parameters.push((encode(&name), encode(&value)));
        }
    }
    sort_repeated(&mut parameters);
    // S3 signs `a` as `a=`: sent so, all on the way agree.
    let parameters = parameters.iter().map(|(name, value)| format!("{name}={value}"));
    parameters.collect::<Vec<_>>().join("&")
}

/// What goes to an origin that is not a bucket: the parameters that the policies take, as the viewer wrote them; empty:
/// nothing (behaviour §4.4).
#[must_use]
pub fn as_written(query: Option<&str>, behavior: &Behavior) -> String {
    let Some(query) = query.filter(|_| takes_any(behavior)) else { return String::new() };
    let cache = &behavior.cache_policy.query_strings;
    let request =
        behavior.origin_request_policy.as_ref().map_or(&Selection::None, |policy| &policy.query_strings);
    let taken = query.split('&').filter(|parameter| forward::takes(cache, request, &name(parameter)));
    taken.collect::<Vec<_>>().join("&")
}

/// Puts the values of each repeated name in order, and leaves the names where they are. A signature is over sorted
/// names, but not every store sorts equal names by their values, as S3 does: sent in that order, all agree.
fn sort_repeated(parameters: &mut [(String, String)]) {
    let mut sorted = parameters.to_vec();
    sorted.sort();
    let mut places: Vec<_> = (0..parameters.len()).collect();
    places.sort_by(|&a, &b| parameters[a].0.cmp(&parameters[b].0));
    for (place, parameter) in places.into_iter().zip(sorted) {
        parameters[place] = parameter;
    }
}

/// Everything but `A-Z a-z 0-9 - . _ ~` (s3 §1.3).
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn takes_any(behavior: &Behavior) -> bool {
    let request = behavior.origin_request_policy.as_ref();
    !behavior.cache_policy.query_strings.is_none()
        || request.is_some_and(|policy| !policy.query_strings.is_none())
}

/// What decides about the answer must be in the key, and be named: anyone could otherwise choose what everybody gets
/// (s3 §2.6). Without a cache there is no key, and any policy may name it.
fn goes(name: &str, behavior: &Behavior) -> bool {
    let cache = &behavior.cache_policy;
    let request =
        behavior.origin_request_policy.as_ref().map_or(&Selection::None, |policy| &policy.query_strings);
    match s3::parameter(name) {
        Parameter::Operates => false,
        Parameter::Selects if cache.caching_disabled() => {
            cache.query_strings.whitelists(name) || request.whitelists(name)
        }
        Parameter::Selects => cache.query_strings.whitelists(name),
        Parameter::Idle => forward::takes(&cache.query_strings, request, name),
    }
}

fn name(parameter: &str) -> Cow<'_, str> {
    let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
    decode(name).unwrap_or(Cow::Borrowed(name))
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return percent_decode_str(&spaced).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned()));
    }
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests;
