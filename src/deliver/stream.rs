//! A connection's bytes: in the clear or by TLS, and what can be seen of them on the way.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::tls;

/// A connection's bytes, in the clear or not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What the other side has sent on a connection: one that was kept alive and ends before the first byte of an answer was
/// closed before our request arrived. And whether it takes what is sent to it.
#[derive(Default)]
pub(super) struct Seen {
    bytes: AtomicU64,
    stuck: AtomicBool,
    /// How TLS ended it: HTTP/2 keeps no more of an error than its text.
    broken: OnceLock<rustls::Error>,
}

impl Seen {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn broken(&self) -> Option<&rustls::Error> {
        self.broken.get()
    }

    /// Something of what was written last has not gone out yet.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Relaxed)
    }
}

/// Notes what comes in, and whether all goes out.
pub(super) struct Counted<S> {
    stream: S,
    seen: Arc<Seen>,
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S) -> (TokioIo<Counted<S>>, Arc<Seen>) {
        let seen = Arc::<Seen>::default();
        (TokioIo::new(Counted { stream, seen: Arc::clone(&seen) }), seen)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.seen.bytes.fetch_add((buf.filled().len() - before) as u64, Relaxed);
        if let Poll::Ready(Err(error)) = &read {
            tls::cause(error).map(|cause| self.seen.broken.set(cause.clone()));
        }
        read
    }
}

// Not vectored on purpose: hyper then joins head and body, which costs a copy, and writes by `send`, which costs less than
// `writev` by more than that.
impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.seen.stuck.store(written.is_pending(), Relaxed);
        written
    }

    // TLS takes more in than it can give on.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.seen.stuck.store(flushed.is_pending(), Relaxed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Stream {
    pub(super) fn agreed_on_two(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(tls::H2))
    }
}

macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Plain($inner) => $call,
            Stream::Tls($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
