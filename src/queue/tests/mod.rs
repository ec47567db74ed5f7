//! The state files as those who come after find them: real folders, and the writer's real thread.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::HeaderValue;

use super::{Account, Addressee, Ledger, Letter, Parcel, Share, Slot};
use crate::{
    endpoint::{Bounds, WhenFull},
    event::{Event, Kept, Time},
    pipeline::{Body, Prepared},
    retry::{ErrorCode, Reason},
};

mod dead_letters;
mod pending;
mod state;

/// When `event`s happened.
const TIME: Time<'static> = Time { text: "2016-06-21T02:33:30.5+02:00", unix_seconds: 1_466_469_210 };

fn event<'a>(id: &'a str, data: &'a str) -> Event<'a> {
    Event { id, event_type: "a.b", time: TIME, context: None, data, source: "/sidehook", cloud: None, trace: None }
}

/// Keeps `event` with a body, or none.
fn parcel(event: &Event<'_>, body: Option<(&str, &'static str)>, accepted: SystemTime) -> Arc<Parcel> {
    let body = body.map(|(text, content_type)| Body {
        headers: None,
        bytes: Bytes::copy_from_slice(text.as_bytes()),
        content_type: HeaderValue::from_static(content_type),
        is_alone: content_type != "application/json",
    });
    let prepared = Prepared { event: Kept::new(event, None), bodies: body.into_iter().collect() };
    Parcel::new(prepared, accepted, Ledger::new(1 << 30).share(0))
}

/// A letter for an endpoint that is gone, given up after three attempts.
fn letter(event: &Event<'_>) -> Letter {
    Letter {
        parcel: parcel(event, None, SystemTime::now()),
        to: Addressee::Removed("hook".into()),
        reason: Reason::Attempts,
        error_code: Some(ErrorCode::Status(503)),
        attempts: 3,
    }
}

/// A queue with plenty of room.
fn account() -> (Arc<Account>, Share) {
    let ledger = Ledger::new(1 << 30);
    ledger.resize(1 << 30, 1);
    let share = ledger.share(0);
    (Account::open(&ledger, Bounds { events: 10_000, bytes: 1 << 30, when_full: WhenFull::Reject }), share)
}

fn slot(account: &Arc<Account>, share: &mut Share) -> Slot {
    account.reserve(100, share).unwrap()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The permission bits of a file.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[expect(clippy::disallowed_methods, reason = "there is no runtime here, and the writer has a thread of its own")]
#[track_caller]
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
