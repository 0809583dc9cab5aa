//! The bucket: what is in it, who may read it, and S3's answer to a request whose signature is right.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use s3s::crypto::{Checksum as _, Md5};
use time::format_description::well_known::Rfc3339;

use super::answer::{Answer, Refusal, element};
use super::query::{Query, Target};
use super::select::{Precondition, Selection, precondition, select};
use super::vault::{Vault, hex, random};
use super::{Encryption, Identity, KeyState, ObjectMeta};

#[derive(Debug)]
pub(super) struct Objects {
    bucket: String,
    region: HeaderValue,
    kms_key_arn: HeaderValue,
    vault: Vault,
    contents: RwLock<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    key_state: KeyState,
    /// In the order of a listing: by the bytes of the key.
    objects: BTreeMap<String, Object>,
}

#[derive(Debug)]
struct Object {
    etag: String,
    /// Seconds since the epoch.
    modified: u64,
    len: usize,
    encryption: Encryption,
    /// As sent with a 200, but for `Content-Length`.
    headers: HeaderMap,
}

impl Objects {
    pub(super) fn new(vault: Vault, bucket: &str, region: &str, kms_key_arn: &str) -> io::Result<Self> {
        Ok(Self {
            bucket: bucket.to_owned(),
            region: header_value(region)?,
            kms_key_arn: header_value(kms_key_arn)?,
            vault,
            contents: RwLock::default(),
        })
    }

    /// Stores an object, replacing one of the same key; returns its `ETag`, quoted.
    pub(super) fn put(&self, key: &str, body: &[u8], meta: &ObjectMeta) -> io::Result<String> {
        let modified = meta
            .last_modified
            .map_or_else(crate::clock::now, crate::clock::Timestamp::from_system_time)
            .as_secs();
        let etag = format!("\"{}\"", etag(body, meta.encryption)?);
        let headers = self.stored_headers(meta, &etag, modified)?;
        let object =
            Object { etag: etag.clone(), modified, len: body.len(), encryption: meta.encryption, headers };
        let mut contents = self.write();
        self.vault.put(key, body)?;
        contents.objects.insert(key.to_owned(), object);
        Ok(etag)
    }

    pub(super) fn remove(&self, key: &str) -> io::Result<()> {
        let mut contents = self.write();
        self.vault.remove(key)?;
        contents.objects.remove(key);
        Ok(())
    }

    pub(super) fn set_key_state(&self, state: KeyState) {
        self.write().key_state = state;
    }

    pub(super) fn file(&self, key: &str) -> PathBuf {
        self.vault.file(key)
    }

    /// Answers `identity`; `now` in seconds since the epoch. Reads a file: not for an async thread.
    pub(super) fn answer(&self, head: &Parts, identity: &Identity, now: u64) -> Result<Answer, Refusal> {
        let target = Target::parse(head.uri.path())?;
        if target.bucket != self.bucket {
            return Err(no_such_bucket(&target.bucket));
        }
        let query = Query::parse(head.uri.query());
        if !matches!(head.method, Method::GET | Method::HEAD) || query.names_another_operation() {
            return Err(Refusal::access_denied());
        }
        if target.key.is_empty() {
            return self.answer_bucket(&head.method, &query, identity);
        }
        if !target.key.starts_with(&identity.prefix) {
            return Err(
                self.not_allowed("s3:GetObject", &format!("arn:aws:s3:::{}/{}", self.bucket, target.key))
            );
        }
        self.answer_object(head, &query, &target.key, identity, now)
    }

    fn answer_object(
        &self,
        head: &Parts,
        query: &Query,
        key: &str,
        identity: &Identity,
        now: u64,
    ) -> Result<Answer, Refusal> {
        // Held to the end: what was decided from the head must be true of the bytes.
        let contents = self.read();
        let Some(object) = contents.objects.get(key) else {
            return Err(self.missing(key, identity));
        };
        if head.method == Method::GET && object.encryption == Encryption::SseKms {
            self.check_key(contents.key_state)?;
        }
        match precondition(&head.headers, &object.etag, object.modified, now) {
            Precondition::Met => {}
            Precondition::NotModified => return Ok(not_modified(object)),
            Precondition::Failed(condition) => return Err(precondition_failed(condition)),
        }
        let range = head.headers.get(header::RANGE).and_then(|v| v.to_str().ok());
        let (status, first, len) = match select(range, object.len) {
            Selection::Whole => (StatusCode::OK, 0, object.len),
            Selection::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
            Selection::Unsatisfiable => return Err(invalid_range(range.unwrap_or_default(), object.len)),
        };
        let mut headers = object.headers.clone();
        headers.insert(header::CONTENT_LENGTH, len.into());
        if status == StatusCode::PARTIAL_CONTENT {
            let text = format!("bytes {first}-{}/{}", first + len - 1, object.len);
            headers.insert(header::CONTENT_RANGE, header_value(&text).map_err(|_| Refusal::internal())?);
        } else {
            query.override_headers(&mut headers)?;
        }
        let body = match head.method {
            Method::HEAD => Bytes::new(),
            _ => Bytes::from(self.vault.get(key).map_err(|_| Refusal::internal())?).slice(first..first + len),
        };
        Ok(Answer { status, headers, body })
    }

    /// A listing, or for HEAD that the bucket is there (s3 §2.9).
    fn answer_bucket(&self, method: &Method, query: &Query, identity: &Identity) -> Result<Answer, Refusal> {
        if !identity.list_bucket {
            return Err(self.not_allowed("s3:ListBucket", &format!("arn:aws:s3:::{}", self.bucket)));
        }
        let mut answer = Answer::xml(StatusCode::OK, self.list(query));
        if method == Method::HEAD {
            answer.body = Bytes::new();
            answer.headers.insert("x-amz-bucket-region", self.region.clone());
        }
        Ok(answer)
    }

    /// ListObjectsV2 with `prefix` and `max-keys`; no delimiter, no continuation.
    fn list(&self, query: &Query) -> String {
        let prefix = query.get("prefix").unwrap_or_default();
        let max = query.get("max-keys").and_then(|n| n.parse().ok()).unwrap_or(1000).min(1000);
        let contents = self.read();
        let found = || contents.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        let total = found().count();
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        element(&mut xml, "Name", &self.bucket);
        element(&mut xml, "Prefix", prefix);
        element(&mut xml, "KeyCount", &total.min(max).to_string());
        element(&mut xml, "MaxKeys", &max.to_string());
        element(&mut xml, "IsTruncated", if total > max { "true" } else { "false" });
        for (key, object) in found().take(max) {
            xml.push_str("<Contents>");
            element(&mut xml, "Key", key);
            element(&mut xml, "LastModified", &rfc3339(object.modified));
            element(&mut xml, "ETag", &object.etag);
            element(&mut xml, "Size", &object.len.to_string());
            xml.push_str("<StorageClass>STANDARD</StorageClass></Contents>");
        }
        xml + "</ListBucketResult>"
    }

    /// s3 §2.12, ARN and all.
    fn check_key(&self, state: KeyState) -> Result<(), Refusal> {
        let arn = self.kms_key_arn.to_str().unwrap_or_default();
        let trouble = |code, text| Err(Refusal::new(StatusCode::BAD_REQUEST, code, format!("{arn} {text}")));
        match state {
            KeyState::Enabled => Ok(()),
            KeyState::Disabled => trouble("KMS.DisabledException", "is disabled."),
            KeyState::PendingDeletion => trouble("KMS.KMSInvalidStateException", "is pending deletion."),
            KeyState::AccessDenied => Err(self.not_allowed("kms:Decrypt", arn)),
        }
    }

    /// 404 only for those who could have listed the bucket (s3 §2.7).
    fn missing(&self, key: &str, identity: &Identity) -> Refusal {
        if identity.list_bucket {
            Refusal::new(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist.")
                .with("Key", key)
        } else {
            self.not_allowed("s3:ListBucket", &format!("arn:aws:s3:::{}", self.bucket))
        }
    }

    /// The talkative form that callers of the same account get: it names role, account and resource.
    fn not_allowed(&self, action: &str, resource: &str) -> Refusal {
        let account =
            self.kms_key_arn.to_str().ok().and_then(|arn| arn.split(':').nth(4)).unwrap_or("111122223333");
        let message = format!(
            "User: arn:aws:sts::{account}:assumed-role/edge/session is not authorized to perform: {action} on resource: \
             \"{resource}\" because no identity-based policy allows the {action} action"
        );
        Refusal { message, ..Refusal::access_denied() }
    }

    fn stored_headers(&self, meta: &ObjectMeta, etag: &str, modified: u64) -> io::Result<HeaderMap> {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(modified));
        let content_type = meta.content_type.as_deref().unwrap_or("binary/octet-stream");
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::ACCEPT_RANGES, Some("bytes")),
            (header::ETAG, Some(etag)),
            (header::LAST_MODIFIED, Some(&*date)),
            (header::CONTENT_TYPE, Some(content_type)),
            (header::CACHE_CONTROL, meta.cache_control.as_deref()),
            (header::EXPIRES, meta.expires.as_deref()),
            (header::CONTENT_DISPOSITION, meta.content_disposition.as_deref()),
            (header::CONTENT_ENCODING, meta.content_encoding.as_deref()),
            (header::CONTENT_LANGUAGE, meta.content_language.as_deref()),
        ] {
            if let Some(value) = value {
                headers.insert(name, header_value(value)?);
            }
        }
        for (name, value) in &meta.user {
            let name = HeaderName::try_from(format!("x-amz-meta-{name}")).map_err(invalid_input)?;
            headers.insert(name, header_value(value)?);
        }
        let sse = HeaderName::from_static("x-amz-server-side-encryption");
        match meta.encryption {
            Encryption::None => {}
            Encryption::SseS3 => drop(headers.insert(sse, HeaderValue::from_static("AES256"))),
            Encryption::SseKms => {
                headers.insert(sse, HeaderValue::from_static("aws:kms"));
                headers.insert("x-amz-server-side-encryption-aws-kms-key-id", self.kms_key_arn.clone());
                headers.insert(
                    "x-amz-server-side-encryption-bucket-key-enabled",
                    HeaderValue::from_static("true"),
                );
            }
        }
        Ok(headers)
    }

    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The MD5 under SSE-S3 and without encryption, never under SSE-KMS: there the same bytes give another tag each time
/// (s3 §2.3).
fn etag(body: &[u8], encryption: Encryption) -> io::Result<String> {
    match encryption {
        Encryption::SseKms => Ok(hex(&random::<16>()?)),
        Encryption::SseS3 | Encryption::None => {
            let mut md5 = Md5::new();
            md5.update(body);
            Ok(hex(&md5.finalize()))
        }
    }
}

/// With the headers that RFC 9110 §15.4.5 asks for. Whether S3 repeats the freshness ones is unconfirmed (s3 §2.4).
fn not_modified(object: &Object) -> Answer {
    let mut headers = HeaderMap::new();
    for name in [header::ETAG, header::LAST_MODIFIED, header::CACHE_CONTROL, header::EXPIRES] {
        if let Some(value) = object.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    Answer { status: StatusCode::NOT_MODIFIED, headers, body: Bytes::new() }
}

fn precondition_failed(condition: &str) -> Refusal {
    let message = "At least one of the pre-conditions you specified did not hold";
    Refusal::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message).with("Condition", condition)
}

fn invalid_range(range: &str, len: usize) -> Refusal {
    Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", "The requested range is not satisfiable")
        .with("RangeRequested", range)
        .with("ActualObjectSize", len.to_string())
}

fn no_such_bucket(bucket: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist")
        .with("BucketName", bucket)
}

fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok());
    time.and_then(|t| t.format(&Rfc3339).ok()).unwrap_or_default()
}

pub(super) fn header_value(text: &str) -> io::Result<HeaderValue> {
    if text.is_ascii() {
        HeaderValue::from_str(text).map_err(invalid_input)
    } else {
        Err(invalid_input("not ASCII"))
    }
}

fn invalid_input(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
