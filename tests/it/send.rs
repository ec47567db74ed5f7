//! `sidehook send`: events for a running sidecar, and what it says of them.

use std::fs;

use crate::support::{Process, Receiver, Sidecar, closed_port, everything_to, run, sidehook};

#[tokio::test]
async fn an_event_arrives_with_its_data_as_typed() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "envelope = \"none\"")])).await;
    let folder = tempfile::tempdir().unwrap();
    let to = format!("http://{}", sidecar.address());
    let said = run(folder.path(), &["send", "a.b", "--data", "{\"n\": 1.0}", "--id", "one", "--to", &to]).await;
    assert_eq!((said.code, &*said.stdout, &*said.stderr), (0, "one accepted for hook\n", ""));
    let [request] = &receiver.received(1).await[..] else { panic!("one request") };
    assert_eq!((request.text(), request.header("webhook-id")), ("{\"n\": 1.0}", "one"));
}

#[tokio::test]
async fn data_may_come_from_a_file_or_stdin() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "envelope = \"none\"")])).await;
    let folder = tempfile::tempdir().unwrap();
    let to = sidecar.address().to_string();
    fs::write(folder.path().join("data.json"), "[\"file\"]\n").unwrap();
    assert_eq!(run(folder.path(), &["send", "a", "--data", "@data.json", "--to", &to]).await.code, 0);
    assert_eq!(receiver.received(1).await[0].text(), "[\"file\"]");
    let stdin = fs::File::open(folder.path().join("data.json")).unwrap();
    let mut command = sidehook(folder.path(), &["send", "a", "--data", "-", "--to", &to]);
    assert_eq!(Process::start(command.stdin(stdin)).exit_status().await.code(), Some(0));
    assert_eq!(receiver.received(2).await[1].text(), "[\"file\"]");
}

#[tokio::test]
async fn json_is_the_answer_itself() {
    let sidecar = Sidecar::start(&everything_to(&[("hook", &closed_port(), "")])).await;
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["send", "a.b", "--id", "one", "--json", "--to", &sidecar.address().to_string()]).await;
    assert_eq!(said.stdout, "{\"id\":\"one\",\"type\":\"a.b\",\"endpoints\":[\"hook\"],\"duplicate\":false}\n");
}

#[tokio::test]
async fn address_and_token_come_from_the_config_without_the_endpoints_secrets() {
    let receiver = Receiver::replying([202]).await.with_body("{\"id\":\"e\",\"endpoints\":[],\"duplicate\":false}");
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[listen]\naddress = \"{}\"\ntoken = \"let-me-in\"\n[endpoints.a]\nurl = {{ env = \"SIDEHOOK_TEST_NOT_SET\" }}\n",
        receiver.authority()
    );
    fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    let said = run(folder.path(), &["send", "a.b"]).await;
    assert_eq!((said.code, &*said.stdout), (0, "e accepted, but no route selects it\n"), "{}", said.stderr);
    let [request] = &receiver.received(1).await[..] else { panic!("one request") };
    assert_eq!((&*request.method, &*request.path), ("POST", "/events"));
    assert_eq!(request.header("authorization"), "Bearer let-me-in");
    assert_eq!(request.header("host"), receiver.authority());
    assert!(!request.has("prefer"));
    assert_eq!(request.text(), "{\"type\":\"a.b\",\"data\":{}}");
}

#[tokio::test]
async fn waiting_shows_each_delivery_and_a_failed_one_exits_with_1() {
    let answer = r#"{"id":"e","type":"a","endpoints":["hook","longer"],"duplicate":false,"deliveries":[
        {"endpoint":"hook","outcome":"delivered","http_status":200,"attempts":1},
        {"endpoint":"longer","outcome":"dead_lettered","attempts":3}]}"#;
    let receiver = Receiver::replying([502]).await.with_body(answer);
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["send", "a", "--wait", "7", "--to", &receiver.url()]).await;
    let shown = "e accepted for hook, longer\n  hook    delivered, 1 attempt, status 200\n  longer  dead_lettered, 3 attempts\n";
    assert_eq!((said.code, &*said.stdout), (1, shown), "{}", said.stderr);
    assert_eq!(receiver.received(1).await[0].header("prefer"), "wait=7");
}

#[tokio::test]
async fn a_refusal_and_a_sidecar_that_is_not_there_exit_with_1_and_say_why() {
    let sidecar = Sidecar::start("[listen]\nmax_body = \"1KiB\"\n").await;
    let folder = tempfile::tempdir().unwrap();
    let data = format!("\"{}\"", "x".repeat(2000));
    let said = run(folder.path(), &["send", "a", "--data", &data, "--to", &sidecar.address().to_string()]).await;
    assert!(said.code == 1 && said.stderr.contains("413 payload_too_large"), "{}", said.stderr);
    let nobody = closed_port();
    let said = run(folder.path(), &["send", "a", "--to", &nobody]).await;
    assert!(said.code == 1 && said.stderr.contains(nobody.trim_end_matches('/')), "{}", said.stderr);
}

#[tokio::test]
async fn wrong_usage_sends_nothing_and_exits_with_2_and_a_bad_config_with_3() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["send"][..],
        &["send", "two words"],
        &["send", "a", "--data", "{"],
        &["send", "a", "--id", "two words"],
        &["send", "a", "--wait", "61"],
        &["send", "a", "--to", "https://localhost"],
    ] {
        let said = run(folder.path(), arguments).await;
        assert!(said.code == 2 && said.stdout.is_empty(), "{arguments:?}: {} {}", said.code, said.stderr);
    }
    fs::write(folder.path().join("sidehook.toml"), "[lisen]\n").unwrap();
    let said = run(folder.path(), &["send", "a"]).await;
    assert!(said.code == 3 && said.stderr.contains("sidehook.toml:1:2"), "{}", said.stderr);
    assert_eq!(run(folder.path(), &["send", "a", "--config", "nowhere.toml"]).await.code, 3);
}
