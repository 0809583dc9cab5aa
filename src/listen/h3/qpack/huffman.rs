//! The Huffman code of header fields (RFC 7541 appendix B, which RFC 9204 §4.1.2 takes over). It is canonical: the
//! lengths of its codes say it all.

/// Bits of each byte's code.
#[rustfmt::skip]
static LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const LONGEST: usize = 30;

/// Decodes `bytes` onto the end of `out`. `None`: they are no code, or what fills their last byte is not the beginning of
/// the code's end (RFC 7541 §5.2).
pub(super) fn decode(bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut input = bytes.iter();
    // The lower `have` bits of `window` come next.
    let (mut window, mut have) = (0_u64, 0_u32);
    loop {
        while have <= 48
            && let Some(byte) = input.next()
        {
            window = window << 8 | u64::from(*byte);
            have += 8;
        }
        // Ones stand for what is beyond the end.
        let next = match have {
            0 => return Some(()),
            1..32 => (window << (32 - have)) as u32 | u32::MAX >> have,
            _ => (window >> (have - 32)) as u32,
        };
        match symbol(next) {
            Some((symbol, length)) if length <= have => {
                out.push(symbol);
                have -= length;
            }
            _ => return (have < 8 && next == u32::MAX).then_some(()),
        }
    }
}

/// The symbol whose code these bits begin with, and its bits.
fn symbol(next: u32) -> Option<(u8, u32)> {
    let (symbol, length) = CODE.short[(next >> 24) as usize];
    if length > 0 {
        return Some((symbol, u32::from(length)));
    }
    (9..=LONGEST).find_map(|length| {
        let rank = (next >> (32 - length)).checked_sub(CODE.first[length])?;
        let rank = usize::try_from(rank).ok().filter(|rank| *rank < CODE.count[length])?;
        Some((CODE.sorted[CODE.offset[length] + rank], length as u32))
    })
}

/// Made from [`LENGTHS`] when this is compiled.
struct Code {
    /// By the first eight bits, for codes that are no longer; 0 bits: it is longer.
    short: [(u8, u8); 256],
    /// By length: the first code, how many there are, and where in `sorted` they begin.
    first: [u32; LONGEST + 1],
    count: [usize; LONGEST + 1],
    offset: [usize; LONGEST + 1],
    /// Symbols in the order of their codes.
    sorted: [u8; 256],
}

static CODE: Code = code();

const fn code() -> Code {
    let mut made = Code {
        short: [(0, 0); 256],
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        offset: [0; LONGEST + 1],
        sorted: [0; 256],
    };
    let (mut next, mut placed, mut length) = (0_u32, 0, 1);
    while length <= LONGEST {
        next <<= 1;
        made.first[length] = next;
        made.offset[length] = placed;
        let mut symbol = 0;
        while symbol < 256 {
            if LENGTHS[symbol] as usize == length {
                made.sorted[placed] = symbol as u8;
                made.count[length] += 1;
                placed += 1;
                if length <= 8 {
                    let mut filled = (next as usize) << (8 - length);
                    let end = filled + (1 << (8 - length));
                    while filled < end {
                        made.short[filled] = (symbol as u8, length as u8);
                        filled += 1;
                    }
                }
                next += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(bytes, &mut out).map(|()| out)
    }

    /// The code of `text`, made the slow way.
    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut bits = String::new();
        for byte in text {
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let (from, to) = (CODE.offset[length], CODE.offset[length] + CODE.count[length]);
            let rank = CODE.sorted[from..to].iter().position(|symbol| symbol == byte).unwrap();
            bits += &format!("{:0length$b}", CODE.first[length] as usize + rank);
        }
        bits += &"1".repeat(bits.len().next_multiple_of(8) - bits.len());
        bits.as_bytes()
            .chunks(8)
            .map(|byte| u8::from_str_radix(str::from_utf8(byte).unwrap(), 2).unwrap())
            .collect()
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 7541 §C.4, §C.6
        let table: [(&[u8], &str); 4] = [
            (&[0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff], "www.example.com"),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x64, 0x02], "302"),
            (
                &[
                    0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81,
                    0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
                ],
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
        ];
        for (bytes, text) in table {
            assert_eq!(decoded(bytes).as_deref(), Some(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(decoded(&encoded(&all)).as_deref(), Some(&*all));
        for length in 0..40 {
            assert_eq!(decoded(&encoded(&all[..length])).as_deref(), Some(&all[..length]));
        }
    }

    #[test]
    fn what_is_no_code_is_refused() {
        // RFC 7541 §5.2: a byte or more of padding, padding that is not ones, the code's end itself.
        for bytes in
            [&[0xff][..], &[0x1f, 0xff], &[0x00], &[0xff, 0xff, 0xff, 0xff], &[0xff, 0xff, 0xff, 0xfc]]
        {
            assert_eq!(decoded(bytes), None, "{bytes:02x?}");
        }
        assert_eq!(decoded(&[]), Some(Vec::new()));
    }
}
