use std::io::Read;

use proptest::prelude::*;

use super::super::{STEP, memory};
use super::*;

fn decoded(coding: Coding, encoded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        Coding::Gzip => flate2::read::GzDecoder::new(encoded).read_to_end(&mut plain).unwrap(),
        Coding::Brotli => brotli::Decompressor::new(encoded, 4_096).read_to_end(&mut plain).unwrap(),
    };
    plain
}

fn encoded(coding: Coding, pieces: &[Vec<u8>], flush: bool) -> Vec<u8> {
    let length = pieces.iter().map(Vec::len).sum::<usize>() as u64;
    let mut encoder = Encoder::new(coding, length).unwrap();
    let mut out = Vec::new();
    for piece in pieces {
        out.extend(encoder.write(piece).unwrap());
        if flush {
            out.extend(encoder.flush().unwrap());
        }
    }
    out.extend(encoder.finish().unwrap());
    out
}

fn text(length: usize) -> Vec<u8> {
    let words = ["body ", "of ", "an ", "object, ", "that ", "is ", "compressed\n", "<p>", "</p>", "42 "];
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = Vec::new();
    while text.len() < length {
        text.extend_from_slice(random.choice(words).unwrap().as_bytes());
    }
    text.truncate(length);
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_comes_out_is_what_went_in(
        sizes in proptest::collection::vec((0_usize..40_000, any::<bool>()), 0..8),
        flush: bool,
    ) {
        let mut random = fastrand::Rng::with_seed(8);
        let pieces: Vec<Vec<u8>> = sizes
            .into_iter()
            .map(|(size, noise)| if noise { (0..size).map(|_| random.u8(..)).collect() } else { text(size) })
            .collect();
        for coding in [Coding::Gzip, Coding::Brotli] {
            prop_assert!(decoded(coding, &encoded(coding, &pieces, flush)) == pieces.concat(), "{coding:?}");
        }
    }
}

#[test]
fn text_becomes_much_smaller() {
    let pieces: Vec<Vec<u8>> = text(100_000).chunks(STEP).map(<[u8]>::to_vec).collect();
    let gzip = encoded(Coding::Gzip, &pieces, false).len();
    let brotli = encoded(Coding::Brotli, &pieces, false).len();
    assert!(gzip < 30_000 && brotli < 30_000, "{gzip} {brotli}");
}

#[test]
fn what_was_flushed_can_be_read() {
    for coding in [Coding::Gzip, Coding::Brotli] {
        let mut encoder = Encoder::new(coding, 100_000).unwrap();
        let mut out = encoder.write(b"the beginning").unwrap().to_vec();
        out.extend(encoder.flush().unwrap());
        let mut beginning = [0; 13];
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(&out[..]).read_exact(&mut beginning).unwrap(),
            Coding::Brotli => brotli::Decompressor::new(&out[..], 4_096).read_exact(&mut beginning).unwrap(),
        }
        assert_eq!(&beginning, b"the beginning", "{coding:?}");
    }
}

/// Compressed bytes leave while the body comes, so that a viewer need not wait for its end.
#[test]
fn nothing_is_held_back_for_long() {
    let mut random = fastrand::Rng::with_seed(9);
    for coding in [Coding::Gzip, Coding::Brotli] {
        let mut encoder = Encoder::new(coding, 1 << 20).unwrap();
        let noise: Vec<u8> = (0..256 << 10).map(|_| random.u8(..)).collect();
        let out: usize = noise.chunks(STEP).map(|step| encoder.write(step).unwrap().len()).sum();
        assert!(out + (64 << 10) > noise.len(), "{coding:?}: {out}");
    }
}

#[test]
fn the_window_fits_the_body_within_limits() {
    for (length, expected) in [(0, 17), (1_000, 17), (1 << 17, 17), ((1 << 17) + 1, 18), (10_000_000, 20)] {
        assert_eq!(window(length), expected, "{length}");
    }
    assert!(memory(Coding::Brotli, 10_000_000) <= 4 << 20);
}
