//! Answers' heads: those that do not end, and those that are none.

use std::time::Duration;

use tokio::{io::AsyncWriteExt, time::sleep};

use super::{EVENTS, QUICK, TWICE, each, leaving_after, ordeal};
use crate::support::{Receiver, Wire, wire::read_request};

/// Says these bytes after a request, and then `again` and again: slowly, or as fast as it goes.
fn repeating(first: &'static str, again: &'static str, slowly: bool) -> Wire {
    let again = if slowly { again.to_owned() } else { again.repeat(1000) };
    Wire::start(move |mut stream, _| {
        let again = again.clone();
        async move {
            read_request(&mut stream).await?;
            stream.write_all(first.as_bytes()).await?;
            loop {
                stream.write_all(again.as_bytes()).await?;
                if slowly {
                    sleep(Duration::from_millis(10)).await;
                }
            }
        }
    })
}

#[tokio::test]
async fn a_head_that_does_not_come() {
    ordeal(&Receiver::hanging().await.url(), QUICK).await.given_up("timeout");
}

#[tokio::test]
async fn a_head_of_which_half_comes() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n";
    let resetting = Wire::start(move |mut stream, _| async move {
        read_request(&mut stream).await?;
        stream.write_all(half.as_bytes()).await?;
        // A reset may overtake what was said before it.
        sleep(Duration::from_millis(30)).await;
        stream.set_zero_linger()
    });
    let cases = [(Wire::saying(half), "timeout"), (leaving_after(half), "protocol"), (resetting, "reset")];
    each(cases, async |(wire, code)| ordeal(&wire.url(), QUICK).await.given_up(code)).await;
}

#[tokio::test]
async fn a_head_that_drips_is_not_in_time_for_all_its_progress() {
    let drips = [("", "H"), ("HTTP/1.1 200 OK\r\nx: ", "y"), ("HTTP/1.1 200 OK\r\n", "x: y\r\n")];
    each(drips, async |(first, again)| ordeal(&repeating(first, again, true).url(), QUICK).await.given_up("timeout")).await;
}

#[tokio::test]
async fn announcements_of_an_answer_are_none() {
    each(["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"], async |line| {
        for slowly in [true, false] {
            ordeal(&repeating("", line, slowly).url(), QUICK).await.given_up("timeout");
        }
        let answer = format!("{}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", line.repeat(3));
        ordeal(&Wire::saying(answer).url(), TWICE).await.delivered(200);
    })
    .await;
}

#[tokio::test]
async fn another_protocol_is_an_answer_but_no_good_one() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxxxx";
    let wire = Wire::saying(answer);
    ordeal(&wire.url(), TWICE).await.refused("status_101");
    assert_eq!(wire.connections(), EVENTS);
}

#[tokio::test]
async fn what_is_no_head() {
    let answers = [
        "SSH-2.0-OpenSSH_9.2p1\r\n\r\n",
        "<html>It works!</html>",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        "\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 1000 High\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 -20 Low\r\ncontent-length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
    ];
    each(answers, async |bytes| ordeal(&Wire::saying(bytes).url(), TWICE).await.given_up("protocol")).await;
}

#[tokio::test]
async fn lengths_that_contradict_themselves() {
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-length: 1e3\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000000000000000000000\r\n\r\nx",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    each(answers, async |bytes| ordeal(&Wire::saying(bytes).url(), TWICE).await.given_up("protocol")).await;
    // A length beside chunks does not count, and what is not in chunks at last ends with the connection (RFC 9112, 6.3).
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: nonsense\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
    ];
    each(answers, async |bytes| ordeal(&Wire::saying(bytes).url(), TWICE).await.delivered(200)).await;
}

#[tokio::test]
async fn heads_that_are_too_much() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(100 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1000));
    let endless = repeating("HTTP/1.1 200 OK\r\n", "x: y\r\n", false);
    let no_line = repeating("HTTP/1.1 200 ", "OK", false);
    let wires = [Wire::saying(long), Wire::saying(many), endless, no_line];
    each(wires, async |wire| ordeal(&wire.url(), TWICE).await.given_up("protocol")).await;
}

#[tokio::test]
async fn statuses_that_nobody_knows() {
    each([("304 No", "status_304"), ("600 x", "status_600"), ("999", "status_999")], async |(status, code)| {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        ordeal(&Wire::saying(answer).url(), TWICE).await.refused(code);
    })
    .await;
}

#[tokio::test]
async fn waits_that_nobody_can_mean() {
    let nines = "9".repeat(5000);
    let values = [
        "-1",
        "1e30",
        "1000000000000000000000000000000",
        "18446744073709551615",
        &nines,
        "",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "tomorrow",
        "\u{e9}",
        "-1\r\nretry-after: 1000000",
    ];
    each(values, async |value| {
        let answer = format!("HTTP/1.1 503 No\r\nretry-after: {value}\r\ncontent-length: 0\r\n\r\n");
        let keys = TWICE.replace("jitter", "max_delay = \"40ms\", jitter");
        ordeal(&Wire::saying(answer).url(), &keys).await.given_up("status_503");
    })
    .await;
}
