//! Folders of exact bytes: with this config and this event, that is the request.
//!
//! A case is `tests/golden/<case>/{config.toml,event.json,request.http}`. `{receiver}` in the config is the receiver's
//! base URL; `event.json` is the body posted to `/events`, with the headers of `ingest.headers` where there is one, a line
//! each, in place of `content-type: application/json`; `request.http` has the request line, the headers sorted by
//! name, an empty line and the body to the last byte, all with bare line feeds. What changes from run to run is checked
//! and then replaced: `<host>`, `<version>`, `<batch>`, `<timestamp>` and `<signature>`. `UPDATE_GOLDEN=1` rewrites `request.http`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::{Receiver, Request, Sidecar, signature};

#[tokio::test]
async fn every_golden_case_sends_the_bytes_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(cases.len() >= 260, "only {} cases in {}", cases.len(), folder.display());
    let mut differences = String::new();
    for case in &cases {
        let actual = request_of(case).await;
        let file = case.join("request.http");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &actual).unwrap();
        }
        let expected = fs::read(&file).unwrap_or_default();
        if expected != actual {
            differences += &difference(case, &String::from_utf8_lossy(&expected), &String::from_utf8_lossy(&actual));
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Runs a case and gives its request in the form of `request.http`.
async fn request_of(case: &Path) -> Vec<u8> {
    let config = fs::read_to_string(case.join("config.toml")).unwrap();
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&config.replace("{receiver}", &receiver.url())).await;
    let headers = fs::read_to_string(case.join("ingest.headers")).unwrap_or_else(|_| "content-type: application/json".to_owned());
    let headers: Vec<(&str, &str)> = headers.lines().map(|line| line.split_once(": ").unwrap()).collect();
    let answer = sidecar.request("POST", "/events", &headers, fs::read(case.join("event.json")).unwrap()).await;
    assert_eq!(answer.status, 202, "{}: {}", case.display(), String::from_utf8_lossy(&answer.body));
    let mut request = receiver.received(1).await.remove(0);
    mark_signatures(&config, &mut request);
    normalised(&request, &receiver)
}

/// Recomputes what carries a timestamp, and puts markers in its place.
fn mark_signatures(config: &str, request: &mut Request) {
    let config: toml::Table = config.parse().unwrap();
    let endpoint = config["endpoints"].as_table().unwrap().values().next().unwrap();
    let tables = match endpoint.get("signature") {
        None => return,
        Some(toml::Value::Array(tables)) => tables.clone(),
        Some(table) => vec![table.clone()],
    };
    for table in &tables {
        let scheme = table["scheme"].as_str().unwrap();
        let secrets: Vec<&str> = table["secrets"].as_array().unwrap().iter().map(|secret| secret.as_str().unwrap()).collect();
        let timed = match scheme {
            "hmac" => signature::timed_template(table, secrets[0], request),
            "http-message" => Some(signature::message(table, secrets[0], request)),
            _ => signature::timestamp(scheme, request).map(|at| (at, signature::expected(scheme, &secrets, request))),
        };
        let Some((at, headers)) = timed else { continue };
        signature::assert_is_now(at);
        for (name, value) in headers {
            assert_eq!(request.header(name), value, "{scheme}: {name}");
            for (_, value) in request.headers.iter_mut().filter(|(written, _)| written == name) {
                *value = with_markers(value, at);
            }
        }
    }
}

/// `t=1466526410,v1=abc…` → `t=<timestamp>,v1=<signature>`: every run of 40 or more characters is a signature.
fn with_markers(value: &str, at: u64) -> String {
    let value = value.replace(&at.to_string(), "<timestamp>");
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    let mut marked = String::new();
    for piece in value.split_inclusive([',', ' ']) {
        let (piece, separator) = piece.strip_suffix([',', ' ']).map_or((piece, ""), |body| (body, &piece[body.len()..]));
        let signature_at = piece.find('=').map_or(0, |at| at + 1);
        let (name, text) = if piece.len() - signature_at >= 40 { piece.split_at(signature_at) } else { ("", piece) };
        marked += name;
        let bare = text.trim_matches(':');
        let is_signature = bare.len() >= 40 && bare.chars().all(is_part);
        marked += &if is_signature { text.replace(bare, "<signature>") } else { text.to_owned() };
        marked += separator;
    }
    marked
}

fn normalised(request: &Request, receiver: &Receiver) -> Vec<u8> {
    let mut headers = request.headers.clone();
    headers.sort();
    let mut text = format!("{} {} HTTP/1.1\n", request.method, request.path);
    let id = request.header("webhook-id");
    if let Some(digits) = id.strip_prefix("bat_") {
        assert!(digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
        headers.iter_mut().for_each(|(_, value)| *value = value.replace(id, "<batch>"));
    }
    for (name, value) in headers {
        let value = match name.as_str() {
            "host" => value.replace(&receiver.authority(), "<host>"),
            "user-agent" => value.replace(concat!("sidehook/", env!("CARGO_PKG_VERSION")), "sidehook/<version>"),
            _ => value,
        };
        text += &format!("{name}: {value}\n");
    }
    let mut bytes = (text + "\n").into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

/// The lines that differ, `-` as the file has them, `+` as they came.
fn difference(case: &Path, expected: &str, actual: &str) -> String {
    let mut text = format!("\n{}:\n", case.display());
    let (mut expected, mut actual) = (expected.split('\n'), actual.split('\n'));
    loop {
        match (expected.next(), actual.next()) {
            (None, None) => return text,
            (wanted, came) if wanted == came => {}
            (wanted, came) => {
                text += &wanted.map(|line| format!("- {line}\n")).unwrap_or_default();
                text += &came.map(|line| format!("+ {line}\n")).unwrap_or_default();
            }
        }
    }
}
