//! When a receiver is to be left alone, kept a second time beside the gate and the lane.

use std::time::Duration;

use super::settings::Settings;
use crate::deliver::tests::world::seconds;

/// What an attempt with the settings in force says of the receiver.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    Refusal {
        gone: bool,
    },
    /// It may be refused for one of its events.
    Splits,
    Success,
    Trouble {
        pause: Option<Duration>,
    },
}

/// Knows when no attempt may start. In doubt it says nothing until there is a new beginning.
#[derive(Debug, Default)]
pub(super) struct Watch {
    breaker: Breaker,
    /// No attempts before then.
    quiet_until: Duration,
    refusals: u32,
    disabled: Option<Disabled>,
    /// It may be disabled, though that is not sure.
    is_feared: bool,
}

#[derive(Debug)]
struct Disabled {
    until: Option<Duration>,
}

#[derive(Debug, PartialEq)]
enum Breaker {
    /// Quiet because of it, and then there is a probe.
    Broken,
    Open {
        troubles: u32,
    },
    /// This request is the probe.
    Probing(Option<usize>),
    Unsure,
}

impl Default for Breaker {
    fn default() -> Breaker {
        Breaker::Open { troubles: 0 }
    }
}

impl Watch {
    pub(super) fn doubt(&mut self) {
        let (disabled, is_feared) = (self.disabled.take(), self.is_feared);
        *self = Watch { breaker: Breaker::Unsure, disabled, is_feared, ..Watch::default() };
    }

    /// An attempt may have told this of the receiver.
    pub(super) fn fear(&mut self, heard: Heard) {
        self.is_feared |= matches!(heard, Heard::Refusal { .. });
    }

    pub(super) fn may_be_disabled(&self) -> bool {
        self.disabled.is_some() || self.is_feared
    }

    /// Whether attempts may start as they like, for certain.
    pub(super) fn is_open(&self, at: Duration) -> bool {
        let is_free = matches!(self.breaker, Breaker::Open { .. }) && self.quiet_until + GRAIN < at;
        is_free && !self.may_be_disabled()
    }

    pub(super) fn pass(&mut self, at: Duration) {
        let until = self.disabled.as_ref().and_then(|disabled| disabled.until);
        // What has passed in real time meanwhile is taken off.
        if until.is_some_and(|until| at + seconds(1) >= until) {
            self.disabled = None;
            self.is_feared = true;
            self.doubt();
        }
    }

    pub(super) fn enable(&mut self) {
        let is_feared = std::mem::take(&mut self.is_feared);
        if self.disabled.take().is_some() {
            *self = Watch::default();
        } else if is_feared {
            self.doubt();
        }
    }

    /// A person wants it to be sent to again, whatever it was.
    pub(super) fn revive(&mut self) {
        *self = Watch::default();
    }

    pub(super) fn disable(&mut self, settings: &Settings, at: Duration) {
        let until = settings.resume_after.map(|after| at + after);
        self.disabled.get_or_insert(Disabled { until });
    }

    pub(super) fn come_back(&mut self, same: bool) {
        match same {
            true => self.enable(),
            // Another lane knows nothing of this one.
            false => *self = Watch::default(),
        }
    }

    pub(super) fn settle(&mut self, before: &Settings, settings: &Settings) {
        if before.version != settings.version {
            self.enable();
        }
        if before.host != settings.host || before.pace != settings.pace {
            *self = Watch::default();
        }
        // To count too few is to ask less.
        self.refusals = 0;
    }

    pub(super) fn begin(&mut self, n: usize, at: Duration) {
        assert!(self.disabled.is_none(), "{at:?}: a disabled endpoint is sent to");
        assert!(at + GRAIN > self.quiet_until, "{at:?}: it was to be left alone until {:?}", self.quiet_until);
        match self.breaker {
            Breaker::Probing(Some(probe)) => panic!("{at:?}: there is an attempt beside the probe, request {probe}"),
            Breaker::Broken | Breaker::Probing(None) => self.breaker = Breaker::Probing(Some(n)),
            Breaker::Open { .. } | Breaker::Unsure => {}
        }
    }

    /// An attempt is over that says nothing of the receiver as it is now.
    pub(super) fn land(&mut self, n: usize) {
        if self.breaker == Breaker::Probing(Some(n)) {
            self.breaker = Breaker::Probing(None);
        }
    }

    pub(super) fn end(&mut self, n: usize, heard: Heard, settings: &Settings, at: Duration) {
        let is_at_the_edge = at >= self.quiet_until && at < self.quiet_until + GRAIN && self.quiet_until > Duration::ZERO;
        if is_at_the_edge && !matches!(self.breaker, Breaker::Probing(_)) {
            self.doubt();
        }
        match heard {
            Heard::Refusal { gone } => {
                self.answer(at);
                self.refusals += 1;
                self.is_feared |= settings.pace.disable_after.is_some();
                if gone || settings.pace.disable_after.is_some_and(|most| self.refusals >= most) {
                    self.disable(settings, at);
                }
            }
            Heard::Splits => self.answer(at),
            Heard::Success => {
                self.answer(at);
                self.refusals = 0;
            }
            Heard::Trouble { pause } => {
                self.refusals = 0;
                self.suffer(n, pause, settings, at);
            }
        }
        self.land(n);
    }

    fn answer(&mut self, at: Duration) {
        let is_quiet = at < self.quiet_until;
        match self.breaker {
            Breaker::Open { .. } => self.breaker = Breaker::default(),
            Breaker::Broken if !is_quiet => self.breaker = Breaker::default(),
            Breaker::Probing(_) => self.breaker = Breaker::default(),
            Breaker::Broken | Breaker::Unsure => {}
        }
    }

    fn suffer(&mut self, n: usize, pause: Option<Duration>, settings: &Settings, at: Duration) {
        let was_quiet = at < self.quiet_until;
        if let Some(pause) = pause {
            self.quiet_until = self.quiet_until.max(at + pause);
        }
        let Some(breaker) = settings.pace.breaker else { return };
        match &mut self.breaker {
            Breaker::Open { troubles } => {
                *troubles += 1;
                if *troubles < breaker.failures || was_quiet {
                    return;
                }
            }
            Breaker::Probing(probe) if *probe == Some(n) => {}
            Breaker::Probing(_) if pause.is_some() => return self.breaker = Breaker::Broken,
            Breaker::Broken | Breaker::Probing(_) | Breaker::Unsure => return,
        }
        self.breaker = Breaker::Broken;
        self.quiet_until = self.quiet_until.max(at + breaker.pause);
    }
}

/// Timers ring at the next whole millisecond, and what ends at that moment may come before or after.
const GRAIN: Duration = Duration::from_millis(2);
