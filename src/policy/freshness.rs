//! How long does this response live?

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, DATE, EXPIRES};

use crate::clock::Timestamp;
use crate::config::CachePolicy;
use crate::semantics::cache_control::{self, CacheControl, delta_seconds};
use crate::semantics::{date, targeted};

/// `max-age` says at most this much (behaviour §5.1): 100 years.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How long a response is fresh, and what it allows afterwards.
///
/// At any later time its age is `initial_age` plus the time since it arrived, and it is fresh while age < `ttl`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// The age at which it becomes stale. Zero: stale at once. The table of behaviour §5.1 bounds `ttl - initial_age`,
    /// the time spent here; without an upstream `Age` that is `ttl` itself.
    pub ttl: Duration,
    /// How old it was when it arrived, by the upstream's `Age`.
    pub initial_age: Duration,
    /// Once stale, how long it may stand in for an origin that fails (behaviour §5.2). At most `max_ttl`. Zero: never;
    /// `None`: not said, so the default of behaviour §5.3 applies.
    pub stale_if_error: Option<Duration>,
    /// Once stale, how long it may be served while a refresh runs (behaviour §5.2). At most `max_ttl`.
    pub stale_while_revalidate: Option<Duration>,
    /// Once stale it must not be served without asking the origin. `s-maxage` alone does not set this, although
    /// RFC 9111 §5.2.2.10 would: CloudFront serves such objects stale (behaviour §5.3).
    pub must_revalidate: bool,
    /// Kept against its origin's wish, for an origin that cannot be reached and nothing else (behaviour §5.1, retention
    /// note). It is never asked about, only anew: a 304 might be about another viewer's.
    pub last_resort: bool,
}

impl Lifetime {
    /// The origin is asked for every viewer (behaviour §5.1).
    #[must_use]
    pub fn is_never_fresh(&self) -> bool {
        self.ttl <= self.initial_age
    }
}

/// The table of behaviour §5.1 for a response that arrived at `now`.
///
/// With `no-store`, `no-cache` or `private` an object lives for `min_ttl`, that is not at all when it is zero, and is
/// never served stale, no matter what else the response says.
#[must_use]
pub fn lifetime(policy: &CachePolicy, response: &HeaderMap, now: Timestamp) -> Lifetime {
    let control = control(policy, response);
    let initial_age = initial_age(response);
    let unwelcome = is_unwelcome(&control);
    let stay = if unwelcome { policy.min_ttl } else { stay(policy, &control, response, now) };
    let window = |asked: Option<Duration>| asked.map(|asked| asked.min(policy.max_ttl));
    let lifetime = Lifetime {
        ttl: initial_age + stay,
        initial_age,
        stale_if_error: window(control.stale_if_error),
        stale_while_revalidate: window(control.stale_while_revalidate),
        must_revalidate: control.must_revalidate || control.proxy_revalidate,
        last_resort: false,
    };
    match (unwelcome, policy.keep_uncacheable_for_errors) {
        (false, _) => lifetime,
        (true, false) => never_stale(policy, lifetime),
        (true, true) => last_resort(policy, lifetime),
    }
}

/// What a response asks of caches like this one: by `CDN-Cache-Control`, where the owner listens to it, else by
/// `Cache-Control`.
#[must_use]
pub fn control(policy: &CachePolicy, response: &HeaderMap) -> CacheControl {
    targeted_control(policy, response).unwrap_or_else(|| cache_control::parse(response))
}

fn targeted_control(policy: &CachePolicy, response: &HeaderMap) -> Option<CacheControl> {
    if policy.cdn_cache_control { targeted::parse(response) } else { None }
}

/// The origin would rather not have it cached.
#[must_use]
pub fn is_unwelcome(control: &CacheControl) -> bool {
    keeps_out(control) || control.no_cache
}

/// The origin would rather not have it stored, not even to ask about it later.
pub(super) fn keeps_out(control: &CacheControl) -> bool {
    (control.no_store && !control.must_understand) || control.private
}

/// How much longer the response says it is fresh, from `now`: by `s-maxage`, else `max-age`, else `Expires`
/// (RFC 9111 §4.2.1). `None`: it says nothing. At most 100 years.
pub(super) fn remaining(
    policy: &CachePolicy,
    control: &CacheControl,
    response: &HeaderMap,
    now: Timestamp,
) -> Option<Duration> {
    match control.s_maxage.or(control.max_age) {
        Some(age) => Some(age.min(CENTURY).saturating_sub(initial_age(response))),
        // A targeted field that counts silences `Expires`, too (RFC 9213 §2.1).
        None if targeted_control(policy, response).is_some() => None,
        None => expires(response).map(|at| until_expires(at, response, now).min(CENTURY)),
    }
}

/// Never beyond `Expires` by our own clock (behaviour §5.1); and the origin's clock, which `Date` tells, grants no more
/// than what is left of the difference after `Age` (RFC 9111 §4.2.1, §4.2.3).
fn until_expires(at: Timestamp, response: &HeaderMap, now: Timestamp) -> Duration {
    let by_origin = response.get(DATE).and_then(date::parse_loosely).unwrap_or(now);
    at.since(now).min(at.since(by_origin).saturating_sub(initial_age(response)))
}

/// How long it is fresh here, from `now`.
fn stay(policy: &CachePolicy, control: &CacheControl, response: &HeaderMap, now: Timestamp) -> Duration {
    match remaining(policy, control, response, now) {
        // Not `clamp`, which panics should a policy ever have min_ttl > max_ttl.
        Some(remaining) => remaining.min(policy.max_ttl).max(policy.min_ttl),
        None => policy.default_ttl.max(policy.min_ttl),
    }
}

/// The copy that behaviour §5.1's retention note keeps for an unreachable origin is opt-in for private data.
/// So such an answer is kept for the minimum, and not a second longer.
fn never_stale(policy: &CachePolicy, lifetime: Lifetime) -> Lifetime {
    Lifetime {
        ttl: lifetime.initial_age.saturating_add(policy.min_ttl),
        stale_if_error: Some(Duration::ZERO),
        stale_while_revalidate: None,
        must_revalidate: true,
        ..lifetime
    }
}

/// For an origin that cannot be reached, unless it has said how long it may stand in (behaviour §5.1, retention note).
fn last_resort(policy: &CachePolicy, lifetime: Lifetime) -> Lifetime {
    Lifetime {
        ttl: lifetime.initial_age.saturating_add(policy.min_ttl),
        stale_while_revalidate: None,
        last_resort: true,
        ..lifetime
    }
}

/// The first `Expires` (RFC 9111 §4.2.1). One that is no date, `0` above all, is in the past (RFC 9111 §5.3).
fn expires(response: &HeaderMap) -> Option<Timestamp> {
    response.get(EXPIRES).map(|value| date::parse_loosely(value).unwrap_or_default())
}

/// The first member of `Age`; zero when it is no number (RFC 9111 §5.1).
fn initial_age(response: &HeaderMap) -> Duration {
    let first = response.get(AGE).and_then(|value| value.as_bytes().split(|&b| b == b',').next());
    first.and_then(|age| delta_seconds(age.trim_ascii())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
