//! OAuth2 client credentials (RFC 6749, 4.4): tokens, fetched once for all who wait for one.
//!
//! **Invariant:** a failed fetch fails those who waited for it, and none of them asks again at once; no error shows a secret.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{Duration, Instant},
};

use super::Transport;
use crate::{
    endpoint::OAuth2,
    pipeline::USER_AGENT,
    retry::{self, ErrorCode, Failure},
    sign::{Mask, Secret},
};

/// An endpoint's token, as long as its `auth` is the same.
#[derive(Default)]
pub(super) struct Tokens {
    last: Mutex<Option<Result<Token, Failure>>>,
    /// Fetches that have ended.
    fetched: AtomicU64,
}

/// A token, ready to be sent.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    secret: Secret,
    renew: Option<Instant>,
    number: u64,
}

impl Tokens {
    /// What is to be masked, where a token is there and nobody is fetching another.
    pub(super) fn secret(&self) -> Option<Secret> {
        let last = self.last.try_lock().ok()?;
        last.as_ref()?.as_ref().ok().map(|token| token.secret.clone())
    }

    /// The token in force, or a new one; `refused` is one that the receiver did not take.
    pub(super) async fn get<T: Transport>(
        &self,
        transport: &T,
        auth: &OAuth2,
        refused: Option<&Token>,
    ) -> Result<Token, Failure> {
        let before = self.fetched.load(Relaxed);
        let mut last = self.last.lock().await;
        match &*last {
            Some(Ok(token)) if is_good(token, refused) => return Ok(token.clone()),
            // It was fetched while this one waited.
            Some(Err(failure)) if self.fetched.load(Relaxed) > before => return Err(failure.clone()),
            _ => {}
        }
        let number = self.fetched.load(Relaxed) + 1;
        let fetched = fetch(transport, auth, number).await;
        self.fetched.store(number, Relaxed);
        *last = Some(fetched.clone());
        fetched
    }
}

fn is_good(token: &Token, refused: Option<&Token>) -> bool {
    refused.is_none_or(|refused| refused.number != token.number) && token.renew.is_none_or(|renew| Instant::now() < renew)
}

async fn fetch<T: Transport>(transport: &T, auth: &OAuth2, number: u64) -> Result<Token, Failure> {
    let asked = Instant::now();
    let failed = |failure: Failure| Failure {
        code: ErrorCode::Oauth2,
        error: format!("no token from {}: {}", auth.target.shown, failure.error).into(),
        retry_after: failure.retry_after,
    };
    let mut connection = transport.dial(&auth.target).await.map_err(failed)?;
    let request = request(auth);
    let head = transport.exchange(&mut connection, request).await.map_err(|broken| failed(broken.failure))?;
    let body = if head.is_whole { Vec::new() } else { transport.rest(connection, LONGEST).await.beginning };
    let retry_after = head.retry_after.as_ref().and_then(|value| value.to_str().ok());
    let refused = |error: String| Failure {
        code: ErrorCode::Oauth2,
        error: format!("no token from {}: {error}", auth.target.shown).into(),
        retry_after: retry_after.and_then(|value| retry::retry_after(value, std::time::SystemTime::now())),
    };
    if head.status != 200 {
        return Err(refused(format!("it answered {}{}", head.status, reason(auth, &body))));
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| refused("its answer is no token".to_owned()))?;
    if !answer.token_type.eq_ignore_ascii_case("bearer") {
        return Err(refused("its token is no bearer token".to_owned()));
    }
    let is_text = !answer.access_token.is_empty() && answer.access_token.bytes().all(|byte| byte.is_ascii_graphic());
    let header = HeaderValue::try_from(format!("Bearer {}", answer.access_token));
    let Some(mut header) = header.ok().filter(|_| is_text) else {
        return Err(refused("its token has characters that no header holds".to_owned()));
    };
    header.set_sensitive(true);
    let lives = answer.expires_in.map(|seconds| Duration::from_secs(seconds.min(MOST)));
    let renew = lives.map(|lives| asked + lives.saturating_sub(EARLY.min(lives / 10)));
    Ok(Token { header, secret: Secret::new(answer.access_token), renew, number })
}

fn request(auth: &OAuth2) -> Request<Bytes> {
    let mut request = Request::new(auth.body.clone());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = auth.target.path_and_query.clone();
    let headers = request.headers_mut();
    headers.insert(header::HOST, auth.target.authority.clone());
    headers.insert(header::AUTHORIZATION, auth.authorization.clone());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    request
}

/// What the answer says of an error, without what it may repeat of the request.
fn reason(auth: &OAuth2, body: &[u8]) -> String {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else { return String::new() };
    let mut text = format!(" {}", refusal.error);
    if let Some(description) = refusal.error_description {
        text.push_str(": ");
        text.push_str(&description);
    }
    let text = Mask::new(&auth.secrets).over(&text);
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

/// RFC 6749, 5.1.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

/// RFC 6749, 5.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

/// The longest answer that is read.
const LONGEST: usize = 64 << 10;

/// A token is renewed so long before its end, or a tenth of its life.
const EARLY: Duration = Duration::from_secs(60);

/// No token is kept for longer, in seconds: a year.
const MOST: u64 = 365 * 86_400;
