//! What can go wrong between the edge and an origin: what, whose fault, which status, may it be retried.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::custom::ErrorAnswer;
use super::s3_error::Cause;
use crate::observe::record::DetailedResult;

/// No usable answer came from the origin. Cheap to clone: all waiting viewers are told the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("the origin's name does not resolve")]
    Dns,
    #[error("connection refused")]
    ConnectRefused,
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("TLS handshake failed")]
    Tls,
    /// Before the first byte of an answer.
    #[error("connection lost before an answer")]
    ConnectionLost,
    #[error("no answer in time")]
    ReadTimeout,
    /// The head, or a frame, is not what HTTP or the request allows.
    #[error("invalid answer: {0}")]
    InvalidResponse(&'static str),
    /// Over 32,768 bytes (behaviour §2.4).
    #[error("response head too large")]
    HeadTooLarge,
    /// `Content-Range` is not the range that was asked for.
    #[error("wrong range in the answer")]
    WrongRange,
    /// The body ended before its length; whatever was received is not the object.
    #[error("body cut short")]
    BodyCutShort,
    /// A pause longer than the read timeout in mid-body.
    #[error("body stalled")]
    BodyStalled,
    /// There is nothing to sign with.
    #[error("no usable credentials")]
    NoCredentials,
    #[error("the request cannot be made or signed")]
    Unsignable,
    /// The origin answered with an error status; `code` is the word of its error body, `fields` are those of its
    /// head that say how long this answer holds.
    #[error("refused with {status} {}", code.as_deref().unwrap_or("-"))]
    Refused {
        status: u16,
        cause: Cause,
        code: Option<Arc<str>>,
        fields: Arc<HeaderMap>,
        /// What the viewer may see of it; a bucket's errors are nobody's business (s3 §2.10).
        answer: Option<Arc<ErrorAnswer>>,
    },
    /// The viewer's body ended before its end.
    #[error("the viewer's body broke off")]
    UploadBroken,
    /// behaviour §2.4
    #[error("the viewer's body is too large")]
    UploadTooLarge,
    /// The task that was fetching ended without a result.
    #[error("fetch abandoned")]
    Abandoned,
}

impl OriginError {
    /// What the viewer gets (behaviour §8.4).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::ConnectTimeout | Self::ReadTimeout | Self::BodyStalled => StatusCode::GATEWAY_TIMEOUT,
            Self::Refused { status, cause, .. } => super::s3_error::viewer_status(*status, *cause),
            Self::UploadBroken => StatusCode::BAD_REQUEST,
            Self::UploadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Dns
            | Self::ConnectRefused
            | Self::Tls
            | Self::ConnectionLost
            | Self::InvalidResponse(_)
            | Self::HeadTooLarge
            | Self::WrongRange
            | Self::BodyCutShort
            | Self::NoCredentials
            | Self::Unsignable
            | Self::Abandoned => StatusCode::BAD_GATEWAY,
        }
    }

    /// The access log's word (behaviour §12.8).
    #[must_use]
    pub fn detailed(&self) -> DetailedResult {
        match self {
            Self::Dns => DetailedResult::OriginDnsError,
            Self::ConnectRefused | Self::ConnectTimeout | Self::Tls => DetailedResult::OriginConnectError,
            Self::ReadTimeout => DetailedResult::OriginCommError,
            Self::ConnectionLost | Self::BodyCutShort | Self::BodyStalled => DetailedResult::OriginReadError,
            Self::InvalidResponse(_) => DetailedResult::OriginInvalidResponseError,
            Self::HeadTooLarge => DetailedResult::OriginHeaderTooBigError,
            Self::WrongRange => DetailedResult::OriginContentRangeLengthError,
            Self::NoCredentials | Self::Unsignable | Self::Refused { .. } => DetailedResult::OriginError,
            Self::Abandoned => DetailedResult::AbortedOrigin,
            Self::UploadBroken => DetailedResult::ClientCommError,
            Self::UploadTooLarge => DetailedResult::InvalidRequest,
        }
    }

    /// The label of `edgeseal_origin_errors_total{reason}`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::ConnectionLost => "connection_lost",
            Self::ReadTimeout => "read_timeout",
            Self::InvalidResponse(_) => "invalid_response",
            Self::HeadTooLarge => "head_too_large",
            Self::WrongRange => "wrong_range",
            Self::BodyCutShort => "body_cut_short",
            Self::BodyStalled => "body_stalled",
            Self::NoCredentials => "no_credentials",
            Self::Unsignable => "unsignable",
            Self::Refused { .. } => "refused",
            Self::UploadBroken => "upload_broken",
            Self::UploadTooLarge => "upload_too_large",
            Self::Abandoned => "abandoned",
        }
    }

    /// One sentence for the viewer's page.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Dns => "We can't resolve the origin's name.",
            Self::ConnectRefused | Self::ConnectTimeout | Self::Tls => "We can't connect to the origin.",
            Self::ReadTimeout | Self::BodyStalled => "The origin did not answer in time.",
            Self::NoCredentials | Self::Unsignable => {
                "The edge is not able to sign its request to the origin."
            }
            Self::Refused { .. } => "The origin refused the request.",
            Self::UploadBroken => "The request's body ended too early.",
            Self::UploadTooLarge => "The request's body is too large.",
            Self::ConnectionLost
            | Self::InvalidResponse(_)
            | Self::HeadTooLarge
            | Self::WrongRange
            | Self::BodyCutShort
            | Self::Abandoned => "The origin's answer could not be used.",
        }
    }

    /// The origin's own word for its refusal.
    #[must_use]
    pub fn code(&self) -> Option<&Arc<str>> {
        match self {
            Self::Refused { code, .. } => code.as_ref(),
            _ => None,
        }
    }

    /// `Cache-Control`, `Expires` and `Retry-After` of the refusal.
    #[must_use]
    pub fn fields(&self) -> Option<&HeaderMap> {
        match self {
            Self::Refused { fields, .. } => Some(fields),
            _ => None,
        }
    }

    /// The origin's own answer, where viewers may see it.
    #[must_use]
    pub fn answer(&self) -> Option<&Arc<ErrorAnswer>> {
        match self {
            Self::Refused { answer, .. } => answer.as_ref(),
            _ => None,
        }
    }

    /// The origin was asked, so the answer may be remembered; not so when the edge could not even ask.
    #[must_use]
    pub fn came_from_origin(&self) -> bool {
        !matches!(
            self,
            Self::NoCredentials
                | Self::Unsignable
                | Self::Abandoned
                | Self::UploadBroken
                | Self::UploadTooLarge
        )
    }

    /// An expired object may stand in: the origin gave no answer, or one of 5xx (behaviour §5.3). A refusal is an
    /// answer, also when it is the edge's own key that is refused: what was taken away must not come back.
    #[must_use]
    pub fn allows_stale(&self) -> bool {
        match self {
            Self::Refused { status, cause, .. } => {
                *status >= 500 || matches!(cause, Cause::Throttled | Cause::KmsThrottled | Cause::Unavailable)
            }
            Self::NoCredentials | Self::Unsignable | Self::UploadBroken | Self::UploadTooLarge => false,
            Self::Dns
            | Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::Tls
            | Self::ConnectionLost
            | Self::ReadTimeout
            | Self::InvalidResponse(_)
            | Self::HeadTooLarge
            | Self::WrongRange
            | Self::BodyCutShort
            | Self::BodyStalled
            | Self::Abandoned => true,
        }
    }

    /// What part of a version was asked for, this says that there is another by now, or none: a refusal, or an answer about
    /// something else, as of an origin that does not know `If-Match`.
    #[must_use]
    pub fn says_it_is_another(&self) -> bool {
        matches!(self, Self::Refused { status: 400..=499, .. } | Self::WrongRange)
    }

    /// Nothing came back at all: is the origin there?
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Dns | Self::ConnectRefused | Self::ConnectTimeout | Self::Tls | Self::ConnectionLost
        )
    }
}
