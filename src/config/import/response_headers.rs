//! Response headers policies (behaviour §1.9).

use super::super::raw::{self, Field};
use super::object::Object;

pub(super) fn policy(object: &mut Object<'_>, id: Field<String>) -> raw::ResponseHeadersPolicy {
    let removed = object.each("RemoveHeadersConfig", |object| {
        let header = object.text("Header");
        object.require("Header", header)
    });
    raw::ResponseHeadersPolicy {
        id,
        name: object.text("Name"),
        comment: object.text("Comment"),
        cors_config: object.object("CorsConfig", cors),
        security_headers_config: section(object.object("SecurityHeadersConfig", security)),
        server_timing_headers_config: object.object("ServerTimingHeadersConfig", |object| {
            raw::ServerTimingHeadersConfig {
                enabled: object.field("Enabled"),
                sampling_rate: object.field("SamplingRate"),
            }
        }),
        custom_headers: object.each("CustomHeadersConfig", |object| raw::CustomHeader {
            header: object.text("Header"),
            value: object.field("Value"),
            overrides: object.field("Override"),
        }),
        remove_headers: headers(removed),
    }
}

/// `[{"Header": "X"}]` as `["X"]`.
fn headers(removed: raw::List<Field<String>>) -> raw::List<String> {
    match removed {
        Field::Absent => Field::Absent,
        Field::Unreadable => Field::Unreadable,
        Field::Given(list) => {
            let names = list.value.into_iter().filter_map(|item| match item.value {
                Field::Given(name) => Some(name),
                Field::Absent | Field::Unreadable => None,
            });
            Field::new(names.collect(), list.at)
        }
    }
}

fn section<T: Default>(field: Field<T>) -> T {
    match field {
        Field::Given(typed) => typed.value,
        Field::Absent | Field::Unreadable => T::default(),
    }
}

fn cors(object: &mut Object<'_>) -> raw::CorsConfig {
    raw::CorsConfig {
        access_control_allow_origins: object.items("AccessControlAllowOrigins"),
        access_control_allow_headers: object.items("AccessControlAllowHeaders"),
        access_control_allow_methods: object.items("AccessControlAllowMethods"),
        access_control_allow_credentials: object.field("AccessControlAllowCredentials"),
        access_control_expose_headers: object.items("AccessControlExposeHeaders"),
        access_control_max_age_sec: object.field("AccessControlMaxAgeSec"),
        origin_override: object.field("OriginOverride"),
    }
}

fn security(object: &mut Object<'_>) -> raw::SecurityHeadersConfig {
    raw::SecurityHeadersConfig {
        xss_protection: object.object("XSSProtection", |object| raw::XssProtection {
            overrides: object.field("Override"),
            protection: object.field("Protection"),
            mode_block: object.field("ModeBlock"),
            report_uri: object.text("ReportUri"),
        }),
        frame_options: object.object("FrameOptions", |object| raw::FrameOptions {
            overrides: object.field("Override"),
            frame_option: object.text("FrameOption"),
        }),
        referrer_policy: object.object("ReferrerPolicy", |object| raw::ReferrerPolicy {
            overrides: object.field("Override"),
            referrer_policy: object.text("ReferrerPolicy"),
        }),
        content_security_policy: object.object("ContentSecurityPolicy", |object| {
            raw::ContentSecurityPolicy {
                overrides: object.field("Override"),
                content_security_policy: object.text("ContentSecurityPolicy"),
            }
        }),
        content_type_options: object.object("ContentTypeOptions", |object| raw::ContentTypeOptions {
            overrides: object.field("Override"),
        }),
        strict_transport_security: object.object("StrictTransportSecurity", |object| {
            raw::StrictTransportSecurity {
                overrides: object.field("Override"),
                access_control_max_age_sec: object.field("AccessControlMaxAgeSec"),
                include_subdomains: object.field("IncludeSubdomains"),
                preload: object.field("Preload"),
            }
        }),
    }
}
