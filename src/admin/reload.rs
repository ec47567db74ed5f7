//! Reloads: asked for here, done elsewhere, and what came of the last one.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::reply::{Refusal, json};
use crate::{door, log};

/// What came of an attempt to put the config file in force.
#[derive(Clone, Debug)]
pub enum Reload {
    /// It is in force, with what changed by name.
    Loaded { at: SystemTime, changed: Vec<String> },
    /// The one before stays in force.
    Rejected {
        at: SystemTime,
        /// For people, as it stands in the log.
        error: String,
        /// For machines: a JSON array of problems with the file, as `check --format json` has them.
        diagnostics: Box<str>,
    },
}

/// Somebody who wants a reload, and to hear what came of it.
pub type Asked = oneshot::Sender<Reload>;

/// Where requests for reloads come out. Dropping it refuses them.
pub type Requests = mpsc::UnboundedReceiver<Asked>;

pub(super) struct Reloads {
    /// Its length is that of the connections there may be.
    ask: mpsc::UnboundedSender<Asked>,
    history: Mutex<History>,
}

struct History {
    last: Reload,
    succeeded: SystemTime,
}

/// What a scraper hears of it.
pub(super) struct Told {
    pub(super) successful: bool,
    /// When a config was last put in force.
    pub(super) succeeded: SystemTime,
}

impl Reloads {
    pub(super) fn new(loaded: Reload) -> (Reloads, Requests) {
        let (ask, requests) = mpsc::unbounded_channel();
        let history = Mutex::new(History { succeeded: loaded.at(), last: loaded });
        (Reloads { ask, history }, requests)
    }

    pub(super) fn note(&self, reload: Reload) {
        let mut history = self.lock();
        if let Reload::Loaded { at, .. } = reload {
            history.succeeded = at;
        }
        history.last = reload;
    }

    pub(super) fn told(&self) -> Told {
        let history = self.lock();
        Told { successful: matches!(history.last, Reload::Loaded { .. }), succeeded: history.succeeded }
    }

    pub(super) async fn ask(&self) -> Result<Response<Full<Bytes>>, Refusal> {
        let (asked, answer) = oneshot::channel();
        let sent = self.ask.send(asked);
        let reload = if sent.is_ok() { answer.await.ok() } else { None };
        match reload.ok_or(Refusal::Draining)? {
            Reload::Loaded { changed, .. } => Ok(json(&Difference { changed: &changed })),
            Reload::Rejected { error, diagnostics, .. } => Ok(rejected(&error, raw(&diagnostics))),
        }
    }

    /// The config in force, and what came of the last reload.
    pub(super) fn shown(&self, config: &str) -> Response<Full<Bytes>> {
        let history = self.lock();
        let last_reload = match &history.last {
            Reload::Loaded { at, changed } => {
                let changed = Some(&**changed);
                Last { timestamp: log::timestamp(*at), outcome: "loaded", changed, error: None, diagnostics: None }
            }
            Reload::Rejected { at, error, diagnostics } => {
                let (error, diagnostics) = (Some(&**error), raw(diagnostics));
                Last { timestamp: log::timestamp(*at), outcome: "rejected", changed: None, error, diagnostics }
            }
        };
        json(&Shown { last_reload, config: raw(config) })
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reload {
    fn at(&self) -> SystemTime {
        match self {
            Reload::Loaded { at, .. } | Reload::Rejected { at, .. } => *at,
        }
    }
}

#[derive(Serialize)]
struct Difference<'a> {
    changed: &'a [String],
}

#[derive(Serialize)]
struct Shown<'a> {
    last_reload: Last<'a>,
    config: Option<&'a RawValue>,
}

/// In the words of the log's `config` lines.
#[derive(Serialize)]
struct Last<'a> {
    timestamp: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<&'a RawValue>,
}

/// A problem document (RFC 9457) with the `diagnostics` of the file.
fn rejected(detail: &str, diagnostics: Option<&RawValue>) -> Response<Full<Bytes>> {
    #[derive(Serialize)]
    struct Problem<'a> {
        title: &'a str,
        status: u16,
        detail: &'a str,
        code: &'static str,
        diagnostics: Option<&'a RawValue>,
    }
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let title = status.canonical_reason().unwrap_or_default();
    let problem = Problem { title, status: status.as_u16(), detail, code: "config_rejected", diagnostics };
    let mut response = door::with_type("application/problem+json", serde_json::to_vec(&problem).unwrap_or_default());
    *response.status_mut() = status;
    response
}

fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}
