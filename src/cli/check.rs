//! `sidehook check`: is this config right?

use std::process::ExitCode;

use super::{ConfigFile, DOES_NOT_HOLD, terminal};
use crate::config;

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
}

impl Check {
    pub(super) fn run(&self) -> ExitCode {
        let path = self.config.path();
        match config::load(&path) {
            Ok(config) => {
                terminal::complain(&config.warnings);
                if self.strict && !config.warnings.is_empty() {
                    return ExitCode::from(DOES_NOT_HOLD);
                }
                let endpoints = terminal::count(config.endpoints.len(), "endpoint");
                let routes = terminal::count(config.routes.len(), "route");
                terminal::print(format_args!("{}: ok, {endpoints}, {routes}", path.display()));
                ExitCode::SUCCESS
            }
            Err(problems) => {
                terminal::complain(&problems);
                ExitCode::from(DOES_NOT_HOLD)
            }
        }
    }
}
