//! HTTP/3: the same answers as over HTTP/1 and 2, and what only QUIC has.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use edgeseal::config::Config;
use edgeseal::demo::viewer::trusting;
use h3::error::{Code, StreamError};
use http::Method;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, ReadError, VarInt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::interim;
use crate::support::quic::{Viewer, connect, frame, headers_frame, read};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{HOST, ask, get, over_h2, plain};
use crate::support::{Bucket, Stage, eventually, log_lines, pattern, reader};

/// Longer than anything here takes, shorter than the stage's grace period of 5 s.
const SOON: Duration = Duration::from_secs(4);

const ON: &str = "[[distribution]]\nhttp_version = \"http2and3\"\n$BUCKET\n";

async fn stage(bucket: &Bucket, tune: impl FnOnce(&mut Config)) -> Stage {
    Stage::start_tuned(ON, &bucket.origin.url(), reader(), tune).await
}

#[tokio::test]
async fn a_viewer_gets_the_same_by_http_3() {
    let bucket = Bucket::start().await;
    let etag = bucket.put("a", "abcdefghij");
    let stage = stage(&bucket, |_| ()).await;
    let viewer = Viewer::connect(stage.https()).await;
    let open = "edgeseal_connections{protocol=\"h3\"}";
    eventually("the connection is counted", || async { stage.metric(open) == 1.0 }).await;

    let first = viewer.get("/a").await;
    assert_eq!(
        (first.status, first.text(), first.header("x-cache")),
        (200, "abcdefghij", "Miss from edgeseal")
    );
    assert_eq!(
        (first.header("content-length"), first.header("etag")),
        ("10", &*format!("\"{}\"", etag.trim_matches('"')))
    );
    let hit = viewer.get("/a?unkeyed").await;
    assert_eq!((hit.status, hit.text(), hit.header("x-cache")), (200, "abcdefghij", "Hit from edgeseal"));
    let range = viewer.ask(Method::GET, "/a", &[("range", "bytes=2-4")]).await;
    assert_eq!((range.status, range.text(), range.header("content-range")), (206, "cde", "bytes 2-4/10"));
    let head = viewer.ask(Method::HEAD, "/a", &[]).await;
    assert_eq!((head.status, head.text(), head.header("content-length")), (200, "", "10"));
    let same = viewer.ask(Method::GET, "/a", &[("if-none-match", hit.header("etag"))]).await;
    assert_eq!((same.status, same.text(), same.header("x-cache")), (304, "", "Hit from edgeseal"));
    let lost = viewer.get("/none").await;
    assert_eq!((lost.status, lost.header("x-cache")), (403, "Error from edgeseal"));

    let lines = log_lines(&stage.log, 6).await;
    for (line, status) in lines.iter().zip([200, 200, 206, 200, 304, 403]) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("cs-protocol-version"), "HTTP/3.0", "{line}"); // behaviour §2.3
        assert_eq!((text("cs-protocol"), text("ssl-protocol")), ("https".into(), "TLSv1.3".into()), "{line}");
        assert_eq!(text("ssl-cipher"), "TLS_AES_128_GCM_SHA256", "{line}");
        assert_eq!((text("c-ip"), text("x-host-header")), ("127.0.0.1".into(), HOST.into()), "{line}");
        assert_eq!(line["sc-status"].to_string().trim_matches('"'), status.to_string(), "{line}");
    }
    viewer.quic.close(VarInt::from_u32(0x100), b"");
    eventually("the connection is counted out", || async { stage.metric(open) == 0.0 }).await;
}

#[tokio::test]
async fn requests_come_side_by_side_and_large_bodies_come_whole() {
    let bucket = Bucket::start().await;
    let large = Bytes::from(pattern(10 << 20));
    bucket.put("large", large.clone());
    bucket.put("small", "small");
    let stage = stage(&bucket, |_| ()).await;
    let viewer = Viewer::connect(stage.https()).await;
    for _ in ["miss", "hit"] {
        let download = viewer.begin(Method::GET, "/large", &[]).await.unwrap();
        let mut others = Vec::new();
        for _ in 0..50 {
            others.push(viewer.begin(Method::GET, "/small", &[("priority", "u=0")]).await.unwrap());
        }
        for other in others {
            assert_eq!(read(other).await.unwrap().text(), "small");
        }
        let seen = read(download).await.unwrap();
        assert!(seen.body == large, "{} bytes", seen.body.len());
    }
    assert_eq!(bucket.fetches("large"), 1);
}

#[tokio::test]
async fn a_body_goes_to_a_custom_origin() {
    let origin = Scripted::start([Act::ok("1"), Act::ok("2"), Act::ok("3")]).await;
    let stage = before(&origin).await;
    let viewer = Viewer::connect(stage.https()).await;

    let body = pattern(300_000);
    let mut stream = viewer.open(Method::POST, "/a", &[("content-length", "300000")]).await.unwrap();
    for part in body.chunks(70_000) {
        stream.send_data(Bytes::copy_from_slice(part)).await.unwrap();
    }
    stream.finish().await.unwrap();
    assert_eq!(read(stream).await.unwrap().text(), "1");
    assert_eq!(origin.bodies()[0], body);

    // Of a length that nobody knows, and none at all.
    let mut stream = viewer.open(Method::PUT, "/a", &[]).await.unwrap();
    stream.send_data(Bytes::from_static(b"hello")).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(read(stream).await.unwrap().text(), "2");
    assert!(String::from_utf8_lossy(&origin.bodies()[1]).contains("hello"));
    assert_eq!(viewer.ask(Method::DELETE, "/a", &[]).await.text(), "3");
    assert!(origin.heads()[2].starts_with("DELETE /a HTTP/1.1\r\n"));
    assert!(!origin.heads()[2].to_ascii_lowercase().contains("transfer-encoding"), "{}", origin.heads()[2]);

    // A GET has no body: behaviour §2.2.
    let mut stream = viewer.open(Method::GET, "/a", &[]).await.unwrap();
    stream.send_data(Bytes::from_static(b"hello")).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(read(stream).await.unwrap().status, 403);
    assert_eq!(origin.heads().len(), 3);
}

/// A stage in front of a custom origin, any method allowed.
async fn before(origin: &Scripted) -> Stage {
    let toml = format!(
        "[[distribution]]\nhttp_version = \"http3\"\n[[distribution.origin]]\ndomain_name = \"127.0.0.1\"\n\
         [distribution.origin.custom_origin]\nhttp_port = {}\norigin_protocol_policy = \"http-only\"\n\
         [distribution.default_cache_behavior]\ncache_policy = \"CachingDisabled\"\n\
         allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"PATCH\", \"POST\", \"DELETE\"]\n",
        origin.port()
    );
    Stage::start(&toml, "http://127.0.0.1:1").await
}

const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", "/a")];

/// An upload that has not begun after 200 ms is asked about at the origin, and read on from where it is.
#[tokio::test]
async fn an_upload_that_takes_its_time_is_read_as_it_is() {
    let answer = Act::send_and_close("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1");
    let origin = Scripted::start(vec![answer; 5]).await;
    let stage = before(&origin).await;
    let (_endpoint, quic) = connect(stage.https(), HOST).await.unwrap();
    let (good, evil) = (frame(0, b"good"), frame(0, b"evil"));
    let trailers = headers_frame(&[("x-trailer", "1")]);
    let (good_body, empty) = ("4\r\ngood\r\n0\r\n\r\n", "0\r\n\r\n");
    // All that is sent, how much of it at once, and what the origin gets.
    let table = [
        ("an unknown frame's payload", [&frame(0x21, &evil)[..], &good].concat(), 5, good_body),
        (
            "the rest of it",
            [&frame(0x21, &[&[0x21; 3], &evil[..]].concat())[..], &good].concat(),
            8,
            good_body,
        ),
        ("a trailer section", trailers.clone(), 5, empty),
        ("the rest of it", trailers.clone(), 8, empty),
    ];
    for (nth, (what, body, at_once, expected)) in table.into_iter().enumerate() {
        let (mut send, mut recv) = quic.open_bi().await.unwrap();
        send.write_all(&[&headers_frame(&POST)[..], &body[..at_once]].concat()).await.unwrap();
        eventually("the origin is asked", || async { origin.connections() == nth + 1 }).await;
        send.write_all(&body[at_once..]).await.expect(what);
        send.finish().unwrap();
        let seen = timeout(SOON, recv.read_to_end(10_000)).await.unwrap().expect(what);
        assert!(seen.ends_with(b"1"), "{what}: {seen:02x?}");
        assert_eq!(String::from_utf8_lossy(&origin.bodies()[nth]), expected, "{what}");
    }
    // RFC 9114 §4.1: nothing after trailers, whenever it comes.
    let (mut send, _recv) = quic.open_bi().await.unwrap();
    send.write_all(&[&headers_frame(&POST)[..], &trailers].concat()).await.unwrap();
    eventually("the origin is asked", || async { origin.connections() == 5 }).await;
    send.write_all(&evil).await.unwrap();
    send.finish().unwrap();
    match timeout(SOON, quic.closed()).await.unwrap() {
        ConnectionError::ApplicationClosed(close) => assert_eq!(close.error_code.into_inner(), 0x105),
        other => panic!("{other}"),
    }
}

/// RFC 9114 §4.1: a viewer is asked to stop after its answer, not before.
#[tokio::test]
async fn an_upload_is_not_stopped_before_its_answer() {
    let asked = Arc::new(Notify::new());
    let Act::Send(ok) = Act::ok("1") else { unreachable!() };
    let origin = Scripted::start([Act::SendAfter(Arc::clone(&asked), ok)]).await;
    let stage = before(&origin).await;
    let (_endpoint, quic) = connect(stage.https(), HOST).await.unwrap();
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    let head = headers_frame(&[&POST[..], &[("content-length", "3")]].concat());
    send.write_all(&[&head[..], &frame(0, b"abc")].concat()).await.unwrap();
    eventually("the origin has it all", || async { origin.bodies() == [b"abc"] }).await;
    let early = timeout(Duration::from_millis(300), send.stopped()).await;
    assert!(early.is_err(), "{early:?}");
    asked.notify_one();
    let seen = timeout(SOON, recv.read_to_end(10_000)).await.unwrap().unwrap();
    assert!(seen.ends_with(b"1"), "{seen:02x?}");
    // Its end has not come, and it is not waited for.
    assert_eq!(timeout(SOON, send.stopped()).await.unwrap().unwrap(), Some(VarInt::from_u32(0x100)));
}

/// behaviour §2.3
#[tokio::test]
async fn viewers_are_told_where_http_3_is() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let on = stage(&bucket, |_| ()).await;
    let expected = format!("h3=\":{}\"; ma=86400", on.https().port());
    assert_eq!(get(on.https(), "/a").await.header("alt-svc"), expected);
    assert_eq!(get(on.https(), "/none").await.header("alt-svc"), expected, "on errors, too");
    assert_eq!(over_h2(on.https(), &["/a"]).await[0].header("alt-svc"), expected);
    assert_eq!(plain(on.server.http, Method::GET, "/a", &[]).await.header("alt-svc"), "", "not in the clear");
    assert_eq!(
        Viewer::connect(on.https()).await.get("/a").await.header("alt-svc"),
        "",
        "it is there already"
    );

    let public = stage(&bucket, |config| config.listen.public_https_port = Some(443)).await;
    assert_eq!(get(public.https(), "/a").await.header("alt-svc"), "h3=\":443\"; ma=86400");

    let off = Stage::start("[[distribution]]\n$BUCKET\n", &bucket.origin.url()).await;
    assert_eq!(get(off.https(), "/a").await.header("alt-svc"), "");
    UdpSocket::bind(off.https()).expect("nobody has the UDP port");
    assert!(UdpSocket::bind(on.https()).is_err());
}

/// What an origin says of itself is not true of the edge, from the cache or not.
#[tokio::test]
async fn an_origins_own_alternative_makes_way() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nalt-svc: h3=\":9\"\r\n\r\na";
    let origin = Scripted::start([Act::send(answer)]).await;
    let stage = Stage::start(ON, &origin.url()).await;
    let expected = format!("h3=\":{}\"; ma=86400", stage.https().port());
    for cached in ["Miss from edgeseal", "Hit from edgeseal"] {
        let seen = get(stage.https(), "/a").await;
        assert_eq!(seen.header("x-cache"), cached);
        assert_eq!(seen.headers.get_all("alt-svc").iter().collect::<Vec<_>>(), [&*expected]);
    }
}

#[tokio::test]
async fn http_3_is_for_distributions_that_want_it() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let toml = r#"
[[distribution]]
id = "without"
aliases = ["without.example.com"]
$BUCKET
[[distribution]]
id = "with"
aliases = ["cdn.example.com"]
http_version = "http3"
$BUCKET
"#;
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    let edge = stage.https();
    for name in ["without.example.com", "other.example.com"] {
        let error = connect(edge, name).await.unwrap_err();
        assert!(matches!(error, ConnectionError::ConnectionClosed(_)), "{name}: {error}");
    }
    eventually("the refusals are counted", || async {
        stage.metric("edgeseal_tls_handshake_errors_total{reason=\"protocol\"}") == 2.0
    })
    .await;
    assert_eq!(Viewer::connect(edge).await.get("/a").await.status, 200);
    let without = ask(edge, Method::GET, "/a", &[("host", "without.example.com")]).await;
    assert_eq!((without.status, without.header("alt-svc")), (200, ""));
    assert_ne!(get(edge, "/a").await.header("alt-svc"), "");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_taken_for_whole() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\netag: \"1\"\r\n\r\nonly this";
    let origin = Scripted::start([Act::send_and_close(cut)]).await;
    let toml = format!("{ON}[distribution.default_cache_behavior]\ncache_policy = \"CachingDisabled\"\n");
    let stage = Stage::start(&toml, &origin.url()).await;
    let viewer = Viewer::connect(stage.https()).await;
    let error = read(viewer.begin(Method::GET, "/a", &[]).await.unwrap()).await.unwrap_err();
    assert!(matches!(error, StreamError::RemoteTerminate { code: Code::H3_INTERNAL_ERROR, .. }), "{error:?}");
    assert_eq!(log_lines(&stage.log, 1).await[0]["x-edge-result-type"], "Error");
    assert_eq!(viewer.get("/a").await.status, 500, "the script has ended, and the connection lives on");
}

/// behaviour §2.4
#[tokio::test]
async fn large_heads_are_refused() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = stage(&bucket, |_| ()).await;
    for (bytes, expected) in [(20_000, 200), (40_000, 494), (70_000, 431)] {
        // Below what QUIC's h3 would refuse to send by itself.
        let (_endpoint, quic) = connect(stage.https(), HOST).await.unwrap();
        let long = "v".repeat(bytes);
        let head = headers_frame(&[&GET[..], &[("x", &*long)]].concat());
        let answer = answer(&quic, &head).await.unwrap();
        // As it stands behind its length: an id may have these digits, too.
        let is = |status: &[u8]| answer.windows(4).any(|text| text[0] == 3 && text[1..] == *status);
        assert_eq!(is(b"494"), expected == 494, "{bytes}");
        assert_eq!(is(b"431"), expected == 431, "{bytes}");
    }
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/a")];

/// What comes back to these bytes, as a request's stream.
async fn answer(quic: &quinn::Connection, request: &[u8]) -> Result<Vec<u8>, ReadError> {
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    // The edge may have stopped it already.
    let _ = send.write_all(request).await;
    let _ = send.finish();
    let mut all = Vec::new();
    while let Some(chunk) = timeout(SOON, recv.read_chunk(usize::MAX, true)).await.unwrap()? {
        all.extend_from_slice(&chunk.bytes);
    }
    Ok(all)
}

/// RFC 9114 §4.1.2: a stream error, and nothing reaches the pipeline.
#[tokio::test]
async fn malformed_requests_have_no_answer() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = stage(&bucket, |_| ()).await;
    let (_endpoint, quic) = connect(stage.https(), HOST).await.unwrap();
    let with = |more: &[(&str, &str)]| headers_frame(&[&GET[..], more].concat());
    let post = [("content-length", "3")];
    let posted = headers_frame(&[&[(":method", "POST")], &GET[1..], &post[..]].concat());
    let body = |text: &[u8]| [&posted[..], &frame(0, text)].concat();
    let table = [
        (with(&[("transfer-encoding", "chunked")]), 0x10e),
        (with(&[("connection", "close")]), 0x10e),
        (with(&[(":path", "/b")]), 0x10e),
        (with(&[("Upper", "case")]), 0x10e),
        (with(&[("content-length", "3"), ("content-length", "3")]), 0x10e),
        (with(&[("content-length", "0")]).into_iter().chain(frame(0, b"abc")).collect(), 0x10e),
        (headers_frame(&GET[1..]), 0x10e),
        (Vec::new(), 0x10d),
        (frame(0x21, b"grease alone"), 0x10d),
        (body(b""), 403),
        (body(b"abcd"), 403),
    ];
    for (request, expected) in table {
        match answer(&quic, &request).await {
            Err(ReadError::Reset(code)) => assert_eq!(code.into_inner(), expected, "{request:02x?}"),
            // POST is not allowed, which is known before its body is read.
            Ok(answer) => assert_eq!(expected, 403, "{request:02x?} {answer:02x?}"),
            Err(error) => panic!("{request:02x?}: {error}"),
        }
    }
    let whole = [&frame(0x21, b"grease")[..], &with(&[]), &frame(0x40, b"")].concat();
    assert!(answer(&quic, &whole).await.unwrap().ends_with(b"a"), "unknown frames mean nothing");
    assert!(answer(&quic, &[&with(&[])[..], &headers_frame(&[("x-trailer", "1")])].concat()).await.is_ok());
    let trailers = [&with(&[])[..], &headers_frame(&[(":path", "/b")])].concat();
    assert!(
        matches!(answer(&quic, &trailers).await, Err(ReadError::Reset(code)) if code.into_inner() == 0x10e)
    );
}

/// RFC 9114 §4.1, §6.2, §7.2: what is wrong with a connection, ends it.
#[tokio::test]
async fn a_viewer_that_does_not_speak_http_3_is_left() {
    let bucket = Bucket::start().await;
    let stage = stage(&bucket, |_| ()).await;
    let settings = [&[0][..], &frame(4, &[])].concat();
    let control = |more: &[u8]| [&settings[..], more].concat();
    // On a request's stream, or on unidirectional ones.
    let table: [(&str, bool, Vec<Vec<u8>>, u64); 23] = [
        ("DATA first", true, vec![frame(0, b"abc")], 0x105),
        ("SETTINGS on a request's stream", true, vec![frame(4, &[])], 0x105),
        ("PUSH_PROMISE", true, vec![frame(5, &[0, 0, 0])], 0x105),
        ("a frame of HTTP/2", true, vec![frame(6, &[0; 8])], 0x105),
        ("HEADERS that need a dynamic table", true, vec![frame(1, &[2, 0, 0x80])], 0x200),
        ("a cut frame", true, vec![headers_frame(&GET)[..20].to_vec()], 0x106),
        (
            "DATA after trailers",
            true,
            vec![[headers_frame(&GET), headers_frame(&[("x", "1")]), frame(0, b"a")].concat()],
            0x105,
        ),
        ("two control streams", false, vec![settings.clone(), settings.clone()], 0x103),
        ("a push stream", false, vec![vec![1, 0]], 0x103),
        ("no SETTINGS", false, vec![[&[0][..], &frame(7, &[0])].concat()], 0x10a),
        ("SETTINGS twice", false, vec![control(&frame(4, &[]))], 0x105),
        ("endless SETTINGS", false, vec![vec![0, 4, 0xbf, 0xff, 0xff, 0xff]], 0x107),
        ("a setting of HTTP/2", false, vec![[&[0][..], &frame(4, &[2, 0])].concat()], 0x109),
        // RFC 9218 §7.2
        ("PRIORITY_UPDATE on a request's stream", true, vec![priority_update(0, 0, "u=1")], 0x105),
        ("a priority of a push", false, vec![control(&priority_update(1, 0, "u=1"))], 0x108),
        ("a priority of a control stream", false, vec![control(&priority_update(0, 2, "u=1"))], 0x108),
        ("a priority of no stream to come", false, vec![control(&priority_update(0, 4 * 128, ""))], 0x108),
        ("a priority of nothing", false, vec![control(&[0x80, 0x0f, 0x07, 0, 0])], 0x106),
        ("an endless priority", false, vec![control(&priority_update(0, 0, &"u".repeat(2000)))], 0x107),
        ("CANCEL_PUSH", false, vec![control(&frame(3, &[0]))], 0x108),
        ("DATA on the control stream", false, vec![control(&frame(0, &[0]))], 0x105),
        ("an insert into no table", false, vec![vec![2, 0x3f, 0x00]], 0x201),
        ("the end of the control stream", false, vec![settings.clone()], 0x104),
    ];
    for (what, request, streams, expected) in table {
        let (_endpoint, quic) = connect(stage.https(), HOST).await.unwrap();
        let mut held = Vec::new();
        for bytes in streams {
            let mut send =
                if request { quic.open_bi().await.unwrap().0 } else { quic.open_uni().await.unwrap() };
            send.write_all(&bytes).await.unwrap();
            if request || expected == 0x104 {
                send.finish().unwrap();
            }
            held.push(send);
        }
        match timeout(SOON, quic.closed()).await.expect(what) {
            ConnectionError::ApplicationClosed(close) => {
                assert_eq!(close.error_code.into_inner(), expected, "{what}")
            }
            other => panic!("{what}: {other}"),
        }
    }
    // An endless HEADERS frame is not waited for.
    let (_endpoint, quic) = connect(stage.https(), HOST).await.unwrap();
    let endless = [1, 0xbf, 0xff, 0xff, 0xff];
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    send.write_all(&endless).await.unwrap();
    let answer = timeout(SOON, recv.read_to_end(1000)).await.unwrap().unwrap();
    assert!(answer.windows(3).any(|text| text == b"431"), "{answer:02x?}");
    assert_eq!(timeout(SOON, send.stopped()).await.unwrap().unwrap(), Some(VarInt::from_u32(0x100)));
}

/// PRIORITY_UPDATE (RFC 9218 §7.2), of a request or else of a push.
fn priority_update(variant: u8, stream: u16, value: &str) -> Vec<u8> {
    let payload = [&(stream | 0x4000).to_be_bytes()[..], value.as_bytes()].concat();
    let length = (payload.len() as u16 | 0x4000).to_be_bytes();
    [&[0x80, 0x0f, 0x07, variant][..], &length, &payload].concat()
}

/// RFC 9218 §7.2: whether it is said before the request has come or while its answer is under way.
#[tokio::test]
async fn what_has_become_urgent_goes_first() {
    let bucket = Bucket::start().await;
    let stage = stage(&bucket, |_| ()).await;
    // The smaller one fits into what the edge has under way to a viewer at a time; the larger has to wait for room, too.
    for (object, size, window) in [("small", 1 << 20, 8 << 20), ("large", 4 << 20, 64 << 10)] {
        bucket.put(object, pattern(size));
        assert_eq!(get(stage.https(), &format!("/{object}")).await.body.len(), size);
        for before in [true, false] {
            let (_endpoint, quic) = connect_narrow(slow(stage.https()).await, window).await;
            let mut control = quic.open_uni().await.unwrap();
            control.write_all(&[&[0][..], &frame(4, &[])].concat()).await.unwrap();
            if before {
                control.write_all(&priority_update(0, 4, "u=0")).await.unwrap();
            }
            let path = format!("/{object}");
            let head = headers_frame(&[&GET[..3], &[(":path", &*path)]].concat());
            let mut answers = Vec::new();
            for _ in ["first", "second"] {
                let (mut send, recv) = quic.open_bi().await.unwrap();
                send.write_all(&head).await.unwrap();
                send.finish().unwrap();
                answers.push(recv);
            }
            if !before {
                control.write_all(&priority_update(0, 4, "u=0")).await.unwrap();
            }
            let second = count(answers.pop().unwrap());
            let first = count(answers.pop().unwrap());
            timeout(Duration::from_secs(20), second.1).await.unwrap().unwrap();
            let of_first = first.0.load(Ordering::Relaxed);
            assert!(of_first < size / 2, "{of_first} of {size} bytes come before it; {window} {before}");
            timeout(Duration::from_secs(20), first.1).await.unwrap().unwrap();
            assert!(first.0.load(Ordering::Relaxed) > size);
        }
    }
}

/// A way to the edge on which its packets take their time: what it has to send waits there, and not here.
async fn slow(edge: SocketAddr) -> SocketAddr {
    let (front, back) = (bound().await, bound().await);
    let address = front.local_addr().unwrap();
    back.connect(edge).await.unwrap();
    tokio::spawn(async move {
        let (mut from_viewer, mut from_edge) = ([0; 2048], [0; 2048]);
        let mut viewer = None;
        let mut pace = tokio::time::interval(Duration::from_millis(2));
        loop {
            tokio::select! {
                received = front.recv_from(&mut from_viewer) => {
                    let Ok((length, from)) = received else { return };
                    viewer = Some(from);
                    let _ = back.send(&from_viewer[..length]).await;
                }
                _ = pace.tick() => {
                    for _ in 0..8 {
                        let Ok(length) = back.try_recv(&mut from_edge) else { break };
                        let _ = front.send_to(&from_edge[..length], viewer.unwrap()).await;
                    }
                }
            }
        }
    });
    address
}

async fn bound() -> tokio::net::UdpSocket {
    tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// A viewer to whom so much may be under way at a time.
async fn connect_narrow(edge: SocketAddr, window: u32) -> (quinn::Endpoint, quinn::Connection) {
    let crypto = QuicClientConfig::try_from(trusting(&[b"h3"])).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport.receive_window(VarInt::from_u32(window));
    config.transport_config(Arc::new(transport));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let quic = endpoint.connect_with(config, edge, HOST).unwrap().await.unwrap();
    (endpoint, quic)
}

/// Reads to the end, and counts.
fn count(mut stream: quinn::RecvStream) -> (Arc<AtomicUsize>, JoinHandle<()>) {
    let counted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&counted);
    let reading = tokio::spawn(async move {
        while let Some(chunk) = stream.read_chunk(usize::MAX, true).await.unwrap() {
            count.fetch_add(chunk.bytes.len(), Ordering::Relaxed);
        }
    });
    (counted, reading)
}

/// RFC 8297, RFC 9114 §4.1
#[tokio::test]
async fn hints_come_before_the_answer() {
    let go = Arc::new(Notify::new());
    let port = interim::origin(Arc::clone(&go)).await;
    let toml = format!(
        "[[distribution]]\nhttp_version = \"http3\"\n[[distribution.origin]]\ndomain_name = \"127.0.0.1\"\n\
         [distribution.origin.custom_origin]\nhttp_port = {port}\norigin_protocol_policy = \"http-only\"\n"
    );
    let stage = Stage::start(&toml, "http://127.0.0.1:1").await;
    let (_endpoint, quic) = connect(stage.https(), HOST).await.unwrap();
    let (mut send, mut recv) = quic.open_bi().await.unwrap();
    send.write_all(&headers_frame(&GET)).await.unwrap();
    send.finish().unwrap();
    // A HEADERS frame, a section without dynamic fields, `:status` 103 of the static table.
    let (kind, hints) = timeout(SOON, next_frame(&mut recv)).await.expect("the origin has yet to answer");
    assert_eq!((kind, &hints[..3]), (1, &[0, 0, 0xc0 | 24][..]));
    assert!(hints.ends_with(b"</a.css>; rel=preload"), "{hints:02x?}");
    go.notify_one();
    let (kind, head) = timeout(SOON, next_frame(&mut recv)).await.unwrap();
    assert_eq!((kind, head[2]), (1, 0xc0 | 25), "200");
    assert!(!head.ends_with(b"rel=preload"));
    assert_eq!(timeout(SOON, next_frame(&mut recv)).await.unwrap(), (0, b"ok".to_vec()));
    assert_eq!(recv.read_to_end(1).await.unwrap(), b"");
    let kept = Viewer::connect(stage.https()).await.get("/a").await;
    assert_eq!((kept.header("x-cache"), kept.header("link")), ("Hit from edgeseal", ""));
}

/// Type and payload.
async fn next_frame(recv: &mut quinn::RecvStream) -> (u8, Vec<u8>) {
    let mut first = [0; 2];
    recv.read_exact(&mut first).await.unwrap();
    let mut length = vec![0; (1 << (first[1] >> 6)) - 1];
    recv.read_exact(&mut length).await.unwrap();
    let length = length.iter().fold(usize::from(first[1] & 0x3f), |all, byte| all << 8 | usize::from(*byte));
    let mut payload = vec![0; length];
    recv.read_exact(&mut payload).await.unwrap();
    (first[0], payload)
}

/// As over TCP: `listen.handshakes`.
#[tokio::test]
async fn with_no_place_for_another_handshake_the_next_waits_and_the_stuck_one_is_given_up() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = stage(&bucket, |config| {
        config.listen.workers = 1;
        config.listen.handshakes = 1;
    })
    .await;
    let there = Viewer::connect(stage.https()).await;
    let stuck = silent(stage.https()).await;
    assert_eq!(stage.metric("edgeseal_tls_handshakes"), 1.0, "it takes the only place");
    let edge = stage.https();
    let next = tokio::spawn(async move { Viewer::connect(edge).await.get("/a").await });
    for _ in 0..3 {
        assert_eq!(there.get("/a").await.status, 200);
    }
    assert_eq!(get(edge, "/a").await.status, 200, "those of TCP have places of their own");
    assert!(!next.is_finished(), "it waits for a place");
    assert_eq!(next.await.unwrap().text(), "a");
    assert_eq!(stage.metric("edgeseal_tls_handshake_errors_total{reason=\"gave-way\"}"), 1.0);
    assert_eq!(stage.metric("edgeseal_tls_handshakes"), 0.0);
    drop(stuck);
}

/// Sessions are resumed on any worker, and with `tls.ticket_key_file` on any edge of a fleet.
#[tokio::test]
async fn edges_with_the_same_ticket_keys_resume_each_others_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = |name: &str, keys: &[u8]| {
        let file = folder.path().join(name);
        std::fs::write(&file, keys.iter().flat_map(|key| [*key; 80]).collect::<Vec<_>>()).unwrap();
        file
    };
    let (old, rotated, new) = (key_file("old", &[1]), key_file("rotated", &[2, 1]), key_file("new", &[2]));
    let toml = "[[distribution]]\nhttp_version = \"http3\"\n$BUCKET\n[distribution.default_cache_behavior]\n\
        cache_policy = \"CachingDisabled\"\norigin_request_policy = \"told\"\n\
        [[origin_request_policy]]\nname = \"told\"\nheaders = [\"CloudFront-Viewer-TLS\"]\n";
    let origin = Scripted::start(vec![Act::ok("a"); 32]).await;
    let url = origin.url();
    let edge = |keys: Option<PathBuf>| {
        Stage::start_tuned(toml, &url, reader(), move |config| {
            config.listen.workers = 2;
            config.tls.ticket_key_file = keys;
        })
    };
    let first = edge(Some(old.clone())).await;
    for (keys, resumes) in [(Some(old), true), (Some(rotated), true), (Some(new), false), (None, false)] {
        let second = edge(keys.clone()).await;
        let crypto = QuicClientConfig::try_from(trusting(&[b"h3"])).unwrap();
        let client = quinn::ClientConfig::new(Arc::new(crypto));
        // The third comes back to where it was last, and to another worker.
        for (edge, expected) in [(&first, false), (&second, resumes), (&second, true)] {
            let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
            let quic = endpoint.connect_with(client.clone(), edge.https(), HOST).unwrap().await.unwrap();
            assert_eq!(Viewer::of(endpoint, quic).await.get("/a").await.status, 200);
            let head = origin.heads().pop().unwrap();
            assert_eq!(head.contains(":sessionResumed"), expected, "{keys:?} {head}");
        }
    }
}

/// CVE-2023-44487
#[tokio::test]
async fn a_viewer_that_gives_up_all_that_it_asks_is_left() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = stage(&bucket, |_| ()).await;
    let (_endpoint, quic) = connect(stage.https(), HOST).await.unwrap();
    let head = headers_frame(&GET);
    let asking = async {
        while let Ok((mut send, mut recv)) = quic.open_bi().await {
            if send.write_all(&head[..10]).await.is_err() {
                break;
            }
            send.reset(VarInt::from_u32(0x10c)).unwrap();
            recv.stop(VarInt::from_u32(0x10c)).unwrap();
        }
    };
    timeout(SOON, asking).await.unwrap();
    match quic.closed().await {
        ConnectionError::ApplicationClosed(close) => assert_eq!(close.error_code.into_inner(), 0x107),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_drain_lets_requests_finish_and_takes_no_more() {
    let bucket = Bucket::start().await;
    let large = pattern(400_000);
    bucket.put("a", large.clone());
    let stage = stage(&bucket, |_| ()).await;
    let edge = stage.https();
    let viewer = Viewer::connect(edge).await;
    let idle = Viewer::connect(edge).await;
    let stopped = bucket.origin.hold_body_after(100_000);
    let mut stream = viewer.begin(Method::GET, "/a", &[]).await.unwrap();
    assert_eq!(stream.recv_response().await.unwrap().status(), 200);
    let draining = tokio::spawn(stage.server.drain());
    eventually("GOAWAY has come", || {
        let asked = viewer.begin(Method::GET, "/b", &[]);
        async move {
            match asked.await {
                Err(_) => true,
                Ok(stream) => matches!(
                    read(stream).await,
                    Err(StreamError::RemoteTerminate { code: Code::H3_REQUEST_REJECTED, .. })
                ),
            }
        }
    })
    .await;
    assert!(!draining.is_finished(), "a download is under way");
    drop(stopped);
    let mut read = 0;
    while let Some(data) = stream.recv_data().await.unwrap() {
        read += data.remaining();
    }
    assert_eq!(read, large.len());
    timeout(SOON, draining).await.unwrap().unwrap();
    for mut viewer in [viewer, idle] {
        let ended = timeout(SOON, &mut viewer.driver).await.unwrap().unwrap();
        assert!(ended.is_h3_no_error(), "{ended:?}");
    }
    assert!(UdpSocket::bind(edge).is_ok(), "the port is free again");
}

#[tokio::test]
async fn a_viewer_that_moves_keeps_its_download() {
    let bucket = Bucket::start().await;
    let large = Bytes::from(pattern(3 << 20));
    bucket.put("a", large.clone());
    let stage = stage(&bucket, |_| ()).await;
    let viewer = Viewer::connect(stage.https()).await;
    let stopped = bucket.origin.hold_body_after(1 << 20);
    let mut stream = viewer.begin(Method::GET, "/a", &[]).await.unwrap();
    stream.recv_response().await.unwrap();
    let mut body = Vec::new();
    while body.len() < 1 << 19 {
        let mut data = stream.recv_data().await.unwrap().unwrap();
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    let before = viewer.endpoint.local_addr().unwrap();
    viewer.endpoint.rebind(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    assert_ne!(viewer.endpoint.local_addr().unwrap(), before);
    drop(stopped);
    while let Some(mut data) = timeout(SOON, stream.recv_data()).await.unwrap().unwrap() {
        body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
    }
    assert!(body == large, "{} bytes", body.len());
    assert_eq!(viewer.get("/a").await.header("x-cache"), "Hit from edgeseal");
}

/// RFC 9000 §8.1.2
#[tokio::test]
async fn addresses_are_proven_when_there_are_too_many_that_are_not() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let retries = "edgeseal_http3_retries_total";
    for (most, expected) in [(256, 0.0), (0, 1.0)] {
        let stage = stage(&bucket, |config| config.listen.unproven_handshakes = most).await;
        assert_eq!(Viewer::connect(stage.https()).await.get("/a").await.status, 200);
        assert_eq!(stage.metric(retries), expected);
    }
    // Viewers that never answer: the first is given a handshake, the second a Retry.
    let stage = stage(&bucket, |config| config.listen.unproven_handshakes = 1).await;
    let silent = silent(stage.https()).await;
    assert_eq!(stage.metric(retries), 0.0);
    assert_eq!(Viewer::connect(stage.https()).await.get("/a").await.status, 200);
    assert_eq!(stage.metric(retries), 1.0);
    drop(silent);
}

/// A viewer whose first packets come, and nothing more: it does not get the answer.
async fn silent(edge: SocketAddr) -> UdpSocket {
    let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
    relay.set_read_timeout(Some(SOON)).unwrap();
    let address = relay.local_addr().unwrap();
    let trying = tokio::spawn(async move { drop(connect(address, HOST).await) });
    let relay = tokio::task::spawn_blocking(move || {
        let mut packet = [0; 2048];
        // A ClientHello with a post-quantum key share takes two packets.
        for _ in 0..2 {
            let (length, _) = relay.recv_from(&mut packet).unwrap();
            relay.send_to(&packet[..length], edge).unwrap();
        }
        // The edge has taken it up.
        while relay.recv_from(&mut packet).unwrap().1 != edge {}
        relay
    });
    let relay = relay.await.unwrap();
    trying.abort();
    relay
}

/// behaviour §3.4
#[tokio::test]
async fn another_host_than_the_certificates_is_misdirected() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed([HOST.to_owned(), "www.example.com".into()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let stage = stage(&bucket, |config| {
        config.tls.certificates =
            vec![edgeseal::config::CertificateFiles { cert: cert.clone(), key: key.clone() }];
    })
    .await;
    let viewer = Viewer::connect(stage.https()).await;
    for (host, status) in [(HOST, 200), ("www.example.com", 200), ("other.example.com", 421)] {
        let seen = viewer.ask(Method::GET, &format!("https://{host}/a"), &[]).await;
        assert_eq!(seen.status, status, "{host}");
    }
}
