//! One endpoint, all its settings valid together.
//!
//! **Invariant:** `None` means that a problem was reported.

use std::{sync::Arc, time::Duration};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use http::{HeaderValue, Method, header};
use sha2::{Digest as _, Sha256};

use super::{Scope, bytes, credentials, merge, or, pace, place, tls};
use crate::{
    config::{
        problems::{Code, Problem},
        proxy,
        raw::{self, At, Backoff},
        secrets::Text,
    },
    encode::{self, Shape},
    endpoint::{Auth, Bounds, Digest, Endpoint, Http, Network, OAuth2, Proxy, Success, Target, TargetError, Tls, WhenFull},
    envelope::Envelope,
    event::cloud,
    retry,
    sign::Secret,
};

/// Makes the endpoint that was typed as `own`, over `defaults`.
pub(super) fn resolve(
    name: &At<String>,
    own: &raw::Endpoint,
    defaults: &raw::Endpoint,
    scope: &mut Scope<'_>,
) -> Option<Endpoint> {
    let typed = &merge::with_defaults(own, defaults);
    scope.secrets.revealed = Sha256::new();
    let mut secrets = Vec::new();
    let target = target(typed, &mut secrets, scope);
    let shape = shape(own, typed, scope);
    let credentials = credentials::resolve(typed, &mut secrets, scope);
    let (target, auth) = match target {
        None => (None, credentials.auth),
        Some(target) => {
            let (target, auth) = connected(target, credentials.auth, (own, typed), &mut secrets, scope);
            (Some(target), auth)
        }
    };
    let id = id(name, typed, scope);
    Some(Endpoint {
        name: Arc::from(&*name.value),
        id: id.into(),
        description: typed.description.as_ref().map(|description| (&*description.value).into()),
        target: target?,
        method: or(&typed.method, Method::POST),
        active: or(&typed.active, true),
        shape,
        headers: credentials.headers,
        auth,
        signatures: credentials.signatures,
        timeout: or(&typed.timeout, Duration::from_secs(10)),
        success: Success::new(or(&typed.success, vec![(200, 299)])),
        retry: policy(&typed.retry),
        queue: Bounds {
            events: bytes(or(&typed.queue.events, 10_000)),
            bytes: bytes(or(&typed.queue.bytes, 64 << 20)),
            when_full: or(&typed.queue.when_full, WhenFull::DeadLetter),
        },
        concurrency: bytes(or(&typed.concurrency, 8)),
        order: pace::order(&typed.pace, scope),
        batch: pace::batch(name, typed, scope),
        pace: pace::pace(&typed.pace),
        resume_after: typed.pace.resume_after.as_ref().map(|after| after.value).filter(|after| !after.is_zero()),
        idle_timeout: or(&typed.idle_timeout, Duration::from_secs(4)),
        trace: or(&typed.trace, false),
        digest: digest(typed, scope),
        secrets,
    })
}

fn target(typed: &raw::Endpoint, secrets: &mut Vec<Secret>, scope: &mut Scope<'_>) -> Option<Target> {
    let url = typed.url.as_ref()?;
    let text = scope.reveal(url)?;
    let secret = !url.value.is_literal();
    match Target::parse(text.expose(), secret) {
        Ok(target) => {
            secrets.extend(target.hidden(secret));
            if secret {
                secrets.push(text);
            }
            Some(target)
        }
        Err(error) => {
            let label = url_for(url, &error, scope).unwrap_or_else(|| error.to_string());
            scope.problems.push(Problem::error(Code::BadValue, &url.span, "bad value for `url`").label(label));
            None
        }
    }
}

/// What to write in place of a URL that is none, where that can be told and is no secret.
fn url_for(url: &At<Text>, error: &TargetError, scope: &Scope<'_>) -> Option<String> {
    let Text::Literal(text) = &url.value else { return None };
    if *error != TargetError::NotAbsolute || scope.problems.hides(&url.span) {
        return None;
    }
    match text.split_once("://") {
        _ if text.contains("${") => Some("variables are not put into the text: { env = \"NAME\" } is a URL from one".to_owned()),
        Some((scheme, _)) => {
            let near = raw::nearest(scheme, ["http", "https"].into_iter()).filter(|near| !scheme.eq_ignore_ascii_case(near));
            near.map(|near| format!("did you mean {near}://…?"))
        }
        None if text.contains('.') && !text.starts_with(['/', '.']) && !text.contains([' ', '"']) => {
            Some(format!("write \"https://{text}\""))
        }
        None => None,
    }
}

/// How both the receiver and the server of its tokens are spoken to.
fn connected(
    target: Target,
    auth: Option<Auth>,
    (own, typed): (&raw::Endpoint, &raw::Endpoint),
    secrets: &mut Vec<Secret>,
    scope: &mut Scope<'_>,
) -> (Target, Option<Auth>) {
    let tokens = match &auth {
        Some(Auth::OAuth2(oauth2)) => Some(oauth2),
        _ => None,
    };
    let uses_tls = target.tls || tokens.is_some_and(|tokens| tokens.target.tls);
    let url = place(&typed.url);
    let settings = tls::resolve(&own.tls, &typed.tls, (uses_tls, url), scope);
    let (http, network) = (or(&typed.http, Http::Auto), or(&typed.network, Network::Any));
    let auth = match tokens {
        None => auth,
        Some(oauth2) => {
            // It is another server: it has its own name, and need not speak HTTP/2.
            let http = if http == Http::One { Http::One } else { Http::Auto };
            let tls_settings = settings.clone().filter(|_| oauth2.target.tls).and_then(unnamed);
            let target = Target { network, http, tls_settings, ..oauth2.target.clone() };
            let proxy = proxy_of(typed, &target, scope);
            let of_proxy: Vec<Secret> = proxy.iter().flat_map(|proxy| proxy::secrets_of(proxy)).collect();
            secrets.extend(of_proxy.iter().cloned());
            let secrets = [&oauth2.secrets[..], &of_proxy].concat();
            let (authorization, body) = (oauth2.authorization.clone(), oauth2.body.clone());
            Some(Auth::OAuth2(Arc::new(OAuth2 { target: Target { proxy, ..target }, authorization, body, secrets })))
        }
    };
    let target = Target { network, http, tls_settings: settings.filter(|_| target.tls), ..target };
    let proxy = proxy_of(typed, &target, scope);
    secrets.extend(proxy.iter().flat_map(|proxy| proxy::secrets_of(proxy)));
    let header = typed.headers.iter().find(|header| header.name.value == header::PROXY_AUTHORIZATION);
    if let Some(header) = header.filter(|_| proxy.as_ref().is_some_and(|proxy| proxy.authorization.is_some())) {
        let message = "the header `proxy-authorization` is already written by `proxy`";
        let problem = Problem::error(Code::Conflict, &header.name.span, message);
        scope.problems.push(problem.beside(place(&typed.proxy), "written here"));
    }
    (Target { proxy, ..target }, auth)
}

/// The same for a server that is asked for by the name in its URL.
fn unnamed(settings: Arc<Tls>) -> Option<Arc<Tls>> {
    if settings.server_name.is_none() {
        return Some(settings);
    }
    let settings = Tls { server_name: None, ..(*settings).clone() };
    (settings != Tls::default()).then(|| Arc::new(settings))
}

/// A proxy resolves names where nothing here can look at what they lead to.
fn proxy_of(typed: &raw::Endpoint, target: &Target, scope: &mut Scope<'_>) -> Option<Arc<Proxy>> {
    let text = typed.proxy.as_ref().map(|proxy| scope.reveal(proxy));
    let found = match text.as_ref().map(|text| text.as_ref().map(Secret::expose)) {
        Some(None) | Some(Some(proxy::NONE)) => return None,
        None | Some(Some(proxy::OF_ENVIRONMENT)) => match proxy::of_environment(&scope.secrets, target) {
            Ok(found) => found,
            Err(error) => {
                let help = "unset it, or say `proxy = \"none\"`, or which";
                scope.problems.push(Problem::whole(Code::BadValue, error.to_string()).help(help));
                None
            }
        },
        Some(Some(url)) => named(typed.proxy.as_ref()?, url, scope).filter(|_| !proxy::is_this_machine(target)),
    }?;
    if let Some(at) = typed.network.as_ref().filter(|network| network.value == Network::Public) {
        let problem = Problem::error(Code::Conflict, &at.span, format!("`network = \"public\"` with the proxy {found}"));
        let problem = problem.label("only a proxy knows what it connects to").help("`proxy = \"none\"` dials directly");
        scope.problems.push(problem.beside(place(&typed.proxy), "the proxy"));
    }
    Some(Arc::new(found))
}

fn named(typed: &At<Text>, url: &str, scope: &mut Scope<'_>) -> Option<Proxy> {
    match proxy::named(url) {
        Ok(proxy) => {
            // More than the user's name.
            if proxy::secrets_of(&proxy).len() > 1 {
                scope.warn_of_literal(typed);
            }
            Some(proxy)
        }
        Err(error) => {
            scope.problems.push(Problem::error(Code::BadValue, &typed.span, "bad value for `proxy`").label(error.to_string()));
            None
        }
    }
}

fn shape(own: &raw::Endpoint, typed: &raw::Endpoint, scope: &mut Scope<'_>) -> Arc<Shape> {
    // An inherited root is for others: only the endpoint's own contradicts its format.
    let is_xml = or(&typed.format, raw::Format::Json) == raw::Format::Xml;
    if let Some(root) = own.xml_root.as_ref().filter(|_| !typed.broken && !is_xml) {
        let problem = Problem::error(Code::Conflict, &root.span, "`xml` goes with `format = \"xml\"` only");
        scope.problems.push(problem.beside(place(&typed.format), "the format"));
    }
    let format = match or(&typed.format, raw::Format::Json) {
        raw::Format::Form => encode::Format::Form,
        raw::Format::Json => encode::Format::Json,
        raw::Format::Xml => encode::Format::Xml { root: or(&typed.xml_root, "notification".to_owned()).into() },
    };
    let envelope = or(&typed.envelope, Envelope::Event);
    if let Some(at) = typed.envelope.as_ref().filter(|_| envelope.is_json_only() && format != encode::Format::Json) {
        let problem = Problem::error(Code::Conflict, &at.span, "the CloudEvents envelopes go with `format = \"json\"` only");
        scope.problems.push(problem.beside(place(&typed.format), "the format"));
    }
    let own = if envelope == Envelope::CloudEvents { cloud::MEDIA_TYPE } else { format.content_type() };
    let content_type = or(&typed.content_type, HeaderValue::from_static(own));
    let shape = Shape { envelope, format, content_type };
    if let Some(shared) = scope.shapes.get(&shape) {
        return shared.clone();
    }
    let shape = Arc::new(shape);
    scope.shapes.insert(shape.clone());
    shape
}

/// The `id` key, or one made of the name; that no other endpoint has.
fn id(name: &At<String>, typed: &raw::Endpoint, scope: &mut Scope<'_>) -> String {
    let id = typed.id.as_ref().map_or_else(|| id_of(&name.value), |id| id.value.clone());
    let span = place(&typed.id).unwrap_or(&name.span);
    if let Some((other, place)) = scope.ids.insert(id.clone(), (name.value.clone(), span.clone())) {
        let problem = Problem::error(Code::Duplicate, span, format!("the endpoint `{other}` has the same id"));
        scope.problems.push(problem.beside(Some(&place), "first here"));
    }
    id
}

/// `app_` and the first 26 characters of the lower-case base32 (RFC 4648) of SHA-256 of the name.
fn id_of(name: &str) -> String {
    let mut id = BASE32_NOPAD.encode(&Sha256::digest(name)).to_ascii_lowercase();
    id.truncate(26);
    id.insert_str(0, "app_");
    id
}

/// Of what is typed and of all that it names.
fn digest(typed: &raw::Endpoint, scope: &mut Scope<'_>) -> Digest {
    let mut hash = std::mem::take(&mut scope.secrets.revealed);
    typed.digests.add_to(&mut hash);
    Digest(HEXLOWER.encode(&hash.finalize()).into())
}

fn policy(typed: &raw::Retry) -> retry::Policy {
    let attempts = or(&typed.attempts, 12) as u32;
    let delay = or(&typed.delay, Duration::from_secs(5));
    let waits = match (&typed.schedule, or(&typed.backoff, Backoff::Exponential)) {
        (Some(schedule), _) => retry::Waits::Schedule(schedule.value.iter().map(|wait| wait.value).collect()),
        (None, Backoff::Exponential) => retry::Waits::Exponential { attempts, delay },
        (None, Backoff::Fixed) => retry::Waits::Fixed { attempts, delay },
    };
    retry::Policy {
        waits,
        max_delay: or(&typed.max_delay, Duration::from_secs(600)),
        jitter: or(&typed.jitter, 0.2),
        max_age: typed.max_age.as_ref().map(|max_age| max_age.value),
        on: or(&typed.on, retry::On::Transient),
    }
}
