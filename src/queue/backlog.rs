//! What waits in one endpoint's queue, and whose turn it is.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

/// Deliveries that wait: fresh ones in the order they came, failed ones until their time.
///
/// **Invariant:** pure; what is pushed or parked comes out exactly once, fresh ones in their order, and neither kind waits
/// for the other for longer than one turn.
#[derive(Debug)]
pub struct Backlog<T> {
    fresh: VecDeque<T>,
    parked: BTreeMap<(Instant, u64), T>,
    parked_ever: u64,
    fresh_is_next: bool,
}

impl<T> Default for Backlog<T> {
    fn default() -> Backlog<T> {
        Backlog { fresh: VecDeque::new(), parked: BTreeMap::new(), parked_ever: 0, fresh_is_next: true }
    }
}

impl<T> Backlog<T> {
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.parked.is_empty()
    }

    /// Adds one that has not been tried.
    pub fn push(&mut self, delivery: T) {
        self.fresh.push_back(delivery);
    }

    /// Adds one that is to be tried at `due`.
    pub fn park(&mut self, delivery: T, due: Instant) {
        self.parked.insert((due, self.parked_ever), delivery);
        self.parked_ever += 1;
    }

    /// The next to be tried now, if any is. Fresh ones and those whose time has come take turns.
    pub fn next(&mut self, now: Instant) -> Option<T> {
        let due = self.parked.first_entry().filter(|entry| entry.key().0 <= now);
        match due {
            Some(_) if self.fresh_is_next && !self.fresh.is_empty() => {
                self.fresh_is_next = false;
                self.fresh.pop_front()
            }
            Some(entry) => {
                self.fresh_is_next = true;
                Some(entry.remove())
            }
            None => {
                let fresh = self.fresh.pop_front();
                self.let_go_of_room();
                fresh
            }
        }
    }

    /// When the first of those that are parked is to be tried; `None` where none is.
    pub fn next_due(&self) -> Option<Instant> {
        self.parked.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes one that is parked, due or not, the earliest first.
    pub fn unpark(&mut self) -> Option<T> {
        self.parked.pop_first().map(|(_, delivery)| delivery)
    }

    /// Takes everything out: parked ones first, for they are older.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.parked).into_values().chain(std::mem::take(&mut self.fresh))
    }

    /// Gives a burst's memory back once the burst is over.
    fn let_go_of_room(&mut self) {
        if self.fresh.capacity() > 1024 && self.fresh.len() < self.fresh.capacity() / 8 {
            self.fresh.shrink_to(self.fresh.capacity() / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fresh_and_due_ones_take_turns() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        (1..=3).for_each(|n| backlog.push(n));
        (11..=13).for_each(|n| backlog.park(n, now));
        let order: Vec<_> = std::iter::from_fn(|| backlog.next(now)).collect();
        assert_eq!(order, [1, 11, 2, 12, 3, 13]);
    }

    #[test]
    fn a_parked_one_waits_for_its_time_and_holds_nobody_up() {
        let now = Instant::now();
        let later = now + Duration::from_secs(5);
        let mut backlog = Backlog::default();
        backlog.park("retry", later);
        backlog.push("fresh");
        assert_eq!((backlog.next(now), backlog.next(now)), (Some("fresh"), None));
        assert_eq!((backlog.next_due(), backlog.next(later)), (Some(later), Some("retry")));
        assert!(backlog.is_empty());
    }

    proptest! {
        #[test]
        fn everything_comes_out_once_and_fresh_ones_in_their_order(steps in proptest::collection::vec((0u8..4, 0u64..50), 1..300)) {
            let start = Instant::now();
            let (mut backlog, mut now, mut out) = (Backlog::default(), start, Vec::new());
            for (n, (step, millis)) in steps.iter().enumerate() {
                match step {
                    0 => backlog.push((n, true)),
                    1 => backlog.park((n, false), now + Duration::from_millis(*millis)),
                    2 => now += Duration::from_millis(*millis),
                    _ => out.extend(backlog.next(now)),
                }
            }
            out.extend(backlog.take_all());
            let fresh: Vec<_> = out.iter().filter(|(_, fresh)| *fresh).collect();
            prop_assert!(fresh.is_sorted());
            out.sort_unstable();
            let pushed: Vec<_> = steps.iter().enumerate().filter(|(_, step)| step.0 < 2).map(|(n, step)| (n, step.0 == 0)).collect();
            prop_assert_eq!(out, pushed);
        }
    }
}
