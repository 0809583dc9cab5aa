//! What may we do with what the cache has, now?

use std::sync::Arc;
use std::time::Duration;

use super::admission::NotStored;
use crate::cache::memory::Entry;
use crate::cache::object::Object;
use crate::clock::Timestamp;
use crate::origin::error::OriginError;

/// What the cache says to a request.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// It is the answer.
    Serve(Arc<Object>),
    /// It is the answer for now, and its origin is to be asked behind the viewer's back (behaviour §5.2).
    ServeAndRefresh(Arc<Object>),
    /// The origin's refusal is the answer (behaviour §8.1).
    Refuse(OriginError),
    /// Fetch for this viewer alone.
    Pass(NotStored),
    /// Fetch for this viewer alone and keep what comes: it is never fresh, so nobody need wait for another's question
    /// (behaviour §5.7). What is there may be confirmed by a 304, or stand in for a failing origin.
    Ask(Arc<Object>),
    /// Fetch; what is there may be confirmed by a 304, or stand in for a failing origin.
    Fetch(Option<Arc<Object>>),
}

/// `max_ttl` is the behaviour's: after it an object is gone, whatever else is said (behaviour §5.2, §5.3).
#[must_use]
pub fn decide(entry: Option<Entry>, max_ttl: Duration, now: Timestamp) -> Lookup {
    match entry {
        // A slice's key is no request's.
        None | Some(Entry::Slice(_)) => Lookup::Fetch(None),
        Some(Entry::Error { error, until, .. }) if now < until => Lookup::Refuse(error),
        Some(Entry::NotStored { why, until }) if now < until => Lookup::Pass(why),
        Some(Entry::Error { behind: Some(object), .. }) => Lookup::Ask(object),
        // Variants have been told apart by now.
        Some(Entry::Error { .. } | Entry::NotStored { .. } | Entry::Varies(_)) => Lookup::Fetch(None),
        Some(Entry::Object(object)) => {
            let age = object.age(now);
            if age < object.lifetime.ttl || object.served_stale_until.is_some_and(|until| now < until) {
                Lookup::Serve(object)
            } else if !object.lifetime.must_revalidate
                && within(age, object.lifetime.ttl, object.lifetime.stale_while_revalidate, max_ttl)
            {
                Lookup::ServeAndRefresh(object)
            } else if object.lifetime.is_never_fresh() {
                Lookup::Ask(object)
            } else {
                Lookup::Fetch(Some(object))
            }
        }
    }
}

/// May an expired object stand in for a failing origin (behaviour §5.2, §5.3)? Yes without directives, up to
/// `max_ttl`; `stale-if-error` narrows it, `must-revalidate` forbids it (RFC 9111 §5.2.2.2). A copy that is kept as a last
/// resort only stands in for an origin that is `silent`: one that gives no answer at all (behaviour §5.1).
#[must_use]
pub fn may_stand_in(object: &Object, max_ttl: Duration, now: Timestamp, silent: bool) -> bool {
    let lifetime = &object.lifetime;
    let age = object.age(now);
    if lifetime.must_revalidate || (lifetime.last_resort && !silent) {
        return false;
    }
    match lifetime.stale_if_error {
        Some(_) => within(age, lifetime.ttl, lifetime.stale_if_error, max_ttl),
        None => age < max_ttl.max(lifetime.ttl),
    }
}

/// Is `age` within `window` after the end of `ttl`, and within `max_ttl` in all?
fn within(age: Duration, ttl: Duration, window: Option<Duration>, max_ttl: Duration) -> bool {
    window.is_some_and(|window| age < ttl.saturating_add(window) && age < max_ttl.max(ttl))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::cache::object::Head;
    use crate::policy::freshness::Lifetime;

    const MAX: Duration = Duration::from_secs(1000);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn object(lifetime: Lifetime) -> Arc<Object> {
        let head = Head::new(StatusCode::OK, &HeaderMap::new());
        Arc::new(Object::new(head, lifetime, Timestamp::from_secs(100), Box::default()))
    }

    fn word(lookup: &Lookup) -> &'static str {
        match lookup {
            Lookup::Serve(_) => "serve",
            Lookup::ServeAndRefresh(_) => "refresh",
            Lookup::Refuse(_) => "refuse",
            Lookup::Pass(_) => "pass",
            Lookup::Ask(_) => "ask",
            Lookup::Fetch(None) => "fetch",
            Lookup::Fetch(Some(_)) => "revalidate",
        }
    }

    #[test]
    fn an_object_is_served_until_its_time_is_over() {
        let plain = Lifetime { ttl: secs(60), ..Lifetime::default() };
        let aged = Lifetime { initial_age: secs(50), ..plain };
        let swr = Lifetime { stale_while_revalidate: Some(secs(30)), ..plain };
        let swr_long = Lifetime { stale_while_revalidate: Some(secs(5000)), ..plain };
        let table = [
            (plain, 159, "serve"),
            (plain, 160, "revalidate"),
            (aged, 109, "serve"), // Age from upstream counts
            (aged, 110, "revalidate"),
            (Lifetime::default(), 100, "ask"), // behaviour §5.1, §5.7
            (Lifetime { must_revalidate: true, ..swr }, 161, "revalidate"), // RFC 9111 §5.2.2.2
            (swr, 189, "refresh"),             // behaviour §5.2
            (swr, 190, "revalidate"),
            (swr_long, 1099, "refresh"),
            (swr_long, 1100, "revalidate"), // behaviour §5.2: limited by MaxTTL
        ];
        for (lifetime, now, expected) in table {
            let found = decide(Some(Entry::Object(object(lifetime))), MAX, Timestamp::from_secs(now));
            assert_eq!(word(&found), expected, "{lifetime:?} at {now}");
        }
    }

    #[test]
    fn errors_and_markers_hold_until_their_time() {
        let until = Timestamp::from_secs(110);
        let error = Entry::Error { error: OriginError::ReadTimeout, until, behind: None };
        let marker = Entry::NotStored { why: NotStored::TooLarge, until };
        let table = [
            (&error, 109, "refuse"),
            (&error, 110, "fetch"),
            (&marker, 109, "pass"),
            (&marker, 110, "fetch"),
        ];
        for (entry, now, expected) in table {
            assert_eq!(word(&decide(Some(entry.clone()), MAX, Timestamp::from_secs(now))), expected);
        }
        assert_eq!(word(&decide(None, MAX, Timestamp::from_secs(0))), "fetch");
    }

    #[test]
    fn a_stale_object_is_left_alone_for_a_while_after_an_error() {
        // behaviour §5.3: for ErrorCachingMinTTL, then the origin is tried again.
        let stale = object(Lifetime { ttl: secs(1), ..Lifetime::default() });
        let stale = Arc::new(stale.stale_until(Timestamp::from_secs(210)));
        let at = |now| word(&decide(Some(Entry::Object(Arc::clone(&stale))), MAX, Timestamp::from_secs(now)));
        assert_eq!(at(209), "serve");
        assert_eq!(at(210), "revalidate");
    }

    #[test]
    fn when_an_expired_object_may_stand_in() {
        let plain = Lifetime { ttl: secs(60), ..Lifetime::default() };
        let table = [
            (plain, 1099, true), // behaviour §5.3: without directives, up to MaxTTL
            (plain, 1100, false),
            (Lifetime { stale_if_error: Some(secs(0)), ..plain }, 160, false), // behaviour §5.2: opts out
            (Lifetime { stale_if_error: Some(secs(20)), ..plain }, 179, true),
            (Lifetime { stale_if_error: Some(secs(20)), ..plain }, 180, false),
            (Lifetime { must_revalidate: true, ..plain }, 161, false), // RFC 9111 §5.2.2.2
        ];
        for (lifetime, now, expected) in table {
            for silent in [true, false] {
                let found = may_stand_in(&object(lifetime), MAX, Timestamp::from_secs(now), silent);
                assert_eq!(found, expected, "{lifetime:?} at {now}");
            }
        }
        let kept = object(Lifetime { last_resort: true, ..Lifetime::default() });
        for silent in [true, false] {
            // behaviour §5.1, retention note
            assert_eq!(may_stand_in(&kept, MAX, Timestamp::from_secs(200), silent), silent);
        }
    }
}
