//! sidehook: a webhook sidecar.
pub mod event;
pub mod retry;
pub mod route;
