//! What an app may post, and what it is told.

use serde_json::json;

use crate::support::{Receiver, Sidecar, everything_to};

async fn with_receiver() -> (Sidecar, Receiver) {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    (sidecar, receiver)
}

#[tokio::test]
async fn an_object_is_one_event_and_the_answer_names_its_endpoints() {
    let (sidecar, receiver) = with_receiver().await;
    let answer = sidecar.event(r#"{"type": "purchase.completed", "id": "order-1", "data": {"sku": 7}}"#).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.text(), r#"{"id":"order-1","type":"purchase.completed","endpoints":["hook"],"duplicate":false}"#);
    let requests = receiver.received(1).await;
    assert_eq!(requests[0].header("webhook-id"), "order-1");
}

#[tokio::test]
async fn an_array_is_a_batch_also_when_it_holds_one() {
    let (sidecar, receiver) = with_receiver().await;
    let one = sidecar.event(r#"[{"type": "a", "id": "1", "data": 1}]"#).await;
    assert_eq!(one.status, 202);
    assert_eq!(one.text(), r#"{"events":[{"id":"1","type":"a","endpoints":["hook"],"duplicate":false}]}"#);
    let two = sidecar.event(r#" [ {"type": "b", "id": "2", "data": 2} , {"type": "c", "id": "3", "data": 3} ] "#).await;
    let ids: Vec<_> = two.json()["events"].as_array().unwrap().iter().map(|event| event["id"].clone()).collect();
    assert_eq!(ids, ["2", "3"]);
    let mut arrived: Vec<_> = receiver.received(3).await.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    arrived.sort();
    assert_eq!(arrived, ["1", "2", "3"]);
}

#[tokio::test]
async fn ndjson_is_a_batch_of_an_event_a_line() {
    let (sidecar, receiver) = with_receiver().await;
    let body = "\r\n{\"type\": \"a\", \"id\": \"1\", \"data\": [1,  2]}\r\n  \n{\"type\": \"b\", \"id\": \"2\", \"data\": 2}";
    let answer = sidecar.post("/events", "application/x-ndjson; charset=utf-8", body).await;
    assert_eq!(answer.status, 202);
    let expected = r#"{"events":[{"id":"1","type":"a","endpoints":["hook"],"duplicate":false},{"id":"2","type":"b","endpoints":["hook"],"duplicate":false}]}"#;
    assert_eq!(answer.text(), expected);
    let one = sidecar.post("/events", "application/x-ndjson", r#"{"type": "c", "id": "3", "data": 3}"#).await;
    assert_eq!(one.json()["events"].as_array().map(Vec::len), Some(1), "a batch, also when it holds one");
    let mut arrived: Vec<_> = receiver.received(3).await.iter().map(|request| request.text().to_owned()).collect();
    arrived.sort();
    assert!(arrived[0].ends_with(r#""data":[1,  2]}"#), "{arrived:?}");
}

#[tokio::test]
async fn a_missing_id_becomes_a_uuid_of_version_7_and_a_missing_time_is_now_with_microseconds() {
    let (sidecar, receiver) = with_receiver().await;
    let id = sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
    let hex = id.strip_prefix("evt_").expect("evt_");
    assert_eq!(hex.len(), 32, "{id}");
    assert!(hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
    assert_eq!(hex.as_bytes()[12], b'7', "{id}");
    let request = &receiver.received(1).await[0];
    assert_eq!(request.header("webhook-id"), id);
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let time = body["event_time"].as_str().unwrap();
    assert_eq!(time.len(), "2026-11-22T19:21:53.123456Z".len(), "{time}");
    let parsed: jiff::Timestamp = time.parse().unwrap();
    let age = jiff::Timestamp::now().as_second() - parsed.as_second();
    assert!((0..60).contains(&age) && time.ends_with('Z'), "{time}");
}

#[tokio::test]
async fn a_given_time_travels_as_written() {
    let (sidecar, receiver) = with_receiver().await;
    for (nth, time) in
        ["2026-11-22T19:21:53Z", "2026-11-22T19:21:53.5+01:00", "2026-11-22t19:21:53.123456789z"].iter().enumerate()
    {
        sidecar.event(format!(r#"{{"type": "a", "time": "{time}", "data": 1}}"#)).await.accepted();
        let request = receiver.received(nth + 1).await.pop().unwrap();
        assert_eq!(request.text(), format!(r#"{{"event_time":"{time}","event_type":"a","current_context":null,"data":1}}"#));
    }
}

#[tokio::test]
async fn the_other_names_of_type_time_and_context_are_understood() {
    let (sidecar, receiver) = with_receiver().await;
    let event = r#"{"current_context": {"user": 1}, "data": [], "event_time": "2026-11-22T19:21:53Z", "event_type": "a.b"}"#;
    sidecar.event(event).await.accepted();
    let expected = r#"{"event_time":"2026-11-22T19:21:53Z","event_type":"a.b","current_context":{"user": 1},"data":[]}"#;
    assert_eq!(receiver.received(1).await[0].text(), expected);
}

#[tokio::test]
async fn null_is_as_absent_for_id_time_and_context_and_is_data_for_data() {
    let (sidecar, receiver) = with_receiver().await;
    let answer = sidecar.event(r#"{"type": "a", "id": null, "time": null, "context": null, "data": null}"#).await;
    assert!(answer.accepted().starts_with("evt_"));
    let body: serde_json::Value = serde_json::from_slice(&receiver.received(1).await[0].body).unwrap();
    assert_eq!((&body["current_context"], &body["data"]), (&json!(null), &json!(null)));
    assert!(body["event_time"].is_string());
}

#[tokio::test]
async fn the_path_after_events_is_the_type_and_the_body_its_data() {
    let (sidecar, receiver) = with_receiver().await;
    let paths = [
        ("/events/purchase.completed", "purchase.completed"),
        ("/events/order/created", "order/created"),
        ("/events/a%2Eb%3ac%2fd", "a.b:c/d"),
        ("/events/urn:x-1_2", "urn:x-1_2"),
    ];
    for (nth, (path, event_type)) in paths.into_iter().enumerate() {
        let answer = sidecar.post(path, "application/json", r#" {"sku":  7} "#).await;
        assert!(answer.accepted().starts_with("evt_"), "{path}");
        assert_eq!(answer.json()["type"], event_type);
        let request = receiver.received(nth + 1).await.pop().unwrap();
        let body = request.text();
        assert!(body.contains(&format!(r#""event_type":"{event_type}""#)), "{body}");
        assert!(body.ends_with(r#""data":{"sku":  7}}"#), "{body}");
    }
}

#[tokio::test]
async fn a_body_on_a_type_path_is_data_whatever_it_looks_like() {
    let (sidecar, receiver) = with_receiver().await;
    for (nth, data) in [r#"{"type":"other","data":1}"#, "[1,2]", "null", r#""text""#, "1e400"].into_iter().enumerate() {
        let answer = sidecar.post("/events/a", "application/json", data).await;
        assert_eq!((answer.status, &answer.json()["type"]), (202, &json!("a")), "{data}");
        let request = receiver.received(nth + 1).await.pop().unwrap();
        assert!(request.text().ends_with(&format!(r#""data":{data}}}"#)), "{}", request.text());
    }
}

#[tokio::test]
async fn media_type_parameters_are_ignored_and_utf_8_is_a_charset() {
    let (sidecar, receiver) = with_receiver().await;
    let types = [
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "Application/JSON",
        "application/json; profile=\"x; charset=latin1\"",
    ];
    for content_type in types {
        let answer = sidecar.post("/events", content_type, r#"{"type": "a", "data": 1}"#).await;
        assert_eq!(answer.status, 202, "{content_type}: {}", String::from_utf8_lossy(&answer.body));
    }
    receiver.received(types.len()).await;
}

#[tokio::test]
async fn types_and_ids_may_be_255_characters_of_their_alphabets() {
    let (sidecar, receiver) = with_receiver().await;
    let alphabet = "ABCXYZabcxyz0189._-:/";
    let event_type: String = alphabet.chars().cycle().take(255).collect();
    let id: String = ('!'..='~').filter(|c| !matches!(c, '"' | '\\')).cycle().take(255).collect();
    let answer = sidecar.event(json!({"type": event_type, "id": id, "data": 1}).to_string()).await;
    assert_eq!(answer.accepted(), id);
    assert_eq!(receiver.received(1).await[0].header("webhook-id"), id);
}

#[tokio::test]
async fn the_answer_does_not_wait_for_an_endpoint() {
    let receiver = Receiver::hanging().await;
    let sidecar = Sidecar::start(&everything_to(&[("hole", &receiver.url(), "timeout = \"60s\"")])).await;
    // A limit of ten seconds for each answer would end this test if one waited for the endpoint's minute.
    for _ in 0..20 {
        sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
    }
    receiver.received(8).await;
}

#[tokio::test]
async fn health_and_readiness_are_told_to_anyone() {
    let sidecar = Sidecar::start("[listen]\ntoken = \"t0ken\"\n").await;
    for path in ["/healthz", "/readyz"] {
        let headers = [("host", "kubernetes.example"), ("origin", "http://elsewhere.example")];
        assert_eq!(sidecar.request("GET", path, &headers, "").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let (sidecar, receiver) = with_receiver().await;
    let body = r#"{"type":"a","data":1}"#;
    let request = |connection: &str| {
        let head = "POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        format!("{head}connection: {connection}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let pipelined = [request("keep-alive"), request("keep-alive"), request("close")].concat();
    let answers = String::from_utf8(sidecar.send(pipelined.as_bytes()).await).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 202 ").count(), 3, "{answers}");
    receiver.received(3).await;
}
