//! A lane with its log, its dead letters and a receiver that does as it is told; time stands still but for timers.
//!
//! **Invariant:** nothing here waits in real time but for the two writers' threads to end.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    sync::Notify,
    task::{JoinHandle, yield_now},
    time::{Instant as Clock, sleep, timeout},
};

use super::super::{Broken, Head, Lane, Rest, Surroundings, Transport};
use crate::{
    endpoint::{Endpoint, HeaderText, Target},
    event::{Event, Time},
    log::{self, Counters, Destination, Log},
    pipeline::{self, Prepared},
    queue::{Account, DeadLetters, Delivery, Handle, Ledger, Parcel, Recalled, Register, Share, Slot, Status, pending::Leftover},
    retry::{ErrorCode, Failure},
    sign::Template,
};

/// What a request gets.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// This status after so long.
    After(Duration, u16),
    /// A status with this `Retry-After`.
    Asking(u16, &'static str),
    /// The same, after so long.
    AskingAfter(Duration, u16, &'static str),
    /// The connection ends; silent: before a byte of an answer.
    Broken {
        silent: bool,
    },
    /// This status after so long, over a connection that panics when it is closed.
    Cursed(Duration, u16),
    /// 200, and a body without an end.
    Endless,
    /// 200, and a panic where its body is read.
    Garbled,
    Hang,
    Panic,
    /// A status and the beginning of its body.
    Saying(u16, String),
    Status(u16),
}

/// What a dial gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dialled {
    After(Duration),
    AtOnce,
    Hang,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Since the receiver was there.
    pub at: Duration,
    pub id: String,
    /// The connection's number, from 0, and the URL it was dialled for.
    pub connection: usize,
    pub dialled: Box<str>,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The attempt's number, as the request says it.
    pub(super) fn attempt(&self) -> u32 {
        self.header("x-attempt").parse().unwrap()
    }
}

/// What was seen of a lane, and done to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The n-th request came, from 0.
    Began(usize),
    /// Its exchange was over, in whatever way.
    Ended(usize),
    /// The n-th thing a test has done.
    Told(usize),
}

type Script<I, O> = Box<dyn Fn(I) -> O + Send + Sync>;

/// The other side of every connection.
pub(super) struct Receiver {
    began: Clock,
    reply: Script<Seen, Reply>,
    dialled: Script<usize, Dialled>,
    seen: Mutex<Vec<Seen>>,
    steps: Mutex<Vec<(Duration, Step)>>,
    arrived: Notify,
    dials: AtomicUsize,
    in_hand: AtomicUsize,
    most_in_hand: AtomicUsize,
    closed: Mutex<Vec<(usize, Duration)>>,
}

impl Receiver {
    /// The requests that are there now.
    pub(super) fn so_far(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests that it has in hand.
    pub(super) fn in_hand(&self) -> Vec<Seen> {
        let mut numbers = BTreeSet::new();
        for (_, step) in self.steps() {
            match step {
                Step::Began(n) => drop(numbers.insert(n)),
                Step::Ended(n) => drop(numbers.remove(&n)),
                Step::Told(_) => {}
            }
        }
        let seen = self.so_far();
        numbers.into_iter().map(|n| seen[n].clone()).collect()
    }

    /// The most requests it had in hand at the same time.
    pub(super) fn most_at_once(&self) -> usize {
        self.most_in_hand.load(Relaxed)
    }

    /// Connections that sidehook has closed, and when.
    pub(super) fn closed(&self) -> Vec<(usize, Duration)> {
        self.closed.lock().unwrap().clone()
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// All that has happened, in order, and when.
    pub(super) fn steps(&self) -> Vec<(Duration, Step)> {
        self.steps.lock().unwrap().clone()
    }

    pub(super) fn note(&self, step: Step) {
        self.steps.lock().unwrap().push((self.now(), step));
    }
}

pub(super) struct Link {
    number: usize,
    dialled: Box<str>,
    beginning: Vec<u8>,
    cursed: bool,
    endless: bool,
    garbled: bool,
    receiver: Arc<Receiver>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.receiver.closed.lock().unwrap().push((self.number, self.receiver.now()));
        assert!(!self.cursed || std::thread::panicking(), "as the test wants it");
    }
}

/// How the lane reaches the receiver.
pub(super) struct Wire(Arc<Receiver>);

impl Transport for Wire {
    type Connection = Link;

    async fn dial(&self, target: &Target) -> Result<Link, Failure> {
        let number = self.0.dials.fetch_add(1, Relaxed);
        match (self.0.dialled)(number) {
            Dialled::After(time) => sleep(time).await,
            Dialled::AtOnce => {}
            Dialled::Hang => std::future::pending().await,
        }
        let dialled = target.shown.clone();
        let [cursed, endless, garbled] = [false; 3];
        Ok(Link { number, dialled, beginning: Vec::new(), cursed, endless, garbled, receiver: Arc::clone(&self.0) })
    }

    async fn exchange(&self, link: &mut Link, request: Request<Bytes>) -> Result<Head, Broken> {
        let seen = Seen {
            at: self.0.now(),
            // Who asks for a token has none.
            id: request.headers().get(pipeline::WEBHOOK_ID).map_or("", |id| id.to_str().unwrap()).to_owned(),
            connection: link.number,
            dialled: link.dialled.clone(),
            path: request.uri().to_string(),
            headers: request.headers().clone(),
            body: request.into_body(),
        };
        let _in_hand = InHand::new(&self.0, seen.clone());
        let reply = (self.0.reply)(seen);
        self.0.arrived.notify_waiters();
        // What was started together has all arrived before the first of it is answered.
        yield_now().await;
        let head = |status| Ok(Head { status, is_whole: false, retry_after: None });
        match reply {
            Reply::After(time, status) => {
                sleep(time).await;
                head(status)
            }
            Reply::Asking(status, wait) => {
                Ok(Head { status, is_whole: false, retry_after: Some(HeaderValue::from_static(wait)) })
            }
            Reply::AskingAfter(wait, status, retry_after) => {
                sleep(wait).await;
                Ok(Head { status, is_whole: false, retry_after: Some(HeaderValue::from_static(retry_after)) })
            }
            Reply::Broken { silent } => {
                let failure = Failure { code: ErrorCode::Reset, error: Cow::Borrowed("reset"), retry_after: None };
                Err(Broken { failure, silent, unprocessed: false })
            }
            Reply::Cursed(wait, status) => {
                sleep(wait).await;
                link.cursed = true;
                head(status)
            }
            Reply::Garbled => {
                link.garbled = true;
                head(200)
            }
            Reply::Endless => {
                link.endless = true;
                head(200)
            }
            Reply::Hang => std::future::pending().await,
            // Without the hook, which would write it to stderr each time.
            Reply::Panic => std::panic::resume_unwind(Box::new("as the test wants it")),
            Reply::Saying(status, text) => {
                link.beginning = text.into_bytes();
                head(status)
            }
            Reply::Status(status) => head(status),
        }
    }

    async fn rest(&self, mut link: Link, keep: usize) -> Rest<Link> {
        if link.endless {
            std::future::pending::<()>().await;
        }
        if link.garbled {
            sleep(Duration::from_millis(1)).await;
            panic!("as the test wants it");
        }
        let mut beginning = std::mem::take(&mut link.beginning);
        beginning.truncate(keep);
        Rest { beginning, connection: Some(link) }
    }
}

/// Counts a request for as long as it is in hand, also when its future is dropped or panics.
struct InHand(Arc<Receiver>, usize);

impl InHand {
    fn new(receiver: &Arc<Receiver>, request: Seen) -> InHand {
        let now = receiver.in_hand.fetch_add(1, Relaxed) + 1;
        receiver.most_in_hand.fetch_max(now, Relaxed);
        let mut seen = receiver.seen.lock().unwrap();
        let number = seen.len();
        seen.push(request);
        receiver.note(Step::Began(number));
        InHand(Arc::clone(receiver), number)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Relaxed);
        self.0.note(Step::Ended(self.1));
    }
}

/// A lane, and all it needs.
pub(super) struct World {
    folder: TempDir,
    pub around: Surroundings<Wire>,
    pub receiver: Arc<Receiver>,
    pub account: Arc<Account>,
    pub ledger: Arc<Ledger>,
    pub endpoint: Mutex<Arc<Endpoint>>,
    pub handle: Handle,
    lane: JoinHandle<Vec<Leftover>>,
}

/// What is there when a lane has ended.
pub(super) struct Ended {
    pub receiver: Arc<Receiver>,
    /// Id and counted attempts of each delivery that was handed back.
    pub left: Vec<(String, u32)>,
    /// When.
    pub at: Duration,
    pub log: Vec<Value>,
    /// The dead letters.
    pub letters: Vec<Value>,
    /// Events and bytes in the queue, and bytes in the ledger, once what was handed back is dropped.
    pub held: (usize, usize, usize),
    pub counters: Counters,
}

impl World {
    /// The lane of `endpoint`; every dial is answered at once.
    pub(super) fn start(endpoint: Endpoint, reply: impl Fn(Seen) -> Reply + Send + Sync + 'static) -> World {
        World::start_with(endpoint, reply, |_| Dialled::After(Duration::ZERO))
    }

    pub(super) fn start_with(
        endpoint: Endpoint,
        reply: impl Fn(Seen) -> Reply + Send + Sync + 'static,
        dialled: impl Fn(usize) -> Dialled + Send + Sync + 'static,
    ) -> World {
        World::build(endpoint, Box::new(reply), Box::new(dialled), Arc::default(), || 0.5)
    }

    /// With another draw for each jitter than the middle one.
    pub(super) fn start_drawing(
        endpoint: Endpoint,
        reply: impl Fn(Seen) -> Reply + Send + Sync + 'static,
        random: fn() -> f64,
    ) -> World {
        World::build(endpoint, Box::new(reply), Box::new(|_| Dialled::AtOnce), Arc::default(), random)
    }

    /// With what an earlier process has left of who is disabled.
    pub(super) fn start_knowing(
        endpoint: Endpoint,
        reply: impl Fn(Seen) -> Reply + Send + Sync + 'static,
        register: Arc<Register>,
    ) -> World {
        World::build(endpoint, Box::new(reply), Box::new(|_| Dialled::AtOnce), register, || 0.5)
    }

    fn build(
        endpoint: Endpoint,
        reply: Script<Seen, Reply>,
        dialled: Script<usize, Dialled>,
        register: Arc<Register>,
        random: fn() -> f64,
    ) -> World {
        let receiver = Arc::new(Receiver {
            began: Clock::now(),
            reply,
            dialled,
            seen: Mutex::default(),
            steps: Mutex::default(),
            arrived: Notify::new(),
            dials: AtomicUsize::new(0),
            in_hand: AtomicUsize::new(0),
            most_in_hand: AtomicUsize::new(0),
            closed: Mutex::default(),
        });
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(Destination::File(folder.path().join("log"))).unwrap();
        let dead_letters = Arc::new(DeadLetters::start(folder.path().join("letters"), 1 << 30, log.clone()).unwrap());
        let ledger = Ledger::new(1 << 30);
        ledger.resize(1 << 30, 1);
        let account = Account::open(&ledger, endpoint.queue);
        let transport = Arc::new(Wire(Arc::clone(&receiver)));
        let around = Surroundings { transport, log, dead_letters, register, random };
        let endpoint = Arc::new(endpoint);
        let (handle, lane) = Lane::open(Arc::clone(&endpoint), Arc::clone(&account), around.clone());
        World { folder, around, receiver, account, ledger, endpoint: Mutex::new(endpoint), handle, lane }
    }

    /// Gives the lane an event that was accepted just now.
    pub(super) fn post(&self, id: &str) {
        self.post_accepted(id, SystemTime::now());
    }

    pub(super) fn post_accepted(&self, id: &str, accepted: SystemTime) {
        let reserve = |bytes, share: &mut _| self.account.reserve(bytes, share).unwrap();
        self.post_with(id, "{\"n\": 1.0}", accepted, reserve);
    }

    /// The same, with attempts that an earlier process has made.
    pub(super) fn post_tried(&self, id: &str, attempts: u32) {
        let reserve = |bytes, share: &mut _| self.account.reserve(bytes, share).unwrap();
        let (parcel, slot) = self.parcel(id, "1", SystemTime::now(), reserve);
        self.handle.push(Delivery::new(parcel, 0, attempts, slot));
    }

    /// The same, with its id in its data.
    pub(super) fn post_saying(&self, id: &str) {
        let reserve = |bytes, share: &mut _| self.account.reserve(bytes, share).unwrap();
        self.post_with(id, &format!("\"{id}\""), SystemTime::now(), reserve);
    }

    /// Whether nothing could make room for one more of `bytes`.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.account.displace(bytes, &mut self.ledger.share(bytes), &mut 0).is_err()
    }

    /// The same into a queue that is full.
    pub(super) fn post_displacing(&self, id: &str) {
        let displace = |bytes, share: &mut _| self.account.displace(bytes, share, &mut 0).unwrap();
        self.post_with(id, "1", SystemTime::now(), displace);
    }

    fn post_with(&self, id: &str, data: &str, accepted: SystemTime, place: impl FnOnce(usize, &mut Share) -> Slot) {
        let (parcel, slot) = self.parcel(id, data, accepted, place);
        self.handle.push(Delivery::new(parcel, 0, 0, slot));
    }

    pub(super) fn parcel(
        &self,
        id: &str,
        data: &str,
        accepted: SystemTime,
        place: impl FnOnce(usize, &mut Share) -> Slot,
    ) -> (Arc<Parcel>, Slot) {
        let endpoint = Arc::clone(&self.endpoint.lock().unwrap());
        let (prepared, mut share) = self.prepare(&endpoint, id, data);
        let slot = place(prepared.footprint(), &mut share);
        (Parcel::new(prepared, accepted, share), slot)
    }

    pub(super) fn prepare(&self, endpoint: &Endpoint, id: &str, data: &str) -> (Prepared, Share) {
        let time = Time { text: "2026-11-22T19:21:53Z", unix_seconds: 1_795_375_313 };
        let event = Event { id, event_type: "a.b", time, context: None, data, source: "/sidehook", cloud: None, trace: None };
        let input = crate::transform::Input::new(event);
        let (prepared, _) = pipeline::prepare(&input, std::iter::once((endpoint, None))).unwrap();
        let share = self.ledger.share(prepared.footprint());
        (prepared, share)
    }

    pub(super) async fn status(&self) -> Status {
        self.handle.status().await.unwrap()
    }

    /// Why the lane has panicked at its end, and the ids of what that would have dropped.
    pub(super) async fn broken(self) -> Vec<String> {
        let World { account, lane, .. } = self;
        assert!(timeout(LONG, lane).await.expect("the lane ends").is_err_and(|error| error.is_panic()));
        let rescued = account.rescued();
        rescued.iter().map(|delivery| delivery.parcel.prepared.event.view().id.to_owned()).collect()
    }

    pub(super) fn is_known_as_disabled(&self) -> bool {
        self.around.register.recall(&self.endpoint.lock().unwrap()) != Recalled::Nothing
    }

    /// Ends this lane and opens another, which knows what is disabled.
    pub(super) async fn restarted(self, endpoint: Endpoint, reply: impl Fn(Seen) -> Reply + Send + Sync + 'static) -> World {
        let register = Arc::clone(&self.around.register);
        self.drain(Duration::ZERO);
        self.ended().await;
        World::start_knowing(endpoint, reply, register)
    }

    pub(super) fn settle(&self, endpoint: Endpoint) {
        let endpoint = Arc::new(endpoint);
        *self.endpoint.lock().unwrap() = Arc::clone(&endpoint);
        self.handle.settle(endpoint);
    }

    /// All requests, once there are at least `n`.
    pub(super) async fn received(&self, n: usize) -> Vec<Seen> {
        let enough = async {
            loop {
                let arrived = self.receiver.arrived.notified();
                let seen = self.receiver.so_far();
                if seen.len() >= n {
                    return seen;
                }
                arrived.await;
            }
        };
        let came = timeout(LONG, enough).await;
        came.unwrap_or_else(|_| panic!("{n} requests wanted, there are {:#?}", self.receiver.so_far()))
    }

    /// Lets the lane do all it can do without the time going on.
    pub(super) async fn settled(&self) {
        // The shortest timer rings only when nothing else can happen.
        sleep(Duration::from_millis(1)).await;
    }

    pub(super) fn retire(&self) {
        self.handle.retire();
    }

    /// Whether the lane was there to take its retirement back.
    pub(super) async fn reopen(&self) -> bool {
        self.handle.reopen().await
    }

    /// Takes the retirement back, or opens another lane where this one has ended, as a config does that has the endpoint
    /// again; says whether it is the same.
    pub(super) async fn back(&mut self) -> bool {
        if self.handle.reopen().await {
            return true;
        }
        let endpoint = Arc::clone(&self.endpoint.lock().unwrap());
        self.account = Account::open(&self.ledger, endpoint.queue);
        let (handle, lane) = Lane::open(endpoint, Arc::clone(&self.account), self.around.clone());
        self.handle = handle;
        let left = std::mem::replace(&mut self.lane, lane).await.expect("the lane does not panic");
        assert!(left.is_empty(), "a lane that was retired has left something");
        false
    }

    pub(super) fn disable(&self) {
        self.handle.disable("a person says so".into());
    }

    pub(super) fn enable(&self) {
        self.handle.enable("a person says so");
    }

    /// Orders a drain that may take `grace`.
    pub(super) fn drain(&self, grace: Duration) {
        self.handle.drain(Clock::now().into_std() + grace);
    }

    /// Waits for the end of a lane that was retired or drained, and closes its dead letters and log.
    pub(super) async fn ended(self) -> Ended {
        let World { folder, around, receiver, account, ledger, lane, handle, .. } = self;
        let Surroundings { log, dead_letters, .. } = around;
        let left = timeout(LONG, lane).await.expect("the lane ends").expect("the lane does not panic");
        assert!(account.rescued().is_empty(), "the lane has taken what panics would have dropped");
        drop(handle);
        let at = receiver.now();
        let unwritten = dead_letters.close();
        assert!(unwritten.is_empty(), "all dead letters can be written");
        assert_eq!(log.close(Instant::now() + Duration::from_secs(30)), 0);
        let ids = left.iter().map(|leftover| match leftover {
            Leftover::Delivery(_, delivery) => (delivery.parcel.prepared.event.view().id.to_owned(), delivery.attempts),
            Leftover::Letter(_) => panic!("a lane has no letters of its own"),
        });
        let ids = ids.collect();
        drop(left);
        let (events, bytes) = account.held();
        let held = (events, bytes, ledger.used());
        let counters = log.counters();
        let of_lane = |line: &Value| line["endpoint"] != LAST;
        let [log, letters] = ["log", "letters"].map(|name| lines(&folder, name).into_iter().filter(of_lane).collect::<Vec<_>>());
        log.iter().for_each(log::assert_valid);
        Ended { receiver, left: ids, at, log, letters, held, counters }
    }

    /// Retires the lane and waits for its end.
    pub(super) async fn finished(self) -> Ended {
        self.retire();
        self.ended().await
    }

    /// The same for a lane that nobody has a way into any more.
    pub(super) async fn abandoned(mut self) -> Ended {
        self.handle = Handle::open(Arc::clone(&self.account)).0;
        self.ended().await
    }
}

impl Ended {
    /// The log's lines that tell of `outcome`.
    pub(super) fn telling(&self, outcome: &str) -> Vec<&Value> {
        self.log.iter().filter(|line| line["outcome"] == outcome).collect()
    }

    /// The ids in these lines.
    pub(super) fn ids(&self, outcome: &str) -> Vec<&str> {
        self.telling(outcome).iter().map(|line| line["event_id"].as_str().unwrap()).collect()
    }

    /// Id, reason and attempts of each dead letter.
    pub(super) fn given_up(&self) -> Vec<(&str, &str, u64)> {
        self.letters
            .iter()
            .map(|letter| {
                let (id, reason) = (&letter["event"]["id"], &letter["reason"]);
                (id.as_str().unwrap(), reason.as_str().unwrap(), letter["attempts"].as_u64().unwrap())
            })
            .collect()
    }
}

/// The example, with requests that say which attempt they are.
pub(super) fn endpoint() -> Endpoint {
    let attempt = HeaderText::Template(Template::parse("{attempt}").unwrap());
    Endpoint { headers: vec![(HeaderName::from_static("x-attempt"), attempt)], ..Endpoint::example() }
}

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Rounded down, for timers ring at the next whole millisecond.
pub(super) fn whole_seconds(seen: &[Seen]) -> Vec<u64> {
    seen.iter().map(|seen| seen.at.as_secs()).collect()
}

fn lines(folder: &TempDir, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Whom a letter is for that only shows that those before it are written.
pub(super) const LAST: &str = "last";

/// Longer than anything a lane may wait for: the clock is paused, so it costs nothing.
const LONG: Duration = Duration::from_secs(7 * 86_400);
