//! Whether an endpoint's next attempt may start, and what the outcomes of its attempts mean for the endpoint as a whole.

use std::time::{Duration, Instant};

use crate::endpoint::Pace;

/// An endpoint's pace: its rate, its pauses, its breaker, and the failures it has counted.
///
/// **Invariant:** pure; in any stretch of time `t` at most `t / interval + 1` attempts start, but for [`LATENESS`]; and while
/// a breaker is not closed, at most one attempt is started in each of its pauses.
#[derive(Debug, Default)]
pub struct Gate {
    state: State,
    /// When the next attempt may start, by the rate.
    next: Option<Instant>,
    transient: u32,
    permanent: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Paused {
        until: Instant,
        /// The breaker has opened: the first attempt afterwards is a probe.
        broken: bool,
    },
    /// The pause of a breaker is over.
    Probing {
        /// The probe is under way.
        out: bool,
    },
}

/// What an outcome, or time, has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Too many permanent failures in a row.
    Disable,
    /// No attempts before then.
    Pause(Instant),
    Resume,
}

/// Whether an attempt may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Not before then.
    At(Instant),
    /// Not before an attempt that is under way has ended.
    Later,
    Start,
}

impl Gate {
    /// Whether an attempt may start at `now`.
    pub fn may_start(&self, pace: &Pace, now: Instant) -> May {
        match self.state {
            State::Paused { until, .. } => May::At(until),
            State::Probing { out: true } => May::Later,
            State::Open | State::Probing { out: false } => match self.next.filter(|_| pace.interval.is_some()) {
                Some(next) if now < next => May::At(next),
                _ => May::Start,
            },
        }
    }

    /// An attempt starts; says whether it is a breaker's probe.
    pub fn start(&mut self, pace: &Pace, now: Instant) -> bool {
        if let Some(interval) = pace.interval {
            // From when it could have started: who wakes late does not fall behind. Further back there is no credit.
            let from = self.next.filter(|next| now.saturating_duration_since(*next) <= LATENESS).unwrap_or(now);
            self.next = Some(from + interval);
        }
        let is_probe = self.state == State::Probing { out: false };
        if is_probe {
            self.state = State::Probing { out: true };
        }
        is_probe
    }

    /// Lets time pass; says whether a pause is over with it.
    pub fn pass(&mut self, now: Instant) -> Option<Turn> {
        match self.state {
            State::Paused { until, broken } if until <= now => {
                self.state = if broken { State::Probing { out: false } } else { State::Open };
                (!broken).then_some(Turn::Resume)
            }
            _ => None,
        }
    }

    /// An attempt has shown that the receiver is well: it succeeded.
    pub fn succeed(&mut self) -> Option<Turn> {
        (self.transient, self.permanent) = (0, 0);
        self.answer()
    }

    /// An attempt was refused in a way that says nothing of the receiver but that it is there.
    pub fn hear(&mut self) -> Option<Turn> {
        self.transient = 0;
        self.answer()
    }

    /// An attempt was refused for good: the receiver is there, but does not want it.
    pub fn refuse(&mut self, pace: &Pace) -> [Option<Turn>; 2] {
        self.transient = 0;
        self.permanent = self.permanent.saturating_add(1);
        let disable = pace.disable_after.is_some_and(|most| self.permanent >= most);
        [self.answer(), disable.then_some(Turn::Disable)]
    }

    /// An attempt has failed for now. `asked` is how long the receiver wants to be left alone, `is_probe` what
    /// [`Gate::start`] said of the attempt.
    pub fn fail(&mut self, pace: &Pace, asked: Option<Duration>, is_probe: bool, now: Instant) -> Option<Turn> {
        self.permanent = 0;
        self.transient = self.transient.saturating_add(1);
        let broken = match (pace.breaker, self.state) {
            (None, _) => None,
            (Some(breaker), State::Open) => (self.transient >= breaker.failures).then_some(breaker.pause),
            (Some(breaker), State::Probing { .. }) => is_probe.then_some(breaker.pause),
            (Some(_), State::Paused { .. }) => None,
        };
        let until = now + asked.max(broken)?;
        let before = self.state;
        self.state = match before {
            State::Open => State::Paused { until, broken: broken.is_some() },
            State::Paused { until: other, broken } => State::Paused { until: until.max(other), broken },
            State::Probing { .. } => State::Paused { until, broken: true },
        };
        // Of a pause that goes on, or of one more after a probe, nobody needs to hear.
        (before == State::Open).then_some(Turn::Pause(until))
    }

    /// An attempt came to nothing that says anything of the receiver as it is now.
    pub fn forget(&mut self, is_probe: bool) {
        if is_probe && self.state == (State::Probing { out: true }) {
            self.state = State::Probing { out: false };
        }
    }

    /// Other settings, or a person, give the receiver a new chance; says whether it was paused.
    pub fn reset(&mut self) -> Option<Turn> {
        let was_paused = self.is_paused();
        *self = Gate { next: self.next, ..Gate::default() };
        was_paused.then_some(Turn::Resume)
    }

    /// Until when no attempt may start, whatever the rate says; at latest then time is to [`Gate::pass`].
    pub fn paused_until(&self) -> Option<Instant> {
        match self.state {
            State::Paused { until, .. } => Some(until),
            State::Open | State::Probing { .. } => None,
        }
    }

    /// Whether the receiver is being left alone, or probed.
    pub fn is_paused(&self) -> bool {
        self.state != State::Open
    }

    /// A receiver that answers need not be probed any more; a pause it goes through to its end.
    fn answer(&mut self) -> Option<Turn> {
        if !matches!(self.state, State::Probing { .. }) {
            return None;
        }
        self.state = State::Open;
        Some(Turn::Resume)
    }
}

/// How late an attempt may start, by the timer's grain and what else goes on, without a delay of those after it.
pub(super) const LATENESS: Duration = Duration::from_millis(2);
