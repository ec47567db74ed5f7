//! What is attempted at once: one entry, or a batch of them.

use smallvec::SmallVec;

use super::{Entries, Entry};

/// What is attempted at once. It belongs to the backlog it came from, and goes back there.
#[derive(Debug)]
pub struct Lot<T> {
    pub(super) entries: Entries<T>,
    /// A batch's id, once it has one.
    pub id: Option<Box<str>>,
    /// The other half of what this one was split from, where it must wait for this one.
    pub(super) then: Option<Box<Lot<T>>>,
    /// Its keys are those of an order that is no longer in force.
    pub(super) is_outdated: bool,
}

impl<T> Lot<T> {
    pub(super) fn of(entries: Entries<T>) -> Lot<T> {
        Lot { entries, id: None, then: None, is_outdated: false }
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

    /// Those of `keys`, sorted, that neither it nor anything that must wait for it has.
    pub(super) fn lacks(&self, keys: SmallVec<[u64; 1]>) -> SmallVec<[u64; 1]> {
        let (mut has, mut found) = (SmallVec::<[bool; 16]>::from_elem(false, keys.len()), 0);
        for entry in self.chain().flat_map(|lot| &lot.entries) {
            if found == keys.len() {
                break;
            }
            if let Ok(at) = keys.binary_search(&entry.key) {
                found += usize::from(!std::mem::replace(&mut has[at], true));
            }
        }
        keys.into_iter().zip(has).filter(|(_, has)| !has).map(|(key, _)| key).collect()
    }

    /// It, and what must wait for it.
    fn chain(&self) -> impl Iterator<Item = &Lot<T>> {
        std::iter::successors(Some(self), |lot| lot.then.as_deref())
    }

    /// The one that came first, of those that must wait for it too.
    pub(super) fn oldest(&self) -> Option<&Entry<T>> {
        let then = self.then.as_ref().and_then(|then| then.oldest());
        self.entries.iter().chain(then).min_by_key(|entry| entry.seq)
    }

    /// Each of its keys once, sorted.
    pub(super) fn keys(&self) -> SmallVec<[u64; 1]> {
        keys(&self.entries)
    }

    /// Its entries, and those of all that must wait for it.
    pub(super) fn into_entries(self) -> Vec<Entry<T>> {
        let mut entries: Vec<_> = self.entries.into_iter().collect();
        entries.extend(self.then.map(|then| then.into_entries()).into_iter().flatten());
        entries
    }
}

/// Each of their keys once, sorted.
pub(super) fn keys<T>(entries: &[Entry<T>]) -> SmallVec<[u64; 1]> {
    let mut keys: SmallVec<[u64; 1]> = entries.iter().map(|entry| entry.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
