//! Every scheme verifies on the receivers' side, whatever the body is made of.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};

use crate::support::{
    Receiver, Request, Sidecar, everything_to, run,
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

#[tokio::test]
async fn what_the_binary_signs_the_binary_verifies_in_every_way_there_is() {
    let seed = BASE64.encode(&[9; 32]);
    let ed25519 = format!("whsk_{seed}");
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let public = format!("whpk_{}", BASE64.encode(pair.public_key().as_ref()));
    let folder = tempfile::tempdir().unwrap();
    for (keys, flags, secret, known) in [
        ("scheme = \"standard\"", vec!["--scheme", "standard"], ed25519.as_str(), ed25519.as_str()),
        ("scheme = \"standard\"", vec!["--scheme", "standard"], &ed25519, &public),
        (
            "scheme = \"http-message\", key_id = \"shop;created=1 \\\"1\\\"\"",
            vec!["--scheme", "http-message"],
            "a shared secret",
            "a shared secret",
        ),
        (
            "scheme = \"http-message\", key_id = \"k\", algorithm = \"ed25519\"",
            vec!["--scheme", "http-message", "--algorithm", "ed25519"],
            &ed25519,
            &ed25519,
        ),
        (
            "scheme = \"http-message\", key_id = \"k\", algorithm = \"ed25519\"",
            vec!["--scheme", "http-message", "--algorithm", "ed25519"],
            &ed25519,
            &public,
        ),
        (
            "scheme = \"hmac\", signed = \"{timestamp}{path}{body}\", key = \"hex\", each = \"s:{signature}\", join = \" + \", headers = { X-Sig = \"{timestamp};{signatures}\" }",
            vec![
                "--scheme",
                "hmac",
                "--signed",
                "{timestamp}{path}{body}",
                "--key",
                "hex",
                "--each",
                "s:{signature}",
                "--join",
                " + ",
                "--signature-header",
                "x-sig: {timestamp};{signatures}",
            ],
            "00fFab",
            "00ffab",
        ),
        (
            "scheme = \"hmac\", signed = \"{timestamp}:{path}:{body}\", algorithm = \"sha512\", encoding = \"base64\", headers = { X-Sig = \"{timestamp}/{signature}\" }",
            vec![
                "--scheme",
                "hmac",
                "--signed",
                "{timestamp}:{path}:{body}",
                "--algorithm",
                "sha512",
                "--encoding",
                "base64",
                "--signature-header",
                "x-sig: {timestamp}/{signature}",
            ],
            "text",
            "text",
        ),
    ] {
        let receiver = Receiver::replying([200]).await;
        let keys = format!("signature = {{ {keys}, secrets = [\"{secret}\"] }}");
        let url = format!("{}/in?x=1", receiver.url());
        let sidecar = Sidecar::start(&everything_to(&[("hook", &url, &keys)])).await;
        sidecar.event(EVENT).await.accepted();
        let request = receiver.received(1).await.remove(0);
        let text: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        std::fs::write(folder.path().join("headers"), text).unwrap();
        std::fs::write(folder.path().join("body"), &request.body).unwrap();
        std::fs::write(folder.path().join("changed"), [&request.body[..], b" "].concat()).unwrap();
        let verify = |body: &'static str, secret: String, url: String| {
            let mut arguments = vec!["verify".to_owned()];
            arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
            arguments.extend(
                ["--tolerance", "1m", "--secret", &secret, "--headers", "headers", "--body", body, "--url", &url]
                    .map(str::to_owned),
            );
            let folder = folder.path().to_owned();
            async move { run(&folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await }
        };
        let said = verify("body", known.to_owned(), url.clone()).await;
        assert!(said.code == 0 && said.stdout.contains("verifies, made "), "{keys}: {} {}", said.stdout, said.stderr);
        assert_eq!(verify("changed", known.to_owned(), url.clone()).await.code, 1, "{keys}: another body");
        let other = match secret {
            _ if secret.starts_with("whsk_") => format!("whsk_{}", BASE64.encode(&[8; 32])),
            _ => "0123".to_owned(),
        };
        assert_eq!(verify("body", other, url.clone()).await.code, 1, "{keys}: another secret");
        if !keys.contains("standard") {
            assert_eq!(verify("body", known.to_owned(), url.replace("x=1", "x=2")).await.code, 1, "{keys}: another URL");
        }
    }
}

#[tokio::test]
async fn a_url_is_signed_as_it_is_sent() {
    let receiver = Receiver::replying([200]).await;
    let keys = "signature = { scheme = \"http-message\", key_id = \"k\", secrets = [\"s3cret\"] }";
    let url = format!("{}?q=\u{e9}", receiver.url().replace("127.0.0.1", "LocalHost"));
    let sidecar = Sidecar::start(&everything_to(&[("hook", &url, keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let request = receiver.received(1).await.remove(0);
    let host = receiver.authority().replace("127.0.0.1", "localhost");
    assert_eq!((request.path.as_str(), request.header("host")), ("/?q=%C3%A9", host.as_str()));
    let (parameters, digest) = (&request.header("signature-input")["sig1=".len()..], request.header("content-digest"));
    let base = format!(
        "\"@method\": POST\n\"@target-uri\": http://{host}/?q=%C3%A9\n\"content-type\": application/json\n\
         \"content-digest\": {digest}\n\"@signature-params\": {parameters}"
    );
    assert_eq!(request.header("signature"), format!("sig1=:{}:", BASE64.encode(&sha256(b"s3cret", &[base.as_bytes()]))));
}

#[tokio::test]
async fn http_message_writes_what_the_interface_shows() {
    let request = signed("signature = { scheme = \"http-message\", key_id = \"k1\", secrets = [\"s3cret\"] }").await;
    let digest = BASE64.encode(&Sha256::digest(&request.body));
    assert_eq!(request.header("content-digest"), format!("sha-256=:{digest}:"));
    let input = request.header("signature-input");
    let created = input.split("created=").nth(1).unwrap().split(';').next().unwrap();
    let covered = "(\"@method\" \"@target-uri\" \"content-type\" \"content-digest\")";
    let parameters = format!("{covered};created={created};keyid=\"k1\";alg=\"hmac-sha256\"");
    assert_eq!(input, format!("sig1={parameters}"));
    let base = format!(
        "\"@method\": POST\n\"@target-uri\": http://{}/in?x=1\n\"content-type\": application/json\n\
         \"content-digest\": sha-256=:{digest}:\n\"@signature-params\": {parameters}",
        request.header("host")
    );
    assert_eq!(request.header("signature"), format!("sig1=:{}:", BASE64.encode(&sha256(b"s3cret", &[base.as_bytes()]))));
}

#[tokio::test]
async fn keys_that_are_none_are_refused_at_load_without_being_shown() {
    let folder = tempfile::tempdir().unwrap();
    for (keys, says) in [
        ("scheme = \"standard\", secrets = [\"whsk_c2hvcnQ=\"]", "secret 1 is no Ed25519 key"),
        ("scheme = \"standard\", secrets = [\"whpk_c2hvcnQ=\"]", "secret 1 is a public key"),
        ("scheme = \"github\", secrets = [\"whsk_c2hvcnQ=\"]", "which this scheme cannot use"),
        ("scheme = \"http-message\", secrets = [\"x\"]", "needs `key_id`"),
        ("scheme = \"http-message\", key_id = \"k\", algorithm = \"ed25519\", secrets = [\"c2hvcnQ=\"]", "no Ed25519 key"),
        ("scheme = \"http-message\", key_id = \"\\u00e9\", secrets = [\"c2hvcnQ=\"]", "visible ASCII"),
        ("scheme = \"github\", key_id = \"k\", secrets = [\"c2hvcnQ=\"]", "`key_id` does not belong to the scheme `github`"),
    ] {
        let config = everything_to(&[("hook", "http://127.0.0.1:9/", &format!("signature = {{ {keys} }}"))]);
        let error = Sidecar::refusal(folder.path(), &config).await.unwrap_or_else(|| panic!("no error with {keys}"));
        let text = error.to_string();
        assert!(text.contains(says) && !text.contains("c2hvcnQ"), "{keys}: {text}");
    }
    let two = "signature = [{ scheme = \"http-message\", key_id = \"a\", secrets = [\"x\"] }, { scheme = \"http-message\", key_id = \"b\", secrets = [\"y\"] }]";
    let error = Sidecar::refusal(folder.path(), &everything_to(&[("hook", "http://127.0.0.1:9/", two)])).await;
    assert!(error.unwrap().to_string().contains("the header `content-digest` is already written by `signature`"));
}
