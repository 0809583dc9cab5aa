use http::HeaderValue;

use super::*;

/// Sun, 06 Nov 1994 08:49:37 GMT
const NOW: Timestamp = Timestamp::from_secs(784_111_777);
const IN_A_MINUTE: &str = "Sun, 06 Nov 1994 08:50:37 GMT";
const A_MINUTE_AGO: &str = "Sun, 06 Nov 1994 08:48:37 GMT";

type Fields = &'static [(&'static str, &'static str)];

fn policy(min: u64, default: u64, max: u64) -> CachePolicy {
    CachePolicy {
        name: "test".into(),
        min_ttl: Duration::from_secs(min),
        default_ttl: Duration::from_secs(default),
        max_ttl: Duration::from_secs(max),
        ..CachePolicy::default()
    }
}

fn of(policy: &CachePolicy, fields: Fields) -> Lifetime {
    let mut response = HeaderMap::new();
    for (name, value) in fields {
        response.append(*name, HeaderValue::from_static(value));
    }
    lifetime(policy, &response, NOW)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[track_caller]
fn check(policy: &CachePolicy, table: &[(Fields, u64)]) {
    for (fields, expected) in table {
        assert_eq!(of(policy, fields).ttl, secs(*expected), "{fields:?} under {policy:?}");
    }
}

#[test]
fn without_a_minimum() {
    // behaviour §5.1, column m = 0
    check(
        &policy(0, 300, 1000),
        &[
            (&[("cache-control", "max-age=60")], 60),
            (&[("cache-control", "max-age=2000")], 1000),
            (&[("cache-control", "max-age=0")], 0),
            (&[("cache-control", "max-age=60, s-maxage=90")], 90),
            (&[("cache-control", "max-age=60, s-maxage=0")], 0),
            (&[("cache-control", "max-age=60, s-maxage=2000")], 1000),
            (&[("cache-control", "s-maxage=90")], 90),
            (&[("cache-control", "s-maxage=2000")], 1000),
            (&[("expires", IN_A_MINUTE)], 60),
            (&[("expires", A_MINUTE_AGO)], 0),
            (&[("expires", "Sun, 06 Nov 2094 08:49:37 GMT")], 1000), // another weekday: the date counts
            (&[("expires", "Sat, 06 Nov 2094 08:49:37 GMT")], 1000),
            (&[("cache-control", "max-age=90"), ("expires", IN_A_MINUTE)], 90),
            (&[("cache-control", "max-age=0"), ("expires", IN_A_MINUTE)], 0),
            (&[("cache-control", "s-maxage=90"), ("expires", IN_A_MINUTE)], 90),
            (&[("cache-control", "public"), ("expires", IN_A_MINUTE)], 60),
            (&[], 300),
            (&[("cache-control", "public, immutable")], 300),
            (&[("cache-control", "must-revalidate")], 300),
            (&[("cache-control", "no-cache=\"Set-Cookie\"")], 300),
            (&[("cache-control", "private=\"X-A\", max-age=60")], 60),
            (&[("pragma", "no-cache")], 300), // behaviour §5.6
            (&[("cache-control", "no-cache")], 0),
            (&[("cache-control", "no-store")], 0),
            (&[("cache-control", "private")], 0),
            (&[("cache-control", "no-store, max-age=60")], 0),
            (&[("cache-control", "private, s-maxage=60"), ("expires", IN_A_MINUTE)], 0),
        ],
    );
}

#[test]
fn with_a_minimum() {
    // behaviour §5.1, column m > 0
    check(
        &policy(100, 300, 1000),
        &[
            (&[("cache-control", "max-age=60")], 100),
            (&[("cache-control", "max-age=200")], 200),
            (&[("cache-control", "max-age=2000")], 1000),
            (&[("cache-control", "max-age=200, s-maxage=60")], 100),
            (&[("cache-control", "max-age=60, s-maxage=200")], 200),
            (&[("cache-control", "s-maxage=2000")], 1000),
            (&[("expires", IN_A_MINUTE)], 100),
            (&[("expires", A_MINUTE_AGO)], 100),
            (&[("expires", "Sun, 06 Nov 1994 08:54:37 GMT")], 300),
            (&[("expires", "Sat, 06 Nov 2094 08:49:37 GMT")], 1000),
            (&[("cache-control", "max-age=200"), ("expires", IN_A_MINUTE)], 200),
            (&[], 300),
            (&[("cache-control", "public")], 300),
            (&[("cache-control", "no-cache")], 100),
            (&[("cache-control", "no-store")], 100),
            (&[("cache-control", "private, max-age=500")], 100),
        ],
    );
    check(&policy(500, 300, 1000), &[(&[], 500)]);
}

#[test]
fn with_all_zero() {
    // behaviour §5.1, last row
    check(
        &policy(0, 0, 0),
        &[(&[], 0), (&[("cache-control", "max-age=60")], 0), (&[("expires", IN_A_MINUTE)], 0)],
    );
}

#[test]
fn the_default_is_not_limited_by_the_maximum() {
    // behaviour §5.1: M applies only when the origin names a time.
    check(&policy(0, 300, 100), &[(&[], 300)]);
}

#[test]
fn an_expires_that_is_no_date_has_passed() {
    // RFC 9111 §5.3, §4.2.1
    let table: &[(Fields, u64)] = &[
        (&[("expires", "0")], 0),
        (&[("expires", "-1")], 0),
        (&[("expires", "")], 0),
        (&[("expires", "tomorrow")], 0),
        (&[("expires", "0"), ("expires", IN_A_MINUTE)], 0),
        (&[("expires", IN_A_MINUTE), ("expires", "0")], 60),
    ];
    check(&policy(0, 300, 1000), table);
    check(&policy(10, 300, 1000), &[(&[("expires", "0")], 10)]);
}

#[test]
fn a_century_is_the_most() {
    // behaviour §5.1
    let century = 3_153_600_000;
    let table: &[(Fields, u64)] = &[
        (&[("cache-control", "max-age=3153599999")], century - 1),
        (&[("cache-control", "max-age=3153600001")], century),
        (&[("cache-control", "s-maxage=99999999999999999999999")], century),
        (&[("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], century),
    ];
    check(&policy(0, 0, u64::from(u32::MAX)), table);
}

#[test]
fn age_counts_against_what_the_origin_grants() {
    // RFC 9111 §4.2.3. Our own times count from arrival, and the policy bounds the time spent here.
    let stay = |policy: &CachePolicy, fields| {
        let lifetime = of(policy, fields);
        assert_eq!(lifetime.initial_age, secs(30), "{fields:?}");
        lifetime.ttl - lifetime.initial_age
    };
    let table: &[(Fields, u64, u64)] = &[
        (&[("age", "30"), ("cache-control", "max-age=90")], 60, 100),
        (&[("age", "30"), ("cache-control", "s-maxage=250")], 220, 220),
        (&[("age", "30"), ("cache-control", "max-age=20")], 0, 100),
        (&[("age", "30"), ("cache-control", "max-age=9000")], 1000, 1000),
        (&[("age", "30"), ("expires", IN_A_MINUTE)], 30, 100),
        (&[("age", "30")], 300, 300),
        (&[("age", "30"), ("cache-control", "no-cache")], 0, 100),
    ];
    for (fields, without_minimum, with_minimum) in table {
        assert_eq!(stay(&policy(0, 300, 1000), fields), secs(*without_minimum), "{fields:?}");
        assert_eq!(stay(&policy(100, 300, 1000), fields), secs(*with_minimum), "{fields:?}");
    }
}

#[test]
fn an_age_that_is_no_number_is_zero() {
    // RFC 9111 §5.1
    let table: &[(Fields, u64)] = &[
        (&[], 0),
        (&[("age", "30")], 30),
        (&[("age", "30, 40")], 30),
        (&[("age", "30"), ("age", "40")], 30),
        (&[("age", "-30")], 0),
        (&[("age", "+30")], 0),
        (&[("age", "1.5")], 0),
        (&[("age", "")], 0),
        (&[("age", "x, 30")], 0),
        (&[("age", "99999999999999999999999")], 4_294_967_295),
    ];
    for (fields, expected) in table {
        assert_eq!(of(&policy(0, 300, 1000), fields).initial_age, secs(*expected), "{fields:?}");
    }
}

#[test]
fn stale_windows_are_limited_by_the_maximum() {
    // behaviour §5.2
    let table: &[(Fields, Option<u64>, Option<u64>)] = &[
        (&[], None, None),
        (&[("cache-control", "max-age=5, stale-while-revalidate=60")], Some(60), None),
        (&[("cache-control", "max-age=5, stale-if-error=60")], None, Some(60)),
        (&[("cache-control", "stale-while-revalidate=9000, stale-if-error=9000")], Some(1000), Some(1000)),
        (&[("cache-control", "stale-if-error=0")], None, Some(0)),
    ];
    for (fields, revalidate, error) in table {
        let lifetime = of(&policy(0, 300, 1000), fields);
        assert_eq!(lifetime.stale_while_revalidate, revalidate.map(secs), "{fields:?}");
        assert_eq!(lifetime.stale_if_error, error.map(secs), "{fields:?}");
    }
}

#[test]
fn must_revalidate_comes_from_either_directive() {
    let table: &[(Fields, bool)] = &[
        (&[("cache-control", "max-age=5, must-revalidate")], true),
        (&[("cache-control", "max-age=5, proxy-revalidate")], true),
        (&[("cache-control", "max-age=5")], false),
        (&[("cache-control", "s-maxage=5")], false),
    ];
    for (fields, expected) in table {
        assert_eq!(of(&policy(0, 300, 1000), fields).must_revalidate, *expected, "{fields:?}");
    }
}

#[test]
fn what_is_unwelcome_is_never_served_stale() {
    // behaviour §5.1, retention note; RFC 9111 §4.2.4
    for directive in ["no-store", "no-cache", "private"] {
        let control = format!("{directive}, stale-while-revalidate=60, stale-if-error=60");
        let response =
            HeaderMap::from_iter([(http::header::CACHE_CONTROL, HeaderValue::try_from(control).unwrap())]);
        let kept_for = |ttl| Lifetime {
            ttl,
            initial_age: Duration::ZERO,
            stale_if_error: Some(Duration::ZERO),
            stale_while_revalidate: None,
            must_revalidate: true,
            last_resort: false,
        };
        assert_eq!(lifetime(&policy(0, 300, 1000), &response, NOW), kept_for(Duration::ZERO), "{directive}");
        assert_eq!(lifetime(&policy(100, 300, 1000), &response, NOW), kept_for(secs(100)), "{directive}");
    }
}

#[test]
fn a_policy_with_its_bounds_swapped_does_not_panic() {
    check(&policy(100, 0, 10), &[(&[("cache-control", "max-age=60")], 100)]);
}

#[test]
fn expires_counts_by_the_origins_clock_and_never_beyond_itself_by_ours() {
    // RFC 9111 §4.2.1, §4.2.3; behaviour §5.1
    const FAST: &str = "Sun, 06 Nov 1994 08:49:47 GMT"; // ten seconds ahead of us
    const FASTER: &str = "Sun, 06 Nov 1994 08:51:37 GMT";
    const SLOW: &str = "Sun, 06 Nov 1994 08:49:27 GMT";
    let table: &[(Fields, u64)] = &[
        (&[("expires", IN_A_MINUTE), ("date", FAST)], 50),
        (&[("expires", IN_A_MINUTE), ("date", FASTER)], 0),
        (&[("expires", IN_A_MINUTE), ("date", SLOW)], 60),
        (&[("expires", IN_A_MINUTE), ("date", "foo")], 60),
        (&[("expires", IN_A_MINUTE), ("date", SLOW), ("age", "65")], 5),
        (&[("expires", IN_A_MINUTE), ("date", FAST), ("age", "45")], 5),
        (&[("expires", IN_A_MINUTE), ("date", FAST), ("age", "55")], 0),
        (&[("expires", "sun, 06 NOV 1994 08:50:37 gmt")], 60), // RFC 9111 §4.2
    ];
    for (fields, expected) in table {
        let lifetime = of(&policy(0, 300, 1000), fields);
        assert_eq!(lifetime.ttl - lifetime.initial_age, secs(*expected), "{fields:?}");
    }
}

#[test]
fn a_cache_that_must_understand_may_store() {
    // RFC 9111 §5.2.2.3
    check(&policy(0, 300, 1000), &[(&[("cache-control", "max-age=60, no-store, must-understand")], 60)]);
}

#[test]
fn a_targeted_field_beats_the_others_where_the_owner_listens_to_it() {
    let deaf = policy(0, 300, 1000);
    let listening = CachePolicy { cdn_cache_control: true, ..policy(0, 300, 1000) };
    // RFC 9213 §2.1: fields, without listening, listening
    let table: &[(Fields, u64, u64)] = &[
        (&[("cdn-cache-control", "max-age=60")], 300, 60),
        (&[("cdn-cache-control", "max-age=60"), ("cache-control", "no-store")], 0, 60),
        (&[("cdn-cache-control", "max-age=60"), ("cache-control", "max-age=5")], 5, 60),
        (&[("cdn-cache-control", "no-store"), ("cache-control", "max-age=5")], 5, 0),
        (&[("cdn-cache-control", "max-age=60"), ("expires", A_MINUTE_AGO)], 0, 60),
        (&[("cdn-cache-control", "must-revalidate"), ("expires", A_MINUTE_AGO)], 0, 300),
        (&[("cdn-cache-control", "max-age=60, &&"), ("cache-control", "max-age=5")], 5, 5),
        (&[("cdn-cache-control", "max-age=9000")], 300, 1000), // behaviour §5.1
    ];
    for (fields, without, with) in table {
        assert_eq!(of(&deaf, fields).ttl, secs(*without), "{fields:?}");
        assert_eq!(of(&listening, fields).ttl, secs(*with), "{fields:?}");
    }
}

#[test]
fn what_is_unwelcome_may_be_a_last_resort() {
    // behaviour §5.1, retention note
    let policy = CachePolicy { keep_uncacheable_for_errors: true, ..policy(0, 300, 1000) };
    let table: &[(Fields, Option<u64>, bool)] = &[
        (&[("cache-control", "no-store")], None, false),
        (&[("cache-control", "private, stale-if-error=0")], Some(0), false),
        (&[("cache-control", "no-cache, stale-if-error=60, must-revalidate")], Some(60), true),
    ];
    for (fields, stale_if_error, must_revalidate) in table {
        let expected = Lifetime {
            last_resort: true,
            stale_if_error: stale_if_error.map(secs),
            must_revalidate: *must_revalidate,
            ..Lifetime::default()
        };
        assert_eq!(of(&policy, fields), expected, "{fields:?}");
    }
    assert!(!of(&policy, &[("cache-control", "max-age=60")]).last_resort);
}
