//! Two contracts from the field, as `config.example.toml` writes them down: what their receivers get, over all its attempts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Receiver, Request, Sidecar, signature, telling};

/// The example's endpoint `name`, switched on, for `receiver`, with these texts replaced; every event goes to it.
fn contract(name: &str, receiver: &Receiver, changes: &[(&str, &str)]) -> String {
    let from = format!("#: [endpoints.{name}]\n");
    let table = EXAMPLE.split_once(&from).and_then(|(_, rest)| rest.split_once("\n\n")).expect("the endpoint").0;
    let table: String = table.lines().map(|line| format!("{}\n", line.trim_start_matches("#: "))).collect();
    let path = table.split_once(".example.com/").and_then(|(_, rest)| rest.split_once('"')).expect("a URL").0.to_owned();
    let url = format!("https://{name}.example.com/{path}");
    let mut changes = changes.to_vec();
    let ours = format!("{}/{path}", receiver.url());
    changes.push((&url, &ours));
    let change = |table: String, (from, to): &(&str, &str)| {
        assert!(table.contains(from), "no {from} in\n{table}");
        table.replace(from, to)
    };
    let table = changes.iter().fold(table, change);
    format!("[endpoints.{name}]\n{table}\n[[routes]]\nevents = [\"**\"]\nto = [\"{name}\"]\n")
}

const EXAMPLE: &str = include_str!("../../config.example.toml");

const PASSWORD: (&str, &str) = ("{ env = \"VIDEOS_PASSWORD\" }", "\"s3cret\"");

/// The portal's five seconds, for tests that wait for them.
const SOON: (&str, &str) = ("delay = \"5s\"", "delay = \"150ms\"");

fn video(n: usize) -> String {
    format!(
        "{{\"type\": \"video.published\", \"id\": \"video-{n}\", \"time\": \"2026-11-22T19:21:53.250Z\", \
         \"data\": {{\"video_id\": \"v-{n}\",  \"seconds\": 93.50}}}}"
    )
}

/// From a line's own time to its `next_attempt`.
fn announced(line: &Value) -> Duration {
    let time = |key: &str| line[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    time("timestamp").duration_until(time("next_attempt")).try_into().unwrap()
}

#[tokio::test]
async fn the_video_portal_is_spoken_to_as_it_wants_to_be() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&contract("videos", &receiver, &[PASSWORD])).await;
    sidecar.event(video(1)).await.accepted();
    let request = receiver.received(1).await.remove(0);
    assert_eq!((&*request.method, &*request.path), ("POST", "/webhooks/app"));
    // RFC 7617 of `app` and `s3cret`.
    assert_eq!((request.header("authorization"), request.header("x-portal")), ("Basic YXBwOnMzY3JldA==", "main"));
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(
        request.text(),
        "{\"event_time\":\"2026-11-22T19:21:53.250Z\",\"event_type\":\"video.published\",\"current_context\":null,\
         \"data\":{\"video_id\": \"v-1\",  \"seconds\": 93.50}}"
    );
}

#[tokio::test]
async fn the_video_portal_is_tried_again_in_five_seconds() {
    let receiver = Receiver::replying([500]).await;
    let sidecar = Sidecar::start(&contract("videos", &receiver, &[PASSWORD])).await;
    for n in 1..=5 {
        sidecar.event(video(n)).await.accepted();
    }
    for line in sidecar.logged("retrying", 5).await {
        let wait = announced(&line);
        assert!((4900..=5000).contains(&wait.as_millis()), "{wait:?}: {line}");
        assert_eq!((&line["attempt"], &line["max_attempts"]), (&json!(1), &json!(4)));
    }
}

#[tokio::test]
async fn the_video_portal_gets_three_retries_equally_far_apart_and_then_a_dead_letter() {
    let receiver = Receiver::replying([500, 502, 503, 504, 200]).await;
    let sidecar = Sidecar::start(&contract("videos", &receiver, &[PASSWORD, SOON])).await;
    sidecar.event(video(1)).await.accepted();
    let log = sidecar.wait_for_log(|lines| !telling(lines, "dead_lettered").is_empty()).await;
    let requests = receiver.so_far();
    assert_eq!(requests.len(), 4);
    for pair in requests.windows(2) {
        assert!(pair[1].at - pair[0].at >= Duration::from_millis(150), "{requests:#?}");
        assert_eq!((&pair[0].body, pair[0].header("webhook-id")), (&pair[1].body, pair[1].header("webhook-id")));
    }
    let told: Vec<_> =
        log.iter().filter(|line| line["kind"] == "delivery").map(|line| (&line["outcome"], &line["attempt"])).collect();
    let (retrying, failed, dead_lettered) = (&json!("retrying"), &json!("failed"), &json!("dead_lettered"));
    let wanted =
        [(retrying, &json!(1)), (retrying, &json!(2)), (retrying, &json!(3)), (failed, &json!(4)), (dead_lettered, &json!(4))];
    assert_eq!(told, wanted);
    for line in telling(&log, "retrying") {
        assert!((50..=150).contains(&announced(&line).as_millis()), "{line}");
    }
    let letter = &sidecar.dead_letters()[0];
    assert_eq!(
        (&letter["reason"], &letter["error_code"], &letter["attempts"]),
        (&json!("attempts"), &json!("status_504"), &json!(4))
    );
    assert_eq!(letter["event"]["data"]["video_id"], "v-1");
    // What is transient disables nobody.
    sidecar.event(video(2)).await.accepted();
    assert_eq!(sidecar.logged("delivered", 1).await[0]["event_id"], "video-2");
}

#[tokio::test]
async fn a_permanent_failure_disables_the_video_portal_until_a_setting_changes() {
    let receiver = Receiver::replying([404]).await;
    let config = contract("videos", &receiver, &[PASSWORD, SOON]);
    let sidecar = Sidecar::start(&config).await;
    sidecar.event(video(1)).await.accepted();
    let disabled = sidecar.logged("disabled", 1).await.remove(0);
    assert_eq!((&disabled["kind"], &disabled["endpoint"]), (&json!("endpoint"), &json!("videos")));
    assert!(disabled["reason"].as_str().unwrap().contains("404"), "{disabled}");
    sidecar.event(video(2)).await.accepted();
    sidecar.logged("dead_lettered", 2).await;

    let (_, folder) = sidecar.stop().await;
    let sidecar = Sidecar::start_in(folder, &config).await;
    sidecar.event(video(3)).await.accepted();
    sidecar.logged("dead_lettered", 3).await;
    assert_eq!((receiver.so_far().len(), sidecar.logged("disabled", 1).await.len()), (1, 1));
    let given_up: Vec<_> =
        sidecar.dead_letters().iter().map(|letter| (letter["reason"].clone(), letter["attempts"].clone())).collect();
    assert_eq!(
        given_up,
        [("permanent", 1), ("disabled", 0), ("disabled", 0)].map(|(reason, attempts)| (json!(reason), json!(attempts)))
    );

    receiver.now_replying([200]);
    sidecar.edit(&config.replace("X-Portal = \"main\"", "X-Portal = \"side\"")).await;
    assert_eq!(sidecar.logged("enabled", 1).await[0]["endpoint"], "videos");
    sidecar.event(video(4)).await.accepted();
    assert_eq!(sidecar.logged("delivered", 1).await[0]["event_id"], "video-4");
    assert_eq!(receiver.so_far()[1].header("x-portal"), "side");
}

/// A sidecar that knows the support-session tool, which stands behind TLS.
async fn support(receiver: &Receiver) -> Sidecar {
    let secret = format!("signature = {{ scheme = \"x-signature\", secrets = [\"{SECRET}\"] }}\ntls = {{ ca = \"ca.pem\" }}");
    let changes = [("signature = { scheme = \"x-signature\", secrets = [{ env = \"SUPPORT_SECRET\" }] }", &*secret)];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), receiver.certificate()).unwrap();
    Sidecar::start_in(folder, &contract("support", receiver, &changes)).await
}

const SECRET: &str = "s3ss10n";

fn session(n: usize) -> String {
    format!(
        "{{\"type\": \"session.ended\", \"id\": \"s-{n}\", \"time\": \"2026-11-22T19:21:5{n}Z\", \"data\": {{\"n\": {n}.0, \"note\": \"Grüße\"}}}}"
    )
}

/// What `session` is in the body.
fn element(n: usize) -> String {
    format!(
        "{{\"event_time\":\"2026-11-22T19:21:5{n}Z\",\"event_type\":\"session.ended\",\"current_context\":null,\
         \"data\":{{\"n\": {n}.0, \"note\": \"Grüße\"}}}}"
    )
}

fn elements(numbers: impl IntoIterator<Item = usize>) -> String {
    format!("[{}]", numbers.into_iter().map(element).collect::<Vec<_>>().join(","))
}

#[track_caller]
fn assert_is_signed_text(request: &Request) {
    assert_eq!((&*request.method, &*request.path, request.header("content-type")), ("POST", "/hook", "text/plain"));
    assert_eq!(request.header("x-signature-algo"), "sha256");
    let mac = signature::sha256(SECRET.as_bytes(), &[&request.body]);
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(request.header("x-signature"), hex);
}

#[tokio::test]
async fn the_support_tool_gets_one_event_and_several_as_a_signed_array_over_tls() {
    let receiver = Receiver::tls().await;
    let sidecar = support(&receiver).await;
    sidecar.event(session(0)).await.accepted();
    assert_eq!(receiver.received(1).await[0].text(), elements([0]));
    let posted: Vec<String> = (1..6).map(session).collect();
    assert_eq!(sidecar.event(format!("[{}]", posted.join(","))).await.status, 202);
    let delivered = sidecar.logged("delivered", 6).await;
    let requests = receiver.so_far();
    assert_eq!(requests.len(), 2, "several events are one request");
    assert_eq!(requests[1].text(), elements(1..6));
    requests.iter().for_each(assert_is_signed_text);
    let ids = requests.iter().map(|request| request.header("webhook-id"));
    let mut of_lines: Vec<_> = delivered.iter().map(|line| line["batch_id"].as_str().unwrap()).collect();
    of_lines.dedup();
    assert_eq!(of_lines, ids.collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_support_tool_refuses_is_halved_down_to_the_bad_event() {
    let receiver = Receiver::tls().await.refusing(422, "\"n\": 5.0");
    let sidecar = support(&receiver).await;
    let posted: Vec<String> = (0..8).map(session).collect();
    assert_eq!(sidecar.event(format!("[{}]", posted.join(","))).await.status, 202);
    sidecar.logged("delivered", 7).await;
    sidecar.logged("dead_lettered", 1).await;
    let requests = receiver.so_far();
    let mut bodies: Vec<_> = requests.iter().map(|request| request.text().to_owned()).collect();
    let mut wanted = [vec![0, 1, 2, 3, 4, 5, 6, 7], vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![4, 5], vec![6, 7], vec![4], vec![5]]
        .map(elements);
    bodies.sort();
    wanted.sort();
    assert_eq!(bodies, wanted);
    requests.iter().for_each(assert_is_signed_text);
    let letters = sidecar.dead_letters();
    let given_up: Vec<_> =
        letters.iter().map(|letter| (&letter["event"]["id"], &letter["reason"], &letter["error_code"])).collect();
    assert_eq!(given_up, [(&json!("s-5"), &json!("permanent"), &json!("status_422"))]);
    assert!(sidecar.log().iter().all(|line| line["kind"] != "endpoint"), "one bad event disables nobody");
}
