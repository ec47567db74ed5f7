//! A file of dead letters while it is replayed: set aside, read line by line, and what is kept put back.
//!
//! **Invariant:** until what is kept is back in the file, the one set aside has every line; and two replays never hold it
//! at once.

use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::queue;

/// A file set aside.
pub(super) struct Letters {
    /// What it was called, and where what is kept goes.
    path: PathBuf,
    aside: PathBuf,
    /// Locked for as long as it is open.
    reader: BufReader<File>,
    /// Where the next line begins.
    at: u64,
    kept: Vec<Range<u64>>,
}

impl Letters {
    /// The file that a replay before this one did not finish.
    pub(super) fn left_over(path: &Path) -> anyhow::Result<Option<Letters>> {
        let aside = aside(path);
        match locked(&aside)? {
            Some(file) => Ok(Some(Letters::of(path, aside, file))),
            None => Ok(None),
        }
    }

    /// Sets `path` aside; a sidecar begins a new one.
    pub(super) fn take(path: &Path) -> anyhow::Result<Option<Letters>> {
        let aside = aside(path);
        let Some(file) = locked(path)? else { return Ok(None) };
        // Only who has the file locked renames it: from here on nobody else makes the other name.
        if aside.try_exists()? {
            bail!("another replay of {} is under way", path.display());
        }
        fs::rename(path, &aside).with_context(|| format!("cannot rename {}", path.display()))?;
        Ok(Some(Letters::of(path, aside, file)))
    }

    fn of(path: &Path, aside: PathBuf, file: File) -> Letters {
        Letters { path: path.to_owned(), aside, reader: BufReader::new(file), at: 0, kept: Vec::new() }
    }

    /// Reads the next line into `line`, without its end; says where it is, or nothing at the file's end.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Range<u64>>> {
        line.clear();
        let length = self.reader.read_until(b'\n', line)? as u64;
        if length == 0 {
            return Ok(None);
        }
        if line.ends_with(b"\n") {
            line.pop();
        }
        let range = self.at..self.at + length;
        self.at = range.end;
        Ok(Some(range))
    }

    /// How far it is read, from 0 to 1.
    pub(super) fn progress(&self) -> f64 {
        let length = self.reader.get_ref().metadata().map_or(0, |metadata| metadata.len());
        self.at as f64 / length.max(self.at).max(1) as f64
    }

    pub(super) fn keep(&mut self, range: Range<u64>) {
        match self.kept.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.kept.push(range),
        }
    }

    /// Puts back what is kept, all that was not read included, and removes the file that was set aside. Says how many
    /// lines had not been read.
    pub(super) fn finish(mut self) -> anyhow::Result<u64> {
        let not_put_back = |aside: &Path| format!("the lines could not be put back, {} has them all", aside.display());
        let mut unread = self.keep_the_rest().with_context(|| not_put_back(&self.aside))?;
        self.put_back().with_context(|| not_put_back(&self.aside))?;
        fs::remove_file(&self.aside).with_context(|| format!("cannot remove {}", self.aside.display()))?;
        // A sidecar that had the file open may have written to it until now.
        self.kept.clear();
        let late = self.keep_the_rest()?;
        if late > 0 {
            self.put_back().context("lines that came late could not be put back")?;
            unread += late;
        }
        Ok(unread)
    }

    fn keep_the_rest(&mut self) -> io::Result<u64> {
        let (mut line, mut count) = (Vec::new(), 0);
        while let Some(range) = self.next(&mut line)? {
            self.keep(range);
            count += u64::from(!line.trim_ascii().is_empty());
        }
        Ok(count)
    }

    /// Appends what is kept, whole lines at a time, for a sidecar may append as well.
    fn put_back(&mut self) -> io::Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let mut file = queue::open_for_lines(&self.path)?;
        let mut lines = Vec::new();
        for range in &self.kept {
            self.reader.seek(SeekFrom::Start(range.start))?;
            let mut rest = (&mut self.reader).take(range.end - range.start);
            while rest.read_until(b'\n', &mut lines)? > 0 {
                if !lines.ends_with(b"\n") {
                    lines.push(b'\n');
                }
                if lines.len() >= BATCH {
                    file.write_all(&lines)?;
                    lines.clear();
                }
            }
        }
        file.write_all(&lines)?;
        self.reader.seek(SeekFrom::Start(self.at))?;
        file.sync_data()
    }
}

/// FILE.replaying.
pub(super) fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".replaying");
    name.into()
}

/// Opens and locks a file; `None` where there is none.
fn locked(path: &Path) -> anyhow::Result<Option<File>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    let busy = || format!("another replay of {} is under way", path.display());
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(busy()),
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
    let (ours, now) = (file.metadata()?, fs::metadata(path).with_context(busy)?);
    // Between opening and locking another replay may have finished with it.
    if (ours.dev(), ours.ino()) != (now.dev(), now.ino()) {
        bail!(busy());
    }
    Ok(Some(file))
}

/// Bytes a write.
const BATCH: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(letters: &mut Letters) -> Vec<Range<u64>> {
        let mut line = Vec::new();
        std::iter::from_fn(|| letters.next(&mut line).unwrap()).collect()
    }

    #[test]
    fn what_is_kept_is_put_back_behind_what_came_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters");
        fs::write(&path, "one\ntwo\nthree\nfour").unwrap();
        let mut letters = Letters::take(&path).unwrap().unwrap();
        let ranges = all(&mut letters);
        fs::write(&path, "new\n").unwrap();
        for nth in [0, 1, 3] {
            letters.keep(ranges[nth].clone());
        }
        assert_eq!(letters.finish().unwrap(), 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\none\ntwo\nfour\n");
        assert!(!aside(&path).exists());
    }

    #[test]
    fn what_was_not_read_is_kept_and_so_is_what_came_late() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters");
        fs::write(&path, "one\ntwo\n").unwrap();
        let mut sidecar = fs::OpenOptions::new().append(true).open(&path).unwrap();
        let mut letters = Letters::take(&path).unwrap().unwrap();
        letters.next(&mut Vec::new()).unwrap();
        sidecar.write_all(b"late\n").unwrap();
        assert_eq!(letters.finish().unwrap(), 2);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\nlate\n");
    }

    #[test]
    fn two_replays_never_have_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("letters");
        fs::write(&path, "one\n").unwrap();
        let letters = Letters::take(&path).unwrap().unwrap();
        assert!(Letters::left_over(&path).is_err());
        fs::write(&path, "two\n").unwrap();
        assert!(Letters::take(&path).is_err());
        drop(letters);
        assert!(Letters::left_over(&path).unwrap().is_some());
        assert!(Letters::take(&folder.path().join("nowhere")).unwrap().is_none());
    }
}
