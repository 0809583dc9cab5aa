//! The only caller of `now()` on the request path: everything that decides takes its time as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time in whole milliseconds since the Unix epoch: what freshness is reckoned in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1000)
    }

    /// Times before the epoch become the epoch.
    #[must_use]
    pub fn from_system_time(time: SystemTime) -> Self {
        let millis = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Later by `delta`, or the end of time.
    #[must_use]
    pub fn after(self, delta: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(delta.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The time now.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_system_time(SystemTime::now())
}
