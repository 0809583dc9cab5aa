//! The connection without its socket: octets in, requests out; answers in, octets out. No clock either: time is told to it
//! by [`Core::alarm`].
//!
//! This half reads; what writes is in `send.rs`.

use std::collections::VecDeque;

use super::calm::{Calm, Exhausted};
use super::flow::{self, Receiving, Window};
use super::frame::{self, Code, Head, MAX_SIZE, PREFACE, flag, kind, setting};
use super::hpack::{self, Decoder, Encoder, Fields};
use super::linger::Lingering;
use super::output::Output;
use super::priority::Priority;
use super::request::{self, Malformed, Shape};
use super::stream::{Remote, Source, Stream, Streams};
use super::upload::{self, Upload};
use super::{BLOCK, CONTINUATIONS, EARLY, FORGOTTEN, HEADER_LIST, STREAMS, WINDOW, WINDOW_OF_ALL};

#[derive(Debug)]
pub(super) struct Core<W> {
    /// The beginning of a frame whose rest is yet to come.
    input: Vec<u8>,
    /// Octets of the preface that have come.
    greeted: usize,
    /// The peer's first frame has come; it must be SETTINGS.
    settled: bool,
    decoder: Decoder,
    /// A header block that goes on in the next frame.
    block: Option<Block>,
    pub(super) encoder: Encoder,
    pub(super) output: Output,
    /// Octets of `output` that answer frames, rather than requests.
    replies: usize,
    /// Octets of `output` up to the end of its last DATA.
    bodies: usize,
    pub(super) streams: Streams<W>,
    /// The highest number of a stream that has been taken.
    last: u32,
    /// The highest number that a stream has come with, taken or not.
    highest: u32,
    pub(super) end: End,
    /// The next alarm is not a tick's, but ends the wait for viewers that have been told to leave.
    last_words: bool,
    /// What a new stream of the peer's takes.
    pub(super) initial: u32,
    pub(super) window: Window,
    pub(super) receiving: Receiving,
    pub(super) calm: Calm,
    /// Priorities of streams that have not come yet (RFC 9218 §7).
    early: Vec<(u32, Priority)>,
    /// Streams that we ended before the peer knew: what is still on its way for them is no error.
    ours: VecDeque<u32>,
    /// The highest number that has left `ours`.
    forgotten: u32,
    /// Of those in `ours`, the ones that may end by themselves.
    lingering: Lingering,
    pub(super) turns: u64,
    pub(super) time: Time,
}

#[derive(Debug)]
struct Block {
    stream: u32,
    is_last: bool,
    octets: Vec<u8>,
    frames: usize,
    ticks: u8,
}

/// How far the end of the connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Open,
    /// The peer has been told that there will be one (RFC 9113 §6.8).
    Announced,
    /// Streams above this number are not taken.
    Last(u32),
    /// The peer has broken the rules: nothing is read any more.
    Failed,
}

/// What has happened since the last tick.
#[derive(Debug, Default)]
pub(super) struct Time {
    pub(super) heard: bool,
    pub(super) asked: bool,
    /// Something of a body has been put out, or has been written.
    pub(super) progressed: bool,
    /// Ticks without a stream.
    pub(super) idle: u8,
    /// A PING is out.
    pub(super) pinged: bool,
}

/// A request whose head is complete. It must be answered, or opened.
#[must_use]
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: u32,
    /// There is no body.
    pub(super) ended: bool,
    pub(super) shape: Shape,
    priority: Priority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Stream(u32, Code),
    Connection(Code),
}

impl From<Exhausted> for Fault {
    fn from(_: Exhausted) -> Self {
        Self::Connection(Code::EnhanceYourCalm)
    }
}

impl From<hpack::Invalid> for Fault {
    fn from(_: hpack::Invalid) -> Self {
        Self::Connection(Code::Compression)
    }
}

const PROTOCOL: Fault = Fault::Connection(Code::Protocol);
const FRAME_SIZE: Fault = Fault::Connection(Code::FrameSize);

/// What we ask with before the last GOAWAY, and when a peer is silent.
pub(super) const LEAVING: [u8; 8] = *b"edgeseal";
pub(super) const ALIVE: [u8; 8] = *b"alive???";

impl<W: Source> Core<W> {
    pub(super) fn new() -> Self {
        let mut output = Output::default();
        let settings = [
            (setting::MAX_CONCURRENT_STREAMS, STREAMS as u32),
            (setting::INITIAL_WINDOW_SIZE, WINDOW),
            (setting::MAX_HEADER_LIST_SIZE, HEADER_LIST as u32),
            (setting::NO_RFC7540_PRIORITIES, 1),
        ];
        frame::write_settings(&settings, output.end());
        frame::window_update(0, WINDOW_OF_ALL - flow::INITIAL, output.end());
        Self {
            input: Vec::new(),
            greeted: 0,
            settled: false,
            decoder: Decoder::new(),
            block: None,
            encoder: Encoder::new(),
            output,
            replies: 0,
            bodies: 0,
            streams: Streams::new(),
            last: 0,
            highest: 0,
            end: End::Open,
            last_words: false,
            initial: flow::INITIAL,
            window: Window::new(flow::INITIAL),
            receiving: Receiving::new(WINDOW_OF_ALL),
            calm: Calm::new(),
            early: Vec::new(),
            ours: VecDeque::new(),
            forgotten: 0,
            lingering: Lingering::default(),
            turns: 0,
            time: Time::default(),
        }
    }

    /// Reads on in `bytes` until there is a request, or nothing is left. Its fields are in `fields`.
    pub(super) fn receive(&mut self, bytes: &mut &[u8], fields: &mut Fields) -> Option<Request> {
        self.time.heard = true;
        while self.end != End::Failed {
            match self.step(bytes, fields) {
                Ok(Step::Request(request)) => {
                    self.calm.request();
                    self.time.asked = true;
                    return Some(request);
                }
                Ok(Step::Frame) => {}
                Ok(Step::Starved) => return None,
                Err(fault) => self.fault(fault),
            }
        }
        *bytes = &[];
        None
    }

    /// Whether more is to be read: replies and answers that are not taken must not pile up.
    pub(super) fn is_reading(&self) -> bool {
        self.end != End::Failed && self.replies < super::REPLIES && self.output.len() < 2 * super::OUTPUT
    }

    /// All of the output has been written.
    pub(super) fn drained(&mut self) {
        self.replies = 0;
    }

    /// So many octets of the output have been written.
    pub(super) fn wrote(&mut self, octets: usize) {
        // Replies alone are no progress: a peer that takes no body may still chat.
        self.time.progressed |= self.bodies > 0 && octets > 0;
        self.bodies = self.bodies.saturating_sub(octets);
        self.output.advance(octets);
    }

    /// DATA with so many octets has been put out.
    pub(super) fn put_out(&mut self, octets: usize) {
        self.calm.sent(octets);
        self.time.progressed = true;
        self.bodies = self.output.len();
    }

    fn step(&mut self, bytes: &mut &[u8], fields: &mut Fields) -> Result<Step, Fault> {
        if self.greeted < PREFACE.len() {
            return self.greet(bytes);
        }
        if !self.input.is_empty() {
            return self.go_on(bytes, fields);
        }
        let Some((front, rest)) = bytes.split_first_chunk() else { return Ok(self.keep(bytes)) };
        let head = Head::read(front);
        if head.length > MAX_SIZE {
            return Err(FRAME_SIZE);
        }
        let Some((payload, rest)) = rest.split_at_checked(head.length) else { return Ok(self.keep(bytes)) };
        *bytes = rest;
        self.frame(head, payload, fields)
    }

    fn greet(&mut self, bytes: &mut &[u8]) -> Result<Step, Fault> {
        let expected = &PREFACE[self.greeted..];
        let (begin, rest) = bytes.split_at(expected.len().min(bytes.len()));
        if !expected.starts_with(begin) {
            return Err(PROTOCOL); // RFC 9113 §3.4
        }
        self.greeted += begin.len();
        *bytes = rest;
        Ok(if self.greeted < PREFACE.len() { Step::Starved } else { Step::Frame })
    }

    fn keep(&mut self, bytes: &mut &[u8]) -> Step {
        self.input.extend_from_slice(bytes);
        *bytes = &[];
        Step::Starved
    }

    /// Completes the frame whose beginning has been kept.
    fn go_on(&mut self, bytes: &mut &[u8], fields: &mut Fields) -> Result<Step, Fault> {
        let mut need = frame::HEAD;
        loop {
            let more = need.saturating_sub(self.input.len()).min(bytes.len());
            let (begin, rest) = bytes.split_at(more);
            self.input.extend_from_slice(begin);
            *bytes = rest;
            let Some((front, payload)) = self.input.split_first_chunk() else { return Ok(Step::Starved) };
            let head = Head::read(front);
            if head.length > MAX_SIZE {
                return Err(FRAME_SIZE);
            }
            if payload.len() == head.length {
                let input = std::mem::take(&mut self.input);
                return self.frame(head, &input[frame::HEAD..], fields);
            }
            if bytes.is_empty() {
                return Ok(Step::Starved);
            }
            need = frame::HEAD + head.length;
        }
    }

    fn frame(&mut self, head: Head, payload: &[u8], fields: &mut Fields) -> Result<Step, Fault> {
        if self
            .block
            .as_ref()
            .is_some_and(|block| head.kind != kind::CONTINUATION || block.stream != head.stream)
        {
            return Err(PROTOCOL); // RFC 9113 §4.3
        }
        if !self.settled && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(PROTOCOL);
        }
        match head.kind {
            kind::DATA => self.data(head, payload)?,
            kind::HEADERS => return self.headers(head, payload, fields),
            kind::CONTINUATION => return self.continuation(head, payload, fields),
            kind::SETTINGS => self.settings(head, payload)?,
            kind::PING => self.ping(head, payload)?,
            kind::WINDOW_UPDATE => self.window_update(head, payload)?,
            kind::RST_STREAM => self.rst_stream(head, payload)?,
            kind::PRIORITY => self.priority(head, payload)?,
            kind::PRIORITY_UPDATE => self.priority_update(head, payload)?,
            kind::GOAWAY => self.go_away_received(head, payload)?,
            kind::PUSH_PROMISE => return Err(PROTOCOL), // RFC 9113 §8.4
            // RFC 9113 §5.5
            _ => self.calm.noise()?,
        }
        Ok(Step::Frame)
    }

    fn headers(&mut self, head: Head, payload: &[u8], fields: &mut Fields) -> Result<Step, Fault> {
        if head.stream.is_multiple_of(2) {
            return Err(PROTOCOL); // RFC 9113 §5.1.1, §6.2
        }
        let mut octets = frame::unpadded(head, payload).ok_or(PROTOCOL)?;
        if head.has(flag::PRIORITY) {
            // RFC 7540's priorities are not for us (RFC 9113 §5.3.2).
            octets = octets.get(5..).ok_or(FRAME_SIZE)?;
        }
        let is_last = head.has(flag::END_STREAM);
        if head.has(flag::END_HEADERS) {
            return self.complete(head.stream, is_last, octets, fields);
        }
        self.block =
            Some(Block { stream: head.stream, is_last, octets: octets.to_vec(), frames: 0, ticks: 0 });
        Ok(Step::Frame)
    }

    fn continuation(&mut self, head: Head, payload: &[u8], fields: &mut Fields) -> Result<Step, Fault> {
        let block = self.block.as_mut().ok_or(PROTOCOL)?;
        block.frames += 1;
        // CVE-2024-27316 and its kin.
        if block.frames > CONTINUATIONS || block.octets.len() + payload.len() > BLOCK {
            return Err(Fault::Connection(Code::EnhanceYourCalm));
        }
        block.octets.extend_from_slice(payload);
        if !head.has(flag::END_HEADERS) {
            return Ok(Step::Frame);
        }
        let Block { stream, is_last, octets, .. } = self.block.take().ok_or(PROTOCOL)?;
        self.complete(stream, is_last, &octets, fields)
    }

    /// A header block is complete. It is decoded whatever becomes of it: the table is the connection's.
    fn complete(&mut self, id: u32, is_last: bool, block: &[u8], fields: &mut Fields) -> Result<Step, Fault> {
        self.decoder.decode(block, fields)?;
        if id <= self.last {
            self.trailers(id, is_last, fields)?;
            return Ok(Step::Frame);
        }
        self.highest = self.highest.max(id);
        if self.is_too_late(id) {
            self.calm.noise()?;
            return Ok(Step::Frame);
        }
        self.last = id;
        if fields.is_too_large() {
            return self.refuse_fields(id, is_last);
        }
        let malformed = |_: Malformed| Fault::Stream(id, Code::Protocol);
        let shape = Shape::read(fields).map_err(malformed)?;
        if is_last && shape.content_length.is_some_and(|length| length > 0) {
            return Err(malformed(Malformed)); // RFC 9113 §8.1.1
        }
        if self.streams.len() >= STREAMS {
            return Err(Fault::Stream(id, Code::RefusedStream)); // RFC 9113 §5.1.2
        }
        let early = self.early.iter().position(|(of, _)| *of == id);
        let priority = early.map_or(shape.priority, |place| self.early.swap_remove(place).1);
        Ok(Step::Request(Request { id, ended: is_last, shape, priority }))
    }

    /// Beyond what the pipeline would refuse itself (behaviour §2.4): nothing of it has been kept.
    fn refuse_fields(&mut self, id: u32, is_last: bool) -> Result<Step, Fault> {
        self.calm.noise()?;
        let request = Request { id, ended: is_last, shape: Shape::EMPTY, priority: Priority::default() };
        self.answer_without_body(&request, 431);
        Ok(Step::Frame)
    }

    fn trailers(&mut self, id: u32, is_last: bool, fields: &Fields) -> Result<(), Fault> {
        let Some(stream) = self.streams.get_mut(id) else {
            if is_last {
                self.lingering.remove(id);
            }
            return self.closed(id);
        };
        if stream.remote == Remote::Ended {
            return Err(Fault::Stream(id, Code::StreamClosed));
        }
        let is_whole = stream.left.is_none_or(|left| left == 0);
        if !is_last || !is_whole || fields.is_too_large() || request::check_trailers(fields).is_err() {
            return Err(Fault::Stream(id, Code::Protocol));
        }
        stream.end();
        Ok(())
    }

    fn data(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let id = head.stream;
        self.check_begun(id)?;
        let data = frame::unpadded(head, payload).ok_or(PROTOCOL)?;
        self.receiving.take(head.length).map_err(|_| Fault::Connection(Code::FlowControl))?;
        let ended = head.has(flag::END_STREAM);
        if data.is_empty() && !ended {
            self.calm.noise()?;
        }
        let Some(stream) = self.streams.get_mut(id) else {
            self.receiving.consume(head.length);
            if ended {
                self.lingering.remove(id);
            } else if self.lingering.is_too_much(id, head.length) {
                self.stop(id);
            }
            return self.closed(id);
        };
        let taken = stream.take(head.length, data, ended);
        if let Ok(free) = taken {
            self.receiving.consume(free);
            stream.receiving.consume(free);
        } else {
            self.receiving.consume(head.length);
        }
        taken.map(|_| ()).map_err(|code| Fault::Stream(id, code))
    }

    fn settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(PROTOCOL);
        }
        if head.has(flag::ACK) {
            if head.length > 0 {
                return Err(FRAME_SIZE);
            }
            return Ok(self.calm.noise()?);
        }
        if !head.length.is_multiple_of(6) {
            return Err(FRAME_SIZE);
        }
        self.settled = true;
        self.calm.noise()?;
        let mut initial = self.initial;
        for (id, value) in frame::settings(payload) {
            match id {
                setting::HEADER_TABLE_SIZE => {
                    self.encoder.resize(usize::try_from(value).unwrap_or(usize::MAX));
                }
                setting::ENABLE_PUSH if value > 1 => return Err(PROTOCOL),
                setting::INITIAL_WINDOW_SIZE if i64::from(value) > flow::MAX => {
                    return Err(Fault::Connection(Code::FlowControl));
                }
                setting::INITIAL_WINDOW_SIZE => initial = value,
                // Larger frames than those that everybody takes are no gain.
                setting::MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => return Err(PROTOCOL),
                _ => {}
            }
        }
        let change = i64::from(initial) - i64::from(self.initial);
        self.initial = initial;
        for stream in self.streams.iter_mut() {
            stream.window.grow(change).map_err(|_| Fault::Connection(Code::FlowControl))?;
        }
        self.reply(|out| frame::head(0, kind::SETTINGS, flag::ACK, 0, out));
        Ok(())
    }

    fn ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(PROTOCOL);
        }
        let data = *<&[u8; 8]>::try_from(payload).map_err(|_| FRAME_SIZE)?;
        self.calm.noise()?;
        if !head.has(flag::ACK) {
            self.reply(|out| frame::ping(true, data, out));
        } else if data == LEAVING && self.end == End::Announced {
            self.leave();
        } else if data == ALIVE {
            self.time.pinged = false;
        }
        Ok(())
    }

    fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.length != 4 {
            return Err(FRAME_SIZE);
        }
        let by = frame::number(payload).ok_or(FRAME_SIZE)?;
        self.calm.noise()?;
        if head.stream == 0 {
            if by == 0 {
                return Err(PROTOCOL);
            }
            return self.window.grow(by.into()).map_err(|_| Fault::Connection(Code::FlowControl));
        }
        self.check_begun(head.stream)?;
        let Some(stream) = self.streams.get_mut(head.stream) else { return Ok(()) };
        if by == 0 {
            return Err(Fault::Stream(head.stream, Code::Protocol));
        }
        stream.window.grow(by.into()).map_err(|_| Fault::Stream(head.stream, Code::FlowControl))
    }

    fn rst_stream(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        self.check_begun(head.stream)?;
        if payload.len() != 4 {
            return Err(FRAME_SIZE);
        }
        self.lingering.remove(head.stream);
        if self.remove(head.stream) {
            self.calm.reset()?
        } else {
            self.calm.noise()?
        }
        Ok(())
    }

    fn priority(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream == 0 {
            return Err(PROTOCOL);
        }
        if payload.len() != 5 {
            return Err(FRAME_SIZE);
        }
        Ok(self.calm.noise()?)
    }

    /// RFC 9218 §7.1.
    fn priority_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(PROTOCOL);
        }
        let id = frame::number(payload).ok_or(FRAME_SIZE)?;
        if id.is_multiple_of(2) {
            return Err(PROTOCOL);
        }
        self.calm.noise()?;
        let priority = Priority::read(&payload[4..]);
        if let Some(stream) = self.streams.get_mut(id) {
            stream.priority = priority;
        } else if id > self.last {
            self.early.retain(|(of, _)| *of != id && *of > self.last);
            if self.early.len() < EARLY {
                self.early.push((id, priority));
            }
        }
        Ok(())
    }

    fn go_away_received(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(PROTOCOL);
        }
        if payload.len() < 8 {
            return Err(FRAME_SIZE);
        }
        self.calm.noise()?;
        self.leave();
        Ok(())
    }

    /// Takes a request's stream up. The request's body, if it has one.
    pub(super) fn open(&mut self, request: &Request, work: W) -> Option<Upload> {
        let (remote, (sender, upload)) = if request.ended {
            (Remote::Ended, (None, None))
        } else {
            let (sender, upload) = upload::pipe(request.shape.content_length);
            (Remote::Open, (Some(sender), Some(upload)))
        };
        self.streams.insert(Stream {
            id: request.id,
            priority: request.priority,
            remote,
            upload: sender,
            left: request.shape.content_length,
            receiving: Receiving::new(WINDOW),
            local: super::stream::Local::Nothing,
            window: Window::new(self.initial),
            chunk: bytes::Bytes::new(),
            work,
            stuck: 0,
            turn: 0,
        });
        upload
    }

    /// Drops a stream; whether there was one.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let Some(mut stream) = self.streams.remove(id) else { return false };
        if stream.remote == Remote::Open {
            self.remember(id);
        }
        self.receiving.consume(stream.upload.map_or(0, upload::Sender::detach));
        if !stream.chunk.is_empty() {
            stream.work.left_behind(stream.chunk.len());
        }
        true
    }

    /// Drops all streams: the peer is gone.
    pub(super) fn abandon(&mut self) {
        let all: Vec<u32> = self.streams.iter().map(|stream| stream.id).collect();
        for id in all {
            self.remove(id);
        }
    }

    /// The peer may not know yet that this stream is over.
    pub(super) fn remember(&mut self, id: u32) {
        if self.ours.len() == FORGOTTEN {
            self.forgotten = self.ours.pop_front().map_or(0, |id| id.max(self.forgotten));
        }
        self.ours.push_back(id);
    }

    /// A frame for a stream that is over: an error, unless it crossed our own end of it (RFC 9113 §5.1).
    fn closed(&mut self, id: u32) -> Result<(), Fault> {
        if self.is_too_late(id) || id <= self.forgotten || self.ours.contains(&id) {
            return Ok(self.calm.noise()?);
        }
        Err(Fault::Connection(Code::StreamClosed))
    }

    /// Only on a stream that has come may this be said (RFC 9113 §5.1).
    fn check_begun(&self, id: u32) -> Result<(), Fault> {
        if id == 0 || id.is_multiple_of(2) || id > self.highest { Err(PROTOCOL) } else { Ok(()) }
    }

    /// The stream crossed our last GOAWAY: it is not taken, and what comes for it is no error (RFC 9113 §6.8).
    fn is_too_late(&self, id: u32) -> bool {
        matches!(self.end, End::Last(last) if id > last)
    }

    fn fault(&mut self, fault: Fault) {
        let code = match fault {
            Fault::Connection(code) => code,
            Fault::Stream(id, code) => {
                self.reset(id, code);
                if self.calm.reset().is_ok() {
                    return;
                }
                Code::EnhanceYourCalm
            }
        };
        self.fail(code);
    }

    pub(super) fn fail(&mut self, code: Code) {
        frame::go_away(self.last, code, self.output.end());
        self.end = End::Failed;
    }

    /// RST_STREAM, and the stream is over.
    pub(super) fn reset(&mut self, id: u32, code: Code) {
        self.reply(|out| frame::reset(id, code, out));
        if !self.remove(id) {
            self.remember(id);
        }
    }

    /// The answer to a request is out, and not all of its body has come.
    pub(super) fn linger(&mut self, id: u32) {
        if !matches!(self.end, End::Open | End::Announced) {
            return self.reset(id, Code::NoError);
        }
        let room = self.streams.get_mut(id).map_or(WINDOW as usize, |stream| stream.receiving.room());
        if !self.remove(id) {
            self.remember(id);
        }
        if let Some(other) = self.lingering.add(id, room) {
            self.stop(other);
        }
    }

    /// Asks for no more of a request's body, whose answer is out.
    fn stop(&mut self, id: u32) {
        self.reply(|out| frame::reset(id, Code::NoError, out));
    }

    /// Says that no more streams will be taken: at first without a number, so that none which is on its way is lost. The
    /// next [`Core::alarm`] is the end of [`super::LAST_WORDS`].
    pub(super) fn announce(&mut self) {
        self.last_words = true;
        if self.end == End::Open {
            self.end = End::Announced;
            frame::go_away(0x7fff_ffff, Code::NoError, self.output.end());
            frame::ping(false, LEAVING, self.output.end());
        }
    }

    /// Takes no more streams than have come.
    pub(super) fn leave(&mut self) {
        if matches!(self.end, End::Open | End::Announced) {
            self.end = End::Last(self.last);
            for id in self.lingering.take() {
                self.stop(id);
            }
            frame::go_away(self.last, Code::NoError, self.output.end());
        }
    }

    /// There is nothing left to do but to write the output.
    pub(super) fn is_over(&self) -> bool {
        match self.end {
            End::Open | End::Announced => false,
            End::Last(_) => self.streams.is_empty(),
            End::Failed => true,
        }
    }

    /// The time that was set is over.
    pub(super) fn alarm(&mut self) {
        if std::mem::take(&mut self.last_words) { self.leave() } else { self.tick() }
    }

    /// A period of [`super::TICK`] is over.
    pub(super) fn tick(&mut self) {
        self.calm.rest();
        let Time { heard, asked, progressed, idle, pinged } = std::mem::take(&mut self.time);
        if let Some(block) = &mut self.block {
            block.ticks += 1;
            if block.ticks == super::STUCK {
                return self.fail(Code::EnhanceYourCalm);
            }
        }
        self.time.idle = if asked || !self.streams.is_empty() { 0 } else { idle + 1 };
        if self.time.idle == super::IDLE {
            return self.leave();
        }
        if !heard && !self.streams.is_empty() {
            if pinged {
                return self.fail(Code::NoError);
            }
            self.time.pinged = true;
            frame::ping(false, ALIVE, self.output.end());
        }
        for id in self.lingering.tick() {
            self.stop(id);
        }
        self.give_up_stuck(progressed);
    }

    fn reply(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let out = self.output.end();
        let before = out.len();
        write(out);
        self.replies += out.len() - before;
    }
}

enum Step {
    Request(Request),
    Frame,
    Starved,
}

impl<W> Stream<W> {
    /// Takes a DATA frame of `length` octets in all; how many of them hold nobody's data, or are wanted by nobody.
    fn take(&mut self, length: usize, data: &[u8], ended: bool) -> Result<usize, Code> {
        if self.remote == Remote::Ended {
            return Err(Code::StreamClosed);
        }
        self.receiving.take(length).map_err(|_| Code::FlowControl)?;
        let left = match self.left {
            None => None,
            Some(left) => Some(left.checked_sub(data.len() as u64).ok_or(Code::Protocol)?),
        };
        if ended && left.is_some_and(|left| left > 0) {
            return Err(Code::Protocol); // RFC 9113 §8.1.1
        }
        self.left = left;
        match &self.upload {
            Some(upload) if !data.is_empty() => upload.push(data),
            _ => {}
        }
        if ended {
            self.end();
        }
        Ok(length - data.len())
    }

    /// Nothing more will come of the request.
    fn end(&mut self) {
        self.remote = Remote::Ended;
        if let Some(upload) = &self.upload {
            upload.end();
        }
    }
}
