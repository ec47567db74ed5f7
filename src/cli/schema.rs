//! `sidehook schema`: what a config file may say, as editors read it.

use std::process::ExitCode;

use super::terminal;
use crate::config;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    terminal::try_print(config::schema()?)?;
    Ok(ExitCode::SUCCESS)
}
