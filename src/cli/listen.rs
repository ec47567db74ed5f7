//! `sidehook listen`: a receiver for trying things out.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::ExitCode,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use http::{StatusCode, request::Parts};
use tokio::net::TcpListener;

use super::{
    Stop,
    receiver::{self, Arrived, Manner},
    run, signature, terminal,
};
use crate::{config, log, sign::Verifier};

#[derive(Debug, clap::Args)]
pub(super) struct Listen {
    /// Where to listen; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:9000")]
    address: SocketAddr,
    #[command(flatten)]
    signature: signature::Flags,
    /// The status to answer with
    #[arg(long, default_value = "200", value_parser = status)]
    status: StatusCode,
    /// Answer 503 to so many requests first
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail_first: u32,
    /// Wait so long before each answer, e.g. 250ms
    #[arg(long, default_value = "0s", value_parser = config::duration)]
    delay: Duration,
    /// Print each request as one line of JSON
    #[arg(long)]
    json: bool,
}

impl Listen {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let verifier = self.signature.verifier()?;
        run::block_on(self.listen(verifier.as_ref()))
    }

    async fn listen(&self, verifier: Option<&Verifier>) -> anyhow::Result<ExitCode> {
        let interrupted = run::interrupted()?;
        let bound = TcpListener::bind(self.address).await.with_context(|| format!("cannot listen on {}", self.address));
        let listener = bound.map_err(Stop::CouldNotStart)?;
        terminal::complain(format_args!("listening on http://{}, Ctrl-C ends it", listener.local_addr()?));
        let mut requests = receiver::serve(listener, self.manner());
        let told = async {
            while let Some(request) = requests.recv().await {
                let verified = verifier.map(|verifier| {
                    let Parts { headers, method, .. } = &request.head;
                    let verified = verifier.verify(headers, method.as_str(), request.target(), &request.body);
                    self.signature.judge(verified, SystemTime::now())
                });
                let text = if self.json { json(&request, verified.as_ref())? } else { text(&request, verified.as_ref()) };
                // Nobody reads any more: that is how a listener in a pipe ends.
                if terminal::try_print(text).is_err() {
                    break;
                }
            }
            Ok(ExitCode::SUCCESS)
        };
        tokio::select! {
            ended = told => ended,
            () = interrupted => Ok(ExitCode::SUCCESS),
        }
    }

    fn manner(&self) -> Manner {
        let (failures, status) = (AtomicU32::new(self.fail_first), self.status);
        let fail = move || failures.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        let answer = move |_: &_| if fail() { StatusCode::SERVICE_UNAVAILABLE } else { status };
        Manner { answer: Box::new(answer), delay: self.delay }
    }
}

fn text(request: &Arrived, verified: Option<&Result<String, String>>) -> String {
    let verified = match verified {
        None => String::new(),
        Some(Ok(told)) => format!("{}, ", terminal::good(told)),
        Some(Err(error)) => format!("{}, ", terminal::bad(format_args!("the signature does not verify: {error}"))),
    };
    format!("{}    -> {verified}answered {}\n", request.shown(), request.answer.as_u16())
}

#[derive(serde::Serialize)]
struct Line<'a> {
    timestamp: String,
    method: &'a str,
    path: String,
    headers: BTreeMap<&'a str, String>,
    body: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    status: u16,
}

fn json(request: &Arrived, verified: Option<&Result<String, String>>) -> serde_json::Result<String> {
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in &request.head.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers.entry(name.as_str()).and_modify(|all| *all = format!("{all}, {value}")).or_insert_with(|| value.into_owned());
    }
    serde_json::to_string(&Line {
        timestamp: log::timestamp(SystemTime::now()),
        method: request.head.method.as_str(),
        path: request.head.uri.to_string(),
        headers,
        body: String::from_utf8_lossy(&request.body),
        verified: verified.map(Result::is_ok),
        error: verified.and_then(|verified| verified.as_ref().err()).map(String::as_str),
        status: request.answer.as_u16(),
    })
}

fn status(text: &str) -> Result<StatusCode, &'static str> {
    let status = text.parse().ok().filter(|status: &StatusCode| (200..=599).contains(&status.as_u16()));
    status.ok_or("a status is a number from 200 to 599")
}
