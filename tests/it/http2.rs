//! HTTP/2 as our own server speaks it: what it answers, in which order, and to whom it does not.

use std::sync::Arc;

use bytes::Bytes;
use edgeseal::demo::viewer::{Seen, read};
use http::{Method, Request};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Duration, timeout};
use tokio_rustls::client::TlsStream;

use crate::interim;
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{HOST, ask, connect, get};
use crate::support::{Bucket, PLAIN, Stage, log_lines, pattern, reader};

const SOON: Duration = Duration::from_secs(5);
const LARGE: usize = 3_000_000;

/// A stage whose bucket holds `small` and `large`.
async fn stage() -> (Bucket, Stage) {
    let bucket = Bucket::start().await;
    bucket.put("small", "small");
    bucket.put("large", pattern(LARGE));
    // Whatever the other stories are told with.
    let own = |config: &mut edgeseal::config::Config| {
        config.listen.fast_path = true;
        // The log is read in order.
        config.listen.workers = 1;
    };
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), own).await;
    (bucket, stage)
}

async fn sender(stage: &Stage) -> http2::SendRequest<Full<Bytes>> {
    let stream = connect(stage.https(), HOST, &[b"h2"]).await;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn send(
    sender: &http2::SendRequest<Full<Bytes>>,
    method: &Method,
    path: &str,
    fields: &[(&str, &str)],
) -> Seen {
    let mut request = Request::builder().method(method).uri(format!("https://{HOST}{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let response = sender.clone().send_request(request.body(Full::default()).unwrap()).await.unwrap();
    read(response).await.unwrap()
}

#[tokio::test]
async fn hits_are_those_of_http1() {
    let (_bucket, stage) = stage().await;
    let sender = sender(&stage).await;
    let etag = get(stage.https(), "/small").await.header("etag").to_owned();
    get(stage.https(), "/large").await;
    let (get, head) = (Method::GET, Method::HEAD);
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let table: [(&Method, &str, Fields<'_>, u16); 8] = [
        (&get, "/small", &[], 200),
        (&head, "/small", &[], 200),
        (&get, "/small", &[("if-none-match", &etag)], 304),
        (&get, "/small", &[("range", "bytes=1-2")], 206),
        (&get, "/small", &[("range", "bytes=9-")], 416),
        (&get, "/small?a=b", &[("cookie", "a=1"), ("cookie", "b=2")], 200),
        (&get, "/large", &[], 200),
        (&get, "/large", &[("range", "bytes=1000-1000999")], 206),
    ];
    for (method, path, fields, status) in table {
        let one = ask(stage.https(), method.clone(), path, fields).await;
        let mut two = send(&sender, method, path, fields).await;
        assert_eq!((one.status, two.status), (status, status), "{method} {path} {fields:?}");
        // A page of ours names its request.
        assert!(one.body == two.body || status >= 400, "{method} {path} {fields:?}");
        let mut headers = one.headers.clone();
        for each in [&mut headers, &mut two.headers] {
            ["age", "date", "x-amz-cf-id", "connection"].iter().for_each(|name| drop(each.remove(*name)));
        }
        assert_eq!(headers, two.headers, "{method} {path} {fields:?}");
    }
    let lines = log_lines(&stage.log, 2 + 2 * table.len()).await;
    for pair in lines[2..].chunks(2) {
        for field in ["sc-status", "x-edge-result-type", "cs-uri-stem", "cs-uri-query", "sc-range-start"] {
            assert_eq!(pair[0][field], pair[1][field], "{field}: {pair:?}");
        }
        let versions = (&pair[0]["cs-protocol-version"], &pair[1]["cs-protocol-version"]);
        assert_eq!((versions.0.as_str(), versions.1.as_str()), (Some("HTTP/1.1"), Some("HTTP/2.0")));
    }
}

#[tokio::test]
async fn large_bodies_share_a_connection() {
    let (_bucket, stage) = stage().await;
    let sender = sender(&stage).await;
    for _ in ["Miss", "Hit"] {
        let (method, path) = (Method::GET, "/large");
        let (one, two, three) = tokio::join!(
            send(&sender, &method, path, &[]),
            send(&sender, &method, path, &[("priority", "u=1, i")]),
            send(&sender, &method, path, &[("range", "bytes=5-")]),
        );
        assert!(one.body == pattern(LARGE) && two.body == pattern(LARGE));
        assert!(three.body == pattern(LARGE)[5..]);
    }
}

#[tokio::test]
async fn hypers_server_is_there_on_demand() {
    let bucket = Bucket::start().await;
    bucket.put("small", "small");
    let slow = |config: &mut edgeseal::config::Config| config.listen.fast_path = false;
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), slow).await;
    let sender = sender(&stage).await;
    for result in ["Miss from edgeseal", "Hit from edgeseal"] {
        let seen = send(&sender, &Method::GET, "/small", &[]).await;
        assert_eq!((seen.text(), seen.header("x-cache")), ("small", result));
    }
}

#[tokio::test]
async fn uploads_are_streamed() {
    let origin = Scripted::start([Act::ok("done"), Act::ok("done")]).await;
    let toml = format!(
        "[[distribution]]\n[[distribution.origin]]\ndomain_name = \"127.0.0.1\"\n\
         [distribution.origin.custom_origin]\nhttp_port = {}\norigin_protocol_policy = \"http-only\"\n\
         [distribution.default_cache_behavior]\nviewer_protocol_policy = \"allow-all\"\n\
         allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"PATCH\", \"POST\", \"DELETE\"]\n",
        origin.port()
    );
    let stage = Stage::start(&toml, "http://127.0.0.1:1").await;
    let sender = sender(&stage).await;
    let request = Request::post(format!("https://{HOST}/a")).body(Full::from(pattern(LARGE))).unwrap();
    let response = timeout(SOON, sender.clone().send_request(request)).await.unwrap().unwrap();
    assert_eq!(read(response).await.unwrap().text(), "done");
    assert!(origin.bodies()[0] == pattern(LARGE), "more than any window holds");
    assert!(origin.heads()[0].contains(&format!("content-length: {LARGE}\r\n")), "{}", origin.heads()[0]);
}

#[tokio::test]
async fn an_upload_that_breaks_off_reaches_the_origin_as_that() {
    let origin = Scripted::start([Act::ok("done")]).await;
    let toml = format!(
        "[[distribution]]\n[[distribution.origin]]\ndomain_name = \"127.0.0.1\"\n\
         [distribution.origin.custom_origin]\nhttp_port = {}\norigin_protocol_policy = \"http-only\"\n\
         [distribution.default_cache_behavior]\nviewer_protocol_policy = \"allow-all\"\n\
         allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"PATCH\", \"POST\", \"DELETE\"]\n",
        origin.port()
    );
    let stage = Stage::start(&toml, "http://127.0.0.1:1").await;
    let stream = connect(stage.https(), HOST, &[b"h2"]).await;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (feed, body) = tokio::sync::mpsc::channel(1);
    let sent = sender.send_request(Request::post(format!("https://{HOST}/a")).body(Fed(body)).unwrap());
    let sent = tokio::spawn(sent);
    feed.send(Ok(http_body::Frame::data(Bytes::from_static(b"abc")))).await.unwrap();
    feed.send(Err(std::io::Error::other("the viewer gives up"))).await.unwrap();
    assert!(timeout(SOON, sent).await.unwrap().unwrap().is_err());
    let line = log_lines(&stage.log, 1).await.remove(0);
    assert_eq!(line["x-edge-result-type"], "Error", "{line}");
}

type Fragment = Result<http_body::Frame<Bytes>, std::io::Error>;

/// A body that comes as it is fed.
struct Fed(tokio::sync::mpsc::Receiver<Fragment>);

impl http_body::Body for Fed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Fragment>> {
        self.0.poll_recv(cx)
    }
}

/// Frames over TLS.
struct Frames(TlsStream<TcpStream>);

/// Kind, flags, stream, payload.
type Frame = (u8, u8, u32, Vec<u8>);

impl Frames {
    async fn connect(stage: &Stage, settings: &[u8]) -> Self {
        let mut frames = Self(connect(stage.https(), HOST, &[b"h2"]).await);
        frames.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        frames.write(&frame(4, 0, 0, settings)).await;
        frames
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// `None`: the edge has closed.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        timeout(SOON, self.0.read_exact(&mut head)).await.unwrap().ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        timeout(SOON, self.0.read_exact(&mut payload)).await.unwrap().ok()?;
        Some((head[3], head[4], u32::from_be_bytes(head[5..].try_into().unwrap()), payload))
    }

    /// The first frame that `is_wanted`.
    async fn find(&mut self, is_wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().await.expect("the edge has closed");
            if is_wanted(&frame) {
                return frame;
            }
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn request(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", path)];
    let mut block = Vec::new();
    for (name, value) in usual.iter().chain(more) {
        block.extend([0, u8::try_from(name.len()).unwrap()]);
        block.extend(name.bytes());
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.bytes());
    }
    frame(1, 5, stream, &block)
}

#[tokio::test]
async fn an_answer_that_the_viewer_resets_is_an_error_in_the_log() {
    let (_bucket, stage) = stage().await;
    get(stage.https(), "/large").await;
    let mut frames = Frames::connect(&stage, &[]).await;
    frames.write(&request(1, "/large", &[])).await;
    let mut got = 0;
    while got < 65_535 {
        got += frames.find(|frame| frame.0 == 0).await.3.len();
    }
    assert_eq!(got, 65_535, "no more than the window");
    frames.write(&frame(3, 0, 1, &[0, 0, 0, 8])).await;
    let line = log_lines(&stage.log, 2).await.remove(1);
    assert_eq!(
        (&line["x-edge-result-type"], &line["x-edge-response-result-type"]),
        (&"Error".into(), &"Hit".into())
    );
    let sent =
        line["sc-bytes"].as_str().map_or_else(|| line["sc-bytes"].as_u64().unwrap(), |n| n.parse().unwrap());
    assert!((65_535..70_000).contains(&sent), "{line}");
    // One that leaves altogether, likewise.
    frames.write(&[frame(8, 0, 0, &[0, 1, 0, 0]), request(3, "/large", &[])].concat()).await;
    frames.find(|frame| frame.0 == 0).await;
    drop(frames);
    let line = log_lines(&stage.log, 3).await.remove(2);
    assert_eq!(line["x-edge-result-type"], "Error");
}

#[tokio::test]
async fn what_is_urgent_comes_first() {
    let (_bucket, stage) = stage().await;
    get(stage.https(), "/large").await;
    // Windows of 100 MB.
    let mut frames = Frames::connect(&stage, &[0, 4, 6, 0, 0, 0]).await;
    let mut bytes = frame(8, 0, 0, &[6, 0, 0, 0]);
    bytes.extend(request(1, "/large", &[("priority", "u=6")]));
    bytes.extend(request(3, "/large", &[("priority", "u=1")]));
    frames.write(&bytes).await;
    let mut order = Vec::new();
    while order.len() < 2 {
        let (_, flags, stream, _) = frames.find(|frame| frame.0 == 0).await;
        if flags & 1 == 1 {
            order.push(stream);
        }
    }
    assert_eq!(order, [3, 1]); // RFC 9218 §10
}

#[tokio::test]
async fn hostile_viewers_are_told_to_calm_down() {
    let (bucket, stage) = stage().await;
    let held = bucket.origin.hold();
    // CVE-2023-44487, CVE-2019-9512, CVE-2024-27316
    let reset =
        |n: u32| [request(2 * n + 1, &format!("/{n}"), &[]), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat();
    let ping = |_: u32| frame(6, 0, 0, &[0; 8]);
    let endless = |n: u32| if n == 0 { frame(1, 0, 1, &[]) } else { frame(9, 0, 1, &[]) };
    type Attack<'a> = &'a dyn Fn(u32) -> Vec<u8>;
    let attacks: [(&str, Attack<'_>); 3] = [("reset", &reset), ("ping", &ping), ("endless", &endless)];
    for (what, attack) in attacks {
        let mut frames = Frames::connect(&stage, &[]).await;
        for n in 0..3_000 {
            // The edge may have closed by now.
            if frames.0.write_all(&attack(n)).await.is_err() {
                break;
            }
        }
        // What did not fit into the socket waits in the library.
        let _ = frames.0.flush().await;
        let (_, _, _, payload) = frames.find(|frame| frame.0 == 7).await;
        assert_eq!(payload[4..8], [0, 0, 0, 11], "{what}");
    }
    drop(held);
    assert_eq!(get(stage.https(), "/small").await.text(), "small");
}

/// RFC 8297, RFC 9113 §8.1
#[tokio::test]
async fn hints_come_before_the_answer() {
    if std::env::var_os("EDGESEAL_TEST_HYPER").is_some() {
        return; // its server cannot send them
    }
    let go = Arc::new(Notify::new());
    let stage = interim::stage(interim::origin(Arc::clone(&go)).await).await;
    let mut frames = Frames::connect(&stage, &[]).await;
    frames.write(&request(1, "/a", &[])).await;
    let (_, flags, stream, block) = frames.find(|frame| frame.0 == 1).await;
    assert_eq!((flags, stream), (4, 1), "the stream goes on");
    assert!(block.starts_with(b"\x08\x03103"), "{block:?}");
    assert!(block.ends_with(b"</a.css>; rel=preload"), "{block:?}");
    go.notify_one();
    let (_, _, stream, block) = frames.find(|frame| frame.0 == 1).await;
    assert_eq!((stream, block[0]), (1, 0x88));
    let (_, flags, _, body) = frames.find(|frame| frame.0 == 0).await;
    assert_eq!((flags & 1, &body[..]), (1, &b"ok"[..]));
}

#[tokio::test]
async fn a_viewer_that_reads_slowly_holds_nobody_up() {
    let (_bucket, stage) = stage().await;
    get(stage.https(), "/large").await;
    let mut frames = Frames::connect(&stage, &[0, 4, 6, 0, 0, 0]).await;
    frames.write(&frame(8, 0, 0, &[6, 0, 0, 0])).await;
    for n in 0..20 {
        frames.write(&request(2 * n + 1, "/large", &[])).await;
    }
    // It takes nothing meanwhile.
    assert_eq!(get(stage.https(), "/small").await.text(), "small");
    let (mut ended, mut got) = (0, 0);
    while ended < 20 {
        let (_, flags, _, payload) = frames.find(|frame| frame.0 == 0).await;
        got += payload.len();
        ended += u32::from(flags & 1);
    }
    assert_eq!(got, 20 * LARGE);
}
