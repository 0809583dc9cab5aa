//! `edgeseal invalidate`: asks a running edge to remove objects from its cache.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{FAILED, print, say};

/// An invalidation takes effect at once, so this is for an edge that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Invalidate {
    /// Paths as in `aws cloudfront create-invalidation`: /index.html, /images/*, or #tag
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Id of the distribution; not needed when the edge has one only
    #[arg(long, value_name = "ID")]
    distribution: Option<String>,
    /// The running edge's admin listener
    #[arg(long, env = "EDGESEAL_ADMIN", default_value = "127.0.0.1:9090", value_name = "ADDR")]
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
        let body = serde_json::json!({ "distribution": self.distribution, "paths": self.paths });
        match post(&self.admin, &body.to_string()) {
            Ok((200, answer)) => {
                print(&if self.json { answer } else { format!("invalidated {} paths", self.paths.len()) });
                ExitCode::SUCCESS
            }
            Ok((status, answer)) => {
                let reason = serde_json::from_str::<serde_json::Value>(&answer)
                    .ok()
                    .and_then(|answer| Some(answer.get("error")?.as_str()?.to_owned()));
                say(&format!(
                    "edgeseal: {}",
                    reason.unwrap_or_else(|| format!("the edge answered {status}"))
                ));
                ExitCode::from(FAILED)
            }
            Err(error) => {
                say(&format!(
                    "edgeseal: no edge answers at {}: {error}; name its admin listener with --admin",
                    self.admin
                ));
                ExitCode::from(FAILED)
            }
        }
    }
}

/// Status and body of one POST to the admin listener, which is plain HTTP on a loopback address.
fn post(admin: &str, body: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "POST /invalidate HTTP/1.1\r\nHost: {admin}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}
