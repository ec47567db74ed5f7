//! The door out: one lane per endpoint.
//!
//! A [`Lane`] is one task that owns its endpoint's waiting and in-flight deliveries and its connections. Deliveries come in
//! through the lane's [`Handle`](crate::queue::Handle), already holding their places; they leave as delivered, as a letter to
//! the dead letters, or, when the lane is drained, as a [`Leftover`](crate::queue::pending::Leftover). An attempt is a future polled by the lane's own task, so that an event costs no
//! task, no channel and no lock on its way out; a retry is an entry in the backlog and nothing else.
//!
//! **Invariant:** a lane loses nothing: what was pushed to it is delivered, with the dead letters, or handed back, also
//! when an attempt, or the lane itself, panics; and it never waits for another lane.

mod attempt;
mod client;
mod dial;
mod lane;
mod ping;
mod proxy;
mod reach;
mod resolver;
mod stream;
mod tls;
mod token;
mod two;

use std::future::Future;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};

pub use client::Client;
pub use dial::OwnListeners;
pub use lane::{Lane, Surroundings};
pub use ping::{Pong, Report, ping, ping_request};

use crate::{endpoint::Target, retry::Failure};

/// How requests reach receivers: the network, or in tests a stand-in.
pub trait Transport: Send + Sync + 'static {
    /// A connection that may carry several requests, one after the other.
    type Connection: Send;

    fn dial(&self, target: &Target) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;

    /// A header map to fill for the next request, where the connection has one left over.
    fn header_map(&self, _connection: &mut Self::Connection) -> HeaderMap {
        HeaderMap::new()
    }

    /// Whether another request was sent over the connection before, though it was dialled just now.
    fn is_used(&self, _connection: &Self::Connection) -> bool {
        false
    }

    /// Whether nothing more is to be sent over the connection, though it may still be open.
    fn is_spent(&self, _connection: &Self::Connection) -> bool {
        false
    }

    /// Sends `request` and reads the answer's head.
    fn exchange(
        &self,
        connection: &mut Self::Connection,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Head, Broken>> + Send;

    /// Reads the answer's body, within bounds, so that the connection can be used again; its first `keep` bytes are kept.
    fn rest(&self, connection: Self::Connection, keep: usize) -> impl Future<Output = Rest<Self::Connection>> + Send;
}

/// What an answer's head says.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: u16,
    /// Nothing follows the head.
    pub is_whole: bool,
    pub retry_after: Option<HeaderValue>,
}

/// A connection that ended before an answer's head was there.
#[derive(Clone, Debug)]
pub struct Broken {
    pub failure: Failure,
    /// Not a byte of an answer was seen.
    pub silent: bool,
    /// The receiver has not looked at the request: it said so, or the request never went out.
    pub unprocessed: bool,
}

/// What is left of an exchange.
#[derive(Debug)]
pub struct Rest<C> {
    /// The body's first bytes, as many as were to be kept.
    pub beginning: Vec<u8>,
    /// Where it can be used again.
    pub connection: Option<C>,
}

/// How much of an answer's body a failure's log line shows.
pub const RESPONSE: usize = 256;

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "lines are read as log shippers read them")]
mod tests;
