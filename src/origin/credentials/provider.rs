//! Where credentials come from: the SDK's default chain, or a role assumed with it (s3 §6.1, §6.3).

use std::error::Error;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ConnectorError, ErrorMetadata};

use crate::config::S3Origin;
use crate::origin::session_policy::{self, PolicyError};

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("the SDK's configuration has no credential chain")]
    NoChain,
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// The SDK's configuration for STS and KMS, and its default credential chain. It reads the environment and
/// the profile files, and calls nobody yet. `AWS_ENDPOINT_URL*` and the proxy variables are honoured (s3
/// §6.4, §6.5).
pub async fn sdk_config(region: &str) -> SdkConfig {
    // The SDK sets no limit but for connecting (s3 §6.5).
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(8))
        .build();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .load()
        .await
}

/// The provider for an origin: the chain itself, or its role, narrowed by a session policy (s3 §5.5). Neither
/// caches anything; give it to [`CredentialSource::start`](super::CredentialSource::start). `base` is
/// [`sdk_config`]'s.
///
/// # Errors
/// When the session policy is too long, or `base` has no chain.
pub async fn provider_for(
    origin: &S3Origin,
    origin_path: &str,
    base: &SdkConfig,
) -> Result<SharedCredentialsProvider, SetupError> {
    let chain = base.credentials_provider().ok_or(SetupError::NoChain)?;
    let Some(role) = &origin.role else {
        return Ok(chain);
    };
    let mut builder = AssumeRoleProvider::builder(&*role.arn)
        .session_name(&*role.session_name)
        .session_length(role.session_duration)
        .policy(session_policy::document(origin, origin_path)?)
        .configure(base);
    if let Some(id) = &role.external_id {
        builder = builder.external_id(&**id);
    }
    Ok(SharedCredentialsProvider::new(builder.build().await))
}

/// One line for the log and `/readyz`. The SDK's own messages name ARNs and accounts; of them only a
/// service's error code is kept.
pub(super) fn reason(error: &CredentialsError) -> String {
    let what = match error {
        CredentialsError::CredentialsNotLoaded(_) => "no provider in the credential chain has credentials",
        CredentialsError::ProviderTimedOut(_) => "the credential provider did not answer in time",
        CredentialsError::InvalidConfiguration(_) => "the credential provider is not configured properly",
        _ => "the credential provider failed",
    };
    match detail(error) {
        Some(detail) => format!("{what}: {detail}"),
        None => what.to_owned(),
    }
}

fn detail(error: &CredentialsError) -> Option<String> {
    let mut unreached = None;
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(code) = service_code(cause) {
            return Some(code);
        }
        unreached = unreached.or(cause.downcast_ref::<ConnectorError>().map(connection));
        next = cause.source();
    }
    unreached.map(str::to_owned)
}

/// An error that the SDK has a type for prints as its name and the message; any other carries its code
/// beside.
fn service_code(cause: &(dyn Error + 'static)) -> Option<String> {
    let code = match cause.downcast_ref::<ErrorMetadata>() {
        Some(metadata) => metadata.code()?.to_owned(),
        None => cause.to_string().split(':').next()?.strip_suffix("Exception")?.to_owned(),
    };
    let is_code = (1..=64).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    is_code.then_some(code)
}

fn connection(error: &ConnectorError) -> &'static str {
    if error.is_timeout() { "the connection timed out" } else { "the connection failed" }
}
