//! A receiver that is a bare socket: what it says, when, and whether it listens at all is for the test to say.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use futures_util::FutureExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

pub(crate) struct Wire {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Wire {
    /// Does `act` with each connection, of which it is told the number, from 1. A connection ends with what is done with it.
    pub(crate) fn start<A, F>(act: A) -> Wire
    where
        A: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        Wire::on(bound(), act)
    }

    /// The same at an address that was taken before.
    pub(crate) fn on<A, F>(socket: TcpSocket, act: A) -> Wire
    where
        A: Fn(TcpStream, usize) -> F + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        // Accepted connections have them too: what a test floods or clogs is full soon.
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.set_send_buffer_size(16 << 10).unwrap();
        let listener = socket.listen(128).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let count = connections.clone();
        let serving = tokio::spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                // A peer that goes is no surprise here.
                serving.spawn(act(stream, count.fetch_add(1, Relaxed) + 1).map(drop));
            }
        });
        Wire { address, connections, serving }
    }

    /// Says these bytes after each request, and keeps the connection.
    pub(crate) fn saying(bytes: impl Into<Vec<u8>>) -> Wire {
        let bytes: Arc<[u8]> = bytes.into().into();
        Wire::start(move |mut stream, _| {
            let bytes = bytes.clone();
            async move {
                loop {
                    read_request(&mut stream).await?;
                    stream.write_all(&bytes).await?;
                }
            }
        })
    }

    /// Takes nobody: the place for those who wait to be accepted is full, so that a connection to it comes neither about nor
    /// to an end.
    pub(crate) async fn full() -> Wire {
        let listener: TcpListener = bound().listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut guests: Vec<_> = (0..4).map(|_| Box::pin(TcpStream::connect(address))).collect();
        // Asked once each: they are in the queue, or before it, when this returns.
        let asked: Vec<_> = guests.iter_mut().map(|guest| guest.now_or_never()).collect();
        let serving = tokio::spawn(async move {
            let _kept = (listener, guests, asked);
            std::future::pending::<()>().await;
        });
        Wire { address, connections: Arc::default(), serving }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A socket with an address at which nobody listens yet.
pub(crate) fn bound() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

/// Reads one request with a `content-length`, head and body.
pub(crate) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]);
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if request.len() >= end + 4 + length.parse::<usize>().unwrap() {
                return Ok(request);
            }
        }
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Opens the receiver's side of a connection of HTTP/2 with these settings.
pub(crate) async fn greet(stream: &mut TcpStream, settings: &[u8]) -> io::Result<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&[frame(4, 0, 0, settings), frame(4, 1, 0, &[])].concat()).await
}

/// Reads frames until a request has ended, as one with a body does, and gives its stream.
pub(crate) async fn read_stream(stream: &mut TcpStream) -> io::Result<u32> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await?;
        if (head[3], head[4] & 1) == (0, 1) {
            return Ok(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
}
