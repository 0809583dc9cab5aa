use std::sync::Arc;

use super::*;
use crate::config::{Endpoint, PayloadHash, SigningBehavior};

const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/0e1f2a3b";

#[test]
fn names_exactly_what_is_read() {
    let golden = concat!(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","#,
        r#""Resource":"arn:aws:s3:::site-assets-prod/public/*"},"#,
        r#"{"Effect":"Allow","Action":"kms:Decrypt","#,
        r#""Resource":["arn:aws:kms:eu-west-1:111122223333:key/0e1f2a3b"],"#,
        r#""Condition":{"StringEquals":{"kms:ViaService":"s3.eu-west-1.amazonaws.com"},"#,
        r#""StringLike":{"kms:EncryptionContext:aws:s3:arn":["arn:aws:s3:::site-assets-prod","#,
        r#""arn:aws:s3:::site-assets-prod/public/*"]}}}]}"#,
    );
    assert_eq!(document(&origin("eu-west-1", &[KEY]), "/public"), Ok(golden.to_owned()));
}

#[test]
fn without_keys_any_key_through_s3() {
    let golden = concat!(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","#,
        r#""Resource":"arn:aws-cn:s3:::site-assets-prod/*"},"#,
        r#"{"Effect":"Allow","Action":"kms:Decrypt","Resource":["*"],"#,
        r#""Condition":{"StringEquals":{"kms:ViaService":"s3.cn-north-1.amazonaws.com"},"#,
        r#""StringLike":{"kms:EncryptionContext:aws:s3:arn":["arn:aws-cn:s3:::site-assets-prod","#,
        r#""arn:aws-cn:s3:::site-assets-prod/*"]}}}]}"#,
    );
    assert_eq!(document(&origin("cn-north-1", &[]), ""), Ok(golden.to_owned()));
}

/// A prefix is a name, not a pattern: `/a*` must not open `/abc`.
#[test]
fn a_prefix_is_no_pattern() {
    let cases = [
        ("/a*b?c$d", r"/a${*}b${?}c${$}d/*"),
        ("/${aws:username}", r"/${$}{aws:username}/*"),
        (r#"/a"b\c"#, r#"/a\"b\\c/*"#),
        ("/ä€😀", r"/\u00e4\u20ac\ud83d\ude00/*"),
    ];
    for (path, objects) in cases {
        let text = document(&origin("eu-west-1", &[]), path).unwrap();
        let arn = format!("\"arn:aws:s3:::site-assets-prod{objects}\"");
        assert_eq!(text.matches(&arn).count(), 2, "{arn} in {text}");
        assert!(text.is_ascii());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let resource = json["Statement"][0]["Resource"].as_str().unwrap();
        assert_eq!(resource, format!("arn:aws:s3:::site-assets-prod{}/*", literal(path)));
    }
}

#[test]
fn sts_takes_2048_characters() {
    let fixed = document(&origin("eu-west-1", &[]), "/").unwrap().len();
    // The path stands there twice.
    let longest = format!("/{}", "p".repeat((MAX_CHARACTERS - fixed) / 2));
    assert!(document(&origin("eu-west-1", &[]), &longest).is_ok());

    let error = document(&origin("eu-west-1", &[]), &format!("{longest}p")).unwrap_err();
    assert!(matches!(error, PolicyError::TooLong(len) if len > MAX_CHARACTERS));
    assert!(error.to_string().contains("STS takes 2048"), "{error}");
}

/// s3 §3.
#[test]
fn partitions() {
    let cases = [
        ("eu-west-1", "aws"),
        ("us-east-1", "aws"),
        ("cn-northwest-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("eusc-de-east-1", "aws-eusc"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("garage", "aws"),
    ];
    for (region, expected) in cases {
        assert_eq!(partition(region), expected, "{region}");
    }
}

fn origin(region: &str, keys: &[&str]) -> S3Origin {
    S3Origin {
        bucket: "site-assets-prod".into(),
        region: region.into(),
        endpoint: Endpoint {
            tls: true,
            host: "site-assets-prod.s3.eu-west-1.amazonaws.com".into(),
            port: None,
            path_style: false,
            regional: true,
        },
        signing: SigningBehavior::Always,
        payload_hash: PayloadHash::Empty,
        role: None,
        kms_keys: keys.iter().copied().map(Arc::from).collect(),
        watch_keys: false,
        expected_bucket_owner: None,
    }
}
