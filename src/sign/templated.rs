//! The HMAC template of all schemes but one: signed bytes, headers, and the keys.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    Error, Stamp, mac,
    scheme::{Each, Encoding, Field, Header, Scheme, Signed},
    secret::Secret,
    template::{Part, Placeholder, Template},
};

/// A template with its keys, ready to sign.
#[derive(PartialEq)]
pub(super) struct Templated {
    pub(super) form: Form,
    first: mac::Key,
    /// Those of the secrets after the first, for schemes that carry several.
    others: Box<[mac::Key]>,
}

/// What is signed, and how signatures are written.
#[derive(PartialEq)]
pub(super) struct Form {
    pub(super) signed: Template<Signed>,
    pub(super) headers: Box<[(HeaderName, Text)]>,
    each: Template<Each>,
    pub(super) join: Box<str>,
    pub(super) encoding: Encoding,
    /// Whether the attempt's time stands anywhere.
    is_timed: bool,
}

impl Form {
    pub(super) fn new(scheme: Scheme) -> Result<Form, Error> {
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
        let Scheme { signed, each, encoding, join, .. } = scheme;
        let in_header = |field| {
            let is_in = |text: &Text| matches!(text, Text::Filled(template) if template.uses(Header::Field(field)));
            headers.iter().any(|(_, text)| is_in(text))
        };
        let times = [Field::Timestamp, Field::TimestampMs];
        let is_timed = times.into_iter().any(|field| signed.uses(Signed::Field(field)) || in_header(field));
        Ok(Form { signed, headers: headers.into(), each, join: join.into(), encoding, is_timed })
    }

    pub(super) fn signature(&self, key: &mac::Key, values: &Values<'_>) -> mac::Signature {
        key.sign(self.encoding, self.pieces(values))
    }

    /// What is signed, one after the other.
    pub(super) fn pieces<'a>(&'a self, values: &Values<'a>) -> impl Iterator<Item = &'a [u8]> {
        self.signed.parts().iter().map(|part| match part {
            Part::Filled(Signed::Body) => values.body,
            Part::Filled(Signed::Field(field)) => values.field(*field),
            Part::Literal(text) => text.as_bytes(),
        })
    }

    /// Appends one entry of `{signatures}`.
    pub(super) fn entry(&self, signature: &mac::Signature, out: &mut Vec<u8>) {
        if signature.asymmetric {
            // Standard Webhooks has a version of its own for these.
            out.extend_from_slice(ASYMMETRIC);
            out.extend_from_slice(signature.text());
            return;
        }
        self.each.render(out, |Each::Signature, out| out.extend_from_slice(signature.text()));
    }
}

impl Templated {
    pub(super) fn new(scheme: Scheme, secrets: &[Secret]) -> Result<Templated, Error> {
        let key = |(nth, secret)| mac::Key::new(scheme.algorithm, scheme.key, secret, nth);
        let mut keys = secrets.iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(Error::NoSecret);
        }
        Ok(Templated { form: Form::new(scheme)?, first: keys.remove(0), others: keys.into() })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &mac::Key> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What [`Signer::sign`] writes.
    pub(super) fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.form.headers.iter().map(|(name, _)| name)
    }

    /// Writes the headers of one attempt, in place of any of the same name.
    pub(super) fn sign(&self, stamp: &Stamp<'_>, headers: &mut HeaderMap) {
        let mut digits = itoa::Buffer::new();
        let millis = if self.form.is_timed { digits.format(stamp.unix_millis).as_bytes() } else { &[] };
        let fields = Field::ALL.map(|field| match field {
            Field::Id => stamp.id.as_bytes(),
            Field::Method => stamp.method.as_bytes(),
            Field::Path => stamp.path.as_bytes(),
            Field::Timestamp => whole_seconds(millis),
            Field::TimestampMs => millis,
            Field::Type => stamp.event_type.as_bytes(),
        });
        let values = Values { fields, body: stamp.body };
        let first = self.form.signature(&self.first, &values);
        for (name, text) in &self.form.headers {
            let value = match text {
                Text::Filled(template) => self.header_value(template, &values, &first),
                Text::Fixed(value) => value.clone(),
            };
            headers.insert(name, value);
        }
    }

    fn header_value(&self, template: &Template<Header>, values: &Values<'_>, first: &mac::Signature) -> HeaderValue {
        let length = self.header_length(template, values, first);
        let mut text = Vec::with_capacity(length);
        template.render(&mut text, |placeholder, out| match placeholder {
            Header::Field(field) => out.extend_from_slice(values.field(field)),
            Header::Signature => out.extend_from_slice(first.text()),
            Header::Signatures => {
                self.form.entry(first, out);
                for key in &self.others {
                    out.extend_from_slice(self.form.join.as_bytes());
                    self.form.entry(&self.form.signature(key, values), out);
                }
            }
        });
        debug_assert_eq!(text.len(), length, "the length of {template:?}");
        sendable(text)
    }

    /// The exact length, so that the value's one allocation is never copied to another.
    fn header_length(&self, template: &Template<Header>, values: &Values<'_>, first: &mac::Signature) -> usize {
        let entry = |asymmetric, text: usize| match asymmetric {
            true => ASYMMETRIC.len() + text,
            false => length(&self.form.each, |Each::Signature| text),
        };
        let other = |key: &mac::Key| {
            let (asymmetric, text) = key.length(self.form.encoding);
            self.form.join.len() + entry(asymmetric, text)
        };
        length(template, |placeholder| match placeholder {
            Header::Field(field) => values.field(field).len(),
            Header::Signature => first.text().len(),
            Header::Signatures => entry(first.asymmetric, first.text().len()) + self.others.iter().map(other).sum::<usize>(),
        })
    }
}

/// A header's text, once it is known to make a header's value.
#[derive(PartialEq)]
pub(super) enum Text {
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
pub(super) struct Values<'a> {
    /// Indexed by [`Field`].
    pub(super) fields: [&'a [u8]; Field::ALL.len()],
    pub(super) body: &'a [u8],
}

impl<'a> Values<'a> {
    pub(super) fn field(&self, field: Field) -> &'a [u8] {
        self.fields[field as usize]
    }
}

/// The digits of whole seconds in those of milliseconds.
pub(super) fn whole_seconds(millis: &[u8]) -> &[u8] {
    match millis.len().checked_sub(3) {
        None | Some(0) => b"0",
        Some(seconds) => &millis[..seconds],
    }
}

fn length<P: Placeholder>(template: &Template<P>, of: impl Fn(P) -> usize) -> usize {
    let part = |part: &Part<P>| match part {
        Part::Filled(placeholder) => of(*placeholder),
        Part::Literal(text) => text.len(),
    };
    template.parts().iter().map(part).sum()
}

/// Ids and types are visible ASCII, but a path is the caller's: what no header may hold becomes `?`.
#[expect(clippy::expect_used, reason = "all that a header's value may not hold has just been replaced")]
fn sendable(mut text: Vec<u8>) -> HeaderValue {
    let is_refused = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    // All of it is looked at, which is quicker than to stop early.
    if text.iter().fold(false, |found, byte| found | is_refused(byte)) {
        text.iter_mut().filter(|byte| is_refused(byte)).for_each(|byte| *byte = b'?');
    }
    HeaderValue::from_maybe_shared(Bytes::from(text)).expect("a header's value without control characters")
}

/// Before a signature made with a private key.
pub(super) const ASYMMETRIC: &[u8] = b"v1a,";
