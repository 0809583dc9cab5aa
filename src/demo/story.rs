//! The story that `edgeseal demo --once` walks: each step says what it saw, and whether it is what it should be.

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use serde::Serialize;

use super::store::{self, EmbeddedOrigin, Identity, ObjectMeta};
use super::viewer::{self, Failure, Seen};
use crate::config::{self, AccessLogTarget, Config, Environment, Overrides, PayloadHash};
use crate::observe::metrics::Metrics;
use crate::origin::credentials::CredentialSource;
use crate::origin::sigv4::{self, Scope};
use crate::server::{self, Server};

/// The bucket of the demo.
pub const BUCKET: &str = "private-assets";
/// Where it says it is.
pub const REGION: &str = "eu-west-1";
/// The object that the story is about.
pub const OBJECT: &str = "hello.txt";

const BODY: &str = "This object lies encrypted in a private bucket. You read it through the edge.\n";
const KEY_ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/0f0e0d0c-0b0a-0908-0706-050403020100";
const HOST: &str = "localhost";

/// An embedded origin, and an edge in front of it.
#[derive(Debug)]
pub struct Stage {
    pub origin: EmbeddedOrigin,
    pub server: Server,
    credentials: Credentials,
    /// Where the sealed objects lie; removed with it.
    _folder: tempfile::TempDir,
}

/// One step of the story.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What should hold.
    pub claim: &'static str,
    /// What was seen.
    pub seen: String,
    pub holds: bool,
}

impl Stage {
    /// Sets everything up. `overrides` are the addresses to listen on.
    ///
    /// # Errors
    /// A port that is taken, a folder that cannot be written.
    pub async fn set(overrides: &Overrides, access: AccessLogTarget) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let credentials = make_credentials();
        let origin = store::start(store::Options {
            bucket: BUCKET.to_owned(),
            region: REGION.to_owned(),
            dir: folder.path().to_owned(),
            identities: vec![Identity {
                access_key_id: credentials.access_key_id().to_owned(),
                secret_access_key: credentials.secret_access_key().to_owned(),
                session_token: credentials.session_token().map(str::to_owned),
                prefix: String::new(),
                list_bucket: false,
            }],
            kms_key_arn: KEY_ARN.to_owned(),
        })
        .await?;
        seed(&origin)?;
        let mut config = configure(&origin, overrides)?;
        config.log.access = access;
        let source = CredentialSource::fixed(credentials.clone());
        let server = server::start(&config, Metrics::new(), |_| Arc::clone(&source)).await?;
        Ok(Self { origin, server, credentials, _folder: folder })
    }

    /// Lines that a person can try.
    #[must_use]
    pub fn invitation(&self) -> String {
        let (http, https, admin) = (self.server.http.port(), self.server.https.port(), self.server.admin);
        let origin = self.origin.url();
        format!(
            "\nA private bucket is at {origin}/{BUCKET}, and the edge in front of it. Try:\n\n\
             \x20 curl -ki https://localhost:{https}/{OBJECT}           # X-Cache: Miss, then Hit\n\
             \x20 curl -ki https://localhost:{https}/video.bin -r 0-9 -o - | head -20   # a range: 206\n\
             \x20 curl -i  http://localhost:{http}/{OBJECT}            # redirected to HTTPS\n\
             \x20 curl -i  {origin}/{BUCKET}/{OBJECT}       # the bucket itself: 403\n\
             \x20 curl -s  http://{admin}/metrics | grep edgeseal_requests\n\
             \x20 curl -s  http://{admin}/readyz\n\n\
             The certificate is self-signed, hence -k. Ctrl-C ends it.\n"
        )
    }

    /// Walks the story; `tell` hears of each step as it ends.
    ///
    /// # Errors
    /// A connection that fails; a step that merely does not hold is told, not an error.
    pub async fn walk(&self, mut tell: impl FnMut(&Step)) -> Result<bool, Failure> {
        let mut all = true;
        let mut step = |claim, seen: String, holds| {
            all &= holds;
            tell(&Step { claim, seen, holds });
        };

        let first = self.edge(OBJECT).await?;
        step(
            "the edge answers 200 from the bucket",
            said(&first),
            first.status == 200 && first.header("x-cache").starts_with("Miss") && first.body == BODY,
        );
        let second = self.edge(OBJECT).await?;
        step(
            "the next viewer gets it from memory",
            said(&second),
            second.status == 200 && second.header("x-cache").starts_with("Hit") && second.body == BODY,
        );
        let fetches = self.origin.served().iter().filter(|served| served.key == OBJECT).count();
        step("the bucket was asked once", format!("{fetches} fetch(es)"), fetches == 1);

        let plain =
            viewer::plain(self.server.http, request(OBJECT, &format!("{HOST}:{}", self.server.http.port()))?);
        let plain = plain.await?;
        let location = format!("https://{HOST}:{}/{OBJECT}", self.server.https.port());
        step(
            "plain HTTP is redirected",
            format!("{} Location: {}", plain.status, plain.header("location")),
            plain.status == 301 && plain.header("location") == location,
        );

        let unsigned = viewer::plain(self.origin.addr(), self.bucket_request()?).await?;
        step(
            "the bucket refuses who does not sign",
            format!("{} {}", unsigned.status, code(&unsigned)),
            unsigned.status == 403 && code(&unsigned) == "AccessDenied",
        );
        let forged = viewer::plain(self.origin.addr(), self.signed_with_wrong_secret()?).await?;
        step(
            "the bucket refuses a wrong secret",
            format!("{} {}", forged.status, code(&forged)),
            forged.status == 403 && code(&forged) == "SignatureDoesNotMatch",
        );

        let stored = std::fs::read(self.origin.object_file(OBJECT))?;
        let found = stored.windows(BODY.len()).any(|window| window == BODY.as_bytes());
        let clear = if found { "the plaintext" } else { "no plaintext" };
        step(
            "the bytes on the origin's disk are not the plaintext",
            format!("{} bytes with {clear} in them", stored.len()),
            !stored.is_empty() && !found,
        );
        Ok(all)
    }

    async fn edge(&self, object: &str) -> Result<Seen, Failure> {
        let authority = format!("{HOST}:{}", self.server.https.port());
        viewer::secure(self.server.https, HOST, request(object, &authority)?).await
    }

    fn bucket_request(&self) -> Result<Request<Empty<Bytes>>, Failure> {
        request(&format!("{BUCKET}/{OBJECT}"), &self.origin.addr().to_string())
    }

    fn signed_with_wrong_secret(&self) -> Result<Request<Empty<Bytes>>, Failure> {
        let own = &self.credentials;
        let wrong = Credentials::new(
            own.access_key_id(),
            own.secret_access_key().chars().rev().collect::<String>(),
            own.session_token().map(str::to_owned),
            None,
            "demo",
        );
        let (mut head, body) = self.bucket_request()?.into_parts();
        let scope = Scope { region: REGION, payload: PayloadHash::Empty };
        sigv4::sign(&mut head, &wrong, scope, SystemTime::now())?;
        Ok(Request::from_parts(head, body))
    }
}

fn request(path: &str, authority: &str) -> Result<Request<Empty<Bytes>>, Failure> {
    Ok(Request::builder().uri(format!("/{path}")).header("host", authority).body(Empty::new())?)
}

fn said(seen: &Seen) -> String {
    format!("{} X-Cache: {}", seen.status, seen.header("x-cache"))
}

/// The word in S3's error body.
fn code(seen: &Seen) -> &str {
    let after = seen.text().split_once("<Code>").map_or("", |(_, rest)| rest);
    after.split_once("</Code>").map_or("", |(code, _)| code)
}

/// Temporary ones, as a role's are; new for each demo.
fn make_credentials() -> Credentials {
    let random = |length| std::iter::repeat_with(fastrand::alphanumeric).take(length).collect::<String>();
    let id = format!("ASIA{}", random(16).to_uppercase());
    Credentials::new(id, random(40), Some(random(80)), None, "demo")
}

fn configure(origin: &EmbeddedOrigin, overrides: &Overrides) -> Result<Config, Failure> {
    let environment = Environment {
        s3_endpoint: Some(origin.url()),
        region: None,
        parallelism: std::thread::available_parallelism().map_or(1, usize::from),
    };
    config::from_bucket_url(&format!("s3://{BUCKET}"), Some(REGION), &environment, overrides)
        .map(|loaded| loaded.config)
        .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into())
}

fn seed(origin: &EmbeddedOrigin) -> std::io::Result<()> {
    let meta = |content_type: &str, cache_control: Option<&str>| ObjectMeta {
        content_type: Some(content_type.to_owned()),
        cache_control: cache_control.map(str::to_owned),
        ..ObjectMeta::default()
    };
    origin.put(OBJECT, BODY, meta("text/plain; charset=utf-8", Some("max-age=3600")))?;
    let page = "<!DOCTYPE html><title>edgeseal</title><p>A private page.</p>\n";
    origin.put("index.html", page, meta("text/html; charset=utf-8", Some("max-age=60")))?;
    let video: Vec<u8> = (0..4_000_000_u32).map(|i| (i % 251) as u8).collect();
    origin.put("video.bin", video, meta("application/octet-stream", None))?;
    Ok(())
}
