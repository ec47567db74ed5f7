//! `sidehook test`: a ping, in the endpoint's own dialect.

use std::fs;

use md5::{Digest, Md5};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Receiver, Said, closed_port, everything_to, keys, run, signature};

/// A folder whose config has the endpoint `hook`, with these keys.
fn config(url: &str, keys: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sidehook.toml"), everything_to(&[("hook", url, keys)])).unwrap();
    folder
}

async fn ping(url: &str, keys: &str, flags: &[&str]) -> Said {
    run(config(url, keys).path(), &[&["test", "hook"], flags].concat()).await
}

#[tokio::test]
async fn a_ping_is_signed_like_any_event_and_success_exits_with_0() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let receiver = Receiver::replying([200]).await.with_body("thanks");
    let signed =
        format!("active = false\nenvelope = \"standard\"\nsignature = {{ scheme = \"standard\", secrets = [\"{secret}\"] }}");
    let said = ping(&format!("{}/in", receiver.url()), &signed, &[]).await;
    assert_eq!(said.code, 0, "{} {}", said.stdout, said.stderr);
    let [request] = &receiver.received(1).await[..] else { panic!("one request") };
    signature::assert_verifies("standard", &[secret], request);
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["type"]), (&"ping".into(), &"ping".into()));
    assert_eq!(keys(&body["data"].to_string()).len(), 2);
    for part in
        [&format!("POST {}/in", receiver.url()), request.text(), request.header("webhook-id"), "answered 200 in ", "thanks"]
    {
        assert!(said.stdout.contains(part), "{part} is not in\n{}", said.stdout);
    }
}

#[tokio::test]
async fn where_batches_are_on_a_ping_has_the_id_of_one() {
    let receiver = Receiver::replying([200]).await;
    assert_eq!(ping(&receiver.url(), "envelope = \"cloudevents\"\nbatch = {}", &[]).await.code, 0);
    let [request] = &receiver.received(1).await[..] else { panic!("one request") };
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert!(
        request.header("webhook-id").starts_with("bat_") && body[0]["id"].as_str().unwrap().starts_with("evt_"),
        "{request:?}"
    );
}

#[tokio::test]
async fn under_md5_a_ping_is_type_and_time_and_nothing_else() {
    for (format, before, middle, after, behind) in [
        ("json", r#"{"payload":"#, r#"{"type":"ping","epoch_timestamp":"#, "}", r#","md5":""#),
        ("xml", "<notification>", "<payload><type>ping</type><epoch_timestamp>", "</epoch_timestamp></payload>", "<md5>"),
        ("form", "", "payload%5Btype%5D=ping&payload%5Bepoch_timestamp%5D=", "", "&md5="),
    ] {
        let receiver = Receiver::replying([200]).await;
        let keys = format!("envelope = \"md5\"\nformat = \"{format}\"");
        assert_eq!(ping(&receiver.url(), &keys, &[]).await.code, 0);
        let [request] = &receiver.received(1).await[..] else { panic!("one request") };
        let text = &request.text()[request.text().find(before).expect("the beginning") + before.len()..];
        let (payload, sum) = text.split_once(behind).expect("an md5");
        let at = payload.strip_prefix(middle).and_then(|rest| rest.strip_suffix(after)).expect(payload);
        assert!(at.parse::<u64>().is_ok(), "{payload}");
        assert!(sum.starts_with(&data_encoding::HEXLOWER.encode(&Md5::digest(payload))), "{text}");
    }
}

#[tokio::test]
async fn a_failure_exits_with_1_and_says_what_came() {
    let receiver = Receiver::replying([422]).await.with_body("no such hook");
    let said = ping(&receiver.url(), "", &[]).await;
    assert!(said.code == 1 && said.stdout.contains("answered 422") && said.stdout.contains("no such hook"), "{}", said.stdout);
    assert_eq!(receiver.received(1).await.len(), 1, "a ping is one attempt");
    let said = ping(&closed_port(), "", &["--json"]).await;
    let line: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &line["success"], &line["error_code"]), (1, &false.into(), &"connect_refused".into()));
    let hanging = Receiver::hanging().await;
    let said = ping(&hanging.url(), "timeout = \"100ms\"", &[]).await;
    assert!(said.code == 1 && said.stdout.contains("no answer within 100ms"), "{}", said.stdout);
}

#[tokio::test]
async fn json_has_the_result_in_a_line() {
    let receiver = Receiver::replying([204]).await;
    let said = ping(&receiver.url(), "method = \"PUT\"", &["--json"]).await;
    assert_eq!(said.stdout.lines().count(), 1);
    let line: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&line["endpoint"], &line["method"], &line["http_status"]), (&"hook".into(), &"PUT".into(), &204.into()));
    assert!(line["success"] == true && line["duration_ms"].as_f64().unwrap() > 0.0, "{line}");
}

#[tokio::test]
async fn secrets_are_sent_and_not_shown() {
    let receiver = Receiver::replying([200]).await.with_body("you said s3cret-key and s3cret-word");
    let secrets =
        "headers = { X-Key = { file = \"key\" } }\nauth = { type = \"basic\", username = \"u\", password = { file = \"word\" } }";
    let folder = config(&receiver.url(), secrets);
    fs::write(folder.path().join("key"), "s3cret-key").unwrap();
    fs::write(folder.path().join("word"), "s3cret-word").unwrap();
    let said = run(folder.path(), &["test", "hook"]).await;
    let [request] = &receiver.received(1).await[..] else { panic!("one request") };
    assert_eq!((said.code, request.header("x-key")), (0, "s3cret-key"));
    let basic = request.header("authorization").strip_prefix("Basic ").unwrap();
    for secret in ["s3cret", basic] {
        assert!(!(said.stdout.clone() + &said.stderr).contains(secret), "{secret} is in\n{}", said.stdout);
    }
    assert!(said.stdout.contains("x-key: ***"), "{}", said.stdout);
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_a_bad_config_with_3() {
    let folder = config("http://127.0.0.1:1/", "");
    let said = run(folder.path(), &["test", "hok"]).await;
    assert!(said.code == 2 && said.stderr.contains("`hok`: there are hook"), "{}", said.stderr);
    for (name, word) in [("hook", "no [admin] listener"), ("ho/ok", "no [admin] listener")] {
        let said = run(folder.path(), &["test", name, "--disable-on-failure"]).await;
        assert!(said.code == 2 && said.stderr.contains(word), "{}", said.stderr);
    }
    assert_eq!(run(folder.path(), &["test", "hook", "--config", "nowhere.toml"]).await.code, 3);
}
