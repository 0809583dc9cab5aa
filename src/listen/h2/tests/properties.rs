//! Whatever a peer sends: no panic, no more memory than said, and the same answer however it is cut.

use proptest::prelude::*;

use super::*;

/// Frames that are likely to mean something, and some that are not.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![8 => 0_u32..12, 1 => any::<u32>()];
    let payload = prop_oneof![
        Just(block(&GET)),
        Just(block(&POST)),
        Just(block(&[("x-a", "a")])),
        (0_u32..100_000).prop_map(|n| n.to_be_bytes().to_vec()),
        (1_u8..7, any::<u32>()).prop_map(|(id, value)| [&[0, id][..], &value.to_be_bytes()].concat()),
        Just(vec![0; 8]),
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(vec![0; 5_000]),
    ];
    let kind = prop_oneof![8 => 0_u8..11, 1 => Just(kind::PRIORITY_UPDATE), 1 => any::<u8>()];
    let flags = prop_oneof![3 => Just(5_u8), 3 => Just(4), 2 => Just(0), 1 => any::<u8>()];
    let one =
        (kind, flags, id, payload).prop_map(|(kind, flags, id, payload)| raw(kind, flags, id, &payload));
    proptest::collection::vec(one, 0..60).prop_map(|frames| frames.concat())
}

/// Sends `bytes` in pieces of these sizes, answers what is asked, and says all that comes back.
fn run(bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut peer = Peer::new();
    let (mut rest, mut answer, mut uploads) = (bytes, Vec::new(), Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() || !peer.core.is_reading() {
            break;
        }
        let (piece, behind) = rest.split_at(rest.len().min(*size));
        rest = behind;
        let mut piece = piece;
        while let Some(request) = peer.core.receive(&mut piece, &mut peer.fields) {
            match request.id % 3 {
                0 => drop(peer.answer(&request, &[("server", "a")], b"abc")),
                1 => {
                    uploads.extend(peer.core.open(&request, Pieces::of(20_000)));
                    peer.respond(request.id, |block| block.status(200));
                }
                _ => uploads.extend(peer.core.open(&request, Pieces { open: true, ..Pieces::default() })),
            }
        }
        assert!(peer.core.streams.len() <= super::super::STREAMS);
        assert!(peer.core.output.len() < 1 << 20);
        answer.extend(peer.written());
    }
    peer.core.tick();
    peer.core.fill();
    answer.extend(peer.written());
    answer
}

proptest! {
    #[test]
    fn any_octets_are_endured(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        run(&bytes, &[100]);
        let mut peer = Peer { core: Core::new(), fields: Fields::new(1_000), blocks: Blocks::new() };
        peer.send(&bytes);
    }

    #[test]
    fn any_frames_are_answered_alike_however_they_are_cut(
        bytes in frames(),
        sizes in proptest::collection::vec(1_usize..3_000, 1..10),
    ) {
        prop_assert_eq!(run(&bytes, &sizes), run(&bytes, &[1 << 20]));
    }
}
