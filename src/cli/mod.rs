//! The command line: one file a command.
//!
//! Exit codes: 0 done; 1 the thing asked about does not hold; 2 wrong usage; 3 could not start; 75 stopped with events
//! lost.
//!
//! **Invariant:** stdout is what the command was asked for, stderr is what is said about it.

mod bar;
mod check;
mod completions;
mod demo;
mod explain;
mod health;
mod listen;
mod logs;
mod moment;
mod receiver;
mod replay;
mod request;
mod run;
mod schema;
mod send;
mod sidecar;
mod signature;
mod terminal;
mod test;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::config;

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
    #[command(after_help = CHECK_EXAMPLES, after_long_help = check::codes(CHECK_EXAMPLES))]
    Check(check::Check),
    /// Print a shell's completion script
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(completions::Completions),
    /// Show the whole thing at work: a receiver, the sidecar and a few events, in one process
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(demo::Demo),
    /// Say which routes select an event, and show the requests it would become; nothing is sent
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(explain::Explain),
    /// Ask a running sidecar whether it takes events
    #[command(after_help = HEALTH_EXAMPLES)]
    Health(health::Health),
    /// Receive requests and show them, and whether their signatures verify
    #[command(after_help = LISTEN_EXAMPLES)]
    Listen(listen::Listen),
    /// Search delivery logs, or follow one
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(logs::Logs),
    /// Print a manual page, in roff
    #[command(hide = true, after_help = MAN_EXAMPLES)]
    Man(completions::Man),
    /// Post dead letters again
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(replay::Replay),
    /// Run the sidecar
    #[command(after_help = RUN_EXAMPLES)]
    Run(run::Run),
    /// Print a JSON Schema of the config file, for editors, or of a line of the delivery log
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema(schema::Schema),
    /// Post an event to a running sidecar
    #[command(after_help = SEND_EXAMPLES)]
    Send(send::Send),
    /// Send a ping to an endpoint, and show request and answer
    #[command(after_help = TEST_EXAMPLES)]
    Test(test::Test),
    /// Verify the signature of a request
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(verify::Verify),
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
        self.named().unwrap_or_else(|| PathBuf::from("sidehook.toml"))
    }

    /// Whether somebody said which file it is.
    fn is_named(&self) -> bool {
        self.named().is_some()
    }

    fn named(&self) -> Option<PathBuf> {
        let from_environment = || std::env::var_os("SIDEHOOK_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.config.clone().or_else(from_environment)
    }
}

/// Does what was typed.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check(check) => check.run(),
        Command::Completions(completions) => completions.run(),
        Command::Demo(demo) => Ok(demo.run()),
        Command::Explain(explain) => explain.run(),
        Command::Health(health) => health.run(),
        Command::Listen(listen) => listen.run(),
        Command::Logs(logs) => logs.run(),
        Command::Man(man) => man.run(),
        Command::Replay(replay) => replay.run(),
        Command::Run(run) => Ok(run.run()),
        Command::Schema(schema) => schema.run(),
        Command::Send(send) => send.run(),
        Command::Test(test) => test.run(),
        Command::Verify(verify) => verify.run(),
    };
    done.unwrap_or_else(|error| {
        let code = match error.downcast_ref() {
            Some(Stop::Config(problems)) => {
                terminal::complain_of(problems);
                terminal::complain("\n");
                terminal::fail(problems.summary());
                return ExitCode::from(COULD_NOT_START);
            }
            Some(Stop::CouldNotStart(_)) => COULD_NOT_START,
            Some(Stop::Usage(_)) => WRONG_USAGE,
            None => DOES_NOT_HOLD,
        };
        terminal::fail(format_args!("{error:#}"));
        ExitCode::from(code)
    })
}

/// An error with an exit code of its own; any other means that the thing asked about does not hold.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("{0}")]
    Config(config::Problems),
    #[error("{0:#}")]
    CouldNotStart(anyhow::Error),
    #[error("{0}")]
    Usage(String),
}

/// The thing asked about does not hold.
const DOES_NOT_HOLD: u8 = 1;

/// What was typed makes no sense; clap's own code for it.
const WRONG_USAGE: u8 = 2;

/// Could not start: the config, an address in use.
const COULD_NOT_START: u8 = 3;

/// Stopped with events lost (`EX_TEMPFAIL`).
const EVENTS_LOST: u8 = 75;

const CHECK_EXAMPLES: &str = "Examples:
  sidehook check
  sidehook check --config /etc/sidehook/sidehook.toml --strict
  sidehook check --format json | jq '.problems[].message'

Exits 0 if the config is right, else 1; --help lists the codes of problems.";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  sidehook completions bash > /etc/bash_completion.d/sidehook
  sidehook completions zsh > ~/.zfunc/_sidehook
  sidehook completions fish > ~/.config/fish/completions/sidehook.fish";

const DEMO_EXAMPLES: &str = "Examples:
  sidehook demo
  sidehook demo | less

It uses free ports and a temporary folder, ends by itself, and exits 0 only if all arrived and verified.";

const HEALTH_EXAMPLES: &str = "Examples:
  sidehook health
  sidehook health --to http://127.0.0.1:7070 && echo up

Exits 0 if the sidecar is ready, else 1.";

const LISTEN_EXAMPLES: &str = "Examples:
  sidehook listen
  sidehook listen --address 127.0.0.1:9001 --fail-first 2 --delay 250ms
  sidehook listen --scheme standard --secret env:BILLING_SECRET --json";

const LOGS_EXAMPLES: &str = "Examples:
  sidehook logs --outcome failed --since 15m
  sidehook logs --endpoint billing --event 'purchase.*' --since 5m --follow
  sidehook logs --event-id order-17 --format jsonl | jq .url
  sidehook logs --since 2026-11-01 --until 2026-12-01 --format csv --output november.csv
  sidehook logs /var/log/sidehook/deliveries.jsonl --stats
  zstd -dc old.jsonl.zst | sidehook logs - --endpoint billing

A line has to be as every filter says; of one that is given several times, as one of its values.
Rotated files beside a log are read with it, whoever rotated them, plain or gzipped, in the order of the time in them;
`logs - < FILE` reads a file alone. Lines are read in both of the log's formats; damaged ones are left out, and counted.
Exits 0 also if nothing is found, and 1 if a file could not be read.";

const MAN_EXAMPLES: &str = "Examples:
  sidehook man > /usr/local/share/man/man1/sidehook.1
  sidehook man replay | man -l -";

const REPLAY_EXAMPLES: &str = "Examples:
  sidehook replay state/dead_letters.jsonl --dry-run
  sidehook replay state/dead_letters.jsonl --endpoint billing --since 24h --rate 100/s

FILE is renamed to FILE.replaying, and a sidecar begins a new one; a left-over FILE.replaying goes first. What is not
answered 202 goes back into FILE, also at Ctrl-C. Exits 0 if all that was selected was accepted, else 1.";

const RUN_EXAMPLES: &str = "Examples:
  sidehook run
  sidehook run --config /etc/sidehook/sidehook.toml

Signals: SIGTERM or SIGINT delivers what is queued, for shutdown.grace at the most, and ends;
a second one ends at once, keeping what is left; SIGHUP reads the config and opens the log again.";

const SCHEMA_EXAMPLES: &str = "Examples:
  sidehook schema > sidehook.schema.json
  sidehook schema --log > line.schema.json
  sidehook schema --log --format ecs | jq '.properties | keys'

A config file that begins with `#:schema ./sidehook.schema.json` is then checked, completed and explained by editors that
use taplo, such as VS Code with Even Better TOML.";

const SEND_EXAMPLES: &str = r#"Examples:
  sidehook send purchase.completed --data '{"sku": "gold", "total": 12.50}'
  sidehook send purchase.completed --data @event.json --id order-17 --wait 10
  jq .order orders.json | sidehook send order.created --data - --json"#;

const EXPLAIN_EXAMPLES: &str = "Examples:
  sidehook explain purchase.completed --data event.json
  echo '{\"sku\": \"gold\"}' | sidehook explain purchase.completed --data -

Nothing is sent, and no running sidecar is asked: it reads the config file as it is now.";

const TEST_EXAMPLES: &str = "Examples:
  sidehook test billing
  sidehook test billing --config /etc/sidehook/sidehook.toml --json
  sidehook test billing --disable-on-failure

It is one attempt, made by this command and not by a running sidecar, also at an endpoint that is not active; with
--disable-on-failure the running sidecar makes it, and it needs an [admin] listener.
Exits 0 if the answer is a success, else 1.";

const VERIFY_EXAMPLES: &str = "Examples:
  sidehook verify --scheme standard --secret env:BILLING_SECRET --headers headers.txt --body body.json
  sidehook verify --scheme stripe --secret file:secrets/stripe --tolerance 5m --headers headers.txt --body body.json
  sidehook verify --scheme hmac --secret env:KEY --key hex --signed '{timestamp}.{body}' \\
    --signature-header 'X-Sig: t={timestamp},{signatures}' --each 's={signature}' --headers headers.txt --body body.json

Exits 0 if the signature verifies, else 1.";
