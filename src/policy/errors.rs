//! Is this error remembered, and how long?

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::freshness::{control, is_unwelcome, remaining};
use crate::clock::Timestamp;
use crate::config::{Asks, CachePolicy, ErrorResponse};

/// `ErrorCachingMinTTL` of a status that was given none (behaviour §8.1).
const DEFAULT_MIN_TTL: Duration = Duration::from_secs(10);
/// What a configured zero comes to with an S3 origin (behaviour §8.1).
const LEAST_MIN_TTL: Duration = Duration::from_secs(1);

/// How long an origin's error answer to a GET, HEAD or cacheable OPTIONS is kept, from `now` (behaviour §8.1).
/// `None`: it is not cached. `configured` is for this very status; a page is cached with its error (behaviour §8.3), so
/// it makes a status cacheable that otherwise would need a time of its own. `asks`: whose error it may be.
#[must_use]
pub fn ttl(
    status: StatusCode,
    response: &HeaderMap,
    policy: &CachePolicy,
    configured: Option<&ErrorResponse>,
    asks: Asks,
    now: Timestamp,
) -> Option<Duration> {
    if policy.caching_disabled() {
        return None;
    }
    let control = control(policy, response);
    let unwelcome = is_unwelcome(&control);
    let has_page = configured.is_some_and(|configured| configured.page.is_some());
    match rule(status) {
        Rule::Always => {}
        Rule::UnlessUnwelcome if !unwelcome => {}
        Rule::WhenTimed if control.max_age.or(control.s_maxage).is_some() => {}
        Rule::WhenTimedAndWelcome
            if !unwelcome && !control.must_understand && control.max_age.or(control.s_maxage).is_some() => {}
        Rule::WhenTimed if has_page && !unwelcome => {}
        Rule::UnlessUnwelcome | Rule::WhenTimed | Rule::WhenTimedAndWelcome | Rule::Never => return None,
    }
    let least = min_ttl(configured).max(if asks.s3 { LEAST_MIN_TTL } else { Duration::ZERO });
    // `no-store` and the like do not keep the others out, but with one of them no longer time counts.
    let asked = if unwelcome { None } else { remaining(policy, &control, response, now) };
    Some(asked.map_or(least, |asked| asked.min(policy.max_ttl).max(least)))
}

/// `ErrorCachingMinTTL` as configured for a status.
#[must_use]
pub fn min_ttl(configured: Option<&ErrorResponse>) -> Duration {
    configured.map_or(DEFAULT_MIN_TTL, |configured| configured.min_ttl)
}

/// Which statuses are cached (behaviour §8.1, first table).
enum Rule {
    Always,
    /// `no-store`, `no-cache` or `private` keep it out.
    UnlessUnwelcome,
    /// Only with `max-age` or `s-maxage`, or with a page.
    WhenTimed,
    /// The same, but `no-store`, `no-cache` or `private` keep it out, and `must-understand`, for nobody here does
    /// (RFC 9111 §5.2.2.3).
    WhenTimedAndWelcome,
    Never,
}

fn rule(status: StatusCode) -> Rule {
    match status.as_u16() {
        500 | 502 | 503 | 504 => Rule::Always,
        // 410 is named only among those that no-store keeps out, which presumes that it is cached.
        404 | 410 | 414 | 501 => Rule::UnlessUnwelcome,
        400 | 403 | 405 | 412 | 415 => Rule::WhenTimed,
        // No list names what nobody has registered, and RFC 9111 §3 lets its own time decide.
        400..=599 if status.canonical_reason().is_none() => Rule::WhenTimedAndWelcome,
        _ => Rule::Never,
    }
}

#[cfg(test)]
mod tests;
