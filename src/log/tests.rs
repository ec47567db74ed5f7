//! The log as its callers see it: real files, pipes and threads.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{
    Destination, Log, Record, assert_valid,
    counters::RESULTS,
    record::{Batch, Delivery, Event, Failure, Fate, Outcome, Process, Receiver},
};

#[test]
fn a_line_is_in_the_file_soon_and_without_asking() {
    let (_folder, path) = place();
    let log = open(&path);
    let written = Instant::now();
    note(&log, "one");
    wait_for(|| names(&path) == ["one"]);
    assert!(written.elapsed() < Duration::from_millis(500), "{:?}", written.elapsed());
}

#[test]
fn a_renamed_file_gets_no_later_lines_and_none_is_lost_or_doubled() {
    let (_folder, path) = place();
    let log = open(&path);
    let mut expected = Vec::new();
    let mut files = Vec::new();
    for round in 0..5 {
        for line in 0..300 {
            expected.push(format!("{round}-{line}"));
            note(&log, &expected[expected.len() - 1]);
        }
        wait_for(|| names(&path).last() == expected.last());
        let old = path.with_extension(format!("{round}"));
        fs::rename(&path, &old).unwrap();
        files.push(old);
    }
    assert_eq!(close(&log), 0);
    let found: Vec<String> = files.iter().flat_map(|file| names(file)).collect();
    assert_eq!(found, expected);
    assert_eq!(names(&files[1]).len(), 300);
}

#[test]
fn a_file_renamed_under_load_loses_and_doubles_nothing() {
    let (_folder, path) = place();
    let log = open(&path);
    let writer = {
        let log = log.clone();
        thread::spawn(move || (0..10_000).for_each(|line| note(&log, &line.to_string())))
    };
    let mut files = Vec::new();
    while !writer.is_finished() {
        let old = path.with_extension(files.len().to_string());
        if fs::rename(&path, &old).is_ok() {
            files.push(old);
        }
        thread::yield_now();
    }
    writer.join().unwrap();
    assert_eq!(close(&log), 0);
    files.push(path);
    let found: Vec<String> = files.iter().filter(|file| file.exists()).flat_map(|file| names(file)).collect();
    assert!(
        found.iter().map(String::as_str).eq((0..10_000)
            .map(|line| line.to_string())
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str))
    );
}

#[tokio::test]
async fn a_receipt_comes_when_the_lines_are_in_the_file_and_does_not_wait_for_others() {
    let (_folder, path) = place();
    let log = open(&path);
    for round in 0..20 {
        let began = Instant::now();
        let name = round.to_string();
        assert!(first(&log, &[&name]).written().await);
        assert_eq!(names(&path).last(), Some(&name), "at once, and not soon");
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    let receipts: Vec<_> = (0..100).map(|line| first(&log, &[&format!("a{line}"), &format!("b{line}")])).collect();
    for receipt in receipts {
        assert!(receipt.written().await);
    }
    assert_eq!(names(&path).len(), 220);
}

#[tokio::test]
async fn lines_that_cannot_be_written_are_given_up_where_somebody_waits_and_kept_where_nobody_does() {
    let (folder, path) = place();
    let log = open(&path);
    // A name that is a folder cannot be opened, and the file it was is followed to it.
    fs::rename(&path, folder.path().join("old")).unwrap();
    fs::create_dir(&path).unwrap();
    for _ in 0..3 {
        assert!(!first(&log, &["refused"]).written().await);
    }
    note(&log, "kept");
    assert!(!first(&log, &["refused"]).written().await);
    fs::remove_dir(&path).unwrap();
    wait_for(|| names(&path) == ["kept"]);
    assert!(first(&log, &["written"]).written().await);
    assert_eq!((names(&path), close(&log)), (vec!["kept".to_owned(), "written".to_owned()], 0));
    assert!(!first(&log, &["late"]).written().await);
}

#[test]
fn a_deleted_file_is_made_again_with_its_folder() {
    let (folder, path) = place();
    let log = open(&path);
    note(&log, "one");
    wait_for(|| names(&path) == ["one"]);
    fs::remove_file(&path).unwrap();
    note(&log, "two");
    wait_for(|| path.exists() && names(&path) == ["two"]);
    fs::remove_dir_all(folder.path().join("logs")).unwrap();
    note(&log, "three");
    wait_for(|| path.exists() && names(&path) == ["three"]);
}

#[test]
fn reopening_makes_a_renamed_file_anew_also_when_the_log_was_idle() {
    let (_folder, path) = place();
    let log = open(&path);
    let old = path.with_extension("1");
    fs::rename(&path, &old).unwrap();
    log.reopen();
    note(&log, "one");
    wait_for(|| path.exists() && names(&path) == ["one"]);
    assert_eq!(fs::read_to_string(old).unwrap(), "");
}

#[test]
fn a_line_that_a_crash_cut_short_is_closed_first() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "{\"timest").unwrap();
    let log = open(&path);
    note(&log, "one");
    assert_eq!(close(&log), 0);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\"timest\n{\"timestamp\":"), "{text}");
}

#[test]
fn a_file_that_is_whole_is_continued_as_it_is() {
    let (_folder, path) = place();
    for name in ["one", "two"] {
        let log = open(&path);
        note(&log, name);
        assert_eq!(close(&log), 0);
    }
    assert_eq!(names(&path), ["one", "two"]);
}

#[test]
fn a_full_disk_keeps_what_fits_counts_the_rest_exactly_and_says_so_when_it_can() {
    let (_folder, path) = place();
    let log = Log::open(Destination::File("/dev/full".into())).unwrap();
    let written = 20_000;
    (0..written).for_each(|line| delivered(&log, &line.to_string()));
    let lost = log.lost();
    assert!(lost > 0 && lost < written, "{lost}");
    log.switch(Destination::File(path.clone())).unwrap();
    wait_for(|| path.exists() && lines(&path).iter().any(|line| line["outcome"] == "log_lost"));
    note(&log, "after");
    assert_eq!(close(&log), 0);
    let found = lines(&path);
    let kept: Vec<&str> =
        found.iter().filter(|line| line["kind"] == "delivery").map(|line| line["event_id"].as_str().unwrap()).collect();
    assert_eq!(kept, (0..written - lost).map(|line| line.to_string()).collect::<Vec<_>>());
    let reports: Vec<u64> =
        found.iter().filter(|line| line["outcome"] == "log_lost").map(|line| line["count"].as_u64().unwrap()).collect();
    assert_eq!(reports, [lost]);
    assert_eq!(found.last().unwrap()["event_type"], "after");
    assert!(fs::metadata(&path).unwrap().len() > 3 << 20);
}

#[test]
fn closing_on_a_full_disk_returns_every_line_as_lost() {
    let log = Log::open(Destination::File("/dev/full".into())).unwrap();
    (0..20_000).for_each(|line| delivered(&log, &line.to_string()));
    assert_eq!(close(&log), 20_000);
    assert_eq!(log.lost(), 20_000);
    note(&log, "too late");
    assert_eq!(log.lost(), 20_001);
}

#[test]
fn a_reader_that_stands_still_blocks_nobody_and_gets_a_report_when_it_goes_on() {
    let (reader, writer) = std::io::pipe().unwrap();
    let log = Log::open(Destination::File(format!("/dev/fd/{}", writer.as_raw_fd()).into())).unwrap();
    let began = Instant::now();
    let written = 30_000;
    (0..written).for_each(|line| delivered(&log, &line.to_string()));
    assert_eq!(log.counters().deliveries("billing", "delivered"), written);
    assert!(began.elapsed() < Duration::from_secs(20));
    let lost = log.lost();
    assert!(lost > 0);
    let mut kept = 0;
    for line in BufReader::new(reader).lines() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["outcome"] == "log_lost" {
            assert_eq!(line["count"], lost);
            break;
        }
        assert_eq!(line["event_id"], kept.to_string());
        kept += 1;
    }
    assert_eq!(kept + lost, written);
    assert_eq!(close(&log), 0);
}

#[test]
fn closing_never_waits_longer_than_its_deadline_and_counts_what_it_left() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let log = Log::open(Destination::File(format!("/dev/fd/{}", writer.as_raw_fd()).into())).unwrap();
    let written = 2_000;
    (0..written).for_each(|line| delivered(&log, &line.to_string()));
    let began = Instant::now();
    let lost = log.close(began + Duration::from_millis(200));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(lost > 0);
    let mut taken = vec![0; 64 * 1024];
    let count = reader.read(&mut taken).unwrap();
    let taken = taken[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!((written - taken..=written).contains(&lost), "{lost} lost, {taken} taken");
}

#[test]
fn many_writers_make_whole_lines_only() {
    let (_folder, path) = place();
    let log = open(&path);
    thread::scope(|scope| {
        for writer in 0..8 {
            let log = log.clone();
            scope.spawn(move || (0..500).for_each(|line| note(&log, &format!("{writer}-{line}"))));
        }
    });
    assert_eq!(close(&log), 0);
    let found = names(&path);
    for writer in 0..8 {
        let own: Vec<&String> = found.iter().filter(|name| name.starts_with(&format!("{writer}-"))).collect();
        assert_eq!(own, (0..500).map(|line| format!("{writer}-{line}")).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
    assert_eq!(found.len(), 4_000);
}

#[test]
fn a_switch_sends_later_lines_to_the_new_place_and_a_bad_one_changes_nothing() {
    let (folder, path) = place();
    let other = folder.path().join("other.jsonl");
    let log = open(&path);
    note(&log, "one");
    wait_for(|| names(&path) == ["one"]);
    assert!(log.switch(Destination::File(folder.path().into())).is_err());
    note(&log, "two");
    wait_for(|| names(&path) == ["one", "two"]);
    log.switch(Destination::File(other.clone())).unwrap();
    wait_for(|| {
        note(&log, "more");
        !names(&other).is_empty()
    });
    assert_eq!(close(&log), 0);
    assert_eq!(names(&path)[..2], ["one", "two"]);
}

#[test]
fn dropping_the_last_log_still_writes_what_it_holds() {
    let (_folder, path) = place();
    note(&open(&path), "one");
    wait_for(|| names(&path) == ["one"]);
}

#[test]
fn what_is_logged_is_counted_in_the_same_words() {
    let (_folder, path) = place();
    let log = open(&path);
    (0..3).for_each(|_| delivered(&log, "e"));
    log.write(SystemTime::now(), &Record::Process(Process::Started { address: "127.0.0.1:7070" }));
    let counters = log.counters();
    assert_eq!(counters.deliveries("billing", "delivered"), 3);
    assert_eq!(counters.deliveries("billing", "failed") + counters.deliveries("other", "delivered"), 0);
    assert_eq!((counters.others("process", "started"), counters.lost), (1, 0));
}

#[test]
fn a_request_is_counted_once_however_many_events_it_had_and_where_its_time_belongs() {
    let (_folder, path) = place();
    let log = open(&path);
    let write = |outcome, first| {
        let batch = Some(Batch { id: "bat_1", first });
        log.write(SystemTime::now(), &Record::Delivery(Delivery { outcome, batch, ..delivery("e") }));
    };
    for (class, micros) in [("transient", 1_000), ("transient", 1_001), ("permanent", 61_000_000)] {
        let duration = Some(Duration::from_micros(micros));
        let failure = Failure { error: "no", error_code: "timeout", class, http_status: None, duration, response: None };
        for first in [true, false, false] {
            write(Outcome::Failed { failure }, first);
        }
    }
    let failure =
        Failure { error: "no", error_code: "transform", class: "permanent", http_status: None, duration: None, response: None };
    write(Outcome::Failed { failure }, true);
    let counters = log.counters();
    let billing = counters.endpoint("billing").unwrap();
    assert_eq!(RESULTS.map(|result| billing.attempts(result)), [0, 1, 2]);
    assert_eq!((billing.deliveries("failed"), billing.durations.sum), (10, Duration::from_micros(61_002_001)));
    let counts = billing.durations.counts;
    assert_eq!((counts[0], counts[1], counts[counts.len() - 1], counts.iter().sum::<u64>()), (1, 1, 1, 3));
}

#[test]
fn of_an_endpoint_that_is_gone_nothing_is_kept() {
    let (_folder, path) = place();
    let log = open(&path);
    for endpoint in ["one", "two"] {
        log.write(SystemTime::now(), &Record::Delivery(Delivery { endpoint, ..delivery("e") }));
    }
    log.retain(|name| name == "one");
    let counters = log.counters();
    assert_eq!(["one", "two"].map(|name| counters.deliveries(name, "delivered")), [1, 0]);
    assert!(counters.endpoint("two").is_none());
}

pub(super) fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/deliveries.jsonl");
    (folder, path)
}

fn open(path: &Path) -> Log {
    Log::open(Destination::File(path.into())).unwrap()
}

pub(super) fn close(log: &Log) -> u64 {
    log.close(Instant::now() + Duration::from_secs(30))
}

fn first(log: &Log, names: &[&str]) -> super::Receipt {
    let fate = Fate::Accepted { endpoints: &[] };
    let event = |event_type| Record::Event(Event { fate, event_id: "evt_1", event_type, trace_id: None });
    let records: Vec<_> = names.iter().map(|name| event(*name)).collect();
    log.write_first(SystemTime::now(), &records)
}

pub(super) fn note(log: &Log, name: &str) {
    let event = Event { fate: Fate::Unrouted, event_id: "evt_1", event_type: name, trace_id: None };
    log.write(SystemTime::now(), &Record::Event(event));
}

fn delivered(log: &Log, event_id: &str) {
    log.write(SystemTime::now(), &Record::Delivery(delivery(event_id)));
}

fn delivery(event_id: &str) -> Delivery<'_> {
    Delivery {
        outcome: Outcome::Delivered { http_status: 200, duration: Duration::from_micros(12_345) },
        event_id,
        event_type: "purchase.completed",
        endpoint: "billing",
        receiver: Some(Receiver {
            id: "app_abcdefghijklmnopqrstuvwxyz",
            method: "POST",
            url: "https://billing.example.com/hooks",
            max_attempts: 12,
        }),
        attempt: 1,
        bytes: Some(512),
        trace_id: None,
        batch: None,
    }
}

fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The last line may be on its way while we look.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines: Vec<_> = whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Those that come by the thousand are alike.
    lines.iter().take(100).for_each(assert_valid);
    lines
}

pub(super) fn names(path: &Path) -> Vec<String> {
    lines(path).iter().map(|line| line["event_type"].as_str().unwrap().to_owned()).collect()
}

#[expect(clippy::disallowed_methods, reason = "there is no runtime here, and the log has a thread of its own")]
pub(super) fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        thread::sleep(Duration::from_millis(5));
    }
}
