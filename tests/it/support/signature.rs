//! The receivers' side of INTERFACE 4, written a second time: what each scheme's headers must be for a request.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::Ed25519KeyPair;
use sha2::{Sha256, Sha512};

use super::Request;

/// The headers that `scheme` must have written for `request`, given its own id and timestamp.
pub(crate) fn expected(scheme: &str, secrets: &[&str], request: &Request) -> Vec<(&'static str, String)> {
    let hex = |signed: &[&[u8]], secret: &str| HEXLOWER.encode(&sha256(secret.as_bytes(), signed));
    let body: &[u8] = &request.body;
    match scheme {
        "standard" => {
            let (id, at) = (request.header("webhook-id"), request.header("webhook-timestamp"));
            let signed: [&[u8]; 5] = [id.as_bytes(), b".", at.as_bytes(), b".", body];
            let sign = |secret: &&str| {
                if secret.starts_with("whsk_") {
                    return format!("v1a,{}", BASE64.encode(&ed25519(secret, &signed.concat())));
                }
                let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap_or(secret).as_bytes()).unwrap();
                format!("v1,{}", BASE64.encode(&sha256(&key, &signed)))
            };
            let all: Vec<String> = secrets.iter().map(sign).collect();
            vec![("webhook-timestamp", at.to_owned()), ("webhook-signature", all.join(" "))]
        }
        "github" => vec![("x-hub-signature-256", format!("sha256={}", hex(&[body], secrets[0])))],
        "stripe" => {
            let header = request.header("stripe-signature");
            let at = header.strip_prefix("t=").and_then(|rest| rest.split(',').next()).expect("t=…");
            let sign = |secret: &&str| format!(",v1={}", hex(&[at.as_bytes(), b".", body], secret));
            vec![("stripe-signature", format!("t={at}{}", secrets.iter().map(sign).collect::<String>()))]
        }
        "slack" => {
            let at = request.header("x-slack-request-timestamp");
            let signature = hex(&[b"v0:", at.as_bytes(), b":", body], secrets[0]);
            vec![("x-slack-request-timestamp", at.to_owned()), ("x-slack-signature", format!("v0={signature}"))]
        }
        "shopify" => vec![("x-shopify-hmac-sha256", BASE64.encode(&sha256(secrets[0].as_bytes(), &[body])))],
        "x-signature" => vec![("x-signature-algo", "sha256".to_owned()), ("x-signature", hex(&[body], secrets[0]))],
        other => panic!("no scheme {other}"),
    }
}

/// The attempt's second that the request was signed with, where the scheme carries one.
pub(crate) fn timestamp(scheme: &str, request: &Request) -> Option<u64> {
    let text = match scheme {
        "standard" => request.header("webhook-timestamp"),
        "slack" => request.header("x-slack-request-timestamp"),
        "stripe" => request.header("stripe-signature").strip_prefix("t=")?.split(',').next()?,
        _ => return None,
    };
    Some(text.parse().unwrap_or_else(|_| panic!("not a timestamp in seconds: {text:?}")))
}

#[track_caller]
pub(crate) fn assert_verifies(scheme: &str, secrets: &[&str], request: &Request) {
    for (name, value) in expected(scheme, secrets, request) {
        assert_eq!(request.header(name), value, "{scheme}: {name}");
    }
    if let Some(at) = timestamp(scheme, request) {
        assert_is_now(at);
    }
}

/// In seconds, or in milliseconds.
#[track_caller]
pub(crate) fn assert_is_now(at: u64) {
    let seconds = if at > 100_000_000_000 { at / 1000 } else { at };
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(now.abs_diff(seconds) < 60, "signed at {at}, now is {now}");
}

/// What an `http-message` table must have written, and when; the digest is the same in every run.
pub(crate) fn message(table: &toml::Value, secret: &str, request: &Request) -> (u64, Vec<(&'static str, String)>) {
    let algorithm = table.get("algorithm").map_or("hmac-sha256", |name| name.as_str().unwrap());
    let key_id = table["key_id"].as_str().unwrap().replace('"', "\\\"");
    let input = request.header("signature-input");
    let created = input.split(";created=").nth(1).and_then(|rest| rest.split(';').next()).expect("created");
    let covered = "(\"@method\" \"@target-uri\" \"content-type\" \"content-digest\")";
    let parameters = format!("{covered};created={created};keyid=\"{key_id}\";alg=\"{algorithm}\"");
    let base = format!(
        "\"@method\": {}\n\"@target-uri\": http://{}{}\n\"content-type\": {}\n\"content-digest\": {}\n\"@signature-params\": {parameters}",
        request.method,
        request.header("host"),
        request.path,
        request.header("content-type"),
        request.header("content-digest"),
    );
    let signature = match algorithm {
        "ed25519" => ed25519(secret, base.as_bytes()),
        _ => sha256(secret.as_bytes(), &[base.as_bytes()]),
    };
    let headers =
        vec![("signature-input", format!("sig1={parameters}")), ("signature", format!("sig1=:{}:", BASE64.encode(&signature)))];
    (created.parse().expect("a time"), headers)
}

/// What an `hmac` table of `key = "base64"`, `encoding = "base64url"` and `algorithm = "sha512"` must have written, where it
/// signs milliseconds that `x-time` carries.
pub(crate) fn timed_template(table: &toml::Value, secret: &str, request: &Request) -> Option<(u64, Vec<(&'static str, String)>)> {
    let signed = table["signed"].as_str().unwrap();
    let rest = signed.strip_prefix("{timestamp_ms}")?.strip_suffix("{body}")?;
    let at = request.header("x-time");
    let mut mac = Hmac::<Sha512>::new_from_slice(&BASE64.decode(secret.as_bytes()).unwrap()).unwrap();
    [at.as_bytes(), rest.as_bytes(), &request.body].iter().for_each(|part| mac.update(part));
    let signature = BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
    Some((at.parse().expect("a time"), vec![("x-sig", signature), ("x-time", at.to_owned())]))
}

/// With `whsk_` and the base64 of a seed, which a public key may follow.
fn ed25519(secret: &str, message: &[u8]) -> Vec<u8> {
    let bytes = BASE64.decode(secret.strip_prefix("whsk_").expect("an Ed25519 key").as_bytes()).unwrap();
    Ed25519KeyPair::from_seed_unchecked(&bytes[..32]).unwrap().sign(message).as_ref().to_vec()
}

pub(crate) fn sha256(key: &[u8], signed: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    signed.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}
