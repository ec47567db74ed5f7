//! The lanes of all endpoints, and the plans that lead into them.

use std::{collections::HashMap, sync::Arc, time::Instant};

use tokio::task::JoinHandle;

use crate::{
    admin::View,
    config::Config,
    deliver::{Client, Lane, Surroundings},
    door::{self, Guard},
    endpoint::Endpoint,
    ingest::{Dedupe, Limits, Plan},
    log::diagnostics,
    queue::{
        Account, Addressee, Delivery, Handle, Ledger, Letter, Outlet, Parcel, Place,
        pending::{Entry, Leftover},
    },
    retry::Reason,
    route::Table,
};

/// Every lane that is open, by its endpoint's name, and those of endpoints that are gone but still have deliveries.
pub(super) struct Lanes {
    ledger: Arc<Ledger>,
    around: Surroundings<Client>,
    open: HashMap<Arc<str>, OpenLane>,
    retired: Vec<OpenLane>,
    /// What lanes that have ended handed back.
    left: Vec<Leftover>,
}

struct OpenLane {
    outlet: Outlet,
    ended: JoinHandle<Vec<Leftover>>,
}

impl Lanes {
    pub(super) fn new(ledger: Arc<Ledger>, around: Surroundings<Client>) -> Lanes {
        Lanes { ledger, around, open: HashMap::new(), retired: Vec::new(), left: Vec::new() }
    }

    /// The plan that `config`, whose routes are in `table`, asks for. Lanes that it needs and that are missing are opened;
    /// nothing else changes.
    pub(super) async fn plan(&mut self, config: &Config, table: Table) -> Plan {
        self.ledger.resize(config.queue_bytes, config.endpoints.len());
        let mut outlets = Vec::with_capacity(config.endpoints.len());
        for endpoint in &config.endpoints {
            let handle = match self.open.get(&endpoint.name) {
                Some(lane) => lane.outlet.handle.clone(),
                None => self.way_into(endpoint).await,
            };
            outlets.push(Outlet { endpoint: Arc::clone(endpoint), handle });
        }
        let listen = &config.listen;
        Plan {
            table,
            outlets,
            guard: Guard::new(listen.address.tcp(), listen.hosts.clone(), listen.tokens.clone()).with_uids(listen.uids.clone()),
            limits: Limits {
                max_body: listen.max_body,
                max_batch: listen.max_batch,
                door: door::Limits {
                    header_timeout: listen.header_timeout,
                    body_timeout: listen.body_timeout,
                    keep_alive: listen.keep_alive,
                    max_connections: listen.max_connections,
                },
            },
            source: Arc::clone(&listen.source),
            log_accepted: config.log_accepted,
            dedupe: Dedupe { ids: listen.dedupe.ids, window: listen.dedupe.window },
        }
    }

    /// The way into the lane of `endpoint`: into the one it had, if that is still there, for two would know nothing of each
    /// other's order and number.
    async fn way_into(&mut self, endpoint: &Arc<Endpoint>) -> Handle {
        let mut lane = None;
        for at in 0..self.retired.len() {
            let outlet = &self.retired[at].outlet;
            // One that does not come back may still have something to end.
            if outlet.endpoint.name == endpoint.name && outlet.handle.reopen().await {
                lane = Some(self.retired.swap_remove(at));
                break;
            }
        }
        let lane = lane.unwrap_or_else(|| {
            let account = Account::open(&self.ledger, endpoint.queue);
            let (handle, ended) = Lane::open(Arc::clone(endpoint), account, self.around.clone());
            OpenLane { outlet: Outlet { endpoint: Arc::clone(endpoint), handle }, ended }
        });
        let handle = lane.outlet.handle.clone();
        self.open.insert(Arc::clone(&endpoint.name), lane);
        handle
    }

    /// Puts the settings of `config`, whose plan is in force, into force in the lanes; those it does not name are retired.
    pub(super) fn settle(&mut self, config: &Config) {
        // One that has failed at its end has left something.
        self.retired.retain(|lane| !lane.ended.is_finished() || lane.outlet.handle.account.held().0 > 0);
        let mut before = std::mem::take(&mut self.open);
        for endpoint in &config.endpoints {
            if let Some(mut lane) = before.remove(&endpoint.name) {
                lane.outlet.endpoint = Arc::clone(endpoint);
                lane.outlet.handle.settle(Arc::clone(endpoint));
                self.open.insert(Arc::clone(&endpoint.name), lane);
            }
        }
        for lane in before.into_values() {
            lane.outlet.handle.retire();
            self.retired.push(lane);
        }
    }

    /// Puts what an earlier process left back on its way.
    pub(super) fn take_up(&mut self, entry: Entry) {
        let Entry { endpoint, attempts, accepted, prepared, failed } = entry;
        let mut share = self.ledger.share(prepared.footprint());
        let lane = self.open.get(&*endpoint);
        let slot = lane.map(|lane| lane.outlet.handle.account.force(prepared.footprint(), &mut share));
        let parcel = Parcel::new(prepared, accepted, share);
        let (reason, error_code) = failed.unwrap_or((Reason::EndpointRemoved, None));
        match (lane, slot) {
            (Some(lane), Some(slot)) if failed.is_none() => lane.outlet.handle.push(Delivery::new(parcel, 0, attempts, slot)),
            (Some(lane), Some(slot)) => {
                let to = Addressee::Known(Arc::clone(&lane.outlet.endpoint));
                self.around.dead_letters.put(Letter { parcel, to, reason, error_code, attempts }, Place::Queue(slot));
            }
            _ => {
                let to = Addressee::Removed(endpoint.into());
                self.around.dead_letters.put(Letter { parcel, to, reason, error_code, attempts }, Place::Earlier);
            }
        }
    }

    /// Lets every lane deliver until `deadline` and then end.
    pub(super) fn drain(&self, deadline: Instant) {
        self.all().for_each(|lane| lane.outlet.handle.drain(deadline));
    }

    /// What the lanes could not deliver, once they have ended. Dropping the future loses nothing: the next goes on from there.
    pub(super) async fn join(&mut self) -> Vec<Leftover> {
        self.retired.extend(self.open.drain().map(|(_, lane)| lane));
        while let Some(lane) = self.retired.last_mut() {
            let Outlet { endpoint, handle } = &lane.outlet;
            match (&mut lane.ended).await {
                Ok(leftovers) => self.left.extend(leftovers),
                Err(error) => diagnostics::error(format_args!("endpoint {}: its lane has failed: {error}", endpoint.name)),
            }
            // What the failure dropped, or one elsewhere on the way to the lane.
            let rescued = handle.account.rescued().into_iter();
            self.left.extend(rescued.map(|delivery| Leftover::Delivery(Arc::clone(endpoint), delivery)));
            self.retired.pop();
        }
        std::mem::take(&mut self.left)
    }

    fn all(&self) -> impl Iterator<Item = &OpenLane> {
        self.open.values().chain(&self.retired)
    }
}

/// What the admin listener shows of a config and its plan.
pub(super) fn view(config: &Config, plan: &Plan) -> View {
    let guard = config.admin.as_ref().map_or_else(
        || Guard::new(None, Vec::new(), Vec::new()),
        |admin| Guard::new(admin.address.tcp(), admin.hosts.clone(), admin.tokens.clone()),
    );
    let shown = config.admin.as_ref().map(|admin| admin.shown.clone()).unwrap_or_default();
    View { outlets: plan.outlets.clone(), guard, source: Arc::clone(&config.listen.source), config: shown }
}

/// Uniform in 0..1, for jitter.
pub(super) fn random() -> f64 {
    // Without randomness deliveries go out all the same, in the middle of the band.
    getrandom::u64().map_or(0.5, |bits| (bits >> 11) as f64 / (1u64 << 53) as f64)
}
