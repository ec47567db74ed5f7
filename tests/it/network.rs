//! Which addresses an endpoint may be at, and how connections to it come and go.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Process, Receiver, Sidecar, everything_to, json_lines, post, sidehook, telling};

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
        sidecar.event(EVENT.replace("e-1", &format!("e-{n}"))).await.accepted();
        assert_eq!(sidecar.logged("failed", n + 1).await[n]["error_code"], "network_forbidden", "{host}");
    }
}

/// Reads the head and body of one small request, and answers it with `200`.
async fn answer_one(stream: &mut TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
}

#[tokio::test]
async fn a_good_bye_on_an_idle_connection_is_no_answer_to_the_next_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let sidecar = Sidecar::start(&everything_to(&[("hook", &url, "")])).await;
    sidecar.event(EVENT).await.accepted();
    let (mut first, _) = listener.accept().await.unwrap();
    answer_one(&mut first).await;
    sidecar.logged("delivered", 1).await;
    first.write_all(b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    drop(first);
    sidecar.event(EVENT.replace("e-1", "e-2")).await.accepted();
    let (mut second, _) = listener.accept().await.unwrap();
    answer_one(&mut second).await;
    assert_eq!(sidecar.logged("delivered", 2).await[1]["attempt"], 1);
    assert!(telling(&sidecar.log(), "retrying").is_empty());
}

#[tokio::test]
async fn a_kept_alive_tls_connection_that_was_closed_is_replaced_silently() {
    let receiver = Receiver::tls().await.using_each_connection_once();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("roots.pem"), receiver.certificate()).unwrap();
    let rest = "\n[listen]\naddress = \"127.0.0.1:0\"\n[log]\ndeliveries = \"deliveries.jsonl\"\n";
    std::fs::write(folder.path().join("sidehook.toml"), everything_to(&[("hook", &receiver.url(), "")]) + rest).unwrap();
    let mut process = Process::start(sidehook(folder.path(), &["run"]).env("SSL_CERT_FILE", folder.path().join("roots.pem")));
    let address = process.address(folder.path()).await;
    let delivered = || telling(&json_lines(&folder.path().join("deliveries.jsonl")), "delivered");
    for n in 1..=3 {
        post(address, &EVENT.replace("e-1", &format!("e-{n}"))).await.accepted();
        // The first on each connection, and the one that finds it used up.
        receiver.received(2 * n - 1).await;
        while delivered().len() < n {
            tokio::time::sleep(crate::support::LOOK_EVERY).await;
        }
    }
    assert!(delivered().iter().all(|line| line["attempt"] == 1), "{:#?}", delivered());
}
