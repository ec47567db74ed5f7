//! Where an endpoint's deliveries are while they are attempted.
//!
//! **Invariant:** a delivery under way is in exactly one place, and a place that was freed is used again.

use std::sync::Arc;

use crate::{
    endpoint::Endpoint,
    queue::{Delivery, Lot, Probe, Share},
};

/// Deliveries with an attempt under way; they stay here, so that a panic in the attempt cannot take them along.
pub(super) struct Flight {
    pub(super) lot: Lot<Delivery>,
    pub(super) endpoint: Arc<Endpoint>,
    /// Of the request's body.
    pub(super) bytes: usize,
    /// A batch's body has a place of its own: it was made for this attempt.
    pub(super) _carried: Option<Share>,
    /// Tried before its time, while draining: a failure does not count.
    pub(super) early: bool,
    /// What is to show whether the receiver is back.
    pub(super) probe: Option<Probe>,
}

/// The lots under way, each at a place that its attempt knows.
#[derive(Default)]
pub(super) struct Flights {
    places: Vec<Option<Flight>>,
    free: Vec<usize>,
}

impl Flights {
    pub(super) fn add(&mut self, flight: Flight) -> usize {
        if let Some(place) = self.free.pop() {
            self.places[place] = Some(flight);
            return place;
        }
        self.places.push(Some(flight));
        self.places.len() - 1
    }

    pub(super) fn remove(&mut self, place: usize) -> Option<Flight> {
        let flight = self.places.get_mut(place)?.take();
        self.free.extend(flight.is_some().then_some(place));
        flight
    }

    pub(super) fn lots(&self) -> impl Iterator<Item = &Lot<Delivery>> {
        self.places.iter().flatten().map(|flight| &flight.lot)
    }

    pub(super) fn lots_mut(&mut self) -> impl Iterator<Item = &mut Lot<Delivery>> {
        self.places.iter_mut().flatten().map(|flight| &mut flight.lot)
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Flight> + use<> {
        self.free.clear();
        std::mem::take(&mut self.places).into_iter().flatten()
    }
}
