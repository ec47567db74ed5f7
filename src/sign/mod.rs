//! By whom: the headers that prove to a receiver who sent a body, and that nobody changed it.
//!
//! Comes in: a [`Scheme`], data that says which bytes are signed and which headers carry the result, and the secrets.
//! Goes out: a [`Signer`], which writes those headers for each attempt anew, and can tell whether those of a request that
//! arrived are right; of a receiver, who may know public keys only, a [`Verifier`]. A [`Mask`] keeps secrets out of texts
//! for people. The time, the id and the bytes are arguments; nothing here keeps state.
//!
//! ```text
//!  template ─► scheme ─► Signer::new ─► sign   ─► headers
//!  secret ───► mac ─────────┘      └──► verify ─► Verified
//!     └──────► mask
//! ```
//!
//! **Invariant:** whatever could be wrong with a scheme or a secret is an [`Error`] of [`Signer::new`]; signing cannot
//! fail, and no error and no `Debug` print shows a secret.

mod mac;
mod mask;
mod message;
mod scheme;
mod secret;
mod template;
mod templated;
mod verify;

use std::fmt;

use http::{HeaderMap, HeaderName};

pub use self::{
    mask::{Mask, is_telling},
    message::{MessageAlgorithm, MessageScheme},
    scheme::{Algorithm, Each, Encoding, Field, Header, KeyForm, Scheme, Signed},
    secret::Secret,
    template::{Part, Placeholder, Template, TemplateError},
    verify::{Verified, Verifier, VerifyError},
};

/// One attempt, as a signature sees it.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The delivery's: what `webhook-id` says.
    pub id: &'a str,
    pub event_type: &'a str,
    /// When the attempt is made, since the Unix epoch.
    pub unix_millis: u64,
    pub method: &'a str,
    /// As in the request line, with the query.
    pub path: &'a str,
    /// The same from the scheme on.
    pub target_uri: &'a str,
    pub content_type: &'a [u8],
    /// The exact bytes sent.
    pub body: &'a [u8],
}

/// A scheme with its keys, ready to sign.
#[derive(PartialEq)]
pub struct Signer(Kind);

#[derive(PartialEq)]
enum Kind {
    Message(message::Message),
    Template(Box<templated::Templated>),
}

/// What a signature is made by.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// RFC 9421.
    Message(MessageScheme),
    Template(Scheme),
}

impl Recipe {
    /// Whether a header or the signed bytes hold the event's type.
    pub fn uses_type(&self) -> bool {
        match self {
            Recipe::Message(_) => false,
            Recipe::Template(scheme) => scheme.uses_type(),
        }
    }
}

impl From<MessageScheme> for Recipe {
    fn from(scheme: MessageScheme) -> Recipe {
        Recipe::Message(scheme)
    }
}

impl From<Scheme> for Recipe {
    fn from(scheme: Scheme) -> Recipe {
        Recipe::Template(scheme)
    }
}

/// Why a scheme and its secrets make no [`Signer`]; `nth` counts the secrets from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`each` does not use `{{signature}}`")]
    EachUnsigned,
    #[error("the header `{name}` is written twice")]
    HeaderTwice { name: HeaderName },
    #[error("the header `{name}` would hold a control character, or begin or end with a blank")]
    HeaderValue { name: HeaderName },
    #[error("no header uses `{{signature}}` or `{{signatures}}`")]
    HeadersUnsigned,
    #[error("secret {} is empty", nth + 1)]
    KeyEmpty { nth: usize },
    #[error("the public half of secret {} does not belong to its private one", nth + 1)]
    KeyHalves { nth: usize },
    #[error("the key's id must be of visible ASCII and blanks")]
    KeyId,
    #[error("secret {} has {bytes} bytes: the scheme wants 24 to 64", nth + 1)]
    KeyLength { nth: usize, bytes: usize },
    #[error("secret {} is no Ed25519 public key: `whpk_` and the base64 of 32 bytes", nth + 1)]
    KeyPoint { nth: usize },
    #[error("secret {} is an Ed25519 key (`whsk_`), which this scheme cannot use", nth + 1)]
    KeyPrivate { nth: usize },
    #[error("secret {} is a public key (`whpk_`): a signature is made with the private one (`whsk_`)", nth + 1)]
    KeyPublic { nth: usize },
    #[error("secret {} is no Ed25519 key: `whsk_` and the base64 of 32 bytes, or of 64 with the public key", nth + 1)]
    KeySeed { nth: usize },
    #[error("secret {} is not {}", nth + 1, describe(*form))]
    KeyText { nth: usize, form: KeyForm },
    #[error("there is no secret to sign with")]
    NoSecret,
    #[error("there is no signature scheme `{name}`: known are `{}`, `hmac` and `http-message`", Scheme::PRESETS.join("`, `"))]
    UnknownScheme { name: String },
}

impl Signer {
    pub fn new(recipe: impl Into<Recipe>, secrets: &[Secret]) -> Result<Signer, Error> {
        Ok(Signer(match recipe.into() {
            Recipe::Message(scheme) => Kind::Message(message::Message::new(&scheme, secrets)?),
            Recipe::Template(scheme) => Kind::Template(Box::new(templated::Templated::new(scheme, secrets)?)),
        }))
    }

    /// What [`Signer::sign`] writes.
    pub fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        let (message, template) = match &self.0 {
            Kind::Message(message) => (Some(message), None),
            Kind::Template(template) => (None, Some(&**template)),
        };
        message.into_iter().flat_map(|_| &message::NAMES).chain(template.into_iter().flat_map(templated::Templated::header_names))
    }

    /// Writes the headers of one attempt, in place of any of the same name.
    pub fn sign(&self, stamp: &Stamp<'_>, headers: &mut HeaderMap) {
        match &self.0 {
            Kind::Message(message) => message.sign(stamp, headers),
            Kind::Template(template) => template.sign(stamp, headers),
        }
    }

    /// Whether the request was signed with one of the secrets. Of the headers, those that carry the signature or something
    /// it covers must be there, once and in form; the id is that of `webhook-id`, where there is one. `target` is the
    /// request's, with the query: from its path on, or as an absolute URI, which some schemes sign.
    pub fn verify(&self, headers: &HeaderMap, method: &str, target: &str, body: &[u8]) -> Result<Verified, VerifyError> {
        let request = verify::Request { headers, method, target, body };
        match &self.0 {
            Kind::Message(message) => message.verify(request),
            Kind::Template(template) => template.form.verify(template.keys(), &[], request),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.header_names().map(HeaderName::as_str).collect();
        f.debug_struct("Signer").field("headers", &names).finish_non_exhaustive()
    }
}

fn describe(form: KeyForm) -> &'static str {
    match form {
        KeyForm::Base64 => "base64",
        KeyForm::Hex => "hexadecimal",
        KeyForm::Standard => "base64, with or without `whsec_` before it",
        KeyForm::Text => "text",
    }
}

#[cfg(test)]
mod tests;
