//! The core without a socket: frames in, frames out.

mod floods;
mod flow;
mod hostile;
mod linger;
mod order;
mod properties;
mod stuck;

use std::collections::VecDeque;
use std::task::Poll;

use bytes::Bytes;

use super::core::{Core, End, Request};
use super::frame::{self, HEAD, Head, PREFACE, flag, kind, setting};
use super::hpack::{Blocks, Fields};
use super::request::tests::block;
use super::send::Block;
use super::stream::{Broken, Source};
use super::upload::Upload;

/// An answer's body.
#[derive(Debug, Default)]
struct Pieces {
    pieces: VecDeque<Bytes>,
    /// More may come.
    open: bool,
}

impl Pieces {
    fn of(length: usize) -> Self {
        Self { pieces: (length > 0).then(|| Bytes::from(vec![7; length])).into_iter().collect(), open: false }
    }
}

impl Source for Pieces {
    fn poll_next(&mut self) -> Poll<Option<Result<Bytes, Broken>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(piece))),
            None if self.open => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end(&self) -> bool {
        self.pieces.is_empty() && !self.open
    }
}

/// A peer of a core.
struct Peer {
    core: Core<Pieces>,
    fields: Fields,
    blocks: Blocks,
}

/// A frame that has come back.
type Seen = (Head, Vec<u8>);

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "cdn.example.com"), (":path", "/a")];
const POST: [(&str, &str); 4] = [(":method", "POST"), GET[1], GET[2], GET[3]];

impl Peer {
    /// After the preface.
    fn new() -> Self {
        Self::with_settings(&[])
    }

    fn with_settings(settings: &[(u16, u32)]) -> Self {
        let mut peer =
            Self { core: Core::new(), fields: Fields::new(super::HEADER_LIST), blocks: Blocks::new() };
        let mut greeting = PREFACE.to_vec();
        frame::write_settings(settings, &mut greeting);
        assert!(peer.send(&greeting).is_empty());
        peer.seen();
        peer
    }

    /// The requests that `bytes` complete.
    fn send(&mut self, mut bytes: &[u8]) -> Vec<Request> {
        let mut requests = Vec::new();
        while let Some(request) = self.core.receive(&mut bytes, &mut self.fields) {
            requests.push(request);
        }
        assert!(bytes.is_empty());
        requests
    }

    fn ask(&mut self, id: u32, fields: &[(&str, &str)], ended: bool) -> Request {
        self.send(&headers(id, fields, ended)).pop().unwrap()
    }

    /// Opens a stream with a GET and answers it with `length` octets.
    fn get(&mut self, id: u32, fields: &[(&str, &str)], length: usize) {
        let request = self.ask(id, &[&GET[..], fields].concat(), true);
        assert!(self.core.open(&request, Pieces::of(length)).is_none());
        self.respond(id, |block| block.status(200));
    }

    /// Answers at once, if there is room.
    fn answer(&mut self, request: &Request, fields: &[(&str, &str)], body: &[u8]) -> bool {
        if !self.core.fits(body.len() as u64) {
            return false;
        }
        let mut block = self.core.begin(request.id, &mut self.blocks);
        block.status(200);
        fields.iter().for_each(|(name, value)| block.field(name.as_bytes(), value.as_bytes()));
        block.end(body.is_empty());
        self.core.end_at_once(request, body.len(), |output| output.end().extend(body));
        true
    }

    fn respond(&mut self, id: u32, tell: impl FnOnce(&mut Block<'_>)) {
        self.core.respond(id, &mut self.blocks, tell);
    }

    fn post(&mut self, id: u32, fields: &[(&str, &str)]) -> Upload {
        let request = self.ask(id, &[&POST[..], fields].concat(), false);
        self.core.open(&request, Pieces::default()).unwrap()
    }

    /// Everything that is to be written by now.
    fn seen(&mut self) -> Vec<Seen> {
        self.core.fill();
        let bytes = self.written();
        let (mut rest, mut frames) = (&bytes[..], Vec::new());
        while let Some((front, behind)) = rest.split_first_chunk::<HEAD>() {
            let head = Head::read(front);
            let (payload, behind) = behind.split_at(head.length);
            frames.push((head, payload.to_vec()));
            rest = behind;
        }
        assert!(rest.is_empty());
        frames
    }

    fn written(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.core.output.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); 3];
            let filled = self.core.output.slices(&mut slices);
            let front: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            bytes.extend(&front);
            self.core.wrote(front.len());
        }
        self.core.drained();
        bytes
    }

    /// Sends, and says what the connection or a stream ends with: the code of the first GOAWAY or RST_STREAM.
    fn refusal(&mut self, bytes: &[u8]) -> Option<(u8, u32)> {
        let mut bytes = bytes;
        while let Some(request) = self.core.receive(&mut bytes, &mut self.fields) {
            self.core.open(&request, Pieces { open: true, ..Pieces::default() });
        }
        self.seen().iter().find_map(|(head, payload)| match head.kind {
            kind::RST_STREAM => Some((head.kind, frame::number(payload)?)),
            kind::GOAWAY => Some((head.kind, frame::number(&payload[4..])?)),
            _ => None,
        })
    }

    fn is_alive(&mut self) -> bool {
        self.send(&raw(kind::PING, 0, 0, &[1; 8]));
        self.seen().iter().any(|(head, payload)| head.kind == kind::PING && payload == &[1; 8])
    }
}

fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::head(payload.len(), kind, flags, stream, &mut out);
    out.extend(payload);
    out
}

fn headers(id: u32, fields: &[(&str, &str)], ended: bool) -> Vec<u8> {
    let flags = flag::END_HEADERS | if ended { flag::END_STREAM } else { 0 };
    raw(kind::HEADERS, flags, id, &block(fields))
}

fn data(id: u32, data: &[u8], ended: bool) -> Vec<u8> {
    raw(kind::DATA, if ended { flag::END_STREAM } else { 0 }, id, data)
}

fn update(id: u32, by: u32) -> Vec<u8> {
    raw(kind::WINDOW_UPDATE, 0, id, &by.to_be_bytes())
}

/// Octets of DATA of each stream, in the order of their frames, one after the other of one stream added up.
fn order(frames: &[Seen]) -> Vec<(u32, usize)> {
    let mut order: Vec<(u32, usize)> = Vec::new();
    for (head, _) in frames.iter().filter(|(head, _)| head.kind == kind::DATA) {
        match order.last_mut() {
            Some((id, length)) if *id == head.stream => *length += head.length,
            _ => order.push((head.stream, head.length)),
        }
    }
    order
}

fn kinds(frames: &[Seen]) -> Vec<(u8, u8, u32)> {
    frames.iter().map(|(head, _)| (head.kind, head.flags, head.stream)).collect()
}

#[test]
fn we_greet_first_and_confirm_settings() {
    let core = Core::<Pieces>::new();
    let mut slices = [std::io::IoSlice::new(&[]); 1];
    core.output.slices(&mut slices);
    let head = Head::read(slices[0].first_chunk().unwrap());
    assert_eq!((head.kind, head.flags, head.stream), (kind::SETTINGS, 0, 0)); // RFC 9113 §3.4
    let mut peer = Peer { core, fields: Fields::new(1000), blocks: Blocks::new() };
    peer.seen();
    peer.send(PREFACE);
    assert_eq!(peer.seen(), []);
    peer.send(&raw(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 9]));
    assert_eq!(kinds(&peer.seen()), [(kind::SETTINGS, flag::ACK, 0)]);
    assert_eq!(peer.core.initial, 9);
}

#[test]
fn a_request_is_answered_at_once() {
    let mut peer = Peer::new();
    let request = peer.ask(1, &GET, true);
    let path = request.shape.head(&peer.fields).parts().unwrap().uri;
    assert_eq!((request.ended, path.path()), (true, "/a"));
    assert!(peer.answer(&request, &[("etag", "\"1\"")], b"abc"));
    let seen = peer.seen();
    let expected = [(kind::HEADERS, flag::END_HEADERS, 1), (kind::DATA, flag::END_STREAM, 1)];
    assert_eq!(kinds(&seen), expected);
    assert_eq!((&seen[0].1[..], &seen[1].1[..]), (&b"\x88\x0f\x13\x03\"1\""[..], &b"abc"[..]));
    let request = peer.ask(3, &GET, true);
    assert!(peer.answer(&request, &[], b""));
    assert_eq!(kinds(&peer.seen()), [(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 3)]);
    assert!(peer.core.streams.is_empty());
    // WINDOW_UPDATE and RST_STREAM may cross the end; DATA of a request without a body may not (RFC 9113 §5.1).
    assert_eq!(peer.refusal(&update(1, 3)), None);
    assert_eq!(peer.refusal(&raw(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8])), None);
    assert_eq!(peer.refusal(&data(1, b"a", true)), Some((kind::GOAWAY, 5)));
}

#[test]
fn an_answer_without_room_is_not_given_at_once() {
    let mut peer = Peer::with_settings(&[(setting::INITIAL_WINDOW_SIZE, 2)]);
    let request = peer.ask(1, &GET, true);
    assert!(!peer.answer(&request, &[], b"abc"));
    assert_eq!(peer.seen(), []);
    assert!(peer.answer(&request, &[], b"ab"));
}

#[test]
fn a_list_that_is_too_large_gets_431_and_the_connection_lives_on() {
    let mut peer = Peer::new();
    let value = "v".repeat(100);
    let mut block = block(&GET);
    (0..800).for_each(|_| block.extend(super::request::tests::block(&[("x-a", &value)])));
    let mut bytes = raw(kind::HEADERS, flag::END_STREAM, 1, &block[..16_000]);
    for piece in block[16_000..].chunks(16_000) {
        bytes.extend(raw(kind::CONTINUATION, 0, 1, piece));
    }
    bytes.extend(raw(kind::CONTINUATION, flag::END_HEADERS, 1, &[]));
    assert!(peer.send(&bytes).is_empty());
    assert_eq!(peer.seen()[0].1, b"\x08\x03431");
    assert!(peer.is_alive());
}

#[test]
fn a_drain_has_two_steps() {
    let mut peer = Peer::new();
    peer.get(1, &[], 100_000);
    peer.seen();
    peer.core.announce();
    let seen = peer.seen();
    assert_eq!(kinds(&seen), [(kind::GOAWAY, 0, 0), (kind::PING, 0, 0)]);
    assert_eq!(frame::number(&seen[0].1), Some(0x7fff_ffff)); // RFC 9113 §6.8
    peer.get(3, &[], 10);
    peer.send(&raw(kind::PING, flag::ACK, 0, &seen[1].1));
    let seen = peer.seen();
    let last = seen.iter().find(|(head, _)| head.kind == kind::GOAWAY).unwrap();
    assert_eq!((frame::number(&last.1), peer.core.end), (Some(3), End::Last(3)));
    // A stream that crossed it is not answered, and its fields are learnt all the same.
    let mut indexed = block(&GET);
    indexed.extend(b"\x40\x03x-a\x01a");
    assert!(peer.send(&raw(kind::HEADERS, 5, 5, &indexed)).is_empty());
    assert!(!peer.core.is_over());
    peer.send(&[update(1, 100_000), update(0, 100_000)].concat());
    peer.seen();
    assert!(peer.core.is_over());
}

#[test]
fn what_crosses_the_last_goaway_is_ignored() {
    // RFC 9113 §6.8
    let mut peer = Peer::new();
    peer.get(1, &[], 100_000);
    peer.core.leave();
    peer.seen();
    let piece = data(5, &[0; 16_000], false);
    for crossing in [
        headers(5, &POST, false),
        piece.clone(),
        update(5, 10),
        update(3, 10),
        headers(5, &[("x-a", "a")], true),
        raw(kind::RST_STREAM, 0, 5, &[0, 0, 0, 8]),
    ] {
        assert_eq!(peer.refusal(&crossing), None, "{:?}", &crossing[..HEAD]);
    }
    // Its DATA takes the connection's room, which is given back in halves: more comes than there ever was.
    let more = super::WINDOW_OF_ALL as usize / 16_000;
    let mut seen = Vec::new();
    for _ in 0..more {
        peer.send(&piece);
        seen.extend(peer.seen());
    }
    assert_eq!(kinds(&seen), [(kind::WINDOW_UPDATE, 0, 0); 2]);
    peer.send(&[update(1, 100_000), update(0, 100_000)].concat());
    assert_eq!(order(&peer.seen()), [(1, 100_000 - 65_535)]);
    // A stream that has not come is an error all the same, and no more is promised than before.
    peer.send(&data(7, b"a", true));
    let seen = peer.seen();
    let last = seen.iter().find(|(head, _)| head.kind == kind::GOAWAY).map(|(_, payload)| &payload[..8]);
    assert_eq!(last, Some(&[0, 0, 0, 1, 0, 0, 0, 1][..]));
}

#[test]
fn a_peer_that_leaves_gets_what_it_has_asked_for() {
    let mut peer = Peer::new();
    peer.get(1, &[], 100_000);
    peer.send(&raw(kind::GOAWAY, 0, 0, &[0; 8]));
    assert!(!peer.core.is_over());
    peer.send(&[update(1, 100_000), update(0, 100_000)].concat());
    assert_eq!(order(&peer.seen()), [(1, 100_000)]);
    assert!(peer.core.is_over());
}

#[test]
fn time_ends_what_does_not_move() {
    // No request for three ticks.
    let mut peer = Peer::new();
    peer.core.tick();
    peer.get(1, &[], 10);
    peer.seen();
    // The one with the request, and two without.
    (0..3).for_each(|_| peer.core.tick());
    assert_eq!(peer.core.end, End::Open);
    peer.core.tick();
    assert_eq!(peer.core.end, End::Last(1));

    // A silent peer with a stream is asked, and given up if it is not there.
    for answers in [true, false] {
        let mut peer = Peer::new();
        let request = peer.ask(1, &GET, true);
        peer.core.open(&request, Pieces { open: true, ..Pieces::default() });
        peer.core.tick();
        peer.core.tick();
        let ping = peer.seen().pop().unwrap();
        assert_eq!(ping.0.kind, kind::PING);
        if answers {
            peer.send(&raw(kind::PING, flag::ACK, 0, &ping.1));
        }
        peer.core.tick();
        assert_eq!(peer.core.end == End::Failed, !answers);
    }

    // A viewer that takes nothing.
    let mut peer = Peer::with_settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    peer.get(1, &[], 10);
    for _ in 0..2 {
        peer.core.tick();
        peer.send(&update(0, 1));
    }
    assert_eq!(kinds(&peer.seen()), [(kind::HEADERS, flag::END_HEADERS, 1)]);
    peer.core.tick();
    let seen = peer.seen();
    assert_eq!((kinds(&seen), &seen[0].1[..]), (vec![(kind::RST_STREAM, 0, 1)], &[0, 0, 0, 8][..]));

    // Half a header block, however it drips.
    let mut peer = Peer::new();
    peer.send(&raw(kind::HEADERS, 0, 1, &block(&GET)));
    for _ in 0..2 {
        peer.core.tick();
        peer.send(&raw(kind::CONTINUATION, 0, 1, &[]));
    }
    assert_eq!(peer.core.end, End::Open);
    peer.core.tick();
    assert_eq!(peer.core.end, End::Failed);
}
