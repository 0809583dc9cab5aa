//! `edgeseal invalidate`: asks a running edge to remove objects from its cache.

use std::process::ExitCode;

use clap::Args;

use super::{FAILED, admin, print, say};

#[derive(Debug, Args)]
pub(super) struct Invalidate {
    /// Paths as in `aws cloudfront create-invalidation`: /index.html, /images/*, or #tag
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Id of the distribution; not needed when the edge has one only
    #[arg(long, value_name = "ID")]
    distribution: Option<String>,
    /// The running edge's admin listener
    #[arg(long, env = "EDGESEAL_ADMIN", default_value = admin::DEFAULT, value_name = "ADDR")]
    admin: String,
    /// Accepted for scripts: when this command returns, the invalidation has taken effect
    #[arg(long)]
    wait: bool,
    /// Print the edge's answer as it is
    #[arg(long)]
    json: bool,
}

impl Invalidate {
    pub(super) fn execute(&self) -> ExitCode {
        match self.invalidate() {
            Ok(text) => {
                print(&text);
                ExitCode::SUCCESS
            }
            Err(why) => {
                say(&format!("edgeseal: {why}"));
                ExitCode::from(FAILED)
            }
        }
    }

    fn invalidate(&self) -> Result<String, String> {
        let body = serde_json::json!({ "distribution": self.distribution, "paths": self.paths });
        match admin::request(&self.admin, "POST", "/invalidate", &body.to_string())? {
            (200, answer) if self.json => Ok(answer),
            (200, _) => Ok(format!("invalidated {} paths", self.paths.len())),
            refused => Err(admin::reason(&refused)),
        }
    }
}
