//! `edgeseal healthcheck`: the probe of an image in which there is nothing else to ask with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::{FAILED, admin, print, say};
use crate::config::raw::Amount;
use crate::config::units::{self, UnitError};

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// The running edge's admin listener; of 0.0.0.0 or [::], its loopback address is asked
    #[arg(long, env = "EDGESEAL_ADMIN", default_value = admin::DEFAULT, value_name = "ADDR")]
    admin: String,
    /// Ask whether viewers should be sent here (/readyz), and not only whether it lives (/healthz)
    #[arg(long)]
    ready: bool,
    /// How long the answer may take
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = time)]
    timeout: Duration,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl Healthcheck {
    pub(super) fn execute(&self) -> ExitCode {
        let path = if self.ready { "/readyz" } else { "/healthz" };
        let answer = match admin::get(&reachable(&self.admin), path, self.timeout) {
            Ok(answer) => answer,
            Err(why) => {
                say(&format!("edgeseal: {why}"));
                return ExitCode::from(FAILED);
            }
        };
        let is_well = answer.status == 200;
        print(&if self.json { json(is_well, &answer.body) } else { words(is_well, &answer.body) });
        if is_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
    }
}

fn time(text: &str) -> Result<Duration, UnitError> {
    units::duration(&Amount::Text(text.to_owned()))
}

/// Where one listens on all addresses, one is reached by loopback, too; and there a probe is always answered.
fn reachable(address: &str) -> String {
    let Ok(mut bound) = address.parse::<SocketAddr>() else {
        return address.to_owned();
    };
    if bound.ip().is_unspecified() {
        bound.set_ip(match bound.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    bound.to_string()
}

/// `/readyz` speaks JSON, `/healthz` does not.
fn json(is_well: bool, body: &str) -> String {
    match serde_json::from_str::<Value>(body) {
        Ok(said @ Value::Object(_)) => said.to_string(),
        _ => serde_json::json!({ "healthy": is_well }).to_string(),
    }
}

/// `ok`, or a line for each thing that is not.
fn words(is_well: bool, body: &str) -> String {
    if is_well {
        return "ok".to_owned();
    }
    let said: Value = serde_json::from_str(body).unwrap_or_default();
    let failing = said["checks"].as_array().into_iter().flatten().filter(|check| check["ok"] == false);
    let lines: Vec<String> = failing
        .map(|check| {
            let detail = check["detail"].as_str().unwrap_or_default();
            format!("{}: {detail}", check["name"].as_str().unwrap_or_default())
                .trim_end_matches(": ")
                .to_owned()
        })
        .collect();
    if lines.is_empty() { "not well".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_is_asked_by_loopback() {
        for (bound, asked) in [
            ("127.0.0.1:9090", "127.0.0.1:9090"),
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.1.2.3:9090", "10.1.2.3:9090"),
            ("localhost:9090", "localhost:9090"),
        ] {
            assert_eq!(reachable(bound), asked);
        }
    }

    #[test]
    fn what_fails_is_named() {
        let body = r#"{"ready":false,"checks":[{"name":"draining","ok":false,"detail":""},
            {"name":"certificates","ok":true,"detail":"valid"},{"name":"origin","ok":false,"detail":"b: never"}]}"#;
        for (is_well, body, said) in [
            (true, "ok", "ok"),
            (true, body, "ok"),
            (false, body, "draining\norigin: b: never"),
            (false, "", "not well"),
            (false, "{}", "not well"),
        ] {
            assert_eq!(words(is_well, body), said);
        }
        assert_eq!(json(true, "ok"), r#"{"healthy":true}"#);
        assert_eq!(json(false, r#"{"ready":false}"#), r#"{"ready":false}"#);
    }
}
