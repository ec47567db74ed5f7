//! What a reply means for its attempt.

use std::time::Duration;

use crate::deliver::tests::world::Reply;

/// How a failed attempt failed.
#[derive(Clone, Copy)]
pub(super) struct Failure {
    pub status: Option<u16>,
    pub asked: Option<u64>,
}

impl Failure {
    pub(super) fn is_permanent(self) -> bool {
        let is_transient = |status| matches!(status, 408 | 425 | 429) || status >= 500 && !matches!(status, 501 | 505);
        self.status.is_some_and(|status| !is_transient(status))
    }
}

/// What an exchange came to.
pub(super) enum Answer {
    /// It was in vain for its connection's sake.
    Again,
    Delivered(u16),
    Failed(Failure),
    /// It was broken off.
    Never,
}

impl Answer {
    /// Of a request that was under way for so long, and came over a connection that was used before or not.
    pub(super) fn of(reply: &Reply, took: Duration, timeout: Duration, reuses: bool) -> Answer {
        let status = |status: u16, asked: Option<&str>| match status {
            200..=299 => Answer::Delivered(status),
            _ => Answer::Failed(Failure { status: Some(status), asked: asked.map(|asked| asked.parse().unwrap()) }),
        };
        let nothing = Answer::Failed(Failure { status: None, asked: None });
        let in_time = |wait: Duration, answer: Answer| match () {
            () if wait < timeout && took >= wait => answer,
            () if took >= timeout => nothing,
            () => Answer::Never,
        };
        match reply {
            Reply::After(wait, code) | Reply::Cursed(wait, code) => in_time(*wait, status(*code, None)),
            Reply::Asking(code, asked) => status(*code, Some(asked)),
            Reply::AskingAfter(wait, code, asked) => in_time(*wait, status(*code, Some(asked))),
            Reply::Broken { silent: true } if reuses => Answer::Again,
            Reply::Broken { .. } | Reply::Panic => Answer::Failed(Failure { status: None, asked: None }),
            Reply::Endless | Reply::Garbled => Answer::Delivered(200),
            Reply::Hang => in_time(Duration::MAX, Answer::Never),
            Reply::Saying(code, _) | Reply::Status(code) => status(*code, None),
        }
    }
}
