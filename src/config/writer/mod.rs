//! [`Raw`] → TOML text, the other way round than the reader. Each struct is taken apart by name, so that a new field
//! does not compile until it is written.

mod response_headers;
#[cfg(test)]
mod tests;
mod text;

use self::text::Text;
use super::raw::{self, Field, List, Raw};

/// The TOML that says the same. What could not be read is left out: a finding says so.
#[must_use]
pub fn write(raw: &Raw) -> String {
    let Raw {
        source: _,
        identity,
        listen,
        tls,
        cache,
        log,
        cache_policies,
        distributions,
        response_headers_policies,
        origin_request_policies,
        geo,
        admin: raw::Admin { keys },
    } = raw;
    let mut text = Text::default();
    write_identity(&mut text, identity);
    write_listen(&mut text, listen);
    write_tls(&mut text, tls);
    write_cache(&mut text, cache);
    let raw::Geo { database } = geo;
    text.section("geo", |text| text.field("database", database));
    write_log(&mut text, log);
    text.tables("admin.key", keys, |text, key| {
        let raw::AdminKey { access_key_id, secret_access_key_file, secret_access_key_variable } = key;
        text.field("access_key_id", access_key_id);
        text.field("secret_access_key_file", secret_access_key_file);
        text.field("secret_access_key_variable", secret_access_key_variable);
    });
    text.tables("cache_policy", cache_policies, cache_policy);
    text.tables("origin_request_policy", origin_request_policies, origin_request_policy);
    text.tables("response_headers_policy", response_headers_policies, response_headers::policy);
    text.tables("distribution", distributions, distribution);
    text.into_string()
}

fn write_identity(text: &mut Text, raw::Identity { name, pop }: &raw::Identity) {
    text.section("identity", |text| {
        text.field("name", name);
        text.field("pop", pop);
    });
}

fn write_listen(text: &mut Text, listen: &raw::Listen) {
    let raw::Listen {
        http,
        https,
        admin,
        public_https_port,
        workers,
        fast_path,
        drain_delay,
        grace,
        unproven_handshakes,
        handshakes,
        proxy_protocol,
    } = listen;
    text.section("listen", |text| {
        text.field("http", http);
        text.field("https", https);
        text.field("admin", admin);
        text.field("public_https_port", public_https_port);
        text.field("workers", workers);
        text.field("fast_path", fast_path);
        text.field("drain_delay", drain_delay);
        text.field("grace", grace);
        text.field("unproven_handshakes", unproven_handshakes);
        text.field("handshakes", handshakes);
        text.list("proxy_protocol", proxy_protocol);
    });
}

fn write_tls(text: &mut Text, tls: &raw::Tls) {
    let raw::Tls { minimum_protocol_version, certificates, ticket_key_file, early_data } = tls;
    text.section("tls", |text| {
        text.field("minimum_protocol_version", minimum_protocol_version);
        text.field("ticket_key_file", ticket_key_file);
        text.field("early_data", early_data);
    });
    text.tables("tls.certificate", certificates, |text, raw::Certificate { cert, key }| {
        text.field("cert", cert);
        text.field("key", key);
    });
}

fn write_cache(text: &mut Text, cache: &raw::Cache) {
    let raw::Cache {
        memory,
        max_object,
        slice_size,
        keep_uncacheable_for_errors,
        cdn_cache_control,
        cache_status,
    } = cache;
    text.section("cache", |text| {
        text.field("memory", memory);
        text.field("max_object", max_object);
        text.field("slice_size", slice_size);
        text.field("keep_uncacheable_for_errors", keep_uncacheable_for_errors);
        text.field("cdn_cache_control", cdn_cache_control);
        text.field("cache_status", cache_status);
    });
}

fn write_log(text: &mut Text, raw::Log { format, access, fields, standard }: &raw::Log) {
    text.section("log", |text| {
        text.field("format", format);
        text.field("access", access);
        text.list("fields", fields);
    });
    let raw::StandardLog {
        directory,
        interval,
        max_size,
        upload,
        upload_region,
        upload_endpoint,
        upload_backlog,
        allow_plain_http,
    } = standard;
    text.section("log.standard", |text| {
        text.field("directory", directory);
        text.field("interval", interval);
        text.field("max_size", max_size);
        text.field("upload", upload);
        text.field("upload_region", upload_region);
        text.field("upload_endpoint", upload_endpoint);
        text.field("upload_backlog", upload_backlog);
        text.field("allow_plain_http", allow_plain_http);
    });
}

fn cache_policy(text: &mut Text, policy: &raw::CachePolicy) {
    let raw::CachePolicy {
        id,
        name,
        min_ttl,
        default_ttl,
        max_ttl,
        headers,
        header_behavior,
        cookie_behavior,
        cookies,
        query_string_behavior,
        query_strings,
        enable_accept_encoding_gzip,
        enable_accept_encoding_brotli,
    } = policy;
    text.field("id", id);
    text.field("name", name);
    text.field("min_ttl", min_ttl);
    text.field("default_ttl", default_ttl);
    text.field("max_ttl", max_ttl);
    selections(
        text,
        [
            ("header_behavior", header_behavior, "headers", headers),
            ("cookie_behavior", cookie_behavior, "cookies", cookies),
            ("query_string_behavior", query_string_behavior, "query_strings", query_strings),
        ],
    );
    text.field("enable_accept_encoding_gzip", enable_accept_encoding_gzip);
    text.field("enable_accept_encoding_brotli", enable_accept_encoding_brotli);
}

fn origin_request_policy(text: &mut Text, policy: &raw::OriginRequestPolicy) {
    let raw::OriginRequestPolicy {
        id,
        name,
        header_behavior,
        headers,
        cookie_behavior,
        cookies,
        query_string_behavior,
        query_strings,
    } = policy;
    text.field("id", id);
    text.field("name", name);
    selections(
        text,
        [
            ("header_behavior", header_behavior, "headers", headers),
            ("cookie_behavior", cookie_behavior, "cookies", cookies),
            ("query_string_behavior", query_string_behavior, "query_strings", query_strings),
        ],
    );
}

fn selections(text: &mut Text, rows: [(&str, &Field<String>, &str, &List<String>); 3]) {
    for (behavior_key, behavior, list_key, list) in rows {
        text.field(behavior_key, behavior);
        text.list(list_key, list);
    }
}

fn distribution(text: &mut Text, distribution: &raw::Distribution) {
    let raw::Distribution {
        id,
        aliases,
        default_root_object,
        origins,
        default_cache_behavior,
        cache_behaviors,
        custom_error_responses,
        origin_groups,
        enabled,
        comment,
        domain_name,
        minimum_protocol_version,
        http_version,
        geo_restriction,
        cache_tag_header,
        logging,
        // The same once more.
        document: _,
    } = distribution;
    text.field("id", id);
    text.field("comment", comment);
    text.field("enabled", enabled);
    text.field("domain_name", domain_name);
    text.list("aliases", aliases);
    text.field("default_root_object", default_root_object);
    text.field("minimum_protocol_version", minimum_protocol_version);
    text.field("http_version", http_version);
    text.field("cache_tag_header", cache_tag_header);
    text.table("distribution.geo_restriction", geo_restriction, |text, restriction| {
        let raw::GeoRestriction { restriction_type, locations } = restriction;
        text.field("restriction_type", restriction_type);
        text.list("locations", locations);
    });
    text.table("distribution.logging", logging, |text, logging| {
        let raw::Logging { enabled, include_cookies, prefix } = logging;
        text.field("enabled", enabled);
        text.field("include_cookies", include_cookies);
        text.field("prefix", prefix);
    });
    text.tables("distribution.origin", origins, origin);
    text.tables("distribution.origin_group", origin_groups, |text, group| {
        let raw::OriginGroup { id, members, status_codes } = group;
        text.field("id", id);
        text.list("members", members);
        text.list("status_codes", status_codes);
    });
    let default = "distribution.default_cache_behavior";
    text.table(default, default_cache_behavior, |text, raw| behavior(text, default, raw));
    let other = "distribution.cache_behavior";
    text.tables(other, cache_behaviors, |text, raw| behavior(text, other, raw));
    text.tables("distribution.custom_error_response", custom_error_responses, |text, response| {
        let raw::CustomErrorResponse {
            error_code,
            error_caching_min_ttl,
            response_page_path,
            response_code,
        } = response;
        text.field("error_code", error_code);
        text.field("error_caching_min_ttl", error_caching_min_ttl);
        text.field("response_page_path", response_page_path);
        text.field("response_code", response_code);
    });
}

fn origin(text: &mut Text, origin: &raw::Origin) {
    let raw::Origin {
        id,
        bucket,
        region,
        domain_name,
        endpoint,
        addressing,
        allow_plain_http,
        origin_path,
        signing_behavior,
        payload_hash,
        role_arn,
        external_id,
        session_name,
        session_duration,
        kms_keys,
        watch_keys,
        expected_bucket_owner,
        connection_attempts,
        connection_timeout,
        read_timeout,
        response_completion_timeout,
        custom_headers,
        custom_origin,
    } = origin;
    text.field("id", id);
    text.field("bucket", bucket);
    text.field("region", region);
    text.field("domain_name", domain_name);
    text.field("endpoint", endpoint);
    text.field("addressing", addressing);
    text.field("allow_plain_http", allow_plain_http);
    text.field("origin_path", origin_path);
    text.field("signing_behavior", signing_behavior);
    text.field("payload_hash", payload_hash);
    text.field("role_arn", role_arn);
    text.field("external_id", external_id);
    text.field("session_name", session_name);
    text.field("session_duration", session_duration);
    text.list("kms_keys", kms_keys);
    text.field("watch_keys", watch_keys);
    text.field("expected_bucket_owner", expected_bucket_owner);
    text.field("connection_attempts", connection_attempts);
    text.field("connection_timeout", connection_timeout);
    text.field("read_timeout", read_timeout);
    text.field("response_completion_timeout", response_completion_timeout);
    text.table("distribution.origin.custom_origin", custom_origin, |text, custom| {
        let raw::CustomOrigin {
            http_port,
            https_port,
            origin_protocol_policy,
            origin_ssl_protocols,
            keepalive_timeout,
        } = custom;
        text.field("http_port", http_port);
        text.field("https_port", https_port);
        text.field("origin_protocol_policy", origin_protocol_policy);
        text.list("origin_ssl_protocols", origin_ssl_protocols);
        text.field("keepalive_timeout", keepalive_timeout);
    });
    text.tables("distribution.origin.custom_header", custom_headers, |text, header| {
        let raw::OriginHeader { name, value } = header;
        text.field("name", name);
        text.field("value", value);
    });
}

fn behavior(text: &mut Text, key: &str, behavior: &raw::Behavior) {
    let raw::Behavior {
        path_pattern,
        target_origin,
        viewer_protocol_policy,
        allowed_methods,
        cached_methods,
        cache_policy,
        response_headers_policy,
        origin_request_policy,
        compress,
        forwarded_values,
        min_ttl,
        default_ttl,
        max_ttl,
    } = behavior;
    text.field("path_pattern", path_pattern);
    text.field("target_origin", target_origin);
    text.field("viewer_protocol_policy", viewer_protocol_policy);
    text.list("allowed_methods", allowed_methods);
    text.list("cached_methods", cached_methods);
    text.field("compress", compress);
    text.field("cache_policy", cache_policy);
    text.field("origin_request_policy", origin_request_policy);
    text.field("response_headers_policy", response_headers_policy);
    text.field("min_ttl", min_ttl);
    text.field("default_ttl", default_ttl);
    text.field("max_ttl", max_ttl);
    text.table(&format!("{key}.forwarded_values"), forwarded_values, |text, values| {
        let raw::ForwardedValues {
            query_string,
            query_string_cache_keys,
            cookies,
            whitelisted_cookies,
            headers,
        } = values;
        text.field("query_string", query_string);
        text.list("query_string_cache_keys", query_string_cache_keys);
        text.field("cookies", cookies);
        text.list("whitelisted_cookies", whitelisted_cookies);
        text.list("headers", headers);
    });
}
