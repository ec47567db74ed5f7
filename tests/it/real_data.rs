//! Real webhook payloads, and JSON's hard cases, through the whole sidecar. They are no part of the repository:
//! `SIDEHOOK_DATA` names the folder that has them, and without it these tests say so and end.

use std::{collections::HashMap, path::PathBuf};

use md5::{Digest, Md5};
use serde_json::{Value, value::RawValue};

use crate::support::{Receiver, Request, Sidecar, signature};

const FORMATS: [&str; 3] = ["json", "xml", "form"];
const ENVELOPES: [&str; 4] = ["none", "event", "standard", "md5"];
const SCHEMES: [&str; 6] = ["standard", "github", "stripe", "slack", "shopify", "x-signature"];
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TIME: &str = "2016-06-21T02:33:30Z";

#[tokio::test]
async fn each_real_payload_arrives_once_equal_and_verified_in_every_shape() {
    let Some(folder) = data() else { return };
    let lines = std::fs::read_to_string(folder.join("github-events.ndjson")).unwrap();
    let events: Vec<(String, &RawValue)> = lines.lines().map(typed).collect();
    assert_eq!(events.len(), 329);
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&config(&receiver.url())).await;
    let shapes = FORMATS.len() * ENVELOPES.len();
    let posted = |prefix: &str, n: usize| {
        let (event_type, data) = &events[n];
        format!(r#"{{"id":"{prefix}-{n}","type":"{event_type}","time":"{TIME}","data":{}}}"#, data.get())
    };
    for n in 0..events.len() {
        assert_eq!(sidecar.event(posted("single", n)).await.status, 202);
        receiver.received((n + 1) * shapes).await;
    }
    for (n, piece) in (0..events.len()).collect::<Vec<_>>().chunks(40).enumerate() {
        let batch: Vec<String> = piece.iter().map(|n| posted("batch", *n)).collect();
        assert_eq!(sidecar.event(format!("[{}]", batch.join(","))).await.status, 202, "batch {n}");
        receiver.received((events.len() + piece.last().unwrap() + 1) * shapes).await;
    }
    let requests = receiver.received(2 * events.len() * shapes).await;
    let mut seen = HashMap::new();
    for request in &requests {
        let (_, n) = request.header("webhook-id").split_once('-').unwrap();
        let (event_type, data) = &events[n.parse::<usize>().unwrap()];
        check(request, event_type, data.get());
        *seen.entry((request.path.clone(), request.header("webhook-id").to_owned())).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 2 * events.len() * shapes);
    assert!(seen.values().all(|times| *times == 1));
}

#[tokio::test]
async fn json_is_accepted_and_refused_as_its_test_suite_says() {
    let Some(folder) = data() else { return };
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&config(&receiver.url())).await;
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder.join("json-test-suite/test_parsing")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let body = std::fs::read(entry.path()).unwrap();
        let status = sidecar.post("/events/json.case", "application/json", body).await.status;
        let right = match name.split('_').next().unwrap() {
            "y" => status == 202,
            "n" => status == 400,
            _ => matches!(status, 202 | 400),
        };
        cases += 1;
        wrong.extend((!right).then(|| format!("{name}: {status}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases > 300, "{cases}");
}

#[expect(clippy::print_stderr, reason = "a suite that does not run says so")]
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("SIDEHOOK_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SIDEHOOK_DATA is not set: there is no real data to run on");
    }
    folder
}

fn typed(line: &str) -> (String, &RawValue) {
    let fields: HashMap<&str, &RawValue> = serde_json::from_str(line).unwrap();
    (serde_json::from_str(fields["type"].get()).unwrap(), fields["data"])
}

fn config(url: &str) -> String {
    let mut toml = String::new();
    let mut names = Vec::new();
    for (n, (format, envelope)) in FORMATS.iter().flat_map(|f| ENVELOPES.map(|e| (f, e))).enumerate() {
        let scheme = SCHEMES[n % SCHEMES.len()];
        toml += &format!(
            "[endpoints.{format}-{envelope}]\nurl = \"{url}/{format}/{envelope}/{scheme}\"\nformat = \"{format}\"\nenvelope = \"{envelope}\"\n\
             signature = {{ scheme = \"{scheme}\", secrets = [\"{SECRET}\"] }}\n"
        );
        names.push(format!("\"{format}-{envelope}\""));
    }
    format!("{toml}[[routes]]\nevents = [\"**\"]\nto = [{}]\n", names.join(", "))
}

/// What a receiver checks of a request, with its own means.
fn check(request: &Request, event_type: &str, data: &str) {
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    let [format, envelope, scheme] = parts[..] else { panic!("{}", request.path) };
    signature::assert_verifies(scheme, &[SECRET], request);
    let text = request.text();
    let payload = format!(r#"{{"type":"{event_type}","epoch_timestamp":1466476410,"data":{data}}}"#);
    let json = match envelope {
        "none" => data.to_owned(),
        "event" => format!(r#"{{"event_time":"{TIME}","event_type":"{event_type}","current_context":null,"data":{data}}}"#),
        "standard" => format!(r#"{{"type":"{event_type}","timestamp":"{TIME}","data":{data}}}"#),
        _ => {
            let md5 = data_encoding::HEXLOWER.encode(&Md5::digest(summed(format, text)));
            format!(r#"{{"payload":{payload},"md5":"{md5}"}}"#)
        }
    };
    let expected: Value = serde_json::from_str(&json).unwrap();
    match format {
        "json" => assert_eq!(text, json),
        "xml" => assert_eq!(xml_leaves(text), sorted(leaves(&expected)), "{}", request.path),
        _ => {
            let pairs: Vec<(String, String)> = serde_urlencoded::from_str(text).unwrap();
            let found = pairs.into_iter().map(|(_, value)| value).filter(|value| !value.is_empty()).collect();
            assert_eq!(sorted(found), sorted(leaves(&expected)), "{}", request.path);
        }
    }
}

/// The part of an `md5` body that its sum is made over.
fn summed<'t>(format: &str, text: &'t str) -> &'t str {
    match format {
        "json" => text.strip_prefix("{\"payload\":").unwrap().rsplit_once(",\"md5\":").unwrap().0,
        "xml" => {
            let (from, to) = (text.find("<payload>").unwrap(), text.rfind("</payload>").unwrap());
            &text[from..to + "</payload>".len()]
        }
        _ => text.rsplit_once("&md5=").unwrap().0,
    }
}

/// The texts of all scalars that are not empty.
fn leaves(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(leaves).collect(),
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
        Value::Null => Vec::new(),
        Value::Object(members) => members.values().flat_map(leaves).collect(),
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()).into_iter().collect(),
    }
}

fn xml_leaves(text: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut leaves, mut leaf) = (Vec::new(), String::new());
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Text(text) => leaf.push_str(&text),
            quick_xml::events::Event::GeneralRef(reference) => leaf.push_str(match &*reference {
                "amp" => "&",
                "lt" => "<",
                "gt" => ">",
                "#13" => "\r",
                other => panic!("&{other};"),
            }),
            quick_xml::events::Event::Start(_) | quick_xml::events::Event::End(_) => {
                leaves.extend(Some(std::mem::take(&mut leaf)).filter(|leaf| !leaf.is_empty()));
            }
            quick_xml::events::Event::Eof => return sorted(leaves),
            _ => {}
        }
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts
}
