use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{
    CachePolicy, Config, Environment, Finding, GeoRestriction, Loaded, Overrides, SecurityPolicy, Selection,
    Severity,
};
use super::*;

const EXAMPLE: &str = include_str!("../../../tests/fixtures/distributions/complete/distribution-config.json");

/// behaviour §1.6
fn example() -> Value {
    serde_json::from_str(EXAMPLE).unwrap()
}

/// The example with another value at `pointer`, below `DistributionConfig`; `null` takes it away.
fn with(pointer: &str, value: Value) -> Value {
    changed(example(), pointer, value)
}

fn changed(mut root: Value, pointer: &str, value: Value) -> Value {
    let pointer = format!("/DistributionConfig{pointer}");
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = root.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(parent.remove(name)),
        value => drop(parent.insert(name.to_owned(), value)),
    }
    root
}

fn file(stem: &str, text: impl Into<Vec<u8>>) -> File {
    File { name: format!("{stem}.json"), stem: stem.to_owned(), folder: None, bytes: text.into() }
}

fn load_files(files: &[File], accepted: &[&str]) -> Result<Loaded, Vec<Finding>> {
    let accepted = accepted.iter().map(|name| (*name).to_owned()).collect();
    let env = Environment { s3_endpoint: None, region: None, parallelism: 2 };
    super::super::load_distributions(files, &accepted, &env, &Overrides::default())
}

fn load(root: &Value) -> Result<Loaded, Vec<Finding>> {
    load_files(&[file("site", serde_json::to_string_pretty(root).unwrap())], &[])
}

fn findings(loaded: Result<Loaded, Vec<Finding>>) -> Vec<Finding> {
    loaded.map_or_else(|findings| findings, |loaded| loaded.warnings)
}

fn config(root: &Value) -> Config {
    load(root).unwrap_or_else(|findings| panic!("{findings:#?}")).config
}

/// Those of `root` that the example has not.
fn news(root: &Value) -> Vec<Finding> {
    let is_old = |finding: &Finding| {
        ["OriginAccessControlId", "ACMCertificateArn", "HttpVersion"]
            .iter()
            .any(|key| finding.key.ends_with(key))
            && finding.severity == Severity::Warning
    };
    findings(load(root)).into_iter().filter(|finding| !is_old(finding)).collect()
}

#[test]
fn the_complete_example_is_accepted() {
    let loaded = load_files(&[file("site", EXAMPLE)], &[]).unwrap();
    let told: Vec<_> =
        loaded.warnings.iter().map(|finding| (finding.key.as_str(), finding.place.line)).collect();
    let expected = [
        ("DistributionConfig.Origins.Items[0].OriginAccessControlId", Some(14)),
        ("DistributionConfig.ViewerCertificate.ACMCertificateArn", Some(35)),
        ("DistributionConfig.HttpVersion", Some(40)),
    ];
    let names =
        |list: &[(&str, Option<usize>)]| list.iter().map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&told), names(&expected), "{:#?}", loaded.warnings);
    let distribution = &loaded.config.distributions[0];
    assert_eq!((&*distribution.id, &*distribution.aliases[0]), ("site", "files.example.com"));
    assert_eq!(distribution.default_root_object.as_deref(), Some("index.html"));
    assert_eq!(&*distribution.behaviors[0].cache_policy.name, "CachingOptimized");
}

/// Each is an error that names the field and the way out, and a warning once it is accepted.
#[test]
fn what_is_not_supported_is_never_dropped() {
    const BEHAVIOR: &str = "/DefaultCacheBehavior";
    let custom = json!({"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"});
    let origin = |name: &str, value: Value| {
        let mut origin = example()["DistributionConfig"]["Origins"]["Items"][0].clone();
        origin.as_object_mut().unwrap().remove("S3OriginConfig");
        origin["OriginAccessControlId"] = json!("");
        origin["CustomOriginConfig"] = custom.clone();
        match name {
            "VpcOriginConfig" => drop(origin.as_object_mut().unwrap().remove("CustomOriginConfig")),
            "OriginMtlsConfig" => origin["CustomOriginConfig"][name] = value.clone(),
            "OriginAccessControlId" => origin["DomainName"] = json!("id.lambda-url.eu-west-1.on.aws"),
            _ => {}
        }
        if name != "OriginMtlsConfig" {
            origin[name] = value;
        }
        with("/Origins", json!({"Quantity": 1, "Items": [origin]}))
    };
    let function = json!({"Quantity": 1, "Items": [{"FunctionARN": "arn:…", "EventType": "viewer-request"}]});
    let group = json!({"Quantity": 1, "Items": [{"Id": "g", "SelectionCriteria": "media-quality-based",
        "FailoverCriteria": {"StatusCodes": {"Quantity": 1, "Items": [500]}},
        "Members": {"Quantity": 2, "Items": [{"OriginId": "s3-main"}, {"OriginId": "s3-main"}]}}]});
    let rows = [
        ("ConnectionFunctionAssociation", with("/ConnectionFunctionAssociation", json!({"Id": "f"}))),
        ("ConnectionMode", with("/ConnectionMode", json!("tenant-only"))),
        ("FieldLevelEncryptionId", with(&format!("{BEHAVIOR}/FieldLevelEncryptionId"), json!("C1"))),
        ("FunctionAssociations", with(&format!("{BEHAVIOR}/FunctionAssociations"), function)),
        ("GrpcConfig", with(&format!("{BEHAVIOR}/GrpcConfig"), json!({"Enabled": true}))),
        (
            "LambdaFunctionAssociations",
            with(
                &format!("{BEHAVIOR}/LambdaFunctionAssociations"),
                json!({"Quantity": 1, "Items": [{"LambdaFunctionARN": "arn:…:1", "EventType": "origin-request"}]}),
            ),
        ),
        ("OriginAccessControlId", origin("OriginAccessControlId", json!("E2"))),
        ("OriginMtlsConfig", origin("OriginMtlsConfig", json!({"ClientCertificateArn": "arn:…"}))),
        ("SelectionCriteria", with("/OriginGroups", group)),
        ("SmoothStreaming", with(&format!("{BEHAVIOR}/SmoothStreaming"), json!(true))),
        ("Staging", with("/Staging", json!(true))),
        ("TenantConfig", with("/TenantConfig", json!({"ParameterDefinitions": []}))),
        ("VpcOriginConfig", origin("VpcOriginConfig", json!({"VpcOriginId": "vo_1"}))),
        ("WebACLId", with("/WebACLId", json!("arn:aws:wafv2:…"))),
    ];
    assert_eq!(rows.each_ref().map(|(name, _)| *name), ACCEPTABLE);
    for (name, root) in rows {
        let files = [file("site", root.to_string())];
        let named = |finding: &&Finding| finding.message.starts_with(&format!("{name} is not supported"));
        let refused = load_files(&files, &[]).unwrap_err();
        let finding = refused.iter().find(named).unwrap_or_else(|| panic!("{name}: {refused:#?}"));
        assert_eq!(finding.severity, Severity::Error, "{name}");
        assert!(finding.key.starts_with("DistributionConfig.") && finding.key.contains(name), "{finding}");
        assert!(
            finding.fix.as_ref().unwrap().ends_with(&format!("--accept-unsupported {name}")),
            "{finding}"
        );
        let accepted = findings(load_files(&files, &[name]));
        let finding = accepted.iter().find(named).unwrap_or_else(|| panic!("{name}: {accepted:#?}"));
        assert_eq!(finding.severity, Severity::Warning, "{name}");
    }
}

#[test]
fn signed_content_and_viewer_certificates_cannot_be_accepted_away() {
    for (pointer, value, name) in [
        (
            "/DefaultCacheBehavior/TrustedKeyGroups",
            json!({"Enabled": true, "Quantity": 1, "Items": ["k"]}),
            "TrustedKeyGroups",
        ),
        (
            "/DefaultCacheBehavior/TrustedSigners",
            json!({"Enabled": true, "Quantity": 1, "Items": ["self"]}),
            "TrustedSigners",
        ),
        ("/DefaultCacheBehavior/TrustedSigners", json!({"Quantity": 1, "Items": ["self"]}), "TrustedSigners"),
        ("/ViewerMtlsConfig", json!({"Mode": "required"}), "ViewerMtlsConfig"),
    ] {
        let found = news(&with(pointer, value));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].severity == Severity::Error && found[0].message.starts_with(name), "{}", found[0]);
        assert!(!found[0].to_string().contains("--accept-unsupported"), "{}", found[0]);
    }
}

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

#[test]
fn what_is_odd_is_said_and_harmless() {
    let null = json!({"DistributionConfig": {"WebACLId": null}});
    let mut root = example();
    root["DistributionConfig"]["WebACLId"] = null["DistributionConfig"]["WebACLId"].clone();
    for (root, key, says) in [
        (root, "DistributionConfig.WebACLId", "is null"),
        (with("/PriceClas", json!("x")), "DistributionConfig.PriceClas", "did you mean \"PriceClass\"?"),
        (with("/Colour", json!([])), "DistributionConfig.Colour", "unknown field"),
        (
            with("/Logging/Enabled", json!(true)),
            "DistributionConfig.Logging",
            "no log is written to a bucket",
        ),
        (
            with("/DefaultCacheBehavior/RealtimeLogConfigArn", json!("arn:…")),
            "DistributionConfig.DefaultCacheBehavior.RealtimeLogConfigArn",
            "real-time logs",
        ),
        (
            with("/ContinuousDeploymentPolicyId", json!("p")),
            "DistributionConfig.ContinuousDeploymentPolicyId",
            "continuous deployment",
        ),
    ] {
        let found = news(&root);
        let [finding] = found.as_slice() else { panic!("{key}: {found:#?}") };
        assert_eq!((finding.severity, finding.key.as_str()), (Severity::Warning, key));
        assert!(finding.to_string().contains(says), "{finding}");
    }
    let twice = EXAMPLE.replace("\"WebACLId\": \"\"", "\"WebACLId\": \"\", \"WebACLId\": \"arn:…\"");
    let found = load_files(&[file("site", twice)], &[]).unwrap_err();
    assert!(found.iter().any(|finding| finding.message == "is given twice"), "{found:#?}");
}

#[test]
fn files_that_are_not_what_they_should_be() {
    for (bytes, line, says) in [
        (Vec::new(), None, "is empty"),
        (b" \n".to_vec(), None, "is empty"),
        (b"{\"a\": \"\xff\"}".to_vec(), None, "is not UTF-8"),
        (b"\xff\xfe{\0}\0\n".to_vec(), None, "is not UTF-8"),
        (b"\xfe\xff\xd8\x00".to_vec(), None, "is not UTF-8"),
        (b"[{}, 1]".to_vec(), None, "holds an array, and not an object"),
        (b"\"{}\"".to_vec(), None, "holds a string, and not an object"),
        (b"{\n\"secret\": 1,,}".to_vec(), Some(2), "not JSON: a name in quotes was expected"),
        ("[".repeat(100_000).into_bytes(), Some(1), "not JSON: it is nested too deeply"),
        (b"{\"Distribution\": {\"Id\": \"E1\"}}".to_vec(), Some(1), "DistributionConfig is missing"),
    ] {
        let found = load_files(&[file("odd", bytes)], &[]).unwrap_err();
        let finding = found.iter().find(|finding| finding.message.contains(says));
        let finding = finding.unwrap_or_else(|| panic!("{says}: {found:#?}"));
        assert_eq!((&*finding.place.source, finding.place.line), ("odd.json", line));
        assert_eq!((finding.severity, found.len()), (Severity::Error, 1), "{found:#?}");
        assert!(!finding.to_string().contains("secret"), "{finding}");
    }
}

/// What is no distribution does not harm one beside it; alone it is not enough.
#[test]
fn files_that_say_nothing_of_a_distribution() {
    for (text, line, says) in [
        (r#"{"name": "package"}"#, None, "it is nothing that describes a distribution"),
        ("[]", None, ""),
        ("[{}]", None, "it is nothing that describes a distribution"),
        (r#"{"DistributionList": {"Items": []}}"#, Some(1), "a list holds summaries"),
        (r#"{"ARN": "arn", "Origins": {}}"#, Some(1), "a list holds summaries"),
        (r#"[{"ARN": "arn", "Origins": {}}]"#, Some(1), "a list holds summaries"),
        (r#"{"AWSTemplateFormatVersion": "2010-09-09"}"#, None, "it is a CloudFormation template"),
        (r#"{"Resources": {}}"#, None, "it is a CloudFormation template"),
        (r#"{"version": 4, "terraform_version": "1.5.0"}"#, None, "it is Terraform's state or plan"),
        (r#"{"resource": {"aws_cloudfront_distribution": {}}}"#, None, "it is a Terraform configuration"),
        (
            r#"{"configuration": {"distributionConfig": {}}}"#,
            None,
            "it has names that begin with a small letter",
        ),
        (r#"{"defaultCacheBehavior": {}}"#, None, "it has names that begin with a small letter"),
    ] {
        let odd = || file("odd", text);
        let found = load_files(&[odd()], &[]).unwrap_err();
        assert_eq!(found[0].message, "there is no distribution, so there is nothing to serve", "{text}");
        let beside = load_files(&[odd(), file("site", EXAMPLE)], &[]).unwrap().warnings;
        for found in [found, beside] {
            let finding = found.iter().find(|finding| &*finding.place.source == "odd.json");
            assert_eq!(finding.is_none(), says.is_empty(), "{found:#?}");
            let Some(finding) = finding else { continue };
            assert_eq!((finding.severity, finding.place.line), (Severity::Warning, line), "{finding}");
            assert!(
                finding.message.starts_with("is ignored: ") && finding.message.contains(says),
                "{finding}"
            );
        }
    }
}

/// Windows PowerShell 5 writes UTF-16 with `>`, its `Out-File -Encoding utf8` a byte order mark.
#[test]
fn encodings() {
    let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xfeff).chain(EXAMPLE.encode_utf16()).flat_map(order).collect()
    };
    let marked = [b"\xef\xbb\xbf", EXAMPLE.as_bytes()].concat();
    let list = format!("[{EXAMPLE}]");
    for bytes in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), marked, list.into_bytes()] {
        let loaded = load_files(&[file("site", bytes)], &[]).unwrap();
        assert_eq!(&*loaded.config.distributions[0].aliases[0], "files.example.com");
    }
}

/// Tools that pass settings on make text of what is none.
#[test]
fn numbers_and_booleans_as_text() {
    let root = with("/Enabled", json!("False"));
    let root = changed(root, "/DefaultCacheBehavior/Compress", json!("true"));
    let root = changed(root, "/Origins/Quantity", json!("1"));
    let root = changed(root, "/Origins/Items/0/ConnectionAttempts", json!("2"));
    let distribution = &config(&root).distributions[0];
    assert!(!distribution.enabled);
    assert_eq!(distribution.origins[0].connection_attempts, 2);
    assert_ne!(
        distribution.behaviors[0].encoding,
        config(&with("/DefaultCacheBehavior/Compress", json!(false))).distributions[0].behaviors[0].encoding
    );
    let found = news(&with("/Origins/Items/0/ConnectionAttempts", json!("two")));
    assert_eq!(found[0].message, "InvalidArgument: expected a whole number, found a string");
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

/// Live distributions have `*` beside other names: all are forwarded, and nothing is kept (behaviour §1.6).
#[test]
fn all_headers_among_others() {
    let with_headers = |headers: Value| {
        let cookies = json!({"Forward": "none"});
        let values = json!({"QueryString": false, "Cookies": cookies, "Headers": headers});
        let root = with("/DefaultCacheBehavior/CachePolicyId", Value::Null);
        changed(root, "/DefaultCacheBehavior/ForwardedValues", values)
    };
    let among = with_headers(json!({"Quantity": 2, "Items": ["Origin", "*"]}));
    let found = findings(load(&among));
    let finding = found.iter().find(|finding| finding.key.ends_with("Headers.Items[1]")).unwrap();
    assert_eq!(finding.severity, Severity::Warning, "{finding}");
    let behavior = |root: &Value| std::sync::Arc::clone(&config(root).distributions[0].behaviors[0]);
    let alone = with_headers(json!({"Quantity": 1, "Items": ["*"]}));
    assert_eq!(behavior(&among).cache_policy, behavior(&alone).cache_policy);
    assert_eq!(behavior(&among).origin_request_policy, behavior(&alone).origin_request_policy);
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

/// behaviour §10.1, §10.5
#[test]
fn how_a_bucket_is_signed_for() {
    use super::super::raw::Field;
    let control = |behavior: &str| {
        json!({"OriginAccessControl": {"Id": "E2OACEXAMPLE", "OriginAccessControlConfig": {
            "Name": "site", "SigningProtocol": "sigv4", "SigningBehavior": behavior,
            "OriginAccessControlOriginType": "s3"}}})
    };
    let id = |id: &str| with("/Origins/Items/0/OriginAccessControlId", json!(id));
    let identity = changed(
        id(""),
        "/Origins/Items/0/S3OriginConfig/OriginAccessIdentity",
        json!("origin-access-identity/cloudfront/E1"),
    );
    for (root, control, expected) in [
        (example(), None, "always"),
        (example(), Some(control("no-override")), "no-override"),
        (id("site"), Some(control("never")), "never"),
        (id(""), None, "never"),
        (identity, None, "always"),
    ] {
        let control = control.map(|control| file("oac", control.to_string()));
        let files: Vec<_> = [file("site", root.to_string())].into_iter().chain(control).collect();
        let raw = read(&files, &BTreeSet::new()).raw;
        let Field::Given(origins) = &raw.distributions.items()[0].value.origins else { panic!("origins") };
        let signing = origins.value[0].value.signing_behavior.value().map(String::as_str);
        assert_eq!(signing, Some(expected));
    }
}

#[test]
fn the_id_of_what_names_none() {
    let at =
        |folder: Option<&str>, stem: &str| File { folder: folder.map(Into::into), ..file(stem, EXAMPLE) };
    for (files, expected) in [
        (vec![at(None, "my site")], vec!["my-site"]),
        (vec![at(None, "distribution")], vec!["distribution"]),
        (vec![at(Some("/a/site"), "x")], vec!["site"]),
        (vec![at(Some("/a/site"), "x"), at(Some("/a/site"), "y")], vec!["x", "y"]),
        (
            vec![at(Some("/a/one"), "distribution-config"), at(Some("/a/two"), "distribution")],
            vec!["one", "two"],
        ),
    ] {
        let raw = read(&files, &BTreeSet::new()).raw;
        let ids = raw.distributions.items().iter().map(|typed| typed.value.id.value().unwrap().as_str());
        assert_eq!(ids.collect::<Vec<_>>(), expected);
    }
}

/// The example with legacy settings.
fn legacy(values: Value, more: &[(&str, Value)]) -> Value {
    let root = with("/DefaultCacheBehavior/CachePolicyId", Value::Null);
    let root = changed(root, "/DefaultCacheBehavior/ForwardedValues", values);
    let root = changed(root, "/DefaultCacheBehavior/Compress", json!(false));
    more.iter().fold(root, |root, (name, value)| {
        changed(root, &format!("/DefaultCacheBehavior/{name}"), value.clone())
    })
}

fn list(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().copied().map(Arc::from).collect()
}

/// behaviour §1.6, §4.5
#[test]
fn legacy_settings_are_a_policy_without_a_name() {
    let policy = |root: &Value| {
        let behavior = Arc::clone(&config(root).distributions[0].behaviors[0]);
        let queries = behavior.origin_request_policy.as_ref().map(|policy| policy.query_strings.clone());
        let CachePolicy { cookies, query_strings, .. } = CachePolicy::clone(&behavior.cache_policy);
        (cookies, query_strings, queries)
    };
    let none = json!({"Forward": "none"});
    let some = |names: &[&str]| json!({"Forward": "whitelist", "WhitelistedNames": {"Quantity": names.len(), "Items": names}});
    for (values, cookies, keyed, told) in [
        (json!({"QueryString": false, "Cookies": none}), Selection::None, Selection::None, None),
        (json!({"QueryString": true, "Cookies": {"Forward": "all"}}), Selection::All, Selection::All, None),
        (
            json!({"QueryString": true, "Cookies": some(&["a", "b"]), "QueryStringCacheKeys": {"Quantity": 1, "Items": ["v"]}}),
            Selection::Whitelist(list(&["a", "b"])),
            Selection::Whitelist(list(&["v"])),
            Some(Selection::All),
        ),
        (
            json!({"QueryString": false, "Cookies": some(&["a", "s-*"])}),
            Selection::Matching(list(&["a", "s-*"])),
            Selection::None,
            None,
        ),
    ] {
        assert_eq!(policy(&legacy(values.clone(), &[])), (cookies, keyed, told), "{values}");
    }
    let ttls = |root: &Value| {
        let policy = Arc::clone(&config(root).distributions[0].behaviors[0].cache_policy);
        [policy.min_ttl, policy.default_ttl, policy.max_ttl].map(|ttl| ttl.as_secs())
    };
    let plain = json!({"QueryString": false, "Cookies": none});
    let all = json!({"QueryString": false, "Cookies": none, "Headers": {"Quantity": 1, "Items": ["*"]}});
    for (values, more, expected) in [
        (&plain, vec![], [0, 86_400, 31_536_000]),
        (&plain, vec![("MinTTL", json!(60)), ("DefaultTTL", json!(60)), ("MaxTTL", json!(60))], [60, 60, 60]),
        (&all, vec![("MinTTL", json!(0)), ("DefaultTTL", json!(60))], [0, 0, 0]),
    ] {
        assert_eq!(ttls(&legacy(values.clone(), &more)), expected, "{values}");
    }
}

#[test]
fn what_is_wrong_with_legacy_settings() {
    let none = json!({"Forward": "none"});
    let plain = json!({"QueryString": false, "Cookies": none});
    let headers = |names: &[&str]| json!({"QueryString": false, "Cookies": none, "Headers": {"Quantity": names.len(), "Items": names}});
    let keys = json!({"QueryString": false, "QueryStringCacheKeys": {"Quantity": 1, "Items": ["v"]}});
    for (root, code, key) in [
        (legacy(headers(&["Host"]), &[]), "InvalidHeadersForS3Origin", "Headers"),
        (legacy(headers(&["*"]), &[("MinTTL", json!(1))]), "InvalidArgument", "MinTTL"),
        (legacy(keys, &[]), "InvalidQueryStringParameters", "QueryStringCacheKeys"),
        (
            legacy(json!({"QueryString": false, "Cookies": {"Forward": "whitelist"}}), &[]),
            "InvalidForwardCookies",
            "whitelisted_cookies",
        ),
        (
            legacy(plain.clone(), &[("CachePolicyId", json!("CachingDisabled"))]),
            "InvalidArgument",
            "CachePolicyId",
        ),
        (
            legacy(plain, &[("OriginRequestPolicyId", json!("AllViewer"))]),
            "InvalidArgument",
            "OriginRequestPolicyId",
        ),
        (with("/DefaultCacheBehavior/MinTTL", json!(0)), "InvalidArgument", "MinTTL"),
    ] {
        let found = news(&root);
        let finding = found.iter().find(|finding| finding.code() == Some(code) && finding.key.ends_with(key));
        assert!(finding.is_some_and(|finding| finding.severity == Severity::Error), "{code}: {found:#?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = || {
        prop_oneof![
            Just("Items".to_owned()),
            Just("Quantity".to_owned()),
            Just("DistributionConfig".to_owned()),
            Just("Origins".to_owned()),
            Just("DefaultCacheBehavior".to_owned()),
            Just("CachePolicyList".to_owned()),
            Just("MinTTL".to_owned()),
            "[A-Za-z]{0,3}",
        ]
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        Just(json!("*")),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((name(), inner), 0..6).prop_map(|pairs| pairs.into_iter().collect()),
        ]
    })
}

/// Every place in `value` but those at and above `spared`.
fn pointers(value: &Value, at: &str, spared: &str, all: &mut Vec<String>) {
    if !spared.starts_with(at) {
        all.push(at.to_owned());
    }
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(name, value)| pointers(value, &format!("{at}/{name}"), spared, all));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), spared, all));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_json_breaks_the_import(root in any_json(), inner in any_json()) {
        let _ = load(&root);
        let is_served = load(&json!({"DistributionConfig": inner})).is_ok();
        prop_assert!(!is_served || inner.is_object());
        let _ = load(&json!({"CachePolicyList": {"Items": [inner]}, "DistributionConfig": root}));
    }

    /// Whatever else is wrong, what decides who may read is not lost.
    #[test]
    fn no_change_elsewhere_hides_a_firewall_or_a_key_group(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any_json(), any::<bool>()), 1..4),
        by_firewall in any::<bool>(),
    ) {
        let spared = if by_firewall { "/WebACLId" } else { "/DefaultCacheBehavior/TrustedKeyGroups" };
        let value = if by_firewall { json!("arn") } else { json!({"Enabled": true, "Quantity": 1, "Items": ["k"]}) };
        let mut root = with(spared, value);
        let spared = format!("/DistributionConfig{spared}");
        for (index, value, is_gone) in changes {
            let mut all = Vec::new();
            pointers(&root, "", &spared, &mut all);
            all.retain(|pointer| !pointer.starts_with(&spared));
            let pointer = index.get(&all).clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match root.pointer_mut(parent).unwrap() {
                Value::Object(map) if is_gone => drop(map.remove(name)),
                Value::Object(map) => drop(map.insert(name.to_owned(), value)),
                Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
                _ => {}
            }
        }
        let found = load(&root).unwrap_err();
        prop_assert!(found.iter().any(|finding| finding.severity == Severity::Error));
    }
}

/// behaviour §1.6, §3.1, §12.1
#[test]
fn who_is_let_in_and_by_which_tls() {
    let mut root = example();
    let inner = root.get_mut("DistributionConfig").unwrap();
    inner["Restrictions"]["GeoRestriction"] =
        json!({"RestrictionType": "whitelist", "Quantity": 2, "Items": ["DE", "CH"]});
    inner["ViewerCertificate"]["MinimumProtocolVersion"] = json!("TLSv1.3_2025");
    let told = news(&root);
    assert!(told.iter().all(|finding| finding.message.contains("no database of places")), "{told:#?}");
    assert_eq!(told.len(), 1);
    if !cfg!(feature = "geo") {
        return;
    }
    let env = Environment { s3_endpoint: None, region: None, parallelism: 2 };
    let over = Overrides { geo_database: Some("places.mmdb".into()), ..Overrides::default() };
    let files = [file("site", root.to_string())];
    let config = super::super::load_distributions(&files, &Default::default(), &env, &over).unwrap().config;
    assert_eq!(config.geo_database, Some("places.mmdb".into()));
    let distribution = &config.distributions[0];
    assert_eq!(distribution.geo_restriction, Some(GeoRestriction::Whitelist(vec![*b"DE", *b"CH"])));
    assert_eq!(distribution.minimum_protocol_version, Some(SecurityPolicy::Tls13_2025));
}
