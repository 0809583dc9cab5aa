//! `[[response_headers_policy]]`: behaviour §1.9 without `Quantity` and `Items`.

use super::super::raw;
use super::table::Table;

pub(super) fn policy(table: &mut Table<'_>) -> raw::ResponseHeadersPolicy {
    raw::ResponseHeadersPolicy {
        name: table.field("name"),
        comment: table.field("comment"),
        cors_config: table.table("cors_config", cors),
        security_headers_config: table.section("security_headers_config", security),
        server_timing_headers_config: table.table("server_timing_headers_config", |table| {
            raw::ServerTimingHeadersConfig {
                enabled: table.field("enabled"),
                sampling_rate: table.field("sampling_rate"),
            }
        }),
        custom_headers: table.tables("custom_header", |table| raw::CustomHeader {
            header: table.field("header"),
            value: table.field("value"),
            overrides: table.field("override"),
        }),
        remove_headers: table.list("remove_headers"),
        id: table.field("id"),
    }
}

fn cors(table: &mut Table<'_>) -> raw::CorsConfig {
    raw::CorsConfig {
        access_control_allow_origins: table.list("access_control_allow_origins"),
        access_control_allow_headers: table.list("access_control_allow_headers"),
        access_control_allow_methods: table.list("access_control_allow_methods"),
        access_control_allow_credentials: table.field("access_control_allow_credentials"),
        access_control_expose_headers: table.list("access_control_expose_headers"),
        access_control_max_age_sec: table.field("access_control_max_age_sec"),
        origin_override: table.field("origin_override"),
    }
}

fn security(table: &mut Table<'_>) -> raw::SecurityHeadersConfig {
    raw::SecurityHeadersConfig {
        xss_protection: table.table("xss_protection", |table| raw::XssProtection {
            overrides: table.field("override"),
            protection: table.field("protection"),
            mode_block: table.field("mode_block"),
            report_uri: table.field("report_uri"),
        }),
        frame_options: table.table("frame_options", |table| raw::FrameOptions {
            overrides: table.field("override"),
            frame_option: table.field("frame_option"),
        }),
        referrer_policy: table.table("referrer_policy", |table| raw::ReferrerPolicy {
            overrides: table.field("override"),
            referrer_policy: table.field("referrer_policy"),
        }),
        content_security_policy: table.table("content_security_policy", |table| raw::ContentSecurityPolicy {
            overrides: table.field("override"),
            content_security_policy: table.field("content_security_policy"),
        }),
        content_type_options: table.table("content_type_options", |table| raw::ContentTypeOptions {
            overrides: table.field("override"),
        }),
        strict_transport_security: table.table("strict_transport_security", |table| {
            raw::StrictTransportSecurity {
                overrides: table.field("override"),
                access_control_max_age_sec: table.field("access_control_max_age_sec"),
                include_subdomains: table.field("include_subdomains"),
                preload: table.field("preload"),
            }
        }),
    }
}
