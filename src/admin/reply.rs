//! How the window answers.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::door::{self, Unread};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Door(#[from] door::Refusal),
    #[error("sidehook is shutting down")]
    Draining,
    #[error("{0}")]
    InvalidReason(Box<str>),
    #[error("there is nothing here: see /endpoints, /config and /metrics")]
    NotFound,
    #[error("the ping cannot be written: {0}")]
    Ping(#[source] std::io::Error),
    #[error("there is no endpoint `{0}`")]
    UnknownEndpoint(Box<str>),
    #[error("the body cannot be read: {}", match .0 {
        Unread::Broken(error) => error.to_string(),
        Unread::Late => "it took too long".to_owned(),
        Unread::TooLarge => format!("it is larger than {} bytes", super::actions::MAX_BODY),
    })]
    Unread(Unread),
}

impl Refusal {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Refusal::Door(refusal) => refusal.status_and_code(),
            Refusal::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            Refusal::InvalidReason(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_reason"),
            Refusal::NotFound | Refusal::UnknownEndpoint(_) => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::Ping(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Refusal::Unread(Unread::Broken(_)) => (StatusCode::BAD_REQUEST, "invalid_json"),
            Refusal::Unread(Unread::Late) => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Refusal::Unread(Unread::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
        }
    }

    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        if let Refusal::Door(refusal) = self {
            return refusal.response();
        }
        let (status, code) = self.status_and_code();
        let mut response = door::problem(status, code, &self.to_string());
        if matches!(self, Refusal::Draining | Refusal::Unread(_)) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// `value` as JSON, on a line of its own.
pub(super) fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    let mut body = serde_json::to_vec(value).unwrap_or_default();
    body.push(b'\n');
    let mut response = door::with_type("application/json", body);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
