//! The keys of a bucket, as an edge in front of it has them as URLs: ListObjectsV2, page by page, signed with the credentials of
//! the AWS chain (s3 §1).

mod listing;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials as _;
use http::header::HOST;
use http::{HeaderMap, Method, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::source;
use crate::client::{Answer, Line, Protocol, Question, Reach, Site, tls};
use crate::config::{self, Endpoint, Overrides, PayloadHash};
use crate::origin::credentials;
use crate::origin::s3_error;
use crate::origin::sigv4::{Scope, Signer};
use crate::semantics::path;

/// Bytes of one page; a thousand keys of 1024 bytes, all escaped, are below it.
const LARGEST_PAGE: usize = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
/// What a signature leaves as it is (s3 §1.3).
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Keys that begin alike.
#[derive(Debug)]
pub(super) struct Prefix {
    bucket: String,
    prefix: String,
    region: Arc<str>,
    endpoint: Endpoint,
    /// What the keys begin with and the URLs do not, without a slash in front.
    origin_path: String,
}

impl Prefix {
    /// `url`: `s3://BUCKET[/PREFIX]`.
    ///
    /// # Errors
    /// No bucket, or no Region, in words.
    pub(super) fn new(url: &str, region: Option<&str>, origin_path: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("s3://").unwrap_or(url);
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let origin_path = origin_path.trim_matches('/');
        if !prefix.starts_with(origin_path) {
            return Err(format!("{url}: no such key begins with the origin path /{origin_path}"));
        }
        let (environment, overrides) = (source::environment(), Overrides::default());
        let loaded = config::from_bucket_url(&format!("s3://{bucket}"), region, &environment, &overrides);
        let loaded = loaded
            .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let origins = loaded.config.distributions.iter().flat_map(|distribution| &distribution.origins);
        let s3 = origins.filter_map(|origin| origin.s3()).next();
        let s3 = s3.ok_or_else(|| format!("{url} is no bucket"))?;
        Ok(Self {
            bucket: s3.bucket.to_string(),
            prefix: prefix.to_owned(),
            region: Arc::clone(&s3.region),
            endpoint: s3.endpoint.clone(),
            origin_path: origin_path.to_owned(),
        })
    }

    /// The paths of at most `most` keys.
    ///
    /// # Errors
    /// No credentials, a refusal, or an answer that is no listing, in words.
    pub(super) async fn list(&self, most: usize) -> Result<Vec<String>, String> {
        let of = |why: String| format!("s3://{}/{}: {why}", self.bucket, self.prefix);
        let chain = credentials::sdk_config(&self.region).await.credentials_provider();
        let chain = chain.ok_or_else(|| of("there is no chain of credentials".to_owned()))?;
        // What the SDK says of it may name roles and accounts.
        let credentials = chain.provide_credentials().await;
        let credentials = credentials.map_err(|_| of("the AWS chain has no credentials".to_owned()))?;
        let signer = Signer::default();
        let mut line = self.line();
        let mut paths = Vec::new();
        let mut token: Option<String> = None;
        while paths.len() < most {
            let mut question = self.question(token.as_deref());
            self.sign(&mut question, &signer, &credentials).map_err(&of)?;
            let answer = line.ask(&question).await.map_err(|trouble| of(trouble.to_string()))?;
            let page = page(&answer).map_err(&of)?;
            paths.extend(page.keys.iter().filter_map(|key| self.path(key)));
            // A token that comes again would lead round in a circle.
            if page.next.is_none() || page.next == token {
                break;
            }
            token = page.next;
        }
        paths.truncate(most);
        Ok(paths)
    }

    fn line(&self) -> Line {
        let site = Site {
            secure: self.endpoint.tls,
            host: self.endpoint.host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: self.endpoint.connect_port(),
            authority: self.endpoint.authority(),
            address: None,
        };
        Line::new(Arc::new(site), Reach::new(tls::verifying(tls::roots()), Protocol::Http1, PATIENCE))
    }

    fn question(&self, token: Option<&str>) -> Question {
        let folder = if self.endpoint.path_style { format!("/{}", self.bucket) } else { "/".to_owned() };
        let encoded = |text: &str| utf8_percent_encode(text, STRICT).to_string();
        let mut target = format!("{folder}?list-type=2&encoding-type=url&prefix={}", encoded(&self.prefix));
        if let Some(token) = token {
            target.push_str(&format!("&continuation-token={}", encoded(token)));
        }
        Question { method: Method::GET, target, headers: HeaderMap::new(), keep: LARGEST_PAGE }
    }

    fn sign(
        &self,
        question: &mut Question,
        signer: &Signer,
        credentials: &aws_credential_types::Credentials,
    ) -> Result<(), String> {
        let unsignable = |error: &dyn std::fmt::Display| format!("it cannot be signed: {error}");
        let request = Request::get(&question.target).header(HOST, self.endpoint.authority()).body(());
        let (mut head, ()) = request.map_err(|error| unsignable(&error))?.into_parts();
        let scope = Scope { region: &self.region, payload: PayloadHash::Empty };
        signer.sign(&mut head, credentials, scope, SystemTime::now()).map_err(|error| unsignable(&error))?;
        question.headers = head.headers;
        Ok(())
    }

    /// `None`: a marker of a folder, or a key beside the origin path.
    fn path(&self, key: &str) -> Option<String> {
        let rest = if self.origin_path.is_empty() {
            key
        } else {
            key.strip_prefix(&self.origin_path)?.strip_prefix('/')?
        };
        (!rest.is_empty() && !rest.ends_with('/')).then(|| format!("/{}", path::encode(rest)))
    }
}

fn page(answer: &Answer) -> Result<listing::Page, String> {
    let body = answer.body.as_deref().ok_or("a page of the listing is too large")?;
    if answer.status != 200 {
        let error = s3_error::parse(body);
        let code = error.as_ref().map_or_else(|| answer.status.to_string(), |error| error.code.clone());
        let region = answer.headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
        let region = error.and_then(|error| error.region).or(region.map(str::to_owned));
        return Err(match (code.as_str(), region) {
            ("AccessDenied", _) => {
                "AccessDenied: listing needs s3:ListBucket, which serving does not".to_owned()
            }
            (_, Some(region)) => format!("{code}: the bucket is in {region}"),
            _ => code,
        });
    }
    listing::read(body).ok_or_else(|| "the answer is no listing".to_owned())
}
