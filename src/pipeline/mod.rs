//! The path of a request on one screen: who is asked, what is decided, where the bytes come from.
//!
//! `serve` is the outside: it turns a [`Refusal`] into a page (the owner's or ours), adds what every response carries, and sees to the log.
//! `respond` is the inside: it reads from top to bottom like the diagram in ARCHITECTURE.md.

mod deliver;
mod dress;
mod error_page;
pub mod explain;
mod failover;
mod fill;
mod finish;
pub mod hit;
mod intake;
mod logged;
mod multipart;
mod page;
mod pass;
mod redirect;
mod send;
mod sliced;
mod story;
pub mod tx;
mod wait;

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{AUTHORIZATION, VARY};
use http::request::Parts;
use http::{HeaderMap, Method, Response, Version};

use crate::body::Body;
use crate::cache::Key;
use crate::cache::memory::{Entry, Memory};
use crate::cache::object::{Content, Object, Variant};
use crate::clock;
use crate::config::response_headers::ResponseHeadersPolicy;
use crate::config::{Behavior, ViewerProtocolPolicy};
use crate::early::EARLY_DATA;
use crate::edge::{Edge, Site};
use crate::error::Refusal;
use crate::interim::Interims;
use crate::observe::record::ResultType;
use crate::origin::Origin;
use crate::origin::request::{self, Ask};
use crate::origin::upload::Incoming;
use crate::policy::cache_status::Story;
use crate::policy::encoding::{self, Normalized};
use crate::policy::forward::{self, Unforwardable};
use crate::policy::lookup::{self, Lookup};
use crate::policy::told::{self, Hop};
use crate::policy::{admission, geo, key, query, vary};
use crate::semantics::path;
use crate::semantics::view::{self, MAX_URL, View};
use dress::Dress;
use tx::{Connection, Tracked, Transaction};

/// What the inside hands to the outside.
#[derive(Debug)]
struct Answer {
    response: Response<Body>,
    result: ResultType,
}

/// One request of one viewer, from its head to its response; the log is written when the body has left. `body`: `None`
/// when there is none.
pub async fn serve(
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    parts: Parts,
    mut body: Option<Incoming>,
) -> Response<Tracked> {
    let mut tx = Transaction::begin(&edge, &connection, &parts);
    body = body.map(|body| tx.counting(body));
    let mut policy = None;
    let outcome = respond(&edge, &mut tx, &mut policy, &connection, &parts, &mut body).await;
    let dress = policy.map(|policy| Dress { policy, maker: dress::maker(&outcome), asked: &parts });
    // Not in one `match`: what it looks at would stay in the future beside what comes of it.
    let refusal = match outcome {
        Ok(answer) => return finish::seal(&edge, tx, answer, dress),
        Err(refusal) => refusal,
    };
    let story = story::of_refusal(&refusal);
    let mut answer = Box::pin(error_page::answer(&edge, &mut tx, &parts, refusal)).await;
    story::tell(&edge, &mut answer, story);
    finish::seal(&edge, tx, answer, dress)
}

/// `policy` becomes that of the behaviour, which refusals need, too. `body` is taken where it goes to an origin.
async fn respond(
    edge: &Arc<Edge>,
    tx: &mut Transaction,
    policy: &mut Option<Arc<ResponseHeadersPolicy>>,
    connection: &Connection,
    parts: &Parts,
    body: &mut Option<Incoming>,
) -> Result<Answer, Refusal> {
    let mut view = view::parse(parts, connection.tls.is_some())?;
    let site = edge.sites.find(&view.host.name).ok_or(Refusal::UnknownHost)?;
    tx.found(site);
    if !site.enabled {
        return Err(Refusal::Disabled);
    }
    authority(connection, &view)?;
    view.viewer.session = tx.session();
    view.viewer.place = site.place(connection.viewer.ip());
    let raw_path = site.substitute_root(view.raw_path);
    let (path, behavior) = choose(site, &raw_path)?;
    policy.clone_from(&behavior.response_headers_policy);

    country(site, &view)?;
    if let Some(answer) = protocol(edge, behavior, &view)? {
        return Ok(answer);
    }
    method(behavior, &view, body.is_some())?;
    let paths = (&*raw_path, &*path);
    if send::is_for_origin(behavior, view.method, body.is_some()) {
        let route = route(site, behavior, &view, tx.hop(), paths)?;
        return Box::pin(send::send(edge, &route, &view, &raw_path, body.take())).await;
    }
    let mut answer = obtain(edge, site, behavior, &view, tx.hop(), paths).await?;
    if behavior.asks.custom {
        show_vary(answer.response.headers_mut(), behavior);
    }
    Ok(answer)
}

/// The path decoded, and the behaviour that it chooses, normalised (behaviour §1.3).
fn choose<'s, 'p>(site: &'s Site, raw_path: &'p str) -> Result<(Cow<'p, str>, &'s Arc<Behavior>), Refusal> {
    let path = path::decode(raw_path).map_err(|_| Refusal::Malformed("invalid escape in the path"))?;
    let behavior = site.behaviors.find(&path::normalize(&path));
    Ok((path, behavior))
}

/// Of a custom origin's `Vary` viewers see what the edge forwards (behaviour §5.5).
fn show_vary(headers: &mut HeaderMap, behavior: &Behavior) {
    if headers.contains_key(VARY) {
        match vary::shown(headers, behavior) {
            Some(shown) => drop(headers.insert(VARY, shown)),
            None => drop(headers.remove(VARY)),
        }
    }
}

/// The object that is meant: from the cache, or from the behaviour's origin. `raw_path` is for the key, `path` (decoded)
/// for a bucket.
async fn obtain(
    edge: &Arc<Edge>,
    site: &Arc<Site>,
    behavior: &Arc<Behavior>,
    view: &View<'_>,
    hop: Hop<'_>,
    (raw_path, path): (&str, &str),
) -> Result<Answer, Refusal> {
    request::check(path, site.origins[behavior.origin].config())?;
    let accepted = encoding::normalized(behavior.encoding, view.version, view.headers);
    let route = || route(site, behavior, view, hop, (raw_path, path));
    if let Err(why) = admission::request(behavior, view.method) {
        return Box::pin(pass::known(edge, &route()?, view, why)).await;
    }
    let primary = key::key(&site.id, view, raw_path, &behavior.cache_policy, accepted);
    let (entry, own) = look(&edge.store.memory, &primary, || vary::selecting(behavior, view));
    let now = clock::now();
    // Whatever goes to the origin is boxed: a hit's future is moved as it is, and should be small.
    match lookup::decide(entry, behavior.cache_policy.max_ttl, now) {
        Lookup::Serve(object) => {
            let answer = match object.content() {
                Content::Whole(pieces) => deliver::stored(view, &object, pieces, now, ResultType::Hit),
                Content::Sliced(_) => {
                    let keys = Keys::new(primary, own);
                    Box::pin(wait::serve(edge, &route()?, view, &keys, &object, ResultType::Hit)).await
                }
            };
            story::told(edge, answer, || Story::hit(object.fresh_for(now)))
        }
        Lookup::ServeAndRefresh(object) => {
            let (route, keys) = (route()?, Keys::new(primary, own));
            wait::refresh(edge, &route, view, &keys, &object);
            edge.metrics.stale_served("revalidate");
            let answer = Box::pin(wait::serve(edge, &route, view, &keys, &object, ResultType::Hit)).await;
            story::told(edge, answer, || Story::hit(object.fresh_for(now)).because("revalidating"))
        }
        Lookup::Refuse(error) => Err(Refusal::Remembered(error)),
        Lookup::Pass(why) => Box::pin(pass::known(edge, &route()?, view, why)).await,
        Lookup::Ask(object) => {
            Box::pin(wait::ask(edge, route()?, view, Keys::new(primary, own), object)).await
        }
        Lookup::Fetch(previous) => {
            Box::pin(wait::fetch(edge, route()?, view, Keys::new(primary, own), previous)).await
        }
    }
}

/// What the cache has for a request; and which variant that is, where there are several (RFC 9111 §4.1).
fn look(
    memory: &Memory,
    primary: &str,
    selecting: impl FnOnce() -> HeaderMap,
) -> (Option<Entry>, Option<Variant>) {
    match memory.get(primary) {
        Some(Entry::Varies(names)) => {
            let key = Key::from(vary::key(primary, &names, &selecting()));
            (memory.get(&key), Some(Variant { names, key }))
        }
        entry => (entry, None),
    }
}

/// Where an object is kept.
#[derive(Debug, Clone)]
struct Keys {
    /// What the request as such has (behaviour §4).
    primary: Key,
    /// That of the variant, where there are several.
    own: Key,
}

impl Keys {
    fn new(primary: String, variant: Option<Variant>) -> Self {
        let primary = Key::from(primary);
        let own = variant.map_or_else(|| Key::clone(&primary), |variant| variant.key);
        Self { primary, own }
    }

    /// Where this object is, which one of these requests has brought.
    fn of(&self, object: &Object) -> Key {
        object.variant.as_ref().map_or_else(|| Key::clone(&self.primary), |variant| Key::clone(&variant.key))
    }

    /// Which variant is wanted is known: an answer before has said what it varies by.
    fn is_of_variant(&self) -> bool {
        self.own != self.primary
    }
}

/// What has been decided about a request: enough to fetch its object without it.
#[derive(Debug, Clone)]
struct Route {
    site: Arc<Site>,
    behavior: Arc<Behavior>,
    /// The first to be asked; for whom comes after it see [`Route::fetch`].
    origin: Arc<Origin>,
    /// For the whole object, with what the cache policy forwards.
    ask: Ask,
    /// What the viewer takes, and all who share its key.
    accepted: Normalized,
}

fn route(
    site: &Arc<Site>,
    behavior: &Arc<Behavior>,
    view: &View<'_>,
    hop: Hop<'_>,
    (raw_path, path): (&str, &str),
) -> Result<Route, Refusal> {
    let origin = Arc::clone(&site.origins[behavior.origin]);
    request::check(path, origin.config())?;
    let accepted = encoding::normalized(behavior.encoding, view.version, view.headers);
    let ask = ask(behavior, hop, view, (raw_path, path), accepted)?;
    Ok(Route { site: Arc::clone(site), behavior: Arc::clone(behavior), origin, ask, accepted })
}

/// May this host be asked for on this connection (behaviour §3.4)?
fn authority(connection: &Connection, view: &View<'_>) -> Result<(), Refusal> {
    let authority = connection.tls.as_ref().and_then(|tls| tls.authority.as_ref());
    match authority {
        Some(authority) if !authority.covers(&view.host.name) => Err(Refusal::Misdirected),
        _ => Ok(()),
    }
}

/// May a viewer from there have anything of this distribution (behaviour §12.1)?
fn country<F>(site: &Site, view: &View<'_, F>) -> Result<(), Refusal> {
    let country = view.viewer.place.as_ref().and_then(|place| place.country);
    match &site.geo_restriction {
        Some(restriction) if geo::blocks(restriction, country) => Err(Refusal::CountryBlocked),
        _ => Ok(()),
    }
}

/// May this behaviour be asked over this scheme (behaviour §2.1)?
fn protocol(edge: &Edge, behavior: &Behavior, view: &View<'_>) -> Result<Option<Answer>, Refusal> {
    if view.secure {
        return Ok(None);
    }
    match behavior.viewer_protocol_policy {
        ViewerProtocolPolicy::AllowAll => Ok(None),
        ViewerProtocolPolicy::HttpsOnly => Err(Refusal::HttpsRequired),
        ViewerProtocolPolicy::RedirectToHttps => redirect::to_https(view, edge.https_port()).map(Some),
    }
}

/// May this behaviour be asked by this method (behaviour §2.2)?
fn method(behavior: &Behavior, view: &View<'_>, has_body: bool) -> Result<(), Refusal> {
    match *view.method {
        Method::GET | Method::HEAD if has_body || view.has_body() => Err(Refusal::UnexpectedBody),
        Method::GET | Method::HEAD => Ok(()),
        Method::OPTIONS if behavior.allow_options => Ok(()),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE if behavior.allow_writes => Ok(()),
        _ => Err(Refusal::MethodNotAllowed),
    }
}

/// The origin's question: the path, and of the viewer's request only what the policies take (behaviour §4.4, s3 §2.1).
/// A HEAD asks for the object, too: the next GET wants it (behaviour §6).
fn ask(
    behavior: &Behavior,
    hop: Hop<'_>,
    view: &View<'_>,
    (raw_path, path): (&str, &str),
    accepted: Normalized,
) -> Result<Ask, Refusal> {
    let mut ask = Ask::get(path.to_owned());
    if view.method != Method::HEAD {
        ask.method = view.method.clone();
    }
    if behavior.asks.s3 {
        ask.headers = forward::headers(behavior, view, hop.viewer).map_err(|why| match why {
            Unforwardable::NotText => Refusal::Malformed("a field that is forwarded is not text"),
            Unforwardable::TooLarge => Refusal::HeadersTooLarge,
        })?;
        ask.query = query::forwarded(view.query, behavior);
        if ask.query.len() > MAX_URL {
            return Err(Refusal::UrlTooLong);
        }
        let keyed = ask.headers.remove(AUTHORIZATION);
        ask.authorization = keyed.or_else(|| forward::kept_authorization(behavior, view));
    }
    if behavior.asks.custom {
        let mut told = told::told(behavior, view, raw_path, hop)?;
        accepted.tell(&mut told.headers);
        ask.told = Some(Arc::new(told));
        ask.interims = hop.interims.and_then(Interims::arm);
        // What the viewer itself has called early is answered 425 to the viewer (RFC 8470 §5.2).
        ask.early = hop.early.filter(|_| !view.headers.contains_key(EARLY_DATA)).cloned();
    }
    Ok(ask)
}

/// HTTP/1.0 knows neither 307 nor chunks (behaviour §2.1).
fn is_http_1_0(version: Version) -> bool {
    version < Version::HTTP_11
}
