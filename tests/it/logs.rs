//! `sidehook logs`: what is asked of a log, found in all its files, or as it comes.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
    process::Stdio,
    time::Instant,
};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::support::{LIMIT, LOOK_EVERY, Process, Receiver, Sidecar, everything_to, run, sidehook};

/// A line of a delivery at 19:00 and so many seconds.
fn line(second: u32, endpoint: &str, outcome: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-11-22T19:00:{second:02}.000000Z","level":"info","message":"m","kind":"delivery","outcome":"{outcome}","event_id":"e{second}","event_type":"order.n{second}","endpoint":"{endpoint}","trace_id":"t{second}","batch_id":"b{second}"}}"#
    ) + "\n"
}

fn ecs(second: u32, endpoint: &str, outcome: &str) -> String {
    format!(
        r#"{{"@timestamp":"2026-11-22T19:00:{second:02}.000000Z","log.level":"info","message":"m","ecs.version":"8.11.0","sidehook.kind":"delivery","sidehook.outcome":"{outcome}","event.id":"e{second}","sidehook.event_type":"order.n{second}","sidehook.endpoint":"{endpoint}"}}"#
    ) + "\n"
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A folder with these files, and a config whose log is `deliveries.jsonl` in it.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = "[log]\ndeliveries = \"deliveries.jsonl\"\n".to_owned() + &everything_to(&[("a", "http://127.0.0.1:9/", "")]);
    fs::write(folder.path().join("sidehook.toml"), config).unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// Three files of one log, from the oldest to the one that is written.
fn three() -> (TempDir, [String; 4]) {
    let lines = [line(1, "a", "delivered"), ecs(2, "b", "failed"), line(3, "a", "failed"), line(4, "b", "delivered")];
    let [one, two, three, four] = &lines;
    let folder = folder(&[
        ("deliveries.jsonl", four.as_bytes()),
        ("deliveries.jsonl.1", three.as_bytes()),
        ("deliveries-20261122T192153.123456Z.jsonl.gz", &zipped(&(one.clone() + two))),
    ]);
    (folder, lines)
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn the_configs_log_is_read_with_its_rotated_files_in_order() {
    let (folder, lines) = three();
    let all = lines.concat();
    for arguments in [&["logs", "--format", "jsonl"][..], &["logs", "deliveries.jsonl", "--format", "jsonl"]] {
        let said = run(folder.path(), arguments).await;
        assert_eq!((said.code, &*said.stdout, &*said.stderr), (0, &*all, ""));
    }
    let named = ["logs", "deliveries.jsonl.1", "deliveries-20261122T192153.123456Z.jsonl.gz", "--format", "jsonl"];
    assert_eq!(run(folder.path(), &named).await.stdout, lines[..3].concat());
}

#[tokio::test]
async fn filters_find_lines_of_both_formats() {
    let (folder, lines) = three();
    for (filters, found) in [
        (&["--endpoint", "a"][..], vec![0, 2]),
        (&["--endpoint", "a", "--endpoint", "b"], vec![0, 1, 2, 3]),
        (&["--outcome", "failed", "--endpoint", "b"], vec![1]),
        (&["--event", "order.*", "--event", "!order.n2"], vec![0, 2, 3]),
        (&["--event", "order.n1", "--event", "**.n4"], vec![0, 3]),
        (&["--event-id", "e3"], vec![2]),
        (&["--trace-id", "t1"], vec![0]),
        (&["--batch-id", "b4"], vec![3]),
        (&["--since", "2026-11-22T19:00:02Z"], vec![1, 2, 3]),
        (&["--since", "2026-11-22T19:00:02Z", "--until", "2026-11-22T20:00:04+01:00"], vec![1, 2]),
        (&["--since", "2026-11-23"], vec![]),
        (&["--until", "2026-11-23", "--endpoint", "nobody"], vec![]),
    ] {
        let said = run(folder.path(), &[&["logs", "--format", "jsonl"], filters].concat()).await;
        let expected: String = found.into_iter().map(|nth: usize| &*lines[nth]).collect();
        assert_eq!((said.code, said.stdout, &*said.stderr), (0, expected, ""), "{filters:?}");
    }
}

#[tokio::test]
async fn wrong_usage_says_what_is_right() {
    let (folder, _) = three();
    fs::write(folder.path().join("stdout.toml"), everything_to(&[("a", "http://127.0.0.1:9/", "")])).unwrap();
    for (arguments, code, word) in [
        (&["--outcome", "faild"][..], 2, "dead_lettered"),
        (&["--event", "a*"], 2, "whole segments"),
        (&["--since", "yesterday"], 2, "15m"),
        (&["--since", "2026-11-22", "--until", "2026-11-22"], 2, "later"),
        (&["--format", "pdf", "--stats"], 2, "jsonl"),
        (&["--font", "x.ttf"], 2, "pdf"),
        (&["--follow", "deliveries.jsonl", "deliveries.jsonl.1"], 2, "one log"),
        (&["--output", "deliveries.jsonl.1"], 2, "one of the files"),
        (&["--config", "stdout.toml"], 2, "- for stdin"),
        (&["--config", "missing.toml"], 3, "missing.toml"),
        (&["missing.jsonl"], 1, "missing.jsonl"),
        (&["."], 1, "folder"),
    ] {
        let format = if arguments.contains(&"--format") { &[][..] } else { &["--format", "jsonl"] };
        let said = run(folder.path(), &[&["logs"], format, arguments].concat()).await;
        assert!(said.code == code && said.stderr.contains(word), "{arguments:?}: {} {}", said.code, said.stderr);
        assert_eq!(said.stdout, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn stdin_is_a_log_as_well_zipped_or_not() {
    let folder = folder(&[("plain", line(1, "a", "failed").as_bytes()), ("zipped", &zipped(&line(1, "a", "failed")))]);
    for name in ["plain", "zipped"] {
        let mut command = sidehook(folder.path(), &["logs", "-", "--format", "jsonl", "--endpoint", "a"]);
        command.stdin(File::open(folder.path().join(name)).unwrap());
        let output = Process::start(&mut command).ended().await;
        assert_eq!(String::from_utf8(output.stdout).unwrap(), line(1, "a", "failed"), "{name}");
    }
}

#[tokio::test]
async fn lines_from_a_pipe_are_told_as_they_come() {
    let folder = folder(&[]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let process = Process::start(sidehook(folder.path(), &["logs", "-", "--format", "jsonl"]).stdin(reader));
    for second in 1..4 {
        writer.write_all(line(second, "a", "delivered").as_bytes()).unwrap();
        printed(&process, &(1..=second).map(|second| line(second, "a", "delivered")).collect::<String>()).await;
    }
    drop(writer);
    assert_eq!(process.exit_status().await.code(), Some(0));
}

#[tokio::test]
async fn what_is_damaged_cut_or_foreign_is_told_and_the_rest_is_read() {
    let whole = line(2, "a", "failed");
    let cut = &zipped(&(1..200).map(|n| line(n % 60, &format!("e{n}"), "delivered")).collect::<String>());
    let folder = folder(&[
        ("deliveries.jsonl", format!("{}\n{}\0\n{whole}", &whole[..50], &whole[..whole.len() - 1]).as_bytes()),
        ("deliveries.jsonl.2.gz", &cut[..cut.len() - 40]),
    ]);
    let said = run(folder.path(), &["logs", "--format", "jsonl"]).await;
    assert!(said.code == 0 && said.stdout.ends_with(&whole) && said.stdout.lines().count() > 100, "{}", said.stderr);
    assert!(said.stderr.contains("deliveries.jsonl.2.gz is cut off"), "{}", said.stderr);
    assert!(said.stderr.contains("3 damaged lines"), "{}", said.stderr);
    fs::write(folder.path().join("deliveries.jsonl.3.zst"), b"\x28\xb5\x2f\xfd...").unwrap();
    let said = run(folder.path(), &["logs", "--format", "jsonl", "--endpoint", "a"]).await;
    assert!(said.code == 1 && said.stderr.contains("zstd -dc") && said.stdout == whole, "{}", said.stderr);
    let said = run(folder.path(), &["logs", "deliveries.jsonl.3.zst", "--format", "jsonl"]).await;
    assert!(said.code == 1 && said.stderr.contains("error: ") && said.stderr.contains("zstd -dc"), "{}", said.stderr);
}

#[tokio::test]
async fn an_output_file_is_there_once_it_is_whole() {
    let (folder, lines) = three();
    fs::write(folder.path().join("out"), "old").unwrap();
    for name in ["out", "new"] {
        let said = run(folder.path(), &["logs", "--format", "jsonl", "--output", name]).await;
        assert_eq!((said.code, &*said.stdout, &*said.stderr), (0, "", ""));
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), lines.concat());
    }
}

#[tokio::test]
async fn an_interrupt_leaves_no_half_of_an_output_file() {
    let folder = folder(&[("out", b"old")]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let arguments = ["logs", "-", "--format", "jsonl", "--output", "out"];
    let mut child = sidehook(folder.path(), &arguments).stdin(reader).stderr(Stdio::piped()).spawn().unwrap();
    let there = || fs::read_dir(folder.path()).unwrap().count();
    let before = there();
    writer.write_all(line(1, "a", "delivered").as_bytes()).unwrap();
    let since = Instant::now();
    while there() == before {
        assert!(since.elapsed() < LIMIT, "it does not begin");
        sleep(LOOK_EVERY).await;
    }
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    // It looks up when something comes.
    while child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < LIMIT, "it goes on");
        let _closed = writer.write_all(line(2, "a", "delivered").as_bytes());
        sleep(LOOK_EVERY).await;
    }
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("interrupted: out is not written"), "{told}");
    assert_eq!((there(), &*fs::read_to_string(folder.path().join("out")).unwrap()), (before, "old"));
}

#[tokio::test]
async fn who_has_seen_enough_ends_it() {
    let lines: String = (0..10_000).map(|n| line(n % 60, "a", "delivered")).collect();
    let folder = folder(&[("deliveries.jsonl", lines.as_bytes())]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = sidehook(folder.path(), &["logs", "--format", "jsonl"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""));
    // Also where no line comes that could not be written.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = sidehook(folder.path(), &["logs", "--format", "jsonl", "--follow", "--endpoint", "nobody"]);
    let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().unwrap();
    drop((command, reader));
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < LIMIT, "it goes on for nobody");
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until `process` has printed just `text`.
async fn printed(process: &Process, text: &str) {
    let waited = async {
        while process.printed().len() < text.len() {
            sleep(LOOK_EVERY).await;
        }
    };
    let _late = timeout(LIMIT, waited).await;
    assert_eq!(process.printed(), text, "{}", process.complained());
}

#[tokio::test]
async fn what_comes_is_followed_through_rotations_until_an_interrupt() {
    let (folder, lines) = three();
    let log = folder.path().join("deliveries.jsonl");
    let process = Process::start(&mut sidehook(folder.path(), &["logs", "--format", "jsonl", "--follow", "--endpoint", "a"]));
    let mut expected = lines[0].clone() + &lines[2];
    printed(&process, &expected).await;
    for second in 5..20 {
        let (wanted, other) = (line(second, "a", "delivered"), line(second, "b", "delivered"));
        append(&log, &(other + &wanted));
        expected += &wanted;
        match second % 5 {
            0 => fs::rename(&log, folder.path().join(format!("deliveries.jsonl-202611{second:02}"))).unwrap(),
            1 => {
                fs::copy(&log, folder.path().join(format!("deliveries.jsonl-202611{second:02}"))).unwrap();
                OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
            }
            2 => printed(&process, &expected).await,
            _ => {}
        }
    }
    printed(&process, &expected).await;
    process.signal("INT");
    let output = process.ended().await;
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""));
}

#[tokio::test]
async fn a_log_to_come_is_waited_for() {
    let folder = folder(&[]);
    let process = Process::start(&mut sidehook(folder.path(), &["logs", "--format", "jsonl", "--follow"]));
    let waiting = async {
        while !process.complained().contains("waiting for") {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(LIMIT, waiting).await.expect("it says that it waits");
    append(&folder.path().join("deliveries.jsonl"), &line(1, "a", "delivered"));
    printed(&process, &line(1, "a", "delivered")).await;
    process.signal("TERM");
    assert_eq!(process.exit_status().await.code(), Some(0));
}

#[tokio::test]
async fn a_sidecars_own_log_answers_what_became_of_an_event() {
    let receiver = Receiver::replying([500, 200]).await;
    let sidecar = Sidecar::start(&everything_to(&[("hook", &receiver.url(), "retry = { delay = \"1ms\" }")])).await;
    sidecar.event(r#"{"type": "order.created", "data": 1}"#).await;
    sidecar.logged("delivered", 1).await;
    let log = sidecar.log_file();
    let said = run(sidecar.dir(), &["logs", log.to_str().unwrap(), "--format", "jsonl", "--event", "order.*"]).await;
    let outcomes: Vec<serde_json::Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<&str> = outcomes.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!((outcomes, &*said.stderr), (vec!["retrying", "delivered"], ""));
}
