//! One attempt: a connection, a request, an answer.

use std::{
    borrow::Cow,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::FutureExt;
use http::header;
use tokio::time::{Instant as Clock, timeout, timeout_at};

use super::{
    Head, RESPONSE, Rest, Transport,
    client::REST_TIMEOUT,
    token::{Token, Tokens},
};
use crate::{
    endpoint::{Auth, Endpoint},
    event,
    pipeline::{self, Body},
    queue::Parcel,
    retry::{self, ErrorCode, Failure, Outcome},
    sign::{Mask, Secret},
};

/// What is to be sent, and as what.
pub(super) struct Attempt<'a> {
    pub endpoint: &'a Endpoint,
    pub content: &'a Content,
    /// Where a token is to be had, for endpoints that want one.
    pub tokens: Option<&'a Tokens>,
    pub number: u32,
    pub started: Instant,
}

/// One event, or a batch of them.
pub(super) enum Content {
    Batch { id: Box<str>, body: Body },
    One { parcel: Arc<Parcel>, body: u32 },
}

impl Content {
    pub(super) fn body(&self) -> &Body {
        match self {
            Content::Batch { body, .. } => body,
            Content::One { parcel, body } => &parcel.prepared.bodies[*body as usize],
        }
    }

    fn head(&self) -> event::Head<'_> {
        match self {
            // The config lets no header of a batch ask for more than its id.
            Content::Batch { id, .. } => event::Head::of_batch(id),
            Content::One { parcel, .. } => parcel.prepared.event.head(),
        }
    }
}

/// A connection, and when it was asked for.
pub(super) struct Kept<C> {
    pub connection: C,
    pub dialled: Instant,
}

/// What became of it.
pub(super) struct Done<C> {
    pub outcome: Outcome,
    pub status: Option<u16>,
    /// From the start to the answer's head, or to the failure.
    pub duration: Duration,
    pub response: Option<Box<str>>,
    pub connection: Option<Kept<C>>,
    /// What gives the connection back once the rest of a good answer was read.
    pub unread: Option<Unread<C>>,
}

/// Reads the rest of an answer, within bounds.
pub(super) type Unread<C> = Pin<Box<dyn Future<Output = Rest<Kept<C>>> + Send>>;

fn unread<T: Transport>(transport: Arc<T>, kept: Kept<T::Connection>) -> Unread<T::Connection> {
    Box::pin(async move {
        let Kept { connection, dialled } = kept;
        let Ok(rest) = timeout(REST_LIMIT, transport.rest(connection, RESPONSE)).await else {
            return Rest { beginning: Vec::new(), connection: None };
        };
        Rest { beginning: rest.beginning, connection: rest.connection.map(|connection| Kept { connection, dialled }) }
    })
}

impl<C> Done<C> {
    /// A panic in an attempt is a failed attempt.
    pub(super) fn panicked() -> Done<C> {
        let failure =
            Failure { code: ErrorCode::Protocol, error: "sidehook failed: please report this bug".into(), retry_after: None };
        Done::failed(failure)
    }

    fn failed(failure: Failure) -> Done<C> {
        let outcome = Outcome::Failed(failure);
        Done { outcome, status: None, duration: Duration::ZERO, response: None, connection: None, unread: None }
    }
}

impl Attempt<'_> {
    /// Makes the attempt over `idle`, a connection kept alive, or over a new one.
    pub(super) async fn run<T: Transport>(self, transport: &Arc<T>, idle: Option<Kept<T::Connection>>) -> Done<T::Connection> {
        let mut sent = Vec::new();
        let answered = match self.tokens {
            None => self.exchange(&**transport, idle, None).await,
            // Boxed, so that the attempts of those who want no token are no larger for it.
            Some(tokens) => Box::pin(self.exchange_with_token(transport, idle, tokens, &mut sent)).await,
        };
        let duration = Clock::now().into_std().saturating_duration_since(self.started);
        let (head, kept) = match answered {
            Ok(answered) => answered,
            Err(failure) => {
                return Done { status: None, duration, ..Done::failed(failure) };
            }
        };
        let status = Some(head.status);
        if head.is_whole {
            let (outcome, response) = self.judge(&head, &[], &sent);
            return Done { outcome, status, duration, response, connection: Some(kept), unread: None };
        }
        let mut unread = unread(Arc::clone(transport), kept);
        if self.endpoint.success.contains(head.status) {
            let outcome = Outcome::Delivered { status: head.status };
            // Most bodies have come with their head; whatever else this one does, the event has arrived.
            let (connection, unread) = match (&mut unread).now_or_never() {
                Some(rest) => (rest.connection, None),
                None => (None, Some(unread)),
            };
            return Done { outcome, status, duration, response: None, connection, unread };
        }
        let rest = unread.await;
        let (outcome, response) = self.judge(&head, &rest.beginning, &sent);
        Done { outcome, status, duration, response, connection: rest.connection, unread: None }
    }

    /// A token that is not taken is replaced once. Those that go out are added to `sent`.
    async fn exchange_with_token<T: Transport>(
        &self,
        transport: &Arc<T>,
        idle: Option<Kept<T::Connection>>,
        tokens: &Tokens,
        sent: &mut Vec<Secret>,
    ) -> Result<(Head, Kept<T::Connection>), Failure> {
        let Some(Auth::OAuth2(auth)) = &self.endpoint.auth else { return self.exchange(&**transport, idle, None).await };
        let deadline = Clock::from_std(self.started + self.endpoint.timeout);
        let token = tokens.get(transport, auth, None, deadline).await?;
        sent.push(token.secret.clone());
        let (head, kept) = self.exchange(&**transport, idle, Some(&token)).await?;
        if head.status != 401 || self.endpoint.success.contains(401) {
            return Ok((head, kept));
        }
        let Kept { connection, dialled } = kept;
        let rest = match head.is_whole {
            true => Some(connection),
            false => timeout_at(deadline, transport.rest(connection, 0)).await.ok().and_then(|rest| rest.connection),
        };
        let idle = rest.map(|connection| Kept { connection, dialled });
        let token = tokens.get(transport, auth, Some(&token), deadline).await?;
        sent.push(token.secret.clone());
        self.exchange(&**transport, idle, Some(&token)).await
    }

    async fn exchange<T: Transport>(
        &self,
        transport: &T,
        mut idle: Option<Kept<T::Connection>>,
        token: Option<&Token>,
    ) -> Result<(Head, Kept<T::Connection>), Failure> {
        let deadline = Clock::from_std(self.started + self.endpoint.timeout);
        idle = idle.filter(|kept| !transport.is_spent(&kept.connection));
        // Once is enough: a receiver that takes nothing must not be dialled for ever.
        let mut again = false;
        let mut refusals = 0;
        loop {
            let was_idle = idle.is_some();
            let Kept { mut connection, dialled } = match idle.take() {
                Some(kept) => kept,
                // Boxed, for it is rare and large: an attempt over a connection that is there takes no memory for it.
                None => {
                    let dialled = timeout_at(deadline, Box::pin(transport.dial(&self.endpoint.target))).await;
                    let connection = dialled.map_err(|_| self.timed_out(ErrorCode::ConnectTimeout))??;
                    Kept { connection, dialled: self.started }
                }
            };
            let is_used = was_idle || transport.is_used(&connection);
            let kept_alive = was_idle || (!again && is_used);
            let attempt = pipeline::Attempt {
                event: self.content.head(),
                body: self.content.body(),
                number: self.number,
                now: SystemTime::now(),
                headers: transport.header_map(&mut connection),
            };
            let mut request = pipeline::render(self.endpoint, attempt);
            if let Some(token) = token {
                request.headers_mut().insert(header::AUTHORIZATION, token.header.clone());
            }
            match timeout_at(deadline, transport.exchange(&mut connection, request)).await {
                Err(_) => return Err(self.timed_out(ErrorCode::Timeout)),
                Ok(Ok(head)) => return Ok((head, Kept { connection, dialled })),
                // The receiver had closed the connection before this request: it has not seen it.
                // Of a connection that others use it refuses what is too much; of a fresh one, whatever comes.
                Ok(Err(broken)) if broken.unprocessed && refusals < if is_used { REFUSALS } else { 1 } => refusals += 1,
                Ok(Err(broken)) if kept_alive && broken.silent => again = !was_idle,
                Ok(Err(broken)) => return Err(broken.failure),
            }
        }
    }

    fn timed_out(&self, code: ErrorCode) -> Failure {
        let what = if code == ErrorCode::ConnectTimeout { "connection" } else { "answer" };
        Failure { code, error: Cow::Owned(format!("no {what} within {:?}", self.endpoint.timeout)), retry_after: None }
    }

    /// `sent` are the tokens that the receiver was shown, and may show again.
    fn judge(&self, head: &Head, beginning: &[u8], sent: &[Secret]) -> (Outcome, Option<Box<str>>) {
        if self.endpoint.success.contains(head.status) {
            return (Outcome::Delivered { status: head.status }, None);
        }
        let retry_after = head.retry_after.as_ref().and_then(|value| value.to_str().ok());
        let failure = Failure {
            code: ErrorCode::Status(head.status),
            error: Cow::Owned(format!("the receiver answered {}", head.status)),
            retry_after: retry_after.and_then(|value| retry::retry_after(value, SystemTime::now())),
        };
        (Outcome::Failed(failure), (!beginning.is_empty()).then(|| masked(self.endpoint, sent, beginning)))
    }
}

/// An answer's text for people: a receiver may echo what it was sent, and secrets are not for them.
pub(super) fn masked(endpoint: &Endpoint, tokens: &[Secret], beginning: &[u8]) -> Box<str> {
    let (text, mask) = (String::from_utf8_lossy(beginning), Mask::new(endpoint.secrets.iter().chain(tokens)));
    let masked = if beginning.len() == RESPONSE { mask.over_beginning(&text) } else { mask.over(&text) };
    masked.into_boxed_str()
}

/// How often an attempt's request is sent again that was not looked at: of many that share a connection at whose end the
/// receiver takes a few only, those few are not always the others.
const REFUSALS: u32 = 8;

/// How long the rest of an answer is waited for. A transport keeps to its own time, and gives what it has by then; this is for
/// one that does not.
pub(super) const REST_LIMIT: Duration = REST_TIMEOUT.saturating_add(Duration::from_secs(1));
