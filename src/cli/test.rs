//! `sidehook test`: does an endpoint take a ping?

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;

use super::{
    ConfigFile, DOES_NOT_HOLD, Stop, request, run,
    sidecar::{PATIENCE, Sidecar},
    terminal,
};
use crate::{
    config::{self, Config},
    deliver::{self, Client, Report},
    endpoint::Endpoint,
};

#[derive(Debug, clap::Args)]
pub(super) struct Test {
    /// The endpoint's name in the config
    endpoint: String,
    #[command(flatten)]
    config: ConfigFile,
    /// Let the running sidecar do it (by its admin listener), and disable the endpoint when it fails
    #[arg(long)]
    disable_on_failure: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let success = match self.disable_on_failure {
            true => run::block_on(self.ask_sidecar())?,
            false => self.send()?,
        };
        Ok(if success { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
    }

    /// Sends the ping itself; says whether the receiver took it.
    fn send(&self) -> anyhow::Result<bool> {
        let config = config::load(&self.config.path()).map_err(Stop::Config)?;
        let endpoint = self.endpoint(&config)?;
        let request = deliver::ping_request(endpoint, &config.listen.source)?;
        if !self.json {
            terminal::print(request::shown(endpoint, &request, false));
        }
        let answered = run::runtime()?.block_on(deliver::ping(&Arc::new(Client::new(Arc::default())), endpoint, request));
        let report = Report::of(endpoint, &answered);
        terminal::print(if self.json { serde_json::to_string(&report)? } else { told(&report) });
        Ok(report.success)
    }

    fn endpoint<'c>(&self, config: &'c Config) -> Result<&'c Endpoint, Stop> {
        let found = config.endpoints.iter().find(|endpoint| *endpoint.name == *self.endpoint);
        found.map(|endpoint| &**endpoint).ok_or_else(|| {
            let names: Vec<&str> = config.endpoints.iter().map(|endpoint| &*endpoint.name).collect();
            Stop::Usage(format!("there is no endpoint `{}`: there are {}", self.endpoint, names.join(", ")))
        })
    }

    /// Has the running sidecar send it, and disables the endpoint where the receiver does not take it.
    async fn ask_sidecar(&self) -> anyhow::Result<bool> {
        let path = self.config.path();
        let admin = config::load_admin(&path).map_err(Stop::Config)?;
        let admin = admin.ok_or_else(|| Stop::Usage(format!("{} has no [admin] listener to ask", path.display())))?;
        let sidecar = Sidecar::admin(&admin)?;
        let answer = self.ask(&sidecar, "test", Bytes::new(), UNKNOWN_TIMEOUT).await?;
        let report: Report<'_> = serde_json::from_slice(&answer).context("that is no sidecar's answer")?;
        if !report.success {
            let reason = match (&report.error, report.http_status) {
                (Some(error), _) => format!("a test failed: {error}"),
                (None, status) => format!("a test failed: the receiver answered {}", status.unwrap_or_default()),
            };
            let why = serde_json::to_vec(&Why { reason })?;
            self.ask(&sidecar, "disable", why.into(), PATIENCE).await?;
        }
        terminal::print(if self.json { with_disabled(&report)? } else { told(&report) });
        if !report.success && !self.json {
            terminal::print(terminal::bad(format_args!("endpoint {} is disabled", self.endpoint)));
        }
        Ok(report.success)
    }

    async fn ask(&self, sidecar: &Sidecar, action: &str, body: Bytes, patience: Duration) -> anyhow::Result<Bytes> {
        let request = sidecar.request("POST", &format!("/endpoints/{}/{action}", self.name()?));
        let answer = sidecar.ask(request.body(Full::new(body))?, patience).await?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            _ => bail!("{action} was refused: {}", answer.refusal()),
        }
    }

    /// As it stands in a path: nothing in an endpoint's name needs escaping.
    fn name(&self) -> Result<&str, Stop> {
        let is_name = self.endpoint.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        match is_name && !self.endpoint.is_empty() {
            true => Ok(&self.endpoint),
            false => Err(Stop::Usage(format!("`{}` is no endpoint's name", self.endpoint))),
        }
    }
}

fn told(report: &Report<'_>) -> String {
    let Some(status) = report.http_status else {
        let error = report.error.as_deref().unwrap_or_default();
        return format!("    -> {}", terminal::bad(terminal::printable(error.as_bytes())));
    };
    let line = format!("answered {status} in {:.1} ms", report.duration_ms.unwrap_or_default());
    let line = if report.success { terminal::good(line) } else { terminal::bad(format_args!("{line}: no success")) };
    let response = report.response.as_deref().unwrap_or_default();
    format!("    -> {line}\n\n{}", terminal::indented(&terminal::printable(response.as_bytes()))).trim_end().to_owned()
}

#[derive(serde::Serialize)]
struct Why {
    reason: String,
}

fn with_disabled(report: &Report<'_>) -> serde_json::Result<String> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        report: &'a Report<'a>,
        disabled: bool,
    }
    serde_json::to_string(&Line { report, disabled: !report.success })
}

/// Longer than an endpoint's own timeout, which only the sidecar knows.
const UNKNOWN_TIMEOUT: Duration = Duration::from_secs(3600);
