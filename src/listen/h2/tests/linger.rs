//! Answers to requests whose body has not come to its end.

use super::super::linger::OCTETS;
use super::*;

/// A peer that has sent the head of a POST and has its answer.
fn answered(id: u32) -> Peer {
    let mut peer = Peer::new();
    answer(&mut peer, id);
    peer
}

fn answer(peer: &mut Peer, id: u32) {
    let request = peer.ask(id, &POST, false);
    assert!(peer.answer(&request, &[], b"a"));
    assert_eq!(
        kinds(&peer.seen()),
        [(kind::HEADERS, flag::END_HEADERS, id), (kind::DATA, flag::END_STREAM, id)]
    );
}

/// Those that are asked to stop.
fn stopped(peer: &mut Peer) -> Vec<u32> {
    let seen = peer.seen();
    let resets = seen.iter().filter(|(head, _)| head.kind == kind::RST_STREAM);
    let ids = resets.map(|(head, payload)| {
        assert_eq!(payload[..], [0, 0, 0, 0]); // NO_ERROR (RFC 9113 §8.1)
        head.stream
    });
    ids.collect()
}

#[test]
fn whoever_ends_by_itself_is_not_reset() {
    let ends = [
        vec![data(1, &[0; 1000], true)],
        vec![data(1, &[0; 1000], false), headers(1, &[("x-a", "a")], true)],
        vec![data(1, &[0; 1000], false), raw(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8])],
    ];
    for end in ends {
        let mut peer = answered(1);
        for frame in &end {
            assert_eq!(peer.refusal(frame), None);
        }
        for _ in 0..2 {
            peer.core.tick();
        }
        assert_eq!(stopped(&mut peer), [0; 0]);
    }
}

#[test]
fn an_opened_stream_lingers_as_well() {
    let mut peer = Peer::new();
    let upload = peer.post(1, &[]);
    peer.respond(1, |block| block.status(403));
    assert_eq!(kinds(&peer.seen()), [(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, 1)]);
    assert!(peer.core.streams.is_empty());
    drop(upload);
    assert_eq!(peer.refusal(&data(1, &[0; 1000], true)), None);
    assert_eq!(stopped(&mut peer), [0; 0]);
}

#[test]
fn too_large_a_body_is_stopped_once() {
    let mut peer = answered(1);
    let frame = data(1, &[0; 1 << 14], false);
    for _ in 0..OCTETS >> 14 {
        peer.send(&frame);
    }
    assert_eq!(stopped(&mut peer), [0; 0]);
    peer.send(&frame);
    assert_eq!(stopped(&mut peer), [1]);
    // What was on its way is no error.
    assert_eq!(peer.refusal(&frame), None);
    assert_eq!(peer.refusal(&headers(1, &[("x-a", "a")], true)), None);
}

#[test]
fn too_slow_a_body_is_stopped_once() {
    let mut peer = answered(1);
    peer.core.tick();
    assert_eq!(stopped(&mut peer), [0; 0]);
    peer.core.tick();
    assert_eq!(stopped(&mut peer), [1]);
    peer.send(&raw(kind::PING, 0, 0, &[1; 8]));
    peer.core.tick();
    assert_eq!(stopped(&mut peer), [0; 0]);
}

#[test]
fn the_oldest_of_too_many_is_stopped() {
    let mut peer = answered(1);
    for n in 1..32 {
        answer(&mut peer, 2 * n + 1);
    }
    let request = peer.ask(65, &POST, false);
    assert!(peer.answer(&request, &[], b"a"));
    assert_eq!(stopped(&mut peer), [1]);
}

#[test]
fn a_connection_that_ends_waits_for_none() {
    let mut peer = answered(1);
    let upload = peer.post(3, &[]);
    peer.core.leave();
    assert_eq!(stopped(&mut peer), [1]);
    peer.respond(3, |block| block.status(403));
    assert_eq!(stopped(&mut peer), [3]);
    drop(upload);
    assert!(peer.core.is_over());
}

/// Nobody opens its window any more: a peer that waits for that would not hear that it may stop for a minute.
#[test]
fn whoever_has_used_its_window_up_is_stopped() {
    let frame = |id| data(id, &[0; 1 << 14], false);
    for before in [16, 15] {
        let mut peer = Peer::new();
        let upload = peer.post(1, &[]);
        for _ in 0..before {
            peer.send(&frame(1));
        }
        peer.respond(1, |block| block.status(403));
        for _ in before..16 {
            assert_eq!(stopped(&mut peer), [0; 0], "{before}");
            peer.send(&frame(1));
        }
        assert_eq!(stopped(&mut peer), [1], "{before}");
        drop(upload);
    }
}
