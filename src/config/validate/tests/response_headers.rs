use super::*;
use crate::config::response_headers::{AllowOrigins, ResponseHeadersPolicy, SamplingRate};

/// A policy that [`SITE`]'s other behaviour names. It begins at line 12; `keys` begin at line 14.
fn policy(keys: &str) -> String {
    with(&format!(
        "[[distribution.cache_behavior]]\npath_pattern = \"a/*\"\nresponse_headers_policy = \"mine\"\n\
         [[response_headers_policy]]\nname = \"mine\"\n{keys}"
    ))
}

fn read(keys: &str) -> ResponseHeadersPolicy {
    let config = config(&policy(keys));
    let behaviors = &config.distributions[0].behaviors;
    assert_eq!(behaviors[1].response_headers_policy, None);
    ResponseHeadersPolicy::clone(behaviors[0].response_headers_policy.as_ref().unwrap())
}

/// name, value, override
fn security(keys: &str) -> (String, String, bool) {
    let policy = read(&format!("[response_headers_policy.security_headers_config]\n{keys}"));
    let [header] = policy.security.as_slice() else { panic!("{policy:?}") };
    (header.name.to_string(), header.value.to_str().unwrap().to_owned(), header.overrides)
}

/// behaviour §9.5
#[test]
fn security_headers() {
    for (keys, name, value, overrides) in [
        (
            "strict_transport_security = { access_control_max_age_sec = 63072000 }",
            "strict-transport-security",
            "max-age=63072000",
            false,
        ),
        (
            "strict_transport_security = { access_control_max_age_sec = 0, include_subdomains = true, preload = true, override = true }",
            "strict-transport-security",
            "max-age=0; includeSubDomains; preload",
            true,
        ),
        ("content_type_options = { override = true }", "x-content-type-options", "nosniff", true),
        ("frame_options = { frame_option = \"DENY\" }", "x-frame-options", "DENY", false),
        ("xss_protection = { protection = false }", "x-xss-protection", "0", false),
        ("xss_protection = { protection = true }", "x-xss-protection", "1", false),
        (
            "xss_protection = { protection = true, mode_block = true }",
            "x-xss-protection",
            "1; mode=block",
            false,
        ),
        (
            "xss_protection = { protection = true, report_uri = \"/r\" }",
            "x-xss-protection",
            "1; report=/r",
            false,
        ),
        ("referrer_policy = { referrer_policy = \"same-origin\" }", "referrer-policy", "same-origin", false),
        (
            "content_security_policy = { content_security_policy = \"default-src 'self'\" }",
            "content-security-policy",
            "default-src 'self'",
            false,
        ),
    ] {
        assert_eq!(security(keys), (name.to_owned(), value.to_owned(), overrides), "{keys}");
    }
}

#[test]
fn cors_is_made_ready() {
    let policy = read(
        "[response_headers_policy.cors_config]\n\
         access_control_allow_origins = [\"https://*.example.com\"]\n\
         access_control_allow_headers = [\"X-A\", \"*\", \"x-amz-*\"]\n\
         access_control_allow_methods = [\"ALL\"]\n\
         access_control_allow_credentials = true\n\
         access_control_expose_headers = [\"ETag\", \"X-A\"]\n\
         access_control_max_age_sec = 600\n\
         origin_override = true\n",
    );
    let cors = policy.cors.unwrap();
    assert!(matches!(&cors.origins, AllowOrigins::Listed(patterns) if patterns.len() == 1));
    let text = |value: Option<http::HeaderValue>| value.unwrap().to_str().unwrap().to_owned();
    assert_eq!(text(cors.methods), "GET, DELETE, HEAD, OPTIONS, PATCH, POST, PUT"); // behaviour §9.4
    assert_eq!(text(cors.expose_headers), "ETag, X-A");
    assert_eq!(text(cors.max_age), "600");
    assert!(cors.credentials && cors.overrides);
    // With credentials browsers take `*` for a name.
    assert_eq!(text(cors.headers.listed), "X-A");
    assert_eq!(cors.headers.patterns.iter().map(|p| &**p).collect::<Vec<_>>(), ["*", "x-amz-*"]);

    let plain = read(
        "[response_headers_policy.cors_config]\naccess_control_allow_origins = [\"*\"]\n\
         access_control_allow_headers = [\"*\", \"Authorization\"]\n",
    );
    let cors = plain.cors.unwrap();
    assert_eq!(cors.origins, AllowOrigins::Any);
    assert_eq!(text(cors.headers.listed), "*, Authorization");
    assert_eq!((cors.methods, cors.max_age, cors.overrides), (None, None, false));
}

#[test]
fn custom_headers_removals_and_timing() {
    let policy = read(
        "comment = \"ours\"\nremove_headers = [\"X-Powered-By\", \"Server\", \"x-powered-by\"]\n\
         [response_headers_policy.server_timing_headers_config]\nenabled = true\nsampling_rate = 12.5\n\
         [[response_headers_policy.custom_header]]\nheader = \"X-A\"\nvalue = \"\"\noverride = true\n\
         [[response_headers_policy.custom_header]]\nheader = \"X-B\"\n",
    );
    assert_eq!(
        policy.remove.iter().map(http::HeaderName::as_str).collect::<Vec<_>>(),
        ["x-powered-by", "server"]
    );
    assert_eq!(policy.server_timing, Some(SamplingRate(125_000)));
    let custom: Vec<_> =
        policy.custom.iter().map(|h| (h.name.as_str(), h.value.len(), h.overrides)).collect();
    assert_eq!(custom, [("x-a", 0, true), ("x-b", 0, false)]); // behaviour §9.3
    let off =
        "[response_headers_policy.server_timing_headers_config]\nenabled = false\nsampling_rate = 100\n";
    assert_eq!(read(off).server_timing, None);
}

#[test]
fn managed_policies_are_known() {
    for name in ["SimpleCORS", "Managed-SimpleCORS", "60669652-455b-4ae9-85a4-c4c02393f86c"] {
        let text = with(&format!(
            "[[distribution.cache_behavior]]\npath_pattern = \"a/*\"\nresponse_headers_policy = \"{name}\"\n"
        ));
        let config = config(&text);
        let policy = config.distributions[0].behaviors[0].response_headers_policy.as_ref().unwrap();
        assert_eq!(&*policy.name, "SimpleCORS");
    }
}

/// behaviour §1.6: by CloudFront's code names
#[test]
fn what_cloudfront_refuses() {
    const CUSTOM: &str = "[[response_headers_policy.custom_header]]\n";
    const CORS: &str = "[response_headers_policy.cors_config]\n";
    const SECURITY: &str = "[response_headers_policy.security_headers_config]\n";
    const REMOVE: &str = "14: response_headers_policy.remove_headers";
    const HEADER: &str = "15: response_headers_policy.custom_header.header";
    const ORIGINS: &str = "15: response_headers_policy.cors_config.access_control_allow_origins";
    let remove = |name: &str| policy(&format!("remove_headers = [\"{name}\"]"));
    let custom = |name: &str| policy(&format!("{CUSTOM}header = \"{name}\"\nvalue = \"v\""));
    let origins =
        |list: &str, more: &str| policy(&format!("{CORS}access_control_allow_origins = [{list}]\n{more}"));
    let security = |keys: &str| policy(&format!("{SECURITY}{keys}"));
    let eleven: String = (0..11).map(|n| format!("{CUSTOM}header = \"x-{n}\"\n")).collect();
    check([
        // behaviour §9.6
        error(remove("Via"), REMOVE, "InvalidArgument: \"Via\" cannot be removed", "take it out"),
        error(remove("X-Amz-Cf-Pop"), REMOVE, "CloudFront reserves it", "take it out"),
        error(remove("X-Edge-Anything"), REMOVE, "CloudFront reserves it", "take it out"),
        error(remove("Content-Length"), REMOVE, "how the message travels", "take it out"),
        error(remove("a b"), REMOVE, "not the name of a header", "X-Variant"),
        error(custom("Transfer-Encoding"), HEADER, "cannot be a custom header", "leave it out"),
        error(custom("X-Cache"), HEADER, "CloudFront reserves it", "leave it out"),
        error(custom("a:"), HEADER, "not the name of a header", "X-Variant"),
        error(
            policy(&format!("{CUSTOM}header = \"x-a\"\n{CUSTOM}header = \"X-A\"\n")),
            "17: response_headers_policy.custom_header.header",
            "was given before",
            "give it once",
        ),
        error(
            policy(&format!("{CUSTOM}value = \"v\"")),
            "14: response_headers_policy.custom_header.header",
            "is missing",
            "header",
        ),
        error(
            policy(&format!("{CUSTOM}header = \"x-a\"\nvalue = \"a\\nb\"")),
            "16: response_headers_policy.custom_header.value",
            "characters that a header cannot have",
            "visible ASCII",
        ),
        error(
            policy(&eleven),
            "14: response_headers_policy.custom_header",
            "TooManyCustomHeadersInResponseHeadersPolicy: 11",
            "at most 10",
        ),
        error(origins("", ""), ORIGINS, "no origin is allowed", "list one"),
        error(origins("\"exa*mple.org\"", ""), ORIGINS, "not the whole first label", "https://*.example.com"),
        error(
            origins("\"*\"", "access_control_allow_credentials = true"),
            ORIGINS,
            "InvalidArgument: credentials are allowed, and any origin is",
            "list the origins",
        ),
        error(
            origins("\"*\"", "access_control_allow_methods = [\"get\"]"),
            "16: response_headers_policy.cors_config.access_control_allow_methods",
            "InvalidArgument: \"get\" is not a method",
            "ALL",
        ),
        error(
            origins("\"*\"", "access_control_max_age_sec = -1"),
            "16: response_headers_policy.cors_config.access_control_max_age_sec",
            "outside 0",
            "write 0",
        ),
        error(
            policy(CORS),
            "14: response_headers_policy.cors_config.access_control_allow_origins",
            "is missing",
            "access_control_allow_origins",
        ),
        error(
            security("frame_options = { frame_option = \"ALLOW\" }"),
            "15: response_headers_policy.security_headers_config.frame_options.frame_option",
            "is not one of",
            "DENY",
        ),
        error(
            security("frame_options = { override = true }"),
            "15: response_headers_policy.security_headers_config.frame_options.frame_option",
            "is missing",
            "frame_option",
        ),
        error(
            security("xss_protection = { protection = true, mode_block = true, report_uri = \"/r\" }"),
            "15: response_headers_policy.security_headers_config.xss_protection.report_uri",
            "exclude each other",
            "leave one out",
        ),
        error(
            security("xss_protection = { protection = false, mode_block = true }"),
            "15: response_headers_policy.security_headers_config.xss_protection.mode_block",
            "nothing to block",
            "protection = true",
        ),
        error(
            security(&format!(
                "content_security_policy = {{ content_security_policy = \"{}\" }}",
                "a".repeat(1_784)
            )),
            "15: response_headers_policy.security_headers_config.content_security_policy.content_security_policy",
            "1784 characters",
            "at most 1783",
        ),
        error(
            policy(
                "[response_headers_policy.server_timing_headers_config]\nenabled = true\nsampling_rate = 100.5",
            ),
            "16: response_headers_policy.server_timing_headers_config.sampling_rate",
            "100.5 is not a sampling rate",
            "four decimals",
        ),
    ]);
}

#[test]
fn names_are_unique_known_and_not_cloudfronts() {
    let named = |name: &str| with(&format!("[[response_headers_policy]]\nname = \"{name}\"\n"));
    check([
        error(
            with(
                "[[distribution.cache_behavior]]\npath_pattern = \"a\"\nresponse_headers_policy = \"SimpleCors\"",
            ),
            "11: distribution.cache_behavior.response_headers_policy",
            "NoSuchResponseHeadersPolicy: ",
            "did you mean \"SimpleCORS\"?",
        ),
        error(
            with("[[response_headers_policy]]\n"),
            "9: response_headers_policy.name",
            "is missing",
            "give the policy a name",
        ),
        error(named("a b"), "10: response_headers_policy.name", "is not 1 to 128", "1 to 128"),
        error(named("SimpleCORS"), "10: response_headers_policy.name", "managed policy", "another name"),
        error(
            format!("{}[[response_headers_policy]]\nname = \"a\"", named("a")),
            "12: response_headers_policy.name",
            "is taken already",
            "a name of its own",
        ),
    ]);
}
