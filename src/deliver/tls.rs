//! TLS by rustls: whom to trust, who this is, and what went wrong, for people.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::ParsedCertificate,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::client::failure;
use crate::{
    endpoint::{Http, Target, Tls},
    retry::{ErrorCode, Failure},
};

/// Makes connections secure. One per sidecar; the system's roots are read when the first https endpoint is dialled.
#[derive(Default)]
pub(super) struct Security {
    roots: OnceCell<Arc<RootCertStore>>,
    /// Settings that are gone have their connector dropped when another is made.
    made: Mutex<Vec<Made>>,
}

struct Made {
    settings: Option<Weak<Tls>>,
    http: Http,
    connector: TlsConnector,
}

impl Security {
    /// Shakes hands over `stream`; the other side must prove to be `target`.
    pub(super) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        target: &Target,
        stream: S,
    ) -> Result<TlsStream<S>, Failure> {
        let connector = self.connector(target).await?;
        let named = target.tls_settings.as_ref().and_then(|settings| settings.server_name.as_deref()).unwrap_or(&target.host);
        let name = ServerName::try_from(named.to_owned())
            .map_err(|_| failure(ErrorCode::Tls, format!("`{named}` cannot be a certificate's name")))?;
        let stream = connector.connect(name, stream).await.map_err(|error| failure(ErrorCode::Tls, told(named, &error)))?;
        if target.http == Http::Two && stream.get_ref().1.alpn_protocol() != Some(H2) {
            return Err(failure(ErrorCode::Protocol, format!("{named} did not agree to HTTP/2, which `http = \"2\"` asks for")));
        }
        Ok(stream)
    }

    async fn connector(&self, target: &Target) -> Result<TlsConnector, Failure> {
        let settings = target.tls_settings.as_ref();
        let is_it = |made: &&Made| {
            made.http == target.http
                && match (&made.settings, settings) {
                    (None, None) => true,
                    (Some(made), Some(settings)) => std::ptr::eq(made.as_ptr(), Arc::as_ptr(settings)),
                    _ => false,
                }
        };
        if let Some(made) = self.lock().iter().find(is_it) {
            return Ok(made.connector.clone());
        }
        let roots = self.roots.get_or_try_init(system_roots).await?;
        let config = config(roots, settings.map(|settings| &**settings), target.http)
            .map_err(|error| failure(ErrorCode::Tls, error.to_string()))?;
        let connector = TlsConnector::from(Arc::new(config));
        let mut made = self.lock();
        made.retain(|made| made.settings.as_ref().is_none_or(|settings| settings.strong_count() > 0));
        made.push(Made { settings: settings.map(Arc::downgrade), http: target.http, connector: connector.clone() });
        Ok(connector)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The system's roots; where the system has none (a container from scratch), Mozilla's.
async fn system_roots() -> Result<Arc<RootCertStore>, Failure> {
    let read = tokio::task::spawn_blocking(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    });
    read.await.map_err(|_| failure(ErrorCode::Tls, "the system's root certificates could not be read"))
}

fn config(roots: &Arc<RootCertStore>, settings: Option<&Tls>, http: Http) -> Result<ClientConfig, rustls::Error> {
    let mut roots = Arc::clone(roots);
    for ca in settings.into_iter().flat_map(|settings| &settings.ca) {
        Arc::make_mut(&mut roots).add(CertificateDer::from(ca.to_vec()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match settings.filter(|settings| !settings.ca.is_empty()) {
        None => builder.with_root_certificates(roots),
        Some(settings) => {
            let usual = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            let usual = usual.map_err(|error| rustls::Error::General(error.to_string()))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { usual, known: settings.ca.clone() }))
        }
    };
    let mut config = match settings.and_then(|settings| settings.identity.as_ref()) {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = identity.chain.iter().map(|certificate| CertificateDer::from(certificate.to_vec())).collect();
            let key = PrivateKeyDer::try_from(identity.key.to_vec()).map_err(|error| rustls::Error::General(error.to_owned()))?;
            // That they belong together was seen when they were read; what to think of them is the receiver's business.
            let key = CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?);
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    };
    config.alpn_protocols = match http {
        Http::Auto => vec![H2.to_vec(), H1.to_vec()],
        Http::One => vec![H1.to_vec()],
        Http::Two => vec![H2.to_vec()],
    };
    Ok(config)
}

/// The usual verification; but a certificate that the config itself names is the receiver's own also where it is made out for
/// an authority, as `openssl req -x509` makes them.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    /// In DER.
    known: Vec<Box<[u8]>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.usual.verify_server_cert(end_entity, intermediates, name, ocsp_response, now) {
            // Its dates were looked at before this was found.
            Err(error) if is_for_an_authority(&error) && self.known.iter().any(|known| **known == **end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            usual => usual,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Whether a certificate was refused because it may sign others. rustls has no name of its own for that.
fn is_for_an_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    other.0.to_string() == "CaUsedAsEndEntity"
}

/// The error of TLS that one of the connection is.
pub(super) fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What went wrong with `name`, and what may help.
fn told(name: &str, error: &io::Error) -> String {
    let text = match cause(error) {
        Some(cause) => explained(cause),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the connection was closed: there may be no TLS at this port".to_owned()
        }
        None => error.to_string(),
    };
    format!("TLS with {name}: {text}")
}

/// What rustls says, for who has to do something about it.
pub(super) fn explained(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate is signed by nobody known here (self-signed, or by an authority of its own): `tls.ca` names whom to trust".to_owned()
        }
        error if is_for_an_authority(error) => {
            "its certificate is an authority's, not a server's (self-signed, as by `openssl req -x509`): `tls.ca` with exactly this \
             certificate trusts it"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            format!("its certificate has expired, on {}", date(not_after.as_secs()))
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired) => "its certificate has expired".to_owned(),
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            format!("its certificate is valid only from {} on", date(not_before.as_secs()))
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
            // Each comes as `DnsName("a.example")` or `IpAddress(192.0.2.1)`.
            let name = |text: &String| text.split(['(', ')']).nth(1).unwrap_or(text).trim_matches('"').to_owned();
            let names: Vec<String> = presented.iter().map(name).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("its certificate is for another name ({names}): `tls.server_name` says which one is right")
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a certificate of ours: `tls.certificate` and `tls.key` name one".to_owned()
        }
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown),
        ) => format!("it refused our certificate ({alert:?})"),
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it did not agree to the HTTP version that `http` asks for".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => "it speaks no version of TLS from 1.2 on".to_owned(),
        rustls::Error::InvalidMessage(_) => "its answer is not TLS: there may be plain HTTP at this port".to_owned(),
        other => other.to_string(),
    }
}

fn date(unix_seconds: u64) -> String {
    let time = i64::try_from(unix_seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| unix_seconds.to_string(), |time| time.to_string())
}

pub(super) const H2: &[u8] = b"h2";
const H1: &[u8] = b"http/1.1";
