//! Tokens by client credentials.

use serde_json::json;

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
        (Receiver::replying([200]).await.with_body("<html>"), "its answer is no token"),
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
