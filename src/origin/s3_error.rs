//! S3's error answers: what they mean, what may help, and what a viewer sees of them (s3 §2.10–§2.12, §7).
//!
//! An error body names ARNs, account ids and keys, and a `SignatureDoesNotMatch` echoes the signed headers,
//! so nothing of it is kept but what is listed in [`S3Error`], and nothing is forwarded.

use std::time::SystemTime;

use http::header::DATE;
use http::{HeaderMap, StatusCode};

use body::Fields;

mod body;

/// What is kept of an error body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Error {
    /// 1–64 of `[A-Za-z0-9._-]`.
    pub code: String,
    /// Where the bucket is, when S3 says so. 1–32 of `[a-z0-9-]`.
    pub region: Option<String>,
    /// S3's clock, with `RequestTimeTooSkewed`.
    pub server_time: Option<SystemTime>,
    /// What the message told beside the code.
    pub hint: Option<Hint>,
}

/// What only the message, or an element beside it, tells apart (s3 §1.16, §2.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// A KMS action was refused, or the key is invisible to the caller.
    KmsDenied,
    /// It is KMS's request rate that was exceeded.
    KmsThrottled,
    /// KMS objects need a signature, and there was none.
    NotSigned,
    /// An `x-amz-*` header was not part of the signature.
    HeadersNotSigned,
    /// The object was sealed with a key that only its uploader has.
    SseC,
}

/// Why an origin did not give the object: a label of `edgeseal_origin_denied_total` and of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    AccessDenied,
    KmsAccessDenied,
    KmsKeyDisabled,
    KmsKeyInvalidState,
    KmsKeyNotFound,
    KmsKeyInvalidUsage,
    KmsThrottled,
    SignatureMismatch,
    UnknownAccessKey,
    ExpiredToken,
    InvalidToken,
    ClockSkew,
    WrongRegion,
    HeadersNotSigned,
    NotSigned,
    Archived,
    SseC,
    NoSuchBucket,
    NoSuchKey,
    /// S3's own request rate, not KMS's.
    Throttled,
    /// S3 failed, or was too slow.
    Unavailable,
    Other,
}

/// What may turn the answer into a better one. Each but [`Remedy::BackOff`] is worth one retry, not two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    GiveUp,
    RefreshCredentials,
    /// Sign with S3's time instead of ours (s3 §1.7).
    CorrectClock {
        server_time: SystemTime,
    },
    /// Sign for this Region, and ask its host (s3 §2.9). It may be the Region that was asked: then give up.
    CorrectRegion(String),
    /// Wait, with jitter, and ask again (s3 §2.16).
    BackOff,
}

/// Reads an error body. Only its first 64 KiB count; a body that they cut through is read as far as it goes.
///
/// `None` when it is no S3 error: not XML, another root element, no code or an odd one, a document type or an
/// entity of its own.
#[must_use]
pub fn parse(body: &[u8]) -> Option<S3Error> {
    let fields = Fields::read(&body[..body.len().min(CONSIDERED)])?;
    let code = fields.code.filter(|code| is_code(code))?;
    Some(S3Error {
        hint: if fields.headers_not_signed {
            Some(Hint::HeadersNotSigned)
        } else {
            fields.message.as_deref().and_then(hint)
        },
        region: fields.region.filter(|region| is_region(region)),
        server_time: fields.server_time.as_deref().and_then(parse_time),
        code,
    })
}

/// Names the cause; by the status alone when there is no body, as for HEAD (s3 §2.8).
#[must_use]
pub fn classify(status: u16, error: Option<&S3Error>) -> Cause {
    let Some(error) = error else {
        return classify_status(status);
    };
    match (error.code.as_str(), error.hint) {
        ("AccessDenied", Some(Hint::HeadersNotSigned)) => Cause::HeadersNotSigned,
        ("AccessDenied", Some(Hint::KmsDenied)) => Cause::KmsAccessDenied,
        ("AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "InvalidPayer" | "NotSignedUp", _)
        | ("UnauthorizedAccessError", _) => Cause::AccessDenied,
        ("KMS.DisabledException", _) => Cause::KmsKeyDisabled,
        ("KMS.KMSInvalidStateException", _) => Cause::KmsKeyInvalidState,
        ("KMS.NotFoundException", _) => Cause::KmsKeyNotFound,
        ("KMS.InvalidKeyUsageException", _) => Cause::KmsKeyInvalidUsage,
        ("SlowDown" | "ThrottlingException", Some(Hint::KmsThrottled)) | ("KMS.ThrottlingException", _) => {
            Cause::KmsThrottled
        }
        ("SignatureDoesNotMatch" | "InvalidSecurity", _) => Cause::SignatureMismatch,
        ("InvalidAccessKeyId", _) => Cause::UnknownAccessKey,
        ("ExpiredToken" | "TokenRefreshRequired", _) => Cause::ExpiredToken,
        ("InvalidToken", _) => Cause::InvalidToken,
        ("RequestTimeTooSkewed", _) => Cause::ClockSkew,
        ("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed", _)
        | ("IllegalLocationConstraintException" | "IncorrectEndpoint", _) => Cause::WrongRegion,
        ("MissingAuthenticationToken", _) | ("InvalidArgument", Some(Hint::NotSigned)) => Cause::NotSigned,
        ("InvalidObjectState", _) => Cause::Archived,
        ("InvalidRequest", Some(Hint::SseC)) => Cause::SseC,
        ("NoSuchBucket" | "NoSuchAccessPoint", _) => Cause::NoSuchBucket,
        ("NoSuchKey" | "NoSuchVersion", _) => Cause::NoSuchKey,
        ("SlowDown" | "RequestLimitExceeded" | "BandwidthLimitExceeded", _)
        | ("TooManyRequestsException" | "LimitExceededException" | "PriorRequestNotComplete", _) => {
            Cause::Throttled
        }
        ("RequestTimeout" | "RequestTimeoutException", _) => Cause::Unavailable,
        (code, _) if code.starts_with("Throttl") => Cause::Throttled,
        _ if matches!(status, 500 | 502 | 503 | 504) => Cause::Unavailable,
        _ => Cause::Other,
    }
}

/// Says what to try (s3 §1.7, §2.9, §2.16).
#[must_use]
pub fn remedy(status: u16, headers: &HeaderMap, error: Option<&S3Error>) -> Remedy {
    match classify(status, error) {
        Cause::ExpiredToken | Cause::InvalidToken => Remedy::RefreshCredentials,
        Cause::ClockSkew => server_time(headers, error)
            .map_or(Remedy::GiveUp, |server_time| Remedy::CorrectClock { server_time }),
        Cause::WrongRegion => region(headers, error).map_or(Remedy::GiveUp, Remedy::CorrectRegion),
        Cause::Throttled | Cause::KmsThrottled | Cause::Unavailable => Remedy::BackOff,
        // HEAD with the wrong Region: a bare 400, and the right one in a header (s3 §2.9).
        _ if status == 400 && error.is_none() => {
            region(headers, None).map_or(Remedy::GiveUp, Remedy::CorrectRegion)
        }
        _ => Remedy::GiveUp,
    }
}

/// The status for a viewer: S3's own, as CloudFront passes it on (behaviour §10.6), but 502 for what is the
/// edge's own fault and for a redirect, which says nothing to a viewer; 503 for "ask again later".
#[must_use]
pub fn viewer_status(status: u16, cause: Cause) -> StatusCode {
    match cause {
        Cause::SignatureMismatch
        | Cause::UnknownAccessKey
        | Cause::ExpiredToken
        | Cause::InvalidToken
        | Cause::ClockSkew
        | Cause::WrongRegion
        | Cause::HeadersNotSigned
        | Cause::NotSigned
        | Cause::NoSuchBucket => StatusCode::BAD_GATEWAY,
        Cause::Throttled | Cause::KmsThrottled | Cause::Unavailable if status < 500 => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => match status {
            304 | 400..=599 => StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
            _ => StatusCode::BAD_GATEWAY,
        },
    }
}

/// An error body shaped like S3's, with nothing of S3's in it but the code. A code that is missing or odd
/// becomes the status's reason phrase. `request_id` is ours.
#[must_use]
pub fn page(code: Option<&str>, status: StatusCode, request_id: &str) -> String {
    let word =
        || status.canonical_reason().unwrap_or("Error").replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let code = code.filter(|code| is_code(code)).map_or_else(word, str::to_owned);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message>\
         <RequestId>{}</RequestId></Error>",
        sentence(status),
        quick_xml::escape::escape(request_id),
    )
}

impl Cause {
    /// The label: snake case, and never anything but these.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::KmsAccessDenied => "kms_access_denied",
            Self::KmsKeyDisabled => "kms_key_disabled",
            Self::KmsKeyInvalidState => "kms_key_invalid_state",
            Self::KmsKeyNotFound => "kms_key_not_found",
            Self::KmsKeyInvalidUsage => "kms_key_invalid_usage",
            Self::KmsThrottled => "kms_throttled",
            Self::SignatureMismatch => "signature_mismatch",
            Self::UnknownAccessKey => "unknown_access_key",
            Self::ExpiredToken => "expired_token",
            Self::InvalidToken => "invalid_token",
            Self::ClockSkew => "clock_skew",
            Self::WrongRegion => "wrong_region",
            Self::HeadersNotSigned => "headers_not_signed",
            Self::NotSigned => "not_signed",
            Self::Archived => "archived",
            Self::SseC => "sse_c",
            Self::NoSuchBucket => "no_such_bucket",
            Self::NoSuchKey => "no_such_key",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Other => "other",
        }
    }
}

/// Bytes of a body that are looked at (s3 §2.10).
const CONSIDERED: usize = 64 * 1024;

fn classify_status(status: u16) -> Cause {
    match status {
        301 | 307 => Cause::WrongRegion,
        401 | 403 => Cause::AccessDenied,
        404 => Cause::NoSuchKey,
        429 => Cause::Throttled,
        500 | 502 | 503 | 504 => Cause::Unavailable,
        _ => Cause::Other,
    }
}

/// S3's own words; the rest of a message is not looked at. The action follows the caller's ARN, before
/// anything that a viewer can choose, such as the object's name.
fn hint(message: &str) -> Option<Hint> {
    let denied_action = message.split_once(" is not authorized to perform: ").map(|(_, action)| action);
    if denied_action.is_some_and(|action| action.starts_with("kms:"))
        || message.starts_with("The ciphertext refers to a customer master key")
    {
        Some(Hint::KmsDenied)
    } else if message.starts_with("There were headers present in the request which were not signed") {
        Some(Hint::HeadersNotSigned)
    } else if message.contains("request rate for operations involving AWS KMS") {
        Some(Hint::KmsThrottled)
    } else if message.contains("require AWS Signature Version 4") {
        Some(Hint::NotSigned)
    } else if message.contains("stored using a form of Server Side Encryption") {
        Some(Hint::SseC)
    } else {
        None
    }
}

fn server_time(headers: &HeaderMap, error: Option<&S3Error>) -> Option<SystemTime> {
    let date = || httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok();
    error.and_then(|error| error.server_time).or_else(date)
}

fn region(headers: &HeaderMap, error: Option<&S3Error>) -> Option<String> {
    let header = headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
    let header = header.filter(|region| is_region(region)).map(str::to_owned);
    header.or_else(|| error?.region.clone())
}

fn sentence(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "Access denied.",
        404 => "The object does not exist.",
        405 => "The method is not allowed.",
        412 => "A precondition does not hold.",
        416 => "The range cannot be satisfied.",
        502 => "The origin could not be read.",
        503 => "The origin is busy. Please try again later.",
        504 => "The origin did not answer in time.",
        400..=499 => "The request could not be served.",
        _ => "The origin failed.",
    }
}

fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// `2026-11-24T10:00:00Z`. A fraction of a second is passed over: the window is 15 minutes (s3 §1.7).
fn parse_time(text: &str) -> Option<SystemTime> {
    let (moment, fraction) = text.strip_suffix('Z')?.split_at_checked(PATTERN.len())?;
    let fits = moment.bytes().zip(PATTERN.bytes()).all(|(byte, pattern)| match pattern {
        b'0' => byte.is_ascii_digit(),
        sign => byte == sign,
    });
    if !fits || !(fraction.is_empty() || fraction.starts_with('.')) {
        return None;
    }
    let number = |from: usize, to: usize| moment.get(from..to)?.parse::<u16>().ok();
    let small = |from: usize| u8::try_from(number(from, from + 2)?).ok();
    let month = time::Month::try_from(small(5)?).ok()?;
    let date = time::Date::from_calendar_date(number(0, 4)?.into(), month, small(8)?).ok()?;
    let time = date.with_hms(small(11)?, small(14)?, small(17)?).ok()?;
    Some(time.assume_utc().into())
}

const PATTERN: &str = "0000-00-00T00:00:00";

#[cfg(test)]
mod tests;
