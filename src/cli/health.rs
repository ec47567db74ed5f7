//! `sidehook health`: does a running sidecar take events?

use std::process::ExitCode;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;

use super::{
    DOES_NOT_HOLD, run,
    sidecar::{PATIENCE, Which},
    terminal,
};

#[derive(Debug, clap::Args)]
pub(super) struct Health {
    #[command(flatten)]
    which: Which,
}

impl Health {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let sidecar = self.which.find()?;
        let request = sidecar.request("GET", "/readyz").body(Full::<Bytes>::default())?;
        let answer = run::block_on(sidecar.ask(request, PATIENCE))?;
        if answer.status == StatusCode::OK {
            terminal::print("ready");
            return Ok(ExitCode::SUCCESS);
        }
        terminal::print(format_args!("not ready: {}", answer.refusal()));
        Ok(ExitCode::from(DOES_NOT_HOLD))
    }
}
