//! What an endpoint's connections are held to.

use std::sync::Arc;

use super::Scope;
use crate::{
    config::{
        problems::{Code, Problem},
        raw::{self, At},
        secrets::Text,
        source::Span,
        tls,
    },
    endpoint::Tls,
    sign::Secret,
};

/// The settings, if there are any; `uses_tls` says whether the URL does.
pub(super) fn resolve(own: &raw::Tls, typed: &raw::Tls, uses_tls: bool, scope: &mut Scope<'_>) -> Option<Arc<Tls>> {
    if !uses_tls {
        let spans = [own.ca.as_ref().map(|at| &at.span), own.certificate.as_ref().map(|at| &at.span)];
        let spans = spans.into_iter().chain([own.key.as_ref().map(|at| &at.span), own.server_name.as_ref().map(|at| &at.span)]);
        // An inherited setting is for others.
        if let Some(span) = spans.flatten().next() {
            scope.error(Code::Conflict, span, "`tls` goes with an https:// URL only");
        }
        return None;
    }
    let ca = typed.ca.as_ref().map_or(Some(Vec::new()), |ca| {
        let text = file(ca, scope)?;
        refuse("tls.ca", &ca.span, tls::authorities(text.expose()), scope)
    });
    let identity = match (&typed.certificate, &typed.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            let (chain, secret) = (file(certificate, scope), scope.reveal(key));
            let (chain, secret) = (chain?, secret?);
            let identity = tls::identity(chain.expose(), secret.expose());
            let span = match &identity {
                Err(tls::Error::NoCertificate) => &certificate.span,
                _ => &key.span,
            };
            Some(refuse("tls.key", span, identity, scope)?)
        }
        (Some(at), None) => {
            scope.error(Code::MissingKey, &at.span, "`tls.certificate` needs `tls.key`");
            None
        }
        (None, Some(at)) => {
            scope.error(Code::MissingKey, &at.span, "`tls.key` needs `tls.certificate`");
            None
        }
    };
    if let Some(name) = typed.server_name.as_ref().filter(|name| !tls::is_server_name(&name.value)) {
        let problem = Problem::error(Code::BadValue, &name.span, "bad value for `server_name`");
        scope.problems.push(problem.label("a host name or an address, without scheme and port"));
    }
    let settings = Tls { ca: ca?, identity, server_name: typed.server_name.as_ref().map(|name| name.value.as_str().into()) };
    (settings != Tls::default()).then(|| Arc::new(settings))
}

fn file(path: &At<String>, scope: &mut Scope<'_>) -> Option<Secret> {
    scope.reveal(&At { value: Text::File(path.value.clone()), span: path.span.clone() })
}

fn refuse<T>(key: &str, span: &Span, read: Result<T, tls::Error>, scope: &mut Scope<'_>) -> Option<T> {
    read.map_err(|error| scope.error(Code::BadValue, span, format!("bad value for `{key}`: {error}"))).ok()
}
