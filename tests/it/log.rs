//! The delivery log: every line of it, and the file it stands in.

use serde_json::{Value, json};

use crate::support::{Receiver, Sidecar, everything_to, keys, lines, telling, validate};

const EVENT: &str = r#"{"type": "a.b", "id": "e-1", "data": 1}"#;
const HEAD: [&str; 5] = ["timestamp", "level", "message", "kind", "outcome"];
const DELIVERY: [&str; 8] = ["event_id", "event_type", "endpoint", "endpoint_id", "method", "url", "attempt", "max_attempts"];

/// The keys of the first line with this outcome.
fn keys_of(sidecar: &Sidecar, outcome: &str) -> Vec<String> {
    let all = lines(&sidecar.log_file());
    let line = all.iter().find(|line| line.contains(&format!("\"outcome\":\"{outcome}\"")));
    keys(line.unwrap_or_else(|| panic!("no {outcome} in {all:#?}")))
}

fn assert_timestamp(value: &Value) {
    let text = value.as_str().unwrap();
    assert!(text.len() == 27 && text.ends_with('Z') && text.as_bytes()[19] == b'.', "{text}");
    let at: jiff::Timestamp = text.parse().unwrap();
    assert!((jiff::Timestamp::now().as_second() - at.as_second()).abs() < 60, "{text}");
}

#[tokio::test]
async fn a_delivered_line_has_the_keys_of_the_interface_in_their_order() {
    let receiver = Receiver::replying([201]).await;
    let sidecar = Sidecar::start(&everything_to(&[("billing", &format!("{}/in", receiver.url()), "method = \"PUT\"")])).await;
    sidecar.event(EVENT).await.accepted();
    let line = &sidecar.logged("delivered", 1).await[0];
    let expected = [&HEAD[..], &DELIVERY, &["http_status", "duration_ms", "bytes"]].concat();
    assert_eq!(keys_of(&sidecar, "delivered"), expected);
    assert_timestamp(&line["timestamp"]);
    let same = json!({
        "timestamp": line["timestamp"], "level": "info", "message": "a.b delivered to billing", "kind": "delivery", "outcome": "delivered",
        "event_id": "e-1", "event_type": "a.b", "endpoint": "billing", "endpoint_id": line["endpoint_id"], "method": "PUT",
        "url": format!("{}/in", receiver.url()), "attempt": 1, "max_attempts": 12, "http_status": 201,
        "duration_ms": line["duration_ms"], "bytes": receiver.so_far()[0].body.len(),
    });
    assert_eq!(*line, same);
    assert!(line["duration_ms"].as_f64().is_some_and(|ms| (0.0..10_000.0).contains(&ms)), "{line}");
}

#[tokio::test]
async fn with_ecs_the_keys_are_those_of_the_elastic_common_schema_until_a_reload_says_otherwise() {
    let receiver = Receiver::replying([503, 201]).await;
    let retry = "retry = { delay = \"10ms\", jitter = 0 }";
    let plain = everything_to(&[("billing", &format!("{}/in", receiver.url()), retry)]);
    let sidecar = Sidecar::start(&format!("{plain}\n[log]\nformat = \"ecs\"\n")).await;
    sidecar.event(EVENT).await.accepted();
    let line = &sidecar.logged("delivered", 1).await[0];
    assert_timestamp(&line["@timestamp"]);
    let same = json!({
        "@timestamp": line["@timestamp"], "log.level": "info", "message": "a.b delivered to billing", "ecs.version": "8.11.0",
        "service.name": "sidehook", "event.dataset": "sidehook.deliveries", "sidehook.kind": "delivery",
        "sidehook.outcome": "delivered", "event.action": "delivered", "event.outcome": "success", "event.id": "e-1",
        "sidehook.event_type": "a.b", "sidehook.endpoint": "billing", "sidehook.endpoint_id": line["sidehook.endpoint_id"],
        "http.request.method": "POST", "url.full": format!("{}/in", receiver.url()), "sidehook.attempt": 2,
        "sidehook.max_attempts": 12, "http.response.status_code": 201, "event.duration": line["event.duration"],
        "http.request.body.bytes": receiver.so_far()[1].body.len(),
    });
    assert_eq!(*line, same);
    assert!(line["event.duration"].as_u64().is_some_and(|nanos| (10_000..10_000_000_000).contains(&nanos)), "{line}");
    let retrying = &sidecar.logged("retrying", 1).await[0];
    assert_eq!((&retrying["event.outcome"], &retrying["error.code"]), (&json!("failure"), &json!("status_503")));
    let all = lines(&sidecar.log_file());
    assert!(all.iter().all(|line| keys(line)[..4] == ["@timestamp", "log.level", "message", "ecs.version"]), "{all:#?}");
    assert_eq!(sidecar.edit(&plain).await["outcome"], "loaded");
    sidecar.event(EVENT.replace("e-1", "e-2")).await.accepted();
    assert_eq!(sidecar.logged("delivered", 2).await[1]["event_id"], "e-2");
}

#[test]
fn readmes_line_is_one_by_the_schema() {
    let readme = include_str!("../../README.md");
    let shown: Vec<&str> = readme.lines().filter(|line| line.starts_with("{\"timestamp\"")).collect();
    assert!(!shown.is_empty());
    shown.iter().for_each(|line| validate(&serde_json::from_str(line).unwrap()));
}

#[tokio::test]
async fn an_endpoint_id_is_made_of_its_name_or_is_the_one_given() {
    let receiver = Receiver::replying([200]).await;
    let config = everything_to(&[("billing", &receiver.url(), ""), ("other", &receiver.url(), "id = \"app_mine\"")]);
    let sidecar = Sidecar::start(&config).await;
    sidecar.event(EVENT).await.accepted();
    let lines = sidecar.logged("delivered", 2).await;
    let id = |name: &str| lines.iter().find(|line| line["endpoint"] == name).unwrap()["endpoint_id"].clone();
    let hash = <sha2::Sha256 as sha2::Digest>::digest("billing");
    let text = data_encoding::BASE32_NOPAD.encode(&hash).to_lowercase();
    assert_eq!(id("billing"), format!("app_{}", &text[..26]));
    assert_eq!(id("other"), "app_mine");
}

#[tokio::test]
async fn the_lines_of_a_failing_delivery_tell_its_whole_story() {
    let receiver = Receiver::replying([503, 500]).await.with_body("try later");
    let keys = "retry = { attempts = 2, delay = \"10ms\", jitter = 0 }";
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("dead_lettered", 1).await;
    let story: Vec<Value> = sidecar.log().into_iter().filter(|line| line["kind"] == "delivery").collect();
    assert_eq!(story.iter().map(|line| &line["outcome"]).collect::<Vec<_>>(), ["retrying", "failed", "dead_lettered"]);
    let told = |line: &Value| {
        [&line["attempt"], &line["max_attempts"], &line["http_status"], &line["error_code"], &line["response"]].map(Value::clone)
    };
    assert_eq!(told(&story[0]), [json!(1), json!(2), json!(503), json!("status_503"), json!("try later")]);
    assert_eq!(told(&story[1]), [json!(2), json!(2), json!(500), json!("status_500"), json!("try later")]);
    assert_eq!((&story[1]["class"], &story[2]["reason"]), (&json!("transient"), &json!("attempts")));
    assert!(story[..2].iter().all(|line| line["error"].as_str().is_some_and(|error| !error.is_empty())), "{story:#?}");
    let next: jiff::Timestamp = story[0]["next_attempt"].as_str().unwrap().parse().unwrap();
    let at: jiff::Timestamp = story[0]["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(next > at, "{}", story[0]);
    for line in &story {
        assert_timestamp(&line["timestamp"]);
        assert_eq!((&line["event_id"], &line["endpoint"]), (&json!("e-1"), &json!("hook")));
        assert!(line["level"] != "" && line["message"].as_str().is_some_and(|message| message.contains("hook")), "{line}");
        assert!(line.as_object().unwrap().values().all(|value| !value.is_null()), "{line}");
    }
    for outcome in ["retrying", "failed", "dead_lettered"] {
        assert_eq!(keys_of(&sidecar, outcome)[..9], [&HEAD[..], &DELIVERY[..4]].concat());
    }
}

#[tokio::test]
async fn the_process_and_its_config_are_in_the_log() {
    let sidecar = Sidecar::start("").await;
    let line = sidecar.logged("started", 1).await[0].clone();
    assert_eq!((&line["kind"], &line["address"]), (&json!("process"), &json!(sidecar.address().to_string())));
    assert_eq!(keys_of(&sidecar, "started")[..5], HEAD);
    let (_, folder) = sidecar.stop().await;
    let log = crate::support::json_lines(&folder.path().join("deliveries.jsonl"));
    assert_eq!(telling(&log, "draining").len(), 1, "{log:#?}");
    assert_eq!(log.last().map(|line| (line["outcome"].clone(), line["pending"].clone())), Some((json!("stopped"), json!(0))));
}

#[tokio::test]
async fn the_trace_id_of_the_ingest_request_is_in_the_lines() {
    let receiver = Receiver::replying([500, 200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "retry = { delay = \"10ms\", jitter = 0 }")])).await;
    let headers =
        [("content-type", "application/json"), ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    sidecar.request("POST", "/events", &headers, EVENT).await.accepted();
    for outcome in ["retrying", "delivered"] {
        let line = &sidecar.logged(outcome, 1).await[0];
        assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736", "{line}");
    }
    assert_eq!(keys_of(&sidecar, "delivered").last().map(String::as_str), Some("trace_id"));
    let wrong =
        [("content-type", "application/json"), ("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")];
    sidecar.request("POST", "/events", &wrong, EVENT.replace("e-1", "e-2")).await.accepted();
    assert!(sidecar.logged("delivered", 2).await[1].get("trace_id").is_none());
}

#[tokio::test]
async fn query_values_are_masked_in_urls() {
    let receiver = Receiver::replying([200]).await;
    let sidecar =
        Sidecar::start(&everything_to(&[("hook", &format!("{}/in?token=hunter2&b=swordfish", receiver.url()), "")])).await;
    sidecar.event(EVENT).await.accepted();
    let line = &sidecar.logged("delivered", 1).await[0];
    let url = line["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}/in?token=", receiver.url())) && url.contains("&b="), "{url}");
    assert!(!line.to_string().contains("hunter2") && !line.to_string().contains("swordfish"), "{line}");
    assert_eq!(receiver.so_far()[0].path, "/in?token=hunter2&b=swordfish");
}

#[tokio::test]
async fn what_is_not_shown_of_a_url_is_masked_in_an_answer_that_repeats_it() {
    for (url, echo, masked) in [
        (
            "{ file = \"url\" }",
            "Cannot POST /in/T000/XSECRETX, tok is Q&quot;S, XSECRETX is unknown",
            "Cannot POST ***, tok is ***, *** is unknown",
        ),
        ("\"{receiver}/in/T000/XSECRETX?tok=Q%22SEC\"", "no /in/T000 for %51%22SEC here", "no /in/T000 for *** here"),
    ] {
        let receiver = Receiver::replying([404]).await.with_body(echo.replace("Q&quot;S", "Q&quot;SEC"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("url"), format!("{}/in/T000/XSECRETX?tok=Q%22SEC", receiver.url())).unwrap();
        let endpoint = format!("[endpoints.hook]\nurl = {}\n", url.replace("{receiver}", &receiver.url()));
        let sidecar = Sidecar::start_in(folder, &(endpoint + "[[routes]]\nevents = [\"**\"]\nto = [\"hook\"]\n")).await;
        sidecar.event(EVENT).await.accepted();
        let line = &sidecar.logged("failed", 1).await[0];
        assert_eq!(line["response"], masked, "{line}");
    }
}

#[tokio::test]
async fn secrets_never_reach_the_log_or_the_state_not_even_through_an_answer() {
    let secrets = ["s3cret-header-value", "s3cret-password-value", "s3cret-signing-value"];
    let receiver = Receiver::replying([500]).await.with_body(format!("you said {}", secrets.join(" and ")));
    let keys = r#"headers = { X-Key = { file = "key" } }
auth = { type = "basic", username = "u", password = "s3cret-password-value" }
signature = { scheme = "github", secrets = ["s3cret-signing-value"] }
retry = { attempts = 2, delay = "10ms", jitter = 0 }"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "s3cret-header-value\n").unwrap();
    std::fs::write(folder.path().join("url"), format!("{}/s3cret-path-value?k=1", receiver.url())).unwrap();
    let config = everything_to(&[("hook", &receiver.url(), keys)]);
    let config = config.replace(&format!("url = \"{}\"", receiver.url()), "url = { file = \"url\" }");
    let sidecar = Sidecar::start_in(folder, &config).await;
    sidecar.event(EVENT).await.accepted();
    let lines = sidecar.logged("failed", 1).await;
    assert_eq!(lines[0]["response"], "you said *** and *** and ***");
    assert!(lines[0]["url"].as_str().is_some_and(|url| url.starts_with("http://127.0.0.1")), "{}", lines[0]);
    let request = &receiver.so_far()[0];
    assert_eq!((request.path.as_str(), request.header("x-key")), ("/s3cret-path-value?k=1", secrets[0]));
    let (_, folder) = sidecar.stop().await;
    for file in ["deliveries.jsonl", "state/dead_letters.jsonl"] {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(!text.contains("s3cret-"), "{file}: {text}");
    }
}

#[tokio::test]
async fn hostile_answers_stay_inside_their_line_and_long_values_are_cut() {
    let hostile = "a\r\n{\"kind\":\"process\"}\n\u{1b}[31m\u{2028}\u{202e}\0\u{7f}é";
    let receiver = Receiver::replying([404]).await.with_body([hostile.as_bytes(), b"\xff\xc3"].concat());
    let url = format!("{}/{}", receiver.url(), "long".repeat(3000));
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), ""), ("long", &url, "")])).await;
    sidecar.event(EVENT).await.accepted();
    let failed = sidecar.logged("failed", 2).await;
    let of = |name: &str| failed.iter().find(|line| line["endpoint"] == name).unwrap();
    assert_eq!(of("hook")["response"], format!("{hostile}\u{fffd}\u{fffd}"));
    assert!(of("hook").get("truncated").is_none());
    assert_eq!(of("long")["truncated"], true);
    assert!(lines(&sidecar.log_file()).iter().all(|line| line.len() < 7 * 1024));
}

#[tokio::test]
async fn a_log_that_was_renamed_or_deleted_is_begun_anew_and_no_line_is_lost() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    let event = |nth| format!(r#"{{"type": "a", "id": "e-{nth}", "data": 1}}"#);
    sidecar.event(event(1)).await.accepted();
    sidecar.logged("delivered", 1).await;
    let renamed = sidecar.dir().join("deliveries.jsonl.1");
    std::fs::rename(sidecar.log_file(), &renamed).unwrap();
    sidecar.event(event(2)).await.accepted();
    assert_eq!(sidecar.logged("delivered", 1).await[0]["event_id"], "e-2");
    assert_eq!(telling(&crate::support::json_lines(&renamed), "delivered").len(), 1);
    std::fs::remove_file(sidecar.log_file()).unwrap();
    sidecar.event(event(3)).await.accepted();
    assert_eq!(sidecar.logged("delivered", 1).await[0]["event_id"], "e-3");
}

#[tokio::test]
async fn a_line_that_a_crash_cut_is_closed_before_the_next() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("deliveries.jsonl"), "{\"timestamp\":\"20").unwrap();
    let sidecar = Sidecar::start_in(folder, "").await;
    let (_, folder) = sidecar.stop().await;
    let lines = lines(&folder.path().join("deliveries.jsonl"));
    assert_eq!(lines[0], "{\"timestamp\":\"20");
    assert!(lines.len() > 1 && lines[1..].iter().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines:?}");
}
