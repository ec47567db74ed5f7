//! The kinds of values a key may have: strings, numbers, durations, sizes, words of a closed set, lists, references.
//!
//! **Invariant:** each reads a node whole, or reports it and gives `None`.

use std::{ops::RangeInclusive, time::Duration};

use toml::de::DeValue;

use super::{
    keys,
    reader::{At, Node, Section},
};
use crate::config::{
    problems::{Code, Problem, Problems},
    secrets::Text,
    units,
};

#[inline(never)] // most keys read one
pub(super) fn string(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    match node.value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Float(_) | DeValue::Integer(_) => {
            node.wrong("a string", format!("write \"{}\"", node.written().unwrap_or_default()), problems)
        }
        DeValue::Array(array) => {
            let only = array.iter().next().filter(|_| array.len() == 1).map(|value| Node::element(node.key, value));
            let label = only.and_then(|only| only.written()).map(|written| format!("write {written}"));
            node.wrong("a string", label.unwrap_or_default(), problems)
        }
        _ => node.wrong_type("a string", problems),
    }
}

pub(super) fn filled(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let text = string(node, problems)?;
    if text.is_empty() { node.bad("is empty", problems) } else { Some(text) }
}

/// A path: what the system calls one cannot hold a NUL.
pub(super) fn path(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let text = filled(node, problems)?;
    if text.contains('\0') { node.bad("no path holds a NUL", problems) } else { Some(text) }
}

pub(super) fn flag(node: &Node<'_>, problems: &mut Problems) -> Option<bool> {
    let meant = match node.value {
        DeValue::Boolean(flag) => return Some(*flag),
        DeValue::Integer(number) if number.as_str() == "1" => "write true",
        DeValue::Integer(number) if number.as_str() == "0" => "write false",
        DeValue::String(text) => match &*text.to_lowercase() {
            "true" | "yes" | "on" => "write true",
            "false" | "no" | "off" => "write false",
            _ => "",
        },
        _ => "",
    };
    node.wrong("true or false", meant.to_owned(), problems)
}

pub(super) fn count(range: RangeInclusive<u64>) -> impl Fn(&Node<'_>, &mut Problems) -> Option<u64> {
    move |node, problems| {
        let DeValue::Integer(number) = node.value else {
            let text = node.written().unwrap_or_default();
            let (digits, fraction) = text.trim_matches('"').split_once('.').unwrap_or((text.trim_matches('"'), ""));
            let whole = digits.parse::<u64>().ok().filter(|_| fraction.bytes().all(|byte| byte == b'0'));
            let label = whole.map(|number| format!("write {number}")).unwrap_or_default();
            return node.wrong("a whole number", label, problems);
        };
        let number = u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| range.contains(number));
        number.or_else(|| node.bad(format!("must be from {} to {}", range.start(), range.end()), problems))
    }
}

pub(super) fn fraction(node: &Node<'_>, problems: &mut Problems) -> Option<f64> {
    let number: Option<f64> = match node.value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) => number.as_str().parse().ok(),
        _ => return node.wrong_type("a number", problems),
    };
    number.filter(|number| (0.0..=1.0).contains(number)).or_else(|| node.bad("must be from 0 to 1", problems))
}

/// A duration, zero included.
pub(super) fn duration(node: &Node<'_>, problems: &mut Problems) -> Option<Duration> {
    let text = quantity(node, &units::DURATION, problems)?;
    match units::duration(text) {
        Ok(duration) => Some(duration),
        Err(error) => node.bad(error.to_string(), problems),
    }
}

/// A limit of time: zero would leave none.
pub(super) fn time_limit(node: &Node<'_>, problems: &mut Problems) -> Option<Duration> {
    let limit = duration(node, problems)?;
    if limit.is_zero() { node.bad("must be more than 0", problems) } else { Some(limit) }
}

/// A size in bytes, not zero.
pub(super) fn size(node: &Node<'_>, problems: &mut Problems) -> Option<u64> {
    let text = quantity(node, &units::SIZE, problems)?;
    match units::size(text) {
        Ok(0) => node.bad("must be more than 0", problems),
        Ok(size) => Some(size),
        Err(error) => node.bad(error.to_string(), problems),
    }
}

/// `false`, or a table whose keys all have defaults.
pub(super) fn switch<T>(
    section: &mut Section<'_, '_>,
    key: &'static str,
    read: impl FnOnce(&mut Section<'_, '_>) -> Option<T>,
) -> Option<At<Option<T>>> {
    let node = section.node(key)?;
    let value = match node.value {
        DeValue::Boolean(false) => None,
        DeValue::Boolean(true) => return node.bad("write {} for the defaults, or false", section.problems),
        DeValue::Table(_) => Some(read(section)?),
        _ => return node.wrong_type("a table, or false", section.problems),
    };
    Some(At { value, span: node.span })
}

/// What `false` turns off.
pub(super) fn or_off<'a, T>(
    read: impl Fn(&Node<'a>, &mut Problems) -> Option<T>,
) -> impl Fn(&Node<'a>, &mut Problems) -> Option<Option<T>> {
    move |node, problems| match node.value {
        DeValue::Boolean(false) => Some(None),
        _ => read(node, problems).map(Some),
    }
}

/// One of a closed set of words.
pub(super) fn choice<T: Clone>(offers: &[(&'static str, T)]) -> impl Fn(&Node<'_>, &mut Problems) -> Option<T> {
    move |node, problems| {
        let text = string(node, problems)?;
        let found = offers.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone());
        found.or_else(|| node.bad(one_of(&text, &mut offers.iter().map(|(name, _)| *name)), problems))
    }
}

/// What to write in place of `text`.
pub(super) fn one_of(text: &str, names: &mut dyn Iterator<Item = &'static str>) -> String {
    let names: Vec<_> = names.collect();
    if let Some(name) = keys::nearest(text, names.iter().copied()) {
        return format!("did you mean \"{name}\"?");
    }
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("must be one of {}", names.join(", "))
}

/// A list, each of its elements read alike; elements that cannot be read are left out.
pub(super) fn list<'a, T>(
    read: impl Fn(&Node<'a>, &mut Problems) -> Option<T>,
) -> impl Fn(&Node<'a>, &mut Problems) -> Option<Vec<At<T>>> {
    move |node, problems| {
        let Some(array) = node.value.as_array() else {
            let label = match node.value {
                DeValue::Table(_) => "put it in brackets: [{ … }]".to_owned(),
                _ => node.written().map(|written| format!("write [{written}]")).unwrap_or_default(),
            };
            return node.wrong("a list", label, problems);
        };
        let nodes = array.iter().map(|value| Node::element(node.key, value));
        Some(nodes.filter_map(|node| Some(At { value: read(&node, problems)?, span: node.span })).collect())
    }
}

/// A list with at least one element.
pub(super) fn some<'a, T>(
    read: impl Fn(&Node<'a>, &mut Problems) -> Option<T>,
) -> impl Fn(&Node<'a>, &mut Problems) -> Option<Vec<At<T>>> {
    move |node, problems| match node.value.as_array() {
        Some(array) if array.is_empty() => node.bad("needs at least one", problems),
        _ => list(&read)(node, problems),
    }
}

/// A text, or a reference to where it is.
pub(super) fn text(node: &Node<'_>, problems: &mut Problems) -> Option<Text> {
    match node.value {
        DeValue::String(_) => filled(node, problems).map(Text::Literal),
        DeValue::Table(_) => reference(node, problems),
        DeValue::Array(_) | DeValue::Float(_) | DeValue::Integer(_) => filled(node, problems).map(Text::Literal),
        _ => node.wrong_type("a string, or one of { env = … }, { file = … }, { credential = … }", problems),
    }
}

fn reference(node: &Node<'_>, problems: &mut Problems) -> Option<Text> {
    let mut section = Section::open(node, &keys::REFERENCE, node.key.to_owned(), problems)?;
    let env = section.read("env", filled).map(|at| Text::Env(at.value));
    let file = section.read("file", path).map(|at| Text::File(at.value));
    let credential = section.read("credential", filled).map(|at| Text::Credential(at.value));
    match keys::REFERENCE.names().filter(|key| section.has(key)).count() {
        0 if section.has_unknown() => None,
        1 => env.or(file).or(credential),
        _ => node.bad("write exactly one of `env`, `file` and `credential`", problems),
    }
}

/// The text of a duration, size or rate; a bare number is told its unit.
pub(super) fn quantity<'a>(node: &Node<'a>, kind: &units::Kind, problems: &mut Problems) -> Option<&'a str> {
    match node.value {
        DeValue::String(text) => Some(text),
        DeValue::Float(_) | DeValue::Integer(_) => {
            let message = format!("`{}` is a number without a unit", node.key);
            let label = kind.with_unit(&node.written().unwrap_or_default());
            problems.push(Problem::error(Code::WrongType, &node.span, message).label(label));
            None
        }
        _ => node.wrong_type(kind.wanted, problems),
    }
}
