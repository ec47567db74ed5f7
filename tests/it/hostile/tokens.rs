//! Where a token is needed, and its server is no good: nothing goes to the receiver.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::sleep,
};

use super::{QUICK, each, leaving_after, ordeal};
use crate::support::{Receiver, Wire, wire::read_request};

#[tokio::test]
async fn a_server_of_tokens_that_hangs_or_talks_nonsense() {
    let silent = Wire::start(|mut stream, _| async move {
        while stream.read_u8().await.is_ok() {}
        Ok(())
    });
    let dripping = Wire::start(|mut stream, _| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await?;
        loop {
            stream.write_all(b" ").await?;
            sleep(Duration::from_millis(10)).await;
        }
    });
    let endless = Wire::start(|mut stream, _| async move {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        loop {
            stream.write_all(&[b' '; 4096]).await?;
        }
    });
    let broken = |answer: &str| leaving_after(format!("HTTP/1.1 200 OK\r\n\r\n{answer}"));
    let wires = [
        Wire::full().await,
        silent,
        dripping,
        endless,
        leaving_after("garbage"),
        leaving_after("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
        broken(r#"{"access_token":"half"#),
        broken(r#"{"access_token":"two\nlines","expires_in":-1}"#),
        broken(r#"{"access_token":7}"#),
        broken(&"[".repeat(50_000)),
    ];
    each(wires, async |wire| {
        let receiver = Receiver::replying([200]).await;
        let auth = format!(
            "auth = {{ type = \"oauth2\", token_url = \"{}\", client_id = \"a\", client_secret = \"secret\" }}\n{QUICK}",
            wire.url()
        );
        ordeal(&receiver.url(), &auth).await.given_up("oauth2");
        assert!(receiver.so_far().is_empty());
    })
    .await;
}
