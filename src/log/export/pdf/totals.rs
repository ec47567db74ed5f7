//! What is counted of all lines, also of those that no table shows.
//!
//! **Invariant:** memory is bounded, whatever the lines say.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::timeline::Timeline;
use crate::log::{export, reader::Entry};

#[derive(Default)]
pub(super) struct Totals {
    pub(super) lines: u64,
    /// The first and the last time.
    pub(super) times: Option<(Timestamp, Timestamp)>,
    pub(super) timeline: Timeline,
    /// Of deliveries, in the order of [`OUTCOMES`].
    pub(super) endpoints: BTreeMap<Box<str>, Outcomes>,
    /// Of all other lines, by kind and outcome, which a [`BETWEEN`] divides; the count is the first.
    pub(super) others: BTreeMap<Box<str>, Outcomes>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Outcomes(pub(super) [u64; OUTCOMES.len()]);

impl Totals {
    /// Counts `entry`, as of `time`, if it has one.
    pub(super) fn add(&mut self, entry: &Entry<'_>, time: Option<Timestamp>) {
        self.lines += 1;
        if let Some(time) = time {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
        let kind = entry.kind.as_deref().unwrap_or("");
        let outcome = entry.outcome.as_deref().unwrap_or("");
        let known = OUTCOMES.iter().position(|known| *known == outcome);
        let (Some(known), "delivery") = (known, kind) else {
            of(&mut self.others, &format!("{kind}{BETWEEN}{outcome}")).0[0] += 1;
            return;
        };
        of(&mut self.endpoints, entry.endpoint.as_deref().unwrap_or("")).0[known] += 1;
        if let Some(time) = time
            && let Some(what) = CHARTED.iter().position(|(_, places)| places.contains(&known))
        {
            self.timeline.add(time.as_second(), what);
        }
    }

    pub(super) fn all(&self) -> Outcomes {
        let mut sums = Outcomes::default();
        for outcomes in self.endpoints.values() {
            sums.0.iter_mut().zip(outcomes.0).for_each(|(sum, count)| *sum += count);
        }
        sums
    }
}

/// What is counted by `name`, or with all further names where there are too many.
fn of<'a>(counts: &'a mut BTreeMap<Box<str>, Outcomes>, name: &str) -> &'a mut Outcomes {
    let is_too_much = counts.len() >= MOST_NAMES && !counts.contains_key(name);
    counts.entry(if is_too_much { FURTHER } else { name }.into()).or_default()
}

impl Outcomes {
    pub(super) fn delivered(&self) -> u64 {
        self.0[DELIVERED]
    }

    pub(super) fn failed_attempts(&self) -> u64 {
        self.0[RETRYING] + self.0[FAILED]
    }

    /// Deliveries that were given up.
    pub(super) fn lost(&self) -> u64 {
        self.0[DEAD_LETTERED] + self.0[DROPPED]
    }

    /// Of the deliveries that have ended, how many were delivered, in per cent.
    pub(super) fn success(&self) -> String {
        export::success(self.delivered(), self.delivered() + self.lost()).unwrap_or_else(|| "–".to_owned())
    }
}

/// With marks between the thousands.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What a delivery's line may say became of it (`log::record`).
pub(super) const OUTCOMES: [&str; 8] =
    ["delivered", "retrying", "failed", "dead_lettered", "dropped", "filtered", "skipped", "pending"];
const DELIVERED: usize = 0;
const RETRYING: usize = 1;
const FAILED: usize = 2;
const DEAD_LETTERED: usize = 3;
const DROPPED: usize = 4;

/// What the chart shows, by its name, and which of [`OUTCOMES`] it is.
pub(super) const CHARTED: [(&str, &[usize]); 3] = [
    ("Delivered", &[DELIVERED]),
    ("Failed attempts", &[RETRYING, FAILED]),
    ("Dead-lettered or dropped", &[DEAD_LETTERED, DROPPED]),
];

pub(super) const BETWEEN: char = '\n';

const MOST_NAMES: usize = 10_000;
/// What the names beyond those are counted as.
const FURTHER: &str = "(further ones)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_names_than_are_kept_are_counted_together() {
        let mut totals = Totals::default();
        for number in 0..MOST_NAMES + 500 {
            let name = format!("e{number}");
            let entry = |kind: &'static str, outcome: &'static str| Entry {
                kind: Some(kind.into()),
                outcome: Some(outcome.into()),
                endpoint: Some(name.as_str().into()),
                ..Entry::default()
            };
            totals.add(&entry("delivery", "delivered"), None);
            totals.add(&Entry { outcome: Some(name.as_str().into()), ..entry("event", "") }, None);
        }
        assert_eq!(totals.endpoints.len(), MOST_NAMES + 1);
        assert_eq!(totals.endpoints[FURTHER].delivered(), 500);
        assert_eq!(totals.all().delivered(), MOST_NAMES as u64 + 500);
        assert_eq!((totals.others.len(), totals.others[FURTHER].0[0]), (MOST_NAMES + 1, 500));
    }

    #[test]
    fn thousands_are_marked() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(count), text);
        }
    }
}
