//! The bytes of a request, in time and within bounds.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use super::Watchdog;

/// Why there is no body.
#[derive(Debug)]
pub enum Unread {
    /// The connection is gone or talks nonsense: whatever is answered, nobody reads it.
    Broken(hyper::Error),
    Late,
    TooLarge,
}

/// Reads a body of at most `max` bytes. Most come in one piece, and that piece is used as it is.
pub async fn read(body: Incoming, max: usize, watchdog: &Watchdog) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > max as u64 {
        return Err(Unread::TooLarge);
    }
    let mut collected = pin!(collect(body, max));
    let mut awaited = false;
    let read = poll_fn(|cx| match collected.as_mut().poll(cx) {
        Poll::Pending if watchdog.is_expired() => Poll::Ready(Err(Unread::Late)),
        Poll::Pending => {
            // Most bodies come with their head: the clock is asked only for those that do not.
            if !std::mem::replace(&mut awaited, true) {
                watchdog.body();
            }
            Poll::Pending
        }
        read => read,
    });
    let read = read.await;
    watchdog.busy();
    read
}

async fn collect(mut body: Incoming, max: usize) -> Result<Bytes, Unread> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame.map_err(Unread::Broken)?.into_data() else { continue };
        if first.len() + more.len() + bytes.len() > max {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() && more.is_empty() {
            first = bytes;
        } else {
            more.extend_from_slice(&std::mem::take(&mut first));
            more.extend_from_slice(&bytes);
        }
    }
    Ok(if more.is_empty() { first } else { more.freeze() })
}
