//! An answer that varies by more than the key holds: never a wrong variant (RFC 9111 §4.1; behaviour §5.5).

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::sync::Notify;

use super::{result, told, under};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{ask, get};
use crate::support::{Stage, eventually};

fn answer(vary: &str, body: &str) -> Vec<u8> {
    let fields = format!("cache-control: max-age=60\r\nvary: {vary}\r\netag: \"{body}\"");
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{fields}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The origin is told `X-V` and the `User-Agent`, which are not in the key.
fn telling() -> String {
    under("min_ttl = \"0s\"\ndefault_ttl = \"1d\"\nmax_ttl = \"1d\"")
        + "origin_request_policy = \"more\"\n[[origin_request_policy]]\nname = \"more\"\n\
           headers = [\"X-V\", \"User-Agent\"]\n"
}

#[tokio::test]
async fn each_variant_is_kept_and_none_is_served_for_another() {
    let script = ["one", "two", "none"].map(|body| Act::Send(answer("X-V, Cookie", body)));
    let origin = Scripted::start(script).await;
    let stage = Stage::start(&telling(), &origin.url()).await;
    for (fields, expected) in [
        (&[("x-v", "1")][..], ("Miss", "one")),
        (&[("x-v", "2")], ("Miss", "two")),
        (&[("x-v", "1"), ("cookie", "a=b")], ("Hit", "one")), // S3 is not told of cookies
        (&[("x-v", " 2 "), ("x-else", "3")], ("Hit", "two")),
        (&[], ("Miss", "none")),
        (&[], ("Hit", "none")),
        (&[("x-v", "1")], ("Hit", "one")),
    ] {
        let seen = ask(stage.https(), Method::GET, "/a", fields).await;
        assert_eq!(told(&seen), (200, expected.0, expected.1), "{fields:?}");
        assert_eq!(seen.header("vary"), "X-V, Cookie");
    }
    assert_eq!(origin.heads().len(), 3);
}

#[tokio::test]
async fn an_answer_may_come_to_vary_by_more() {
    let script = [("X-V", "one"), ("User-Agent", "two"), ("X-V", "three")];
    let origin = Scripted::start(script.map(|(vary, body)| Act::Send(answer(vary, body)))).await;
    let stage = Stage::start(&telling(), &origin.url()).await;
    for (v, agent, expected) in [
        ("1", "a", ("Miss", "one")),
        ("2", "a", ("Miss", "two")),
        ("2", "a", ("Hit", "two")),
        ("2", "b", ("Miss", "three")), // by both, whichever of them an answer names
        ("2", "a", ("Hit", "two")),
    ] {
        let seen = ask(stage.https(), Method::GET, "/a", &[("x-v", v), ("user-agent", agent)]).await;
        assert_eq!(told(&seen), (200, expected.0, expected.1), "{v} {agent}");
    }
}

#[tokio::test]
async fn who_waits_for_another_variant_asks_for_its_own() {
    let go = Arc::new(Notify::new());
    let first = Act::SendAfter(Arc::clone(&go), answer("X-V", "one"));
    let origin = Scripted::start([first, Act::Send(answer("X-V", "two"))]).await;
    let stage = Stage::start(&telling(), &origin.url()).await;
    let edge = stage.https();
    let viewer =
        |v: &'static str| tokio::spawn(async move { ask(edge, Method::GET, "/a", &[("x-v", v)]).await });
    let leader = viewer("1");
    eventually("the first is on its way", || async { origin.heads().len() == 1 }).await;
    let followers = [viewer("1"), viewer("2"), viewer("2")];
    let collapsed = "edgeseal_cache_collapsed_requests_total";
    eventually("the others wait", || async { stage.metric(collapsed) == 3.0 }).await;
    go.notify_one();
    assert_eq!(told(&leader.await.unwrap()), (200, "Miss", "one"));
    let mut bodies = Vec::new();
    for follower in followers {
        bodies.push(follower.await.unwrap().text().to_owned());
    }
    assert_eq!(bodies, ["one", "two", "two"]);
    assert_eq!(origin.heads().len(), 2, "one fetch for each variant");
}

/// A body that is larger than what is kept waits for its slowest reader; who is no reader of it must not be one.
#[tokio::test]
async fn who_waits_for_another_variant_holds_nobody_up() {
    let go = Arc::new(Notify::new());
    let body = "x".repeat(4 << 20);
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncache-control: max-age=60\r\nvary: X-V";
    let huge = format!("{head}\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let origin = Scripted::start([Act::SendAfter(Arc::clone(&go), huge.into_bytes()), Act::Silence]).await;
    let narrow = "[cache]\nmemory = \"8MiB\"\nmax_object = \"64KiB\"\n";
    let stage = Stage::start(&(narrow.to_owned() + &telling()), &origin.url()).await;
    let edge = stage.https();
    let viewer =
        |v: &'static str| tokio::spawn(async move { ask(edge, Method::GET, "/a", &[("x-v", v)]).await });
    let leader = viewer("1");
    eventually("the first is on its way", || async { origin.heads().len() == 1 }).await;
    let other = viewer("2");
    let collapsed = "edgeseal_cache_collapsed_requests_total";
    eventually("the other waits", || async { stage.metric(collapsed) == 1.0 }).await;
    go.notify_one();
    let seen = tokio::time::timeout(Duration::from_secs(5), leader).await.expect("nobody else reads it");
    assert!(seen.unwrap().text() == body);
    other.abort();
}

#[tokio::test]
async fn a_variant_is_confirmed_as_itself() {
    let brief = |body: &str| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncache-control: max-age=0\r\nvary: x-v";
        Act::send(&format!("{head}\r\netag: \"{body}\"\r\n\r\n{body}"))
    };
    let same = Act::send("HTTP/1.1 304 Not Modified\r\netag: \"one\"\r\n\r\n");
    let origin = Scripted::start([brief("one"), brief("two"), same]).await;
    let stage = Stage::start(&telling(), &origin.url()).await;
    for (v, expected) in [("1", ("Miss", "one")), ("2", ("Miss", "two")), ("1", ("RefreshHit", "one"))] {
        let seen = ask(stage.https(), Method::GET, "/a", &[("x-v", v)]).await;
        assert_eq!(told(&seen), (200, expected.0, expected.1), "{v}");
    }
    let last = origin.heads().pop().unwrap().to_lowercase();
    assert!(last.contains("if-none-match: \"one\"") && last.contains("x-v: 1"), "{last}"); // RFC 9111 §4.3.1
}

#[tokio::test]
async fn what_varies_by_anything_is_nobody_elses() {
    let origin = Scripted::start(["one", "two"].map(|body| Act::Send(answer("X-V, *", body)))).await;
    let stage = Stage::start(&telling(), &origin.url()).await;
    for expected in ["one", "two"] {
        assert_eq!(told(&get(stage.https(), "/a").await), (200, "Miss", expected));
    }
}

#[tokio::test]
async fn what_the_key_holds_needs_no_variant() {
    let origin = Scripted::start(["one", "two"].map(|body| Act::Send(answer("X-V", body)))).await;
    let stage = Stage::start(&under("headers = [\"X-V\"]"), &origin.url()).await;
    for (v, expected) in [("1", "Miss"), ("2", "Miss"), ("1", "Hit"), ("2", "Hit")] {
        let seen = ask(stage.https(), Method::GET, "/a", &[("x-v", v)]).await;
        assert_eq!(result(&seen), expected, "{v}");
    }
}
