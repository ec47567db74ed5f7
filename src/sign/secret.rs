//! A text nobody may read by accident.
//!
//! Comes in: what a secret reference of the config resolved to. Goes out: the text, only where [`Secret::expose`] is
//! written.
//!
//! **Invariant:** a secret has no way into a format string, and its memory is wiped when its last owner is gone.

use std::{fmt, sync::Arc};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret's text; a clone shares the memory.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(Arc::new(Zeroizing::new(text)))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Takes the same time wherever the texts differ; only their lengths show.
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(format!("{:#?}", vec![Some(secret)]), "[\n    Some(\n        ***,\n    ),\n]");
    }

    #[test]
    fn secrets_are_equal_when_their_texts_are() {
        let secret = |text: &str| Secret::new(text.to_owned());
        assert_eq!(secret("hunter2"), secret("hunter2").clone());
        for other in ["", "hunter", "hunter3", "hunter22"] {
            assert_ne!(secret("hunter2"), secret(other), "{other}");
        }
        assert_eq!(secret("hunter2").expose(), "hunter2");
    }
}
