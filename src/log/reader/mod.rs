//! Delivery logs, read again.

mod entry;
mod filter;
mod scan;

pub use self::{
    entry::Entry,
    filter::{Condition, Field, Filter, needle},
    scan::{Failure, Scan, Tally},
};
