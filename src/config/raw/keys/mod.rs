//! Every key of the config file, by the table it belongs in, and what an unknown one was likely meant to be.
//!
//! What a key takes, its default and what it is for are said here once: the schema for editors and README's table are made
//! of it, and tests hold the readers to it.
//!
//! **Invariant:** a key that is not here is unknown, and one that is here is read somewhere.

mod endpoint;
mod file;
mod kind;

use strsim::damerau_levenshtein;

pub(in crate::config) use self::{
    endpoint::{AUTH, BATCH, BOUNDS, BREAKER, ENDPOINT, ORDER, RETRY, SIGNATURE, TLS, XML},
    file::{ADMIN, DEDUPE, LISTEN, LOG, QUEUE, REFERENCE, ROTATE, ROUTE, SHUTDOWN, STATE, TOP},
    kind::Kind,
};

/// A kind of table.
pub(in crate::config) struct Home {
    /// The last part of its path.
    name: &'static str,
    of_endpoint: bool,
    /// The key whose word says which of the others the table has.
    pub(in crate::config) by: Option<&'static str>,
    /// In the order in which they are listed. One whose kind depends on `by` is here several times.
    pub(in crate::config) keys: &'static [Key],
}

pub(in crate::config) struct Key {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) kind: Kind,
    pub(in crate::config) otherwise: Otherwise,
    /// What it is for, in a line.
    pub(in crate::config) about: &'static str,
    /// The words of the table's `by` that go with it; none: all.
    pub(in crate::config) of: &'static [&'static str],
    /// Each endpoint has its own: it cannot be a default.
    pub(in crate::config) own: bool,
}

/// What holds where a key is left out.
#[derive(Clone, Copy)]
pub(in crate::config) enum Otherwise {
    Nothing,
    Required,
    /// In words, for no value says it.
    Said(&'static str),
    /// This value, which TOML and JSON write alike.
    Value(&'static str),
}

impl Key {
    pub(in crate::config) fn goes_with(&self, word: &str) -> bool {
        self.of.is_empty() || self.of.contains(&word)
    }

    pub(in crate::config) fn is_required(&self) -> bool {
        matches!(self.otherwise, Otherwise::Required)
    }

    const fn of(self, words: &'static [&'static str]) -> Key {
        Key { of: words, ..self }
    }

    const fn own(self) -> Key {
        Key { own: true, ..self }
    }
}

impl Home {
    pub(super) fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    /// Each once.
    pub(in crate::config) fn names(&self) -> impl Iterator<Item = &'static str> {
        let is_first = |at: usize| !self.keys[..at].iter().any(|earlier| earlier.name == self.keys[at].name);
        self.keys.iter().enumerate().filter(move |(at, _)| is_first(*at)).map(|(_, key)| key.name)
    }

    /// The keys that are there for some word of `by`, and for this one or not.
    pub(super) fn names_for(&self, word: &str, belongs: bool) -> impl Iterator<Item = &'static str> {
        let goes = move |name: &&str| self.keys.iter().any(|key| key.name == *name && key.goes_with(word));
        let of_some = move |name: &&str| self.keys.iter().any(|key| key.name == *name && !key.of.is_empty());
        self.names().filter(of_some).filter(move |name| goes(name) == belongs)
    }

    /// The words of `by` that `name` goes with.
    pub(super) fn words_of(&self, name: &str) -> impl Iterator<Item = &'static str> {
        self.keys.iter().filter(move |key| key.name == name).flat_map(|key| key.of.iter().copied())
    }

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
    let elsewhere = homes.filter(|other| other.has(key)).map(|other| other.title(path)).next();
    match (elsewhere, nearest(key, home.names())) {
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
    let word = plain(word);
    let enough = (word.chars().count() / 3).max(1);
    let distance = |candidate: &'a str| (damerau_levenshtein(&word, &plain(candidate)), candidate);
    candidates
        .map(distance)
        .filter(|(distance, _)| *distance <= enough)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A word without what people mix up.
fn plain(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
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

const fn top(name: &'static str, keys: &'static [Key]) -> Home {
    Home { name, of_endpoint: false, by: None, keys }
}

const fn within(name: &'static str, keys: &'static [Key]) -> Home {
    Home { name, of_endpoint: true, by: None, keys }
}

const fn key(name: &'static str, kind: Kind, otherwise: Otherwise, about: &'static str) -> Key {
    Key { name, kind, otherwise, about, of: &[], own: false }
}

/// Longer words are no typing errors, and comparing them costs time.
const LONGEST: usize = 64;

pub(super) const HOMES: &[&Home] = &[
    &TOP, &LISTEN, &ADMIN, &LOG, &ROTATE, &STATE, &QUEUE, &SHUTDOWN, &ROUTE, &DEDUPE, &ENDPOINT, &RETRY, &BOUNDS, &BATCH,
    &BREAKER, &ORDER, &TLS, &XML, &AUTH, &SIGNATURE,
];

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
            ("timeout", &RETRY, "defaults.retry", elsewhere("[defaults]")),
            ("transform", &ENDPOINT, "endpoints.billing", elsewhere("[[routes]]")),
            ("max_body", &TOP, "", elsewhere("[listen]")),
            ("url", &TOP, "", elsewhere("[endpoints.NAME]")),
            ("colour", &LOG, "log", Meant::Nothing),
        ] {
            assert_eq!(meant(key, home, path), expected, "{key} in {path}");
        }
    }
}
