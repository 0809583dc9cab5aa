//! CloudFront's REST API, as far as an edge can answer it (behaviour §1.11, §12.14): invalidations, and what the distributions
//! are. Synchronous throughout: the edge carries out an invalidation by noting it.

mod batch;
mod distribution;
mod error;
mod history;
mod operation;
mod schema;
#[cfg(test)]
mod tests;
pub(crate) mod xml;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use time::OffsetDateTime;

use self::batch::Batch;
pub(super) use self::batch::too_large;
pub use self::distribution::Described;
pub(super) use self::error::Refusal;
use self::history::{History, Past};
use self::operation::Operation;
pub(super) use self::operation::PREFIX;
use self::schema::Secrets;
use self::xml::Writer;
use super::Caller;
use crate::clock::Timestamp;

/// Of one page; CloudFront's maximum, and what it takes when none is asked for (behaviour §12.14).
const PAGE: usize = 100;
/// Paths of an invalidation that the diagnostics name.
const LOGGED: usize = 20;

/// What the API does with the edge.
pub trait Control: Send + Sync {
    /// In the order of the configuration.
    fn distributions(&self) -> Arc<[Described]>;

    /// Takes effect before it returns. Which of the cache's invalidations it is: their numbers grow.
    ///
    /// # Errors
    /// What is wrong with which path; then nothing was invalidated.
    fn invalidate(&self, distribution: &str, paths: &[String]) -> Result<u64, String>;

    /// Of all invalidations up to this one nothing is left in memory.
    fn swept_up_to(&self) -> u64;
}

/// The API, and what it remembers.
pub struct Api {
    control: Box<dyn Control>,
    history: Mutex<History>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'c> {
    pub method: &'c Method,
    pub path: &'c str,
    pub query: &'c str,
    /// By which the caller knows this listener.
    pub host: &'c str,
    pub body: &'c [u8],
    pub caller: &'c Caller,
    pub now: Timestamp,
}

/// An invalidation, for people.
#[derive(Debug, Serialize)]
pub(super) struct Recent {
    pub id: String,
    pub distribution: String,
    pub created: String,
    pub status: &'static str,
    /// Of its paths.
    pub count: usize,
    /// The first of them.
    pub paths: Vec<String>,
}

/// What it gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: String,
    pub etag: Option<String>,
    pub location: Option<String>,
}

impl Answer {
    fn ok(body: String) -> Self {
        Self { status: StatusCode::OK, body, etag: None, location: None }
    }
}

impl Api {
    #[must_use]
    pub fn new(control: impl Control + 'static) -> Self {
        Self { control: Box::new(control), history: Mutex::default() }
    }

    /// The newest invalidations of all distributions, with at most `paths` paths of each.
    pub(super) fn recent(&self, most: usize, paths: usize) -> Vec<Recent> {
        let history = self.history();
        let recent = history.newest().take(most).map(|past| Recent {
            id: past.id.clone(),
            distribution: past.distribution.to_string(),
            created: iso8601(past.created),
            status: self.status(past),
            count: past.batch.paths.len(),
            paths: past.batch.paths.iter().take(paths).cloned().collect(),
        });
        recent.collect()
    }

    /// By what the distributions are reached, by their ids.
    pub(super) fn names(&self) -> BTreeMap<String, String> {
        let all = self.control.distributions();
        all.iter().map(|described| (described.id.to_string(), described.domain_name.to_string())).collect()
    }

    pub(super) fn answer(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let secrets = match call.caller {
            Caller::Administrator(_) => Secrets::Told,
            Caller::Local | Caller::Unknown => Secrets::Hidden,
        };
        match Operation::of(call.method, call.path)? {
            Operation::ListDistributions => self.list_distributions(call, secrets),
            Operation::GetDistribution(id) => {
                let described = self.distribution(id)?;
                let in_progress = self.history().in_progress(id, self.control.swept_up_to()).count();
                let body = described.whole(in_progress, secrets);
                Ok(Answer { etag: Some(described.etag()), ..Answer::ok(body) })
            }
            Operation::GetDistributionConfig(id) => {
                let described = self.distribution(id)?;
                Ok(Answer { etag: Some(described.etag()), ..Answer::ok(described.config(secrets)) })
            }
            Operation::CreateInvalidation(id) => self.create_invalidation(call, id),
            Operation::GetInvalidation(distribution, id) => {
                self.distribution(distribution)?;
                let past = self.history().get(distribution, id).ok_or_else(|| {
                    let message = "The specified invalidation does not exist, or is too long ago.";
                    Refusal::new(StatusCode::NOT_FOUND, "NoSuchInvalidation", message)
                })?;
                Ok(Answer::ok(self.invalidation(&past)))
            }
            Operation::ListInvalidations(id) => self.list_invalidations(call, id),
        }
    }

    fn create_invalidation(&self, call: &Call<'_>, distribution: &str) -> Result<Answer, Refusal> {
        let described = self.distribution(distribution)?;
        let batch = Batch::read(call.body)?;
        let mut history = self.history();
        let past = match history.earlier(distribution, &batch)? {
            Some(past) => past,
            None => {
                history.make_room(distribution, batch.paths.len(), self.control.swept_up_to())?;
                let number = self.control.invalidate(distribution, &batch.paths).map_err(|why| {
                    let message = "Your request contains one or more invalid invalidation paths";
                    Refusal::bad("InvalidArgument", format!("{message}: {why}."))
                })?;
                let (count, paths) = (batch.paths.len(), &batch.paths[..batch.paths.len().min(LOGGED)]);
                tracing::info!(distribution, count, ?paths, by = call.caller.name(), "invalidated");
                let id = id('I', &fastrand::u128(..).to_be_bytes());
                history.add(Past {
                    id,
                    distribution: Arc::clone(&described.id),
                    created: call.now,
                    number,
                    batch,
                })
            }
        };
        drop(history);
        let path = call.path.trim_end_matches('/');
        let location = format!("http://{}{path}/{}", call.host, past.id);
        let body = self.invalidation(&past);
        Ok(Answer { status: StatusCode::CREATED, location: Some(location), ..Answer::ok(body) })
    }

    fn invalidation(&self, past: &Past) -> String {
        Writer::document("Invalidation", |writer| {
            writer.text("Id", &past.id);
            writer.text("Status", self.status(past));
            writer.text("CreateTime", &iso8601(past.created));
            past.batch.write(writer);
        })
    }

    fn list_invalidations(&self, call: &Call<'_>, distribution: &str) -> Result<Answer, Refusal> {
        self.distribution(distribution)?;
        let Paging { marker, most } = Paging::read(call.query)?;
        let page = self.history().page(distribution, marker.as_deref(), most);
        let next = page.items.last().filter(|_| page.is_truncated).map(|past| past.id.as_str());
        Ok(Answer::ok(list("InvalidationList", marker.as_deref(), next, most, page.items.len(), |writer| {
            for past in &page.items {
                writer.element("InvalidationSummary", |writer| {
                    writer.text("Id", &past.id);
                    writer.text("CreateTime", &iso8601(past.created));
                    writer.text("Status", self.status(past));
                });
            }
        })))
    }

    fn list_distributions(&self, call: &Call<'_>, secrets: Secrets) -> Result<Answer, Refusal> {
        let Paging { marker, most } = Paging::read(call.query)?;
        let all = self.control.distributions();
        let from = match &marker {
            None => 0,
            Some(marker) => 1 + all.iter().position(|one| *one.id == **marker).ok_or_else(not_a_marker)?,
        };
        let rest = all.get(from..).unwrap_or_default();
        let page = &rest[..most.min(rest.len())];
        let next = page.last().filter(|_| page.len() < rest.len()).map(|described| &*described.id);
        Ok(Answer::ok(list("DistributionList", marker.as_deref(), next, most, page.len(), |writer| {
            page.iter().for_each(|described| described.write_summary(writer, secrets));
        })))
    }

    fn status(&self, past: &Past) -> &'static str {
        if past.is_completed(self.control.swept_up_to()) { "Completed" } else { "InProgress" }
    }

    fn distribution(&self, id: &str) -> Result<Described, Refusal> {
        let all = self.control.distributions();
        all.iter().find(|described| *described.id == *id).cloned().ok_or_else(|| {
            let message = "The specified distribution does not exist.";
            Refusal::new(StatusCode::NOT_FOUND, "NoSuchDistribution", message)
        })
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which part of a list is asked for.
struct Paging {
    marker: Option<String>,
    most: usize,
}

impl Paging {
    /// What else a query says means nothing here.
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut paging = Self { marker: None, most: PAGE };
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            match name {
                "Marker" if !value.is_empty() => {
                    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
                    if value.len() > 128 || !value.bytes().all(is_id) {
                        return Err(not_a_marker());
                    }
                    paging.marker = Some(value.into_owned());
                }
                "MaxItems" if !value.is_empty() => {
                    paging.most = value.parse().ok().filter(|most| *most > 0).map_or_else(
                        || {
                            Err(Refusal::bad(
                                "InvalidArgument",
                                "MaxItems must be a whole number, at least 1.",
                            ))
                        },
                        |most: usize| Ok(most.min(PAGE)),
                    )?;
                }
                _ => {}
            }
        }
        Ok(paging)
    }
}

fn not_a_marker() -> Refusal {
    Refusal::bad("InvalidArgument", "The specified marker is not valid.")
}

/// The elements of every list, in the service's order.
fn list(
    name: &str,
    marker: Option<&str>,
    next: Option<&str>,
    most: usize,
    count: usize,
    write: impl FnOnce(&mut Writer),
) -> String {
    Writer::document(name, |writer| {
        writer.text("Marker", marker.unwrap_or_default());
        if let Some(next) = next {
            writer.text("NextMarker", next);
        }
        writer.text("MaxItems", &most.to_string());
        writer.text("IsTruncated", if next.is_some() { "true" } else { "false" });
        writer.text("Quantity", &count.to_string());
        if count > 0 {
            writer.element("Items", write);
        }
    })
}

/// `first` and 13 capitals and digits, as CloudFront's ids are; of the first of `bytes`, of which there must be 13.
fn id(first: char, bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let rest = bytes.iter().take(13).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
    std::iter::once(first).chain(rest).collect()
}

/// `2026-01-01T00:00:01.123Z`
fn iso8601(at: Timestamp) -> String {
    let secs = i64::try_from(at.as_secs()).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(secs).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let (month, millis) = (u8::from(month), at.since(Timestamp::from_secs(at.as_secs())).as_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}
