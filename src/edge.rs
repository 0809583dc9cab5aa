//! Config → Edge: everything that serving needs, built, and nothing listening yet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::{HeaderName, HeaderValue};

use crate::admin::{Check, Readiness};
use crate::cache::Store;
use crate::cache::invalidations::Number;
use crate::client::tls;
use crate::clock::Timestamp;
use crate::config::{self, Behavior, Config, ErrorResponse, GeoRestriction, Identity};
use crate::geo;
use crate::observe::access_log::AccessLog;
use crate::observe::metrics::{DistributionMetrics, Metrics};
use crate::observe::record::{LoggedAs, ResultType};
use crate::origin::credentials::{CredentialSource, CredentialStatus};
use crate::origin::error::OriginError;
use crate::origin::trust::Trust;
use crate::origin::{Origin, OriginParts};
use crate::policy::invalidation;
use crate::route::pattern::{InvalidPattern, Pattern};
use crate::route::{Behaviors, Hosts};
use crate::semantics::place::Place;

/// Seconds for which a viewer may remember that there is HTTP/3 (behaviour §2.3).
const ALT_SVC_MAX_AGE: u32 = 86_400;

/// All that a request needs.
#[derive(Debug)]
pub struct Edge {
    pub identity: Identity,
    pub sites: Hosts<Arc<Site>>,
    pub store: Arc<Store>,
    pub metrics: Arc<Metrics>,
    /// For requests that name no distribution.
    pub unrouted: DistributionMetrics,
    pub log: Arc<AccessLog>,
    pub marks: Marks,
    /// Responses say in `Cache-Status` what became of them (RFC 9211).
    pub cache_status: bool,
    /// Viewers are served by our own HTTP/1.1 and HTTP/2.
    pub fast_path: bool,
    public_https_port: Option<u16>,
    https_listener: OnceLock<u16>,
    draining: Arc<AtomicBool>,
    origins: Vec<Arc<Origin>>,
    distributions: Vec<Arc<Site>>,
    /// Where viewers are, if there is a database.
    pub places: Option<Arc<geo::Database>>,
    logs_cookies: bool,
    trust: Arc<Trust>,
}

/// A distribution at run time.
#[derive(Debug)]
pub struct Site {
    pub id: Arc<str>,
    pub behaviors: Behaviors<Arc<Behavior>>,
    /// [`Behavior::origin`] and [`config::Failover::origin`] count in this.
    pub origins: Vec<Arc<Origin>>,
    /// By status (behaviour §8.1, §8.3).
    pub error_responses: BTreeMap<u16, ErrorResponse>,
    pub metrics: DistributionMetrics,
    /// `false`: nothing is served for its names (behaviour §1.1).
    pub enabled: bool,
    default_root: Option<String>,
    /// The field that names an object's cache tags (behaviour §12.14).
    pub cache_tag_header: Option<HeaderName>,
    pub geo_restriction: Option<GeoRestriction>,
    /// `None`: nothing of this distribution depends on where a viewer is.
    places: Option<Arc<geo::Database>>,
    http3: bool,
    /// Told over HTTP/1 and HTTP/2 with TLS: where HTTP/3 is (RFC 7838, behaviour §2.3). Empty: nowhere.
    alt_svc: OnceLock<HeaderValue>,
    /// What the access log knows of it.
    pub logged_as: LoggedAs,
}

/// The ports that a redirect may name.
#[derive(Debug, Clone, Copy)]
pub struct HttpsPort {
    pub listener: u16,
    /// The configured one.
    pub public: Option<u16>,
}

/// Why nothing was invalidated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotInvalidated {
    #[error("no distribution has this id")]
    NoSuchDistribution,
    #[error("there are several distributions: name one")]
    Which,
    #[error("there are no paths")]
    Nothing,
    #[error("{path:?} {why}")]
    Path { path: String, why: invalidation::Invalid },
}

/// A configuration that looked right cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("distribution {distribution}: path pattern: {source}")]
    Pattern { distribution: Arc<str>, source: InvalidPattern },
    #[error("origin {origin}: {source}")]
    Origin { origin: Arc<str>, source: OriginError },
    #[error("geo.database: {0}")]
    Geo(#[from] geo::OpenError),
    #[error("the name of this edge cannot stand in a header")]
    Identity,
    #[error("no root certificate was found to verify HTTPS origins with")]
    NoRoots,
}

impl Edge {
    /// Builds everything; `credentials` is asked once for each bucket.
    ///
    /// # Errors
    /// [`BuildError`]: validation has missed something, or the machine has no root certificates.
    pub fn new(
        config: &Config,
        metrics: Arc<Metrics>,
        log: AccessLog,
        credentials: impl FnMut(&config::Origin) -> Arc<CredentialSource>,
    ) -> Result<Arc<Self>, BuildError> {
        let places = config.geo_database.as_deref().map(geo::Database::open).transpose()?.map(Arc::new);
        let for_evictions = Arc::clone(&metrics);
        let lasting = Lasting {
            store: Arc::new(Store::new(&config.cache, move |cause| for_evictions.cache_evicted(cause))),
            metrics,
            // Another id for each process, as each of CloudFront's servers has one (behaviour §9.1).
            node: format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)),
            draining: Arc::default(),
            trust: client_tls()?,
            origins: Vec::new(),
        };
        Self::build(config, lasting, Arc::new(log), places, credentials)
    }

    /// One that takes this one's place: with the same cache, metrics and process, and with those of its origins that are
    /// configured as before, with their connections. `credentials` as for [`Self::new`].
    ///
    /// # Errors
    /// [`BuildError`]; nothing has changed then.
    pub(crate) fn followed_by(
        &self,
        config: &Config,
        log: Arc<AccessLog>,
        places: Option<Arc<geo::Database>>,
        credentials: impl FnMut(&config::Origin) -> Arc<CredentialSource>,
    ) -> Result<Arc<Self>, BuildError> {
        // They introduce themselves by its name.
        let keeps_name = config.identity.name == self.identity.name;
        let lasting = Lasting {
            store: Arc::clone(&self.store),
            metrics: Arc::clone(&self.metrics),
            node: self.marks.node.clone(),
            draining: Arc::clone(&self.draining),
            trust: Arc::clone(&self.trust),
            origins: self
                .distributions
                .iter()
                .flat_map(|site| site.origins.iter().cloned())
                .filter(|_| keeps_name)
                .collect(),
        };
        let edge = Self::build(config, lasting, log, places, credentials)?;
        if let Some(port) = self.https_listener.get() {
            edge.set_https_port(*port);
        }
        Ok(edge)
    }

    fn build(
        config: &Config,
        lasting: Lasting,
        log: Arc<AccessLog>,
        places: Option<Arc<geo::Database>>,
        credentials: impl FnMut(&config::Origin) -> Arc<CredentialSource>,
    ) -> Result<Arc<Self>, BuildError> {
        let Lasting { store, metrics, node, draining, trust, origins: earlier } = lasting;
        let marks = Marks::new(&config.identity, node).ok_or(BuildError::Identity)?;
        let mut builder = Builder {
            config,
            metrics: &metrics,
            marks: &marks,
            tls: Arc::clone(&trust),
            places: places.clone(),
            credentials,
            earlier,
        };
        let mut sites = Hosts::new();
        let mut distributions = Vec::new();
        let mut origins = Vec::new();
        for (index, distribution) in config.distributions.iter().enumerate() {
            let site = Arc::new(builder.site(index, distribution)?);
            // Nobody waits for what serves nobody.
            origins.extend(site.origins.iter().filter(|_| site.enabled).cloned());
            distributions.push(Arc::clone(&site));
            for alias in distribution.aliases.iter().chain(&distribution.domain_name) {
                sites.insert(alias, Arc::clone(&site));
            }
            if distribution.aliases.is_empty() && config.distributions.len() == 1 {
                sites.set_any(site);
            }
        }
        Ok(Arc::new(Self {
            identity: config.identity.clone(),
            sites,
            store,
            unrouted: metrics.distribution(""),
            metrics,
            log,
            marks,
            cache_status: config.cache.cache_status,
            fast_path: config.listen.fast_path,
            public_https_port: config.listen.public_https_port,
            https_listener: OnceLock::new(),
            draining,
            logs_cookies: distributions.iter().any(|site| site.logged_as.cookies),
            origins,
            distributions,
            places,
            trust,
        }))
    }

    /// The HTTPS listener is bound to this port.
    pub fn set_https_port(&self, port: u16) {
        // The listeners of one process are bound once.
        let _ = self.https_listener.set(port);
        let port = self.public_https_port.unwrap_or(port);
        for site in self.distributions.iter().filter(|site| site.http3) {
            let value = format!("h3=\":{port}\"; ma={ALT_SVC_MAX_AGE}");
            let _ = site.alt_svc.set(HeaderValue::try_from(value).expect("digits and a name are a value"));
        }
    }

    #[must_use]
    pub fn https_port(&self) -> HttpsPort {
        HttpsPort {
            listener: self.https_listener.get().copied().unwrap_or(443),
            public: self.public_https_port,
        }
    }

    /// Removes from the cache what `paths` name of a distribution; of the only one, if none is named. It holds for every
    /// request that begins after this returns (behaviour §12.14). Which of the cache's invalidations it is.
    ///
    /// # Errors
    /// [`NotInvalidated`]; then nothing was removed.
    pub fn invalidate(
        &self,
        distribution: Option<&str>,
        paths: &[String],
        now: Timestamp,
    ) -> Result<Number, NotInvalidated> {
        let site = match (distribution, &self.distributions[..]) {
            (None, [only]) => only,
            (None, _) => return Err(NotInvalidated::Which),
            (Some(id), all) => {
                all.iter().find(|site| *site.id == *id).ok_or(NotInvalidated::NoSuchDistribution)?
            }
        };
        let mut patterns = Vec::with_capacity(paths.len());
        for path in paths {
            let pattern =
                invalidation::parse(path).map_err(|why| NotInvalidated::Path { path: path.clone(), why })?;
            // Its objects are under the path that the root means.
            if let (invalidation::Pattern::Exact(exact), Some(root)) = (&pattern, &site.default_root)
                && exact == "/"
            {
                patterns.push(invalidation::Pattern::Exact(root.clone()));
            }
            patterns.push(pattern);
        }
        if patterns.is_empty() {
            return Err(NotInvalidated::Nothing);
        }
        let number = self.store.invalidate(&site.id, &patterns, now);
        self.metrics.invalidated();
        Ok(number)
    }

    /// Some distribution's log says what viewers' cookies are.
    #[must_use]
    pub fn logs_cookies(&self) -> bool {
        self.logs_cookies
    }

    /// From now on `/readyz` says 503.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn origins(&self) -> &[Arc<Origin>] {
        &self.origins
    }

    /// What `/readyz` says. `configuration` and `certificates` are whatever was read.
    #[must_use]
    pub fn readiness(&self, configuration: Check, certificates: Check) -> Readiness {
        let mut checks = vec![
            configuration,
            certificates,
            Check { name: "draining", ok: !self.draining.load(Ordering::Relaxed), detail: String::new() },
        ];
        for origin in &self.origins {
            checks.extend(credentials_check(origin));
            checks.push(Check {
                name: "origin",
                ok: origin.is_reachable(crate::clock::now()),
                detail: format!("{}: {}", origin.label(), origin.last_contact()),
            });
        }
        Readiness { ready: checks.iter().all(|check| check.ok), checks }
    }

    /// Brings the gauges up to date that nobody sets while serving.
    pub fn refresh_gauges(&self) {
        let stats = self.store.memory.stats();
        self.metrics.cache_sizes(stats.entries, stats.bytes, stats.max_bytes);
        for (log, lines) in self.log.dropped_by_log() {
            self.metrics.log_dropped(log, lines);
        }
        for origin in &self.origins {
            let expiry = match origin.credentials() {
                Some(CredentialStatus::Usable { expiry, .. }) => expiry,
                Some(CredentialStatus::Missing { .. }) => None,
                None => continue,
            };
            let seconds = expiry.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
            self.metrics.credentials_expiry(origin.label(), seconds.map(|at| at.as_secs_f64()));
        }
    }
}

/// What outlives a configuration.
struct Lasting {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    node: String,
    draining: Arc<AtomicBool>,
    trust: Arc<Trust>,
    /// Those of an edge before; none is shared by two that are not configured alike.
    origins: Vec<Arc<Origin>>,
}

impl Site {
    /// Where a viewer is, for a distribution to which it matters.
    #[must_use]
    pub fn place(&self, viewer: IpAddr) -> Option<Box<Place<'_>>> {
        self.places.as_ref().map(|places| Box::new(places.place(viewer)))
    }

    /// `None`: it is not served by HTTP/3.
    #[must_use]
    pub fn alt_svc(&self) -> Option<&HeaderValue> {
        self.alt_svc.get()
    }

    /// The path that a request for the root means; any other path is itself (behaviour §1.4).
    #[must_use]
    pub fn substitute_root<'a>(&'a self, raw_path: &'a str) -> Cow<'a, str> {
        match &self.default_root {
            Some(root) if raw_path == "/" => Cow::Borrowed(root),
            _ => Cow::Borrowed(raw_path),
        }
    }
}

/// What sites are made from.
struct Builder<'a, C> {
    config: &'a Config,
    metrics: &'a Metrics,
    marks: &'a Marks,
    tls: Arc<Trust>,
    places: Option<Arc<geo::Database>>,
    credentials: C,
    earlier: Vec<Arc<Origin>>,
}

impl<C: FnMut(&config::Origin) -> Arc<CredentialSource>> Builder<'_, C> {
    /// `index`: of the distribution, in the configuration.
    fn site(&mut self, index: usize, distribution: &config::Distribution) -> Result<Site, BuildError> {
        let origins = distribution.origins.iter().map(|origin| self.origin(distribution, origin));
        Ok(Site {
            id: Arc::clone(&distribution.id),
            origins: origins.collect::<Result<_, _>>()?,
            behaviors: behaviors(distribution)?,
            error_responses: distribution.error_responses.clone(),
            metrics: self.metrics.distribution(&distribution.id),
            enabled: distribution.enabled,
            geo_restriction: distribution.geo_restriction.clone(),
            places: self.places.clone().filter(|_| needs_places(distribution)),
            default_root: distribution.default_root_object.as_ref().map(|object| format!("/{object}")),
            cache_tag_header: distribution.cache_tag_header.clone(),
            http3: distribution.http3,
            alt_svc: OnceLock::new(),
            logged_as: logged_as(index, distribution),
        })
    }

    fn origin(
        &mut self,
        distribution: &config::Distribution,
        config: &Arc<config::Origin>,
    ) -> Result<Arc<Origin>, BuildError> {
        let label = self.label(distribution, config);
        let alike = |origin: &&Arc<Origin>| **origin.label() == *label && *origin.config() == **config;
        if let Some(origin) = self.earlier.iter().find(alike) {
            return Ok(Arc::clone(origin));
        }
        let parts = OriginParts {
            config: Arc::clone(config),
            tls: Arc::clone(&self.tls),
            credentials: config.s3().map(|_| (self.credentials)(config)),
            user_agent: self.marks.server(),
            metrics: self.metrics.origin(&label),
            label: Arc::clone(&label),
        };
        Origin::new(parts).map(Arc::new).map_err(|source| BuildError::Origin { origin: label, source })
    }

    /// The origin's id, unless another distribution has one of the same id: they are different series.
    fn label(&self, distribution: &config::Distribution, origin: &config::Origin) -> Arc<str> {
        let all = self.config.distributions.iter().flat_map(|distribution| &distribution.origins);
        if all.filter(|other| other.id == origin.id).count() == 1 {
            Arc::clone(&origin.id)
        } else {
            format!("{}/{}", distribution.id, origin.id).into()
        }
    }
}

fn logged_as(index: usize, distribution: &config::Distribution) -> LoggedAs {
    LoggedAs {
        host: Arc::clone(distribution.domain_name.as_ref().unwrap_or(&distribution.id)),
        shelf: u32::try_from(index).ok().filter(|_| distribution.logging.enabled),
        cookies: distribution.logging.include_cookies,
    }
}

/// Does anything of it depend on where a viewer is?
fn needs_places(distribution: &config::Distribution) -> bool {
    let headers = distribution.behaviors.iter().flat_map(|behavior| {
        let request = behavior.origin_request_policy.iter().flat_map(|policy| &policy.viewer_headers);
        behavior.cache_policy.viewer_headers.iter().chain(request)
    });
    distribution.geo_restriction.is_some() || headers.into_iter().any(|header| header.is_of_place())
}

fn behaviors(distribution: &config::Distribution) -> Result<Behaviors<Arc<Behavior>>, BuildError> {
    let pattern = |behavior: &Arc<Behavior>| {
        Pattern::parse(&behavior.path_pattern)
            .map(|pattern| (pattern, Arc::clone(behavior)))
            .map_err(|source| BuildError::Pattern { distribution: Arc::clone(&distribution.id), source })
    };
    let (default, ordered) =
        distribution.behaviors.split_last().expect("validation gives every distribution a default behaviour");
    let ordered = ordered.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
    Ok(Behaviors::new(ordered, Arc::clone(default)))
}

/// `None`: requests to this origin are not signed at all.
fn credentials_check(origin: &Origin) -> Option<Check> {
    let id = origin.label();
    let never = origin.config().s3()?.signing == config::SigningBehavior::Never;
    let (ok, detail) = match origin.credentials()? {
        _ if never => (true, format!("{id}: not needed")),
        CredentialStatus::Usable { refresh_failing: None, .. } => (true, format!("{id}: usable")),
        // The last good ones still serve; a load balancer should know before they run out.
        CredentialStatus::Usable { refresh_failing: Some(why), .. } => {
            (false, format!("{id}: refresh fails: {why}"))
        }
        CredentialStatus::Missing { reason } => (false, format!("{id}: {reason}")),
    };
    Some(Check { name: "credentials", ok, detail })
}

/// Verifies HTTPS origins: Mozilla's roots, the system's, and those of `SSL_CERT_FILE`.
pub(crate) fn client_tls() -> Result<Arc<Trust>, BuildError> {
    Trust::new(tls::roots()).ok_or(BuildError::NoRoots)
}

/// The header values by which this edge is known, made once.
#[derive(Debug)]
pub struct Marks {
    x_cache: [HeaderValue; ResultType::ALL.len()],
    via: HeaderValue,
    pop: HeaderValue,
    server: HeaderValue,
    node: String,
    hit_lines: Box<[u8]>,
}

impl Marks {
    fn new(identity: &Identity, node: String) -> Option<Self> {
        let value = |text: String| HeaderValue::try_from(text).ok();
        let name = &identity.name;
        let mut x_cache = Vec::new();
        for result in ResultType::ALL {
            x_cache.push(value(format!("{} from {name}", result.as_str()))?);
        }
        let via = format!("1.1 {node}.{name} ({name})");
        let pop = &identity.pop;
        let hit_lines = format!("x-cache: Hit from {name}\r\nvia: {via}\r\nx-amz-cf-pop: {pop}\r\n");
        Some(Self {
            x_cache: x_cache.try_into().ok()?,
            via: value(via)?,
            pop: value(pop.to_string())?,
            server: value(name.to_string())?,
            node,
            hit_lines: hit_lines.into_bytes().into(),
        })
    }

    #[must_use]
    pub fn x_cache(&self, result: ResultType) -> HeaderValue {
        self.x_cache[result as usize].clone()
    }

    #[must_use]
    pub fn via(&self) -> HeaderValue {
        self.via.clone()
    }

    /// What every hit carries, as HTTP/1.1 writes it: `X-Cache`, `Via` and `X-Amz-Cf-Pop`.
    #[must_use]
    pub fn hit_lines(&self) -> &[u8] {
        &self.hit_lines
    }

    /// What no other process is called.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    #[must_use]
    pub fn pop(&self) -> HeaderValue {
        self.pop.clone()
    }

    #[must_use]
    pub fn server(&self) -> HeaderValue {
        self.server.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_cache_says_the_result_and_the_name() {
        let identity = Identity { name: "edgeseal".into(), pop: "EDG1-C1".into() };
        let marks = Marks::new(&identity, "node".into()).unwrap();
        for result in ResultType::ALL {
            assert_eq!(marks.x_cache(result), format!("{} from edgeseal", result.as_str())); // behaviour §8.5
        }
    }

    const ORIGIN: &str = "[[distribution.origin]]\nbucket = \"assets\"\nregion = \"eu-west-1\"\n";

    fn config(text: &str) -> Config {
        let environment = config::Environment { s3_endpoint: None, region: None, parallelism: 1 };
        let loaded = config::load_toml("test.toml", text, &environment, &config::Overrides::default());
        loaded.unwrap().config
    }

    #[test]
    fn what_follows_shares_the_cache_and_those_origins_that_are_configured_alike() {
        let one = |origin: &str| format!("[[distribution]]\nid = \"A\"\n{origin}");
        let first = config(&one(ORIGIN));
        let source =
            CredentialSource::fixed(aws_credential_types::Credentials::new("A", "s", None, None, "test"));
        let log = AccessLog::of(&Config {
            log: config::Log { access: config::AccessLogTarget::Off, ..first.log.clone() },
            ..first.clone()
        });
        let edge = Edge::new(&first, Metrics::new(), log.unwrap(), |_| Arc::clone(&source)).unwrap();
        edge.set_https_port(8443);
        edge.drain();
        for (text, same_origin) in [
            (one(ORIGIN), true),
            (format!("[cache]\ncache_status = true\n{}", one(ORIGIN)), true),
            (one(&ORIGIN.replace("eu-west-1", "eu-west-2")), false),
            (one(&format!("{ORIGIN}connection_attempts = 1\n")), false),
            (one(&format!("{ORIGIN}id = \"other\"\n")), false),
            // Origins are told by whom they are asked.
            (format!("[identity]\nname = \"other\"\n{}", one(ORIGIN)), false),
        ] {
            let log = Arc::clone(&edge.log);
            let after = edge.followed_by(&config(&text), log, None, |_| Arc::clone(&source)).unwrap();
            assert_eq!(Arc::ptr_eq(&after.origins[0], &edge.origins[0]), same_origin, "{text}");
            assert!(Arc::ptr_eq(&after.store, &edge.store) && Arc::ptr_eq(&after.metrics, &edge.metrics));
            assert_eq!(after.marks.node(), edge.marks.node(), "it is the same process");
            assert_eq!(after.https_port().listener, 8443);
            assert!(after.draining.load(Ordering::Relaxed), "an end that has begun goes on");
        }
    }
}
