use std::{
    fs,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::{
    super::{
        Addressee, Delivery, Directory, Letter,
        pending::{self, Entry, Leftover},
    },
    TIME, account, event, letter, mode, parcel, slot, text,
};
use crate::{
    endpoint::Endpoint,
    event::{Event, Trace},
    retry::{ErrorCode, Reason},
};

/// Everything a pending line says of a delivery, for comparing.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    endpoint: String,
    attempts: u32,
    accepted: SystemTime,
    event: (String, String, String, i64, Option<String>, String),
    trace: Option<Trace>,
    body: Option<(String, String, bool)>,
    failed: Option<(Reason, Option<ErrorCode>)>,
}

impl Told {
    fn new(entry: &Entry) -> Told {
        let event = entry.prepared.event.view();
        let body = entry.prepared.bodies.first().map(|body| {
            let text = String::from_utf8(body.bytes.to_vec()).unwrap();
            (text, body.content_type.to_str().unwrap().to_owned(), body.is_alone)
        });
        Told {
            endpoint: entry.endpoint.to_string(),
            attempts: entry.attempts,
            accepted: entry.accepted,
            event: (
                event.id.to_owned(),
                event.event_type.to_owned(),
                event.time.text.to_owned(),
                event.time.unix_seconds,
                event.context.map(str::to_owned),
                event.data.to_owned(),
            ),
            trace: event.trace.cloned(),
            body,
            failed: entry.failed,
        }
    }
}

fn directory() -> (tempfile::TempDir, Directory) {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::open(&folder.path().join("state")).unwrap();
    (folder, directory)
}

fn delivery(event: &Event<'_>, body: (&str, &'static str), attempts: u32, accepted: SystemTime) -> Leftover {
    let (account, mut share) = account();
    let parcel = parcel(event, Some(body), accepted);
    Leftover::Delivery(Arc::new(Endpoint::example()), Delivery::new(parcel, 0, attempts, slot(&account, &mut share)))
}

fn write(directory: &Directory, leftovers: &[Leftover]) {
    pending::write(directory, leftovers, SystemTime::now()).unwrap();
}

fn taken_up(directory: &Directory) -> Vec<Told> {
    let mut told = Vec::new();
    pending::take_up(directory, |entry| told.push(Told::new(&entry))).unwrap();
    told
}

/// Accepted at this many milliseconds after 2026-11-22T19:21:53Z.
fn accepted(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_375_313_000 + millis)
}

#[test]
fn a_delivery_comes_back_with_all_it_had() {
    let trace = Trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some("a=1,b=\"2\""));
    let deep = format!("{}1.0{}", "[".repeat(127), "]".repeat(127));
    let cases = [
        (None, r#"{"n": 1.0}"#, None, r#"{"data":{"n": 1.0}}"#, "application/json"),
        (Some("{\"a\": [1e400]}"), "null", trace.as_ref(), "null", "application/json"),
        (Some("\"\""), "\"é \u{1f600}\u{2028} \\u00e9 \\\" \\\\\"", None, "é\u{1f600}\"\\\u{2028}", "text/plain; charset=utf-8"),
        (Some("[ ]"), "1", trace.as_ref(), "<?xml version=\"1.0\"?><n a=\"&#9;\">&lt;\u{fffd}</n>", "application/xml"),
        (None, "[12345678901234567890]", None, "a%5B%5D=1+2&b=", "application/x-www-form-urlencoded"),
        (None, &deep, None, "", "application/json"),
    ];
    let (_folder, directory) = directory();
    let leftovers: Vec<_> = cases
        .iter()
        .zip(0..)
        .map(|((context, data, trace, body, content_type), n)| {
            let event = Event { context: *context, trace: *trace, ..event("e-1", data) };
            delivery(&event, (body, content_type), n, accepted(n.into()))
        })
        .collect();
    write(&directory, &leftovers);
    assert_eq!(mode(&directory.pending()), 0o600);
    let wanted: Vec<_> = cases
        .iter()
        .zip(0..)
        .map(|((context, data, trace, body, content_type), n)| Told {
            endpoint: "hook".to_owned(),
            attempts: n,
            accepted: accepted(n.into()),
            event: (
                "e-1".to_owned(),
                "a.b".to_owned(),
                TIME.text.to_owned(),
                TIME.unix_seconds,
                context.map(str::to_owned),
                (*data).to_owned(),
            ),
            trace: trace.cloned(),
            body: Some(((*body).to_owned(), (*content_type).to_owned(), *content_type != "application/json")),
            failed: None,
        })
        .collect();
    assert_eq!(taken_up(&directory), wanted);
    assert!(!directory.pending().exists() && !directory.damaged().exists());
}

#[test]
fn a_letter_comes_back_with_its_reason_and_no_body() {
    let reasons = [
        (Reason::Attempts, Some(ErrorCode::Timeout)),
        (Reason::Disabled, Some(ErrorCode::Disabled)),
        (Reason::EndpointRemoved, None),
        (Reason::MaxAge, Some(ErrorCode::ConnectTimeout)),
        (Reason::Permanent, Some(ErrorCode::Status(404))),
        (Reason::QueueFull, Some(ErrorCode::QueueFull)),
    ];
    let (_folder, directory) = directory();
    let known = Addressee::Known(Arc::new(Endpoint::example()));
    let letters = reasons.map(|(reason, error_code)| {
        let event = Event { context: Some("[1.0]"), ..event("e-1", "{}") };
        Leftover::Letter(Letter { reason, error_code, to: known.clone(), ..letter(&event) })
    });
    write(&directory, &letters);
    let told = taken_up(&directory);
    assert_eq!(told.iter().map(|told| told.failed).collect::<Vec<_>>(), reasons.map(Some));
    let (event, body) = (&told[0].event, &told[0].body);
    assert_eq!((event.4.as_deref(), event.5.as_str(), body, told[0].attempts), (Some("[1.0]"), "{}", &None, 3));
}

#[test]
fn line_breaks_in_the_event_become_spaces_and_the_body_keeps_them() {
    let (_folder, directory) = directory();
    write(
        &directory,
        &[delivery(&event("e-1", "{\r\n\"a\":\n1}"), ("{\"data\":{\r\n\"a\":\n1}}", "application/json"), 0, accepted(0))],
    );
    let told = taken_up(&directory);
    assert_eq!(told[0].event.5, "{  \"a\": 1}");
    assert_eq!(told[0].body.as_ref().unwrap().0, "{\"data\":{\r\n\"a\":\n1}}");
}

#[test]
fn data_that_stands_in_the_body_is_held_once() {
    let (_folder, directory) = directory();
    let data = format!("\"{}\"", "x".repeat(100_000));
    let body = format!("{{\"data\":{data}}}");
    write(&directory, &[delivery(&event("e-1", &data), (&body, "application/json"), 0, accepted(0))]);
    let mut footprints = Vec::new();
    pending::take_up(&directory, |entry| footprints.push(entry.prepared.footprint())).unwrap();
    assert!((100_000..102_000).contains(&footprints[0]), "{footprints:?}");
}

#[test]
fn what_is_written_later_is_added_also_after_a_torn_line() {
    let (_folder, directory) = directory();
    let one = |id| [delivery(&event(id, "1"), ("1", "application/json"), 0, accepted(0))];
    write(&directory, &one("e-1"));
    let half = text(&directory.pending())[..50].to_owned();
    fs::write(directory.pending(), text(&directory.pending()) + &half).unwrap();
    write(&directory, &one("e-2"));
    let ids: Vec<_> = taken_up(&directory).into_iter().map(|told| told.event.0).collect();
    assert_eq!((ids, text(&directory.damaged())), (vec!["e-1".to_owned(), "e-2".to_owned()], half + "\n"));
    assert_eq!(mode(&directory.damaged()), 0o600);
}

#[test]
fn without_a_file_there_is_nothing_to_take_up() {
    let (_folder, directory) = directory();
    assert!(taken_up(&directory).is_empty());
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let (_folder, directory) = directory();
    fs::create_dir(directory.pending()).unwrap();
    assert!(pending::write(&directory, &[], SystemTime::now()).is_err());
}

#[test]
fn lines_that_are_json_but_no_delivery_are_set_aside() {
    let (_folder, directory) = directory();
    write(&directory, &[delivery(&event("e-1", "1"), ("1", "application/json"), 0, accepted(0))]);
    let good = text(&directory.pending());
    let wrong = [
        ("\"id\":\"e-1\"", "\"id\":\"e 1\""),
        ("\"type\":\"a.b\"", "\"type\":\"\""),
        ("\"time\":\"2016", "\"time\":\"20x6"),
        ("\"content_type\":\"application/json\",", ""),
        ("application/json", "application\\njson"),
        ("\"body\":\"1\",", ""),
        ("\"attempts\":0", "\"attempts\":-1"),
        ("\"event\":", "\"reason\":\"whim\",\"event\":"),
        ("\"event\":", "\"reason\":\"attempts\",\"error_code\":\"whim\",\"event\":"),
    ];
    let lines: String = wrong.iter().map(|(right, wrong)| good.replacen(right, wrong, 1)).collect();
    assert!(lines.lines().all(|line| line != good.trim_end()));
    fs::write(directory.pending(), format!("{lines}{good}")).unwrap();
    assert_eq!((taken_up(&directory).len(), text(&directory.damaged())), (1, lines));
}

/// A file of some lines of all kinds, and what they say.
fn a_file(directory: &Directory) -> (Vec<u8>, Vec<Told>) {
    let leftovers = [
        delivery(&event("e-1", r#"{"n": 1.0}"#), (r#"{"data":{"n": 1.0}}"#, "application/json"), 3, accepted(1)),
        delivery(&Event { context: Some("{}"), ..event("e-2", "\"é\"") }, ("<a>é</a>", "application/xml"), 0, accepted(2)),
        Leftover::Letter(letter(&event("e-3", "[null]"))),
        delivery(&event("e-4", "4"), ("4", "application/json"), 11, accepted(4)),
    ];
    write(directory, &leftovers);
    let bytes = fs::read(directory.pending()).unwrap();
    let told = taken_up(directory);
    (bytes, told)
}

/// Where each line stands, its line feed included.
fn places(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut start = 0;
    let place = |line: &[u8]| {
        start += line.len();
        start - line.len()..start
    };
    bytes.split_inclusive(|byte| *byte == b'\n').map(place).collect()
}

/// Takes up `bytes`, and asserts that every line of them is taken up or set aside as it stands, and the `unharmed` ones
/// (of those that `told` tells of) are taken up.
fn assert_nothing_is_lost(bytes: &[u8], directory: &Directory, unharmed: &[Told]) -> Result<(), TestCaseError> {
    fs::write(directory.pending(), bytes).unwrap();
    let found = taken_up(directory);
    prop_assert!(!directory.pending().exists());
    for told in unharmed {
        prop_assert!(found.contains(told), "{:?} is not in {:?}", told, found);
    }
    let aside = fs::read(directory.damaged()).unwrap_or_default();
    let aside: Vec<_> = aside.split_inclusive(|byte| *byte == b'\n').map(|line| line.trim_ascii_end().to_owned()).collect();
    let lines: Vec<_> = places(bytes).into_iter().map(|place| bytes[place].trim_ascii_end().to_owned()).collect();
    prop_assert_eq!(found.len() + aside.len(), lines.len());
    prop_assert!(aside.iter().all(|line| lines.contains(line)));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_changed_byte_harms_only_its_own_line(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let (_folder, directory) = directory();
        let (mut bytes, told) = a_file(&directory);
        let at = at.index(bytes.len());
        let places = places(&bytes);
        // A line feed is the end of one line and keeps the next apart.
        let harmed = |place: &Range<usize>| place.contains(&at) || (place.start == at + 1);
        let unharmed: Vec<_> = told.into_iter().zip(&places).filter(|(_, place)| !harmed(place)).map(|(told, _)| told).collect();
        prop_assert!(unharmed.len() >= 2);
        bytes[at] ^= change;
        assert_nothing_is_lost(&bytes, &directory, &unharmed)?;
    }

    #[test]
    fn a_file_cut_short_harms_only_the_line_that_was_cut(at in any::<prop::sample::Index>()) {
        let (_folder, directory) = directory();
        let (mut bytes, told) = a_file(&directory);
        let at = at.index(bytes.len());
        let whole = places(&bytes).iter().filter(|place| place.end <= at).count();
        bytes.truncate(at);
        assert_nothing_is_lost(&bytes, &directory, &told[..whole])?;
    }

    #[test]
    fn nothing_that_stands_in_the_file_brings_the_start_down(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_folder, directory) = directory();
        assert_nothing_is_lost(&bytes, &directory, &[])?;
    }
}

#[test]
fn an_error_midway_leaves_the_file_as_it_was() {
    let (_folder, directory) = directory();
    write(&directory, &[delivery(&event("e-1", "1"), ("1", "application/json"), 0, accepted(0))]);
    let before = text(&directory.pending());
    // More than is written at once stands before what cannot be written.
    let long = format!("\"{}\"", "x".repeat(200 << 10));
    let leftovers = [
        delivery(&event("e-2", &long), (&long, "application/json"), 0, accepted(0)),
        delivery(&event("e-3", "no JSON"), ("", "application/json"), 0, accepted(0)),
    ];
    assert!(pending::write(&directory, &leftovers, SystemTime::now()).is_err());
    assert_eq!(text(&directory.pending()), before);
}
