//! The whole origin over a socket.

mod client;

use std::time::{Duration, UNIX_EPOCH};

use aws_sigv4::sign::v4;
use http_body_util::BodyExt as _;

use super::*;
use client::{ARN, LISTER, READER, Signer, setup};

/// A gate that nobody reaches fails its test instead of hanging it.
const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_signed_read_answers_as_s3_does() {
    let s = setup().await;
    let meta = ObjectMeta {
        content_type: Some("text/css".into()),
        cache_control: Some("max-age=60".into()),
        expires: Some("soon".into()),
        user: BTreeMap::from([("origin-name".into(), "x".into())]),
        last_modified: Some(UNIX_EPOCH + Duration::from_secs(1_000_000_000)),
        ..ObjectMeta::default()
    };
    let etag = s.origin.put("site/a.css", "body{}", meta).unwrap();
    let answer = s.get("site/a.css").await;
    assert_eq!((answer.status, answer.text()), (200, "body{}"));
    for (name, value) in [
        ("etag", &*etag),
        ("content-length", "6"),
        ("content-type", "text/css"),
        ("cache-control", "max-age=60"),
        ("expires", "soon"),
        ("accept-ranges", "bytes"),
        ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ("x-amz-meta-origin-name", "x"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", ARN),
        ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
        ("server", "AmazonS3"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(!answer.header("x-amz-request-id").is_empty() && !answer.header("x-amz-id-2").is_empty());

    let head = s.ask(&READER, "HEAD", "site/a.css", &[]).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "6", 0));
}

#[tokio::test]
async fn who_may_not_read_is_told_why() {
    let s = setup().await;
    s.put("site/a", "x");
    s.put("other/a", "x");
    let unsigned = s.send(s.request("GET", "site/a", &[])).await;
    assert_eq!(unsigned.error(), (403, "AccessDenied"));
    let with = |change: fn(&mut Signer)| {
        let mut signer = READER;
        change(&mut signer);
        signer
    };
    for (signer, expected) in [
        (with(|s| s.secret = "wrong"), (403, "SignatureDoesNotMatch")),
        (with(|s| s.key = "nobody"), (403, "InvalidAccessKeyId")),
        (with(|s| s.token = None), (403, "InvalidAccessKeyId")),
        (with(|s| s.token = Some("other")), (400, "InvalidToken")),
        (with(|s| s.region = "us-east-1"), (400, "AuthorizationHeaderMalformed")),
    ] {
        assert_eq!(s.ask(&signer, "GET", "site/a", &[]).await.error(), expected);
    }
    assert_eq!(s.get("other/a").await.error(), (403, "AccessDenied"), "below another prefix");
    assert_eq!(s.ask(&READER, "PUT", "site/a", &[]).await.error(), (403, "AccessDenied"));
    assert_eq!(s.ask(&READER, "DELETE", "site/a", &[]).await.error(), (403, "AccessDenied"));

    let mut tampered = s.request("GET", "site/b", &[]);
    READER.sign(&mut tampered);
    *tampered.uri_mut() = "/private-assets/site/a".parse().unwrap();
    let answer = s.send(tampered).await;
    assert_eq!(answer.error(), (403, "SignatureDoesNotMatch"), "signed for another key");
    assert!(answer.text().contains("<CanonicalRequest>GET\n/private-assets/site/a\n"), "{}", answer.text());
    assert!(answer.text().contains("x-amz-security-token:token\n"), "echoes what was signed, as S3 does");

    s.origin.expire_token("reader");
    assert_eq!(s.get("site/a").await.error(), (400, "ExpiredToken"));
}

#[tokio::test]
async fn the_signature_is_really_verified() {
    // The echo for diagnosis is what the client computed: the two implementations agree on what is signed.
    let s = setup().await;
    let mut request = s.request("GET", "site/a b", &[("range", "bytes=0-1")]);
    Signer { secret: "wrong", ..READER }.sign(&mut request);
    let answer = s.send(request).await;
    let text = answer.text();
    let string_to_sign =
        text.split_once("<StringToSign>").unwrap().1.split_once("</StringToSign>").unwrap().0;
    let provided = text.split_once("<SignatureProvided>").unwrap().1.split_once('<').unwrap().0;
    let key = v4::generate_signing_key("wrong", SystemTime::now(), "eu-west-1", "s3");
    assert_eq!(v4::calculate_signature(key, string_to_sign.as_bytes()), provided);
}

#[tokio::test]
async fn keys_are_bytes_and_never_normalised() {
    let s = setup().await;
    let keys = [
        "site/a b",
        "site/a+b",
        "site/100%",
        "site/%41",
        "site/a?b",
        "site/a#b",
        "site/ünï/日本",
        "site/a//b",
        "site/./a",
        "site/../a",
        "site/~a",
        "site/\"q\"'",
        "site/(!*)",
        "site/dir/",
    ];
    for key in keys {
        s.origin.put(key, key, ObjectMeta::default()).unwrap();
    }
    for key in keys {
        let answer = s.get(key).await;
        assert_eq!((answer.status, answer.text()), (200, key));
    }
    let served: Vec<_> = s.origin.take_served().into_iter().map(|r| r.key).collect();
    assert_eq!(served, keys);
}

#[tokio::test]
async fn ranges_and_conditions() {
    let s = setup().await;
    let etag = s.put("site/a", "0123456789");
    let cases: &[(&str, &str, u16, &str, &str)] = &[
        ("range", "bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("range", "bytes=-3", 206, "789", "bytes 7-9/10"),
        ("range", "bytes=0-1,3-4", 200, "0123456789", ""),
        ("range", "lines=0-1", 200, "0123456789", ""),
        ("range", "bytes=x", 200, "0123456789", ""),
        ("if-none-match", &etag, 304, "", ""),
        ("if-none-match", "\"other\"", 200, "0123456789", ""),
        ("if-match", &etag, 200, "0123456789", ""),
    ];
    for (name, value, status, body, content_range) in cases {
        let answer = s.ask(&READER, "GET", "site/a", &[(name, value)]).await;
        assert_eq!((answer.status, answer.text()), (*status, *body), "{name}: {value}");
        assert_eq!(answer.header("content-range"), *content_range, "{name}: {value}");
        assert_eq!(answer.header("etag"), etag, "{name}: {value}");
        let head = s.ask(&READER, "HEAD", "site/a", &[(name, value)]).await;
        assert_eq!((head.status, head.body.len()), (*status, 0), "HEAD {name}: {value}");
    }
    let beyond = s.ask(&READER, "GET", "site/a", &[("range", "bytes=10-")]).await;
    assert_eq!(beyond.error(), (416, "InvalidRange"));
    assert!(beyond.text().contains("<ActualObjectSize>10<"), "{}", beyond.text());
    let changed = s.ask(&READER, "GET", "site/a", &[("if-match", "\"x\""), ("range", "bytes=0-1")]).await;
    assert_eq!(changed.error(), (412, "PreconditionFailed"));
}

#[tokio::test]
async fn missing_keys_and_listings_depend_on_list_bucket() {
    let s = setup().await;
    s.put("site/a&b", "x");
    s.put("site/c", "x");
    s.put("z", "x");
    assert_eq!(s.get("site/none").await.error(), (403, "AccessDenied"));
    assert_eq!(s.ask(&LISTER, "GET", "site/none", &[]).await.error(), (404, "NoSuchKey"));
    let head = s.ask(&LISTER, "HEAD", "site/none", &[("range", "bytes=0-0")]).await;
    assert_eq!((head.status, head.body.len()), (404, 0));

    for path in ["/private-assets", "/private-assets/", "/private-assets/?list-type=2"] {
        assert_eq!(s.get_path(&READER, path).await.error(), (403, "AccessDenied"), "{path}");
        assert_eq!(s.get_path(&LISTER, path).await.status, 200, "{path}");
    }
    let listing = s.get_path(&LISTER, "/private-assets/?list-type=2&max-keys=1&prefix=site%2F").await;
    for part in ["<Key>site/a&amp;b</Key>", "<KeyCount>1</KeyCount>", "<IsTruncated>true</IsTruncated>"] {
        assert!(listing.text().contains(part), "{part} in {}", listing.text());
    }
    assert!(!listing.text().contains("<Key>z</Key>"));
    assert_eq!(s.get_path(&LISTER, "/other-bucket/a").await.error(), (404, "NoSuchBucket"));
    assert_eq!(s.get_path(&LISTER, "/private-assets/z?acl").await.error(), (403, "AccessDenied"));
    let renamed = s.get_path(&LISTER, "/private-assets/z?response-content-type=text%2Fhtml").await;
    assert_eq!((renamed.status, renamed.header("content-type")), (200, "text/html"));
    s.origin.remove("z").unwrap();
    assert_eq!(s.ask(&LISTER, "GET", "z", &[]).await.error(), (404, "NoSuchKey"));
}

#[tokio::test]
async fn the_kms_key_decides_over_get_and_not_head() {
    let s = setup().await;
    let etag = s.put("site/a", "x");
    let plain = ObjectMeta { encryption: Encryption::SseS3, ..ObjectMeta::default() };
    s.origin.put("site/s3", "x", plain).unwrap();
    for (state, expected, text) in [
        (KeyState::Disabled, (400, "KMS.DisabledException"), "key/abc is disabled."),
        (KeyState::PendingDeletion, (400, "KMS.KMSInvalidStateException"), "key/abc is pending deletion."),
        (KeyState::AccessDenied, (403, "AccessDenied"), "kms:Decrypt on resource: &quot;arn:aws:kms:"),
    ] {
        s.origin.set_key_state(state);
        let refused = s.get("site/a").await;
        assert_eq!(refused.error(), expected);
        assert!(refused.text().contains(text), "{}", refused.text());
        assert_eq!(s.ask(&READER, "GET", "site/a", &[("if-none-match", &etag)]).await.error(), expected);
        assert_eq!(s.ask(&READER, "HEAD", "site/a", &[]).await.status, 200, "{state:?}");
        let other = s.get("site/s3").await;
        assert_eq!((other.status, other.header("x-amz-server-side-encryption")), (200, "AES256"));
    }
    s.origin.set_key_state(KeyState::Enabled);
    assert_eq!(s.get("site/a").await.status, 200);
}

#[tokio::test]
async fn etags_are_the_md5_only_without_kms() {
    let s = setup().await;
    let put = |encryption| {
        let meta = ObjectMeta { encryption, ..ObjectMeta::default() };
        s.origin.put("site/a", "hello", meta).unwrap()
    };
    let md5 = "\"5d41402abc4b2a76b9719d911017c592\"";
    assert_eq!(put(Encryption::SseS3), md5);
    assert_eq!(put(Encryption::None), md5);
    let (one, two) = (put(Encryption::SseKms), put(Encryption::SseKms));
    assert!(one != md5 && one != two, "{one} {two}");
    assert!(std::fs::read(s.origin.object_file("site/a")).unwrap().windows(5).all(|w| w != b"hello"));
}

#[tokio::test]
async fn slow_down_passes() {
    let s = setup().await;
    s.put("site/a", "x");
    s.origin.slow_down(2);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(s.get("site/a").await.status);
    }
    assert_eq!(statuses, [503, 503, 200]);
}

#[tokio::test]
async fn held_requests_wait_together() {
    let s = setup().await;
    s.put("site/a", "x");
    let hold = s.origin.hold();
    let held = async { tokio::join!(s.get("site/a"), s.get("site/a"), s.get("site/a")) };
    let release = async {
        hold.until_waiting(3).await;
        assert_eq!(s.ask(&READER, "HEAD", "site/a", &[]).await.status, 200, "HEAD is not held");
        let served = s.origin.take_served();
        assert_eq!(served.iter().map(|r| r.method.as_str()).collect::<Vec<_>>(), ["HEAD"]);
        drop(hold);
    };
    let both = async { tokio::join!(held, release) };
    let ((a, b, c), ()) = tokio::time::timeout(DEADLINE, both).await.unwrap();
    assert_eq!([a.status, b.status, c.status], [200; 3]);
    assert_eq!(s.origin.served().len(), 3);
}

#[tokio::test]
async fn large_bodies_come_in_pieces_and_can_be_held_midway() {
    let s = setup().await;
    let body = Bytes::from(vec![7; 1 << 20]);
    s.origin.put("site/big", body.clone(), ObjectMeta::default()).unwrap();
    let hold = s.origin.hold_body_after(100_000);
    let mut request = s.request("GET", "site/big", &[]);
    READER.sign(&mut request);
    let (head, mut incoming) = s.begin(request).await.into_parts();
    assert_eq!(head.headers["content-length"], "1048576");
    tokio::time::timeout(DEADLINE, hold.until_waiting(1)).await.unwrap();
    let mut got = 0;
    while got < 100_000 {
        got += incoming.frame().await.unwrap().unwrap().data_ref().unwrap().len();
    }
    assert_eq!(got, 100_000);
    drop(hold);
    assert_eq!(incoming.collect().await.unwrap().to_bytes(), body.slice(got..));
}

#[tokio::test]
async fn shutdown_cuts_a_body() {
    let s = setup().await;
    s.put("site/a", "0123456789");
    let hold = s.origin.hold_body_after(4);
    let mut request = s.request("GET", "site/a", &[]);
    READER.sign(&mut request);
    let response = s.begin(request).await;
    tokio::time::timeout(DEADLINE, hold.until_waiting(1)).await.unwrap();
    s.origin.shutdown();
    assert!(response.into_body().collect().await.is_err(), "short of its Content-Length");
}

#[tokio::test]
async fn served_tells_what_was_sent() {
    let s = setup().await;
    s.put("site/a b", "0123456789");
    s.ask(&READER, "GET", "site/a b", &[("range", "bytes=0-1"), ("if-none-match", "\"x\"")]).await;
    let served = s.origin.take_served();
    assert!(s.origin.served().is_empty());
    let [one] = &served[..] else { panic!("{served:?}") };
    assert_eq!((one.method.as_str(), &*one.key, one.status), ("GET", "site/a b", 206));
    assert_eq!(one.path_and_query, "/private-assets/site/a%20b");
    assert_eq!((one.range.as_deref(), one.if_none_match.as_deref()), (Some("bytes=0-1"), Some("\"x\"")));
    assert_eq!(
        (one.authorization_region.as_deref(), one.access_key_id.as_deref()),
        (Some("eu-west-1"), Some("reader"))
    );
    let signed = "host;if-none-match;range;x-amz-content-sha256;x-amz-date;x-amz-security-token";
    assert_eq!(one.signed_headers.as_deref(), Some(signed));
    let signature = one.headers["authorization"].to_str().unwrap();
    assert!(!format!("{one:?}").contains(signature), "Debug shows names only");
}
