use std::time::Duration;

use super::*;
use crate::config::Role;

/// s3 §5.5
#[test]
fn roles() {
    const ROLE: &str = "role_arn = \"arn:aws:iam::111122223333:role/edge\"\n";
    let role = |arn: &str| in_origin(&format!("role_arn = \"{arn}\""));
    let place = "9: distribution.origin.role_arn";
    let keys = |keys: &str| in_origin(&format!("{ROLE}{keys}"));
    check([
        error(role("arn:aws:iam::1111:role/edge"), place, "is not the ARN of a role", ":role/"),
        error(role("arn:aws:iam::111122223333:user/edge"), place, "is not the ARN of a role", ":role/"),
        error(role("arn:aws:iam::111122223333:role/"), place, "is not the ARN of a role", ":role/"),
        error(role("arn:aws:iam:eu:111122223333:role/a"), place, "is not the ARN of a role", ":role/"),
        error(role("edge"), place, "is not the ARN of a role", ":role/"),
        error(
            keys("session_duration = \"10m\""),
            "10: distribution.origin.session_duration",
            "10m is outside 15m to 12h",
            "15m to 12h",
        ),
        error(keys("session_name = \"a b\""), "10: distribution.origin.session_name", "is not", "2 to 64"),
        error(keys("external_id = \"x\""), "10: distribution.origin.external_id", "too short", "2 to 1224"),
        error(
            in_origin("external_id = \"xyz\""),
            "9: distribution.origin.external_id",
            "without a role",
            "role_arn",
        ),
        error(
            in_origin("session_name = \"xyz\""),
            "9: distribution.origin.session_name",
            "without a role",
            "role_arn",
        ),
        error(
            in_origin("session_duration = \"1h\""),
            "9: distribution.origin.session_duration",
            "without a role",
            "role_arn",
        ),
    ]);
    let expected = Role {
        arn: "arn:aws:iam::111122223333:role/edge".into(),
        external_id: Some("a:b/c".into()),
        session_name: "edgeseal-site".into(),
        session_duration: Duration::from_secs(3600),
    };
    let config = config(&keys("external_id = \"a:b/c\""));
    assert_eq!(config.distributions[0].origins[0].s3().unwrap().role, Some(expected));
}

/// s3 §5.9
#[test]
fn kms_keys() {
    let key = |arn: &str| in_origin(&format!("kms_keys = [\"{arn}\"]"));
    let place = "9: distribution.origin.kms_keys";
    check([
        error(key("arn:aws:kms:eu-west-1:111122223333:alias/site"), place, "never matches", "key/ID"),
        error(key("alias/site"), place, "never matches", "key/ID"),
        error(key("1234abcd-12ab-34cd-56ef-1234567890ab"), place, "not the ARN of a KMS key", "key/ID"),
        error(key("arn:aws:kms:eu-west-1:1:key/a"), place, "not the ARN of a KMS key", "key/ID"),
        error(key("arn:aws:kms:eu-west-1:111122223333:key/*"), place, "not the ARN of a KMS key", "key/ID"),
        error(
            key("arn:aws:kms:us-east-1:111122223333:key/a"),
            place,
            "is in \"us-east-1\", but the bucket is in \"eu-west-1\"",
            "bucket's Region",
        ),
        error(in_origin("watch_keys = true"), "9: distribution.origin.watch_keys", "no keys", "kms_keys"),
    ]);
    let text = format!("{}\nwatch_keys = true", key("arn:aws:kms:eu-west-1:111122223333:key/mrk-12ab"));
    let config = config(&text);
    let origin = &config.distributions[0].origins[0];
    assert_eq!(origin.s3().unwrap().kms_keys, ["arn:aws:kms:eu-west-1:111122223333:key/mrk-12ab".into()]);
    assert!(origin.s3().unwrap().watch_keys);
}
