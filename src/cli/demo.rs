//! `edgeseal demo`: a private bucket and the edge in front of it, on one machine, from nothing.

use std::process::ExitCode;

use clap::Args;

use super::run::{End, announce};
use super::{FAILED, print, say};
use crate::config::{AccessLogTarget, LogFormat, Overrides};
use crate::demo::story::{Stage, Step};
use crate::demo::viewer::Failure;
use crate::observe::trace;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Walk the story, print each step with what it saw, and exit; 1 when a step does not hold
    #[arg(long)]
    once: bool,
    /// Print the steps of --once as JSON, one object a line
    #[arg(long, requires = "once")]
    json: bool,
    /// Address of the HTTP listener [default: 127.0.0.1:8080; with --once any port]
    #[arg(long, env = "EDGESEAL_HTTP", value_name = "ADDR")]
    http: Option<String>,
    /// Address of the HTTPS listener [default: 127.0.0.1:8443; with --once any port]
    #[arg(long, env = "EDGESEAL_HTTPS", value_name = "ADDR")]
    https: Option<String>,
    /// Address of the admin listener [default: 127.0.0.1:9090; with --once any port]
    #[arg(long, env = "EDGESEAL_ADMIN", value_name = "ADDR")]
    admin: Option<String>,
}

impl Demo {
    pub(super) fn execute(self) -> ExitCode {
        trace::init(LogFormat::Text);
        let outcome = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(Failure::from)
            .and_then(|runtime| runtime.block_on(self.play()));
        match outcome {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FAILED),
            Err(failure) => {
                say(&format!("edgeseal: {failure}"));
                ExitCode::from(FAILED)
            }
        }
    }

    async fn play(&self) -> Result<bool, Failure> {
        let mut end = End::new()?;
        let access = if self.once { AccessLogTarget::Off } else { AccessLogTarget::Stdout };
        let stage = Stage::set(&self.overrides(), access).await?;
        let holds = if self.once {
            stage.walk(|step| print(&self.line(step))).await?
        } else {
            announce(&stage.server);
            print(&stage.invitation());
            end.asked().await;
            true
        };
        stage.server.drain().await;
        Ok(holds)
    }

    /// Loopback only: it is a demo.
    fn overrides(&self) -> Overrides {
        let address = |given: &Option<String>, port| {
            let default = || if self.once { "127.0.0.1:0".to_owned() } else { format!("127.0.0.1:{port}") };
            Some(given.clone().unwrap_or_else(default))
        };
        Overrides {
            http: address(&self.http, 8080),
            https: address(&self.https, 8443),
            admin: address(&self.admin, 9090),
            ..Overrides::default()
        }
    }

    fn line(&self, step: &Step) -> String {
        if self.json {
            return serde_json::to_string(step).unwrap_or_default();
        }
        let verdict = if step.holds { "ok  " } else { "FAIL" };
        format!("{verdict}  {:<54}  {}", step.claim, step.seen)
    }
}
