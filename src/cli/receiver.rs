//! A receiver for trying things out: it takes every request, and hands it on to who shows it.
//!
//! **Invariant:** a request is answered as the caller decided, whatever it holds, and at most [`LARGEST`] of it is kept.

use std::{convert::Infallible, fmt::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::mpsc, time::sleep};

use super::terminal;

/// A request as it arrived, and how it was answered.
pub(super) struct Arrived {
    pub(super) head: Parts,
    pub(super) body: Bytes,
    pub(super) answer: StatusCode,
}

impl Arrived {
    /// Request line, headers and body, for people.
    pub(super) fn shown(&self) -> String {
        let uri = terminal::printable(self.head.uri.to_string().as_bytes());
        let mut text = format!("    {} {uri} HTTP/1.1\n", self.head.method);
        for (name, value) in &self.head.headers {
            let _ = writeln!(text, "    {name}: {}", terminal::printable(value.as_bytes()));
        }
        text.push('\n');
        text.push_str(&terminal::indented(&terminal::printable(&self.body)));
        text
    }

    /// From the path on.
    pub(super) fn target(&self) -> &str {
        self.head.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

/// How a receiver answers.
pub(super) struct Manner {
    pub(super) answer: Box<dyn Fn(&Parts) -> StatusCode + Send + Sync>,
    pub(super) delay: Duration,
}

/// Takes requests until nobody wants to see them any more.
pub(super) fn serve(listener: TcpListener, manner: Manner) -> mpsc::Receiver<Arrived> {
    let (arrived, requests) = mpsc::channel(UNSEEN);
    let manner = Arc::new(manner);
    tokio::spawn(async move {
        while !arrived.is_closed() {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of files: some connection will end.
                sleep(BREATH).await;
                continue;
            };
            let (arrived, manner) = (arrived.clone(), Arc::clone(&manner));
            let service = service_fn(move |request| {
                let (arrived, manner) = (arrived.clone(), Arc::clone(&manner));
                async move { Ok::<_, Infallible>(take(request, &arrived, &manner).await) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    requests
}

#[expect(clippy::disallowed_methods, reason = "the body is limited")]
async fn take(request: Request<Incoming>, arrived: &mpsc::Sender<Arrived>, manner: &Manner) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let (body, answer) = match Limited::new(body, LARGEST).collect().await {
        Ok(body) => (body.to_bytes(), (manner.answer)(&head)),
        Err(_) => (Bytes::new(), StatusCode::PAYLOAD_TOO_LARGE),
    };
    // A timer takes a millisecond even for nothing.
    if !manner.delay.is_zero() {
        sleep(manner.delay).await;
    }
    // Who shows what arrives may have seen enough.
    let _ = arrived.send(Arrived { head, body, answer }).await;
    let mut response = Response::default();
    *response.status_mut() = answer;
    response
}

/// Bytes of a body.
const LARGEST: usize = 64 << 20;

/// Requests that have arrived and are not shown yet; further ones wait for their answer.
const UNSEEN: usize = 64;

const BREATH: Duration = Duration::from_millis(100);
