//! What must hold of all that has happened, by the interface's words and not by the lane's.
//!
//! It goes through the requests and orders as they came, and through each event's lines beside them. Where something was
//! ordered at the very moment at which an attempt ended, either may have come first, and less is asked.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use serde_json::Value;

use super::{
    Act, Past,
    answer::{Answer, Failure},
    door::Posted,
    settings::{Order, Settings},
    watch::{Heard, Watch},
};
use crate::{
    deliver::tests::world::{Seen, Step, seconds},
    retry::On,
};

pub(super) fn audit(past: &Past) {
    let mut auditor = Auditor::new(past);
    for (at, step) in past.ended.receiver.steps() {
        match step {
            Step::Began(n) => auditor.begin(n, at),
            Step::Ended(n) => auditor.end(n, at),
            Step::Told(n) => auditor.hear(&past.acts[n], at),
        }
    }
    auditor.close();
}

/// A request, read.
struct Request {
    seen: Seen,
    events: Vec<usize>,
    version: u64,
    /// Over a connection that had carried another.
    reuses: bool,
    /// The first request of its attempt.
    attempt: usize,
}

/// An event's way, as far as it was seen.
#[derive(Default)]
pub(super) struct Way<'p> {
    /// Attempts made and counted.
    pub(super) counted: u32,
    /// Not to be tried before then.
    due: Option<Duration>,
    /// When that was said, or the event came.
    waits_since: Duration,
    pub(super) first_began: Option<Duration>,
    /// It was being sent when the order was changed, and may be ahead of others.
    crossed: bool,
    /// By this later event that was to wait for it: it must have ended.
    overtaken: Option<usize>,
    pub(super) fate: Option<Fate>,
    /// When it is due is not known, nor whether its last attempt has counted if that was made while draining.
    pub(super) is_vague: bool,
    /// It was there when the endpoint may have been disabled.
    pub(super) may_be_disabled: bool,
    /// Or removed.
    pub(super) may_be_removed: bool,
    pub(super) lines: VecDeque<&'p Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    /// For this reason, where that is sure.
    GivenUp(Option<&'static str>),
}

pub(super) struct Auditor<'p> {
    pub(super) past: &'p Past,
    requests: Vec<Request>,
    pub(super) versions: HashMap<u64, &'p Settings>,
    settings: &'p Settings,
    told_at: Duration,
    pub(super) is_draining: bool,
    is_retired: bool,
    /// Events so far.
    posted: usize,
    /// When there was last one that others had to make room for.
    pub(super) displaced_at: Duration,
    /// When there was last something that may have kept attempts from starting.
    hindered_at: Duration,
    pub(super) ways: Vec<Way<'p>>,
    /// Requests that stand for the attempts under way.
    pub(super) out: Vec<usize>,
    /// Of these the last request was in vain for its connection's sake, and comes again.
    pub(super) again: Vec<usize>,
    /// When those that hold the rate of now have started.
    starts: Vec<Duration>,
    batches: HashMap<String, usize>,
    watch: Watch,
}

impl<'p> Auditor<'p> {
    fn new(past: &'p Past) -> Auditor<'p> {
        let mut links = HashSet::new();
        let read = |(attempt, seen): (usize, Seen)| {
            let (events, version) = (super::read(&seen), seen.header("x-version").parse().unwrap());
            Request { reuses: !links.insert(seen.connection), seen, events, version, attempt }
        };
        let requests = past.ended.receiver.so_far().into_iter().enumerate().map(read).collect();
        let mut ways: Vec<Way<'p>> = Vec::new();
        ways.extend(past.events.iter().map(|event| Way { counted: event.attempts, ..Way::default() }));
        for line in past.ended.log.iter().filter(|line| line["kind"] == "delivery") {
            ways[number(&line["event_id"])].lines.push_back(line);
        }
        let versions: HashMap<u64, &Settings> = past
            .acts
            .iter()
            .filter_map(|act| if let Act::Settled(settings) = act { Some((settings.version, &**settings)) } else { None })
            .collect();
        Auditor {
            past,
            requests,
            settings: versions[&0],
            versions,
            told_at: Duration::ZERO,
            is_draining: false,
            is_retired: false,
            posted: 0,
            displaced_at: Duration::ZERO,
            hindered_at: Duration::ZERO,
            ways,
            out: Vec::new(),
            again: Vec::new(),
            starts: Vec::new(),
            batches: HashMap::new(),
            watch: Watch::default(),
        }
    }

    /// What was so until now.
    fn pass(&mut self, at: Duration) {
        self.watch.pass(at);
        let Settings { active, order, pace, concurrency, .. } = self.settings;
        let is_bound = *order != Order::Parallel || pace.interval.is_some() || self.out.len() >= *concurrency;
        if !active || is_bound || self.is_draining || !self.watch.is_open(at) {
            self.hindered_at = at;
        }
    }

    fn hear(&mut self, act: &'p Act, at: Duration) {
        assert!(self.again.is_empty(), "{at:?}: what was to be sent again at once was not");
        self.pass(at);
        match act {
            Act::Back { same } => {
                self.is_retired = false;
                self.watch.come_back(*same);
                if !same {
                    assert!(self.out.is_empty(), "{at:?}: a lane has ended with attempts under way");
                    self.starts.clear();
                }
            }
            Act::Disabled => self.watch.disable(self.settings, at),
            Act::Drained => self.is_draining = true,
            Act::Enabled => self.watch.revive(),
            Act::Posted(event) => {
                self.posted += 1;
                self.ways[*event].waits_since = at;
                if self.past.events[*event].posted == Posted::Displacing {
                    self.displaced_at = at;
                }
                // Its lane may have ended.
                self.ways[*event].may_be_removed = self.is_retired;
            }
            Act::Retired => self.is_retired = true,
            Act::Settled(settings) => {
                let before = std::mem::replace(&mut self.settings, settings);
                (self.told_at, self.hindered_at, self.displaced_at) = (at, at, at);
                if before.pace.interval != settings.pace.interval {
                    self.starts.clear();
                }
                if before.order != settings.order {
                    self.ways.iter_mut().for_each(|way| (way.crossed, way.overtaken) = (false, None));
                    for request in &self.out {
                        self.requests[*request].events.iter().for_each(|event| self.ways[*event].crossed = true);
                    }
                }
                self.watch.settle(before, settings);
            }
        }
        self.see();
    }

    /// What waits now may be given up for what is so now.
    fn see(&mut self) {
        let is_removed = self.is_retired && !self.settings.active;
        for way in &mut self.ways[..self.posted] {
            way.may_be_disabled |= self.watch.may_be_disabled();
            way.may_be_removed |= is_removed;
        }
    }

    fn begin(&mut self, n: usize, at: Duration) {
        self.pass(at);
        let request = &self.requests[n];
        if let Some(known) = self.again.iter().position(|other| self.requests[*other].events == request.events) {
            let other = &self.requests[self.again.swap_remove(known)];
            assert_eq!(
                (&other.seen.body, &other.seen.headers, other.seen.at),
                (&request.seen.body, &request.seen.headers, at),
                "{at:?}: what is sent again at once is not the same"
            );
            assert!(!request.reuses, "{at:?}: it goes over a used connection again");
            self.requests[n].attempt = other.attempt;
            return self.out.push(n);
        }
        assert_eq!(request.version, self.settings.version, "{at:?}: an attempt with settings that are not in force");
        assert!(self.settings.active, "{at:?}: an inactive endpoint is sent to");
        let most = self.settings.concurrency;
        assert!(self.out.len() + self.again.len() < most, "{at:?}: more than {most} attempts at once");
        self.watch.begin(n, at);
        self.check_rate(at);
        self.check_members(n, at);
        self.check_order(n, at);
        self.check_haste(n, at);
        self.out.push(n);
    }

    fn check_rate(&mut self, at: Duration) {
        self.starts.push(at);
        let Some(interval) = self.settings.pace.interval else { return };
        for (n, first) in self.starts.iter().rev().enumerate() {
            let most = (at - *first + LATENESS).as_secs_f64() / interval.as_secs_f64() + 1.0;
            assert!((n + 1) as f64 <= most + 1e-6, "{at:?}: {} attempts since {first:?}, and {interval:?} apart", n + 1);
        }
    }

    fn check_members(&mut self, n: usize, at: Duration) {
        let request = &self.requests[n];
        let (events, seen) = (&request.events, &request.seen);
        assert!(events.is_sorted(), "{at:?}: {events:?} are out of order");
        for event in events {
            let (way, posted) = (&self.ways[*event], &self.past.events[*event]);
            assert_eq!(way.fate, None, "{at:?}: e-{event} is sent after its end");
            assert_eq!(seen.attempt(), way.counted + 1, "{at:?}: the attempt's number of e-{event}");
            assert_eq!(seen.header("content-type"), posted.content_type, "{at:?}: e-{event}");
            let is_early = way.due.is_some_and(|due| at + GRAIN < due);
            assert!(self.is_draining || !is_early, "{at:?}: e-{event} is tried before {:?}", way.due);
            let is_late = posted.is_old && way.counted > 0 && self.settings.retry.max_age.is_some();
            assert!(!is_late, "{at:?}: e-{event} is tried past its age");
        }
        let Some(batch) = self.settings.batch else {
            assert_eq!(seen.id, format!("e-{}", events[0]), "{at:?}");
            return assert_eq!(events.len(), 1, "{at:?}: there is a batch where none is wanted");
        };
        assert!(seen.id.starts_with("bat_"), "{at:?}: a batch is called {}", seen.id);
        let same = *self.batches.entry(seen.id.clone()).or_insert(n);
        assert_eq!((&self.requests[same].events, &self.requests[same].seen.body), (events, &seen.body), "{at:?}: {}", seen.id);
        // What was formed by other rules may go on as it is.
        if self.settings.version == 0 {
            assert!(events.len() <= batch.max_events, "{at:?}: {} in a batch", events.len());
            assert!(events.len() == 1 || seen.body.len() <= batch.max_bytes, "{at:?}: {} bytes in a batch", seen.body.len());
        }
    }

    /// What may go out and does not wait for company has gone out at once.
    fn check_haste(&mut self, n: usize, at: Duration) {
        for event in &self.requests[n].events {
            let way = &mut self.ways[*event];
            way.first_began.get_or_insert(at);
            let is_joining = way.due.is_none() || self.told_at >= way.waits_since;
            let company = self.settings.batch.filter(|_| is_joining).map_or(Duration::ZERO, |batch| batch.max_wait);
            let ready = way.due.unwrap_or(way.waits_since).saturating_add(company);
            assert!(
                at <= ready.max(self.hindered_at).saturating_add(GRAIN),
                "{at:?}: e-{event} could have gone out at {ready:?}"
            );
        }
    }

    fn check_order(&mut self, n: usize, at: Duration) {
        let key = |event: usize| self.settings.lane_of(self.past.events[event].key);
        let events = &self.requests[n].events;
        for event in events {
            let Some(lane) = key(*event) else { return };
            for other in self.out.iter().flat_map(|request| &self.requests[*request].events) {
                let both = self.ways[*event].crossed && self.ways[*other].crossed;
                assert!(key(*other) != Some(lane) || both, "{at:?}: e-{event} is sent while e-{other} is");
            }
            let by = self.ways[*event].overtaken;
            assert_eq!(by, None, "{at:?}: e-{event} is sent, and what came later was sent without it before");
            if !self.ways[*event].crossed {
                for other in (0..*event).filter(|other| key(*other) == Some(lane) && !events.contains(other)) {
                    self.ways[other].overtaken = Some(*event);
                }
            }
        }
    }

    fn end(&mut self, n: usize, at: Duration) {
        self.pass(at);
        self.out.retain(|other| *other != n);
        let request = &self.requests[n];
        let answer =
            Answer::of(&self.past.replies[n], at - request.seen.at, self.versions[&request.version].timeout, request.reuses);
        let failure = match answer {
            Answer::Again => return self.again.push(n),
            Answer::Never => return,
            Answer::Delivered(status) => {
                for event in request.events.clone() {
                    self.line(n, event, ("delivered", Some(status)), at);
                    self.ways[event].fate = Some(Fate::Delivered);
                }
                return self.tell(n, Heard::Success, at);
            }
            Answer::Failed(failure) => failure,
        };
        if request.events.len() > 1 && matches!(failure.status, Some(400 | 413 | 422)) {
            for event in request.events.clone() {
                self.line(n, event, ("retrying", failure.status), at);
                (self.ways[event].due, self.ways[event].waits_since) = (Some(at), at);
            }
            return self.tell(n, Heard::Splits, at);
        }
        for event in request.events.clone() {
            self.fail(n, event, failure, at);
        }
        let pause = failure.asked.filter(|_| matches!(failure.status, Some(429 | 503)));
        let pause = pause.map(|asked| seconds(asked).min(self.settings.retry.max_delay));
        let heard = match failure.is_permanent() {
            true => Heard::Refusal { gone: failure.status == Some(410) },
            false => Heard::Trouble { pause },
        };
        self.tell(n, heard, at);
    }

    fn is_unsure(&self, n: usize, at: Duration) -> bool {
        self.requests[n].version != self.settings.version && self.told_at == at
    }

    fn tell(&mut self, n: usize, heard: Heard, at: Duration) {
        let Request { attempt, version, .. } = self.requests[n];
        if self.is_unsure(n, at) {
            self.watch.doubt();
            self.watch.fear(heard);
        } else if version == self.settings.version {
            self.watch.end(attempt, heard, self.settings, at);
        } else {
            self.watch.land(attempt);
        }
        self.see();
    }

    fn fail(&mut self, n: usize, event: usize, failure: Failure, at: Duration) {
        let (number, began) = (self.ways[event].counted + 1, self.requests[n].seen.at);
        let policy = &self.settings.retry;
        let may_again = !failure.is_permanent() || policy.on == On::Any;
        let wait = self.settings.wait_after(number, failure.asked);
        let is_too_old = |wait| policy.max_age.is_some_and(|most| self.past.events[event].is_old || wait > most);
        let due = self.ways[event].due.filter(|_| self.is_draining);
        let (is_early, is_nearly) = (due.is_some_and(|due| began + GRAIN < due), due.is_some_and(|due| began < due));
        let reason = match wait {
            _ if !may_again => Some("permanent"),
            _ if is_early => None,
            None => Some("attempts"),
            Some(wait) if is_too_old(wait) => Some("max_age"),
            Some(_) => None,
        };
        let is_vague = self.is_draining && self.ways[event].is_vague;
        if self.is_unsure(n, at) || is_early != is_nearly || is_vague {
            return self.fail_somehow(n, event, failure, at);
        }
        let way = &mut self.ways[event];
        way.waits_since = at;
        if !is_early || reason.is_some() {
            way.counted = number;
        }
        way.due = if is_early { way.due } else { wait.map(|wait| at + wait) };
        way.fate = reason.map(|reason| Fate::GivenUp(Some(reason)));
        way.is_vague = false;
        self.line(n, event, (if reason.is_some() { "failed" } else { "retrying" }, failure.status), at);
    }

    /// What became of it its line says.
    fn fail_somehow(&mut self, n: usize, event: usize, failure: Failure, at: Duration) {
        let way = &mut self.ways[event];
        let outcome = way.lines.front().map_or("nothing", |line| line["outcome"].as_str().unwrap());
        let outcome = ["failed", "retrying"].into_iter().find(|word| *word == outcome).unwrap_or("a failure");
        (way.counted, way.due, way.is_vague) = (way.counted + 1, None, true);
        way.waits_since = Duration::MAX;
        way.fate = (outcome == "failed").then_some(Fate::GivenUp(None));
        self.line(n, event, (outcome, failure.status), at);
    }

    /// The next line of `event` says this of the attempt.
    fn line(&mut self, n: usize, event: usize, (outcome, status): (&str, Option<u16>), at: Duration) {
        let line = self.ways[event].lines.pop_front();
        let line = line.unwrap_or_else(|| panic!("{at:?}: e-{event} has no line that it is {outcome}"));
        let request = &self.requests[n];
        let settings = self.versions[&request.version];
        assert_eq!(line["outcome"], outcome, "{at:?}: {line}");
        assert_eq!(line["attempt"], request.seen.attempt(), "{at:?}: {line}");
        assert_eq!(line["max_attempts"], settings.retry.max_attempts(), "{at:?}: {line}");
        assert_eq!(line["http_status"].as_u64(), status.map(u64::from), "{at:?}: {line}");
        assert_eq!(line["url"], format!("http://{}/hook", settings.host), "{at:?}: {line}");
        assert_eq!(line["batch_id"].as_str(), settings.batch.map(|_| &*request.seen.id), "{at:?}: {line}");
    }
}

pub(super) fn number(id: &Value) -> usize {
    id.as_str().and_then(|id| id.strip_prefix("e-")).and_then(|digits| digits.parse().ok()).unwrap()
}

/// How late an attempt may start without delaying those after it, and a timer's grain on top.
const LATENESS: Duration = Duration::from_millis(3);

const GRAIN: Duration = Duration::from_millis(2);
