//! The only reader of the clocks on the request path: everything that decides takes its time as an argument.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

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

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// For how long something takes.
    pub instant: Instant,
    /// For what time it is.
    pub wall: SystemTime,
}

impl Moment {
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_system_time(self.wall)
    }
}

/// Both clocks for the price of one: the time of day is reckoned from when this thread last looked, a second ago at most,
/// so that a clock that was set is followed.
#[must_use]
pub fn read() -> Moment {
    thread_local!(static ANCHOR: Cell<Option<Moment>> = const { Cell::new(None) });
    let instant = Instant::now();
    if let Some(moment) = ANCHOR.get().and_then(|anchor| reckon(anchor, instant)) {
        return moment;
    }
    let anchor = look();
    ANCHOR.set(Some(anchor));
    anchor
}

/// How long an [`ANCHOR`](read) holds.
const ANCHORED: Duration = Duration::from_secs(1);
/// How far apart the readings of both clocks may be, to be called one moment.
const ONE_MOMENT: Duration = Duration::from_micros(50);

fn reckon(anchor: Moment, instant: Instant) -> Option<Moment> {
    let since = instant.checked_duration_since(anchor.instant).filter(|since| *since < ANCHORED)?;
    Some(Moment { instant, wall: anchor.wall.checked_add(since)? })
}

/// Again, a few times, when the thread was held up between the two.
fn look() -> Moment {
    let mut tries = 0;
    loop {
        let moment = Moment { instant: Instant::now(), wall: SystemTime::now() };
        tries += 1;
        if tries == 4 || moment.instant.elapsed() < ONE_MOMENT {
            return moment;
        }
    }
}

/// The last second that four digits of year can say.
pub const END_OF_9999: u64 = 253_402_300_799;

/// As a `Date` field has it: IMF-fixdate (RFC 9110 §5.6.7). Parts of a second are dropped; times after the year 9999
/// become its end. Written once a second and thread.
#[must_use]
pub fn date(at: Timestamp) -> [u8; 29] {
    with_date(at, |date| date.text)
}

/// [`date`] for a header map: a copy of the thread's own.
#[must_use]
pub fn date_value(at: Timestamp) -> HeaderValue {
    with_date(at, |date| date.value.clone())
}

struct Date {
    secs: u64,
    text: [u8; 29],
    value: HeaderValue,
}

impl Date {
    fn of(secs: u64) -> Self {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs));
        let text = date.as_bytes().try_into().expect("an IMF-fixdate has 29 characters");
        Self { secs, text, value: HeaderValue::try_from(date).expect("a date is visible ASCII") }
    }
}

fn with_date<T>(at: Timestamp, read: impl FnOnce(&Date) -> T) -> T {
    thread_local!(static LAST: RefCell<Date> = RefCell::new(Date::of(0)));
    let secs = at.as_secs().min(END_OF_9999);
    LAST.with_borrow_mut(|last| {
        if last.secs != secs {
            *last = Date::of(secs);
        }
        read(last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_agrees_with_both_clocks() {
        for _ in 0..1000 {
            let (earliest, wall_before) = (Instant::now(), SystemTime::now());
            let moment = read();
            let (latest, wall_after) = (Instant::now(), SystemTime::now());
            assert!(earliest <= moment.instant && moment.instant <= latest);
            // What `look` allows for, and as much for a clock that is being slewed.
            let slack = Duration::from_millis(1);
            assert!(wall_before - slack <= moment.wall && moment.wall <= wall_after + slack);
        }
    }

    #[test]
    fn the_time_of_day_is_reckoned_for_a_second() {
        let anchor =
            Moment { instant: Instant::now(), wall: UNIX_EPOCH + Duration::from_secs(1_764_000_000) };
        let later = |millis| anchor.instant + Duration::from_millis(millis);
        let soon = reckon(anchor, later(999)).unwrap();
        assert_eq!(soon.instant, later(999));
        assert_eq!(soon.timestamp(), Timestamp(1_764_000_000_999));
        assert_eq!(reckon(anchor, later(1000)), None);
        let earlier = anchor.instant.checked_sub(Duration::from_nanos(1)).unwrap();
        assert_eq!(reckon(anchor, earlier), None);
    }

    #[test]
    fn a_date_is_that_of_its_second() {
        for (millis, text) in [
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            assert_eq!(date(Timestamp(millis)), text.as_bytes(), "{millis}");
            assert_eq!(date_value(Timestamp(millis)), text, "{millis}");
        }
    }
}
