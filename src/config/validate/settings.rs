//! What belongs to the process, not to a distribution: identity, TLS, cache.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::raw::{self, Certificate, Field, Typed};
use super::super::units::show_size;
use super::super::{Cache, CertificateFiles, Distribution, Identity, SecurityPolicy, Tls};
use super::report::Report;

const MIB: u64 = 1 << 20;
/// A range request for less is not worth its signature.
const SMALLEST_SLICE: u64 = 64 << 10;

/// Both go into response headers, the name as `Via`'s pseudonym: a token of RFC 9110 §5.6.2, and less.
pub(super) fn identity(report: &mut Report, raw: &raw::Identity) -> Identity {
    let mut name = |field: &Field<String>, default: &str| {
        let typed = report.text(field, is_name, "1 to 64 letters, digits, dots, hyphens or underscores");
        Arc::from(typed.unwrap_or(default))
    };
    Identity { name: name(&raw.name, "edgeseal"), pop: name(&raw.pop, "EDG1-C1") }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

pub(super) fn tls(report: &mut Report, raw: &raw::Tls) -> Tls {
    Tls {
        minimum_protocol_version: security_policy(report, &raw.minimum_protocol_version).unwrap_or_default(),
        certificates: raw
            .certificates
            .items()
            .iter()
            .filter_map(|typed| certificate(report, typed))
            .collect(),
        ticket_key_file: ticket_key_file(report, &raw.ticket_key_file),
        early_data: *raw.early_data.value().unwrap_or(&false),
    }
}

/// behaviour §3.1. rustls has no CBC, no RSA key exchange and nothing before TLS 1.2: what older policies add to
/// TLSv1.2_2021 is not offered.
pub(super) fn security_policy(report: &mut Report, field: &Field<String>) -> Option<SecurityPolicy> {
    const OFFERED: [(&str, SecurityPolicy); 3] = [
        ("TLSv1.2_2021", SecurityPolicy::Tls12_2021),
        ("TLSv1.2_2025", SecurityPolicy::Tls12_2025),
        ("TLSv1.3_2025", SecurityPolicy::Tls13_2025),
    ];
    const OLDER: [&str; 6] = ["SSLv3", "TLSv1", "TLSv1_2016", "TLSv1.1_2016", "TLSv1.2_2018", "TLSv1.2_2019"];
    let typed = field.given()?;
    let Typed { value, at } = typed;
    if OLDER.contains(&value.as_str()) {
        let message = format!(
            "{value:?} allows older protocols or ciphers that are refused here; offered is TLSv1.2_2021: \
             TLS 1.3, and TLS 1.2 with ECDHE and AES-GCM or ChaCha20"
        );
        report.warn(at, message, "nothing need be done; to be rid of this, write TLSv1.2_2021");
        return Some(SecurityPolicy::Tls12_2021);
    }
    let found = OFFERED.iter().find(|(name, _)| name == value).map(|(_, policy)| *policy);
    if found.is_none() {
        let message = format!("InvalidMinimumProtocolVersion: there is no security policy {value:?}");
        report.unknown_as(typed, message, OFFERED.iter().map(|(name, _)| *name).chain(OLDER));
    }
    found
}

/// HTTP/2, HTTP/3 (behaviour §2.3). HTTP/1 is always spoken.
pub(super) fn http_version(report: &mut Report, field: &Field<String>) -> (bool, bool) {
    let Some(typed) = field.given() else { return (true, false) };
    match typed.value.to_ascii_lowercase().as_str() {
        "http1.1" => (false, false),
        "http2" => (true, false),
        "http3" | "http2and3" if !cfg!(feature = "http3") => {
            let message = "this edgeseal was built without HTTP/3";
            report.warn(&typed.at, message, "viewers use HTTP/2 instead; build it with the feature http3");
            (true, false)
        }
        "http3" => (false, true),
        "http2and3" => (true, true),
        _ => {
            let message = format!("InvalidArgument: {:?} is not a version", typed.value);
            report.error(&typed.at, message, "one of http1.1, http2, http3, http2and3");
            (true, false)
        }
    }
}

fn ticket_key_file(report: &mut Report, field: &Field<PathBuf>) -> Option<PathBuf> {
    let Typed { value, at } = field.given()?;
    if value.as_os_str().is_empty() {
        report.error(at, "is empty", "name a file of 80 random bytes a key, or leave it out");
    }
    Some(value.clone())
}

fn certificate(report: &mut Report, typed: &Typed<Certificate>) -> Option<CertificateFiles> {
    const FIX: &str = "give both files, the chain and its private key (with flags: --tls-cert and --tls-key)";
    let Certificate { cert, key } = &typed.value;
    for (field, name) in [(cert, "cert"), (key, "key")] {
        if field.is_absent() {
            report.error(&typed.at.child(name), "is missing", FIX);
        }
    }
    for file in [cert, key].into_iter().filter_map(Field::given) {
        if file.value.as_os_str().is_empty() {
            report.error(&file.at, "is empty", FIX);
        }
    }
    Some(CertificateFiles { cert: cert.value()?.clone(), key: key.value()?.clone() })
}

/// An object may take half of the memory at most: a cache that one object empties is no cache.
pub(super) fn cache(report: &mut Report, raw: &raw::Cache) -> Cache {
    let memory = report.size(&raw.memory, 512 * MIB);
    let max_object = report.size(&raw.max_object, memory / 8);
    if let Some(typed) = raw.max_object.given()
        && max_object > memory / 2
    {
        let message =
            format!("{} is more than half of cache.memory, {}", show_size(max_object), show_size(memory));
        report.error(&typed.at, message, format!("at most {}", show_size(memory / 2)));
    }
    let slice_size = slice_size(report, &raw.slice_size, max_object);
    let cache_status = raw.cache_status.value().copied().unwrap_or(false);
    Cache { memory, max_object, slice_size, cache_status }
}

/// Slices are kept as objects are, so none is larger than those.
fn slice_size(report: &mut Report, field: &raw::Field<raw::Amount>, max_object: u64) -> u64 {
    let size = report.size(field, (4 * MIB).min(max_object));
    if let Some(typed) = field.given()
        && !(SMALLEST_SLICE..=max_object.max(SMALLEST_SLICE)).contains(&size)
    {
        let range = format!("{} to {} (cache.max_object)", show_size(SMALLEST_SLICE), show_size(max_object));
        report.error(&typed.at, format!("{} is no size of a slice", show_size(size)), range);
    }
    size.max(1)
}

/// What holds for the whole edge and is decided where a policy is: so that no response pays to look it up.
pub(super) fn caching(raw: &raw::Cache, distributions: &mut [Distribution]) {
    let cdn_cache_control = raw.cdn_cache_control.value().copied().unwrap_or(false);
    let keep_uncacheable_for_errors = raw.keep_uncacheable_for_errors.value().copied().unwrap_or(false);
    if !cdn_cache_control && !keep_uncacheable_for_errors {
        return;
    }
    for behavior in distributions.iter_mut().flat_map(|distribution| &mut distribution.behaviors) {
        let policy = Arc::make_mut(&mut Arc::make_mut(behavior).cache_policy);
        policy.cdn_cache_control = cdn_cache_control;
        policy.keep_uncacheable_for_errors = keep_uncacheable_for_errors;
    }
}
