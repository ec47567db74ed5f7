//! Rotation: when a file is done, what it is called from then on, and what becomes of it.
//!
//! ```text
//! deliveries.jsonl ── full, or a new day ──► deliveries-20261122T192153.123456Z.jsonl ── later ──► ….jsonl.gz ── at last ──► gone
//!                     [`Rotator`], in the writer                                          [`Attic`], in a thread of its own
//! ```
//!
//! **Invariant:** no name is used twice, no file is overwritten, and no file is touched that is not this log's.

mod attic;
mod gzip;
mod name;

use std::{
    io,
    path::Path,
    time::{Duration, SystemTime},
};

pub(super) use self::attic::Attic;
use self::name::{Is, Name, Names};
use super::{
    Destination, Rotation,
    disk::{Disk, Found, is_gone},
};

/// Decides when it is time for another file, and names the one that is done.
pub(super) struct Rotator {
    rotation: Rotation,
    /// The latest name given, in microseconds since 1970.
    latest: u64,
    /// After a failure, when to try again.
    rests_until: Option<SystemTime>,
}

impl Rotator {
    pub(super) fn new(rotation: Rotation) -> Rotator {
        Rotator { rotation, latest: 0, rests_until: None }
    }

    /// The same with other rules, which are tried at once.
    pub(super) fn with(self, rotation: Rotation) -> Rotator {
        Rotator { rotation, rests_until: None, ..self }
    }

    /// Bytes that a write may have, so that no file is larger than it may be.
    pub(super) fn most(&self) -> Option<usize> {
        self.rotation.size.and_then(|size| usize::try_from(size).ok())
    }

    /// Whether a file that was `begun` on that day (since 1970) and is not empty should end before `next` bytes are written.
    pub(super) fn is_due(&self, (length, begun): (u64, u64), next: usize, now: SystemTime) -> bool {
        let passes = self.rotation.size.is_some_and(|size| length.saturating_add(next as u64) > size);
        passes || (self.rotation.daily && day(now) > begun)
    }

    /// Not soon after it failed.
    pub(super) fn may_try(&self, now: SystemTime) -> bool {
        self.rests_until.is_none_or(|until| now >= until || until > now + REST)
    }

    /// Gives the file at `path` a name of its own and makes another, like it. What fails leaves all as it was.
    pub(super) fn rotate<D: Disk>(&mut self, disk: &D, path: &Path, old: &Found, now: SystemTime) -> io::Result<D::File> {
        let rotated = self.begin(disk, path, old, now);
        self.rests_until = rotated.as_ref().is_err_and(|error| !is_gone(error)).then(|| now + REST);
        rotated
    }

    fn begin<D: Disk>(&mut self, disk: &D, path: &Path, old: &Found, now: SystemTime) -> io::Result<D::File> {
        // Where it is a link, the link stays, and what it leads to is renamed in its own folder.
        let path = &disk.resolve(path);
        let names = Names::of(path).ok_or(io::ErrorKind::InvalidFilename)?;
        let there = disk.names(names.folder())?.iter().filter_map(|name| names.read(name)).map(|name| name.at).max();
        // Later than all that is there: also where the clock was set back.
        self.latest = micros(now).max(self.latest + 1).max(there.map_or(0, |at| at + 1));
        let rotated = names.path(Name { at: self.latest, is: Is::Plain });
        disk.rename(path, &rotated)?;
        let opened = disk.open(&Destination::File(path.clone()), Some(old));
        if opened.is_err() {
            // What cannot be had anew is better than nothing. If this fails as well, the next write says so.
            let _ = disk.rename(&rotated, path);
        }
        opened
    }
}

/// The day of a time, counted from 1970 in UTC.
pub(super) fn day(time: SystemTime) -> u64 {
    micros(time) / 86_400_000_000
}

fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Until a rotation that failed is tried again.
const REST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
