//! One request of one delivery: what stands in its head, how it travels, and what counts as delivered.

use std::time::Duration;

use crate::support::{Process, Receiver, Sidecar, everything_to, post, sidehook};

const EVENT: &str = r#"{"type": "purchase.completed", "id": "order-1", "time": "2026-11-22T19:21:53Z", "data": {"sku": 7}}"#;

#[tokio::test]
async fn a_plain_endpoint_gets_exactly_the_headers_the_interface_lists() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &format!("{}/in?x=1", receiver.url()), "")])).await;
    sidecar.event(EVENT).await.accepted();
    let request = receiver.received(1).await.remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/in?x=1"));
    let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "host", "user-agent", "webhook-id"]);
    assert_eq!(request.header("content-length"), request.body.len().to_string());
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("host"), receiver.authority());
    assert_eq!(request.header("user-agent"), concat!("sidehook/", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.header("webhook-id"), "order-1");
}

#[tokio::test]
async fn a_put_endpoint_is_put_to() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "method = \"PUT\"")])).await;
    sidecar.event(EVENT).await.accepted();
    assert_eq!(receiver.received(1).await[0].method, "PUT");
}

#[tokio::test]
async fn custom_headers_are_filled_in_and_may_replace_the_user_agent() {
    let receiver = Receiver::replying([503, 200]).await;
    let keys = r#"headers = { X-Source = "shop", X-All = "{id} {type} {time} {attempt} {{}}", User-Agent = "mine/1" }
retry = { delay = "10ms", jitter = 0 }"#;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    for (nth, request) in receiver.received(2).await.iter().enumerate() {
        let filled = format!("order-1 purchase.completed 2026-11-22T19:21:53Z {} {{}}", nth + 1);
        assert_eq!(request.header("x-all"), filled);
        assert_eq!((request.header("x-source"), request.header("user-agent")), ("shop", "mine/1"));
    }
}

#[tokio::test]
async fn defaults_are_merged_by_key_for_headers_and_retry_and_replaced_otherwise() {
    let receiver = Receiver::replying([500, 500, 200]).await;
    let defaults = r#"[defaults]
format = "xml"
method = "PUT"
headers = { X-A = "default", X-B = "default" }
retry = { attempts = 2, delay = "10ms", jitter = 0 }
"#;
    let keys = "format = \"json\"\nheaders = { X-B = \"own\" }\nretry = { attempts = 3 }";
    let sidecar = Sidecar::start(&format!("{defaults}\n{}", everything_to(&[("hook", &receiver.url(), keys)]))).await;
    sidecar.event(EVENT).await.accepted();
    let line = &sidecar.logged("delivered", 1).await[0];
    assert_eq!((&line["attempt"], &line["max_attempts"]), (&3.into(), &3.into()));
    let request = receiver.received(3).await.pop().unwrap();
    assert_eq!((request.header("x-a"), request.header("x-b")), ("default", "own"));
    assert_eq!((request.method.as_str(), request.header("content-type")), ("PUT", "application/json"));
}

#[tokio::test]
async fn the_trace_context_travels_only_where_it_is_asked_for() {
    let (traced, plain) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let config = everything_to(&[("traced", &traced.url(), "trace = true"), ("plain", &plain.url(), "")]);
    let sidecar = Sidecar::start(&config).await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("content-type", "application/json"), ("traceparent", parent), ("tracestate", "vendor=1")];
    sidecar.request("POST", "/events", &headers, EVENT).await.accepted();
    let request = traced.received(1).await.remove(0);
    assert_eq!((request.header("traceparent"), request.header("tracestate")), (parent, "vendor=1"));
    let request = plain.received(1).await.remove(0);
    assert!(!request.has("traceparent") && !request.has("tracestate"), "{request:?}");
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_delivery() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    for nth in 1..=4 {
        sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
        sidecar.logged("delivered", nth).await;
    }
    let connections: Vec<usize> = receiver.received(4).await.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 1, 1, 1]);
}

#[tokio::test]
async fn an_idle_connection_is_given_up_after_idle_timeout() {
    let receiver = Receiver::using_connections_once().await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "idle_timeout = \"1ms\"")])).await;
    for nth in 1..=3 {
        sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
        sidecar.logged("delivered", nth).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let connections: Vec<usize> = receiver.received(3).await.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 2, 3]);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_costs_no_attempt() {
    let receiver = Receiver::using_connections_once().await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "retry = { attempts = 1 }")])).await;
    for nth in 1..=3 {
        sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
        let delivered = sidecar.logged("delivered", nth).await;
        assert_eq!(delivered[nth - 1]["attempt"], 1);
    }
    assert!(sidecar.dead_letters().is_empty());
}

#[tokio::test]
async fn no_more_attempts_are_in_flight_than_concurrency_says() {
    let receiver = Receiver::replying([200]).await.after(Duration::from_millis(20));
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "concurrency = 2")])).await;
    let batch = format!("[{}]", [r#"{"type": "a", "data": 1}"#; 12].join(","));
    assert_eq!(sidecar.event(batch).await.status, 202);
    sidecar.logged("delivered", 12).await;
    assert_eq!(receiver.most_at_once(), 2);
}

#[tokio::test]
async fn a_dead_endpoint_slows_neither_the_answer_nor_the_others() {
    let (hole, good) = (Receiver::hanging().await, Receiver::replying([200]).await);
    let config = everything_to(&[("hole", &hole.url(), "concurrency = 1\ntimeout = \"60s\""), ("good", &good.url(), "")]);
    let sidecar = Sidecar::start(&config).await;
    for _ in 0..50 {
        sidecar.event(r#"{"type": "a", "data": 1}"#).await.accepted();
    }
    assert_eq!(good.received(50).await.len(), 50);
    assert_eq!(hole.so_far().len(), 1);
}

#[tokio::test]
async fn success_is_what_the_list_says() {
    let answered = [
        (200, "[200]", true),
        (204, "[200]", false),
        (204, "\"2xx\"", true),
        (404, "[200, 404]", true),
        (302, "[\"3xx\"]", true),
        (200, "[\"3xx\"]", false),
    ];
    for (status, list, delivered) in answered {
        let receiver = Receiver::replying([status]).await;
        let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), &format!("success = {list}"))])).await;
        sidecar.event(EVENT).await.accepted();
        let lines = sidecar.logged(if delivered { "delivered" } else { "failed" }, 1).await;
        assert_eq!(lines[0]["http_status"], status, "{list}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_after_a_good_head_is_still_delivered() {
    let receiver = Receiver::raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nshort").await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    sidecar.event(EVENT).await.accepted();
    let lines = sidecar.logged("delivered", 1).await;
    assert_eq!((&lines[0]["http_status"], &lines[0]["attempt"]), (&200.into(), &1.into()));
}

#[tokio::test]
async fn an_answer_of_megabytes_is_not_read_to_its_end() {
    let receiver = Receiver::replying([200]).await.with_body(vec![b'x'; 8 << 20]);
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    for nth in 1..=2 {
        sidecar.event(EVENT.replace("order-1", &format!("order-{nth}"))).await.accepted();
        sidecar.logged("delivered", nth).await;
    }
    // The rest of the first answer was not worth keeping its connection for.
    let connections: Vec<usize> = receiver.received(2).await.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [1, 2]);
}

#[tokio::test]
async fn many_events_in_a_burst_arrive_once_each() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    for batch in 0..10 {
        let event = |nth| format!(r#"{{"type": "a", "id": "{batch}-{nth}", "data": {nth}}}"#);
        let batch = format!("[{}]", (0..100).map(event).collect::<Vec<_>>().join(","));
        assert_eq!(sidecar.event(batch).await.status, 202);
    }
    sidecar.logged("delivered", 1000).await;
    let mut ids: Vec<_> = receiver.so_far().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 1000);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
}

#[tokio::test]
async fn tls_receivers_that_the_system_trusts_are_delivered_to() {
    let receiver = Receiver::tls().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("roots.pem"), receiver.certificate()).unwrap();
    let rest = "\n[listen]\naddress = \"127.0.0.1:0\"\n[log]\ndeliveries = \"deliveries.jsonl\"\n";
    std::fs::write(folder.path().join("sidehook.toml"), everything_to(&[("hook", &receiver.url(), "")]) + rest).unwrap();
    let mut process = Process::start(sidehook(folder.path(), &["run"]).env("SSL_CERT_FILE", folder.path().join("roots.pem")));
    let address = process.address(folder.path()).await;
    post(address, EVENT).await.accepted();
    let received = receiver.received(1).await;
    assert_eq!(received[0].header("host"), receiver.url().trim_start_matches("https://"));
}
