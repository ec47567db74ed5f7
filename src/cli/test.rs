//! `sidehook test`: does an endpoint take a ping?

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::Request;

use super::{ConfigFile, DOES_NOT_HOLD, Stop, request, run, terminal};
use crate::{
    config::{self, Config},
    deliver::{self, Client, Pong},
    endpoint::Endpoint,
    event::{Event, GeneratedId, Time},
    log, pipeline,
    retry::Failure,
};

#[derive(Debug, clap::Args)]
pub(super) struct Test {
    /// The endpoint's name in the config
    endpoint: String,
    #[command(flatten)]
    config: ConfigFile,
    /// Let the running sidecar do it, and disable the endpoint when it fails (not available yet)
    #[arg(long)]
    disable_on_failure: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if self.disable_on_failure {
            return Err(
                Stop::Usage("--disable-on-failure needs the admin listener, which is not available yet".to_owned()).into()
            );
        }
        let config = config::load(&self.config.path()).map_err(Stop::Config)?;
        let endpoint = self.endpoint(&config)?;
        let request = ping(endpoint, &config.listen.source)?;
        if !self.json {
            terminal::print(request::shown(endpoint, &request, false));
        }
        let answered = run::runtime()?.block_on(deliver::ping(&Arc::new(Client::new(Arc::default())), endpoint, request));
        let success = answered.as_ref().is_ok_and(|pong| endpoint.success.contains(pong.status));
        terminal::print(if self.json { json(endpoint, &answered, success)? } else { told(&answered, success) });
        Ok(if success { ExitCode::SUCCESS } else { ExitCode::from(DOES_NOT_HOLD) })
    }

    fn endpoint<'c>(&self, config: &'c Config) -> Result<&'c Endpoint, Stop> {
        let found = config.endpoints.iter().find(|endpoint| *endpoint.name == *self.endpoint);
        found.map(|endpoint| &**endpoint).ok_or_else(|| {
            let names: Vec<&str> = config.endpoints.iter().map(|endpoint| &*endpoint.name).collect();
            Stop::Usage(format!("there is no endpoint `{}`: there are {}", self.endpoint, names.join(", ")))
        })
    }
}

fn ping(endpoint: &Endpoint, source: &str) -> anyhow::Result<Request<Bytes>> {
    let now = SystemTime::now();
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 10];
    getrandom::fill(&mut random)?;
    let millis = since_epoch.as_millis() as u64;
    let (id, batch) = (GeneratedId::event(millis, &random), GeneratedId::batch(millis, &random));
    let unix_seconds = since_epoch.as_secs() as i64;
    let (time, data) = (log::timestamp(now), format!("{{\"type\":\"ping\",\"epoch_timestamp\":{unix_seconds}}}"));
    let time = Time { text: &time, unix_seconds };
    let id = id.as_str();
    let event = Event { id, event_type: "ping", time, context: None, data: &data, source, cloud: None, trace: None };
    Ok(pipeline::ping(endpoint, &event, batch.as_str(), now)?)
}

fn told(answered: &Result<Pong, Failure>, success: bool) -> String {
    match answered {
        Ok(Pong { status, response, duration }) => {
            let line = format!("answered {status} in {:.1} ms", millis(*duration));
            let line = if success { terminal::good(line) } else { terminal::bad(format_args!("{line}: no success")) };
            format!("    -> {line}\n\n{}", terminal::indented(&terminal::printable(response.as_bytes()))).trim_end().to_owned()
        }
        Err(failure) => format!("    -> {}", terminal::bad(terminal::printable(failure.error.as_bytes()))),
    }
}

#[derive(serde::Serialize)]
struct Line<'a> {
    endpoint: &'a str,
    method: &'a str,
    url: &'a str,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
}

fn json(endpoint: &Endpoint, answered: &Result<Pong, Failure>, success: bool) -> serde_json::Result<String> {
    let (pong, failure) = (answered.as_ref().ok(), answered.as_ref().err());
    serde_json::to_string(&Line {
        endpoint: &endpoint.name,
        method: endpoint.method.as_str(),
        url: &endpoint.target.shown,
        success,
        http_status: pong.map(|pong| pong.status),
        duration_ms: pong.map(|pong| millis(pong.duration)),
        response: pong.map(|pong| &*pong.response).filter(|response| !response.is_empty()),
        error: failure.map(|failure| &*failure.error),
        error_code: failure.map(|failure| failure.code.as_str().into_owned()),
    })
}

/// To the microsecond, as in the delivery log.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
