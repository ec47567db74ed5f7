//! When an event happened.

use jiff::civil::{Date, date};

/// The RFC 3339 text as carried, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time<'a> {
    pub text: &'a str,
    /// Whole seconds since the Unix epoch, rounded down; a leap second is part of the one before it.
    pub unix_seconds: i64,
}

impl<'a> Time<'a> {
    /// Reads RFC 3339 (`2026-11-22T19:21:53.5+01:00`), and nothing wider.
    pub fn parse(text: &'a str) -> Option<Time<'a>> {
        let (head, rest) = text.as_bytes().split_first_chunk::<19>()?;
        if [head[4], head[7], head[10] | 0x20, head[13], head[16]] != *b"--t::" {
            return None;
        }
        let (month, day) = (number(&head[5..7])?, number(&head[8..10])?);
        let day = Date::new(number(&head[..4])?, month as i8, day as i8).ok()?;
        let [hour, minute, second] = [&head[11..13], &head[14..16], &head[17..]].map(|digits| number(digits).map(i64::from));
        let (hour, minute, second) = (hour?, minute?, second?);
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        // A timestamp of jiff's ends before the year 9999 does everywhere: its days do not.
        let minutes = day.duration_since(EPOCH).as_mins() + hour * 60 + minute - offset(after_fraction(rest)?)?;
        if second == 60 && minutes.rem_euclid(DAY) != DAY - 1 {
            return None;
        }
        Some(Time { text, unix_seconds: minutes * 60 + second.min(59) })
    }
}

/// What follows the fraction of a second, where there is one.
fn after_fraction(rest: &[u8]) -> Option<&[u8]> {
    let Some(fraction) = rest.strip_prefix(b".") else { return Some(rest) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then(|| &fraction[digits..])
}

/// The minutes by which local time is ahead of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        [b'Z' | b'z'] => return Some(0),
        [b'+', hours @ .., b':', m, n] => (1, number(hours)?, number(&[*m, *n])?),
        [b'-', hours @ .., b':', m, n] => (-1, number(hours)?, number(&[*m, *n])?),
        _ => return None,
    };
    (zone.len() == 6 && hours <= 23 && minutes <= 59).then(|| sign * i64::from(hours * 60 + minutes))
}

/// The number that at most four digits are.
fn number(digits: &[u8]) -> Option<i16> {
    let add = |number: i16, byte: &u8| byte.is_ascii_digit().then(|| number * 10 + i16::from(byte - b'0'));
    (digits.len() <= 4).then_some(digits)?.iter().try_fold(0, add)
}

const EPOCH: Date = date(1970, 1, 1);

/// In minutes.
const DAY: i64 = 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        Time::parse(text).map(|time| time.unix_seconds)
    }

    #[test]
    fn rfc_3339_times_are_read() {
        for (text, expected) in [
            ("2016-06-21T02:33:30Z", 1_466_476_410),
            ("2016-06-21t02:33:30.999999999999z", 1_466_476_410),
            ("2016-06-21T02:33:30.12345678901234567890123Z", 1_466_476_410),
            ("2016-06-21T04:33:30+02:00", 1_466_476_410),
            ("2016-06-20T22:03:30-04:30", 1_466_476_410),
            ("2016-06-21T02:33:30-00:00", 1_466_476_410),
            ("2016-06-22T02:32:30+23:59", 1_466_476_410),
            ("1969-12-31T23:59:59.5Z", -1),
            ("2016-02-29T00:00:00Z", 1_456_704_000),
            ("0000-01-01T00:00:00+23:59", -62_167_305_540),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("9999-12-31T23:59:59-23:59", 253_402_387_139),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_at_the_end_of_a_day_of_utc() {
        for text in ["2016-12-31T23:59:60Z", "2016-12-31T23:59:60.9Z", "2017-01-01T00:59:60+01:00", "2016-12-31T15:59:60-08:00"] {
            assert_eq!(seconds(text), Some(1_483_228_799), "{text}");
        }
        for wrong in ["2016-12-31T12:00:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:58:60Z", "2016-12-31T23:59:61Z"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_wider_is_read() {
        for wrong in [
            "",
            "2016-06-21",
            "2016-06-21 02:33:30Z",
            "2016-06-21T02:33:30",
            "2016-06-21T02:33Z",
            "2016-02-30T00:00:00Z",
            "2015-02-29T00:00:00Z",
            "2016-00-01T00:00:00Z",
            "2016-13-01T00:00:00Z",
            "2016-01-00T00:00:00Z",
            "2016-06-21T02:33:30.Z",
            "2016-06-21T02:33:30.5",
            "2016-06-21T02:33:30,5Z",
            "2016-06-21T24:00:00Z",
            "2016-06-21T25:33:30Z",
            "2016-06-21T02:60:30Z",
            "2016-06-21T02:33:+1Z",
            "2016-06-21T02:33:30+0200",
            "2016-06-21T02:33:30+02",
            "2016-06-21T02:33:30+2:00",
            "2016-06-21T02:33:30+002:00",
            "2016-06-21T02:33:30+24:00",
            "2016-06-21T02:33:30+02:60",
            "2016-06-21T02:33:30 02:00",
            "+2016-06-21T02:33:30Z",
            "2016-06-21T02:33:30Z[UTC]",
            "2016-06-21T02:33:30Z ",
            "２016-06-21T02:33:30Z",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
