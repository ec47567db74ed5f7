//! Where an endpoint's deliveries are while they are attempted.
//!
//! **Invariant:** a delivery under way is in exactly one place, and a place that was freed is used again.

use std::sync::Arc;

use crate::{endpoint::Endpoint, queue::Delivery};

/// A delivery with an attempt under way; it stays here, so that a panic in the attempt cannot take it along.
pub(super) struct Flight {
    pub(super) delivery: Delivery,
    pub(super) endpoint: Arc<Endpoint>,
    /// Tried before its time, while draining: a failure does not count.
    pub(super) early: bool,
}

/// The deliveries under way, each at a place that its attempt knows.
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

    pub(super) fn take_all(self) -> impl Iterator<Item = Delivery> {
        self.places.into_iter().flatten().map(|flight| flight.delivery)
    }
}
