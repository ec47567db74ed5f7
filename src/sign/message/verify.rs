//! The receiver's side: what was signed is read off the request, and any right signature will do.
//!
//! **Invariant:** a signature that does not cover the body's digest is no right one.

use data_encoding::BASE64;
use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::{
    CONTENT_DIGEST, Key, MessageAlgorithm, MessageScheme, SIGNATURE, SIGNATURE_INPUT,
    fields::{Input, joined, members},
};
use crate::sign::{Error, Secret, Verified, VerifyError, mac::Public, verify::Request};

/// What requests are verified with.
pub(in crate::sign) struct Known {
    pub(super) algorithm: MessageAlgorithm,
    pub(super) keys: Vec<Key>,
    /// None where requests are signed as well.
    pub(super) public: Vec<Public>,
}

impl Known {
    /// Of a receiver, for whom public keys are enough. The key's id is the sender's to say: nothing is verified by it.
    pub(in crate::sign) fn of_receiver(scheme: &MessageScheme, secrets: &[Secret]) -> Result<Known, Error> {
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
    pub(in crate::sign) fn verify(&self, request: Request<'_>) -> Result<Verified, VerifyError> {
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

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit};
    use http::HeaderValue;

    use super::*;
    use crate::sign::{
        Stamp, mac,
        message::{Message, MessageAlgorithm},
    };

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
