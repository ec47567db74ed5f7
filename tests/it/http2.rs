//! HTTP/2 at its edges: receivers that leave in the middle, and what becomes of the requests they had.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::{
    Receiver, Sidecar, everything_to,
    wire::{frame, greet, read_stream},
};

/// What a receiver does when a request is there.
enum Turn {
    Answer,
    /// Closes the connection.
    Close,
    /// Says that requests up to this stream are the last it looks at, and nothing more.
    GoodBye(u32),
    Hang,
    /// Says that it has not looked at this one.
    Refuse,
}

/// Frames by hand, for a library would not do all of this: the script says by the connection, and by the request on it, each
/// from 1, what comes.
struct Frames {
    port: u16,
    requests: Arc<Mutex<Vec<usize>>>,
    serving: JoinHandle<()>,
}

type Script = fn(usize, u32) -> Turn;

impl Frames {
    async fn scripted(script: Script) -> Frames {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<usize>>> = Arc::default();
        let seen = requests.clone();
        let connections = AtomicUsize::new(0);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = connections.fetch_add(1, Relaxed) + 1;
                tokio::spawn(serve(stream, number, script, seen.clone()));
            }
        });
        Frames { port, requests, serving }
    }

    async fn sidecar(&self, keys: &str) -> Sidecar {
        let url = format!("http://127.0.0.1:{}/", self.port);
        Sidecar::start(&everything_to(&[("hook", &url, &format!("http = \"2\"\n{keys}"))])).await
    }

    /// The connection of each request.
    fn requests(&self) -> Vec<usize> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, number: usize, script: Script, seen: Arc<Mutex<Vec<usize>>>) -> std::io::Result<()> {
    greet(&mut stream, &[]).await?;
    let mut request = 0;
    loop {
        let id = read_stream(&mut stream).await?;
        seen.lock().unwrap().push(number);
        request += 1;
        let said = match script(number, request) {
            Turn::Answer => frame(1, 5, id, &[0x88]),
            Turn::Close => return Ok(()),
            Turn::GoodBye(last) => frame(7, 0, 0, &[&last.to_be_bytes()[..], &[0; 4]].concat()),
            Turn::Hang => continue,
            Turn::Refuse => frame(3, 0, id, &[0, 0, 0, 7]),
        };
        stream.write_all(&said).await?;
    }
}

fn events(first: usize, last: usize) -> String {
    let events: Vec<String> = (first..=last).map(|n| format!(r#"{{"type":"a","id":"e-{n}","data":{n}}}"#)).collect();
    format!("[{}]", events.join(","))
}

const SOON: &str = "retry = { delay = \"10ms\", backoff = \"fixed\", attempts = 100 }";

#[tokio::test]
async fn a_connection_that_says_nothing_any_more_is_given_to_nobody() {
    let receiver = Frames::scripted(|connection, request| match (connection, request) {
        (1, 3..) => Turn::Hang,
        _ => Turn::Answer,
    })
    .await;
    let sidecar = receiver.sidecar(&format!("timeout = \"300ms\"\nconcurrency = 2\n{SOON}")).await;
    // Two at once, so that two parts of one connection lie idle.
    assert_eq!(sidecar.event(events(1, 2)).await.status, 202);
    sidecar.logged("delivered", 2).await;
    assert_eq!(sidecar.event(events(3, 3)).await.status, 202);
    let line = sidecar.logged("delivered", 3).await.remove(2);
    assert_eq!((&line["attempt"], receiver.requests()), (&json!(2), vec![1, 1, 1, 2]));
}

#[tokio::test]
async fn what_a_receiver_that_leaves_has_not_looked_at_is_sent_again_and_is_no_attempt() {
    // Each connection takes five requests, and says so when there is a sixth.
    let receiver = Frames::scripted(|_, request| match request {
        1..=5 => Turn::Answer,
        6 => Turn::GoodBye(9),
        _ => Turn::Hang,
    })
    .await;
    let sidecar = receiver.sidecar("concurrency = 30").await;
    assert_eq!(sidecar.event(events(1, 30)).await.status, 202);
    let lines = sidecar.logged("delivered", 30).await;
    assert!(lines.iter().all(|line| line["attempt"] == 1), "{lines:?}");
    assert!(sidecar.log().iter().all(|line| line["outcome"] != "retrying"));
}

#[tokio::test]
async fn who_looks_at_nothing_is_not_asked_for_ever() {
    let receiver = Frames::scripted(|_, _| Turn::Refuse).await;
    let sidecar = receiver.sidecar("").await;
    assert_eq!(sidecar.event(events(1, 1)).await.status, 202);
    let line = sidecar.logged("retrying", 1).await.remove(0);
    assert_eq!((&line["error_code"], receiver.requests()), (&json!("reset"), vec![1, 2]));
}

#[tokio::test]
async fn a_kept_alive_connection_that_was_closed_is_replaced_within_the_attempt() {
    let receiver = Frames::scripted(|connection, request| match (connection, request) {
        (1, 2) => Turn::Close,
        _ => Turn::Answer,
    })
    .await;
    let sidecar = receiver.sidecar("").await;
    for n in 1..=2 {
        assert_eq!(sidecar.event(events(n, n)).await.status, 202);
        let line = sidecar.logged("delivered", n).await.remove(n - 1);
        assert_eq!(line["attempt"], 1);
    }
    assert_eq!(receiver.requests(), [1, 1, 2]);
}

#[tokio::test]
async fn who_does_not_speak_http_2_is_told_from_who_resets() {
    let answering = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", answering.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = answering.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        while stream.read_u8().await.is_ok() {}
    });
    // It goes away at the sight of HTTP/2.
    let leaving = Receiver::replying([200]).await;
    for (url, code, says) in [(url, "protocol", "the answer is not HTTP/2"), (leaving.url(), "reset", "it may not speak HTTP/2")]
    {
        let sidecar = Sidecar::start(&everything_to(&[("hook", &url, "http = \"2\"")])).await;
        assert_eq!(sidecar.event(events(1, 1)).await.status, 202);
        let line = sidecar.logged("retrying", 1).await.remove(0);
        assert_eq!(line["error_code"], code, "{line}");
        assert!(line["error"].as_str().unwrap().contains(says), "{line}");
    }
    serving.abort();
}
