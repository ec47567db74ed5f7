//! Lines of the log for people and for other programs: a table, CSV, a report, and what they come to.
//!
//! In come entries one by one, out goes text. Where it goes, how wide that is and what time it is are arguments.
//!
//! **Invariant:** pure; whatever the number of lines, a bounded number of them is in memory; what a stranger wrote can steer
//! neither a terminal nor a spreadsheet.

mod csv;
pub mod pdf;
mod stats;
mod table;

use std::borrow::Cow;

pub use self::{
    csv::Csv,
    stats::Stats,
    table::{Look, Table},
};
use crate::log::reader::Entry;

/// The attempt, and how many there may be.
fn attempt(entry: &Entry<'_>) -> String {
    match (entry.attempt, entry.max_attempts) {
        (Some(attempt), Some(most)) => format!("{attempt}/{most}"),
        (Some(attempt), None) => attempt.to_string(),
        (None, _) => String::new(),
    }
}

/// Of a delivery why it failed, codes first; of anything else what happened.
fn detail<'e>(entry: &'e Entry<'_>) -> Cow<'e, str> {
    let (reason, code, error) = (entry.reason.as_deref(), entry.error_code.as_deref(), entry.error.as_deref());
    let parts = match entry.kind.as_deref() {
        Some("delivery") => [reason, code.filter(|_| code != reason), error],
        _ => [entry.message.as_deref(), error, None],
    };
    let mut parts = parts.into_iter().flatten();
    let first = parts.next().unwrap_or_default();
    parts.fold(first.into(), |told, part| format!("{told}: {part}").into())
}

/// How many were delivered, in per cent; rounded down, for 100 % is all of them. `None` if nothing `ended`.
fn success(delivered: u64, ended: u64) -> Option<String> {
    let share = (u128::from(delivered) * 10_000).checked_div(ended.into())?;
    Some(format!("{}.{:02}%", share / 100, share % 100))
}

/// Milliseconds, in three digits and a unit.
fn took(milliseconds: f64) -> String {
    let (number, unit) = match milliseconds {
        ..1000.0 => (milliseconds, "ms"),
        _ => (milliseconds / 1000.0, "s"),
    };
    match number {
        ..10.0 => format!("{number:.2}{unit}"),
        10.0..100.0 => format!("{number:.1}{unit}"),
        _ => format!("{number:.0}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_per_cent_means_all() {
        for (delivered, ended, told) in [
            (0, 0, None),
            (0, 1, Some("0.00%")),
            (1, 1, Some("100.00%")),
            (2, 3, Some("66.66%")),
            (999_999, 1_000_000, Some("99.99%")),
            (u64::MAX - 1, u64::MAX, Some("99.99%")),
        ] {
            assert_eq!(success(delivered, ended).as_deref(), told);
        }
    }

    #[test]
    fn three_digits_say_how_long_something_took() {
        for (milliseconds, told) in
            [(0.0, "0.00ms"), (9.99, "9.99ms"), (12.345, "12.3ms"), (999.0, "999ms"), (1000.0, "1.00s"), (61_000.0, "61.0s")]
        {
            assert_eq!(took(milliseconds), told);
        }
    }

    #[test]
    fn a_reason_that_is_the_code_as_well_is_said_once() {
        let entry = Entry { kind: Some("delivery".into()), reason: Some("queue_full".into()), ..Entry::default() };
        assert_eq!(detail(&Entry { error_code: Some("queue_full".into()), ..entry.clone() }), "queue_full");
        let told = Entry { error_code: Some("timeout".into()), error: Some("no answer".into()), ..entry };
        assert_eq!(detail(&told), "queue_full: timeout: no answer");
    }
}
