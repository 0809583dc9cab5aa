//! Origins that are not buckets, what they are told, and requests that change something.

use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeseal::demo::viewer;
use http::Method;
use tokio::sync::Notify;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{ask, begin, get, over_h2, plain, raw};
use crate::support::{Bucket, PLAIN, Stage, eventually};

const ALL_METHODS: &str =
    "allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\", \"PUT\", \"PATCH\", \"POST\", \"DELETE\"]\n";

/// An edge in front of any HTTP server. `keys` are the origin's, `behavior` the default behaviour's.
async fn custom(origin: &Scripted, keys: &str, behavior: &str) -> Stage {
    let toml = format!(
        "[[distribution]]\n[[distribution.origin]]\ndomain_name = \"127.0.0.1\"\n{keys}\n\
         [distribution.origin.custom_origin]\nhttp_port = {}\norigin_protocol_policy = \"http-only\"\n\
         [distribution.default_cache_behavior]\nviewer_protocol_policy = \"allow-all\"\n{behavior}\n",
        origin.port()
    );
    Stage::start(&toml, "http://127.0.0.1:1").await
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[tokio::test]
async fn a_custom_origin_is_asked_as_the_viewer_wrote() {
    let origin = Scripted::start([Act::ok("a")]).await;
    let keys = "origin_path = \"/site\"\n[[distribution.origin.custom_header]]\nname = \"X-Secret\"\nvalue = \"hush\"";
    let stage = custom(&origin, keys, "origin_request_policy = \"UserAgentRefererHeaders\"").await;
    let fields = [("referer", "r"), ("x-secret", "forged"), ("accept", "a/b"), ("authorization", "x")];
    let seen = ask(stage.https(), Method::GET, "/a%7eb/../c?x=1", &fields).await;
    assert_eq!((seen.status, seen.text(), seen.header("x-cache")), (200, "a", "Miss from edgeseal"));
    let head = &origin.heads()[0];
    // behaviour §1.5: OriginPath and the raw path; §4.5, §4.6
    assert!(head.starts_with("GET /site/a%7eb/../c HTTP/1.1\r\n"), "{head}");
    for (name, expected) in [
        ("host", Some(&*format!("127.0.0.1:{}", origin.port()))),
        ("user-agent", Some("Amazon CloudFront")),
        ("connection", Some("Keep-Alive")),
        ("referer", Some("r")),
        ("x-secret", Some("hush")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-amz-cf-id", Some(seen.header("x-amz-cf-id"))),
        ("accept", None),
        ("authorization", None),
        ("x-amz-content-sha256", None),
        ("x-amz-date", None),
    ] {
        assert_eq!(field(head, name), expected, "{name}: {head}");
    }
    assert!(field(head, "via").unwrap().starts_with("1.1 "), "{head}");
    assert!(field(head, "cdn-loop").unwrap().starts_with("edgeseal"), "{head}");
    assert_eq!(get(stage.https(), "/a%7eb/../c?x=2").await.header("x-cache"), "Hit from edgeseal");
}

#[tokio::test]
async fn a_path_that_climbs_out_of_the_origin_path_is_refused() {
    let origin = Scripted::start([Act::ok("a"), Act::ok("b")]).await;
    let stage = custom(&origin, "origin_path = \"/site\"", "").await;
    assert_eq!(get(stage.https(), "/../other").await.status, 400);
    assert_eq!(get(stage.https(), "/").await.text(), "a"); // no key need be named
    let stage = custom(&origin, "", "").await;
    assert_eq!(get(stage.https(), "/").await.text(), "b");
    assert_eq!(origin.heads().len(), 2);
}

#[tokio::test]
async fn errors_of_a_custom_origin_are_the_viewers_to_see() {
    let error = "HTTP/1.1 404 X\r\ncontent-type: text/plain\r\nx-a: 1\r\nconnection: x-b\r\nx-b: 1\r\n\
                 content-length: 4\r\n\r\nlost";
    let origin = Scripted::start([Act::send(error)]).await;
    let stage = custom(&origin, "", "").await;
    for cached in [false, true] {
        let seen = get(stage.https(), "/a").await;
        assert_eq!((seen.status, seen.text(), seen.header("x-a")), (404, "lost", "1"), "{cached}"); // behaviour §8.6
        assert_eq!((seen.header("content-type"), seen.header("x-b")), ("text/plain", ""), "{cached}");
        assert_eq!(seen.header("x-cache"), "Error from edgeseal");
    }
    assert_eq!(origin.heads().len(), 1, "behaviour §8.1: for ten seconds");
}

#[tokio::test]
async fn a_body_that_ends_by_closing_is_kept_and_one_that_stalls_is_not() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nwhole";
    let origin = Scripted::start([Act::SendAndStall(answer.into()), Act::send_and_close(answer)]).await;
    let stage = custom(&origin, "read_timeout = \"1s\"", "").await;
    let stalled = begin(stage.https(), "/a", &[]).await;
    assert!(viewer::read(stalled).await.is_err());
    for expected in ["Miss from edgeseal", "Hit from edgeseal"] {
        let seen = get(stage.https(), "/a").await; // behaviour §6
        assert_eq!((seen.status, seen.text(), seen.header("x-cache")), (200, "whole", expected));
    }
}

/// behaviour §4.3
#[tokio::test]
async fn a_blank_accept_encoding_of_the_origins_is_all_viewers() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/css\r\ncontent-length: 1\r\n\r\na";
    let blank = "[[distribution.origin.custom_header]]\nname = \"Accept-Encoding\"\nvalue = \"\"";
    for compress in [false, true] {
        let origin = Scripted::start([Act::send(answer)]).await;
        let behavior = format!("cache_policy = \"CachingOptimized\"\ncompress = {compress}");
        let stage = custom(&origin, blank, &behavior).await;
        for (field, expected) in [("gzip, br", "Miss"), ("gzip", "Hit"), ("identity", "Hit")] {
            let seen = ask(stage.https(), Method::GET, "/a", &[("accept-encoding", field)]).await;
            assert_eq!(seen.header("x-cache"), format!("{expected} from edgeseal"), "{field} {compress}");
        }
        let head = &origin.heads()[0];
        assert_eq!(self::field(head, "accept-encoding"), None, "{head}");
    }
}

#[tokio::test]
async fn redirects_are_passed_on_and_cached() {
    let redirect = "HTTP/1.1 302 X\r\nlocation: /b\r\netag: \"1\"\r\ncontent-length: 4\r\n\r\nover";
    let origin = Scripted::start([Act::send(redirect)]).await;
    let stage = custom(&origin, "", "").await;
    for expected in ["Miss from edgeseal", "Hit from edgeseal"] {
        // behaviour §5.6. A condition is about what is behind it (RFC 9110 §13.2.1).
        let seen =
            ask(stage.https(), Method::GET, "/a", &[("if-none-match", "\"1\""), ("range", "bytes=0-1")])
                .await;
        assert_eq!((seen.status, seen.header("location"), seen.text()), (302, "/b", "over"));
        assert_eq!(seen.header("x-cache"), expected);
    }
}

#[tokio::test]
async fn cookies_come_and_go_only_where_a_policy_takes_them() {
    let answer = |control: &str| {
        Act::send(&format!(
            "HTTP/1.1 200 OK\r\nset-cookie: s=1\r\ncache-control: {control}\r\ncontent-length: 1\r\n\r\na"
        ))
    };
    let table = [
        ("", "max-age=60", None, ["", ""]), // behaviour §5.6
        ("cookie_behavior = \"all\"", "max-age=60", Some("a=1; b=2"), ["s=1", "s=1"]),
        (
            "cookie_behavior = \"all\"",
            "max-age=60, no-cache=\\\"Set-Cookie\\\"",
            Some("a=1; b=2"),
            ["s=1", ""],
        ),
    ];
    for (policy, control, sent, expected) in table {
        let origin = Scripted::start([answer(&control.replace('\\', ""))]).await;
        let behavior =
            format!("cache_policy = \"own\"\n[[cache_policy]]\nname = \"own\"\nmax_ttl = \"1d\"\n{policy}");
        let stage = custom(&origin, "", &behavior).await;
        for expected in expected {
            let seen = ask(stage.https(), Method::GET, "/a", &[("cookie", "b=2; a=1")]).await;
            assert_eq!(seen.header("set-cookie"), expected, "{policy} {control}");
        }
        assert_eq!(origin.heads().len(), 1);
        assert_eq!(field(&origin.heads()[0], "cookie"), sent, "{policy}");
    }
}

#[tokio::test]
async fn what_was_got_with_a_credential_is_served_to_nobody_else() {
    let answer = |control: &str, body: &str| {
        let length = body.len();
        Act::send(&format!(
            "HTTP/1.1 200 OK\r\ncache-control: {control}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    };
    // RFC 9111 §3.5
    for (control, expected) in [
        ("max-age=60", ["Miss one", "Miss two", "Hit one", "Miss none", "Hit none"]),
        ("public, max-age=60", ["Miss one", "Hit one", "Hit one", "Hit one", "Hit one"]),
    ] {
        let origin = Scripted::start(["one", "two", "none"].map(|body| answer(control, body))).await;
        let stage = custom(&origin, "", "origin_request_policy = \"AllViewer\"").await;
        let mut found = Vec::new();
        for credential in [Some("Bearer 1"), Some("Bearer 2"), Some("Bearer 1"), None, None] {
            let fields: Vec<_> = credential.map(|value| ("authorization", value)).into_iter().collect();
            let seen = ask(stage.https(), Method::GET, "/a", &fields).await;
            found.push(seen.header("x-cache").replace("from edgeseal", seen.text()));
        }
        assert_eq!(found, expected, "{control}");
    }
}

/// Whose error it is: told and kept as the object would be.
#[tokio::test]
async fn an_error_of_one_viewer_is_told_to_no_other() {
    let error = |fields: &str, body: &str| {
        format!("HTTP/1.1 404 X\r\n{fields}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let telling =
        "origin_request_policy = \"more\"\n[[origin_request_policy]]\nname = \"more\"\nheaders = [\"X-V\"]";
    for (fields, apart) in [
        ("cache-control: private", true),
        ("cache-control: no-store", true),
        ("vary: X-V", true),
        ("x-a: 1", false),
    ] {
        let go = Arc::new(Notify::new());
        let script = [Act::SendAfter(Arc::clone(&go), error(fields, "one")), Act::Send(error(fields, "two"))];
        let origin = Scripted::start(script).await;
        let stage = custom(&origin, "", telling).await;
        let edge = stage.https();
        let viewer = |v| tokio::spawn(async move { ask(edge, Method::GET, "/a", &[("x-v", v)]).await });
        let first = viewer("1");
        eventually("the first is on its way", || async { origin.heads().len() == 1 }).await;
        let second = viewer("2");
        let collapsed = "edgeseal_cache_collapsed_requests_total";
        eventually("the second waits", || async { stage.metric(collapsed) == 1.0 }).await;
        go.notify_one();
        let told = [first.await.unwrap(), second.await.unwrap()].map(|seen| seen.text().to_owned());
        assert_eq!(told, if apart { ["one", "two"] } else { ["one", "one"] }, "{fields}");
    }
    let script = ["one", "two"].map(|body| Act::Send(error("vary: X-V", body)));
    let origin = Scripted::start(script).await;
    let stage = custom(&origin, "", telling).await;
    // Each is remembered for its own.
    for (v, expected) in [("1", "one"), ("2", "two"), ("1", "one"), ("2", "two")] {
        assert_eq!(ask(stage.https(), Method::GET, "/a", &[("x-v", v)]).await.text(), expected);
    }
}

#[tokio::test]
async fn a_write_goes_to_the_origin_once_with_its_body() {
    let ok = || Act::send("HTTP/1.1 201 Created\r\nlocation: /new\r\ncontent-length: 4\r\n\r\ndone");
    let origin = Scripted::start([Act::ok("old"), ok(), Act::ok("new"), Act::send_and_close("")]).await;
    let stage = custom(&origin, "", ALL_METHODS).await;
    assert_eq!(get(stage.https(), "/a").await.text(), "old");
    let request = "POST /a HTTP/1.1\r\nhost: h\r\ncontent-type: text/x\r\nauthorization: me\r\ncontent-length: 5\r\n\
                   expect: 100-continue\r\nconnection: close\r\n\r\nhello";
    let answer = raw(stage.https(), request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.ends_with("done"), "{answer}");
    let head = &origin.heads()[1];
    assert!(head.starts_with("POST /a HTTP/1.1\r\n"), "{head}");
    // behaviour §4.5
    for (name, expected) in [
        ("content-type", Some("text/x")),
        ("authorization", Some("me")),
        ("expect", None),
        ("content-length", Some("5")),
    ] {
        assert_eq!(field(head, name), expected, "{name}: {head}");
    }
    assert_eq!(origin.bodies(), [b"hello"]);
    assert_eq!(get(stage.https(), "/a").await.text(), "new", "RFC 9111 §4.4");
    // behaviour §8.7: not again, whatever becomes of it
    assert_eq!(ask(stage.https(), Method::DELETE, "/a", &[]).await.status, 502);
    assert_eq!(origin.heads().len(), 4);
}

#[tokio::test]
async fn a_chunked_body_goes_on_chunked() {
    let origin = Scripted::start([Act::ok("a")]).await;
    let stage = custom(&origin, "", ALL_METHODS).await;
    let request = "PUT /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n\
                   3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = raw(stage.https(), request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(field(&origin.heads()[0], "transfer-encoding"), Some("chunked"));
    assert!(String::from_utf8_lossy(&origin.bodies()[0]).contains("abc"));
}

#[tokio::test]
async fn errors_of_writes_are_not_kept() {
    let refused = || Act::send("HTTP/1.1 404 X\r\ncontent-length: 2\r\n\r\nno");
    let origin = Scripted::start([refused(), Act::ok("a")]).await;
    let stage = custom(&origin, "", ALL_METHODS).await;
    let seen = ask(stage.https(), Method::POST, "/a", &[]).await;
    assert_eq!((seen.status, seen.text()), (404, "no"));
    assert_eq!(field(&origin.heads()[0], "content-length"), Some("0"));
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
}

#[tokio::test]
async fn a_body_that_is_announced_too_large_is_not_waited_for() {
    let origin = Scripted::start([]).await;
    let stage = custom(&origin, "", ALL_METHODS).await;
    let request = "PUT /a HTTP/1.1\r\nhost: h\r\ncontent-length: 64000000001\r\n\r\n";
    let answer = raw(stage.https(), request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}"); // behaviour §2.4
    assert!(origin.heads().is_empty());
}

#[tokio::test]
async fn a_bucket_is_written_to_with_a_signature() {
    let origin = Scripted::start([Act::ok("")]).await;
    let toml = format!("{PLAIN}[distribution.default_cache_behavior]\n{ALL_METHODS}");
    let stage = Stage::start(&toml, &origin.url()).await;
    let chunked = "PUT /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    let answer = raw(stage.https(), chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 411 "), "{answer}");
    let request = "PUT /a HTTP/1.1\r\nhost: h\r\ncontent-type: text/x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc";
    let answer = raw(stage.https(), request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let head = &origin.heads()[0];
    assert_eq!(field(head, "x-amz-content-sha256"), Some("UNSIGNED-PAYLOAD"));
    assert!(field(head, "authorization").unwrap().contains("content-type;host;"), "{head}");
    assert_eq!(origin.bodies(), [b"abc"]);
}

#[tokio::test]
async fn a_request_that_comes_back_is_refused() {
    let origin = Scripted::start([]).await;
    let stage = custom(&origin, "", "").await;
    let fields = [("cdn-loop", "edgeseal; node=a, edgeseal; node=b")];
    assert_eq!(ask(stage.https(), Method::GET, "/a", &fields).await.status, 403); // behaviour §1.5
    assert!(origin.heads().is_empty());
}

#[tokio::test]
async fn a_disabled_distribution_serves_nothing() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    for (enabled, expected) in [(true, 200), (false, 403)] {
        let toml = format!("[[distribution]]\nenabled = {enabled}\n$BUCKET\n");
        let stage = Stage::start(&toml, &bucket.origin.url()).await;
        assert_eq!(get(stage.https(), "/a").await.status, expected, "behaviour §1.1");
    }
}

#[tokio::test]
async fn the_time_for_a_whole_answer_is_limited() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_owned();
    let origin = Scripted::start([Act::Silence, Act::SendAndStall(head.into_bytes())]).await;
    let keys = "read_timeout = \"1s\"\nconnection_attempts = 3\nresponse_completion_timeout = \"1s\"";
    let stage = custom(&origin, keys, "cache_policy = \"CachingDisabled\"").await;
    let started = Instant::now();
    assert_eq!(get(stage.https(), "/a").await.status, 504); // behaviour §8.7
    assert!(started.elapsed() < Duration::from_millis(2500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_http_2_viewer_is_told_by_name_too() {
    let origin = Scripted::start([Act::ok("a")]).await;
    let stage = custom(&origin, "", "origin_request_policy = \"AllViewer\"").await;
    assert_eq!(over_h2(stage.https(), &["/a"]).await[0].text(), "a");
    let head = &origin.heads()[0];
    assert_eq!(field(head, "host"), Some("cdn.example.com"), "{head}"); // behaviour §4.5
    assert!(field(head, "via").unwrap().starts_with("2.0 "), "{head}");
}

#[tokio::test]
async fn a_custom_origin_stands_in_for_a_bucket() {
    let bucket = Bucket::start().await;
    let origin = Scripted::start([Act::ok("from the other")]).await;
    let toml = format!(
        "[[distribution]]\n$BUCKET[[distribution.origin]]\nid = \"web\"\ndomain_name = \"localhost\"\n\
         [distribution.origin.custom_origin]\nhttp_port = {}\norigin_protocol_policy = \"match-viewer\"\n\
         [[distribution.origin_group]]\nid = \"both\"\nmembers = [\"private-assets\", \"web\"]\nstatus_codes = [403]\n\
         [distribution.default_cache_behavior]\ntarget_origin = \"both\"\nviewer_protocol_policy = \"allow-all\"\n",
        origin.port()
    );
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    let seen = plain(stage.server.http, Method::GET, "/a%7eb", &[]).await;
    assert_eq!((seen.status, seen.text()), (200, "from the other"));
    assert!(origin.heads()[0].starts_with("GET /a%7eb HTTP/1.1\r\n"), "{:?}", origin.heads());
    assert_eq!(field(&origin.heads()[0], "authorization"), None);
}
