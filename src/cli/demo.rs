//! `sidehook demo`: the whole thing at work, in one process, on free ports and a temporary folder.

use std::{collections::HashMap, convert::Infallible, fmt::Write as _, path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::{COULD_NOT_START, DOES_NOT_HOLD};
use crate::{
    app::{App, Shutdown},
    config::{self, Config},
    endpoint::Endpoint,
};

#[derive(Debug, clap::Args)]
pub(super) struct Demo {}

impl Demo {
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line")]
    pub(super) fn run(&self) -> ExitCode {
        match super::run::runtime().and_then(|runtime| runtime.block_on(demo())) {
            Ok(failures) if failures.is_empty() => {
                println!("All {} requests arrived and verified.", DELIVERIES);
                ExitCode::SUCCESS
            }
            Ok(failures) => {
                failures.iter().for_each(|failure| eprintln!("error: {failure}"));
                ExitCode::from(DOES_NOT_HOLD)
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::from(COULD_NOT_START)
            }
        }
    }
}

/// Runs it all; says what did not go as it should.
#[expect(clippy::print_stdout, reason = "this is the command line")]
async fn demo() -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let (receiver, mut arrived) = receiver().await?;
    let path = folder.path().join("sidehook.toml");
    let text = CONFIG.replace("{receiver}", &receiver.to_string());
    println!("The config, {}:\n\n{}", path.display(), indented(&text));
    std::fs::write(&path, text)?;
    let config = config::load(&path).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let app = App::bind(&path).await?;
    let sidecar = app.address().context("the demo listens on a port")?;
    let (trigger, shutdown) = Shutdown::channel();
    let running = tokio::spawn(app.run(shutdown));
    for (target, body) in EVENTS {
        let (status, answer) = post(sidecar, target, body).await?;
        println!("POST {target}\n{}\n{status} {answer}\n", indented(body));
    }
    let mut failures = Vec::new();
    for _ in 0..DELIVERIES {
        let Ok(Some(request)) = timeout(PATIENCE, arrived.recv()).await else {
            failures.push(format!("no further request arrived within {PATIENCE:?}"));
            break;
        };
        println!("{}", request.shown());
        match request.verify(&config) {
            Ok(verified) => println!("    -> {verified}, answered {}\n", request.answer.as_u16()),
            Err(failure) => {
                println!("    -> {failure}\n");
                failures.push(failure);
            }
        }
    }
    trigger.drain();
    running.await.context("the sidecar has failed")?;
    println!("The delivery log:\n\n{}", indented(&read_log(folder.path())?));
    Ok(failures)
}

/// A request as it arrived, and how it was answered.
struct Arrived {
    head: http::request::Parts,
    body: Bytes,
    answer: StatusCode,
}

impl Arrived {
    fn shown(&self) -> String {
        let mut text = format!("    {} {} HTTP/1.1\n", self.head.method, self.head.uri);
        for (name, value) in &self.head.headers {
            let _ = writeln!(text, "    {name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        text.push('\n');
        text.push_str(&indented(&String::from_utf8_lossy(&self.body)));
        text
    }

    /// What could be verified of it, or why it could not.
    fn verify(&self, config: &Config) -> Result<&'static str, String> {
        let path = self.head.uri.path();
        let named = |endpoint: &&Arc<Endpoint>| endpoint.target.path_and_query.path() == path;
        let endpoint = config.endpoints.iter().find(named).ok_or_else(|| format!("{path}: no endpoint has this path"))?;
        for signer in &endpoint.signatures {
            let verified = signer.verify(&self.head.headers, self.head.method.as_str(), path, &self.body);
            verified.map_err(|error| format!("{path}: the signature does not verify: {error}"))?;
        }
        if !endpoint.signatures.is_empty() {
            return Ok("the signature verifies");
        }
        self.verify_md5().then_some("the MD5 is that of the payload").ok_or_else(|| format!("{path}: the MD5 is wrong"))
    }

    /// As a receiver of the `md5` envelope in XML would: over the text from `<payload>` to `</payload>`.
    fn verify_md5(&self) -> bool {
        let text = String::from_utf8_lossy(&self.body);
        let payload = text.find("<payload>").zip(text.find("</payload>"));
        let payload = payload.and_then(|(from, to)| text.get(from..to + "</payload>".len()));
        let sum = payload.map(|payload| data_encoding::HEXLOWER.encode(&Md5::digest(payload)));
        sum.is_some_and(|sum| text.contains(&format!("<md5>{sum}</md5>")))
    }
}

/// A receiver of everything; it is not well at first, as receivers are.
async fn receiver() -> anyhow::Result<(std::net::SocketAddr, mpsc::UnboundedReceiver<Arrived>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
    let address = listener.local_addr()?;
    let (arrived, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let seen = Arc::new(std::sync::Mutex::new(HashMap::new()));
        while let Ok((stream, _)) = listener.accept().await {
            let (arrived, seen) = (arrived.clone(), Arc::clone(&seen));
            let service = service_fn(move |request| {
                let (arrived, seen) = (arrived.clone(), Arc::clone(&seen));
                async move { Ok::<_, Infallible>(take(request, &arrived, &seen).await) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok((address, requests))
}

#[expect(clippy::disallowed_methods, reason = "the sidecar sends what this demo posted")]
async fn take(
    request: Request<Incoming>,
    arrived: &mpsc::UnboundedSender<Arrived>,
    seen: &std::sync::Mutex<HashMap<String, u32>>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let visits = {
        let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let visits = seen.entry(head.uri.path().to_owned()).or_insert(0);
        *visits += 1;
        *visits
    };
    let unwell = head.uri.path() == UNWELL && visits == 1;
    let answer = if unwell { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    // Who shows what arrives may have seen enough.
    let _ = arrived.send(Arrived { head, body, answer });
    let mut response = Response::default();
    *response.status_mut() = answer;
    response
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

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut indented, line| {
        let _ = writeln!(indented, "    {line}");
        indented
    })
}

const CONFIG: &str = r#"[listen]
address = "127.0.0.1:0"

[log]
deliveries = "deliveries.jsonl"

[endpoints.billing]
url = "http://{receiver}/billing"
envelope = "standard"
signature = { scheme = "standard", secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] }
retry = { attempts = 3, delay = "200ms" }

[endpoints.marketplace]
url = "http://{receiver}/marketplace"
method = "PUT"
format = "xml"
envelope = "md5"

[endpoints.chat]
url = "http://{receiver}/chat"
format = "form"
envelope = "none"
headers = { X-Event = "{type}" }
signature = { scheme = "slack", secrets = ["not so secret: this is a demo"] }

[[routes]]
events = ["purchase.*"]
to = ["billing", "marketplace"]

[[routes]]
events = ["**", "!purchase.refunded"]
to = ["chat"]
"#;

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
