//! Whatever is no hit: through the pipeline, and out as it comes (RFC 9112 §6, §7.1).

use std::future::poll_fn;
use std::io::Write as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Response, StatusCode, response};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::head::{self, Found};
use super::{HeadWriter as _, Http1, READ, READ_BUFFER, Viewer};
use crate::pipeline::tx::Tracked;

/// Bytes that are gathered before they are written; larger pieces of a body are not copied.
const GATHER: usize = 16 << 10;

/// What comes after it.
pub(super) enum Outcome {
    /// The next request.
    Next,
    /// The connection has done its work.
    Last,
    /// The request is for hyper after all.
    Foreign,
    /// The viewer is gone, or must not believe that it has the whole answer.
    Broken,
}

/// Answers the request at the beginning of the buffer.
pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(viewer: &mut Viewer<'_, S>) -> Outcome {
    viewer.deadline.clear();
    let Found::Whole { length, .. } = head::read(&viewer.buffer, |_, _| ()) else { return Outcome::Foreign };
    let rest = viewer.buffer.split_off(length);
    let head = std::mem::replace(&mut viewer.buffer, rest).freeze();
    let Found::Whole { made: Some(parts), .. } =
        head::read(&head, |received, _| head::parts(&head, received))
    else {
        let rest = std::mem::take(&mut viewer.buffer);
        viewer.buffer.extend_from_slice(&head);
        viewer.buffer.unsplit(rest);
        return Outcome::Foreign;
    };
    let method = parts.method.clone();
    let edge = Arc::clone(viewer.latest.edge());
    let serving = crate::pipeline::serve(edge, Arc::clone(viewer.connection), parts, None);
    let Some(response) = while_present(viewer, pin!(serving)).await else { return Outcome::Broken };
    viewer.is_closing |= viewer.deadline.is_stopping();
    let sent = send(viewer, &method, response).await;
    viewer.expect_more();
    match sent {
        Ok(Sent::Whole) if viewer.is_closing => Outcome::Last,
        Ok(Sent::Whole) => Outcome::Next,
        Ok(Sent::Cut) | Err(_) => Outcome::Broken,
    }
}

/// Waits for the answer, sends what is said before it, and reads ahead, for that tells of a viewer who leaves.
async fn while_present<S: AsyncRead + AsyncWrite + Unpin, T>(
    viewer: &mut Viewer<'_, S>,
    mut serving: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    poll_fn(|cx| {
        if let Poll::Ready(answer) = serving.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        // The stream relays 1xx answers when it is flushed.
        if let Poll::Ready(Err(_)) = Pin::new(&mut viewer.stream).poll_flush(cx) {
            return Poll::Ready(None);
        }
        if read_ahead(viewer, cx).is_err() { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// As far as there is room; then the viewer is only missed when it is written to.
fn read_ahead<S: AsyncRead + AsyncWrite + Unpin>(
    viewer: &mut Viewer<'_, S>,
    cx: &mut Context<'_>,
) -> Result<(), ()> {
    while viewer.buffer.len() < READ_BUFFER {
        viewer.buffer.reserve(READ);
        match pin!(viewer.stream.read_buf(&mut viewer.buffer)).poll(cx) {
            Poll::Ready(Ok(0) | Err(_)) => return Err(()),
            Poll::Ready(Ok(_)) => {}
            Poll::Pending => break,
        }
    }
    Ok(())
}

enum Sent {
    Whole,
    /// The body broke off.
    Cut,
}

/// How the end of a body is told (RFC 9112 §6.3).
enum Framing {
    /// There is none.
    Nothing,
    /// That many bytes are left.
    Length(u64),
    Chunks,
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    viewer: &mut Viewer<'_, S>,
    method: &Method,
    response: Response<Tracked>,
) -> std::io::Result<Sent> {
    let (mut head, mut body) = response.into_parts();
    let mut framing = frame(&mut head, &body, method);
    viewer.is_closing |= head.headers.get(CONNECTION).is_some_and(|value| value == "close");
    if viewer.is_closing {
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let mut out = Vec::with_capacity(1024);
    write_head(&head, &mut out);
    let is_whole = loop {
        if matches!(framing, Framing::Nothing | Framing::Length(0)) {
            break true;
        }
        let piece = match poll_fn(|cx| Poll::Ready(next(&mut body, cx))).await {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                // What there is goes out before the rest is waited for.
                write(viewer, &mut out, &[]).await?;
                viewer.stream.flush().await?;
                match while_present(viewer, pin!(poll_fn(|cx| next(&mut body, cx)))).await {
                    Some(piece) => piece,
                    None => return Err(std::io::ErrorKind::ConnectionReset.into()),
                }
            }
        };
        match (piece, &mut framing) {
            (Some(Ok(bytes)), Framing::Length(left)) if bytes.len() as u64 <= *left => {
                *left -= bytes.len() as u64;
                let is_last = *left == 0;
                write(viewer, &mut out, &bytes).await?;
                if is_last {
                    // It may have an end to say.
                    poll_fn(|cx| Poll::Ready(next(&mut body, cx).is_ready())).await;
                }
            }
            (Some(Ok(bytes)), Framing::Chunks) if !bytes.is_empty() => {
                write!(out, "{:x}\r\n", bytes.len())?;
                write(viewer, &mut out, &bytes).await?;
                out.extend_from_slice(b"\r\n");
            }
            (Some(Ok(_)), Framing::Chunks) => {}
            (None, Framing::Chunks) => {
                out.extend_from_slice(b"0\r\n\r\n");
                break true;
            }
            // Shorter or longer than was said, or not at all.
            (None | Some(Err(())) | Some(Ok(_)), _) => break false,
        }
    };
    // Its log and metrics are written: whoever has the answer may look at them.
    drop(body);
    viewer.stream.write_all(&out).await?;
    viewer.stream.flush().await?;
    Ok(if is_whole { Sent::Whole } else { Sent::Cut })
}

/// Gathers small pieces; writes large ones as they are, behind what has been gathered.
async fn write<S: AsyncWrite + Unpin>(
    viewer: &mut Viewer<'_, S>,
    out: &mut Vec<u8>,
    bytes: &[u8],
) -> std::io::Result<()> {
    if !bytes.is_empty() && out.len() + bytes.len() <= GATHER {
        out.extend_from_slice(bytes);
        return Ok(());
    }
    viewer.stream.write_all(out).await?;
    out.clear();
    viewer.stream.write_all(bytes).await
}

/// The next piece. `Some(Err)`: the body breaks off here.
fn next(body: &mut Tracked, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ()>>> {
    Pin::new(body).poll_frame(cx).map(|frame| {
        // Trailers are left out: who wants them has said nothing.
        frame.map(|frame| frame.map_err(drop).map(|frame| frame.into_data().unwrap_or_default()))
    })
}

/// Says how long the body is, if that is not said yet.
fn frame(head: &mut response::Parts, body: &Tracked, method: &Method) -> Framing {
    let headers = &mut head.headers;
    headers.remove(TRANSFER_ENCODING);
    let has_none = head.status.is_informational()
        || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_none || method == Method::HEAD {
        if head.status != StatusCode::NOT_MODIFIED && has_none {
            headers.remove(CONTENT_LENGTH); // RFC 9110 §8.6
        }
        return Framing::Nothing;
    }
    let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match said.or(body.size_hint().exact()) {
        Some(length) => {
            headers.insert(CONTENT_LENGTH, length.into());
            Framing::Length(length)
        }
        None => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            Framing::Chunks
        }
    }
}

fn write_head(head: &response::Parts, out: &mut Vec<u8>) {
    let mut http1 = Http1(out);
    http1.status(head.status);
    for (name, value) in &head.headers {
        http1.field(name.as_str(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
