//! Receivers that hang at each stage, all at once and for good.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{EVENTS, PROMPT, assert_each_ends_once};
use crate::support::{
    Receiver, Sidecar, Wire, everything_to, json_lines, telling,
    wire::{greet, read_request, read_stream},
};

/// Takes what comes and says nothing.
fn silent() -> Wire {
    Wire::start(|mut stream, _| async move {
        while stream.read_u8().await.is_ok() {}
        Ok(())
    })
}

fn dripping() -> Wire {
    Wire::start(|mut stream, _| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await?;
        loop {
            stream.write_all(b"y").await?;
            sleep(Duration::from_millis(10)).await;
        }
    })
}

/// Agrees on HTTP/2, and says nothing more.
fn silent_two() -> Wire {
    Wire::start(|mut stream, _| async move {
        greet(&mut stream, &[]).await?;
        loop {
            read_stream(&mut stream).await?;
        }
    })
}

#[tokio::test]
async fn all_who_hang_hold_up_nobody_and_what_they_did_not_take_is_pending() {
    let connect = Wire::full().await;
    let (tls, head, two) = (silent(), silent(), silent_two());
    let (half, announced) = (Wire::saying("HTTP/1.1 200 OK\r\n"), Wire::saying("HTTP/1.1 100 Continue\r\n\r\n"));
    let (drip, body) = (dripping(), Wire::saying("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"));
    let healthy = Receiver::replying([200]).await;
    let forever = "timeout = \"60s\"\nconcurrency = 1";
    let forever_two = format!("http = \"2\"\n{forever}");
    let urls = [&connect, &tls, &head, &two, &half, &announced, &drip, &body].map(Wire::url);
    let [connect_url, tls_url, head_url, two_url, half_url, announced_url, drip_url, body_url] = &urls;
    let tls_url = tls_url.replace("http:", "https:");
    let config = everything_to(&[
        ("connect", connect_url, forever),
        ("tls", &tls_url, forever),
        ("head", head_url, forever),
        ("two", two_url, &forever_two),
        ("half", half_url, forever),
        ("announced", announced_url, forever),
        ("drip", drip_url, forever),
        ("body", body_url, forever),
        ("healthy", &healthy.url(), "concurrency = 1"),
    ]);
    let sidecar = Sidecar::start(&format!("{config}\n[shutdown]\ngrace = \"50ms\"\n")).await;
    let began = Instant::now();
    for nth in 1..=EVENTS {
        sidecar.event(format!(r#"{{"type": "a", "id": "e-{nth}", "data": 1}}"#)).await.accepted();
    }
    healthy.received(EVENTS).await;
    // Theirs, and those whose answers' bodies hang.
    sidecar.logged("delivered", 2 * EVENTS).await;
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    let folder = sidecar.stop().await.1;
    assert!(began.elapsed() < PROMPT, "{:?}", began.elapsed());
    let lines = json_lines(&folder.path().join("deliveries.jsonl"));
    let hanging = ["connect", "tls", "head", "two", "half", "announced", "drip"];
    assert_each_ends_once(&lines, &hanging);
    assert_each_ends_once(&lines, &["body", "healthy"]);
    let pending = telling(&lines, "pending");
    assert_eq!(pending.len(), hanging.len() * EVENTS, "{pending:#?}");
}
