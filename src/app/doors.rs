//! The listeners, of which a reload may open another.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::{
    deliver::OwnListeners,
    door::{self, Listener},
    ingest::Ingest,
};

/// The open door, and those that are still letting people out.
pub(super) struct Doors {
    ingest: Arc<Ingest>,
    /// Told where the open door is.
    own: Arc<OwnListeners>,
    servers: JoinSet<()>,
    open: watch::Sender<bool>,
}

impl Doors {
    pub(super) fn new(ingest: Arc<Ingest>, own: Arc<OwnListeners>) -> Doors {
        Doors { ingest, own, servers: JoinSet::new(), open: watch::Sender::new(false) }
    }

    /// Accepts on `listener` from now on, and nowhere else.
    pub(super) fn open(&mut self, listener: Listener) {
        let (open, stop) = watch::channel(false);
        self.own.set(listener.address().into_iter().collect());
        self.servers.spawn(door::serve(listener, Arc::clone(&self.ingest), stop));
        std::mem::replace(&mut self.open, open).send_replace(true);
    }

    /// Accepts nowhere, once the answers under way are written.
    pub(super) async fn close(mut self) {
        self.open.send_replace(true);
        // They are small and local; who does not read them by then never will.
        let _ = timeout(LAST_ANSWERS, async { while self.servers.join_next().await.is_some() {} }).await;
    }
}

const LAST_ANSWERS: Duration = Duration::from_secs(1);
