//! A write-once record of one request, closed when its body has left. Decisions never read it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, HeaderName, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, response};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::logged;
use crate::body::Body;
use crate::clock;
use crate::early::Early;
use crate::edge::{Edge, Site};
use crate::error::Refusal;
use crate::interim::Interims;
use crate::observe::record::{DetailedResult, More, Record, ResultType, TlsFacts};
use crate::origin::error::OriginError;
use crate::origin::response::Timing;
use crate::origin::upload::Incoming;
use crate::policy::authority::Authority;
use crate::policy::told::Hop;
use crate::semantics::view::{Begun, Session};
use crate::semantics::{range, view};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What is known of a viewer's connection. Each request in flight holds a reference to it.
#[derive(Debug)]
pub struct Connection {
    pub viewer: SocketAddr,
    /// `None`: plain HTTP.
    pub tls: Option<Secured>,
    /// `None`: HTTP/2 or HTTP/3, where each request may have its own, among its extensions.
    pub interims: Option<Arc<Interims>>,
    requests: AtomicU64,
}

/// What the handshake of a connection has settled.
#[derive(Debug)]
pub struct Secured {
    pub facts: TlsFacts,
    /// It took up an earlier session.
    pub resumed: bool,
    /// `None`: any Host may be asked for.
    pub authority: Option<Authority>,
}

impl Connection {
    #[must_use]
    pub fn new(viewer: SocketAddr, tls: Option<Secured>, interims: Option<Arc<Interims>>) -> Arc<Self> {
        Arc::new(Self { viewer, tls, interims, requests: AtomicU64::new(0) })
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// There is one more; how many there were before.
    pub(super) fn count_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// For `CloudFront-Viewer-TLS`. `is_later`: of a request that is not the first.
    pub(super) fn session(&self, is_later: bool) -> Option<Session> {
        let tls = self.tls.as_ref()?;
        let TlsFacts { protocol, cipher } = tls.facts;
        let begun = match (is_later, tls.resumed) {
            (true, _) => Begun::ConnectionReused,
            (false, true) => Begun::SessionResumed,
            (false, false) => Begun::FullHandshake,
        };
        Some(Session { protocol, cipher, begun })
    }

    /// Requests whose answer has not left yet, for the one holder of the connection itself.
    #[must_use]
    pub fn in_flight(this: &Arc<Self>) -> usize {
        Arc::strong_count(this) - 1
    }
}

/// One request, from its head to its last byte.
#[derive(Debug)]
pub struct Transaction {
    edge: Arc<Edge>,
    site: Option<Arc<Site>>,
    /// Held for as long as the request is in flight.
    connection: Arc<Connection>,
    /// Not the first on its connection.
    is_later: bool,
    started: Instant,
    asked: Asked,
    told: Told,
    /// Of this request alone.
    interims: Option<Arc<Interims>>,
    early: Option<Early>,
}

/// Of the request, what its record will say: kept, for the request itself goes on to its answer.
#[derive(Debug)]
struct Asked {
    at: SystemTime,
    request_id: RequestId,
    method: Method,
    version: Version,
    uri: Uri,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    x_forwarded_for: Option<HeaderValue>,
    /// Only if some distribution logs them.
    cookie: Option<HeaderValue>,
    bytes: u64,
    /// Of a body, so far.
    body_bytes: Option<Arc<AtomicU64>>,
}

impl Asked {
    fn of(parts: &Parts, at: SystemTime, with_cookies: bool) -> Self {
        let field = |name: &HeaderName| parts.headers.get(name).cloned();
        Self {
            at,
            request_id: RequestId::random(),
            method: parts.method.clone(),
            version: parts.version,
            uri: parts.uri.clone(),
            host: field(&HOST),
            referer: field(&REFERER),
            user_agent: field(&USER_AGENT),
            x_forwarded_for: field(&X_FORWARDED_FOR),
            cookie: logged::cookie(&parts.headers)
                .filter(|_| with_cookies)
                .and_then(|cookie| HeaderValue::from_bytes(&cookie).ok()),
            bytes: view::head_bytes(parts) as u64,
            body_bytes: None,
        }
    }

    /// Head, and body as far as it has come.
    fn bytes(&self) -> u64 {
        self.bytes + self.body_bytes.as_ref().map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn host(&self) -> &[u8] {
        let authority = || self.uri.authority().map_or("", |authority| authority.as_str());
        self.host.as_ref().map_or_else(|| authority().as_bytes(), HeaderValue::as_bytes)
    }
}

/// Of the answer, what its record will say.
#[derive(Debug)]
struct Told {
    time_to_first_byte: Duration,
    status: u16,
    result: ResultType,
    response_result: ResultType,
    detailed: DetailedResult,
    origin_code: Option<Arc<str>>,
    bytes: u64,
    content_type: Option<HeaderValue>,
    content_length: Option<u64>,
    range: Option<(u64, u64)>,
    origin_first_byte: Option<Duration>,
}

/// Nothing yet: the viewer hung up before there was an answer.
impl Default for Told {
    fn default() -> Self {
        Self {
            time_to_first_byte: Duration::ZERO,
            status: 0,
            result: ResultType::Error,
            response_result: ResultType::Error,
            detailed: DetailedResult::ClientHungUpRequest,
            origin_code: None,
            bytes: 0,
            content_type: None,
            content_length: None,
            range: None,
            origin_first_byte: None,
        }
    }
}

impl Transaction {
    pub(super) fn begin(edge: &Arc<Edge>, connection: &Arc<Connection>, parts: &Parts) -> Self {
        let is_later = connection.count_request() > 0;
        let now = clock::read();
        Self {
            edge: Arc::clone(edge),
            site: None,
            connection: Arc::clone(connection),
            is_later,
            started: now.instant,
            asked: Asked::of(parts, now.wall, edge.logs_cookies()),
            told: Told::default(),
            interims: parts.extensions.get().cloned(),
            early: parts.extensions.get().cloned(),
        }
    }

    /// The request's body, which counts as it is read.
    pub(super) fn counting(&mut self, body: Incoming) -> Incoming {
        let count = Arc::default();
        self.asked.body_bytes = Some(Arc::clone(&count));
        logged::counted(body, count)
    }

    pub(super) fn found(&mut self, site: &Arc<Site>) {
        self.site = Some(Arc::clone(site));
    }

    /// The distribution, once it is known.
    pub(super) fn site(&self) -> Option<&Arc<Site>> {
        self.site.as_ref()
    }

    /// What an origin may be told of the way to it.
    pub(super) fn hop(&self) -> Hop<'_> {
        Hop {
            viewer: self.connection.viewer,
            request_id: self.asked.request_id.as_str(),
            node: self.edge.marks.node(),
            name: &self.edge.identity.name,
            // HTTP/1.0 does not know them (RFC 9110 §15.2).
            interims: self
                .interims
                .as_ref()
                .or(self.connection.interims.as_ref())
                .filter(|_| self.asked.version >= Version::HTTP_11),
            early: self.early.as_ref().filter(|early| !early.is_over()),
        }
    }

    /// Where a viewer that came by HTTP/1 or HTTP/2 over TLS finds HTTP/3 (behaviour §2.3).
    pub(super) fn alternative(&self) -> Option<&HeaderValue> {
        let alternative = self.site.as_ref()?.alt_svc()?;
        (self.is_secure() && self.asked.version != Version::HTTP_3).then_some(alternative)
    }

    pub(super) fn is_secure(&self) -> bool {
        self.connection.tls.is_some()
    }

    /// For `CloudFront-Viewer-TLS`.
    pub(super) fn session(&self) -> Option<Session> {
        self.connection.session(self.is_later)
    }

    pub(super) fn is_head(&self) -> bool {
        self.asked.method == Method::HEAD
    }

    pub(super) fn request_id(&self) -> &str {
        self.asked.request_id.as_str()
    }

    /// Since the request's head was read.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.told.detailed = refusal.detailed();
        self.told.origin_code = refusal.origin().and_then(OriginError::code).cloned();
    }

    /// The head is complete: the first byte is on its way.
    pub(super) fn answered(&mut self, head: &response::Parts, result: ResultType) {
        let told = &mut self.told;
        told.time_to_first_byte = self.started.elapsed();
        told.status = head.status.as_u16();
        told.result = result;
        told.response_result = result;
        if result != ResultType::Error {
            told.detailed = DetailedResult::Same;
        }
        told.bytes = response_bytes(head);
        told.content_type = head.headers.get(CONTENT_TYPE).cloned();
        told.content_length = head.headers.get(CONTENT_LENGTH).and_then(number);
        told.range = head
            .headers
            .get(CONTENT_RANGE)
            .and_then(range::parse_content_range)
            .map(|(first, last, _)| (first, last));
        told.origin_first_byte = head.extensions.get().map(|timing: &Timing| timing.first_byte);
    }

    /// The body did not leave whole: 14 says Error while 23 says what it would have been (behaviour §12.8).
    fn broken(&mut self, detailed: DetailedResult) {
        self.told.result = ResultType::Error;
        self.told.detailed = detailed;
    }

    fn record(&self) -> Record<'_> {
        let Self { asked, told, .. } = self;
        let (site, viewer) = (self.site.as_ref(), self.connection.viewer);
        let cookie = field(&asked.cookie).filter(|_| site.is_some_and(|site| site.logged_as.cookies));
        let looked_up = logged::looked_up(&self.edge, site, viewer.ip(), asked.uri.path());
        Record {
            started: asked.at,
            time_taken: self.started.elapsed(),
            time_to_first_byte: told.time_to_first_byte,
            viewer,
            distribution: self.site.as_deref().map(|site| &*site.id),
            request_id: asked.request_id.as_str(),
            method: asked.method.as_str(),
            version: asked.version,
            host_header: asked.host(),
            uri_stem: asked.uri.path().as_bytes(),
            uri_query: asked.uri.query().map(str::as_bytes),
            referer: field(&asked.referer),
            user_agent: field(&asked.user_agent),
            x_forwarded_for: field(&asked.x_forwarded_for),
            tls: self.connection.tls.as_ref().map(|tls| tls.facts),
            status: told.status,
            result: told.result,
            response_result: told.response_result,
            detailed: told.detailed,
            origin_code: told.origin_code.as_deref(),
            bytes_from_viewer: asked.bytes(),
            bytes_to_viewer: told.bytes,
            content_type: field(&told.content_type),
            content_length: told.content_length,
            range: told.range,
            more: More { cookie, origin_first_byte: told.origin_first_byte, ..looked_up },
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let record = self.record();
        self.edge.log.write(&record);
        match &self.site {
            Some(site) => site.metrics.observe(&record),
            None => self.edge.unrouted.observe(&record),
        }
    }
}

/// A response body that counts what leaves and closes its transaction when it is dropped.
#[derive(Debug)]
pub struct Tracked {
    body: Body,
    tx: Box<Transaction>,
    ended: bool,
}

impl Tracked {
    pub(super) fn new(body: Body, tx: Transaction) -> Self {
        let ended = body.is_end_stream();
        Self { body, tx: Box::new(tx), ended }
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.tx.told.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                this.ended = this.body.is_end_stream();
            }
            Poll::Ready(Some(Err(error))) => {
                this.tx.broken(error.detailed());
                this.ended = true;
            }
            Poll::Ready(None) => this.ended = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if !self.ended {
            self.tx.broken(DetailedResult::ClientCommError);
        }
    }
}

/// 40 random bytes in base64url: 56 characters that end in `==` (behaviour §9.1). For finding a request again, not
/// for keeping a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 56]);

impl RequestId {
    #[must_use]
    pub fn random() -> Self {
        use base64::Engine as _;
        let (mut bytes, mut text) = ([0; 40], [0; 56]);
        fastrand::fill(&mut bytes);
        let encoded = base64::engine::general_purpose::URL_SAFE.encode_slice(bytes, &mut text);
        debug_assert_eq!(encoded, Ok(text.len()));
        Self(text)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("base64 is ASCII")
    }
}

fn field(value: &Option<HeaderValue>) -> Option<&[u8]> {
    value.as_ref().map(HeaderValue::as_bytes)
}

fn number(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

/// Bytes of the head in its HTTP/1.1 form (behaviour §12.8 field 4).
fn response_bytes(head: &response::Parts) -> u64 {
    ("HTTP/1.1 200 OK\r\n\r\n".len() + fields_bytes(&head.headers)) as u64
}

fn fields_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_has_cloudfronts_shape() {
        let id = RequestId::random(); // behaviour §9.1
        assert_eq!(id.as_str().as_bytes(), id.as_bytes());
        let (random, padding) = id.as_str().split_at(54);
        assert_eq!(padding, "==");
        assert!(random.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{random}");
        assert_ne!(id, RequestId::random());
    }
}
