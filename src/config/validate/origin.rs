//! An origin: which bucket or server, where, how it is asked (behaviour §1.5, §8.7, §10.1).

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::super::raw::{self, Field, Typed};
use super::super::units::show_duration;
use super::super::{Environment, Origin, OriginKind, PayloadHash, S3Origin, SigningBehavior};
use super::custom_header;
use super::custom_origin;
use super::endpoint::endpoint;
use super::host::{self, S3Host};
use super::report::{Report, filled_in};
use super::role;

pub(super) fn origin(
    report: &mut Report,
    typed: &Typed<raw::Origin>,
    distribution: &str,
    env: &Environment,
) -> Origin {
    let raw = &typed.value;
    report.text(&raw.id, is_id, "1 to 128 printable ASCII characters");
    let (kind, name) = match &raw.custom_origin {
        Field::Absent => {
            let s3 = s3(report, typed, distribution, env);
            let bucket = Arc::clone(&s3.bucket);
            (OriginKind::S3(s3), bucket)
        }
        Field::Given(custom) => {
            let custom = custom_origin::custom_origin(report, typed, custom);
            let host = Arc::clone(&custom.host);
            (OriginKind::Custom(custom), host)
        }
        Field::Unreadable => {
            let nothing = Typed { value: raw::CustomOrigin::default(), at: typed.at.clone() };
            let custom = custom_origin::custom_origin(&mut Report::new(Vec::new()), typed, &nothing);
            (OriginKind::Custom(custom), Arc::from(""))
        }
    };
    let read_timeout = seconds(report, "InvalidOriginReadTimeout: ", &raw.read_timeout, 120, 30);
    Origin {
        id: raw.id.value().map_or(name, |id| Arc::from(id.as_str())),
        origin_path: origin_path(report, &raw.origin_path, matches!(kind, OriginKind::S3(_))),
        kind,
        custom_headers: custom_header::custom_headers(report, &raw.custom_headers),
        connection_attempts: report.whole(&raw.connection_attempts, 1..=3).unwrap_or(3),
        connection_timeout: seconds(report, "InvalidArgument: ", &raw.connection_timeout, 10, 10),
        read_timeout,
        response_completion_timeout: completion_timeout(report, raw, read_timeout),
    }
}

fn s3(report: &mut Report, typed: &Typed<raw::Origin>, distribution: &str, env: &Environment) -> S3Origin {
    const PAYLOAD: [(&str, PayloadHash); 2] =
        [("empty", PayloadHash::Empty), ("unsigned", PayloadHash::Unsigned)];
    let raw = &typed.value;
    let named = report.coded("InvalidOrigin", |report| domain_name(report, &raw.domain_name));
    let bucket = report.coded("InvalidOrigin", |report| bucket(report, typed, &named));
    let region = region(report, typed, &named, env);
    refuse_alias_elsewhere(report, raw, &bucket);
    S3Origin {
        endpoint: endpoint(report, raw, named.value(), (&bucket, &region), env),
        signing: signing(report, raw),
        payload_hash: report.choice(&raw.payload_hash, &PAYLOAD, PayloadHash::Empty),
        role: role::role(report, raw, distribution),
        kms_keys: role::kms_keys(report, raw, &region),
        watch_keys: watch_keys(report, raw),
        expected_bucket_owner: report
            .text(&raw.expected_bucket_owner, role::is_account, "an account id of 12 digits")
            .map(Arc::from),
        bucket: Arc::from(bucket),
        region: Arc::from(region),
    }
}

/// An access point's alias stands where a bucket's name would, but neither in a path nor in a policy (s3 §3).
fn refuse_alias_elsewhere(report: &mut Report, raw: &raw::Origin, bucket: &str) {
    if !is_alias(bucket) {
        return;
    }
    if let Some(typed) = raw.addressing.given().filter(|typed| typed.value == "path") {
        report.error(&typed.at, "the alias of an access point is a host name", "write \"virtual\"");
    }
    if let Some(typed) = raw.role_arn.given() {
        let message =
            "the role's session policy would name a bucket, and this is the alias of an access point";
        report.error(&typed.at, message, "use the process's own identity, or name the bucket itself");
    }
}

fn is_alias(bucket: &str) -> bool {
    bucket.ends_with("-s3alias") || bucket.ends_with("--ol-s3")
}

/// behaviour §1.5
fn completion_timeout(report: &mut Report, raw: &raw::Origin, read_timeout: Duration) -> Option<Duration> {
    const DAY: Duration = Duration::from_secs(86_400);
    let typed = raw.response_completion_timeout.given()?;
    let timeout = report.duration(&raw.response_completion_timeout, Duration::from_secs(1)..=DAY, DAY);
    if timeout < read_timeout {
        let message =
            format!("InvalidArgument: is shorter than read_timeout, {}", show_duration(read_timeout));
        report.error(&typed.at, message, "write at least as much as read_timeout");
    }
    Some(timeout)
}

/// 1 s to `max` (behaviour §8.7).
pub(super) fn seconds(
    report: &mut Report,
    code: &str,
    field: &Field<raw::Amount>,
    max: u64,
    default: u64,
) -> Duration {
    let limits = Duration::from_secs(1)..=Duration::from_secs(max);
    report.coded_duration(code, field, limits, Duration::from_secs(default))
}

fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn domain_name(report: &mut Report, field: &Field<String>) -> Field<S3Host> {
    match field {
        Field::Absent => Field::Absent,
        Field::Unreadable => Field::Unreadable,
        Field::Given(typed) => match host::parse(&typed.value) {
            Ok(host) => Field::new(host, typed.at.clone()),
            Err(error) => {
                let fix = filled_in(&typed.value, error.fix());
                report.error(&typed.at, format!("{:?} {error}", typed.value), fix);
                Field::Unreadable
            }
        },
    }
}

/// Empty when an error was reported.
fn bucket(report: &mut Report, typed: &Typed<raw::Origin>, named: &Field<S3Host>) -> String {
    let (name, at) = match (&typed.value.bucket, named) {
        (Field::Given(key), named) => {
            if let Some(host) = named.value().filter(|host| host.bucket != key.value) {
                let message =
                    format!("{:?} contradicts domain_name, which says {:?}", key.value, host.bucket);
                report.error(&key.at, message, "leave one of the two out");
            }
            (&key.value, &key.at)
        }
        (Field::Absent, Field::Given(host)) => (&host.value.bucket, &host.at),
        (Field::Absent, Field::Absent) => {
            report.error(&typed.at.child("bucket"), "is missing", "write bucket = \"NAME\"");
            return String::new();
        }
        (Field::Unreadable, _) | (Field::Absent, Field::Unreadable) => return String::new(),
    };
    if let Some(host) = host::as_bucket(name) {
        report.error(at, host.to_string(), host.fix());
    } else if let Some(problem) = bucket_problem(name) {
        let fix = "3 to 63 of a-z 0-9 - . that begin and end with a letter or digit";
        report.error(at, format!("{name:?} is not a bucket's name: {problem}"), filled_in(name, fix));
    }
    name.clone()
}

/// S3's naming rules, as far as they keep a name from being taken for something else.
fn bucket_problem(name: &str) -> Option<&'static str> {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if !(3..=63).contains(&bytes.len()) {
        return Some("it is shorter than 3 or longer than 63 characters");
    }
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some("it has capital letters");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)) {
        return Some("it has characters that may not be there");
    }
    if !alphanumeric(bytes.first()) || !alphanumeric(bytes.last()) {
        return Some("it begins or ends with a hyphen or dot");
    }
    if name.contains("..") {
        return Some("it has two dots in a row");
    }
    if name.parse::<Ipv4Addr>().is_ok() {
        return Some("it looks like an IP address");
    }
    if name.ends_with("--x-s3") {
        return Some("directory buckets are not supported yet");
    }
    None
}

/// Empty when an error was reported.
fn region(
    report: &mut Report,
    typed: &Typed<raw::Origin>,
    named: &Field<S3Host>,
    env: &Environment,
) -> String {
    if let Field::Given(host) = named
        && host.value.region.is_none()
    {
        let region = typed.value.region.value().map_or("us-east-1", String::as_str);
        let fix = format!("use the regional name, {}.s3.{region}.amazonaws.com", host.value.bucket);
        report.warn(&host.at, "the global name may redirect, and says nothing of the Region", fix);
    }
    let (name, at) = match (&typed.value.region, named) {
        (Field::Given(key), named) => {
            let said = named.value().and_then(|host| host.region.as_deref());
            if let Some(said) = said.filter(|said| *said != key.value) {
                let message = format!("{:?} contradicts domain_name, which says {said:?}", key.value);
                report.error(&key.at, message, "leave one of the two out");
            }
            (key.value.as_str(), key.at.clone())
        }
        (Field::Absent, Field::Given(host)) => {
            let learnt = host.value.region.as_deref().or(env.region.as_deref());
            (learnt.unwrap_or("us-east-1"), host.at.clone())
        }
        (Field::Absent, Field::Absent) => match env.region.as_deref().filter(|region| !region.is_empty()) {
            Some(region) => (region, raw::At::without_line("AWS_REGION", "distribution.origin.region")),
            None => {
                let fix = "write region = \"REGION\", or set AWS_REGION";
                report.error(&typed.at.child("region"), "is missing", fix);
                return String::new();
            }
        },
        (Field::Unreadable, _) | (Field::Absent, Field::Unreadable) => return String::new(),
    };
    if !is_region(name) {
        let message = format!("{name:?} is not a Region");
        report.error(&at, message, "write lower-case letters, digits and hyphens, such as \"eu-west-1\"");
    }
    name.to_owned()
}

fn is_region(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(allowed)
}

/// behaviour §1.5. Keys are byte strings: S3 resolves neither dot segments nor double slashes, proxies may. A bucket's is
/// the beginning of keys, any other is the beginning of a request line.
fn origin_path(report: &mut Report, field: &Field<String>, of_keys: bool) -> Arc<str> {
    let Some(typed) = field.given() else {
        return Arc::from("");
    };
    let path = typed.value.as_str();
    if let Some((problem, fix)) = path_problem(path) {
        report.error(&typed.at, format!("InvalidRelativePath: {path:?} {problem}"), fix);
    } else if !of_keys && !is_target(path) {
        let message = format!("InvalidRelativePath: {path:?} cannot stand in a request line");
        report.error(&typed.at, message, "percent-encode it");
    } else if of_keys && path.contains('%') {
        report.warn(&typed.at, "a percent sign is taken literally", "write the path as it is in the keys");
    }
    Arc::from(path)
}

fn is_target(path: &str) -> bool {
    path.is_empty() || http::uri::PathAndQuery::try_from(path).is_ok_and(|target| target.path() == path)
}

fn path_problem(path: &str) -> Option<(&'static str, String)> {
    if path.is_empty() {
        return None;
    }
    if path.contains("//") {
        return Some(("has two slashes in a row", "write one".to_owned()));
    }
    if path.ends_with('/') {
        return Some(("ends with a slash", format!("write {:?}", path.trim_end_matches('/'))));
    }
    if !path.starts_with('/') {
        return Some(("does not begin with a slash", format!("write {:?}", format!("/{path}"))));
    }
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Some(("has a dot segment", "write the path without . and ..".to_owned()));
    }
    if path.contains(['?', '#']) || path.chars().any(char::is_control) {
        return Some(("has a query, a fragment or control characters", "write a path alone".to_owned()));
    }
    (path.len() > 255).then(|| ("is too long", "at most 255 characters".to_owned()))
}

/// behaviour §10.1
fn signing(report: &mut Report, raw: &raw::Origin) -> SigningBehavior {
    const SIGNING: [(&str, SigningBehavior); 3] = [
        ("always", SigningBehavior::Always),
        ("never", SigningBehavior::Never),
        ("no-override", SigningBehavior::NoOverride),
    ];
    let signing = report.choice(&raw.signing_behavior, &SIGNING, SigningBehavior::Always);
    if let Some(typed) = raw.signing_behavior.given()
        && signing == SigningBehavior::Never
    {
        let message = "nothing is signed, so the bucket must be public; private or KMS-encrypted objects cannot be read";
        report.warn(
            &typed.at,
            message,
            "write \"always\"; in CloudFront's JSON, name an OriginAccessControlId",
        );
    }
    signing
}

fn watch_keys(report: &mut Report, raw: &raw::Origin) -> bool {
    let Some(typed) = raw.watch_keys.given().filter(|typed| typed.value) else {
        return false;
    };
    if raw.kms_keys.items().is_empty() && !matches!(raw.kms_keys, Field::Unreadable) {
        report.error(&typed.at, "there are no keys to watch", "list them in kms_keys");
    }
    true
}
