//! Watches the state of KMS keys, so that a disabled key shows before every object of a bucket turns into an
//! error.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::types;
use tokio::time::{MissedTickBehavior, interval};

/// Whether S3 can unwrap objects with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Usable,
    /// Disabled, being deleted or imported, gone, or its store is away (s3 §4.3).
    Unusable,
    /// KMS was not reached, or does not let us ask: it says nothing of what S3 may do.
    Unknown,
}

/// Asks for each key at once and then `every` so often, for as long as the future is polled. The client
/// bounds how long a question takes. `report` gets each answer, whether it is new or not. `every` must not be
/// zero.
pub async fn watch(
    keys: Vec<Arc<str>>,
    client: Client,
    every: Duration,
    report: impl Fn(&str, KeyState) + Send + 'static,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for key in &keys {
            report(key, ask(&client, key).await);
        }
    }
}

async fn ask(client: &Client, key: &str) -> KeyState {
    match client.describe_key().key_id(key).send().await {
        Ok(output) => judge(Ok(output.key_metadata().and_then(|metadata| metadata.key_state()))),
        Err(error) => judge(Err(error.code())),
    }
}

/// From DescribeKey's state or error code. It works in every key state, so only a key that is not there is an
/// error that tells something (s3 §4.3, §4.4).
fn judge(answer: Result<Option<&types::KeyState>, Option<&str>>) -> KeyState {
    use types::KeyState as Kms;
    match answer {
        Ok(Some(Kms::Enabled | Kms::Updating)) => KeyState::Usable,
        Ok(Some(
            Kms::Disabled
            | Kms::PendingDeletion
            | Kms::PendingReplicaDeletion
            | Kms::PendingImport
            | Kms::Unavailable
            | Kms::Creating,
        ))
        | Err(Some("NotFoundException")) => KeyState::Unusable,
        Ok(_) | Err(_) => KeyState::Unknown,
    }
}

#[cfg(test)]
mod tests;
