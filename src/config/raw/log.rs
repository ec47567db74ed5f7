//! The mirror of `[log]`.

use super::{
    MOST, keys,
    reader::{At, Section},
    values::{choice, count, flag, or_off, path, size, switch},
};
use crate::log::Format;

/// What is left out is `None`.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) deliveries: Option<At<String>>,
    /// `Some(None)` is `false`, here and below.
    pub(crate) rotate: Option<At<Option<Rotate>>>,
    pub(crate) format: Option<At<Format>>,
    pub(crate) accepted: Option<At<bool>>,
}

#[derive(Clone)]
pub(crate) struct Rotate {
    pub(crate) size: Option<At<Option<u64>>>,
    pub(crate) every: Option<At<Option<Period>>>,
    pub(crate) keep: Option<At<Option<u64>>>,
    pub(crate) total: Option<At<Option<u64>>>,
    pub(crate) gzip: Option<At<bool>>,
}

#[derive(Clone, Copy)]
pub(crate) enum Period {
    Day,
}

pub(super) fn read(section: &mut Section<'_, '_>) -> Log {
    Log {
        deliveries: section.read("deliveries", path),
        rotate: switch(section, "rotate", |section| {
            let mut section = section.section("rotate", &keys::ROTATE)?;
            Some(Rotate {
                size: section.read("size", or_off(size)),
                every: section.read("every", or_off(choice(PERIODS))),
                keep: section.read("keep", or_off(count(1..=MOST))),
                total: section.read("total", or_off(size)),
                gzip: section.read("gzip", flag),
            })
        }),
        format: section.read("format", choice(FORMATS)),
        accepted: section.read("accepted", flag),
    }
}

pub(super) const FORMATS: &[(&str, Format)] = &[("plain", Format::Plain), ("ecs", Format::Ecs)];
pub(super) const PERIODS: &[(&str, Period)] = &[("day", Period::Day)];
