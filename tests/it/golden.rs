//! Folders of exact bytes: with this config and this event, that is the request.
//!
//! A case is `tests/golden/<case>/{config.toml,event.json,request.http}`. `{receiver}` in the config is the receiver's
//! base URL; `event.json` is the body posted to `/events`, with the headers of `ingest.headers` where there is one, a line
//! each, in place of `content-type: application/json`; `request.http` has the request line, the headers sorted by
//! name, an empty line and the body to the last byte, all with bare line feeds. What changes from run to run is checked
//! and then replaced: `<host>`, `<version>`, `<timestamp>` and `<signature>`. `UPDATE_GOLDEN=1` rewrites `request.http`.

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
    let Some(table) = endpoint.get("signature") else { return };
    let scheme = table["scheme"].as_str().unwrap();
    let Some(at) = (scheme != "hmac").then(|| signature::timestamp(scheme, request)).flatten() else { return };
    let secrets: Vec<&str> = table["secrets"].as_array().unwrap().iter().map(|secret| secret.as_str().unwrap()).collect();
    signature::assert_verifies(scheme, &secrets, request);
    let headers = signature::expected(scheme, &secrets, request);
    for (name, value) in &mut request.headers {
        if headers.iter().any(|(signed, _)| signed == name) {
            *value = with_markers(value, at);
        }
    }
}

/// `t=1466526410,v1=abc…` → `t=<timestamp>,v1=<signature>`: every run of 40 or more characters is a signature.
fn with_markers(value: &str, at: u64) -> String {
    let value = value.replace(&at.to_string(), "<timestamp>");
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut marked = String::new();
    for piece in value.split_inclusive([',', ' ']) {
        let (piece, separator) = piece.strip_suffix([',', ' ']).map_or((piece, ""), |body| (body, &piece[body.len()..]));
        let signature_at = piece.find('=').map_or(0, |at| at + 1);
        let (name, text) = if piece.len() - signature_at >= 40 { piece.split_at(signature_at) } else { ("", piece) };
        marked += name;
        marked += if text.len() >= 40 && text.chars().all(is_part) { "<signature>" } else { text };
        marked += separator;
    }
    marked
}

fn normalised(request: &Request, receiver: &Receiver) -> Vec<u8> {
    let mut headers = request.headers.clone();
    headers.sort();
    let mut text = format!("{} {} HTTP/1.1\n", request.method, request.path);
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
