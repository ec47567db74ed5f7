//! The way into an endpoint's lane.

use std::{sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot};

use super::{Account, Delivery, Status};
use crate::endpoint::Endpoint;

/// What is said to a lane, in the order in which it is said.
pub enum Order {
    Deliver(Delivery),
    /// Dead-letter what comes, for this reason.
    Disable(Box<str>),
    /// Deliver what is there until then, then hand the rest back.
    Drain(Instant),
    /// Deliver again at once, for this reason, whatever has disabled or paused the endpoint.
    Enable(&'static str),
    /// The endpoint is in the config again; answered by a lane that has not ended.
    Reopen(oneshot::Sender<()>),
    Report(oneshot::Sender<Status>),
    /// The endpoint is gone from the config: end once nothing is left.
    Retire,
    Settings(Arc<Endpoint>),
}

/// An endpoint, and the way into its lane.
#[derive(Clone)]
pub struct Outlet {
    pub endpoint: Arc<Endpoint>,
    pub handle: Handle,
}

/// The way into a lane.
#[derive(Clone)]
pub struct Handle {
    orders: mpsc::UnboundedSender<Order>,
    pub account: Arc<Account>,
}

impl Handle {
    /// A handle, and where its lane hears what is said to it.
    pub fn open(account: Arc<Account>) -> (Handle, mpsc::UnboundedReceiver<Order>) {
        let (orders, lane) = mpsc::unbounded_channel();
        (Handle { orders, account }, lane)
    }

    /// Gives the lane a delivery. The channel has no bound of its own: the places that deliveries hold are the bound.
    pub fn push(&self, delivery: Delivery) {
        self.order(Order::Deliver(delivery));
    }

    /// The same, where the lane may have been retired and have ended: then the delivery comes back.
    pub fn offer(&self, delivery: Delivery) -> Result<(), Delivery> {
        match self.orders.send(Order::Deliver(delivery)) {
            Err(mpsc::error::SendError(Order::Deliver(delivery))) => Err(delivery),
            _ => Ok(()),
        }
    }

    /// Puts new settings in force from the next attempt on.
    pub fn settle(&self, endpoint: Arc<Endpoint>) {
        self.account.resize(endpoint.queue);
        self.order(Order::Settings(endpoint));
    }

    pub fn drain(&self, deadline: Instant) {
        self.order(Order::Drain(deadline));
    }

    /// The endpoint gets nothing more; what it has left needs no reserve.
    pub fn retire(&self) {
        self.account.retire();
        self.order(Order::Retire);
    }

    /// Takes a retirement back; says whether the lane was still there. The reserve comes back with the settings.
    pub async fn reopen(&self) -> bool {
        let (asked, answer) = oneshot::channel();
        self.order(Order::Reopen(asked));
        answer.await.is_ok()
    }

    pub fn disable(&self, reason: Box<str>) {
        self.order(Order::Disable(reason));
    }

    pub fn enable(&self, reason: &'static str) {
        self.order(Order::Enable(reason));
    }

    /// How the endpoint is; none where its lane has ended.
    pub async fn status(&self) -> Option<Status> {
        let (asked, answer) = oneshot::channel();
        self.order(Order::Report(asked));
        answer.await.ok()
    }

    fn order(&self, order: Order) {
        // A lane ends only after it was retired or drained, and then nobody pushes any more.
        let _ = self.orders.send(order);
    }
}
