//! Durations, sizes and rates, as the config writes them.
//!
//! Comes in: the text of a value. Goes out: what it means, or how it should have been written.
//!
//! **Invariant:** pure, and what comes out is small enough to add up without overflow.

use std::time::Duration;

/// Why a text is no duration, size or rate; it says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("write a whole number and a unit, {examples}")]
    Malformed { examples: &'static str },
    #[error("the unit is missing: write \"{number}{unit}\"")]
    NoUnit { number: u64, unit: &'static str },
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
        if digits.is_empty() {
            return Err(Error::Malformed { examples: self.examples });
        }
        let number: u64 = digits.parse().map_err(|_| Error::TooLarge { most: self.most.1 })?;
        if unit.is_empty() {
            return Err(Error::NoUnit { number, unit: self.usual });
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
}

pub(super) const DURATION: Kind = Kind {
    units: &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)],
    listed: "ms, s, m, h",
    wanted: "a duration like \"5s\"",
    examples: "like \"250ms\", \"5s\", \"10m\" or \"1h\"",
    usual: "s",
    most: (8760 * 3_600_000, "a year (8760h)"),
};

pub(super) const SIZE: Kind = Kind {
    units: &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)],
    listed: "B, KiB, MiB, GiB, TiB",
    wanted: "a size like \"1MiB\"",
    examples: "like \"512KiB\" or \"1MiB\"",
    usual: "B",
    most: (1 << 50, "1024TiB"),
};

/// In nanoseconds.
pub(super) const RATE: Kind = Kind {
    units: &[("/s", 1_000_000_000), ("/m", 60_000_000_000), ("/h", 3_600_000_000_000)],
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
            ("100 / s", "write a whole number and a unit, like \"100/s\" or \"6000/m\""),
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
            ("1.5s", "write a whole number and a unit, like \"250ms\", \"5s\", \"10m\" or \"1h\""),
            ("-5s", "write a whole number and a unit, like \"250ms\", \"5s\", \"10m\" or \"1h\""),
            ("5 s", "write a whole number and a unit, like \"250ms\", \"5s\", \"10m\" or \"1h\""),
            ("2d", "`d` is no unit: there are ms, s, m, h"),
            ("8761h", "more than a year (8760h)"),
            ("99999999999999999999s", "more than a year (8760h)"),
        ] {
            assert_eq!(duration(text).unwrap_err().to_string(), message, "{text}");
        }
        assert_eq!(size("1MB").unwrap_err().to_string(), "`MB` is no unit: there are B, KiB, MiB, GiB, TiB");
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
