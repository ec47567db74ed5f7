//! The mirror of an endpoint's `auth`.
//!
//! **Invariant:** what comes out has all its type needs, and nothing that is not of its type.

use http::HeaderName;
use toml::de::DeValue;

use super::{
    keys,
    reader::{At, Node, Section},
    values::{choice, filled, text},
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
}

/// Reads the key `auth` of an endpoint; `Some(None)` is `"none"`.
pub(super) fn read(section: &mut Section<'_, '_>) -> Option<At<Option<Auth>>> {
    let node = section.node("auth")?;
    if let DeValue::String(text) = node.value {
        return match &**text {
            "none" => Some(At { value: None, span: node.span }),
            _ => node.bad("write \"none\", or a table with `type`", section.problems),
        };
    }
    let mut table = section.section("auth", &keys::AUTH)?;
    let kind = table.require("type", choice(AUTHS))?.value;
    let (own, auth) = match kind {
        Kind::ApiKey => {
            let header = table.read("header", header_name);
            let header = match header {
                Some(header) => Some(header.value),
                None if table.has("header") => None,
                None => Some(HeaderName::from_static("x-api-key")),
            };
            let value = table.require("value", text);
            (&["header", "value"][..], header.zip(value).map(|(header, value)| Auth::ApiKey { header, value }))
        }
        Kind::Basic => {
            let (username, password) = (table.require("username", text), table.require("password", text));
            let auth = username.zip(password).map(|(username, password)| Auth::Basic { username, password });
            (&["username", "password"][..], auth)
        }
        Kind::Bearer => (&["token"][..], table.require("token", text).map(|token| Auth::Bearer { token })),
    };
    for key in keys::AUTH.keys.iter().filter(|key| **key != "type" && !own.contains(key)) {
        if let Some(node) = table.node(key) {
            let message = format!("`{key}` does not belong to this type of auth");
            table.problems.push(Problem::error(Code::Conflict, &node.span, message).help(format!("it has {}", own.join(", "))));
        }
    }
    Some(At { value: Some(auth?), span: node.span })
}

fn header_name(node: &Node<'_>, problems: &mut Problems) -> Option<HeaderName> {
    let text = filled(node, problems)?;
    HeaderName::try_from(text).ok().or_else(|| node.bad("no header's name", problems))
}

#[derive(Clone, Copy)]
enum Kind {
    ApiKey,
    Basic,
    Bearer,
}

const AUTHS: &[(&str, Option<Kind>)] =
    &[("basic", Some(Kind::Basic)), ("bearer", Some(Kind::Bearer)), ("api_key", Some(Kind::ApiKey)), ("oauth2", None)];
