//! Peers that cost work and want no answer.

use super::*;

const CALM: Option<(u8, u32)> = Some((kind::GOAWAY, 11));

/// How many times `frame` is taken before the connection ends.
fn endured(peer: &mut Peer, frame: impl Fn(u32) -> Vec<u8>) -> u32 {
    for n in 0..100_000 {
        match peer.refusal(&frame(n)) {
            None | Some((kind::RST_STREAM, _)) if peer.core.end != End::Failed => {}
            Some((kind::RST_STREAM, _)) => return n,
            refusal => {
                assert_eq!(refusal, CALM);
                return n;
            }
        }
    }
    100_000
}

#[test]
fn frames_that_bring_nothing_end_the_connection() {
    // CVE-2019-9512, -9515, -9513, -9518 and their kin.
    type Frame = fn(u32) -> Vec<u8>;
    let table: &[(&str, Frame)] = &[
        ("PING", |_| raw(kind::PING, 0, 0, &[0; 8])),
        ("PING ACK", |_| raw(kind::PING, flag::ACK, 0, &[0; 8])),
        ("SETTINGS", |_| raw(kind::SETTINGS, 0, 0, &[])),
        ("SETTINGS ACK", |_| raw(kind::SETTINGS, flag::ACK, 0, &[])),
        ("PRIORITY", |n| raw(kind::PRIORITY, 0, 2 * n + 1, &[0; 5])),
        ("PRIORITY_UPDATE", |n| raw(kind::PRIORITY_UPDATE, 0, 0, &[0, 0, (n >> 8) as u8, n as u8 | 1])),
        ("empty DATA", |_| data(1, &[], false)),
        ("WINDOW_UPDATE", |_| update(1, 1)),
        ("of an unknown kind", |_| raw(99, 0, 0, &[])),
    ];
    for (what, frame) in table {
        let mut peer = Peer::new();
        peer.refusal(&headers(1, &POST, false));
        let endured = endured(&mut peer, frame);
        assert!((1_000..=2_000).contains(&endured), "{what}: {endured}");
    }
}

#[test]
fn rapid_reset_ends_the_connection() {
    // CVE-2023-44487
    let asked_and_reset = |n: u32| {
        let mut bytes = headers(2 * n + 1, &GET, true);
        bytes.extend(raw(kind::RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]));
        bytes
    };
    let mut peer = Peer::new();
    let reset = (0..).find(|n| {
        let requests = peer.send(&headers(2 * n + 1, &GET, true));
        let Some(request) = requests.first() else { return true };
        peer.core.open(request, Pieces { open: true, ..Pieces::default() });
        peer.send(&raw(kind::RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8]));
        peer.core.end == End::Failed
    });
    assert!(reset.is_some_and(|reset| (100..=200).contains(&reset)), "{reset:?}");
    // One whose requests are answered at once makes no stream, and no work for later; but it is not endless, either.
    let mut peer = Peer::new();
    for n in 0..150 {
        let mut requests = peer.send(&asked_and_reset(n));
        requests.drain(..).for_each(|request| assert!(peer.answer(&request, &[], b"a")));
        peer.seen();
    }
    assert!(peer.is_alive());
}

#[test]
fn a_browser_that_leaves_a_page_is_not_rapid_reset() {
    let mut peer = Peer::new();
    for page in 0..20 {
        for n in 0..100 {
            peer.get(2 * (100 * page + n) + 1, &[], if n < 50 { 10 } else { 100_000 });
        }
        peer.seen();
        for n in 50..100 {
            peer.send(&raw(kind::RST_STREAM, 0, 2 * (100 * page + n) + 1, &[0, 0, 0, 8]));
        }
        peer.send(&update(0, 1_000_000));
        peer.seen();
    }
    assert!(peer.is_alive());
}

#[test]
fn being_made_to_reset_counts_as_well() {
    // CVE-2025-8671
    let by_update = |n: u32| [headers(2 * n + 1, &POST, false), update(2 * n + 1, 0)].concat();
    let malformed = |n: u32| headers(2 * n + 1, &[("x-a", "a")], true);
    let longer = |n: u32| {
        let fields = [&POST[..], &[("content-length", "1")]].concat();
        [headers(2 * n + 1, &fields, false), data(2 * n + 1, b"ab", false)].concat()
    };
    for endured in [
        endured(&mut Peer::new(), by_update),
        endured(&mut Peer::new(), malformed),
        endured(&mut Peer::new(), longer),
    ] {
        assert!((100..=200).contains(&endured), "{endured}");
    }
}

#[test]
fn a_viewer_that_confirms_everything_is_no_flood() {
    // Python's h2, say: an update of both windows for each frame.
    let mut peer = Peer::with_settings(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]);
    peer.send(&update(0, 1 << 20));
    peer.get(1, &[], 40 << 20);
    let mut got = 0;
    while got < 40 << 20 {
        let frames = peer.seen();
        assert!(!frames.is_empty(), "{got}");
        for (head, _) in frames.iter().filter(|(head, _)| head.kind == kind::DATA) {
            got += head.length;
            let by = u32::try_from(head.length).unwrap();
            if !head.has(flag::END_STREAM) {
                peer.send(&[update(0, by), update(1, by)].concat());
            }
        }
    }
    let mut peer = Peer::new();
    for n in 0..5_000 {
        peer.get(2 * n + 1, &[], 100);
        peer.seen();
        peer.send(&[update(0, 100), update(2 * n + 1, 100)].concat());
    }
    assert!(peer.is_alive());
}

#[test]
fn replies_that_are_not_taken_do_not_pile_up() {
    let mut peer = Peer::new();
    let ping = raw(kind::PING, 0, 0, &[0; 8]);
    let mut sent = 0;
    while peer.core.is_reading() {
        peer.send(&ping);
        sent += 1;
        assert!(sent < 2_000);
    }
    assert!(peer.core.output.len() <= 17 << 10);
    peer.seen();
    assert!(peer.core.is_reading());
}

#[test]
fn a_header_block_without_end_is_cut_off() {
    // CVE-2024-27316
    let mut small = raw(kind::HEADERS, 0, 1, &[]);
    small.extend(raw(kind::CONTINUATION, 0, 1, &[0x82]).repeat(17));
    let mut large = raw(kind::HEADERS, 0, 1, &[0x82; 16_384]);
    large.extend(raw(kind::CONTINUATION, 0, 1, &[0x82; 16_384]).repeat(8));
    for bytes in [small, large] {
        assert_eq!(Peer::new().refusal(&bytes), CALM);
    }
}

#[test]
fn priorities_of_streams_that_never_come_are_forgotten() {
    let mut peer = Peer::new();
    for n in 0..1_000_u32 {
        let mut payload = (2 * n + 1001).to_be_bytes().to_vec();
        payload.extend(b"u=0");
        peer.send(&raw(kind::PRIORITY_UPDATE, 0, 0, &payload));
    }
    assert!(peer.is_alive());
    peer.get(1001, &[("priority", "u=5")], 100_000);
    assert_eq!(peer.core.streams.get_mut(1001).unwrap().priority.urgency, 0);
    peer.get(2001, &[("priority", "u=5")], 100_000);
    assert_eq!(peer.core.streams.get_mut(2001).unwrap().priority.urgency, 5, "there were too many before it");
}
