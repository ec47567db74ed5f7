//! What a full queue does: to the app, to the other endpoints, and to what is in it.

use serde_json::json;

use crate::support::{Receiver, Sidecar, everything_to};

fn event(id: usize) -> String {
    format!(r#"{{"type": "a", "id": "e-{id}", "data": {{"n": {id}}}}}"#)
}

fn batch(ids: impl IntoIterator<Item = usize>) -> String {
    format!("[{}]", ids.into_iter().map(event).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn a_full_queue_that_rejects_is_429_with_retry_after_and_nobody_gets_the_event() {
    let (hole, good) = (Receiver::hanging().await, Receiver::replying([200]).await);
    let keys = "timeout = \"60s\"\nqueue = { events = 2, when_full = \"reject\" }";
    let sidecar = Sidecar::start(&everything_to(&[("good", &good.url(), ""), ("hole", &hole.url(), keys)])).await;
    sidecar.event(event(1)).await.accepted();
    sidecar.event(event(2)).await.accepted();
    let answer = sidecar.event(event(3)).await;
    answer.refused(429, "queue_full");
    let seconds: u64 = answer.header("retry-after").expect("Retry-After").parse().expect("whole seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    sidecar.logged("delivered", 2).await;
    assert_eq!(good.so_far().len(), 2);
    assert!(sidecar.dead_letters().is_empty());
}

#[tokio::test]
async fn a_batch_that_does_not_fit_whole_is_refused_whole() {
    let receiver = Receiver::hanging().await;
    let keys = "timeout = \"60s\"\nqueue = { events = 3, when_full = \"reject\" }";
    let sidecar = Sidecar::start(&everything_to(&[("hole", &receiver.url(), keys)])).await;
    sidecar.event(batch(1..=4)).await.refused(429, "queue_full");
    // All three places are still free: the refused batch kept none.
    assert_eq!(sidecar.event(batch(5..=7)).await.status, 202);
    let mut ids: Vec<_> = receiver.received(3).await.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    ids.sort();
    assert_eq!(ids, ["e-5", "e-6", "e-7"]);
}

#[tokio::test]
async fn a_place_is_free_again_when_its_delivery_has_ended() {
    let receiver = Receiver::replying([200, 404]).await;
    let keys = "queue = { events = 1, when_full = \"reject\" }";
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
    for nth in 1..=5 {
        sidecar.event(event(nth)).await.accepted();
        let ended = |lines: &[serde_json::Value]| {
            let ends = |line: &&serde_json::Value| line["outcome"] == "delivered" || line["outcome"] == "dead_lettered";
            lines.iter().filter(ends).count() == nth
        };
        sidecar.wait_for_log(ended).await;
    }
}

#[tokio::test]
async fn the_overflow_goes_to_the_dead_letters_and_is_no_other_endpoints_trouble() {
    let (hole, good) = (Receiver::hanging().await, Receiver::replying([200]).await);
    let keys = "timeout = \"60s\"\nqueue = { events = 1 }";
    let sidecar = Sidecar::start(&everything_to(&[("hole", &hole.url(), keys), ("good", &good.url(), "")])).await;
    assert_eq!(sidecar.event(event(1)).await.json()["endpoints"], json!(["hole", "good"]));
    let second = sidecar.event(event(2)).await;
    assert_eq!((second.status, &second.json()["endpoints"]), (202, &json!(["hole", "good"])));
    let line = &sidecar.logged("dead_lettered", 1).await[0];
    assert_eq!((&line["endpoint"], &line["event_id"], &line["reason"]), (&json!("hole"), &json!("e-2"), &json!("queue_full")));
    let letter = &sidecar.dead_letters()[0];
    assert_eq!(
        (&letter["reason"], &letter["error_code"], &letter["attempts"]),
        (&json!("queue_full"), &json!("queue_full"), &json!(0))
    );
    assert_eq!(letter["event"]["id"], "e-2");
    good.received(2).await;
}

#[tokio::test]
async fn bytes_bound_a_queue_as_events_do() {
    let receiver = Receiver::hanging().await;
    let keys = "timeout = \"60s\"\nqueue = { bytes = \"64KiB\", when_full = \"reject\" }";
    let sidecar = Sidecar::start(&everything_to(&[("hole", &receiver.url(), keys)])).await;
    let large = format!(r#"{{"type": "a", "data": "{}"}}"#, "x".repeat(20 * 1024));
    for _ in 0..2 {
        sidecar.event(&large).await.accepted();
    }
    // Three of 20 KiB may fit with their bookkeeping or not; four cannot.
    sidecar.event(&large).await;
    sidecar.event(&large).await.refused(429, "queue_full");
}

#[tokio::test]
async fn a_full_global_bound_refuses_and_leaves_each_endpoint_its_reserve() {
    let (hole, good) = (Receiver::hanging().await, Receiver::replying([200]).await);
    let keys = "timeout = \"60s\"\nqueue = { when_full = \"reject\" }";
    let routes = "[[routes]]\nevents = [\"hole\"]\nto = [\"hole\"]\n[[routes]]\nevents = [\"good\"]\nto = [\"good\"]\n";
    let endpoints = [("hole", hole.url()), ("good", good.url())];
    let tables: String = endpoints.iter().map(|(name, url)| format!("[endpoints.{name}]\nurl = \"{url}\"\n{keys}\n")).collect();
    let sidecar = Sidecar::start(&format!("[queue]\nbytes = \"256KiB\"\n{tables}{routes}")).await;
    let large = |name: &str| format!(r#"{{"type": "{name}", "data": "{}"}}"#, "x".repeat(20 * 1024));
    let mut accepted = 0;
    while sidecar.event(large("hole")).await.status == 202 {
        accepted += 1;
        assert!(accepted <= 13, "{accepted} events of 20 KiB are queued in 256 KiB");
    }
    sidecar.event(large("good")).await.accepted();
    good.received(1).await;
}

#[tokio::test]
async fn what_is_left_of_endpoints_that_are_gone_keeps_no_reserve() {
    let failing = Receiver::replying([503]).await;
    let keys = "queue = { when_full = \"reject\" }\nretry = { delay = \"1h\", max_delay = \"1h\" }";
    let config = |name: &str| format!("[queue]\nbytes = \"64KiB\"\n{}", everything_to(&[(name, &failing.url(), keys)]));
    let sidecar = Sidecar::start(&config("hook0")).await;
    for nth in 1..=4 {
        sidecar.event(event(nth)).await.accepted();
        failing.received(nth).await;
        sidecar.edit(&config(&format!("hook{nth}"))).await;
    }
    let large = format!(r#"{{"type": "a", "data": "{}"}}"#, "x".repeat(45_000));
    sidecar.event(large).await.accepted();
}

#[tokio::test]
async fn each_endpoint_overflows_by_its_own_bound() {
    let hole = Receiver::hanging().await;
    let keys = "timeout = \"60s\"\nqueue = { events = 1 }";
    let names: Vec<String> = (0..10).map(|nth| format!("hole{nth}")).collect();
    let url = hole.url();
    let endpoints: Vec<(&str, &str, &str)> = names.iter().map(|name| (name.as_str(), url.as_str(), keys)).collect();
    let sidecar = Sidecar::start(&everything_to(&endpoints)).await;
    sidecar.event(event(1)).await.accepted();
    sidecar.event(event(2)).await.accepted();
    let lines = sidecar.logged("dead_lettered", 10).await;
    let mut overflowed: Vec<_> = lines.iter().map(|line| line["endpoint"].as_str().unwrap().to_owned()).collect();
    overflowed.sort();
    assert_eq!(overflowed, names);
}

#[tokio::test]
async fn an_event_that_overflows_several_queues_is_counted_once() {
    let hole = Receiver::hanging().await;
    let url = hole.url();
    let keys = "timeout = \"60s\"\nqueue = { events = 1 }";
    let names = ["h1", "h2", "h3", "h4", "h5"];
    let sidecar = Sidecar::start(&everything_to(&names.map(|name| (name, url.as_str(), keys)))).await;
    sidecar.event(event(1)).await.accepted();
    let halves = [2, 3].map(|id| format!(r#"{{"type": "a", "id": "e-{id}", "data": "{}"}}"#, "x".repeat(500_000)));
    assert_eq!(sidecar.event(format!("[{}]", halves.join(","))).await.status, 202);
    assert_eq!(sidecar.logged("dead_lettered", 10).await.len(), 10);
}
