//! TOML text → [`Raw`]. Each key is asked for once, by name; what nobody asked for is an unknown key.

mod response_headers;
mod table;
#[cfg(test)]
mod tests;

use toml::de::DeTable;

use self::table::{Document, Table};
use super::raw::{self, At, Field, Raw};
use super::{Finding, Severity};

/// What could be read, and what could not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub raw: Raw,
    /// Unknown keys and wrong types, in the order they were met.
    pub findings: Vec<Finding>,
}

/// Reads a whole document. `Err`: it is not TOML, so that nothing else can be said of it.
pub fn read(source_name: &str, text: &str) -> Result<Reading, Finding> {
    let document = Document::new(source_name, text);
    let raw = read_into(&document, text)?;
    Ok(Reading { raw, findings: document.into_findings() })
}

fn read_into(document: &Document, text: &str) -> Result<Raw, Finding> {
    match DeTable::parse(text) {
        Ok(root) => {
            let raw = Table::root(document, root.get_ref()).read(raw);
            Ok(Raw { source: document.source(), ..raw })
        }
        Err(error) => Err(syntax_error(document, &error)),
    }
}

/// The message only: the rendered form quotes the line, and a line may hold what is nobody's business.
fn syntax_error(document: &Document, error: &toml::de::Error) -> Finding {
    let mut place = document.place(error.span().unwrap_or_default().start);
    if error.span().is_none() {
        place.line = None;
    }
    Finding {
        severity: Severity::Error,
        place,
        key: String::new(),
        message: format!("not TOML: {}", error.message().trim_end()),
        fix: None,
    }
}

fn raw(table: &mut Table<'_>) -> Raw {
    Raw {
        source: Default::default(),
        identity: table.section("identity", identity),
        listen: table.section("listen", listen),
        tls: table.section("tls", tls),
        cache: table.section("cache", cache),
        log: table.section("log", log),
        cache_policies: table.tables("cache_policy", cache_policy),
        distributions: table.tables("distribution", distribution),
        response_headers_policies: table.tables("response_headers_policy", response_headers::policy),
        origin_request_policies: table.tables("origin_request_policy", origin_request_policy),
        geo: table.section("geo", |table| raw::Geo { database: table.field("database") }),
        admin: table.section("admin", |table| raw::Admin { keys: table.tables("key", admin_key) }),
    }
}

fn identity(table: &mut Table<'_>) -> raw::Identity {
    raw::Identity { name: table.field("name"), pop: table.field("pop") }
}

fn listen(table: &mut Table<'_>) -> raw::Listen {
    raw::Listen {
        http: table.field("http"),
        https: table.field("https"),
        admin: table.field("admin"),
        public_https_port: table.field("public_https_port"),
        workers: table.field("workers"),
        fast_path: table.field("fast_path"),
        drain_delay: table.field("drain_delay"),
        grace: table.field("grace"),
        unproven_handshakes: table.field("unproven_handshakes"),
        handshakes: table.field("handshakes"),
        proxy_protocol: table.list("proxy_protocol"),
    }
}

fn admin_key(table: &mut Table<'_>) -> raw::AdminKey {
    raw::AdminKey {
        access_key_id: table.field("access_key_id"),
        secret_access_key_file: table.field("secret_access_key_file"),
        secret_access_key_variable: table.field("secret_access_key_variable"),
    }
}

fn tls(table: &mut Table<'_>) -> raw::Tls {
    raw::Tls {
        minimum_protocol_version: table.field("minimum_protocol_version"),
        certificates: table.tables("certificate", |table| raw::Certificate {
            cert: table.field("cert"),
            key: table.field("key"),
        }),
        ticket_key_file: table.field("ticket_key_file"),
        early_data: table.field("early_data"),
    }
}

fn cache(table: &mut Table<'_>) -> raw::Cache {
    raw::Cache {
        memory: table.field("memory"),
        max_object: table.field("max_object"),
        slice_size: table.field("slice_size"),
        keep_uncacheable_for_errors: table.field("keep_uncacheable_for_errors"),
        cdn_cache_control: table.field("cdn_cache_control"),
        cache_status: table.field("cache_status"),
    }
}

fn log(table: &mut Table<'_>) -> raw::Log {
    raw::Log {
        format: table.field("format"),
        access: table.field("access"),
        fields: table.list("fields"),
        standard: table.section("standard", standard_log),
    }
}

fn standard_log(table: &mut Table<'_>) -> raw::StandardLog {
    raw::StandardLog {
        directory: table.field("directory"),
        interval: table.field("interval"),
        max_size: table.field("max_size"),
        upload: table.field("upload"),
        upload_region: table.field("upload_region"),
        upload_endpoint: table.field("upload_endpoint"),
        upload_backlog: table.field("upload_backlog"),
        allow_plain_http: table.field("allow_plain_http"),
    }
}

fn cache_policy(table: &mut Table<'_>) -> raw::CachePolicy {
    raw::CachePolicy {
        name: table.field("name"),
        min_ttl: table.field("min_ttl"),
        default_ttl: table.field("default_ttl"),
        max_ttl: table.field("max_ttl"),
        headers: table.list("headers"),
        header_behavior: table.field("header_behavior"),
        cookie_behavior: table.field("cookie_behavior"),
        cookies: table.list("cookies"),
        query_string_behavior: table.field("query_string_behavior"),
        query_strings: table.list("query_strings"),
        enable_accept_encoding_gzip: table.field("enable_accept_encoding_gzip"),
        enable_accept_encoding_brotli: table.field("enable_accept_encoding_brotli"),
        id: table.field("id"),
    }
}

fn origin_request_policy(table: &mut Table<'_>) -> raw::OriginRequestPolicy {
    raw::OriginRequestPolicy {
        name: table.field("name"),
        header_behavior: table.field("header_behavior"),
        headers: table.list("headers"),
        cookie_behavior: table.field("cookie_behavior"),
        cookies: table.list("cookies"),
        query_string_behavior: table.field("query_string_behavior"),
        query_strings: table.list("query_strings"),
        id: table.field("id"),
    }
}

fn distribution(table: &mut Table<'_>) -> raw::Distribution {
    raw::Distribution {
        id: table.field("id"),
        aliases: table.list("aliases"),
        default_root_object: table.field("default_root_object"),
        origins: table.tables("origin", origin),
        default_cache_behavior: table.table("default_cache_behavior", behavior),
        cache_behaviors: table.tables("cache_behavior", |table| raw::Behavior {
            path_pattern: table.field("path_pattern"),
            ..behavior(table)
        }),
        custom_error_responses: table.tables("custom_error_response", custom_error_response),
        origin_groups: table.tables("origin_group", origin_group),
        minimum_protocol_version: table.field("minimum_protocol_version"),
        http_version: table.field("http_version"),
        geo_restriction: table.table("geo_restriction", geo_restriction),
        cache_tag_header: table.field("cache_tag_header"),
        enabled: table.field("enabled"),
        comment: table.field("comment"),
        domain_name: table.field("domain_name"),
        logging: table.table("logging", |table| raw::Logging {
            enabled: table.field("enabled"),
            include_cookies: table.field("include_cookies"),
            prefix: table.field("prefix"),
        }),
        document: None,
    }
}

fn origin(table: &mut Table<'_>) -> raw::Origin {
    raw::Origin {
        id: table.field("id"),
        bucket: table.field("bucket"),
        region: table.field("region"),
        domain_name: table.field("domain_name"),
        endpoint: table.field("endpoint"),
        addressing: table.field("addressing"),
        allow_plain_http: table.field("allow_plain_http"),
        origin_path: table.field("origin_path"),
        signing_behavior: table.field("signing_behavior"),
        payload_hash: table.field("payload_hash"),
        role_arn: table.field("role_arn"),
        external_id: table.field("external_id"),
        session_name: table.field("session_name"),
        session_duration: table.field("session_duration"),
        kms_keys: table.list("kms_keys"),
        watch_keys: table.field("watch_keys"),
        expected_bucket_owner: table.field("expected_bucket_owner"),
        connection_attempts: table.field("connection_attempts"),
        connection_timeout: table.field("connection_timeout"),
        read_timeout: table.field("read_timeout"),
        response_completion_timeout: table.field("response_completion_timeout"),
        custom_headers: table.tables("custom_header", |table| raw::OriginHeader {
            name: table.field("name"),
            value: table.field("value"),
        }),
        custom_origin: table.table("custom_origin", custom_origin),
    }
}

fn custom_origin(table: &mut Table<'_>) -> raw::CustomOrigin {
    raw::CustomOrigin {
        http_port: table.field("http_port"),
        https_port: table.field("https_port"),
        origin_protocol_policy: table.field("origin_protocol_policy"),
        origin_ssl_protocols: table.list("origin_ssl_protocols"),
        keepalive_timeout: table.field("keepalive_timeout"),
    }
}

fn behavior(table: &mut Table<'_>) -> raw::Behavior {
    raw::Behavior {
        path_pattern: Field::Absent,
        target_origin: table.field("target_origin"),
        viewer_protocol_policy: table.field("viewer_protocol_policy"),
        allowed_methods: table.list("allowed_methods"),
        cached_methods: table.list("cached_methods"),
        cache_policy: table.field("cache_policy"),
        response_headers_policy: table.field("response_headers_policy"),
        origin_request_policy: table.field("origin_request_policy"),
        compress: table.field("compress"),
        forwarded_values: table.table("forwarded_values", forwarded_values),
        min_ttl: table.field("min_ttl"),
        default_ttl: table.field("default_ttl"),
        max_ttl: table.field("max_ttl"),
    }
}

fn forwarded_values(table: &mut Table<'_>) -> raw::ForwardedValues {
    raw::ForwardedValues {
        query_string: table.field("query_string"),
        query_string_cache_keys: table.list("query_string_cache_keys"),
        cookies: table.field("cookies"),
        whitelisted_cookies: table.list("whitelisted_cookies"),
        headers: table.list("headers"),
    }
}

fn geo_restriction(table: &mut Table<'_>) -> raw::GeoRestriction {
    raw::GeoRestriction {
        restriction_type: table.field("restriction_type"),
        locations: table.list("locations"),
    }
}

fn custom_error_response(table: &mut Table<'_>) -> raw::CustomErrorResponse {
    raw::CustomErrorResponse {
        error_code: table.field("error_code"),
        error_caching_min_ttl: table.field("error_caching_min_ttl"),
        response_page_path: table.field("response_page_path"),
        response_code: table.field("response_code"),
    }
}

fn origin_group(table: &mut Table<'_>) -> raw::OriginGroup {
    raw::OriginGroup {
        id: table.field("id"),
        members: table.list("members"),
        status_codes: table.list("status_codes"),
    }
}

/// `s3://BUCKET[/PREFIX]` as one distribution with one origin and nothing but defaults.
///
/// One slash at the end says nothing more: `s3://BUCKET/PREFIX/` is how the AWS CLI's users write it.
#[must_use]
pub fn read_bucket_url(url: &str, region: Option<&str>) -> Reading {
    let at = |key: &str| At::without_line(url, key);
    let mut origin = raw::Origin::default();
    let mut distribution = raw::Distribution::default();
    let mut findings = Vec::new();
    if let Some(rest) = url.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        origin.bucket = Field::new(bucket.to_owned(), at("distribution.origin.bucket"));
        distribution.id = Field::new(bucket.to_owned(), at("distribution.id"));
        if !prefix.is_empty() {
            origin.origin_path = Field::new(format!("/{prefix}"), at("distribution.origin.origin_path"));
        }
    } else {
        origin.bucket = Field::Unreadable;
        findings.push(at("").finding(
            Severity::Error,
            "not the URL of a bucket",
            "write s3://BUCKET or s3://BUCKET/PREFIX",
        ));
    }
    if let Some(region) = region {
        let at = At::without_line("--region", "distribution.origin.region");
        origin.region = Field::new(region.to_owned(), at);
    }
    distribution.origins = one(origin, at("distribution.origin"));
    let distributions = one(distribution, at("distribution"));
    let raw = Raw { source: url.into(), distributions, ..Raw::default() };
    Reading { raw, findings }
}

fn one<T>(value: T, at: At) -> raw::List<T> {
    Field::new(vec![raw::Typed { value, at: at.clone() }], at)
}
