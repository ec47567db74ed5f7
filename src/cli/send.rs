//! `sidehook send`: an event for a running sidecar.

use std::{borrow::Cow, fs, io::Read, process::ExitCode, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::Full;
use serde_json::value::RawValue;

use super::{
    DOES_NOT_HOLD, Stop, run,
    sidecar::{Answer, PATIENCE, Sidecar, Which},
    terminal,
};
use crate::event;

#[derive(Debug, clap::Args)]
pub(super) struct Send {
    /// The event's type, e.g. purchase.completed
    #[arg(value_name = "TYPE", value_parser = event_type)]
    event_type: String,
    /// What it carries: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}", allow_hyphen_values = true)]
    data: String,
    /// The event's id [default: one is made]
    #[arg(long, value_parser = event_id)]
    id: Option<String>,
    /// Wait until its deliveries have ended, for so many seconds at most
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=60))]
    wait: Option<u64>,
    /// Print the sidecar's answer as it is
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

impl Send {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let data = self.data()?;
        let data: &RawValue = serde_json::from_str(&data).map_err(|error| Stop::Usage(format!("--data is not JSON: {error}")))?;
        let body = serde_json::to_vec(&Posted { event_type: &self.event_type, id: self.id.as_deref(), data })?;
        let sidecar = self.which.find()?;
        let answer = run::block_on(self.post(&sidecar, body.into()))?;
        self.show(&answer)
    }

    fn data(&self) -> anyhow::Result<Cow<'_, str>> {
        if self.data == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
            return Ok(text.into());
        }
        match self.data.strip_prefix('@') {
            Some(path) => Ok(fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?.into()),
            None => Ok(self.data.as_str().into()),
        }
    }

    async fn post(&self, sidecar: &Sidecar, body: Bytes) -> anyhow::Result<Answer> {
        let mut request = sidecar.request("POST", "/events").header(header::CONTENT_TYPE, "application/json");
        if let Some(seconds) = self.wait {
            request = request.header("prefer", format!("wait={seconds}"));
        }
        let patience = PATIENCE + Duration::from_secs(self.wait.unwrap_or_default());
        sidecar.ask(request.body(Full::new(body))?, patience).await
    }

    fn show(&self, answer: &Answer) -> anyhow::Result<ExitCode> {
        let accepted = matches!(answer.status, StatusCode::ACCEPTED | StatusCode::OK | StatusCode::BAD_GATEWAY);
        let event: Option<Accepted> = serde_json::from_slice(&answer.body).ok().filter(|_| accepted);
        if self.json {
            terminal::print(terminal::printable(&answer.body).trim_end());
        } else if let Some(event) = &event {
            terminal::print(event.told());
        }
        match event {
            Some(_) if answer.status == StatusCode::BAD_GATEWAY => Ok(ExitCode::from(DOES_NOT_HOLD)),
            Some(_) => Ok(ExitCode::SUCCESS),
            None => anyhow::bail!("the sidecar did not accept the event: {}", answer.refusal()),
        }
    }
}

#[derive(serde::Serialize)]
struct Posted<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    data: &'a RawValue,
}

#[derive(serde::Deserialize)]
struct Accepted {
    id: String,
    endpoints: Vec<String>,
    duplicate: bool,
    #[serde(default)]
    deliveries: Vec<Ended>,
}

/// What became of a delivery that was waited for.
#[derive(serde::Deserialize)]
struct Ended {
    endpoint: String,
    outcome: String,
    http_status: Option<u16>,
    attempts: u32,
}

impl Accepted {
    fn told(&self) -> String {
        let mut text = match (self.duplicate, self.endpoints.is_empty()) {
            (true, _) => format!("{} was accepted before and is not delivered again", self.id),
            (false, true) => format!("{} accepted, but no route selects it", self.id),
            (false, false) => format!("{} accepted for {}", self.id, self.endpoints.join(", ")),
        };
        let width = self.deliveries.iter().map(|ended| ended.endpoint.len()).max().unwrap_or_default();
        for Ended { endpoint, outcome, http_status, attempts } in &self.deliveries {
            let word = if outcome == "delivered" { terminal::good(outcome) } else { terminal::bad(outcome) };
            let status = http_status.map(|status| format!(", status {status}")).unwrap_or_default();
            let attempts = terminal::count(*attempts as usize, "attempt");
            text.push_str(&format!("\n  {endpoint:width$}  {word}, {attempts}{status}"));
        }
        text
    }
}

fn event_type(text: &str) -> Result<String, &'static str> {
    if event::is_type(text) { Ok(text.to_owned()) } else { Err("a type is 1–255 characters of A-Z a-z 0-9 . _ - : /") }
}

fn event_id(text: &str) -> Result<String, &'static str> {
    if event::is_id(text) { Ok(text.to_owned()) } else { Err("an id is 1–255 visible ASCII characters") }
}
