//! Where viewers are, and who is let in (behaviour §1.6, §4.7, §12.1).

use super::*;
#[cfg(feature = "geo")]
use crate::config::GeoRestriction;

const PLACES: &str = "[geo]\ndatabase = \"places.mmdb\"\n";

/// A restriction at line 9, its keys after it, and a database if there is to be one.
fn restricted(keys: &str, places: &str) -> String {
    SITE.to_owned() + &format!("[distribution.geo_restriction]\n{keys}\n{places}")
}

#[cfg(feature = "geo")]
#[test]
fn who_is_let_in() {
    let restriction = |keys: &str| config(&restricted(keys, PLACES)).distributions[0].geo_restriction.clone();
    for (keys, expected) in [
        ("restriction_type = \"none\"", None),
        (
            "restriction_type = \"blacklist\"\nlocations = [\"DE\", \"XK\"]",
            Some(GeoRestriction::Blacklist(vec![*b"DE", *b"XK"])),
        ),
        (
            "restriction_type = \"whitelist\"\nlocations = [\"AQ\"]",
            Some(GeoRestriction::Whitelist(vec![*b"AQ"])),
        ),
    ] {
        assert_eq!(restriction(keys), expected, "{keys}");
    }
    assert_eq!(config(&with(PLACES)).geo_database, Some("places.mmdb".into()));
    assert_eq!(config(&restricted("restriction_type = \"none\"", "")).distributions[0].geo_restriction, None);
}

#[cfg(feature = "geo")]
#[test]
fn what_cloudfront_refuses() {
    const LOCATIONS: &str = "11: distribution.geo_restriction.locations";
    let white = |locations: &str| {
        restricted(&format!("restriction_type = \"whitelist\"\nlocations = [{locations}]"), PLACES)
    };
    check([
        error(
            restricted("restriction_type = \"graylist\"", PLACES),
            "10: distribution.geo_restriction.restriction_type",
            "InvalidGeoRestrictionParameter",
            "\"blacklist\"",
        ),
        error(
            restricted("locations = [\"DE\"]", PLACES),
            "9: distribution.geo_restriction.restriction_type",
            "InvalidGeoRestrictionParameter: is missing",
            "\"blacklist\"",
        ),
        error(
            restricted("restriction_type = \"none\"\nlocations = [\"DE\"]", PLACES),
            LOCATIONS,
            "InvalidGeoRestrictionParameter",
            "leave them out",
        ),
        error(white(""), "9: distribution.geo_restriction.locations", "no location", "at least one"),
        error(white("\"de\""), LOCATIONS, "InvalidLocationCode: \"de\"", "two capital letters"),
        error(white("\"DEU\""), LOCATIONS, "InvalidLocationCode", "two capital letters"),
        error(white("\"ZZ\""), LOCATIONS, "InvalidLocationCode", "ISO 3166-1"),
        error(white("\"E A\""), LOCATIONS, "InvalidLocationCode", "ISO 3166-1"),
        error(white("\"DE\", \"DE\""), LOCATIONS, "taken already", ""),
    ]);
}

#[test]
fn without_a_database_nobody_knows() {
    const FIX: &str = "[geo] database";
    let default = |keys: &str, more: &str| {
        SITE.replace("[[distribution.origin]]", &format!("{keys}\n[[distribution.origin]]")) + more
    };
    let policy = "[[cache_policy]]\nname = \"mine\"\nheaders = [\"CloudFront-Viewer-City\"]\n";
    let place = "5: distribution.default_cache_behavior.cache_policy";
    check([
        error(
            restricted("restriction_type = \"whitelist\"\nlocations = [\"DE\"]", ""),
            "9: distribution.geo_restriction",
            "nobody knows where viewers are",
            FIX,
        ),
        error(default("cache_policy = \"mine\"", policy), place, "has cloudfront-viewer-city, and", FIX),
        warning(
            default(
                "origin_request_policy = \"mine\"",
                "[[origin_request_policy]]\nname = \"mine\"\nheaders = [\"CloudFront-Viewer-Country\"]\n",
            ),
            "5: distribution.default_cache_behavior.origin_request_policy",
            "the origin is not told cloudfront-viewer-country",
            FIX,
        ),
    ]);
    let amplify = lines(&findings(load(&default("cache_policy = \"Amplify\"", ""))));
    assert!(
        amplify.contains("error: distribution.default_cache_behavior.cache_policy: the cache key has"),
        "{amplify}"
    );
}

#[cfg(feature = "geo")]
#[test]
fn with_a_database_policies_may_name_places() {
    let text = SITE.replace(
        "[[distribution.origin]]",
        "cache_policy = \"Amplify\"\norigin_request_policy = \"AllViewerAndCloudFrontHeaders-2022-06\"\n\
         [[distribution.origin]]",
    ) + PLACES;
    let loaded = load(&text).unwrap();
    let told = lines(&loaded.warnings);
    assert!(!told.contains("database of places"), "{told}");
}

#[cfg(not(feature = "geo"))]
#[test]
fn a_binary_without_the_feature_says_so() {
    check([error(with(PLACES), "10: geo.database", "built without the feature", "leave the database out")]);
}
