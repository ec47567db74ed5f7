//! `Expect: 100-continue`: who asks before it sends a body is told to go on, or at once why not.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{LIMIT, Receiver, Sidecar, everything_to};

const EVENT: &str = r#"{"type":"a","id":"e-1","data":1}"#;

/// A connection on which the head of a request was sent, and nothing of its body.
async fn asking(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> TcpStream {
    let mut head = format!("POST {path} HTTP/1.1\r\nexpect: 100-continue\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all((head + "\r\n").as_bytes()).await.unwrap();
    stream
}

/// What is said until the head of an answer has ended.
async fn said(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = async {
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("a whole head"));
        }
    };
    timeout(LIMIT, read).await.expect("an answer before the body");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_that_will_be_read_is_asked_for() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    let length = EVENT.len().to_string();
    let headers = [("host", "localhost"), ("content-type", "application/json"), ("content-length", &length)];
    let mut stream = asking(sidecar.address(), "/events", &headers).await;
    assert_eq!(said(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(EVENT.as_bytes()).await.unwrap();
    let answer = said(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    receiver.received(1).await;
}

#[tokio::test]
async fn a_body_that_will_not_be_read_is_refused_before_it_is_sent() {
    let receiver = Receiver::replying([410]).await;
    let config = everything_to(&[("hook", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&format!("[listen]\nmax_body = \"1KiB\"\ntoken = \"t0ken\"\n{config}")).await;
    let authorization = ("authorization", "Bearer t0ken");
    let json = ("content-type", "application/json");
    let (host, short, long) = (("host", "localhost"), ("content-length", "32"), ("content-length", "1025"));
    sidecar.request("POST", "/events", &[json, authorization], EVENT).await.accepted();
    sidecar.logged("disabled", 1).await;
    for (path, headers, expected) in [
        ("/events", vec![host, json, authorization, long], 413),
        ("/events", vec![host, json, short], 401),
        ("/events", vec![("host", "evil.example"), json, authorization, short], 403),
        ("/events", vec![host, ("content-type", "text/plain"), authorization, short], 415),
        ("/elsewhere", vec![host, json, authorization, short], 404),
        ("/endpoints/none/events", vec![host, json, authorization, short], 404),
        ("/endpoints/hook/events", vec![host, json, authorization, short], 409),
    ] {
        let mut stream = asking(sidecar.address(), path, &headers).await;
        let answer = said(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{path} {headers:?}: {answer}");
    }
}

#[tokio::test]
async fn a_body_that_never_comes_after_that_is_408() {
    let sidecar = Sidecar::start("[listen]\nbody_timeout = \"100ms\"\n").await;
    let headers = [("host", "localhost"), ("content-type", "application/json"), ("content-length", "32")];
    let mut stream = asking(sidecar.address(), "/events", &headers).await;
    assert_eq!(said(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n");
    let answer = said(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}
