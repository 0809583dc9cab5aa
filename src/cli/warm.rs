//! `edgeseal warm`: fetches a list through an edge, so that viewers find it in the cache.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use http::{HeaderMap, Method, header};
use serde::Serialize;

use super::asking::{Asking, Targets};
use super::bucket::Prefix;
use super::progress::Progress;
use super::{FAILED, USAGE, print, say};
use crate::client::{Answer, Line, Question, Reach, Site, Trouble};
use crate::compare::ResultType;
use crate::compare::terminal::printable;

/// Failures that are listed.
const MOST_FAILURES: usize = 100;
/// What browsers accept: the compressed object is what they will ask for.
const ENCODINGS: &str = "gzip, deflate, br";

#[derive(Debug, Args)]
#[command(
    after_help = "Unless a --header says otherwise, it asks with `Accept-Encoding: gzip, deflate, br`, as browsers do."
)]
pub(super) struct Warm {
    /// The edge: https://HOST[:PORT]
    #[arg(long, value_name = "URL")]
    edge: Site,
    /// Name that the edge is asked for, in Host and TLS, when that is not its address
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Paths with their queries, as /images/a.jpg?w=1; or all keys of a bucket that begin with PREFIX
    #[arg(value_name = "PATH | s3://BUCKET[/PREFIX]", required_unless_present = "urls")]
    paths: Vec<String>,
    /// Region of the bucket [default: AWS_REGION]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The distribution's origin path, which its keys begin with and its URLs do not
    #[arg(long, default_value = "", value_name = "/PATH")]
    origin_path: String,
    #[command(flatten)]
    targets: Targets,
    /// URLs at most, from the beginning: of a log those that were asked for most
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    limit: u32,
    /// Requests at a time, each on a connection of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256), value_name = "N")]
    concurrency: u32,
    #[command(flatten)]
    asking: Asking,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
struct Summary {
    requests: usize,
    /// By `X-Cache`.
    results: BTreeMap<&'static str, usize>,
    failed: usize,
    /// Of bodies.
    bytes: u64,
    seconds: f64,
    /// URLs that were not asked for.
    left_out: usize,
    /// The first of them.
    failures: Vec<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Failure {
    path: String,
    why: String,
}

impl Warm {
    pub(super) fn execute(self) -> ExitCode {
        let prepared = self.prepare();
        let (prefixes, targets, edge, reach) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                say(&format!("edgeseal: {why}"));
                return ExitCode::from(USAGE);
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let summary = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
            let summary = runtime.block_on(self.warm(prefixes, targets, edge, reach));
            runtime.shutdown_background();
            summary
        });
        match summary.and_then(|summary| self.tell(&summary)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAILED),
            Err(why) => {
                say(&format!("edgeseal: {why}"));
                ExitCode::from(FAILED)
            }
        }
    }

    fn prepare(&self) -> Result<(Vec<Prefix>, Vec<String>, Site, Reach), String> {
        let (buckets, paths): (Vec<_>, Vec<_>) =
            self.paths.iter().partition(|path| path.starts_with("s3://"));
        let prefix = |url: &String| Prefix::new(url, self.region.as_deref(), &self.origin_path);
        let prefixes = buckets.into_iter().map(prefix).collect::<Result<Vec<_>, _>>()?;
        let targets = self.targets.read(paths)?;
        if prefixes.is_empty() && targets.is_empty() {
            return Err("the lists hold no URL".to_owned());
        }
        let edge = self.edge.clone().resolved(&self.asking.resolve);
        let edge = self.host.as_deref().map_or(Ok(edge.clone()), |host| edge.named(host))?;
        Ok((prefixes, targets, edge, self.asking.reach()?))
    }

    async fn warm(
        &self,
        prefixes: Vec<Prefix>,
        mut targets: Vec<String>,
        edge: Site,
        reach: Reach,
    ) -> Result<Summary, String> {
        // One more than will be asked for shows that something is left out.
        let limit = self.limit as usize;
        for prefix in prefixes {
            let room = (limit + 1).saturating_sub(targets.len());
            targets.extend(prefix.list(room).await?);
        }
        let left_out = targets.len().saturating_sub(limit);
        targets.truncate(limit);
        let fields = self.asking.fields(&[(header::ACCEPT_ENCODING, ENCODINGS)]);
        let summary = fetch(targets, Arc::new(edge), &reach, &fields, self.concurrency as usize).await?;
        Ok(Summary { left_out, ..summary })
    }

    fn tell(&self, summary: &Summary) -> Result<bool, String> {
        if self.json {
            print(&serde_json::to_string(summary).map_err(|error| error.to_string())?);
        } else {
            print(&summary.text());
        }
        Ok(summary.failed == 0)
    }
}

impl Summary {
    fn add(&mut self, path: &str, answer: Result<Answer, Trouble>) {
        self.requests += 1;
        let why = match answer {
            Ok(answer) => {
                self.bytes += answer.length;
                *self.results.entry(ResultType::of(&answer.headers).as_str()).or_default() += 1;
                match answer.status {
                    ..400 => return,
                    status => format!("status {status}"),
                }
            }
            Err(trouble) => trouble.to_string(),
        };
        self.failed += 1;
        if self.failures.len() < MOST_FAILURES {
            self.failures.push(Failure { path: path.to_owned(), why });
        }
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> = self
            .failures
            .iter()
            .map(|Failure { path, why }| format!("FAILED  {}: {}", printable(path), printable(why)))
            .collect();
        if self.failed > self.failures.len() {
            lines.push(format!("and {} more", self.failed - self.failures.len()));
        }
        let results: Vec<String> = self.results.iter().map(|(result, n)| format!("{n} {result}")).collect();
        let results = if results.is_empty() { "no answer".to_owned() } else { results.join(", ") };
        lines.push(format!(
            "{} requests: {results}; {} failed; {} bytes in {:.1} s",
            self.requests, self.failed, self.bytes, self.seconds
        ));
        if self.left_out > 0 {
            lines.push("not all URLs were asked for (--limit)".to_owned());
        }
        lines.join("\n")
    }
}

/// Once each, whatever comes of it.
async fn fetch(
    targets: Vec<String>,
    edge: Arc<Site>,
    reach: &Reach,
    fields: &HeaderMap,
    concurrency: usize,
) -> Result<Summary, String> {
    let started = Instant::now();
    let (all, workers) = (targets.len(), concurrency.min(targets.len()));
    let targets = Arc::new(targets);
    let progress = Arc::new(Progress::new(all));
    let summary = Arc::new(Mutex::new(Summary::default()));
    let next = Arc::new(AtomicUsize::new(0));
    let workers = (0..workers).map(|_| {
        let mut line = Line::new(Arc::clone(&edge), reach.clone());
        let (targets, progress) = (Arc::clone(&targets), Arc::clone(&progress));
        let (summary, next) = (Arc::clone(&summary), Arc::clone(&next));
        let fields = fields.clone();
        tokio::spawn(async move {
            while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                let headers = fields.clone();
                let question = Question { method: Method::GET, target: target.clone(), headers, keep: 0 };
                let answer = line.ask(&question).await;
                summary.lock().unwrap_or_else(PoisonError::into_inner).add(target, answer);
                progress.step(target);
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.map_err(|error| error.to_string())?;
    }
    progress.end();
    let mut summary = std::mem::take(&mut *summary.lock().unwrap_or_else(PoisonError::into_inner));
    summary.seconds = seconds(started.elapsed());
    Ok(summary)
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_failed_is_counted_and_listed_but_not_without_end() {
        let answer = |status, cache: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-cache", HeaderValue::from_static(cache));
            let zero = Duration::ZERO;
            Answer {
                status,
                headers,
                length: 10,
                sha256: [0; 32],
                body: None,
                first_byte: zero,
                last_byte: zero,
            }
        };
        let mut summary = Summary::default();
        summary.add("/a", Ok(answer(200, "Miss from a")));
        summary.add("/b", Ok(answer(301, "Redirect from a")));
        summary.add("/c\u{1b}", Ok(answer(404, "Error from a")));
        assert_eq!(
            summary.text(),
            "FAILED  /c\u{fffd}: status 404\n3 requests: 1 Error, 1 Miss, 1 Redirect; 1 failed; 30 bytes in 0.0 s"
        );
        for n in 0..200 {
            summary.add(&format!("/{n}"), Err(Trouble::NoHttp2));
        }
        summary.left_out = 1;
        assert_eq!((summary.failed, summary.failures.len()), (201, MOST_FAILURES));
        let text = summary.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[100]), (103, "and 101 more"));
        assert_eq!(lines[102], "not all URLs were asked for (--limit)");
    }
}
