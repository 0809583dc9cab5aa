//! The half of the connection that writes: heads, and as much of the bodies as windows and order allow.

use std::task::Poll;

use super::core::{Core, Request};
use super::frame::{self, Code, MAX_SIZE, flag, kind};
use super::hpack::{Blocks, Encoder};
use super::output::Output;
use super::priority::Priority;
use super::stream::{Local, Remote, Source, Stream};
use super::{OUTPUT, STUCK};

/// What one stream has put out in its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// A frame; there may be more.
    Frame,
    /// Nothing can be said right now.
    Nothing,
    /// All is said.
    End,
    Broken,
}

/// A head that is being written.
pub(super) struct Block<'c> {
    encoder: &'c mut Encoder,
    blocks: &'c mut Blocks,
    out: &'c mut Vec<u8>,
    start: usize,
    id: u32,
}

impl Block<'_> {
    /// Before all fields.
    pub(super) fn status(&mut self, status: u16) {
        self.encoder.begin(status, self.out);
    }

    /// `name` in lower case.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) {
        self.encoder.field(name, value, self.blocks, self.out);
    }

    /// Whole lines as HTTP/1.1 has them.
    pub(super) fn lines(&mut self, lines: &[u8]) {
        self.blocks.lines(lines, self.encoder, self.out);
    }

    /// `is_all`: there is no body.
    pub(super) fn end(self, is_all: bool) {
        let flags = if is_all { flag::END_STREAM } else { 0 };
        frame::close_headers(self.start, flags, self.id, self.out);
    }
}

impl<W: Source> Core<W> {
    /// Whether an answer's whole body may be written at once, in one frame.
    pub(super) fn fits(&self, length: u64) -> bool {
        let room = self.window.room().min(usize::try_from(self.initial).unwrap_or(0)).min(MAX_SIZE);
        self.has_room() && length <= room as u64
    }

    /// The head of an answer to stream `id`.
    pub(super) fn begin<'c>(&'c mut self, id: u32, blocks: &'c mut Blocks) -> Block<'c> {
        let out = self.output.end();
        let start = out.len();
        frame::head(0, kind::HEADERS, 0, id, out);
        Block { encoder: &mut self.encoder, blocks, out, start, id }
    }

    /// The rest of an answer whose head is written, to a request that has not been opened: `length` octets that fit, which
    /// `body` puts out.
    pub(super) fn end_at_once(&mut self, request: &Request, length: usize, body: impl FnOnce(&mut Output)) {
        if length > 0 && self.window.take(length).is_ok() {
            frame::head(length, kind::DATA, flag::END_STREAM, request.id, self.output.end());
            body(&mut self.output);
            self.put_out(length);
        }
        self.calm.answered();
        if !request.ended {
            self.linger(request.id);
        }
    }

    pub(super) fn answer_without_body(&mut self, request: &Request, status: u16) {
        let out = self.output.end();
        let start = out.len();
        frame::head(0, kind::HEADERS, 0, request.id, out);
        self.encoder.begin(status, out);
        frame::close_headers(start, flag::END_STREAM, request.id, out);
        self.end_at_once(request, 0, |_| ());
    }

    /// RST_STREAM for a request that turned out not to be one.
    pub(super) fn refuse(&mut self, request: &Request) {
        self.reset(request.id, Code::Protocol);
        if self.calm.reset().is_err() {
            self.fail(Code::EnhanceYourCalm);
        }
    }

    /// More may be put into the output.
    pub(super) fn has_room(&self) -> bool {
        self.output.len() < OUTPUT
    }
}

impl<W: Source> Core<W> {
    /// The answer to an open stream begins, with the head that `tell` writes; its body comes from the stream's work.
    pub(super) fn respond(&mut self, id: u32, blocks: &mut Blocks, tell: impl FnOnce(&mut Block<'_>)) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let is_end = stream.work.is_end();
        stream.local = Local::Sending;
        let mut block = self.begin(id, blocks);
        tell(&mut block);
        block.end(is_end);
        if is_end {
            self.finish(id);
        }
    }

    /// The answer to an open stream has begun: its head is written, and its body is not at its end.
    pub(super) fn responded(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.local = Local::Sending;
        }
    }

    /// The body of a stream may have more to say.
    pub(super) fn wake(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.local == Local::Waiting) {
            stream.local = Local::Sending;
        }
    }

    /// Writes what may be sent now: windows that are given back, then bodies in their order.
    pub(super) fn fill(&mut self) {
        self.give_back();
        if !self.streams.is_empty() {
            let order = self.order();
            while self.has_room() && self.round(&order) {}
        }
    }

    /// Those streams that have something to say and are the first to say it: of the most urgent ones the first that is
    /// not incremental, and all that are (RFC 9218 §10); behind them all others, for when these are blocked.
    fn order(&self) -> Vec<(Priority, u64, u32)> {
        let room = self.window.room() > 0;
        let mut ready: Vec<_> = self
            .streams
            .iter()
            .filter(|stream| stream.local == Local::Sending && stream.may_send(room))
            .map(|stream| {
                (stream.priority, if stream.priority.incremental { stream.turn } else { 0 }, stream.id)
            })
            .collect();
        ready.sort_unstable();
        ready
    }

    /// Gives those of `order` a turn that share the next one: the first with something to say settles which. Whether
    /// there was one.
    fn round(&mut self, order: &[(Priority, u64, u32)]) -> bool {
        let (mut said, mut whole) = (None, false);
        for &(Priority { urgency, incremental }, _, id) in order {
            if said.is_some_and(|said| said != urgency) || !self.has_room() {
                break;
            }
            if (incremental || !whole) && self.turn(id) {
                said = Some(urgency);
                whole |= !incremental;
            }
        }
        said.is_some()
    }

    /// One frame of one stream. Whether it had one.
    fn turn(&mut self, id: u32) -> bool {
        self.turns += 1;
        let turn = self.turns;
        let room = self.window.room();
        let Some(stream) = self.streams.get_mut(id) else { return false };
        if stream.local != Local::Sending || !stream.may_send(room > 0) {
            return false;
        }
        stream.turn = turn;
        let (sent, octets) = stream.send(room, |length, ended, piece| {
            frame::head(length, kind::DATA, if ended { flag::END_STREAM } else { 0 }, id, self.output.end());
            self.output.push(piece);
        });
        if octets > 0 {
            // It was asked for room before.
            let _ = self.window.take(octets);
            self.put_out(octets);
        }
        match sent {
            Sent::Frame => true,
            Sent::Nothing => false,
            Sent::End => {
                self.finish(id);
                true
            }
            Sent::Broken => {
                self.reset(id, Code::Internal);
                true
            }
        }
    }

    /// The answer is out.
    fn finish(&mut self, id: u32) {
        self.calm.answered();
        let is_open = self.streams.get_mut(id).is_some_and(|stream| stream.remote == Remote::Open);
        if is_open {
            self.linger(id);
        } else {
            self.remove(id);
        }
    }

    /// WINDOW_UPDATE for what has been consumed.
    fn give_back(&mut self) {
        for stream in self.streams.iter_mut() {
            let Some(upload) = &stream.upload else { continue };
            let consumed = upload.take_consumed();
            self.receiving.consume(consumed);
            stream.receiving.consume(consumed);
            if stream.remote == Remote::Open
                && let Some(by) = stream.receiving.give_back()
            {
                frame::window_update(stream.id, by, self.output.end());
            }
        }
        if let Some(by) = self.receiving.give_back() {
            frame::window_update(0, by, self.output.end());
        }
    }
}

impl<W: Source> Core<W> {
    /// Streams whose viewer has taken nothing of what there is for some time. With room of its own a stream only waits its
    /// turn, as long as the connection has `progressed`.
    pub(super) fn give_up_stuck(&mut self, progressed: bool) {
        let mut stuck = Vec::new();
        for stream in self.streams.iter_mut().filter(|stream| stream.local == Local::Sending) {
            if progressed && stream.may_send(true) {
                stream.stuck = 0;
                continue;
            }
            stream.stuck += 1;
            if stream.stuck >= STUCK {
                stuck.push(stream.id);
            }
        }
        for id in stuck {
            self.reset(id, Code::Cancel);
        }
    }
}

impl<W: Source> Stream<W> {
    /// It is not its own window, nor the connection's, that keeps it.
    fn may_send(&self, room: bool) -> bool {
        (room && self.window.room() > 0) || (self.chunk.is_empty() && self.work.is_end())
    }

    /// Puts out one frame, and how many octets of its body are in it.
    fn send(&mut self, room: usize, frame: impl FnOnce(usize, bool, bytes::Bytes)) -> (Sent, usize) {
        if self.chunk.is_empty() && !self.work.is_end() {
            match self.work.poll_next() {
                Poll::Ready(Some(Ok(chunk))) => self.chunk = chunk,
                Poll::Ready(Some(Err(_))) => return (Sent::Broken, 0),
                Poll::Ready(None) => {
                    frame(0, true, bytes::Bytes::new());
                    return (Sent::End, 0);
                }
                Poll::Pending => {
                    self.local = Local::Waiting;
                    self.stuck = 0;
                    return (Sent::Nothing, 0);
                }
            }
        }
        let length = self.chunk.len().min(room).min(self.window.room()).min(MAX_SIZE);
        let is_end = length == self.chunk.len() && self.work.is_end();
        if (length == 0 && !is_end) || self.window.take(length).is_err() {
            return (Sent::Nothing, 0);
        }
        self.stuck = 0;
        frame(length, is_end, self.chunk.split_to(length));
        (if is_end { Sent::End } else { Sent::Frame }, length)
    }
}
