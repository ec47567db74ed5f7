//! Which addresses an endpoint may be at, and how connections to it come and go.

use serde_json::json;

use crate::support::{Receiver, Sidecar, everything_to, telling};

const EVENT: &str = r#"{"type": "a", "id": "e-1", "data": 1}"#;

/// Delivers one event to `url`, in vain, and gives its `failed` line.
async fn failed_line(url: &str, keys: &str) -> serde_json::Value {
    let sidecar = Sidecar::start(&everything_to(&[("hook", url, keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let lines = sidecar.wait_for_log(|lines| !telling(lines, "dead_lettered").is_empty()).await;
    telling(&lines, "failed")[0].clone()
}

#[tokio::test]
async fn an_address_that_network_forbids_is_a_permanent_failure() {
    for (url, keys) in [
        ("http://169.254.169.254/latest", ""),
        ("http://2852039166/latest", ""),
        ("http://[::ffff:169.254.169.254]/", ""),
        ("http://0.0.0.0:1/", ""),
        ("http://10.0.0.1/", "network = \"public\""),
        ("http://localhost:1/", "network = \"public\""),
    ] {
        let line = failed_line(url, keys).await;
        let told = json!([line["error_code"], line["class"], line["attempt"]]);
        assert_eq!(told, json!(["network_forbidden", "permanent", 1]), "{url}: {line}");
        assert!(line.get("http_status").is_none(), "{line}");
    }
}

#[tokio::test]
async fn an_endpoint_that_turns_public_leaves_its_private_connection() {
    let receiver = Receiver::replying([200]).await;
    let config = |keys| everything_to(&[("hook", &receiver.url(), keys)]);
    let sidecar = Sidecar::start(&config("")).await;
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("delivered", 1).await;
    assert_eq!(sidecar.edit(&config("network = \"public\"")).await["outcome"], "loaded");
    sidecar.event(EVENT.replace("e-1", "e-2")).await.accepted();
    assert_eq!(sidecar.logged("failed", 1).await[0]["error_code"], "network_forbidden");
    assert_eq!(receiver.so_far().len(), 1);
}

#[tokio::test]
async fn an_endpoint_at_the_sidecars_own_address_is_no_loop() {
    let sidecar = Sidecar::start("").await;
    for (n, host) in ["127.0.0.1", "[::ffff:127.0.0.1]"].into_iter().enumerate() {
        let url = format!("http://{host}:{}/events/loop", sidecar.address().port());
        assert_eq!(sidecar.edit(&everything_to(&[("hook", &url, "")])).await["outcome"], "loaded");
        sidecar.event(EVENT).await.accepted();
        assert_eq!(sidecar.logged("failed", n + 1).await[n]["error_code"], "network_forbidden", "{host}");
    }
}
