//! The composition root: a config becomes a running sidecar, and ends in good order.
//!
//! [`App::bind`] builds everything that can fail (the state folder, the log, the listener) and takes up what an earlier
//! process left; [`App::run`] runs until its [`Shutdown`] says drain, and then walks the path by ownership: the door
//! closes, the lanes drain to the deadline, what is left goes to the pending file, the log is flushed.
//!
//! **Invariant:** nothing that was acknowledged is lost: each event is delivered, with the dead letters, or pending when
//! `run` returns [`Stopped::Clean`].

mod doors;
mod drain;
mod lanes;
mod reload;
mod shutdown;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

pub use self::shutdown::{Shutdown, Signal, Trigger};
use self::{
    doors::{Bound, Doors},
    lanes::Lanes,
};
use crate::{
    admin::{Admin, Reload, Requests},
    config::{self, Address, Config, Watcher},
    deliver::{Client, OwnListeners, Surroundings},
    ingest::Ingest,
    log::{self, Destination, Log, diagnostics, record},
    queue::{DeadLetters, Directory, Ledger, Register, StateError, pending},
    route::Table,
};

/// A sidecar that is bound and not yet running.
pub struct App {
    core: Core,
    ingest: Bound,
    admin: Option<Bound>,
    requests: Requests,
}

/// A sidecar but for its listener.
struct Core {
    path: PathBuf,
    config: Config,
    /// Whether the file as it is now was refused.
    rejected: bool,
    directory: Directory,
    log: Log,
    dead_letters: Arc<DeadLetters>,
    register: Arc<Register>,
    lanes: Lanes,
    ingest: Arc<Ingest>,
    admin: Arc<Admin>,
    own: Arc<OwnListeners>,
}

/// Why there is no sidecar.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {0}")]
    Address(Address, #[source] io::Error),
    #[error("{0}")]
    Config(config::Problems),
    #[error("cannot open the delivery log {0}")]
    Log(Destination, #[source] io::Error),
    #[error("what an earlier sidecar left pending cannot be taken up")]
    Pending(#[source] io::Error),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
}

/// How a sidecar ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    Clean,
    /// So many deliveries could be neither made nor kept; each is named in the log.
    EventsLost(u64),
}

impl App {
    /// Reads the config at `path` and builds the sidecar it asks for.
    pub async fn bind(path: &Path) -> Result<App, Error> {
        let config = config::load(path).map_err(Error::Config)?;
        warn(&config, None);
        let directory = Directory::open(&config.state.directory)?;
        let log = Log::open(config.log.clone()).map_err(|error| Error::Log(config.log.destination.clone(), error))?;
        let bound = Bound::ingest(&config.listen).await?;
        let window = Bound::admin(config.admin.as_ref()).await?;
        let dead_letters = DeadLetters::start(directory.dead_letters(), config.state.max_bytes, log.clone());
        let dead_letters = Arc::new(dead_letters.map_err(Error::Thread)?);
        let register = Arc::new(Register::open(directory.disabled()));
        register.retain(|name| config.endpoints.iter().any(|endpoint| *endpoint.name == *name));
        // Before there are lanes: what an earlier process left may lead here.
        let own = Arc::new(OwnListeners::default());
        own.set([Some(&bound), window.as_ref()].into_iter().flatten().filter_map(|bound| bound.address.tcp()).collect());
        let transport = Arc::new(Client::new(Arc::clone(&own)));
        let around = Surroundings {
            transport: Arc::clone(&transport),
            log: log.clone(),
            dead_letters: Arc::clone(&dead_letters),
            register: Arc::clone(&register),
            random: lanes::random,
        };
        let ledger = Ledger::new(config.queue_bytes);
        let mut lanes = Lanes::new(Arc::clone(&ledger), around);
        let plan = lanes.plan(&config, Table::new(Arc::clone(&config.routes))).await;
        let loaded = Reload::Loaded { at: SystemTime::now(), changed: Vec::new() };
        let (admin, requests) = Admin::new(lanes::view(&config, &plan), loaded, log.clone(), transport);
        pending::take_up(&directory, |entry| lanes.take_up(entry)).map_err(Error::Pending)?;
        let ingest = Ingest::new(plan, ledger, Arc::clone(&dead_letters), log.clone());
        let path = path.to_owned();
        let core = Core { path, config, rejected: false, directory, log, dead_letters, register, lanes, ingest, admin, own };
        Ok(App { core, ingest: bound, admin: window, requests })
    }

    /// Where events can be posted over TCP; none where it listens on a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.ingest.address.tcp()
    }

    /// Where people can look in over TCP, if anywhere.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.address.tcp()
    }

    /// Runs until `shutdown` says drain, and drains.
    pub async fn run(self, mut shutdown: Shutdown) -> Stopped {
        let App { mut core, ingest, admin, mut requests } = self;
        core.log(record::Process::Started { address: &ingest.address.to_string() });
        let mut doors = Doors::new(Arc::clone(&core.own));
        core.open(&mut doors, Some(ingest), admin);
        let mut watcher = Watcher::start(&core.config.files, core.config.content);
        let last = loop {
            tokio::select! {
                signal = shutdown.next() => match signal {
                    Signal::Drain | Signal::Now => break signal,
                    Signal::Reload => {
                        core.log.reopen();
                        core.reload_if_changed(&mut doors, &mut watcher).await;
                    }
                },
                Some(asked) = requests.recv() => {
                    let reload = core.reload_if_changed(&mut doors, &mut watcher).await;
                    // Who asked may have gone.
                    let _ = asked.send(reload);
                }
                () = watcher.changed() => drop(core.reload(&mut doors, &mut watcher).await),
            }
        };
        drop(requests);
        core.drain(last, shutdown, doors).await
    }
}

impl Core {
    fn log(&self, stage: record::Process<'_>) {
        self.write(&log::Record::Process(stage));
    }

    fn write(&self, record: &log::Record<'_>) {
        self.log.write(SystemTime::now(), record);
    }
}

/// Says what `config` warns of, unless all of that was said of the one before.
fn warn(config: &Config, before: Option<&Config>) {
    let alike = |warnings: &config::Problems, warning: &config::Problem| {
        warnings.iter().filter(|other| (other.code, &other.message) == (warning.code, &warning.message)).count()
    };
    let said = |warning: &config::Problem| before.map_or(0, |before| alike(&before.warnings, warning));
    if config.warnings.iter().any(|warning| alike(&config.warnings, warning) > said(warning)) {
        diagnostics::warn(format_args!("{}", config.warnings));
    }
}
