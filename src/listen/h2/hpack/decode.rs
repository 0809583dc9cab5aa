//! Header blocks into fields.

use super::TABLE;
use super::table::{Dynamic, Name, OVERHEAD, STATIC};
use crate::listen::huffman;

/// Octets of an integer after its prefix: 2^35 is more than any of ours.
const LONGEST_INTEGER: u32 = 28;

/// The decoding side of a connection.
#[derive(Debug)]
pub(in crate::listen::h2) struct Decoder {
    table: Dynamic,
}

/// What a block says; kept from one block to the next, so that a field costs no allocation.
#[derive(Debug, Clone, Default)]
pub(in crate::listen::h2) struct Fields {
    text: Vec<u8>,
    spans: Vec<Span>,
    /// Bytes in all, as RFC 9113 §6.5.2 counts them.
    size: usize,
    limit: usize,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    name: Name,
    is_valid: bool,
    start: usize,
    value: usize,
    end: usize,
}

/// A block that cannot be decoded; nothing after it on the connection can (RFC 9113 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen::h2) struct Invalid;

impl From<huffman::Invalid> for Invalid {
    fn from(_: huffman::Invalid) -> Self {
        Self
    }
}

impl Fields {
    /// Of which at most `limit` bytes are kept.
    pub(in crate::listen::h2) fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(in crate::listen::h2) fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
        self.size = 0;
    }

    pub(in crate::listen::h2) fn is_too_large(&self) -> bool {
        self.size > self.limit
    }

    pub(in crate::listen::h2) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether its name and value may be a field's (RFC 9113 §8.2.1).
    pub(in crate::listen::h2) fn is_valid(&self, index: usize) -> bool {
        self.spans[index].is_valid
    }

    pub(in crate::listen::h2) fn get(&self, index: usize) -> (Name, &[u8], &[u8]) {
        let Span { name, start, value, end, .. } = self.spans[index];
        (name, &self.text[start..value], &self.text[value..end])
    }

    #[cfg(test)]
    pub(in crate::listen::h2) fn iter(&self) -> impl Iterator<Item = (Name, &[u8], &[u8])> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Puts one field in place of all those of `name`, where the first of them was, with their values joined.
    pub(in crate::listen::h2) fn join(&mut self, name: Name, separator: &[u8]) {
        let mut all = (0..self.len()).filter(|&index| self.spans[index].name == name);
        let (Some(first), Some(_)) = (all.next(), all.next()) else { return };
        let Span { start, value, .. } = self.spans[first];
        let joined = self.text.len();
        self.text.extend_from_within(start..value);
        let joined_value = self.text.len();
        for index in first..self.len() {
            let Span { name: other, value, end, .. } = self.spans[index];
            if other == name {
                if self.text.len() > joined_value {
                    self.text.extend_from_slice(separator);
                }
                self.text.extend_from_within(value..end);
            }
        }
        let is_valid = self.spans.iter().all(|span| span.name != name || span.is_valid);
        self.spans[first] = Span { name, is_valid, start: joined, value: joined_value, end: self.text.len() };
        let mut index = 0;
        self.spans.retain(|span| {
            index += 1;
            index - 1 == first || span.name != name
        });
    }

    /// Takes what has been appended to the text since `start` for a field, or drops it if it is too much.
    fn push(&mut self, name: Name, is_valid: bool, start: usize, value: usize) {
        let end = self.text.len();
        self.size += end - start + OVERHEAD;
        if self.is_too_large() {
            self.text.truncate(start);
        } else {
            self.spans.push(Span { name, is_valid, start, value, end });
        }
    }
}

impl Decoder {
    pub(in crate::listen::h2) fn new() -> Self {
        Self { table: Dynamic::new(TABLE) }
    }

    /// Decodes a whole block.
    ///
    /// # Errors
    /// [`Invalid`]. A list that is too large is none: the rest of it is decoded for the sake of the table, and forgotten.
    pub(in crate::listen::h2) fn decode(&mut self, block: &[u8], into: &mut Fields) -> Result<(), Invalid> {
        into.clear();
        let mut rest = block;
        let mut may_resize = true;
        while let Some(&first) = rest.first() {
            match first {
                0x80.. => self.indexed(integer(&mut rest, 7)?, into)?,
                0x40.. => self.literal(&mut rest, 6, into)?,
                // It stands before the first field (RFC 7541 §4.2).
                0x20.. if !may_resize => return Err(Invalid),
                0x20.. => {
                    let max = integer(&mut rest, 5)?;
                    if max > TABLE {
                        return Err(Invalid);
                    }
                    self.table.resize(max);
                    continue;
                }
                // Whether it is never to be indexed concerns those who encode it again.
                _ => self.literal(&mut rest, 4, into)?,
            }
            may_resize = false;
        }
        Ok(())
    }

    fn indexed(&self, index: usize, into: &mut Fields) -> Result<(), Invalid> {
        let (is_valid, name, text, value) = match index {
            0 => return Err(Invalid),
            1..=61 => {
                let (name, value) = STATIC[index - 1];
                (true, Name::at(index), name.as_bytes(), value.as_bytes())
            }
            _ => self.table.get(index - 62).ok_or(Invalid)?,
        };
        if into.is_too_large() {
            return Ok(());
        }
        let start = into.text.len();
        into.text.extend_from_slice(text);
        let middle = into.text.len();
        into.text.extend_from_slice(value);
        into.push(name, is_valid, start, middle);
        Ok(())
    }

    /// One whose name's index has `prefix` bits; of 6, it goes into the table.
    fn literal(&mut self, rest: &mut &[u8], prefix: u32, into: &mut Fields) -> Result<(), Invalid> {
        let start = into.text.len();
        let index = integer(rest, prefix)?;
        let name = match index {
            0 => {
                string(rest, &mut into.text)?;
                Name::of(&into.text[start..])
            }
            1..=61 => {
                into.text.extend_from_slice(STATIC[index - 1].0.as_bytes());
                Name::at(index)
            }
            _ => {
                let (_, name, text, _) = self.table.get(index - 62).ok_or(Invalid)?;
                into.text.extend_from_slice(text);
                name
            }
        };
        let middle = into.text.len();
        string(rest, &mut into.text)?;
        let is_name = name != Name::OTHER || is_name(&into.text[start..middle]);
        let is_valid = is_name && is_value(&into.text[middle..]);
        if prefix == 6 {
            self.table.insert(name, is_valid, middle - start, &into.text[start..]);
        }
        into.push(name, is_valid, start, middle);
        Ok(())
    }
}

/// RFC 7541 §5.1.
fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, Invalid> {
    let (&first, mut after) = rest.split_first().ok_or(Invalid)?;
    let mask = (1_usize << prefix) - 1;
    let mut value = usize::from(first) & mask;
    let mut shift = 0;
    if value == mask {
        loop {
            let (&octet, more) = after.split_first().ok_or(Invalid)?;
            if shift > LONGEST_INTEGER {
                return Err(Invalid);
            }
            after = more;
            value += usize::from(octet & 0x7f) << shift;
            shift += 7;
            if octet < 0x80 {
                break;
            }
        }
    }
    *rest = after;
    Ok(value)
}

/// RFC 7541 §5.2.
fn string(rest: &mut &[u8], into: &mut Vec<u8>) -> Result<(), Invalid> {
    let is_coded = rest.first().is_some_and(|&first| first >= 0x80);
    let length = integer(rest, 7)?;
    let (text, after) = rest.split_at_checked(length).ok_or(Invalid)?;
    *rest = after;
    if is_coded {
        huffman::decode(text, into)?;
    } else {
        into.extend_from_slice(text);
    }
    Ok(())
}

/// Lower-case, and of one character at least. Pseudo-headers are known by their place in the static table; another name
/// with a colon is none.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|octet| NAME[usize::from(*octet)])
}

/// Neither what ends a line elsewhere, nor spaces around it (RFC 9113 §8.2.1).
fn is_value(value: &[u8]) -> bool {
    let is_space = |octet: Option<&u8>| octet.is_some_and(|octet| matches!(octet, b' ' | b'\t'));
    value.iter().all(|octet| VALUE[usize::from(*octet)])
        && !is_space(value.first())
        && !is_space(value.last())
}

/// `tchar` in lower case (RFC 9110 §5.6.2).
static NAME: [bool; 256] = {
    let mut table = [false; 256];
    let tchar = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
    let mut at = 0;
    while at < tchar.len() {
        table[tchar[at] as usize] = true;
        at += 1;
    }
    table
};

/// `field-vchar`, spaces and tabs (RFC 9110 §5.5).
static VALUE: [bool; 256] = {
    let mut table = [true; 256];
    let mut at = 0;
    while at < 32 {
        table[at] = at == b'\t' as usize;
        at += 1;
    }
    table[127] = false;
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Invalid> {
        let mut fields = Fields::new(1 << 16);
        decoder.decode(block, &mut fields)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(fields.iter().map(|(_, name, value)| (text(name), text(value))).collect())
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn single_fields_of_appendix_c_2() {
        for (block, name, value, kept) in [
            (
                "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                "custom-key",
                "custom-header",
                55,
            ),
            ("040c 2f73 616d 706c 652f 7061 7468", ":path", "/sample/path", 0),
            ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password", "secret", 0),
            ("82", ":method", "GET", 0),
        ] {
            let mut decoder = Decoder::new();
            assert_eq!(decoded(&mut decoder, &hex(block)), Ok(pairs(&[(name, value)])));
            assert_eq!(decoder.table.size(), kept, "{name}");
        }
    }

    #[test]
    fn requests_of_appendix_c_3_and_c_4() {
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let coded = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        let host = (":authority", "www.example.com");
        let get = (":method", "GET");
        let expected = [
            pairs(&[get, (":scheme", "http"), (":path", "/"), host]),
            pairs(&[get, (":scheme", "http"), (":path", "/"), host, ("cache-control", "no-cache")]),
            pairs(&[
                get,
                (":scheme", "https"),
                (":path", "/index.html"),
                host,
                ("custom-key", "custom-value"),
            ]),
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::new();
            for ((block, expected), size) in blocks.iter().zip(&expected).zip([57, 110, 164]) {
                assert_eq!(decoded(&mut decoder, &hex(block)).as_ref(), Ok(expected));
                assert_eq!(decoder.table.size(), size);
            }
        }
    }

    #[test]
    fn a_table_of_256_bytes_evicts_as_in_appendix_c_6() {
        let mut decoder = Decoder::new();
        decoder.table.resize(256);
        let date = "Mon, 21 Oct 2013 20:13:21 GMT";
        let blocks = [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d
             29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d
             d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106
             3d50 07",
        ];
        let (private, location) = (("cache-control", "private"), ("location", "https://www.example.com"));
        let cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
        let expected = [
            pairs(&[(":status", "302"), private, ("date", date), location]),
            pairs(&[(":status", "307"), private, ("date", date), location]),
            pairs(&[
                (":status", "200"),
                private,
                ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
                location,
                ("content-encoding", "gzip"),
                ("set-cookie", cookie),
            ]),
        ];
        for ((block, expected), size) in blocks.iter().zip(&expected).zip([222, 222, 215]) {
            assert_eq!(decoded(&mut decoder, &hex(block)).as_ref(), Ok(expected));
            assert_eq!(decoder.table.size(), size);
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for (block, why) in [
            ("80", "index 0 (RFC 7541 §6.1)"),
            ("be", "an empty dynamic table"),
            ("7f00", "a name from beyond the table"),
            ("ff", "an integer that breaks off"),
            ("ff ffff ffff ffff ff0f", "an integer without end (§5.1)"),
            ("00 0561", "a string that breaks off"),
            ("00 8100 0161", "bad padding"),
            ("3f e2 1f", "a table larger than allowed, 4,097 (§6.3)"),
            ("82 20", "a resize after a field (§4.2)"),
        ] {
            assert_eq!(decoded(&mut Decoder::new(), &hex(block)), Err(Invalid), "{why}");
        }
        // Two of them before the first field are allowed; 4,096 is.
        assert_eq!(decoded(&mut Decoder::new(), &hex("20 3f e1 1f 82")), Ok(pairs(&[(":method", "GET")])));
    }

    #[test]
    fn a_list_that_is_too_large_is_not_kept_and_the_table_is() {
        let mut decoder = Decoder::new();
        let mut fields = Fields::new(10_000);
        let mut block = vec![0x40, 1, b'a', 0x7f, 0x80 | 0x21, 0x1e]; // a value of 4,000
        block.extend([b'v'; 4_000]);
        block.extend([0xbe; 10_000]);
        decoder.decode(&block, &mut fields).unwrap();
        assert!(fields.is_too_large());
        assert!(fields.text.capacity() < 40_000, "a bomb of 40 MB does not go off");
        assert_eq!(decoder.table.size(), 4_033);
        decoder.decode(&[0xbe], &mut fields).unwrap();
        assert_eq!((fields.len(), fields.is_too_large()), (1, false));
    }

    #[test]
    fn cookies_are_joined_where_the_first_was() {
        let mut fields = Fields::new(10_000);
        let mut block = hex("82 60 0361 3d31 60 0362 3d32 51 0164 60 0363 3d33");
        Decoder::new().decode(&block, &mut fields).unwrap();
        fields.join(Name::COOKIE, b"; ");
        let seen: Vec<_> = fields.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect();
        let expected =
            [(&b":method"[..], &b"GET"[..]), (b"cookie", b"a=1; b=2; c=3"), (b"accept-language", b"d")];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_vec(), value.to_vec())));
        block.truncate(6);
        Decoder::new().decode(&block, &mut fields).unwrap();
        fields.join(Name::COOKIE, b"; ");
        assert_eq!(fields.get(1), (Name::COOKIE, &b"cookie"[..], &b"a=1"[..]));
    }

    proptest! {
        #[test]
        fn anything_is_decoded_or_refused_within_bounds(
            blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..5),
        ) {
            let mut decoder = Decoder::new();
            let mut fields = Fields::new(1_000);
            for block in blocks {
                let _ = decoder.decode(&block, &mut fields);
                prop_assert!(decoder.table.size() <= TABLE);
                prop_assert!(fields.text.len() <= 1_000 + 4_096 + 400);
            }
        }
    }
}
