//! Keys that other tools have, and what they are called here.
//!
//! **Invariant:** only what is clearly meant: a wrong hint is worse than none.

/// What a key that does not exist in the table at `path` is called here, if that is one key, and what to write.
pub(super) fn elsewhere(key: &str, path: &str) -> Option<(&'static str, String)> {
    let key = key.to_lowercase().replace('-', "_");
    let kind = kind_of(path);
    let names = |names: &str| names.split(' ').any(|name| name == key);
    let (.., here, hint) = KNOWN.iter().find(|(of, others, ..)| *of == kind && names(others))?;
    Some((here, if hint.is_empty() { format!("here it is `{here}`") } else { (*hint).to_owned() }))
}

/// Whether the key is one of another tool, wherever it may stand.
pub(super) fn is_known(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    KNOWN.iter().any(|(_, others, ..)| others.split(' ').any(|other| other == key))
}

/// The kind of table: `endpoint`, `endpoint.retry`, `listen`.
fn kind_of(path: &str) -> String {
    let mut parts = path.split('.');
    let within = match (parts.next(), parts.clone().next()) {
        (Some("endpoints"), Some(_)) => parts.skip(1).collect::<Vec<_>>(),
        (Some("defaults"), _) => parts.collect(),
        _ => return path.to_owned(),
    };
    within.into_iter().fold("endpoint".to_owned(), |kind, part| format!("{kind}.{part}"))
}

const ADDRESS: &str = "here it is `address`, like \"127.0.0.1:7070\"";
const SHAPE: &str = "here it is `envelope` (what is in a body) and `format` (how it is written)";
const VERIFIED: &str = "certificates are always verified: `tls.ca` trusts one more authority";

/// Kinds of tables, keys of others, the key here, and what to write where that is not the key alone.
const KNOWN: &[(&str, &str, &str, &str)] = &[
    ("", "server http ingest", "listen", "here it is [listen]"),
    ("", "metrics api", "admin", "here it is [admin]"),
    ("", "logging logs", "log", "here it is [log]"),
    ("", "webhook webhooks hooks target targets receivers destinations sinks", "endpoints", "here it is [endpoints.NAME]"),
    ("", "rules subscriptions", "routes", "here it is [[routes]]"),
    ("", "global globals", "defaults", "here it is [defaults]"),
    ("", "storage data", "state", "here it is [state]"),
    ("admin", "addr bind host listen port", "address", "here it is `address`, like \"127.0.0.1:7071\""),
    ("admin", "enabled active", "", "it is on where [admin] is, and off without"),
    ("listen", "addr bind host listen port", "address", ADDRESS),
    ("listen", "path socket unix", "address", "here it is `address = \"unix:PATH\"`"),
    ("listen", "api_key auth password secret", "token", ""),
    ("listen", "body_limit client_max_body_size max_body_size max_size", "max_body", ""),
    ("listen", "read_timeout timeout", "header_timeout", "here it is `header_timeout` and `body_timeout`"),
    ("log", "destination file output path", "deliveries", ""),
    ("log", "rotation", "rotate", ""),
    ("log", "max_size size", "rotate.size", ""),
    ("log.rotate", "limit max_bytes max_size", "size", ""),
    ("log.rotate", "interval period when", "every", "here it is `every = \"day\"`"),
    ("log.rotate", "backups count max_backups max_files", "keep", ""),
    ("log.rotate", "compress compression", "gzip", ""),
    ("state", "dir folder path", "directory", ""),
    ("state", "max_size size", "max_bytes", ""),
    ("queue", "max_bytes max_size size", "bytes", ""),
    ("shutdown", "grace_period timeout", "grace", ""),
    ("routes", "event event_type event_types match on pattern patterns topic topics type types", "events", ""),
    ("routes", "destination destinations endpoint endpoints target targets", "to", ""),
    ("routes", "condition filter if where", "when", ""),
    ("routes", "body jq map payload template", "transform", ""),
    ("routes", "disabled enabled", "active", ""),
    ("endpoint", "address endpoint href target uri webhook_url", "url", ""),
    ("endpoint", "http_method verb", "method", ""),
    (
        "endpoint",
        "event_types events filter_types topics types",
        "",
        "a route selects them: its `events`, and its `to` names this",
    ),
    ("endpoint", "name", "", "an endpoint's name is in its header: [endpoints.NAME]"),
    ("endpoint", "disabled enabled", "active", ""),
    ("endpoint", "type", "envelope", SHAPE),
    ("endpoint", "header custom_headers extra_headers", "headers", ""),
    (
        "endpoint",
        "max_attempts max_retries retries retry_count",
        "retry.attempts",
        "here it is `retry.attempts`, the first attempt included",
    ),
    ("endpoint", "interval retry_delay retry_interval", "retry.delay", ""),
    (
        "endpoint",
        "hmac secret signing_key signing_secret",
        "signature",
        "here it is `signature = { scheme = \"…\", secrets = […] }`",
    ),
    ("endpoint", "api_key basic basic_auth bearer", "auth", "here it is `auth = { type = \"…\", … }`"),
    ("endpoint", "insecure insecure_skip_verify skip_verify ssl_verify tls_verify verify verify_ssl", "tls.ca", VERIFIED),
    ("endpoint", "ca_cert ca_file", "tls.ca", ""),
    ("endpoint", "cert cert_file", "tls.certificate", ""),
    ("endpoint", "max_rate rate_limit throttle", "rate", "here it is `rate`, like \"100/s\""),
    ("endpoint", "connections max_concurrency max_in_flight parallelism workers", "concurrency", ""),
    ("endpoint", "http_proxy proxy_url", "proxy", ""),
    ("endpoint", "request_timeout timeout_ms timeout_seconds", "timeout", "here it is `timeout`, like \"10s\""),
    ("endpoint", "http_version", "http", ""),
    ("endpoint", "batch_size", "batch.max_events", ""),
    ("endpoint", "queue_size", "queue.events", ""),
    ("endpoint", "condition filter where", "", "here it is a route's `when`"),
    ("endpoint", "body payload template", "", "here it is a route's `transform`"),
    ("endpoint.auth", "user", "username", ""),
    ("endpoint.auth", "pass", "password", ""),
    ("endpoint.auth", "api_key key", "value", ""),
    ("endpoint.auth", "kind method scheme", "type", ""),
    ("endpoint.auth", "client", "client_id", ""),
    ("endpoint.auth", "secret", "client_secret", ""),
    ("endpoint.auth", "name", "header", ""),
    ("endpoint.auth", "scope", "scopes", ""),
    ("endpoint.batch", "count max_size size", "max_events", ""),
    ("endpoint.batch", "flush_interval interval linger timeout", "max_wait", ""),
    ("endpoint.breaker", "threshold", "failures", ""),
    ("endpoint.breaker", "cooldown timeout", "pause", ""),
    ("endpoint.queue", "capacity max_events max_size size", "events", ""),
    ("endpoint.queue", "max_bytes", "bytes", ""),
    ("endpoint.queue", "full on_full overflow policy", "when_full", ""),
    (
        "endpoint.retry",
        "count limit max max_attempts max_retries retries",
        "attempts",
        "here it is `attempts`, the first attempt included",
    ),
    ("endpoint.retry", "base_delay initial_delay initial_interval interval min_delay wait", "delay", ""),
    ("endpoint.retry", "policy strategy type", "backoff", ""),
    ("endpoint.retry", "max_backoff max_interval max_wait", "max_delay", ""),
    ("endpoint.retry", "max_elapsed max_elapsed_time ttl", "max_age", ""),
    ("endpoint.retry", "factor multiplier", "backoff", "`backoff = \"exponential\"` doubles"),
    ("endpoint.signature", "secret", "secrets", "here it is a list: `secrets`"),
    ("endpoint.signature", "kind name type", "scheme", ""),
    ("endpoint.signature", "header", "headers", "here it is `headers = { NAME = \"{signature}\" }`"),
    ("endpoint.signature", "algo hash", "algorithm", ""),
    ("endpoint.signature", "content payload template", "signed", ""),
    ("endpoint.signature", "format", "encoding", ""),
    ("reference", "environment var variable", "env", ""),
    ("reference", "path", "file", ""),
    ("endpoint.tls", "ca_cert ca_file", "ca", ""),
    ("endpoint.tls", "cert cert_file", "certificate", ""),
    ("endpoint.tls", "key_file private_key", "key", ""),
    ("endpoint.tls", "server sni", "server_name", ""),
    ("endpoint.tls", "insecure insecure_skip_verify skip_verify verify", "ca", VERIFIED),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_tool_is_told_what_it_is_called_here() {
        for (key, path, here) in [
            ("retries", "endpoints.a", Some(("retry.attempts", "here it is `retry.attempts`, the first attempt included"))),
            ("Max-Retries", "defaults.retry", Some(("attempts", "here it is `attempts`, the first attempt included"))),
            ("secret", "endpoints.a.signature", Some(("secrets", "here it is a list: `secrets`"))),
            ("enabled", "endpoints.a", Some(("active", "here it is `active`"))),
            ("path", "endpoints.a.auth.password", None),
            ("retries", "listen", None),
            ("port", "listen", Some(("address", ADDRESS))),
        ] {
            assert_eq!(elsewhere(key, path), here.map(|(key, hint): (_, &str)| (key, hint.to_owned())), "{key} in {path}");
        }
    }
}
