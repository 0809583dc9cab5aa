//! Large objects are kept in slices of one version (behaviour §6).

use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, begin, get};
use crate::support::{Bucket, Stage, all_held, eventually, pattern};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Objects over 64 KiB are large, and so are slices.
const NARROW: &str =
    "[cache]\nmemory = \"8MiB\"\nmax_object = \"64KiB\"\nslice_size = \"64KiB\"\n[[distribution]]\n$BUCKET\n";

/// What is fetched and what is read are of the same order: a slice is 1 MiB.
const WIDE: &str =
    "[cache]\nmemory = \"32MiB\"\nmax_object = \"2MiB\"\nslice_size = \"1MiB\"\n[[distribution]]\n$BUCKET\n";

#[tokio::test]
async fn a_full_read_costs_one_request_and_fills_every_slice() {
    let bucket = Bucket::start().await;
    let body = pattern(1000 * KIB);
    bucket.put("large", body.clone());
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    let seen = get(stage.https(), "/large").await;
    assert_eq!((seen.status, result(&seen)), (200, "Miss"));
    assert_eq!(seen.header("content-length"), (1000 * KIB).to_string());
    assert!(seen.body == body);
    for _ in 0..2 {
        let seen = get(stage.https(), "/large").await;
        assert_eq!((seen.status, result(&seen)), (200, "Hit"));
        assert!(seen.body == body);
    }
    let part = ranged(&stage, "bytes=100000-899999").await;
    assert_eq!((part.status, result(&part)), (206, "Hit"));
    assert!(part.body == body[100_000..900_000]);
    assert_eq!(bucket.fetches("large"), 1);
}

#[tokio::test]
async fn a_range_near_the_end_of_a_cold_object_fetches_what_it_needs() {
    let bucket = Bucket::start().await;
    let body = pattern(24 * MIB);
    let etag = bucket.put("large", body.clone());
    let stage = Stage::start(WIDE, &bucket.origin.url()).await;
    let seen = ranged(&stage, "bytes=20971620-20971719").await; // 100 bytes of the 21st slice
    assert_eq!((seen.status, result(&seen)), (206, "Miss"));
    assert_eq!(seen.header("content-range"), "bytes 20971620-20971719/25165824");
    assert_eq!(seen.header("etag"), etag);
    assert!(seen.body == body[20_971_620..=20_971_719]);
    assert_eq!(asked(&bucket), ["bytes=20971520-22020095"]);

    // From now on all know how large it is.
    let seen = ranged(&stage, "bytes=-10").await;
    assert_eq!((seen.status, result(&seen)), (206, "Miss"));
    assert!(seen.body == body[body.len() - 10..]);
    let seen = ranged(&stage, "bytes=20972000-20972010").await;
    assert_eq!((seen.status, result(&seen)), (206, "Hit"));
    let served = bucket.origin.take_served();
    assert_eq!(served.len(), 1, "the second was in memory");
    assert_eq!(served[0].range.as_deref(), Some("bytes=24117248-25165823"));
    assert_eq!(served[0].headers["if-match"], etag.as_str());
    let signed = served[0].signed_headers.clone().unwrap();
    assert!(["if-match", "range"].iter().all(|name| signed.split(';').any(|has| has == *name)), "{signed}");
    let from_origin = stage.metric("edgeseal_origin_bytes_total{origin=\"private-assets\"}");
    assert!(from_origin <= (3 * MIB) as f64, "{from_origin} bytes");
    assert_eq!(ranged(&stage, "bytes=25165824-").await.status, 416);
    assert_eq!(asked(&bucket), Vec::<String>::new());
}

#[tokio::test]
async fn ranges_of_a_known_object_fetch_their_slices_once() {
    let bucket = Bucket::start().await;
    let body = pattern(256 * KIB);
    bucket.put("large", body.clone());
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    // The first request has to find out how large it is; those after it know.
    let table = [
        ("bytes=1000-1999", 1000, 1999, "Miss"),
        ("bytes=262000-", 262_000, 262_143, "Miss"),
        ("bytes=-10", 262_134, 262_143, "Hit"),
        ("bytes=0-0", 0, 0, "Hit"),
    ];
    for (range, first, last, cached) in table {
        let seen = ranged(&stage, range).await;
        assert_eq!((seen.status, result(&seen)), (206, cached), "{range}");
        assert_eq!(seen.header("content-range"), format!("bytes {first}-{last}/262144"));
        assert!(seen.body == body[first..=last], "{range}");
    }
    assert_eq!(asked(&bucket), ["", "bytes=196608-262143"]);
    assert_eq!(ranged(&stage, "bytes=262144-").await.status, 416);
}

#[tokio::test]
async fn many_viewers_share_every_slice() {
    let bucket = Bucket::start().await;
    let body = pattern(640 * KIB);
    bucket.put("large", body.clone());
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    assert_eq!(ranged(&stage, "bytes=0-9").await.status, 206);
    let _ = bucket.origin.take_served();
    let viewers: Vec<_> = (0..40)
        .map(|_| {
            let edge = stage.https();
            tokio::spawn(async move { get(edge, "/large").await })
        })
        .collect();
    for viewer in viewers {
        assert!(viewer.await.unwrap().body == body);
    }
    let mut asked = asked(&bucket);
    let all = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!(
        (all, asked.len()),
        (9, 9),
        "each slice but the first, which was there, and each once: {asked:?}"
    );
}

#[tokio::test]
async fn an_object_that_changes_in_mid_read_never_mixes_versions() {
    let bucket = Bucket::start().await;
    let old = pattern(1000 * KIB);
    bucket.put("large", old.clone());
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    assert_eq!(ranged(&stage, "bytes=0-9").await.status, 206);
    // A viewer that has read the first slice, and does not read on while the object changes.
    let held = bucket.origin.hold();
    let viewer = begin(stage.https(), "/large", &[]).await;
    assert_eq!(viewer.headers()["x-cache"], "Hit from edgeseal");
    all_held(&held, 1).await; // the slice ahead
    let new = vec![7; 1000 * KIB];
    bucket.put("large", new.clone());
    drop(held);
    let (read, whole) = rest(viewer).await;
    assert!(!whole, "a body of two versions, or of one that is no more");
    assert!(old.starts_with(&read), "and all that came was of one version");
    let seen = get(stage.https(), "/large").await;
    assert!(seen.status == 200 && seen.body == new, "who comes after gets the new one");
    assert_eq!(result(&get(stage.https(), "/large").await), "Hit");
}

#[tokio::test]
async fn who_begins_after_the_change_is_served_what_there_is() {
    let bucket = Bucket::start().await;
    let old = pattern(256 * KIB);
    let etag = bucket.put("large", old.clone());
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    let resume = async |tag: &str| -> Seen {
        let fields = [("range", "bytes=200000-"), ("if-range", tag)];
        ask(stage.https(), Method::GET, "/large", &fields).await
    };
    let rest = resume(&etag).await;
    assert_eq!(rest.status, 206);
    assert!(rest.body == old[200_000..]);
    // A weak tag says too little; the whole is always right (RFC 9110 §13.1.5).
    assert_eq!(resume(&format!("W/{etag}")).await.status, 200);

    let new = vec![7; 300 * KIB];
    bucket.put("large", new.clone());
    let memory = ranged(&stage, "bytes=200000-200009").await;
    assert!(memory.body == old[200_000..200_010], "what is fresh and in memory is served");
    let fresh = Stage::start(NARROW, &bucket.origin.url()).await;
    assert_eq!(ranged(&fresh, "bytes=0-9").await.status, 206);
    bucket.put("large", old.clone());
    let seen = ranged(&fresh, "bytes=200000-200009").await; // a slice that is not there; 412
    assert_eq!((seen.status, result(&seen)), (206, "Miss"));
    assert!(seen.body == old[200_000..200_010]);
}

#[tokio::test]
async fn a_confirmed_object_keeps_its_slices() {
    let bucket = Bucket::start().await;
    let body = pattern(256 * KIB);
    bucket.put_with("large", body.clone(), |meta| meta.cache_control = Some("max-age=1".into()));
    let toml = NARROW.replace(
        "[[distribution]]\n$BUCKET\n",
        "[[cache_policy]]\nname = \"obedient\"\nmin_ttl = \"0s\"\n[[distribution]]\n$BUCKET\n\
         [distribution.default_cache_behavior]\ncache_policy = \"obedient\"\n",
    );
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    assert!(get(stage.https(), "/large").await.body == body);
    eventually("the object is confirmed", || async {
        result(&get(stage.https(), "/large").await) == "RefreshHit"
    })
    .await;
    let served = bucket.origin.take_served();
    assert_eq!(served.iter().filter(|served| served.status == 200).count(), 1, "the first answer");
    assert!(served[1..].iter().all(|served| served.status == 304), "no slice is fetched again");
}

#[tokio::test]
async fn the_head_of_a_large_object_fetches_no_slice() {
    let bucket = Bucket::start().await;
    bucket.put("large", pattern(256 * KIB));
    let stage = Stage::start(NARROW, &bucket.origin.url()).await;
    for expected in ["Miss", "Hit"] {
        let seen = ask(stage.https(), Method::HEAD, "/large", &[]).await;
        assert_eq!((seen.status, result(&seen)), (200, expected));
        assert_eq!((seen.header("content-length"), seen.body.len()), ("262144", 0));
    }
    assert_eq!(asked(&bucket), [""]);
}

#[tokio::test]
async fn a_large_object_without_a_strong_tag_is_streamed_and_not_kept() {
    for tag in ["", "etag: W/\"1\"\r\naccept-ranges: bytes\r\n", "etag: \"1\"\r\n"] {
        let body = "x".repeat(100 * KIB);
        let answer = format!("HTTP/1.1 200 OK\r\n{tag}content-length: {}\r\n\r\n{body}", body.len());
        let origin = Scripted::start([Act::send(&answer), Act::send(&answer)]).await;
        let stage = Stage::start(NARROW, &origin.url()).await;
        for _ in 0..2 {
            let seen = get(stage.https(), "/large").await;
            assert_eq!((seen.status, result(&seen), seen.body.len()), (200, "Miss", 100 * KIB), "{tag}");
        }
        assert_eq!(origin.heads().len(), 2);
    }
}

#[tokio::test]
async fn a_part_of_something_else_is_not_a_slice() {
    let first = "x".repeat(64 * KIB);
    let known = format!(
        "HTTP/1.1 206 Partial Content\r\netag: \"1\"\r\ncontent-range: bytes 8388608-8454143/16777216\r\n\
         content-length: 65536\r\n\r\n{first}"
    );
    let now = "HTTP/1.1 206 Partial Content\r\netag: \"2\"\r\ncontent-range: bytes 8454144-8454145/16777217\r\n\
               content-length: 2\r\n\r\nab";
    let lies = [
        "206 X\r\netag: \"2\"\r\ncontent-range: bytes 8454144-8519679/16777216",
        "206 X\r\ncontent-range: bytes 8454144-8519679/16777216", // whose it is, it does not say
        "206 X\r\netag: \"1\"\r\ncontent-range: bytes 8454144-8519679/16777217",
        "206 X\r\netag: \"1\"\r\ncontent-range: bytes 8454145-8519680/16777216",
        "200 X\r\netag: \"1\"",
    ];
    for lie in lies {
        let lie = format!("HTTP/1.1 {lie}\r\ncontent-length: 65536\r\n\r\n{first}");
        let again = known.replace("\"1\"", "\"2\"");
        let script = [Act::send(&known), Act::send_and_close(&lie), Act::send(now), Act::send(&again)];
        let origin = Scripted::start(script).await;
        let stage = Stage::start(NARROW, &origin.url()).await;
        assert_eq!(ranged(&stage, "bytes=8388608-8388609").await.status, 206);
        // What there is now, for this viewer; and who comes next begins anew.
        let seen = ranged(&stage, "bytes=8454144-8454145").await;
        assert_eq!((seen.status, seen.header("etag"), seen.text()), (206, "\"2\"", "ab"), "{lie}");
        let seen = ranged(&stage, "bytes=8388608-8388609").await;
        assert_eq!((seen.status, seen.header("etag")), (206, "\"2\""), "{lie}");
    }
}

#[tokio::test]
async fn a_range_beyond_all_numbers_is_only_wrong() {
    let bucket = Bucket::start().await;
    bucket.put("large", pattern(KIB));
    let toml =
        NARROW.replace("slice_size = \"64KiB\"", "slice_size = \"100KB\"").replace("\"64KiB\"", "\"1MiB\"");
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    assert_eq!(ranged(&stage, "bytes=18446744073709551615-").await.status, 416);
}

#[tokio::test]
async fn a_range_beyond_a_cold_object_is_its_own_viewers_affair() {
    let bucket = Bucket::start().await;
    bucket.put("small", pattern(KIB));
    let stage = Stage::start(WIDE, &bucket.origin.url()).await;
    let edge = stage.https();
    let held = bucket.origin.hold();
    let beyond =
        tokio::spawn(async move { ask(edge, Method::GET, "/small", &[("range", "bytes=9000000-")]).await });
    all_held(&held, 1).await;
    let whole = tokio::spawn(async move { get(edge, "/small").await });
    eventually("both wait for one answer", || async {
        stage.metric("edgeseal_cache_collapsed_requests_total") >= 1.0
    })
    .await;
    drop(held);
    assert_eq!(beyond.await.unwrap().status, 416);
    let whole = whole.await.unwrap();
    assert_eq!((whole.status, whole.body.len()), (200, KIB));
}

fn result(seen: &Seen) -> &str {
    seen.header("x-cache").strip_suffix(" from edgeseal").unwrap()
}

async fn ranged(stage: &Stage, range: &str) -> Seen {
    ask(stage.https(), Method::GET, "/large", &[("range", range)]).await
}

/// The ranges that the origin was asked for since the last look; empty: the whole.
fn asked(bucket: &Bucket) -> Vec<String> {
    bucket.origin.take_served().into_iter().map(|served| served.range.unwrap_or_default()).collect()
}

/// What came, and whether it was all.
async fn rest(response: Response<Incoming>) -> (Vec<u8>, bool) {
    let mut body = response.into_body();
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => read.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => return (read, false),
        }
    }
    (read, true)
}
