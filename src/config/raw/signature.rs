//! The mirror of an endpoint's `signature`: a table, or a list of them.
//!
//! **Invariant:** what comes out has a complete scheme; its secrets are still references.

use http::HeaderName;
use toml::de::DeValue;

use super::{
    keys,
    reader::{At, Node, Section, in_file_order},
    values::{choice, filled, one_of, some, string, text},
};
use crate::{
    config::{
        problems::{Code, Problem, Problems},
        secrets::Text,
        source::Span,
        template,
    },
    sign::{self, MessageAlgorithm, MessageScheme, Recipe, Scheme},
};

#[derive(Clone)]
pub(crate) struct Signature {
    pub(crate) span: Span,
    pub(crate) recipe: Recipe,
    pub(crate) secrets: Vec<At<Text>>,
}

/// Reads the key `signature` of an endpoint.
pub(super) fn read(section: &mut Section<'_, '_>) -> Option<At<Vec<Signature>>> {
    let node = section.node("signature")?;
    let path = format!("{}.signature", section.path);
    let nodes = match node.value {
        DeValue::Array(array) => array.iter().map(|value| Node::element("signature", value)).collect(),
        _ => vec![node.clone()],
    };
    let signatures = nodes.iter().filter_map(|node| one(node, &path, section.problems)).collect();
    Some(At { value: signatures, span: node.span })
}

fn one(node: &Node<'_>, path: &str, problems: &mut Problems) -> Option<Signature> {
    if let Some(name) = node.value.as_str().filter(|name| Scheme::preset(name).is_ok()) {
        return node.wrong("a table", format!("write {{ scheme = \"{name}\", secrets = […] }}"), problems);
    }
    let mut section = Section::open(node, &keys::SIGNATURE, path.to_owned(), problems)?;
    let secrets = section.require("secrets", some(text));
    let name = section.require("scheme", scheme_name)?;
    for key in keys::SIGNATURE.names_for(&name.value, false) {
        if let Some(node) = section.node(key) {
            let message = format!("`{key}` does not belong to the scheme `{}`", name.value);
            let owners: Vec<_> = keys::SIGNATURE.words_of(key).map(|word| format!("\"{word}\"")).collect();
            let help = format!("scheme = {} has it", owners.join(" or "));
            let problem = Problem::error(Code::Conflict, &node.span, message).help(help);
            section.problems.push(problem.beside(Some(&name.span), "the scheme"));
        }
    }
    let recipe = match &*name.value {
        "hmac" => hmac(&mut section)?.into(),
        "http-message" => message(&mut section)?.into(),
        preset => {
            let mut scheme = Scheme::preset(preset).ok()?;
            let encoding = section.read("encoding", choice(sign::Encoding::NAMES));
            if let Some(encoding) = encoding.filter(|_| keys::SIGNATURE.names_for(preset, true).any(|key| key == "encoding")) {
                scheme.encoding = encoding.value;
            }
            scheme.into()
        }
    };
    // One that holds none but bad ones was reported.
    let secrets = secrets.filter(|secrets| !secrets.value.is_empty())?.value;
    Some(Signature { span: name.span, recipe, secrets })
}

fn scheme_name(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let name = string(node, problems)?;
    match schemes().contains(&&*name) {
        true => Some(name),
        false => node.bad(one_of(&name, &mut schemes().into_iter()), problems),
    }
}

pub(super) fn schemes() -> Vec<&'static str> {
    [Scheme::PRESETS, &["hmac", "http-message"]].concat()
}

fn hmac(section: &mut Section<'_, '_>) -> Option<Scheme> {
    let signed = section.require("signed", filled_in);
    let headers = section.require("headers", headers);
    let algorithm = section.read("algorithm", choice(sign::Algorithm::NAMES));
    let encoding = section.read("encoding", choice(sign::Encoding::NAMES));
    let key = section.read("key", choice(sign::KeyForm::NAMES));
    let each = section.read("each", filled_in);
    let join = section.read("join", string);
    if let Some(signed) =
        signed.as_ref().filter(|signed: &&At<sign::Template<sign::Signed>>| !signed.value.uses(sign::Signed::Body))
    {
        let problem = Problem::warning(Code::Unused, &signed.span, "the signature does not cover `{body}`");
        section.problems.push(problem.label("it proves nothing about what is sent"));
    }
    let mut scheme = Scheme::hmac(signed?.value, headers?.value);
    set(&mut scheme.algorithm, algorithm);
    set(&mut scheme.encoding, encoding);
    set(&mut scheme.key, key);
    set(&mut scheme.each, each);
    set(&mut scheme.join, join);
    Some(scheme)
}

fn message(section: &mut Section<'_, '_>) -> Option<MessageScheme> {
    let key_id = section.require("key_id", filled);
    let algorithm = section.read("algorithm", choice(MessageAlgorithm::NAMES));
    let algorithm = match algorithm {
        Some(algorithm) => algorithm.value,
        None if section.has("algorithm") => return None,
        None => MessageAlgorithm::HmacSha256,
    };
    Some(MessageScheme { algorithm, key_id: key_id?.value })
}

fn headers(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<(HeaderName, sign::Template<sign::Header>)>> {
    let Some(table) = node.value.as_table() else {
        return node.wrong_type("a table of headers: { X-Signature = \"{signature}\" }", problems);
    };
    let mut headers = Vec::with_capacity(table.len());
    let mut complete = true;
    for (key, value) in in_file_order(table) {
        let name = HeaderName::try_from(&**key.get_ref());
        if name.is_err() {
            problems.push(Problem::error(Code::BadValue, &key.span(), "bad name for a header"));
        }
        match (name, filled_in(&Node::of(key, value), problems)) {
            (Ok(name), Some(template)) => headers.push((name, template)),
            _ => complete = false,
        }
    }
    complete.then_some(headers)
}

fn filled_in<P: sign::Placeholder>(node: &Node<'_>, problems: &mut Problems) -> Option<sign::Template<P>> {
    let text = string(node, problems)?;
    match sign::Template::parse(&text) {
        Ok(template) => Some(template),
        Err(error) => {
            problems.push(template::problem(&node.span, &text, &error, problems));
            None
        }
    }
}

fn set<T>(setting: &mut T, typed: Option<At<T>>) {
    if let Some(typed) = typed {
        *setting = typed.value;
    }
}
