//! Tokens by client credentials.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{Receiver, Sidecar, everything_to};

fn event(n: usize) -> String {
    format!(r#"{{"type":"a","id":"e-{n}","data":{n}}}"#)
}

async fn token_server(expires_in: u64) -> Receiver {
    let body = format!(r#"{{"access_token":"tok-1","token_type":"Bearer","expires_in":{expires_in}}}"#);
    Receiver::replying([200]).await.with_body(body).with_header("content-type", "application/json")
}

fn config(receiver: &Receiver, tokens: &Receiver, keys: &str) -> String {
    let auth = format!(
        "auth = {{ type = \"oauth2\", token_url = \"{}/token?x=1\", client_id = \"shop 1\", client_secret = \"s3cret:+\", scopes = [\"a\", \"b:c\"] }}\n{keys}",
        tokens.url()
    );
    everything_to(&[("hook", &receiver.url(), &auth)])
}

#[tokio::test]
async fn one_token_is_fetched_for_all_who_wait_and_kept() {
    let (receiver, tokens) = (Receiver::replying([200]).await, token_server(3600).await);
    let sidecar = Sidecar::start(&config(&receiver, &tokens, "concurrency = 50")).await;
    let events: Vec<String> = (0..50).map(event).collect();
    assert_eq!(sidecar.event(format!("[{}]", events.join(","))).await.status, 202);
    let requests = receiver.received(50).await;
    assert!(requests.iter().all(|request| request.header("authorization") == "Bearer tok-1"));
    let asked = tokens.so_far();
    assert_eq!(asked.len(), 1);
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", "/token?x=1"));
    assert_eq!(asked[0].body, "grant_type=client_credentials&scope=a+b%3Ac");
    assert_eq!(asked[0].header("content-type"), "application/x-www-form-urlencoded");
    let credentials = data_encoding::BASE64.encode(b"shop+1:s3cret%3A%2B");
    assert_eq!(asked[0].header("authorization"), format!("Basic {credentials}"));
    sidecar.event(event(50)).await.accepted();
    receiver.received(51).await;
    assert_eq!(tokens.so_far().len(), 1, "it is kept");
}

#[tokio::test]
async fn a_token_at_its_end_is_renewed() {
    let (receiver, tokens) = (Receiver::replying([200]).await, token_server(0).await);
    let sidecar = Sidecar::start(&config(&receiver, &tokens, "")).await;
    for n in 0..3 {
        sidecar.event(event(n)).await.accepted();
        receiver.received(n + 1).await;
    }
    assert_eq!(tokens.so_far().len(), 3);
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_replaced_once_within_the_attempt() {
    let (receiver, tokens) = (Receiver::replying([401, 200, 401, 401]).await.with_body("no: tok-1"), token_server(3600).await);
    let sidecar = Sidecar::start(&config(&receiver, &tokens, "concurrency = 1")).await;
    sidecar.event(event(0)).await.accepted();
    let line = sidecar.logged("delivered", 1).await.remove(0);
    assert_eq!((&line["attempt"], receiver.so_far().len(), tokens.so_far().len()), (&json!(1), 2, 2));
    sidecar.event(event(1)).await.accepted();
    let line = sidecar.logged("failed", 1).await.remove(0);
    assert_eq!((&line["error_code"], &line["response"]), (&json!("status_401"), &json!("no: ***")));
    assert_eq!(tokens.so_far().len(), 3);
}

#[tokio::test]
async fn where_there_is_no_token_the_log_says_why_and_no_secret() {
    let receiver = Receiver::replying([200]).await;
    let refusal = r#"{"error":"invalid_client","error_description":"s3cret:+ is\nwrong"}"#;
    for (tokens, says) in [
        (Receiver::replying([400]).await.with_body(refusal), "it answered 400 invalid_client: *** iswrong"),
        (Receiver::replying([200]).await.with_body("<html>"), "its answer is no JSON"),
        (Receiver::replying([200]).await.with_body(r#"{"token_type":"bearer"}"#), "its answer has no `access_token`"),
        (Receiver::replying([200]).await.with_body(r#"{"access_token":"x","token_type":"mac"}"#), "its token is no bearer token"),
        (Receiver::garbage().await, "the answer is not HTTP/1.1"),
    ] {
        let sidecar = Sidecar::start(&config(&receiver, &tokens, "")).await;
        sidecar.event(event(0)).await.accepted();
        let line = sidecar.logged("retrying", 1).await.remove(0);
        assert_eq!(line["error_code"], "oauth2");
        let error = line["error"].as_str().unwrap();
        assert!(error.contains(says) && error.contains("/token?x=***") && !error.contains("s3cret"), "{line}");
    }
    assert!(receiver.so_far().is_empty());
}

#[tokio::test]
async fn what_an_attempt_has_sent_is_masked_though_there_is_no_token_any_more() {
    let receiver = Receiver::replying([500]).await.with_body("you sent tok-1").after(Duration::from_millis(500));
    let body = r#"{"access_token":"tok-1","token_type":"Bearer","expires_in":0}"#;
    let tokens = Receiver::replying([200, 500]).await.with_body(body);
    let sidecar = Sidecar::start(&config(&receiver, &tokens, "")).await;
    sidecar.event(event(0)).await.accepted();
    receiver.received(1).await;
    sidecar.event(event(1)).await.accepted();
    let lines = sidecar.logged("retrying", 2).await;
    let responses: Vec<_> = lines.iter().map(|line| (line["error_code"].as_str(), line["response"].as_str())).collect();
    assert_eq!(responses, [(Some("oauth2"), None), (Some("status_500"), Some("you sent ***"))]);
}

#[tokio::test]
async fn a_token_that_ends_at_once_is_for_all_who_waited_for_it() {
    let (receiver, tokens) = (Receiver::replying([200]).await, token_server(0).await.after(Duration::from_millis(100)));
    let sidecar = Sidecar::start(&config(&receiver, &tokens, "concurrency = 50")).await;
    let events: Vec<String> = (0..50).map(event).collect();
    assert_eq!(sidecar.event(format!("[{}]", events.join(","))).await.status, 202);
    receiver.received(50).await;
    assert_eq!(tokens.so_far().len(), 1);
}

#[tokio::test]
async fn a_token_that_comes_too_late_for_its_attempt_is_there_for_the_next() {
    let (receiver, tokens) = (Receiver::replying([200]).await, token_server(3600).await.after(Duration::from_millis(500)));
    let keys = "timeout = \"200ms\"\nretry = { delay = \"50ms\", backoff = \"fixed\", attempts = 100 }";
    let sidecar = Sidecar::start(&config(&receiver, &tokens, keys)).await;
    sidecar.event(event(0)).await.accepted();
    sidecar.logged("delivered", 1).await;
    assert_eq!(tokens.so_far().len(), 1);
    let line = sidecar.logged("retrying", 1).await.remove(0);
    let error = line["error"].as_str().unwrap();
    assert!(error.starts_with("no token from http://127.0.0.1:") && error.contains("no answer within"), "{line}");
}

#[tokio::test]
async fn the_rest_of_a_refusal_is_not_waited_for_beyond_the_time_of_the_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let refusing = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut piece = [0; 4096];
        drop(stream.read(&mut piece).await);
        stream.write_all(b"HTTP/1.1 401 No\r\ncontent-length: 100\r\n\r\nno").await.unwrap();
        // As long as the test lasts.
        std::future::pending::<()>().await;
    });
    let tokens = token_server(3600).await;
    let auth = format!(
        "auth = {{ type = \"oauth2\", token_url = \"{}/\", client_id = \"a\", client_secret = \"b\" }}\ntimeout = \"300ms\"",
        tokens.url()
    );
    let sidecar = Sidecar::start(&everything_to(&[("hook", &url, &auth)])).await;
    sidecar.event(event(0)).await.accepted();
    let line = sidecar.logged("retrying", 1).await.remove(0);
    assert!(line["duration_ms"].as_f64().unwrap() < 3000.0, "{line}");
    refusing.abort();
}

#[tokio::test]
async fn nothing_of_what_the_config_only_names_is_told_about_a_refusal() {
    let refusal =
        r#"{"error":"invalid_client","error_description":"shop-17 and s3cret%3A%2B at /secret-path?key=q-u-e-r-y, q-u-e-r-y"}"#;
    let (receiver, tokens) = (Receiver::replying([200]).await, Receiver::replying([400]).await.with_body(refusal));
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in
        [("url", &*format!("{}/secret-path?key=q-u-e-r-y", tokens.url())), ("id", "shop-17"), ("secret", "s3cret:+")]
    {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let auth = "auth = { type = \"oauth2\", token_url = { file = \"url\" }, client_id = { file = \"id\" }, client_secret = { file = \"secret\" } }";
    let sidecar = Sidecar::start_in(folder, &everything_to(&[("hook", &receiver.url(), auth)])).await;
    sidecar.event(event(0)).await.accepted();
    let line = sidecar.logged("retrying", 1).await.remove(0);
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("it answered 400 invalid_client: *** and *** at ***"), "{line}");
    assert!(["path", "key", "q-u"].iter().all(|part| !error.contains(part)), "{line}");
}
