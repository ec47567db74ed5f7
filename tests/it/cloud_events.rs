//! CloudEvents 1.0, in and out.

use serde_json::{Value, json};

use crate::support::{Receiver, Sidecar, closed_port, everything_to, keys};

const STRUCTURED: &str = r#"{"specversion":"1.0","type":"com.example.sold","source":"/shop/1","id":"A-1","time":"2018-04-05T17:31:00+02:00","subject":"Straße \"7\" 100%","comexampleext":"ä b","number":42,"flag":false,"dataschema":"https://example.com/s.json","datacontenttype":"application/json","data": {"n" : 1.0, "big": 12345678901234567890}}"#;

const CLOUD: &str = "application/cloudevents+json";

#[tokio::test]
async fn an_event_passes_through_in_the_json_format_with_all_it_says_of_itself() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "envelope = \"cloudevents\"")])).await;
    let answer = sidecar.post("/events", "application/cloudevents+json; charset=utf-8", STRUCTURED).await;
    assert_eq!((answer.status, &answer.json()["id"]), (202, &json!("A-1")));
    let request = receiver.received(1).await.remove(0);
    assert_eq!((request.header("content-type"), request.header("webhook-id")), (CLOUD, "A-1"));
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    assert_eq!(
        keys(&body),
        [
            "specversion",
            "id",
            "source",
            "type",
            "subject",
            "time",
            "datacontenttype",
            "dataschema",
            "comexampleext",
            "number",
            "flag",
            "data"
        ]
    );
    assert!(body.ends_with(r#","data":{"n" : 1.0, "big": 12345678901234567890}}"#), "{body}");
    let (sent, came): (Value, Value) = (serde_json::from_str(STRUCTURED).unwrap(), serde_json::from_str(&body).unwrap());
    assert_eq!(sent, came);
}

#[tokio::test]
async fn binary_mode_in_and_out_percent_encodes_what_headers_cannot_hold() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "envelope = \"cloudevents-binary\"")])).await;
    sidecar.post("/events", CLOUD, STRUCTURED).await.accepted();
    let first = receiver.received(1).await.remove(0);
    assert_eq!(first.body, r#"{"n" : 1.0, "big": 12345678901234567890}"#);
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "A-1"),
        ("ce-source", "/shop/1"),
        ("ce-type", "com.example.sold"),
        ("ce-subject", "Stra%C3%9Fe%20%227%22%20100%25"),
        ("ce-time", "2018-04-05T17:31:00+02:00"),
        ("ce-dataschema", "https://example.com/s.json"),
        ("ce-comexampleext", "%C3%A4%20b"),
        ("ce-number", "42"),
        ("ce-flag", "false"),
    ] {
        assert_eq!(first.header(name), value, "{name}");
    }
    // As it came out it may come in: under another id it leaves as it came.
    let headers: Vec<(&str, &str)> = first
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), if name == "ce-id" { "A-2" } else { value.as_str() }))
        .filter(|(name, _)| name.starts_with("ce-") || *name == "content-type")
        .collect();
    assert_eq!(sidecar.request("POST", "/events", &headers, &first.body).await.status, 202);
    let second = receiver.received(2).await.remove(1);
    for (name, value) in &headers {
        assert_eq!(second.header(name), *value, "{name}");
    }
    assert_eq!(second.body, first.body);
}

#[tokio::test]
async fn a_batch_is_accepted_whole_or_refused_whole() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "envelope = \"none\"")])).await;
    let event = |id: &str, more: &str| format!(r#"{{"specversion":"1.0","type":"t","source":"/s","id":"{id}"{more}}}"#);
    let batch = "application/cloudevents-batch+json";
    let answer = sidecar.post("/events", batch, format!("[{},{}]", event("a", r#","data":[1]"#), event("b", ""))).await;
    let events = &answer.json()["events"];
    assert_eq!((answer.status, &events[0]["id"], &events[1]["id"]), (202, &json!("a"), &json!("b")));
    let mut bodies: Vec<String> =
        receiver.received(2).await.iter().map(|request| String::from_utf8(request.body.to_vec()).unwrap()).collect();
    bodies.sort();
    assert_eq!(bodies, ["[1]", "null"]);
    let bad = sidecar.post("/events", batch, format!("[{},{}]", event("c", ""), event("", ""))).await;
    bad.refused(422, "invalid_event");
    assert!(bad.json()["detail"].as_str().unwrap().starts_with("event 1: `id`"));
    sidecar.post("/events", batch, "[]").await.refused(422, "invalid_event");
    sidecar.post("/events", batch, event("c", "")).await.refused(422, "invalid_event");
    sidecar.post("/events", batch, "{").await.refused(400, "invalid_json");
    let no_json = event("d", r#","data_base64":"AA==""#);
    let refused = sidecar.post("/events", batch, format!("[{},{no_json}]", event("c", ""))).await;
    assert!(refused.refused(415, "unsupported_media_type").starts_with("event 1: data that is not JSON"));
    sidecar.event(r#"{"type":"last","id":"z","data":1}"#).await.accepted();
    assert_eq!(receiver.received(3).await.len(), 3, "nothing of the refused batch came");
}

#[tokio::test]
async fn what_is_not_json_is_415_and_what_is_no_cloud_event_422() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    let with = |more: &str| format!(r#"{{"specversion":"1.0","type":"t","source":"/s","id":"1"{more}}}"#);
    for body in [with(r#","data_base64":"AAEC""#), with(r#","datacontenttype":"text/plain","data":"x""#)] {
        sidecar.post("/events", CLOUD, body).await.refused(415, "unsupported_media_type");
    }
    let names = (0..110_000).map(|n| format!(r#","{n:04x}":1"#)).collect::<String>();
    let long = with(&format!(r#","{}":1"#, "a".repeat(70_000)));
    let more = [with(r#","time":1"#), with("").replace("1.0", "2.0"), with(r#","Upper":"x""#), with(&names), long];
    for body in std::iter::once("[]".to_owned()).chain(more) {
        sidecar.post("/events", CLOUD, body).await.refused(422, "invalid_event");
    }
    sidecar.post("/events", CLOUD, "{").await.refused(400, "invalid_json");
    let head = |content_type: &'static str| {
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-type", "t"), ("ce-source", "/s"), ("content-type", content_type)]
    };
    sidecar.request("POST", "/events", &head("text/plain"), "x").await.refused(415, "unsupported_media_type");
    sidecar.request("POST", "/events", &head("application/json"), "{").await.refused(400, "invalid_json");
    sidecar.request("POST", "/events/t", &head("application/json"), "1").await.refused(415, "unsupported_media_type");
    let incomplete = &head("application/json")[1..];
    assert_eq!(sidecar.request("POST", "/events", incomplete, "{}").await.status, 422, "an event of ours without a type");
    let no_source = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-type", "t"), ("content-type", "application/json")];
    sidecar.request("POST", "/events", &no_source, "1").await.refused(422, "invalid_event");
    assert!(receiver.so_far().is_empty());
}

#[tokio::test]
async fn an_extension_called_context_is_seen_by_jq() {
    let receiver = Receiver::replying([200]).await;
    let config = everything_to(&[("hook", &receiver.url(), "envelope = \"none\"")]) + "transform = '[keys_unsorted, .context]'\n";
    let sidecar = Sidecar::start(&config).await;
    let event = |more: &str| format!(r#"{{"specversion":"1.0","type":"t","source":"/s","id":"1"{more}}}"#);
    sidecar.post("/events", CLOUD, event(r#","ext":1,"context":"c","data":1"#)).await.accepted();
    let keys = r#"["id","type","time","context","data","source","ext"]"#;
    assert_eq!(receiver.received(1).await[0].body, format!("[{keys},\"c\"]"));
    sidecar.event(r#"{"type":"t","data":1}"#).await.accepted();
    assert_eq!(receiver.received(2).await[1].body, r#"[["id","type","time","context","data"],null]"#);
}

#[tokio::test]
async fn an_id_is_unique_within_its_source() {
    let receiver = Receiver::replying([200]).await;
    let config = everything_to(&[("hook", &receiver.url(), "")]) + "[listen]\nsource = \"/own\"\n";
    let sidecar = Sidecar::start(&config).await;
    let event = |source: &str| format!(r#"{{"specversion":"1.0","type":"t","source":"{source}","id":"1","data":1}}"#);
    for (source, duplicate) in [("/a", false), ("/b", false), ("/a", true), ("/own", false)] {
        let answer = sidecar.post("/events", CLOUD, event(source)).await;
        assert_eq!(answer.json()["duplicate"], json!(duplicate), "{source}");
    }
    assert_eq!(sidecar.event(r#"{"type":"t","id":"1","data":1}"#).await.json()["duplicate"], json!(true), "of our own source");
    assert_eq!(receiver.received(3).await.len(), 3);
}

#[tokio::test]
async fn a_plain_event_becomes_one_of_the_sidecars_source_and_a_transform_drops_the_schema() {
    let receiver = Receiver::replying([200]).await;
    let config = format!(
        "[listen]\nsource = \"urn:shop\"\n[endpoints.hook]\nurl = \"{}\"\nenvelope = \"cloudevents\"\n\
         [[routes]]\nevents = [\"**\"]\ntransform = '[.data.n, .source, .subject, .number]'\nto = [\"hook\"]\n",
        receiver.url()
    );
    let sidecar = Sidecar::start(&config).await;
    sidecar.event(r#"{"type":"t","id":"1","time":"2018-04-05T17:31:00Z","context":{"a":1},"data":{"n":7}}"#).await.accepted();
    assert_eq!(
        receiver.received(1).await[0].body,
        r#"{"specversion":"1.0","id":"1","source":"urn:shop","type":"t","time":"2018-04-05T17:31:00Z","datacontenttype":"application/json","data":[7,null,null,null]}"#
    );
    sidecar.post("/events", CLOUD, STRUCTURED).await.accepted();
    let body: Value = serde_json::from_slice(&receiver.received(2).await[1].body).unwrap();
    assert_eq!(body["data"], json!([1.0, "/shop/1", "Straße \"7\" 100%", 42]));
    assert_eq!((body.get("dataschema"), &body["comexampleext"]), (None, &json!("ä b")));
}

#[tokio::test]
async fn what_is_given_up_is_kept_in_the_json_format_and_can_be_replayed() {
    let receiver = Receiver::replying([400, 200]).await;
    let config = everything_to(&[("hook", &receiver.url(), "envelope = \"cloudevents-binary\"")]);
    let sidecar = Sidecar::start(&config).await;
    sidecar.post("/events", CLOUD, STRUCTURED).await.accepted();
    sidecar.logged("dead_lettered", 1).await;
    let letter = &sidecar.dead_letters()[0];
    assert_eq!(letter["event"], serde_json::from_str::<Value>(STRUCTURED).unwrap());
    let text = crate::support::lines(&sidecar.dir().join("state/dead_letters.jsonl")).remove(0);
    let event = &text[text.find(r#""event":"#).unwrap() + 8..text.len() - 1];
    assert_eq!(sidecar.post("/endpoints/hook/events", CLOUD, event).await.status, 202);
    let requests = receiver.received(2).await;
    let attributes = |n: usize| {
        let mut headers: Vec<_> = requests[n].headers.iter().filter(|(name, _)| name.starts_with("ce-")).collect();
        headers.sort();
        headers
    };
    assert_eq!((attributes(0), &requests[0].body), (attributes(1), &requests[1].body));
}

#[tokio::test]
async fn what_is_left_over_keeps_its_attributes_over_a_restart() {
    let config = |url: &str| everything_to(&[("hook", url, "envelope = \"cloudevents-binary\"\nretry = { delay = \"1h\" }")]);
    let sidecar = Sidecar::start(&config(&closed_port())).await;
    sidecar.post("/events", CLOUD, STRUCTURED).await.accepted();
    sidecar.logged("retrying", 1).await;
    let (_, folder) = sidecar.stop().await;
    let receiver = Receiver::replying([200]).await;
    let _sidecar = Sidecar::start_in(folder, &config(&receiver.url())).await;
    let request = receiver.received(1).await.remove(0);
    assert_eq!((request.header("ce-subject"), request.header("ce-number")), ("Stra%C3%9Fe%20%227%22%20100%25", "42"));
    assert_eq!(request.body, r#"{"n" : 1.0, "big": 12345678901234567890}"#);
}

#[tokio::test]
async fn a_pending_body_is_set_aside_where_a_header_of_it_is_none() {
    let receiver = Receiver::replying([200]).await;
    let folder = tempfile::tempdir().unwrap();
    let line = |id: &str, header: &str| {
        let event = format!(r#"{{"type":"t","id":"{id}","time":"2018-04-05T17:31:00Z","data":1}}"#);
        format!(
            r#"{{"timestamp":"2018-04-05T17:31:00Z","endpoint":"hook","attempts":0,"accepted_unix_ms":0,"content_type":"application/json","body":"1","headers":[["{header}","x"]],"event":{event}}}"#
        )
    };
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("pending.jsonl"), line("good", "ce-ext") + "\n" + &line("bad", "ce ext") + "\n").unwrap();
    let config = everything_to(&[("hook", &receiver.url(), "envelope = \"cloudevents-binary\"")]);
    let sidecar = Sidecar::start_in(folder, &config).await;
    let request = receiver.received(1).await.remove(0);
    assert_eq!((request.header("webhook-id"), request.header("ce-ext")), ("good", "x"));
    assert_eq!(crate::support::lines(&sidecar.dir().join("state/pending.damaged.jsonl")), [line("bad", "ce ext")]);
}
