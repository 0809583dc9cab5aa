//! What `run.py` needs and Debian has not: a load at a fixed rate whose latencies count from when each request was due,
//! handshakes that are certainly full or certainly resumed, many idle connections, every key once, and a bare server.
//!
//! One core, one thread. `run.py` builds, starts and reads it; by hand: `compare-client help`.

#[path = "client/bare.rs"]
mod bare;
#[path = "client/http.rs"]
mod http;
#[path = "client/lanes.rs"]
mod lanes;
#[path = "client/open.rs"]
mod open;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use http::{Expected, Failure, Target};

/// The program's own: `serve` is to be compared with it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "compare-client", about = "The part of benches/compare/run.py that must be fast")]
struct Arguments {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Requests at a fixed rate, whether or not earlier ones have been answered
    Open {
        #[command(flatten)]
        to: To,
        /// Requests a second
        #[arg(long)]
        rate: f64,
        /// Measured, after --warm
        #[arg(long)]
        seconds: f64,
        #[arg(long, default_value_t = 0.5)]
        warm: f64,
        #[arg(long, default_value_t = 64)]
        connections: usize,
    },
    /// A connection, a handshake, a GET and a close for each request
    Handshakes {
        #[command(flatten)]
        to: To,
        #[arg(long)]
        resume: bool,
        #[arg(long)]
        seconds: f64,
        #[arg(long, default_value_t = 16)]
        connections: usize,
    },
    /// A closed loop of what has no body, which wrk cannot read where it announces a length
    Bodiless {
        #[command(flatten)]
        to: To,
        #[arg(long, default_value = "GET")]
        method: String,
        /// A header field of the request
        #[arg(long, default_value = "")]
        field: String,
        #[arg(long)]
        seconds: f64,
        #[arg(long, default_value_t = 16)]
        connections: usize,
    },
    /// Connections with one request each, held until standard input ends
    Idle {
        #[command(flatten)]
        to: To,
        #[arg(long)]
        count: usize,
    },
    /// Each of so many paths once; {n} in --path is its number in six digits
    Walk {
        #[command(flatten)]
        to: To,
        #[arg(long)]
        count: usize,
        #[arg(long, default_value_t = 16)]
        connections: usize,
    },
    /// A server that does nothing but answer the same bytes, to tell what all else costs
    Serve {
        #[arg(long)]
        listen: SocketAddr,
        /// PEM
        #[arg(long)]
        cert: PathBuf,
        /// PEM
        #[arg(long)]
        key: PathBuf,
        /// An answer's head, to its empty line
        #[arg(long)]
        head: PathBuf,
        /// Bytes of the body
        #[arg(long)]
        length: usize,
    },
}

/// What is asked for, and how.
#[derive(Debug, Args)]
struct To {
    address: SocketAddr,
    #[arg(long)]
    path: String,
    #[arg(long, default_value_t = 200)]
    status: u16,
    /// Bytes of each body
    #[arg(long)]
    length: usize,
    /// PEM: the certificate that the server is to show
    #[arg(long)]
    ca: PathBuf,
    /// The only one that is offered
    #[arg(long, default_value = "TLS_AES_128_GCM_SHA256")]
    suite: String,
}

fn main() -> Result<(), Failure> {
    let Some(mode) = Arguments::parse().mode else {
        say("nothing to do: benches/compare/run.py drives this");
        return Ok(());
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, run(mode))
}

async fn run(mode: Mode) -> Result<(), Failure> {
    let seen = match mode {
        Mode::Open { to, rate, seconds, warm, connections } => {
            let [period, warm] = [Duration::try_from_secs_f64(seconds)?, Duration::try_from_secs_f64(warm)?];
            open::run(&to.target()?, rate, warm, period, connections).await?
        }
        Mode::Handshakes { to, resume, seconds, connections } => {
            lanes::handshakes(&to.target()?, resume, Duration::try_from_secs_f64(seconds)?, connections)
                .await?
        }
        Mode::Bodiless { to, method, field, seconds, connections } => {
            let mut target = to.target()?;
            target.expect_no_body();
            let field = if field.is_empty() { field } else { field + "\r\n" };
            let period = Duration::try_from_secs_f64(seconds)?;
            lanes::closed(&target, &target.request(&method, 0, &field), period, connections).await?
        }
        Mode::Idle { to, count } => {
            let held = lanes::hold(&to.target()?, count).await?;
            say(&json!({ "connections": held.len() }).to_string());
            tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
            return Ok(());
        }
        Mode::Walk { to, count, connections } => lanes::walk(&to.target()?, count, connections).await?,
        Mode::Serve { listen, cert, key, head, length } => {
            return bare::serve(listen, &cert, &key, std::fs::read(head)?, length).await;
        }
    };
    say(&seen.to_string());
    Ok(())
}

impl To {
    fn target(&self) -> Result<Target, Failure> {
        let expected = Expected { status: self.status, length: self.length, body: true };
        Target::new(self.address, &self.path, expected, &self.ca, &self.suite)
    }
}

/// A reader that has gone is nobody's loss.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
