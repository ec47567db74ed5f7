//! The door in: HTTP from the app, deliveries to the lanes.
//!
//! In comes a request; out goes a `202` after its deliveries were queued, or a [`Refusal`] after nothing was. The answer
//! waits for no endpoint, unless the app prefers it to. What a request is held to (who may post, how much, where it goes) is a [`Plan`], a snapshot
//! taken once per request; a reload replaces it as a whole.
//!
//! **Invariant:** a request is accepted whole or refused whole, and by one plan.

mod accept;
mod dedupe;
mod guard;
mod head;
mod listener;
mod parse;
mod reply;
mod server;
mod watchdog;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use self::{
    accept::{Accepted, Desk, Followed},
    dedupe::Memory,
    head::{Media, Way},
    watchdog::Watchdog,
};
pub use self::{dedupe::Bounds as Dedupe, guard::Guard, listener::Listener, reply::Refusal, server::serve};
use crate::{
    endpoint::Endpoint,
    event::GeneratedId,
    log::{self, Log},
    queue::{DeadLetters, Deliveries, Handle, Ledger, Waiter},
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

/// An endpoint, and the way into its lane.
pub struct Outlet {
    pub endpoint: Arc<Endpoint>,
    pub handle: Handle,
}

/// What a request may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_body: usize,
    pub max_batch: usize,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub keep_alive: Duration,
    pub max_connections: usize,
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

    /// Refuses events from now on.
    pub fn close(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Answers a request.
    async fn answer(&self, request: Request<Incoming>, watchdog: &Watchdog, closing: &Closing) -> Response<Full<Bytes>> {
        if let Some(health) = self.health(&request) {
            return health;
        }
        let (mut head, body) = request.into_parts();
        let response = match self.take(&head, body, watchdog).await {
            Ok((Accepted::Answered(body), _)) => reply::accepted(body, std::mem::take(&mut head.headers)),
            Ok((Accepted::Followed(followed), batch)) => {
                let seconds = head::wait(&head.headers).unwrap_or_default();
                let ended = Box::pin(follow(&followed, Duration::from_secs(seconds), closing)).await;
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

    fn health(&self, request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
        let (status, text) = match request.uri().path() {
            "/healthz" => (StatusCode::OK, "ok\n"),
            "/readyz" if self.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "/readyz" => (StatusCode::OK, "ready\n"),
            _ => return None,
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Some(Refusal::MethodNotAllowed("GET, HEAD").response());
        }
        let mut response = reply::with_type("text/plain", text.into());
        *response.status_mut() = status;
        Some(response)
    }

    /// Queues the events of a request; says also whether they came as a batch.
    async fn take(&self, head: &Parts, body: Incoming, watchdog: &Watchdog) -> Result<(Accepted, bool), Refusal> {
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
                return Err(Refusal::MethodNotAllowed("POST"));
            }
            if self.is_draining() {
                return Err(Refusal::Draining);
            }
            plan.outlet(way)?;
            (plan.limits, head::media(&head.headers, way)?)
        };
        let way = way.ok_or(Refusal::NotFound)?;
        let body = read_body(body, &limits, watchdog).await?;
        // The body may have taken its time.
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let events = match (&way, media) {
            (Way::Typed(event_type), _) => parse::data(event_type.as_ref().into(), &body)?,
            (_, Media::Json) => parse::events(&body, limits.max_batch)?,
            (_, Media::Lines) => parse::lines(&body, limits.max_batch)?,
        };
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
        let mut draft = desk.draft(&events, trace.as_ref(), SystemTime::now())?;
        if plan.log_accepted {
            draft = Box::pin(desk.log_first(draft)).await?;
            // The disk may have taken its time.
            if self.is_draining() {
                return Err(Refusal::Draining);
            }
        }
        let accepted = desk.accept(draft);
        Ok((accepted, events.batch))
    }
}

/// Waits for all deliveries of these events, but for no longer than `wait`, nor while a door is being closed; says how far
/// each event's are.
async fn follow(followed: &[Followed], wait: Duration, closing: &Closing) -> Vec<Deliveries> {
    let mut closing = closing.clone();
    let ended = async {
        for waiter in followed.iter().filter_map(Followed::waiter) {
            waiter.all_ended().await;
        }
    };
    tokio::select! {
        biased;
        _ = timeout(wait, ended) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    followed.iter().map(|event| event.waiter().map(Waiter::deliveries).unwrap_or_default()).collect()
}

/// Turns true when the connections of a door are to end.
type Closing = watch::Receiver<bool>;

/// Reads a body within its bounds. Most come in one piece, and that piece is used as it is.
async fn read_body(body: Incoming, limits: &Limits, watchdog: &Watchdog) -> Result<Bytes, Refusal> {
    let too_large = Refusal::PayloadTooLarge(limits.max_body);
    if body.size_hint().lower() > limits.max_body as u64 {
        return Err(too_large);
    }
    let mut collected = pin!(collect(body, limits.max_body));
    let mut awaited = false;
    let read = poll_fn(|cx| match collected.as_mut().poll(cx) {
        Poll::Pending if watchdog.is_expired() => Poll::Ready(None),
        Poll::Pending => {
            // Most bodies come with their head: the clock is asked only for those that do not.
            if !std::mem::replace(&mut awaited, true) {
                watchdog.body();
            }
            Poll::Pending
        }
        read => read.map(Some),
    });
    let read = read.await;
    watchdog.busy();
    match read {
        Some(Ok(Some(bytes))) => Ok(bytes),
        Some(Ok(None)) => Err(too_large),
        // The connection is gone or talks nonsense: whatever is answered, nobody reads it.
        Some(Err(error)) => Err(Refusal::InvalidJson { line: 1, column: 1, what: error.to_string().into() }),
        None => Err(Refusal::RequestTimeout(limits.body_timeout)),
    }
}

/// A body's bytes; none when there are more than `max`.
async fn collect(mut body: Incoming, max: usize) -> hyper::Result<Option<Bytes>> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        if first.len() + more.len() + bytes.len() > max {
            return Ok(None);
        }
        if first.is_empty() && more.is_empty() {
            first = bytes;
        } else {
            more.extend_from_slice(&std::mem::take(&mut first));
            more.extend_from_slice(&bytes);
        }
    }
    Ok(Some(if more.is_empty() { first } else { more.freeze() }))
}

/// Makes event ids. Randomness is fetched in pieces of many ids: the system call costs more than the id.
#[derive(Default)]
struct Ids(Mutex<Vec<[u8; 10]>>);

impl Ids {
    fn next(&self, now: SystemTime) -> GeneratedId {
        let millis = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        GeneratedId::event(millis, &self.random())
    }

    fn random(&self) -> [u8; 10] {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(random) = pool.pop() {
            return random;
        }
        let mut bytes = [[0; 10]; 100];
        if getrandom::fill(bytes.as_flattened_mut()).is_err() {
            // No system we run on fails here once it is up; ids must differ all the same.
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
            bytes.iter_mut().enumerate().for_each(|(n, id)| id.copy_from_slice(&(now + n as u128).to_be_bytes()[6..]));
        }
        pool.extend_from_slice(&bytes[1..]);
        bytes[0]
    }
}

/// More headers than this are refused. hyper's own limit, 100 on its stack, is cheaper than one we would set.
const MAX_HEADERS: usize = 64;
