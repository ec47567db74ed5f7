//! What starts: which deliveries, over which connection.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::FutureExt;

use super::{Lane, Stage, flights::Flight};
use crate::{
    deliver::{
        Transport,
        attempt::{Attempt, Content, Kept},
    },
    endpoint::{Auth, Endpoint},
    event::GeneratedId,
    pipeline,
    queue::{Delivery, Lot, May},
    retry::{ErrorCode, Reason},
};

/// A connection that waits for its next request.
pub(super) struct Idle<C> {
    pub(super) kept: Kept<C>,
    pub(super) since: Instant,
}

impl<T: Transport> Lane<T> {
    pub(super) fn start_attempts(&mut self, now: Instant) {
        if self.account.is_disabled() {
            self.give_up_everything(Reason::Disabled, Some(ErrorCode::Disabled), now);
        }
        if self.stage == Stage::Retired && !self.endpoint.active {
            // It was not to be sent to, and it will not come back.
            self.give_up_everything(Reason::EndpointRemoved, None, now);
        }
        while self.endpoint.active
            && self.attempts.len() < self.endpoint.concurrency
            && self.gate.may_start(&self.endpoint.pace, now) == May::Start
        {
            if let Some(lot) = self.backlog.next(now) {
                self.start_in_time(lot, false, now);
            } else if self.is_draining()
                && let Some(lot) = self.backlog.next_parked()
            {
                // Nobody will be there when its time comes.
                self.start_in_time(lot, true, now);
            } else {
                return;
            }
        }
    }

    /// Starts an attempt, but for what has been tried and whose time has passed meanwhile, say while the endpoint was paused.
    fn start_in_time(&mut self, mut lot: Lot<Delivery>, early: bool, now: Instant) {
        if let Some(max_age) = self.endpoint.retry.max_age {
            let is_late = |delivery: &Delivery| delivery.attempts > 0 && age(delivery) > max_age;
            if lot.items().all(is_late) {
                for delivery in self.backlog.finish(lot, now) {
                    self.give_up(delivery, Reason::MaxAge, None);
                }
                return;
            }
            for delivery in self.backlog.finish_some(&mut lot, is_late, now) {
                self.give_up(delivery, Reason::MaxAge, None);
            }
        }
        self.start(lot, early, now);
    }

    fn start(&mut self, mut lot: Lot<Delivery>, early: bool, now: Instant) {
        let idle = self.take_idle(now);
        let content = self.content(&mut lot);
        let number = number_of(&lot);
        let (endpoint, transport) = (Arc::clone(&self.endpoint), Arc::clone(&self.around.transport));
        let tokens = matches!(endpoint.auth, Some(Auth::OAuth2(_))).then(|| Arc::clone(&self.tokens));
        let probe = self.gate.start(&endpoint.pace, now);
        let bytes = content.body().bytes.len();
        let carried = matches!(content, Content::Batch { .. }).then(|| self.account.carry(bytes));
        let flight = Flight { lot, endpoint: Arc::clone(&endpoint), bytes, _carried: carried, early, probe };
        let place = self.flights.add(flight);
        self.tell_in_flight();
        let attempt = async move {
            let tokens = tokens.as_deref();
            let attempt = Attempt { endpoint: &endpoint, content: &content, tokens, number, started: now };
            attempt.run(&transport, idle).await
        };
        self.attempts.push(Box::pin(AssertUnwindSafe(attempt).catch_unwind().map(move |done| (place, done.ok()))));
    }

    fn content(&self, lot: &mut Lot<Delivery>) -> Content {
        let is_one = lot.items().len() == 1;
        let unwrapped = |delivery: &&Delivery| is_one && (self.endpoint.batch.is_none() || delivery.body().is_alone);
        let one = lot.items().next().filter(unwrapped);
        let one = one.map(|delivery| Content::One { parcel: Arc::clone(&delivery.parcel), body: delivery.body });
        if let Some(one) = one {
            // It may have been a batch of one before, with other settings.
            lot.id = None;
            return one;
        }
        let id = lot.id.get_or_insert_with(batch_id).clone();
        Content::Batch { id, body: pipeline::batch(lot.items().map(Delivery::body)) }
    }

    fn take_idle(&mut self, now: Instant) -> Option<Kept<T::Connection>> {
        // The one used last is the least likely to have been closed; those idle for too long were closed as time passed.
        std::iter::from_fn(|| self.idle.pop()).map(|idle| idle.kept).find(|kept| now < kept.dialled + OLDEST)
    }

    pub(super) fn keep(&mut self, kept: Kept<T::Connection>, dialled_for: &Endpoint, now: Instant) {
        // The endpoint is nearly always the very same, and then its parts need not be compared.
        let is_ours = std::ptr::eq(dialled_for, &*self.endpoint) || dialled_for.target == self.endpoint.target;
        if is_ours && self.idle.len() < self.endpoint.concurrency && now < kept.dialled + OLDEST {
            self.idle.push(Idle { kept, since: now });
        }
    }

    /// Closes connections that have lain idle for too long.
    pub(super) fn close_idle(&mut self, now: Instant) {
        if let Some(expired) = now.checked_sub(self.endpoint.idle_timeout) {
            self.idle.retain(|idle| idle.since > expired);
        }
    }
}

/// Since a delivery's event was accepted.
pub(super) fn age(delivery: &Delivery) -> Duration {
    delivery.parcel.accepted.elapsed().unwrap_or_default()
}

/// The number of a lot's next attempt: all of a lot have been tried equally often.
pub(super) fn number_of(lot: &Lot<Delivery>) -> u32 {
    lot.items().next().map_or(0, |delivery| delivery.attempts).saturating_add(1)
}

fn batch_id() -> Box<str> {
    let millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let mut random = [0; 10];
    // Without randomness ids still differ from one millisecond to the next.
    let _ = getrandom::fill(&mut random);
    GeneratedId::batch(millis, &random).as_str().into()
}

/// The age at which a connection is given up, though it works: its name may lead elsewhere by now.
const OLDEST: Duration = Duration::from_secs(60);
