//! S3 says no: what is tried again, what the viewer sees of it, and what nobody ever sees.

use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use edgeseal::demo::store::{EmbeddedOrigin, KeyState};
use edgeseal::origin::credentials::CredentialSource;
use http::Method;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, get};
use crate::support::{ACCESS_KEY, BUCKET, Bucket, KEY_ARN, PLAIN, SECRET_KEY, Stage};

const PASSING: &str =
    "[[distribution]]\n$BUCKET[distribution.default_cache_behavior]\ncache_policy = \"CachingDisabled\"\n";

/// What the embedded origin's error bodies hold, as S3's do (s3 §2.10, §2.12).
const BAIT: [&str; 9] = [
    "arn:aws",
    "111122223333",
    "assumed-role",
    KEY_ARN,
    ACCESS_KEY,
    SECRET_KEY,
    "StringToSign",
    "AWS4-HMAC-SHA256",
    "the/session/token",
];

fn assert_clean(seen: &Seen, what: &str) {
    let page = format!("{:?}\n{}", seen.headers, seen.text());
    for bait in BAIT.iter().chain(&[BUCKET, "HostId", "x-amz-request-id", "x-amz-id-2", "AmazonS3"]) {
        assert!(!page.contains(bait), "{what}: {bait} in {page}");
    }
}

/// S3's code and nothing else of S3's, and the edge's own request id.
fn assert_refusal(seen: &Seen, status: u16, code: &str) {
    assert_eq!(seen.status, status, "{code}: {}", seen.text());
    assert!(seen.text().contains(&format!("<Code>{code}</Code>")), "{code}: {}", seen.text());
    let id = format!("<RequestId>{}</RequestId>", seen.header("x-amz-cf-id"));
    assert!(seen.text().contains(&id), "{code}: {}", seen.text());
    assert_eq!(seen.header("content-type"), "application/xml", "{code}");
    assert_eq!(seen.header("x-cache"), "Error from edgeseal", "{code}");
    assert_clean(seen, code);
}

fn denied(stage: &Stage, cause: &str) -> f64 {
    stage.metric(&format!("edgeseal_origin_denied_total{{cause=\"{cause}\",origin=\"{BUCKET}\"}}"))
}

fn answered(stage: &Stage, status: u16) -> f64 {
    stage.metric(&format!("edgeseal_origin_requests_total{{origin=\"{BUCKET}\",status=\"{status}\"}}"))
}

fn xml(code: &str, rest: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>{rest}</Error>")
}

#[tokio::test]
async fn a_refusal_keeps_s3s_code_and_nothing_else() {
    type Change = fn(&EmbeddedOrigin);
    let bucket = Bucket::with(|reader| reader.prefix = "site/".into()).await;
    bucket.put("site/a", "a");
    bucket.put("other/a", "a");
    let stage = Stage::start(PASSING, &bucket.origin.url()).await;
    // s3 §2.7, §2.11, §2.12
    let table: [(Change, &str, u16, &str, &str); 5] = [
        (
            |o| o.set_key_state(KeyState::Disabled),
            "/site/a",
            400,
            "KMS.DisabledException",
            "kms_key_disabled",
        ),
        (
            |o| o.set_key_state(KeyState::PendingDeletion),
            "/site/a",
            400,
            "KMS.KMSInvalidStateException",
            "kms_key_invalid_state",
        ),
        (|o| o.set_key_state(KeyState::AccessDenied), "/site/a", 403, "AccessDenied", "kms_access_denied"),
        (|_| (), "/other/a", 403, "AccessDenied", "access_denied"),
        (|_| (), "/site/missing", 403, "AccessDenied", "access_denied"),
    ];
    for (change, target, status, code, cause) in table {
        change(&bucket.origin);
        let before = denied(&stage, cause);
        assert_refusal(&get(stage.https(), target).await, status, code);
        assert_eq!(denied(&stage, cause), before + 1.0, "{code} {cause}");
    }
    assert_eq!((answered(&stage, 400), answered(&stage, 403)), (2.0, 3.0));

    let listable = Bucket::listable().await;
    let stage = Stage::start(PASSING, &listable.origin.url()).await;
    assert_refusal(&get(stage.https(), "/missing").await, 404, "NoSuchKey");
    assert_eq!(answered(&stage, 404), 1.0);
}

#[tokio::test]
async fn what_the_embedded_origin_does_not_say_is_refused_alike() {
    // s3 §1.16, §2.11, §2.12, §2.14: status and code for the viewer, cause for the operator
    let table = [
        (403, "InvalidObjectState", "<StorageClass>GLACIER</StorageClass>", 403, "archived"),
        (400, "KMS.NotFoundException", "", 400, "kms_key_not_found"),
        (400, "KMS.InvalidKeyUsageException", "", 400, "kms_key_invalid_usage"),
        (
            403,
            "InvalidAccessKeyId",
            "<AWSAccessKeyId>AKIAREADER0000000000</AWSAccessKeyId>",
            502,
            "unknown_access_key",
        ),
        (403, "AccessDenied", "<HeadersNotSigned>x-amz-a</HeadersNotSigned>", 502, "headers_not_signed"),
        (403, "AllAccessDisabled", "", 403, "access_denied"),
        (400, "InvalidToken", "<Token-0>the/session/token</Token-0>", 502, "invalid_token"),
    ];
    for (status, code, rest, expected, cause) in table {
        let body = xml(code, rest);
        let origin = Scripted::start([Act::error(status, &body), Act::error(status, &body)]).await;
        let stage = Stage::start(PLAIN, &origin.url()).await;
        assert_refusal(&get(stage.https(), "/a").await, expected, code);
        assert_eq!(denied(&stage, cause), 1.0, "{code}");
    }
    let body = xml("NoSuchBucket", "<BucketName>private-assets</BucketName>");
    let gone = Scripted::start([Act::error(404, &body)]).await;
    let stage = Stage::start(PLAIN, &gone.url()).await;
    assert_refusal(&get(stage.https(), "/a").await, 502, "NoSuchBucket");
}

#[tokio::test]
async fn an_error_body_that_is_none_of_s3s_still_is_the_status() {
    let long = xml("InvalidObjectState", &format!("<Message>{}</Message>", "a".repeat(100_000)));
    let late = format!("{}{}", " ".repeat(100_000), xml("InvalidObjectState", ""));
    let bomb = "<!DOCTYPE x [<!ENTITY a \"arn:aws\">]><Error><Code>&a;</Code></Error>";
    let table = [
        ("longer than is read", long.as_str(), "InvalidObjectState"), // s3 §2.10
        ("its code behind what is read", &late, "Forbidden"),
        ("HTML", "<html><body>arn:aws:s3:::private-assets</body></html>", "Forbidden"),
        ("no markup", "arn:aws:iam::111122223333:user/a", "Forbidden"),
        ("nothing", "", "Forbidden"),
        ("an entity of its own", bomb, "Forbidden"),
        ("a code that is none", "<Error><Code>arn:aws:iam::111122223333:user/a</Code></Error>", "Forbidden"),
        ("broken off", "<Error><Code>InvalidObjectState</Code><Mess", "InvalidObjectState"),
    ];
    let origin = Scripted::start(table.map(|(_, body, _)| Act::error(403, body))).await;
    let stage = Stage::start(PASSING, &origin.url()).await;
    for (what, _, code) in table {
        let seen = get(stage.https(), "/a").await;
        assert!(seen.text().contains(code), "{what}: {}", seen.text());
        assert_refusal(&seen, 403, code);
    }
}

#[tokio::test]
async fn an_error_body_that_is_cut_short_is_read_as_far_as_it_goes() {
    let cut = "HTTP/1.1 403 X\r\ncontent-length: 500\r\n\r\n<Error><Code>InvalidObjectState</Code>";
    let origin = Scripted::start([Act::send_and_close(cut)]).await;
    let stage = Stage::start(PASSING, &origin.url()).await;
    assert_refusal(&get(stage.https(), "/a").await, 403, "InvalidObjectState");
}

#[tokio::test]
async fn a_head_that_is_refused_has_the_status_alone() {
    let bucket = Bucket::listable().await;
    for toml in [PASSING, PLAIN] {
        let stage = Stage::start(toml, &bucket.origin.url()).await;
        let seen = ask(stage.https(), Method::HEAD, "/missing", &[]).await;
        assert_eq!((seen.status, seen.text()), (404, ""));
        assert_eq!(seen.header("x-cache"), "Error from edgeseal");
        assert_clean(&seen, "HEAD");
    }
    let asked: Vec<_> = bucket.origin.served().iter().map(|served| served.method.to_string()).collect();
    assert_eq!(asked, ["HEAD", "GET"]); // a cache asks for the object, s3 §2.8 is for the other
}

#[tokio::test]
async fn an_error_of_s3s_own_is_tried_once_more() {
    for status in [500, 502, 503, 504] {
        // s3 §2.16: two questions for one viewer, then the answer is remembered (behaviour §8.1)
        let failing = || Act::error(status, &xml("InternalError", ""));
        let origin = Scripted::start([failing(), Act::ok("a"), failing(), failing()]).await;
        let stage = Stage::start(PLAIN, &origin.url()).await;
        let seen = get(stage.https(), "/a").await;
        assert_eq!((seen.status, seen.text(), origin.heads().len()), (200, "a", 2));
        for _ in 0..3 {
            assert_refusal(&get(stage.https(), "/b").await, status, "InternalError");
            assert_eq!(origin.heads().len(), 4);
        }
    }
}

#[tokio::test]
async fn slow_down_is_waited_out_once() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    bucket.origin.slow_down(1);
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let seen = get(stage.https(), "/a").await;
    assert_eq!((seen.status, seen.text(), bucket.fetches("a")), (200, "a", 2));
}

#[tokio::test]
async fn slow_down_for_ever_is_503_and_remembered() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    bucket.origin.slow_down(u32::MAX);
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    for _ in 0..3 {
        let seen = get(stage.https(), "/a").await;
        assert_refusal(&seen, 503, "SlowDown");
        assert_eq!(seen.header("retry-after"), "1");
        assert_eq!(bucket.fetches("a"), 2); // s3 §2.16, behaviour §8.1
    }
}

#[tokio::test]
async fn the_origin_says_when_to_come_back() {
    let busy = |field: &str| {
        let body = xml("SlowDown", "");
        Act::send(&format!("HTTP/1.1 503 X\r\n{field}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    };
    let soon = || busy("x-amz-retry-after: 600");
    let origin = Scripted::start([soon(), Act::ok("a"), busy("x-a: 1"), busy("retry-after: 7")]).await;
    let stage = Stage::start(PLAIN, &origin.url()).await;
    let started = Instant::now();
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
    assert!(started.elapsed() >= Duration::from_millis(600), "{:?}", started.elapsed()); // s3 §2.16
    let seen = get(stage.https(), "/b").await;
    assert_eq!((seen.status, seen.header("retry-after")), (503, "7"));
}

#[tokio::test]
async fn what_the_edge_did_wrong_is_its_own_fault_and_nobody_elses_business() {
    let bucket = Bucket::with(|reader| reader.session_token = Some("the/session/token".into())).await;
    bucket.put("a", "a");
    let token = Some("the/session/token".to_owned());
    let wrong = Credentials::new(ACCESS_KEY, "not the secret", token, None, "test");
    let stage = Stage::start_with(PLAIN, &bucket.origin.url(), CredentialSource::fixed(wrong)).await;
    assert_refusal(&get(stage.https(), "/a").await, 502, "SignatureDoesNotMatch"); // s3 §1.16
    assert_eq!((denied(&stage, "signature_mismatch"), bucket.fetches("a")), (1.0, 1));

    let Stage { server, log, .. } = stage;
    server.drain().await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("\"x-edgeseal-origin-code\":\"SignatureDoesNotMatch\""), "{log}");
    for bait in BAIT.iter().chain(&["not the secret"]) {
        assert!(!log.contains(bait), "{bait} in {log}");
    }
}
