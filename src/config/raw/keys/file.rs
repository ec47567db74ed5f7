//! The tables that are there once.

use super::{
    ENDPOINT, Home,
    Otherwise::{Nothing, Required, Said, Value},
    key,
    kind::{
        ADDRESS, BEARER, DURATION, ENDPOINT_NAME, EVENTS, HOST, Kind, MODE, PATH, SIZE, TIME_LIMIT, URI_REFERENCE, count, list,
        some, words,
    },
    top,
};
use crate::config::raw::log;

pub(in crate::config) static TOP: Home = top(
    "",
    &[
        key("listen", Kind::Table(&LISTEN), Nothing, "Where events come in, and within which limits"),
        key(
            "admin",
            Kind::Table(&ADMIN),
            Nothing,
            "A second listener, for people and machines to look in and to act; off without this table",
        ),
        key("log", Kind::Table(&LOG), Nothing, "The delivery log: a line for each attempt or change"),
        key(
            "state",
            Kind::Table(&STATE),
            Nothing,
            "What outlives the process: dead letters, what was left over at shutdown, who is disabled",
        ),
        key("queue", Kind::Table(&QUEUE), Nothing, "What may wait, of all endpoints together"),
        key("shutdown", Kind::Table(&SHUTDOWN), Nothing, "How the process ends"),
        key(
            "defaults",
            Kind::Defaults(&ENDPOINT),
            Nothing,
            "For every endpoint that leaves it out; `headers`, `retry`, `queue` and `tls` key by key",
        ),
        key(
            "endpoints",
            Kind::Named { keys: ENDPOINT_NAME, of: &Kind::Table(&ENDPOINT) },
            Nothing,
            "Receivers: where each is, and how it wants to be spoken to",
        ),
        key("routes", list(&Kind::Table(&ROUTE)), Nothing, "Which events go to which endpoints"),
    ],
);

pub(in crate::config) static LISTEN: Home = top(
    "listen",
    &[
        key("address", ADDRESS, Value(r#""127.0.0.1:7070""#), "An IP address and a port, or `\"unix:PATH\"`"),
        key("max_body", SIZE, Value(r#""1MiB""#), "The size of one request, at most"),
        key("max_batch", count(1), Value("1000"), "Events in one request, at most"),
        key("header_timeout", TIME_LIMIT, Value(r#""5s""#), "How long a request's head may take"),
        key("body_timeout", TIME_LIMIT, Value(r#""10s""#), "How long a request's body may take"),
        key("keep_alive", TIME_LIMIT, Value(r#""75s""#), "How long a connection may be idle between two requests"),
        key("max_connections", count(1), Value("1024"), "Connections at once, at most"),
        key("token", TOKENS, Nothing, "A secret, or two while one replaces the other: apps send `Authorization: Bearer …`"),
        key("hosts", list(&HOST), Value("[]"), "Further names that apps may call this sidecar by"),
        key("mode", MODE, Value(r#""0660""#), "The mode of the Unix socket's file, in octal"),
        key("uids", some(&count(0)), Said("all"), "The users who may connect to the Unix socket"),
        key(
            "dedupe",
            Kind::Table(&DEDUPE),
            Nothing,
            "Which ids are remembered, so that what is posted again is not delivered again",
        ),
        key("source", URI_REFERENCE, Value(r#""/sidehook""#), "The CloudEvents source of events that did not come as one"),
    ],
);

pub(in crate::config) static DEDUPE: Home = top(
    "listen.dedupe",
    &[
        key("ids", count(0), Value("10000"), "How many ids are remembered; 0: none"),
        key("window", TIME_LIMIT, Value(r#""10m""#), "How long an id is remembered"),
    ],
);

pub(in crate::config) static ADMIN: Home = top(
    "admin",
    &[
        key("address", ADDRESS, Required, "As `listen.address`; without the table there is no such listener"),
        key("token", TOKENS, Nothing, "As `listen.token`"),
        key("hosts", list(&HOST), Value("[]"), "As `listen.hosts`"),
    ],
);

pub(in crate::config) static LOG: Home = top(
    "log",
    &[
        key("deliveries", PATH, Value(r#""stdout""#), "A file, or `\"stdout\"`"),
        key(
            "rotate",
            Kind::Either(&[Kind::Off, Kind::Table(&ROTATE)]),
            Value("false"),
            "Whether sidehook itself begins new files: a table, `{}` for its defaults",
        ),
        key(
            "format",
            Kind::Words(|| words(log::FORMATS)),
            Value(r#""plain""#),
            "How keys are named: also `\"ecs\"`, as Elastic Common Schema does",
        ),
        key("accepted", Kind::Flag, Value("false"), "Whether each event has a line before its 202"),
    ],
);

pub(in crate::config) static ROTATE: Home = top(
    "log.rotate",
    &[
        key("size", Kind::Either(&[Kind::Off, SIZE]), Value(r#""64MiB""#), "No file grows beyond it; `false`: however large"),
        key(
            "every",
            Kind::Either(&[Kind::Off, Kind::Words(|| words(log::PERIODS))]),
            Value(r#""day""#),
            "Each day (UTC) begins a file; `false`: none does",
        ),
        key(
            "keep",
            Kind::Either(&[Kind::Off, count(1)]),
            Value("8"),
            "Files that are kept besides the current one; `false`: all",
        ),
        key(
            "total",
            Kind::Either(&[Kind::Off, SIZE]),
            Value(r#""1GiB""#),
            "What all files may take, the oldest go first; `false`: whatever they take",
        ),
        key("gzip", Kind::Flag, Value("true"), "Whether files are compressed once shippers have had time to read them"),
    ],
);

pub(in crate::config) static STATE: Home = top(
    "state",
    &[
        key(
            "directory",
            PATH,
            Value(r#""state""#),
            "A folder, of one sidecar at a time; where `$STATE_DIRECTORY` is set, that is the default",
        ),
        key("max_bytes", SIZE, Value(r#""1GiB""#), "The size of the dead letters, at most"),
    ],
);

pub(in crate::config) static QUEUE: Home =
    top("queue", &[key("bytes", SIZE, Value(r#""256MiB""#), "What may wait, of all endpoints together")]);

pub(in crate::config) static SHUTDOWN: Home = top(
    "shutdown",
    &[
        key("grace", DURATION, Value(r#""10s""#), "How long to deliver what is queued"),
        key("linger", DURATION, Value(r#""0s""#), "How long to go on accepting, before that"),
    ],
);

pub(in crate::config) static ROUTE: Home = top(
    "routes",
    &[
        key(
            "events",
            some(&EVENTS),
            Required,
            "Patterns of types: `*` is one part between dots, `**` any number of them, `!` takes away",
        ),
        key("to", some(&Kind::Pattern(|| ENDPOINT_NAME.into())), Required, "Names of endpoints"),
        key("when", Kind::Filled, Nothing, "jq over `{id, type, time, context, data}`: which of these events"),
        key("transform", Kind::Filled, Nothing, "jq over the same: what is sent in place of their data"),
        key("name", Kind::Filled, Nothing, "For you"),
        key("active", Kind::Flag, Value("true"), "`false`: as if the route were not there"),
    ],
);

/// A value that is named instead of written.
pub(in crate::config) static REFERENCE: Home = top(
    "",
    &[
        key("env", Kind::Filled, Nothing, "An environment variable that has it"),
        key("file", PATH, Nothing, "A file that has it; read again when it changes"),
        key("credential", Kind::Filled, Nothing, "A systemd credential that has it"),
    ],
);

const TOKENS: Kind = Kind::Either(&[TOKEN, Kind::List { of: &TOKEN, least: 1, most: Some(2) }]);
const TOKEN: Kind = Kind::Secret(&BEARER);
