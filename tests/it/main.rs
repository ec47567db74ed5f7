//! The whole sidecar against real receivers over loopback: what INTERFACE promises to apps, receivers and operators.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so by panicking")]
#![expect(clippy::disallowed_types, reason = "a test reads what came as anybody would")]

mod admin;
mod architecture;
mod bodies;
mod broken;
mod cli;
mod cloud_events;
mod contracts;
mod dead_letters;
mod delivery;
mod duplicates;
mod examples;
mod expectation;
mod explain;
mod failures;
mod golden;
mod guard;
mod health;
mod hostile;
mod http2;
mod ingest;
mod limits;
mod listen;
mod log;
mod log_writing;
mod logs;
mod logs_words;
mod moves;
mod network;
mod oauth2;
mod one_endpoint;
mod proxy;
mod queue;
mod real_data;
mod refusals;
mod reload;
mod replay;
mod restart;
mod retries;
mod routing;
mod saving;
mod send;
mod shutdown;
mod signatures;
mod stored_first;
mod support;
mod test;
mod tls;
mod transforms;
mod unix_socket;
mod verify;
mod waiting;
mod warnings;
