//! `sidehook schema`: what a config file may say, as editors read it.

use std::process::ExitCode;

use super::terminal;
use crate::config;

#[derive(Debug, clap::Args)]
pub(super) struct Schema {}

impl Schema {
    #[expect(clippy::unused_self, reason = "as every command")]
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        terminal::try_print(&config::schema()?)?;
        Ok(ExitCode::SUCCESS)
    }
}
