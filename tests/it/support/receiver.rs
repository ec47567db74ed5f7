//! A receiver on a free port: a real HTTP server that keeps every request as it came and answers as it was told.

use std::{
    cell::Cell,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{LIMIT, Request};

/// What a request gets.
#[derive(Clone)]
enum Reply {
    /// Nothing, while the connection stays open.
    Hang,
    /// These bytes, whatever they are, and the end of the connection.
    Raw(Bytes),
    /// This status for a body that holds these bytes, and 200 for others.
    Refusing(u16, &'static str),
    /// The end of the connection, by RST.
    Reset,
    /// The n-th status for the n-th request; the last one repeats.
    Statuses(Vec<u16>),
    /// 200 on a fresh connection, its end on a used one.
    UsedUp,
}

struct Script {
    reply: Reply,
    headers: Vec<(String, String)>,
    body: Bytes,
    delay: Duration,
    answered: usize,
}

struct Shared {
    script: Mutex<Script>,
    requests: Mutex<Vec<Request>>,
    arrived: Notify,
    /// Requests in hand now, and the most there have been.
    in_hand: Mutex<(usize, usize)>,
}

pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    certificate: Option<String>,
}

impl Receiver {
    /// Answers with these statuses in turn; the last repeats.
    pub(crate) async fn replying(statuses: impl IntoIterator<Item = u16>) -> Receiver {
        Receiver::start(Reply::Statuses(statuses.into_iter().collect()), None).await
    }

    /// Takes every request and never answers.
    pub(crate) async fn hanging() -> Receiver {
        Receiver::start(Reply::Hang, None).await
    }

    /// Reads every request, then resets its connection.
    pub(crate) async fn resetting() -> Receiver {
        Receiver::start(Reply::Reset, None).await
    }

    /// Answers with something that is not HTTP.
    pub(crate) async fn garbage() -> Receiver {
        Receiver::raw(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n").await
    }

    /// Answers with these bytes, then closes the connection.
    pub(crate) async fn raw(bytes: &'static [u8]) -> Receiver {
        Receiver::start(Reply::Raw(Bytes::from_static(bytes)), None).await
    }

    /// Closes a connection when a second request comes on it.
    pub(crate) async fn using_connections_once() -> Receiver {
        Receiver::start(Reply::UsedUp, None).await
    }

    /// Answers 200 over TLS, with a certificate for `localhost` that nobody has heard of.
    pub(crate) async fn tls() -> Receiver {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut receiver = Receiver::start(Reply::Statuses(vec![200]), Some(acceptor)).await;
        receiver.certificate = Some(made.cert.pem());
        receiver
    }

    /// The same, but answering with 200, and with `status` where the body holds `text`.
    pub(crate) fn refusing(self, status: u16, text: &'static str) -> Receiver {
        self.shared.script.lock().unwrap().reply = Reply::Refusing(status, text);
        self
    }

    /// The same, but closing a connection when a second request comes on it.
    pub(crate) fn using_each_connection_once(self) -> Receiver {
        self.shared.script.lock().unwrap().reply = Reply::UsedUp;
        self
    }

    /// The same, with this header in every answer.
    pub(crate) fn with_header(self, name: &str, value: &str) -> Receiver {
        self.shared.script.lock().unwrap().headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, with this body in every answer.
    pub(crate) fn with_body(self, body: impl Into<Bytes>) -> Receiver {
        self.shared.script.lock().unwrap().body = body.into();
        self
    }

    /// The same, answering only after `delay`.
    pub(crate) fn after(self, delay: Duration) -> Receiver {
        self.shared.script.lock().unwrap().delay = delay;
        self
    }

    /// From now on answers with these statuses in turn.
    pub(crate) fn now_replying(&self, statuses: impl IntoIterator<Item = u16>) {
        let mut script = self.shared.script.lock().unwrap();
        script.reply = Reply::Statuses(statuses.into_iter().collect());
        script.answered = 0;
    }

    async fn start(reply: Reply, tls: Option<TlsAcceptor>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Script { reply, headers: Vec::new(), body: Bytes::new(), delay: Duration::ZERO, answered: 0 };
        let (requests, arrived, in_hand) = (Mutex::default(), Notify::new(), Mutex::default());
        let shared = Arc::new(Shared { script: Mutex::new(script), requests, arrived, in_hand });
        let accepting = tokio::spawn(accept(listener, shared.clone(), tls));
        Receiver { address, shared, accepting, certificate: None }
    }

    /// `http://127.0.0.1:PORT`, and for TLS `https://localhost:PORT`; no slash at the end.
    pub(crate) fn url(&self) -> String {
        match self.certificate {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// As the `host` header names it.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The certificate of a TLS receiver, in PEM.
    pub(crate) fn certificate(&self) -> &str {
        self.certificate.as_deref().expect("a TLS receiver")
    }

    /// All requests, once there are at least `n`.
    pub(crate) async fn received(&self, n: usize) -> Vec<Request> {
        let enough = async {
            loop {
                let arrived = self.shared.arrived.notified();
                let requests = self.so_far();
                if requests.len() >= n {
                    return requests;
                }
                arrived.await;
            }
        };
        let came = timeout(LIMIT, enough).await;
        came.unwrap_or_else(|_| panic!("{n} requests wanted in {LIMIT:?}, there are {:#?}", self.so_far()))
    }

    /// The requests that are there now.
    pub(crate) fn so_far(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The most requests it had in hand at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.in_hand.lock().unwrap().1
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) {
    // Owned here, so that connections end with the receiver.
    let mut connections = JoinSet::new();
    for number in 1.. {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (shared, tls) = (shared.clone(), tls.clone());
        connections.spawn(async move {
            match tls {
                None => serve_plain(stream, shared, number).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, shared, number).await;
                    }
                }
            }
        });
    }
}

async fn serve_plain(stream: TcpStream, shared: Arc<Shared>, number: usize) {
    if matches!(shared.script.lock().unwrap().reply, Reply::Reset) {
        // What is closed with nothing lingering is reset.
        stream.set_zero_linger().unwrap();
    }
    serve(stream, shared, number).await;
}

async fn serve<I: AsyncRead + AsyncWrite + Unpin>(io: I, shared: Arc<Shared>, connection: usize) {
    let (served, for_service) = (Cell::new(0), shared.clone());
    let service = service_fn(move |request| {
        served.set(served.get() + 1);
        Box::pin(answer(for_service.clone(), request, connection, served.get()))
    });
    let mut serving = http1::Builder::new().serve_connection(TokioIo::new(io), service);
    let ended = std::future::poll_fn(|cx| serving.poll_without_shutdown(cx)).await;
    let mut io = serving.into_parts().io.into_inner();
    let reply = shared.script.lock().unwrap().reply.clone();
    if let (Err(_), Reply::Raw(bytes)) = (ended, reply) {
        // The peer may have gone already: what it does about these bytes is what the test looks at.
        let _gone = io.write_all(&bytes).await;
        let _gone = io.shutdown().await;
    }
}

/// Ends a connection without an answer.
type Cut = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::disallowed_methods, reason = "a test knows what it sends")]
async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
    connection: usize,
    nth: usize,
) -> Result<hyper::Response<Full<Bytes>>, Cut> {
    let _in_hand = InHand::new(&shared);
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let (method, path) = (head.method.to_string(), head.uri.to_string());
    let holds = |text: &str| memchr::memmem::find(&body, text.as_bytes()).is_some();
    let refused = match shared.script.lock().unwrap().reply {
        Reply::Refusing(status, text) => Some(if holds(text) { status } else { 200 }),
        _ => None,
    };
    shared.requests.lock().unwrap().push(Request { method, path, headers, body, at: Instant::now(), connection });
    shared.arrived.notify_waiters();
    let (status, headers, body, delay) = {
        let mut script = shared.script.lock().unwrap();
        let turn = script.answered;
        script.answered += 1;
        let status = match &script.reply {
            Reply::Hang => None,
            Reply::Refusing(..) => refused,
            Reply::Statuses(statuses) => Some(statuses[turn.min(statuses.len() - 1)]),
            Reply::UsedUp if nth == 1 => Some(200),
            Reply::Raw(_) | Reply::Reset | Reply::UsedUp => return Err("as the test wants it".into()),
        };
        (status, script.headers.clone(), script.body.clone(), script.delay)
    };
    let Some(status) = status else { return Ok(std::future::pending::<Result<_, Infallible>>().await?) };
    if !delay.is_zero() {
        sleep(delay).await;
    }
    let response =
        headers.iter().fold(hyper::Response::builder().status(status), |response, (name, value)| response.header(name, value));
    Ok(response.body(Full::new(body))?)
}

/// Counts a request for as long as it lives.
struct InHand(Arc<Shared>);

impl InHand {
    fn new(shared: &Arc<Shared>) -> InHand {
        let mut count = shared.in_hand.lock().unwrap();
        count.0 += 1;
        count.1 = count.1.max(count.0);
        InHand(shared.clone())
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.lock().unwrap().0 -= 1;
    }
}
