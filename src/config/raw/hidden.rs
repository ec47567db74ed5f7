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

use crate::config::{problems::Problems, source::Span};

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
    let word = SECRET_PARTS.iter().filter_map(|part| Some(line.find(part)? + part.len())).min();
    let after_word = word.map(|word| line[word..].find('=').map_or(word, |equals| word + equals + 1));
    let after_scheme = line.find("://").map(|scheme| scheme + 3);
    if let Some(from) = after_word.into_iter().chain(after_scheme).min() {
        problems.hide(start + from..end);
    }
}

/// `named`: whether this is the table of a secret's reference, where only the reference may be shown.
fn hide_table(source: &str, table: &DeTable<'_>, named: bool, problems: &mut Problems) {
    for (key, value) in table.iter() {
        hide_entry(source, (key.get_ref(), value), named, problems);
    }
}

fn hide_entry(source: &str, (key, value): (&str, &Spanned<DeValue<'_>>), named: bool, problems: &mut Problems) {
    let secret = if named { !matches!(key, "env" | "file" | "credential") } else { is_secret(key) };
    match (key, value.get_ref()) {
        ("auth", DeValue::String(none)) if none == "none" => {}
        // A jq expression, and the path of a file.
        ("order" | "tls", DeValue::Table(inner)) => {
            let open = |key: &str| matches!(key, "ca" | "certificate" | "key" | "server_name");
            for (inner_key, value) in inner.iter() {
                hide_value(source, value, !open(inner_key.get_ref()) && is_secret(inner_key.get_ref()), problems);
            }
        }
        _ => hide_value(source, value, secret, problems),
    }
}

fn hide_value(source: &str, value: &Spanned<DeValue<'_>>, secret: bool, problems: &mut Problems) {
    match value.get_ref() {
        DeValue::Array(array) => array.iter().for_each(|element| hide_value(source, element, secret, problems)),
        // `auth` and `signature` hold keys of their own; only a table that should be a reference is one.
        DeValue::Table(table) => hide_table(source, table, secret && !is_of_secrets(table), problems),
        DeValue::String(_) if secret => problems.hide(within_quotes(source, value.span())),
        _ if secret => problems.hide(value.span()),
        DeValue::String(_) => hide_in_url(source, within_quotes(source, value.span()), problems),
        _ => {}
    }
}

fn hide_in_url(source: &str, span: Span, problems: &mut Problems) {
    let Some(text) = source.get(span.clone()) else { return };
    let Some(scheme) = text.find("://") else { return };
    let authority = scheme + 3;
    if let Some(userinfo) = text[authority..].rfind('@').filter(|length| *length > 0) {
        problems.hide(span.start + authority..span.start + authority + userinfo);
    }
    if let Some(query) = text.find(['?', '#']).filter(|query| query + 1 < text.len()) {
        problems.hide(span.start + query + 1..span.end);
    }
}

fn within_quotes(source: &str, span: Span) -> Span {
    match source.get(span.start + 1..span.end.saturating_sub(1)) {
        Some(text) if !text.is_empty() => span.start + 1..span.end - 1,
        _ => span,
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !NO_SECRETS.contains(&&*key)
        && (SECRET_PARTS.iter().any(|part| key.contains(part))
            || (key.len() <= 64 && SECRET_KEYS.iter().any(|secret| strsim::jaro_winkler(&key, secret) >= 0.88)))
}

fn is_of_secrets(table: &DeTable<'_>) -> bool {
    ["type", "scheme", "secrets"].iter().any(|key| table.contains_key(*key))
}

const SECRET_KEYS: &[&str] = &["password", "secrets", "token", "value", "client_secret"];
const SECRET_PARTS: &[&str] = &["pass", "secret", "token", "auth", "cookie", "cred", "key", "value"];
const NO_SECRETS: &[&str] = &["credential", "key_id", "token_url"];
