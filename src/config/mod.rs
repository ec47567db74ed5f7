//! The file: what the user typed becomes types that cannot be wrong.
//!
//! ```text
//!  TOML ─► raw ─────────────► resolve ───────────────────────────► Config
//!          values with spans  defaults, secrets, endpoints, routes    │
//!             └──────────┬─────────┘                           meaning
//!                     Problems (all of them, with line and column) ◄─┘
//! ```
//!
//! Comes in: the file's text, and the world it refers to (environment, secret files) as an [`Outside`]. Goes out: a
//! [`Config`], of which the plan is made, or [`Problems`]. Reading again is the reload, and [`difference`] says what it
//! changes; only the [`Watcher`] keeps state, what the files held. The [`schema`] for editors is made of `raw`'s keys.
//!
//! **Invariant:** a `Config` needs no further validation, and no secret is in any message.

mod content;
mod difference;
mod disk;
mod meaning;
mod problems;
mod proxy;
mod raw;
mod reload;
mod render;
mod resolve;
mod schema;
mod secrets;
mod source;
mod template;
mod tls;
mod units;

#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, path::Path, path::PathBuf, sync::Arc, time::Duration};

use self::content::Reading;
pub use self::{
    content::Content,
    difference::difference,
    problems::{Code, Coloured, Entry, Problem, Problems, Range, Severity},
    reload::Watcher,
    schema::schema,
    secrets::{AskFolder, Error as SecretError, Look, LookAt, Outside, ReadFile, ReadMounts, ReadVariable, typed_secret},
    source::Span,
    units::{Error as UnitError, duration},
};
use crate::{endpoint::Endpoint, log, route::Route, sign::Secret};

/// What the sidecar is to do.
pub struct Config {
    pub listen: Listen,
    pub admin: Option<Admin>,
    pub log: log::Settings,
    /// A line is in the log before an event is answered as accepted.
    pub log_accepted: bool,
    pub state: State,
    /// Of all endpoints' queues together.
    pub queue_bytes: usize,
    pub shutdown: Shutdown,
    /// In the file's order.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// In the file's order.
    pub routes: Arc<[Route]>,
    /// Where each route stands in the file.
    pub route_spans: Vec<Span>,
    /// The config file and every secret file: a change of one of them is a reason to read again.
    pub files: Vec<PathBuf>,
    /// What `files` held when they were read.
    pub content: Content,
    /// What is allowed and yet likely a mistake.
    pub warnings: Problems,
}

/// Where events come in, and within which limits.
#[derive(Debug, PartialEq)]
pub struct Listen {
    pub address: Address,
    /// Of a Unix socket's file.
    pub mode: u32,
    /// Who may connect to a Unix socket; empty: whom its mode lets in.
    pub uids: Vec<u32>,
    /// Of one request, in bytes.
    pub max_body: usize,
    /// Events in one request.
    pub max_batch: usize,
    /// From accept, or a head's first byte, to the head's end.
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    /// Idle between two requests.
    pub keep_alive: Duration,
    pub max_connections: usize,
    /// None, or the one or two that are accepted.
    pub tokens: Vec<Secret>,
    /// Further hosts to answer to, in lower case, without port and brackets.
    pub hosts: Vec<String>,
    /// The CloudEvents source of events that come without one.
    pub source: Arc<str>,
    pub dedupe: Dedupe,
}

/// Where people and machines look in.
#[derive(Debug, PartialEq)]
pub struct Admin {
    pub address: Address,
    /// None, or the one or two that are accepted.
    pub tokens: Vec<Secret>,
    /// Further hosts to answer to, as [`Listen::hosts`].
    pub hosts: Vec<String>,
    /// The config file as JSON, its secrets as `***`.
    pub shown: Box<str>,
}

/// Which ids are remembered: so many, each for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dedupe {
    /// 0 is off.
    pub ids: usize,
    pub window: Duration,
}

/// A place to listen at. Shown as it is written in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// The same, with a socket's path seen from `directory`.
    fn within(self, directory: &Path) -> Address {
        match self {
            Address::Unix(path) => Address::Unix(directory.join(path)),
            Address::Tcp(_) => self,
        }
    }

    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub directory: PathBuf,
    /// Of dead letters.
    pub max_bytes: u64,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// For delivering what is queued.
    pub grace: Duration,
    /// For going on accepting.
    pub linger: Duration,
}

/// Reads a config file, with this process' environment and the secret files it names.
///
/// # Errors
/// [`Problems`], with one that has no span where the file itself cannot be read, or is empty.
pub fn load(path: &Path) -> Result<Config, Problems> {
    let reading = Reading::default();
    let read = text(path, &reading).and_then(|source| parse(&source, path, &reading.outside()));
    read.map(|config| Config { content: reading.content(&config.files), ..config }).map_err(|problems| {
        let content = reading.content(problems.files());
        problems.of_content(content)
    })
}

/// Reads where a config's sidecar listens. Secrets of endpoints are not looked up: only the sidecar may have them.
///
/// # Errors
/// As [`load`], but for what is wrong between values elsewhere in the file.
pub fn load_listen(path: &Path) -> Result<Listen, Problems> {
    let (file, problems) = raw_file(path)?;
    resolve::resolve_listen(&file, path, &Outside::process(), problems)
}

/// Reads where a config's sidecar lets people look in, if anywhere.
///
/// # Errors
/// As [`load_listen`].
pub fn load_admin(path: &Path) -> Result<Option<Admin>, Problems> {
    let (file, problems) = raw_file(path)?;
    resolve::resolve_admin(&file, path, &Outside::process(), problems)
}

/// Reads where a config's delivery log goes.
///
/// # Errors
/// As [`load_listen`].
pub fn load_log(path: &Path) -> Result<log::Destination, Problems> {
    let (file, problems) = raw_file(path)?;
    resolve::resolve_log(&file, path, problems)
}

fn raw_file(path: &Path) -> Result<(raw::File, Problems), Problems> {
    let source = text(path, &Reading::default())?;
    let mut problems = Problems::of(path, &source);
    let file = raw::read(&source, &mut problems);
    Ok((file, problems))
}

fn text(path: &Path, reading: &Reading) -> Result<String, Problems> {
    let unreadable = |code, message: String, help: Option<&str>| {
        let mut problems = Problems::of(path, "");
        problems.push(Problem { help: help.map(str::to_owned), ..Problem::whole(code, message) });
        problems.finish(vec![path.to_owned()]);
        problems
    };
    let bytes = reading.file(path).map_err(|error| {
        let help = path.is_dir().then_some("it is a folder: Docker makes one where the file to mount is missing");
        unreadable(Code::Unreadable, format!("cannot read the config file: {error}"), help)
    })?;
    let source = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
        let utf_16 = [[0xff, 0xfe], [0xfe, 0xff]].iter().any(|mark| error.as_bytes().starts_with(mark));
        let help = if utf_16 { "it is UTF-16: save it as UTF-8" } else { "save it as UTF-8" };
        unreadable(Code::Syntax, format!("the config file is not UTF-8: see line {line}"), Some(help))
    })?;
    if source.trim().is_empty() {
        return Err(unreadable(Code::Empty, "the config file is empty".to_owned(), None));
    }
    Ok(source)
}

/// Reads a config from text; `path` is what relative paths and messages refer to.
///
/// # Errors
/// [`Problems`], with every error that could be told from the text.
pub fn parse(source: &str, path: &Path, outside: &Outside) -> Result<Config, Problems> {
    let mut problems = Problems::of(path, source);
    let file = raw::read(source, &mut problems);
    resolve::resolve(&file, path, outside, problems)
}
