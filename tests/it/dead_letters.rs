//! What is given up is on disk, whole, and only its owner may read it.

use std::process::Command;

use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::support::{LIMIT, LOOK_EVERY, Process, Receiver, Sidecar, everything_to, keys, lines, mode, run, sidehook};

async fn dead_letter_of(event: &str) -> (Sidecar, String) {
    let receiver = Receiver::replying([422]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "format = \"form\"")])).await;
    assert_eq!(sidecar.event(event).await.status, 202);
    sidecar.logged("dead_lettered", 1).await;
    let mut letters = lines(&sidecar.dir().join("state/dead_letters.jsonl"));
    assert_eq!(letters.len(), 1, "{letters:?}");
    let letter = letters.remove(0);
    (sidecar, letter)
}

#[tokio::test]
async fn a_dead_letter_has_its_keys_in_order_and_the_event_whole() {
    let event = r#"{"id": "e-1", "context": {"user": 1.0}, "data": {"b": 1e400, "a": "\u00e9"}, "time": "2026-11-22T19:21:53Z", "type": "a.b"}"#;
    let (_sidecar, letter) = dead_letter_of(event).await;
    assert_eq!(keys(&letter), ["timestamp", "endpoint", "reason", "error_code", "attempts", "event"]);
    let whole = r#""event":{"type":"a.b","id":"e-1","time":"2026-11-22T19:21:53Z","context":{"user": 1.0},"data":{"b": 1e400, "a": "\u00e9"}}}"#;
    assert!(letter.ends_with(whole), "{letter}");
    // serde_json cannot hold 1e400, so what follows is read from the rest of the line.
    let head: serde_json::Value = serde_json::from_str(&letter.replace("1e400", "1")).unwrap();
    let told = (&head["endpoint"], &head["reason"], &head["error_code"], &head["attempts"]);
    assert_eq!(told, (&json!("hook"), &json!("permanent"), &json!("status_422"), &json!(1)));
    let at: jiff::Timestamp = head["timestamp"].as_str().unwrap().parse().unwrap();
    assert!((jiff::Timestamp::now().as_second() - at.as_second()).abs() < 60, "{letter}");
}

#[tokio::test]
async fn a_context_that_was_not_given_is_not_there() {
    let (_sidecar, letter) = dead_letter_of(r#"{"type": "a", "id": "e-1", "time": "2026-11-22T19:21:53Z", "data": null}"#).await;
    let whole = r#""event":{"type":"a","id":"e-1","time":"2026-11-22T19:21:53Z","data":null}}"#;
    assert!(letter.ends_with(whole), "{letter}");
}

#[tokio::test]
async fn line_breaks_between_tokens_become_spaces() {
    let event = "{\"type\": \"a\", \"data\": {\n\t\"x\":\r\n1,\n\"y\": \"\\n\"}, \"context\": [\n]}";
    let (_sidecar, letter) = dead_letter_of(event).await;
    assert!(letter.contains("\"data\":{ \t\"x\":  1, \"y\": \"\\n\"}"), "{letter}");
    assert!(letter.contains("\"context\":[ ]"), "{letter}");
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    let (sidecar, _) = dead_letter_of(r#"{"type": "a", "data": 1}"#).await;
    assert_eq!(mode(&sidecar.dir().join("state/dead_letters.jsonl")), 0o600);
}

#[tokio::test]
async fn every_letter_of_every_endpoint_is_there_once_and_the_file_outlives_a_restart() {
    let receiver = Receiver::replying([404]).await;
    let config = everything_to(&[("a", &receiver.url(), ""), ("b", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&config).await;
    let batch = |from: usize| {
        let event = |nth| format!(r#"{{"type": "a", "id": "e-{nth:03}", "data": {nth}}}"#);
        format!("[{}]", (from..from + 100).map(event).collect::<Vec<_>>().join(","))
    };
    assert_eq!(sidecar.event(batch(0)).await.status, 202);
    sidecar.logged("dead_lettered", 200).await;
    let (_, folder) = sidecar.stop().await;
    let sidecar = Sidecar::start_in(folder, &config).await;
    assert_eq!(sidecar.event(batch(100)).await.status, 202);
    sidecar.logged("dead_lettered", 400).await;
    let letter = |line: &serde_json::Value| format!("{} {}", line["endpoint"], line["event"]["id"]);
    let mut letters: Vec<_> = sidecar.dead_letters().iter().map(letter).collect();
    assert_eq!(letters.len(), 400);
    letters.sort();
    letters.dedup();
    assert_eq!(letters.len(), 400);
}

#[tokio::test]
async fn where_the_file_cannot_be_written_the_event_is_tried_again_and_not_lost() {
    let receiver = Receiver::replying([404]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    // A folder in its place cannot be appended to, not even by root.
    let file = sidecar.dir().join("state/dead_letters.jsonl");
    if file.exists() {
        std::fs::remove_file(&file).unwrap();
    }
    std::fs::create_dir(&file).unwrap();
    sidecar.event(r#"{"type": "a", "id": "e-1", "data": 1}"#).await.accepted();
    sidecar.logged("failed", 1).await;
    std::fs::remove_dir(&file).unwrap();
    sidecar.logged("dead_lettered", 1).await;
    assert_eq!(sidecar.dead_letters()[0]["event"]["id"], "e-1");
}

#[tokio::test]
async fn half_a_line_that_a_full_disk_leaves_is_taken_back() {
    let receiver = Receiver::replying([404]).await;
    let folder = tempfile::tempdir().unwrap();
    let config =
        "[listen]\naddress = \"unix:in.sock\"\n\n[log]\ndeliveries = \"/dev/null\"\n\n[state]\ndirectory = \"state\"\n\n";
    let config = config.to_owned() + &everything_to(&[("hook", &receiver.url(), "")]);
    std::fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    // No file may be longer than eight blocks, which are of 512 bytes or of 1024.
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 8; exec \"$0\" run"]).arg(sidehook(folder.path(), &[]).get_program());
    let process = Process::start(limited.current_dir(folder.path()));
    let until = async |what: &str, there: &dyn Fn() -> bool| {
        let look = async {
            while !there() {
                sleep(LOOK_EVERY).await;
            }
        };
        timeout(LIMIT, look).await.unwrap_or_else(|_| panic!("{what}: {}", process.complained()));
    };
    until("it listens", &|| folder.path().join("in.sock").exists()).await;
    let large = format!("\"{}\"", "x".repeat(10_000));
    assert_eq!(run(folder.path(), &["send", "a.b", "--data", &large]).await.code, 0);
    until("it cannot write", &|| process.complained().contains("dead letters wait in memory")).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("state/dead_letters.jsonl")).unwrap(), "");
}
