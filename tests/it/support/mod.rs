//! The stage: an embedded or scripted origin, an edge in front of it, a viewer.

pub mod command;
#[cfg(feature = "geo")]
pub mod mmdb;
pub mod process;
#[cfg(feature = "http3")]
pub mod quic;
pub mod scripted;
pub mod viewer;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use edgeseal::config::{self, AccessLogTarget, Config, Environment, Overrides};
use edgeseal::demo::store::{self, EmbeddedOrigin, HoldGuard, Identity, ObjectMeta};
use edgeseal::observe::metrics::Metrics;
use edgeseal::origin::credentials::CredentialSource;
use edgeseal::server::{self, Reloaded, Server, StartError};
use tempfile::TempDir;

pub const BUCKET: &str = "private-assets";
pub const REGION: &str = "eu-west-1";
pub const KEY_ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/0f0e0d0c-0b0a-0908-0706-050403020100";
pub const ACCESS_KEY: &str = "AKIAREADER0000000000";
pub const SECRET_KEY: &str = "reader/secret/of/forty/characters/000000";

/// A bucket that the reader may read and not list.
pub struct Bucket {
    pub origin: EmbeddedOrigin,
    _folder: TempDir,
}

impl Bucket {
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// A bucket whose reader may list it, and so gets 404 for what is not there (s3 §2.7).
    pub async fn listable() -> Self {
        Self::with(|reader| reader.list_bucket = true).await
    }

    pub async fn with(change: impl FnOnce(&mut Identity)) -> Self {
        let mut reader = Identity {
            access_key_id: ACCESS_KEY.into(),
            secret_access_key: SECRET_KEY.into(),
            session_token: None,
            prefix: String::new(),
            list_bucket: false,
        };
        change(&mut reader);
        Self::of(vec![reader]).await
    }

    /// A bucket that knows these identities.
    pub async fn of(identities: Vec<Identity>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = store::Options {
            bucket: BUCKET.into(),
            region: REGION.into(),
            dir: folder.path().into(),
            identities,
            kms_key_arn: KEY_ARN.into(),
        };
        Self { origin: store::start(options).await.unwrap(), _folder: folder }
    }

    pub fn put(&self, key: &str, body: impl Into<bytes::Bytes>) -> String {
        self.put_with(key, body, |_| ())
    }

    pub fn put_with(
        &self,
        key: &str,
        body: impl Into<bytes::Bytes>,
        change: impl FnOnce(&mut ObjectMeta),
    ) -> String {
        let mut meta = ObjectMeta { content_type: Some("text/plain".into()), ..ObjectMeta::default() };
        change(&mut meta);
        self.origin.put(key, body, meta).unwrap()
    }

    /// How often the origin was asked for `key`.
    pub fn fetches(&self, key: &str) -> usize {
        self.origin.served().iter().filter(|served| served.key == key).count()
    }
}

/// An edge in this process, in front of `endpoint`. The TOML's first distribution gets the bucket's name and Region
/// where it says `$BUCKET`.
pub struct Stage {
    pub server: Server,
    pub log: PathBuf,
    endpoint: String,
    credentials: Arc<CredentialSource>,
    _folder: TempDir,
}

/// One bucket, any Host, CloudFront's CachingOptimized.
pub const PLAIN: &str = "[[distribution]]\n$BUCKET\n";

/// The same with a policy that obeys the origin from 0 s on.
pub const OBEDIENT: &str = r#"
[[cache_policy]]
name = "obedient"
min_ttl = "0s"
default_ttl = "1d"
max_ttl = "365d"
[[distribution]]
$BUCKET
[distribution.default_cache_behavior]
cache_policy = "obedient"
"#;

impl Stage {
    pub async fn start(toml: &str, endpoint: &str) -> Self {
        let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
        Self::start_with(toml, endpoint, CredentialSource::fixed(credentials)).await
    }

    pub async fn start_with(toml: &str, endpoint: &str, credentials: Arc<CredentialSource>) -> Self {
        Self::start_tuned(toml, endpoint, credentials, |_| ()).await
    }

    /// With one worker, which writes its lines of the log in the order of its requests.
    pub async fn in_order(toml: &str, endpoint: &str) -> Self {
        Self::start_tuned(toml, endpoint, reader(), |config| config.listen.workers = 1).await
    }

    /// With a last word about the configuration.
    pub async fn start_tuned(
        toml: &str,
        endpoint: &str,
        credentials: Arc<CredentialSource>,
        tune: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        let mut config = configured(toml, endpoint, &log);
        tune(&mut config);
        let server = server::start(&config, Metrics::new(), |_| Arc::clone(&credentials)).await.unwrap();
        Self { server, log, endpoint: endpoint.into(), credentials, _folder: folder }
    }

    /// Puts another configuration in force.
    pub async fn reload(
        &mut self,
        toml: &str,
        tune: impl FnOnce(&mut Config),
    ) -> Result<Reloaded, StartError> {
        let mut config = configured(toml, &self.endpoint, &self.log);
        tune(&mut config);
        self.server.reload(config, |_| Arc::clone(&self.credentials)).await
    }

    pub fn https(&self) -> SocketAddr {
        self.server.https
    }

    /// A sample's value in `/metrics`; 0 when there is none.
    pub fn metric(&self, sample: &str) -> f64 {
        let (_, text) = self.server.edge().metrics.render(None);
        text.lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or_default()
    }
}

/// What a stage runs with.
fn configured(toml: &str, endpoint: &str, log: &Path) -> Config {
    let bucket = format!("[[distribution.origin]]\nbucket = \"{BUCKET}\"\nregion = \"{REGION}\"\n");
    let toml = toml.replace("$BUCKET", &bucket);
    let environment = Environment { s3_endpoint: Some(endpoint.into()), region: None, parallelism: 2 };
    let any = Some("127.0.0.1:0".to_owned());
    let overrides = Overrides { http: any.clone(), https: any.clone(), admin: any, ..Overrides::default() };
    let loaded = config::load_toml("test.toml", &toml, &environment, &overrides).unwrap_or_else(|findings| {
        panic!("{}", findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    let mut config = loaded.config;
    config.log.access = AccessLogTarget::File(log.into());
    config.listen.grace = Duration::from_secs(5);
    // `.ci/run` runs every story both ways.
    config.listen.fast_path = std::env::var_os("EDGESEAL_TEST_HYPER").is_none();
    config
}

/// Waits until `holds`, which it must within ten seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `n` requests stand at the gate at the same time, which they must within ten seconds.
pub async fn all_held(gate: &HoldGuard, n: usize) {
    let waiting = tokio::time::timeout(Duration::from_secs(10), gate.until_waiting(n)).await;
    assert!(waiting.is_ok(), "not within ten seconds: {n} requests at the gate");
}

/// Bytes whose place shows: the period is prime, so no piece can stand for another.
pub fn pattern(length: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(length / 251 + 1);
    bytes.truncate(length);
    bytes
}

/// The reader's credentials, for good.
pub fn reader() -> Arc<CredentialSource> {
    CredentialSource::fixed(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
}

/// The access log once it has `n` lines. Fails when it has more.
pub async fn log_lines(log: &Path, n: usize) -> Vec<serde_json::Value> {
    let read = || std::fs::read_to_string(log).unwrap_or_default();
    eventually("the access log's lines", || async { read().lines().count() >= n }).await;
    let lines: Vec<_> = read().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), n, "{lines:#?}");
    lines
}
