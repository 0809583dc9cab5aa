//! What would become of a request, and why: the path of `respond`, told instead of taken. Nothing is asked of an origin.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use super::{choose, country, look, method, protocol, route};
use crate::cache::memory::Entry;
use crate::cache::object::Object;
use crate::clock::Timestamp;
use crate::config::units::{show_duration, show_size};
use crate::config::{Behavior, CachePolicy};
use crate::edge::{Edge, Site};
use crate::error::Refusal;
use crate::origin::{Origin, request};
use crate::policy::admission::{self, Admission, NotStored};
use crate::policy::lookup::{self, Lookup};
use crate::policy::told::Hop;
use crate::policy::{encoding, key, vary};
use crate::semantics::view::{self, View};

/// A request that nobody makes.
#[derive(Debug, Clone)]
pub struct Question {
    /// Absolute, as a viewer's browser shows it.
    pub url: Uri,
    pub method: Method,
    pub headers: HeaderMap,
    /// Where the viewer is.
    pub viewer: IpAddr,
    /// An answer that the origin might give.
    pub answer: Option<(StatusCode, HeaderMap)>,
}

impl Question {
    /// From what was typed. `headers` are `Name: value`; without `viewer` the request comes from this machine.
    ///
    /// # Errors
    /// What of it cannot be read, for a person.
    pub fn read(
        url: &str,
        method: Option<&str>,
        headers: &[String],
        viewer: Option<IpAddr>,
    ) -> Result<Self, String> {
        let method = method.unwrap_or("GET");
        Ok(Self {
            url: url.parse().map_err(|error| format!("{url:?}: {error}"))?,
            method: method.parse().map_err(|_| format!("{method:?} is no method"))?,
            headers: fields(headers)?,
            viewer: viewer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            answer: None,
        })
    }

    /// Supposes that the origin answers so.
    ///
    /// # Errors
    /// What of it cannot be read, for a person.
    pub fn suppose(&mut self, status: u16, headers: &[String]) -> Result<(), String> {
        let status = StatusCode::from_u16(status).map_err(|_| format!("{status} is no status"))?;
        self.answer = Some((status, fields(headers)?));
        Ok(())
    }
}

fn fields(lines: &[String]) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    for line in lines {
        let wrong = || format!("{line:?} is no field; write \"Name: value\"");
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = name.trim().parse::<HeaderName>().map_err(|_| wrong())?;
        fields.append(name, value.trim().parse::<HeaderValue>().map_err(|_| wrong())?);
    }
    Ok(fields)
}

/// What there is to say; what the request does not come to is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    pub url: String,
    pub method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// Its path pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<String>,
    /// What the viewer gets before the cache is looked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin_request_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_headers_policy: Option<String>,
    /// A part a line; credentials as their digests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// What the first of them is asked: request line, and names of the viewer's fields that it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
    /// Whether and how long answers are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeps: Option<String>,
    /// What would become of the answer in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What the cache has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached: Option<String>,
}

/// Explains what `question` would get at `now`.
#[must_use]
pub fn explain(edge: &Edge, question: &Question, now: Timestamp) -> Explanation {
    let mut told = Explanation {
        url: question.url.to_string(),
        method: question.method.to_string(),
        ..Explanation::default()
    };
    let outcome = parts(question)
        .ok_or(Refusal::Malformed("the URL must be absolute, http or https, with a host"))
        .and_then(|parts| walk(edge, question, &parts, &mut told, now));
    if let Err(refusal) = outcome {
        told.refused = Some(format!("{}: {refusal}", refusal.status().as_u16()));
    }
    told
}

fn parts(question: &Question) -> Option<Parts> {
    let target = question.url.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::builder().method(&question.method).uri(target);
    let (mut parts, ()) = request.body(()).ok()?.into_parts();
    parts.headers = question.headers.clone();
    let host = question.url.authority()?.as_str().parse().ok()?;
    parts.headers.insert(http::header::HOST, host);
    Some(parts)
}

fn walk(
    edge: &Edge,
    question: &Question,
    parts: &Parts,
    told: &mut Explanation,
    now: Timestamp,
) -> Result<(), Refusal> {
    let secure = match question.url.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(Refusal::Malformed("the URL must be absolute, http or https, with a host")),
    };
    let mut view = view::parse(parts, secure)?;
    let site = edge.sites.find(&view.host.name).ok_or(Refusal::UnknownHost)?;
    told.distribution = Some(site.id.to_string());
    if !site.enabled {
        return Err(Refusal::Disabled);
    }
    view.viewer.place = site.place(question.viewer);
    let raw_path = site.substitute_root(view.raw_path);
    let (decoded, behavior) = choose(site, &raw_path)?;
    told.behavior = Some(behavior.path_pattern.to_string());
    told.policies(behavior);
    country(site, &view)?;
    if let Some(answer) = protocol(edge, behavior, &view)? {
        let location = answer.response.headers().get(http::header::LOCATION);
        let location = location.and_then(|location| location.to_str().ok()).unwrap_or_default();
        told.refused = Some(format!("{}: redirect to {location}", answer.response.status().as_u16()));
        return Ok(());
    }
    method(behavior, &view, false)?;
    told.asked(site, behavior, &view, question.viewer, (&raw_path, &decoded))?;
    if let Err(why) = admission::request(behavior, view.method) {
        told.keeps = Some(format!("nothing: {}", reason(why)));
        return Ok(());
    }
    told.keeps = Some(times(&behavior.cache_policy));
    told.answer = question.answer.as_ref().map(|answer| judged(edge, behavior, answer, now));
    told.cached(edge, site, behavior, &view, &raw_path, now);
    Ok(())
}

impl Explanation {
    fn policies(&mut self, behavior: &Behavior) {
        let name = |name: &str| if name.is_empty() { "legacy settings".into() } else { name.to_owned() };
        self.cache_policy = Some(name(&behavior.cache_policy.name));
        self.origin_request_policy = behavior.origin_request_policy.as_ref().map(|policy| name(&policy.name));
        self.response_headers_policy =
            behavior.response_headers_policy.as_ref().map(|policy| name(&policy.name));
    }

    fn asked(
        &mut self,
        site: &Arc<Site>,
        behavior: &Arc<Behavior>,
        view: &View<'_>,
        viewer: IpAddr,
        paths: (&str, &str),
    ) -> Result<(), Refusal> {
        let indices = [Some(behavior.origin), behavior.failover.as_ref().map(|failover| failover.origin)];
        self.origins =
            indices.into_iter().flatten().map(|index| site.origins[index].label().to_string()).collect();
        let hop = Hop {
            viewer: SocketAddr::new(viewer, 0),
            request_id: "-",
            node: "-",
            name: "edgeseal",
            interims: None,
            early: None,
        };
        let route = route(site, behavior, view, hop, paths)?;
        self.asks = Some(asks(&route.origin, &route.ask));
        Ok(())
    }

    fn cached(
        &mut self,
        edge: &Edge,
        site: &Site,
        behavior: &Behavior,
        view: &View<'_>,
        raw_path: &str,
        now: Timestamp,
    ) {
        let accepted = encoding::normalized(behavior.encoding, view.version, view.headers);
        let primary = key::key(&site.id, view, raw_path, &behavior.cache_policy, accepted);
        self.key = primary.split('\n').map(str::to_owned).collect();
        let (entry, variant) = look(&edge.store.memory, &primary, || vary::selecting(behavior, view));
        let variant = variant.map(|variant| {
            let names: Vec<_> = variant.names.iter().map(HeaderName::as_str).collect();
            format!("varies by {}; of this variant: ", names.join(", "))
        });
        let variant = variant.unwrap_or_default();
        let until = match &entry {
            Some(Entry::Error { until, .. } | Entry::NotStored { until, .. }) => until.since(now),
            _ => Duration::ZERO,
        };
        let state = state(lookup::decide(entry, behavior.cache_policy.max_ttl, now), until, now);
        self.cached = Some(format!("{variant}{state}"));
    }
}

/// `until`: how long an error or a marker still holds.
fn state(found: Lookup, until: Duration, now: Timestamp) -> String {
    let seconds = until.as_secs();
    match found {
        Lookup::Serve(object) => format!("{}; fresh for {} s more", size(&object), object.fresh_for(now)),
        Lookup::ServeAndRefresh(object) => {
            format!("{}; stale, and served while the origin is asked", size(&object))
        }
        Lookup::Refuse(error) => format!("an error, for {seconds} s more: {error}"),
        Lookup::Pass(why) => {
            format!("a note, for {seconds} s more, that the last answer was not kept: {}", reason(why))
        }
        Lookup::Ask(object) => {
            format!("{}; never fresh, the origin is asked about it each time", size(&object))
        }
        Lookup::Fetch(Some(object)) => {
            let stale = object.fresh_for(now).unsigned_abs();
            format!("{}; stale for {stale} s, the origin will be asked about it", size(&object))
        }
        Lookup::Fetch(None) => "nothing".to_owned(),
    }
}

fn size(object: &Object) -> String {
    let how = if object.layout().is_some() { "in slices" } else { "in one" };
    let bytes = object.len();
    format!("an object of {bytes} bytes, {how}, status {}", object.head.status.as_u16())
}

fn asks(origin: &Origin, ask: &request::Ask) -> String {
    let config = origin.config();
    let (line, headers) = match (config.s3(), &ask.told) {
        (Some(s3), _) => {
            let target = request::target(s3, &config.origin_path, &s3.endpoint, ask);
            (format!("{} {}{target}", ask.method, s3.endpoint.authority()), &ask.headers)
        }
        (None, Some(told)) => {
            let query = if told.query.is_empty() { String::new() } else { format!("?{}", told.query) };
            let target = format!("{}{}{query}", config.origin_path, told.path);
            (format!("{} {target}", ask.method), &told.headers)
        }
        (None, None) => (ask.method.to_string(), &ask.headers),
    };
    let names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    if names.is_empty() { line } else { format!("{line}, telling {}", names.join(", ")) }
}

/// behaviour §5.1
fn times(policy: &CachePolicy) -> String {
    let CachePolicy { min_ttl, default_ttl, max_ttl, .. } = policy;
    let default = show_duration(*default_ttl.max(min_ttl));
    let (least, most) = (show_duration(*min_ttl), show_duration(*max_ttl));
    if min_ttl.is_zero() {
        format!(
            "as Cache-Control or Expires say, at most {most}; without them {default}; not with no-store or private"
        )
    } else {
        format!(
            "as Cache-Control or Expires say, {least} to {most}; without them {default}; with no-store, no-cache or private {least}"
        )
    }
}

fn judged(edge: &Edge, behavior: &Behavior, answer: &(StatusCode, HeaderMap), now: Timestamp) -> String {
    let (status, headers) = answer;
    if status.is_client_error() || status.is_server_error() {
        return format!("{}: errors are kept by status (behaviour §8.1)", status.as_u16());
    }
    let length =
        headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let answer = admission::Answer { status: *status, headers, length, framed: true };
    match admission::response(answer, behavior, edge.store.max_object, now) {
        Admission::No(why) => format!("not kept: {}", reason(why)),
        Admission::Store(lifetime) | Admission::Slices(lifetime, _) if lifetime.is_never_fresh() => {
            "kept, and asked about each time".to_owned()
        }
        Admission::Store(lifetime) => {
            format!("kept, fresh for {}", show_duration(lifetime.ttl - lifetime.initial_age))
        }
        Admission::Slices(lifetime, _) => format!(
            "kept in slices of {}, fresh for {}",
            show_size(edge.store.slice_size),
            show_duration(lifetime.ttl - lifetime.initial_age)
        ),
    }
}

fn reason(why: NotStored) -> &'static str {
    match why {
        NotStored::CachingDisabled => "the cache policy's TTLs are all zero",
        NotStored::Method => "the method is not among the behaviour's cached methods",
        NotStored::TooLarge => {
            "it is larger than cache.max_object, and cannot be had in slices: no strong ETag, or no ranges"
        }
        NotStored::ZeroTtl => {
            "Cache-Control, or the lack of a time, leaves it no time at all, and there is no validator to ask about it by"
        }
        NotStored::Status => "answers of this status are not kept, or only with a time of their own",
        NotStored::Unframed => "its end cannot be told from a lost connection",
        NotStored::VaryAny => "Vary says *, or more fields than variants are kept for",
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, value: &Option<String>| match value {
            Some(value) => writeln!(f, "{name:<24}{value}"),
            None => Ok(()),
        };
        writeln!(f, "{:<24}{} {}", "request", self.method, self.url)?;
        line(f, "distribution", &self.distribution)?;
        line(f, "behavior", &self.behavior)?;
        line(f, "cache policy", &self.cache_policy)?;
        line(f, "origin request policy", &self.origin_request_policy)?;
        line(f, "response headers policy", &self.response_headers_policy)?;
        line(f, "answered by the edge", &self.refused)?;
        for (index, part) in self.key.iter().enumerate() {
            writeln!(f, "{:<24}{part}", if index == 0 { "key" } else { "" })?;
        }
        line(f, "origins", &(!self.origins.is_empty()).then(|| self.origins.join(", then ")))?;
        line(f, "asks", &self.asks)?;
        line(f, "keeps", &self.keeps)?;
        line(f, "such an answer", &self.answer)?;
        line(f, "cached", &self.cached)
    }
}
