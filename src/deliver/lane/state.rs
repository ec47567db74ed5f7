//! The endpoint as a whole: its settings, whether it is paused or disabled, and how it is.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::time::Instant as Clock;

use super::{Lane, Stage, departures::age, key, rules};
use crate::{
    deliver::Transport,
    endpoint::Endpoint,
    log::{self, record},
    queue::{Condition, Recalled, Status, Turn},
};

/// Why the endpoint is disabled.
pub(super) struct Disabled {
    pub(super) reason: Box<str>,
    since: SystemTime,
    /// When it is enabled by itself.
    pub(super) until: Option<Instant>,
}

impl<T: Transport> Lane<T> {
    /// Lets time do what it does.
    pub(super) fn pass(&mut self, now: Instant) {
        let turn = self.gate.pass(now);
        self.turn(turn);
        if self.disabled.as_ref().and_then(|disabled| disabled.until).is_some_and(|until| until <= now) {
            self.enable("resume_after is over");
        }
        if self.idle.first().is_some_and(|idle| idle.since + self.endpoint.idle_timeout <= now) {
            self.close_idle(now);
        }
    }

    /// Puts other settings in force.
    pub(super) fn settle(&mut self, endpoint: Arc<Endpoint>, now: Instant) {
        let before = std::mem::replace(&mut self.endpoint, endpoint);
        if before.target != self.endpoint.target {
            self.idle.clear();
        }
        if before.auth != self.endpoint.auth {
            self.tokens = Arc::default();
        }
        let another = before.target != self.endpoint.target || before.auth != self.endpoint.auth;
        if another || before.pace != self.endpoint.pace {
            let turn = self.gate.reset(&self.endpoint.pace, now);
            self.turn(turn);
        }
        if before.order != self.endpoint.order {
            self.backlog.reorder(rules(&self.endpoint), self.flights.lots_mut());
        } else if rules(&before) != rules(&self.endpoint) {
            self.backlog.adapt(rules(&self.endpoint));
        }
        self.tell_in_flight();
        if before != self.endpoint {
            self.enable(OTHER_SETTINGS);
        } else if let Some(Disabled { reason, since, .. }) = &self.disabled {
            // They may be said in other words, of which the next process is to know that they mean the same.
            self.around.register.note(&self.endpoint, reason, *since);
        }
    }

    /// Gives what waits its place in an order that was changed, for as long as others can be let wait.
    pub(super) fn put_in_order(&mut self) {
        let began = Clock::now();
        for _ in 0..PLACED {
            let order = &self.endpoint.order;
            self.backlog.place_next(|delivery| key(order, delivery), self.flights.lots_mut(), began.into_std());
            if self.backlog.is_in_order() || began.elapsed() >= HOLD_UP {
                return;
            }
        }
    }

    pub(super) fn turn(&mut self, turn: Option<Turn>) {
        match turn {
            Some(Turn::Pause(until)) => {
                let wait = until.saturating_duration_since(Clock::now().into_std());
                let reason = self.gate.why_paused().unwrap_or_default();
                self.log_change(record::Change::Paused { next_attempt: SystemTime::now() + wait, reason });
            }
            Some(Turn::Resume) => self.log_change(record::Change::Resumed),
            Some(Turn::Disable) | None => {}
        }
    }

    /// Takes up what an earlier process has left of this endpoint's state.
    pub(super) fn recall(&mut self) {
        match self.around.register.recall(&self.endpoint) {
            Recalled::Disabled(reason, since) => self.set_disabled(reason, since),
            Recalled::Enabled => self.log_change(record::Change::Enabled { reason: OTHER_SETTINGS }),
            Recalled::Nothing => {}
        }
    }

    pub(super) fn disable(&mut self, reason: Box<str>) {
        if self.account.is_disabled() {
            return;
        }
        let since = SystemTime::now();
        // Should the endpoint come back, it is another one.
        if self.stage != Stage::Retired {
            self.around.register.note(&self.endpoint, &reason, since);
        }
        self.set_disabled(reason, since);
        if let Some(disabled) = &self.disabled {
            self.log_change(record::Change::Disabled { reason: &disabled.reason });
        }
    }

    fn set_disabled(&mut self, reason: Box<str>, since: SystemTime) {
        let passed = since.elapsed().unwrap_or_default();
        let left = self.endpoint.resume_after.map(|after| after.saturating_sub(passed));
        let until = left.map(|left| Clock::now().into_std() + left);
        self.disabled = Some(Disabled { reason, since, until });
        self.account.set_disabled(true);
    }

    pub(super) fn enable(&mut self, reason: &'static str) {
        if self.disabled.take().is_none() {
            return;
        }
        self.account.set_disabled(false);
        self.around.register.forget(&self.endpoint.name);
        let turn = self.gate.reset(&self.endpoint.pace, Clock::now().into_std());
        self.turn(turn);
        self.log_change(record::Change::Enabled { reason });
    }

    /// Gives the receiver a new chance, whatever it has lost the last one by.
    pub(super) fn revive(&mut self, reason: &'static str, now: Instant) {
        if self.disabled.is_some() {
            return self.enable(reason);
        }
        let turn = self.gate.reset(&self.endpoint.pace, now);
        self.turn(turn);
    }

    pub(super) fn status(&self) -> Status {
        let (events, bytes) = self.account.held();
        let in_flight = self.flights.lots().map(|lot| lot.items().len()).sum();
        let condition = match &self.disabled {
            Some(Disabled { reason, .. }) => Condition::Disabled { reason: Some(reason.clone()) },
            None => self.gate.why_paused().map_or(Condition::Enabled, |reason| Condition::Paused { reason }),
        };
        let oldest_waiting = self.backlog.oldest().map(age);
        let waiting = events.saturating_sub(in_flight);
        Status { condition, waiting, in_flight, bytes, oldest_waiting, last_error: self.last_error.clone() }
    }

    fn log_change(&self, change: record::Change<'_>) {
        let line = record::Endpoint { change, endpoint: &self.endpoint.name, endpoint_id: &self.endpoint.id };
        self.around.log.write(SystemTime::now(), &log::Record::Endpoint(line));
    }
}

/// Why an endpoint is enabled that was disabled with other settings.
const OTHER_SETTINGS: &str = "its settings changed";

/// How long one lane may hold up all others, and how many deliveries it looks at meanwhile.
const HOLD_UP: Duration = Duration::from_micros(500);
const PLACED: usize = 256;
