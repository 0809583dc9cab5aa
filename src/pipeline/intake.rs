//! What comes of an origin's body on its way into the cache: the bytes as they are, or compressed.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use tokio::sync::Mutex;

use super::Route;
use crate::cache::budget::{Budget, Share};
use crate::cache::object::Head;
use crate::encoder::{self, Encoder, STEP, Stuck};
use crate::origin::OriginResponse;
use crate::origin::body::OriginBody;
use crate::origin::error::OriginError;
use crate::policy::{admission, compression};
use crate::semantics::coding::Coding;

/// An origin that pauses for this long lets viewers read what the encoder has collected.
const PAUSE: Duration = Duration::from_millis(50);

/// What is done to an answer before it is stored.
#[derive(Debug)]
pub(super) enum Treatment {
    Leave,
    /// Another viewer would get it compressed.
    SayThatItVaries,
    Compress(Press),
}

impl Treatment {
    /// Is this answer compressed for those who wait, or would it be for others (behaviour §7.1)?
    pub(super) fn of(answer: &admission::Answer<'_>, route: &Route, budget: &Arc<Budget>) -> Self {
        let suits = route.behavior.encoding.compress
            && route.ask.method == Method::GET
            && compression::suits(answer).is_ok();
        let Some(length) = answer.length.filter(|_| suits) else { return Self::Leave };
        Press::new(route.accepted.codings(), length, budget).map_or(Self::SayThatItVaries, Self::Compress)
    }

    pub(super) fn apply(self, response: OriginResponse) -> (Head, Intake) {
        let OriginResponse { status, headers, body, .. } = response;
        match self {
            Self::Leave => (Head::new(status, &headers), Intake::Plain(body)),
            Self::SayThatItVaries => (Head::varying(status, &headers), Intake::Plain(body)),
            Self::Compress(press) => (Head::compressed(status, &headers, press.coding), press.take(body)),
        }
    }
}

/// An origin's error as those who wait get it: its page is compressed where an object would be (behaviour §7.1).
pub(super) async fn of_error(mut error: OriginError, route: &Route, budget: &Arc<Budget>) -> OriginError {
    let status = error.status();
    let OriginError::Refused { answer: Some(page), .. } = &mut error else { return error };
    let answer = admission::Answer {
        status,
        headers: &page.headers,
        length: page.announced.then_some(page.body.len() as u64),
        framed: true,
    };
    match Treatment::of(&answer, route, budget) {
        Treatment::Leave => {}
        Treatment::SayThatItVaries => compression::add_vary(&mut Arc::make_mut(page).headers),
        Treatment::Compress(press) => match press.squeeze(page.body.clone()).await {
            Ok((coding, body)) => {
                let page = Arc::make_mut(page);
                compression::rewrite(&mut page.headers, coding);
                page.body = body;
            }
            Err(failure) => return stuck(failure),
        },
    }
    error
}

/// A body that is read to its end, piece by piece.
#[derive(Debug)]
pub(super) enum Intake {
    Plain(OriginBody),
    Compressed(Box<Compressed>),
}

impl Intake {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// Those of [`OriginBody::next`].
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, OriginError>> {
        match self {
            Self::Plain(body) => body.next().await,
            Self::Compressed(body) => body.next().await.transpose(),
        }
    }
}

/// An encoder and the room that it takes.
#[derive(Debug)]
pub(super) struct Press {
    coding: Coding,
    encoder: Encoder,
    length: u64,
    _share: Share,
}

impl Press {
    /// With the first of `codings` that there is room for. Without room a body stays as it is (behaviour §7.1).
    /// `length`: bytes of the body.
    fn new(codings: &[Coding], length: u64, budget: &Arc<Budget>) -> Option<Self> {
        codings.iter().find_map(|&coding| {
            let share = budget.reserve(encoder::memory(coding, length))?;
            Some(Self { coding, encoder: Encoder::new(coding, length)?, length, _share: share })
        })
    }

    /// A body that is all there.
    async fn squeeze(self, mut body: Bytes) -> Result<(Coding, Bytes), Stuck> {
        let Self { coding, mut encoder, _share, .. } = self;
        let mut squeezed = BytesMut::new();
        while !body.is_empty() {
            let step = body.split_to(body.len().min(STEP));
            squeezed.extend_from_slice(&in_turn(|| encoder.write(&step)).await?);
        }
        squeezed.extend_from_slice(&encoder.finish()?);
        Ok((coding, squeezed.freeze()))
    }

    fn take(self, body: OriginBody) -> Intake {
        let Self { encoder, length, _share, .. } = self;
        let compressed = Compressed {
            body,
            encoder: Some(encoder),
            waiting: Bytes::new(),
            owed: length,
            flushed: true,
            _share,
        };
        Intake::Compressed(Box::new(compressed))
    }
}

#[derive(Debug)]
pub(super) struct Compressed {
    body: OriginBody,
    /// `None`: the end has been put out.
    encoder: Option<Encoder>,
    /// Has come, and is yet to be compressed.
    waiting: Bytes,
    /// Bytes that are yet to come.
    owed: u64,
    /// The encoder holds nothing back.
    flushed: bool,
    _share: Share,
}

impl Compressed {
    async fn next(&mut self) -> Result<Option<Bytes>, OriginError> {
        loop {
            let Some(encoder) = &mut self.encoder else { return Ok(None) };
            let out = if !self.waiting.is_empty() {
                let step = self.waiting.split_to(self.waiting.len().min(STEP));
                self.flushed = false;
                in_turn(|| encoder.write(&step)).await.map_err(stuck)?
            } else if self.flushed {
                match self.body.next().await {
                    Some(bytes) => self.arrived(bytes?)?,
                    None => self.end()?,
                }
            } else {
                match tokio::time::timeout(PAUSE, self.body.next()).await {
                    Ok(Some(bytes)) => self.arrived(bytes?)?,
                    Ok(None) => self.end()?,
                    Err(_) => {
                        self.flushed = true;
                        encoder.flush().map_err(stuck)?
                    }
                }
            };
            if !out.is_empty() {
                return Ok(Some(out));
            }
        }
    }

    fn arrived(&mut self, bytes: Bytes) -> Result<Bytes, OriginError> {
        let left = self.owed.checked_sub(bytes.len() as u64);
        self.owed = left.ok_or(OriginError::InvalidResponse("more than was announced"))?;
        self.waiting = bytes;
        Ok(Bytes::new())
    }

    /// An end before the end must not become a whole stream: a decoder could not tell.
    fn end(&mut self) -> Result<Bytes, OriginError> {
        if self.owed > 0 {
            return Err(OriginError::BodyCutShort);
        }
        self.encoder.take().map_or(Ok(Bytes::new()), Encoder::finish).map_err(stuck)
    }
}

thread_local! {
    /// Held by the one body of this worker that is being compressed right now.
    static TURN: Arc<Mutex<()>> = Arc::default();
}

/// One step of this worker's, of all its bodies. Whoever else is ready has a turn before the next one: a worker serves
/// many, and however many bodies arrive, none of its viewers waits for more than one step.
async fn in_turn<T>(step: impl FnOnce() -> T) -> T {
    let turn = TURN.with(Arc::clone);
    let _held_until_the_others_had_theirs = turn.lock().await;
    let done = step();
    tokio::task::yield_now().await;
    done
}

fn stuck(failure: Stuck) -> OriginError {
    tracing::error!(%failure, "a body could not be compressed");
    OriginError::Abandoned
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// behaviour §7.1: best effort. A Brotli encoder takes megabytes, one for gzip half of one.
    #[cfg(feature = "compress")]
    #[test]
    fn without_room_brotli_gives_way_to_gzip_and_gzip_to_nothing() {
        const KIB: u64 = 1 << 10;
        let chosen = |codings: &[Coding], room: &Arc<Budget>| {
            Press::new(codings, 50_000, room).map(|press| press.coding)
        };
        let both = [Coding::Brotli, Coding::Gzip];
        for (room, codings, expected) in [
            (4_096 * KIB, &both[..], Some(Coding::Brotli)),
            (600 * KIB, &both, Some(Coding::Gzip)),
            (600 * KIB, &both[..1], None),
            (100 * KIB, &both, None),
            (4_096 * KIB, &[], None),
        ] {
            let budget = Budget::new(room);
            assert_eq!(chosen(codings, &budget), expected, "{room} {codings:?}");
            assert!(budget.reserve(room).is_some(), "the encoder's room comes back");
        }
    }

    #[tokio::test]
    async fn however_many_bodies_come_others_have_a_turn_between_two_steps() {
        let log = Arc::new(Mutex::new(String::new()));
        let steps = |log: Arc<Mutex<String>>| async move {
            for _ in 0..10 {
                in_turn(|| log.lock().unwrap().push('s')).await;
            }
        };
        let bodies: Vec<_> = (0..5).map(|_| tokio::spawn(steps(Arc::clone(&log)))).collect();
        while !bodies.iter().all(|body| body.is_finished()) {
            log.lock().unwrap().push('-');
            tokio::task::yield_now().await;
        }
        let log = log.lock().unwrap();
        assert_eq!(log.matches('s').count(), 50);
        assert!(!log.contains("ss"), "{log}");
    }
}
