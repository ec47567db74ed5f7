//! Which lines are wanted.
//!
//! A [`Filter`] is what an [`Entry`] has to be like, and what bytes a line must hold for that: so that of a large log only
//! few lines are read as JSON.
//!
//! **Invariant:** a line without the bytes does not match; one with them is still asked.

use jiff::{SignedDuration, Timestamp, Unit};
use memchr::memmem::Finder;

use super::Entry;
use crate::log::timestamp;

/// Everything, until conditions are added: all of them must hold.
#[derive(Default)]
pub struct Filter {
    conditions: Vec<Condition>,
    since: Option<Bound>,
    until: Option<Bound>,
}

/// What a key's value has to be like; lines without the key do not match.
pub struct Condition {
    field: Field,
    test: Box<dyn Fn(&str) -> bool + Send>,
    /// One of them is in every line that matches; none: nothing is known.
    needles: Vec<Finder<'static>>,
}

/// A value of an entry.
pub type Field = for<'e> fn(&'e Entry<'_>) -> Option<&'e str>;

/// A moment, and the text of it in the log's own writing, which sorts as time does.
struct Bound {
    at: Timestamp,
    text: String,
}

impl Filter {
    #[must_use]
    pub fn and(mut self, condition: Condition) -> Filter {
        self.conditions.push(condition);
        self
    }

    /// From `since` on, and before `until`.
    #[must_use]
    pub fn between(mut self, since: Option<Timestamp>, until: Option<Timestamp>) -> Filter {
        (self.since, self.until) = (since.map(Bound::new), until.map(Bound::new));
        self
    }

    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        self.is_in_time(entry) && self.conditions.iter().all(|condition| condition.holds(entry))
    }

    /// From when on lines are wanted.
    pub fn since(&self) -> Option<Timestamp> {
        self.since.as_ref().map(|since| since.at)
    }

    /// Whether a line is surely of another time, as far as its beginning tells.
    pub(super) fn is_out_of_time(&self, line: &[u8]) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return false;
        }
        let rest = line.strip_prefix(b"{\"timestamp\":\"").or_else(|| line.strip_prefix(b"{\"@timestamp\":\""));
        let text = rest.and_then(|rest| rest.get(..OWN.len()));
        text.is_some_and(|text| self.includes_own(text) == Some(false))
    }

    fn is_in_time(&self, entry: &Entry<'_>) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        self.includes_own(entry.timestamp.as_bytes()).unwrap_or_else(|| {
            let Ok(at) = entry.timestamp.parse::<Timestamp>() else { return false };
            self.since.as_ref().is_none_or(|since| at >= since.at) && self.until.as_ref().is_none_or(|until| at < until.at)
        })
    }

    /// Whether a timestamp in the log's own writing is in time; nothing of others.
    fn includes_own(&self, text: &[u8]) -> Option<bool> {
        let same = |(byte, like): (&u8, &u8)| if *like == b'0' { byte.is_ascii_digit() } else { byte == like };
        if text.len() != OWN.len() || !text.iter().zip(OWN).all(same) {
            return None;
        }
        let early = self.since.as_ref().is_some_and(|since| text < since.text.as_bytes());
        Some(!early && self.until.as_ref().is_none_or(|until| text < until.text.as_bytes()))
    }

    /// Of the needles of each condition those that `block` has the fewest of.
    pub(super) fn rarest_needles(&self, block: &[u8]) -> &[Finder<'static>] {
        let useful = || self.conditions.iter().map(|condition| &condition.needles[..]).filter(|needles| !needles.is_empty());
        if useful().nth(1).is_none() {
            return useful().next().unwrap_or_default();
        }
        let found = |needles: &&[Finder<'static>]| needles.iter().map(|needle| needle.find_iter(block).count()).sum::<usize>();
        useful().min_by_key(found).unwrap_or_default()
    }
}

impl Condition {
    /// One of `values`.
    pub fn one_of(field: Field, values: Vec<String>) -> Condition {
        let needles = values.iter().map(|value| needle(value, true, true)).collect();
        Condition::new(field, needles, move |text| values.iter().any(|value| value == text))
    }

    /// What `test` says; every value it holds for has one of `needles`, if each is known.
    pub fn new(field: Field, needles: Vec<Option<Vec<u8>>>, test: impl Fn(&str) -> bool + Send + 'static) -> Condition {
        let needles: Option<Vec<_>> = needles.into_iter().collect();
        let needles = needles.unwrap_or_default().iter().map(|needle| Finder::new(needle).into_owned()).collect();
        Condition { field, test: Box::new(test), needles }
    }

    fn holds(&self, entry: &Entry<'_>) -> bool {
        (self.field)(entry).is_some_and(&self.test)
    }
}

/// The bytes that a line has, however its JSON is written, which has a value that holds `text`: at its beginning, at its end,
/// or both. `None` where there are too few to look for.
pub fn needle(text: &str, begins: bool, ends: bool) -> Option<Vec<u8>> {
    // These are never written as escapes, by nobody.
    let is_literal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-: ".contains(&byte);
    let quote = |wanted: bool| wanted.then_some(b'"');
    let bytes: Vec<u8> = quote(begins).into_iter().chain(text.bytes()).chain(quote(ends)).collect();
    let is_quote = |at: usize| begins && at == 0 || ends && at + 1 == bytes.len();
    let mut longest = 0..0;
    let mut start = 0;
    for at in 0..=bytes.len() {
        if bytes.get(at).is_some_and(|byte| is_literal(*byte) || is_quote(at)) {
            continue;
        }
        if at - start > longest.len() {
            longest = start..at;
        }
        start = at + 1;
    }
    (longest.len() >= SHORTEST).then(|| bytes[longest].to_vec())
}

impl Bound {
    fn new(at: Timestamp) -> Bound {
        // The log knows no less than microseconds: what is between two of them is the later.
        let whole = at.round(Unit::Microsecond).unwrap_or(at);
        let whole = if whole < at { whole.checked_add(MICROSECOND).unwrap_or(whole) } else { whole };
        Bound { at, text: timestamp(whole.into()) }
    }
}

/// As the log writes timestamps: 0 is any digit.
const OWN: &[u8] = b"0000-00-00T00:00:00.000000Z";

const MICROSECOND: SignedDuration = SignedDuration::from_micros(1);

/// Looking for less finds nearly every line.
const SHORTEST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(timestamp: &'a str, endpoint: &'a str) -> Entry<'a> {
        Entry { timestamp: timestamp.into(), endpoint: Some(endpoint.into()), ..Entry::default() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_needle_is_what_every_writing_of_a_value_has() {
        let found = |text| needle(text, true, true).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(found("billing").as_deref(), Some("\"billing\""));
        assert_eq!(found("a").as_deref(), Some("\"a\""));
        assert_eq!(found("order/1234\"5").as_deref(), Some("\"order"));
        assert_eq!(found("a/1234567").as_deref(), Some("1234567\""));
        assert_eq!(found("日本"), None);
        assert_eq!(found(""), None);
        assert_eq!(needle("order.", true, false), Some(b"\"order.".to_vec()));
        assert_eq!(needle(".z", false, true), Some(b".z\"".to_vec()));
        assert_eq!(needle("z", false, true), None);
    }

    #[test]
    fn all_conditions_must_hold_and_each_has_its_key() {
        let endpoint = |values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            Condition::one_of(|entry| entry.endpoint.as_deref(), values)
        };
        let filter = Filter::default().and(endpoint(&["a", "b"])).and(endpoint(&["b", "c"]));
        assert_eq!(["a", "b", "c"].map(|name| filter.matches(&entry("", name))), [false, true, false]);
        assert!(!filter.matches(&Entry::default()));
        assert!(Filter::default().matches(&Entry::default()));
    }

    #[test]
    fn time_runs_from_since_to_before_until_in_every_writing() {
        let filter = Filter::default().between(Some(at("2026-11-22T19:00:00.0000005Z")), Some(at("2026-11-22T20:00:00Z")));
        for (timestamp, wanted) in [
            ("2026-11-22T18:59:59.999999Z", false),
            ("2026-11-22T19:00:00.000000Z", false),
            ("2026-11-22T19:00:00.000001Z", true),
            ("2026-11-22T19:59:59.999999Z", true),
            ("2026-11-22T20:00:00.000000Z", false),
            ("2026-11-22T19:30:00Z", true),
            ("2026-11-22T20:30:00+01:00", true),
            ("2026-11-22T19:30:00.000000000+01:00", false),
            ("2026-11-22T19:30:00.0+01:00", false),
            ("2026-11-22T19:00:00.0000005Z", true),
            ("2026-11-22T20:00:00Z", false),
            ("2026-11-22T19:00:00.0000004Z", false),
            ("yesterday", false),
        ] {
            assert_eq!(filter.matches(&entry(timestamp, "")), wanted, "{timestamp}");
            let line = format!("{{\"timestamp\":\"{timestamp}\"}}");
            assert!(!wanted || !filter.is_out_of_time(line.as_bytes()), "{timestamp}");
        }
        let early = Filter::default().between(Some(at("2026-11-22T19:00:00.0000004Z")), None);
        assert!(!early.matches(&entry("2026-11-22T19:00:00.000000Z", "")));
        assert!(filter.is_out_of_time(b"{\"@timestamp\":\"2026-11-22T20:00:00.000000Z\""));
        assert!(!Filter::default().is_out_of_time(b"{\"timestamp\":\"2026-11-22T20:00:00.000000Z\""));
    }

    #[test]
    fn the_condition_that_finds_least_is_looked_for() {
        let one = |value: &str| Condition::one_of(|entry| entry.endpoint.as_deref(), vec![value.to_owned()]);
        let filter = Filter::default().and(one("often")).and(one("日本")).and(one("seldom"));
        let rarest = filter.rarest_needles(b"\"often\" \"seldom\" \"often\"");
        assert_eq!(rarest.iter().map(Finder::needle).collect::<Vec<_>>(), [b"\"seldom\""]);
        assert!(Filter::default().and(one("日本")).rarest_needles(b"").is_empty());
    }
}
