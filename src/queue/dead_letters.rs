//! The dead letters: what was given up, whole, on disk.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use super::{
    Full, Parcel, Slot, Stage,
    line::{self, EventText},
    room,
    state::private,
};
use crate::{
    endpoint::Endpoint,
    log::{self, Log},
    retry::{ErrorCode, Reason},
};

/// A delivery that was given up.
#[derive(Clone)]
pub struct Letter {
    pub parcel: Arc<Parcel>,
    pub to: Addressee,
    pub reason: Reason,
    pub error_code: Option<ErrorCode>,
    pub attempts: u32,
}

/// Whom a letter was for.
#[derive(Clone)]
pub enum Addressee {
    Known(Arc<Endpoint>),
    /// An endpoint that an earlier config had.
    Removed(Arc<str>),
}

impl Addressee {
    pub fn name(&self) -> &str {
        match self {
            Addressee::Known(endpoint) => &endpoint.name,
            Addressee::Removed(name) => name,
        }
    }
}

/// The writer of the dead letters: a thread, since disks may be slow, full or gone, and events must not wait for them.
///
/// A letter that held a place in a queue keeps it until it is on disk. One that never had a place (a full queue's overflow)
/// counts against a small buffer of this store; while that is full or the file cannot be written, there is no
/// [`DeadLetters::reserve`], and the request is answered 429.
pub struct DeadLetters {
    post: Arc<Post>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Post {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
}

struct Inbox {
    letters: VecDeque<Posted>,
    /// Bytes of the letters that hold no place in a queue.
    overflow: usize,
    /// Where they go, and how long that file may get.
    file: (PathBuf, u64),
    /// Whether the last write succeeded and the file has room.
    writable: bool,
    closing: bool,
}

struct Posted {
    letter: Letter,
    _place: Place,
}

/// Where a letter's memory is counted until it is on disk.
pub enum Place {
    /// Nowhere: an earlier process had acknowledged it.
    Earlier,
    Overflow(Overflow),
    Queue(Slot),
}

/// A letter's place in this store's own buffer. What the letters of one event share is counted once, until the last is gone.
pub struct Overflow {
    _event: Arc<Counted>,
    _letter: Counted,
}

/// Bytes of this store's own buffer; dropping it frees them.
pub struct Counted {
    post: Arc<Post>,
    bytes: usize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.post.lock().overflow -= self.bytes;
    }
}

impl DeadLetters {
    /// Starts the writer. `path` is opened when there is something to write; it may hold `max_bytes`.
    pub fn start(path: PathBuf, max_bytes: u64, log: Log) -> io::Result<DeadLetters> {
        let inbox = Inbox { letters: VecDeque::new(), overflow: 0, file: (path, max_bytes), writable: true, closing: false };
        let post = Arc::new(Post { inbox: Mutex::new(inbox), arrived: Condvar::new() });
        let mut writer = Writer { file: None, log, lines: Vec::new() };
        let shared = Arc::clone(&post);
        let thread =
            std::thread::Builder::new().name("dead-letters".into()).stack_size(STACK).spawn(move || shared.work(&mut writer))?;
        Ok(DeadLetters { post, thread: Mutex::new(Some(thread)) })
    }

    /// Takes a delivery that was given up; `place` is freed when it is on disk.
    pub fn put(&self, letter: Letter, place: Place) {
        self.post.lock().letters.push_back(Posted { letter, _place: place });
        self.post.arrived.notify_one();
    }

    /// A place for an event of `bytes` that found a queue full; none where it could not be written soon. One event is let in
    /// however large it is, or it never would be. `event` is the same for all its letters, of which the first fills it.
    pub fn reserve(&self, bytes: usize, event: &mut Option<Arc<Counted>>) -> Result<Place, Full> {
        let mut inbox = self.post.lock();
        let is_full = event.is_none() && inbox.overflow > 0 && inbox.overflow + bytes > OVERFLOW;
        if !inbox.writable || is_full {
            return Err(Full);
        }
        let (bytes, letter) = if event.is_none() { (bytes, 0) } else { (0, LETTER) };
        inbox.overflow += bytes + letter;
        drop(inbox);
        let counted = |bytes| Counted { post: Arc::clone(&self.post), bytes };
        let event = event.get_or_insert_with(|| Arc::new(counted(bytes)));
        Ok(Place::Overflow(Overflow { _event: Arc::clone(event), _letter: counted(letter) }))
    }

    /// Writes into another file from now on.
    pub fn switch(&self, path: PathBuf, max_bytes: u64) {
        self.post.lock().file = (path, max_bytes);
    }

    /// For how many letters that wait there is room, and how many wait.
    #[cfg(test)]
    pub fn room(&self) -> (usize, usize) {
        let inbox = self.post.lock();
        (inbox.letters.capacity(), inbox.letters.len())
    }

    /// Writes what is left, trying once, and hands back what could not be written.
    pub fn close(&self) -> Vec<Letter> {
        self.post.lock().closing = true;
        self.post.arrived.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            log::diagnostics::error(format_args!("the writer of the dead letters has failed: please report this bug"));
        }
        let left = std::mem::take(&mut self.post.lock().letters);
        left.into_iter().map(|posted| posted.letter).collect()
    }
}

impl Post {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, writer: &mut Writer) {
        loop {
            let batch = self.next_batch();
            let Some(mut batch) = batch else { return };
            let (path, max_bytes) = self.lock().file.clone();
            let written = writer.write(&path, max_bytes, &batch);
            self.lock().writable = written.is_ok();
            match written {
                Ok(count) => {
                    let rest = batch.split_off(count);
                    writer.log_written(&batch);
                    self.put_back(rest);
                }
                Err(error) => {
                    if self.put_back(batch) {
                        return;
                    }
                    log::diagnostics::error(format_args!("dead letters wait in memory: {}: {error}", path.display()));
                    self.pause();
                }
            }
        }
    }

    /// Puts what could not be written before what came since; says whether the store is closing.
    fn put_back(&self, batch: Vec<Posted>) -> bool {
        let mut inbox = self.lock();
        batch.into_iter().rev().for_each(|posted| inbox.letters.push_front(posted));
        inbox.closing
    }

    /// Waits for letters; `None` when there are none and there will be none.
    fn next_batch(&self) -> Option<Vec<Posted>> {
        let mut inbox = self.lock();
        while inbox.letters.is_empty() {
            if inbox.closing {
                return None;
            }
            inbox = self.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
        let mut bytes = 0;
        let fits = |posted: &&Posted| {
            let before = bytes;
            bytes += posted.letter.parcel.prepared.footprint();
            before < BATCH
        };
        let count = inbox.letters.iter().take_while(fits).count();
        let batch = inbox.letters.drain(..count).collect();
        room::give_back(&mut inbox.letters);
        Some(batch)
    }

    /// Waits a second, or until the store is closed.
    fn pause(&self) {
        let inbox = self.lock();
        let _ = self.arrived.wait_timeout_while(inbox, AGAIN, |inbox| !inbox.closing);
    }
}

/// The file's side.
struct Writer {
    file: Option<File>,
    log: Log,
    lines: Vec<u8>,
}

impl Writer {
    /// Writes the first letters of `batch`, as many as there is room for, and says how many; an error if that is none.
    fn write(&mut self, path: &Path, max_bytes: u64, batch: &[Posted]) -> io::Result<usize> {
        let now = SystemTime::now();
        self.lines.clear();
        self.lines.shrink_to(KEPT_BUFFER);
        self.let_go_of_a_renamed_file(path);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open_for_lines(path)?),
        };
        let before = file.metadata()?.len();
        let room = max_bytes.saturating_sub(before);
        let (mut end, mut count) = (0, 0);
        for posted in batch {
            write_line(&mut self.lines, &posted.letter, now)?;
            if self.lines.len() as u64 > room {
                break;
            }
            (end, count) = (self.lines.len(), count + 1);
        }
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "state.max_bytes is reached"));
        }
        file.write_all(&self.lines[..end]).inspect_err(|_| {
            // Half a line must not stand before the next one.
            let _ = file.set_len(before);
        })?;
        Ok(count)
    }

    /// `replay` takes the file away by its name; what comes after belongs into a new one.
    fn let_go_of_a_renamed_file(&mut self, path: &Path) {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let held = self.file.as_ref().and_then(|file| file.metadata().ok()).map(identity);
        let named = std::fs::metadata(path).ok().map(identity);
        if held != named {
            self.file = None;
        }
    }

    fn log_written(&self, batch: &[Posted]) {
        let now = SystemTime::now();
        for Posted { letter, .. } in batch {
            let event = letter.parcel.prepared.event.head();
            let code = letter.error_code.map(ErrorCode::as_str);
            let outcome = log::record::Outcome::DeadLettered { reason: letter.reason.as_str(), error_code: code.as_deref() };
            let line = super::letter_line(letter, &event, outcome);
            self.log.write(now, &log::Record::Delivery(line));
            letter.parcel.end(letter.to.name(), Stage::DeadLettered);
        }
    }
}

/// Opens a state file to append lines to. A crash can have left half a line; the next one begins on its own.
pub fn open_for_lines(path: &Path) -> io::Result<File> {
    let mut file = private().read(true).open(path)?;
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

fn write_line(out: &mut Vec<u8>, letter: &Letter, now: SystemTime) -> io::Result<()> {
    let line = Line {
        timestamp: log::timestamp(now),
        endpoint: letter.to.name(),
        reason: letter.reason.as_str(),
        error_code: letter.error_code.map(ErrorCode::as_str),
        attempts: letter.attempts,
        event: EventText::new(&letter.parcel.prepared.event.view())?,
    };
    line::append(out, &line)
}

#[derive(serde::Serialize)]
struct Line<'a> {
    timestamp: String,
    endpoint: &'a str,
    reason: &'a str,
    error_code: Option<Cow<'a, str>>,
    attempts: u32,
    event: EventText<'a>,
}

/// What overflow may wait in memory: a disk's hiccup of some thousand events of 1 KiB.
const OVERFLOW: usize = 4 << 20;

/// What a letter takes beside its event.
const LETTER: usize = 192;

/// Bytes of events a write: enough to make it worth its system call.
const BATCH: usize = 128 << 10;

/// What the writer keeps of its buffer after a large batch.
const KEPT_BUFFER: usize = 256 << 10;

const AGAIN: Duration = Duration::from_secs(1);

const STACK: usize = 256 << 10;
