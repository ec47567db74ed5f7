//! The window: how the endpoints are, what was counted, which config is in force; and a few things that a person may ask for.
//!
//! In come requests at a listener of their own, held to the same rules as ingest's; out go JSON and Prometheus' text
//! (interface, section 8). What an endpoint is like its lane says when it is asked; what is counted the log knows; a reload
//! is asked of the one who reloads. Nothing of it is kept here but the result of the last reload.
//!
//! **Invariant:** nobody who looks in holds up a delivery, and no secret is to be seen.

mod actions;
mod endpoints;
mod metrics;
mod process;
mod reload;
mod reply;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio::sync::{Notify, futures::Notified};

pub use self::reload::{Asked, Reload, Requests};
use self::{
    reload::Reloads,
    reply::{Refusal, json},
};
use crate::{
    deliver::Client,
    door::{self, Closing, Guard, Peer, Service, Watchdog},
    log::Log,
    queue::Outlet,
};

/// What is in force for a request.
pub struct View {
    /// In the config's order.
    pub outlets: Vec<Outlet>,
    pub guard: Guard,
    /// The CloudEvents source of a ping.
    pub source: Arc<str>,
    /// The config file as JSON, its secrets hidden.
    pub config: Box<str>,
}

/// The window. One per sidecar, open or not.
pub struct Admin {
    view: ArcSwap<View>,
    swapped: Notify,
    log: Log,
    transport: Arc<Client>,
    reloads: Reloads,
    draining: AtomicBool,
}

impl Admin {
    /// A window, and where it asks for reloads. `loaded` is how the config in force came to be.
    pub fn new(view: View, loaded: Reload, log: Log, transport: Arc<Client>) -> (Arc<Admin>, Requests) {
        let (reloads, requests) = Reloads::new(loaded);
        let view = ArcSwap::from_pointee(view);
        let (swapped, draining) = (Notify::new(), AtomicBool::new(false));
        (Arc::new(Admin { view, swapped, log, transport, reloads, draining }), requests)
    }

    /// Shows something else, from the next request on.
    pub fn swap(&self, view: View) {
        self.view.store(Arc::new(view));
        self.swapped.notify_waiters();
    }

    /// Tells what came of a reload, whoever asked for it.
    pub fn reloaded(&self, reload: Reload) {
        self.reloads.note(reload);
    }

    /// Says from now on that the sidecar takes no more events.
    pub fn close(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    async fn look(&self, request: Request<Incoming>, watchdog: &Watchdog) -> Result<Response<Full<Bytes>>, Refusal> {
        let view = self.view.load_full();
        let (head, body) = request.into_parts();
        view.guard.check(&head)?;
        let way = Way::of(head.uri.path(), &view).ok_or(Refusal::NotFound)??;
        if !way.takes(&head.method) {
            return Err(door::Refusal::MethodNotAllowed(way.methods()).into());
        }
        Ok(match way {
            Way::Config => self.reloads.shown(&view.config),
            Way::Disable(outlet) => self.disable(outlet, actions::reason(body, watchdog).await?).await?,
            Way::Enable(outlet) => self.enable(outlet).await?,
            Way::Endpoint(outlet) => json(&endpoints::one(outlet, &self.log.counters()).await),
            Way::Endpoints => json(&endpoints::all(&view.outlets, &self.log.counters()).await),
            Way::Metrics => metrics::response(&view.outlets, &self.log, &self.reloads).await,
            Way::Reload => self.reloads.ask().await?,
            Way::Test(outlet) => self.test(outlet, &view.source).await?,
        })
    }
}

impl Service for Arc<Admin> {
    fn limits(&self) -> door::Limits {
        LIMITS
    }

    fn admits(&self, peer: Peer) -> bool {
        self.view.load().guard.admits(peer)
    }

    fn changed(&self) -> Notified<'_> {
        self.swapped.notified()
    }

    async fn answer(&self, request: Request<Incoming>, watchdog: &Watchdog, _closing: &Closing) -> Response<Full<Bytes>> {
        match door::health(&request, self.draining.load(Ordering::Relaxed)) {
            Some(health) => health,
            None => self.look(request, watchdog).await.unwrap_or_else(|refusal| refusal.response()),
        }
    }
}

/// What a path leads to.
enum Way<'v> {
    Config,
    Disable(&'v Outlet),
    Enable(&'v Outlet),
    Endpoint(&'v Outlet),
    Endpoints,
    Metrics,
    Reload,
    Test(&'v Outlet),
}

impl<'v> Way<'v> {
    /// None where there is nothing; a refusal where there could be something.
    fn of(path: &str, view: &'v View) -> Option<Result<Way<'v>, Refusal>> {
        let rest = match path {
            "/config" => return Some(Ok(Way::Config)),
            "/endpoints" => return Some(Ok(Way::Endpoints)),
            "/metrics" => return Some(Ok(Way::Metrics)),
            "/reload" => return Some(Ok(Way::Reload)),
            path => path.strip_prefix("/endpoints/")?,
        };
        let (name, to): (_, fn(&'v Outlet) -> Way<'v>) = match rest.split_once('/') {
            None => (rest, Way::Endpoint),
            Some((name, "disable")) => (name, Way::Disable),
            Some((name, "enable")) => (name, Way::Enable),
            Some((name, "test")) => (name, Way::Test),
            Some(_) => return None,
        };
        let name = percent_decode_str(name).decode_utf8_lossy();
        let Some(outlet) = view.outlets.iter().find(|outlet| *outlet.endpoint.name == *name) else {
            return Some(Err(Refusal::UnknownEndpoint(name.into())));
        };
        Some(Ok(to(outlet)))
    }

    fn takes(&self, method: &Method) -> bool {
        match self {
            Way::Disable(_) | Way::Enable(_) | Way::Reload | Way::Test(_) => method == Method::POST,
            Way::Config | Way::Endpoint(_) | Way::Endpoints | Way::Metrics => matches!(*method, Method::GET | Method::HEAD),
        }
    }

    fn methods(&self) -> &'static str {
        if self.takes(&Method::POST) { "POST" } else { "GET, HEAD" }
    }
}

/// People and scrapers are few, and what they say is short; who says nothing is not to keep the others out for long.
const LIMITS: door::Limits = door::Limits {
    header_timeout: Duration::from_secs(5),
    body_timeout: Duration::from_secs(10),
    keep_alive: Duration::from_secs(15),
    max_connections: 64,
};
