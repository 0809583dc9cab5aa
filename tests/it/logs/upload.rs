//! Finished files on their way to a bucket.

use aws_lc_rs::digest;
use edgeseal::config::{self, Environment, Overrides};

use super::*;
use crate::support::scripted::{Act, Scripted};

const TAKEN: &str = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 0\r\n\r\n";

/// The bucket at `endpoint`, as it is configured.
fn to(directory: &Path, endpoint: &str, keys: &str) -> impl FnOnce(&mut Config) + use<> {
    let toml = format!(
        "[log.standard]\ndirectory = {:?}\ninterval = \"1s\"\nupload = \"s3://my-logs/cloud front\"\n\
         upload_region = \"us-east-1\"\nupload_endpoint = \"{endpoint}\"\n{keys}\n\
         [[distribution]]\n[[distribution.origin]]\nbucket = \"site\"\nregion = \"eu-west-1\"\n",
        directory.display().to_string()
    );
    let loaded = config::load_toml("logs.toml", &toml, &Environment::default(), &Overrides::default());
    let standard = loaded.unwrap().config.log.standard;
    move |config| config.log.standard = standard
}

fn field<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines()
        .find_map(|line| line.strip_prefix(&format!("{name}: ")))
        .unwrap_or_else(|| panic!("no {name}: {head}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn finished_files_go_to_their_bucket() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    // Not now; the wrong Region; no connection; then it takes it.
    let logs = Scripted::start([
        Act::error(503, "<Error><Code>SlowDown</Code></Error>"),
        Act::error(
            400,
            "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>",
        ),
        Act::SendAndClose(Vec::new()),
        Act::send(TAKEN),
        Act::send(TAKEN),
    ])
    .await;
    let toml = PLAIN.to_owned() + "[distribution.logging]\nprefix = \"cdn\"\n";
    let stage =
        Stage::start_tuned(&toml, &bucket.origin.url(), reader(), to(folder.path(), &logs.url(), "")).await;
    get(stage.https(), "/a").await;
    let sent = "edgeseal_log_uploads_total{outcome=\"sent\"}";
    eventually("it is there", || async { stage.metric(sent) == 1.0 }).await;
    eventually("it is gone here", || async { files(&folder.path().join("cdn")).is_empty() }).await;

    let (heads, bodies) = (logs.heads(), logs.bodies());
    assert_eq!(heads.len(), 4);
    let (head, body) = (&heads[3], &bodies[3]);
    assert!(head.starts_with("PUT /my-logs/cloud%20front/cdn/default.20"), "{head}");
    assert!(head.lines().next().unwrap().ends_with(".gz HTTP/1.1"), "{head}");
    let hash = digest::digest(&digest::SHA256, body);
    assert_eq!(field(head, "x-amz-content-sha256"), hex(hash.as_ref()));
    assert_eq!(field(head, "content-type"), "application/gzip");
    assert_eq!(field(head, "content-length"), body.len().to_string());
    assert!(!head.contains("x-amz-server-side-encryption"), "the bucket decides: {head}");
    let signed = "content-length;content-type;host;x-amz-checksum-sha256;x-amz-content-sha256;x-amz-date";
    for (head, region) in heads.iter().zip(["us-east-1", "us-east-1", "eu-central-1", "eu-central-1"]) {
        let authorization = field(head, "authorization");
        assert!(
            authorization.contains(&format!("/{region}/s3/aws4_request, SignedHeaders={signed}")),
            "{authorization}"
        );
    }
    let text = unpacked(&body[..]);
    assert_eq!((text.lines().count(), text.starts_with("#Version: 1.0\n")), (3, true), "{text}");

    // It knows the Region now, and the end sends what the last second has brought.
    get(stage.https(), "/a").await;
    stage.server.drain().await;
    assert!(field(&logs.heads()[4], "authorization").contains("/eu-central-1/"));
    assert!(files(&folder.path().join("cdn")).is_empty());
}

/// Refused, a file stays; the next start sends it. Nothing but 200 deletes it.
#[tokio::test]
async fn what_was_refused_is_sent_by_the_next_start() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    let denied = Act::error(403, "<Error><Code>AccessDenied</Code></Error>");
    let refusing = Scripted::start(vec![denied; 50]).await;
    let on = to(folder.path(), &refusing.url(), "");
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), on).await;
    get(stage.https(), "/a").await;
    let failed = "edgeseal_log_uploads_total{outcome=\"failed\"}";
    eventually("it is refused", || async { stage.metric(failed) >= 1.0 }).await;
    assert!(stage.metric("edgeseal_log_backlog_bytes") > 100.0);
    stage.server.drain().await;
    assert_eq!(files(folder.path()).len(), 1);

    let taking = Scripted::start(vec![Act::send(TAKEN); 5]).await;
    let on = to(folder.path(), &taking.url(), "");
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), on).await;
    eventually("it is sent", || async { files(folder.path()).is_empty() }).await;
    assert_eq!(taking.heads().len(), 1);
    assert_eq!(unpacked(&taking.bodies()[0][..]).lines().count(), 3);
    eventually("nothing waits", || async { stage.metric("edgeseal_log_backlog_bytes") == 0.0 }).await;
}

/// While the bucket is away, what waits stays within its bounds: the oldest goes, and is counted.
#[tokio::test]
async fn what_waits_is_bounded() {
    let bucket = Bucket::start().await;
    bucket.put("a", "a");
    let folder = tempfile::tempdir().unwrap();
    for hour in 10..20 {
        fs::write(folder.path().join(format!("default.2025-11-24-{hour}.AAAAAAAAAAA.gz")), vec![7; 1_000])
            .unwrap();
    }
    let away = Scripted::start(vec![Act::error(500, ""); 50]).await;
    let on = to(folder.path(), &away.url(), "upload_backlog = \"3500B\"");
    let stage = Stage::start_tuned(PLAIN, &bucket.origin.url(), reader(), on).await;
    eventually("the oldest are gone", || async { stage.metric("edgeseal_log_files_dropped_total") == 7.0 })
        .await;
    let left = || -> Vec<String> {
        let names = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    };
    assert_eq!(
        left().iter().map(|name| &name[8..21]).collect::<Vec<_>>(),
        ["2025-11-24-17", "2025-11-24-18", "2025-11-24-19"]
    );
    // Another one comes while it fails: there is no room for the oldest any more.
    get(stage.https(), "/a").await;
    eventually("the new one is there in its stead", || async {
        let left = left();
        left.len() == 3 && !left[0].contains("-17.") && !left[2].contains("2025-11-24")
    })
    .await;
    let edge = stage.server.edge();
    assert_eq!(edge.log.dropped(), 0, "a file is not a line");
}
