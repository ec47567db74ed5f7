//! A scheme and its secrets, as they are typed.

use std::time::{SystemTime, UNIX_EPOCH};

use super::Stop;
use crate::{
    config::{self, Outside},
    sign::{Scheme, Signer, Verified},
};

/// The signer of these flags.
pub(super) fn signer(scheme: &str, typed: &[String]) -> anyhow::Result<Signer> {
    let usage = |error: &dyn std::fmt::Display| Stop::Usage(error.to_string());
    if scheme == "hmac" {
        return Err(usage(&"`hmac` is a template that only a config file can hold").into());
    }
    let outside = Outside::process();
    let mut secrets = Vec::with_capacity(typed.len());
    for text in typed {
        secrets.push(config::typed_secret(text, &outside).map_err(|error| usage(&error))?);
    }
    let scheme = Scheme::preset(scheme).map_err(|error| usage(&error))?;
    Ok(Signer::new(scheme, &secrets).map_err(|error| usage(&error))?)
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
