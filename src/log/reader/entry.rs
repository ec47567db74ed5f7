//! A line of the log as it was read.

use std::borrow::Cow;

use serde::Deserialize;

/// A line, in either format, as far as it has these keys; the names are those of the plain one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Entry<'a> {
    /// RFC 3339.
    #[serde(borrow, alias = "@timestamp")]
    pub timestamp: Cow<'a, str>,
    #[serde(borrow, default, alias = "log.level")]
    pub level: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub message: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "sidehook.kind")]
    pub kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "sidehook.outcome")]
    pub outcome: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "event.id")]
    pub event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "sidehook.event_type")]
    pub event_type: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "sidehook.endpoint")]
    pub endpoint: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "http.request.method")]
    pub method: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "url.full")]
    pub url: Option<Cow<'a, str>>,
    #[serde(default, alias = "sidehook.attempt")]
    pub attempt: Option<u32>,
    #[serde(default, alias = "sidehook.max_attempts")]
    pub max_attempts: Option<u32>,
    #[serde(default, alias = "http.response.status_code")]
    pub http_status: Option<u16>,
    #[serde(default)]
    pub duration_ms: Option<f64>,
    #[serde(default, alias = "http.request.body.bytes")]
    pub bytes: Option<u64>,
    #[serde(borrow, default, alias = "trace.id")]
    pub trace_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "sidehook.batch_id")]
    pub batch_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "error.message")]
    pub error: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "error.code")]
    pub error_code: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "event.reason")]
    pub reason: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "http.response.body.content")]
    pub response: Option<Cow<'a, str>>,
}

impl<'a> Entry<'a> {
    /// Reads a line; `None` where it is none of the log's.
    pub fn read(line: &'a [u8]) -> Option<Entry<'a>> {
        serde_json::from_slice(line).ok()
    }
}
