//! Through a proxy.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::support::{Process, Receiver, Sidecar, everything_to, json_lines, post, sidehook, telling};

const EVENT: &str = r#"{"type": "a", "id": "e-1", "data": 1}"#;

/// A forward proxy that leads every name to one receiver.
struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Proxy {
    async fn to(port: u16, status: &'static str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = heads.clone();
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, port, status, seen.clone()));
            }
        });
        Proxy { port: own, heads, serving }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, port: u16, status: &'static str, seen: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let text = String::from_utf8(head.clone()).unwrap();
    seen.lock().unwrap().push(text.clone());
    if status != "200" {
        let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
        return drop(stream.write_all(answer.as_bytes()).await);
    }
    let mut receiver = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    if text.starts_with("CONNECT ") {
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n").await.unwrap();
    } else {
        receiver.write_all(&head).await.unwrap();
    }
    drop(copy_bidirectional(&mut stream, &mut receiver).await);
}

fn port(receiver: &Receiver) -> u16 {
    receiver.url().rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_plain_request_is_passed_on_in_its_absolute_form() {
    let receiver = Receiver::replying([200]).await;
    let proxy = Proxy::to(port(&receiver), "200").await;
    let keys = format!("proxy = \"http://me:p%40ss@127.0.0.1:{}\"", proxy.port);
    let sidecar = Sidecar::start(&everything_to(&[("hook", "http://receiver.test:8080/in?x=1", &keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let request = receiver.received(1).await.remove(0);
    assert_eq!((request.path.as_str(), request.header("host")), ("http://receiver.test:8080/in?x=1", "receiver.test:8080"));
    let credentials = data_encoding::BASE64.encode(b"me:p@ss");
    assert_eq!(request.header("proxy-authorization"), format!("Basic {credentials}"));
    let line = sidecar.logged("delivered", 1).await.remove(0);
    assert_eq!(line["url"], "http://receiver.test:8080/in?x=***");
    sidecar.event(EVENT.replace("e-1", "e-2")).await.accepted();
    receiver.received(2).await;
    assert_eq!(proxy.heads().len(), 1, "its connection is kept alive");
}

#[tokio::test]
async fn what_is_encrypted_goes_through_a_tunnel() {
    let receiver = Receiver::tls().await;
    let proxy = Proxy::to(port(&receiver), "200").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), receiver.certificate()).unwrap();
    let keys =
        format!("proxy = \"http://me:pw@127.0.0.1:{}\"\ntls = {{ ca = \"ca.pem\", server_name = \"localhost\" }}", proxy.port);
    let sidecar = Sidecar::start_in(folder, &everything_to(&[("hook", "https://receiver.test/in", &keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let request = receiver.received(1).await.remove(0);
    assert_eq!((request.path.as_str(), request.header("host")), ("/in", "receiver.test"));
    assert!(!request.has("proxy-authorization"), "that is between the proxy and us");
    let heads = proxy.heads();
    assert!(heads[0].starts_with("CONNECT receiver.test:443 HTTP/1.1\r\nhost: receiver.test:443\r\n"), "{heads:?}");
    assert!(heads[0].contains("proxy-authorization: Basic bWU6cHc=\r\n"), "{heads:?}");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there_is_named() {
    for (scheme, user, status, says) in [
        ("http", "", "407", "wants to know who asks (407)"),
        ("http", "me:pw@", "407", "does not take the credentials that its URL has (407)"),
        ("https", "", "407", "wants to know who asks (407)"),
        ("https", "me:pw@", "502", "did not connect to receiver.test:443: it answered 502"),
    ] {
        let proxy = Proxy::to(1, status).await;
        let keys = format!("proxy = \"http://{user}127.0.0.1:{}\"", proxy.port);
        let url = format!("{scheme}://receiver.test/");
        let sidecar = Sidecar::start(&everything_to(&[("hook", &url, &keys)])).await;
        sidecar.event(EVENT).await.accepted();
        let line = sidecar.logged("retrying", 1).await.remove(0);
        let error = line["error"].as_str().unwrap();
        assert!(
            error.contains(says) && error.contains(&format!("http://127.0.0.1:{}", proxy.port)) && !error.contains("pw"),
            "{line}"
        );
    }
    let closed = crate::support::closed_port();
    let keys = format!("proxy = \"{closed}\"");
    let sidecar = Sidecar::start(&everything_to(&[("hook", "https://receiver.test/", &keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let line = sidecar.logged("retrying", 1).await.remove(0);
    assert_eq!(line["error_code"], "connect_refused");
    assert!(line["error"].as_str().unwrap().starts_with("the proxy http://127.0.0.1:"), "{line}");
}

#[tokio::test]
async fn this_machine_is_never_proxied_and_public_cannot_be() {
    let receiver = Receiver::replying([200]).await;
    let proxy = Proxy::to(port(&receiver), "200").await;
    let keys = format!("proxy = \"http://127.0.0.1:{}\"", proxy.port);
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), &keys)])).await;
    sidecar.event(EVENT).await.accepted();
    assert_eq!(receiver.received(1).await[0].path, "/");
    assert!(proxy.heads().is_empty());
    let folder = tempfile::tempdir().unwrap();
    let public = everything_to(&[("hook", "https://receiver.test/", &format!("{keys}\nnetwork = \"public\""))]);
    let error = Sidecar::refusal(folder.path(), &public).await.unwrap().to_string();
    assert!(error.contains("only a proxy knows what it connects to") && error.contains("proxy = \"none\""), "{error}");
    for (value, says) in [
        ("socks5://p:1", "neither https:// nor SOCKS"),
        ("proxy:3128", "write the URL of a proxy"),
        ("http://p/x", "has no path"),
        ("http://p:99999", "write the URL of a proxy"),
        ("http://u:p@ss@p", "is written %40"),
    ] {
        let config = everything_to(&[("hook", "https://receiver.test/", &format!("proxy = \"{value}\""))]);
        let error = Sidecar::refusal(folder.path(), &config).await.unwrap_or_else(|| panic!("{value}")).to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn tokens_are_fetched_through_the_proxy_whichever_way_events_go() {
    let (receiver, tokens) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let tokens = tokens.with_body(r#"{"access_token":"tok-1","token_type":"bearer"}"#);
    let proxy = Proxy::to(port(&tokens), "200").await;
    let auth = "auth = { type = \"oauth2\", token_url = \"http://idp.test/t\", client_id = \"a\", client_secret = \"b\" }";
    let keys = format!("proxy = \"http://127.0.0.1:{}\"\n{auth}", proxy.port);
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), &keys)])).await;
    sidecar.event(EVENT).await.accepted();
    assert_eq!(receiver.received(1).await[0].header("authorization"), "Bearer tok-1");
    assert_eq!(tokens.so_far()[0].path, "http://idp.test/t");
}

#[tokio::test]
async fn the_credentials_of_a_proxy_are_secrets() {
    let proxy = Receiver::replying([500]).await.with_body("me, bWU6aHVudGVyMg==, hunter2");
    let url = proxy.url().replace("http://", "http://me:hunter2@");
    let keys = format!("proxy = \"{url}\"");
    let sidecar = Sidecar::start(&everything_to(&[("hook", "http://receiver.test/", &keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let line = sidecar.logged("retrying", 1).await.remove(0);
    assert_eq!(line["response"], "me, ***, ***");
    let folder = tempfile::tempdir().unwrap();
    let header =
        everything_to(&[("hook", "http://receiver.test/", &format!("{keys}\nheaders = {{ Proxy-Authorization = \"x\" }}"))]);
    let error = Sidecar::refusal(folder.path(), &header).await.unwrap().to_string();
    assert!(error.contains("the header `proxy-authorization` is already written by `proxy`"), "{error}");
    std::fs::write(folder.path().join("sidehook.toml"), everything_to(&[("hook", "http://localhost:1/", &keys)])).unwrap();
    let checked = sidehook(folder.path(), &["check"]).output().unwrap();
    let said = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert!(said.contains("warning[literal-secret]") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn the_environment_names_a_proxy_for_whoever_does_not_say_otherwise() {
    let receiver = Receiver::replying([200]).await;
    let proxy = Proxy::to(port(&receiver), "200").await;
    let folder = tempfile::tempdir().unwrap();
    let config = "[listen]\naddress = \"127.0.0.1:0\"\n[log]\ndeliveries = \"deliveries.jsonl\"\n".to_owned()
        + &everything_to(&[
            ("hook", "http://receiver.test/", ""),
            ("none", "http://receiver.test/", "proxy = \"none\""),
            ("not", "http://in.test/", ""),
        ]);
    std::fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    let mut command = sidehook(folder.path(), &["run"]);
    command.env("http_proxy", format!("http://127.0.0.1:{}", proxy.port)).env("NO_PROXY", "in.test");
    let mut process = Process::start(&mut command);
    let address = process.address(folder.path()).await;
    post(address, EVENT).await.accepted();
    assert_eq!(receiver.received(1).await[0].path, "http://receiver.test/");
    let log = folder.path().join("deliveries.jsonl");
    let direct = async {
        while telling(&json_lines(&log), "retrying").len() < 2 {
            tokio::time::sleep(crate::support::LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(crate::support::LIMIT, direct).await.expect("both are dialled directly, in vain");
    let lines = telling(&json_lines(&log), "retrying");
    assert!(lines.iter().all(|line| line["error_code"] == json!("dns")), "{lines:?}");
    assert_eq!(proxy.heads().len(), 1);
}
