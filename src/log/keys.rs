//! The table of a line's keys: what each is called in either format, what it holds and what it says; and which lines have
//! which. The writer takes its names from here, and the schema is made of it.
//!
//! ECS names are those of the Elastic Common Schema 8.11, whose types and closed sets they keep to; what it has no field
//! for is under `sidehook`. Dotted names stand at the top level, as Elastic's logging libraries write them.
//!
//! **Invariant:** a line has the keys that its [`Shape`] says, and no others.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use super::record::{Change, Config, Delivery, Endpoint, Event, Failure, Fate, Outcome, Process, Record};

/// A name, and what stands behind it.
#[derive(Clone, Copy)]
pub(super) struct Key {
    /// Empty where only ECS has it.
    pub(super) plain: &'static str,
    pub(super) ecs: &'static str,
    /// The name as it stands behind another value: copied in one piece it costs a third of what it does in three.
    pub(super) plain_start: &'static str,
    pub(super) ecs_start: &'static str,
    pub(super) holds: Holds,
    /// For users.
    pub(super) about: &'static str,
}

#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// An error's code: one of [`ERROR_CODES`], or `status_NNN`.
    Code,
    Count {
        least: u64,
        most: Option<u64>,
    },
    /// In milliseconds; in ECS in nanoseconds, without a fraction.
    Duration,
    /// The glossary's word for the line, if it has one.
    Of(fn(&Record<'static>) -> Option<&'static str>),
    Text,
    /// Text of this form and of so many characters at most, which are ASCII.
    Formed(&'static str, u64),
    Texts,
    /// RFC 3339, UTC, microseconds.
    Time,
    Words(&'static [&'static str]),
    Yes,
}

/// The lines of one kind and outcome.
pub(super) struct Shape {
    /// One of them, for the words that [`super::record`] has for it.
    pub(super) record: Record<'static>,
    /// For users.
    pub(super) about: &'static str,
    /// Besides [`HEAD`]; a key that is held more narrowly than elsewhere says so in other words.
    pub(super) always: &'static [&'static [Key]],
    pub(super) sometimes: &'static [&'static [Key]],
}

macro_rules! key {
    ($plain:literal, $ecs:literal, $holds:expr, $about:literal $(,)?) => {
        Key {
            plain: $plain,
            ecs: $ecs,
            plain_start: concat!(",\"", $plain, "\":"),
            ecs_start: concat!(",\"", $ecs, "\":"),
            holds: $holds,
            about: $about,
        }
    };
}

const fn count(least: u64) -> Holds {
    Holds::Count { least, most: None }
}

pub(super) const TIMESTAMP: Key =
    key!("timestamp", "@timestamp", Holds::Time, "When it happened: RFC 3339, UTC, with microseconds");
pub(super) const LEVEL: Key = key!(
    "level",
    "log.level",
    Holds::Of(|record| Some(record.level())),
    "info: as things should go; warn: trouble that sidehook handles itself; error: this wants a person",
);
pub(super) const MESSAGE: Key = key!("message", "message", Holds::Text, "One sentence for people, whose wording may change");
pub(super) const ECS_VERSION: Key =
    key!("", "ecs.version", Holds::Words(&[OF_ECS]), "The version of the Elastic Common Schema that the names are from");
pub(super) const SERVICE: Key = key!("", "service.name", Holds::Words(&[SIDEHOOK]), "Who writes this");
pub(super) const DATASET: Key = key!("", "event.dataset", Holds::Words(&[DELIVERIES]), "Which of its logs this is");
pub(super) const KIND: Key = key!("kind", "sidehook.kind", Holds::Of(|record| Some(record.kind())), "What the line is about");
pub(super) const OUTCOME: Key = key!("outcome", "sidehook.outcome", OUTCOMES, "What became of it");
pub(super) const ACTION: Key = key!("", "event.action", OUTCOMES, "What became of it, as sidehook.outcome");
pub(super) const RESULT: Key = key!(
    "",
    "event.outcome",
    Holds::Of(Record::result),
    "Whether that is a success or a failure, or cannot be known yet; absent where it is none of these",
);
pub(super) const EVENT_ID: Key = key!("event_id", "event.id", Holds::Formed("^[!-~]+$", 255), "The event's id");
pub(super) const EVENT_TYPE: Key =
    key!("event_type", "sidehook.event_type", Holds::Formed("^[A-Za-z0-9._:/-]+$", 255), "The event's type");
pub(super) const ENDPOINT: Key =
    key!("endpoint", "sidehook.endpoint", Holds::Formed("^[A-Za-z0-9_-]+$", 64), "The endpoint's name in the config");
pub(super) const ENDPOINT_ID: Key = key!(
    "endpoint_id",
    "sidehook.endpoint_id",
    Holds::Formed("^[!-~]+$", 255),
    "The endpoint's id: made of its name, unless the config says another",
);
pub(super) const METHOD: Key = key!("method", "http.request.method", Holds::Words(&["POST", "PUT"]), "How it is sent");
pub(super) const URL: Key =
    key!("url", "url.full", Holds::Text, "Where it is sent: query values are masked; of a URL that is a secret, scheme and host");
pub(super) const ATTEMPT: Key =
    key!("attempt", "sidehook.attempt", count(1), "Attempts so far, this one included; absent while there was none");
pub(super) const MAX_ATTEMPTS: Key = key!("max_attempts", "sidehook.max_attempts", count(1), "Attempts, at most");
pub(super) const HTTP_STATUS: Key = key!(
    "http_status",
    "http.response.status_code",
    Holds::Count { least: 100, most: Some(999) },
    "The answer's status, if there was an answer",
);
pub(super) const DURATION: Key = key!(
    "duration_ms",
    "event.duration",
    Holds::Duration,
    "From the attempt's start to the end of the answer's head, or until it was given up",
);
pub(super) const BYTES: Key =
    key!("bytes", "http.request.body.bytes", count(0), "The size of the request's body, which a batch has as a whole");
pub(super) const TRACE_ID: Key = key!(
    "trace_id",
    "trace.id",
    Holds::Formed("^[0-9a-f]{32}$", 32),
    "The trace of the request that posted the event (W3C traceparent), if it had one",
);
pub(super) const BATCH_ID: Key = key!(
    "batch_id",
    "sidehook.batch_id",
    Holds::Formed("^bat_[0-9a-f]{32}$", 36),
    "The batch that the event was sent in; each of its events has a line",
);
pub(super) const ERROR: Key = key!("error", "error.message", Holds::Text, "What went wrong, for people");
pub(super) const ERROR_CODE: Key = key!("error_code", "error.code", Holds::Code, "What went wrong, for machines");
pub(super) const CLASS: Key = key!(
    "class",
    "sidehook.class",
    Holds::Words(&["transient", "permanent"]),
    "Whether it may pass by itself; what is permanent is not tried again, unless retry.on is any",
);
pub(super) const REASON: Key = key!("reason", "event.reason", Holds::Text, "Why");
pub(super) const RESPONSE: Key = key!(
    "response",
    "http.response.body.content",
    Holds::Text,
    "The first 256 bytes of the answer's body, as text, known secrets masked",
);
pub(super) const NEXT_ATTEMPT: Key =
    key!("next_attempt", "sidehook.next_attempt", Holds::Time, "When it is tried again, at the earliest");
pub(super) const CHANGED: Key = key!("changed", "sidehook.changed", Holds::Texts, "The names of what changed");
pub(super) const ENDPOINTS: Key = key!("endpoints", "sidehook.endpoints", Holds::Texts, "The endpoints that routes name for it");
pub(super) const ROUTE: Key = key!("route", "sidehook.route", Holds::Text, "The route's name, or its place, as in routes[0]");
pub(super) const ADDRESS: Key = key!("address", "sidehook.address", Holds::Text, "Where events can be posted");
pub(super) const PENDING: Key = key!("pending", "sidehook.pending", count(0), "Deliveries left over, kept for the next start");
pub(super) const COUNT: Key =
    key!("count", "sidehook.count", count(1), "Lines that could not be written, since the last line that says so");
pub(super) const TRUNCATED: Key = key!(
    "truncated",
    "sidehook.truncated",
    Holds::Yes,
    "Something in the line was cut, for it would have been longer than 7 KiB; absent otherwise",
);

const OUTCOMES: Holds = Holds::Of(|record| Some(record.outcome()));

pub(super) const OF_ECS: &str = "8.11.0";
pub(super) const SIDEHOOK: &str = "sidehook";
pub(super) const DELIVERIES: &str = "sidehook.deliveries";

/// All of them.
pub(super) const KEYS: &[Key] = &[
    TIMESTAMP,
    LEVEL,
    MESSAGE,
    ECS_VERSION,
    SERVICE,
    DATASET,
    KIND,
    OUTCOME,
    ACTION,
    RESULT,
    EVENT_ID,
    EVENT_TYPE,
    ENDPOINT,
    ENDPOINT_ID,
    METHOD,
    URL,
    ATTEMPT,
    MAX_ATTEMPTS,
    HTTP_STATUS,
    DURATION,
    BYTES,
    TRACE_ID,
    BATCH_ID,
    ERROR,
    ERROR_CODE,
    CLASS,
    REASON,
    RESPONSE,
    NEXT_ATTEMPT,
    CHANGED,
    ENDPOINTS,
    ROUTE,
    ADDRESS,
    PENDING,
    COUNT,
    TRUNCATED,
];

/// What every line has, besides the glossary's words for it.
pub(super) const HEAD: &[Key] = &[TIMESTAMP, MESSAGE, ECS_VERSION, SERVICE, DATASET];

/// Without those of answers, `status_NNN`.
pub(super) const ERROR_CODES: &[&str] = &[
    "dns",
    "connect_refused",
    "connect_timeout",
    "tls",
    "timeout",
    "reset",
    "protocol",
    "network_forbidden",
    "transform",
    "oauth2",
    "queue_full",
    "disabled",
];

const OF_EVENT: &[Key] = &[EVENT_ID, EVENT_TYPE];
const OF_ENDPOINT: &[Key] = &[ENDPOINT, ENDPOINT_ID];
/// Of a delivery; what the config says of its receiver is absent where the endpoint is not there any more.
const WHOSE: &[Key] = &[EVENT_ID, EVENT_TYPE, ENDPOINT];
const RECEIVER: &[Key] = &[ENDPOINT_ID, METHOD, URL, MAX_ATTEMPTS];
const TRIED: &[Key] = &[ATTEMPT, DURATION, BYTES];
const FAILURE: &[Key] = &[ERROR, ERROR_CODE];
const ORIGIN: &[Key] = &[TRACE_ID, BATCH_ID];
const TRACE: &[Key] = &[TRACE_ID];

const WHY_DEAD: Key = Key {
    holds: Holds::Words(&["attempts", "disabled", "endpoint_removed", "max_age", "permanent", "queue_full", "transform"]),
    about: "Why it was given up",
    ..REASON
};
const WHY_DROPPED: Key = Key {
    holds: Holds::Words(&["queue_full", "shutdown"]),
    about: "Why it is gone: pushed out of a full queue, or not written at shutdown",
    ..REASON
};

/// In the order of the glossary.
pub(super) static SHAPES: [Shape; 22] = [
    Shape {
        record: Record::Config(Config::Loaded { changed: &[] }),
        about: "A changed config is in force",
        always: &[&[CHANGED]],
        sometimes: &[],
    },
    Shape {
        record: Record::Config(Config::Rejected { error: "" }),
        about: "A changed config is wrong; the running one stays",
        always: &[&[ERROR]],
        sometimes: &[],
    },
    Shape {
        record: delivery(Outcome::DeadLettered { reason: "", error_code: None }),
        about: "It was given up, and is on disk, for replay",
        always: &[WHOSE, &[WHY_DEAD]],
        sometimes: &[RECEIVER, &[ATTEMPT, ERROR_CODE], TRACE],
    },
    Shape {
        record: delivery(Outcome::Delivered { http_status: 200, duration: Duration::ZERO }),
        about: "The receiver has it",
        always: &[WHOSE, RECEIVER, TRIED, &[HTTP_STATUS]],
        sometimes: &[ORIGIN],
    },
    Shape {
        record: delivery(Outcome::Dropped { reason: "", error_code: None }),
        about: "It is gone",
        always: &[WHOSE, &[WHY_DROPPED]],
        sometimes: &[RECEIVER, &[ATTEMPT, BYTES, ERROR_CODE], TRACE],
    },
    Shape {
        record: delivery(Outcome::Failed { failure: NOTHING }),
        about: "The last attempt failed, or there could be none; a line that it is dead-lettered follows",
        always: &[WHOSE, RECEIVER, FAILURE, &[CLASS]],
        sometimes: &[TRIED, &[HTTP_STATUS, RESPONSE], ORIGIN],
    },
    Shape {
        record: delivery(Outcome::Filtered),
        about: "Its transform gave nothing to send",
        always: &[WHOSE, RECEIVER],
        sometimes: &[TRACE],
    },
    Shape {
        record: delivery(Outcome::Pending),
        about: "Left over at shutdown, kept for the next start",
        always: &[WHOSE],
        sometimes: &[RECEIVER, &[ATTEMPT, BYTES], TRACE],
    },
    Shape {
        record: delivery(Outcome::Retrying { failure: NOTHING, next_attempt: SystemTime::UNIX_EPOCH }),
        about: "An attempt failed, and there will be another",
        always: &[WHOSE, RECEIVER, TRIED, FAILURE, &[NEXT_ATTEMPT]],
        sometimes: &[&[HTTP_STATUS, RESPONSE], ORIGIN],
    },
    Shape {
        record: delivery(Outcome::Skipped),
        about: "The endpoint is not active",
        always: &[WHOSE, RECEIVER],
        sometimes: &[TRACE],
    },
    Shape {
        record: endpoint(Change::Disabled { reason: "" }),
        about: "What the endpoint gets is dead-lettered until it is enabled",
        always: &[OF_ENDPOINT, &[REASON]],
        sometimes: &[],
    },
    Shape {
        record: endpoint(Change::Enabled { reason: "" }),
        about: "The endpoint is delivered to again",
        always: &[OF_ENDPOINT, &[REASON]],
        sometimes: &[],
    },
    Shape {
        record: endpoint(Change::Paused { next_attempt: SystemTime::UNIX_EPOCH, reason: "" }),
        about: "The receiver asked for a rest, or its breaker gives it one",
        always: &[OF_ENDPOINT, &[NEXT_ATTEMPT, REASON]],
        sometimes: &[],
    },
    Shape { record: endpoint(Change::Resumed), about: "The rest is over", always: &[OF_ENDPOINT], sometimes: &[] },
    Shape {
        record: event(Fate::Accepted { endpoints: &[] }),
        about: "It is about to be answered as accepted; only with log.accepted",
        always: &[OF_EVENT, &[ENDPOINTS]],
        sometimes: &[TRACE],
    },
    Shape {
        record: event(Fate::Duplicate),
        about: "Its id was accepted before; it is not delivered again",
        always: &[OF_EVENT],
        sometimes: &[TRACE],
    },
    Shape {
        record: event(Fate::Filtered { route: "", error: "" }),
        about: "A route's `when` failed, so that it does not select the event",
        always: &[OF_EVENT, &[ROUTE, ERROR]],
        sometimes: &[TRACE],
    },
    Shape { record: event(Fate::Unrouted), about: "No route selects it", always: &[OF_EVENT], sometimes: &[TRACE] },
    Shape {
        record: Record::Process(Process::Draining),
        about: "It was told to stop, and delivers what is queued",
        always: &[],
        sometimes: &[],
    },
    Shape {
        record: Record::Process(Process::LogLost { count: 1 }),
        about: "Lines are missing before this one",
        always: &[&[COUNT]],
        sometimes: &[],
    },
    Shape {
        record: Record::Process(Process::Started { address: "" }),
        about: "It takes events",
        always: &[&[ADDRESS]],
        sometimes: &[],
    },
    Shape {
        record: Record::Process(Process::Stopped { pending: 0 }),
        about: "It has ended in order",
        always: &[&[PENDING]],
        sometimes: &[],
    },
];

/// The words that lines have for what became of it, each once.
pub fn outcomes() -> BTreeSet<&'static str> {
    SHAPES.iter().map(|shape| shape.record.outcome()).collect()
}

const NOTHING: Failure<'static> =
    Failure { error: "", error_code: "", class: "", http_status: None, duration: None, response: None };

const fn delivery(outcome: Outcome<'static>) -> Record<'static> {
    Record::Delivery(Delivery {
        outcome,
        event_id: "",
        event_type: "",
        endpoint: "",
        receiver: None,
        attempt: 0,
        bytes: None,
        trace_id: None,
        batch: None,
    })
}

const fn endpoint(change: Change<'static>) -> Record<'static> {
    Record::Endpoint(Endpoint { change, endpoint: "", endpoint_id: "" })
}

const fn event(fate: Fate<'static>) -> Record<'static> {
    Record::Event(Event { fate, event_id: "", event_type: "", trace_id: None })
}
