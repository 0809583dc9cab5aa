//! What a worker's connections have in common when they encode: numbers for fields that stay the same, by which a
//! connection's table is kept and searched, and the lines of hot objects, taken apart and encoded once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memchr;

use super::encode::{Encoder, plain};
use super::table::{Name, STATIC};

/// Fields that get a number.
const NUMBERS: u32 = 4_096;
/// Places for lines.
const PLACES: usize = 256;
/// Lines that are longer are not kept.
const LONGEST: usize = 4_096;

/// One worker's.
#[derive(Debug)]
pub(in crate::listen::h2) struct Blocks {
    id: u64,
    /// By name, a colon and the value.
    numbers: HashMap<Box<[u8]>, u32>,
    key: Vec<u8>,
    /// By the name's index: the value that had a number last, and its number.
    latest: Box<[(u32, Box<[u8]>)]>,
    places: Box<[Place]>,
}

/// Lines whose address chooses this place.
#[derive(Debug, Default)]
struct Place {
    /// Of those that were here last: who comes twice in a row is kept.
    last: usize,
    lines: Box<[u8]>,
    parts: Box<[Part]>,
    literals: Box<[u8]>,
    /// What a connection with such a table was told last: most of a worker's have the same.
    table: Vec<u32>,
    told: Vec<u8>,
}

#[derive(Debug)]
enum Part {
    /// Of the literals: one field, or several.
    Literals(Range<usize>),
    /// Of the lines: a field that has a number.
    Constant { number: u32, known: Name, name: Range<usize>, value: Range<usize> },
}

impl Blocks {
    pub(in crate::listen::h2) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            numbers: HashMap::new(),
            key: Vec::new(),
            latest: (0..=STATIC.len()).map(|_| (0, Box::default())).collect(),
            places: (0..PLACES).map(|_| Place::default()).collect(),
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// `None`: it is not to go into a table.
    pub(super) fn number(&mut self, known: Name, name: &[u8], value: &[u8]) -> Option<u32> {
        if !is_constant(known, name) {
            return None;
        }
        let index = usize::from(known.index().unwrap_or(0));
        let (number, latest) = &self.latest[index];
        if index > 0 && !value.is_empty() && **latest == *value {
            return Some(*number);
        }
        let number = self.look_up(name, value)?;
        if index > 0 {
            self.latest[index] = (number, value.into());
        }
        Some(number)
    }

    fn look_up(&mut self, name: &[u8], value: &[u8]) -> Option<u32> {
        self.key.clear();
        self.key.extend_from_slice(name);
        self.key.push(b':');
        self.key.extend_from_slice(value);
        if let Some(number) = self.numbers.get(&*self.key) {
            return Some(*number);
        }
        let next = u32::try_from(self.numbers.len()).ok().filter(|next| *next < NUMBERS)?;
        self.numbers.insert(self.key.as_slice().into(), next);
        Some(next)
    }

    /// Encodes whole lines as HTTP/1.1 has them, names in lower case.
    pub(in crate::listen::h2) fn lines(&mut self, lines: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
        let address = lines.as_ptr().addr();
        let at = (address >> 4 ^ address >> 12) % PLACES;
        if *self.places[at].lines != *lines {
            let is_second = std::mem::replace(&mut self.places[at].last, address) == address;
            if !is_second || lines.len() > LONGEST {
                return self.each(lines, encoder, out);
            }
            self.places[at] = self.take_apart(lines, address);
        }
        let place = &self.places[at];
        if encoder.has(self.id, &place.table) {
            return out.extend_from_slice(&place.told);
        }
        let (start, before) = (out.len(), encoder.table().len());
        out.reserve(lines.len());
        for part in &place.parts {
            match part {
                Part::Literals(range) => out.extend_from_slice(&place.literals[range.clone()]),
                Part::Constant { number, known, name, value } => {
                    let (name, value) = (&lines[name.clone()], &lines[value.clone()]);
                    encoder.constant(*number, self, *known, name, value, out);
                }
            }
        }
        if encoder.table().len() == before && encoder.has(self.id, encoder.table()) {
            let place = &mut self.places[at];
            place.table.clear();
            place.table.extend_from_slice(encoder.table());
            place.told.clear();
            place.told.extend_from_slice(&out[start..]);
        }
    }

    /// One after the other.
    fn each(&mut self, lines: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
        let mut at = 0;
        while let Some((name, value)) = line(lines, &mut at) {
            encoder.field(&lines[name], &lines[value], self, out);
        }
    }

    fn take_apart(&mut self, lines: &[u8], address: usize) -> Place {
        let (mut parts, mut literals, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some((name, value)) = line(lines, &mut at) {
            let known = Name::of(&lines[name.clone()]);
            if let Some(number) = self.number(known, &lines[name.clone()], &lines[value.clone()]) {
                parts.push(Part::Constant { number, known, name, value });
                continue;
            }
            let start = literals.len();
            plain(known, &lines[name], &lines[value], &mut literals);
            match parts.last_mut() {
                Some(Part::Literals(range)) => range.end = literals.len(),
                _ => parts.push(Part::Literals(start..literals.len())),
            }
        }
        Place {
            last: address,
            lines: lines.into(),
            parts: parts.into(),
            literals: literals.into(),
            ..Place::default()
        }
    }
}

/// Name and value of the next line. `None`: there is none.
fn line(lines: &[u8], at: &mut usize) -> Option<(Range<usize>, Range<usize>)> {
    let rest = &lines[*at..];
    let colon = memchr(b':', rest)?;
    let value = colon + ": ".len();
    let length = memchr(b'\r', rest.get(value..)?)?;
    let start = *at;
    *at = (start + value + length + "\r\n".len()).min(lines.len());
    Some((start..start + colon, start + value..start + value + length))
}

/// Fields that are likely to have one of few values on a connection.
fn is_constant(known: Name, name: &[u8]) -> bool {
    match known.index() {
        // accept-ranges, access-control-allow-origin, cache-control, content-encoding, content-type, server,
        // strict-transport-security, vary, via
        Some(index) => matches!(index, 18 | 20 | 24 | 26 | 31 | 54 | 56 | 59 | 60),
        None => {
            const NAMES: [&[u8]; 10] = [
                b"x-cache",
                b"x-amz-cf-pop",
                b"alt-svc",
                b"x-amz-server-side-encryption",
                b"x-content-type-options",
                b"x-frame-options",
                b"x-xss-protection",
                b"referrer-policy",
                b"content-security-policy",
                b"timing-allow-origin",
            ];
            NAMES.contains(&name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Decoder, Fields};
    use super::*;

    const LINES: &[u8] =
        b"content-type: a/b\r\netag: \"1\"\r\nx-a: b: c\r\nvary: \r\nset-cookie: a=1\r\nx-cache: Hit\r\n";

    #[test]
    fn lines_say_the_same_the_first_time_and_ever_after() {
        let (mut blocks, mut encoder, mut decoder) = (Blocks::new(), Encoder::new(), Decoder::new());
        let mut fields = Fields::new(10_000);
        let mut sizes = Vec::new();
        for _ in 0..4 {
            let mut out = Vec::new();
            blocks.lines(LINES, &mut encoder, &mut out);
            decoder.decode(&out, &mut fields).unwrap();
            let text: Vec<u8> =
                fields.iter().flat_map(|(_, name, value)| [name, b": ", value, b"\r\n"].concat()).collect();
            assert_eq!(text, LINES);
            sizes.push(out.len());
        }
        assert!(sizes[1] < sizes[0] - 15 && sizes[2] == sizes[1], "{sizes:?}");
        assert_eq!(blocks.places.iter().filter(|place| !place.lines.is_empty()).count(), 1);
    }

    #[test]
    fn connections_with_different_tables_are_told_in_their_own_words() {
        let mut blocks = Blocks::new();
        let mut connections = [(); 3].map(|()| (Encoder::new(), Decoder::new(), Fields::new(10_000)));
        let mut other = Vec::new();
        connections[0].0.field(b"vary", b"origin", &mut blocks, &mut other);
        connections[0].1.decode(&other, &mut connections[0].2).unwrap();
        connections[1].0.resize(0);
        for round in 0..5 {
            for (encoder, decoder, fields) in &mut connections {
                let mut out = Vec::new();
                encoder.begin(200, &mut out);
                blocks.lines(LINES, encoder, &mut out);
                decoder.decode(&out, fields).unwrap();
                let text: Vec<u8> = fields
                    .iter()
                    .skip(1)
                    .flat_map(|(_, name, value)| [name, b": ", value, b"\r\n"].concat())
                    .collect();
                assert_eq!(text, LINES, "{round}");
            }
        }
    }

    #[test]
    fn other_lines_at_the_same_address_are_other_lines() {
        let (mut blocks, mut encoder) = (Blocks::new(), Encoder::new());
        let mut lines = b"etag: \"1\"\r\n".to_vec();
        let mut encoded = |lines: &[u8]| {
            let mut out = Vec::new();
            blocks.lines(lines, &mut encoder, &mut out);
            out
        };
        let first = [encoded(&lines), encoded(&lines), encoded(&lines)];
        assert!(first[0] == first[1] && first[1] == first[2]);
        lines[7] = b'2';
        let second = [encoded(&lines), encoded(&lines)];
        assert_ne!(second[0], first[0]);
        assert_eq!(second[0], second[1]);
    }

    #[test]
    fn numbers_are_bounded() {
        let mut blocks = Blocks::new();
        let mut number = |n: u32| blocks.number(Name::OTHER, b"x-cache", n.to_string().as_bytes());
        assert_eq!((number(0), number(1), number(0)), (Some(0), Some(1), Some(0)));
        assert_eq!((2..NUMBERS + 10).filter_map(&mut number).count(), NUMBERS as usize - 2);
        assert_eq!((number(NUMBERS - 1), number(NUMBERS)), (Some(NUMBERS - 1), None));
        assert_eq!(blocks.number(Name::of(b"etag"), b"etag", b"1"), None);
    }

    #[test]
    fn broken_lines_end_it() {
        for lines in [&b""[..], b"a", b"a:", b"a: b", b": \r"] {
            let mut at = 0;
            let _ = line(lines, &mut at);
            assert!(at <= lines.len());
        }
    }
}
