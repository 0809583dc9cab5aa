//! What stands on the stage: a bucket in this process, an edge in another.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use edgeseal::demo::store::{self, EmbeddedOrigin, Identity, ObjectMeta};
use edgeseal::demo::viewer::Failure;
use tempfile::TempDir;

use crate::scenario::OBJECTS;

const BUCKET: &str = "private-assets";
const REGION: &str = "eu-west-1";
const KEY_ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/0f0e0d0c-0b0a-0908-0706-050403020100";
const ACCESS_KEY: &str = "ASIABENCH00000000000";
const SECRET_KEY: &str = "bench/secret/of/forty/characters/0000000";
/// Bytes of the session token (s3 §1.15).
const TOKEN: usize = 900;

/// An embedded origin with [`OBJECTS`] in it.
pub(crate) struct Bucket {
    origin: EmbeddedOrigin,
    _folder: TempDir,
}

impl Bucket {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let origin = store::start(store::Options {
            bucket: BUCKET.into(),
            region: REGION.into(),
            dir: folder.path().into(),
            identities: vec![Identity {
                access_key_id: ACCESS_KEY.into(),
                secret_access_key: SECRET_KEY.into(),
                session_token: Some(token()),
                prefix: String::new(),
                list_bucket: false,
            }],
            kms_key_arn: KEY_ARN.into(),
        })
        .await?;
        for (key, size) in OBJECTS {
            let meta = ObjectMeta {
                content_type: Some("application/octet-stream".into()),
                cache_control: Some("max-age=86400".into()),
                ..ObjectMeta::default()
            };
            origin.put(key, vec![b'x'; size], meta)?;
        }
        Ok(Self { origin, _folder: folder })
    }
}

fn token() -> String {
    "t".repeat(TOKEN)
}

/// `edgeseal run`, as a user would start it.
pub(crate) struct EdgeProcess {
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    _folder: TempDir,
}

impl EdgeProcess {
    /// Starts it and waits until it listens.
    pub(crate) fn start(
        binary: &Path,
        bucket: &Bucket,
        workers: usize,
        access_log: bool,
        cores: Option<&str>,
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("edge.toml");
        std::fs::write(&file, configuration(&bucket.origin.url(), workers, access_log))?;
        let child = Command::new(binary)
            .arg("run")
            .arg("--config")
            .arg(&file)
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_SESSION_TOKEN", token())
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut edge = Self { child, http: nowhere, https: nowhere, _folder: folder };
        edge.hear_addresses()?;
        if let Some(cores) = cores {
            pin(edge.child.id(), cores)?;
        }
        Ok(edge)
    }

    /// Reads `listening NAME ADDRESS` for each listener.
    fn hear_addresses(&mut self) -> Result<(), Failure> {
        let out = self.child.stdout.take().ok_or("the edge has no standard output")?;
        let mut addresses = HashMap::new();
        for line in BufReader::new(out).lines().take(3) {
            let line = line?;
            if let ["listening", name, address] = line.split(' ').collect::<Vec<_>>()[..] {
                addresses.insert(name.to_owned(), address.parse()?);
            }
        }
        let missing = "the edge did not say where it listens";
        self.http = *addresses.get("http").ok_or(missing)?;
        self.https = *addresses.get("https").ok_or(missing)?;
        Ok(())
    }

    /// Its CPU time so far, by thread.
    pub(crate) fn cpu(&self) -> io::Result<Cpu> {
        let mut by_thread = HashMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?;
            // A thread may end between the listing and the reading.
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default();
            by_thread.insert(task.file_name(), nanoseconds);
        }
        Ok(Cpu { by_thread })
    }
}

impl Drop for EdgeProcess {
    fn drop(&mut self) {
        // It may have ended by itself; and there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process, of the kernel on its behalf included.
pub(crate) struct Cpu {
    /// Nanoseconds, by thread id.
    by_thread: HashMap<std::ffi::OsString, u64>,
}

impl Cpu {
    /// How much more it is than it was. What a thread used that has ended meanwhile is not counted: those that serve
    /// do not end.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let used = self.by_thread.iter().map(|(thread, now)| {
            now.saturating_sub(earlier.by_thread.get(thread).copied().unwrap_or_default())
        });
        Duration::from_nanos(used.sum())
    }
}

/// Keeps a process, with the threads it has, on these cores (a list as `taskset` takes it).
pub(crate) fn pin(process: u32, cores: &str) -> Result<(), Failure> {
    let ran = Command::new("taskset").args(["-a", "-c", "-p", cores, &process.to_string()]).output()?;
    if ran.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ran.stderr).trim().into()) }
}

fn configuration(endpoint: &str, workers: usize, access_log: bool) -> String {
    let access = if access_log { "/dev/null" } else { "off" };
    format!(
        r#"
[listen]
http = "127.0.0.1:0"
https = "127.0.0.1:0"
admin = "127.0.0.1:0"
workers = {workers}

[log]
access = "{access}"

[[cache_policy]]
name = "by-variant"
min_ttl = "1s"
default_ttl = "1d"
max_ttl = "365d"
headers = ["X-Variant"]

[[distribution]]
[[distribution.origin]]
bucket = "{BUCKET}"
region = "{REGION}"
endpoint = "{endpoint}"

[[distribution.cache_behavior]]
path_pattern = "plain/*"
viewer_protocol_policy = "allow-all"

[[distribution.cache_behavior]]
path_pattern = "stored/*"
cache_policy = "by-variant"

[[distribution.cache_behavior]]
path_pattern = "passed/*"
cache_policy = "CachingDisabled"
"#
    )
}
