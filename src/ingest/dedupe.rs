//! Which ids were accepted before, so that an event that is posted again is not delivered again.
//!
//! In come the ids that apps gave (those that sidehook makes are new by their making); out goes what was answered the first
//! time. An id takes about 220 bytes with its text of 36: its key, its entry in the map and its turn; types and lists of
//! endpoints are shared by all who have the same.
//!
//! **Invariant:** an id is known from the moment its request is being accepted, and no longer once that was refused.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use smallvec::SmallVec;

/// How much is remembered: so many ids, each for so long, whichever ends first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub ids: usize,
    pub window: Duration,
}

/// What an event is known by: an id is unique within its source (CloudEvents 1.0).
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub source: &'a str,
    pub id: &'a str,
}

/// What is known of an event that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Memo {
    pub event_type: Arc<str>,
    pub endpoints: Arc<[Arc<str>]>,
    since: Instant,
}

/// Every id that is known, the latest last. One per sidecar.
#[derive(Default)]
pub(super) struct Memory {
    known: HashMap<Arc<str>, Memo>,
    order: VecDeque<Arc<str>>,
    types: HashSet<Arc<str>>,
    lists: HashSet<Arc<[Arc<str>]>>,
    /// Where a key is put together.
    key: String,
}

impl Memory {
    /// What was accepted by that id within the window.
    fn find(&mut self, name: Name<'_>, window: Duration, now: Instant) -> Option<Memo> {
        self.key(name);
        let memo = self.known.get(self.key.as_str())?;
        (now.saturating_duration_since(memo.since) <= window).then(|| memo.clone())
    }

    fn remember(&mut self, name: Name<'_>, event_type: &str, endpoints: &[Arc<str>], now: Instant) -> Arc<str> {
        let key: Arc<str> = self.key(name).into();
        self.forget(&key);
        let event_type = shared(&mut self.types, event_type);
        let endpoints = shared(&mut self.lists, endpoints);
        self.order.push_back(Arc::clone(&key));
        self.known.insert(Arc::clone(&key), Memo { event_type, endpoints, since: now });
        key
    }

    fn forget(&mut self, key: &str) {
        let Some((key, _)) = self.known.remove_entry(key) else { return };
        // From the end: what is taken back is what came last.
        if let Some(turn) = self.order.iter().rposition(|other| Arc::ptr_eq(other, &key)) {
            self.order.remove(turn);
        }
    }

    /// Forgets what is past the bounds.
    pub(super) fn trim(&mut self, bounds: Bounds, now: Instant) {
        if bounds.ids == 0 {
            *self = Memory::default();
        }
        while let Some(oldest) = self.order.front() {
            let is_old = |memo: &Memo| now.saturating_duration_since(memo.since) > bounds.window;
            if self.order.len() <= bounds.ids && !self.known.get(oldest).is_none_or(is_old) {
                return;
            }
            self.known.remove(oldest);
            self.order.pop_front();
        }
    }

    fn key(&mut self, name: Name<'_>) -> &str {
        self.key.clear();
        self.key.extend([name.source, "\n", name.id]);
        &self.key
    }
}

/// The one in `set` that is equal to `value`, put there if there was none.
fn shared<T: ?Sized + Hash + Eq>(set: &mut HashSet<Arc<T>>, value: &T) -> Arc<T>
where
    Arc<T>: for<'a> From<&'a T>,
{
    if let Some(known) = set.get(value) {
        return Arc::clone(known);
    }
    if set.len() >= MAX_SHARED {
        // Those in use live on; the next of their kind begin another sharing.
        set.clear();
    }
    let new = Arc::<T>::from(value);
    set.insert(Arc::clone(&new));
    new
}

/// What one request adds to the memory. Dropped without [`Noted::keep`], it takes all of that back.
pub(super) struct Noted<'a> {
    memory: &'a Mutex<Memory>,
    bounds: Bounds,
    now: Option<Instant>,
    keys: SmallVec<[Arc<str>; 1]>,
}

impl<'a> Noted<'a> {
    pub(super) fn new(memory: &'a Mutex<Memory>, bounds: Bounds) -> Noted<'a> {
        Noted { memory, bounds, now: None, keys: SmallVec::new() }
    }

    pub(super) fn find(&mut self, name: Name<'_>) -> Option<Memo> {
        let (is_first, now, bounds) = (self.now.is_none(), self.now(), self.bounds);
        let mut memory = self.lock();
        if is_first {
            // What is past the window would be looked for from the wrong end when it comes again.
            memory.trim(bounds, now);
        }
        memory.find(name, bounds.window, now)
    }

    pub(super) fn remember(&mut self, name: Name<'_>, event_type: &str, endpoints: &[Arc<str>]) {
        let now = self.now();
        let key = self.lock().remember(name, event_type, endpoints, now);
        self.keys.push(key);
    }

    /// The request is accepted.
    pub(super) fn keep(mut self) {
        if !self.keys.is_empty() {
            let (now, bounds) = (self.now(), self.bounds);
            self.keys.clear();
            self.lock().trim(bounds, now);
        }
    }

    /// The same moment for the whole request; one without ids never asks for it.
    fn now(&mut self) -> Instant {
        *self.now.get_or_insert_with(Instant::now)
    }

    fn lock(&self) -> MutexGuard<'a, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        for key in std::mem::take(&mut self.keys).iter().rev() {
            self.lock().forget(key);
        }
    }
}

/// Types, and lists of endpoints, that are looked up to be shared.
const MAX_SHARED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: &str) -> Name<'_> {
        Name { source: "/s", id }
    }

    const SECOND: Duration = Duration::from_secs(1);
    const BOUNDS: Bounds = Bounds { ids: 3, window: Duration::from_secs(60) };

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    /// What is known of the ids `a` to `f`.
    fn known(memory: &mut Memory, now: Instant) -> String {
        "abcdef".chars().filter(|id| memory.find(name(&id.to_string()), BOUNDS.window, now).is_some()).collect()
    }

    #[test]
    fn the_last_ids_within_the_window_are_known() {
        let start = Instant::now();
        let mut memory = Memory::default();
        for (id, second) in [("a", 0), ("b", 1), ("c", 2), ("d", 30)] {
            memory.remember(name(id), "t", &names(&["hook"]), start + second * SECOND);
            memory.trim(BOUNDS, start + second * SECOND);
        }
        assert_eq!(known(&mut memory, start + 30 * SECOND), "bcd");
        assert_eq!(known(&mut memory, start + 62 * SECOND), "cd", "also where nothing was trimmed");
        memory.trim(BOUNDS, start + 80 * SECOND);
        assert_eq!((memory.known.len(), memory.order.len()), (1, 1));
        memory.trim(Bounds { ids: 0, ..BOUNDS }, start);
        assert_eq!((memory.known.capacity(), memory.order.capacity()), (0, 0));
    }

    #[test]
    fn an_id_that_comes_again_after_its_window_begins_anew() {
        let start = Instant::now();
        let mut memory = Memory::default();
        for (id, second) in [("a", 0), ("b", 1), ("a", 61)] {
            memory.remember(name(id), "t", &names(&["hook"]), start + second * SECOND);
        }
        assert_eq!((memory.known.len(), memory.order.len()), (2, 2));
        memory.trim(Bounds { ids: 1, ..BOUNDS }, start + 61 * SECOND);
        assert_eq!(known(&mut memory, start + 61 * SECOND), "a");
    }

    #[test]
    fn what_is_past_the_window_is_forgotten_before_it_is_looked_for() {
        let memory = Mutex::new(Memory::default());
        let bounds = Bounds { window: Duration::from_millis(1), ..BOUNDS };
        let past = Instant::now().checked_sub(2 * bounds.window).unwrap();
        for id in ["a", "b", "c"] {
            memory.lock().unwrap().remember(name(id), "t", &names(&["hook"]), past);
        }
        let mut noted = Noted::new(&memory, bounds);
        assert!(noted.find(name("c")).is_none());
        assert_eq!(memory.lock().unwrap().order.len(), 0);
    }

    #[test]
    fn what_a_refused_request_noted_leaves_no_trace() {
        let memory = Mutex::new(Memory::default());
        let mut kept = Noted::new(&memory, BOUNDS);
        kept.remember(name("a"), "t", &names(&["hook"]));
        kept.keep();
        for _ in 0..100 {
            let mut refused = Noted::new(&memory, BOUNDS);
            for id in ["b", "c", "d"] {
                refused.remember(name(id), "t", &names(&["hook"]));
            }
            assert!(refused.find(name("c")).is_some(), "within the request it is known");
        }
        let mut memory = memory.into_inner().unwrap();
        assert_eq!(known(&mut memory, Instant::now()), "a");
        assert_eq!((memory.known.len(), memory.order.len()), (1, 1));
    }

    #[test]
    fn types_and_lists_of_endpoints_are_shared_and_their_table_is_bounded() {
        let now = Instant::now();
        let mut memory = Memory::default();
        for id in ["a", "b"] {
            memory.remember(name(id), "t", &names(&["hook", "other"]), now);
        }
        let [a, b] = ["a", "b"].map(|id| memory.find(name(id), SECOND, now).unwrap());
        assert!(Arc::ptr_eq(&a.event_type, &b.event_type) && Arc::ptr_eq(&a.endpoints, &b.endpoints));
        for n in 0..3 * MAX_SHARED {
            memory.remember(name("c"), &n.to_string(), &[], now);
        }
        assert!(memory.types.len() <= MAX_SHARED);
        assert_eq!(&*memory.find(name("a"), SECOND, now).unwrap().event_type, "t");
    }
}
