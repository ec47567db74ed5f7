//! sidehook: a webhook sidecar.
pub mod encode;
pub mod envelope;
pub mod event;
pub mod log;
pub mod retry;
pub mod route;
pub mod sign;
