//! By whom: the headers that prove to a receiver who sent a body, and that nobody changed it.
//!
//! Comes in: a [`Scheme`], data that says which bytes are signed and which headers carry the result, and the secrets.
//! Goes out: a [`Signer`], which writes those headers for each attempt anew, and can tell whether those of a request that
//! arrived are right. The time, the id and the bytes are arguments; nothing here keeps state.
//!
//! ```text
//!  template ─► scheme ─► Signer::new ─► sign   ─► headers
//!  secret ───► mac ─────────┘      └──► verify ─► Verified
//! ```
//!
//! **Invariant:** whatever could be wrong with a scheme or a secret is an [`Error`] of [`Signer::new`]; signing cannot
//! fail, and no error and no `Debug` print shows a secret.

mod mac;
mod scheme;
mod secret;
mod template;
mod verify;

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::{
    scheme::{Algorithm, Each, Encoding, Field, Header, KeyForm, Scheme, Signed},
    secret::Secret,
    template::{Part, Placeholder, Template, TemplateError},
    verify::{Verified, VerifyError},
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
    /// The exact bytes sent.
    pub body: &'a [u8],
}

/// A scheme with its keys, ready to sign.
#[derive(PartialEq)]
pub struct Signer {
    signed: Template<Signed>,
    headers: Box<[(HeaderName, Text)]>,
    each: Template<Each>,
    join: Box<str>,
    encoding: Encoding,
    first: mac::Key,
    /// Those of the secrets after the first, for schemes that carry several.
    others: Box<[mac::Key]>,
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
    #[error("secret {} has {bytes} bytes: the scheme wants 24 to 64", nth + 1)]
    KeyLength { nth: usize, bytes: usize },
    #[error("secret {} is not {}", nth + 1, describe(*form))]
    KeyText { nth: usize, form: KeyForm },
    #[error("there is no secret to sign with")]
    NoSecret,
    #[error("{what} is not available yet")]
    NotAvailable { what: &'static str },
    #[error("there is no signature scheme `{name}`: known are `{}` and `hmac`", Scheme::PRESETS.join("`, `"))]
    UnknownScheme { name: String },
}

impl Signer {
    pub fn new(scheme: Scheme, secrets: &[Secret]) -> Result<Signer, Error> {
        let (algorithm, form) = (scheme.algorithm, scheme.key);
        let mut keys = Vec::with_capacity(secrets.len());
        for (nth, secret) in secrets.iter().enumerate() {
            keys.push(mac::Key::new(algorithm, form, secret, nth)?);
        }
        if keys.is_empty() {
            return Err(Error::NoSecret);
        }
        let uses = |placeholder| scheme.headers.iter().any(|(_, template)| template.uses(placeholder));
        if !uses(Header::Signature) && !uses(Header::Signatures) {
            return Err(Error::HeadersUnsigned);
        }
        if uses(Header::Signatures) && !scheme.each.uses(Each::Signature) {
            return Err(Error::EachUnsigned);
        }
        let mut headers: Vec<(HeaderName, Text)> = Vec::with_capacity(scheme.headers.len());
        for (name, template) in scheme.headers {
            if headers.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Error::HeaderTwice { name });
            }
            match Text::new(template, &scheme.each, &scheme.join) {
                Some(text) => headers.push((name, text)),
                None => return Err(Error::HeaderValue { name }),
            }
        }
        Ok(Signer {
            signed: scheme.signed,
            headers: headers.into(),
            each: scheme.each,
            join: scheme.join.into(),
            encoding: scheme.encoding,
            first: keys.remove(0),
            others: keys.into(),
        })
    }

    /// What [`Signer::sign`] writes.
    pub fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.headers.iter().map(|(name, _)| name)
    }

    /// Writes the headers of one attempt, in place of any of the same name.
    pub fn sign(&self, stamp: &Stamp<'_>, headers: &mut HeaderMap) {
        let (seconds, millis) = (Decimal::new(stamp.unix_millis / 1000), Decimal::new(stamp.unix_millis));
        let fields = Field::ALL.map(|field| match field {
            Field::Id => stamp.id.as_bytes(),
            Field::Method => stamp.method.as_bytes(),
            Field::Path => stamp.path.as_bytes(),
            Field::Timestamp => seconds.text(),
            Field::TimestampMs => millis.text(),
            Field::Type => stamp.event_type.as_bytes(),
        });
        let values = Values { fields, body: stamp.body };
        let first = self.signature(&self.first, &values);
        for (name, text) in &self.headers {
            let value = match text {
                Text::Filled(template) => self.header_value(template, &values, &first),
                Text::Fixed(value) => value.clone(),
            };
            headers.insert(name.clone(), value);
        }
    }

    fn signature(&self, key: &mac::Key, values: &Values<'_>) -> mac::Signature {
        let pieces = self.signed.parts().iter().map(|part| match part {
            Part::Filled(Signed::Body) => values.body,
            Part::Filled(Signed::Field(field)) => values.field(*field),
            Part::Literal(text) => text.as_bytes(),
        });
        key.sign(self.encoding, pieces)
    }

    fn header_value(&self, template: &Template<Header>, values: &Values<'_>, first: &mac::Signature) -> HeaderValue {
        let length = self.header_length(template, values, first);
        let mut text = Vec::with_capacity(length);
        template.render(&mut text, |placeholder, out| match placeholder {
            Header::Field(field) => out.extend_from_slice(values.field(field)),
            Header::Signature => out.extend_from_slice(first.text()),
            Header::Signatures => {
                self.entry(first, out);
                for key in &self.others {
                    out.extend_from_slice(self.join.as_bytes());
                    self.entry(&self.signature(key, values), out);
                }
            }
        });
        debug_assert_eq!(text.len(), length, "the length of {template:?}");
        sendable(text)
    }

    /// Appends one entry of `{signatures}`.
    fn entry(&self, signature: &mac::Signature, out: &mut Vec<u8>) {
        self.each.render(out, |Each::Signature, out| out.extend_from_slice(signature.text()));
    }

    /// The exact length, so that the value's one allocation is never copied to another.
    fn header_length(&self, template: &Template<Header>, values: &Values<'_>, first: &mac::Signature) -> usize {
        let entry = || length(&self.each, |Each::Signature| first.text().len());
        length(template, |placeholder| match placeholder {
            Header::Field(field) => values.field(field).len(),
            Header::Signature => first.text().len(),
            Header::Signatures => entry() + self.others.len() * (self.join.len() + entry()),
        })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.header_names().map(HeaderName::as_str).collect();
        f.debug_struct("Signer").field("signed", &self.signed).field("headers", &names).finish_non_exhaustive()
    }
}

/// A header's text, once it is known to make a header's value.
#[derive(PartialEq)]
enum Text {
    Filled(Template<Header>),
    Fixed(HeaderValue),
}

impl Text {
    /// `None` where the config's part of the text is no header's value, whatever is filled in.
    fn new(template: Template<Header>, each: &Template<Each>, join: &str) -> Option<Text> {
        let mut sample = Vec::new();
        template.render(&mut sample, |placeholder, out| match placeholder {
            Header::Signatures => {
                each.render(out, |Each::Signature, out| out.push(b'x'));
                out.extend_from_slice(join.as_bytes());
                each.render(out, |Each::Signature, out| out.push(b'x'));
            }
            Header::Field(_) | Header::Signature => out.push(b'x'),
        });
        if sample.trim_ascii().len() < sample.len() {
            return None;
        }
        let value = HeaderValue::from_bytes(&sample).ok()?;
        Some(if template.literal().is_some() { Text::Fixed(value) } else { Text::Filled(template) })
    }
}

/// What the placeholders stand for.
struct Values<'a> {
    /// Indexed by [`Field`].
    fields: [&'a [u8]; Field::ALL.len()],
    body: &'a [u8],
}

impl<'a> Values<'a> {
    fn field(&self, field: Field) -> &'a [u8] {
        self.fields[field as usize]
    }
}

/// A number's decimal digits.
struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn new(mut number: u64) -> Decimal {
        let mut digits = [b'0'; 20];
        let mut start = digits.len() - 1;
        loop {
            digits[start] += (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return Decimal { digits, start };
            }
            start -= 1;
        }
    }

    fn text(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

fn length<P: Placeholder>(template: &Template<P>, of: impl Fn(P) -> usize) -> usize {
    let part = |part: &Part<P>| match part {
        Part::Filled(placeholder) => of(*placeholder),
        Part::Literal(text) => text.len(),
    };
    template.parts().iter().map(part).sum()
}

/// Ids and types are visible ASCII, but `http::Uri` lets a DEL into a path: what no header may hold becomes `?`.
#[expect(clippy::expect_used, reason = "all that a header's value may not hold has just been replaced")]
fn sendable(mut text: Vec<u8>) -> HeaderValue {
    for byte in text.iter_mut().filter(|byte| byte.is_ascii_control() && **byte != b'\t') {
        *byte = b'?';
    }
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("a header's value without control characters")
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
