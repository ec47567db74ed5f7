//! A file or a stream that is read, and what its first bytes tell of it.

use std::{
    fs::{self, File, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufReader, Read, Seek},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;
use memchr::memchr;

use super::{Entry, names};

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} is compressed with {with}, and only gzip is read as it is: {command} {} | sidehook logs -", .path.display(), .path.display())]
    Compressed { path: PathBuf, with: &'static str, command: &'static str },
    #[error("{} is a folder: name the files in it", .0.display())]
    Folder(PathBuf),
    #[error("cannot read {}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
}

impl Error {
    pub fn path(&self) -> &Path {
        match self {
            Error::Compressed { path, .. } | Error::Folder(path) | Error::Unreadable { path, .. } => path,
        }
    }

    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Error::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A file, or a stream of bytes, with lines.
pub struct Source {
    pub path: PathBuf,
    /// It was named, and not found beside one that was.
    pub named: bool,
    pub(super) file: File,
    /// Bytes of the file when it was opened; a stream has none.
    size: Option<u64>,
    pub(super) identity: (u64, u64),
    pub(super) modified: SystemTime,
    /// What was read of a stream to tell what it is.
    taken: Vec<u8>,
    head: Head,
}

impl Source {
    /// An open file that is read on from where it is.
    pub fn stream(path: &Path, file: File) -> Result<Source, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let found = file.metadata().map_err(unreadable)?;
        let mut taken = vec![0; HEAD];
        // As much as is there, for more may be long in coming.
        let length = (&file).read(&mut taken).map_err(unreadable)?;
        taken.truncate(length);
        let head = Head::of(path, &taken)?;
        Source::of(path, file, &found, head).map(|source| Source { taken, size: None, ..source }).map_err(unreadable)
    }

    pub(super) fn open(path: &Path, named: bool) -> Result<Source, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        if found.is_dir() {
            return Err(Error::Folder(path.to_owned()));
        }
        if !found.is_file() {
            return Source::stream(path, file).map(|source| Source { named, ..source });
        }
        let mut bytes = vec![0; HEAD];
        let length = file.read_at(&mut bytes, 0).map_err(unreadable)?;
        let head = Head::of(path, &bytes[..length])?;
        Source::of(path, file, &found, head).map(|source| Source { named, ..source }).map_err(unreadable)
    }

    fn of(path: &Path, file: File, found: &Metadata, head: Head) -> io::Result<Source> {
        let (path, identity, modified) = (path.to_owned(), identity(found), found.modified()?);
        Ok(Source { path, named: true, file, size: Some(found.len()), identity, modified, taken: Vec::new(), head })
    }

    /// Its lines' bytes, from the beginning; of a file those that were there when it was opened.
    pub fn reader(&self) -> Box<dyn Read + '_> {
        let rest = (&self.file).take(self.size.unwrap_or(u64::MAX));
        let bytes = self.taken.chain(rest);
        match self.head.gzip {
            true => Box::new(MultiGzDecoder::new(BufReader::with_capacity(ZIPPED, bytes))),
            false => Box::new(bytes),
        }
    }

    /// Whether bytes come as somebody writes them.
    pub fn is_stream(&self) -> bool {
        self.size.is_none()
    }

    /// The first timestamp in it; what has none was last written then.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.head.first.or_else(|| self.modified.try_into().ok())
    }

    /// Bytes of the file; 0 of a stream.
    pub fn size(&self) -> u64 {
        self.size.unwrap_or_default()
    }

    /// How many of them are read.
    pub fn position(&self) -> u64 {
        if self.size.is_none() { 0 } else { (&self.file).stream_position().unwrap_or_default() }
    }

    /// Whether nothing was written to it since then. Lines are older than the write, and file systems round its time.
    pub fn was_left_before(&self, then: Timestamp) -> bool {
        self.size.is_some() && SystemTime::from(then).duration_since(self.modified).is_ok_and(|since| since > ROUNDING)
    }

    pub(super) fn beginning(&self) -> Option<u64> {
        self.head.beginning
    }

    pub(super) fn has_its_name(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity)
    }

    /// Whether this is what a compressor makes of `other`, in which everything is.
    pub(super) fn is_compressed_of(&self, other: &Source) -> bool {
        let made_of = names::uncompressed(self.path.as_os_str().as_encoded_bytes());
        made_of == Some(other.path.as_os_str().as_encoded_bytes())
            && (self.head.beginning.is_none() || self.head.beginning == other.head.beginning)
    }

    /// Whether this is the beginning of `other`, a log that is being copied before it is truncated.
    pub(super) fn is_copy_of(&self, other: &Source) -> bool {
        let plain = !self.head.gzip && !other.head.gzip && !self.named && other.named;
        if !plain || self.head.beginning.is_none() || self.head.beginning != other.head.beginning {
            return false;
        }
        tail(&self.file, self.size()).is_ok_and(|end| holds(&other.file, self.size(), &end))
    }
}

/// What the first bytes of a file tell.
struct Head {
    gzip: bool,
    /// The hash of the first line, which no other file has but a copy.
    beginning: Option<u64>,
    first: Option<Timestamp>,
}

impl Head {
    fn of(path: &Path, bytes: &[u8]) -> Result<Head, Error> {
        if let Some((_, with, command)) = OTHERS.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
            return Err(Error::Compressed { path: path.to_owned(), with, command });
        }
        let gzip = bytes.starts_with(GZIP);
        let mut lines = Vec::new();
        if gzip {
            // It is cut, and so is what comes of it.
            let _ = MultiGzDecoder::new(bytes).take(HEAD as u64).read_to_end(&mut lines);
        } else {
            lines.extend_from_slice(bytes);
        }
        let dated = |line: &[u8]| Entry::read(line)?.timestamp.parse().ok();
        let first = lines.split(|byte| *byte == b'\n').find_map(dated);
        Ok(Head { gzip, beginning: beginning(&lines), first })
    }
}

/// The hash of the first of these lines, if all of it is there.
pub(super) fn beginning(lines: &[u8]) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    lines[..memchr(b'\n', lines)?].hash(&mut hasher);
    Some(hasher.finish())
}

pub(super) fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// What stands in front of `end`: enough to know the place by, for timestamps are in it.
pub(super) fn tail(file: &File, end: u64) -> io::Result<Vec<u8>> {
    let length = TAIL.min(end);
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, end - length)?;
    Ok(bytes)
}

/// Whether these bytes stand in front of `end`.
pub(super) fn holds(file: &File, end: u64, bytes: &[u8]) -> bool {
    tail(file, end).is_ok_and(|found| found == bytes)
}

const GZIP: &[u8] = b"\x1f\x8b";

/// What else begins how, and what reads it.
const OTHERS: &[(&[u8], &str, &str)] = &[
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"\x1f\x9d", "compress", "gzip -dc"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
];

/// Bytes: the first line is in it, and in what becomes of it when it is unzipped.
pub(super) const HEAD: usize = 16 << 10;

const TAIL: u64 = 256;

/// Bytes of a gzip that are read at a time.
const ZIPPED: usize = 64 << 10;

/// Of a file's time.
const ROUNDING: Duration = Duration::from_secs(2);
