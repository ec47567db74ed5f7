//! PEM files, as an endpoint's TLS needs them.
//!
//! **Invariant:** what comes out can be used: certificates are certificates, and a key is that of its certificate.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
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
pub(super) fn identity(certificate: &str, key: &str) -> Result<Identity, Error> {
    let chain = certificates(certificate)?;
    let der = match PrivateKeyDer::from_pem_slice(key.as_bytes()) {
        Ok(der) => der,
        Err(pem::Error::NoItemsFound) if key.contains("ENCRYPTED") => return Err(Error::Encrypted),
        Err(pem::Error::NoItemsFound) => return Err(Error::NoKey),
        Err(error) => return Err(Error::Pem(error.to_string())),
    };
    let identity = Identity {
        chain: chain.iter().map(|certificate| certificate.as_ref().into()).collect(),
        key: Zeroizing::new(der.secret_der().to_vec()),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Unusable(error.to_string()))?.with_root_certificates(RootCertStore::empty());
    match builder.with_client_auth_cert(chain, der) {
        Ok(_) => Ok(identity),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Error::Mismatch),
        Err(error) => Err(Error::Unusable(error.to_string())),
    }
}

/// Whether a certificate can be made out to `name`.
pub(super) fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let certificates = read.map_err(|error| Error::Pem(error.to_string()))?;
    if certificates.is_empty() { Err(Error::NoCertificate) } else { Ok(certificates) }
}
