//! The bytes of a request, in time and within bounds.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use super::{Limits, Refusal, watchdog::Watchdog};

/// Reads a body within its bounds. Most come in one piece, and that piece is used as it is.
pub(super) async fn read(body: Incoming, limits: &Limits, watchdog: &Watchdog) -> Result<Bytes, Refusal> {
    let too_large = Refusal::PayloadTooLarge(limits.max_body);
    if body.size_hint().lower() > limits.max_body as u64 {
        return Err(too_large);
    }
    let mut collected = pin!(collect(body, limits.max_body));
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
        None => Err(Refusal::RequestTimeout(limits.body_timeout)),
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
