use super::*;

fn behavior(keys: &str) -> String {
    with(&format!("[[distribution.cache_behavior]]\npath_pattern = \"a/*\"\n{keys}"))
}

/// behaviour §1.3
#[test]
fn path_patterns() {
    let pattern = |text: &str| {
        with(&format!(
            "[[distribution.cache_behavior]]\npath_pattern = '''{text}'''\ntarget_origin = \"site\""
        ))
    };
    let place = "10: distribution.cache_behavior.path_pattern";
    check([
        error(
            with("[[distribution.cache_behavior]]\ntarget_origin = \"site\""),
            "9: distribution.cache_behavior.path_pattern",
            "is missing",
            "default_cache_behavior",
        ),
        error(pattern("a b"), place, "characters that may not be there", "1 to 255"),
        error(pattern("a%20b"), place, "characters that may not be there", "1 to 255"),
        error(pattern(""), place, "is empty", "1 to 255"),
        error(pattern(&"a".repeat(256)), place, "too long", "1 to 255"),
        error(
            format!("{}\n[[distribution.cache_behavior]]\npath_pattern = \"/a\"", pattern("a")),
            "13: distribution.cache_behavior.path_pattern",
            "earlier behaviour's pattern",
            "first one always wins",
        ),
        warning(pattern("*"), place, "no behaviour after it", "default_cache_behavior"),
        warning(pattern("/*"), place, "no behaviour after it", "default_cache_behavior"),
    ]);
    let config = config(&pattern("/a?_-.*$/~\"'@:+&"));
    let patterns: Vec<&str> = config.distributions[0].behaviors.iter().map(|b| &*b.path_pattern).collect();
    assert_eq!(patterns, ["/a?_-.*$/~\"'@:+&", "*"]);
}

#[test]
fn at_most_75_behaviours() {
    let many: String =
        (0..76).map(|n| format!("[[distribution.cache_behavior]]\npath_pattern = \"{n}\"\n")).collect();
    check([error(with(&many), "9: distribution.cache_behavior", "76 cache behaviours", "at most 75")]);
}

/// behaviour §2.1, §2.2
#[test]
fn methods_and_protocols() {
    const SETS: &str = "[\"GET\", \"HEAD\"] or [\"GET\", \"HEAD\", \"OPTIONS\"]";
    let allowed = "11: distribution.cache_behavior.allowed_methods";
    check([
        error(behavior("allowed_methods = [\"GET\"]"), allowed, "not one of CloudFront's sets", SETS),
        error(
            behavior("allowed_methods = [\"get\", \"head\"]"),
            allowed,
            "not one of CloudFront's sets",
            SETS,
        ),
        error(behavior("allowed_methods = []"), allowed, "not one of CloudFront's sets", SETS),
        error(
            behavior(
                "cached_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"PATCH\", \"POST\", \"DELETE\"]",
            ),
            "11: distribution.cache_behavior.cached_methods",
            "are never cached",
            SETS,
        ),
        error(
            behavior("cached_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]"),
            "11: distribution.cache_behavior.cached_methods",
            "it is not allowed",
            "add OPTIONS to allowed_methods",
        ),
        error(
            behavior("viewer_protocol_policy = \"https\""),
            "11: distribution.cache_behavior.viewer_protocol_policy",
            "not one of",
            "did you mean \"https-only\"?",
        ),
    ]);
    for (keys, policy, allow, cache) in [
        ("", ViewerProtocolPolicy::RedirectToHttps, false, false),
        ("viewer_protocol_policy = \"allow-all\"", ViewerProtocolPolicy::AllowAll, false, false),
        ("viewer_protocol_policy = \"https-only\"", ViewerProtocolPolicy::HttpsOnly, false, false),
        (
            "allowed_methods = [\"OPTIONS\", \"HEAD\", \"GET\"]",
            ViewerProtocolPolicy::RedirectToHttps,
            true,
            false,
        ),
        (
            "allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]\ncached_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]",
            ViewerProtocolPolicy::RedirectToHttps,
            true,
            true,
        ),
    ] {
        let config = config(&behavior(keys));
        let behavior = &config.distributions[0].behaviors[0];
        assert_eq!(behavior.viewer_protocol_policy, policy, "{keys}");
        assert_eq!((behavior.allow_options, behavior.cache_options), (allow, cache), "{keys}");
    }
}

#[test]
fn what_behaviours_refer_to() {
    let two = format!(
        "{SITE}[[distribution.origin]]\nid = \"media\"\nbucket = \"media\"\nregion = \"eu-west-1\"\n"
    );
    let place = "14: distribution.cache_behavior.target_origin";
    let target = |keys: &str| format!("{two}[[distribution.cache_behavior]]\n{keys}path_pattern = \"a\"");
    check([
        error(
            target("target_origin = \"medai\"\n"),
            place,
            "there is no origin \"medai\"",
            "did you mean \"media\"?",
        ),
        error(
            target(""),
            "13: distribution.cache_behavior.target_origin",
            "several origins",
            "name one of site, media",
        ),
        error(
            two.replace("[distribution.default_cache_behavior]\ntarget_origin = \"site\"\n", ""),
            "1: distribution.default_cache_behavior.target_origin",
            "several origins",
            "name one of site, media",
        ),
        error(
            behavior("cache_policy = \"CachingOptimised\""),
            "11: distribution.cache_behavior.cache_policy",
            "there is no cache policy",
            "did you mean \"CachingOptimized\"?",
        ),
    ]);
    let config = config(&target("target_origin = \"media\"\ncache_policy = \"CachingDisabled\"\n"));
    let [first, default] = config.distributions[0].behaviors.as_slice() else { panic!("two behaviours") };
    assert_eq!((first.origin, default.origin), (1, 0));
    assert!(first.cache_policy.caching_disabled());
    assert_eq!(&*default.cache_policy.name, "CachingOptimized");
}
