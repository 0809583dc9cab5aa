//! Percent-encoding as CloudFront's log has it (behaviour §12.8).

/// Bytes that are looked at together: what a compiler turns into one vector.
const BLOCK: usize = 16;

/// Appends `value`. Quote and backslash are among what is encoded, so the outcome needs no escaping in JSON.
pub(super) fn encode(out: &mut Vec<u8>, value: &[u8]) {
    let (blocks, rest) = value.as_chunks::<BLOCK>();
    for block in blocks {
        if are_clean(block) {
            out.extend_from_slice(block);
        } else {
            expand(out, block);
        }
    }
    // Whole blocks are looked at faster, so the rest is, together with what is before it.
    if value.last_chunk().is_some_and(are_clean) {
        out.extend_from_slice(rest);
    } else {
        expand(out, rest);
    }
}

fn are_clean(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(true, |clean, byte| clean & is_clean(*byte))
}

/// With U+FFFD in place of what is not UTF-8.
pub(super) fn encode_lossy(out: &mut Vec<u8>, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        encode(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            encode(out, "\u{fffd}".as_bytes());
        }
    }
}

/// Each byte as what stands for it, without a branch that nobody could foresee.
fn expand(out: &mut Vec<u8>, block: &[u8]) {
    // What the last one writes is a byte longer than what it stands for.
    let mut room = [0; 3 * BLOCK + 1];
    let mut end = 0;
    for byte in block {
        let entry = TABLE[usize::from(*byte)];
        room[end..end + 4].copy_from_slice(&entry);
        end += usize::from(entry[3]);
    }
    out.extend_from_slice(&room[..end]);
}

/// Bytes up to 32, from 127, and these are encoded (behaviour §12.8).
const fn is_clean(byte: u8) -> bool {
    // Not a `match`: that would be a jump for each byte.
    (byte > b' ')
        & (byte < 127)
        & (byte != b'<')
        & (byte != b'>')
        & (byte != b'"')
        & (byte != b'#')
        & (byte != b'%')
        & (byte != b'{')
        & (byte != b'}')
        & (byte != b'|')
        & (byte != b'\\')
        & (byte != b'^')
        & (byte != b'~')
        & (byte != b'[')
        & (byte != b']')
        & (byte != b'`')
        & (byte != b'\'')
}

/// For each byte: what stands for it, and how long that is.
const TABLE: [[u8; 4]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut table = [[0; 4]; 256];
    let mut n = 0;
    while n < 256 {
        table[n] =
            if is_clean(n as u8) { [n as u8, 0, 0, 1] } else { [b'%', DIGITS[n >> 4], DIGITS[n & 15], 3] };
        n += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
    use proptest::prelude::*;

    use super::*;

    /// behaviour §12.8, in the words of another.
    const ENCODED: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'<')
        .add(b'>')
        .add(b'"')
        .add(b'#')
        .add(b'%')
        .add(b'{')
        .add(b'}')
        .add(b'|')
        .add(b'\\')
        .add(b'^')
        .add(b'~')
        .add(b'[')
        .add(b']')
        .add(b'`')
        .add(b'\'');

    fn encoded(value: &[u8]) -> String {
        let mut out = Vec::new();
        encode(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_byte_is_written_as_it_should_be() {
        for byte in 0..=u8::MAX {
            for value in [vec![byte], vec![byte; BLOCK], vec![byte; BLOCK + 1]] {
                assert_eq!(encoded(&value), percent_encode(&value, ENCODED).to_string(), "{byte}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_value_is_written_as_the_percent_encoding_crate_would(
            value in proptest::collection::vec(prop_oneof![any::<u8>(), b'a'..=b'z'], 0..100),
        ) {
            prop_assert_eq!(encoded(&value), percent_encode(&value, ENCODED).to_string());
        }

        #[test]
        fn text_is_mended_as_the_standard_library_would(value in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            encode_lossy(&mut out, &value);
            prop_assert_eq!(String::from_utf8(out).unwrap(), encoded(String::from_utf8_lossy(&value).as_bytes()));
        }
    }
}
