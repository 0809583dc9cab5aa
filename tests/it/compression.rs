//! Bodies that the edge compresses before it stores them, and who gets which (behaviour §4.3, §7; RFC 9110 §12.5).

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, ask_h2, begin, raw};
use crate::support::{Bucket, Stage, all_held, eventually};

/// What browsers send.
const BROWSER: (&str, &str) = ("accept-encoding", "gzip, deflate, br, zstd");
const GZIP: (&str, &str) = ("accept-encoding", "gzip");

#[tokio::test]
async fn each_viewer_gets_what_it_takes_and_hits_are_compressed_already() {
    let bucket = Bucket::start().await;
    let body = text(50_000);
    let etag = bucket.put("a", body.clone());
    let stage = Stage::start(&compressing("CachingOptimized"), &bucket.origin.url()).await;
    // behaviour §4.3, §7.1: what the viewer sends, what it gets, and whether another had asked for the same before
    let table: [(Option<&str>, &str, &str); 11] = [
        (Some("gzip, deflate, br, zstd"), "br", "Miss"),
        (Some("br;q=0.5, gzip;q=1.0"), "br", "Hit"),
        (Some("gzip"), "gzip", "Miss"),
        (Some("GZIP, deflate"), "gzip", "Hit"),
        (Some("gzip, br;q=0"), "gzip", "Hit"),
        (Some("br"), "br", "Miss"),
        (Some("deflate"), "", "Miss"),
        (Some("identity"), "", "Hit"),
        (Some("*"), "", "Hit"),
        (None, "", "Hit"),
        (Some("gzip;q=0"), "", "Hit"),
    ];
    for (field, coding, result) in table {
        let fields: Vec<_> = field.map(|field| ("accept-encoding", field)).into_iter().collect();
        let seen = ask(stage.https(), Method::GET, "/a", &fields).await;
        assert_eq!(
            (seen.status, seen.header("x-cache")),
            (200, &*format!("{result} from edgeseal")),
            "{field:?}"
        );
        assert_eq!(seen.header("content-encoding"), coding, "{field:?}");
        assert!(decoded(&seen) == body, "{field:?}");
        assert_eq!(seen.header("vary"), "Accept-Encoding", "{field:?}");
        assert_eq!(seen.header("content-type"), "text/plain", "{field:?}");
        let known = if coding.is_empty() { etag.clone() } else { format!("W/{etag}") }; // behaviour §7.3
        assert_eq!(seen.header("etag"), known, "{field:?}");
        let length = seen.body.len().to_string();
        let told = if coding.is_empty() || result == "Hit" { &*length } else { "" };
        assert_eq!(seen.header("content-length"), told, "{field:?}");
        assert!(coding.is_empty() || seen.body.len() < body.len() / 2, "{field:?}: {length}");
    }
    assert_eq!(bucket.fetches("a"), 4);
    let served = bucket.origin.served();
    assert!(served.iter().all(|served| !served.headers.contains_key("accept-encoding")), "{served:?}");
}

#[tokio::test]
async fn over_http_2_too_and_the_head_of_a_get() {
    let bucket = Bucket::start().await;
    let body = text(50_000);
    bucket.put("a", body.clone());
    let stage = Stage::start(&compressing("CachingOptimized"), &bucket.origin.url()).await;
    let cold = ask(stage.https(), Method::HEAD, "/a", &[BROWSER]).await;
    assert_eq!((cold.header("content-encoding"), cold.header("content-length")), ("br", ""));
    eventually("the object is stored", || async {
        ask_h2(stage.https(), "/a", &[BROWSER]).await.headers.contains_key("content-length")
    })
    .await;
    let seen = ask_h2(stage.https(), "/a", &[BROWSER]).await;
    assert_eq!((seen.status, seen.header("content-encoding")), (200, "br"));
    assert!(decoded(&seen) == body);
    let head = ask(stage.https(), Method::HEAD, "/a", &[BROWSER]).await;
    assert_eq!((head.status, head.header("content-encoding"), head.body.len()), (200, "br", 0));
    assert_eq!(head.header("content-length"), seen.body.len().to_string());
    let fresh = ask_h2(stage.https(), "/a", &[GZIP]).await;
    assert_eq!((fresh.header("content-encoding"), fresh.header("content-length")), ("gzip", ""));
    assert!(decoded(&fresh) == body);
}

#[tokio::test]
async fn http_1_0_knows_no_codings() {
    let bucket = Bucket::start().await;
    bucket.put("a", text(5_000));
    let stage = Stage::start(&compressing("CachingOptimized"), &bucket.origin.url()).await;
    let request = "GET /a HTTP/1.0\r\nhost: cdn.example.com\r\naccept-encoding: gzip, br\r\n\r\n";
    let answer = raw(stage.https(), request.as_bytes()).await.to_ascii_lowercase();
    assert!(answer.contains("\r\ncontent-length: 5000\r\n"), "{answer}");
    assert!(!answer.contains("content-encoding"), "{answer}");
}

#[tokio::test]
async fn what_does_not_suit_stays_as_it_came() {
    let bucket = Bucket::start().await;
    let stage = Stage::start(&compressing("CachingOptimized"), &bucket.origin.url()).await;
    // behaviour §7.1, §7.2: bytes, type, Content-Encoding, Cache-Control; what comes of it, and Vary
    type Row = (usize, &'static str, Option<&'static str>, Option<&'static str>, &'static str, &'static str);
    let table: [Row; 8] = [
        (1_000, "text/css", None, None, "br", "Accept-Encoding"),
        (999, "text/css", None, None, "", ""),
        (10_000_001, "text/css", None, None, "", ""),
        (5_000, "image/png", None, None, "", ""),
        (5_000, "text/markdown", None, None, "", ""),
        (5_000, "text/css", Some("gzip"), None, "gzip", ""),
        (5_000, "text/css", None, Some("max-age=60, no-transform"), "", ""),
        (5_000, "Application/JSON; charset=utf-8", None, Some("max-age=60"), "br", "Accept-Encoding"),
    ];
    for (row, (length, kind, encoding, cache_control, expected, vary)) in table.into_iter().enumerate() {
        let body = text(length);
        let etag = bucket.put_with(&format!("{row}"), body.clone(), |meta| {
            meta.content_type = Some(kind.into());
            meta.content_encoding = encoding.map(Into::into);
            meta.cache_control = cache_control.map(Into::into);
        });
        for _ in 0..2 {
            let seen = ask(stage.https(), Method::GET, &format!("/{row}"), &[BROWSER]).await;
            assert_eq!(seen.header("content-encoding"), expected, "{length} {kind}");
            assert_eq!(seen.header("vary"), vary, "{length} {kind}");
            if expected != "br" {
                assert!(seen.body == body && seen.header("etag") == etag, "{length} {kind}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_without_a_length_is_not_compressed() {
    let body = text(5_000);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/css\r\ntransfer-encoding: chunked\r\n\r\n1388\r\n";
    let origin = Scripted::start([Act::Send([head.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat())]).await;
    let stage = Stage::start(&compressing("CachingOptimized"), &origin.url()).await;
    let seen = ask(stage.https(), Method::GET, "/a", &[BROWSER]).await;
    assert_eq!((seen.status, seen.header("content-encoding")), (200, ""));
    assert!(seen.body == body);
}

#[tokio::test]
async fn who_does_not_ask_for_it_has_neither_compression_nor_a_split_cache() {
    let bucket = Bucket::start().await;
    let body = text(5_000);
    for (policy, compress, expected) in [
        ("CachingOptimized", "", ["Miss", "Hit", "Hit"]),
        ("CachingOptimized", "compress = false", ["Miss", "Hit", "Hit"]),
        ("CachingOptimizedForUncompressedObjects", "compress = true", ["Miss", "Hit", "Hit"]),
        ("CachingDisabled", "compress = true", ["Miss", "Miss", "Miss"]), // behaviour §7.1: TTLs > 0
    ] {
        bucket.put("a", body.clone());
        let toml = format!("{}{compress}\n", compressing(policy).replace("compress = true\n", ""));
        let stage = Stage::start(&toml, &bucket.origin.url()).await;
        for (fields, expected) in [&[BROWSER][..], &[GZIP], &[]].into_iter().zip(expected) {
            let seen = ask(stage.https(), Method::GET, "/a", fields).await;
            assert_eq!(seen.header("x-cache"), format!("{expected} from edgeseal"), "{policy} {compress}");
            assert_eq!(
                (seen.header("content-encoding"), seen.header("vary")),
                ("", ""),
                "{policy} {compress}"
            );
            assert!(seen.body == body);
        }
    }
}

#[tokio::test]
async fn ranges_count_compressed_bytes() {
    let bucket = Bucket::start().await;
    let etag = bucket.put("a", text(50_000));
    let stage = Stage::start(&compressing("CachingOptimized"), &bucket.origin.url()).await;
    let part = ("range", "bytes=10-19");
    // How long it will be is not known while it is compressed: all of it.
    let cold = ask(stage.https(), Method::GET, "/a", &[GZIP, part]).await;
    assert_eq!((cold.status, cold.header("content-encoding")), (200, "gzip"));
    let whole = ask(stage.https(), Method::GET, "/a", &[GZIP]).await;
    assert!(whole.body == cold.body && whole.header("x-cache") == "Hit from edgeseal");
    let total = whole.body.len();

    let seen = ask(stage.https(), Method::GET, "/a", &[GZIP, part]).await;
    assert_eq!((seen.status, seen.header("content-range")), (206, &*format!("bytes 10-19/{total}"))); // behaviour §6
    assert_eq!((seen.header("content-encoding"), seen.header("content-length")), ("gzip", "10"));
    assert!(seen.body == whole.body[10..20]);
    let past = ask(stage.https(), Method::GET, "/a", &[GZIP, ("range", "bytes=40000-")]).await;
    assert_eq!((past.status, past.header("content-range")), (416, &*format!("bytes */{total}")));

    // RFC 9110 §13.1.5: there is nothing strong to compare with.
    let weak = format!("W/{etag}");
    for if_range in [&*weak, &*etag, whole.header("last-modified")] {
        let seen = ask(stage.https(), Method::GET, "/a", &[GZIP, part, ("if-range", if_range)]).await;
        assert_eq!((seen.status, seen.body.len()), (200, total), "{if_range}");
    }
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn viewers_conditions_match_weakly() {
    let bucket = Bucket::start().await;
    let etag = bucket.put("a", text(5_000));
    let stage = Stage::start(&compressing("CachingOptimized"), &bucket.origin.url()).await;
    let weak = format!("W/{etag}");
    // The first is answered while the object arrives, the rest from memory (behaviour §7.3, RFC 9110 §13.1.1).
    for (name, value, expected) in [
        ("if-none-match", &*weak, 304),
        ("if-none-match", &*weak, 304),
        ("if-none-match", &*etag, 304),
        ("if-none-match", "\"other\"", 200),
        ("if-match", "*", 200),
        ("if-match", &*etag, 412),
    ] {
        let seen = ask(stage.https(), Method::GET, "/a", &[BROWSER, (name, value)]).await;
        assert_eq!(seen.status, expected, "{name}: {value}");
        if expected == 304 {
            assert_eq!((seen.header("etag"), seen.header("vary")), (&*weak, "Accept-Encoding"));
            assert!(!seen.headers.contains_key("content-encoding"));
        }
    }
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn the_origin_is_asked_by_its_own_etag() {
    let body = text(5_000);
    let answer =
        |etag: &str| Act::Send([head(&format!("etag: {etag}\r\n"), 5_000).as_bytes(), &body].concat());
    let confirm =
        |etag: &str| Act::send(&format!("HTTP/1.1 304 Not Modified\r\netag: {etag}\r\nvary: Origin\r\n\r\n"));
    // behaviour §5.4, §7.3: the origin's, what viewers see
    for (own, shown) in [("\"v1\"", "W/\"v1\""), ("W/\"v1\"", "W/\"v1\""), ("v1", "")] {
        let origin = Scripted::start([answer(own), confirm(own), confirm(own)]).await;
        let stage = Stage::start(&briefly_compressing(), &origin.url()).await;
        let first = ask(stage.https(), Method::GET, "/a", &[BROWSER]).await;
        assert_eq!((first.header("content-encoding"), first.header("etag")), ("br", shown));
        for _ in 0..2 {
            tokio::time::sleep(BRIEF).await; // the very thing that this is about
            let again = ask(stage.https(), Method::GET, "/a", &[BROWSER]).await;
            assert_eq!((again.status, again.header("x-cache")), (200, "RefreshHit from edgeseal"), "{own}");
            assert_eq!((again.header("content-encoding"), again.header("etag")), ("br", shown), "{own}");
            assert!(decoded(&again) == body && again.body == first.body, "{own}");
            let vary: Vec<_> = again.headers.get_all("vary").iter().collect();
            assert_eq!(vary, ["Origin", "Accept-Encoding"], "{own}");
        }
        let heads = origin.heads();
        let asked = format!("\r\nif-none-match: {own}\r\n");
        assert!(heads.len() == 3 && heads[1].contains(&asked) && heads[2].contains(&asked), "{heads:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_neither_whole_nor_kept() {
    let body = text(5_000);
    let short = [head("", 5_000).as_bytes(), &body[..4_000]].concat();
    let whole = [head("", 5_000).as_bytes(), &body].concat();
    let origin =
        Scripted::start([Act::SendAndClose(short.clone()), Act::SendAndReset(short), Act::Send(whole)]).await;
    let stage = Stage::start(&compressing("CachingOptimized"), &origin.url()).await;
    for _ in 0..2 {
        let broken = begin(stage.https(), "/a", &[BROWSER]).await;
        assert!(broken.into_body().collect().await.is_err(), "it must not look like the end");
    }
    let seen = ask(stage.https(), Method::GET, "/a", &[BROWSER]).await;
    assert_eq!(seen.header("x-cache"), "Miss from edgeseal");
    assert!(decoded(&seen) == body);
}

#[tokio::test]
async fn viewers_read_along_while_it_is_compressed() {
    let bucket = Bucket::start().await;
    let body = text(400_000);
    bucket.put("a", body.clone());
    let stage = Stage::start(&compressing("CachingOptimized"), &bucket.origin.url()).await;
    for field in [BROWSER, GZIP] {
        let held = bucket.origin.hold_body_after(200_000);
        let mut leader = begin(stage.https(), "/a", &[field]).await;
        let late = begin(stage.https(), "/a", &[field]).await;
        assert_eq!(late.headers()["x-cache"], "Hit from edgeseal");
        let coding = leader.headers()["content-encoding"].clone();
        // All that the origin has sent can be read, down to the last byte of it, while it says no more.
        let mut beginning = Vec::new();
        while beginning_of(coding.as_bytes(), &beginning).len() < 200_000 {
            beginning.extend(next(&mut leader).await.expect("there is more"));
        }
        assert!(beginning_of(coding.as_bytes(), &beginning) == body[..200_000]);
        drop(held);
        while let Some(bytes) = next(&mut leader).await {
            beginning.extend(bytes);
        }
        assert!(beginning_of(coding.as_bytes(), &beginning) == body);
        assert!(late.into_body().collect().await.unwrap().to_bytes() == beginning);
    }
}

#[tokio::test]
async fn viewers_share_a_fetch_with_those_who_take_the_same() {
    let bucket = Bucket::start().await;
    let body = text(50_000);
    bucket.put("a", body.clone());
    let stage = Stage::start(&compressing("CachingOptimized"), &bucket.origin.url()).await;
    let held = bucket.origin.hold();
    let edge = stage.https();
    let takes = ["gzip, br", "br, gzip;q=0.5", "gzip", "deflate, gzip", "br,gzip"];
    let viewers: Vec<_> = takes
        .map(|takes| {
            tokio::spawn(async move { ask(edge, Method::GET, "/a", &[("accept-encoding", takes)]).await })
        })
        .into();
    all_held(&held, 2).await;
    eventually("the others follow", || async {
        stage.metric("edgeseal_cache_collapsed_requests_total") >= 3.0
    })
    .await;
    drop(held);
    for (viewer, takes) in viewers.into_iter().zip(takes) {
        let seen = viewer.await.unwrap();
        assert_eq!(
            seen.header("content-encoding"),
            if takes.contains("br") { "br" } else { "gzip" },
            "{takes}"
        );
        assert!(decoded(&seen) == body, "{takes}");
    }
    assert_eq!(bucket.fetches("a"), 2);
}

#[tokio::test]
async fn what_counts_against_the_limits_is_the_compressed_body() {
    let bucket = Bucket::start().await;
    let body = text(300_000);
    bucket.put("a", body.clone());
    let noise: Vec<u8> = (0..300_000).map(|_| fastrand::u8(..)).collect();
    bucket.put("noise", noise.clone());
    let limits = "[cache]\nmemory = \"32MiB\"\nmax_object = \"200KiB\"\n";
    let stage =
        Stage::start(&format!("{limits}{}", compressing("CachingOptimized")), &bucket.origin.url()).await;
    for expected in ["Miss", "Hit"] {
        let seen = ask(stage.https(), Method::GET, "/a", &[BROWSER]).await;
        assert_eq!(seen.header("x-cache"), format!("{expected} from edgeseal"));
        assert!(decoded(&seen) == body);
    }
    // It outgrows the limit as it comes, and is whole all the same.
    let seen = ask(stage.https(), Method::GET, "/noise", &[BROWSER]).await;
    assert_eq!(seen.header("content-encoding"), "br");
    assert!(decoded(&seen) == noise);
    let seen = ask(stage.https(), Method::GET, "/noise", &[BROWSER]).await;
    assert_eq!((seen.header("content-encoding"), seen.header("x-cache")), ("", "Miss from edgeseal"));
    assert!(seen.body == noise);
}

#[tokio::test]
async fn the_owners_error_page_is_compressed_like_any_object() {
    let bucket = Bucket::listable().await;
    let page = text(5_000);
    bucket.put("404.html", page.clone());
    let pages = "[[distribution.custom_error_response]]\nerror_code = 404\nresponse_page_path = \"/404.html\"\n\
                 response_code = 404\n";
    let stage =
        Stage::start(&format!("{}{pages}", compressing("CachingOptimized")), &bucket.origin.url()).await;
    for _ in 0..2 {
        let seen = ask(stage.https(), Method::GET, "/none", &[BROWSER]).await;
        assert_eq!((seen.status, seen.header("content-encoding")), (404, "br"));
        assert!(decoded(&seen) == page);
    }
}

/// behaviour §7.1: 403 and 404, too, where viewers see the origin's own.
#[tokio::test]
async fn an_origins_errors_are_compressed() {
    let page = String::from_utf8(text(5_000)).unwrap();
    let answer = |status: u16, framing: &str, body: &str| {
        Act::send(&format!(
            "HTTP/1.1 {status} X\r\ncontent-type: text/html\r\netag: \"e\"\r\n{framing}\r\n\r\n{body}"
        ))
    };
    let length = format!("content-length: {}", page.len());
    let chunks = format!("{:x}\r\n{page}\r\n0\r\n\r\n", page.len());
    for (act, fields, status, coding, etag) in [
        (answer(404, &length, &page), &[BROWSER][..], 404, "br", "W/\"e\""),
        (answer(404, &length, &page), &[GZIP], 404, "gzip", "W/\"e\""),
        (answer(404, &length, &page), &[], 404, "", "\"e\""),
        (answer(403, &length, &page), &[GZIP], 403, "gzip", "W/\"e\""),
        (answer(410, &length, &page), &[GZIP], 410, "", "\"e\""),
        (answer(404, "transfer-encoding: chunked", &chunks), &[GZIP], 404, "", "\"e\""),
    ] {
        let origin = Scripted::start([act]).await;
        let toml = format!(
            "[[distribution]]\n[[distribution.origin]]\ndomain_name = \"127.0.0.1\"\n\
             [distribution.origin.custom_origin]\nhttp_port = {}\norigin_protocol_policy = \"http-only\"\n\
             [distribution.default_cache_behavior]\ncache_policy = \"CachingOptimized\"\ncompress = true\n",
            origin.port()
        );
        let stage = Stage::start(&toml, "http://127.0.0.1:1").await;
        let kept = if status == 404 { 2 } else { 1 };
        for _ in 0..kept {
            let seen = ask(stage.https(), Method::GET, "/a", fields).await;
            assert_eq!(
                (seen.status, seen.header("content-encoding"), seen.header("etag")),
                (status, coding, etag)
            );
            assert!(decoded(&seen) == page.as_bytes(), "{status} {coding}");
        }
        assert_eq!(origin.heads().len(), 1, "behaviour §8.1: it is kept as it is sent");
    }
}

#[tokio::test]
async fn an_invalidation_removes_every_coding() {
    let bucket = Bucket::start().await;
    bucket.put("a", text(5_000));
    let stage = Stage::start(&compressing("CachingOptimized"), &bucket.origin.url()).await;
    let viewers = [&[BROWSER][..], &[GZIP], &[("accept-encoding", "br")], &[]];
    for expected in ["Miss", "Hit", "Miss"] {
        if expected == "Miss" {
            stage.server.edge().invalidate(None, &["/a".to_owned()], edgeseal::clock::now()).unwrap();
        }
        for fields in viewers {
            let seen = ask(stage.https(), Method::GET, "/a", fields).await;
            assert_eq!(seen.header("x-cache"), format!("{expected} from edgeseal"), "{fields:?}"); // behaviour §12.14
        }
    }
}

const BRIEF: Duration = Duration::from_millis(100);

/// One bucket under a managed policy, compressing.
fn compressing(policy: &str) -> String {
    format!(
        "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\ncache_policy = \"{policy}\"\ncompress = true\n"
    )
}

/// The same, and what is kept is kept for [`BRIEF`].
fn briefly_compressing() -> String {
    let policy = "[[cache_policy]]\nname = \"brief\"\nmin_ttl = \"0s\"\ndefault_ttl = \"100ms\"\nmax_ttl = \"1d\"\n\
                  enable_accept_encoding_gzip = true\nenable_accept_encoding_brotli = true\n";
    format!("{policy}{}", compressing("brief"))
}

/// A 200 of a stylesheet.
fn head(fields: &str, length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/css\r\n{fields}content-length: {length}\r\n\r\n")
}

/// Something to read, always the same.
fn text(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(length as u64);
    let mut text = Vec::with_capacity(length + 32);
    while text.len() < length {
        text.extend_from_slice(
            format!("<p class=\"c{}\">word {}</p>\n", random.u8(..9), random.u16(..)).as_bytes(),
        );
    }
    text.truncate(length);
    text
}

/// All of it, to its proper end.
fn decoded(seen: &Seen) -> Vec<u8> {
    let mut plain = Vec::new();
    match seen.header("content-encoding") {
        "br" => brotli::Decompressor::new(&seen.body[..], 4_096).read_to_end(&mut plain).unwrap(),
        "gzip" => flate2::read::GzDecoder::new(&seen.body[..]).read_to_end(&mut plain).unwrap(),
        "" => return seen.body.to_vec(),
        other => panic!("{other}"),
    };
    plain
}

/// As far as it goes.
fn beginning_of(coding: &[u8], encoded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    // The end of what has come is no end of the stream; what was read before stays.
    let _ = match coding {
        b"br" => brotli::Decompressor::new(encoded, 4_096).read_to_end(&mut plain),
        _ => flate2::read::GzDecoder::new(encoded).read_to_end(&mut plain),
    };
    plain
}

async fn next(response: &mut Response<Incoming>) -> Option<Bytes> {
    let frame = tokio::time::timeout(Duration::from_secs(10), response.body_mut().frame()).await;
    Some(frame.expect("within ten seconds")?.unwrap().into_data().unwrap())
}
