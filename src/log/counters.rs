//! How often each thing happened, in the words of the log.
//!
//! **Invariant:** a record is counted when it is made, also when its line is lost; at most [`MAX_ENDPOINTS`] names are kept.

use std::collections::{BTreeMap, HashMap};

use super::record::Record;

/// Counts since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    deliveries: HashMap<Box<str>, Tally>,
    others: BTreeMap<&'static str, Tally>,
    /// Lines that could not be written.
    pub lost: u64,
}

impl Counters {
    /// How often the deliveries of `endpoint` had `outcome`.
    pub fn deliveries(&self, endpoint: &str, outcome: &str) -> u64 {
        self.deliveries.get(endpoint).map_or(0, |tally| tally.count(outcome))
    }

    /// How often `outcome` was of a `kind` other than `delivery`.
    pub fn others(&self, kind: &str, outcome: &str) -> u64 {
        self.others.get(kind).map_or(0, |tally| tally.count(outcome))
    }

    /// Every `(endpoint, outcome, count)` of deliveries, in no order. Where there were too many names, the endpoint `*`
    /// stands for the rest of them.
    pub fn all_deliveries(&self) -> impl Iterator<Item = (&str, &'static str, u64)> {
        self.deliveries
            .iter()
            .flat_map(|(endpoint, tally)| tally.0.iter().map(|(outcome, count)| (&**endpoint, *outcome, *count)))
    }

    pub(super) fn count(&mut self, record: &Record<'_>) {
        let Record::Delivery(delivery) = record else {
            return self.others.entry(record.kind()).or_default().add(record.outcome());
        };
        if let Some(tally) = self.deliveries.get_mut(delivery.endpoint) {
            return tally.add(record.outcome());
        }
        let name = if self.deliveries.len() < MAX_ENDPOINTS { delivery.endpoint } else { "*" };
        self.deliveries.entry(name.into()).or_default().add(record.outcome());
    }
}

/// A handful of words, each with its count.
#[derive(Clone, Debug, Default)]
struct Tally(Vec<(&'static str, u64)>);

impl Tally {
    fn add(&mut self, outcome: &'static str) {
        match self.0.iter_mut().find(|(word, _)| *word == outcome) {
            Some((_, count)) => *count += 1,
            None => self.0.push((outcome, 1)),
        }
    }

    fn count(&self, outcome: &str) -> u64 {
        self.0.iter().find(|(word, _)| *word == outcome).map_or(0, |(_, count)| *count)
    }
}

/// Far over what a config names; reloads that rename endpoints for months stay below it too.
const MAX_ENDPOINTS: usize = 10_000;
