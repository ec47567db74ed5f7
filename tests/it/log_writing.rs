//! How the delivery log is written: whole lines, past every obstacle, or counted; and the files that rotation makes.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, PipeReader},
    net::SocketAddr,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::support::{
    Answer, LIMIT, LOOK_EVERY, Process, Receiver, Sidecar, everything_to, exchange, json_lines, lines, sidehook, telling,
};

/// As many events as an array may have, of types that no route selects, in long lines.
const MANY: usize = 500;

fn events(post: usize) -> String {
    let event = |nth| json!({ "type": format!("a.{}", "x".repeat(150)), "id": format!("{post}-{nth}"), "data": 1 });
    Value::from_iter((0..MANY).map(event)).to_string()
}

async fn post(address: SocketAddr, body: &str) -> Answer {
    let head = format!("POST /events HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nconnection: close");
    Answer::parse(&exchange(address, format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await)
}

/// A sidecar whose log is its stdout, that delivers `hook` to the receiver and nothing else.
async fn start(folder: &Path, receiver: &Receiver, stdout: impl Into<OwnedFd>) -> (Process, SocketAddr) {
    let config = everything_to(&[("hook", &receiver.url(), "")]).replace("\"**\"", "\"hook\"");
    std::fs::write(folder.join("sidehook.toml"), format!("[listen]\naddress = \"127.0.0.1:0\"\n\n{config}")).unwrap();
    let process = Process::start_writing_to(&mut sidehook(folder, &["run"]), stdout.into());
    let address = listening(&process).await;
    (process, address)
}

async fn listening(process: &Process) -> SocketAddr {
    let said = async {
        loop {
            if let Some((_, rest)) = process.complained().split_once("listening on ") {
                return rest.split(['"', '\n']).next().unwrap().parse().unwrap();
            }
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(LIMIT, said).await.expect("it listens")
}

/// What a reader takes from now on, to the end.
fn read(pipe: PipeReader) -> thread::JoinHandle<Vec<Value>> {
    let parse = |line: String| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
    thread::spawn(move || BufReader::new(pipe).lines().map(|line| parse(line.unwrap())).collect())
}

/// The ids of the events that are told of, each once, and how many lines were said to be lost.
fn told(lines: &[Value]) -> (BTreeSet<String>, u64) {
    let unrouted = telling(lines, "unrouted");
    let ids: BTreeSet<String> = unrouted.iter().map(|line| line["event_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), unrouted.len(), "a line is there twice");
    (ids, telling(lines, "log_lost").iter().map(|line| line["count"].as_u64().unwrap()).sum())
}

async fn delivers(address: SocketAddr, receiver: &Receiver, nth: usize) {
    post(address, &format!(r#"{{"type": "hook", "id": "h-{nth}", "data": 1}}"#)).await.accepted();
    receiver.received(nth).await;
}

#[tokio::test]
async fn a_write_is_at_most_64_kib_of_whole_lines() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_read_timeout(Some(LIMIT)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::replying([200]).await;
    let (process, address) = start(folder.path(), &receiver, theirs).await;
    // Every write is a message of its own.
    let reader = thread::spawn(move || {
        let (mut lengths, mut text, mut message) = (Vec::new(), Vec::new(), vec![0; 1 << 20]);
        loop {
            let length = ours.recv(&mut message).unwrap();
            assert!(message[..length].ends_with(b"\n"), "{:?}", String::from_utf8_lossy(&message[..length]));
            lengths.push(length);
            text.extend_from_slice(&message[..length]);
            if message[..length].windows(9).any(|part| part == b"\"stopped\"") {
                return (lengths, String::from_utf8(text).unwrap());
            }
        }
    });
    for nth in 0..4 {
        assert_eq!(post(address, &events(nth)).await.status, 202);
    }
    process.signal("TERM");
    assert!(process.exit_status().await.success());
    let (lengths, text) = reader.join().unwrap();
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told(&found).0.len(), 4 * MANY);
    let most = lengths.iter().max().unwrap();
    assert!((48 << 10..=64 << 10).contains(most), "{lengths:?}");
}

#[tokio::test]
async fn a_stdout_that_nobody_reads_holds_up_no_delivery_and_what_is_missing_is_counted() {
    let (ours, theirs) = std::io::pipe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::replying([200]).await;
    let (process, address) = start(folder.path(), &receiver, theirs).await;
    let posts = 20;
    for nth in 0..posts {
        assert_eq!(post(address, &events(nth)).await.status, 202);
    }
    delivers(address, &receiver, 1).await;
    let reader = read(ours);
    delivers(address, &receiver, 2).await;
    process.signal("TERM");
    assert!(process.exit_status().await.success());
    let found = reader.join().unwrap();
    let (_, lost) = told(&found);
    let there = found.len() - telling(&found, "log_lost").len();
    // Besides: started, two delivered, draining, stopped.
    assert!(lost > 0 && there as u64 + lost == (posts * MANY) as u64 + 5, "{there} and {lost}");
}

#[tokio::test]
async fn a_stdout_that_does_not_block_is_written_when_it_is_ready_and_loses_nothing() {
    let (ours, theirs) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&theirs, rustix::fs::OFlags::NONBLOCK).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::replying([200]).await;
    let (process, address) = start(folder.path(), &receiver, theirs).await;
    for nth in 0..4 {
        assert_eq!(post(address, &events(nth)).await.status, 202);
    }
    delivers(address, &receiver, 1).await;
    let reader = read(ours);
    process.signal("TERM");
    assert!(process.exit_status().await.success());
    let found = reader.join().unwrap();
    let (ids, lost) = told(&found);
    assert_eq!((ids.len(), lost, telling(&found, "delivered").len()), (4 * MANY, 0, 1));
}

#[tokio::test]
async fn a_reader_of_stdout_that_goes_away_takes_nothing_with_it() {
    let (ours, theirs) = std::io::pipe().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::replying([200]).await;
    let (process, address) = start(folder.path(), &receiver, theirs).await;
    drop(ours);
    delivers(address, &receiver, 1).await;
    delivers(address, &receiver, 2).await;
    process.signal("TERM");
    let ended = process.ended().await;
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success() && said.contains("cannot write to stdout"), "{said}");
    assert!(said.contains("of the delivery log could not be written"), "{said}");
}

/// The rotated files of a log in `folder`, and the log: in the order of their lines.
fn files(folder: &Path) -> Vec<PathBuf> {
    let there = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = there.filter(|path| path.to_string_lossy().contains("deliveries-")).collect();
    found.sort();
    found.push(folder.join("deliveries.jsonl"));
    found
}

#[tokio::test]
async fn rotation_begins_ends_and_changes_with_the_config_and_loses_no_line() {
    let receiver = Receiver::replying([200]).await;
    let config = everything_to(&[("hook", &receiver.url(), "")]).replace("\"**\"", "\"hook\"");
    let with = |rotate: &str| format!("{config}\n[log]\nrotate = {rotate}\n");
    let sidecar = Sidecar::start(&config).await;
    sidecar.event(events(0)).await;
    let changed = sidecar.edit(&with("{ size = \"64KiB\", keep = false, gzip = false }")).await["changed"].clone();
    assert!(changed.to_string().contains("log (rotate)"), "{changed}");
    for nth in 1..4 {
        sidecar.event(events(nth)).await;
        sidecar.trigger().reload();
    }
    sidecar.edit(&with("{ size = \"100KiB\", keep = false, gzip = false }")).await;
    sidecar.event(events(4)).await;
    sidecar.edit(&with("false")).await;
    sidecar.event(events(5)).await;
    sidecar.event(r#"{"type": "hook", "data": 1}"#).await.accepted();
    sidecar.logged("delivered", 1).await;
    let (_, folder) = sidecar.stop().await;
    let files = files(folder.path());
    let found: Vec<Value> = files.iter().flat_map(|file| json_lines(file)).collect();
    assert_eq!(told(&found), ((0..6).flat_map(|post| (0..MANY).map(move |nth| format!("{post}-{nth}"))).collect(), 0));
    let times: Vec<&str> = found.iter().map(|line| line["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "the files are in order");
    let lengths: Vec<u64> = files.iter().map(|file| std::fs::metadata(file).unwrap().len()).collect();
    assert!(lengths.len() > 8 && lengths[1..5].iter().all(|length| *length <= 64 << 10), "{lengths:?}");
    assert!(lengths[lengths.len() - 1] > 200 << 10, "{lengths:?}");
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_whole_lines_but_for_one_that_the_next_start_closes() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[listen]\naddress = \"127.0.0.1:0\"\n[log]\ndeliveries = \"logs/deliveries.jsonl\"\n[endpoints.hook]\n\
                  url = \"http://127.0.0.1:9/\"\n[[routes]]\nevents = [\"hook\"]\nto = [\"hook\"]\n";
    let rotating = config.replace("[endpoints", "rotate = { size = \"64KiB\", gzip = false, keep = false }\n[endpoints");
    std::fs::write(folder.path().join("sidehook.toml"), rotating).unwrap();
    let mut command: Command = sidehook(folder.path(), &["run"]);
    for start in 0..3 {
        let process = Process::start(&mut command);
        let address = listening(&process).await;
        for nth in 0..3 {
            assert_eq!(post(address, &events(start * 3 + nth)).await.status, 202);
        }
        process.signal("KILL");
        process.ended().await;
        // As a write that was cut by it; where it was killed while it rotated, there may be no file.
        let torn =
            std::fs::OpenOptions::new().append(true).create(true).open(folder.path().join("logs/deliveries.jsonl")).unwrap();
        std::io::Write::write_all(&mut &torn, b"{\"timestamp\":\"2026").unwrap();
    }
    let process = Process::start(&mut command);
    listening(&process).await;
    process.signal("TERM");
    process.ended().await;
    let all: Vec<String> = files(&folder.path().join("logs")).iter().flat_map(|file| lines(file)).collect();
    let (whole, torn): (Vec<_>, Vec<_>) = all.iter().partition(|line| serde_json::from_str::<Value>(line).is_ok());
    assert_eq!(torn, [&"{\"timestamp\":\"2026".to_owned(); 3]);
    let whole: Vec<Value> = whole.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!told(&whole).0.is_empty());
}
