//! The command line: what was typed becomes a configuration, an exit code and plain words.

mod admin;
mod asking;
mod bucket;
mod check;
mod compare;
mod completions;
#[cfg(feature = "demo")]
mod demo;
mod explain;
mod healthcheck;
mod import;
mod invalidate;
mod json_files;
mod man;
mod notify;
mod progress;
mod run;
mod source;
mod version;
mod warm;
mod watch;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use source::{Overriding, Source};

/// What `main` returns: 0 done, 1 it does not work, 2 wrong usage (clap's own).
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// A self-hosted CDN tier in front of private, KMS-encrypted S3 buckets.
#[derive(Debug, Parser)]
#[command(name = "edgeseal", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve
    Run(run::Run),
    /// An embedded private bucket, and the edge in front of it, to try things out
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    /// Validate a configuration and print every finding; opens nothing
    Check(check::Check),
    /// Print CloudFront's JSON as TOML
    Import(import::Import),
    /// Print version, build and crypto provider
    Version(version::Version),
    /// Not built yet: probe credentials, bucket and key for real
    Doctor(NotBuilt),
    /// Not built yet: print the least-privilege documents for a configuration
    Policy(NotBuilt),
    /// Remove objects from a running edge's cache
    Invalidate(invalidate::Invalidate),
    /// Say what a URL would get, and why
    Explain(Box<explain::Explain>),
    /// Compare an edge with another endpoint, CloudFront say: the same answers, and how fast
    Compare(Box<compare::Compare>),
    /// Fetch a list of URLs through an edge, so that viewers find them in its cache
    Warm(Box<warm::Warm>),
    /// Not built yet: make signed URLs and cookies
    Sign(NotBuilt),
    /// Ask a running edge whether it is well; exit 0 or 1
    Healthcheck(healthcheck::Healthcheck),
    /// Print a shell's completions of this command line
    Completions(completions::Completions),
    /// Print manual pages, or write them to a directory
    Man(man::Man),
}

/// A verb that a later release brings. It takes anything, and does nothing but say so.
#[derive(Debug, Args)]
#[command(disable_help_flag = false)]
struct NotBuilt {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _words: Vec<String>,
}

/// Reads the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    match verb {
        Verb::Run(run) => run.execute(),
        #[cfg(feature = "demo")]
        Verb::Demo(demo) => demo.execute(),
        Verb::Check(check) => check.execute(),
        Verb::Import(import) => import.execute(),
        Verb::Version(version) => version.execute(),
        Verb::Doctor(_) => not_built("doctor"),
        Verb::Policy(_) => not_built("policy"),
        Verb::Invalidate(invalidate) => invalidate.execute(),
        Verb::Explain(explain) => explain.execute(),
        Verb::Compare(compare) => compare.execute(),
        Verb::Warm(warm) => warm.execute(),
        Verb::Sign(_) => not_built("sign"),
        Verb::Healthcheck(healthcheck) => healthcheck.execute(),
        Verb::Completions(completions) => completions.execute(),
        Verb::Man(man) => man.execute(),
    }
}

fn not_built(verb: &str) -> ExitCode {
    say(&format!("edgeseal: `{verb}` is not built yet; `edgeseal --help` lists what is"));
    ExitCode::from(USAGE)
}

/// A diagnostic, on standard error.
#[expect(clippy::print_stderr, reason = "this is where the command line speaks")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// A result, on standard output. A closed pipe is the reader's choice.
fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A result that is a file.
fn write(text: &[u8]) -> ExitCode {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
