//! What may go out as soon as it is its turn.

use std::{
    collections::{HashMap, VecDeque, hash_map},
    time::Instant,
};

use smallvec::{SmallVec, smallvec};

use super::{Entry, Item};
use crate::queue::room;

/// Entries in one line, or in a strand for each key.
///
/// **Invariant:** a strand is there as long as it has entries or is busy; `ready` names those that are not busy, once each.
#[derive(Debug)]
pub(super) enum Fresh<T> {
    Line(Run<T>),
    Strands {
        strands: HashMap<u64, Strand<T>>,
        /// Keys that are free and have entries.
        ready: VecDeque<u64>,
        /// Of those that are free, and their bytes.
        events: usize,
        bytes: usize,
        /// Of all.
        waiting: usize,
    },
}

/// Entries of one key.
#[derive(Debug)]
pub(super) struct Strand<T> {
    run: Run<T>,
    /// Lots of this key that have not ended: several only where the order was changed meanwhile.
    busy: u32,
}

/// Entries in the order they came.
#[derive(Debug)]
pub(super) struct Run<T> {
    entries: VecDeque<Entry<T>>,
    bytes: usize,
}

impl<T: Item> Fresh<T> {
    pub(super) fn new(ordered: bool) -> Fresh<T> {
        match ordered {
            false => Fresh::Line(Run::default()),
            true => Fresh::Strands { strands: HashMap::new(), ready: VecDeque::new(), events: 0, bytes: 0, waiting: 0 },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Fresh::Line(run) => run.entries.is_empty(),
            Fresh::Strands { waiting, .. } => *waiting == 0,
        }
    }

    #[cfg(test)]
    pub(super) fn items(&self) -> impl Iterator<Item = &T> {
        let (line, strands) = match self {
            Fresh::Line(run) => (Some(run), None),
            Fresh::Strands { strands, .. } => (None, Some(strands.values().map(|strand| &strand.run))),
        };
        line.into_iter().chain(strands.into_iter().flatten()).flat_map(|run| run.entries.iter().map(|entry| &entry.item))
    }

    /// The one that came first.
    pub(super) fn oldest(&self) -> Option<&Entry<T>> {
        match self {
            Fresh::Line(run) => run.entries.front(),
            Fresh::Strands { strands, .. } => {
                strands.values().filter_map(|strand| strand.run.entries.front()).min_by_key(|entry| entry.seq)
            }
        }
    }

    /// Adds an entry, in the order of arrival; says whether it may be at the head of what may go out.
    pub(super) fn add(&mut self, entry: Entry<T>) -> bool {
        match self {
            Fresh::Line(run) => {
                run.push(entry);
                // Whatever has to wait for its time is alone there: nobody waits behind it.
                true
            }
            Fresh::Strands { strands, ready, events, bytes, waiting } => {
                *waiting += 1;
                let (key, size) = (entry.key, entry.item.bytes());
                let strand = strands.entry(key).or_default();
                if strand.run.entries.capacity() == 0 {
                    // Most keys have one entry at a time, and there may be as many keys as events.
                    strand.run.entries.reserve_exact(1);
                }
                strand.run.push(entry);
                let is_free = strand.busy == 0;
                if is_free {
                    (*events, *bytes) = (*events + 1, *bytes + size);
                    if strand.run.entries.len() == 1 {
                        ready.push_back(key);
                    }
                }
                is_free && strand.run.entries.len() == 1
            }
        }
    }

    /// How many could go out now, and their bytes.
    pub(super) fn available(&self) -> (usize, usize) {
        match self {
            Fresh::Line(run) => (run.entries.len(), run.bytes),
            Fresh::Strands { events, bytes, .. } => (*events, *bytes),
        }
    }

    /// Whether what could go out cannot all stand in one batch: a batch then need not wait for more.
    pub(super) fn is_mixed(&self) -> bool {
        let apart = |run: &Run<T>| match (run.entries.front(), run.entries.back()) {
            (Some(front), Some(back)) => !front.item.mixes_with(&back.item),
            _ => false,
        };
        match self {
            Fresh::Line(run) => apart(run),
            Fresh::Strands { strands, ready, .. } => {
                ready.front().and_then(|key| strands.get(key)).is_some_and(|s| apart(&s.run))
            }
        }
    }

    /// Since when the next one has been ready.
    pub(super) fn since(&self) -> Option<Instant> {
        match self {
            Fresh::Line(run) => run.entries.front(),
            Fresh::Strands { strands, ready, .. } => strands.get(ready.front()?)?.run.entries.front(),
        }
        .map(|entry| entry.ready)
    }

    /// Takes at most so many that can stand in one batch and whose time has come, and at least one if there is one; their keys
    /// are busy then.
    pub(super) fn take(&mut self, events: usize, bytes: usize, now: Instant) -> SmallVec<[Entry<T>; 1]> {
        match self {
            Fresh::Line(run) => {
                let Some(first) = run.pop() else { return SmallVec::new() };
                let mut taken = smallvec![first];
                run.join(&mut taken, events, bytes, now);
                room::give_back(&mut run.entries);
                taken
            }
            Fresh::Strands { strands, ready, events: all_events, bytes: all_bytes, waiting } => {
                let mut taken: SmallVec<[Entry<T>; 1]> = SmallVec::new();
                while let Some(key) = ready.front().copied() {
                    let Some(strand) = strands.get_mut(&key) else { break };
                    let before = (strand.run.entries.len(), strand.run.bytes);
                    let had = taken.len();
                    if taken.is_empty() {
                        taken.extend(strand.run.pop());
                    }
                    strand.run.join(&mut taken, events, bytes, now);
                    if taken.len() == had {
                        break;
                    }
                    strand.occupy();
                    ready.pop_front();
                    (*all_events, *all_bytes) = (*all_events - before.0, *all_bytes - before.1);
                }
                *waiting -= taken.len();
                room::give_back(ready);
                taken
            }
        }
    }

    /// Takes the head of a key, or of the line, if its time has not come; its key is busy then.
    pub(super) fn take_unready(&mut self, key: u64, now: Instant) -> Option<Entry<T>> {
        let is_unready = |entry: Option<&Entry<T>>| entry.is_some_and(|entry| entry.ready > now);
        match self {
            // It was added last.
            Fresh::Line(run) if is_unready(run.entries.back()) => run.pop_back(),
            Fresh::Line(_) => None,
            Fresh::Strands { strands, ready, events, bytes, waiting } => {
                let strand = strands.get_mut(&key)?;
                if strand.busy > 0 || !is_unready(strand.run.entries.front()) {
                    return None;
                }
                (*events, *bytes) = (*events - strand.run.entries.len(), *bytes - strand.run.bytes);
                ready.retain(|free| *free != key);
                *waiting -= 1;
                let entry = strand.run.pop();
                strand.occupy();
                entry
            }
        }
    }

    /// A lot with this key is out already.
    pub(super) fn occupy(&mut self, key: u64) {
        if let Fresh::Strands { strands, .. } = self {
            strands.entry(key).or_default().busy += 1;
        }
    }

    /// A lot with this key has ended; says whether the key is free now and has something that waits.
    pub(super) fn release(&mut self, key: u64) -> bool {
        let Fresh::Strands { strands, ready, events, bytes, .. } = self else { return false };
        let hash_map::Entry::Occupied(mut strand) = strands.entry(key) else { return false };
        strand.get_mut().busy = strand.get().busy.saturating_sub(1);
        if strand.get().busy > 0 {
            return false;
        }
        if strand.get().run.entries.is_empty() {
            strand.remove();
            if room::is_much(strands.len(), strands.capacity()) {
                strands.shrink_to(strands.capacity() / 2);
            }
            return false;
        }
        let run = &strand.get().run;
        (*events, *bytes) = (*events + run.entries.len(), *bytes + run.bytes);
        ready.push_back(key);
        true
    }

    /// Takes the entry `seq` of `key`.
    pub(super) fn remove(&mut self, key: u64, seq: u64) -> Option<Entry<T>> {
        match self {
            Fresh::Line(run) => run.remove(seq),
            Fresh::Strands { strands, ready, events, bytes, waiting } => {
                let strand = strands.get_mut(&key)?;
                let entry = strand.run.remove(seq)?;
                *waiting -= 1;
                if strand.busy == 0 {
                    (*events, *bytes) = (*events - 1, *bytes - entry.item.bytes());
                    if strand.run.entries.is_empty() {
                        strands.remove(&key);
                        ready.retain(|free| *free != key);
                    }
                }
                Some(entry)
            }
        }
    }

    /// Takes everything out; keys that are busy stay so.
    pub(super) fn take_all(&mut self) -> Vec<Entry<T>> {
        match self {
            Fresh::Line(run) => std::mem::take(run).entries.into(),
            Fresh::Strands { strands, ready, events, bytes, waiting } => {
                let entries = strands.values_mut().flat_map(|strand| std::mem::take(&mut strand.run).entries).collect();
                strands.retain(|_, strand| strand.busy > 0);
                strands.shrink_to_fit();
                *ready = VecDeque::new();
                (*events, *bytes, *waiting) = (0, 0, 0);
                entries
            }
        }
    }
}

impl<T: Item> Strand<T> {
    /// A lot of this key goes out, and may come back when a retry is due and no sooner: meanwhile it takes no room.
    fn occupy(&mut self) {
        self.busy += 1;
        match self.run.entries.is_empty() {
            true => self.run = Run::default(),
            false => room::give_back(&mut self.run.entries),
        }
    }
}

impl<T: Item> Run<T> {
    fn push(&mut self, entry: Entry<T>) {
        self.bytes += entry.item.bytes();
        match self.entries.back() {
            // It was out, and is tried again.
            Some(last) if last.seq > entry.seq => {
                let at = self.entries.partition_point(|other| other.seq < entry.seq);
                self.entries.insert(at, entry);
            }
            _ => self.entries.push_back(entry),
        }
    }

    fn pop(&mut self) -> Option<Entry<T>> {
        self.entries.pop_front().inspect(|entry| self.bytes -= entry.item.bytes())
    }

    fn pop_back(&mut self) -> Option<Entry<T>> {
        self.entries.pop_back().inspect(|entry| self.bytes -= entry.item.bytes())
    }

    /// Moves on to `taken` what fits there, in order.
    fn join(&mut self, taken: &mut SmallVec<[Entry<T>; 1]>, events: usize, bytes: usize, now: Instant) {
        if events <= taken.len() {
            return;
        }
        let mut room = bytes.saturating_sub(taken.iter().map(|entry| entry.item.bytes()).sum());
        let fits = |entry: &Entry<T>, taken: &[Entry<T>], room: usize| {
            taken.len() < events
                && entry.ready <= now
                && entry.item.bytes() <= room
                && taken.first().is_some_and(|first| first.item.mixes_with(&entry.item))
        };
        while self.entries.front().is_some_and(|entry| fits(entry, taken, room)) {
            let Some(entry) = self.pop() else { break };
            room -= entry.item.bytes();
            taken.push(entry);
        }
    }

    fn remove(&mut self, seq: u64) -> Option<Entry<T>> {
        let at = self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        self.entries.remove(at).inspect(|entry| self.bytes -= entry.item.bytes())
    }
}

impl<T> Default for Run<T> {
    fn default() -> Run<T> {
        Run { entries: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Default for Strand<T> {
    fn default() -> Strand<T> {
        Strand { run: Run::default(), busy: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sized;

    impl Item for Sized {
        fn bytes(&self) -> usize {
            1
        }

        fn mixes_with(&self, _: &Sized) -> bool {
            true
        }
    }

    fn filled(ordered: bool, now: Instant) -> Fresh<Sized> {
        let mut fresh = Fresh::new(ordered);
        for n in 0..50_000 {
            fresh.add(Entry { item: Sized, key: n, seq: n, ready: now });
        }
        fresh
    }

    /// Of the line, of the strands, and of what names those that are ready.
    fn room<T>(fresh: &Fresh<T>) -> [usize; 3] {
        match fresh {
            Fresh::Line(run) => [run.entries.capacity(), 0, 0],
            Fresh::Strands { strands, ready, .. } => [0, strands.capacity(), ready.capacity()],
        }
    }

    #[test]
    fn the_memory_of_a_burst_is_given_back_when_it_is_over() {
        let now = Instant::now();
        for ordered in [false, true] {
            let mut fresh = filled(ordered, now);
            while let Some(entry) = fresh.take(1, 1, now).pop() {
                fresh.release(entry.key);
            }
            assert!(room(&fresh).iter().all(|room| *room < 3000), "delivered: {:?}", room(&fresh));
            let mut fresh = filled(ordered, now);
            assert_eq!(fresh.take_all().len(), 50_000);
            assert_eq!(room(&fresh), [0; 3], "taken");
        }
    }

    #[test]
    fn a_key_takes_room_for_no_more_than_it_has() {
        let now = Instant::now();
        let mut fresh = filled(true, now);
        let most = |fresh: &Fresh<Sized>| match fresh {
            Fresh::Line(_) => None,
            Fresh::Strands { strands, .. } => strands.values().map(|strand| strand.run.entries.capacity()).max(),
        };
        assert_eq!(most(&fresh), Some(1));
        while !fresh.take(1, 1, now).is_empty() {}
        assert_eq!(most(&fresh), Some(0), "keys that are busy with what is parked");
    }
}
