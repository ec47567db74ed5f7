//! Where lines go: stdout, or a file that others may rename, delete or truncate while we write.
//!
//! In comes a [`Batch`], out go its lines, each `write(2)` ending at a line's end as far as the system lets it.
//! A line that was written in part is completed where its beginning still is the end of the file, and else written again
//! as a whole, its torn beginning closed with a line feed.
//!
//! **Invariant:** lines are written to the file that has the path's name when the step begins, and a line that we begin
//! begins at a line's beginning.

use std::{
    fmt,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use super::batch::Batch;

/// Where the delivery log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Its folder is created if missing.
    File(PathBuf),
    Stdout,
}

pub(super) struct Output {
    destination: Destination,
    file: Option<Opened>,
}

impl Output {
    pub(super) fn open(destination: Destination) -> io::Result<Output> {
        let file = Some(Opened::open(&destination)?);
        Ok(Output { destination, file })
    }

    /// One `write(2)` of what is left of `batch`.
    pub(super) fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        self.follow_the_name(batch);
        let opened = match &mut self.file {
            Some(opened) => opened,
            None => self.file.insert(Opened::open(&self.destination)?),
        };
        opened.write(batch)
    }

    /// The next write opens the file again. Stdout has no name to open it by, and stays.
    pub(super) fn reopen(&mut self, batch: &mut Batch) {
        if self.destination != Destination::Stdout {
            self.leave(batch);
        }
    }

    /// Makes `batch` ready for another file: it begins with a whole line.
    pub(super) fn leave(&mut self, batch: &mut Batch) {
        if let Some(mut opened) = self.file.take()
            && batch.is_torn()
        {
            // As good as it gets: what is in that file is no longer ours to mend.
            let _ = opened.file.write_all(b"\n");
        }
        batch.rewind();
    }

    /// Waits until what was written is on disk, where that means something.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.file {
            Some(opened) if opened.file.metadata()?.is_file() => opened.file.sync_data(),
            _ => Ok(()),
        }
    }

    /// A stat for each write, about a microsecond for some hundred lines, so that no line goes to a file rotated away.
    fn follow_the_name(&mut self, batch: &mut Batch) {
        if let (Destination::File(path), Some(opened)) = (&self.destination, &self.file)
            && !fs::metadata(path).is_ok_and(|found| identity(&found) == opened.identity)
        {
            self.reopen(batch);
        }
    }
}

impl fmt::Display for Output {
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

struct Opened {
    file: File,
    identity: (u64, u64),
    /// The file ends inside a line that nobody will complete.
    unclosed: bool,
    /// The file's length after a line was written in part.
    torn_at: Option<u64>,
}

impl Opened {
    fn open(destination: &Destination) -> io::Result<Opened> {
        let file = match destination {
            Destination::File(path) => open_file(path)?,
            // Its own descriptor, past std's lock and buffer: a stdout that blocks must block nobody but the writer.
            Destination::Stdout => File::from(io::stdout().as_fd().try_clone_to_owned()?),
        };
        let found = file.metadata()?;
        let unclosed = *destination != Destination::Stdout && ends_inside_a_line(&file, &found)?;
        Ok(Opened { identity: identity(&found), file, unclosed, torn_at: None })
    }

    fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        if let Some(length) = self.torn_at.take() {
            let found = self.file.metadata()?;
            if found.len() != length {
                batch.rewind();
                // A stdout that is a file may not be readable; an empty line does less harm than two lines in one.
                self.unclosed = ends_inside_a_line(&self.file, &found).unwrap_or(true);
            }
        }
        if self.unclosed {
            self.file.write_all(b"\n")?;
            self.unclosed = false;
        }
        let written = write_some(&mut self.file, batch);
        if written.is_err() && batch.is_torn() {
            self.torn_at = self.file.metadata().ok().map(|found| found.len());
        }
        written
    }
}

fn write_some(to: &mut impl Write, batch: &mut Batch) -> io::Result<()> {
    match to.write(batch.step()) {
        Ok(0) if !batch.is_empty() => Err(io::ErrorKind::WriteZero.into()),
        Ok(count) => {
            batch.advance(count);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error),
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    // Read as well: for the last byte, and so that opening a named pipe does not wait for its reader.
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    match (options.open(path), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            options.open(path)
        }
        (opened, _) => opened,
    }
}

fn ends_inside_a_line(file: &File, found: &Metadata) -> io::Result<bool> {
    if !found.is_file() || found.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    let read = file.read_at(&mut last, found.len() - 1)?;
    Ok(read == 1 && last != *b"\n")
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
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
                let _ = write_some(&mut receiver, &mut batch);
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
            assert!(batch.step().len() <= 64 * 1024 && batch.step().ends_with(b"\n"));
            batch.advance(batch.step().len());
        }
    }

    #[test]
    fn a_torn_line_is_completed_where_its_beginning_still_is_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (mut output, mut batch) = torn(&folder.path().join("log"));
        output.write(&mut batch).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("log")).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_torn_line_is_written_again_into_a_file_that_was_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut output, mut batch) = torn(&path);
        fs::write(&path, "").unwrap();
        output.write(&mut batch).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn a_torn_line_is_closed_and_written_again_where_somebody_else_wrote_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut output, mut batch) = torn(&path);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"other").unwrap();
        output.write(&mut batch).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwother\ntwo\n");
    }

    #[test]
    fn a_torn_line_is_closed_in_the_renamed_file_and_whole_in_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let (mut output, mut batch) = torn(&path);
        fs::rename(&path, &old).unwrap();
        output.write(&mut batch).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "one\ntw\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    /// A disk that was full after `one`, a line feed and `tw`.
    fn torn(path: &Path) -> (Output, Batch) {
        let mut output = Output::open(Destination::File(path.into())).unwrap();
        let mut batch = batch("one\ntwo\n");
        let opened = output.file.as_mut().unwrap();
        opened.file.write_all(&batch.step()[..6]).unwrap();
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
