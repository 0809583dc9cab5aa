use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{
    CachePolicy, Config, Environment, Finding, GeoRestriction, Loaded, Overrides, SecurityPolicy, Selection,
    Severity,
};
use super::*;

mod codes;
mod files;
mod legacy;

const EXAMPLE: &str =
    include_str!("../../../../tests/fixtures/distributions/complete/distribution-config.json");

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
    let mut expected = vec![
        ("DistributionConfig.Origins.Items[0].OriginAccessControlId", Some(14)),
        ("DistributionConfig.ViewerCertificate.ACMCertificateArn", Some(35)),
    ];
    if !cfg!(feature = "http3") {
        expected.push(("DistributionConfig.HttpVersion", Some(40)));
    }
    let names =
        |list: &[(&str, Option<usize>)]| list.iter().map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&told), names(&expected), "{:#?}", loaded.warnings);
    let distribution = &loaded.config.distributions[0];
    assert_eq!((distribution.http2, distribution.http3), (true, cfg!(feature = "http3"))); // behaviour §2.3
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

/// behaviour §1.6, §12.8
#[test]
fn what_the_log_says_of_it() {
    for (enabled, cookies, prefix) in [(true, true, "cdn/"), (false, false, "")] {
        let logging = json!({"Enabled": enabled, "IncludeCookies": true, "Bucket": "l.s3.amazonaws.com", "Prefix": "cdn"});
        let logging = config(&with("/Logging", logging)).distributions[0].logging.clone();
        assert_eq!((logging.enabled, logging.include_cookies, &*logging.prefix), (true, cookies, prefix));
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
