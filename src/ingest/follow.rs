//! What becomes of events after they were accepted, for an app that waits for that.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{dedupe::Memo, reply};
use crate::{
    door::Closing,
    queue::{Deliveries, Parcel, Waiter},
};

/// An event whose deliveries are waited for.
pub(super) enum Followed {
    Duplicate(Box<str>, Memo),
    New(Arc<Parcel>),
}

/// Waits for all deliveries of these events, but for no longer than `wait`, nor while a door is being closed; says how far
/// each event's are.
pub(super) async fn follow(followed: &[Followed], wait: Duration, closing: &Closing) -> Vec<Deliveries> {
    let mut closing = closing.clone();
    let ended = async {
        for waiter in followed.iter().filter_map(Followed::waiter) {
            waiter.all_ended().await;
        }
    };
    tokio::select! {
        biased;
        _ = timeout(wait, ended) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    followed.iter().map(|event| event.waiter().map(Waiter::deliveries).unwrap_or_default()).collect()
}

impl Followed {
    pub(super) fn waiter(&self) -> Option<&Waiter> {
        match self {
            Followed::Duplicate(..) => None,
            Followed::New(parcel) => parcel.waiter.as_deref(),
        }
    }

    /// What the app is told, with how far the `deliveries` are.
    pub(super) fn answer<'a>(&'a self, deliveries: &'a Deliveries) -> reply::Accepted<'a> {
        let told = Some(deliveries.iter().map(reply::Delivered::from).collect());
        match self {
            Followed::Duplicate(id, memo) => reply::Accepted { deliveries: told, ..memo.answer(id) },
            Followed::New(parcel) => {
                let event = parcel.prepared.event.head();
                let endpoints = deliveries.iter().map(|delivery| &*delivery.endpoint).collect();
                reply::Accepted { id: event.id, event_type: event.event_type, endpoints, duplicate: false, deliveries: told }
            }
        }
    }
}
