//! Who may post: against DNS rebinding, against web pages, and with a token.

use crate::support::{Answer, Receiver, Sidecar, everything_to};

const EVENT: &str = r#"{"type": "a", "data": 1}"#;

async fn post_with(sidecar: &Sidecar, headers: &[(&str, &str)]) -> Answer {
    let headers = [&[("content-type", "application/json")], headers].concat();
    sidecar.request("POST", "/events", &headers, EVENT).await
}

#[tokio::test]
async fn local_names_and_addresses_may_be_the_host_on_any_port() {
    let sidecar = Sidecar::start("[listen]\nhosts = [\"sidehook.internal\"]\n").await;
    for host in [
        "localhost",
        "localhost:1",
        "LocalHost:7070",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.8.9.1",
        "[::1]",
        "[::1]:7070",
        "sidehook.internal:8443",
    ] {
        assert_eq!(post_with(&sidecar, &[("host", host)]).await.status, 202, "{host}");
    }
}

#[tokio::test]
async fn any_other_host_is_403_forbidden_host() {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "")])).await;
    let hosts = [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:7070",
        "0.0.0.0",
        "192.168.1.1",
        "[::]",
        "localhost@evil.example",
        "localhost, evil.example",
        "",
    ];
    for host in hosts {
        post_with(&sidecar, &[("host", host)]).await.refused(403, "forbidden_host");
    }
    let head = format!(
        "POST /events HTTP/1.1\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        EVENT.len()
    );
    let without = Answer::parse(&sidecar.send(format!("{head}\r\n{EVENT}").as_bytes()).await);
    without.refused(403, "forbidden_host");
    let doubled = format!("{head}host: localhost\r\nhost: localhost\r\n\r\n{EVENT}");
    let doubled = Answer::parse(&sidecar.send(doubled.as_bytes()).await);
    assert!(matches!(doubled.status, 400 | 403), "{doubled:?}");
    // Nothing of all this was queued: what comes now is the first to arrive.
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("delivered", 1).await;
    assert_eq!(receiver.so_far().len(), 1);
}

#[tokio::test]
async fn an_absolute_target_is_held_to_the_same_rule_as_host() {
    let sidecar = Sidecar::start("").await;
    for (target, host, status) in [
        ("http://localhost:7070/events", "localhost:7070", 202),
        ("http://evil.example/events", "localhost", 403),
        ("http://localhost/events", "evil.example", 403),
    ] {
        let answer = sidecar.request("POST", target, &[("host", host), ("content-type", "application/json")], EVENT).await;
        assert_eq!(answer.status, status, "{target} with host {host}");
    }
}

#[tokio::test]
async fn web_pages_of_other_sites_are_403_forbidden_origin() {
    let sidecar = Sidecar::start("").await;
    let own = format!("http://{}", sidecar.address());
    let host = sidecar.address().to_string();
    let refused: [&[(&str, &str)]; 8] = [
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://localhost:1")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("sec-fetch-site", "SAME-ORIGIN?")],
        &[("origin", "")],
    ];
    for headers in refused {
        let answer = post_with(&sidecar, headers).await;
        answer.refused(403, "forbidden_origin");
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{answer:?}");
    }
    let accepted: [&[(&str, &str)]; 5] = [
        &[("origin", &own), ("host", &host)],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-mode", "cors")],
        &[],
    ];
    for headers in accepted {
        assert_eq!(post_with(&sidecar, headers).await.status, 202, "{headers:?}");
    }
}

#[tokio::test]
async fn a_configured_token_is_wanted_of_every_post() {
    let sidecar = Sidecar::start("[listen]\ntoken = [\"old-t0ken\", \"new-t0ken\"]\n").await;
    for token in ["old-t0ken", "new-t0ken"] {
        let authorization = format!("Bearer {token}");
        assert_eq!(post_with(&sidecar, &[("authorization", &authorization)]).await.status, 202, "{token}");
    }
    let wrong: [&[(&str, &str)]; 6] = [
        &[],
        &[("authorization", "Bearer ")],
        &[("authorization", "Bearer old-t0ke")],
        &[("authorization", "Bearer old-t0kenx")],
        &[("authorization", "Basic old-t0ken")],
        &[("authorization", "old-t0ken")],
    ];
    for headers in wrong {
        let answer = post_with(&sidecar, headers).await;
        answer.refused(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{headers:?}");
        assert!(!answer.text().contains("t0ken"), "{}", answer.text());
    }
}
