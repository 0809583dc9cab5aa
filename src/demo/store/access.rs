//! What AWS checks of a signed request beside the signature: how it is signed, Region, key, token, clock, coverage.
//! Pure. It only refuses; that the signature is right is s3s's verdict, which comes after.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use time::format_description::well_known::Rfc3339;
use time::{Date, Month, OffsetDateTime};

use super::Identity;
use super::answer::Refusal;
use super::vault::hex;

/// `Authorization: AWS4-HMAC-SHA256 …` taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    pub access_key_id: &'a str,
    pub scope: &'a str,
    pub region: &'a str,
    pub signed_headers: &'a str,
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    pub(super) fn parse(headers: &'a HeaderMap) -> Option<Self> {
        let text = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
        let mut fields = text.strip_prefix("AWS4-HMAC-SHA256 ")?.split(',').map(str::trim);
        let (access_key_id, scope) = fields.next()?.strip_prefix("Credential=")?.split_once('/')?;
        Some(Self {
            access_key_id,
            scope,
            region: scope.split('/').nth(1)?,
            signed_headers: fields.next()?.strip_prefix("SignedHeaders=")?,
            signature: fields.next()?.strip_prefix("Signature=")?,
        })
    }
}

/// What the checks know of the world.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub identities: &'a [Identity],
    pub region: &'a str,
    /// Access keys whose token has run out.
    pub expired: &'a BTreeSet<String>,
    pub now: OffsetDateTime,
}

/// The identity that claims to have signed, or why it is refused (s3 §1.16).
pub(super) fn check<'a>(head: &Parts, world: &World<'a>) -> Result<&'a Identity, Refusal> {
    refuse_other_mechanisms(head)?;
    let auth = Authorization::parse(&head.headers).ok_or_else(|| {
        bad_request(
            "AuthorizationHeaderMalformed",
            "The authorization header that you provided is not valid.",
        )
    })?;
    check_region(auth.region, world.region)?;
    let identity = find(world.identities, auth.access_key_id)?;
    check_token(identity, &head.headers, world.expired)?;
    check_clock(&head.headers, world.now)?;
    check_coverage(&head.headers, auth.signed_headers)?;
    Ok(identity)
}

/// The refusal for a signature that s3s rejects. Like AWS's it echoes everything that was signed, the session token
/// included: what an edge must never pass on.
pub(super) fn signature_mismatch(head: &Parts) -> Refusal {
    let refusal = Refusal::new(
        StatusCode::FORBIDDEN,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    );
    let Some(auth) = Authorization::parse(&head.headers) else {
        return refusal;
    };
    let canonical = canonical_request(head, auth.signed_headers);
    let hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
    let date = text(&head.headers, "x-amz-date");
    refusal
        .with("AWSAccessKeyId", auth.access_key_id)
        .with("StringToSign", format!("AWS4-HMAC-SHA256\n{date}\n{}\n{hash}", auth.scope))
        .with("SignatureProvided", auth.signature)
        .with("CanonicalRequest", canonical)
}

/// The longest the clocks may be apart (s3 §1.7).
const MAX_SKEW: time::Duration = time::Duration::minutes(15);

fn refuse_other_mechanisms(head: &Parts) -> Result<(), Refusal> {
    let in_query = head.uri.query().unwrap_or_default().split('&').any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        ["X-Amz-Algorithm", "X-Amz-Signature", "Signature"].contains(&name)
    });
    match head.headers.get(http::header::AUTHORIZATION) {
        // Presigned URLs are not part of this origin: to it they are unsigned.
        None => Err(Refusal::access_denied()),
        Some(_) if in_query => Err(bad_request(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
             parameter or the Authorization header should be specified",
        )),
        Some(value) if value.as_bytes().starts_with(b"AWS ") => Err(bad_request(
            "InvalidArgument",
            "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.",
        )),
        Some(_) => Ok(()),
    }
}

fn check_region(theirs: &str, ours: &str) -> Result<(), Refusal> {
    if theirs == ours {
        return Ok(());
    }
    let message =
        format!("The authorization header is malformed; the region '{theirs}' is wrong; expecting '{ours}'");
    Err(bad_request("AuthorizationHeaderMalformed", message).with("Region", ours))
}

fn find<'a>(identities: &'a [Identity], access_key_id: &str) -> Result<&'a Identity, Refusal> {
    identities.iter().find(|i| i.access_key_id == access_key_id).ok_or_else(|| unknown_key(access_key_id))
}

/// A temporary key without its token is as unknown as a wrong one.
fn check_token(identity: &Identity, headers: &HeaderMap, expired: &BTreeSet<String>) -> Result<(), Refusal> {
    let sent = headers.get("x-amz-security-token").map(|value| value.as_bytes());
    let token = || String::from_utf8_lossy(sent.unwrap_or_default()).into_owned();
    if expired.contains(&identity.access_key_id) {
        return Err(bad_request("ExpiredToken", "The provided token has expired.").with("Token-0", token()));
    }
    match (identity.session_token.as_deref().map(str::as_bytes), sent) {
        (Some(_), None) => Err(unknown_key(&identity.access_key_id)),
        (ours, theirs) if ours == theirs => Ok(()),
        _ => Err(bad_request("InvalidToken", "The provided token is malformed or otherwise invalid.")
            .with("Token-0", token())),
    }
}

fn check_clock(headers: &HeaderMap, now: OffsetDateTime) -> Result<(), Refusal> {
    let text = text(headers, "x-amz-date");
    let sent = parse_amz_date(text).ok_or_else(|| {
        let message = "AWS authentication requires a valid Date or x-amz-date header";
        Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    })?;
    if (now - sent).abs() <= MAX_SKEW {
        return Ok(());
    }
    let message = "The difference between the request time and the current time is too large.";
    Err(Refusal::new(StatusCode::FORBIDDEN, "RequestTimeTooSkewed", message)
        .with("RequestTime", text)
        .with(
            "ServerTime",
            now.replace_nanosecond(0).ok().and_then(|t| t.format(&Rfc3339).ok()).unwrap_or_default(),
        )
        .with("MaxAllowedSkewMilliseconds", MAX_SKEW.whole_milliseconds().to_string()))
}

/// `host` and every `x-amz-*` header must be signed (s3 §1.4).
fn check_coverage(headers: &HeaderMap, signed: &str) -> Result<(), Refusal> {
    let must_sign = |name: &&str| *name == "host" || name.starts_with("x-amz-");
    let unsigned: BTreeSet<&str> = headers
        .keys()
        .map(http::HeaderName::as_str)
        .filter(must_sign)
        .filter(|name| !signed.split(';').any(|s| s == *name))
        .collect();
    if unsigned.is_empty() {
        return Ok(());
    }
    let message = "There were headers present in the request which were not signed";
    Err(Refusal::new(StatusCode::FORBIDDEN, "AccessDenied", message)
        .with("HeadersNotSigned", unsigned.into_iter().collect::<Vec<_>>().join(", ")))
}

/// s3 §1.1, from the bytes on the wire: for diagnosis, so path and query stay as they were sent.
fn canonical_request(head: &Parts, signed_headers: &str) -> String {
    let mut query: Vec<String> = head
        .uri
        .query()
        .map(|q| q.split('&').map(|p| if p.contains('=') { p.to_owned() } else { format!("{p}=") }).collect())
        .unwrap_or_default();
    query.sort();
    let headers: String = signed_headers
        .split(';')
        .map(|name| format!("{name}:{}\n", text(&head.headers, name).trim()))
        .collect();
    let hash = text(&head.headers, "x-amz-content-sha256");
    format!("{}\n{}\n{}\n{headers}\n{signed_headers}\n{hash}", head.method, head.uri.path(), query.join("&"))
}

fn unknown_key(access_key_id: &str) -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
    )
    .with("AWSAccessKeyId", access_key_id)
}

fn bad_request(code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, code, message)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// `20130524T000000Z`
fn parse_amz_date(text: &str) -> Option<OffsetDateTime> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if date.len() != 8 || clock.len() != 6 || !digits(date) || !digits(clock) {
        return None;
    }
    let two = |s: &str, at: usize| s[at..at + 2].parse::<u8>().ok();
    let month = Month::try_from(two(date, 4)?).ok()?;
    let day = Date::from_calendar_date(date[..4].parse().ok()?, month, two(date, 6)?).ok()?;
    Some(day.with_hms(two(clock, 0)?, two(clock, 2)?, two(clock, 4)?).ok()?.assume_utc())
}

#[cfg(test)]
mod tests;
