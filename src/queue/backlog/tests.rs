//! A backlog, one case at a time; the simulation has all the others.

use std::time::{Duration, Instant};

use super::{Backlog, Fresh, Item, Rules};
use crate::endpoint::Batch;

#[test]
fn keys_that_have_ended_take_no_memory() {
    let now = Instant::now();
    let mut backlog = Backlog::new(Rules { ordered: true, batch: None, evicts: false });
    for n in 0..10_000 {
        backlog.push(Parcel { number: n, key: n, bytes: 1, kind: 0, attempts: 0 }, n, now);
    }
    while let Some(lot) = backlog.next(now) {
        backlog.finish(lot, now);
    }
    let Fresh::Strands { strands, ready, .. } = &backlog.fresh else { panic!("it keeps no order") };
    assert_eq!((strands.len(), ready.len()), (0, 0));
}

#[test]
fn work_does_not_grow_with_the_square_of_the_keys() {
    const KEYS: u64 = 20_000;
    let now = Instant::now();
    let batch = Batch { max_events: KEYS as usize, max_bytes: usize::MAX, max_wait: Duration::ZERO };
    let filled = |batch| {
        let mut backlog = Backlog::new(Rules { ordered: true, batch, evicts: true });
        (0..KEYS).for_each(|number| {
            backlog.push(Parcel { number, key: number, bytes: 1, kind: 0, attempts: 0 }, number, now);
        });
        backlog
    };
    let (mut backlog, filling) = timed(|| filled(None));
    let ((), evicting) = timed(|| {
        (0..KEYS).for_each(|number| assert_eq!(backlog.evict(now).map(|parcel| parcel.number), Some(number)));
    });
    let mut backlog = filled(Some(batch));
    let ((), ending) = timed(|| {
        let lot = backlog.next(now).unwrap();
        backlog.split(lot, now);
        let mut half = backlog.next(now).unwrap();
        assert_eq!(backlog.finish_some(&mut half, |parcel| parcel.number % 2 == 0, now).len() as u64, KEYS / 4);
        assert_eq!(backlog.finish(half, now).len() as u64, KEYS / 4);
    });
    assert!(evicting.max(ending) < 3 * filling, "filling took {filling:?}, evicting {evicting:?}, ending {ending:?}");
}

/// What comes of it, and the processor's time it took, where that is to be had: the machine may be busy with other things.
fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let spent = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (began, before) = (Instant::now(), spent());
    let result = work();
    (result, spent().zip(before).map_or(began.elapsed(), |(after, before)| after - before))
}

#[test]
fn fresh_ones_and_those_whose_time_has_come_take_turns() {
    let now = Instant::now();
    let mut backlog = Backlog::new(Rules { ordered: false, batch: None, evicts: false });
    let parcel = |number| Parcel { number, key: 0, bytes: 1, kind: 0, attempts: 0 };
    (0..6).for_each(|number| backlog.push(parcel(number), 0, now));
    for _ in 0..3 {
        let lot = backlog.next(now).unwrap();
        backlog.park(lot, now + Duration::from_secs(1));
    }
    (6..9).for_each(|number| backlog.push(parcel(number), 0, now));
    let later = now + Duration::from_secs(1);
    let order: Vec<u64> = std::iter::from_fn(|| backlog.next(later)).map(|lot| lot.entries[0].item.number).collect();
    assert_eq!(order, [3, 0, 4, 1, 5, 2, 6, 7, 8]);
}

#[test]
fn a_bad_event_is_found_by_halves() {
    let now = Instant::now();
    let batch = Batch { max_events: 8, max_bytes: 1 << 20, max_wait: Duration::ZERO };
    for ordered in [false, true] {
        let mut backlog = Backlog::new(Rules { ordered, batch: Some(batch), evicts: false });
        (0..8).for_each(|number| backlog.push(Parcel { number, key: 0, bytes: 1, kind: 0, attempts: 0 }, 0, now));
        let (mut good, mut bad, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(lot) = backlog.next(now) {
            let (is_bad, size) = (lot.items().any(|parcel| parcel.number == 5), lot.items().len());
            sizes.push(size);
            match (is_bad, size) {
                (true, 1) => bad.extend(backlog.finish(lot, now).into_iter().map(|parcel| parcel.number)),
                (true, _) => backlog.split(lot, now),
                (false, _) => good.extend(backlog.finish(lot, now).into_iter().map(|parcel| parcel.number)),
            }
        }
        sizes.sort_unstable();
        assert_eq!((bad, sizes), (vec![5], vec![1, 1, 2, 2, 4, 4, 8]));
        good.sort_unstable();
        assert_eq!(good, [0, 1, 2, 3, 4, 6, 7]);
    }
}

#[test]
fn a_batch_that_can_hold_no_more_does_not_wait() {
    let now = Instant::now();
    let batch = Batch { max_events: 9, max_bytes: 21, max_wait: Duration::from_secs(1) };
    for ordered in [false, true] {
        let mut backlog = Backlog::new(Rules { ordered, batch: Some(batch), evicts: false });
        let mut push = |number, bytes, kind| {
            backlog.push(Parcel { number, key: 0, bytes, kind, attempts: 0 }, 0, now);
            backlog.next(now).map(|lot| backlog.finish(lot, now).len())
        };
        assert_eq!([push(0, 10, 0), push(1, 10, 0)], [None, Some(2)], "it is full with its brackets");
        assert_eq!([push(2, 1, 0), push(3, 1, 1)], [None, Some(1)], "nothing that comes can stand in it");
    }
}

#[test]
fn what_waits_for_another_half_waits_for_it_no_more_once_order_does_not_matter() {
    let now = Instant::now();
    let mut rules =
        Rules { ordered: true, batch: Some(Batch { max_events: 2, max_bytes: 99, max_wait: Duration::ZERO }), evicts: false };
    let mut backlog = Backlog::new(rules);
    (0..2).for_each(|number| backlog.push(Parcel { number, key: 0, bytes: 1, kind: 0, attempts: 0 }, 0, now));
    let lot = backlog.next(now).unwrap();
    backlog.split(lot, now);
    let mut out = [backlog.next(now).unwrap()];
    assert!(backlog.next(now).is_none());
    rules.ordered = false;
    backlog.reorder(rules, out.iter_mut());
    while !backlog.is_in_order() {
        backlog.place_next(|_| 0, out.iter_mut(), now);
    }
    assert_eq!(backlog.next(now).map(|lot| lot.entries[0].item.number), Some(1));
}

#[test]
fn what_comes_back_while_the_order_changes_waits_for_those_before_it_that_have_no_place_yet() {
    let now = Instant::now();
    let batch = Some(Batch { max_events: 2, max_bytes: 99, max_wait: Duration::ZERO });
    let mut backlog = Backlog::new(Rules { ordered: true, batch, evicts: false });
    for (number, key) in [(0, 0), (1, 1), (2, 0)] {
        backlog.push(Parcel { number, key, bytes: 1, kind: 0, attempts: 0 }, key, now);
    }
    let mut out = vec![backlog.next(now).unwrap()];
    assert_eq!(out[0].items().map(|parcel| parcel.number).collect::<Vec<_>>(), [0, 2]);
    backlog.reorder(Rules { ordered: true, batch: None, evicts: false }, out.iter_mut());
    let mut lot = out.pop().unwrap();
    backlog.update(&mut lot, |_| 0);
    backlog.park(lot, now);
    let first = backlog.next(now).unwrap();
    assert_eq!((first.entries[0].item.number, first.items().len()), (0, 1));
    backlog.finish(first, now);
    assert!(backlog.next(now).is_none(), "the second has no place yet");
    let order = std::iter::from_fn(|| {
        backlog.place_next(|_| 0, std::iter::empty(), now);
        let lot = backlog.next(now)?;
        backlog.finish(lot, now).pop().map(|parcel| parcel.number)
    });
    assert_eq!(order.collect::<Vec<_>>(), [1, 2]);
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parcel {
    pub number: u64,
    pub key: u64,
    pub bytes: usize,
    /// Those of different kinds cannot be in one batch.
    pub kind: u8,
    /// Made and counted; as of deliveries, those of different counts cannot be in one batch either.
    pub attempts: u32,
}

impl Item for Parcel {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn mixes_with(&self, other: &Parcel) -> bool {
        self.kind == other.kind && self.attempts == other.attempts
    }
}
