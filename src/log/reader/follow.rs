//! A log that is followed: what comes to it, through rotations of every kind.
//!
//! The file is held open, so that nothing is lost by a new name, a deletion or gzip. Once another has its name, and nothing
//! came any more, or it was truncated, all files of the log are looked through: for a copy that has more of what was held, for
//! files that came and went meanwhile, and for the one that is written now.
//!
//! **Invariant:** a line is given once, if it stands in the file that is held, or in one that is there at a look.

use std::{
    collections::HashSet,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    Error, Failure, Scan, Source, Taker, open,
    source::{self, HEAD},
};

/// Follows one log.
pub struct Follower {
    path: PathBuf,
    held: Option<Held>,
    begun: bool,
    /// The beginnings of the files that were read.
    known: HashSet<u64>,
    /// What could not be read, for who wants to tell.
    pub failed: Vec<Error>,
}

/// The file that is written now, as far as one can tell.
struct Held {
    file: File,
    identity: (u64, u64),
    beginning: Option<u64>,
    /// What is read of it, and the bytes in front of that place.
    offset: u64,
    tail: Vec<u8>,
    /// Its length and time at the last look.
    seen: Option<(u64, SystemTime)>,
    /// Looks since another has its name in which nothing came.
    quiet: u32,
}

impl Follower {
    pub fn new(path: PathBuf) -> Follower {
        Follower { path, held: None, begun: false, known: HashSet::new(), failed: Vec::new() }
    }

    /// Whether there was a file yet.
    pub fn is_waiting(&self) -> bool {
        self.held.is_none()
    }

    /// Gives what came since the last look; at the first look all there is.
    pub fn look(&mut self, scan: &mut Scan<'_>, taker: &mut dyn Taker) -> Result<(), Failure> {
        let found = fs::metadata(&self.path).ok();
        let Some(held) = &mut self.held else {
            return if self.begun && found.is_none() { Ok(()) } else { self.turn(scan, taker) };
        };
        if let Some(found) = found.as_ref().filter(|found| source::identity(found) == held.identity) {
            let now = found.modified().ok().map(|modified| (found.len(), modified));
            if now.is_some() && now == held.seen {
                return Ok(());
            }
            if held.may_be_truncated(found) {
                return self.turn(scan, taker);
            }
            held.seen = now;
            return held.read(scan, taker);
        }
        let before = held.offset;
        if held.file.metadata().is_ok_and(|now| !held.may_be_truncated(&now)) {
            held.read(scan, taker)?;
        }
        held.quiet = if held.offset > before { 0 } else { held.quiet + 1 };
        // Its writer may be about to notice, with a line under way.
        if found.is_some() && held.quiet >= QUIET { self.turn(scan, taker) } else { Ok(()) }
    }

    /// Goes on to the file that has the name now, by way of all that came between.
    fn turn(&mut self, scan: &mut Scan<'_>, taker: &mut dyn Taker) -> Result<(), Failure> {
        let snapshot = open(std::slice::from_ref(&self.path));
        let is_news = |error: &Error| !error.is_missing() && (!self.begun || error.path() == self.path);
        self.failed.extend(snapshot.failed.into_iter().filter(is_news));
        self.begun = true;
        let held = self.held.take();
        if let Some(held) = &held {
            for source in snapshot.sources.iter().filter(|source| held.is_copied_to(source)) {
                let read = held.read_rest(source, scan, taker);
                self.note(&source.path, read)?;
            }
            self.known.extend(held.beginning);
        }
        scan.finish(taker)?;
        let is_held = |source: &Source| held.as_ref().is_some_and(|held| held.is(source));
        for source in snapshot.sources {
            let is_known = source.beginning().is_some_and(|beginning| !self.known.insert(beginning));
            if source.named {
                let offset = if is_known { source.size() } else { 0 };
                self.held.insert(Held::of(source, offset)).read(scan, taker)?;
            } else if !is_known && !is_held(&source) {
                let read = scan.all(&source, taker);
                self.note(&source.path, read)?;
            }
        }
        Ok(())
    }

    /// That a file could not be read to its end is no reason not to read the next.
    fn note(&mut self, path: &Path, read: Result<(), Failure>) -> Result<(), Failure> {
        let Err(Failure::Read(source)) = read else { return read };
        self.failed.push(Error::Unreadable { path: path.to_owned(), source });
        Ok(())
    }
}

impl Held {
    fn of(source: Source, offset: u64) -> Held {
        let beginning = source.beginning();
        let seen = Some((source.size(), source.modified));
        let (identity, file) = (source.identity, source.file);
        let tail = source::tail(&file, offset).unwrap_or_default();
        Held { file, identity, beginning, offset, tail, seen, quiet: 0 }
    }

    /// Whether it is not what it was; what was empty may have been something meanwhile.
    fn may_be_truncated(&self, found: &Metadata) -> bool {
        self.offset == 0 || found.len() < self.offset || !source::holds(&self.file, self.offset, &self.tail)
    }

    /// Reads to the end there is.
    fn read(&mut self, scan: &mut Scan<'_>, taker: &mut dyn Taker) -> Result<(), Failure> {
        let before = self.offset;
        while scan.step(self, taker)? {}
        if self.offset > before {
            // Where it was truncated just now this fails, and the next look sees why.
            self.tail = source::tail(&self.file, self.offset).unwrap_or_default();
        }
        if self.beginning.is_none() && self.offset > 0 {
            let mut head = vec![0; HEAD];
            let length = self.file.read_at(&mut head, 0).map_err(Failure::Read)?;
            self.beginning = source::beginning(&head[..length]);
        }
        Ok(())
    }

    /// Whether `source` is this, and not what came to be where it was truncated.
    fn is(&self, source: &Source) -> bool {
        self.identity == source.identity && self.beginning == source.beginning()
    }

    /// Whether `source` begins as this does, and is another file.
    fn is_copied_to(&self, source: &Source) -> bool {
        self.beginning.is_some() && self.beginning == source.beginning() && self.identity != source.identity
    }

    /// Reads what a copy has beyond what is read of this.
    fn read_rest(&self, copy: &Source, scan: &mut Scan<'_>, taker: &mut dyn Taker) -> Result<(), Failure> {
        let mut reader = copy.reader();
        let mut tail = vec![0; self.tail.len()];
        let skipped = io::copy(&mut (&mut reader).take(self.offset - tail.len() as u64), &mut io::sink());
        if skipped.and_then(|_| reader.read_exact(&mut tail)).is_err() || tail != self.tail {
            return Ok(());
        }
        while scan.step(&mut reader, taker)? {}
        Ok(())
    }
}

impl Read for Held {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(room, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// Looks at a file that lost its name before it is left.
const QUIET: u32 = 2;

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write, time::Duration};

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::{
        super::{Filter, scan::tests::Found},
        *,
    };

    /// A log in a folder of its own, who writes it, and all that was written.
    struct World {
        folder: TempDir,
        written: String,
        turns: u32,
    }

    impl World {
        fn new() -> World {
            World { folder: tempfile::tempdir().unwrap(), written: String::new(), turns: 0 }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn log(&self) -> PathBuf {
            self.path("deliveries.jsonl")
        }

        fn append(&self, bytes: &[u8]) {
            OpenOptions::new().append(true).create(true).open(self.log()).unwrap().write_all(bytes).unwrap();
        }

        fn write(&mut self, lines: usize) {
            for _ in 0..lines {
                let number = self.written.lines().count();
                let line = format!("{{\"timestamp\":\"2026-11-22T19:00:00.{number:06}Z\",\"bytes\":{number}}}\n");
                self.append(line.as_bytes());
                self.written += &line;
            }
        }

        fn name_of_turn(&mut self) -> PathBuf {
            self.turns += 1;
            self.path(&format!("deliveries.jsonl-20261122{:04}", self.turns))
        }

        fn rename(&mut self) {
            let to = self.name_of_turn();
            if self.log().exists() {
                fs::rename(self.log(), to).unwrap();
            }
            self.append(b"");
        }

        fn copy_and_truncate(&mut self) {
            let to = self.name_of_turn();
            if self.log().exists() {
                fs::copy(self.log(), to).unwrap();
                let log = OpenOptions::new().write(true).open(self.log()).unwrap();
                log.set_len(0).unwrap();
                // Two looks are never so close together that the file's time would be the same.
                log.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(self.turns.into())).unwrap();
            }
        }

        fn gzip(&self) {
            let is_plain = |path: &Path| path != self.log() && path.extension().is_none_or(|extension| extension != "gz");
            for path in fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| is_plain(path))
            {
                let name = format!("{}.gz", path.display());
                let mut encoder = GzEncoder::new(File::create(name).unwrap(), Compression::fast());
                encoder.write_all(&fs::read(&path).unwrap()).unwrap();
                encoder.finish().unwrap();
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Looks as often as it takes to come to the end.
    fn settle(follower: &mut Follower, scan: &mut Scan<'_>, found: &mut Found) {
        for _ in 0..=QUIET {
            follower.look(scan, found).unwrap();
        }
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_waited_for() {
        let (mut world, filter) = (World::new(), Filter::default());
        let (mut follower, mut scan, mut found) = (Follower::new(world.log()), Scan::new(&filter), Found::default());
        settle(&mut follower, &mut scan, &mut found);
        assert!(follower.is_waiting() && follower.failed.is_empty());
        world.write(3);
        settle(&mut follower, &mut scan, &mut found);
        assert_eq!(found.0, world.written);
    }

    #[test]
    fn a_line_is_given_once_it_is_whole() {
        let (mut world, filter) = (World::new(), Filter::default());
        let (mut follower, mut scan, mut found) = (Follower::new(world.log()), Scan::new(&filter), Found::default());
        world.write(1);
        world.append(b"{\"timestamp\":\"2026-11-22T19:0");
        settle(&mut follower, &mut scan, &mut found);
        assert_eq!(found.0, world.written);
        world.append(b"0:01.000000Z\"}\n");
        settle(&mut follower, &mut scan, &mut found);
        assert_eq!(found.0, world.written + "{\"timestamp\":\"2026-11-22T19:00:01.000000Z\"}\n");
        assert_eq!(scan.tally.damaged, 0);
    }

    #[test]
    fn a_deleted_log_is_read_to_its_end() {
        let (mut world, filter) = (World::new(), Filter::default());
        let (mut follower, mut scan, mut found) = (Follower::new(world.log()), Scan::new(&filter), Found::default());
        world.write(1);
        settle(&mut follower, &mut scan, &mut found);
        world.write(2);
        fs::remove_file(world.log()).unwrap();
        world.write(2);
        settle(&mut follower, &mut scan, &mut found);
        assert_eq!(found.0, world.written);
    }

    #[test]
    fn who_still_writes_to_the_old_file_is_heard() {
        let (mut world, filter) = (World::new(), Filter::default());
        let (mut follower, mut scan, mut found) = (Follower::new(world.log()), Scan::new(&filter), Found::default());
        world.write(1);
        settle(&mut follower, &mut scan, &mut found);
        let mut late = OpenOptions::new().append(true).open(world.log()).unwrap();
        world.rename();
        follower.look(&mut scan, &mut found).unwrap();
        let line = "{\"timestamp\":\"2026-11-22T19:00:00.5Z\"}\n";
        late.write_all(line.as_bytes()).unwrap();
        world.written += line;
        world.write(1);
        settle(&mut follower, &mut scan, &mut found);
        follower.look(&mut scan, &mut found).unwrap();
        assert_eq!(found.0, world.written);
    }

    #[test]
    fn a_log_truncated_and_written_beyond_where_it_was_is_seen() {
        let (mut world, filter) = (World::new(), Filter::default());
        let (mut follower, mut scan, mut found) = (Follower::new(world.log()), Scan::new(&filter), Found::default());
        world.write(2);
        settle(&mut follower, &mut scan, &mut found);
        world.write(1);
        world.copy_and_truncate();
        world.write(10);
        settle(&mut follower, &mut scan, &mut found);
        assert_eq!(found.0, world.written);
    }

    #[test]
    fn a_log_that_began_with_half_a_line_is_known_again_when_it_is_compressed() {
        let (mut world, filter) = (World::new(), Filter::default());
        let (mut follower, mut scan, mut found) = (Follower::new(world.log()), Scan::new(&filter), Found::default());
        world.append(b"{\"timestamp\":\"2026-11-22T19");
        settle(&mut follower, &mut scan, &mut found);
        world.append(b":00:00Z\"}\n");
        world.written += "{\"timestamp\":\"2026-11-22T19:00:00Z\"}\n";
        settle(&mut follower, &mut scan, &mut found);
        world.rename();
        world.gzip();
        world.write(1);
        settle(&mut follower, &mut scan, &mut found);
        assert_eq!(found.0, world.written);
    }

    #[test]
    fn a_log_replaced_by_a_copy_is_not_given_again() {
        let (mut world, filter) = (World::new(), Filter::default());
        let (mut follower, mut scan, mut found) = (Follower::new(world.log()), Scan::new(&filter), Found::default());
        world.write(2);
        settle(&mut follower, &mut scan, &mut found);
        fs::copy(world.log(), world.path("copy")).unwrap();
        fs::rename(world.path("copy"), world.log()).unwrap();
        settle(&mut follower, &mut scan, &mut found);
        world.write(1);
        settle(&mut follower, &mut scan, &mut found);
        assert_eq!(found.0, world.written);
    }

    #[test]
    fn a_last_line_that_nobody_ended_is_given_before_the_next_file() {
        let (mut world, filter) = (World::new(), Filter::default());
        let (mut follower, mut scan, mut found) = (Follower::new(world.log()), Scan::new(&filter), Found::default());
        world.write(1);
        let unended = "{\"timestamp\":\"2026-11-22T19:00:00.5Z\"}";
        world.append(unended.as_bytes());
        world.written += &format!("{unended}\n");
        settle(&mut follower, &mut scan, &mut found);
        world.rename();
        world.write(1);
        settle(&mut follower, &mut scan, &mut found);
        assert_eq!((&found.0, scan.tally.damaged), (&world.written, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_line_is_given_once_whatever_happens_to_the_files(
            steps in proptest::collection::vec(0..7_u8, 1..40),
        ) {
            let (mut world, filter) = (World::new(), Filter::default());
            let (mut follower, mut scan, mut found) = (Follower::new(world.log()), Scan::new(&filter), Found::default());
            for step in steps {
                match step {
                    0 => world.write(1),
                    1 => world.write(5),
                    2 => world.rename(),
                    3 => world.copy_and_truncate(),
                    4 => world.gzip(),
                    5 => follower.look(&mut scan, &mut found).unwrap(),
                    _ => settle(&mut follower, &mut scan, &mut found),
                }
            }
            settle(&mut follower, &mut scan, &mut found);
            prop_assert_eq!(&found.0, &world.written);
            prop_assert_eq!(scan.tally.damaged, 0);
        }
    }
}
