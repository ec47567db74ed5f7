//! How often each thing happened, in the words of the log.
//!
//! **Invariant:** a record is counted when it is made, also when its line is lost, or, where its line must be written first,
//! after that; so what the log says and what is counted agree but for the lines that are counted as lost.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::record::{Outcome, Record};

/// Counts since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    endpoints: HashMap<Box<str>, Endpoint>,
    others: BTreeMap<&'static str, Tally>,
    refused: Tally,
    /// Events that were answered as accepted, duplicates among them.
    pub received: u64,
    /// Lines that could not be written.
    pub lost: u64,
}

/// Of one endpoint.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    outcomes: Tally,
    attempts: Tally,
    pub durations: Durations,
}

/// How long requests took, from their start to the end of the answer's head, or until they were given up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Durations {
    /// Those that took no longer than each of [`BOUNDS`] and longer than the one before; the last took longer than all.
    pub counts: [u64; BOUNDS.len() + 1],
    pub sum: Duration,
}

impl Counters {
    /// What is counted of an endpoint, if anything is.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.get(name)
    }

    /// How often the deliveries of `endpoint` had `outcome`.
    pub fn deliveries(&self, endpoint: &str, outcome: &str) -> u64 {
        self.endpoint(endpoint).map_or(0, |endpoint| endpoint.deliveries(outcome))
    }

    /// How often `outcome` was of a `kind` other than `delivery`.
    pub fn others(&self, kind: &str, outcome: &str) -> u64 {
        self.others.get(kind).map_or(0, |tally| tally.count(outcome))
    }

    /// How many events were refused with `code`.
    pub fn refused(&self, code: &str) -> u64 {
        self.refused.count(code)
    }

    pub(super) fn count(&mut self, record: &Record<'_>) {
        let Record::Delivery(delivery) = record else {
            return self.others.entry(record.kind()).or_default().add(record.outcome(), 1);
        };
        let request = request(&delivery.outcome).filter(|_| delivery.batch.is_none_or(|batch| batch.first));
        let endpoint = match self.endpoints.get_mut(delivery.endpoint) {
            Some(endpoint) => endpoint,
            None => self.endpoints.entry(delivery.endpoint.into()).or_default(),
        };
        endpoint.outcomes.add(record.outcome(), 1);
        if let Some((result, duration)) = request {
            endpoint.attempts.add(result, 1);
            endpoint.durations.add(duration);
        }
    }

    pub(super) fn refuse(&mut self, code: &'static str, events: u64) {
        self.refused.add(code, events);
    }

    /// Forgets the endpoints that are not `kept`.
    pub(super) fn retain(&mut self, kept: impl Fn(&str) -> bool) {
        self.endpoints.retain(|name, _| kept(name));
    }
}

impl Endpoint {
    /// How often deliveries had `outcome`.
    pub fn deliveries(&self, outcome: &str) -> u64 {
        self.outcomes.count(outcome)
    }

    /// How many requests came to `result`: one of [`RESULTS`]. A batch is one request.
    pub fn attempts(&self, result: &str) -> u64 {
        self.attempts.count(result)
    }
}

impl Durations {
    fn add(&mut self, duration: Duration) {
        let place = BOUNDS.iter().position(|bound| duration <= *bound).unwrap_or(BOUNDS.len());
        self.counts[place] += 1;
        self.sum += duration;
    }
}

/// What a request came to and how long it took, where there was one.
fn request(outcome: &Outcome<'_>) -> Option<(&'static str, Duration)> {
    match outcome {
        Outcome::Delivered { duration, .. } => Some((DELIVERED, *duration)),
        Outcome::Failed { failure } | Outcome::Retrying { failure, .. } => failure.duration.map(|took| (failure.class, took)),
        Outcome::DeadLettered { .. } | Outcome::Dropped { .. } | Outcome::Filtered | Outcome::Pending | Outcome::Skipped => None,
    }
}

/// A handful of words, each with its count.
#[derive(Clone, Debug, Default)]
struct Tally(Vec<(&'static str, u64)>);

impl Tally {
    fn add(&mut self, word: &'static str, count: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == word) {
            Some((_, counted)) => *counted += count,
            None => self.0.push((word, count)),
        }
    }

    fn count(&self, word: &str) -> u64 {
        self.0.iter().find(|(known, _)| *known == word).map_or(0, |(_, count)| *count)
    }
}

const DELIVERED: &str = "delivered";

/// What a request can come to.
pub const RESULTS: [&str; 3] = [DELIVERED, "permanent", "transient"];

/// How a delivery can end.
pub const ENDS: [&str; 6] = ["dead_lettered", DELIVERED, "dropped", "filtered", "pending", "skipped"];

/// Every word that a request can be refused with.
pub const REFUSALS: [&str; 15] = [
    "draining",
    "endpoint_disabled",
    "forbidden_host",
    "forbidden_origin",
    "invalid_event",
    "invalid_json",
    "method_not_allowed",
    "not_found",
    "payload_too_large",
    "queue_full",
    "request_timeout",
    "storage_failed",
    "too_many_events",
    "unauthorized",
    "unsupported_media_type",
];

/// Of the durations' buckets: from a receiver on the same machine to the longest usual timeout.
pub const BOUNDS: [Duration; 15] = [
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
