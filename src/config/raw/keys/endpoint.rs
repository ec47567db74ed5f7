//! The tables that each endpoint has.

use super::{
    Home,
    Otherwise::{Nothing, Required, Said, Value},
    key,
    kind::{
        BEARER, DURATION, ELEMENT, HEADER_NAME, HEADER_VALUE, ID, KEY_ID, Kind, MEDIA_TYPE, NO_CONTROL, PATH, PROXY, RATE, SCOPE,
        SCOPES, SECRET, SERVER_NAME, SIZE, TIME_LIMIT, URL, count, header_template, list, some, template, words,
    },
    within,
};
use crate::{
    config::{
        proxy,
        raw::{auth, endpoint, pace, signature},
    },
    endpoint::HeaderPlaceholder,
    sign,
};

/// `[defaults]` has the same but those of an endpoint's own.
pub(in crate::config) static ENDPOINT: Home = within(
    "",
    &[
        key(
            "url",
            Kind::Secret(&URL),
            Required,
            "`http://` or `https://`; may be a secret; sent percent-encoded, its host in lower case",
        )
        .own(),
        key("id", ID, Said("from NAME"), "What the log calls it by, besides NAME").own(),
        key("description", Kind::Text, Nothing, "For you"),
        key("method", Kind::Words(|| words(endpoint::METHODS)), Value(r#""POST""#), "`\"POST\"` or `\"PUT\"`"),
        key("active", Kind::Flag, Value("true"), "`false`: its events are only logged, as `skipped`"),
        key(
            "format",
            Kind::Words(|| words(endpoint::FORMATS)),
            Value(r#""json""#),
            "What the body is written as: `\"json\"`, `\"xml\"` or `\"form\"`",
        ),
        key(
            "envelope",
            Kind::Words(|| words(endpoint::ENVELOPES)),
            Value(r#""event""#),
            "The body's shape: also `\"none\"`, `\"standard\"`, `\"md5\"`, `\"cloudevents\"`, `\"cloudevents-binary\"`",
        ),
        key("content_type", MEDIA_TYPE, Said("the format's"), "The media type, in place of the format's own"),
        key("xml", Kind::Table(&XML), Nothing, "How XML is written"),
        key(
            "headers",
            Kind::Named { keys: HEADER_NAME, of: &HEADER },
            Value("{}"),
            "By their names; values may be secrets, or hold `{id}`, `{type}`, `{time}`, `{attempt}`",
        ),
        key("timeout", TIME_LIMIT, Value(r#""10s""#), "How long an attempt may take, to the end of the answer's head"),
        key(
            "success",
            Kind::Either(&[Kind::Words(|| words(endpoint::STATUSES)), some(&STATUS)]),
            Value(r#""2xx""#),
            "The statuses that mean that it arrived; or a list: `[200, \"2xx\"]`",
        ),
        key(
            "auth",
            Kind::Either(&[Kind::Words(|| vec![auth::NONE]), Kind::Table(&AUTH)]),
            Value(r#""none""#),
            "How the receiver knows who is calling: `\"none\"`, or a table",
        ),
        key(
            "signature",
            Kind::Either(&[Kind::Table(&SIGNATURE), list(&Kind::Table(&SIGNATURE))]),
            Value("[]"),
            "How the receiver knows that nobody changed the request: a table, or several",
        ),
        key("retry", Kind::Table(&RETRY), Nothing, "When an attempt that failed is made again"),
        key("queue", Kind::Table(&BOUNDS), Nothing, "What may wait for this endpoint"),
        key("concurrency", count(1), Value("8"), "Attempts under way at once, at most"),
        key(
            "order",
            Kind::Either(&[Kind::Words(|| words(pace::ORDERS)), Kind::Table(&ORDER)]),
            Value(r#""parallel""#),
            "`\"fifo\"`: one event after the other, retries included; `{ key = JQ }`: those with the same key",
        ),
        key("rate", RATE, Nothing, "So many attempts at most, spread evenly: `\"100/s\"`, `\"6000/m\"`"),
        key(
            "batch",
            Kind::Either(&[Kind::Off, Kind::Table(&BATCH)]),
            Value("false"),
            "Or a table, `{}` for its defaults: several events go together, as a JSON array",
        ),
        key(
            "breaker",
            Kind::Either(&[Kind::Off, Kind::Table(&BREAKER)]),
            Value("false"),
            "Or a table, `{}` for its defaults: after transient failures in a row wait, then probe with one",
        ),
        key("disable_after", count(0), Value("0"), "Permanent failures in a row that disable the endpoint; 0: never"),
        key("resume_after", DURATION, Said("never"), "When an endpoint that is disabled is enabled again by itself"),
        key("tls", Kind::Table(&TLS), Nothing, "Whom to trust, and who this is, on `https://`"),
        key(
            "http",
            Kind::Words(|| words(endpoint::HTTPS)),
            Value(r#""auto""#),
            "What TLS agrees on; or `\"1.1\"`, `\"2\"` (on `http://` without being asked)",
        ),
        key("idle_timeout", TIME_LIMIT, Value(r#""4s""#), "How long a connection is kept for the next attempt"),
        key("trace", Kind::Flag, Value("false"), "Whether `traceparent` and `tracestate` are sent on"),
        key(
            "proxy",
            Kind::Either(&[Kind::Words(|| proxy::WORDS.to_vec()), Kind::Secret(&PROXY)]),
            Value(r#""env""#),
            "As `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say; or `\"none\"`, or an `http://` URL; never for this machine",
        ),
        key(
            "network",
            Kind::Words(|| words(endpoint::NETWORKS)),
            Value(r#""any""#),
            "`\"public\"`: private addresses are out of bounds, as are this machine's",
        ),
    ],
);

pub(in crate::config) static XML: Home =
    within("xml", &[key("root", ELEMENT, Value(r#""notification""#), "The outermost element")]);

pub(in crate::config) static AUTH: Home = Home {
    by: Some("type"),
    ..within(
        "auth",
        &[
            key("type", Kind::Words(|| words(auth::AUTHS)), Required, "`\"basic\"`, `\"bearer\"`, `\"api_key\"` or `\"oauth2\"`"),
            key(
                "username",
                Kind::Secret(&Kind::Pattern(|| NO_CONTROL.replace(r"[^", r"[^:"))),
                Required,
                "For `\"basic\"`: who this is",
            )
            .of(&["basic"]),
            key("password", Kind::Secret(&Kind::Pattern(|| NO_CONTROL.into())), Required, "For `\"basic\"`: a secret")
                .of(&["basic"]),
            key("token", Kind::Secret(&BEARER), Required, "For `\"bearer\"`: a secret").of(&["bearer"]),
            key(
                "header",
                Kind::Pattern(|| HEADER_NAME.into()),
                Value(r#""X-API-Key""#),
                "For `\"api_key\"`: the header that carries it",
            )
            .of(&["api_key"]),
            key("value", Kind::Secret(&HEADER_VALUE), Required, "For `\"api_key\"`: the key, a secret").of(&["api_key"]),
            key(
                "token_url",
                Kind::Secret(&URL),
                Required,
                "For `\"oauth2\"`: where a token comes from, by the client's credentials",
            )
            .of(&["oauth2"]),
            key("client_id", SECRET, Required, "For `\"oauth2\"`: who this is").of(&["oauth2"]),
            key("client_secret", SECRET, Required, "For `\"oauth2\"`: a secret").of(&["oauth2"]),
            key("scopes", Kind::Either(&[SCOPES, list(&SCOPE)]), Nothing, "For `\"oauth2\"`: a list, or words in one string")
                .of(&["oauth2"]),
        ],
    )
};

pub(in crate::config) static SIGNATURE: Home = Home {
    by: Some("scheme"),
    ..within(
        "signature",
        &[
            key(
                "scheme",
                Kind::Words(signature::schemes),
                Required,
                "Whose receivers verify it; `\"hmac\"` is a template of your own",
            ),
            key("secrets", some(&SECRET), Required, "What it is made with; several while one replaces another"),
            key(
                "algorithm",
                Kind::Words(|| words(sign::MessageAlgorithm::NAMES)),
                Value(r#""hmac-sha256""#),
                "For `\"http-message\"`: `\"hmac-sha256\"` or `\"ed25519\"`",
            )
            .of(&["http-message"]),
            key(
                "algorithm",
                Kind::Words(|| words(sign::Algorithm::NAMES)),
                Value(r#""sha256""#),
                "For `\"hmac\"`: `\"sha256\"`, `\"sha512\"` or `\"sha1\"`",
            )
            .of(&["hmac"]),
            key(
                "encoding",
                Kind::Words(|| words(sign::Encoding::NAMES)),
                Value(r#""hex""#),
                "For `\"hmac\"` and `\"x-signature\"`: `\"hex\"`, `\"base64\"` or `\"base64url\"`",
            )
            .of(&["hmac", "x-signature"]),
            key(
                "key",
                Kind::Words(|| words(sign::KeyForm::NAMES)),
                Value(r#""text""#),
                "For `\"hmac\"`: what the secret's text stands for: `\"text\"`, `\"base64\"` or `\"hex\"`",
            )
            .of(&["hmac"]),
            key(
                "signed",
                Kind::Pattern(template::<sign::Signed>),
                Required,
                "For `\"hmac\"`: what is signed, `\"{timestamp}.{body}\"`",
            )
            .of(&["hmac"]),
            key(
                "headers",
                Kind::Named { keys: HEADER_NAME, of: &Kind::Pattern(header_template::<sign::Header>) },
                Required,
                "For `\"hmac\"`: what is sent, `{ X-Sig = \"t={timestamp},{signatures}\" }`",
            )
            .of(&["hmac"]),
            key(
                "each",
                Kind::Pattern(template::<sign::Each>),
                Value(r#""v1={signature}""#),
                "For `\"hmac\"`: one secret's part of `{signatures}`",
            )
            .of(&["hmac"]),
            key("join", Kind::Text, Value(r#"",""#), "For `\"hmac\"`: what stands between two parts").of(&["hmac"]),
            key("key_id", KEY_ID, Required, "For `\"http-message\"`: what the receiver knows the key by").of(&["http-message"]),
        ],
    )
};

pub(in crate::config) static TLS: Home = within(
    "tls",
    &[
        key("ca", PATH, Nothing, "A PEM file of authorities to trust besides the system's, or of the receiver's own certificate"),
        key("certificate", PATH, Nothing, "A PEM file: who this is, where the receiver asks (mTLS)"),
        key("key", Kind::Secret(&PATH), Nothing, "A PEM file: the certificate's key"),
        key("server_name", SERVER_NAME, Said("the URL's host"), "The name that the receiver's certificate must have"),
    ],
);

pub(in crate::config) static ORDER: Home =
    within("order", &[key("key", Kind::Filled, Required, "jq over the event: those of which it says the same go out in order")]);

pub(in crate::config) static BATCH: Home = within(
    "batch",
    &[
        key("max_events", count(1), Value("100"), "Events in one request, at most"),
        key("max_bytes", SIZE, Value(r#""256KiB""#), "The size of one request's body, at most"),
        key("max_wait", DURATION, Value(r#""200ms""#), "How long the first event waits for further ones"),
    ],
);

pub(in crate::config) static BREAKER: Home = within(
    "breaker",
    &[
        key("failures", count(1), Value("10"), "Transient failures in a row"),
        key("pause", TIME_LIMIT, Value(r#""30s""#), "How long the receiver is then left alone"),
    ],
);

pub(in crate::config) static RETRY: Home = within(
    "retry",
    &[
        key("attempts", Kind::Count { least: 1, most: 100 }, Value("12"), "Attempts in all, the first included; 100 at most"),
        key("delay", DURATION, Value(r#""5s""#), "How long the second attempt waits"),
        key(
            "backoff",
            Kind::Words(|| words(endpoint::BACKOFFS)),
            Value(r#""exponential""#),
            "The delay doubles each time; or `\"fixed\"`",
        ),
        key("max_delay", DURATION, Value(r#""10m""#), "No wait is longer"),
        key("jitter", Kind::Fraction, Value("0.2"), "By how much of itself a wait is longer or shorter, at most"),
        key("max_age", TIME_LIMIT, Nothing, "An event that is older is not tried again"),
        key(
            "on",
            Kind::Words(|| words(endpoint::ONS)),
            Value(r#""transient""#),
            "Which failures are tried again: what may pass, or `\"any\"`",
        ),
        key(
            "schedule",
            Kind::List { of: &DURATION, least: 0, most: Some(99) },
            Nothing,
            "The waits themselves, in place of `attempts`, `delay` and `backoff`",
        ),
    ],
);

pub(in crate::config) static BOUNDS: Home = within(
    "queue",
    &[
        key("events", count(1), Value("10000"), "Events that wait, at most"),
        key("bytes", SIZE, Value(r#""64MiB""#), "What they take, at most"),
        key(
            "when_full",
            Kind::Words(|| words(endpoint::WHEN_FULL)),
            Value(r#""dead_letter""#),
            "What becomes of the next; or `\"reject\"`: the app gets a 429; or `\"drop_oldest\"`",
        ),
    ],
);

const HEADER: Kind = Kind::Secret(&Kind::Pattern(header_template::<HeaderPlaceholder>));
const STATUS: Kind = Kind::Either(&[Kind::Words(|| words(endpoint::STATUSES)), Kind::Count { least: 200, most: 599 }]);
