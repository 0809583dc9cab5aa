use tokio::net::TcpStream;

use super::*;
use crate::config::{self, AccessLogTarget, Environment, Overrides};
use crate::observe::access_log::AccessLog;
use crate::observe::metrics::Metrics;
use crate::origin::credentials::CredentialSource;

const TOML: &str = "[[distribution]]\n[[distribution.origin]]\nbucket = \"assets\"\nregion = \"eu-west-1\"\n";

/// Two workers whose listeners share no address: whatever connects to one is accepted by that one.
fn apart() -> (Serving, [SocketAddr; 2]) {
    let environment = Environment { s3_endpoint: None, region: None, parallelism: 2 };
    let mut config =
        config::load_toml("test.toml", TOML, &environment, &Overrides::default()).unwrap().config;
    config.listen.grace = Duration::from_secs(1);
    let credentials = aws_credential_types::Credentials::new("AKIA", "secret", None, None, "test");
    let log = AccessLog::open(&AccessLogTarget::Off, Arc::clone(&config.identity.pop)).unwrap();
    let edge =
        Edge::new(&config, Metrics::new(), log, |_| CredentialSource::fixed(credentials.clone())).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let pair = || Pair { http: bind_one(any).unwrap(), https: bind_one(any).unwrap() };
    let workers = vec![pair(), pair()];
    let addresses = [0, 1].map(|worker: usize| workers[worker].https.local_addr().unwrap());
    let admin_listener = std::net::TcpListener::bind(any).unwrap();
    let bound = Bound { http: any, https: any, admin: any, workers, admin_listener, udp: None };
    let handshakes = Handshakes::new(&Arc::new(certs::self_signed(&[])), &config);
    let (serving, _) = bound.serve(&edge, &handshakes, &config.listen).unwrap();
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
