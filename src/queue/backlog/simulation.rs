//! A backlog and a gate, driven by seeds: whatever happens in whatever order, nothing is lost, doubled, out of order, over a
//! limit or stuck. A seed that fails prints what it did; `SIMULATION_SEED=n cargo test simulation` does it again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::{Backlog, Item, Lot, Rules};
use crate::{
    endpoint::{Batch, Breaker, Pace},
    queue::gate::{Gate, LATENESS, May, Probe},
};

#[test]
fn nothing_is_lost_doubled_out_of_order_over_a_bound_or_stuck() {
    let only = std::env::var("SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in only.map_or(0..2000u64, |seed| seed..seed + 1) {
        let mut world = World::new(seed);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.live()));
        assert!(ended.is_ok(), "seed {seed} fails. What happened:\n{}", world.trace);
    }
}

#[test]
fn keys_that_have_ended_take_no_memory() {
    let now = Instant::now();
    let mut backlog = Backlog::new(Rules { ordered: true, batch: None, evicts: false });
    for n in 0..10_000 {
        backlog.push(Parcel { number: n, key: n, bytes: 1, kind: 0, attempts: 0 }, n, now);
    }
    while let Some(lot) = backlog.next(now) {
        backlog.finish(lot, now);
    }
    let super::Fresh::Strands { strands, ready, .. } = &backlog.fresh else { panic!("it keeps no order") };
    assert_eq!((strands.len(), ready.len()), (0, 0));
}

#[test]
fn work_does_not_grow_with_the_square_of_the_keys() {
    const KEYS: u64 = 20_000;
    let now = Instant::now();
    let batch = Batch { max_events: KEYS as usize, max_bytes: usize::MAX, max_wait: Duration::ZERO };
    let filled = |batch| {
        let mut backlog = Backlog::new(Rules { ordered: true, batch, evicts: true });
        (0..KEYS).for_each(|number| {
            backlog.push(Parcel { number, key: number, bytes: 1, kind: 0, attempts: 0 }, number, now);
        });
        backlog
    };
    let (mut backlog, filling) = timed(|| filled(None));
    let ((), evicting) = timed(|| {
        (0..KEYS).for_each(|number| assert_eq!(backlog.evict(now).map(|parcel| parcel.number), Some(number)));
    });
    let mut backlog = filled(Some(batch));
    let ((), ending) = timed(|| {
        let lot = backlog.next(now).unwrap();
        backlog.split(lot, now);
        let mut half = backlog.next(now).unwrap();
        assert_eq!(backlog.finish_some(&mut half, |parcel| parcel.number % 2 == 0, now).len() as u64, KEYS / 4);
        assert_eq!(backlog.finish(half, now).len() as u64, KEYS / 4);
    });
    assert!(evicting.max(ending) < 3 * filling, "filling took {filling:?}, evicting {evicting:?}, ending {ending:?}");
}

/// What comes of it, and the processor's time it took, where that is to be had: the machine may be busy with other things.
fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let spent = || {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (began, before) = (Instant::now(), spent());
    let result = work();
    (result, spent().zip(before).map_or(began.elapsed(), |(after, before)| after - before))
}

#[test]
fn fresh_ones_and_those_whose_time_has_come_take_turns() {
    let now = Instant::now();
    let mut backlog = Backlog::new(Rules { ordered: false, batch: None, evicts: false });
    let parcel = |number| Parcel { number, key: 0, bytes: 1, kind: 0, attempts: 0 };
    (0..6).for_each(|number| backlog.push(parcel(number), 0, now));
    for _ in 0..3 {
        let lot = backlog.next(now).unwrap();
        backlog.park(lot, now + Duration::from_secs(1));
    }
    (6..9).for_each(|number| backlog.push(parcel(number), 0, now));
    let later = now + Duration::from_secs(1);
    let order: Vec<u64> = std::iter::from_fn(|| backlog.next(later)).map(|lot| lot.entries[0].item.number).collect();
    assert_eq!(order, [3, 0, 4, 1, 5, 2, 6, 7, 8]);
}

#[test]
fn a_bad_event_is_found_by_halves() {
    let now = Instant::now();
    let batch = Batch { max_events: 8, max_bytes: 1 << 20, max_wait: Duration::ZERO };
    for ordered in [false, true] {
        let mut backlog = Backlog::new(Rules { ordered, batch: Some(batch), evicts: false });
        (0..8).for_each(|number| backlog.push(Parcel { number, key: 0, bytes: 1, kind: 0, attempts: 0 }, 0, now));
        let (mut good, mut bad, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(lot) = backlog.next(now) {
            let (is_bad, size) = (lot.items().any(|parcel| parcel.number == 5), lot.items().len());
            sizes.push(size);
            match (is_bad, size) {
                (true, 1) => bad.extend(backlog.finish(lot, now).into_iter().map(|parcel| parcel.number)),
                (true, _) => backlog.split(lot, now),
                (false, _) => good.extend(backlog.finish(lot, now).into_iter().map(|parcel| parcel.number)),
            }
        }
        sizes.sort_unstable();
        assert_eq!((bad, sizes), (vec![5], vec![1, 1, 2, 2, 4, 4, 8]));
        good.sort_unstable();
        assert_eq!(good, [0, 1, 2, 3, 4, 6, 7]);
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Parcel {
    number: u64,
    key: u64,
    bytes: usize,
    /// Those of different kinds cannot be in one batch.
    kind: u8,
    /// Made and counted; as of deliveries, those of different counts cannot be in one batch either.
    attempts: u32,
}

impl Item for Parcel {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn mixes_with(&self, other: &Parcel) -> bool {
        self.kind == other.kind && self.attempts == other.attempts
    }
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
    /// Those that came before the last change of the order, and may be late.
    older_than: u64,
    starts: Vec<Instant>,
    /// Of those that wait for their next attempt: not before then.
    due: HashMap<u64, Instant>,
    /// How often each has failed.
    failed: HashMap<u64, u32>,
    /// Id and members of every batch that was tried and has not ended or been split.
    batches: HashMap<Box<str>, BTreeSet<u64>>,
    named: u64,
    /// Counts reloads.
    settings: u64,
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
    ByKey,
    Fifo,
    Parallel,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let start = Instant::now();
        let order = [Keys::Parallel, Keys::Fifo, Keys::ByKey][random.below(3) as usize];
        let rules = rules(order, &mut random);
        let pace = Pace {
            interval: random.one_in(3).then(|| Duration::from_micros(1 + random.below(50_000))),
            breaker: random
                .one_in(2)
                .then(|| Breaker { failures: 1 + random.below(5) as u32, pause: Duration::from_millis(500) }),
            disable_after: None,
        };
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
            older_than: 0,
            starts: Vec::new(),
            due: HashMap::new(),
            failed: HashMap::new(),
            batches: HashMap::new(),
            named: 0,
            settings: 0,
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
            let Some(mut lot) = self.backlog.next(self.now) else { return };
            let probe = self.gate.start(&self.pace, self.now);
            self.starts.push(self.now);
            let members: BTreeSet<u64> = lot.items().map(|parcel| parcel.number).collect();
            assert!(lot.items().is_sorted_by_key(|parcel| parcel.number), "a batch is out of order");
            self.note(format_args!("start {members:?} {}", if probe.is_some() { "as a probe" } else { "" }));
            self.check_lot(&lot);
            match &lot.id {
                Some(id) => assert_eq!(self.batches.get(id), Some(&members), "a batch has changed and kept its id"),
                None => {
                    self.named += 1;
                    let id: Box<str> = format!("bat_{}", self.named).into();
                    self.batches.insert(id.clone(), members);
                    lot.id = Some(id);
                }
            }
            self.out.push(Out { lot, mark: Mark { probe, settings: self.settings } });
        }
    }

    fn check_lot(&self, lot: &Lot<Parcel>) {
        assert!(lot.items().all(|parcel| parcel.mixes_with(&lot.entries[0].item)), "what cannot be in one batch is");
        let is_early = |parcel: &Parcel| self.due.get(&parcel.number).is_some_and(|due| *due > self.now);
        assert!(!lot.items().any(is_early), "one is tried before its time");
        match self.rules.batch {
            None => assert_eq!(lot.items().len(), 1, "there is a batch where none is wanted"),
            // What was out at a reload may come back in halves that are larger than is allowed now.
            Some(_) if self.older_than > 0 => {}
            Some(batch) => {
                assert!(lot.items().len() <= batch.max_events, "too many in a batch");
                let bytes = lot.items().map(Item::bytes).sum::<usize>() + 1;
                assert!(lot.items().len() == 1 || bytes <= batch.max_bytes, "too much in a batch");
            }
        }
    }

    /// An attempt ends, in one way or another.
    fn land(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let at = self.random.below(self.out.len() as u64) as usize;
        let Out { mut lot, mark } = self.out.swap_remove(at);
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
                self.backlog.split(lot, self.now);
            }
            5 => {
                self.note(format_args!("{members:?} is refused"));
                let pace = self.pace;
                self.tell(mark, |gate| gate.refuse(&pace));
                self.end(lot, "dead_lettered");
            }
            _ => {
                let asked = self.random.one_in(8).then(|| Duration::from_millis(self.random.below(2000)));
                let wait = Duration::from_millis(self.random.below(3000));
                self.note(format_args!("{members:?} fails, again in {wait:?}, asked for {asked:?}"));
                let (pace, now) = (self.pace, self.now);
                self.tell(mark, |gate| gate.fail(&pace, asked, mark.probe, now));
                self.count(&mut lot, now + wait);
                self.backlog.park(lot, now + wait);
            }
        }
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
    fn tell<R>(&mut self, Mark { probe, settings }: Mark, what: impl FnOnce(&mut Gate) -> R) {
        if settings == self.settings {
            what(&mut self.gate);
        }
        self.gate.land(probe);
    }

    fn end(&mut self, lot: Lot<Parcel>, how: &'static str) {
        if let Some(id) = &lot.id {
            self.batches.remove(id);
        }
        for parcel in self.backlog.finish(lot, self.now) {
            self.bury(&parcel, how);
            if self.order != Keys::Parallel && parcel.number >= self.older_than {
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
                self.bury(&parcel, "dropped");
            }
            None => assert!(self.backlog.is_empty(), "there is one to evict"),
        }
    }

    fn reload(&mut self) {
        self.order = [Keys::Parallel, Keys::Fifo, Keys::ByKey][self.random.below(3) as usize];
        self.rules = rules(self.order, &mut self.random);
        let (order, rules) = (self.order, self.rules);
        self.note(format_args!("reload: {order:?} {rules:?}"));
        self.backlog.rearrange(self.rules, |parcel| key(order, parcel), self.out.iter_mut().map(|out| &mut out.lot), self.now);
        self.settings += 1;
        // Most settings are no reason to give a receiver that is being probed a new chance.
        if self.random.one_in(3) {
            self.gate.reset(&self.pace, self.now);
        }
        // Several of a key may have been out at once before.
        self.older_than = self.pushed;
        self.last.clear();
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
            if let Some(Out { lot, mark }) = self.out.pop() {
                self.tell(mark, Gate::succeed);
                self.end(lot, "delivered");
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
        loop {
            while self.out.len() < self.concurrency {
                let Some(lot) = self.backlog.next(self.now).or_else(|| self.backlog.next_parked()) else { break };
                self.out.push(Out { lot, mark: Mark { probe: None, settings: self.settings } });
            }
            let Some(Out { lot, mark }) = self.out.pop() else { break };
            self.gate.land(mark.probe);
            match self.random.one_in(2) {
                true => self.end(lot, "delivered"),
                false => self.backlog.hold(lot),
            }
        }
        assert!(self.backlog.is_stuck(), "something could still go out");
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
        for out in &self.out {
            let mut lot = Some(&out.lot);
            while let Some(here) = lot {
                seen.extend(here.items().map(|parcel| parcel.number));
                lot = here.then.as_deref();
            }
        }
        seen.extend(self.ended.keys());
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..self.pushed), "what is there: {seen:?}, of {}", self.pushed);
        if self.order != Keys::Parallel {
            let mut keys: Vec<u64> = self.out.iter().flat_map(|out| out.lot.keys()).filter(|_| self.older_than == 0).collect();
            let all = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), all, "two of a key are out at once");
        }
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

fn rules(order: Keys, random: &mut Random) -> Rules {
    let batch = random.one_in(2).then(|| Batch {
        max_events: 1 + random.below(8) as usize,
        max_bytes: 20 + random.below(200) as usize,
        max_wait: Duration::from_millis(random.below(400)),
    });
    Rules { ordered: order != Keys::Parallel, batch, evicts: random.one_in(2) }
}

fn key(order: Keys, parcel: &Parcel) -> u64 {
    if order == Keys::ByKey { parcel.key } else { 0 }
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
