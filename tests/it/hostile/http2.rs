//! The same over HTTP/2, where one connection is shared by all there is for a receiver.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::server::SendResponse;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{EVENTS, PROMPT, QUICK, TWICE, connections::large, each, ordeal, ordeal_of};
use crate::support::{
    LIMIT, Sidecar, Wire, everything_to,
    wire::{frame, greet, read_stream},
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status: 200` (RFC 7541, appendix A).
const OK: &[u8] = &[0x88];

fn two(keys: &str) -> String {
    format!("http = \"2\"\n{keys}")
}

/// Says what `answer` makes of each request's stream.
fn answering(answer: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Wire {
    let answer = Arc::new(answer);
    Wire::start(move |mut stream, _| {
        let answer = answer.clone();
        async move {
            greet(&mut stream, &[]).await?;
            loop {
                let id = read_stream(&mut stream).await?;
                stream.write_all(&answer(id)).await?;
            }
        }
    })
}

/// Says what `said` makes of the first request's stream, again and again.
fn flooding(said: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static, every: Duration) -> Wire {
    let said = Arc::new(said);
    Wire::start(move |mut stream, _| {
        let said = said.clone();
        async move {
            greet(&mut stream, &[]).await?;
            let id = read_stream(&mut stream).await?;
            flood(&mut stream, &said(id), every).await
        }
    })
}

async fn flood(stream: &mut TcpStream, bytes: &[u8], every: Duration) -> io::Result<()> {
    loop {
        stream.write_all(bytes).await?;
        if !every.is_zero() {
            sleep(every).await;
        }
    }
}

/// `:status` with this text, as a literal that is not indexed.
fn status(text: &str) -> Vec<u8> {
    [&[0x08, text.len() as u8], text.as_bytes()].concat()
}

#[tokio::test]
async fn silence_at_every_stage() {
    let before_settings = Wire::start(|stream, _| async move {
        let _open = stream;
        std::future::pending().await
    });
    let before_answer = answering(|_| Vec::new());
    // Of the first request alone: nothing else may come before the rest of a head.
    let within_head = answering(|id| if id == 1 { frame(HEADERS, 0, id, OK) } else { Vec::new() });
    let wires = [before_settings, before_answer, within_head];
    each(wires, async |wire| ordeal(&wire.url(), &two(QUICK)).await.given_up("timeout")).await;
}

#[tokio::test]
async fn a_window_that_never_opens() {
    // SETTINGS_MAX_CONCURRENT_STREAMS and SETTINGS_INITIAL_WINDOW_SIZE of 0.
    each([[0, 3, 0, 0, 0, 0], [0, 4, 0, 0, 0, 0]], async |settings| {
        let wire = Wire::start(move |mut stream, _| async move {
            greet(&mut stream, &settings).await?;
            loop {
                read_stream(&mut stream).await?;
            }
        });
        ordeal_of(&wire.url(), &two(QUICK), &format!("\"{}\"", "x".repeat(1 << 20))).await.given_up("timeout");
    })
    .await;
}

#[tokio::test]
async fn who_takes_nothing_any_more_keeps_no_connection_open() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let wire = Wire::start(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            // Windows as large as they can be, and nobody who reads what comes through them.
            greet(&mut stream, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).await?;
            stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).await?;
            drop(flood(&mut stream, &frame(PING, 0, 0, &[0; 8]), Duration::from_millis(50)).await);
            tell.send(()).map_err(io::Error::other)
        }
    });
    let keys = two("timeout = \"300ms\"\nconcurrency = 1");
    let config = everything_to(&[("sick", &wire.url(), &keys)]);
    let sidecar = Sidecar::start(&format!("{config}\n[listen]\nmax_body = \"32MiB\"\n")).await;
    sidecar.event(format!(r#"{{"type": "a", "data": {}}}"#, large())).await.accepted();
    assert_eq!(sidecar.logged("retrying", 1).await[0]["error_code"], "timeout");
    timeout(LIMIT, told.recv()).await.expect("an end in time");
}

#[tokio::test]
async fn streams_and_connections_that_are_reset() {
    let closing = Wire::start(|_, _| async { Ok(()) });
    let resetting = Wire::start(|stream, _| async move { stream.set_zero_linger() });
    each([closing, resetting], async |wire| ordeal(&wire.url(), &two(TWICE)).await.given_up("reset")).await;
    each([0, 1, 2, 8, 11], async |reason| {
        let wire = answering(move |id| frame(RST_STREAM, 0, id, &[0, 0, 0, reason]));
        ordeal(&wire.url(), &two(TWICE)).await.given_up("reset");
        let wire = answering(move |_| frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, reason]));
        ordeal(&wire.url(), &two(TWICE)).await.given_up("reset");
    })
    .await;
}

#[tokio::test]
async fn what_a_receiver_says_at_the_end_of_a_connection_is_not_for_the_log() {
    for reason in [0, 2] {
        let words = [&[0, 0, 0, 0, 0, 0, 0, reason], b"denied: Bearer s3cret-\"token".as_slice()].concat();
        let wire = answering(move |_| frame(GOAWAY, 0, 0, &words));
        let auth = "auth = { type = \"bearer\", token = 's3cret-\"token' }";
        let ended = ordeal(&wire.url(), &format!("{auth}\n{}", two(TWICE))).await;
        ended.given_up("reset");
        assert!(!format!("{:?}", ended.lines).contains("s3cret"), "{:#?}", ended.lines);
    }
}

#[tokio::test]
async fn floods_are_no_answer() {
    let hints = |id| frame(HEADERS, END_HEADERS, id, &status("103"));
    let pings = |_| frame(PING, 0, 0, &[0; 8]);
    let settings = |_| frame(SETTINGS, 0, 0, &[]);
    let wires = [
        flooding(hints, Duration::from_millis(10)),
        flooding(hints, Duration::ZERO),
        flooding(pings, Duration::ZERO),
        flooding(settings, Duration::ZERO),
    ];
    each(wires, async |wire| ordeal(&wire.url(), &two(QUICK)).await.given_up("timeout")).await;
}

#[tokio::test]
async fn what_is_no_answer() {
    type Answer = fn(u32) -> Vec<u8>;
    let answers: [Answer; 12] = [
        |_| b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
        |_| frame(DATA, END_STREAM, 0, b"x"),
        |id| frame(HEADERS, END_STREAM | END_HEADERS, id, &status("1000")),
        |id| frame(HEADERS, END_STREAM | END_HEADERS, id, &status("99")),
        |id| frame(HEADERS, END_STREAM | END_HEADERS, id, &[0xff; 16]),
        |id| frame(HEADERS, END_STREAM | END_HEADERS, id + 100, OK),
        // A promise that nobody wants, an increment of 0, and one that is too much.
        |id| frame(PUSH_PROMISE, END_HEADERS, id, &[0, 0, 0, 2, 0x82, 0x84, 0x86]),
        |_| frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        |_| frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        |_| frame(SETTINGS, 0, 0, &[0; 5]),
        |_| frame(PING, 0, 0, &[0; 7]),
        // Longer than it may be.
        |id| frame(DATA, 0, id, &[0; 17 << 10]),
    ];
    each(answers, async |answer| ordeal(&answering(answer).url(), &two(TWICE)).await.given_up("protocol")).await;
}

#[tokio::test]
async fn heads_that_are_too_much() {
    // A header of 4,000 bytes that is put into the table, and then said by one byte each.
    let bomb = |id| {
        let (name, value) = (b"\x40\x01x\x7f\xa1\x1e".as_slice(), [b'y'; 4000]);
        frame(HEADERS, END_STREAM | END_HEADERS, id, &[OK, name, &value, &[0xbe; 10_000]].concat())
    };
    ordeal(&answering(bomb).url(), &two(TWICE)).await.given_up("protocol");
    let endless = |id| {
        let more = frame(CONTINUATION, 0, id, &[0x88; 1000]);
        [frame(HEADERS, 0, id, OK), more.repeat(1000)].concat()
    };
    ordeal(&answering(endless).url(), &two(TWICE)).await.given_up("protocol");
}

#[tokio::test]
async fn a_body_that_hangs_or_breaks_off_changes_nothing() {
    let one = format!("{}\nconcurrency = 1", two(TWICE));
    let hanging = answering(|id| frame(HEADERS, END_HEADERS, id, OK));
    let ended = ordeal(&hanging.url(), &one).await;
    ended.delivered(200);
    assert!(ended.took < PROMPT, "{:?}", ended.took);
    let breaking = answering(|id| [frame(HEADERS, END_HEADERS, id, OK), frame(RST_STREAM, 0, id, &[0, 0, 0, 2])].concat());
    ordeal(&breaking.url(), &one).await.delivered(200);
}

/// Sends a body for as long as the windows let it.
async fn pour(mut respond: SendResponse<Bytes>, counted: Arc<AtomicUsize>) -> Result<(), h2::Error> {
    let mut body = respond.send_response(http::Response::new(()), false)?;
    loop {
        body.reserve_capacity(16 << 10);
        let Some(room) = poll_fn(|cx| body.poll_capacity(cx)).await else { return Ok(()) };
        let room = room?;
        counted.fetch_add(room, Relaxed);
        body.send_data(vec![0; room].into(), false)?;
    }
}

#[tokio::test]
async fn of_a_body_without_end_little_is_let_in() {
    let sent = Arc::<AtomicUsize>::default();
    let counted = sent.clone();
    let wire = Wire::start(move |stream, _| {
        let counted = counted.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.map_err(io::Error::other)?;
            while let Some(Ok((_request, respond))) = connection.accept().await {
                tokio::spawn(pour(respond, counted.clone()));
            }
            Ok(())
        }
    });
    ordeal(&wire.url(), &two(TWICE)).await.delivered(200);
    let sent = sent.load(Relaxed);
    assert!((EVENTS * (64 << 10)..EVENTS * (256 << 10)).contains(&sent), "{sent}");
}
