//! How a sidecar ends, and what the next one finds.

use serde_json::{Value, json};
use sidehook::app::Stopped;

use crate::support::{Process, Receiver, Sidecar, everything_to, json_lines, mode, post, sidehook, telling};

const EVENT: &str = r#"{"type": "a", "id": "e-1", "time": "2026-11-22T19:21:53Z", "data": {"n": 1.0}}"#;
const LATER: &str = "retry = { delay = \"2s\", jitter = 0 }";

fn with_grace(grace: &str, config: &str) -> String {
    format!("[shutdown]\ngrace = \"{grace}\"\n\n{config}")
}

#[tokio::test]
async fn an_idle_sidecar_stops_clean_and_leaves_nothing_pending() {
    let (stopped, folder) = Sidecar::start("").await.stop().await;
    assert!(matches!(stopped, Stopped::Clean), "{stopped:?}");
    let log = json_lines(&folder.path().join("deliveries.jsonl"));
    assert_eq!(telling(&log, "stopped").len(), 1, "{log:#?}");
    assert!(json_lines(&folder.path().join("state/pending.jsonl")).is_empty());
}

#[tokio::test]
async fn what_is_queued_is_delivered_within_the_grace() {
    let receiver = Receiver::replying([200]).await.after(std::time::Duration::from_millis(20));
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "concurrency = 1")])).await;
    let batch = format!("[{}]", vec![r#"{"type": "a", "data": 1}"#; 20].join(","));
    assert_eq!(sidecar.event(batch).await.status, 202);
    let (stopped, folder) = sidecar.stop().await;
    assert!(matches!(stopped, Stopped::Clean), "{stopped:?}");
    assert_eq!(receiver.so_far().len(), 20);
    assert!(json_lines(&folder.path().join("state/pending.jsonl")).is_empty());
}

#[tokio::test]
async fn while_draining_posts_are_503_and_readiness_is_gone() {
    let receiver = Receiver::hanging().await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "timeout = \"60s\"")])).await;
    sidecar.event(EVENT).await.accepted();
    receiver.received(1).await;
    sidecar.trigger().drain();
    sidecar.logged("draining", 1).await;
    let answer = sidecar.event(EVENT.replace("e-1", "e-2")).await;
    answer.refused(503, "draining");
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok()), "{answer:?}");
    assert!(answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")), "{answer:?}");
    assert_eq!(sidecar.request("GET", "/readyz", &[], "").await.status, 503);
    assert_eq!(sidecar.request("GET", "/healthz", &[], "").await.status, 200);
    sidecar.trigger().now();
    let (stopped, folder) = sidecar.stopped().await;
    assert!(matches!(stopped, Stopped::Clean), "{stopped:?}");
    assert_eq!(json_lines(&folder.path().join("state/pending.jsonl")).len(), 1);
}

#[tokio::test]
async fn with_linger_posts_are_taken_while_it_lasts() {
    let receiver = Receiver::replying([200]).await;
    let config = format!("[shutdown]\nlinger = \"60s\"\n\n{}", everything_to(&[("hook", &receiver.url(), "")]));
    let sidecar = Sidecar::start(&config).await;
    sidecar.trigger().drain();
    sidecar.event(EVENT).await.accepted();
    receiver.received(1).await;
    sidecar.trigger().now();
    let (stopped, _folder) = sidecar.stopped().await;
    assert!(matches!(stopped, Stopped::Clean), "{stopped:?}");
}

#[tokio::test]
async fn waiting_retries_are_tried_at_once_when_the_drain_begins() {
    let receiver = Receiver::replying([503, 200]).await;
    let keys = "retry = { delay = \"1h\", max_delay = \"1h\" }";
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("retrying", 1).await;
    let (stopped, folder) = sidecar.stop().await;
    assert!(matches!(stopped, Stopped::Clean), "{stopped:?}");
    assert_eq!(receiver.so_far().len(), 2);
    assert_eq!(telling(&json_lines(&folder.path().join("deliveries.jsonl")), "delivered")[0]["attempt"], 2);
}

#[tokio::test]
async fn what_is_left_is_taken_up_at_the_next_start_with_its_id_body_and_count() {
    let receiver = Receiver::replying([503]).await;
    let config = |keys: &str| with_grace("200ms", &everything_to(&[("hook", &receiver.url(), &format!("{LATER}\n{keys}"))]));
    let sidecar = Sidecar::start(&config("format = \"xml\"")).await;
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("retrying", 1).await;
    let (stopped, folder) = sidecar.stop().await;
    assert!(matches!(stopped, Stopped::Clean), "{stopped:?}");
    let file = folder.path().join("state/pending.jsonl");
    assert_eq!((json_lines(&file).len(), mode(&file)), (1, 0o600));
    let log = json_lines(&folder.path().join("deliveries.jsonl"));
    assert_eq!(telling(&log, "pending")[0]["event_id"], "e-1");
    assert_eq!(telling(&log, "stopped")[0]["pending"], 1);
    let before = receiver.so_far();
    receiver.now_replying([200]);

    // Another format now: the body stays what it was when the event was accepted.
    let sidecar = Sidecar::start_in(folder, &config("format = \"json\"")).await;
    let delivered = sidecar.logged("delivered", 1).await;
    // The tries of the drain did not count.
    assert_eq!((&delivered[0]["event_id"], &delivered[0]["attempt"]), (&json!("e-1"), &json!(2)));
    let request = receiver.received(before.len() + 1).await.pop().unwrap();
    assert_eq!((request.header("webhook-id"), request.header("content-type")), ("e-1", "application/xml"));
    assert_eq!(request.body, before[0].body);
    let (_, folder) = sidecar.stop().await;
    assert!(json_lines(&folder.path().join("state/pending.jsonl")).is_empty());
}

#[tokio::test]
async fn pending_events_of_a_removed_endpoint_become_dead_letters() {
    let receiver = Receiver::hanging().await;
    let sidecar = Sidecar::start(&with_grace("100ms", &everything_to(&[("hook", &receiver.url(), "timeout = \"60s\"")]))).await;
    sidecar.event(EVENT).await.accepted();
    let (_, folder) = sidecar.stop().await;
    let sidecar = Sidecar::start_in(folder, "").await;
    sidecar.logged("dead_lettered", 1).await;
    let letter = &sidecar.dead_letters()[0];
    assert_eq!((&letter["endpoint"], &letter["reason"]), (&json!("hook"), &json!("endpoint_removed")));
    assert_eq!(letter["event"], serde_json::from_str::<Value>(EVENT).unwrap());
    assert!(sidecar.pending().is_empty());
}

#[tokio::test]
async fn every_event_of_a_hundred_is_pending_or_delivered_and_none_is_both() {
    let receiver = Receiver::replying([200]).await.after(std::time::Duration::from_millis(10));
    let config = with_grace("50ms", &everything_to(&[("hook", &receiver.url(), "concurrency = 1")]));
    let sidecar = Sidecar::start(&config).await;
    let batch: Vec<_> = (0..100).map(|nth| format!(r#"{{"type": "a", "id": "e-{nth}", "data": 1}}"#)).collect();
    assert_eq!(sidecar.event(format!("[{}]", batch.join(","))).await.status, 202);
    let (_, folder) = sidecar.stop().await;
    let log = json_lines(&folder.path().join("deliveries.jsonl"));
    let (delivered, pending) = (telling(&log, "delivered").len(), json_lines(&folder.path().join("state/pending.jsonl")).len());
    assert_eq!(delivered + pending, 100, "{delivered} delivered");
    assert_eq!(telling(&log, "pending").len(), pending);
    let sidecar = Sidecar::start_in(folder, &config).await;
    sidecar.logged("delivered", 100).await;
    let lines = sidecar.logged("delivered", 100).await;
    let mut ids: Vec<_> = lines.iter().map(|line| line["event_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), lines.len()), (100, 100));
}

#[tokio::test]
async fn events_that_could_not_be_written_are_counted_and_each_is_named() {
    let receiver = Receiver::hanging().await;
    let sidecar = Sidecar::start(&with_grace("100ms", &everything_to(&[("hook", &receiver.url(), "timeout = \"60s\"")]))).await;
    sidecar.event(EVENT).await.accepted();
    // A folder that is not empty can be neither written to nor replaced, not even by root.
    let in_its_place = sidecar.dir().join("state/pending.jsonl");
    if in_its_place.exists() {
        std::fs::remove_file(&in_its_place).unwrap();
    }
    std::fs::create_dir_all(in_its_place.join("x")).unwrap();
    let (stopped, folder) = sidecar.stop().await;
    assert!(matches!(stopped, Stopped::EventsLost(1)), "{stopped:?}");
    let log = std::fs::read_to_string(folder.path().join("deliveries.jsonl")).unwrap();
    assert!(log.lines().any(|line| line.contains("\"e-1\"") && line.contains("\"error\"")), "{log}");
}

/// The binary with one hanging delivery.
async fn running_with_one_in_flight(receiver: &Receiver, grace: &str) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let rest = "\n[listen]\naddress = \"127.0.0.1:0\"\n[log]\ndeliveries = \"deliveries.jsonl\"\n";
    let config = with_grace(grace, &everything_to(&[("hook", &receiver.url(), "timeout = \"60s\"")])) + rest;
    std::fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    let mut process = Process::start(&mut sidehook(folder.path(), &["run"]));
    let address = process.address(folder.path()).await;
    post(address, EVENT).await.accepted();
    receiver.received(1).await;
    (process, folder)
}

#[tokio::test]
async fn sigterm_and_sigint_drain_and_exit_0() {
    for signal in ["TERM", "INT"] {
        let receiver = Receiver::hanging().await;
        let (process, folder) = running_with_one_in_flight(&receiver, "100ms").await;
        process.signal(signal);
        assert_eq!(process.exit_status().await.code(), Some(0), "SIG{signal}");
        assert_eq!(json_lines(&folder.path().join("state/pending.jsonl")).len(), 1, "SIG{signal}");
    }
}

#[tokio::test]
async fn a_second_signal_skips_the_grace_and_not_the_writing() {
    let receiver = Receiver::hanging().await;
    let (process, folder) = running_with_one_in_flight(&receiver, "1h").await;
    process.signal("TERM");
    while telling(&json_lines(&folder.path().join("deliveries.jsonl")), "draining").is_empty() {
        tokio::time::sleep(crate::support::LOOK_EVERY).await;
    }
    process.signal("TERM");
    assert_eq!(process.exit_status().await.code(), Some(0));
    assert_eq!(json_lines(&folder.path().join("state/pending.jsonl")).len(), 1);
}

#[tokio::test]
async fn a_second_signal_keeps_what_lanes_that_ended_before_had_handed_back() {
    let (paused, idle, hole) = (
        Receiver::replying([503]).await.with_header("retry-after", "600"),
        Receiver::replying([200]).await,
        Receiver::hanging().await,
    );
    let endpoints = [("paused", &paused.url(), ""), ("idle", &idle.url(), ""), ("hole", &hole.url(), "timeout = \"1h\"")];
    let sidecar =
        Sidecar::start(&with_grace("1h", &everything_to(&endpoints.map(|(name, url, keys)| (name, url.as_str(), keys))))).await;
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("paused", 1).await;
    hole.received(1).await;
    sidecar.trigger().drain();
    sidecar.logged("draining", 1).await;
    // A request is answered after the lanes have heard of the drain: those with nothing to try have ended by now.
    sidecar.event(EVENT).await.refused(503, "draining");
    sidecar.trigger().now();
    let (stopped, folder) = sidecar.stopped().await;
    assert!(matches!(stopped, Stopped::Clean), "{stopped:?}");
    let pending = json_lines(&folder.path().join("state/pending.jsonl"));
    let mut left: Vec<_> = pending.iter().map(|line| (line["endpoint"].as_str().unwrap(), line["attempts"].as_u64())).collect();
    left.sort_unstable();
    assert_eq!(left, [("hole", Some(0)), ("paused", Some(1))]);
}

#[tokio::test]
async fn dead_letters_that_cannot_be_written_are_pending_and_dead_letters_again_at_the_next_start() {
    let receiver = Receiver::replying([404]).await;
    let config = everything_to(&[("hook", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&config).await;
    // A folder in its place cannot be appended to, not even by root.
    let file = sidecar.dir().join("state/dead_letters.jsonl");
    std::fs::create_dir(&file).unwrap();
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("failed", 1).await;
    let (stopped, folder) = sidecar.stop().await;
    assert!(matches!(stopped, Stopped::Clean), "{stopped:?}");
    let log = json_lines(&folder.path().join("deliveries.jsonl"));
    assert_eq!((telling(&log, "pending").len(), telling(&log, "dead_lettered").len()), (1, 0));
    let pending = json_lines(&folder.path().join("state/pending.jsonl"));
    assert_eq!((pending.len(), &pending[0]["reason"], &pending[0]["attempts"]), (1, &json!("permanent"), &json!(1)));
    std::fs::remove_dir(folder.path().join("state/dead_letters.jsonl")).unwrap();

    let sidecar = Sidecar::start_in(folder, &config).await;
    sidecar.logged("dead_lettered", 1).await;
    let letter = &sidecar.dead_letters()[0];
    let told = (&letter["endpoint"], &letter["reason"], &letter["error_code"], &letter["attempts"]);
    assert_eq!(told, (&json!("hook"), &json!("permanent"), &json!("status_404"), &json!(1)));
    assert_eq!(letter["event"], serde_json::from_str::<Value>(EVENT).unwrap());
    assert_eq!((receiver.so_far().len(), sidecar.pending().len()), (1, 0));
}

#[tokio::test]
async fn with_events_lost_the_exit_code_is_75() {
    let receiver = Receiver::hanging().await;
    let (process, folder) = running_with_one_in_flight(&receiver, "100ms").await;
    let in_its_place = folder.path().join("state/pending.jsonl");
    if in_its_place.exists() {
        std::fs::remove_file(&in_its_place).unwrap();
    }
    std::fs::create_dir_all(in_its_place.join("x")).unwrap();
    process.signal("TERM");
    assert_eq!(process.exit_status().await.code(), Some(75));
}
