//! CloudFront's own JSON → [`Raw`], so that what the AWS CLI prints passes the same validator as TOML.
//!
//! Every field of behaviour §1.6–§1.10 is honoured, or is a finding that names it: an error where leaving it out would
//! change who may read what or what is answered, a warning where it is harmless.

mod behavior;
mod distribution;
mod json;
mod object;
mod origin;
mod policies;
mod response_headers;
mod shape;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use self::object::{Document, Findings, Object};
use self::policies::AccessControl;
use self::shape::{Kind, Part};
use super::raw::{self, At, Field, Raw, Typed};
use super::reader::Reading;
use super::{policies as managed, request_policies, response_headers as managed_headers};

/// A JSON file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What findings call it.
    pub name: String,
    /// Its name without `.json`: the id of what names none itself.
    pub stem: String,
    /// Where it was found, if a folder was asked for.
    pub folder: Option<PathBuf>,
    pub bytes: Vec<u8>,
}

/// Fields that are not supported and that an owner may accept as such, by name.
pub const ACCEPTABLE: [&str; 14] = [
    "ConnectionFunctionAssociation",
    "ConnectionMode",
    "FieldLevelEncryptionId",
    "FunctionAssociations",
    "GrpcConfig",
    "LambdaFunctionAssociations",
    "OriginAccessControlId",
    "OriginMtlsConfig",
    "SelectionCriteria",
    "SmoothStreaming",
    "Staging",
    "TenantConfig",
    "VpcOriginConfig",
    "WebACLId",
];

/// Reads all files as one configuration: distributions, and what they refer to. `accepted`: of [`ACCEPTABLE`].
#[must_use]
pub fn read(files: &[File], accepted: &BTreeSet<String>) -> Reading {
    let findings = Findings::new(accepted);
    let sources: Vec<Arc<str>> = files.iter().map(|file| Arc::from(file.name.as_str())).collect();
    let texts: Vec<_> =
        files.iter().zip(&sources).map(|(file, source)| text::decode(file, source, &findings)).collect();
    let nodes: Vec<_> = texts
        .iter()
        .zip(&sources)
        .map(|(text, source)| text::parse(text.as_deref()?, source, &findings))
        .collect();
    let mut parts = Vec::new();
    for ((node, source), file) in nodes.iter().zip(&sources).zip(files) {
        let document = Document { source, findings: &findings };
        if let Some(node) = node {
            parts.extend(shape::parts(document, file, node));
        }
    }
    shape::drop_copies(&mut parts);
    let refused = findings.has_errors();
    let raw = assemble(&parts);
    // One that was refused is no reason to ask for one.
    if !refused && of(&parts, Kind::Distribution).next().is_none() {
        let at = At::without_line("--distribution", Kind::Distribution.key());
        let fix = "give what `aws cloudfront get-distribution-config` prints";
        findings.error(&at, "there is no distribution, so there is nothing to serve", fix);
    }
    let raw = Raw { source: sources.first().cloned().unwrap_or_default(), ..raw };
    Reading { raw, findings: findings.into_found() }
}

fn assemble(parts: &[Part<'_>]) -> Raw {
    let controls: Vec<_> = of(parts, Kind::AccessControl).filter_map(access_control).collect();
    let distributions: Vec<_> =
        of(parts, Kind::Distribution).filter_map(|part| distribution(part, parts, &controls)).collect();
    let named = Named::by(&distributions);
    let raw = Raw {
        cache_policies: own(parts, Kind::CachePolicy, &named.cache, policies::cache_policy),
        origin_request_policies: own(
            parts,
            Kind::OriginRequestPolicy,
            &named.request,
            policies::origin_request_policy,
        ),
        response_headers_policies: own(
            parts,
            Kind::ResponseHeadersPolicy,
            &named.response_headers,
            response_headers::policy,
        ),
        ..Raw::default()
    };
    let distributions = match distributions.first().map(|typed| typed.at.clone()) {
        Some(at) => Field::new(distributions, at),
        None => Field::Unreadable,
    };
    Raw { distributions, ..raw }
}

fn of<'p, 'd>(parts: &'p [Part<'d>], kind: Kind) -> impl Iterator<Item = &'p Part<'d>> {
    parts.iter().filter(move |part| part.kind == kind)
}

fn access_control(part: &Part<'_>) -> Option<AccessControl> {
    let id = part.id.value().cloned();
    Object::read(part.document, part.config, Kind::AccessControl.key(), |object| {
        policies::access_control(object, id)
    })
}

fn distribution(
    part: &Part<'_>,
    parts: &[Part<'_>],
    controls: &[AccessControl],
) -> Option<Typed<raw::Distribution>> {
    let read = |object: &mut Object<'_>| Typed {
        at: object.at.clone(),
        value: distribution::distribution(object, controls),
    };
    let mut typed = Object::read(part.document, part.config, Kind::Distribution.key(), read)?;
    typed.value.id = match &part.id {
        Field::Absent => Field::new(fallback_id(part, parts), typed.at.child("Id")),
        id => id.clone(),
    };
    typed.value.domain_name = part.domain_name.clone();
    typed.value.document = Some(super::Document::new(part.config.plain()));
    Some(typed)
}

/// The file's name; the folder's, if the file has a name that says nothing or is the only distribution there.
fn fallback_id(part: &Part<'_>, parts: &[Part<'_>]) -> String {
    let file = part.file;
    let is_plain = ["distribution", "distribution-config"].contains(&file.stem.as_str());
    let is_alone =
        || of(parts, Kind::Distribution).filter(|other| other.file.folder == file.folder).count() == 1;
    let folder = file.folder.as_ref().filter(|_| is_plain || is_alone());
    let name = folder.and_then(|folder| folder.file_name()).map(|name| name.to_string_lossy());
    let name = name.as_deref().unwrap_or(&file.stem);
    let kept = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    // An id names files too, and what begins with a dot is hidden.
    name.trim_start_matches('.').chars().take(128).map(kept).collect()
}

/// The policies that behaviours name.
struct Named {
    cache: BTreeSet<String>,
    request: BTreeSet<String>,
    response_headers: BTreeSet<String>,
}

impl Named {
    fn by(distributions: &[Typed<raw::Distribution>]) -> Self {
        let behaviors = || {
            distributions.iter().flat_map(|typed| {
                let others = typed.value.cache_behaviors.items().iter().map(|behavior| &behavior.value);
                typed.value.default_cache_behavior.value().into_iter().chain(others)
            })
        };
        let all = |field: fn(&raw::Behavior) -> &Field<String>| {
            behaviors().filter_map(|behavior| field(behavior).value().cloned()).collect()
        };
        Self {
            cache: all(|behavior| &behavior.cache_policy),
            request: all(|behavior| &behavior.origin_request_policy),
            response_headers: all(|behavior| &behavior.response_headers_policy),
        }
    }
}

/// The account's own policies of one kind that are in use. A list holds all of an account, the managed ones too, which
/// are known here; what nobody uses need not be understood.
fn own<T>(
    parts: &[Part<'_>],
    kind: Kind,
    named: &BTreeSet<String>,
    read: fn(&mut Object<'_>, Field<String>) -> T,
) -> raw::List<T> {
    let mut policies = Vec::new();
    for part in of(parts, kind) {
        if part.id.value().is_some_and(|id| is_managed(kind, id)) {
            continue;
        }
        let is_named = |name: Option<&str>| name.is_some_and(|name| named.contains(name));
        if !is_named(part.id.value().map(String::as_str)) && !is_named(part.name()) {
            if !part.is_listed {
                let at = part.document.at(kind.key(), part.config.line);
                part.document.findings.warn(
                    &at,
                    "no behaviour names it: it is left out",
                    "nothing need be done",
                );
            }
            continue;
        }
        let at = part.document.at(kind.key(), part.config.line);
        let value =
            Object::read(part.document, part.config, kind.key(), |object| read(object, part.id.clone()));
        policies.extend(value.map(|value| Typed { value, at }));
    }
    match policies.first().map(|typed| typed.at.clone()) {
        Some(at) => Field::new(policies, at),
        None => Field::Absent,
    }
}

fn is_managed(kind: Kind, id: &str) -> bool {
    match kind {
        Kind::CachePolicy => managed::managed(id).is_some(),
        Kind::OriginRequestPolicy => request_policies::managed(id).is_some(),
        Kind::ResponseHeadersPolicy => managed_headers::managed(id).is_some(),
        _ => false,
    }
}
