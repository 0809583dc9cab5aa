//! Huffman's code of RFC 7541 Appendix B. It is canonical, so that the lengths of its words say all.

/// Bits of each octet's word.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];
const LONGEST: usize = 30;

/// Words of one length are consecutive numbers, in the order of their octets.
struct Code {
    /// By length: the first word.
    first: [u32; LONGEST + 1],
    /// By length: how many there are.
    count: [u32; LONGEST + 1],
    /// By length: where in `octets` the first one's octet is.
    start: [usize; LONGEST + 1],
    /// By length, then by value.
    octets: [u8; 256],
    /// By the next eight bits: the octet and the length of a word of at most eight bits, or no length.
    short: [(u8, u8); 256],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut code = Code {
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        start: [0; LONGEST + 1],
        octets: [0; 256],
        short: [(0, 0); 256],
    };
    let (mut word, mut placed, mut length) = (0_u32, 0, 1);
    while length <= LONGEST {
        word <<= 1;
        code.first[length] = word;
        code.start[length] = placed;
        let mut octet = 0;
        while octet < 256 {
            if LENGTHS[octet] as usize == length {
                code.octets[placed] = octet as u8;
                if length <= 8 {
                    let mut at = (word as usize) << (8 - length);
                    let end = at + (1 << (8 - length));
                    while at < end {
                        code.short[at] = (octet as u8, length as u8);
                        at += 1;
                    }
                }
                word += 1;
                placed += 1;
                code.count[length] += 1;
            }
            octet += 1;
        }
        length += 1;
    }
    code
}

/// Not in this code, or padded with anything but fewer than eight ones (RFC 7541 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Invalid;

/// Appends what `coded` stands for.
pub(super) fn decode(coded: &[u8], into: &mut Vec<u8>) -> Result<(), Invalid> {
    into.reserve(coded.len() + coded.len() / 2);
    let mut rest = coded.iter();
    // The next `count` bits, from the top.
    let (mut bits, mut count) = (0_u64, 0_u32);
    loop {
        while count <= 56 {
            let Some(&octet) = rest.next() else { break };
            bits |= u64::from(octet) << (56 - count);
            count += 8;
        }
        let (mut octet, short) = CODE.short[(bits >> 56) as usize];
        let mut length = u32::from(short);
        if length == 0 || length > count {
            if count < 8 && bits == !(u64::MAX >> count) {
                return Ok(());
            }
            (octet, length) = long(bits).filter(|(_, length)| *length <= count).ok_or(Invalid)?;
        }
        into.push(octet);
        bits <<= length;
        count -= length;
    }
}

/// The word of more than eight bits that `bits` begins with.
fn long(bits: u64) -> Option<(u8, u32)> {
    (9..=LONGEST).find_map(|length| {
        let word = u32::try_from(bits >> (64 - length)).ok()?.checked_sub(CODE.first[length])?;
        // Thirty ones are the end's: no octet's, and an error (RFC 7541 §5.2).
        (word < CODE.count[length]).then(|| (CODE.octets[CODE.start[length] + word as usize], length as u32))
    })
}

#[cfg(test)]
pub(super) fn encode(text: &[u8]) -> Vec<u8> {
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u64, 0_u32);
    for &octet in text {
        let length = LENGTHS[octet as usize] as usize;
        let start = CODE.start[length];
        let place = CODE.octets[start..].iter().position(|other| *other == octet).unwrap();
        bits = bits << length | u64::from(CODE.first[length] + place as u32);
        count += length as u32;
        while count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        out.push((bits << (8 - count)) as u8 | 0xff >> count);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Invalid> {
        let mut into = Vec::new();
        decode(coded, &mut into).map(|()| into)
    }

    #[test]
    fn the_code_is_that_of_appendix_b() {
        // RFC 7541 Appendix B: octet, its word and the word's length.
        for (octet, word, length) in [
            (b'0', 0x0, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b':', 0x5c, 7),
            (b'z', 0x7b, 7),
            (b'&', 0xf8, 8),
            (b'Z', 0xfd, 8),
            (b'!', 0x3f8, 10),
            (b'|', 0x7fc, 11),
            (b'#', 0xffa, 12),
            (b'~', 0x1ffd, 13),
            (b'^', 0x3ffc, 14),
            (b'{', 0x7ffe, 15),
            (b'\\', 0x7fff0, 19),
            (0x80, 0xfffe6, 20),
            (0x09, 0xff_ffea, 24),
            (0xff, 0x3ff_ffee, 26),
            (0xf9, 0xfff_fffe, 28),
            (b'\n', 0x3fff_fffc, 30),
            (0x16, 0x3fff_fffe, 30),
        ] {
            let padded = (word << (64 - length)) | (u64::MAX >> length);
            let bytes = &padded.to_be_bytes()[..(length as usize).div_ceil(8)];
            assert_eq!(decoded(bytes), Ok(vec![octet]), "{octet}");
        }
    }

    #[test]
    fn the_examples_of_appendix_c() {
        // RFC 7541 §C.4.1, §C.4.2, §C.6.1
        for (text, coded) in [
            (&b"www.example.com"[..], &b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"[..]),
            (b"no-cache", b"\xa8\xeb\x10\x64\x9c\xbf"),
            (b"302", b"\x64\x02"),
            (b"private", b"\xae\xc3\x77\x1a\x4b"),
            (b"", b""),
        ] {
            assert_eq!(decoded(coded), Ok(text.to_vec()));
            assert_eq!(encode(text), coded);
        }
    }

    #[test]
    fn padding_is_short_and_of_ones() {
        // RFC 7541 §5.2: '0' is 00000; then not ones, a whole octet of them, and the end's own word.
        for coded in
            [&b"\x00"[..], b"\x06", b"\x07\xff", b"\xff", b"\xff\xff\xff\xff", b"\x07\xff\xff\xff\xfc"]
        {
            let expected = if coded == b"\x07" { Ok(b"0".to_vec()) } else { Err(Invalid) };
            assert_eq!(decoded(coded), expected, "{coded:?}");
        }
        assert_eq!(decoded(b"\x07"), Ok(b"0".to_vec()));
    }

    proptest! {
        #[test]
        fn what_is_coded_is_decoded(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decoded(&encode(&text)), Ok(text));
        }

        #[test]
        fn anything_is_decoded_or_refused(coded in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(text) = decoded(&coded) {
                prop_assert_eq!(encode(&text), coded);
            }
        }
    }
}
