//! `edgeseal check`: would it start?

use std::process::ExitCode;

use clap::Args;

use super::{FAILED, Overriding, Source, print, source};
use crate::config::{Config, Finding, Place, Severity, Tls};
use crate::geo;
use crate::listen::certs;
use crate::listen::tickets::TicketKeys;

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    over: Overriding,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn execute(self) -> ExitCode {
        let (ok, findings) = match source::load(&self.source, &self.over) {
            Ok(loaded) => {
                let certificates = certificates(&loaded.config.tls);
                let tickets = Vec::from_iter(ticket_keys(&loaded.config.tls));
                let files = [certificates, tickets, places(&loaded.config)].concat();
                let ok = files.iter().all(|finding| finding.severity == Severity::Warning);
                (ok, [loaded.warnings, files].concat())
            }
            Err(findings) => (false, findings),
        };
        if self.json {
            print(&serde_json::json!({ "ok": ok, "findings": findings }).to_string());
        } else {
            findings.iter().for_each(|finding| print(&finding.to_string()));
            print(if ok { "it would start" } else { "it would not start" });
        }
        if ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
    }
}

/// Certificates are files, not sockets: `check` reads them as `run` would.
fn certificates(tls: &Tls) -> Vec<Finding> {
    let finding = |severity, message: String, fix: Option<&str>| Finding {
        severity,
        place: Place { source: "tls.certificate".into(), line: None },
        key: String::new(),
        message,
        fix: fix.map(str::to_owned),
    };
    if tls.certificates.is_empty() {
        let message = "none is configured: a self-signed one will be made at start".to_owned();
        return vec![finding(
            Severity::Warning,
            message,
            Some("name one in [[tls.certificate]], or by --tls-cert"),
        )];
    }
    match certs::load(&tls.certificates) {
        Ok(certificates) => {
            let warnings = certificates.warnings();
            warnings.iter().map(|warning| finding(Severity::Warning, warning.to_string(), None)).collect()
        }
        Err(errors) => errors.iter().map(|error| finding(Severity::Error, error.to_string(), None)).collect(),
    }
}

/// As `run` would, it reads the keys for tickets.
fn ticket_keys(tls: &Tls) -> Option<Finding> {
    let (severity, message) = match TicketKeys::load(tls.ticket_key_file.as_deref()?) {
        Ok(keys) => (Severity::Warning, keys.warning()?.to_string()),
        Err(error) => (Severity::Error, error.to_string()),
    };
    let place = Place { source: "tls.ticket_key_file".into(), line: None };
    Some(Finding { severity, place, key: String::new(), message, fix: None })
}

/// So it reads the database of places.
fn places(config: &Config) -> Vec<Finding> {
    let opened = config.geo_database.as_deref().map(geo::Database::open);
    let error = opened.and_then(Result::err).map(|error| Finding {
        severity: Severity::Error,
        place: Place { source: "geo.database".into(), line: None },
        key: String::new(),
        message: error.to_string(),
        fix: None,
    });
    error.into_iter().collect()
}
