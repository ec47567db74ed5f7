//! The schema, held against what is written; and what is written, against what was to be.

use std::{
    collections::HashSet,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use jsonschema::Validator;
use proptest::{prelude::*, sample::Index};
use serde_json::{Value, json};

use super::*;
use crate::{
    log::{
        line::{self, MAX_LINE},
        record::{Batch, Change, Config, Delivery, Endpoint, Event, Failure, Fate, Outcome, Process, Receiver, Record},
    },
    retry::{ErrorCode, Reason},
    screen::misleads,
};

/// Panics where a line of the log is not valid, in whichever format.
#[track_caller]
pub(crate) fn assert_valid(line: &Value) {
    let format = if line.get("@timestamp").is_some() { Format::Ecs } else { Format::Plain };
    assert!(validator(format).is_valid(line), "not valid by `sidehook schema --log`: {line}");
}

#[test]
fn the_schema_is_one_and_describes_every_key() {
    for format in FORMATS {
        let schema: Value = serde_json::from_str(&schema(format).unwrap()).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        for (name, property) in schema["properties"].as_object().unwrap() {
            assert!(property["description"].as_str().is_some_and(|about| !about.is_empty()), "{name}");
        }
        let titles: HashSet<&str> =
            schema["oneOf"].as_array().unwrap().iter().map(|line| line["title"].as_str().unwrap()).collect();
        assert_eq!(titles.len(), SHAPES.len());
    }
}

#[test]
fn names_are_unique() {
    for format in FORMATS {
        let names: Vec<_> = KEYS.iter().filter_map(|key| key.name(format)).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }
}

#[test]
fn the_words_of_codes_and_reasons_are_those_that_are_made() {
    for code in ERROR_CODES {
        assert!(ErrorCode::from_word(code).is_some(), "{code}");
    }
    let dead = |reason: &str, code: &str| {
        json!({
            "timestamp": NOW, "level": "error", "message": "", "kind": "delivery", "outcome": "dead_lettered",
            "event_id": "e", "event_type": "t", "endpoint": "a", "reason": reason, "error_code": code,
        })
    };
    for reason in Reason::ALL {
        for code in ErrorCode::ALL.into_iter().chain([ErrorCode::Status(503)]) {
            assert_valid(&dead(reason.as_str(), &code.as_str()));
        }
    }
    for (reason, code) in [("whim", "dns"), ("attempts", "whim"), ("attempts", "status_20"), ("attempts", "status_2000")] {
        assert!(!validator(Format::Plain).is_valid(&dead(reason, code)), "{reason} {code}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_becomes_one_valid_line_that_is_cut_where_it_says_so(texts in texts(), numbers in numbers()) {
        let names: Vec<&str> = texts.names.iter().map(String::as_str).collect();
        for (shape, format) in SHAPES.iter().flat_map(|shape| FORMATS.map(|format| (shape, format))) {
            let record = filled(&shape.record, &texts, &names, &numbers);
            let line = written(format, &record);
            prop_assert!(line.len() <= MAX_LINE && line.find('\n') == Some(line.len() - 1), "{line}");
            let split = |character| matches!(character, '\u{2028}' | '\u{2029}');
            prop_assert!(!line.trim_end().chars().any(|character| misleads(character) || split(character)), "{line:?}");
            let first = if format == Format::Ecs { "{\"@timestamp\":\"" } else { "{\"timestamp\":\"" };
            prop_assert!(line.starts_with(first));
            let value: Value = serde_json::from_str(&line).unwrap();
            if texts.are_formed {
                prop_assert!(validator(format).is_valid(&value), "{line}");
            }
            let whole: Value = serde_json::from_str(&line::whole(format, NOW, &record)).unwrap();
            let (value, whole) = (value.as_object().unwrap(), whole.as_object().unwrap());
            let mark = TRUNCATED.name(format).unwrap();
            prop_assert!(value.keys().filter(|name| *name != mark).eq(whole.keys()), "{line}");
            prop_assert!(whole.iter().all(|(name, whole)| begins(whole, &value[name])), "{line}");
            let is_cut = whole.iter().any(|(name, whole)| value[name] != *whole);
            prop_assert_eq!(value.get(mark), is_cut.then_some(&json!(true)));
        }
    }

    #[test]
    fn a_line_with_a_key_too_many_too_few_or_wrongly_filled_is_refused(
        texts in texts().prop_filter("ids as they are", |texts| texts.are_formed),
        numbers in numbers(),
        nth in any::<Index>(),
    ) {
        let names: Vec<&str> = texts.names.iter().map(String::as_str).collect();
        let record = filled(&nth.get(&SHAPES).record, &texts, &names, &numbers);
        for format in FORMATS {
            let line: Value = serde_json::from_str(&written(format, &record)).unwrap();
            let but = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
                let mut line = line.clone();
                change(line.as_object_mut().unwrap());
                validator(format).is_valid(&line)
            };
            prop_assert!(!but(&|line| drop(line.insert("more".into(), json!(1)))));
            for (name, value) in line.as_object().unwrap() {
                let key = KEYS.iter().find(|key| key.name(format) == Some(name)).unwrap();
                let may_lack = MAY_LACK.contains(&key.plain) || lacks_where_removed(&record, key.plain);
                prop_assert_eq!(but(&|line| drop(line.remove(name))), may_lack, "without {} in {}", name, line);
                for wrong in [json!(null), json!(false), json!({}), json!(-1), json!(0.5), json!([1])] {
                    let fits = key.plain == "duration_ms" && format == Format::Plain && wrong == json!(0.5);
                    prop_assert_eq!(but(&|line| drop(line.insert(name.clone(), wrong.clone()))), fits, "{} {}", name, wrong);
                }
                if value.is_number() || value.is_boolean() || value.is_array() || !FREE.contains(&key.plain) {
                    prop_assert!(!but(&|line| drop(line.insert(name.clone(), json!("no such word")))), "{} in {}", name, line);
                }
            }
        }
    }
}

/// Keys that a line of some kind can be without.
const MAY_LACK: &[&str] = &["trace_id", "batch_id", "response", "truncated"];

/// Whether a line of this outcome can be without what it has here.
fn lacks_where_removed(record: &Record<'_>, key: &str) -> bool {
    let Record::Delivery(delivery) = record else { return false };
    let receiver = ["endpoint_id", "method", "url", "max_attempts"];
    let of_sent = ["attempt", "bytes", "duration_ms", "http_status"];
    match delivery.outcome {
        Outcome::DeadLettered { .. } | Outcome::Dropped { .. } => {
            receiver.contains(&key) || of_sent.contains(&key) || key == "error_code"
        }
        Outcome::Failed { .. } => of_sent.contains(&key),
        Outcome::Pending => receiver.contains(&key) || of_sent.contains(&key),
        Outcome::Retrying { .. } => key == "http_status",
        Outcome::Delivered { .. } | Outcome::Filtered | Outcome::Skipped => false,
    }
}

/// Keys that may say anything.
const FREE: &[&str] = &["message", "url", "error", "response", "reason", "route", "address"];

/// The texts of a record.
#[derive(Debug)]
struct Texts {
    /// Event id, event type, endpoint, endpoint id: as they can be.
    ids: [String; 4],
    are_formed: bool,
    /// Error, response, reason, URL, and what else may be anything.
    free: [String; 4],
    names: Vec<String>,
    trace_id: Option<String>,
    batch_id: Option<String>,
}

#[derive(Debug)]
struct Numbers {
    attempt: u32,
    status: Option<u16>,
    duration: Duration,
    bytes: usize,
    count: u64,
    is_removed: bool,
    is_sent: bool,
}

fn texts() -> impl Strategy<Value = Texts> {
    let formed = ["[!-~]{1,255}", "[A-Za-z0-9._:/-]{1,255}", "[A-Za-z0-9_-]{1,64}", "[!-~]{1,255}"];
    let ids = prop_oneof![
        3 => formed.map(|form| form.boxed()).prop_map(|ids| (ids, true)),
        1 => [hostile(), hostile(), hostile(), hostile()].prop_map(|ids| (ids, false)),
    ];
    let free = [hostile(), hostile(), hostile(), hostile()];
    let names = (proptest::collection::vec(hostile(), 0..5), 1..100_usize);
    let trace_id = proptest::option::of("[0-9a-f]{32}");
    let batch_id = proptest::option::of("bat_[0-9a-f]{32}");
    (ids, free, names, trace_id, batch_id).prop_map(|((ids, are_formed), free, (names, times), trace_id, batch_id)| {
        let length = names.len() * times;
        Texts { ids, are_formed, free, names: names.into_iter().cycle().take(length).collect(), trace_id, batch_id }
    })
}

/// Empty, short or long; with what a terminal obeys, a reader splits at, JSON escapes, or takes several bytes.
fn hostile() -> BoxedStrategy<String> {
    let piece = "(\\PC|[\\x00-\\x1f\\x7f-\\x9f]|[\u{2028}\u{2029}\u{202e}\u{200b}\u{301}\u{fffd}é\u{1f600}\"\\\\]|[a-z]{8}|\r\n|\u{1b}\\[31m){0,12}";
    (piece, prop_oneof![3 => Just(1_usize), 1 => 1..800_usize]).prop_map(|(piece, times)| piece.repeat(times)).boxed()
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let duration = (0..100_000_u64, 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos));
    let status = proptest::option::of(100..1000_u16);
    (1..u32::MAX, status, duration, any::<usize>(), 1..u64::MAX, any::<[bool; 2]>()).prop_map(
        |(attempt, status, duration, bytes, count, [is_removed, is_sent])| Numbers {
            attempt,
            status,
            duration,
            bytes: bytes >> 16,
            count,
            is_removed,
            is_sent,
        },
    )
}

/// A record of the same kind and outcome as `of`, as its makers make it.
fn filled<'a>(of: &Record<'_>, texts: &'a Texts, names: &'a [&'a str], numbers: &Numbers) -> Record<'a> {
    let [event_id, event_type, endpoint, endpoint_id] = texts.ids.each_ref().map(String::as_str);
    let [error, response, reason, _] = texts.free.each_ref().map(String::as_str);
    let trace_id = texts.trace_id.as_deref();
    let next_attempt = SystemTime::UNIX_EPOCH + numbers.duration;
    match of {
        Record::Config(Config::Loaded { .. }) => Record::Config(Config::Loaded { changed: names }),
        Record::Config(Config::Rejected { .. }) => Record::Config(Config::Rejected { error }),
        Record::Delivery(Delivery { outcome, .. }) => Record::Delivery(delivery(outcome, texts, numbers)),
        Record::Endpoint(Endpoint { change, .. }) => {
            let change = match change {
                Change::Disabled { .. } => Change::Disabled { reason },
                Change::Enabled { .. } => Change::Enabled { reason },
                Change::Paused { .. } => Change::Paused { next_attempt, reason },
                Change::Resumed => Change::Resumed,
            };
            Record::Endpoint(Endpoint { change, endpoint, endpoint_id })
        }
        Record::Event(Event { fate, .. }) => {
            let fate = match fate {
                Fate::Accepted { .. } => Fate::Accepted { endpoints: names },
                Fate::Duplicate => Fate::Duplicate,
                Fate::Filtered { .. } => Fate::Filtered { route: response, error },
                Fate::Unrouted => Fate::Unrouted,
            };
            Record::Event(Event { fate, event_id, event_type, trace_id })
        }
        Record::Process(Process::Draining) => Record::Process(Process::Draining),
        Record::Process(Process::LogLost { .. }) => Record::Process(Process::LogLost { count: numbers.count }),
        Record::Process(Process::Started { .. }) => Record::Process(Process::Started { address: response }),
        Record::Process(Process::Stopped { .. }) => Record::Process(Process::Stopped { pending: numbers.count }),
    }
}

fn delivery<'a>(of: &Outcome<'_>, texts: &'a Texts, numbers: &Numbers) -> Delivery<'a> {
    let [event_id, event_type, endpoint, id] = texts.ids.each_ref().map(String::as_str);
    let [error, response, _, url] = texts.free.each_ref().map(String::as_str);
    let Numbers { attempt, status, duration, bytes, is_removed, is_sent, .. } = *numbers;
    let error_code = Some("status_503").filter(|_| is_sent);
    let failure = |sent| Failure {
        error,
        error_code: if is_removed { "dns" } else { "status_999" },
        class: if is_removed { "transient" } else { "permanent" },
        http_status: status.filter(|_| sent),
        duration: Some(duration).filter(|_| sent),
        response: Some(response).filter(|_| sent && status.is_some()),
    };
    let (outcome, is_known, is_sent, may_batch) = match of {
        Outcome::DeadLettered { .. } => (Outcome::DeadLettered { reason: "attempts", error_code }, !is_removed, false, false),
        Outcome::Delivered { .. } => (Outcome::Delivered { http_status: status.unwrap_or(200), duration }, true, true, true),
        Outcome::Dropped { .. } => (Outcome::Dropped { reason: "shutdown", error_code }, !is_removed, is_sent, false),
        Outcome::Failed { .. } => (Outcome::Failed { failure: failure(is_sent) }, true, is_sent, is_sent),
        Outcome::Filtered => (Outcome::Filtered, true, false, false),
        Outcome::Pending => (Outcome::Pending, !is_removed, is_sent, false),
        Outcome::Retrying { .. } => {
            let next_attempt = SystemTime::UNIX_EPOCH + duration;
            (Outcome::Retrying { failure: failure(true), next_attempt }, true, true, true)
        }
        Outcome::Skipped => (Outcome::Skipped, true, false, false),
    };
    let receiver = Receiver { id, method: "PUT", url, max_attempts: attempt };
    let batch = texts.batch_id.as_deref().filter(|_| may_batch).map(|id| Batch { id, first: true });
    Delivery {
        outcome,
        event_id,
        event_type,
        endpoint,
        receiver: Some(receiver).filter(|_| is_known),
        attempt: if is_sent { attempt } else { 0 },
        bytes: Some(bytes).filter(|_| is_sent),
        trace_id: texts.trace_id.as_deref(),
        batch,
    }
}

fn written(format: Format, record: &Record<'_>) -> String {
    let mut lines = Vec::new();
    line::append(&mut lines, format, NOW, record);
    String::from_utf8(lines).unwrap()
}

/// Whether a value is what is left of `whole` where that was cut.
fn begins(whole: &Value, value: &Value) -> bool {
    match (whole, value) {
        (Value::String(whole), Value::String(value)) => whole.starts_with(value.as_str()),
        (Value::Array(whole), Value::Array(value)) => whole.starts_with(value),
        _ => whole == value,
    }
}

fn validator(format: Format) -> &'static Validator {
    static VALIDATORS: LazyLock<[Validator; 2]> = LazyLock::new(|| {
        FORMATS.map(|format| jsonschema::draft202012::new(&serde_json::from_str(&schema(format).unwrap()).unwrap()).unwrap())
    });
    let [ecs, plain] = &*VALIDATORS;
    if format == Format::Ecs { ecs } else { plain }
}

const FORMATS: [Format; 2] = [Format::Ecs, Format::Plain];
const NOW: &str = "2026-11-22T19:21:53.123456Z";
