//! The receivers' side of INTERFACE 4, written a second time: what each scheme's headers must be for a request.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

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
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(now.abs_diff(at) < 60, "{scheme}: signed at {at}, now is {now}");
    }
}

pub(crate) fn sha256(key: &[u8], signed: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    signed.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}
