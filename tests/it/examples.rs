//! What a newcomer reads first: `config.example.toml`, as it is and with what is switched off in it switched on; README.md.

use std::{collections::BTreeSet, env::VarError, path::Path, sync::OnceLock};

use serde_json::{Value, json};
use sidehook::config::{self, Config, Outside};

use crate::support::Sidecar;

#[tokio::test]
async fn the_example_config_runs_and_takes_an_event() {
    let sidecar = Sidecar::start(&EXAMPLE.replace("127.0.0.1:7070", "127.0.0.1:0")).await;
    let answer = sidecar.event(r#"{"type": "purchase.completed", "data": {"total": 12.50}}"#).await;
    answer.accepted();
    assert_eq!(answer.json()["endpoints"], json!(["hello"]));
}

#[test]
fn the_example_config_is_valid_as_it_is_and_with_everything_switched_on() {
    let as_it_is = read(EXAMPLE);
    let all = read(&EXAMPLE.lines().map(switched_on).collect::<Vec<_>>().join("\n"));
    let names = |config: &Config| config.endpoints.iter().map(|endpoint| endpoint.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&as_it_is), ["hello"]);
    assert_eq!(names(&all), ["hello", "billing", "cases", "marketplace", "videos", "support", "ledger", "partner"]);
    assert_eq!((as_it_is.routes.len(), all.routes.len()), (1, 4));
    assert_eq!(all.listen.tokens.len(), 1);
}

#[test]
fn what_the_example_config_gives_as_defaults_are_the_defaults() {
    // What the endpoint says itself no default would change.
    let example = EXAMPLE.replace("retry = { attempts = 3, delay = \"1s\" }\n", "");
    // Nor does stdout rotate.
    let example = example.replace(&format!("{OFF}deliveries"), "deliveries");
    let before = read(&example);
    let tables = example.lines().take_while(|line| !line.starts_with("[endpoints.")).count();
    let (mut seen, mut in_table) = (0, false);
    for (n, line) in example.lines().enumerate().take(tables) {
        // A table that is switched off as a whole has no defaults to speak of.
        in_table = line.starts_with(OFF) && (in_table || switched_on(line).starts_with('['));
        if in_table || !line.starts_with(OFF) {
            continue;
        }
        let with_it = example.lines().enumerate().map(|(m, other)| if m == n { switched_on(other) } else { other });
        let changed = config::difference(&before, &read(&with_it.collect::<Vec<_>>().join("\n")));
        let is_no_default = ["hosts", "token", "rotate"].iter().any(|key| switched_on(line).starts_with(key));
        assert_eq!(changed.is_empty(), !is_no_default, "{line}\nchanges {changed:?}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} settings are switched off by `{OFF}`");
}

#[test]
fn the_readme_lists_the_keys_of_the_example_config() {
    let all: toml::Table = EXAMPLE.lines().map(switched_on).collect::<Vec<_>>().join("\n").parse().unwrap();
    let mut shown = BTreeSet::new();
    for (table, value) in &all {
        let path = if table == "defaults" { "endpoints.NAME" } else { table };
        collect_keys(path, &json!(value), &mut shown);
    }
    for key in ["mode", "uids"] {
        assert!(EXAMPLE.contains(&format!("{key} = ")), "{key}, which TCP has no use for, is named in the prose");
        shown.insert(format!("listen.{key}"));
    }
    let listed: BTreeSet<String> = listed_keys().into_iter().map(|(key, _)| key).collect();
    let in_one_alone: Vec<_> = listed.symmetric_difference(&shown).collect();
    assert!(in_one_alone.is_empty(), "only one of README and example has {in_one_alone:?}");
}

#[test]
fn the_defaults_in_the_readme_are_the_defaults() {
    let defaults: Vec<_> = listed_keys().into_iter().filter_map(|(key, default)| Some((key, default?))).collect();
    assert!(defaults.len() > 40, "only {} keys have a default", defaults.len());
    for (key, default) in defaults {
        let (without, with) = around(&key, default);
        let changed = config::difference(&read(&without), &read(&with));
        assert!(changed.is_empty(), "{key} = {default} changes {changed:?}");
    }
}

#[test]
fn the_readme_explains_every_dependency_and_no_other() {
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
    let of = |table: &str| manifest[table].as_table().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>();
    let (_, section) = README.split_once("\n## How it is built\n").expect("the section");
    let (table, tests) = section.split_once("\nFor tests: ").expect("what the tests need");
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let explained: BTreeSet<&str> = cells.flat_map(|cell| cell.split(", ").map(|name| name.trim_matches('`'))).collect();
    assert_eq!(explained, of("dependencies"));
    let explained: BTreeSet<&str> = tests.split('`').skip(1).step_by(2).collect();
    let only_for_tests: BTreeSet<&str> = of("dev-dependencies").difference(&of("dependencies")).copied().collect();
    assert_eq!(explained, only_for_tests);
}

/// The keys of the README's table with their default, where there is a value that stands for it.
fn listed_keys() -> Vec<(String, Option<&'static str>)> {
    let (_, section) = README.split_once("\n### Every key\n").expect("the section");
    let mut keys = Vec::new();
    let mut table = "";
    for row in section.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, named, names, default, ..] = cells[..] else { panic!("too few cells: {row}") };
        if !named.is_empty() {
            table = named.trim_matches(['`', '[', ']']);
        }
        let default = default.strip_prefix('`').and_then(|default| default.strip_suffix('`'));
        keys.extend(names.split(", ").map(|name| (format!("{table}.{}", name.trim_matches('`')), default)));
    }
    keys
}

/// The keys in `value`, which stands at `path`; names that the user chooses are `NAME`.
fn collect_keys(path: &str, value: &Value, keys: &mut BTreeSet<String>) {
    let last = path.rsplit('.').next().unwrap();
    let is_table = last == path || ["NAME", "dedupe", "queue", "retry", "tls", "xml"].contains(&last);
    if !is_table {
        keys.insert(path.to_owned());
    }
    match value {
        Value::Object(table) if is_table || ["auth", "batch", "breaker", "order", "rotate", "signature"].contains(&last) => {
            for (key, value) in table {
                collect_keys(&format!("{path}.{}", if path == "endpoints" { "NAME" } else { key }), value, keys);
            }
        }
        Value::Array(routes) if is_table => routes.iter().for_each(|route| collect_keys(path, route, keys)),
        _ => {}
    }
}

/// A config where `key` is left out, and the same one with it.
fn around(key: &str, value: &str) -> (String, String) {
    let (path, last) = key.rsplit_once('.').unwrap();
    let config = |head: &str, tail: &str| {
        format!("{head}\nendpoints.NAME.url = 'http://localhost/'\n[[routes]]\nevents = ['**']\nto = ['NAME']\n{tail}")
    };
    if path == "routes" {
        return (config("", ""), config("", &format!("{last} = {value}")));
    }
    let whole = format!("{key} = {value}");
    let inner = format!("{last} = {value},");
    // The setting stands where the `$` is, beside what it cannot do without.
    let (head, setting) = match (path, last) {
        ("admin", _) => ("admin.address = '127.0.0.1:7071'\n$", whole),
        ("listen", "mode") => ("listen.address = 'unix:sidehook.sock'\n$", whole),
        ("endpoints.NAME.auth", _) => ("endpoints.NAME.auth = { $ type = 'api_key', value = { env = 'KEY' } }", inner),
        ("endpoints.NAME.batch", _) => ("endpoints.NAME.batch = { $ }", inner),
        ("endpoints.NAME.breaker", _) => ("endpoints.NAME.breaker = { $ }", inner),
        ("endpoints.NAME.signature", _) if value == "\"hmac-sha256\"" => {
            ("endpoints.NAME.signature = { $ scheme = 'http-message', key_id = 'k', secrets = [{ env = 'KEY' }] }", inner)
        }
        ("endpoints.NAME.signature", _) => (
            "endpoints.NAME.signature = { $ scheme = 'hmac', secrets = [{ env = 'KEY' }], signed = '{body}', \
             headers = { X-Sign = '{signatures}' } }",
            inner,
        ),
        ("log.rotate", _) => ("log = { deliveries = 'a.jsonl', rotate = { $ } }", inner),
        ("endpoints.NAME.xml", _) => ("endpoints.NAME.format = 'xml'\n$", whole),
        _ => ("$", whole),
    };
    (config(&head.replace('$', ""), ""), config(&head.replace('$', &setting), ""))
}

/// Reads a config that must be valid and free of warnings, in a world where every secret is there.
fn read(text: &str) -> Config {
    let outside = Outside {
        variable: Box::new(|name| match name {
            "STATE_DIRECTORY" => Err(VarError::NotPresent),
            "LEDGER_KEY" => Ok("whsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into()),
            "PARTNER_URL" => Ok("https://partner.example.com/hooks".into()),
            _ => Ok(SECRET.into()),
        }),
        file: Box::new(|path| match path.extension().and_then(|extension| extension.to_str()) {
            Some("key") => Ok(identity().1.serialize_pem().into()),
            Some("pem") => Ok(identity().0.pem().into()),
            _ => Ok(SECRET.into()),
        }),
        ..Outside::empty()
    };
    let config = config::parse(text, Path::new("config.example.toml"), &outside);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    config
}

/// A certificate and its key, the same each time.
fn identity() -> &'static (rcgen::Certificate, rcgen::KeyPair) {
    static IDENTITY: OnceLock<(rcgen::Certificate, rcgen::KeyPair)> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["shop".to_owned()]).unwrap();
        (made.cert, made.signing_key)
    })
}

fn switched_on(line: &str) -> &str {
    line.strip_prefix(OFF).unwrap_or(line)
}

const EXAMPLE: &str = include_str!("../../config.example.toml");
const README: &str = include_str!("../../README.md");

/// How a setting that is switched off begins.
const OFF: &str = "#: ";

/// Fit for every use the example has for a secret.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
