//! The way in, as ingest and the app go it.

use std::{sync::Arc, time::SystemTime};

use crate::{
    deliver::tests::world::{LAST, World},
    endpoint::{Endpoint, WhenFull},
    log::{self, record},
    queue::{self, Addressee, Delivery, Full, Letter, Parcel, Place},
    retry::{ErrorCode, Reason},
};

/// What became of an event at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// Queued, though there was no room.
    Displacing,
    Dropped,
    Overflowed,
    Queued,
    Refused,
}

impl World {
    /// What ingest does with an event: where the queue is full the endpoint's `when_full` says what becomes of the event.
    pub(super) fn ingest(&self, id: &str, data: &str, accepted: SystemTime) -> Posted {
        let endpoint = Arc::clone(&self.endpoint.lock().unwrap());
        let (prepared, mut share) = self.prepare(&endpoint, id, data);
        let (account, bytes) = (&self.account, prepared.footprint());
        let place = match account.reserve(bytes, &mut share) {
            Ok(slot) => Ok((slot, Posted::Queued)),
            Err(Full) if endpoint.queue.when_full == WhenFull::DropOldest => match account.displace(bytes, &mut share, &mut 0) {
                Ok(slot) => Ok((slot, Posted::Displacing)),
                Err(Full) => Err(Posted::Dropped),
            },
            Err(Full) if endpoint.queue.when_full == WhenFull::DeadLetter => Err(Posted::Overflowed),
            Err(Full) => Err(Posted::Refused),
        };
        let parcel = Parcel::new(prepared, accepted, share);
        match place {
            Ok((slot, posted)) => {
                if let Err(delivery) = self.handle.offer(Delivery::new(parcel, 0, 0, slot)) {
                    let (parcel, slot) = delivery.into_parts();
                    let to = Addressee::Removed(Arc::clone(&endpoint.name));
                    self.give_up(letter(parcel, to, Reason::EndpointRemoved), slot);
                    self.letters_written();
                }
                posted
            }
            Err(Posted::Overflowed) => {
                let place = self.around.dead_letters.reserve(bytes, &mut None).unwrap();
                let error_code = Some(ErrorCode::QueueFull);
                self.give_up(Letter { error_code, ..letter(parcel, Addressee::Known(endpoint), Reason::QueueFull) }, place);
                Posted::Overflowed
            }
            Err(posted) => {
                if posted == Posted::Dropped {
                    let outcome = record::Outcome::Dropped { reason: Reason::QueueFull.as_str(), error_code: None };
                    let line = queue::delivery_line(&endpoint, &parcel.prepared.event.head(), 0, None, outcome);
                    self.around.log.write(SystemTime::now(), &log::Record::Delivery(line));
                }
                posted
            }
        }
    }

    fn give_up(&self, letter: Letter, place: Place) {
        self.around.dead_letters.put(letter, place);
    }

    /// What an earlier process has left.
    pub(super) fn take_up(&self, id: &str, data: &str, accepted: SystemTime, attempts: u32) {
        let reserve = |bytes, share: &mut _| self.account.force(bytes, share);
        let (parcel, slot) = self.parcel(id, data, accepted, reserve);
        self.handle.push(Delivery::new(parcel, 0, attempts, slot));
    }

    /// Waits until what was given up so far is on disk and has freed its place: in real time, for that is a thread's work.
    pub(super) fn letters_written(&self) {
        let endpoint = Endpoint::example();
        let (prepared, share) = self.prepare(&endpoint, "last", "1");
        let parcel = Parcel::new(prepared, SystemTime::now(), share);
        let last = Arc::downgrade(&parcel);
        self.give_up(letter(parcel, Addressee::Removed(LAST.into()), Reason::EndpointRemoved), Place::Earlier);
        while last.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}

fn letter(parcel: Arc<Parcel>, to: Addressee, reason: Reason) -> Letter {
    Letter { parcel, to, reason, error_code: None, attempts: 0 }
}
