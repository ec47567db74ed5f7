//! What rotated files are called: `deliveries-20261122T192153.123456Z.jsonl` beside `deliveries.jsonl`, and the same with
//! `.gz`. Sorted by name they are in the order of their lines.
//!
//! **Invariant:** no name is read as one of ours but those that are written here, for this very log.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;

use super::super::line::Stamp;

/// The names of one log's files.
pub(in super::super) struct Names {
    folder: PathBuf,
    stem: Vec<u8>,
    /// With its dot, or empty.
    extension: Vec<u8>,
}

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Name {
    /// Microseconds since 1970.
    pub(in super::super) at: u64,
    pub(in super::super) is: Is,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Is {
    Plain,
    Zipped,
    /// On its way to that, and of no use if whoever began it is gone.
    Unfinished,
}

impl Names {
    /// Those of the log at `path`, if that is a file's.
    pub(in super::super) fn of(path: &Path) -> Option<Names> {
        let dotted = |extension: &OsStr| [b".", extension.as_bytes()].concat();
        Some(Names {
            folder: path.parent()?.to_owned(),
            stem: path.file_stem()?.as_bytes().to_owned(),
            extension: path.extension().map(dotted).unwrap_or_default(),
        })
    }

    pub(in super::super) fn folder(&self) -> &Path {
        if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder }
    }

    pub(in super::super) fn path(&self, name: Name) -> PathBuf {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(name.at);
        let mut stamp = Stamp::default().at(time).as_bytes().to_owned();
        stamp.retain(|byte| !matches!(byte, b'-' | b':'));
        // Hidden, and of another extension: nobody who reads logs by a pattern reads what is not yet whole.
        let (before, after): (&[u8], &[u8]) = match name.is {
            Is::Plain => (b"", b""),
            Is::Zipped => (b"", b".gz"),
            Is::Unfinished => (b".", b".gz.part"),
        };
        let bytes = [before, &self.stem, b"-", &stamp, &self.extension, after].concat();
        self.folder.join(OsString::from_vec(bytes))
    }

    pub(in super::super) fn read(&self, name: &OsStr) -> Option<Name> {
        let found = self.taken_apart(name.as_bytes())?;
        // As it is written, and not only to be read as the same time.
        (self.path(found).file_name() == Some(name)).then_some(found)
    }

    fn taken_apart(&self, name: &[u8]) -> Option<Name> {
        let (is, name) = match (name.strip_prefix(b"."), name.strip_suffix(b".gz")) {
            (Some(name), _) if name.ends_with(b".gz.part") => (Is::Unfinished, name.strip_suffix(b".gz.part")?),
            (_, Some(name)) if name.ends_with(&self.extension) => (Is::Zipped, name),
            _ => (Is::Plain, name),
        };
        let stamp = name.strip_prefix(&self.stem[..])?.strip_prefix(b"-")?.strip_suffix(&self.extension[..])?;
        let time: Timestamp = str::from_utf8(stamp).ok()?.parse().ok()?;
        Some(Name { at: u64::try_from(time.as_microsecond()).ok()?, is })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u64 = 1_795_375_313_123_456;

    #[test]
    fn names_are_read_as_they_are_written_and_no_other_is() {
        for (log, plain) in [
            ("/var/log/deliveries.jsonl", "/var/log/deliveries-20261122T192153.123456Z.jsonl"),
            ("deliveries", "deliveries-20261122T192153.123456Z"),
            ("a/.hidden", "a/.hidden-20261122T192153.123456Z"),
            ("a/b.c.d", "a/b.c-20261122T192153.123456Z.d"),
            ("a/b.gz", "a/b-20261122T192153.123456Z.gz"),
        ] {
            let names = Names::of(Path::new(log)).unwrap();
            let path = |is| names.path(Name { at: AT, is });
            assert_eq!(path(Is::Plain), Path::new(plain));
            assert_eq!(path(Is::Zipped), Path::new(&format!("{plain}.gz")));
            for is in [Is::Plain, Is::Zipped, Is::Unfinished] {
                assert_eq!(names.read(path(is).file_name().unwrap()), Some(Name { at: AT, is }), "{log} {is:?}");
            }
        }
    }

    #[test]
    fn what_others_put_beside_the_log_is_not_taken_for_ours() {
        let names = Names::of(Path::new("deliveries.jsonl")).unwrap();
        for other in [
            "deliveries.jsonl",
            "deliveries-old.jsonl",
            "deliveries.jsonl.1",
            "deliveries-billing-20261122T192153.123456Z.jsonl",
            "deliveries-20261122T192153.123456Z.jsonl.bz2",
            "deliveries-20261122T192153.123456Z.jsonl.gz.part",
            ".deliveries-20261122T192153.123456Z.jsonl",
            "deliveries-20261122T192153.123456Z",
            "deliveries-20261122T192153.123456Z.gz",
            "deliveries-20261122T192153.12345Z.jsonl",
            "deliveries-20261122T192153.123456+00.jsonl",
            "deliveries-2026-11-22T19:21:53.123456Z.jsonl",
            "deliveries-20261322T192153.123456Z.jsonl",
            "deliveries-20261122T192153.jsonl",
            "deliveries-20261122.jsonl",
            "xdeliveries-20261122T192153.123456Z.jsonl",
        ] {
            assert_eq!(names.read(OsStr::new(other)), None, "{other}");
        }
        assert_eq!(names.read(OsStr::from_bytes(b"deliveries-\xff.jsonl")), None);
    }

    #[test]
    fn names_are_in_the_order_of_time() {
        let names = Names::of(Path::new("log.jsonl")).unwrap();
        let times = [0, 1, 999_999, 1_000_000, AT, AT + 1, AT + 86_400_000_000, 4_102_444_800_000_000];
        let paths: Vec<PathBuf> = times.iter().map(|&at| names.path(Name { at, is: Is::Plain })).collect();
        assert!(paths.is_sorted() && paths.windows(2).all(|pair| pair[0] != pair[1]), "{paths:?}");
    }
}
