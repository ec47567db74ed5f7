use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    super::{Addressee, DeadLetters, Full, Letter, Place},
    account, event, letter, mode, slot, text, wait_for,
};
use crate::{
    endpoint::Endpoint,
    event::Event,
    log::{self, Destination, Log},
    retry::Reason,
};

/// The store, in a folder whose state part may be missing.
struct Store {
    folder: TempDir,
    path: PathBuf,
    log: Log,
    letters: DeadLetters,
}

impl Store {
    fn start(max_bytes: u64) -> Store {
        let store = Store::without_a_folder(max_bytes);
        store.make_the_folder();
        store
    }

    /// A store whose file cannot be made yet.
    fn without_a_folder(max_bytes: u64) -> Store {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/dead_letters.jsonl");
        let log = Log::open(Destination::File(folder.path().join("log"))).unwrap();
        let letters = DeadLetters::start(path.clone(), max_bytes, log.clone()).unwrap();
        Store { folder, path, log, letters }
    }

    fn make_the_folder(&self) {
        fs::create_dir(self.path.parent().unwrap()).unwrap();
    }

    fn put(&self, id: &str) {
        self.letters.put(letter(&event(id, "1")), Place::Earlier);
    }

    /// Waits until the store knows that it cannot write.
    fn wait_until_refusing(&self) {
        wait_for("a refusal", || self.letters.reserve(1, &mut None).is_err());
    }

    fn wait_for_ids(&self, path: &Path, wanted: &[&str]) {
        wait_for(&format!("{wanted:?}"), || ids(path) == wanted);
    }

    /// The ids that the delivery log calls dead-lettered.
    fn logged(&self) -> Vec<String> {
        self.log.close(Instant::now() + Duration::from_secs(30));
        let lines = text(&self.folder.path().join("log"));
        let id = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            log::assert_valid(&line);
            assert_eq!(line["outcome"], "dead_lettered");
            line["event_id"].as_str().unwrap().to_owned()
        };
        lines.lines().map(id).collect()
    }
}

fn ids(path: &Path) -> Vec<String> {
    let lines = text(path);
    let whole = lines.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"]["id"].as_str().unwrap().to_owned();
    whole.map(id).collect()
}

/// The file's lines without their timestamps, which are of 27 characters.
fn timeless(path: &Path) -> String {
    let start = "{\"timestamp\":\"2026-11-22T19:21:53.123456Z\",";
    text(path).lines().map(|line| format!("{}\n", &line[start.len()..])).collect()
}

#[test]
fn a_line_has_its_keys_in_order_and_the_event_as_it_came() {
    let store = Store::start(1 << 20);
    let whole =
        Event { context: Some("{\"user\": 1.0}"), ..event("e-1", r#"{"b": 1e400, "a": "\u00e9 é", "n":12345678901234567890}"#) };
    let bare = Letter { error_code: None, attempts: 0, reason: Reason::EndpointRemoved, ..letter(&event("e-2", "null")) };
    let known = Letter { to: Addressee::Known(Arc::new(Endpoint::example())), ..letter(&event("e-3", "[]")) };
    for letter in [letter(&whole), bare, known] {
        store.letters.put(letter, Place::Earlier);
    }
    assert!(store.letters.close().is_empty());
    let expected = concat!(
        r#""endpoint":"hook","reason":"attempts","error_code":"status_503","attempts":3,"#,
        r#""event":{"type":"a.b","id":"e-1","time":"2016-06-21T02:33:30.5+02:00","context":{"user": 1.0},"#,
        r#""data":{"b": 1e400, "a": "\u00e9 é", "n":12345678901234567890}}}"#,
        "\n",
        r#""endpoint":"hook","reason":"endpoint_removed","error_code":null,"attempts":0,"#,
        r#""event":{"type":"a.b","id":"e-2","time":"2016-06-21T02:33:30.5+02:00","data":null}}"#,
        "\n",
        r#""endpoint":"hook","reason":"attempts","error_code":"status_503","attempts":3,"#,
        r#""event":{"type":"a.b","id":"e-3","time":"2016-06-21T02:33:30.5+02:00","data":[]}}"#,
        "\n",
    );
    assert_eq!(timeless(&store.path), expected);
    let timestamp = &text(&store.path)[14..41];
    assert!(timestamp.parse::<jiff::Timestamp>().is_ok() && timestamp.ends_with('Z'), "{timestamp}");
    assert_eq!(mode(&store.path), 0o600);
    assert_eq!(store.logged(), ["e-1", "e-2", "e-3"]);
}

#[test]
fn line_breaks_between_tokens_become_spaces_and_those_in_strings_stay_escaped() {
    let store = Store::start(1 << 20);
    let spread = Event { context: Some("[\r\n]"), ..event("e-1", "{\n\t\"a\":\r\n\"x\\ny\"\n}") };
    store.letters.put(letter(&spread), Place::Earlier);
    assert!(store.letters.close().is_empty());
    let written = text(&store.path);
    assert!(written.ends_with("\"context\":[  ],\"data\":{ \t\"a\":  \"x\\ny\" }}}\n"), "{written}");
    assert_eq!(written.matches('\n').count(), 1);
}

#[test]
fn a_line_torn_by_a_crash_is_closed_and_the_next_begins_on_its_own() {
    let store = Store::start(1 << 20);
    fs::write(&store.path, "{\"timestamp\":\"20").unwrap();
    store.put("e-1");
    assert!(store.letters.close().is_empty());
    let written = text(&store.path);
    let (torn, whole) = written.split_once('\n').unwrap();
    assert_eq!(torn, "{\"timestamp\":\"20");
    assert_eq!(serde_json::from_str::<serde_json::Value>(whole).unwrap()["event"]["id"], "e-1");
}

#[test]
fn a_file_taken_away_by_its_name_gets_no_later_line() {
    let store = Store::start(1 << 20);
    let taken = store.path.with_extension("replaying");
    store.put("e-1");
    store.wait_for_ids(&store.path, &["e-1"]);
    fs::rename(&store.path, &taken).unwrap();
    store.put("e-2");
    store.wait_for_ids(&store.path, &["e-2"]);
    fs::remove_file(&store.path).unwrap();
    store.put("e-3");
    store.wait_for_ids(&store.path, &["e-3"]);
    assert_eq!((ids(&taken), mode(&store.path)), (vec!["e-1".to_owned()], 0o600));
}

#[test]
fn another_file_takes_what_comes_later() {
    let store = Store::start(1 << 20);
    let other = store.path.with_file_name("other.jsonl");
    store.put("e-1");
    store.wait_for_ids(&store.path, &["e-1"]);
    store.letters.switch(other.clone(), 1 << 20);
    store.put("e-2");
    store.wait_for_ids(&other, &["e-2"]);
    assert_eq!(ids(&store.path), ["e-1"]);
}

#[test]
fn a_file_that_cannot_be_written_is_moved_away_from_without_a_loss() {
    let store = Store::without_a_folder(1 << 20);
    store.put("e-1");
    store.wait_until_refusing();
    let other = store.folder.path().join("other.jsonl");
    store.letters.switch(other.clone(), 1 << 20);
    store.wait_for_ids(&other, &["e-1"]);
    wait_for("a place", || store.letters.reserve(1, &mut None).is_ok());
}

#[test]
fn while_the_folder_cannot_be_written_letters_keep_their_places_and_nobody_calls_them_dead_lettered() {
    let store = Store::without_a_folder(1 << 20);
    let (account, mut share) = account();
    for id in ["e-1", "e-2"] {
        store.letters.put(letter(&event(id, "1")), Place::Queue(slot(&account, &mut share)));
    }
    store.wait_until_refusing();
    assert_eq!((account.held().0, text(&store.folder.path().join("log"))), (2, String::new()));
    store.make_the_folder();
    store.wait_for_ids(&store.path, &["e-1", "e-2"]);
    wait_for("the places", || account.held() == (0, 0));
    assert_eq!(store.letters.reserve(1, &mut None).map(drop), Ok(()));
    assert!(store.letters.close().is_empty());
    assert_eq!(store.logged(), ["e-1", "e-2"]);
}

/// The length of a line that [`Store::put`] makes of a three-character id.
fn a_line() -> u64 {
    let store = Store::start(1 << 20);
    store.put("e-1");
    assert!(store.letters.close().is_empty());
    text(&store.path).len() as u64
}

#[test]
fn a_full_file_refuses_and_goes_on_when_it_is_taken_away() {
    let store = Store::start(2 * a_line() + 1);
    let (account, mut share) = account();
    for id in ["e-1", "e-2"] {
        store.put(id);
    }
    store.wait_for_ids(&store.path, &["e-1", "e-2"]);
    store.letters.put(letter(&event("e-3", "1")), Place::Queue(slot(&account, &mut share)));
    store.wait_until_refusing();
    assert_eq!((ids(&store.path).len(), account.held().0), (2, 1));
    let taken = store.path.with_extension("replaying");
    fs::rename(&store.path, &taken).unwrap();
    store.wait_for_ids(&store.path, &["e-3"]);
    wait_for("the place", || account.held() == (0, 0));
    assert_eq!(store.letters.reserve(1, &mut None).map(drop), Ok(()));
    assert_eq!(ids(&taken), ["e-1", "e-2"]);
}

#[test]
fn max_bytes_counts_what_an_earlier_process_wrote() {
    let store = Store::start(2 * a_line() + 1);
    fs::write(&store.path, format!("{}\n", "x".repeat(a_line() as usize))).unwrap();
    for id in ["e-1", "e-2"] {
        store.put(id);
    }
    store.wait_until_refusing();
    let left = store.letters.close();
    assert_eq!(left.len() as u64 + text(&store.path).lines().count() as u64, 3);
    assert!(text(&store.path).len() as u64 <= 2 * a_line() + 1);
}

#[test]
fn letters_that_are_too_many_for_the_file_fill_it_and_the_others_wait() {
    let store = Store::without_a_folder(2 * a_line() + 1);
    for id in ["e-1", "e-2", "e-3", "e-4", "e-5"] {
        store.put(id);
    }
    store.wait_until_refusing();
    store.make_the_folder();
    store.wait_for_ids(&store.path, &["e-1", "e-2"]);
    store.wait_until_refusing();
    fs::rename(&store.path, store.path.with_extension("1")).unwrap();
    store.wait_for_ids(&store.path, &["e-3", "e-4"]);
    let left: Vec<_> = store.letters.close().iter().map(|letter| letter.parcel.prepared.event.view().id.to_owned()).collect();
    assert_eq!(left, ["e-5"]);
}

#[test]
fn the_overflow_has_a_bound_and_is_free_again_when_it_is_written_or_not_wanted() {
    let store = Store::start(1 << 20);
    let quarter = || store.letters.reserve(1 << 20, &mut None);
    let mut places: Vec<_> = (0..4).map(|_| quarter().unwrap()).collect();
    assert_eq!(store.letters.reserve(1, &mut None).map(drop), Err(Full));
    drop(places.pop());
    assert_eq!(quarter().map(drop), Ok(()));
    for (n, place) in places.into_iter().enumerate() {
        store.letters.put(letter(&event(&format!("e-{n}"), "1")), place);
    }
    wait_for("all of the budget", || store.letters.reserve(4 << 20, &mut None).is_ok());
    assert_eq!(ids(&store.path), ["e-0", "e-1", "e-2"]);
}

#[test]
fn closing_writes_what_is_left() {
    let store = Store::start(1 << 30);
    let wanted: Vec<String> = (0..2000).map(|n| format!("e-{n}")).collect();
    wanted.iter().for_each(|id| store.put(id));
    assert!(store.letters.close().is_empty());
    assert_eq!(ids(&store.path), wanted);
    assert_eq!(store.logged(), wanted);
}

#[test]
fn closing_hands_back_what_could_not_be_written_and_frees_its_places() {
    let store = Store::without_a_folder(1 << 20);
    let (account, mut share) = account();
    let wanted: Vec<String> = (0..300).map(|n| format!("e-{n}")).collect();
    for id in &wanted {
        let data = format!("\"{}\"", "x".repeat(1000));
        store.letters.put(letter(&event(id, &data)), Place::Queue(slot(&account, &mut share)));
    }
    let began = Instant::now();
    let left = store.letters.close();
    let ids: Vec<_> = left.iter().map(|letter| letter.parcel.prepared.event.view().id.to_owned()).collect();
    assert_eq!(ids, wanted);
    assert_eq!((left[0].reason, left[0].attempts, account.held()), (Reason::Attempts, 3, (0, 0)));
    assert!(began.elapsed() < Duration::from_secs(10), "it waits for no better times");
    assert!(store.logged().is_empty());
}

#[test]
fn an_event_of_any_size_overflows_where_nothing_else_does() {
    let store = Store::start(1 << 20);
    let large = store.letters.reserve(5 << 20, &mut None).unwrap();
    assert_eq!(store.letters.reserve(1, &mut None).map(drop), Err(Full));
    drop(large);
    let small = store.letters.reserve(1, &mut None).unwrap();
    assert_eq!(store.letters.reserve(5 << 20, &mut None).map(drop), Err(Full));
    drop(small);
    let mut event = None;
    let places = [(); 4].map(|()| store.letters.reserve(5 << 20, &mut event).unwrap());
    drop((places, event));
    assert_eq!(store.letters.reserve(4 << 20, &mut None).map(drop), Ok(()));
}

#[test]
fn the_memory_of_those_that_have_waited_is_given_back() {
    let store = Store::without_a_folder(1 << 30);
    let one = letter(&event("e", "1"));
    (0..20_000).for_each(|_| store.letters.put(one.clone(), Place::Earlier));
    assert!(store.letters.room().0 >= 10_000);
    store.make_the_folder();
    wait_for("all to be written", || store.letters.room().1 == 0);
    wait_for("the room to be free", || store.letters.room().0 < 3000);
}
