//! `sidehook listen`: a receiver for trying things out.

use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::support::{LIMIT, LOOK_EVERY, Process, Sidecar, everything_to, post, run, sidehook};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A listener on a free port, with these arguments besides.
async fn listener(arguments: &[&str]) -> (Process, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let all = [&["listen", "--address", "127.0.0.1:0"], arguments].concat();
    let process = Process::start(&mut sidehook(folder.path(), &all));
    let address = async {
        loop {
            let said = process.complained();
            if let Some((_, rest)) = said.split_once("http://") {
                return rest.split(',').next().unwrap().parse().unwrap();
            }
            sleep(LOOK_EVERY).await;
        }
    };
    let address = timeout(LIMIT, address).await.expect("it says where it listens");
    (process, address)
}

/// What it printed, once `enough` of it is there.
async fn printed(process: &Process, enough: impl Fn(&str) -> bool) -> String {
    let wait = async {
        loop {
            let text = process.printed();
            if enough(&text) {
                return text;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("not enough: {}", process.printed()))
}

#[tokio::test]
async fn it_shows_requests_and_that_their_signatures_verify() {
    let (process, address) = listener(&["--scheme", "standard", "--secret", SECRET]).await;
    let keys = format!("signature = {{ scheme = \"standard\", secrets = [\"{SECRET}\"] }}");
    let sidecar = Sidecar::start(&everything_to(&[("hook", &format!("http://{address}/in?a=1"), &keys)])).await;
    post(sidecar.address(), "{\"type\":\"a\",\"data\":\"\\u001b[2J hello\"}").await.accepted();
    let text = printed(&process, |text| text.contains("->")).await;
    for part in
        ["POST /in?a=1 HTTP/1.1", "webhook-signature: v1,", "hello", "-> the signature verifies, made 0 s ago, answered 200"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    process.signal("INT");
    assert_eq!(process.exit_status().await.code(), Some(0));
}

#[tokio::test]
async fn it_fails_first_then_answers_as_told() {
    let (process, address) = listener(&["--fail-first", "2", "--status", "204", "--delay", "20ms", "--json"]).await;
    let started = Instant::now();
    for status in [503, 503, 204, 204] {
        assert_eq!(post(address, "{}").await.status, status);
    }
    assert!(started.elapsed() >= Duration::from_millis(80));
    let text = printed(&process, |text| text.lines().count() == 4).await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["status"].as_u64().unwrap()).collect::<Vec<_>>(), [503, 503, 204, 204]);
    assert_eq!((&lines[0]["path"], &lines[0]["body"]), (&"/events".into(), &"{}".into()));
    assert_eq!(lines[0]["headers"]["content-type"], "application/json");
    assert!(lines[0].get("verified").is_none());
}

#[tokio::test]
async fn a_signature_that_is_wrong_or_missing_is_told() {
    let (process, address) = listener(&["--scheme", "github", "--secret", "text", "--json"]).await;
    post(address, "{}").await;
    let text = printed(&process, |text| text.contains('\n')).await;
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["verified"], &line["status"]), (&false.into(), &200.into()));
    assert_eq!(line["error"], "the header `x-hub-signature-256` is missing");
}

#[tokio::test]
async fn it_ends_when_nobody_reads_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = sidehook(folder.path(), &["listen", "--address", "127.0.0.1:0"]);
    let (mut said, stderr) = std::io::pipe().unwrap();
    let (reader, stdout) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = command.stdout(stdout).stderr(stderr).stdin(Stdio::null()).spawn().unwrap();
    drop(command);
    let mut text = Vec::new();
    while !text.ends_with(b"\n") {
        let mut byte = [0];
        said.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let text = String::from_utf8(text).unwrap();
    let address = text.split_once("http://").unwrap().1.split(',').next().unwrap().parse().unwrap();
    post(address, "{}").await;
    let ended = async {
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            sleep(LOOK_EVERY).await;
        }
    };
    assert_eq!(timeout(LIMIT, ended).await.expect("it ends").code(), Some(0));
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_an_address_in_use_with_3() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["listen", "--scheme", "standard"][..],
        &["listen", "--secret", "x"],
        &["listen", "--scheme", "none", "--secret", "x"],
        &["listen", "--scheme", "standard", "--secret", "not base64!"],
        &["listen", "--scheme", "github", "--secret", "env:SIDEHOOK_TEST_NOT_SET"],
        &["listen", "--status", "100"],
        &["listen", "--delay", "5"],
    ] {
        assert_eq!(run(folder.path(), arguments).await.code, 2, "{arguments:?}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = run(folder.path(), &["listen", "--address", &address]).await;
    assert!(said.code == 3 && said.stderr.contains(&address), "{}", said.stderr);
}
