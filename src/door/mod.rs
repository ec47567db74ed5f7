//! A way in for HTTP/1.1: who may come, how long they may take, and how they are answered.
//!
//! In come connections at a [`Listener`]; what they ask goes to a [`Service`], and out goes what that answers. Ingest and the
//! admin listener are the two services there are, so that both are guarded alike.
//!
//! **Invariant:** no connection holds more than its head and one body in memory, and none takes longer for either than its
//! [`Limits`] say.

mod body;
mod guard;
mod listener;
mod reply;
mod server;
mod watchdog;

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::{futures::Notified, watch};

pub use self::{
    body::{Unread, read},
    guard::{Guard, Peer},
    listener::Listener,
    reply::{Refusal, problem, with_type},
    server::{MAX_HEAD, serve},
    watchdog::Watchdog,
};

/// What answers the requests that come in.
pub trait Service: Clone + Send + Sync + 'static {
    fn limits(&self) -> Limits;

    /// Whether who is at the other end of a Unix socket may speak at all.
    fn admits(&self, peer: Peer) -> bool;

    /// Told when the limits may have changed.
    fn changed(&self) -> Notified<'_>;

    fn answer(
        &self,
        request: Request<Incoming>,
        watchdog: &Watchdog,
        closing: &Closing,
    ) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Turns true when the connections of a door are to end.
pub type Closing = watch::Receiver<bool>;

/// How many connections there may be, and how long each may take for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    /// Idle between two requests.
    pub keep_alive: Duration,
    pub max_connections: usize,
}

/// The answer to a request that asks for the sidecar's health, which anybody may.
pub fn health(request: &Request<Incoming>, is_draining: bool) -> Option<Response<Full<Bytes>>> {
    let (status, text) = match request.uri().path() {
        "/healthz" => (StatusCode::OK, "ok\n"),
        "/readyz" if is_draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/readyz" => (StatusCode::OK, "ready\n"),
        _ => return None,
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(Refusal::MethodNotAllowed("GET, HEAD").response());
    }
    let mut response = with_type("text/plain", text.into());
    *response.status_mut() = status;
    Some(response)
}
