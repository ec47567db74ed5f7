//! What an endpoint's connections are held to.

use std::sync::Arc;

use super::{Scope, place};
use crate::{
    config::{
        problems::{Code, Problem},
        raw::{self, At},
        secrets::{self, Text},
        source::Span,
        tls,
    },
    endpoint::Tls,
    sign::Secret,
};

/// The settings, if there are any; `uses_tls` says whether the URL at `url` does.
pub(super) fn resolve(
    own: &raw::Tls,
    typed: &raw::Tls,
    (uses_tls, url): (bool, Option<&Span>),
    scope: &mut Scope<'_>,
) -> Option<Arc<Tls>> {
    if !uses_tls {
        let spans = [place(&own.ca), place(&own.certificate), place(&own.key), place(&own.server_name)];
        // An inherited setting is for others.
        if let Some(span) = spans.into_iter().flatten().next() {
            let problem = Problem::error(Code::Conflict, span, "`tls` goes with an https:// URL only");
            scope.problems.push(problem.beside(url, "the URL"));
        }
        return None;
    }
    let ca = typed.ca.as_ref().map_or(Some(Vec::new()), |ca| {
        let text = file("tls.ca", ca, scope)?;
        refuse("tls.ca", &ca.span, tls::authorities(text.expose()), scope)
    });
    let identity = match (&typed.certificate, &typed.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            let (chain, secret) = (file("tls.certificate", certificate, scope), scope.reveal(key));
            let (chain, secret) = (chain?, secret?);
            let chain = refuse("tls.certificate", &certificate.span, tls::certificates(chain.expose()), scope)?;
            Some(refuse("tls.key", &key.span, tls::identity(&chain, secret.expose()), scope)?)
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

fn file(key: &str, path: &At<String>, scope: &mut Scope<'_>) -> Option<Secret> {
    let text = match scope.secrets.reveal(&Text::File(path.value.clone())) {
        Err(secrets::Error::NotUtf8 { .. }) => return refuse(key, &path.span, Err(tls::Error::NoText), scope),
        text => text,
    };
    text.map_err(|error| scope.error(Code::Secret, &path.span, error.to_string())).ok()
}

fn refuse<T>(key: &str, span: &Span, read: Result<T, tls::Error>, scope: &mut Scope<'_>) -> Option<T> {
    read.map_err(|error| scope.error(Code::BadValue, span, format!("bad value for `{key}`: {error}"))).ok()
}
