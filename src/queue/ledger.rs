//! The bounds: what each endpoint's queue, and all of them together, may hold.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::Delivery;
use crate::endpoint::Bounds;

/// The account of all queues together. One per sidecar.
#[derive(Debug)]
pub struct Ledger(Mutex<Totals>);

#[derive(Debug)]
struct Totals {
    limit: usize,
    used: usize,
    /// What endpoints may still claim of their reserves.
    promised: usize,
    endpoints: usize,
}

/// The account of one endpoint's queue.
#[derive(Debug)]
pub struct Account {
    ledger: Arc<Ledger>,
    held: Mutex<Held>,
    /// Written by the endpoint's lane alone, as is the next.
    disabled: AtomicBool,
    /// How many of the events held cannot make room for others.
    in_flight: AtomicUsize,
    rescued: Mutex<Vec<Delivery>>,
}

#[derive(Debug)]
struct Held {
    bounds: Bounds,
    reserve: usize,
    events: usize,
    bytes: usize,
    freed: u64,
    /// Two times at which the endpoint was seen to be full, the earlier to measure from, and how much it had freed by then.
    marks: Option<[(Instant, u64); 2]>,
}

/// What could not be given, with nothing taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A delivery's place in its endpoint's queue; dropping it frees the place.
#[derive(Debug)]
pub struct Slot {
    account: Arc<Account>,
    bytes: usize,
}

/// The place of what an event's deliveries share, counted once; dropping it frees the place.
#[derive(Debug)]
pub struct Share {
    ledger: Arc<Ledger>,
    bytes: usize,
    paid: bool,
}

impl Ledger {
    /// `limit` bytes for all queues together.
    pub fn new(limit: usize) -> Arc<Ledger> {
        Arc::new(Ledger(Mutex::new(Totals { limit, used: 0, promised: 0, endpoints: 0 })))
    }

    /// Changes the limit and says how many endpoints divide it; accounts take their new reserves by [`Account::resize`].
    pub fn resize(&self, limit: usize, endpoints: usize) {
        let mut totals = self.lock();
        totals.limit = limit;
        totals.endpoints = endpoints;
    }

    /// Bytes in use, over all states of all deliveries.
    pub fn used(&self) -> usize {
        self.lock().used
    }

    /// The place for the `bytes` that the deliveries of one event share. The first slot taken with it pays them.
    pub fn share(self: &Arc<Self>, bytes: usize) -> Share {
        Share { ledger: Arc::clone(self), bytes, paid: false }
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    pub fn open(ledger: &Arc<Ledger>, bounds: Bounds) -> Arc<Account> {
        let account = Account {
            ledger: Arc::clone(ledger),
            held: Mutex::new(Held { bounds, reserve: 0, events: 0, bytes: 0, freed: 0, marks: None }),
            disabled: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            rescued: Mutex::default(),
        };
        account.resize(bounds);
        Arc::new(account)
    }

    /// Takes new bounds, and the reserve that the ledger's size gives now.
    pub fn resize(&self, bounds: Bounds) {
        let mut held = self.lock();
        let mut totals = self.ledger.lock();
        let fair = totals.limit / 2 / totals.endpoints.max(1);
        totals.promised -= held.unclaimed();
        held.bounds = bounds;
        held.reserve = RESERVE.min(bounds.bytes).min(fair);
        totals.promised += held.unclaimed();
    }

    /// Events and bytes in this endpoint's queue, over all states.
    pub fn held(&self) -> (usize, usize) {
        let held = self.lock();
        (held.events, held.bytes)
    }

    /// Whether what comes is dead-lettered for now.
    pub fn is_disabled(&self) -> bool {
        self.disabled.load(Ordering::Relaxed)
    }

    /// For the endpoint's lane, which decides it.
    pub fn set_disabled(&self, disabled: bool) {
        self.disabled.store(disabled, Ordering::Relaxed);
    }

    /// For the endpoint's lane, where the oldest event makes room for the newest.
    pub fn set_in_flight(&self, events: usize) {
        self.in_flight.store(events, Ordering::Relaxed);
    }

    /// Keeps what a panic would have dropped.
    pub(super) fn rescue(&self, delivery: Delivery) {
        self.rescued.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
    }

    /// Takes what panics would have dropped.
    pub fn rescued(&self) -> Vec<Delivery> {
        std::mem::take(&mut *self.rescued.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether more is held than may be: the lane then lets go of the oldest.
    pub fn is_over(&self) -> bool {
        let held = self.lock();
        let totals = self.ledger.lock();
        held.events > held.bounds.events
            || held.bytes > held.bounds.bytes
            || totals.used + totals.promised - held.unclaimed() > totals.limit
    }

    /// When a place for `events` more may be free, judged by how fast places were freed since the queue was last full.
    pub fn wait_for(&self, events: usize, now: Instant) -> Duration {
        let mut held = self.lock();
        let here = (now, held.freed);
        let [mut since, mut latest] = held.marks.unwrap_or([here; 2]);
        let unasked = now.duration_since(latest.0);
        if unasked > 2 * MARK && latest.1 < here.1 {
            // It was not full all the while, and to divide by that time would make it seem slow.
            (since, latest) = (here, here);
        } else if unasked > MARK {
            (since, latest) = (latest, here);
        }
        held.marks = Some([since, latest]);
        let (passed, freed) = (now.duration_since(since.0), here.1 - since.1);
        let one = match freed {
            0 if passed < SHORTEST_WAIT => SHORTEST_WAIT,
            0 => LONGEST_WAIT,
            freed => passed.div_f64(freed as f64),
        };
        one.mul_f64(events as f64).clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }

    /// A place for one delivery that holds `bytes` of what `share` stands for.
    pub fn reserve(self: &Arc<Self>, bytes: usize, share: &mut Share) -> Result<Slot, Full> {
        let (bytes, cost) = (bytes + DELIVERY, share.cost());
        {
            let held = self.lock();
            if held.events >= held.bounds.events || held.bytes.saturating_add(bytes) > held.bounds.bytes {
                return Err(Full);
            }
            let totals = self.ledger.lock();
            let promised_to_others = totals.promised - bytes.min(held.unclaimed());
            if totals.used.saturating_add(cost) + promised_to_others > totals.limit {
                return Err(Full);
            }
        }
        Ok(self.force(bytes - DELIVERY, share))
    }

    /// A place for which the lane will let go of older deliveries; none where too few are left that could go.
    pub fn displace(self: &Arc<Self>, bytes: usize, share: &mut Share) -> Result<Slot, Full> {
        {
            let held = self.lock();
            let totals = self.ledger.lock();
            let could_go = held.events.saturating_sub(self.in_flight.load(Ordering::Relaxed));
            let over = (held.events + 1).saturating_sub(held.bounds.events).max(1);
            let too_many = over > could_go || held.bytes.saturating_add(bytes) > held.bounds.bytes.saturating_add(OVERSHOOT);
            if too_many || totals.used.saturating_add(share.cost()) > totals.limit.saturating_add(OVERSHOOT) {
                return Err(Full);
            }
        }
        Ok(self.force(bytes, share))
    }

    /// A place past every bound, for what was acknowledged before these bounds were in force.
    pub fn force(self: &Arc<Self>, bytes: usize, share: &mut Share) -> Slot {
        let bytes = bytes + DELIVERY;
        let mut held = self.lock();
        let mut totals = self.ledger.lock();
        totals.used += share.cost();
        totals.promised -= bytes.min(held.unclaimed());
        share.paid = true;
        held.events += 1;
        held.bytes += bytes;
        Slot { account: Arc::clone(self), bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn unclaimed(&self) -> usize {
        self.reserve.saturating_sub(self.bytes)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let unclaimed = self.lock().unclaimed();
        self.ledger.lock().promised -= unclaimed;
    }
}

impl Slot {
    pub(super) fn account(&self) -> &Arc<Account> {
        &self.account
    }
}

impl Share {
    fn cost(&self) -> usize {
        DELIVERY + if self.paid { 0 } else { self.bytes }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.account.lock();
        let mut totals = self.account.ledger.lock();
        let before = held.unclaimed();
        held.events -= 1;
        held.bytes -= self.bytes;
        held.freed += 1;
        totals.promised += held.unclaimed() - before;
        totals.used -= DELIVERY;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.paid {
            self.ledger.lock().used -= self.bytes;
        }
    }
}

/// The drain rate is that of the last one or two of these.
const MARK: Duration = Duration::from_secs(10);

const SHORTEST_WAIT: Duration = Duration::from_secs(1);

const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What an endpoint can always have, where its own bound and the ledger allow it.
const RESERVE: usize = 1 << 20;

/// How far past its bounds an endpoint may be until its lane, whose turn is next, has let go of what is too old.
const OVERSHOOT: usize = 1 << 20;

/// What a delivery takes beside what its event's deliveries share: its entries in the queues.
const DELIVERY: usize = 192;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::WhenFull;

    fn bounds(events: usize, bytes: usize) -> Bounds {
        Bounds { events, bytes, when_full: WhenFull::Reject }
    }

    fn slot(ledger: &Arc<Ledger>, account: &Arc<Account>, bytes: usize) -> Result<(Slot, Share), Full> {
        let mut share = ledger.share(bytes);
        account.reserve(bytes, &mut share).map(|slot| (slot, share))
    }

    #[test]
    fn an_endpoint_is_full_at_its_events_or_its_bytes() {
        let ledger = Ledger::new(1 << 30);
        ledger.resize(1 << 30, 1);
        let account = Account::open(&ledger, bounds(2, 1 << 20));
        let held = [slot(&ledger, &account, 10).unwrap(), slot(&ledger, &account, 10).unwrap()];
        assert_eq!(slot(&ledger, &account, 10).map(drop), Err(Full));
        drop(held);
        assert!(slot(&ledger, &account, (1 << 20) - DELIVERY).is_ok());
        assert_eq!(slot(&ledger, &account, 1 << 20).map(drop), Err(Full));
    }

    #[test]
    fn what_deliveries_share_is_counted_once_and_freed_with_the_last() {
        let ledger = Ledger::new(1 << 20);
        ledger.resize(1 << 20, 3);
        let accounts = [(); 3].map(|()| Account::open(&ledger, bounds(9, 1 << 20)));
        let mut share = ledger.share(1000);
        let slots: Vec<_> = accounts.iter().map(|account| account.reserve(1000, &mut share).unwrap()).collect();
        assert_eq!(ledger.used(), 1000 + 3 * DELIVERY);
        drop(slots);
        assert_eq!(ledger.used(), 1000);
        drop(share);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn a_greedy_endpoint_leaves_the_others_their_reserve() {
        let ledger = Ledger::new(100_000);
        ledger.resize(100_000, 2);
        let [greedy, modest] = [(); 2].map(|()| Account::open(&ledger, bounds(1_000_000, 1 << 20)));
        let mut held = Vec::new();
        while let Ok(taken) = slot(&ledger, &greedy, 100) {
            held.push(taken);
        }
        assert!((70_000..=75_000).contains(&ledger.used()), "{}", ledger.used());
        assert!(slot(&ledger, &modest, 24_000).is_ok());
    }

    /// An account with `n` places taken, and the places.
    fn with_places(n: usize) -> (Arc<Account>, Vec<(Slot, Share)>) {
        let ledger = Ledger::new(1 << 30);
        ledger.resize(1 << 30, 1);
        let account = Account::open(&ledger, bounds(n, 1 << 20));
        let held = (0..n).map(|_| slot(&ledger, &account, 10).unwrap()).collect();
        (account, held)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_wait_is_as_long_as_so_many_places_took_to_get_free() {
        let start = Instant::now();
        let (account, mut held) = with_places(100);
        assert_eq!(account.wait_for(1, start), SECOND);
        held.truncate(96);
        // Four in two seconds: half a second each.
        let now = start + 2 * SECOND;
        assert_eq!([1, 2, 10, 100, 1000].map(|n| account.wait_for(n, now).as_secs()), [1, 1, 5, 50, 60]);
    }

    #[test]
    fn a_queue_that_frees_nothing_is_given_the_longest_wait() {
        let start = Instant::now();
        let (account, _held) = with_places(3);
        account.wait_for(1, start);
        for passed in [1, 5, 9, 60, 600] {
            assert_eq!(account.wait_for(1, start + passed * SECOND), 60 * SECOND, "after {passed} s");
        }
    }

    #[test]
    fn a_queue_that_is_stuck_is_given_the_longest_wait_whenever_it_is_asked() {
        let start = Instant::now();
        let (account, _held) = with_places(3);
        account.wait_for(1, start);
        for passed in [1000, 11_000, 11_100, 11_900, 22_000, 22_001] {
            let now = start + Duration::from_millis(passed);
            assert_eq!(account.wait_for(1, now), 60 * SECOND, "after {passed} ms");
        }
    }

    #[test]
    fn what_was_measured_before_a_quiet_hour_is_not_believed() {
        let start = Instant::now();
        let (account, mut held) = with_places(100);
        account.wait_for(1, start);
        held.clear();
        // All of it was free within a second; then there was nothing to free.
        assert_eq!(account.wait_for(1, start + 3600 * SECOND), SECOND);
    }

    #[test]
    fn a_queue_that_becomes_slower_is_soon_known_to_be() {
        let start = Instant::now();
        let (account, mut held) = with_places(1000);
        for second in 0..60 {
            held.truncate(held.len() - if second < 30 { 20 } else { 1 });
            let wait = account.wait_for(10, start + second * SECOND).as_secs();
            match second {
                3..30 => assert_eq!(wait, 1, "after {second} s"),
                50.. => assert!((8..=12).contains(&wait), "{wait} after {second} s"),
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn the_wait_is_always_1_to_60_seconds(steps in proptest::collection::vec((0usize..5, 0u64..100_000, 1usize..2000), 1..50)) {
            let (account, mut held) = with_places(100);
            let mut now = Instant::now();
            for (freed, millis, events) in steps {
                held.truncate(held.len().saturating_sub(freed));
                now += Duration::from_millis(millis);
                let wait = account.wait_for(events, now);
                prop_assert!((SECOND..=60 * SECOND).contains(&wait), "{:?}", wait);
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_and_freed_the_limit_holds_and_nothing_leaks(steps in proptest::collection::vec((0usize..3, 0usize..5000, any::<bool>()), 0..200)) {
            let limit = 50_000;
            let ledger = Ledger::new(limit);
            ledger.resize(limit, 3);
            let accounts: Vec<_> = (0..3).map(|_| Account::open(&ledger, bounds(50, 30_000))).collect();
            let mut held = Vec::new();
            for (endpoint, bytes, free) in steps {
                if free {
                    held.pop();
                } else {
                    held.extend(slot(&ledger, &accounts[endpoint], bytes));
                }
                prop_assert!(ledger.used() + ledger.lock().promised <= limit);
                prop_assert!(accounts.iter().all(|account| account.held().1 <= 30_000));
            }
            held.clear();
            prop_assert_eq!((ledger.used(), accounts[0].held()), (0, (0, 0)));
            drop(accounts);
            prop_assert_eq!(ledger.lock().promised, 0);
        }
    }
}
