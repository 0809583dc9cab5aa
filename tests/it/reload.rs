//! Another configuration in force: what changes at once, what stays, and what a bad one does.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use edgeseal::config::CertificateFiles;
use edgeseal::demo::viewer::{Seen, read, trusting};
use http::{Method, Request};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::command::{Running, edgeseal};
#[cfg(feature = "http3")]
use crate::support::quic;
use crate::support::viewer::{HOST, connect, get, plain};
use crate::support::{
    ACCESS_KEY, BUCKET, Bucket, PLAIN, REGION, SECRET_KEY, Stage, eventually, log_lines, reader,
};

/// A distribution in front of an edge of this name, which every answer says.
fn named(name: &str) -> String {
    format!("[identity]\nname = \"{name}\"\n{PLAIN}")
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).header("host", HOST).body(Empty::new()).unwrap()
}

async fn h1(stage: &Stage) -> http1::SendRequest<Empty<Bytes>> {
    let stream = connect(stage.https(), HOST, &[b"http/1.1"]).await;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn h2(stage: &Stage) -> http2::SendRequest<Empty<Bytes>> {
    let stream = connect(stage.https(), HOST, &[b"h2"]).await;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// The certificate that a new viewer is shown.
async fn shown(stage: &Stage, name: &str) -> CertificateDer<'static> {
    let stream = connect(stage.https(), name, &[]).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A certificate for [`HOST`] in these files.
fn certify(files: &CertificateFiles) -> CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec![HOST.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(&files.cert, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    certificate.der().clone()
}

fn files(folder: &Path) -> CertificateFiles {
    CertificateFiles { cert: folder.join("edge.crt"), key: folder.join("edge.key") }
}

async fn readyz(stage: &Stage) -> Seen {
    plain(stage.server.admin, Method::GET, "/readyz", &[("host", "localhost")]).await
}

const SOON: Duration = Duration::from_secs(10);
const SUCCESSFUL: &str = "edgeseal_config_last_reload_successful";

#[tokio::test]
async fn connections_live_on_and_what_is_cached_stays() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let mut stage = Stage::start(&named("first"), &bucket.origin.url()).await;
    let (mut one, mut two) = (h1(&stage).await, h2(&stage).await);
    let uri = format!("https://{HOST}/a");
    let over_h2 = || Request::get(&uri).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(
        read(one.send_request(request("/a")).await.unwrap()).await.unwrap().header("x-cache"),
        "Miss from first"
    );
    assert_eq!(
        read(two.send_request(over_h2()).await.unwrap()).await.unwrap().header("x-cache"),
        "Hit from first"
    );

    let reloaded = stage.reload(&named("second"), |_| ()).await.unwrap();
    assert!(reloaded.changed && reloaded.wait_for_restart.is_empty(), "{reloaded:?}");
    let first = read(one.send_request(request("/a")).await.unwrap()).await.unwrap();
    let second = read(two.send_request(over_h2()).await.unwrap()).await.unwrap();
    for seen in [&first, &second] {
        assert_eq!((seen.text(), seen.header("x-cache")), ("abc", "Hit from second"));
        assert!(seen.header("via").ends_with("(second)"), "{}", seen.header("via"));
    }
    assert_eq!(bucket.fetches("a"), 1);
    assert_eq!(get(stage.https(), "/a").await.header("x-cache"), "Hit from second");

    // Counts go on, in the series in which they were.
    let hits =
        "edgeseal_requests_total{distribution=\"default\",method=\"GET\",result=\"Hit\",status=\"200\"}";
    eventually("all hits are counted together", || async { stage.metric(hits) == 4.0 }).await;
    assert_eq!(stage.metric("edgeseal_cache_entries"), 1.0);
    let (_, text) = stage.server.edge().metrics.render(None);
    assert_eq!(text.matches(hits).count(), 1);

    let again = stage.reload(&named("second"), |_| ()).await.unwrap();
    assert!(!again.changed, "what is the same is no change");
}

#[cfg(feature = "http3")]
#[tokio::test]
async fn http_3_goes_on_and_may_be_switched_off_and_on() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let on = |name: &str| named(name).replace("$BUCKET", "http_version = \"http2and3\"\n$BUCKET");
    let mut stage = Stage::start(&on("first"), &bucket.origin.url()).await;
    let viewer = quic::Viewer::connect(stage.https()).await;
    assert_eq!(viewer.get("/a").await.header("x-cache"), "Miss from first");
    stage.reload(&on("second"), |_| ()).await.unwrap();
    assert_eq!(viewer.get("/a").await.header("x-cache"), "Hit from second");
    assert!(get(stage.https(), "/a").await.header("alt-svc").starts_with("h3="));
    assert_eq!(
        quic::Viewer::connect(stage.https()).await.get("/a").await.header("x-cache"),
        "Hit from second"
    );

    assert!(stage.reload(&named("third"), |_| ()).await.unwrap().wait_for_restart.is_empty());
    assert!(quic::connect(stage.https(), HOST).await.is_err(), "it is offered no more");
    assert_eq!(viewer.get("/a").await.header("x-cache"), "Hit from third");
    assert!(!get(stage.https(), "/a").await.headers.contains_key("alt-svc"));
    stage.reload(&on("fourth"), |_| ()).await.unwrap();
    assert_eq!(
        quic::Viewer::connect(stage.https()).await.get("/a").await.header("x-cache"),
        "Hit from fourth"
    );
}

#[tokio::test]
async fn a_request_under_way_ends_as_it_began() {
    let bucket = Bucket::start().await;
    bucket.put("a", vec![7; 2_000_000]);
    let mut stage = Stage::start(&named("first"), &bucket.origin.url()).await;
    let stopped = bucket.origin.hold_body_after(100_000);
    let mut sender = h1(&stage).await;
    let response = sender.send_request(request("/a")).await.unwrap();
    stage.reload(&named("second"), |_| ()).await.unwrap();
    // One that comes later shares the fetch that began before.
    let joined = h1(&stage).await.send_request(request("/a")).await.unwrap();
    assert_eq!(joined.headers()["x-cache"], "Hit from second");
    drop(stopped);
    for (response, result) in [(response, "Miss from first"), (joined, "Hit from second")] {
        let seen = read(response).await.unwrap();
        assert_eq!((seen.body.len(), seen.header("x-cache")), (2_000_000, result));
    }
    assert_eq!(bucket.fetches("a"), 1);
    log_lines(&stage.log, 2).await;
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_viewers_and_old_ones_stay() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let first = certify(&files);
    let with = files.clone();
    let mut stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), |config| {
        config.tls.certificates.push(with);
    })
    .await;
    // A viewer who comes back takes up its session.
    let connector = TlsConnector::from(Arc::new(trusting(&[b"http/1.1"])));
    let again = async || {
        let stream = TcpStream::connect(stage.server.https).await.unwrap();
        let stream = connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection.without_shutdown());
        read(sender.send_request(request("/a")).await.unwrap()).await.unwrap();
        drop(sender);
        connection.await.unwrap().unwrap().io.into_inner().get_ref().1.handshake_kind()
    };
    assert_eq!(again().await, Some(HandshakeKind::Full));
    let mut kept = h1(&stage).await;
    assert_eq!(shown(&stage, HOST).await, first);

    let second = certify(&files);
    assert_eq!(shown(&stage, HOST).await, first, "nobody has asked for a reload");
    let with = files.clone();
    let reloaded = stage.reload(PLAIN, |config| config.tls.certificates.push(with)).await.unwrap();
    assert!(reloaded.changed);
    assert_eq!(shown(&stage, HOST).await, second);
    assert_eq!(read(kept.send_request(request("/a")).await.unwrap()).await.unwrap().status, 200);
    let again = async || {
        let stream = TcpStream::connect(stage.server.https).await.unwrap();
        let stream = connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.unwrap();
        stream.get_ref().1.handshake_kind()
    };
    assert_eq!(again().await, Some(HandshakeKind::Resumed), "tickets stay good");
}

#[tokio::test]
async fn with_a_bad_certificate_nothing_of_a_reload_is_taken() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let good = certify(&files);
    let with = files.clone();
    let mut stage = Stage::start_tuned(&named("first"), &bucket.origin.url(), reader(), |config| {
        config.tls.certificates.push(with);
    })
    .await;
    get(stage.https(), "/a").await;

    std::fs::write(&files.cert, "-----BEGIN CERTIFICATE-----\nhalf a").unwrap();
    let with = files.clone();
    let refused = stage.reload(&named("second"), |config| config.tls.certificates.push(with)).await;
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("edge.crt: is damaged PEM"), "{reason}");
    stage.server.refuse(&[reason]);
    assert_eq!(shown(&stage, HOST).await, good);
    assert_eq!(get(stage.https(), "/a").await.header("x-cache"), "Hit from first");
    assert_eq!(stage.metric(SUCCESSFUL), 0.0);
    let ready = readyz(&stage).await;
    assert_eq!(ready.status, 200, "a restart would lose the good configuration");
    assert!(
        ready.text().contains("the last reload was refused") && ready.text().contains("edge.crt"),
        "{}",
        ready.text()
    );

    let renewed = certify(&files);
    let with = files.clone();
    stage.reload(&named("second"), |config| config.tls.certificates.push(with)).await.unwrap();
    assert_eq!(shown(&stage, HOST).await, renewed);
    assert_eq!(get(stage.https(), "/a").await.header("x-cache"), "Hit from second");
    assert_eq!(stage.metric(SUCCESSFUL), 1.0);
    assert!(!readyz(&stage).await.text().contains("refused"));
}

#[tokio::test]
async fn what_takes_a_restart_is_named_and_the_rest_is_taken() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let mut stage = Stage::start(&named("first"), &bucket.origin.url()).await;
    let grown = format!("[cache]\nmemory = \"1GiB\"\n[listen]\nworkers = 1\n{}", named("second"));
    let grown = grown.replace("$BUCKET", "http_version = \"http2and3\"\n$BUCKET");
    for changed in [true, false] {
        let reloaded = stage.reload(&grown, |_| ()).await.unwrap();
        let keys: &[&str] = match cfg!(feature = "http3") {
            // The largest object follows from the memory.
            true => &["listen.workers", "cache.memory", "cache.max_object", "distribution.http_version"],
            false => &["listen.workers", "cache.memory", "cache.max_object"],
        };
        assert_eq!((reloaded.changed, &*reloaded.wait_for_restart), (changed, keys));
    }
    assert_eq!(stage.metric("edgeseal_cache_max_bytes"), (512_u64 << 20) as f64);
    let seen = get(stage.https(), "/a").await;
    assert_eq!(seen.header("x-cache"), "Miss from second");
    assert!(!seen.headers.contains_key("alt-svc"), "nobody is told of what is not there");
}

#[tokio::test]
async fn distributions_come_and_go_with_their_metrics_and_the_api() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let site = |id: &str, alias: &str| {
        format!("[[distribution]]\nid = \"{id}\"\naliases = [\"{alias}\"]\n$BUCKET\n")
    };
    let mut stage = Stage::start(&site("ONE", HOST), &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.header("x-cache"), "Miss from edgeseal");
    let both = format!("{}{}", site("TWO", "new.example.com"), site("ONE", HOST));
    stage.reload(&both, |_| ()).await.unwrap();
    assert_eq!(get(stage.https(), "/a").await.header("x-cache"), "Hit from edgeseal");
    let list =
        plain(stage.server.admin, Method::GET, "/2020-05-31/distribution", &[("host", "localhost")]).await;
    assert!(list.text().contains("<Id>ONE</Id>") && list.text().contains("<Id>TWO</Id>"), "{}", list.text());
    stage.server.edge().invalidate(Some("ONE"), &["/*".to_owned()], edgeseal::clock::now()).unwrap();
    assert_eq!(get(stage.https(), "/a").await.header("x-cache"), "Miss from edgeseal");

    stage.reload(&site("TWO", "new.example.com"), |_| ()).await.unwrap();
    assert_eq!(get(stage.https(), "/a").await.status, 403, "nobody has that name any more");
    let misses =
        "edgeseal_requests_total{distribution=\"ONE\",method=\"GET\",result=\"Miss\",status=\"200\"}";
    eventually("what was counted stays", || async { stage.metric(misses) == 2.0 }).await;
}

#[cfg(feature = "geo")]
#[tokio::test]
async fn a_new_database_of_places_counts_at_once() {
    use crate::support::mmdb;

    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("places.mmdb");
    let put = |country: &str| {
        let row = serde_json::json!({ "country": { "iso_code": country } });
        std::fs::write(folder.path().join("new"), mmdb::database(&[("127.0.0.1", 32, row)])).unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
    };
    put("DE");
    let restriction =
        "[distribution.geo_restriction]\nrestriction_type = \"whitelist\"\nlocations = [\"DE\"]\n";
    let toml = format!("[geo]\ndatabase = {:?}\n{PLAIN}{restriction}", file.display().to_string());
    let mut stage = Stage::start(&toml, &bucket.origin.url()).await;
    let mut kept = h1(&stage).await;
    assert_eq!(read(kept.send_request(request("/a")).await.unwrap()).await.unwrap().status, 200);
    put("FR");
    assert!(stage.reload(&toml, |_| ()).await.unwrap().changed);
    assert_eq!(read(kept.send_request(request("/a")).await.unwrap()).await.unwrap().status, 403);
    assert!(!stage.reload(&toml, |_| ()).await.unwrap().changed);
    std::fs::write(&file, "no database").unwrap();
    assert!(stage.reload(&toml, |_| ()).await.unwrap_err().to_string().contains("geo.database"));
    assert_eq!(read(kept.send_request(request("/a")).await.unwrap()).await.unwrap().status, 403);
}

#[tokio::test]
async fn the_log_goes_on_in_the_same_file_or_in_another() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let mut stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let mut kept = h1(&stage).await;
    read(kept.send_request(request("/a")).await.unwrap()).await.unwrap();
    let pop = format!("[identity]\npop = \"POP2-C1\"\n{PLAIN}");
    stage.reload(&pop, |_| ()).await.unwrap();
    get(stage.https(), "/a").await;
    let lines = log_lines(&stage.log, 2).await;
    assert_eq!(
        (&lines[0]["x-edge-location"], &lines[1]["x-edge-location"]),
        (&"EDG1-C1".into(), &"POP2-C1".into())
    );

    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.log");
    let target = edgeseal::config::AccessLogTarget::File(other.clone());
    stage.reload(&pop, |config| config.log.access = target).await.unwrap();
    get(stage.https(), "/a").await;
    read(kept.send_request(request("/a")).await.unwrap()).await.unwrap();
    log_lines(&other, 2).await;
    log_lines(&stage.log, 2).await;
    let edge = stage.server.edge();
    stage.server.drain().await;
    assert_eq!(edge.log.dropped(), 0);
}

/// What viewers saw: answers, and whatever was wrong with one.
#[derive(Default)]
struct Tally {
    answers: AtomicUsize,
    wrong: std::sync::Mutex<Vec<String>>,
}

impl Tally {
    fn count(&self, seen: &Seen) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        let name = seen.header("x-cache").rsplit(' ').next().unwrap_or_default().to_owned();
        // Of one answer all is of one configuration.
        if seen.status != 200 || seen.text() != "abc" || !seen.header("via").ends_with(&format!("({name})")) {
            self.wrong.lock().unwrap().push(format!("{} {:?} {:?}", seen.status, seen.headers, seen.body));
        }
    }
}

async fn asking_h1(mut sender: http1::SendRequest<Empty<Bytes>>, stop: Arc<AtomicBool>, tally: Arc<Tally>) {
    while !stop.load(Ordering::Relaxed) {
        for path in ["/a", "/b", "/c"] {
            tally.count(&read(sender.send_request(request(path)).await.unwrap()).await.unwrap());
        }
    }
}

async fn asking_h2(mut sender: http2::SendRequest<Empty<Bytes>>, stop: Arc<AtomicBool>, tally: Arc<Tally>) {
    while !stop.load(Ordering::Relaxed) {
        for path in ["/a", "/b", "/c"] {
            let request = Request::get(format!("https://{HOST}{path}")).body(Empty::new()).unwrap();
            tally.count(&read(sender.send_request(request).await.unwrap()).await.unwrap());
        }
    }
}

async fn coming_anew(https: std::net::SocketAddr, stop: Arc<AtomicBool>, tally: Arc<Tally>) {
    while !stop.load(Ordering::Relaxed) {
        tally.count(&get(https, "/b").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_over_twenty_reloads_under_load() {
    let bucket = Bucket::start().await;
    for object in ["a", "b", "c"] {
        bucket.put(object, "abc");
    }
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    certify(&files);
    // An object that is asked for anew each time, and two that are hits.
    let config = |name: &str| {
        format!(
            "{}[[distribution.cache_behavior]]\npath_pattern = \"c\"\ncache_policy = \"CachingDisabled\"\n",
            named(name)
        )
    };
    let with = files.clone();
    let mut stage = Stage::start_tuned(&config("first"), &bucket.origin.url(), reader(), |config| {
        config.tls.certificates.push(with);
    })
    .await;
    let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
    let mut viewers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        viewers.spawn(asking_h1(h1(&stage).await, Arc::clone(&stop), Arc::clone(&tally)));
        viewers.spawn(asking_h2(h2(&stage).await, Arc::clone(&stop), Arc::clone(&tally)));
    }
    viewers.spawn(coming_anew(stage.https(), Arc::clone(&stop), Arc::clone(&tally)));
    for reload in 0..20 {
        let before = tally.answers.load(Ordering::Relaxed);
        certify(&files);
        let (name, with) = (["second", "third"][reload % 2], files.clone());
        let reloaded =
            stage.reload(&config(name), |config| config.tls.certificates.push(with)).await.unwrap();
        assert!(reloaded.changed);
        eventually("viewers go on", || async { tally.answers.load(Ordering::Relaxed) > before + 20 }).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(viewer) = viewers.join_next().await {
        viewer.expect("no request fails");
    }
    let wrong = tally.wrong.lock().unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {}: {:?}",
        wrong.len(),
        tally.answers.load(Ordering::Relaxed),
        wrong.first()
    );
    assert_eq!((bucket.fetches("a"), bucket.fetches("b")), (1, 1), "hits stay hits");
}

/// `edgeseal run` with this file.
fn run(file: &Path, bucket: &Bucket) -> Running {
    Running::spawn(command(file, bucket))
}

fn command(file: &Path, bucket: &Bucket) -> Command {
    let any = "127.0.0.1:0";
    let mut command = edgeseal(&["run", "--http", any, "--https", any, "--admin", any, "--config"]);
    command
        .arg(file)
        .env("AWS_ENDPOINT_URL", bucket.origin.url())
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command
}

/// sd_notify(3)
#[tokio::test]
async fn systemd_is_told_how_far_it_is() {
    let bucket = Bucket::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, notify) = (folder.path().join("edge.toml"), folder.path().join("notify"));
    std::fs::write(&file, whole("first", "[reload]\nwatch = false\n")).unwrap();
    let systemd = tokio::net::UnixDatagram::bind(&notify).unwrap();
    let mut command = command(&file, &bucket);
    command.env("NOTIFY_SOCKET", &notify);
    let process = Running::spawn(command);
    let told = async || {
        let mut buffer = [0; 1024];
        let length = tokio::time::timeout(SOON, systemd.recv(&mut buffer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&buffer[..length]).lines().next().unwrap().to_owned()
    };
    assert_eq!(told().await, "READY=1");
    process.signal("HUP");
    assert_eq!((told().await, told().await), ("RELOADING=1".to_owned(), "READY=1".to_owned()));
    process.terminate();
    assert_eq!(told().await, "STOPPING=1");
    assert_eq!(process.ended().await.code, Some(0));
}

fn whole(name: &str, more: &str) -> String {
    let origin = format!("[[distribution.origin]]\nbucket = \"{BUCKET}\"\nregion = \"{REGION}\"\n");
    format!("{more}[log]\naccess = \"off\"\n{}", named(name).replace("$BUCKET", &origin))
}

/// Waits until a new request is answered by an edge of this name.
async fn until_named(https: std::net::SocketAddr, name: &str) {
    eventually(name, || async {
        get(https, "/a").await.header("x-cache").ends_with(&format!(" from {name}"))
    })
    .await;
}

#[tokio::test]
async fn sighup_reads_the_file_again_and_a_bad_one_is_told_and_left() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge.toml");
    let unwatched = "[reload]\nwatch = false\n";
    std::fs::write(&file, whole("first", unwatched)).unwrap();
    let mut process = run(&file, &bucket);
    let (https, admin) = (process.address("https").await, process.address("admin").await);
    until_named(https, "first").await;

    std::fs::write(&file, whole("second", unwatched)).unwrap();
    process.signal("HUP");
    until_named(https, "second").await;
    assert_eq!(get(https, "/a").await.header("x-cache"), "Hit from second");

    std::fs::write(&file, whole("third", "[listen]\nworkers = \"many\"\n[cache]\nmemory = \"lots\"\n"))
        .unwrap();
    process.signal("HUP");
    let metrics = async || plain(admin, Method::GET, "/metrics", &[("host", "localhost")]).await;
    eventually("it is refused", || async { metrics().await.text().contains(&format!("{SUCCESSFUL} 0")) })
        .await;
    let ready = plain(admin, Method::GET, "/readyz", &[("host", "localhost")]).await;
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().contains("listen.workers") && ready.text().contains("cache.memory"),
        "{}",
        ready.text()
    );
    assert_eq!(get(https, "/a").await.header("x-cache"), "Hit from second");

    std::fs::write(&file, whole("second", unwatched)).unwrap();
    process.signal("HUP");
    eventually("it is good again", || async { metrics().await.text().contains(&format!("{SUCCESSFUL} 1")) })
        .await;
    process.terminate();
    let ended = process.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for told in ["not reloaded", "listen.workers", "cache.memory", "nothing to reload"] {
        assert!(ended.err.contains(told), "{told}: {}", ended.err);
    }
}

/// As Kubernetes swaps a ConfigMap: files are links into a folder that is a link.
#[tokio::test]
async fn files_are_watched_through_links_that_are_swapped() {
    let bucket = Bucket::start().await;
    bucket.put("a", "abc");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, name) in [("v1", "first"), ("v2", "second")] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("edge.toml"), whole(name, "")).unwrap();
    }
    symlink("v1", at("..data")).unwrap();
    symlink("..data/edge.toml", at("edge.toml")).unwrap();
    let mut process = run(&at("edge.toml"), &bucket);
    let https = process.address("https").await;
    until_named(https, "first").await;

    symlink("v2", at("..data.new")).unwrap();
    std::fs::rename(at("..data.new"), at("..data")).unwrap();
    until_named(https, "second").await;

    // A certificate that is renewed in its place.
    let files = files(folder.path());
    let first = certify(&files);
    let tls = format!("[[tls.certificate]]\ncert = {:?}\nkey = {:?}\n", files.cert, files.key);
    std::fs::write(at("edge.toml"), whole("third", &tls)).unwrap();
    until_named(https, "third").await;
    let shown = async || {
        let stream = connect(https, HOST, &[]).await;
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    eventually("the certificate is there", || async { shown().await == first }).await;
    let second = certify(&files);
    eventually("the renewed one is there", || async { shown().await == second }).await;
    assert_eq!(get(https, "/a").await.header("x-cache"), "Hit from third");
    process.terminate();
    assert_eq!(process.ended().await.code, Some(0));
}
