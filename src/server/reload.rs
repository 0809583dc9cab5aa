//! Another configuration in the place of the one in force, whole or not at all: everything is read and built beside what
//! serves, and then swapped. Connections stay, and so does the cache.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Following, Sending, Server, Shown, StartError, delivery, described, read_certificates, restart};
use crate::admin::keys::Keys;
use crate::clock;
use crate::config::{self, Config};
use crate::edge::{BuildError, Edge};
use crate::geo::{Database, OpenError};
use crate::listen::Handshakes;
use crate::listen::certs::Certificates;
use crate::listen::tickets::TicketKeys;
use crate::observe::access_log::AccessLog;
use crate::origin::credentials::CredentialSource;
use crate::stamp::Stamp;

/// What became of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// `false`: all is as it was.
    pub changed: bool,
    /// Keys that have other values now, and wait for a restart.
    pub wait_for_restart: Vec<&'static str>,
}

impl Server {
    /// Puts `config` in force, with the certificates and keys that its files hold now. Requests that begin later see it, on
    /// old connections and on new ones; those under way go on with what they began with. `credentials` as for
    /// [`super::start`].
    ///
    /// # Errors
    /// [`StartError`]; nothing has changed then. [`Server::refuse`] is for the caller to call.
    pub async fn reload(
        &mut self,
        mut config: Config,
        mut credentials: impl FnMut(&config::Origin) -> Arc<CredentialSource>,
    ) -> Result<Reloaded, StartError> {
        let before = self.live.now();
        let wait_for_restart = restart::keep(&self.running.config, self.has_udp, &mut config);
        let same_config = config == self.running.config;
        let certificates = self.certificates(&config)?;
        let same_certificates = Arc::ptr_eq(&certificates, &self.shown.load().certificates);
        let admin_keys = Keys::load(&config.admin.keys)?;
        let stamp = config.geo_database.as_deref().and_then(Stamp::of);
        let same_places =
            config.geo_database == self.running.config.geo_database && stamp == self.running.geo_stamp;
        let places = match same_places {
            true => before.places.clone(),
            false => places(&config).await.map_err(BuildError::from)?,
        };

        let log = self.log(&config, &before)?;
        let edge = match same_config && same_places {
            true => None,
            false => Some(before.followed_by(&config, Arc::clone(&log), places, &mut credentials)?),
        };
        let sending = match before.log.has_same_standard(&config) {
            true => None,
            false => Some(delivery(&config, edge.as_ref().unwrap_or(&before), &mut credentials)?),
        };
        let same_tickets = config.tls.ticket_key_file == self.running.config.tls.ticket_key_file;
        // The last that may fail: what it reads, it puts in force.
        let ticket_keys = match (same_tickets, &self.running.ticket_keys) {
            (true, Some(keys)) => keys.reload().map(|_| Some(Arc::clone(keys)))?,
            (true, None) => None,
            (false, _) => config.tls.ticket_key_file.as_deref().map(TicketKeys::load).transpose()?,
        };

        if let (Some(held), Some(keys)) = (&self.running.admin_keys, admin_keys) {
            held.become_those_of(&keys);
        }
        if !(same_config && same_certificates) {
            let keys = ticket_keys.as_deref();
            let offers = self.offers.load();
            let offer = match same_tickets {
                true => offers.followed_by(&certificates, &config, keys),
                false => Handshakes::sharing(&certificates, &config, keys),
            };
            self.offers.store(Arc::new(offer));
        }
        let changed = edge.is_some() || !same_certificates;
        if let Some(edge) = edge {
            self.live.replace(Arc::clone(&edge));
            self.forget(&before, &edge);
        }
        self.show(&config, certificates);
        if let Some(delivery) = sending {
            // The one before ends here.
            self.running.sending = delivery.map(Sending::start);
        }
        if !same_tickets {
            self.running.following_tickets =
                ticket_keys.as_ref().map(|keys| Following::tickets(keys, self.live.downgrade()));
            self.running.ticket_keys = ticket_keys;
        }
        self.running.config = config;
        self.running.geo_stamp = stamp;
        Ok(Reloaded { changed, wait_for_restart })
    }

    /// What was to be reloaded cannot be: says why, wherever an operator looks. What is in force stays.
    pub fn refuse(&self, reasons: &[String]) {
        for reason in reasons {
            tracing::error!("not reloaded: {reason}");
        }
        let shown = self.shown.load();
        shown_metrics(self).config_rejected();
        let refused = Some(reasons.join("; ").into());
        self.shown.store(Arc::new(Shown { refused, ..Shown::clone(&shown) }));
    }

    /// Those in force, if the files still hold them.
    fn certificates(&self, config: &Config) -> Result<Arc<Certificates>, StartError> {
        let current = Arc::clone(&self.shown.load().certificates);
        let running = &self.running.config;
        let made_here = |config: &Config| config.tls.certificates.is_empty();
        if made_here(config) && made_here(running) && names(config) == names(running) {
            return Ok(current);
        }
        let read = read_certificates(config)?;
        let same = config.tls.certificates == running.tls.certificates && read.are(&current);
        Ok(if same { current } else { Arc::new(read) })
    }

    /// The one in force, if it does what `config` wants.
    fn log(&self, config: &Config, before: &Edge) -> Result<Arc<AccessLog>, StartError> {
        let running = &self.running.config;
        let same = config.log == running.log
            && config.identity.pop == running.identity.pop
            && before.log.has_same_standard(config);
        Ok(if same { Arc::clone(&before.log) } else { Arc::new(before.log.followed_by(config)?) })
    }

    /// Lets go of what `before` alone had.
    fn forget(&self, before: &Arc<Edge>, edge: &Edge) {
        if !Arc::ptr_eq(&before.log, &edge.log) {
            self.retired.add(Arc::clone(&before.log));
        }
        let labels = |edge: &Edge| edge.origins().iter().map(|origin| origin.label().to_string()).collect();
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (labels(before), labels(edge));
        for label in old.difference(&new) {
            edge.metrics.credentials_expiry(label, None);
        }
    }

    fn show(&self, config: &Config, certificates: Arc<Certificates>) {
        let metrics = shown_metrics(self);
        let before = self.shown.load();
        if !Arc::ptr_eq(&before.certificates, &certificates) {
            for (name, _) in before.certificates.names_and_expiry() {
                metrics.cert_gone(&name);
            }
            for (name, not_after) in certificates.names_and_expiry() {
                metrics.cert_not_after(&name, not_after);
            }
        }
        metrics.config_loaded(clock::now().as_secs());
        let distributions = described(config, &before.distributions);
        self.shown.store(Arc::new(Shown { certificates, distributions, refused: None }));
    }
}

fn shown_metrics(server: &Server) -> Arc<crate::observe::metrics::Metrics> {
    Arc::clone(&server.live.now().metrics)
}

/// Of the certificate that is made for want of others.
fn names(config: &Config) -> Vec<&Arc<str>> {
    config.distributions.iter().flat_map(|distribution| &distribution.aliases).collect()
}

/// It is large: not on a thread that has something else to do.
async fn places(config: &Config) -> Result<Option<Arc<Database>>, OpenError> {
    let Some(file) = config.geo_database.clone() else { return Ok(None) };
    let opening = tokio::task::spawn_blocking({
        let file = file.clone();
        move || Database::open(&file)
    });
    let opened = opening
        .await
        .unwrap_or_else(|_| Err(OpenError::Damaged { file, reason: "reading it panicked".into() }));
    opened.map(Arc::new).map(Some)
}
