//! The glossary: every kind of line the delivery log has, and the words it uses.
//!
//! In come plain values from whoever saw something happen; a [`Record`] says what happened, in types that cannot hold a
//! combination that means nothing. Its words (`kind`, `outcome`) are those of the interface, the counters and the metrics.
//!
//! Levels: `info` is how things should go (also `skipped` and `pending`: somebody asked for that); `warn` is trouble that
//! sidehook handles itself (`retrying`, `paused`); `error` wants a person, because an event or line is out of the normal
//! way (`failed`, `dead_lettered`, `dropped`, `log_lost`), or a receiver or a config is (`disabled`, `rejected`).
//!
//! **Invariant:** pure, and nothing in a record is a secret: its maker masks `url` and `response`.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// One line of the delivery log, but for the time at which it is written.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    Config(Config<'a>),
    Delivery(Delivery<'a>),
    Endpoint(Endpoint<'a>),
    Event(Event<'a>),
    Process(Process<'a>),
}

/// What became of an attempt to read the config file.
#[derive(Clone, Copy, Debug)]
pub enum Config<'a> {
    /// The names of what changed, say `endpoints.billing`.
    Loaded {
        changed: &'a [&'a str],
    },
    Rejected {
        error: &'a str,
    },
}

/// One attempt, or the end, of one event's way to one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    pub outcome: Outcome<'a>,
    pub event_id: &'a str,
    pub event_type: &'a str,
    pub endpoint: &'a str,
    /// `None` where the config has no such endpoint any more.
    pub receiver: Option<Receiver<'a>>,
    /// Attempts so far, this one included; left out of the line while there was none.
    pub attempt: u32,
    /// The body's length; `None` where none was made.
    pub bytes: Option<usize>,
    pub trace_id: Option<&'a str>,
    pub batch: Option<Batch<'a>>,
}

/// The batch an event was sent in.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub id: &'a str,
    /// Of the lines about one request the first stands for it: where requests are counted, the others are not.
    pub first: bool,
}

/// What the config says of an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Receiver<'a> {
    pub id: &'a str,
    pub method: &'a str,
    /// Without userinfo, query values masked.
    pub url: &'a str,
    pub max_attempts: u32,
}

#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// It is on disk, for `replay`.
    DeadLettered { reason: &'a str, error_code: Option<&'a str> },
    /// The receiver has it.
    Delivered { http_status: u16, duration: Duration },
    /// It is gone: pushed out of a full queue, or not written at shutdown.
    Dropped { reason: &'a str, error_code: Option<&'a str> },
    /// The last attempt failed, or there could be none; `dead_lettered` follows.
    Failed { failure: Failure<'a> },
    /// Its transform gave nothing to send.
    Filtered,
    /// Left over at shutdown, written for the next start.
    Pending,
    /// An attempt failed, and there will be another.
    Retrying { failure: Failure<'a>, next_attempt: SystemTime },
    /// The endpoint is not active.
    Skipped,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a> {
    /// For people.
    pub error: &'a str,
    /// For machines: the interface's list.
    pub error_code: &'a str,
    /// `transient` or `permanent`.
    pub class: &'static str,
    /// Of the answer, if there was one.
    pub http_status: Option<u16>,
    /// Of the attempt, if there was one.
    pub duration: Option<Duration>,
    /// The first 256 bytes of the answer's body, as text, secrets masked.
    pub response: Option<&'a str>,
}

/// A change of an endpoint's state.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    pub change: Change<'a>,
    pub endpoint: &'a str,
    pub endpoint_id: &'a str,
}

#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Disabled {
        reason: &'a str,
    },
    Enabled {
        reason: &'a str,
    },
    /// A receiver asked for a rest, or its breaker gives it one.
    Paused {
        next_attempt: SystemTime,
        reason: &'a str,
    },
    Resumed,
}

/// What became of an event as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub fate: Fate<'a>,
    pub event_id: &'a str,
    pub event_type: &'a str,
    pub trace_id: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
pub enum Fate<'a> {
    /// It will be answered as accepted: where `log.accepted` asks for it.
    Accepted { endpoints: &'a [&'a str] },
    /// Its id was accepted before.
    Duplicate,
    /// A route could not say whether it selects it, and does not.
    Filtered { route: &'a str, error: &'a str },
    /// No route selects it.
    Unrouted,
}

/// A stage of sidehook's own life.
#[derive(Clone, Copy, Debug)]
pub enum Process<'a> {
    Draining,
    /// Lines that could not be written since the last line of this kind.
    LogLost {
        count: u64,
    },
    Started {
        /// Where events can be posted.
        address: &'a str,
    },
    /// Deliveries written to the pending file.
    Stopped {
        pending: u64,
    },
}

impl Record<'_> {
    pub fn kind(&self) -> &'static str {
        match self {
            Record::Config(_) => "config",
            Record::Delivery(_) => "delivery",
            Record::Endpoint(_) => "endpoint",
            Record::Event(_) => "event",
            Record::Process(_) => "process",
        }
    }

    pub fn outcome(&self) -> &'static str {
        match self {
            Record::Config(Config::Loaded { .. }) => "loaded",
            Record::Config(Config::Rejected { .. }) => "rejected",
            Record::Delivery(delivery) => delivery.outcome.word(),
            Record::Endpoint(endpoint) => match endpoint.change {
                Change::Disabled { .. } => "disabled",
                Change::Enabled { .. } => "enabled",
                Change::Paused { .. } => "paused",
                Change::Resumed => "resumed",
            },
            Record::Event(Event { fate: Fate::Accepted { .. }, .. }) => "accepted",
            Record::Event(Event { fate: Fate::Duplicate, .. }) => "duplicate",
            Record::Event(Event { fate: Fate::Filtered { .. }, .. }) => "filtered",
            Record::Event(Event { fate: Fate::Unrouted, .. }) => "unrouted",
            Record::Process(Process::Draining) => "draining",
            Record::Process(Process::LogLost { .. }) => "log_lost",
            Record::Process(Process::Started { .. }) => "started",
            Record::Process(Process::Stopped { .. }) => "stopped",
        }
    }

    pub(super) fn level(&self) -> &'static str {
        match self {
            Record::Config(Config::Rejected { .. }) | Record::Process(Process::LogLost { .. }) => "error",
            Record::Event(Event { fate: Fate::Filtered { .. }, .. }) => "warn",
            Record::Config(Config::Loaded { .. }) | Record::Event(_) | Record::Process(_) => "info",
            Record::Delivery(delivery) => match delivery.outcome {
                Outcome::DeadLettered { .. } | Outcome::Dropped { .. } | Outcome::Failed { .. } => "error",
                Outcome::Delivered { .. } | Outcome::Filtered | Outcome::Pending | Outcome::Skipped => "info",
                Outcome::Retrying { .. } => "warn",
            },
            Record::Endpoint(endpoint) => match endpoint.change {
                Change::Disabled { .. } => "error",
                Change::Enabled { .. } | Change::Resumed => "info",
                Change::Paused { .. } => "warn",
            },
        }
    }
    /// How it went, in the words of ECS's `event.outcome`: of an attempt or an end that is one, from the event's side. `None`
    /// where nothing has succeeded or failed.
    pub(super) fn result(&self) -> Option<&'static str> {
        match self {
            Record::Config(Config::Loaded { .. }) => Some(SUCCESS),
            Record::Config(Config::Rejected { .. }) | Record::Process(Process::LogLost { .. }) => Some(FAILURE),
            Record::Delivery(delivery) => match delivery.outcome {
                Outcome::Delivered { .. } => Some(SUCCESS),
                Outcome::DeadLettered { .. } | Outcome::Dropped { .. } => Some(FAILURE),
                Outcome::Failed { .. } | Outcome::Retrying { .. } => Some(FAILURE),
                Outcome::Filtered | Outcome::Skipped => None,
                Outcome::Pending => Some(UNKNOWN),
            },
            Record::Event(event) => match event.fate {
                Fate::Accepted { .. } => Some(UNKNOWN),
                Fate::Duplicate | Fate::Unrouted => None,
                Fate::Filtered { .. } => Some(FAILURE),
            },
            Record::Endpoint(_) | Record::Process(_) => None,
        }
    }
}

/// One sentence for people.
impl fmt::Display for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::Config(Config::Loaded { .. }) => f.write_str("config loaded"),
            Record::Config(Config::Rejected { .. }) => f.write_str("config rejected, the running one stays"),
            Record::Delivery(delivery) => delivery.fmt(f),
            Record::Endpoint(Endpoint { change, endpoint, .. }) => match change {
                Change::Disabled { reason } => write!(f, "endpoint {endpoint} disabled ({reason})"),
                Change::Enabled { reason } => write!(f, "endpoint {endpoint} enabled ({reason})"),
                Change::Paused { reason, .. } => write!(f, "endpoint {endpoint} paused ({reason})"),
                Change::Resumed => write!(f, "endpoint {endpoint} resumed"),
            },
            Record::Event(Event { fate: Fate::Accepted { .. }, event_type, .. }) => write!(f, "{event_type} accepted"),
            Record::Event(Event { fate: Fate::Duplicate, event_type, .. }) => write!(f, "{event_type} was accepted before"),
            Record::Event(Event { fate: Fate::Filtered { route, .. }, event_type, .. }) => {
                write!(f, "the route {route} failed on {event_type}")
            }
            Record::Event(Event { fate: Fate::Unrouted, event_type, .. }) => write!(f, "no route selects {event_type}"),
            Record::Process(Process::Draining) => f.write_str("sidehook is draining"),
            Record::Process(Process::LogLost { count }) => write!(f, "log lines that could not be written: {count}"),
            Record::Process(Process::Started { address }) => {
                write!(f, concat!("sidehook ", env!("CARGO_PKG_VERSION"), " started on {}"), address)
            }
            Record::Process(Process::Stopped { pending }) => write!(f, "sidehook stopped, deliveries left pending: {pending}"),
        }
    }
}

impl fmt::Display for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, to) = (self.event_type, self.endpoint);
        match self.outcome {
            Outcome::DeadLettered { reason, .. } => write!(f, "{what} for {to} dead-lettered ({reason})"),
            // Written piece by piece: this is nearly every line there is.
            Outcome::Delivered { .. } => [what, " delivered to ", to].into_iter().try_for_each(|part| f.write_str(part)),
            Outcome::Dropped { reason, .. } => write!(f, "{what} for {to} dropped ({reason})"),
            Outcome::Failed { failure } => write!(f, "{what} not delivered to {to} ({})", failure.error_code),
            Outcome::Filtered => write!(f, "{what} for {to} filtered"),
            Outcome::Pending => write!(f, "{what} for {to} kept for the next start"),
            Outcome::Retrying { failure, .. } => {
                write!(f, "{what} not delivered to {to} ({}), trying again", failure.error_code)
            }
            Outcome::Skipped => write!(f, "{what} skipped, {to} is not active"),
        }
    }
}

impl Outcome<'_> {
    fn word(&self) -> &'static str {
        match self {
            Outcome::DeadLettered { .. } => "dead_lettered",
            Outcome::Delivered { .. } => "delivered",
            Outcome::Dropped { .. } => "dropped",
            Outcome::Failed { .. } => "failed",
            Outcome::Filtered => "filtered",
            Outcome::Pending => "pending",
            Outcome::Retrying { .. } => "retrying",
            Outcome::Skipped => "skipped",
        }
    }
}

const FAILURE: &str = "failure";
const SUCCESS: &str = "success";
const UNKNOWN: &str = "unknown";
