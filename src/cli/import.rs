//! `edgeseal import`: CloudFront's JSON as TOML.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::source::{Accepting, environment};
use super::{FAILED, json_files, print, say};
use crate::config::{self, Overrides, writer};

#[derive(Debug, Args)]
pub(super) struct Import {
    /// JSON files as the AWS CLI prints them, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    accepting: Accepting,
}

impl Import {
    /// No TOML of what would not start: it would no longer say why.
    pub(super) fn execute(self) -> ExitCode {
        let accepted = self.accepting.fields();
        let outcome = json_files::read(&self.paths).and_then(|files| {
            let over = Overrides::default();
            let loaded = config::load_distributions(&files, &accepted, &environment(), &over)?;
            Ok((config::import::read(&files, &accepted).raw, loaded.warnings))
        });
        match outcome {
            Ok((raw, warnings)) => {
                warnings.iter().for_each(|finding| say(&finding.to_string()));
                print(writer::write(&raw).trim_end());
                ExitCode::SUCCESS
            }
            Err(findings) => {
                findings.iter().for_each(|finding| say(&finding.to_string()));
                ExitCode::from(FAILED)
            }
        }
    }
}
