//! What is particular to a bucket: where it is, who asks, and what S3's errors teach (s3 §1.7, §2.9).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_credential_types::Credentials;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use rustls::ClientConfig;

use super::credentials::CredentialSource;
use super::error::OriginError;
use super::journey::{Chance, Journey, Place, back_off, moved, skew};
use super::pool::{self, Pool};
use super::request::{self, Ask};
use super::s3_error::Remedy;
use super::sigv4::{self, Decision, Scope, Signer};
use crate::config::{self, PayloadHash, S3Origin};

/// A bucket at run time.
#[derive(Debug)]
pub(super) struct S3 {
    /// Where it is; replaced when S3 says that the bucket lives in another Region (s3 §2.9).
    place: ArcSwap<Place>,
    credentials: Arc<CredentialSource>,
    /// Milliseconds that S3's clock is ahead of ours (s3 §1.7).
    clock_offset: AtomicI64,
    tls: Arc<ClientConfig>,
    user_agent: HeaderValue,
    label: Arc<str>,
    signer: Signer,
}

impl S3 {
    pub(super) fn new(
        config: &S3Origin,
        credentials: Arc<CredentialSource>,
        tls: Arc<ClientConfig>,
        user_agent: HeaderValue,
        label: Arc<str>,
    ) -> Result<Self, OriginError> {
        let pool = Pool::new(&config.endpoint, &tls, pool::IDLE)?;
        let place = Place { region: Arc::clone(&config.region), endpoint: config.endpoint.clone(), pool };
        let place = ArcSwap::from_pointee(place);
        Ok(Self {
            place,
            credentials,
            clock_offset: AtomicI64::new(0),
            tls,
            user_agent,
            label,
            signer: Signer::default(),
        })
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(super) fn credentials(&self) -> &Arc<CredentialSource> {
        &self.credentials
    }

    pub(super) fn place(&self) -> Arc<Place> {
        self.place.load_full()
    }

    /// The bucket has answered there.
    pub(super) fn remember(&self, place: &Arc<Place>) {
        self.place.store(Arc::clone(place));
    }

    /// What was refused may be mended, once for each kind of fault. `true`: ask again.
    pub(super) async fn mend(
        &self,
        config: &S3Origin,
        remedy: Remedy,
        (status, headers): (u16, &http::HeaderMap),
        signer: Option<&Arc<Credentials>>,
        journey: &mut Journey,
    ) -> bool {
        match remedy {
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
                journey.once(Chance::Region) && self.correct_region(config, journey, &region, lasting)
            }
            Remedy::BackOff => {
                let again = journey.once(Chance::BackOff);
                if again {
                    tokio::time::sleep(back_off(headers)).await;
                }
                again
            }
        }
    }

    /// The head, and who signed it.
    pub(super) fn signed_head(
        &self,
        ask: &Ask,
        (origin, s3): (&config::Origin, &S3Origin),
        place: &Place,
    ) -> Result<(Parts, Option<Arc<Credentials>>), OriginError> {
        let mut head = request::head(ask, (origin, s3), &place.endpoint, &self.user_agent)?;
        match sigv4::reaches_origin(s3.signing, ask.authorization.is_some()) {
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
                // A body is streamed, so nobody knows its hash when the head is sent (s3 §1.5).
                let payload = if ask.is_write() { PayloadHash::Unsigned } else { s3.payload_hash };
                let scope = Scope { region: &place.region, payload };
                self.signer.sign(&mut head, &credentials, scope, self.corrected(now)).map_err(|error| {
                    tracing::debug!(origin = %self.label, %error, "cannot sign");
                    OriginError::Unsignable
                })?;
                Ok((head, Some(credentials)))
            }
        }
    }

    /// `false`: there are no others to try than those that were refused.
    async fn renewed(&self, used: &Arc<Credentials>) -> bool {
        self.credentials.refresh(used).await;
        self.credentials.current(SystemTime::now()).is_some_and(|current| !Arc::ptr_eq(&current, used))
    }

    /// S3's time.
    pub(super) fn corrected(&self, now: SystemTime) -> SystemTime {
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
    fn correct_region(&self, config: &S3Origin, journey: &mut Journey, region: &str, lasting: bool) -> bool {
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
            match Pool::new(&endpoint, &self.tls, pool::IDLE) {
                Ok(pool) => pool,
                Err(_) => return false,
            }
        };
        tracing::warn!(origin = %self.label, configured = %config.region, actual = region,
            "the bucket is in another Region; set `region` in the configuration");
        journey.place = Arc::new(Place { region: region.into(), endpoint, pool });
        journey.remember = lasting;
        true
    }
}
