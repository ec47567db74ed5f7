//! The command line: one file a command.
//!
//! Exit codes: 0 done; 1 the thing asked about does not hold; 2 wrong usage; 3 could not start; 75 stopped with events
//! lost.
//!
//! **Invariant:** stdout is what the command was asked for, stderr is what is said about it.

mod check;
mod demo;
mod run;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// What can be typed.
#[derive(Debug, Parser)]
#[command(name = "sidehook", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Validate a config file
    #[command(after_help = CHECK_EXAMPLES)]
    Check(check::Check),
    /// Show the whole thing at work: a receiver, the sidecar and a few events, in one process
    Demo(demo::Demo),
    /// Run the sidecar
    #[command(after_help = RUN_EXAMPLES)]
    Run(run::Run),
}

/// Where the config file is.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The config file [default: $SIDEHOOK_CONFIG, then sidehook.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn path(&self) -> PathBuf {
        let from_environment = || std::env::var_os("SIDEHOOK_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.config.clone().or_else(from_environment).unwrap_or_else(|| PathBuf::from("sidehook.toml"))
    }
}

/// Does what was typed.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(check) => check.run(),
        Command::Demo(demo) => demo.run(),
        Command::Run(run) => run.run(),
    }
}

/// The thing asked about does not hold.
const DOES_NOT_HOLD: u8 = 1;

/// Could not start: the config, an address in use.
const COULD_NOT_START: u8 = 3;

/// Stopped with events lost (`EX_TEMPFAIL`).
const EVENTS_LOST: u8 = 75;

const CHECK_EXAMPLES: &str = "Examples:
  sidehook check
  sidehook check --config /etc/sidehook/sidehook.toml --strict";

const RUN_EXAMPLES: &str = "Examples:
  sidehook run
  sidehook run --config /etc/sidehook/sidehook.toml

Signals: SIGTERM or SIGINT delivers what is queued, for shutdown.grace at the most, and ends;
a second one ends at once, keeping what is left; SIGHUP reads the config and opens the log again.";
