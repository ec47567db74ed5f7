//! One endpoint's lane.

use std::{
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant as Clock, Sleep},
};

use super::{
    Transport,
    attempt::{Attempt, Done, Kept},
    flights::{Flight, Flights},
};
use crate::{
    endpoint::Endpoint,
    log::{self, Log, record},
    queue::{
        self, Account, Addressee, Backlog, DeadLetters, Delivery, Handle, Letter, Order, Place, Stage as End, pending::Leftover,
    },
    retry::{self, Class, ErrorCode, Failure, On, Outcome, Reason, Verdict},
};

/// What a lane needs besides its endpoint.
pub struct Surroundings<T> {
    pub transport: Arc<T>,
    pub log: Log,
    pub dead_letters: Arc<DeadLetters>,
    /// Uniform in 0..1, for jitter.
    pub random: fn() -> f64,
}

impl<T> Clone for Surroundings<T> {
    fn clone(&self) -> Self {
        let Surroundings { transport, log, dead_letters, random } = self;
        Surroundings {
            transport: Arc::clone(transport),
            log: log.clone(),
            dead_letters: Arc::clone(dead_letters),
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
    /// Tried while draining, in vain: for the next process.
    left: Vec<Delivery>,
    flights: Flights,
    attempts: FuturesUnordered<Pin<Box<dyn Future<Output = Landed<T>> + Send>>>,
    /// Connections whose good answers are still being read.
    unread: FuturesUnordered<Pin<Box<dyn Future<Output = Read<T>> + Send>>>,
    idle: Vec<Idle<T::Connection>>,
    /// No attempts until then: a receiver asked for it.
    paused: Option<Instant>,
    stage: Stage,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Draining(Instant),
    Open,
    Retired,
}

struct Idle<C> {
    kept: Kept<C>,
    since: Instant,
}

/// The settings a connection was dialled for, and the connection where it can be used again.
type Read<T> = (Arc<Endpoint>, Option<Kept<<T as Transport>::Connection>>);

/// An attempt's place among the flights, and its result; none where it panicked.
type Landed<T> = (usize, Option<Done<<T as Transport>::Connection>>);

impl<T: Transport> Lane<T> {
    /// Starts the lane of `endpoint`. The task ends once it was drained or retired, with what it could not deliver.
    pub fn open(endpoint: Arc<Endpoint>, account: Arc<Account>, around: Surroundings<T>) -> (Handle, JoinHandle<Vec<Leftover>>) {
        let (handle, orders) = Handle::open(Arc::clone(&account));
        let lane = Lane {
            endpoint,
            account,
            around,
            orders,
            backlog: Backlog::default(),
            left: Vec::new(),
            flights: Flights::default(),
            attempts: FuturesUnordered::new(),
            unread: FuturesUnordered::new(),
            idle: Vec::new(),
            paused: None,
            stage: Stage::Open,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
        };
        (handle, tokio::spawn(lane.run()))
    }

    async fn run(mut self) -> Vec<Leftover> {
        let mut orders = Vec::with_capacity(ORDERS);
        loop {
            let now = Clock::now().into_std();
            self.start_attempts(now);
            if self.is_over(now) {
                return self.leftovers();
            }
            let alarm = self.alarm();
            poll_fn(|cx| self.step(cx, alarm, &mut orders)).await;
        }
    }

    /// Waits for whatever happens next, and takes all of it: what is then started is written in one go, which wakes its
    /// readers once and not each time.
    fn step(&mut self, cx: &mut Context<'_>, alarm: Option<Instant>, orders: &mut Vec<Order>) -> Poll<()> {
        let mut happened = false;
        while let Poll::Ready(Some((place, done))) = self.attempts.poll_next_unpin(cx) {
            self.land(place, done);
            happened = true;
        }
        while let Poll::Ready(Some((endpoint, connection))) = self.unread.poll_next_unpin(cx) {
            if let Some(kept) = connection {
                self.keep(kept, &endpoint);
            }
            happened = true;
        }
        match self.orders.poll_recv_many(cx, orders, ORDERS) {
            Poll::Ready(0) if self.stage == Stage::Open => {
                self.stage = Stage::Retired;
                happened = true;
            }
            Poll::Ready(0) | Poll::Pending => {}
            Poll::Ready(_) => {
                orders.drain(..).for_each(|order| self.obey(order));
                happened = true;
            }
        }
        if happened {
            return Poll::Ready(());
        }
        let Some(alarm) = alarm else { return Poll::Pending };
        // An alarm that rings too early costs one look; setting it anew for every delivery would cost more.
        if self.armed.is_none_or(|armed| alarm < armed) {
            self.armed = Some(alarm);
            self.timer.as_mut().reset(Clock::from_std(alarm));
        }
        self.timer.as_mut().poll(cx).map(|()| self.ring())
    }

    fn ring(&mut self) {
        self.armed = None;
        let expired = Clock::now().into_std().checked_sub(self.endpoint.idle_timeout);
        self.idle.retain(|idle| expired.is_none_or(|expired| idle.since > expired));
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Deliver(delivery) => self.backlog.push(delivery),
            Order::Drain(deadline) => self.stage = Stage::Draining(deadline),
            Order::Retire => self.stage = Stage::Retired,
            Order::Settings(endpoint) => self.settle(endpoint),
        }
    }

    fn settle(&mut self, endpoint: Arc<Endpoint>) {
        let before = std::mem::replace(&mut self.endpoint, endpoint);
        if before.target != self.endpoint.target {
            self.idle.clear();
        }
        let another = before.target != self.endpoint.target || before.auth != self.endpoint.auth;
        if another && self.paused.take().is_some() {
            self.log_change(record::Change::Resumed);
        }
        if before != self.endpoint && self.account.is_disabled() {
            self.account.set_disabled(false);
            self.log_change(record::Change::Enabled { reason: "its settings changed" });
        }
    }

    fn start_attempts(&mut self, now: Instant) {
        if self.account.is_disabled() {
            self.give_up_everything(Reason::Disabled, Some(ErrorCode::Disabled));
        }
        if self.stage == Stage::Retired && !self.endpoint.active {
            // It was not to be sent to, and it will not come back.
            self.give_up_everything(Reason::EndpointRemoved, None);
        }
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
            self.log_change(record::Change::Resumed);
        }
        while self.may_start() {
            if let Some(delivery) = self.backlog.next(now) {
                self.start_in_time(delivery, false, now);
            } else if self.is_draining()
                && let Some(delivery) = self.backlog.unpark()
            {
                // Nobody will be there when its time comes.
                self.start_in_time(delivery, true, now);
            } else {
                return;
            }
        }
    }

    fn start(&mut self, delivery: Delivery, early: bool, now: Instant) {
        let idle = self.take_idle(now);
        let (endpoint, parcel) = (Arc::clone(&self.endpoint), Arc::clone(&delivery.parcel));
        let (transport, body, number) = (Arc::clone(&self.around.transport), delivery.body, delivery.attempts + 1);
        let place = self.flights.add(Flight { delivery, endpoint: Arc::clone(&endpoint), early });
        let attempt = async move {
            let attempt = Attempt { endpoint: &endpoint, parcel: &parcel, body, number, started: now };
            attempt.run(&transport, idle).await
        };
        self.attempts.push(Box::pin(AssertUnwindSafe(attempt).catch_unwind().map(move |done| (place, done.ok()))));
    }

    fn land(&mut self, place: usize, done: Option<Done<T::Connection>>) {
        let Some(flight) = self.flights.remove(place) else { return };
        let done = done.unwrap_or_else(Done::panicked);
        if let Some(kept) = done.connection {
            self.keep(kept, &flight.endpoint);
        }
        // A receiver that never ends its answers must not gather connections: past this many they are closed.
        if let Some(unread) = done.unread.filter(|_| self.unread.len() < self.endpoint.concurrency) {
            let endpoint = Arc::clone(&flight.endpoint);
            self.unread.push(Box::pin(unread.map(move |rest| (endpoint, rest.connection))));
        }
        let duration = done.duration;
        let number = flight.delivery.attempts + 1;
        match done.outcome {
            Outcome::Delivered { status } => {
                let outcome = record::Outcome::Delivered { http_status: status, duration };
                self.log_delivery(&flight.endpoint, &flight.delivery, number, outcome);
                flight.delivery.parcel.attempted(&flight.endpoint.name, Some(status), number);
                flight.delivery.parcel.end(&flight.endpoint.name, End::Delivered);
            }
            Outcome::Failed(failure) => {
                let shown = Shown { status: done.status, duration, response: done.response.as_deref() };
                self.fail(flight, &failure, &shown);
            }
        }
    }

    /// Carries out what the failure of an attempt means: for the endpoint, and for the delivery.
    fn fail(&mut self, flight: Flight, failure: &Failure, shown: &Shown<'_>) {
        let Flight { mut delivery, endpoint, early } = flight;
        let number = delivery.attempts + 1;
        let age = delivery.parcel.accepted.elapsed().unwrap_or_default();
        let mut verdict = retry::judge(failure, &self.endpoint.retry, number, age, (self.around.random)());
        if early && (failure.code.class() == Class::Transient || self.endpoint.retry.on == On::Any) {
            verdict = Verdict::RetryIn(Duration::ZERO);
        } else {
            delivery.attempts = number;
        }
        delivery.parcel.attempted(&endpoint.name, shown.status, delivery.attempts);
        let code = failure.code.as_str();
        let line = record::Failure {
            error: &failure.error,
            error_code: &code,
            http_status: shown.status,
            duration: shown.duration,
            response: shown.response,
        };
        match verdict {
            Verdict::RetryIn(wait) => {
                let outcome = record::Outcome::Retrying { failure: line, next_attempt: SystemTime::now() + wait };
                self.log_delivery(&endpoint, &delivery, number, outcome);
                if self.is_draining() {
                    self.left.push(delivery);
                } else {
                    self.backlog.park(delivery, Clock::now().into_std() + wait);
                }
            }
            Verdict::DeadLetter(reason) => {
                let outcome = record::Outcome::Failed { failure: line, class: failure.code.class().as_str() };
                self.log_delivery(&endpoint, &delivery, number, outcome);
                self.give_up(delivery, reason, Some(failure.code));
            }
        }
        // What an attempt with other settings met says nothing of these.
        if *endpoint == *self.endpoint {
            self.react(failure);
        }
    }

    /// What a failure means for the endpoint as a whole.
    fn react(&mut self, failure: &Failure) {
        if failure.code == ErrorCode::Status(410) && !self.account.is_disabled() {
            self.account.set_disabled(true);
            self.log_change(record::Change::Disabled { reason: "the receiver answered 410 Gone" });
        }
        if let Some(wait) = retry::pause(failure, &self.endpoint.retry) {
            let until = Clock::now().into_std() + wait;
            if self.paused.is_none() {
                self.log_change(record::Change::Paused { next_attempt: SystemTime::now() + wait });
            }
            self.paused = self.paused.max(Some(until));
        }
    }

    fn give_up(&self, delivery: Delivery, reason: Reason, error_code: Option<ErrorCode>) {
        let attempts = delivery.attempts;
        let (parcel, slot) = delivery.into_parts();
        let to = Addressee::Known(Arc::clone(&self.endpoint));
        let letter = Letter { parcel, to, reason, error_code, attempts };
        self.around.dead_letters.put(letter, Place::Queue(slot));
    }

    fn give_up_everything(&mut self, reason: Reason, error_code: Option<ErrorCode>) {
        for delivery in self.backlog.take_all().collect::<Vec<_>>() {
            self.give_up(delivery, reason, error_code);
        }
    }

    /// Starts an attempt, unless it is a further one and its time has passed meanwhile, say while the endpoint was paused.
    fn start_in_time(&mut self, delivery: Delivery, early: bool, now: Instant) {
        let age = |delivery: &Delivery| delivery.parcel.accepted.elapsed().unwrap_or_default();
        match self.endpoint.retry.max_age {
            Some(max_age) if delivery.attempts > 0 && age(&delivery) > max_age => self.give_up(delivery, Reason::MaxAge, None),
            _ => self.start(delivery, early, now),
        }
    }

    fn take_idle(&mut self, now: Instant) -> Option<Kept<T::Connection>> {
        // The one used last is the least likely to have been closed.
        while let Some(Idle { kept, since }) = self.idle.pop() {
            if now >= since + self.endpoint.idle_timeout {
                // Behind it there are only such as were idle for longer.
                self.idle.clear();
            } else if now < kept.dialled + OLDEST {
                return Some(kept);
            }
        }
        None
    }

    fn keep(&mut self, kept: Kept<T::Connection>, dialled_for: &Endpoint) {
        if dialled_for.target == self.endpoint.target && self.idle.len() < self.endpoint.concurrency {
            let now = Clock::now().into_std();
            if now < kept.dialled + OLDEST {
                self.idle.push(Idle { kept, since: now });
            }
        }
    }

    fn may_start(&self) -> bool {
        self.attempts.len() < self.endpoint.concurrency && !self.is_held()
    }

    /// Whether attempts are out of the question for now.
    fn is_held(&self) -> bool {
        self.paused.is_some() || !self.endpoint.active
    }

    fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Draining(_))
    }

    fn is_over(&self, now: Instant) -> bool {
        let nothing_under_way = self.attempts.is_empty() && self.backlog.is_empty();
        match self.stage {
            Stage::Draining(deadline) => {
                deadline <= now || self.attempts.is_empty() && (self.backlog.is_empty() || self.is_held())
            }
            Stage::Open => false,
            Stage::Retired => nothing_under_way,
        }
    }

    /// When to look again if nothing else happens.
    fn alarm(&self) -> Option<Instant> {
        let deadline = match self.stage {
            Stage::Draining(deadline) => Some(deadline),
            Stage::Open | Stage::Retired => None,
        };
        let due = if self.may_start() { self.backlog.next_due() } else { None };
        let oldest_idle = self.idle.first().map(|idle| idle.since + self.endpoint.idle_timeout);
        [deadline, self.paused, due, oldest_idle].into_iter().flatten().min()
    }

    fn leftovers(mut self) -> Vec<Leftover> {
        // Attempts end before their deliveries are handed on: what is written as pending is not being sent.
        self.attempts.clear();
        let flying = self.flights.take_all();
        let waiting = self.backlog.take_all().collect::<Vec<_>>();
        let endpoint = &self.endpoint;
        flying.chain(self.left).chain(waiting).map(|delivery| Leftover::Delivery(Arc::clone(endpoint), delivery)).collect()
    }

    fn log_delivery(&self, endpoint: &Endpoint, delivery: &Delivery, attempt: u32, outcome: record::Outcome<'_>) {
        let event = delivery.parcel.prepared.event.head();
        let line = queue::delivery_line(endpoint, &event, attempt, Some(delivery.body().bytes.len()), outcome);
        self.around.log.write(SystemTime::now(), &log::Record::Delivery(line));
    }

    fn log_change(&self, change: record::Change<'_>) {
        let line = record::Endpoint { change, endpoint: &self.endpoint.name, endpoint_id: &self.endpoint.id };
        self.around.log.write(SystemTime::now(), &log::Record::Endpoint(line));
    }
}

/// What a failure's line says of the answer.
struct Shown<'a> {
    status: Option<u16>,
    duration: Duration,
    response: Option<&'a str>,
}

/// The age at which a connection is given up, though it works: its name may lead elsewhere by now.
const OLDEST: Duration = Duration::from_secs(60);

/// Orders taken from the channel at once.
const ORDERS: usize = 64;
