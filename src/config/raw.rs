//! What was typed, each value with its place. Nothing is judged here and every field may be absent.
//!
//! TOML and CloudFront's JSON both end in [`Raw`], so that both pass the same validator.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Document, Finding, Overrides, Place, Severity};

/// Where something was typed, and under which dotted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    pub place: Place,
    pub key: String,
}

/// A value and where it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typed<T> {
    pub value: T,
    pub at: At,
}

/// What was typed for one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Field<T> {
    #[default]
    Absent,
    /// Something that is not of the key's kind. A finding says so already; nothing more need be said.
    Unreadable,
    Given(Typed<T>),
}

/// A list; each item has its own place, for lists may span lines.
pub type List<T> = Field<Vec<Typed<T>>>;

/// A duration or a size: text with a unit, or a bare number of seconds or bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    Text(String),
    Number(i64),
}

/// A number that may have a fraction, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(pub String);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Raw {
    /// The name of the whole, for what is missing from it.
    pub source: Arc<str>,
    pub identity: Identity,
    pub listen: Listen,
    pub tls: Tls,
    pub cache: Cache,
    pub log: Log,
    pub cache_policies: List<CachePolicy>,
    pub distributions: List<Distribution>,
    pub response_headers_policies: List<ResponseHeadersPolicy>,
    pub origin_request_policies: List<OriginRequestPolicy>,
    pub geo: Geo,
    pub admin: Admin,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    pub name: Field<String>,
    pub pop: Field<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listen {
    pub http: Field<String>,
    pub https: Field<String>,
    pub admin: Field<String>,
    pub public_https_port: Field<i64>,
    pub workers: Field<i64>,
    pub fast_path: Field<bool>,
    pub drain_delay: Field<Amount>,
    pub grace: Field<Amount>,
    pub unproven_handshakes: Field<i64>,
    pub handshakes: Field<i64>,
    pub proxy_protocol: List<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    pub minimum_protocol_version: Field<String>,
    pub certificates: List<Certificate>,
    pub ticket_key_file: Field<PathBuf>,
    pub early_data: Field<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    pub cert: Field<PathBuf>,
    pub key: Field<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cache {
    pub memory: Field<Amount>,
    pub max_object: Field<Amount>,
    pub slice_size: Field<Amount>,
    pub keep_uncacheable_for_errors: Field<bool>,
    pub cdn_cache_control: Field<bool>,
    pub cache_status: Field<bool>,
}

/// Where countries come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Geo {
    pub database: Field<PathBuf>,
}

/// Who may use the admin listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admin {
    pub keys: List<AdminKey>,
}

/// The secret itself is never typed here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdminKey {
    pub access_key_id: Field<String>,
    pub secret_access_key_file: Field<PathBuf>,
    pub secret_access_key_variable: Field<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    pub format: Field<String>,
    pub access: Field<String>,
    pub fields: List<String>,
    pub standard: StandardLog,
}

/// Files as CloudFront delivers them (behaviour §12.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StandardLog {
    pub directory: Field<PathBuf>,
    pub interval: Field<Amount>,
    pub max_size: Field<Amount>,
    /// `s3://BUCKET[/PREFIX]`
    pub upload: Field<String>,
    pub upload_region: Field<String>,
    pub upload_endpoint: Field<String>,
    pub upload_backlog: Field<Amount>,
    pub allow_plain_http: Field<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CachePolicy {
    /// CloudFront's, beside the name: either refers to it.
    pub id: Field<String>,
    pub name: Field<String>,
    pub min_ttl: Field<Amount>,
    pub default_ttl: Field<Amount>,
    pub max_ttl: Field<Amount>,
    pub headers: List<String>,
    pub header_behavior: Field<String>,
    pub cookie_behavior: Field<String>,
    pub cookies: List<String>,
    pub query_string_behavior: Field<String>,
    pub query_strings: List<String>,
    pub enable_accept_encoding_gzip: Field<bool>,
    pub enable_accept_encoding_brotli: Field<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginRequestPolicy {
    /// CloudFront's, beside the name: either refers to it.
    pub id: Field<String>,
    pub name: Field<String>,
    pub header_behavior: Field<String>,
    pub headers: List<String>,
    pub cookie_behavior: Field<String>,
    pub cookies: List<String>,
    pub query_string_behavior: Field<String>,
    pub query_strings: List<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    pub id: Field<String>,
    pub aliases: List<String>,
    pub default_root_object: Field<String>,
    pub origins: List<Origin>,
    pub default_cache_behavior: Field<Behavior>,
    pub cache_behaviors: List<Behavior>,
    pub custom_error_responses: List<CustomErrorResponse>,
    pub origin_groups: List<OriginGroup>,
    pub enabled: Field<bool>,
    pub comment: Field<String>,
    /// The name that CloudFront gave it (`d….cloudfront.net`): answers beside the aliases.
    pub domain_name: Field<String>,
    pub minimum_protocol_version: Field<String>,
    pub http_version: Field<String>,
    pub geo_restriction: Field<GeoRestriction>,
    pub cache_tag_header: Field<String>,
    pub logging: Field<Logging>,
    /// As CloudFront exported it.
    pub document: Option<Document>,
}

/// What the standard log does with a distribution (behaviour §1.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Logging {
    pub enabled: Field<bool>,
    pub include_cookies: Field<bool>,
    pub prefix: Field<String>,
}

/// behaviour §12.1
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GeoRestriction {
    pub restriction_type: Field<String>,
    pub locations: List<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    pub id: Field<String>,
    pub bucket: Field<String>,
    pub region: Field<String>,
    pub domain_name: Field<String>,
    pub endpoint: Field<String>,
    pub addressing: Field<String>,
    pub allow_plain_http: Field<bool>,
    pub origin_path: Field<String>,
    pub signing_behavior: Field<String>,
    pub payload_hash: Field<String>,
    pub role_arn: Field<String>,
    pub external_id: Field<String>,
    pub session_name: Field<String>,
    pub session_duration: Field<Amount>,
    pub kms_keys: List<String>,
    pub watch_keys: Field<bool>,
    pub expected_bucket_owner: Field<String>,
    pub connection_attempts: Field<i64>,
    pub connection_timeout: Field<Amount>,
    pub read_timeout: Field<Amount>,
    pub response_completion_timeout: Field<Amount>,
    pub custom_headers: List<OriginHeader>,
    /// Given: not a bucket but any HTTP server (behaviour §1.6).
    pub custom_origin: Field<CustomOrigin>,
}

/// Sent to the origin with every request (behaviour §4.6). The value may be a secret, and is not in its debug print.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct OriginHeader {
    pub name: Field<String>,
    pub value: Field<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomOrigin {
    pub http_port: Field<i64>,
    pub https_port: Field<i64>,
    pub origin_protocol_policy: Field<String>,
    pub origin_ssl_protocols: List<String>,
    pub keepalive_timeout: Field<Amount>,
}

/// The default behaviour has no pattern; every other must have one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behavior {
    pub path_pattern: Field<String>,
    pub target_origin: Field<String>,
    pub viewer_protocol_policy: Field<String>,
    pub allowed_methods: List<String>,
    pub cached_methods: List<String>,
    pub cache_policy: Field<String>,
    pub response_headers_policy: Field<String>,
    pub origin_request_policy: Field<String>,
    pub compress: Field<bool>,
    /// Legacy, in the place of a cache policy, as are the three TTLs (behaviour §1.6).
    pub forwarded_values: Field<ForwardedValues>,
    pub min_ttl: Field<Amount>,
    pub default_ttl: Field<Amount>,
    pub max_ttl: Field<Amount>,
}

/// What goes into the key and to the origin where there is no cache policy (behaviour §1.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForwardedValues {
    pub query_string: Field<bool>,
    pub query_string_cache_keys: List<String>,
    /// `none`, `whitelist` or `all`.
    pub cookies: Field<String>,
    /// With `*` and `?` as wildcards.
    pub whitelisted_cookies: List<String>,
    /// `*`: all of them.
    pub headers: List<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomErrorResponse {
    pub error_code: Field<i64>,
    pub error_caching_min_ttl: Field<Amount>,
    pub response_page_path: Field<String>,
    pub response_code: Field<i64>,
}

/// behaviour §1.9
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResponseHeadersPolicy {
    /// CloudFront's, beside the name: either refers to it.
    pub id: Field<String>,
    pub name: Field<String>,
    pub comment: Field<String>,
    pub cors_config: Field<CorsConfig>,
    pub security_headers_config: SecurityHeadersConfig,
    pub server_timing_headers_config: Field<ServerTimingHeadersConfig>,
    pub custom_headers: List<CustomHeader>,
    pub remove_headers: List<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CorsConfig {
    pub access_control_allow_origins: List<String>,
    pub access_control_allow_headers: List<String>,
    pub access_control_allow_methods: List<String>,
    pub access_control_allow_credentials: Field<bool>,
    pub access_control_expose_headers: List<String>,
    pub access_control_max_age_sec: Field<i64>,
    pub origin_override: Field<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityHeadersConfig {
    pub xss_protection: Field<XssProtection>,
    pub frame_options: Field<FrameOptions>,
    pub referrer_policy: Field<ReferrerPolicy>,
    pub content_security_policy: Field<ContentSecurityPolicy>,
    pub content_type_options: Field<ContentTypeOptions>,
    pub strict_transport_security: Field<StrictTransportSecurity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct XssProtection {
    pub overrides: Field<bool>,
    pub protection: Field<bool>,
    pub mode_block: Field<bool>,
    pub report_uri: Field<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameOptions {
    pub overrides: Field<bool>,
    pub frame_option: Field<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReferrerPolicy {
    pub overrides: Field<bool>,
    pub referrer_policy: Field<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentSecurityPolicy {
    pub overrides: Field<bool>,
    pub content_security_policy: Field<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentTypeOptions {
    pub overrides: Field<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StrictTransportSecurity {
    pub overrides: Field<bool>,
    pub access_control_max_age_sec: Field<i64>,
    pub include_subdomains: Field<bool>,
    pub preload: Field<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerTimingHeadersConfig {
    pub enabled: Field<bool>,
    /// Percent.
    pub sampling_rate: Field<Decimal>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomHeader {
    pub header: Field<String>,
    pub value: Field<String>,
    pub overrides: Field<bool>,
}

/// Two origins, of which the second is asked when the first fails.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginGroup {
    pub id: Field<String>,
    pub members: List<String>,
    pub status_codes: List<i64>,
}

impl fmt::Debug for OriginHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginHeader").field("name", &self.name).finish_non_exhaustive()
    }
}

impl At {
    /// For what has no lines: a flag, a variable, an argument.
    #[must_use]
    pub fn without_line(source: &str, key: &str) -> Self {
        Self { place: Place { source: Arc::from(source), line: None }, key: key.to_owned() }
    }

    /// A key of the table that stands here; the place stays the table's. For keys that are missing.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self { place: self.place.clone(), key: join(&self.key, name) }
    }

    #[must_use]
    pub fn finding(&self, severity: Severity, message: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding {
            severity,
            place: self.place.clone(),
            key: self.key.clone(),
            message: message.into(),
            fix: Some(fix.into()),
        }
    }
}

impl<T> Field<T> {
    pub fn new(value: T, at: At) -> Self {
        Self::Given(Typed { value, at })
    }

    pub fn given(&self) -> Option<&Typed<T>> {
        match self {
            Self::Given(typed) => Some(typed),
            Self::Absent | Self::Unreadable => None,
        }
    }

    pub fn value(&self) -> Option<&T> {
        self.given().map(|typed| &typed.value)
    }

    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T> List<T> {
    /// What was listed; nothing when the key is absent or unreadable.
    pub fn items(&self) -> &[Typed<T>] {
        self.value().map_or(&[], Vec::as_slice)
    }
}

impl Raw {
    /// Lets flags beat what the file says. A certificate from flags replaces all of the file's.
    pub fn apply(&mut self, over: &Overrides) {
        set(&mut self.listen.http, over.http.as_ref(), "--http", "listen.http");
        set(&mut self.listen.https, over.https.as_ref(), "--https", "listen.https");
        set(&mut self.listen.admin, over.admin.as_ref(), "--admin", "listen.admin");
        set(&mut self.log.format, over.log.as_ref(), "--log", "log.format");
        let geo = over.geo_database.as_ref();
        set(&mut self.geo.database, geo, "--geo-database", "geo.database");
        let directory = over.log_directory.as_ref();
        set(&mut self.log.standard.directory, directory, "--log-directory", "log.standard.directory");
        let memory = over.memory.clone().map(Amount::Text);
        set(&mut self.cache.memory, memory.as_ref(), "--memory", "cache.memory");
        self.apply_certificate(over);
        self.apply_admin_keys(&over.admin_keys);
    }

    /// One flag without the other becomes half a certificate, which the validator refuses.
    fn apply_certificate(&mut self, over: &Overrides) {
        let flag = match (&over.tls_cert, &over.tls_key) {
            (None, None) => return,
            (Some(_), _) => "--tls-cert",
            (None, Some(_)) => "--tls-key",
        };
        let mut certificate = Certificate::default();
        set(&mut certificate.cert, over.tls_cert.as_ref(), "--tls-cert", "tls.certificate.cert");
        set(&mut certificate.key, over.tls_key.as_ref(), "--tls-key", "tls.certificate.key");
        let at = At::without_line(flag, "tls.certificate");
        self.tls.certificates = Field::new(vec![Typed { value: certificate, at: at.clone() }], at);
    }

    /// `ID=FILE` each.
    fn apply_admin_keys(&mut self, keys: &[String]) {
        const FLAG: &str = "--admin-key";
        if keys.is_empty() {
            return;
        }
        let at = At::without_line(FLAG, "admin.key");
        let key = |text: &String| {
            let (id, file) = text.split_once('=').unwrap_or((text, ""));
            let mut key = AdminKey::default();
            set(&mut key.access_key_id, Some(&id.to_owned()), FLAG, "admin.key.access_key_id");
            let file = Some(file).filter(|file| !file.is_empty()).map(PathBuf::from);
            let name = "admin.key.secret_access_key_file";
            set(&mut key.secret_access_key_file, file.as_ref(), FLAG, name);
            Typed { value: key, at: at.clone() }
        };
        self.admin.keys = Field::new(keys.iter().map(key).collect(), at.clone());
    }
}

/// `name` under the dotted key `table`.
pub(super) fn join(table: &str, name: &str) -> String {
    if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
}

fn set<T: Clone>(field: &mut Field<T>, value: Option<&T>, flag: &str, key: &str) {
    if let Some(value) = value {
        *field = Field::new(value.clone(), At::without_line(flag, key));
    }
}
