//! Connections to receivers: TLS by `tls`, HTTP by hyper, over what `dial` has connected.
//!
//! A [`LinkOne`] is one connection with the future that drives it; whoever sends a request polls both, so that a delivery
//! wakes one task, not two.

use std::{
    borrow::Cow,
    error::Error as _,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant as Clock, timeout_at};

use super::{
    Broken, Head, Rest, Transport, dial,
    dial::OwnListeners,
    proxy,
    resolver::Resolver,
    stream::{Counted, Seen, Stream},
    tls::{self, Security},
    two::{LinkTwo, Shared, SharedLinks},
};
use crate::{
    endpoint::{Http, Proxy, Target},
    retry::{ErrorCode, Failure},
};

/// Dials receivers. One per sidecar.
pub struct Client {
    security: Security,
    shared: SharedLinks,
    resolver: Resolver,
    own: Arc<OwnListeners>,
}

/// One connection, or with HTTP/2 a part in one.
pub enum Link {
    One(Box<LinkOne>),
    Two(LinkTwo),
}

/// A connection of HTTP/1.1.
pub struct LinkOne {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Option<Pin<Box<Driver>>>,
    seen: Arc<Seen>,
    body: Option<Incoming>,
    /// Of the last answer: hyper makes the next answer's of the next request's, so one map goes round.
    headers: HeaderMap,
    /// The absolute form of where requests go, and the proxy that is told (RFC 9112, 3.2.2).
    passed_on: Option<(Uri, Arc<Proxy>)>,
}

type Driver = http1::Connection<TokioIo<Counted<Stream>>, Full<Bytes>>;

impl Transport for Client {
    type Connection = Link;

    async fn dial(&self, target: &Target) -> Result<Link, Failure> {
        if target.http == Http::One || !(target.tls || target.http == Http::Two) {
            return self.connect(target).await?.one(target).await;
        }
        // Whoever comes while one is being made gets a part in it.
        let place = self.shared.place(target);
        let mut shared = place.lock().await;
        if let Some(link) = shared.part() {
            return Ok(Link::Two(link));
        }
        if shared.is_one() {
            // Dialled side by side, as one connection carries one request at a time.
            drop(shared);
            return self.connect(target).await?.either(target, &place).await;
        }
        let connected = self.connect(target).await?;
        let link = connected.handshake(target, &mut shared).await?;
        Ok(link)
    }

    fn header_map(&self, link: &mut Link) -> HeaderMap {
        match link {
            Link::One(link) => std::mem::take(&mut link.headers),
            Link::Two(_) => HeaderMap::new(),
        }
    }

    fn is_used(&self, link: &Link) -> bool {
        matches!(link, Link::Two(link) if link.is_used())
    }

    fn is_spent(&self, link: &Link) -> bool {
        matches!(link, Link::Two(link) if link.is_spent())
    }

    async fn exchange(&self, link: &mut Link, request: Request<Bytes>) -> Result<Head, Broken> {
        match link {
            Link::One(link) => link.exchange(request).await,
            Link::Two(link) => link.exchange(request).await,
        }
    }

    async fn rest(&self, link: Link, keep: usize) -> Rest<Link> {
        match link {
            Link::One(link) => {
                let Rest { beginning, connection } = link.rest(keep).await;
                Rest { beginning, connection: connection.map(Link::One) }
            }
            Link::Two(link) => {
                let Rest { beginning, connection } = link.rest(keep).await;
                Rest { beginning, connection: connection.map(Link::Two) }
            }
        }
    }
}
impl LinkOne {
    async fn exchange(&mut self, mut request: Request<Bytes>) -> Result<Head, Broken> {
        if let Some((uri, proxy)) = &self.passed_on {
            *request.uri_mut() = uri.clone();
            if let Some(authorization) = &proxy.authorization {
                request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
            }
        }
        let seen_before = self.seen.bytes();
        let LinkOne { sender, driver, seen, body, headers, .. } = self;
        if !sender.is_ready() {
            // An error here is the connection's, and sending says so.
            let _ = drive(driver, sender.ready()).await;
        }
        let response = sender.send_request(request.map(Full::new));
        let response = match drive(driver, response).await {
            Some(Ok(response)) => response,
            ended => {
                let error = ended.and_then(Result::err);
                // A request that was cancelled never went out: what came on its connection (a 408 that says good-bye) is
                // no answer to it.
                let unsent = error.as_ref().is_some_and(hyper::Error::is_canceled);
                let silent = unsent || seen.bytes() == seen_before;
                let failure = error.map_or_else(
                    || failure(ErrorCode::Reset, "the receiver closed the connection"),
                    |error| from_hyper(&error, silent),
                );
                return Err(Broken { failure, silent, unprocessed: false });
            }
        };
        let (mut head, rest) = response.into_parts();
        // It speaks for itself, and not for the receiver, as in front of a tunnel.
        if let Some((_, proxy)) = self.passed_on.as_ref().filter(|_| head.status.as_u16() == proxy::UNKNOWN) {
            return Err(Broken { failure: proxy::unknown_to(proxy), silent: false, unprocessed: false });
        }
        let is_whole = rest.is_end_stream();
        *body = (!is_whole).then_some(rest);
        let retry_after = head.headers.remove(header::RETRY_AFTER);
        head.headers.clear();
        *headers = head.headers;
        let status = head.status.as_u16();
        Ok(Head { status, is_whole: is_whole && self.is_reusable(), retry_after })
    }

    /// Whether another request can follow. One that was answered before it was sent whole would stand in its way.
    fn is_reusable(&self) -> bool {
        self.driver.is_some() && !self.sender.is_closed() && !self.seen.is_stuck()
    }

    async fn rest(mut self: Box<Self>, keep: usize) -> Rest<Box<LinkOne>> {
        let Some(mut body) = self.body.take() else {
            return Rest { beginning: Vec::new(), connection: self.is_reusable().then_some(self) };
        };
        let deadline = Clock::now() + REST_TIMEOUT;
        let (mut beginning, mut read) = (Vec::new(), 0);
        let whole = loop {
            match timeout_at(deadline, drive(&mut self.driver, body.frame())).await {
                Err(_) | Ok(None | Some(Some(Err(_)))) => break false,
                Ok(Some(None)) => break true,
                Ok(Some(Some(Ok(frame)))) => {
                    let Some(bytes) = frame.data_ref() else { continue };
                    read += bytes.len();
                    beginning.extend_from_slice(&bytes[..bytes.len().min(keep - beginning.len())]);
                    if read > MAX_REST {
                        break false;
                    }
                }
            }
        };
        let connection = (whole && self.is_reusable()).then_some(self);
        Rest { beginning, connection }
    }
}

/// A connection on which nothing has been said yet but by TLS.
struct Connected(Stream);

impl Connected {
    /// Speaks HTTP/1.1.
    async fn one(self, target: &Target) -> Result<Link, Failure> {
        let (stream, seen) = Counted::new(self.0);
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(stream)
            .await
            .map_err(|error| failure(ErrorCode::Protocol, chain(&error)))?;
        let headers = HeaderMap::with_capacity(HEADERS);
        let passed_on = target.proxy.as_ref().filter(|_| !target.is_tunnelled());
        let passed_on = passed_on.map(|proxy| (target.uri.clone(), Arc::clone(proxy)));
        Ok(Link::One(Box::new(LinkOne { sender, driver: Some(Box::pin(driver)), seen, body: None, headers, passed_on })))
    }

    /// Speaks what was agreed on; a connection of HTTP/2 is there for others too.
    async fn handshake(self, target: &Target, shared: &mut Shared) -> Result<Link, Failure> {
        if self.0.agreed_on_two() || !target.tls {
            return shared.two(self.0, target).await.map(Link::Two);
        }
        shared.set_one();
        self.one(target).await
    }

    /// The same where HTTP/1.1 was agreed on the last time, which may have changed.
    async fn either(self, target: &Target, place: &tokio::sync::Mutex<Shared>) -> Result<Link, Failure> {
        if self.0.agreed_on_two() {
            return place.lock().await.two(self.0, target).await.map(Link::Two);
        }
        self.one(target).await
    }
}

impl Client {
    /// Dials everything but `own`.
    pub fn new(own: Arc<OwnListeners>) -> Client {
        Client { security: Security::default(), shared: SharedLinks::default(), resolver: Resolver::default(), own }
    }

    async fn connect(&self, target: &Target) -> Result<Connected, Failure> {
        let tcp = dial::connect(target, &self.resolver, &self.own).await?;
        Ok(Connected(match target.tls {
            true => Stream::Tls(Box::new(self.security.secure(target, tcp).await?)),
            false => Stream::Plain(tcp),
        }))
    }
}

/// Polls `work` and the connection it needs together. `None` when the connection ended before the work was done.
async fn drive<C: Future, F: Future>(driver: &mut Option<Pin<Box<C>>>, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        let ended = match driver {
            Some(connection) => connection.as_mut().poll(cx).is_ready(),
            None => true,
        };
        if ended {
            *driver = None;
        }
        match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if ended => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

pub(super) fn failure(code: ErrorCode, error: impl Into<Cow<'static, str>>) -> Failure {
    Failure { code, error: error.into(), retry_after: None }
}

fn from_hyper(error: &hyper::Error, silent: bool) -> Failure {
    let io_error = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(error) = io_error.and_then(tls::cause) {
        return by_tls(error);
    }
    let io_kind = io_error.map(io::Error::kind);
    let broken_off = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
    let code = match io_kind {
        Some(io::ErrorKind::InvalidData) => ErrorCode::Tls,
        Some(_) => ErrorCode::Reset,
        None if broken_off && silent => ErrorCode::Reset,
        None => ErrorCode::Protocol,
    };
    let text = match code {
        // What TLS says of an end without its farewell is about TLS.
        ErrorCode::Reset if io_kind.is_none_or(|kind| kind == io::ErrorKind::UnexpectedEof) => {
            "the receiver closed the connection without an answer".into()
        }
        ErrorCode::Protocol => format!("the answer is not HTTP/1.1: {}", chain(error)),
        _ => chain(error),
    };
    failure(code, text)
}

pub(super) fn by_tls(error: &rustls::Error) -> Failure {
    failure(ErrorCode::Tls, format!("TLS: {}", tls::explained(error)))
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Room for the headers of a usual request.
const HEADERS: usize = 12;

/// The longest answer's head that is read.
pub(super) const MAX_HEAD: usize = 64 << 10;

/// How much of an answer's body is read before the connection is given up instead.
pub(super) const MAX_REST: usize = 64 << 10;

/// How long an answer's body is read.
pub(super) const REST_TIMEOUT: Duration = Duration::from_secs(5);
