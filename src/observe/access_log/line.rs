//! A record as a line of the access log. Pure.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use http::Version;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use time::OffsetDateTime;

use crate::observe::record::Record;

/// `record` as one JSON object without a line end: the 33 fields of behaviour §12.8 in their order, then
/// `timestamp(ms)` (§12.9) and `x-edgeseal-origin-code`. All values are strings; a missing one is `-`.
///
/// Values of signature parameters in the query, and in the query of the `Referer`, are replaced by `REDACTED`:
/// who reads the log must not be able to read the object.
pub fn json_line(record: &Record<'_>, pop: &str, out: &mut Vec<u8>) {
    let ended =
        record.started.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(record.time_taken);
    let mut line = Line::new(out);
    line.ended(ended);
    line.text("x-edge-location", pop);
    line.number("sc-bytes", record.bytes_to_viewer);
    line.number("c-ip", record.viewer.ip().to_canonical());
    line.text("cs-method", record.method);
    line.text("cs(Host)", record.distribution.unwrap_or_default());
    line.bytes("cs-uri-stem", record.uri_stem);
    line.number("sc-status", format_args!("{:03}", record.status));
    line.value("cs(Referer)", |out| redact_url(out, record.referer.unwrap_or_default()));
    line.bytes("cs(User-Agent)", record.user_agent.unwrap_or_default());
    line.value("cs-uri-query", |out| redact(out, record.uri_query.unwrap_or_default()));
    // Cookie logging is off (behaviour §12.8 field 13): cookies carry signatures and sessions.
    line.text("cs(Cookie)", "");
    line.text("x-edge-result-type", record.result.as_str());
    line.text("x-edge-request-id", record.request_id);
    line.value("x-host-header", |out| encode_lossy(out, record.host_header));
    line.text("cs-protocol", if record.tls.is_some() { "https" } else { "http" });
    line.number("cs-bytes", record.bytes_from_viewer);
    line.seconds("time-taken", record.time_taken);
    line.bytes("x-forwarded-for", record.x_forwarded_for.unwrap_or_default());
    line.text("ssl-protocol", record.tls.map_or("", |tls| tls.protocol));
    line.text("ssl-cipher", record.tls.map_or("", |tls| tls.cipher));
    line.text("x-edge-response-result-type", record.response_result.as_str());
    line.text("cs-protocol-version", version(record.version));
    line.text("fle-status", "");
    line.text("fle-encrypted-fields", "");
    line.number("c-port", record.viewer.port());
    line.seconds("time-to-first-byte", record.time_to_first_byte);
    line.text("x-edge-detailed-result-type", record.detailed.as_str(record.result));
    line.bytes("sc-content-type", record.content_type.unwrap_or_default());
    line.optional("sc-content-len", record.content_length);
    line.optional("sc-range-start", record.range.map(|(first, _)| first));
    line.optional("sc-range-end", record.range.map(|(_, last)| last));
    line.number("timestamp(ms)", ended.as_millis());
    line.text("x-edgeseal-origin-code", record.origin_code.unwrap_or_default());
    line.finish();
}

/// What CloudFront percent-encodes in a field: bytes up to 32, from 127, and these (behaviour §12.8). Quote and
/// backslash are among them, so an encoded value needs no escaping in JSON.
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

/// Query parameters that grant access: CloudFront's (behaviour §11.2) and S3's.
const SECRETS: [&str; 5] =
    ["Signature", "Policy", "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential"];

/// The object so far; every field ends with a comma.
struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self(out)
    }

    fn value(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        let json = &mut *self.0;
        json.push(b'"');
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(b"\":\"");
        let start = json.len();
        write(json);
        if json.len() == start {
            json.push(b'-');
        }
        json.extend_from_slice(b"\",");
    }

    fn text(&mut self, name: &'static str, value: &str) {
        self.bytes(name, value.as_bytes());
    }

    fn bytes(&mut self, name: &'static str, value: &[u8]) {
        self.value(name, |out| encode(out, value));
    }

    /// Something that writes only digits, letters and `.:-`.
    fn number(&mut self, name: &'static str, value: impl Display) {
        self.value(name, |out| write!(out, "{value}").expect("a Vec takes whatever is written"));
    }

    fn optional(&mut self, name: &'static str, value: Option<u64>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.text(name, ""),
        }
    }

    /// Three decimals, rounded.
    fn seconds(&mut self, name: &'static str, value: Duration) {
        let millis = (value.as_micros() + 500) / 1000;
        self.number(name, format_args!("{}.{:03}", millis / 1000, millis % 1000));
    }

    /// `date` and `time`: when the last byte left, in UTC.
    fn ended(&mut self, at: Duration) {
        let secs = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        let at = OffsetDateTime::from_unix_timestamp(secs).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (at.date(), at.time());
        let month = u8::from(date.month());
        self.number("date", format_args!("{:04}-{month:02}-{:02}", date.year(), date.day()));
        self.number("time", format_args!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second()));
    }

    fn finish(self) {
        self.0.pop();
        self.0.push(b'}');
    }
}

fn encode(out: &mut Vec<u8>, value: &[u8]) {
    for piece in percent_encode(value, ENCODED) {
        out.extend_from_slice(piece.as_bytes());
    }
}

/// With U+FFFD in place of what is not UTF-8.
fn encode_lossy(out: &mut Vec<u8>, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        encode(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            encode(out, "\u{fffd}".as_bytes());
        }
    }
}

fn redact_url(out: &mut Vec<u8>, url: &[u8]) {
    let Some(mark) = url.iter().position(|b| *b == b'?') else {
        return encode(out, url);
    };
    encode(out, &url[..=mark]);
    redact(out, &url[mark + 1..]);
}

/// A query without the values that grant access.
fn redact(out: &mut Vec<u8>, query: &[u8]) {
    for (n, pair) in query.split(|b| *b == b'&').enumerate() {
        if n > 0 {
            out.push(b'&');
        }
        match pair.iter().position(|b| *b == b'=') {
            Some(mark) if is_secret(&pair[..mark]) => {
                encode(out, &pair[..=mark]);
                out.extend_from_slice(b"REDACTED");
            }
            _ => encode(out, pair),
        }
    }
}

/// However it is spelt: `%53ignature` and `signature` are secrets too.
fn is_secret(name: &[u8]) -> bool {
    SECRETS.iter().any(|secret| {
        percent_decode(name)
            .map(|b| b.to_ascii_lowercase())
            .eq(secret.bytes().map(|b| b.to_ascii_lowercase()))
    })
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}
