//! Moments, as they are typed: RFC 3339, a date, or how long ago.

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::Offset};

use crate::config;

/// What names no time zone is in UTC, as the log is; a date is its first moment.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let utc = || Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok();
    let ago = || Timestamp::now().checked_sub(long(text)?).ok();
    text.parse().ok().or_else(utc).or_else(ago).ok_or_else(|| {
        "write a time like 2026-11-22T19:00:00Z, a date like 2026-11-22 (in UTC), or how long ago, like \"15m\" or \"24h\""
            .to_owned()
    })
}

fn long(text: &str) -> Option<Duration> {
    if let Some(days) = text.strip_suffix('d') {
        return Some(Duration::from_secs(days.parse::<u64>().ok()?.checked_mul(24 * 60 * 60)?));
    }
    config::duration(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_a_date_or_so_long_ago() {
        for (text, at) in [
            ("2026-11-22T19:00:00Z", "2026-11-22T19:00:00Z"),
            ("2026-11-22T20:00:00.5+01:00", "2026-11-22T19:00:00.5Z"),
            ("2026-11-22T19:00", "2026-11-22T19:00:00Z"),
            ("2026-11-22 19:00:30", "2026-11-22T19:00:30Z"),
            ("2026-11-22", "2026-11-22T00:00:00Z"),
        ] {
            assert_eq!(moment(text), Ok(at.parse().unwrap()), "{text}");
        }
        for (text, seconds) in [("1h", 3600), ("15m", 900), ("2d", 172_800)] {
            let ago = Timestamp::now().as_second() - moment(text).unwrap().as_second();
            assert!((seconds..seconds + 60).contains(&ago), "{text}: {ago}");
        }
        for wrong in ["", "yesterday", "2026-11-31", "2026-11", "d", "-1d", "99999999999999999999d", "9999999999999d", "15"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }
}
