//! PEM files, as an endpoint's TLS needs them.
//!
//! **Invariant:** what comes out can be used: certificates are certificates, and a key is that of its certificate.

use memchr::memmem;
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject},
    },
};
use zeroize::Zeroizing;

use crate::endpoint::Identity;

/// Why a PEM text cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the private key is encrypted: sidehook has nobody to ask for its password")]
    Encrypted,
    #[error("the private key is not that of the certificate")]
    Mismatch,
    #[error("there is no certificate in PEM")]
    NoCertificate,
    #[error("there is no private key in PEM (PKCS#8, PKCS#1 or SEC1)")]
    NoKey,
    #[error("it is no PEM, which is text: `openssl x509 -inform der -in FILE` makes that of a certificate in DER")]
    NoText,
    #[error("it is no PEM: {0}")]
    Pem(String),
    #[error("it cannot be used: {0}")]
    Unusable(String),
}

/// The certificates of whom to trust, in DER.
pub(super) fn authorities(text: &str) -> Result<Vec<Box<[u8]>>, Error> {
    let certificates = certificates(text)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| Error::Unusable(error.to_string()))?;
    }
    Ok(certificates.iter().map(|certificate| certificate.as_ref().into()).collect())
}

/// A certificate with those that lead from it to an authority, and its key.
pub(super) fn identity(chain: &[CertificateDer<'_>], key: &str) -> Result<Identity, Error> {
    let der = match PrivateKeyDer::from_pem_slice(key.as_bytes()) {
        Ok(der) => der,
        // PKCS#8 says so in its first line, PKCS#1 and SEC1 in the next.
        Err(_) if key.contains("ENCRYPTED") => return Err(Error::Encrypted),
        Err(pem::Error::NoItemsFound) => return Err(Error::NoKey),
        Err(error) => return Err(no_pem(&error)),
    };
    let identity = Identity {
        chain: chain.iter().map(|certificate| certificate.as_ref().into()).collect(),
        key: Zeroizing::new(der.secret_der().to_vec()),
    };
    let key = rustls::crypto::ring::default_provider().key_provider.load_private_key(der);
    let key = key.map_err(|error| Error::Unusable(error.to_string()))?;
    // A certificate holds its key as it is. One that cannot be read here, as one of X.509 v1, may be what its receiver wants.
    let public = key.public_key();
    let is_its_own = public.is_none_or(|public| chain.first().is_some_and(|first| memmem::find(first, &public).is_some()));
    if is_its_own { Ok(identity) } else { Err(Error::Mismatch) }
}

/// Whether a certificate can be made out to `name`.
pub(super) fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

/// At least one.
pub(super) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let certificates = read.map_err(|error| no_pem(&error))?;
    if certificates.is_empty() { Err(Error::NoCertificate) } else { Ok(certificates) }
}

fn no_pem(error: &pem::Error) -> Error {
    // What stands in the lines themselves may be the key.
    Error::Pem(match error {
        pem::Error::MissingSectionEnd { .. } => "it ends before its `-----END …-----`".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "`-----BEGIN …-----` is not alone in its line".to_owned(),
        other => other.to_string(),
    })
}
