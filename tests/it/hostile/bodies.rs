//! Answers' bodies: success is decided before them, and no more of them is read than is good.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{EVENTS, PROMPT, TWICE, connections::large, each, leaving_after, ordeal, ordeal_of};
use crate::support::{LIMIT, Sidecar, Wire, everything_to, run, telling, wire::read_request};

const OK: &str = "HTTP/1.1 200 OK\r\n";
const FAILED: &str = "HTTP/1.1 500 No\r\n";

/// One attempt at a time, so that an attempt that does not end holds up the next.
const ONE: &str = "concurrency = 1\nretry = { attempts = 2, delay = \"10ms\", jitter = 0 }";

/// Says `head` and the beginning of a body, and then `body` again and again, `every` so often. Tells how long each connection went on after its head.
fn streaming(head: &'static str, body: &'static str, every: Duration) -> (Wire, mpsc::UnboundedReceiver<Duration>) {
    let (tell, told) = mpsc::unbounded_channel();
    let wire = Wire::start(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            read_request(&mut stream).await?;
            stream.write_all(format!("{head}content-length: 1000000\r\n\r\nwell, ").as_bytes()).await?;
            let began = Instant::now();
            let (mut reading, mut writing) = stream.split();
            let drip = async {
                while !every.is_zero() && writing.write_all(body.as_bytes()).await.is_ok() {
                    sleep(every).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                _ended = reading.read_u8() => {}
                () = drip => {}
            }
            tell.send(began.elapsed()).map_err(std::io::Error::other)
        }
    });
    (wire, told)
}

const DRIPS: [(&str, Duration); 2] = [("", Duration::ZERO), ("x", Duration::from_millis(50))];

#[tokio::test]
async fn a_body_that_hangs_or_drips_is_given_up_after_five_seconds() {
    each(DRIPS, async |(body, every)| {
        // Side by side, for each takes its five seconds.
        let (nothing, closed) = (holds_up_nothing(body, every), is_closed(body, every));
        tokio::join!(nothing, closed, leaves_its_beginning(body, every), is_shown_by_a_ping(body, every));
    })
    .await;
}

/// The success was decided before it, and neither the next attempt nor the end waits for it.
async fn holds_up_nothing(body: &'static str, every: Duration) {
    let (wire, _told) = streaming(OK, body, every);
    let ended = ordeal(&wire.url(), ONE).await;
    ended.delivered(200);
    assert!(ended.took < PROMPT, "{:?}", ended.took);
    assert_eq!(wire.connections(), EVENTS);
}

async fn is_closed(body: &'static str, every: Duration) {
    let (wire, mut told) = streaming(OK, body, every);
    let sidecar = Sidecar::start(&everything_to(&[("sick", &wire.url(), "")])).await;
    sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
    sidecar.logged("delivered", 1).await;
    let went_on = timeout(LIMIT, told.recv()).await.expect("an end in time").unwrap();
    assert!((4..9).contains(&went_on.as_secs()), "{went_on:?}");
}

async fn leaves_its_beginning(body: &'static str, every: Duration) {
    let (wire, _told) = streaming(FAILED, body, every);
    let ended = ordeal(&wire.url(), &TWICE.replace("attempts = 2", "attempts = 1")).await;
    ended.dead("status_500", "transient", 1, "attempts");
    for line in telling(&ended.lines, "failed") {
        assert!(line["response"].as_str().unwrap().starts_with("well, "), "{line}");
        assert!(line["duration_ms"].as_f64().unwrap() < 3000.0, "{line}");
    }
}

async fn is_shown_by_a_ping(body: &'static str, every: Duration) {
    let (wire, _told) = streaming(FAILED, body, every);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sidehook.toml"), everything_to(&[("sick", &wire.url(), "")])).unwrap();
    let said = run(folder.path(), &["test", "sick"]).await;
    assert_eq!(said.code, 1, "{}", said.stdout);
    assert!(said.stdout.contains("answered 500") && said.stdout.contains("well,"), "{}", said.stdout);
}

#[tokio::test]
async fn a_body_that_breaks_off_changes_nothing() {
    each([(OK, false), (OK, true), (FAILED, false), (FAILED, true)], async |(head, resets)| {
        let wire = Wire::start(move |mut stream, _| async move {
            read_request(&mut stream).await?;
            stream.write_all(format!("{head}content-length: 1000\r\n\r\nbeginning").as_bytes()).await?;
            // A reset may overtake what was said before it.
            sleep(Duration::from_millis(30)).await;
            if resets { stream.set_zero_linger() } else { Ok(()) }
        });
        let ended = ordeal(&wire.url(), TWICE).await;
        if head == OK { ended.delivered(200) } else { ended.given_up("status_500") }
    })
    .await;
}

#[tokio::test]
async fn chunks_that_are_none() {
    let all = ["ZZZ\r\nx\r\n", "-1\r\nx\r\n", "fffffffffffffffff\r\nx\r\n", "1\r\nxxxx\r\n0\r\n\r\n", "1 x\r\n0\r\n\r\n"];
    each(all, async |chunks| {
        let wire = Wire::saying(format!("{OK}transfer-encoding: chunked\r\n\r\n{chunks}"));
        ordeal(&wire.url(), TWICE).await.delivered(200);
        assert_eq!(wire.connections(), EVENTS, "{chunks:?}");
        let wire = leaving_after(format!("{FAILED}transfer-encoding: chunked\r\n\r\n{chunks}"));
        ordeal(&wire.url(), TWICE).await.given_up("status_500");
    })
    .await;
}

#[tokio::test]
async fn bytes_of_any_kind_are_a_failures_beginning() {
    let bytes: Vec<u8> = (0..=255).collect();
    let wire = leaving_after([FAILED.as_bytes(), b"\r\n", &bytes].concat());
    let ended = ordeal(&wire.url(), TWICE).await;
    ended.given_up("status_500");
    let text = String::from_utf8_lossy(&bytes);
    assert!(telling(&ended.lines, "failed").iter().all(|line| line["response"] == *text), "{:#?}", ended.lines);
}

/// Writes `head` and then `body` for as long as somebody takes it, up to a gibibyte, and counts what it wrote.
async fn pour(mut stream: TcpStream, head: &str, body: &str, written: &AtomicUsize) -> std::io::Result<()> {
    let piece = body.repeat(1 + 4096 / body.len());
    stream.write_all(head.as_bytes()).await?;
    while written.load(Relaxed) < 1 << 30 {
        stream.write_all(piece.as_bytes()).await?;
        written.fetch_add(piece.len(), Relaxed);
    }
    Ok(())
}

#[tokio::test]
async fn of_a_body_without_end_little_is_read() {
    let chunk = format!("100\r\n{}\r\n", "x".repeat(256));
    let bodies = [
        ("content-length: 1073741824\r\n\r\n", "x"),
        ("\r\n", "x"),
        ("transfer-encoding: chunked\r\n\r\n", &chunk),
        ("transfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
        ("transfer-encoding: chunked\r\n\r\n1;", "extension"),
        ("transfer-encoding: chunked\r\n\r\n0\r\n", "x: y\r\n"),
    ];
    let cases = bodies.into_iter().flat_map(|(rest, body)| [OK, FAILED].map(|head| (head, rest, body.to_owned())));
    each(cases, async |(head, rest, body)| {
        let written = Arc::<AtomicUsize>::default();
        let counted = written.clone();
        let wire = Wire::start(move |mut stream, _| {
            let (written, body) = (counted.clone(), body.clone());
            async move {
                read_request(&mut stream).await?;
                pour(stream, &format!("{head}{rest}"), &body, &written).await
            }
        });
        let ended = ordeal(&wire.url(), TWICE).await;
        if head == OK {
            ended.delivered(200)
        } else {
            ended.given_up("status_500")
        }
        // What is not read lies in the kernel's buffers.
        let each = written.load(Relaxed) / wire.connections();
        assert!(each < 1 << 20, "{rest:?}: {each}");
    })
    .await;
}

/// Answers once a request has begun, whatever is still to come.
fn early(answer: String, and_leaves: bool) -> Wire {
    Wire::start(move |mut stream, _| {
        let answer = answer.clone();
        async move {
            stream.read_u8().await?;
            stream.write_all(answer.as_bytes()).await?;
            if and_leaves { Ok(()) } else { std::future::pending().await }
        }
    })
}

#[tokio::test]
async fn an_answer_before_the_request_was_read_counts_and_nothing_more_is_sent_there() {
    let answers = [
        "200 OK\r\ncontent-length: 0\r\n\r\n",
        "200 OK\r\ncontent-length: 4\r\n\r\nfine",
        "413 No\r\ncontent-length: 2\r\n\r\nno",
    ];
    each(answers, async |answer| {
        let wire = early(format!("HTTP/1.1 {answer}"), false);
        let ended = ordeal_of(&wire.url(), TWICE, &large()).await;
        if answer.contains("200") {
            ended.delivered(200)
        } else {
            ended.refused("status_413")
        }
        assert_eq!(wire.connections(), EVENTS, "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_of_one_who_then_leaves_counts() {
    let wire = early("HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(), true);
    ordeal_of(&wire.url(), TWICE, &large()).await.refused("status_413");
}
