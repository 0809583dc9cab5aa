//! One fetch on its way: where it asks, what may still be tried, and what its answers teach. Pure but for the pool that
//! a place carries along.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::error::OriginError;
use super::pool::Pool;
use crate::config::Endpoint;

/// Where a bucket is.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) region: Arc<str>,
    pub(super) endpoint: Endpoint,
    pub(super) pool: Arc<Pool>,
}

/// A server time further off than this is no correction but nonsense.
const MAX_SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// What may be tried once more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chance {
    StaleConnection = 1,
    Credentials = 2,
    Clock = 4,
    Region = 8,
    BackOff = 16,
}

/// One fetch on its way: where it asks, and the attempts that are left of it.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) place: Arc<Place>,
    /// `place` is a new one, for all later fetches too, if it answers.
    pub(super) remember: bool,
    /// Connection attempts and read timeouts together (behaviour §8.7).
    attempts: u8,
    used: u8,
    /// No idle connection any more.
    pub(super) fresh: bool,
}

impl Journey {
    pub(super) fn new(place: Arc<Place>, attempts: u8) -> Self {
        Self { place, remember: false, attempts, used: 0, fresh: false }
    }

    pub(super) fn once(&mut self, chance: Chance) -> bool {
        let first = self.used & chance as u8 == 0;
        self.used |= chance as u8;
        first
    }

    /// The connection was idle for too long: not an attempt, but only once, and on a fresh one (s3 §2.15).
    pub(super) fn stale_connection(&mut self) -> bool {
        self.fresh = true;
        self.once(Chance::StaleConnection)
    }

    /// One attempt is gone; the error when it was the last.
    pub(super) fn spend(&mut self, error: OriginError) -> Result<(), OriginError> {
        self.fresh = true;
        self.attempts = self.attempts.saturating_sub(1);
        if self.attempts == 0 { Err(error) } else { Ok(()) }
    }
}

/// Milliseconds that `theirs` is ahead of `ours`; `None` when that is nonsense.
pub(super) fn skew(theirs: SystemTime, ours: SystemTime) -> Option<i64> {
    let millis = |d: Duration| (d <= MAX_SKEW).then(|| i64::try_from(d.as_millis()).ok()).flatten();
    match theirs.duration_since(ours) {
        Ok(ahead) => millis(ahead),
        Err(behind) => millis(behind.duration()).map(|millis| -millis),
    }
}

/// The same endpoint in another Region; one that was not made from a Region stays (s3 §3).
pub(super) fn moved(endpoint: &Endpoint, from: &str, to: &str) -> Endpoint {
    let label = format!(".{from}.");
    match endpoint.host.rfind(&label) {
        Some(at) if endpoint.regional => {
            let (before, after) = (&endpoint.host[..at], &endpoint.host[at + label.len()..]);
            Endpoint { host: format!("{before}.{to}.{after}").into(), ..endpoint.clone() }
        }
        _ => endpoint.clone(),
    }
}

/// How long to wait before the one retry: what the origin asks for, within reason, or a little, spread out so that
/// those who were throttled together do not come back together (s3 §2.16).
pub(super) fn back_off(headers: &HeaderMap) -> Duration {
    const LONGEST: Duration = Duration::from_secs(2);
    let asked = headers.get("x-amz-retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    match asked.map(Duration::from_millis) {
        Some(asked) => asked.min(LONGEST),
        None => Duration::from_millis(50 + fastrand::u64(0..200)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;
    use rustls::ClientConfig;

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
        let endpoint =
            Endpoint { tls: false, host: "h".into(), port: None, path_style: true, regional: false };
        let tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let pool = Pool::new(&endpoint, &Arc::new(tls), Duration::ZERO).unwrap();
        let mut journey = Journey::new(Arc::new(Place { region: "r".into(), endpoint, pool }), 3);
        assert!(journey.once(Chance::Clock) && !journey.once(Chance::Clock));
        assert!(journey.once(Chance::Region), "another kind has a chance of its own");
        assert!(journey.stale_connection() && !journey.stale_connection());
        assert!(journey.fresh, "the retry must not take another idle connection (s3 §2.15)");
        assert!(matches!(journey.spend(OriginError::ReadTimeout), Ok(())));
        assert!(matches!(journey.spend(OriginError::ReadTimeout), Ok(())));
        assert!(matches!(journey.spend(OriginError::ReadTimeout), Err(OriginError::ReadTimeout))); // behaviour §8.7
    }

    #[test]
    fn a_clock_is_corrected_within_reason() {
        let ours = UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(skew(ours + Duration::from_secs(3600), ours), Some(3_600_000));
        assert_eq!(skew(ours - Duration::from_secs(60), ours), Some(-60_000));
        // It used to be believed, and no later signature could be made to find out.
        assert_eq!(skew(UNIX_EPOCH + Duration::from_secs(253_402_300_799), ours), None);
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
