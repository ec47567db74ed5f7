//! One endpoint's lane: a task that owns its waiting and in-flight deliveries, its connections, and its state.
//!
//! What starts is in `departures`, what comes of it in `arrivals`; `state` has what holds for the endpoint as a whole.

mod arrivals;
mod departures;
mod flights;
mod state;

use std::{
    future::{Future, poll_fn},
    hash::{DefaultHasher, Hash, Hasher},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant as Clock, Sleep, sleep},
};

use self::{departures::Idle, flights::Flights, state::Disabled};
use super::{
    Transport,
    attempt::{Done, Kept},
    token::Tokens,
};
use crate::{
    endpoint::{Endpoint, Sequence, WhenFull},
    log::{Log, diagnostics},
    queue::{Account, Backlog, DeadLetters, Delivery, Gate, Handle, Lot, May, Order, Register, Rules, pending::Leftover},
    transform,
};

/// What a lane needs besides its endpoint.
pub struct Surroundings<T> {
    pub transport: Arc<T>,
    pub log: Log,
    pub dead_letters: Arc<DeadLetters>,
    /// Which endpoints are disabled, for the next process.
    pub register: Arc<Register>,
    /// Uniform in 0..1, for jitter.
    pub random: fn() -> f64,
}

impl<T> Clone for Surroundings<T> {
    fn clone(&self) -> Self {
        let Surroundings { transport, log, dead_letters, register, random } = self;
        Surroundings {
            transport: Arc::clone(transport),
            log: log.clone(),
            dead_letters: Arc::clone(dead_letters),
            register: Arc::clone(register),
            random: *random,
        }
    }
}

/// An endpoint's deliveries, and the task that sees them through.
pub struct Lane<T: Transport> {
    endpoint: Arc<Endpoint>,
    account: Arc<Account>,
    around: Surroundings<T>,
    orders: mpsc::UnboundedReceiver<Order>,
    backlog: Backlog<Delivery>,
    gate: Gate,
    flights: Flights,
    attempts: FuturesUnordered<Pin<Box<dyn Future<Output = Landed<T>> + Send>>>,
    /// Connections whose good answers are still being read.
    unread: FuturesUnordered<Pin<Box<dyn Future<Output = Read<T>> + Send>>>,
    idle: Vec<Idle<T::Connection>>,
    /// Of the endpoint's auth as it is.
    tokens: Arc<Tokens>,
    /// As long as the account says so too.
    disabled: Option<Disabled>,
    /// For people who ask how the endpoint is.
    last_error: Option<Box<str>>,
    stage: Stage,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    /// A panic may have left things half done.
    is_torn: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Draining(Instant),
    Open,
    Retired,
}

/// The settings a connection was dialled for, and the connection where it can be used again.
type Read<T> = (Arc<Endpoint>, Option<Kept<<T as Transport>::Connection>>);

/// An attempt's place among the flights, and its result; none where it panicked.
type Landed<T> = (usize, Option<Done<<T as Transport>::Connection>>);

impl<T: Transport> Lane<T> {
    /// Starts the lane of `endpoint`. The task ends once it was drained or retired, with what it could not deliver.
    pub fn open(endpoint: Arc<Endpoint>, account: Arc<Account>, around: Surroundings<T>) -> (Handle, JoinHandle<Vec<Leftover>>) {
        let (handle, orders) = Handle::open(Arc::clone(&account));
        let mut lane = Lane {
            backlog: Backlog::new(rules(&endpoint)),
            endpoint,
            account,
            around,
            orders,
            gate: Gate::default(),
            flights: Flights::default(),
            attempts: FuturesUnordered::new(),
            unread: FuturesUnordered::new(),
            idle: Vec::new(),
            tokens: Arc::default(),
            disabled: None,
            last_error: None,
            stage: Stage::Open,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            is_torn: false,
        };
        // At once, and not when the task first runs: what comes in meanwhile is to meet the endpoint as it was left.
        lane.recall();
        (handle, tokio::spawn(lane.run()))
    }

    /// Serves until it is over. A panic, which is a bug wherever it comes from, is said and survived.
    async fn run(mut self) -> Vec<Leftover> {
        while AssertUnwindSafe(self.serve()).catch_unwind().await.is_err() {
            let name = &self.endpoint.name;
            diagnostics::error(format_args!("endpoint {name}: its lane has failed and goes on: please report this bug"));
            if matches!(self.stage, Stage::Draining(deadline) if deadline <= Clock::now().into_std()) {
                break;
            }
            // What fails again and again is not to keep the processor busy.
            sleep(AFTER_PANIC).await;
            self.is_torn = true;
        }
        let left = self.leftovers(Clock::now().into_std());
        // While they have a name: what a function returns is lost where what it drops last panics.
        drop(self);
        left
    }

    async fn serve(&mut self) {
        let mut orders = Vec::with_capacity(ORDERS);
        let mut now = Clock::now().into_std();
        if std::mem::take(&mut self.is_torn) {
            self.mend(now);
        }
        loop {
            self.pass(now);
            self.start_attempts(now);
            if self.is_over(now) {
                if self.hear_the_last(now) {
                    continue;
                }
                return;
            }
            if !self.backlog.is_in_order() {
                self.put_in_order();
                tokio::task::yield_now().await;
            }
            let alarm = self.alarm(now);
            now = poll_fn(|cx| self.step(cx, alarm, &mut orders)).await;
        }
    }

    /// Takes up what a panic has dropped, and puts in order what it may have left half done; orders come first, for one may
    /// say drain.
    fn mend(&mut self, now: Instant) {
        while let Ok(order) = self.orders.try_recv() {
            self.obey(order, now);
        }
        // It may wait for the end of a probe that has ended.
        let turn = self.gate.reset(&self.endpoint.pace, now);
        self.turn(turn);
        self.backlog.reorder(rules(&self.endpoint), self.flights.lots_mut());
        for delivery in self.account.rescued() {
            self.take(delivery, now);
        }
    }

    /// Waits for whatever happens next, and takes all of it: what is then started is written in one go, which wakes its
    /// readers once and not each time. Says when it was: the clock is read once for all of it.
    fn step(&mut self, cx: &mut Context<'_>, alarm: Option<Instant>, orders: &mut Vec<Order>) -> Poll<Instant> {
        let mut happened = None;
        let mut clock = || *happened.get_or_insert_with(|| Clock::now().into_std());
        while let Poll::Ready(Some((place, done))) = self.attempts.poll_next_unpin(cx) {
            self.land(place, done, clock());
        }
        while let Poll::Ready(Some((endpoint, connection))) = self.unread.poll_next_unpin(cx) {
            let now = clock();
            if let Some(kept) = connection {
                self.keep(kept, &endpoint, now);
            }
        }
        match self.orders.poll_recv_many(cx, orders, ORDERS) {
            Poll::Ready(0) if self.stage == Stage::Open => {
                self.stage = Stage::Retired;
                clock();
            }
            Poll::Ready(0) | Poll::Pending => {}
            Poll::Ready(_) => {
                let now = clock();
                orders.drain(..).for_each(|order| self.obey(order, now));
            }
        }
        if !self.backlog.is_in_order() {
            clock();
        }
        if let Some(now) = happened {
            return Poll::Ready(now);
        }
        let Some(alarm) = alarm else { return Poll::Pending };
        // An alarm that rings too early costs one look; setting it anew for every delivery would cost more.
        if self.armed.is_none_or(|armed| alarm < armed) {
            self.armed = Some(alarm);
            self.timer.as_mut().reset(Clock::from_std(alarm));
        }
        self.timer.as_mut().poll(cx).map(|()| {
            self.armed = None;
            Clock::now().into_std()
        })
    }

    /// Takes what was said before the lane could no longer be reached; says whether there was anything.
    fn hear_the_last(&mut self, now: Instant) -> bool {
        self.orders.close();
        let mut heard = false;
        while let Ok(order) = self.orders.try_recv() {
            self.obey(order, now);
            heard = true;
        }
        heard
    }

    fn obey(&mut self, order: Order, now: Instant) {
        match order {
            Order::Deliver(delivery) => self.take(delivery, now),
            Order::Disable(reason) => self.disable(reason),
            Order::Drain(deadline) => {
                self.stage = Stage::Draining(deadline);
                self.backlog.flush();
            }
            Order::Enable(reason) => self.revive(reason, now),
            Order::Reopen(asked) => {
                // Whoever said so would not be heard any more.
                if !self.orders.is_closed() {
                    self.stage = Stage::Open;
                    self.enable("it is in the config again");
                    let _ = asked.send(());
                }
            }
            Order::Report(asked) => {
                // Who asked may have gone.
                let _ = asked.send(self.status());
            }
            Order::Retire => {
                self.stage = Stage::Retired;
                self.around.register.forget(&self.endpoint.name);
            }
            Order::Settings(endpoint) => self.settle(endpoint, now),
        }
    }

    fn take(&mut self, delivery: Delivery, now: Instant) {
        let key = key(&self.endpoint.order, &delivery);
        self.backlog.push(delivery, key, now);
        while self.endpoint.queue.when_full == WhenFull::DropOldest && self.account.is_over() {
            let Some(oldest) = self.backlog.evict(now) else { return };
            self.drop(&oldest);
        }
    }

    /// What is under way makes room for nobody.
    fn tell_in_flight(&self) {
        if self.endpoint.queue.when_full == WhenFull::DropOldest {
            let under_way = self.flights.lots().flat_map(Lot::all).map(Delivery::counted);
            let (events, bytes) = under_way.fold((0, 0), |(events, bytes), counted| (events + 1, bytes + counted));
            self.account.set_in_flight(events, bytes);
        }
    }

    fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Draining(_))
    }

    /// Whether attempts are out of the question for now.
    fn is_held(&self) -> bool {
        self.gate.paused_until().is_some() || !self.endpoint.active
    }

    fn is_over(&self, now: Instant) -> bool {
        match self.stage {
            Stage::Draining(deadline) => {
                deadline <= now || self.attempts.is_empty() && (self.backlog.is_stuck() || self.is_held())
            }
            Stage::Open => false,
            Stage::Retired => self.attempts.is_empty() && self.backlog.is_empty(),
        }
    }

    /// When to look again if nothing else happens.
    fn alarm(&self, now: Instant) -> Option<Instant> {
        let deadline = match self.stage {
            Stage::Draining(deadline) => Some(deadline),
            Stage::Open | Stage::Retired => None,
        };
        let start = match self.gate.may_start(&self.endpoint.pace, now) {
            _ if !self.endpoint.active || self.attempts.len() >= self.endpoint.concurrency => None,
            // Who drains tries everything that can go out, due or not.
            May::At(then) if self.is_draining() => (!self.backlog.is_stuck()).then_some(then),
            May::At(then) => self.backlog.wake().map(|due| due.max(then)),
            May::Later => None,
            May::Start => self.backlog.wake(),
        };
        let oldest_idle = self.idle.first().map(|idle| idle.since + self.endpoint.idle_timeout);
        let resume = self.disabled.as_ref().and_then(|disabled| disabled.until);
        [deadline, self.gate.paused_until(), start, oldest_idle, resume].into_iter().flatten().min()
    }

    fn leftovers(&mut self, now: Instant) -> Vec<Leftover> {
        // Attempts end before their deliveries are handed on: what is written as pending is not being sent.
        self.attempts.clear();
        for delivery in self.account.rescued() {
            self.backlog.push(delivery, 0, now);
        }
        for flight in self.flights.take_all() {
            self.backlog.hold(flight.lot);
        }
        let endpoint = &self.endpoint;
        let left = self.backlog.finish_all(now);
        left.into_iter().map(|delivery| Leftover::Delivery(Arc::clone(endpoint), delivery)).collect()
    }
}

fn rules(endpoint: &Endpoint) -> Rules {
    let evicts = endpoint.queue.when_full == WhenFull::DropOldest;
    Rules { ordered: endpoint.order != Sequence::Parallel, batch: endpoint.batch, evicts }
}

/// What a delivery keeps its order among. Two keys that fall together only wait for each other.
fn key(order: &Sequence, delivery: &Delivery) -> u64 {
    let Sequence::Keyed(program) = order else { return 0 };
    let key = program.value(&transform::Input::new(delivery.parcel.prepared.event.view()));
    let mut hasher = DefaultHasher::new();
    // What fails, and what says nothing, counts as null.
    key.ok().flatten().as_deref().unwrap_or("null").hash(&mut hasher);
    hasher.finish()
}

const AFTER_PANIC: Duration = Duration::from_secs(1);

/// Orders taken from the channel at once.
const ORDERS: usize = 64;
