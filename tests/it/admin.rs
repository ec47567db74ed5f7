//! The admin listener: how the endpoints are, what was counted, the config in force, and what may be asked for.

use std::{collections::HashMap, path::Path};

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{Answer, LIMIT, Receiver, Sidecar, closed_port, everything_to, keys, run, telling};

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n\n";

fn config(endpoints: &[(&str, &str, &str)]) -> String {
    ADMIN.to_owned() + &everything_to(endpoints)
}

const EVENT: &str = r#"{"type": "a.b", "data": 1}"#;

async fn endpoint(sidecar: &Sidecar, name: &str) -> Value {
    let answer = sidecar.admin("GET", &format!("/endpoints/{name}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// Asks until `there` holds of the endpoint.
async fn once(sidecar: &Sidecar, name: &str, there: impl Fn(&Value) -> bool) -> Value {
    let look = async {
        loop {
            let endpoint = endpoint(sidecar, name).await;
            if there(&endpoint) {
                return endpoint;
            }
        }
    };
    timeout(LIMIT, look).await.expect("it comes to that")
}

/// Every sample of `/metrics` by its name and labels, as they are written.
async fn metrics(sidecar: &Sidecar) -> HashMap<String, f64> {
    let answer = sidecar.admin("GET", "/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    let samples = answer.text().lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap())).unwrap()).collect()
}

#[tokio::test]
async fn an_endpoint_shows_what_its_queue_holds() {
    let receiver = Receiver::hanging().await;
    let keys_of = "description = \"Shop\"\nid = \"shop-1\"\nconcurrency = 1";
    let sidecar = Sidecar::start(&config(&[("hook", &format!("{}/in?key=4711", receiver.url()), keys_of)])).await;
    for _ in 0..3 {
        sidecar.event(EVENT).await.accepted();
    }
    receiver.received(1).await;
    let hook = once(&sidecar, "hook", |hook| hook["waiting"] == 2 && hook["in_flight"] == 1).await;
    assert_eq!((&hook["name"], &hook["id"], &hook["description"]), (&json!("hook"), &json!("shop-1"), &json!("Shop")));
    assert_eq!(hook["url"], format!("{}/in?key=***", receiver.url()));
    assert_eq!((&hook["active"], &hook["state"], &hook["reason"]), (&json!(true), &json!("enabled"), &json!(null)));
    assert!(hook["bytes"].as_u64().unwrap() > 3 * 50, "{hook}");
    let age = |hook: &Value| hook["oldest_waiting_s"].as_f64().unwrap();
    assert!((0.0..LIMIT.as_secs_f64()).contains(&age(&hook)), "{hook}");
    once(&sidecar, "hook", |later| age(later) > age(&hook)).await;
    let answer = sidecar.admin("GET", "/endpoints/hook").await;
    let order =
        "name id description url active state reason waiting in_flight bytes oldest_waiting_s attempts deliveries last_error";
    assert_eq!(keys(answer.text()).join(" "), order);
    let all = sidecar.admin("GET", "/endpoints").await.json();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["name"]), (1, &json!("hook")));
}

#[tokio::test]
async fn what_is_disabled_by_hand_dead_letters_and_stays_so_over_a_restart_until_it_is_enabled() {
    let receiver = Receiver::replying([200]).await;
    let toml = config(&[("hook", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&toml).await;
    let disabled = sidecar.admin_with("POST", "/endpoints/hook/disable", &[], r#"{"reason": "they are moving"}"#).await.json();
    assert_eq!((&disabled["state"], &disabled["reason"]), (&json!("disabled"), &json!("they are moving")));
    assert_eq!(sidecar.logged("disabled", 1).await[0]["reason"], "they are moving");
    sidecar.post("/endpoints/hook/events", "application/json", EVENT).await.refused(409, "endpoint_disabled");
    sidecar.event(EVENT).await.accepted();
    assert_eq!(sidecar.logged("dead_lettered", 1).await[0]["reason"], "disabled");
    assert_eq!(metrics(&sidecar).await["sidehook_endpoint_enabled{endpoint=\"hook\"}"], 0.0);
    let (_, folder) = sidecar.stop().await;
    let sidecar = Sidecar::start_in(folder, &toml).await;
    assert_eq!(endpoint(&sidecar, "hook").await["reason"], "they are moving");
    let enabled = sidecar.admin("POST", "/endpoints/hook/enable").await.json();
    assert_eq!((&enabled["state"], &enabled["reason"]), (&json!("enabled"), &json!(null)));
    assert_eq!(sidecar.logged("enabled", 1).await[0]["reason"], "by hand");
    sidecar.event(EVENT).await.accepted();
    assert_eq!(receiver.received(1).await.len(), 1);
    let without_a_reason = sidecar.admin("POST", "/endpoints/hook/disable").await.json();
    assert_eq!(without_a_reason["reason"], "by hand");
}

#[tokio::test]
async fn a_reason_is_a_short_text() {
    let sidecar = Sidecar::start(&config(&[("hook", &closed_port(), "")])).await;
    let disable = async |body: &str| sidecar.admin_with("POST", "/endpoints/hook/disable", &[], body).await;
    for body in ["{", "[]", r#"{"reason": 1}"#, r#"{"reason": " "}"#, r#"{"why": "x"}"#] {
        disable(body).await.refused(422, "invalid_reason");
    }
    disable(&format!(r#"{{"reason": "{}"}}"#, "x".repeat(1024))).await.refused(413, "payload_too_large");
    assert_eq!(endpoint(&sidecar, "hook").await["state"], "enabled");
}

#[tokio::test]
async fn enabling_a_paused_endpoint_ends_its_pause() {
    let receiver = Receiver::replying([503, 200]).await.with_header("retry-after", "60");
    let sidecar = Sidecar::start(&config(&[("hook", &receiver.url(), "retry = { delay = \"1ms\" }")])).await;
    sidecar.event(EVENT).await.accepted();
    let paused = once(&sidecar, "hook", |hook| hook["state"] == "paused").await;
    assert!(paused["reason"].as_str().unwrap().contains("Retry-After"), "{paused}");
    assert_eq!(paused["last_error"], "the receiver answered 503");
    assert!(sidecar.logged("paused", 1).await[0]["reason"].as_str().unwrap().contains("Retry-After"));
    assert_eq!(sidecar.admin("POST", "/endpoints/hook/enable").await.json()["state"], "enabled");
    sidecar.logged("resumed", 1).await;
    // What waits for its own Retry-After still does; what comes now does not.
    sidecar.event(EVENT).await.accepted();
    assert_eq!(receiver.received(2).await.len(), 2);
}

#[tokio::test]
async fn a_test_tells_what_the_receiver_said_and_counts_for_nothing() {
    let receiver = Receiver::replying([200, 500]).await.with_body("so so");
    let keys_of = "active = false\ndisable_after = 1\nbreaker = { failures = 1 }";
    let sidecar = Sidecar::start(&config(&[("hook", &receiver.url(), keys_of), ("dead", &closed_port(), "")])).await;
    sidecar.admin("POST", "/endpoints/hook/disable").await;
    for (status, success) in [(200, true), (500, false)] {
        let said = sidecar.admin("POST", "/endpoints/hook/test").await.json();
        assert_eq!(
            (&said["endpoint"], &said["success"], &said["http_status"]),
            (&json!("hook"), &json!(success), &json!(status))
        );
        assert!(said["response"] == "so so" && said["duration_ms"].as_f64().unwrap() > 0.0, "{said}");
    }
    assert!(receiver.received(2).await[0].text().contains("\"event_type\":\"ping\""));
    let said = sidecar.admin("POST", "/endpoints/dead/test").await.json();
    assert_eq!((&said["success"], &said["error_code"]), (&json!(false), &json!("connect_refused")));
    for name in ["hook", "dead"] {
        let endpoint = endpoint(&sidecar, name).await;
        assert_eq!((&endpoint["attempts"], &endpoint["last_error"]), (&json!(0), &json!(null)), "{endpoint}");
    }
    assert!(!sidecar.log().iter().any(|line| line["kind"] == "delivery"));
}

#[tokio::test]
async fn the_config_is_shown_without_its_secrets_as_is_all_else() {
    let receiver = Receiver::replying([500]).await.with_body("s3cret-word");
    let keys_of =
        "auth = { type = \"basic\", username = \"u\", password = { file = \"word\" } }\nheaders = { X-Key = \"s3cret-key\" }";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("word"), "s3cret-word").unwrap();
    let toml = config(&[("hook", &format!("{}/?s3cret=s3cret-query", receiver.url()), keys_of)]);
    let toml = toml.replace("\n\n[endpoints", "\ntoken = \"s3cret-token\"\n\n[endpoints");
    let sidecar = Sidecar::start_in(folder, &toml).await;
    let ask = async |method, path| sidecar.admin_with(method, path, &[("authorization", "Bearer s3cret-token")], "").await;
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("retrying", 1).await;
    let shown = ask("GET", "/config").await.json();
    assert_eq!((&shown["last_reload"]["outcome"], &shown["last_reload"]["changed"]), (&json!("loaded"), &json!([])));
    let hook = &shown["config"]["endpoints"]["hook"];
    assert_eq!((&hook["auth"]["password"], &hook["auth"]["username"]), (&json!({"file": "word"}), &json!("u")));
    assert_eq!((&hook["headers"]["X-Key"], &shown["config"]["admin"]["token"]), (&json!("***"), &json!("***")));
    std::fs::write(sidecar.dir().join("sidehook.toml"), toml.clone() + "\nauth = \"s3cret-word\"\n").unwrap();
    for (method, path) in [
        ("POST", "/reload"),
        ("GET", "/config"),
        ("GET", "/endpoints"),
        ("GET", "/metrics"),
        ("POST", "/endpoints/hook/test"),
        ("GET", "/s3cret"),
    ] {
        let answer = ask(method, path).await;
        let text = answer.text().replace("s3cret=***", "");
        assert!(!text.contains("s3cret"), "{method} {path}: {text}");
    }
    assert!(!sidecar.log().iter().any(|line| line.to_string().contains("s3cret-")));
}

#[tokio::test]
async fn a_reload_is_answered_with_the_difference_or_the_diagnostics() {
    let receiver = Receiver::replying([200]).await;
    let toml = config(&[("hook", &receiver.url(), ""), ("old", &receiver.url(), "")]);
    let sidecar = Sidecar::start(&toml).await;
    let write = |toml: &str| {
        let file = sidecar.dir().join("sidehook.toml");
        let before = std::fs::read_to_string(&file).unwrap();
        let tables = &before[before.find("\n[listen]").unwrap()..];
        std::fs::write(file, toml.to_owned() + tables).unwrap();
    };
    let same = sidecar.admin("POST", "/reload").await;
    assert_eq!((same.status, same.json()), (200, json!({"changed": []})));
    write(&config(&[("hook", &receiver.url(), "timeout = \"5s\""), ("new", &receiver.url(), "")]));
    let loaded = sidecar.admin("POST", "/reload").await;
    let changed = json!(["endpoints.hook (timeout)", "endpoints.new added", "endpoints.old removed", "routes"]);
    assert_eq!((loaded.status, &loaded.json()["changed"]), (200, &changed));
    assert_eq!(sidecar.logged("loaded", 1).await[0]["changed"], changed);
    let shown = sidecar.admin("GET", "/config").await.json();
    assert_eq!((&shown["last_reload"]["changed"], &shown["config"]["endpoints"]["hook"]["timeout"]), (&changed, &json!("5s")));

    write("[endpoints.hook]\nurl = \"http://127.0.0.1/\"\ntimeuot = 5\n\n[[routes]]\nto = [\"hok\"]\n");
    for _ in 0..2 {
        let answer = sidecar.admin("POST", "/reload").await;
        let detail = answer.refused(422, "config_rejected");
        assert!(detail.contains("did you mean `timeout`?"), "{detail}");
        let diagnostics = answer.json()["diagnostics"].clone();
        let codes: Vec<_> = diagnostics.as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["unknown-key", "missing-key", "unknown-endpoint"]);
        assert_eq!((&diagnostics[0]["line"], &diagnostics[0]["column"]), (&json!(3), &json!(1)));
    }
    let shown = sidecar.admin("GET", "/config").await.json();
    assert_eq!(
        (&shown["last_reload"]["outcome"], &shown["last_reload"]["diagnostics"][0]["code"]),
        (&json!("rejected"), &json!("unknown-key"))
    );
    assert_eq!(shown["config"]["endpoints"]["hook"]["timeout"], "5s", "the running one stays");
    let told = metrics(&sidecar).await;
    let name = "sidehook_config_last_reload_success";
    assert_eq!(told[&format!("{name}ful")], 0.0);
    assert!(told[&format!("{name}_timestamp_seconds")] > 1.7e9, "{told:?}");
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("delivered", 2).await;
}

#[tokio::test]
async fn every_series_of_an_endpoint_is_there_from_the_start_and_gone_with_it() {
    let sidecar = Sidecar::start(&config(&[("one", &closed_port(), ""), ("two", &closed_port(), "")])).await;
    let told = metrics(&sidecar).await;
    for name in ["one", "two"] {
        let of = |series: &str| told.get(&series.replace('N', name)).copied();
        for result in ["delivered", "permanent", "transient"] {
            assert_eq!(of(&format!("sidehook_attempts_total{{endpoint=\"N\",result=\"{result}\"}}")), Some(0.0));
        }
        for outcome in ["delivered", "dead_lettered", "dropped", "filtered", "pending", "skipped"] {
            assert_eq!(of(&format!("sidehook_deliveries_total{{endpoint=\"N\",outcome=\"{outcome}\"}}")), Some(0.0));
        }
        for gauge in ["queue_events", "queue_bytes", "queue_oldest_seconds"] {
            assert_eq!(of(&format!("sidehook_{gauge}{{endpoint=\"N\"}}")), Some(0.0), "{gauge}");
        }
        assert_eq!(of("sidehook_endpoint_enabled{endpoint=\"N\"}"), Some(1.0));
        assert_eq!(of("sidehook_attempt_duration_seconds_bucket{endpoint=\"N\",le=\"+Inf\"}"), Some(0.0));
        assert_eq!(of("sidehook_attempt_duration_seconds_count{endpoint=\"N\"}"), Some(0.0));
    }
    for (series, value) in [
        ("sidehook_events_received_total", 0.0),
        ("sidehook_events_rejected_total{code=\"queue_full\"}", 0.0),
        ("sidehook_events_duplicate_total", 0.0),
        ("sidehook_log_lines_lost_total", 0.0),
        ("sidehook_config_last_reload_successful", 1.0),
        (concat!("sidehook_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(told.get(series), Some(&value), "{series}");
    }
    for series in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"]
    {
        assert!(told.get(series).is_some_and(|value| *value >= 0.0), "{series} in {told:?}");
    }
    sidecar.edit(&config(&[("one", &closed_port(), "")])).await;
    let told = metrics(&sidecar).await;
    assert!(told.keys().all(|series| !series.contains("\"two\"")) && told.keys().any(|series| series.contains("\"one\"")));
}

#[tokio::test]
async fn what_is_counted_is_what_the_log_says() {
    let well = Receiver::replying([200]).await;
    let flaky = Receiver::replying([503, 400, 200, 200]).await;
    let batched = Receiver::replying([200]).await;
    let toml = ADMIN.to_owned()
        + &[
            ("well", well.url(), ""),
            ("flaky", flaky.url(), "retry = { delay = \"1ms\" }\norder = \"fifo\""),
            ("batched", batched.url(), "batch = { max_events = 4, max_wait = \"10s\" }"),
            ("asleep", well.url(), "active = false"),
            ("picky", well.url(), ""),
        ]
        .map(|(name, url, keys)| format!("[endpoints.{name}]\nurl = \"{url}\"\n{keys}\n\n"))
        .concat()
        + "[[routes]]\nevents = [\"a.**\"]\nto = [\"picky\"]\ntransform = 'if .data == 2 then empty elif .data == 3 then error(1) else .data end'\n"
        + "[[routes]]\nevents = [\"**\"]\nto = [\"well\", \"flaky\", \"batched\", \"asleep\"]\n";
    let sidecar = Sidecar::start(&toml).await;
    for data in 1..=4 {
        sidecar.event(format!(r#"{{"type": "a.b", "id": "{data}", "data": {data}}}"#)).await.accepted();
    }
    sidecar.event(r#"{"type": "a.b", "id": "1", "data": 1}"#).await.accepted();
    sidecar.event(r#"{"type": "a.b""#).await.refused(400, "invalid_json");
    sidecar
        .event(r#"[{"type": "a.b", "id": "1", "data": 1}, {"type": "other", "id": "2", "data": 1}]"#)
        .await
        .refused(422, "invalid_event");
    let ends = ["delivered", "dead_lettered", "dropped", "filtered", "pending", "skipped"];
    let is_end = |line: &&Value| line["kind"] == "delivery" && ends.contains(&line["outcome"].as_str().unwrap());
    let lines = sidecar.wait_for_log(|lines| lines.iter().filter(is_end).count() == 5 * 4).await;
    let told = metrics(&sidecar).await;
    let count = |endpoint: &str, outcomes: &[&str]| {
        let is = |line: &&Value| line["endpoint"] == endpoint && outcomes.iter().any(|outcome| line["outcome"] == *outcome);
        lines.iter().filter(is).count() as f64
    };
    for name in ["well", "flaky", "batched", "asleep", "picky"] {
        for outcome in ends {
            let series = format!("sidehook_deliveries_total{{endpoint=\"{name}\",outcome=\"{outcome}\"}}");
            assert_eq!(told[&series], count(name, &[outcome]), "{series}");
        }
        let shown = endpoint(&sidecar, name).await["deliveries"].clone();
        assert!(ends.iter().all(|outcome| shown[outcome].as_f64() == Some(count(name, &[outcome]))), "{name}: {shown}");
    }
    let attempts =
        |name: &str, result: &str| told[&format!("sidehook_attempts_total{{endpoint=\"{name}\",result=\"{result}\"}}")];
    let results = |name: &str| ["delivered", "permanent", "transient"].map(|result| attempts(name, result));
    assert_eq!([results("well"), results("flaky"), results("asleep")], [[4.0, 0.0, 0.0], [3.0, 1.0, 1.0], [0.0; 3]]);
    assert_eq!(results("batched"), [1.0, 0.0, 0.0], "a batch of four is one request");
    assert_eq!(
        (results("picky"), count("picky", &["filtered"]), count("picky", &["dead_lettered"])),
        ([2.0, 0.0, 0.0], 1.0, 1.0)
    );
    for name in ["well", "flaky", "batched", "picky"] {
        let of = |part: &str| told[&format!("sidehook_attempt_duration_seconds_{part}{{endpoint=\"{name}\"}}")];
        assert_eq!(of("count"), results(name).iter().sum::<f64>(), "{name}");
        assert!(of("sum") > 0.0);
        assert_eq!(endpoint(&sidecar, name).await["attempts"].as_f64(), Some(of("count")));
    }
    assert_eq!((told["sidehook_events_received_total"], told["sidehook_events_duplicate_total"]), (5.0, 1.0));
    assert_eq!(telling(&lines, "duplicate").len(), 1);
    let rejected = |code: &str| told[&format!("sidehook_events_rejected_total{{code=\"{code}\"}}")];
    assert_eq!((rejected("invalid_json"), rejected("invalid_event")), (1.0, 2.0), "a refused batch counts with all its events");
}

#[tokio::test]
async fn what_is_refused_for_want_of_its_line_counts_as_refused_alone() {
    let receiver = Receiver::replying([200]).await;
    let count = async |log: &str, status: u16| {
        let log = format!("[log]\naccepted = true\ndeliveries = \"{log}\"\n\n");
        let sidecar = Sidecar::start(&(log + &config(&[("hook", &receiver.url(), "")]))).await;
        let event = r#"{"type": "a.b", "id": "1", "data": 1}"#;
        assert_eq!(sidecar.event(format!("[{event}, {event}]")).await.status, status);
        let told = metrics(&sidecar).await;
        let series = ["received_total", "duplicate_total", "rejected_total{code=\"storage_failed\"}"];
        series.map(|series| told[&format!("sidehook_events_{series}")])
    };
    assert_eq!(count("deliveries.jsonl", 202).await, [2.0, 1.0, 0.0]);
    assert_eq!(count("/dev/full", 503).await, [0.0, 0.0, 2.0]);
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_not_taken_for_the_next_request() {
    let sidecar = Sidecar::start(&config(&[("hook", &closed_port(), "")])).await;
    let smuggled = "POST /endpoints/hook/disable HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for path in ["/reload", "/endpoints/hook/enable", "/endpoints/hook/test"] {
        let answer = sidecar.admin_with("POST", path, &[], smuggled).await;
        assert_eq!((answer.status, endpoint(&sidecar, "hook").await["state"].clone()), (200, json!("enabled")), "{path}");
    }
}

#[tokio::test]
async fn it_is_guarded_as_ingest_is_but_for_its_health() {
    let toml = config(&[("hook", &closed_port(), "")]).replace("\n\n[endpoints", "\ntoken = \"s3cret-token\"\n\n[endpoints");
    let sidecar = Sidecar::start(&toml).await;
    let ask = async |path: &str, headers: &[(&str, &str)]| sidecar.admin_with("GET", path, headers, "").await;
    let token = ("authorization", "Bearer s3cret-token");
    assert_eq!(ask("/endpoints", &[token]).await.status, 200);
    let unauthorized = ask("/endpoints", &[]).await;
    unauthorized.refused(401, "unauthorized");
    assert_eq!(unauthorized.header("www-authenticate"), Some("Bearer"));
    ask("/metrics", &[("authorization", "Bearer s3cret")]).await.refused(401, "unauthorized");
    ask("/nowhere", &[]).await.refused(401, "unauthorized");
    ask("/config", &[token, ("host", "evil.example")]).await.refused(403, "forbidden_host");
    ask("/config", &[token, ("origin", "http://evil.example")]).await.refused(403, "forbidden_origin");
    ask("/config", &[token, ("sec-fetch-site", "cross-site")]).await.refused(403, "forbidden_origin");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(path, &[("host", "evil.example")]).await.status, 200, "{path}");
    }
    assert!(unauthorized.headers.iter().all(|(name, _)| !name.starts_with("access-control-")));
}

#[tokio::test]
async fn what_is_not_there_is_404_and_a_wrong_method_405() {
    let sidecar = Sidecar::start(&config(&[("hook", &closed_port(), "")])).await;
    for (path, allowed) in [
        ("/endpoints", "GET, HEAD"),
        ("/endpoints/hook", "GET, HEAD"),
        ("/config", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/reload", "POST"),
        ("/endpoints/hook/test", "POST"),
        ("/endpoints/hook/enable", "POST"),
        ("/endpoints/hook/disable", "POST"),
    ] {
        let wrong = sidecar.admin(if allowed == "POST" { "GET" } else { "POST" }, path).await;
        wrong.refused(405, "method_not_allowed");
        assert_eq!(wrong.header("allow"), Some(allowed), "{path}");
    }
    for path in [
        "/",
        "/endpoints/",
        "/endpoints/nobody",
        "/endpoints/hook/",
        "/endpoints/hook/test/",
        "/events",
        "/endpoints/hook/events",
    ] {
        sidecar.admin("GET", path).await.refused(404, "not_found");
    }
    let events = async |path| sidecar.request("GET", path, &[], "").await;
    for path in ["/endpoints", "/metrics", "/config", "/endpoints/hook"] {
        events(path).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_reload_opens_moves_and_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    let toml = everything_to(&[("hook", &closed_port(), "")]);
    let sidecar = Sidecar::start_in(folder, &toml).await;
    let with = |path: &str| format!("[admin]\naddress = \"unix:{path}\"\n\n{toml}");
    let ready = async |path: &str| {
        run(sidecar.dir(), &["health", "--config", "sidehook.toml", "--to", &format!("unix:{path}")]).await.code
    };
    assert_eq!(sidecar.edit(&with("one.sock")).await["changed"], json!(["admin added"]));
    assert_eq!(ready("one.sock").await, 0);
    assert_eq!(crate::support::mode(&sidecar.dir().join("one.sock")), 0o660);
    assert_eq!(sidecar.edit(&with("two.sock")).await["changed"], json!(["admin (address)"]));
    assert_eq!((ready("two.sock").await, ready("one.sock").await), (0, 1));
    assert_eq!(sidecar.edit(&with("nowhere/three.sock")).await["outcome"], "rejected");
    assert_eq!(ready("two.sock").await, 0);
    assert_eq!(sidecar.edit(&toml).await["changed"], json!(["admin removed"]));
    assert_eq!(ready("two.sock").await, 1);
}

#[tokio::test]
async fn test_with_disable_on_failure_has_the_running_sidecar_do_it() {
    let receiver = Receiver::replying([200, 500]).await.with_body("so so");
    let toml = format!(
        "[admin]\naddress = \"unix:admin.sock\"\ntoken = \"s3cret-token\"\n\n{}",
        everything_to(&[("hook", &receiver.url(), "")])
    );
    let sidecar = Sidecar::start(&toml).await;
    let test = async |flags: &[&str]| run(sidecar.dir(), &[&["test", "hook", "--disable-on-failure"], flags].concat()).await;
    let said = test(&[]).await;
    assert!(said.code == 0 && said.stdout.contains("answered 200 in "), "{}{}", said.stdout, said.stderr);
    let said = test(&["--json"]).await;
    let line: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &line["http_status"], &line["disabled"]), (1, &json!(500), &json!(true)));
    assert_eq!(sidecar.logged("disabled", 1).await[0]["reason"], "a test failed: the receiver answered 500");
    let said = test(&[]).await;
    assert!(said.code == 1 && said.stdout.contains("endpoint hook is disabled"), "{}", said.stdout);
    assert_eq!(receiver.received(3).await.len(), 3);
    let nobody = run(sidecar.dir(), &["test", "nobody", "--disable-on-failure"]).await;
    assert!(nobody.code == 1 && nobody.stderr.contains("404 not_found"), "{}", nobody.stderr);
    let slash = run(sidecar.dir(), &["test", "ho/ok", "--disable-on-failure"]).await;
    assert_eq!(slash.code, 2, "{}", slash.stderr);
}

#[tokio::test]
async fn it_can_be_asked_for_its_health_while_it_drains() {
    let receiver = Receiver::hanging().await;
    let sidecar = Sidecar::start(&config(&[("hook", &receiver.url(), ""), ("idle", &receiver.url(), "active = false")])).await;
    sidecar.event(EVENT).await.accepted();
    receiver.received(1).await;
    sidecar.admin("POST", "/endpoints/idle/disable").await;
    assert_eq!(sidecar.admin("GET", "/readyz").await.status, 200);
    sidecar.trigger().drain();
    let draining = async {
        while sidecar.admin("GET", "/readyz").await.status != 503 {}
        (sidecar.admin("GET", "/healthz").await.status, sidecar.admin("POST", "/reload").await)
    };
    let (alive, reload): (u16, Answer) = timeout(LIMIT, draining).await.expect("it drains");
    assert_eq!(alive, 200);
    reload.refused(503, "draining");
    assert_eq!(endpoint(&sidecar, "hook").await["in_flight"], 1);
    // Nothing is left for this one to do: nobody is there who could enable it.
    let enabled = async { while sidecar.admin("POST", "/endpoints/idle/disable").await.status == 200 {} };
    timeout(LIMIT, enabled).await.expect("its lane ends");
    sidecar.admin("POST", "/endpoints/idle/enable").await.refused(503, "draining");
    assert_eq!(endpoint(&sidecar, "idle").await["state"], "disabled");
    assert!(Path::new(&sidecar.dir().join("state")).is_dir());
    sidecar.trigger().now();
    sidecar.stopped().await;
}
