//! What breaks the rules of RFC 9113, and what comes of it.

use super::*;

const CONNECTION: u8 = kind::GOAWAY;
const STREAM: u8 = kind::RST_STREAM;

#[test]
fn what_is_not_http2_ends_at_once() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", b"\0"] {
        let mut peer = Peer { core: Core::new(), fields: Fields::new(100), blocks: Blocks::new() };
        assert_eq!(peer.refusal(bytes), Some((CONNECTION, 1)));
    }
    // RFC 9113 §3.4: SETTINGS first, and not a confirmation of ours.
    for first in [raw(kind::PING, 0, 0, &[0; 8]), raw(kind::SETTINGS, flag::ACK, 0, &[])] {
        let mut peer = Peer { core: Core::new(), fields: Fields::new(100), blocks: Blocks::new() };
        peer.send(PREFACE);
        assert_eq!(peer.refusal(&first), Some((CONNECTION, 1)));
        assert!(!peer.core.is_reading() && peer.core.is_over());
    }
}

#[test]
fn frames_that_are_forbidden_end_the_connection_or_their_stream() {
    let open = |peer: &mut Peer| assert_eq!(peer.refusal(&headers(1, &POST, false)), None);
    let half_closed = |peer: &mut Peer| assert_eq!(peer.refusal(&headers(1, &GET, true)), None);
    let nothing = |_: &mut Peer| ();
    type Before = fn(&mut Peer);
    type Expected = Option<(u8, u32)>;
    let table: &[(&str, Before, Vec<u8>, Expected)] = &[
        ("DATA on 0, §6.1", nothing, data(0, b"a", true), Some((CONNECTION, 1))),
        ("DATA on an idle stream, §5.1", nothing, data(1, b"a", true), Some((CONNECTION, 1))),
        ("DATA on an even stream", nothing, data(2, b"a", true), Some((CONNECTION, 1))),
        ("too much padding, §6.1", open, raw(kind::DATA, 8, 1, &[2, 0]), Some((CONNECTION, 1))),
        ("DATA after the end, §5.1", half_closed, data(1, b"a", true), Some((STREAM, 5))),
        ("HEADERS on 0, §6.2", nothing, headers(0, &GET, true), Some((CONNECTION, 1))),
        ("HEADERS on an even stream, §5.1.1", nothing, headers(2, &GET, true), Some((CONNECTION, 1))),
        ("HEADERS after the end", half_closed, headers(1, &[("a", "a")], true), Some((STREAM, 5))),
        ("HEADERS with padding alone", nothing, raw(kind::HEADERS, 0xd, 1, &[1]), Some((CONNECTION, 1))),
        (
            "HEADERS too short for a priority",
            nothing,
            raw(kind::HEADERS, 0x25, 1, &[0; 4]),
            Some((CONNECTION, 6)),
        ),
        ("a block that is none, §4.3", nothing, raw(kind::HEADERS, 5, 1, &[0x80]), Some((CONNECTION, 9))),
        ("CONTINUATION alone, §6.10", nothing, raw(kind::CONTINUATION, 4, 1, &[]), Some((CONNECTION, 1))),
        ("CONTINUATION of nothing", open, raw(kind::CONTINUATION, 4, 1, &[]), Some((CONNECTION, 1))),
        ("PRIORITY on 0, §6.3", nothing, raw(kind::PRIORITY, 0, 0, &[0; 5]), Some((CONNECTION, 1))),
        ("PRIORITY of 4, §6.3", nothing, raw(kind::PRIORITY, 0, 1, &[0; 4]), Some((CONNECTION, 6))),
        ("PRIORITY", nothing, raw(kind::PRIORITY, 0, 7, &[0; 5]), None),
        ("RST_STREAM on 0, §6.4", nothing, raw(kind::RST_STREAM, 0, 0, &[0; 4]), Some((CONNECTION, 1))),
        ("RST_STREAM on idle, §6.4", nothing, raw(kind::RST_STREAM, 0, 1, &[0; 4]), Some((CONNECTION, 1))),
        ("RST_STREAM of 3, §6.4", open, raw(kind::RST_STREAM, 0, 1, &[0; 3]), Some((CONNECTION, 6))),
        ("SETTINGS on 1, §6.5", nothing, raw(kind::SETTINGS, 0, 1, &[]), Some((CONNECTION, 1))),
        ("SETTINGS of 5, §6.5", nothing, raw(kind::SETTINGS, 0, 0, &[0; 5]), Some((CONNECTION, 6))),
        ("SETTINGS ACK with more, §6.5", nothing, raw(kind::SETTINGS, 1, 0, &[0; 6]), Some((CONNECTION, 6))),
        (
            "ENABLE_PUSH 2, §6.5.2",
            nothing,
            raw(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]),
            Some((CONNECTION, 1)),
        ),
        (
            "a window of 2^31",
            nothing,
            raw(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
            Some((CONNECTION, 3)),
        ),
        (
            "frames of 16,383",
            nothing,
            raw(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 63, 255]),
            Some((CONNECTION, 1)),
        ),
        ("frames of 2^24", nothing, raw(kind::SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0]), Some((CONNECTION, 1))),
        ("an unknown setting", nothing, raw(kind::SETTINGS, 0, 0, &[0, 99, 1, 0, 0, 0]), None),
        ("PUSH_PROMISE, §8.4", open, raw(kind::PUSH_PROMISE, 4, 1, &[0; 4]), Some((CONNECTION, 1))),
        ("PING on 1, §6.7", nothing, raw(kind::PING, 0, 1, &[0; 8]), Some((CONNECTION, 1))),
        ("PING of 7, §6.7", nothing, raw(kind::PING, 0, 0, &[0; 7]), Some((CONNECTION, 6))),
        ("GOAWAY on 1, §6.8", nothing, raw(kind::GOAWAY, 0, 1, &[0; 8]), Some((CONNECTION, 1))),
        ("GOAWAY of 7", nothing, raw(kind::GOAWAY, 0, 0, &[0; 7]), Some((CONNECTION, 6))),
        ("WINDOW_UPDATE of 3, §6.9", nothing, raw(kind::WINDOW_UPDATE, 0, 0, &[0; 3]), Some((CONNECTION, 6))),
        ("WINDOW_UPDATE by 0, §6.9", nothing, update(0, 0), Some((CONNECTION, 1))),
        ("of a stream by 0, §6.9", open, update(1, 0), Some((STREAM, 1))),
        ("WINDOW_UPDATE on idle", nothing, update(1, 1), Some((CONNECTION, 1))),
        (
            "PRIORITY_UPDATE on 1",
            nothing,
            raw(kind::PRIORITY_UPDATE, 0, 1, &[0, 0, 0, 1]),
            Some((CONNECTION, 1)),
        ),
        ("PRIORITY_UPDATE for 0", nothing, raw(kind::PRIORITY_UPDATE, 0, 0, &[0; 4]), Some((CONNECTION, 1))),
        ("PRIORITY_UPDATE of 3", nothing, raw(kind::PRIORITY_UPDATE, 0, 0, &[0; 3]), Some((CONNECTION, 6))),
        ("an unknown kind, §5.5", nothing, raw(77, 255, 3, b"abc"), None),
        ("a frame of 16,385, §4.2", open, data(1, &[0; 16_385], false), Some((CONNECTION, 6))),
        ("a malformed request, §8.1.1", nothing, headers(1, &[("x-a", "a")], true), Some((STREAM, 1))),
    ];
    for (what, before, bytes, expected) in table {
        let mut peer = Peer::new();
        before(&mut peer);
        assert_eq!(peer.refusal(bytes), *expected, "{what}");
        let is_over = expected.is_some_and(|(kind, _)| kind == CONNECTION);
        assert_eq!((peer.is_alive(), peer.core.is_over()), (!is_over, is_over), "{what}");
    }
}

#[test]
fn a_header_block_is_one_piece() {
    let split = |between: &[u8]| {
        let mut bytes = raw(kind::HEADERS, flag::END_STREAM, 1, &block(&GET[..2]));
        bytes.extend(between);
        bytes.extend(raw(kind::CONTINUATION, flag::END_HEADERS, 1, &block(&GET[2..])));
        bytes
    };
    let mut peer = Peer::new();
    let request = peer.send(&split(&[])).pop().unwrap();
    assert_eq!(request.shape.head(&peer.fields).parts().unwrap().uri, "https://cdn.example.com/a");
    // RFC 9113 §4.3, §6.10
    let stray = raw(kind::CONTINUATION, 0, 3, &[]);
    for between in [raw(kind::PING, 0, 0, &[0; 8]), data(1, b"", false), headers(3, &GET, true), stray] {
        assert_eq!(Peer::new().refusal(&split(&between)), Some((CONNECTION, 1)));
    }
}

#[test]
fn streams_go_up_and_are_so_many() {
    let mut peer = Peer::new();
    assert_eq!(peer.refusal(&headers(5, &GET, true)), None);
    // Those below are closed by that (RFC 9113 §5.1.1).
    assert_eq!(peer.refusal(&headers(3, &GET, true)), Some((CONNECTION, 5)));
    let mut peer = Peer::new();
    for n in 0..128 {
        assert_eq!(peer.refusal(&headers(2 * n + 1, &GET, true)), None);
    }
    assert_eq!(peer.refusal(&headers(257, &GET, true)), Some((STREAM, 7))); // RFC 9113 §5.1.2
    peer.send(&raw(kind::RST_STREAM, 0, 1, &[0; 4]));
    assert_eq!(peer.refusal(&headers(259, &GET, true)), None);
}
