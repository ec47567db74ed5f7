//! Other rules for what waits already.
//!
//! To say what an entry keeps its order among takes a program, and for all of a full queue that can take seconds. So another
//! order finds every entry its place anew, but one after the other, as its caller has time: lots that are out first, for what
//! they keep busy, then what waits, in the order it came. What has its place may go out before the others have theirs, for
//! all that must go before it has one.

use std::time::Instant;

use super::{Backlog, Due, Entry, Item, Lot, Place, Rules};

impl<T: Item> Backlog<T> {
    /// Puts other rules in force under which the order stays as it is. What waits stays where it is, but lots that are larger
    /// than batches may be now: of these each entry is tried on its own.
    pub fn adapt(&mut self, rules: Rules) {
        let indexed = std::mem::replace(&mut self.rules, rules).evicts;
        let misfits: Vec<Due> = self.parked.iter().filter(|(_, lot)| !self.fits(lot)).map(|(due, _)| *due).collect();
        for due in misfits {
            if let Some(lot) = self.parked.remove(&due) {
                self.park(lot, due.0);
            }
        }
        if rules.evicts && !indexed {
            self.index();
        } else if !rules.evicts {
            self.places.clear();
        }
    }

    /// Puts rules in force under which the order is another one. What waits is to be given its place by
    /// [`Backlog::place_next`]; what waits for a retry goes on waiting for its time, but batches are formed anew. `out` are the
    /// lots that are out.
    pub fn reorder<'l>(&mut self, rules: Rules, out: impl Iterator<Item = &'l mut Lot<T>>)
    where
        T: 'l,
    {
        let mut waiting: Vec<Entry<T>> = std::mem::take(&mut self.unplaced).into();
        for ((due, _), lot) in std::mem::take(&mut self.parked) {
            waiting.extend(lot.into_entries().into_iter().map(|entry| Entry { ready: due, ..entry }));
        }
        waiting.extend(self.held.drain(..).flat_map(Lot::into_entries));
        waiting.extend(self.fresh.take_all());
        self.outdated = 0;
        for lot in out {
            waiting.extend(lot.then.take().into_iter().flat_map(|then| then.into_entries()));
            lot.is_outdated = true;
            self.outdated += 1;
        }
        waiting.sort_unstable_by_key(|entry| entry.seq);
        self.unplaced = waiting.into();
        self.reordered = self.arrived;
        self.rules = rules;
        self.fresh = super::Fresh::new(rules.ordered);
        self.places.clear();
        if rules.evicts {
            self.index();
        }
    }

    /// Whether everything has its place in the order in force.
    pub fn is_in_order(&self) -> bool {
        self.outdated == 0 && self.unplaced.is_empty()
    }

    /// Gives a lot that is out, or else the next entry, its place in the order in force, of which `key` says what is kept in
    /// order among what. `out` are the lots that are out.
    pub fn place_next<'l>(&mut self, key: impl Fn(&T) -> u64, mut out: impl Iterator<Item = &'l mut Lot<T>>, now: Instant)
    where
        T: 'l,
    {
        if self.outdated > 0 {
            match out.find(|lot| lot.is_outdated) {
                Some(lot) => self.update(lot, key),
                None => self.outdated = 0,
            }
            return;
        }
        let Some(mut entry) = self.unplaced.pop_front() else { return };
        if self.unplaced.is_empty() {
            self.unplaced = Default::default();
        }
        if entry.seq < self.reordered {
            entry.key = key(&entry.item);
        }
        self.wait(entry, now);
    }

    /// To be told of a lot that comes back before anything else is: its keys may be those of an order of before.
    pub fn update(&mut self, lot: &mut Lot<T>, key: impl Fn(&T) -> u64) {
        if std::mem::take(&mut lot.is_outdated) {
            self.outdated = self.outdated.saturating_sub(1);
            lot.entries.iter_mut().for_each(|entry| entry.key = key(&entry.item));
            lot.keys().into_iter().for_each(|key| self.fresh.occupy(key));
        }
    }

    /// Notes where each entry is that waits and is not held.
    fn index(&mut self) {
        let parked = self.parked.iter().flat_map(|(due, lot)| lot.entries.iter().map(|entry| (entry.seq, Place::Parked(*due))));
        let unplaced = self.unplaced.iter().map(|entry| (entry.seq, Place::Unplaced));
        let fresh = self.fresh.entries().map(|entry| (entry.seq, Place::Fresh(entry.key)));
        self.places = parked.chain(unplaced).chain(fresh).collect();
    }
}
