//! The tables of RFC 7541: the static one of Appendix A, and a decoder's dynamic one (§2.3.2, §4).

use std::collections::VecDeque;

/// What an entry costs beside its text (RFC 7541 §4.1).
pub(super) const OVERHEAD: usize = 32;

/// RFC 7541 Appendix A; the first has index 1.
#[rustfmt::skip]
pub(super) static STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""),
    ("cache-control", ""), ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""),
    ("content-length", ""), ("content-location", ""), ("content-range", ""), ("content-type", ""),
    ("cookie", ""), ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""), ("max-forwards", ""),
    ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""), ("referer", ""), ("refresh", ""),
    ("retry-after", ""), ("server", ""), ("set-cookie", ""), ("strict-transport-security", ""),
    ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""), ("www-authenticate", ""),
];

/// The first index of each of the static table's names: by it a known name is told from others without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen::h2) struct Name(u8);

impl Name {
    pub(in crate::listen::h2) const OTHER: Self = Self(0);
    pub(in crate::listen::h2) const AUTHORITY: Self = Self(1);
    pub(in crate::listen::h2) const METHOD: Self = Self(2);
    pub(in crate::listen::h2) const PATH: Self = Self(4);
    pub(in crate::listen::h2) const SCHEME: Self = Self(6);
    pub(in crate::listen::h2) const STATUS: Self = Self(8);
    pub(in crate::listen::h2) const CONTENT_LENGTH: Self = Self(28);
    pub(in crate::listen::h2) const COOKIE: Self = Self(32);
    pub(in crate::listen::h2) const SET_COOKIE: Self = Self(55);
    pub(in crate::listen::h2) const TRANSFER_ENCODING: Self = Self(57);

    /// Of an entry of the static table. `index` counts from 1.
    pub(super) fn at(index: usize) -> Self {
        match index {
            3 => Self::METHOD,
            5 => Self::PATH,
            7 => Self::SCHEME,
            9..=14 => Self::STATUS,
            _ => Self(u8::try_from(index).unwrap_or(0)),
        }
    }

    /// Of a name in lower case.
    pub(in crate::listen::h2) fn of(name: &[u8]) -> Self {
        let candidates: &[u8] = match name.len() {
            3 => &[21, 60],
            4 => &[33, 34, 37, 38, 45, 59],
            5 => &[4, 22, 50],
            6 => &[19, 32, 35, 54],
            7 => &[2, 6, 8, 36, 51, 52],
            8 => &[39, 42, 46],
            10 => &[1, 55, 58],
            11 => &[53],
            12 => &[31, 47],
            13 => &[18, 23, 24, 30, 41, 44],
            14 => &[15, 28],
            15 => &[16, 17],
            16 => &[26, 27, 29, 61],
            17 => &[40, 57],
            18 => &[48],
            19 => &[25, 43, 49],
            25 => &[56],
            27 => &[20],
            _ => &[],
        };
        let last = name.last();
        let is_it = |index: &&u8| {
            let candidate = STATIC[usize::from(**index) - 1].0.as_bytes();
            // Most of them differ here.
            candidate.last() == last && candidate == name
        };
        candidates.iter().find(is_it).copied().map_or(Self::OTHER, Self)
    }

    /// `None`: it is not in the table.
    pub(in crate::listen::h2) fn text(self) -> Option<&'static str> {
        STATIC.get(usize::from(self.0).wrapping_sub(1)).map(|(name, _)| *name)
    }

    /// Its index in the static table. `None`: it is not there.
    pub(super) fn index(self) -> Option<u8> {
        (self != Self::OTHER).then_some(self.0)
    }
}

/// What the peer has put there, the latest first.
#[derive(Debug)]
pub(super) struct Dynamic {
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

#[derive(Debug)]
struct Entry {
    name: Name,
    is_valid: bool,
    name_len: usize,
    text: Box<[u8]>,
}

impl Dynamic {
    pub(super) fn new(max: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, max }
    }

    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict(0);
    }

    /// `text` is the name and then the value; whether they may be a field's is remembered with them.
    pub(super) fn insert(&mut self, name: Name, is_valid: bool, name_len: usize, text: &[u8]) {
        let size = text.len() + OVERHEAD;
        self.evict(size);
        // What is larger than the whole table empties it (RFC 7541 §4.4).
        if size <= self.max {
            self.size += size;
            self.entries.push_front(Entry { name, is_valid, name_len, text: text.into() });
        }
    }

    /// Whether it is valid, and its name and value. `index` counts from 0.
    pub(super) fn get(&self, index: usize) -> Option<(bool, Name, &[u8], &[u8])> {
        let entry = self.entries.get(index)?;
        let (name, value) = entry.text.split_at(entry.name_len);
        Some((entry.is_valid, entry.name, name, value))
    }

    fn evict(&mut self, room: usize) {
        while self.size + room > self.max {
            let Some(entry) = self.entries.pop_back() else { return };
            self.size -= entry.text.len() + OVERHEAD;
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_static_name_is_known_by_its_first_index() {
        for (place, (name, _)) in STATIC.iter().enumerate() {
            let first = STATIC.iter().position(|(other, _)| other == name).unwrap() + 1;
            assert_eq!(Name::of(name.as_bytes()), Name(u8::try_from(first).unwrap()), "{name}");
            assert_eq!(Name::at(place + 1), Name::of(name.as_bytes()), "{name}");
        }
        for other in ["", "x", "x-cache", "priority", "content-typf"] {
            assert_eq!(Name::of(other.as_bytes()).index(), None);
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = Dynamic::new(100);
        table.insert(Name::OTHER, true, 1, b"aA");
        table.insert(Name::OTHER, true, 1, b"bB");
        assert_eq!((table.get(0), table.size()), (Some((true, Name::OTHER, &b"b"[..], &b"B"[..])), 68));
        table.insert(Name::OTHER, true, 1, b"cC"); // 102 would be too much
        assert_eq!((table.get(1).map(|entry| entry.2), table.get(2)), (Some(&b"b"[..]), None));
        table.insert(Name::OTHER, true, 1, &[b'd'; 100]);
        assert_eq!((table.get(0), table.size()), (None, 0));
        table.insert(Name::OTHER, true, 1, b"aA");
        table.resize(0);
        assert_eq!((table.get(0), table.size()), (None, 0));
    }
}
