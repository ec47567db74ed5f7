//! The other side of a signature: what a receiver would do.
//!
//! Comes in: the headers, the request line's method and path, and the body, as they arrived. The scheme's own templates
//! are read backwards, to find what was signed and the signatures. Goes out: [`Verified`], or why not.
//!
//! **Invariant:** texts are signed as they arrived, never as they were understood, and compared in constant time.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use subtle::{Choice, ConstantTimeEq};

use super::{
    Error, Recipe,
    mac::{self, Public, Signature},
    message,
    scheme::{Field, Header, KeyForm, Signed},
    secret::Secret,
    template::{Part, Placeholder, Template},
    templated::{ASYMMETRIC, Form, Text, Values, whole_seconds},
};

/// What receivers verify with: other than a [`Signer`](super::Signer) it may know public keys only.
pub struct Verifier(Known);

enum Known {
    Message(message::Known),
    Template { form: Form, keys: Vec<mac::Key>, public: Vec<Public> },
}

impl Verifier {
    /// `secrets` may hold public keys (`whpk_`) where the scheme knows private ones.
    pub fn new(recipe: impl Into<Recipe>, secrets: &[Secret]) -> Result<Verifier, Error> {
        let scheme = match recipe.into() {
            Recipe::Message(scheme) => return Ok(Verifier(Known::Message(message::Known::of_receiver(&scheme, secrets)?))),
            Recipe::Template(scheme) => scheme,
        };
        let (mut keys, mut public) = (Vec::new(), Vec::new());
        for (nth, secret) in secrets.iter().enumerate() {
            match Public::read(secret, nth).filter(|_| scheme.key == KeyForm::Standard) {
                Some(key) => public.push(key?),
                None => keys.push(mac::Key::new(scheme.algorithm, scheme.key, secret, nth)?),
            }
        }
        if secrets.is_empty() {
            return Err(Error::NoSecret);
        }
        Ok(Verifier(Known::Template { form: Form::new(scheme)?, keys, public }))
    }

    /// As [`Signer::verify`](super::Signer::verify).
    pub fn verify(&self, headers: &HeaderMap, method: &str, target: &str, body: &[u8]) -> Result<Verified, VerifyError> {
        let request = Request { headers, method, target, body };
        match &self.0 {
            Known::Message(known) => known.verify(request),
            Known::Template { form, keys, public } => form.verify(keys.iter(), public, request),
        }
    }
}

/// A request as it arrived; `target` has the query, and may begin with a scheme.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// From the path on.
    pub(super) fn path(&self) -> Cow<'a, str> {
        let Some((_, rest)) = self.target.split_once("://") else { return Cow::Borrowed(self.target) };
        match rest.find(['/', '?']).map(|at| &rest[at..]) {
            None => Cow::Borrowed("/"),
            Some(path) if path.starts_with('/') => Cow::Borrowed(path),
            Some(query) => Cow::Owned(format!("/{query}")),
        }
    }
}

/// A request whose signature is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whole seconds since the Unix epoch, where the signature covers the time: how old is too old is the caller's to say.
    pub timestamp: Option<u64>,
    /// Likewise, where the signature says until when it holds.
    pub expires: Option<u64>,
}

/// Why a request is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    #[error("the signature was made by another algorithm, `{name}`")]
    Algorithm { name: String },
    #[error("the body is not the one that was signed")]
    Digest,
    #[error("the signature is not one of this request made with a known secret")]
    Mismatch,
    #[error("the header `{name}` is missing")]
    Missing { name: HeaderName },
    #[error("the header `{name}` came more than once")]
    Repeated { name: HeaderName },
    #[error("the signature does not cover `{component}`")]
    Uncovered { component: &'static str },
    #[error("the header `{name}` does not have the form of this scheme")]
    Unreadable { name: HeaderName },
    #[error("the signature covers `{{{placeholder}}}`, which no header of this scheme carries")]
    Unsent { placeholder: &'static str },
}

impl Form {
    pub(super) fn verify<'k>(
        &self,
        keys: impl Iterator<Item = &'k mac::Key> + Clone,
        public: &[Public],
        request: Request<'_>,
    ) -> Result<Verified, VerifyError> {
        let Request { headers, method, body, .. } = request;
        let path = request.path();
        let mut found = Found::default();
        found.fields[Field::Method as usize] = Some(method.as_bytes());
        found.fields[Field::Path as usize] = Some(path.as_bytes());
        found.fields[Field::Id as usize] = sole(headers, &WEBHOOK_ID)?.map(HeaderValue::as_bytes);
        // It tells a signature from digits that stand beside it.
        let length = keys.clone().map(|key| key.length(self.encoding).1).min().unwrap_or_default();
        for (name, template) in self.telling_headers() {
            let value = sole(headers, name)?.ok_or_else(|| VerifyError::Missing { name: name.clone() })?;
            let read = read(template.parts(), value.as_bytes(), found, length);
            found = read.ok_or_else(|| VerifyError::Unreadable { name: name.clone() })?;
        }
        let values = self.values(&found, body)?;
        let right: Vec<Signature> = keys.map(|key| self.signature(key, &values)).collect();
        let one = found.signature.map(|text| is_among(text, right.iter().map(Signature::text)));
        let several = found.signatures.map(|text| self.lists(text, &right) || self.lists_one_of(text, public, &values));
        // The least of none is `None`: a request without a signature is not a right one.
        match one.into_iter().chain(several).min() {
            Some(true) => Ok(Verified { timestamp: self.timestamp(&values), expires: None }),
            Some(false) | None => Err(VerifyError::Mismatch),
        }
    }

    /// The headers that carry a signature, or something that is signed.
    fn telling_headers(&self) -> impl Iterator<Item = (&HeaderName, &Template<Header>)> {
        let signed = |field| self.signed.uses(Signed::Field(field));
        let tells = move |part: &Part<Header>| match part {
            Part::Filled(Header::Field(Field::TimestampMs)) => signed(Field::TimestampMs) || signed(Field::Timestamp),
            Part::Filled(Header::Field(field)) => signed(*field),
            Part::Filled(Header::Signature | Header::Signatures) => true,
            Part::Literal(_) => false,
        };
        self.headers.iter().filter_map(move |(name, text)| match text {
            Text::Filled(template) if template.parts().iter().any(tells) => Some((name, template)),
            Text::Filled(_) | Text::Fixed(_) => None,
        })
    }

    /// What was found, once nothing is missing that is signed.
    fn values<'a>(&self, found: &Found<'a>, body: &'a [u8]) -> Result<Values<'a>, VerifyError> {
        let mut fields = found.fields;
        let millis = fields[Field::TimestampMs as usize];
        fields[Field::Timestamp as usize] = fields[Field::Timestamp as usize].or(millis.map(whole_seconds));
        for (placeholder, signed) in Signed::NAMES {
            match signed {
                Signed::Field(Field::Id) if self.signed.uses(*signed) && fields[Field::Id as usize].is_none() => {
                    return Err(VerifyError::Missing { name: WEBHOOK_ID });
                }
                Signed::Field(field) if self.signed.uses(*signed) && fields[*field as usize].is_none() => {
                    return Err(VerifyError::Unsent { placeholder });
                }
                Signed::Body | Signed::Field(_) => {}
            }
        }
        Ok(Values { fields: fields.map(Option::unwrap_or_default), body })
    }

    fn timestamp(&self, values: &Values<'_>) -> Option<u64> {
        let seconds = if self.signed.uses(Signed::Field(Field::Timestamp)) {
            values.field(Field::Timestamp)
        } else if self.signed.uses(Signed::Field(Field::TimestampMs)) {
            whole_seconds(values.field(Field::TimestampMs))
        } else {
            return None;
        };
        std::str::from_utf8(seconds).ok()?.parse().ok()
    }

    /// Whether an entry of `text` is right. Entries of other kinds may stand between ours, as other versions of a scheme do.
    fn lists(&self, text: &[u8], right: &[Signature]) -> bool {
        let join = self.join.as_bytes();
        right.iter().any(|signature| {
            let mut entry = Vec::new();
            self.entry(signature, &mut entry);
            let starts = (0..text.len()).filter(|start| *start == 0 || text[..*start].ends_with(join));
            let candidates = starts.filter_map(|start| {
                let (candidate, rest) = text[start..].split_at_checked(entry.len())?;
                (rest.is_empty() || rest.starts_with(join)).then_some(candidate)
            });
            is_among(&entry, candidates)
        })
    }
}

impl Form {
    /// Whether an entry of `text` was made with the private half of one of these keys.
    fn lists_one_of(&self, text: &[u8], public: &[Public], values: &Values<'_>) -> bool {
        let message = self.pieces(values).collect::<Vec<_>>().concat();
        let signature =
            |entry: &str| mac::base64(entry.as_bytes().strip_prefix(ASYMMETRIC).and_then(|text| std::str::from_utf8(text).ok())?);
        let text = String::from_utf8_lossy(text);
        let mut signatures = text.split(&*self.join).filter_map(signature);
        signatures.any(|signature| public.iter().any(|key| key.verifies(&message, &signature)))
    }
}

/// What the headers read so far have told.
#[derive(Clone, Copy, Default)]
struct Found<'a> {
    /// Indexed by [`Field`].
    fields: [Option<&'a [u8]>; Field::ALL.len()],
    signature: Option<&'a [u8]>,
    signatures: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn of(&mut self, placeholder: Header) -> &mut Option<&'a [u8]> {
        match placeholder {
            Header::Field(field) => &mut self.fields[field as usize],
            Header::Signature => &mut self.signature,
            Header::Signatures => &mut self.signatures,
        }
    }
}

/// Reads `text` as what `parts` were rendered to, with a signature of `length` bytes: the longest values first where there
/// are several ways. A value that was found before must be the same again.
fn read<'a>(parts: &[Part<Header>], text: &'a [u8], mut found: Found<'a>, length: usize) -> Option<Found<'a>> {
    let Some((part, parts)) = parts.split_first() else {
        return text.is_empty().then_some(found);
    };
    let placeholder = match part {
        Part::Filled(placeholder) => *placeholder,
        Part::Literal(literal) => return read(parts, text.strip_prefix(literal.as_bytes())?, found, length),
    };
    if let Some(known) = *found.of(placeholder) {
        return read(parts, text.strip_prefix(known)?, found, length);
    }
    let (shortest, longest) = lengths(placeholder, length);
    let allowed = text.iter().take(longest).take_while(|byte| allows(placeholder, **byte)).count();
    (shortest..=allowed).rev().find_map(|end| {
        let (value, rest) = text.split_at(end);
        *found.of(placeholder) = Some(value);
        read(parts, rest, found, length)
    })
}

fn allows(placeholder: Header, byte: u8) -> bool {
    match placeholder {
        Header::Field(Field::Timestamp | Field::TimestampMs) => byte.is_ascii_digit(),
        Header::Field(_) => byte.is_ascii_graphic(),
        Header::Signature => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'='),
        Header::Signatures => true,
    }
}

/// The shortest and the longest value: this keeps the ways to read a header few, and a timestamp inside a `u64`.
fn lengths(placeholder: Header, signature: usize) -> (usize, usize) {
    match placeholder {
        Header::Field(Field::Timestamp | Field::TimestampMs) => (1, 19),
        Header::Field(_) => (1, 255),
        Header::Signature => (signature, signature),
        Header::Signatures => (signature, 8 * 1024),
    }
}

/// Compares with every candidate, also after one that is equal.
fn is_among<'a>(text: &[u8], candidates: impl Iterator<Item = &'a [u8]>) -> bool {
    candidates.fold(Choice::from(0), |found, candidate| found | text.ct_eq(candidate)).into()
}

fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, VerifyError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(VerifyError::Repeated { name: name.clone() }) } else { Ok(first) }
}

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
