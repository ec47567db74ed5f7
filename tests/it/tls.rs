//! Certificates of one's own, and HTTP/2.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{Receiver, Sidecar, everything_to};

const EVENT: &str = r#"{"type": "a", "id": "e-1", "data": 1}"#;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name`, and its key.
fn certificate(authority: &Authority, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: mpsc::UnboundedReceiver<(Version, Option<String>, Bytes)>,
    serving: JoinHandle<()>,
}

impl Server {
    /// A TLS receiver with this certificate, which agrees on these protocols; one that wants a certificate names by whom.
    async fn start((certificate, key): &(rcgen::Certificate, KeyPair), alpn: &[&str], clients: Option<&Authority>) -> Server {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let mut config = builder.with_single_cert(vec![CertificateDer::from(certificate.der().to_vec())], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Server::serve(Some(TlsAcceptor::from(Arc::new(config))), None).await
    }

    /// Without an acceptor over plain TCP; with a gate every request but those that say `free` waits for it.
    async fn serve(acceptor: Option<TlsAcceptor>, gate: Option<Arc<Notify>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (arrived, requests) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Relaxed);
                let (acceptor, arrived, gate) = (acceptor.clone(), arrived.clone(), gate.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| take(request, arrived.clone(), gate.clone()));
                    let Some(acceptor) = acceptor else {
                        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        return drop(http.serve_connection(TokioIo::new(stream), service).await);
                    };
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        drop(http.serve_connection(TokioIo::new(stream), service).await);
                    } else {
                        let http = hyper::server::conn::http1::Builder::new();
                        drop(http.serve_connection(TokioIo::new(stream), service).await);
                    }
                });
            }
        });
        Server { port, connections, requests, serving }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/hook?x=1", self.port)
    }

    async fn received(&mut self) -> (Version, Option<String>, Bytes) {
        tokio::time::timeout(crate::support::LIMIT, self.requests.recv()).await.expect("a request in time").unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(
    request: Request<Incoming>,
    arrived: mpsc::UnboundedSender<(Version, Option<String>, Bytes)>,
    gate: Option<Arc<Notify>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (version, authority) = (request.version(), request.uri().authority().map(ToString::to_string));
    #[expect(clippy::disallowed_methods, reason = "the sender is this test's own sidecar")]
    let body = request.into_body().collect().await?.to_bytes();
    let is_free = body.windows(4).any(|window| window == b"free");
    drop(arrived.send((version, authority, body)));
    if let Some(gate) = gate.filter(|_| !is_free) {
        gate.notified().await;
    }
    Ok(Response::new(Full::from("thanks")))
}

/// Writes a file beside the config-to-be and gives the folder.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

async fn failed(sidecar: &Sidecar, n: usize) -> Value {
    sidecar.logged("retrying", n).await[n - 1].clone()
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_and_another_is_not_until_its_file_is_replaced() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let mut server = Server::start(&certificate(&ours, "localhost", |_| {}), &[], None).await;
    let folder = folder(&[("ca.pem", &theirs.pem())]);
    let keys = "tls = { ca = \"ca.pem\" }\nretry = { delay = \"10ms\", backoff = \"fixed\", attempts = 100 }";
    let sidecar = Sidecar::start_in(folder, &everything_to(&[("hook", &server.url("localhost"), keys)])).await;
    sidecar.event(EVENT).await.accepted();
    let line = failed(&sidecar, 1).await;
    assert_eq!(line["error_code"], "tls");
    assert!(
        line["error"].as_str().unwrap().contains("signed by nobody known here")
            && line["error"].as_str().unwrap().contains("`tls.ca`"),
        "{line}"
    );
    let loaded = sidecar.changing(|| write(sidecar.dir(), "ca.pem", &format!("{}{}", theirs.pem(), ours.pem()))).await;
    assert_eq!((&loaded["outcome"], &loaded["changed"]), (&json!("loaded"), &json!(["endpoints.hook (tls)"])));
    server.received().await;
    sidecar.logged("delivered", 1).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_right_says_why() {
    let authority = authority("ours");
    let config = |url: &str, keys: &str| everything_to(&[("hook", url, &format!("tls = {{ ca = \"ca.pem\"{keys} }}"))]);
    let expired = certificate(&authority, "localhost", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let future = certificate(&authority, "localhost", |params| params.not_before = date_time_ymd(3020, 1, 1));
    let other = certificate(&authority, "other.example", |_| {});
    for (certificate, says) in [
        (&expired, "has expired, on 2020-01-01"),
        (&future, "is valid only from 3020-01-01"),
        (&other, "is for another name (other.example): `tls.server_name`"),
    ] {
        let server = Server::start(certificate, &[], None).await;
        let sidecar = Sidecar::start_in(folder(&[("ca.pem", &authority.pem())]), &config(&server.url("localhost"), "")).await;
        sidecar.event(EVENT).await.accepted();
        let line = failed(&sidecar, 1).await;
        assert_eq!(line["error_code"], "tls");
        assert!(line["error"].as_str().unwrap().contains(says), "{says}: {line}");
    }
    let mut server = Server::start(&other, &[], None).await;
    let named = config(&server.url("127.0.0.1"), ", server_name = \"other.example\"");
    let sidecar = Sidecar::start_in(folder(&[("ca.pem", &authority.pem())]), &named).await;
    sidecar.event(EVENT).await.accepted();
    server.received().await;
}

#[tokio::test]
async fn a_receiver_that_wants_a_certificate_gets_it_and_without_one_says_so() {
    let authority = authority("ours");
    let own = certificate(&authority, "shop", |_| {});
    let mut server = Server::start(&certificate(&authority, "localhost", |_| {}), &["http/1.1"], Some(&authority)).await;
    let two = Server::start(&certificate(&authority, "localhost", |_| {}), &["h2"], Some(&authority)).await;
    let files = [("ca.pem", authority.pem()), ("own.pem", own.0.pem()), ("own.key", own.1.serialize_pem())];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let config = |server: &Server, keys: &str| {
        everything_to(&[("hook", &server.url("localhost"), &format!("tls = {{ ca = \"ca.pem\"{keys} }}"))])
    };
    let with = config(&server, ", certificate = \"own.pem\", key = \"own.key\"");
    for server in [&server, &two] {
        let without = Sidecar::start_in(folder(&files), &config(server, "")).await;
        without.event(EVENT).await.accepted();
        let line = failed(&without, 1).await;
        assert_eq!(line["error_code"], "tls", "{line}");
        assert!(line["error"].as_str().unwrap().contains("wants a certificate of ours"), "{line}");
    }
    let sidecar = Sidecar::start_in(folder(&files), &with).await;
    sidecar.event(EVENT).await.accepted();
    assert_eq!(server.received().await.0, Version::HTTP_11);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_when_the_config_is_read() {
    let authority = authority("ours");
    let (one, other) = (certificate(&authority, "a", |_| {}), certificate(&authority, "b", |_| {}));
    let files = [
        ("ca.pem", authority.pem()),
        ("one.pem", one.0.pem()),
        ("one.key", one.1.serialize_pem()),
        ("other.key", other.1.serialize_pem()),
        ("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_owned()),
        ("text", "hello\n".to_owned()),
        ("locked.old", OLD_LOCKED_KEY.to_owned()),
        ("cut.pem", one.0.pem()[..200].to_owned()),
        ("line.key", one.1.serialize_pem().replace('\n', " ")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let folder = folder(&files);
    std::fs::write(folder.path().join("ca.der"), authority.der()).unwrap();
    for (keys, says) in [
        ("ca = \"gone.pem\"", "cannot read the file gone.pem"),
        ("ca = \"text\"", "there is no certificate in PEM"),
        ("certificate = \"one.pem\"", "`tls.certificate` needs `tls.key`"),
        ("key = \"one.key\"", "`tls.key` needs `tls.certificate`"),
        ("certificate = \"one.pem\", key = \"other.key\"", "the private key is not that of the certificate"),
        ("certificate = \"one.pem\", key = \"text\"", "there is no private key in PEM"),
        ("certificate = \"one.pem\", key = \"locked.key\"", "the private key is encrypted"),
        ("certificate = \"one.pem\", key = \"locked.old\"", "the private key is encrypted"),
        ("certificate = \"one.pem\", key = \"line.key\"", "bad value for `tls.key`: it is no PEM: it ends before its `-----END"),
        ("certificate = \"text\", key = \"one.key\"", "bad value for `tls.certificate`: there is no certificate in PEM"),
        ("ca = \"ca.der\"", "openssl x509 -inform der"),
        ("ca = \"cut.pem\"", "bad value for `tls.ca`: it is no PEM: it ends before its `-----END"),
        ("server_name = \"https://a/\"", "a host name or an address"),
        ("cert = \"one.pem\"", "unknown key `cert`"),
    ] {
        let config = everything_to(&[("hook", "https://localhost:1/", &format!("tls = {{ {keys} }}"))]);
        let error = Sidecar::refusal(folder.path(), &config).await.unwrap_or_else(|| panic!("no error with {keys}"));
        assert!(error.to_string().contains(says), "{keys}: {error}");
        let key = one.1.serialize_pem();
        assert!(!error.to_string().contains(key.lines().nth(1).unwrap()), "{error}");
    }
    let plain = everything_to(&[("hook", "http://localhost:1/", "tls = { ca = \"ca.pem\" }")]);
    let error = Sidecar::refusal(folder.path(), &plain).await.unwrap();
    assert!(error.to_string().contains("`tls` goes with an https:// URL only"));
}

#[tokio::test]
async fn a_certificate_that_signs_itself_is_trusted_where_it_is_named_and_only_as_what_it_is() {
    let own = |name: &str, change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        // As `openssl req -x509` does.
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap(), key)
    };
    let good = own("localhost", |_| {});
    let config = |server: &Server| everything_to(&[("hook", &server.url("localhost"), "tls = { ca = \"ca.pem\" }")]);
    let mut server = Server::start(&good, &[], None).await;
    let sidecar = Sidecar::start_in(folder(&[("ca.pem", &good.0.pem())]), &config(&server)).await;
    sidecar.event(EVENT).await.accepted();
    server.received().await;
    let other = own("other.example", |_| {});
    let expired = own("localhost", |params| params.not_after = date_time_ymd(2020, 1, 1));
    for (shown, trusted, says) in [
        (&good, &other, "its certificate is an authority's"),
        (&other, &other, "is for another name"),
        (&expired, &expired, "has expired"),
    ] {
        let server = Server::start(shown, &[], None).await;
        let sidecar = Sidecar::start_in(folder(&[("ca.pem", &trusted.0.pem())]), &config(&server)).await;
        sidecar.event(EVENT).await.accepted();
        let line = failed(&sidecar, 1).await;
        assert_eq!(line["error_code"], "tls");
        assert!(line["error"].as_str().unwrap().contains(says), "{says}: {line}");
    }
}

#[tokio::test]
async fn a_certificate_of_x_509_v1_is_for_its_receiver_to_judge() {
    let folder = folder(&[("own.pem", V1_CERTIFICATE), ("own.key", V1_KEY)]);
    let keys = "tls = { certificate = \"own.pem\", key = \"own.key\" }";
    let refused = Sidecar::refusal(folder.path(), &everything_to(&[("hook", "https://localhost:1/", keys)])).await;
    assert!(refused.is_none(), "{refused:?}");
    write(folder.path(), "own.key", &KeyPair::generate().unwrap().serialize_pem());
    let refused = Sidecar::refusal(folder.path(), &everything_to(&[("hook", "https://localhost:1/", keys)])).await;
    assert!(refused.unwrap().to_string().contains("the private key is not that of the certificate"));
}

#[tokio::test]
async fn the_server_of_tokens_has_its_own_name_and_speaks_what_it_speaks() {
    let authority = authority("ours");
    let mut server = Server::start(&certificate(&authority, "other.example", |_| {}), &["h2"], None).await;
    let token = r#"{"access_token":"tok-1","token_type":"bearer","expires_in":"3600"}"#;
    let tokens = Receiver::tls().await.with_body(token);
    let both = authority.pem() + tokens.certificate();
    let auth =
        format!("auth = {{ type = \"oauth2\", token_url = \"{}/\", client_id = \"a\", client_secret = \"b\" }}", tokens.url());
    let keys = format!("{auth}\nhttp = \"2\"\ntls = {{ ca = \"ca.pem\", server_name = \"other.example\" }}");
    let config = everything_to(&[("hook", &server.url("127.0.0.1"), &keys)]);
    let sidecar = Sidecar::start_in(folder(&[("ca.pem", &both)]), &config).await;
    sidecar.event(EVENT).await.accepted();
    assert_eq!(server.received().await.0, Version::HTTP_2);
    let plain = Receiver::replying([200]).await;
    let keys = format!("{auth}\ntls = {{ ca = \"ca.pem\" }}");
    let sidecar = Sidecar::start_in(folder(&[("ca.pem", &both)]), &everything_to(&[("hook", &plain.url(), &keys)])).await;
    sidecar.event(EVENT).await.accepted();
    assert_eq!(plain.received(1).await[0].header("authorization"), "Bearer tok-1");
}

#[tokio::test]
async fn http_2_is_agreed_on_and_its_one_connection_shared() {
    let authority = authority("ours");
    let mut server = Server::start(&certificate(&authority, "localhost", |_| {}), &["h2", "http/1.1"], None).await;
    let config = |http: &str| {
        let keys = format!("tls = {{ ca = \"ca.pem\" }}\nconcurrency = 16\nhttp = \"{http}\"");
        everything_to(&[("hook", &server.url("localhost"), &keys)])
    };
    let (auto, one) = (config("auto"), config("1.1"));
    let sidecar = Sidecar::start_in(folder(&[("ca.pem", &authority.pem())]), &auto).await;
    let events: Vec<String> = (0..100).map(|n| format!(r#"{{"type":"a","data":{n}}}"#)).collect();
    assert_eq!(sidecar.event(format!("[{}]", events.join(","))).await.status, 202);
    sidecar.logged("delivered", 100).await;
    assert_eq!(server.connections.load(Relaxed), 1, "100 events over one connection");
    let (version, named, body) = server.received().await;
    assert_eq!((version, named), (Version::HTTP_2, Some(format!("localhost:{}", server.port))));
    assert!(body.starts_with(b"{\"event_time\""));
    sidecar.edit(&one).await;
    sidecar.event(EVENT).await.accepted();
    sidecar.logged("delivered", 101).await;
    let mut last = server.received().await;
    while let Ok(request) = server.requests.try_recv() {
        last = request;
    }
    assert_eq!(last.0, Version::HTTP_11);
}

#[tokio::test]
async fn without_tls_http_2_is_spoken_at_once_and_a_stream_that_hangs_holds_up_no_other() {
    let gate = Arc::new(Notify::new());
    let mut server = Server::serve(None, Some(gate.clone())).await;
    let url = format!("http://127.0.0.1:{}/", server.port);
    let sidecar = Sidecar::start(&everything_to(&[("hook", &url, "http = \"2\"\nenvelope = \"none\"")])).await;
    sidecar.event(r#"{"type":"a","id":"slow","data":"held"}"#).await.accepted();
    assert_eq!(server.received().await.0, Version::HTTP_2);
    for n in 0..20 {
        sidecar.event(format!(r#"{{"type":"a","id":"free-{n}","data":"free"}}"#)).await.accepted();
    }
    let lines = sidecar.logged("delivered", 20).await;
    assert!(lines.iter().all(|line| line["event_id"] != "slow"));
    gate.notify_one();
    sidecar.logged("delivered", 21).await;
    assert_eq!(server.connections.load(Relaxed), 1);
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_http_2_where_it_must_fails_with_a_word_about_it() {
    let authority = authority("ours");
    let server = Server::start(&certificate(&authority, "localhost", |_| {}), &["http/1.1"], None).await;
    let keys = "tls = { ca = \"ca.pem\" }\nhttp = \"2\"";
    let sidecar =
        Sidecar::start_in(folder(&[("ca.pem", &authority.pem())]), &everything_to(&[("hook", &server.url("localhost"), keys)]))
            .await;
    sidecar.event(EVENT).await.accepted();
    let line = failed(&sidecar, 1).await;
    assert!(line["error"].as_str().unwrap().contains("HTTP"), "{line}");
}

const V1_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n\
MIIBGzCBwQIUROGNkONrwzSApqJ9NFK+U6m3AIgwCgYIKoZIzj0EAwIwDzENMAsG\n\
A1UEAwwEc2hvcDAgFw0yNjExMjYxNzQyNDFaGA8yMTI2MTEwMjE3NDI0MVowDzEN\n\
MAsGA1UEAwwEc2hvcDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDKTxPvynzQ1\n\
ew8qb9gmRTbMbPal1ZwQXo0F/JfvHD5AHDyNAmUhZIyBQIUm2Qv/ypJjOw9jUrz7\n\
ZndcX5E8k60wCgYIKoZIzj0EAwIDSQAwRgIhALKEzu7KKobbNT1wITWPDx2PbRlz\n\
HjwcrnU+DuOJ6VHLAiEAw+OgWflTUP9zQJiBPE2JqHGLQF4fYBe3eYXzhvpMjuQ=\n\
-----END CERTIFICATE-----\n\
";

const V1_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCcxUd8DApRu+Rc6t\n\
ojGRDPTWmx4rfOWM1SGicSFhVTuhRANCAAQyk8T78p80NXsPKm/YJkU2zGz2pdWc\n\
EF6NBfyX7xw+QBw8jQJlIWSMgUCFJtkL/8qSYzsPY1K8+2Z3XF+RPJOt\n\
-----END PRIVATE KEY-----\n\
";

const OLD_LOCKED_KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\n\
Proc-Type: 4,ENCRYPTED\n\
DEK-Info: AES-128-CBC,03DB878CC9E8775701CAEAB6D929D16F\n\
\n\
AAAA\n\
-----END RSA PRIVATE KEY-----\n";
