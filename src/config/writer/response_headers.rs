//! `[[response_headers_policy]]`

use super::super::raw;
use super::text::Text;

pub(super) fn policy(text: &mut Text, policy: &raw::ResponseHeadersPolicy) {
    let raw::ResponseHeadersPolicy {
        id,
        name,
        comment,
        cors_config,
        security_headers_config,
        server_timing_headers_config,
        custom_headers,
        remove_headers,
    } = policy;
    text.field("id", id);
    text.field("name", name);
    text.field("comment", comment);
    text.list("remove_headers", remove_headers);
    text.table("response_headers_policy.cors_config", cors_config, cors);
    security(text, security_headers_config);
    let timing = "response_headers_policy.server_timing_headers_config";
    text.table(timing, server_timing_headers_config, |text, timing| {
        let raw::ServerTimingHeadersConfig { enabled, sampling_rate } = timing;
        text.field("enabled", enabled);
        text.field("sampling_rate", sampling_rate);
    });
    text.tables("response_headers_policy.custom_header", custom_headers, |text, custom| {
        let raw::CustomHeader { header, value, overrides } = custom;
        text.field("header", header);
        text.field("value", value);
        text.field("override", overrides);
    });
}

fn cors(text: &mut Text, cors: &raw::CorsConfig) {
    let raw::CorsConfig {
        access_control_allow_origins,
        access_control_allow_headers,
        access_control_allow_methods,
        access_control_allow_credentials,
        access_control_expose_headers,
        access_control_max_age_sec,
        origin_override,
    } = cors;
    text.list("access_control_allow_origins", access_control_allow_origins);
    text.list("access_control_allow_headers", access_control_allow_headers);
    text.list("access_control_allow_methods", access_control_allow_methods);
    text.field("access_control_allow_credentials", access_control_allow_credentials);
    text.list("access_control_expose_headers", access_control_expose_headers);
    text.field("access_control_max_age_sec", access_control_max_age_sec);
    text.field("origin_override", origin_override);
}

fn security(text: &mut Text, security: &raw::SecurityHeadersConfig) {
    let raw::SecurityHeadersConfig {
        xss_protection,
        frame_options,
        referrer_policy,
        content_security_policy,
        content_type_options,
        strict_transport_security,
    } = security;
    let key = |name: &str| format!("response_headers_policy.security_headers_config.{name}");
    text.table(&key("xss_protection"), xss_protection, |text, xss| {
        let raw::XssProtection { overrides, protection, mode_block, report_uri } = xss;
        text.field("override", overrides);
        text.field("protection", protection);
        text.field("mode_block", mode_block);
        text.field("report_uri", report_uri);
    });
    text.table(&key("frame_options"), frame_options, |text, frame| {
        let raw::FrameOptions { overrides, frame_option } = frame;
        text.field("override", overrides);
        text.field("frame_option", frame_option);
    });
    text.table(&key("referrer_policy"), referrer_policy, |text, referrer| {
        let raw::ReferrerPolicy { overrides, referrer_policy } = referrer;
        text.field("override", overrides);
        text.field("referrer_policy", referrer_policy);
    });
    text.table(&key("content_security_policy"), content_security_policy, |text, content| {
        let raw::ContentSecurityPolicy { overrides, content_security_policy } = content;
        text.field("override", overrides);
        text.field("content_security_policy", content_security_policy);
    });
    text.table(&key("content_type_options"), content_type_options, |text, options| {
        let raw::ContentTypeOptions { overrides } = options;
        text.field("override", overrides);
    });
    text.table(&key("strict_transport_security"), strict_transport_security, |text, transport| {
        let raw::StrictTransportSecurity {
            overrides,
            access_control_max_age_sec,
            include_subdomains,
            preload,
        } = transport;
        text.field("override", overrides);
        text.field("access_control_max_age_sec", access_control_max_age_sec);
        text.field("include_subdomains", include_subdomains);
        text.field("preload", preload);
    });
}
