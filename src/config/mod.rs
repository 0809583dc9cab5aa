//! What the configuration means. Three steps, each pure: text → [`raw`] (what was typed, with its place) →
//! [`validate`] (every [`Finding`] at once) → [`Config`] (nothing left that "may be default").
//!
//! The names follow CloudFront's `DistributionConfig`, in TOML's snake case, so that what a user knows of one is
//! true of the other.

pub mod document;
pub mod finding;
pub mod import;
pub mod log;
mod nearest;
pub mod policies;
pub mod raw;
pub mod reader;
pub mod request_policies;
pub mod response_headers;
pub mod s3;
mod selection;
pub mod units;
pub mod validate;
pub mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use ipnet::IpNet;

pub use document::Document;
pub use finding::{Finding, Place, Severity};
use log::{LogField, Logging, StandardLog};
use response_headers::ResponseHeadersPolicy;
pub use selection::{Selection, ViewerHeader};

/// A whole, validated configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub identity: Identity,
    /// A MaxMind database that tells where viewers are.
    pub geo_database: Option<PathBuf>,
    pub listen: Listen,
    pub tls: Tls,
    pub cache: Cache,
    pub log: Log,
    /// At least one; ids are unique.
    pub distributions: Vec<Distribution>,
    pub admin: Admin,
}

impl Config {
    /// Some distribution has switched HTTP/3 on, so UDP is to be served, too.
    #[must_use]
    pub fn has_http3(&self) -> bool {
        self.distributions.iter().any(|distribution| distribution.http3)
    }
}

/// How this edge names itself in `Via`, `X-Cache`, `Server` (of its own pages) and `X-Amz-Cf-Pop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub name: Arc<str>,
    pub pop: Arc<str>,
}

/// Sockets and their lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// A loopback address, unless there are administrator keys.
    pub admin: SocketAddr,
    /// The port that redirects name, whatever the `Host` header said. `None`: see interface.md.
    pub public_https_port: Option<u16>,
    /// Serving threads, each with a runtime and listeners of its own. At least 1.
    pub workers: usize,
    /// Viewers are served by the edge's own HTTP/1.1 and HTTP/2; else by hyper's.
    pub fast_path: bool,
    /// From SIGTERM until the listeners stop accepting; `/readyz` answers 503 meanwhile.
    pub drain_delay: Duration,
    /// From then on, how long requests in flight may take.
    pub grace: Duration,
    /// HTTP/3 handshakes at a time with viewers who have not shown that they are where their packets say. More must show it.
    pub unproven_handshakes: usize,
    /// Unfinished TLS handshakes of each worker; further connections wait to be accepted. At least 1.
    pub handshakes: usize,
    /// Networks of load balancers: whoever connects from there must begin with a PROXY header, which says who the viewer is.
    pub proxy_protocol: Vec<IpNet>,
}

/// Who may use the admin listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admin {
    /// Empty: whoever reaches its loopback address. Otherwise requests must be signed with one of them.
    pub keys: Vec<AdminKey>,
}

/// An administrator's key. Its secret is read when the edge starts, and is not part of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminKey {
    pub access_key_id: Arc<str>,
    pub secret: SecretSource,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    File(PathBuf),
    /// The name of an environment variable.
    Variable(Arc<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Empty: a self-signed certificate is made at start, with a warning.
    pub certificates: Vec<CertificateFiles>,
    pub minimum_protocol_version: SecurityPolicy,
    /// Keys for session tickets, shared with other edges. `None`: made at start, and known to this process alone.
    pub ticket_key_file: Option<PathBuf>,
    /// HTTP/3 viewers who come back may ask before the handshake is over (RFC 8470).
    pub early_data: bool,
}

/// PEM files: a chain (leaf first) and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// CloudFront's security policies that rustls can offer exactly (behaviour §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecurityPolicy {
    #[default]
    Tls12_2021,
    Tls12_2025,
    Tls13_2025,
}

impl SecurityPolicy {
    /// CloudFront's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12_2021 => "TLSv1.2_2021",
            Self::Tls12_2025 => "TLSv1.2_2025",
            Self::Tls13_2025 => "TLSv1.3_2025",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Bytes of objects kept, keys, heads and bookkeeping included.
    pub memory: u64,
    /// Bytes of the largest body that is kept in one. Larger ones are kept in slices, or stream through.
    pub max_object: u64,
    /// Bytes of a slice.
    pub slice_size: u64,
    /// Responses say in `Cache-Status` how they were handled (RFC 9211).
    pub cache_status: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Form of the diagnostics on standard error.
    pub format: LogFormat,
    /// Where the access log goes.
    pub access: AccessLogTarget,
    /// What its lines say. `None`: the usual (behaviour §12.9).
    pub fields: Option<Vec<LogField>>,
    /// CloudFront's standard format beside it (behaviour §12.8).
    pub standard: Option<StandardLog>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessLogTarget {
    #[default]
    Stdout,
    Off,
    /// Appended to, JSON lines.
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    pub id: Arc<str>,
    /// Lower-case host names; a wildcard is the complete leftmost label (behaviour §1.2). Empty, and the only
    /// distribution: it answers any Host.
    pub aliases: Vec<Arc<str>>,
    /// Without a leading slash (behaviour §1.4).
    pub default_root_object: Option<Arc<str>>,
    pub origins: Vec<Arc<Origin>>,
    /// In the order they are tried. The last is the default behaviour, its pattern is `*`.
    pub behaviors: Vec<Arc<Behavior>>,
    /// By status, for those that were given one (behaviour §8.1, §8.3). Others: 10 s, and no page.
    pub error_responses: BTreeMap<u16, ErrorResponse>,
    /// The field of the origin's answers that names an object's cache tags (behaviour §12.14).
    pub cache_tag_header: Option<HeaderName>,
    /// `false`: nothing is served for its names (behaviour §1.1).
    pub enabled: bool,
    /// The name that CloudFront gave it: answers beside the aliases (behaviour §1.2).
    pub domain_name: Option<Arc<str>>,
    /// For handshakes that name one of the aliases. `None`: as [`Tls::minimum_protocol_version`] says.
    pub minimum_protocol_version: Option<SecurityPolicy>,
    /// Such handshakes may agree on HTTP/2 (behaviour §2.3).
    pub http2: bool,
    /// They may agree on HTTP/3.
    pub http3: bool,
    pub geo_restriction: Option<GeoRestriction>,
    pub logging: Logging,
    /// The same in CloudFront's own form: as it was exported, or made from what is above.
    pub document: Document,
}

/// Who is let in, by ISO 3166-1 alpha-2 codes (behaviour §12.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GeoRestriction {
    Blacklist(Vec<[u8; 2]>),
    Whitelist(Vec<[u8; 2]>),
}

/// What becomes of an error of one status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorResponse {
    /// `ErrorCachingMinTTL`.
    pub min_ttl: Duration,
    pub page: Option<ErrorPage>,
}

/// A page of the owner's that is sent in an error's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// Begins with `/`, percent-encoded as a viewer would write it; its behaviour is found as for any other path.
    pub path: Arc<str>,
    /// What it is sent with.
    pub status: StatusCode,
}

/// A cache behaviour (behaviour §1.3, §2.1, §2.2, §4.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Behavior {
    pub path_pattern: Arc<str>,
    /// Index into [`Distribution::origins`].
    pub origin: usize,
    pub viewer_protocol_policy: ViewerProtocolPolicy,
    /// OPTIONS is allowed beside GET and HEAD.
    pub allow_options: bool,
    /// Answers to OPTIONS are cached too.
    pub cache_options: bool,
    pub cache_policy: Arc<CachePolicy>,
    pub response_headers_policy: Option<Arc<ResponseHeadersPolicy>>,
    /// What goes to the origin beside what is in the key (behaviour §4.4).
    pub origin_request_policy: Option<Arc<OriginRequestPolicy>>,
    /// `None`: an origin alone, not a group.
    pub failover: Option<Failover>,
    pub encoding: Encoding,
    /// POST, PUT, PATCH and DELETE are allowed, too (behaviour §2.2).
    pub allow_writes: bool,
    /// Which kinds of origin it may ask: itself, or with its group's second.
    pub asks: Asks,
}

/// What becomes of the viewer's `Accept-Encoding` (behaviour §4.3, §7).
///
/// The codings are those of the cache policy where answers depend on them: where the edge compresses, or the origin
/// negotiates. S3 does not, and in front of it a key that is split by `Accept-Encoding` would only keep the same object
/// several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Encoding {
    pub gzip: bool,
    pub brotli: bool,
    /// The edge compresses what the origin sends uncompressed.
    pub compress: bool,
}

/// Kinds of origins, which are told different things (behaviour §4.5, s3 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asks {
    pub s3: bool,
    pub custom: bool,
}

/// Who is asked when [`Behavior::origin`] fails, and what counts as failing (behaviour §8.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failover {
    /// Index into [`Distribution::origins`].
    pub origin: usize,
    /// At least one of 400, 403, 404, 416, 429, 500, 502, 503 and 504.
    pub status_codes: Vec<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ViewerProtocolPolicy {
    AllowAll,
    HttpsOnly,
    #[default]
    RedirectToHttps,
}

/// TTLs and what the key is made of beside distribution and path (behaviour §4.2, §4.8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CachePolicy {
    pub name: Arc<str>,
    pub min_ttl: Duration,
    pub default_ttl: Duration,
    pub max_ttl: Duration,
    /// Their values are part of the key and go to the origin. Lower-case, sorted, unique.
    pub headers: Vec<HeaderName>,
    /// The same of headers that the edge makes itself; in this order in the key.
    pub viewer_headers: Vec<ViewerHeader>,
    /// In the key, sorted by name.
    pub cookies: Selection,
    /// In the key in the order of the request, and to the origin.
    pub query_strings: Selection,
    /// Compressed answers may be asked for and stored (behaviour §4.3, §7). See [`Encoding`] for what comes of it.
    pub enable_accept_encoding_gzip: bool,
    pub enable_accept_encoding_brotli: bool,
    /// The whole edge's `cache.cdn_cache_control`: responses may say their time in `CDN-Cache-Control` (RFC 9213).
    pub cdn_cache_control: bool,
    /// The whole edge's `cache.keep_uncacheable_for_errors` (behaviour §5.1, retention note).
    pub keep_uncacheable_for_errors: bool,
}

/// What of the viewer's request goes to the origin without being part of the key (behaviour §4.4, §4.9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginRequestPolicy {
    pub name: Arc<str>,
    /// Lower-case.
    pub headers: Selection,
    /// Headers that the edge makes itself.
    pub viewer_headers: Vec<ViewerHeader>,
    pub cookies: Selection,
    pub query_strings: Selection,
}

impl CachePolicy {
    /// All three TTLs are zero: nothing is stored, nothing is collapsed (behaviour §5.1, §5.7).
    #[must_use]
    pub fn caching_disabled(&self) -> bool {
        self.min_ttl.is_zero() && self.default_ttl.is_zero() && self.max_ttl.is_zero()
    }
}

/// Where objects come from, and how it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    pub id: Arc<str>,
    pub kind: OriginKind,
    /// Empty, or begins with `/` and does not end with one (behaviour §1.5). A bucket's is not percent-encoded, any
    /// other is as it stands in the request line.
    pub origin_path: Arc<str>,
    /// Sent with every request, in the place of a viewer's of the same name (behaviour §4.6). Marked as sensitive.
    pub custom_headers: HeaderMap,
    /// 1–3 (behaviour §8.7).
    pub connection_attempts: u8,
    /// Of one attempt, DNS and TLS included.
    pub connection_timeout: Duration,
    /// Until the first byte, and between two parts of a body.
    pub read_timeout: Duration,
    /// For a whole answer with all attempts; no less than `read_timeout`. `None`: no limit.
    pub response_completion_timeout: Option<Duration>,
}

/// What answers.
#[derive(Debug, Clone, PartialEq)]
pub enum OriginKind {
    S3(S3Origin),
    Custom(CustomOrigin),
}

/// A private S3 bucket, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct S3Origin {
    pub bucket: Arc<str>,
    pub region: Arc<str>,
    pub endpoint: Endpoint,
    pub signing: SigningBehavior,
    pub payload_hash: PayloadHash,
    /// The role to assume for this origin; `None`: the credential chain's own identity is used.
    pub role: Option<Role>,
    /// KMS key ARNs that the session policy may decrypt with; empty: any key, through S3 only.
    pub kms_keys: Vec<Arc<str>>,
    /// Ask KMS for the state of `kms_keys` (`kms:DescribeKey`, needs that permission) and export it as a metric.
    pub watch_keys: bool,
    /// 12 digits; sent as `x-amz-expected-bucket-owner`.
    pub expected_bucket_owner: Option<Arc<str>>,
}

/// Any HTTP server (behaviour §1.5, §1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomOrigin {
    /// Lower-case name or address.
    pub host: Arc<str>,
    pub http_port: u16,
    pub https_port: u16,
    pub protocol: OriginProtocolPolicy,
    /// How long an idle connection is kept.
    pub keepalive_timeout: Duration,
}

/// How a custom origin is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OriginProtocolPolicy {
    HttpOnly,
    HttpsOnly,
    /// As the viewer whose request goes there.
    #[default]
    MatchViewer,
}

impl Origin {
    /// `None`: it is not a bucket.
    #[must_use]
    pub fn s3(&self) -> Option<&S3Origin> {
        match &self.kind {
            OriginKind::S3(s3) => Some(s3),
            OriginKind::Custom(_) => None,
        }
    }
}

impl CustomOrigin {
    /// Where it is asked over TLS, or without.
    #[must_use]
    pub fn endpoint(&self, tls: bool) -> Endpoint {
        Endpoint {
            tls,
            host: Arc::clone(&self.host),
            port: Some(if tls { self.https_port } else { self.http_port }),
            path_style: false,
            regional: false,
        }
    }
}

/// Where an origin's bytes come from: host, port, scheme, and whether the bucket is part of the path (s3 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub tls: bool,
    /// Lower-case host name or IP literal; the bucket's own name when virtual-hosted.
    pub host: Arc<str>,
    /// `None`: the scheme's default, which must not appear in `Host` (s3 §1.4).
    pub port: Option<u16>,
    /// Path-style: every path begins with `/BUCKET`.
    pub path_style: bool,
    /// The host was made from bucket and Region, so a learned Region changes it (s3 §2.9).
    pub regional: bool,
}

impl Endpoint {
    /// What the `Host` header says: the default port is left out, any other is there (s3 §1.4).
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) if port != self.default_port() => format!("{}:{port}", self.host),
            _ => self.host.to_string(),
        }
    }

    #[must_use]
    pub fn connect_port(&self) -> u16 {
        self.port.unwrap_or(self.default_port())
    }

    fn default_port(&self) -> u16 {
        if self.tls { 443 } else { 80 }
    }
}

/// Origin access control's signing behaviour (behaviour §10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SigningBehavior {
    #[default]
    Always,
    Never,
    NoOverride,
}

/// What `x-amz-content-sha256` says (s3 §1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadHash {
    #[default]
    Empty,
    Unsigned,
}

/// `sts:AssumeRole`, always with a session policy made from the origin (s3 §5.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    pub arn: Arc<str>,
    pub external_id: Option<Arc<str>>,
    /// 2–64 characters of `[\w+=,.@-]`.
    pub session_name: Arc<str>,
    /// 900 s – 12 h.
    pub session_duration: Duration,
}

/// What the process environment says, read once by the command line and passed on as data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `AWS_ENDPOINT_URL_S3`, or else `AWS_ENDPOINT_URL`.
    pub s3_endpoint: Option<String>,
    /// `AWS_REGION`, or else `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// Cores that this process may use.
    pub parallelism: usize,
}

/// What flags (or their `EDGESEAL_…` variables) say; each beats the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    pub http: Option<String>,
    pub https: Option<String>,
    pub admin: Option<String>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub memory: Option<String>,
    pub log: Option<String>,
    pub geo_database: Option<PathBuf>,
    pub log_directory: Option<PathBuf>,
    /// `ACCESS-KEY-ID=FILE` each; any replaces all of the file's.
    pub admin_keys: Vec<String>,
}

/// A configuration that would start, and what is worth saying about it nevertheless.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Finding>,
}

/// Reads and judges a TOML text. `source_name` is what findings call it; nothing is opened.
pub fn load_toml(
    source_name: &str,
    text: &str,
    env: &Environment,
    over: &Overrides,
) -> Result<Loaded, Vec<Finding>> {
    let reading = reader::read(source_name, text).map_err(|syntax| vec![syntax])?;
    load(reading, env, over)
}

/// The one-liner: `s3://BUCKET[/PREFIX]`, any Host, the default behaviour. `region` beats the environment's.
pub fn from_bucket_url(
    url: &str,
    region: Option<&str>,
    env: &Environment,
    over: &Overrides,
) -> Result<Loaded, Vec<Finding>> {
    load(reader::read_bucket_url(url, region), env, over)
}

/// CloudFront's own JSON, `files` together; `accepted` of [`import::ACCEPTABLE`].
pub fn load_distributions(
    files: &[import::File],
    accepted: &BTreeSet<String>,
    env: &Environment,
    over: &Overrides,
) -> Result<Loaded, Vec<Finding>> {
    load(import::read(files, accepted), env, over)
}

fn load(
    reader::Reading { mut raw, findings }: reader::Reading,
    env: &Environment,
    over: &Overrides,
) -> Result<Loaded, Vec<Finding>> {
    raw.apply(over);
    validate::validate(&raw, env, findings)
}
