//! Every way an attempt can fail has its class and its word, and none is taken for another.

use serde_json::json;

use crate::support::{Receiver, Sidecar, closed_port, everything_to, telling};

const EVENT: &str = r#"{"type": "a", "id": "e-1", "data": 1}"#;

/// Delivers one event to `url` with two attempts and gives its `retrying` line.
async fn retrying_line(url: &str, keys: &str) -> serde_json::Value {
    let keys = format!("retry = {{ attempts = 2, delay = \"10ms\", jitter = 0 }}\n{keys}");
    let sidecar = Sidecar::start(&everything_to(&[("hook", url, &keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let lines = sidecar.wait_for_log(|lines| !telling(lines, "dead_lettered").is_empty()).await;
    assert_eq!(sidecar.dead_letters()[0]["reason"], "attempts");
    let retrying = telling(&lines, "retrying");
    assert_eq!(retrying.len(), 1, "{lines:#?}");
    let failed = telling(&lines, "failed");
    assert_eq!((&failed[0]["class"], &failed[0]["attempt"]), (&json!("transient"), &json!(2)));
    assert_eq!(failed[0]["error_code"], retrying[0]["error_code"]);
    retrying[0].clone()
}

#[tokio::test]
async fn a_reset_connection_is_transient_and_called_reset() {
    let receiver = Receiver::resetting().await;
    assert_eq!(retrying_line(&receiver.url(), "").await["error_code"], "reset");
}

#[tokio::test]
async fn garbage_for_an_answer_is_transient_and_called_protocol() {
    let receiver = Receiver::garbage().await;
    assert_eq!(retrying_line(&receiver.url(), "").await["error_code"], "protocol");
}

#[tokio::test]
async fn no_answer_in_time_is_transient_and_called_timeout() {
    let receiver = Receiver::hanging().await;
    let line = retrying_line(&receiver.url(), "timeout = \"100ms\"").await;
    assert_eq!(line["error_code"], "timeout");
    assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms >= 100.0), "{line}");
}

#[tokio::test]
async fn a_refused_connection_is_transient_and_called_connect_refused() {
    let line = retrying_line(&closed_port(), "").await;
    assert_eq!(line["error_code"], "connect_refused");
    assert!(line.get("http_status").is_none(), "{line}");
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_transient_and_called_tls() {
    let receiver = Receiver::tls().await;
    assert_eq!(retrying_line(&receiver.url(), "").await["error_code"], "tls");
    assert!(receiver.so_far().is_empty());
}

#[tokio::test]
async fn tls_to_a_plain_port_is_called_tls_too() {
    let receiver = Receiver::replying([200]).await;
    let url = receiver.url().replace("http:", "https:");
    assert_eq!(retrying_line(&url, "").await["error_code"], "tls");
}

#[tokio::test]
async fn transient_statuses_are_tried_again() {
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        let receiver = Receiver::replying([status, 200]).await;
        let keys = "retry = { delay = \"10ms\", jitter = 0 }";
        let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
        sidecar.event(EVENT).await.accepted();
        assert_eq!(sidecar.logged("delivered", 1).await[0]["attempt"], 2, "{status}");
        let line = &sidecar.logged("retrying", 1).await[0];
        assert_eq!((&line["error_code"], &line["http_status"]), (&json!(format!("status_{status}")), &json!(status)));
    }
}

#[tokio::test]
async fn permanent_statuses_are_dead_lettered_at_once() {
    for status in [301, 302, 307, 400, 401, 403, 404, 409, 422, 501, 505] {
        let receiver = Receiver::replying([status]).await;
        let keys = "retry = { delay = \"10ms\", jitter = 0 }";
        let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
        sidecar.event(EVENT).await.accepted();
        let lines = sidecar.wait_for_log(|lines| !telling(lines, "dead_lettered").is_empty()).await;
        let failed = telling(&lines, "failed");
        assert_eq!((&failed[0]["class"], &failed[0]["attempt"]), (&json!("permanent"), &json!(1)), "{status}");
        assert_eq!(failed[0]["error_code"], format!("status_{status}"));
        assert_eq!(telling(&lines, "dead_lettered")[0]["reason"], "permanent");
        assert_eq!(receiver.so_far().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn with_on_any_permanent_statuses_are_tried_again_like_others() {
    let receiver = Receiver::replying([404, 302, 200]).await;
    let keys = "retry = { on = \"any\", delay = \"10ms\", jitter = 0 }";
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    assert_eq!(sidecar.logged("delivered", 1).await[0]["attempt"], 3);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Receiver::replying([200]).await;
    for status in [301, 302, 303, 307, 308] {
        let receiver = Receiver::replying([status]).await.with_header("location", &elsewhere.url());
        let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
        sidecar.event(EVENT).await.accepted();
        sidecar.logged("dead_lettered", 1).await;
        assert_eq!((receiver.so_far().len(), elsewhere.so_far().len()), (1, 0), "{status}");
    }
}

#[tokio::test]
async fn gone_disables_the_endpoint_until_its_settings_change() {
    let receiver = Receiver::replying([410]).await;
    let config = |keys| everything_to(&[("hook", &receiver.url(), keys)]);
    let sidecar = Sidecar::start(&config("")).await;
    sidecar.event(EVENT).await.accepted();
    assert_eq!(sidecar.logged("disabled", 1).await[0]["endpoint"], "hook");
    sidecar.logged("dead_lettered", 1).await;
    assert_eq!(sidecar.dead_letters()[0]["reason"], "permanent");
    let answer = sidecar.event(EVENT.replace("e-1", "e-2")).await;
    assert_eq!(answer.json()["endpoints"], json!(["hook"]));
    sidecar.logged("dead_lettered", 2).await;
    assert_eq!((&sidecar.dead_letters()[1]["reason"], &sidecar.dead_letters()[1]["attempts"]), (&json!("disabled"), &json!(0)));

    assert_eq!(receiver.so_far().len(), 1);

    receiver.now_replying([200]);
    assert_eq!(sidecar.edit(&config("timeout = \"9s\"")).await["outcome"], "loaded");
    assert_eq!(sidecar.logged("enabled", 1).await[0]["endpoint"], "hook");
    sidecar.event(EVENT.replace("e-1", "e-4")).await.accepted();
    assert_eq!(receiver.received(2).await[1].header("webhook-id"), "e-4");
}

#[tokio::test]
async fn the_start_of_a_failures_answer_is_in_its_line() {
    let receiver = Receiver::replying([500, 404]).await.with_body("é".repeat(70_000));
    let keys = "retry = { delay = \"10ms\", jitter = 0 }";
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let line = &sidecar.logged("failed", 1).await[0];
    assert_eq!(line["response"].as_str().map(str::to_owned), Some("é".repeat(128)), "{line}");
    assert!(sidecar.logged("retrying", 1).await[0]["response"].as_str().is_some_and(|text| text.starts_with("éé")));
}
