//! Whose turn it is, of the keys that may go out.

use std::collections::VecDeque;

use crate::queue::room;

/// Keys in the order of their turns; one can be withdrawn wherever it stands.
///
/// **Invariant:** neither the first nor the last was withdrawn, and no more were than were not.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Each with its turn, in their order; no key where one was withdrawn.
    keys: VecDeque<(u64, Option<u64>)>,
    withdrawn: usize,
    given: u64,
}

impl Turns {
    /// Adds a key at the end; says which turn it has.
    pub(super) fn add(&mut self, key: u64) -> u64 {
        self.given += 1;
        self.keys.push_back((self.given, Some(key)));
        self.given
    }

    /// The key that is next.
    pub(super) fn next(&self) -> Option<u64> {
        self.keys.front().and_then(|(_, key)| *key)
    }

    /// Withdraws the key that has this turn.
    pub(super) fn withdraw(&mut self, turn: u64) {
        let Ok(at) = self.keys.binary_search_by_key(&turn, |(turn, _)| *turn) else { return };
        if self.keys[at].1.take().is_none() {
            return;
        }
        self.withdrawn += 1;
        while self.keys.front().is_some_and(|(_, key)| key.is_none()) {
            self.keys.pop_front();
            self.withdrawn -= 1;
        }
        while self.keys.back().is_some_and(|(_, key)| key.is_none()) {
            self.keys.pop_back();
            self.withdrawn -= 1;
        }
        if self.withdrawn > self.keys.len() / 2 {
            self.keys.retain(|(_, key)| key.is_some());
            self.withdrawn = 0;
        }
        room::give_back(&mut self.keys);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.keys.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_withdrawn_is_passed_over_wherever_it_stood() {
        for withdrawn in 0..5 {
            let mut turns = Turns::default();
            let given: Vec<u64> = (10..15).map(|key| turns.add(key)).collect();
            turns.withdraw(given[withdrawn]);
            let last = turns.add(15);
            let mut left: Vec<u64> = (0..5).filter(|n| *n != withdrawn).map(|n| n as u64 + 10).collect();
            left.push(15);
            for key in left {
                assert_eq!(turns.next(), Some(key));
                turns.withdraw(if key == 15 { last } else { given[key as usize - 10] });
            }
            assert_eq!((turns.next(), turns.len()), (None, 0));
        }
    }

    #[test]
    fn behind_one_that_stays_the_withdrawn_do_not_gather() {
        let mut turns = Turns::default();
        let first = turns.add(0);
        for key in 1..100_000 {
            let turn = turns.add(key);
            turns.add(key);
            turns.withdraw(turn);
            turns.withdraw(turn + 1);
        }
        assert_eq!((turns.next(), turns.len()), (Some(0), 1));
        let (mut last, mut most) = (turns.add(1), 0);
        for key in 2..100_000 {
            let turn = turns.add(key);
            turns.withdraw(std::mem::replace(&mut last, turn));
            most = most.max(turns.len());
        }
        assert!(most < 10, "{most} for two");
        turns.withdraw(first);
        assert_eq!(turns.next(), Some(99_999));
    }
}
