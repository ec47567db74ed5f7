//! `sidehook replay`: dead letters posted again, and none lost on the way.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Process, Receiver, Sidecar, closed_port, everything_to, json_lines, lines, run, sidehook};

/// A dead letter's line, without its end.
fn letter(endpoint: &str, id: &str, at: &str) -> String {
    format!(
        r#"{{"timestamp":"{at}","endpoint":"{endpoint}","reason":"attempts","error_code":"timeout","attempts":3,"event":{{"type":"a.b","id":"{id}","time":"2026-11-22T19:00:00Z","data":{{"n": 1.0}}}}}}"#
    )
}

fn dead(id: &str) -> String {
    letter("hook", id, "2026-11-22T19:00:00.000000Z")
}

/// A folder with these lines in `dead.jsonl`.
fn folder(lines: &[String]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    (folder, path)
}

fn aside(folder: &Path) -> PathBuf {
    folder.join("dead.jsonl.replaying")
}

#[tokio::test]
async fn every_letter_is_posted_to_its_endpoint_with_its_event_as_it_is() {
    let sidecar = Receiver::replying([202]).await;
    let (folder, path) = folder(&[dead("one"), letter("other", "two", "2026-11-22T19:00:00Z")]);
    let said = run(folder.path(), &["replay", "dead.jsonl", "--to", &sidecar.url()]).await;
    assert_eq!((said.code, &*said.stdout, &*said.stderr), (0, "2 accepted\n", ""));
    let [one, two] = &sidecar.received(2).await[..] else { panic!("two requests") };
    assert_eq!((&*one.path, &*two.path), ("/endpoints/hook/events", "/endpoints/other/events"));
    assert_eq!(one.text(), r#"{"type":"a.b","id":"one","time":"2026-11-22T19:00:00Z","data":{"n": 1.0}}"#);
    assert_eq!(one.header("content-type"), "application/json");
    assert!(!path.exists() && !aside(folder.path()).exists());
}

#[tokio::test]
async fn what_is_not_answered_202_goes_back_word_for_word() {
    let sidecar = Receiver::replying([202, 409, 202]).await.with_body("{\"code\":\"endpoint_disabled\"}");
    let damaged = "{\"timestamp\":\"2026".to_owned();
    let (folder, path) = folder(&[dead("one"), dead("two"), damaged.clone(), dead("three")]);
    let said = run(folder.path(), &["replay", "dead.jsonl", "--to", &sidecar.url()]).await;
    let told = "2 accepted, 2 put back: 1 damaged, 1 refused with 409 endpoint_disabled\n";
    assert_eq!((said.code, &*said.stdout), (1, told), "{}", said.stderr);
    assert_eq!(lines(&path), [dead("two"), damaged]);
    assert_eq!(crate::support::mode(&path), 0o600);
    assert!(!aside(folder.path()).exists());
}

#[tokio::test]
async fn what_was_left_over_goes_first() {
    let sidecar = Receiver::replying([202]).await;
    let (folder, _) = folder(&[dead("new")]);
    fs::write(aside(folder.path()), dead("old")).unwrap();
    let said = run(folder.path(), &["replay", "dead.jsonl", "--to", &sidecar.url(), "--json"]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let told: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&told["accepted"], &told["unsent"]), (&2.into(), &0.into()));
    let posted: Vec<Value> = sidecar.received(2).await.iter().map(|r| serde_json::from_slice(&r.body).unwrap()).collect();
    assert_eq!((&posted[0]["id"], &posted[1]["id"]), (&"old".into(), &"new".into()));
    assert!(!aside(folder.path()).exists());
}

#[tokio::test]
async fn a_full_queue_is_waited_out_as_long_as_it_asks() {
    let sidecar = Receiver::replying([429, 202]).await.with_header("retry-after", "1");
    let (folder, path) = folder(&[dead("one")]);
    let said = run(folder.path(), &["replay", "dead.jsonl", "--to", &sidecar.url()]).await;
    assert_eq!((said.code, &*said.stdout), (0, "1 accepted\n"), "{}", said.stderr);
    let requests = sidecar.received(2).await;
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(950));
    assert_eq!(requests[0].body, requests[1].body);
    assert!(!path.exists());
}

#[tokio::test]
async fn an_interrupt_puts_back_what_was_not_accepted() {
    let sidecar = Receiver::replying([202, 429]).await.with_header("retry-after", "60");
    let (folder, path) = folder(&[dead("one"), dead("two"), dead("three")]);
    let process = Process::start(&mut sidehook(folder.path(), &["replay", "dead.jsonl", "--to", &sidecar.url()]));
    sidecar.received(2).await;
    // The sidecar has gone on giving up in a new file.
    fs::write(&path, dead("four") + "\n").unwrap();
    process.signal("INT");
    let output = process.ended().await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), &*told), (Some(1), "1 accepted, 2 put back: 2 not sent\n"));
    assert_eq!(lines(&path), [dead("four"), dead("two"), dead("three")]);
    assert!(!aside(folder.path()).exists());
}

#[tokio::test]
async fn one_that_was_killed_leaves_every_line_to_the_next() {
    let sidecar = Receiver::replying([202, 429]).await.with_header("retry-after", "60");
    let all = [dead("one"), dead("two"), dead("three")];
    let (folder, path) = folder(&all);
    let process = Process::start(&mut sidehook(folder.path(), &["replay", "dead.jsonl", "--to", &sidecar.url()]));
    sidecar.received(2).await;
    process.signal("KILL");
    process.exit_status().await;
    assert_eq!(lines(&aside(folder.path())), all);
    fs::write(&path, dead("four") + "\n").unwrap();
    sidecar.now_replying([202]);
    let said = run(folder.path(), &["replay", "dead.jsonl", "--to", &sidecar.url()]).await;
    assert_eq!((said.code, &*said.stdout), (0, "4 accepted\n"), "{}", said.stderr);
    assert!(!path.exists() && !aside(folder.path()).exists());
}

#[tokio::test]
async fn without_a_sidecar_or_the_right_token_everything_stays() {
    let refusing = Receiver::replying([401]).await.with_body("{\"code\":\"unauthorized\"}");
    for (to, why) in [(closed_port(), "no sidecar at"), (refusing.url(), "401 unauthorized")] {
        let (folder, path) = folder(&[dead("one"), dead("two")]);
        let said = run(folder.path(), &["replay", "dead.jsonl", "--to", &to]).await;
        assert!(said.code == 1 && said.stderr.contains(why), "{}", said.stderr);
        assert_eq!(said.stdout, "0 accepted, 2 put back: 2 not sent\n");
        assert_eq!(lines(&path), [dead("one"), dead("two")]);
    }
    assert_eq!(refusing.received(1).await.len(), 1);
}

#[tokio::test]
async fn filters_select_and_what_they_do_not_select_goes_back() {
    let sidecar = Receiver::replying([202]).await;
    let (early, late) = ("2026-11-21T19:00:00Z", "2026-11-22T19:00:00Z");
    let all = [letter("hook", "1", early), letter("hook", "2", late), letter("other", "3", late)];
    let (folder, path) = folder(&all);
    let filters = ["--endpoint", "hook", "--since", "2026-11-22T00:00:00Z"];
    let said = run(folder.path(), &[&["replay", "dead.jsonl", "--to", &sidecar.url()], &filters[..]].concat()).await;
    assert_eq!((said.code, &*said.stdout), (0, "1 accepted, 2 put back: 2 not selected\n"), "{}", said.stderr);
    assert_eq!(lines(&path), [all[0].clone(), all[2].clone()]);
}

#[tokio::test]
async fn a_dry_run_shows_what_would_be_posted_and_changes_nothing() {
    let (folder, path) = folder(&[dead("one"), letter("other", "two", "2026-11-22T19:00:00Z")]);
    let before = fs::read(&path).unwrap();
    let said = run(folder.path(), &["replay", "dead.jsonl", "--dry-run", "--endpoint", "hook"]).await;
    assert_eq!((said.code, &*said.stdout), (0, "2026-11-22T19:00:00.000000Z  hook  attempts  a.b  one\n"));
    assert_eq!(said.stderr, "1 of 2 dead letters would be posted\n");
    let said = run(folder.path(), &["replay", "dead.jsonl", "--dry-run", "--json"]).await;
    let shown: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((shown.len(), &shown[1]["event_id"], &shown[1]["endpoint"]), (2, &"two".into(), &"other".into()));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!aside(folder.path()).exists());
}

#[tokio::test]
async fn a_rate_spreads_the_posts_evenly() {
    let sidecar = Receiver::replying([202]).await;
    let (folder, _) = folder(&[dead("one"), dead("two"), dead("three")]);
    let said = run(folder.path(), &["replay", "dead.jsonl", "--rate", "10/s", "--to", &sidecar.url()]).await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let at: Vec<_> = sidecar.received(3).await.iter().map(|request| request.at).collect();
    assert!(at.windows(2).all(|two| two[1] - two[0] >= Duration::from_millis(90)), "{at:?}");
}

#[tokio::test]
async fn a_second_replay_of_the_same_file_does_nothing() {
    let sidecar = Receiver::replying([429]).await.with_header("retry-after", "60");
    let (folder, path) = folder(&[dead("one")]);
    let first = Process::start(&mut sidehook(folder.path(), &["replay", "dead.jsonl", "--to", &sidecar.url()]));
    sidecar.received(1).await;
    fs::write(&path, dead("two") + "\n").unwrap();
    let second = run(folder.path(), &["replay", "dead.jsonl", "--to", &sidecar.url()]).await;
    assert!(second.code == 1 && second.stderr.contains("under way"), "{}", second.stderr);
    assert_eq!(json_lines(&path).len(), 1);
    first.signal("TERM");
    assert_eq!(first.exit_status().await.code(), Some(1));
    assert_eq!(lines(&path), [dead("two"), dead("one")]);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["replay", "nowhere"][..], &["replay", "nowhere", "--dry-run"]] {
        let said = run(folder.path(), arguments).await;
        assert!(said.code == 1 && said.stderr.contains("nowhere"), "{arguments:?}: {}", said.stderr);
    }
    assert_eq!(run(folder.path(), &["replay", "x", "--rate", "fast"]).await.code, 2);
}

#[tokio::test]
async fn what_was_accepted_at_its_largest_is_accepted_again() {
    let receiver = Receiver::replying([400]).await;
    let small = "[listen]\nmax_body = \"64KiB\"\n";
    let sidecar = Sidecar::start(&(everything_to(&[("hook", &receiver.url(), "envelope = \"none\"")]) + small)).await;
    let text = |around: usize| format!("\"{}\"", "x".repeat((64 << 10) - around - 2));
    let typed = format!("/events/{}", "a".repeat(255));
    sidecar.post(&typed, "application/json", text(0)).await.accepted();
    let around = r#"{"type":"a","data":}"#.len();
    sidecar.event(format!(r#"{{"type":"a","data":{}}}"#, text(around))).await.accepted();
    let backslashes = "\\".repeat(15 << 10);
    let headers = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-type", "a"),
        ("ce-source", "/s"),
        ("ce-ext", &backslashes),
    ];
    sidecar.request("POST", "/events", &headers, text(0)).await.accepted();
    let bare = r#"{"specversion":"1.0","id":"2","type":"a","source":"/s","data":}"#.len();
    let structured = format!(r#"{{"specversion":"1.0","id":"2","type":"a","source":"/s","data":{}}}"#, text(bare));
    sidecar.post("/events", "application/cloudevents+json", structured).await.accepted();
    sidecar.logged("dead_lettered", 4).await;
    receiver.now_replying([200]);
    let to = format!("http://{}", sidecar.address());
    let said = run(sidecar.dir(), &["replay", "state/dead_letters.jsonl", "--to", &to]).await;
    assert_eq!((said.code, &*said.stdout), (0, "4 accepted\n"), "{}", said.stderr);
    let bodies: Vec<_> = receiver.received(8).await.iter().map(|request| request.body.clone()).collect();
    let mut sizes: [Vec<usize>; 2] = [&bodies[..4], &bodies[4..]].map(|bodies| bodies.iter().map(|body| body.len()).collect());
    sizes.iter_mut().for_each(|sizes| sizes.sort_unstable());
    assert_eq!(sizes[0], sizes[1]);
}

#[tokio::test]
async fn what_has_become_too_large_says_which_key_to_raise() {
    let sidecar = Sidecar::start(&(everything_to(&[("hook", &closed_port(), "")]) + "[listen]\nmax_body = \"4KiB\"\n")).await;
    let large = dead("one").replace("1.0", &format!("\"{}\"", "x".repeat(64 << 10)));
    let (folder, path) = folder(std::slice::from_ref(&large));
    let said = run(folder.path(), &["replay", "dead.jsonl", "--to", &format!("http://{}", sidecar.address())]).await;
    let told = "refused with 413 payload_too_large: the body is larger than listen.max_body, 4096 bytes\n";
    assert!(said.code == 1 && said.stdout.ends_with(told), "{}{}", said.stdout, said.stderr);
    assert_eq!(lines(&path), [large]);
}
