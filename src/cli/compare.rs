//! `edgeseal compare`: the same questions to an edge and to another endpoint, in turn.

mod pair;

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use clap::Args;
use http::HeaderMap;

use super::asking::{Asking, Targets};
use super::progress::Progress;
use super::{FAILED, USAGE, print, say};
use crate::client::{Dial, Reach, Site};
use crate::compare::report::{Endpoint, Page, Report, Sample, Settings};
use crate::compare::{Rules, html, terminal};

/// Folders in which a name that is not there is asked for.
const MOST_FOLDERS: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// The edge: https://HOST[:PORT]
    #[arg(long, value_name = "URL")]
    edge: Site,
    /// What it is compared with: a CloudFront distribution, or any other
    #[arg(long, value_name = "URL")]
    reference: Site,
    /// Name that the edge is asked for, in Host and TLS, when that is not its address
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Name that the reference is asked for
    #[arg(long, value_name = "NAME")]
    reference_host: Option<String>,
    /// Where the edge listens without TLS, for redirects [default: port 80 beside 443, 8080 beside 8443]
    #[arg(long, value_name = "URL")]
    edge_http: Option<Site>,
    /// Where the reference listens without TLS
    #[arg(long, value_name = "URL")]
    reference_http: Option<Site>,
    /// Paths with their queries, as /images/a.jpg?w=1; of a whole URL those are taken
    #[arg(value_name = "PATH", required_unless_present = "urls")]
    paths: Vec<String>,
    #[command(flatten)]
    targets: Targets,
    /// URLs at most, from the beginning
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    limit: u32,
    /// Warm GETs of each URL, of either endpoint in turn
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000), value_name = "N")]
    samples: u32,
    /// New connections to either endpoint, to measure what they take
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100), value_name = "N")]
    connections: u32,
    /// URLs at a time; more than one measures them against each other, too
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64), value_name = "N")]
    concurrency: u32,
    /// A field that is not compared; `x-mine-*` for all that begin so; may be repeated
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Of the confidence intervals
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    asking: Asking,
    /// Write a report as one page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// All that is known before anybody is asked.
struct Plan {
    /// Edge and reference.
    sites: [Arc<Site>; 2],
    /// Without TLS.
    plain: [Option<Arc<Site>>; 2],
    reach: Reach,
    fields: HeaderMap,
    rules: Rules,
    targets: Vec<String>,
    /// Of the targets: a name that is not there is asked for in its folder.
    missing: Vec<bool>,
    settings: Settings,
}

impl Compare {
    pub(super) fn execute(self) -> ExitCode {
        let prepared = self.plan().and_then(|plan| Ok((plan, self.page()?)));
        let (plan, page) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => {
                say(&format!("edgeseal: {why}"));
                return ExitCode::from(USAGE);
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let report = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
            let report = runtime.block_on(compare(Arc::new(plan), self.connections));
            runtime.shutdown_background();
            report
        });
        match report.and_then(|report| self.tell(&report, page)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAILED),
            Err(why) => {
                say(&format!("edgeseal: {why}"));
                ExitCode::from(FAILED)
            }
        }
    }

    fn plan(&self) -> Result<Plan, String> {
        let mut targets = self.targets.read(&self.paths)?;
        if targets.is_empty() {
            return Err("the lists hold no URL".to_owned());
        }
        let left_out = targets.len().saturating_sub(self.limit as usize);
        targets.truncate(self.limit as usize);
        let site = |site: &Site, host: &Option<String>| {
            let site = site.clone().resolved(&self.asking.resolve);
            host.as_deref().map_or(Ok(site.clone()), |host| site.named(host))
        };
        let sites = [site(&self.edge, &self.host)?, site(&self.reference, &self.reference_host)?];
        let plain = |of: &Site, given: &Option<Site>, host| match given {
            Some(given) => site(given, host).map(Some),
            None => Ok(of.plain()),
        };
        let plain = [
            plain(&sites[0], &self.edge_http, &self.host)?,
            plain(&sites[1], &self.reference_http, &self.reference_host)?,
        ];
        let mut folders = HashSet::new();
        let mut is_new =
            |target: &String| folders.len() < MOST_FOLDERS && folders.insert(pair::folder(target).to_owned());
        let missing = targets.iter().map(&mut is_new).collect();
        Ok(Plan {
            sites: sites.map(Arc::new),
            plain: plain.map(|site| site.map(Arc::new)),
            reach: self.asking.reach()?,
            fields: self.asking.fields(&[]),
            rules: Rules::with(&self.ignore),
            targets,
            missing,
            settings: Settings {
                samples: self.samples as usize,
                concurrency: self.concurrency as usize,
                seed: self.seed,
                left_out,
            },
        })
    }

    /// Made before anybody is asked: who has waited for the measurements should get the report.
    fn page(&self) -> Result<Option<File>, String> {
        let Some(path) = &self.html else { return Ok(None) };
        File::create(path).map(Some).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn tell(&self, report: &Report, page: Option<File>) -> Result<bool, String> {
        if self.json {
            print(&serde_json::to_string_pretty(report).map_err(|error| error.to_string())?);
        } else {
            print(terminal::show(report).trim_end());
        }
        if let (Some(mut page), Some(path)) = (page, &self.html) {
            let text = html::page(report, &httpdate::fmt_http_date(SystemTime::now()));
            page.write_all(text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(report.agree)
    }
}

async fn compare(plan: Arc<Plan>, connections: u32) -> Result<Report, String> {
    let dials = dial(&plan, connections).await?;
    let progress = Arc::new(Progress::new(plan.targets.len()));
    let next = Arc::new(AtomicUsize::new(0));
    let found = Arc::new(Mutex::new(Vec::new()));
    let workers = plan.settings.concurrency.min(plan.targets.len());
    let workers = (0..workers).map(|_| {
        let (plan, progress) = (Arc::clone(&plan), Arc::clone(&progress));
        let (next, found) = (Arc::clone(&next), Arc::clone(&found));
        tokio::spawn(async move {
            let mut pair = pair::Pair::new(Arc::clone(&plan));
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(target) = plan.targets.get(index) else { return };
                let seen = pair.look(target, plan.missing[index]).await;
                progress.step(target);
                found.lock().unwrap_or_else(PoisonError::into_inner).push((index, seen));
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.map_err(|error| error.to_string())?;
    }
    progress.end();
    let mut found: Vec<(usize, (Page, Vec<Sample>))> =
        std::mem::take(&mut found.lock().unwrap_or_else(PoisonError::into_inner));
    found.sort_by_key(|(index, _)| *index);
    let mut pages = Vec::new();
    let mut samples = Vec::new();
    for (_, (page, of)) in found {
        pages.push(page);
        samples.extend(of);
    }
    let seed = plan.settings.seed;
    let endpoint = |side: usize| Endpoint::new(&plan.sites[side], &dials[side], seed);
    Ok(Report::new([endpoint(0), endpoint(1)], plan.settings, pages, &samples, &plan.rules))
}

/// New connections, in turn. An endpoint that cannot be reached at all ends it here.
async fn dial(plan: &Plan, connections: u32) -> Result<[Vec<Dial>; 2], String> {
    let mut dials = [Vec::new(), Vec::new()];
    for _ in 0..connections {
        for (site, dials) in plan.sites.iter().zip(&mut dials) {
            let dial = plan.reach.dial(site).await;
            dials.push(dial.map_err(|trouble| format!("{}: {trouble}", site.place()))?);
        }
    }
    Ok(dials)
}
