//! The bytes of a request, in time and within bounds.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use super::{Limits, Refusal, head::Way};
use crate::door::{MAX_HEAD, Watchdog};

/// Reads the body of a request on `way` within its bounds. Most come in one piece, and that piece is used as it is.
pub(super) async fn read(body: Incoming, way: &Way<'_>, limits: &Limits, watchdog: &Watchdog) -> Result<Bytes, Refusal> {
    let max = match way {
        // What was accepted comes back from the dead letters with all that its path, its head and the sidecar said of it.
        Way::Endpoint(_) => limits.max_body.saturating_add(AROUND),
        Way::Events | Way::Typed(_) => limits.max_body,
    };
    let too_large = Refusal::PayloadTooLarge(limits.max_body);
    if body.size_hint().lower() > max as u64 {
        return Err(too_large);
    }
    let mut collected = pin!(collect(body, max));
    let mut awaited = false;
    let read = poll_fn(|cx| match collected.as_mut().poll(cx) {
        Poll::Pending if watchdog.is_expired() => Poll::Ready(None),
        Poll::Pending => {
            // Most bodies come with their head: the clock is asked only for those that do not.
            if !std::mem::replace(&mut awaited, true) {
                watchdog.body();
            }
            Poll::Pending
        }
        read => read.map(Some),
    });
    let read = read.await;
    watchdog.busy();
    match read {
        Some(Ok(Some(bytes))) => Ok(bytes),
        Some(Ok(None)) => Err(too_large),
        // The connection is gone or talks nonsense: whatever is answered, nobody reads it.
        Some(Err(error)) => Err(Refusal::InvalidJson { line: 1, column: 1, what: error.to_string().into() }),
        None => Err(Refusal::RequestTimeout(limits.door.body_timeout)),
    }
}

/// A body's bytes; none when there are more than `max`.
async fn collect(mut body: Incoming, max: usize) -> hyper::Result<Option<Bytes>> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        if first.len() + more.len() + bytes.len() > max {
            return Ok(None);
        }
        if first.is_empty() && more.is_empty() {
            first = bytes;
        } else {
            more.extend_from_slice(&std::mem::take(&mut first));
            more.extend_from_slice(&bytes);
        }
    }
    Ok(Some(if more.is_empty() { first } else { more.freeze() }))
}

/// The most that stands around the data of an event on its own: a head as JSON text, which has two bytes for a backslash, and
/// the names, id and time that were not in it.
const AROUND: usize = 2 * MAX_HEAD + 4096;
