//! The schema for editors, held against what is read.

#![expect(clippy::disallowed_types, reason = "a validator takes a tree")]

use std::{collections::BTreeSet, rc::Rc, sync::LazyLock};

use jsonschema::Validator;
use proptest::{prelude::*, strategy::ValueTree as _, string::string_regex, test_runner::TestRunner};
use serde_json::Value;

use super::*;
use crate::config::raw::keys::{Home, Key, Kind, REFERENCE, TOP};

#[test]
fn the_schema_is_one() {
    let schema: Value = serde_json::from_str(&schema().unwrap()).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-04/schema#");
    jsonschema::draft4::meta::validate(&schema).unwrap();
    for word in ["\"const\"", "\"if\"", "\"examples\""] {
        assert!(!schema.to_string().contains(word), "draft-04 has no {word}");
    }
}

/// taplo shows no description that stands beside one of these.
#[test]
fn each_key_has_a_description_where_editors_see_it() {
    fn walk(schema: &Value, seen: &mut usize) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let described = ["description", "anyOf", "enum"].iter().any(|word| property.get(word).is_some());
            let refers = property.as_object().is_some_and(|words| words.len() == 1 && words.contains_key("$ref"));
            assert!(refers || (described && property.get("allOf").or(property.get("$ref")).is_none()), "{name}: {property}");
            *seen += usize::from(property.get("description").is_some());
        }
        match schema {
            Value::Array(list) => list.iter().for_each(|inner| walk(inner, seen)),
            Value::Object(words) => words.values().for_each(|inner| walk(inner, seen)),
            _ => {}
        }
    }
    let mut seen = 0;
    walk(&serde_json::from_str(&schema().unwrap()).unwrap(), &mut seen);
    assert!(seen > 80, "only {seen} keys are described");
}

#[test]
fn good_files_are_good_for_the_schema() {
    let example = include_str!("../../../config.example.toml");
    let all: Vec<&str> = example.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect();
    for source in [example, &all.join("\n")] {
        assert_eq!(objections(source), [""; 0], "{source}");
    }
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut seen = 0;
    for folder in std::fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let source = std::fs::read_to_string(folder.join("config.toml")).unwrap();
        let source = source.replace("{receiver}", "http://127.0.0.1:9000");
        assert_eq!(objections(&source), [""; 0], "{}", folder.display());
        seen += 1;
    }
    assert!(seen > 100, "there are only {seen} golden configs");
}

#[test]
fn wrong_files_are_wrong_for_both() {
    for keys in [
        "colour = 1",
        "timeout = 5",
        "timeout = \"5\"",
        "timeout = \"0s\"",
        "method = \"post\"",
        "active = \"yes\"",
        "batch = true",
        "breaker = \"off\"",
        "success = 200",
        "success = [\"200\"]",
        "concurrency = 0",
        "proxy = \"https://proxy.example/\"",
        "proxy = \"direct\"",
        "concurrency = 2.5",
        "rate = \"100/d\"",
        "order = \"lifo\"",
        "order = {}",
        "auth = \"basic\"",
        "auth = {}",
        "auth = { type = \"digest\" }",
        "auth = { type = \"bearer\" }",
        "auth = { type = \"basic\", username = \"u\" }",
        "auth = { type = \"bearer\", token = \"x\", value = \"x\" }",
        "signature = { secrets = [\"x\"] }",
        "signature = { scheme = \"github\" }",
        "signature = { scheme = \"github\", secrets = [] }",
        "signature = { scheme = \"github\", secrets = [\"x\"], encoding = \"hex\" }",
        "signature = { scheme = \"http-message\", secrets = [\"x\"] }",
        "signature = { scheme = \"http-message\", secrets = [\"x\"], key_id = \"a\", algorithm = \"sha256\" }",
        "signature = [{ scheme = \"hmac\", secrets = [\"x\"] }]",
        "signature = [[]]",
        "headers = { \"a b\" = \"x\" }",
        "headers = { X-A = \"{body}\" }",
        "headers = { X-A = { env = \"A\", file = \"b\" } }",
        "headers = { X-A = {} }",
        "retry = { attempts = 101 }",
        "retry = { jitter = 1.5 }",
        "retry = { schedule = [\"5s\", 5] }",
        "tls = { ca = [\"x\"] }",
    ] {
        let endpoint = "[endpoints.a]\nurl = \"https://a.example/\"\n";
        for source in [format!("{endpoint}{keys}"), format!("[defaults]\n{keys}\n{endpoint}")] {
            assert!(!objections(&source).is_empty(), "the schema takes {source}");
            bad(&source);
        }
    }
    for source in [
        "[endpoints.a]",
        "[endpoints.a]\nurl = \"ftp://a/\"",
        "[endpoints.a]\nurl = \"a.example\"",
        "[endpoints.\"a b\"]\nurl = \"http://a/\"",
        "[defaults]\nurl = \"http://a/\"",
        "[admin]",
        "[[routes]]\nto = [\"a\"]",
        "[routes]",
        "[listen]\naddress = \"localhost:80\"",
        "[listen]\nhosts = [\"a:80\"]",
        "[listen]\ntoken = [\"a\", \"b\", \"c\"]",
        "[log]\nrotate = { every = \"hour\" }",
        "listen = 3",
        "max_body = \"1MiB\"",
    ] {
        assert!(!objections(source).is_empty(), "the schema takes {source}");
        bad(source);
    }
}

/// Each key with what any key may have: what is read is right for the schema, and the other way round.
#[test]
fn schema_and_readers_think_alike_of_every_value() {
    let places = places();
    assert!(places.len() > 100, "only {} keys", places.len());
    let mut values: BTreeSet<String> = VALUES.trim().split(['¦', '\n']).map(|value| value.trim().to_owned()).collect();
    places.iter().for_each(|place| values.extend(good_values(place.kind)));
    let first = |place: &Place| values.iter().find_map(|value| difference_over(place, value));
    let apart: Vec<String> = places.iter().filter_map(first).collect();
    assert!(apart.is_empty(), "{}", apart.join("\n"));
    // A type of auth is nothing without its keys.
    for place in places.iter().filter(|place| place.path != "endpoints.auth.type") {
        let right = |value: &String| objections(&(place.file)(value)).is_empty();
        assert!(good_values(place.kind).iter().any(right), "nothing is right for {}", place.path);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Nearly right texts are where a regular expression goes wrong.
    #[test]
    fn a_pattern_finds_what_a_reader_takes(at in any::<prop::sample::Index>(), seed in any::<[u8; 32]>(), edit in any::<(prop::sample::Index, char, u8)>()) {
        let places = PATTERNED.with(Rc::clone);
        let place = at.get(&places);
        let Some(pattern) = pattern(place.kind) else { unreachable!() };
        let rng = proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        let mut text: Vec<char> = sample(&pattern, &mut runner).chars().take(40).collect();
        let (index, character, how) = edit;
        let at = index.index(text.len() + 1);
        match how % 4 {
            0 => {}
            1 => text.insert(at, character),
            2 => text.truncate(at),
            _ => drop(text.drain(at..(at + 1).min(text.len()))),
        }
        let text: String = text.into_iter().collect();
        let apart = difference_over(place, &quoted(&text));
        prop_assert!(apart.is_none(), "{}", apart.unwrap_or_default());
    }
}

/// A key of the file, and how a file looks that gives it a value.
struct Place {
    path: String,
    kind: &'static Kind,
    file: Rc<dyn Fn(&str) -> String>,
}

/// Every key at every place, but that one definition is looked at once.
fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for key in TOP.keys {
        let file: Rc<dyn Fn(&str) -> String> = Rc::new(|value| format!("{} = {value}", key.name));
        collect(key, key.name.to_owned(), file, &mut places);
    }
    places
}

fn collect(key: &'static Key, path: String, file: Rc<dyn Fn(&str) -> String>, places: &mut Vec<Place>) {
    if matches!(key.kind, Kind::Defaults(_)) {
        return;
    }
    for (home, value) in tables(&key.kind) {
        for inner in home.keys {
            let word = home.by.map(|_| inner.of.first().copied().unwrap_or("github")).filter(|_| home.by != Some(inner.name));
            let (file, beside) = (file.clone(), beside(home, word, inner.name));
            let file = move |text: &str| file(&value(&format!("{{ {beside}{} = {text} }}", inner.name)));
            collect(inner, format!("{path}.{}", inner.name), Rc::new(file), places);
        }
    }
    places.push(Place { path, kind: &key.kind, file });
}

type Within = fn(&str) -> String;

/// The tables that a value of this kind may be or hold.
fn tables(kind: &'static Kind) -> Vec<(&'static Home, Within)> {
    match kind {
        Kind::Either(kinds) => kinds.iter().flat_map(tables).take(1).collect(),
        Kind::List { of: Kind::Table(home), .. } => vec![(home, |table| format!("[{table}]"))],
        Kind::Named { of: Kind::Table(home), .. } => vec![(home, |table| format!("{{ a = {table} }}"))],
        Kind::Table(home) => vec![(home, str::to_owned)],
        _ => Vec::new(),
    }
}

/// What a table cannot be without beside the key `name`, each with a comma behind it.
fn beside(home: &'static Home, word: Option<&'static str>, name: &str) -> String {
    let by = home.by.zip(word).map(|(by, word)| format!("{by} = \"{word}\""));
    let fits = |key: &&Key| key.of.is_empty() || word.is_some_and(|word| key.goes_with(word));
    let needed = home.keys.iter().filter(|key| key.is_required() && Some(key.name) != home.by).filter(fits);
    let needed = needed.filter(|key| key.name != name).map(|key| format!("{} = {}", key.name, good_values(&key.kind).remove(0)));
    by.into_iter().chain(needed).map(|entry| entry + ", ").collect()
}

/// Values that are right, the plainest first.
fn good_values(kind: &'static Kind) -> Vec<String> {
    match kind {
        Kind::Count { least, most } => vec![least.to_string(), most.to_string()],
        Kind::Defaults(_) => vec!["{}".to_owned()],
        Kind::Either(kinds) => kinds.iter().flat_map(good_values).collect(),
        Kind::Filled => vec!["\".a\"".to_owned(), "\"1\"".to_owned()],
        Kind::Flag => vec!["false".to_owned(), "true".to_owned()],
        Kind::Fraction => vec!["0".to_owned(), "0.5".to_owned(), "1".to_owned()],
        Kind::List { of, least, most } => {
            let one = || good_values(of).remove(0);
            let several = vec![one(); most.unwrap_or(3)].join(", ");
            let empty = (*least == 0).then(|| "[]".to_owned());
            [format!("[{}]", one()), format!("[{several}]")].into_iter().chain(empty).collect()
        }
        Kind::Named { of, .. } => good_values(of).iter().map(|value| format!("{{ X-A = {value} }}")).take(3).collect(),
        Kind::Off => vec!["false".to_owned()],
        Kind::Pattern(pattern) => {
            let known = PLAIN.iter().filter(|text| is_match(&pattern(), text)).take(3).map(|text| quoted(text));
            let mut runner = TestRunner::deterministic();
            known.chain((0..2).map(|_| quoted(&sample(&pattern(), &mut runner)))).collect()
        }
        Kind::Secret(literal) => good_values(literal).into_iter().chain(["{ env = \"http://a.example/\" }".to_owned()]).collect(),
        Kind::Table(home) => {
            let word = home.keys.iter().find(|key| Some(key.name) == home.by).map(|key| match key.kind {
                Kind::Words(words) => words()[0],
                _ => panic!("{} has words", key.name),
            });
            let reference = if std::ptr::eq(*home, &REFERENCE) { "env = \"http://a.example/\"" } else { "" };
            vec![format!("{{ {}{reference} }}", beside(home, word, "").trim_end_matches(", "))]
        }
        Kind::Text => vec!["\"\"".to_owned(), "\"a\"".to_owned()],
        Kind::Words(words) => words().iter().map(|word| quoted(word)).collect(),
    }
}

/// What only one of the two finds to be wrong with this value.
fn difference_over(place: &Place, value: &str) -> Option<String> {
    let source = (place.file)(value);
    let objections = objections(&source);
    let problems = read_anywhere(&source).err();
    let errors: Vec<&Problem> =
        problems.iter().flat_map(Problems::iter).filter(|problem| problem.severity == Severity::Error).collect();
    // What a variable holds is no matter of form.
    let named = value.starts_with("{ env = \"h");
    match (errors.iter().find(|problem| is_about_form(problem) && !named), &*objections) {
        (Some(problem), []) => Some(format!("read only: {source}\n  {} {:?}", problem.message, problem.label)),
        (None, [objection, ..]) if errors.iter().all(|problem| problem.code == Code::Conflict) => {
            Some(format!("schema only: {source}\n  {objection}"))
        }
        _ => None,
    }
}

/// Whether a schema could know.
fn is_about_form(problem: &Problem) -> bool {
    let codes = [Code::BadValue, Code::MissingKey, Code::Secret, Code::UnknownKey, Code::WrongType];
    let said = format!("{} {}", problem.message, problem.label.as_deref().unwrap_or_default());
    codes.contains(&problem.code) && !BEYOND.iter().any(|part| said.contains(part))
}

/// Reads a file in a world where every secret is there.
fn read_anywhere(source: &str) -> Result<Config, Problems> {
    let outside = Outside {
        variable: Box::new(|name| if name.contains("://") { Ok(name.to_owned()) } else { Err(VarError::NotPresent) }),
        file: Box::new(|_| Ok(b"http://a.example/".to_vec())),
        ..Outside::empty()
    };
    parse(source, Path::new("conf/sidehook.toml"), &outside)
}

/// What the schema has against a file.
pub(super) fn objections(source: &str) -> Vec<String> {
    let table: toml::Table = source.parse().unwrap_or_else(|error| panic!("{source}\n{error}"));
    let value = serde_json::to_value(table).unwrap();
    VALIDATOR.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn pattern(kind: &'static Kind) -> Option<String> {
    match kind {
        Kind::Either(kinds) => kinds.iter().find_map(pattern),
        Kind::Pattern(pattern) => Some(pattern()),
        Kind::Secret(literal) => pattern(literal),
        _ => None,
    }
}

fn sample(pattern: &str, runner: &mut TestRunner) -> String {
    let strategy = string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap();
    strategy.new_tree(runner).unwrap().current()
}

fn is_match(pattern: &str, text: &str) -> bool {
    let schema = serde_json::json!({ "pattern": pattern });
    jsonschema::draft4::new(&schema).unwrap().is_valid(&serde_json::json!(text))
}

/// As a string of TOML, which escapes one character more than JSON.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap().replace('\u{7f}', "\\u007f")
}

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::draft4::new(&serde_json::from_str(&schema().unwrap()).unwrap()).unwrap());

thread_local! {
    static PATTERNED: Rc<Vec<Place>> = Rc::new(places().into_iter().filter(|place| pattern(place.kind).is_some()).collect());
}

/// Texts that are right somewhere.
const PLAIN: &[&str] = &[
    "{signature}",
    "https://a.example/",
    "http://a.example/",
    "127.0.0.1:1",
    "unix:x",
    "[::1]:80",
    "1s",
    "1KiB",
    "1/s",
    "a",
    "**",
    "a.*",
    "!a.b",
    "a/b",
    "7",
];

/// Values that are wrong in most places, or right in few.
const VALUES: &str = r##"
-1 ¦ 0 ¦ 1 ¦ 100 ¦ 101 ¦ 200 ¦ 600 ¦ 4294967296 ¦ 0.5 ¦ 1.5 ¦ nan ¦ true ¦ "" ¦ " " ¦ "5" ¦ "5 s" ¦ "1.5s" ¦ "0s"
"0B" ¦ "1MB" ¦ "0/s" ¦ "x*" ¦ "a b" ¦ "a:80" ¦ "0778" ¦ "POST " ¦ "{nope}" ¦ "{" ¦ "{{}}" ¦ "a\u0000" ¦ "a\u007f"
"a\nb" ¦ "ftp://a/" ¦ "http://u@a/" ¦ "http://a:0/" ¦ "http://a/#b" ¦ "json" ¦ "ä" ¦ [] ¦ [0] ¦ [""] ¦ ["a", 1] ¦ [[]]
[{}] ¦ {} ¦ { a = 1 } ¦ { env = "" } ¦ { env = 1 } ¦ { env = "A", file = "b" } ¦ { X-A = 1 } ¦ { "a b" = "c" }
"##;

/// Parts of what a reader says that no plain schema could: sizes in other units, grammars of addresses, names that XML keeps,
/// what is in files and keys, what a table needs as a whole.
const BEYOND: &[&str] = &[
    "more than a year",
    "more than 1024TiB",
    "more than 1000000/s",
    "write an IP address and a port",
    "write a host name or an address",
    "`server_name`",
    "not `xml` in front",
    "`tls.",
    "secret 1 ",
    "no header uses",
    "`each` does not use",
    "not an absolute http:// or https:// URL",
    "port 0 cannot be dialled",
    "write the URL of a proxy",
];
