//! One fetch per key: who comes first leads, the others follow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Key;
use super::fill::{Filling, Reader};
use super::invalidations::{Invalidations, Number};
use super::object::{Head, Object, Variant};
use super::slices::Open;
use crate::clock::Timestamp;
use crate::origin::OriginResponse;
use crate::origin::error::OriginError;
use crate::origin::response::Timing;
use crate::policy::admission::NotStored;
use crate::policy::freshness::Lifetime;

/// The fetches that are under way.
#[derive(Debug, Default)]
pub struct Inflight {
    flights: Mutex<HashMap<Key, Arc<Flight>>>,
    invalidations: Arc<Invalidations>,
}

/// A fetch, as those who wait for it see it.
#[derive(Debug)]
pub struct Flight {
    news: watch::Sender<News>,
    /// The last invalidation before it began.
    since: Number,
}

/// How far a fetch has come.
#[derive(Debug, Clone)]
pub enum News {
    /// Nothing has come yet.
    Waiting,
    /// The head is here, the body is arriving and may be kept.
    Arriving(Arc<Arriving>),
    /// A whole object: confirmed by the origin, stale in its stead, or found after all.
    Ready(Arc<Object>, Whence),
    /// The head of a large object, and the answer that brought it, at its first byte or further on.
    Sliced(Arc<Object>, Takeable<Open>),
    /// The origin gave no object.
    Failed(OriginError),
    /// The same, but this is only said to the one who asked. The others fetch for themselves.
    FailedForOne(OriginError),
    /// It is for one viewer only: the one who asked, or whoever takes it. The others fetch for themselves.
    Released(NotStored, Takeable<OriginResponse>, Taker),
}

/// An object on its way in.
#[derive(Debug)]
pub struct Arriving {
    pub head: Head,
    pub lifetime: Lifetime,
    /// When the head had arrived.
    pub at: Timestamp,
    /// What the origin took.
    pub timing: Timing,
    pub body: Arc<Filling>,
    /// Which variant it is: not every viewer who waits under its key may have it.
    pub variant: Option<Arc<Variant>>,
    /// Without the fields that are only for the viewer who asked (RFC 9111 §5.2.2.4).
    pub head_for_others: Head,
    /// At the first byte, for those who have not taken a reader yet. It lives for as long as one of them might, so that
    /// a window does not move on without them.
    _place: Option<Reader>,
}

impl Arriving {
    #[must_use]
    pub fn new(head: Head, lifetime: Lifetime, at: Timestamp, timing: Timing, body: Arc<Filling>) -> Self {
        let place = body.reader(0, None);
        let head_for_others = head.clone();
        Self { head, head_for_others, lifetime, at, timing, body, variant: None, _place: place }
    }

    /// As [`Object::age`].
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Duration {
        self.lifetime.initial_age.saturating_add(now.since(self.at))
    }
}

/// Where a ready object came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whence {
    /// The cache had it by the time the fetch would have begun.
    Cache,
    /// The origin said 304.
    Confirmed,
    /// The origin failed; the object is past its time.
    Stale,
}

/// Who may take what is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taker {
    /// It may be about the viewer who asked.
    Leader,
    /// It is the same for all.
    Anyone,
}

/// Something that one of many may take, once.
#[derive(Debug)]
pub struct Takeable<T>(Arc<Mutex<Option<T>>>);

impl<T> Takeable<T> {
    #[must_use]
    pub fn new(it: Option<T>) -> Self {
        Self(Arc::new(Mutex::new(it)))
    }

    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T> Clone for Takeable<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What a viewer becomes by joining.
#[derive(Debug)]
pub enum Joined {
    Lead(Lead, Arc<Flight>),
    Follow(Arc<Flight>),
}

impl Inflight {
    #[must_use]
    pub fn new(invalidations: Arc<Invalidations>) -> Self {
        Self { flights: Mutex::default(), invalidations }
    }

    /// A fetch that began before an invalidation of its key is for those who wait for it already.
    #[must_use]
    pub fn join(self: &Arc<Self>, key: &Key) -> Joined {
        let since = self.invalidations.latest();
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key)
            && !self.invalidations.hit_fetch(key, flight.since)
        {
            return Joined::Follow(Arc::clone(flight));
        }
        let flight = Arc::new(Flight { news: watch::Sender::new(News::Waiting), since });
        flights.insert(Key::clone(key), Arc::clone(&flight));
        let lead = Lead { inflight: Arc::clone(self), key: Key::clone(key), flight: Arc::clone(&flight) };
        Joined::Lead(lead, flight)
    }

    /// A fetch for one viewer, that nobody joins: of what is never fresh (behaviour §5.7).
    #[must_use]
    pub fn alone(self: &Arc<Self>, key: &Key) -> (Lead, Arc<Flight>) {
        let since = self.invalidations.latest();
        let flight = Arc::new(Flight { news: watch::Sender::new(News::Waiting), since });
        let (inflight, key) = (Arc::clone(self), Key::clone(key));
        (Lead { inflight, key, flight: Arc::clone(&flight) }, flight)
    }

    /// Fetches under way now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Flight {
    /// Waits for the first news.
    pub async fn news(&self) -> News {
        let mut news = self.news.subscribe();
        match news.wait_for(|news| !matches!(news, News::Waiting)).await {
            Ok(news) => news.clone(),
            // The sender lives in `self`.
            Err(_) => News::Failed(OriginError::Abandoned),
        }
    }
}

/// The duty to bring a key's object. Dropping it ends the flight: whoever waits without news is told that it failed,
/// so a leader that is cancelled or panics never hangs its followers.
#[derive(Debug)]
pub struct Lead {
    inflight: Arc<Inflight>,
    key: Key,
    flight: Arc<Flight>,
}

impl Lead {
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The last invalidation before this fetch began.
    #[must_use]
    pub fn since(&self) -> Number {
        self.flight.since
    }

    pub fn tell(&self, news: News) {
        self.flight.news.send_replace(news);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut flights = self.inflight.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
            flights.remove(&self.key);
        }
        drop(flights);
        self.flight.news.send_if_modified(|news| {
            let silent = matches!(news, News::Waiting);
            if silent {
                *news = News::Failed(OriginError::Abandoned);
            }
            silent
        });
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use http_body_util::BodyExt;
    use tokio::time::timeout;

    use super::super::fill;
    use super::*;
    use crate::policy::invalidation;

    fn key(text: &str) -> Key {
        Key::from(text)
    }

    #[tokio::test]
    async fn the_first_leads_and_the_others_follow_until_it_ends() {
        let inflight = Arc::new(Inflight::default());
        let Joined::Lead(lead, _) = inflight.join(&key("a")) else { panic!("the first must lead") };
        assert!(matches!(inflight.join(&key("a")), Joined::Follow(_)));
        assert!(matches!(inflight.join(&key("b")), Joined::Lead(..)));
        drop(lead);
        assert!(matches!(inflight.join(&key("a")), Joined::Lead(..)));
    }

    #[tokio::test]
    async fn who_fetches_alone_is_joined_by_nobody_and_ends_nobody_elses_fetch() {
        let inflight = Arc::new(Inflight::default());
        let Joined::Lead(lead, _) = inflight.join(&key("a")) else { panic!("the first must lead") };
        let (alone, flight) = inflight.alone(&key("a"));
        let (_another, _) = inflight.alone(&key("a"));
        drop(alone);
        assert!(matches!(flight.news().await, News::Failed(OriginError::Abandoned)));
        assert!(matches!(inflight.join(&key("a")), Joined::Follow(_)), "the first is still under way");
        drop(lead);
        assert!(inflight.is_empty());
    }

    #[tokio::test]
    async fn nobody_follows_a_fetch_that_began_before_an_invalidation() {
        let invalidations = Arc::new(Invalidations::default());
        let inflight = Arc::new(Inflight::new(Arc::clone(&invalidations)));
        let Joined::Lead(old, _) = inflight.join(&key("d\n/a")) else { panic!("the first must lead") };
        let Joined::Lead(_other, _) = inflight.join(&key("d\n/b")) else { panic!("the first must lead") };
        invalidations.add("d", &[invalidation::parse("/a").unwrap()], Timestamp::default());
        let Joined::Lead(new, _) = inflight.join(&key("d\n/a")) else { panic!("the old one is too old") };
        assert_eq!((old.since(), new.since()), (0, 1));
        assert!(matches!(inflight.join(&key("d\n/b")), Joined::Follow(_)));
        drop(old);
        assert!(matches!(inflight.join(&key("d\n/a")), Joined::Follow(_)), "the new one is still under way");
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_does_not_move_on_without_those_who_have_yet_to_read() {
        let inflight = Arc::new(Inflight::default());
        let Joined::Lead(lead, flight) = inflight.join(&key("a")) else { panic!("the first must lead") };
        let (mut writer, body) = fill::begin(None);
        let head = Head::new(StatusCode::OK, &HeaderMap::new());
        let arriving =
            Arriving::new(head, Lifetime::default(), Timestamp::default(), Timing::default(), body);
        lead.tell(News::Arriving(Arc::new(arriving)));
        drop(lead);
        writer.push(vec![0; 2 << 20].into());
        writer.become_window();

        let News::Arriving(arriving) = flight.news().await else { panic!("it is arriving") };
        let mut quick = arriving.body.reader(0, None).unwrap();
        assert_eq!(quick.frame().await.unwrap().unwrap().data_ref().unwrap().len(), 2 << 20);
        assert!(timeout(Duration::from_secs(1), writer.room()).await.is_err(), "another may still come");
        let late = arriving.body.reader(0, None).expect("all of it is still there");
        drop((arriving, flight, late));
        assert!(timeout(Duration::from_secs(1), writer.room()).await.expect("all have come and read"));
    }

    #[tokio::test]
    async fn a_lost_leader_frees_its_followers() {
        let inflight = Arc::new(Inflight::default());
        let Joined::Lead(lead, _) = inflight.join(&key("a")) else { panic!("the first must lead") };
        let Joined::Follow(flight) = inflight.join(&key("a")) else { panic!("the second must follow") };
        let follower = tokio::spawn(async move { flight.news().await });
        drop(lead);
        assert!(matches!(follower.await.unwrap(), News::Failed(OriginError::Abandoned)));
        assert!(inflight.is_empty());
    }
}
