//! Distributions: ids, names, root object (behaviour §1.2, §1.4).

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;

use super::super::raw::{self, At, Field, List, Raw, Typed};
use super::super::{Distribution, Environment, Origin};
use super::behavior::{self, Named, Scope};
use super::error_response;
use super::geo;
use super::host;
use super::log;
use super::origin;
use super::origin_group;
use super::report::{Report, filled_in};
use super::settings;

const MOST_ALIASES: usize = 100;
const MOST_ORIGINS: usize = 100;

pub(super) fn distributions(
    report: &mut Report,
    raw: &Raw,
    named: &Named,
    env: &Environment,
) -> Vec<Distribution> {
    let items = raw.distributions.items();
    if items.is_empty() && !matches!(raw.distributions, Field::Unreadable) {
        let at = At::without_line(&raw.source, "distribution");
        report.error(&at, "there is no distribution, so there is nothing to serve", "add [[distribution]]");
    }
    let alone = items.len() == 1;
    report.unique(items.iter().filter_map(|typed| typed.value.id.given()), "the distribution id");
    refuse_shared_aliases(report, items);
    items
        .iter()
        .map(|typed| {
            if !alone {
                refuse_unreachable(report, typed);
            }
            distribution(report, typed, named, env, !raw.geo.database.is_absent())
        })
        .collect()
}

fn distribution(
    report: &mut Report,
    typed: &Typed<raw::Distribution>,
    named: &Named,
    env: &Environment,
    has_places: bool,
) -> Distribution {
    let raw = &typed.value;
    let id = report
        .text(&raw.id, is_id, "1 to 128 letters, digits, dots, hyphens or underscores, and no dot first")
        .unwrap_or("default");
    let origins = origins(report, typed, id, env);
    let groups = origin_group::groups(report, &raw.origin_groups, &origins);
    let (http2, http3) = settings::http_version(report, &raw.http_version);
    let scope = Scope { at: &typed.at, origins: &origins, named, groups: &groups, has_places };
    let behaviors = behavior::behaviors(report, raw, &scope);
    report.text(&raw.comment, |text| text.chars().count() <= 128, "text of at most 128 characters");
    Distribution {
        id: Arc::from(id),
        enabled: raw.enabled.value().copied().unwrap_or(true),
        domain_name: domain_name(report, raw),
        aliases: aliases(report, &raw.aliases),
        default_root_object: root_object(report, &raw.default_root_object),
        behaviors,
        error_responses: error_response::error_responses(report, &raw.custom_error_responses),
        cache_tag_header: cache_tag_header(report, &raw.cache_tag_header),
        geo_restriction: geo::restriction(report, &raw.geo_restriction, has_places),
        minimum_protocol_version: settings::security_policy(report, &raw.minimum_protocol_version),
        http2,
        http3,
        logging: log::logging(report, &raw.logging),
        origins,
        document: raw.document.clone().unwrap_or_default(),
    }
}

/// behaviour §12.14
fn cache_tag_header(report: &mut Report, field: &Field<String>) -> Option<HeaderName> {
    let is_name = |text: &str| HeaderName::from_bytes(text.as_bytes()).is_ok();
    let name = report.text(field, is_name, "a header's name, such as x-amz-meta-cache-tag")?;
    HeaderName::from_bytes(name.as_bytes()).ok()
}

/// It is part of cache keys, metrics and the admin API's paths, and log files' names begin with it: one that begins with a
/// dot would hide them.
fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn origins(
    report: &mut Report,
    typed: &Typed<raw::Distribution>,
    distribution: &str,
    env: &Environment,
) -> Vec<Arc<Origin>> {
    let list = &typed.value.origins;
    let at = typed.at.child("origin");
    if list.items().is_empty() && !matches!(list, Field::Unreadable) {
        report.error(&at, "there is no origin", "add [[distribution.origin]] with a bucket");
    }
    if list.items().len() > MOST_ORIGINS {
        report.error(
            &at,
            format!("TooManyOrigins: {} origins", list.items().len()),
            format!("at most {MOST_ORIGINS}"),
        );
    }
    let origins: Vec<_> =
        list.items().iter().map(|typed| origin::origin(report, typed, distribution, env)).collect();
    let ids: Vec<_> = list.items().iter().filter_map(origin_id).collect();
    report.unique(&ids, "the origin id");
    origins.into_iter().map(Arc::new).collect()
}

/// An id that was not typed is the bucket's or the server's name, so equal ids need not have been typed.
fn origin_id(typed: &Typed<raw::Origin>) -> Option<Typed<String>> {
    let raw = &typed.value;
    match &raw.id {
        Field::Given(id) => Some(id.clone()),
        Field::Absent => {
            let from_name = || match raw.custom_origin {
                Field::Absent => host::parse(raw.domain_name.value()?).ok().map(|host| host.bucket),
                _ => raw.domain_name.value().map(|name| name.to_ascii_lowercase()),
            };
            let value = raw.bucket.value().cloned().or_else(from_name)?;
            Some(Typed { value, at: typed.at.child("id") })
        }
        Field::Unreadable => None,
    }
}

/// Of several distributions each needs an id, and a name by which a request can choose it.
fn refuse_unreachable(report: &mut Report, typed: &Typed<raw::Distribution>) {
    let raw = &typed.value;
    if raw.id.is_absent() {
        let at = typed.at.child("id");
        report.error(&at, "is missing, and there are several distributions", "give each an id");
    }
    let is_nameless = raw.aliases.items().is_empty() && raw.domain_name.is_absent();
    if is_nameless && !matches!(raw.aliases, Field::Unreadable) {
        report.error(
            &typed.at.child("aliases"),
            "there are several distributions, and no request could choose this one",
            "give it a host name, such as aliases = [\"www.example.com\"]; `aws cloudfront get-distribution` \
             prints CloudFront's own, too",
        );
    }
}

/// behaviour §1.2
fn refuse_shared_aliases(report: &mut Report, items: &[Typed<raw::Distribution>]) {
    let mut owners: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, distribution) in items.iter().enumerate() {
        let aliases = distribution.value.aliases.items();
        for alias in aliases.iter().chain(distribution.value.domain_name.given()) {
            let owner = *owners.entry(&alias.value).or_insert(index);
            if owner != index {
                let message =
                    format!("CNAMEAlreadyExists: {:?} is another distribution's alias", alias.value);
                report.error(&alias.at, message, "an alias belongs to one distribution");
            }
        }
    }
}

fn aliases(report: &mut Report, list: &List<String>) -> Vec<Arc<str>> {
    report.unique(list.items(), "the alias");
    if let Some(typed) = list.given()
        && typed.value.len() > MOST_ALIASES
    {
        report.error(
            &typed.at,
            format!("TooManyDistributionCNAMEs: {} aliases", typed.value.len()),
            format!("at most {MOST_ALIASES}"),
        );
    }
    for alias in list.items() {
        if let Some((problem, fix)) = alias_problem(&alias.value) {
            let fix = filled_in(&alias.value, fix);
            report.error(&alias.at, format!("{:?} {problem}", alias.value), fix);
        }
    }
    list.items().iter().map(|alias| Arc::from(alias.value.as_str())).collect()
}

/// CloudFront's own name of it, which is nobody's wildcard (behaviour §1.2).
fn domain_name(report: &mut Report, raw: &raw::Distribution) -> Option<Arc<str>> {
    let typed = raw.domain_name.given()?;
    let name = typed.value.to_ascii_lowercase();
    if let Some((problem, fix)) = alias_problem(&name) {
        report.error(&typed.at, format!("{:?} {problem}", typed.value), fix);
    } else if name.contains('*') {
        report.error(&typed.at, format!("{:?} has a wildcard", typed.value), "wildcards are for aliases");
    }
    Some(Arc::from(name))
}

/// A lower-case DNS name, or `*.` before one (behaviour §1.2).
fn alias_problem(alias: &str) -> Option<(&'static str, String)> {
    let name = alias.strip_prefix("*.").unwrap_or(alias);
    if alias.contains(['/', ':']) {
        return Some(("is not a host name alone", "leave out scheme, port and path".to_owned()));
    }
    if !alias.is_ascii() {
        return Some(("has characters beyond ASCII", "write it in Punycode (xn--…)".to_owned()));
    }
    if alias.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(("has capital letters", format!("write {:?}", alias.to_ascii_lowercase())));
    }
    if name.contains('*') {
        return Some((
            "has a wildcard elsewhere",
            "the wildcard is the whole first label: \"*.example.com\"".to_owned(),
        ));
    }
    if let Some(bare) = alias.strip_suffix('.') {
        return Some(("ends with a dot", format!("write {bare:?}")));
    }
    if alias.len() > 253 || !name.split('.').all(is_label) {
        let fix =
            "write a name such as \"www.example.com\"; labels of 1 to 63 letters, digits or inner hyphens";
        return Some(("is not a DNS name", fix.to_owned()));
    }
    None
}

pub(super) fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// behaviour §1.4. Empty is none.
fn root_object(report: &mut Report, field: &Field<String>) -> Option<Arc<str>> {
    let typed = field.given().filter(|typed| !typed.value.is_empty())?;
    let path = &typed.value;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.*$/~\"'&".contains(&byte);
    if let Some(bare) = path.strip_prefix('/') {
        let message = "InvalidDefaultRootObject: begins with a slash, and an S3 key does not";
        report.error(&typed.at, message, format!("write {bare:?}"));
    } else if path.len() > 255 || !path.bytes().all(allowed) {
        let message =
            format!("InvalidDefaultRootObject: {path:?} is too long or has characters that may not be there");
        report.error(&typed.at, message, "at most 255 of A-Z a-z 0-9 _ - . * $ / ~ \" ' &");
    }
    Some(Arc::from(path.as_str()))
}
