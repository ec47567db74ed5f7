//! `sidehook explain`: who would get an event, and what exactly.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderMap, Request};
use serde_json::value::RawValue;

use super::{ConfigFile, Stop, request, terminal};
use crate::{
    config::{self, Config},
    endpoint::{Auth, Endpoint},
    event::{Event, GeneratedId, Kept, Time, is_type},
    log,
    pipeline::{self, Attempt, Made},
    route::{Pattern, Route, Table},
    transform::{Input, RunError},
};

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The event's type, e.g. purchase.completed
    #[arg(value_name = "TYPE")]
    event_type: String,
    #[command(flatten)]
    config: ConfigFile,
    /// The event's data, JSON in a file; - is stdin [default: null]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The event's context, JSON in a file
    #[arg(long, value_name = "FILE")]
    context: Option<PathBuf>,
    /// Show secrets as they are
    #[arg(long)]
    show_secrets: bool,
}

impl Explain {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if !is_type(&self.event_type) {
            return Err(Stop::Usage("a type is 1 to 255 of A-Z a-z 0-9 . _ - : /".to_owned()).into());
        }
        let config = config::load(&self.config.path()).map_err(Stop::Config)?;
        let data = self.data.as_deref().map_or(Ok("null".to_owned()), json)?;
        let context = self.context.as_deref().map(json).transpose()?;
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut random = [0; 10];
        getrandom::fill(&mut random)?;
        let id = GeneratedId::event(since.as_millis() as u64, &random);
        let time = log::timestamp(now);
        let event = Event {
            id: id.as_str(),
            event_type: &self.event_type,
            time: Time { text: &time, unix_seconds: since.as_secs() as i64 },
            context: context.as_deref(),
            data: &data,
            source: &config.listen.source,
            cloud: None,
            trace: None,
        };
        let input = Input::new(event);
        let table = Table::new(config.routes.clone());
        let mut text = self.routes(&config, &input);
        text.push_str(&self.requests(&config, &table, &input)?);
        terminal::print(text.trim_end());
        Ok(ExitCode::SUCCESS)
    }

    /// Each route with its verdict.
    fn routes(&self, config: &Config, input: &Input<'_>) -> String {
        let mut text = String::new();
        for (n, route) in config.routes.iter().enumerate() {
            let names: Vec<&str> = route.to.iter().map(|to| &*config.endpoints[*to].name).collect();
            let (selects, why) = verdict(route, &self.event_type, input);
            let verdict = if selects { terminal::good("selects it") } else { terminal::bad("does not") };
            let _ = writeln!(text, "{} {verdict}: {why} -> {}", named(route, n), names.join(", "));
        }
        text
    }

    fn requests(&self, config: &Config, table: &Table, input: &Input<'_>) -> anyhow::Result<String> {
        let choices = table.select(&self.event_type, |_, when| when.is_true(input).unwrap_or_default());
        let chosen =
            || choices.iter().map(|choice| (&*config.endpoints[choice.endpoint], table.route(choice.route).transform.as_ref()));
        let (prepared, made) = pipeline::prepare(input, chosen())?;
        let mut text = String::new();
        if choices.is_empty() {
            text.push_str("\nNobody gets it.\n");
        }
        for ((choice, (endpoint, _)), made) in choices.iter().zip(chosen()).zip(&made) {
            let by = named(table.route(choice.route), choice.route);
            let _ = write!(text, "\n{} (by {by})\n", endpoint.name);
            let told = match made {
                Made::Body(body) => self.request(endpoint, &prepared.event, &prepared.bodies[*body as usize]),
                Made::Failed(error) => format!("    the transform fails, so it becomes a dead letter: {error}\n"),
                Made::Filtered => "    the transform gives nothing, so nothing is sent\n".to_owned(),
            };
            if !endpoint.active {
                text.push_str("    it is not active: nothing is sent but, were it so:\n");
            }
            text.push_str(&told);
        }
        Ok(text)
    }

    fn request(&self, endpoint: &Endpoint, event: &Kept, body: &pipeline::Body) -> String {
        let batch = endpoint.batch.is_some().then(|| pipeline::batch(std::iter::once(body)));
        let body = batch.as_ref().unwrap_or(body);
        let attempt = Attempt { event: event.head(), body, number: 1, now: SystemTime::now(), headers: HeaderMap::new() };
        let mut request: Request<Bytes> = pipeline::render(endpoint, attempt);
        if let Some(Auth::OAuth2(auth)) = &endpoint.auth {
            let fetched = format!("Bearer (a token from {})", auth.target.shown);
            if let Ok(value) = fetched.parse() {
                request.headers_mut().insert(http::header::AUTHORIZATION, value);
            }
        }
        request::shown(endpoint, &request, self.show_secrets)
    }
}

/// Whether a route selects the event, and why.
fn verdict(route: &Route, event_type: &str, input: &Input<'_>) -> (bool, String) {
    if !route.active {
        return (false, "it is not active".to_owned());
    }
    let list = |patterns: &[&Pattern]| patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", ");
    if let Some(pattern) = route.patterns.iter().find(|pattern| pattern.negated && pattern.matches(event_type)) {
        return (false, format!("`{pattern}` takes it away"));
    }
    let wanted: Vec<&Pattern> = route.patterns.iter().filter(|pattern| !pattern.negated).collect();
    let Some(pattern) = wanted.iter().find(|pattern| pattern.matches(event_type)) else {
        return (false, format!("its type matches none of {}", list(&wanted)));
    };
    let matched = format!("`{pattern}` matches");
    match route.when.as_ref().map(|when| (when.source(), when.is_true(input))) {
        None => (true, matched),
        Some((when, Ok(true))) => (true, format!("{matched}, and `when` holds: {when}")),
        Some((when, Ok(false))) => (false, format!("{matched}, but `when` does not hold: {when}")),
        Some((when, Err(error))) => (false, failed(&matched, when, &error)),
    }
}

fn failed(matched: &str, when: &str, error: &RunError) -> String {
    format!("{matched}, but `when` fails ({error}): {when}")
}

fn named(route: &Route, at: usize) -> String {
    match &route.name {
        Some(name) => format!("route {name}"),
        None => format!("routes[{at}]"),
    }
}

/// One JSON value out of a file, as it stands there.
fn json(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin().read_to_string(&mut text).context("cannot read stdin")?;
    } else {
        text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let value: Box<RawValue> = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    Ok(value.get().to_owned())
}
