//! What is too large, too many or too slow is refused before it costs anything.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Answer, Receiver, Sidecar, everything_to};

fn event_of(size: usize) -> String {
    let around = r#"{"type": "a", "data": ""}"#.len();
    format!(r#"{{"type": "a", "data": "{}"}}"#, "x".repeat(size - around))
}

/// A good request with these header lines more; it has five of its own.
fn request(more: &str) -> Vec<u8> {
    let body = r#"{"type":"a","data":1}"#;
    let own = "host: localhost\r\nconnection: close\r\ncontent-type: application/json\r\nuser-agent: test\r\n";
    format!("POST /events HTTP/1.1\r\n{own}content-length: {}\r\n{more}\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn a_body_may_be_max_body_long_and_no_longer() {
    let sidecar = Sidecar::start("[listen]\nmax_body = \"4KiB\"\n").await;
    sidecar.event(event_of(4096)).await.accepted();
    sidecar.event(event_of(4097)).await.refused(413, "payload_too_large");
}

#[tokio::test]
async fn max_body_holds_for_bodies_that_do_not_say_their_length() {
    let sidecar = Sidecar::start("[listen]\nmax_body = \"4KiB\"\n").await;
    let chunked = |body: &str| {
        let head = "POST /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
        let (first, second) = body.split_at(body.len() / 2);
        let chunks = format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
        format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}").into_bytes()
    };
    Answer::parse(&sidecar.send(&chunked(&event_of(4096))).await).accepted();
    Answer::parse(&sidecar.send(&chunked(&event_of(4097))).await).refused(413, "payload_too_large");
}

#[tokio::test]
async fn a_body_that_only_promises_to_be_too_large_is_refused_at_its_head() {
    let sidecar = Sidecar::start("").await;
    let head =
        "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n";
    Answer::parse(&sidecar.send(head.as_bytes()).await).refused(413, "payload_too_large");
}

#[tokio::test]
async fn a_batch_may_hold_max_batch_events_and_no_more() {
    let sidecar = Sidecar::start("[listen]\nmax_batch = 3\n").await;
    let batch = |n| format!("[{}]", vec![r#"{"type": "a", "data": 1}"#; n].join(","));
    assert_eq!(sidecar.event(batch(3)).await.status, 202);
    sidecar.event(batch(4)).await.refused(413, "too_many_events");
}

#[tokio::test]
async fn a_head_may_have_64_headers_and_no_more() {
    let sidecar = Sidecar::start("").await;
    let headers = |n| (0..n).map(|nth| format!("x-{nth}: y\r\n")).collect::<String>();
    assert_eq!(Answer::parse(&sidecar.send(&request(&headers(64 - 5))).await).status, 202);
    let refused = Answer::parse(&sidecar.send(&request(&headers(65 - 5))).await);
    assert_eq!((refused.status, refused.text()), (431, ""));
}

#[tokio::test]
async fn a_head_may_be_16_kib_long_and_no_longer() {
    let sidecar = Sidecar::start("").await;
    let header = |length: usize| format!("x-long: {}\r\n", "y".repeat(length));
    assert_eq!(Answer::parse(&sidecar.send(&request(&header(15 * 1024))).await).status, 202);
    let refused = Answer::parse(&sidecar.send(&request(&header(17 * 1024))).await);
    assert_eq!((refused.status, refused.text()), (431, ""));
    let target = format!("POST /events/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(100_000));
    let refused = Answer::parse(&sidecar.send(target.as_bytes()).await);
    assert!(matches!(refused.status, 414 | 431) && refused.body.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_http_gets_400_and_no_body() {
    let sidecar = Sidecar::start("").await;
    for bytes in
        ["GARBAGE\r\n\r\n", "POST /events HTTP/1.1\r\nbad header\r\n\r\n", "POST /events HTTP/1.1\r\ncontent-length: x\r\n\r\n"]
    {
        let refused = Answer::parse(&sidecar.send(bytes.as_bytes()).await);
        assert_eq!((refused.status, refused.text()), (400, ""), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_slow_head_is_closed_without_a_word() {
    let sidecar = Sidecar::start("[listen]\nheader_timeout = \"200ms\"\n").await;
    for start in ["", "POST /events HTT", "POST /events HTTP/1.1\r\nhost: localhost\r\n"] {
        let began = Instant::now();
        let answer = sidecar.send(start.as_bytes()).await;
        assert!(answer.is_empty(), "{start:?}: {:?}", String::from_utf8_lossy(&answer));
        assert!(began.elapsed() >= Duration::from_millis(200), "{start:?}: closed before its time");
    }
}

#[tokio::test]
async fn a_slow_body_is_408_request_timeout() {
    let sidecar = Sidecar::start("[listen]\nbody_timeout = \"200ms\"\n").await;
    let head = "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n";
    let answer = sidecar.send(format!("{head}{{\"type\":").as_bytes()).await;
    Answer::parse(&answer).refused(408, "request_timeout");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_keep_alive() {
    let sidecar = Sidecar::start("[listen]\nkeep_alive = \"200ms\"\n").await;
    let body = r#"{"type":"a","data":1}"#;
    let head = "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let answer = sidecar.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    Answer::parse(&answer).accepted();
}

#[tokio::test]
async fn a_body_that_ends_early_queues_nothing() {
    let sidecar = Sidecar::start("").await;
    let mut cut = request("");
    cut.truncate(cut.len() - 1);
    let mut stream = tokio::net::TcpStream::connect(sidecar.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &cut).await.unwrap();
    drop(stream);
    sidecar.event(r#"{"type": "after", "data": 1}"#).await.accepted();
    let lines = sidecar.logged("unrouted", 1).await;
    assert_eq!(lines.iter().map(|line| &line["event_type"]).collect::<Vec<_>>(), ["after"]);
}

#[tokio::test]
async fn a_client_that_closes_its_side_after_its_request_is_answered_all_the_same() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    let mut stream = tokio::net::TcpStream::connect(sidecar.address()).await.unwrap();
    let request = "POST /events/a HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer:?}");
    receiver.received(1).await;
}
