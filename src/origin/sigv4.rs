//! AWS Signature Version 4 for S3 reads (s3 §1). Signing is the last change to a request head.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use aws_credential_types::Credentials;
use aws_lc_rs::digest;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use time::OffsetDateTime;

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

/// Signs, and remembers the key of the day: it takes four of a signature's five HMACs (s3 §1.6).
#[derive(Default)]
pub struct Signer {
    last: ArcSwapOption<DayKey>,
}

/// What signs all requests of one day to one Region.
struct DayKey {
    secret: Box<str>,
    date: Box<str>,
    region: Box<str>,
    key: Box<[u8]>,
}

impl Signer {
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
        &self,
        request: &mut Parts,
        credentials: &Credentials,
        scope: Scope<'_>,
        now: SystemTime,
    ) -> Result<(), SigningError> {
        let payload = match scope.payload {
            PayloadHash::Empty => EMPTY_HASH,
            PayloadHash::Unsigned => "UNSIGNED-PAYLOAD",
        };
        self.sign_payload(request, credentials, (scope.region, payload), now)
    }

    /// The same for a request with a body, of which this is the SHA-256.
    ///
    /// # Errors
    /// [`SigningError`]
    pub fn sign_body(
        &self,
        request: &mut Parts,
        credentials: &Credentials,
        region: &str,
        sha256: &[u8],
        now: SystemTime,
    ) -> Result<(), SigningError> {
        let mut payload = String::with_capacity(64);
        push_hex(&mut payload, sha256);
        self.sign_payload(request, credentials, (region, &payload), now)
    }

    fn sign_payload(
        &self,
        request: &mut Parts,
        credentials: &Credentials,
        (region, payload): (&str, &str),
        now: SystemTime,
    ) -> Result<(), SigningError> {
        for name in ADDED {
            request.headers.remove(name);
        }
        check_host(&request.headers)?;
        check_target(&request.uri)?;
        let stamp = stamp(now)?;
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| SigningError::Scope);
        let token = credentials.session_token();

        let mut headers = signed_headers(&request.headers)?;
        headers.extend([("x-amz-content-sha256", payload), ("x-amz-date", &stamp)]);
        headers.extend(token.map(|token| ("x-amz-security-token", token)));
        // Fields of one name stay in their order (s3 §1.4).
        headers.sort_by_key(|(name, _)| *name);
        let names = names(&headers);
        let canonical = canonical(request, &headers, &names, payload);

        let date = &stamp[..8];
        let range = format!("{date}/{region}/s3/aws4_request");
        let mut to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{range}\n");
        push_hex(&mut to_sign, digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let key = self.key(credentials, date, region, now);
        let signature = calculate_signature(&key.key, to_sign.as_bytes());
        let id = credentials.access_key_id();
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={id}/{range}, SignedHeaders={names}, Signature={signature}");

        let secret = |text: &str| {
            let mut value = value(text)?;
            value.set_sensitive(true);
            Ok(value)
        };
        let (authorization, token) = (secret(&authorization)?, token.map(secret).transpose()?);
        let (stamp, payload) = (value(&stamp)?, value(payload)?);
        let [of_authorization, of_payload, of_date, of_token] = ADDED;
        request.headers.insert(of_authorization, authorization);
        request.headers.insert(of_payload, payload);
        request.headers.insert(of_date, stamp);
        if let Some(token) = token {
            request.headers.insert(of_token, token);
        }
        Ok(())
    }

    fn key(&self, credentials: &Credentials, date: &str, region: &str, now: SystemTime) -> Arc<DayKey> {
        let secret = credentials.secret_access_key();
        if let Some(last) = self.last.load_full()
            && (&*last.secret, &*last.date, &*last.region) == (secret, date, region)
        {
            return last;
        }
        let key = Arc::new(DayKey {
            secret: secret.into(),
            date: date.into(),
            region: region.into(),
            key: generate_signing_key(secret, now, region, "s3").as_ref().into(),
        });
        self.last.store(Some(Arc::clone(&key)));
        key
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

/// One request alone, as [`Signer::sign`].
///
/// # Errors
/// [`SigningError`].
pub fn sign(
    request: &mut Parts,
    credentials: &Credentials,
    scope: Scope<'_>,
    now: SystemTime,
) -> Result<(), SigningError> {
    Signer::default().sign(request, credentials, scope, now)
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

/// 10000-01-01 in seconds since the epoch: `x-amz-date` has four digits for the year.
const END_OF_TIME: Duration = Duration::from_secs(253_402_300_800);

/// SHA-256 of nothing (s3 §1.5).
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What S3 encodes (s3 §1.2).
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `20130524T000000Z`.
fn stamp(now: SystemTime) -> Result<String, SigningError> {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).ok().filter(|since| *since < END_OF_TIME);
    let secs = since.and_then(|since| i64::try_from(since.as_secs()).ok()).ok_or(SigningError::Time)?;
    let at = OffsetDateTime::from_unix_timestamp(secs).map_err(|_| SigningError::Time)?;
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    Ok(format!("{year:04}{:02}{day:02}T{hour:02}{minute:02}{second:02}Z", u8::from(month)))
}

/// Each name once. `headers` are sorted.
fn names(headers: &[(&str, &str)]) -> String {
    let mut names = String::with_capacity(160);
    for same in headers.chunk_by(|(a, _), (b, _)| a == b) {
        if !names.is_empty() {
            names.push(';');
        }
        names.push_str(same[0].0);
    }
    names
}

/// The canonical request (s3 §1.1). The path is strictly encoded already, and S3 normalises none (s3 §1.2).
fn canonical(request: &Parts, headers: &[(&str, &str)], names: &str, payload: &str) -> String {
    let mut text = String::with_capacity(2048);
    for part in [request.method.as_str(), "\n", request.uri.path(), "\n"] {
        text.push_str(part);
    }
    push_query(&mut text, request.uri.query().unwrap_or_default());
    text.push('\n');
    for same in headers.chunk_by(|(a, _), (b, _)| a == b) {
        text.push_str(same[0].0);
        for (index, (_, value)) in same.iter().enumerate() {
            text.push(if index == 0 { ':' } else { ',' });
            push_squeezed(&mut text, value);
        }
        text.push('\n');
    }
    for part in ["\n", names, "\n", payload] {
        text.push_str(part);
    }
    text
}

/// Decoded, encoded by S3's rules, and in their order (s3 §1.3).
fn push_query(text: &mut String, query: &str) {
    let mut pairs: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encoded_anew(name), encoded_anew(value)))
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        for part in [if index == 0 { "" } else { "&" }, name, "=", value] {
            text.push_str(part);
        }
    }
}

fn encoded_anew(part: &str) -> Cow<'_, str> {
    if !part.bytes().any(|byte| byte == b'%' || byte == b'=') {
        return Cow::Borrowed(part);
    }
    let decoded: Vec<u8> = percent_decode_str(part).collect();
    Cow::Owned(percent_encode(&decoded, &RESERVED).to_string())
}

/// Without spaces at the ends, and one where there are several (s3 §1.4).
fn push_squeezed(text: &mut String, value: &str) {
    if !value.starts_with(' ') && !value.ends_with(' ') && !value.contains("  ") {
        return text.push_str(value);
    }
    for (index, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
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

/// s3 §1.14.
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
    // S3 decodes and encodes the query anew: `+` becomes a space, and bytes that are not UTF-8 are replaced, while the
    // wire keeps what it had (s3 §1.14).
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

#[cfg(test)]
mod tests;
