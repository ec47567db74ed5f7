//! What a newcomer reads first: `config.example.toml`, as it is and with what is switched off in it switched on; README.md.

use std::{collections::BTreeSet, env::VarError, path::Path};

use serde_json::json;
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
    assert_eq!(names(&all), ["hello", "billing", "cases", "marketplace", "partner"]);
    assert_eq!((as_it_is.routes.len(), all.routes.len()), (1, 4));
    assert_eq!(all.listen.tokens.len(), 1);
}

#[test]
fn what_the_example_config_gives_as_defaults_are_the_defaults() {
    // What the endpoint says itself no default would change.
    let example = EXAMPLE.replace("retry = { attempts = 3, delay = \"1s\" }\n", "");
    let before = read(&example);
    let tables = example.lines().take_while(|line| !line.starts_with("[endpoints.")).count();
    let mut seen = 0;
    for (n, line) in example.lines().enumerate().take(tables).filter(|(_, line)| line.starts_with(OFF)) {
        let with_it = example.lines().enumerate().map(|(m, other)| if m == n { switched_on(other) } else { other });
        let changed = config::difference(&before, &read(&with_it.collect::<Vec<_>>().join("\n")));
        let is_no_default = ["hosts", "token", "deliveries"].iter().any(|key| switched_on(line).starts_with(key));
        assert_eq!(changed.is_empty(), !is_no_default, "{line}\nchanges {changed:?}");
        seen += 1;
    }
    assert!(seen > 20, "only {seen} settings are switched off by `{OFF}`");
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

/// Reads a config that must be valid and free of warnings, in a world where every secret is there.
fn read(text: &str) -> Config {
    let outside = Outside {
        variable: Box::new(|name| match name {
            "STATE_DIRECTORY" => Err(VarError::NotPresent),
            "PARTNER_URL" => Ok("https://partner.example.com/hooks".into()),
            _ => Ok(SECRET.into()),
        }),
        file: Box::new(|_| Ok(SECRET.into())),
    };
    let config = config::parse(text, Path::new("config.example.toml"), &outside);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    config
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
