//! Connections that are kept: what lies on them when the next request comes, and when they go.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::timeout,
};

use super::{EVENTS, TWICE, each, ordeal};
use crate::support::{
    LIMIT, Receiver, Sidecar, Wire, everything_to, telling,
    wire::{frame, greet, read_request, read_stream},
};

const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn what_comes_behind_an_answer_is_no_answer_to_the_next_request() {
    let second = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
    let with_body = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n";
    let much = "x".repeat(100_000);
    each([EMPTY, with_body, chunked], async |first| {
        for more in [second, "garbage", "\0", "HTTP/1.1 100 Continue\r\n\r\n", much.as_str()] {
            let wire = Wire::saying(format!("{first}{more}"));
            ordeal(&wire.url(), TWICE).await.delivered(200);
            assert_eq!(wire.connections(), EVENTS, "{first:?} {more:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_where_there_can_be_none_is_no_answer_to_the_next_request() {
    let body = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
    let wire = Wire::saying(format!("HTTP/1.1 204 No Content\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    ordeal(&wire.url(), TWICE).await.delivered(204);
    let wire = Wire::saying(format!("HTTP/1.1 304 Not Modified\r\n\r\n{EMPTY}"));
    ordeal(&wire.url(), TWICE).await.refused("status_304");
}

#[tokio::test]
async fn a_connection_that_is_said_to_close_is_not_used_again_though_it_stays() {
    let answers = [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nconnection: x, close\r\ncontent-length: 4\r\n\r\nfine",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ];
    each(answers, async |answer| {
        let wire = Wire::saying(answer);
        ordeal(&wire.url(), TWICE).await.delivered(200);
        assert_eq!(wire.connections(), EVENTS, "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_came_too_often_delivers_nothing_that_was_refused() {
    let wire = Wire::start(|mut stream, nth| async move {
        read_request(&mut stream).await?;
        let answer = if nth == 1 { EMPTY.repeat(2) } else { EMPTY.replace("200 OK", "404 No") };
        stream.write_all(answer.as_bytes()).await?;
        read_request(&mut stream).await.map(drop)
    });
    let healthy = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("sick", &wire.url(), TWICE), ("healthy", &healthy.url(), "")])).await;
    sidecar.event(r#"{"type": "a", "id": "e-1", "data": 1}"#).await.accepted();
    sidecar.logged("delivered", 2).await;
    sidecar.event(r#"{"type": "a", "id": "e-2", "data": 1}"#).await.accepted();
    let failed = &sidecar.logged("failed", 1).await[0];
    assert_eq!(
        (&failed["event_id"], &failed["error_code"], &failed["attempt"]),
        (&"e-2".into(), &"status_404".into(), &1.into())
    );
}

#[tokio::test]
async fn what_is_said_on_an_idle_connection_is_no_answer_to_the_next_request() {
    each(["HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", "garbage", "\r\n\r\n", "HTTP/1.1 "], async |said| {
        let (delivered, spoken) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (is_delivered, has_spoken) = (delivered.clone(), spoken.clone());
        let wire = Wire::start(move |mut stream, nth| {
            let (delivered, spoken) = (is_delivered.clone(), has_spoken.clone());
            async move {
                read_request(&mut stream).await?;
                stream.write_all(EMPTY.as_bytes()).await?;
                if nth == 1 {
                    delivered.notified().await;
                    stream.write_all(said.as_bytes()).await?;
                    spoken.notify_one();
                }
                while stream.read_u8().await.is_ok() {}
                Ok(())
            }
        });
        let sidecar = Sidecar::start(&everything_to(&[("sick", &wire.url(), TWICE)])).await;
        sidecar.event(r#"{"type": "a", "id": "e-1", "data": 1}"#).await.accepted();
        sidecar.logged("delivered", 1).await;
        delivered.notify_one();
        spoken.notified().await;
        sidecar.event(r#"{"type": "a", "id": "e-2", "data": 1}"#).await.accepted();
        assert_eq!(sidecar.logged("delivered", 2).await[1]["attempt"], 1, "{said:?}");
        assert_eq!(wire.connections(), 2, "{said:?}");
        assert!(telling(&sidecar.log(), "retrying").is_empty(), "{said:?}");
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_that_is_flooded_ends_at_its_time() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let wire = Wire::start(move |mut stream, nth| {
        let tell = tell.clone();
        async move {
            if nth == 1 {
                read_request(&mut stream).await?;
                stream.write_all(EMPTY.as_bytes()).await?;
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            } else {
                greet(&mut stream, &[]).await?;
                let id = read_stream(&mut stream).await?;
                stream.write_all(&frame(1, 5, id, &[0x88])).await?;
                // Pings, each of which wants an answer that is not read.
                let pings = frame(6, 0, 0, &[0; 8]).repeat(100);
                while stream.write_all(&pings).await.is_ok() {}
            }
            tell.send(()).map_err(io::Error::other)
        }
    });
    for keys in ["idle_timeout = \"200ms\"", "idle_timeout = \"200ms\"\nhttp = \"2\""] {
        let sidecar = Sidecar::start(&everything_to(&[("sick", &wire.url(), keys)])).await;
        sidecar.event(r#"{"type": "a", "id": "e-1", "data": 1}"#).await.accepted();
        assert_eq!(sidecar.logged("delivered", 1).await[0]["attempt"], 1);
        timeout(LIMIT, told.recv()).await.unwrap_or_else(|_| panic!("no end in time: {keys}"));
    }
}

/// How a receiver leaves a connection that it has used before.
async fn leave(mut stream: TcpStream, way: u64) -> io::Result<()> {
    match way % 5 {
        0 => Ok(()),
        1 => stream.set_zero_linger(),
        2 => stream.read_u8().await.map(drop),
        3 => {
            stream.read_u8().await?;
            stream.set_zero_linger()
        }
        _ => read_request(&mut stream).await.map(drop),
    }
}

#[tokio::test]
async fn connections_that_end_whenever_their_receiver_likes_cost_no_attempt() {
    let wire = Wire::start(|mut stream, nth| async move {
        // As random as it need be, and the same each time.
        let random = (nth as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        for _ in 0..=random % 3 {
            read_request(&mut stream).await?;
            stream.write_all(EMPTY.as_bytes()).await?;
        }
        leave(stream, random / 3).await
    });
    let healthy = Receiver::replying([200]).await;
    let config = everything_to(&[("sick", &wire.url(), "retry = { attempts = 1 }"), ("healthy", &healthy.url(), "")]);
    let sidecar = Sidecar::start(&config).await;
    for batch in 0..20 {
        let event = |nth| format!(r#"{{"type": "a", "id": "e-{batch}-{nth}", "data": 1}}"#);
        assert_eq!(sidecar.event(format!("[{}]", (0..5).map(event).collect::<Vec<_>>().join(","))).await.status, 202);
        sidecar.logged("delivered", (batch + 1) * 10).await;
    }
    assert!(sidecar.log().iter().all(|line| line["attempt"].is_null() || line["attempt"] == 1));
    assert!(wire.connections() > 20, "{}", wire.connections());
    assert!(sidecar.dead_letters().is_empty());
}
