//! The mirror of what an endpoint says of order, batches and pace.

use std::time::Duration;

use toml::de::DeValue;

use super::{
    MOST, keys,
    reader::{At, Node, Section},
    values::{count, duration, filled, quantity, size, switch, time_limit},
};
use crate::config::{problems::Problems, units};

/// What an endpoint leaves out is `None`.
#[derive(Clone, Default)]
pub(crate) struct Pace {
    pub(crate) order: Option<At<Order>>,
    /// The time from one attempt to the next.
    pub(crate) interval: Option<At<Duration>>,
    /// `Some(None)` is `false`, here and below.
    pub(crate) batch: Option<At<Option<Batch>>>,
    pub(crate) breaker: Option<At<Option<Breaker>>>,
    pub(crate) disable_after: Option<At<u64>>,
    /// Zero is never.
    pub(crate) resume_after: Option<At<Duration>>,
}

#[derive(Clone)]
pub(crate) enum Order {
    Fifo,
    /// By what this jq expression says of an event.
    Keyed(At<String>),
    Parallel,
}

#[derive(Clone, Default)]
pub(crate) struct Batch {
    pub(crate) max_events: Option<At<u64>>,
    pub(crate) max_bytes: Option<At<u64>>,
    pub(crate) max_wait: Option<At<Duration>>,
}

#[derive(Clone, Default)]
pub(crate) struct Breaker {
    pub(crate) failures: Option<At<u64>>,
    pub(crate) pause: Option<At<Duration>>,
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Pace {
    Pace {
        order: order(section),
        interval: section.read("rate", rate),
        batch: switch(section, "batch", |section| {
            let mut section = section.section("batch", &keys::BATCH)?;
            Some(Batch {
                max_events: section.read("max_events", count(1..=MOST)),
                max_bytes: section.read("max_bytes", size),
                max_wait: section.read("max_wait", duration),
            })
        }),
        breaker: switch(section, "breaker", |section| {
            let mut section = section.section("breaker", &keys::BREAKER)?;
            Some(Breaker { failures: section.read("failures", count(1..=MOST)), pause: section.read("pause", time_limit) })
        }),
        disable_after: section.read("disable_after", count(0..=MOST)),
        resume_after: section.read("resume_after", duration),
    }
}

fn order(section: &mut Section<'_, '_>) -> Option<At<Order>> {
    let node = section.node("order")?;
    let value = match node.value {
        DeValue::Table(_) => {
            let mut section = section.section("order", &keys::ORDER)?;
            Order::Keyed(section.require("key", filled)?)
        }
        DeValue::String(text) => match ORDERS.iter().find(|(word, _)| word == text) {
            Some((_, order)) => order.clone(),
            None => return node.bad("write \"parallel\", \"fifo\", or { key = '.data.order_id' }", section.problems),
        },
        _ => return node.wrong_type("\"parallel\", \"fifo\", or { key = '…' }", section.problems),
    };
    Some(At { value, span: node.span })
}

fn rate(node: &Node<'_>, problems: &mut Problems) -> Option<Duration> {
    let text = quantity(node, &units::RATE, problems)?;
    match units::rate(text) {
        Ok(interval) => Some(interval),
        Err(error) => node.bad(error.to_string(), problems),
    }
}

pub(super) const ORDERS: &[(&str, Order)] = &[("parallel", Order::Parallel), ("fifo", Order::Fifo)];
