//! The writer and its output over a disk that fails, driven by seeds: whatever happens in whatever order, each line is whole
//! and once in the files there were, in order, or counted as lost. `LOG_SEED=n cargo test log::writer` does a seed that fails
//! again, and `LOG_SEEDS=n` tries so many.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::FutureExt;

use super::{
    super::{
        Format, Receipt, Rotation,
        disk::Found,
        output::Destination,
        record::{Event, Fate, Record},
    },
    *,
};
use crate::queue::{Random, seeds};

#[test]
fn each_line_is_whole_and_once_in_the_files_or_counted_as_lost() {
    for seed in seeds("LOG", 100) {
        let ended = std::panic::catch_unwind(|| Life::new(seed).live());
        assert!(ended.is_ok(), "seed {seed} fails");
    }
}

#[test]
fn a_rotation_that_fails_is_tried_again_later_and_the_file_grows() {
    let mut life = Life::new(0);
    life.rotate(Some(Rotation { size: Some(1), ..NEVER }));
    life.disk(|disk| disk.renames = false);
    for _ in 0..100 {
        life.add();
        life.write(100);
    }
    assert_eq!(life.disk(|disk| (disk.tried, disk.names.len())), (1, 1));
    life.disk(|disk| (disk.now += Duration::from_secs(61), disk.renames = true));
    life.add();
    life.write(100);
    assert_eq!(life.disk(|disk| (disk.tried, disk.names.len())), (2, 2));
    life.end();
}

#[test]
fn a_file_made_in_the_first_moment_of_a_day_is_of_that_day() {
    let mut life = Life::new(0);
    life.rotate(Some(Rotation { daily: true, ..NEVER }));
    life.add();
    life.write(1);
    life.disk(|disk| disk.now = SystemTime::UNIX_EPOCH + Duration::from_millis(30_000 * 86_400_000 + 1));
    for _ in 0..3 {
        life.add();
        life.write(1);
    }
    assert_eq!(life.disk(|disk| disk.given.len()), 1);
    life.end();
}

#[test]
fn a_file_that_takes_no_more_is_rotated_whatever_its_size() {
    let mut life = Life::new(0);
    life.rotate(Some(Rotation { daily: true, ..NEVER }));
    life.disk(|disk| disk.limit = 20_000);
    for _ in 0..100 {
        life.add();
        life.write(100);
    }
    assert!(life.disk(|disk| disk.names.len()) > 3);
    life.end();
}

#[test]
fn a_folder_that_cannot_be_searched_does_not_stop_what_is_open() {
    let mut life = Life::new(0);
    life.disk(|disk| (disk.looks, disk.opens) = (false, false));
    life.add();
    life.write(100);
    assert!(life.writer.batch.is_empty() && life.disk(|disk| !disk.nodes[0].bytes.is_empty()));
    life.end();
}

#[test]
fn a_stdout_that_is_not_ready_is_waited_for_and_gives_up_no_line_that_somebody_waits_for() {
    let mut life = Life::new(0);
    life.disk(|disk| disk.ready = false);
    let receipt = life.add_first();
    life.write(10);
    life.disk(|disk| disk.ready = true);
    life.write(10);
    assert_eq!(receipt.written().now_or_never(), Some(true));
}

#[test]
fn who_renames_the_file_has_a_moment_to_make_another() {
    let mut life = Life::new(0);
    let began = life.disk(|disk| disk.now);
    let receipt = life.add_first();
    life.disk(World::move_away);
    life.write(1);
    life.disk(|disk| disk.due = Some(disk.now));
    life.write(1);
    assert_eq!(receipt.written().now_or_never(), Some(true), "nobody is refused for it");
    // Nobody makes one.
    life.disk(World::move_away);
    life.add();
    life.write(10);
    assert!(life.disk(|disk| disk.now) <= began + Duration::from_millis(50));
    assert!(life.disk(|disk| disk.nodes.iter().map(|node| node.bytes.is_empty()).eq([true, false, false])));
    life.end();
}

#[test]
fn a_file_that_was_just_made_may_not_be_ours_yet() {
    let mut life = Life::new(0);
    let receipt = life.add_first();
    life.disk(|disk| (disk.move_away(), disk.make()));
    life.disk(|disk| disk.opens = false);
    life.write(2);
    life.disk(|disk| disk.opens = true);
    life.write(1);
    assert_eq!(receipt.written().now_or_never(), Some(true), "nobody is refused for it");
    life.disk(|disk| (disk.move_away(), disk.make()));
    life.disk(|disk| disk.opens = false);
    let receipt = life.add_first();
    life.write(4);
    assert_eq!(receipt.written().now_or_never(), Some(false), "that is more than a moment");
}

#[test]
fn a_file_that_was_deleted_is_made_anew_at_once() {
    let mut life = Life::new(0);
    life.disk(|disk| disk.names.clear());
    life.add();
    life.write(1);
    assert!(life.disk(|disk| disk.names.contains_key(Path::new(LOG)) && !disk.nodes[1].bytes.is_empty()));
    life.end();
}

/// A sidecar's log from start to end, over crashes.
struct Life {
    random: Random,
    disk: Rc<RefCell<World>>,
    buffer: Arc<Buffer>,
    writer: Writer<Shared>,
    /// Lines are numbered.
    added: u64,
    /// Those that somebody waits for.
    owed: Vec<(u64, Receipt)>,
    /// By crashes.
    lost: u64,
}

impl Life {
    fn new(seed: u64) -> Life {
        let disk = Rc::new(RefCell::new(World::new(seed)));
        let (buffer, writer) = start(&disk);
        Life { random: Random(!seed), disk, buffer, writer, added: 0, owed: Vec::new(), lost: 0 }
    }

    fn live(&mut self) {
        // A crash and a line that somebody waited for make it unknown what is owed.
        let crashes = self.random.one_in(2);
        for _ in 0..200 {
            match self.random.below(20) {
                0..6 => (0..self.random.below(20)).for_each(|_| self.add()),
                6..12 => {
                    let writes = 1 + self.random.below(4);
                    self.write(writes);
                }
                12 => self.rotate_somehow(),
                13 if crashes && self.random.one_in(3) => self.crash(),
                13 if !crashes => {
                    let receipt = self.add_first();
                    self.owed.push((self.added, receipt));
                }
                14 => {
                    self.disk(World::make_what_is_due);
                    self.writer.output.reopen(&mut self.writer.batch);
                }
                _ => self.disk.borrow_mut().change(),
            }
        }
        self.end();
    }

    /// All is well again, the rest is written, and everything is where it should be.
    fn end(&mut self) {
        self.disk(World::heal);
        self.write(10_000);
        assert!(self.writer.batch.is_empty(), "all is written");
        self.check();
    }

    fn add(&mut self) {
        let number = self.next_number();
        self.buffer.add(self.disk.borrow().now, &line(&number));
    }

    fn add_first(&mut self) -> Receipt {
        let number = self.next_number();
        self.buffer.add_first(self.disk.borrow().now, &[line(&number)])
    }

    fn next_number(&mut self) -> String {
        self.added += 1;
        let longest = if self.random.one_in(10) { 5000 } else { 200 };
        format!("{}.{}", self.added, "x".repeat(self.random.below(longest) as usize))
    }

    fn write(&mut self, times: u64) {
        for _ in 0..times {
            if self.writer.batch.is_empty() && !self.buffer.take_rest(&mut self.writer.batch) {
                return;
            }
            let now = self.disk.borrow().now;
            // What failed is still there.
            if self.writer.advance(now).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                self.disk(|disk| disk.now += RETRY_NOT_READY);
            }
        }
    }

    fn rotate_somehow(&mut self) {
        let rotation = Rotation {
            size: (!self.random.one_in(4)).then(|| self.random.below(200_000)),
            daily: self.random.one_in(2),
            ..NEVER
        };
        let is_on = !self.random.one_in(5);
        self.rotate(is_on.then_some(rotation));
    }

    fn rotate(&mut self, rotation: Option<Rotation>) {
        self.writer.output.set_rotation(rotation);
    }

    fn crash(&mut self) {
        if self.writer.batch.begun() == 1 {
            // The next start makes it a line, and it would not be lost.
            return;
        }
        self.lost += self.buffer.wait_for_end(Instant::now()).1;
        // It starts again where it can.
        let calm = self.disk(World::heal);
        self.disk(World::make_what_is_due);
        (self.buffer, self.writer) = start(&self.disk);
        self.disk.borrow_mut().restore(calm);
    }

    fn disk<T>(&self, see: impl FnOnce(&mut World) -> T) -> T {
        see(&mut self.disk.borrow_mut())
    }

    fn check(&mut self) {
        let (mut found, mut reported, mut last) = (BTreeSet::new(), 0, 0);
        for text in self.disk.borrow().texts() {
            // What has no end is no line, to anybody who reads lines.
            for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
                let Ok(line) = serde_json::from_str::<Line>(line) else {
                    let begun = line.trim_end_matches('\n');
                    let is_beginning = begun.starts_with(&HEAD[..begun.len().min(HEAD.len())]);
                    assert!(is_beginning, "not the beginning of a line: {line:.200}");
                    continue;
                };
                reported += line.count.unwrap_or(0);
                let Some(name) = line.event_type else { continue };
                let number = name.split('.').next().unwrap().parse().unwrap();
                assert!(number > last, "{number} after {last}");
                last = number;
                found.insert(number);
            }
        }
        let mut maybe = 0;
        for (number, receipt) in self.owed.drain(..) {
            let is_there = found.contains(&number);
            let told = receipt.written().now_or_never().expect("it is known");
            assert!(is_there || !told, "{number} was said to be written");
            maybe += u64::from(!is_there);
        }
        let missing = self.added - found.len() as u64 - maybe;
        assert_eq!(missing, reported + self.lost, "of {} lines", self.added);
    }
}

/// A line, as far as it matters.
#[derive(serde::Deserialize)]
struct Line {
    event_type: Option<String>,
    count: Option<u64>,
}

fn line(name: &str) -> Record<'_> {
    Record::Event(Event { fate: Fate::Unrouted, event_id: "e", event_type: name, trace_id: None })
}

fn start(disk: &Rc<RefCell<World>>) -> (Arc<Buffer>, Writer<Shared>) {
    let buffer = Arc::new(Buffer::holding(100_000, Format::Plain));
    let output = Output::on(Shared(Rc::clone(disk)), Destination::File(LOG.into())).unwrap();
    (Arc::clone(&buffer), Writer::new(buffer, output))
}

struct Shared(Rc<RefCell<World>>);

/// A folder, and what goes wrong in it.
struct World {
    random: Random,
    now: SystemTime,
    /// In the order in which they were made, also those that have no name any more.
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    /// The names that the log gave.
    given: Vec<PathBuf>,
    /// When whoever renamed the log will have made another, which nobody else may have done by then.
    due: Option<SystemTime>,
    /// What the log has open.
    open: Option<usize>,
    /// Renames that were tried.
    tried: u64,
    renames: bool,
    looks: bool,
    opens: bool,
    ready: bool,
    /// Whether anything may fail, or be half done, for no reason.
    rough: bool,
    /// Bytes that there are.
    room: usize,
    /// Bytes that a file may have.
    limit: usize,
}

struct Node {
    /// What was copied before it was truncated.
    copied: Vec<String>,
    bytes: Vec<u8>,
    modified: SystemTime,
}

impl World {
    fn new(seed: u64) -> World {
        World {
            random: Random(seed),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_375_313),
            nodes: Vec::new(),
            names: BTreeMap::new(),
            given: Vec::new(),
            due: None,
            open: None,
            tried: 0,
            renames: true,
            looks: true,
            opens: true,
            ready: true,
            rough: false,
            room: usize::MAX,
            limit: usize::MAX,
        }
    }

    /// What others do, and what comes of itself.
    fn change(&mut self) {
        self.make_what_is_due();
        let log = self.names.get(Path::new(LOG)).copied();
        match self.random.below(14) {
            0 => self.rough = !self.rough,
            1 => self.room = self.random.below(100_000) as usize,
            2 => self.room = usize::MAX,
            3 => self.limit = if self.limit == usize::MAX { self.random.below(300_000) as usize } else { usize::MAX },
            4 => self.renames = !self.renames,
            5 => self.opens = !self.opens,
            6 => self.looks = !self.looks,
            7 => self.ready = !self.ready,
            8 => self.now += Duration::from_millis(1 << self.random.below(30)),
            9 => self.now -= Duration::from_secs(self.random.below(3) * 3600),
            10 => drop(self.names.remove(Path::new(LOG))),
            // After a crash nobody knows which names there were.
            11 => (self.names.clear(), self.given.clear()).0,
            12 => {
                // Who has none open makes one at once.
                let is_open = log.is_some() && log == self.open;
                if self.move_away() && is_open && self.random.one_in(2) {
                    self.due = Some(self.now + Duration::from_millis(self.random.below(30)));
                }
            }
            _ => {
                if let Some(node) = log.map(|log| &mut self.nodes[log]) {
                    let bytes = std::mem::take(&mut node.bytes);
                    node.copied.push(String::from_utf8(bytes).unwrap());
                }
            }
        }
    }

    fn heal(&mut self) -> [usize; 7] {
        let was = [self.rough, !self.renames, !self.opens, !self.looks, !self.ready].map(usize::from);
        (self.rough, self.renames, self.opens, self.looks, self.ready) = (false, true, true, true, true);
        let bounds = [std::mem::replace(&mut self.room, usize::MAX), std::mem::replace(&mut self.limit, usize::MAX)];
        [was[0], was[1], was[2], was[3], was[4], bounds[0], bounds[1]]
    }

    fn restore(&mut self, was: [usize; 7]) {
        (self.rough, self.renames, self.opens) = (was[0] == 1, was[1] == 0, was[2] == 0);
        (self.looks, self.ready, self.room, self.limit) = (was[3] == 0, was[4] == 0, was[5], was[6]);
    }

    /// As logrotate does; whether there was something.
    fn move_away(&mut self) -> bool {
        let node = self.names.remove(Path::new(LOG));
        node.is_some_and(|node| self.names.insert(format!("{LOG}.{}", self.nodes.len()).into(), node).is_none())
    }

    fn make_what_is_due(&mut self) {
        if self.due.take().is_some() {
            self.make();
        }
    }

    fn make(&mut self) -> usize {
        assert!(self.due.is_none(), "whoever renamed it finds that another has made it");
        // The clock that dates files ticks every few milliseconds.
        let modified = self.now - Duration::from_millis(4);
        self.nodes.push(Node { copied: Vec::new(), bytes: Vec::new(), modified });
        self.names.insert(LOG.into(), self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// All that was ever written, in order.
    fn texts(&self) -> Vec<String> {
        let texts = |node: &Node| [&node.copied[..], &[String::from_utf8(node.bytes.clone()).unwrap()]].concat();
        self.nodes.iter().flat_map(texts).collect()
    }

    fn may(&mut self, can: bool) -> io::Result<()> {
        if can && !(self.rough && self.random.one_in(5)) { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    fn found(&self, node: usize) -> Found {
        let Node { bytes, modified, .. } = &self.nodes[node];
        let (length, modified) = (bytes.len() as u64, *modified);
        let links = self.names.values().filter(|&&named| named == node).count() as u64;
        Found { identity: (0, node as u64), is_file: true, length, modified, mode: 0o644, owner: (0, 0), links }
    }

    fn write(&mut self, node: usize, bytes: &[u8]) -> io::Result<usize> {
        if !self.ready || self.rough && self.random.one_in(8) {
            return Err(if self.random.one_in(2) { io::ErrorKind::Interrupted } else { io::ErrorKind::WouldBlock }.into());
        }
        self.may(true)?;
        let left = self.limit.saturating_sub(self.nodes[node].bytes.len());
        let mut count = bytes.len().min(left).min(self.room);
        if count == 0 {
            return Err(if left == 0 { io::ErrorKind::FileTooLarge } else { io::ErrorKind::StorageFull }.into());
        }
        if self.rough && self.random.one_in(3) {
            count = 1 + self.random.below(count as u64) as usize;
        }
        self.room -= count;
        let node = &mut self.nodes[node];
        node.bytes.extend_from_slice(&bytes[..count]);
        node.modified = self.now;
        Ok(count)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.tried += 1;
        self.may(self.renames)?;
        assert!(!self.names.contains_key(to), "{} is there", to.display());
        let node = self.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        if to == Path::new(LOG) {
            assert_eq!(self.given.pop().as_deref(), Some(from), "what failed is undone");
        } else {
            assert!(self.given.last().is_none_or(|last| **last < *to), "{} is not later than {:?}", to.display(), self.given);
            self.given.push(to.into());
        }
        self.names.insert(to.into(), node);
        Ok(())
    }
}

impl super::Disk for Shared {
    type File = usize;

    fn open(&self, _: &Destination, _: Option<&Found>) -> io::Result<usize> {
        let mut disk = self.0.borrow_mut();
        let opens = disk.opens;
        disk.may(opens)?;
        let there = disk.names.get(Path::new(LOG)).copied();
        let node = there.unwrap_or_else(|| disk.make());
        disk.open = Some(node);
        Ok(node)
    }

    fn look(&self, path: &Path) -> io::Result<Found> {
        let mut disk = self.0.borrow_mut();
        let looks = disk.looks;
        disk.may(looks)?;
        if disk.due.is_some_and(|due| disk.now >= due) {
            disk.make_what_is_due();
        }
        let node = *disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(disk.found(node))
    }

    /// Never fails: then it would not be known whether a line is whole, and it is written twice rather than not.
    fn look_at(&self, file: &usize) -> io::Result<Found> {
        Ok(self.0.borrow().found(*file))
    }

    fn byte_at(&self, file: &usize, position: u64) -> io::Result<Option<u8>> {
        let mut disk = self.0.borrow_mut();
        if let Err(error) = disk.may(true) {
            // It may be a reason not to have it open.
            disk.open = None;
            return Err(error);
        }
        Ok(disk.nodes[*file].bytes.get(position as usize).copied())
    }

    fn write(&self, file: &mut usize, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(*file, bytes)
    }

    fn sync(&self, _: &usize) -> io::Result<()> {
        Ok(())
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        path.into()
    }

    fn names(&self, _: &Path) -> io::Result<Vec<OsString>> {
        let mut disk = self.0.borrow_mut();
        disk.may(true)?;
        Ok(disk.names.keys().map(|path| path.file_name().unwrap().into()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.borrow_mut().rename(from, to)
    }

    fn leave(&self, file: usize) {
        self.0.borrow_mut().open.take_if(|open| *open == file);
    }

    fn grown_to(&self, _: u64) {}
    fn set_rotation(&self, _: Option<Rotation>) {}
    fn close(&self) {}
}

const LOG: &str = "logs/deliveries.jsonl";
const HEAD: &str = "{\"timestamp\":\"";
const NEVER: Rotation = Rotation { size: None, daily: false, keep: None, total: None, gzip: false };
