//! What becomes of files that are no longer written to: synced, deleted when there are too many, compressed when old enough.
//!
//! In come files, from the writer, who never waits for any of it: a thread does it, there only while there is something to
//! do, of the lowest priority, and resting at least as long as it computes.
//!
//! **Invariant:** only this log's rotated files are touched, and each is there plain or compressed until it is deleted.

use std::{
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use super::{
    super::{diagnostics, disk},
    Rotation, gzip,
    name::{Is, Name, Names},
};

/// The writer's side. Dropped, it ends the thread at its next piece of work.
pub(in super::super) struct Attic(Arc<Shared>);

impl Attic {
    /// For the log at `path`; `None` is one that has no other files.
    pub(in super::super) fn new(path: Option<PathBuf>) -> Attic {
        let state = State {
            rotation: None,
            left: Vec::new(),
            asked: false,
            working: false,
            closing: false,
            thread: None,
            said: Vec::new(),
        };
        let room = AtomicU64::new(u64::MAX);
        Attic(Arc::new(Shared { path, state: Mutex::new(state), changed: Condvar::new(), room }))
    }

    /// Syncs `file`, and has a look at all there are.
    pub(in super::super) fn take_in(&self, file: File) {
        self.ask(|state| state.left.push(file));
    }

    /// Deletes old files where the current one, of this length, makes them too much.
    pub(in super::super) fn make_room_for(&self, length: u64) {
        if length > self.0.room.load(Ordering::Relaxed) {
            self.0.room.store(u64::MAX, Ordering::Relaxed);
            self.ask(|_| {});
        }
    }

    pub(in super::super) fn set_rotation(&self, rotation: Option<Rotation>) {
        self.ask(|state| state.rotation = rotation);
    }

    /// Ends what is under way, but for syncing, for which it waits.
    pub(in super::super) fn close(&self) {
        let thread = {
            let mut state = self.0.lock();
            state.closing = true;
            self.0.changed.notify_all();
            state.thread.take()
        };
        if let Some(thread) = thread {
            // Only a panic makes this an error, and that has said so itself.
            let _ = thread.join();
        }
        self.0.sync_left();
    }

    fn ask(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        change(&mut state);
        if state.rotation.is_none() && state.left.is_empty() {
            return;
        }
        state.asked = true;
        self.0.changed.notify_all();
        // A thread that panicked could not say that it ended.
        if state.working && state.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let shared = Arc::clone(&self.0);
        match thread::Builder::new().name("log-files".into()).stack_size(STACK).spawn(move || shared.work()) {
            Ok(thread) => (state.thread, state.working) = (Some(thread), true),
            Err(error) => state.say_once("thread", format_args!("no thread for old files: {error}")),
        }
    }
}

impl Drop for Attic {
    fn drop(&mut self) {
        self.0.lock().closing = true;
        self.0.changed.notify_all();
    }
}

struct Shared {
    path: Option<PathBuf>,
    state: Mutex<State>,
    changed: Condvar,
    /// How long the current file may be before old ones have to go.
    room: AtomicU64,
}

struct State {
    rotation: Option<Rotation>,
    /// To be synced.
    left: Vec<File>,
    /// There may be something to do.
    asked: bool,
    /// A thread will see that.
    working: bool,
    closing: bool,
    thread: Option<JoinHandle<()>>,
    /// What fails, and has been said to.
    said: Vec<&'static str>,
}

/// A rotated file as it is in its folder.
struct Old {
    name: Name,
    path: PathBuf,
    length: u64,
    modified: SystemTime,
}

impl Shared {
    fn work(&self) {
        // With a core to itself or not, the relay goes first. What cannot be had is not worth a word.
        let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
        let mut pause = None;
        while let Some(rotation) = self.wait_for_work(pause) {
            self.sync_left();
            pause = rotation.and_then(|rotation| self.tidy(&rotation));
        }
    }

    /// Waits until somebody asks, or for `pause`; `None` is the end. Without a pause there is nothing to wait for.
    fn wait_for_work(&self, pause: Option<Duration>) -> Option<Option<Rotation>> {
        let mut state = self.lock();
        if let Some(pause) = pause {
            let waited = self.changed.wait_timeout_while(state, pause, |state| !state.asked && !state.closing);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if !state.asked && (pause.is_none() || state.closing) {
            state.working = false;
            return None;
        }
        state.asked = false;
        Some(state.rotation.clone().filter(|_| !state.closing))
    }

    fn sync_left(&self) {
        let left = std::mem::take(&mut self.lock().left);
        for file in left {
            let synced = match file.metadata() {
                Ok(found) if found.is_file() && found.nlink() > 0 => file.sync_data(),
                found => found.map(drop),
            };
            if let Err(error) = synced {
                diagnostics::error(format_args!("delivery log: a file that is done may be incomplete: {error}"));
            }
        }
    }

    /// Deletes and compresses what is to be; how long to wait until there will be more of that.
    fn tidy(&self, rotation: &Rotation) -> Option<Duration> {
        let path = disk::resolve(self.path.as_ref()?);
        let names = Names::of(&path)?;
        let mut refused = Vec::new();
        loop {
            let files = self.clear(rotation, &path, &names)?;
            let newest = files.last().map(|file| file.name.at);
            let zippable = |file: &&Old| file.name.is == Is::Plain && Some(file.name.at) != newest;
            let mut waiting = files.iter().filter(|file| rotation.gzip && zippable(file) && !refused.contains(&file.name.at));
            let next = waiting.next()?;
            let age = age(next.modified);
            if age < OLD_ENOUGH {
                return Some(OLD_ENOUGH - age);
            }
            refused.push(next.name.at);
            self.zip(&names, next, &path);
            if self.lock().closing {
                return None;
            }
        }
    }

    fn zip(&self, names: &Names, file: &Old, path: &Path) {
        let stage = |is| names.path(Name { is, ..file.name });
        let (unfinished, zipped) = (stage(Is::Unfinished), stage(Is::Zipped));
        let stages = gzip::Stages { plain: &file.path, unfinished: &unfinished, zipped: &zipped };
        match gzip::zip(&stages, |took| self.rest(took, path, names)) {
            Ok(_) => self.lock().forget("zip"),
            Err(error) => self.lock().say_once("zip", format_args!("{} cannot be compressed: {error}", file.path.display())),
        }
    }

    /// Between two pieces of work, of which the last took so long; whether to go on. What is more urgent is done meanwhile.
    fn rest(&self, took: Duration, path: &Path, names: &Names) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), took, |state| !state.asked && !state.closing);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if state.closing {
            return false;
        }
        if state.asked {
            state.asked = false;
            let rotation = state.rotation.clone();
            drop(state);
            self.sync_left();
            rotation.map(|rotation| self.clear(&rotation, path, names));
        }
        true
    }

    /// Deletes the oldest files while there are too many, and what was left of compressing; what is there then, in order.
    fn clear(&self, rotation: &Rotation, path: &Path, names: &Names) -> Option<Vec<Old>> {
        let mut files = match list(names) {
            Ok(files) => files,
            Err(error) => {
                self.lock().say_once("list", format_args!("{} cannot be read: {error}", names.folder().display()));
                return None;
            }
        };
        let current = fs::metadata(path).map_or(0, |found| found.len());
        let mut sum = files.iter().map(|file| file.length).sum::<u64>();
        let (mut gone, mut failed) = (0, false);
        while let Some(oldest) = files.get(gone)
            && (rotation.keep.is_some_and(|keep| files.len() - gone > keep)
                || rotation.total.is_some_and(|total| sum + current > total))
        {
            // One that stays is counted no more: what can be deleted is not deleted in its place.
            if let Err(error) = fs::remove_file(&oldest.path)
                && error.kind() != io::ErrorKind::NotFound
            {
                failed = true;
                self.lock().say_once("delete", format_args!("{} cannot be deleted: {error}", oldest.path.display()));
            }
            sum -= oldest.length;
            gone += 1;
        }
        if !failed {
            self.lock().forget("delete");
        }
        files.drain(..gone);
        let room = rotation.total.filter(|_| !files.is_empty()).map_or(u64::MAX, |total| total - sum);
        self.room.store(room, Ordering::Relaxed);
        Some(files)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn say_once(&mut self, what: &'static str, message: fmt::Arguments<'_>) {
        if !self.said.contains(&what) {
            self.said.push(what);
            diagnostics::error(format_args!("delivery log: {message}"));
        }
    }

    fn forget(&mut self, what: &'static str) {
        self.said.retain(|said| *said != what);
    }
}

/// The rotated files, the oldest first. What an earlier process began to compress goes.
fn list(names: &Names) -> io::Result<Vec<Old>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(names.folder())? {
        let entry = entry?;
        let Some(name) = names.read(&entry.file_name()) else { continue };
        let path = entry.path();
        // One that has gone is none.
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if !found.is_file() {
            continue;
        }
        if name.is == Is::Unfinished {
            // It is in nobody's way, and the next look comes.
            let _ = gzip::remove_leftover(&path);
            continue;
        }
        files.push(Old { name, path, length: found.len(), modified: found.modified().unwrap_or(SystemTime::UNIX_EPOCH) });
    }
    files.sort_by_key(|file| file.name);
    Ok(files)
}

/// How long ago that was. A time to come is one of a clock that was set back.
fn age(modified: SystemTime) -> Duration {
    SystemTime::now().duration_since(modified).unwrap_or_else(|ahead| ahead.duration())
}

/// Since the last write, before a file is compressed: shippers look for new files about every ten seconds.
const OLD_ENOUGH: Duration = Duration::from_secs(30);
const LOWEST_PRIORITY: i32 = 19;
const STACK: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a look leaves of rotated files, each of 10 bytes as is the log, which were written so many seconds ago; and when
    /// to look again.
    fn left(ages: &[i64], rotation: &Rotation) -> (Vec<(u64, Is)>, Option<Duration>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "0123456789").unwrap();
        let names = Names::of(&path).unwrap();
        for (at, age) in (0..).zip(ages) {
            let file = names.path(Name { at, is: Is::Plain });
            fs::write(&file, "0123456789").unwrap();
            let written = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(*age);
            File::options().append(true).open(&file).unwrap().set_modified(written.into()).unwrap();
        }
        // It has such a name, and is no file.
        fs::create_dir(names.path(Name { at: 99, is: Is::Plain })).unwrap();
        let pause = Attic::new(Some(path)).0.tidy(rotation);
        let files = list(&names).unwrap();
        (files.into_iter().map(|file| (file.name.at, file.name.is)).collect(), pause)
    }

    #[test]
    fn the_newest_stays_plain_and_so_do_those_that_shippers_may_not_have_seen() {
        let rotation = Rotation { gzip: true, ..NEVER };
        assert_eq!(left(&[3600, 3600], &rotation), (vec![(0, Is::Zipped), (1, Is::Plain)], None));
        // The clock was set back.
        assert_eq!(left(&[-3600, 3600], &rotation).0, [(0, Is::Zipped), (1, Is::Plain)]);
        let (files, pause) = left(&[3600, 10, 3600], &rotation);
        assert_eq!(files, [(0, Is::Zipped), (1, Is::Plain), (2, Is::Plain)]);
        assert!(pause.is_some_and(|pause| (10..=20).contains(&pause.as_secs())), "{pause:?}");
    }

    #[test]
    fn as_many_and_as_much_as_there_may_be_stay() {
        let kept = |rotation: &Rotation| left(&[40, 30, 20], rotation).0.into_iter().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(kept(&Rotation { keep: Some(3), ..NEVER }), [0, 1, 2]);
        assert_eq!(kept(&Rotation { keep: Some(2), ..NEVER }), [1, 2]);
        assert_eq!(kept(&Rotation { total: Some(40), ..NEVER }), [0, 1, 2]);
        assert_eq!(kept(&Rotation { total: Some(39), ..NEVER }), [1, 2]);
    }

    const NEVER: Rotation = Rotation { size: None, daily: false, keep: None, total: None, gzip: false };
}
