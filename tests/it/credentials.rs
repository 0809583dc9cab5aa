//! Temporary credentials, wrong ones, none at all, another Region, another clock: and the role of the real binary.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use edgeseal::demo::store::Identity;
use edgeseal::origin::credentials::CredentialSource;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::support::process::Process;
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, get, plain};
use crate::support::{BUCKET, Bucket, KEY_ARN, PLAIN, Stage, eventually};

const TOKEN: &str = "FwoGZXIvYXdzEXAMPLE/a/session/token==";

/// A key pair of a role's session that the bucket knows.
fn session(number: u32) -> Identity {
    Identity {
        access_key_id: format!("ASIASESSION00000000{number}"),
        secret_access_key: format!("session/secret/of/forty/characters/0000{number}"),
        session_token: Some(format!("{TOKEN}{number}")),
        prefix: String::new(),
        list_bucket: false,
    }
}

fn credentials(of: &Identity, expiry: Option<SystemTime>) -> Credentials {
    Credentials::new(&of.access_key_id, &of.secret_access_key, of.session_token.clone(), expiry, "test")
}

/// Gives one after the other, then the last for ever.
#[derive(Debug)]
struct Fake {
    answers: Mutex<VecDeque<Credentials>>,
    loads: Arc<AtomicUsize>,
}

impl Fake {
    async fn start(
        answers: impl IntoIterator<Item = Credentials>,
    ) -> (Arc<CredentialSource>, Arc<AtomicUsize>) {
        let loads = Arc::new(AtomicUsize::new(0));
        let fake = Self { answers: Mutex::new(answers.into_iter().collect()), loads: Arc::clone(&loads) };
        let source = CredentialSource::start(BUCKET.into(), SharedCredentialsProvider::new(fake));
        source.ready(Duration::from_secs(5)).await;
        (source, loads)
    }
}

impl ProvideCredentials for Fake {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        future::ProvideCredentials::ready(next.ok_or_else(CredentialsError::not_loaded_no_source))
    }
}

async fn admin(stage: &Stage, path: &str) -> Seen {
    plain(stage.server.admin, Method::GET, path, &[("host", "localhost")]).await
}

fn assert_no_secret(seen: &Seen) {
    let text = format!("{:?}\n{}", seen.headers, seen.text());
    for secret in [TOKEN, "ASIASESSION", "session/secret"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

fn passing() -> &'static str {
    "[[distribution]]\n$BUCKET[distribution.default_cache_behavior]\ncache_policy = \"CachingDisabled\"\n"
}

#[tokio::test]
async fn a_session_token_is_sent_and_signed() {
    let one = session(1);
    let bucket = Bucket::of(vec![one.clone()]).await;
    bucket.put("a", "a");
    let source = CredentialSource::fixed(credentials(&one, None));
    let stage = Stage::start_with(PLAIN, &bucket.origin.url(), source).await;
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
    let served = bucket.origin.take_served();
    assert_eq!(served[0].headers["x-amz-security-token"], format!("{TOKEN}1"));
    let signed = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token"; // s3 §1.4
    assert_eq!(served[0].signed_headers.as_deref(), Some(signed));

    let without = Identity { session_token: None, ..one };
    let source = CredentialSource::fixed(credentials(&without, None));
    let stage = Stage::start_with(PLAIN, &bucket.origin.url(), source).await;
    let seen = get(stage.https(), "/a").await;
    assert_eq!(seen.status, 502); // s3 §1.16: a temporary key without its token is unknown
    assert!(seen.text().contains("<Code>InvalidAccessKeyId</Code>"), "{}", seen.text());
    assert_no_secret(&seen);
}

#[tokio::test]
async fn an_expired_token_is_replaced_once_and_the_viewer_gets_the_object() {
    let (one, two) = (session(1), session(2));
    let bucket = Bucket::of(vec![one.clone(), two.clone()]).await;
    bucket.put("a", "a");
    bucket.origin.expire_token(&one.access_key_id);
    let (source, loads) = Fake::start([credentials(&one, None), credentials(&two, None)]).await;
    let stage = Stage::start_with(PLAIN, &bucket.origin.url(), source).await;
    let seen = get(stage.https(), "/a").await;
    assert_eq!((seen.status, seen.text()), (200, "a")); // s3 §2.16
    let served: Vec<_> = bucket.origin.served().into_iter().map(|s| (s.status, s.access_key_id)).collect();
    assert_eq!(served, [(400, Some(one.access_key_id)), (200, Some(two.access_key_id))]);
    assert_eq!(loads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn many_viewers_with_an_expired_token_share_one_refresh() {
    let (one, two) = (session(1), session(2));
    let bucket = Bucket::of(vec![one.clone(), two.clone()]).await;
    for n in 0..20 {
        bucket.put(&n.to_string(), "a");
    }
    bucket.origin.expire_token(&one.access_key_id);
    let (source, loads) = Fake::start([credentials(&one, None), credentials(&two, None)]).await;
    let stage = Stage::start_with(PLAIN, &bucket.origin.url(), source).await;
    let held = bucket.origin.hold();
    let edge = stage.https();
    let viewers: Vec<_> =
        (0..20).map(|n| tokio::spawn(async move { get(edge, &format!("/{n}")).await })).collect();
    held.until_waiting(20).await;
    drop(held);
    for viewer in viewers {
        assert_eq!(viewer.await.unwrap().status, 200);
    }
    assert_eq!((loads.load(Ordering::Relaxed), bucket.origin.served().len()), (2, 40));
}

#[tokio::test]
async fn an_expired_token_that_comes_again_is_not_tried_again() {
    let one = session(1);
    let bucket = Bucket::of(vec![one.clone()]).await;
    bucket.put("a", "a");
    bucket.origin.expire_token(&one.access_key_id);
    let (source, loads) = Fake::start([credentials(&one, None)]).await;
    let stage = Stage::start_with(PLAIN, &bucket.origin.url(), source).await;
    for _ in 0..3 {
        let seen = get(stage.https(), "/a").await;
        assert_eq!(seen.status, 502);
        assert!(seen.text().contains("<Code>ExpiredToken</Code>"), "{}", seen.text());
        assert_no_secret(&seen);
        // One refresh, and no second question with what was refused; the 502 is remembered (behaviour §8.1).
        assert_eq!((bucket.fetches("a"), loads.load(Ordering::Relaxed)), (1, 2));
    }
}

#[tokio::test]
async fn a_wrong_region_is_learned_from_the_answer() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    bucket.put("b", "b");
    let toml =
        format!("[[distribution]]\n[[distribution.origin]]\nbucket = \"{BUCKET}\"\nregion = \"us-east-1\"\n");
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
    assert_eq!(get(stage.https(), "/b").await.text(), "b");
    let asked: Vec<_> = bucket
        .origin
        .served()
        .into_iter()
        .map(|s| (s.key, s.authorization_region.unwrap(), s.status))
        .collect();
    let asked: Vec<_> = asked.iter().map(|(key, region, status)| (&**key, &**region, *status)).collect();
    // s3 §2.9
    assert_eq!(asked, [("a", "us-east-1", 400), ("a", "eu-west-1", 200), ("b", "eu-west-1", 200)]);
}

#[tokio::test]
async fn a_region_is_learned_from_a_bare_head_and_only_once() {
    let moved = |region: &str| {
        Act::send(&format!("HTTP/1.1 400 X\r\nx-amz-bucket-region: {region}\r\ncontent-length: 0\r\n\r\n"))
    };
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    let script =
        [moved("ap-south-2"), Act::send(whole), moved("eu-west-2"), moved("eu-west-3"), Act::send(whole)];
    let origin = Scripted::start(script).await;
    let stage = Stage::start(passing(), &origin.url()).await;
    // s3 §2.8, §2.9: one correction for each question
    for (status, questions) in [(200, 2), (400, 4)] {
        let seen = ask(stage.https(), Method::HEAD, "/a", &[]).await;
        assert_eq!((seen.status, origin.heads().len()), (status, questions));
    }
    let asked: Vec<_> = origin.heads().iter().map(|head| scope(head).to_owned()).collect();
    assert_eq!(asked, ["eu-west-1", "ap-south-2", "ap-south-2", "eu-west-2"]);
}

/// The Region in a request's credential scope.
fn scope(head: &str) -> &str {
    head.split("Credential=").nth(1).unwrap().split('/').nth(2).unwrap()
}

#[tokio::test]
async fn a_skewed_clock_is_corrected_by_s3s() {
    let ahead = SystemTime::now() + Duration::from_secs(3_600);
    let time = time::OffsetDateTime::from(ahead).replace_nanosecond(0).unwrap();
    let server_time = time.format(&time::format_description::well_known::Rfc3339).unwrap();
    let skewed = format!(
        "<Error><Code>RequestTimeTooSkewed</Code><ServerTime>{server_time}</ServerTime>\
         <MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds></Error>"
    );
    let refused = || Act::error(403, &skewed);
    let origin = Scripted::start([refused(), Act::ok("a"), Act::ok("b"), refused(), refused()]).await;
    let stage = Stage::start(PLAIN, &origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
    assert_eq!(get(stage.https(), "/b").await.text(), "b");
    let seen = get(stage.https(), "/c").await; // s3 §1.7: once for each question
    assert_eq!((seen.status, origin.heads().len()), (502, 5));
    let off = |head: &String| (date(head) - time::OffsetDateTime::now_utc()).whole_minutes();
    let minutes: Vec<_> = origin.heads().iter().map(off).collect();
    assert!((-1..=0).contains(&minutes[0]), "{minutes:?}");
    assert!(minutes[1..].iter().all(|minutes| (58..=60).contains(minutes)), "{minutes:?}");
}

/// A request's `x-amz-date`.
fn date(head: &str) -> time::OffsetDateTime {
    let text = head.split("x-amz-date: ").nth(1).unwrap();
    let number = |from: usize, to: usize| text[from..to].parse::<u8>().unwrap();
    let month = time::Month::try_from(number(4, 6)).unwrap();
    let day = time::Date::from_calendar_date(text[..4].parse().unwrap(), month, number(6, 8)).unwrap();
    day.with_hms(number(9, 11), number(11, 13), number(13, 15)).unwrap().assume_utc()
}

#[tokio::test]
async fn without_credentials_nothing_is_asked_and_the_edge_is_not_ready() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let (source, _) = Fake::start([]).await;
    let stage = Stage::start_with(PLAIN, &bucket.origin.url(), source).await;
    let seen = get(stage.https(), "/a").await;
    assert_eq!((seen.status, seen.header("x-cache")), (502, "Error from edgeseal"));
    assert!(bucket.origin.served().is_empty(), "an unsigned request tells S3 and gets nothing");
    let ready = admin(&stage, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("no provider in the credential chain has credentials"), "{}", ready.text());
}

#[tokio::test]
async fn credentials_that_run_out_are_not_used_any_more() {
    let one = session(1);
    let bucket = Bucket::of(vec![one.clone()]).await;
    bucket.put("a", "a");
    let expiry = SystemTime::now() + Duration::from_millis(2_500);
    let source = CredentialSource::fixed(credentials(&one, Some(expiry)));
    let stage = Stage::start_with(passing(), &bucket.origin.url(), source).await;
    assert_eq!(get(stage.https(), "/a").await.status, 200);
    assert_eq!(admin(&stage, "/readyz").await.status, 200);
    let seconds = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    admin(&stage, "/metrics").await;
    let sample = format!("edgeseal_credentials_expiry_timestamp_seconds{{origin=\"{BUCKET}\"}}");
    assert!((stage.metric(&sample) - seconds).abs() < 1.0, "{}", stage.metric(&sample));

    eventually("the expiry", || async { get(stage.https(), "/a").await.status == 502 }).await;
    let asked = bucket.origin.served().len();
    assert_eq!(get(stage.https(), "/a").await.status, 502);
    assert_eq!(bucket.origin.served().len(), asked);
    let ready = admin(&stage, "/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("the credentials have expired"), "{}", ready.text());
    assert_no_secret(&ready);
}

/// An STS that gives this session for every role, and remembers the forms that it was sent.
async fn sts(session: &Identity) -> (String, Arc<Mutex<Vec<String>>>) {
    let answer = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROA:a</AssumedRoleId>\
         <Arn>arn:aws:sts::111122223333:assumed-role/edge/a</Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>",
        session.access_key_id,
        session.secret_access_key,
        session.session_token.as_deref().unwrap_or_default(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let forms = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&forms);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, answer) = (Arc::clone(&seen), answer.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (seen, answer) = (Arc::clone(&seen), answer.clone());
                async move {
                    let form = request.into_body().collect().await?.to_bytes();
                    seen.lock().unwrap().push(String::from_utf8_lossy(&form).into_owned());
                    let response = Response::builder().header("content-type", "text/xml");
                    Ok::<_, hyper::Error>(response.body(Full::new(Bytes::from(answer))).unwrap())
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (url, forms)
}

/// A field of a form, decoded.
fn field(form: &str, name: &str) -> String {
    let value =
        form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
    percent_encoding::percent_decode_str(&value.replace('+', " ")).decode_utf8().unwrap().into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_serves_under_a_narrowed_role_and_says_nothing_of_it() {
    let role = session(7);
    let bucket = Bucket::of(vec![Identity { prefix: "site/".into(), ..role.clone() }]).await;
    bucket.put("site/a", "a");
    let (sts, forms) = sts(&role).await;
    let toml = format!(
        "[[distribution]]\n[[distribution.origin]]\nbucket = \"{BUCKET}\"\nregion = \"eu-west-1\"\norigin_path = \"/site\"\n\
         role_arn = \"arn:aws:iam::111122223333:role/edge\"\nexternal_id = \"ext-1\"\nkms_keys = [\"{KEY_ARN}\"]\n"
    );
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIABASE000000000000"),
        ("AWS_SECRET_ACCESS_KEY", "base/secret/of/forty/characters/00000000"),
        ("AWS_ENDPOINT_URL_STS", &sts),
        ("AWS_ENDPOINT_URL_S3", &bucket.origin.url()),
    ];
    let process = Process::start(&toml, &variables);

    let seen = get(process.https, "/a").await;
    assert_eq!((seen.status, seen.text()), (200, "a"));
    let served = bucket.origin.take_served();
    assert_eq!(served[0].access_key_id.as_deref(), Some(&*role.access_key_id));
    assert_eq!(get(process.https, "/missing").await.status, 403);

    let forms = forms.lock().unwrap().clone();
    let [form] = forms.as_slice() else { panic!("{forms:?}") };
    assert_eq!(field(form, "Action"), "AssumeRole");
    assert_eq!(field(form, "RoleArn"), "arn:aws:iam::111122223333:role/edge");
    assert_eq!(field(form, "ExternalId"), "ext-1");
    let policy: serde_json::Value = serde_json::from_str(&field(form, "Policy")).unwrap();
    // s3 §5.5: exactly this bucket and prefix, exactly this key, and through S3 only
    let expected = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::private-assets/site/*" },
            {
                "Effect": "Allow", "Action": "kms:Decrypt", "Resource": [KEY_ARN],
                "Condition": {
                    "StringEquals": { "kms:ViaService": "s3.eu-west-1.amazonaws.com" },
                    "StringLike": { "kms:EncryptionContext:aws:s3:arn":
                        ["arn:aws:s3:::private-assets", "arn:aws:s3:::private-assets/site/*"] },
                },
            },
        ],
    });
    assert_eq!(policy, expected);

    let metrics = plain(process.admin, Method::GET, "/metrics", &[("host", "localhost")]).await;
    let expiry = format!("edgeseal_credentials_expiry_timestamp_seconds{{origin=\"{BUCKET}\"}} 4070908800");
    assert!(metrics.text().lines().any(|line| line == expiry), "{}", metrics.text());
    let ready = plain(process.admin, Method::GET, "/readyz", &[("host", "localhost")]).await;
    assert_eq!(ready.status, 200, "{}", ready.text());

    let (diagnostics, log) = process.stop();
    assert!(diagnostics.contains("the origin refused"), "it is as talkative as it can be: {diagnostics}");
    assert_eq!(log.lines().count(), 2, "{log}");
    for text in [&diagnostics, &log, &metrics.text().to_owned(), &ready.text().to_owned()] {
        for secret in [
            TOKEN,
            &role.access_key_id,
            "session/secret",
            "base/secret",
            "AKIABASE",
            "AWS4-HMAC",
            "assumed-role",
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_with_a_wrong_secret_starts_and_keeps_it_to_itself() {
    let one = session(1);
    let bucket = Bucket::of(vec![one.clone()]).await;
    bucket.put("a", "a");
    let variables = [
        ("AWS_ACCESS_KEY_ID", &*one.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", "a/wrong/session/secret"),
        ("AWS_SESSION_TOKEN", one.session_token.as_deref().unwrap()),
        ("AWS_ENDPOINT_URL_S3", &bucket.origin.url()),
    ];
    let toml =
        format!("[[distribution]]\n[[distribution.origin]]\nbucket = \"{BUCKET}\"\nregion = \"eu-west-1\"\n");
    let process = Process::start(&toml, &variables);
    let seen = get(process.https, "/a").await;
    assert_eq!(seen.status, 502); // s3 §1.16
    assert!(seen.text().contains("<Code>SignatureDoesNotMatch</Code>"), "{}", seen.text());
    assert_no_secret(&seen);
    let (diagnostics, log) = process.stop();
    assert!(diagnostics.contains("signature_mismatch"), "{diagnostics}");
    assert!(log.contains("SignatureDoesNotMatch"), "{log}");
    for text in [&diagnostics, &log] {
        for secret in [TOKEN, &one.access_key_id, "session/secret", "StringToSign", "AWS4-HMAC"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
