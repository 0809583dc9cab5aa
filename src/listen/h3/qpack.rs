//! QPACK (RFC 9204) without a dynamic table: we announce none, so a viewer may not use one, and we use none ourselves.
//! So no request waits for another one's fields, and a connection keeps no state for them.

mod table;

use bytes::BufMut;
use http::StatusCode;
use table::{NAMES, TABLE};

use crate::listen::huffman;

/// Of each field, beside name and value (RFC 9114 §4.2.2).
const OVERHEAD: usize = 32;

/// Why a field section cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Undecodable<E> {
    /// It is no field section, or needs a dynamic table.
    Section,
    /// Its fields are larger than the limit.
    TooLarge,
    Field(E),
}

/// Gives each field, as name and value, to `take`; `limit` is for their size as RFC 9114 §4.2.2 counts it.
///
/// # Errors
/// [`Undecodable`]; the fields before have been taken.
pub(super) fn decode<E>(
    section: &[u8],
    limit: usize,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), Undecodable<E>> {
    let mut reader = Reader { rest: section };
    reader.prefix().ok_or(Undecodable::Section)?;
    let (mut name, mut value) = (Vec::new(), Vec::new());
    let mut size = 0_usize;
    while !reader.rest.is_empty() {
        name.clear();
        value.clear();
        let (name, value) = reader.field(&mut name, &mut value).ok_or(Undecodable::Section)?;
        size += name.len() + value.len() + OVERHEAD;
        if size > limit {
            return Err(Undecodable::TooLarge);
        }
        take(name, value).map_err(Undecodable::Field)?;
    }
    Ok(())
}

/// How a field section begins that needs no dynamic table (RFC 9204 §4.5.1).
pub(super) const PREFIX: [u8; 2] = [0, 0];

/// Fields that HTTP/3 does not know: RFC 9114 §4.2.
pub(super) fn is_of_connection(name: &str) -> bool {
    matches!(name, "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade")
}

/// `:status`, which comes first.
pub(super) fn status(status: StatusCode, out: &mut impl BufMut) {
    const STATUS: u64 = 24;
    let text = status.as_str();
    let index = (24..=28).chain(63..=71).find(|index| TABLE[*index].1 == text);
    match index {
        Some(index) => integer(0b1100_0000, 6, index as u64, out),
        None => {
            integer(0b0101_0000, 4, STATUS, out);
            string(0, 7, text.as_bytes(), out);
        }
    }
}

/// A field of a response, unless it is about an HTTP/1.1 connection (RFC 9114 §4.2): indexed, by its name's index, or in full
/// (RFC 9204 §4.5.2, §4.5.4, §4.5.6).
pub(super) fn field(name: &str, value: &[u8], out: &mut impl BufMut) {
    if is_of_connection(name) {
        return;
    }
    let Ok(found) = NAMES.binary_search_by_key(&name, |(name, _)| name) else {
        string(0b0010_0000, 3, name.as_bytes(), out);
        string(0, 7, value, out);
        return;
    };
    let first = usize::from(NAMES[found].1);
    let same = TABLE[first..].iter().take_while(|(of, _)| *of == name);
    match same.into_iter().position(|(_, known)| known.as_bytes() == value) {
        Some(further) => integer(0b1100_0000, 6, (first + further) as u64, out),
        None => {
            integer(0b0101_0000, 4, first as u64, out);
            string(0, 7, value, out);
        }
    }
}

/// `text` after its length, not Huffman-coded: it costs more than it saves for what is mostly a body.
fn string(pattern: u8, prefix: u32, text: &[u8], out: &mut impl BufMut) {
    integer(pattern, prefix, text.len() as u64, out);
    out.put_slice(text);
}

/// In the lower `prefix` bits of a byte with `pattern` above them, and in further bytes (RFC 7541 §5.1).
fn integer(pattern: u8, prefix: u32, value: u64, out: &mut impl BufMut) {
    let full = (1_u64 << prefix) - 1;
    if value < full {
        out.put_u8(pattern | value as u8);
        return;
    }
    out.put_u8(pattern | full as u8);
    let mut rest = value - full;
    while rest >= 128 {
        out.put_u8(rest as u8 | 128);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// Everything is `None` for what RFC 9204 does not allow here.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// It must say that no dynamic table is needed (RFC 9204 §4.5.1).
    fn prefix(&mut self) -> Option<()> {
        let (_, required) = self.integer(8)?;
        let (sign, _) = self.integer(7)?;
        (required == 0 && sign & 0b1000_0000 == 0).then_some(())
    }

    /// The next field line; what had to be decoded is in `name` and `value`.
    fn field<'o>(&mut self, name: &'o mut Vec<u8>, value: &'o mut Vec<u8>) -> Option<(&'o [u8], &'o [u8])>
    where
        'a: 'o,
    {
        let kind = *self.rest.first()?;
        if kind & 0b1000_0000 != 0 {
            let (kind, index) = self.integer(6)?;
            let (name, value) = entry(index).filter(|_| kind & 0b0100_0000 != 0)?;
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let name = if kind & 0b0100_0000 != 0 {
            let (kind, index) = self.integer(4)?;
            entry(index).filter(|_| kind & 0b0001_0000 != 0)?.0.as_bytes()
        } else if kind & 0b0010_0000 != 0 {
            self.string(3, 0b0000_1000, name)?
        } else {
            // Relative to a dynamic table.
            return None;
        };
        Some((name, self.string(7, 0b1000_0000, value)?))
    }

    fn string<'o>(&mut self, prefix: u32, huffman: u8, scratch: &'o mut Vec<u8>) -> Option<&'o [u8]>
    where
        'a: 'o,
    {
        let (kind, length) = self.integer(prefix)?;
        let (text, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        if kind & huffman == 0 {
            return Some(text);
        }
        huffman::decode(text, scratch).ok()?;
        Some(scratch)
    }

    /// The first byte, and the integer that is in its lower `prefix` bits and those that follow (RFC 7541 §5.1). Nothing
    /// here is as large as 2^32.
    fn integer(&mut self, prefix: u32) -> Option<(u8, u64)> {
        let (&first, mut rest) = self.rest.split_first()?;
        let full = (1_u64 << prefix) - 1;
        let mut value = u64::from(first) & full;
        if value == full {
            let mut shift = 0;
            loop {
                let (&byte, after) = rest.split_first()?;
                rest = after;
                if shift > 28 {
                    return None;
                }
                value += u64::from(byte & 127) << shift;
                if byte & 128 == 0 {
                    break;
                }
                shift += 7;
            }
        }
        self.rest = rest;
        Some((first, value))
    }
}

fn entry(index: u64) -> Option<&'static (&'static str, &'static str)> {
    TABLE.get(usize::try_from(index).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Pairs = Vec<(String, String)>;
    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn decoded(section: &[u8], limit: usize) -> Result<Pairs, Undecodable<()>> {
        let mut fields = Vec::new();
        decode(section, limit, |name, value| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            fields.push((text(name), text(value)));
            Ok(())
        })
        .map(|()| fields)
    }

    fn pairs(pairs: Fields<'_>) -> Pairs {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn fields_are_read_in_each_of_their_forms() {
        let table: [(&[u8], Fields<'_>); 6] = [
            (&[0, 0], &[]),
            // RFC 9204 §B.1: by the name's index
            (b"\x00\x00\x51\x0b/index.html", &[(":path", "/index.html")]),
            // indexed, below and above what one byte holds
            (&[0, 0, 0xd1, 0xff, 0x09], &[(":method", "GET"), ("accept-language", "")]),
            // in full, the name in seven bytes and more
            (b"\x00\x00\x23abc\x01d", &[("abc", "d")]),
            (b"\x00\x00\x27\x01abcdefgh\x01d", &[("abcdefgh", "d")]),
            // both Huffman-coded: "no-cache", "302"
            (b"\x00\x00\x2e\xa8\xeb\x10\x64\x9c\xbf\x82\x64\x02", &[("no-cache", "302")]),
        ];
        for (section, expected) in table {
            assert_eq!(decoded(section, 1000), Ok(pairs(expected)), "{section:02x?}");
        }
    }

    #[test]
    fn what_needs_a_dynamic_table_or_ends_too_soon_is_refused() {
        let table: [&[u8]; 11] = [
            &[],
            &[0],
            &[1, 0],                                        // an insert is required
            &[0, 0x80],                                     // a base below nothing
            &[0, 0, 0x80],                                  // indexed, dynamic
            &[0, 0, 0x40, 0],                               // name reference, dynamic
            &[0, 0, 0x10],                                  // post-base
            &[0, 0, 0x00, 0],                               // post-base name reference
            &[0, 0, 0xff, 0x24],                            // index 99
            &[0, 0, 0x51, 0x05, b'a'],                      // a value that is not all there
            &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0], // an endless integer
        ];
        for section in table {
            assert_eq!(decoded(section, 1000), Err(Undecodable::Section), "{section:02x?}");
        }
    }

    #[test]
    fn fields_count_for_thirty_two_bytes_more() {
        let section = b"\x00\x00\x23abc\x01d\x23abc\x01d";
        assert!(decoded(section, 72).is_ok()); // RFC 9114 §4.2.2
        assert_eq!(decoded(section, 71), Err(Undecodable::TooLarge));
    }

    #[test]
    fn what_is_written_is_read() {
        let fields = [
            ("content-type", "text/plain"),
            ("content-type-of-mine", "x"),
            ("cache-control", "public, max-age=31536000"),
            ("cache-control", "max-age=5"),
            ("x-frame-options", "sameorigin"),
            ("content-length", "10485760"),
        ];
        let of_connections = [("connection", "keep-alive"), ("transfer-encoding", "chunked")];
        for status in [200, 206, 304, 404, 500, 418, 103] {
            let mut out = PREFIX.to_vec();
            super::status(StatusCode::from_u16(status).unwrap(), &mut out);
            for (name, value) in fields.iter().chain(&of_connections) {
                field(name, value.as_bytes(), &mut out);
            }
            let mut read = decoded(&out, 10_000).unwrap();
            assert_eq!(read.remove(0), (":status".to_owned(), status.to_string()));
            assert_eq!(read, pairs(&fields));
        }
    }

    #[test]
    fn names_lead_to_their_first_entry() {
        for (name, first) in NAMES {
            let first = usize::from(*first);
            assert_eq!(TABLE[first].0, *name);
            assert!(TABLE[..first].iter().all(|(other, _)| other != name));
        }
        assert!(NAMES.is_sorted());
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(section in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decoded(&section, 1000);
        }

        #[test]
        fn integers_come_back(value in 0_u64..1 << 32, prefix in 3_u32..=8) {
            let mut out = Vec::new();
            integer(0, prefix, value, &mut out);
            let mut reader = Reader { rest: &out };
            prop_assert_eq!(reader.integer(prefix).map(|(_, value)| value), Some(value));
            prop_assert!(reader.rest.is_empty());
        }
    }
}
