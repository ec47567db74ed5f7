//! Delivery logs, read again: searched, and followed.
//!
//! In come the names of logs and a [`Filter`]; out go the lines that match, to a [`Taker`].
//!
//! ```text
//! names ── open ──► Source ──┐
//!                            ├─► Scan (Filter) ── line, Entry ──► Taker
//! name ── Follower::look ────┘
//! ```
//!
//! **Invariant:** whatever the files hold, memory is bounded; a line is given once, in its file's order.

mod entry;
mod files;
mod filter;
mod follow;
mod names;
mod scan;
mod source;

pub use self::{
    entry::Entry,
    files::{Snapshot, open},
    filter::{Condition, Field, Filter, needle},
    follow::Follower,
    scan::{Failure, Scan, Taker, Tally},
    source::{Error, Source},
};

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "the reference is what anybody's reader makes of a line")]
mod tests;
