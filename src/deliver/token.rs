//! OAuth2 client credentials (RFC 6749, 4.4): tokens, fetched once for all who wait for one.
//!
//! A fetch is a task of its own, with a time of its own: it goes on when the attempts that wait for it have given up, and
//! the next attempt finds the token.
//!
//! **Invariant:** whoever waits takes what comes, be it a failure or a token that is about to end; no error shows a secret.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};
use tokio::{
    sync::watch,
    time::{Duration, Instant, timeout, timeout_at},
};

use super::{Transport, client::failure};
use crate::{
    endpoint::OAuth2,
    pipeline::USER_AGENT,
    retry::{self, ErrorCode, Failure},
    sign::{Mask, Secret},
};

/// An endpoint's token, as long as its `auth` is the same.
#[derive(Default)]
pub(super) struct Tokens(Mutex<Last>);

/// The last fetch, which may be under way.
#[derive(Default)]
struct Last {
    number: u64,
    fetch: Option<Fetched>,
}

type Fetched = watch::Receiver<Option<Result<Token, Failure>>>;

/// A token, ready to be sent.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    pub(super) secret: Secret,
    renew: Option<Instant>,
    number: u64,
}

impl Tokens {
    /// The token in force, or a new one, if there is one by `deadline`; `refused` is one that the receiver did not take.
    pub(super) async fn get<T: Transport>(
        &self,
        transport: &Arc<T>,
        auth: &Arc<OAuth2>,
        refused: Option<&Token>,
        deadline: Instant,
    ) -> Result<Token, Failure> {
        let mut fetched = self.ask(transport, auth, refused);
        match timeout_at(deadline, fetched.wait_for(Option::is_some)).await {
            Ok(Ok(answer)) => answer.clone().unwrap_or_else(|| Err(no_token(auth, "there is no answer"))),
            Ok(Err(_)) => Err(no_token(auth, "the fetch was broken off")),
            Err(_) => Err(no_token(auth, "no answer within the endpoint's `timeout`")),
        }
    }

    fn ask<T: Transport>(&self, transport: &Arc<T>, auth: &Arc<OAuth2>, refused: Option<&Token>) -> Fetched {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fetch) = last.fetch.as_ref().filter(|fetch| is_of_use(fetch, refused)) {
            return fetch.clone();
        }
        let (tell, fetch) = watch::channel(None);
        last.number += 1;
        last.fetch = Some(fetch.clone());
        let (transport, auth, number) = (Arc::clone(transport), Arc::clone(auth), last.number);
        tokio::spawn(async move {
            let fetched = timeout(LONGEST_FETCH, fetch_once(&*transport, &auth, number)).await;
            let late = |_| Err(no_token(&auth, &format!("no answer within {LONGEST_FETCH:?}")));
            tell.send_replace(Some(fetched.unwrap_or_else(late)));
        });
        fetch
    }
}

/// Whether the fetch is under way, or its token is good.
fn is_of_use(fetch: &Fetched, refused: Option<&Token>) -> bool {
    match &*fetch.borrow() {
        Some(fetched) => fetched.as_ref().is_ok_and(|token| is_good(token, refused)),
        None => fetch.has_changed().is_ok(),
    }
}

fn is_good(token: &Token, refused: Option<&Token>) -> bool {
    refused.is_none_or(|refused| refused.number != token.number) && token.renew.is_none_or(|renew| Instant::now() < renew)
}

fn no_token(auth: &OAuth2, why: &str) -> Failure {
    failure(ErrorCode::Oauth2, format!("no token from {}: {why}", auth.target.shown))
}

async fn fetch_once<T: Transport>(transport: &T, auth: &OAuth2, number: u64) -> Result<Token, Failure> {
    let asked = Instant::now();
    let failed = |failure: Failure| Failure { retry_after: failure.retry_after, ..no_token(auth, &failure.error) };
    let mut connection = transport.dial(&auth.target).await.map_err(failed)?;
    let request = request(auth);
    let head = transport.exchange(&mut connection, request).await.map_err(|broken| failed(broken.failure))?;
    let body = if head.is_whole { Vec::new() } else { transport.rest(connection, LONGEST).await.beginning };
    let retry_after = head.retry_after.as_ref().and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|value| retry::retry_after(value, std::time::SystemTime::now()));
    let refused = |error: &str| Failure { retry_after, ..no_token(auth, error) };
    if head.status != 200 {
        return Err(refused(&format!("it answered {}{}", head.status, reason(auth, &body))));
    }
    let answer: Answer<'_> = serde_json::from_slice(&body).map_err(|error| {
        refused(match error.classify() {
            Category::Data => "its answer has no `access_token`",
            Category::Eof => "its answer is not whole",
            Category::Io | Category::Syntax => "its answer is no JSON",
        })
    })?;
    // Many leave it out who mean a bearer token.
    if answer.token_type.is_some_and(|name| !name.eq_ignore_ascii_case("bearer")) {
        return Err(refused("its token is no bearer token"));
    }
    let is_text = !answer.access_token.is_empty() && answer.access_token.bytes().all(|byte| byte.is_ascii_graphic());
    let header = HeaderValue::try_from(format!("Bearer {}", answer.access_token));
    let Some(mut header) = header.ok().filter(|_| is_text) else {
        return Err(refused("its token has characters that no header holds"));
    };
    header.set_sensitive(true);
    let lives = answer.expires_in.and_then(|text| seconds(text.get()));
    let renew = lives.map(|lives| asked + lives.saturating_sub(EARLY.min(lives / 10)));
    Ok(Token { header, secret: Secret::new(answer.access_token), renew, number })
}

/// A time in seconds, as servers write it: a number, or the text of one. `None` where it is none.
fn seconds(json: &str) -> Option<Duration> {
    let seconds: f64 = json.trim_matches('"').trim().parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(MOST)))
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
struct Answer<'a> {
    access_token: String,
    token_type: Option<String>,
    #[serde(borrow)]
    expires_in: Option<&'a RawValue>,
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
const MOST: f64 = 365.0 * 86_400.0;

/// How long a token server may take. Attempts may wait for less.
const LONGEST_FETCH: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_or_the_text_of_one() {
        for (json, expected) in [
            ("3600", Some(3600.0)),
            ("\"3600\"", Some(3600.0)),
            ("3600.0", Some(3600.0)),
            ("0", Some(0.0)),
            ("1e30", Some(MOST)),
            ("99999999999999999999", Some(MOST)),
            ("-1", None),
            ("true", None),
            ("\"soon\"", None),
            ("\"NaN\"", None),
        ] {
            assert_eq!(seconds(json), expected.map(Duration::from_secs_f64), "{json}");
        }
    }
}
