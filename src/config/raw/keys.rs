//! Every key of the config file, by the table it belongs in, and what an unknown one was likely meant to be.
//!
//! **Invariant:** a key that is not here is unknown, and one that is here is read somewhere.

use strsim::damerau_levenshtein;

/// A kind of table.
pub(super) struct Home {
    /// The last part of its path.
    name: &'static str,
    of_endpoint: bool,
    pub(super) keys: &'static [&'static str],
}

impl Home {
    /// How the table is written in the file, seen from the table at `path`.
    fn title(&self, path: &str) -> String {
        if !self.of_endpoint {
            return title(self.name);
        }
        let endpoint = endpoint_of(path).unwrap_or("endpoints.NAME");
        if self.name.is_empty() { title(endpoint) } else { title(&format!("{endpoint}.{}", self.name)) }
    }
}

/// What an unknown key was likely meant to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// The key is right, and belongs in this table.
    Elsewhere(String),
    Nothing,
    Spelled(&'static str),
}

/// How a table's path is written in the file.
pub(super) fn title(path: &str) -> String {
    match path {
        "" => "the file's top level".to_owned(),
        "routes" => "[[routes]]".to_owned(),
        path => format!("[{path}]"),
    }
}

/// Guesses what `key` in the table at `path` should have been.
pub(super) fn meant(key: &str, home: &Home, path: &str) -> Meant {
    let near = |other: &&&Home| other.of_endpoint == endpoint_of(path).is_some();
    let homes = HOMES.iter().filter(near).chain(HOMES.iter().filter(|other| !near(other)));
    let elsewhere = homes.filter(|other| other.keys.contains(&key)).map(|other| other.title(path)).next();
    match (elsewhere, nearest(key, home.keys.iter().copied())) {
        (Some(title), _) => Meant::Elsewhere(title),
        (None, Some(spelled)) => Meant::Spelled(spelled),
        (None, None) => Meant::Nothing,
    }
}

/// The candidate that `word` most likely is, if it is near enough to any.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let enough = (word.chars().count() / 3).max(1);
    let distance = |candidate: &'a str| (damerau_levenshtein(&word, &candidate.to_lowercase().replace('-', "_")), candidate);
    candidates
        .map(distance)
        .filter(|(distance, _)| *distance <= enough)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `endpoints.NAME` or `defaults`, where `path` is in one.
fn endpoint_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("endpoints.").or_else(|| (path == "defaults").then_some(""));
    if let Some(name) = name {
        let end = name.find('.').map_or(path.len(), |dot| path.len() - name.len() + dot);
        return Some(&path[..end]);
    }
    path.starts_with("defaults.").then_some("defaults")
}

const fn top(name: &'static str, keys: &'static [&'static str]) -> Home {
    Home { name, of_endpoint: false, keys }
}

const fn within(name: &'static str, keys: &'static [&'static str]) -> Home {
    Home { name, of_endpoint: true, keys }
}

/// Longer words are no typing errors, and comparing them costs time.
const LONGEST: usize = 64;

const HOMES: &[&Home] = &[
    &TOP, &LISTEN, &ADMIN, &LOG, &STATE, &QUEUE, &SHUTDOWN, &ROUTE, &DEDUPE, &ENDPOINT, &RETRY, &BOUNDS, &BATCH, &BREAKER,
    &ORDER, &TLS, &XML, &AUTH, &SIGNATURE,
];

pub(super) static TOP: Home =
    top("", &["listen", "admin", "log", "state", "queue", "shutdown", "defaults", "endpoints", "routes"]);
pub(super) static LISTEN: Home = top(
    "listen",
    &[
        "address",
        "max_body",
        "max_batch",
        "header_timeout",
        "body_timeout",
        "keep_alive",
        "max_connections",
        "token",
        "hosts",
        "mode",
        "uids",
        "dedupe",
        "source",
    ],
);
pub(super) static ADMIN: Home = top("admin", &["address", "token", "hosts"]);
pub(super) static DEDUPE: Home = top("listen.dedupe", &["ids", "window"]);
pub(super) static LOG: Home = top("log", &["deliveries", "rotate", "format", "accepted"]);
pub(super) static STATE: Home = top("state", &["directory", "max_bytes"]);
pub(super) static QUEUE: Home = top("queue", &["bytes"]);
pub(super) static SHUTDOWN: Home = top("shutdown", &["grace", "linger"]);
pub(super) static ROUTE: Home = top("routes", &["events", "to", "when", "transform", "name", "active"]);
/// `[defaults]` has the same but `url`.
pub(super) static ENDPOINT: Home = within(
    "",
    &[
        "url",
        "id",
        "description",
        "method",
        "active",
        "format",
        "envelope",
        "content_type",
        "xml",
        "headers",
        "timeout",
        "success",
        "auth",
        "signature",
        "retry",
        "queue",
        "concurrency",
        "order",
        "rate",
        "batch",
        "breaker",
        "disable_after",
        "resume_after",
        "tls",
        "http",
        "idle_timeout",
        "trace",
        "proxy",
        "network",
    ],
);
pub(super) static RETRY: Home =
    within("retry", &["attempts", "delay", "backoff", "max_delay", "jitter", "max_age", "on", "schedule"]);
pub(super) static BOUNDS: Home = within("queue", &["events", "bytes", "when_full"]);
pub(super) static BATCH: Home = within("batch", &["max_events", "max_bytes", "max_wait"]);
pub(super) static BREAKER: Home = within("breaker", &["failures", "pause"]);
pub(super) static ORDER: Home = within("order", &["key"]);
pub(super) static TLS: Home = within("tls", &["ca", "certificate", "key", "server_name"]);
pub(super) static XML: Home = within("xml", &["root"]);
pub(super) static AUTH: Home = within(
    "auth",
    &["type", "username", "password", "token", "header", "value", "token_url", "client_id", "client_secret", "scopes"],
);
pub(super) static SIGNATURE: Home =
    within("signature", &["scheme", "secrets", "algorithm", "encoding", "key", "signed", "headers", "each", "join", "key_id"]);
/// A value that is named instead of written.
pub(super) static REFERENCE: Home = top("", &["env", "file", "credential"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_is_recognised_and_a_misplaced_one_sent_home() {
        let elsewhere = |title: &str| Meant::Elsewhere(title.to_owned());
        for (key, home, path, expected) in [
            ("timeuot", &ENDPOINT, "endpoints.billing", Meant::Spelled("timeout")),
            ("contentType", &ENDPOINT, "endpoints.billing", Meant::Spelled("content_type")),
            ("max-body", &LISTEN, "listen", Meant::Spelled("max_body")),
            ("attempts", &ENDPOINT, "endpoints.billing", elsewhere("[endpoints.billing.retry]")),
            ("timeout", &RETRY, "endpoints.billing.retry", elsewhere("[endpoints.billing]")),
            ("jitter", &ENDPOINT, "defaults", elsewhere("[defaults.retry]")),
            ("transform", &ENDPOINT, "endpoints.billing", elsewhere("[[routes]]")),
            ("max_body", &TOP, "", elsewhere("[listen]")),
            ("url", &TOP, "", elsewhere("[endpoints.NAME]")),
            ("colour", &LOG, "log", Meant::Nothing),
        ] {
            assert_eq!(meant(key, home, path), expected, "{key} in {path}");
        }
    }
}
