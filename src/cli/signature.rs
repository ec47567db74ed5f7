//! A scheme and its secrets, as they are typed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderName;

use super::Stop;
use crate::{
    config::{self, Outside},
    sign::{
        Algorithm, Encoding, KeyForm, MessageAlgorithm, MessageScheme, Placeholder, Recipe, Scheme, Template, Verified, Verifier,
        VerifyError,
    },
};

/// A scheme and its secrets.
#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    /// github, shopify, slack, standard, stripe, x-signature, http-message, or hmac with the flags below
    #[arg(long, requires = "secret")]
    pub(super) scheme: Option<String>,
    /// env:NAME, file:PATH, or the text itself, also a public key (whpk_…); several while one replaces another
    #[arg(long, requires = "scheme")]
    secret: Vec<String>,
    /// Of http-message: hmac-sha256 or ed25519; of hmac: sha256, sha512 or sha1
    #[arg(long, requires = "scheme")]
    algorithm: Option<String>,
    /// Of hmac and x-signature: hex, base64 or base64url
    #[arg(long, requires = "scheme")]
    encoding: Option<String>,
    /// Of hmac: how the secret's text becomes the key: text, base64 or hex
    #[arg(long, requires = "scheme")]
    key: Option<String>,
    /// Of hmac: what is signed, e.g. '{timestamp}.{body}'
    #[arg(long, requires = "scheme", value_name = "TEMPLATE")]
    signed: Option<String>,
    /// Of hmac: a header that is signed or carries the signature, e.g. 'X-Sig: t={timestamp},{signatures}'
    #[arg(long, requires = "scheme", value_name = "NAME: TEMPLATE")]
    signature_header: Vec<String>,
    /// Of hmac: an entry of {signatures} [default: v1={signature}]
    #[arg(long, requires = "scheme", value_name = "TEMPLATE")]
    each: Option<String>,
    /// Of hmac: what stands between two entries of {signatures} [default: ,]
    #[arg(long, requires = "scheme", value_name = "TEXT")]
    join: Option<String>,
    /// Of schemes that sign the time: how far it may be from now, e.g. 5m [default: any]
    #[arg(long, requires = "scheme", value_name = "DURATION", value_parser = config::duration)]
    tolerance: Option<Duration>,
}

impl Flags {
    /// What these flags verify with, if they ask for it.
    pub(super) fn verifier(&self) -> anyhow::Result<Option<Verifier>> {
        let Some(scheme) = &self.scheme else { return Ok(None) };
        let usage = |error: &dyn std::fmt::Display| Stop::Usage(error.to_string());
        let outside = Outside::process();
        let mut secrets = Vec::with_capacity(self.secret.len());
        for text in &self.secret {
            secrets.push(config::typed_secret(text, &outside).map_err(|error| usage(&error))?);
        }
        let recipe = self.recipe(scheme).map_err(|error| usage(&error))?;
        Ok(Some(Verifier::new(recipe, &secrets).map_err(|error| usage(&error))?))
    }

    /// What is to be said of a request, or why it is not to be trusted. Without a tolerance any age will do, for what is
    /// looked at may be a recording.
    pub(super) fn judge(&self, verified: Result<Verified, VerifyError>, now: SystemTime) -> Result<String, String> {
        let Verified { timestamp, expires } = verified.map_err(|error| error.to_string())?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if let Some(at) = expires.filter(|at| *at < now) {
            return Err(format!("the signature expired {} s ago", now - at));
        }
        let made = timestamp.map(|at| match at > now {
            true => format!("made {} s in the future", at - now),
            false => format!("made {} s ago", now - at),
        });
        if let Some(tolerance) = self.tolerance {
            let distance = timestamp.map(|at| Duration::from_secs(at.abs_diff(now)));
            match (distance, &made) {
                (Some(distance), Some(made)) if distance > tolerance => {
                    return Err(format!("the signature was {made}: more than the tolerance, {tolerance:?}"));
                }
                (None, _) => return Err("the signature does not cover the time, so its age is not known".to_owned()),
                _ => {}
            }
        }
        Ok(format!("the signature verifies{}", made.map_or_else(String::new, |made| format!(", {made}"))))
    }

    fn recipe(&self, scheme: &str) -> Result<Recipe, String> {
        let typed = [
            ("--algorithm", self.algorithm.is_some()),
            ("--encoding", self.encoding.is_some()),
            ("--key", self.key.is_some()),
            ("--signed", self.signed.is_some()),
            ("--signature-header", !self.signature_header.is_empty()),
            ("--each", self.each.is_some()),
            ("--join", self.join.is_some()),
        ];
        let belongs = |flag: &str| match scheme {
            "hmac" => true,
            "http-message" => flag == "--algorithm",
            "x-signature" => flag == "--encoding",
            _ => false,
        };
        if let Some((flag, _)) = typed.iter().find(|(flag, is_typed)| *is_typed && !belongs(flag)) {
            return Err(format!("{flag} does not belong to the scheme `{scheme}`"));
        }
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
        if let Some(key) = &self.key {
            scheme.key = named(key, KeyForm::NAMES)?;
        }
        if let Some(each) = &self.each {
            scheme.each = template(each)?;
        }
        if let Some(join) = &self.join {
            scheme.join = join.clone();
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    #[test]
    fn a_right_signature_may_be_of_another_time() {
        let judged = |typed: &[&str], timestamp, expires| {
            let line = ["", "--scheme", "github", "--secret", "x"].iter().chain(typed);
            let now = UNIX_EPOCH + Duration::from_millis(1_000_500);
            Line::parse_from(line).flags.judge(Ok(Verified { timestamp, expires }), now)
        };
        let minute = &["--tolerance", "1m"][..];
        for (typed, timestamp, expires, told) in [
            (&[][..], None, None, Ok("the signature verifies")),
            (&[], Some(10), Some(1000), Ok("the signature verifies, made 990 s ago")),
            (&[], Some(10), Some(999), Err("the signature expired 1 s ago")),
            (minute, Some(940), None, Ok("the signature verifies, made 60 s ago")),
            (minute, Some(939), None, Err("the signature was made 61 s ago: more than the tolerance, 60s")),
            (minute, Some(1060), None, Ok("the signature verifies, made 60 s in the future")),
            (minute, Some(1061), None, Err("the signature was made 61 s in the future: more than the tolerance, 60s")),
            (minute, None, None, Err("the signature does not cover the time, so its age is not known")),
        ] {
            let told = told.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(judged(typed, timestamp, expires), told, "{typed:?} {timestamp:?} {expires:?}");
        }
    }
}
