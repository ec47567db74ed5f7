//! The door in: HTTP from the app, deliveries to the lanes.
//!
//! In comes a request; out goes a `202` after its deliveries were queued, or a [`Refusal`] after nothing was. The answer
//! waits for no endpoint, unless the app prefers it to. What a request is held to (who may post, how much, where it goes)
//! is a [`Plan`], a snapshot taken once per request; a reload replaces it as a whole.
//!
//! **Invariant:** a request is accepted whole or refused whole, and by one plan.

mod accept;
mod body;
mod cloud;
mod dedupe;
mod follow;
mod head;
mod ids;
mod parse;
mod reply;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Request, Response, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::{Notify, RwLock, futures::Notified};

use self::{
    accept::{Accepted, Desk},
    dedupe::Memory,
    head::{Media, Way},
    ids::Ids,
};
pub use self::{dedupe::Bounds as Dedupe, parse::json, reply::Refusal};
use crate::{
    door::{self, Closing, Guard, Peer, Service, Watchdog},
    log::{self, Log},
    queue::{DeadLetters, Ledger, Outlet},
    route::Table,
};

/// What is in force for a request.
pub struct Plan {
    pub table: Table,
    /// By the indices that `table` uses.
    pub outlets: Vec<Outlet>,
    pub guard: Guard,
    pub limits: Limits,
    pub dedupe: Dedupe,
    /// Of events that say none.
    pub source: Arc<str>,
    /// A line is in the log before an event is accepted.
    pub log_accepted: bool,
}

impl Plan {
    /// The endpoint that `way` names, if it names one; events may be posted to it.
    fn outlet(&self, way: &Way<'_>) -> Result<Option<&Outlet>, Refusal> {
        let Way::Endpoint(name) = way else { return Ok(None) };
        let named = |outlet: &&Outlet| *outlet.endpoint.name == **name;
        let outlet = self.outlets.iter().find(named).ok_or_else(|| Refusal::UnknownEndpoint(name.as_ref().into()))?;
        if outlet.endpoint.active && outlet.handle.account.is_disabled() {
            return Err(Refusal::EndpointDisabled(name.as_ref().into()));
        }
        Ok(Some(outlet))
    }
}

/// What a request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_body: usize,
    pub max_batch: usize,
    pub door: door::Limits,
}

/// The door. One per sidecar, shared by its connections.
pub struct Ingest {
    plan: ArcSwap<Plan>,
    swapped: Notify,
    ledger: Arc<Ledger>,
    dead_letters: Arc<DeadLetters>,
    log: Log,
    ids: Ids,
    stamp: Mutex<log::Stamp>,
    memory: Mutex<Memory>,
    draining: AtomicBool,
    /// Held by requests whose events are in the log and not yet queued.
    logging: RwLock<()>,
}

impl Ingest {
    pub fn new(plan: Plan, ledger: Arc<Ledger>, dead_letters: Arc<DeadLetters>, log: Log) -> Arc<Ingest> {
        Arc::new(Ingest {
            plan: ArcSwap::from_pointee(plan),
            swapped: Notify::new(),
            ledger,
            dead_letters,
            log,
            ids: Ids::default(),
            stamp: Mutex::new(log::Stamp::default()),
            memory: Mutex::default(),
            draining: AtomicBool::new(false),
            logging: RwLock::new(()),
        })
    }

    pub fn plan(&self) -> Arc<Plan> {
        self.plan.load_full()
    }

    /// Puts a plan in force, from the next request on.
    pub fn swap(&self, plan: Plan) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).trim(plan.dedupe, Instant::now());
        self.plan.store(Arc::new(plan));
        self.swapped.notify_waiters();
    }

    /// Refuses events from now on; those that the log calls accepted are queued when this returns.
    pub async fn close(&self) {
        self.draining.store(true, Ordering::Relaxed);
        drop(self.logging.write().await);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Queues the events of a request; says also whether they came as a batch. `count` is how many they are, once they have
    /// been read.
    async fn take(
        &self,
        head: &Parts,
        body: Incoming,
        watchdog: &Watchdog,
        count: &mut u64,
    ) -> Result<(Accepted, bool), Refusal> {
        if head.headers.len() > MAX_HEADERS {
            return Err(Refusal::TooManyHeaders(MAX_HEADERS));
        }
        let way = head::way(head.uri.path());
        // All that can be refused without the body is, so that who asks first (`Expect: 100-continue`) need not send it.
        let (limits, media) = {
            let plan = self.plan.load();
            plan.guard.check(head)?;
            let way = way.as_ref().ok_or(Refusal::NotFound)?;
            if head.method != Method::POST {
                return Err(door::Refusal::MethodNotAllowed("POST").into());
            }
            if self.is_draining() {
                return Err(Refusal::Draining);
            }
            plan.outlet(way)?;
            (plan.limits, head::media(&head.headers, way)?)
        };
        let way = way.ok_or(Refusal::NotFound)?;
        let body = body::read(body, &way, &limits, watchdog).await?;
        // The body may have taken its time.
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let events = match (&way, media) {
            (Way::Typed(event_type), _) => parse::data(event_type.as_ref().into(), &body)?,
            (_, Media::CloudEvent) => cloud::event(&body)?,
            (_, Media::CloudEvents) => cloud::batch(&body, limits.max_batch)?,
            (_, Media::Headers) => cloud::binary(&head.headers, &body)?,
            (_, Media::Json) => parse::events(&body, limits.max_batch)?,
            (_, Media::Lines) => parse::lines(&body, limits.max_batch)?,
        };
        *count = events.events.len() as u64;
        let plan = self.plan.load();
        let desk = Desk {
            plan: &plan,
            only: plan.outlet(&way)?,
            awaited: head::wait(&head.headers).is_some(),
            ledger: &self.ledger,
            dead_letters: &self.dead_letters,
            log: &self.log,
            ids: &self.ids,
            stamp: &self.stamp,
            memory: &self.memory,
        };
        let trace = head::trace(&head.headers);
        let draft = desk.draft(&events, trace.as_ref(), SystemTime::now())?;
        if !plan.log_accepted {
            return Ok((desk.accept(draft), events.batch));
        }
        // What the log says is accepted must be, though the disk takes its time and the end has come meanwhile.
        let _logging = self.logging.read().await;
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let draft = Box::pin(desk.log_first(draft)).await?;
        Ok((desk.accept(draft), events.batch))
    }
}

impl Service for Arc<Ingest> {
    fn limits(&self) -> door::Limits {
        self.plan.load().limits.door
    }

    fn admits(&self, peer: Peer) -> bool {
        self.plan.load().guard.admits(peer)
    }

    fn changed(&self) -> Notified<'_> {
        self.swapped.notified()
    }

    async fn answer(&self, request: Request<Incoming>, watchdog: &Watchdog, closing: &Closing) -> Response<Full<Bytes>> {
        if let Some(health) = door::health(&request, self.is_draining()) {
            return health;
        }
        let (mut head, body) = request.into_parts();
        let mut events = 1;
        let taken = self.take(&head, body, watchdog, &mut events).await;
        match &taken {
            Ok(_) => self.log.receive(events),
            Err(refusal) => self.log.refuse(refusal.code(), events),
        }
        let response = match taken {
            Ok((Accepted::Answered(body), _)) => reply::accepted(body, std::mem::take(&mut head.headers)),
            Ok((Accepted::Followed(followed), batch)) => {
                let seconds = head::wait(&head.headers).unwrap_or_default();
                let ended = Box::pin(follow::follow(&followed, Duration::from_secs(seconds), closing)).await;
                let answers: Vec<_> = followed.iter().zip(&ended).map(|(event, ended)| event.answer(ended)).collect();
                let response = reply::accepted(reply::body(&answers, batch), std::mem::take(&mut head.headers));
                reply::waited(response, &ended, seconds)
            }
            Err(refusal) => refusal.response(),
        };
        // Others first: lanes get their turn between an event and its answer, so that they keep up with the door, and
        // answers are written one after the other, which wakes their reader once and not each time.
        tokio::task::yield_now().await;
        response
    }
}

/// More headers than this are refused. hyper's own limit, 100 on its stack, is cheaper than one we would set.
const MAX_HEADERS: usize = 64;
