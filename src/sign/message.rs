//! HTTP message signatures (RFC 9421) over a digest of the body (RFC 9530).
//!
//! What is signed is the method, the target URI, `content-type` and `content-digest`; what is verified is whatever the
//! request says it signed, as long as it can be read off the request.

use std::fmt::Write as _;

use data_encoding::BASE64;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{
    Error, Stamp, Verified, VerifyError,
    mac::{self, Pair, Public},
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

/// What requests are verified with.
pub(super) struct Known {
    algorithm: MessageAlgorithm,
    keys: Vec<Key>,
    /// None where requests are signed as well.
    public: Vec<Public>,
}

pub(super) enum Key {
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

impl Known {
    /// Of a receiver, for whom public keys are enough. The key's id is the sender's to say: nothing is verified by it.
    pub(super) fn of_receiver(scheme: &MessageScheme, secrets: &[Secret]) -> Result<Known, Error> {
        let algorithm = scheme.algorithm;
        let mut known = Known { algorithm, keys: Vec::new(), public: Vec::new() };
        for (nth, secret) in secrets.iter().enumerate() {
            match Public::read(secret, nth).filter(|_| algorithm == MessageAlgorithm::Ed25519) {
                Some(key) => known.public.push(key?),
                None => known.keys.push(Key::new(algorithm, secret, nth)?),
            }
        }
        if secrets.is_empty() { Err(Error::NoSecret) } else { Ok(known) }
    }

    /// Any of several signatures will do: others may be of other keys, or over what is not understood here.
    pub(super) fn verify(&self, request: Request<'_>) -> Result<Verified, VerifyError> {
        let input = joined(request.headers, &SIGNATURE_INPUT)?;
        let signatures = joined(request.headers, &SIGNATURE)?;
        let signatures = members(&signatures);
        let mut closest: Option<VerifyError> = None;
        for (label, parameters) in members(&input) {
            let signature = signatures.iter().find(|(other, _)| *other == label).map(|(_, value)| *value);
            match self.verify_one(request, parameters, signature) {
                Ok(verified) => return Ok(verified),
                Err(error) if closest.as_ref().is_none_or(|closest| nearness(&error) > nearness(closest)) => {
                    closest = Some(error)
                }
                Err(_) => {}
            }
        }
        Err(closest.unwrap_or(VerifyError::Mismatch))
    }

    fn verify_one(&self, request: Request<'_>, parameters: &str, signature: Option<&str>) -> Result<Verified, VerifyError> {
        let signature = signature
            .and_then(|value| value.strip_prefix(':')?.strip_suffix(':'))
            .and_then(|text| BASE64.decode(text.as_bytes()).ok())
            .ok_or(VerifyError::Unreadable { name: SIGNATURE })?;
        let input = Input::read(parameters).ok_or(VerifyError::Unreadable { name: SIGNATURE_INPUT })?;
        if let Some(name) = input.parameter("alg").filter(|name| *name != self.algorithm.name()) {
            return Err(VerifyError::Algorithm { name: name.to_owned() });
        }
        let base = base(request, &input)?;
        let is_right = self.keys.iter().fold(false, |found, key| found | bool::from(key.sign(&base).ct_eq(&signature)))
            || self.public.iter().any(|key| key.verifies(&base, &signature));
        if !is_right {
            return Err(VerifyError::Mismatch);
        }
        // Without it the body could be any.
        if !input.components.contains(&"\"content-digest\"") {
            return Err(VerifyError::Uncovered { component: "content-digest" });
        }
        check_digest(request.headers, request.body)?;
        let time = |name| input.parameter(name).and_then(|seconds| seconds.parse().ok());
        Ok(Verified { timestamp: time("created"), expires: time("expires") })
    }
}

/// How much an error tells: what was signed with a known key comes before what may be another's.
fn nearness(error: &VerifyError) -> u8 {
    match error {
        VerifyError::Digest | VerifyError::Uncovered { .. } => 2,
        VerifyError::Mismatch => 1,
        _ => 0,
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

/// A member of `signature-input`: an inner list and its parameters (RFC 9651, section 3.1.1).
struct Input<'a> {
    /// With their quotes, and their own parameters.
    components: Vec<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Input<'a> {
    fn read(text: &'a str) -> Option<Input<'a>> {
        let mut rest = text.strip_prefix('(')?;
        let mut components = Vec::new();
        loop {
            rest = rest.trim_start_matches(' ');
            if let Some(behind) = rest.strip_prefix(')') {
                let (parameters, rest) = parameters(behind)?;
                return rest.is_empty().then_some(Input { components, parameters });
            }
            let (_, behind) = bare_item(rest)?;
            let (_, behind) = parameters(behind)?;
            components.push(&rest[..rest.len() - behind.len()]);
            rest = behind;
        }
    }

    /// Without its quotes.
    fn parameter(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.parameters.iter().find(|(other, _)| *other == name)?;
        Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
    }

    /// As both sides write it, whatever blanks it came with.
    fn canonical(&self) -> String {
        let mut text = format!("({})", self.components.join(" "));
        for (name, value) in &self.parameters {
            let separator = if value.is_empty() { "" } else { "=" };
            // Writing to a string cannot fail.
            let _ = write!(text, ";{name}{separator}{value}");
        }
        text
    }
}

/// The parameters that `rest` begins with, and what is behind them.
fn parameters(mut rest: &str) -> Option<(Vec<(&str, &str)>, &str)> {
    let mut parameters = Vec::new();
    while let Some(behind) = rest.strip_prefix(';') {
        let behind = behind.trim_start_matches(' ');
        let is_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*');
        let (name, behind) = behind.split_at(behind.bytes().take_while(|byte| is_key(*byte)).count());
        let (value, behind) = match behind.strip_prefix('=') {
            Some(value) => bare_item(value)?,
            None => ("", behind),
        };
        parameters.push((name, value));
        rest = behind;
    }
    Some((parameters, rest))
}

/// The value, a string or anything shorter, that `text` begins with, and what is behind it.
fn bare_item(text: &str) -> Option<(&str, &str)> {
    let end = match text.strip_prefix('"') {
        Some(string) => {
            let mut escaped = false;
            let closes = |character: char| {
                let closes = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                closes
            };
            string.find(closes)? + 2
        }
        None => text.find([' ', ';', ')']).unwrap_or(text.len()),
    };
    (end > 0).then(|| text.split_at(end))
}

/// The signature base of this input (RFC 9421, section 2.5).
fn base(request: Request<'_>, input: &Input<'_>) -> Result<Vec<u8>, VerifyError> {
    let mut base = Vec::new();
    for component in &input.components {
        // A component with parameters of its own is more than is understood here.
        let name = component.strip_prefix('"').and_then(|name| name.strip_suffix('"')).filter(|name| !name.contains('"'));
        let name = name.ok_or(VerifyError::Unreadable { name: SIGNATURE_INPUT })?;
        base.extend_from_slice(format!("{component}: {}\n", request.component(name)?).as_bytes());
    }
    base.extend_from_slice(format!("\"@signature-params\": {}", input.canonical()).as_bytes());
    Ok(base)
}

impl Request<'_> {
    fn component(&self, name: &str) -> Result<String, VerifyError> {
        let target = self.path();
        let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
        Ok(match name {
            "@authority" => self.authority()?,
            "@method" => self.method.to_owned(),
            "@path" => path.to_owned(),
            "@query" => format!("?{}", query.unwrap_or_default()),
            "@request-target" => target.into_owned(),
            "@scheme" => self.scheme(),
            "@target-uri" => format!("{}://{}{target}", self.scheme(), self.authority()?),
            field => {
                let name = HeaderName::try_from(field).map_err(|_| VerifyError::Unreadable { name: SIGNATURE_INPUT })?;
                joined(self.headers, &name)?
            }
        })
    }

    fn scheme(&self) -> String {
        self.target.split_once("://").map_or("http", |(scheme, _)| scheme).to_ascii_lowercase()
    }

    /// In lower case, without the scheme's own port (RFC 9421, section 2.2.3).
    fn authority(&self) -> Result<String, VerifyError> {
        let authority = match self.target.split_once("://") {
            Some((_, rest)) => rest.split(['/', '?']).next().unwrap_or_default().to_ascii_lowercase(),
            None => joined(self.headers, &header::HOST)?.to_ascii_lowercase(),
        };
        let port = if self.scheme() == "https" { ":443" } else { ":80" };
        Ok(authority.strip_suffix(port).or(authority.strip_suffix(':')).map_or(authority.clone(), str::to_owned))
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
        let request = Request { headers, method: "POST", target: "https://example.com/foo?param=Value&Pet=dog", body: b"" };
        super::base(request, &Input::read(parameters).unwrap()).unwrap()
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
        let verify = |headers: &HeaderMap, target, body: &[u8]| message.verify(Request { headers, method: "POST", target, body });
        let right = Verified { timestamp: Some(1_618_884_473), expires: None };
        assert_eq!(verify(&headers, "/hook", b"hello"), Ok(right), "the authority is the host's");
        assert_eq!(verify(&headers, "http://example.com/hook", b"hello"), Ok(right));
        assert_eq!(verify(&headers, "/hook", b"hellO"), Err(VerifyError::Digest));
        assert_eq!(verify(&headers, "https://example.com/hook", b"hello"), Err(VerifyError::Mismatch));
        let parameters = "(\"@method\");created=1";
        let signature = message.known.keys[0].sign(&base(&headers, parameters));
        headers.insert("signature-input", format!("a={parameters}").parse().unwrap());
        headers.insert("signature", format!("a=:{}:", BASE64.encode(&signature)).parse().unwrap());
        let uncovered = VerifyError::Uncovered { component: "content-digest" };
        assert_eq!(verify(&headers, "/hook", b"hello"), Err(uncovered));
    }

    const TARGET: &str = "https://example.com/foo?param=Value&Pet=dog";
    const DIGEST: &str = "(\"@method\" \"content-digest\")";

    fn receiver(secret: &str) -> Known {
        let scheme = MessageScheme { algorithm: MessageAlgorithm::HmacSha256, key_id: "-".into() };
        Known::of_receiver(&scheme, &[Secret::new(secret.into())]).unwrap()
    }

    /// What comes of the example with these members of `signature-input`, each signed as its key says, none where it is empty.
    fn verified(signed: &[(&str, &str, &str)]) -> Result<Verified, VerifyError> {
        let mut headers = example();
        for (label, parameters, key) in signed {
            headers.append("signature-input", format!("{label}={parameters}").parse().unwrap());
            if !key.is_empty() {
                let base = Input::read(parameters).and_then(|input| {
                    let request = Request { headers: &headers, method: "POST", target: TARGET, body: b"" };
                    super::base(request, &input).ok()
                });
                let signature = receiver(key).keys[0].sign(&base.unwrap_or_default());
                headers.append("signature", format!("{label}=:{}:", BASE64.encode(&signature)).parse().unwrap());
            }
        }
        receiver("key").verify(Request { headers: &headers, method: "POST", target: TARGET, body: br#"{"hello": "world"}"# })
    }

    #[test]
    fn a_right_signature_is_found_among_others() {
        let good = ("good", &*format!("{DIGEST};created=5"), "key");
        let right = Ok(Verified { timestamp: Some(5), expires: None });
        assert_eq!(verified(&[good]), right);
        for (other, alone) in [
            (("q", "(\"@query-param\";name=\"x\");created=1", "key"), VerifyError::Unreadable { name: SIGNATURE_INPUT }),
            (("a", "(\"x-absent\")", "key"), VerifyError::Missing { name: HeaderName::from_static("x-absent") }),
            (("n", DIGEST, "other"), VerifyError::Mismatch),
            (("u", "(\"@method\")", "key"), VerifyError::Uncovered { component: "content-digest" }),
            (
                ("r", &format!("{DIGEST};alg=\"rsa-v1_5-sha256\""), "key"),
                VerifyError::Algorithm { name: "rsa-v1_5-sha256".into() },
            ),
            (("m", DIGEST, ""), VerifyError::Missing { name: SIGNATURE }),
        ] {
            assert_eq!(verified(&[other, good]), right, "{other:?}");
            assert_eq!(verified(&[good, other]), right, "{other:?}");
            assert_eq!(verified(&[other]), Err(alone), "{other:?}");
        }
        let (mismatch, unread) = (("n", DIGEST, "other"), ("q", "(\"@path\";x)", "key"));
        assert_eq!(
            verified(&[unread, mismatch, ("u", "()", "key")]),
            Err(VerifyError::Uncovered { component: "content-digest" })
        );
        assert_eq!(verified(&[unread, mismatch]), Err(VerifyError::Mismatch));
    }

    #[test]
    fn parameters_are_read_as_structured_fields() {
        let tail = ";created=5;expires=7;keyid=\"k;created=9\\\"\";alg=\"hmac-sha256\";flag;tag=x";
        let right = Ok(Verified { timestamp: Some(5), expires: Some(7) });
        assert_eq!(verified(&[("a", &format!("{DIGEST}{tail}"), "key")]), right);
        let spaced = format!("(  \"@method\"   \"content-digest\" ){}", tail.replacen(';', "; ", 3));
        assert_eq!(verified(&[("a", &spaced, "key")]), right);
        assert_eq!(Input::read(&spaced).unwrap().canonical(), format!("{DIGEST}{tail}"));
        for wrong in ["", "\"a\"", "(\"a\"", "(\"a\")x", "(\"a\");b=", "(\"a)"] {
            assert!(Input::read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn an_authority_is_compared_as_its_scheme_has_it() {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("Example.COM:80"))]);
        for (target, uri) in [
            ("/a?b", "http://example.com/a?b"),
            ("HTTPS://A.example:443?b", "https://a.example/?b"),
            ("https://a.example:80/", "https://a.example:80/"),
            ("http://[::1]:80", "http://[::1]/"),
        ] {
            let request = Request { headers: &headers, method: "POST", target, body: b"" };
            assert_eq!(request.component("@target-uri").unwrap(), uri, "{target}");
        }
    }
}
