use std::path::PathBuf;

use proptest::prelude::*;

use super::super::raw::{Amount, At, Decimal, Typed};
use super::super::reader;
use super::*;

/// Makes a value for every field, or leaves it out, as the bytes say.
struct Maker {
    bytes: Vec<u8>,
    used: usize,
}

impl Maker {
    fn byte(&mut self) -> u8 {
        let byte = self.bytes[self.used % self.bytes.len()];
        self.used += 1;
        byte.wrapping_add(u8::try_from(self.used / self.bytes.len() % 256).unwrap())
    }

    fn at() -> At {
        At::without_line("made", "made")
    }

    fn field<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Field<T> {
        if self.byte() < 50 { Field::Absent } else { Field::new(make(self), Self::at()) }
    }

    fn list<T>(&mut self, make: impl Fn(&mut Self) -> T) -> List<T> {
        self.field(|maker| {
            let count = maker.byte() % 3;
            (0..count).map(|_| Typed { value: make(maker), at: Self::at() }).collect()
        })
    }

    /// No two fields get the same text by much.
    fn words(&mut self) -> String {
        const ODD: [&str; 6] = ["", "\"", "\\", "a\nb\u{7f}\u{0}", "é😀#", "'''"];
        format!("{}{}", ODD[usize::from(self.byte()) % ODD.len()], self.used)
    }

    fn text(&mut self) -> Field<String> {
        self.field(Self::words)
    }

    fn texts(&mut self) -> List<String> {
        self.list(Self::words)
    }

    fn flag(&mut self) -> Field<bool> {
        self.field(|maker| maker.byte() % 2 == 0)
    }

    fn count(&mut self) -> i64 {
        i64::from(self.byte()) * 1_000 - 100_000
    }

    fn number(&mut self) -> Field<i64> {
        self.field(Self::count)
    }

    fn amount(&mut self) -> Field<Amount> {
        self.field(|maker| match maker.byte() % 2 {
            0 => Amount::Number(maker.count()),
            _ => Amount::Text(maker.words()),
        })
    }

    fn path(&mut self) -> Field<PathBuf> {
        self.field(|maker| PathBuf::from(maker.words()))
    }

    fn raw(&mut self) -> Raw {
        Raw {
            source: "made".into(),
            identity: raw::Identity { name: self.text(), pop: self.text() },
            listen: raw::Listen {
                http: self.text(),
                https: self.text(),
                admin: self.text(),
                public_https_port: self.number(),
                workers: self.number(),
                fast_path: self.flag(),
                drain_delay: self.amount(),
                grace: self.amount(),
                unproven_handshakes: self.number(),
                handshakes: self.number(),
                proxy_protocol: self.texts(),
            },
            tls: raw::Tls {
                minimum_protocol_version: self.text(),
                certificates: self.list(|maker| raw::Certificate { cert: maker.path(), key: maker.path() }),
                ticket_key_file: self.path(),
                early_data: self.flag(),
            },
            cache: raw::Cache {
                memory: self.amount(),
                max_object: self.amount(),
                slice_size: self.amount(),
                keep_uncacheable_for_errors: self.flag(),
                cdn_cache_control: self.flag(),
                cache_status: self.flag(),
            },
            log: raw::Log {
                format: self.text(),
                access: self.text(),
                fields: self.texts(),
                standard: raw::StandardLog {
                    directory: self.path(),
                    interval: self.amount(),
                    max_size: self.amount(),
                    upload: self.text(),
                    upload_region: self.text(),
                    upload_endpoint: self.text(),
                    upload_backlog: self.amount(),
                    allow_plain_http: self.flag(),
                },
            },
            cache_policies: self.list(Self::cache_policy),
            distributions: self.list(Self::distribution),
            response_headers_policies: self.list(Self::response_headers_policy),
            origin_request_policies: self.list(Self::origin_request_policy),
            geo: raw::Geo { database: self.path() },
            admin: raw::Admin {
                keys: self.list(|maker| raw::AdminKey {
                    access_key_id: maker.text(),
                    secret_access_key_file: maker.path(),
                    secret_access_key_variable: maker.text(),
                }),
            },
        }
    }

    fn cache_policy(&mut self) -> raw::CachePolicy {
        raw::CachePolicy {
            id: self.text(),
            name: self.text(),
            min_ttl: self.amount(),
            default_ttl: self.amount(),
            max_ttl: self.amount(),
            headers: self.texts(),
            header_behavior: self.text(),
            cookie_behavior: self.text(),
            cookies: self.texts(),
            query_string_behavior: self.text(),
            query_strings: self.texts(),
            enable_accept_encoding_gzip: self.flag(),
            enable_accept_encoding_brotli: self.flag(),
        }
    }

    fn origin_request_policy(&mut self) -> raw::OriginRequestPolicy {
        raw::OriginRequestPolicy {
            id: self.text(),
            name: self.text(),
            header_behavior: self.text(),
            headers: self.texts(),
            cookie_behavior: self.text(),
            cookies: self.texts(),
            query_string_behavior: self.text(),
            query_strings: self.texts(),
        }
    }

    fn distribution(&mut self) -> raw::Distribution {
        raw::Distribution {
            id: self.text(),
            aliases: self.texts(),
            default_root_object: self.text(),
            origins: self.list(Self::origin),
            // A default behaviour has no pattern.
            default_cache_behavior: self
                .field(|maker| raw::Behavior { path_pattern: Field::Absent, ..maker.behavior() }),
            cache_behaviors: self.list(Self::behavior),
            custom_error_responses: self.list(|maker| raw::CustomErrorResponse {
                error_code: maker.number(),
                error_caching_min_ttl: maker.amount(),
                response_page_path: maker.text(),
                response_code: maker.number(),
            }),
            origin_groups: self.list(|maker| raw::OriginGroup {
                id: maker.text(),
                members: maker.texts(),
                status_codes: maker.list(Self::count),
            }),
            enabled: self.flag(),
            comment: self.text(),
            domain_name: self.text(),
            minimum_protocol_version: self.text(),
            http_version: self.text(),
            geo_restriction: self.field(|maker| raw::GeoRestriction {
                restriction_type: maker.text(),
                locations: maker.texts(),
            }),
            cache_tag_header: self.text(),
            logging: self.field(|maker| raw::Logging {
                enabled: maker.flag(),
                include_cookies: maker.flag(),
                prefix: maker.text(),
            }),
            document: None,
        }
    }

    fn origin(&mut self) -> raw::Origin {
        raw::Origin {
            id: self.text(),
            bucket: self.text(),
            region: self.text(),
            domain_name: self.text(),
            endpoint: self.text(),
            addressing: self.text(),
            allow_plain_http: self.flag(),
            origin_path: self.text(),
            signing_behavior: self.text(),
            payload_hash: self.text(),
            role_arn: self.text(),
            external_id: self.text(),
            session_name: self.text(),
            session_duration: self.amount(),
            kms_keys: self.texts(),
            watch_keys: self.flag(),
            expected_bucket_owner: self.text(),
            connection_attempts: self.number(),
            connection_timeout: self.amount(),
            read_timeout: self.amount(),
            response_completion_timeout: self.amount(),
            custom_headers: self.list(|maker| raw::OriginHeader { name: maker.text(), value: maker.text() }),
            custom_origin: self.field(|maker| raw::CustomOrigin {
                http_port: maker.number(),
                https_port: maker.number(),
                origin_protocol_policy: maker.text(),
                origin_ssl_protocols: maker.texts(),
                keepalive_timeout: maker.amount(),
            }),
        }
    }

    fn behavior(&mut self) -> raw::Behavior {
        raw::Behavior {
            path_pattern: self.text(),
            target_origin: self.text(),
            viewer_protocol_policy: self.text(),
            allowed_methods: self.texts(),
            cached_methods: self.texts(),
            cache_policy: self.text(),
            response_headers_policy: self.text(),
            origin_request_policy: self.text(),
            compress: self.flag(),
            forwarded_values: self.field(|maker| raw::ForwardedValues {
                query_string: maker.flag(),
                query_string_cache_keys: maker.texts(),
                cookies: maker.text(),
                whitelisted_cookies: maker.texts(),
                headers: maker.texts(),
            }),
            min_ttl: self.amount(),
            default_ttl: self.amount(),
            max_ttl: self.amount(),
        }
    }

    fn response_headers_policy(&mut self) -> raw::ResponseHeadersPolicy {
        raw::ResponseHeadersPolicy {
            id: self.text(),
            name: self.text(),
            comment: self.text(),
            cors_config: self.field(|maker| raw::CorsConfig {
                access_control_allow_origins: maker.texts(),
                access_control_allow_headers: maker.texts(),
                access_control_allow_methods: maker.texts(),
                access_control_allow_credentials: maker.flag(),
                access_control_expose_headers: maker.texts(),
                access_control_max_age_sec: maker.number(),
                origin_override: maker.flag(),
            }),
            security_headers_config: self.security(),
            server_timing_headers_config: self.field(|maker| raw::ServerTimingHeadersConfig {
                enabled: maker.flag(),
                sampling_rate: maker.field(|maker| Decimal(format!("{}.{}", maker.byte(), maker.byte()))),
            }),
            custom_headers: self.list(|maker| raw::CustomHeader {
                header: maker.text(),
                value: maker.text(),
                overrides: maker.flag(),
            }),
            remove_headers: self.texts(),
        }
    }

    fn security(&mut self) -> raw::SecurityHeadersConfig {
        raw::SecurityHeadersConfig {
            xss_protection: self.field(|maker| raw::XssProtection {
                overrides: maker.flag(),
                protection: maker.flag(),
                mode_block: maker.flag(),
                report_uri: maker.text(),
            }),
            frame_options: self
                .field(|maker| raw::FrameOptions { overrides: maker.flag(), frame_option: maker.text() }),
            referrer_policy: self.field(|maker| raw::ReferrerPolicy {
                overrides: maker.flag(),
                referrer_policy: maker.text(),
            }),
            content_security_policy: self.field(|maker| raw::ContentSecurityPolicy {
                overrides: maker.flag(),
                content_security_policy: maker.text(),
            }),
            content_type_options: self.field(|maker| raw::ContentTypeOptions { overrides: maker.flag() }),
            strict_transport_security: self.field(|maker| raw::StrictTransportSecurity {
                overrides: maker.flag(),
                access_control_max_age_sec: maker.number(),
                include_subdomains: maker.flag(),
                preload: maker.flag(),
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The reader finds each value under the name that it was written under: what it read is written as before.
    #[test]
    fn what_is_written_is_read_back(bytes in proptest::collection::vec(any::<u8>(), 64..256)) {
        let text = write(&Maker { bytes, used: 0 }.raw());
        let reading = reader::read("made", &text).map_err(|finding| TestCaseError::fail(format!("{finding}\n{text}")))?;
        prop_assert_eq!(&reading.findings, &[], "{}", text);
        prop_assert_eq!(write(&reading.raw), text);
    }
}

#[test]
fn tables_stand_below_what_they_belong_to() {
    let text = "[log]\nformat = \"json\"\n\n[[distribution]]\nid = \"a\"\n\n[[distribution.origin]]\nbucket = \"b\"\n\n\
                [distribution.default_cache_behavior]\nmin_ttl = 5\n\n\
                [distribution.default_cache_behavior.forwarded_values]\nheaders = [\"*\"]\n";
    assert_eq!(write(&reader::read("edge.toml", text).unwrap().raw), text);
}
