//! Who may use the admin listener.

use std::sync::Arc;

use super::super::raw::{self, Field, Typed};
use super::super::{Admin, AdminKey, SecretSource};
use super::report::Report;

/// Two are in use while one takes the place of the other.
const MOST: usize = 32;

pub(super) fn admin(report: &mut Report, raw: &raw::Admin) -> Admin {
    let items = raw.keys.items();
    if let Some(typed) = raw.keys.given()
        && items.len() > MOST
    {
        report.error(&typed.at, format!("{} keys", items.len()), format!("at most {MOST}"));
    }
    report.unique(items.iter().filter_map(|typed| typed.value.access_key_id.given()), "the access key id");
    Admin { keys: items.iter().filter_map(|typed| key(report, typed)).collect() }
}

fn key(report: &mut Report, typed: &Typed<raw::AdminKey>) -> Option<AdminKey> {
    let raw = &typed.value;
    if raw.access_key_id.is_absent() {
        report.error(&typed.at.child("access_key_id"), "is missing", "name the key");
    }
    let id = raw.access_key_id.given();
    if let Some(typed) = id.filter(|typed| !is_id(&typed.value)) {
        // Not quoted: the secret may stand in it.
        let message = "is not 4 to 128 letters, digits, hyphens or underscores";
        report.error(&typed.at, message, "write what callers are to give as their access key id");
        return None;
    }
    let id = id.map(|typed| Arc::from(typed.value.as_str()));
    Some(AdminKey { access_key_id: id?, secret: secret(report, typed)? })
}

/// What a credential scope can hold.
fn is_id(text: &str) -> bool {
    (4..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn secret(report: &mut Report, typed: &Typed<raw::AdminKey>) -> Option<SecretSource> {
    const FIX: &str = "name one of secret_access_key_file and secret_access_key_variable";
    let raw::AdminKey { secret_access_key_file: file, secret_access_key_variable: variable, .. } =
        &typed.value;
    match (file, variable) {
        (Field::Absent, Field::Absent) => {
            report.error(&typed.at.child("secret_access_key_file"), "is missing", FIX);
            None
        }
        (Field::Given(_), Field::Given(both)) => {
            report.error(&both.at, "stands beside a file, and the secret is in one place", FIX);
            None
        }
        (Field::Given(file), _) if file.value.as_os_str().is_empty() => {
            report.error(&file.at, "is empty", FIX);
            None
        }
        (Field::Given(file), _) => Some(SecretSource::File(file.value.clone())),
        (_, Field::Given(variable)) if !is_variable(&variable.value) => {
            // Not quoted: it may be the secret.
            report.error(&variable.at, "is not the name of an environment variable", FIX);
            None
        }
        (_, variable) => Some(SecretSource::Variable(Arc::from(variable.value()?.as_str()))),
    }
}

fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
