//! The access log: its two forms, and the fields of behaviour §12.8 and §12.9.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Origin;

macro_rules! fields {
    ($($field:ident $name:literal,)*) => {
        /// What a line of the access log may say, by CloudFront's names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum LogField { $($field,)* }

        impl LogField {
            /// All of them; the first 33 are the standard format's, in its order (behaviour §12.8).
            pub const ALL: &'static [Self] = &[$(Self::$field,)*];

            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$field => $name,)* }
            }
        }
    };
}

fields! {
    Date "date",
    Time "time",
    EdgeLocation "x-edge-location",
    ScBytes "sc-bytes",
    CIp "c-ip",
    CsMethod "cs-method",
    CsHost "cs(Host)",
    CsUriStem "cs-uri-stem",
    ScStatus "sc-status",
    CsReferer "cs(Referer)",
    CsUserAgent "cs(User-Agent)",
    CsUriQuery "cs-uri-query",
    CsCookie "cs(Cookie)",
    EdgeResultType "x-edge-result-type",
    EdgeRequestId "x-edge-request-id",
    HostHeader "x-host-header",
    CsProtocol "cs-protocol",
    CsBytes "cs-bytes",
    TimeTaken "time-taken",
    ForwardedFor "x-forwarded-for",
    SslProtocol "ssl-protocol",
    SslCipher "ssl-cipher",
    EdgeResponseResultType "x-edge-response-result-type",
    CsProtocolVersion "cs-protocol-version",
    FleStatus "fle-status",
    FleEncryptedFields "fle-encrypted-fields",
    CPort "c-port",
    TimeToFirstByte "time-to-first-byte",
    EdgeDetailedResultType "x-edge-detailed-result-type",
    ScContentType "sc-content-type",
    ScContentLen "sc-content-len",
    ScRangeStart "sc-range-start",
    ScRangeEnd "sc-range-end",
    TimestampMs "timestamp(ms)",
    OriginCode "x-edgeseal-origin-code",
    OriginFbl "origin-fbl",
    Asn "asn",
    CCountry "c-country",
    PathPattern "cache-behavior-path-pattern",
    DistributionId "primary-distribution-id",
}

impl LogField {
    /// How many of [`Self::ALL`] the standard format has.
    pub const STANDARD: usize = 33;
    /// How many of [`Self::ALL`] a JSON line has that was not told otherwise.
    pub const USUAL: usize = 35;
}

/// Files as CloudFront delivers them (behaviour §12.8).
#[derive(Debug, Clone, PartialEq)]
pub struct StandardLog {
    pub directory: PathBuf,
    /// A file is finished this long after its first record at the latest.
    pub interval: Duration,
    /// Bytes, compressed, with which a file is finished before that.
    pub max_size: u64,
    pub upload: Option<LogUpload>,
}

/// Where finished files go.
#[derive(Debug, Clone, PartialEq)]
pub struct LogUpload {
    /// A bucket; its `origin_path` is what the keys begin with.
    pub bucket: Arc<Origin>,
    /// Bytes of finished files that may wait on disk; beyond, the oldest are dropped.
    pub backlog: u64,
}

/// What the standard log does with one distribution (behaviour §1.6, `Logging`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logging {
    pub enabled: bool,
    /// Lines say what the viewer's cookies are, in both forms.
    pub include_cookies: bool,
    /// What names of files begin with: empty, or folders, with a slash at the end.
    pub prefix: Arc<str>,
}

impl Default for Logging {
    fn default() -> Self {
        Self { enabled: true, include_cookies: false, prefix: Arc::from("") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// behaviour §12.8, the line for implementers
    #[test]
    fn the_standard_format_has_cloudfronts_fields_in_their_order() {
        let names: Vec<_> = LogField::ALL[..LogField::STANDARD].iter().map(|field| field.name()).collect();
        assert_eq!(
            names.join(" "),
            "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) \
             cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header \
             cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher \
             x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port \
             time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start \
             sc-range-end"
        );
    }
}
