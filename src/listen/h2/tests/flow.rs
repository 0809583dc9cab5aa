//! Windows, both ways.

use std::pin::Pin;
use std::task::{Context, Waker};

use http_body::Body as _;

use super::*;

fn read(upload: &mut Upload) -> Poll<Option<Result<usize, super::super::upload::BrokeOff>>> {
    let polled = Pin::new(upload).poll_frame(&mut Context::from_waker(Waker::noop()));
    polled.map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap().len())))
}

#[test]
fn no_more_is_sent_than_windows_allow() {
    let mut peer = Peer::new();
    peer.get(1, &[], 200_000);
    assert_eq!(order(&peer.seen()), [(1, 65_535)]);
    peer.send(&update(1, 50_000));
    assert_eq!(order(&peer.seen()), [], "the connection's window is used up");
    peer.send(&update(0, 10_000));
    assert_eq!(order(&peer.seen()), [(1, 10_000)]);
    peer.send(&update(0, 1_000_000));
    assert_eq!(order(&peer.seen()), [(1, 40_000)]);
    // RFC 9113 §6.9.2: the window becomes 100 - 65,535; the first 65,435 of an update fill it up to nothing.
    peer.send(&raw(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 100]));
    peer.send(&update(1, 65_435));
    assert_eq!(order(&peer.seen()), []);
    peer.send(&update(1, 1));
    assert_eq!(order(&peer.seen()), [(1, 1)]);
    peer.send(&raw(kind::SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]));
    assert_eq!(order(&peer.seen()), [(1, 65_436)]);
    peer.send(&update(1, 1 << 20));
    let seen = peer.seen();
    assert_eq!(order(&seen), [(1, 200_000 - 180_972)]);
    assert!(seen.last().unwrap().0.has(flag::END_STREAM));
    assert!(seen.iter().all(|(head, _)| head.length <= 16_384));
}

#[test]
fn a_window_has_a_limit() {
    // RFC 9113 §6.9.1, §6.9.2
    let mut peer = Peer::with_settings(&[(setting::INITIAL_WINDOW_SIZE, 1_000)]);
    peer.get(1, &[], 5_000);
    peer.seen();
    assert_eq!(peer.refusal(&update(1, 0x7fff_ffff)), None);
    assert_eq!(peer.refusal(&update(0, 0x7fff_ffff)), Some((kind::GOAWAY, 3)));
    let mut peer = Peer::with_settings(&[(setting::INITIAL_WINDOW_SIZE, 0)]);
    peer.get(1, &[], 5);
    assert_eq!(peer.refusal(&update(0, 0x7fff_ffff - 65_535)), None);
    assert_eq!(peer.refusal(&[update(1, 0x7fff_ffff), update(1, 1)].concat()), Some((kind::RST_STREAM, 3)));
    peer.core.window = super::super::flow::Window::new(0);
    peer.get(3, &[], 5);
    peer.send(&update(3, 0x7fff_ffff));
    let raised = raw(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
    assert_eq!(peer.refusal(&raised), Some((kind::GOAWAY, 3)));
}

#[test]
fn an_upload_gets_room_back_as_it_is_read() {
    let mut peer = Peer::new();
    let mut upload = peer.post(1, &[]);
    let full = [0; 16_384];
    for _ in 0..16 {
        peer.send(&data(1, &full, false));
    }
    assert_eq!(peer.seen(), [], "nobody has read of it");
    assert_eq!(read(&mut upload), Poll::Ready(Some(Ok(16_384))));
    assert_eq!(peer.seen(), [], "too little for an update");
    for _ in 1..16 {
        assert_eq!(read(&mut upload), Poll::Ready(Some(Ok(16_384))));
    }
    let seen = peer.seen();
    assert_eq!(kinds(&seen), [(kind::WINDOW_UPDATE, 0, 1)]);
    assert_eq!(frame::number(&seen[0].1), Some(262_144));
    peer.send(&data(1, &full, true));
    assert_eq!((read(&mut upload), read(&mut upload)), (Poll::Ready(Some(Ok(16_384))), Poll::Ready(None)));
}

#[test]
fn more_than_a_window_holds_is_refused() {
    let mut peer = Peer::new();
    let _unread = peer.post(1, &[]);
    let full = data(1, &[0; 16_384], false).repeat(16);
    assert_eq!(peer.refusal(&full), None);
    assert_eq!(peer.refusal(&data(1, &[0], false)), Some((kind::RST_STREAM, 3)));
    // The connection's window holds as much as four streams'.
    let mut peer = Peer::new();
    let mut uploads = Vec::new();
    for id in [3, 5, 7, 9] {
        uploads.push(peer.post(id, &[]));
        assert_eq!(peer.refusal(&data(id, &[0; 16_384], false).repeat(15)), None);
    }
    let mut rest = data(3, &[0; 16_384], false);
    rest.extend(data(5, &[0; 16_384], false));
    rest.extend(data(7, &[0; 16_384], false));
    rest.extend(data(9, &[0; 16_384], false));
    assert_eq!(peer.refusal(&rest), None);
    uploads.push(peer.post(11, &[]));
    assert_eq!(peer.refusal(&data(11, &[0], false)), Some((kind::GOAWAY, 3)));
}

#[test]
fn what_has_come_whole_and_is_not_read_takes_room_all_the_same() {
    let mut peer = Peer::new();
    let mut uploads = Vec::new();
    for id in [1, 3, 5, 7] {
        uploads.push(peer.post(id, &[]));
        peer.send(&data(id, &[0; 16_384], false).repeat(15));
        peer.send(&data(id, &[0; 16_384], true));
    }
    assert_eq!(peer.seen(), [], "the connection's window is used up");
    while let Poll::Ready(Some(Ok(_))) = read(&mut uploads[0]) {}
    assert_eq!(peer.seen(), []);
    while let Poll::Ready(Some(Ok(_))) = read(&mut uploads[1]) {}
    let seen = peer.seen();
    assert_eq!((kinds(&seen), frame::number(&seen[0].1)), (vec![(kind::WINDOW_UPDATE, 0, 0)], Some(1 << 19)));
}

#[test]
fn padding_is_room_too_and_nobodys_data() {
    let mut peer = Peer::new();
    let mut upload = peer.post(1, &[("content-length", "2")]);
    let mut padded = vec![200];
    padded.extend([0; 1 + 200]);
    for _ in 0..2 {
        peer.send(&raw(kind::DATA, flag::PADDED, 1, &padded));
    }
    assert_eq!(read(&mut upload), Poll::Ready(Some(Ok(1))));
    peer.send(&data(1, &[], true));
    assert_eq!((read(&mut upload), read(&mut upload)), (Poll::Ready(Some(Ok(1))), Poll::Ready(None)));
}

#[test]
fn what_nobody_wants_gives_its_room_back() {
    let mut peer = Peer::new();
    let mut updates = 0;
    for n in 0..40 {
        let id = 2 * n + 1;
        drop(peer.post(id, &[]));
        peer.send(&data(id, &[0; 16_384], false).repeat(4));
        peer.respond(id, |block| block.status(403));
        let seen = peer.seen();
        updates +=
            seen.iter().filter(|(head, _)| head.kind == kind::WINDOW_UPDATE && head.stream == 0).count();
        assert_eq!(peer.core.end, End::Open);
    }
    assert_eq!(updates, 5, "of 40 times 64 KiB, half a mebibyte each");
}

#[test]
fn an_upload_that_is_reset_does_not_look_whole() {
    let mut peer = Peer::new();
    let mut upload = peer.post(1, &[]);
    peer.send(&data(1, b"ab", false));
    peer.send(&raw(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    assert_eq!(read(&mut upload), Poll::Ready(Some(Ok(2))));
    assert!(matches!(read(&mut upload), Poll::Ready(Some(Err(_)))));
}

#[test]
fn a_length_is_kept_to() {
    // RFC 9113 §8.1.1
    for (sent, ended, expected) in [
        (&b"abc"[..], true, None),
        (b"ab", true, Some((kind::RST_STREAM, 1))),
        (b"abcd", false, Some((kind::RST_STREAM, 1))),
        (b"", true, Some((kind::RST_STREAM, 1))),
    ] {
        let mut peer = Peer::new();
        let upload = peer.post(1, &[("content-length", "3")]);
        assert_eq!(upload.size_hint().exact(), Some(3));
        assert_eq!(peer.refusal(&data(1, sent, ended)), expected, "{sent:?}");
    }
    let mut peer = Peer::new();
    let nothing = headers(1, &[&POST[..], &[("content-length", "3")]].concat(), true);
    assert_eq!(peer.refusal(&nothing), Some((kind::RST_STREAM, 1)));
    assert_eq!(peer.refusal(&headers(3, &[&POST[..], &[("content-length", "0")]].concat(), true)), None);
}

#[test]
fn trailers_end_a_body() {
    let mut peer = Peer::new();
    let mut upload = peer.post(1, &[]);
    peer.send(&data(1, b"ab", false));
    assert_eq!(peer.refusal(&headers(1, &[("x-checksum", "1")], true)), None);
    assert_eq!((read(&mut upload), read(&mut upload)), (Poll::Ready(Some(Ok(2))), Poll::Ready(None)));
    for (id, fields, ended) in [(3, ("x-a", "a"), false), (5, (":path", "/b"), true), (7, ("X-A", "a"), true)]
    {
        let mut upload = peer.post(id, &[]);
        assert_eq!(peer.refusal(&headers(id, &[fields], ended)), Some((kind::RST_STREAM, 1)), "{fields:?}");
        assert!(matches!(read(&mut upload), Poll::Ready(Some(Err(_)))));
    }
    let _short = peer.post(9, &[("content-length", "1")]);
    assert_eq!(peer.refusal(&headers(9, &[("x-a", "a")], true)), Some((kind::RST_STREAM, 1)));
}
