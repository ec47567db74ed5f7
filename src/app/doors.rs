//! The listeners, of which a reload may open others.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    sync::{futures::Notified, watch},
    task::JoinSet,
    time::timeout,
};

use super::Error;
use crate::{
    admin::Admin,
    config::{self, Address},
    deliver::OwnListeners,
    door::{self, Closing, Limits, Listener, Peer, Service, Watchdog},
    ingest::Ingest,
};

/// What a door leads to: one type for both, so that the machinery of HTTP is there once.
#[derive(Clone)]
pub(super) enum Room {
    Admin(Arc<Admin>),
    Ingest(Arc<Ingest>),
}

impl Service for Room {
    fn limits(&self) -> Limits {
        match self {
            Room::Admin(admin) => admin.limits(),
            Room::Ingest(ingest) => ingest.limits(),
        }
    }

    fn admits(&self, peer: Peer) -> bool {
        match self {
            Room::Admin(admin) => admin.admits(peer),
            Room::Ingest(ingest) => ingest.admits(peer),
        }
    }

    fn changed(&self) -> Notified<'_> {
        match self {
            Room::Admin(admin) => admin.changed(),
            Room::Ingest(ingest) => ingest.changed(),
        }
    }

    async fn answer(&self, request: Request<Incoming>, watchdog: &Watchdog, closing: &Closing) -> Response<Full<Bytes>> {
        match self {
            // Boxed: the events' own way is not to be larger for it.
            Room::Admin(admin) => Box::pin(admin.answer(request, watchdog, closing)).await,
            Room::Ingest(ingest) => ingest.answer(request, watchdog, closing).await,
        }
    }
}

/// A listener, and where it really listens.
pub(super) struct Bound {
    pub(super) listener: Listener,
    pub(super) address: Address,
}

/// The open doors, and those that are still letting people out.
pub(super) struct Doors {
    /// Told where the open doors are.
    own: Arc<OwnListeners>,
    servers: JoinSet<()>,
    ingest: Option<Open>,
    admin: Option<Open>,
}

struct Open {
    address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
}

impl Doors {
    pub(super) fn new(own: Arc<OwnListeners>) -> Doors {
        Doors { own, servers: JoinSet::new(), ingest: None, admin: None }
    }

    /// Accepts for `room` on `listener` from now on, and nowhere else.
    pub(super) fn open(&mut self, room: Room, listener: Listener) {
        let (stop, stopped) = watch::channel(false);
        let open = Open { address: listener.address(), stop };
        let place = match &room {
            Room::Admin(_) => &mut self.admin,
            Room::Ingest(_) => &mut self.ingest,
        };
        if let Some(before) = place.replace(open) {
            before.stop.send_replace(true);
        }
        self.servers.spawn(door::serve(listener, room, stopped));
        self.tell();
    }

    /// Lets nobody look in any more.
    pub(super) fn shut_admin(&mut self) {
        if let Some(before) = self.admin.take() {
            before.stop.send_replace(true);
            self.tell();
        }
    }

    /// Accepts nowhere, once the answers under way are written.
    pub(super) async fn close(mut self) {
        for open in [self.ingest, self.admin].into_iter().flatten() {
            open.stop.send_replace(true);
        }
        // They are small and local; who does not read them by then never will.
        let _ = timeout(LAST_ANSWERS, async { while self.servers.join_next().await.is_some() {} }).await;
    }

    fn tell(&self) {
        self.own.set([&self.ingest, &self.admin].into_iter().flatten().filter_map(|open| open.address).collect());
    }
}

impl Bound {
    pub(super) async fn ingest(listen: &config::Listen) -> Result<Bound, Error> {
        Bound::at(&listen.address, listen.mode).await
    }

    pub(super) async fn admin(admin: Option<&config::Admin>) -> Result<Option<Bound>, Error> {
        match admin {
            Some(admin) => Bound::at(&admin.address, ADMIN_MODE).await.map(Some),
            None => Ok(None),
        }
    }

    /// `mode` is that of a Unix socket's file.
    async fn at(address: &Address, mode: u32) -> Result<Bound, Error> {
        let opened = match address {
            Address::Tcp(address) => Listener::tcp(*address).await,
            Address::Unix(path) => Listener::unix(path, mode).await,
        };
        let listener = opened.map_err(|error| Error::Address(address.clone(), error))?;
        let address = listener.address().map_or_else(|| address.clone(), Address::Tcp);
        Ok(Bound { listener, address })
    }
}

/// Of the admin listener's socket: its own user and group.
const ADMIN_MODE: u32 = 0o660;

const LAST_ANSWERS: Duration = Duration::from_secs(1);
