//! Keys that other tools have, and what they are called here.
//!
//! **Invariant:** only what is clearly meant: a wrong hint is worse than none.

/// Where a key that does not exist in the table at `path` leads to.
pub(super) fn elsewhere(key: &str, path: &str) -> Option<&'static str> {
    let key = key.to_lowercase().replace('-', "_");
    let kind = kind_of(path);
    let names = |names: &str| names.split(' ').any(|name| name == key);
    KNOWN.iter().find(|(of, others, _)| *of == kind && names(others)).map(|(.., here)| *here)
}

/// Whether the key is one of another tool, wherever it may stand.
pub(super) fn is_known(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    KNOWN.iter().any(|(_, others, _)| others.split(' ').any(|other| other == key))
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

/// Kinds of tables, keys of others, and what to write.
const KNOWN: &[(&str, &str, &str)] = &[
    ("", "server http ingest", "here it is [listen]"),
    ("", "metrics api", "here it is [admin]"),
    ("", "logging logs", "here it is [log]"),
    ("", "webhook webhooks hooks target targets receivers destinations sinks", "here it is [endpoints.NAME]"),
    ("", "rules subscriptions", "here it is [[routes]]"),
    ("", "global globals", "here it is [defaults]"),
    ("", "storage data", "here it is [state]"),
    ("admin", "addr bind host listen port", "here it is `address`, like \"127.0.0.1:7071\""),
    ("admin", "enabled active", "it is on where [admin] is, and off without"),
    ("listen", "addr bind host listen port", ADDRESS),
    ("listen", "path socket unix", "here it is `address = \"unix:PATH\"`"),
    ("listen", "api_key auth password secret", "here it is `token`"),
    ("listen", "body_limit client_max_body_size max_body_size max_size", "here it is `max_body`"),
    ("listen", "read_timeout timeout", "here it is `header_timeout` and `body_timeout`"),
    ("log", "destination file output path", "here it is `deliveries`"),
    ("state", "dir folder path", "here it is `directory`"),
    ("state", "max_size size", "here it is `max_bytes`"),
    ("queue", "max_bytes max_size size", "here it is `bytes`"),
    ("shutdown", "grace_period timeout", "here it is `grace`"),
    ("routes", "event event_type event_types match on pattern patterns topic topics type types", "here it is `events`"),
    ("routes", "destination destinations endpoint endpoints target targets", "here it is `to`"),
    ("routes", "condition filter if where", "here it is `when`"),
    ("routes", "body jq map payload template", "here it is `transform`"),
    ("routes", "disabled enabled", "here it is `active`"),
    ("endpoint", "address endpoint href target uri webhook_url", "here it is `url`"),
    ("endpoint", "http_method verb", "here it is `method`"),
    ("endpoint", "event_types events filter_types topics types", "a route selects them: its `events`, and its `to` names this"),
    ("endpoint", "name", "an endpoint's name is in its header: [endpoints.NAME]"),
    ("endpoint", "disabled enabled", "here it is `active`"),
    ("endpoint", "type", SHAPE),
    ("endpoint", "header custom_headers extra_headers", "here it is `headers`"),
    ("endpoint", "max_attempts max_retries retries retry_count", "here it is `retry.attempts`, the first attempt included"),
    ("endpoint", "interval retry_delay retry_interval", "here it is `retry.delay`"),
    ("endpoint", "hmac secret signing_key signing_secret", "here it is `signature = { scheme = \"…\", secrets = […] }`"),
    ("endpoint", "api_key basic basic_auth bearer", "here it is `auth = { type = \"…\", … }`"),
    ("endpoint", "insecure insecure_skip_verify skip_verify ssl_verify tls_verify verify verify_ssl", VERIFIED),
    ("endpoint", "ca_cert ca_file", "here it is `tls.ca`"),
    ("endpoint", "cert cert_file", "here it is `tls.certificate`"),
    ("endpoint", "max_rate rate_limit throttle", "here it is `rate`, like \"100/s\""),
    ("endpoint", "connections max_concurrency max_in_flight parallelism workers", "here it is `concurrency`"),
    ("endpoint", "http_proxy proxy_url", "here it is `proxy`"),
    ("endpoint", "request_timeout timeout_ms timeout_seconds", "here it is `timeout`, like \"10s\""),
    ("endpoint", "http_version", "here it is `http`"),
    ("endpoint", "batch_size", "here it is `batch.max_events`"),
    ("endpoint", "queue_size", "here it is `queue.events`"),
    ("endpoint", "condition filter where", "here it is a route's `when`"),
    ("endpoint", "body payload template", "here it is a route's `transform`"),
    ("endpoint.auth", "user", "here it is `username`"),
    ("endpoint.auth", "pass", "here it is `password`"),
    ("endpoint.auth", "api_key key", "here it is `value`"),
    ("endpoint.auth", "kind method scheme", "here it is `type`"),
    ("endpoint.auth", "client", "here it is `client_id`"),
    ("endpoint.auth", "secret", "here it is `client_secret`"),
    ("endpoint.auth", "name", "here it is `header`"),
    ("endpoint.auth", "scope", "here it is `scopes`"),
    ("endpoint.batch", "count max_size size", "here it is `max_events`"),
    ("endpoint.batch", "flush_interval interval linger timeout", "here it is `max_wait`"),
    ("endpoint.breaker", "threshold", "here it is `failures`"),
    ("endpoint.breaker", "cooldown timeout", "here it is `pause`"),
    ("endpoint.queue", "capacity max_events max_size size", "here it is `events`"),
    ("endpoint.queue", "max_bytes", "here it is `bytes`"),
    ("endpoint.queue", "full on_full overflow policy", "here it is `when_full`"),
    ("endpoint.retry", "count limit max max_attempts max_retries retries", "here it is `attempts`, the first attempt included"),
    ("endpoint.retry", "base_delay initial_delay initial_interval interval min_delay wait", "here it is `delay`"),
    ("endpoint.retry", "policy strategy type", "here it is `backoff`"),
    ("endpoint.retry", "max_backoff max_interval max_wait", "here it is `max_delay`"),
    ("endpoint.retry", "max_elapsed max_elapsed_time ttl", "here it is `max_age`"),
    ("endpoint.retry", "factor multiplier", "`backoff = \"exponential\"` doubles"),
    ("endpoint.signature", "secret", "here it is a list: `secrets`"),
    ("endpoint.signature", "kind name type", "here it is `scheme`"),
    ("endpoint.signature", "header", "here it is `headers = { NAME = \"{signature}\" }`"),
    ("endpoint.signature", "algo hash", "here it is `algorithm`"),
    ("endpoint.signature", "content payload template", "here it is `signed`"),
    ("endpoint.signature", "format", "here it is `encoding`"),
    ("reference", "environment var variable", "here it is `env`"),
    ("reference", "path", "here it is `file`"),
    ("endpoint.tls", "ca_cert ca_file", "here it is `ca`"),
    ("endpoint.tls", "cert cert_file", "here it is `certificate`"),
    ("endpoint.tls", "key_file private_key", "here it is `key`"),
    ("endpoint.tls", "server sni", "here it is `server_name`"),
    ("endpoint.tls", "insecure insecure_skip_verify skip_verify verify", VERIFIED),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_tool_is_told_what_it_is_called_here() {
        for (key, path, here) in [
            ("retries", "endpoints.a", Some("here it is `retry.attempts`, the first attempt included")),
            ("Max-Retries", "defaults.retry", Some("here it is `attempts`, the first attempt included")),
            ("secret", "endpoints.a.signature", Some("here it is a list: `secrets`")),
            ("path", "endpoints.a.auth.password", None),
            ("retries", "listen", None),
            ("port", "listen", Some(ADDRESS)),
        ] {
            assert_eq!(elsewhere(key, path), here, "{key} in {path}");
        }
    }
}
