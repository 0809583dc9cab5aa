//! AWS Signature Version 4 for S3 reads (s3 §1). Signing is the last change to a request head.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningInstructions,
    SigningParams, SigningSettings, UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::config::{PayloadHash, SigningBehavior};

/// What a signature is good for beside the request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The bucket's Region, not the edge's (s3 §1.8).
    pub region: &'a str,
    pub payload: PayloadHash,
}

/// Whether an origin request is signed (behaviour §10.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// With our credentials; whatever `authorization` there was is replaced.
    Sign,
    /// The viewer's `authorization` goes to the origin as it came.
    PassViewerAuthorization,
    /// No `authorization` at all.
    Unsigned,
}

/// Why a request cannot be signed. Each is a fault of the edge or its configuration; none holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    #[error("the request needs exactly one host header, and it must not be empty")]
    Host,
    #[error("the request target is not an absolute path")]
    Target,
    #[error("the path is not strictly percent-encoded")]
    Path,
    #[error("the query is not strictly percent-encoded")]
    Query,
    #[error("the value of the header {0} is not visible ASCII")]
    Header(HeaderName),
    #[error("the time to sign with is outside the years 1970 to 9999")]
    Time,
    #[error("the credentials or the Region cannot be written in a header")]
    Scope,
}

/// Signs a bodyless request: adds `x-amz-date`, `x-amz-content-sha256`, `authorization` and, with temporary
/// credentials, `x-amz-security-token`. Earlier ones are replaced, so a retry signs the same head again (s3
/// §1.7).
///
/// The path and the query must be strictly encoded, for S3 signs its own encoding of them (s3 §1.2, §1.3).
/// Every header that nothing on the way may touch is signed (s3 §1.4).
///
/// # Errors
/// [`SigningError`]; the head is then without any signature, and must not be sent.
pub fn sign(
    request: &mut Parts,
    credentials: &Credentials,
    scope: Scope<'_>,
    now: SystemTime,
) -> Result<(), SigningError> {
    for name in ADDED {
        request.headers.remove(name);
    }
    check_host(&request.headers)?;
    check_target(&request.uri)?;
    check_time(now)?;
    let instructions = instructions(request, credentials, scope, now)?;
    for header in instructions.into_parts().0 {
        let mut value = HeaderValue::from_str(header.value()).map_err(|_| SigningError::Scope)?;
        value.set_sensitive(matches!(header.name(), "authorization" | "x-amz-security-token"));
        request.headers.insert(header.name(), value);
    }
    Ok(())
}

/// Origin access control's three signing behaviours (behaviour §10.1). `never` signs nothing; a viewer's
/// `authorization` that the policies forward then passes as with any other origin.
#[must_use]
pub fn reaches_origin(signing: SigningBehavior, viewer_authorization_forwarded: bool) -> Decision {
    match (signing, viewer_authorization_forwarded) {
        (SigningBehavior::Always, _) | (SigningBehavior::NoOverride, false) => Decision::Sign,
        (SigningBehavior::NoOverride | SigningBehavior::Never, true) => Decision::PassViewerAuthorization,
        (SigningBehavior::Never, false) => Decision::Unsigned,
    }
}

/// What signing writes; set beforehand, they would be signed twice (s3 §1.14).
const ADDED: [HeaderName; 4] = [
    AUTHORIZATION,
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
];

/// Headers that a proxy on the way to S3 may add to, change or drop (s3 §1.4).
const NOT_SIGNED: [&str; 12] = [
    "accept-encoding",
    "connection",
    "expect",
    "forwarded",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-amzn-trace-id",
];
const NOT_SIGNED_PREFIXES: [&str; 2] = ["proxy-", "x-forwarded-"];

/// 10000-01-01 in seconds since the epoch: `x-amz-date` has four digits for the year, and the signer panics
/// on times that its calendar does not hold.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_800);

fn instructions(
    request: &Parts,
    credentials: &Credentials,
    scope: Scope<'_>,
    now: SystemTime,
) -> Result<SigningInstructions, SigningError> {
    let identity = Identity::from(credentials.clone());
    let params: SigningParams<'_> = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name("s3")
        .time(now)
        .settings(settings())
        .build()
        .map_err(|_| SigningError::Scope)?
        .into();
    let headers = signed_headers(&request.headers)?;
    let body = match scope.payload {
        PayloadHash::Empty => SignableBody::Bytes(b""),
        PayloadHash::Unsigned => SignableBody::UnsignedPayload,
    };
    let signable =
        SignableRequest::new(request.method.as_str(), request.uri.to_string(), headers.into_iter(), body)
            .map_err(|_| SigningError::Target)?;
    let signed = aws_sigv4::http_request::sign(signable, &params).map_err(|_| SigningError::Scope)?;
    Ok(signed.into_parts().0)
}

/// S3's two exceptions, encode once and never normalise (s3 §1.2), and its extra header (s3 §1.5).
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings
}

fn signed_headers(headers: &HeaderMap) -> Result<Vec<(&str, &str)>, SigningError> {
    let signed = headers.iter().filter(|(name, _)| is_signed(name));
    signed
        .map(|(name, value)| match value.to_str() {
            Ok(value) => Ok((name.as_str(), value)),
            Err(_) => Err(SigningError::Header(name.clone())),
        })
        .collect()
}

fn is_signed(name: &HeaderName) -> bool {
    let name = name.as_str();
    !NOT_SIGNED.contains(&name) && !NOT_SIGNED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Without it the signer panics (s3 §1.14).
fn check_host(headers: &HeaderMap) -> Result<(), SigningError> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if !host.is_empty() => Ok(()),
        _ => Err(SigningError::Host),
    }
}

fn check_target(uri: &Uri) -> Result<(), SigningError> {
    if uri.authority().is_some() || !uri.path().starts_with('/') {
        return Err(SigningError::Target);
    }
    if !is_strict(uri.path().as_bytes(), b"/") {
        return Err(SigningError::Path);
    }
    // The signer decodes and encodes the query anew: `+` becomes a space, and bytes that are not UTF-8 are
    // replaced, while the wire keeps what it had (s3 §1.14).
    let query = uri.query().unwrap_or_default();
    let text = percent_encoding::percent_decode_str(query).decode_utf8();
    if !is_strict(query.as_bytes(), b"=&") || text.is_err() {
        return Err(SigningError::Query);
    }
    Ok(())
}

/// Unreserved bytes, upper-case `%XX` of other bytes, and `delimiters` (s3 §1.2).
fn is_strict(text: &[u8], delimiters: &[u8]) -> bool {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, tail @ ..] if is_upper_hex(*high) && is_upper_hex(*low) => tail,
            [byte, tail @ ..] if is_unreserved(*byte) || delimiters.contains(byte) => tail,
            _ => return false,
        }
    }
}

fn is_upper_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn check_time(now: SystemTime) -> Result<(), SigningError> {
    match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) if since < END_OF_TIME => Ok(()),
        _ => Err(SigningError::Time),
    }
}

#[cfg(test)]
mod tests;
