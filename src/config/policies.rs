//! CloudFront's managed cache policies (behaviour §4.8), known by name and by id.

use std::sync::Arc;
use std::time::Duration;

use super::CachePolicy;

/// A managed policy, as far as this edge can follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Managed {
    Supported(Arc<CachePolicy>),
    /// It keys on cookies, query strings or headers that this edge does not read yet. Carries its name.
    NotYet(&'static str),
}

/// CachingOptimized: what a behaviour uses that names no policy.
#[must_use]
pub fn optimized() -> Arc<CachePolicy> {
    Arc::new(policy("CachingOptimized", OPTIMIZED))
}

/// Finds a managed policy by its name, with or without the console's `Managed-`, or by its id.
#[must_use]
pub fn managed(name_or_id: &str) -> Option<Managed> {
    let name = name_or_id.strip_prefix("Managed-").unwrap_or(name_or_id);
    let row = TABLE.iter().find(|row| row.name == name || row.id.eq_ignore_ascii_case(name_or_id))?;
    Some(match row.ttls {
        Some(ttls) => Managed::Supported(Arc::new(policy(row.name, ttls))),
        None => Managed::NotYet(row.name),
    })
}

/// The names of the supported ones.
pub fn names<'a>() -> impl Iterator<Item = &'a str> {
    TABLE.iter().filter(|row| row.ttls.is_some()).map(|row| row.name)
}

struct Row {
    name: &'static str,
    id: &'static str,
    /// Minimum, default and maximum, seconds; `None`: not supported yet.
    ttls: Option<[u64; 3]>,
}

const OPTIMIZED: [u64; 3] = [1, 86_400, 31_536_000];

/// The first two differ in Accept-Encoding only, which S3 does not look at.
const TABLE: [Row; 7] = [
    row("CachingOptimized", "658327ea-f89d-4fab-a63d-7e88639e58f6", Some(OPTIMIZED)),
    row("CachingOptimizedForUncompressedObjects", "b2884449-e4de-46a7-ac36-70bc7f1ddd6d", Some(OPTIMIZED)),
    row("CachingDisabled", "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", Some([0, 0, 0])),
    row("UseOriginCacheControlHeaders", "83da9c7e-98b4-4e11-a168-04f0df8e2c65", None),
    row("UseOriginCacheControlHeaders-QueryStrings", "4cc15a8a-d715-48a4-82b8-cc0b614638fe", None),
    row("Elemental-MediaPackage", "08627262-05a9-4f76-9ded-b50ca2e3a84f", None),
    row("Amplify", "2e54312d-136d-493c-8eb9-b001f22f67d2", None),
];

const fn row(name: &'static str, id: &'static str, ttls: Option<[u64; 3]>) -> Row {
    Row { name, id, ttls }
}

fn policy(name: &str, [min, default, max]: [u64; 3]) -> CachePolicy {
    CachePolicy {
        name: Arc::from(name),
        min_ttl: Duration::from_secs(min),
        default_ttl: Duration::from_secs(default),
        max_ttl: Duration::from_secs(max),
        headers: Vec::new(),
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
            ("cachingdisabled", None),
            ("mine", None),
        ] {
            let found = managed(asked).map(|found| match found {
                Managed::Supported(policy) => {
                    (policy.min_ttl.as_secs(), policy.default_ttl.as_secs(), policy.max_ttl.as_secs())
                }
                Managed::NotYet(name) => panic!("{name}"),
            });
            assert_eq!(found, expected, "{asked}");
        }
    }

    #[test]
    fn those_that_key_on_more_are_named_but_not_supported() {
        assert_eq!(managed("2e54312d-136d-493c-8eb9-b001f22f67d2"), Some(Managed::NotYet("Amplify")));
        assert_eq!(names().count(), 3);
    }
}
