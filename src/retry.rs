//! When again: what an attempt's outcome means for its delivery.
//!
//! In comes an [`Outcome`], the endpoint's [`Policy`] and how often and how long this delivery has been tried; out goes a
//! [`Verdict`]. This is the only table from outcomes to behaviour.
//!
//! **Invariant:** pure. Clock and randomness are arguments, and the same arguments give the same verdict.

use std::{borrow::Cow, time::Duration};

/// How often, how long apart and on what an endpoint's deliveries are tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub waits: Waits,
    /// The longest wait, also of one that `Retry-After` asks for.
    pub max_delay: Duration,
    /// A wait is multiplied by a random 1 ± this.
    pub jitter: f64,
    /// From an event's acceptance; past it there is no further attempt.
    pub max_age: Option<Duration>,
    pub on: On,
}

/// The waits between attempts, before jitter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waits {
    Exponential {
        attempts: u32,
        delay: Duration,
    },
    Fixed {
        attempts: u32,
        delay: Duration,
    },
    /// One more attempt than it has entries.
    Schedule(Box<[Duration]>),
}

/// Which failures are retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Any,
    Transient,
}

impl Policy {
    /// All attempts of a delivery, the first included.
    pub fn max_attempts(&self) -> u32 {
        match &self.waits {
            Waits::Exponential { attempts, .. } | Waits::Fixed { attempts, .. } => *attempts,
            Waits::Schedule(waits) => waits.len() as u32 + 1,
        }
    }

    /// From the first attempt to the last, without jitter, if none of them takes any time.
    pub fn span(&self) -> Duration {
        let span = (1..).map_while(|made| self.wait_after(made)).fold(Duration::ZERO, Duration::saturating_add);
        self.max_age.map_or(span, |max_age| span.min(max_age))
    }

    /// The wait after attempt number `made`, or `None` when that was the last.
    pub fn wait_after(&self, made: u32) -> Option<Duration> {
        if made >= self.max_attempts() {
            return None;
        }
        let wait = match &self.waits {
            Waits::Exponential { delay, .. } => delay.saturating_mul(2u32.saturating_pow(made.saturating_sub(1))),
            Waits::Fixed { delay, .. } => *delay,
            Waits::Schedule(waits) => *waits.get(made.saturating_sub(1) as usize)?,
        };
        Some(wait.min(self.max_delay))
    }
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered { status: u16 },
    Failed(Failure),
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: ErrorCode,
    /// For people; one line.
    pub error: Cow<'static, str>,
    /// What the receiver asked for, if it was a wait at all.
    pub retry_after: Option<Duration>,
}

/// The kinds of failure, by the words of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    ConnectRefused,
    ConnectTimeout,
    Disabled,
    Dns,
    NetworkForbidden,
    Oauth2,
    Protocol,
    QueueFull,
    Reset,
    Status(u16),
    Timeout,
    Tls,
    Transform,
}

impl ErrorCode {
    /// But for those of answers, [`ErrorCode::Status`].
    pub const ALL: [ErrorCode; 12] = [
        ErrorCode::ConnectRefused,
        ErrorCode::ConnectTimeout,
        ErrorCode::Disabled,
        ErrorCode::Dns,
        ErrorCode::NetworkForbidden,
        ErrorCode::Oauth2,
        ErrorCode::Protocol,
        ErrorCode::QueueFull,
        ErrorCode::Reset,
        ErrorCode::Timeout,
        ErrorCode::Tls,
        ErrorCode::Transform,
    ];

    pub fn as_str(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            ErrorCode::ConnectRefused => "connect_refused",
            ErrorCode::ConnectTimeout => "connect_timeout",
            ErrorCode::Disabled => "disabled",
            ErrorCode::Dns => "dns",
            ErrorCode::NetworkForbidden => "network_forbidden",
            ErrorCode::Oauth2 => "oauth2",
            ErrorCode::Protocol => "protocol",
            ErrorCode::QueueFull => "queue_full",
            ErrorCode::Reset => "reset",
            ErrorCode::Status(status) => return Cow::Owned(format!("status_{status}")),
            ErrorCode::Timeout => "timeout",
            ErrorCode::Tls => "tls",
            ErrorCode::Transform => "transform",
        })
    }

    /// Reads back what [`ErrorCode::as_str`] wrote.
    pub fn from_word(word: &str) -> Option<ErrorCode> {
        if let Some(status) = word.strip_prefix("status_") {
            return status.parse().ok().map(ErrorCode::Status);
        }
        ErrorCode::ALL.into_iter().find(|code| code.as_str() == word)
    }

    pub fn class(self) -> Class {
        match self {
            ErrorCode::Status(501 | 505) => Class::Permanent,
            ErrorCode::Status(408 | 425 | 429 | 500..=599) => Class::Transient,
            ErrorCode::Status(_)
            | ErrorCode::Disabled
            | ErrorCode::NetworkForbidden
            | ErrorCode::QueueFull
            | ErrorCode::Transform => Class::Permanent,
            ErrorCode::ConnectRefused
            | ErrorCode::ConnectTimeout
            | ErrorCode::Dns
            | ErrorCode::Oauth2
            | ErrorCode::Protocol
            | ErrorCode::Reset
            | ErrorCode::Timeout
            | ErrorCode::Tls => Class::Transient,
        }
    }
}

/// Whether the same request may fare better later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Permanent,
    Transient,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Permanent => "permanent",
            Class::Transient => "transient",
        }
    }
}

/// Why a delivery ended in the dead letters, by the words of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Attempts,
    Disabled,
    EndpointRemoved,
    MaxAge,
    Permanent,
    QueueFull,
    Transform,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 7] = [
        Reason::Attempts,
        Reason::Disabled,
        Reason::EndpointRemoved,
        Reason::MaxAge,
        Reason::Permanent,
        Reason::QueueFull,
        Reason::Transform,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Attempts => "attempts",
            Reason::Disabled => "disabled",
            Reason::EndpointRemoved => "endpoint_removed",
            Reason::MaxAge => "max_age",
            Reason::Permanent => "permanent",
            Reason::QueueFull => "queue_full",
            Reason::Transform => "transform",
        }
    }

    /// Reads back what [`Reason::as_str`] wrote.
    pub fn from_word(word: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// What becomes of a delivery whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    DeadLetter(Reason),
    RetryIn(Duration),
}

/// What the failure of attempt number `made` means for a delivery that was accepted `age` ago.
///
/// `random` is uniform in 0..1. `Retry-After` lengthens the wait and never shortens it: jitter is only added to it.
pub fn judge(failure: &Failure, policy: &Policy, made: u32, age: Duration, random: f64) -> Verdict {
    if failure.code.class() == Class::Permanent && policy.on == On::Transient {
        return Verdict::DeadLetter(Reason::Permanent);
    }
    let Some(wait) = policy.wait_after(made) else {
        return Verdict::DeadLetter(Reason::Attempts);
    };
    let jittered = wait.mul_f64(1.0 + policy.jitter * (2.0 * random - 1.0));
    let wait = match failure.retry_after {
        Some(asked) => {
            let asked = asked.min(policy.max_delay);
            jittered.max(asked.mul_f64(1.0 + policy.jitter * random))
        }
        None => jittered,
    };
    match policy.max_age {
        Some(max_age) if age + wait > max_age => Verdict::DeadLetter(Reason::MaxAge),
        _ => Verdict::RetryIn(wait),
    }
}

/// How long a 429 or 503 with `Retry-After` pauses the whole endpoint.
pub fn pause(failure: &Failure, policy: &Policy) -> Option<Duration> {
    match failure.code {
        ErrorCode::Status(429 | 503) => failure.retry_after.map(|asked| asked.min(policy.max_delay)),
        _ => None,
    }
}

/// Reads `Retry-After` (RFC 9110): seconds or a date in any HTTP form. Zero, the past and nonsense are no wish at all.
pub fn retry_after(value: &str, now: std::time::SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => Duration::from_secs(u32::MAX.into()),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).ok()?,
    };
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(waits: Waits) -> Policy {
        Policy { waits, max_delay: 600 * SECOND, jitter: 0.0, max_age: None, on: On::Transient }
    }

    fn failure(code: ErrorCode) -> Failure {
        Failure { code, error: Cow::Borrowed(""), retry_after: None }
    }

    #[test]
    fn exponential_waits_double_up_to_max_delay() {
        let policy = policy(Waits::Exponential { attempts: 12, delay: 5 * SECOND });
        let waits: Vec<_> = (1..=12).map(|made| judge(&failure(ErrorCode::Timeout), &policy, made, SECOND, 0.5)).collect();
        let seconds = [5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600].map(|n| Verdict::RetryIn(n * SECOND));
        assert_eq!(waits[..11], seconds);
        assert_eq!(waits[11], Verdict::DeadLetter(Reason::Attempts));
    }

    #[test]
    fn a_schedule_has_one_more_attempt_than_entries() {
        let policy = policy(Waits::Schedule([5 * SECOND, 300 * SECOND].into()));
        assert_eq!(policy.max_attempts(), 3);
        let verdicts = [1, 2, 3].map(|made| judge(&failure(ErrorCode::Dns), &policy, made, SECOND, 0.5));
        let expected = [Verdict::RetryIn(5 * SECOND), Verdict::RetryIn(300 * SECOND), Verdict::DeadLetter(Reason::Attempts)];
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn statuses_are_classed_as_the_interface_says() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            assert_eq!(ErrorCode::Status(status).class(), Class::Transient, "{status}");
        }
        for status in [301, 302, 400, 401, 404, 409, 410, 422, 501, 505, 600] {
            assert_eq!(ErrorCode::Status(status).class(), Class::Permanent, "{status}");
        }
    }

    #[test]
    fn permanent_failures_are_retried_only_where_the_policy_says_any() {
        let mut policy = policy(Waits::Fixed { attempts: 2, delay: SECOND });
        let gone = failure(ErrorCode::Status(404));
        assert_eq!(judge(&gone, &policy, 1, SECOND, 0.5), Verdict::DeadLetter(Reason::Permanent));
        policy.on = On::Any;
        assert_eq!(judge(&gone, &policy, 1, SECOND, 0.5), Verdict::RetryIn(SECOND));
    }

    #[test]
    fn a_span_is_all_waits_together_and_no_longer_than_max_age() {
        let spans = |waits: Waits| policy(waits).span();
        assert_eq!(spans(Waits::Exponential { attempts: 12, delay: 5 * SECOND }), 3035 * SECOND);
        assert_eq!(spans(Waits::Fixed { attempts: 4, delay: 5 * SECOND }), 15 * SECOND);
        assert_eq!(spans(Waits::Schedule([SECOND, 900 * SECOND].into())), 601 * SECOND);
        assert_eq!(spans(Waits::Fixed { attempts: 1, delay: 5 * SECOND }), Duration::ZERO);
        let aged = Policy { max_age: Some(9 * SECOND), ..policy(Waits::Fixed { attempts: 4, delay: 5 * SECOND }) };
        assert_eq!(aged.span(), 9 * SECOND);
    }

    #[test]
    fn a_wait_past_max_age_is_not_waited() {
        let mut policy = policy(Waits::Fixed { attempts: 9, delay: 10 * SECOND });
        policy.max_age = Some(60 * SECOND);
        assert_eq!(judge(&failure(ErrorCode::Reset), &policy, 1, 50 * SECOND, 0.5), Verdict::RetryIn(10 * SECOND));
        assert_eq!(judge(&failure(ErrorCode::Reset), &policy, 1, 51 * SECOND, 0.5), Verdict::DeadLetter(Reason::MaxAge));
    }

    #[test]
    fn retry_after_is_capped_by_max_delay_for_the_delivery_and_for_the_endpoint() {
        let mut policy = policy(Waits::Fixed { attempts: 9, delay: SECOND });
        policy.jitter = 0.5;
        let failure = Failure { retry_after: Some(3600 * SECOND), ..failure(ErrorCode::Status(503)) };
        for (random, wait) in [(0.0, 600), (0.5, 750), (1.0, 900)] {
            assert_eq!(judge(&failure, &policy, 1, SECOND, random), Verdict::RetryIn(wait * SECOND), "jitter is only added");
        }
        assert_eq!(pause(&failure, &policy), Some(600 * SECOND));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_nothing_else() {
        let now = SystemTime::UNIX_EPOCH + 784_111_777 * SECOND;
        assert_eq!(retry_after("120", now), Some(120 * SECOND));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(60 * SECOND));
        assert_eq!(retry_after("Sunday, 06-Nov-94 08:50:37 GMT", now), Some(60 * SECOND));
        assert_eq!(retry_after("Sun Nov  6 08:50:37 1994", now), Some(60 * SECOND));
        assert!(retry_after("99999999999999999999999", now).is_some_and(|wait| wait > 86_400 * SECOND));
        for nothing in ["", "0", "-5", "1.5", "soon", "Sun, 06 Nov 1994 08:00:00 GMT"] {
            assert_eq!(retry_after(nothing, now), None, "{nothing}");
        }
    }

    #[test]
    fn only_429_and_503_pause_an_endpoint() {
        let policy = policy(Waits::Fixed { attempts: 9, delay: SECOND });
        for (status, paused) in [(429, true), (503, true), (500, false), (408, false)] {
            let failure = Failure { retry_after: Some(9 * SECOND), ..failure(ErrorCode::Status(status)) };
            assert_eq!(pause(&failure, &policy), paused.then_some(9 * SECOND), "{status}");
        }
    }

    proptest! {
        #[test]
        fn jitter_stays_in_its_band_and_retry_after_is_never_undercut(
            random in 0.0..1.0f64, jitter in 0.0..=1.0f64, delay in 1u64..100_000, asked in proptest::option::of(1u64..100_000), made in 1u32..100,
        ) {
            let mut policy = policy(Waits::Exponential { attempts: 100, delay: Duration::from_millis(delay) });
            policy.jitter = jitter;
            let failure = Failure { retry_after: asked.map(Duration::from_millis), ..failure(ErrorCode::Status(503)) };
            let wait = match judge(&failure, &policy, made, SECOND, random) {
                Verdict::RetryIn(wait) => wait,
                Verdict::DeadLetter(reason) => { prop_assert_eq!((reason, made), (Reason::Attempts, 100)); return Ok(()) }
            };
            prop_assert!(wait <= policy.max_delay.mul_f64(1.0 + jitter));
            let plain = policy.wait_after(made).unwrap();
            prop_assert!(wait + Duration::from_nanos(10) >= plain.mul_f64((1.0 - jitter).max(0.0)));
            if let Some(asked) = failure.retry_after {
                prop_assert!(wait >= asked.min(policy.max_delay));
            }
        }
    }
}
