//! Who waits for the end of an event's deliveries.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;
use tokio::sync::Notify;

/// What one waiter is told, by whoever has a delivery in hand; an event that nobody waits for has none.
#[derive(Debug)]
pub struct Waiter {
    deliveries: Mutex<Deliveries>,
    /// They all have ended.
    ended: Notify,
}

/// In the order of the event's endpoints.
pub type Deliveries = SmallVec<[Awaited; 1]>;

/// How far one delivery is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    pub endpoint: Arc<str>,
    pub stage: Stage,
    /// Of the last attempt, if that was answered.
    pub http_status: Option<u16>,
    /// Made and counted.
    pub attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is on disk.
    DeadLettered,
    Delivered,
    /// It made room for a later one.
    Dropped,
    /// Its transform gave nothing.
    Filtered,
    /// Under way.
    Pending,
    Skipped,
}

impl Stage {
    /// As the interface's answers say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::DeadLettered => "dead_lettered",
            Stage::Delivered => "delivered",
            Stage::Dropped => "dropped",
            Stage::Filtered => "filtered",
            Stage::Pending => "pending",
            Stage::Skipped => "skipped",
        }
    }
}

impl Awaited {
    pub fn new(endpoint: Arc<str>, stage: Stage) -> Awaited {
        Awaited { endpoint, stage, http_status: None, attempts: 0 }
    }
}

impl Waiter {
    pub fn new(deliveries: Deliveries) -> Arc<Waiter> {
        Arc::new(Waiter { deliveries: Mutex::new(deliveries), ended: Notify::new() })
    }

    /// Waits until no delivery is under way. Only for one at a time.
    pub async fn all_ended(&self) {
        while self.lock().iter().any(|delivery| delivery.stage == Stage::Pending) {
            self.ended.notified().await;
        }
    }

    /// The deliveries as they are now.
    pub fn deliveries(&self) -> Deliveries {
        self.lock().clone()
    }

    /// An attempt for `endpoint` was made, the `attempts`-th that counts.
    pub(super) fn attempted(&self, endpoint: &str, http_status: Option<u16>, attempts: u32) {
        if let Some(delivery) = find(&mut self.lock(), endpoint) {
            (delivery.http_status, delivery.attempts) = (http_status, attempts);
        }
    }

    pub(super) fn end(&self, endpoint: &str, stage: Stage) {
        if let Some(delivery) = find(&mut self.lock(), endpoint) {
            delivery.stage = stage;
        }
        // One that is not the last costs the waiter a look.
        self.ended.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Deliveries> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<'d>(deliveries: &'d mut Deliveries, endpoint: &str) -> Option<&'d mut Awaited> {
    deliveries.iter_mut().find(|delivery| *delivery.endpoint == *endpoint)
}
