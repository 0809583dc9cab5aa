//! `edgeseal compare`: two edges over real sockets, and servers that are none.

use std::io::Write as _;

use edgeseal::demo::store::ObjectMeta;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::support::command::{Ended, edgeseal, finish};
use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::HOST;
use crate::support::{Bucket, PLAIN, Stage};

const UNCACHED: &str = "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\n\
    cache_policy = \"CachingDisabled\"\n";
const COMPRESSED: &str =
    "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\ncompress = true\n";

fn url(stage: &Stage) -> String {
    format!("https://{}", stage.https())
}

/// Both are asked for the same name, and show certificates of their own making.
async fn compare(edge: &str, reference: &str, more: &[&str]) -> Ended {
    let usual = ["compare", "--edge", edge, "--reference", reference, "--samples", "3", "--connections", "2"];
    let named = ["--host", HOST, "--reference-host", HOST, "--insecure"];
    finish(edgeseal(&[&usual[..], &named, more].concat())).await
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// `cold agree`, `range differ`, …, of one URL.
fn verdicts(report: &Value, path: &str) -> Vec<String> {
    let pages = report["urls"].as_array().unwrap();
    let page = pages.iter().find(|page| page["path"] == path).unwrap();
    let probes = page["probes"].as_array().unwrap().iter();
    let word = |of: &Value| of.as_str().unwrap().to_owned();
    probes.map(|probe| format!("{} {}", word(&probe["probe"]), word(&probe["verdict"]))).collect()
}

#[tokio::test]
async fn two_edges_in_front_of_one_bucket_agree_in_everything() {
    let bucket = Bucket::listable().await;
    let text = "compressible, ".repeat(300);
    bucket.put_with("a.html", text, |meta: &mut ObjectMeta| meta.content_type = Some("text/html".into()));
    bucket.put("folder/b", "b");
    let edge = Stage::start(COMPRESSED, &bucket.origin.url()).await;
    let other = Stage::start(COMPRESSED, &bucket.origin.url()).await;
    let plain = [&edge, &other].map(|stage| format!("http://{}", stage.server.http));
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html").display().to_string();
    let more = ["--edge-http", &plain[0], "--reference-http", &plain[1], "--html", &page, "--json"];
    let ended =
        compare(&url(&edge), &url(&other), &[&more[..], &["/a.html", "https://any/folder/b"]].concat()).await;

    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    assert_eq!(ended.err, "", "a bar is for terminals only");
    let report = json(&ended);
    assert_eq!(report["agree"], true);
    let all =
        ["cold", "warm", "revalidated", "range", "conditional", "head", "compressed", "missing", "redirect"];
    let alike: Vec<String> = all.iter().map(|probe| format!("{probe} agree")).collect();
    assert_eq!(verdicts(&report, "/a.html"), alike);
    assert_eq!(verdicts(&report, "/folder/b"), alike);
    for side in ["edge", "reference"] {
        assert_eq!(report[side]["host"], HOST);
        assert_eq!((&report[side]["http"], &report[side]["tls"]), (&"HTTP/2".into(), &"TLS 1.3".into()));
        assert_eq!(report[side]["handshake"]["n"], 2);
        let latency = report["latency"].as_array().unwrap();
        let counts: Vec<_> =
            latency.iter().map(|of| (of["result"].as_str().unwrap(), &of["last_byte"][side]["n"])).collect();
        assert_eq!(counts, [("Hit", &6.into()), ("Miss", &2.into())], "of two URLs, with three samples");
    }
    let html = std::fs::read_to_string(page).unwrap();
    assert!(html.contains("they agree") && html.contains("<svg") && html.ends_with("</html>\n"), "{html}");
    // By each edge once, and once more for those who accept a compressed object: so a hit was a hit.
    assert_eq!(bucket.fetches("folder/b"), 4);
}

#[tokio::test]
async fn what_differs_is_named_and_exits_with_1() {
    let (bucket, changed) = (Bucket::start().await, Bucket::start().await);
    bucket.put("a", "as it was");
    changed.put_with("a", "as it is", |meta| meta.cache_control = Some("max-age=60".into()));
    let edge = Stage::start(PLAIN, &bucket.origin.url()).await;
    let other = Stage::start(UNCACHED, &changed.origin.url()).await;
    let ended = compare(&url(&edge), &url(&other), &["--http1", "/a"]).await;
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
    for said in [
        "DIFFER  /a cold, warm, revalidated, compressed: body: edge 9 bytes, SHA-256 ",
        "head, compressed: cache-control: edge (absent) | reference max-age=60",
        "DIFFER  /a warm, revalidated, range, conditional, head, compressed: caching: edge Hit | reference Miss",
        "DIFFER  /a cold, warm, revalidated, head, compressed: content-length: edge 9 | reference 8",
        "DIFFER  /a range: content-range: edge bytes 1-8/9 | reference bytes 1-7/8",
        "HTTP/1.1, TLS 1.3",
        "they do not agree: 1 URLs,",
    ] {
        assert!(ended.out.contains(said), "{said:?} in\n{}", ended.out);
    }
    // Neither is known to listen without TLS, and `missing` is refused by both alike.
    let row = ended.out.lines().find(|line| line.starts_with("/a ")).unwrap();
    let marks: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(marks.last(), Some(&"-"), "{row:?}");
    assert!(marks[8].starts_with("ok"), "{row:?}");

    let ignored = compare(&url(&edge), &url(&edge), &["--json", "--ignore", "x-mine", "/a"]).await;
    assert_eq!(ignored.code, Some(0), "an edge is like itself: {}", ignored.out);
    assert!(json(&ignored)["ignored"].as_array().unwrap().iter().any(|of| of["name"] == "x-mine"));
}

#[tokio::test]
async fn a_log_says_what_is_asked_and_a_limit_how_much() {
    let bucket = Bucket::start().await;
    bucket.put("b c", "b");
    let edge = Stage::start(PLAIN, &bucket.origin.url()).await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("E1.2026-11-24-12.0123abcd.gz").display().to_string();
    let mut encoder = GzEncoder::new(std::fs::File::create(&log).unwrap(), Compression::fast());
    let line = |stem: &str| format!("2026-11-24\t12:00:00\tGET\t{stem}\t200\t-\n");
    let head = "#Version: 1.0\n#Fields: date time cs-method cs-uri-stem sc-status cs-uri-query\n";
    let lines = [line("/rare"), line("/b%2520c"), line("/b%2520c")].concat();
    encoder.write_all(format!("{head}{lines}").as_bytes()).unwrap();
    encoder.finish().unwrap();
    let ended = compare(&url(&edge), &url(&edge), &["--log", &log, "--limit", "1", "--json"]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let report = json(&ended);
    assert_eq!(verdicts(&report, "/b%20c")[0], "cold agree");
    assert_eq!((report["urls"].as_array().unwrap().len(), &report["settings"]["left_out"]), (1, &1.into()));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_or_not_believed_ends_it_at_once() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let edge = Stage::start(PLAIN, &bucket.origin.url()).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    let ended = compare(&url(&edge), &nobody, &["/a"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("cannot connect"), "{}", ended.err);

    let secure = url(&edge);
    let ended = finish(edgeseal(&["compare", "--edge", &secure, "--reference", &secure, "/a"])).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("TLS: invalid peer certificate"), "{}", ended.err);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure_and_no_agreement() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let edge = Stage::start(PLAIN, &bucket.origin.url()).await;
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc";
    let reference = Scripted::start([Act::send_and_close(broken)]).await;
    let ended = compare(&url(&edge), &reference.url(), &["--json", "/a"]).await;
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
    let report = json(&ended);
    assert_eq!(verdicts(&report, "/a"), ["cold failed"]);
    let why = report["urls"][0]["probes"][0]["reason"].as_str().unwrap();
    assert!(why.starts_with("reference: the answer broke off"), "{why}");
    assert_eq!(reference.heads().len(), 1, "it is not asked again");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_made_anew() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nx-cache: Hit from a\r\nage: 1\r\n\r\na";
    let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let acts = || {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nx-cache: Hit from a\r\nage: 1\r\n\r\n";
        let mut acts: Vec<Act> = (0..6).map(|_| Act::send_and_close(answer)).collect();
        acts.extend([Act::send(head), Act::send(answer), Act::send(answer), Act::send(missing)]);
        acts
    };
    let (edge, reference) = (Scripted::start(acts()).await, Scripted::start(acts()).await);
    let ended = compare(&edge.url(), &reference.url(), &["--json", "/a"]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let report = json(&ended);
    assert_eq!(verdicts(&report, "/a")[..3], ["cold agree", "warm agree", "revalidated agree"]);
    assert!(
        verdicts(&report, "/a").contains(&"conditional skipped".to_owned()),
        "there is nothing to ask with"
    );
    let heads = edge.heads();
    assert!(heads[4].contains("cache-control: max-age=0"), "{heads:?}");
    assert!(heads[5].contains("range: bytes=1-1024"), "{heads:?}");
    assert!(heads[6].starts_with("HEAD /a "), "{heads:?}");
    assert!(heads[7].contains("accept-encoding: br, gzip"), "{heads:?}");
    assert!(heads[9].starts_with("GET /edgeseal-compare-"), "{heads:?}");
    assert!(heads.iter().all(|head| head.contains(&format!("host: {HOST}\r\n"))), "{heads:?}");
}
