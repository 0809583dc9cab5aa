//! The way to a bucket: ask, sign, send, and make sense of what comes back.

pub mod body;
pub mod credentials;
pub mod error;
pub mod kms;
pub mod pool;
pub mod request;
pub mod response;
pub mod s3_error;
pub mod session_policy;
pub mod sigv4;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use rustls::ClientConfig;

use crate::clock;
use crate::config::{self, Endpoint};
use crate::observe::metrics::OriginMetrics;
use body::OriginBody;
use credentials::CredentialSource;
use error::OriginError;
use pool::{Lease, Pool};
pub use request::Ask;
pub use response::OriginResponse;
use s3_error::{Remedy, S3Error};
use sigv4::{Decision, Scope};

/// An error body is read up to here (s3 §2.10).
const MAX_ERROR_BODY: usize = 64 << 10;

/// A bucket that is asked for objects.
#[derive(Debug)]
pub struct Origin {
    config: Arc<config::Origin>,
    /// Where it is; replaced when S3 says that the bucket lives in another Region (s3 §2.9).
    place: ArcSwap<Place>,
    tls: Arc<ClientConfig>,
    credentials: Arc<CredentialSource>,
    /// Milliseconds that S3's clock is ahead of ours (s3 §1.7).
    clock_offset: AtomicI64,
    user_agent: HeaderValue,
    metrics: OriginMetrics,
    contact: AtomicU8,
}

#[derive(Debug)]
struct Place {
    region: Arc<str>,
    endpoint: Endpoint,
    pool: Arc<Pool>,
}

impl Origin {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// [`OriginError::Tls`] when the host is no name that a certificate could be verified for.
    pub fn new(
        config: Arc<config::Origin>,
        tls: Arc<ClientConfig>,
        credentials: Arc<CredentialSource>,
        user_agent: HeaderValue,
        metrics: OriginMetrics,
    ) -> Result<Self, OriginError> {
        let pool = Pool::new(&config.endpoint, &tls)?;
        let place = Place { region: Arc::clone(&config.region), endpoint: config.endpoint.clone(), pool };
        Ok(Self {
            config,
            place: ArcSwap::from_pointee(place),
            tls,
            credentials,
            clock_offset: AtomicI64::new(0),
            user_agent,
            metrics,
            contact: AtomicU8::new(Contact::None as u8),
        })
    }

    /// It has not been asked yet, or its last question was answered, be it with a refusal.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        self.contact.load(Ordering::Relaxed) != Contact::Failed as u8
    }

    /// How the last question ended, for a person.
    #[must_use]
    pub fn last_contact(&self) -> &'static str {
        match self.contact.load(Ordering::Relaxed) {
            contact if contact == Contact::Failed as u8 => "the last request got no answer",
            contact if contact == Contact::Answered as u8 => "answers",
            _ => "not asked yet",
        }
    }

    #[must_use]
    pub fn config(&self) -> &config::Origin {
        &self.config
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
        let mut chances = Chances::new(self.config.connection_attempts);
        loop {
            let started = Instant::now();
            let failure = match self.attempt(ask, &mut chances).await {
                Ok(Attempt::Answer(answer)) => {
                    self.contact.store(Contact::Answered as u8, Ordering::Relaxed);
                    self.metrics.answered(answer.status.as_u16(), started.elapsed());
                    return Ok(*answer);
                }
                Ok(Attempt::Again) => continue,
                Err(failure) => failure,
            };
            let contact = if matches!(failure, OriginError::Refused { .. }) {
                Contact::Answered
            } else {
                Contact::Failed
            };
            if failure.came_from_origin() {
                self.contact.store(contact as u8, Ordering::Relaxed);
            }
            match &failure {
                OriginError::Refused { status, cause, .. } => {
                    self.metrics.answered(*status, started.elapsed());
                    if matches!(status, 400 | 401 | 403) {
                        self.metrics.denied(cause.as_str());
                    }
                }
                other => self.metrics.failed(other.label()),
            }
            tracing::debug!(origin = %self.config.id, error = %failure, "origin fetch failed");
            return Err(failure);
        }
    }

    async fn attempt(&self, ask: &Ask, chances: &mut Chances) -> Result<Attempt, OriginError> {
        let place = self.place.load_full();
        let mut lease = match self.connection(&place, chances).await? {
            Some(lease) => lease,
            None => return Ok(Attempt::Again),
        };
        // Signed when it is sent: a token may have been renewed while this waited (s3 §1.7).
        let (head, signer) = self.signed_head(ask, &place)?;
        let request = Request::from_parts(head, Empty::<Bytes>::new());
        let response =
            match tokio::time::timeout(self.config.read_timeout, lease.sender.send_request(request)).await {
                // Only what is safe and small to ask again (behaviour §8.7).
                Err(_) if ask.method == Method::OPTIONS => return Err(OriginError::ReadTimeout),
                Err(_) => return chances.spend(OriginError::ReadTimeout),
                Ok(Err(error)) if error.is_parse() || error.is_parse_status() => {
                    return Err(OriginError::InvalidResponse("not HTTP"));
                }
                Ok(Err(_)) if lease.reused && chances.stale_connection() => return Ok(Attempt::Again),
                Ok(Err(_)) => return chances.spend(OriginError::ConnectionLost),
                Ok(Ok(response)) => response,
            };
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            response::check(ask, status, response.headers())?;
            return Ok(Attempt::Answer(Box::new(self.answer(ask, response, lease))));
        }
        self.refused(response, lease, signer.as_ref(), &place, chances).await
    }

    /// An idle connection, or a new one. `None`: that failed, but another attempt is left.
    async fn connection(&self, place: &Place, chances: &mut Chances) -> Result<Option<Lease>, OriginError> {
        if !chances.fresh
            && let Some(lease) = place.pool.idle()
        {
            return Ok(Some(lease));
        }
        match place.pool.connect(self.config.connection_timeout).await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) => chances.spend(error).map(|_| None),
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
                    tracing::warn!(origin = %self.config.id, %error, "cannot sign");
                    OriginError::Unsignable
                })?;
                Ok((head, Some(credentials)))
            }
        }
    }

    fn answer(&self, ask: &Ask, response: Response<Incoming>, lease: Lease) -> OriginResponse {
        let (parts, incoming) = response.into_parts();
        let framed = response::is_framed(&ask.method, parts.status, &parts.headers);
        let length = response::content_length(&parts.headers);
        let mut headers = parts.headers;
        response::sanitize(&mut headers);
        let body = OriginBody::new(incoming, lease, self.config.read_timeout, self.metrics.clone());
        OriginResponse { status: parts.status, headers, length, framed, received_at: clock::now(), body }
    }

    /// Reads the error, and mends what can be mended once.
    async fn refused(
        &self,
        response: Response<Incoming>,
        lease: Lease,
        signer: Option<&Arc<Credentials>>,
        place: &Place,
        chances: &mut Chances,
    ) -> Result<Attempt, OriginError> {
        let status = response.status().as_u16();
        let (parts, incoming) = response.into_parts();
        let error = self.error_body(incoming, lease).await;
        let remedy = s3_error::remedy(status, &parts.headers, error.as_ref());
        let mended = match remedy {
            Remedy::GiveUp => false,
            Remedy::RefreshCredentials => match signer {
                Some(used) if chances.once(Chance::Credentials) => self.renewed(used).await,
                _ => false,
            },
            Remedy::CorrectClock { server_time } => {
                chances.once(Chance::Clock) && self.correct_clock(server_time)
            }
            Remedy::CorrectRegion(region) => {
                chances.once(Chance::Region) && self.correct_region(place, &region)
            }
            Remedy::BackOff => {
                let again = chances.once(Chance::BackOff);
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
        tracing::debug!(origin = %self.config.id, status, cause = cause.as_str(), "the origin refused");
        Err(OriginError::Refused { status, cause, code, fields })
    }

    async fn error_body(&self, incoming: Incoming, lease: Lease) -> Option<S3Error> {
        let body = OriginBody::new(incoming, lease, self.config.read_timeout, self.metrics.clone());
        let body = Limited::new(body, MAX_ERROR_BODY).collect().await.ok()?.to_bytes();
        s3_error::parse(&body)
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

    fn correct_clock(&self, server_time: SystemTime) -> bool {
        let now = SystemTime::now();
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        let offset = match server_time.duration_since(now) {
            Ok(ahead) => millis(ahead),
            Err(behind) => -millis(behind.duration()),
        };
        self.clock_offset.store(offset, Ordering::Relaxed);
        tracing::warn!(origin = %self.config.id, offset_ms = offset, "this machine's clock is off; signing by the origin's");
        true
    }

    /// `false`: there is nothing new in it.
    fn correct_region(&self, place: &Place, region: &str) -> bool {
        if region == &*place.region {
            return false;
        }
        let endpoint = moved(&place.endpoint, &place.region, region);
        let pool = if endpoint == place.endpoint {
            Arc::clone(&place.pool)
        } else {
            match Pool::new(&endpoint, &self.tls) {
                Ok(pool) => pool,
                Err(_) => return false,
            }
        };
        tracing::warn!(origin = %self.config.id, configured = %place.region, actual = region,
            "the bucket is in another Region; set `region` in the configuration");
        self.place.store(Arc::new(Place { region: region.into(), endpoint, pool }));
        true
    }
}

/// The same endpoint in another Region; one that was not made from a Region stays (s3 §3).
fn moved(endpoint: &Endpoint, from: &str, to: &str) -> Endpoint {
    let label = format!(".{from}.");
    match endpoint.host.rfind(&label) {
        Some(at) if endpoint.regional => {
            let (before, after) = (&endpoint.host[..at], &endpoint.host[at + label.len()..]);
            Endpoint { host: format!("{before}.{to}.{after}").into(), ..endpoint.clone() }
        }
        _ => endpoint.clone(),
    }
}

/// How the last question to the origin ended.
#[derive(Debug, Clone, Copy)]
enum Contact {
    None,
    Answered,
    Failed,
}

enum Attempt {
    Answer(Box<OriginResponse>),
    Again,
}

/// What may be tried once more.
#[derive(Debug, Clone, Copy)]
enum Chance {
    StaleConnection = 1,
    Credentials = 2,
    Clock = 4,
    Region = 8,
    BackOff = 16,
}

/// The attempts that are left of a fetch.
#[derive(Debug)]
struct Chances {
    /// Connection attempts and read timeouts together (behaviour §8.7).
    attempts: u8,
    used: u8,
    /// No idle connection any more.
    fresh: bool,
}

impl Chances {
    fn new(attempts: u8) -> Self {
        Self { attempts, used: 0, fresh: false }
    }

    fn once(&mut self, chance: Chance) -> bool {
        let first = self.used & chance as u8 == 0;
        self.used |= chance as u8;
        first
    }

    /// The connection was idle for too long: not an attempt, but only once, and on a fresh one (s3 §2.15).
    fn stale_connection(&mut self) -> bool {
        self.fresh = true;
        self.once(Chance::StaleConnection)
    }

    /// One attempt is gone; the error when it was the last.
    fn spend(&mut self, error: OriginError) -> Result<Attempt, OriginError> {
        self.fresh = true;
        self.attempts = self.attempts.saturating_sub(1);
        if self.attempts == 0 { Err(error) } else { Ok(Attempt::Again) }
    }
}

/// How long to wait before the one retry: what the origin asks for, within reason, or a little, spread out so that
/// those who were throttled together do not come back together (s3 §2.16).
fn back_off(headers: &HeaderMap) -> Duration {
    const LONGEST: Duration = Duration::from_secs(2);
    let asked = headers.get("x-amz-retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    match asked.map(Duration::from_millis) {
        Some(asked) => asked.min(LONGEST),
        None => Duration::from_millis(50 + fastrand::u64(0..200)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learned_region_moves_the_endpoint() {
        let endpoint = |host: &str, regional| Endpoint {
            tls: true,
            host: host.into(),
            port: None,
            path_style: false,
            regional,
        };
        let table = [
            ("b.s3.us-east-1.amazonaws.com", true, "b.s3.eu-west-1.amazonaws.com"),
            ("s3.us-east-1.amazonaws.com", true, "s3.eu-west-1.amazonaws.com"),
            ("minio.us-east-1.internal", false, "minio.us-east-1.internal"),
        ];
        for (host, regional, expected) in table {
            assert_eq!(&*moved(&endpoint(host, regional), "us-east-1", "eu-west-1").host, expected);
        }
    }

    #[test]
    fn each_second_chance_comes_once_and_attempts_run_out() {
        let mut chances = Chances::new(3);
        assert!(chances.once(Chance::Clock) && !chances.once(Chance::Clock));
        assert!(chances.once(Chance::Region), "another kind has a chance of its own");
        assert!(chances.stale_connection() && !chances.stale_connection());
        assert!(chances.fresh, "the retry must not take another idle connection (s3 §2.15)");
        assert!(matches!(chances.spend(OriginError::ReadTimeout), Ok(Attempt::Again)));
        assert!(matches!(chances.spend(OriginError::ReadTimeout), Ok(Attempt::Again)));
        assert!(matches!(chances.spend(OriginError::ReadTimeout), Err(OriginError::ReadTimeout))); // behaviour §8.7
    }

    #[test]
    fn back_off_follows_the_origin_within_reason() {
        let asked = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-retry-after", HeaderValue::from_static(value));
            back_off(&headers)
        };
        assert_eq!(asked("120"), Duration::from_millis(120));
        assert_eq!(asked("60000"), Duration::from_secs(2));
        assert!((50..250).contains(&back_off(&HeaderMap::new()).as_millis()));
    }
}
