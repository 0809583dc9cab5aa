//! What is for the viewer who asked, and for none of those who wait with them (RFC 9111 §5.2.2.7; behaviour §5.7).

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::sync::Notify;

use super::{outlive, under};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, get};
use crate::support::{Stage, eventually};

/// Two viewers wait for one fetch, whose answer comes when both do. What each gets, the leader first.
async fn together(stage: &Stage, origin: &Scripted, go: &Notify, leader: &'static str) -> [Seen; 2] {
    let edge = stage.https();
    let already = origin.heads().len();
    let condition = [("if-none-match", leader)];
    let fields = if leader.is_empty() { 0 } else { 1 };
    let first = tokio::spawn(async move { ask(edge, Method::GET, "/a", &condition[..fields]).await });
    eventually("the first is on its way", || async { origin.heads().len() == already + 1 }).await;
    let second = tokio::spawn(async move { get(edge, "/a").await });
    eventually("the second waits", || async {
        stage.metric("edgeseal_cache_collapsed_requests_total") >= 1.0
    })
    .await;
    go.notify_one();
    [first.await.unwrap(), second.await.unwrap()]
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_large_private_answer_is_taken_by_nobody_else() {
    let narrow = "[cache]\nmemory = \"8MiB\"\nmax_object = \"64KiB\"\n";
    for control in ["private", "no-store", "max-age=60, private=\"x-a\""] {
        let head = format!("200 OK\r\nx-a: 1\r\ncache-control: {control}");
        let [one, two] = ["1", "2"].map(|body| answer(&head, &body.repeat(100 << 10)));
        let go = Arc::new(Notify::new());
        // The leader has a condition, and so a question of its own, which the answer to that for all does not answer.
        let script = [Act::SendAfter(Arc::clone(&go), one), Act::Send(two.clone()), Act::Send(two)];
        let origin = Scripted::start(script).await;
        let stage = Stage::start(&(narrow.to_owned() + &under("min_ttl = \"0s\"")), &origin.url()).await;
        let seen = together(&stage, &origin, &go, "\"x\"").await;
        assert!(seen.iter().all(|seen| seen.text().starts_with('2')), "{control}");
        assert_eq!(origin.heads().len(), 3, "{control}");
    }
}

#[tokio::test]
async fn what_a_private_confirmation_says_is_told_to_nobody_else() {
    let brief = Act::Send(answer("200 OK\r\ncache-control: max-age=1\r\netag: \"1\"", "a"));
    for control in ["private", "no-store", "no-cache", "max-age=60\r\nvary: *"] {
        let go = Arc::new(Notify::new());
        let fields = format!("cache-control: {control}\r\netag: \"1\"\r\nx-for");
        let same = format!("HTTP/1.1 304 X\r\n{fields}: one\r\n\r\n").into_bytes();
        let own = Act::Send(answer(&format!("200 OK\r\n{fields}: two"), "a"));
        let origin = Scripted::start([brief.clone(), Act::SendAfter(Arc::clone(&go), same), own]).await;
        let stage = Stage::start(&under("min_ttl = \"0s\""), &origin.url()).await;
        assert_eq!(get(stage.https(), "/a").await.text(), "a");
        outlive(Duration::from_millis(1100)).await;
        let seen = together(&stage, &origin, &go, "").await;
        assert_eq!(seen.each_ref().map(|seen| seen.header("x-for")), ["one", "two"], "{control}");
    }
}
