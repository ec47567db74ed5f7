//! What a person may ask of an endpoint.

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Deserialize;

use super::{
    Admin, endpoints,
    reply::{Refusal, json},
};
use crate::{
    deliver,
    door::{self, Watchdog},
    queue::Outlet,
};

impl Admin {
    pub(super) async fn disable(&self, outlet: &Outlet, reason: Box<str>) -> Result<Response<Full<Bytes>>, Refusal> {
        outlet.handle.disable(reason);
        self.shown(outlet).await
    }

    /// Delivers again, whatever has disabled or paused the endpoint.
    pub(super) async fn enable(&self, outlet: &Outlet) -> Result<Response<Full<Bytes>>, Refusal> {
        outlet.handle.enable(BY_HAND);
        self.shown(outlet).await
    }

    /// How the endpoint is after what was asked of it.
    async fn shown(&self, outlet: &Outlet) -> Result<Response<Full<Bytes>>, Refusal> {
        // A lane that has ended has heard nothing of it.
        let status = outlet.handle.status().await.ok_or(Refusal::Draining)?;
        Ok(json(&endpoints::shown(outlet, status, &self.log.counters())))
    }

    /// Sends a ping, which neither waits in the endpoint's queue nor counts.
    pub(super) async fn test(&self, outlet: &Outlet, source: &str) -> Result<Response<Full<Bytes>>, Refusal> {
        let endpoint = &outlet.endpoint;
        let request = deliver::ping_request(endpoint, source).map_err(Refusal::Ping)?;
        let answered = deliver::ping(&self.transport, endpoint, request).await;
        Ok(json(&deliver::Report::of(endpoint, &answered)))
    }
}

/// Why the endpoint is to be disabled: `{"reason": "…"}`, which may be left out.
pub(super) async fn reason(body: Incoming, watchdog: &Watchdog) -> Result<Box<str>, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Why {
        reason: Box<str>,
    }
    let body = door::read(body, MAX_BODY, watchdog).await.map_err(Refusal::Unread)?;
    if body.is_empty() {
        return Ok(BY_HAND.into());
    }
    let Why { reason } = serde_json::from_slice(&body)
        .map_err(|error| Refusal::InvalidReason(format!("the body is not {{\"reason\": \"…\"}}: {error}").into()))?;
    if reason.trim().is_empty() {
        return Err(Refusal::InvalidReason("the reason is empty".into()));
    }
    Ok(reason)
}

/// Of a reason, with what is around it.
pub(super) const MAX_BODY: usize = 1024;

const BY_HAND: &str = "by hand";
