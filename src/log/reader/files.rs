//! The files of a log: found, opened, and in the order of time.
//!
//! In come the names of logs, out come [`Source`]s: each log, and the rotated files beside it, plain or gzipped, whatever
//! they are called. They are open from then on, so that a rotation takes none of them away.
//!
//! **Invariant:** a [`Snapshot`] is of one moment: no file is in it twice or missing for having been renamed meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    names,
    source::{Error, Source},
};

/// What there is of some logs.
pub struct Snapshot {
    /// In the order of the first timestamp in each.
    pub sources: Vec<Source>,
    pub failed: Vec<Error>,
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
    // A log is younger than what was rotated.
    snapshot.sources.sort_by_key(|source| (source.time(), source.named));
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
            match Source::open(path, *named) {
                Ok(source) if snapshot.sources.iter().any(|other| other.identity == source.identity) => {}
                Ok(source) => snapshot.sources.push(source),
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

/// How often a rotation may come in between.
const ATTEMPTS: usize = 10;

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write},
    };

    use flate2::{Compression, write::GzEncoder};
    use jiff::Timestamp;

    use super::{
        super::{Filter, Scan, scan::tests::Found},
        *,
    };

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
        let copying = [("deliveries.jsonl", long.as_bytes()), ("deliveries.jsonl.1", &whole.as_bytes()[..100])];
        assert_eq!(read(&copying).0, long);
        let other = line(1, "a") + &line(2, "other");
        assert_eq!(read(&[("deliveries.jsonl", long.as_bytes()), ("deliveries.jsonl.1", other.as_bytes())]).0, other + &long);
    }

    #[test]
    fn a_file_with_two_names_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let [log, one, two] =
            ["deliveries.jsonl", "deliveries.jsonl.1", "deliveries.jsonl.2"].map(|name| folder.path().join(name));
        fs::write(&one, line(1, "a")).unwrap();
        fs::hard_link(&one, two).unwrap();
        fs::write(&log, line(2, "b")).unwrap();
        let paths: Vec<PathBuf> = open(&[log.clone(), log.clone()]).sources.into_iter().map(|source| source.path).collect();
        assert_eq!(paths, [one, log]);
    }

    #[test]
    fn a_file_without_a_time_has_its_place_by_when_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let [log, old, torn] =
            ["deliveries.jsonl", "deliveries.jsonl.2", "deliveries.jsonl.1"].map(|name| folder.path().join(name));
        fs::write(&old, line(1, "a")).unwrap();
        fs::write(&torn, "torn").unwrap();
        File::options()
            .append(true)
            .open(&torn)
            .unwrap()
            .set_modified("2026-11-22T19:00:02Z".parse::<Timestamp>().unwrap().into())
            .unwrap();
        fs::write(&log, line(3, "b")).unwrap();
        let paths: Vec<PathBuf> = open(std::slice::from_ref(&log)).sources.into_iter().map(|source| source.path).collect();
        assert_eq!(paths, [old, torn, log]);
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
        let source = open(std::slice::from_ref(&log)).sources.remove(0);
        assert!(source.was_left_before(at("2026-11-22T19:01:00Z")));
        assert!(!source.was_left_before(at("2026-11-22T19:00:01Z")) && !source.was_left_before(at("2026-11-22T18:00:00Z")));
        // What is named is read all the same: a copy may have any time.
        fs::write(&log, line(59, "late")).unwrap();
        file.set_modified(at("2000-01-01T00:00:00Z").into()).unwrap();
        let filter = Filter::default().between(Some(at("2026-11-22T19:00:01Z")), None);
        let (mut scan, mut found) = (Scan::new(&filter), Found::default());
        for source in open(&[log]).sources {
            scan.all(&source, &mut found).unwrap();
        }
        assert_eq!(found.0, line(59, "late"));
    }
}
