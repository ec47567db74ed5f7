//! Receivers that are back from the dead.

use tokio::io::AsyncWriteExt;

use super::each;
use crate::support::{
    Receiver, Sidecar, Wire, everything_to, json_lines, telling,
    wire::{bound, frame, greet, read_request, read_stream},
};

const STUBBORN: &str = "timeout = \"200ms\"\nretry = { attempts = 100, delay = \"20ms\", backoff = \"fixed\", jitter = 0 }";
const EVENTS: usize = 8;

/// Posts [`EVENTS`] events to `url` and to a neighbour, which has them at once.
async fn posted(url: &str, keys: &str) -> Sidecar {
    let healthy = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("sick", url, keys), ("healthy", &healthy.url(), "")])).await;
    for nth in 1..=EVENTS {
        sidecar.event(format!(r#"{{"type": "a", "id": "e-{nth}", "data": {nth}}}"#)).await.accepted();
    }
    healthy.received(EVENTS).await;
    sidecar
}

/// Every event was delivered, once, and not given up by anybody.
async fn assert_all_arrive(sidecar: Sidecar) {
    sidecar.logged("delivered", 2 * EVENTS).await;
    let folder = sidecar.stop().await.1;
    let lines = json_lines(&folder.path().join("deliveries.jsonl"));
    let delivered = telling(&lines, "delivered");
    let mut ids: Vec<_> =
        delivered.iter().filter(|line| line["endpoint"] == "sick").map(|line| line["event_id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), delivered.len()), (EVENTS, 2 * EVENTS), "{lines:#?}");
    assert!(lines.iter().all(|line| line["outcome"] != "failed" && line["outcome"] != "dead_lettered"), "{lines:#?}");
}

#[tokio::test]
async fn who_was_dead_in_every_way_gets_everything_once_it_is_well() {
    let wire = Wire::start(|mut stream, nth| async move {
        match nth {
            1..=4 => return stream.set_zero_linger(),
            5..=8 => return Ok(()),
            9..=12 => return std::future::pending().await,
            _ => {}
        }
        loop {
            read_request(&mut stream).await?;
            let answer = match nth {
                13..=16 => "garbage",
                17..=20 => "HTTP/1.1 200 O",
                21..=24 => "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
                25..=28 => "HTTP/1.1 503 No\r\nconnection: close\r\nretry-after: soon\r\ncontent-length: 10\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            };
            stream.write_all(answer.as_bytes()).await?;
            if nth <= 28 {
                return Ok(());
            }
        }
    });
    assert_all_arrive(posted(&wire.url(), STUBBORN).await).await;
}

#[tokio::test]
async fn who_was_dead_in_every_way_of_http_2_gets_everything_once_it_is_well() {
    let wire = Wire::start(|mut stream, nth| async move {
        match nth {
            1 => return stream.set_zero_linger(),
            2 => return Ok(()),
            3 => return std::future::pending().await,
            _ => {}
        }
        greet(&mut stream, &[]).await?;
        loop {
            let id = read_stream(&mut stream).await?;
            let said = match nth {
                4 => Vec::new(),
                5 => frame(3, 0, id, &[0, 0, 0, 2]),
                6 => frame(7, 0, 0, &[0; 8]),
                7 => b"garbage that is longer than a frame".to_vec(),
                // 503, and then 200.
                8 => frame(1, 5, id, b"\x08\x03503"),
                _ => frame(1, 5, id, &[0x88]),
            };
            stream.write_all(&said).await?;
            if nth == 8 {
                return Ok(());
            }
        }
    });
    assert_all_arrive(posted(&wire.url(), &format!("http = \"2\"\n{STUBBORN}")).await).await;
    assert!(wire.connections() >= 9, "{}", wire.connections());
}

#[tokio::test]
async fn who_did_not_listen_gets_everything_once_it_does() {
    each(["", "breaker = { failures = 2, pause = \"50ms\" }", "order = \"fifo\"", "concurrency = 1"], async |more| {
        let socket = bound();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let sidecar = posted(&url, &format!("{STUBBORN}\n{more}")).await;
        sidecar.logged("retrying", 2).await;
        let _wire = Wire::on(socket, |mut stream, _| async move {
            loop {
                read_request(&mut stream).await?;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            }
        });
        assert_all_arrive(sidecar).await;
    })
    .await;
}
