//! One rotated file, compressed (RFC 1952), without anybody seeing it half done.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use flate2::{Compression, GzBuilder};

use super::super::disk::Found;

/// The paths of a file's three stages.
pub(super) struct Stages<'p> {
    pub(super) plain: &'p Path,
    pub(super) unfinished: &'p Path,
    pub(super) zipped: &'p Path,
}

/// Puts `zipped` in the place of `plain`, with its mode, owner and time; whether that is done. It is not where `goes_on` said
/// no, who is told after each piece how long that took; where `plain` changed or went meanwhile; or where another sidecar is at it.
pub(super) fn zip(stages: &Stages<'_>, goes_on: impl FnMut(Duration) -> bool) -> io::Result<bool> {
    let part = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(stages.unfinished) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        part => part?,
    };
    // Says that this is no leftover.
    let done = part.try_lock().map_err(io::Error::from).and_then(|()| fill(&part, stages, goes_on));
    if !matches!(done, Ok(true)) {
        fs::remove_file(stages.unfinished)?;
    }
    done
}

/// Removes what an earlier process began, and nobody is at.
pub(super) fn remove_leftover(unfinished: &Path) -> io::Result<()> {
    let part = File::open(unfinished)?;
    let is_the_same = |found: fs::Metadata| Ok(Found::from(found).identity == Found::from(part.metadata()?).identity);
    if part.try_lock().is_ok() && fs::symlink_metadata(unfinished).and_then(is_the_same)? {
        fs::remove_file(unfinished)?;
    }
    Ok(())
}

fn fill(part: &File, stages: &Stages<'_>, mut goes_on: impl FnMut(Duration) -> bool) -> io::Result<bool> {
    let Some(mut plain) = unless_gone(File::open(stages.plain))? else { return Ok(false) };
    let before = Found::from(plain.metadata()?);
    let since = before.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let header = GzBuilder::new().mtime(u32::try_from(since.as_secs()).unwrap_or_default());
    let mut zip = header.write(part, Compression::new(LEVEL));
    let mut piece = vec![0; PIECE];
    let mut read = 0;
    loop {
        let began = Instant::now();
        let count = plain.read(&mut piece)?;
        if count == 0 {
            break;
        }
        zip.write_all(&piece[..count])?;
        read += count as u64;
        if !goes_on(began.elapsed()) {
            return Ok(false);
        }
    }
    zip.finish()?;
    before.dress(part)?;
    part.set_modified(before.modified)?;
    part.sync_all()?;
    // A line that came late must not be lost, and what was deleted must not come back.
    let Some(after) = unless_gone(fs::symlink_metadata(stages.plain))?.map(Found::from) else { return Ok(false) };
    if (after.identity, after.length, after.modified) != (before.identity, read, before.modified) {
        return Ok(false);
    }
    fs::rename(stages.unfinished, stages.zipped)?;
    // In this order on the disk, too, where it can be had: there is always one of the two.
    if let Some(folder) = stages.zipped.parent() {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    fs::remove_file(stages.plain)?;
    Ok(true)
}

fn unless_gone<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Bytes read at a time.
const PIECE: usize = 128 * 1024;
const LEVEL: u32 = 6;
