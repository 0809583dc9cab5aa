//! A viewer's body on its way to an origin: streamed, counted, and asked about how it gets on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

/// Bytes of a request's body (behaviour §2.4).
pub const MAX_BODY: u64 = 64_000_000_000;

/// What is sent after a request's head.
#[derive(Debug)]
pub enum Outgoing {
    Nothing,
    Viewer(Upload),
}

/// A viewer's body, whatever protocol brings it.
pub type Incoming = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A viewer's body. Trailers are left out (behaviour §4.5).
#[derive(Debug)]
pub struct Upload {
    incoming: Incoming,
    taken: u64,
    progress: Arc<Progress>,
}

/// How far an upload is, for whoever waits for the answer to it.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    /// Milliseconds from `began` to the last byte that was taken.
    last: AtomicU64,
    outcome: [AtomicBool; 2],
}

/// Why an upload did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    #[error("the viewer's body broke off")]
    BrokeOff,
    #[error("the viewer's body is too large")]
    TooLarge,
}

impl Outgoing {
    /// `None`: there is no body.
    #[must_use]
    pub fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Nothing => None,
            Self::Viewer(upload) => Some(Arc::clone(&upload.progress)),
        }
    }
}

impl Upload {
    #[must_use]
    pub fn new(incoming: Incoming) -> Self {
        let progress = Progress {
            began: Instant::now(),
            last: AtomicU64::new(0),
            outcome: [const { AtomicBool::new(false) }; 2],
        };
        Self { incoming, taken: 0, progress: Arc::new(progress) }
    }

    /// Bytes, if the viewer announced them.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }
}

impl Progress {
    /// Since the last byte was taken.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }

    /// What kept the body from its end.
    #[must_use]
    pub fn interrupted(&self) -> Option<Interrupted> {
        let set = |kind: Interrupted| self.outcome[kind as usize].load(Ordering::Relaxed).then_some(kind);
        set(Interrupted::TooLarge).or_else(|| set(Interrupted::BrokeOff))
    }

    fn took(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    fn interrupt(&self, kind: Interrupted) -> Interrupted {
        self.outcome[kind as usize].store(true, Ordering::Relaxed);
        kind
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        this.progress.took();
        Poll::Ready(match frame.transpose() {
            Ok(frame) => {
                let data = frame.and_then(|frame| frame.into_data().ok());
                this.taken += data.as_ref().map_or(0, |data| data.len() as u64);
                if this.taken > MAX_BODY {
                    return Poll::Ready(Some(Err(this.progress.interrupt(Interrupted::TooLarge))));
                }
                data.map(|data| Ok(Frame::data(data)))
            }
            Err(_) => Some(Err(this.progress.interrupt(Interrupted::BrokeOff))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        match self.get_mut() {
            Self::Nothing => Poll::Ready(None),
            Self::Viewer(upload) => Pin::new(upload).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Viewer(upload) => upload.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Viewer(upload) => upload.size_hint(),
        }
    }
}
