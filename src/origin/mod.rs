//! The way to a bucket: ask, sign, send, and make sense of what comes back.

pub mod body;
pub mod credentials;
pub mod error;
mod journey;
pub mod kms;
pub mod pool;
pub mod request;
pub mod response;
pub mod s3_error;
pub mod session_policy;
pub mod sigv4;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use bytes::{Bytes, BytesMut};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use rustls::ClientConfig;

use crate::clock::{self, Timestamp};
use crate::config;
use crate::observe::metrics::OriginMetrics;
use body::OriginBody;
use credentials::CredentialSource;
use error::OriginError;
use journey::{Chance, Journey, Place, back_off, moved, skew};
use pool::{Lease, Pool};
pub use request::Ask;
pub use response::OriginResponse;
use response::Timing;
use s3_error::{Remedy, S3Error};
use sigv4::{Decision, Scope};

/// An error body is read up to here (s3 §2.10).
const MAX_ERROR_BODY: usize = 64 << 10;

/// A bucket that is asked for objects.
#[derive(Debug)]
pub struct Origin {
    config: Arc<config::Origin>,
    /// Its name in metrics, logs and `/readyz`, which no other origin of this edge has.
    label: Arc<str>,
    /// Where it is; replaced when S3 says that the bucket lives in another Region (s3 §2.9).
    place: ArcSwap<Place>,
    tls: Arc<ClientConfig>,
    credentials: Arc<CredentialSource>,
    /// Milliseconds that S3's clock is ahead of ours (s3 §1.7).
    clock_offset: AtomicI64,
    user_agent: HeaderValue,
    metrics: OriginMetrics,
    contact: ArcSwap<Contact>,
}

/// What an [`Origin`] is made from.
#[derive(Debug)]
pub struct OriginParts {
    pub config: Arc<config::Origin>,
    /// Its name in metrics, logs and `/readyz`.
    pub label: Arc<str>,
    pub tls: Arc<ClientConfig>,
    pub credentials: Arc<CredentialSource>,
    pub user_agent: HeaderValue,
    pub metrics: OriginMetrics,
}

impl Origin {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// [`OriginError::Tls`] when the host is no name that a certificate could be verified for.
    pub fn new(parts: OriginParts) -> Result<Self, OriginError> {
        let OriginParts { config, label, tls, credentials, user_agent, metrics } = parts;
        let pool = Pool::new(&config.endpoint, &tls)?;
        let place = Place { region: Arc::clone(&config.region), endpoint: config.endpoint.clone(), pool };
        Ok(Self {
            config,
            label,
            place: ArcSwap::from_pointee(place),
            tls,
            credentials,
            clock_offset: AtomicI64::new(0),
            user_agent,
            metrics,
            contact: ArcSwap::default(),
        })
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

    #[must_use]
    pub fn credentials(&self) -> &Arc<CredentialSource> {
        &self.credentials
    }

    /// Fetches what `ask` says, with the attempts, timeouts and second chances of behaviour §8.7 and s3 §2.16: a
    /// connection that was closed while idle, a wrong Region, a skewed clock, expired credentials and throttling each
    /// get one more try, signed anew.
    ///
    /// # Errors
    /// [`OriginError`]; [`OriginError::Refused`] for every status of 400 and above and for redirects, which are never
    /// followed (s3 §2.9).
    pub async fn fetch(&self, ask: &Ask) -> Result<OriginResponse, OriginError> {
        let mut journey = Journey::new(self.place.load_full(), self.config.connection_attempts);
        loop {
            let started = Instant::now();
            let outcome = self.attempt(ask, &mut journey).await;
            if let Ok(Attempt::Again) = outcome {
                continue;
            }
            self.arrived(&journey, &outcome);
            return match outcome {
                Ok(Attempt::Answer(answer)) => {
                    self.metrics.answered(answer.status.as_u16(), started.elapsed());
                    Ok(*answer)
                }
                Ok(Attempt::Again) => continue,
                Err(failure) => {
                    self.count(&failure, started.elapsed());
                    Err(failure)
                }
            };
        }
    }

    /// Remembers what this fetch has proven: that the origin answers, and where.
    fn arrived(&self, journey: &Journey, outcome: &Result<Attempt, OriginError>) {
        let answered = match outcome {
            Ok(_) | Err(OriginError::Refused { .. }) => true,
            Err(failure) if failure.is_unreachable() => false,
            // One bad answer, or a slow one, says nothing of the origin.
            Err(_) => return,
        };
        let lost_in_a_row = if answered { 0 } else { self.contact.load().lost_in_a_row.saturating_add(1) };
        self.contact.store(Arc::new(Contact { lost_in_a_row, at: clock::now() }));
        if outcome.is_ok() && journey.remember {
            self.place.store(Arc::clone(&journey.place));
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

    async fn attempt(&self, ask: &Ask, journey: &mut Journey) -> Result<Attempt, OriginError> {
        let place = Arc::clone(&journey.place);
        let mut lease = match self.connection(&place, journey).await? {
            Some(lease) => lease,
            None => return Ok(Attempt::Again),
        };
        // Signed when it is sent: a token may have been renewed while this waited (s3 §1.7).
        let (head, signer) = self.signed_head(ask, &place)?;
        let request = Request::from_parts(head, Empty::<Bytes>::new());
        let sent = Instant::now();
        let response =
            match tokio::time::timeout(self.config.read_timeout, lease.sender.send_request(request)).await {
                // Only what is safe and small to ask again (behaviour §8.7).
                Err(_) if ask.method == Method::OPTIONS => return Err(OriginError::ReadTimeout),
                Err(_) => return journey.spend(OriginError::ReadTimeout).map(|()| Attempt::Again),
                Ok(Err(error)) if error.is_parse() || error.is_parse_status() => {
                    return Err(OriginError::InvalidResponse("not HTTP"));
                }
                Ok(Err(_)) if lease.reused && journey.stale_connection() => return Ok(Attempt::Again),
                Ok(Err(_)) => return journey.spend(OriginError::ConnectionLost).map(|()| Attempt::Again),
                Ok(Ok(response)) => response,
            };
        let timing = Timing { dial: lease.dial, first_byte: sent.elapsed() };
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            response::check(ask, status, response.headers())?;
            return Ok(Attempt::Answer(Box::new(self.answer(response, lease, timing)?)));
        }
        self.refused(response, lease, signer.as_ref(), journey).await
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

    fn signed_head(
        &self,
        ask: &Ask,
        place: &Place,
    ) -> Result<(Parts, Option<Arc<Credentials>>), OriginError> {
        let mut head = request::head(ask, &self.config, &place.endpoint, &self.user_agent)?;
        match sigv4::reaches_origin(self.config.signing, ask.authorization.is_some()) {
            Decision::Unsigned => Ok((head, None)),
            Decision::PassViewerAuthorization => {
                if let Some(authorization) = &ask.authorization {
                    head.headers.insert(AUTHORIZATION, authorization.clone());
                }
                Ok((head, None))
            }
            Decision::Sign => {
                let now = SystemTime::now();
                let credentials = self.credentials.current(now).ok_or(OriginError::NoCredentials)?;
                let scope = Scope { region: &place.region, payload: self.config.payload_hash };
                sigv4::sign(&mut head, &credentials, scope, self.corrected(now)).map_err(|error| {
                    tracing::debug!(origin = %self.label, %error, "cannot sign");
                    OriginError::Unsignable
                })?;
                Ok((head, Some(credentials)))
            }
        }
    }

    fn answer(
        &self,
        response: Response<Incoming>,
        lease: Lease,
        timing: Timing,
    ) -> Result<OriginResponse, OriginError> {
        let (parts, incoming) = response.into_parts();
        let framing = response::framing(&parts.headers)?;
        let mut headers = parts.headers;
        response::sanitize(&mut headers);
        let body = OriginBody::new(incoming, lease, self.config.read_timeout, self.metrics.clone());
        Ok(OriginResponse { status: parts.status, headers, framing, received_at: clock::now(), timing, body })
    }

    /// Reads the error, and mends what can be mended once.
    async fn refused(
        &self,
        response: Response<Incoming>,
        lease: Lease,
        signer: Option<&Arc<Credentials>>,
        journey: &mut Journey,
    ) -> Result<Attempt, OriginError> {
        let status = response.status().as_u16();
        let (parts, incoming) = response.into_parts();
        let error = self.error_body(incoming, lease).await;
        let remedy = s3_error::remedy(status, &parts.headers, error.as_ref());
        let mended = match remedy {
            Remedy::GiveUp => false,
            Remedy::RefreshCredentials => match signer {
                Some(used) if journey.once(Chance::Credentials) => self.renewed(used).await,
                _ => false,
            },
            Remedy::CorrectClock { server_time } => {
                journey.once(Chance::Clock) && self.correct_clock(server_time)
            }
            Remedy::CorrectRegion(region) => {
                // "Use once, never remember" (s3 §2.9): the name of a new bucket has not settled yet.
                let lasting = status != StatusCode::TEMPORARY_REDIRECT.as_u16();
                journey.once(Chance::Region) && self.correct_region(journey, &region, lasting)
            }
            Remedy::BackOff => {
                let again = journey.once(Chance::BackOff);
                if again {
                    tokio::time::sleep(back_off(&parts.headers)).await;
                }
                again
            }
        };
        if mended {
            return Ok(Attempt::Again);
        }
        let cause = s3_error::classify(status, error.as_ref());
        let code = error.map(|error| error.code.as_str().into());
        let fields = Arc::new(response::lasting(&parts.headers));
        tracing::debug!(origin = %self.label, status, cause = cause.as_str(), "the origin refused");
        Err(OriginError::Refused { status, cause, code, fields })
    }

    /// A body that is longer than the limit, or breaks off, is read as far as that: its code comes first.
    async fn error_body(&self, incoming: Incoming, lease: Lease) -> Option<S3Error> {
        let mut body = OriginBody::new(incoming, lease, self.config.read_timeout, self.metrics.clone());
        let mut read = BytesMut::new();
        while read.len() < MAX_ERROR_BODY
            && let Some(Ok(bytes)) = body.next().await
        {
            read.extend_from_slice(&bytes);
        }
        s3_error::parse(&read)
    }

    /// `false`: there are no others to try than those that were refused.
    async fn renewed(&self, used: &Arc<Credentials>) -> bool {
        self.credentials.refresh(used).await;
        self.credentials.current(SystemTime::now()).is_some_and(|current| !Arc::ptr_eq(&current, used))
    }

    fn corrected(&self, now: SystemTime) -> SystemTime {
        let offset = self.clock_offset.load(Ordering::Relaxed);
        let magnitude = Duration::from_millis(offset.unsigned_abs());
        if offset < 0 { now.checked_sub(magnitude).unwrap_or(UNIX_EPOCH) } else { now + magnitude }
    }

    /// `false`: no clock is that wrong.
    fn correct_clock(&self, server_time: SystemTime) -> bool {
        let Some(offset) = skew(server_time, SystemTime::now()) else { return false };
        self.clock_offset.store(offset, Ordering::Relaxed);
        tracing::warn!(origin = %self.label, offset_ms = offset, "this machine's clock is off; signing by the origin's");
        true
    }

    /// Goes on to where the bucket is said to be; it is remembered once it has answered there. `false`: there is
    /// nothing new in it.
    fn correct_region(&self, journey: &mut Journey, region: &str, lasting: bool) -> bool {
        if region == &*journey.place.region {
            return false;
        }
        let known = self.place.load_full();
        if region == &*known.region {
            journey.place = known; // another fetch has found it meanwhile
            return true;
        }
        let endpoint = moved(&journey.place.endpoint, &journey.place.region, region);
        let pool = if endpoint == journey.place.endpoint {
            Arc::clone(&journey.place.pool)
        } else {
            match Pool::new(&endpoint, &self.tls) {
                Ok(pool) => pool,
                Err(_) => return false,
            }
        };
        tracing::warn!(origin = %self.label, configured = %self.config.region, actual = region,
            "the bucket is in another Region; set `region` in the configuration");
        journey.place = Arc::new(Place { region: region.into(), endpoint, pool });
        journey.remember = lasting;
        true
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
