//! CloudFront's error codes, each mistake told once.

use super::*;

/// behaviour §1.6
#[test]
fn errors_have_cloudfronts_codes() {
    let origin = "/Origins/Items/0";
    let legacy = |min: i64, max: i64| {
        let root = with("/DefaultCacheBehavior/CachePolicyId", Value::Null);
        let values = json!({"QueryString": false, "Cookies": {"Forward": "none"}});
        let root = changed(root, "/DefaultCacheBehavior/ForwardedValues", values);
        let root = changed(root, "/DefaultCacheBehavior/MinTTL", json!(min));
        changed(root, "/DefaultCacheBehavior/MaxTTL", json!(max))
    };
    let keepalive = |seconds: i64| {
        let custom = json!({"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only",
                            "OriginKeepaliveTimeout": seconds});
        let root = with(&format!("{origin}/S3OriginConfig"), Value::Null);
        changed(root, &format!("{origin}/CustomOriginConfig"), custom)
    };
    let error = |code: Value, page: Value, status: Value| {
        let item = json!({"ErrorCode": code, "ResponsePagePath": page, "ResponseCode": status});
        with("/CustomErrorResponses", json!({"Quantity": 1, "Items": [item]}))
    };
    let custom = |field: &str, value: Value| {
        let root = with(&format!("{origin}/S3OriginConfig"), Value::Null);
        let root = changed(root, &format!("{origin}/DomainName"), json!("www.example.com"));
        let config = json!({"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"});
        let root = changed(root, &format!("{origin}/CustomOriginConfig"), config);
        changed(root, &format!("{origin}/CustomOriginConfig/{field}"), value)
    };
    let cookies = |cookies: Value| {
        let root = with("/DefaultCacheBehavior/CachePolicyId", Value::Null);
        let values = json!({"QueryString": false, "Cookies": cookies});
        changed(root, "/DefaultCacheBehavior/ForwardedValues", values)
    };
    for (root, code, key) in [
        (with("/Aliases/Quantity", json!(2)), "InconsistentQuantities", "Aliases.Quantity"),
        (with("/Aliases", json!(["a"])), "InvalidArgument", "Aliases"),
        (with("/Enabled", json!("yes")), "InvalidArgument", "Enabled"),
        (with("/DefaultCacheBehavior", Value::Null), "InvalidArgument", "DefaultCacheBehavior"),
        (
            with("/DefaultCacheBehavior/ViewerProtocolPolicy", Value::Null),
            "InvalidArgument",
            "ViewerProtocolPolicy",
        ),
        (with("/DefaultCacheBehavior/CachePolicyId", json!("")), "InvalidArgument", "CachePolicyId"),
        (with("/DefaultRootObject", json!("/index.html")), "InvalidDefaultRootObject", "DefaultRootObject"),
        (with("/DefaultCacheBehavior/CachePolicyId", json!("no")), "NoSuchCachePolicy", "CachePolicyId"),
        (
            with("/DefaultCacheBehavior/OriginRequestPolicyId", json!("no")),
            "NoSuchOriginRequestPolicy",
            "OriginRequestPolicyId",
        ),
        (
            with("/DefaultCacheBehavior/ResponseHeadersPolicyId", json!("no")),
            "NoSuchResponseHeadersPolicy",
            "ResponseHeadersPolicyId",
        ),
        (with("/DefaultCacheBehavior/TargetOriginId", json!("no")), "NoSuchOrigin", "TargetOriginId"),
        (
            with(
                &format!("{origin}/S3OriginConfig/OriginAccessIdentity"),
                json!("origin-access-identity/cloudfront/E1"),
            ),
            "IllegalOriginAccessConfiguration",
            "OriginAccessControlId",
        ),
        (with(&format!("{origin}/S3OriginConfig"), Value::Null), "InvalidOrigin", "Origins.Items[0]"),
        (with(&format!("{origin}/OriginPath"), json!("x/")), "InvalidRelativePath", "OriginPath"),
        (error(json!(402), json!(""), json!("")), "InvalidErrorCode", "ErrorCode"),
        (error(json!(404), json!("/a"), json!("201")), "InvalidResponseCode", "ResponseCode"),
        (error(json!(404), json!("a"), json!(200)), "InvalidRelativePath", "ResponsePagePath"),
        (legacy(10, 5), "InvalidTTLOrder", "MaxTTL"),
        (
            with(&format!("{origin}/DomainName"), json!("https://b.s3.amazonaws.com")),
            "InvalidOrigin",
            "DomainName",
        ),
        (with(&format!("{origin}/DomainName"), json!("www.example.com")), "InvalidOrigin", "DomainName"),
        (
            with(&format!("{origin}/S3OriginConfig/OriginReadTimeout"), json!(121)),
            "InvalidOriginReadTimeout",
            "OriginReadTimeout",
        ),
        (keepalive(0), "InvalidOriginKeepaliveTimeout", "OriginKeepaliveTimeout"),
        (with(&format!("{origin}/ConnectionTimeout"), json!(11)), "InvalidArgument", "ConnectionTimeout"),
        (
            custom("OriginKeepaliveTimeout", json!(121)),
            "InvalidOriginKeepaliveTimeout",
            "OriginKeepaliveTimeout",
        ),
        (
            custom("OriginSslProtocols", json!({"Quantity": 1, "Items": ["TLSv2"]})),
            "InvalidRequiredProtocol",
            "OriginSslProtocols.Items[0]",
        ),
        (custom("HTTPPort", json!(80)), "InvalidDomainNameForOriginAccessControl", "OriginAccessControlId"),
        (
            changed(
                with(&format!("{origin}/OriginAccessControlId"), json!("")),
                &format!("{origin}/S3OriginConfig/OriginAccessIdentity"),
                json!("E1"),
            ),
            "InvalidOriginAccessIdentity",
            "OriginAccessIdentity",
        ),
        (
            with(&format!("{origin}/OriginShield"), json!({"Enabled": true})),
            "InvalidArgument",
            "OriginShieldRegion",
        ),
        (
            with("/ViewerCertificate/SSLSupportMethod", json!("any")),
            "InvalidViewerCertificate",
            "SSLSupportMethod",
        ),
        (
            with(
                "/OriginGroups",
                json!({"Quantity": 1, "Items": [{
                "Id": "g", "FailoverCriteria": {"StatusCodes": {"Quantity": 1, "Items": [500]}},
                "Members": {"Quantity": 2, "Items": [{"OriginId": "s3-main"}, {"OriginId": "no"}]}}]}),
            ),
            "NoSuchOrigin",
            "OriginId",
        ),
        (cookies(json!({"Forward": "some"})), "InvalidForwardCookies", "Cookies.Forward"),
        (
            cookies(json!({"Forward": "all", "WhitelistedNames": {"Quantity": 1, "Items": ["a"]}})),
            "InvalidForwardCookies",
            "WhitelistedNames",
        ),
    ] {
        let found = news(&root);
        let finding = found.iter().find(|finding| finding.code() == Some(code));
        let finding = finding.unwrap_or_else(|| panic!("{code}: {found:#?}"));
        assert!(finding.severity == Severity::Error && finding.key.ends_with(key), "{finding}");
    }
}

/// One mistake is one finding, where it was made.
#[test]
fn mistakes_are_told_once() {
    let list = "InvalidArgument: expected an object, found an array, as CloudFormation's templates have it";
    let policy = "b2884449-e4de-46a7-ac36-70bc7f1ddd6e";
    for (root, key, message, fix) in [
        (
            with("/Aliases", json!(["a.example.com", "b.example.com"])),
            "Aliases",
            list,
            r#"write {"Quantity": 2, "Items": [...]}"#,
        ),
        (with("/Origins", json!([])), "Origins", list, r#"write {"Quantity": 0, "Items": [...]}"#),
        (
            with("/Origins/Items/0/ConnectionTimeout", json!(0)),
            "Origins.Items[0].ConnectionTimeout",
            "InvalidArgument: 0s is outside",
            "write 1 to 10, in seconds",
        ),
        (
            with("/Origins/Items/0/CustomHeaders", json!({"Quantity": 1, "Items": [{"HeaderValue": ""}]})),
            "Origins.Items[0].CustomHeaders.Items[0].HeaderName",
            "InvalidArgument: is missing",
            "say what HeaderName is",
        ),
        (
            with("/DefaultCacheBehavior/AllowedMethods", json!(["GET", "HEAD"])),
            "DefaultCacheBehavior.AllowedMethods",
            list,
            r#"write {"Quantity": 2"#,
        ),
        (with("/Origins", Value::Null), "Origins", "InvalidArgument: is missing", "say what Origins is"),
        (
            with("/DefaultCacheBehavior", Value::Null),
            "DefaultCacheBehavior",
            "InvalidArgument: is missing",
            "say what DefaultCacheBehavior is",
        ),
        (
            with("/DefaultCacheBehavior/CachePolicyId", json!(policy)),
            "DefaultCacheBehavior.CachePolicyId",
            "NoSuchCachePolicy",
            "add what `aws cloudfront get-cache-policy --id b2884449",
        ),
        (
            with("/DefaultCacheBehavior/OriginRequestPolicyId", json!(policy)),
            "DefaultCacheBehavior.OriginRequestPolicyId",
            "NoSuchOriginRequestPolicy",
            "add what `aws cloudfront get-origin-request-policy --id b2884449",
        ),
        (
            with("/DefaultCacheBehavior/ResponseHeadersPolicyId", json!(policy)),
            "DefaultCacheBehavior.ResponseHeadersPolicyId",
            "NoSuchResponseHeadersPolicy",
            "add what `aws cloudfront get-response-headers-policy --id b2884449",
        ),
        (
            with("/DefaultCacheBehavior/CachePolicyId", json!("CachingOptimised")),
            "DefaultCacheBehavior.CachePolicyId",
            "NoSuchCachePolicy",
            "did you mean \"CachingOptimized\"?",
        ),
    ] {
        let found = news(&root);
        let [finding] = found.as_slice() else { panic!("{key}: {found:#?}") };
        assert_eq!(
            (finding.severity, &*finding.key),
            (Severity::Error, &*format!("DistributionConfig.{key}"))
        );
        assert!(finding.message.starts_with(message), "{finding}");
        assert!(finding.fix.as_ref().unwrap().starts_with(fix), "{finding}");
    }
}

/// A template that nobody filled in says so.
#[test]
fn placeholders() {
    let custom = json!({"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"});
    let kinds = [("S3OriginConfig", json!({"OriginAccessIdentity": ""})), ("CustomOriginConfig", custom)];
    for (name, kind) in [
        ("${BUCKET}.s3.amazonaws.com", 0),
        ("<bucket>.s3.eu-west-1.amazonaws.com", 0),
        ("YOUR_BUCKET.s3.amazonaws.com", 0),
        ("__ORIGIN__", 0),
        ("{{ origin }}", 1),
        ("https://${ORIGIN}", 1),
    ] {
        let (kind, settings) = kinds[kind].clone();
        let root = with("/Origins/Items/0/DomainName", json!(name));
        let root = changed(root, "/Origins/Items/0/S3OriginConfig", Value::Null);
        let root = changed(root, "/Origins/Items/0/OriginAccessControlId", Value::Null);
        let found = findings(load(&changed(root, &format!("/Origins/Items/0/{kind}"), settings)));
        let errors: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Error).collect();
        let [error] = errors.as_slice() else { panic!("{name}: {found:#?}") };
        assert_eq!(error.key, "DistributionConfig.Origins.Items[0].DomainName");
        assert_eq!(error.fix.as_deref(), Some("put the real name in place of the placeholder"), "{error}");
    }
}
