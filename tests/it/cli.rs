//! The binary: what it says of a config, and how it starts and refuses to.

use std::{fs, net::TcpListener};

use crate::support::{LIMIT, LOOK_EVERY, Process, Sidecar, everything_to, sidehook};

const OWN: &str = "[listen]\naddress = \"127.0.0.1:0\"\n[log]\ndeliveries = \"deliveries.jsonl\"\n";

/// The exit code of a command on a folder with this config, and all it said.
async fn said(config: &str, arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    let output = Process::start(&mut sidehook(folder.path(), arguments)).ended().await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("an exit code"), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn check_accepts_a_good_file_with_0() {
    let (code, text) = said(&everything_to(&[("hook", "https://example.com/in", "")]), &["check"]).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test]
async fn check_finds_its_file_by_option_then_environment() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good.toml"), everything_to(&[("hook", "https://example.com/in", "")])).unwrap();
    fs::write(folder.path().join("bad.toml"), "[lisen]\n").unwrap();
    let check = |arguments: &[&str]| {
        sidehook(folder.path(), arguments).env("SIDEHOOK_CONFIG", "bad.toml").output().unwrap().status.code()
    };
    assert_eq!(check(&["check"]), Some(1));
    assert_eq!(check(&["check", "--config", "good.toml"]), Some(0));
}

#[tokio::test]
async fn check_points_at_each_problem_with_line_and_column_and_suggests() {
    let cases = [
        ("[endpoints.a]\nurl = \"http://x/\"\nmetod = \"PUT\"\n", "sidehook.toml:3:1", "method"),
        ("[endpoints.a]\nurl = \"http://x/\"\nmethod = \"GET\"\n", "sidehook.toml:3:10", "POST"),
        ("[endpoints.a]\nurl = \"http://x/\"\ntimeout = 5\n", "sidehook.toml:3:11", "5s"),
        ("[endpoints.a]\nurl = \"http://x/\"\nformat = \"jsn\"\n", "sidehook.toml:3:10", "json"),
        ("[endpoints.a]\nurl = \"http://user:pw@x/\"\n", "sidehook.toml:2:7", "url"),
        ("[endpoints.a]\nurl = \"http://x/\"\n[[routes]]\nevents = [\"**\"]\nto = [\"b\"]\n", "sidehook.toml:5:7", "b"),
        ("[endpoints.a]\nurl = \"http://x/\"\n[[routes]]\nevents = [\"a*\"]\nto = [\"a\"]\n", "sidehook.toml:4:11", "a*"),
        ("[endpoints.a]\nurl = \"http://x/\"\nretry = { attempts = 0 }\n", "sidehook.toml:3:22", "100"),
        ("[endpoints.a]\nurl = \"http://x/\"\nheaders = { Host = \"x\" }\n", "sidehook.toml:3:", "ost"),
        ("[listn]\naddress = \"127.0.0.1:0\"\n", "sidehook.toml:1:", "listen"),
        ("[listen]\naddress = \"0.0.0.0:7070\"\n", "sidehook.toml:2:11", "token"),
    ];
    for (config, place, word) in cases {
        let (code, text) = said(config, &["check"]).await;
        assert_eq!(code, 1, "{config}\n{text}");
        assert!(text.contains(place) && text.contains(word), "{place} and {word} are not both in\n{text}\nfor\n{config}");
    }
}

#[tokio::test]
async fn check_tells_every_problem_in_one_go() {
    let config = "[endpoints.a]\nurl = \"http://x/\"\nmetod = \"PUT\"\ntimeout = 5\nformat = \"jsn\"\n[[routes]]\nto = [\"b\"]\n";
    let (code, text) = said(config, &["check"]).await;
    assert_eq!(code, 1, "{text}");
    for place in [":3:1", ":4:11", ":5:10", ":7:7", "events"] {
        assert!(text.contains(place), "{place} is not in\n{text}");
    }
}

#[tokio::test]
async fn check_never_prints_a_secret() {
    let keys = "auth = { type = \"bearer\", token = \"s3cret-token\" }\nsignature = { scheme = \"standard\", secrets = [\"s3cret-not-base64!\"] }";
    let (code, text) = said(&everything_to(&[("a", "http://x/", keys)]), &["check"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(!text.contains("s3cret-token"), "{text}");
}

#[tokio::test]
async fn a_missing_secret_is_an_error_that_names_where_it_was_looked_for() {
    for (reference, word) in
        [("{ env = \"SIDEHOOK_TEST_NOT_SET\" }", "SIDEHOOK_TEST_NOT_SET"), ("{ file = \"nowhere/secret\" }", "nowhere/secret")]
    {
        let keys = format!("auth = {{ type = \"bearer\", token = {reference} }}");
        let (code, text) = said(&everything_to(&[("a", "http://x/", &keys)]), &["check"]).await;
        assert!(code == 1 && text.contains(word) && text.contains("sidehook.toml:3:"), "exit {code}\n{text}");
    }
}

#[tokio::test]
async fn demo_shows_everything_verified_and_ends_with_0() {
    let (code, text) = said("", &["demo"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("webhook-id") && text.contains("\"outcome\":\"delivered\""), "{text}");
}

#[tokio::test]
async fn demo_goes_on_when_its_reader_has_seen_enough() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = sidehook(folder.path(), &["demo"]).stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panic") && !stderr.contains("warning["), "{stderr}");
}

#[tokio::test]
async fn check_speaks_to_machines_as_well() {
    let config = "[endpoints.a]\nurl = \"http://x/\"\nmetod = \"PUT\"\n";
    let (code, text) = said(config, &["check", "--format", "json"]).await;
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &report["ok"], &report["errors"], &report["file"]), (1, &false.into(), &1.into(), &"sidehook.toml".into()));
    let problem = &report["problems"][0];
    assert_eq!((&problem["severity"], &problem["code"]), (&"error".into(), &"unknown-key".into()));
    assert_eq!((&problem["line"], &problem["column"]), (&3.into(), &1.into()));
    let (code, text) = said(config, &["check", "--format", "github"]).await;
    assert!(
        code == 1 && text.starts_with("::error file=sidehook.toml,line=3,endLine=3,col=1,endColumn=6,title=unknown-key::"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    let good = everything_to(&[("hook", "https://example.com/in", "")]);
    let (code, text) = said(&good, &["check", "--format", "json"]).await;
    assert_eq!((code, &*text), (0, "{\"file\":\"sidehook.toml\",\"ok\":true,\"errors\":0,\"problems\":[]}\n"));
    assert_eq!(said(&good, &["check", "--format", "github"]).await, (0, String::new()));
}

#[tokio::test]
async fn check_counts_as_people_do() {
    let (_, text) = said(&everything_to(&[("hook", "https://example.com/in", "")]), &["check"]).await;
    assert!(text.contains("ok, 1 endpoint, 1 route\n"), "{text}");
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_help_with_0() {
    for arguments in [&["run", "--nonsense"][..], &["nonsense"], &["check", "--config"]] {
        assert_eq!(said("", arguments).await.0, 2, "{arguments:?}");
    }
    assert_eq!(said("", &["--help"]).await.0, 0);
    for command in
        ["check", "completions", "demo", "health", "listen", "logs", "man", "replay", "run", "schema", "send", "test", "verify"]
    {
        let (code, text) = said("", &[command, "--help"]).await;
        assert!(code == 0 && text.contains(&format!("Examples:\n  sidehook {command}")), "{text}");
    }
}

#[tokio::test]
async fn schema_prints_what_editors_read() {
    let (code, text) = said("", &["schema"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("{\n  \"$schema\": \"http://json-schema.org/draft-04/schema#\""), "{text}");
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(schema["properties"]["listen"]["properties"]["max_body"]["default"], "1MiB");
}

#[tokio::test]
async fn schema_prints_what_a_line_of_the_log_is_in_either_format() {
    for (arguments, id, first) in [
        (&["schema", "--log"][..], "urn:sidehook:log:plain", "timestamp"),
        (&["schema", "--log", "--format", "ecs"], "urn:sidehook:log:ecs", "@timestamp"),
    ] {
        let (code, text) = said("", arguments).await;
        let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((code, &schema["$id"]), (0, &id.into()), "{text}");
        assert!(schema["properties"][first]["description"].is_string() && schema["properties"]["message"].is_object(), "{text}");
    }
    assert_eq!(said("", &["schema", "--format", "ecs"]).await.0, 2);
}

#[tokio::test]
async fn run_with_a_bad_or_missing_config_exits_with_3_and_says_where() {
    let (code, text) = said("[endpoints.a]\nurl = 7\n", &["run"]).await;
    assert!(code == 3 && text.contains("sidehook.toml:2:7"), "exit {code}\n{text}");
    let (code, text) = said("", &["run", "--config", "nowhere.toml"]).await;
    assert!(code == 3 && text.contains("nowhere.toml"), "exit {code}\n{text}");
}

#[tokio::test]
async fn without_a_log_file_the_lines_go_to_stdout_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sidehook.toml"), "[listen]\naddress = \"127.0.0.1:0\"\n").unwrap();
    let process = Process::start(&mut sidehook(folder.path(), &["run"]));
    let started = async {
        while !process.printed().contains("\"outcome\":\"started\"") {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(LIMIT, started).await.expect("a `started` line on stdout");
    process.signal("TERM");
    let output = process.ended().await;
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in text.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line:?} in\n{text}");
    }
    assert!(text.lines().last().is_some_and(|line| line.contains("\"outcome\":\"stopped\"")), "{text}");
}

#[tokio::test]
async fn run_on_an_address_in_use_exits_with_3() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = said(&format!("[listen]\naddress = \"{address}\"\n"), &["run"]).await;
    assert!(code == 3 && text.contains(&address), "exit {code}\n{text}");
}

#[tokio::test]
async fn run_on_a_state_folder_in_use_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sidehook.toml"), OWN).unwrap();
    let mut first = Process::start(&mut sidehook(folder.path(), &["run"]));
    first.address(folder.path()).await;
    let second = Process::start(&mut sidehook(folder.path(), &["run"])).ended().await;
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(3) && text.contains("state"), "{}\n{text}", second.status);
}

#[tokio::test]
async fn a_state_folder_is_locked_inside_one_process_too() {
    let sidecar = Sidecar::start("").await;
    assert!(Sidecar::refusal(sidecar.dir(), "").await.is_some());
}

#[tokio::test]
async fn sighup_reloads_and_does_not_end_the_process() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sidehook.toml"), OWN).unwrap();
    let mut process = Process::start(&mut sidehook(folder.path(), &["run"]));
    process.address(folder.path()).await;
    fs::write(folder.path().join("sidehook.toml"), "[listen\n").unwrap();
    process.signal("HUP");
    let log = folder.path().join("deliveries.jsonl");
    let rejected = async {
        while crate::support::telling(&crate::support::json_lines(&log), "rejected").is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(LIMIT, rejected).await.expect("a `rejected` line");
    process.signal("TERM");
    assert_eq!(process.exit_status().await.code(), Some(0));
}

#[tokio::test]
async fn completions_and_the_manual_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, text) = said("", &["completions", shell]).await;
        assert!(code == 0 && text.contains("replay") && text.contains("fail-first"), "{shell}: {code} {text}");
    }
    let (code, text) = said("", &["man"]).await;
    assert!(code == 0 && text.contains(".TH sidehook 1") && text.contains("replay") && !text.contains("sidehook-man"), "{text}");
    let (code, text) = said("", &["man", "replay"]).await;
    assert!(code == 0 && text.contains("\\-\\-dry\\-run") && text.contains("FILE.replaying"), "{text}");
    for arguments in [&["completions", "csh"][..], &["man", "nothing"]] {
        assert_eq!(said("", arguments).await.0, 2, "{arguments:?}");
    }
}
