//! How the endpoints are, as JSON.

use futures_util::future::join_all;
use serde::Serialize;

use crate::{
    log::counters::{Counters, ENDS, RESULTS},
    queue::{Condition, Outlet, Status},
};

/// One endpoint: what the config says of it, how its queue is, and what was counted since the start.
#[derive(Serialize)]
pub(super) struct One<'a> {
    name: &'a str,
    id: &'a str,
    description: Option<&'a str>,
    /// Without userinfo, query values masked.
    url: &'a str,
    active: bool,
    state: &'static str,
    /// Why it is disabled or paused.
    reason: Option<Box<str>>,
    waiting: usize,
    in_flight: usize,
    /// Of all that waits or is in flight.
    bytes: usize,
    /// Since the oldest event that waits was accepted.
    oldest_waiting_s: Option<f64>,
    /// Requests, whatever they came to.
    attempts: u64,
    deliveries: Deliveries,
    last_error: Option<Box<str>>,
}

#[derive(Serialize)]
struct Deliveries {
    delivered: u64,
    dead_lettered: u64,
    dropped: u64,
    filtered: u64,
    pending: u64,
    skipped: u64,
}

pub(super) async fn all<'a>(outlets: &'a [Outlet], counters: &Counters) -> Vec<One<'a>> {
    join_all(outlets.iter().map(|outlet| one(outlet, counters))).await
}

pub(super) async fn one<'a>(outlet: &'a Outlet, counters: &Counters) -> One<'a> {
    shown(outlet, status(outlet).await, counters)
}

pub(super) fn shown<'a>(outlet: &'a Outlet, status: Status, counters: &Counters) -> One<'a> {
    let endpoint = &outlet.endpoint;
    let Status { condition, waiting, in_flight, bytes, oldest_waiting, last_error } = status;
    let (state, reason) = match condition {
        Condition::Disabled { reason, .. } => ("disabled", reason),
        Condition::Enabled => ("enabled", None),
        Condition::Paused { reason } => ("paused", Some(reason.into())),
    };
    let counted = counters.endpoint(&endpoint.name);
    let [dead_lettered, delivered, dropped, filtered, pending, skipped] =
        ENDS.map(|outcome| counted.map_or(0, |counted| counted.deliveries(outcome)));
    One {
        name: &endpoint.name,
        id: &endpoint.id,
        description: endpoint.description.as_deref(),
        url: &endpoint.target.shown,
        active: endpoint.active,
        state,
        reason,
        waiting,
        in_flight,
        bytes,
        oldest_waiting_s: oldest_waiting.map(|age| age.as_millis() as f64 / 1000.0),
        attempts: RESULTS.iter().map(|result| counted.map_or(0, |counted| counted.attempts(result))).sum(),
        deliveries: Deliveries { delivered, dead_lettered, dropped, filtered, pending, skipped },
        last_error,
    }
}

/// How an endpoint's queue is; as its account has it where its lane has ended, as lanes do at the end of a drain.
pub(super) async fn status(outlet: &Outlet) -> Status {
    if let Some(status) = outlet.handle.status().await {
        return status;
    }
    let account = &outlet.handle.account;
    let (waiting, bytes) = account.held();
    let condition = if account.is_disabled() { Condition::Disabled { reason: None } } else { Condition::Enabled };
    Status { condition, waiting, in_flight: 0, bytes, oldest_waiting: None, last_error: None }
}
