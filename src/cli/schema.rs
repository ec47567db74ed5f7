//! `sidehook schema`: what a config file may say, as editors read it, and what a line of the log does.

use std::process::ExitCode;

use super::terminal;
use crate::{config, log};

#[derive(Debug, clap::Args)]
pub(super) struct Schema {
    /// Of a line of the delivery log, as JSON Schema 2020-12, instead
    #[arg(long)]
    log: bool,
    /// How the log's keys are named: as the config's log.format says
    #[arg(long, value_enum, default_value = "plain", requires = "log")]
    format: Format,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Ecs,
    Plain,
}

impl Schema {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let schema = match (self.log, self.format) {
            (false, _) => config::schema()?,
            (true, Format::Ecs) => log::schema(log::Format::Ecs)?,
            (true, Format::Plain) => log::schema(log::Format::Plain)?,
        };
        terminal::try_print(schema)?;
        Ok(ExitCode::SUCCESS)
    }
}
