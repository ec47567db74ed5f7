//! Connections: HTTP/1.1 by hyper, with the time limits that hyper has not.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    sync::watch,
    task::JoinSet,
    time::{Instant as Clock, sleep, timeout},
};

use super::{
    Service,
    guard::Peer,
    listener::{Guest, Listener},
    watchdog::Watchdog,
};
use crate::log::diagnostics;

/// Takes connections until `stop` says so, then lets those that are open finish the request they are at.
pub async fn serve<S: Service>(listener: Listener, service: S, mut stop: watch::Receiver<bool>) {
    let mut stopped = pin!(async move { stop.wait_for(|stop| *stop).await.map(drop) });
    let (tell, told) = watch::channel(false);
    let mut hall = Hall { service: service.clone(), connections: JoinSet::new(), told, turned_away: None };
    loop {
        let changed = service.changed();
        let room = hall.has_room();
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(_) = hall.connections.join_next(), if !hall.connections.is_empty() => {}
            // There may be more room now.
            () = changed, if !room => {}
            accepted = listener.accept(), if room => match accepted {
                Ok(guest) => hall.let_in(guest),
                Err(error) => {
                    diagnostics::warn(format_args!("a connection could not be accepted: {error}"));
                    sleep(ACCEPT_AGAIN).await;
                }
            },
        }
    }
    let room = service.limits().max_connections.saturating_sub(hall.connections.len());
    for guest in listener.close(room) {
        hall.let_in(guest);
    }
    tell.send_replace(true);
    // A body under way has its time. The sidecar's end has less: it drops this future.
    let patience = service.limits().body_timeout + LAST_ANSWERS;
    let _ = timeout(patience, async { while hall.connections.join_next().await.is_some() {} }).await;
}

/// Who has come in by one listener.
struct Hall<S> {
    service: S,
    connections: JoinSet<()>,
    /// That they are to go.
    told: watch::Receiver<bool>,
    /// Who was the last to be turned away.
    turned_away: Option<Option<Peer>>,
}

impl<S: Service> Hall<S> {
    fn has_room(&self) -> bool {
        self.connections.len() < self.service.limits().max_connections
    }

    fn let_in(&mut self, guest: Guest) {
        match guest {
            Guest::Tcp(stream) => {
                // Answers are written at once and whole: waiting for more would only delay them.
                let _ = stream.set_nodelay(true);
                self.connections.spawn(connection(stream, None, self.service.clone(), self.told.clone()));
            }
            Guest::Unix(stream) => {
                if let Some(peer) = admitted(&stream, &self.service, &mut self.turned_away) {
                    self.connections.spawn(connection(stream, Some(peer), self.service.clone(), self.told.clone()));
                }
            }
        }
    }
}

/// Who is at the other end, if they may be; who may not is told of once, however often they try.
fn admitted<S: Service>(stream: &UnixStream, service: &S, turned_away: &mut Option<Option<Peer>>) -> Option<Peer> {
    let peer = stream.peer_cred().ok().map(|peer| Peer { uid: peer.uid() });
    let admitted = peer.filter(|peer| service.admits(*peer));
    if admitted.is_none() && turned_away.replace(peer) != Some(peer) {
        let uid = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.uid.to_string());
        diagnostics::warn(format_args!("turned away a user whom listen.uids does not have: {uid}"));
    }
    admitted
}

/// Serves one connection; `peer` is who is at its other end, over a Unix socket.
async fn connection<I, S>(stream: I, peer: Option<Peer>, service: S, mut stop: watch::Receiver<bool>)
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service,
{
    let limits = service.limits();
    let watchdog = Arc::new(Watchdog::new());
    let closing = stop.clone();
    let requests = service_fn(|mut request: Request<Incoming>| {
        let (service, watchdog, closing) = (&service, &watchdog, &closing);
        async move {
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            watchdog.busy();
            let response = service.answer(request, watchdog, closing).await;
            watchdog.idle();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let stream = TokioIo::new(Watched { stream, watchdog: &watchdog });
    // A client may close its side after its request and still wants the answer, as `printf … | nc` does.
    let connection =
        http1::Builder::new().half_close(true).max_header_size(MAX_HEAD).max_buf_size(BUFFER).serve_connection(stream, requests);
    let mut connection = pin!(connection);
    let mut stop = pin!(async {
        let _ = stop.wait_for(|stop| *stop).await;
        // hyper would close it before its first request: who has just come has a moment to say what for.
        if watchdog.is_new() {
            sleep(FIRST_WORD).await;
        }
    });
    let mut alarm = pin!(sleep(limits.header_timeout));
    let (mut armed, mut stopping) = (true, false);
    poll_fn(|cx| {
        loop {
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !stopping && stop.as_mut().poll(cx).is_ready() {
                stopping = true;
                connection.as_mut().graceful_shutdown();
                continue;
            }
            let Some(deadline) = watchdog.deadline(&limits) else { return Poll::Pending };
            let deadline = Clock::from_std(deadline);
            // An alarm that rings too early costs one look; one set anew for every request would cost more.
            if !armed || deadline < alarm.deadline() {
                alarm.as_mut().reset(deadline);
                armed = true;
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            armed = false;
            if Clock::now() >= deadline && !watchdog.expire() {
                return Poll::Ready(());
            }
        }
    })
    .await;
}

/// A connection whose bytes tell the watchdog when a head begins.
struct Watched<'w, S> {
    stream: S,
    watchdog: &'w Watchdog,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.watchdog.bytes();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    // Not vectored on purpose: hyper then joins head and body, which costs a copy, and writes by `send`, which costs less
    // than `writev` by more than that.

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The longest head.
pub const MAX_HEAD: usize = 16 << 10;

/// hyper's read buffer: a head and a usual body in one piece.
const BUFFER: usize = 64 << 10;

/// After an error of accept (no file descriptors left, say) there is no use in asking at once again.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// For a request that is on its way as the door closes.
const FIRST_WORD: Duration = Duration::from_millis(100);

/// For writing the answers to the last bodies.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;
    use http_body_util::Full;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::{Notify, futures::Notified},
        task::yield_now,
    };

    use super::*;
    use crate::door::{Closing, Limits};

    #[derive(Clone)]
    struct Polite(Arc<Notify>);

    impl Service for Polite {
        fn limits(&self) -> Limits {
            let long = Duration::from_secs(60);
            Limits { header_timeout: long, body_timeout: long, keep_alive: long, max_connections: 10 }
        }

        fn admits(&self, _: Peer) -> bool {
            true
        }

        fn changed(&self) -> Notified<'_> {
            self.0.notified()
        }

        async fn answer(&self, _: Request<Incoming>, _: &Watchdog, _: &Closing) -> Response<Full<Bytes>> {
            Response::new(Full::default())
        }
    }

    #[tokio::test]
    async fn who_came_before_the_door_closed_is_answered() {
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address().unwrap();
        let mut guests = Vec::new();
        for _ in 0..5 {
            guests.push(TcpStream::connect(address).await.unwrap());
        }
        let (_stop, stopped) = watch::channel(true);
        let served = tokio::spawn(serve(listener, Polite(Arc::default()), stopped));
        // Let in, and not yet heard.
        while TcpStream::connect(address).await.is_ok() {
            yield_now().await;
        }
        for guest in &mut guests {
            guest.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        }
        for mut guest in guests {
            let mut answer = String::new();
            guest.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        served.await.unwrap();
    }
}
