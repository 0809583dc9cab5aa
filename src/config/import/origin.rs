//! Origins and origin groups (behaviour §1.5, §1.6, §10.1).

use super::super::raw::{self, At, Field, Typed};
use super::object::Object;
use super::policies::AccessControl;

/// How an origin access identity is written (behaviour §1.6).
const IDENTITY: &str = "origin-access-identity/cloudfront/";

pub(super) fn origin(object: &mut Object<'_>, controls: &[AccessControl]) -> raw::Origin {
    let mut origin = raw::Origin {
        id: object.text("Id"),
        domain_name: object.text("DomainName"),
        origin_path: object.text("OriginPath"),
        connection_attempts: object.field("ConnectionAttempts"),
        connection_timeout: object.field("ConnectionTimeout"),
        response_completion_timeout: object.field("ResponseCompletionTimeout"),
        custom_headers: object.each("CustomHeaders", |object| {
            let (name, value) = (object.text("HeaderName"), object.field("HeaderValue"));
            raw::OriginHeader {
                name: object.require("HeaderName", name),
                value: object.require("HeaderValue", value),
            }
        }),
        ..raw::Origin::default()
    };
    origin.id = object.require("Id", origin.id);
    origin.domain_name = object.require("DomainName", origin.domain_name);
    // It is one more cache between CloudFront's edges and the origin.
    object.object("OriginShield", |object| {
        let region = object.text("OriginShieldRegion");
        if object.field::<bool>("Enabled").value() == Some(&true) {
            object.require("OriginShieldRegion", region);
        }
    });
    let control = object.text("OriginAccessControlId");
    let bucket = object.object("S3OriginConfig", |object| {
        origin.read_timeout = object.field("OriginReadTimeout");
        object.text("OriginAccessIdentity")
    });
    let custom = object.object("CustomOriginConfig", |object| custom(object, &mut origin.read_timeout));
    let vpc = object.object("VpcOriginConfig", |object| vpc(object, &mut origin.read_timeout));
    let kinds = [!bucket.is_absent(), !custom.is_absent(), !vpc.is_absent()];
    if kinds.iter().filter(|given| **given).count() != 1 {
        let message =
            "InvalidOrigin: it must have one of S3OriginConfig, CustomOriginConfig and VpcOriginConfig";
        object.findings().error(&object.at, message, "give exactly one of the three");
    }
    if !bucket.is_absent() {
        let identity = match bucket {
            Field::Given(typed) => typed.value,
            Field::Absent | Field::Unreadable => Field::Absent,
        };
        origin.signing_behavior = signing(object, &control, &identity, controls);
    } else {
        refuse_signing(object, &control, &origin.domain_name);
    }
    origin.custom_origin = if custom.is_absent() { vpc } else { custom };
    origin
}

fn custom(object: &mut Object<'_>, read_timeout: &mut Field<raw::Amount>) -> raw::CustomOrigin {
    *read_timeout = object.field("OriginReadTimeout");
    // The resolver's addresses are tried, whatever their family.
    object.ignore(&["IpAddressType"]);
    let mtls = object.object("OriginMtlsConfig", |object| object.text("ClientCertificateArn"));
    if let Some(typed) = mtls.given().filter(|typed| typed.value.given().is_some()) {
        let consequence = "the origin would be shown no certificate";
        object.findings().unsupported(&typed.at, "OriginMtlsConfig", consequence);
    }
    raw::CustomOrigin {
        http_port: object.field("HTTPPort"),
        https_port: object.field("HTTPSPort"),
        origin_protocol_policy: object.text("OriginProtocolPolicy"),
        origin_ssl_protocols: object.items("OriginSslProtocols"),
        keepalive_timeout: object.field("OriginKeepaliveTimeout"),
    }
}

/// Accepted, it is any HTTP server, asked at its name.
fn vpc(object: &mut Object<'_>, read_timeout: &mut Field<raw::Amount>) -> raw::CustomOrigin {
    object.ignore(&["VpcOriginId", "OwnerAccountId"]);
    *read_timeout = object.field("OriginReadTimeout");
    let consequence = "the origin would be asked at its name, as any other";
    object.findings().unsupported(&object.at, "VpcOriginConfig", consequence);
    raw::CustomOrigin {
        origin_protocol_policy: Field::new("match-viewer".to_owned(), object.at.clone()),
        keepalive_timeout: object.field("OriginKeepaliveTimeout"),
        ..raw::CustomOrigin::default()
    }
}

/// How a bucket's requests are signed: as its origin access control says; with the older identity always; without
/// either never (behaviour §10.1, §10.5).
fn signing(
    object: &Object<'_>,
    control: &Field<String>,
    identity: &Field<String>,
    controls: &[AccessControl],
) -> Field<String> {
    let word = |word: &str, at: &At| Field::new(word.to_owned(), at.clone());
    match (control, identity) {
        (Field::Given(control), Field::Given(_)) => {
            let message = "IllegalOriginAccessConfiguration: an origin access control and an identity";
            object.findings().error(&control.at, message, "leave OriginAccessIdentity empty");
            Field::Unreadable
        }
        (Field::Given(control), _) => by_control(object, control, controls),
        (_, Field::Given(identity)) if !identity.value.starts_with(IDENTITY) => {
            let message = format!("InvalidOriginAccessIdentity: {:?} is no identity", identity.value);
            object.findings().error(&identity.at, message, format!("write {IDENTITY}ID"));
            Field::Unreadable
        }
        (_, Field::Given(identity)) => {
            let message = "the edge signs with its own credentials, not as the origin access identity";
            let fix = "let the bucket's policy allow the edge's role what it allows the identity";
            object.findings().warn(&identity.at, message, fix);
            word("always", &identity.at)
        }
        (Field::Unreadable, _) | (_, Field::Unreadable) => Field::Unreadable,
        (Field::Absent, Field::Absent) => word("never", &object.at.child("OriginAccessControlId")),
    }
}

fn by_control(object: &Object<'_>, id: &Typed<String>, controls: &[AccessControl]) -> Field<String> {
    let named = |name: &Option<String>| name.as_deref() == Some(id.value.as_str());
    let found = controls.iter().find(|control| named(&control.id));
    let Some(control) = found.or_else(|| controls.iter().find(|control| named(&control.name))) else {
        let message =
            format!("no file describes the origin access control {:?}: every request is signed", id.value);
        let fix = "to be sure, add what `aws cloudfront get-origin-access-control` prints";
        object.findings().warn(&id.at, message, fix);
        return Field::new("always".to_owned(), id.at.clone());
    };
    if let Some(kind) = control.origin_type.given().filter(|kind| kind.value != "s3") {
        let message =
            format!("InvalidOriginAccessControl: it is for {:?}, and the origin is a bucket", kind.value);
        object.findings().error(&id.at, message, "name one for s3");
    }
    match &control.signing_behavior {
        Field::Given(typed) => Field::Given(typed.clone()),
        Field::Absent => Field::new("always".to_owned(), id.at.clone()),
        Field::Unreadable => Field::Unreadable,
    }
}

/// Only buckets are signed for. CloudFront signs for three more kinds of origins, and for no other (behaviour §10.3).
fn refuse_signing(object: &Object<'_>, control: &Field<String>, domain_name: &Field<String>) {
    const SIGNED_FOR: [&str; 3] = [".lambda-url.", ".mediapackagev2.", ".mediastore."];
    let Some(typed) = control.given() else { return };
    let name = domain_name.value().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    if SIGNED_FOR.iter().any(|service| name.contains(service)) {
        let consequence = "requests to an origin that is no bucket would not be signed";
        object.findings().unsupported(&typed.at, "OriginAccessControlId", consequence);
    } else {
        let message =
            "InvalidDomainNameForOriginAccessControl: it is no bucket, and nothing else that is signed for";
        object.findings().error(&typed.at, message, "leave OriginAccessControlId empty");
    }
}

pub(super) fn group(object: &mut Object<'_>) -> raw::OriginGroup {
    let id = object.text("Id");
    let selection = object.text("SelectionCriteria");
    if let Some(typed) = selection.given().filter(|typed| typed.value != "default") {
        let consequence = "the first origin would be asked first, whatever its quality";
        object.findings().unsupported(&typed.at, "SelectionCriteria", consequence);
    }
    let mut status_codes = Field::Absent;
    object.object("FailoverCriteria", |object| status_codes = object.items("StatusCodes"));
    let members = object.each("Members", |object| {
        let id = object.text("OriginId");
        object.require("OriginId", id)
    });
    let members = match members {
        Field::Given(list) => {
            let ids = list.value.into_iter().filter_map(|item| match item.value {
                Field::Given(id) => Some(id),
                Field::Absent | Field::Unreadable => None,
            });
            Field::new(ids.collect(), list.at)
        }
        Field::Absent => Field::Absent,
        Field::Unreadable => Field::Unreadable,
    };
    raw::OriginGroup { id: object.require("Id", id), members, status_codes }
}
