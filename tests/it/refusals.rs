//! Every refusal has its status, its code and its shape, and queues nothing.

use crate::support::{Receiver, Sidecar, everything_to};

async fn with_receiver() -> (Sidecar, Receiver) {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    (sidecar, receiver)
}

/// Posts one good event, and asserts that it is the only thing that ever arrives.
async fn assert_nothing_else_was_queued(sidecar: &Sidecar, receiver: &Receiver) {
    sidecar.event(r#"{"type": "last", "id": "last", "data": 1}"#).await.accepted();
    sidecar.logged("delivered", 1).await;
    let arrived: Vec<_> = receiver.received(1).await.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!(arrived, ["last"]);
}

#[tokio::test]
async fn what_is_not_json_is_400_invalid_json_with_line_and_column() {
    let (sidecar, receiver) = with_receiver().await;
    let detail = sidecar.event("{\"type\": \"a\",\n \"data\": tru}").await.refused(400, "invalid_json");
    assert!(detail.contains("line 2") && detail.contains("column"), "{detail}");
    let bodies: [&[u8]; 9] = [
        b"",
        b"  ",
        b"{",
        br#"{"type": "a", "data": 1} x"#,
        br#"{"type": "a", "data": 01}"#,
        br#"{"type": "a", "data": {"x": 1,}}"#,
        b"{\"type\": \"a\", \"data\": \"\xff\"}",
        b"{\"type\": \"a\", \"data\": \"\x01\"}",
        br#"[{"type": "a", "data": 1},]"#,
    ];
    for body in bodies {
        sidecar.event(body).await.refused(400, "invalid_json");
    }
    assert_nothing_else_was_queued(&sidecar, &receiver).await;
}

#[tokio::test]
async fn a_lone_surrogate_is_400_in_data_and_context() {
    let (sidecar, receiver) = with_receiver().await;
    for value in [r#""\ud800""#, r#"{"\udc00": 1}"#, r#"["\ud83d\u0041"]"#] {
        sidecar.event(format!(r#"{{"type": "a", "data": {value}}}"#)).await.refused(400, "invalid_json");
        sidecar.event(format!(r#"{{"type": "a", "data": 1, "context": {value}}}"#)).await.refused(400, "invalid_json");
        sidecar.post("/events/a", "application/json", value).await.refused(400, "invalid_json");
    }
    assert_nothing_else_was_queued(&sidecar, &receiver).await;
}

#[tokio::test]
async fn data_and_context_may_be_127_levels_deep_and_no_deeper() {
    let (sidecar, receiver) = with_receiver().await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for shape in ["\"data\": @", "\"data\": 1, \"context\": @"] {
        let event = |depth| format!(r#"{{"type": "a", {}}}"#, shape.replace('@', &nested(depth)));
        sidecar.event(event(127)).await.accepted();
        sidecar.event(event(128)).await.refused(400, "invalid_json");
        assert_eq!(sidecar.event(format!("[{}]", event(127))).await.status, 202);
        sidecar.event(format!("[{}]", event(128))).await.refused(400, "invalid_json");
    }
    sidecar.post("/events/a", "application/json", nested(127)).await.accepted();
    sidecar.post("/events/a", "application/json", nested(128)).await.refused(400, "invalid_json");
    // Far deeper, it still costs no stack.
    sidecar.event(format!(r#"{{"type": "a", "data": {}}}"#, nested(200_000))).await.refused(400, "invalid_json");
    assert_eq!(receiver.received(5).await.len(), 5);
}

#[tokio::test]
async fn an_event_that_breaks_the_grammar_is_422_and_the_detail_names_the_field() {
    let (sidecar, receiver) = with_receiver().await;
    let long = "a".repeat(256);
    let cases = [
        (r#"{"data": 1}"#.to_owned(), "type"),
        (r#"{"type": "a"}"#.to_owned(), "data"),
        (r#"{"type": null, "data": 1}"#.to_owned(), "type"),
        (r#"{"type": 7, "data": 1}"#.to_owned(), "type"),
        (r#"{"type": "", "data": 1}"#.to_owned(), "type"),
        (r#"{"type": "a b", "data": 1}"#.to_owned(), "type"),
        (r#"{"type": "é", "data": 1}"#.to_owned(), "type"),
        (format!(r#"{{"type": "{long}", "data": 1}}"#), "type"),
        (r#"{"type": "a", "id": "", "data": 1}"#.to_owned(), "id"),
        (r#"{"type": "a", "id": 7, "data": 1}"#.to_owned(), "id"),
        (r#"{"type": "a", "id": "x y", "data": 1}"#.to_owned(), "id"),
        (r#"{"type": "a", "id": "x\r\ny: z", "data": 1}"#.to_owned(), "id"),
        (format!(r#"{{"type": "a", "id": "{long}", "data": 1}}"#), "id"),
        (r#"{"type": "a", "time": "yesterday", "data": 1}"#.to_owned(), "time"),
        (r#"{"type": "a", "time": "2026-11-22 19:21:53Z", "data": 1}"#.to_owned(), "time"),
        (r#"{"type": "a", "time": "2026-02-30T00:00:00Z", "data": 1}"#.to_owned(), "time"),
        (r#"{"type": "a", "time": 1466526410, "data": 1}"#.to_owned(), "time"),
        (r#"{"type": "a", "data": 1, "extra": 2}"#.to_owned(), "extra"),
        (r#"{"type": "a", "data": 1, "data": 2}"#.to_owned(), "data"),
        (r#"{"type": "a", "event_type": "a", "data": 1}"#.to_owned(), "type"),
        (r#"{"type": "a", "context": null, "current_context": 1, "data": 1}"#.to_owned(), "context"),
        (r#"{"type": "a", "data": 1, "d\u0061ta": 2}"#.to_owned(), "data"),
    ];
    for (event, field) in cases {
        let detail = sidecar.event(&event).await.refused(422, "invalid_event");
        assert!(detail.contains(field), "{event}: {detail}");
    }
    for event in ["1", "null", "\"text\"", "[]", "[1]", "[[]]"] {
        sidecar.event(event).await.refused(422, "invalid_event");
    }
    for path in ["/events/a%20b", "/events/%C3%A9", "/events/%FF"] {
        sidecar.post(path, "application/json", "1").await.refused(422, "invalid_event");
    }
    assert_nothing_else_was_queued(&sidecar, &receiver).await;
}

#[tokio::test]
async fn one_bad_event_refuses_the_whole_batch_and_the_detail_has_its_index() {
    let (sidecar, receiver) = with_receiver().await;
    let batch = r#"[{"type": "a", "data": 1}, {"type": "b", "data": 2}, {"type": "c d", "data": 3}]"#;
    let detail = sidecar.event(batch).await.refused(422, "invalid_event");
    assert!(detail.contains('2') && detail.contains("type"), "{detail}");
    sidecar.event(r#"[{"type": "a", "data": 1}, {"type": "b", "data": "\ud800"}]"#).await.refused(400, "invalid_json");
    assert_nothing_else_was_queued(&sidecar, &receiver).await;
}

#[tokio::test]
async fn one_bad_line_refuses_all_of_ndjson_and_the_detail_has_its_number() {
    let (sidecar, receiver) = with_receiver().await;
    let post = |body: &'static str| sidecar.post("/events", "application/x-ndjson", body);
    let detail = post("{\"type\": \"a\", \"data\": 1}\n\n{\"type\": \"b\"}\n").await.refused(422, "invalid_event");
    assert!(detail.contains("line 3") && detail.contains("data"), "{detail}");
    let detail = post("{\"type\": \"a\", \"data\": 1}\n{\"type\": \"b\", \"data\": tru}\n").await.refused(400, "invalid_json");
    assert!(detail.contains("line 2") && detail.contains("column"), "{detail}");
    post("\n\n").await.refused(422, "invalid_event");
    sidecar.post("/events/a", "application/x-ndjson", "1").await.refused(415, "unsupported_media_type");
    assert_nothing_else_was_queued(&sidecar, &receiver).await;
}

#[tokio::test]
async fn other_media_types_charsets_and_encodings_are_415() {
    let (sidecar, receiver) = with_receiver().await;
    let event = r#"{"type": "a", "data": 1}"#;
    for content_type in ["text/plain", "application/xml", "application/jsonx", "application/json; charset=iso-8859-1", "json"] {
        sidecar.post("/events", content_type, event).await.refused(415, "unsupported_media_type");
        sidecar.post("/events/a", content_type, event).await.refused(415, "unsupported_media_type");
    }
    sidecar.request("POST", "/events", &[], event).await.refused(415, "unsupported_media_type");
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    sidecar.request("POST", "/events", &gzip, event).await.refused(415, "unsupported_media_type");
    assert_nothing_else_was_queued(&sidecar, &receiver).await;
}

#[tokio::test]
async fn other_methods_are_405_with_what_is_allowed_and_other_paths_404() {
    let (sidecar, receiver) = with_receiver().await;
    let cases =
        [("GET", "/events", "POST"), ("PUT", "/events", "POST"), ("DELETE", "/events/a", "POST"), ("POST", "/healthz", "GET")];
    for (method, path, allowed) in cases {
        let answer = sidecar.request(method, path, &[], "").await;
        answer.refused(405, "method_not_allowed");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains(allowed)), "{method} {path}: {answer:?}");
    }
    let preflight = [("origin", "http://evil.example"), ("access-control-request-method", "POST")];
    let answer = sidecar.request("OPTIONS", "/events", &preflight, "").await;
    assert!(answer.status >= 400, "{answer:?}");
    assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{answer:?}");
    for path in ["/", "/event", "/eventsx", "/events.json", "/EVENTS"] {
        sidecar.post(path, "application/json", r#"{"type": "a", "data": 1}"#).await.refused(404, "not_found");
    }
    assert_nothing_else_was_queued(&sidecar, &receiver).await;
}
