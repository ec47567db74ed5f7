//! Through a proxy: a tunnel for what is encrypted (RFC 9110, 9.3.6), a plain request for what is not.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::client::failure;
use crate::{
    endpoint::{Proxy, Target},
    retry::{ErrorCode, Failure},
};

/// Makes `stream`, a connection to `proxy`, one to `target`.
pub(super) async fn tunnel(mut stream: TcpStream, proxy: &Proxy, target: &Target) -> Result<TcpStream, Failure> {
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.to_string() };
    let authority = format!("{host}:{}", target.port);
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    let broken = |error: std::io::Error| failure(ErrorCode::Reset, format!("the proxy {proxy} broke off: {error}"));
    stream.write_all(&request).await.map_err(broken)?;
    let mut head = Vec::with_capacity(256);
    // Byte by byte, so that nothing of what follows the head is taken: it is short, and there is one per connection.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LONGEST {
            return Err(failure(ErrorCode::Protocol, format!("the proxy {proxy} answers without end")));
        }
        let byte = stream.read_u8().await.map_err(broken)?;
        head.push(byte);
    }
    match status(&head) {
        Some(200..=299) => Ok(stream),
        Some(UNKNOWN) => Err(unknown_to(proxy)),
        Some(status) => Err(failure(
            ErrorCode::ConnectRefused,
            format!("the proxy {proxy} did not connect to {authority}: it answered {status}"),
        )),
        None => Err(failure(ErrorCode::Protocol, format!("the answer of the proxy {proxy} is not HTTP/1.1"))),
    }
}

/// The failure where the proxy answers [`UNKNOWN`].
pub(super) fn unknown_to(proxy: &Proxy) -> Failure {
    let why = match proxy.authorization {
        Some(_) => "does not take the credentials that its URL has",
        None => "wants to know who asks",
    };
    failure(ErrorCode::ConnectRefused, format!("the proxy {proxy} {why} (407)"))
}

/// The status of a proxy that wants credentials, or others.
pub(super) const UNKNOWN: u16 = 407;

fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let rest = line.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    std::str::from_utf8(rest).ok()?.parse().ok()
}

/// The longest head of an answer.
const LONGEST: usize = 16 << 10;
