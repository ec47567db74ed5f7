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

use super::{ConfigFile, Stop, request, terminal};
use crate::{
    config::{self, Config},
    endpoint::{Auth, Endpoint, Sequence},
    event::{Event, GeneratedId, Head, Kept, Time, is_type},
    ingest::{self, Refusal},
    log,
    pipeline::{self, Attempt, Made, Prepared},
    route::{Choice, Pattern, Route, Table},
    transform::Input,
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
        if data.len() + context.as_ref().map_or(0, String::len) > config.listen.max_body {
            return Err(Refusal::PayloadTooLarge(config.listen.max_body)).context("such an event is refused");
        }
        let now = SystemTime::now();
        let (id, time) = (generated(GeneratedId::event, now)?, log::timestamp(now));
        let unix_seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        let event = Event {
            id: id.as_str(),
            event_type: &self.event_type,
            time: Time { text: &time, unix_seconds },
            context: context.as_deref(),
            data: &data,
            source: &config.listen.source,
            cloud: None,
            trace: None,
        };
        let input = Input::new(event);
        let table = Table::new(config.routes.clone());
        let choices = table.select(&self.event_type, |_, when| when.is_true(&input).unwrap_or_default());
        let chosen = choices.iter().map(|choice| (&*config.endpoints[choice.endpoint], table.route(choice.route)));
        let (prepared, made) = pipeline::prepare(&input, chosen.map(|(endpoint, route)| (endpoint, route.transform.as_ref())))?;
        let mut text = self.summary(&config, &choices, &made);
        text.push_str(&self.routes(&config, &choices, &input));
        for (choice, made) in choices.iter().zip(&made) {
            text.push_str(&delivery(&config, (choice, made), &prepared, &input, self.show_secrets)?);
        }
        terminal::print(text.trim_end());
        Ok(ExitCode::SUCCESS)
    }

    fn summary(&self, config: &Config, choices: &[Choice], made: &[Made]) -> String {
        let name = |(choice, made): (&Choice, &Made)| {
            let endpoint = &config.endpoints[choice.endpoint];
            let but = match made {
                _ if !endpoint.active => " (not active)",
                Made::Body(_) => "",
                Made::Failed(_) => " (a dead letter)",
                Made::Filtered => " (filtered)",
            };
            format!("{}{but}", endpoint.name)
        };
        let names: Vec<String> = choices.iter().zip(made).map(name).collect();
        let mut text = match &names[..] {
            [] => format!("Nobody gets {}.\n", self.event_type),
            names => format!("{} goes to {}.\n", self.event_type, names.join(", ")),
        };
        let asks = |route: &Route| route.active && (route.when.is_some() || route.transform.is_some());
        if self.data.is_none() && config.routes.iter().any(asks) {
            text.push_str("Its data is null; --data FILE gives it another, for `when` and `transform` to look at.\n");
        }
        text.push('\n');
        text
    }

    /// Each route with its verdict, and which of its endpoints an earlier one has taken.
    fn routes(&self, config: &Config, choices: &[Choice], input: &Input<'_>) -> String {
        let mut text = String::new();
        for (n, route) in config.routes.iter().enumerate() {
            let (selects, why) = verdict(route, &self.event_type, input);
            let name = |to: &usize| {
                let earlier = choices.iter().find(|choice| selects && choice.endpoint == *to && choice.route < n);
                let earlier = earlier.map(|earlier| format!(" (already by {})", named(config, earlier.route)));
                format!("{}{}", config.endpoints[*to].name, earlier.unwrap_or_default())
            };
            let names: Vec<String> = route.to.iter().map(name).collect();
            let verdict = if selects { terminal::good("selects it") } else { terminal::bad("does not") };
            let _ = writeln!(text, "{}{} {verdict}: {why} -> {}", named(config, n), line(config, n), names.join(", "));
        }
        text
    }
}

/// What becomes of the event for one endpoint: the request, where there is one.
fn delivery(
    config: &Config,
    (choice, made): (&Choice, &Made),
    prepared: &Prepared,
    input: &Input<'_>,
    show_secrets: bool,
) -> anyhow::Result<String> {
    let (endpoint, route) = (&*config.endpoints[choice.endpoint], &config.routes[choice.route]);
    let by = named(config, choice.route);
    let transform = route.transform.as_ref().map(|transform| terminal::in_line(transform.source()));
    let transform = transform.map(|transform| format!(", transformed: {transform}")).unwrap_or_default();
    let mut text = format!("\n{} (by {by}{transform})\n", endpoint.name);
    if !endpoint.active {
        text.push_str("    it is not active, so nothing is sent; if it were:\n");
    }
    text.push_str(&match made {
        Made::Body(body) => {
            let request = request(endpoint, &prepared.event, &prepared.bodies[*body as usize], show_secrets)?;
            way(endpoint, input) + &request
        }
        Made::Failed(error) => {
            let error = terminal::in_line(&error.to_string());
            format!("    the transform fails, so it becomes a dead letter: {error}\n")
        }
        Made::Filtered => "    the transform gives nothing, so nothing is sent\n".to_owned(),
    });
    Ok(text)
}

/// What an endpoint does besides sending this request at once by itself.
fn way(endpoint: &Endpoint, input: &Input<'_>) -> String {
    let mut text = String::new();
    let mut note = |line: String| text.push_str(&terminal::indented(&line));
    match &endpoint.order {
        Sequence::Fifo => note("after those before it (order = \"fifo\")".to_owned()),
        Sequence::Keyed(key) => {
            let value = key.value(input).ok().flatten().unwrap_or_else(|| "null".to_owned());
            let (key, value) = (terminal::in_line(key.source()), terminal::in_line(&value));
            note(format!("after those before it for which {key} is {value} too"));
        }
        Sequence::Parallel => {}
    }
    if let Some(batch) = endpoint.batch {
        note(format!("in one array with up to {} others; alone it is:", batch.max_events.saturating_sub(1)));
    }
    if let Some(proxy) = &endpoint.target.proxy {
        note(format!("through the proxy {proxy}"));
    }
    text
}

fn request(endpoint: &Endpoint, event: &Kept, body: &pipeline::Body, show_secrets: bool) -> anyhow::Result<String> {
    let now = SystemTime::now();
    let (batch, id) = (pipeline::batch(std::iter::once(body)), generated(GeneratedId::batch, now)?);
    let (event, body) = if endpoint.batch.is_some() { (Head::of_batch(id.as_str()), &batch) } else { (event.head(), body) };
    let attempt = Attempt { event, body, number: 1, now, headers: HeaderMap::new() };
    let mut request: Request<Bytes> = pipeline::render(endpoint, attempt);
    if let Some(Auth::OAuth2(auth)) = &endpoint.auth {
        let fetched = format!("Bearer (a token from {})", auth.target.shown);
        if let Ok(value) = fetched.parse() {
            request.headers_mut().insert(http::header::AUTHORIZATION, value);
        }
    }
    Ok(request::shown(endpoint, &request, show_secrets))
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
    match route.when.as_ref().map(|when| (terminal::in_line(when.source()), when.is_true(input))) {
        None => (true, matched),
        Some((when, Ok(true))) => (true, format!("{matched}, and `when` holds: {when}")),
        Some((when, Ok(false))) => (false, format!("{matched}, but `when` does not hold: {when}")),
        Some((when, Err(error))) => {
            (false, format!("{matched}, but `when` fails ({}): {when}", terminal::in_line(&error.to_string())))
        }
    }
}

fn generated(id: impl Fn(u64, &[u8; 10]) -> GeneratedId, now: SystemTime) -> anyhow::Result<GeneratedId> {
    let mut random = [0; 10];
    getrandom::fill(&mut random)?;
    Ok(id(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64, &random))
}

fn named(config: &Config, route: usize) -> String {
    match &config.routes[route].name {
        Some(name) => format!("route {}", terminal::in_line(name)),
        None => format!("routes[{route}]"),
    }
}

/// Where a route stands in the file.
fn line(config: &Config, route: usize) -> String {
    let (line, _) = config.warnings.position(&config.route_spans[route]);
    format!(" (line {line})")
}

/// One JSON value out of a file, as it stands there, if an event may hold it.
fn json(path: &Path) -> anyhow::Result<String> {
    let mut text = Vec::new();
    if path == Path::new("-") {
        io::stdin().read_to_end(&mut text).context("cannot read stdin")?;
    } else {
        text = fs::read(path).with_context(|| format!("cannot read the file {}", path.display()))?;
    }
    let value = ingest::json(&text).with_context(|| format!("{} is not JSON that an event may hold", path.display()))?;
    Ok(value.to_owned())
}
