//! A record as a line of the access log. What it writes depends on its arguments alone.

mod encode;

use std::cell::Cell;
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use http::Version;
use percent_encoding::percent_decode;
use time::OffsetDateTime;

use crate::observe::record::Record;
use encode::{encode, encode_lossy};

/// `","NAME":"`: what ends a field and begins the next one.
macro_rules! name {
    ($name:literal) => {
        concat!("\",\"", $name, "\":\"")
    };
}

/// Appends `record` as one JSON object without a line end: the 33 fields of behaviour §12.8 in their order, then
/// `timestamp(ms)` (§12.9) and `x-edgeseal-origin-code`. All values are strings; a missing one is `-`.
///
/// Values of signature parameters in the query, and in the query of the `Referer`, are replaced by `REDACTED`:
/// who reads the log must not be able to read the object.
pub fn json_line(record: &Record<'_>, pop: &str, out: &mut Vec<u8>) {
    let ended =
        record.started.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(record.time_taken);
    let mut line = Line(out);
    line.ended(ended);
    line.text(name!("x-edge-location"), pop);
    line.number(name!("sc-bytes"), record.bytes_to_viewer);
    line.address(name!("c-ip"), record.viewer.ip().to_canonical());
    line.text(name!("cs-method"), record.method);
    line.text(name!("cs(Host)"), record.distribution.unwrap_or_default());
    line.bytes(name!("cs-uri-stem"), record.uri_stem);
    line.plain(name!("sc-status"));
    line.three_digits(record.status.into());
    line.value(name!("cs(Referer)"), |out| redact_url(out, record.referer.unwrap_or_default()));
    line.optional_bytes(name!("cs(User-Agent)"), record.user_agent);
    line.value(name!("cs-uri-query"), |out| redact(out, record.uri_query.unwrap_or_default()));
    // Cookie logging is off (behaviour §12.8 field 13): cookies carry signatures and sessions.
    line.plain(concat!(name!("cs(Cookie)"), "-", name!("x-edge-result-type")));
    line.plain(record.result.as_str());
    line.text(name!("x-edge-request-id"), record.request_id);
    line.value(name!("x-host-header"), |out| encode_lossy(out, record.host_header));
    line.plain(name!("cs-protocol"));
    line.plain(if record.tls.is_some() { "https" } else { "http" });
    line.number(name!("cs-bytes"), record.bytes_from_viewer);
    line.seconds(name!("time-taken"), record.time_taken);
    line.optional_bytes(name!("x-forwarded-for"), record.x_forwarded_for);
    line.text(name!("ssl-protocol"), record.tls.map_or("", |tls| tls.protocol));
    line.text(name!("ssl-cipher"), record.tls.map_or("", |tls| tls.cipher));
    line.plain(name!("x-edge-response-result-type"));
    line.plain(record.response_result.as_str());
    line.plain(name!("cs-protocol-version"));
    line.plain(version(record.version));
    line.plain(concat!(name!("fle-status"), "-", name!("fle-encrypted-fields"), "-"));
    line.number(name!("c-port"), record.viewer.port().into());
    line.seconds(name!("time-to-first-byte"), record.time_to_first_byte);
    line.plain(name!("x-edge-detailed-result-type"));
    line.plain(record.detailed.as_str(record.result));
    line.optional_bytes(name!("sc-content-type"), record.content_type);
    line.optional(name!("sc-content-len"), record.content_length);
    line.optional(name!("sc-range-start"), record.range.map(|(first, _)| first));
    line.optional(name!("sc-range-end"), record.range.map(|(_, last)| last));
    line.number(name!("timestamp(ms)"), saturating(ended.as_millis()));
    line.text(name!("x-edgeseal-origin-code"), record.origin_code.unwrap_or_default());
    line.plain("\"}");
}

/// Query parameters that grant access: CloudFront's (behaviour §11.2) and S3's.
const SECRETS: [&str; 5] =
    ["Signature", "Policy", "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential"];

/// The object so far, within its last value.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    /// What needs no encoding.
    fn plain(&mut self, text: &'static str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn value(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.plain(name);
        let start = self.0.len();
        write(self.0);
        if self.0.len() == start {
            self.0.push(b'-');
        }
    }

    fn text(&mut self, name: &'static str, value: &str) {
        self.bytes(name, value.as_bytes());
    }

    fn optional_bytes(&mut self, name: &'static str, value: Option<&[u8]>) {
        self.bytes(name, value.unwrap_or_default());
    }

    fn bytes(&mut self, name: &'static str, value: &[u8]) {
        self.value(name, |out| encode(out, value));
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.plain(name);
        self.digits(value);
    }

    fn optional(&mut self, name: &'static str, value: Option<u64>) {
        self.plain(name);
        match value {
            Some(value) => self.digits(value),
            None => self.plain("-"),
        }
    }

    fn digits(&mut self, value: u64) {
        self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// With zeros in front; longer numbers are written whole.
    fn three_digits(&mut self, value: u64) {
        if value < 100 {
            self.plain(if value < 10 { "00" } else { "0" });
        }
        self.digits(value);
    }

    /// Three decimals, rounded.
    fn seconds(&mut self, name: &'static str, value: Duration) {
        let millis = saturating(value.as_micros()).saturating_add(500) / 1000;
        self.number(name, millis / 1000);
        self.plain(".");
        self.three_digits(millis % 1000);
    }

    fn address(&mut self, name: &'static str, address: IpAddr) {
        use std::io::Write as _;
        match address {
            IpAddr::V4(address) => {
                self.plain(name);
                for (n, octet) in address.octets().into_iter().enumerate() {
                    if n > 0 {
                        self.plain(".");
                    }
                    self.digits(octet.into());
                }
            }
            IpAddr::V6(address) => {
                self.plain(name);
                write!(self.0, "{address}").expect("a Vec takes whatever is written");
            }
        }
    }

    /// The beginning: `date` and `time`, when the last byte left, in UTC.
    fn ended(&mut self, at: Duration) {
        thread_local!(static LAST: Cell<(u64, Ended)> = const { Cell::new((u64::MAX, [0; 37])) });
        let (secs, mut text) = LAST.get();
        if secs != at.as_secs() {
            text = ended(at.as_secs());
            LAST.set((at.as_secs(), text));
        }
        self.0.extend_from_slice(&text);
    }
}

type Ended = [u8; 37];

/// What cannot be said of a time becomes the epoch.
fn ended(secs: u64) -> Ended {
    let secs = i64::try_from(secs).unwrap_or(i64::MAX);
    let at = OffsetDateTime::from_unix_timestamp(secs).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time) = (at.date(), at.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    let text =
        format!("{{\"date\":\"{year:04}-{month:02}-{day:02}\",\"time\":\"{hour:02}:{minute:02}:{second:02}");
    text.as_bytes().try_into().expect("years have four digits until the end of what the time crate knows")
}

fn saturating(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn redact_url(out: &mut Vec<u8>, url: &[u8]) {
    let query = url.iter().position(|b| *b == b'?').map_or(url.len(), |mark| mark + 1);
    encode(out, &url[..query]);
    redact(out, &url[query..]);
}

/// A query without the values that grant access.
fn redact(out: &mut Vec<u8>, query: &[u8]) {
    // Before `written` everything is; the pair that is looked at begins at `start`.
    let (mut written, mut start) = (0, 0);
    for pair in query.split(|b| *b == b'&') {
        let end = start + pair.len();
        if let Some(mark) = pair.iter().position(|b| *b == b'=').filter(|mark| is_secret(&pair[..*mark])) {
            encode(out, &query[written..=start + mark]);
            out.extend_from_slice(b"REDACTED");
            written = end;
        }
        start = end + 1;
    }
    encode(out, &query[written..]);
}

/// However it is spelt: `%53ignature` and `signature` are secrets too.
fn is_secret(name: &[u8]) -> bool {
    // Most names are not, and their first letter tells.
    let Some(b's' | b'S' | b'p' | b'P' | b'x' | b'X' | b'%') = name.first() else {
        return false;
    };
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
