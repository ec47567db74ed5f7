//! The mirror of the config file: what was typed, each value with its place.
//!
//! Comes in: the text of the file. Goes out: a [`File`], whose values have the right types and units, but may miss,
//! contradict each other, or name what does not exist: that is for `resolve` to judge.
//!
//! **Invariant:** every key of the file was either read or reported, and reading goes on after a problem.

mod address;
mod auth;
mod digest;
mod endpoint;
mod hidden;
pub(super) mod keys;
mod log;
mod meant;
mod pace;
mod reader;
mod shown;
mod signature;
mod syntax;
mod tls;
mod values;

use std::time::Duration;

use toml::{Spanned, de::DeTable};

use self::{
    address::{address, host, mode, token},
    keys::Home,
    reader::{Node, Section},
    values::{count, duration, filled, flag, list, path, size, some, string, time_limit},
};
pub(super) use self::{
    auth::Auth,
    digest::Digests,
    endpoint::{Backoff, Bounds, Endpoint, Format, Header, Retry},
    keys::nearest,
    log::{Log, Period, Rotate},
    pace::{Order, Pace},
    reader::At,
    signature::Signature,
    tls::Tls,
};
use super::{
    Address,
    problems::{Code, Problems},
    secrets::Text,
    source::Span,
};
use crate::event::cloud;

#[derive(Default)]
pub(super) struct File {
    pub(super) listen: Listen,
    pub(super) admin: Option<Admin>,
    pub(super) log: Log,
    pub(super) state: State,
    pub(super) queue_bytes: Option<At<u64>>,
    pub(super) shutdown: Shutdown,
    pub(super) defaults: Endpoint,
    /// In the file's order, by name.
    pub(super) endpoints: Vec<(At<String>, Endpoint)>,
    /// Whether they are all of those that the file means: a table of them may have another name by mistake.
    pub(super) endpoints_known: bool,
    pub(super) routes: Vec<Route>,
}

#[derive(Default)]
pub(super) struct Listen {
    /// Of a Unix socket as it was written: relative to the config file.
    pub(super) address: Option<At<Address>>,
    pub(super) mode: Option<At<u32>>,
    pub(super) uids: Option<At<Vec<At<u64>>>>,
    pub(super) max_body: Option<At<u64>>,
    pub(super) max_batch: Option<At<u64>>,
    pub(super) header_timeout: Option<At<Duration>>,
    pub(super) body_timeout: Option<At<Duration>>,
    pub(super) keep_alive: Option<At<Duration>>,
    pub(super) max_connections: Option<At<u64>>,
    pub(super) token: Option<At<Vec<At<Text>>>>,
    pub(super) hosts: Option<At<Vec<At<String>>>>,
    /// A URI reference.
    pub(super) source: Option<At<String>>,
    pub(super) dedupe: Dedupe,
}

pub(super) struct Admin {
    pub(super) address: Option<At<Address>>,
    pub(super) token: Option<At<Vec<At<Text>>>>,
    pub(super) hosts: Option<At<Vec<At<String>>>>,
    /// The whole file as JSON, its secrets hidden.
    pub(super) shown: Box<str>,
}

#[derive(Default)]
pub(super) struct Dedupe {
    pub(super) ids: Option<At<u64>>,
    pub(super) window: Option<At<Duration>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) directory: Option<At<String>>,
    pub(super) max_bytes: Option<At<u64>>,
}

#[derive(Default)]
pub(super) struct Shutdown {
    pub(super) grace: Option<At<Duration>>,
    pub(super) linger: Option<At<Duration>>,
}

pub(super) struct Route {
    pub(super) span: Span,
    pub(super) name: Option<At<String>>,
    /// jq, as is `transform`.
    pub(super) when: Option<At<String>>,
    pub(super) transform: Option<At<String>>,
    pub(super) events: Vec<At<String>>,
    /// All of `events`.
    pub(super) events_span: Span,
    pub(super) to: Vec<At<String>>,
    pub(super) active: Option<At<bool>>,
}

/// Reads the whole file. Where it is no TOML, only that is reported, and what certainly does not follow from it.
pub(super) fn read(source: &str, problems: &mut Problems) -> File {
    let (tree, errors) = DeTable::parse_recoverable(source);
    hidden::hide_secrets(source, tree.get_ref(), problems);
    problems.seal();
    if errors.is_empty() {
        return file(&tree, problems);
    }
    let (mut broken, mut doubled) = (Vec::new(), 0..0);
    for error in errors.iter().take(MOST_ERRORS) {
        let span = error.span().unwrap_or(0..0);
        if doubled.contains(&span.start) && syntax::is_duplicate(error) {
            continue;
        }
        doubled = syntax::doubled(source, error).unwrap_or(doubled);
        let line = problems.position(&span).0;
        // One mistake often makes the parser stumble several times.
        if broken.last() != Some(&line) {
            hidden::hide_in_broken_line(source, span.start, problems);
            problems.seal();
            let problem = syntax::problem(source, error, problems);
            let places = problem.span.iter().chain(problem.beside.iter().map(|(span, _)| span));
            places.for_each(|span| hidden::hide_in_broken_line(source, span.start, problems));
            problems.seal();
            problems.push(problem);
            broken.push(line);
        }
        if syntax::swallows(source, error) {
            break;
        }
    }
    if errors.iter().all(syntax::is_confined) {
        file(&tree, problems);
        problems.forget(|problem, problems| {
            let in_broken_line = problem.span.as_ref().is_some_and(|span| broken.contains(&problems.position(span).0));
            problem.code == Code::MissingKey || (problem.code != Code::Syntax && in_broken_line)
        });
    }
    File::default()
}

fn file(tree: &Spanned<DeTable<'_>>, problems: &mut Problems) -> File {
    let mut top = Section::of(tree.get_ref(), tree.span(), (&keys::TOP, String::new()), problems);
    let admin = top.section("admin", &keys::ADMIN).map(|mut section| Admin {
        address: section.require("address", address),
        token: token(&mut section),
        hosts: section.read("hosts", list(host)),
        shown: shown::shown(tree.get_ref(), section.problems),
    });
    let endpoints = top.node("endpoints");
    let misnamed = || tree.get_ref().keys().any(|key| meant_endpoints(key.get_ref()));
    File {
        admin,
        endpoints_known: endpoints.as_ref().map_or_else(|| !misnamed(), |node| node.value.is_table() && !misnamed()),
        listen: table(&mut top, "listen", &keys::LISTEN, listen),
        log: table(&mut top, "log", &keys::LOG, log::read),
        state: table(&mut top, "state", &keys::STATE, |section| State {
            directory: section.read("directory", path),
            max_bytes: section.read("max_bytes", size),
        }),
        queue_bytes: table(&mut top, "queue", &keys::QUEUE, |section| section.read("bytes", size)),
        shutdown: table(&mut top, "shutdown", &keys::SHUTDOWN, |section| Shutdown {
            grace: section.read("grace", duration),
            linger: section.read("linger", duration),
        }),
        defaults: top.node("defaults").map(|node| endpoint::defaults(&node, top.problems)).unwrap_or_default(),
        endpoints: endpoints.map(|node| endpoint::all(&node, top.problems)).unwrap_or_default(),
        routes: top.node("routes").map(|node| routes(&node, top.problems)).unwrap_or_default(),
    }
}

/// Whether a top-level key that does not exist stands for `endpoints`.
fn meant_endpoints(key: &str) -> bool {
    let elsewhere = meant::elsewhere(key, "").is_some_and(|(here, _)| here == "endpoints");
    !keys::TOP.has(key) && (elsewhere || nearest(key, keys::TOP.names()) == Some("endpoints"))
}

fn table<T: Default>(
    top: &mut Section<'_, '_>,
    key: &'static str,
    home: &'static Home,
    read: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> T {
    top.section(key, home).map(|mut section| read(&mut section)).unwrap_or_default()
}

fn listen(section: &mut Section<'_, '_>) -> Listen {
    Listen {
        address: section.read("address", address),
        mode: section.read("mode", mode),
        uids: section.read("uids", some(count(0..=MOST))),
        max_body: section.read("max_body", size),
        max_batch: section.read("max_batch", count(1..=MOST)),
        header_timeout: section.read("header_timeout", time_limit),
        body_timeout: section.read("body_timeout", time_limit),
        keep_alive: section.read("keep_alive", time_limit),
        max_connections: section.read("max_connections", count(1..=MOST)),
        token: token(section),
        hosts: section.read("hosts", list(host)),
        source: section.read("source", uri_reference),
        dedupe: dedupe(section),
    }
}

fn dedupe(section: &mut Section<'_, '_>) -> Dedupe {
    let Some(mut dedupe) = section.section("dedupe", &keys::DEDUPE) else { return Dedupe::default() };
    Dedupe { ids: dedupe.read("ids", count(0..=MOST)), window: dedupe.read("window", time_limit) }
}

fn uri_reference(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let text = filled(node, problems)?;
    if cloud::is_uri_reference(&text) { Some(text) } else { node.bad("write a URI reference, like \"/shop\"", problems) }
}

fn routes(node: &Node<'_>, problems: &mut Problems) -> Vec<Route> {
    let Some(array) = node.value.as_array() else {
        let label = if node.value.is_table() { "write each route as [[routes]]" } else { "" };
        node.wrong::<()>("a list of tables: [[routes]]", label.to_owned(), problems);
        return Vec::new();
    };
    array.iter().filter_map(|value| route(&Node::element("routes", value), problems)).collect()
}

fn route(node: &Node<'_>, problems: &mut Problems) -> Option<Route> {
    let mut section = Section::open(node, &keys::ROUTE, "routes".to_owned(), problems)?;
    let events = section.require("events", some(string));
    let events_span = events.as_ref().map_or_else(|| section.span.clone(), |events| events.span.clone());
    Some(Route {
        span: node.span.clone(),
        name: section.read("name", filled),
        when: section.read("when", filled),
        transform: section.read("transform", filled),
        events: events.map(|events| events.value).unwrap_or_default(),
        events_span,
        to: section.require("to", some(filled)).map(|to| to.value).unwrap_or_default(),
        active: section.read("active", flag),
    })
}

/// Of the parser's: each may take a look at the whole file.
const MOST_ERRORS: usize = 100;
/// More is no limit that a machine could reach.
const MOST: u64 = u32::MAX as u64;
