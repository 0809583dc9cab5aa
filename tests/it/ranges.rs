//! Parts of objects, and conditions on them, answered by the edge (behaviour §6; RFC 9110 §13, §14; s3 §2.4, §2.5).

use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use http_body_util::BodyExt;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, begin, get};
use crate::support::{Bucket, PLAIN, Stage, eventually, pattern};

const MIB: usize = 1 << 20;

/// When the objects were last modified, and a second before and after.
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const OTHER: &str = "\"other\"";

#[tokio::test]
async fn one_range_of_a_stored_object_is_cut_from_it() {
    let (bucket, stage, etag) = ten_bytes_in_memory().await;
    // s3 §2.5, behaviour §6: range, status, Content-Range, body
    let table = [
        ("bytes=0-0", 206, "bytes 0-0/10", "0"),
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=0-9", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=7-100", 206, "bytes 7-9/10", "789"),
        ("bytes=0-18446744073709551615", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=-100", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=10-", 416, "bytes */10", ""),
        ("bytes=100-200", 416, "bytes */10", ""),
        ("bytes=-0", 416, "bytes */10", ""),
        ("bytes=3-4,0-1", 200, "", "0123456789"),
        ("bytes=0-4,4-6", 200, "", "0123456789"),
        ("bytes=4-2", 200, "", "0123456789"),
        ("bytes=-", 200, "", "0123456789"),
        ("bytes=-1-", 200, "", "0123456789"),
        ("bytes=a-b", 200, "", "0123456789"),
        ("0-1", 200, "", "0123456789"),
        ("lines=0-1", 200, "", "0123456789"),
    ];
    for (range, status, content_range, body) in table {
        let seen = ask(stage.https(), Method::GET, "/a", &[("range", range)]).await;
        assert_eq!((seen.status, seen.header("content-range")), (status, content_range), "{range}");
        if status == 416 {
            assert_eq!(seen.header("x-cache"), "Error from edgeseal", "{range}");
        } else {
            assert_eq!((seen.text(), seen.header("x-cache")), (body, "Hit from edgeseal"), "{range}");
            assert_eq!(seen.header("content-length"), body.len().to_string(), "{range}");
            assert_eq!((seen.header("etag"), seen.header("accept-ranges")), (&*etag, "bytes"), "{range}");
        }
    }
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn several_ranges_of_a_stored_object_come_as_parts() {
    let (bucket, stage, etag) = ten_bytes_in_memory().await;
    let seen = ask(stage.https(), Method::GET, "/a", &[("range", "bytes=0-1,3-4,-1,50-60")]).await;
    assert_eq!((seen.status, seen.header("x-cache")), (206, "Hit from edgeseal"));
    assert_eq!((seen.header("etag"), seen.header("content-range")), (&*etag, ""));
    assert_eq!(seen.header("content-length"), seen.body.len().to_string());
    let boundary = seen.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, body: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/10\r\n\r\n{body}\r\n"
        )
    };
    let expected = [part("0-1", "01"), part("3-4", "34"), part("9-9", "9"), format!("--{boundary}--\r\n")];
    assert_eq!(seen.text(), expected.concat()); // RFC 9110 §14.6
    let other = [("range", "bytes=0-1,3-4"), ("if-range", OTHER)];
    assert_eq!(ask(stage.https(), Method::GET, "/a", &other).await.status, 200);
    assert_eq!(bucket.fetches("a"), 1);
}

/// RFC 9530 §2: it is of the content as it is sent.
#[tokio::test]
async fn a_part_has_not_the_digest_of_the_whole() {
    let digest = "content-digest: sha-256=:x:\r\ncontent-md5: x\r\nrepr-digest: sha-256=:x:\r\n";
    let answer = format!("HTTP/1.1 200 OK\r\n{digest}content-length: 10\r\n\r\n0123456789");
    let origin = Scripted::start([Act::send(&answer)]).await;
    let stage = Stage::start(PLAIN, &origin.url()).await;
    for (range, status, expected) in
        [("bytes=0-1", 206, ""), ("bytes=0-1,3-4", 206, ""), ("bytes=x", 200, "sha-256=:x:")]
    {
        let seen = ask(stage.https(), Method::GET, "/a", &[("range", range)]).await;
        assert_eq!((seen.status, seen.header("content-digest")), (status, expected), "{range}");
        assert_eq!(seen.header("content-md5").is_empty(), expected.is_empty(), "{range}");
        assert_eq!(seen.header("repr-digest"), "sha-256=:x:", "{range}");
        // The rest must be in memory.
        eventually("it is stored", || async { stage.server.edge().store.inflight.is_empty() }).await;
    }
}

#[tokio::test]
async fn nothing_is_in_no_range_of_an_empty_object() {
    let bucket = Bucket::start().await;
    bucket.put("empty", "");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/empty").await.header("content-length"), "0");
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
        let seen = ask(stage.https(), Method::GET, "/empty", &[("range", range)]).await;
        assert_eq!((seen.status, seen.header("content-range")), (416, "bytes */0"), "{range}");
    }
    let whole = get(stage.https(), "/empty").await;
    assert_eq!((whole.status, whole.header("x-cache"), whole.text()), (200, "Hit from edgeseal", ""));
}

#[tokio::test]
async fn a_head_has_no_ranges() {
    let (_bucket, stage, _) = ten_bytes_in_memory().await;
    for range in ["bytes=2-4", "bytes=100-"] {
        let seen = ask(stage.https(), Method::HEAD, "/a", &[("range", range)]).await;
        // RFC 9110 §14.2: defined for GET only
        assert_eq!((seen.status, seen.header("content-length"), seen.text()), (200, "10", ""), "{range}");
        assert_eq!(seen.header("content-range"), "");
    }
}

#[tokio::test]
async fn a_range_counts_only_if_it_is_still_the_same_object() {
    let (_bucket, stage, etag) = ten_bytes_in_memory().await;
    let weak = format!("W/{etag}");
    // RFC 9110 §13.1.5: strongly compared, a date exactly
    let table = [
        (&*etag, 206),
        (OTHER, 200),
        (&*weak, 200),
        (MODIFIED, 206),
        (EARLIER, 200),
        (LATER, 200),
        ("yesterday", 200),
    ];
    for (if_range, status) in table {
        let fields = [("range", "bytes=2-4"), ("if-range", if_range)];
        let seen = ask(stage.https(), Method::GET, "/a", &fields).await;
        assert_eq!(seen.status, status, "{if_range}");
        assert_eq!(seen.text(), if status == 206 { "234" } else { "0123456789" }, "{if_range}");
    }
    // It makes the range void, also one that could not be satisfied.
    let fields = [("range", "bytes=100-"), ("if-range", OTHER)];
    assert_eq!(ask(stage.https(), Method::GET, "/a", &fields).await.status, 200);
}

#[tokio::test]
async fn conditions_are_weighed_in_their_order() {
    let (bucket, stage, etag) = ten_bytes_in_memory().await;
    let weak = format!("W/{etag}");
    let list = format!("{OTHER}, {etag}");
    let etag = &*etag;
    // RFC 9110 §13.2.2
    let table: [(&[(&str, &str)], u16); 23] = [
        (&[("if-none-match", etag)], 304),
        (&[("if-none-match", &weak)], 304),
        (&[("if-none-match", &list)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", OTHER)], 200),
        (&[("if-modified-since", MODIFIED)], 304),
        (&[("if-modified-since", LATER)], 304),
        (&[("if-modified-since", EARLIER)], 200),
        (&[("if-modified-since", "yesterday")], 200),
        (&[("if-none-match", OTHER), ("if-modified-since", LATER)], 200),
        (&[("if-none-match", etag), ("if-modified-since", EARLIER)], 304),
        (&[("if-match", etag)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", OTHER)], 412),
        (&[("if-match", &weak)], 412),
        (&[("if-unmodified-since", MODIFIED)], 200),
        (&[("if-unmodified-since", EARLIER)], 412),
        (&[("if-match", etag), ("if-unmodified-since", EARLIER)], 200),
        (&[("if-match", OTHER), ("if-none-match", etag)], 412),
        (&[("if-match", etag), ("if-none-match", etag)], 304),
        (&[("if-none-match", etag), ("range", "bytes=100-")], 304),
        (&[("if-match", OTHER), ("range", "bytes=100-")], 412),
        (&[("if-match", etag), ("range", "bytes=2-4")], 206),
    ];
    for (fields, status) in table {
        for method in [Method::GET, Method::HEAD] {
            let status = if method == Method::HEAD && status == 206 { 200 } else { status };
            let seen = ask(stage.https(), method.clone(), "/a", fields).await;
            assert_eq!(seen.status, status, "{method} {fields:?}");
        }
    }
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn a_304_says_nothing_of_the_body_that_it_does_not_bring() {
    let bucket = Bucket::start().await;
    let etag = bucket.put_with("a", "0123456789", |meta| {
        meta.cache_control = Some("max-age=60".into());
        meta.content_encoding = Some("gzip".into());
    });
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    // The first answer comes with the object's arrival, the second from memory.
    for _ in 0..2 {
        let seen = ask(stage.https(), Method::GET, "/a", &[("if-none-match", &etag)]).await;
        assert_eq!((seen.status, seen.text()), (304, ""));
        // RFC 9110 §15.4.5
        assert_eq!((seen.header("etag"), seen.header("cache-control")), (&*etag, "max-age=60"));
        for absent in ["content-length", "content-type", "content-encoding", "content-range"] {
            assert!(!seen.headers.contains_key(absent), "{absent}");
        }
    }
    assert_eq!(bucket.fetches("a"), 1, "the first one has filled the cache, too");
}

#[tokio::test]
async fn any_range_of_a_large_object_is_exactly_that_part() {
    let bucket = Bucket::start().await;
    let whole = pattern(3 * MIB + 12_345);
    bucket.put("large", whole.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    get(stage.https(), "/large").await;
    // Around every seam that storing, reading or sending may leave, then anywhere.
    let seams = [0, 16 << 10, 64 << 10, MIB, 2 * MIB, 3 * MIB, whole.len()];
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for seam in seams {
        for (first, last) in [(1, 1), (1, 0), (0, 0), (0, 1), (100, 100)] {
            if seam >= first && seam + last < whole.len() {
                spans.push((seam - first, seam + last));
            }
        }
    }
    spans.extend([(MIB - 1, 2 * MIB), (1, whole.len() - 1), (0, whole.len() - 2)]);
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..60 {
        let (one, two) = (random.usize(..whole.len()), random.usize(..whole.len()));
        spans.push((one.min(two), one.max(two)));
    }
    for (first, last) in spans {
        let seen = range(&stage, "/large", &format!("bytes={first}-{last}")).await;
        assert_eq!(seen.header("content-range"), format!("bytes {first}-{last}/{}", whole.len()));
        assert!(seen.body == whole[first..=last], "bytes {first} to {last} are others");
    }
    assert_eq!(bucket.fetches("large"), 1);
}

#[tokio::test]
async fn a_first_request_for_a_range_brings_the_whole_object() {
    let bucket = Bucket::start().await;
    let whole = pattern(MIB);
    bucket.put("a", whole.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let cold = range(&stage, "/a", "bytes=700000-700099").await;
    assert_eq!((cold.status, cold.header("x-cache")), (206, "Miss from edgeseal"));
    assert!(cold.body == whole[700_000..700_100]);
    for wanted in ["bytes=0-99", "bytes=-100", "bytes=0-"] {
        let seen = range(&stage, "/a", wanted).await;
        assert_eq!((seen.status, seen.header("x-cache")), (206, "Hit from edgeseal"), "{wanted}");
    }
    assert!(get(stage.https(), "/a").await.body == whole);
    let served = bucket.origin.served();
    assert_eq!((served.len(), served[0].range.as_deref()), (1, None)); // behaviour §6: it may ask for more
}

#[tokio::test]
async fn a_first_request_for_a_range_that_is_not_there_brings_the_object_all_the_same() {
    let bucket = Bucket::start().await;
    bucket.put("a", "0123456789");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let cold = range(&stage, "/a", "bytes=10-").await;
    assert_eq!((cold.status, cold.header("content-range")), (416, "bytes */10"));
    assert_eq!(get(stage.https(), "/a").await.header("x-cache"), "Hit from edgeseal"); // a 416 is never kept
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn a_range_of_an_arriving_object_is_sent_as_soon_as_it_is_there() {
    let bucket = Bucket::start().await;
    let whole = pattern(MIB);
    bucket.put("a", whole.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold_body_after(200_000);
    let leader = begin(stage.https(), "/a", &[]).await;
    assert_eq!(leader.status(), 200);

    // Within what has come: whole, while the body is held back.
    let early = range(&stage, "/a", "bytes=100000-199999").await;
    assert_eq!((early.status, early.header("x-cache")), (206, "Hit from edgeseal"));
    assert!(early.body == whole[100_000..200_000]);

    // Across and beyond it: the head at once, the bytes when they come.
    let across = begin(stage.https(), "/a", &[("range", "bytes=150000-300000")]).await;
    let beyond = begin(stage.https(), "/a", &[("range", "bytes=-1000")]).await;
    assert_eq!((across.status().as_u16(), beyond.status().as_u16()), (206, 206));
    assert_eq!(beyond.headers()["content-length"], "1000");
    drop(held);
    assert!(read(across).await == whole[150_000..=300_000]);
    assert!(read(beyond).await == whole[MIB - 1000..]);
    assert!(read(leader).await == whole);
    assert_eq!(bucket.fetches("a"), 1);
}

#[tokio::test]
async fn a_range_far_ahead_of_an_arriving_object_does_not_wait_for_it() {
    let bucket = Bucket::start().await;
    let whole = pattern(10 * MIB);
    bucket.put("a", whole.clone());
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    let held = bucket.origin.hold_body_after(1000);
    let leader = begin(stage.https(), "/a", &[]).await;
    // A question of its own to S3; the gate lets 1,000 bytes of each body pass, and here these are all.
    let ahead = begin(stage.https(), "/a", &[("range", "bytes=10000000-10000999")]).await;
    assert_eq!(
        (ahead.status().as_u16(), ahead.headers()["x-cache"].to_str().unwrap()),
        (206, "Miss from edgeseal")
    );
    assert!(read(ahead).await == whole[10_000_000..10_001_000]);
    drop(held);
    assert!(read(leader).await == whole);
    let ranges: Vec<_> = bucket.origin.served().into_iter().map(|served| served.range).collect();
    assert_eq!(ranges, [None, Some("bytes=10000000-10000999".to_owned())]);
}

/// `0123456789` at `/a`, fetched already, and its ETag.
async fn ten_bytes_in_memory() -> (Bucket, Stage, String) {
    let bucket = Bucket::start().await;
    let etag = bucket.put_with("a", "0123456789", |meta| {
        meta.last_modified = Some(UNIX_EPOCH + Duration::from_secs(784_111_777));
    });
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    (bucket, stage, etag)
}

async fn range(stage: &Stage, target: &str, range: &str) -> Seen {
    ask(stage.https(), Method::GET, target, &[("range", range)]).await
}

async fn read(response: http::Response<hyper::body::Incoming>) -> bytes::Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}
