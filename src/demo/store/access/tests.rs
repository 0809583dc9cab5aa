use super::*;

const NOW: &str = "20261124T100000Z";
const SIGNED: &str = "host;x-amz-date;x-amz-security-token";

/// A well-formed request of the temporary key, with `changes` made to its headers; an empty value removes one.
fn head(path: &str, changes: &[(&'static str, &str)]) -> Parts {
    let auth = format!(
        "AWS4-HMAC-SHA256 Credential=ASIATEMP/20261124/eu-west-1/s3/aws4_request, SignedHeaders={SIGNED}, Signature=00"
    );
    let mut head = http::Request::get(path).body(()).unwrap().into_parts().0;
    let usual =
        [("host", "h"), ("x-amz-date", NOW), ("x-amz-security-token", "tok"), ("authorization", &auth)];
    for (name, value) in usual.iter().chain(changes) {
        head.headers.insert(*name, value.parse().unwrap());
    }
    head.headers = head.headers.into_iter().filter_map(|(n, v)| (!v.is_empty()).then_some((n?, v))).collect();
    head
}

fn verdict(head: &Parts, expired: &[&str]) -> Result<String, Refusal> {
    let identity = |key: &str, token: Option<&str>| Identity {
        access_key_id: key.into(),
        secret_access_key: "s".into(),
        session_token: token.map(Into::into),
        prefix: String::new(),
        list_bucket: false,
    };
    let world = World {
        identities: &[identity("AKIALONG", None), identity("ASIATEMP", Some("tok"))],
        region: "eu-west-1",
        expired: &expired.iter().map(ToString::to_string).collect(),
        now: parse_amz_date(NOW).unwrap(),
    };
    check(head, &world).map(|identity| identity.access_key_id.clone())
}

fn credential(key: &str, region: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={key}/20261124/{region}/s3/aws4_request,SignedHeaders={SIGNED},Signature=00"
    )
}

#[test]
fn a_well_signed_request_passes() {
    assert_eq!(verdict(&head("/b/k", &[]), &[]).unwrap(), "ASIATEMP");
    let long = [("authorization", &*credential("AKIALONG", "eu-west-1")), ("x-amz-security-token", "")];
    assert_eq!(verdict(&head("/b/k", &long), &[]).unwrap(), "AKIALONG");
}

/// Path and query, header changes, status, code, one extra element.
type Case<'a> = (&'a str, &'a [(&'static str, &'a str)], u16, &'a str, Option<(&'a str, &'a str)>);

#[test]
fn refusals_carry_the_codes_of_s3_1_16() {
    let other_region = credential("ASIATEMP", "us-east-1");
    let stranger = credential("AKIAWHO", "eu-west-1");
    let long = credential("AKIALONG", "eu-west-1");
    let cases: &[Case<'_>] = &[
        ("/", &[("authorization", "")], 403, "AccessDenied", None),
        ("/?X-Amz-Signature=1", &[("authorization", "")], 403, "AccessDenied", None),
        ("/?X-Amz-Signature=1", &[], 400, "InvalidArgument", None),
        ("/?Signature=1", &[], 400, "InvalidArgument", None),
        ("/", &[("authorization", "AWS AKIALONG:sig")], 400, "InvalidArgument", None),
        ("/", &[("authorization", "Basic eA==")], 400, "AuthorizationHeaderMalformed", None),
        (
            "/",
            &[("authorization", &other_region)],
            400,
            "AuthorizationHeaderMalformed",
            Some(("Region", "eu-west-1")),
        ),
        (
            "/",
            &[("authorization", &stranger)],
            403,
            "InvalidAccessKeyId",
            Some(("AWSAccessKeyId", "AKIAWHO")),
        ),
        (
            "/",
            &[("x-amz-security-token", "")],
            403,
            "InvalidAccessKeyId",
            Some(("AWSAccessKeyId", "ASIATEMP")),
        ),
        ("/", &[("x-amz-security-token", "other")], 400, "InvalidToken", Some(("Token-0", "other"))),
        ("/", &[("authorization", &long)], 400, "InvalidToken", Some(("Token-0", "tok"))),
        (
            "/",
            &[("x-amz-date", "20261124T094459Z")],
            403,
            "RequestTimeTooSkewed",
            Some(("ServerTime", "2026-11-24T10:00:00Z")),
        ),
        (
            "/",
            &[("x-amz-date", "20261124T101501Z")],
            403,
            "RequestTimeTooSkewed",
            Some(("MaxAllowedSkewMilliseconds", "900000")),
        ),
        ("/", &[("x-amz-date", "2026-11-24")], 403, "AccessDenied", None),
        (
            "/",
            &[("x-amz-meta-b", "1"), ("x-amz-acl", "x")],
            403,
            "AccessDenied",
            Some(("HeadersNotSigned", "x-amz-acl, x-amz-meta-b")),
        ),
    ];
    for (path, changes, status, code, extra) in cases {
        let refusal = verdict(&head(path, changes), &[]).unwrap_err();
        assert_eq!((refusal.status.as_u16(), &*refusal.code), (*status, *code), "{path} {changes:?}");
        if let Some((name, value)) = extra {
            assert!(refusal.extra.contains(&(name, (*value).to_owned())), "{path} {changes:?}: {refusal:?}");
        }
    }
}

#[test]
fn fifteen_minutes_are_still_in_time() {
    for date in ["20261124T094500Z", "20261124T101500Z"] {
        assert!(verdict(&head("/", &[("x-amz-date", date)]), &[]).is_ok(), "{date}");
    }
}

#[test]
fn an_expired_token_is_named_so() {
    assert_eq!(verdict(&head("/", &[]), &["ASIATEMP"]).unwrap_err().code, "ExpiredToken");
}
