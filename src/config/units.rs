//! Durations, sizes and rates, as the config writes them.
//!
//! Comes in: the text of a value. Goes out: what it means, or how it should have been written.
//!
//! **Invariant:** pure, and what comes out is small enough to add up without overflow.

use std::time::Duration;

/// Why a text is no duration, size or rate; it says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("write \"{instead}\"")]
    Foreign { instead: String },
    #[error("write a whole number and a unit, {examples}")]
    Malformed { examples: &'static str },
    #[error("the unit is missing: {write}")]
    NoUnit { write: String },
    #[error("more than {most}")]
    TooLarge { most: &'static str },
    #[error("`{unit}` is no unit: there are {units}")]
    UnknownUnit { unit: String, units: &'static str },
    #[error("must be more than 0")]
    Zero,
}

/// Reads `"250ms"`, `"5s"`, `"10m"`, `"1h"`; at most 8760h.
pub fn duration(text: &str) -> Result<Duration, Error> {
    let millis = DURATION.read(text)?;
    Ok(Duration::from_millis(millis))
}

/// Reads `"100B"`, `"512KiB"`, `"1MiB"`, `"1GiB"`, `"1TiB"` in bytes; at most 1024TiB.
pub(super) fn size(text: &str) -> Result<u64, Error> {
    SIZE.read(text)
}

/// Reads `"100/s"`, `"6000/m"`, `"10/h"` as the time from one to the next; at most 1000000/s, and not zero.
pub(super) fn rate(text: &str) -> Result<Duration, Error> {
    let (many, nanos) = RATE.parts(text)?;
    let interval = Duration::from_nanos(nanos.checked_div(many).ok_or(Error::Zero)?);
    if interval < FASTEST { Err(Error::TooLarge { most: RATE.most.1 }) } else { Ok(interval) }
}

/// A way of writing a quantity.
pub(super) struct Kind {
    /// With what each stands for.
    pub(super) units: &'static [(&'static str, u64)],
    /// What others write, in lower case, and how many of which unit that is.
    foreign: &'static [(&'static str, &'static str, u64)],
    /// Whether two of the kind are one more of it.
    adds_up: bool,
    listed: &'static str,
    /// What a value of this kind is called.
    pub(super) wanted: &'static str,
    examples: &'static str,
    /// What a number without a unit most likely means.
    pub(super) usual: &'static str,
    most: (u64, &'static str),
}

impl Kind {
    fn read(&self, text: &str) -> Result<u64, Error> {
        let (number, factor) = self.parts(text)?;
        let too_large = || Error::TooLarge { most: self.most.1 };
        number.checked_mul(factor).filter(|total| *total <= self.most.0).ok_or_else(too_large)
    }

    /// The number, and what its unit stands for.
    fn parts(&self, text: &str) -> Result<(u64, u64), Error> {
        let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        if let Some(instead) = self.translated(text).filter(|_| self.units.iter().all(|(name, _)| *name != unit)) {
            return Err(Error::Foreign { instead });
        }
        if digits.is_empty() {
            return Err(Error::Malformed { examples: self.examples });
        }
        let number: u64 = digits.parse().map_err(|_| Error::TooLarge { most: self.most.1 })?;
        if unit.is_empty() {
            return Err(Error::NoUnit { write: self.with_unit(text) });
        }
        let Some((_, factor)) = self.units.iter().find(|(name, _)| *name == unit) else {
            let is_letter = |character: char| character.is_ascii_alphabetic() || character == '/';
            let decimal = unit.starts_with('.') || !unit.chars().all(is_letter);
            return Err(match decimal {
                true => Error::Malformed { examples: self.examples },
                false => Error::UnknownUnit { unit: unit.to_owned(), units: self.listed },
            });
        };
        Ok((number, *factor))
    }

    /// What to write in place of a number.
    pub(super) fn with_unit(&self, number: &str) -> String {
        let usual = format!("{number}{}", self.usual);
        let written = self.translated(&usual).unwrap_or(usual);
        // A large number of seconds was likely meant as milliseconds.
        match number.parse::<u64>() {
            Ok(1000..) if self.usual == "s" => format!("write \"{number}ms\" or \"{number}s\""),
            Ok(_) => format!("write \"{number}{}\"", self.usual),
            Err(_) => format!("write \"{written}\""),
        }
    }

    /// The same quantity as it is written here, where the text is one as others write it: `1.5 MB`, `1h30m`, `2 days`.
    fn translated(&self, text: &str) -> Option<String> {
        let text = text.trim().to_lowercase();
        let mut rest = text.as_str();
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (number, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
            let (unit, behind) = behind.split_at(behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len()));
            let unit = unit.trim_matches([' ', ',']);
            let own = self.units.iter().find(|(name, _)| name.to_lowercase() == unit).map(|(name, _)| (*name, 1));
            let foreign = || self.foreign.iter().find(|(names, ..)| names.split(',').any(|name| name == unit));
            parts.push((number, own.or_else(|| foreign().map(|(_, name, many)| (*name, *many)))?));
            rest = behind;
        }
        if let [(number, (unit, many))] = parts[..]
            && let Ok(number) = number.parse::<u64>()
        {
            return Some(format!("{}{unit}", number.checked_mul(many)?));
        }
        let factor = |unit: &str| self.units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let mut total: u64 = 0;
        for (number, (unit, many)) in parts {
            total = total.checked_add(exactly(number, factor(unit)?.checked_mul(many)?)?)?;
        }
        let (unit, factor) = self.units.iter().rfind(|(_, factor)| total.is_multiple_of(*factor) && total > 0 && self.adds_up)?;
        Some(format!("{}{unit}", total / factor))
    }
}

/// The number times `factor`, where that is a whole number.
fn exactly(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let divisor = 10_u64.checked_pow(fraction.len().try_into().ok()?)?;
    let digits = format!("{whole}{fraction}").parse::<u64>().ok()?.checked_mul(factor)?;
    digits.is_multiple_of(divisor).then_some(digits / divisor)
}

pub(super) const DURATION: Kind = Kind {
    units: &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)],
    foreign: &[
        ("msec,msecs,millis,millisecond,milliseconds", "ms", 1),
        ("sec,secs,second,seconds", "s", 1),
        ("min,mins,minute,minutes", "m", 1),
        ("hr,hrs,hour,hours", "h", 1),
        ("d,day,days", "h", 24),
        ("w,week,weeks", "h", 168),
    ],
    adds_up: true,
    listed: "ms, s, m, h",
    wanted: "a duration like \"5s\"",
    examples: "like \"250ms\", \"5s\", \"10m\" or \"1h\"",
    usual: "s",
    most: (8760 * 3_600_000, "a year (8760h)"),
};

pub(super) const SIZE: Kind = Kind {
    units: &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)],
    foreign: &[
        ("byte,bytes", "B", 1),
        ("k,kb,ki", "KiB", 1),
        ("m,mb,mi", "MiB", 1),
        ("g,gb,gi", "GiB", 1),
        ("t,tb,ti", "TiB", 1),
    ],
    adds_up: true,
    listed: "B, KiB, MiB, GiB, TiB",
    wanted: "a size like \"1MiB\"",
    examples: "like \"512KiB\" or \"1MiB\"",
    usual: "B",
    most: (1 << 50, "1024TiB"),
};

/// In nanoseconds.
pub(super) const RATE: Kind = Kind {
    units: &[("/s", 1_000_000_000), ("/m", 60_000_000_000), ("/h", 3_600_000_000_000)],
    foreign: &[
        ("/sec,/second,/1s,per s,per sec,per second,a second,rps,/ s,hz", "/s", 1),
        ("/min,/minute,per m,per min,per minute,a minute,rpm,/ m,/ min", "/m", 1),
        ("/hr,/hour,per h,per hour,an hour,/ h", "/h", 1),
    ],
    adds_up: false,
    listed: "/s, /m, /h",
    wanted: "a rate like \"100/s\"",
    examples: "like \"100/s\" or \"6000/m\"",
    usual: "/s",
    most: (u64::MAX, "1000000/s"),
};

const FASTEST: Duration = Duration::from_micros(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_and_sizes_are_whole_numbers_with_a_unit() {
        for (text, millis) in
            [("250ms", 250), ("5s", 5000), ("10m", 600_000), ("1h", 3_600_000), ("0s", 0), ("8760h", 31_536_000_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, bytes) in [("7B", 7), ("512KiB", 512 << 10), ("1MiB", 1 << 20), ("3GiB", 3 << 30), ("1TiB", 1 << 40)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_rate_is_the_time_from_one_to_the_next() {
        for (text, micros) in [("100/s", 10_000), ("6000/m", 10_000), ("1/h", 3_600_000_000), ("1000000/s", 1)] {
            assert_eq!(rate(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for (text, message) in [
            ("0/s", "must be more than 0"),
            ("100", "the unit is missing: write \"100/s\""),
            ("100/d", "`/d` is no unit: there are /s, /m, /h"),
            ("100 / s", "write \"100/s\""),
            ("100 per second", "write \"100/s\""),
            ("100/min", "write \"100/m\""),
            ("60rpm", "write \"60/m\""),
            ("1.5/s", "write a whole number and a unit, like \"100/s\" or \"6000/m\""),
            ("1000001/s", "more than 1000000/s"),
        ] {
            assert_eq!(rate(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn what_is_none_says_what_to_write() {
        for (text, message) in [
            ("5", "the unit is missing: write \"5s\""),
            ("", "write a whole number and a unit, like \"250ms\", \"5s\", \"10m\" or \"1h\""),
            ("5000", "the unit is missing: write \"5000ms\" or \"5000s\""),
            ("1000", "the unit is missing: write \"1000ms\" or \"1000s\""),
            ("999", "the unit is missing: write \"999s\""),
            ("1.5s", "write \"1500ms\""),
            ("1.5 hours", "write \"90m\""),
            ("1h30m", "write \"90m\""),
            ("1h 30 min", "write \"90m\""),
            ("1 hour, 30 min", "write \"90m\""),
            ("5sec", "write \"5s\""),
            ("5S", "write \"5s\""),
            ("0.0001ms", "write a whole number and a unit, like \"250ms\", \"5s\", \"10m\" or \"1h\""),
            ("-5s", "write a whole number and a unit, like \"250ms\", \"5s\", \"10m\" or \"1h\""),
            ("5 s", "write \"5s\""),
            ("2d", "write \"48h\""),
            ("2y", "`y` is no unit: there are ms, s, m, h"),
            ("8761h", "more than a year (8760h)"),
            ("99999999999999999999s", "more than a year (8760h)"),
        ] {
            assert_eq!(duration(text).unwrap_err().to_string(), message, "{text}");
        }
        for (text, message) in [
            ("1MB", "write \"1MiB\""),
            ("1.5 MB", "write \"1536KiB\""),
            ("512k", "write \"512KiB\""),
            ("1 mib", "write \"1MiB\""),
            ("1PB", "`PB` is no unit: there are B, KiB, MiB, GiB, TiB"),
        ] {
            assert_eq!(size(text).unwrap_err().to_string(), message, "{text}");
        }
        assert_eq!(size("1048576").unwrap_err().to_string(), "the unit is missing: write \"1048576B\"");
        assert_eq!(size("1025TiB").unwrap_err().to_string(), "more than 1024TiB");
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text in ".{0,12}") {
            let _ = (duration(&text), size(&text));
        }

        #[test]
        fn what_is_written_is_what_is_read(number in 0u64..1_000_000) {
            prop_assert_eq!(duration(&format!("{number}s")), Ok(Duration::from_secs(number)));
            prop_assert_eq!(size(&format!("{number}KiB")), Ok(number << 10));
        }
    }
}
