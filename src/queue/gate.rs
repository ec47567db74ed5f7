//! Whether an endpoint's next attempt may start, and what the outcomes of its attempts mean for the endpoint as a whole.

use std::time::{Duration, Instant};

use crate::endpoint::Pace;

/// An endpoint's pace: its rate, its pauses, its breaker, and the failures it has counted.
///
/// **Invariant:** pure; in any stretch of time `t` at most `t / interval + 1` attempts start, but for `LATENESS`; and while
/// a breaker is not closed, at most one attempt is started in each of its pauses.
#[derive(Debug, Default)]
pub struct Gate {
    state: State,
    /// When the next attempt may start, by the rate.
    next: Option<Instant>,
    transient: u32,
    permanent: u32,
    /// Probes there have been.
    probes: u64,
}

/// One of a breaker's probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe(u64);

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
        /// The probe that is under way.
        out: Option<Probe>,
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
            State::Probing { out: Some(_) } => May::Later,
            State::Open | State::Probing { out: None } => match self.next.filter(|_| pace.interval.is_some()) {
                Some(next) if now < next => May::At(next),
                _ => May::Start,
            },
        }
    }

    /// An attempt starts; says which of the breaker's probes it is, if it is one.
    pub fn start(&mut self, pace: &Pace, now: Instant) -> Option<Probe> {
        if let Some(interval) = pace.interval {
            // From when it could have started: who wakes late does not fall behind. Further back there is no credit.
            let from = self.next.filter(|next| now.saturating_duration_since(*next) <= LATENESS).unwrap_or(now);
            self.next = Some(from + interval);
        }
        if self.state != (State::Probing { out: None }) {
            return None;
        }
        self.probes += 1;
        let probe = Some(Probe(self.probes));
        self.state = State::Probing { out: probe };
        probe
    }

    /// Lets time pass; says whether a pause is over with it.
    pub fn pass(&mut self, now: Instant) -> Option<Turn> {
        match self.state {
            State::Paused { until, broken } if until <= now => {
                self.state = if broken { State::Probing { out: None } } else { State::Open };
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

    /// An attempt has failed for now. `asked` is how long the receiver wants to be left alone, `probe` what
    /// [`Gate::start`] said of the attempt.
    pub fn fail(&mut self, pace: &Pace, asked: Option<Duration>, probe: Option<Probe>, now: Instant) -> Option<Turn> {
        self.permanent = 0;
        self.transient = self.transient.saturating_add(1);
        let broken = match (pace.breaker, self.state) {
            (None, _) => None,
            (Some(breaker), State::Open) => (self.transient >= breaker.failures).then_some(breaker.pause),
            (Some(breaker), State::Probing { .. }) => self.is_out(probe).then_some(breaker.pause),
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

    /// An attempt is no longer under way, and what it came to was said, if it says anything of the receiver as it is now: if
    /// it was the probe, and the receiver is still in question, the next one is.
    pub fn land(&mut self, probe: Option<Probe>) {
        if self.is_out(probe) {
            self.state = State::Probing { out: None };
        }
    }

    /// Other settings, or a person, give the receiver a new chance, at this pace from now on; says whether it was paused.
    pub fn reset(&mut self, pace: &Pace, now: Instant) -> Option<Turn> {
        let was_paused = self.state != State::Open;
        let next = self.next.map(|next| pace.interval.map_or(next, |interval| next.min(now + interval)));
        // Who still comes back from before must not pass for a probe of afterwards.
        *self = Gate { next, probes: self.probes, ..Gate::default() };
        was_paused.then_some(Turn::Resume)
    }

    /// Until when no attempt may start, whatever the rate says; at latest then time is to [`Gate::pass`].
    pub fn paused_until(&self) -> Option<Instant> {
        match self.state {
            State::Paused { until, .. } => Some(until),
            State::Open | State::Probing { .. } => None,
        }
    }

    /// Why the receiver is being left alone, or probed.
    pub fn why_paused(&self) -> Option<&'static str> {
        match self.state {
            State::Open => None,
            State::Paused { broken: false, .. } => Some("the receiver asked for a rest (Retry-After)"),
            State::Paused { broken: true, .. } => Some("the breaker is open, after too many transient failures in a row"),
            State::Probing { .. } => Some("the breaker is half open: one attempt tells whether the receiver is back"),
        }
    }

    fn is_out(&self, probe: Option<Probe>) -> bool {
        probe.is_some() && self.state == (State::Probing { out: probe })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Breaker;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_probe_from_before_a_reset_does_not_pass_for_one_of_afterwards() {
        let pace = Pace { breaker: Some(Breaker { failures: 1, pause: SECOND }), ..Pace::default() };
        let (mut gate, mut now) = (Gate::default(), Instant::now());
        let mut probe = || {
            gate.reset(&pace, now);
            gate.fail(&pace, None, None, now);
            now += SECOND;
            gate.pass(now);
            gate.start(&pace, now)
        };
        let (before, after) = (probe(), probe());
        assert!(before.is_some() && after.is_some());
        gate.land(before);
        assert_eq!(gate.may_start(&pace, now), May::Later);
        assert_eq!((gate.fail(&pace, None, before, now), gate.may_start(&pace, now)), (None, May::Later));
        gate.land(after);
        assert_eq!(gate.may_start(&pace, now), May::Start);
    }

    fn breaking(failures: u32) -> Pace {
        Pace { breaker: Some(Breaker { failures, pause: SECOND }), ..Pace::default() }
    }

    #[test]
    fn who_starts_a_little_late_delays_nobody_and_who_starts_much_later_has_no_credit() {
        let interval = Duration::from_millis(10);
        let pace = Pace { interval: Some(interval), ..Pace::default() };
        let (mut gate, start) = (Gate::default(), Instant::now());
        gate.start(&pace, start);
        gate.start(&pace, start + interval + LATENESS);
        assert_eq!(gate.may_start(&pace, start + interval + LATENESS), May::At(start + 2 * interval));
        let later = start + 2 * interval + 2 * LATENESS;
        gate.start(&pace, later);
        assert_eq!(gate.may_start(&pace, later), May::At(later + interval));
    }

    #[test]
    fn whatever_a_receiver_answers_but_a_transient_failure_ends_a_row_of_these() {
        let (pace, now) = (breaking(2), Instant::now());
        let answers: [fn(&mut Gate, &Pace); 3] = [
            |gate, _| {
                gate.hear();
            },
            |gate, pace| {
                gate.refuse(pace);
            },
            |gate, _| {
                gate.succeed();
            },
        ];
        for answer in answers {
            let mut gate = Gate::default();
            gate.fail(&pace, None, None, now);
            answer(&mut gate, &pace);
            assert_eq!((gate.fail(&pace, None, None, now), gate.paused_until()), (None, None));
            assert_eq!(gate.fail(&pace, None, None, now), Some(Turn::Pause(now + SECOND)));
        }
    }

    #[test]
    fn a_pause_is_never_shortened_and_no_answer_ends_it() {
        let (pace, now) = (Pace::default(), Instant::now());
        let mut gate = Gate::default();
        for (asked, until) in [(30, 30), (10, 30), (40, 40)] {
            gate.fail(&pace, Some(asked * SECOND), None, now);
            assert_eq!(gate.paused_until(), Some(now + until * SECOND));
        }
        assert_eq!((gate.succeed(), gate.hear(), gate.refuse(&pace)), (None, None, [None, None]));
        assert_eq!(gate.paused_until(), Some(now + 40 * SECOND));
        assert_eq!(gate.pass(now + 40 * SECOND), Some(Turn::Resume));
    }

    #[test]
    fn after_a_probe_that_fails_there_is_another_pause_and_another_probe() {
        let (pace, mut now) = (breaking(1), Instant::now());
        let mut gate = Gate::default();
        gate.fail(&pace, None, None, now);
        for _ in 0..3 {
            now += SECOND;
            assert_eq!(gate.pass(now), None, "nothing says that the receiver is back");
            let probe = gate.start(&pace, now);
            assert!(probe.is_some());
            assert_eq!(gate.may_start(&pace, now), May::Later);
            assert_eq!(gate.fail(&pace, None, probe, now), None, "of one more pause nobody needs to hear");
            gate.land(probe);
            assert_eq!(gate.paused_until(), Some(now + SECOND));
        }
    }
}
