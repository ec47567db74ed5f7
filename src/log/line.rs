//! How a record becomes a line: its keys, in the interface's order, at most 7 KiB in all.
//!
//! In come a [`Record`] and its time, out go bytes at the end of a buffer, with the names of either format.
//!
//! **Invariant:** what is appended is one JSON object and one line feed, no longer than [`MAX_LINE`].

use std::time::SystemTime;

use jiff::fmt::temporal::DateTimePrinter;

use super::{
    Format,
    json::Object,
    keys::{self, Key},
    record::{Change, Config, Delivery, Endpoint, Event, Failure, Fate, Outcome, Process, Record},
};

/// Appends `record` to `lines`; where it is too long, with its longest texts cut as little as will do.
pub(super) fn append(lines: &mut Vec<u8>, format: Format, timestamp: &str, record: &Record<'_>) {
    match format {
        Format::Ecs => append_as::<true>(lines, timestamp, record),
        Format::Plain => append_as::<false>(lines, timestamp, record),
    }
}

fn append_as<const ECS: bool>(lines: &mut Vec<u8>, timestamp: &str, record: &Record<'_>) {
    let start = lines.len();
    write::<ECS>(lines, MAX_LINE, timestamp, record);
    if lines.len() - start <= MAX_LINE {
        return;
    }
    let mut write_within = |limit| {
        lines.truncate(start);
        write::<ECS>(lines, limit, timestamp, record);
        lines.len() - start <= MAX_LINE
    };
    let (mut fits, mut over) = (SMALLEST_LIMIT, MAX_LINE);
    while over - fits > 1 {
        let limit = fits.midpoint(over);
        if write_within(limit) {
            fits = limit;
        } else {
            over = limit;
        }
    }
    write_within(fits);
}

/// A clock's face: RFC 3339, UTC, microseconds. Only they are written anew within the same second.
pub struct Stamp {
    second: Option<u64>,
    text: [u8; 27],
}

impl Default for Stamp {
    fn default() -> Stamp {
        Stamp { second: None, text: *b"1970-01-01T00:00:00.000000Z" }
    }
}

impl Stamp {
    /// `now` as text. Years run from 1970 to 9999.
    pub fn at(&mut self, now: SystemTime) -> &str {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.turn_to(since.as_secs());
        }
        let mut micros = since.subsec_micros();
        for digit in self.text[20..26].iter_mut().rev() {
            *digit = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
        str::from_utf8(&self.text).unwrap_or_default()
    }

    fn turn_to(&mut self, second: u64) {
        let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
        let text = PRINTER.timestamp_to_string(&time.unwrap_or(jiff::Timestamp::MAX));
        if let Ok(text) = text.into_bytes().try_into() {
            self.text = text;
        }
        self.second = Some(second);
    }
}

/// A line whose texts take up `limit` bytes each, at most.
fn write<const ECS: bool>(lines: &mut Vec<u8>, limit: usize, timestamp: &str, record: &Record<'_>) {
    let mut line = Object::<ECS>::begin(lines, limit, timestamp);
    line.text(&keys::LEVEL, record.level());
    line.display(&keys::MESSAGE, record);
    if ECS {
        line.text(&keys::ECS_VERSION, keys::OF_ECS);
        line.text(&keys::SERVICE, keys::SIDEHOOK);
        line.text(&keys::DATASET, keys::DELIVERIES);
    }
    line.text(&keys::KIND, record.kind());
    line.text(&keys::OUTCOME, record.outcome());
    if ECS {
        line.text(&keys::ACTION, record.outcome());
        optional(&mut line, &keys::RESULT, record.result());
    }
    match record {
        Record::Config(Config::Loaded { changed }) => line.texts(&keys::CHANGED, changed),
        Record::Config(Config::Rejected { error }) => line.text(&keys::ERROR, error),
        Record::Delivery(delivery) => delivery_keys(&mut line, delivery),
        Record::Endpoint(endpoint) => endpoint_keys(&mut line, endpoint),
        Record::Event(event) => event_keys(&mut line, event),
        Record::Process(Process::Draining) => {}
        Record::Process(Process::LogLost { count }) => line.number(&keys::COUNT, *count),
        Record::Process(Process::Started { address }) => line.text(&keys::ADDRESS, address),
        Record::Process(Process::Stopped { pending }) => line.number(&keys::PENDING, *pending),
    }
    line.end();
}

fn delivery_keys<const ECS: bool>(line: &mut Object<'_, ECS>, delivery: &Delivery<'_>) {
    line.text(&keys::EVENT_ID, delivery.event_id);
    line.text(&keys::EVENT_TYPE, delivery.event_type);
    line.text(&keys::ENDPOINT, delivery.endpoint);
    if let Some(receiver) = &delivery.receiver {
        line.text(&keys::ENDPOINT_ID, receiver.id);
        line.text(&keys::METHOD, receiver.method);
        line.text(&keys::URL, receiver.url);
    }
    if delivery.attempt > 0 {
        line.number(&keys::ATTEMPT, delivery.attempt.into());
    }
    if let Some(receiver) = &delivery.receiver {
        line.number(&keys::MAX_ATTEMPTS, receiver.max_attempts.into());
    }
    let (http_status, duration) = match delivery.outcome {
        Outcome::Delivered { http_status, duration } => (Some(http_status), Some(duration)),
        Outcome::Failed { failure } | Outcome::Retrying { failure, .. } => (failure.http_status, failure.duration),
        Outcome::DeadLettered { .. } | Outcome::Dropped { .. } | Outcome::Filtered | Outcome::Pending | Outcome::Skipped => {
            (None, None)
        }
    };
    if let Some(http_status) = http_status {
        line.number(&keys::HTTP_STATUS, http_status.into());
    }
    if let Some(duration) = duration {
        match ECS {
            true => line.nanos(&keys::DURATION, duration),
            false => line.millis(&keys::DURATION, duration),
        }
    }
    if let Some(bytes) = delivery.bytes {
        line.number(&keys::BYTES, bytes as u64);
    }
    optional(line, &keys::TRACE_ID, delivery.trace_id);
    optional(line, &keys::BATCH_ID, delivery.batch.map(|batch| batch.id));
    outcome_keys(line, &delivery.outcome);
}

fn outcome_keys<const ECS: bool>(line: &mut Object<'_, ECS>, outcome: &Outcome<'_>) {
    match outcome {
        Outcome::DeadLettered { reason, error_code } | Outcome::Dropped { reason, error_code } => {
            line.text(&keys::REASON, reason);
            optional(line, &keys::ERROR_CODE, *error_code);
        }
        Outcome::Delivered { .. } | Outcome::Filtered | Outcome::Pending | Outcome::Skipped => {}
        Outcome::Failed { failure } => {
            error_keys(line, failure);
            line.text(&keys::CLASS, failure.class);
            optional(line, &keys::RESPONSE, failure.response);
        }
        Outcome::Retrying { failure, next_attempt } => {
            error_keys(line, failure);
            line.text(&keys::NEXT_ATTEMPT, Stamp::default().at(*next_attempt));
            optional(line, &keys::RESPONSE, failure.response);
        }
    }
}

fn error_keys<const ECS: bool>(line: &mut Object<'_, ECS>, failure: &Failure<'_>) {
    line.text(&keys::ERROR, failure.error);
    line.text(&keys::ERROR_CODE, failure.error_code);
}

fn endpoint_keys<const ECS: bool>(line: &mut Object<'_, ECS>, endpoint: &Endpoint<'_>) {
    line.text(&keys::ENDPOINT, endpoint.endpoint);
    line.text(&keys::ENDPOINT_ID, endpoint.endpoint_id);
    match endpoint.change {
        Change::Disabled { reason } | Change::Enabled { reason } => line.text(&keys::REASON, reason),
        Change::Paused { next_attempt, reason } => {
            line.text(&keys::NEXT_ATTEMPT, Stamp::default().at(next_attempt));
            line.text(&keys::REASON, reason);
        }
        Change::Resumed => {}
    }
}

fn event_keys<const ECS: bool>(line: &mut Object<'_, ECS>, event: &Event<'_>) {
    line.text(&keys::EVENT_ID, event.event_id);
    line.text(&keys::EVENT_TYPE, event.event_type);
    if let Fate::Accepted { endpoints } = event.fate {
        line.texts(&keys::ENDPOINTS, endpoints);
    }
    if let Fate::Filtered { route, error } = event.fate {
        line.text(&keys::ROUTE, route);
        line.text(&keys::ERROR, error);
    }
    optional(line, &keys::TRACE_ID, event.trace_id);
}

fn optional<const ECS: bool>(line: &mut Object<'_, ECS>, key: &Key, value: Option<&str>) {
    if let Some(value) = value {
        line.text(key, value);
    }
}

/// A line that is not cut, however long.
#[cfg(test)]
pub(super) fn whole(format: Format, timestamp: &str, record: &Record<'_>) -> String {
    let mut line = Vec::new();
    match format {
        Format::Ecs => write::<true>(&mut line, usize::MAX, timestamp, record),
        Format::Plain => write::<false>(&mut line, usize::MAX, timestamp, record),
    }
    String::from_utf8(line).unwrap_or_default()
}

/// Bytes, the line feed included: rsyslog cuts at 8 KiB, its own prefix included.
pub(super) const MAX_LINE: usize = 7 * 1024;
/// With every text cut to this a line is always short enough.
const SMALLEST_LIMIT: usize = 64;
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "a line is read as log shippers read it")]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::record::Receiver;
    use super::*;

    #[test]
    fn every_kind_of_line_is_written_as_the_interface_shows_it() {
        let failure = failure();
        let event = Event { fate: Fate::Unrouted, event_id: "evt_1", event_type: "a.b", trace_id: Some("4bf9") };
        let duplicate = Event { fate: Fate::Duplicate, ..event };
        let change = |change| Record::Endpoint(Endpoint { change, endpoint: "billing", endpoint_id: "app_1" });
        let next_attempt = at(1_000_000);
        let no_answer = Failure { http_status: None, response: None, ..failure };
        let full = Outcome::Dropped { reason: "queue_full", error_code: Some("queue_full") };
        let cases = [
            (
                Record::Config(Config::Loaded { changed: &["endpoints.billing", "routes"] }),
                "info",
                "config loaded",
                r#""kind":"config","outcome":"loaded","changed":["endpoints.billing","routes"]"#,
            ),
            (
                Record::Config(Config::Rejected { error: "line 3: no" }),
                "error",
                "config rejected, the running one stays",
                r#""kind":"config","outcome":"rejected","error":"line 3: no""#,
            ),
            (
                delivery(Outcome::Delivered { http_status: 200, duration: Duration::from_nanos(12_345_678) }),
                "info",
                "purchase.completed delivered to billing",
                r#""kind":"delivery","outcome":"delivered",DELIVERY"attempt":1,"max_attempts":4,"http_status":200,"duration_ms":12.345,"bytes":512,"trace_id":"4bf9""#,
            ),
            (
                delivery(Outcome::Retrying { failure, next_attempt }),
                "warn",
                "purchase.completed not delivered to billing (status_503), trying again",
                r#""kind":"delivery","outcome":"retrying",DELIVERY"attempt":1,"max_attempts":4,"http_status":503,"duration_ms":0.25,"bytes":512,"trace_id":"4bf9","error":"the receiver answered 503","error_code":"status_503","next_attempt":"1970-01-12T13:46:40.000000Z","response":"busy\n""#,
            ),
            (
                delivery(Outcome::Failed { failure: no_answer }),
                "error",
                "purchase.completed not delivered to billing (status_503)",
                r#""kind":"delivery","outcome":"failed",DELIVERY"attempt":1,"max_attempts":4,"duration_ms":0.25,"bytes":512,"trace_id":"4bf9","error":"the receiver answered 503","error_code":"status_503","class":"transient""#,
            ),
            (
                delivery(Outcome::DeadLettered { reason: "attempts", error_code: None }),
                "error",
                "purchase.completed for billing dead-lettered (attempts)",
                r#""kind":"delivery","outcome":"dead_lettered",DELIVERY"attempt":1,"max_attempts":4,"bytes":512,"trace_id":"4bf9","reason":"attempts""#,
            ),
            (
                delivery(full),
                "error",
                "purchase.completed for billing dropped (queue_full)",
                r#""kind":"delivery","outcome":"dropped",DELIVERY"attempt":1,"max_attempts":4,"bytes":512,"trace_id":"4bf9","reason":"queue_full","error_code":"queue_full""#,
            ),
            (
                delivery(Outcome::Pending),
                "info",
                "purchase.completed for billing kept for the next start",
                r#""kind":"delivery","outcome":"pending",DELIVERY"attempt":1,"max_attempts":4,"bytes":512,"trace_id":"4bf9""#,
            ),
            (
                untried(Outcome::Skipped),
                "info",
                "purchase.completed skipped, billing is not active",
                r#""kind":"delivery","outcome":"skipped",DELIVERY"max_attempts":4"#,
            ),
            (
                change(Change::Disabled { reason: "gone" }),
                "error",
                "endpoint billing disabled (gone)",
                r#""kind":"endpoint","outcome":"disabled","endpoint":"billing","endpoint_id":"app_1","reason":"gone""#,
            ),
            (
                change(Change::Enabled { reason: "settings" }),
                "info",
                "endpoint billing enabled (settings)",
                r#""kind":"endpoint","outcome":"enabled","endpoint":"billing","endpoint_id":"app_1","reason":"settings""#,
            ),
            (
                change(Change::Paused { next_attempt, reason: "tired" }),
                "warn",
                "endpoint billing paused (tired)",
                r#""kind":"endpoint","outcome":"paused","endpoint":"billing","endpoint_id":"app_1","next_attempt":"1970-01-12T13:46:40.000000Z","reason":"tired""#,
            ),
            (
                change(Change::Resumed),
                "info",
                "endpoint billing resumed",
                r#""kind":"endpoint","outcome":"resumed","endpoint":"billing","endpoint_id":"app_1""#,
            ),
            (
                Record::Event(Event { fate: Fate::Accepted { endpoints: &["billing", "shop"] }, ..event }),
                "info",
                "a.b accepted",
                r#""kind":"event","outcome":"accepted","event_id":"evt_1","event_type":"a.b","endpoints":["billing","shop"],"trace_id":"4bf9""#,
            ),
            (
                Record::Event(duplicate),
                "info",
                "a.b was accepted before",
                r#""kind":"event","outcome":"duplicate","event_id":"evt_1","event_type":"a.b","trace_id":"4bf9""#,
            ),
            (
                Record::Event(event),
                "info",
                "no route selects a.b",
                r#""kind":"event","outcome":"unrouted","event_id":"evt_1","event_type":"a.b","trace_id":"4bf9""#,
            ),
            (Record::Process(Process::Draining), "info", "sidehook is draining", r#""kind":"process","outcome":"draining""#),
            (
                Record::Process(Process::LogLost { count: 7 }),
                "error",
                "log lines that could not be written: 7",
                r#""kind":"process","outcome":"log_lost","count":7"#,
            ),
            (
                Record::Process(Process::Started { address: "127.0.0.1:7070" }),
                "info",
                concat!("sidehook ", env!("CARGO_PKG_VERSION"), " started on 127.0.0.1:7070"),
                r#""kind":"process","outcome":"started","address":"127.0.0.1:7070""#,
            ),
            (
                Record::Process(Process::Stopped { pending: 2 }),
                "info",
                "sidehook stopped, deliveries left pending: 2",
                r#""kind":"process","outcome":"stopped","pending":2"#,
            ),
        ];
        for (record, level, message, rest) in cases {
            let rest = rest.replace("DELIVERY", DELIVERY_KEYS);
            let expected = format!("{{\"timestamp\":\"{NOW}\",\"level\":\"{level}\",\"message\":\"{message}\",{rest}}}\n");
            assert_eq!(written(&record), expected);
        }
    }

    #[test]
    fn ecs_names_the_same_and_says_how_it_went() {
        let failure = failure();
        let cases = [
            (
                Record::Config(Config::Loaded { changed: &["routes"] }),
                r#""log.level":"info","message":"config loaded",HEAD"sidehook.kind":"config","sidehook.outcome":"loaded","event.action":"loaded","event.outcome":"success","sidehook.changed":["routes"]"#,
            ),
            (
                delivery(Outcome::Delivered { http_status: 200, duration: Duration::from_nanos(12_345_678) }),
                r#""log.level":"info","message":"purchase.completed delivered to billing",HEAD"sidehook.kind":"delivery","sidehook.outcome":"delivered","event.action":"delivered","event.outcome":"success",DELIVERY"http.response.status_code":200,"event.duration":12345678,"http.request.body.bytes":512,"trace.id":"4bf9""#,
            ),
            (
                delivery(Outcome::Failed { failure }),
                r#""log.level":"error","message":"purchase.completed not delivered to billing (status_503)",HEAD"sidehook.kind":"delivery","sidehook.outcome":"failed","event.action":"failed","event.outcome":"failure",DELIVERY"http.response.status_code":503,"event.duration":250000,"http.request.body.bytes":512,"trace.id":"4bf9","error.message":"the receiver answered 503","error.code":"status_503","sidehook.class":"transient","http.response.body.content":"busy\n""#,
            ),
            (
                Record::Endpoint(Endpoint {
                    change: Change::Disabled { reason: "gone" },
                    endpoint: "billing",
                    endpoint_id: "app_1",
                }),
                r#""log.level":"error","message":"endpoint billing disabled (gone)",HEAD"sidehook.kind":"endpoint","sidehook.outcome":"disabled","event.action":"disabled","sidehook.endpoint":"billing","sidehook.endpoint_id":"app_1","event.reason":"gone""#,
            ),
        ];
        for (record, rest) in cases {
            let rest = rest.replace("HEAD", ECS_HEAD).replace("DELIVERY", ECS_DELIVERY);
            let mut line = Vec::new();
            append(&mut line, Format::Ecs, NOW, &record);
            assert_eq!(String::from_utf8(line).unwrap(), format!("{{\"@timestamp\":\"{NOW}\",{rest}}}\n"));
        }
    }

    #[test]
    fn hostile_texts_stay_on_one_line_and_come_back_as_they_were() {
        for hostile in [
            "a\nb\r\n",
            "\u{1b}[2J",
            "\0\u{7f}",
            "\u{85}\u{9b}31m",
            "\u{2028}\u{2029}",
            "\u{202e}gpj.exe",
            "\"}\\",
            "ünï\u{1f600}",
        ] {
            let line = written(&retrying(hostile));
            let (body, end) = line.split_at(line.len() - 1);
            assert_eq!(end, "\n");
            assert!(
                !body.chars().any(|c| c.is_control() && c != '\u{7f}' || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}')),
                "{body:?}"
            );
            assert_eq!(parsed(body)["response"], hostile);
        }
    }

    #[test]
    fn a_line_just_short_enough_is_whole_and_one_byte_more_is_cut() {
        let least = written(&retrying("")).len();
        let whole = written(&retrying(&"x".repeat(MAX_LINE - least)));
        assert_eq!(whole.len(), MAX_LINE);
        assert_eq!(parsed(&whole).get("truncated"), None);
        let cut = written(&retrying(&"x".repeat(MAX_LINE - least + 1)));
        assert_eq!(cut.len(), MAX_LINE);
        assert_eq!(parsed(&cut)["truncated"], true);
    }

    #[test]
    fn a_long_list_is_cut_between_its_elements() {
        let names: Vec<String> = (0..2000).map(|number| format!("endpoints.e{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let line = parsed(&written(&Record::Config(Config::Loaded { changed: &names })));
        let kept = line["changed"].as_array().unwrap();
        assert!(kept.len() > 300 && kept.iter().zip(&names).all(|(kept, name)| kept == name));
        assert_eq!(line["truncated"], true);
    }

    #[test]
    fn an_element_too_long_for_any_line_is_left_out_with_those_behind_it() {
        let long = "x".repeat(MAX_LINE);
        for (names, kept) in [(&["a", &long, "b"][..], &["a"][..]), (&[&long], &[]), (&["a", "", "b"], &["a", "", "b"])] {
            let line = parsed(&written(&Record::Config(Config::Loaded { changed: names })));
            assert_eq!((&line["changed"], line.get("truncated").is_some()), (&serde_json::json!(kept), kept.len() < names.len()));
        }
    }

    #[test]
    fn the_stamp_follows_the_clock_in_both_directions() {
        let mut stamp = Stamp::default();
        for (micros, text) in [
            (1_795_375_313_123_456, "2026-11-22T19:21:53.123456Z"),
            (1_795_375_313_999_999, "2026-11-22T19:21:53.999999Z"),
            (1_795_375_314_000_000, "2026-11-22T19:21:54.000000Z"),
            (1_795_375_313_000_001, "2026-11-22T19:21:53.000001Z"),
            (0, "1970-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(stamp.at(SystemTime::UNIX_EPOCH + Duration::from_micros(micros)), text);
        }
        assert_eq!(stamp.at(at(1 << 50)), "9999-12-30T22:00:00.000000Z");
    }

    proptest! {
        #[test]
        fn a_line_is_json_of_at_most_7_kib_cut_at_characters(
            response in "(\\PC|[\\x00-\\x1f]|\u{2028}|ü|\u{1f600}){0,3000}",
            error in "(\\PC|\"|\n){0,3000}",
            before in 0..100_usize,
        ) {
            let failure = Failure { error: &error, response: Some(&response), ..failure() };
            let mut lines = vec![b'x'; before];
            append(&mut lines, Format::Plain, NOW, &delivery(Outcome::Failed { failure }));
            let line = str::from_utf8(&lines[before..]).unwrap();
            prop_assert!(line.len() <= MAX_LINE && line.ends_with(char::is_whitespace));
            let line = parsed(line);
            let (kept_error, kept_response) = (line["error"].as_str().unwrap(), line["response"].as_str().unwrap());
            prop_assert!(error.starts_with(kept_error) && response.starts_with(kept_response));
            let whole = kept_error == error && kept_response == response;
            prop_assert_eq!(line.get("truncated").is_none(), whole);
        }
    }

    fn written(record: &Record<'_>) -> String {
        let mut lines = Vec::new();
        append(&mut lines, Format::Plain, NOW, record);
        String::from_utf8(lines).unwrap()
    }

    fn parsed(line: &str) -> serde_json::Value {
        serde_json::from_str(line).unwrap()
    }

    fn delivery(outcome: Outcome<'_>) -> Record<'_> {
        Record::Delivery(Delivery {
            outcome,
            event_id: "evt_1",
            event_type: "purchase.completed",
            endpoint: "billing",
            receiver: Some(Receiver { id: "app_1", method: "POST", url: "https://b.example/hooks", max_attempts: 4 }),
            attempt: 1,
            bytes: Some(512),
            trace_id: Some("4bf9"),
            batch: None,
        })
    }

    fn untried(outcome: Outcome<'_>) -> Record<'_> {
        match delivery(outcome) {
            Record::Delivery(delivery) => Record::Delivery(Delivery { attempt: 0, bytes: None, trace_id: None, ..delivery }),
            other => other,
        }
    }

    fn retrying(response: &str) -> Record<'_> {
        delivery(Outcome::Retrying { failure: Failure { response: Some(response), ..failure() }, next_attempt: at(0) })
    }

    fn failure() -> Failure<'static> {
        Failure {
            class: "transient",
            error: "the receiver answered 503",
            error_code: "status_503",
            http_status: Some(503),
            duration: Some(Duration::from_micros(250)),
            response: Some("busy\n"),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const NOW: &str = "2026-11-22T19:21:53.123456Z";
    const ECS_HEAD: &str = r#""ecs.version":"8.11.0","service.name":"sidehook","event.dataset":"sidehook.deliveries","#;
    const ECS_DELIVERY: &str = r#""event.id":"evt_1","sidehook.event_type":"purchase.completed","sidehook.endpoint":"billing","sidehook.endpoint_id":"app_1","http.request.method":"POST","url.full":"https://b.example/hooks","sidehook.attempt":1,"sidehook.max_attempts":4,"#;
    const DELIVERY_KEYS: &str = r#""event_id":"evt_1","event_type":"purchase.completed","endpoint":"billing","endpoint_id":"app_1","method":"POST","url":"https://b.example/hooks","#;
}
