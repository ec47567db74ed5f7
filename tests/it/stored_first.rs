//! `log.accepted`: nothing is answered as accepted before the log says so.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use serde_json::{Value, json};

use crate::support::{Answer, LOOK_EVERY, Receiver, Sidecar, everything_to, exchange, telling};

fn config(receiver: &Receiver) -> String {
    format!("[log]\naccepted = true\n\n{}", everything_to(&[("hook", &receiver.url(), "")]))
}

fn event(id: &str) -> String {
    format!(r#"{{"type": "a", "id": "{id}", "data": 1}}"#)
}

#[tokio::test]
async fn the_line_is_in_the_file_when_the_answer_is_there() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&config(&receiver)).await;
    for nth in 1..=10 {
        sidecar.event(event(&nth.to_string())).await.accepted();
        let lines = telling(&sidecar.log(), "accepted");
        assert_eq!(lines.len(), nth);
        let line = &lines[nth - 1];
        assert_eq!((&line["kind"], &line["event_id"]), (&json!("event"), &json!(nth.to_string())));
        assert_eq!((&line["event_type"], &line["endpoints"]), (&json!("a"), &json!(["hook"])));
    }
    receiver.received(10).await;
}

#[tokio::test]
async fn every_event_of_a_batch_and_each_that_no_route_selects_has_one() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&config(&receiver).replace("[\"**\"]", "[\"a\"]")).await;
    let batch = format!(r#"[{}, {}, {}, {{"type": "b", "id": "3", "data": 1}}]"#, event("1"), event("2"), event("1"));
    assert_eq!(sidecar.event(batch).await.status, 202);
    let lines = sidecar.log();
    let ids: Vec<_> = telling(&lines, "accepted").iter().map(|line| line["event_id"].clone()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(telling(&lines, "accepted")[2]["endpoints"], json!([]));
    assert_eq!(telling(&lines, "duplicate").len(), 1);
    assert_eq!(sidecar.logged("unrouted", 1).await[0]["event_id"], "3");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_refuses_with_503_and_nothing_is_queued_or_remembered() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&config(&receiver)).await;
    sidecar.event(event("1")).await.accepted();
    sidecar.logged("delivered", 1).await;
    std::fs::rename(sidecar.log_file(), sidecar.dir().join("old")).unwrap();
    std::fs::create_dir(sidecar.log_file()).unwrap();
    for _ in 0..2 {
        sidecar.event(event("2")).await.refused(503, "storage_failed");
        sidecar.event(event("1")).await.refused(503, "storage_failed");
    }
    std::fs::remove_dir(sidecar.log_file()).unwrap();
    let answer = sidecar.event(event("2")).await;
    assert_eq!((answer.accepted().as_str(), &answer.json()["duplicate"]), ("2", &json!(false)));
    assert_eq!(telling(&sidecar.log(), "accepted").len(), 1, "what was refused has no line");
    assert_eq!(receiver.received(2).await.len(), 2);
}

#[tokio::test]
async fn it_can_be_switched_on_while_running() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    sidecar.event(event("1")).await.accepted();
    assert_eq!(sidecar.edit(&config(&receiver)).await["changed"], json!(["log (accepted)"]));
    sidecar.event(event("2")).await.accepted();
    let accepted = telling(&sidecar.log(), "accepted");
    assert_eq!((accepted.len(), &accepted[0]["event_id"]), (1, &json!("2")));
}

#[tokio::test]
async fn what_the_log_calls_accepted_is_queued_though_the_end_has_come_meanwhile() {
    let receiver = Receiver::replying([200]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut log = full_pipe(&folder.path().join("deliveries.jsonl"));
    let sidecar = Sidecar::start_in(folder, &config(&receiver)).await;
    let (address, body) = (sidecar.address(), event("1"));
    let head = format!("POST /events HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    let posted = tokio::spawn(async move { exchange(address, request.as_bytes()).await });
    let health = async |path| sidecar.request("GET", path, &[], "").await.status;
    // What came before these is at the log by the time they are answered.
    assert_eq!([health("/healthz").await, health("/healthz").await], [200, 200]);
    sidecar.trigger().drain();
    while health("/readyz").await != 503 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert!(!posted.is_finished(), "it waits for its line");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        while !text.contains("\"outcome\":\"stopped\"") {
            let mut piece = vec![0; 1 << 16];
            match log.read(&mut piece) {
                Ok(read) => text += std::str::from_utf8(&piece[..read]).unwrap(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        text
    });
    let answer = Answer::parse(&posted.await.unwrap());
    assert_eq!(answer.accepted(), "1");
    sidecar.stopped().await;
    let text = reader.join().unwrap();
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!((telling(&lines, "accepted").len(), telling(&lines, "delivered").len()), (1, 1), "{text}");
}

/// A pipe at `path` that takes nothing more until it is read.
fn full_pipe(path: &Path) -> File {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    let mut pipe = OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(path).unwrap();
    for size in [4096, 1] {
        while pipe.write(&vec![b'\n'; size]).is_ok() {}
    }
    pipe
}

const O_NONBLOCK: i32 = 0o4000;
