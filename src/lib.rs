//! sidehook: a webhook sidecar.
pub mod app;
pub mod cli;
pub mod config;
pub mod deliver;
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
pub mod sign;
