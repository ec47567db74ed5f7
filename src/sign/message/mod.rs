//! HTTP message signatures (RFC 9421) over a digest of the body (RFC 9530).
//!
//! What is signed is the method, the target URI, `content-type` and `content-digest`; what is verified is whatever the
//! request says it signed, as long as it can be read off the request.

mod fields;
mod verify;

use data_encoding::BASE64;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

pub(super) use self::verify::Known;
use super::{
    Error, Stamp, Verified, VerifyError,
    mac::{self, Pair},
    secret::Secret,
    verify::Request,
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
    known: Known,
}

enum Key {
    Ed25519(Pair),
    HmacSha256(Box<Hmac<Sha256>>),
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        let probe = |message: &Message| message.known.keys.iter().map(|key| key.sign(b"probe")).collect::<Vec<_>>();
        self.tail == other.tail && probe(self) == probe(other)
    }
}

impl Message {
    pub(super) fn new(scheme: &MessageScheme, secrets: &[Secret]) -> Result<Message, Error> {
        if !scheme.key_id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') || scheme.key_id.is_empty() {
            return Err(Error::KeyId);
        }
        let keys = secrets.iter().enumerate().map(|(nth, secret)| Key::new(scheme.algorithm, secret, nth));
        let known = Known { algorithm: scheme.algorithm, keys: keys.collect::<Result<_, _>>()?, public: Vec::new() };
        if known.keys.is_empty() {
            return Err(Error::NoSecret);
        }
        let key_id = scheme.key_id.replace('\\', "\\\\").replace('"', "\\\"");
        Ok(Message { tail: format!(";keyid=\"{key_id}\";alg=\"{}\"", scheme.algorithm.name()), known })
    }

    pub(super) fn sign(&self, stamp: &Stamp<'_>, headers: &mut HeaderMap) {
        let digest = format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(stamp.body)));
        let parameters = format!("{COVERED};created={}{}", stamp.unix_millis / 1000, self.tail);
        let mut base =
            format!("\"@method\": {}\n\"@target-uri\": {}\n\"content-type\": ", stamp.method, stamp.target_uri).into_bytes();
        base.extend_from_slice(stamp.content_type.trim_ascii());
        base.extend_from_slice(format!("\n\"content-digest\": {digest}\n\"@signature-params\": {parameters}").as_bytes());
        let signature = self.known.keys.first().map(|key| BASE64.encode(&key.sign(&base))).unwrap_or_default();
        let values = [digest, format!("sig1={parameters}"), format!("sig1=:{signature}:")];
        for (name, value) in NAMES.iter().zip(values) {
            // All of it is visible ASCII: the key's id was checked.
            headers.insert(name.clone(), HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("")));
        }
    }

    pub(super) fn verify(&self, request: Request<'_>) -> Result<Verified, VerifyError> {
        self.known.verify(request)
    }
}

impl Key {
    fn new(algorithm: MessageAlgorithm, secret: &Secret, nth: usize) -> Result<Key, Error> {
        match algorithm {
            MessageAlgorithm::Ed25519 => mac::pair(secret, nth).map(Key::Ed25519),
            MessageAlgorithm::HmacSha256 => mac::text_key(secret, nth).map(|key| Key::HmacSha256(Box::new(key))),
        }
    }

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

/// What is signed.
const COVERED: &str = "(\"@method\" \"@target-uri\" \"content-type\" \"content-digest\")";

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// In the order in which they are written.
pub(super) static NAMES: [HeaderName; 3] = [CONTENT_DIGEST, SIGNATURE_INPUT, SIGNATURE];
