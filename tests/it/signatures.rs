//! Every scheme verifies on the receivers' side, whatever the body is made of.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

use crate::support::{
    Receiver, Request, Sidecar, everything_to,
    signature::{assert_verifies, sha256},
};

const EVENT: &str = r#"{"type": "a.b", "id": "e-1", "data": {"text": "é & <", "n": 1.0}}"#;
const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND: &str = "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY=";

async fn signed(keys: &str) -> Request {
    let receiver = Receiver::replying([200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &format!("{}/in?x=1", receiver.url()), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    receiver.received(1).await.remove(0)
}

#[tokio::test]
async fn every_scheme_verifies_over_every_format_by_post_and_put() {
    for scheme in ["standard", "github", "stripe", "slack", "shopify", "x-signature"] {
        for (format, method) in [("json", "POST"), ("xml", "PUT"), ("form", "POST")] {
            let keys = format!(
                "format = \"{format}\"\nmethod = \"{method}\"\nsignature = {{ scheme = \"{scheme}\", secrets = [\"{FIRST}\"] }}"
            );
            let request = signed(&keys).await;
            assert_verifies(scheme, &[FIRST], &request);
        }
    }
}

#[tokio::test]
async fn schemes_that_carry_several_signatures_sign_with_every_secret_and_others_with_the_first() {
    for scheme in ["standard", "github", "stripe", "slack", "shopify", "x-signature"] {
        let request = signed(&format!("signature = {{ scheme = \"{scheme}\", secrets = [\"{FIRST}\", \"{SECOND}\"] }}")).await;
        assert_verifies(scheme, &[FIRST, SECOND], &request);
    }
}

#[tokio::test]
async fn an_endpoint_may_sign_in_two_ways_at_once_and_defaults_can_be_turned_off() {
    let (both, none) = (Receiver::replying([200]).await, Receiver::replying([200]).await);
    let secrets = format!("secrets = [\"{FIRST}\"]");
    let keys = format!("signature = [{{ scheme = \"standard\", {secrets} }}, {{ scheme = \"github\", {secrets} }}]");
    let defaults = format!("[defaults]\nsignature = {{ scheme = \"shopify\", {secrets} }}\n");
    let endpoints = everything_to(&[("both", &both.url(), &keys), ("none", &none.url(), "signature = []")]);
    let sidecar = Sidecar::start(&(defaults + &endpoints)).await;
    sidecar.event(EVENT).await.accepted();
    let request = both.received(1).await.remove(0);
    assert_verifies("standard", &[FIRST], &request);
    assert_verifies("github", &[FIRST], &request);
    assert_eq!((request.header("x-github-event"), request.header("x-github-delivery")), ("a.b", "e-1"));
    let unsigned = none.received(1).await.remove(0);
    assert!(!request.has("x-shopify-hmac-sha256") && !unsigned.has("x-shopify-hmac-sha256"), "{unsigned:?}");
}

#[tokio::test]
async fn a_template_signs_what_it_says_in_the_encoding_it_says() {
    let keys = r#"
[endpoints.hook.signature]
scheme = "hmac"
algorithm = "sha256"
encoding = "base64url"
key = "base64"
secrets = ["c2VjcmV0LW9uZQ=="]
signed = "{timestamp_ms}|{timestamp}|{id}|{type}|{method}|{path}|{body}"
headers = { X-Sig = "{signature}", X-When = "{timestamp}/{timestamp_ms}" }
"#;
    let request = signed(keys).await;
    let (seconds, millis) = request.header("x-when").split_once('/').unwrap();
    assert_eq!(millis.parse::<u64>().unwrap() / 1000, seconds.parse::<u64>().unwrap());
    let start = format!("{millis}|{seconds}|e-1|a.b|POST|/in?x=1|");
    let expected = BASE64URL_NOPAD.encode(&sha256(b"secret-one", &[start.as_bytes(), &request.body]));
    assert_eq!(request.header("x-sig").trim_end_matches('='), expected);
}

#[tokio::test]
async fn secrets_come_from_files_without_their_last_newline() {
    let receiver = Receiver::replying([200]).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("secrets")).unwrap();
    std::fs::write(folder.path().join("secrets/hook"), "with spaces \n").unwrap();
    let keys = "signature = { scheme = \"x-signature\", secrets = [{ file = \"secrets/hook\" }] }";
    let sidecar = Sidecar::start_in(folder, &everything_to(&[("hook", &receiver.url(), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let request = receiver.received(1).await.remove(0);
    assert_eq!(request.header("x-signature"), HEXLOWER.encode(&sha256(b"with spaces ", &[&request.body])));
}
