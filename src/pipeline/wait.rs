//! The viewer's side of a fetch: who wants a key that is not there begins one, or waits for the one that is under way, and
//! takes what it brings if that is what was wanted.

use std::sync::Arc;

use http::Method;
use http::header::RANGE;

use super::fill::Fetch;
use super::{Answer, Keys, Route, deliver, pass, sliced, story};
use crate::cache::inflight::{Flight, Joined, News, Taker, Whence};
use crate::cache::object::{Content, Object, Variant};
use crate::clock;
use crate::edge::Edge;
use crate::error::Refusal;
use crate::observe::record::ResultType;
use crate::origin::error::OriginError;
use crate::policy::cache_status::{Forward, Story};
use crate::policy::{collapse, vary};
use crate::semantics::range::{self, Spec};
use crate::semantics::view::View;

/// Gets the object from the fetch of its key that is under way, or begins one.
pub(super) async fn fetch(
    edge: &Arc<Edge>,
    route: Route,
    view: &View<'_>,
    keys: Keys,
    previous: Option<Arc<Object>>,
) -> Result<Answer, Refusal> {
    let why = match previous {
        Some(_) => Forward::Stale,
        None if keys.is_of_variant() => Forward::VaryMiss,
        None => Forward::UriMiss,
    };
    let (flight, leads) = match edge.store.inflight.join(&keys.own) {
        Joined::Lead(lead, flight) => {
            let fetch = Fetch::new(edge, route.clone(), view, &keys);
            tokio::spawn(fetch.bring(lead, previous, far_ahead(edge, view)));
            (flight, true)
        }
        Joined::Follow(_) if !collapse::may_share(&route.behavior) => {
            let answer = pass::pass(&route, view).await;
            return story::told(edge, answer, || Story::forwarded(why).because("not-shared"));
        }
        Joined::Follow(flight) => {
            edge.metrics.collapsed();
            (flight, false)
        }
    };
    Waiting { edge, route, view, keys, why, leads }.hear(flight).await
}

/// Asks about what is never fresh, for this viewer alone (behaviour §5.1, §5.7).
pub(super) async fn ask(
    edge: &Arc<Edge>,
    route: Route,
    view: &View<'_>,
    keys: Keys,
    object: Arc<Object>,
) -> Result<Answer, Refusal> {
    let (lead, flight) = edge.store.inflight.alone(&keys.own);
    let fetch = Fetch::new(edge, route.clone(), view, &keys);
    tokio::spawn(fetch.bring(lead, Some(object), None));
    Waiting { edge, route, view, keys, why: Forward::Stale, leads: true }.hear(flight).await
}

/// Serves an object that is there.
pub(super) async fn serve(
    edge: &Edge,
    route: &Route,
    view: &View<'_>,
    keys: &Keys,
    object: &Object,
    result: ResultType,
) -> Result<Answer, Refusal> {
    match object.content() {
        Content::Whole(pieces) => deliver::stored(view, object, pieces, clock::now(), result),
        Content::Sliced(layout) => {
            sliced::serve(edge, route, view, keys.of(object), object, layout, (None, result)).await
        }
    }
}

/// First and last byte of the slice in which a range begins that is not in the first one. Whoever wants the end of a
/// large object must not wait for its beginning.
fn far_ahead(edge: &Edge, view: &View<'_>) -> Option<(u64, u64)> {
    let asked = view.headers.get(RANGE).and_then(range::parse).filter(|_| view.method == Method::GET)?;
    let first = match asked {
        Spec::From(first) | Spec::FromTo(first, _) => first,
        Spec::Suffix(_) => return None, // whose first byte is known when the length is
    };
    let size = edge.store.slice_size;
    (first >= size.max(deliver::WAIT_AHEAD)).then(|| {
        let begin = first / size * size;
        (begin, begin.saturating_add(size - 1))
    })
}

/// Asks the origin about an object that is served meanwhile (behaviour §5.2).
pub(super) fn refresh(edge: &Arc<Edge>, route: &Route, view: &View<'_>, keys: &Keys, object: &Arc<Object>) {
    if let Joined::Lead(lead, _) = edge.store.inflight.join(&keys.own) {
        let fetch = Fetch::new(edge, route.clone(), view, keys);
        tokio::spawn(fetch.bring(lead, Some(Arc::clone(object)), None));
    }
}

/// A viewer who waits for a fetch.
struct Waiting<'a, 'v> {
    edge: &'a Arc<Edge>,
    route: Route,
    view: &'a View<'v>,
    keys: Keys,
    /// Why the fetch had to be.
    why: Forward,
    /// The fetch is this viewer's.
    leads: bool,
}

impl Waiting<'_, '_> {
    /// Whoever turns away lets go of the flight and its news first: with them a body waits for who has yet to read it.
    async fn hear(self, flight: Arc<Flight>) -> Result<Answer, Refusal> {
        let Self { edge, view, leads, .. } = self;
        let result = if leads { ResultType::Miss } else { ResultType::Hit };
        let miss = Story::forwarded(self.why).collapsed(!leads);
        let news = flight.news().await;
        drop(flight);
        match news {
            News::Arriving(arriving) if self.may_have(arriving.variant.as_deref()) => {
                let now = clock::now();
                let kept = miss.stored();
                match deliver::arriving(view, &arriving, now, result)? {
                    Some(answer) => {
                        story::told(edge, Ok(answer), || kept.with_status(arriving.head.status.as_u16()))
                    }
                    None => {
                        drop(arriving);
                        self.pass("not-shared").await
                    }
                }
            }
            News::Ready(object, Whence::Confirmed) if !leads && object.lifetime.is_never_fresh() => {
                self.pass("not-shared").await
            }
            News::Ready(object, whence) if self.may_have(object.variant.as_deref()) => {
                let now = clock::now();
                let (result, told) = match whence {
                    Whence::Cache => (ResultType::Hit, Story::hit(0)),
                    Whence::Confirmed => (ResultType::RefreshHit, miss.with_status(304)),
                    Whence::Stale => (ResultType::RefreshHit, miss.because("origin-failed")),
                };
                let result = if leads { result } else { ResultType::Hit };
                let answer = serve(edge, &self.route, view, &self.keys, &object, result).await;
                story::told(edge, answer, || told.with_ttl(object.fresh_for(now)))
            }
            // What is never fresh is nobody else's.
            News::Sliced(object, _) if !leads && object.lifetime.is_never_fresh() => {
                self.pass("not-shared").await
            }
            News::Sliced(object, open) if self.may_have(object.variant.as_deref()) => {
                let Some(layout) = object.layout() else { return self.pass("not-shared").await };
                let (key, known) = (self.keys.of(&object), (open.take(), result));
                let answer = sliced::serve(edge, &self.route, view, key, &object, layout, known).await;
                story::told(edge, answer, || miss.with_status(200).stored())
            }
            News::Arriving(arriving) => {
                let variant = arriving.variant.clone();
                drop(arriving);
                self.another(variant).await
            }
            News::Sliced(object, open) => {
                drop(open);
                self.another(object.variant.clone()).await
            }
            News::Ready(object, _) => self.another(object.variant.clone()).await,
            News::FailedForOne(_) if !leads => self.pass("not-shared").await,
            // Nobody else waits for that.
            News::Failed(error) | News::FailedForOne(error) => match self.route.in_time(&error).await {
                Some(route) => Box::pin(fetch(edge, route, view, self.keys, None)).await,
                None => Err(error.into()),
            },
            News::Released(why, released, taker) => {
                let takes = (leads || taker == Taker::Anyone) && pass::wants_whole(view);
                let Some(response) = takes.then(|| released.take()).flatten() else {
                    return self.pass(why.as_str()).await;
                };
                let told = miss.with_status(response.status.as_u16()).because(why.as_str());
                story::told(edge, Ok(pass::deliver(response)), || told)
            }
            News::Waiting => Err(OriginError::Abandoned.into()),
        }
    }

    /// Is the answer this viewer's variant? Who asked has asked for it.
    fn may_have(&self, variant: Option<&Variant>) -> bool {
        self.leads || variant.is_none_or(|variant| self.key_of(variant) == *variant.key)
    }

    fn key_of(&self, variant: &Variant) -> String {
        vary::key(&self.keys.primary, &variant.names, &vary::selecting(&self.route.behavior, self.view))
    }

    /// What has come is not this viewer's variant: now it is known what to ask for. Should that vary by something else
    /// again, the viewer has waited enough.
    async fn another(self, variant: Option<Arc<Variant>>) -> Result<Answer, Refusal> {
        match variant {
            Some(variant) if !self.keys.is_of_variant() => {
                let keys = Keys { own: self.key_of(&variant).into(), primary: self.keys.primary };
                Box::pin(fetch(self.edge, self.route, self.view, keys, None)).await
            }
            _ => self.pass("another-variant").await,
        }
    }

    async fn pass(self, why: &'static str) -> Result<Answer, Refusal> {
        let answer = pass::pass(&self.route, self.view).await;
        story::told(self.edge, answer, || Story::forwarded(self.why).because(why))
    }
}
