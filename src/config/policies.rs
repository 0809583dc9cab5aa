//! CloudFront's managed cache policies (behaviour §4.8), known by name and by id.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::{CachePolicy, Selection, ViewerHeader};

/// CachingOptimized: what a behaviour uses that names no policy.
#[must_use]
pub fn optimized() -> Arc<CachePolicy> {
    Arc::new(policy("CachingOptimized", &OPTIMIZED))
}

/// Finds a managed policy by its name, with or without the console's `Managed-`, or by its id.
#[must_use]
pub fn managed(name_or_id: &str) -> Option<Arc<CachePolicy>> {
    let name = name_or_id.strip_prefix("Managed-").unwrap_or(name_or_id);
    let row = TABLE.iter().find(|row| row.name == name || row.id.eq_ignore_ascii_case(name_or_id))?;
    Some(Arc::new(policy(row.name, &row.contents)))
}

/// The id of a managed policy, by its name or its id.
#[must_use]
pub fn managed_id(name_or_id: &str) -> Option<&'static str> {
    let name = name_or_id.strip_prefix("Managed-").unwrap_or(name_or_id);
    let row = TABLE.iter().find(|row| row.name == name || row.id.eq_ignore_ascii_case(name_or_id))?;
    Some(row.id)
}

/// Their names.
pub fn names<'a>() -> impl Iterator<Item = &'a str> {
    TABLE.iter().map(|row| row.name)
}

struct Row {
    name: &'static str,
    id: &'static str,
    contents: Contents,
}

#[derive(Clone, Copy)]
struct Contents {
    /// Minimum, default and maximum, seconds.
    ttls: [u64; 3],
    headers: &'static [&'static str],
    viewer_headers: &'static [ViewerHeader],
    all_cookies: bool,
    query_strings: Query,
    gzip: bool,
    brotli: bool,
}

#[derive(Clone, Copy)]
enum Query {
    None,
    These(&'static [&'static str]),
    All,
}

const PLAIN: Contents = Contents {
    ttls: [0, 0, 0],
    headers: &[],
    viewer_headers: &[],
    all_cookies: false,
    query_strings: Query::None,
    gzip: false,
    brotli: false,
};
const UNCOMPRESSED: Contents = Contents { ttls: [1, 86_400, 31_536_000], ..PLAIN };
const OPTIMIZED: Contents = Contents { gzip: true, brotli: true, ..UNCOMPRESSED };
const BY_ORIGIN: Contents = Contents {
    ttls: [0, 0, 31_536_000],
    // Sorted, as those of the configuration are.
    headers: &["host", "origin", "x-http-method", "x-http-method-override", "x-method-override"],
    all_cookies: true,
    gzip: true,
    brotli: true,
    ..PLAIN
};
const MEDIA: Contents = Contents {
    ttls: [0, 86_400, 31_536_000],
    headers: &["origin"],
    query_strings: Query::These(&["aws.manifestfilter", "start", "end", "m"]),
    gzip: true,
    ..PLAIN
};

const AMPLIFY: Contents = Contents {
    ttls: [2, 2, 600],
    headers: &["authorization", "host"],
    viewer_headers: &[ViewerHeader::Country],
    all_cookies: true,
    query_strings: Query::All,
    gzip: true,
    brotli: true,
};

const TABLE: [Row; 7] = [
    row("CachingOptimized", "658327ea-f89d-4fab-a63d-7e88639e58f6", OPTIMIZED),
    row("CachingOptimizedForUncompressedObjects", "b2884449-e4de-46a7-ac36-70bc7f1ddd6d", UNCOMPRESSED),
    row("CachingDisabled", "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", PLAIN),
    row("UseOriginCacheControlHeaders", "83da9c7e-98b4-4e11-a168-04f0df8e2c65", BY_ORIGIN),
    row(
        "UseOriginCacheControlHeaders-QueryStrings",
        "4cc15a8a-d715-48a4-82b8-cc0b614638fe",
        Contents { query_strings: Query::All, ..BY_ORIGIN },
    ),
    row("Elemental-MediaPackage", "08627262-05a9-4f76-9ded-b50ca2e3a84f", MEDIA),
    row("Amplify", "2e54312d-136d-493c-8eb9-b001f22f67d2", AMPLIFY),
];

const fn row(name: &'static str, id: &'static str, contents: Contents) -> Row {
    Row { name, id, contents }
}

fn policy(name: &str, contents: &Contents) -> CachePolicy {
    let [min, default, max] = contents.ttls.map(Duration::from_secs);
    CachePolicy {
        name: Arc::from(name),
        min_ttl: min,
        default_ttl: default,
        max_ttl: max,
        headers: contents.headers.iter().copied().map(HeaderName::from_static).collect(),
        viewer_headers: contents.viewer_headers.to_vec(),
        cookies: if contents.all_cookies { Selection::All } else { Selection::None },
        query_strings: match contents.query_strings {
            Query::None => Selection::None,
            Query::These(names) => Selection::Whitelist(names.iter().copied().map(Arc::from).collect()),
            Query::All => Selection::All,
        },
        enable_accept_encoding_gzip: contents.gzip,
        enable_accept_encoding_brotli: contents.brotli,
        ..CachePolicy::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// behaviour §4.8
    #[test]
    fn by_name_by_console_name_and_by_id() {
        for (asked, expected) in [
            ("CachingOptimized", Some((1, 86_400, 31_536_000))),
            ("Managed-CachingOptimized", Some((1, 86_400, 31_536_000))),
            ("658327EA-f89d-4fab-a63d-7e88639e58f6", Some((1, 86_400, 31_536_000))),
            ("b2884449-e4de-46a7-ac36-70bc7f1ddd6d", Some((1, 86_400, 31_536_000))),
            ("CachingDisabled", Some((0, 0, 0))),
            ("83da9c7e-98b4-4e11-a168-04f0df8e2c65", Some((0, 0, 31_536_000))),
            ("Elemental-MediaPackage", Some((0, 86_400, 31_536_000))),
            ("Amplify", Some((2, 2, 600))),
            ("cachingdisabled", None),
            ("mine", None),
        ] {
            let found = managed(asked).map(|policy| {
                (policy.min_ttl.as_secs(), policy.default_ttl.as_secs(), policy.max_ttl.as_secs())
            });
            assert_eq!(found, expected, "{asked}");
        }
    }

    #[test]
    fn what_they_key_on() {
        let five = ["host", "origin", "x-http-method", "x-http-method-override", "x-method-override"];
        let media = ["aws.manifestfilter", "start", "end", "m"].map(Arc::from);
        let table: [(_, &[&str], _, _, _); 7] = [
            ("CachingOptimized", &[], Selection::None, Selection::None, (true, true)),
            ("CachingOptimizedForUncompressedObjects", &[], Selection::None, Selection::None, (false, false)),
            ("CachingDisabled", &[], Selection::None, Selection::None, (false, false)),
            ("UseOriginCacheControlHeaders", &five, Selection::All, Selection::None, (true, true)),
            (
                "UseOriginCacheControlHeaders-QueryStrings",
                &five,
                Selection::All,
                Selection::All,
                (true, true),
            ),
            (
                "Elemental-MediaPackage",
                &["origin"],
                Selection::None,
                Selection::Whitelist(media.to_vec()),
                (true, false),
            ),
            ("Amplify", &["authorization", "host"], Selection::All, Selection::All, (true, true)),
        ];
        for (name, headers, cookies, query_strings, encodings) in table {
            let Some(policy) = managed(name) else { panic!("{name}") };
            assert_eq!(policy.headers, headers, "{name}");
            assert_eq!((&policy.cookies, &policy.query_strings), (&cookies, &query_strings), "{name}");
            let enabled = (policy.enable_accept_encoding_gzip, policy.enable_accept_encoding_brotli);
            assert_eq!(enabled, encodings, "{name}");
        }
    }

    #[test]
    fn one_keys_on_the_country() {
        let amplify = managed("2e54312d-136d-493c-8eb9-b001f22f67d2").unwrap();
        assert_eq!(amplify.viewer_headers, [ViewerHeader::Country]);
        assert_eq!(names().count(), 7);
    }
}
