//! Endpoints of all kinds.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderName, HeaderValue};

use super::super::world::{endpoint, seconds};
use crate::{
    encode::{Format, Shape},
    endpoint::{Batch, Bounds, Breaker, Digest, Endpoint, HeaderText, Pace, Sequence, Target, WhenFull},
    envelope::Envelope,
    queue::Random,
    retry::{On, Policy, Waits},
    transform::{Library, Program},
};

/// What a storm changes of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// No two versions are alike.
    pub version: u64,
    pub host: &'static str,
    pub active: bool,
    pub content_type: &'static str,
    pub timeout: Duration,
    pub retry: Policy,
    pub queue: Bounds,
    pub concurrency: usize,
    pub order: Order,
    pub batch: Option<Batch>,
    pub pace: Pace,
    pub resume_after: Option<Duration>,
    pub idle_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Fifo,
    Keyed,
    Parallel,
}

impl Settings {
    pub(super) fn any(random: &mut Random, version: u64) -> Settings {
        let pick = |random: &mut Random, of: &[u64]| of[random.below(of.len() as u64) as usize];
        let delay = |random: &mut Random| seconds(pick(random, &[1, 2, 5, 10, 30, 60]));
        let waits = match random.below(3) {
            0 => Waits::Fixed { attempts: 1 + random.below(5) as u32, delay: delay(random) },
            1 => Waits::Exponential { attempts: 1 + random.below(6) as u32, delay: delay(random) },
            _ => Waits::Schedule((0..random.below(4)).map(|_| delay(random)).collect()),
        };
        let retry = Policy {
            waits,
            max_delay: seconds(pick(random, &[20, 600])),
            jitter: if random.one_in(2) { 0.0 } else { 0.1 },
            max_age: random.one_in(3).then_some(MAX_AGE),
            on: if random.one_in(4) { On::Any } else { On::Transient },
        };
        let is_tiny = random.one_in(2);
        let queue = Bounds {
            events: if is_tiny { 1 + random.below(12) as usize } else { 10_000 },
            bytes: if is_tiny { 2000 + random.below(20_000) as usize } else { 64 << 20 },
            when_full: [WhenFull::DeadLetter, WhenFull::DropOldest, WhenFull::Reject][random.below(3) as usize],
        };
        let batch = random.one_in(2).then(|| Batch {
            max_events: 1 + random.below(8) as usize,
            max_bytes: 100 + random.below(2000) as usize,
            max_wait: Duration::from_millis(random.below(400)),
        });
        let pace = Pace {
            interval: random.one_in(3).then(|| Duration::from_millis(1 + random.below(500))),
            breaker: random
                .one_in(2)
                .then(|| Breaker { failures: 1 + random.below(3) as u32, pause: seconds(5 + random.below(50)) }),
            disable_after: random.one_in(3).then(|| 1 + random.below(4) as u32),
        };
        Settings {
            version,
            host: ["a.example", "b.example"][random.below(2) as usize],
            active: !random.one_in(8),
            content_type: ["application/json", "text/plain"][usize::from(random.one_in(4))],
            // It never rings together with an answer.
            timeout: Duration::from_millis(1000 * (1 + random.below(10)) + 5),
            retry,
            queue,
            concurrency: 1 + random.below(8) as usize,
            order: [Order::Fifo, Order::Keyed, Order::Parallel][random.below(3) as usize],
            batch,
            pace,
            resume_after: random.one_in(2).then(|| seconds(1 + random.below(120))),
            idle_timeout: seconds(random.below(10)),
        }
    }

    /// The same with some other settings.
    pub(super) fn changed(&self, random: &mut Random, version: u64) -> Settings {
        let (before, other) = (self.clone(), Settings::any(random, version));
        let mut keep = || !random.one_in(3);
        Settings {
            version,
            host: if keep() { before.host } else { other.host },
            active: other.active,
            content_type: if keep() { before.content_type } else { other.content_type },
            timeout: if keep() { before.timeout } else { other.timeout },
            retry: if keep() { before.retry } else { other.retry },
            queue: if keep() { before.queue } else { other.queue },
            concurrency: if keep() { before.concurrency } else { other.concurrency },
            order: if keep() { before.order } else { other.order },
            batch: if keep() { before.batch } else { other.batch },
            pace: if keep() { before.pace } else { other.pace },
            resume_after: if keep() { before.resume_after } else { other.resume_after },
            idle_timeout: if keep() { before.idle_timeout } else { other.idle_timeout },
        }
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        let Settings { active, timeout, queue, concurrency, batch, pace, resume_after, idle_timeout, .. } = *self;
        let mut endpoint = endpoint();
        let version = HeaderValue::try_from(self.version.to_string()).unwrap();
        endpoint.headers.push((HeaderName::from_static("x-version"), HeaderText::Fixed(version)));
        endpoint.target = Target::parse(&format!("http://{}/hook", self.host), false).unwrap();
        let content_type = HeaderValue::from_static(self.content_type);
        endpoint.shape = Arc::new(Shape { envelope: Envelope::None, format: Format::Json, content_type });
        endpoint.digest = Digest(self.version.to_string().into());
        endpoint.order = match self.order {
            Order::Fifo => Sequence::Fifo,
            Order::Keyed => Sequence::Keyed(Arc::clone(key())),
            Order::Parallel => Sequence::Parallel,
        };
        let retry = self.retry.clone();
        Endpoint { active, timeout, retry, queue, concurrency, batch, pace, resume_after, idle_timeout, ..endpoint }
    }

    /// What keeps an event of `key` in order among others.
    pub(super) fn lane_of(&self, key: u64) -> Option<u64> {
        match self.order {
            Order::Fifo => Some(0),
            Order::Keyed => Some(key),
            Order::Parallel => None,
        }
    }

    /// The wait after attempt `made` has failed, where the receiver asked for `asked`; none when that was the last.
    pub(super) fn wait_after(&self, made: u32, asked: Option<u64>) -> Option<Duration> {
        let Policy { waits, max_delay, jitter, .. } = &self.retry;
        let wait = match waits {
            Waits::Exponential { attempts, delay } => (made < *attempts).then(|| *delay * (1 << (made - 1)))?,
            Waits::Fixed { attempts, delay } => (made < *attempts).then_some(*delay)?,
            Waits::Schedule(waits) => *waits.get(made as usize - 1)?,
        };
        // Jitter is that of a random number in the middle.
        let asked = asked.map_or(Duration::ZERO, |asked| seconds(asked).min(*max_delay).mul_f64(1.0 + jitter / 2.0));
        Some(wait.min(*max_delay).max(asked))
    }
}

/// No wait comes near it: the age of an event is measured in real time.
const MAX_AGE: Duration = Duration::from_secs(50);

/// Made once, for that takes longer than most storms.
fn key() -> &'static Arc<Program> {
    static KEY: OnceLock<Arc<Program>> = OnceLock::new();
    KEY.get_or_init(|| Arc::new(Library::new().compile(".data.key").unwrap()))
}
