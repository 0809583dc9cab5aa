//! A record as a line of the access log. What it writes depends on its arguments alone.

mod encode;

use std::cell::Cell;
use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use http::Version;
use percent_encoding::percent_decode;
use time::OffsetDateTime;

use crate::config::log::LogField;
use crate::observe::record::Record;
use encode::{encode, encode_lossy};

/// Fields but for date and time, each with what writes its value: first those of the standard format in its order, then
/// those that a JSON line has, too, then those that it only has if it is told so. The first two are written by straight
/// code, for hits pay for it.
macro_rules! fields {
    (
        |$line:ident, $row:ident|
        standard { $($field:ident $name:literal $write:expr;)* }
        usual { $($more:ident $more_name:literal $write_more:expr;)* }
        chosen { $($rare:ident $rare_write:expr;)* }
    ) => {
        /// Appends `record` as one JSON object without a line end: the 33 fields of behaviour §12.8 in their order, then
        /// `timestamp(ms)` (§12.9) and `x-edgeseal-origin-code`. All values are strings; a missing one is `-`.
        ///
        /// Values of signature parameters in the query, and in the query of the `Referer`, are replaced by `REDACTED`:
        /// who reads the log must not be able to read the object.
        pub fn json_line(record: &Record<'_>, pop: &str, out: &mut Vec<u8>) {
            let $row = &Row::of(record, pop);
            let $line = &mut Line(out);
            $line.began($row.ended);
            $(
                $line.plain(concat!("\",\"", $name, "\":\""));
                $write;
            )*
            $(
                $line.plain(concat!("\",\"", $more_name, "\":\""));
                $write_more;
            )*
            $line.plain("\"}");
        }

        /// Appends `record` without a line end as CloudFront's standard format has it: 33 values with tabs between them
        /// (behaviour §12.8).
        pub(super) fn standard_line(record: &Record<'_>, pop: &str, out: &mut Vec<u8>) {
            let $row = &Row::of(record, pop);
            let $line = &mut Line(out);
            $line.date($row.ended);
            $line.plain("\t");
            $line.time($row.ended);
            $(
                $line.plain("\t");
                $write;
            )*
        }

        fn write_value(field: LogField, $line: &mut Line<'_>, $row: &Row<'_>) {
            match field {
                LogField::Date => $line.date($row.ended),
                LogField::Time => $line.time($row.ended),
                $(LogField::$field => $write,)*
                $(LogField::$more => $write_more,)*
                $(LogField::$rare => $rare_write,)*
            }
        }
    };
}

fields! {
    |line, row|
    standard {
        EdgeLocation "x-edge-location" line.text(row.pop);
        ScBytes "sc-bytes" line.digits(row.record.bytes_to_viewer);
        CIp "c-ip" line.address(row.record.viewer.ip().to_canonical());
        CsMethod "cs-method" line.text(row.record.method);
        CsHost "cs(Host)" line.text(host(row.record));
        CsUriStem "cs-uri-stem" line.bytes(row.record.uri_stem);
        ScStatus "sc-status" line.three_digits(row.record.status.into());
        CsReferer "cs(Referer)" {
            line.value(|out| redact_url(out, row.record.referer.unwrap_or_default()));
        };
        CsUserAgent "cs(User-Agent)" line.optional_bytes(row.record.user_agent);
        CsUriQuery "cs-uri-query" {
            line.value(|out| redact(out, row.record.uri_query.unwrap_or_default()));
        };
        CsCookie "cs(Cookie)" match row.record.more.cookie {
            Some(cookie) => line.value(|out| redact_cookies(out, cookie)),
            None => line.plain("-"),
        };
        EdgeResultType "x-edge-result-type" line.plain(row.record.result.as_str());
        EdgeRequestId "x-edge-request-id" line.text(row.record.request_id);
        HostHeader "x-host-header" {
            line.value(|out| encode_lossy(out, row.record.host_header));
        };
        CsProtocol "cs-protocol" {
            line.plain(if row.record.tls.is_some() { "https" } else { "http" });
        };
        CsBytes "cs-bytes" line.digits(row.record.bytes_from_viewer);
        TimeTaken "time-taken" line.seconds(row.record.time_taken);
        ForwardedFor "x-forwarded-for" {
            line.optional_bytes(row.record.x_forwarded_for);
        };
        SslProtocol "ssl-protocol" {
            line.text(row.record.tls.map_or("", |tls| tls.protocol));
        };
        SslCipher "ssl-cipher" {
            line.text(row.record.tls.map_or("", |tls| tls.cipher));
        };
        EdgeResponseResultType "x-edge-response-result-type" {
            line.plain(row.record.response_result.as_str());
        };
        CsProtocolVersion "cs-protocol-version" {
            line.plain(version(row.record.version));
        };
        FleStatus "fle-status" line.plain("-");
        FleEncryptedFields "fle-encrypted-fields" line.plain("-");
        CPort "c-port" line.digits(row.record.viewer.port().into());
        TimeToFirstByte "time-to-first-byte" {
            line.seconds(row.record.time_to_first_byte);
        };
        EdgeDetailedResultType "x-edge-detailed-result-type" {
            line.plain(row.record.detailed.as_str(row.record.result));
        };
        ScContentType "sc-content-type" {
            line.optional_bytes(row.record.content_type);
        };
        ScContentLen "sc-content-len" line.optional(row.record.content_length);
        ScRangeStart "sc-range-start" {
            line.optional(row.record.range.map(|(first, _)| first));
        };
        ScRangeEnd "sc-range-end" {
            line.optional(row.record.range.map(|(_, last)| last));
        };
    }
    usual {
        TimestampMs "timestamp(ms)" line.digits(saturating(row.ended.as_millis()));
        OriginCode "x-edgeseal-origin-code" {
            line.text(row.record.origin_code.unwrap_or_default());
        };
    }
    chosen {
        OriginFbl match row.record.more.origin_first_byte {
            Some(took) => line.seconds(took),
            None => line.plain("-"),
        };
        Asn line.optional(row.record.more.asn.map(u64::from));
        CCountry line.text(row.record.more.country.unwrap_or_default());
        PathPattern line.text(row.record.more.path_pattern.unwrap_or_default());
        DistributionId line.text(row.record.distribution.unwrap_or_default());
    }
}

/// As [`json_line`], with these fields in this order.
pub(super) fn json_line_of(fields: &[LogField], record: &Record<'_>, pop: &str, out: &mut Vec<u8>) {
    let row = &Row::of(record, pop);
    let line = &mut Line(out);
    for (n, field) in fields.iter().enumerate() {
        line.plain(if n == 0 { "{\"" } else { "\",\"" });
        line.plain(field.name());
        line.plain("\":\"");
        write_value(*field, line, row);
    }
    line.plain("\"}");
}

/// Query parameters that grant access: CloudFront's (behaviour §11.2) and S3's.
const SECRETS: [&str; 5] =
    ["Signature", "Policy", "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential"];

/// Cookies that do (behaviour §11.2).
const SECRET_COOKIES: [&[u8]; 2] = [b"CloudFront-Signature", b"CloudFront-Policy"];

/// A record, and what else a line says.
struct Row<'a> {
    record: &'a Record<'a>,
    pop: &'a str,
    /// When the last byte left, since the epoch.
    ended: Duration,
}

impl<'a> Row<'a> {
    fn of(record: &'a Record<'a>, pop: &'a str) -> Self {
        let started = record.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { record, pop, ended: started.saturating_add(record.time_taken) }
    }
}

/// The distribution's domain name, or what stands for one.
fn host<'a>(record: &Record<'a>) -> &'a str {
    record.more.logged_as.map_or_else(|| record.distribution.unwrap_or_default(), |site| &*site.host)
}

/// The line so far, at the place of a value.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    /// What needs no encoding.
    fn plain(&mut self, text: &'static str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn value(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        write(self.0);
        if self.0.len() == start {
            self.0.push(b'-');
        }
    }

    fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    fn optional_bytes(&mut self, value: Option<&[u8]>) {
        self.bytes(value.unwrap_or_default());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.value(|out| encode(out, value));
    }

    fn optional(&mut self, value: Option<u64>) {
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
    fn seconds(&mut self, value: Duration) {
        let millis = saturating(value.as_micros()).saturating_add(500) / 1000;
        self.digits(millis / 1000);
        self.plain(".");
        self.three_digits(millis % 1000);
    }

    fn address(&mut self, address: IpAddr) {
        use std::io::Write as _;
        match address {
            IpAddr::V4(address) => {
                for (n, octet) in address.octets().into_iter().enumerate() {
                    if n > 0 {
                        self.plain(".");
                    }
                    self.digits(octet.into());
                }
            }
            IpAddr::V6(address) => {
                write!(self.0, "{address}").expect("a Vec takes whatever is written");
            }
        }
    }

    /// The beginning in JSON: `date` and `time`, when the last byte left, in UTC.
    fn began(&mut self, at: Duration) {
        self.0.extend_from_slice(&second(at));
    }

    fn date(&mut self, at: Duration) {
        self.0.extend_from_slice(&second(at)[DATE]);
    }

    fn time(&mut self, at: Duration) {
        self.0.extend_from_slice(&second(at)[TIME]);
    }
}

/// `{"date":"2025-11-24","time":"16:00:01`, written once a second and thread.
fn second(at: Duration) -> Ended {
    thread_local!(static LAST: Cell<(u64, Ended)> = const { Cell::new((u64::MAX, [0; 37])) });
    let (secs, mut text) = LAST.get();
    if secs != at.as_secs() {
        text = ended(at.as_secs());
        LAST.set((at.as_secs(), text));
    }
    text
}

const DATE: Range<usize> = 9..19;
const TIME: Range<usize> = 29..37;

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

/// Cookies without the values that grant access.
fn redact_cookies(out: &mut Vec<u8>, cookies: &[u8]) {
    for (n, cookie) in cookies.split(|b| *b == b';').enumerate() {
        if n > 0 {
            out.push(b';');
        }
        let name = cookie.iter().position(|b| *b == b'=').map_or(cookie, |mark| &cookie[..mark]);
        if name.len() < cookie.len() && SECRET_COOKIES.contains(&name.trim_ascii()) {
            encode(out, name);
            out.extend_from_slice(b"=REDACTED");
        } else {
            encode(out, cookie);
        }
    }
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
