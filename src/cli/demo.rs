//! `sidehook demo`: the whole thing at work, in one process, on free ports and a temporary folder.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::{
    COULD_NOT_START, DOES_NOT_HOLD,
    receiver::{self, Arrived, Manner},
    terminal,
};
use crate::{
    app::{App, Shutdown},
    config::{self, Config},
    endpoint::Endpoint,
};

#[derive(Debug, clap::Args)]
pub(super) struct Demo {}

impl Demo {
    pub(super) fn run(&self) -> ExitCode {
        match super::run::block_on(demo()) {
            Ok(failures) if failures.is_empty() => {
                terminal::print(format_args!("All {} requests arrived and verified.", DELIVERIES));
                ExitCode::SUCCESS
            }
            Ok(failures) => {
                failures.iter().for_each(|failure| terminal::complain(format_args!("error: {failure}")));
                ExitCode::from(DOES_NOT_HOLD)
            }
            Err(error) => {
                terminal::complain(format_args!("error: {error:#}"));
                ExitCode::from(COULD_NOT_START)
            }
        }
    }
}

/// Runs it all; says what did not go as it should.
async fn demo() -> anyhow::Result<Vec<String>> {
    // Its secrets are nobody else's.
    let private = Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().permissions(private).tempdir().context("no temporary folder")?;
    let (receiver, mut arrived) = receiver().await?;
    let path = folder.path().join("sidehook.toml");
    let text = CONFIG.replace("{receiver}", &receiver.to_string());
    terminal::print(format_args!("The config, {}:\n\n{}", path.display(), terminal::indented(&text)));
    std::fs::write(&path, text)?;
    for (name, secret) in SECRETS {
        std::fs::write(folder.path().join(name), secret)?;
    }
    let config = config::load(&path).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let app = App::bind(&path).await?;
    let sidecar = app.address().context("the demo listens on a port")?;
    let (trigger, shutdown) = Shutdown::channel();
    let running = tokio::spawn(app.run(shutdown));
    for (target, body) in EVENTS {
        let (status, answer) = post(sidecar, target, body).await?;
        terminal::print(format_args!("POST {target}\n{}\n{status} {answer}\n", terminal::indented(body)));
    }
    let mut failures = Vec::new();
    for _ in 0..DELIVERIES {
        let Ok(Some(request)) = timeout(PATIENCE, arrived.recv()).await else {
            failures.push(format!("no further request arrived within {PATIENCE:?}"));
            break;
        };
        terminal::print(request.shown());
        match verify(&request, &config) {
            Ok(verified) => terminal::print(format_args!("    -> {verified}, answered {}\n", request.answer.as_u16())),
            Err(failure) => {
                terminal::print(format_args!("    -> {failure}\n"));
                failures.push(failure);
            }
        }
    }
    trigger.drain();
    running.await.context("the sidecar has failed")?;
    terminal::print(format_args!("The delivery log:\n\n{}", terminal::indented(&read_log(folder.path())?)));
    Ok(failures)
}

/// What could be verified of a request, or why it could not.
fn verify(request: &Arrived, config: &Config) -> Result<&'static str, String> {
    let path = request.head.uri.path();
    let named = |endpoint: &&Arc<Endpoint>| endpoint.target.path_and_query.path() == path;
    let endpoint = config.endpoints.iter().find(named).ok_or_else(|| format!("{path}: no endpoint has this path"))?;
    for signer in &endpoint.signatures {
        let Parts { headers, method, .. } = &request.head;
        let verified = signer.verify(headers, method.as_str(), request.target(), &request.body);
        verified.map_err(|error| format!("{path}: the signature does not verify: {error}"))?;
    }
    if !endpoint.signatures.is_empty() {
        return Ok("the signature verifies");
    }
    verify_md5(&request.body).then_some("the MD5 is that of the payload").ok_or_else(|| format!("{path}: the MD5 is wrong"))
}

/// As a receiver of the `md5` envelope in XML would: over the text from `<payload>` to `</payload>`.
fn verify_md5(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let payload = text.find("<payload>").zip(text.find("</payload>"));
    let payload = payload.and_then(|(from, to)| text.get(from..to + "</payload>".len()));
    let sum = payload.map(|payload| data_encoding::HEXLOWER.encode(&Md5::digest(payload)));
    sum.is_some_and(|sum| text.contains(&format!("<md5>{sum}</md5>")))
}

/// A receiver of everything; it is not well at first, as receivers are.
async fn receiver() -> anyhow::Result<(std::net::SocketAddr, mpsc::Receiver<Arrived>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
    let address = listener.local_addr()?;
    let well = AtomicBool::new(false);
    let answer = move |head: &Parts| match head.uri.path() == UNWELL && !well.swap(true, Relaxed) {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    };
    Ok((address, receiver::serve(listener, Manner { answer: Box::new(answer), delay: Duration::ZERO })))
}

#[expect(clippy::disallowed_methods, reason = "the sidecar's answers are short")]
async fn post(to: std::net::SocketAddr, target: &str, body: &'static str) -> anyhow::Result<(StatusCode, String)> {
    let stream = TcpStream::connect(to).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post(target).header("host", to.to_string()).header("content-type", "application/json");
    let response = sender.send_request(request.body(Full::new(Bytes::from_static(body.as_bytes())))?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn read_log(folder: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(folder.join("deliveries.jsonl")).context("the delivery log cannot be read")
}

const CONFIG: &str = r#"[listen]
address = "127.0.0.1:0"

[log]
deliveries = "deliveries.jsonl"

[endpoints.billing]
url = "http://{receiver}/billing"
envelope = "standard"
signature = { scheme = "standard", secrets = [{ file = "billing.secret" }] }
retry = { attempts = 3, delay = "200ms" }

[endpoints.marketplace]
url = "http://{receiver}/marketplace"
method = "PUT"
format = "xml"
envelope = "md5"
auth = "none"

[endpoints.chat]
url = "http://{receiver}/chat"
format = "form"
envelope = "none"
headers = { X-Event = "{type}" }
signature = { scheme = "slack", secrets = [{ file = "chat.secret" }] }

[[routes]]
events = ["purchase.*"]
to = ["billing", "marketplace"]

[[routes]]
events = ["**", "!purchase.refunded"]
to = ["chat"]
"#;

/// Files and what they hold.
const SECRETS: [(&str, &str); 2] =
    [("billing.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), ("chat.secret", "not so secret: this is a demo")];

/// Targets and bodies.
const EVENTS: [(&str, &str); 2] = [
    ("/events", r#"{"type":"purchase.completed","data":{"sku":"gold","total":12.50,"tags":["new","gift"]}}"#),
    ("/events/purchase.refunded", r#"{"sku":"gold","total":-12.50,"reason":"Größe & <Farbe>"}"#),
];

/// Which path answers 503 the first time.
const UNWELL: &str = "/billing";

/// Two events for two endpoints, one for a third, and one attempt that has to be made again.
const DELIVERIES: usize = 6;

const PATIENCE: Duration = Duration::from_secs(10);
