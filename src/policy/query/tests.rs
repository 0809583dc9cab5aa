use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{Asks, CachePolicy, OriginRequestPolicy, ViewerProtocolPolicy};

fn whitelist(names: &[&str]) -> Selection {
    Selection::Whitelist(names.iter().copied().map(Arc::from).collect())
}

fn all_except(names: &[&str]) -> Selection {
    Selection::AllExcept(names.iter().copied().map(Arc::from).collect())
}

fn behavior(cache: Selection, request: Option<Selection>, max_ttl: u64) -> Behavior {
    Behavior {
        encoding: crate::config::Encoding::default(),
        path_pattern: "*".into(),
        origin: 0,
        viewer_protocol_policy: ViewerProtocolPolicy::AllowAll,
        allow_writes: false,
        asks: Asks::default(),
        allow_options: false,
        cache_options: false,
        cache_policy: Arc::new(CachePolicy {
            max_ttl: Duration::from_secs(max_ttl),
            query_strings: cache,
            ..CachePolicy::default()
        }),
        response_headers_policy: None,
        failover: None,
        origin_request_policy: request.map(|query_strings| {
            Arc::new(OriginRequestPolicy { query_strings, ..OriginRequestPolicy::default() })
        }),
    }
}

fn key(query: &str, selection: &Selection) -> String {
    keyed(Some(query), selection).collect::<Vec<_>>().join("&")
}

/// behaviour §4.2
#[test]
fn what_is_part_of_the_key() {
    let (a, not_a) = (whitelist(&["a"]), all_except(&["a"]));
    for (query, selection, expected) in [
        ("a=1&b=2", &Selection::None, ""),
        ("a=1&b=2", &Selection::All, "a=1&b=2"),
        ("b=2&a=1", &Selection::All, "b=2&a=1"), // order matters
        ("", &Selection::All, ""),
        ("a=1&b=2&a=0", &a, "a=1&a=0"), // repeats stay, in order
        ("a=1&b=2&a=0", &not_a, "b=2"),
        ("A=1", &a, ""),              // case-sensitive
        ("a=1;b=2&c", &a, "a=1;b=2"), // `;` is part of a value
        ("a", &a, "a"),
        ("a=", &a, "a="),       // an empty value is not none
        ("%61=1", &a, "%61=1"), // as written
        ("%61=1", &not_a, ""),
        ("*=1&x=2", &whitelist(&["*"]), "*=1"), // a name like any other
        ("=1", &a, ""),
    ] {
        assert_eq!(key(query, selection), expected, "{query} by {selection:?}");
    }
}

#[test]
fn what_goes_to_s3() {
    let none = || Selection::None;
    let table = [
        ("a=1&b=2", behavior(none(), None, 1), ""), // behaviour §4.4: nothing by default
        ("a=1&b=2", behavior(whitelist(&["a"]), None, 1), "a=1"),
        ("b=2&a=1", behavior(whitelist(&["a"]), Some(whitelist(&["b"])), 1), "b=2&a=1"),
        ("a=1&b=2", behavior(none(), Some(Selection::All), 1), "a=1&b=2"),
        // Strictly encoded (s3 §1.3)
        ("a=x/y(z)'!*", behavior(Selection::All, None, 1), "a=x%2Fy%28z%29%27%21%2A"),
        ("a=x+y%20z%2Bw", behavior(Selection::All, None, 1), "a=x%20y%20z%2Bw"),
        ("%61=%c3%a9", behavior(Selection::All, None, 1), "a=%C3%A9"),
        ("a=%zz", behavior(Selection::All, None, 1), "a=%25zz"),
        ("a&b=&&=c", behavior(Selection::All, None, 1), "a=&b="),
        ("v=2&a=0&v=1", behavior(Selection::All, None, 1), "v=1&a=0&v=2"), // s3 §1.3
        ("a=%ff&b=1", behavior(Selection::All, None, 1), "b=1"),
        // Other operations never (s3 §2.1)
        (
            "acl&%61cl&ACL&list-type=2&uploads&partNumber=1&X-Amz-Date=0",
            behavior(Selection::All, None, 1),
            "",
        ),
        ("acl&a=1", behavior(whitelist(&["acl", "a"]), None, 1), "a=1"),
        // Versions and overrides by name, and in the key (s3 §2.6)
        ("versionId=v", behavior(Selection::All, Some(Selection::All), 1), ""),
        ("versionId=v", behavior(whitelist(&["versionId"]), None, 1), "versionId=v"),
        ("%76ersionId=v", behavior(whitelist(&["versionId"]), None, 1), "versionId=v"),
        ("versionId=v", behavior(none(), Some(whitelist(&["versionId"])), 1), ""),
        ("versionId=v", behavior(none(), Some(whitelist(&["versionId"])), 0), "versionId=v"),
        ("versionId=v", behavior(none(), Some(Selection::All), 0), ""),
        (
            "response-content-type=text/html",
            behavior(whitelist(&["response-content-type"]), None, 1),
            "response-content-type=text%2Fhtml",
        ),
        ("response-content-type=text/html", behavior(all_except(&["a"]), None, 1), ""),
    ];
    for (query, behavior, expected) in table {
        assert_eq!(forwarded(Some(query), &behavior), expected, "{query} by {behavior:?}");
    }
    assert_eq!(forwarded(None, &behavior(Selection::All, None, 1)), "");
}

proptest! {
    /// Whatever is asked, what S3 would act upon is in the key, and nothing makes another operation of it.
    #[test]
    fn nothing_gets_past_the_key(query in "[a-zA-Z%&=+;0-9é-]{0,40}") {
        let selection = whitelist(&["versionId", "a"]);
        let behavior = behavior(selection.clone(), Some(Selection::All), 1);
        let told = forwarded(Some(&query), &behavior);
        for parameter in told.split('&').filter(|parameter| !parameter.is_empty()) {
            let name = name(parameter);
            match s3::parameter(&name) {
                Parameter::Operates => prop_assert!(false, "{told}"),
                Parameter::Selects => prop_assert!(keyed(Some(&query), &selection).count() > 0, "{told}"),
                Parameter::Idle => {}
            }
        }
    }
}
