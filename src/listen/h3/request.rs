//! One request: its head, the pipeline's answer, and the stream's end.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt as _;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::frame::{self, Code, Fault, kind};
use super::head::{Asked, Head};
use super::qpack::{self, Undecodable};
use super::requests::Requests;
use super::stream::{Inbound, Outbound, Shared, Streaming, Upload, section, skip, undecodable};
use super::{hit, interim, priority};
use crate::edge::Edge;
use crate::interim::Interims;
use crate::listen::connection::{HEADER_LIST, HEADER_READ, SEND};
use crate::origin::error::OriginError;
use crate::pipeline;
use crate::pipeline::tx::{Connection, Tracked};

const PRIORITY: HeaderName = HeaderName::from_static("priority");
/// How long the end of a request is waited for that says neither how long its body is nor that there is none.
const FIRST_BYTE: Duration = Duration::from_millis(200);
/// For a viewer to receive what it has been sent: a send window at 16 KB/s.
const LAST_BYTES: Duration = Duration::from_secs(300);

/// Answers the request that comes on this stream.
pub(super) async fn serve(
    edge: Arc<Edge>,
    connection: Arc<Connection>,
    quic: quinn::Connection,
    requests: Arc<Requests>,
    (send, recv): (quinn::SendStream, quinn::RecvStream),
) {
    let mut outbound = Outbound::new(send, requests);
    let fault = match exchange(edge, &connection, &mut outbound, recv).await {
        Ok(upload) => {
            outbound.finish();
            outbound.requests().answered();
            // Until then the request is in flight: an end of the connection would take away what is still on its way.
            if timeout(LAST_BYTES, outbound.sent()).await.is_err() {
                tracing::debug!("a viewer does not take what it has been sent");
            }
            // RFC 9114 §4.1: whoever still sends is asked to stop after the answer, not before.
            drop(upload);
            return;
        }
        Err(fault) => fault,
    };
    match fault {
        Fault::Gone => {
            outbound.reset(Code::RequestCancelled);
            if outbound.requests().abandoned() {
                quic.close(Code::ExcessiveLoad.into(), b"requests are given up again and again");
            }
        }
        Fault::Stream(code) => outbound.reset(code),
        Fault::Connection(code, why) => {
            outbound.reset(code);
            quic.close(code.into(), why.as_bytes());
        }
    }
}

/// What there was of a body, which may not be read to its end.
async fn exchange(
    edge: Arc<Edge>,
    connection: &Arc<Connection>,
    outbound: &mut Outbound,
    recv: quinn::RecvStream,
) -> Result<Option<Shared>, Fault> {
    // What comes after the handshake cannot be told apart any more, nor need it be.
    let early = if recv.is_0rtt() { outbound.requests().early.clone() } else { None };
    let mut inbound = Inbound::new(recv);
    let read = timeout(HEADER_READ, head(&mut inbound)).await;
    let asked = match read.unwrap_or(Err(Fault::Stream(Code::RequestCancelled))) {
        Ok(Some(asked)) => asked,
        Ok(None) => return too_large(outbound).await.map(|()| None),
        Err(fault) => {
            if let Fault::Stream(code) = fault {
                inbound.stop(code);
            }
            return Err(fault);
        }
    };
    let Asked { mut parts, length } = asked;
    if let Some(field) = parts.headers.get(PRIORITY) {
        outbound.set_priority(priority::read(field.as_bytes()));
    }
    let upload = Upload::new(inbound, length, HEADER_LIST as usize);
    let upload = body(upload, &parts.method, length).await?;
    if let Some(early) = early.filter(|early| !early.is_over()) {
        if is_safe(&parts.method) && upload.is_none() {
            edge.metrics.early_request();
            parts.extensions.insert(early);
        } else if !early.over().await {
            return Err(Fault::Gone);
        }
    }
    if upload.is_none()
        && edge.fast_path
        && let Some(answered) = hit::answer(&edge, connection, &parts, outbound).await
    {
        return answered.map(|()| None);
    }
    let is_head = parts.method == Method::HEAD;
    let body = upload.clone().map(|upload| Streaming::new(upload).map_err(Into::into).boxed_unsync());
    let interims = Interims::new();
    parts.extensions.insert(Arc::clone(&interims));
    let serving = pipeline::serve(edge, Arc::clone(connection), parts, body);
    let response = served(outbound, &interims, serving).await?;
    // A request that is none has no answer (RFC 9114 §4.1.2).
    match upload.as_ref().and_then(|upload| upload.try_lock().ok()?.fault()) {
        Some(Fault::Gone) | None => answer(outbound, response, is_head).await.map(|()| upload),
        Some(fault) => Err(fault),
    }
}

/// The pipeline's answer; 1xx answers are sent until it is there.
async fn served(
    outbound: &mut Outbound,
    interims: &Interims,
    serving: impl Future<Output = http::Response<Tracked>>,
) -> Result<http::Response<Tracked>, Fault> {
    let (mut serving, mut settled) = (pin!(serving), pin!(outbound.settled()));
    loop {
        let (told, response) = poll_fn(|cx| {
            let response = serving.as_mut().poll(cx);
            let told = if interims.is_armed() { interims.take(cx) } else { Bytes::new() };
            match response {
                Poll::Ready(response) => Poll::Ready(Ok((told, Some(response)))),
                Poll::Pending if !told.is_empty() => Poll::Ready(Ok((told, None))),
                Poll::Pending => settled.as_mut().poll(cx).map(|()| Err(Fault::Gone)),
            }
        })
        .await?;
        if !told.is_empty() {
            outbound.write(&mut interim::frames(&told), SEND).await?;
        }
        if let Some(response) = response {
            return Ok(response);
        }
    }
}

/// It changes nothing, so that to answer a replay does no harm (RFC 8470 §4).
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// `None`: its fields are too many.
async fn head(inbound: &mut Inbound) -> Result<Option<Asked>, Fault> {
    const LIMIT: usize = HEADER_LIST as usize;
    loop {
        let (frame, length) = inbound.frame().await?.ok_or(Fault::Stream(Code::RequestIncomplete))?;
        if frame != kind::HEADERS {
            skip(inbound, frame, length)?;
            continue;
        }
        let Some(section) = section(inbound, length, LIMIT).await? else { return Ok(None) };
        let mut head = Head::default();
        let decoded = qpack::decode(&section, LIMIT, |name, value| head.push(name, value));
        let asked = match decoded {
            Ok(()) => head.finish(),
            Err(Undecodable::Field(malformed)) => Err(malformed),
            Err(Undecodable::TooLarge) => return Ok(None),
            Err(Undecodable::Section) => return Err(undecodable()),
        };
        return asked.map(Some).map_err(|malformed| {
            tracing::debug!(why = malformed.0, "a malformed request");
            Fault::Stream(Code::MessageError)
        });
    }
}

/// As hyper answers it over HTTP/2, without a line in the log.
async fn too_large(outbound: &mut Outbound) -> Result<(), Fault> {
    let head = frame::headers(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &HeaderMap::new());
    outbound.write(&mut [head.freeze()], SEND).await
}

/// The request's body, if it has one. That of a GET is waited for, since a GET has none (behaviour §2.2).
async fn body(mut upload: Upload, method: &Method, length: Option<u64>) -> Result<Option<Shared>, Fault> {
    let there = match length {
        Some(1..) => Ok(true),
        _ => {
            let patience = if length.is_some() || [Method::GET, Method::HEAD].contains(method) {
                HEADER_READ
            } else {
                FIRST_BYTE
            };
            timeout(patience, upload.begins()).await.unwrap_or(Ok(true))
        }
    };
    // None was announced, and there is one (RFC 9114 §4.1.2).
    let none = length == Some(0);
    let there = there
        .and_then(|there| if there && none { Err(Fault::Stream(Code::MessageError)) } else { Ok(there) });
    match there {
        Ok(true) => Ok(Some(Arc::new(Mutex::new(upload)))),
        Ok(false) => Ok(None),
        Err(fault) => {
            if let Fault::Stream(code) = fault {
                upload.stop(code);
            }
            Err(fault)
        }
    }
}

/// The head, and the body as it comes.
async fn answer(
    outbound: &mut Outbound,
    response: http::Response<Tracked>,
    is_head: bool,
) -> Result<(), Fault> {
    let (mut parts, body) = response.into_parts();
    let bodiless = is_head || body.is_end_stream();
    if !bodiless
        && !parts.headers.contains_key(CONTENT_LENGTH)
        && let Some(length) = body.size_hint().exact()
    {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    let mut waiting = frame::headers(parts.status, &parts.headers);
    if bodiless {
        return outbound.write(&mut [waiting.freeze()], SEND).await;
    }
    let announced: Option<u64> =
        parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    drop(parts);
    let mut sent = 0_u64;
    let mut body = pin!(body);
    while let Some(frame) = next(outbound, &mut waiting, body.as_mut()).await? {
        // Broken off, and the viewer must know: RFC 9114 §8.1.
        let frame = frame.map_err(|_| Fault::Stream(Code::InternalError))?;
        let Ok(data) = frame.into_data() else { continue };
        sent += data.len() as u64;
        let before = frame::data(std::mem::take(&mut waiting), data.len() as u64);
        outbound.write(&mut [before, data], SEND).await?;
    }
    if !waiting.is_empty() {
        outbound.write(&mut [waiting.freeze()], SEND).await?;
    }
    match announced {
        Some(announced) if announced != sent => Err(Fault::Stream(Code::InternalError)),
        _ => Ok(()),
    }
}

/// The body's next frame. `waiting`, the head that goes with the first of them, goes alone if that is not at hand.
async fn next(
    outbound: &mut Outbound,
    waiting: &mut BytesMut,
    mut body: Pin<&mut Tracked>,
) -> Result<Option<Result<Frame<Bytes>, OriginError>>, Fault> {
    if let Poll::Ready(frame) = poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx))).await {
        return Ok(frame);
    }
    if !waiting.is_empty() {
        outbound.write(&mut [std::mem::take(waiting).freeze()], SEND).await?;
    }
    tokio::select! {
        biased;
        frame = body.frame() => Ok(frame),
        () = outbound.settled() => Err(Fault::Gone),
    }
}
