//! Response headers policies: CORS, security, custom, removed, Server-Timing (behaviour §9).

use http::Method;

use crate::support::scripted::{Act, Scripted};
use crate::support::viewer::{Seen, ask, get, plain};
use crate::support::{Bucket, Stage};

const GOOD: &str = "https://app.example.org";

/// One behaviour that uses `policy` and allows OPTIONS.
fn using(policy: &str) -> String {
    format!(
        "[[distribution]]\n$BUCKET\n[distribution.default_cache_behavior]\n\
         allowed_methods = [\"GET\", \"HEAD\", \"OPTIONS\"]\nresponse_headers_policy = \"{policy}\"\n"
    )
}

/// The same with a policy of the test's own.
fn own(keys: &str) -> String {
    format!("[[response_headers_policy]]\nname = \"own\"\n{keys}\n{}", using("own"))
}

fn cors(more: &str) -> String {
    own(&format!(
        "[response_headers_policy.cors_config]\naccess_control_allow_origins = [\"https://*.example.org\"]\n\
         access_control_allow_methods = [\"GET\", \"PUT\"]\naccess_control_allow_headers = [\"X-A\", \"x-amz-*\"]\n\
         access_control_expose_headers = [\"ETag\"]\naccess_control_max_age_sec = 600\n{more}"
    ))
}

/// A 200 that may be kept, with these fields.
fn answer(fields: &str) -> Act {
    Act::send(&format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\netag: \"1\"\r\n{fields}\r\nok"))
}

async fn from(stage: &Stage, origin: &str, target: &str) -> Seen {
    ask(stage.https(), Method::GET, target, &[("origin", origin)]).await
}

/// All values of a field.
fn all(seen: &Seen, name: &str) -> Vec<String> {
    seen.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

fn result(seen: &Seen) -> &str {
    seen.headers["x-cache"].to_str().unwrap().split(' ').next().unwrap()
}

/// The CORS fields and Vary, by the ends of their names.
fn cors_of(seen: &Seen) -> Vec<(String, String)> {
    let mut fields: Vec<_> = seen
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = match name.as_str() {
                "vary" => "vary",
                name => name.strip_prefix("access-control-")?,
            };
            Some((name.to_owned(), value.to_str().unwrap().to_owned()))
        })
        .collect();
    fields.sort();
    fields
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn simple_cors_is_the_same_on_a_miss_and_a_hit_and_is_not_stored() {
    let bucket = Bucket::start().await;
    bucket.put("a", "x");
    let stage = Stage::start(&using("SimpleCORS"), &bucket.origin.url()).await;
    for expected in ["Miss", "Hit"] {
        let seen = from(&stage, "https://any.test", "/a").await;
        assert_eq!((seen.status, result(&seen)), (200, expected));
        assert_eq!(cors_of(&seen), pairs(&[("allow-origin", "*")]));
    }
    let without = get(stage.https(), "/a").await;
    assert_eq!(result(&without), "Hit");
    assert_eq!(cors_of(&without), pairs(&[("vary", "Origin")]));
}

#[tokio::test]
async fn an_origin_of_the_list_is_echoed_on_hits_too_and_no_other() {
    let origin = Scripted::start([answer("vary: Accept-Encoding\r\n")]).await;
    let stage = Stage::start(&cors("access_control_allow_credentials = true"), &origin.url()).await;
    let vary = ("vary", "Accept-Encoding, Origin");
    for from_origin in [GOOD, "https://a.b.example.org"] {
        let seen = from(&stage, from_origin, "/a").await;
        let expected =
            [("allow-credentials", "true"), ("allow-origin", from_origin), ("expose-headers", "ETag"), vary];
        assert_eq!(cors_of(&seen), pairs(&expected));
    }
    for other in ["https://example.org", "http://app.example.org", "https://evil.test", "null"] {
        let seen = from(&stage, other, "/a").await;
        assert_eq!((result(&seen), cors_of(&seen)), ("Hit", pairs(&[vary])), "{other}");
    }
    assert_eq!(origin.heads().len(), 1);
}

#[tokio::test]
async fn a_preflight_is_the_origins_answer_with_the_policys_headers() {
    let origin =
        Scripted::start([answer(""), Act::error(403, "<Error><Code>AccessForbidden</Code></Error>")]).await;
    let stage = Stage::start(&cors(""), &origin.url()).await;
    let fields = [
        ("origin", GOOD),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-amz-date,x-other"),
    ];
    let expected = pairs(&[
        ("allow-headers", "X-A, x-amz-date"),
        ("allow-methods", "GET, PUT"),
        ("allow-origin", GOOD),
        ("expose-headers", "ETag"),
        ("max-age", "600"),
        ("vary", "Origin"),
    ]);
    // The status stays the origin's: a bucket without CORS refuses (behaviour §9.4).
    for status in [200, 403] {
        let seen = ask(stage.https(), Method::OPTIONS, "/a", &fields).await;
        assert_eq!((seen.status, cors_of(&seen)), (status, expected.clone()));
    }
}

#[tokio::test]
async fn the_origins_cors_headers_win_or_lose_as_a_whole() {
    let origins = "access-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\n";
    for (overrides, asking, expected) in [
        (false, GOOD, pairs(&[("allow-credentials", "true"), ("allow-origin", "*")])),
        (false, "https://evil.test", pairs(&[("allow-credentials", "true"), ("allow-origin", "*")])),
        (true, GOOD, pairs(&[("allow-origin", GOOD), ("expose-headers", "ETag"), ("vary", "Origin")])),
        (true, "https://evil.test", pairs(&[("vary", "Origin")])),
    ] {
        let origin = Scripted::start([answer(origins)]).await;
        let stage = Stage::start(&cors(&format!("origin_override = {overrides}")), &origin.url()).await;
        for expected_result in ["Miss", "Hit"] {
            let seen = from(&stage, asking, "/a").await;
            assert_eq!(result(&seen), expected_result);
            assert_eq!(cors_of(&seen), expected, "override {overrides}, {asking}");
        }
    }
}

const SECURITY: [(&str, &str); 5] = [
    ("strict-transport-security", "max-age=31536000"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-xss-protection", "1; mode=block"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
];

#[tokio::test]
async fn security_headers_are_added_and_replace_only_where_they_may() {
    let origin =
        Scripted::start([answer("x-frame-options: DENY\r\nx-content-type-options: sniff\r\n")]).await;
    let stage = Stage::start(&using("SecurityHeadersPolicy"), &origin.url()).await;
    for expected in ["Miss", "Hit"] {
        let seen = get(stage.https(), "/a").await;
        assert_eq!(result(&seen), expected);
        for (name, value) in SECURITY {
            let value = if name == "x-frame-options" { "DENY" } else { value };
            assert_eq!(all(&seen, name), [value], "{name}");
        }
    }
}

#[tokio::test]
async fn a_304_and_a_range_carry_the_policy_too() {
    let bucket = Bucket::start().await;
    let etag = bucket.put("a", "0123456789");
    let toml = own("[response_headers_policy.security_headers_config]\n\
         content_security_policy = { content_security_policy = \"default-src 'self'\", override = true }\n\
         frame_options = { frame_option = \"DENY\" }\n");
    let stage = Stage::start(&toml, &bucket.origin.url()).await;
    let table = [("range", "bytes=0-3", 206), ("if-none-match", etag.as_str(), 304)];
    for (name, value, status) in table {
        let seen = ask(stage.https(), Method::GET, "/a", &[(name, value)]).await;
        assert_eq!(seen.status, status);
        assert_eq!(all(&seen, "content-security-policy"), ["default-src 'self'"], "{status}");
        assert_eq!(all(&seen, "x-frame-options"), ["DENY"], "{status}");
    }
}

const CUSTOM: &str = "remove_headers = [\"X-Powered-By\", \"Server\", \"Date\", \"X-Both\", \"ETag\"]\n\
    [[response_headers_policy.custom_header]]\nheader = \"X-Both\"\nvalue = \"policy\"\n\
    [[response_headers_policy.custom_header]]\nheader = \"X-Kept\"\nvalue = \"policy\"\n\
    [[response_headers_policy.custom_header]]\nheader = \"X-Replaced\"\nvalue = \"policy\"\noverride = true\n\
    [[response_headers_policy.custom_header]]\nheader = \"Cache-Control\"\nvalue = \"no-store\"\noverride = true\n\
    [[response_headers_policy.custom_header]]\nheader = \"X-Empty\"\nvalue = \"\"\n";

#[tokio::test]
async fn custom_headers_and_removals_touch_the_viewers_copy_only() {
    let fields = "x-powered-by: p\r\nserver: S3\r\ndate: Thu, 01 Jan 1998 00:00:00 GMT\r\nx-both: origin\r\n\
                  x-kept: origin\r\nx-replaced: 1\r\nx-replaced: 2\r\ncache-control: max-age=60\r\n";
    let origin = Scripted::start([answer(fields)]).await;
    let stage = Stage::start(&own(CUSTOM), &origin.url()).await;
    // `no-store` is the viewer's alone: the second answer is a hit (behaviour §9.2).
    for expected in ["Miss", "Hit"] {
        let seen = get(stage.https(), "/a").await;
        assert_eq!(result(&seen), expected);
        for (name, value) in [
            ("x-both", "policy"),
            ("x-kept", "origin"),
            ("x-replaced", "policy"),
            ("cache-control", "no-store"),
            ("x-empty", ""),
            ("server", "edgeseal"), // behaviour §9.6: the edge's own in its place
        ] {
            assert_eq!(all(&seen, name), [value], "{name}");
        }
        assert!(!all(&seen, "date").concat().contains("1998"));
        assert_eq!(all(&seen, "date").len(), 1);
        assert!(!seen.headers.contains_key("x-powered-by") && !seen.headers.contains_key("etag"));
    }
}

#[tokio::test]
async fn the_origins_errors_get_everything_and_the_edges_own_only_what_protects() {
    let security =
        "[response_headers_policy.security_headers_config]\nframe_options = { frame_option = \"DENY\" }\n";
    let toml = format!(
        "{}viewer_protocol_policy = \"redirect-to-https\"\n",
        own(&format!(
            "{CUSTOM}{security}[response_headers_policy.cors_config]\naccess_control_allow_origins = [\"*\"]\n"
        ))
    );
    let origin = Scripted::start([Act::error(404, "<Error><Code>NoSuchKey</Code></Error>")]).await;
    let stage = Stage::start(&toml, &origin.url()).await;
    let fields = [("origin", GOOD)];
    let missing = ask(stage.https(), Method::GET, "/a", &fields).await;
    let remembered = ask(stage.https(), Method::GET, "/a", &fields).await;
    let refused = ask(stage.https(), Method::DELETE, "/a", &fields).await;
    let redirected = plain(stage.server.http, Method::GET, "/a", &fields).await;
    for (seen, status, custom) in
        [(&missing, 404, true), (&remembered, 404, true), (&refused, 403, false), (&redirected, 301, false)]
    {
        assert_eq!(seen.status, status);
        assert_eq!(all(seen, "x-frame-options"), ["DENY"], "{status}");
        assert_eq!(all(seen, "access-control-allow-origin"), ["*"], "{status}");
        // A browser must not keep a refusal or a redirect because objects may be kept, nor lose what it needs.
        assert_eq!(seen.headers.contains_key("cache-control"), custom, "{status}");
        assert_eq!(seen.headers.contains_key("x-kept"), custom, "{status}");
    }
    assert!(redirected.headers.contains_key("location"));
}

fn timing(rate: &str) -> String {
    own(&format!(
        "[response_headers_policy.server_timing_headers_config]\nenabled = true\nsampling_rate = {rate}\n"
    ))
}

/// The names of the metrics, in their order.
fn metrics(value: &str) -> Vec<&str> {
    value.split(',').map(|metric| metric.split(';').next().unwrap()).collect()
}

#[tokio::test]
async fn server_timing_tells_of_miss_and_hit() {
    let with_timing = || answer("server-timing: db;dur=3\r\n");
    let origin = Scripted::start([with_timing(), with_timing()]).await;
    let stage = Stage::start(&timing("100"), &origin.url()).await;
    // Behaviour §9.7. On a hit the origin's own would be an old one's.
    let miss = [
        "cdn-upstream-layer",
        "cdn-upstream-dns",
        "cdn-upstream-connect",
        "cdn-upstream-fbl",
        "cdn-cache-miss",
        "cdn-pop",
        "cdn-rid",
        "cdn-downstream-fbl",
        "db",
    ];
    let hit = ["cdn-cache-hit", "cdn-pop", "cdn-rid", "cdn-hit-layer", "cdn-downstream-fbl"];
    let options = (Method::OPTIONS, &miss[..]); // past the cache
    for (method, expected) in [(Method::GET, &miss[..]), (Method::GET, &hit[..]), options] {
        let seen = ask(stage.https(), method, "/a", &[]).await;
        let [value] = &all(&seen, "server-timing")[..] else { panic!("{:?}", seen.headers) };
        assert_eq!(metrics(value), expected);
        let id = seen.headers["x-amz-cf-id"].to_str().unwrap();
        assert!(value.contains(&format!("cdn-pop;desc=\"EDG1-C1\",cdn-rid;desc=\"{id}\",")), "{value}");
        assert!(!value.contains(", "), "{value}");
        if origin.heads().len() == 2 {
            assert!(value.contains("cdn-upstream-dns;dur=0,cdn-upstream-connect;dur=0,"), "reused: {value}");
        }
    }
    assert_eq!((origin.heads().len(), origin.connections()), (2, 1));
}

#[tokio::test]
async fn at_a_rate_of_zero_server_timing_is_for_who_asks() {
    let bucket = Bucket::start().await;
    bucket.put("a", "x");
    let stage = Stage::start(&timing("0"), &bucket.origin.url()).await;
    for _ in 0..20 {
        assert!(!get(stage.https(), "/a").await.headers.contains_key("server-timing"));
    }
    let seen = ask(stage.https(), Method::GET, "/a", &[("pragma", "Server-Timing")]).await;
    assert_eq!((result(&seen), seen.headers.contains_key("server-timing")), ("Hit", true));
}

#[tokio::test]
async fn a_behaviour_without_a_policy_is_left_alone() {
    let bucket = Bucket::start().await;
    bucket.put("a", "x");
    bucket.put("safe/a", "x");
    let toml = "[[distribution]]\n$BUCKET\n[[distribution.cache_behavior]]\npath_pattern = \"safe/*\"\n\
                response_headers_policy = \"CORS-and-SecurityHeadersPolicy\"\n";
    let stage = Stage::start(toml, &bucket.origin.url()).await;
    for (target, there) in [("/a", false), ("/safe/a", true)] {
        let seen = from(&stage, GOOD, target).await;
        for name in ["access-control-allow-origin", "x-frame-options", "strict-transport-security"] {
            assert_eq!(seen.headers.contains_key(name), there, "{target} {name}");
        }
    }
}
