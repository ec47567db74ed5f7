//! What a receiver expects of a signature, as data.
//!
//! Comes in: the name of a preset, or the keys of the config's own `hmac` template. Goes out: a [`Scheme`], of which a
//! `Signer` is made. All schemes are the one template; the presets differ in nothing but the table at the end.
//!
//! **Invariant:** nothing outside this file knows a preset by its name.

use http::HeaderName;

use super::{
    Error,
    template::{Placeholder, Template},
};

/// A signature: which bytes are signed, how, and the headers that carry it.
#[derive(Clone, Debug)]
pub struct Scheme {
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    pub key: KeyForm,
    pub signed: Template<Signed>,
    pub headers: Vec<(HeaderName, Template<Header>)>,
    /// One entry of `{signatures}`.
    pub each: Template<Each>,
    /// What stands between two entries of `{signatures}`.
    pub join: String,
}

impl Scheme {
    /// The names [`Scheme::preset`] knows, in alphabetical order.
    pub const PRESETS: &'static [&'static str] = &["github", "shopify", "slack", "standard", "stripe", "x-signature"];

    /// The scheme of that name.
    pub fn preset(name: &str) -> Result<Scheme, Error> {
        match TABLE.iter().find(|preset| preset.name == name) {
            Some(preset) => Ok(preset.scheme()),
            None => Err(Error::UnknownScheme { name: name.to_owned() }),
        }
    }

    /// Whether a header or the signed bytes hold the event's type.
    pub fn uses_type(&self) -> bool {
        self.signed.uses(Signed::Field(Field::Type))
            || self.headers.iter().any(|(_, template)| template.uses(Header::Field(Field::Type)))
    }

    /// The config's own template, with the interface's defaults for the keys that have one.
    pub fn hmac(signed: Template<Signed>, headers: Vec<(HeaderName, Template<Header>)>) -> Scheme {
        Scheme {
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            key: KeyForm::Text,
            signed,
            headers,
            each: own(EACH),
            join: JOIN.to_owned(),
        }
    }
}

/// The hash under the HMAC (RFC 2104, FIPS 180-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    pub const NAMES: &'static [(&'static str, Algorithm)] =
        &[("sha1", Algorithm::Sha1), ("sha256", Algorithm::Sha256), ("sha512", Algorithm::Sha512)];
}

/// How a signature's bytes become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// RFC 4648 §4, padded.
    Base64,
    /// RFC 4648 §5 without padding, as in JOSE (RFC 7515): who asks for this alphabet cannot use a `=`.
    Base64Url,
    /// Lower case.
    Hex,
}

impl Encoding {
    pub const NAMES: &'static [(&'static str, Encoding)] =
        &[("base64", Encoding::Base64), ("base64url", Encoding::Base64Url), ("hex", Encoding::Hex)];
}

/// How a secret's text becomes the key's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// RFC 4648 §4, with or without its padding.
    Base64,
    /// Either case.
    Hex,
    /// `whsec_` and base64, or base64 alone, of 24 to 64 bytes; or `whsk_` and an Ed25519 key (Standard Webhooks).
    Standard,
    /// The text's own bytes.
    Text,
}

impl KeyForm {
    /// Those the config may ask for; [`KeyForm::Standard`] comes with its scheme only.
    pub const NAMES: &'static [(&'static str, KeyForm)] =
        &[("base64", KeyForm::Base64), ("hex", KeyForm::Hex), ("text", KeyForm::Text)];
}

/// What is known of a request besides its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Id,
    Method,
    /// With the query.
    Path,
    /// Of the attempt, in whole seconds since the Unix epoch.
    Timestamp,
    /// Of the attempt, in milliseconds since the Unix epoch.
    TimestampMs,
    Type,
}

impl Field {
    /// In the order of their numbers.
    pub(super) const ALL: [Field; 6] = [Field::Id, Field::Method, Field::Path, Field::Timestamp, Field::TimestampMs, Field::Type];
}

/// What the signed bytes may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    Body,
    Field(Field),
}

impl Placeholder for Signed {
    const NAMES: &'static [(&'static str, Signed)] = &[
        ("id", Signed::Field(Field::Id)),
        ("timestamp", Signed::Field(Field::Timestamp)),
        ("timestamp_ms", Signed::Field(Field::TimestampMs)),
        ("type", Signed::Field(Field::Type)),
        ("method", Signed::Field(Field::Method)),
        ("path", Signed::Field(Field::Path)),
        ("body", Signed::Body),
    ];
}

/// What a signature's header may name: all but the body, which no header could carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    Field(Field),
    /// That of the first secret.
    Signature,
    /// An entry for each secret.
    Signatures,
}

impl Placeholder for Header {
    const NAMES: &'static [(&'static str, Header)] = &[
        ("signature", Header::Signature),
        ("signatures", Header::Signatures),
        ("id", Header::Field(Field::Id)),
        ("timestamp", Header::Field(Field::Timestamp)),
        ("timestamp_ms", Header::Field(Field::TimestampMs)),
        ("type", Header::Field(Field::Type)),
        ("method", Header::Field(Field::Method)),
        ("path", Header::Field(Field::Path)),
    ];
}

/// What an entry of `{signatures}` may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    Signature,
}

impl Placeholder for Each {
    const NAMES: &'static [(&'static str, Each)] = &[("signature", Each::Signature)];
}

/// A scheme as the table has it: HMAC-SHA256, and templates that are still text.
struct Preset {
    name: &'static str,
    key: KeyForm,
    encoding: Encoding,
    signed: &'static str,
    headers: &'static [(&'static str, &'static str)],
    each: &'static str,
    join: &'static str,
}

impl Preset {
    fn scheme(&self) -> Scheme {
        let header = |(name, text): &(&'static str, &'static str)| (HeaderName::from_static(name), own(text));
        Scheme {
            algorithm: Algorithm::Sha256,
            encoding: self.encoding,
            key: self.key,
            signed: own(self.signed),
            headers: self.headers.iter().map(header).collect(),
            each: own(self.each),
            join: self.join.to_owned(),
        }
    }
}

#[expect(clippy::expect_used, reason = "the texts are this file's own, and a test reads every one")]
fn own<P: Placeholder>(text: &'static str) -> Template<P> {
    Template::parse(text).expect("a template of this file")
}

const EACH: &str = "v1={signature}";
const JOIN: &str = ",";

/// Where each comes from: GitHub, "Validating webhook deliveries"; Shopify, "Verify webhooks"; Slack, "Verifying requests";
/// standard-webhooks.com; Stripe, "Verify webhook signatures manually". The caller writes `webhook-id` for all of them.
const TABLE: &[Preset] = &[
    Preset {
        name: "github",
        key: KeyForm::Text,
        encoding: Encoding::Hex,
        signed: "{body}",
        headers: &[("x-hub-signature-256", "sha256={signature}"), ("x-github-event", "{type}"), ("x-github-delivery", "{id}")],
        each: EACH,
        join: JOIN,
    },
    Preset {
        name: "shopify",
        key: KeyForm::Text,
        encoding: Encoding::Base64,
        signed: "{body}",
        headers: &[("x-shopify-hmac-sha256", "{signature}")],
        each: EACH,
        join: JOIN,
    },
    Preset {
        name: "slack",
        key: KeyForm::Text,
        encoding: Encoding::Hex,
        signed: "v0:{timestamp}:{body}",
        headers: &[("x-slack-request-timestamp", "{timestamp}"), ("x-slack-signature", "v0={signature}")],
        each: EACH,
        join: JOIN,
    },
    Preset {
        name: "standard",
        key: KeyForm::Standard,
        encoding: Encoding::Base64,
        signed: "{id}.{timestamp}.{body}",
        headers: &[("webhook-timestamp", "{timestamp}"), ("webhook-signature", "{signatures}")],
        each: "v1,{signature}",
        join: " ",
    },
    Preset {
        name: "stripe",
        key: KeyForm::Text,
        encoding: Encoding::Hex,
        signed: "{timestamp}.{body}",
        headers: &[("stripe-signature", "t={timestamp},{signatures}")],
        each: EACH,
        join: JOIN,
    },
    Preset {
        name: "x-signature",
        key: KeyForm::Text,
        encoding: Encoding::Hex,
        signed: "{body}",
        headers: &[("x-signature-algo", "sha256"), ("x-signature", "{signature}")],
        each: EACH,
        join: JOIN,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_those_of_the_table_and_each_can_be_made() {
        let names: Vec<_> = TABLE.iter().map(|preset| preset.name).collect();
        assert_eq!(names, Scheme::PRESETS);
        assert!(names.is_sorted());
        for preset in TABLE {
            let scheme = Scheme::preset(preset.name).unwrap();
            assert_eq!(scheme.signed.to_string(), preset.signed, "{}", preset.name);
            assert_eq!(scheme.headers.len(), preset.headers.len(), "{}", preset.name);
        }
    }

    #[test]
    fn what_is_no_preset_says_what_there_is() {
        assert_eq!(
            Scheme::preset("GitHub").unwrap_err().to_string(),
            "there is no signature scheme `GitHub`: known are `github`, `shopify`, `slack`, `standard`, `stripe`, \
             `x-signature`, `hmac` and `http-message`"
        );
    }

    #[test]
    fn a_field_stands_at_its_own_place() {
        for (place, field) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, place);
        }
    }

    #[test]
    fn a_header_cannot_carry_the_body() {
        let message = Template::<Header>::parse("{body}").unwrap_err().to_string();
        assert!(message.starts_with("`{body}` is not known here: there is `{signature}`"), "{message}");
    }
}
