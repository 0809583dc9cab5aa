use super::super::super::Encoding;
use super::*;

/// behaviour §4.3, §7.1; every origin is S3, so without `compress` nothing depends on what the viewer takes.
#[test]
#[cfg(feature = "compress")]
fn the_policys_codings_count_where_compress_is_on() {
    let own = |flags: &str| format!("cache_policy = \"own\"\n[[cache_policy]]\nname = \"own\"\n{flags}");
    let optimized = String::new();
    let table = [
        ("compress = true\n", optimized.clone(), (true, true, true)),
        ("compress = false\n", optimized.clone(), (false, false, false)),
        ("", optimized, (false, false, false)),
        ("compress = true\n", own("enable_accept_encoding_gzip = true"), (true, false, true)),
        ("compress = true\n", own("enable_accept_encoding_brotli = true"), (false, true, true)),
        ("compress = true\n", "cache_policy = \"Elemental-MediaPackage\"".into(), (true, false, true)),
    ];
    for (compress, policy, (gzip, brotli, compresses)) in table {
        let text = behavior(&format!("{compress}{policy}"));
        let found = config(&text).distributions[0].behaviors[0].encoding;
        assert_eq!(found, Encoding { gzip, brotli, compress: compresses }, "{text}");
    }
}

#[test]
#[cfg(feature = "compress")]
fn a_policy_that_lets_nothing_be_compressed_is_told() {
    let place = "11: distribution.cache_behavior.compress";
    let with_policy = |name: &str| behavior(&format!("compress = true\ncache_policy = \"{name}\""));
    check([
        warning(with_policy("CachingDisabled"), place, "keeps nothing", "use a policy that caches"),
        warning(
            with_policy("CachingOptimizedForUncompressedObjects"),
            place,
            "enables no coding",
            "enable_accept_encoding_gzip",
        ),
        error(behavior("compress = \"yes\""), place, "expected true or false", "true or false"),
    ]);
}

#[test]
#[cfg(not(feature = "compress"))]
fn a_binary_without_it_says_so() {
    let text = behavior("compress = true");
    let place = "11: distribution.cache_behavior.compress";
    assert_eq!(config(&text).distributions[0].behaviors[0].encoding, Encoding::default());
    check([warning(text, place, "built without compression", "cargo feature")]);
}

fn behavior(keys: &str) -> String {
    with(&format!("[[distribution.cache_behavior]]\npath_pattern = \"a/*\"\n{keys}"))
}
