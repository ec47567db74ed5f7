//! HTTP message signatures (RFC 9421) over a digest of the body (RFC 9530).
//!
//! What is signed is the method, the target URI, `content-type` and `content-digest`; what is verified is whatever the
//! request says it signed, as long as it can be read off the request.

use std::fmt::Write as _;

use data_encoding::BASE64;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{
    Error, Stamp, Verified, VerifyError,
    mac::{self, Pair},
    path_of,
    secret::Secret,
};

/// How a message is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageScheme {
    pub algorithm: MessageAlgorithm,
    /// What the receiver knows the key by: visible ASCII and blanks.
    pub key_id: String,
}

/// The algorithms of RFC 9421, section 3.3, that this can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageAlgorithm {
    Ed25519,
    HmacSha256,
}

impl MessageAlgorithm {
    pub const NAMES: &'static [(&'static str, MessageAlgorithm)] =
        &[("hmac-sha256", MessageAlgorithm::HmacSha256), ("ed25519", MessageAlgorithm::Ed25519)];

    fn name(self) -> &'static str {
        match self {
            MessageAlgorithm::Ed25519 => "ed25519",
            MessageAlgorithm::HmacSha256 => "hmac-sha256",
        }
    }
}

/// A scheme with its key: the first secret's signs, all of them verify.
pub(super) struct Message {
    /// What follows `created` in the parameters.
    tail: String,
    keys: Vec<Key>,
}

enum Key {
    Ed25519(Pair),
    HmacSha256(Box<Hmac<Sha256>>),
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        let probe = |message: &Message| message.keys.iter().map(|key| key.sign(b"probe")).collect::<Vec<_>>();
        self.tail == other.tail && probe(self) == probe(other)
    }
}

impl Message {
    pub(super) fn new(scheme: &MessageScheme, secrets: &[Secret]) -> Result<Message, Error> {
        if !scheme.key_id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') || scheme.key_id.is_empty() {
            return Err(Error::KeyId);
        }
        let key = |(nth, secret): (usize, &Secret)| match scheme.algorithm {
            MessageAlgorithm::Ed25519 => mac::pair(secret, nth).map(Key::Ed25519),
            MessageAlgorithm::HmacSha256 => mac::text_key(secret, nth).map(|key| Key::HmacSha256(Box::new(key))),
        };
        let keys: Vec<Key> = secrets.iter().enumerate().map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(Error::NoSecret);
        }
        let key_id = scheme.key_id.replace('\\', "\\\\").replace('"', "\\\"");
        Ok(Message { tail: format!(";keyid=\"{key_id}\";alg=\"{}\"", scheme.algorithm.name()), keys })
    }

    pub(super) fn sign(&self, stamp: &Stamp<'_>, headers: &mut HeaderMap) {
        let digest = format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(stamp.body)));
        let parameters = format!("{COVERED};created={}{}", stamp.unix_millis / 1000, self.tail);
        let mut base =
            format!("\"@method\": {}\n\"@target-uri\": {}\n\"content-type\": ", stamp.method, stamp.target_uri).into_bytes();
        base.extend_from_slice(stamp.content_type.trim_ascii());
        base.extend_from_slice(format!("\n\"content-digest\": {digest}\n\"@signature-params\": {parameters}").as_bytes());
        let signature = self.keys.first().map(|key| BASE64.encode(&key.sign(&base))).unwrap_or_default();
        let values = [digest, format!("sig1={parameters}"), format!("sig1=:{signature}:")];
        for (name, value) in NAMES.iter().zip(values) {
            // All of it is visible ASCII: the key's id was checked.
            headers.insert(name.clone(), HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("")));
        }
    }

    pub(super) fn verify(&self, headers: &HeaderMap, method: &str, target: &str, body: &[u8]) -> Result<Verified, VerifyError> {
        let input = joined(headers, &SIGNATURE_INPUT)?;
        let signatures = joined(headers, &SIGNATURE)?;
        let request = Request { headers, method, target };
        // Any of several signatures will do: others may be of other keys.
        let mut outcome = Err(VerifyError::Mismatch);
        for (label, parameters) in members(&input) {
            let stated = members(&signatures).into_iter().find(|(other, _)| *other == label).map(|(_, value)| value);
            let bytes = stated
                .and_then(|value| value.strip_prefix(':')?.strip_suffix(':'))
                .and_then(|text| BASE64.decode(text.as_bytes()).ok())
                .ok_or(VerifyError::Unreadable { name: SIGNATURE })?;
            let (base, covered) = request.base(parameters)?;
            let is_right = self.keys.iter().fold(false, |found, key| found | bool::from(key.sign(&base).ct_eq(&bytes)));
            if !is_right {
                continue;
            }
            // Without it the body could be any.
            if !covered.iter().any(|component| component == "content-digest") {
                return Err(VerifyError::Uncovered { component: "content-digest" });
            }
            check_digest(headers, body)?;
            let created = parameters.split(';').find_map(|parameter| parameter.strip_prefix("created="));
            outcome = Ok(Verified { timestamp: created.and_then(|created| created.parse().ok()) });
        }
        outcome
    }
}

impl Key {
    fn sign(&self, base: &[u8]) -> Vec<u8> {
        match self {
            Key::Ed25519(pair) => pair.sign(base).to_vec(),
            Key::HmacSha256(key) => {
                let mut mac = (**key).clone();
                mac.update(base);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }
}

/// A request as it arrived.
struct Request<'a> {
    headers: &'a HeaderMap,
    method: &'a str,
    target: &'a str,
}

impl Request<'_> {
    /// The signature base of these parameters (RFC 9421, section 2.5), and the components it covers.
    fn base(&self, parameters: &str) -> Result<(Vec<u8>, Vec<String>), VerifyError> {
        let unreadable = || VerifyError::Unreadable { name: SIGNATURE_INPUT };
        let (list, _) = parameters.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or_else(unreadable)?;
        let mut base = Vec::new();
        let mut covered = Vec::new();
        for item in list.split_ascii_whitespace() {
            // A component with parameters of its own is more than is understood here.
            let name = item.strip_prefix('"').and_then(|item| item.strip_suffix('"')).ok_or_else(unreadable)?;
            base.extend_from_slice(format!("\"{name}\": ").as_bytes());
            base.extend_from_slice(&self.component(name)?);
            base.push(b'\n');
            covered.push(name.to_owned());
        }
        base.extend_from_slice(format!("\"@signature-params\": {parameters}").as_bytes());
        Ok((base, covered))
    }

    fn component(&self, name: &str) -> Result<Vec<u8>, VerifyError> {
        let target = path_of(self.target);
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let text = match name {
            "@authority" => self.authority()?,
            "@method" => self.method.to_owned(),
            "@path" => path.to_owned(),
            "@query" => format!("?{}", query.unwrap_or_default()),
            "@request-target" => target.to_owned(),
            "@scheme" => self.scheme().to_owned(),
            "@target-uri" if self.target.contains("://") => self.target.to_owned(),
            "@target-uri" => format!("{}://{}{target}", self.scheme(), self.authority()?),
            field => {
                let name = HeaderName::try_from(field).map_err(|_| VerifyError::Unreadable { name: SIGNATURE_INPUT })?;
                return joined(self.headers, &name).map(String::into_bytes);
            }
        };
        Ok(text.into_bytes())
    }

    fn scheme(&self) -> &str {
        self.target.split_once("://").map_or("http", |(scheme, _)| scheme)
    }

    fn authority(&self) -> Result<String, VerifyError> {
        if let Some(authority) =
            self.target.parse::<Uri>().ok().and_then(|uri| Some(uri.authority()?.as_str().to_ascii_lowercase()))
        {
            return Ok(authority);
        }
        joined(self.headers, &header::HOST).map(|host| host.to_ascii_lowercase())
    }
}

/// Compares every digest in `content-digest` that is known with the body's.
fn check_digest(headers: &HeaderMap, body: &[u8]) -> Result<(), VerifyError> {
    let value = joined(headers, &CONTENT_DIGEST)?;
    let mut known = 0;
    for (algorithm, digest) in members(&value) {
        let right = match algorithm {
            "sha-256" => BASE64.encode(&Sha256::digest(body)),
            "sha-512" => BASE64.encode(&Sha512::digest(body)),
            _ => continue,
        };
        known += 1;
        if digest != format!(":{right}:") {
            return Err(VerifyError::Digest);
        }
    }
    if known > 0 { Ok(()) } else { Err(VerifyError::Unreadable { name: CONTENT_DIGEST }) }
}

/// The value of a field, all its lines put together (RFC 9421, section 2.1).
fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<String, VerifyError> {
    let mut text = String::new();
    for (n, line) in headers.get_all(name).into_iter().enumerate() {
        let line = std::str::from_utf8(line.as_bytes()).map_err(|_| VerifyError::Unreadable { name: name.clone() })?;
        let separator = if n == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{}", line.trim());
    }
    if headers.contains_key(name) { Ok(text) } else { Err(VerifyError::Missing { name: name.clone() }) }
}

/// The members of a dictionary (RFC 9651, section 3.2), with their values as they stand.
fn members(text: &str) -> Vec<(&str, &str)> {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0i32);
    let pieces = text.split(move |character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        character == ',' && !quoted && depth == 0
    });
    pieces.filter_map(|piece| piece.trim().split_once('=')).collect()
}

/// What is signed.
const COVERED: &str = "(\"@method\" \"@target-uri\" \"content-type\" \"content-digest\")";

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// In the order in which they are written.
pub(super) static NAMES: [HeaderName; 3] = [CONTENT_DIGEST, SIGNATURE_INPUT, SIGNATURE];

#[cfg(test)]
mod tests {
    use hmac::KeyInit;

    use super::*;

    /// The request of RFC 9421, appendix B.2.
    fn example() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            (
                "content-digest",
                "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
            ),
            ("content-length", "18"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn base(headers: &HeaderMap, parameters: &str) -> Vec<u8> {
        let request = Request { headers, method: "POST", target: "https://example.com/foo?param=Value&Pet=dog" };
        request.base(parameters).unwrap().0
    }

    /// RFC 9421, B.2.5: HMAC-SHA256 with the shared secret of B.1.5.
    #[test]
    fn the_rfcs_hmac_example_is_made() {
        let parameters = r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
        let secret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
        let key: Hmac<Sha256> = Hmac::new_from_slice(&BASE64.decode(secret.as_bytes()).unwrap()).unwrap();
        let signature = Key::HmacSha256(Box::new(key)).sign(&base(&example(), parameters));
        assert_eq!(BASE64.encode(&signature), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    }

    /// RFC 9421, B.2.6: Ed25519 with the key of B.1.4.
    #[test]
    fn the_rfcs_ed25519_example_is_made() {
        let parameters = r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
        let seed = data_encoding::BASE64URL_NOPAD.decode(b"n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU").unwrap();
        let secret = Secret::new(format!("whsk_{}", BASE64.encode(&seed)));
        let signature = Key::Ed25519(mac::pair(&secret, 0).unwrap()).sign(&base(&example(), parameters));
        assert_eq!(
            BASE64.encode(&signature),
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
        );
    }

    #[test]
    fn a_dictionary_is_split_at_its_own_commas_only() {
        let text = r#"sig1=("a" "b");keyid="x,\"y",  sig2=:AA==:"#;
        assert_eq!(members(text), [("sig1", r#"("a" "b");keyid="x,\"y""#), ("sig2", ":AA==:")]);
    }

    #[test]
    fn what_covers_no_body_or_another_is_refused() {
        let message = Message::new(
            &MessageScheme { algorithm: MessageAlgorithm::HmacSha256, key_id: "k".into() },
            &[Secret::new("secret".into())],
        )
        .unwrap();
        let stamp = Stamp {
            id: "1",
            event_type: "t",
            unix_millis: 1_618_884_473_000,
            method: "POST",
            path: "/hook",
            target_uri: "http://example.com/hook",
            content_type: b"text/plain",
            body: b"hello",
        };
        let mut headers = example();
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        message.sign(&stamp, &mut headers);
        let verify = |headers: &HeaderMap, target, body: &[u8]| message.verify(headers, "POST", target, body);
        let right = Verified { timestamp: Some(1_618_884_473) };
        assert_eq!(verify(&headers, "/hook", b"hello"), Ok(right), "the authority is the host's");
        assert_eq!(verify(&headers, "http://example.com/hook", b"hello"), Ok(right));
        assert_eq!(verify(&headers, "/hook", b"hellO"), Err(VerifyError::Digest));
        assert_eq!(verify(&headers, "https://example.com/hook", b"hello"), Err(VerifyError::Mismatch));
        let parameters = "(\"@method\");created=1";
        let signature = message.keys[0].sign(&base(&headers, parameters));
        headers.insert("signature-input", format!("a={parameters}").parse().unwrap());
        headers.insert("signature", format!("a=:{}:", BASE64.encode(&signature)).parse().unwrap());
        let uncovered = VerifyError::Uncovered { component: "content-digest" };
        assert_eq!(verify(&headers, "/hook", b"hello"), Err(uncovered));
    }
}
