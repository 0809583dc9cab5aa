//! OPTIONS, where a behaviour allows it (behaviour §2.2, §4.1).

use http::Method;

use super::{result, told};
use crate::support::Stage;
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, get};

const ALLOWED: &str = "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\n\
                       allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]\n";

#[tokio::test]
async fn a_preflight_is_passed_on_and_not_kept() {
    let origin = Scripted::start([Act::ok("one"), Act::ok("two")]).await;
    let stage = Stage::start(ALLOWED, &origin.url()).await;
    assert_eq!(told(&preflight(&stage, "https://a.example").await), (200, "Miss", "one"));
    assert_eq!(told(&preflight(&stage, "https://a.example").await), (200, "Miss", "two"));
    let head = origin.heads()[0].to_ascii_lowercase();
    assert!(head.starts_with("options /private-assets/a http/1.1\r\n"), "{head}");
    let signed = head.split("signedheaders=").nth(1).unwrap().split(',').next().unwrap();
    // What S3 decides by, signed (s3 §1.4)
    for (name, value) in [
        ("origin", "https://a.example"),
        ("access-control-request-method", "get"),
        ("access-control-request-headers", "x-a"),
    ] {
        assert!(head.contains(&format!("\r\n{name}: {value}\r\n")), "{head}");
        assert!(signed.split(';').any(|signed| signed == name), "{signed}");
    }
}

#[tokio::test]
async fn a_preflight_is_kept_for_its_origin_where_a_behaviour_says_so() {
    let origin = Scripted::start([Act::ok("for a"), Act::ok("for b"), Act::ok("the object")]).await;
    let toml = format!("{ALLOWED}cached_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]\n");
    let stage = Stage::start(&toml, &origin.url()).await;
    let table = [
        ("https://a.example", "Miss", "for a"),
        ("https://a.example", "Hit", "for a"),
        ("https://b.example", "Miss", "for b"),
        ("https://a.example", "Hit", "for a"),
    ];
    for (from, result, body) in table {
        assert_eq!(told(&preflight(&stage, from).await), (200, result, body), "{from}");
    }
    let object = get(stage.https(), "/a").await;
    assert_eq!(told(&object), (200, "Miss", "the object"), "OPTIONS is in the key"); // behaviour §4.1
}

#[tokio::test]
async fn a_failed_preflight_is_not_remembered() {
    let origin = Scripted::start([Act::error(404, ""), Act::ok("one")]).await;
    let stage = Stage::start(ALLOWED, &origin.url()).await;
    assert_eq!(result(&preflight(&stage, "https://a.example").await), "Error");
    assert_eq!(told(&preflight(&stage, "https://a.example").await), (200, "Miss", "one")); // behaviour §8.1
}

async fn preflight(stage: &Stage, from: &str) -> Seen {
    let fields = [
        ("origin", from),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "x-a"),
        ("cookie", "a=b"),
    ];
    ask(stage.https(), Method::OPTIONS, "/a", &fields).await
}
