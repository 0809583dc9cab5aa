use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn parsed(fields: &[&str]) -> CacheControl {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(CACHE_CONTROL, HeaderValue::from_str(field).unwrap());
    }
    parse(&headers)
}

fn secs(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n))
}

#[test]
fn reads_each_directive() {
    let none = CacheControl::default;
    let table: &[(&[&str], CacheControl)] = &[
        (&[], none()),
        (&[""], none()),
        (&["public, immutable, x=1"], CacheControl { public: true, ..none() }),
        (&["no-transform"], CacheControl { no_transform: true, ..none() }),
        (&["no-store"], CacheControl { no_store: true, ..none() }),
        (&["no-cache"], CacheControl { no_cache: true, ..none() }),
        (&["private"], CacheControl { private: true, ..none() }),
        (&["must-revalidate"], CacheControl { must_revalidate: true, ..none() }),
        (&["proxy-revalidate"], CacheControl { proxy_revalidate: true, ..none() }),
        (&["max-age=60"], CacheControl { max_age: secs(60), ..none() }),
        (&["s-maxage=60"], CacheControl { s_maxage: secs(60), ..none() }),
        (&["stale-while-revalidate=60"], CacheControl { stale_while_revalidate: secs(60), ..none() }),
        (&["stale-if-error=60"], CacheControl { stale_if_error: secs(60), ..none() }),
        // RFC 9110 §5.3: several fields are one list.
        (
            &["public", "max-age=1", "no-store , s-maxage=2"],
            CacheControl { public: true, no_store: true, max_age: secs(1), s_maxage: secs(2), ..none() },
        ),
        // RFC 9111 §5.2: names in any case, both forms of an argument.
        (&["MAX-Age=60,No-Store"], CacheControl { no_store: true, max_age: secs(60), ..none() }),
        (&["max-age=\"60\", private"], CacheControl { private: true, max_age: secs(60), ..none() }),
        (&["max-age=\"6\\0\""], CacheControl { max_age: secs(60), ..none() }),
        // RFC 9110 §5.6.1: empty elements; spaces that should not be there.
        (&[",, ,no-store,,max-age = 5 ,"], CacheControl { no_store: true, max_age: secs(5), ..none() }),
        (&["=5,no-store"], CacheControl { no_store: true, ..none() }),
        // Not these words.
        (&["no-stored, xno-store, no-store-x, max-ages=5"], none()),
    ];
    for (fields, expected) in table {
        assert_eq!(&parsed(fields), expected, "{fields:?}");
    }
}

#[test]
fn field_names_qualify_no_cache_and_private() {
    // behaviour §5.1; RFC 9111 §5.2.2.4, §5.2.2.7: both forms of the argument are accepted.
    let table = [
        ("no-cache=\"Set-Cookie\"", false),
        ("no-cache=\"Set-Cookie, X-Other\"", false),
        ("no-cache=\"a,,b,\"", false),
        ("no-cache=Set-Cookie", false),
        ("no-cache", true),
        ("no-cache=\"Set-Cookie\", no-cache", true),
        ("no-cache, no-cache=\"Set-Cookie\"", true),
        ("no-cache=", true),
        ("no-cache=\"\"", true),
        ("no-cache=\" , \"", true),
        ("no-cache=\"no field\"", true),
        ("no-cache=\"Set-Cookie", true),
    ];
    for (field, expected) in table {
        assert_eq!(parsed(&[field]).no_cache, expected, "{field}");
        assert_eq!(parsed(&[&field.replace("no-cache", "private")]).private, expected, "{field}");
    }
}

#[test]
fn quotes_hide_only_what_they_enclose() {
    let table = [
        ("x=\"no-store, max-age=5\"", false),
        ("x=\"a\\\", no-store\"", false),
        ("x=\"\\\\\", no-store", true),
        ("x=\"a\"junk, no-store", true),
        ("x=\"a, no-store", true),
        ("x=\"a\\", false),
        ("x\"a, no-store, b\"", true),
    ];
    for (field, expected) in table {
        let control = parsed(&[field]);
        assert_eq!(control.no_store, expected, "{field}");
        assert_eq!(control.max_age, None, "{field}");
    }
    // Each field ends its own quotes.
    assert!(parsed(&["x=\"a", "no-store", "b\""]).no_store);
}

#[test]
fn times_are_clamped_and_garbage_is_stale() {
    // RFC 9111 §1.2.2, §4.2.1
    let table = [
        ("max-age=0", 0),
        ("max-age=00060", 60),
        ("max-age=3153600000", 3_153_600_000),
        ("max-age=4294967296", LONGEST),
        ("max-age=99999999999999999999999999", LONGEST),
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age=\"\"", 0),
        ("max-age=-1", 0),
        ("max-age=+60", 0),
        ("max-age=1.5", 0),
        ("max-age=60s", 0),
        ("max-age=6 0", 0),
        ("max-age=\"60", 0),
        ("max-age=1, max-age=2", 1),
        ("max-age=2, max-age=1", 2),
        ("max-age=x, max-age=60", 0),
    ];
    for (field, expected) in table {
        assert_eq!(parsed(&[field]).max_age, secs(expected), "{field}");
        let stale = parsed(&[&field.replace("max-age", "stale-if-error")]);
        assert_eq!(stale.stale_if_error, secs(expected), "{field}");
    }
    assert_eq!(parsed(&["max-age=7", "max-age=8"]).max_age, secs(7));
}

#[test]
fn bytes_that_are_not_text_do_not_hide_the_rest() {
    let mut headers = HeaderMap::new();
    headers.append(CACHE_CONTROL, HeaderValue::from_bytes(b"x=\xff\xfe, no-store").unwrap());
    assert!(parse(&headers).no_store);
}

proptest! {
    #[test]
    fn never_panics(fields in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..4)) {
        let mut headers = HeaderMap::new();
        for field in fields.iter().filter_map(|bytes| HeaderValue::from_bytes(bytes).ok()) {
            headers.append(CACHE_CONTROL, field);
        }
        let _ = parse(&headers);
    }

    #[test]
    fn nothing_before_it_hides_no_store(field in "[a-z=\\\\ ,-]{0,24}") {
        let control = parsed(&[&format!("{field},no-store")]);
        prop_assert!(control.no_store);
    }
}

#[test]
fn named_fields_are_withheld_and_nothing_else_is() {
    // RFC 9111 §5.2.2.4, §5.2.2.7
    let names =
        |names: &[&'static str]| names.iter().copied().map(HeaderName::from_static).collect::<Vec<_>>();
    let control = parsed(&["no-cache=\"Set-Cookie, X-A\", max-age=5", "private=x-b"]);
    assert_eq!(control.withheld, names(&["set-cookie", "x-a", "x-b"]));
    assert!(!control.no_cache && !control.private);
    let control = parsed(&["no-cache=\"no name\", private=\"\", must-understand"]);
    assert_eq!(control.withheld, names(&[]));
    assert!(control.no_cache && control.private && control.must_understand, "in doubt all of it");
}
