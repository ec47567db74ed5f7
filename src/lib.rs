//! sidehook: a webhook sidecar. An app posts an event to localhost; every receiver that a route names gets it, in its own
//! shape and format, signed, tried again until it has arrived, and logged.
//!
//! # The way of an event
//!
//! ```text
//!  host app                                                                     receiver
//!     │ POST /events                                                                ▲
//!     ▼                                                                             │
//!  ingest ── Event ──► pipeline::prepare ── Prepared ──► queue ── Delivery ──► deliver (a lane per endpoint)
//!     ▲  route: who        transform → envelope      (each holds a Slot)            │ pipeline::render: stamp, sign
//!     │                    → encode: bytes, once a shape      ▲                     │ → http::Request
//!     │ 202, 4xx, 503             │                           │                     │
//!     └───────── Refusal ◄────────┘                           └────── Verdict ◄─────┘ retry: when again
//!             everything that happens ──► log ──► deliveries.jsonl, counters ──► admin
//! ```
//!
//! The left half answers the app and may refuse. The right half may only be delayed, or give up into the dead letters, and
//! the log says which. After the `202` content can no longer fail: all that could was made a type when the config was read,
//! or in `prepare`. Nothing flows backwards but a verdict.
//!
//! # Tenets
//!
//! In this order; an earlier one settles an argument with a later: *honest* (never a lie about what became of an event),
//! *exact* (the bytes the receiver was promised), *bounded*, *easy* (to start, to edit, to understand at night), *fast*,
//! *small*, *rich*.
//!
//! # The rooms
//!
//! In reading order. Which may use which, and which may touch the world outside, is a table that
//! `tests/it/architecture.rs` holds.
//!
//! - [`event`]: the traveller, as the app posted it.
//! - [`door`]: a way in for HTTP; who may come, how long they may take.
//! - [`ingest`]: the app's; HTTP becomes events, or a refusal.
//! - [`route`]: who gets an event.
//! - [`transform`]: what is made of an event, by jq.
//! - [`pipeline`]: what is made of an event once, at the door, and what once an attempt.
//! - [`envelope`]: in what shape a payload stands.
//! - [`encode`]: as what it is written: JSON, XML, form.
//! - [`sign`]: by whom it is; signatures, and the secrets they are made with.
//! - [`endpoint`]: where it goes, and how the receiver wants to be spoken to.
//! - [`queue`]: where deliveries wait, within bounds; the dead letters and the pending file.
//! - [`deliver`]: the door out; one lane per endpoint, its connections and attempts.
//! - [`retry`]: when again, by what came of an attempt.
//! - [`log`]: what happened; the delivery log, the counters, and what the process says of itself.
//! - [`schema`]: what JSON Schemas are written with, the log's and the config's.
//! - [`admin`]: the window; how the endpoints are, what was counted, and a few things a person may ask for.
//! - [`screen`]: what a terminal may be shown of what strangers write.
//! - [`config`]: the file, which becomes types that cannot be wrong, and is read again when it changes.
//! - [`app`]: all of it composed, from start to drain.
//! - [`cli`]: what can be typed.

pub mod admin;
pub mod app;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod door;
pub mod encode;
pub mod endpoint;
pub mod envelope;
pub mod event;
pub mod ingest;
pub mod log;
pub mod pipeline;
pub mod queue;
pub mod retry;
pub mod route;
pub mod schema;
pub mod screen;
pub mod sign;
pub mod transform;
