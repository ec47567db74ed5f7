//! From events to deliveries: all of a request's, or none.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use smallvec::SmallVec;

use super::{
    Ids, Outlet, Plan, Refusal,
    parse::{Events, Posted},
    reply,
};
use crate::{
    encode,
    endpoint::WhenFull,
    event::{Event, Time, Trace},
    log::{self, Log, record},
    pipeline::{self, Prepared},
    queue::{self, Addressee, DeadLetters, Delivery, Ledger, Letter, Parcel, Place, Share, Slot},
    retry::{ErrorCode, Reason},
};

/// What accepting needs besides a plan.
pub(super) struct Desk<'a> {
    pub plan: &'a Plan,
    /// Where all goes to one endpoint, whatever the routes say.
    pub only: Option<&'a Outlet>,
    pub ledger: &'a Arc<Ledger>,
    pub dead_letters: &'a DeadLetters,
    pub log: &'a Log,
    pub ids: &'a Ids,
    pub stamp: &'a Mutex<log::Stamp>,
}

/// An event with all it takes to deliver it, not yet on its way.
struct Ready<'p> {
    parcel: Arc<Parcel>,
    bound: SmallVec<[Bound<'p>; 2]>,
}

/// One endpoint's part in an event.
struct Bound<'p> {
    outlet: &'p Outlet,
    fate: Fate,
}

enum Fate {
    Overflow(Place),
    Queued { body: u32, slot: Slot },
    Skipped,
}

impl<'p> Desk<'p> {
    /// Queues every event, or none of them; the body of the answer.
    pub(super) fn accept(&self, posted: &Events<'_>, trace: Option<&Trace>, now: SystemTime) -> Result<Vec<u8>, Refusal> {
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp.at(now);
        let mut ready: SmallVec<[Ready<'_>; 1]> = SmallVec::with_capacity(posted.events.len());
        for event in &posted.events {
            ready.push(self.ready(event, trace, Now { time: now, text: stamp })?);
        }
        let answers: SmallVec<[_; 1]> = ready.iter().map(Ready::answer).collect();
        let answer = reply::body(&answers, posted.batch);
        drop(answers);
        ready.into_iter().for_each(|ready| self.dispatch(ready, now));
        Ok(answer)
    }

    /// Makes an event's bodies and takes the places of its deliveries; dropping the result gives them back.
    fn ready(&self, posted: &Posted<'_>, trace: Option<&Trace>, now: Now<'_>) -> Result<Ready<'p>, Refusal> {
        let generated;
        let id = match &posted.id {
            Some(id) => id,
            None => {
                generated = self.ids.next(now.time);
                generated.as_str()
            }
        };
        let time = match &posted.time {
            Some((text, unix_seconds)) => Time { text, unix_seconds: *unix_seconds },
            None => now.as_event_time(),
        };
        let event = Event { id, event_type: &posted.event_type, time, context: posted.context, data: posted.data, trace };
        let outlets = self.outlets(event.event_type);
        let active = outlets.iter().filter(|outlet| outlet.endpoint.active);
        let (prepared, bodies) = pipeline::prepare(&event, active.map(|outlet| &*outlet.endpoint))
            .map_err(|encode::TooLarge| Refusal::GrownTooLarge(encode::MAX_GROWN))?;
        let mut share = self.ledger.share(prepared.footprint());
        let mut bodies = bodies.into_iter();
        let mut bound = SmallVec::new();
        for outlet in outlets {
            let fate = match if outlet.endpoint.active { bodies.next() } else { None } {
                Some(body) => self.place(outlet, &prepared, body, &mut share)?,
                None => Fate::Skipped,
            };
            bound.push(Bound { outlet, fate });
        }
        Ok(Ready { parcel: Parcel::new(prepared, now.time, share), bound })
    }

    fn outlets(&self, event_type: &str) -> SmallVec<[&'p Outlet; 4]> {
        match self.only {
            Some(outlet) => SmallVec::from_slice(&[outlet]),
            None => self.plan.table.select(event_type).iter().map(|choice| &self.plan.outlets[choice.endpoint]).collect(),
        }
    }

    fn place(&self, outlet: &Outlet, prepared: &Prepared, body: u32, share: &mut Share) -> Result<Fate, Refusal> {
        let account = &outlet.handle.account;
        if let Ok(slot) = account.reserve(prepared.footprint_with(body), share) {
            return Ok(Fate::Queued { body, slot });
        }
        let overflow = match outlet.endpoint.queue.when_full {
            // Who posts to one endpoint, as `replay` does, can wait: a second dead letter would be no help.
            _ if self.only.is_some() => None,
            WhenFull::DeadLetter => self.dead_letters.reserve(prepared.footprint()).ok(),
            WhenFull::Reject => None,
        };
        overflow.map(Fate::Overflow).ok_or_else(|| Refusal::QueueFull {
            endpoint: outlet.endpoint.name.as_ref().into(),
            retry_after: account.wait_for(1, Instant::now()),
        })
    }

    /// Puts an event on its way. Nothing can fail any more.
    fn dispatch(&self, ready: Ready<'_>, now: SystemTime) {
        let event = ready.parcel.prepared.event.head();
        if ready.bound.is_empty() {
            let trace_id = event.trace.map(Trace::id);
            let line = record::Event { fate: record::Fate::Unrouted, event_id: event.id, event_type: event.event_type, trace_id };
            self.log.write(now, &log::Record::Event(line));
        }
        for Bound { outlet, fate } in ready.bound {
            let parcel = Arc::clone(&ready.parcel);
            match fate {
                Fate::Overflow(place) => {
                    let to = Addressee::Known(Arc::clone(&outlet.endpoint));
                    let (reason, error_code) = (Reason::QueueFull, Some(ErrorCode::QueueFull));
                    self.dead_letters.put(Letter { parcel, to, reason, error_code, attempts: 0 }, place);
                }
                Fate::Queued { body, slot } => outlet.handle.push(Delivery::new(parcel, body, 0, slot)),
                Fate::Skipped => {
                    let line = queue::delivery_line(&outlet.endpoint, &event, 0, None, record::Outcome::Skipped);
                    self.log.write(now, &log::Record::Delivery(line));
                }
            }
        }
    }
}

impl<'p> Ready<'p> {
    fn answer(&self) -> reply::Accepted<'_> {
        let event = self.parcel.prepared.event.head();
        let endpoints = self.bound.iter().map(|bound| &*bound.outlet.endpoint.name).collect();
        reply::Accepted { id: event.id, event_type: event.event_type, endpoints, duplicate: false }
    }
}

/// The moment a request is accepted: the same for all its events.
#[derive(Clone, Copy)]
struct Now<'a> {
    time: SystemTime,
    text: &'a str,
}

impl<'a> Now<'a> {
    fn as_event_time(self) -> Time<'a> {
        let unix_seconds = self.time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        Time { text: self.text, unix_seconds }
    }
}
