//! The mirror of an endpoint's `auth`.
//!
//! **Invariant:** what comes out has all its type needs, and nothing that is not of its type.

use http::HeaderName;
use toml::de::DeValue;

use super::{
    keys,
    reader::{At, Node, Section},
    values::{choice, filled, list, text},
};
use crate::config::{
    problems::{Code, Problem, Problems},
    secrets::Text,
};

#[derive(Clone)]
pub(crate) enum Auth {
    ApiKey { header: HeaderName, value: At<Text> },
    Basic { username: At<Text>, password: At<Text> },
    Bearer { token: At<Text> },
    OAuth2 { token_url: At<Text>, client_id: At<Text>, client_secret: At<Text>, scopes: Vec<String> },
}

/// Reads the key `auth` of an endpoint; `Some(None)` is `"none"`.
pub(super) fn read(section: &mut Section<'_, '_>) -> Option<At<Option<Auth>>> {
    let node = section.node("auth")?;
    if let DeValue::String(text) = node.value {
        return match &**text {
            NONE => Some(At { value: None, span: node.span }),
            kind if AUTHS.iter().any(|(name, _)| *name == kind) => {
                node.bad(format!("write {{ type = \"{kind}\", … }}"), section.problems)
            }
            _ => node.bad("write \"none\", or a table with `type`", section.problems),
        };
    }
    let mut table = section.section("auth", &keys::AUTH)?;
    let kind = table.require("type", choice(AUTHS))?;
    let auth = of_kind(kind.value, &mut table);
    let word = AUTHS.iter().find(|(_, offered)| *offered == kind.value).map_or("", |(word, _)| word);
    for key in keys::AUTH.names_for(word, false) {
        if let Some(node) = table.node(key) {
            let message = format!("`{key}` does not belong to this type of auth");
            let help = format!("it has {}", keys::AUTH.names_for(word, true).collect::<Vec<_>>().join(", "));
            let problem = Problem::error(Code::Conflict, &node.span, message).help(help);
            table.problems.push(problem.beside(Some(&kind.span), "the type"));
        }
    }
    Some(At { value: Some(auth?), span: node.span })
}

fn of_kind(kind: Kind, table: &mut Section<'_, '_>) -> Option<Auth> {
    match kind {
        Kind::ApiKey => {
            let header = table.read("header", header_name);
            let header = match header {
                Some(header) => Some(header.value),
                None if table.has("header") => None,
                None => Some(HeaderName::from_static("x-api-key")),
            };
            let value = table.require("value", text);
            header.zip(value).map(|(header, value)| Auth::ApiKey { header, value })
        }
        Kind::Basic => {
            let (username, password) = (table.require("username", text), table.require("password", text));
            username.zip(password).map(|(username, password)| Auth::Basic { username, password })
        }
        Kind::Bearer => table.require("token", text).map(|token| Auth::Bearer { token }),
        Kind::OAuth2 => {
            let (token_url, client_id) = (table.require("token_url", text), table.require("client_id", text));
            let client_secret = table.require("client_secret", text);
            let scopes = table.read("scopes", scopes).map(|scopes| scopes.value).unwrap_or_default();
            Some(Auth::OAuth2 { token_url: token_url?, client_id: client_id?, client_secret: client_secret?, scopes })
        }
    }
}

/// A list, or words in one string as the protocol has them.
fn scopes(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    // RFC 6749, 3.3.
    let is_scope = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    let scopes: Vec<String> = match node.value {
        DeValue::String(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        _ => list(filled)(node, problems)?.into_iter().map(|scope| scope.value).collect(),
    };
    match scopes.iter().all(|scope| scope.bytes().all(is_scope)) {
        true => Some(scopes),
        false => node.bad("a scope is made of visible ASCII characters, without quotes and backslashes", problems),
    }
}

fn header_name(node: &Node<'_>, problems: &mut Problems) -> Option<HeaderName> {
    let text = filled(node, problems)?;
    HeaderName::try_from(text).ok().or_else(|| node.bad("no header's name", problems))
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    ApiKey,
    Basic,
    Bearer,
    OAuth2,
}

pub(super) const AUTHS: &[(&str, Kind)] =
    &[("basic", Kind::Basic), ("bearer", Kind::Bearer), ("api_key", Kind::ApiKey), ("oauth2", Kind::OAuth2)];

/// In place of a table.
pub(super) const NONE: &str = "none";
