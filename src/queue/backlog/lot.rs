//! What is attempted at once: one entry, or a batch of them.

use smallvec::SmallVec;

use super::Entry;

/// What is attempted at once. It belongs to the backlog it came from, and goes back there.
#[derive(Debug)]
pub struct Lot<T> {
    pub(super) entries: SmallVec<[Entry<T>; 1]>,
    /// A batch's id, once it has one.
    pub id: Option<Box<str>>,
    /// The other half of what this one was split from, where it must wait for this one.
    pub(super) then: Option<Box<Lot<T>>>,
}

impl<T> Lot<T> {
    pub(super) fn of(entries: SmallVec<[Entry<T>; 1]>) -> Lot<T> {
        Lot { entries, id: None, then: None }
    }

    pub fn items(&self) -> impl ExactSizeIterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.item)
    }

    /// Its items, and those of all that must wait for it.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        std::iter::successors(Some(self), |lot| lot.then.as_deref()).flat_map(Lot::items)
    }

    pub fn items_mut(&mut self) -> impl ExactSizeIterator<Item = &mut T> {
        self.entries.iter_mut().map(|entry| &mut entry.item)
    }

    pub(super) fn has_key(&self, key: u64) -> bool {
        self.entries.iter().any(|entry| entry.key == key) || self.then.as_ref().is_some_and(|then| then.has_key(key))
    }

    /// The one that came first, of those that must wait for it too.
    pub(super) fn oldest(&self) -> Option<&Entry<T>> {
        let then = self.then.as_ref().and_then(|then| then.oldest());
        self.entries.iter().chain(then).min_by_key(|entry| entry.seq)
    }

    /// Each of its keys once.
    pub(super) fn keys(&self) -> SmallVec<[u64; 1]> {
        let mut keys: SmallVec<[u64; 1]> = self.entries.iter().map(|entry| entry.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Its entries, and those of all that must wait for it.
    pub(super) fn into_entries(self) -> Vec<Entry<T>> {
        let mut entries: Vec<_> = self.entries.into_iter().collect();
        entries.extend(self.then.map(|then| then.into_entries()).into_iter().flatten());
        entries
    }
}
