//! `ForwardedValues` and the TTLs beside it (behaviour §1.6).

use super::*;

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
