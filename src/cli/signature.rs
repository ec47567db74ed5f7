//! A scheme and its secrets, as they are typed.

use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderName;

use super::Stop;
use crate::{
    config::{self, Outside},
    sign::{Algorithm, Encoding, MessageAlgorithm, MessageScheme, Placeholder, Recipe, Scheme, Signer, Template, Verified},
};

/// A scheme and its secrets.
#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    /// github, shopify, slack, standard, stripe, x-signature, http-message, or hmac with the flags below
    #[arg(long, requires = "secret")]
    pub(super) scheme: Option<String>,
    /// env:NAME, file:PATH, or the text itself; several while one replaces another
    #[arg(long, requires = "scheme")]
    secret: Vec<String>,
    /// Of http-message: hmac-sha256 or ed25519; of hmac: sha256, sha512 or sha1
    #[arg(long, requires = "scheme")]
    algorithm: Option<String>,
    /// Of hmac and x-signature: hex, base64 or base64url
    #[arg(long, requires = "scheme")]
    encoding: Option<String>,
    /// Of hmac: what is signed, e.g. '{timestamp}.{body}'
    #[arg(long, requires = "scheme", value_name = "TEMPLATE")]
    signed: Option<String>,
    /// Of hmac: a header that is signed or carries the signature, e.g. 'X-Sig: t={timestamp},{signatures}'
    #[arg(long, requires = "scheme", value_name = "NAME: TEMPLATE")]
    signature_header: Vec<String>,
}

impl Flags {
    /// The signer of these flags, if they ask for one.
    pub(super) fn signer(&self) -> anyhow::Result<Option<Signer>> {
        let Some(scheme) = &self.scheme else { return Ok(None) };
        let usage = |error: &dyn std::fmt::Display| Stop::Usage(error.to_string());
        let outside = Outside::process();
        let mut secrets = Vec::with_capacity(self.secret.len());
        for text in &self.secret {
            secrets.push(config::typed_secret(text, &outside).map_err(|error| usage(&error))?);
        }
        let recipe = self.recipe(scheme).map_err(|error| usage(&error))?;
        Ok(Some(Signer::new(recipe, &secrets).map_err(|error| usage(&error))?))
    }

    fn recipe(&self, scheme: &str) -> Result<Recipe, String> {
        if scheme == "http-message" {
            let algorithm = self.algorithm.as_deref().map(|name| named(name, MessageAlgorithm::NAMES)).transpose()?;
            // The id is the sender's to say: nothing is verified by it.
            let algorithm = algorithm.unwrap_or(MessageAlgorithm::HmacSha256);
            return Ok(MessageScheme { algorithm, key_id: "-".to_owned() }.into());
        }
        let mut made = match scheme {
            "hmac" => self.template()?,
            preset => Scheme::preset(preset).map_err(|error| error.to_string())?,
        };
        if let Some(encoding) = &self.encoding {
            made.encoding = named(encoding, Encoding::NAMES)?;
        }
        Ok(made.into())
    }

    fn template(&self) -> Result<Scheme, String> {
        let signed = template(self.signed.as_deref().unwrap_or("{body}"))?;
        let mut headers = Vec::new();
        for header in &self.signature_header {
            let (name, text) = header.split_once(':').ok_or("a header is `Name: template`")?;
            let name = HeaderName::try_from(name.trim()).map_err(|_| format!("`{name}` is no header's name"))?;
            headers.push((name, template(text.trim())?));
        }
        let mut scheme = Scheme::hmac(signed, headers);
        if let Some(algorithm) = &self.algorithm {
            scheme.algorithm = named(algorithm, Algorithm::NAMES)?;
        }
        Ok(scheme)
    }
}

fn template<P: Placeholder>(text: &str) -> Result<Template<P>, String> {
    Template::parse(text).map_err(|error| error.to_string())
}

fn named<T: Copy>(name: &str, names: &[(&str, T)]) -> Result<T, String> {
    let found = names.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    let all: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
    found.ok_or_else(|| format!("`{name}` is none of {}", all.join(", ")))
}

/// What a right signature says. How old is too old is the reader's to say: what is looked at may be a recording.
pub(super) fn told(verified: Verified, now: SystemTime) -> String {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match verified.timestamp {
        None => "the signature verifies".to_owned(),
        Some(at) if at > now => format!("the signature verifies, made {} s in the future", at - now),
        Some(at) => format!("the signature verifies, made {} s ago", now - at),
    }
}
