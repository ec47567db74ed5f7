//! What goes wrong before there is an answer: in the connection, and in its TLS.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{EVENTS, QUICK, TWICE, each, ordeal, ordeal_of};
use crate::support::{
    LIMIT, Receiver, Wire,
    wire::{bound, read_request},
};

fn tls(wire: &Wire) -> String {
    wire.url().replace("http:", "https:")
}

/// More than goes into the buffers between here and there.
pub(super) fn large() -> String {
    format!("\"{}\"", "x".repeat(5 << 20))
}

#[tokio::test]
async fn a_connection_that_does_not_come_about() {
    ordeal(&Wire::full().await.url(), QUICK).await.given_up("connect_timeout");
}

#[tokio::test]
async fn an_address_where_nobody_listens() {
    let socket = bound();
    ordeal(&format!("http://{}", socket.local_addr().unwrap()), TWICE).await.given_up("connect_refused");
}

#[tokio::test]
async fn a_connection_that_ends_at_once_or_after_the_request() {
    let closing = Wire::start(|_, _| async { Ok(()) });
    let resetting = Wire::start(|stream, _| async move { stream.set_zero_linger() });
    let leaving = Wire::start(|mut stream, _| async move { read_request(&mut stream).await.map(drop) });
    let half_closing = Wire::start(|mut stream, _| async move {
        stream.shutdown().await?;
        while stream.read_u8().await.is_ok() {}
        Ok(())
    });
    each([closing, resetting, leaving, half_closing], async |wire| {
        ordeal(&wire.url(), TWICE).await.given_up("reset");
        assert_eq!(wire.connections(), 2 * EVENTS, "the end of a fresh connection is no reason for another");
    })
    .await;
    ordeal(&Receiver::resetting().await.url(), TWICE).await.given_up("reset");
}

#[tokio::test]
async fn a_connection_on_which_was_waited_in_vain_is_closed() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let wire = Wire::start(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            while stream.read_u8().await.is_ok() {}
            tell.send(()).map_err(std::io::Error::other)
        }
    });
    ordeal(&wire.url(), QUICK).await.given_up("timeout");
    for _ in 0..2 * EVENTS {
        timeout(LIMIT, told.recv()).await.expect("an end of each connection");
    }
}

#[tokio::test]
async fn a_request_that_nobody_reads_or_only_byte_by_byte() {
    let unread = Wire::start(|stream, _| async move {
        let _open = stream;
        std::future::pending().await
    });
    let slowly = Wire::start(|mut stream, _| async move {
        loop {
            stream.read_u8().await?;
            sleep(Duration::from_millis(10)).await;
        }
    });
    each([unread, slowly], async |wire| ordeal_of(&wire.url(), QUICK, &large()).await.given_up("timeout")).await;
}

#[tokio::test]
async fn who_speaks_before_being_asked_does_not_speak_http() {
    let greeting = Wire::start(|mut stream, _| async move {
        stream.write_all(b"220 mail.example ESMTP\r\n").await?;
        while stream.read_u8().await.is_ok() {}
        Ok(())
    });
    ordeal(&greeting.url(), TWICE).await.given_up("protocol");
}

#[tokio::test]
async fn a_handshake_that_hangs_or_drips() {
    let hanging = Wire::start(|mut stream, _| async move {
        while stream.read_u8().await.is_ok() {}
        Ok(())
    });
    let dripping = Wire::start(|mut stream, _| async move {
        // The beginning of a message of 16,000 bytes.
        stream.write_all(&[0x16, 3, 3, 0x3e, 0x80, 2, 0, 0x3e, 0x7c]).await?;
        loop {
            stream.write_all(&[3]).await?;
            sleep(Duration::from_millis(10)).await;
        }
    });
    each([hanging, dripping], async |wire| ordeal(&tls(&wire), QUICK).await.given_up("connect_timeout")).await;
}

#[tokio::test]
async fn a_handshake_that_goes_wrong() {
    let garbage = Wire::start(|mut stream, _| async move {
        stream.read_u8().await?;
        stream.write_all(&[0x16, 3, 3, 0, 5, 0xff, 0xff, 0xff, 0xff, 0xff]).await?;
        while stream.read_u8().await.is_ok() {}
        Ok(())
    });
    let endless = Wire::start(|mut stream, _| async move {
        loop {
            stream.write_all(&[b'x'; 4096]).await?;
        }
    });
    let closing = Wire::start(|mut stream, _| async move { stream.read_u8().await.map(drop) });
    each([garbage, endless, closing], async |wire| ordeal(&tls(&wire), TWICE).await.given_up("tls")).await;
    ordeal(&Receiver::tls().await.url(), TWICE).await.given_up("tls");
}
