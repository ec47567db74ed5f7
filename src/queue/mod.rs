//! Waiting: what a delivery is while it is under way, and where it may wait.
//!
//! Ingest takes a place for each delivery from the endpoint's [`Account`] and the [`Ledger`] of all of them; the place is a
//! [`Slot`] that the delivery owns, so that dropping the delivery, however that comes about, frees it. An endpoint's lane
//! keeps its deliveries in a [`Backlog`]. What cannot be delivered goes to the [`DeadLetters`], what is left at the end to
//! the [`pending`] file.
//!
//! **Invariant:** every delivery holds a slot (or, on its way to the dead letters, a part of their own bounded buffer), and
//! the slots held never exceed the bounds but for what an earlier process had acknowledged, and for what a lane lets go of next.

mod backlog;
mod dead_letters;
mod gate;
mod handle;
mod ledger;
mod line;
pub mod pending;
mod register;
mod room;
mod state;
mod status;
mod waiter;

use std::{sync::Arc, time::SystemTime};

pub use backlog::{Backlog, Item, Lot, Rules};
#[cfg(test)]
pub(crate) use backlog::{Random, seeds};
pub use dead_letters::{Addressee, Counted, DeadLetters, Letter, Place, open_for_lines};
pub use gate::{Gate, May, Probe, Turn};
pub use handle::{Handle, Order, Outlet};
pub use ledger::{Account, Full, Ledger, Share, Slot};
pub use register::{Recalled, Register};
pub use state::{Directory, StateError};
pub use status::{Condition, Status};
pub use waiter::{Awaited, Deliveries, Stage, Waiter};

use crate::{
    endpoint::Endpoint,
    event::{Head, Trace},
    log::record,
    pipeline::{Body, Prepared},
};

/// An event and its bodies, as its deliveries share them.
#[derive(Debug)]
pub struct Parcel {
    pub prepared: Prepared,
    pub accepted: SystemTime,
    /// Told what becomes of the deliveries, where somebody waits for that.
    pub waiter: Option<Arc<Waiter>>,
    _share: Share,
}

impl Parcel {
    pub fn new(prepared: Prepared, accepted: SystemTime, share: Share) -> Arc<Parcel> {
        Arc::new(Parcel { prepared, accepted, waiter: None, _share: share })
    }

    /// The same, with somebody who waits for its deliveries.
    pub fn awaited(prepared: Prepared, accepted: SystemTime, share: Share, waiter: Arc<Waiter>) -> Arc<Parcel> {
        Arc::new(Parcel { prepared, accepted, waiter: Some(waiter), _share: share })
    }

    /// An attempt for `endpoint` was made, the `attempts`-th that counts; `http_status` is the answer's, if there was one.
    pub fn attempted(&self, endpoint: &str, http_status: Option<u16>, attempts: u32) {
        if let Some(waiter) = &self.waiter {
            waiter.attempted(endpoint, http_status, attempts);
        }
    }

    /// The delivery for `endpoint` has ended.
    pub fn end(&self, endpoint: &str, stage: Stage) {
        if let Some(waiter) = &self.waiter {
            waiter.end(endpoint, stage);
        }
    }
}

/// One event for one endpoint. One that a panic drops has not ended: it is kept for [`Account::rescued`].
#[derive(Debug)]
pub struct Delivery {
    pub parcel: Arc<Parcel>,
    /// Which of the parcel's bodies is this endpoint's.
    pub body: u32,
    /// Attempts made and counted.
    pub attempts: u32,
    /// None once it was given up.
    slot: Option<Slot>,
}

impl Delivery {
    pub fn new(parcel: Arc<Parcel>, body: u32, attempts: u32, slot: Slot) -> Delivery {
        Delivery { parcel, body, attempts, slot: Some(slot) }
    }

    pub fn body(&self) -> &Body {
        &self.parcel.prepared.bodies[self.body as usize]
    }

    /// The bytes it counts for in its endpoint's queue.
    pub fn counted(&self) -> usize {
        self.slot.as_ref().map_or(0, Slot::bytes)
    }

    /// Gives the delivery up, but not yet its place.
    pub fn into_parts(mut self) -> (Arc<Parcel>, Place) {
        (Arc::clone(&self.parcel), self.slot.take().map_or(Place::Earlier, Place::Queue))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take_if(|_| std::thread::panicking()) else { return };
        let (parcel, body, attempts) = (Arc::clone(&self.parcel), self.body, self.attempts);
        Arc::clone(slot.account()).rescue(Delivery::new(parcel, body, attempts, slot));
    }
}

impl Item for Delivery {
    fn bytes(&self) -> usize {
        self.body().bytes.len() + SEPARATOR
    }

    fn mixes_with(&self, other: &Delivery) -> bool {
        let (body, others) = (self.body(), other.body());
        // What an attempt comes to counts for each alike, and one more is not the last for the one and the first for the other.
        let alike = self.attempts == other.attempts && body.content_type == others.content_type;
        alike && !body.is_alone && !others.is_alone
    }
}

/// A line of the delivery log for `event` at `endpoint`.
pub fn delivery_line<'a>(
    endpoint: &'a Endpoint,
    event: &Head<'a>,
    attempt: u32,
    bytes: Option<usize>,
    outcome: record::Outcome<'a>,
) -> record::Delivery<'a> {
    record::Delivery {
        outcome,
        event_id: event.id,
        event_type: event.event_type,
        endpoint: &endpoint.name,
        receiver: Some(record::Receiver {
            id: &endpoint.id,
            method: endpoint.method.as_str(),
            url: &endpoint.target.shown,
            max_attempts: endpoint.retry.max_attempts(),
        }),
        attempt,
        bytes,
        trace_id: event.trace.map(Trace::id),
        batch: None,
    }
}

/// A line of the delivery log for a delivery that was given up.
pub fn letter_line<'a>(letter: &'a Letter, event: &Head<'a>, outcome: record::Outcome<'a>) -> record::Delivery<'a> {
    match &letter.to {
        Addressee::Known(endpoint) => delivery_line(endpoint, event, letter.attempts, None, outcome),
        Addressee::Removed(name) => record::Delivery {
            outcome,
            event_id: event.id,
            event_type: event.event_type,
            endpoint: name,
            receiver: None,
            attempt: letter.attempts,
            bytes: None,
            trace_id: event.trace.map(Trace::id),
            batch: None,
        },
    }
}

/// What stands between two bodies in a batch.
const SEPARATOR: usize = 1;

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "lines are read as their readers read them")]
mod tests;
