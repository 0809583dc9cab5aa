//! An origin that is not a bucket: any HTTP server (behaviour §1.5, §1.6).

use std::net::IpAddr;
use std::sync::Arc;

use super::super::raw::{self, At, Field, List, Typed};
use super::super::{CustomOrigin, OriginProtocolPolicy};
use super::distribution::is_label;
use super::origin::seconds;
use super::report::{Report, filled_in};

/// What [`host`] gives where an error was reported.
const NOWHERE: &str = "invalid";

/// `custom` stands in `typed`.
pub(super) fn custom_origin(
    report: &mut Report,
    typed: &Typed<raw::Origin>,
    custom: &Typed<raw::CustomOrigin>,
) -> CustomOrigin {
    const POLICIES: [(&str, OriginProtocolPolicy); 3] = [
        ("http-only", OriginProtocolPolicy::HttpOnly),
        ("https-only", OriginProtocolPolicy::HttpsOnly),
        ("match-viewer", OriginProtocolPolicy::MatchViewer),
    ];
    let raw = &custom.value;
    refuse_keys_of_buckets(report, &typed.value);
    ssl_protocols(report, &raw.origin_ssl_protocols);
    let host = report.coded("InvalidOrigin", |report| host(report, typed));
    let policy = report.choice(&raw.origin_protocol_policy, &POLICIES, OriginProtocolPolicy::MatchViewer);
    CustomOrigin {
        protocol: protocol_of_website(report, custom, &host, policy),
        host,
        http_port: port(report, &raw.http_port, 80),
        https_port: port(report, &raw.https_port, 443),
        keepalive_timeout: seconds(report, "InvalidOriginKeepaliveTimeout: ", &raw.keepalive_timeout, 120, 5),
    }
}

/// A name or an address, without scheme, port and path.
fn host(report: &mut Report, typed: &Typed<raw::Origin>) -> Arc<str> {
    let field = &typed.value.domain_name;
    if field.is_absent() {
        let fix = "name the server, such as domain_name = \"www.example.com\"";
        report.error(&typed.at.child("domain_name"), "is missing", fix);
    }
    let Some(name) = field.given() else { return Arc::from(NOWHERE) };
    if name.value.contains(['/', ':', '@', '?', '#']) {
        let message = format!("InvalidOrigin: {:?} carries a scheme, a port or a path", name.value);
        let fix = filled_in(&name.value, "write the host name alone; ports are http_port and https_port");
        report.error(&name.at, message, fix);
        return Arc::from(NOWHERE);
    }
    let host = name.value.to_ascii_lowercase();
    // Underscores are in no DNS host name, but Docker's names have them.
    if host.len() > 253 || !host.split('.').all(|label| is_label(&label.replace('_', "x"))) {
        let message = format!("InvalidOrigin: {:?} is no name and no address", name.value);
        let fix = filled_in(&name.value, "write a name such as \"www.example.com\"");
        report.error(&name.at, message, fix);
        return Arc::from(NOWHERE);
    }
    if host.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback()) {
        report.warn(&name.at, "CloudFront takes no addresses, only names", "give it a name in the DNS");
    }
    Arc::from(host)
}

/// S3's websites speak HTTP only (behaviour §1.5, s3 §3).
fn protocol_of_website(
    report: &mut Report,
    custom: &Typed<raw::CustomOrigin>,
    host: &str,
    policy: OriginProtocolPolicy,
) -> OriginProtocolPolicy {
    let is_website = host.contains(".s3-website") && host.contains(".amazonaws.com");
    if !is_website || policy == OriginProtocolPolicy::HttpOnly {
        return policy;
    }
    let field = &custom.value.origin_protocol_policy;
    let at =
        field.given().map_or_else(|| custom.at.child("origin_protocol_policy"), |typed| typed.at.clone());
    let message = "S3 website endpoints speak plain HTTP only, and are asked so";
    report.warn(&at, message, "write \"http-only\"");
    OriginProtocolPolicy::HttpOnly
}

/// Any port is asked; CloudFront takes fewer (behaviour §1.5).
fn port(report: &mut Report, field: &Field<i64>, default: u16) -> u16 {
    let port = report.whole(field, 1..=65_535).unwrap_or(default);
    if let Some(typed) = field.given()
        && port < 1024
        && !matches!(port, 80 | 443)
    {
        report.warn(&typed.at, format!("CloudFront takes no port {port}"), "80, 443 or 1024 to 65535");
    }
    port
}

fn ssl_protocols(report: &mut Report, list: &List<String>) {
    const KNOWN: [&str; 4] = ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2"];
    for typed in list.items().iter().filter(|typed| !KNOWN.contains(&typed.value.as_str())) {
        report.unknown_as(
            typed,
            format!("InvalidRequiredProtocol: there is no protocol {:?}", typed.value),
            KNOWN,
        );
    }
    if let Some(typed) = list.given()
        && !typed.value.iter().any(|protocol| protocol.value == "TLSv1.2")
    {
        let message = "TLS 1.2 and TLS 1.3 are what is offered, whatever stands here";
        report.warn(&typed.at, message, "add \"TLSv1.2\"");
    }
}

/// Nothing of a bucket's may seem to have an effect.
fn refuse_keys_of_buckets(report: &mut Report, raw: &raw::Origin) {
    fn at<T>(field: &Field<T>) -> Option<&At> {
        field.given().map(|typed| &typed.at)
    }
    if let Some(typed) = raw.signing_behavior.given().filter(|typed| typed.value != "never") {
        let message =
            "InvalidOriginAccessControl: requests to custom origins are not signed; not supported yet";
        report.error(&typed.at, message, "leave it out");
    }
    let of_buckets = [
        at(&raw.bucket),
        at(&raw.region),
        at(&raw.endpoint),
        at(&raw.addressing),
        at(&raw.allow_plain_http),
        at(&raw.payload_hash),
        at(&raw.role_arn),
        at(&raw.external_id),
        at(&raw.session_name),
        at(&raw.session_duration),
        at(&raw.kms_keys),
        at(&raw.watch_keys),
        at(&raw.expected_bucket_owner),
    ];
    for at in of_buckets.into_iter().flatten() {
        report.error(at, "is about buckets, and this is a custom origin", "leave it out, or custom_origin");
    }
}
