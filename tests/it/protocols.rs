//! HTTP/1.0, HTTP/1.1 and HTTP/2 as they come over the wire, odd and hostile ones among them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use edgeseal::demo::viewer::read;
use http::{Method, Request};
use http_body_util::{Empty, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{HOST, Seen, connect, get, plain};
use crate::support::{Bucket, PLAIN, Stage, log_lines};

const SOON: Duration = Duration::from_secs(3);

/// A stage whose bucket holds `a` ("a") and `b` ("b").
async fn stage() -> (Bucket, Stage) {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    bucket.put("b", "b");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    (bucket, stage)
}

/// Sends exactly these bytes over TLS; all that comes back until the edge closes, which it must.
async fn until_closed(edge: SocketAddr, bytes: &[u8]) -> String {
    drain(connect(edge, HOST, &[]).await, bytes).await
}

/// The same over plain HTTP.
async fn until_closed_plain(edge: SocketAddr, bytes: &[u8]) -> String {
    drain(TcpStream::connect(edge).await.unwrap(), bytes).await
}

async fn drain(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let shown = String::from_utf8_lossy(bytes).into_owned();
    // A reset is an end, too: the edge does not read what it does not believe.
    let _ =
        timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap_or_else(|_| panic!("open after {shown}"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Exactly one answer with a short body, from a connection that stays open.
async fn one_answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(SOON, stream.read_u8()).await.unwrap().unwrap());
    }
    let head = String::from_utf8(answer).unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn answers(text: &str) -> usize {
    text.matches("HTTP/1.").count() - text.matches("\"HTTP/1.").count()
}

#[tokio::test]
async fn http_1_0_closes_unless_it_asks_to_stay() {
    let (_bucket, stage) = stage().await;
    let seen = until_closed(stage.https(), b"GET /a HTTP/1.0\r\nhost: cdn.example.com\r\n\r\n").await;
    assert!(seen.starts_with("HTTP/1.0 200 OK\r\n") && seen.ends_with("\r\n\r\na"), "{seen}");
    let mut stream = connect(stage.https(), HOST, &[]).await;
    let stay = b"GET /a HTTP/1.0\r\nhost: cdn.example.com\r\nconnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(stay).await.unwrap();
        let seen = one_answer(&mut stream).await;
        assert!(
            seen.starts_with("HTTP/1.0 200 OK\r\n") && seen.contains("connection: keep-alive\r\n"),
            "{seen}"
        );
    }
    let last = drain(stream, b"GET /b HTTP/1.0\r\nhost: cdn.example.com\r\n\r\n").await;
    assert!(last.ends_with("\r\n\r\nb"), "{last}");
    let lines = log_lines(&stage.log, 4).await;
    assert!(lines.iter().all(|line| line["cs-protocol-version"] == "HTTP/1.0"));
}

#[tokio::test]
async fn http_1_0_gets_no_chunks() {
    let origin = Scripted::start([Act::send_and_close("HTTP/1.1 200 OK\r\n\r\nof unknown length")]).await;
    let stage = Stage::start(PLAIN, &origin.url()).await;
    let seen = until_closed(stage.https(), b"GET /a HTTP/1.0\r\nhost: cdn.example.com\r\n\r\n").await;
    assert!(seen.ends_with("\r\n\r\nof unknown length"), "{seen}");
    assert!(!seen.contains("transfer-encoding"), "{seen}");
}

#[tokio::test]
async fn what_cannot_be_redirected_with_its_body_is_refused() {
    let (_bucket, stage) = stage().await;
    // behaviour §2.1
    let table = [
        ("GET", "1.0", "301"),
        ("HEAD", "1.0", "301"),
        ("POST", "1.0", "403"),
        ("DELETE", "1.0", "403"),
        ("GET", "1.1", "301"),
        ("POST", "1.1", "307"),
        ("DELETE", "1.1", "307"),
    ];
    for (method, version, status) in table {
        let request =
            format!("{method} /a HTTP/{version}\r\nhost: cdn.example.com\r\nconnection: close\r\n\r\n");
        let seen = until_closed_plain(stage.server.http, request.as_bytes()).await;
        assert!(seen.starts_with(&format!("HTTP/{version} {status} ")), "{method} {version}: {seen}");
        assert_eq!(seen.contains("location: https://cdn.example.com/a\r\n"), status != "403", "{seen}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (bucket, stage) = stage().await;
    get(stage.https(), "/b").await;
    let held = bucket.origin.hold();
    let mut stream = connect(stage.https(), HOST, &[]).await;
    let mut requests = String::new();
    for path in ["/a", "/b", "/nothing%2", "/b"] {
        requests += &format!("GET {path} HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n");
    }
    stream.write_all(requests.as_bytes()).await.unwrap();
    held.until_waiting(1).await;
    drop(held);
    let (first, second) = (one_answer(&mut stream).await, one_answer(&mut stream).await);
    assert!(first.contains("x-cache: Miss") && first.ends_with("\r\n\r\na"), "{first}");
    assert!(second.contains("x-cache: Hit") && second.ends_with("\r\n\r\nb"), "{second}");
    let rest = drain(stream, b"").await;
    assert!(rest.starts_with("HTTP/1.1 400 "), "{rest}");
    assert_eq!(answers(&rest), 1, "nothing is read after a request that was not understood: {rest}");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let (_bucket, stage) = stage().await;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(connect(stage.https(), HOST, &[]).await)).await.unwrap();
    tokio::spawn(connection);
    for n in 0..100 {
        let method = if n % 3 == 0 { Method::HEAD } else { Method::GET };
        let path = ["/a", "/b", "/missing"][n % 3];
        let request = Request::builder().method(method).uri(path).header("host", HOST);
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(read(response).await.unwrap().status, [200, 200, 403][n % 3]);
        sender.ready().await.unwrap();
    }
    let lines = log_lines(&stage.log, 100).await;
    assert!(lines.iter().all(|line| line["c-port"] == lines[0]["c-port"]));
}

#[tokio::test]
async fn a_viewer_that_wants_to_close_is_obeyed() {
    let (_bucket, stage) = stage().await;
    for target in ["/a", "/a", "/missing", "/"] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: cdn.example.com\r\nconnection: close\r\n\r\n\
             GET /b HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n"
        );
        let seen = until_closed(stage.https(), request.as_bytes()).await;
        assert!(seen.contains("connection: close\r\n"), "{target}: {seen}");
        assert_eq!(answers(&seen), 1, "{target}: {seen}");
    }
}

#[tokio::test]
async fn what_a_viewer_says_after_the_end_does_not_cost_it_the_answer() {
    let bucket = Bucket::start().await;
    bucket.put("large", vec![7; 400_000]);
    let open = "[distribution.default_cache_behavior]\nviewer_protocol_policy = \"allow-all\"\n";
    let stage = Stage::start(&format!("{PLAIN}{open}"), &bucket.origin.url()).await;
    // With little room at the viewer's, most of the answer waits in the edge's kernel.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8192).unwrap();
    let mut stream = socket.connect(stage.server.http).await.unwrap();
    let request = b"GET /large HTTP/1.1\r\nhost: cdn.example.com\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    log_lines(&stage.log, 1).await;
    // To a socket that is closed this brings a reset; time lets the close and the reset happen, if they do.
    for _ in 0..20 {
        let _ = stream.write_all(b"more").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.len() > 400_000, "{} bytes of 400,000 came", answer.len()); // RFC 9112 §9.6
}

#[tokio::test]
async fn a_hundred_header_fields_are_read() {
    let (_bucket, stage) = stage().await;
    for (fields, status) in [(100, "200"), (101, "431")] {
        let mut request = "GET /a HTTP/1.1\r\nhost: cdn.example.com\r\nconnection: close\r\n".to_owned();
        (2..fields).for_each(|n| request += &format!("x-{n}: {n}\r\n"));
        let seen = until_closed(stage.https(), (request + "\r\n").as_bytes()).await;
        assert!(seen.starts_with(&format!("HTTP/1.1 {status} ")), "{fields}: {seen}");
    }
}

#[tokio::test]
async fn a_get_with_a_body_is_refused_and_the_body_never_a_request() {
    let (bucket, stage) = stage().await;
    // behaviour §2.2
    let table = [
        "content-length: 42\r\n\r\nGET /b HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /b HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nzz\r\nGET /b HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n",
    ];
    for method in ["GET", "HEAD"] {
        for rest in table {
            let request = format!("{method} /a HTTP/1.1\r\nhost: cdn.example.com\r\n{rest}");
            let seen = until_closed(stage.https(), request.as_bytes()).await;
            assert!(seen.starts_with("HTTP/1.1 403 "), "{request}: {seen}");
            assert_eq!(answers(&seen), 1, "{request}: {seen}");
        }
    }
    assert!(bucket.origin.served().is_empty());
}

/// A request after the one that is read in two ways.
const INNER: &str = "GET /smuggled HTTP/1.1\r\nhost: cdn.example.com\r\n\r\n";

#[tokio::test]
async fn a_request_that_others_read_otherwise_gets_one_refusal() {
    let (bucket, stage) = stage().await;
    // RFC 9112 §2.2, §5, §6.1, §6.3, §11.2: the head, and what stands before INNER
    let table = [
        ("both framings", "POST", "content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
        ("both, the other way round", "POST", "transfer-encoding: chunked\r\ncontent-length: 5", "0\r\n\r\n"),
        ("both, on a GET", "GET", "content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
        ("both, on OPTIONS", "OPTIONS", "content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
        ("two lengths", "GET", "content-length: 0\r\ncontent-length: 53", ""),
        ("two lengths, POST", "POST", "content-length: 53\r\ncontent-length: 0", ""),
        ("a list of lengths", "GET", "content-length: 0, 53", ""),
        ("a signed length", "GET", "content-length: +0", ""),
        ("a negative length", "GET", "content-length: -1", ""),
        ("a hexadecimal length", "GET", "content-length: 0x35", ""),
        ("a length with a space", "GET", "content-length: 5 3", ""),
        ("an empty length", "GET", "content-length: ", ""),
        ("an unknown coding", "POST", "transfer-encoding: xchunked", "0\r\n\r\n"),
        ("an unknown coding, GET", "GET", "transfer-encoding: xchunked", "0\r\n\r\n"),
        ("chunked not last", "POST", "transfer-encoding: chunked, identity", "0\r\n\r\n"),
        ("chunked in quotes", "POST", "transfer-encoding: \"chunked\"", "0\r\n\r\n"),
        ("chunked twice", "GET", "transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
        (
            "a coding after it in another field",
            "POST",
            "transfer-encoding: chunked\r\ntransfer-encoding: x",
            "0\r\n\r\n",
        ),
        ("a space before the colon", "GET", "transfer-encoding : chunked", "0\r\n\r\n"),
        ("a tab before the colon", "GET", "content-length\t: 53", ""),
        ("a vertical tab", "GET", "transfer-encoding:\x0bchunked", "0\r\n\r\n"),
        ("a NUL in a value", "GET", "x-a: a\0b", ""),
        ("a NUL in a name", "GET", "x-\0a: a", ""),
        ("a bare CR", "GET", "x-a: a\rcontent-length: 53", ""),
        ("a folded line", "GET", "x-a: a\r\n content-length: 53", ""),
        ("a line without a colon", "GET", "content-length", ""),
        ("a line that begins with a space", "GET", " content-length: 53", ""),
    ];
    let probes = table.map(|(what, method, fields, before)| {
        let edge = stage.https();
        let request =
            format!("{method} /a HTTP/1.1\r\nhost: cdn.example.com\r\n{fields}\r\n\r\n{before}{INNER}");
        tokio::spawn(async move { (what, until_closed(edge, request.as_bytes()).await) })
    });
    for probe in probes {
        let (what, seen) = probe.await.unwrap();
        assert!(answers(&seen) <= 1, "{what}: {seen}");
        assert!(seen.is_empty() || seen.starts_with("HTTP/1.1 4"), "{what}: {seen}");
    }
    assert!(bucket.origin.served().is_empty());
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
}

#[tokio::test]
async fn a_request_line_is_one_line_of_three_words() {
    let (bucket, stage) = stage().await;
    let table = [
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET\t/a\tHTTP/1.1",
        "GET /a",
        "GET /a HTTP/1.2",
        "GET /a HTTP/2.0",
        "GET /a HTTP/3",
        "GET /a http/1.1",
        "GET /a HTTP/1.1 ",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET https://other.example.com/a HTTP/1.1",
        "GET //cdn.example.com@other/a HTTP/1.1",
        "CONNECT cdn.example.com:443 HTTP/1.1",
        "G\u{1}T /a HTTP/1.1",
        "PRI * HTTP/2.0",
    ];
    for line in table {
        let request = format!("{line}\r\nhost: cdn.example.com\r\nconnection: close\r\n\r\n");
        let seen = until_closed(stage.https(), request.as_bytes()).await;
        assert!(seen.is_empty() || seen.starts_with("HTTP/1.1 4"), "{line}: {seen}");
        assert!(answers(&seen) <= 1, "{line}: {seen}");
    }
    let asked: Vec<String> = bucket.origin.served().into_iter().map(|served| served.key).collect();
    assert!(asked.iter().all(|key| key == "/cdn.example.com@other/a"), "a key, and no other host: {asked:?}");
}

#[tokio::test]
async fn an_absolute_target_is_read_as_its_parts() {
    let (_bucket, stage) = stage().await;
    let table = [
        ("https://cdn.example.com/a", "200"),
        ("HTTPS://CDN.example.com/a", "200"),
        ("https://cdn.example.com/a?b=c", "200"),
        ("https://cdn.example.com", "403"), // the root, and no default root object
        ("https://cdn.example.com:8443/a", "400"),
        ("https://user@cdn.example.com/a", "400"),
    ];
    for (target, status) in table {
        let request = format!("GET {target} HTTP/1.1\r\nhost: cdn.example.com\r\nconnection: close\r\n\r\n");
        let seen = until_closed(stage.https(), request.as_bytes()).await;
        assert!(seen.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {seen}");
    }
}

#[tokio::test]
async fn expectations_and_upgrades_change_nothing() {
    let (bucket, stage) = stage().await;
    // behaviour §2.5, §2.6
    let table = [
        "expect: 100-continue",
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__",
    ];
    for fields in table {
        let mut stream = connect(stage.https(), HOST, &[]).await;
        let request = format!("GET /a HTTP/1.1\r\nhost: cdn.example.com\r\n{fields}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let seen = one_answer(&mut stream).await;
        assert!(seen.starts_with("HTTP/1.1 200 OK\r\n") && seen.ends_with("\r\n\r\na"), "{fields}: {seen}");
    }
    for served in bucket.origin.served() {
        for name in ["expect", "upgrade", "http2-settings"] {
            assert!(!served.headers.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn http2_without_tls_is_not_spoken() {
    let (_bucket, stage) = stage().await;
    let seen = until_closed_plain(stage.server.http, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await; // behaviour §2.3
    assert!(seen.is_empty() || seen.starts_with("HTTP/1.1 4"), "{seen}");
    assert_eq!(plain(stage.server.http, Method::GET, "/a", &[]).await.status, 301);
}

type H2 = http2::SendRequest<Full<Bytes>>;

async fn h2(stage: &Stage) -> H2 {
    let stream = connect(stage.https(), HOST, &[b"h2"]).await;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn send(sender: &mut H2, method: Method, fields: &[(&str, &str)], body: &'static str) -> Seen {
    let mut request = Request::builder().method(method).uri(format!("https://{HOST}/a"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap();
    read(sender.send_request(request).await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn http2_keeps_to_the_same_rules() {
    let (bucket, stage) = stage().await;
    let mut sender = h2(&stage).await;
    let large = "a".repeat(32_750);
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let table: [(Method, Fields<'_>, &str, u16); 7] = [
        (Method::GET, &[("host", HOST)], "", 200),
        (Method::GET, &[("host", "CDN.example.com")], "", 200),
        (Method::GET, &[("host", "other.example.com")], "", 400), // RFC 9113 §8.3.1
        (Method::GET, &[], "a body", 403),                        // behaviour §2.2
        (Method::HEAD, &[], "a body", 403),
        (Method::POST, &[], "a body", 403),
        (Method::GET, &[("x-large", &large)], "", 494), // behaviour §2.4
    ];
    for (method, fields, body, status) in table {
        let seen = send(&mut sender, method.clone(), fields, body).await;
        assert_eq!(seen.status, status, "{method} {:?} {body}", fields.first().map(|field| field.0));
        assert!(!seen.headers.contains_key("connection"));
    }
    let head = send(&mut sender, Method::HEAD, &[], "").await;
    assert_eq!((head.status, head.header("content-length"), head.text()), (200, "1", ""));
    // The library refuses a list that is larger still, before it is kept.
    let larger = "a".repeat(14_000);
    let fields: Vec<(&str, &str)> = (0..5).map(|_| ("x-large", larger.as_str())).collect();
    assert_eq!(send(&mut sender, Method::GET, &fields, "").await.status, 431);
    assert_eq!(send(&mut sender, Method::GET, &[], "").await.text(), "a", "the connection lives on");
    assert_eq!(bucket.origin.served().len(), 1);
}

#[tokio::test]
async fn a_hundred_streams_share_a_connection() {
    let bucket = Bucket::start().await;
    (0..100).for_each(|n| drop(bucket.put(&format!("{n}"), format!("object {n}"))));
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let sender = h2(&stage).await;
    let held = bucket.origin.hold();
    let mut streams = Vec::new();
    for n in 0..100 {
        let mut sender = sender.clone();
        let request = Request::get(format!("https://{HOST}/{n}")).body(Full::default()).unwrap();
        streams.push(tokio::spawn(async move {
            read(sender.send_request(request).await.unwrap()).await.unwrap()
        }));
    }
    timeout(SOON, held.until_waiting(100)).await.expect("none waits for another");
    drop(held);
    for (n, stream) in streams.into_iter().enumerate() {
        assert_eq!(stream.await.unwrap().text(), format!("object {n}"));
    }
}

/// What an HTTP/2 viewer gets for a head that no library would send: the first frame for its stream, or the end.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    /// HEADERS; the first byte is the status's place in HPACK's table (RFC 7541 Appendix A).
    Headers(u8),
    /// RST_STREAM or GOAWAY with this code (RFC 9113 §7).
    Refused(u32),
    Closed,
}

async fn raw_h2(edge: SocketAddr, fields: &[(&str, &str)]) -> Frame {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal field with a literal name, neither in Huffman's code nor to be indexed (RFC 7541 §6.2.2).
        block.extend([0, u8::try_from(name.len()).unwrap()]);
        block.extend(name.bytes());
        block.push(u8::try_from(value.len()).unwrap());
        block.extend(value.bytes());
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1]); // END_STREAM, END_HEADERS
    bytes.extend(block);
    let mut stream = connect(edge, HOST, &[b"h2"]).await;
    stream.write_all(&bytes).await.unwrap();
    let answer = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return Frame::Closed;
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            stream.read_exact(&mut payload).await.unwrap();
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match head[3] {
                1 => return Frame::Headers(payload[0]),
                3 => return Frame::Refused(code(0)),
                7 => return Frame::Refused(code(4)),
                _ => {}
            }
        }
    };
    timeout(SOON, answer).await.unwrap()
}

#[tokio::test]
async fn heads_that_http2_forbids_are_refused() {
    let (bucket, stage) = stage().await;
    let usual = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/a")];
    let (ok, bad, protocol_error) = (Frame::Headers(0x88), Frame::Headers(0x8c), Frame::Refused(1));
    assert_eq!(raw_h2(stage.https(), &usual).await, ok);
    // RFC 9113 §8.2, §8.3
    for field in [
        ("X-Upper", "a"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("x a", "a"),
        ("x-a", "a\r\nx-b: b"),
        ("x-a", "a\0b"),
        (":path", "/b"),
        (":status", "200"),
        (":strange", "a"),
    ] {
        let seen = raw_h2(stage.https(), &[&usual[..], &[field]].concat()).await;
        assert_eq!(seen, protocol_error, "{field:?}");
    }
    for missing in [":method", ":scheme", ":path"] {
        let rest: Vec<_> = usual.into_iter().filter(|(name, _)| *name != missing).collect();
        assert_eq!(raw_h2(stage.https(), &rest).await, protocol_error, "{missing}");
    }
    let with = |name: &str, value: &'static str| {
        usual.map(|(usual, was)| (usual, if usual == name { value } else { was }))
    };
    for (name, value) in [(":path", ""), (":path", "a"), (":path", "*"), (":authority", "u@cdn.example.com")]
    {
        let seen = raw_h2(stage.https(), &with(name, value)).await;
        assert!(seen == protocol_error || seen == bad, "{name} {value}: {seen:?}");
    }
    let no_host: Vec<_> = usual.into_iter().filter(|(name, _)| *name != ":authority").collect();
    assert_eq!(raw_h2(stage.https(), &no_host).await, bad, "behaviour §2.5");
    assert_eq!(bucket.origin.served().len(), 1);
}
