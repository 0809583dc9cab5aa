//! Origins that cannot be reached, fall silent, break off or lie: what the viewer gets, and that nothing of it is
//! kept.

use std::time::{Duration, Instant};

use edgeseal::demo::viewer;
use http::{Method, Request};
use http_body_util::Empty;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{HOST, Seen, ask, begin, get};
use crate::support::{OBEDIENT, Stage, eventually};

/// An edge whose origin gets these keys, and is asked for everything anew.
async fn passing(origin: &Scripted, keys: &str) -> Stage {
    let behavior = "[distribution.default_cache_behavior]\ncache_policy = \"CachingDisabled\"\n";
    Stage::start(&format!("[[distribution]]\n$BUCKET{keys}\n{behavior}"), &origin.url()).await
}

/// An edge that caches, whose origin gets these keys.
async fn caching(origin: &str, keys: &str) -> Stage {
    Stage::start(&format!("[[distribution]]\n$BUCKET{keys}\n"), origin).await
}

fn errors(stage: &Stage, reason: &str) -> f64 {
    stage.metric(&format!("edgeseal_origin_errors_total{{origin=\"private-assets\",reason=\"{reason}\"}}"))
}

/// The edge's own page, which says nothing of the origin.
fn assert_page(seen: &Seen, status: u16, what: &str) {
    assert_eq!(seen.status, status, "{what}: {}", seen.text());
    assert_eq!(seen.header("x-cache"), "Error from edgeseal", "{what}");
    assert!(seen.text().contains(seen.header("x-amz-cf-id")), "{what}: {}", seen.text());
    assert!(!seen.text().contains("private-assets") && !seen.text().contains("127.0.0.1"), "{what}");
}

/// The viewer got no whole answer: the connection ended before the body did, or before the head had left.
async fn breaks_off(stage: &Stage, target: &str) -> bool {
    let request = Request::builder().uri(target).header("host", HOST).body(Empty::new()).unwrap();
    viewer::secure(stage.https(), HOST, request).await.is_err()
}

const ONE_SECOND: &str = "connection_timeout = \"1s\"\nread_timeout = \"1s\"\n";

#[tokio::test]
async fn a_refused_connection_is_502() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let stage = caching(&url, "").await;
    assert_page(&get(stage.https(), "/a").await, 502, "refused"); // behaviour §8.4
    assert_eq!(errors(&stage, "connect_refused"), 1.0);
}

#[tokio::test]
async fn a_connection_that_is_never_made_is_504() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let _listener = socket.listen(0).unwrap();
    // Nobody accepts: once the backlog is full the system lets every further SYN go unanswered.
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(stream.unwrap());
    }
    let keys = format!("{ONE_SECOND}connection_attempts = 1");
    let stage = caching(&format!("http://{address}"), &keys).await;
    assert_page(&get(stage.https(), "/a").await, 504, "black hole"); // behaviour §8.4
    assert_eq!(errors(&stage, "connect_timeout"), 1.0);
}

#[tokio::test]
async fn a_silent_origin_is_504_after_as_many_attempts_as_are_allowed() {
    // behaviour §8.7: GET and HEAD again, each on a fresh connection; OPTIONS not
    let table = [(Method::GET, 1, 1), (Method::GET, 2, 2), (Method::HEAD, 2, 2), (Method::OPTIONS, 2, 1)];
    let stories = table.map(|(method, allowed, expected)| async move {
        let origin = Scripted::start([Act::Silence, Act::Silence, Act::Silence]).await;
        let keys = format!("{ONE_SECOND}connection_attempts = {allowed}");
        let behavior =
            "[distribution.default_cache_behavior]\nallowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]";
        let stage = caching(&origin.url(), &format!("{keys}\n{behavior}")).await;
        let started = Instant::now();
        let seen = ask(stage.https(), method.clone(), "/a", &[]).await;
        assert_eq!(seen.status, 504, "{method} {allowed}");
        assert!(started.elapsed() >= Duration::from_secs(expected as u64), "{method} {allowed}");
        assert_eq!((origin.heads().len(), origin.connections()), (expected, expected), "{method} {allowed}");
        assert_eq!(errors(&stage, "read_timeout"), 1.0);
    });
    let running: Vec<_> = stories.into_iter().map(tokio::spawn).collect();
    for story in running {
        story.await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_lost_before_the_first_byte_is_tried_anew() {
    let reset = || Act::SendAndReset(Vec::new());
    let origin = Scripted::start([reset(), reset(), Act::ok("a"), reset(), reset(), reset()]).await;
    let stage = caching(&origin.url(), "").await;
    let seen = get(stage.https(), "/a").await; // three attempts by default (behaviour §8.7)
    assert_eq!((seen.status, seen.text(), origin.connections()), (200, "a", 3));

    let origin = Scripted::start([reset(), reset(), Act::ok("a")]).await;
    let stage = caching(&origin.url(), "connection_attempts = 2").await;
    assert_page(&get(stage.https(), "/a").await, 502, "two of two");
    assert_eq!((origin.heads().len(), errors(&stage, "connection_lost")), (2, 1.0));
}

#[tokio::test]
async fn a_connection_that_died_while_idle_costs_the_viewer_nothing() {
    // s3 §2.15. The second request goes out on the first one's connection, and finds it closed.
    let origin = Scripted::start([Act::ok("a"), Act::send_and_close(""), Act::ok("b")]).await;
    let stage = caching(&origin.url(), "connection_attempts = 1").await;
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
    let seen = get(stage.https(), "/b").await;
    assert_eq!((seen.status, seen.text(), seen.header("x-cache")), (200, "b", "Miss from edgeseal"));
    assert_eq!((origin.heads().len(), origin.connections()), (3, 2));

    // Closed at once: it is not even tried.
    let Act::Send(whole) = Act::ok("a") else { unreachable!() };
    let origin = Scripted::start([Act::SendAndClose(whole), Act::ok("b")]).await;
    let stage = caching(&origin.url(), "connection_attempts = 1").await;
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
    assert_eq!(get(stage.https(), "/b").await.text(), "b");
    assert_eq!((origin.heads().len(), origin.connections()), (2, 2));
}

#[tokio::test]
async fn an_idle_connection_is_used_again() {
    let origin = Scripted::start((0..20).map(|_| Act::ok("a"))).await;
    let stage = caching(&origin.url(), "").await;
    for n in 0..20 {
        assert_eq!(get(stage.https(), &format!("/{n}")).await.status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_whole_and_never_kept() {
    const LENGTH: usize = 200_000;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\netag: \"1\"\r\n\r\n");
    let up_to = |n: usize| [head.as_bytes(), &vec![b'x'; n]].concat();
    let chunks =
        |text: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{text}").into_bytes();
    let mut table = Vec::new();
    for sent in [0, 1, 65_536, LENGTH - 1] {
        table.push((format!("closed after {sent}"), Act::SendAndClose(up_to(sent))));
        table.push((format!("reset after {sent}"), Act::SendAndReset(up_to(sent))));
    }
    for text in [
        "",
        "5\r\n",
        "5\r\nabc",
        "5\r\nabcde",
        "5\r\nabcde\r\n",
        "5\r\nabcde\r\n0\r\n",
        "5\r\nabcde\r\nzz\r\n",
    ] {
        table.push((format!("chunks {text:?}"), Act::SendAndClose(chunks(text))));
    }
    let script = table.iter().flat_map(|(_, act)| [act.clone(), Act::ok("whole")]);
    let origin = Scripted::start(script).await;
    let stage = caching(&origin.url(), "").await;
    for (n, (what, _)) in table.iter().enumerate() {
        let target = format!("/{n}");
        assert!(breaks_off(&stage, &target).await, "{what}: the viewer took it for whole");
        let again = get(stage.https(), &target).await;
        assert_eq!((again.text(), again.header("x-cache")), ("whole", "Miss from edgeseal"), "{what}");
        assert_eq!(errors(&stage, "body_cut_short"), (n + 1) as f64, "{what}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_ends_with_an_error_and_is_not_kept() {
    let stalled = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthe first bytes";
    let origin = Scripted::start([Act::SendAndStall(stalled.into()), Act::ok("whole")]).await;
    let stage = caching(&origin.url(), ONE_SECOND).await;
    let head = begin(stage.https(), "/a", &[]).await;
    assert_eq!(head.status(), 200);
    assert!(viewer::read(head).await.is_err());
    assert_eq!(errors(&stage, "body_stalled"), 1.0);
    let again = get(stage.https(), "/a").await;
    assert_eq!((again.text(), again.header("x-cache")), ("whole", "Miss from edgeseal"));
}

#[tokio::test]
async fn a_body_without_an_end_of_its_own_is_delivered_and_not_kept() {
    let closed = |text: &str| Act::send_and_close(&format!("HTTP/1.1 200 OK\r\netag: \"1\"\r\n\r\n{text}"));
    let origin = Scripted::start([closed("one"), closed("two"), Act::ok("three")]).await;
    let stage = caching(&origin.url(), "").await;
    for text in ["one", "two", "three"] {
        let seen = get(stage.https(), "/a").await;
        assert_eq!((seen.status, seen.text(), seen.header("x-cache")), (200, text, "Miss from edgeseal"));
    }
}

#[tokio::test]
async fn bytes_after_the_body_are_nobodys_answer() {
    let surplus = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let one = format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none{surplus}");
    let origin = Scripted::start([Act::send(&one), Act::ok("two")]).await;
    let stage = caching(&origin.url(), "").await;
    for (target, text) in [("/1", "one"), ("/2", "two"), ("/1", "one")] {
        assert_eq!(get(stage.https(), target).await.text(), text);
    }
    assert_eq!(origin.connections(), 2, "a connection that is out of step is not used again");
}

#[tokio::test]
async fn what_is_no_answer_to_the_question_is_502() {
    let large = format!("HTTP/1.1 200 OK\r\nx-a: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(200_000));
    // behaviour §8.4, RFC 9110 §15.3.7, §15.4.5, RFC 9112 §5, §6.1, §6.3
    let table = [
        ("garbage", "\x16\x03\x01\x02\x00 not HTTP at all\r\n\r\n"),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n"),
        ("a status line without a status", "HTTP/1.1 OK\r\n\r\n"),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"),
        ("a head that is too large", &large),
        ("206 without a range", "HTTP/1.1 206 X\r\ncontent-range: bytes 0-0/5\r\ncontent-length: 1\r\n\r\na"),
        ("304 without a condition", "HTTP/1.1 304 X\r\netag: \"1\"\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde"),
        ("a length that is no number", "HTTP/1.1 200 OK\r\ncontent-length: 3x\r\n\r\nabc"),
        ("a negative length", "HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\nabc"),
        ("a field name with a space", "HTTP/1.1 200 OK\r\nx y: 1\r\ncontent-length: 1\r\n\r\na"),
        (
            "a bare CR in a value",
            "HTTP/1.1 200 OK\r\nx-a: b\rset-cookie: evil=1\r\ncontent-length: 1\r\n\r\na",
        ),
        ("a NUL in a value", "HTTP/1.1 200 OK\r\nx-a: b\0c\r\ncontent-length: 1\r\n\r\na"),
        ("a folded field", "HTTP/1.1 200 OK\r\nx-a: b\r\n set-cookie: evil=1\r\ncontent-length: 1\r\n\r\na"),
        (
            "a length and chunks",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
        ),
        ("a coding that hides the end", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc"),
        (
            "a coding beside chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "two codings",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        ("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ];
    let origin = Scripted::start(table.map(|(_, text)| Act::send_and_close(text))).await;
    let stage = caching(&origin.url(), "").await;
    for (n, (what, _)) in table.iter().enumerate() {
        for _ in 0..2 {
            assert_page(&get(stage.https(), &format!("/{n}")).await, 502, what);
        }
        // It is an answer, so it is not asked for again; and a 502 is remembered (behaviour §8.1).
        assert_eq!(origin.heads().len(), n + 1, "{what}");
        assert_eq!(errors(&stage, "invalid_response"), (n + 1) as f64, "{what}");
    }
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_502() {
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let origin = Scripted::start([Act::send(upgrade), Act::ok("b")]).await;
    let stage = caching(&origin.url(), "").await;
    assert_page(&get(stage.https(), "/a").await, 502, "101");
    assert_eq!(get(stage.https(), "/b").await.text(), "b");
    assert_eq!(origin.connections(), 2);
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_502() {
    // RFC 9110 §15.3.7: Range, Content-Range, Content-Length of two bytes
    let table = [
        ("bytes=0-1", "content-range: bytes 1-2/9\r\ncontent-length: 2"),
        ("bytes=0-1", "content-range: bytes 0-2/9\r\ncontent-length: 3"),
        ("bytes=0-1", "content-range: bytes 0-1/9\r\ncontent-length: 3"),
        ("bytes=0-1", "content-range: bytes 0-1/1\r\ncontent-length: 2"),
        ("bytes=0-1", "content-range: bytes 1-0/9\r\ncontent-length: 2"),
        ("bytes=0-1", "content-range: lines 0-1/9\r\ncontent-length: 2"),
        ("bytes=0-1", "content-length: 2"),
        ("bytes=5-", "content-range: bytes 0-8/9\r\ncontent-length: 9"),
        ("bytes=-2", "content-range: bytes 0-1/9\r\ncontent-length: 2"),
    ];
    let answer = |fields: &str| Act::send_and_close(&format!("HTTP/1.1 206 X\r\n{fields}\r\n\r\nabc"));
    let origin = Scripted::start(table.map(|(_, fields)| answer(fields))).await;
    let stage = passing(&origin, "").await;
    for (n, (range, fields)) in table.iter().enumerate() {
        let seen = ask(stage.https(), Method::GET, "/a", &[("range", range)]).await;
        assert_page(&seen, 502, fields);
        assert_eq!(errors(&stage, "wrong_range"), (n + 1) as f64, "{fields}");
    }
}

#[tokio::test]
async fn a_304_about_another_version_is_not_believed() {
    let origin = Scripted::start([
        Act::send("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nage: 59\r\netag: \"1\"\r\ncontent-length: 3\r\n\r\nold"),
        Act::send("HTTP/1.1 304 X\r\netag: \"2\"\r\n\r\n"),
        Act::send("HTTP/1.1 200 OK\r\netag: \"2\"\r\ncontent-length: 3\r\n\r\nnew"),
    ])
    .await;
    let stage = Stage::start(OBEDIENT, &origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.text(), "old");
    eventually("the new version", || async { get(stage.https(), "/a").await.text() == "new" }).await;
    let conditions: Vec<_> = origin.heads().iter().map(|head| head.contains("if-none-match")).collect();
    assert_eq!(conditions, [false, true, false]); // RFC 9111 §4.3.4, behaviour §5.4
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let foreign = Scripted::start([Act::ok("elsewhere")]).await;
    let (host, url) = (foreign.url().replace("http://", ""), foreign.url());
    let body = format!("<Error><Code>PermanentRedirect</Code><Endpoint>{host}</Endpoint></Error>");
    let length = body.len();
    // s3 §2.9
    let table = [
        format!("HTTP/1.1 301 X\r\ncontent-length: {length}\r\n\r\n{body}"),
        format!("HTTP/1.1 301 X\r\nx-amz-bucket-region: eu-west-1\r\ncontent-length: {length}\r\n\r\n{body}"),
        format!("HTTP/1.1 307 X\r\nlocation: {url}/a\r\ncontent-length: {length}\r\n\r\n{body}"),
        format!("HTTP/1.1 302 X\r\nlocation: {url}/a\r\ncontent-length: 0\r\n\r\n"),
        format!(
            "HTTP/1.1 308 X\r\nlocation: {url}/a\r\nx-amz-bucket-region: {host}\r\ncontent-length: 0\r\n\r\n"
        ),
        format!("HTTP/1.1 300 X\r\nlocation: {url}/a\r\ncontent-length: 0\r\n\r\n"),
    ];
    let origin = Scripted::start(table.iter().map(|text| Act::send(text))).await;
    let stage = caching(&origin.url(), "").await;
    for (n, redirect) in table.iter().enumerate() {
        let seen = get(stage.https(), &format!("/{n}")).await;
        assert_eq!((seen.status, seen.header("location")), (502, ""), "{redirect}");
        assert!(!seen.text().contains(&host), "{}", seen.text());
        assert_eq!(origin.heads().len(), n + 1, "{redirect}");
    }
    assert!(foreign.heads().is_empty());
}
