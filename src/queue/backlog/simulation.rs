//! A backlog and a gate, driven by seeds: whatever happens in whatever order, nothing is lost, doubled, out of order, over a
//! limit or stuck. A seed that fails prints what it did; `SIMULATION_SEED=n cargo test simulation` does it again, and
//! `SIMULATION_SEEDS=n` tries so many.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::{Backlog, Item, Lot, Rules, tests::Parcel};
use crate::{
    endpoint::{Batch, Breaker, Pace},
    queue::gate::{Gate, LATENESS, May, Probe, Turn},
};

#[test]
fn nothing_is_lost_doubled_out_of_order_over_a_bound_or_stuck() {
    for seed in seeds("SIMULATION", 3000) {
        let mut world = World::new(seed);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.live()));
        assert!(ended.is_ok(), "seed {seed} fails. What happened:\n{}", world.trace);
    }
}

/// The seeds of a simulation: so many; or as many as `{name}_SEEDS` says, or the one of `{name}_SEED`, to see it again.
pub(crate) fn seeds(name: &str, usual: u64) -> std::ops::Range<u64> {
    let asked = |what| std::env::var(format!("{name}_{what}")).ok().and_then(|number| number.parse::<u64>().ok());
    asked("SEED").map_or(0..asked("SEEDS").unwrap_or(usual), |seed| seed..seed + 1)
}

/// What a lane would be, but for sockets and time.
struct World {
    random: Random,
    trace: String,
    start: Instant,
    now: Instant,
    order: Keys,
    rules: Rules,
    pace: Pace,
    concurrency: usize,
    backlog: Backlog<Parcel>,
    gate: Gate,
    out: Vec<Out>,
    pushed: u64,
    /// How each has ended.
    ended: BTreeMap<u64, &'static str>,
    /// Since the last change of the order: of each key the last that has ended.
    last: HashMap<u64, u64>,
    /// Those that were out when the order changed last: they may be late.
    excused: BTreeSet<u64>,
    /// With the pace in force.
    starts: Vec<Instant>,
    /// What was started last though there was something of the other kind.
    preferred: Option<Kind>,
    /// Of those that wait for their next attempt: not before then.
    due: HashMap<u64, Instant>,
    /// How often each has failed.
    failed: HashMap<u64, u32>,
    /// Every lot that was tried and has not ended or been split, by its id.
    batches: HashMap<Box<str>, Tried>,
    named: u64,
    /// Counts reloads.
    settings: u64,
    draining: bool,
}

struct Tried {
    members: BTreeSet<u64>,
    /// Something has happened meanwhile for which it may be another lot when it is tried again.
    may_change: bool,
}

/// Whether a lot has not been tried or waited for its time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Fresh,
    Parked,
}

struct Out {
    lot: Lot<Parcel>,
    mark: Mark,
}

#[derive(Clone, Copy)]
struct Mark {
    probe: Option<Probe>,
    /// Those it started with.
    settings: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Keys {
    ByHalf,
    ByKey,
    Fifo,
    Parallel,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let start = Instant::now();
        let order = order(&mut random);
        let rules = rules(order, &mut random);
        let pace = pace(&mut random);
        let concurrency = 1 + random.below(6) as usize;
        let mut trace = String::new();
        let _ = writeln!(trace, "{order:?} {rules:?} {pace:?} concurrency {concurrency}");
        World {
            random,
            trace,
            start,
            now: start,
            order,
            rules,
            pace,
            concurrency,
            backlog: Backlog::new(rules),
            gate: Gate::default(),
            out: Vec::new(),
            pushed: 0,
            ended: BTreeMap::new(),
            last: HashMap::new(),
            excused: BTreeSet::new(),
            starts: Vec::new(),
            preferred: None,
            due: HashMap::new(),
            failed: HashMap::new(),
            batches: HashMap::new(),
            named: 0,
            settings: 0,
            draining: false,
        }
    }

    fn live(&mut self) {
        for _ in 0..20 + self.random.below(200) {
            match self.random.below(12) {
                0..=3 => self.push(),
                4..=7 => self.land(),
                8 | 9 => self.step(),
                10 if self.random.one_in(6) => self.reload(),
                10 if self.random.one_in(6) => self.give_up_everything(),
                10 => {
                    let most = self.random.below(8);
                    self.put_in_order(most);
                }
                11 if self.rules.evicts => (0..self.random.below(3)).for_each(|_| self.evict()),
                _ => {}
            }
            self.start_all();
            self.check();
        }
        match self.random.one_in(3) {
            true => self.drain(),
            false => self.run_dry(),
        }
        self.check();
        assert_eq!(self.ended.len() as u64, self.pushed, "something has not ended");
        self.check_rate();
    }

    fn push(&mut self) {
        for _ in 0..1 + self.random.below(4) {
            let parcel = Parcel {
                number: self.pushed,
                key: self.random.below(5),
                bytes: 1 + self.random.below(60) as usize,
                kind: u8::from(self.random.one_in(20)),
                // An earlier process may have tried it.
                attempts: if self.random.one_in(10) { self.random.below(3) as u32 } else { 0 },
            };
            self.note(format_args!("push {} of key {}, tried {} times", parcel.number, parcel.key, parcel.attempts));
            self.failed.insert(parcel.number, parcel.attempts);
            self.pushed += 1;
            self.backlog.push(parcel.clone(), key(self.order, &parcel), self.now);
        }
    }

    fn start_all(&mut self) {
        while self.out.len() < self.concurrency {
            if let Some(until) = self.gate.paused_until() {
                assert!(until > self.now || self.gate.pass(self.now).is_none() || self.gate.why_paused().is_none());
            }
            self.gate.pass(self.now);
            if self.gate.may_start(&self.pace, self.now) != May::Start {
                return;
            }
            let there = [(Kind::Fresh, self.has_fresh()), (Kind::Parked, self.has_due())];
            let parked = self.backlog.parked.len();
            let Some(lot) = self.backlog.next(self.now) else {
                assert!(!there.iter().any(|(_, is_there)| *is_there), "there was something to start");
                return;
            };
            let kind = if self.backlog.parked.len() < parked { Kind::Parked } else { Kind::Fresh };
            self.check_turn(kind, there);
            let probe = self.gate.start(&self.pace, self.now);
            self.starts.push(self.now);
            self.start(lot, probe);
        }
    }

    fn has_due(&self) -> bool {
        self.backlog.parked.keys().any(|(due, _)| *due <= self.now)
    }

    /// Whether what has not been tried may go out now.
    fn has_fresh(&self) -> bool {
        let since = self.backlog.fresh.since();
        since.is_some_and(|since| self.rules.batch.is_none_or(|batch| since + batch.max_wait <= self.now))
    }

    /// Neither kind waits for the other for longer than one turn.
    fn check_turn(&mut self, kind: Kind, there: [(Kind, bool); 2]) {
        let is_there = |other| there.contains(&(other, true));
        let other = if kind == Kind::Fresh { Kind::Parked } else { Kind::Fresh };
        assert!(self.preferred != Some(kind) || !is_there(other), "{other:?} ones wait for {kind:?} ones");
        self.preferred = is_there(other).then_some(kind);
    }

    fn start(&mut self, mut lot: Lot<Parcel>, probe: Option<Probe>) {
        let members: BTreeSet<u64> = lot.items().map(|parcel| parcel.number).collect();
        assert!(lot.items().is_sorted_by_key(|parcel| parcel.number), "a batch is out of order");
        self.note(format_args!("start {members:?} {}", if probe.is_some() { "as a probe" } else { "" }));
        self.check_lot(&lot);
        match &lot.id {
            Some(id) => {
                let known = self.batches.get(id).map(|tried| &tried.members);
                assert_eq!(known, Some(&members), "a batch has changed and kept its id");
            }
            None => {
                let is_lost = |tried: &Tried| !tried.may_change && !tried.members.is_disjoint(&members);
                assert!(!self.batches.values().any(is_lost), "a batch has lost its id");
                self.batches.retain(|_, tried| tried.members.is_disjoint(&members));
                self.named += 1;
                let id: Box<str> = format!("bat_{}", self.named).into();
                self.batches.insert(id.clone(), Tried { members, may_change: false });
                lot.id = Some(id);
            }
        }
        self.out.push(Out { lot, mark: Mark { probe, settings: self.settings } });
    }

    fn check_lot(&self, lot: &Lot<Parcel>) {
        assert!(lot.items().all(|parcel| parcel.mixes_with(&lot.entries[0].item)), "what cannot be in one batch is");
        let is_early = |parcel: &Parcel| self.due.get(&parcel.number).is_some_and(|due| *due > self.now);
        assert!(self.draining || !lot.items().any(is_early), "one is tried before its time");
        assert!(fits(self.rules, lot.items()), "too much in a batch");
        if self.order != Keys::Parallel {
            // Several of a key may have been out when the order changed, and come back.
            let are_excused = lot.items().all(|parcel| self.excused.contains(&parcel.number));
            let keys: BTreeSet<u64> = lot.items().map(|parcel| key(self.order, parcel)).collect();
            let is_busy = |parcel: &Parcel| {
                keys.contains(&key(self.order, parcel)) && !(are_excused && self.excused.contains(&parcel.number))
            };
            assert!(!self.out.iter().any(|out| out.lot.items().any(is_busy)), "two of a key are out at once");
        }
    }

    /// An attempt ends, in one way or another.
    fn land(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let at = self.random.below(self.out.len() as u64) as usize;
        let Out { mut lot, mark } = self.take_out(at);
        let members: Vec<u64> = lot.items().map(|parcel| parcel.number).collect();
        match self.random.below(10) {
            0..=4 => {
                self.note(format_args!("{members:?} is delivered"));
                self.tell(mark, Gate::succeed);
                self.end(lot, "delivered");
            }
            5 if members.len() > 1 => {
                self.note(format_args!("{members:?} is split"));
                self.tell(mark, Gate::hear);
                self.batches.remove(lot.id.as_deref().unwrap_or_default());
                self.backlog.split(lot, self.now);
            }
            5 => {
                self.note(format_args!("{members:?} is refused"));
                let pace = self.pace;
                let turns = self.tell(mark, |gate| gate.refuse(&pace));
                self.end(lot, "dead_lettered");
                if turns.is_some_and(|turns| turns.contains(&Some(Turn::Disable))) {
                    self.give_up_everything();
                    self.gate.reset(&self.pace, self.now);
                }
            }
            _ => {
                let asked = self.random.one_in(8).then(|| Duration::from_millis(self.random.below(2000)));
                let wait = Duration::from_millis(self.random.below(3000));
                self.note(format_args!("{members:?} fails, again in {wait:?}, asked for {asked:?}"));
                let (pace, now) = (self.pace, self.now);
                self.tell(mark, |gate| gate.fail(&pace, asked, mark.probe, now));
                if members.len() > 1 && self.random.one_in(3) {
                    self.give_some_up(&mut lot);
                }
                self.count(&mut lot, now + wait);
                self.backlog.park(lot, now + wait);
            }
        }
    }

    fn take_out(&mut self, at: usize) -> Out {
        let mut out = self.out.swap_remove(at);
        let order = self.order;
        self.backlog.update(&mut out.lot, |parcel| key(order, parcel));
        out
    }

    /// As what is past its age.
    fn give_some_up(&mut self, lot: &mut Lot<Parcel>) {
        let (rest, before) = (self.random.below(3), lot.items().len());
        let over = self.backlog.finish_some(lot, |parcel| parcel.number % 3 == rest, self.now);
        assert_eq!(over.len() + lot.items().len(), before);
        assert!(lot.items().len() == 1 || lot.items().all(|parcel| parcel.number % 3 != rest));
        if !over.is_empty() {
            self.batches.retain(|_, tried| !tried.members.contains(&over[0].number));
        }
        self.note(format_args!("of these {:?} are too old", over.iter().map(|parcel| parcel.number).collect::<Vec<_>>()));
        over.iter().for_each(|parcel| self.bury(parcel, "dead_lettered"));
    }

    /// As a lane does: what holds for the first of a lot holds for all of it.
    fn count(&mut self, lot: &mut Lot<Parcel>, due: Instant) {
        let number = lot.entries[0].item.attempts + 1;
        for parcel in lot.items_mut() {
            parcel.attempts = number;
            let failed = self.failed.entry(parcel.number).or_default();
            *failed += 1;
            assert_eq!(*failed, number, "{} has not been tried so often", parcel.number);
            self.due.insert(parcel.number, due);
        }
    }

    /// An attempt has told of the receiver; with other settings it says nothing of these.
    fn tell<R>(&mut self, Mark { probe, settings }: Mark, what: impl FnOnce(&mut Gate) -> R) -> Option<R> {
        let said = (settings == self.settings).then(|| what(&mut self.gate));
        self.gate.land(probe);
        said
    }

    fn end(&mut self, lot: Lot<Parcel>, how: &'static str) {
        if let Some(id) = &lot.id {
            self.batches.remove(id);
        }
        for parcel in self.backlog.finish(lot, self.now) {
            self.bury(&parcel, how);
            if self.order != Keys::Parallel && !self.excused.contains(&parcel.number) {
                let last = self.last.insert(key(self.order, &parcel), parcel.number);
                assert!(last.is_none_or(|last| last < parcel.number), "{} after {last:?}", parcel.number);
            }
        }
    }

    fn bury(&mut self, parcel: &Parcel, how: &'static str) {
        let before = self.ended.insert(parcel.number, how);
        assert_eq!(before, None, "{} has ended twice", parcel.number);
    }

    fn evict(&mut self) {
        let waiting: Option<u64> = self.backlog.items().map(|parcel| parcel.number).min();
        match self.backlog.evict(self.now) {
            Some(parcel) => {
                self.note(format_args!("evict {}", parcel.number));
                // What waits for another half of its batch cannot be taken out, and counts as under way.
                assert!(waiting.is_some_and(|oldest| oldest <= parcel.number));
                if self.order == Keys::Parallel {
                    assert_eq!(waiting, Some(parcel.number), "there was an older one");
                }
                let tried = self.batches.values_mut().filter(|tried| tried.members.contains(&parcel.number));
                tried.for_each(|tried| tried.may_change = true);
                self.bury(&parcel, "dropped");
            }
            None => assert!(self.backlog.is_empty(), "there is one to evict"),
        }
    }

    fn reload(&mut self) {
        self.settings += 1;
        let before = self.order;
        if self.random.one_in(2) {
            self.order = order(&mut self.random);
        }
        self.rules = rules(self.order, &mut self.random);
        let (order, rules) = (self.order, self.rules);
        self.note(format_args!("reload: {order:?} {rules:?}"));
        if order == before {
            self.backlog.adapt(rules);
        } else {
            self.backlog.reorder(rules, self.out.iter_mut().map(|out| &mut out.lot));
            self.excused = self.out.iter().flat_map(|out| out.lot.items()).map(|parcel| parcel.number).collect();
            self.last.clear();
        }
        self.let_batches_change(order != before);
        // Most settings are no reason to give a receiver that is being probed a new chance.
        if self.random.one_in(3) {
            self.starts.clear();
            self.pace = pace(&mut self.random);
            self.gate.reset(&self.pace, self.now);
        }
    }

    /// After a reload: lots that are larger than is allowed now, and such as wait while the order changes.
    fn let_batches_change(&mut self, is_reordered: bool) {
        let waiting: HashMap<u64, Parcel> = self.backlog.items().map(|parcel| (parcel.number, parcel.clone())).collect();
        let out = self.out.iter().flat_map(|out| out.lot.items()).map(|parcel| (parcel.number, parcel.clone()));
        let mut parcels = waiting.clone();
        parcels.extend(out);
        for tried in self.batches.values_mut() {
            let waits = tried.members.iter().any(|number| waiting.contains_key(number));
            let members = tried.members.iter().filter_map(|number| parcels.get(number));
            tried.may_change |= is_reordered && waits || !fits(self.rules, members);
        }
    }

    /// Some of what waits gets its place in an order that has changed.
    fn put_in_order(&mut self, most: u64) {
        let order = self.order;
        for _ in 0..most {
            self.backlog.place_next(|parcel| key(order, parcel), self.out.iter_mut().map(|out| &mut out.lot), self.now);
        }
    }

    /// As when the endpoint is disabled.
    fn give_up_everything(&mut self) {
        let given_up = self.backlog.finish_all(self.now);
        self.note(format_args!("{:?} are given up", given_up.iter().map(|parcel| parcel.number).collect::<Vec<_>>()));
        assert!(given_up.is_sorted_by_key(|parcel| parcel.number), "given up out of order");
        assert_eq!(self.backlog.items().count(), 0, "something is left");
        given_up.iter().for_each(|parcel| self.bury(parcel, "dead_lettered"));
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.random.below(1000));
        self.note(format_args!("it is {:?}", self.now - self.start));
    }

    /// Everything ends if attempts end and time passes to where the backlog and the gate say.
    fn run_dry(&mut self) {
        for _ in 0..100_000 {
            self.start_all();
            if !self.out.is_empty() {
                let Out { lot, mark } = self.take_out(self.out.len() - 1);
                self.tell(mark, Gate::succeed);
                self.end(lot, "delivered");
                continue;
            }
            if !self.backlog.is_in_order() {
                self.put_in_order(1);
                continue;
            }
            if self.backlog.is_empty() {
                return;
            }
            let gate = match self.gate.may_start(&self.pace, self.now) {
                May::At(then) => Some(then),
                May::Later => unreachable!("nothing is out"),
                May::Start => None,
            };
            let wake = self.backlog.wake();
            let next = gate.max(wake).unwrap_or_else(|| panic!("it is stuck with {} left", self.backlog.items().count()));
            assert!(next > self.now, "there was something to start");
            self.now = next;
        }
        panic!("it does not end");
    }

    /// As at shutdown: all is tried once more, what fails is held.
    fn drain(&mut self) {
        self.note(format_args!("drain"));
        self.backlog.flush();
        self.draining = true;
        for round in 0.. {
            if round < 40 && self.random.one_in(10) {
                self.push();
            }
            if round < 40 && self.random.one_in(20) {
                self.reload();
            }
            let placed = self.random.below(4);
            self.put_in_order(placed);
            while self.out.len() < self.concurrency {
                let Some(lot) = self.backlog.next(self.now).or_else(|| self.backlog.next_parked()) else { break };
                self.start(lot, None);
            }
            self.check();
            if self.out.is_empty() && self.backlog.is_stuck() {
                assert!(self.backlog.is_in_order(), "something was not even looked at");
                break;
            }
            if self.out.is_empty() {
                continue;
            }
            let Out { lot, mark } = self.take_out(self.out.len() - 1);
            self.gate.land(mark.probe);
            match self.random.below(5) {
                0 | 1 => self.end(lot, "delivered"),
                2 if lot.items().len() > 1 => {
                    self.batches.remove(lot.id.as_deref().unwrap_or_default());
                    self.backlog.split(lot, self.now);
                }
                _ => self.backlog.hold(lot),
            }
        }
        let left = self.backlog.finish_all(self.now);
        assert!(left.is_sorted_by_key(|parcel| parcel.number), "left over out of order");
        for parcel in left {
            self.bury(&parcel, "pending");
        }
    }

    fn check(&mut self) {
        assert!(self.out.len() <= self.concurrency, "too many at once");
        let is_probed = self.gate.may_start(&self.pace, self.now) == May::Later;
        assert!(!is_probed || self.out.iter().any(|out| out.mark.probe.is_some()), "it waits for a probe that is not out");
        let mut seen: Vec<u64> = self.backlog.items().map(|parcel| parcel.number).collect();
        assert_eq!(self.backlog.oldest().map(|parcel| parcel.number), seen.iter().min().copied(), "the oldest is another");
        for out in &self.out {
            let mut lot = Some(&out.lot);
            while let Some(here) = lot {
                seen.extend(here.items().map(|parcel| parcel.number));
                lot = here.then.as_deref();
            }
        }
        seen.sort_unstable();
        let are_once = seen.is_sorted_by(|one, next| one < next) && !seen.iter().any(|number| self.ended.contains_key(number));
        assert!(are_once && seen.len() + self.ended.len() == self.pushed as usize, "there is {seen:?}, of {}", self.pushed);
    }

    fn check_rate(&self) {
        let Some(interval) = self.pace.interval else { return };
        for (n, first) in self.starts.iter().enumerate() {
            for (m, last) in self.starts.iter().enumerate().skip(n) {
                let most = (*last - *first + LATENESS).as_secs_f64() / interval.as_secs_f64() + 1.0;
                assert!((m - n + 1) as f64 <= most + 1e-6, "{} starts within {:?}", m - n + 1, *last - *first);
            }
        }
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.trace, "{what}");
    }
}

/// Whether these may be one batch.
fn fits<'p>(rules: Rules, parcels: impl Iterator<Item = &'p Parcel>) -> bool {
    let (count, bytes) = parcels.fold((0, 1), |(count, bytes), parcel| (count + 1, bytes + parcel.bytes()));
    count <= 1 || rules.batch.is_some_and(|batch| count <= batch.max_events && bytes <= batch.max_bytes)
}

fn order(random: &mut Random) -> Keys {
    [Keys::Parallel, Keys::Fifo, Keys::ByKey, Keys::ByHalf][random.below(4) as usize]
}

fn pace(random: &mut Random) -> Pace {
    Pace {
        interval: random.one_in(3).then(|| Duration::from_micros(1 + random.below(50_000))),
        breaker: random.one_in(2).then(|| Breaker { failures: 1 + random.below(5) as u32, pause: Duration::from_millis(500) }),
        disable_after: random.one_in(4).then(|| 2 + random.below(3) as u32),
    }
}

fn rules(order: Keys, random: &mut Random) -> Rules {
    let batch = random.one_in(2).then(|| Batch {
        max_events: 1 + random.below(8) as usize,
        max_bytes: 20 + random.below(200) as usize,
        max_wait: Duration::from_millis(random.below(400)),
    });
    Rules { ordered: order != Keys::Parallel, batch, evicts: random.one_in(2) }
}

fn key(order: Keys, parcel: &Parcel) -> u64 {
    match order {
        Keys::ByHalf => parcel.key / 2,
        Keys::ByKey => parcel.key,
        Keys::Fifo | Keys::Parallel => 0,
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}
