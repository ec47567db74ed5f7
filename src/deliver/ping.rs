//! The attempt of a test: outside the lane, which it neither waits for nor counts in.

use std::{
    borrow::Cow,
    io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, header};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    RESPONSE, Transport,
    attempt::{REST_LIMIT, masked},
    token::Tokens,
};
use crate::{
    endpoint::{Auth, Endpoint},
    event::{Event, GeneratedId, Time},
    log, pipeline,
    retry::{ErrorCode, Failure},
};

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pong {
    pub status: u16,
    /// The beginning of the body, with the endpoint's secrets masked.
    pub response: Box<str>,
    /// From the start to the end of the answer's head.
    pub duration: Duration,
}

/// What a test came to, as JSON.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Report<'a> {
    pub endpoint: Cow<'a, str>,
    pub method: Cow<'a, str>,
    pub url: Cow<'a, str>,
    pub success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// From the start to the end of the answer's head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// The beginning of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
    /// One of those of the delivery log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<Cow<'a, str>>,
}

impl<'a> Report<'a> {
    pub fn of(endpoint: &'a Endpoint, answered: &'a Result<Pong, Failure>) -> Report<'a> {
        let (pong, failure) = (answered.as_ref().ok(), answered.as_ref().err());
        Report {
            endpoint: (&*endpoint.name).into(),
            method: endpoint.method.as_str().into(),
            url: (&*endpoint.target.shown).into(),
            success: pong.is_some_and(|pong| endpoint.success.contains(pong.status)),
            http_status: pong.map(|pong| pong.status),
            // To the microsecond, as in the delivery log.
            duration_ms: pong.map(|pong| pong.duration.as_micros() as f64 / 1000.0),
            response: pong.map(|pong| Cow::from(&*pong.response)).filter(|response| !response.is_empty()),
            error: failure.map(|failure| Cow::from(&*failure.error)),
            error_code: failure.map(|failure| failure.code.as_str()),
        }
    }
}

/// The request of a ping to `endpoint`, as of now.
///
/// # Errors
/// The system has no randomness for its id, or the endpoint's settings make it too large to write.
pub fn ping_request(endpoint: &Endpoint, source: &str) -> io::Result<Request<Bytes>> {
    let now = SystemTime::now();
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let millis = since_epoch.as_millis() as u64;
    let (id, batch) = (GeneratedId::event(millis, &random), GeneratedId::batch(millis, &random));
    let unix_seconds = since_epoch.as_secs() as i64;
    let (time, data) = (log::timestamp(now), format!("{{\"type\":\"ping\",\"epoch_timestamp\":{unix_seconds}}}"));
    let time = Time { text: &time, unix_seconds };
    let id = id.as_str();
    let event = Event { id, event_type: "ping", time, context: None, data: &data, source, cloud: None, trace: None };
    pipeline::ping(endpoint, &event, batch.as_str(), now).map_err(io::Error::other)
}

/// Sends `request` to `endpoint` once, over a connection of its own.
///
/// # Errors
/// Why there is no answer.
pub async fn ping<T: Transport>(transport: &Arc<T>, endpoint: &Endpoint, mut request: Request<Bytes>) -> Result<Pong, Failure> {
    let started = Instant::now();
    let deadline = started + endpoint.timeout;
    let late = |code, what| Failure { code, error: format!("no {what} within {:?}", endpoint.timeout).into(), retry_after: None };
    let mut sent = Vec::new();
    if let Some(Auth::OAuth2(auth)) = &endpoint.auth {
        let token = Tokens::default().get(transport, auth, None, deadline).await?;
        sent.push(token.secret.clone());
        request.headers_mut().insert(header::AUTHORIZATION, token.header);
    }
    let dialled = timeout_at(deadline, transport.dial(&endpoint.target)).await;
    let mut connection = dialled.map_err(|_| late(ErrorCode::ConnectTimeout, "connection"))??;
    let answered = timeout_at(deadline, transport.exchange(&mut connection, request)).await;
    let head = answered.map_err(|_| late(ErrorCode::Timeout, "answer"))?.map_err(|broken| broken.failure)?;
    let duration = started.elapsed();
    let beginning = match head.is_whole {
        true => Vec::new(),
        false => {
            timeout(REST_LIMIT, transport.rest(connection, RESPONSE)).await.map_or_else(|_| Vec::new(), |rest| rest.beginning)
        }
    };
    Ok(Pong { status: head.status, response: masked(endpoint, &sent, &beginning), duration })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        deliver::{Broken, Head, Rest, client::REST_TIMEOUT},
        endpoint::Target,
    };

    /// Answers at once, and takes all its time for a body that does not end, and a moment more.
    struct Hanging;

    impl Transport for Hanging {
        type Connection = ();

        async fn dial(&self, _target: &Target) -> Result<(), Failure> {
            Ok(())
        }

        async fn exchange(&self, (): &mut (), _request: Request<Bytes>) -> Result<Head, Broken> {
            Ok(Head { status: 500, is_whole: false, retry_after: None })
        }

        async fn rest(&self, (): (), _keep: usize) -> Rest<()> {
            tokio::time::sleep(REST_TIMEOUT + Duration::from_millis(1)).await;
            Rest { beginning: b"well, ".to_vec(), connection: None }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_come_of_a_body_that_hangs_is_shown() {
        let pong = ping(&Arc::new(Hanging), &Endpoint::example(), Request::default()).await.unwrap();
        assert_eq!((pong.status, &*pong.response), (500, "well, "));
    }
}
