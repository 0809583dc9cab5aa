//! A bucket that whole objects are put into, signed with what they hold (s3 §1.5).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::credentials::CredentialSource;
use super::error::OriginError;
use super::journey::{Journey, Place};
use super::pool::Lease;
use super::request;
use super::s3::S3;
use super::s3_error::{self, S3Error};
use super::trust::Trust;
use super::upload::{Outgoing, Upload};
use super::{MAX_ERROR_BODY, response};
use crate::config::{self, S3Origin};
use crate::semantics::path;

/// Bytes a second below which an upload is given up.
const SLOWEST: u64 = 64 << 10;
/// S3 checks it, and a bucket with Object Lock demands it.
const CHECKSUM: HeaderName = HeaderName::from_static("x-amz-checksum-sha256");

/// A bucket, and who may put something there.
#[derive(Debug)]
pub struct Deposit {
    config: Arc<config::Origin>,
    s3: S3,
    user_agent: HeaderValue,
}

impl Deposit {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// [`OriginError::Tls`] when the host is no name that a certificate could be verified for;
    /// [`OriginError::Unsignable`] for what is not a bucket.
    pub fn new(
        config: Arc<config::Origin>,
        tls: &Trust,
        credentials: Arc<CredentialSource>,
        user_agent: HeaderValue,
    ) -> Result<Self, OriginError> {
        let s3 = config.s3().ok_or(OriginError::Unsignable)?;
        let tls = Arc::clone(tls.config());
        let s3 = S3::new(s3, credentials, tls, user_agent.clone(), Arc::clone(&config.id))?;
        Ok(Self { config, s3, user_agent })
    }

    /// Puts `body` under the origin path and `key`. An object comes whole or not at all, so this may be asked again, and is
    /// for what helps once: another Region, a corrected clock, new credentials, throttling (s3 §2.9, §2.16).
    ///
    /// # Errors
    /// [`OriginError`]; then nobody knows whether it is there.
    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), OriginError> {
        let hash = digest::digest(&digest::SHA256, &body);
        let mut journey = Journey::new(self.s3.place(), self.config.connection_attempts);
        while !self.attempt(key, &body, hash.as_ref(), &mut journey).await? {}
        if journey.remember {
            self.s3.remember(&journey.place);
        }
        Ok(())
    }

    /// `false`: again.
    async fn attempt(
        &self,
        key: &str,
        body: &Bytes,
        hash: &[u8],
        journey: &mut Journey,
    ) -> Result<bool, OriginError> {
        let config = self.config.s3().ok_or(OriginError::Unsignable)?;
        let place = Arc::clone(&journey.place);
        let mut lease = match place.pool.connect(self.config.connection_timeout).await {
            Ok(lease) => lease,
            Err(error) => return journey.spend(error).map(|()| false),
        };
        let mut head = self.head(config, &place, key, body.len(), hash)?;
        let signer = self.s3.sign_upload(&mut head, &place, hash)?;
        let length = body.len() as u64;
        let body = Full::new(body.clone()).map_err(|never| match never {}).boxed_unsync();
        let request = Request::from_parts(head, Outgoing::Viewer(Upload::new(body)));
        let patience = self.config.read_timeout + Duration::from_secs(length / SLOWEST);
        let answer = match timeout(patience, lease.sender.send_request(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return journey.spend(OriginError::ConnectionLost).map(|()| false),
            Err(_) => return journey.spend(OriginError::ReadTimeout).map(|()| false),
        };
        if answer.status() == StatusCode::OK {
            return Ok(true);
        }
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let error = self.error_of(answer, lease).await;
        let remedy = s3_error::remedy(status, &headers, error.as_ref());
        if self.s3.mend(config, remedy, (status, &headers), Some(&signer), journey).await {
            return Ok(false);
        }
        let cause = s3_error::classify(status, error.as_ref());
        let code = error.map(|error| error.code.as_str().into());
        let fields = Arc::new(response::lasting(&headers));
        Err(OriginError::Refused { status, cause, code, fields, answer: None })
    }

    fn head(
        &self,
        config: &S3Origin,
        place: &Place,
        key: &str,
        length: usize,
        hash: &[u8],
    ) -> Result<Parts, OriginError> {
        let bucket = if place.endpoint.path_style { format!("/{}", config.bucket) } else { String::new() };
        let target = format!("{bucket}{}/{}", path::encode(&self.config.origin_path), path::encode(key));
        let mut head = request::bare(&Method::PUT, target).ok_or(OriginError::Unsignable)?;
        let value = |text: String| HeaderValue::try_from(text).map_err(|_| OriginError::Unsignable);
        head.headers.insert(HOST, value(place.endpoint.authority())?);
        head.headers.insert(USER_AGENT, self.user_agent.clone());
        head.headers.insert(CONTENT_LENGTH, length.into());
        head.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/gzip"));
        head.headers.insert(CHECKSUM, value(BASE64.encode(hash))?);
        Ok(head)
    }

    async fn error_of(&self, answer: Response<Incoming>, lease: Lease) -> Option<S3Error> {
        let body = Limited::new(answer.into_body(), MAX_ERROR_BODY).collect();
        let body = timeout(self.config.read_timeout, body).await.ok()?.ok()?;
        drop(lease);
        s3_error::parse(&body.to_bytes())
    }
}

impl S3 {
    /// Signs the head of a PUT, with the SHA-256 of its body; who signed it.
    fn sign_upload(
        &self,
        head: &mut Parts,
        place: &Place,
        hash: &[u8],
    ) -> Result<Arc<aws_credential_types::Credentials>, OriginError> {
        let now = SystemTime::now();
        let credentials = self.credentials().current(now).ok_or(OriginError::NoCredentials)?;
        let signed = self.signer().sign_body(head, &credentials, &place.region, hash, self.corrected(now));
        signed.map_err(|_| OriginError::Unsignable)?;
        Ok(credentials)
    }
}
