//! The mirror of `[endpoints.NAME]` and `[defaults]`.
//!
//! **Invariant:** what an endpoint leaves out is `None`, so that a default can take its place.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use toml::de::DeValue;

use super::{
    MOST,
    auth::{self, Auth},
    digest::Digests,
    keys,
    pace::{self, Pace},
    reader::{At, Node, Section, in_file_order},
    signature::{self, Signature},
    tls::{self, Tls},
    values::{choice, count, duration, filled, flag, fraction, list, size, some, string, text, time_limit},
};
use crate::{
    config::{
        problems::{Code, Problem, Problems},
        secrets::Text,
    },
    encode,
    endpoint::{Http, Network, WhenFull},
    envelope::Envelope,
    event, retry,
};

#[derive(Clone, Default)]
pub(crate) struct Endpoint {
    /// Whether something was wrong in here: keys may then only seem to be missing.
    pub(crate) broken: bool,
    pub(crate) url: Option<At<Text>>,
    pub(crate) id: Option<At<String>>,
    pub(crate) description: Option<At<String>>,
    pub(crate) method: Option<At<Method>>,
    pub(crate) active: Option<At<bool>>,
    pub(crate) format: Option<At<Format>>,
    pub(crate) envelope: Option<At<Envelope>>,
    pub(crate) content_type: Option<At<HeaderValue>>,
    /// An element name.
    pub(crate) xml_root: Option<At<String>>,
    pub(crate) headers: Vec<Header>,
    pub(crate) timeout: Option<At<Duration>>,
    /// Inclusive ranges of statuses.
    pub(crate) success: Option<At<Vec<(u16, u16)>>>,
    /// `Some(None)` is `"none"`.
    pub(crate) auth: Option<At<Option<Auth>>>,
    pub(crate) signatures: Option<At<Vec<Signature>>>,
    pub(crate) retry: Retry,
    pub(crate) queue: Bounds,
    pub(crate) concurrency: Option<At<u64>>,
    pub(crate) idle_timeout: Option<At<Duration>>,
    pub(crate) trace: Option<At<bool>>,
    pub(crate) network: Option<At<Network>>,
    pub(crate) pace: Pace,
    pub(crate) tls: Tls,
    pub(crate) http: Option<At<Http>>,
    pub(crate) proxy: Option<At<Text>>,
    /// Of all that is typed here, however it is laid out.
    pub(crate) digests: Digests,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Form,
    Json,
    Xml,
}

#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) name: At<HeaderName>,
    pub(crate) value: At<Text>,
}

#[derive(Clone, Default)]
pub(crate) struct Retry {
    pub(crate) attempts: Option<At<u64>>,
    pub(crate) delay: Option<At<Duration>>,
    pub(crate) backoff: Option<At<Backoff>>,
    pub(crate) schedule: Option<At<Vec<At<Duration>>>>,
    pub(crate) max_delay: Option<At<Duration>>,
    pub(crate) jitter: Option<At<f64>>,
    pub(crate) max_age: Option<At<Duration>>,
    pub(crate) on: Option<At<retry::On>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backoff {
    Exponential,
    Fixed,
}

#[derive(Clone, Default)]
pub(crate) struct Bounds {
    pub(crate) events: Option<At<u64>>,
    pub(crate) bytes: Option<At<u64>>,
    pub(crate) when_full: Option<At<WhenFull>>,
}

/// `[defaults]`: any endpoint key but `url`.
pub(super) fn defaults(node: &Node<'_>, problems: &mut Problems) -> Endpoint {
    let before = problems.errors();
    let Some(mut section) = Section::open(node, &keys::ENDPOINT, "defaults".to_owned(), problems) else {
        return Endpoint::default();
    };
    for key in keys::ENDPOINT.keys.iter().filter(|key| key.own) {
        if let Some(node) = section.node(key.name) {
            let problem = Problem::error(Code::Conflict, &node.span, format!("`{}` cannot be a default", key.name));
            section.problems.push(problem.label("every endpoint has its own"));
        }
    }
    let endpoint = settings(&mut section);
    Endpoint { broken: problems.errors() > before, digests: Digests::of(node.value, MERGED), ..endpoint }
}

/// `[endpoints]`, in the file's order.
pub(super) fn all(node: &Node<'_>, problems: &mut Problems) -> Vec<(At<String>, Endpoint)> {
    let Some(table) = node.value.as_table() else {
        let name = node.value.as_array().and_then(|array| array.first()?.get_ref().as_table()?.get("name")?.get_ref().as_str());
        let label = name.map(|name| format!("write [endpoints.{name}]")).unwrap_or_default();
        node.wrong::<()>("a table of endpoints: [endpoints.NAME]", label, problems);
        return Vec::new();
    };
    let mut endpoints = Vec::with_capacity(table.len());
    let mut without_name = false;
    for (key, value) in in_file_order(table) {
        if !value.get_ref().is_table() && keys::ENDPOINT.has(key.get_ref()) {
            let problem = Problem::error(Code::WrongType, &key.span(), "an endpoint without a name");
            if !std::mem::replace(&mut without_name, true) {
                problems.push(problem.label("write [endpoints.NAME] before its keys"));
            }
            continue;
        }
        let name = At { value: key.get_ref().to_string(), span: key.span() };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=64).contains(&name.value.len()) || !name.value.bytes().all(fits) {
            let problem = Problem::error(Code::BadValue, &name.span, "bad name for an endpoint");
            problems.push(problem.label("1 to 64 of A-Z a-z 0-9 _ -"));
        }
        let node = Node::of(key, value);
        let path = format!("endpoints.{}", name.value);
        let before = problems.errors();
        let mut endpoint = Endpoint::default();
        if let Some(mut section) = Section::open(&node, &keys::ENDPOINT, path, problems) {
            let url = section.require("url", text);
            let id = section.read("id", id);
            endpoint = Endpoint { url, id, digests: Digests::of(node.value, MERGED), ..settings(&mut section) };
        }
        endpoint.broken = problems.errors() > before;
        endpoints.push((name, endpoint));
    }
    endpoints
}

fn settings(section: &mut Section<'_, '_>) -> Endpoint {
    Endpoint {
        description: section.read("description", string),
        method: section.read("method", choice(METHODS)),
        active: section.read("active", flag),
        format: section.read("format", choice(FORMATS)),
        envelope: section.read("envelope", choice(ENVELOPES)),
        content_type: section.read("content_type", content_type),
        xml_root: section.section("xml", &keys::XML).and_then(|mut xml| xml.read("root", element_name)),
        headers: section.node("headers").map(|node| headers(&node, section.problems)).unwrap_or_default(),
        timeout: section.read("timeout", time_limit),
        success: section.read("success", success),
        auth: auth::read(section),
        signatures: signature::read(section),
        retry: section.section("retry", &keys::RETRY).map(|mut retry| read_retry(&mut retry)).unwrap_or_default(),
        queue: section.section("queue", &keys::BOUNDS).map(|mut queue| bounds(&mut queue)).unwrap_or_default(),
        concurrency: section.read("concurrency", count(1..=MOST)),
        idle_timeout: section.read("idle_timeout", time_limit),
        trace: section.read("trace", flag),
        network: section.read("network", choice(NETWORKS)),
        pace: pace::read(section),
        tls: tls::read(section),
        http: section.read("http", choice(HTTPS)),
        proxy: section.read("proxy", text),
        ..Endpoint::default()
    }
}

fn id(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let id = filled(node, problems)?;
    if event::is_id(&id) { Some(id) } else { node.bad("1 to 255 visible ASCII characters", problems) }
}

fn content_type(node: &Node<'_>, problems: &mut Problems) -> Option<HeaderValue> {
    let text = filled(node, problems)?;
    let value = HeaderValue::from_str(&text).ok().filter(|_| text.is_ascii() && text.contains('/') && text.trim() == text);
    value.or_else(|| node.bad("write a media type, like \"application/json\"", problems))
}

fn element_name(node: &Node<'_>, problems: &mut Problems) -> Option<String> {
    let name = string(node, problems)?;
    if encode::is_element_name(&name) {
        return Some(name);
    }
    node.bad("no element name: a letter or `_`, then letters, digits, `.`, `_`, `-`, and not `xml` in front", problems)
}

fn headers(node: &Node<'_>, problems: &mut Problems) -> Vec<Header> {
    let Some(table) = node.value.as_table() else {
        node.wrong_type::<()>("a table of headers: { X-Name = \"value\" }", problems);
        return Vec::new();
    };
    let mut headers: Vec<Header> = Vec::with_capacity(table.len());
    for (key, value) in in_file_order(table) {
        let span = key.span();
        let Ok(name) = HeaderName::try_from(&**key.get_ref()) else {
            let problem = Problem::error(Code::BadValue, &span, "bad name for a header");
            problems.push(problem.label("letters, digits and - . _ ~ ! # $ % & ' * + ^ ` |"));
            continue;
        };
        if let Some(earlier) = headers.iter().find(|earlier| earlier.name.value == name) {
            let problem = Problem::error(Code::Duplicate, &span, format!("the header `{name}` is given twice"));
            let problem = problem.help("upper and lower case are the same in header names");
            problems.push(problem.beside(Some(&earlier.name.span), "first here"));
        }
        let node = Node::of(key, value);
        if let Some(value) = text(&node, problems) {
            headers.push(Header { name: At { value: name, span }, value: At { value, span: node.span } });
        }
    }
    headers
}

fn success(node: &Node<'_>, problems: &mut Problems) -> Option<Vec<(u16, u16)>> {
    match node.value {
        DeValue::Array(_) => Some(some(status)(node, problems)?.into_iter().map(|range| range.value).collect()),
        DeValue::Integer(number) => node.bad(format!("write [{number}]"), problems),
        DeValue::String(text) if text.parse::<u16>().is_ok() => node.bad(format!("write [{text}]"), problems),
        _ => Some(vec![status(node, problems)?]),
    }
}

fn status(node: &Node<'_>, problems: &mut Problems) -> Option<(u16, u16)> {
    match node.value {
        DeValue::Integer(_) => count(200..=599)(node, problems).map(|status| (status as u16, status as u16)),
        DeValue::String(text) => match &**text {
            word if let Some((_, range)) = STATUSES.iter().find(|(status, _)| *status == word) => Some(*range),
            text if text.parse::<u16>().is_ok() => node.bad(format!("write {text}, without quotes"), problems),
            "2XX" | "3XX" | "4XX" | "5XX" => node.bad(format!("write \"{}\"", text.to_lowercase()), problems),
            _ => node.bad("write a status like 200, or \"2xx\"", problems),
        },
        _ => node.wrong_type("a status like 200, or \"2xx\"", problems),
    }
}

fn read_retry(section: &mut Section<'_, '_>) -> Retry {
    let retry = Retry {
        attempts: section.read("attempts", count(1..=100)),
        delay: section.read("delay", duration),
        backoff: section.read("backoff", choice(BACKOFFS)),
        schedule: section.read("schedule", list(duration)),
        max_delay: section.read("max_delay", duration),
        jitter: section.read("jitter", fraction),
        max_age: section.read("max_age", time_limit),
        on: section.read("on", choice(ONS)),
    };
    if let Some(schedule) = retry.schedule.as_ref().filter(|schedule| schedule.value.len() > 99) {
        let problem = Problem::error(Code::BadValue, &schedule.span, "bad value for `schedule`");
        section.problems.push(problem.label("at most 99 waits, for 100 attempts"));
    }
    for key in ["attempts", "delay", "backoff"] {
        if let Some(node) = section.node(key).filter(|_| section.has("schedule")) {
            let message = format!("`{key}` beside `schedule`");
            let problem = Problem::error(Code::Conflict, &node.span, message);
            let problem = problem.help("a schedule says how many attempts there are, and how far apart");
            let schedule = section.node("schedule").map(|node| node.span);
            section.problems.push(problem.beside(schedule.as_ref(), "the schedule"));
        }
    }
    retry
}

fn bounds(section: &mut Section<'_, '_>) -> Bounds {
    Bounds {
        events: section.read("events", count(1..=MOST)),
        bytes: section.read("bytes", size),
        when_full: section.read("when_full", choice(WHEN_FULL)),
    }
}

/// Tables of which a default gives the keys that an endpoint's own leaves out.
const MERGED: &[&str] = &["headers", "queue", "retry", "tls"];

pub(super) const BACKOFFS: &[(&str, Backoff)] = &[("fixed", Backoff::Fixed), ("exponential", Backoff::Exponential)];
pub(super) const ENVELOPES: &[(&str, Envelope)] = &[
    ("none", Envelope::None),
    ("event", Envelope::Event),
    ("standard", Envelope::Standard),
    ("md5", Envelope::Md5),
    ("cloudevents", Envelope::CloudEvents),
    ("cloudevents-binary", Envelope::CloudEventsBinary),
];
pub(super) const FORMATS: &[(&str, Format)] = &[("json", Format::Json), ("xml", Format::Xml), ("form", Format::Form)];
pub(super) const HTTPS: &[(&str, Http)] = &[("auto", Http::Auto), ("1.1", Http::One), ("2", Http::Two)];
pub(super) const METHODS: &[(&str, Method)] = &[("POST", Method::POST), ("PUT", Method::PUT)];
pub(super) const NETWORKS: &[(&str, Network)] = &[("any", Network::Any), ("public", Network::Public)];
pub(super) const ONS: &[(&str, retry::On)] = &[("transient", retry::On::Transient), ("any", retry::On::Any)];
pub(super) const STATUSES: &[(&str, (u16, u16))] =
    &[("2xx", (200, 299)), ("3xx", (300, 399)), ("4xx", (400, 499)), ("5xx", (500, 599))];
pub(super) const WHEN_FULL: &[(&str, WhenFull)] =
    &[("dead_letter", WhenFull::DeadLetter), ("reject", WhenFull::Reject), ("drop_oldest", WhenFull::DropOldest)];
