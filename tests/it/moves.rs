//! What a reload may move while the sidecar runs: its address, its log, its state folder.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::{Answer, LIMIT, LOOK_EVERY, Receiver, Sidecar, closed_port, everything_to, json_lines, post, telling};

fn event(id: &str) -> String {
    format!(r#"{{"type": "a", "id": "{id}", "data": 1}}"#)
}

/// A listener on a loopback address that no other test uses, so that its port stays free once it is dropped.
fn elsewhere() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.77:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn listening_on(address: SocketAddr, rest: &str) -> String {
    format!("[listen]\naddress = \"{address}\"\n\n{rest}")
}

async fn wait_for(what: &str, holds: impl AsyncFn() -> bool) {
    let holds = async {
        while !holds().await {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(LIMIT, holds).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

#[tokio::test]
async fn a_new_address_is_open_before_the_old_one_is_closed() {
    let receiver = Receiver::replying([200]).await;
    let endpoints = everything_to(&[("hook", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&endpoints).await;
    let (free, address) = elsewhere();
    drop(free);
    let line = sidecar.edit(&listening_on(address, &endpoints)).await;
    assert_eq!(line["outcome"], "loaded", "{line}");
    post(address, &event("e-1")).await.accepted();
    wait_for("the old port to close", async || TcpStream::connect(sidecar.address()).await.is_err()).await;
    assert_eq!(receiver.received(1).await[0].header("webhook-id"), "e-1");
    assert!(matches!(sidecar.stop().await.0, sidehook::app::Stopped::Clean));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn who_waits_at_the_old_address_is_told_what_is_pending_and_it_arrives() {
    let receiver = Receiver::replying([200]).await.after(Duration::from_millis(500));
    let endpoints = everything_to(&[("hook", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&endpoints).await;
    let (free, address) = elsewhere();
    drop(free);
    let headers = [("content-type", "application/json"), ("prefer", "wait=60")];
    let waiting = sidecar.request("POST", "/events", &headers, event("e-1"));
    let moving = async {
        receiver.received(1).await;
        sidecar.edit(&listening_on(address, &endpoints)).await
    };
    let (answer, line) = tokio::join!(waiting, moving);
    assert_eq!(line["outcome"], "loaded", "{line}");
    let outcome = &answer.json()["deliveries"][0]["outcome"];
    assert!(answer.status == 202 && outcome == "pending" || answer.status == 200 && outcome == "delivered", "{answer:?}");
    sidecar.logged("delivered", 1).await;
}

#[tokio::test]
async fn a_request_under_way_at_the_old_address_is_answered() {
    let sidecar = Sidecar::start("").await;
    let (free, address) = elsewhere();
    drop(free);
    let body = event("e-1");
    let head = "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let mut stream = TcpStream::connect(sidecar.address()).await.unwrap();
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{}", body.len(), &body[..5]).as_bytes()).await.unwrap();
    // An answer on another connection shows that this one was accepted before.
    sidecar.event(event("e-0")).await.accepted();
    assert_eq!(sidecar.edit(&listening_on(address, "")).await["outcome"], "loaded");
    // An upload over a slow link takes longer than the answers at the process's end may.
    sleep(Duration::from_millis(1500)).await;
    stream.write_all(&body.as_bytes()[5..]).await.unwrap();
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer)).await.expect("the connection is closed").unwrap();
    Answer::parse(&answer).accepted();
}

#[tokio::test]
async fn an_address_that_cannot_be_bound_rejects_the_whole_reload_and_says_why() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    let (_taken, address) = elsewhere();
    let line = sidecar.edit(&listening_on(address, &everything_to(&[("hook", &closed_port(), "")]))).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains(&address.to_string()) && error.contains("in use"), "{error}");
    sidecar.event(event("e-1")).await.accepted();
    receiver.received(1).await;
}

#[tokio::test]
async fn an_address_may_come_back() {
    let sidecar = Sidecar::start("").await;
    let [(one, first), (two, second)] = [elsewhere(), elsewhere()];
    drop((one, two));
    for address in [first, second, first] {
        let line = sidecar.edit(&listening_on(address, "")).await;
        assert_eq!(line["outcome"], "loaded", "{line}");
        post(address, &event("e-1")).await.accepted();
    }
}

fn ids_told(file: &Path) -> Vec<String> {
    let id = |line: &serde_json::Value| line["event_id"].as_str().unwrap().to_owned();
    telling(&json_lines(file), "unrouted").iter().map(id).collect()
}

#[tokio::test]
async fn when_the_log_moves_each_line_is_in_one_of_the_two_files() {
    let sidecar = Sidecar::start("").await;
    let (old, new) = (sidecar.log_file(), sidecar.dir().join("deep/moved.jsonl"));
    let wanted: Vec<_> = (0..40).map(|n| format!("e-{n:02}")).collect();
    for id in &wanted[..20] {
        sidecar.event(event(id)).await.accepted();
    }
    let config = sidecar.dir().join("sidehook.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("deliveries.jsonl", "deep/moved.jsonl")).unwrap();
    // The line about the move itself may be in either file.
    let loaded = async || [&old, &new].iter().any(|file| !telling(&json_lines(file), "loaded").is_empty());
    wait_for("the move", loaded).await;
    for id in &wanted[20..] {
        sidecar.event(event(id)).await.accepted();
    }
    let (_, _folder) = sidecar.stop().await;
    let (before, after) = (ids_told(&old), ids_told(&new));
    assert!(before.len() >= 20, "what was logged before the move belongs into the old file: {before:?}");
    assert_eq!([before, after].concat(), wanted);
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_rejects_the_reload() {
    let sidecar = Sidecar::start("").await;
    std::fs::create_dir(sidecar.dir().join("folder")).unwrap();
    let line = sidecar.edit("[log]\ndeliveries = \"folder\"\n").await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    sidecar.event(event("e-1")).await.accepted();
    sidecar.logged("unrouted", 1).await;
}

#[tokio::test]
async fn a_new_state_folder_gets_what_comes_later_and_the_old_one_is_free_for_others() {
    let (receiver, hole) = (Receiver::replying([404]).await, Receiver::hanging().await);
    let endpoints = everything_to(&[("hook", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&format!("[shutdown]\ngrace = \"50ms\"\n\n{endpoints}")).await;
    sidecar.event(event("e-1")).await.accepted();
    sidecar.logged("dead_lettered", 1).await;
    let endpoints = everything_to(&[("hook", &receiver.url(), ""), ("hole", &hole.url(), "timeout = \"60s\"")]);
    let moved = format!("[shutdown]\ngrace = \"50ms\"\n\n[state]\ndirectory = \"other\"\n\n{endpoints}");
    assert_eq!(sidecar.edit(&moved).await["outcome"], "loaded");
    sidecar.event(event("e-2")).await.accepted();
    sidecar.logged("dead_lettered", 2).await;
    hole.received(1).await;
    let letters = |folder: &str| json_lines(&sidecar.dir().join(folder).join("dead_letters.jsonl"));
    assert_eq!((letters("state").len(), letters("other").len()), (1, 1));
    assert_eq!(letters("other")[0]["event"]["id"], "e-2");

    let another = tempfile::tempdir().unwrap();
    let using = |folder: &str| format!("[state]\ndirectory = {:?}\n", sidecar.dir().join(folder));
    assert!(Sidecar::refusal(another.path(), &using("other")).await.is_some(), "the new one is this sidecar's");
    drop(Sidecar::start(&using("state")).await);
    let (_, folder) = sidecar.stop().await;
    assert_eq!(json_lines(&folder.path().join("other/pending.jsonl")).len(), 1);
    assert!(!folder.path().join("state/pending.jsonl").exists());
}

#[tokio::test]
async fn a_state_folder_in_use_by_another_rejects_the_reload() {
    let receiver = Receiver::replying([404]).await;
    let endpoints = everything_to(&[("hook", &receiver.url(), "")]);
    let (sidecar, other) = (Sidecar::start(&endpoints).await, Sidecar::start("").await);
    let line = sidecar.edit(&format!("[state]\ndirectory = {:?}\n\n{endpoints}", other.dir().join("state"))).await;
    assert_eq!(line["outcome"], "rejected", "{line}");
    assert!(line["error"].as_str().is_some_and(|error| error.contains("in use")), "{line}");
    sidecar.event(event("e-1")).await.accepted();
    sidecar.logged("dead_lettered", 1).await;
    assert_eq!((sidecar.dead_letters().len(), other.dead_letters().len()), (1, 0));
}

/// Connections that were accepted and say nothing.
async fn silent_connections(sidecar: &Sidecar, n: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..n {
        streams.push(TcpStream::connect(sidecar.address()).await.unwrap());
    }
    streams
}

const PATIENT: &str = "header_timeout = \"1h\"\nmax_connections = ";

#[tokio::test]
async fn past_max_connections_a_new_one_waits_until_another_ends() {
    let sidecar = Sidecar::start(&format!("[listen]\n{PATIENT}2\n")).await;
    let mut silent = silent_connections(&sidecar, 2).await;
    let body = event("e-1");
    let mut third = std::pin::pin!(sidecar.event(&body));
    assert!(timeout(Duration::from_millis(50), &mut third).await.is_err(), "there is no room for it");
    silent.pop();
    third.await.accepted();
}

#[tokio::test]
async fn a_raised_max_connections_lets_those_in_who_wait() {
    let sidecar = Sidecar::start(&format!("[listen]\n{PATIENT}2\n")).await;
    let _silent = silent_connections(&sidecar, 2).await;
    let body = event("e-1");
    let third = sidecar.event(&body);
    let toml = format!("[listen]\n{PATIENT}3\n");
    let (answer, line) = tokio::join!(third, sidecar.edit(&toml));
    assert_eq!(line["outcome"], "loaded", "{line}");
    answer.accepted();
}

#[tokio::test]
async fn the_same_state_folder_may_be_spelled_otherwise() {
    let sidecar = Sidecar::start("").await;
    let path = sidecar.dir().join("state/../state");
    let line = sidecar.edit(&format!("[state]\ndirectory = {path:?}\n")).await;
    assert_eq!(line["outcome"], "loaded", "{line}");
}
