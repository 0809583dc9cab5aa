use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use http::Request;
use proptest::prelude::*;

use super::*;

const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "FwoGZXIvYXdzEXAMPLETOKEN==";
const SCOPE: Scope<'static> = Scope { region: "us-east-1", payload: PayloadHash::Empty };

/// s3 §1.12.
#[test]
fn agrees_with_the_published_vectors() {
    let range: &[(&str, &str)] = &[("range", "bytes=0-9")];
    let vectors = [
        ("/test.txt", range, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("/?lifecycle", &[], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", &[], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ];
    for (target, headers, signature) in vectors {
        let mut request = get(target, headers);
        sign(&mut request, &long_lived(), SCOPE, vector_time()).unwrap();
        let names: Vec<_> = ["host"]
            .into_iter()
            .chain(headers.iter().map(|(name, _)| *name))
            .chain(["x-amz-content-sha256", "x-amz-date"])
            .collect();
        assert_eq!(
            header(&request, "authorization"),
            format!(
                "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20130524/us-east-1/s3/aws4_request, \
                 SignedHeaders={}, Signature={signature}",
                names.join(";")
            ),
            "{target}"
        );
        assert_eq!(header(&request, "x-amz-date"), "20130524T000000Z");
        assert_eq!(header(&request, "x-amz-content-sha256"), EMPTY_HASH);
        assert!(!request.headers.contains_key("x-amz-security-token"));
    }
}

/// s3 §1.5: the published PUT, whose body is "Welcome to Amazon S3."
#[test]
fn a_body_is_signed_by_its_hash() {
    let headers = [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
    let mut request = get("/test%24file.text", &headers);
    request.method = http::Method::PUT;
    let hash = digest::digest(&digest::SHA256, b"Welcome to Amazon S3.");
    let signer = Signer::default();
    signer.sign_body(&mut request, &long_lived(), "us-east-1", hash.as_ref(), vector_time()).unwrap();
    assert_eq!(
        header(&request, "x-amz-content-sha256"),
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
    );
    let signature = "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
    assert!(header(&request, "authorization").ends_with(signature), "{}", header(&request, "authorization"));
}

/// s3 §1.4.
#[test]
fn signs_what_is_sent_unchanged_and_nothing_else() {
    let cases = [
        ("range", true),
        ("if-none-match", true),
        ("if-modified-since", true),
        ("x-amz-expected-bucket-owner", true),
        ("accept", true),
        ("user-agent", false),
        ("connection", false),
        ("te", false),
        ("trailer", false),
        ("expect", false),
        ("keep-alive", false),
        ("accept-encoding", false),
        ("x-forwarded-for", false),
        ("x-forwarded-proto", false),
        ("proxy-connection", false),
        ("via", false),
        ("x-amzn-trace-id", false),
    ];
    for (name, signed) in cases {
        let mut request = get("/a", &[(name, "v")]);
        sign(&mut request, &temporary(), SCOPE, vector_time()).unwrap();
        let authorization = header(&request, "authorization");
        let list = between(authorization, "SignedHeaders=", ",");
        assert_eq!(list.split(';').any(|n| n == name), signed, "{name}: {list}");
        assert_eq!(header(&request, name), "v", "{name} is sent as it was");
    }
}

#[test]
fn the_session_token_is_sent_and_signed() {
    let mut request = get("/a", &[]);
    sign(&mut request, &temporary(), SCOPE, vector_time()).unwrap();
    assert_eq!(header(&request, "x-amz-security-token"), TOKEN);
    assert!(header(&request, "authorization").contains(";x-amz-security-token, "));
    verify(&request, SECRET).unwrap();
}

/// s3 §1.5.
#[test]
fn the_payload_can_go_unsigned() {
    let mut request = get("/a", &[]);
    let scope = Scope { payload: PayloadHash::Unsigned, ..SCOPE };
    sign(&mut request, &long_lived(), scope, vector_time()).unwrap();
    assert_eq!(header(&request, "x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
    verify(&request, SECRET).unwrap();
}

/// s3 §1.2: `//` and dot segments stay, nothing is encoded a second time.
#[test]
fn the_path_is_signed_verbatim() {
    for path in ["//a//", "/a/../b/./c", "/..", "/a%20b/%25/%2B%28%29", "/%E2%82%AC"] {
        let mut request = get(path, &[]);
        sign(&mut request, &long_lived(), SCOPE, vector_time()).unwrap();
        assert_eq!(request.uri, path);
        verify(&request, SECRET).unwrap();
    }
}

/// s3 §1.7: a retry signs the same head again, perhaps with other credentials.
#[test]
fn signing_again_replaces_the_signature() {
    let mut request = get("/a", &[("authorization", "Basic dmlld2Vy"), ("x-amz-date", "19700101T000000Z")]);
    sign(&mut request, &temporary(), SCOPE, vector_time()).unwrap();
    sign(&mut request, &long_lived(), SCOPE, vector_time() + Duration::from_secs(3600)).unwrap();

    let mut fresh = get("/a", &[]);
    sign(&mut fresh, &long_lived(), SCOPE, vector_time() + Duration::from_secs(3600)).unwrap();
    assert_eq!(request.headers, fresh.headers);
}

/// s3 §1.2, §1.3, §1.14.
#[test]
fn refuses_what_s3_would_read_differently() {
    let cases = [
        ("/a?x=1+1", SigningError::Query),
        ("/a?x=%FF", SigningError::Query),
        ("/a?x=%2", SigningError::Query),
        ("/a?x=%2f", SigningError::Query),
        ("/a?x=/", SigningError::Query),
        ("/a!", SigningError::Path),
        ("/a+b", SigningError::Path),
        ("/%2", SigningError::Path),
        ("/%c3%a9", SigningError::Path),
        ("/a\"b", SigningError::Path),
        ("*", SigningError::Target),
        ("http://other.example/a", SigningError::Target),
    ];
    for (target, error) in cases {
        let mut request = get(target, &[]);
        assert_eq!(sign(&mut request, &long_lived(), SCOPE, vector_time()), Err(error), "{target}");
        assert!(!request.headers.contains_key("authorization"));
    }
}

type Spoil = fn(&mut HeaderMap);

#[test]
fn refuses_instead_of_panicking() {
    let no_host = |headers: &mut HeaderMap| {
        headers.remove("host");
    };
    let empty_host = |headers: &mut HeaderMap| {
        headers.insert("host", HeaderValue::from_static(""));
    };
    let two_hosts = |headers: &mut HeaderMap| {
        headers.append("host", HeaderValue::from_static("b"));
    };
    let raw = |headers: &mut HeaderMap| {
        headers.insert("x-note", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    };
    let cases: [(Spoil, SigningError); 4] = [
        (no_host, SigningError::Host),
        (empty_host, SigningError::Host),
        (two_hosts, SigningError::Host),
        (raw, SigningError::Header(HeaderName::from_static("x-note"))),
    ];
    for (spoil, error) in cases {
        let mut request = get("/a", &[]);
        spoil(&mut request.headers);
        assert_eq!(sign(&mut request, &long_lived(), SCOPE, vector_time()), Err(error));
    }

    let times = [SystemTime::UNIX_EPOCH - Duration::from_secs(1), SystemTime::UNIX_EPOCH + END_OF_TIME];
    for now in times {
        assert_eq!(sign(&mut get("/a", &[]), &long_lived(), SCOPE, now), Err(SigningError::Time));
    }

    let broken = [
        (Credentials::new("AK\n", SECRET, None, None, "test"), SCOPE),
        (Credentials::new(ACCESS_KEY, SECRET, Some("to\nken".into()), None, "test"), SCOPE),
        (long_lived(), Scope { region: "us\neast", ..SCOPE }),
    ];
    for (credentials, scope) in broken {
        let error = sign(&mut get("/a", &[]), &credentials, scope, vector_time());
        assert_eq!(error, Err(SigningError::Scope));
    }
}

#[test]
fn a_header_that_is_not_signed_may_hold_any_bytes() {
    let mut request = get("/a", &[]);
    request.headers.insert("user-agent", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    assert_eq!(sign(&mut request, &long_lived(), SCOPE, vector_time()), Ok(()));
}

#[test]
fn no_secret_is_printed() {
    let mut request = get("/a", &[]);
    sign(&mut request, &temporary(), SCOPE, vector_time()).unwrap();
    let signature = between(header(&request, "authorization"), "Signature=", ",").to_owned();
    let error = sign(
        &mut get("/a", &[]),
        &Credentials::new("AK\n", SECRET, Some(TOKEN.into()), None, "test"),
        SCOPE,
        vector_time(),
    )
    .unwrap_err();
    let printed = format!("{request:?} {error:?} {error}");
    for secret in [SECRET, TOKEN, &signature] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

/// behaviour §10.1.
#[test]
fn signing_behaviours() {
    use SigningBehavior::{Always, Never, NoOverride};
    let cases = [
        (Always, false, Decision::Sign),
        (Always, true, Decision::Sign),
        (Never, false, Decision::Unsigned),
        (Never, true, Decision::PassViewerAuthorization),
        (NoOverride, false, Decision::Sign),
        (NoOverride, true, Decision::PassViewerAuthorization),
    ];
    for (signing, forwarded, decision) in cases {
        assert_eq!(reaches_origin(signing, forwarded), decision, "{signing:?} {forwarded}");
    }
}

/// s3 §1.6: a key is of a day, a Region and a secret.
#[test]
fn the_key_of_the_day_is_for_nothing_else() {
    let signer = Signer::default();
    let day = Duration::from_secs(24 * 60 * 60);
    let west = Scope { region: "us-west-2", ..SCOPE };
    let other = Credentials::new(ACCESS_KEY, "another secret", None, None, "test");
    for (credentials, secret, scope, at) in [
        (long_lived(), SECRET, SCOPE, vector_time()),
        (temporary(), SECRET, SCOPE, vector_time() + Duration::from_secs(60)),
        (long_lived(), SECRET, SCOPE, vector_time() + day),
        (long_lived(), SECRET, west, vector_time() + day),
        (other, "another secret", west, vector_time() + day),
        (long_lived(), SECRET, SCOPE, vector_time()),
    ] {
        let mut request = get("/a", &[]);
        signer.sign(&mut request, &credentials, scope, at).unwrap();
        assert_eq!(verify(&request, secret), Ok(()), "{scope:?}");
    }
    assert!(!format!("{signer:?}").contains(SECRET));
}

/// s3 §1.3: a key that would be encoded otherwise, twice, without a value, or out of order.
#[test]
fn the_query_is_signed_as_s3_reads_it() {
    for query in ["b=2&a=1", "a=2&a=1", "acl", "a&b=", "%41=%42&a%2Bb=c%3Dd", "a==", "&&a=1&"] {
        let mut request = get(&format!("/k?{query}"), &[]);
        sign(&mut request, &long_lived(), SCOPE, vector_time()).unwrap();
        assert_eq!(verify(&request, SECRET), Ok(()), "{query}");
    }
}

proptest! {
    /// A verifier that shares no code with the signer agrees, whatever the key (s3 §1.1, §1.2).
    #[test]
    fn a_verifier_agrees_for_any_key(
        key in "\\PC{0,60}",
        query in proptest::collection::vec(("\\PC{1,8}", "\\PC{0,8}"), 0..4),
        etag in "[ -~]{0,20}",
        secs in 0u64..253_402_300_800,
        token: bool,
    ) {
        let path = format!("/{}", strict(&key, true));
        let query: Vec<_> =
            query.iter().map(|(name, value)| format!("{}={}", strict(name, false), strict(value, false))).collect();
        let target = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        let mut request = get(&target, &[("if-none-match", &etag), ("x-amz-meta-a", "b  c"), ("x-amz-meta-a", "d")]);
        let credentials = if token { temporary() } else { long_lived() };
        sign(&mut request, &credentials, SCOPE, SystemTime::UNIX_EPOCH + Duration::from_secs(secs)).unwrap();

        prop_assert_eq!(request.uri.to_string(), target);
        prop_assert_eq!(verify(&request, SECRET), Ok(()));
        prop_assert!(verify(&request, "another secret").is_err());
    }
}

fn get(target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(target).header("host", "examplebucket.s3.amazonaws.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn long_lived() -> Credentials {
    Credentials::new(ACCESS_KEY, SECRET, None, None, "test")
}

fn temporary() -> Credentials {
    Credentials::new(ACCESS_KEY, SECRET, Some(TOKEN.into()), None, "test")
}

/// 2013-05-24T00:00:00Z, and a fraction that must not matter.
fn vector_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_369_353_600_250)
}

fn header<'a>(request: &'a Parts, name: &str) -> &'a str {
    request.headers[name].to_str().unwrap()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).unwrap().1;
    rest.split_once(end).map_or(rest, |(value, _)| value)
}

/// What S3 does with a request (s3 §1.1): decode, encode strictly, and reckon the signature anew.
fn verify(request: &Parts, secret: &str) -> Result<(), String> {
    let authorization = header(request, "authorization");
    let scope = between(authorization, &format!("Credential={ACCESS_KEY}/"), ",");
    let names = between(authorization, "SignedHeaders=", ",");
    let mut canonical =
        format!("{}\n{}\n{}\n", request.method, canonical_path(request), canonical_query(request));
    for name in names.split(';') {
        let values: Vec<_> =
            request.headers.get_all(name).iter().map(|value| squeeze(value.to_str().unwrap())).collect();
        writeln!(canonical, "{name}:{}", values.join(",")).unwrap();
    }
    write!(canonical, "\n{names}\n{}", header(request, "x-amz-content-sha256")).unwrap();

    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}", header(request, "x-amz-date"));
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| mac(&key, part));
    let expected = hex(&mac(&key, &to_sign));
    let signature = between(authorization, "Signature=", ",");
    if signature == expected { Ok(()) } else { Err(canonical) }
}

fn canonical_path(request: &Parts) -> String {
    strict(&decode(request.uri.path()), true)
}

fn canonical_query(request: &Parts) -> String {
    let mut pairs: Vec<_> = request
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (strict(&decode(name), false), strict(&decode(value), false)))
        .collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

fn strict(text: &str, keep_slash: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            b'/' if keep_slash => out.push('/'),
            _ => write!(out, "%{byte:02X}").unwrap(),
        }
        out
    })
}

fn squeeze(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn mac(key: &[u8], data: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}
