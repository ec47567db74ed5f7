//! What a connection is at, and since when.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::Limits;

/// One connection's stage, in one word that its parts share: setting it costs a store, where a timer per stage would cost
/// more than the rest of a request's bookkeeping.
pub struct Watchdog {
    born: Instant,
    /// Milliseconds since `born` and, in the lowest bits, the stage that began then.
    state: AtomicU64,
}

const BUSY: u64 = 0;
const HEAD: u64 = 1;
const IDLE: u64 = 2;
const BODY: u64 = 3;
const EXPIRED: u64 = 4;
const NEW: u64 = 5;

impl Watchdog {
    /// Of a connection just accepted: its first head is awaited.
    pub(super) fn new() -> Watchdog {
        Watchdog { born: Instant::now(), state: AtomicU64::new(NEW) }
    }

    /// Bytes have come: if the connection was idle, a head has begun.
    pub(super) fn bytes(&self) {
        match self.stage() {
            IDLE => self.enter(HEAD),
            // Its time runs since it was accepted.
            NEW => self.state.store(HEAD, Relaxed),
            _ => {}
        }
    }

    /// Whether no byte has come yet.
    pub(super) fn is_new(&self) -> bool {
        self.stage() == NEW
    }

    /// The head is there, and the body if one is awaited.
    pub fn busy(&self) {
        self.state.store(BUSY, Relaxed);
    }

    /// The body is awaited.
    pub fn body(&self) {
        self.enter(BODY);
    }

    /// The answer is made.
    pub(super) fn idle(&self) {
        self.enter(IDLE);
    }

    /// When the stage must have ended; none while sidehook itself is at work.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let state = self.state.load(Relaxed);
        let limit = match state & STAGE {
            NEW | HEAD => limits.header_timeout,
            IDLE => limits.keep_alive,
            BODY => limits.body_timeout,
            _ => return None,
        };
        Some(self.born + Duration::from_millis(state >> STAGE_BITS) + limit)
    }

    /// The deadline has passed. Whether somebody is to be told: a body's reader answers 408, a head's is cut off.
    pub(super) fn expire(&self) -> bool {
        let body = self.stage() == BODY;
        if body {
            self.state.store(EXPIRED, Relaxed);
        }
        body
    }

    pub fn is_expired(&self) -> bool {
        self.stage() == EXPIRED
    }

    fn stage(&self) -> u64 {
        self.state.load(Relaxed) & STAGE
    }

    fn enter(&self, stage: u64) {
        let millis = self.born.elapsed().as_millis() as u64;
        self.state.store(millis << STAGE_BITS | stage, Relaxed);
    }
}

const STAGE_BITS: u32 = 3;
const STAGE: u64 = (1 << STAGE_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        max_connections: 0,
        header_timeout: Duration::from_secs(5),
        body_timeout: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
    };

    #[test]
    fn each_stage_has_its_own_limit() {
        let watchdog = Watchdog::new();
        let limit = || watchdog.deadline(&LIMITS).map(|deadline| (deadline - watchdog.born).as_secs());
        assert_eq!(limit(), Some(5));
        watchdog.busy();
        assert_eq!(limit(), None);
        watchdog.body();
        assert_eq!(limit(), Some(10));
        watchdog.idle();
        assert_eq!(limit(), Some(75));
        watchdog.bytes();
        assert_eq!(limit(), Some(5));
    }

    #[test]
    fn only_a_late_body_is_answered() {
        let watchdog = Watchdog::new();
        assert!(!watchdog.expire() && !watchdog.is_expired());
        watchdog.body();
        assert!(watchdog.expire() && watchdog.is_expired());
        assert_eq!(watchdog.deadline(&LIMITS), None);
    }
}
