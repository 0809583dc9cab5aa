//! What a file holds, told by its shape: bare or wrapped as the AWS CLI prints it, one or a list.

use super::super::raw::{Field, join};
use super::File;
use super::json::{Node, Value};
use super::object::{Document, Object, kind};
use super::text::whole;

/// What is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Distribution,
    CachePolicy,
    OriginRequestPolicy,
    ResponseHeadersPolicy,
    AccessControl,
    /// Recognised; nothing can refer to it yet.
    KeyGroup,
    PublicKey,
    AccessIdentity,
}

/// How a kind is wrapped: in a list, alone, and its settings.
struct Wrapping {
    kind: Kind,
    list: &'static str,
    object: &'static str,
    config: &'static str,
}

const WRAPPINGS: [Wrapping; 8] = [
    wrapping(Kind::Distribution, "DistributionList", "Distribution", "DistributionConfig"),
    wrapping(Kind::CachePolicy, "CachePolicyList", "CachePolicy", "CachePolicyConfig"),
    wrapping(
        Kind::OriginRequestPolicy,
        "OriginRequestPolicyList",
        "OriginRequestPolicy",
        "OriginRequestPolicyConfig",
    ),
    wrapping(
        Kind::ResponseHeadersPolicy,
        "ResponseHeadersPolicyList",
        "ResponseHeadersPolicy",
        "ResponseHeadersPolicyConfig",
    ),
    wrapping(
        Kind::AccessControl,
        "OriginAccessControlList",
        "OriginAccessControl",
        "OriginAccessControlConfig",
    ),
    wrapping(Kind::KeyGroup, "KeyGroupList", "KeyGroup", "KeyGroupConfig"),
    wrapping(Kind::PublicKey, "PublicKeyList", "PublicKey", "PublicKeyConfig"),
    wrapping(
        Kind::AccessIdentity,
        "CloudFrontOriginAccessIdentityList",
        "CloudFrontOriginAccessIdentity",
        "CloudFrontOriginAccessIdentityConfig",
    ),
];

const fn wrapping(kind: Kind, list: &'static str, object: &'static str, config: &'static str) -> Wrapping {
    Wrapping { kind, list, object, config }
}

const SUMMARY: &str = "is ignored: a list holds summaries of distributions, and not all of their settings";
const WHOLE: &str = "give what `aws cloudfront get-distribution-config` prints, for each";
/// Others' forms of the same settings, told by a field at the top.
const OTHERS: [(&str, &str); 9] = [
    ("AWSTemplateFormatVersion", "is a CloudFormation template"),
    ("Resources", "is a CloudFormation template"),
    ("terraform_version", "is Terraform's state or plan"),
    ("resource", "is a Terraform configuration"),
    ("distributionConfig", "has names that begin with a small letter, as AWS Config writes them"),
    ("defaultCacheBehavior", "has names that begin with a small letter, as AWS Config writes them"),
    ("configuration", "has names that begin with a small letter, as AWS Config writes them"),
    ("default_cache_behavior", "is Terraform's or Ansible's"),
    ("status_code", "is the recording of a call"),
];

impl Kind {
    /// What its settings are called.
    pub(super) fn key(self) -> &'static str {
        WRAPPINGS.iter().find(|wrapping| wrapping.kind == self).map_or("", |wrapping| wrapping.config)
    }
}

/// One thing that was recognised.
#[derive(Debug, Clone)]
pub(super) struct Part<'d> {
    pub kind: Kind,
    pub document: Document<'d>,
    pub file: &'d File,
    /// Of a policy without one, the file's name; of a distribution without one, nothing.
    pub id: Field<String>,
    /// Of a distribution.
    pub domain_name: Field<String>,
    pub config: &'d Node<'d>,
    /// One of many, of which most may be of no interest.
    pub is_listed: bool,
}

impl Part<'_> {
    /// `Name` of its settings.
    pub(super) fn name(&self) -> Option<&str> {
        match &find(self.config, "Name")?.value {
            Value::String(name) => Some(name),
            _ => None,
        }
    }
}

pub(super) fn parts<'d>(document: Document<'d>, file: &'d File, root: &'d Node<'d>) -> Vec<Part<'d>> {
    match &root.value {
        Value::Object(_) => parts_of_object(document, file, root),
        // A list that `--query` took out of what is around it.
        Value::Array(items) if items.iter().all(|item| matches!(item.value, Value::Object(_))) => {
            items.iter().flat_map(|item| parts_of_object(document, file, item)).collect()
        }
        value => {
            let message = format!("holds {}, and not an object", kind(value));
            let fix = "give what the AWS CLI prints, each in a file of its own";
            document.findings.error(&whole(document.source), message, fix);
            Vec::new()
        }
    }
}

fn parts_of_object<'d>(document: Document<'d>, file: &'d File, root: &'d Node<'d>) -> Vec<Part<'d>> {
    let findings = document.findings;
    let mut reader = Shapes { document, file, parts: Vec::new() };
    let wrapped = Object::read(document, root, "", |object| {
        object.ignore_rest();
        WRAPPINGS.iter().filter(|wrapping| reader.wrapped(object, wrapping)).count()
    });
    if wrapped == Some(0) {
        match bare(root) {
            Some(Kind::Distribution) if find(root, "ARN").is_some() => {
                findings.warn(&document.at("Distribution", root.line), SUMMARY, WHOLE);
            }
            Some(kind) => {
                let id = reader.own_id(kind);
                reader.push(kind, id, Field::Absent, root, false);
            }
            None => ignored(document, root),
        }
    }
    reader.parts
}

fn ignored(document: Document<'_>, root: &Node<'_>) {
    let other = OTHERS.iter().find(|(name, _)| find(root, name).is_some());
    let (message, fix) = match other {
        Some((_, form)) => (
            format!("is ignored: it {form}, and not what CloudFront itself says"),
            "give what `aws cloudfront get-distribution-config` prints of the distribution that came of it",
        ),
        None => (
            "is ignored: it is nothing that describes a distribution".to_owned(),
            "a DistributionConfig, a policy or an access control, as the AWS CLI prints it",
        ),
    };
    document.findings.warn(&whole(document.source), message, fix);
}

struct Shapes<'d> {
    document: Document<'d>,
    file: &'d File,
    parts: Vec<Part<'d>>,
}

impl<'d> Shapes<'d> {
    /// Whether `object` wraps something of this kind.
    fn wrapped(&mut self, object: &mut Object<'d>, wrapping: &Wrapping) -> bool {
        let before = self.parts.len();
        if let Some(node) = object.node(wrapping.config) {
            let id = self.id_of(object, wrapping.kind);
            let domain_name = self.domain_of(object, wrapping.kind);
            self.push(wrapping.kind, id, domain_name, node, false);
        }
        let alone = object.node(wrapping.object);
        if let Some(node) = alone {
            self.object(node, wrapping, wrapping.object, false);
        }
        let list = object.node(wrapping.list);
        if let Some(node) = list {
            self.list(node, wrapping);
        }
        self.parts.len() > before || alone.is_some() || list.is_some()
    }

    /// `{"Id": …, "CachePolicyConfig": {…}}`, or in some lists the settings themselves beside their id.
    fn object(&mut self, node: &'d Node<'d>, wrapping: &Wrapping, key: &str, is_listed: bool) {
        Object::read(self.document, node, key, |object| {
            object.ignore_rest();
            let id = self.id_of(object, wrapping.kind);
            let domain_name = self.domain_of(object, wrapping.kind);
            let config = object.node(wrapping.config);
            if config.is_none() && !is_listed {
                let message = format!("InvalidArgument: {} is missing", wrapping.config);
                let fix = "give the whole of what the AWS CLI prints";
                self.document.findings.error(&object.at, message, fix);
                return;
            }
            self.push(wrapping.kind, id, domain_name, config.unwrap_or(node), is_listed);
        });
    }

    fn list(&mut self, node: &'d Node<'d>, wrapping: &Wrapping) {
        if wrapping.kind == Kind::Distribution {
            let at = self.document.at(wrapping.list, node.line);
            self.document.findings.warn(&at, SUMMARY, WHOLE);
            return;
        }
        let Some(Value::Array(items)) = find(node, "Items").map(|items| &items.value) else { return };
        for (index, item) in items.iter().enumerate() {
            let key = format!("{}.Items[{index}]", wrapping.list);
            match find(item, wrapping.object) {
                Some(inner) => self.object(inner, wrapping, &join(&key, wrapping.object), true),
                None => self.object(item, wrapping, &key, true),
            }
        }
    }

    fn id_of(&self, object: &mut Object<'d>, kind: Kind) -> Field<String> {
        match object.text("Id") {
            Field::Absent => self.own_id(kind),
            id => id,
        }
    }

    fn domain_of(&self, object: &mut Object<'d>, kind: Kind) -> Field<String> {
        if kind == Kind::Distribution { object.text("DomainName") } else { Field::Absent }
    }

    fn own_id(&self, kind: Kind) -> Field<String> {
        if kind == Kind::Distribution {
            return Field::Absent;
        }
        Field::new(self.file.stem.clone(), whole(self.document.source).child("Id"))
    }

    fn push(
        &mut self,
        kind: Kind,
        id: Field<String>,
        domain_name: Field<String>,
        config: &'d Node<'d>,
        is_listed: bool,
    ) {
        let Self { document, file, .. } = *self;
        self.parts.push(Part { kind, document, file, id, domain_name, config, is_listed });
    }
}

/// Settings alone, told by a field that nothing else has.
fn bare(root: &Node<'_>) -> Option<Kind> {
    let has = |name: &str| find(root, name).is_some();
    let any = |names: &[&str]| names.iter().any(|name| has(name));
    Some(match () {
        () if any(&["DefaultCacheBehavior", "Origins"]) => Kind::Distribution,
        () if any(&["ParametersInCacheKeyAndForwardedToOrigin", "MinTTL"]) => Kind::CachePolicy,
        () if any(&["HeadersConfig", "CookiesConfig", "QueryStringsConfig"]) => Kind::OriginRequestPolicy,
        () if any(&[
            "CorsConfig",
            "SecurityHeadersConfig",
            "ServerTimingHeadersConfig",
            "CustomHeadersConfig",
            "RemoveHeadersConfig",
        ]) =>
        {
            Kind::ResponseHeadersPolicy
        }
        () if any(&["SigningBehavior", "OriginAccessControlOriginType"]) => Kind::AccessControl,
        () if has("EncodedKey") => Kind::PublicKey,
        () if has("Name") && has("Items") => Kind::KeyGroup,
        () => return None,
    })
}

/// The same policy may stand in a list and in a file of its own.
pub(super) fn drop_copies(parts: &mut Vec<Part<'_>>) {
    let mut kept: Vec<Part<'_>> = Vec::with_capacity(parts.len());
    for part in parts.drain(..) {
        let is_copy = |other: &Part<'_>| {
            other.kind == part.kind
                && part.kind != Kind::Distribution
                && other.id.value() == part.id.value()
                && is_same(other.config, part.config)
        };
        if !kept.iter().any(is_copy) {
            kept.push(part);
        }
    }
    *parts = kept;
}

/// Apart from their lines.
fn is_same(a: &Node<'_>, b: &Node<'_>) -> bool {
    match (&a.value, &b.value) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let is_same = |(a, b): (&super::json::Entry<'_>, &super::json::Entry<'_>)| {
                a.name == b.name && is_same(&a.value, &b.value)
            };
            a.len() == b.len() && a.iter().zip(b).all(is_same)
        }
        (a, b) => a == b,
    }
}

fn find<'n, 'd>(node: &'n Node<'d>, name: &str) -> Option<&'n Node<'d>> {
    match &node.value {
        Value::Object(entries) => entries.iter().find(|entry| entry.name == name).map(|entry| &entry.value),
        _ => None,
    }
}
