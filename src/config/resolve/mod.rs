//! From what was typed to what it means.
//!
//! Comes in: a [`raw::File`], each value right by itself. Goes out: a [`Config`], whose values are right together: defaults
//! applied, secrets looked up, names found, nothing written twice.
//!
//! **Invariant:** a value that is missing here without a problem was left out of the file.

mod credentials;
mod endpoint;
mod expression;
mod listeners;
mod merge;
mod pace;
mod tls;

use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

pub(super) use self::listeners::{resolve_admin, resolve_listen};
use super::{
    Config, Content, Outside, Shutdown, State,
    meaning::{self, Evidence},
    problems::{Code, Problem, Problems},
    raw::{self, At},
    secrets::{Secrets, Text},
    source::Span,
};
use crate::{
    encode::Shape,
    log::{self, Destination},
    route::{Pattern, Route},
    sign::Secret,
    transform::{self, Program},
};

/// Makes where the delivery log goes alone.
pub(super) fn resolve_log(file: &raw::File, path: &Path, mut problems: Problems) -> Result<Destination, Problems> {
    problems.finish(Vec::new());
    if problems.errors() > 0 { Err(problems) } else { Ok(destination(&file.log, path.parent().unwrap_or(Path::new("")))) }
}

fn destination(typed: &raw::Log, directory: &Path) -> Destination {
    match &typed.deliveries {
        Some(path) if path.value != "stdout" => Destination::File(directory.join(&path.value)),
        _ => Destination::Stdout,
    }
}

/// Makes the config, or says all that is wrong, what `raw` found included.
pub(super) fn resolve(file: &raw::File, path: &Path, outside: &Outside, problems: Problems) -> Result<Config, Problems> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut scope = Scope::new(path, outside, problems);
    let listen = listeners::listen(&file.listen, &mut scope);
    let admin = listeners::admin(file, &listen, &mut scope);
    let log = log(&file.log, directory, &mut scope);
    let state = state(&file.state, &mut scope);
    let endpoints: Vec<_> = file
        .endpoints
        .iter()
        .filter_map(|(name, typed)| endpoint::resolve(name, typed, &file.defaults, &mut scope))
        .map(Arc::new)
        .collect();
    let routes = routes(file, &mut scope);
    let Scope { secrets, mut problems, lengths, .. } = scope;
    // What is missing because of an error would seem to be meant.
    if problems.errors() == 0 {
        let evidence = Evidence {
            path,
            file,
            log: &log.destination,
            state: &state,
            endpoints: &endpoints,
            routes: &routes,
            lengths: &lengths,
            outside,
        };
        meaning::warn(&evidence, &mut problems);
    }
    problems.finish(secrets.files.clone());
    if problems.errors() > 0 {
        return Err(problems);
    }
    Ok(Config {
        listen,
        admin,
        log,
        log_accepted: or(&file.log.accepted, false),
        state,
        queue_bytes: bytes(or(&file.queue_bytes, 256 << 20)),
        shutdown: Shutdown {
            grace: or(&file.shutdown.grace, Duration::from_secs(10)),
            linger: or(&file.shutdown.linger, Duration::ZERO),
        },
        endpoints,
        routes: routes.into(),
        route_spans: file.routes.iter().map(|route| route.span.clone()).collect(),
        content: Content::default(),
        files: secrets.files,
        warnings: problems,
    })
}

/// What resolving a value may need, and where it complains.
struct Scope<'a> {
    secrets: Secrets<'a>,
    problems: Problems,
    /// Endpoints with equal shapes share one, and with it their bodies.
    shapes: HashSet<Arc<Shape>>,
    /// The endpoints' names, and where these or the ids stand, by their ids.
    ids: HashMap<String, (String, Span)>,
    /// How many bytes a secret has, by where its place in the file begins.
    lengths: HashMap<usize, usize>,
    /// Made when the first expression asks for it.
    jq: OnceCell<transform::Library>,
    /// Equal expressions share a program, and with it what it makes of an event.
    programs: HashMap<String, Arc<Program>>,
}

impl<'a> Scope<'a> {
    fn new(path: &'a Path, outside: &'a Outside, problems: Problems) -> Scope<'a> {
        let directory = path.parent().unwrap_or(Path::new(""));
        let secrets = Secrets { outside, directory, files: vec![path.to_owned()], revealed: Default::default() };
        Scope {
            secrets,
            problems,
            shapes: HashSet::new(),
            ids: HashMap::new(),
            lengths: HashMap::new(),
            jq: OnceCell::new(),
            programs: HashMap::new(),
        }
    }

    /// What was made, where nothing was wrong.
    fn end<T>(self, made: T) -> Result<T, Problems> {
        let Scope { secrets, mut problems, .. } = self;
        problems.finish(secrets.files);
        if problems.errors() > 0 { Err(problems) } else { Ok(made) }
    }

    fn error(&mut self, code: Code, span: &Span, message: impl Into<String>) {
        self.problems.push(Problem::error(code, span, message));
    }

    /// The text itself, wherever it is.
    fn reveal(&mut self, text: &At<Text>) -> Option<Secret> {
        match self.secrets.reveal(&text.value) {
            Ok(secret) => {
                self.lengths.insert(text.span.start, secret.expose().len());
                Some(secret)
            }
            Err(error) => {
                self.error(Code::Secret, &text.span, error.to_string());
                None
            }
        }
    }

    /// As [`Scope::reveal`], for what should not stand in the file.
    fn secret(&mut self, text: &At<Text>) -> Option<Secret> {
        self.warn_of_literal(text);
        self.reveal(text)
    }

    fn warn_of_literal(&mut self, text: &At<Text>) {
        if let Text::Literal(literal) = &text.value {
            self.problems.push(meaning::literal_text(&text.span, literal));
        }
    }
}

/// What was typed, or the default.
fn or<T: Clone>(typed: &Option<At<T>>, default: T) -> T {
    typed.as_ref().map_or(default, |at| at.value.clone())
}

/// Where it was typed, if it was.
fn place<T>(typed: &Option<At<T>>) -> Option<&Span> {
    typed.as_ref().map(|at| &at.span)
}

fn log(typed: &raw::Log, directory: &Path, scope: &mut Scope<'_>) -> log::Settings {
    let rotate = typed.rotate.as_ref().and_then(|rotate| Some(rotation(rotate.value.as_ref()?, &rotate.span, scope)));
    log::Settings { destination: destination(typed, directory), format: or(&typed.format, log::Format::Plain), rotate }
}

fn rotation(typed: &raw::Rotate, span: &Span, scope: &mut Scope<'_>) -> log::Rotation {
    let rotation = log::Rotation {
        size: or(&typed.size, Some(64 << 20)),
        daily: or(&typed.every, Some(raw::Period::Day)).is_some(),
        keep: or(&typed.keep, Some(8)).map(bytes),
        total: or(&typed.total, Some(1 << 30)),
        gzip: or(&typed.gzip, true),
    };
    if rotation.size.is_none() && !rotation.daily {
        let message = "`rotate` without `size` and without `every` never begins a file";
        scope.problems.push(Problem::error(Code::Conflict, span, message).help("`rotate = false` leaves that to others"));
    }
    rotation
}

fn bytes(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn state(typed: &raw::State, scope: &mut Scope<'_>) -> State {
    let directory = match &typed.directory {
        Some(directory) => directory.value.clone(),
        None => match scope.secrets.variable("STATE_DIRECTORY") {
            // systemd lists every StateDirectory= of the unit.
            Ok(Some(list)) if !list.is_empty() => list.split(':').next().unwrap_or_default().to_owned(),
            Ok(_) => "state".to_owned(),
            Err(error) => {
                scope.problems.push(Problem::whole(Code::BadValue, error.to_string()));
                String::new()
            }
        },
    };
    State { directory: scope.secrets.directory.join(directory), max_bytes: or(&typed.max_bytes, 1 << 30) }
}

fn routes(file: &raw::File, scope: &mut Scope<'_>) -> Vec<Route> {
    let places: HashMap<&str, usize> =
        file.endpoints.iter().enumerate().map(|(place, (name, _))| (&*name.value, place)).collect();
    let mut routes = Vec::with_capacity(file.routes.len());
    for typed in &file.routes {
        let patterns = patterns(typed, scope);
        let mut to = Vec::with_capacity(typed.to.len());
        for name in &typed.to {
            match places.get(&*name.value) {
                Some(place) if to.contains(place) => {}
                Some(place) => to.push(*place),
                None if !file.endpoints_known => {}
                None => scope.problems.push(unknown_endpoint(name, file)),
            }
        }
        routes.push(Route {
            name: typed.name.as_ref().map(|name| name.value.as_str().into()),
            patterns,
            when: typed.when.as_ref().and_then(|when| expression::program("when", when, scope)),
            transform: typed.transform.as_ref().and_then(|transform| expression::program("transform", transform, scope)),
            to,
            active: or(&typed.active, true),
        });
    }
    routes
}

/// The patterns of a route; none but good ones.
fn patterns(route: &raw::Route, scope: &mut Scope<'_>) -> Vec<Pattern> {
    let mut patterns = Vec::with_capacity(route.events.len());
    for typed in &route.events {
        match Pattern::parse(&typed.value) {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                let problem = Problem::error(Code::BadValue, &typed.span, "bad pattern");
                scope.problems.push(problem.label(error.to_string()));
            }
        }
    }
    if !patterns.is_empty() && patterns.len() == route.events.len() && patterns.iter().all(|pattern| pattern.negated) {
        let problem = Problem::error(Code::Conflict, &route.events_span, "a route with nothing but `!` patterns selects nothing");
        scope.problems.push(problem.help("\"**\" is everything: [\"**\", \"!…\"]"));
    }
    patterns
}

fn unknown_endpoint(name: &At<String>, file: &raw::File) -> Problem {
    let message = format!("there is no endpoint `{}`", name.value);
    let problem = Problem::error(Code::UnknownEndpoint, &name.span, message);
    let names = || file.endpoints.iter().map(|(name, _)| &*name.value);
    match raw::nearest(&name.value, names()) {
        Some(near) => problem.label(format!("did you mean \"{near}\"?")),
        None if file.endpoints.is_empty() => problem.help(format!("[endpoints.{}] makes one", name.value.escape_debug())),
        None if file.endpoints.len() == 1 => problem.help(format!("there is only {}", names().collect::<String>())),
        None if file.endpoints.len() <= 12 => problem.help(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
        None => problem,
    }
}
