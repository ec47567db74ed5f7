//! What is found on its way out, and how far the search is.

use std::{
    io,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use crate::{
    cli::bar::Bar,
    log::reader::{Entry, Source, Taker},
};

/// Lines in one format, on their way to an output.
pub(super) trait Writer {
    fn add(&mut self, line: &[u8], entry: &Entry<'_>) -> io::Result<()>;

    /// Lets go of what is held back: the next line may be long in coming.
    fn flush(&mut self) -> io::Result<()>;

    fn end(self: Box<Self>) -> io::Result<()>;
}

pub(super) struct Printer<'s> {
    writer: Box<dyn Writer>,
    /// Something comes out of it where somebody wants the end.
    interrupts: Option<&'s Receiver<()>>,
    bar: Bar,
    /// Bytes of all sources, and of those that are done.
    total: u64,
    done: u64,
    source: Option<&'s Source>,
    found: u64,
    begun: Instant,
    flushed: Instant,
}

impl<'s> Printer<'s> {
    pub(super) fn new(writer: Box<dyn Writer>, interrupts: Option<&'s Receiver<()>>) -> Printer<'s> {
        let (bar, now) = (Bar::new(false), Instant::now());
        Printer { writer, interrupts, bar, total: 0, done: 0, source: None, found: 0, begun: now, flushed: now }
    }

    /// Shows how much of `sources` is read.
    pub(super) fn with_bar(self, sources: &[Source]) -> Printer<'s> {
        Printer { total: sources.iter().map(Source::size).sum(), bar: Bar::new(true), ..self }
    }

    /// What follows is of `source`.
    pub(super) fn turn_to(&mut self, source: &'s Source) {
        self.done += self.source.map_or(0, Source::size);
        self.source = Some(source);
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.flushed = Instant::now();
        self.writer.flush()
    }

    /// Something else is to be said on stderr.
    pub(super) fn clear(&mut self) {
        self.bar.clear();
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        self.bar.clear();
        self.writer.end()
    }
}

impl Taker for Printer<'_> {
    fn take(&mut self, line: &[u8], entry: &Entry<'_>) -> io::Result<()> {
        self.found += 1;
        self.writer.add(line, entry)
    }

    fn pause(&mut self) -> io::Result<()> {
        if self.interrupts.is_some_and(|interrupts| interrupts.try_recv().is_ok()) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.source.is_some_and(Source::is_stream) || self.flushed.elapsed() > HELD {
            self.flush()?;
        }
        if let Some(source) = self.source.filter(|_| self.total > 0 && self.begun.elapsed() > LONG) {
            let (read, found) = (self.done + source.position(), self.found);
            let told = |seconds: f64| format!("{found} found, {:.0} MB/s", read as f64 / 1e6 / seconds);
            self.bar.draw(read as f64 / self.total as f64, told);
        }
        Ok(())
    }
}

/// How long what is found may be held back.
const HELD: Duration = Duration::from_millis(200);

/// A search that takes longer is shown: a bar that is gone at once only flickers.
const LONG: Duration = Duration::from_millis(300);
