use std::time::Duration;

use super::*;

#[test]
fn buckets() {
    let bucket = |name: &str| alone(&format!("bucket = \"{name}\"\nregion = \"eu-west-1\""));
    let place = "3: distribution.origin.bucket";
    check([
        error(
            alone("region = \"eu-west-1\""),
            "2: distribution.origin.bucket",
            "is missing",
            "bucket = \"NAME\"",
        ),
        error(bucket("ab"), place, "shorter than 3", "3 to 63"),
        error(bucket(&"a".repeat(64)), place, "longer than 63", "3 to 63"),
        error(bucket("Site"), place, "capital letters", "3 to 63"),
        error(bucket("my_site"), place, "may not be there", "3 to 63"),
        error(bucket("-site"), place, "begins or ends", "3 to 63"),
        error(bucket("site."), place, "begins or ends", "3 to 63"),
        error(bucket("my..site"), place, "two dots", "3 to 63"),
        error(bucket("192.168.5.4"), place, "IP address", "3 to 63"),
        error(bucket("b--use1-az4--x-s3"), place, "not supported yet", "3 to 63"),
        error(
            bucket("b.s3-website-eu-west-1.amazonaws.com"),
            place,
            "website endpoint",
            "b.s3.eu-west-1.amazonaws.com",
        ),
        error(bucket("b.s3.eu-west-1.amazonaws.com"), place, "not a bucket's name", "domain_name"),
    ]);
}

#[test]
fn regions() {
    let place = "4: distribution.origin.region";
    check([
        error(alone("bucket = \"site\""), "2: distribution.origin.region", "is missing", "AWS_REGION"),
        error(alone("bucket = \"site\"\nregion = \"EU-West-1\""), place, "not a Region", "eu-west-1"),
        error(alone("bucket = \"site\"\nregion = \"a.b\""), place, "not a Region", "eu-west-1"),
        error(alone("bucket = \"site\"\nregion = \"\""), place, "not a Region", "eu-west-1"),
        error(alone("bucket = \"site\"\nregion = \"us-iso-east-1\""), place, "names of its own", "endpoint"),
    ]);
    let abroad = Environment { region: Some("eu-west-3".to_owned()), ..env() };
    assert_eq!(&*origin_in(&alone("bucket = \"site\""), &abroad).s3().unwrap().region, "eu-west-3");
    let isolated = Environment { region: Some("us-iso-east-1".to_owned()), ..env() };
    let found = findings(load_toml("e", &alone("bucket = \"site\""), &isolated, &Overrides::default()));
    assert_eq!(&*found[0].place.source, "AWS_REGION");
    // The file's Region wins.
    assert_eq!(
        &*origin_in(&alone("bucket = \"site\"\nregion = \"r-1\""), &abroad).s3().unwrap().region,
        "r-1"
    );
}

/// s3 §3, behaviour §1.5
#[test]
fn domain_names_that_cannot_be_origins() {
    let domain = |name: &str| alone(&format!("domain_name = \"{name}\""));
    let place = "3: distribution.origin.domain_name";
    check([
        error(
            domain("site.s3-website.eu-central-1.amazonaws.com"),
            place,
            "http only and answers anonymous reads only, so signing is pointless and private or KMS-encrypted objects \
             can never be read",
            "domain_name = \"site.s3.eu-central-1.amazonaws.com\"",
        ),
        error(
            domain("site.s3-website-us-east-1.amazonaws.com"),
            place,
            "website",
            "domain_name = \"site.s3.us-east-1.amazonaws.com\"",
        ),
        error(domain("site.s3-accelerate.amazonaws.com"), place, "Transfer Acceleration", "regional name"),
        error(domain("www.example.com"), place, "not the name of an S3 bucket", "custom_origin"),
        error(domain("s3.eu-west-1.amazonaws.com"), place, "names no bucket", "BUCKET"),
        warning(domain("site.s3.amazonaws.com"), place, "may redirect", "site.s3.us-east-1.amazonaws.com"),
        error(
            alone("domain_name = \"site.s3.eu-west-1.amazonaws.com\"\nbucket = \"other\""),
            "4: distribution.origin.bucket",
            "\"other\" contradicts domain_name, which says \"site\"",
            "leave one",
        ),
        error(
            alone("domain_name = \"site.s3.eu-west-1.amazonaws.com\"\nregion = \"eu-west-2\""),
            "4: distribution.origin.region",
            "\"eu-west-2\" contradicts domain_name, which says \"eu-west-1\"",
            "leave one",
        ),
    ]);
}

/// behaviour §1.5
#[test]
fn origin_paths() {
    let path = |path: &str| in_origin(&format!("origin_path = \"{path}\""));
    let place = "9: distribution.origin.origin_path";
    check([
        error(path("/site/"), place, "InvalidRelativePath: \"/site/\" ends with a slash", "write \"/site\""),
        error(path("/"), place, "ends with a slash", "write \"\""),
        error(path("site"), place, "does not begin with a slash", "write \"/site\""),
        error(path("/a//b"), place, "two slashes", "write one"),
        error(path("/a/../b"), place, "dot segment", "without"),
        error(path("/a/."), place, "dot segment", "without"),
        error(path("/a?b=c"), place, "has a query", "path alone"),
        error(path("/a\\r\\nb"), place, "control characters", "path alone"),
        error(path(&format!("/{}", "a".repeat(255))), place, "too long", "255"),
        warning(path("/a%20b"), place, "taken literally", "as it is in the keys"),
    ]);
    assert_eq!(config(&path("/a b/ü")).distributions[0].origins[0].origin_path, "/a b/ü".into());
}

#[test]
fn how_an_origin_is_asked() {
    check([
        error(
            in_origin("signing_behavior = \"alway\""),
            "9: distribution.origin.signing_behavior",
            "not one of",
            "did you mean \"always\"?",
        ),
        warning(
            in_origin("signing_behavior = \"never\""),
            "9: distribution.origin.signing_behavior",
            "the bucket must be public",
            "always",
        ),
        error(
            in_origin("payload_hash = \"x\""),
            "9: distribution.origin.payload_hash",
            "not one of",
            "unsigned",
        ),
        error(
            in_origin("expected_bucket_owner = \"1111-2222-3333\""),
            "9: distribution.origin.expected_bucket_owner",
            "is not",
            "12 digits",
        ),
        error(
            in_origin("connection_attempts = 4"),
            "9: distribution.origin.connection_attempts",
            "outside 1 to 3",
            "1 to 3",
        ),
        error(
            in_origin("connection_timeout = \"11s\""),
            "9: distribution.origin.connection_timeout",
            "11s is outside",
            "1s to 10s",
        ),
        error(
            in_origin("read_timeout = \"500ms\""),
            "9: distribution.origin.read_timeout",
            "500ms is outside",
            "1s to 2m",
        ),
    ]);
    let given = origin(
        "bucket = \"site\"\nregion = \"eu-west-1\"\nsigning_behavior = \"no-override\"\npayload_hash = \"unsigned\"\n\
         expected_bucket_owner = \"111122223333\"\nconnection_attempts = 1\nconnection_timeout = 2\nread_timeout = \"2m\"",
    );
    assert_eq!(
        (given.s3().unwrap().signing, given.s3().unwrap().payload_hash),
        (SigningBehavior::NoOverride, PayloadHash::Unsigned)
    );
    assert_eq!(given.s3().unwrap().expected_bucket_owner.as_deref(), Some("111122223333"));
    assert_eq!(given.connection_attempts, 1);
    assert_eq!(given.connection_timeout, Duration::from_secs(2));
    assert_eq!(given.read_timeout, Duration::from_secs(120));
}
