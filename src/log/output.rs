//! Where lines go: stdout, or a file that others may rename, delete or truncate while we write, and that we rotate if asked.
//!
//! In comes a [`Batch`], out go its lines, each `write(2)` ending at a line's end as far as the system lets it.
//! A line that was written in part is completed where its beginning still is the end of the file, and else written again
//! as a whole, its torn beginning closed with a line feed.
//!
//! **Invariant:** lines are written to the file that has the path's name when the step begins, and a line that we begin
//! begins at a line's beginning.

use std::{
    fmt, io,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::{
    Rotation, Settings,
    batch::Batch,
    disk::{Disk, Files, Found, is_gone},
    rotate::{self, Rotator},
};

/// Where the delivery log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Its folder is created if missing.
    File(PathBuf),
    Stdout,
}

pub(super) struct Output<D: Disk = Files> {
    disk: D,
    destination: Destination,
    rotator: Option<Rotator>,
    file: Option<Opened<D::File>>,
    /// When it was seen that the path leads elsewhere, or nowhere, until another file is open.
    moved: Option<SystemTime>,
    /// How the last rotation went.
    rotated: Option<io::Result<()>>,
}

impl Output {
    pub(super) fn open(settings: Settings) -> io::Result<Output> {
        let mut output = Output::on(Files::new(&settings.destination), settings.destination)?;
        output.set_rotation(settings.rotate);
        Ok(output)
    }
}

impl<D: Disk> Output<D> {
    pub(super) fn on(disk: D, destination: Destination) -> io::Result<Output<D>> {
        let file = Some(Opened::open(&disk, &destination)?);
        Ok(Output { disk, destination, rotator: None, file, moved: None, rotated: None })
    }

    pub(super) fn set_rotation(&mut self, rotation: Option<Rotation>) {
        self.rotator = rotation.clone().map(|rotation| match self.rotator.take() {
            Some(rotator) => rotator.with(rotation),
            None => Rotator::new(rotation),
        });
        self.disk.set_rotation(rotation);
    }

    /// One `write(2)` of what is left of `batch`. `WouldBlock` is an error that passes by itself.
    pub(super) fn write(&mut self, batch: &mut Batch, now: SystemTime) -> io::Result<()> {
        self.follow_the_name(batch, now)?;
        if self.file.is_none() {
            self.file = Some(Opened::open(&self.disk, &self.destination).map_err(|error| self.or_not_yet(error, now))?);
            self.moved = None;
        }
        if self.is_due(batch, now) {
            self.rotate(batch, now);
        }
        let most = self.rotator.as_ref().and_then(Rotator::most).unwrap_or(usize::MAX);
        // It is there by now, and where it is not, somebody else is to look again.
        let Some(opened) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        opened.write(&self.disk, batch, most)
    }

    /// How the last rotation went; once for each.
    pub(super) fn rotated(&mut self) -> Option<io::Result<()>> {
        self.rotated.take()
    }

    /// The next write opens the file again. Stdout has no name to open it by, and stays.
    pub(super) fn reopen(&mut self, batch: &mut Batch) {
        if self.destination != Destination::Stdout {
            self.leave(batch);
        }
    }

    /// Makes `batch` ready for another file: it begins with a whole line.
    pub(super) fn leave(&mut self, batch: &mut Batch) {
        if let Some(mut opened) = self.file.take() {
            if opened.unclosed || batch.is_torn() {
                opened.give_up_line(&self.disk, batch);
            }
            self.disk.leave(opened.file);
        }
        batch.rewind();
    }

    /// Waits until what was written is on disk, where that means something.
    pub(super) fn sync(&self) -> io::Result<()> {
        let synced = self.file.as_ref().map_or(Ok(()), |opened| self.disk.sync(&opened.file));
        self.disk.close();
        synced
    }

    /// A stat for each write, about a microsecond for some hundred lines, so that no line goes to a file rotated away.
    fn follow_the_name(&mut self, batch: &mut Batch, now: SystemTime) -> io::Result<()> {
        let (Destination::File(path), Some(opened)) = (&self.destination, &mut self.file) else { return Ok(()) };
        match self.disk.look(path) {
            Ok(found) if found.identity == opened.found.identity => (opened.found, self.moved) = (found, None),
            // It may still be there, and can be written to.
            Err(error) if !is_gone(&error) => {}
            found => {
                self.moved.get_or_insert(now);
                let is_renamed = found.is_err() && !self.disk.look_at(&opened.file).is_ok_and(|old| old.links == 0);
                if is_renamed && self.has_just_moved(now) {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.reopen(batch);
            }
        }
        Ok(())
    }

    /// Whoever renamed the file may be about to make another (logrotate's `create`), and puts aside one that is there by then.
    fn has_just_moved(&self, now: SystemTime) -> bool {
        // A clock that was set back ends it.
        self.moved.is_some_and(|moved| now.duration_since(moved).is_ok_and(|since| since < MAKING))
    }

    /// A file that was just made may still have its maker as its owner.
    fn or_not_yet(&self, error: io::Error, now: SystemTime) -> io::Error {
        let is_not_yet = error.kind() == io::ErrorKind::PermissionDenied && self.has_just_moved(now);
        if is_not_yet { io::ErrorKind::WouldBlock.into() } else { error }
    }

    fn is_due(&mut self, batch: &Batch, now: SystemTime) -> bool {
        let (Some(rotator), Some(opened)) = (&self.rotator, &mut self.file) else { return false };
        if !opened.found.is_file {
            return false;
        }
        self.disk.grown_to(opened.found.length);
        if opened.found.length == 0 {
            opened.begun = rotate::day(now);
            return false;
        }
        if opened.is_full {
            return rotator.may_try(now);
        }
        let next = batch.step(rotator.most().unwrap_or(usize::MAX)).len();
        !batch.is_torn() && rotator.is_due((opened.found.length, opened.begun), next, now) && rotator.may_try(now)
    }

    fn rotate(&mut self, batch: &mut Batch, now: SystemTime) {
        let (Destination::File(path), Some(rotator), Some(opened)) = (&self.destination, &mut self.rotator, &self.file) else {
            return;
        };
        let made = rotator.rotate(&self.disk, path, &opened.found, now);
        self.rotated = match made.and_then(|file| Opened::from(&self.disk, file, false)) {
            Ok(mut made) => {
                self.leave(batch);
                // Its own date may be a moment older than the day.
                made.begun = rotate::day(now);
                (self.file, self.moved) = (Some(made), None);
                Some(Ok(()))
            }
            // Somebody else did it in this very moment, and the next write sees that.
            Err(error) if is_gone(&error) => None,
            Err(error) => Some(Err(error)),
        };
    }
}

impl<D: Disk> fmt::Display for Output<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.destination.fmt(f)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::File(path) => path.display().fmt(f),
            Destination::Stdout => f.write_str("stdout"),
        }
    }
}

struct Opened<F> {
    file: F,
    /// As it was when it was last looked at.
    found: Found,
    /// The day of its first line, as far as that is known.
    begun: u64,
    /// The file ends inside a line that nobody will complete.
    unclosed: bool,
    /// The file's length after a line was written in part.
    torn_at: Option<u64>,
    /// The system lets no more be written to it, whatever its size.
    is_full: bool,
}

impl<F> Opened<F> {
    fn open<D: Disk<File = F>>(disk: &D, destination: &Destination) -> io::Result<Opened<F>> {
        let file = disk.open(destination, None)?;
        Opened::from(disk, file, *destination == Destination::Stdout)
    }

    fn from<D: Disk<File = F>>(disk: &D, file: F, is_stdout: bool) -> io::Result<Opened<F>> {
        let found = disk.look_at(&file)?;
        let unclosed = !is_stdout && ends_inside_a_line(disk, &file, &found)?;
        Ok(Opened { file, begun: rotate::day(found.modified), found, unclosed, torn_at: None, is_full: false })
    }

    fn write<D: Disk<File = F>>(&mut self, disk: &D, batch: &mut Batch, most: usize) -> io::Result<()> {
        if let Some(length) = self.torn_at {
            let found = disk.look_at(&self.file)?;
            self.torn_at = None;
            if found.length != length {
                batch.rewind();
                // A stdout that is a file may not be readable; an empty line does less harm than two lines in one.
                self.unclosed = ends_inside_a_line(disk, &self.file, &found).unwrap_or(true);
            }
        }
        if self.unclosed {
            self.close_line(disk)?;
        }
        let written = write_some(|bytes| disk.write(&mut self.file, bytes), batch, most);
        self.is_full = written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::FileTooLarge);
        if batch.is_torn() {
            // A length that nobody knows is none that is still the same.
            self.torn_at = Some(disk.look_at(&self.file).map_or(u64::MAX, |found| found.length));
        }
        written
    }

    /// Closes a line that is to be written elsewhere, as far as that goes: what is in this file is no longer ours to mend.
    fn give_up_line<D: Disk<File = F>>(&mut self, disk: &D, batch: &mut Batch) {
        let is_whole = batch.begun() == 1 && disk.look_at(&self.file).is_ok_and(|found| Some(found.length) == self.torn_at);
        if self.close_line(disk).is_ok() && is_whole {
            batch.advance(1);
        }
    }

    fn close_line<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        while disk.write(&mut self.file, b"\n").or_else(again)? == 0 {}
        self.unclosed = false;
        Ok(())
    }
}

fn write_some(write: impl FnOnce(&[u8]) -> io::Result<usize>, batch: &mut Batch, most: usize) -> io::Result<()> {
    match write(batch.step(most)) {
        Ok(0) if !batch.is_empty() => Err(io::ErrorKind::WriteZero.into()),
        Ok(count) => {
            batch.advance(count);
            Ok(())
        }
        Err(error) => again(error).map(drop),
    }
}

/// A write that was interrupted wrote nothing, and is no failure.
fn again(error: io::Error) -> io::Result<usize> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) }
}

fn ends_inside_a_line<D: Disk>(disk: &D, file: &D::File, found: &Found) -> io::Result<bool> {
    if !found.is_file || found.length == 0 {
        return Ok(false);
    }
    let last = disk.byte_at(file, found.length - 1)?;
    Ok(last.is_some_and(|last| last != b'\n'))
}

/// How long somebody may take to make another file in the place of one; with the time that lines gather, less than the
/// 100 ms that they may be late.
const MAKING: Duration = Duration::from_millis(30);

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, OpenOptions},
        io::Write,
        path::Path,
    };

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn short_and_failing_writes_lose_and_double_nothing(
            lines in proptest::collection::vec("[a-z]{0,40}", 0..20),
            takes in proptest::collection::vec(proptest::option::of(1..60_usize), 0..40),
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let mut batch = batch(&text);
            let mut receiver = Receiver { got: Vec::new(), takes: takes.into_iter() };
            while !batch.is_empty() {
                let _ = write_some(|bytes| receiver.write(bytes), &mut batch, usize::MAX);
                let left = text.len() - receiver.got.len();
                prop_assert_eq!(batch.len(), left);
                prop_assert_eq!(batch.lines() as usize, text[receiver.got.len()..].matches('\n').count());
            }
            prop_assert_eq!(receiver.got, text.as_bytes());
        }
    }

    #[test]
    fn a_write_is_at_most_64_kib_of_whole_lines() {
        let line = format!("{}\n", "x".repeat(6000));
        let mut batch = batch(&line.repeat(30));
        while !batch.is_empty() {
            let step = batch.step(usize::MAX);
            assert!(step.len() <= 64 * 1024 && step.ends_with(b"\n"));
            batch.advance(step.len());
        }
    }

    #[test]
    fn a_torn_line_is_completed_where_its_beginning_still_is_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (mut output, mut batch) = torn(&folder.path().join("log"));
        output.write(&mut batch, SystemTime::now()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("log")).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_torn_line_is_written_again_into_a_file_that_was_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut output, mut batch) = torn(&path);
        fs::write(&path, "").unwrap();
        output.write(&mut batch, SystemTime::now()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn a_torn_line_is_closed_and_written_again_where_somebody_else_wrote_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut output, mut batch) = torn(&path);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"other").unwrap();
        output.write(&mut batch, SystemTime::now()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwother\ntwo\n");
    }

    #[test]
    fn a_torn_line_is_closed_in_the_renamed_file_and_whole_in_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let (mut output, mut batch) = torn(&path);
        fs::rename(&path, &old).unwrap();
        let now = SystemTime::now();
        assert_eq!(output.write(&mut batch, now).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        output.write(&mut batch, now + MAKING).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "one\ntw\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    /// A disk that was full after `one`, a line feed and `tw`.
    fn torn(path: &Path) -> (Output, Batch) {
        let mut output = Output::open(Destination::File(path.into()).into()).unwrap();
        let mut batch = batch("one\ntwo\n");
        let opened = output.file.as_mut().unwrap();
        opened.file.write_all(&batch.step(usize::MAX)[..6]).unwrap();
        batch.advance(6);
        opened.torn_at = Some(6);
        (output, batch)
    }

    fn batch(text: &str) -> Batch {
        let mut batch = Batch::default();
        batch.swap(&mut text.as_bytes().to_vec());
        batch
    }

    /// Takes so many bytes a write, or fails; at last takes everything.
    struct Receiver {
        got: Vec<u8>,
        takes: std::vec::IntoIter<Option<usize>>,
    }

    impl Write for Receiver {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = self.takes.next().unwrap_or(Some(usize::MAX)).ok_or(io::ErrorKind::StorageFull)?;
            let count = bytes.len().min(most);
            self.got.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
