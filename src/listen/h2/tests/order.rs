//! Who is sent first (RFC 9218 §10).

use super::*;

const LARGE: usize = 40_000;

/// A peer with room, and an answer of [`LARGE`] octets for each of `priorities`, from stream 1 on.
fn asked(priorities: &[&str]) -> Peer {
    let mut peer = Peer::with_settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    peer.send(&update(0, 1 << 20));
    for (id, priority) in (1..).step_by(2).zip(priorities) {
        peer.get(id, &[("priority", priority)], LARGE);
    }
    peer
}

#[test]
fn the_most_urgent_is_first_and_the_oldest_of_those() {
    let mut peer = asked(&["", "u=5", "u=1", "u=1", "u=3"]);
    assert_eq!(order(&peer.seen()), [(5, LARGE), (7, LARGE), (1, LARGE), (9, LARGE), (3, LARGE)]);
}

#[test]
fn incremental_ones_share() {
    let mut peer = asked(&["i", "i", "i"]);
    let (full, rest) = (16_384, LARGE - 2 * 16_384);
    let expected =
        [(1, full), (3, full), (5, full), (1, full), (3, full), (5, full), (1, rest), (3, rest), (5, rest)];
    assert_eq!(order(&peer.seen()), expected);
    // One that is of use only whole has a turn like each of them, and is not interrupted by its own kind.
    let mut peer = asked(&["i", "", ""]);
    let expected = [(3, full), (1, full), (3, full), (1, full), (3, rest), (1, rest), (5, LARGE)];
    assert_eq!(order(&peer.seen()), expected);
}

#[test]
fn what_is_blocked_lets_others_go_first() {
    let mut peer = asked(&["u=0", "u=7"]);
    peer.core.streams.get_mut(1).unwrap().window = super::super::flow::Window::new(10);
    assert_eq!(order(&peer.seen()), [(1, 10), (3, LARGE)]);
    peer.send(&update(1, 1 << 20));
    assert_eq!(order(&peer.seen()), [(1, LARGE - 10)]);
    // So does what has nothing to say yet.
    let mut peer = asked(&[]);
    let request = peer.ask(1, &[&GET[..], &[("priority", "u=0")]].concat(), true);
    peer.core.open(&request, Pieces { open: true, ..Pieces::default() });
    peer.respond(1, |block| block.status(200));
    peer.get(3, &[], LARGE);
    assert_eq!(order(&peer.seen()), [(3, LARGE)]);
    peer.core.streams.get_mut(1).unwrap().work = Pieces::of(5);
    assert_eq!(order(&peer.seen()), [], "nobody has said that there is more");
    peer.core.wake(1);
    assert_eq!(order(&peer.seen()), [(1, 5)]);
}

#[test]
fn a_priority_can_be_changed_on_the_way_and_before() {
    let update = |id: u32, value: &str| {
        let mut payload = id.to_be_bytes().to_vec();
        payload.extend(value.bytes());
        raw(kind::PRIORITY_UPDATE, 0, 0, &payload)
    };
    let mut peer = asked(&["u=1", "u=2"]);
    peer.send(&update(3, "u=0"));
    peer.send(&update(5, "u=0, i"));
    peer.get(5, &[("priority", "u=7")], LARGE);
    peer.send(&update(99, "u=0"));
    assert_eq!(order(&peer.seen())[..2], [(3, 16_384), (5, 16_384)]);
}

#[test]
fn no_more_is_put_out_than_one_write_takes() {
    let mut peer = Peer::with_settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 30)]);
    peer.send(&update(0, 1 << 30));
    peer.get(1, &[("priority", "u=6")], 10 << 20);
    peer.core.fill();
    let out = peer.core.output.len();
    assert!((256 << 10..300 << 10).contains(&out), "{out}");
    // What becomes urgent now waits for no more than that.
    peer.get(3, &[("priority", "u=0")], LARGE);
    let before = order(&peer.seen());
    assert_eq!(before.len(), 1);
    assert_eq!(order(&peer.seen())[0], (3, LARGE));
}
