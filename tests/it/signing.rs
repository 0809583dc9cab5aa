//! What the bucket is asked, and under which signature. The embedded origin verifies it.

use edgeseal::demo::store::Served;
use http::Method;

use crate::support::viewer::{ask, get, raw};
use crate::support::{BUCKET, Bucket, PLAIN, Stage};

/// Every byte but the unreserved ones and the slash (s3 §1.2); written again here, so that it is not the edge's.
fn strictly(key: &str) -> String {
    key.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(byte.into())
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

/// Keys that have been trouble somewhere (s3 §1.2), and how a viewer may write them without escapes, where HTTP
/// allows that at all.
const KEYS: [(&str, Option<&str>); 37] = [
    ("plain.txt", Some("plain.txt")),
    ("a b", None),
    ("a+b", Some("a+b")),
    ("100%", None),
    ("a%25b", None),
    ("a%2Fb", None),
    ("what?", None),
    ("a#b", None),
    ("Grüße/été.txt", None),
    ("日本語/ファイル.txt", None),
    ("🦀.txt", None),
    ("e\u{301}", None),
    ("a//b", Some("a//b")),
    ("/a", Some("/a")),
    ("//a", Some("//a")),
    ("./a", Some("./a")),
    ("a/./b", Some("a/./b")),
    ("a/../b", Some("a/../b")),
    ("a/b..", Some("a/b..")),
    ("dir/", Some("dir/")),
    ("dir//", Some("dir//")),
    ("~tilde", Some("~tilde")),
    ("it's \"quoted\"", None),
    ("a&b=c", Some("a&b=c")),
    ("a@b:c;d,e", Some("a@b:c;d,e")),
    ("(a)!*$", Some("(a)!*$")),
    ("[a]", Some("[a]")),
    ("a^b`c|d\\e", None),
    ("{a}<b>", None),
    ("a\tb", None),
    ("a\nb", None),
    ("a\rb", None),
    ("a\u{7f}b", None),
    ("\u{1}\u{1f}", None),
    ("a\u{85}\u{a0}\u{200b}\u{feff}b", None),
    ("%", None),
    (" ", None),
];

async fn assert_all_keys_are_served(origin_path: &str) {
    let bucket = Bucket::start().await;
    let key = if origin_path.is_empty() { "" } else { &format!("origin_path = {origin_path:?}\n") };
    let stage = Stage::start(&format!("[[distribution]]\n$BUCKET{key}"), &bucket.origin.url()).await;
    let prefix = origin_path.strip_prefix('/').map(|path| format!("{path}/")).unwrap_or_default();
    let longest = "é".repeat((1_024 - prefix.len()) / 2);
    for (key, unescaped) in KEYS.into_iter().chain([(longest.as_str(), None)]) {
        let full = format!("{prefix}{key}");
        bucket.put(&full, format!("the bytes of {full:?}"));
        for target in [Some(strictly(key)), unescaped.map(str::to_owned)].into_iter().flatten() {
            let seen = get(stage.https(), &format!("/{target}")).await;
            assert_eq!((seen.status, seen.text()), (200, &*format!("the bytes of {full:?}")), "/{target}");
        }
        for served in bucket.origin.take_served() {
            let expected = format!("/{BUCKET}/{}", strictly(&full));
            assert_eq!((served.status, served.path_and_query), (200, expected), "{full:?}");
        }
    }
}

#[tokio::test]
async fn every_key_that_a_bucket_can_hold_is_signed_and_served() {
    assert_all_keys_are_served("").await;
}

#[tokio::test]
async fn the_origin_path_comes_in_front_of_every_key() {
    assert_all_keys_are_served("/site v1+2/é").await;
}

#[tokio::test]
async fn escapes_are_undone_once_whatever_their_spelling() {
    let bucket = Bucket::start().await;
    bucket.put("a~b+c%2f/é", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    // s3 §1.2; each spelling is an object of its own to the cache (behaviour §4.1), and one key to S3
    let spellings = ["a~b+c%252f/%C3%A9", "%61%7e%62%2b%63%25%32%66/%c3%a9", "a%7Eb%2Bc%252f%2F%C3%A9"];
    for spelling in spellings {
        let request = format!("GET /{spelling} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let seen = raw(stage.https(), request.as_bytes()).await;
        assert!(seen.starts_with("HTTP/1.1 200 ") && seen.ends_with("\r\na"), "{spelling}: {seen}");
    }
    let paths: Vec<_> = bucket.origin.served().into_iter().map(|served| served.path_and_query).collect();
    assert_eq!(paths, vec!["/private-assets/a~b%2Bc%252f/%C3%A9"; 3]);
}

const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn passing(keys: &str) -> String {
    format!(
        "[[distribution]]\n$BUCKET{keys}\n[distribution.default_cache_behavior]\ncache_policy = \"CachingDisabled\"\n"
    )
}

fn header<'a>(served: &'a Served, name: &str) -> &'a str {
    served.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn all_that_is_sent_is_signed() {
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str, &'a str);
    let bucket = Bucket::start().await;
    let etag = bucket.put("a", "ten bytes!");
    let conditions = [
        ("range", "bytes=0-3"),
        ("if-match", &*etag),
        ("if-unmodified-since", "Fri, 31 Dec 2100 00:00:00 GMT"),
    ];
    // s3 §1.4, §1.5: the keys of the origin, the viewer's fields, what is signed, and the payload's hash
    let table: [Row<'_>; 4] = [
        ("", &[], 200, "host;x-amz-content-sha256;x-amz-date", EMPTY_HASH),
        (
            "",
            &conditions,
            206,
            "host;if-match;if-unmodified-since;range;x-amz-content-sha256;x-amz-date",
            EMPTY_HASH,
        ),
        (
            "expected_bucket_owner = \"111122223333\"",
            &[("range", "bytes=0-3")],
            206,
            "host;range;x-amz-content-sha256;x-amz-date;x-amz-expected-bucket-owner",
            EMPTY_HASH,
        ),
        ("payload_hash = \"unsigned\"", &[], 200, "host;x-amz-content-sha256;x-amz-date", "UNSIGNED-PAYLOAD"),
    ];
    for (keys, fields, status, signed, hash) in table {
        let stage = Stage::start(&passing(keys), &bucket.origin.url()).await;
        let seen = ask(stage.https(), Method::GET, "/a", fields).await;
        assert_eq!(seen.status, status, "{keys} {fields:?}: {}", seen.text());
        let served = bucket.origin.take_served().pop().unwrap();
        assert_eq!(served.signed_headers.as_deref(), Some(signed));
        assert_eq!(header(&served, "x-amz-content-sha256"), hash);
        assert_eq!(header(&served, "host"), bucket.origin.addr().to_string());
        for (name, value) in fields {
            assert_eq!(header(&served, name), *value);
        }
    }
}

#[tokio::test]
async fn nothing_of_the_viewers_reaches_the_bucket() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let fields = [
        ("authorization", "AWS4-HMAC-SHA256 Credential=EVIL/x, SignedHeaders=host, Signature=x"),
        ("cookie", "session=1"),
        ("x-amz-security-token", "evil"),
        ("x-amz-date", "20000101T000000Z"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("x-amz-expected-bucket-owner", "000000000000"),
        ("x-amz-server-side-encryption-customer-key", "evil"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "host=evil"),
        ("accept-encoding", "gzip"),
        ("referer", "https://evil/"),
        ("origin", "https://evil"),
        ("user-agent", "evil/1.0"),
        ("expect", "x"),
        ("te", "trailers"),
        ("connection", "host, authorization, x-amz-date"),
    ];
    let queries =
        ["", "?list-type=2", "?X-Amz-Signature=x&X-Amz-Algorithm=AWS4-HMAC-SHA256", "?acl", "?versionId=1"];
    for toml in [PLAIN, &passing("")] {
        let stage = Stage::start(toml, &bucket.origin.url()).await;
        for query in queries {
            let seen = ask(stage.https(), Method::GET, &format!("/a{query}"), &fields).await;
            assert_eq!((seen.status, seen.text()), (200, "a"), "{query}");
        }
    }
    let served = bucket.origin.take_served();
    // The first is the one of the cache: queries are no part of its key (behaviour §4.1).
    assert_eq!(served.len(), 1 + queries.len());
    for served in served {
        let mut names: Vec<_> = served.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "host", "user-agent", "x-amz-content-sha256", "x-amz-date"]);
        assert_eq!(served.path_and_query, "/private-assets/a"); // s3 §2.1
        assert_eq!(header(&served, "user-agent"), "edgeseal");
        assert_eq!(served.access_key_id.as_deref(), Some(crate::support::ACCESS_KEY));
    }
}

#[tokio::test]
async fn the_signing_behaviour_says_whose_signature_it_is() {
    const VIEWERS: &str = "AWS4-HMAC-SHA256 Credential=VIEWER/20261124/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=00";
    enum Who {
        Nobody,
        Edge,
        Viewer,
    }
    use Who::{Edge, Nobody, Viewer};
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    // behaviour §10.1: the origin's behaviour, is Authorization in the cache policy, did the viewer send one
    let table = [
        ("always", false, true, Edge, 200),
        ("always", true, true, Edge, 200),
        ("no-override", false, true, Edge, 200),
        ("no-override", true, false, Edge, 200),
        ("no-override", true, true, Viewer, 502),
        ("never", false, true, Nobody, 403),
        ("never", true, false, Nobody, 403),
        ("never", true, true, Viewer, 502),
    ];
    for (signing, forwarded, sent, who, status) in table {
        let what = format!("{signing} forwarded={forwarded} sent={sent}");
        let headers = if forwarded { "headers = [\"Authorization\"]" } else { "" };
        let toml = format!(
            "[[cache_policy]]\nname = \"p\"\n{headers}\n[[distribution]]\n$BUCKETsigning_behavior = \"{signing}\"\n\
             [distribution.default_cache_behavior]\ncache_policy = \"p\"\n"
        );
        let stage = Stage::start(&toml, &bucket.origin.url()).await;
        let fields: &[(&str, &str)] = if sent { &[("authorization", VIEWERS)] } else { &[] };
        let seen = ask(stage.https(), Method::GET, "/a", fields).await;
        assert_eq!(seen.status, status, "{what}: {}", seen.text());
        let served = bucket.origin.take_served();
        let authorization = header(&served[0], "authorization");
        match who {
            Nobody => assert!(authorization.is_empty(), "{what}: {authorization}"),
            Edge => {
                assert_eq!(served[0].access_key_id.as_deref(), Some(crate::support::ACCESS_KEY), "{what}")
            }
            Viewer => {
                assert_eq!(authorization, VIEWERS, "{what}");
                assert!(!served[0].headers.contains_key("x-amz-date"), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_identity_may_not_read_is_403_whatever_the_path_looks_like() {
    let bucket = Bucket::with(|reader| reader.prefix = "site/".into()).await;
    bucket.put("site/a", "a");
    bucket.put("secret/a", "secret");
    let stage = Stage::start(&passing("origin_path = \"/site\""), &bucket.origin.url()).await;
    assert_eq!(get(stage.https(), "/a").await.text(), "a");
    for target in ["/x/../../secret/a", "/..%2Fsecret/a", "/%2e%2e/secret/a"] {
        assert_eq!(get(stage.https(), target).await.status, 400, "{target}");
    }
    let served = bucket.origin.take_served();
    assert!(served.iter().all(|served| served.key.starts_with("site/")), "{served:?}");

    let stage = Stage::start(&passing(""), &bucket.origin.url()).await;
    let seen = get(stage.https(), "/secret/a").await;
    assert_eq!(seen.status, 403); // s3 §5.5
    assert!(seen.text().contains("<Code>AccessDenied</Code>"), "{}", seen.text());
}
