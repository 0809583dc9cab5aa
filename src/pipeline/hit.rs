//! Hits at least cost: what the cache has, fresh and whole, is answered from the request as it was received, without a map
//! of its fields, a task or an allocation but for the key.
//!
//! The decisions are those of `respond`, made by the same functions in the same order; whatever comes to anything
//! but a hit is left to it. So are answers in several parts, `Server-Timing` and OPTIONS.

mod dressed;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALT_SVC, HOST, HeaderName, HeaderValue, REFERER, USER_AGENT};
use http::{Method, StatusCode, Version};
use memchr::memchr;

use super::deliver::{self, Wanted};
use super::logged;
use super::tx::{Connection, RequestId};
use crate::cache::object::{Content, Object};
use crate::clock::{self, Moment};
use crate::config::{Behavior, ViewerProtocolPolicy};
use crate::edge::{Edge, Site};
use crate::observe::record::{DetailedResult, More, Record, ResultType};
use crate::origin::request;
use crate::policy::cache_status::{self, Story};
use crate::policy::lookup::{self, Lookup};
use crate::policy::{admission, encoding, key, vary};
use crate::semantics::fields::Fields as _;
use crate::semantics::view::{self, Received};
use dressed::Dressed;
pub(super) use dressed::room;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What takes an answer's head, in the order in which it is called.
pub trait HeadWriter {
    fn status(&mut self, status: StatusCode);
    /// Whole lines as HTTP/1.1 sends them: `name: value\r\n`, names in lower case.
    fn lines(&mut self, lines: &[u8]);
    /// One more; `name` in lower case.
    fn field(&mut self, name: &str, value: &[u8]);
}

/// Name and value of the first of some [`HeadWriter::lines`], and what comes after it.
#[must_use]
pub fn line(lines: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let colon = memchr(b':', lines)?;
    let (name, rest) = (&lines[..colon], lines.get(colon + 2..)?);
    let end = memchr(b'\r', rest)?;
    Some((name, &rest[..end], rest.get(end + 2..)?))
}

/// An answer that is at hand.
#[derive(Debug)]
pub struct Hit<'e> {
    edge: &'e Edge,
    site: &'e Arc<Site>,
    dressed: Dressed<'e>,
    cache_status: Option<Story>,
    /// Where the viewer finds HTTP/3.
    alternative: Option<&'e HeaderValue>,
    pub facts: Facts,
}

/// What remains of a hit when its head has been written: its body, and what the log will say.
#[derive(Debug)]
pub struct Facts {
    object: Arc<Object>,
    status: StatusCode,
    /// First byte and how many; none of a 304 or of the answer to HEAD.
    first: u64,
    length: u64,
    /// First and last byte of a 206.
    range: Option<(u64, u64)>,
    /// What `Content-Length` says.
    content_length: Option<u64>,
    age: u64,
    request_id: RequestId,
    began: Moment,
    first_byte: Duration,
    /// Bytes of the head in its HTTP/1.1 form.
    head: u64,
    /// `Some`: of the answer, where it is not the object's.
    content_type: Option<Box<[u8]>>,
}

/// The answer to a request, if the cache has it. `None`: it is for [`super::serve`].
#[must_use]
pub fn answer<'e>(edge: &'e Edge, connection: &Connection, received: &Received<'_>) -> Option<Hit<'e>> {
    if !matches!(*received.method, Method::GET | Method::HEAD) || received.version < Version::HTTP_11 {
        return None;
    }
    let began = clock::read();
    let mut view = view::read(received, connection.tls.is_some()).ok()?;
    let site = edge.sites.find(&view.host.name)?;
    let authority = connection.tls.as_ref().and_then(|tls| tls.authority.as_ref());
    if !site.enabled || authority.is_some_and(|authority| !authority.covers(&view.host.name)) {
        return None;
    }
    view.viewer.session = connection.session(connection.requests() > 0);
    view.viewer.place = site.place(connection.viewer.ip());
    super::country(site, &view).ok()?;
    let raw_path = site.substitute_root(view.raw_path);
    let (path, behavior) = super::choose(site, &raw_path).ok()?;
    let by_policy = behavior.viewer_protocol_policy == ViewerProtocolPolicy::AllowAll;
    if !(view.secure || by_policy) || view.has_body() {
        return None;
    }
    request::check(&path, site.origins[behavior.origin].config()).ok()?;
    admission::request(behavior, view.method).ok()?;

    let accepted = encoding::normalized(behavior.encoding, view.version, view.headers);
    let primary = key::key(&site.id, &view, &raw_path, &behavior.cache_policy, accepted);
    let (entry, _) = super::look(&edge.store.memory, &primary, || vary::selecting(behavior, &view));
    let now = began.timestamp();
    let Lookup::Serve(object) = lookup::decide(entry, behavior.cache_policy.max_ttl, now) else {
        return None;
    };
    let Content::Whole(_) = object.content() else { return None };
    let wanted = deliver::examine(&view, &object.head, Some(object.len())).ok()?;
    let alternative = site.alt_svc().filter(|_| view.secure && view.version != Version::HTTP_3);
    if alternative.is_some() && says_alternative(&object, behavior) {
        return None;
    }
    let dressed = Dressed::of(&object, behavior, &wanted, &view)?;

    connection.count_request();
    let cache_status = edge.cache_status.then(|| Story::hit(object.fresh_for(now)));
    let facts = Facts::new(object, &wanted, received.method, began);
    Some(Hit { edge, site, dressed, cache_status, alternative, facts })
}

/// It must make way for the edge's own.
fn says_alternative(object: &Object, behavior: &Behavior) -> bool {
    let policy = behavior.response_headers_policy.as_ref();
    object.head.fields().has_alt_svc()
        || policy.is_some_and(|policy| policy.custom.iter().any(|header| header.name == ALT_SVC))
}

impl<'e> Hit<'e> {
    /// Writes the head.
    pub fn tell(&mut self, to: &mut impl HeadWriter) {
        let facts = &self.facts;
        let mut to = Counted { to, bytes: 0 };
        to.status(facts.status);
        let told = self.dressed.tell(&facts.object, facts.content_length, facts.range, &mut to);
        to.field("age", itoa::Buffer::new().format(facts.age).as_bytes());
        to.lines(self.edge.marks.hit_lines());
        let member = |story: &Story| cache_status::member(&self.edge.identity.name, story);
        if let Some(member) = self.cache_status.as_ref().and_then(member) {
            to.field("cache-status", member.as_bytes());
        }
        if let Some(alternative) = self.alternative {
            to.field("alt-svc", alternative.as_bytes());
        }
        to.field("x-amz-cf-id", facts.request_id.as_str().as_bytes());
        if !told.has_server {
            to.field("server", self.edge.marks.server().as_bytes());
        }
        if !told.has_date {
            to.field("date", &clock::date(facts.began.timestamp()));
        }
        self.facts.head = to.bytes;
        self.facts.content_type = told.content_type;
        self.facts.first_byte = self.facts.began.instant.elapsed();
    }

    #[must_use]
    pub fn site(&self) -> &'e Arc<Site> {
        self.site
    }
}

impl Facts {
    fn new(object: Arc<Object>, wanted: &Wanted, method: &Method, began: Moment) -> Self {
        let whole = object.len();
        let (status, first, length, range) = match *wanted {
            Wanted::Part { first, last } => {
                (StatusCode::PARTIAL_CONTENT, first, last - first + 1, Some((first, last)))
            }
            Wanted::NotModified => (StatusCode::NOT_MODIFIED, 0, 0, None),
            Wanted::Whole | Wanted::Several(_) => (object.head.status, 0, whole, None),
        };
        let content_length = Some(length).filter(|_| !matches!(status.as_u16(), 204 | 304));
        let length = if method == Method::HEAD { 0 } else { length };
        Self {
            status,
            first,
            length,
            range,
            content_length,
            age: object.age(began.timestamp()).as_secs(),
            object,
            request_id: RequestId::random(),
            began,
            first_byte: Duration::ZERO,
            head: 0,
            content_type: None,
        }
    }

    /// Bytes of the body.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Some of the body from `position` on: as many bytes as lie in one piece. Empty at its end.
    #[must_use]
    pub fn bytes(&self, position: u64) -> &[u8] {
        let Content::Whole(pieces) = self.object.content() else { return &[] };
        let left = self.length.saturating_sub(position);
        let piece = pieces.at(self.first.saturating_add(position));
        &piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))]
    }

    /// What [`Self::bytes`] says, to be kept.
    #[must_use]
    pub fn share(&self, position: u64) -> Bytes {
        let Content::Whole(pieces) = self.object.content() else { return Bytes::new() };
        let left = self.length.saturating_sub(position);
        let mut piece = pieces.share(self.first.saturating_add(position));
        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        piece
    }

    /// Of the answer.
    fn content_type(&self) -> Option<&[u8]> {
        match &self.content_type {
            Some(other) => Some(&**other).filter(|other| !other.is_empty()),
            None if self.status == StatusCode::NOT_MODIFIED => None,
            None => self.object.head.fields().content_type(),
        }
    }

    /// Says in log and metrics that `sent` bytes of the body have left: all of them, or it broke off.
    pub fn ended(
        &self,
        edge: &Edge,
        site: &Arc<Site>,
        connection: &Connection,
        received: &Received<'_>,
        sent: u64,
    ) {
        let result = ResultType::Hit;
        let (result, detailed) = match sent == self.length {
            true => (result, DetailedResult::Same),
            false => (ResultType::Error, DetailedResult::ClientCommError),
        };
        let field = |name| received.lines.first(name);
        let (uri_stem, uri_query) = match received.target.split_once('?') {
            Some((stem, query)) => (stem, Some(query.as_bytes())),
            None => (received.target, None),
        };
        let host = field(&HOST).or(received.authority.map(str::as_bytes));
        let cookie = if site.logged_as.cookies { logged::cookie(&received.lines) } else { None };
        let more = logged::looked_up(edge, Some(site), connection.viewer.ip(), uri_stem);
        let record = Record {
            started: self.began.wall,
            time_taken: self.began.instant.elapsed(),
            time_to_first_byte: self.first_byte,
            viewer: connection.viewer,
            distribution: Some(&site.id),
            request_id: self.request_id.as_str(),
            method: received.method.as_str(),
            version: received.version,
            host_header: host.unwrap_or_default(),
            uri_stem: uri_stem.as_bytes(),
            uri_query,
            referer: field(&REFERER),
            user_agent: field(&USER_AGENT),
            x_forwarded_for: field(&X_FORWARDED_FOR),
            tls: connection.tls.as_ref().map(|tls| tls.facts),
            status: self.status.as_u16(),
            result,
            response_result: ResultType::Hit,
            detailed,
            origin_code: None,
            bytes_from_viewer: received.bytes() as u64,
            bytes_to_viewer: self.head + sent,
            content_type: self.content_type(),
            content_length: self.content_length,
            range: self.range,
            more: More { cookie: cookie.as_deref(), ..more },
        };
        edge.log.write(&record);
        site.metrics.observe(&record);
    }
}

/// A writer that counts.
struct Counted<'w, W> {
    to: &'w mut W,
    bytes: u64,
}

impl<W: HeadWriter> HeadWriter for Counted<'_, W> {
    fn status(&mut self, status: StatusCode) {
        self.bytes += "HTTP/1.1 200 OK\r\n\r\n".len() as u64;
        self.to.status(status);
    }

    fn lines(&mut self, lines: &[u8]) {
        self.bytes += lines.len() as u64;
        self.to.lines(lines);
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        self.bytes += (name.len() + value.len() + ": \r\n".len()) as u64;
        self.to.field(name, value);
    }
}
