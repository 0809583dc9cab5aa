use super::*;
use crate::config::Endpoint;

/// s3 §3: bucket and Region, or a domain name, and the endpoint that they make.
#[test]
fn endpoints_at_aws() {
    let site = "bucket = \"site\"\nregion = \"eu-west-1\"\n";
    for (keys, host, path_style, regional) in [
        (site.to_owned(), "site.s3.eu-west-1.amazonaws.com", false, true),
        (format!("{site}addressing = \"path\""), "s3.eu-west-1.amazonaws.com", true, true),
        (site.replace("site", "my.site"), "s3.eu-west-1.amazonaws.com", true, true),
        (site.replace("eu-west-1", "cn-north-1"), "site.s3.cn-north-1.amazonaws.com.cn", false, true),
        (site.replace("eu-west-1", "eusc-de-east-1"), "site.s3.eusc-de-east-1.amazonaws.eu", false, true),
        (site.replace("eu-west-1", "us-gov-west-1"), "site.s3.us-gov-west-1.amazonaws.com", false, true),
        (
            "domain_name = \"site.s3.eu-west-1.amazonaws.com\"".to_owned(),
            "site.s3.eu-west-1.amazonaws.com",
            false,
            true,
        ),
        (
            "domain_name = \"site.s3.amazonaws.com\"".to_owned(),
            "site.s3.us-east-1.amazonaws.com",
            false,
            true,
        ),
        (
            "domain_name = \"site.s3.amazonaws.com\"\nregion = \"eu-west-1\"".to_owned(),
            "site.s3.eu-west-1.amazonaws.com",
            false,
            true,
        ),
        // A learned Region must not turn these into plain regional names.
        (
            "domain_name = \"site.s3-fips.us-east-2.amazonaws.com\"".to_owned(),
            "site.s3-fips.us-east-2.amazonaws.com",
            false,
            false,
        ),
        (
            "domain_name = \"my.site.s3.dualstack.us-east-2.amazonaws.com\"".to_owned(),
            "s3.dualstack.us-east-2.amazonaws.com",
            true,
            false,
        ),
    ] {
        let expected = Endpoint { tls: true, host: host.into(), port: None, path_style, regional };
        assert_eq!(origin(&keys).s3().unwrap().endpoint, expected, "{keys}");
    }
    let dotted = "bucket = \"my.site\"\nregion = \"eu-west-1\"\naddressing = \"virtual\"";
    check([error(alone(dotted), "5: distribution.origin.addressing", "covers one label", "\"path\"")]);
}

/// s3 §3, §6.4
#[test]
fn endpoints_of_ones_own() {
    let site = "bucket = \"site\"\nregion = \"eu-west-1\"\n";
    for (keys, tls, host, port, path_style) in [
        ("endpoint = \"https://Minio.internal:9000/\"", true, "minio.internal", Some(9000), true),
        ("endpoint = \"https://minio\"\naddressing = \"virtual\"", true, "site.minio", None, false),
        ("endpoint = \"http://127.0.0.1:9000\"", false, "127.0.0.1", Some(9000), true),
        ("endpoint = \"http://[::1]:9000\"", false, "[::1]", Some(9000), true),
        ("endpoint = \"http://minio\"\nallow_plain_http = true", false, "minio", None, true),
    ] {
        let expected = Endpoint { tls, host: host.into(), port, path_style, regional: false };
        assert_eq!(origin(&format!("{site}{keys}")).s3().unwrap().endpoint, expected, "{keys}");
    }
    let place = "9: distribution.origin.endpoint";
    check([
        error(in_origin("endpoint = \"minio:9000\""), place, "does not begin with https://", "https://HOST"),
        error(in_origin("endpoint = \"https://minio/a\""), place, "carries a path", "https://HOST"),
        error(in_origin("endpoint = \"https://minio?a\""), place, "carries a query", "https://HOST"),
        error(
            in_origin("endpoint = \"http://minio\""),
            place,
            "can be read on the way",
            "allow_plain_http = true",
        ),
        error(
            in_origin("endpoint = \"http://minio\"\nallow_plain_http = false"),
            place,
            "can be read on the way",
            "allow_plain_http = true",
        ),
        warning(
            in_origin("endpoint = \"http://minio\"\nallow_plain_http = true"),
            place,
            "can be read on the way",
            "laboratory",
        ),
        error(
            in_origin("endpoint = \"http://site.s3-website-us-east-1.amazonaws.com\""),
            place,
            "S3 website endpoint",
            "domain_name = \"site.s3.us-east-1.amazonaws.com\"",
        ),
        error(
            in_origin("endpoint = \"https://s3-accelerate.amazonaws.com\""),
            place,
            "Transfer Acceleration",
            "regional name",
        ),
        error(
            in_origin("endpoint = \"https://127.0.0.1\"\naddressing = \"virtual\""),
            "10: distribution.origin.addressing",
            "IP address",
            "\"path\"",
        ),
        error(
            in_origin("addressing = \"dns\""),
            "9: distribution.origin.addressing",
            "\"dns\" is not one of",
            "\"auto\", \"virtual\", \"path\"",
        ),
    ]);
}

#[test]
fn a_password_in_an_endpoint_is_refused_and_not_repeated() {
    let found = findings(load(&in_origin("endpoint = \"https://me:s3cret@minio\"")));
    assert!(found[0].message.contains("user name or a password"), "{}", lines(&found));
    assert!(!lines(&found).contains("s3cret"), "{}", lines(&found));
}

#[test]
fn the_environments_endpoint_serves_origins_without_one() {
    let site = alone("bucket = \"site\"\nregion = \"eu-west-1\"\n");
    let at = |url: &str| Environment { s3_endpoint: Some(url.to_owned()), ..env() };
    let endpoint = origin_in(&site, &at("http://127.0.0.1:9000")).s3().unwrap().endpoint.clone();
    assert_eq!((endpoint.authority().as_str(), endpoint.path_style), ("127.0.0.1:9000", true));
    let own = origin_in(&format!("{site}endpoint = \"https://minio\""), &at("http://127.0.0.1:9000"))
        .s3()
        .unwrap()
        .endpoint
        .clone();
    assert_eq!(&*own.host, "minio");
    assert_eq!(&*origin_in(&site, &at("")).s3().unwrap().endpoint.host, "site.s3.eu-west-1.amazonaws.com");

    let found = findings(load_toml("edge.toml", &site, &at("http://minio"), &Overrides::default()));
    let place = found[0].place.to_string();
    assert_eq!((place.as_str(), &*found[0].key), ("AWS_ENDPOINT_URL_S3", "distribution.origin.endpoint"));
}
