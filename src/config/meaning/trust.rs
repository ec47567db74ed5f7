//! Whether a receiver can trust what it gets, and nobody on the way learns what proves it.

use http::header::HeaderName;

use super::{
    Both,
    secrets::{credentials_of, names_a_credential},
};
use crate::{
    config::{
        problems::{Code, Problem, Problems},
        proxy,
        raw::{self, At},
        source::Span,
    },
    endpoint::{Auth, Target},
    envelope::Envelope,
};

pub(super) fn warn(endpoint: &Both<'_>, problems: &mut Problems) {
    cleartext(endpoint, problems);
    unproven(endpoint, problems);
}

fn cleartext(endpoint: &Both<'_>, problems: &mut Problems) {
    let made = endpoint.made;
    if let Some(url) = endpoint.own.url.as_ref().filter(|_| is_in_the_clear(&made.target)) {
        let auth = made.auth.is_some().then(|| "`auth`".to_owned());
        let headers = secret_headers(endpoint).map(|name| format!("the header `{name}`"));
        // Of a URL that is a secret nothing is shown but scheme and host.
        let query = credentials_of(&made.target.uri_text).map(|(name, _)| match url.value.is_literal() {
            true => format!("the query's `{name}`"),
            false => "the query".to_owned(),
        });
        let sent: Vec<String> = auth.into_iter().chain(headers).chain(query).collect();
        if !sent.is_empty() {
            problems.push(unencrypted(&url.span, &sent.join(", ")));
        }
    }
    let typed = endpoint.typed(|table| &table.auth).and_then(|auth| auth.value.as_ref());
    if let (Some(Auth::OAuth2(oauth2)), Some(raw::Auth::OAuth2 { token_url, .. })) = (&made.auth, typed)
        && is_in_the_clear(&oauth2.target)
    {
        problems.push(unencrypted(&token_url.span, "`client_secret` and the token"));
    }
}

fn unencrypted(url: &Span, sent: &str) -> Problem {
    Problem::warning(Code::Cleartext, url, "credentials go out unencrypted")
        .label(format!("everybody on the way can read {sent}"))
        .help("speak https:// to whoever is not on this machine")
}

fn is_in_the_clear(target: &Target) -> bool {
    !target.tls && !proxy::is_this_machine(target)
}

fn secret_headers<'a>(endpoint: &Both<'a>) -> impl Iterator<Item = &'a HeaderName> {
    let is_secret = |header: &&raw::Header| !header.value.value.is_literal() || names_a_credential(header.name.value.as_str());
    endpoint.headers().filter(is_secret).map(|header| &header.name.value)
}

/// `auth = "none"` and `signature = []` say that this is meant.
fn unproven(endpoint: &Both<'_>, problems: &mut Problems) {
    let Some(At { value: Envelope::Md5, span }) = endpoint.typed(|table| &table.envelope) else { return };
    let made = endpoint.made;
    let is_settled = endpoint.typed(|table| &table.auth).is_some() || endpoint.typed(|table| &table.signatures).is_some();
    let has_secret_url = endpoint.own.url.as_ref().is_some_and(|url| !url.value.is_literal());
    let has_certificate = made.target.tls_settings.as_ref().is_some_and(|tls| tls.identity.is_some());
    let proves = has_secret_url
        || has_certificate
        || secret_headers(endpoint).next().is_some()
        || credentials_of(&made.target.uri_text).next().is_some();
    if !is_settled && !proves {
        let message = format!("nothing proves to `{}` who sent an event", made.name);
        let problem = Problem::warning(Code::Unproven, span, message).label("anybody can compute an MD5");
        problems.push(problem.help("add `signature` or `auth`; `auth = \"none\"` says that the receiver wants neither"));
    }
}
