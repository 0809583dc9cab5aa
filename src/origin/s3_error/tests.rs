use std::time::Duration;

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

#[test]
fn reads_the_fields_that_matter() {
    let body = br#"<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>RequestTimeTooSkewed</Code><Message>The difference &amp; so on</Message>
<RequestTime>20130524T000000Z</RequestTime><ServerTime>2013-05-24T00:20:00.500Z</ServerTime>
<Region>eu-west-1</Region><Details><Code>Inner</Code></Details></Error>"#;
    let error = S3Error {
        code: "RequestTimeTooSkewed".into(),
        region: Some("eu-west-1".into()),
        server_time: Some(at(1_369_354_800)),
        hint: None,
    };
    assert_eq!(parse(body), Some(error));
}

#[test]
fn refuses_what_is_no_plain_s3_error() {
    let long_code = format!("<Error><Code>{}</Code></Error>", "a".repeat(65));
    let entity = r#"<!DOCTYPE Error [<!ENTITY x "AccessDenied">]><Error><Code>&x;</Code></Error>"#;
    let cases = [
        "",
        "Access Denied",
        "<html><body><Code>AccessDenied</Code></body></html>",
        "<Error></Error>",
        "<Error><Message>no code</Message></Error>",
        "<Error><Code></Code></Error>",
        "<Error><Code>Access Denied</Code></Error>",
        "<Error><Code>&lt;script&gt;</Code></Error>",
        "<Error><Code>&#65;ccessDenied</Code></Error>",
        "<Error><Code><![CDATA[a\nb]]></Code></Error>",
        "<Error><Code>&unknown;</Code></Error>",
        "<Error><Nested><Code>AccessDenied</Code></Nested></Error>",
        "<Code>AccessDenied</Code>",
        "<!DOCTYPE Error><Error><Code>AccessDenied</Code></Error>",
        entity,
        &long_code,
    ];
    for body in cases {
        assert_eq!(parse(body.as_bytes()), None, "{body}");
    }
    assert_eq!(parse(b"<Error><Code>\xff</Code></Error>"), None);
}

#[test]
fn a_cut_body_is_read_as_far_as_it_goes() {
    let cut = parse(b"<Error><Code>AccessDenied</Code><Message>User: arn:aws").unwrap();
    assert_eq!(cut.code, "AccessDenied");

    let filler = |len: usize| format!("<Error><A>{}</A><Code>AccessDenied</Code></Error>", "x".repeat(len));
    assert!(parse(filler(60_000).as_bytes()).is_some());
    assert_eq!(parse(filler(64 * 1024).as_bytes()), None, "the code lies beyond 64 KiB");
}

#[test]
fn odd_regions_and_times_are_dropped() {
    for region in ["", "EU", "eu west", "a.evil.example", &"a".repeat(33)] {
        let body = format!("<Error><Code>A</Code><Region>{region}</Region></Error>");
        assert_eq!(parse(body.as_bytes()).unwrap().region, None, "{region}");
    }
    let times = [
        ("2013-05-24T00:00:00Z", Some(1_369_353_600)),
        ("2013-05-24T00:00:00.123Z", Some(1_369_353_600)),
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2013-05-24T00:00:00", None),
        ("2013-05-24T00:00:00+01:00Z", None),
        ("2013-13-24T00:00:00Z", None),
        ("2013-02-30T00:00:00Z", None),
        ("2013-05-24T24:00:00Z", None),
        ("2013-05-24 00:00:00Z", None),
        ("Fri, 24 May 2013 00:00:00 GMT", None),
        ("+013-05-24T00:00:00Z", None),
        ("éééééééééZ", None),
        ("201é-05-24T00:00:0Z", None),
        ("Z", None),
        ("", None),
    ];
    for (text, secs) in times {
        assert_eq!(parse_time(text), secs.map(at), "{text}");
    }
}

/// s3 §1.16, §2.9, §2.11, §2.12, §2.16: status, code, message; the cause, what to try, what a viewer gets.
#[test]
fn causes_remedies_and_statuses() {
    use Remedy::{BackOff, GiveUp, RefreshCredentials};
    let user = "User: arn:aws:sts::111122223333:assumed-role/edge-origin/pop is not authorized to perform: ";
    let s3_denied =
        format!("{user}s3:GetObject on resource: \"arn:aws:s3:::b/kms:x is not authorized to\" because…");
    let kms_denied =
        format!("{user}kms:Decrypt on resource: arn:aws:kms:eu-west-1:111122223333:key/1 because no…");
    let kms_hidden =
        format!("{user}kms:Decrypt on this resource because the resource does not exist in this Region…");
    let ciphertext = "The ciphertext refers to a customer master key that does not exist, does not exist in…";
    let unsigned = "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.";
    let kms_slow = "Please reduce your request rate for operations involving AWS KMS.";
    let sse_c = "The object was stored using a form of Server Side Encryption. The correct parameters…";
    let headers = "There were headers present in the request which were not signed";
    let cases = [
        (403, "AccessDenied", "Access Denied", "access_denied", GiveUp, 403),
        (403, "AccessDenied", &s3_denied, "access_denied", GiveUp, 403),
        (403, "AllAccessDisabled", "", "access_denied", GiveUp, 403),
        (403, "AccessDenied", &kms_denied, "kms_access_denied", GiveUp, 403),
        (403, "AccessDenied", &kms_hidden, "kms_access_denied", GiveUp, 403),
        (403, "AccessDenied", ciphertext, "kms_access_denied", GiveUp, 403),
        (400, "KMS.DisabledException", "arn is disabled.", "kms_key_disabled", GiveUp, 400),
        (400, "KMS.KMSInvalidStateException", "", "kms_key_invalid_state", GiveUp, 400),
        (400, "KMS.NotFoundException", "", "kms_key_not_found", GiveUp, 400),
        (400, "KMS.InvalidKeyUsageException", "", "kms_key_invalid_usage", GiveUp, 400),
        (503, "SlowDown", kms_slow, "kms_throttled", BackOff, 503),
        (400, "ThrottlingException", kms_slow, "kms_throttled", BackOff, 503),
        (503, "SlowDown", "Please reduce your request rate.", "throttled", BackOff, 503),
        (400, "ThrottlingException", "Rate exceeded", "throttled", BackOff, 503),
        (400, "LimitExceededException", "", "throttled", BackOff, 503),
        (403, "SignatureDoesNotMatch", "", "signature_mismatch", GiveUp, 502),
        (403, "InvalidAccessKeyId", "", "unknown_access_key", GiveUp, 502),
        (400, "ExpiredToken", "", "expired_token", RefreshCredentials, 502),
        (400, "TokenRefreshRequired", "", "expired_token", RefreshCredentials, 502),
        (400, "InvalidToken", "", "invalid_token", RefreshCredentials, 502),
        (403, "RequestTimeTooSkewed", "", "clock_skew", GiveUp, 502),
        (301, "PermanentRedirect", "", "wrong_region", GiveUp, 502),
        (307, "TemporaryRedirect", "", "wrong_region", GiveUp, 502),
        (400, "AuthorizationHeaderMalformed", "", "wrong_region", GiveUp, 502),
        (400, "IllegalLocationConstraintException", "", "wrong_region", GiveUp, 502),
        (403, "AccessDenied", headers, "headers_not_signed", GiveUp, 502),
        (403, "MissingAuthenticationToken", "", "not_signed", GiveUp, 502),
        (400, "InvalidArgument", unsigned, "not_signed", GiveUp, 502),
        (400, "InvalidArgument", "", "other", GiveUp, 400),
        (403, "InvalidObjectState", "", "archived", GiveUp, 403),
        (400, "InvalidRequest", sse_c, "sse_c", GiveUp, 400),
        (400, "InvalidRequest", "", "other", GiveUp, 400),
        (404, "NoSuchBucket", "", "no_such_bucket", GiveUp, 502),
        (404, "NoSuchKey", "", "no_such_key", GiveUp, 404),
        (404, "NoSuchVersion", "", "no_such_key", GiveUp, 404),
        (400, "RequestTimeout", "", "unavailable", BackOff, 503),
        (500, "InternalError", "", "unavailable", BackOff, 500),
        (503, "ServiceUnavailable", "", "unavailable", BackOff, 503),
        (412, "PreconditionFailed", "", "other", GiveUp, 412),
        (416, "InvalidRange", "", "other", GiveUp, 416),
        (405, "MethodNotAllowed", "", "other", GiveUp, 405),
        (501, "NotImplemented", "", "other", GiveUp, 501),
        (200, "InternalError", "", "other", GiveUp, 502),
    ];
    for (status, code, message, label, try_this, viewer) in cases {
        let error = parse(body(code, message).as_bytes()).unwrap();
        let cause = classify(status, Some(&error));
        assert_eq!(cause.as_str(), label, "{status} {code} {message}");
        assert_eq!(remedy(status, &HeaderMap::new(), Some(&error)), try_this, "{status} {code}");
        assert_eq!(viewer_status(status, cause), viewer, "{status} {code}");
    }
}

/// HEAD has no error body (s3 §2.8).
#[test]
fn without_a_body_the_status_speaks() {
    let cases = [
        (400, "other", Remedy::GiveUp, 400),
        (403, "access_denied", Remedy::GiveUp, 403),
        (404, "no_such_key", Remedy::GiveUp, 404),
        (301, "wrong_region", Remedy::GiveUp, 502),
        (307, "wrong_region", Remedy::GiveUp, 502),
        (302, "other", Remedy::GiveUp, 502),
        (304, "other", Remedy::GiveUp, 304),
        (412, "other", Remedy::GiveUp, 412),
        (500, "unavailable", Remedy::BackOff, 500),
        (502, "unavailable", Remedy::BackOff, 502),
        (503, "unavailable", Remedy::BackOff, 503),
        (504, "unavailable", Remedy::BackOff, 504),
        (600, "other", Remedy::GiveUp, 502),
        (0, "other", Remedy::GiveUp, 502),
    ];
    for (status, label, try_this, viewer) in cases {
        let cause = classify(status, None);
        assert_eq!(cause.as_str(), label, "{status}");
        assert_eq!(remedy(status, &HeaderMap::new(), None), try_this, "{status}");
        assert_eq!(viewer_status(status, cause), viewer, "{status}");
    }
}

/// s3 §1.7: `ServerTime`, else `Date`.
#[test]
fn the_clock_is_corrected_from_what_s3_says() {
    let with_time =
        b"<Error><Code>RequestTimeTooSkewed</Code><ServerTime>1970-01-01T00:00:07Z</ServerTime></Error>";
    let without = b"<Error><Code>RequestTimeTooSkewed</Code></Error>";
    let date = headers("date", "Thu, 01 Jan 1970 00:00:09 GMT");
    let corrected = |secs| Remedy::CorrectClock { server_time: at(secs) };
    let cases: [(&[u8], &HeaderMap, Remedy); 4] = [
        (with_time, &date, corrected(7)),
        (without, &date, corrected(9)),
        (without, &headers("date", "yesterday"), Remedy::GiveUp),
        (without, &HeaderMap::new(), Remedy::GiveUp),
    ];
    for (body, headers, expected) in cases {
        assert_eq!(remedy(403, headers, parse(body).as_ref()), expected);
    }
}

/// s3 §2.9: `x-amz-bucket-region`, then `<Region>`.
#[test]
fn the_region_is_learnt_from_what_s3_says() {
    let malformed = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
    let redirect =
        b"<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint></Error>";
    let denied = b"<Error><Code>AccessDenied</Code></Error>";
    let header = headers("x-amz-bucket-region", "ap-south-1");
    let odd = headers("x-amz-bucket-region", "evil.example/");
    let none = HeaderMap::new();
    let to = |region: &str| Remedy::CorrectRegion(region.into());
    let cases: [(u16, &HeaderMap, Option<&[u8]>, Remedy); 9] = [
        (400, &header, Some(malformed), to("ap-south-1")),
        (400, &none, Some(malformed), to("eu-west-1")),
        (403, &none, Some(malformed), to("eu-west-1")),
        (400, &odd, Some(malformed), to("eu-west-1")),
        (301, &header, Some(redirect), to("ap-south-1")),
        (301, &odd, Some(redirect), Remedy::GiveUp),
        (301, &header, None, to("ap-south-1")),
        (400, &header, None, to("ap-south-1")),
        (403, &header, Some(denied), Remedy::GiveUp),
    ];
    for (status, headers, body, expected) in cases {
        let error = body.and_then(parse);
        assert_eq!(remedy(status, headers, error.as_ref()), expected, "{status} {error:?}");
    }
}

#[test]
fn pages_are_shaped_like_s3s() {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    let cases = [
        (
            Some("NoSuchKey"),
            404,
            "<Error><Code>NoSuchKey</Code><Message>The object does not exist.</Message><RequestId>R1</RequestId></Error>",
        ),
        (
            None,
            502,
            "<Error><Code>BadGateway</Code><Message>The origin could not be read.</Message><RequestId>R1</RequestId></Error>",
        ),
        (
            Some("<b>"),
            403,
            "<Error><Code>Forbidden</Code><Message>Access denied.</Message><RequestId>R1</RequestId></Error>",
        ),
        (
            None,
            599,
            "<Error><Code>Error</Code><Message>The origin failed.</Message><RequestId>R1</RequestId></Error>",
        ),
    ];
    for (code, status, expected) in cases {
        assert_eq!(page(code, StatusCode::from_u16(status).unwrap(), "R1"), format!("{head}{expected}"));
    }
    assert!(page(None, StatusCode::OK, "a<b").contains("<RequestId>a&lt;b</RequestId>"));
}

/// s3 §2.10, §1.16: messages name ARNs, accounts and keys, and some bodies echo what was signed.
#[test]
fn nothing_of_a_body_but_its_code_survives() {
    let secrets =
        ["arn:aws", "111122223333", "AKIAIOSFODNN7EXAMPLE", "FwoGZXIvTOKEN", "key/0e1f", "secret-bucket"];
    let body = body(
        "SignatureDoesNotMatch",
        "User: arn:aws:sts::111122223333:assumed-role/x is not authorized to perform: kms:Decrypt on key/0e1f",
    )
    .replace(
        "</Error>",
        "<AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><BucketName>secret-bucket</BucketName>\
         <StringToSign>AWS4-HMAC-SHA256</StringToSign>\
         <CanonicalRequest>x-amz-security-token:FwoGZXIvTOKEN</CanonicalRequest></Error>",
    );
    let error = parse(body.as_bytes()).unwrap();
    let page = page(Some(&error.code), StatusCode::BAD_GATEWAY, "R1");
    let kept = format!("{error:?} {page}");
    for secret in secrets {
        assert!(body.contains(secret));
        assert!(!kept.contains(secret), "{kept}");
    }
    assert!(!kept.contains("AWS4-HMAC-SHA256"));
}

#[test]
fn headers_not_signed_can_be_an_element() {
    for element in ["<HeadersNotSigned>x-amz-a</HeadersNotSigned>", "<HeadersNotSigned/>"] {
        let body = body("AccessDenied", "").replace("</Error>", &format!("{element}</Error>"));
        assert_eq!(classify(403, parse(body.as_bytes()).as_ref()), Cause::HeadersNotSigned);
    }
}

proptest! {
    /// Nothing that a peer sends may panic, and whatever is kept is of the allowed characters.
    #[test]
    fn any_body_is_read_or_refused(
        pieces in proptest::collection::vec(
            prop_oneof![
                "\\PC{0,20}",
                "<(/?(Error|Code|Region|ServerTime|Message|HeadersNotSigned)/?>)?",
                Just("&amp;".to_owned()),
                Just("<![CDATA[x]]>".to_owned()),
                Just("2013-05-24T00:00:00Z".to_owned()),
            ],
            0..30,
        ),
        tail in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let body = [b"<Error><Code>".as_slice(), pieces.concat().as_bytes(), &tail].concat();
        if let Some(error) = parse(&body) {
            prop_assert!(is_code(&error.code));
            prop_assert!(error.region.as_deref().is_none_or(is_region));
        }
    }
}

fn body(code: &str, message: &str) -> String {
    format!("<Error><Code>{code}</Code><Message>{message}</Message><RequestId>S3ID</RequestId></Error>")
}

fn headers(name: &'static str, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())])
}

fn at(secs: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(secs)
}
