//! HTTP/3's frames, stream types, settings and error codes (RFC 9114 §6.2, §7, §8.1).

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use super::qpack;

/// Types of frames.
pub(super) mod kind {
    pub(in super::super) const DATA: u64 = 0x0;
    pub(in super::super) const HEADERS: u64 = 0x1;
    pub(in super::super) const CANCEL_PUSH: u64 = 0x3;
    pub(in super::super) const SETTINGS: u64 = 0x4;
    pub(in super::super) const PUSH_PROMISE: u64 = 0x5;
    pub(in super::super) const GOAWAY: u64 = 0x7;
    pub(in super::super) const MAX_PUSH_ID: u64 = 0xd;
    /// RFC 9218 §7.2: of a request, of a push.
    pub(in super::super) const PRIORITY_UPDATE: u64 = 0xf0700;
    pub(in super::super) const PRIORITY_UPDATE_PUSH: u64 = 0xf0701;
}

/// Types of unidirectional streams.
pub(super) mod stream {
    pub(in super::super) const CONTROL: u64 = 0x0;
    pub(in super::super) const PUSH: u64 = 0x1;
    pub(in super::super) const QPACK_ENCODER: u64 = 0x2;
    pub(in super::super) const QPACK_DECODER: u64 = 0x3;
}

const MAX_FIELD_SECTION_SIZE: u64 = 0x6;

/// Why a stream or a connection ends (RFC 9114 §8.1, RFC 9204 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Code {
    NoError = 0x100,
    InternalError = 0x102,
    StreamCreationError = 0x103,
    ClosedCriticalStream = 0x104,
    FrameUnexpected = 0x105,
    FrameError = 0x106,
    ExcessiveLoad = 0x107,
    IdError = 0x108,
    SettingsError = 0x109,
    MissingSettings = 0x10a,
    RequestRejected = 0x10b,
    RequestCancelled = 0x10c,
    RequestIncomplete = 0x10d,
    MessageError = 0x10e,
    QpackDecompressionFailed = 0x200,
    QpackEncoderStreamError = 0x201,
}

impl From<Code> for quinn::VarInt {
    fn from(code: Code) -> Self {
        Self::from_u32(code as u32)
    }
}

/// What ends a stream before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The viewer does not want it any more, or is gone.
    Gone,
    /// Nothing but this stream is wrong.
    Stream(Code),
    Connection(Code, &'static str),
}

/// Type and length of the frame that these bytes begin with, and the bytes which say that. `None`: more are needed.
pub(super) fn header(bytes: &[u8]) -> Option<(u64, u64, usize)> {
    let (kind, first) = varint(bytes)?;
    let (length, second) = varint(&bytes[first..])?;
    Some((kind, length, first + second))
}

/// May a viewer send frames of this type on a request's stream, apart from DATA and HEADERS? Unknown ones are skipped
/// (RFC 9114 §9), those of other streams and of HTTP/2 are not allowed (§7.2).
pub(super) fn is_skipped(frame: u64) -> bool {
    let elsewhere = [
        kind::DATA,
        kind::HEADERS,
        kind::CANCEL_PUSH,
        kind::SETTINGS,
        kind::PUSH_PROMISE,
        kind::GOAWAY,
        kind::MAX_PUSH_ID,
        kind::PRIORITY_UPDATE,
        kind::PRIORITY_UPDATE_PUSH,
    ];
    !elsewhere.contains(&frame) && !is_of_http_2(frame)
}

/// RFC 9114 §7.2.8
pub(super) fn is_of_http_2(frame: u64) -> bool {
    [0x2, 0x6, 0x8, 0x9].contains(&frame)
}

/// A variable-length integer at the beginning, and its bytes (RFC 9000 §16).
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let length = 1 << (bytes.first()? >> 6);
    let (first, rest) = bytes.get(..length)?.split_first()?;
    let value = rest.iter().fold(u64::from(first & 0b0011_1111), |value, byte| value << 8 | u64::from(*byte));
    Some((value, length))
}

/// `value` below 2^62.
fn put_varint(value: u64, out: &mut impl BufMut) {
    match value {
        0..=0x3f => out.put_u8(value as u8),
        0x40..=0x3fff => out.put_u16(value as u16 | 0x4000),
        0x4000..=0x3fff_ffff => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value | 0xc000_0000_0000_0000),
    }
}

/// How our control stream begins: with what we take (RFC 9114 §6.2.1, §7.2.4).
pub(super) fn opening(header_list: u64) -> Vec<u8> {
    let mut settings = Vec::new();
    put_varint(MAX_FIELD_SECTION_SIZE, &mut settings);
    put_varint(header_list, &mut settings);
    let mut out = Vec::new();
    put_varint(stream::CONTROL, &mut out);
    put_varint(kind::SETTINGS, &mut out);
    put_varint(settings.len() as u64, &mut out);
    out.extend_from_slice(&settings);
    out
}

/// Requests from this stream on are not looked at (RFC 9114 §5.2).
pub(super) fn goaway(stream: u64) -> Vec<u8> {
    let mut id = Vec::new();
    put_varint(stream, &mut id);
    let mut out = Vec::new();
    put_varint(kind::GOAWAY, &mut out);
    put_varint(id.len() as u64, &mut out);
    out.extend_from_slice(&id);
    out
}

/// A response's HEADERS frame in the making.
#[derive(Debug)]
pub(super) struct Headers(BytesMut);

impl Headers {
    /// Room for the length, which is known at the end; RFC 9000 §16 allows more bytes than are needed.
    const LENGTH: usize = 4;

    pub(super) fn new() -> Self {
        let mut out = BytesMut::with_capacity(1024);
        out.put_u8(kind::HEADERS as u8);
        out.put_bytes(0, Self::LENGTH);
        out.put_slice(&qpack::PREFIX);
        Self(out)
    }

    /// Where fields are appended.
    pub(super) fn section(&mut self) -> &mut BytesMut {
        &mut self.0
    }

    pub(super) fn end(self) -> BytesMut {
        let Self(mut out) = self;
        let length = out.len() - 1 - Self::LENGTH;
        out[1..1 + Self::LENGTH].copy_from_slice(&(length as u32 | 0x8000_0000).to_be_bytes());
        out
    }
}

/// A response's HEADERS frame.
pub(super) fn headers(status: StatusCode, headers: &HeaderMap) -> BytesMut {
    let mut frame = Headers::new();
    qpack::status(status, frame.section());
    for (name, value) in headers {
        qpack::field(name.as_str(), value.as_bytes(), frame.section());
    }
    frame.end()
}

/// The beginning of a DATA frame, at the end of `before`.
pub(super) fn data(mut before: BytesMut, length: u64) -> Bytes {
    before.reserve(9);
    put_varint(kind::DATA, &mut before);
    put_varint(length, &mut before);
    before.freeze()
}

/// Checks a viewer's SETTINGS, of which nothing is of use to us (RFC 9114 §7.2.4).
pub(super) fn settings(mut payload: &[u8]) -> Result<(), Fault> {
    let mut seen = Vec::new();
    while !payload.is_empty() {
        let (id, _, used) =
            header(payload).ok_or(Fault::Connection(Code::FrameError, "a cut SETTINGS frame"))?;
        payload = &payload[used..];
        // Those of HTTP/2: §7.2.4.1.
        if matches!(id, 0x2..=0x5) || seen.contains(&id) {
            return Err(Fault::Connection(Code::SettingsError, "a setting that is not allowed"));
        }
        seen.push(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_quic() {
        // RFC 9000 §A.1
        let table: [(&[u8], u64); 5] = [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ];
        for (bytes, value) in table {
            assert_eq!(varint(bytes), Some((value, bytes.len())));
            assert_eq!(varint(&bytes[..bytes.len() - 1]), None);
        }
        for value in [0, 0x3f, 0x40, 0x3fff, 0x4000, 0x3fff_ffff, 0x4000_0000, (1 << 62) - 1] {
            let mut out = Vec::new();
            put_varint(value, &mut out);
            assert_eq!(varint(&out), Some((value, out.len())));
        }
    }

    #[test]
    fn frames_say_their_length() {
        assert_eq!(header(&opening(65_536)[1..]), Some((kind::SETTINGS, 5, 2)));
        assert_eq!(header(&goaway(8)), Some((kind::GOAWAY, 1, 2)));
        let frame = headers(StatusCode::OK, &HeaderMap::new());
        assert_eq!(header(&frame), Some((kind::HEADERS, 3, 5)));
        assert_eq!(header(&data(BytesMut::new(), 1 << 20)), Some((kind::DATA, 1 << 20, 5)));
        assert_eq!(header(&[0x01]), None);
    }

    #[test]
    fn settings_of_http_2_and_double_ones_are_refused() {
        let error = Err(Fault::Connection(Code::SettingsError, "a setting that is not allowed"));
        // RFC 9114 §7.2.4.1
        let table: [(&[u8], Result<(), Fault>); 6] = [
            (&[], Ok(())),
            (&[0x06, 0x10, 0x01, 0x00, 0x07, 0x00], Ok(())),
            (&[0x40, 0x21, 0x05], Ok(())), // a reserved one, to be skipped
            (&[0x06, 0x10, 0x06, 0x10], error),
            (&[0x02, 0x00], error),
            (&[0x06], Err(Fault::Connection(Code::FrameError, "a cut SETTINGS frame"))),
        ];
        for (payload, expected) in table {
            assert_eq!(settings(payload), expected, "{payload:02x?}");
        }
    }

    #[test]
    fn only_unknown_frames_are_skipped() {
        for frame in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xd] {
            assert!(!is_skipped(frame), "{frame}"); // RFC 9114 §7.2
        }
        for frame in [0xf0700, 0xf0701] {
            assert!(!is_skipped(frame), "{frame}"); // RFC 9218 §7.2
        }
        for frame in [0xa, 0xe, 0x21, 0xf0702, 0x41] {
            assert!(is_skipped(frame), "{frame}");
        }
    }
}
