//! The headers of an endpoint that the config asks for: who is calling, signatures, and custom ones.
//!
//! **Invariant:** no header is written twice, and none that sidehook or HTTP itself writes is replaced, but `user-agent`.

use std::sync::Arc;

use data_encoding::BASE64;
use http::{
    HeaderName, HeaderValue,
    header::{self, AUTHORIZATION},
};

use super::Scope;
use crate::{
    config::{
        problems::{Code, Problem},
        raw::{self, At},
        secrets::Text,
        source::Span,
        template,
    },
    endpoint::{Auth, HeaderPlaceholder, HeaderText, OAuth2, Target},
    envelope::Envelope,
    sign::{self, Part, Secret, Signer, Template},
};

pub(super) struct Credentials {
    pub(super) headers: Vec<(HeaderName, HeaderText)>,
    pub(super) auth: Option<Auth>,
    pub(super) signatures: Vec<Signer>,
}

/// Makes all three of `typed`, and adds every secret text that was used to `secrets`.
pub(super) fn resolve(typed: &raw::Endpoint, secrets: &mut Vec<Secret>, scope: &mut Scope<'_>) -> Credentials {
    let mut written = Written::of_every_endpoint(typed.trace.as_ref().is_some_and(|trace| trace.value));
    written.takes_attributes = typed.envelope.as_ref().is_some_and(|envelope| envelope.value == Envelope::CloudEventsBinary);
    let mut auth = None;
    if let Some(At { value: Some(typed), span }) = &typed.auth {
        auth = resolve_auth(typed, span, secrets, scope);
        match &auth {
            Some(Auth::Header(name, _)) => written.claim(name, "`auth`", span, scope),
            Some(Auth::OAuth2(_)) => written.claim(&AUTHORIZATION, "`auth`", span, scope),
            None => true,
        };
    }
    let mut signatures = Vec::new();
    for signature in typed.signatures.iter().flat_map(|signatures| &signatures.value) {
        if let Some(signer) = signer(signature, secrets, scope) {
            for name in signer.header_names() {
                written.claim(name, "`signature`", &signature.span, scope);
            }
            signatures.push(signer);
        }
    }
    written.replaceable(&header::USER_AGENT);
    let mut headers = Vec::with_capacity(typed.headers.len());
    for typed in &typed.headers {
        let free = written.claim(&typed.name.value, "`headers`", &typed.name.span, scope);
        if let Some(text) = header_text(typed, secrets, scope).filter(|_| free) {
            headers.push((typed.name.value.clone(), text));
        }
    }
    Credentials { headers, auth, signatures }
}

/// Which header is written by whom.
struct Written {
    names: Vec<(HeaderName, &'static str, Option<Span>)>,
    /// Every `ce-…` header is the event's own.
    takes_attributes: bool,
}

impl Written {
    fn of_every_endpoint(trace: bool) -> Written {
        let names = if trace { ALWAYS.iter().chain(TRACE) } else { ALWAYS.iter().chain(&[]) };
        let names = names.map(|name| (HeaderName::from_static(name), "sidehook itself", None)).collect();
        Written { names, takes_attributes: false }
    }

    fn replaceable(&mut self, name: &HeaderName) {
        self.names.retain(|(written, by, _)| written != name || *by != "sidehook itself");
    }

    /// Notes that `by` writes the header, unless another does.
    fn claim(&mut self, name: &HeaderName, by: &'static str, span: &Span, scope: &mut Scope<'_>) -> bool {
        let is_attribute = self.takes_attributes && name.as_str().starts_with("ce-");
        let other = self.names.iter().find(|(written, ..)| written == name).map(|(_, other, place)| (*other, place.as_ref()));
        let Some((other, place)) = other.or(is_attribute.then_some(("`envelope`", None))) else {
            self.names.push((name.clone(), by, Some(span.clone())));
            return true;
        };
        // Twice in `headers` was reported where it was read.
        if (other, by) != ("`headers`", "`headers`") {
            let problem = Problem::error(Code::Conflict, span, format!("the header `{name}` is already written by {other}"));
            let problem = problem.beside(place, "written here");
            scope.problems.push(if *name == header::CONTENT_TYPE { problem.help("`content_type` sets it") } else { problem });
        }
        false
    }
}

fn resolve_auth(auth: &raw::Auth, span: &Span, secrets: &mut Vec<Secret>, scope: &mut Scope<'_>) -> Option<Auth> {
    let (name, value) = match auth {
        raw::Auth::ApiKey { header, value } => {
            let secret = scope.secret(value)?;
            let text = header_value(secret.expose(), &value.span, scope);
            secrets.push(secret);
            (header.clone(), text?)
        }
        raw::Auth::Basic { username, password } => (AUTHORIZATION, basic(username, password, secrets, scope)?),
        raw::Auth::OAuth2 { token_url, client_id, client_secret, scopes } => {
            return oauth2((token_url, client_id, client_secret), scopes, secrets, scope);
        }
        raw::Auth::Bearer { token } => {
            let secret = scope.secret(token)?;
            if !secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                scope.error(Code::Secret, &token.span, "a bearer token is made of visible ASCII characters");
                return None;
            }
            let text = header_value(&format!("Bearer {}", secret.expose()), span, scope);
            secrets.push(secret);
            (AUTHORIZATION, text?)
        }
    };
    Some(Auth::Header(name, sensitive(value)))
}

/// The client's credentials go into the header (RFC 6749, 2.3.1).
fn oauth2(
    (token_url, id, secret): (&At<Text>, &At<Text>, &At<Text>),
    scopes: &[String],
    secrets: &mut Vec<Secret>,
    scope: &mut Scope<'_>,
) -> Option<Auth> {
    let (url, client, password) = (scope.reveal(token_url), scope.reveal(id), scope.secret(secret));
    let (url, client, password) = (url?, client?, password?);
    let target = Target::parse(url.expose(), !token_url.value.is_literal());
    let target = target.map_err(|error| {
        let problem = Problem::error(Code::BadValue, &token_url.span, "bad value for `token_url`");
        scope.problems.push(problem.label(error.to_string()));
    });
    let form = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let encoded = BASE64.encode(format!("{}:{}", form(client.expose()), form(password.expose())).as_bytes());
    let authorization = header_value(&format!("Basic {encoded}"), &secret.span, scope)?;
    let joined = scopes.join(" ");
    let mut pairs = vec![("grant_type", "client_credentials")];
    pairs.extend((!joined.is_empty()).then_some(("scope", joined.as_str())));
    let body = serde_urlencoded::to_string(pairs).unwrap_or_default();
    let target = target.ok()?;
    let mut own = vec![Secret::new(form(password.expose())), password, Secret::new(encoded)];
    own.extend((!id.value.is_literal() && sign::is_telling(client.expose())).then_some(client));
    own.extend(target.hidden(!token_url.value.is_literal()));
    own.extend((!token_url.value.is_literal()).then_some(url));
    secrets.extend(own.iter().cloned());
    let auth = OAuth2 { target, authorization: sensitive(authorization), body: body.into(), secrets: own };
    Some(Auth::OAuth2(Arc::new(auth)))
}

/// RFC 7617, in UTF-8.
fn basic(username: &At<Text>, password: &At<Text>, secrets: &mut Vec<Secret>, scope: &mut Scope<'_>) -> Option<HeaderValue> {
    let (user, secret) = (scope.reveal(username), scope.secret(password));
    let (user, secret) = (user?, secret?);
    for (text, span) in [(&user, &username.span), (&secret, &password.span)] {
        if text.expose().chars().any(char::is_control) {
            scope.error(Code::Secret, span, "basic auth cannot carry control characters, such as a line's end");
            return None;
        }
    }
    if user.expose().contains(':') {
        scope.error(Code::BadValue, &username.span, "basic auth cannot carry a username with a colon");
        return None;
    }
    let encoded = BASE64.encode(format!("{}:{}", user.expose(), secret.expose()).as_bytes());
    let value = header_value(&format!("Basic {encoded}"), &password.span, scope);
    // A receiver that echoes the header gives the password away as well.
    secrets.extend([secret, Secret::new(encoded)]);
    if !username.value.is_literal() && sign::is_telling(user.expose()) {
        secrets.push(user);
    }
    value
}

fn signer(typed: &raw::Signature, secrets: &mut Vec<Secret>, scope: &mut Scope<'_>) -> Option<Signer> {
    let keys: Vec<_> = typed.secrets.iter().map(|secret| scope.secret(secret)).collect();
    let keys: Vec<_> = keys.into_iter().collect::<Option<_>>()?;
    let signer = Signer::new(typed.recipe.clone(), &keys);
    secrets.extend(keys);
    signer
        .map_err(|error| {
            let (code, span) = match &error {
                sign::Error::KeyEmpty { nth }
                | sign::Error::KeyHalves { nth }
                | sign::Error::KeyLength { nth, .. }
                | sign::Error::KeyPoint { nth }
                | sign::Error::KeyPrivate { nth }
                | sign::Error::KeyPublic { nth }
                | sign::Error::KeySeed { nth }
                | sign::Error::KeyText { nth, .. } => {
                    (Code::Secret, typed.secrets.get(*nth).map_or(&typed.span, |secret| &secret.span))
                }
                _ => (Code::BadValue, &typed.span),
            };
            scope.error(code, span, error.to_string());
        })
        .ok()
}

/// A literal may hold placeholders; what is named elsewhere is sent as it is.
fn header_text(typed: &raw::Header, secrets: &mut Vec<Secret>, scope: &mut Scope<'_>) -> Option<HeaderText> {
    let span = &typed.value.span;
    let text = scope.reveal(&typed.value)?;
    if !typed.value.value.is_literal() {
        let value = header_value(text.expose(), span, scope).map(sensitive);
        secrets.push(text);
        return value.map(HeaderText::Fixed);
    }
    let template: Template<HeaderPlaceholder> = match Template::parse(text.expose()) {
        Ok(template) => template,
        Err(error) => {
            scope.problems.push(template::problem(span, text.expose(), &error, &scope.problems));
            return None;
        }
    };
    // What placeholders are filled with is visible ASCII: the text around them decides.
    let mut sample = Vec::new();
    template.render(&mut sample, |_, out| out.push(b'x'));
    let value = header_value(&String::from_utf8_lossy(&sample), span, scope)?;
    let filled = template.parts().iter().any(|part| matches!(part, Part::Filled(_)));
    Some(if filled { HeaderText::Template(template) } else { HeaderText::Fixed(value) })
}

fn header_value(text: &str, span: &Span, scope: &mut Scope<'_>) -> Option<HeaderValue> {
    let message = if text.trim_matches([' ', '\t']) != text {
        "a header's value cannot begin or end with a blank"
    } else if let Ok(value) = HeaderValue::from_str(text) {
        return Some(value);
    } else {
        "a header's value cannot hold control characters, such as a line's end"
    };
    scope.error(Code::BadValue, span, message);
    None
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// Written for every delivery by sidehook, or by HTTP for the connection.
const ALWAYS: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "webhook-id",
];
const TRACE: &[&str] = &["traceparent", "tracestate"];
