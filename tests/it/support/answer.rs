//! One HTTP exchange with the sidecar, written and read as bytes, so that nothing between test and wire is polite.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::LIMIT;

/// What the sidecar answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads the one answer of a connection that is closed after it.
    pub(crate) fn parse(bytes: &[u8]) -> Answer {
        let shown = String::from_utf8_lossy(bytes);
        let head_end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer: {shown:?}"));
        let head = std::str::from_utf8(&bytes[..head_end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {shown:?}"));
        let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        let headers = lines.map(|line| field(line).unwrap_or_else(|| panic!("no header: {line:?}"))).collect();
        Answer { status, headers, body: bytes[head_end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The id of the one event this accepts.
    #[track_caller]
    pub(crate) fn accepted(&self) -> String {
        assert_eq!(self.status, 202, "{self:?} {}", String::from_utf8_lossy(&self.body));
        self.json()["id"].as_str().expect("an id").to_owned()
    }

    /// Asserts an RFC 9457 problem with this status and `code`, and gives its `detail`.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "expected {code}, got {body}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{body}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{body}");
        assert_eq!(problem["status"], status, "{body}");
        problem["detail"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends `bytes`, then gives all that came back until the sidecar closed the connection.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A refusal may come, and the connection go, before the last byte is written: what was answered counts.
    let _early = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = async {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            answer.extend_from_slice(&piece[..length]);
        }
    };
    let closed = timeout(LIMIT, read).await.is_ok();
    assert!(closed, "still open after {LIMIT:?}, having said {:?}", String::from_utf8_lossy(&answer));
    answer
}

/// Posts one event to a sidecar of which only the address is known.
pub(crate) async fn post(address: SocketAddr, event: &str) -> Answer {
    let head = "POST /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{event}", event.len());
    Answer::parse(&exchange(address, request.as_bytes()).await)
}
