//! The composition root: a config becomes a running sidecar, and ends in good order.
//!
//! [`App::bind`] builds everything that can fail (the state folder, the log, the listener) and takes up what an earlier
//! process left; [`App::run`] runs until its [`Shutdown`] says drain, and then walks the path by ownership: the door
//! closes, the lanes drain to the deadline, what is left goes to the pending file, the log is flushed.
//!
//! **Invariant:** nothing that was acknowledged is lost: each event is delivered, with the dead letters, or pending when
//! `run` returns [`Stopped::Clean`].

mod doors;
mod lanes;
mod shutdown;

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::time::timeout;

pub use self::shutdown::{Shutdown, Signal, Trigger};
use self::{
    doors::{Doors, Room},
    lanes::Lanes,
};
use crate::{
    admin::{Admin, Reload, Requests, View},
    config::{self, Address, Config, Watcher},
    deliver::{Client, OwnListeners, Surroundings},
    door::{Guard, Listener},
    ingest::{Ingest, Plan},
    log::{self, Log, diagnostics, record},
    queue::{DeadLetters, Directory, Ledger, Register, StateError, pending, pending::Leftover},
};

/// A sidecar that is bound and not yet running.
pub struct App {
    core: Core,
    ingest: Bound,
    admin: Option<Bound>,
    requests: Requests,
}

/// A listener, and where it really listens.
struct Bound {
    listener: Listener,
    address: Address,
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
    #[error("the delivery log cannot be opened")]
    Log(#[source] io::Error),
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
        warn(&config);
        let directory = Directory::open(&config.state.directory)?;
        let log = Log::open(config.log.clone()).map_err(Error::Log)?;
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
        let plan = lanes.plan(&config).await;
        let loaded = Reload::Loaded { at: SystemTime::now(), changed: Vec::new() };
        let (admin, requests) = Admin::new(view(&config, &plan), loaded, log.clone(), transport);
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
    /// The same as [`Core::reload`], but the same content again is no reload.
    async fn reload_if_changed(&mut self, doors: &mut Doors, watcher: &mut Watcher) -> Reload {
        if watcher.look() || self.rejected {
            return self.reload(doors, watcher).await;
        }
        Reload::Loaded { at: SystemTime::now(), changed: Vec::new() }
    }

    /// Reads the config again and puts it in force, all of it or nothing; says what came of it.
    async fn reload(&mut self, doors: &mut Doors, watcher: &mut Watcher) -> Reload {
        let path = self.path.clone();
        // A large config takes its time to compile, and deliveries must not wait for it.
        let loaded = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let applied = match loaded {
            Ok(Ok(config)) => self.apply(config, doors).await,
            Ok(Err(problems)) => Err(Error::Config(problems)),
            Err(panic) => Err(Error::Thread(panic.into())),
        };
        self.rejected = applied.is_err();
        let at = SystemTime::now();
        let reload = match applied {
            Ok(changed) => {
                watcher.watch(&self.config.files, self.config.content);
                let names: Vec<&str> = changed.iter().map(String::as_str).collect();
                self.write(&log::Record::Config(record::Config::Loaded { changed: &names }));
                diagnostics::info(format_args!("config reloaded, changed: {}", names.join(", ")));
                Reload::Loaded { at, changed }
            }
            Err(error) => {
                let mut diagnostics = String::from("[]");
                if let Error::Config(problems) = &error {
                    // It may be repaired in another file than the config in force names.
                    watcher.watch(problems.files(), problems.content());
                    diagnostics = serde_json::to_string(&problems.entries()).unwrap_or(diagnostics);
                }
                let error = format!("{:#}", anyhow::Error::new(error));
                self.write(&log::Record::Config(record::Config::Rejected { error: &error }));
                diagnostics::error(format_args!("config not reloaded, the old one stays in force: {error}"));
                Reload::Rejected { at, error, diagnostics: diagnostics.into() }
            }
        };
        self.admin.reloaded(reload.clone());
        reload
    }

    /// Builds everything new before anything old is stopped; says what changed, by name.
    async fn apply(&mut self, config: Config, doors: &mut Doors) -> Result<Vec<String>, Error> {
        let changed = config::difference(&self.config, &config);
        let listener = match config.listen.address == self.config.listen.address {
            true => None,
            false => Some(Bound::ingest(&config.listen).await?),
        };
        let admin_address = |config: &Config| config.admin.as_ref().map(|admin| admin.address.clone());
        let window = match admin_address(&config) == admin_address(&self.config) {
            true => None,
            false => Bound::admin(config.admin.as_ref()).await?,
        };
        // Opened anew by another name, it would be in use by another sidecar: this one.
        let directory = match self.directory.is_also(&config.state.directory) {
            true => None,
            false => Some(Directory::open(&config.state.directory)?),
        };
        if config.log != self.config.log {
            self.log.switch(config.log.clone()).map_err(Error::Log)?;
        }
        if listener.is_none() && config.listen.mode != self.config.listen.mode {
            set_mode(&config.listen);
        }
        warn(&config);
        if let Some(directory) = directory {
            self.directory = directory;
        }
        self.dead_letters.switch(self.directory.dead_letters(), config.state.max_bytes);
        self.register.switch(self.directory.disabled());
        let plan = self.lanes.plan(&config).await;
        self.admin.swap(view(&config, &plan));
        self.ingest.swap(plan);
        self.lanes.settle(&config);
        self.log.retain(|name| config.endpoints.iter().any(|endpoint| *endpoint.name == *name));
        if config.admin.is_none() {
            doors.shut_admin();
        }
        self.open(doors, listener, window);
        self.config = config;
        Ok(changed)
    }

    /// Lets people in where there is a new listener.
    fn open(&self, doors: &mut Doors, ingest: Option<Bound>, admin: Option<Bound>) {
        if let Some(Bound { listener, address }) = ingest {
            doors.open(Room::Ingest(Arc::clone(&self.ingest)), listener);
            diagnostics::info(format_args!("listening on {address}"));
        }
        if let Some(Bound { listener, address }) = admin {
            doors.open(Room::Admin(Arc::clone(&self.admin)), listener);
            diagnostics::info(format_args!("admin listener on {address}"));
        }
    }

    /// Ends in good order. `signal` is what asked for it; a further one skips what may be skipped.
    async fn drain(mut self, signal: Signal, mut shutdown: Shutdown, doors: Doors) -> Stopped {
        self.log(record::Process::Draining);
        let config::Shutdown { grace, linger } = self.config.shutdown;
        diagnostics::info(format_args!("draining for at most {:?}", linger + grace));
        let mut hurried = signal == Signal::Now;
        if !hurried {
            hurried = timeout(linger, shutdown.hurry()).await.is_ok();
        }
        self.admin.close();
        self.ingest.close().await;
        let grace = if hurried { Duration::ZERO } else { grace };
        self.lanes.drain(Instant::now() + grace);
        let mut left = tokio::select! {
            left = self.lanes.join() => left,
            () = shutdown.hurry() => {
                self.lanes.drain(Instant::now());
                self.lanes.join().await
            }
        };
        doors.close().await;
        self.register.write();
        left.extend(self.dead_letters.close().into_iter().map(Leftover::Letter));
        self.keep(&left)
    }

    /// Writes what is left for the next start, and says so for each; then the log's last line.
    fn keep(self, left: &[Leftover]) -> Stopped {
        let written = if left.is_empty() { Ok(()) } else { pending::write(&self.directory, left, SystemTime::now()) };
        let outcome = match &written {
            Ok(()) => record::Outcome::Pending,
            Err(error) => {
                let path = self.directory.pending();
                diagnostics::error(format_args!("{} deliveries are lost: {}: {error}", left.len(), path.display()));
                record::Outcome::Dropped { reason: "shutdown", error_code: None }
            }
        };
        for leftover in left {
            self.write(&log::Record::Delivery(leftover.line(outcome)));
        }
        let count = left.len() as u64;
        let pending = if written.is_ok() { count } else { 0 };
        self.log(record::Process::Stopped { pending });
        let unwritten = self.log.close(Instant::now() + LAST_LINES);
        if unwritten > 0 {
            diagnostics::error(format_args!("{unwritten} lines of the delivery log could not be written"));
        }
        diagnostics::info(format_args!("stopped, deliveries left pending: {pending}"));
        if written.is_ok() { Stopped::Clean } else { Stopped::EventsLost(count) }
    }

    fn log(&self, stage: record::Process<'_>) {
        self.write(&log::Record::Process(stage));
    }

    fn write(&self, record: &log::Record<'_>) {
        self.log.write(SystemTime::now(), record);
    }
}

impl Bound {
    async fn ingest(listen: &config::Listen) -> Result<Bound, Error> {
        Bound::at(&listen.address, listen.mode).await
    }

    async fn admin(admin: Option<&config::Admin>) -> Result<Option<Bound>, Error> {
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

/// What the admin listener shows of a config and its plan.
fn view(config: &Config, plan: &Plan) -> View {
    let guard = config.admin.as_ref().map_or_else(
        || Guard::new(None, Vec::new(), Vec::new()),
        |admin| Guard::new(admin.address.tcp(), admin.hosts.clone(), admin.tokens.clone()),
    );
    let shown = config.admin.as_ref().map(|admin| admin.shown.clone()).unwrap_or_default();
    View { outlets: plan.outlets.clone(), guard, source: Arc::clone(&config.listen.source), config: shown }
}

/// Gives the socket that is open another mode.
fn set_mode(listen: &config::Listen) {
    let Address::Unix(path) = &listen.address else { return };
    if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(listen.mode)) {
        diagnostics::error(format_args!("the mode of {} cannot be changed: {error}", listen.address));
    }
}

fn warn(config: &Config) {
    if !config.warnings.is_empty() {
        diagnostics::warn(format_args!("{}", config.warnings));
    }
}

/// How long the log's last lines may take: a disk that does not answer must not hold the end up.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Of the admin listener's socket: its own user and group.
const ADMIN_MODE: u32 = 0o660;
