use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use tokio::sync::mpsc;

use super::*;
use crate::origin::credentials::scripted;

const ENABLED: &str = "arn:aws:kms:eu-west-1:111122223333:key/enabled";
const DISABLED: &str = "arn:aws:kms:eu-west-1:111122223333:key/disabled";
const GONE: &str = "arn:aws:kms:eu-west-1:111122223333:key/gone";
const HIDDEN: &str = "arn:aws:kms:eu-west-1:111122223333:key/hidden";

/// s3 §4.3.
#[test]
fn states_of_a_key() {
    let states = [
        ("Enabled", KeyState::Usable),
        ("Updating", KeyState::Usable),
        ("Disabled", KeyState::Unusable),
        ("PendingDeletion", KeyState::Unusable),
        ("PendingReplicaDeletion", KeyState::Unusable),
        ("PendingImport", KeyState::Unusable),
        ("Unavailable", KeyState::Unusable),
        ("Creating", KeyState::Unusable),
        ("SomethingNew", KeyState::Unknown),
    ];
    for (state, expected) in states {
        assert_eq!(judge(Ok(Some(&types::KeyState::from(state)))), expected, "{state}");
    }
    assert_eq!(judge(Ok(None)), KeyState::Unknown);

    let errors = [
        (Some("NotFoundException"), KeyState::Unusable),
        (Some("AccessDeniedException"), KeyState::Unknown),
        (Some("ThrottlingException"), KeyState::Unknown),
        (Some("KMSInternalException"), KeyState::Unknown),
        (Some("InvalidArnException"), KeyState::Unknown),
        (None, KeyState::Unknown),
    ];
    for (code, expected) in errors {
        assert_eq!(judge(Err(code)), expected, "{code:?}");
    }
}

#[tokio::test]
async fn each_key_is_asked_for_again_and_again() {
    let kms = scripted::serve(|body| {
        let (status, answer) = if body.contains(ENABLED) {
            (200, r#"{"KeyMetadata":{"KeyId":"k","KeyState":"Enabled"}}"#)
        } else if body.contains(DISABLED) {
            (200, r#"{"KeyMetadata":{"KeyId":"k","KeyState":"Disabled"}}"#)
        } else if body.contains(GONE) {
            (400, r#"{"__type":"NotFoundException","message":"gone"}"#)
        } else {
            (400, r#"{"__type":"AccessDeniedException","Message":"no"}"#)
        };
        (status, "application/x-amz-json-1.1", answer.to_owned())
    })
    .await;
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("eu-west-1"))
        .endpoint_url(&kms.url)
        .credentials_provider(Credentials::new("KEY", "s", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    let (sender, mut reports) = mpsc::unbounded_channel();
    let report = move |key: &str, state| sender.send((key.to_owned(), state)).unwrap();
    let keys = [ENABLED, DISABLED, GONE, HIDDEN].map(Arc::from).to_vec();
    let watching = tokio::spawn(watch(keys, Client::from_conf(config), Duration::from_millis(1), report));

    for _ in 0..2 {
        let expected = [
            (ENABLED, KeyState::Usable),
            (DISABLED, KeyState::Unusable),
            (GONE, KeyState::Unusable),
            (HIDDEN, KeyState::Unknown),
        ];
        for (key, state) in expected {
            assert_eq!(reports.recv().await, Some((key.to_owned(), state)));
        }
    }
    watching.abort();
}
