//! What comes of attempts: for the deliveries, and for the endpoint.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::FutureExt;

use super::{
    Lane,
    departures::{age, number_of},
    flights::Flight,
    key,
};
use crate::{
    deliver::{Transport, attempt::Done},
    endpoint::Endpoint,
    log::{self, record},
    queue::{self, Addressee, Delivery, Letter, Lot, Probe, Stage as End, Turn},
    retry::{self, Class, ErrorCode, Failure, On, Outcome, Reason, Verdict},
};

/// What a failure's line says of the answer.
struct Shown<'a> {
    status: Option<u16>,
    duration: Duration,
    response: Option<&'a str>,
}

/// What the lines about one attempt have in common.
struct Attempted<'a> {
    endpoint: &'a Endpoint,
    number: u32,
    bytes: usize,
    batch_id: Option<&'a str>,
}

impl<T: Transport> Lane<T> {
    pub(super) fn land(&mut self, place: usize, done: Option<Done<T::Connection>>, now: Instant) {
        let Some(mut flight) = self.flights.remove(place) else { return };
        self.backlog.update(&mut flight.lot, |delivery| key(&self.endpoint.order, delivery));
        self.tell_in_flight();
        let done = done.unwrap_or_else(Done::panicked);
        if let Some(kept) = done.connection {
            self.keep(kept, &flight.endpoint, now);
        }
        // A receiver that never ends its answers must not gather connections: past this many they are closed.
        if let Some(unread) = done.unread.filter(|_| self.unread.len() < self.endpoint.concurrency) {
            let endpoint = Arc::clone(&flight.endpoint);
            let connection = AssertUnwindSafe(unread).catch_unwind().map(|rest| rest.ok().and_then(|rest| rest.connection));
            self.unread.push(Box::pin(connection.map(move |connection| (endpoint, connection))));
        }
        let (duration, probe) = (done.duration, flight.probe);
        match done.outcome {
            Outcome::Delivered { status } => self.deliver(flight, (status, duration), now),
            Outcome::Failed(failure) => {
                let shown = Shown { status: done.status, duration, response: done.response.as_deref() };
                self.fail(flight, &failure, &shown, now);
            }
        }
        self.gate.land(probe);
    }

    fn deliver(&mut self, flight: Flight, (status, duration): (u16, Duration), now: Instant) {
        let Flight { lot, endpoint, bytes, .. } = flight;
        let number = number_of(&lot);
        let about = Attempted { endpoint: &endpoint, number, bytes, batch_id: lot.id.as_deref() };
        for (nth, delivery) in lot.items().enumerate() {
            self.log_delivery(&about, nth, delivery, record::Outcome::Delivered { http_status: status, duration });
            delivery.parcel.attempted(&endpoint.name, Some(status), number);
            delivery.parcel.end(&endpoint.name, End::Delivered);
        }
        self.backlog.finish(lot, now);
        if self.is_current(&endpoint) {
            let turn = self.gate.succeed();
            self.turn(turn);
        }
    }

    /// Whether an attempt at `endpoint` had the settings in force: what one with others met says nothing of these.
    fn is_current(&self, endpoint: &Arc<Endpoint>) -> bool {
        Arc::ptr_eq(endpoint, &self.endpoint) || *endpoint == self.endpoint
    }

    /// Carries out what the failure of an attempt means.
    fn fail(&mut self, flight: Flight, failure: &Failure, shown: &Shown<'_>, now: Instant) {
        let is_current = self.is_current(&flight.endpoint);
        if flight.lot.items().len() > 1 && is_about_one(failure.code) {
            if is_current {
                let turn = self.gate.hear();
                self.turn(turn);
            }
            return self.split(flight, failure, shown, now);
        }
        let probe = flight.probe;
        self.fail_all(flight, failure, shown, now);
        if is_current {
            self.last_error = Some(failure.error.as_ref().into());
            self.react(failure, probe, now);
        }
    }

    /// A batch of which one event may be bad goes out again as two.
    fn split(&mut self, flight: Flight, failure: &Failure, shown: &Shown<'_>, now: Instant) {
        let Flight { lot, endpoint, bytes, .. } = flight;
        let about = Attempted { endpoint: &endpoint, number: number_of(&lot), bytes, batch_id: lot.id.as_deref() };
        let code = failure.code.as_str();
        for (nth, delivery) in lot.items().enumerate() {
            let outcome = record::Outcome::Retrying { failure: line(failure, &code, shown), next_attempt: SystemTime::now() };
            self.log_delivery(&about, nth, delivery, outcome);
            delivery.parcel.attempted(&endpoint.name, shown.status, delivery.attempts);
        }
        self.backlog.split(lot, now);
    }

    fn fail_all(&mut self, flight: Flight, failure: &Failure, shown: &Shown<'_>, now: Instant) {
        let Flight { mut lot, endpoint, bytes, early, .. } = flight;
        let number = number_of(&lot);
        let random = (self.around.random)();
        let early = early && (failure.code.class() == Class::Transient || self.endpoint.retry.on == On::Any);
        let policy = &self.endpoint.retry;
        let verdict = |delivery: &Delivery| match early {
            true => Verdict::RetryIn(Duration::ZERO),
            false => retry::judge(failure, policy, number, age(delivery), random),
        };
        let verdicts: Vec<Verdict> = lot.items().map(verdict).collect();
        let id = lot.id.clone();
        let about = Attempted { endpoint: &endpoint, number, bytes, batch_id: id.as_deref() };
        let code = failure.code.as_str();
        for (nth, (delivery, verdict)) in lot.items_mut().zip(&verdicts).enumerate() {
            if !early {
                delivery.attempts = number;
            }
            delivery.parcel.attempted(&endpoint.name, shown.status, delivery.attempts);
            let failure_line = line(failure, &code, shown);
            let outcome = match verdict {
                Verdict::RetryIn(wait) => {
                    record::Outcome::Retrying { failure: failure_line, next_attempt: SystemTime::now() + *wait }
                }
                Verdict::DeadLetter(_) => record::Outcome::Failed { failure: failure_line },
            };
            self.log_delivery(&about, nth, delivery, outcome);
        }
        self.part(lot, &verdicts, failure.code, now);
    }

    /// Gives up what is not to be tried again, and parks the rest.
    fn part(&mut self, lot: Lot<Delivery>, verdicts: &[Verdict], code: ErrorCode, now: Instant) {
        let wait = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::RetryIn(wait) => Some(*wait),
            Verdict::DeadLetter(_) => None,
        });
        let reason = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::DeadLetter(reason) => Some(*reason),
            Verdict::RetryIn(_) => None,
        });
        let (mut lot, mut each) = (lot, verdicts.iter());
        match (wait, reason) {
            (None, reason) => {
                let reason = reason.unwrap_or(Reason::Attempts);
                for delivery in self.backlog.finish(lot, now) {
                    self.give_up(delivery, reason, Some(code));
                }
                return;
            }
            // Of one batch only age tells one from another.
            (Some(_), Some(reason)) => {
                let is_over = |_: &Delivery| matches!(each.next(), Some(Verdict::DeadLetter(_)));
                for delivery in self.backlog.finish_some(&mut lot, is_over, now) {
                    self.give_up(delivery, reason, Some(code));
                }
            }
            (Some(_), None) => {}
        }
        if self.is_draining() {
            self.backlog.hold(lot);
        } else {
            self.backlog.park(lot, now + wait.unwrap_or_default());
        }
    }

    /// What a failure means for the endpoint as a whole.
    fn react(&mut self, failure: &Failure, probe: Option<Probe>, now: Instant) {
        let endpoint = Arc::clone(&self.endpoint);
        match failure.code.class() {
            Class::Permanent => {
                let [resumed, disabled] = self.gate.refuse(&endpoint.pace);
                self.turn(resumed);
                if failure.code == ErrorCode::Status(410) {
                    self.disable("the receiver answered 410 Gone".into());
                } else if disabled == Some(Turn::Disable) {
                    let most = endpoint.pace.disable_after.unwrap_or_default();
                    self.disable(format!("{most} permanent failures in a row, the last: {}", failure.error).into());
                }
            }
            Class::Transient => {
                let asked = retry::pause(failure, &endpoint.retry);
                let turn = self.gate.fail(&endpoint.pace, asked, probe, now);
                self.turn(turn);
            }
        }
    }

    pub(super) fn give_up(&self, delivery: Delivery, reason: Reason, error_code: Option<ErrorCode>) {
        let attempts = delivery.attempts;
        let (parcel, place) = delivery.into_parts();
        let to = Addressee::Known(Arc::clone(&self.endpoint));
        let letter = Letter { parcel, to, reason, error_code, attempts };
        self.around.dead_letters.put(letter, place);
    }

    pub(super) fn give_up_everything(&mut self, reason: Reason, error_code: Option<ErrorCode>, now: Instant) {
        for delivery in self.backlog.finish_all(now) {
            self.give_up(delivery, reason, error_code);
        }
    }

    /// A delivery makes room for one that came later.
    pub(super) fn drop(&self, delivery: &Delivery) {
        let code = ErrorCode::QueueFull.as_str();
        let outcome = record::Outcome::Dropped { reason: Reason::QueueFull.as_str(), error_code: Some(&code) };
        let bytes = delivery.body().bytes.len();
        let about = Attempted { endpoint: &self.endpoint, number: delivery.attempts, bytes, batch_id: None };
        self.log_delivery(&about, 0, delivery, outcome);
        delivery.parcel.end(&self.endpoint.name, End::Dropped);
    }

    /// `delivery` is the `nth` of those that went out together.
    fn log_delivery(&self, about: &Attempted<'_>, nth: usize, delivery: &Delivery, outcome: record::Outcome<'_>) {
        let event = delivery.parcel.prepared.event.head();
        let mut line = queue::delivery_line(about.endpoint, &event, about.number, Some(about.bytes), outcome);
        line.batch = about.batch_id.map(|id| record::Batch { id, first: nth == 0 });
        self.around.log.write(SystemTime::now(), &log::Record::Delivery(line));
    }
}

fn line<'l>(failure: &'l Failure, code: &'l str, shown: &Shown<'l>) -> record::Failure<'l> {
    let Shown { status, duration, response } = *shown;
    let class = failure.code.class().as_str();
    record::Failure { error: &failure.error, error_code: code, class, http_status: status, duration: Some(duration), response }
}

/// Whether a batch that was refused so may be refused for one of its events, or for its size.
fn is_about_one(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Status(400 | 413 | 422))
}
