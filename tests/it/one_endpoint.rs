//! `POST /endpoints/{name}/events`: to one endpoint, whatever the routes say.

use serde_json::json;

use crate::support::{Receiver, Sidecar};

const JSON: &str = "application/json";

/// Two endpoints, of which routes name only the first.
fn routed_and_not(routed: &Receiver, other: &Receiver, keys: &str) -> String {
    let tables = [("routed", routed), ("other", other)].map(|(name, receiver)| {
        let keys = if name == "other" { keys } else { "" };
        format!("[endpoints.{name}]\nurl = \"{}\"\n{keys}\n", receiver.url())
    });
    format!("{}[[routes]]\nevents = [\"**\"]\nto = [\"routed\"]\n", tables.concat())
}

#[tokio::test]
async fn an_event_goes_to_the_named_endpoint_alone() {
    let (routed, other) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let sidecar = Sidecar::start(&routed_and_not(&routed, &other, "")).await;
    let event = r#"{"type": "a", "id": "e-1", "data": {"n":  1}}"#;
    let answer = sidecar.post("/endpoints/other/events", JSON, event).await;
    assert_eq!(answer.text(), r#"{"id":"e-1","type":"a","endpoints":["other"],"duplicate":false}"#);
    assert_eq!(answer.status, 202);
    let request = &other.received(1).await[0];
    assert_eq!(request.header("webhook-id"), "e-1");
    assert!(request.text().ends_with(r#""data":{"n":  1}}"#), "{}", request.text());
    sidecar.logged("delivered", 1).await;
    assert!(routed.so_far().is_empty());
}

#[tokio::test]
async fn batches_and_ndjson_go_there_too() {
    let (routed, other) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let sidecar = Sidecar::start(&routed_and_not(&routed, &other, "")).await;
    let array = r#"[{"type": "a", "id": "1", "data": 1}, {"type": "b", "id": "2", "data": 2}]"#;
    let lines = "{\"type\": \"a\", \"id\": \"3\", \"data\": 1}\n\n{\"type\": \"b\", \"id\": \"4\", \"data\": 2}\n";
    for (media_type, body) in [(JSON, array), ("application/x-ndjson", lines)] {
        let answer = sidecar.post("/endpoints/other/events", media_type, body).await;
        assert_eq!((answer.status, answer.json()["events"].as_array().unwrap().len()), (202, 2));
    }
    let mut ids: Vec<_> = other.received(4).await.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    ids.sort();
    assert_eq!(ids, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn an_unknown_endpoint_is_404_and_another_method_405() {
    let (routed, other) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let sidecar = Sidecar::start(&routed_and_not(&routed, &other, "")).await;
    let event = r#"{"type": "a", "data": 1}"#;
    let detail = sidecar.post("/endpoints/billing/events", JSON, event).await.refused(404, "not_found");
    assert!(detail.contains("billing"), "{detail}");
    for path in ["/endpoints/other", "/endpoints/other/events/a", "/endpoints//events", "/endpoints"] {
        sidecar.post(path, JSON, event).await.refused(404, "not_found");
    }
    let answer = sidecar.request("GET", "/endpoints/other/events", &[], "").await;
    answer.refused(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    sidecar.post("/endpoints/other/events", "text/plain", event).await.refused(415, "unsupported_media_type");
    sidecar.post("/endpoints/other/events", JSON, "{}").await.refused(422, "invalid_event");
}

#[tokio::test]
async fn a_full_queue_is_429_even_where_its_overflow_would_be_dead_lettered() {
    let (routed, hole) = (Receiver::replying([200]).await, Receiver::hanging().await);
    let keys = "timeout = \"60s\"\nqueue = { events = 1, when_full = \"dead_letter\" }";
    let sidecar = Sidecar::start(&routed_and_not(&routed, &hole, keys)).await;
    let event = r#"{"type": "a", "data": 1}"#;
    sidecar.post("/endpoints/other/events", JSON, event).await.accepted();
    let answer = sidecar.post("/endpoints/other/events", JSON, event).await;
    answer.refused(429, "queue_full");
    assert!(answer.header("retry-after").is_some());
    sidecar.post("/endpoints/routed/events", JSON, event).await.accepted();
    sidecar.logged("delivered", 1).await;
    assert!(sidecar.dead_letters().is_empty());
}

#[tokio::test]
async fn a_disabled_endpoint_is_409_until_its_settings_change() {
    let (routed, gone) = (Receiver::replying([200]).await, Receiver::replying([410, 200]).await);
    let sidecar = Sidecar::start(&routed_and_not(&routed, &gone, "")).await;
    let event = r#"{"type": "a", "data": 1}"#;
    sidecar.post("/endpoints/other/events", JSON, event).await.accepted();
    sidecar.logged("disabled", 1).await;
    let detail = sidecar.post("/endpoints/other/events", JSON, event).await.refused(409, "endpoint_disabled");
    assert!(detail.contains("other"), "{detail}");
    sidecar.logged("dead_lettered", 1).await;
    assert_eq!(sidecar.dead_letters().len(), 1, "only what was under way");
    assert_eq!(sidecar.edit(&routed_and_not(&routed, &gone, "timeout = \"9s\"")).await["outcome"], "loaded");
    sidecar.logged("enabled", 1).await;
    sidecar.post("/endpoints/other/events", JSON, event).await.accepted();
    gone.received(2).await;
}

#[tokio::test]
async fn an_inactive_endpoint_only_logs_skipped() {
    let (routed, other) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let sidecar = Sidecar::start(&routed_and_not(&routed, &other, "active = false")).await;
    let answer = sidecar.post("/endpoints/other/events", JSON, r#"{"type": "a", "data": 1}"#).await;
    assert_eq!((answer.status, &answer.json()["endpoints"]), (202, &json!(["other"])));
    assert_eq!(sidecar.logged("skipped", 1).await[0]["endpoint"], "other");
    assert!(other.so_far().is_empty());
}
