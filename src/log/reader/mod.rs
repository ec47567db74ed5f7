//! Delivery logs, read again.

mod entry;

pub use self::entry::Entry;
