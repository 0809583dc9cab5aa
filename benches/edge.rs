//! The edgeseal binary under load over loopback: requests per second, latency, and above all what a request costs it.
//!
//! `cargo bench --bench edge` measures; benches/README.md says what the columns mean and has figures.
//!
//! ```text
//! this process: load (other cores) ──TLS──▶ edgeseal run (core 0) ──signed HTTP──▶ this process: embedded origin
//! ```
//!
//! The edge is a process of its own, a fresh one for each scenario and round, so that its CPU time can be read.

#[path = "edge/load.rs"]
mod load;
#[path = "edge/report.rs"]
mod report;
#[path = "edge/scenario.rs"]
mod scenario;
#[path = "edge/stage.rs"]
mod stage;

use std::io::Write as _;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use edgeseal::demo::viewer::Failure;
use tokio::runtime::{Builder, Runtime};

use load::Load;
use report::Report;
use scenario::{SCENARIOS, Scenario};
use stage::{Bucket, EdgeProcess, pin};

#[derive(Debug, Parser)]
#[command(name = "edge", about = "Drives the edgeseal binary over loopback and prints what it takes")]
struct Arguments {
    /// Seconds that each scenario is measured in each round, after a fifth of that to warm up
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Connections, each with one request at a time (HTTP/2: with several)
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    connections: u16,
    /// Rounds; the scenarios are interleaved, and medians are printed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Only this scenario; may be repeated
    #[arg(long, value_parser = PossibleValuesParser::new(SCENARIOS.iter().map(|scenario| scenario.name)))]
    scenario: Vec<String>,
    /// Serving threads of the edge
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Let the system place edge and load; otherwise the edge has a core for each worker and the load has the others
    #[arg(long)]
    no_pin: bool,
    /// Another edgeseal to drive
    #[arg(long, default_value = env!("CARGO_BIN_EXE_edgeseal"))]
    binary: PathBuf,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let period = Duration::try_from_secs_f64(arguments.seconds)?;
    let cores = place(&arguments);
    let runtime = runtime()?;
    let bucket = runtime.block_on(Bucket::start())?;
    let chosen: Vec<&'static Scenario> =
        SCENARIOS.iter().filter(|scenario| arguments.wants(scenario)).collect();

    let mut report = Report::new(&chosen);
    for round in 1..=arguments.rounds {
        for (index, scenario) in chosen.iter().enumerate() {
            say(&format!("round {round} of {}: {}", arguments.rounds, scenario.name));
            let log = scenario.access_log;
            let edge =
                EdgeProcess::start(&arguments.binary, &bucket, arguments.workers, log, cores.as_deref())?;
            let load = Load { scenario, connections: arguments.connections, period };
            report.add(index, &runtime.block_on(load.run(&edge))?);
        }
    }
    write!(std::io::stdout().lock(), "\n{report}")?;
    Ok(())
}

impl Arguments {
    fn wants(&self, scenario: &Scenario) -> bool {
        self.scenario.is_empty() || self.scenario.iter().any(|name| name == scenario.name)
    }
}

/// Puts this process on the cores that the edge's workers leave, before it has other threads. Returns the edge's.
fn place(arguments: &Arguments) -> Option<String> {
    let (workers, cores) = (arguments.workers, available_parallelism().map_or(1, usize::from));
    if arguments.no_pin {
        return None;
    }
    if !(1..cores).contains(&workers) {
        say("nothing is pinned, so the figures say less: no core is left for the load");
        return None;
    }
    match pin(std::process::id(), &format!("{workers}-{}", cores - 1)) {
        Ok(()) => Some(format!("0-{}", workers - 1)),
        Err(why) => {
            say(&format!("nothing is pinned, so the figures say less: {why}"));
            None
        }
    }
}

/// For the load and the embedded origin: a thread for each core that is left to them.
fn runtime() -> Result<Runtime, Failure> {
    let threads = available_parallelism().map_or(1, usize::from);
    Ok(Builder::new_multi_thread().worker_threads(threads).enable_all().build()?)
}

/// Progress; a closed standard error is nobody's loss.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
