//! The bounds: what each endpoint's queue, and all of them together, may hold.
//!
//! Of what all may hold, each endpoint has a part of its own, its reserve, and the rest is common. What an endpoint holds counts
//! against its reserve first, and there in full: a body that it shares stays in memory for it when all others have let go of it.
//! Past its reserve it counts against the common part, and there a body counts once, whoever shares it. So nobody can take from
//! another's reserve, neither by what he holds nor by what he lets go of.
//!
//! **Invariant:** what is held fits into the reserves and the common part, but for what was forced or has displaced what is yet
//! to go, and for what a reload made of the parts; and within its reserve an endpoint is refused only where all that has
//! brought the whole too far past the limit.

mod drain;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use self::drain::Drain;
use super::Delivery;
use crate::endpoint::{Bounds, WhenFull};

/// The account of all queues together. One per sidecar.
#[derive(Debug)]
pub struct Ledger(Mutex<Totals>);

#[derive(Debug)]
struct Totals {
    limit: usize,
    /// What is in memory: each body once.
    used: usize,
    /// The sum of all reserves.
    reserved: usize,
    /// What counts against the common part.
    common: usize,
    endpoints: usize,
}

/// The account of one endpoint's queue.
#[derive(Debug)]
pub struct Account {
    ledger: Arc<Ledger>,
    held: Mutex<Held>,
    /// Written by the endpoint's lane alone.
    disabled: AtomicBool,
    rescued: Mutex<Vec<Delivery>>,
}

#[derive(Debug)]
struct Held {
    bounds: Bounds,
    reserve: usize,
    events: usize,
    bytes: usize,
    /// What counts against the reserve; what is past it counts as common.
    own: usize,
    /// Of the events held those that cannot make room for others, and their bytes. Written by the endpoint's lane alone.
    in_flight: (usize, usize),
    drain: Drain,
}

/// What could not be given, with nothing taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A delivery's place in its endpoint's queue; dropping it frees the place.
#[derive(Debug)]
pub struct Slot {
    account: Arc<Account>,
    bytes: usize,
    own: usize,
}

/// The place of what an event's deliveries share, in memory once; dropping it frees the place.
#[derive(Debug)]
pub struct Share {
    ledger: Arc<Ledger>,
    bytes: usize,
    /// How much of it counts against the common part.
    common: usize,
    paid: bool,
}

impl Ledger {
    /// `limit` bytes for all queues together.
    pub fn new(limit: usize) -> Arc<Ledger> {
        Arc::new(Ledger(Mutex::new(Totals { limit, used: 0, reserved: 0, common: 0, endpoints: 0 })))
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
        Share { ledger: Arc::clone(self), bytes, common: 0, paid: false }
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    /// What is not reserved for one endpoint or another.
    fn common_room(&self) -> usize {
        self.limit.saturating_sub(self.reserved)
    }

    fn is_over(&self) -> bool {
        self.common > self.common_room()
    }
}

impl Account {
    pub fn open(ledger: &Arc<Ledger>, bounds: Bounds) -> Arc<Account> {
        let held = Held { bounds, reserve: 0, events: 0, bytes: 0, own: 0, in_flight: (0, 0), drain: Drain::default() };
        let account = Account {
            ledger: Arc::clone(ledger),
            held: Mutex::new(held),
            disabled: AtomicBool::new(false),
            rescued: Mutex::default(),
        };
        account.resize(bounds);
        Arc::new(account)
    }

    /// Takes new bounds, and the reserve that the ledger's size gives now.
    pub fn resize(&self, bounds: Bounds) {
        let mut held = self.lock();
        let mut totals = self.ledger.lock();
        held.bounds = bounds;
        let fair = totals.limit / 2 / totals.endpoints.max(1);
        held.set_reserve(RESERVE.min(bounds.bytes).min(fair), &mut totals);
    }

    /// Gives the reserve back, for an endpoint that gets nothing more.
    pub fn retire(&self) {
        self.lock().set_reserve(0, &mut self.ledger.lock());
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
    pub fn set_in_flight(&self, events: usize, bytes: usize) {
        self.lock().in_flight = (events, bytes);
    }

    /// Keeps what a panic would have dropped.
    pub(in crate::queue) fn rescue(&self, delivery: Delivery) {
        self.rescued.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
    }

    /// Takes what panics would have dropped.
    pub fn rescued(&self) -> Vec<Delivery> {
        std::mem::take(&mut *self.rescued.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether more is held than may be, where the lane is then to let go of the oldest. What is reserved it need not let go
    /// of, though all together hold too much; and bounds of other settings, that the lane has yet to hear of, ask for nothing
    /// of the kind.
    pub fn is_over(&self) -> bool {
        let held = self.lock();
        if held.bounds.when_full != WhenFull::DropOldest {
            return false;
        }
        held.events > held.bounds.events
            || held.bytes > held.bounds.bytes
            || held.bytes.max(held.own) > held.reserve && self.ledger.lock().is_over()
    }

    /// When a place for `events` more may be free, judged by how fast places were freed since the queue was last full.
    pub fn wait_for(&self, events: usize, now: Instant) -> Duration {
        self.lock().drain.wait_for(events, now)
    }

    /// A place for one delivery that holds `bytes` of what `share` stands for.
    pub fn reserve(self: &Arc<Self>, bytes: usize, share: &mut Share) -> Result<Slot, Full> {
        let bytes = bytes + DELIVERY;
        let mut held = self.lock();
        if held.events >= held.bounds.events || held.bytes.saturating_add(bytes) > held.bounds.bytes {
            return Err(Full);
        }
        let mut totals = self.ledger.lock();
        let own = held.own_part(share);
        if !held.is_room_for(own, share, &totals) {
            return Err(Full);
        }
        Ok(self.enter((&mut held, &mut totals), bytes, own, share))
    }

    /// A place for which the lane will let go of older deliveries; none where too few are left that could go, or where it would
    /// not fit though all of them went. `burst` is what the same request has displaced so far: it is let in whole.
    pub fn displace(self: &Arc<Self>, bytes: usize, share: &mut Share, burst: &mut usize) -> Result<Slot, Full> {
        let bytes = bytes + DELIVERY;
        let mut held = self.lock();
        let mut totals = self.ledger.lock();
        let past = |used: usize, limit: usize| used.saturating_sub(*burst) > limit.saturating_add(OVERSHOOT);
        if past(held.bytes, held.bounds.bytes) || past(totals.used, totals.limit) || !held.could_fit(bytes, share, &totals) {
            return Err(Full);
        }
        *burst += bytes;
        // What counts as common past that part's end would do so for as long as others hold it, whatever this one lets go of.
        let own = Some(held.own_part(share)).filter(|own| held.is_room_for(*own, share, &totals)).unwrap_or(share.uncommon());
        Ok(self.enter((&mut held, &mut totals), bytes, own, share))
    }

    /// A place past every bound, for what was acknowledged before these bounds were in force.
    pub fn force(self: &Arc<Self>, bytes: usize, share: &mut Share) -> Slot {
        let mut held = self.lock();
        let own = held.own_part(share);
        self.enter((&mut held, &mut self.ledger.lock()), bytes + DELIVERY, own, share)
    }

    /// The place of a body that is made for an attempt, past every bound.
    pub fn carry(&self, bytes: usize) -> Share {
        let mut totals = self.ledger.lock();
        totals.used += bytes;
        totals.common += bytes;
        drop(totals);
        Share { ledger: Arc::clone(&self.ledger), bytes, common: bytes, paid: true }
    }

    fn enter(self: &Arc<Self>, to: (&mut Held, &mut Totals), bytes: usize, own: usize, share: &mut Share) -> Slot {
        let (held, totals) = to;
        let common = share.uncommon() - own;
        totals.used += share.cost();
        totals.common += held.past_reserve(own) + common;
        share.common += common;
        share.paid = true;
        held.events += 1;
        held.bytes += bytes;
        held.own += own;
        Slot { account: Arc::clone(self), bytes, own }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// How much of what is past the reserve `own` more would add.
    fn past_reserve(&self, own: usize) -> usize {
        (self.own + own).saturating_sub(self.reserve.max(self.own))
    }

    /// How much of a delivery counts against the reserve: as much as there is room for, and its bookkeeping anyway.
    fn own_part(&self, share: &Share) -> usize {
        share.uncommon().min(self.reserve.saturating_sub(self.own).max(DELIVERY))
    }

    /// Whether there is room for one more of which `own` counts against the reserve.
    fn is_room_for(&self, own: usize, share: &Share, totals: &Totals) -> bool {
        let common = self.past_reserve(own) + share.uncommon() - own;
        let limit = match common {
            // Others may have held more when this became the reserve, or have yet to let go of what they displaced.
            0 => totals.limit.saturating_add(OVERSHOOT),
            common if totals.common + common > totals.common_room() => return false,
            _ => totals.limit,
        };
        totals.used.saturating_add(share.cost()) <= limit
    }

    /// Whether there would be room for one more of `bytes` if all went that could go.
    fn could_fit(&self, bytes: usize, share: &Share, totals: &Totals) -> bool {
        let (events_left, bytes_left) = self.in_flight;
        let could_go = self.events.saturating_sub(events_left);
        let over = (self.events + 1).saturating_sub(self.bounds.events).max(1);
        if over > could_go || bytes_left.saturating_add(bytes) > self.bounds.bytes {
            return false;
        }
        // Past its reserve it may have what others leave of the common part, and its own part of that again.
        let common = self.bytes.saturating_sub(self.own.min(self.reserve));
        let room = totals.common_room().saturating_sub(totals.common.saturating_sub(common));
        bytes_left.saturating_add(share.uncommon()) <= self.reserve + room
    }

    fn set_reserve(&mut self, reserve: usize, totals: &mut Totals) {
        totals.reserved = totals.reserved - self.reserve + reserve;
        totals.common = totals.common + self.own.saturating_sub(reserve) - self.own.saturating_sub(self.reserve);
        self.reserve = reserve;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.retire();
    }
}

impl Share {
    /// What one more delivery takes of the memory.
    fn cost(&self) -> usize {
        DELIVERY + if self.paid { 0 } else { self.bytes }
    }

    /// What one more delivery takes that does not count as common yet.
    fn uncommon(&self) -> usize {
        DELIVERY + self.bytes - self.common
    }
}

impl Slot {
    pub(in crate::queue) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// What it counts for in its endpoint's queue.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut held = self.account.lock();
        let mut totals = self.account.ledger.lock();
        held.events -= 1;
        held.bytes -= self.bytes;
        held.own -= self.own;
        held.drain.count();
        totals.common -= held.past_reserve(self.own);
        totals.used -= DELIVERY;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.paid {
            let mut totals = self.ledger.lock();
            totals.used -= self.bytes;
            totals.common -= self.common;
        }
    }
}

/// What an endpoint can always have, where its own bound and the ledger allow it.
const RESERVE: usize = 1 << 20;

/// How far past its bounds an endpoint may be until its lane, whose turn is next, has let go of what is too old, what comes
/// with one request not counted; and how far all together may be past the limit for somebody's reserve.
const OVERSHOOT: usize = 1 << 20;

/// What a delivery takes beside what its event's deliveries share: its entries in the queues. Measured, a delivery that waits
/// takes 260 bytes, with a key of its own 390, parked for a retry 470, and with both 650.
const DELIVERY: usize = 640;
