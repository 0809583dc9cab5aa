//! `edgeseal check`: would it start?

use std::process::ExitCode;

use clap::Args;

use super::{FAILED, Overriding, Source, print, source};
use crate::config::{Finding, Place, Severity, Tls};
use crate::listen::certs;

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
                let ok = certificates.is_empty();
                (ok, [loaded.warnings, certificates].concat())
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
    let Err(errors) = certs::load(&tls.certificates) else { return Vec::new() };
    errors
        .iter()
        .map(|error| Finding {
            severity: Severity::Error,
            place: Place { source: "tls.certificate".into(), line: None },
            key: String::new(),
            message: error.to_string(),
            fix: None,
        })
        .collect()
}
