//! Which bytes of a config file no diagnostic may show.
//!
//! Comes in: the tree, also one recovered from a broken file. Goes out: spans for [`Problems::hide`]. A key counts as secret
//! by its name, mistyped ones included, for a problem often is that a secret stands at the wrong place.
//!
//! **Invariant:** rather hides too much than too little.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{self, Home},
    meant,
};
use crate::config::{problems::Problems, secrets::is_text_itself, source::Span};

/// Hides the values of secret keys, and user, password and query of URLs.
pub(super) fn hide_secrets(source: &str, table: &DeTable<'_>, problems: &mut Problems) {
    for (key, value) in table.iter() {
        match (&**key.get_ref(), value.get_ref()) {
            // What endpoints are called says nothing of what is in them.
            ("endpoints", DeValue::Table(endpoints)) => {
                for (name, endpoint) in endpoints.iter() {
                    hide_value(source, endpoint, !endpoint.get_ref().is_table() && is_secret(name.get_ref()), problems);
                }
            }
            (key, _) => hide_entry(source, (key, value), false, problems),
        }
    }
}

/// Hides what may be a secret in a line that is no TOML, where keys can only be guessed.
pub(super) fn hide_in_broken_line(source: &str, at: usize, problems: &mut Problems) {
    let at = at.min(source.len());
    let (before, after) = source.as_bytes().split_at(at);
    let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let end = memchr::memchr(b'\n', after).map_or(source.len(), |newline| at + newline);
    let line = source[start..end].to_ascii_lowercase();
    let mut words = line.split_inclusive(|character: char| !character.is_alphanumeric() && !matches!(character, '_' | '-'));
    let mut word_end = 0;
    let word = words.find_map(|word| {
        word_end += word.len();
        let name = word.trim_end_matches(|character: char| !character.is_alphanumeric());
        is_secret(name).then(|| word_end - word.len() + name.len())
    });
    let after_word = word.map(|word| line[word..].find('=').map_or(word, |equals| word + equals + 1));
    let after_scheme = line.find("://").map(|scheme| scheme + 3).filter(|from| line[*from..].contains(['@', '?', '#']));
    if let Some(from) = after_word.into_iter().chain(after_scheme).chain(shown_until(&line)).min() {
        problems.hide(start + from..end);
    }
}

/// From where on there may be a secret whose key is damaged: behind the first key that is none of those that hold none.
fn shown_until(line: &str) -> Option<usize> {
    let is_assignment = |(at, sign): &(usize, &str)| {
        let (before, after) = (line[..*at].chars().next_back(), line[at + 1..].chars().next());
        let of_jq = [before, after].iter().flatten().any(|character| "=!<>".contains(*character));
        !of_jq && (*sign == "=" || after.is_none_or(|after| " \"'".contains(after)))
    };
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let harmless = |key: &str| HARMLESS.iter().any(|home| home.has(key)) && !is_secret(key) && !MIXED.contains(&key);
    let mut assignments = line.match_indices(['=', ':']).filter(is_assignment).map(|(at, _)| at).peekable();
    // What stands in quotes before any of them has the line's first word as its key, if it has one.
    let first = line.trim_start().split(|character| !is_word(character)).next().unwrap_or_default();
    let quote = line[..assignments.peek().copied().unwrap_or(line.len())].find(['"', '\'']).filter(|_| !harmless(first));
    if assignments.peek().is_none() {
        return quote.map(|quote| if line.starts_with('[') { quote } else { 0 });
    }
    let open = assignments.find(|at| {
        let key = line[..*at].trim_end_matches(|character: char| character.is_whitespace() || "\"'".contains(character));
        !harmless(key.rsplit(|character| !is_word(character)).next().unwrap_or_default())
    });
    open.map(|at| at + 1).into_iter().chain(quote).min()
}

/// `named`: whether this is the table of a secret's reference, where only the reference may be shown.
fn hide_table(source: &str, table: &DeTable<'_>, named: bool, problems: &mut Problems) {
    for (key, value) in table.iter() {
        hide_entry(source, (key.get_ref(), value), named, problems);
    }
}

fn hide_entry(source: &str, (key, value): (&str, &Spanned<DeValue<'_>>), named: bool, problems: &mut Problems) {
    let unheard_of = !value.get_ref().is_table() && is_unheard_of(key);
    let names = matches!(key, "env" | "file" | "credential");
    let secret = match value.get_ref() {
        DeValue::String(text) if names => is_text_itself(text),
        _ if named => !names,
        _ => is_secret(key) || unheard_of,
    };
    match (key, value.get_ref()) {
        ("auth", DeValue::String(none)) if none == "none" => {}
        // A jq expression, and the path of a file.
        ("order" | "tls", DeValue::Table(inner)) => {
            let open = |key: &str| matches!(key, "ca" | "certificate" | "key" | "server_name");
            for (name, value) in inner.iter() {
                let name = name.get_ref();
                let itself = key == "tls" && value.get_ref().as_str().is_some_and(is_text_itself);
                hide_value(source, value, itself || (!open(name) && (is_secret(name) || is_unheard_of(name))), problems);
            }
        }
        // A key that is none of theirs may be what is left of one.
        ("auth" | "signature", DeValue::Array(_) | DeValue::Table(_)) => {
            let home = if key == "auth" { &keys::AUTH } else { &keys::SIGNATURE };
            hide_in_credentials(source, value, home, problems);
        }
        // What headers are called says nothing, unless it says that they are secret.
        ("headers", DeValue::Table(headers)) if !named => {
            headers.iter().for_each(|(name, value)| hide_value(source, value, is_secret(name.get_ref()), problems));
        }
        // A table is meant; these are lines as in a request.
        (key, DeValue::Array(_) | DeValue::String(_)) if !secret && (key == "header" || key.contains("headers")) => {
            hide_behind_name(source, value, problems);
        }
        // Also where it is no URL any more.
        ("proxy" | "token_url" | "url", DeValue::String(_)) if !secret => {
            let span = within_quotes(source, value.span());
            let scheme = source.get(span.clone()).and_then(|text| text.find("://"));
            hide_in_url(source, span, scheme.map_or(0, |scheme| scheme + 3), problems);
        }
        _ => hide_value(source, value, secret, problems),
    }
}

/// In a table of `auth` or `signature`, or a list of them.
fn hide_in_credentials(source: &str, value: &Spanned<DeValue<'_>>, home: &Home, problems: &mut Problems) {
    match value.get_ref() {
        DeValue::Array(array) => array.iter().for_each(|element| hide_in_credentials(source, element, home, problems)),
        DeValue::Table(table) => {
            for (name, value) in table.iter() {
                // Nor may a list stand at any of them but one.
                let misplaced = value.get_ref().is_array() && name.get_ref() != "scopes";
                match home.has(name.get_ref()) && !misplaced {
                    true => hide_entry(source, (name.get_ref(), value), false, problems),
                    false => hide_value(source, value, true, problems),
                }
            }
        }
        _ => hide_value(source, value, true, problems),
    }
}

fn hide_value(source: &str, value: &Spanned<DeValue<'_>>, secret: bool, problems: &mut Problems) {
    match value.get_ref() {
        DeValue::Array(array) => array.iter().for_each(|element| hide_value(source, element, secret, problems)),
        // `auth` and `signature` hold keys of their own; only a table that should be a reference is one.
        DeValue::Table(table) => hide_table(source, table, secret && !is_of_secrets(table), problems),
        DeValue::String(_) if secret => problems.hide(within_quotes(source, value.span())),
        _ if secret => problems.hide(value.span()),
        DeValue::String(_) => {
            let span = within_quotes(source, value.span());
            if let Some(scheme) = source.get(span.clone()).and_then(|text| text.find("://")) {
                hide_in_url(source, span, scheme + 3, problems);
            }
        }
        _ => {}
    }
}

/// Hides all but the name in `Name: value`, in each of a list.
fn hide_behind_name(source: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) {
    match value.get_ref() {
        DeValue::Array(array) => array.iter().for_each(|element| hide_behind_name(source, element, problems)),
        DeValue::String(_) => {
            let span = within_quotes(source, value.span());
            let end = source.get(span.clone()).and_then(|text| text.find([':', '=', ' ']));
            if let Some(end) = end.filter(|end| span.start + end + 1 < span.end) {
                problems.hide(span.start + end + 1..span.end);
            }
        }
        _ => hide_value(source, value, false, problems),
    }
}

/// Hides user, password and query; there is neither before `authority`.
fn hide_in_url(source: &str, span: Span, authority: usize, problems: &mut Problems) {
    let Some(text) = source.get(span.clone()) else { return };
    if let Some(userinfo) = text[authority..].rfind('@').filter(|length| *length > 0) {
        problems.hide(span.start + authority..span.start + authority + userinfo);
    }
    if let Some(query) = text.find(['?', '#']).filter(|query| query + 1 < text.len()) {
        problems.hide(span.start + query + 1..span.end);
    }
}

fn within_quotes(source: &str, span: Span) -> Span {
    let is_quoted = source.get(span.clone()).is_some_and(|text| text.starts_with(['"', '\'']));
    match source.get(span.start + 1..span.end.saturating_sub(1)) {
        Some(text) if is_quoted && !text.is_empty() => span.start + 1..span.end - 1,
        _ => span,
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if NO_SECRETS.contains(&&*key) {
        return false;
    }
    // Nearly one of them, but spelled right, is another one.
    let is_nearly_one = || {
        let alike = |secret: &&str| strsim::jaro_winkler(&key, secret) >= 0.88;
        SECRET_KEYS.iter().any(alike) || keys::nearest(&key, SECRET_KEYS.iter().copied()).is_some()
    };
    SECRET_PARTS.iter().any(|part| key.contains(part)) || (key.len() <= 64 && !is_key(&key) && is_nearly_one())
}

/// Whether the key is none, nor nearly one: what is left of a damaged one may be.
fn is_unheard_of(key: &str) -> bool {
    let known = is_key(key) || meant::is_known(key);
    // Of a short word it cannot be told what it was.
    !known && (key.len() <= 4 || keys::nearest(key, homes().flat_map(|home| home.names())).is_none())
}

fn is_key(key: &str) -> bool {
    homes().any(|home| home.has(key))
}

fn homes() -> impl Iterator<Item = &'static Home> {
    keys::HOMES.iter().copied().chain([&keys::REFERENCE])
}

fn is_of_secrets(table: &DeTable<'_>) -> bool {
    ["type", "scheme", "secrets"].iter().any(|key| table.contains_key(*key))
}

/// Tables without secrets, but for keys that are called so.
const HARMLESS: &[&Home] = &[&keys::LISTEN, &keys::LOG, &keys::STATE, &keys::ROUTE, &keys::ENDPOINT, &keys::RETRY, &keys::BOUNDS];
/// Keys of those with whatever inside.
const MIXED: &[&str] = &["auth", "headers", "proxy", "signature", "tls"];
const SECRET_KEYS: &[&str] = &["password", "secrets", "token", "value", "client_secret"];
const SECRET_PARTS: &[&str] = &["pass", "secret", "token", "auth", "basic", "bearer", "cookie", "cred", "hmac", "key", "value"];
const NO_SECRETS: &[&str] = &["credential", "key_id", "token_url"];
