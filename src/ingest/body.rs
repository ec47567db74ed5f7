//! The bytes of a request, as large as its way allows.

use bytes::Bytes;
use hyper::body::Incoming;

use super::{Limits, Refusal, head::Way};
use crate::door::{self, MAX_HEAD, Unread, Watchdog};

/// Reads the body of a request on `way`.
pub(super) async fn read(body: Incoming, way: &Way<'_>, limits: &Limits, watchdog: &Watchdog) -> Result<Bytes, Refusal> {
    let max = match way {
        // What was accepted comes back from the dead letters with all that its path, its head and the sidecar said of it.
        Way::Endpoint(_) => limits.max_body.saturating_add(AROUND),
        Way::Events | Way::Typed(_) => limits.max_body,
    };
    door::read(body, max, watchdog).await.map_err(|unread| match unread {
        Unread::Broken(error) => Refusal::InvalidJson { line: 1, column: 1, what: error.to_string().into() },
        Unread::Late => Refusal::RequestTimeout(limits.door.body_timeout),
        Unread::TooLarge => Refusal::PayloadTooLarge(limits.max_body),
    })
}

/// The most that stands around the data of an event on its own: a head as JSON text, which has two bytes for a backslash, and
/// the names, id and time that were not in it.
const AROUND: usize = 2 * MAX_HEAD + 4096;
