//! The table of keys, and what else says the same: README's table, the interface.

use std::fs;

use super::*;
use crate::config::raw::keys::{Home, Key, Kind, Otherwise, REFERENCE, TOP};

#[test]
fn the_readme_has_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(path).unwrap();
    let head = "| table | key | default | what |\n|---|---|---|---|\n";
    let (before, section) = readme.split_once(head).expect("the table");
    let (written, after) = section.split_once("\n\n").expect("its end");
    let rows: Vec<String> = sections().iter().flat_map(|(title, keys)| rows(title, keys)).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return fs::write(path, format!("{before}{head}{}\n\n{after}", rows.join("\n"))).unwrap();
    }
    assert!(written.lines().eq(rows.iter()), "README's keys are not those of keys/: UPDATE_GOLDEN=1 writes them");
}

#[test]
fn every_key_says_what_it_is_for_and_defaults_are_toml_as_well_as_json() {
    for (title, keys) in sections() {
        for (path, key) in keys {
            assert!(!key.about.is_empty() && !key.about.contains(['|', '\n']), "{title} {path}: {}", key.about);
            assert!(!key.about.ends_with('.') && key.about.len() <= 120, "{title} {path}: {}", key.about);
            if let Otherwise::Value(default) = key.otherwise {
                let toml: toml::Table = format!("a = {default}").parse().unwrap();
                assert_eq!(serde_json::to_string(&toml["a"]).unwrap(), default, "{title} {path}");
            }
        }
    }
}

/// `SIDEHOOK_DESIGN` names the folder that has the interface; without it there is nothing to compare with.
#[test]
#[expect(clippy::print_stderr, reason = "a test that does nothing says so")]
fn the_interface_names_the_same_keys_with_the_same_defaults() {
    let Some(folder) = std::env::var_os("SIDEHOOK_DESIGN") else {
        eprintln!("SIDEHOOK_DESIGN is not set: there is no interface to compare with");
        return;
    };
    let interface = fs::read_to_string(Path::new(&folder).join("INTERFACE.md")).unwrap();
    for (title, keys) in sections() {
        for (path, key) in keys {
            let text = text_of(&interface, &title, &path);
            let name = path.rsplit('.').next().unwrap();
            assert!(words_of(text).any(|word| word == name), "the interface does not name {title} {path}: {text}");
            if let Otherwise::Value(default) = key.otherwise {
                let in_code = format!("`{}`", default.trim_matches('"'));
                let said = text.contains(&in_code) || (default.contains(['"', '[']) && text.contains(default));
                let said = said || words_of(&text.replace("10 000", "10000")).any(|word| word == default);
                let elsewhere = SAID_ELSEWHERE.contains(&&*format!("{title} {path}"));
                assert!(said || elsewhere, "the interface has another default for {title} {path} than {default}: {text}");
            }
        }
    }
    let known: Vec<&str> = [known_words(&TOP), vec!["false", "true", "traceparent", "tracestate"]].concat();
    for (_, text) in
        chapter(&interface, 2).lines().filter_map(row_of).filter(|(names, _)| known.contains(&names.trim_matches(['[', ']'])))
    {
        for word in in_code_outside_parentheses(text) {
            assert!(known.contains(&word), "the interface has the key {word}, or the README's table has not: {text}");
        }
    }
}

/// The keys of each table that a file may have, by their paths in it.
fn sections() -> Vec<(String, Vec<(String, &'static Key)>)> {
    let mut sections = Vec::new();
    for key in TOP.keys {
        let (title, home) = match key.kind {
            Kind::Named { of: Kind::Table(home), .. } => (format!("[{}.NAME]", key.name), home),
            Kind::List { of: Kind::Table(home), .. } => (format!("[[{}]]", key.name), home),
            Kind::Table(ref home) => (format!("[{}]", key.name), home),
            _ => continue,
        };
        let mut keys = Vec::new();
        collect(home, "", &mut keys);
        sections.push((title, keys));
    }
    sections
}

fn collect(home: &'static Home, path: &str, keys: &mut Vec<(String, &'static Key)>) {
    for key in home.keys {
        let path = format!("{path}{}", key.name);
        let inner = match &key.kind {
            Kind::Table(home) => Some(home),
            Kind::Either(kinds) => kinds.iter().find_map(|kind| match kind {
                Kind::Table(home) if !std::ptr::eq(*home, &REFERENCE) => Some(home),
                _ => None,
            }),
            _ => None,
        };
        // A table without a value of its own is what is in it.
        if !matches!(key.kind, Kind::Table(_)) {
            keys.push((path.clone(), key));
        }
        if let Some(home) = inner {
            collect(home, &format!("{path}."), keys);
        }
    }
}

fn rows(title: &str, keys: &[(String, &'static Key)]) -> Vec<String> {
    let row = |(nth, (path, key)): (usize, &(String, &'static Key))| {
        let table = if nth == 0 { format!("`{title}` ") } else { String::new() };
        let default = match key.otherwise {
            Otherwise::Nothing => "none".to_owned(),
            Otherwise::Required => "required".to_owned(),
            Otherwise::Said(words) => words.to_owned(),
            Otherwise::Value(default) => format!("`{default}`"),
        };
        format!("| {table}| `{path}` | {default} | {} |", key.about)
    };
    keys.iter().enumerate().map(row).collect()
}

/// What the interface says of a key: a row of its tables, its example, or its chapter.
fn text_of<'a>(interface: &'a str, title: &str, path: &str) -> &'a str {
    let config = chapter(interface, 2);
    let (first, inner) = path.split_once('.').map_or((path, false), |(first, _)| (first, true));
    if first == "dedupe" {
        return interface;
    }
    if first == "signature" && inner {
        return chapter(interface, 4);
    }
    let sought = if title == "[endpoints.NAME]" { first } else { title };
    let mut rows = config.lines().filter_map(|line| Some((row_of(line)?.0, line)));
    let row = rows.find(|(names, _)| names.split("`, `").any(|name| name == sought));
    row.map_or_else(|| config.split("```").nth(1).expect("the example"), |(_, row)| row)
}

fn chapter(interface: &str, number: u8) -> &str {
    let (_, rest) = interface.split_once(&format!("\n## {number}.")).expect("the chapter");
    rest.split("\n## ").next().unwrap_or(rest)
}

/// The first cell of a table's row, which is code, and the others.
fn row_of(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | ")
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_' || character == '.'))
}

fn in_code_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut found = Vec::new();
    for (nth, part) in text.split('`').enumerate() {
        if nth % 2 == 0 {
            depth += part.matches('(').count();
            depth -= part.matches(')').count();
        } else if depth == 0 && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            found.push(part);
        }
    }
    found
}

/// The names of all keys in a table and below it, and the words that they may have.
fn known_words(home: &'static Home) -> Vec<&'static str> {
    let of_kind = |kind: &'static Kind| match kind {
        Kind::Named { of: Kind::Table(home), .. } | Kind::List { of: Kind::Table(home), .. } | Kind::Table(home) => {
            known_words(home)
        }
        Kind::Words(words) => words(),
        _ => Vec::new(),
    };
    let below = |key: &'static Key| match &key.kind {
        Kind::Either(kinds) => kinds.iter().flat_map(of_kind).collect(),
        kind => of_kind(kind),
    };
    home.keys.iter().flat_map(|key| below(key).into_iter().chain([key.name])).collect()
}

/// Keys whose defaults the interface says in prose, or not at all.
const SAID_ELSEWHERE: &[&str] = &["[listen] mode", "[admin] hosts", "[endpoints.NAME] envelope", "[endpoints.NAME] headers"];
