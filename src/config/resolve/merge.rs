//! An endpoint over `[defaults]`.
//!
//! **Invariant:** `headers`, `retry`, `queue` and `tls` merge by key, everything else is the endpoint's own or the default's whole.

use crate::config::raw::{At, Bounds, Digests, Endpoint, Pace, Retry, Tls};

/// The settings of `own`, and of `defaults` where it has none.
pub(super) fn with_defaults(own: &Endpoint, defaults: &Endpoint) -> Endpoint {
    let mut headers = own.headers.clone();
    for default in &defaults.headers {
        if !own.headers.iter().any(|header| header.name.value == default.name.value) {
            headers.push(default.clone());
        }
    }
    Endpoint {
        broken: own.broken || defaults.broken,
        url: own.url.clone(),
        id: own.id.clone(),
        description: first(&own.description, &defaults.description),
        method: first(&own.method, &defaults.method),
        active: first(&own.active, &defaults.active),
        format: first(&own.format, &defaults.format),
        envelope: first(&own.envelope, &defaults.envelope),
        content_type: first(&own.content_type, &defaults.content_type),
        xml_root: first(&own.xml_root, &defaults.xml_root),
        headers,
        timeout: first(&own.timeout, &defaults.timeout),
        success: first(&own.success, &defaults.success),
        auth: first(&own.auth, &defaults.auth),
        signatures: first(&own.signatures, &defaults.signatures),
        retry: retry(&own.retry, &defaults.retry),
        queue: Bounds {
            events: first(&own.queue.events, &defaults.queue.events),
            bytes: first(&own.queue.bytes, &defaults.queue.bytes),
            when_full: first(&own.queue.when_full, &defaults.queue.when_full),
        },
        concurrency: first(&own.concurrency, &defaults.concurrency),
        idle_timeout: first(&own.idle_timeout, &defaults.idle_timeout),
        trace: first(&own.trace, &defaults.trace),
        network: first(&own.network, &defaults.network),
        pace: Pace {
            order: first(&own.pace.order, &defaults.pace.order),
            interval: first(&own.pace.interval, &defaults.pace.interval),
            batch: first(&own.pace.batch, &defaults.pace.batch),
            breaker: first(&own.pace.breaker, &defaults.pace.breaker),
            disable_after: first(&own.pace.disable_after, &defaults.pace.disable_after),
            resume_after: first(&own.pace.resume_after, &defaults.pace.resume_after),
        },
        tls: Tls {
            ca: first(&own.tls.ca, &defaults.tls.ca),
            certificate: first(&own.tls.certificate, &defaults.tls.certificate),
            key: first(&own.tls.key, &defaults.tls.key),
            server_name: first(&own.tls.server_name, &defaults.tls.server_name),
        },
        http: first(&own.http, &defaults.http),
        proxy: first(&own.proxy, &defaults.proxy),
        digests: digests(&own.digests, &defaults.digests),
    }
}

/// A schedule takes the place of `attempts`, `delay` and `backoff`, also of inherited ones, and the other way round.
fn retry(own: &Retry, defaults: &Retry) -> Retry {
    let counted = own.attempts.is_some() || own.delay.is_some() || own.backoff.is_some();
    let schedule = if counted { None } else { first(&own.schedule, &defaults.schedule) };
    let inherits = own.schedule.is_none();
    Retry {
        attempts: first(&own.attempts, if inherits { &defaults.attempts } else { &None }),
        delay: first(&own.delay, if inherits { &defaults.delay } else { &None }),
        backoff: first(&own.backoff, if inherits { &defaults.backoff } else { &None }),
        schedule,
        max_delay: first(&own.max_delay, &defaults.max_delay),
        jitter: first(&own.jitter, &defaults.jitter),
        max_age: first(&own.max_age, &defaults.max_age),
        on: first(&own.on, &defaults.on),
    }
}

/// Of the settings that [`with_defaults`] gives.
fn digests(own: &Digests, defaults: &Digests) -> Digests {
    let counted = ["retry.attempts", "retry.delay", "retry.backoff"];
    let counts = |path: &str| match path {
        "retry.schedule" => !counted.iter().any(|path| own.contains(path)),
        path if counted.contains(&path) => !own.contains("retry.schedule"),
        _ => true,
    };
    own.over(defaults, counts)
}

fn first<T: Clone>(own: &Option<At<T>>, default: &Option<At<T>>) -> Option<At<T>> {
    own.as_ref().or(default.as_ref()).cloned()
}
