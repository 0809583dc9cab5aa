//! Every reason for which the edge answers in its own name, and what it says: one table.

use http::StatusCode;

use crate::observe::record::DetailedResult;
use crate::origin::error::OriginError;
use crate::origin::request::Unaskable;
use crate::policy::told::Loops;
use crate::semantics::view::Unreadable;

/// Why a request is answered by the edge itself, and not with an object or an origin's answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// Not a request that can be read in one way only (RFC 9112 §3.2, RFC 9113 §8.3; behaviour §2.5).
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// Over 8,192 bytes (behaviour §2.4).
    #[error("URL too long")]
    UrlTooLong,
    /// Request line and header block over 32,768 bytes (behaviour §2.4).
    #[error("request header block too large")]
    HeadersTooLarge,
    /// No distribution answers to this Host (behaviour §1.2).
    #[error("no distribution for this Host")]
    UnknownHost,
    /// The distribution is disabled (behaviour §1.1).
    #[error("the distribution is disabled")]
    Disabled,
    /// The request has been here already (RFC 8586), or came through too many edges (behaviour §1.5).
    #[error("request loop")]
    Loop,
    /// A body without a length, which S3 does not take.
    #[error("length required")]
    LengthRequired,
    /// Over 64 GB (behaviour §2.4).
    #[error("body too large")]
    BodyTooLarge,
    /// It came before the viewer's handshake was over, as whoever sent it on says, and a bucket cannot tell a replay
    /// (RFC 8470 §5.2).
    #[error("too early")]
    TooEarly,
    /// The connection was opened for another name, and the certificate has not this one (behaviour §3.4).
    #[error("the Host does not belong to the connection")]
    Misdirected,
    /// The distribution lets nobody in from this viewer's country (behaviour §12.1).
    #[error("blocked in this country")]
    CountryBlocked,
    /// Plain HTTP where the behaviour says `https-only` (behaviour §2.1).
    #[error("HTTPS is required")]
    HttpsRequired,
    /// Not among the behaviour's allowed methods (behaviour §2.2).
    #[error("method not allowed by this distribution")]
    MethodNotAllowed,
    /// A GET or HEAD that brings a body (behaviour §2.2).
    #[error("GET with a body")]
    UnexpectedBody,
    /// `/` without a default root object: a signed request for it would ask the bucket for a listing (s3 §2.1).
    #[error("no object is named")]
    NoObjectNamed,
    /// `If-Match` or `If-Unmodified-Since` does not hold (RFC 9110 §13.2.2).
    #[error("precondition failed")]
    PreconditionFailed,
    /// The object has `length` bytes, and none of them was asked for (behaviour §6).
    #[error("range not satisfiable")]
    RangeNotSatisfiable { length: u64 },
    /// The origin did not give a usable answer.
    #[error("origin: {0}")]
    Origin(#[from] OriginError),
    /// It did not some time ago, and that is remembered (behaviour §8.1).
    #[error("origin, as remembered: {0}")]
    Remembered(OriginError),
}

/// CloudFront's status for an oversized header block; not registered, hence not in [`StatusCode`].
const HEADERS_TOO_LARGE: u16 = 494;

impl Refusal {
    /// The status the viewer gets (behaviour §8.4).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::UrlTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => {
                StatusCode::from_u16(HEADERS_TOO_LARGE).unwrap_or(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooEarly => StatusCode::TOO_EARLY,
            Self::UnknownHost
            | Self::Disabled
            | Self::Loop
            | Self::CountryBlocked
            | Self::HttpsRequired
            | Self::MethodNotAllowed
            | Self::UnexpectedBody
            | Self::NoObjectNamed => StatusCode::FORBIDDEN,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Origin(error) | Self::Remembered(error) => error.status(),
        }
    }

    /// The access log's word (behaviour §12.8).
    #[must_use]
    pub fn detailed(&self) -> DetailedResult {
        match self {
            Self::Malformed(_)
            | Self::UrlTooLong
            | Self::UnexpectedBody
            | Self::NoObjectNamed
            | Self::LengthRequired
            | Self::BodyTooLarge
            | Self::TooEarly => DetailedResult::InvalidRequest,
            Self::HeadersTooLarge => DetailedResult::InvalidRequestHeader,
            Self::UnknownHost | Self::Disabled | Self::Loop | Self::HttpsRequired => {
                DetailedResult::InvalidRequestBlocked
            }
            Self::CountryBlocked => DetailedResult::ClientGeoBlocked,
            Self::Misdirected => DetailedResult::InvalidRequestCertificate,
            Self::MethodNotAllowed => DetailedResult::InvalidRequestMethod,
            Self::PreconditionFailed | Self::RangeNotSatisfiable { .. } | Self::Remembered(_) => {
                DetailedResult::Error
            }
            Self::Origin(error) => error.detailed(),
        }
    }

    /// One sentence for the page; nothing about buckets, keys or accounts.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "Bad request.",
            Self::UrlTooLong => "The URL is too long.",
            Self::HeadersTooLarge => "The request headers are too large.",
            Self::UnknownHost | Self::Disabled => "This host name is not served here.",
            Self::Loop => "The request came through too many distributions.",
            Self::LengthRequired => "The request must say how long its body is (Content-Length).",
            Self::BodyTooLarge => "The request's body is too large.",
            Self::TooEarly => "The request came too early.",
            Self::Misdirected => "This host name may not be asked for on this connection.",
            Self::CountryBlocked => "This content is not available in your country.",
            Self::HttpsRequired => "This content is served over HTTPS only.",
            Self::MethodNotAllowed => "This method is not allowed for this content.",
            Self::UnexpectedBody => "This request may not have a body.",
            Self::NoObjectNamed => "Access denied.",
            Self::PreconditionFailed => "The object is not the one that was asked for.",
            Self::RangeNotSatisfiable { .. } => "The object has no such bytes.",
            Self::Origin(error) | Self::Remembered(error) => error.reason(),
        }
    }

    /// What is wrong with the origin, if that is it.
    #[must_use]
    pub fn origin(&self) -> Option<&OriginError> {
        match self {
            Self::Origin(error) | Self::Remembered(error) => Some(error),
            _ => None,
        }
    }

    /// A page of the owner's may take its place: it is about the object, or about who may have it (behaviour §8.3). Not so
    /// what is wrong with the request itself: `403 → 200 /index.html` must not tell a POST that is not allowed that it was done, nor send over
    /// plain HTTP what is to be had over HTTPS only.
    #[must_use]
    pub fn may_have_page(&self) -> bool {
        match self {
            Self::CountryBlocked
            | Self::NoObjectNamed
            | Self::PreconditionFailed
            | Self::RangeNotSatisfiable { .. }
            | Self::Origin(_)
            | Self::Remembered(_) => true,
            Self::Malformed(_)
            | Self::UrlTooLong
            | Self::HeadersTooLarge
            | Self::UnknownHost
            | Self::Disabled
            | Self::Loop
            | Self::LengthRequired
            | Self::BodyTooLarge
            | Self::TooEarly
            | Self::Misdirected
            | Self::HttpsRequired
            | Self::MethodNotAllowed
            | Self::UnexpectedBody => false,
        }
    }

    /// The connection cannot be trusted to be in step any more, or its next request would be as large.
    #[must_use]
    pub fn closes_connection(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_)
                | Self::UrlTooLong
                | Self::HeadersTooLarge
                | Self::UnexpectedBody
                | Self::LengthRequired
                | Self::BodyTooLarge
        )
    }
}

impl From<Unaskable> for Refusal {
    fn from(unaskable: Unaskable) -> Self {
        match unaskable {
            Unaskable::NoKey => Self::NoObjectNamed,
            Unaskable::Climbs => Self::Malformed("the path climbs above its root"),
        }
    }
}

impl From<Loops> for Refusal {
    fn from(Loops: Loops) -> Self {
        Self::Loop
    }
}

impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Malformed(why) => Self::Malformed(why),
            Unreadable::UrlTooLong => Self::UrlTooLong,
            Unreadable::HeadersTooLarge => Self::HeadersTooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_about_objects_have_pages() {
        let table = [
            (Refusal::Malformed("x"), false), // behaviour §8.3
            (Refusal::UrlTooLong, false),
            (Refusal::HeadersTooLarge, false),
            (Refusal::UnknownHost, false),
            (Refusal::Misdirected, false),
            (Refusal::HttpsRequired, false),
            (Refusal::MethodNotAllowed, false),
            (Refusal::UnexpectedBody, false),
            (Refusal::CountryBlocked, true),
            (Refusal::NoObjectNamed, true),
            (Refusal::RangeNotSatisfiable { length: 1 }, true),
            (Refusal::Origin(OriginError::ReadTimeout), true),
            (Refusal::Remembered(OriginError::ReadTimeout), true),
        ];
        for (refusal, expected) in table {
            assert_eq!(refusal.may_have_page(), expected, "{refusal}");
        }
    }

    #[test]
    fn each_refusal_has_the_status_of_the_behaviour_book() {
        let table = [
            (Refusal::Malformed("x"), 400, "InvalidRequest"), // behaviour §8.4
            (Refusal::UrlTooLong, 414, "InvalidRequest"),     // behaviour §2.4
            (Refusal::HeadersTooLarge, 494, "InvalidRequestHeader"), // behaviour §2.4
            (Refusal::UnknownHost, 403, "InvalidRequestBlocked"), // behaviour §1.2
            (Refusal::Disabled, 403, "InvalidRequestBlocked"), // behaviour §1.1
            (Refusal::Loop, 403, "InvalidRequestBlocked"),    // behaviour §1.5
            (Refusal::LengthRequired, 411, "InvalidRequest"), // RFC 9110 §15.5.12
            (Refusal::BodyTooLarge, 413, "InvalidRequest"),   // behaviour §2.4
            (Refusal::TooEarly, 425, "InvalidRequest"),       // RFC 8470 §5.2
            (Refusal::Misdirected, 421, "InvalidRequestCertificate"), // behaviour §3.4
            (Refusal::CountryBlocked, 403, "ClientGeoBlocked"), // behaviour §12.1
            (Refusal::HttpsRequired, 403, "InvalidRequestBlocked"), // behaviour §2.1
            (Refusal::MethodNotAllowed, 403, "InvalidRequestMethod"), // behaviour §2.2
            (Refusal::UnexpectedBody, 403, "InvalidRequest"), // behaviour §2.2
            (Refusal::NoObjectNamed, 403, "InvalidRequest"),  // s3 §2.1
            (Refusal::PreconditionFailed, 412, "Error"),      // RFC 9110 §13.2.2
            (Refusal::RangeNotSatisfiable { length: 1 }, 416, "Error"), // behaviour §8.4
            (Refusal::Origin(OriginError::ReadTimeout), 504, "OriginCommError"), // behaviour §8.4
            (Refusal::Remembered(OriginError::ReadTimeout), 504, "Error"), // behaviour §8.1
        ];
        for (refusal, status, detailed) in table {
            assert_eq!(refusal.status().as_u16(), status, "{refusal}");
            assert_eq!(
                refusal.detailed().as_str(crate::observe::record::ResultType::Error),
                detailed,
                "{refusal}"
            );
        }
    }
}
