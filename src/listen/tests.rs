use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::config::{self, AccessLogTarget, Environment, Overrides};
use crate::observe::access_log::AccessLog;
use crate::observe::metrics::Metrics;
use crate::origin::credentials::CredentialSource;

const TOML: &str = "[[distribution]]\n[[distribution.origin]]\nbucket = \"assets\"\nregion = \"eu-west-1\"\n";

fn edge() -> (Arc<Edge>, Handshakes, Listen) {
    let environment = Environment { s3_endpoint: None, region: None, parallelism: 2 };
    let mut config =
        config::load_toml("test.toml", TOML, &environment, &Overrides::default()).unwrap().config;
    config.listen.grace = Duration::from_secs(1);
    let credentials = aws_credential_types::Credentials::new("AKIA", "secret", None, None, "test");
    let log = AccessLog::open(&AccessLogTarget::Off, Arc::clone(&config.identity.pop)).unwrap();
    let edge =
        Edge::new(&config, Metrics::new(), log, |_| CredentialSource::fixed(credentials.clone())).unwrap();
    let handshakes = Handshakes::new(&Arc::new(certs::self_signed(&[])), &config);
    (edge, handshakes, config.listen)
}

/// Two workers whose listeners share no address: whatever connects to one is accepted by that one.
fn apart() -> (Serving, [SocketAddr; 2]) {
    let (edge, handshakes, listen) = edge();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let pair = || Pair { http: bind_one(any).unwrap(), https: bind_one(any).unwrap() };
    let workers = vec![pair(), pair()];
    let addresses = [0, 1].map(|worker: usize| workers[worker].https.local_addr().unwrap());
    let admin_listener = std::net::TcpListener::bind(any).unwrap();
    let bound = Bound { http: any, https: any, admin: any, workers, admin_listener, udp: None };
    let (serving, _) = bound.serve(&edge, &handshakes, &listen).unwrap();
    (serving, addresses)
}

async fn until(serving: &Serving, holds: impl Fn(&[usize]) -> bool) -> Vec<usize> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let counts = serving.connections();
        if holds(&counts) {
            return counts;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within ten seconds: {counts:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn connections_of_one_listener_are_shared_with_the_other_worker() {
    let (serving, addresses) = apart();
    let mut open = Vec::new();
    for n in 1..=64 {
        open.push(TcpStream::connect(addresses[0]).await.unwrap());
        until(&serving, |counts| counts.iter().sum::<usize>() == n).await;
    }
    let counts = serving.connections();
    assert_eq!(counts.iter().sum::<usize>(), 64);
    assert!(counts[0].abs_diff(counts[1]) <= 9, "{counts:?}"); // the threshold, and the one that reached it

    // What has been handed over is served there: its end is seen.
    drop(open);
    until(&serving, |counts| counts == [0, 0]).await;
    serving.drain().await;
}

#[tokio::test]
async fn a_few_connections_stay_where_they_were_accepted() {
    let (serving, addresses) = apart();
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(TcpStream::connect(addresses[1]).await.unwrap());
    }
    let counts = until(&serving, |counts| counts.iter().sum::<usize>() == 8).await;
    assert_eq!(counts, [0, 8]);
    drop(open);
    serving.drain().await;
}

/// A client's first words.
fn hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut client =
        rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// They used to be cut, with whatever they had asked.
#[tokio::test]
async fn what_lies_in_the_inbox_at_the_end_is_served() {
    let (edge, handshakes, listen) = edge();
    let loads = Loads::new(1);
    let (outboxes, inboxes) = mailboxes();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let door = TcpListener::bind(any).await.unwrap();
    let hello = hello();
    let moved = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let kinds: [(_, &[u8], &[u8]); 2] =
        [(Kind::Http, moved, b"HTTP/1.1 301 "), (Kind::Https, &hello, b"\x16\x03\x03")];
    let mut viewers = Vec::new();
    for (kind, asked, answer) in kinds {
        for _ in 0..INBOX {
            let mut viewer = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
            let (stream, address) = door.accept().await.unwrap();
            viewer.write_all(asked).await.unwrap();
            let handed = (stream.into_std().unwrap(), address, loads.enter(0));
            outboxes.of(kind).try_send(handed).unwrap();
            viewers.push((viewer, answer));
        }
    }
    let worker = Worker {
        index: 0,
        gate: Gate::new(listen.handshakes, &edge.metrics),
        quic_gate: Gate::new(listen.handshakes, &edge.metrics),
        edge,
        handshakes: Arc::new(handshakes),
        stop: watch::Sender::new(true).subscribe(),
        loads: Arc::clone(&loads),
        outboxes: [outboxes].into(),
        grace: Duration::from_secs(30),
        balancers: [].into(),
    };
    let pair = Pair { http: bind_one(any).unwrap(), https: bind_one(any).unwrap() };
    let answers = async {
        for (viewer, answer) in &mut viewers {
            let mut begin = vec![0; answer.len()];
            viewer.read_exact(&mut begin).await.expect("it is served");
            assert_eq!(begin, *answer);
        }
    };
    let began = tokio::time::Instant::now();
    tokio::join!(worker.run(pair, inboxes, None), answers);
    // Who says nothing more, in the middle of a handshake, is not waited for.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(loads.counts().sum::<usize>(), 0);
}
