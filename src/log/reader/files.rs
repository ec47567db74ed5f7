//! The files of a log: found, opened, and in the order of time.
//!
//! In come the names of logs, out come [`Source`]s: each log, and the rotated files beside it, plain or gzipped, whatever
//! they are called. They are open from then on, so that a rotation takes none of them away.
//!
//! **Invariant:** a [`Snapshot`] is of one moment: no file is in it twice or missing for having been renamed meanwhile.

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

/// What there is of some logs.
pub struct Snapshot {
    /// In the order of the first timestamp in each.
    pub sources: Vec<Source>,
    pub failed: Vec<Error>,
}

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

/// Opens `logs` and the rotated files beside them.
pub fn open(logs: &[PathBuf]) -> Snapshot {
    let is_stream = |path: &&PathBuf| fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    let (streams, logs): (Vec<&PathBuf>, Vec<&PathBuf>) = logs.iter().partition(is_stream);
    let mut snapshot = Snapshot { sources: Vec::new(), failed: Vec::new() };
    for _ in 0..ATTEMPTS {
        let names = names_of(&logs);
        snapshot = Snapshot::of(&names);
        if names == names_of(&logs) && snapshot.sources.iter().all(Source::has_its_name) {
            break;
        }
    }
    // A stream can be opened only once.
    let streams = streams.into_iter().map(|path| (path.clone(), true)).collect::<Vec<_>>();
    let Snapshot { sources, failed } = Snapshot::of(&streams);
    snapshot.sources.extend(sources);
    snapshot.failed.extend(failed);
    snapshot.forget_twins();
    // What says nothing of its time was last written then; a log is younger than what was rotated.
    let order = |source: &Source| (source.head.first.or_else(|| source.modified.try_into().ok()), source.named);
    snapshot.sources.sort_by_key(order);
    snapshot
}

/// The names to open, each once, and whether it was named.
fn names_of(logs: &[&PathBuf]) -> Vec<(PathBuf, bool)> {
    let mut names: Vec<(PathBuf, bool)> = logs.iter().map(|log| ((*log).clone(), true)).collect();
    for log in logs {
        names.extend(rotated_of(log).into_iter().map(|path| (path, false)));
    }
    names.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
    names.dedup_by(|next, before| next.0 == before.0);
    names
}

fn rotated_of(log: &Path) -> Vec<PathBuf> {
    let Some(name) = log.file_name().map(|name| name.as_encoded_bytes()) else { return Vec::new() };
    let folder = log.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let rotated = entries.filter(|entry| names::is_rotated(entry.file_name().as_encoded_bytes(), name));
    rotated.map(|entry| log.with_file_name(entry.file_name())).collect()
}

impl Snapshot {
    fn of(names: &[(PathBuf, bool)]) -> Snapshot {
        let mut snapshot = Snapshot { sources: Vec::new(), failed: Vec::new() };
        for (path, named) in names {
            match Source::open(path) {
                Ok(source) if snapshot.sources.iter().any(|other| other.identity == source.identity) => {}
                Ok(source) => snapshot.sources.push(Source { named: *named, ..source }),
                Err(error) => snapshot.failed.push(error),
            }
        }
        snapshot
    }

    /// Leaves out what another file has as well: what gzip makes while the plain file is still there, and a copy that
    /// `copytruncate` has not finished.
    fn forget_twins(&mut self) {
        let is_twin =
            |source: &Source| self.sources.iter().any(|other| source.is_compressed_of(other) || source.is_copy_of(other));
        let kept: Vec<bool> = self.sources.iter().map(|source| !is_twin(source)).collect();
        let mut kept = kept.into_iter();
        self.sources.retain(|_| kept.next().unwrap_or(true));
    }
}

impl Source {
    /// An open file that is read on from where it is.
    pub fn stream(path: PathBuf, file: File) -> Result<Source, Error> {
        let unreadable = |source| Error::Unreadable { path: path.clone(), source };
        let found = file.metadata().map_err(unreadable)?;
        let mut taken = vec![0; HEAD];
        // As much as is there, for more may be long in coming.
        let length = (&file).read(&mut taken).map_err(unreadable)?;
        taken.truncate(length);
        let head = Head::of(&path, &taken)?;
        Source::of(path.clone(), file, &found, head).map(|source| Source { taken, size: None, ..source }).map_err(unreadable)
    }

    fn open(path: &Path) -> Result<Source, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?;
        if found.is_dir() {
            return Err(Error::Folder(path.to_owned()));
        }
        if !found.is_file() {
            return Source::stream(path.to_owned(), file);
        }
        let mut bytes = vec![0; HEAD];
        let length = file.read_at(&mut bytes, 0).map_err(unreadable)?;
        let head = Head::of(path, &bytes[..length])?;
        Source::of(path.to_owned(), file, &found, head).map_err(unreadable)
    }

    fn of(path: PathBuf, file: File, found: &Metadata, head: Head) -> io::Result<Source> {
        let (identity, modified) = (identity(found), found.modified()?);
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

    fn has_its_name(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity)
    }

    /// Whether this is what a compressor makes of `other`, in which everything is.
    fn is_compressed_of(&self, other: &Source) -> bool {
        let made_of = names::uncompressed(self.path.as_os_str().as_encoded_bytes());
        made_of == Some(other.path.as_os_str().as_encoded_bytes())
            && (self.head.beginning.is_none() || self.head.beginning == other.head.beginning)
    }

    /// Whether this is the beginning of `other`, a log that is being copied before it is truncated.
    fn is_copy_of(&self, other: &Source) -> bool {
        let plain = !self.head.gzip && !other.head.gzip && !self.named && other.named;
        if !plain || self.head.beginning.is_none() || self.head.beginning != other.head.beginning || self.size > other.size {
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

/// How often a rotation may come in between.
const ATTEMPTS: usize = 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn line(second: u32, text: &str) -> String {
        format!("{{\"timestamp\":\"2026-11-22T19:00:{second:02}.000000Z\",\"message\":\"{text}\"}}\n")
    }

    fn zipped(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// A folder with these files, and what is read of the log in it.
    fn read(files: &[(&str, &[u8])]) -> (String, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let snapshot = open(&[folder.path().join("deliveries.jsonl")]);
        let mut text = String::new();
        for source in &snapshot.sources {
            source.reader().read_to_string(&mut text).unwrap();
        }
        (text, snapshot.failed.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_log_is_read_with_its_rotated_files_in_the_order_of_time() {
        let [one, two, three, four] = [1, 2, 3, 4].map(|second| line(second, "x"));
        let (text, failed) = read(&[
            ("deliveries.jsonl", four.as_bytes()),
            ("deliveries.jsonl.1", three.as_bytes()),
            ("deliveries-20261122T192153.123456Z.jsonl.gz", &zipped(&one)),
            ("deliveries-20251122.jsonl", format!("torn\n{two}").as_bytes()),
            ("deliveries-other.jsonl", b"not ours\n"),
        ]);
        assert_eq!(text, format!("{one}torn\n{two}{three}{four}"));
        assert_eq!(failed, [""; 0]);
    }

    #[test]
    fn a_gzip_of_several_members_is_read_whole() {
        let members = [zipped(&line(1, "a")), zipped(&line(2, "b"))].concat();
        assert_eq!(read(&[("deliveries.jsonl.1.gz", &members)]).0, line(1, "a") + &line(2, "b"));
    }

    #[test]
    fn what_is_being_compressed_or_copied_is_read_once() {
        let (whole, long) = (line(1, "a") + &line(2, "b"), line(1, "a") + &line(2, "b") + &line(3, "c"));
        let part = &zipped(&whole)[..30];
        for gzip in [part, &zipped(&whole), b""] {
            assert_eq!(read(&[("deliveries.jsonl.1", whole.as_bytes()), ("deliveries.jsonl.1.gz", gzip)]).0, whole);
        }
        let copying = [("deliveries.jsonl", long.as_bytes()), ("deliveries.jsonl.1", whole[..100].as_bytes())];
        assert_eq!(read(&copying).0, long);
        let other = line(1, "a") + &line(2, "other");
        assert_eq!(read(&[("deliveries.jsonl", long.as_bytes()), ("deliveries.jsonl.1", other.as_bytes())]).0, other + &long);
    }

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        let (text, failed) =
            read(&[("deliveries.jsonl", line(1, "a").as_bytes()), ("deliveries.jsonl.1.zst", b"\x28\xb5\x2f\xfd and more")]);
        assert_eq!(text, line(1, "a"));
        assert!(failed[0].contains("deliveries.jsonl.1.zst | sidehook logs -"), "{failed:?}");
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let snapshot = open(&[missing.clone(), folder.path().to_owned()]);
        let told: Vec<_> = snapshot.failed.iter().map(|error| (error.path().to_owned(), error.is_missing())).collect();
        assert_eq!(told, [(folder.path().to_owned(), false), (missing, true)]);
    }

    #[test]
    fn files_stay_open_and_end_where_they_ended() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("deliveries.jsonl");
        fs::write(&log, line(1, "a")).unwrap();
        let snapshot = open(std::slice::from_ref(&log));
        fs::OpenOptions::new().append(true).open(&log).unwrap().write_all(b"later\n").unwrap();
        fs::remove_file(&log).unwrap();
        let mut text = String::new();
        snapshot.sources[0].reader().read_to_string(&mut text).unwrap();
        assert_eq!(text, line(1, "a"));
        assert_eq!((snapshot.sources[0].position(), snapshot.sources[0].size()), (text.len() as u64, text.len() as u64));
    }

    #[test]
    fn a_file_is_too_old_only_when_it_was_left_before() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("deliveries.jsonl");
        let file = File::create(&log).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        file.set_modified(at("2026-11-22T19:00:00Z").into()).unwrap();
        let source = open(&[log]).sources.remove(0);
        assert!(source.was_left_before(at("2026-11-22T19:01:00Z")));
        assert!(!source.was_left_before(at("2026-11-22T19:00:01Z")) && !source.was_left_before(at("2026-11-22T18:00:00Z")));
    }
}
