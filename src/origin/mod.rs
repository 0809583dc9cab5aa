//! The way to an origin: ask, sign, send, and make sense of what comes back.

pub mod body;
pub mod credentials;
pub mod custom;
pub mod deposit;
pub mod error;
mod journey;
pub mod kms;
pub mod pool;
pub mod request;
pub mod response;
mod s3;
pub mod s3_error;
pub mod session_policy;
pub mod sigv4;
pub mod trust;
pub mod upload;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use bytes::BytesMut;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::clock::{self, Timestamp};
use crate::config::{self, OriginKind, S3Origin};
use crate::observe::metrics::OriginMetrics;
use body::OriginBody;
use credentials::{CredentialSource, CredentialStatus};
use custom::Custom;
use error::OriginError;
use journey::{Journey, Place};
use pool::Lease;
pub use request::Ask;
pub use response::OriginResponse;
use response::Timing;
use s3::S3;
use s3_error::{Cause, S3Error};
use trust::Trust;
use upload::{Interrupted, Outgoing, Progress};

/// An error body is read up to here (s3 §2.10).
const MAX_ERROR_BODY: usize = 64 << 10;

/// A bucket, or another server, that is asked for objects.
#[derive(Debug)]
pub struct Origin {
    config: Arc<config::Origin>,
    /// Its name in metrics, logs and `/readyz`, which no other origin of this edge has.
    label: Arc<str>,
    side: Side,
    metrics: OriginMetrics,
    contact: ArcSwap<Contact>,
}

/// What an [`Origin`] is made from.
#[derive(Debug)]
pub struct OriginParts {
    pub config: Arc<config::Origin>,
    /// Its name in metrics, logs and `/readyz`.
    pub label: Arc<str>,
    pub tls: Arc<Trust>,
    /// Of a bucket; no other origin's requests are signed.
    pub credentials: Option<Arc<CredentialSource>>,
    pub user_agent: HeaderValue,
    pub metrics: OriginMetrics,
}

/// What the kinds of origins have of their own.
#[derive(Debug)]
enum Side {
    S3(S3),
    Custom(Custom),
}

impl From<Interrupted> for OriginError {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::BrokeOff => Self::UploadBroken,
            Interrupted::TooLarge => Self::UploadTooLarge,
        }
    }
}

impl Origin {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// [`OriginError::Tls`] when the host is no name that a certificate could be verified for;
    /// [`OriginError::NoCredentials`] for a bucket without a source of them.
    pub fn new(parts: OriginParts) -> Result<Self, OriginError> {
        let OriginParts { config, label, tls, credentials, user_agent, metrics } = parts;
        let side = match &config.kind {
            OriginKind::S3(s3) => {
                let credentials = credentials.ok_or(OriginError::NoCredentials)?;
                Side::S3(S3::new(s3, credentials, Arc::clone(tls.config()), user_agent, Arc::clone(&label))?)
            }
            OriginKind::Custom(custom) => Side::Custom(Custom::new(custom, &tls)?),
        };
        Ok(Self { config, label, side, metrics, contact: ArcSwap::default() })
    }

    /// Is there anything against asking it? One lost question is not: it takes several in a row, and after a while
    /// without questions the next one may well be answered.
    #[must_use]
    pub fn is_reachable(&self, now: Timestamp) -> bool {
        let contact = self.contact.load();
        contact.lost_in_a_row < UNREACHABLE || now.since(contact.at) > FORGET
    }

    /// How the last questions ended, for a person.
    #[must_use]
    pub fn last_contact(&self) -> String {
        match self.contact.load().lost_in_a_row {
            0 => "nothing against it".to_owned(),
            lost => format!("{lost} requests in a row got no answer"),
        }
    }

    #[must_use]
    pub fn config(&self) -> &config::Origin {
        &self.config
    }

    #[must_use]
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// `None`: it needs none.
    #[must_use]
    pub fn credentials(&self) -> Option<CredentialStatus> {
        match &self.side {
            Side::S3(s3) => Some(s3.credentials().status(SystemTime::now())),
            Side::Custom(_) => None,
        }
    }

    /// Fetches what `ask` says, with the attempts, timeouts and second chances of behaviour §8.7 and s3 §2.16: a
    /// connection that was closed while idle, a wrong Region, a skewed clock, expired credentials and throttling each
    /// get one more try, signed anew.
    ///
    /// # Errors
    /// [`OriginError`]; [`OriginError::Refused`] for every status of 400 and above, and for a bucket's redirects, which
    /// are never followed (s3 §2.9).
    pub async fn fetch(&self, ask: &Ask) -> Result<OriginResponse, OriginError> {
        self.send(ask, Outgoing::Nothing).await
    }

    /// The same with a body. What may change something is sent once, on a connection of its own making (behaviour §8.7).
    ///
    /// # Errors
    /// As [`Self::fetch`]; and when the viewer's body breaks off or is too large.
    pub async fn send(&self, ask: &Ask, mut body: Outgoing) -> Result<OriginResponse, OriginError> {
        let mut journey = Journey::new(self.place(ask), self.config.connection_attempts);
        journey.fresh = ask.is_write() || !matches!(body, Outgoing::Nothing);
        let until = self.config.response_completion_timeout.map(|limit| tokio::time::Instant::now() + limit);
        let mut started = Instant::now();
        let outcome = {
            let travel = self.travel(ask, &mut body, &mut journey, &mut started);
            match until {
                Some(until) => {
                    tokio::time::timeout_at(until, travel).await.unwrap_or(Err(OriginError::ReadTimeout))
                }
                None => travel.await,
            }
        };
        self.arrived(&journey, &outcome);
        match &outcome {
            Ok(answer) => self.metrics.answered(answer.status.as_u16(), started.elapsed()),
            Err(failure) => self.count(failure, started.elapsed()),
        }
        outcome.map(|mut answer| {
            answer.body.end_by(until);
            answer
        })
    }

    /// `started` becomes the beginning of the last attempt.
    async fn travel(
        &self,
        ask: &Ask,
        body: &mut Outgoing,
        journey: &mut Journey,
        started: &mut Instant,
    ) -> Result<OriginResponse, OriginError> {
        loop {
            *started = Instant::now();
            if let Attempt::Answer(answer) = self.attempt(ask, body, journey).await? {
                return Ok(*answer);
            }
        }
    }

    fn place(&self, ask: &Ask) -> Arc<Place> {
        match &self.side {
            Side::S3(s3) => s3.place(),
            Side::Custom(custom) => custom.place(ask),
        }
    }

    /// Remembers what this fetch has proven: that the origin answers, and where.
    fn arrived(&self, journey: &Journey, outcome: &Result<OriginResponse, OriginError>) {
        let answered = match outcome {
            Ok(_) | Err(OriginError::Refused { .. }) => true,
            Err(failure) if failure.is_unreachable() => false,
            // One bad answer, or a slow one, says nothing of the origin.
            Err(_) => return,
        };
        let lost_in_a_row = if answered { 0 } else { self.contact.load().lost_in_a_row.saturating_add(1) };
        self.contact.store(Arc::new(Contact { lost_in_a_row, at: clock::now() }));
        if let Side::S3(s3) = &self.side
            && outcome.is_ok()
            && journey.remember
        {
            s3.remember(&journey.place);
        }
    }

    fn count(&self, failure: &OriginError, took: Duration) {
        match failure {
            OriginError::Refused { status, cause, .. } => {
                self.metrics.answered(*status, took);
                if matches!(status, 400 | 401 | 403) {
                    self.metrics.denied(cause.as_str());
                }
            }
            other => self.metrics.failed(other.label()),
        }
        tracing::debug!(origin = %self.label, error = %failure, "origin fetch failed");
    }

    async fn attempt(
        &self,
        ask: &Ask,
        body: &mut Outgoing,
        journey: &mut Journey,
    ) -> Result<Attempt, OriginError> {
        let place = Arc::clone(&journey.place);
        let mut lease = match self.connection(&place, journey).await? {
            Some(lease) => lease,
            None => return Ok(Attempt::Again),
        };
        // Signed when it is sent: a token may have been renewed while this waited (s3 §1.7).
        let (mut head, signer) = self.head(ask, &place)?;
        if ask.is_write() && ask.method != Method::DELETE && matches!(body, Outgoing::Nothing) {
            // Their bodies are expected, and this one is empty (RFC 9110 §8.6).
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let body = std::mem::replace(body, Outgoing::Nothing);
        let progress = body.progress();
        let has_body = progress.is_some();
        let sent = Instant::now();
        let mut request = Request::from_parts(head, body);
        if let Some(interims) = ask.interims.clone() {
            let with_cookies = ask.is_with_cookies();
            hyper::ext::on_informational(&mut request, move |interim| {
                let mut headers = interim.headers().clone();
                custom::sanitize(&mut headers, with_cookies);
                interims.tell(interim.status(), &headers);
            });
        }
        let answer = lease.sender.send_request(request);
        let response = match self.awaited(answer, progress.as_deref()).await {
            Some(Ok(response)) => response,
            failed => {
                if let Some(interrupted) = progress.and_then(|progress| progress.interrupted()) {
                    return Err(interrupted.into());
                }
                return self.lost(failed.and_then(Result::err), ask, has_body, lease.reused, journey);
            }
        };
        let timing = Timing { dial: lease.dial, first_byte: sent.elapsed() };
        let status = response.status();
        let passes_redirects = matches!(self.side, Side::Custom(_)) && status.is_redirection();
        if status.is_success() || status == StatusCode::NOT_MODIFIED || passes_redirects {
            response::check(ask, status, response.headers())?;
            return Ok(Attempt::Answer(Box::new(self.answer(ask, response, lease, timing)?)));
        }
        match &self.side {
            Side::S3(s3) => self.refused(s3, ask, response, lease, signer.as_ref(), journey).await,
            Side::Custom(_) => Err(self.refused_plainly(ask, response, lease).await),
        }
    }

    /// No answer. Again only what is safe and small to ask again (behaviour §8.7). `error`: `None` is silence.
    fn lost(
        &self,
        error: Option<hyper::Error>,
        ask: &Ask,
        has_body: bool,
        reused: bool,
        journey: &mut Journey,
    ) -> Result<Attempt, OriginError> {
        let again = |journey: &mut Journey, error| journey.spend(error).map(|()| Attempt::Again);
        match error {
            Some(error) if error.is_parse() || error.is_parse_status() => {
                Err(OriginError::InvalidResponse("not HTTP"))
            }
            Some(_) if has_body || ask.is_write() => Err(OriginError::ConnectionLost),
            Some(_) if reused && journey.stale_connection() => Ok(Attempt::Again),
            Some(_) => again(journey, OriginError::ConnectionLost),
            None if ask.is_repeatable() => again(journey, OriginError::ReadTimeout),
            None => Err(OriginError::ReadTimeout),
        }
    }

    /// The answer; `None` when it does not come in time. While a body is on its way to it, the origin need not answer.
    async fn awaited<T>(&self, answer: impl Future<Output = T>, progress: Option<&Progress>) -> Option<T> {
        let mut answer = pin!(answer);
        let mut patience = self.config.read_timeout;
        loop {
            if let Ok(answer) = tokio::time::timeout(patience, answer.as_mut()).await {
                return Some(answer);
            }
            patience =
                self.config.read_timeout.checked_sub(progress?.idle()).filter(|left| !left.is_zero())?;
        }
    }

    /// An idle connection, or a new one. `None`: that failed, but another attempt is left.
    async fn connection(&self, place: &Place, journey: &mut Journey) -> Result<Option<Lease>, OriginError> {
        if !journey.fresh
            && let Some(lease) = place.pool.idle()
        {
            return Ok(Some(lease));
        }
        match place.pool.connect(self.config.connection_timeout).await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) => journey.spend(error).map(|()| None),
        }
    }

    fn head(&self, ask: &Ask, place: &Place) -> Result<(Parts, Option<Arc<Credentials>>), OriginError> {
        match (&self.side, &self.config.kind) {
            (Side::S3(s3), OriginKind::S3(config)) => s3.signed_head(ask, (&self.config, config), place),
            _ => Ok((custom::head(ask, &self.config, &place.endpoint)?, None)),
        }
    }

    fn answer(
        &self,
        ask: &Ask,
        response: Response<Incoming>,
        lease: Lease,
        timing: Timing,
    ) -> Result<OriginResponse, OriginError> {
        let (parts, incoming) = response.into_parts();
        let framing = response::framing(parts.status, &parts.headers)?;
        let mut headers = parts.headers;
        match &self.side {
            Side::S3(_) => response::sanitize(&mut headers),
            Side::Custom(_) => custom::sanitize(&mut headers, ask.is_with_cookies()),
        }
        let body = self.body(incoming, lease);
        Ok(OriginResponse { status: parts.status, headers, framing, received_at: clock::now(), timing, body })
    }

    fn body(&self, incoming: Incoming, lease: Lease) -> OriginBody {
        OriginBody::new(incoming, lease, self.config.read_timeout, self.metrics.clone())
    }

    /// Reads the error, and mends what can be mended once.
    async fn refused(
        &self,
        s3: &S3,
        ask: &Ask,
        response: Response<Incoming>,
        lease: Lease,
        signer: Option<&Arc<Credentials>>,
        journey: &mut Journey,
    ) -> Result<Attempt, OriginError> {
        let status = response.status().as_u16();
        let (parts, incoming) = response.into_parts();
        let error = self.error_body(incoming, lease).await;
        let remedy = s3_error::remedy(status, &parts.headers, error.as_ref());
        if let Some(config) = self.s3_config().filter(|_| !ask.is_write())
            && s3.mend(config, remedy, (status, &parts.headers), signer, journey).await
        {
            return Ok(Attempt::Again);
        }
        let cause = s3_error::classify(status, error.as_ref());
        let code = error.map(|error| error.code.as_str().into());
        let fields = Arc::new(response::lasting(&parts.headers));
        tracing::debug!(origin = %self.label, status, cause = cause.as_str(), "the origin refused");
        Err(OriginError::Refused { status, cause, code, fields, answer: None })
    }

    /// The error of an origin that is not a bucket is for the viewer to see (behaviour §10.6).
    async fn refused_plainly(&self, ask: &Ask, response: Response<Incoming>, lease: Lease) -> OriginError {
        let (parts, incoming) = response.into_parts();
        let status = parts.status.as_u16();
        if status < 400 {
            return OriginError::InvalidResponse("a status that no request asks for");
        }
        if let Err(error) = response::check(ask, parts.status, &parts.headers) {
            return error;
        }
        let fields = Arc::new(response::lasting(&parts.headers));
        let answer = custom::error_answer(parts.headers, self.body(incoming, lease), ask).await;
        tracing::debug!(origin = %self.label, status, "the origin refused");
        OriginError::Refused { status, cause: Cause::Other, code: None, fields, answer }
    }

    fn s3_config(&self) -> Option<&S3Origin> {
        self.config.s3()
    }

    /// A body that is longer than the limit, or breaks off, is read as far as that: its code comes first.
    async fn error_body(&self, incoming: Incoming, lease: Lease) -> Option<S3Error> {
        let mut body = self.body(incoming, lease);
        let mut read = BytesMut::new();
        while read.len() < MAX_ERROR_BODY
            && let Some(Ok(bytes)) = body.next().await
        {
            read.extend_from_slice(&bytes);
        }
        s3_error::parse(&read)
    }
}

/// So many lost questions in a row make an origin unreachable.
const UNREACHABLE: u32 = 3;
/// After this long without a question it is worth asking again.
const FORGET: Duration = Duration::from_secs(30);
/// How the last questions to the origin ended.
#[derive(Debug, Default)]
struct Contact {
    lost_in_a_row: u32,
    at: Timestamp,
}

enum Attempt {
    Answer(Box<OriginResponse>),
    Again,
}
