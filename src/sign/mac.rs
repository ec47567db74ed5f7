//! Keys, and what is made with them.
//!
//! Comes in: a secret and the form it is written in, then the pieces of what is signed. Goes out: the signature's text,
//! on the stack.
//!
//! **Invariant:** a [`Key`] holds an HMAC that has taken in its key already; a signature costs no allocation and never
//! joins the pieces it is made over.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use super::{
    Error,
    scheme::{Algorithm, Encoding, KeyForm},
    secret::Secret,
};

pub(super) enum Key {
    Ed25519(Pair),
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    /// Makes the key of `secret`, which is the `nth` of its scheme, from 0.
    pub(super) fn new(algorithm: Algorithm, form: KeyForm, secret: &Secret, nth: usize) -> Result<Key, Error> {
        if form == KeyForm::Standard && secret.expose().starts_with(PRIVATE) {
            return pair(secret, nth).map(Key::Ed25519);
        }
        let bytes = key_bytes(form, secret.expose(), nth)?;
        Ok(match algorithm {
            Algorithm::Sha1 => Key::Sha1(keyed(&bytes)),
            Algorithm::Sha256 => Key::Sha256(keyed(&bytes)),
            Algorithm::Sha512 => Key::Sha512(keyed(&bytes)),
        })
    }

    /// Whether signatures are made with a private key, and how long their text is, which is the same for all of a key.
    pub(super) fn length(&self, encoding: Encoding) -> (bool, usize) {
        let bytes = match self {
            Key::Ed25519(_) | Key::Sha512(_) => 64,
            Key::Sha1(_) => 20,
            Key::Sha256(_) => 32,
        };
        (matches!(self, Key::Ed25519(_)), alphabet(encoding).encode_len(bytes))
    }

    pub(super) fn sign<'a>(&self, encoding: Encoding, pieces: impl Iterator<Item = &'a [u8]>) -> Signature {
        match self {
            Key::Ed25519(pair) => {
                // Ed25519 takes a message whole, for it looks at it twice (RFC 8032).
                let message = pieces.collect::<Vec<_>>().concat();
                Signature { asymmetric: true, ..Signature::new(encoding, &pair.sign(&message)) }
            }
            Key::Sha1(mac) => Signature::new(encoding, &authenticate(mac, pieces)),
            Key::Sha256(mac) => Signature::new(encoding, &authenticate(mac, pieces)),
            Key::Sha512(mac) => Signature::new(encoding, &authenticate(mac, pieces)),
        }
    }
}

/// An Ed25519 key, as it signs. It is ring's, which does not wipe it.
pub(super) struct Pair(Ed25519KeyPair);

impl Pair {
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(message).as_ref());
        bytes
    }
}

/// An Ed25519 key as receivers have it, who sign nothing.
pub(super) struct Public(Box<[u8]>);

impl Public {
    /// Reads `whpk_` and base64; `None` for what does not say that it is a public key.
    pub(super) fn read(secret: &Secret, nth: usize) -> Option<Result<Public, Error>> {
        let bytes = base64(secret.expose().strip_prefix(PUBLIC)?).filter(|bytes| bytes.len() == 32);
        Some(bytes.map(|bytes| Public(bytes.into())).ok_or(Error::KeyPoint { nth }))
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

/// Reads `whsk_` and the base64 of a seed, or of a seed and its public key (Standard Webhooks).
pub(super) fn pair(secret: &Secret, nth: usize) -> Result<Pair, Error> {
    let text = secret.expose();
    if text.starts_with(PUBLIC) {
        return Err(Error::KeyPublic { nth });
    }
    let bytes = text.strip_prefix(PRIVATE).and_then(base64).ok_or(Error::KeySeed { nth })?;
    let bytes = Zeroizing::new(bytes);
    let pair = match bytes.len() {
        32 => Ed25519KeyPair::from_seed_unchecked(&bytes),
        64 => Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]),
        _ => return Err(Error::KeySeed { nth }),
    };
    pair.map(Pair).map_err(|_| Error::KeyHalves { nth })
}

/// A key of HMAC-SHA256 that is a secret's own text.
pub(super) fn text_key(secret: &Secret, nth: usize) -> Result<Hmac<Sha256>, Error> {
    key_bytes(KeyForm::Text, secret.expose(), nth).map(|bytes| keyed(&bytes))
}

/// Keys are equal when they sign alike; nothing else of them can be seen.
impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        let probe = |key: &Key| key.sign(Encoding::Hex, std::iter::once(&b"probe"[..]));
        std::mem::discriminant(self) == std::mem::discriminant(other) && probe(self).text() == probe(other).text()
    }
}

/// A signature as text. All those of one algorithm have the same length.
pub(super) struct Signature {
    text: [u8; LONGEST],
    length: usize,
    /// Made with a private key.
    pub(super) asymmetric: bool,
}

impl Signature {
    fn new(encoding: Encoding, bytes: &[u8]) -> Signature {
        let mut text = [0; LONGEST];
        let length = alphabet(encoding).encode_len(bytes.len());
        match encoding {
            Encoding::Hex => hex(bytes, &mut text),
            Encoding::Base64 | Encoding::Base64Url => alphabet(encoding).encode_mut(bytes, &mut text[..length]),
        }
        Signature { text, length, asymmetric: false }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// As `HEXLOWER` writes it, in a form that compiles to vector instructions: a tenth of the time of a short HMAC else.
fn hex(bytes: &[u8], text: &mut [u8]) {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    for (byte, digits) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        digits[0] = digit(byte >> 4);
        digits[1] = digit(byte & 15);
    }
}

fn alphabet(encoding: Encoding) -> data_encoding::Encoding {
    match encoding {
        Encoding::Base64 => BASE64,
        Encoding::Base64Url => BASE64URL_NOPAD,
        Encoding::Hex => HEXLOWER,
    }
}

fn key_bytes(form: KeyForm, text: &str, nth: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let decoded = match form {
        KeyForm::Base64 => base64(text),
        KeyForm::Hex => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
        KeyForm::Standard | KeyForm::Text if text.starts_with(PUBLIC) => return Err(Error::KeyPublic { nth }),
        KeyForm::Text if text.starts_with(PRIVATE) => return Err(Error::KeyPrivate { nth }),
        KeyForm::Standard => base64(text.strip_prefix("whsec_").unwrap_or(text)),
        KeyForm::Text => Some(text.as_bytes().to_vec()),
    };
    let bytes = Zeroizing::new(decoded.ok_or(Error::KeyText { nth, form })?);
    if bytes.is_empty() {
        return Err(Error::KeyEmpty { nth });
    }
    if form == KeyForm::Standard && !(24..=64).contains(&bytes.len()) {
        return Err(Error::KeyLength { nth, bytes: bytes.len() });
    }
    Ok(bytes)
}

pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).or_else(|_| BASE64_NOPAD.decode(text.as_bytes())).ok()
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 2)")]
fn keyed<M: KeyInit>(bytes: &[u8]) -> M {
    M::new_from_slice(bytes).expect("a key of any length")
}

fn authenticate<'a, M: Mac + Clone>(mac: &M, pieces: impl Iterator<Item = &'a [u8]>) -> hmac::digest::Output<M> {
    let mut mac = mac.clone();
    pieces.for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes()
}

/// Before an Ed25519 private key, and before a public one.
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";

/// SHA-512 in hex.
const LONGEST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(form: KeyForm, text: &str) -> Result<Vec<u8>, Error> {
        key_bytes(form, text, 1).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn a_secret_is_read_in_its_form() {
        for (form, text, bytes) in [
            (KeyForm::Text, "aGk=", &b"aGk="[..]),
            (KeyForm::Base64, "aGk=", b"hi"),
            (KeyForm::Base64, "aGk", b"hi"),
            (KeyForm::Hex, "6869fF", b"hi\xff"),
            (KeyForm::Standard, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &[0; 24]),
            (KeyForm::Standard, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &[0; 24]),
        ] {
            assert_eq!(key(form, text).unwrap(), bytes, "{text}");
        }
        assert_eq!(key(KeyForm::Standard, &BASE64.encode(&[7; 64])).unwrap(), [7; 64]);
    }

    #[test]
    fn a_secret_that_is_not_in_its_form_is_refused_without_being_shown() {
        let long = BASE64.encode(&[7; 65]);
        for (form, text, message) in [
            (KeyForm::Text, "", "secret 2 is empty"),
            (KeyForm::Hex, "", "secret 2 is empty"),
            (KeyForm::Base64, "hunter2!", "secret 2 is not base64"),
            (KeyForm::Hex, "hunter", "secret 2 is not hexadecimal"),
            (KeyForm::Hex, "abc", "secret 2 is not hexadecimal"),
            (KeyForm::Standard, "hunter2!", "secret 2 is not base64, with or without `whsec_` before it"),
            (KeyForm::Standard, "whsec_", "secret 2 is empty"),
            (KeyForm::Standard, "whsec_aGk=", "secret 2 has 2 bytes: the scheme wants 24 to 64"),
            (KeyForm::Standard, &long, "secret 2 has 65 bytes: the scheme wants 24 to 64"),
            (
                KeyForm::Standard,
                "whpk_AAAA",
                "secret 2 is a public key (`whpk_`): a signature is made with the private one (`whsk_`)",
            ),
            (KeyForm::Text, "whsk_AAAA", "secret 2 is an Ed25519 key (`whsk_`), which this scheme cannot use"),
        ] {
            assert_eq!(key(form, text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn an_ed25519_key_is_a_seed_with_or_without_its_public_half() {
        let seed = [7u8; 32];
        let secret = |bytes: &[u8]| Secret::new(format!("whsk_{}", BASE64.encode(bytes)));
        let alone = pair(&secret(&seed), 0).unwrap();
        let public = ring::signature::KeyPair::public_key(&alone.0).as_ref().to_vec();
        let whole = pair(&secret(&[&seed[..], &public].concat()), 0).unwrap();
        assert_eq!(alone.sign(b"m"), whole.sign(b"m"));
        let known = Public::read(&Secret::new(format!("whpk_{}", BASE64.encode(&public))), 0).unwrap().unwrap();
        assert!(known.verifies(b"m", &alone.sign(b"m")) && !known.verifies(b"n", &alone.sign(b"m")));
        for (bytes, error) in [
            ([&seed[..], &[1; 32]].concat(), "the public half of secret 1 does not belong to its private one"),
            (vec![1; 31], "secret 1 is no Ed25519 key: `whsk_` and the base64 of 32 bytes, or of 64 with the public key"),
        ] {
            assert_eq!(pair(&secret(&bytes), 0).err().unwrap().to_string(), error);
        }
    }

    /// RFC 2202 (SHA-1) and RFC 4231 (SHA-2), test cases 2: key `Jefe`.
    #[test]
    fn every_algorithm_and_encoding_makes_the_published_value() {
        let sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        for (algorithm, encoding, expected) in [
            (Algorithm::Sha1, Encoding::Hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Algorithm::Sha256, Encoding::Hex, sha256),
            (Algorithm::Sha256, Encoding::Base64, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="),
            (Algorithm::Sha256, Encoding::Base64Url, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"),
            (
                Algorithm::Sha512,
                Encoding::Hex,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b\
                 636e070a38bce737",
            ),
        ] {
            let key = Key::new(algorithm, KeyForm::Text, &Secret::new("Jefe".to_owned()), 0).unwrap();
            let pieces = [&b"what do ya want "[..], b"", b"for nothing?"];
            let signature = key.sign(encoding, pieces.into_iter());
            assert_eq!(std::str::from_utf8(signature.text()).unwrap(), expected, "{algorithm:?} {encoding:?}");
        }
    }
}
