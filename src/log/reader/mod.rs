//! Delivery logs, read again.

mod entry;
mod files;
mod filter;
mod follow;
mod names;
mod scan;

pub use self::{
    entry::Entry,
    files::{Error, Snapshot, Source, open},
    filter::{Condition, Field, Filter, needle},
    follow::Follower,
    scan::{Failure, Scan, Taker, Tally},
};
