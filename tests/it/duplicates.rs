//! An event that is posted again is answered again, and not delivered again.

use serde_json::json;

use crate::support::{Receiver, Sidecar, everything_to};

fn event(id: &str) -> String {
    format!(r#"{{"type": "a", "id": "{id}", "data": 1}}"#)
}

async fn remembering(dedupe: &str) -> (Sidecar, Receiver) {
    let receiver = Receiver::replying([200]).await;
    let endpoints = everything_to(&[("hook", &receiver.url(), "")]);
    (Sidecar::start(&format!("[listen]\n{dedupe}\n\n{endpoints}")).await, receiver)
}

/// The ids that arrived, once there are `n`; one more event is posted and waited for, so that nothing is on its way.
async fn arrived(sidecar: &Sidecar, receiver: &Receiver, n: usize) -> Vec<String> {
    sidecar.event(r#"{"type": "last", "data": 1}"#).await.accepted();
    sidecar.logged("delivered", n + 1).await;
    let mut ids: Vec<_> = receiver.so_far().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    ids.retain(|id| !id.starts_with("evt_"));
    ids.sort();
    ids
}

#[tokio::test]
async fn an_id_that_was_accepted_is_answered_like_the_first_time_and_logged() {
    let (sidecar, receiver) = remembering("").await;
    sidecar.event(event("e-1")).await.accepted();
    let again = sidecar.event(event("e-1")).await;
    assert_eq!(again.status, 202);
    assert_eq!(again.text(), r#"{"id":"e-1","type":"a","endpoints":["hook"],"duplicate":true}"#);
    let line = &sidecar.logged("duplicate", 1).await[0];
    assert_eq!((&line["kind"], &line["event_id"], &line["event_type"]), (&json!("event"), &json!("e-1"), &json!("a")));
    assert_eq!(arrived(&sidecar, &receiver, 1).await, ["e-1"]);
}

#[tokio::test]
async fn the_first_answer_is_given_also_where_the_routes_have_changed() {
    let (sidecar, _receiver) = remembering("").await;
    sidecar.event(event("e-1")).await.accepted();
    assert_eq!(sidecar.edit("").await["outcome"], "loaded");
    let again = sidecar.event(event("e-1")).await.json();
    assert_eq!((&again["endpoints"], &again["duplicate"]), (&json!(["hook"]), &json!(true)));
    assert_eq!(sidecar.event(event("e-2")).await.json()["endpoints"], json!([]));
}

#[tokio::test]
async fn an_id_twice_in_one_batch_is_one_event() {
    let (sidecar, receiver) = remembering("").await;
    let batch = format!("[{}, {}, {}]", event("e-1"), event("e-2"), event("e-1"));
    let answer = sidecar.event(batch).await;
    let duplicates: Vec<_> =
        answer.json()["events"].as_array().unwrap().iter().map(|event| event["duplicate"].as_bool().unwrap()).collect();
    assert_eq!(duplicates, [false, false, true]);
    assert_eq!(arrived(&sidecar, &receiver, 2).await, ["e-1", "e-2"]);
}

#[tokio::test]
async fn an_id_with_another_type_is_422() {
    let (sidecar, receiver) = remembering("").await;
    sidecar.event(event("e-1")).await.accepted();
    let detail = sidecar.event(r#"{"type": "b", "id": "e-1", "data": 1}"#).await.refused(422, "invalid_event");
    assert!(detail.contains("`id`") && detail.contains("`a`"), "{detail}");
    let batch = format!(r#"[{}, {{"type": "b", "id": "e-2", "data": 1}}]"#, event("e-2"));
    let detail = sidecar.event(batch).await.refused(422, "invalid_event");
    assert!(detail.starts_with("event 1: "), "{detail}");
    sidecar.event(event("e-2")).await.accepted();
    assert_eq!(arrived(&sidecar, &receiver, 2).await, ["e-1", "e-2"]);
}

#[tokio::test]
async fn what_was_refused_is_not_remembered() {
    let (hole, good) = (Receiver::hanging().await, Receiver::replying([200]).await);
    let keys = "timeout = \"60s\"\nqueue = { events = 1, when_full = \"reject\" }";
    let sidecar = Sidecar::start(&everything_to(&[("good", &good.url(), ""), ("hole", &hole.url(), keys)])).await;
    sidecar.event(event("e-1")).await.accepted();
    sidecar.event(event("e-2")).await.refused(429, "queue_full");
    sidecar.event(event("e-2")).await.refused(429, "queue_full");
    let duplicate = sidecar.event(event("e-1")).await;
    assert_eq!((duplicate.status, &duplicate.json()["duplicate"]), (202, &json!(true)), "it needs no place");
}

#[tokio::test]
async fn only_the_last_ids_are_remembered_and_none_where_it_is_off() {
    let (sidecar, receiver) = remembering("dedupe = { ids = 2 }").await;
    for id in ["1", "2", "3", "2", "1"] {
        sidecar.event(event(id)).await.accepted();
    }
    assert_eq!(arrived(&sidecar, &receiver, 4).await, ["1", "1", "2", "3"]);
    let (sidecar, receiver) = remembering("dedupe = { ids = 0 }").await;
    for _ in 0..3 {
        assert_eq!(sidecar.event(event("1")).await.json()["duplicate"], json!(false));
    }
    assert_eq!(arrived(&sidecar, &receiver, 3).await, ["1", "1", "1"]);
}

#[tokio::test]
async fn what_is_posted_to_one_endpoint_is_neither_looked_up_nor_remembered() {
    let (sidecar, receiver) = remembering("").await;
    for path in ["/endpoints/hook/events", "/endpoints/hook/events", "/events", "/endpoints/hook/events"] {
        let answer = sidecar.post(path, "application/json", event("e-1")).await;
        assert_eq!(answer.json()["duplicate"], json!(false), "{path}");
    }
    assert_eq!(arrived(&sidecar, &receiver, 4).await, ["e-1"; 4]);
}
