//! Counts over time, in spans that grow with the time there is to show.
//!
//! **Invariant:** memory is bounded, whatever the times are.

/// What is counted: delivered, failed attempts, given up.
pub(super) type Counts = [u64; 3];

#[derive(Default)]
pub(super) struct Timeline {
    /// Which of [`SPANS`] a bucket is.
    level: usize,
    /// In the order of their places since [`MONDAY`]; only those that are not empty.
    buckets: Vec<(i64, Counts)>,
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
        let found = self.buckets.binary_search_by_key(&place, |(place, _)| *place);
        let index = found.unwrap_or_else(|index| {
            self.buckets.insert(index, (place, Counts::default()));
            index
        });
        self.buckets[index].1[what] += 1;
        if self.buckets.len() > MOST_BUCKETS {
            self.coarsen();
        }
    }

    /// At most [`MOST_BARS`]; `None` if there is nothing to show.
    pub(super) fn bars(mut self) -> Option<Bars> {
        let (first, last) = loop {
            let ([(first, _), .., (last, _)] | [(first @ last, _)]) = self.buckets[..] else { return None };
            if last - first < MOST_BARS || self.level + 1 == SPANS.len() {
                break (first, last);
            }
            self.coarsen();
        };
        let span = SPANS[self.level];
        let mut counts = vec![Counts::default(); (last - first + 1) as usize];
        for (place, bucket) in &self.buckets {
            counts[(place - first) as usize] = *bucket;
        }
        Some(Bars { start: MONDAY + first * span, span, counts })
    }

    fn coarsen(&mut self) {
        let Some(longer) = SPANS.get(self.level + 1) else { return };
        let times = longer / SPANS[self.level];
        for (place, _) in &mut self.buckets {
            *place = place.div_euclid(times);
        }
        self.buckets.dedup_by(|(place, counts), (before, sums)| {
            if place == before {
                sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += *count);
            }
            place == before
        });
        self.level += 1;
    }
}

impl Bars {
    /// How far apart times are named so that there are at most `most` of them, in seconds.
    pub(super) fn step(&self, most: i64) -> i64 {
        let whole = self.span * self.counts.len() as i64;
        let fits = |step: &i64| step % self.span == 0 && whole / step <= most;
        SPANS.iter().flat_map(|span| [*span, span * 2]).find(fits).unwrap_or(whole)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bars_grow_with_the_time_there_is_to_show() {
        for (seconds, span) in [(0, 1), (100, 1), (119, 5), (3_600, 60), (DAY, 900), (30 * DAY, DAY / 2), (365 * DAY, 7 * DAY)] {
            let bars = timeline(&[0, seconds]).bars().unwrap();
            assert_eq!(bars.span, span, "{seconds}");
        }
        assert!(Timeline::default().bars().is_none());
    }

    #[test]
    fn days_begin_at_midnight_and_weeks_with_a_monday() {
        let first_of_2026 = 1_767_225_600;
        let bars = timeline(&[first_of_2026 + 5, first_of_2026 + 5 + 400 * DAY]).bars().unwrap();
        assert_eq!((bars.span, bars.start), (7 * DAY, first_of_2026 - 3 * DAY));
        let (tick, place) = bars.ticks(bars.step(15)).next().unwrap();
        assert_eq!((tick % DAY, place), (0, (tick - bars.start) as f32 / (bars.counts.len() as i64 * bars.span) as f32));
    }

    #[test]
    fn memory_is_bounded_however_times_jump() {
        let mut line = Timeline::default();
        for number in 0..100_000_i64 {
            line.add(number * 7_919 * 3_600, 0);
            line.add(-number, 1);
        }
        assert!(line.buckets.len() <= MOST_BUCKETS);
        let bars = line.bars().unwrap();
        assert_eq!(bars.counts.iter().map(|counts| counts[0]).sum::<u64>(), 100_000);
    }

    proptest! {
        #[test]
        fn every_count_is_in_its_bar(times in prop::collection::vec(-62_135_596_800_i64..253_402_300_800, 1..200)) {
            let bars = timeline(&times).bars().unwrap();
            prop_assert!(bars.counts.len() as i64 <= MOST_BARS);
            let mut counts = vec![0; bars.counts.len()];
            for time in &times {
                counts[((time - bars.start) / bars.span) as usize] += 1;
            }
            prop_assert_eq!(counts, bars.counts.iter().map(|counts| counts[0]).collect::<Vec<_>>());
            let step = bars.step(15);
            let ticks: Vec<_> = bars.ticks(step).collect();
            prop_assert!(ticks.len() <= 16 && ticks.iter().all(|(_, place)| (0.0..=1.0).contains(place)));
        }
    }

    fn timeline(times: &[i64]) -> Timeline {
        let mut line = Timeline::default();
        times.iter().for_each(|time| line.add(*time, 0));
        line
    }
}
