//! What waits in one endpoint's queue: whose turn it is, and what goes out together.
//!
//! A delivery comes in as an [`Entry`], with its place in the order of arrival and, where order matters, the key it keeps its
//! order among. What goes out is a [`Lot`]: one entry, or a batch of them. A lot that is out comes back in one of four ways:
//! it is finished, parked until its next attempt, split in halves, or held for the next process. Where order matters a key is
//! busy from the start of a lot to its end, retries included, and nothing else of that key goes out meanwhile.
//!
//! **Invariant:** pure; what is pushed comes out exactly once; entries of one key go out in the order they came; neither fresh
//! ones nor retries wait for the other kind for longer than one turn; and a key that has no entries takes no memory.

mod fresh;
mod lot;
mod reorder;
#[cfg(test)]
pub(super) mod simulation;
#[cfg(test)]
mod tests;
mod turns;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Instant,
};

use smallvec::{SmallVec, smallvec};

use self::fresh::Fresh;
pub use self::lot::Lot;
#[cfg(test)]
pub(crate) use self::simulation::{Random, seeds};
use crate::endpoint::Batch;

/// How an endpoint's deliveries go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Entries of one key go out one after the other.
    pub ordered: bool,
    pub batch: Option<Batch>,
    /// Whether [`Backlog::evict`] will be asked: finding the oldest takes an index.
    pub evicts: bool,
}

/// What a backlog needs to know of a delivery.
pub trait Item {
    /// What it adds to a batch's body, with what parts it from the next.
    fn bytes(&self) -> usize;

    /// Whether both may stand in one batch.
    fn mixes_with(&self, other: &Self) -> bool;
}

/// One that waits, or is out in a lot.
#[derive(Debug)]
struct Entry<T> {
    item: T,
    key: u64,
    /// The order of arrival.
    seq: u64,
    /// When it came, or when it may be tried again.
    ready: Instant,
}

/// Most lots are of one.
type Entries<T> = SmallVec<[Entry<T>; 1]>;

/// An endpoint's deliveries that are not being attempted.
#[derive(Debug)]
pub struct Backlog<T> {
    rules: Rules,
    fresh: Fresh<T>,
    parked: BTreeMap<Due, Lot<T>>,
    /// Tried while draining, in vain.
    held: Vec<Lot<T>>,
    /// In the order they came: since the order has changed they have no place among these others.
    unplaced: VecDeque<Entry<T>>,
    /// How many lots are out whose keys are those of an order of before: until all have new ones, no entry gets its place.
    outdated: usize,
    /// What came before this was given its key by an order of before.
    reordered: u64,
    /// Where each waiting entry is, by its age; kept only where the oldest may be asked for.
    places: BTreeMap<u64, Place>,
    arrived: u64,
    parked_ever: u64,
    fresh_is_next: bool,
    /// Batches wait for nothing more.
    flushing: bool,
}

/// When a lot is due; of two at the same time the one that was parked first.
type Due = (Instant, u64);

#[derive(Clone, Copy, Debug)]
enum Place {
    Fresh(u64),
    Parked(Due),
    Unplaced,
}

impl<T: Item> Backlog<T> {
    pub fn new(rules: Rules) -> Backlog<T> {
        Backlog {
            rules,
            fresh: Fresh::new(rules.ordered),
            parked: BTreeMap::new(),
            held: Vec::new(),
            unplaced: VecDeque::new(),
            outdated: 0,
            reordered: 0,
            places: BTreeMap::new(),
            arrived: 0,
            parked_ever: 0,
            fresh_is_next: true,
            flushing: false,
        }
    }

    /// Whether nothing waits; what is held does not count.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.parked.is_empty() && self.unplaced.is_empty()
    }

    /// Whether nothing could go out, now or later, unless a lot that is out comes back first.
    pub fn is_stuck(&self) -> bool {
        self.fresh.available().0 == 0 && self.parked.is_empty() && self.is_in_order()
    }

    /// Of what waits, held or not, the one that came first.
    pub fn oldest(&self) -> Option<&T> {
        let parked = self.parked.values().chain(&self.held).filter_map(Lot::oldest);
        parked.chain(self.fresh.oldest()).chain(self.unplaced.front()).min_by_key(|entry| entry.seq).map(|entry| &entry.item)
    }

    /// What waits, held or not, in no order.
    #[cfg(test)]
    pub fn items(&self) -> impl Iterator<Item = &T> {
        let mut chains: Vec<&Lot<T>> = self.parked.values().chain(&self.held).collect();
        let mut at = 0;
        while let Some(lot) = chains.get(at) {
            chains.extend(lot.then.as_deref());
            at += 1;
        }
        let alone = self.fresh.entries().chain(&self.unplaced).map(|entry| &entry.item);
        alone.chain(chains.into_iter().flat_map(Lot::items))
    }

    /// Adds one that has not been tried; it keeps its order among those of the same `key`.
    pub fn push(&mut self, item: T, key: u64, now: Instant) {
        let seq = self.arrived;
        self.arrived += 1;
        let entry = Entry { item, key, seq, ready: now };
        if self.is_placed_up_to(seq) {
            self.wait(entry, now);
        } else {
            self.stay_unplaced(entry);
        }
    }

    /// The next to be tried now, if any is. Fresh ones and those whose time has come take turns.
    pub fn next(&mut self, now: Instant) -> Option<Lot<T>> {
        let is_due = self.parked.first_key_value().is_some_and(|((due, _), _)| *due <= now);
        let fresh = (self.fresh_is_next || !is_due).then(|| self.next_fresh(now)).flatten();
        if fresh.is_some() {
            self.fresh_is_next = !is_due;
            return fresh;
        }
        let lot = if is_due { self.next_parked() } else { None };
        // A turn that was not taken is no reason to wait.
        lot.inspect(|_| self.fresh_is_next = true).or_else(|| self.next_fresh(now))
    }

    /// Takes one that is parked, due or not, the earliest first.
    pub fn next_parked(&mut self) -> Option<Lot<T>> {
        let (_, lot) = self.parked.pop_first()?;
        self.forget(&lot);
        Some(lot)
    }

    /// When there may be something to be tried, if nothing else happens before.
    pub fn wake(&self) -> Option<Instant> {
        let parked = self.parked.first_key_value().map(|((due, _), _)| *due);
        let fresh = self.fresh.since().map(|since| match self.rules.batch {
            Some(batch) if !self.is_full(batch) => since + batch.max_wait,
            _ => since,
        });
        parked.into_iter().chain(fresh).min()
    }

    /// Lets batches go out as they are from now on.
    pub fn flush(&mut self) {
        self.flushing = true;
    }

    /// A lot has ended, well or not: these are its deliveries.
    pub fn finish(&mut self, lot: Lot<T>, now: Instant) -> SmallVec<[T; 1]> {
        self.end(lot, now).into_iter().map(|entry| entry.item).collect()
    }

    fn end(&mut self, mut lot: Lot<T>, now: Instant) -> Entries<T> {
        let then = lot.then.take();
        // One that is outdated keeps nothing busy.
        if self.rules.ordered && !lot.is_outdated {
            let free = match &then {
                Some(then) => then.lacks(lot.keys()),
                None => lot.keys(),
            };
            free.into_iter().for_each(|key| self.release(key, now));
        }
        if let Some(then) = then {
            self.park(*then, now);
        }
        lot.entries
    }

    /// Of a lot that is out these have ended, and the rest goes on without them; at least one must be left. `ended` is asked
    /// of each, in order.
    pub fn finish_some(&mut self, lot: &mut Lot<T>, ended: impl FnMut(&T) -> bool, now: Instant) -> Vec<T> {
        let mut is_over: SmallVec<[bool; 16]> = lot.items().map(ended).collect();
        if !is_over.contains(&true) {
            return Vec::new();
        }
        if !is_over.contains(&false) {
            is_over[0] = false;
        }
        let mut is_over = is_over.into_iter();
        let (over, left): (Entries<T>, Entries<T>) =
            std::mem::take(&mut lot.entries).into_iter().partition(|_| is_over.next() == Some(true));
        lot.entries = left;
        self.part(lot, lot::keys(&over), now);
        over.into_iter().map(|entry| entry.item).collect()
    }

    /// A lot is to be tried again at `due`; each of its own if so large a batch is no longer wanted.
    pub fn park(&mut self, lot: Lot<T>, due: Instant) {
        if !self.fits(&lot) {
            return self.park_each(lot, due);
        }
        let due = (due, self.parked_ever);
        self.parked_ever += 1;
        if self.rules.evicts {
            self.places.extend(lot.entries.iter().map(|entry| (entry.seq, Place::Parked(due))));
        }
        self.parked.insert(due, lot);
    }

    /// Whether a lot is what the rules in force allow.
    fn fits(&self, lot: &Lot<T>) -> bool {
        lot.entries.len() == 1
            || self.rules.batch.is_some_and(|batch| {
                let bytes = BRACKET + lot.items().map(Item::bytes).sum::<usize>();
                lot.entries.len() <= batch.max_events && bytes <= batch.max_bytes
            })
    }

    /// Parks each entry alone, and those behind it too; where order matters the first of each key, and the others of that key
    /// wait in line.
    fn park_each(&mut self, lot: Lot<T>, due: Instant) {
        let mut parked = HashSet::new();
        for entry in lot.into_entries() {
            let entry = Entry { ready: due, ..entry };
            if !self.rules.ordered || parked.insert(entry.key) {
                self.park(Lot::of(smallvec![entry]), due);
            } else if self.is_placed_up_to(entry.seq) {
                // Its key is busy, so that it is at the head of nothing yet.
                self.line_up(entry);
            } else {
                self.stay_unplaced(entry);
            }
        }
    }

    /// A lot of more than one is to be tried again as two, from now on; where order matters one after the other.
    pub fn split(&mut self, mut lot: Lot<T>, now: Instant) {
        let mut entries: Vec<_> = std::mem::take(&mut lot.entries).into_iter().collect();
        let second = Lot::of(entries.split_off(entries.len().div_ceil(2)).into_iter().collect());
        let mut first = Lot::of(entries.into_iter().collect());
        if self.rules.ordered {
            first.then = Some(Box::new(Lot { then: lot.then.take(), ..second }));
            self.park(first, now);
        } else {
            self.park(first, now);
            self.park(second, now);
        }
    }

    /// A lot is not to be tried again by this process, nor anything that must wait for it.
    pub fn hold(&mut self, lot: Lot<T>) {
        self.held.push(lot);
    }

    /// Takes the oldest that waits and is not held.
    pub fn evict(&mut self, now: Instant) -> Option<T> {
        let (seq, place) = self.places.pop_first()?;
        match place {
            Place::Fresh(key) => {
                let entry = self.fresh.remove(key, seq)?;
                self.advance(key, now);
                Some(entry.item)
            }
            Place::Parked(due) => self.evict_parked(due, seq, now),
            Place::Unplaced => {
                let at = self.unplaced.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
                self.unplaced.remove(at).map(|entry| entry.item)
            }
        }
    }

    /// Everything that is not out has ended, in the order it came. What comes later finds its way as ever.
    pub fn finish_all(&mut self, now: Instant) -> Vec<T> {
        let mut entries = self.take_entries(now);
        entries.sort_unstable_by_key(|entry| entry.seq);
        entries.into_iter().map(|entry| entry.item).collect()
    }

    fn wait(&mut self, entry: Entry<T>, now: Instant) {
        let key = entry.key;
        if self.line_up(entry) {
            self.advance(key, now);
        }
    }

    /// Whether all that came before this has its place in the order in force.
    fn is_placed_up_to(&self, seq: u64) -> bool {
        self.outdated == 0 && self.unplaced.front().is_none_or(|first| seq < first.seq)
    }

    /// While the order changes: an entry gets its place after those that came before it.
    fn stay_unplaced(&mut self, entry: Entry<T>) {
        if self.rules.evicts {
            self.places.insert(entry.seq, Place::Unplaced);
        }
        let at = self.unplaced.partition_point(|other| other.seq < entry.seq);
        self.unplaced.insert(at, entry);
    }

    /// Says whether it may be at the head of what may go out.
    fn line_up(&mut self, entry: Entry<T>) -> bool {
        if self.rules.evicts {
            self.places.insert(entry.seq, Place::Fresh(entry.key));
        }
        self.fresh.add(entry)
    }

    /// The last lot of `key` that was out has ended.
    fn release(&mut self, key: u64, now: Instant) {
        if self.fresh.release(key) {
            self.advance(key, now);
        }
    }

    /// Parks what is at the head of a free key, or of the only line, for as long as its time has not come.
    fn advance(&mut self, key: u64, now: Instant) {
        while let Some(entry) = self.fresh.take_unready(key, now) {
            let due = entry.ready;
            self.park(Lot::of(smallvec![entry]), due);
        }
    }

    fn next_fresh(&mut self, now: Instant) -> Option<Lot<T>> {
        let (events, bytes) = match self.rules.batch {
            None => (1, usize::MAX),
            Some(batch) if self.flushing || self.is_full(batch) || self.fresh.since()? + batch.max_wait <= now => {
                (batch.max_events, batch.max_bytes.saturating_sub(BRACKET))
            }
            Some(_) => return None,
        };
        let mut entries = self.fresh.take(events, bytes, now);
        if entries.is_empty() {
            return None;
        }
        if entries.len() > 1 {
            entries.sort_unstable_by_key(|entry| entry.seq);
        }
        let lot = Lot::of(entries);
        self.forget(&lot);
        Some(lot)
    }

    fn is_full(&self, batch: Batch) -> bool {
        let (events, bytes) = self.fresh.available();
        events >= batch.max_events || bytes + BRACKET >= batch.max_bytes || self.fresh.is_mixed()
    }

    fn forget(&mut self, lot: &Lot<T>) {
        if self.rules.evicts {
            lot.entries.iter().for_each(|entry| {
                self.places.remove(&entry.seq);
            });
        }
    }

    fn evict_parked(&mut self, due: Due, seq: u64, now: Instant) -> Option<T> {
        let mut lot = self.parked.remove(&due)?;
        let at = lot.entries.iter().position(|entry| entry.seq == seq)?;
        if lot.entries.len() == 1 {
            return self.finish(lot, now).pop();
        }
        let evicted = lot.entries.remove(at);
        self.part(&mut lot, smallvec![evicted.key], now);
        self.parked.insert(due, lot);
        Some(evicted.item)
    }

    /// Some with these keys, sorted, were taken out of a lot.
    fn part(&mut self, lot: &mut Lot<T>, keys: SmallVec<[u64; 1]>, now: Instant) {
        // What it is no longer must not pass for what it was.
        lot.id = None;
        if self.rules.ordered {
            lot.lacks(keys).into_iter().for_each(|key| self.release(key, now));
        }
    }

    /// Takes everything that waits; no key is busy but those of lots that are out.
    fn take_entries(&mut self, now: Instant) -> Vec<Entry<T>> {
        let mut entries = Vec::new();
        loop {
            // What waited for one of these is parked next.
            if let Some(((due, _), lot)) = self.parked.pop_first() {
                entries.extend(self.end(lot, now).into_iter().map(|entry| Entry { ready: due, ..entry }));
            } else if let Some(lot) = self.held.pop() {
                entries.extend(self.end(lot, now));
            } else {
                break;
            }
        }
        entries.extend(self.fresh.take_all());
        entries.extend(std::mem::take(&mut self.unplaced));
        self.places.clear();
        entries
    }
}

/// What a batch's body has beside its elements, each with what parts it from the next: of `[` and `]` one, for after the last
/// there is no comma.
const BRACKET: usize = 1;
