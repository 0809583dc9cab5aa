//! CloudFront's API over sockets: who may use it, and what a distribution looks like in it (behaviour §1.11). The AWS CLI and
//! boto3 walk the same in tests/cloudfront-api.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::command::{Ended, Running, edgeseal, finish};
use crate::support::viewer::{Seen, get, plain};
use crate::support::{Bucket, PLAIN, Stage, eventually};

const ID: &str = "EDGESEALADMIN1";
const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";

async fn ask(stage: &Stage, path: &str) -> Seen {
    plain(stage.server.admin, Method::GET, path, &[("host", "localhost")]).await
}

fn text(seen: &Seen) -> String {
    String::from_utf8(seen.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_toml_distribution_is_told_as_what_it_means() {
    let toml = r#"
[[cache_policy]]
name = "mine"
id = "5f0c1d2e-0000-4000-8000-000000000001"
[[distribution]]
id = "E1SITE"
comment = "the <site>"
aliases = ["cdn.example.com"]
default_root_object = "index.html"
http_version = "http1.1"
cache_tag_header = "x-amz-meta-tags"
$BUCKET
[[distribution.origin]]
id = "api"
domain_name = "api.example.com"
response_completion_timeout = "40s"
[[distribution.origin.custom_header]]
name = "X-Secret"
value = "of-the-origin"
[distribution.origin.custom_origin]
origin_protocol_policy = "https-only"
[[distribution.origin_group]]
id = "both"
members = ["private-assets", "api"]
status_codes = [500, 502]
[distribution.default_cache_behavior]
target_origin = "both"
compress = true
response_headers_policy = "SecurityHeadersPolicy"
[[distribution.cache_behavior]]
path_pattern = "api/*"
target_origin = "api"
cache_policy = "mine"
allowed_methods = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"]
[[distribution.cache_behavior]]
path_pattern = "old/*"
target_origin = "api"
viewer_protocol_policy = "allow-all"
min_ttl = "5s"
[distribution.cache_behavior.forwarded_values]
query_string = true
cookies = "whitelist"
whitelisted_cookies = ["session*"]
[[distribution.custom_error_response]]
error_code = 404
response_page_path = "/404.html"
response_code = 200
error_caching_min_ttl = "1m"
"#;
    let stage = Stage::start(toml, "http://127.0.0.1:9").await;
    let config = ask(&stage, "/2020-05-31/distribution/E1SITE/config").await;
    assert_eq!((config.status, config.header("content-type")), (200, "text/xml"));
    assert!(config.header("etag").starts_with('E'));
    let told = text(&config);
    for part in [
        "<Aliases><Quantity>1</Quantity><Items><CNAME>cdn.example.com</CNAME></Items></Aliases>\
         <DefaultRootObject>index.html</DefaultRootObject><Origins><Quantity>2</Quantity><Items>\
         <Origin><Id>private-assets</Id><DomainName>private-assets.s3.eu-west-1.amazonaws.com</DomainName>",
        "<S3OriginConfig><OriginAccessIdentity></OriginAccessIdentity><OriginReadTimeout>30</OriginReadTimeout>\
         </S3OriginConfig><ConnectionAttempts>3</ConnectionAttempts><ConnectionTimeout>10</ConnectionTimeout>",
        "<Id>api</Id><DomainName>api.example.com</DomainName><OriginPath></OriginPath><CustomHeaders><Quantity>1</Quantity>\
         <Items><OriginCustomHeader><HeaderName>X-Secret</HeaderName><HeaderValue>********</HeaderValue>",
        "<OriginProtocolPolicy>https-only</OriginProtocolPolicy>",
        "<ResponseCompletionTimeout>40</ResponseCompletionTimeout>",
        "<Items><OriginGroup><Id>both</Id><FailoverCriteria><StatusCodes><Quantity>2</Quantity><Items>\
         <StatusCode>500</StatusCode><StatusCode>502</StatusCode></Items></StatusCodes></FailoverCriteria><Members>\
         <Quantity>2</Quantity><Items><OriginGroupMember><OriginId>private-assets</OriginId></OriginGroupMember>",
        "<DefaultCacheBehavior><TargetOriginId>both</TargetOriginId>",
        "<ViewerProtocolPolicy>redirect-to-https</ViewerProtocolPolicy><AllowedMethods><Quantity>2</Quantity>",
        "<Compress>true</Compress>",
        "<CachePolicyId>658327ea-f89d-4fab-a63d-7e88639e58f6</CachePolicyId>\
         <ResponseHeadersPolicyId>67f7725c-6f97-4210-82d7-5512b31e9d03</ResponseHeadersPolicyId>",
        "<CacheBehaviors><Quantity>2</Quantity><Items><CacheBehavior><PathPattern>api/*</PathPattern>\
         <TargetOriginId>api</TargetOriginId>",
        "<AllowedMethods><Quantity>7</Quantity>",
        "<CachePolicyId>5f0c1d2e-0000-4000-8000-000000000001</CachePolicyId>",
        "<ForwardedValues><QueryString>true</QueryString><Cookies><Forward>whitelist</Forward><WhitelistedNames>\
         <Quantity>1</Quantity><Items><Name>session*</Name></Items></WhitelistedNames></Cookies>",
        "<MinTTL>5</MinTTL><DefaultTTL>86400</DefaultTTL><MaxTTL>31536000</MaxTTL></CacheBehavior>",
        "<CustomErrorResponse><ErrorCode>404</ErrorCode><ResponsePagePath>/404.html</ResponsePagePath>\
         <ResponseCode>200</ResponseCode><ErrorCachingMinTTL>60</ErrorCachingMinTTL></CustomErrorResponse>",
        "<Comment>the &lt;site&gt;</Comment>",
        "<HttpVersion>http1.1</HttpVersion>",
        "<CacheTagConfig><HeaderName>x-amz-meta-tags</HeaderName></CacheTagConfig></DistributionConfig>",
    ] {
        assert!(told.contains(part), "{part}\nin\n{told}");
    }
    assert!(!told.contains("of-the-origin"), "whoever has not signed is told no values");
    let whole = ask(&stage, "/2020-05-31/distribution/E1SITE").await;
    assert_eq!(whole.header("etag"), config.header("etag"));
    assert!(text(&whole).contains("<DomainName>cdn.example.com</DomainName>"), "{}", text(&whole));
    let list = text(&ask(&stage, "/2020-05-31/distribution").await);
    assert!(list.contains("<DistributionSummary><Id>E1SITE</Id>"), "{list}");
}

/// An edge with keys, in a process of its own.
struct Keyed {
    running: Running,
    admin: SocketAddr,
    secret: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Keyed {
    async fn start(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, secret) = (folder.path().join("edge.toml"), folder.path().join("secret"));
        let bucket = "[[distribution]]\nid = \"E1\"\n[[distribution.origin]]\nbucket = \"site-bucket\"\nregion = \"eu-west-1\"\n";
        std::fs::write(&file, bucket).unwrap();
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        let any = "127.0.0.1:0";
        let mut command = edgeseal(&["run", "--config", &file.display().to_string()]);
        command.args(["--http", any, "--https", any, "--admin", address]);
        command.args(["--admin-key", &format!("{ID}={}", secret.display())]);
        command.env("AWS_ACCESS_KEY_ID", "AKIANOBODY").env("AWS_SECRET_ACCESS_KEY", "nothing");
        let mut running = Running::spawn(command);
        let admin = running.address("admin").await;
        Self { running, admin, secret, _folder: folder }
    }

    fn verb(&self, words: &[&str], id: &str, secret: &str) -> Command {
        let mut command = edgeseal(words);
        command.args(["--admin", &self.admin.to_string()]);
        command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        command
    }

    async fn invalidate(&self, id: &str, secret: &str) -> Ended {
        finish(self.verb(&["invalidate", "/a"], id, secret)).await
    }
}

#[tokio::test]
async fn only_who_has_a_key_may_ask() {
    let keyed = Keyed::start("127.0.0.1:0").await;
    let done = keyed.invalidate(ID, SECRET).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let done = finish(keyed.verb(&["explain", "--live", "https://a/b"], ID, SECRET)).await;
    assert!(done.code == Some(0) && done.out.contains("E1"), "{done:?}");
    for (id, secret, code) in [
        (ID, "another-secret-that-is-long", "SignatureDoesNotMatch"),
        ("EDGESEALADMIN2", SECRET, "InvalidClientTokenId"),
        ("", "", "MissingAuthenticationToken"),
    ] {
        let refused = keyed.invalidate(id, secret).await;
        assert!(refused.code == Some(1) && refused.err.contains(code), "{refused:?}");
    }
    let file = keyed.secret.display().to_string();
    let words = ["invalidate", "/a", "--access-key-id", ID, "--secret-access-key-file", &file];
    let by_flags = finish(keyed.verb(&words, "AKIAOTHER", "other")).await;
    assert_eq!(by_flags.code, Some(0), "{by_flags:?}");
    let text = plain(keyed.admin, Method::GET, "/metrics", &[("host", "localhost")]).await;
    assert!(self::text(&text).contains("\nedgeseal_invalidations_total 2\n"), "{}", self::text(&text));
    keyed.running.terminate();
    let ended = keyed.running.ended().await;
    assert_eq!(ended.code, Some(0));
    assert!(!ended.err.contains(SECRET) && !ended.out.contains(SECRET), "{ended:?}");
    assert!(ended.err.contains("signed with a wrong secret"), "{ended:?}");
}

/// Keys in a variable and in a file are good at the same time: one can take the place of the other.
#[tokio::test]
async fn two_keys_are_good_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let config = format!(
        "[[admin.key]]\naccess_key_id = \"FIRST\"\nsecret_access_key_variable = \"FIRST_SECRET\"\n\
         [[admin.key]]\naccess_key_id = \"SECOND\"\nsecret_access_key_file = {:?}\n",
        file.display().to_string()
    );
    let bucket =
        "[[distribution]]\n[[distribution.origin]]\nbucket = \"site-bucket\"\nregion = \"eu-west-1\"\n";
    let edge = folder.path().join("edge.toml");
    std::fs::write(&edge, format!("{config}{bucket}")).unwrap();
    let any = "127.0.0.1:0";
    let mut command = edgeseal(&["run", "--config", &edge.display().to_string()]);
    command.args(["--http", any, "--https", any, "--admin", any]);
    command.env("FIRST_SECRET", "the-first-secret-of-two");
    let mut running = Running::spawn(command);
    let admin = running.address("admin").await.to_string();
    for (id, secret, code) in
        [("FIRST", "the-first-secret-of-two", 0), ("SECOND", SECRET, 0), ("FIRST", SECRET, 1)]
    {
        let mut verb = edgeseal(&["invalidate", "/a", "--admin", &admin]);
        verb.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        let ended = finish(verb).await;
        assert_eq!(ended.code, Some(code), "{id}: {ended:?}");
    }
    let mut command = edgeseal(&["run", "--config", &edge.display().to_string()]);
    command.args(["--http", any, "--https", any, "--admin", any]);
    let refused = finish(command).await;
    assert!(refused.code == Some(1) && refused.err.contains("FIRST_SECRET is not set"), "{refused:?}");
}

/// What a probe or Prometheus asks for needs no key, by whatever name they know the edge; why it is not ready does.
#[tokio::test]
async fn beyond_loopback_health_and_counts_are_open() {
    let keyed = Keyed::start("0.0.0.0:0").await;
    let admin = SocketAddr::from(([127, 0, 0, 1], keyed.admin.port()));
    for path in ["/healthz", "/metrics"] {
        let seen = plain(admin, Method::GET, path, &[("host", "edge.internal:9090")]).await;
        assert_eq!(seen.status, 200, "{path}");
    }
    let ready = plain(admin, Method::GET, "/readyz", &[("host", "edge.internal:9090")]).await;
    let told: serde_json::Value = serde_json::from_slice(&ready.body).unwrap();
    let checks = told["checks"].as_array().unwrap();
    assert!(checks.len() > 3 && checks.iter().all(|check| check["detail"] == ""), "{told}");
    let refused = plain(admin, Method::GET, "/explain?url=x", &[("host", "edge.internal:9090")]).await;
    assert_eq!(refused.status, 403);
}

/// Neither connections that send nothing nor requests without end cost a viewer anything, and the listener recovers.
#[tokio::test]
async fn a_flood_on_the_admin_listener_leaves_viewers_untouched() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let stage = Stage::start(PLAIN, &bucket.origin.url()).await;
    get(stage.https(), "/a").await;
    let admin = stage.server.admin;
    let mut idle = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        stream
            .write_all(b"POST /2020-05-31/distribution/default/invalidation HTTP/1.1\r\nHost: ")
            .await
            .unwrap();
        idle.push(stream);
    }
    let floods: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(admin).await.unwrap();
                let head = "POST /2020-05-31/distribution/default/invalidation HTTP/1.1\r\nHost: localhost\r\n\
                            Content-Length: 1000000000\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
            })
        })
        .collect();
    for _ in 0..50 {
        let asked = tokio::time::timeout(Duration::from_secs(5), get(stage.https(), "/a"));
        let seen = asked.await.expect("a viewer does not wait for the admin listener");
        assert_eq!((seen.status, seen.header("x-cache")), (200, "Hit from edgeseal"));
    }
    drop(idle);
    for flood in floods {
        // It is told that this is too much, and cut off.
        tokio::time::timeout(Duration::from_secs(30), flood).await.unwrap().unwrap();
    }
    eventually("the admin listener answers", || async {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(2), stream.read_to_string(&mut answer)).await;
        matches!(read, Ok(Ok(_))) && answer.ends_with("ok")
    })
    .await;
}
