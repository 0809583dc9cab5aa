//! What is given up as stuck, and what only waits.

use super::*;

/// A peer with room for streams `streams`, and `all` for the connection.
fn with_room(streams: u32, all: u32) -> Peer {
    let mut peer = Peer::with_settings(&[(setting::INITIAL_WINDOW_SIZE, streams)]);
    peer.send(&update(0, all));
    peer
}

/// A tick of a peer that is there; which streams are given up.
fn tick(peer: &mut Peer) -> Vec<u32> {
    peer.send(&raw(kind::PING, 0, 0, &[1; 8]));
    peer.core.tick();
    let seen = peer.seen();
    let reset = seen.iter().filter(|(head, _)| head.kind == kind::RST_STREAM);
    reset
        .map(|(head, payload)| {
            assert_eq!(payload[..], [0, 0, 0, 8]); // CANCEL
            head.stream
        })
        .collect()
}

#[test]
fn what_waits_its_turn_is_not_stuck() {
    let mut peer = with_room(1 << 30, 1 << 30);
    peer.get(1, &[], 10 << 20);
    peer.get(3, &[], 10);
    for round in 0..10 {
        assert_eq!(tick(&mut peer), [0; 0], "{round}");
    }
}

#[test]
fn what_its_own_window_keeps_is_stuck_whatever_others_do() {
    let mut peer = with_room(0, 1 << 30);
    peer.get(1, &[], 10);
    peer.get(3, &[], 10 << 20);
    peer.send(&update(3, 1 << 30));
    let given_up: Vec<_> = (0..5).map(|_| tick(&mut peer)).collect();
    assert_eq!(given_up, [vec![], vec![], vec![1], vec![], vec![]]);
}

#[test]
fn signs_of_life_alone_are_no_progress() {
    let mut peer = with_room(1 << 20, 1);
    peer.get(1, &[], 1 << 20);
    peer.get(3, &[], 10);
    peer.seen();
    // The first is that in which the connection's window was filled.
    let given_up: Vec<_> = (0..4).map(|_| tick(&mut peer)).collect();
    assert_eq!(given_up, [vec![], vec![], vec![], vec![1, 3]]);
}

#[test]
fn a_slow_socket_is_progress_and_a_dead_one_is_not() {
    let mut peer = with_room(1 << 30, 1 << 30);
    peer.get(1, &[], 10 << 20);
    peer.get(3, &[], 10);
    let quiet_tick = |peer: &mut Peer| {
        peer.send(&update(0, 1));
        peer.core.fill();
        peer.core.tick();
        peer.core.streams.len()
    };
    // The output stays full: nobody has a turn.
    assert_eq!(quiet_tick(&mut peer), 2);
    for _ in 0..10 {
        peer.core.wrote(1);
        assert_eq!(quiet_tick(&mut peer), 2);
    }
    let left: Vec<_> = (0..3).map(|_| quiet_tick(&mut peer)).collect();
    assert_eq!(left, [2, 2, 0]);
}

#[test]
fn the_end_of_last_words_is_no_tick() {
    let mut peer = with_room(0, 1);
    peer.get(1, &[], 10);
    assert_eq!((tick(&mut peer), tick(&mut peer)), (vec![], vec![]));
    // One that leaves by itself may come first.
    for leaves in [true, false] {
        peer.core.announce();
        if leaves {
            peer.core.leave();
        }
        peer.core.alarm();
        assert_eq!((peer.core.end, peer.core.streams.len()), (End::Last(1), 1));
    }
    peer.core.alarm();
    assert!(peer.core.streams.is_empty());

    // Nor has a peer that was asked for a sign of life had its time.
    let mut peer = with_room(0, 1);
    peer.get(1, &[], 10);
    peer.core.tick();
    peer.core.tick();
    assert!(peer.seen().iter().any(|(head, _)| head.kind == kind::PING));
    peer.core.announce();
    peer.core.alarm();
    assert_eq!(peer.core.end, End::Last(1));
}
