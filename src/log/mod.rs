//! Memory: the delivery log, and the counters that use the same words.
//!
//! In comes a [`Record`] from whoever saw something happen; out goes one line of JSON (interface, section 6), by way of a
//! bounded buffer and one thread that writes. `write` costs the relay some hundred nanoseconds and never waits for a disk.
//! [`record`] is the glossary of all lines, and `keys` the table of what stands in them, of which [`schema`] is made;
//! [`diagnostics`] is what the process says of itself, on stderr. [`reader`] reads logs again, and [`export`] makes tables,
//! sums and reports of what it finds.
//!
//! ```text
//! write(Record) ── line ──► buffer ── batch ──► writer (thread) ──► output: file or stdout
//!                              └─► counters                              └─► rotate: files that are done
//! ```
//!
//! **Invariant:** a line is written whole and once, or it is counted as lost and a `log_lost` line says so.

mod batch;
mod buffer;
pub mod counters;
pub mod diagnostics;
mod disk;
pub mod export;
mod json;
mod keys;
mod line;
mod output;
pub mod reader;
pub mod record;
mod rotate;
mod schema;
mod writer;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Instant, SystemTime},
};

use self::{buffer::Buffer, output::Output};
pub use self::{
    buffer::Receipt, counters::Counters, keys::outcomes, line::Stamp, output::Destination, record::Record, schema::schema,
};

/// `now` in RFC 3339, UTC, microseconds: for who does it now and then. Who does it often keeps a [`Stamp`].
pub fn timestamp(now: SystemTime) -> String {
    Stamp::default().at(now).to_owned()
}

/// What the log is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub destination: Destination,
    pub format: Format,
    /// `None`: others rotate it, or nobody.
    pub rotate: Option<Rotation>,
}

/// How keys are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As Elastic Common Schema names them.
    Ecs,
    /// As the interface does.
    Plain,
}

/// When a file is done, and what becomes of those that are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes that a file may have.
    pub size: Option<u64>,
    /// No file goes on over midnight, UTC.
    pub daily: bool,
    /// Files besides the current one.
    pub keep: Option<usize>,
    /// Bytes of all files, the current one included.
    pub total: Option<u64>,
    /// Files that shippers have had time to read are compressed.
    pub gzip: bool,
}

impl From<Destination> for Settings {
    fn from(destination: Destination) -> Settings {
        Settings { destination, format: Format::Plain, rotate: None }
    }
}

/// The delivery log. Clones are the same log; when the last is dropped what it holds is still written, but nobody waits.
#[derive(Clone)]
pub struct Log(Arc<Door>);

impl Log {
    /// Opens the destination and starts the writer's thread.
    pub fn open(settings: impl Into<Settings>) -> io::Result<Log> {
        let settings = settings.into();
        let destination = Mutex::new(settings.destination.clone());
        let buffer = Arc::new(Buffer::new(settings.format));
        let thread = writer::start(Arc::clone(&buffer), Output::open(settings)?)?;
        Ok(Log(Arc::new(Door { buffer, destination, thread: Mutex::new(Some(thread)) })))
    }

    /// Logs and counts `record`, as of `now`. It is in the file within 100 ms, if that can be written to.
    pub fn write(&self, now: SystemTime, record: &Record<'_>) {
        self.0.buffer.add(now, record);
    }

    /// Logs `records`, as of `now`, all of them or none, and tells when they are in the file: for what must be there before
    /// the next step, which [`Log::count`]s them. Many such at a time share their writes. Lines that cannot be written are
    /// given up, but for one that was begun.
    pub fn write_first(&self, now: SystemTime, records: &[Record<'_>]) -> Receipt {
        self.0.buffer.add_first(now, records)
    }

    /// Counts `record`, whose line was written first.
    pub fn count(&self, record: &Record<'_>) {
        self.0.buffer.count(record);
    }

    /// Opens the file anew, by its name: for `SIGHUP`. A file renamed or deleted is noticed without it.
    pub fn reopen(&self) {
        self.0.buffer.order(|orders| orders.reopen = true);
    }

    /// Goes on by other settings: at another destination with whatever the old one did not take. An error leaves everything
    /// as it was.
    pub fn switch(&self, settings: impl Into<Settings>) -> io::Result<()> {
        let settings = settings.into();
        let mut destination = self.0.destination.lock().unwrap_or_else(PoisonError::into_inner);
        if *destination == settings.destination {
            self.0.buffer.set_format(settings.format);
            self.0.buffer.order(|orders| orders.rotation = Some(settings.rotate));
            return Ok(());
        }
        let (next, format) = (settings.destination.clone(), settings.format);
        let output = Output::open(settings)?;
        *destination = next;
        self.0.buffer.set_format(format);
        self.0.buffer.order(|orders| (orders.output, orders.rotation) = (Some(output), None));
        Ok(())
    }

    /// Writes what is left, with one last try, and waits for that, to `deadline` at most. Lines written later are lost.
    /// Returns how many lines were lost that no `log_lost` line tells of.
    pub fn close(&self, deadline: Instant) -> u64 {
        self.0.buffer.order(|orders| orders.close = true);
        let (ended, lost) = self.0.buffer.wait_for_end(deadline);
        if ended && let Some(thread) = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Only a panic makes this an error, and that has said so itself.
            let _ = thread.join();
        }
        lost
    }

    /// Lines lost since the start.
    pub fn lost(&self) -> u64 {
        self.0.buffer.lost()
    }

    /// Counts events that were answered as accepted; what becomes of them is counted with their lines.
    pub fn receive(&self, events: u64) {
        self.0.buffer.receive(events);
    }

    /// Counts events that were refused with `code`: there is no line of them.
    pub fn refuse(&self, code: &'static str, events: u64) {
        self.0.buffer.refuse(code, events);
    }

    pub fn counters(&self) -> Counters {
        self.0.buffer.counters()
    }

    /// Forgets what was counted of endpoints that are not `kept`.
    pub fn retain(&self, kept: impl Fn(&str) -> bool) {
        self.0.buffer.retain(kept);
    }
}

struct Door {
    buffer: Arc<Buffer>,
    /// Of the last settings.
    destination: Mutex<Destination>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.buffer.order(|orders| orders.close = true);
    }
}

#[cfg(test)]
pub(crate) use self::schema::tests::assert_valid;

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "lines are read as log shippers read them")]
mod tests;
