//! The access log: where it goes, in which form, and what of it (behaviour §12.8, §12.9).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::log::{LogField, LogUpload, Logging, StandardLog};
use super::super::raw::{self, At, Field, Raw, Typed};
use super::super::units::show_size;
use super::super::{AccessLogTarget, Environment, Log, LogFormat, Origin};
use super::origin;
use super::report::Report;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Files are read into memory to be uploaded.
const LARGEST: u64 = 256 * MIB;
/// CloudFront's limit for `Logging.Prefix`.
const LONGEST_PREFIX: usize = 256;
/// CloudFront's fields that nothing here could fill.
const NOT_HERE: [&str; 3] = ["origin-lbl", "distribution-tenant-id", "connection-id"];

pub(super) fn log(report: &mut Report, raw: &Raw, env: &Environment) -> Log {
    const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    const ACCESS: &str = "\"stdout\", \"off\" or the path of a file";
    let access = report.text(&raw.log.access, |text| !text.is_empty(), ACCESS);
    Log {
        format: report.choice(&raw.log.format, &FORMATS, LogFormat::Text),
        access: match access {
            None | Some("stdout") => AccessLogTarget::Stdout,
            Some("off") => AccessLogTarget::Off,
            Some(path) => AccessLogTarget::File(PathBuf::from(path)),
        },
        fields: fields(report, raw),
        standard: standard(report, &raw.log.standard, env),
    }
}

fn fields(report: &mut Report, raw: &Raw) -> Option<Vec<LogField>> {
    let typed = raw.log.fields.given()?;
    if typed.value.is_empty() {
        report.error(&typed.at, "is empty", "name at least one, or leave it out for the usual ones");
    }
    report.unique(&typed.value, "the field");
    let fields = typed.value.iter().filter_map(|name| field(report, name, raw)).collect();
    Some(fields)
}

fn field(report: &mut Report, typed: &Typed<String>, raw: &Raw) -> Option<LogField> {
    let name = typed.value.as_str();
    let field = LogField::ALL.iter().copied().find(|field| field.name() == name);
    match field {
        Some(LogField::Asn | LogField::CCountry) if raw.geo.database.is_absent() => {
            let message = format!("{name:?} needs to know where viewers are");
            report.error(&typed.at, message, "give [geo] database, or leave it out");
        }
        None if NOT_HERE.contains(&name) => {
            let message = format!("{name:?} is CloudFront's, and nothing here could fill it");
            report.error(&typed.at, message, "leave it out");
        }
        None => report.unknown(typed, "field", LogField::ALL.iter().map(|field| field.name())),
        Some(_) => {}
    }
    field
}

fn standard(report: &mut Report, raw: &raw::StandardLog, env: &Environment) -> Option<StandardLog> {
    let limits = Duration::from_secs(1)..=Duration::from_secs(3600);
    let interval = report.duration(&raw.interval, limits, Duration::from_secs(300));
    let max_size = report.size(&raw.max_size, 50_000_000);
    if let Some(typed) = raw.max_size.given()
        && !(4 * KIB..=LARGEST).contains(&max_size)
    {
        let (least, most) = (show_size(4 * KIB), show_size(LARGEST));
        let message = format!("{} is outside {least} to {most}", show_size(max_size));
        report.error(&typed.at, message, format!("write {least} to {most}"));
    }
    let upload = upload(report, raw, env);
    let Typed { value: directory, at } = match &raw.directory {
        Field::Given(typed) => typed,
        Field::Absent => {
            if let Some(typed) = raw.upload.given() {
                report.error(&typed.at, "there are no files to send", "give log.standard.directory");
            }
            return None;
        }
        Field::Unreadable => return None,
    };
    if directory.as_os_str().is_empty() {
        report.error(at, "is empty", "name a folder, or leave it out for no such log");
    }
    Some(StandardLog { directory: directory.clone(), interval, max_size, upload })
}

fn upload(report: &mut Report, raw: &raw::StandardLog, env: &Environment) -> Option<LogUpload> {
    const FORM: &str = "write s3://BUCKET or s3://BUCKET/PREFIX";
    let backlog = report.size(&raw.upload_backlog, 10 << 30);
    let Some(Typed { value, at }) = raw.upload.given() else {
        refuse_without_upload(report, raw);
        return None;
    };
    let Some(place) = value.strip_prefix("s3://") else {
        report.error(at, format!("{value:?} is no place in a bucket"), FORM);
        return None;
    };
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let prefix = prefix.trim_end_matches('/');
    let path = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
    Some(LogUpload { bucket: Arc::new(origin_of(report, raw, at, bucket, path, env)?), backlog })
}

/// The bucket, judged as an origin's is.
fn origin_of(
    report: &mut Report,
    raw: &raw::StandardLog,
    at: &At,
    bucket: &str,
    path: String,
    env: &Environment,
) -> Option<Origin> {
    if raw.upload_region.is_absent() && env.region.as_deref().is_none_or(str::is_empty) {
        let fix = "write upload_region = \"REGION\", or set AWS_REGION";
        report.error(at, "its Region is not known", fix);
        return None;
    }
    let typed = |value: String| Field::new(value, at.clone());
    let raw = raw::Origin {
        id: typed("logs".to_owned()),
        bucket: typed(bucket.to_owned()),
        origin_path: typed(path),
        region: raw.upload_region.clone(),
        endpoint: raw.upload_endpoint.clone(),
        allow_plain_http: raw.allow_plain_http.clone(),
        ..raw::Origin::default()
    };
    Some(origin::origin(report, &Typed { value: raw, at: at.clone() }, "logs", env))
}

fn refuse_without_upload(report: &mut Report, raw: &raw::StandardLog) {
    if !raw.upload.is_absent() {
        return;
    }
    for typed in [&raw.upload_region, &raw.upload_endpoint].into_iter().filter_map(Field::given) {
        report.error(&typed.at, "means nothing without a bucket", "give upload, or leave it out");
    }
}

/// behaviour §1.6, §12.8: a slash is added after the prefix if it is missing.
pub(super) fn logging(report: &mut Report, field: &Field<raw::Logging>) -> Logging {
    const PREFIX: &str =
        "folders such as \"cdn/logs/\", of letters, digits and -_.=+@!(), of at most 256 characters";
    let Some(Typed { value: raw, .. }) = field.given() else { return Logging::default() };
    let prefix = report.text(&raw.prefix, is_prefix, PREFIX).unwrap_or_default();
    let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
    Logging {
        enabled: raw.enabled.value().copied().unwrap_or(true),
        include_cookies: raw.include_cookies.value().copied().unwrap_or(false),
        prefix: Arc::from(format!("{prefix}{slash}")),
    }
}

/// It names folders on disk and in the bucket, and leads out of neither.
fn is_prefix(text: &str) -> bool {
    let is_folder = |name: &str| {
        !matches!(name, "" | "." | "..")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=+@!()".contains(&byte))
    };
    text.len() <= LONGEST_PREFIX
        && (text.is_empty() || text.strip_suffix('/').unwrap_or(text).split('/').all(is_folder))
}
