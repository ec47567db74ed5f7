//! HTTP/2: one connection to a receiver, shared by the requests that are under way there.
//!
//! Whoever dials gets a part in the connection that is there, as long as that is young and has room for another stream. It is
//! driven by a task of its own, for it serves several attempts, and ends with its last part.
//!
//! **Invariant:** a connection over which an answer was waited for in vain, or whose end was announced, is given to nobody.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http2,
    rt::Executor,
};
use hyper_util::rt::TokioTimer;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant as Clock, sleep, timeout_at},
};

use super::{
    Broken, Head, Rest,
    client::{MAX_HEAD, MAX_REST, REST_TIMEOUT, by_tls, chain, failure},
    stream::{Counted, Seen, Stream},
};
use crate::{
    endpoint::{Target, Tls},
    retry::{ErrorCode, Failure},
};

/// The connections there are, by where they lead and with which settings.
#[derive(Default)]
pub(super) struct SharedLinks(Mutex<HashMap<String, Place>>);

struct Place {
    link: Arc<tokio::sync::Mutex<Shared>>,
    /// Held, so that no others are made where these were, whose address is in the key.
    _settings: Option<Weak<Tls>>,
}

impl SharedLinks {
    /// Where the connection to `target` is, or will be.
    pub(super) fn place(&self, target: &Target) -> Arc<tokio::sync::Mutex<Shared>> {
        let settings = target.tls_settings.as_ref().map_or(0, |settings| Arc::as_ptr(settings) as usize);
        let proxy =
            target.proxy.as_ref().map(|proxy| (proxy.to_string(), proxy.authorization.as_ref().map(|text| text.as_bytes())));
        let key = format!("{}|{:?}|{:?}|{settings}|{proxy:?}", target.uri_text, target.http, target.network);
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if links.len() >= MOST {
            // Those in use live on; whoever dials there next makes another.
            links.retain(|_, place| Arc::strong_count(&place.link) > 1);
        }
        let new = || Place { link: Arc::default(), _settings: target.tls_settings.as_ref().map(Arc::downgrade) };
        Arc::clone(&links.entry(key).or_insert_with(new).link)
    }
}

/// A connection that is shared, if there is one.
#[derive(Default)]
pub(super) struct Shared {
    connection: Weak<Connection>,
    /// The receiver has agreed to nothing newer than HTTP/1.1.
    one: bool,
}

impl Shared {
    /// A part in the connection, if it can take another.
    pub(super) fn part(&self) -> Option<LinkTwo> {
        let connection = self.connection.upgrade()?;
        let is_young = connection.since.elapsed() < OLDEST;
        let has_room = connection.parts.load(Relaxed) < STREAMS;
        (is_young && has_room && !connection.is_spent()).then(|| LinkTwo::new(connection))
    }

    pub(super) fn is_one(&self) -> bool {
        self.one
    }

    pub(super) fn set_one(&mut self) {
        self.one = true;
    }

    /// Makes a connection over `stream`, and a part in it.
    pub(super) async fn two(&mut self, stream: Stream, target: &Target) -> Result<LinkTwo, Failure> {
        let (stream, seen) = Counted::new(stream);
        let (open, ended) = watch::channel(());
        let (sender, driver) = http2::Builder::new(Bounded(ended))
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEAD as u32)
            .initial_stream_window_size(MAX_REST as u32)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(0)
            .handshake(stream)
            .await
            .map_err(|error| failure(ErrorCode::Protocol, chain(&error)))?;
        // How it ends is told to those who have requests on it.
        let driver = tokio::spawn(async move { drop(driver.await) });
        let parts = AtomicUsize::new(0);
        let (since, retired) = (Clock::now(), AtomicBool::new(false));
        let connection =
            Arc::new(Connection { sender, driver, parts, since, uri: target.uri.clone(), seen, retired, _open: open });
        self.connection = Arc::downgrade(&connection);
        self.one = false;
        Ok(LinkTwo::new(connection))
    }
}

struct Connection {
    sender: http2::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    parts: AtomicUsize,
    since: Clock,
    /// The absolute form, for `:scheme` and `:authority`.
    uri: Uri,
    seen: Arc<Seen>,
    retired: AtomicBool,
    /// Gone with the connection, of which its tasks take note.
    _open: watch::Sender<()>,
}

/// Runs the tasks of a connection: a receiver that takes no farewell must not keep them, and what they hold, for ever.
#[derive(Clone)]
struct Bounded(watch::Receiver<()>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Bounded {
    fn execute(&self, task: F) {
        let mut ended = self.0.clone();
        tokio::spawn(async move {
            let over = async {
                // Nothing is ever sent: it ends with its sender.
                let _ = ended.changed().await;
                sleep(FAREWELL).await;
            };
            tokio::select! {
                _ = task => {}
                () = over => {}
            }
        });
    }
}

impl Connection {
    fn is_spent(&self) -> bool {
        self.retired.load(Relaxed) || self.sender.is_closed()
    }

    fn retire(&self) {
        self.retired.store(true, Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A part in a connection: room for one request at a time.
pub struct LinkTwo {
    connection: Arc<Connection>,
    body: Option<Incoming>,
    /// Somebody had a part in the connection before.
    used: bool,
}

impl LinkTwo {
    fn new(connection: Arc<Connection>) -> LinkTwo {
        let used = connection.parts.fetch_add(1, Relaxed) > 0;
        LinkTwo { connection, body: None, used }
    }

    pub(super) fn is_used(&self) -> bool {
        self.used
    }

    pub(super) fn is_spent(&self) -> bool {
        self.connection.is_spent()
    }

    pub(super) async fn exchange(&mut self, mut request: Request<Bytes>) -> Result<Head, Broken> {
        *request.uri_mut() = self.connection.uri.clone();
        // `:authority` says it (RFC 9113, 8.3.1).
        request.headers_mut().remove(header::HOST);
        self.used = true;
        let wait = Wait { connection: &self.connection, seen_before: self.connection.seen.bytes() };
        let answered = self.connection.sender.clone().send_request(request.map(Full::new)).await;
        let (mut head, rest) = answered.map_err(|error| wait.broken(&error))?.into_parts();
        drop(wait);
        let is_whole = rest.is_end_stream();
        self.body = (!is_whole).then_some(rest);
        let retry_after = head.headers.remove(header::RETRY_AFTER);
        Ok(Head { status: head.status.as_u16(), is_whole, retry_after })
    }

    pub(super) async fn rest(mut self, keep: usize) -> Rest<LinkTwo> {
        let deadline = Clock::now() + REST_TIMEOUT;
        let (mut beginning, mut read) = (Vec::new(), 0);
        // Dropped before its end, a body resets its own stream and no other.
        if let Some(mut body) = self.body.take() {
            while let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await {
                let Some(bytes) = frame.data_ref() else { continue };
                read += bytes.len();
                beginning.extend_from_slice(&bytes[..bytes.len().min(keep - beginning.len())]);
                if read > MAX_REST {
                    break;
                }
            }
        }
        Rest { beginning, connection: (!self.is_spent()).then_some(self) }
    }
}

impl Drop for LinkTwo {
    fn drop(&mut self) {
        self.connection.parts.fetch_sub(1, Relaxed);
    }
}

/// The wait for an answer. A receiver that is gone without a word says nothing to anybody: the connection is retired when a
/// wait ends, broken off or not, in which no byte came.
struct Wait<'a> {
    connection: &'a Connection,
    seen_before: u64,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.was_silent() {
            self.connection.retire();
        }
    }
}

impl Wait<'_> {
    fn was_silent(&self) -> bool {
        self.connection.seen.bytes() == self.seen_before
    }

    fn without_a_word(&self) -> &'static str {
        match self.connection.uri.scheme_str() {
            // TLS has agreed on the version already.
            Some("https") => "the receiver closed the connection without a word: it may want a certificate of ours",
            _ => "the receiver closed the connection without a word: it may not speak HTTP/2",
        }
    }

    fn broken(&self, error: &hyper::Error) -> Broken {
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
        let reason = cause.and_then(h2::Error::reason);
        // The receiver says itself that it has not looked at the request (RFC 9113, 6.8 and 8.7).
        let refused = reason == Some(h2::Reason::REFUSED_STREAM)
            || cause.is_some_and(|cause| cause.is_go_away() && cause.is_remote() && reason == Some(h2::Reason::NO_ERROR));
        let unprocessed = refused || error.is_canceled();
        // Any other reset is of one stream alone.
        if refused || !cause.is_some_and(h2::Error::is_reset) {
            self.connection.retire();
        }
        let is_over = cause.is_none_or(h2::Error::is_io);
        let silent = unprocessed || is_over && self.was_silent();
        let failure = match cause {
            _ if let Some(error) = self.connection.seen.broken().filter(|_| is_over) => by_tls(error),
            _ if is_over && self.connection.seen.bytes() == 0 => failure(ErrorCode::Reset, self.without_a_word()),
            Some(cause) if refused => {
                failure(ErrorCode::Reset, format!("the receiver did not take the request: {}", told(cause)))
            }
            None => failure(ErrorCode::Reset, "the receiver closed the connection without an answer"),
            Some(cause) if cause.is_io() || cause.is_remote() => failure(ErrorCode::Reset, told(cause)),
            Some(cause) => failure(ErrorCode::Protocol, format!("the answer is not HTTP/2: {}", told(cause))),
        };
        Broken { failure, silent, unprocessed }
    }
}

/// What went wrong, without the words of its own that a receiver may add to the end of a connection: they may repeat the
/// request and what is secret in it.
fn told(cause: &h2::Error) -> String {
    let Some(reason) = cause.reason() else { return cause.to_string() };
    let who = if cause.is_remote() { "received" } else { "detected" };
    let of = if cause.is_go_away() { "connection" } else { "stream" };
    format!("{of} error {who}: {reason}")
}

/// The age at which nobody gets a part any more: the name may lead elsewhere by now.
const OLDEST: Duration = Duration::from_secs(60);

/// Streams at once; where the receiver allows fewer, further ones wait for their turn.
const STREAMS: usize = 100;

/// How much of all answers' bodies may be on its way to us, or here and not read yet.
const WINDOW: u32 = 512 << 10;

/// How long a connection that is over may take to say so.
const FAREWELL: Duration = Duration::from_secs(1);

/// Receivers that are remembered.
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Proxy;

    #[test]
    fn a_place_is_for_one_identity_alone_also_when_that_is_gone() {
        let links = SharedLinks::default();
        let place = |settings, proxy| {
            let target = Target::parse("https://a.example/", false).unwrap();
            links.place(&Target { tls_settings: settings, proxy, ..target })
        };
        let mut places = vec![place(None, None)];
        for name in ["a", "b", "c"] {
            places.push(place(Some(Arc::new(Tls { server_name: Some(name.into()), ..Tls::default() })), None));
            let authorization = Some(http::HeaderValue::from_static(name));
            places.push(place(None, Some(Arc::new(Proxy { host: "p".into(), port: 1, authorization }))));
        }
        for (n, place) in places.iter().enumerate() {
            assert!(!places[..n].iter().any(|other| Arc::ptr_eq(other, place)), "{n}");
        }
    }
}
