//! A private bucket in our own process: verifies SigV4 (by s3s), encrypts at rest, and answers as S3 does, SSE-KMS
//! headers, error codes and oddities included. The origin of `edgeseal demo` and of the integration tests.
//!
//! ```text
//! respond ─ hold? ─ slow_down? ─ access::check ─ s3s: signature ─ Objects::answer ─ Served ─ Chunks (hold_body?)
//!                                 pure             its verdict      select: pure
//! ```

mod access;
mod answer;
mod gate;
mod objects;
mod query;
mod select;
mod service;
#[cfg(test)]
mod tests;
mod vault;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::task::JoinHandle;

pub use gate::HoldGuard;
pub use vault::{Vault, VaultError};

use objects::Objects;
use service::{Service, lock};

/// What the bucket is called and who may read it.
#[derive(Debug, Clone)]
pub struct Options {
    pub bucket: String,
    /// The only Region accepted in a credential scope.
    pub region: String,
    /// Where the sealed objects lie. Created if need be.
    pub dir: PathBuf,
    pub identities: Vec<Identity>,
    /// Sent as `x-amz-server-side-encryption-aws-kms-key-id`, and named in KMS errors.
    pub kms_key_arn: String,
}

/// A key pair and what it may do.
#[derive(Clone)]
pub struct Identity {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Temporary credentials: each request must carry exactly this token.
    pub session_token: Option<String>,
    /// `s3:GetObject` is allowed on keys that begin with this. Empty: on all.
    pub prefix: String,
    /// `s3:ListBucket`: listings, and 404 in place of 403 for a missing key (s3 §2.7).
    pub list_bucket: bool,
}

/// The state of the KMS key, as a GET of an SSE-KMS object sees it (s3 §2.12). HEAD never asks KMS (s3 §2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyState {
    #[default]
    Enabled,
    /// 400 `KMS.DisabledException`
    Disabled,
    /// 400 `KMS.KMSInvalidStateException`
    PendingDeletion,
    /// 403 `AccessDenied`: the caller lacks `kms:Decrypt`.
    AccessDenied,
}

/// What the answers say of an object's encryption (s3 §2.13). On our disk all are sealed alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encryption {
    #[default]
    SseKms,
    SseS3,
    None,
}

/// What was given at upload. Values go out as they are, whether they make sense or not; ASCII only.
#[derive(Debug, Clone, Default)]
pub struct ObjectMeta {
    /// Default `binary/octet-stream`.
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub expires: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    /// Names without `x-amz-meta-`.
    pub user: BTreeMap<String, String>,
    pub encryption: Encryption,
    /// Default: now. Whole seconds count.
    pub last_modified: Option<SystemTime>,
}

/// A request and how it was answered. Holds the signed headers, so its `Debug` shows only their names.
#[derive(Clone)]
pub struct Served {
    pub method: Method,
    /// Decoded; empty for the bucket itself.
    pub key: String,
    pub range: Option<String>,
    pub if_none_match: Option<String>,
    pub status: u16,
    /// Of the credential scope; `None` when not signed in the header form.
    pub authorization_region: Option<String>,
    pub access_key_id: Option<String>,
    /// As in `Authorization`: names separated by `;`.
    pub signed_headers: Option<String>,
    /// As sent.
    pub path_and_query: String,
    /// All of them, credentials included.
    pub headers: HeaderMap,
}

/// A running origin. Dropping it stops it and cuts its connections.
pub struct EmbeddedOrigin {
    addr: SocketAddr,
    service: Arc<Service>,
    task: JoinHandle<()>,
}

/// Starts an origin on a loopback port of the system's choice: plain HTTP/1.1, path-style.
///
/// # Errors
/// The directory cannot be created, no port is free, or a name in `options` cannot be sent in a header.
pub async fn start(options: Options) -> io::Result<EmbeddedOrigin> {
    let Options { bucket, region, dir, identities, kms_key_arn } = options;
    let vault = Vault::create(&dir, &bucket)?;
    let service = Arc::new(Service {
        objects: Objects::new(vault, &bucket, &region, &kms_key_arn)?,
        region,
        signatures: service::signature_verifier(&identities),
        identities,
        expired: Default::default(),
        slow_down: Default::default(),
        requests: Default::default(),
        bodies: Default::default(),
        served: Default::default(),
    });
    let listener = service::bind().await?;
    let addr = listener.local_addr()?;
    let task = tokio::spawn(service::serve(listener, Arc::clone(&service)));
    Ok(EmbeddedOrigin { addr, service, task })
}

impl EmbeddedOrigin {
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stores an object, replacing one of the same key, and returns its `ETag` with quotes.
    ///
    /// # Errors
    /// The file cannot be written, or `meta` cannot be sent in headers.
    pub fn put(&self, key: &str, body: impl Into<Bytes>, meta: ObjectMeta) -> io::Result<String> {
        self.service.objects.put(key, &body.into(), &meta)
    }

    /// Removes an object.
    ///
    /// # Errors
    /// There is none of this key, or its file cannot be removed.
    pub fn remove(&self, key: &str) -> io::Result<()> {
        self.service.objects.remove(key)
    }

    /// Where the sealed object lies on disk.
    #[must_use]
    pub fn object_file(&self, key: &str) -> PathBuf {
        self.service.objects.file(key)
    }

    /// From the next request on.
    pub fn set_key_state(&self, state: KeyState) {
        self.service.objects.set_key_state(state);
    }

    /// From now on requests under this access key get 400 `ExpiredToken`.
    pub fn expire_token(&self, access_key_id: &str) {
        lock(&self.service.expired).insert(access_key_id.to_owned());
    }

    /// The next `n` requests get 503 `SlowDown`.
    pub fn slow_down(&self, n: u32) {
        self.service.slow_down.store(n, Ordering::Relaxed);
    }

    /// GET requests that arrive from now on wait, before anything is decided, until the guard is dropped.
    pub fn hold(&self) -> HoldGuard {
        self.service.requests.close(0)
    }

    /// Bodies that begin from now on stop after `n` bytes, until the guard is dropped. The head goes out at once.
    pub fn hold_body_after(&self, n: usize) -> HoldGuard {
        self.service.bodies.close(n)
    }

    /// The requests answered so far, oldest first; those held back do not count yet. The last 65,536 are kept.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        lock(&self.service.served).iter().cloned().collect()
    }

    /// As [`served`](Self::served), and forgets them.
    #[must_use]
    pub fn take_served(&self) -> Vec<Served> {
        std::mem::take(&mut *lock(&self.service.served)).into()
    }

    /// Stops, as dropping does: connections are cut, also in the middle of a body.
    pub fn shutdown(self) {}
}

impl Drop for EmbeddedOrigin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for EmbeddedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedOrigin").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("access_key_id", &self.access_key_id)
            .field("prefix", &self.prefix)
            .field("list_bucket", &self.list_bucket)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served")
            .field("method", &self.method)
            .field("path_and_query", &self.path_and_query)
            .field("range", &self.range)
            .field("if_none_match", &self.if_none_match)
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
