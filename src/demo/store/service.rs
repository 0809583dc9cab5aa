//! One request, from the socket to its answer.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Request, S3Response, S3Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::access::{self, Authorization, World};
use super::answer::{Answer, Refusal, RequestIds};
use super::gate::{Chunks, Gate};
use super::objects::Objects;
use super::{Identity, Served};

/// How many answers are remembered: enough for any test, and a demo that runs for days stays small.
const REMEMBERED: usize = 65_536;

pub(super) struct Service {
    pub objects: Objects,
    pub region: String,
    pub identities: Vec<Identity>,
    pub signatures: S3Service,
    pub expired: Mutex<BTreeSet<String>>,
    pub slow_down: AtomicU32,
    pub requests: Arc<Gate>,
    pub bodies: Arc<Gate>,
    pub served: Mutex<VecDeque<Served>>,
}

/// s3s, reduced to its verdict on signatures.
pub(super) fn signature_verifier(identities: &[Identity]) -> S3Service {
    let mut auth = s3s::auth::SimpleAuth::new();
    for identity in identities {
        auth.register(identity.access_key_id.clone(), identity.secret_access_key.as_str().into());
    }
    let mut builder = S3ServiceBuilder::new(NoOperations);
    builder.set_auth(auth);
    builder.set_route(SayVerified);
    builder.build()
}

/// Accepts until the task is aborted; connections end with it.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // An accept fails when the peer has already gone or descriptors run out; the next one may do.
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(serve_connection(stream, Arc::clone(&service)));
            }
            Some(_) = connections.join_next() => {}
            else => tokio::task::yield_now().await,
        }
    }
}

async fn serve_connection(stream: TcpStream, service: Arc<Service>) {
    // Without it Nagle's algorithm and delayed acknowledgements cost 40 ms on keep-alive connections.
    let _ = stream.set_nodelay(true);
    let respond = hyper::service::service_fn(|request| respond(Arc::clone(&service), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), respond);
    // A broken connection is the peer's business: there is nobody left to tell.
    let _ = connection.await;
}

async fn respond(service: Arc<Service>, request: Request<Incoming>) -> Result<Response<Chunks>, Infallible> {
    let head = request.into_parts().0;
    if head.method == Method::GET {
        service.requests.pass().await;
    }
    let ids = RequestIds::new(fastrand::u128(..));
    let answer = decide(&service, &head).await.unwrap_or_else(|refusal| refusal.into_answer(&ids));
    let response = finish(answer, &head.method, &ids, &service.bodies);
    service.record(head, response.status());
    Ok(response)
}

async fn decide(service: &Arc<Service>, head: &Parts) -> Result<Answer, Refusal> {
    if service.must_slow_down() {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "SlowDown",
            "Please reduce your request rate.",
        ));
    }
    let now = SystemTime::now();
    let world = World {
        identities: &service.identities,
        region: &service.region,
        expired: &lock(&service.expired).clone(),
        now: now.into(),
    };
    let identity = access::check(head, &world)?.clone();
    verify_signature(service, head).await?;

    let (service, head) = (Arc::clone(service), head.clone());
    let now = crate::clock::Timestamp::from_system_time(now).as_secs();
    let answer = tokio::task::spawn_blocking(move || service.objects.answer(&head, &identity, now));
    answer.await.unwrap_or_else(|_| Err(Refusal::internal()))
}

/// Asks s3s. It reads the request line and headers only: every request here has an empty body or is refused.
async fn verify_signature(service: &Service, head: &Parts) -> Result<(), Refusal> {
    let request = Request::from_parts(head.clone(), Body::empty());
    // Boxed: the future holds every S3 operation.
    let verdict = Box::pin(service.signatures.call(request)).await.map_err(|_| Refusal::internal())?;
    let status = verdict.status();
    if status == StatusCode::NO_CONTENT {
        return Ok(());
    }
    let body = verdict.into_body().collect().await.map_err(|_| Refusal::internal())?.to_bytes();
    let xml = String::from_utf8_lossy(&body);
    match between(&xml, "<Code>", "</Code>") {
        Some("SignatureDoesNotMatch") => Err(access::signature_mismatch(head)),
        Some(code) => {
            Err(Refusal::new(status, code, between(&xml, "<Message>", "</Message>").unwrap_or_default()))
        }
        None => Err(Refusal::internal()),
    }
}

/// Adds what every answer carries (s3 §2.2). HEAD answers have no body, errors included (s3 §2.8).
fn finish(answer: Answer, method: &Method, ids: &RequestIds, bodies: &Arc<Gate>) -> Response<Chunks> {
    let body = if method == Method::HEAD { bytes::Bytes::new() } else { answer.body };
    let mut response = Response::new(Chunks::new(body, bodies));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("AmazonS3"));
    for (name, id) in [("x-amz-request-id", &ids.request), ("x-amz-id-2", &ids.host)] {
        if let Ok(value) = HeaderValue::from_str(id) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Service {
    fn must_slow_down(&self) -> bool {
        self.slow_down.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
    }

    fn record(&self, head: Parts, status: StatusCode) {
        let text = |name| head.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let authorization = Authorization::parse(&head.headers);
        let key = head.uri.path().splitn(3, '/').nth(2).unwrap_or_default();
        let served = Served {
            key: percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned(),
            range: text(header::RANGE),
            if_none_match: text(header::IF_NONE_MATCH),
            authorization_region: authorization.as_ref().map(|a| a.region.to_owned()),
            access_key_id: authorization.as_ref().map(|a| a.access_key_id.to_owned()),
            signed_headers: authorization.as_ref().map(|a| a.signed_headers.to_owned()),
            status: status.as_u16(),
            path_and_query: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            method: head.method,
            headers: head.headers,
        };
        let mut all = lock(&self.served);
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back(served);
    }
}

/// A poisoned lock is still a good lock here: no value is ever left half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Never reached: the route takes every request whose signature is right.
struct NoOperations;

impl s3s::S3 for NoOperations {}

/// Answers 204 to what s3s lets through. s3s verifies the signature first, and `check_access` refuses the unsigned.
struct SayVerified;

#[async_trait::async_trait]
impl S3Route for SayVerified {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut http::Extensions) -> bool {
        true
    }

    async fn call(&self, _: S3Request<Body>) -> S3Result<S3Response<Body>> {
        Ok(S3Response::with_status(Body::empty(), StatusCode::NO_CONTENT))
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

/// Binds a loopback port of the system's choice.
pub(super) async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await
}
