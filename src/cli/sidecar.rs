//! A running sidecar, as commands speak to it: where it listens, what token it wants, and what it answers.
//!
//! **Invariant:** no command waits for ever, and no answer is read without bound.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{ConfigFile, Stop, terminal};
use crate::{
    config::{self, Address, Admin},
    endpoint::Target,
    pipeline::USER_AGENT,
    sign::Secret,
};

/// Which sidecar is meant.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    #[command(flatten)]
    config: ConfigFile,
    /// Where it listens, in place of the config's address: http://HOST:PORT or unix:PATH
    #[arg(long, value_name = "URL", value_parser = Place::parse)]
    to: Option<Place>,
}

impl Which {
    /// Reads address and token from the config. Where nobody named one and there is none, the default address is meant.
    pub(super) fn find(&self) -> anyhow::Result<Sidecar> {
        let path = self.config.path();
        let listen = match self.config.is_named() || path.exists() {
            true => Some(config::load_listen(&path).map_err(Stop::Config)?),
            false => None,
        };
        let token = listen.as_ref().and_then(|listen| listen.tokens.first()).map(bearer).transpose()?;
        let place = match (&self.to, &listen) {
            (Some(place), _) => place.clone(),
            (None, Some(listen)) => Place::at(&listen.address)?,
            (None, None) => Place::of(SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)))?,
        };
        Ok(Sidecar { place, token })
    }
}

/// Where a sidecar listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { host: Box<str>, port: u16, authority: HeaderValue },
    Unix(PathBuf),
}

impl Place {
    fn parse(text: &str) -> Result<Place, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err("the path is missing".to_owned()) } else { Ok(Place::Unix(path.into())) };
        }
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let target = Target::parse(&url, false).map_err(|error| error.to_string())?;
        if target.tls {
            return Err("a sidecar speaks http://, not https://".to_owned());
        }
        if target.path_and_query != "/" {
            return Err("only host and port are wanted, without a path".to_owned());
        }
        Ok(Place::Tcp { host: target.host, port: target.port, authority: target.authority })
    }

    fn at(address: &Address) -> anyhow::Result<Place> {
        match address {
            Address::Tcp(address) => Place::of(*address),
            Address::Unix(path) => Ok(Place::Unix(path.clone())),
        }
    }

    fn of(mut address: SocketAddr) -> anyhow::Result<Place> {
        if address.port() == 0 {
            bail!("the config leaves the port to the system: say with --to where the sidecar listens");
        }
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            IpAddr::V4(_) | IpAddr::V6(_) => {}
        }
        let authority = HeaderValue::try_from(address.to_string())?;
        Ok(Place::Tcp { host: address.ip().to_string().into(), port: address.port(), authority })
    }

    fn shown(&self) -> String {
        match self {
            Place::Tcp { authority, .. } => format!("http://{}", terminal::printable(authority.as_bytes())),
            Place::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

pub(super) struct Sidecar {
    place: Place,
    token: Option<HeaderValue>,
}

impl Sidecar {
    /// The one that listens at this admin listener.
    pub(super) fn admin(admin: &Admin) -> anyhow::Result<Sidecar> {
        let token = admin.tokens.first().map(bearer).transpose()?;
        Ok(Sidecar { place: Place::at(&admin.address)?, token })
    }

    /// A request's beginning, with what every request to this sidecar needs.
    pub(super) fn request(&self, method: &str, target: &str) -> request::Builder {
        let host = match &self.place {
            Place::Tcp { authority, .. } => authority.clone(),
            Place::Unix(_) => HeaderValue::from_static("localhost"),
        };
        let request = Request::builder().method(method).uri(target).header(header::HOST, host);
        let request = request.header(header::USER_AGENT, USER_AGENT);
        match &self.token {
            Some(token) => request.header(header::AUTHORIZATION, token.clone()),
            None => request,
        }
    }

    pub(super) async fn connect(&self) -> anyhow::Result<Link> {
        let connected = async {
            match &self.place {
                Place::Tcp { host, port, .. } => {
                    let stream = TcpStream::connect((&**host, *port)).await?;
                    stream.set_nodelay(true)?;
                    Link::over(Box::new(stream)).await
                }
                Place::Unix(path) => Link::over(Box::new(UnixStream::connect(path).await?)).await,
            }
        };
        let connected = timeout(CONNECT, connected.boxed_local())
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("no connection within {CONNECT:?}")));
        connected.with_context(|| format!("no sidecar at {}", self.place.shown()))
    }

    /// One request over a connection of its own.
    pub(super) async fn ask(&self, request: Request<Full<Bytes>>, patience: Duration) -> anyhow::Result<Answer> {
        self.connect().await?.exchange(request, patience).await
    }
}

fn bearer(token: &Secret) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Of either kind, so that HTTP is compiled for both at once.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection to a sidecar, for one request after the other.
pub(super) struct Link(SendRequest<Full<Bytes>>);

impl Link {
    async fn over(stream: Box<dyn Stream>) -> anyhow::Result<Link> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Link(sender))
    }

    #[expect(clippy::disallowed_methods, reason = "the body is limited")]
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>, patience: Duration) -> anyhow::Result<Answer> {
        let exchange = async {
            self.0.ready().await?;
            let (head, body) = self.0.send_request(request).await?.into_parts();
            let body = Limited::new(body, LARGEST).collect().await.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        let answered = timeout(patience, exchange.boxed_local()).await;
        answered.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {patience:?}")))
    }
}

/// What a sidecar answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// Its `code`, as the interface names it, where it is a problem document (RFC 9457).
    pub(super) fn code(&self) -> Option<String> {
        self.problem().and_then(|problem| problem.code)
    }

    /// What it refused, in a line.
    pub(super) fn refusal(&self) -> String {
        let Problem { code, detail } = self.problem().unwrap_or_default();
        let words = [Some(self.status.as_u16().to_string()), code].into_iter().flatten().collect::<Vec<_>>().join(" ");
        match detail {
            Some(detail) => format!("{words}: {}", terminal::printable(detail.as_bytes())),
            None => words,
        }
    }

    fn problem(&self) -> Option<Problem> {
        serde_json::from_slice(&self.body).ok()
    }
}

#[derive(Default, serde::Deserialize)]
struct Problem {
    code: Option<String>,
    detail: Option<String>,
}

/// How long a sidecar may take for an answer that waits for nobody.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

const CONNECT: Duration = Duration::from_secs(5);

/// Bytes of an answer: a large batch waited for.
const LARGEST: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_a_port_or_a_socket() {
        let shown = |text: &str| Place::parse(text).map(|place| place.shown());
        assert_eq!(shown("http://localhost:7071").as_deref(), Ok("http://localhost:7071"));
        assert_eq!(shown("127.0.0.1:7071").as_deref(), Ok("http://127.0.0.1:7071"));
        assert_eq!(shown("unix:/run/sidehook.sock").as_deref(), Ok("unix:/run/sidehook.sock"));
        for wrong in ["https://localhost", "http://localhost:7070/events", "unix:", "", "http://localhost:0"] {
            assert!(shown(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        let shown = |text: &str| Place::of(text.parse().unwrap()).unwrap().shown();
        assert_eq!([shown("0.0.0.0:7070"), shown("[::]:7070")], ["http://127.0.0.1:7070", "http://[::1]:7070"]);
        assert!(Place::of("127.0.0.1:0".parse().unwrap()).is_err());
    }
}
