//! `sidehook logs` in words: its help, and what it says, and what to do, where there is nothing to show.

use std::fs;

use crate::support::run;

const LINE: &str = r#"{"timestamp":"2026-11-22T19:00:01.000000Z","level":"info","message":"m","kind":"delivery","outcome":"delivered","event_id":"e1","event_type":"a","endpoint":"billing"}"#;

#[tokio::test]
async fn a_table_that_is_empty_is_told_of_and_what_programs_read_is_not() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.jsonl"), format!("{LINE}\n")).unwrap();
    fs::write(folder.path().join("log.jsonl.1"), "").unwrap();
    for (arguments, told) in [
        (&["--endpoint", "biling"][..], "nothing found in 2 files\n"),
        (&["--endpoint", "billing"], ""),
        (&["--endpoint", "biling", "--format", "jsonl"], ""),
        (&["--endpoint", "biling", "--stats"], ""),
    ] {
        let said = run(folder.path(), &[&["logs", "log.jsonl"], arguments].concat()).await;
        assert_eq!((said.code, &*said.stderr), (0, told), "{arguments:?}");
    }
}

#[tokio::test]
async fn without_a_config_it_says_how_to_name_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["logs", "--config", "none.toml"]).await;
    assert_eq!((said.code, &*said.stdout), (3, ""));
    assert!(said.stderr.contains("no config file none.toml") && said.stderr.contains("- for stdin"), "{}", said.stderr);
}

#[tokio::test]
async fn what_cannot_be_written_is_called_as_it_was_typed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("log.jsonl"), "").unwrap();
    let said = run(folder.path(), &["logs", "log.jsonl", "--output", "none/out"]).await;
    assert_eq!((said.code, &*said.stderr), (1, "error: cannot write none/out: No such file or directory (os error 2)\n"));
}

#[tokio::test]
async fn a_span_with_a_minus_is_answered_with_one_that_is_right() {
    let folder = tempfile::tempdir().unwrap();
    for option in ["--since", "--until"] {
        let said = run(folder.path(), &["logs", option, "-15m"]).await;
        assert!(said.code == 2 && said.stderr.contains("how long ago, like \"15m\""), "{}", said.stderr);
    }
}

#[tokio::test]
async fn the_help_keeps_filters_apart_from_what_becomes_of_lines() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["logs", "--help"]).await;
    let (before, filters) = said.stdout.split_once("Which lines:").unwrap();
    assert!(before.contains("--follow") && before.contains("--output") && before.contains("--config"), "{before}");
    assert!(filters.contains("--since") && !before.contains("--since"), "{filters}");
}
