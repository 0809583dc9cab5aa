//! One fetch per key. The leading request starts a task of its own; all who want the key, the leader among them, wait
//! for that task's news. So a viewer that leaves ends nothing, and a slow one holds nobody back.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;

use super::intake::{self, Intake, Treatment};
use super::{Keys, Route, deliver, hit, look, sliced};
use crate::cache::Key;
use crate::cache::budget::Share;
use crate::cache::fill::{self, Writer};
use crate::cache::inflight::{Arriving, Lead, News, Takeable, Taker, Whence};
use crate::cache::memory::Entry;
use crate::cache::object::{Head, Layout, Object, Variant};
use crate::cache::slices::Open;
use crate::clock::{self, Timestamp};
use crate::edge::Edge;
use crate::origin::error::OriginError;
use crate::origin::response::Framing;
use crate::origin::{Ask, OriginResponse};
use crate::policy::admission::{self, Admission, NotStored};
use crate::policy::errors;
use crate::policy::freshness::{self, Lifetime};
use crate::policy::invalidation;
use crate::policy::lookup::{self, Lookup};
use crate::policy::vary::{self, Vary};
use crate::semantics::conditional;
use crate::semantics::range;
use crate::semantics::view::View;

/// One fetch of one key.
pub(super) struct Fetch {
    edge: Arc<Edge>,
    route: Route,
    /// The key of the request as such; that of the variant is the lead's.
    primary: Key,
    /// By what the request selects its variant.
    selecting: HeaderMap,
}

impl Fetch {
    pub(super) fn new(edge: &Arc<Edge>, route: Route, view: &View<'_>, keys: &Keys) -> Self {
        let selecting = vary::selecting(&route.behavior, view);
        Self { edge: Arc::clone(edge), route, primary: Key::clone(&keys.primary), selecting }
    }

    /// The fetch itself, to its end. Every way out tells those who wait: [`Lead`]'s drop sees to what is forgotten.
    /// `ahead`: only this part is wanted, if the object is large.
    pub(super) async fn bring(self, lead: Lead, previous: Option<Arc<Object>>, ahead: Option<(u64, u64)>) {
        if self.found_after_all(&lead) {
            return;
        }
        // What has been invalidated between the look-up and this fetch's beginning must not come back in its name.
        let previous = previous.filter(|_| self.edge.store.memory.get(lead.key()).is_some());
        let asked_about = previous.as_deref().filter(|object| !object.lifetime.last_resort);
        let mut ask = question(&self.route.ask, asked_about);
        if let Some((first, last)) = ahead {
            ask.headers.insert(RANGE, sliced::bytes(first, last));
        }
        match self.route.fetch(&ask).await {
            Ok(response) if response.status == StatusCode::NOT_MODIFIED => {
                self.confirmed(lead, previous, &response).await;
            }
            Ok(response) if response.status == StatusCode::PARTIAL_CONTENT => {
                self.admit_part(&lead, response)
            }
            // The object is shorter: others may want what it has.
            Err(OriginError::Refused { status: 416, .. }) if ahead.is_some() => {
                self.release(&lead, NotStored::Status, None);
            }
            Ok(response) => self.admit(lead, response).await,
            Err(error) => self.failed(&lead, previous, self.suited(error).await),
        }
    }

    /// Another fetch of the key may have ended between the look-up and this one's beginning.
    fn found_after_all(&self, lead: &Lead) -> bool {
        let (entry, variant) = look(&self.edge.store.memory, lead.key(), || self.selecting.clone());
        match lookup::decide(entry, self.max_ttl(), clock::now()) {
            Lookup::Serve(object) => lead.tell(News::Ready(object, Whence::Cache)),
            // Of this viewer's variant; who waits beside may be of another.
            Lookup::Refuse(error) if variant.is_some() => lead.tell(News::FailedForOne(error)),
            Lookup::Refuse(error) => lead.tell(News::Failed(error)),
            Lookup::ServeAndRefresh(_) | Lookup::Pass(_) | Lookup::Ask(_) | Lookup::Fetch(_) => return false,
        }
        true
    }

    /// 304: the object is fresh again (behaviour §5.4).
    async fn confirmed(self, lead: Lead, previous: Option<Arc<Object>>, response: &OriginResponse) {
        let Some(object) = previous.filter(|object| is_of(response, object)) else {
            // A 304 about some other version says nothing: ask anew, for all of it.
            return match self.route.fetch(&self.route.ask).await {
                Ok(response) => self.admit(lead, response).await,
                Err(error) => self.failed(&lead, None, self.suited(error).await),
            };
        };
        let fields = object.head.updated(&response.headers).to_map();
        let at = response.received_at;
        let answer = admission::Answer {
            status: object.head.status,
            headers: &fields,
            length: Some(object.len()),
            framed: true,
        };
        let admission = admission::response(answer, &self.route.behavior, u64::MAX, at);
        let lifetime = match admission {
            Admission::Store(lifetime) | Admission::Slices(lifetime, _) => lifetime,
            // It still answers who asked, as a whole answer would, and nobody else.
            Admission::No(_) => {
                let lifetime = freshness::lifetime(&self.route.behavior.cache_policy, &fields, at);
                Lifetime { ttl: lifetime.initial_age, ..lifetime }
            }
        };
        let mut object = object.confirmed(&response.headers, lifetime, at).tagged(self.tags(&fields));
        object.head = object.head.without(&self.withheld(&fields));
        object.variant = self.variant(&fields);
        let room = hit::room(&object.head, &self.route.behavior);
        let object = self.keyed(object.with_room(room));
        match admission {
            Admission::Store(_) | Admission::Slices(..) => self.store(&lead, &object),
            Admission::No(why) => self.remember(&lead, why),
        }
        lead.tell(News::Ready(object, Whence::Confirmed));
    }

    /// A whole answer: kept, or for one viewer only.
    async fn admit(self, lead: Lead, response: OriginResponse) {
        let mut answer = admission::Answer {
            status: response.status,
            headers: &response.headers,
            length: response.length(),
            framed: response.framing != Framing::Close,
        };
        let store = &self.edge.store;
        let treatment = Treatment::of(&answer, &self.route, &store.budget);
        if let Treatment::Compress(_) = treatment {
            answer.length = None; // nobody knows what it will be
        }
        let length = answer.length;
        let admission =
            admission::response(answer, &self.route.behavior, store.max_object, response.received_at);
        let share = store.budget.reserve(length.unwrap_or(0));
        let lifetime = match admission {
            Admission::Store(lifetime) => lifetime,
            Admission::Slices(lifetime, etag) => {
                let layout = self.layout(response.length().unwrap_or(0), etag);
                return self.slice(&lead, response, lifetime, layout, 0);
            }
            Admission::No(why) => {
                self.remember(&lead, why);
                return self.release(&lead, why, Some(response));
            }
        };
        let (at, timing) = (response.received_at, response.timing);
        let (variant, withheld) = (self.variant(&response.headers), self.withheld(&response.headers));
        let (head, body) = treatment.apply(response);
        let (mut writer, filling) = fill::begin(length);
        let mut arriving = Arriving::new(head.clone(), lifetime, at, timing, filling);
        let head = head.without(&withheld);
        arriving.variant = variant.clone();
        arriving.head_for_others = head.clone();
        lead.tell(News::Arriving(Arc::new(arriving)));
        // Without room those who wait still share this fetch; who comes later begins another.
        let kept = share.map(|share| (lead, share));
        if kept.is_none() {
            writer.become_window();
        }
        self.keep(Inflow { kept, writer, length, head, lifetime, at, variant }, body).await;
    }

    /// A part of a large object; nobody else can use it if it is not kept.
    fn admit_part(&self, lead: &Lead, mut response: OriginResponse) {
        let placed = response.headers.remove(CONTENT_RANGE).as_ref().and_then(range::parse_content_range);
        let Some((first, _, Some(length))) = placed else {
            return lead.tell(News::Failed(OriginError::WrongRange));
        };
        deliver::forget_digests(&mut response.headers);
        response.headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes")); // as it has shown
        let answer = admission::Answer {
            status: StatusCode::OK,
            headers: &response.headers,
            length: Some(length),
            framed: true,
        };
        match admission::response(answer, &self.route.behavior, 0, response.received_at) {
            Admission::Slices(lifetime, etag) => {
                self.slice(lead, response, lifetime, self.layout(length, etag), first);
            }
            Admission::Store(_) => self.release(lead, NotStored::TooLarge, None),
            Admission::No(why) => {
                self.remember(lead, why);
                self.release(lead, why, None);
            }
        }
    }

    /// The head of a large object; its answer stands at byte `at`.
    fn slice(&self, lead: &Lead, response: OriginResponse, lifetime: Lifetime, layout: Layout, at: u64) {
        let head = Head::new(StatusCode::OK, &response.headers).without(&self.withheld(&response.headers));
        let tags = self.tags(&response.headers);
        let mut object = Object::sliced(head, lifetime, response.received_at, layout).tagged(tags);
        object.variant = self.variant(&response.headers);
        let object = self.keyed(object);
        self.store(lead, &object);
        let open = Open::new(at, response.body.boxed_unsync());
        lead.tell(News::Sliced(object, Takeable::new(Some(open))));
    }

    fn layout(&self, length: u64, etag: Arc<str>) -> Layout {
        Layout { length, slice: self.edge.store.slice_size, etag }
    }

    /// Reads the body to its end and keeps it, if it is whole and no larger than may be kept.
    async fn keep(&self, mut inflow: Inflow, mut body: Intake) {
        loop {
            match body.next().await {
                Some(Ok(bytes)) => inflow.writer.push(bytes),
                Some(Err(error)) => return inflow.writer.fail(error),
                None => break,
            }
            let arrived = inflow.writer.len();
            if let Some((lead, share)) = &mut inflow.kept
                && (arrived > self.edge.store.max_object || !share.grow_to(arrived))
            {
                // Its length had not been announced. Who reads it goes on, who comes now fetches for itself.
                self.remember(lead, NotStored::TooLarge);
                inflow.kept = None;
                inflow.writer.become_window();
            }
            if inflow.kept.is_none() && !inflow.writer.room().await {
                return;
            }
        }
        if inflow.length.is_some_and(|length| length != inflow.writer.len()) {
            return inflow.writer.fail(OriginError::BodyCutShort);
        }
        let Some((lead, _share)) = &inflow.kept else { return inflow.writer.complete() };
        // First where the next viewer looks, then the end for those who read along, then out of the flights.
        let named = self.route.site.cache_tag_header.is_some();
        let tags = if named { self.tags(&inflow.head.to_map()) } else { Box::default() };
        let room = hit::room(&inflow.head, &self.route.behavior);
        let mut object = Object::new(inflow.head, inflow.lifetime, inflow.at, inflow.writer.pieces())
            .tagged(tags)
            .with_room(room);
        object.variant = inflow.variant;
        self.store(lead, &self.keyed(object));
        inflow.writer.complete();
    }

    async fn suited(&self, error: OriginError) -> OriginError {
        intake::of_error(error, &self.route, &self.edge.store.budget).await
    }

    /// No object: an older one may stand in (behaviour §5.3), or the refusal is remembered (behaviour §8.1).
    fn failed(&self, lead: &Lead, previous: Option<Arc<Object>>, error: OriginError) {
        let now = clock::now();
        let status = error.status();
        let configured = self.route.site.error_responses.get(&status.as_u16());
        let previous = previous.filter(|_| error.allows_stale());
        if let Some(object) = &previous
            && lookup::may_stand_in(object, self.max_ttl(), now, gave_no_answer(&error))
        {
            let object = Arc::new(object.stale_until(now.after(errors::min_ttl(configured))));
            self.insert(lead, Entry::Object(Arc::clone(&object)));
            self.edge.metrics.stale_served("error");
            return lead.tell(News::Ready(object, Whence::Stale));
        }
        let fields = error.fields().cloned().unwrap_or_default();
        let ttl = errors::ttl(
            status,
            &fields,
            &self.route.behavior.cache_policy,
            configured,
            self.route.behavior.asks,
            now,
        );
        let varies = self.error_varies(&error);
        let ttl = ttl.filter(|_| error.came_from_origin() && varies != Vary::Any);
        // It is about when this viewer has asked, and not about what (RFC 8470 §5.2).
        let is_too_early = status == StatusCode::TOO_EARLY;
        let alone =
            varies != Vary::By(Vec::new()) || (ttl.is_none() && self.is_unwelcome(&error)) || is_too_early;
        match ttl {
            Some(ttl) => {
                let behind = previous.filter(|object| object.lifetime.last_resort);
                let variant =
                    error.answer().filter(|_| alone).and_then(|answer| self.variant(&answer.headers));
                let entry = Entry::Error { error: error.clone(), until: now.after(ttl), behind };
                match variant {
                    Some(variant) => self.insert_variant(lead, &variant, entry),
                    None => self.insert(lead, entry),
                }
            }
            // What was refused must not come back when the origin fails later.
            None if !error.allows_stale() && !is_too_early => self.edge.store.memory.remove(lead.key()),
            None => {}
        }
        lead.tell(if alone { News::FailedForOne(error) } else { News::Failed(error) });
    }

    /// By what another viewer would be told otherwise. An outage is everybody's.
    fn error_varies(&self, error: &OriginError) -> Vary {
        let answer = error.answer().filter(|_| error.status().is_client_error());
        answer.map_or(Vary::By(Vec::new()), |answer| vary::of(&answer.headers, &self.route.behavior))
    }

    /// Does its origin want it kept from others?
    fn is_unwelcome(&self, error: &OriginError) -> bool {
        let control = |fields| freshness::control(&self.route.behavior.cache_policy, fields);
        error.answer().is_some_and(|answer| freshness::is_unwelcome(&control(&answer.headers)))
    }

    /// Tells an object where it is to be kept.
    fn keyed(&self, object: Object) -> Arc<Object> {
        let key = Key::clone(object.variant.as_ref().map_or(&self.primary, |variant| &variant.key));
        Arc::new(object.under(&key))
    }

    /// Puts an object where the next viewer looks for it: itself first, then the way to it.
    fn store(&self, lead: &Lead, object: &Arc<Object>) {
        let entry = Entry::Object(Arc::clone(object));
        match &object.variant {
            None => self.edge.store.memory.insert(Key::clone(&self.primary), entry, lead.since()),
            Some(variant) => self.insert_variant(lead, variant, entry),
        }
    }

    fn insert_variant(&self, lead: &Lead, variant: &Variant, entry: Entry) {
        let insert = |key: &Key, entry| self.edge.store.memory.insert(Key::clone(key), entry, lead.since());
        insert(&variant.key, entry);
        insert(&self.primary, Entry::Varies(Arc::clone(&variant.names)));
    }

    /// Which variant an answer with these fields is: told apart by all that the answers under its key have named, so that
    /// each of them is found again.
    fn variant(&self, fields: &HeaderMap) -> Option<Arc<Variant>> {
        let Vary::By(named) = vary::of(fields, &self.route.behavior) else { return None };
        let names = match self.edge.store.memory.get(&self.primary) {
            Some(Entry::Varies(known)) => Some(vary::union(&named, &known)),
            _ => None,
        };
        let names = names.filter(|names| names.len() <= vary::MAX_NAMES).unwrap_or(named);
        if names.is_empty() {
            return None;
        }
        let key = vary::key(&self.primary, &names, &self.selecting).into();
        Some(Arc::new(Variant { names: names.into(), key }))
    }

    /// Fields that are not for later viewers.
    fn withheld(&self, fields: &HeaderMap) -> Box<[HeaderName]> {
        freshness::control(&self.route.behavior.cache_policy, fields).withheld.into()
    }

    /// What is private, even in part, or one of several variants, is for the viewer who asked; what is only too large is
    /// anybody's.
    fn release(&self, lead: &Lead, why: NotStored, response: Option<OriginResponse>) {
        let behavior = &self.route.behavior;
        let same_for_all = response.as_ref().is_some_and(|response| {
            let control = freshness::control(&behavior.cache_policy, &response.headers);
            vary::of(&response.headers, behavior) == Vary::By(Vec::new())
                && control.withheld.is_empty()
                && !freshness::is_unwelcome(&control)
        });
        let anyones = same_for_all && matches!(why, NotStored::TooLarge | NotStored::Unframed);
        let taker = if anyones { Taker::Anyone } else { Taker::Leader };
        lead.tell(News::Released(why, Takeable::new(response), taker));
    }

    /// Nobody is to wait for this key's next fetches.
    fn remember(&self, lead: &Lead, why: NotStored) {
        let until = clock::now().after(admission::REMEMBERED);
        self.insert(lead, Entry::NotStored { why, until });
    }

    fn insert(&self, lead: &Lead, entry: Entry) {
        self.edge.store.memory.insert(Key::clone(lead.key()), entry, lead.since());
    }

    fn tags(&self, headers: &HeaderMap) -> Box<[Box<str>]> {
        let field = self.route.site.cache_tag_header.as_ref();
        field.map(|field| invalidation::tags(headers, field)).unwrap_or_default()
    }

    fn max_ttl(&self) -> Duration {
        self.route.behavior.cache_policy.max_ttl
    }
}

/// A body on its way into the cache.
struct Inflow {
    /// The duty to keep it and the room for it. `None`: it is not kept any more.
    kept: Option<(Lead, Share)>,
    writer: Writer,
    /// What the head announced.
    length: Option<u64>,
    head: Head,
    lifetime: Lifetime,
    at: Timestamp,
    variant: Option<Arc<Variant>>,
}

/// Nothing came that could be an answer, or only half of one (behaviour §5.1, retention note).
fn gave_no_answer(error: &OriginError) -> bool {
    error.is_unreachable() || matches!(error, OriginError::ReadTimeout)
}

/// The question whether `previous` still is the object, or the question for the object (behaviour §5.4).
fn question(ask: &Ask, previous: Option<&Object>) -> Ask {
    let mut ask = ask.clone();
    if let Some(object) = previous {
        let validators = [
            (object.head.origin_etag(), IF_NONE_MATCH),
            (object.head.get(&LAST_MODIFIED), IF_MODIFIED_SINCE),
        ];
        for (validator, condition) in validators {
            if let Some(value) = validator {
                ask.headers.insert(condition, value.clone());
            }
        }
    }
    ask
}

/// A 304 that names a version names that of `object` (RFC 9111 §4.3.4).
fn is_of(response: &OriginResponse, object: &Object) -> bool {
    match response.headers.get(ETAG) {
        Some(tag) => object.head.origin_etag().is_some_and(|own| conditional::is_same_weakly(&own, tag)),
        None => true,
    }
}
