//! What is counted of all lines, also of those that no table shows.
//!
//! **Invariant:** memory is bounded, whatever the lines say.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::timeline::Timeline;
use crate::log::reader::Entry;

#[derive(Default)]
pub(super) struct Totals {
    pub(super) lines: u64,
    /// The first and the last time.
    pub(super) times: Option<(Timestamp, Timestamp)>,
    pub(super) timeline: Timeline,
    /// Of deliveries, in the order of [`OUTCOMES`].
    pub(super) endpoints: BTreeMap<Box<str>, Outcomes>,
    /// Of all other lines, by kind and outcome.
    pub(super) others: BTreeMap<(Box<str>, Box<str>), u64>,
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
            self.add_other(kind, outcome);
            return;
        };
        self.of_endpoint(entry.endpoint.as_deref().unwrap_or("")).0[known] += 1;
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

    fn of_endpoint(&mut self, name: &str) -> &mut Outcomes {
        let is_new = !self.endpoints.contains_key(name);
        let name = if is_new && self.endpoints.len() >= MOST_NAMES { FURTHER } else { name };
        self.endpoints.entry(name.into()).or_default()
    }

    fn add_other(&mut self, kind: &str, outcome: &str) {
        let mut name = (kind.into(), outcome.into());
        if self.others.len() >= MOST_NAMES && !self.others.contains_key(&name) {
            name = (FURTHER.into(), "".into());
        }
        *self.others.entry(name).or_default() += 1;
    }
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

    /// Of the deliveries that have ended, how many arrived: in per cent, rounded down, for 100 means all.
    pub(super) fn arrived(&self) -> String {
        let ended = u128::from(self.delivered()) + u128::from(self.lost());
        if ended == 0 {
            return "–".to_owned();
        }
        let hundredths = u128::from(self.delivered()) * 10_000 / ended;
        match hundredths {
            10_000 => "100 %".to_owned(),
            _ => format!("{}.{:02} %", hundredths / 100, hundredths % 100),
        }
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

const MOST_NAMES: usize = 10_000;
/// What the names beyond those are counted as.
const FURTHER: &str = "(further ones)";
