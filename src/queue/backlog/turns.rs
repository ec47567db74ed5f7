//! Whose turn it is, of the keys that may go out.

use std::collections::VecDeque;

/// Keys in the order of their turns; one can be withdrawn wherever it stands.
///
/// **Invariant:** neither the first nor the last was withdrawn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// None where one was withdrawn.
    keys: VecDeque<Option<u64>>,
    /// The turn of the first.
    first: u64,
}

impl Turns {
    /// Adds a key at the end; says which turn it has.
    pub(super) fn add(&mut self, key: u64) -> u64 {
        self.keys.push_back(Some(key));
        self.first + self.keys.len() as u64 - 1
    }

    /// The key that is next.
    pub(super) fn next(&self) -> Option<u64> {
        self.keys.front().copied().flatten()
    }

    /// Withdraws the key that has this turn.
    pub(super) fn withdraw(&mut self, turn: u64) {
        if let Some(key) = self.keys.get_mut((turn - self.first) as usize) {
            *key = None;
        }
        while self.keys.front().is_some_and(Option::is_none) {
            self.keys.pop_front();
            self.first += 1;
        }
        while self.keys.back().is_some_and(Option::is_none) {
            self.keys.pop_back();
        }
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
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
}
