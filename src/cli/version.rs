//! `edgeseal version`: version, build, crypto provider.

use std::process::ExitCode;

use clap::Args;

use super::print;

#[derive(Debug, Args)]
pub(super) struct Version {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Version {
    pub(super) fn execute(self) -> ExitCode {
        let version = env!("CARGO_PKG_VERSION");
        let build = if cfg!(debug_assertions) { "debug" } else { "release" };
        let demo = cfg!(feature = "demo");
        if self.json {
            let facts = serde_json::json!({
                "version": version, "build": build, "crypto_provider": "aws-lc-rs", "demo": demo,
            });
            print(&facts.to_string());
        } else {
            let demo = if demo { "with" } else { "without" };
            print(&format!(
                "edgeseal {version} ({build} build, {demo} the embedded origin, crypto provider aws-lc-rs)"
            ));
        }
        ExitCode::SUCCESS
    }
}
