//! Fields into header blocks.
//!
//! Literals without Huffman's code: it would save a quarter of their bytes and cost more time than all the rest. What is
//! the same on answer after answer goes into the dynamic table once, as long as there is room: nothing is ever evicted,
//! so that an index is a subtraction.

use super::TABLE;
use super::blocks::Blocks;
use super::table::{Name, OVERHEAD};

/// Entries at most: each field that is looked for is compared with all of them.
const ENTRIES: usize = 32;

/// The encoding side of a connection.
#[derive(Debug)]
pub(in crate::listen::h2) struct Encoder {
    max: usize,
    /// The sizes are to be told before the next block: emptied, then the new one (RFC 7541 §4.2).
    resized: bool,
    size: usize,
    /// Numbers of those in the table, by [`Blocks`]; the latest last.
    entries: Vec<u32>,
    /// Whose numbers they are.
    blocks: u64,
}

impl Encoder {
    pub(in crate::listen::h2) fn new() -> Self {
        Self { max: TABLE, resized: false, size: 0, entries: Vec::new(), blocks: 0 }
    }

    /// The peer's table may have `max` bytes; ours is never larger than it was at first.
    pub(in crate::listen::h2) fn resize(&mut self, max: usize) {
        let max = max.min(TABLE);
        if max != self.max {
            self.max = max;
            self.resized = true;
            self.size = 0;
            self.entries.clear();
        }
    }

    /// Begins a block: that of an answer with `status`.
    pub(in crate::listen::h2) fn begin(&mut self, status: u16, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.resized) {
            out.push(0x20);
            integer(self.max, 5, 0x20, out);
        }
        match status {
            200 => out.push(0x88),
            204 => out.push(0x89),
            206 => out.push(0x8a),
            304 => out.push(0x8b),
            400 => out.push(0x8c),
            404 => out.push(0x8d),
            500 => out.push(0x8e),
            _ => {
                let digit = |place: u16| b'0' + u8::try_from(status / place % 10).unwrap_or(0);
                out.extend([0x08, 3, digit(100), digit(10), digit(1)]);
            }
        }
    }

    /// `name` in lower case.
    pub(in crate::listen::h2) fn field(
        &mut self,
        name: &[u8],
        value: &[u8],
        blocks: &mut Blocks,
        out: &mut Vec<u8>,
    ) {
        let known = Name::of(name);
        match blocks.number(known, name, value) {
            Some(number) => self.constant(number, blocks, known, name, value, out),
            None => plain(known, name, value, out),
        }
    }

    /// Numbers of what is in the table.
    pub(super) fn table(&self) -> &[u32] {
        &self.entries
    }

    /// Whether that, by the numbers of `blocks`, and not nothing, is what is in the table.
    pub(super) fn has(&self, blocks: u64, table: &[u32]) -> bool {
        self.blocks == blocks && !table.is_empty() && self.entries == table
    }

    /// A field that has a number: its place in the table, which it may get now.
    #[inline]
    pub(super) fn constant(
        &mut self,
        number: u32,
        blocks: &Blocks,
        known: Name,
        name: &[u8],
        value: &[u8],
        out: &mut Vec<u8>,
    ) {
        // Numbers of another worker's would mean other fields.
        if self.blocks != blocks.id() {
            if !self.entries.is_empty() {
                return plain(known, name, value, out);
            }
            self.blocks = blocks.id();
        }
        if let Some(place) = self.entries.iter().position(|entry| *entry == number) {
            return integer(62 + self.entries.len() - 1 - place, 7, 0x80, out);
        }
        let size = name.len() + value.len() + OVERHEAD;
        if self.size + size > self.max || self.entries.len() == ENTRIES {
            return plain(known, name, value, out);
        }
        self.size += size;
        self.entries.push(number);
        literal(0x40, 6, known, name, value, out);
    }
}

/// A field that is in no table after it.
pub(super) fn plain(known: Name, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    // A cookie nobody on the way should index, either (RFC 7541 §7.1.3).
    let pattern = if known == Name::SET_COOKIE { 0x10 } else { 0x00 };
    literal(pattern, 4, known, name, value, out);
}

/// RFC 7541 §6.2: `pattern` says what kind it is, above the `prefix` bits of the name's index.
fn literal(pattern: u8, prefix: u32, known: Name, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.reserve(name.len() + value.len() + 16);
    match known.index() {
        Some(index) => integer(usize::from(index), prefix, pattern, out),
        None => {
            out.push(pattern);
            string(name, out);
        }
    }
    string(value, out);
}

#[inline]
fn string(text: &[u8], out: &mut Vec<u8>) {
    integer(text.len(), 7, 0, out);
    out.extend_from_slice(text);
}

#[inline]
fn integer(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1_usize << prefix) - 1;
    if value < mask {
        return out.push(pattern | value as u8);
    }
    long_integer(value - mask, pattern | mask as u8, out);
}

fn long_integer(mut rest: usize, first: u8, out: &mut Vec<u8>) {
    out.push(first);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Decoder, Fields};
    use super::*;

    type Field = (Vec<u8>, Vec<u8>);

    thread_local! {
        static BLOCKS: std::cell::RefCell<Blocks> = std::cell::RefCell::new(Blocks::new());
    }

    fn encoded(encoder: &mut Encoder, status: u16, fields: &[Field]) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.begin(status, &mut out);
        for (name, value) in fields {
            BLOCKS.with_borrow_mut(|blocks| encoder.field(name, value, blocks, &mut out));
        }
        out
    }

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Vec<Field> {
        let mut fields = Fields::new(1 << 20);
        decoder.decode(block, &mut fields).unwrap();
        fields.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    fn field(name: &str, value: &str) -> Field {
        (name.into(), value.into())
    }

    #[test]
    fn integers_of_appendix_c_1() {
        for (value, prefix, expected) in
            [(10, 5, &[0x0a][..]), (1_337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a]), (31, 5, &[0x1f, 0])]
        {
            let mut out = Vec::new();
            integer(value, prefix, 0, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn what_stays_the_same_is_sent_once() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let fields = [
            field("server", "edgeseal"),
            field("x-cache", "Hit from edgeseal"),
            field("etag", "\"1\""),
            field("content-length", "1024"),
            field("set-cookie", "a=1"),
        ];
        let first = encoded(&mut encoder, 200, &fields);
        let second = encoded(&mut encoder, 200, &fields);
        assert!(first.len() - second.len() >= 30, "{} and {}", first.len(), second.len());
        let other = [field("x-cache", "Miss from edgeseal"), field("server", "edgeseal")];
        let third = encoded(&mut encoder, 403, &other);
        let expected = [&[field(":status", "200")][..], &fields].concat();
        assert_eq!(decoded(&mut decoder, &first), expected);
        assert_eq!(decoded(&mut decoder, &second), expected);
        assert_eq!(decoded(&mut decoder, &third), [&[field(":status", "403")][..], &other].concat());
    }

    #[test]
    fn numbers_of_another_worker_mean_nothing() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let fields = [field("server", "edgeseal"), field("vary", "accept")];
        decoded(&mut decoder, &encoded(&mut encoder, 200, &fields));
        let mut other = Blocks::new();
        let mut out = Vec::new();
        encoder.begin(200, &mut out);
        for (name, value) in &fields {
            encoder.field(value, name, &mut other, &mut out);
        }
        let expected = [field(":status", "200"), field("edgeseal", "server"), field("accept", "vary")];
        assert_eq!(decoded(&mut decoder, &out), expected);
    }

    #[test]
    fn a_peer_with_a_smaller_table_is_obeyed() {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let fields = [field("server", "edgeseal")];
        decoded(&mut decoder, &encoded(&mut encoder, 200, &fields));
        encoder.resize(0);
        let block = encoded(&mut encoder, 200, &fields);
        assert_eq!(block[..3], [0x20, 0x20, 0x88]);
        assert_eq!(decoded(&mut decoder, &block).len(), 2);
        assert_eq!(
            encoded(&mut encoder, 200, &fields).len(),
            block.len() - 2,
            "nothing is in a table of 0 bytes"
        );
        encoder.resize(1 << 20);
        assert_eq!(
            encoded(&mut encoder, 200, &[])[..5],
            [0x20, 0x3f, 0xe1, 0x1f, 0x88],
            "never more than 4,096"
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            answers in proptest::collection::vec(
                (100_u16..600, proptest::collection::vec(("server|vary|x-cache|etag|x-[a-z]{1,300}", "[ -~]{0,300}"), 0..20)),
                1..20,
            ),
        ) {
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            for (status, fields) in answers {
                let fields: Vec<Field> = fields.iter().map(|(name, value)| field(name, value)).collect();
                let block = encoded(&mut encoder, status, &fields);
                let expected = [&[field(":status", &status.to_string())][..], &fields].concat();
                prop_assert_eq!(decoded(&mut decoder, &block), expected);
                prop_assert!(encoder.size <= TABLE);
            }
        }
    }
}
