//! `Prefer: wait`: an answer that says what became of the deliveries.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, LIMIT, Receiver, Sidecar, closed_port, everything_to};

const EVENT: &str = r#"{"type": "a", "id": "e-1", "data": 1}"#;

async fn post(sidecar: &Sidecar, wait: &str, body: &str) -> Answer {
    let headers = [("content-type", "application/json"), ("prefer", wait)];
    sidecar.request("POST", "/events", &headers, body).await
}

fn delivered(endpoint: &str) -> Value {
    json!({"endpoint": endpoint, "outcome": "delivered", "http_status": 200, "attempts": 1})
}

#[tokio::test]
async fn an_event_that_arrived_is_200_with_its_delivery() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    let answer = post(&sidecar, "wait=10", EVENT).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (200, Some("wait=10")));
    let delivery = r#"{"endpoint":"hook","outcome":"delivered","http_status":200,"attempts":1}"#;
    let expected = format!(r#"{{"id":"e-1","type":"a","endpoints":["hook"],"duplicate":false,"deliveries":[{delivery}]}}"#);
    assert_eq!(answer.text(), expected);
    assert_eq!(receiver.so_far().len(), 1);
}

#[tokio::test]
async fn retries_are_waited_for_and_counted() {
    let receiver = Receiver::replying([503, 500, 200]).await;
    let keys = "retry = { schedule = [\"10ms\", \"10ms\"] }";
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
    let answer = post(&sidecar, "wait=10", EVENT).await;
    assert_eq!(answer.status, 200);
    let expected = json!([{"endpoint": "hook", "outcome": "delivered", "http_status": 200, "attempts": 3}]);
    assert_eq!(answer.json()["deliveries"], expected);
}

#[tokio::test]
async fn a_dead_letter_is_502_with_the_last_answer_if_there_was_one_and_no_problem() {
    let (refusing, good) = (Receiver::replying([404]).await, Receiver::replying([200]).await);
    let closed = closed_port();
    let keys = "retry = { attempts = 1 }";
    let endpoints = [("refusing", &*refusing.url(), ""), ("closed", &*closed, keys), ("good", &*good.url(), "")];
    let sidecar = Sidecar::start(&everything_to(&endpoints)).await;
    let answer = post(&sidecar, "wait=10", EVENT).await;
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("application/json")));
    let expected = json!([
        {"endpoint": "refusing", "outcome": "dead_lettered", "http_status": 404, "attempts": 1},
        {"endpoint": "closed", "outcome": "dead_lettered", "attempts": 1},
        delivered("good"),
    ]);
    assert_eq!(answer.json()["deliveries"], expected);
    assert_eq!(sidecar.dead_letters().len(), 2, "it is on disk before the app is told so");
}

#[tokio::test]
async fn what_is_under_way_after_that_time_is_pending_and_202() {
    let (slow, refusing) = (Receiver::hanging().await, Receiver::replying([404]).await);
    let endpoints = [("slow", &*slow.url(), "timeout = \"60s\""), ("refusing", &*refusing.url(), "")];
    let sidecar = Sidecar::start(&everything_to(&endpoints)).await;
    let began = Instant::now();
    let answer = post(&sidecar, "wait=1", EVENT).await;
    assert!((Duration::from_secs(1)..LIMIT / 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!((answer.status, answer.header("preference-applied")), (202, Some("wait=1")));
    assert_eq!(answer.json()["deliveries"][0], json!({"endpoint": "slow", "outcome": "pending", "attempts": 0}));
    assert_eq!(answer.json()["deliveries"][1]["outcome"], "dead_lettered");
    let other = r#"{"type": "a", "id": "e-2", "data": 1}"#;
    assert_eq!(post(&sidecar, "wait=0", other).await.json()["deliveries"][0]["outcome"], "pending");
}

#[tokio::test]
async fn a_retry_that_waits_is_pending_with_what_it_had_so_far() {
    let receiver = Receiver::replying([500]).await;
    let keys = "retry = { attempts = 2, delay = \"1h\", max_delay = \"1h\" }";
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
    let answer = post(&sidecar, "wait=1", EVENT).await;
    let expected = json!([{"endpoint": "hook", "outcome": "pending", "http_status": 500, "attempts": 1}]);
    assert_eq!((answer.status, &answer.json()["deliveries"]), (202, &expected));
}

#[tokio::test]
async fn without_deliveries_the_answer_is_200_at_once() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("off", &receiver.url(), "active = false")])).await;
    let answer = post(&sidecar, "wait=60", EVENT).await;
    let skipped = json!([{"endpoint": "off", "outcome": "skipped", "attempts": 0}]);
    assert_eq!((answer.status, &answer.json()["deliveries"]), (200, &skipped));
    let duplicate = post(&sidecar, "wait=60", EVENT).await;
    assert_eq!((duplicate.status, &duplicate.json()["deliveries"]), (200, &json!([])));
    assert_eq!((&duplicate.json()["duplicate"], &duplicate.json()["endpoints"]), (&json!(true), &json!(["off"])));
    let sidecar = Sidecar::start("").await;
    let unrouted = post(&sidecar, "wait=60", EVENT).await;
    assert_eq!((unrouted.status, &unrouted.json()["deliveries"]), (200, &json!([])));
}

#[tokio::test]
async fn a_batch_is_waited_for_as_a_whole_and_told_event_by_event() {
    let receiver = Receiver::replying([200]).await.after(Duration::from_millis(20));
    let routes = "[[routes]]\nevents = [\"a\"]\nto = [\"hook\"]\n";
    let sidecar = Sidecar::start(&format!("[endpoints.hook]\nurl = \"{}\"\n{routes}", receiver.url())).await;
    let event = |id: usize| format!(r#"{{"type": "a", "id": "e-{id}", "data": 1}}"#);
    let events: Vec<_> = (0..20).map(event).collect();
    let batch = format!(r#"[{}, {}, {{"type": "b", "data": 1}}]"#, events.join(","), event(0));
    let answer = post(&sidecar, "wait=10", &batch).await;
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    let told: Vec<_> = answer["events"].as_array().unwrap().iter().map(|event| event["deliveries"].clone()).collect();
    assert!(told[..20].iter().all(|deliveries| *deliveries == json!([delivered("hook")])), "{told:?}");
    assert_eq!(told[20..], [json!([]), json!([])], "the duplicate and the unrouted one");
}

#[tokio::test]
async fn one_endpoint_can_be_waited_for_and_a_refusal_is_a_refusal() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    let headers = [("content-type", "application/json"), ("prefer", "respond-async, wait=99")];
    let answer = sidecar.request("POST", "/endpoints/hook/events", &headers, EVENT).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (200, Some("wait=60")));
    assert_eq!(answer.json()["deliveries"], json!([delivered("hook")]));
    post(&sidecar, "wait=10", "{}").await.refused(422, "invalid_event");
    let ignored = post(&sidecar, "wait=soon", r#"{"type": "a", "data": 1}"#).await;
    assert_eq!((ignored.status, ignored.header("preference-applied")), (202, None));
    assert!(ignored.json().get("deliveries").is_none());
}

#[tokio::test]
async fn who_waits_at_the_end_is_told_what_is_pending() {
    let receiver = Receiver::hanging().await;
    let config = everything_to(&[("hook", &receiver.url(), "timeout = \"60s\"")]);
    let sidecar = Sidecar::start(&format!("[shutdown]\ngrace = \"100ms\"\n{config}")).await;
    let stop = async {
        receiver.received(1).await;
        sidecar.trigger().drain();
    };
    let (answer, ()) = tokio::join!(post(&sidecar, "wait=60", EVENT), stop);
    assert_eq!((answer.status, &answer.json()["deliveries"][0]["outcome"]), (202, &json!("pending")));
    let (stopped, _folder) = sidecar.stopped().await;
    assert!(matches!(stopped, sidehook::app::Stopped::Clean));
}
