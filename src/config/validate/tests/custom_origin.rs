//! Custom origins, origins' own headers, and what else behaviour §1.5, §1.6 and §4.6 say of origins.

use std::time::Duration;

use super::super::super::{CustomOrigin, OriginKind, OriginProtocolPolicy};
use super::*;

const CUSTOM: &str = "[[distribution]]\n[[distribution.origin]]\ndomain_name = \"www.example.com\"\n";

fn custom(keys: &str) -> String {
    format!("{CUSTOM}[distribution.origin.custom_origin]\n{keys}")
}

fn kind(text: &str) -> CustomOrigin {
    match origin_in(text, &env()).kind {
        OriginKind::Custom(custom) => custom,
        OriginKind::S3(s3) => panic!("{s3:?}"),
    }
}

#[test]
fn what_a_custom_origin_is_by_default_and_by_its_keys() {
    let default = CustomOrigin {
        host: "www.example.com".into(),
        http_port: 80,
        https_port: 443,
        protocol: OriginProtocolPolicy::MatchViewer,
        keepalive_timeout: Duration::from_secs(5),
    };
    assert_eq!(kind(&custom("")), default); // behaviour §1.6
    assert_eq!(&*origin_in(&custom(""), &env()).id, "www.example.com");
    let keys = "http_port = 8080\nhttps_port = 8443\norigin_protocol_policy = \"https-only\"\n\
                origin_ssl_protocols = [\"TLSv1\", \"TLSv1.2\"]\nkeepalive_timeout = \"60s\"";
    let given = CustomOrigin {
        http_port: 8080,
        https_port: 8443,
        protocol: OriginProtocolPolicy::HttpsOnly,
        keepalive_timeout: Duration::from_secs(60),
        ..default
    };
    assert_eq!(kind(&custom(keys)), given);
    for host in ["localhost", "127.0.0.1", "my_service"] {
        assert_eq!(&*kind(&custom("").replace("www.example.com", host)).host, host);
    }
}

#[test]
fn what_a_custom_origin_cannot_be() {
    let domain = |name: &str| custom("").replace("www.example.com", name);
    let place = "3: distribution.origin.domain_name";
    let key = |keys: &str| custom(keys);
    check([
        error(domain("https://www.example.com"), place, "InvalidOrigin", "alone"),
        error(domain("www.example.com:80"), place, "InvalidOrigin", "http_port"),
        error(domain("www..com"), place, "InvalidOrigin", "a name"),
        warning(domain("192.0.2.1"), place, "no addresses", "DNS"),
        error(
            "[[distribution]]\n[[distribution.origin]]\n[distribution.origin.custom_origin]\n",
            "2: distribution.origin.domain_name",
            "is missing",
            "www.example.com",
        ),
        error(
            format!("{CUSTOM}bucket = \"b\"\n[distribution.origin.custom_origin]"),
            "4: distribution.origin.bucket",
            "is about buckets",
            "leave it out",
        ),
        error(
            format!("{CUSTOM}signing_behavior = \"always\"\n[distribution.origin.custom_origin]"),
            "4: distribution.origin.signing_behavior",
            "InvalidOriginAccessControl",
            "leave it out",
        ),
        error(
            key("origin_protocol_policy = \"http\""),
            "5: distribution.origin.custom_origin.origin_protocol_policy",
            "is not one of",
            "http-only",
        ),
        error(
            key("http_port = 0"),
            "5: distribution.origin.custom_origin.http_port",
            "outside",
            "1 to 65535",
        ),
        warning(
            key("http_port = 81"),
            "5: distribution.origin.custom_origin.http_port",
            "CloudFront takes no port 81",
            "1024",
        ),
        warning(
            key("origin_ssl_protocols = [\"TLSv1\"]"),
            "5: distribution.origin.custom_origin.origin_ssl_protocols",
            "TLS 1.2 and TLS 1.3",
            "TLSv1.2",
        ),
        error(
            key("keepalive_timeout = \"121s\""),
            "5: distribution.origin.custom_origin.keepalive_timeout",
            "outside",
            "",
        ),
        error(
            custom("").replace(
                "[distribution.origin.custom",
                "origin_path = \"/a b\"\n[distribution.origin.custom",
            ),
            "4: distribution.origin.origin_path",
            "InvalidRelativePath",
            "percent-encode",
        ),
    ]);
}

/// behaviour §1.5: HTTP only, port 80.
#[test]
fn a_website_endpoint_is_asked_over_http() {
    let site = "b.s3-website-us-east-1.amazonaws.com";
    let text = custom("").replace("www.example.com", site);
    check([warning(
        text.clone(),
        "4: distribution.origin.custom_origin.origin_protocol_policy",
        "plain HTTP only",
        "http-only",
    )]);
    assert_eq!(kind(&text).protocol, OriginProtocolPolicy::HttpOnly);
    let said = format!("{text}origin_protocol_policy = \"http-only\"");
    assert_eq!(lines(&findings(load(&said))), "");
}

/// behaviour §4.6
#[test]
fn headers_of_an_origins_own() {
    let header = |name: &str, value: &str| {
        in_origin(&format!("[[distribution.origin.custom_header]]\nname = \"{name}\"\nvalue = \"{value}\"\n"))
    };
    let (name, value) =
        ("10: distribution.origin.custom_header.name", "11: distribution.origin.custom_header.value");
    check([
        error(header("Host", "h"), name, "InvalidArgument", "leave it out"),
        error(header("X-Amz-Date", "h"), name, "cannot be set", "leave it out"),
        error(header("x-edge-a", "h"), name, "cannot be set", "leave it out"),
        error(header("X-Real-Ip", "h"), name, "cannot be set", "leave it out"),
        error(header("a b", "h"), name, "not the name of a header", "256"),
        error(header(&"n".repeat(257), "h"), name, "not the name of a header", "256"),
        error(header("x-a", &"v".repeat(1784)), value, "too long", "1783"),
        error(header("x-a", "a\\nb"), value, "may not be in a header", "1783"),
        error(
            format!("{}{}", header("x-a", "1"), header("X-A", "2").replace(SITE, "")),
            "12: distribution.origin.custom_header",
            "twice",
            "leave one",
        ),
    ]);
    let many: String = (0..31).map(|n| header(&format!("x-{n}"), "v").replace(SITE, "")).collect();
    let long: String =
        (0..6).map(|n| header(&format!("x-{n}"), &"v".repeat(1783)).replace(SITE, "")).collect();
    for text in [many, long] {
        check([error(
            with(&text),
            "9: distribution.origin.custom_header",
            "TooManyOriginCustomHeaders",
            "30 headers and 10240",
        )]);
    }
    let read = config(&header("X-Secret", "hush"));
    assert_eq!(read.distributions[0].origins[0].custom_headers["x-secret"], "hush");
    assert!(!format!("{read:?}").contains("hush"), "{read:?}");
}

#[test]
fn the_time_for_a_whole_answer() {
    let place = "9: distribution.origin.response_completion_timeout";
    check([
        error(
            in_origin("response_completion_timeout = \"29s\""),
            place,
            "shorter than read_timeout",
            "as much",
        ),
        error(in_origin("response_completion_timeout = \"2d\""), place, "outside", ""),
    ]);
    let origin = origin("bucket = \"site\"\nregion = \"r\"\nresponse_completion_timeout = \"31s\"");
    assert_eq!(origin.response_completion_timeout, Some(Duration::from_secs(31)));
}

/// behaviour §1.1, §1.2
#[test]
fn a_distributions_names_and_state() {
    let distribution =
        |keys: &str| SITE.replace("id = \"site\"\n[distribution.d", &format!("{keys}\n[distribution.d"));
    check([
        error(
            distribution("domain_name = \"*.cloudfront.net\""),
            "2: distribution.domain_name",
            "has a wildcard",
            "aliases",
        ),
        error(
            distribution("domain_name = \"a/b\""),
            "2: distribution.domain_name",
            "not a host name alone",
            "",
        ),
        error(
            distribution(&format!("comment = \"{}\"", "c".repeat(129))),
            "2: distribution.comment",
            "128",
            "128",
        ),
    ]);
    let read = config(&distribution("enabled = false\ncomment = \"c\"\ndomain_name = \"D1.cloudfront.net\""));
    let distribution = &read.distributions[0];
    assert_eq!(
        (distribution.enabled, distribution.domain_name.as_deref()),
        (false, Some("d1.cloudfront.net"))
    );
}

/// behaviour §10.3, s3 §3
#[test]
fn the_alias_of_an_access_point_is_a_bucket_in_the_host_name() {
    let alias = "domain_name = \"ap-abc-s3alias.s3.us-east-1.amazonaws.com\"";
    assert_eq!(origin(alias).s3().unwrap().endpoint.authority(), "ap-abc-s3alias.s3.us-east-1.amazonaws.com");
    check([
        error(
            alone(&format!("{alias}\naddressing = \"path\"")),
            "4: distribution.origin.addressing",
            "is a host name",
            "virtual",
        ),
        error(
            alone(&format!("{alias}\nrole_arn = \"arn:aws:iam::111122223333:role/edge\"")),
            "4: distribution.origin.role_arn",
            "session policy",
            "own identity",
        ),
        error(
            alone("domain_name = \"x.mrap.accesspoint.s3-global.amazonaws.com\"\nregion = \"us-east-1\""),
            "3: distribution.origin.domain_name",
            "SigV4A",
            "of one Region",
        ),
    ]);
}

/// behaviour §2.2, §4.1: rules of buckets are for buckets only.
#[test]
fn a_custom_origin_has_no_rules_of_buckets() {
    let behavior = "[distribution.default_cache_behavior]\ncache_policy = \"all\"\n\
                    origin_request_policy = \"AllViewer\"\n\
                    allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"PATCH\", \"POST\", \"DELETE\"]\n\
                    [[cache_policy]]\nname = \"all\"\nheaders = [\"Host\"]\ncookie_behavior = \"all\"\n";
    let read = load(&custom(behavior)).unwrap();
    assert_eq!(lines(&read.warnings), "");
    let behavior = &read.config.distributions[0].behaviors[0];
    assert!(behavior.allow_writes && behavior.allow_options && !behavior.cache_options);
    assert!(behavior.asks.custom && !behavior.asks.s3);
}
