//! The streams that are open, and what is known of each (RFC 9113 §5.1).
//!
//! A stream that is not here is idle, if its number is above all that came, and closed otherwise.

use std::task::{Poll, Waker};

use bytes::Bytes;
use slab::Slab;

use super::flow::{Receiving, Window};
use super::priority::Priority;
use super::upload::Sender;

/// Where an answer's body comes from.
pub(super) trait Source {
    /// The next octets, never none. Asked only when there is room for them. Pending: [`super::core::Core::wake`] is to say
    /// when it is to be asked again.
    fn poll_next(&mut self) -> Poll<Option<Result<Bytes, Broken>>>;
    /// Nothing more will come.
    fn is_end(&self) -> bool;
    /// So many octets of what it gave are not sent, and will not be.
    fn left_behind(&mut self, _octets: usize) {}
}

/// A body that does not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// One request and its answer, from its head until both ends have been said.
#[derive(Debug)]
pub(super) struct Stream<W> {
    pub(super) id: u32,
    pub(super) priority: Priority,
    pub(super) remote: Remote,
    /// Of the request's body, even when all of it has come: what has not been read counts. `None`: there is none.
    pub(super) upload: Option<Sender>,
    /// Octets of the request's body that must still come, if it was said how many.
    pub(super) left: Option<u64>,
    pub(super) receiving: Receiving,
    pub(super) local: Local,
    pub(super) window: Window,
    /// Of the answer's body, and not sent yet.
    pub(super) chunk: Bytes,
    pub(super) work: W,
    /// Ticks without progress though there is something to send.
    pub(super) stuck: u8,
    /// When it was last given its turn, among those that are sent side by side.
    pub(super) turn: u64,
}

impl<W> Stream<W> {
    /// To be woken when room of its request's body is to be given back.
    pub(super) fn wake_for_uploads(&self, waker: Waker) {
        if let Some(upload) = &self.upload {
            upload.set_waker(waker);
        }
    }
}

/// What the peer may still send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remote {
    Open,
    Ended,
}

/// What we have sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    Nothing,
    /// The head; the body is coming along.
    Sending,
    /// The same, and the body has nothing right now.
    Waiting,
}

/// Those of a connection.
#[derive(Debug)]
pub(super) struct Streams<W> {
    slab: Slab<Stream<W>>,
    /// By number, ascending, as they are opened.
    keys: Vec<(u32, usize)>,
}

impl<W> Streams<W> {
    pub(super) fn new() -> Self {
        Self { slab: Slab::new(), keys: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Its number is above all others'.
    pub(super) fn insert(&mut self, stream: Stream<W>) {
        let id = stream.id;
        self.keys.push((id, self.slab.insert(stream)));
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stream<W>> {
        let place = self.place(id)?;
        self.slab.get_mut(self.keys[place].1)
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Stream<W>> {
        let place = self.place(id)?;
        let (_, key) = self.keys.remove(place);
        let stream = self.slab.try_remove(key);
        if self.keys.is_empty() && self.slab.capacity() > KEPT {
            // An idle connection should cost little.
            *self = Self::new();
        }
        stream
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream<W>> {
        self.keys.iter().filter_map(|(_, key)| self.slab.get(*key))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<W>> {
        self.slab.iter_mut().map(|(_, stream)| stream)
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.keys.binary_search_by_key(&id, |(id, _)| *id).ok()
    }
}

/// Places for streams that a connection keeps when it has none.
const KEPT: usize = 4;
