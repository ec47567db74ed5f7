//! Answers to the app: the only table from what was refused to a status.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use smallvec::SmallVec;

use crate::{
    door,
    queue::{Awaited, Deliveries, Stage},
};

/// Why a request was refused. Nothing of it was queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Door(#[from] door::Refusal),
    #[error("sidehook is shutting down")]
    Draining,
    #[error("the endpoint `{0}` is disabled")]
    EndpointDisabled(Box<str>),
    #[error("as XML or form the event would be larger than {0} bytes")]
    GrownTooLarge(usize),
    #[error("{0}")]
    InvalidEvent(Box<str>),
    #[error("line {line}, column {column}: {what}")]
    InvalidJson { line: usize, column: usize, what: Cow<'static, str> },
    #[error("there is nothing here: events go to /events, /events/{{type}} or /endpoints/{{name}}/events")]
    NotFound,
    #[error("the body is larger than listen.max_body, {0} bytes")]
    PayloadTooLarge(usize),
    #[error("the queue of `{endpoint}` is full")]
    QueueFull { endpoint: Box<str>, retry_after: Duration },
    #[error("the body did not arrive within listen.body_timeout, {0:?}")]
    RequestTimeout(Duration),
    #[error("the delivery log cannot be written to, and log.accepted wants a line before an event is accepted")]
    StorageFailed,
    #[error("more than listen.max_batch events, {0}")]
    TooManyEvents(usize),
    #[error("more than {0} headers")]
    TooManyHeaders(usize),
    #[error("there is no endpoint `{0}`")]
    UnknownEndpoint(Box<str>),
    #[error("{0}")]
    UnsupportedMediaType(Cow<'static, str>),
}

impl Refusal {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Refusal::Door(refusal) => refusal.status_and_code(),
            Refusal::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            Refusal::EndpointDisabled(_) => (StatusCode::CONFLICT, "endpoint_disabled"),
            Refusal::GrownTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Refusal::InvalidEvent(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_event"),
            Refusal::InvalidJson { .. } => (StatusCode::BAD_REQUEST, "invalid_json"),
            Refusal::NotFound | Refusal::UnknownEndpoint(_) => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::PayloadTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Refusal::QueueFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "queue_full"),
            Refusal::RequestTimeout(_) => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Refusal::StorageFailed => (StatusCode::SERVICE_UNAVAILABLE, "storage_failed"),
            Refusal::TooManyEvents(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_events"),
            Refusal::TooManyHeaders(_) => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, ""),
            Refusal::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
        }
    }

    /// The stable word for it, one of [`REFUSALS`](crate::log::counters::REFUSALS); empty for what hyper's parser would have refused without a body.
    pub fn code(&self) -> &'static str {
        self.status_and_code().1
    }

    /// The same, where it is the fault of the `n`-th event of a batch.
    pub(super) fn in_batch(self, n: usize) -> Refusal {
        match self {
            Refusal::InvalidEvent(problem) => Refusal::InvalidEvent(format!("event {n}: {problem}").into()),
            other => other,
        }
    }

    /// The answer: a problem document (RFC 9457) with a stable `code`.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let (status, code) = self.status_and_code();
        let mut response = match self {
            // What hyper's parser refuses has no body, and this limit is of that kind.
            Refusal::TooManyHeaders(_) => {
                let mut response = Response::default();
                *response.status_mut() = status;
                response
            }
            Refusal::Door(refusal) => return refusal.response(),
            _ => door::problem(status, code, &self.to_string()),
        };
        let headers = response.headers_mut();
        match self {
            Refusal::Draining => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Refusal::QueueFull { retry_after, .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs_f64().ceil() as u64));
            }
            Refusal::RequestTimeout(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// The endpoints an event goes to.
pub(super) type Names<'a> = SmallVec<[&'a str; 4]>;

/// What became of one accepted event.
#[derive(serde::Serialize)]
pub(super) struct Accepted<'a> {
    pub id: &'a str,
    #[serde(rename = "type")]
    pub event_type: &'a str,
    pub endpoints: Names<'a>,
    pub duplicate: bool,
    /// Where the app waited for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Vec<Delivered<'a>>>,
}

/// What became of one delivery until the answer was made.
#[derive(serde::Serialize)]
pub(super) struct Delivered<'a> {
    endpoint: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    attempts: u32,
}

impl<'a> From<&'a Awaited> for Delivered<'a> {
    fn from(awaited: &'a Awaited) -> Delivered<'a> {
        let Awaited { endpoint, stage, http_status, attempts } = awaited;
        Delivered { endpoint, outcome: stage.as_str(), http_status: *http_status, attempts: *attempts }
    }
}

/// The body of an answer that accepts, for one event or for a batch.
pub(super) fn body(events: &[Accepted<'_>], batch: bool) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Batch<'a, 'b> {
        events: &'a [Accepted<'b>],
    }
    let mut body = Vec::with_capacity(160 * events.len());
    let written = match events {
        [event] if !batch => serde_json::to_writer(&mut body, event),
        events => serde_json::to_writer(&mut body, &Batch { events }),
    };
    debug_assert!(written.is_ok(), "writing to memory cannot fail");
    body
}

/// What the app is told that waited for `seconds` at most.
pub(super) fn waited(answer: Response<Full<Bytes>>, deliveries: &[Deliveries], seconds: u64) -> Response<Full<Bytes>> {
    let mut answer = answer;
    let any = |stages: &[Stage]| deliveries.iter().flatten().any(|delivery| stages.contains(&delivery.stage));
    *answer.status_mut() = match () {
        () if any(&[Stage::Pending]) => StatusCode::ACCEPTED,
        () if any(&[Stage::DeadLettered]) => StatusCode::BAD_GATEWAY,
        () => StatusCode::OK,
    };
    if let Ok(applied) = HeaderValue::try_from(format!("wait={seconds}")) {
        answer.headers_mut().insert("preference-applied", applied);
    }
    answer
}

/// `202`, over the request's own header map: making one anew costs more than filling it.
pub(super) fn accepted(body: Vec<u8>, mut headers: HeaderMap) -> Response<Full<Bytes>> {
    headers.clear();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::ACCEPTED;
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::counters::REFUSALS;

    #[test]
    fn every_refusal_has_a_word_that_is_listed() {
        let text = || Box::<str>::from("x");
        let refusals = [
            Refusal::Door(door::Refusal::ForbiddenHost(text())),
            Refusal::Door(door::Refusal::ForbiddenOrigin),
            Refusal::Door(door::Refusal::MethodNotAllowed("POST")),
            Refusal::Door(door::Refusal::Unauthorized),
            Refusal::Draining,
            Refusal::EndpointDisabled(text()),
            Refusal::GrownTooLarge(1),
            Refusal::InvalidEvent(text()),
            Refusal::InvalidJson { line: 1, column: 1, what: "x".into() },
            Refusal::NotFound,
            Refusal::PayloadTooLarge(1),
            Refusal::QueueFull { endpoint: text(), retry_after: Duration::ZERO },
            Refusal::RequestTimeout(Duration::ZERO),
            Refusal::StorageFailed,
            Refusal::TooManyEvents(1),
            Refusal::UnknownEndpoint(text()),
            Refusal::UnsupportedMediaType("x".into()),
        ];
        let mut words: Vec<&str> = refusals.iter().map(Refusal::code).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words, REFUSALS);
    }
}
