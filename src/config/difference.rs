//! What a reload changes, by name.

use std::collections::{HashMap, HashSet};

use super::{Admin, Config, Listen, Shutdown, State};
use crate::{
    encode,
    endpoint::{Endpoint, Pace, Target},
    log,
    route::Route,
};

/// What differs between the config in force and a new one: tables and endpoints by their names, with the keys that differ in
/// parentheses, `endpoints.billing (url, retry)`.
///
/// **Invariant:** pure; empty exactly where the new config means the same.
pub fn difference(old: &Config, new: &Config) -> Vec<String> {
    let mut changed = Vec::new();
    note(&mut changed, "listen", &listen(&old.listen, &new.listen));
    match (&old.admin, &new.admin) {
        (None, None) => {}
        (Some(old), Some(new)) => note(&mut changed, "admin", &admin(old, new)),
        (None, Some(_)) => changed.push("admin added".to_owned()),
        (Some(_), None) => changed.push("admin removed".to_owned()),
    }
    let log::Settings { destination, format, rotate } = &new.log;
    note(
        &mut changed,
        "log",
        &[
            ("deliveries", *destination != old.log.destination),
            ("rotate", *rotate != old.log.rotate),
            ("format", *format != old.log.format),
            ("accepted", new.log_accepted != old.log_accepted),
        ],
    );
    let State { directory, max_bytes } = &new.state;
    note(
        &mut changed,
        "state",
        &[("directory", *directory != old.state.directory), ("max_bytes", *max_bytes != old.state.max_bytes)],
    );
    note(&mut changed, "queue", &[("bytes", old.queue_bytes != new.queue_bytes)]);
    let Shutdown { grace, linger } = new.shutdown;
    note(&mut changed, "shutdown", &[("grace", grace != old.shutdown.grace), ("linger", linger != old.shutdown.linger)]);
    endpoints(&mut changed, old, new);
    if routes_differ(old, new) {
        changed.push("routes".to_owned());
    }
    changed
}

/// A key, and whether it differs.
type Compared = (&'static str, bool);

fn note(changed: &mut Vec<String>, name: &str, keys: &[Compared]) {
    let keys: Vec<&str> = keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect();
    if !keys.is_empty() {
        changed.push(format!("{name} ({})", keys.join(", ")));
    }
}

fn listen(old: &Listen, new: &Listen) -> [Compared; 13] {
    let Listen {
        address,
        mode,
        uids,
        max_body,
        max_batch,
        header_timeout,
        body_timeout,
        keep_alive,
        max_connections,
        tokens,
        hosts,
        source,
        dedupe,
    } = new;
    [
        ("address", *address != old.address),
        ("mode", *mode != old.mode),
        ("uids", *uids != old.uids),
        ("max_body", *max_body != old.max_body),
        ("max_batch", *max_batch != old.max_batch),
        ("header_timeout", *header_timeout != old.header_timeout),
        ("body_timeout", *body_timeout != old.body_timeout),
        ("keep_alive", *keep_alive != old.keep_alive),
        ("max_connections", *max_connections != old.max_connections),
        ("token", *tokens != old.tokens),
        ("hosts", *hosts != old.hosts),
        ("source", *source != old.source),
        ("dedupe", *dedupe != old.dedupe),
    ]
}

/// But for the text that it shows.
fn admin(old: &Admin, new: &Admin) -> [Compared; 3] {
    let Admin { address, tokens, hosts, shown: _ } = new;
    [("address", *address != old.address), ("token", *tokens != old.tokens), ("hosts", *hosts != old.hosts)]
}

fn endpoints(changed: &mut Vec<String>, old: &Config, new: &Config) {
    let before: HashMap<_, _> = old.endpoints.iter().map(|endpoint| (&endpoint.name, endpoint)).collect();
    for endpoint in &new.endpoints {
        let name = format!("endpoints.{}", endpoint.name);
        match before.get(&endpoint.name) {
            None => changed.push(format!("{name} added")),
            Some(old) if *old != endpoint => note(changed, &name, &of_endpoint(old, endpoint)),
            Some(_) => {}
        }
    }
    let after: HashSet<_> = new.endpoints.iter().map(|endpoint| &endpoint.name).collect();
    let gone = old.endpoints.iter().filter(|endpoint| !after.contains(&endpoint.name));
    changed.extend(gone.map(|endpoint| format!("endpoints.{} removed", endpoint.name)));
}

/// Two that are not the same, by the keys of the file; `secrets` and `digest` are made of what the others name.
fn of_endpoint(old: &Endpoint, new: &Endpoint) -> Vec<Compared> {
    let Endpoint {
        name: _,
        id,
        description,
        target,
        method,
        active,
        shape,
        headers,
        auth,
        signatures,
        timeout,
        success,
        retry,
        queue,
        concurrency,
        order,
        batch,
        pace: Pace { interval, breaker, disable_after },
        resume_after,
        idle_timeout,
        trace,
        secrets: _,
        digest: _,
    } = new;
    let (envelope, format) = (shape.envelope != old.shape.envelope, shape.format != old.shape.format);
    let root = format && [&old.shape, shape].iter().all(|shape| matches!(shape.format, encode::Format::Xml { .. }));
    let mut keys = vec![
        ("id", *id != old.id),
        ("description", *description != old.description),
        ("method", *method != old.method),
        ("active", *active != old.active),
        ("format", format && !root),
        ("xml", root),
        ("envelope", envelope),
        // Both of these may bring another one along.
        ("content_type", shape.content_type != old.shape.content_type && !format && !envelope),
        ("headers", *headers != old.headers),
        ("auth", *auth != old.auth),
        ("signature", *signatures != old.signatures),
        ("timeout", *timeout != old.timeout),
        ("success", *success != old.success),
        ("retry", *retry != old.retry),
        ("queue", *queue != old.queue),
        ("concurrency", *concurrency != old.concurrency),
        ("order", *order != old.order),
        ("batch", *batch != old.batch),
        ("rate", *interval != old.pace.interval),
        ("breaker", *breaker != old.pace.breaker),
        ("disable_after", *disable_after != old.pace.disable_after),
        ("resume_after", *resume_after != old.resume_after),
        ("idle_timeout", *idle_timeout != old.idle_timeout),
        ("trace", *trace != old.trace),
    ];
    keys.splice(0..0, of_target(&old.target, target));
    // One that is written in another way may say the same, as a key does with blanks in its PEM.
    let unnamed = keys.iter().all(|(_, differs)| !differs);
    keys.push(("secrets", unnamed));
    keys
}

fn of_target(old: &Target, new: &Target) -> [Compared; 5] {
    let Target { tls_settings, http, proxy, network, .. } = new;
    // All the rest is the URL, taken apart.
    let url = (&old.uri_text, &old.shown) != (&new.uri_text, &new.shown);
    [
        ("url", url),
        ("tls", *tls_settings != old.tls_settings),
        ("http", *http != old.http),
        ("proxy", *proxy != old.proxy),
        ("network", *network != old.network),
    ]
}

/// Routes name endpoints by their places, which mean nothing across two configs.
fn routes_differ(old: &Config, new: &Config) -> bool {
    let same = |(one, other): (&Route, &Route)| {
        let Route { name, patterns, when, transform, to, active } = one;
        let same_names = || to.iter().zip(&other.to).all(|(a, b)| old.endpoints[*a].name == new.endpoints[*b].name);
        (name, patterns, when, transform, active) == (&other.name, &other.patterns, &other.when, &other.transform, &other.active)
            && to.len() == other.to.len()
            && same_names()
    };
    old.routes.len() != new.routes.len() || !old.routes.iter().zip(new.routes.iter()).all(same)
}
