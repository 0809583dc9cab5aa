//! Which variant of an object does this request get?
//!
//! CloudFront's key alone decides, whatever `Vary` says (behaviour §5.5). Here an answer that varies by more than the key
//! holds is kept as one of several variants under that key, told apart by the fields that it names (RFC 9111 §4.1): so no
//! viewer ever gets another one's. What the origin has not been told of cannot have changed its answer.

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, DNT, FORWARDED, HOST,
    ORIGIN, REFERER, USER_AGENT, VARY, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{freshness, key, told, viewer_header};
use crate::config::{Behavior, Selection};
use crate::semantics::fields::Fields;
use crate::semantics::view::View;

/// An answer that varies by more fields than this is nobody else's, and not kept.
pub const MAX_NAMES: usize = 8;

/// What an answer varies by beside what is in the key: by what it names, and by the viewer's credential if the origin was
/// told of it, unless it says that it may be shared all the same (RFC 9111 §3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vary {
    /// Sorted, unique; empty: by nothing.
    By(Vec<HeaderName>),
    /// `*`, too many, or what cannot be told of a later request.
    Any,
}

/// Reads `Vary`. Names that are none are ignored.
#[must_use]
pub fn of(response: &HeaderMap, behavior: &Behavior) -> Vary {
    let mut names = Vec::new();
    for member in response.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|&b| b == b',')) {
        let member = member.trim_ascii();
        if member == b"*" {
            return Vary::Any;
        }
        let Ok(name) = HeaderName::from_bytes(member) else { continue };
        if is_of_connection(&name, behavior) {
            return Vary::Any;
        }
        if selects(&name, behavior) {
            names.push(name);
        }
    }
    if tells_credential(behavior) && !is_public(response, behavior) {
        names.push(AUTHORIZATION);
    }
    let names = union(&names, &[]);
    if names.len() > MAX_NAMES { Vary::Any } else { Vary::By(names) }
}

/// Both, sorted, each once.
#[must_use]
pub fn union(one: &[HeaderName], other: &[HeaderName]) -> Vec<HeaderName> {
    let mut names: Vec<_> = one.iter().chain(other).cloned().collect();
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

/// The fields by which a request selects its variant: the viewer's, and in the place of `CloudFront-*` what the edge makes.
#[must_use]
pub fn selecting(behavior: &Behavior, view: &View<'_, impl Fields>) -> HeaderMap {
    let mut fields = view.headers.to_map();
    let request = behavior.origin_request_policy.iter().flat_map(|policy| &policy.viewer_headers);
    for &header in request {
        // Of what is not made of the request alone no variants are kept: see `is_of_connection`.
        let name = HeaderName::from_static(header.name());
        let value = viewer_header::of_request(header, view);
        match value.and_then(|value| HeaderValue::try_from(&*value).ok()) {
            Some(value) => fields.insert(name, value),
            None => fields.remove(name), // a viewer's own
        };
    }
    if let Some(host) = told::host(view) {
        fields.insert(HOST, host); // HTTP/2 has no such field
    }
    fields
}

/// The key of a variant: the object's own key, and what the `selecting` fields say by these names. A list's members
/// count, not the lines and the spaces it is written with; tags of languages in any case (RFC 9111 §4.1).
#[must_use]
pub fn key(primary: &str, names: &[HeaderName], selecting: &HeaderMap) -> String {
    let mut key = String::with_capacity(primary.len() + 32 * names.len());
    key.push_str(primary);
    key.push(key::SEPARATOR); // an empty part, which no other key has
    for name in names {
        key.push(key::SEPARATOR);
        key.push_str(name.as_str());
        if !selecting.contains_key(name) {
            continue; // not the same as an empty one
        }
        key.push(':');
        let value = normalized(name, selecting);
        if name == COOKIE || name == AUTHORIZATION {
            key.push_str(&key::digest(&value));
        } else {
            key.extend(value.iter().map(|&byte| char::from(byte)));
        }
    }
    key
}

/// `Vary` as a viewer of a custom origin sees it (behaviour §5.5): what the edge does not forward is no business of caches
/// behind it.
#[must_use]
pub fn shown(response: &HeaderMap, behavior: &Behavior) -> Option<HeaderValue> {
    let lines = response.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|&b| b == b','));
    let names = lines.filter_map(|name| std::str::from_utf8(name.trim_ascii()).ok());
    let kept: Vec<_> = names
        .filter(|name| {
            HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| {
                let device = name == USER_AGENT && makes_device(behavior);
                let always = name == ACCEPT_ENCODING || name == COOKIE || name.as_str() == "*";
                always || device || is_told(&name, behavior)
            })
        })
        .collect();
    if kept.is_empty() { None } else { HeaderValue::try_from(kept.join(", ")).ok() }
}

fn normalized(name: &HeaderName, fields: &HeaderMap) -> Vec<u8> {
    let lines: Vec<_> = fields.get_all(name).iter().map(|line| line.as_bytes().trim_ascii()).collect();
    let mut value = lines.join(&b","[..]);
    // Within quotes, spaces and commas mean what they are.
    if !value.contains(&b'"') {
        let members: Vec<_> = value.split(|&b| b == b',').map(<[u8]>::trim_ascii).collect();
        value = members.join(&b","[..]);
    }
    if name == ACCEPT_LANGUAGE {
        value.make_ascii_lowercase();
    }
    value
}

/// Must this field be told apart beside the key?
fn selects(name: &HeaderName, behavior: &Behavior) -> bool {
    // In the key, or the same for all of one key.
    let normalized = behavior.encoding.gzip || behavior.encoding.brotli;
    if behavior.cache_policy.headers.contains(name) || (name == ACCEPT_ENCODING && normalized) {
        return false;
    }
    if name == AUTHORIZATION {
        return tells_credential(behavior);
    }
    is_told(name, behavior) || !is_everybodys(name)
}

/// Does the origin get the viewer's credential, which the key does not hold? A bucket does by the key alone (behaviour §4.5).
fn tells_credential(behavior: &Behavior) -> bool {
    let request = behavior.origin_request_policy.as_ref();
    behavior.asks.custom
        && request.is_some_and(|policy| policy.headers.takes(AUTHORIZATION.as_str()))
        && !behavior.cache_policy.headers.contains(&AUTHORIZATION)
}

/// RFC 9111 §3.5
fn is_public(response: &HeaderMap, behavior: &Behavior) -> bool {
    let control = freshness::control(&behavior.cache_policy, response);
    control.public || control.must_revalidate || control.s_maxage.is_some()
}

/// Does the origin get it, as the viewer sent it or as the edge made it?
fn is_told(name: &HeaderName, behavior: &Behavior) -> bool {
    let request = behavior.origin_request_policy.as_ref();
    let keyed = &behavior.cache_policy;
    if name == COOKIE {
        return keyed.cookies != Selection::All && request.is_some_and(|policy| !policy.cookies.is_none());
    }
    keyed.headers.contains(name)
        || request.is_some_and(|policy| {
            let made = policy.viewer_headers.iter().any(|made| made.name() == name.as_str());
            made || policy.headers.takes(name.as_str())
        })
}

/// The edge makes it, and not of the request alone: what it will be for another viewer cannot be told from theirs.
fn is_of_connection(name: &HeaderName, behavior: &Behavior) -> bool {
    if behavior.asks.custom && name.as_str() == "x-forwarded-for" {
        return true;
    }
    let mut made = behavior.origin_request_policy.iter().flat_map(|policy| &policy.viewer_headers);
    made.any(|made| made.name() == name.as_str() && !made.may_be_keyed())
}

fn makes_device(behavior: &Behavior) -> bool {
    let request = behavior.origin_request_policy.iter().flat_map(|policy| &policy.viewer_headers);
    let made = behavior.cache_policy.viewer_headers.iter().chain(request);
    made.map(|header| header.name()).any(|name| name.starts_with("cloudfront-is-"))
}

/// Browsers and proxies send it of their own accord, each another. An origin that is not told of it and names it all the
/// same, as frameworks do, must not cost every viewer a fetch. Of other fields that costs little, and is never wrong.
fn is_everybodys(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 12] = [
        ACCEPT,
        ACCEPT_CHARSET,
        ACCEPT_ENCODING,
        ACCEPT_LANGUAGE,
        COOKIE,
        DNT,
        FORWARDED,
        HOST,
        ORIGIN,
        REFERER,
        USER_AGENT,
        VIA,
    ];
    const PREFIXES: [&str; 4] = ["access-control-request-", "cloudfront-", "sec-", "x-forwarded-"];
    NAMES.contains(name) || PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
}

#[cfg(test)]
mod tests;
