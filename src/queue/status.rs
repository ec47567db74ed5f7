//! How an endpoint's queue is, for people and machines that ask.

use std::time::Duration;

/// One endpoint's queue, at the moment its lane was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub condition: Condition,
    /// Events that are not being attempted.
    pub waiting: usize,
    /// Events that are.
    pub in_flight: usize,
    /// Of all of them.
    pub bytes: usize,
    /// Since the oldest of those that wait was accepted.
    pub oldest_waiting: Option<Duration>,
    /// Of the last attempt that failed.
    pub last_error: Option<Box<str>>,
}

/// Whether an endpoint gets what it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Disabled {
        /// None where nobody is left to ask.
        reason: Option<Box<str>>,
    },
    Enabled,
    /// It is left alone for a while, or probed.
    Paused {
        reason: &'static str,
    },
}
