//! The reader as a whole, held against what anybody would make of the same files.

use std::{fs, io::Write, ops::Range};

use flate2::{Compression, write::GzEncoder};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::{Condition, Field, Filter, Scan, open, scan::tests::Found};

/// A line as it may stand in a log, whether anybody can read it or not.
#[derive(Clone, Debug)]
struct Line {
    text: Vec<u8>,
    second: u32,
}

const NAMES: [&str; 6] = ["billing", "crm", "a", "a\"b", "日本", "bill/ing"];

fn line() -> impl Strategy<Value = (u8, usize, usize, String)> {
    (0..12_u8, 0..NAMES.len(), 0..NAMES.len(), "\\PC{0,20}")
}

/// The `nth` line: most are ours, in one of the formats, some are somebody's, and some are damaged.
fn written(nth: u32, (form, endpoint, outcome, message): &(u8, usize, usize, String)) -> Line {
    let timestamp = format!("2026-11-22T19:{:02}:{:02}.000000Z", nth / 60, nth % 60);
    let (endpoint, outcome) = (NAMES[*endpoint], NAMES[*outcome]);
    let plain = json!({"endpoint": endpoint, "message": message, "outcome": outcome});
    let ecs = json!({"message": message, "sidehook.endpoint": endpoint, "sidehook.outcome": outcome});
    let ours = |key: &str, rest: &Value| format!("{{\"{key}\":\"{timestamp}\",{}", &rest.to_string()[1..]);
    let text = match form {
        0 => ours("timestamp", &plain)[..30].into(),
        1 => [ours("timestamp", &plain).as_bytes(), b"\xff"].concat(),
        2 => Vec::new(),
        3 => format!("{{ \"endpoint\": {}, \"timestamp\": \"{timestamp}\" }}", json!(endpoint)).into(),
        4 => format!("{{\"timestamp\":\"{timestamp}\",\"message\":{}}}", json!(endpoint)).into(),
        5..8 => ours("@timestamp", &ecs).into(),
        _ => ours("timestamp", &plain).into(),
    };
    Line { text, second: nth }
}

/// What is wanted, plainly.
#[derive(Clone, Debug)]
struct Wanted {
    endpoints: Vec<&'static str>,
    outcomes: Vec<&'static str>,
    seconds: Option<Range<u32>>,
}

impl Wanted {
    fn filter(&self) -> Filter {
        let at =
            |second: u32| (jiff::Timestamp::constant(1_795_374_000, 0) + jiff::SignedDuration::from_secs(second.into())).into();
        let (since, until) = self.seconds.clone().map(|seconds| (at(seconds.start), at(seconds.end))).unzip();
        let mut filter = Filter::default().between(since, until);
        let fields: [(&[&str], Field); 2] =
            [(&self.endpoints, |entry| entry.endpoint.as_deref()), (&self.outcomes, |entry| entry.outcome.as_deref())];
        for (values, field) in fields.into_iter().filter(|(values, _)| !values.is_empty()) {
            filter = filter.and(Condition::one_of(field, values.iter().map(|value| (*value).to_owned()).collect()));
        }
        filter
    }

    fn includes(&self, line: &Line) -> bool {
        let Ok(tree) = serde_json::from_slice::<Value>(&line.text) else { return false };
        let one_of = |values: &[&str], keys: [&str; 2]| {
            let value = keys.iter().find_map(|key| tree.get(key)).and_then(Value::as_str);
            values.is_empty() || value.is_some_and(|value| values.contains(&value))
        };
        one_of(&self.endpoints, ["endpoint", "sidehook.endpoint"])
            && one_of(&self.outcomes, ["outcome", "sidehook.outcome"])
            && self.seconds.as_ref().is_none_or(|seconds| seconds.contains(&line.second))
    }
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let values = || proptest::collection::vec(select(&NAMES[..]), 0..3);
    let seconds = proptest::option::of((0..150_u32, 0..150_u32).prop_map(|(one, other)| one.min(other)..one.max(other) + 1));
    (values(), values(), seconds).prop_map(|(endpoints, outcomes, seconds)| Wanted { endpoints, outcomes, seconds })
}

/// The file's bytes, zipped in one or several members.
fn zipped(content: &[u8], members: usize) -> Vec<u8> {
    let pieces = content.chunks(content.len().div_ceil(members).max(1));
    let zip = |piece: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(piece).unwrap();
        encoder.finish().unwrap()
    };
    pieces.flat_map(zip).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn what_is_found_is_what_a_plain_search_finds(
        forms in proptest::collection::vec(line(), 1..150),
        // Lines of each file, and how it is kept.
        cuts in proptest::collection::vec((1..40_usize, 0..3_usize), 0..6),
        wanted in wanted(),
    ) {
        let lines: Vec<Line> = (0..).zip(&forms).map(|(nth, form)| written(nth, form)).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut rest = &lines[..];
        for (nth, (length, members)) in cuts.iter().enumerate() {
            let (file, later) = rest.split_at((*length).min(rest.len()));
            let content: Vec<u8> = file.iter().flat_map(|line| [&line.text[..], b"\n"].concat()).collect();
            let name = match members {
                0 => format!("deliveries.jsonl.{}", cuts.len() - nth),
                _ => format!("deliveries-202611{:02}.jsonl.gz", nth + 1),
            };
            fs::write(folder.path().join(name), if *members == 0 { content } else { zipped(&content, *members) }).unwrap();
            rest = later;
        }
        let log = folder.path().join("deliveries.jsonl");
        fs::write(&log, rest.iter().flat_map(|line| [&line.text[..], b"\n"].concat()).collect::<Vec<u8>>()).unwrap();
        let (filter, mut found) = (wanted.filter(), Found::default());
        let mut scan = Scan::new(&filter);
        for source in &open(&[log]).sources {
            scan.all(source, &mut found).unwrap();
        }
        let expected = lines.iter().filter(|line| wanted.includes(line));
        let mut expected: Vec<&str> = expected.map(|line| str::from_utf8(&line.text).unwrap()).collect();
        let mut found: Vec<&str> = found.0.lines().collect();
        // A file without a line that tells its time is anywhere.
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
    }
}
