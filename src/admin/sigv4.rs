//! Who signed a request: AWS Signature Version 4 from the server's side (s3 §1). Host, time and body are always part of what
//! was signed, so a request that was overheard is good for itself alone, and for five minutes.

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use super::api::Refusal;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "cloudfront";
/// How far a caller's clock may be off (s3 §1.7: all services but S3).
const WINDOW: Duration = Duration::from_secs(5 * 60);
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
/// More names than any caller has to sign.
const MOST_NAMES: usize = 64;
/// What stands for itself in a canonical request (s3 §1.2).
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATHS: AsciiSet = RESERVED.remove(b'/');

/// What a request says of itself: by whom, when, and how it was signed. Nothing of it is proven yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim<'r> {
    pub access_key_id: &'r str,
    /// `20130524T000000Z`
    stamp: &'r str,
    signed_at: SystemTime,
    region: &'r str,
    signature: &'r str,
    /// The canonical request, but for the hash of the body that ends it.
    canonical: String,
}

impl<'r> Claim<'r> {
    /// Reads what can be judged without a secret and without the body.
    ///
    /// # Errors
    /// What AWS would say.
    pub(super) fn read(parts: &'r Parts, now: SystemTime) -> Result<Self, Refusal> {
        let Some(authorization) = only(&parts.headers, &AUTHORIZATION)? else {
            return Err(missing());
        };
        let fields = authorization.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with([' ', '\t']));
        let fields =
            fields.ok_or_else(|| incomplete(&format!("Authorization does not begin with {ALGORITHM}")))?;
        let [credential, names, signature] = ["Credential", "SignedHeaders", "Signature"].map(|name| {
            let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
            fields.find(|(found, _)| *found == name).map(|(_, value)| value)
        });
        let field = |name: &str, field: Option<&'r str>| {
            field.ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter")))
        };
        let scope: Vec<&str> = field("Credential", credential)?.split('/').collect();
        let (names, signature) = (field("SignedHeaders", names)?, field("Signature", signature)?);
        let [access_key_id, date, region, service, "aws4_request"] = scope[..] else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, the last 'aws4_request'",
            ));
        };
        if service != SERVICE {
            return Err(mismatch(format!("Credential should be scoped to correct service: '{SERVICE}'.")));
        }
        let Some(stamp) = only(&parts.headers, &DATE)? else {
            return Err(incomplete("the header X-Amz-Date is missing"));
        };
        let signed_at =
            at(stamp).ok_or_else(|| incomplete("X-Amz-Date is not of the form 20130524T000000Z"))?;
        if stamp.get(..8) != Some(date) {
            return Err(mismatch(format!(
                "Date in Credential scope does not match the day of X-Amz-Date: {date}."
            )));
        }
        refuse_other_times(stamp, signed_at, now)?;
        let names: Vec<&str> = names.split(';').collect();
        refuse_unsigned(&parts.headers, &names)?;
        let canonical = canonical(parts, &names)?;
        Ok(Self { access_key_id, stamp, signed_at, region, signature, canonical })
    }

    /// Was it signed with this secret, and with this body? It takes as long to say no as to say yes.
    #[must_use]
    pub(super) fn is_signed_with(&self, secret: &str, body: &[u8]) -> bool {
        let canonical = format!("{}{}", self.canonical, hash(body));
        let Self { stamp, region, .. } = self;
        let scope = format!("{}/{region}/{SERVICE}/aws4_request", &stamp[..8]);
        let to_sign = format!("{ALGORITHM}\n{stamp}\n{scope}\n{}", hash(canonical.as_bytes()));
        let key = generate_signing_key(secret, self.signed_at, region, SERVICE);
        let expected = calculate_signature(key, to_sign.as_bytes());
        verify_slices_are_equal(expected.as_bytes(), self.signature.as_bytes()).is_ok()
    }
}

pub(super) fn missing() -> Refusal {
    Refusal::forbidden("MissingAuthenticationToken", "Request is missing Authentication Token")
}

pub(super) fn unknown_key() -> Refusal {
    Refusal::forbidden("InvalidClientTokenId", "The security token included in the request is invalid.")
}

pub(super) fn wrong_signature() -> Refusal {
    mismatch(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
            .to_owned(),
    )
}

fn mismatch(message: String) -> Refusal {
    Refusal::forbidden("SignatureDoesNotMatch", message)
}

fn incomplete(why: &str) -> Refusal {
    Refusal::bad("IncompleteSignature", format!("The signature cannot be read: {why}."))
}

/// The only field of this name.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Refusal> {
    let mut fields = headers.get_all(name).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    match (field.to_str(), fields.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(incomplete(&format!("{name} is there twice, or is no text"))),
    }
}

fn refuse_other_times(stamp: &str, signed_at: SystemTime, now: SystemTime) -> Result<(), Refusal> {
    let (is_early, off) = match signed_at.duration_since(now) {
        Ok(ahead) => (true, ahead),
        Err(behind) => (false, behind.duration()),
    };
    if off <= WINDOW {
        return Ok(());
    }
    let what = if is_early { "not yet current" } else { "expired" };
    let minutes = WINDOW.as_secs() / 60;
    let message = format!(
        "Signature {what}: {stamp} is more than {minutes} minutes off this edge's clock, {}.",
        show(now)
    );
    Err(Refusal::bad("RequestExpired", message))
}

/// Everything that has a say in what is meant must be signed.
fn refuse_unsigned(headers: &HeaderMap, names: &[&str]) -> Result<(), Refusal> {
    let is_sorted = names.windows(2).all(|pair| pair[0] < pair[1]);
    if !is_sorted || names.len() > MOST_NAMES {
        return Err(incomplete("SignedHeaders must be in their order, in lower case, and each once"));
    }
    let must = |name: &&HeaderName| **name == HOST || name.as_str().starts_with("x-amz-");
    let unsigned = headers.keys().filter(must).find(|name| !names.contains(&name.as_str()));
    match unsigned {
        Some(name) => Err(incomplete(&format!("'{name}' must be a 'SignedHeader'"))),
        None if !names.contains(&HOST.as_str()) => Err(incomplete("'Host' must be a 'SignedHeader'")),
        None => Ok(()),
    }
}

/// s3 §1.1; with the path encoded once more, as for every service but S3.
fn canonical(parts: &Parts, names: &[&str]) -> Result<String, Refusal> {
    let path = percent_encode(parts.uri.path().as_bytes(), &RESERVED_IN_PATHS);
    let query = canonical_query(parts.uri.query().unwrap_or_default());
    let mut text = format!("{}\n{path}\n{query}\n", parts.method);
    for name in names {
        let values: Result<Vec<_>, _> =
            parts.headers.get_all(*name).iter().map(|value| value.to_str().map(squeezed)).collect();
        let values = values.map_err(|_| incomplete(&format!("{name} is no text")))?;
        if values.is_empty() {
            return Err(incomplete(&format!("'{name}' is a 'SignedHeader', and not there")));
        }
        text.extend([*name, ":", &values.join(","), "\n"]);
    }
    text.extend(["\n", &names.join(";"), "\n"]);
    Ok(text)
}

/// s3 §1.3
fn canonical_query(query: &str) -> String {
    let encoded = |part: &str| {
        let decoded: Vec<u8> = percent_decode_str(part).collect();
        percent_encode(&decoded, &RESERVED).to_string()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (encoded(name), encoded(value))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Without spaces at the ends, and one where there are several (s3 §1.4).
fn squeezed(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20130524T000000Z`
fn at(stamp: &str) -> Option<SystemTime> {
    let digits = stamp.strip_suffix('Z')?;
    let (day, clock) = digits.split_once('T').filter(|(day, clock)| (day.len(), clock.len()) == (8, 6))?;
    if !day.bytes().chain(clock.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |text: &str| text.parse::<u8>().ok();
    let month = Month::try_from(part(&day[4..6])?).ok()?;
    let date = Date::from_calendar_date(day[..4].parse().ok()?, month, part(&day[6..])?).ok()?;
    let time = Time::from_hms(part(&clock[..2])?, part(&clock[2..4])?, part(&clock[4..])?).ok()?;
    let secs = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(secs).ok()?))
}

fn show(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let ((year, month, day), (hour, minute, second)) = (time.to_calendar_date(), time.to_hms());
    format!("{year:04}{:02}{day:02}T{hour:02}{minute:02}{second:02}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{
        PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign,
    };
    use aws_sigv4::sign::v4::SigningParams;
    use http::{HeaderValue, Request};

    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const TARGET: &str =
        "http://edge.example:9090/2020-05-31/distribution/E1/invalidation?MaxItems=2&Marker=I%201";

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_601)
    }

    /// As the Rust SDK signs for CloudFront: aws-sigv4's own code from end to end.
    fn signed(target: &str, body: &str, service: &str, at: SystemTime, hashed: bool) -> Parts {
        let identity = Credentials::new("EDGEADMIN1", SECRET, None, None, "test").into();
        let mut settings = SigningSettings::default();
        if hashed {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let params = SigningParams::builder().identity(&identity).region("us-east-1").name(service).time(at);
        let params = params.settings(settings).build().unwrap().into();
        let mut request = Request::post(target)
            .header("host", "edge.example:9090")
            .header("content-type", "application/xml")
            .header("x-amz-meta-odd", "  a   b ")
            .body(body.to_owned())
            .unwrap();
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let signable =
            SignableRequest::new("POST", target, headers, SignableBody::Bytes(body.as_bytes())).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        // As it arrives: without scheme and host.
        let (mut parts, _) = request.into_parts();
        parts.uri = parts.uri.path_and_query().unwrap().as_str().parse().unwrap();
        parts
    }

    fn usual() -> Parts {
        signed(TARGET, "<body/>", "cloudfront", now(), false)
    }

    fn verdict(parts: &Parts, secret: &str, body: &str) -> Result<bool, &'static str> {
        Claim::read(parts, now())
            .map(|claim| claim.is_signed_with(secret, body.as_bytes()))
            .map_err(|refusal| refusal.code)
    }

    #[test]
    fn what_the_sdk_signs_is_recognised() {
        for hashed in [false, true] {
            for target in [
                TARGET,
                "http://edge.example/",
                "http://edge.example/explain?url=https%3A%2F%2Fa%2Fb%3Fc%3D1&header=A%3A%20b&header=A%3A%20a&x",
                "http://edge.example/a%20b/%C3%BC~c",
            ] {
                let parts = signed(target, "<body/>", "cloudfront", now(), hashed);
                assert_eq!(verdict(&parts, SECRET, "<body/>"), Ok(true), "{target} {hashed}");
                let claim = Claim::read(&parts, now()).unwrap();
                assert_eq!(claim.access_key_id, "EDGEADMIN1");
            }
        }
    }

    #[test]
    fn anything_that_was_changed_shows() {
        assert_eq!(verdict(&usual(), SECRET, "<body/>"), Ok(true));
        assert_eq!(verdict(&usual(), "another secret, long enough", "<body/>"), Ok(false));
        assert_eq!(verdict(&usual(), SECRET, "<other/>"), Ok(false), "a captured request with another body");
        let with_hash = signed(TARGET, "<body/>", "cloudfront", now(), true);
        assert_eq!(verdict(&with_hash, SECRET, "<other/>"), Ok(false), "its hash is in a signed header");
        let set = |name: &'static str, value: &'static str| {
            let mut parts = usual();
            parts.headers.insert(name, HeaderValue::from_static(value));
            verdict(&parts, SECRET, "<body/>")
        };
        assert_eq!(set("host", "other.example"), Ok(false));
        assert_eq!(set("content-type", "text/xml"), Ok(false));
        assert_eq!(set("x-amz-date", "20260101T000002Z"), Ok(false));
        assert_eq!(set("user-agent", "curl"), Ok(true), "what nobody signs may change on the way");
        assert_eq!(set("x-amz-target", "added"), Err("IncompleteSignature"));
        let mut parts = usual();
        parts.method = http::Method::PUT;
        assert_eq!(verdict(&parts, SECRET, "<body/>"), Ok(false));
        for uri in [
            "/2020-05-31/distribution/E2/invalidation?MaxItems=2&Marker=I%201",
            "/2020-05-31/distribution/E1/invalidation",
        ] {
            let mut parts = usual();
            parts.uri = uri.parse().unwrap();
            assert_eq!(verdict(&parts, SECRET, "<body/>"), Ok(false), "{uri}");
        }
    }

    #[test]
    fn the_clock_may_be_five_minutes_off() {
        let second = Duration::from_secs(1);
        for (at, expected) in [
            (now() - WINDOW, Ok(true)),
            (now() + WINDOW, Ok(true)),
            (now() - WINDOW - second, Err("RequestExpired")),
            (now() + WINDOW + second, Err("RequestExpired")),
            (SystemTime::UNIX_EPOCH, Err("RequestExpired")),
        ] {
            let parts = signed(TARGET, "", "cloudfront", at, false);
            assert_eq!(verdict(&parts, SECRET, ""), expected, "{at:?}");
        }
    }

    #[test]
    fn a_signature_for_another_service_is_none() {
        let parts = signed(TARGET, "", "s3", now(), false);
        assert_eq!(verdict(&parts, SECRET, ""), Err("SignatureDoesNotMatch"));
    }

    #[test]
    fn what_is_no_signature_is_named() {
        const SCOPE: &str = "EDGEADMIN1/20260101/us-east-1/cloudfront/aws4_request";
        let authorization = |text: String| {
            let mut parts = usual();
            parts.headers.insert(AUTHORIZATION, text.parse().unwrap());
            verdict(&parts, SECRET, "<body/>")
        };
        let of = |scope: &str, names: &str| {
            authorization(format!("{ALGORITHM} Credential={scope}, SignedHeaders={names}, Signature=00"))
        };
        let names = "content-type;host;x-amz-date;x-amz-meta-odd";
        assert_eq!(of(SCOPE, names), Ok(false));
        let without =
            authorization(format!("{ALGORITHM}Credential={SCOPE},SignedHeaders={names},Signature=00"));
        assert_eq!(without, Err("IncompleteSignature"));
        for (scope, names, code) in [
            ("EDGEADMIN1/20260102/us-east-1/cloudfront/aws4_request", names, "SignatureDoesNotMatch"),
            ("EDGEADMIN1/20260101/us-east-1/cloudfront", names, "IncompleteSignature"),
            ("EDGEADMIN1/20260101/us-east-1/cloudfront/aws4_request/x", names, "IncompleteSignature"),
            ("EDGEADMIN1/20260101/us-east-1/s3/aws4_request", names, "SignatureDoesNotMatch"),
            ("", names, "IncompleteSignature"),
            (SCOPE, "content-type;x-amz-date;x-amz-meta-odd", "IncompleteSignature"),
            (SCOPE, "content-type;host;x-amz-meta-odd", "IncompleteSignature"),
            (SCOPE, "host;content-type;x-amz-date;x-amz-meta-odd", "IncompleteSignature"),
            (SCOPE, "host;host;x-amz-date;x-amz-meta-odd", "IncompleteSignature"),
            (SCOPE, "accept;host;x-amz-date;x-amz-meta-odd", "IncompleteSignature"),
            (SCOPE, "", "IncompleteSignature"),
        ] {
            assert_eq!(of(scope, names), Err(code), "{scope} {names}");
        }
        for text in [
            "Basic YTpi",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 x",
            "AWS4-ECDSA-P256-SHA256 Credential=a",
            "",
        ] {
            assert_eq!(authorization(text.to_owned()), Err("IncompleteSignature"), "{text}");
        }
        let mut parts = usual();
        parts.headers.remove(AUTHORIZATION);
        assert_eq!(verdict(&parts, SECRET, ""), Err("MissingAuthenticationToken"));
        for stamp in
            ["20260101", "20260101T000001", "20261301T000001Z", "2026O101T000001Z", "20260101T250001Z", "x"]
        {
            let mut parts = usual();
            parts.headers.insert(DATE, stamp.parse().unwrap());
            assert_eq!(verdict(&parts, SECRET, ""), Err("IncompleteSignature"), "{stamp}");
        }
        let mut parts = usual();
        parts.headers.append(DATE, HeaderValue::from_static("20260101T000001Z"));
        assert_eq!(verdict(&parts, SECRET, ""), Err("IncompleteSignature"));
    }
}
