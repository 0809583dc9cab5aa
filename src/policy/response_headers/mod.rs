//! What does a behaviour's response headers policy make of a response (behaviour §9.2)?
//!
//! First what is removed, then what is added: CORS, security headers, custom headers. It is done for each viewer's
//! response and never stored, so a hit and a miss carry the same.
//!
//! Choices where the book is silent: an answer of the edge's own (a redirect, a refusal, an origin that cannot be
//! reached) gets CORS and security headers, since a script should be able to read an error and a page should be safe.
//! It gets neither custom headers nor removals: a `Cache-Control` that is meant for objects must not make a browser
//! keep an error or a redirect, and a removal must not take `Location` away. An error answer of the origin is the
//! origin's, and gets everything.

mod cors;
pub mod server_timing;
#[cfg(test)]
mod tests;

use http::{HeaderMap, Method};

use crate::config::response_headers::{ResponseHeadersPolicy, SetHeader};

/// What of the viewer's request the policy looks at.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
}

/// Whose response it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// The origin's, whether it comes from there or from the cache.
    Origin,
    /// A 304, of which the origin's `Content-*` fields are left out: whether it has one is not known.
    OriginUnchanged,
    Edge,
}

/// Changes `headers`, which are as the origin or the edge made them, and do not have what the edge adds to every
/// response. `Server-Timing` is [`server_timing`]'s.
pub fn apply(policy: &ResponseHeadersPolicy, asked: Asked<'_>, maker: Maker, headers: &mut HeaderMap) {
    if maker != Maker::Edge {
        for name in &policy.remove {
            headers.remove(name);
        }
    }
    if let Some(cors) = &policy.cors {
        cors::apply(cors, asked, headers);
    }
    let custom = if maker == Maker::Edge { &[] } else { policy.custom.as_slice() };
    for header in policy.security.iter().chain(custom) {
        set(header, maker, headers);
    }
}

/// behaviour §9.3
fn set(header: &SetHeader, maker: Maker, headers: &mut HeaderMap) {
    let is_unknown = maker == Maker::OriginUnchanged && header.name.as_str().starts_with("content-");
    if header.overrides || !(is_unknown || headers.contains_key(&header.name)) {
        headers.insert(&header.name, header.value.clone());
    }
}
