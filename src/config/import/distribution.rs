//! `DistributionConfig` (behaviour §1.6).

use super::super::raw::{self, Field};
use super::behavior;
use super::object::{Code, Object};
use super::origin;
use super::policies::AccessControl;

/// Without id and domain name, which stand beside it.
pub(super) fn distribution(object: &mut Object<'_>, controls: &[AccessControl]) -> raw::Distribution {
    object.ignore(&["CallerReference", "PriceClass", "IsIPV6Enabled", "AnycastIpListId"]);
    refuse_unsupported(object);
    warn_of_what_differs(object);
    let logging = logging(object);
    let origins = object.each("Origins", |object| origin::origin(object, controls));
    let default = object.object("DefaultCacheBehavior", behavior::behavior);
    raw::Distribution {
        id: Field::Absent,
        domain_name: Field::Absent,
        document: None,
        aliases: object.items("Aliases"),
        default_root_object: object.text("DefaultRootObject"),
        origins: object.require("Origins", origins),
        default_cache_behavior: object.require("DefaultCacheBehavior", default),
        cache_behaviors: object.each("CacheBehaviors", behavior::with_pattern),
        custom_error_responses: object.each("CustomErrorResponses", error_response),
        origin_groups: object.each("OriginGroups", origin::group),
        enabled: object.field("Enabled"),
        comment: object.text("Comment"),
        minimum_protocol_version: certificate(object),
        http_version: object.text("HttpVersion"),
        geo_restriction: geo_restriction(object),
        cache_tag_header: inner(object.object("CacheTagConfig", |object| object.text("HeaderName"))),
        logging,
    }
}

fn error_response(object: &mut Object<'_>) -> raw::CustomErrorResponse {
    raw::CustomErrorResponse {
        error_code: code(object.field("ErrorCode")),
        error_caching_min_ttl: object.field("ErrorCachingMinTTL"),
        response_page_path: object.text("ResponsePagePath"),
        response_code: code(object.field("ResponseCode")),
    }
}

fn code(field: Field<Code>) -> Field<i64> {
    match field {
        Field::Given(typed) => typed.value.0.map_or(Field::Absent, |code| Field::new(code, typed.at)),
        Field::Absent => Field::Absent,
        Field::Unreadable => Field::Unreadable,
    }
}

fn inner<T>(field: Field<Field<T>>) -> Field<T> {
    match field {
        Field::Given(typed) => typed.value,
        Field::Absent => Field::Absent,
        Field::Unreadable => Field::Unreadable,
    }
}

/// What viewers may speak at least. CloudFront's own certificate comes with its own, which nobody chose.
fn certificate(object: &mut Object<'_>) -> Field<String> {
    inner(object.object("ViewerCertificate", |object| {
        object.ignore(&["Certificate", "CertificateSource"]);
        let default = object.field::<bool>("CloudFrontDefaultCertificate");
        let version = object.text("MinimumProtocolVersion");
        for name in ["ACMCertificateArn", "IAMCertificateId"] {
            let certificate = object.text(name);
            if let Some(typed) = certificate.given() {
                let message = "its private key stays with AWS, so that the edge cannot use this certificate";
                object.findings().warn(&typed.at, message, "give the edge one by --tls-cert and --tls-key");
            }
        }
        let support = object.text("SSLSupportMethod");
        let is_own = default.value() != Some(&true);
        let known = ["sni-only", "vip", "static-ip"];
        if let Some(typed) = support.given().filter(|typed| !known.contains(&typed.value.as_str())) {
            let message = format!("InvalidViewerCertificate: there is no way {:?}", typed.value);
            object.findings().error(&typed.at, message, "write \"sni-only\"");
        } else if let Some(typed) = support.given().filter(|typed| is_own && typed.value != "sni-only") {
            let message = "there is no address for each certificate: viewers are told apart by SNI";
            object.findings().warn(&typed.at, message, "viewers without SNI get the first certificate");
        }
        if is_own { version } else { Field::Absent }
    }))
}

fn geo_restriction(object: &mut Object<'_>) -> Field<raw::GeoRestriction> {
    let restriction = object.object("Restrictions", |object| {
        object.object("GeoRestriction", |object| raw::GeoRestriction {
            restriction_type: object.text("RestrictionType"),
            locations: object.items_here(),
        })
    });
    match inner(restriction) {
        Field::Given(typed) if is_none(&typed.value) => Field::Absent,
        field => field,
    }
}

fn is_none(restriction: &raw::GeoRestriction) -> bool {
    let word = restriction.restriction_type.value().map_or("none", String::as_str);
    word == "none" && restriction.locations.is_absent()
}

/// What decides who may read, or who is answered at all.
fn refuse_unsupported(object: &mut Object<'_>) {
    let firewall = object.text("WebACLId");
    if let Some(typed) = firewall.given() {
        let consequence = "requests that the firewall blocks would be answered";
        object.findings().unsupported(&typed.at, "WebACLId", consequence);
    }
    let mtls = object.object("ViewerMtlsConfig", |object| {
        object.ignore(&["Mode", "TrustStoreConfig"]);
    });
    if let Some(typed) = mtls.given() {
        object.findings().refuse(&typed.at, "ViewerMtlsConfig", "whoever has no certificate could read, too");
    }
    let function = object.object("ConnectionFunctionAssociation", |object| object.ignore(&["Id"]));
    if let Some(typed) = function.given() {
        let consequence = "connections would not pass the function";
        object.findings().unsupported(&typed.at, "ConnectionFunctionAssociation", consequence);
    }
    let tenants = object.object("TenantConfig", |object| object.ignore(&["ParameterDefinitions"]));
    if let Some(typed) = tenants.given() {
        object.findings().unsupported(&typed.at, "TenantConfig", "tenants would not be told apart");
    }
    let mode = object.text("ConnectionMode");
    if let Some(typed) = mode.given().filter(|typed| typed.value != "direct") {
        let consequence = "the distribution would answer viewers itself";
        object.findings().unsupported(&typed.at, "ConnectionMode", consequence);
    }
    let staging = object.field::<bool>("Staging");
    if let Some(typed) = staging.given().filter(|typed| typed.value) {
        let consequence =
            "it would answer every viewer, and not those alone that the deployment policy sends";
        object.findings().unsupported(&typed.at, "Staging", consequence);
    }
}

fn warn_of_what_differs(object: &mut Object<'_>) {
    let deployment = object.text("ContinuousDeploymentPolicyId");
    if let Some(typed) = deployment.given() {
        let message = "continuous deployment is not supported: this distribution answers every viewer";
        object.findings().warn(&typed.at, message, "nothing need be done");
    }
}

/// Switched off it says nothing: who gives the edge a directory for logs wants them.
fn logging(object: &mut Object<'_>) -> Field<raw::Logging> {
    let logging = object.object("Logging", |object| {
        object.ignore(&["Bucket"]);
        let enabled = object.field::<bool>("Enabled");
        let logging = raw::Logging {
            enabled: Field::Absent,
            include_cookies: object.field("IncludeCookies"),
            prefix: object.text("Prefix"),
        };
        (enabled.value() == Some(&true), logging)
    });
    match logging {
        Field::Given(typed) if typed.value.0 => {
            let message = "no log is written to this bucket by itself";
            let fix = "give --log-directory, and log.standard.upload in TOML to send its files to a bucket";
            object.findings().warn(&typed.at, message, fix);
            Field::new(typed.value.1, typed.at)
        }
        Field::Given(_) | Field::Absent => Field::Absent,
        Field::Unreadable => Field::Unreadable,
    }
}
