//! A whole lane in weather of all kinds, driven by seeds: the real account, ledger, dead letters and log, a receiver that
//! answers as it likes, and people who change their minds. What must hold of all that is in `account`.
//!
//! A seed that fails prints what has happened; `STORM_SEED=n cargo test storm` does it again, and `STORM_SEEDS=n` tries so
//! many.
//!
//! **Invariant:** all that happens follows from the seed.

mod account;
mod answer;
mod door;
mod ends;
mod settings;
mod watch;

use std::{
    fmt::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tokio::time::sleep;

use self::{door::Posted, settings::Settings};
use super::world::{Dialled, Ended, Reply, Seen, Step, World, seconds};
use crate::queue::{Random, seeds};

#[test]
fn whatever_the_weather_every_delivery_ends_once_in_order_and_within_all_bounds() {
    for seed in seeds("STORM", 250) {
        let diary = Diary::default();
        let survived = catch_unwind(AssertUnwindSafe(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let past = runtime.block_on(live(seed, diary.clone()));
            past.ended.log.iter().for_each(|line| diary.write(format_args!("{}", told(line))));
            account::audit(&past);
        }));
        assert!(survived.is_ok(), "seed {seed} fails. What happened:\n{}", diary.text());
    }
}

/// What happened, for people.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<String>>);

impl Diary {
    fn write(&self, what: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0.lock().unwrap_or_else(PoisonError::into_inner), "{what}");
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The words of a log line that tell one from another.
fn told(line: &Value) -> String {
    let words = ["event_id", "outcome", "attempt", "reason", "error_code", "batch_id"].map(|key| match &line[key] {
        Value::Null => None,
        value => Some(value.to_string()),
    });
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// An event, as it was posted.
#[derive(Debug)]
struct Event {
    key: u64,
    content_type: &'static str,
    /// Accepted so long ago that it is past every age.
    is_old: bool,
    /// By an earlier process.
    attempts: u32,
    posted: Posted,
}

/// The numbers of a request's events.
fn read(seen: &Seen) -> Vec<usize> {
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    let one = std::slice::from_ref(&body);
    body.as_array().map_or(one, Vec::as_slice).iter().map(|event| event["n"].as_u64().unwrap() as usize).collect()
}

/// What was done to the lane.
#[derive(Clone, Debug)]
enum Act {
    /// It came back from its retirement, or another lane in its place.
    Back {
        same: bool,
    },
    Disabled,
    Drained,
    Enabled,
    /// The event of this number came.
    Posted(usize),
    Retired,
    Settled(Box<Settings>),
}

/// All there is to know once it is over.
struct Past {
    events: Vec<Event>,
    acts: Vec<Act>,
    /// To each request.
    replies: Vec<Reply>,
    /// Until when it must be over.
    limit: Duration,
    ended: Ended,
}

/// How the receiver answers.
struct Weather {
    random: Random,
    /// It is well again.
    fair: bool,
    replies: Vec<Reply>,
}

impl Weather {
    fn reply(&mut self) -> Reply {
        let random = &mut self.random;
        let reply = if self.fair {
            Reply::Status(200)
        } else {
            match random.below(16) {
                0..=3 => Reply::Status([200, 204][random.below(2) as usize]),
                4 | 5 => Reply::After(Duration::from_millis(10 * random.below(400)), 200),
                6 => Reply::Status(500),
                7 => Reply::After(Duration::from_millis(10 * random.below(400)), 500),
                8 => Reply::Status([400, 413, 422, 404][random.below(4) as usize]),
                9 => Reply::After(Duration::from_millis(10 * random.below(200)), [400, 413, 422, 429][random.below(4) as usize]),
                10 => Reply::Asking([429, 503, 500][random.below(3) as usize], ASKED[random.below(4) as usize]),
                11 => Reply::AskingAfter(Duration::from_millis(10 * random.below(200)), 503, ASKED[random.below(4) as usize]),
                12 => Reply::Broken { silent: random.one_in(2) },
                13 => Reply::Hang,
                14 if random.one_in(6) => Reply::Status(410),
                14 if random.one_in(3) => Reply::Endless,
                _ if random.one_in(3) => Reply::Panic,
                _ => Reply::Status(503),
            }
        };
        self.replies.push(reply.clone());
        reply
    }
}

const ASKED: [&str; 4] = ["1", "5", "30", "120"];

struct Storm {
    random: Random,
    diary: Diary,
    world: World,
    weather: Arc<Mutex<Weather>>,
    settings: Settings,
    versions: u64,
    events: Vec<Event>,
    acts: Vec<Act>,
}

async fn live(seed: u64, diary: Diary) -> Past {
    let mut random = Random(seed);
    let settings = Settings::any(&mut random, 0);
    let weather = Arc::new(Mutex::new(Weather { random: Random(random.below(u64::MAX)), fair: false, replies: Vec::new() }));
    let (answering, book) = (Arc::clone(&weather), diary.clone());
    let reply = move |seen: Seen| {
        let reply = answering.lock().unwrap().reply();
        let (at, id, attempt, version) = (seen.at, &seen.id, seen.attempt(), seen.header("x-version"));
        book.write(format_args!("{at:?} {id} of {:?}, attempt {attempt}, settings {version}: {reply:?}", read(&seen)));
        reply
    };
    let world = World::start_with(settings.endpoint(), reply, |_| Dialled::AtOnce);
    if random.one_in(3) {
        world.ledger.resize(4096 + random.below(60_000) as usize, 1);
        world.account.resize(settings.queue);
    }
    diary.write(format_args!("{settings:?}"));
    let mut storm =
        Storm { random, diary, world, weather, settings: settings.clone(), versions: 0, events: Vec::new(), acts: Vec::new() };
    storm.told(Act::Settled(Box::new(settings)));
    storm.blow().await;
    storm.end().await
}

impl Storm {
    async fn blow(&mut self) {
        for _ in 0..self.random.below(3) {
            let attempts = self.random.below(4) as u32;
            self.post_one(Some(attempts));
        }
        for _ in 0..10 + self.random.below(50) {
            match self.random.below(20) {
                0..=8 => self.post().await,
                9..=12 => sleep(Duration::from_millis(self.random.below(3000))).await,
                13 | 14 => sleep(seconds(self.random.below(100))).await,
                15 | 16 => self.settle(),
                17 if self.random.one_in(3) => {
                    self.world.disable();
                    self.told(Act::Disabled);
                }
                17 | 18 => {
                    self.world.enable();
                    self.told(Act::Enabled);
                }
                _ if self.random.one_in(2) => self.retire().await,
                _ => self.ask().await,
            }
        }
    }

    /// Some at once, when nothing else is going on: which of them find a place must follow from the seed.
    async fn post(&mut self) {
        self.world.settled().await;
        self.world.letters_written();
        for _ in 0..1 + self.random.below(6) {
            self.post_one(None);
        }
    }

    fn post_one(&mut self, earlier: Option<u32>) {
        let n = self.events.len();
        let key = self.random.below(4);
        let is_old = self.random.one_in(8);
        let data = format!("{{\"n\":{n},\"key\":{key},\"pad\":\"{}\"}}", ".".repeat(self.random.below(300) as usize));
        let accepted = SystemTime::now() - if is_old { seconds(1_000_000) } else { Duration::ZERO };
        let id = format!("e-{n}");
        let posted = match earlier {
            None => self.world.ingest(&id, &data, accepted),
            Some(attempts) => {
                self.world.take_up(&id, &data, accepted, attempts);
                Posted::Displacing
            }
        };
        let content_type = self.settings.content_type;
        let event = Event { key, content_type, is_old, attempts: earlier.unwrap_or_default(), posted };
        self.diary.write(format_args!("{event:?}"));
        self.events.push(event);
        self.told(Act::Posted(n));
    }

    fn settle(&mut self) {
        if !self.random.one_in(5) {
            self.versions += 1;
            self.settings = self.settings.changed(&mut self.random, self.versions);
        }
        self.put_in_force();
    }

    fn put_in_force(&mut self) {
        self.world.settle(self.settings.endpoint());
        self.told(Act::Settled(Box::new(self.settings.clone())));
    }

    async fn retire(&mut self) {
        self.world.retire();
        self.told(Act::Retired);
        for _ in 0..self.random.below(3) {
            match self.random.below(3) {
                0 => self.post().await,
                1 => sleep(seconds(self.random.below(200))).await,
                _ => sleep(Duration::from_millis(self.random.below(500))).await,
            }
        }
        self.told(Act::Back { same: true });
        let same = self.world.back().await;
        self.acts.pop();
        self.acts.push(Act::Back { same });
        if self.random.one_in(2) {
            self.settle();
        } else {
            self.put_in_force();
        }
    }

    async fn ask(&mut self) {
        self.world.settled().await;
        self.world.letters_written();
        let (events, bytes) = self.world.account.held();
        let in_hand = self.world.receiver.in_hand();
        let in_flight: usize = in_hand.iter().map(|seen| read(seen).len()).sum();
        let status = self.world.status().await;
        assert_eq!((status.waiting, status.in_flight, status.bytes), (events - in_flight, in_flight, bytes), "{status:?}");
    }

    async fn end(mut self) -> Past {
        let began = self.world.receiver.now();
        let limit = match self.random.below(3) {
            0 => {
                let grace = Duration::from_millis(self.random.below(20_000) * self.random.below(3).min(1));
                // More than a lane takes in at once.
                let many = if self.random.one_in(4) { 100 } else { self.random.below(3) };
                self.told(Act::Drained);
                self.world.drain(grace);
                (0..many).for_each(|_| self.post_one(None));
                if self.random.one_in(4) {
                    sleep(grace / 2).await;
                    self.world.drain(Duration::ZERO);
                    grace / 2
                } else {
                    grace
                }
            }
            _ => {
                self.weather.lock().unwrap().fair = true;
                self.versions += 1;
                self.settings = Settings { active: true, version: self.versions, ..self.settings.clone() };
                self.put_in_force();
                self.world.retire();
                self.told(Act::Retired);
                FAIR
            }
        };
        let Storm { world, weather, events, acts, .. } = self;
        let ended = world.ended().await;
        let replies = std::mem::take(&mut weather.lock().unwrap().replies);
        Past { events, acts, replies, limit: began + limit + Duration::from_millis(2), ended }
    }

    fn told(&mut self, act: Act) {
        let receiver = &self.world.receiver;
        self.diary.write(format_args!("{:?} {act:?}", receiver.now()));
        receiver.note(Step::Told(self.acts.len()));
        self.acts.push(act);
    }
}

/// How long everything may take once the receiver is well: the longest waits, then as fast as the rate allows.
const FAIR: Duration = Duration::from_secs(1000);
