//! 0-RTT over HTTP/3 (`tls.early_data`; RFC 8470, RFC 9001 §4.6): what is answered before a handshake is over, and what is not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edgeseal::demo::viewer::trusting;
use http::Method;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::support::quic::{Viewer, read};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{HOST, ask};
use crate::support::{Bucket, Stage, eventually, reader};

const SOON: Duration = Duration::from_secs(4);
const COUNT: &str = "edgeseal_early_requests_total";

const ON: &str = "[tls]\nearly_data = true\n[[distribution]]\nhttp_version = \"http2and3\"\n$BUCKET\n";

/// Before a custom origin, any method allowed.
async fn before(origin: &Scripted, policy: &str) -> Stage {
    let toml = format!(
        "[tls]\nearly_data = true\n[[distribution]]\nhttp_version = \"http2and3\"\n[[distribution.origin]]\n\
         domain_name = \"127.0.0.1\"\n[distribution.origin.custom_origin]\nhttp_port = {}\n\
         origin_protocol_policy = \"http-only\"\n[distribution.default_cache_behavior]\n\
         cache_policy = \"{policy}\"\n\
         allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"PATCH\", \"POST\", \"DELETE\"]\n",
        origin.port()
    );
    Stage::start(&toml, "http://127.0.0.1:1").await
}

/// A viewer's client, which remembers sessions.
fn client() -> ClientConfig {
    let mut tls = trusting(&[b"h3"]);
    tls.enable_early_data = true;
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

fn endpoint() -> Endpoint {
    Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// A first visit, from which the viewer keeps a session.
async fn visit(edge: SocketAddr, client: &ClientConfig, target: &str) -> u16 {
    let endpoint = endpoint();
    let quic = endpoint.connect_with(client.clone(), edge, HOST).unwrap().await.unwrap();
    let viewer = Viewer::of(endpoint, quic).await;
    let seen = viewer.get(target).await;
    viewer.quic.close(0_u32.into(), b"");
    viewer.endpoint.wait_idle().await;
    seen.status
}

/// Comes back, and may ask at once. `None`: there is no session, or it is not for that.
async fn come_back(edge: SocketAddr, client: &ClientConfig) -> Option<Viewer> {
    let endpoint = endpoint();
    let (quic, _) = endpoint.connect_with(client.clone(), edge, HOST).unwrap().into_0rtt().ok()?;
    Some(Viewer::of(endpoint, quic).await)
}

/// Between a viewer and the edge. While it holds, nothing of the viewer's gets through but what comes before the end of its
/// handshake.
struct Relay {
    address: SocketAddr,
    holds: Arc<AtomicBool>,
    /// What has got through from the viewer.
    passed: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Relay {
    async fn start(edge: SocketAddr) -> Self {
        let (front, back) =
            (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        back.connect(edge).await.unwrap();
        let (holds, passed) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let (held, passing) = (Arc::clone(&holds), Arc::clone(&passed));
        tokio::spawn(async move {
            let (mut from_viewer, mut from_edge) = ([0; 2048], [0; 2048]);
            let mut viewer = None;
            loop {
                tokio::select! {
                    received = front.recv_from(&mut from_viewer) => {
                        let Ok((length, from)) = received else { return };
                        viewer = Some(from);
                        let packet = &from_viewer[..length];
                        if !held.load(Ordering::Relaxed) || is_early(packet) {
                            passing.lock().unwrap().push(packet.to_vec());
                            let _ = back.send(packet).await;
                        }
                    }
                    received = back.recv(&mut from_edge) => {
                        let Ok(length) = received else { return };
                        let _ = front.send_to(&from_edge[..length], viewer.unwrap()).await;
                    }
                }
            }
        });
        Self { address, holds, passed }
    }

    fn let_through(&self) {
        self.holds.store(false, Ordering::Relaxed);
    }
}

/// Are these Initial and 0-RTT packets alone (RFC 9000 §17.2)?
fn is_early(mut rest: &[u8]) -> bool {
    while let Some(first) = rest.first() {
        // A long header; the bit beside it may be anything (RFC 9287).
        let (is_long, kind) = (first & 0x80 != 0, first >> 4 & 3);
        if !is_long || kind > 1 {
            return false;
        }
        let mut at = 6 + usize::from(rest[5]);
        at += 1 + usize::from(rest[at]);
        if kind == 0 {
            let (token, used) = varint(&rest[at..]);
            at += used + token;
        }
        let (length, used) = varint(&rest[at..]);
        rest = &rest[at + used + length..];
    }
    true
}

fn varint(bytes: &[u8]) -> (usize, usize) {
    let length = 1 << (bytes[0] >> 6);
    let rest = bytes[1..length].iter();
    (rest.fold(usize::from(bytes[0] & 0x3f), |value, byte| value << 8 | usize::from(*byte)), length)
}

/// The value of `early-data` in each request that the origin got.
fn told(origin: &Scripted) -> Vec<Option<String>> {
    let value = |head: &String| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| name.eq_ignore_ascii_case("early-data")).map(|(_, value)| value.to_owned())
    };
    origin.heads().iter().map(value).collect()
}

#[tokio::test]
async fn a_hit_is_answered_before_the_handshake_is_over() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abcdefghij");
    let stage = Stage::start(ON, &bucket.origin.url()).await;
    let client = client();
    assert_eq!(visit(stage.https(), &client, "/a").await, 200);
    assert_eq!(stage.metric(COUNT), 0.0);

    let relay = Relay::start(stage.https()).await;
    let viewer = come_back(relay.address, &client).await.expect("the session is good for it");
    let seen = timeout(SOON, viewer.get("/a")).await.expect("nothing of the handshake is waited for");
    assert_eq!((seen.text(), seen.header("x-cache")), ("abcdefghij", "Hit from edgeseal"));
    assert_eq!(stage.metric(COUNT), 1.0);
    assert_eq!(bucket.fetches("a"), 1);

    relay.let_through();
    eventually("the handshake ends", || async { stage.metric("edgeseal_tls_handshakes") == 0.0 }).await;
    assert_eq!(viewer.get("/a").await.status, 200);
    assert_eq!(viewer.get("/none").await.status, 403);
    assert_eq!(stage.metric(COUNT), 1.0, "what comes later is not early");
}

/// It is off unless it is asked for, and a session from then is no good for it.
#[tokio::test]
async fn nobody_is_early_unless_it_is_switched_on() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start_tuned(ON, &bucket.origin.url(), reader(), |config| {
        config.tls.early_data = false;
    })
    .await;
    let client = client();
    assert_eq!(visit(stage.https(), &client, "/a").await, 200);
    assert!(come_back(stage.https(), &client).await.is_none());
}

/// RFC 8470 §5.1
#[tokio::test]
async fn an_origin_is_told_what_is_early_and_what_changes_something_waits() {
    let origin = Scripted::start(["1", "2", "3", "4", "5"].map(Act::ok)).await;
    let stage = before(&origin, "CachingDisabled").await;
    let client = client();
    visit(stage.https(), &client, "/first").await;

    let relay = Relay::start(stage.https()).await;
    let viewer = come_back(relay.address, &client).await.unwrap();
    let write = viewer.begin(Method::DELETE, "/a", &[]).await.unwrap();
    let mut upload = viewer.open(Method::GET, "/with-body", &[]).await.unwrap();
    upload.send_data("body".into()).await.unwrap();
    upload.finish().await.unwrap();
    let asked = viewer.begin(Method::GET, "/b", &[]).await.unwrap();
    let options = viewer.begin(Method::OPTIONS, "/c", &[]).await.unwrap();
    assert_eq!(timeout(SOON, read(asked)).await.unwrap().unwrap().status, 200);
    assert_eq!(timeout(SOON, read(options)).await.unwrap().unwrap().status, 200);
    assert_eq!(told(&origin), [None, Some("1".into()), Some("1".into())], "{:?}", origin.heads());
    assert_eq!(stage.metric(COUNT), 2.0);

    relay.let_through();
    assert_eq!(timeout(SOON, read(write)).await.unwrap().unwrap().text(), "4");
    assert!(origin.heads()[3].starts_with("DELETE /a "), "{:?}", origin.heads());
    assert_eq!(timeout(SOON, read(upload)).await.unwrap().unwrap().status, 403, "behaviour §2.2");
    assert_eq!(viewer.get("/d").await.text(), "5");
    assert_eq!(told(&origin)[3..], [None, None]);
    assert_eq!(stage.metric(COUNT), 2.0);
}

/// RFC 8470 §5.2
#[tokio::test]
async fn an_origin_that_finds_it_too_early_is_asked_again_when_it_is_not() {
    let too_early = "HTTP/1.1 425 Too Early\r\ncontent-length: 3\r\n\r\nnot";
    for policy in ["CachingDisabled", "CachingOptimized"] {
        let origin = Scripted::start([Act::ok("0"), Act::send(too_early), Act::ok("2")]).await;
        let stage = before(&origin, policy).await;
        let client = client();
        visit(stage.https(), &client, "/first").await;
        let relay = Relay::start(stage.https()).await;
        let viewer = come_back(relay.address, &client).await.unwrap();
        let asked = viewer.begin(Method::GET, "/a", &[]).await.unwrap();
        let mut answer = tokio::spawn(read(asked));
        eventually("the origin is asked", || async { origin.heads().len() == 2 }).await;
        assert!(timeout(Duration::from_millis(200), &mut answer).await.is_err(), "{policy}");
        assert_eq!(origin.heads().len(), 2, "{policy}");
        relay.let_through();
        let seen = timeout(SOON, answer).await.unwrap().unwrap().unwrap();
        assert_eq!((seen.status, seen.text()), (200, "2"), "{policy}");
        assert_eq!(told(&origin), [None, Some("1".into()), None], "{policy}");
    }
}

#[tokio::test]
async fn who_waits_beside_an_early_viewer_does_not_wait_for_its_handshake() {
    let refused = Arc::new(Notify::new());
    let too_early = b"HTTP/1.1 425 Too Early\r\ncontent-length: 3\r\n\r\nnot".to_vec();
    let script = [Act::ok("0"), Act::SendAfter(Arc::clone(&refused), too_early), Act::ok("2"), Act::ok("3")];
    let origin = Scripted::start(script).await;
    let stage = before(&origin, "CachingOptimized").await;
    let client = client();
    visit(stage.https(), &client, "/first").await;
    let relay = Relay::start(stage.https()).await;
    let viewer = come_back(relay.address, &client).await.unwrap();
    let early = tokio::spawn(read(viewer.begin(Method::GET, "/a", &[]).await.unwrap()));
    eventually("the origin is asked", || async { origin.heads().len() == 2 }).await;
    let edge = stage.https();
    let beside = tokio::spawn(async move { ask(edge, Method::GET, "/a", &[]).await });
    eventually("another viewer waits for the same", || async {
        stage.metric("edgeseal_cache_collapsed_requests_total") == 1.0
    })
    .await;
    refused.notify_one();
    assert_eq!(timeout(SOON, beside).await.unwrap().unwrap().text(), "2");
    relay.let_through();
    assert_eq!(timeout(SOON, early).await.unwrap().unwrap().unwrap().text(), "3");
    assert_eq!(told(&origin), [None, Some("1".into()), None, None]);
}

/// RFC 8470 §5.1, §5.2: what a viewer has called early stays so, and 425 is for it.
#[tokio::test]
async fn what_comes_through_another_gateway_is_as_early_as_that_says() {
    let early = [("early-data", "1")];
    let too_early = "HTTP/1.1 425 Too Early\r\ncontent-length: 3\r\n\r\nnot";
    let origin = Scripted::start([Act::ok("1"), Act::send(too_early), Act::ok("3"), Act::ok("4")]).await;
    let stage = before(&origin, "CachingOptimized").await;
    let edge = stage.https();
    assert_eq!(ask(edge, Method::GET, "/a", &early).await.text(), "1");
    let refused = ask(edge, Method::GET, "/b", &early).await;
    assert_eq!((refused.status, refused.text()), (425, "not"));
    assert_eq!(ask(edge, Method::GET, "/b", &[]).await.text(), "3", "it is not remembered");
    assert_eq!(ask(edge, Method::POST, "/c", &[("early-data", "what")]).await.text(), "4");
    assert_eq!(told(&origin), [Some("1".into()), Some("1".into()), None, Some("1".into())]);

    // A bucket cannot tell a replay.
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let writable = "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\n\
        allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"PATCH\", \"POST\", \"DELETE\"]\n";
    let stage = Stage::start(writable, &bucket.origin.url()).await;
    assert_eq!(ask(stage.https(), Method::DELETE, "/a", &early).await.status, 425);
    assert_eq!(ask(stage.https(), Method::GET, "/a", &early).await.text(), "a");
}

/// RFC 8470 §5.2: 425 is about the request, not about what it asks for. What the edge has of that stays.
#[tokio::test]
async fn what_was_asked_for_too_early_is_not_forgotten() {
    let fresh = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncache-control: max-age=1\r\netag: \"1\"\r\n\r\na";
    let too_early = "HTTP/1.1 425 Too Early\r\ncontent-length: 3\r\n\r\nnot";
    let same = "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncache-control: max-age=60\r\n\r\n";
    let origin = Scripted::start([Act::send(fresh), Act::send(too_early), Act::send(same)]).await;
    let stage = before(&origin, "CachingOptimized").await;
    let edge = stage.https();
    assert_eq!(ask(edge, Method::GET, "/a", &[]).await.text(), "a");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(ask(edge, Method::GET, "/a", &[("early-data", "1")]).await.status, 425);
    assert_eq!(ask(edge, Method::GET, "/a", &[]).await.text(), "a");
    assert!(origin.heads()[2].to_ascii_lowercase().contains("if-none-match: \"1\""), "{:?}", origin.heads());
}

/// RFC 8446 §8.1: a session is good once, on whatever worker.
#[tokio::test]
async fn packets_that_come_again_are_not_answered_again() {
    let origin = Scripted::start(["0", "1", "2"].map(Act::ok)).await;
    let stage = before(&origin, "CachingDisabled").await;
    let client = client();
    visit(stage.https(), &client, "/first").await;
    let relay = Relay::start(stage.https()).await;
    let viewer = come_back(relay.address, &client).await.unwrap();
    assert_eq!(timeout(SOON, viewer.get("/a")).await.unwrap().text(), "1");
    let packets = relay.passed.lock().unwrap().clone();
    relay.let_through();
    viewer.quic.close(0_u32.into(), b"");
    viewer.endpoint.wait_idle().await;
    let open = "edgeseal_connections{protocol=\"h3\"}";
    eventually("it is gone", || async { stage.metric(open) == 0.0 }).await;

    let attacker = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    attacker.connect(stage.https()).await.unwrap();
    // For some time they belong to the connection that was.
    let taken_up = "a handshake begins with these packets";
    eventually(taken_up, || async {
        for packet in &packets {
            attacker.send(packet).await.unwrap();
        }
        timeout(Duration::from_millis(50), attacker.recv(&mut [0; 2048])).await.is_ok()
            && stage.metric("edgeseal_tls_handshakes") == 1.0
    })
    .await;
    assert_eq!(visit(stage.https(), &client, "/b").await, 200);
    assert_eq!((origin.heads().len(), stage.metric(COUNT)), (3, 1.0), "{:?}", origin.heads());
    assert!(origin.heads()[2].starts_with("GET /b "));
}
