//! `sidehook check`: is this config right?

use std::process::ExitCode;

use super::{ConfigFile, DOES_NOT_HOLD};
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
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line")]
    pub(super) fn run(&self) -> ExitCode {
        let path = self.config.path();
        match config::load(&path) {
            Ok(config) => {
                eprint!("{}", config.warnings);
                if self.strict && !config.warnings.is_empty() {
                    return ExitCode::from(DOES_NOT_HOLD);
                }
                println!("{}: ok, {} endpoints, {} routes", path.display(), config.endpoints.len(), config.routes.len());
                ExitCode::SUCCESS
            }
            Err(problems) => {
                eprint!("{problems}");
                ExitCode::from(DOES_NOT_HOLD)
            }
        }
    }
}
