//! `edgeseal explain URL`: which distribution, behaviour, policies and key, and why it is (not) cached.

use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

use aws_credential_types::Credentials;
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::admin::{self, Client, Signing};
use super::source::{self, Overriding, Source};
use super::{FAILED, print, say};
use crate::clock;
use crate::config::{AccessLogTarget, Config};
use crate::edge::Edge;
use crate::observe::access_log::AccessLog;
use crate::observe::metrics::Metrics;
use crate::origin::credentials::CredentialSource;
use crate::pipeline::explain::{self, Explanation, Question};

#[derive(Debug, Args)]
// A running edge is a source, too.
#[command(mut_group("source", |group| group.required(false)))]
pub(super) struct Explain {
    /// As a browser shows it: https://cdn.example.com/images/a.jpg?x=1
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    source: Option<Source>,
    #[command(flatten)]
    over: Overriding,
    /// Ask the edge that runs there, which knows what is cached now, instead of reading a configuration
    #[arg(long, conflicts_with = "source")]
    live: bool,
    #[command(flatten)]
    signing: Signing,
    #[arg(long, default_value = "GET", value_name = "METHOD")]
    method: String,
    /// A field of the viewer's request, `Name: value`; may be repeated
    #[arg(long, short = 'H', value_name = "FIELD")]
    header: Vec<String>,
    /// The viewer's address, for geography
    #[arg(long, value_name = "IP")]
    viewer: Option<IpAddr>,
    /// Would an answer with this field be kept? `Cache-Control: max-age=60`; may be repeated
    #[arg(long, value_name = "FIELD", conflicts_with = "live")]
    answer: Vec<String>,
    /// Status of that answer
    #[arg(long, default_value_t = 200, value_name = "STATUS", requires = "answer")]
    answer_status: u16,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn execute(self) -> ExitCode {
        match self.explain() {
            Ok(text) => {
                print(text.trim_end());
                ExitCode::SUCCESS
            }
            Err(why) => {
                say(&format!("edgeseal: {why}"));
                ExitCode::from(FAILED)
            }
        }
    }

    fn explain(self) -> Result<String, String> {
        if self.live {
            let json = self.ask()?;
            return if self.json { Ok(json) } else { Ok(shown(&json)) };
        }
        let Some(source) = &self.source else {
            return Err(
                "name a configuration (--config, --distribution, s3://…), or --live for a running edge"
                    .into(),
            );
        };
        let loaded = source::load(source, &self.over)
            .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let edge = standing_still(&loaded.config)?;
        let mut question = Question::read(&self.url, Some(&self.method), &self.header, self.viewer)?;
        if !self.answer.is_empty() {
            question.suppose(self.answer_status, &self.answer)?;
        }
        let explanation = explain::explain(&edge, &question, clock::now());
        // Nothing is cached in an edge that does not run.
        let explanation = Explanation { cached: None, ..explanation };
        if self.json {
            serde_json::to_string(&explanation).map_err(|error| error.to_string())
        } else {
            Ok(explanation.to_string())
        }
    }

    fn ask(&self) -> Result<String, String> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut target = format!("/explain?url={}&method={}", encoded(&self.url), encoded(&self.method));
        for header in &self.header {
            target.push_str(&format!("&header={}", encoded(header)));
        }
        if let Some(viewer) = self.viewer {
            target.push_str(&format!("&viewer={}", encoded(&viewer.to_string())));
        }
        let address = self.over.admin().unwrap_or(admin::DEFAULT);
        let answer = Client::new(address, &self.signing)?.request("GET", &target, "")?;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.reason()) }
    }
}

/// An edge that listens nowhere and asks nobody.
fn standing_still(config: &Config) -> Result<Arc<Edge>, String> {
    let log = AccessLog::open(&AccessLogTarget::Off, Arc::clone(&config.identity.pop));
    let log = log.map_err(|error| error.to_string())?;
    let nobody = CredentialSource::fixed(Credentials::new("-", "-", None, None, "explain"));
    Edge::new(config, Metrics::new(), log, |_| Arc::clone(&nobody)).map_err(|error| error.to_string())
}

/// As [`Explanation`] shows itself.
fn shown(json: &str) -> String {
    serde_json::from_str::<Explanation>(json).map_or_else(|_| json.to_owned(), |told| told.to_string())
}
