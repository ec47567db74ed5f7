//! Counts over time, in spans that grow with the time there is to show.
//!
//! **Invariant:** memory is bounded, whatever the times are.

use std::collections::BTreeMap;

/// What is counted: delivered, failed attempts, given up.
pub(super) type Counts = [u64; 3];

#[derive(Default)]
pub(super) struct Timeline {
    /// Which of [`SPANS`] a bucket is.
    level: usize,
    /// By their places since [`MONDAY`]; only those that are not empty.
    buckets: BTreeMap<i64, Counts>,
}

/// A timeline as it is shown.
pub(super) struct Bars {
    /// When the first begins, in seconds since the epoch.
    pub(super) start: i64,
    /// In seconds.
    pub(super) span: i64,
    pub(super) counts: Vec<Counts>,
}

impl Timeline {
    /// Counts one more of `what`, an index of [`Counts`], at `second` since the epoch.
    pub(super) fn add(&mut self, second: i64, what: usize) {
        let place = (second - MONDAY).div_euclid(SPANS[self.level]);
        self.buckets.entry(place).or_default()[what] += 1;
        if self.buckets.len() > MOST_BUCKETS {
            self.coarsen();
        }
    }

    /// At most [`MOST_BARS`]; `None` if there is nothing to show.
    pub(super) fn bars(mut self) -> Option<Bars> {
        let (first, last) = loop {
            let ends = (*self.buckets.first_key_value()?.0, *self.buckets.last_key_value()?.0);
            if ends.1 - ends.0 < MOST_BARS || self.level + 1 == SPANS.len() {
                break ends;
            }
            self.coarsen();
        };
        let span = SPANS[self.level];
        let counts = (first..=last).map(|place| self.buckets.get(&place).copied().unwrap_or_default()).collect();
        Some(Bars { start: MONDAY + first * span, span, counts })
    }

    fn coarsen(&mut self) {
        let Some(longer) = SPANS.get(self.level + 1) else { return };
        let times = longer / SPANS[self.level];
        let mut coarse: BTreeMap<i64, Counts> = BTreeMap::new();
        for (place, counts) in &self.buckets {
            let sums = coarse.entry(place.div_euclid(times)).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        self.buckets = coarse;
        self.level += 1;
    }
}

impl Bars {
    /// How far apart times are named so that there are at most `most` of them, in seconds.
    pub(super) fn step(&self, most: i64) -> i64 {
        let whole = self.span * self.counts.len() as i64;
        let fits = |step: &&i64| **step >= self.span && whole / **step <= most;
        SPANS.iter().find(fits).copied().unwrap_or(whole)
    }

    /// The times that are multiples of `step`, as fractions of the whole, in order.
    pub(super) fn ticks(&self, step: i64) -> impl Iterator<Item = (i64, f32)> {
        let whole = self.span * self.counts.len() as i64;
        let first = MONDAY + (self.start - MONDAY + step - 1).div_euclid(step) * step;
        let start = self.start;
        (0..).map(move |number| first + number * step).take_while(move |at| *at <= start + whole).map(move |at| {
            let fraction = (at - start) as f32 / whole as f32;
            (at, fraction)
        })
    }
}

pub(super) const DAY: i64 = 86_400;

/// Each is a multiple of the one before; up to a day they divide it, weeks begin with a Monday.
const SPANS: [i64; 19] = [
    1,
    5,
    15,
    30,
    60,
    5 * 60,
    15 * 60,
    30 * 60,
    3_600,
    3 * 3_600,
    6 * 3_600,
    12 * 3_600,
    DAY,
    7 * DAY,
    28 * DAY,
    84 * DAY,
    336 * DAY,
    3_360 * DAY,
    33_600 * DAY,
];
/// The first since the epoch.
const MONDAY: i64 = 4 * DAY;
const MOST_BUCKETS: usize = 4_096;
const MOST_BARS: i64 = 110;
