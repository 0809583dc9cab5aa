//! What is known about one request when its last byte has left: the access log's and the metrics' only source.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{StatusCode, Version};

/// CloudFront's result types, as `X-Cache`, `x-edge-result-type` and the `result` label say them
/// (behaviour §8.5, §12.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultType {
    /// A fresh object from the cache, or one that another viewer's fetch was bringing.
    Hit,
    /// An expired object that the origin confirmed with 304, or that stood in for a failing origin.
    RefreshHit,
    Miss,
    Redirect,
    /// Any answer of 400 and above, whoever made it.
    Error,
}

impl ResultType {
    pub const ALL: [Self; 5] = [Self::Hit, Self::RefreshHit, Self::Miss, Self::Redirect, Self::Error];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "Hit",
            Self::RefreshHit => "RefreshHit",
            Self::Miss => "Miss",
            Self::Redirect => "Redirect",
            Self::Error => "Error",
        }
    }
}

/// `x-edge-detailed-result-type`: the result type, or what kind of error it was (behaviour §12.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DetailedResult {
    /// Nothing more to say than the result type.
    Same,
    AbortedOrigin,
    ClientCommError,
    ClientGeoBlocked,
    ClientHungUpRequest,
    Error,
    InvalidRequest,
    InvalidRequestBlocked,
    InvalidRequestCertificate,
    InvalidRequestHeader,
    InvalidRequestMethod,
    OriginCommError,
    OriginConnectError,
    OriginContentRangeLengthError,
    OriginDnsError,
    OriginError,
    OriginHeaderTooBigError,
    OriginInvalidResponseError,
    OriginReadError,
    OriginWriteError,
}

impl DetailedResult {
    /// The log's word for it beside `result`.
    #[must_use]
    pub fn as_str(self, result: ResultType) -> &'static str {
        match self {
            Self::Same => result.as_str(),
            Self::AbortedOrigin => "AbortedOrigin",
            Self::ClientCommError => "ClientCommError",
            Self::ClientGeoBlocked => "ClientGeoBlocked",
            Self::ClientHungUpRequest => "ClientHungUpRequest",
            Self::Error => "Error",
            Self::InvalidRequest => "InvalidRequest",
            Self::InvalidRequestBlocked => "InvalidRequestBlocked",
            Self::InvalidRequestCertificate => "InvalidRequestCertificate",
            Self::InvalidRequestHeader => "InvalidRequestHeader",
            Self::InvalidRequestMethod => "InvalidRequestMethod",
            Self::OriginCommError => "OriginCommError",
            Self::OriginConnectError => "OriginConnectError",
            Self::OriginContentRangeLengthError => "OriginContentRangeLengthError",
            Self::OriginDnsError => "OriginDnsError",
            Self::OriginError => "OriginError",
            Self::OriginHeaderTooBigError => "OriginHeaderTooBigError",
            Self::OriginInvalidResponseError => "OriginInvalidResponseError",
            Self::OriginReadError => "OriginReadError",
            Self::OriginWriteError => "OriginWriteError",
        }
    }
}

/// One request, finished. Byte counts include heads (behaviour §12.8 fields 4 and 18). What the viewer said is
/// borrowed from wherever it was read to.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// When its head had been read.
    pub started: SystemTime,
    /// From then until the last byte was handed to the transport.
    pub time_taken: Duration,
    /// From then until the first byte of the answer was.
    pub time_to_first_byte: Duration,
    pub viewer: SocketAddr,
    /// `None`: the request named no distribution of ours.
    pub distribution: Option<&'a str>,
    pub request_id: &'a str,
    pub method: &'a str,
    pub version: Version,
    /// The `Host` field or `:authority`; what is not UTF-8 in it is replaced when it is written.
    pub host_header: &'a [u8],
    /// Raw path, as the viewer sent it.
    pub uri_stem: &'a [u8],
    /// Without the question mark.
    pub uri_query: Option<&'a [u8]>,
    pub referer: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    pub x_forwarded_for: Option<&'a [u8]>,
    /// `None`: plain HTTP.
    pub tls: Option<TlsFacts>,
    /// 0: the viewer left before there was an answer (behaviour §12.8 field 9).
    pub status: u16,
    pub result: ResultType,
    /// The classification just before responding; differs from `result` when the viewer left in mid-body.
    pub response_result: ResultType,
    pub detailed: DetailedResult,
    /// The code in the origin's error body, when the origin refused.
    pub origin_code: Option<&'a str>,
    pub bytes_from_viewer: u64,
    pub bytes_to_viewer: u64,
    pub content_type: Option<&'a [u8]>,
    pub content_length: Option<u64>,
    /// First and last byte position of a 206.
    pub range: Option<(u64, u64)>,
    pub more: More<'a>,
}

/// What only some logs say.
#[derive(Debug, Clone, Copy, Default)]
pub struct More<'a> {
    /// `None`: it named no distribution.
    pub logged_as: Option<&'a LoggedAs>,
    /// All cookies; only of a distribution that logs them (behaviour §12.8 field 13).
    pub cookie: Option<&'a [u8]>,
    /// From asking the origin until the first byte of its answer, for the viewer who was asked for.
    pub origin_first_byte: Option<Duration>,
    /// Of the behaviour; only if [`Wants::path_pattern`].
    pub path_pattern: Option<&'a str>,
    /// ISO 3166-1 alpha-2; as the next only if [`Wants::place`].
    pub country: Option<&'a str>,
    /// Number of the autonomous system.
    pub asn: Option<u32>,
}

/// What the log knows of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAs {
    /// The name that CloudFront gave it, else its id: `cs(Host)`.
    pub host: Arc<str>,
    /// Which of the standard log's distributions it is. `None`: it is none.
    pub shelf: Option<u32>,
    pub cookies: bool,
}

/// What a log says that has to be looked up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    pub path_pattern: bool,
    pub place: bool,
}

/// What the handshake settled, in the log's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.3`
    pub protocol: &'static str,
    /// `TLS_AES_128_GCM_SHA256`
    pub cipher: &'static str,
}

impl Record<'_> {
    /// The status as a `StatusCode`, unless there was none.
    #[must_use]
    pub fn status_code(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.status).ok()
    }
}
