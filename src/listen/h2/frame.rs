//! Frames (RFC 9113 §4, §6): the nine octets before each, and what each kind has behind them.

/// Octets of a frame's head.
pub(super) const HEAD: usize = 9;
/// Octets of a payload that we take, and the least that any peer takes (RFC 9113 §4.2).
pub(super) const MAX_SIZE: usize = 16_384;
/// What a client says first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) mod kind {
    pub(in crate::listen::h2) const DATA: u8 = 0;
    pub(in crate::listen::h2) const HEADERS: u8 = 1;
    pub(in crate::listen::h2) const PRIORITY: u8 = 2;
    pub(in crate::listen::h2) const RST_STREAM: u8 = 3;
    pub(in crate::listen::h2) const SETTINGS: u8 = 4;
    pub(in crate::listen::h2) const PUSH_PROMISE: u8 = 5;
    pub(in crate::listen::h2) const PING: u8 = 6;
    pub(in crate::listen::h2) const GOAWAY: u8 = 7;
    pub(in crate::listen::h2) const WINDOW_UPDATE: u8 = 8;
    pub(in crate::listen::h2) const CONTINUATION: u8 = 9;
    /// RFC 9218 §7.1.
    pub(in crate::listen::h2) const PRIORITY_UPDATE: u8 = 16;
}

pub(super) mod flag {
    /// Of SETTINGS and PING.
    pub(in crate::listen::h2) const ACK: u8 = 1;
    pub(in crate::listen::h2) const END_STREAM: u8 = 1;
    pub(in crate::listen::h2) const END_HEADERS: u8 = 4;
    pub(in crate::listen::h2) const PADDED: u8 = 8;
    pub(in crate::listen::h2) const PRIORITY: u8 = 32;
}

pub(super) mod setting {
    pub(in crate::listen::h2) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in crate::listen::h2) const ENABLE_PUSH: u16 = 2;
    pub(in crate::listen::h2) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in crate::listen::h2) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in crate::listen::h2) const MAX_FRAME_SIZE: u16 = 5;
    pub(in crate::listen::h2) const MAX_HEADER_LIST_SIZE: u16 = 6;
    /// RFC 9218 §2.1.
    pub(in crate::listen::h2) const NO_RFC7540_PRIORITIES: u16 = 9;
}

/// RFC 9113 §7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    NoError = 0,
    Protocol = 1,
    Internal = 2,
    FlowControl = 3,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Cancel = 8,
    Compression = 9,
    EnhanceYourCalm = 11,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    pub(super) fn read(bytes: &[u8; HEAD]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        Self {
            length: usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX),
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
        }
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What is left of a payload without its padding (RFC 9113 §6.1). `None`: there is more padding than payload.
pub(super) fn unpadded(head: Head, payload: &[u8]) -> Option<&[u8]> {
    if !head.has(flag::PADDED) {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(usize::from(padding))?)
}

/// The four octets at the front, without the reserved bit.
pub(super) fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) & 0x7fff_ffff)
}

/// The settings of a payload whose length is a multiple of six.
pub(super) fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    payload.chunks_exact(6).map(|one| {
        (u16::from_be_bytes([one[0], one[1]]), u32::from_be_bytes([one[2], one[3], one[4], one[5]]))
    })
}

/// Appends a frame's head.
pub(super) fn head(length: usize, kind: u8, flags: u8, stream: u32, out: &mut Vec<u8>) {
    let [_, a, b, c] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, d, e, f, g]);
}

/// Completes the head that was appended at `start`, once its payload is behind it: HEADERS that do not fit into one
/// frame go on in CONTINUATION frames (RFC 9113 §6.10).
pub(super) fn close_headers(start: usize, flags: u8, stream: u32, out: &mut Vec<u8>) {
    let length = out.len() - start - HEAD;
    let write = |out: &mut Vec<u8>, at: usize, length: usize, kind: u8, flags: u8| {
        let mut bytes = Vec::with_capacity(HEAD);
        head(length, kind, flags, stream, &mut bytes);
        out[at..at + HEAD].copy_from_slice(&bytes);
    };
    if length <= MAX_SIZE {
        let [_, a, b, c] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        out[start..start + 3].copy_from_slice(&[a, b, c]);
        out[start + 4] = flags | flag::END_HEADERS;
        return;
    }
    let block = out.split_off(start + HEAD);
    let mut pieces = block.chunks(MAX_SIZE).peekable();
    let (mut kind, mut flags, mut at) = (kind::HEADERS, flags, start);
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        if at == out.len() {
            out.extend_from_slice(&[0; HEAD]);
        }
        write(out, at, piece.len(), kind, flags | last);
        out.extend_from_slice(piece);
        (kind, flags, at) = (kind::CONTINUATION, 0, out.len());
    }
}

pub(super) fn reset(stream: u32, code: Code, out: &mut Vec<u8>) {
    head(4, kind::RST_STREAM, 0, stream, out);
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

pub(super) fn window_update(stream: u32, by: u32, out: &mut Vec<u8>) {
    head(4, kind::WINDOW_UPDATE, 0, stream, out);
    out.extend_from_slice(&by.to_be_bytes());
}

pub(super) fn ping(ack: bool, data: [u8; 8], out: &mut Vec<u8>) {
    head(8, kind::PING, if ack { flag::ACK } else { 0 }, 0, out);
    out.extend_from_slice(&data);
}

pub(super) fn go_away(last: u32, code: Code, out: &mut Vec<u8>) {
    head(8, kind::GOAWAY, 0, 0, out);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&(code as u32).to_be_bytes());
}

pub(super) fn write_settings(settings: &[(u16, u32)], out: &mut Vec<u8>) {
    head(settings.len() * 6, kind::SETTINGS, 0, 0, out);
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heads and payloads.
    fn frames(mut bytes: &[u8]) -> Vec<(Head, &[u8])> {
        let mut all = Vec::new();
        while let Some((front, rest)) = bytes.split_first_chunk() {
            let head = Head::read(front);
            let (payload, rest) = rest.split_at(head.length);
            all.push((head, payload));
            bytes = rest;
        }
        assert!(bytes.is_empty());
        all
    }

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let mut out = Vec::new();
        head(0x01_02_03, kind::HEADERS, 0x2d, 0x7fff_fffe, &mut out);
        assert_eq!(out, [1, 2, 3, 1, 0x2d, 0x7f, 0xff, 0xff, 0xfe]);
        out[5] |= 0x80; // reserved: ignored (RFC 9113 §4.1)
        let read = Head::read(out.first_chunk().unwrap());
        assert_eq!(read, Head { length: 0x01_02_03, kind: 1, flags: 0x2d, stream: 0x7fff_fffe });
    }

    #[test]
    fn padding_is_taken_away() {
        let padded = Head { length: 0, kind: kind::DATA, flags: flag::PADDED, stream: 1 };
        let plain = Head { flags: 0, ..padded };
        for (head, payload, expected) in [
            (plain, &[2, 1, 0, 0][..], Some(&[2, 1, 0, 0][..])),
            (padded, &[2, 1, 0, 0], Some(&[1])),
            (padded, &[3, 1, 0, 0], Some(&[])),
            (padded, &[4, 1, 0, 0], None), // RFC 9113 §6.1
            (padded, &[], None),
        ] {
            assert_eq!(unpadded(head, payload), expected, "{payload:?}");
        }
    }

    #[test]
    fn a_large_block_goes_on_in_continuations() {
        for (size, expected) in
            [(10, &[10][..]), (16_384, &[16_384]), (16_385, &[16_384, 1]), (40_000, &[16_384, 16_384, 7_232])]
        {
            let mut out = vec![7];
            head(0, kind::HEADERS, 0, 5, &mut out);
            out.extend((0..size).map(|n: usize| n as u8));
            close_headers(1, flag::END_STREAM, 5, &mut out);
            let seen = frames(&out[1..]);
            assert_eq!(seen.iter().map(|(head, _)| head.length).collect::<Vec<_>>(), expected);
            for (place, (head, _)) in seen.iter().enumerate() {
                let (first, last) = (place == 0, place + 1 == expected.len());
                assert_eq!((head.kind, head.stream), (if first { 1 } else { 9 }, 5));
                assert_eq!((head.has(flag::END_STREAM), head.has(flag::END_HEADERS)), (first, last));
            }
            let block: Vec<u8> = seen.iter().flat_map(|(_, payload)| payload.to_vec()).collect();
            assert!(block.iter().enumerate().all(|(n, byte)| *byte == n as u8) && block.len() == size);
        }
    }

    #[test]
    fn settings_are_pairs() {
        let mut out = Vec::new();
        write_settings(&[(setting::MAX_CONCURRENT_STREAMS, 128), (9, 1)], &mut out);
        let seen = frames(&out);
        assert_eq!(settings(seen[0].1).collect::<Vec<_>>(), [(3, 128), (9, 1)]);
    }
}
