//! The attempt of a test: outside the lane, which it neither waits for nor counts in.

use std::{sync::Arc, time::Duration};

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
