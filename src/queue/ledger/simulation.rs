//! A ledger, its accounts, and what lanes do with them, driven by seeds: what is counted is what is there, nothing passes a
//! bound, and nobody takes another's reserve. A seed that fails prints what it did; `SIMULATION_SEED=n cargo test simulation`
//! does it again.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write as _,
    rc::Rc,
    sync::Arc,
};

use super::{Account, DELIVERY, Ledger, OVERSHOOT, Share, Slot};
use crate::{
    endpoint::{Bounds, WhenFull},
    queue::backlog::simulation::{Random, seeds},
};

#[test]
fn what_is_counted_is_what_is_there_within_the_bounds_and_no_reserve_is_lost() {
    for seed in seeds("SIMULATION", 3000) {
        let mut world = World::new(seed);
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.live()));
        assert!(ended.is_ok(), "seed {seed} fails. What happened:\n{}", world.trace);
    }
}

struct World {
    random: Random,
    trace: String,
    ledger: Arc<Ledger>,
    limit: usize,
    endpoints: Vec<Endpoint>,
    posted: u64,
    /// Nothing is forced and no reload happens: then every reserve is there to be had at any time.
    calm: bool,
    /// The most that one request may have displaced.
    largest: usize,
    /// What has gone past every bound, as long as something is there.
    forced: bool,
}

struct Endpoint {
    account: Arc<Account>,
    bounds: Bounds,
    /// On its way to the lane.
    pushed: VecDeque<Delivery>,
    waiting: VecDeque<Delivery>,
    flying: Vec<Delivery>,
    retired: bool,
}

struct Parcel {
    number: u64,
    bytes: usize,
    share: Share,
}

struct Delivery {
    parcel: Rc<Parcel>,
    slot: Slot,
}

impl Delivery {
    /// What the endpoint would take of the memory if it were alone.
    fn alone(&self) -> usize {
        self.parcel.bytes + DELIVERY
    }
}

impl Endpoint {
    fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.pushed.iter().chain(&self.waiting).chain(&self.flying)
    }

    fn held(&self) -> usize {
        self.deliveries().map(|delivery| delivery.slot.bytes).sum()
    }

    fn alone(&self) -> usize {
        self.deliveries().map(Delivery::alone).sum()
    }

    fn own(&self) -> usize {
        self.account.lock().own
    }

    fn reserve(&self) -> usize {
        self.account.lock().reserve
    }

    fn tell_in_flight(&self) {
        self.account.set_in_flight(self.flying.len(), self.flying.iter().map(|delivery| delivery.slot.bytes).sum());
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let limit = 1000 + random.below(6 << 20) as usize;
        let count = 1 + random.below(4) as usize;
        let ledger = Ledger::new(limit);
        ledger.resize(limit, count);
        let endpoints = (0..count).map(|_| Endpoint::open(&ledger, bounds(&mut random))).collect::<Vec<_>>();
        let calm = random.one_in(2);
        let mut trace = String::new();
        let _ = writeln!(trace, "limit {limit}, calm {calm}");
        endpoints.iter().for_each(|endpoint| {
            let _ = writeln!(trace, "{:?}, reserve {}", endpoint.bounds, endpoint.reserve());
        });
        World { random, trace, ledger, limit, endpoints, posted: 0, calm, largest: 0, forced: false }
    }

    fn live(&mut self) {
        for _ in 0..20 + self.random.below(150) {
            let at = self.random.below(self.endpoints.len() as u64) as usize;
            match self.random.below(14) {
                0..=4 => self.post(),
                5..=7 => self.turn(at),
                8 => self.start(at),
                9 => self.land(at),
                10 => self.end_any(at),
                _ if self.calm => {}
                11 => self.force(at),
                12 if self.random.one_in(3) => self.reload(),
                13 if self.random.one_in(3) => self.retire_or_reopen(at),
                _ => {}
            }
            self.check();
        }
        self.note(format_args!("all ends"));
        while self.endpoints.iter().any(|endpoint| endpoint.deliveries().next().is_some()) {
            let at = self.random.below(self.endpoints.len() as u64) as usize;
            self.turn(at);
            self.end_any(at);
            self.land(at);
            self.check();
        }
        self.endpoints.clear();
        let totals = self.ledger.lock();
        assert_eq!((totals.used, totals.common, totals.reserved), (0, 0, 0), "something leaks");
    }

    /// A request with some events, all of which are taken, or none.
    fn post(&mut self) {
        let most = if self.random.one_in(4) { 12 } else { 2 };
        let events = 1 + self.random.below(most);
        let (mut burst, mut drafts, mut largest) = (0, Vec::new(), 0);
        for _ in 0..events {
            let most = [300, 40_000, 400_000][self.random.below(3) as usize];
            let body = 1 + self.random.below(most) as usize;
            // Where formats differ, an endpoint's own body is not all there is.
            let bytes = body + if self.random.one_in(5) { self.random.below(3 * most) as usize } else { 0 };
            let mut share = self.ledger.share(bytes);
            let mut slots = Vec::new();
            for at in 0..self.endpoints.len() {
                if self.endpoints[at].retired || self.random.one_in(3) {
                    continue;
                }
                match self.place(at, body, &mut share, &mut burst) {
                    Some(slot) => slots.push((at, slot)),
                    None if self.endpoints[at].bounds.when_full == WhenFull::DropOldest => {}
                    None if self.random.one_in(2) => return self.note(format_args!("the request is refused")),
                    None => {}
                }
                largest += bytes + DELIVERY;
            }
            let parcel = Rc::new(Parcel { number: self.posted, bytes, share });
            self.posted += 1;
            drafts.extend(slots.into_iter().map(|(at, slot)| (at, Delivery { parcel: Rc::clone(&parcel), slot })));
        }
        self.largest = self.largest.max(largest);
        for (at, delivery) in drafts {
            self.endpoints[at].pushed.push_back(delivery);
        }
    }

    /// `body` is the endpoint's own of what is shared.
    fn place(&mut self, at: usize, body: usize, share: &mut Share, burst: &mut usize) -> Option<Slot> {
        let (number, all, endpoint) = (self.posted, share.bytes, &self.endpoints[at]);
        let (used, cost) = (self.ledger.used(), share.cost());
        // What this request has been given is in no queue yet.
        let (events, held) = endpoint.account.held();
        let fits = events < endpoint.bounds.events && held + body + DELIVERY <= endpoint.bounds.bytes;
        let is_reserved = endpoint.own() + all + DELIVERY <= endpoint.reserve();
        let most = self.limit + if is_reserved { OVERSHOOT } else { 0 };
        if let Ok(slot) = endpoint.account.reserve(body, share) {
            self.note(format_args!("{number} of {body}/{all} for {at}"));
            assert!(fits, "past the endpoint's own bounds");
            assert!(used + cost <= most, "past the limit");
            return Some(slot);
        }
        if endpoint.bounds.when_full == WhenFull::DropOldest {
            return self.displace(at, body, share, burst);
        }
        self.note(format_args!("{number} of {body}/{all} for {at} is refused"));
        assert!(!fits || !is_reserved || used + cost > most, "its reserve was not to be had");
        None
    }

    fn displace(&mut self, at: usize, body: usize, share: &mut Share, burst: &mut usize) -> Option<Slot> {
        let (number, all, endpoint) = (self.posted, share.bytes, &self.endpoints[at]);
        let (used, before, bounds) = (self.ledger.used(), *burst, endpoint.bounds);
        let (events, held) = endpoint.account.held();
        let (flying, flying_bytes) = endpoint.account.lock().in_flight;
        let could_fit = flying < events.min(bounds.events) && flying_bytes + body + DELIVERY <= bounds.bytes;
        let is_behind = |used: usize, limit: usize| used.saturating_sub(before) > limit + OVERSHOOT;
        let is_behind = is_behind(held, bounds.bytes) || is_behind(used, self.limit);
        let is_reserved = flying_bytes + all + DELIVERY <= endpoint.reserve();
        let displaced = endpoint.account.displace(body, share, burst).ok();
        let is_displaced = displaced.is_some();
        self.note(format_args!("{number} of {body}/{all} for {at} displaces: {is_displaced}"));
        assert!(!is_displaced || could_fit && !is_behind, "nothing can make room for it");
        assert!(is_displaced || !could_fit || is_behind || !is_reserved, "it could have had its reserve");
        displaced
    }

    /// What a lane does with what was pushed.
    fn turn(&mut self, at: usize) {
        let drops = self.endpoints[at].bounds.when_full == WhenFull::DropOldest;
        while let Some(delivery) = self.endpoints[at].pushed.pop_front() {
            let number = delivery.parcel.number;
            self.endpoints[at].waiting.push_back(delivery);
            while drops && self.endpoints[at].account.is_over() {
                let endpoint = &mut self.endpoints[at];
                let count = endpoint.deliveries().count();
                let past = count > endpoint.bounds.events || endpoint.held() > endpoint.bounds.bytes;
                let past_reserve = endpoint.held().max(endpoint.own()) > endpoint.reserve();
                let Some(oldest) = endpoint.waiting.pop_front() else { break };
                assert!(past || past_reserve, "what is reserved need not make room");
                self.note(format_args!("{} makes room for {number} in {at}", oldest.parcel.number));
            }
        }
        let endpoint = &self.endpoints[at];
        let none = endpoint.waiting.is_empty() || !drops;
        let own = endpoint.deliveries().count() <= endpoint.bounds.events && endpoint.held() <= endpoint.bounds.bytes;
        assert!(none || own || !self.calm, "the lane has not let go of enough");
    }

    fn start(&mut self, at: usize) {
        let endpoint = &mut self.endpoints[at];
        if let Some(delivery) = endpoint.waiting.pop_front() {
            let number = delivery.parcel.number;
            endpoint.flying.push(delivery);
            endpoint.tell_in_flight();
            self.note(format_args!("{number} for {at} starts"));
        }
    }

    fn land(&mut self, at: usize) {
        let many = self.endpoints[at].flying.len() as u64;
        if many > 0 {
            let nth = self.random.below(many) as usize;
            let landed = self.endpoints[at].flying.swap_remove(nth);
            self.endpoints[at].tell_in_flight();
            self.note(format_args!("{} for {at} ends", landed.parcel.number));
        }
    }

    /// One that waits is given up.
    fn end_any(&mut self, at: usize) {
        let many = self.endpoints[at].waiting.len() as u64;
        if many > 0 {
            let nth = self.random.below(many) as usize;
            let ended = self.endpoints[at].waiting.remove(nth).unwrap();
            self.note(format_args!("{} for {at} is given up", ended.parcel.number));
        }
    }

    fn force(&mut self, at: usize) {
        let bytes = self.random.below(100_000) as usize;
        let number = self.posted;
        self.note(format_args!("{number} of {bytes} is forced into {at}"));
        let mut share = self.ledger.share(bytes);
        let slot = self.endpoints[at].account.force(bytes, &mut share);
        let parcel = Rc::new(Parcel { number, bytes, share });
        self.posted += 1;
        self.forced = true;
        self.endpoints[at].pushed.push_back(Delivery { parcel, slot });
    }

    fn reload(&mut self) {
        self.limit = 1000 + self.random.below(6 << 20) as usize;
        if self.random.one_in(3) {
            self.endpoints.push(Endpoint::open(&self.ledger, bounds(&mut self.random)));
        }
        self.forced = true;
        self.settle();
    }

    fn retire_or_reopen(&mut self, at: usize) {
        let endpoint = &mut self.endpoints[at];
        endpoint.retired = !endpoint.retired;
        if endpoint.retired {
            endpoint.account.retire();
        }
        self.forced = true;
        self.settle();
    }

    fn settle(&mut self) {
        let count = self.endpoints.iter().filter(|endpoint| !endpoint.retired).count();
        let limit = self.limit;
        self.ledger.resize(limit, count);
        self.note(format_args!("reload: limit {limit}"));
        for at in 0..self.endpoints.len() {
            let bounds = bounds(&mut self.random);
            let endpoint = &mut self.endpoints[at];
            if !endpoint.retired {
                endpoint.account.resize(bounds);
                endpoint.bounds = bounds;
            }
            let (bounds, reserve) = (endpoint.bounds, endpoint.reserve());
            self.note(format_args!("{at}: {bounds:?}, reserve {reserve}"));
        }
    }

    fn check(&mut self) {
        let mut parcels = HashMap::new();
        let deliveries = self.endpoints.iter().flat_map(Endpoint::deliveries);
        deliveries.for_each(|delivery| drop(parcels.insert(delivery.parcel.number, Rc::clone(&delivery.parcel))));
        let count: usize = self.endpoints.iter().map(|endpoint| endpoint.deliveries().count()).sum();
        let used = parcels.values().map(|parcel| parcel.bytes).sum::<usize>() + count * DELIVERY;
        assert_eq!(self.ledger.used(), used, "what is used");
        let (mut reserved, mut common) = (0, parcels.values().map(|parcel| parcel.share.common).sum::<usize>());
        for endpoint in &self.endpoints {
            let held = endpoint.account.lock();
            let own: usize = endpoint.deliveries().map(|delivery| delivery.slot.own).sum();
            assert_eq!((held.events, held.bytes, held.own), (endpoint.deliveries().count(), endpoint.held(), own));
            assert!(held.reserve <= endpoint.bounds.bytes && held.reserve <= self.limit / 2, "it has reserved too much");
            reserved += held.reserve;
            common += own.saturating_sub(held.reserve);
            for delivery in endpoint.deliveries() {
                assert!(delivery.slot.own + delivery.parcel.share.common >= delivery.alone(), "something is counted nowhere");
            }
        }
        let totals = self.ledger.lock();
        assert_eq!((totals.reserved, totals.common), (reserved, common), "what is reserved and what is common");
        drop(totals);
        if self.forced {
            // Once all is within the limits again, they hold again.
            self.forced = used > self.limit || reserved + common > self.limit;
            return;
        }
        assert!(used <= self.limit + OVERSHOOT + self.largest, "the limit is passed by {}", used - self.limit);
        if self.calm && self.endpoints.iter().all(|endpoint| endpoint.pushed.is_empty()) {
            let unclaimed: usize =
                self.endpoints.iter().map(|endpoint| endpoint.reserve().saturating_sub(endpoint.alone())).sum();
            assert!(used + unclaimed <= self.limit, "{} that are reserved are not there", used + unclaimed - self.limit);
        }
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.trace, "{what}");
    }
}

impl Endpoint {
    fn open(ledger: &Arc<Ledger>, bounds: Bounds) -> Endpoint {
        let account = Account::open(ledger, bounds);
        Endpoint { account, bounds, pushed: VecDeque::new(), waiting: VecDeque::new(), flying: Vec::new(), retired: false }
    }
}

fn bounds(random: &mut Random) -> Bounds {
    let when_full = if random.one_in(2) { WhenFull::DropOldest } else { WhenFull::Reject };
    Bounds { events: 1 + random.below(60) as usize, bytes: 1 + random.below(4 << 20) as usize, when_full }
}
