use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{self as chain, future};
use tokio::time::{advance, sleep};

use super::*;
use crate::config::{Endpoint, PayloadHash, Role, S3Origin, SigningBehavior};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// s3 §6.2: lifetime and jitter, and when the next load is due.
#[test]
fn refreshes_are_due_ahead_of_expiry() {
    let cases = [
        (None, 0.0, None),
        (Some(12 * 3600), 0.0, Some(8 * 3600)),
        (Some(3600), 0.0, Some(2400)),
        (Some(3600), 1.0, Some(2160)),
        (Some(3600), 0.5, Some(2280)),
        (Some(901), 0.0, Some(600)),
        (Some(900), 0.0, Some(600)),
        (Some(899), 0.0, Some(449)),
        (Some(60), 1.0, Some(27)),
        (Some(1), 0.0, Some(1)),
        (Some(0), 0.5, Some(1)),
    ];
    for (lifetime, jitter, expected) in cases {
        let due = next_refresh(lifetime.map(Duration::from_secs), jitter);
        assert_eq!(due.map(|due| due.as_secs()), expected, "{lifetime:?} {jitter}");
    }
    assert!(next_refresh(Some(Duration::MAX), 1.0).is_some(), "no overflow");
}

#[test]
fn failures_back_off() {
    let cases = [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (u32::MAX, 60)];
    for (failures, secs) in cases {
        assert_eq!(backoff(failures, 0.0), Duration::from_secs(secs), "{failures}");
        assert_eq!(backoff(failures, 1.0), Duration::from_secs(secs) / 2, "{failures}");
    }
}

#[tokio::test(start_paused = true)]
async fn refreshes_before_expiry() {
    let fake = Fake::new(|load| Ok(key(load, Some(HOUR))));
    let source = fake.start();
    source.ready(MINUTE).await;
    assert_eq!(key_of(&source), "KEY1");

    sleep(35 * MINUTE).await;
    assert_eq!(key_of(&source), "KEY1");
    sleep(6 * MINUTE).await;
    assert_eq!(key_of(&source), "KEY2");
    sleep(41 * MINUTE).await;
    assert_eq!((key_of(&source), fake.loads()), ("KEY3".to_owned(), 3));
}

#[tokio::test(start_paused = true)]
async fn failing_refresh_keeps_the_last_good() {
    let fake = Fake::new(|load| match load {
        1 | 6 => Ok(key(load, Some(HOUR))),
        _ => Err(CredentialsError::provider_error("arn:aws:iam::111122223333:role/x")),
    });
    let source = fake.start();
    source.ready(MINUTE).await;
    let usable = |source: &CredentialSource| match source.status(SystemTime::now()) {
        CredentialStatus::Usable { refresh_failing, .. } => refresh_failing,
        CredentialStatus::Missing { reason } => panic!("{reason}"),
    };
    assert_eq!(usable(&source), None);

    // Due after 36 to 40 minutes; then 0.5–1, 1–2, 2–4, 4–8 s until the sixth load.
    while fake.loads() < 5 {
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(key_of(&source), "KEY1");
    assert_eq!(usable(&source).as_deref(), Some("the credential provider failed"));
    let failing_for = Instant::now();
    while fake.loads() < 6 {
        sleep(Duration::from_millis(100)).await;
    }
    assert!(failing_for.elapsed() > Duration::from_secs(2), "{:?}", failing_for.elapsed());
    assert_eq!((key_of(&source), usable(&source)), ("KEY6".to_owned(), None));
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_none() {
    let fake = Fake::new(|load| match load {
        1 => Ok(key(load, Some(HOUR))),
        _ => Err(CredentialsError::not_loaded_no_source()),
    });
    let source = fake.start();
    source.ready(MINUTE).await;
    let expiry = source.current(SystemTime::now()).unwrap().expiry().unwrap();
    assert!(source.current(expiry - Duration::from_millis(1)).is_some());
    assert_eq!(source.status(expiry), missing("the credentials have expired"));
    assert!(source.current(expiry).is_none());

    sleep(2 * HOUR).await;
    assert_eq!(source.status(expiry), missing("no provider in the credential chain has credentials"));
}

/// The machine was suspended: the wall clock is past the expiry, the sleeping task does not know.
#[tokio::test(start_paused = true)]
async fn finding_them_expired_wakes_the_task() {
    let fake = Fake::new(|load| Ok(key(load, Some(load as u32 * HOUR))));
    let source = fake.start();
    source.ready(MINUTE).await;
    let later = SystemTime::now() + HOUR + MINUTE;
    assert!(source.current(later).is_none());

    sleep(Duration::from_secs(1)).await;
    assert_eq!(source.current(later).unwrap().access_key_id(), "KEY2");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_come_expired_are_a_failure() {
    let fake = Fake::new(|load| {
        Ok(Credentials::new(format!("KEY{load}"), SECRET, None, Some(SystemTime::UNIX_EPOCH), "t"))
    });
    let source = fake.start();
    source.ready(MINUTE).await;
    let status = source.status(SystemTime::now());
    assert_eq!(status, missing("the credential provider gave expired credentials"));
    sleep(MINUTE).await;
    assert!((6..12).contains(&fake.loads()), "backs off: {}", fake.loads());
}

#[tokio::test(start_paused = true)]
async fn refresh_is_single_flight() {
    let fake = Fake::slow(Duration::from_secs(3), |load| Ok(key(load, Some(HOUR))));
    let source = fake.start();
    source.ready(MINUTE).await;
    let seen = source.current(SystemTime::now()).unwrap();
    sleep(MINUTE).await;

    let callers: Vec<_> = (0..50)
        .map(|caller: u64| {
            let (source, seen) = (Arc::clone(&source), Arc::clone(&seen));
            tokio::spawn(async move {
                sleep(Duration::from_millis(caller * 50)).await;
                source.refresh(&seen).await;
                key_of(&source)
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "KEY2");
    }
    assert_eq!(fake.loads(), 2);

    sleep(MINUTE).await;
    source.refresh(&seen).await;
    assert_eq!((key_of(&source), fake.loads()), ("KEY2".to_owned(), 2), "already replaced");
}

#[tokio::test(start_paused = true)]
async fn refresh_asks_at_most_once_a_second() {
    let fake = Fake::new(|_| Ok(Credentials::new("KEY", SECRET, None, None, "test")));
    let source = fake.start();
    source.ready(MINUTE).await;
    let seen = source.current(SystemTime::now()).unwrap();
    for _ in 0..10 {
        source.refresh(&seen).await;
    }
    assert_eq!(fake.loads(), 2);
    let current = source.current(SystemTime::now()).unwrap();
    assert!(Arc::ptr_eq(&current, &seen), "the same credentials are no new ones");

    advance(Duration::from_secs(1)).await;
    source.refresh(&seen).await;
    assert_eq!(fake.loads(), 3);
}

#[tokio::test(start_paused = true)]
async fn refresh_and_ready_do_not_wait_for_ever() {
    let fake = Fake::slow(HOUR, |load| Ok(key(load, None)));
    let source = fake.start();
    let began = Instant::now();
    source.ready(5 * MINUTE / 60).await;
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    assert_eq!(source.status(SystemTime::now()), missing("the credentials are still being loaded"));

    source.ready(MINUTE).await;
    assert_eq!(source.status(SystemTime::now()), missing("the credential provider did not answer in time"));

    sleep(2 * Duration::from_secs(1)).await;
    let began = Instant::now();
    source.refresh(&Arc::new(key(0, None))).await;
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_expire_is_loaded_once() {
    let fake = Fake::new(|load| Ok(key(load, None)));
    let source = fake.start();
    sleep(10_000 * HOUR).await;
    assert_eq!((key_of(&source), fake.loads()), ("KEY1".to_owned(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_source_ends_its_task() {
    let fake = Fake::new(|load| Ok(key(load, None)));
    let source = fake.start();
    source.ready(MINUTE).await;
    let held = Arc::downgrade(&fake.0);
    drop(fake);
    assert!(held.upgrade().is_some(), "the task holds the provider");

    drop(source);
    // No timer is due: it has to be woken.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(held.upgrade().is_none());
}

#[tokio::test]
async fn fixed_credentials_stay() {
    let source = CredentialSource::fixed(key(7, None));
    source.ready(Duration::ZERO).await;
    let seen = source.current(SystemTime::now()).unwrap();
    source.refresh(&seen).await;
    assert_eq!(key_of(&source), "KEY7");
    let usable = CredentialStatus::Usable { expiry: None, refresh_failing: None };
    assert_eq!(source.status(SystemTime::now()), usable);
    let printed = format!("{source:?}");
    assert!(!printed.contains(SECRET) && !printed.contains("KEY7"), "{printed}");
}

/// s3 §5.5, §6.3.
#[tokio::test]
async fn a_role_is_assumed_with_the_session_policy() {
    let sts = scripted::serve(|_| {
        let body = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
            <Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
            <SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
            <AssumedRoleUser><AssumedRoleId>AROA:pop</AssumedRoleId>\
            <Arn>arn:aws:sts::111122223333:assumed-role/edge-origin/pop</Arn></AssumedRoleUser>\
            </AssumeRoleResult></AssumeRoleResponse>";
        (200, "text/xml", body.to_owned())
    })
    .await;
    let origin = origin_with_role();
    let provider = provider_for(&origin, "/public", &sdk_for(&sts.url).await).await.unwrap();
    let source = CredentialSource::start("assets".into(), provider);
    source.ready(MINUTE).await;

    assert_eq!(key_of(&source), "ASIAEXAMPLE");
    let asked = sts.asked.lock().unwrap().clone();
    let [form] = asked.as_slice() else { panic!("{asked:?}") };
    let policy = crate::origin::session_policy::document(&origin, "/public").unwrap();
    let expected = [
        ("Action", "AssumeRole"),
        ("RoleArn", "arn:aws:iam::111122223333:role/edge-origin"),
        ("RoleSessionName", "pop-1"),
        ("ExternalId", "ext-1"),
        ("DurationSeconds", "1800"),
        ("Policy", &policy),
    ];
    for (name, value) in expected {
        assert_eq!(field(form, name).as_deref(), Some(value), "{name} in {form}");
    }
}

#[tokio::test]
async fn an_sts_refusal_is_named_without_its_message() {
    let cases = [
        ("AccessDenied", "the credential provider failed: AccessDenied"),
        ("PackedPolicyTooLarge", "the credential provider failed: PackedPolicyTooLarge"),
        (
            "MalformedPolicyDocument",
            "the credential provider is not configured properly: MalformedPolicyDocument",
        ),
    ];
    for (code, reason) in cases {
        let sts = scripted::serve(move |_| {
            let body = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>User: \
                 arn:aws:iam::111122223333:user/x is not authorized</Message></Error></ErrorResponse>"
            );
            (403, "text/xml", body)
        })
        .await;
        let provider = provider_for(&origin_with_role(), "/public", &sdk_for(&sts.url).await).await.unwrap();
        let source = CredentialSource::start("assets".into(), provider);
        source.ready(MINUTE).await;

        assert_eq!(source.status(SystemTime::now()), missing(reason));
        assert!(source.current(SystemTime::now()).is_none());
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let provider = provider_for(&origin_with_role(), "/public", &sdk_for(&url).await).await.unwrap();
    let source = CredentialSource::start("assets".into(), provider);
    source.ready(MINUTE).await;
    let reason = "the credential provider failed: the connection failed";
    assert_eq!(source.status(SystemTime::now()), missing(reason));
}

#[tokio::test]
async fn without_a_role_the_chain_is_used() {
    let origin = S3Origin { role: None, ..origin_with_role() };
    let provider = provider_for(&origin, "/public", &sdk_for("http://127.0.0.1:1").await).await.unwrap();
    assert_eq!(provider.provide_credentials().await.unwrap().access_key_id(), "KEY0");

    let chainless = SdkConfig::builder().build();
    let error = provider_for(&origin, "/public", &chainless).await.unwrap_err();
    assert!(matches!(error, SetupError::NoChain));

    let long = format!("/{}", "p".repeat(2000));
    let error =
        provider_for(&origin_with_role(), &long, &sdk_for("http://127.0.0.1:1").await).await.unwrap_err();
    assert!(matches!(error, SetupError::Policy(_)));
}

/// A provider that does as it is told, load by load (from 1).
#[derive(Clone)]
struct Fake(Arc<Script>);

struct Script {
    loads: AtomicUsize,
    takes: Duration,
    answer: Box<dyn Fn(usize) -> chain::Result + Send + Sync>,
}

impl Fake {
    fn new(answer: impl Fn(usize) -> chain::Result + Send + Sync + 'static) -> Self {
        Self::slow(Duration::ZERO, answer)
    }

    fn slow(takes: Duration, answer: impl Fn(usize) -> chain::Result + Send + Sync + 'static) -> Self {
        Self(Arc::new(Script { loads: AtomicUsize::new(0), takes, answer: Box::new(answer) }))
    }

    fn start(&self) -> Arc<CredentialSource> {
        CredentialSource::start("assets".into(), SharedCredentialsProvider::new(self.clone()))
    }

    fn loads(&self) -> usize {
        self.0.loads.load(Ordering::Relaxed)
    }
}

impl ProvideCredentials for Fake {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let load = self.0.loads.fetch_add(1, Ordering::Relaxed) + 1;
            sleep(self.0.takes).await;
            (self.0.answer)(load)
        })
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

fn key(load: usize, lifetime: Option<Duration>) -> Credentials {
    let expiry = lifetime.map(|lifetime| SystemTime::now() + lifetime);
    Credentials::new(format!("KEY{load}"), SECRET, None, expiry, "test")
}

fn key_of(source: &CredentialSource) -> String {
    source.current(SystemTime::now()).unwrap().access_key_id().to_owned()
}

fn missing(reason: &str) -> CredentialStatus {
    CredentialStatus::Missing { reason: reason.to_owned() }
}

fn field(form: &str, name: &str) -> Option<String> {
    let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned())
}

async fn sdk_for(url: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::from_static("eu-west-1"))
        .endpoint_url(url)
        .credentials_provider(key(0, None))
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

fn origin_with_role() -> S3Origin {
    S3Origin {
        bucket: "site-assets-prod".into(),
        region: "eu-west-1".into(),
        endpoint: Endpoint {
            tls: true,
            host: "site-assets-prod.s3.eu-west-1.amazonaws.com".into(),
            port: None,
            path_style: false,
            regional: true,
        },
        signing: SigningBehavior::Always,
        payload_hash: PayloadHash::Empty,
        role: Some(Role {
            arn: "arn:aws:iam::111122223333:role/edge-origin".into(),
            external_id: Some("ext-1".into()),
            session_name: "pop-1".into(),
            session_duration: Duration::from_secs(1800),
        }),
        kms_keys: Vec::new(),
        watch_keys: false,
        expected_bucket_owner: None,
    }
}
