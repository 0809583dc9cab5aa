//! Large objects in slices: each a range of one version, fetched when somebody wants it, kept and evicted by itself.
//!
//! ```text
//! head    an Object whose content is a Layout, under the object's key: freshness, headers, length, strong ETag
//! slice   Pieces under (key, ETag, length, index): no freshness of its own, for these bytes of this version never change
//! ```
//!
//! A slice is asked for with `If-Match`, so bytes of two versions never meet in one body: when the object has changed,
//! the read ends with an error and the head is forgotten. Memory is bounded by the slices on their way in (a share of
//! the budget each) and by two slices per reader.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::oneshot;

use super::Key;
use super::budget::{Budget, Share};
use super::fill::{self, Filling, Writer};
use super::invalidations::Number;
use super::memory::{Entry, Memory};
use super::object::Layout;
use super::pieces::{Cursor, Pieces};
use crate::origin::error::OriginError;

/// How often a slice is asked for until it is whole.
const TRIES: usize = 3;
/// After an origin's 5xx.
const PAUSE: Duration = Duration::from_millis(100);

/// Bytes that are coming from the origin.
pub type Inflow = UnsyncBoxBody<Bytes, OriginError>;

/// What a [`Source`] says later.
pub type Asked = Pin<Box<dyn Future<Output = Result<Inflow, OriginError>> + Send>>;

/// The origin of one version of one object.
pub trait Source: fmt::Debug + Send + Sync {
    /// Asks for the bytes from `first` to `last`, both included, of this version and no other.
    ///
    /// The future's error [says so](OriginError::says_it_is_another) when that version is no more.
    fn range(&self, first: u64, last: u64) -> Asked;
}

/// An answer whose body is at byte `at` of the object: whoever reads on from there need not ask again.
pub struct Open {
    pub at: u64,
    /// Read already, and not yet used.
    rest: Bytes,
    body: Inflow,
}

impl Open {
    #[must_use]
    pub fn new(at: u64, body: Inflow) -> Self {
        Self { at, rest: Bytes::new(), body }
    }

    async fn next(&mut self) -> Option<Result<Bytes, OriginError>> {
        if !self.rest.is_empty() {
            return Some(Ok(std::mem::take(&mut self.rest)));
        }
        loop {
            match self.body.frame().await?.map(Frame::into_data) {
                Ok(Ok(bytes)) => return Some(Ok(bytes)),
                Ok(Err(_trailers)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("at", &self.at).finish_non_exhaustive()
    }
}

/// The slices of all objects: those that are kept in memory, and those that are arriving.
#[derive(Debug)]
pub struct Slices {
    memory: Arc<Memory>,
    budget: Arc<Budget>,
    arriving: Mutex<HashMap<Key, Arc<Filling>>>,
}

impl Slices {
    #[must_use]
    pub fn new(memory: Arc<Memory>, budget: Arc<Budget>) -> Self {
        Self { memory, budget, arriving: Mutex::default() }
    }

    fn arriving(&self) -> MutexGuard<'_, HashMap<Key, Arc<Filling>>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One version of one object, and where its bytes are.
#[derive(Debug, Clone)]
pub struct Version {
    pub slices: Arc<Slices>,
    /// The object's.
    pub key: Key,
    pub layout: Layout,
    pub source: Arc<dyn Source>,
}

/// What there is of a slice.
#[derive(Debug)]
enum Slice {
    Kept(Arc<Pieces>),
    Arriving(Arc<Filling>),
}

impl Version {
    /// Reads the bytes from `first` to `last`, both included. Comes back when the first slice is there or its first
    /// bytes are. `true`: it was there, or on its way, before.
    ///
    /// # Errors
    /// Why the first slice cannot be had.
    pub async fn read(
        self,
        first: u64,
        last: u64,
        open: Option<Open>,
    ) -> Result<(Reader, bool), OriginError> {
        let mut reader = Reader {
            version: self,
            position: first,
            end: last + 1,
            now: None,
            ahead: None,
            open,
            back: None,
        };
        let hit = reader.begin();
        if let Some(Part::Arriving(arriving)) = &reader.now {
            arriving.begun().await?;
        }
        Ok((reader, hit))
    }

    /// Forgets the version when the origin has said that it is no more.
    fn forget_if_gone(&self, error: &OriginError) {
        if error.says_it_is_another()
            && let Some(Entry::Object(object)) = self.memory().get(&self.key)
            && object.layout() == Some(&self.layout)
        {
            self.memory().remove(&self.key);
        }
    }

    fn memory(&self) -> &Memory {
        &self.slices.memory
    }

    /// No header's name has a quote in it, so no object's key ends like this. The length is part of it, for an origin may
    /// call two versions by one name, and a slice must have all of its bytes.
    fn slice_key(&self, index: u64) -> Key {
        let Layout { length, etag, .. } = &self.layout;
        Key::from(format!("{}\n#{etag}\n{length}\n{index}", self.key))
    }

    /// The slice: kept, arriving, or from now on arriving. `None`: nobody has it, and `want` says not to ask.
    fn slice(&self, index: u64, want: Want) -> Option<Found> {
        let key = self.slice_key(index);
        // A fetch that ends puts the slice into memory before it leaves: who misses it in the one finds it in the
        // other, as long as nobody leaves between the two looks.
        let mut arriving = self.slices.arriving();
        if let Some(filling) = arriving.get(&key) {
            return Some(Found::there(Slice::Arriving(Arc::clone(filling))));
        }
        if let Some(Entry::Slice(pieces)) = self.memory().get(&key) {
            return Some(Found::there(Slice::Kept(pieces)));
        }
        let (first, last) = self.layout.bounds(index);
        let share = self.slices.budget.reserve(last - first + 1);
        let open = match want {
            Want::IfRoom if share.is_none() => return None,
            Want::IfRoom => None,
            Want::Now(open) => open.filter(|open| open.at == first),
        };
        let (mut writer, filling) = fill::begin(Some(last - first + 1));
        let seat = share.map(|share| Seat { slices: Arc::clone(&self.slices), key: Key::clone(&key), share });
        match seat {
            Some(_) => drop(arriving.insert(key, Arc::clone(&filling))),
            None => writer.become_window(), // not shared: it is gone as it is read
        }
        drop(arriving);
        let (give, back) = oneshot::channel();
        let back = open.is_some().then_some(back);
        let since = self.memory().invalidations().latest();
        let bringing = Bringing { version: self.clone(), first, last, writer, seat, since };
        tokio::spawn(bringing.run(open.map(|open| (open, give))));
        Some(Found { slice: Slice::Arriving(filling), asked: true, back })
    }
}

/// How much a slice is wanted.
#[derive(Debug)]
enum Want {
    /// To be read at once; from this answer, if it stands at the slice's first byte.
    Now(Option<Open>),
    /// Soon: only if there is room for it.
    IfRoom,
}

#[derive(Debug)]
struct Found {
    slice: Slice,
    /// Not there before.
    asked: bool,
    /// Where the open answer will come back.
    back: Option<oneshot::Receiver<Open>>,
}

impl Found {
    fn there(slice: Slice) -> Self {
        Self { slice, asked: false, back: None }
    }
}

/// The place of a slice among those that arrive, and the room for it. Its drop gives both back.
#[derive(Debug)]
struct Seat {
    slices: Arc<Slices>,
    key: Key,
    #[expect(dead_code, reason = "held for its drop")]
    share: Share,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let removed = self.slices.arriving().remove(&self.key);
        drop(removed);
    }
}

/// A fetch of one slice; a task of its own, so that a reader who leaves ends nothing for the others.
struct Bringing {
    version: Version,
    first: u64,
    last: u64,
    writer: Writer,
    seat: Option<Seat>,
    /// The last invalidation before it began.
    since: Number,
}

impl Bringing {
    async fn run(mut self, open: Option<(Open, oneshot::Sender<Open>)>) {
        let outcome = self.fill(open).await;
        let Self { version, mut writer, seat, since, .. } = self;
        match outcome {
            Ok(()) => {
                if let Some(seat) = &seat {
                    let slice = Entry::Slice(Arc::new(Pieces::new(writer.pieces())));
                    version.memory().insert(Key::clone(&seat.key), slice, since);
                }
                writer.complete();
            }
            Err(error) => {
                version.forget_if_gone(&error);
                writer.fail(error);
            }
        }
    }

    /// Every byte, from as many answers as it takes; then gives `open` back.
    async fn fill(&mut self, mut open: Option<(Open, oneshot::Sender<Open>)>) -> Result<(), OriginError> {
        let wanted = self.last - self.first + 1;
        let mut lost = OriginError::BodyCutShort;
        for _ in 0..TRIES {
            let (mut answer, give) = match open.take() {
                Some((open, give)) => (open, Some(give)),
                None => {
                    let at = self.first + self.writer.len();
                    match self.version.source.range(at, self.last).await {
                        Ok(body) => (Open::new(at, body), None),
                        // A bad moment of the origin's must not end a read that is under way.
                        Err(error @ OriginError::Refused { status: 500.., .. }) => {
                            lost = error;
                            tokio::time::sleep(PAUSE).await;
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            loop {
                let mut bytes = match answer.next().await {
                    Some(Ok(bytes)) => bytes,
                    Some(Err(error)) => {
                        lost = error;
                        break;
                    }
                    None => break,
                };
                let missing = wanted - self.writer.len();
                let enough = bytes.len() as u64 >= missing;
                if enough {
                    let mine = usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len());
                    answer.rest = bytes.split_off(mine);
                    answer.at = self.last + 1;
                    // Before the last bytes are seen: who has them looks for the answer next.
                    if let Some(give) = give {
                        let _gone = give.send(answer);
                    }
                    self.writer.push(bytes);
                    return Ok(());
                }
                self.writer.push(bytes);
                if self.seat.is_none() && !self.writer.room().await {
                    return Err(OriginError::Abandoned); // nobody reads it
                }
            }
        }
        Err(lost)
    }
}

/// Bytes of one version, slice by slice, as an HTTP body. The next slice is asked for while one is read.
#[derive(Debug)]
pub struct Reader {
    version: Version,
    position: u64,
    /// Behind the last byte.
    end: u64,
    now: Option<Part>,
    ahead: Option<Slice>,
    open: Option<Open>,
    /// Where the fetch of the slice that is read will put `open`.
    back: Option<oneshot::Receiver<Open>>,
}

#[derive(Debug)]
enum Part {
    Kept(Cursor),
    Arriving(fill::Reader),
}

impl Reader {
    /// Turns to the slice in which `position` lies, and sees to the one after it. `true`: it need not be asked for.
    fn begin(&mut self) -> bool {
        if let Some(mut back) = self.back.take() {
            self.open = back.try_recv().ok();
        }
        let index = self.version.layout.index(self.position);
        let (first, last) = self.version.layout.bounds(index);
        let from = self.position - first;
        let to = last.min(self.end - 1) - first;
        let ahead = self.ahead.take().map(Found::there);
        let found = ahead.or_else(|| self.version.slice(index, Want::Now(self.open.take())));
        let asked = found.as_ref().is_some_and(|found| found.asked);
        self.now = found.and_then(|found| {
            self.back = found.back;
            match found.slice {
                Slice::Kept(pieces) => Some(Part::Kept(pieces.cursor(from, to - from + 1))),
                Slice::Arriving(filling) => filling.reader(from, Some(to)).map(Part::Arriving),
            }
        });
        self.look_ahead(index + 1);
        !asked
    }

    /// An open answer brings the next slice by itself.
    fn look_ahead(&mut self, index: u64) {
        let (first, _) = self.version.layout.bounds(index);
        if first < self.end && self.back.is_none() {
            self.ahead = self.version.slice(index, Want::IfRoom).map(|found| found.slice);
        }
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        while !this.is_end_stream() {
            let bytes = match &mut this.now {
                Some(Part::Kept(cursor)) => cursor.next(),
                Some(Part::Arriving(reader)) => match ready!(Pin::new(reader).poll_frame(cx)) {
                    Some(Ok(frame)) => frame.into_data().ok(),
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => None,
                },
                None => {
                    this.begin();
                    match &this.now {
                        Some(_) => continue,
                        None => return Poll::Ready(Some(Err(OriginError::Abandoned))),
                    }
                }
            };
            match bytes {
                Some(bytes) => {
                    this.position += bytes.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                None => this.now = None,
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.position >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.position)
    }
}

#[cfg(test)]
mod tests;
