//! The role that an origin is read with, and the keys it may use (s3 §5.5, §5.9).

use std::sync::Arc;
use std::time::Duration;

use super::super::Role;
use super::super::raw::{self, Typed};
use super::report::Report;

/// `None` when none was asked for, or an error was reported.
pub(super) fn role(report: &mut Report, raw: &raw::Origin, distribution: &str) -> Option<Role> {
    const SESSION: &str = "2 to 64 letters, digits or characters of _+=,.@-";
    const ARN: &str = "the ARN of a role, such as \"arn:aws:iam::111122223333:role/edge\"";
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(12 * 3600));
    if raw.role_arn.is_absent() {
        refuse_without_role(report, raw);
    }
    let arn = report.text(&raw.role_arn, is_role_arn, ARN);
    let session_name = report.text(&raw.session_name, is_session_name, SESSION);
    let session_name = session_name.map_or_else(|| default_session_name(distribution), str::to_owned);
    let session_duration = report.duration(&raw.session_duration, Duration::from_secs(900)..=day, hour);
    let external_id = external_id(report, raw);
    Some(Role { arn: Arc::from(arn?), external_id, session_name: Arc::from(session_name), session_duration })
}

/// Each must be a key's ARN in the bucket's Region: S3 decrypts where the object is.
pub(super) fn kms_keys(report: &mut Report, raw: &raw::Origin, bucket_region: &str) -> Vec<Arc<str>> {
    for typed in raw.kms_keys.items() {
        if let Err((problem, fix)) = check_key(&typed.value, bucket_region) {
            report.error(&typed.at, format!("{:?} {problem}", typed.value), fix);
        }
    }
    raw.kms_keys.items().iter().map(|typed| Arc::from(typed.value.as_str())).collect()
}

pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What only a role can use would otherwise be dropped in silence.
fn refuse_without_role(report: &mut Report, raw: &raw::Origin) {
    let keys = [
        raw.external_id.given().map(|typed| &typed.at),
        raw.session_name.given().map(|typed| &typed.at),
        raw.session_duration.given().map(|typed| &typed.at),
    ];
    for at in keys.into_iter().flatten() {
        report.error(at, "means nothing without a role", "give role_arn, or leave it out");
    }
}

/// STS: 2 to 1,224 characters. Not repeated in the finding: some treat it as a secret.
fn external_id(report: &mut Report, raw: &raw::Origin) -> Option<Arc<str>> {
    let Typed { value, at } = raw.external_id.given()?;
    let allowed = |byte: u8| is_session_byte(byte) || b":/".contains(&byte);
    if !(2..=1224).contains(&value.len()) || !value.bytes().all(allowed) {
        let message = "is too short, too long or has characters that may not be there";
        report.error(at, message, "write 2 to 1224 letters, digits or characters of _+=,.@:/-");
    }
    Some(Arc::from(value.as_str()))
}

fn default_session_name(distribution: &str) -> String {
    let clean = |c: char| {
        if u8::try_from(c).is_ok_and(is_session_byte) { c } else { '-' }
    };
    "edgeseal-".chars().chain(distribution.chars().map(clean)).take(64).collect()
}

fn is_session_name(text: &str) -> bool {
    (2..=64).contains(&text.len()) && text.bytes().all(is_session_byte)
}

/// STS's `[\w+=,.@-]`, ASCII.
fn is_session_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)
}

/// `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`
fn is_role_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
        return false;
    };
    let is_name = |name: &str| !name.is_empty() && !name.ends_with('/') && name.len() <= 575;
    is_partition(partition)
        && is_account(account)
        && resource.strip_prefix("role/").is_some_and(is_name)
        && resource.bytes().all(|byte| is_session_byte(byte) || byte == b'/')
}

fn is_partition(text: &str) -> bool {
    text.starts_with("aws") && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// `arn:PARTITION:kms:REGION:ACCOUNT:key/ID`
fn check_key(text: &str, bucket_region: &str) -> Result<(), (String, &'static str)> {
    const FORM: &str = "write arn:aws:kms:REGION:ACCOUNT:key/ID";
    let is_id =
        |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match parts.as_slice() {
        [.., resource] if resource.starts_with("alias/") => {
            Err(("is an alias; in a policy for kms:Decrypt it never matches".to_owned(), FORM))
        }
        ["arn", partition, "kms", region, account, resource]
            if is_partition(partition)
                && is_account(account)
                && resource.strip_prefix("key/").is_some_and(is_id) =>
        {
            if bucket_region.is_empty() || *region == bucket_region {
                Ok(())
            } else {
                let problem = format!("is in {region:?}, but the bucket is in {bucket_region:?}");
                Err((problem, "name the key of the bucket's Region"))
            }
        }
        _ => Err(("is not the ARN of a KMS key".to_owned(), FORM)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_names_are_cleaned_and_cut() {
        for (distribution, expected) in [
            ("default", "edgeseal-default".to_owned()),
            ("my.site_1", "edgeseal-my.site_1".to_owned()),
            ("a b/é", "edgeseal-a-b--".to_owned()),
            (&*"x".repeat(90), format!("edgeseal-{}", "x".repeat(55))),
        ] {
            assert_eq!(default_session_name(distribution), expected);
        }
    }
}
