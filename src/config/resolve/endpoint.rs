//! One endpoint, all its settings valid together.
//!
//! **Invariant:** `None` means that a problem was reported.

use std::{sync::Arc, time::Duration};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use http::{HeaderValue, Method};
use sha2::{Digest as _, Sha256};

use super::{Scope, bytes, credentials, merge, or, pace, tls};
use crate::{
    config::{
        problems::{Code, Problem},
        raw::{self, At, Backoff},
    },
    encode::{self, Shape},
    endpoint::{Bounds, Digest, Endpoint, Http, Network, Success, Target, WhenFull},
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
    // An inherited root is for others: only the endpoint's own contradicts its format.
    if let Some(root) =
        own.xml_root.as_ref().filter(|_| !typed.broken && or(&typed.format, raw::Format::Json) != raw::Format::Xml)
    {
        scope.error(Code::Conflict, &root.span, "`xml` goes with `format = \"xml\"` only");
    }
    let mut secrets = Vec::new();
    let target = target(own, typed, &mut secrets, scope);
    let shape = shape(typed, scope);
    let credentials = credentials::resolve(typed, &mut secrets, scope);
    let id = id(name, typed);
    let span = typed.id.as_ref().map_or(&name.span, |id| &id.span);
    if let Some(other) = scope.ids.insert(id.clone(), name.value.clone()) {
        scope.error(Code::Duplicate, span, format!("the endpoint `{other}` has the same id"));
    }
    Some(Endpoint {
        name: Arc::from(&*name.value),
        id: id.into(),
        description: typed.description.as_ref().map(|description| (&*description.value).into()),
        target: target?,
        method: or(&typed.method, Method::POST),
        active: or(&typed.active, true),
        shape,
        headers: credentials.headers,
        auth: credentials.auth,
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
        digest: digest(own, defaults, &secrets),
        secrets,
    })
}

fn target(own: &raw::Endpoint, typed: &raw::Endpoint, secrets: &mut Vec<Secret>, scope: &mut Scope<'_>) -> Option<Target> {
    let url = typed.url.as_ref()?;
    let text = scope.reveal(url)?;
    let secret = !url.value.is_literal();
    match Target::parse(text.expose(), secret) {
        Ok(target) => {
            if secret {
                secrets.push(text);
            }
            let tls_settings = tls::resolve(&own.tls, &typed.tls, target.tls, scope);
            let http = or(&typed.http, Http::Auto);
            Some(Target { network: or(&typed.network, Network::Any), tls_settings, http, ..target })
        }
        Err(error) => {
            scope.problems.push(Problem::error(Code::BadValue, &url.span, "bad value for `url`").label(error.to_string()));
            None
        }
    }
}

fn shape(typed: &raw::Endpoint, scope: &mut Scope<'_>) -> Arc<Shape> {
    let format = match or(&typed.format, raw::Format::Json) {
        raw::Format::Form => encode::Format::Form,
        raw::Format::Json => encode::Format::Json,
        raw::Format::Xml => encode::Format::Xml { root: or(&typed.xml_root, "notification".to_owned()).into() },
    };
    let envelope = or(&typed.envelope, Envelope::Event);
    if let Some(at) = typed.envelope.as_ref().filter(|_| envelope.is_json_only() && format != encode::Format::Json) {
        let message = "the CloudEvents envelopes go with `format = \"json\"` only";
        scope.error(Code::Conflict, &at.span, message);
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

/// The `id` key, or `app_` and the first 26 characters of the lower-case base32 (RFC 4648) of SHA-256 of the name.
fn id(name: &At<String>, typed: &raw::Endpoint) -> String {
    if let Some(id) = &typed.id {
        return id.value.clone();
    }
    let mut id = BASE32_NOPAD.encode(&Sha256::digest(&name.value)).to_ascii_lowercase();
    id.truncate(26);
    id.insert_str(0, "app_");
    id
}

/// Of what is typed and of the secrets it names.
fn digest(own: &raw::Endpoint, defaults: &raw::Endpoint, secrets: &[Secret]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(own.digest.0);
    hash.update(defaults.digest.0);
    for secret in secrets {
        hash.update(Sha256::digest(secret.expose()));
    }
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
