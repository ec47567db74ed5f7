//! Restarts of the real process under load: what was acknowledged arrives.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Process, Receiver, sidehook};

const IN_FLIGHT: usize = 4;

fn write_config(folder: &Path, url: &str) {
    let config = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[log]\ndeliveries = \"deliveries.jsonl\"\n[shutdown]\ngrace = \"50ms\"\n\
         [endpoints.hook]\nurl = \"{url}\"\nconcurrency = {IN_FLIGHT}\n[[routes]]\nevents = [\"**\"]\nto = [\"hook\"]\n"
    );
    std::fs::write(folder.join("sidehook.toml"), config).unwrap();
}

async fn start(folder: &Path) -> (Process, SocketAddr) {
    // Each start says where it listens in a log of its own.
    let _ = std::fs::remove_file(folder.join("deliveries.jsonl"));
    let mut process = Process::start(sidehook(folder, &["run"]).env("RUST_BACKTRACE", "1"));
    let address = process.address(folder).await;
    (process, address)
}

/// An app that posts one event after the other, wherever the sidecar is by then, and remembers those that got a 202.
struct App {
    sidecar: Mutex<SocketAddr>,
    accepted: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl App {
    async fn run(&self) {
        let mut n = 0;
        while !self.ended.load(Ordering::Relaxed) {
            let id = format!("e-{n}");
            let sidecar = *self.sidecar.lock().unwrap();
            match post(sidecar, &id).await {
                Some(answer) if answer.starts_with("HTTP/1.1 202 ") => {
                    self.accepted.lock().unwrap().push(id);
                    n += 1;
                }
                // Draining, or gone: this id is posted again. Where the answer was lost with the process, so may be the event.
                _ => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }
}

async fn post(sidecar: SocketAddr, id: &str) -> Option<String> {
    let body = format!(r#"{{"type":"order.paid","id":"{id}","data":{{"n":1}}}}"#);
    let head = "POST /events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let mut stream = TcpStream::connect(sidecar).await.ok()?;
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test]
async fn every_acknowledged_event_arrives_over_restarts_and_few_arrive_twice() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::replying([200]).await.after(Duration::from_millis(10));
    write_config(folder.path(), &receiver.url());
    let (mut process, address) = start(folder.path()).await;
    let app = Arc::new(App { sidecar: Mutex::new(address), accepted: Mutex::default(), ended: AtomicBool::new(false) });
    let running = tokio::spawn({
        let app = Arc::clone(&app);
        async move { app.run().await }
    });
    const RESTARTS: usize = 3;
    for restart in 1..=RESTARTS {
        receiver.received(restart * 60).await;
        process.signal("TERM");
        assert_eq!(process.exit_status().await.code(), Some(0));
        let address;
        (process, address) = start(folder.path()).await;
        *app.sidecar.lock().unwrap() = address;
    }
    receiver.received((RESTARTS + 1) * 60).await;
    app.ended.store(true, Ordering::Relaxed);
    running.await.unwrap();
    let accepted = app.accepted.lock().unwrap().clone();
    assert!(accepted.len() > 100, "{}", accepted.len());
    let arrived = loop {
        let mut arrived: HashMap<String, usize> = HashMap::new();
        for request in receiver.so_far() {
            *arrived.entry(request.header("webhook-id").to_owned()).or_default() += 1;
        }
        if accepted.iter().all(|id| arrived.contains_key(id)) {
            break arrived;
        }
        receiver.received(receiver.so_far().len() + 1).await;
    };
    let twice = arrived.values().map(|times| times - 1).sum::<usize>();
    assert!(twice <= RESTARTS * IN_FLIGHT, "{twice} arrived twice");
}

#[tokio::test]
async fn a_kill_in_the_middle_of_the_drain_leaves_a_state_that_the_next_start_can_use() {
    let folder = tempfile::tempdir().unwrap();
    let hanging = Receiver::hanging().await;
    write_config(folder.path(), &hanging.url());
    let config = std::fs::read_to_string(folder.path().join("sidehook.toml")).unwrap();
    std::fs::write(folder.path().join("sidehook.toml"), config.replace("50ms", "60s")).unwrap();
    let (process, address) = start(folder.path()).await;
    assert!(post(address, "e-1").await.is_some_and(|answer| answer.starts_with("HTTP/1.1 202 ")));
    hanging.received(1).await;
    process.signal("TERM");
    while !std::fs::read_to_string(folder.path().join("deliveries.jsonl")).unwrap().contains("\"draining\"") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    process.signal("KILL");
    assert_eq!(process.exit_status().await.code(), None);
    let receiver = Receiver::replying([200]).await;
    write_config(folder.path(), &receiver.url());
    let (process, address) = start(folder.path()).await;
    assert!(post(address, "e-2").await.is_some_and(|answer| answer.starts_with("HTTP/1.1 202 ")));
    assert_eq!(receiver.received(1).await[0].header("webhook-id"), "e-2");
    process.signal("TERM");
    assert_eq!(process.exit_status().await.code(), Some(0));
}
