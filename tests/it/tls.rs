//! TLS over the running edge: versions, protocols, certificates, and viewers that misbehave.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use edgeseal::config::{CertificateFiles, SecurityPolicy};
use http::{Method, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, NamedGroup, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::viewer::{HOST, connect, get, over_h2_to, plain};
use crate::support::{Bucket, PLAIN, Stage, eventually, log_lines, reader};

type Versions = &'static [&'static SupportedProtocolVersion];

static ONLY_12: Versions = &[&TLS12];
static ONLY_13: Versions = &[&TLS13];

/// A viewer that believes `root` alone, and checks names.
fn strict(root: &CertificateDer<'static>, versions: Versions, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

async fn shake(edge: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(edge).await?;
    TlsConnector::from(Arc::clone(config))
        .connect(ServerName::try_from(name.to_owned()).unwrap(), stream)
        .await
}

/// The certificate that the edge shows for `name`.
async fn shown(edge: SocketAddr, name: &str) -> CertificateDer<'static> {
    let stream = connect(edge, name, &[]).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

/// A GET over HTTP/1.1, to the end of the connection.
async fn exchange(stream: &mut TlsStream<TcpStream>) -> String {
    let request = format!("GET /a HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn versions_and_protocols_are_agreed_on() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage =
        Stage::in_order("[[distribution]]\naliases = [\"cdn.example.com\"]\n$BUCKET\n", &bucket.origin.url())
            .await;
    let root = shown(stage.https(), HOST).await;
    let (h2, http1): (&[u8], &[u8]) = (b"h2", b"http/1.1");
    // behaviour §2.3, §3.1
    type Names<'a> = &'a [&'a [u8]];
    let table: [(Versions, Names<'_>, &str, Option<&[u8]>); 6] = [
        (ONLY_13, &[h2, http1], "TLSv1.3", Some(h2)),
        (ONLY_13, &[http1], "TLSv1.3", Some(http1)),
        (ONLY_13, &[], "TLSv1.3", None),
        (ONLY_12, &[http1, h2], "TLSv1.2", Some(h2)),
        (ONLY_12, &[http1], "TLSv1.2", Some(http1)),
        (ONLY_12, &[], "TLSv1.2", None),
    ];
    let mut logged = Vec::new();
    for (versions, offered, version, agreed) in table {
        let mut stream = shake(stage.https(), HOST, &strict(&root, versions, offered)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{version} {offered:?}");
        if agreed != Some(h2) {
            assert!(exchange(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"), "{version} {offered:?}");
            logged.push(version);
        }
    }
    for (line, version) in log_lines(&stage.log, logged.len()).await.iter().zip(logged) {
        assert_eq!(line["ssl-protocol"], version);
    }
    let strange = shake(stage.https(), HOST, &strict(&root, ONLY_13, &[b"smtp"])).await;
    assert!(strange.is_err(), "RFC 7301 §3.2: no protocol in common");
}

#[tokio::test]
async fn a_policy_refuses_what_is_older() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    for (policy, old) in [(SecurityPolicy::Tls12_2021, true), (SecurityPolicy::Tls13_2025, false)] {
        let toml = "[[distribution]]\naliases = [\"cdn.example.com\"]\n$BUCKET\n";
        let stage = Stage::start_tuned(toml, &bucket.origin.url(), reader(), |config| {
            config.tls.minimum_protocol_version = policy;
        })
        .await;
        let root = shown(stage.https(), HOST).await;
        // behaviour §3.1
        assert_eq!(shake(stage.https(), HOST, &strict(&root, ONLY_12, &[])).await.is_ok(), old, "{policy:?}");
        assert!(shake(stage.https(), HOST, &strict(&root, ONLY_13, &[])).await.is_ok(), "{policy:?}");
        eventually("the refusal is counted", || async {
            let refused = stage.metric("edgeseal_tls_handshake_errors_total{reason=\"protocol\"}");
            refused == if old { 0.0 } else { 1.0 }
        })
        .await;
    }
}

#[tokio::test]
async fn each_distribution_has_a_policy_of_its_own() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let toml = r#"
[[distribution]]
id = "old"
aliases = ["cdn.example.com", "*.example.com"]
$BUCKET
[[distribution]]
id = "new"
aliases = ["new.example.com", "*.new.example.com"]
minimum_protocol_version = "TLSv1.3_2025"
$BUCKET
"#;
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    let root = shown(stage.https(), HOST).await;
    // behaviour §3.1; by exact alias, then by wildcard, as requests are routed (§1.2)
    for (name, old) in [
        ("cdn.example.com", true),
        ("www.example.com", true),
        ("new.example.com", false),
        ("a.new.example.com", false),
        ("localhost", true), // nobody's: the listener's own policy
        ("127.0.0.1", true), // no name
    ] {
        let config = strict(&root, ONLY_12, &[]);
        let shaken = shake(stage.https(), name, &config).await;
        assert_eq!(shaken.is_ok(), old, "{name}: {shaken:?}");
        assert!(shake(stage.https(), name, &strict(&root, ONLY_13, &[])).await.is_ok(), "{name}");
    }
    let config = strict(&root, ONLY_13, &[]);
    for n in 0..2 {
        let mut stream = shake(stage.https(), HOST, &config).await.unwrap();
        assert!(exchange(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        assert_eq!(resumed, n > 0, "tickets are good on this path, too");
    }
}

#[tokio::test]
async fn a_lone_distribution_without_a_name_has_the_listeners_place() {
    let bucket = Bucket::start().await;
    let toml = "[[distribution]]\nminimum_protocol_version = \"TLSv1.3_2025\"\n$BUCKET\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    let root = shown(stage.https(), "localhost").await;
    for name in ["localhost", "127.0.0.1"] {
        assert!(shake(stage.https(), name, &strict(&root, ONLY_12, &[])).await.is_err(), "{name}");
        assert!(shake(stage.https(), name, &strict(&root, ONLY_13, &[])).await.is_ok(), "{name}");
    }
}

/// A self-signed certificate for `names`, in files.
fn certificate(folder: &TempDir, names: &[&str]) -> (CertificateDer<'static>, CertificateFiles) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let file = |end: &str| folder.path().join(format!("{}.{end}", names[0].replace('*', "star")));
    let files = CertificateFiles { cert: file("crt"), key: file("key") };
    let certificate = rcgen::CertificateParams::new(names.clone()).unwrap().self_signed(&key).unwrap();
    std::fs::write(&files.cert, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    (certificate.der().clone(), files)
}

#[tokio::test]
async fn the_name_in_the_handshake_chooses_the_certificate() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let (first, first_files) = certificate(&folder, &["first.example.com"]);
    let (star, star_files) = certificate(&folder, &["*.example.com"]);
    let (exact, exact_files) = certificate(&folder, &["www.example.com", "example.org"]);
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), |config| {
        config.tls.certificates = vec![first_files, star_files, exact_files];
    })
    .await;
    // behaviour §3.3: exact before wildcard; a star is one label; a name that nobody has gets the first
    let table = [
        ("first.example.com", &first),
        ("www.example.com", &exact),
        ("WWW.example.com", &exact),
        ("example.org", &exact),
        ("other.example.com", &star),
        ("deep.down.example.com", &first),
        ("example.net", &first),
        ("127.0.0.1", &first), // an address is no name: no SNI
    ];
    for (name, expected) in table {
        assert!(shown(stage.https(), name).await == *expected, "{name}");
    }
    for (name, root, fits) in [("www.example.com", &exact, true), ("deep.down.example.com", &first, false)] {
        let shaken = shake(stage.https(), name, &strict(root, ONLY_13, &[])).await;
        assert_eq!(shaken.is_ok(), fits, "{name}");
    }
    for name in ["first.example.com", "*.example.com", "example.org"] {
        let expiry = format!("edgeseal_tls_cert_not_after_timestamp_seconds{{name=\"{name}\"}}");
        assert!(stage.metric(&expiry) > 0.0, "{name}");
    }
}

#[tokio::test]
async fn the_certificate_that_is_made_fits_this_machine_and_the_aliases() {
    let bucket = Bucket::start().await;
    let toml = "[[distribution]]\naliases = [\"cdn.example.com\", \"*.example.org\"]\n$BUCKET\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    let root = shown(stage.https(), HOST).await;
    let config = strict(&root, ONLY_13, &[]);
    for (name, fits) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("cdn.example.com", true),
        ("www.example.org", true),
        ("example.org", false),
        ("evil.example.com", false),
    ] {
        assert_eq!(shake(stage.https(), name, &config).await.is_ok(), fits, "{name}");
    }
}

#[tokio::test]
async fn a_viewer_that_returns_resumes_its_session() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage =
        Stage::start("[[distribution]]\naliases = [\"cdn.example.com\"]\n$BUCKET\n", &bucket.origin.url())
            .await;
    let root = shown(stage.https(), HOST).await;
    for versions in [ONLY_12, ONLY_13] {
        let config = strict(&root, versions, &[]);
        let mut kinds = Vec::new();
        for _ in 0..4 {
            let mut stream = shake(stage.https(), HOST, &config).await.unwrap();
            exchange(&mut stream).await;
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
        }
        // Whichever worker takes it: the ticket is good at each.
        assert_eq!(kinds[0], HandshakeKind::Full, "{versions:?}");
        assert_eq!(kinds[1..], [HandshakeKind::Resumed; 3], "{versions:?}");
    }
}

#[tokio::test]
async fn plain_http_at_the_https_port_is_refused_without_harm() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    for bytes in
        ["GET /a HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n", "\0\0\0\0\0\0\0\0", "SSH-2.0-OpenSSH_9.9\r\n"]
    {
        let mut stream = TcpStream::connect(stage.https()).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // An alert or nothing; the connection ends.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer[0] == 21, "{bytes:?}: {answer:?}");
    }
    eventually("three refusals are counted", || async {
        stage.metric("edgeseal_tls_handshake_errors_total{reason=\"protocol\"}") == 3.0
    })
    .await;
    // And TLS at the HTTP port is no HTTP.
    let mut stream = TcpStream::connect(stage.server.http).await.unwrap();
    stream.write_all(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{answer:?}");
    assert!(bucket.origin.served().is_empty());
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
}

#[tokio::test]
async fn a_handshake_that_stalls_holds_up_nobody() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let mut stalled = Vec::new();
    for n in 0..100 {
        let mut stream = TcpStream::connect(stage.https()).await.unwrap();
        // Nothing at all, or the beginning of a ClientHello.
        if n % 2 == 0 {
            stream.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
        }
        stalled.push(stream);
    }
    for _ in 0..4 {
        assert_eq!(get(stage.https(), "/a").await.text(), "a");
    }
    drop(stalled);
    eventually("those who hung up are counted", || async {
        stage.metric("edgeseal_tls_handshake_errors_total{reason=\"closed\"}") == 100.0
    })
    .await;
}

/// Three distributions, two of which share a certificate.
const THREE: &str = r#"
[[distribution]]
id = "one"
aliases = ["cdn.example.com"]
$BUCKET
[[distribution]]
id = "two"
aliases = ["two.example.com"]
$BUCKET
[[distribution]]
id = "other"
aliases = ["*.example.org"]
$BUCKET
"#;

/// Status of a GET for `host` on a connection for `name`.
async fn asked_on(edge: SocketAddr, name: &str, host: &str) -> u16 {
    let mut stream = connect(edge, name, &[]).await;
    let request = format!("GET /a HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer[9..12].parse().unwrap()
}

#[tokio::test]
async fn the_host_must_belong_to_the_connection() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let (_, both) = certificate(&folder, &["cdn.example.com", "two.example.com"]);
    let (_, other) = certificate(&folder, &["*.example.org"]);
    let stage = Stage::start_tuned(THREE, &bucket.origin.url(), reader(), |config| {
        config.tls.certificates = vec![both, other];
    })
    .await;
    // behaviour §3.4, §12.15
    let table = [
        ("cdn.example.com", "cdn.example.com", 200),
        ("cdn.example.com", "CDN.example.com:8443", 200),
        ("cdn.example.com", "two.example.com", 200), // the certificate has it
        ("cdn.example.com", "www.example.org", 421),
        ("cdn.example.com", "unknown.example", 403), // which distribution comes first
        ("www.example.org", "img.example.org", 200),
        ("www.example.org", "a.img.example.org", 421), // a star is one label of a certificate
        ("a.img.example.org", "a.img.example.org", 200), // names agree, whatever was shown
        ("a.img.example.org", "www.example.org", 421), // the first certificate was shown
        ("unknown.example", "two.example.com", 200),
        ("127.0.0.1", "www.example.org", 200), // no name in the handshake
    ];
    for (name, host, status) in table {
        assert_eq!(asked_on(stage.https(), name, host).await, status, "{host} on {name}");
    }
    let lines = log_lines(&stage.log, table.len()).await;
    let misdirected: Vec<_> = lines.iter().filter(|line| line["sc-status"] == "421").collect();
    assert_eq!(misdirected.len(), 3, "{lines:#?}");
    for line in misdirected {
        assert_eq!(line["x-edge-detailed-result-type"], "InvalidRequestCertificate"); // behaviour §3.4
    }
    let plain = plain(stage.server.http, Method::GET, "/a", &[("host", "www.example.org")]).await;
    assert_eq!(plain.status, 301, "plain HTTP has no name to differ from");
}

#[tokio::test]
async fn one_http_2_connection_serves_every_host_of_its_certificate() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let (_, both) = certificate(&folder, &["cdn.example.com", "two.example.com"]);
    let (_, other) = certificate(&folder, &["*.example.org"]);
    let stage = Stage::start_tuned(THREE, &bucket.origin.url(), reader(), |config| {
        config.tls.certificates = vec![both, other];
    })
    .await;
    // behaviour §3.4: who is sent away may go on with the rest
    let targets = ["https://two.example.com/a", "https://www.example.org/a", "https://cdn.example.com/a"];
    let seen = over_h2_to(stage.https(), &targets).await;
    assert_eq!(seen.iter().map(|seen| seen.status).collect::<Vec<_>>(), [200, 421, 200]);
}

#[tokio::test]
async fn a_certificate_that_is_made_here_is_good_for_every_host() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(THREE, &bucket.origin.url()).await;
    // behaviour §3.3: the default certificate
    for (name, host, status) in [
        ("cdn.example.com", "two.example.com", 200),
        ("cdn.example.com", "a.b.example.org", 200),
        ("cdn.example.com", "example.net", 403),
        ("example.net", "cdn.example.com", 200),
    ] {
        assert_eq!(asked_on(stage.https(), name, host).await, status, "{host} on {name}");
    }
}

/// behaviour §2.3
#[tokio::test]
async fn a_distribution_says_whether_it_speaks_http_2() {
    let bucket = Bucket::start().await;
    let toml = r#"
[[distribution]]
id = "old"
aliases = ["old.example.com"]
http_version = "http1.1"
$BUCKET
[[distribution]]
id = "new"
aliases = ["cdn.example.com"]
$BUCKET
"#;
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    let root = shown(stage.https(), HOST).await;
    for (name, agreed) in
        [("old.example.com", &b"http/1.1"[..]), ("cdn.example.com", b"h2"), ("localhost", b"h2")]
    {
        let config = strict(&root, ONLY_13, &[b"h2", b"http/1.1"]);
        let stream = shake(stage.https(), name, &config).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed), "{name}");
    }
}

#[tokio::test]
async fn with_no_place_for_another_handshake_the_next_waits_and_the_stuck_one_is_given_up() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), |config| {
        config.listen.workers = 1;
        config.listen.handshakes = 1;
    })
    .await;
    let stream = connect(stage.https(), HOST, &[]).await;
    let (mut open, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);

    let mut stuck = TcpStream::connect(stage.https()).await.unwrap();
    stuck.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    eventually("it takes the only place", || async { stage.metric("edgeseal_tls_handshakes") == 1.0 }).await;
    let edge = stage.https();
    let next = tokio::spawn(async move { get(edge, "/a").await });
    for _ in 0..3 {
        let request = Request::get("/a").header("host", HOST).body(Empty::<Bytes>::new()).unwrap();
        assert_eq!(open.send_request(request).await.unwrap().status(), 200);
        open.ready().await.unwrap();
    }
    assert!(!next.is_finished(), "it waits to be accepted");
    assert_eq!(next.await.unwrap().text(), "a");
    assert_eq!(stuck.read(&mut [0; 8]).await.unwrap_or(0), 0, "the stuck one was closed");
    assert_eq!(stage.metric("edgeseal_tls_handshake_errors_total{reason=\"gave-way\"}"), 1.0);
    assert_eq!(stage.metric("edgeseal_tls_handshakes"), 0.0);
}

/// A stage with the certificate in `files` and the ticket keys in `keys`.
async fn one_of_a_fleet(toml: &str, bucket: &Bucket, files: &CertificateFiles, keys: Option<&Path>) -> Stage {
    Stage::start_tuned(toml, &bucket.origin.url(), reader(), |config| {
        config.tls.certificates = vec![files.clone()];
        config.tls.ticket_key_file = keys.map(Path::to_owned);
    })
    .await
}

#[tokio::test]
async fn edges_with_the_same_ticket_keys_resume_each_others_sessions() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let (root, files) = certificate(&folder, &[HOST]);
    let key_file = |name: &str, keys: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, keys.iter().flat_map(|key| [*key; 80]).collect::<Vec<_>>()).unwrap();
        file
    };
    let (old, rotated, new) = (key_file("old", &[1]), key_file("rotated", &[2, 1]), key_file("new", &[2]));
    let first = one_of_a_fleet(PLAIN, &bucket, &files, Some(&old)).await;
    for (keys, resumes) in [(Some(&old), true), (Some(&rotated), true), (Some(&new), false), (None, false)] {
        let second = one_of_a_fleet(PLAIN, &bucket, &files, keys.map(PathBuf::as_path)).await;
        for versions in [ONLY_12, ONLY_13] {
            let config = strict(&root, versions, &[]);
            for (edge, expected) in [(&first, false), (&second, resumes)] {
                let mut stream = shake(edge.https(), HOST, &config).await.unwrap();
                assert!(exchange(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
                let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                assert_eq!(resumed, expected, "{keys:?} {versions:?}");
            }
        }
    }
}

/// Gives out a session for whatever name.
#[derive(Debug)]
struct Careless(ClientSessionMemoryCache);

impl Careless {
    fn name() -> ServerName<'static> {
        ServerName::try_from("any").unwrap()
    }
}

impl ClientSessionStore for Careless {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(Self::name(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&Self::name())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.set_tls12_session(Self::name(), session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&Self::name())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&Self::name());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(Self::name(), ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&Self::name())
    }
}

/// behaviour §3.1, §3.4: neither another policy nor another name comes with a ticket.
#[tokio::test]
async fn a_ticket_is_good_for_its_name_and_policy_alone() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let names = [HOST, "two.example.com", "new.example.com", "www.example.org"];
    let (root, files) = certificate(&folder, &names);
    let keys = folder.path().join("tickets.key");
    std::fs::write(&keys, [7; 80]).unwrap();
    let toml = format!(
        "{THREE}\n[[distribution]]\nid = \"new\"\naliases = [\"new.example.com\"]\n\
         minimum_protocol_version = \"TLSv1.3_2025\"\n$BUCKET\n"
    );
    let edge = one_of_a_fleet(&toml, &bucket, &files, Some(&keys)).await;
    for versions in [ONLY_12, ONLY_13] {
        let mut config = (*strict(&root, versions, &[])).clone();
        config.resumption = Resumption::store(Arc::new(Careless(ClientSessionMemoryCache::new(8))));
        let config = Arc::new(config);
        for (name, resumes) in [
            (HOST, false),
            (HOST, true),
            ("two.example.com", false), // the same policy
            ("two.example.com", true),
            ("new.example.com", false), // another one
            ("www.example.org", false),
        ] {
            let Ok(mut stream) = shake(edge.https(), name, &config).await else {
                assert_eq!((name, versions[0].version), ("new.example.com", TLS12.version));
                continue;
            };
            exchange(&mut stream).await;
            let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, resumes, "{name} {versions:?}");
        }
    }
}
