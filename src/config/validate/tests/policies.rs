//! What cache and origin request policies take (behaviour §1.7, §1.8, §4).

use super::*;
use crate::config::{Selection, ViewerHeader};

/// A cache policy `mine` of these keys, which begin at line 11, that nothing uses.
fn cache(keys: &str) -> String {
    with(&format!("[[cache_policy]]\nname = \"mine\"\n{keys}"))
}

/// The same for an origin request policy.
fn request(keys: &str) -> String {
    with(&format!("[[origin_request_policy]]\nname = \"mine\"\n{keys}"))
}

/// A site whose default behaviour says `keys`, at line 5 and after, with `policies` at the end.
fn used(keys: &str, policies: &str) -> String {
    SITE.replace("[[distribution.origin]]", &format!("{keys}\n[[distribution.origin]]")) + policies
}

#[test]
fn behaviours_and_their_lists_fit() {
    check([
        error(
            cache("cookie_behavior = \"allexcept\""),
            "11: cache_policy.cookie_behavior",
            "is not one of",
            "did you mean \"allExcept\"?",
        ),
        error(
            cache("header_behavior = \"all\""),
            "11: cache_policy.header_behavior",
            "is not one of",
            "none",
        ),
        error(
            cache("query_string_behavior = \"whitelist\""),
            "9: cache_policy.query_strings",
            "InvalidArgument",
            "at least one name",
        ),
        error(
            cache("cookie_behavior = \"all\"\ncookies = [\"a\"]"),
            "12: cache_policy.cookies",
            "InvalidArgument",
            "leave it out",
        ),
        error(
            cache("header_behavior = \"none\"\nheaders = [\"X-A\"]"),
            "12: cache_policy.headers",
            "InvalidArgument",
            "leave it out",
        ),
        error(
            cache("query_strings = [\"\"]"),
            "11: cache_policy.query_strings",
            "an empty name",
            "leave it out",
        ),
        error(
            request("header_behavior = \"allViewerAndWhitelistCloudFront\"\nheaders = [\"X-A\"]"),
            "12: origin_request_policy.headers",
            "not a CloudFront-* header",
            "taken already",
        ),
        error(
            request("headers = [\"CloudFront-Viewer-JA3-Fingerprint\"]"),
            "11: origin_request_policy.headers",
            "not supported yet",
            "take it out",
        ),
        error(
            request("headers = [\"Authorization\"]"),
            "11: origin_request_policy.headers",
            "InvalidArgument",
            "[[cache_policy]]",
        ),
        error(with("[[origin_request_policy]]\n"), "9: origin_request_policy.name", "is missing", "a name"),
        error(
            with("[[origin_request_policy]]\nname = \"AllViewer\""),
            "10: origin_request_policy.name",
            "managed policy",
            "another name",
        ),
    ]);
    let eleven = (0..11).map(|n| format!("\"n{n}\"")).collect::<Vec<_>>().join(", ");
    for (text, place, code) in [
        (cache(&format!("cookies = [{eleven}]")), "11: cache_policy.cookies", "TooManyCookiesInCachePolicy"),
        (
            cache(&format!("query_strings = [{eleven}]")),
            "11: cache_policy.query_strings",
            "TooManyQueryStringsInCachePolicy",
        ),
        (
            request(&format!("headers = [{eleven}]")),
            "11: origin_request_policy.headers",
            "TooManyHeadersInOriginRequestPolicy",
        ),
    ] {
        check([error(text, place, code, "at most 10")]); // behaviour §12.13
    }
}

#[test]
fn what_behaviours_refer_to() {
    let place = "5: distribution.default_cache_behavior.origin_request_policy";
    let named = |name: &str| used(&format!("origin_request_policy = \"{name}\""), "");
    check([
        error(named("AllViewr"), place, "NoSuchOriginRequestPolicy", "did you mean \"AllViewer\"?"),
        warning(named("AllViewer"), place, "S3 is not told the headers host, cookie", "nothing need be done"),
        warning(named("AllViewerExceptHostHeader"), place, "S3 is not told the headers cookie", "nothing"),
        warning(named("HostHeaderOnly"), place, "S3 is not told the headers host", "nothing"),
        warning(
            used(
                "origin_request_policy = \"mine\"",
                "[[origin_request_policy]]\nname = \"mine\"\nquery_strings = [\"versionId\", \"a\", \"acl\"]\n",
            ),
            place,
            "the parameters versionId, acl:",
            "cache policy",
        ),
    ]);
    let place = "5: distribution.default_cache_behavior.cache_policy";
    let mine =
        |keys: &str| used("cache_policy = \"mine\"", &format!("[[cache_policy]]\nname = \"mine\"\n{keys}\n"));
    check([
        error(mine("headers = [\"Host\"]"), place, "InvalidHeadersForS3Origin", "take Host out"), // behaviour §4.1
        warning(mine("cookies = [\"a\"]"), place, "S3 is not told", "nothing need be done"),
        warning(mine("query_strings = [\"acl\"]"), place, "the parameters acl:", "cache policy"), // s3 §2.1
    ]);
    config(&named("CORS-S3Origin"));
}

/// behaviour §4.9
#[test]
fn the_managed_policy_that_tells_where_a_viewer_is_does_what_can_be_done() {
    let text = used("origin_request_policy = \"AllViewerAndCloudFrontHeaders-2022-06\"", "");
    let warnings = load(&text).unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.message.contains("is not told cloudfront-viewer-asn")));
    let behavior = &config(&text).distributions[0].behaviors[0];
    assert_eq!(behavior.origin_request_policy.as_ref().unwrap().viewer_headers.len(), 21);
}

#[test]
fn a_policy_goes_by_its_id_too() {
    let own = |more: &str| {
        used("cache_policy = \"5f0c\"", &format!("[[cache_policy]]\nname = \"mine\"\nid = \"5f0c\"\n{more}"))
    };
    assert_eq!(&*config(&own("")).distributions[0].behaviors[0].cache_policy.name, "mine");
    check([error(
        own("[[cache_policy]]\nname = \"other\"\nid = \"5f0c\"\n"),
        "15: cache_policy.id",
        "the cache policy id \"5f0c\" is taken already",
        "a name of its own",
    )]);
}

#[test]
fn the_managed_policy_that_keys_on_host_is_a_warning() {
    let text = used("cache_policy = \"UseOriginCacheControlHeaders\"", "");
    let warnings = load(&text).unwrap().warnings;
    let said: Vec<_> = warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "InvalidHeadersForS3Origin: the policy keys on Host",
            "cookies split the cache, and S3 is not told of them"
        ]
    );
}

#[test]
fn what_policies_take() {
    let text = used(
        "cache_policy = \"mine\"\norigin_request_policy = \"more\"",
        "[[cache_policy]]\nname = \"mine\"\n\
         headers = [\"Accept-Encoding\", \"CloudFront-Is-Mobile-Viewer\", \"X-A\"]\n\
         query_string_behavior = \"allExcept\"\nquery_strings = [\"utm\"]\n\
         [[origin_request_policy]]\nname = \"more\"\nheader_behavior = \"allViewerAndWhitelistCloudFront\"\n\
         headers = [\"CloudFront-Viewer-Address\"]\nquery_string_behavior = \"all\"\n",
    );
    let config = config(&text);
    let behavior = &config.distributions[0].behaviors[0];
    let policy = &behavior.cache_policy;
    assert_eq!(policy.headers, ["accept-encoding", "x-a"]);
    assert_eq!(policy.viewer_headers, [ViewerHeader::IsMobile]);
    assert_eq!(policy.query_strings, Selection::AllExcept(vec!["utm".into()]));
    assert_eq!(policy.cookies, Selection::None);
    let more = behavior.origin_request_policy.as_ref().unwrap();
    assert_eq!((&more.headers, &more.query_strings), (&Selection::All, &Selection::All));
    assert_eq!(more.viewer_headers, [ViewerHeader::Address]);
}
