//! Retries that the queue cannot wait for, or that never come.

use std::time::Duration;

use super::Both;
use crate::config::problems::{Code, Problem, Problems};

pub(super) fn warn(endpoint: &Both<'_>, problems: &mut Problems) {
    overflow(endpoint, problems);
    no_retry(endpoint, problems);
}

/// Events may come as fast as `rate` lets them out, and wait as long as the retries last.
fn overflow(endpoint: &Both<'_>, problems: &mut Problems) {
    let Some(rate) = endpoint.typed(|table| &table.pace.interval) else { return };
    let (holds, span) = (endpoint.made.queue.events, endpoint.made.retry.span());
    let come = span.as_nanos() / rate.value.as_nanos().max(1);
    if come <= holds as u128 {
        return;
    }
    let lasts = rate.value.saturating_mul(holds.try_into().unwrap_or(u32::MAX));
    let message = "an outage may fill the queue before the retries are over";
    let label = format!("in {} come {come} events at this rate, and the queue holds {holds}", written(span));
    let help = format!("raise `queue.events`, or give up within {}: fewer `attempts`, or `retry.max_age`", written(lasts));
    problems.push(Problem::warning(Code::Overflow, &rate.span, message).label(label).help(help));
}

fn no_retry(endpoint: &Both<'_>, problems: &mut Problems) {
    let retry = &endpoint.made.retry;
    let Some((typed, wait)) = endpoint.typed(|table| &table.retry.max_age).zip(retry.wait_after(1)) else { return };
    if wait.mul_f64(1.0 - retry.jitter) > typed.value {
        let message = "no retry is ever made";
        let label = format!("the first would come after {}", written(wait));
        problems.push(Problem::warning(Code::NoRetry, &typed.span, message).label(label).help("`attempts = 1` says so"));
    }
}

/// As the file would say it, rounded down.
fn written(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{}ms", duration.as_millis()),
        seconds @ ..120 => format!("{seconds}s"),
        seconds @ ..7200 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}
