use http::HeaderValue;

use super::*;

const S3: Asks = Asks { s3: true, custom: false };
use crate::config::ErrorPage;

/// Sun, 06 Nov 1994 08:49:37 GMT
const NOW: Timestamp = Timestamp::from_secs(784_111_777);
const IN_A_MINUTE: &str = "Sun, 06 Nov 1994 08:50:37 GMT";

type Fields<'a> = &'a [(&'static str, &'static str)];

const ALWAYS: [u16; 4] = [500, 502, 503, 504];
const UNLESS_UNWELCOME: [u16; 4] = [404, 410, 414, 501];
const WHEN_TIMED: [u16; 5] = [400, 403, 405, 412, 415];

fn policy(min: u64, default: u64, max: u64) -> CachePolicy {
    CachePolicy {
        name: "test".into(),
        min_ttl: Duration::from_secs(min),
        default_ttl: Duration::from_secs(default),
        max_ttl: Duration::from_secs(max),
        ..CachePolicy::default()
    }
}

fn of(status: u16, fields: Fields<'_>, min_ttl: Option<u64>) -> Option<u64> {
    under(&policy(0, 300, 1000), status, fields, min_ttl)
}

fn under(policy: &CachePolicy, status: u16, fields: Fields<'_>, min_ttl: Option<u64>) -> Option<u64> {
    let mut response = HeaderMap::new();
    for (name, value) in fields {
        response.append(*name, HeaderValue::from_static(value));
    }
    let status = StatusCode::from_u16(status).unwrap();
    let configured = min_ttl.map(|secs| ErrorResponse { min_ttl: Duration::from_secs(secs), page: None });
    ttl(status, &response, policy, configured.as_ref(), S3, NOW).map(|ttl| ttl.as_secs())
}

#[test]
fn which_statuses_are_cached() {
    // behaviour §8.1: columns are no Cache-Control, max-age, s-maxage, Expires only, and each with no-store.
    let headers: [Fields<'_>; 7] = [
        &[],
        &[("cache-control", "max-age=60")],
        &[("cache-control", "s-maxage=60")],
        &[("expires", IN_A_MINUTE)],
        &[("cache-control", "no-store")],
        &[("cache-control", "no-store, max-age=60")],
        &[("cache-control", "public, must-revalidate")],
    ];
    for status in 100..=999 {
        let expected = match status {
            s if ALWAYS.contains(&s) => {
                [Some(10), Some(60), Some(60), Some(60), Some(10), Some(10), Some(10)]
            }
            s if UNLESS_UNWELCOME.contains(&s) => {
                [Some(10), Some(60), Some(60), Some(60), None, None, Some(10)]
            }
            s if WHEN_TIMED.contains(&s) => [None, Some(60), Some(60), None, None, Some(10), None],
            // RFC 9111 §3: what nobody has registered, for its own time only
            400..=599 if StatusCode::from_u16(status).unwrap().canonical_reason().is_none() => {
                [None, Some(60), Some(60), None, None, None, None]
            }
            _ => [None; 7],
        };
        for (fields, expected) in headers.iter().zip(expected) {
            assert_eq!(of(status, fields, None), expected, "{status} {fields:?}");
        }
    }
}

#[test]
fn each_unwelcoming_directive_counts() {
    // behaviour §8.1
    for directive in ["no-store", "no-cache", "private"] {
        let fields = [("cache-control", directive)];
        for status in UNLESS_UNWELCOME {
            assert_eq!(of(status, &fields, None), None, "{status} {directive}");
            assert_eq!(of(status, &fields, Some(60)), None, "{status} {directive}");
        }
        for status in ALWAYS {
            assert_eq!(of(status, &fields, Some(60)), Some(60), "{status} {directive}");
        }
    }
    assert_eq!(of(404, &[("cache-control", "no-cache=\"Set-Cookie\"")], None), Some(10));
}

#[test]
fn the_longer_time_counts() {
    // behaviour §8.1: max(ErrorCachingMinTTL, header), the header limited by max_ttl = 1000.
    let table: &[(Fields<'_>, Option<u64>, u64)] = &[
        (&[], None, 10),
        (&[], Some(300), 300),
        (&[], Some(0), 1),
        (&[], Some(1), 1),
        (&[], Some(5000), 5000),
        (&[("cache-control", "max-age=60")], None, 60),
        (&[("cache-control", "max-age=5")], None, 10),
        (&[("cache-control", "max-age=5")], Some(0), 5),
        (&[("cache-control", "max-age=0")], Some(0), 1),
        (&[("cache-control", "max-age=60")], Some(300), 300),
        (&[("cache-control", "max-age=5000")], None, 1000),
        (&[("cache-control", "max-age=5000")], Some(2000), 2000),
        (&[("cache-control", "max-age=60, s-maxage=90")], None, 90),
        (&[("cache-control", "max-age=90, s-maxage=60")], None, 60),
        (&[("cache-control", "max-age=90"), ("age", "30")], None, 60),
        (&[("cache-control", "max-age=20"), ("expires", IN_A_MINUTE)], None, 20),
        (&[("expires", IN_A_MINUTE)], None, 60),
        (&[("expires", IN_A_MINUTE)], Some(90), 90),
        (&[("expires", "0")], None, 10),
        (&[("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], None, 1000),
    ];
    for (fields, min_ttl, expected) in table {
        assert_eq!(of(404, fields, *min_ttl), Some(*expected), "{fields:?} {min_ttl:?}");
        assert_eq!(of(503, fields, *min_ttl), Some(*expected), "{fields:?} {min_ttl:?}");
    }
}

#[test]
fn a_minimum_does_not_make_a_status_cacheable() {
    // behaviour §8.1
    for status in [401, 403, 416, 429] {
        assert_eq!(of(status, &[], Some(300)), None, "{status}");
    }
}

#[test]
fn a_page_is_kept_with_its_error() {
    // behaviour §8.3; "With a CustomErrorResponse entry for 403 the page is cached for its TTL" (§8.1)
    let page = ErrorPage { path: "/e".into(), status: StatusCode::OK };
    let configured = ErrorResponse { min_ttl: Duration::from_secs(60), page: Some(page) };
    let table: &[(u16, Fields<'_>, Option<u64>)] = &[
        (400, &[], Some(60)),
        (403, &[], Some(60)),
        (405, &[], Some(60)),
        (403, &[("cache-control", "max-age=90")], Some(90)),
        (403, &[("cache-control", "no-store")], None),
        (404, &[("cache-control", "no-store")], None),
        (416, &[], None), // never
    ];
    for (status, fields, expected) in table {
        let response =
            fields.iter().map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v))).collect();
        let status = StatusCode::from_u16(*status).unwrap();
        let found = ttl(status, &response, &policy(0, 300, 1000), Some(&configured), S3, NOW);
        assert_eq!(found.map(|ttl| ttl.as_secs()), *expected, "{status} {fields:?}");
    }
}

#[test]
fn the_policys_own_times_do_not_count() {
    // behaviour §5.1: "Error TTLs: section 8.1, not this table."
    assert_eq!(under(&policy(500, 600, 1000), 404, &[], None), Some(10));
    assert_eq!(under(&policy(500, 600, 1000), 404, &[("cache-control", "max-age=60")], None), Some(60));
}

#[test]
fn nothing_is_cached_when_caching_is_disabled() {
    // behaviour §8.1
    for status in 400..=599 {
        for fields in [&[][..], &[("cache-control", "max-age=60")]] {
            assert_eq!(under(&policy(0, 0, 0), status, fields, Some(300)), None, "{status}");
        }
    }
}

#[test]
fn zero_is_zero_with_a_custom_origin() {
    // behaviour §8.1
    let configured = ErrorResponse { min_ttl: Duration::ZERO, page: None };
    for (asks, expected) in [(S3, 1), (Asks { s3: false, custom: true }, 0)] {
        let found = ttl(
            StatusCode::NOT_FOUND,
            &HeaderMap::new(),
            &policy(0, 300, 1000),
            Some(&configured),
            asks,
            NOW,
        );
        assert_eq!(found, Some(Duration::from_secs(expected)), "{asks:?}");
    }
}

#[test]
fn what_must_be_understood_and_is_not_is_not_kept() {
    // RFC 9111 §5.2.2.3
    let timed = |value| under(&policy(0, 300, 1000), 599, &[("cache-control", value)], None);
    assert_eq!(timed("max-age=60"), Some(60));
    assert_eq!(timed("max-age=60, must-understand"), None);
}
