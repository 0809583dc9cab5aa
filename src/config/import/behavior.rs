//! Cache behaviours, the default one and the others (behaviour §1.6).

use super::super::raw::{self, Field, List};
use super::object::Object;

pub(super) fn behavior(object: &mut Object<'_>) -> raw::Behavior {
    refuse_what_decides_who_may_read(object);
    refuse_code_at_the_edge(object);
    let logs = object.text("RealtimeLogConfigArn");
    if let Some(typed) = logs.given() {
        let message = "real-time logs are not sent anywhere";
        object.findings().warn(&typed.at, message, "the access log is the edge's own: see log.access");
    }
    let (allowed_methods, cached_methods) = methods(object);
    let target_origin = object.text("TargetOriginId");
    let viewer_protocol_policy = object.text("ViewerProtocolPolicy");
    let cache_policy = object.text("CachePolicyId");
    let forwarded_values = object.object("ForwardedValues", forwarded_values);
    if cache_policy.is_absent() && forwarded_values.is_absent() {
        let message = "InvalidArgument: neither a cache policy nor ForwardedValues";
        object.findings().error(&object.at.child("CachePolicyId"), message, "give the id of a cache policy");
    }
    raw::Behavior {
        path_pattern: Field::Absent,
        target_origin: object.require("TargetOriginId", target_origin),
        viewer_protocol_policy: object.require("ViewerProtocolPolicy", viewer_protocol_policy),
        allowed_methods,
        cached_methods,
        cache_policy,
        response_headers_policy: object.text("ResponseHeadersPolicyId"),
        origin_request_policy: object.text("OriginRequestPolicyId"),
        compress: object.field("Compress"),
        forwarded_values,
        min_ttl: object.field("MinTTL"),
        default_ttl: object.field("DefaultTTL"),
        max_ttl: object.field("MaxTTL"),
    }
}

/// One with a pattern.
pub(super) fn with_pattern(object: &mut Object<'_>) -> raw::Behavior {
    raw::Behavior { path_pattern: object.text("PathPattern"), ..behavior(object) }
}

/// Allowed and cached ones.
fn methods(object: &mut Object<'_>) -> (List<String>, List<String>) {
    let mut cached = Field::Absent;
    let allowed = object.object("AllowedMethods", |object| {
        cached = object.items("CachedMethods");
        object.items_here()
    });
    match allowed {
        Field::Given(typed) => (typed.value, cached),
        Field::Absent => (Field::Absent, cached),
        Field::Unreadable => (Field::Unreadable, cached),
    }
}

fn forwarded_values(object: &mut Object<'_>) -> raw::ForwardedValues {
    let mut whitelisted_cookies = Field::Absent;
    let cookies = object.object("Cookies", |object| {
        whitelisted_cookies = object.items("WhitelistedNames");
        object.text("Forward")
    });
    raw::ForwardedValues {
        query_string: object.field("QueryString"),
        query_string_cache_keys: object.items("QueryStringCacheKeys"),
        cookies: match cookies {
            Field::Given(typed) => typed.value,
            Field::Absent => Field::Absent,
            Field::Unreadable => Field::Unreadable,
        },
        whitelisted_cookies,
        headers: object.items("Headers"),
    }
}

fn refuse_what_decides_who_may_read(object: &mut Object<'_>) {
    for name in ["TrustedSigners", "TrustedKeyGroups"] {
        let asked = object.object(name, |object| {
            let listed: List<String> = object.items_here();
            (object.field::<bool>("Enabled"), listed)
        });
        let Some(typed) = asked.given() else { continue };
        let (enabled, listed) = &typed.value;
        if enabled.value() == Some(&true) || (enabled.is_absent() && !listed.is_absent()) {
            object.findings().refuse(&typed.at, name, "whoever has no signed URL could read, too");
        }
    }
}

fn refuse_code_at_the_edge(object: &mut Object<'_>) {
    let functions = object.each("FunctionAssociations", |object| {
        object.ignore(&["FunctionARN", "EventType"]);
    });
    if let Some(typed) = functions.given() {
        let consequence = "requests and responses would not pass the functions";
        object.findings().unsupported(&typed.at, "FunctionAssociations", consequence);
    }
    let lambdas = object.each("LambdaFunctionAssociations", |object| {
        object.ignore(&["LambdaFunctionARN", "EventType", "IncludeBody"]);
    });
    if let Some(typed) = lambdas.given() {
        let consequence = "requests and responses would not pass the functions";
        object.findings().unsupported(&typed.at, "LambdaFunctionAssociations", consequence);
    }
    let encryption = object.text("FieldLevelEncryptionId");
    if let Some(typed) = encryption.given() {
        let consequence = "fields would reach the origin unencrypted";
        object.findings().unsupported(&typed.at, "FieldLevelEncryptionId", consequence);
    }
    let smooth = object.field::<bool>("SmoothStreaming");
    if let Some(typed) = smooth.given().filter(|typed| typed.value) {
        let consequence = "media in this format would not be found";
        object.findings().unsupported(&typed.at, "SmoothStreaming", consequence);
    }
    let grpc = object.object("GrpcConfig", |object| object.field::<bool>("Enabled"));
    if let Some(typed) = grpc.given().filter(|typed| typed.value.value() == Some(&true)) {
        object.findings().unsupported(&typed.at, "GrpcConfig", "gRPC calls would fail");
    }
}
