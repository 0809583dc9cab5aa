//! Files as they come: odd, foreign, encoded otherwise.

use super::*;

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
            "no log is written to this bucket",
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

#[test]
fn the_id_of_what_names_none() {
    let at =
        |folder: Option<&str>, stem: &str| File { folder: folder.map(Into::into), ..file(stem, EXAMPLE) };
    for (files, expected) in [
        (vec![at(None, "my site")], vec!["my-site"]),
        (vec![at(None, "distribution")], vec!["distribution"]),
        (vec![at(Some("/a/site"), "x")], vec!["site"]),
        (vec![at(Some("/a/.site"), "x")], vec!["site"]),
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
