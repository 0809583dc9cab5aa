//! `edgeseal man`: manual pages, from the same description as `--help`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man as Page;

use super::{Cli, FAILED, USAGE, say, write};

#[derive(Debug, Args)]
pub(super) struct Man {
    /// The page of this verb; without one, edgeseal(1)
    #[arg(value_name = "VERB", conflicts_with = "directory")]
    verb: Option<String>,
    /// Write every page into this directory, which is made if need be
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    pub(super) fn execute(&self) -> ExitCode {
        let root = described();
        if let Some(directory) = &self.directory {
            return match write_all(root, directory) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&format!("{}: {error}", directory.display())),
            };
        }
        let page = match &self.verb {
            None => root,
            Some(verb) => match root.get_subcommands().find(|known| known.get_name() == verb) {
                Some(known) => titled(known),
                None => {
                    say(&format!("edgeseal: there is no verb {verb:?}; `edgeseal --help` lists them"));
                    return ExitCode::from(USAGE);
                }
            },
        };
        let mut text = Vec::new();
        match Page::new(page).render(&mut text) {
            Ok(()) => write(&text),
            Err(error) => failed(&error.to_string()),
        }
    }
}

/// With the names of the verbs filled in, and without clap's own verb `help`.
fn described() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// Its page is called `edgeseal-run`, as git's are: `build` has seen to that.
fn titled(verb: &Command) -> Command {
    verb.clone().version(env!("CARGO_PKG_VERSION"))
}

fn write_all(root: Command, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for verb in root.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        Page::new(titled(verb)).generate_to(directory)?;
    }
    Page::new(root).generate_to(directory)?;
    Ok(())
}

fn failed(why: &str) -> ExitCode {
    say(&format!("edgeseal: {why}"));
    ExitCode::from(FAILED)
}
