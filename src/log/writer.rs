//! The one writer: a thread that takes lines from the buffer and puts them where they go.
//!
//! A destination that blocks blocks only this thread. One that fails keeps its lines, and is tried again every second;
//! meanwhile the buffer fills, and then counts what it cannot hold.
//!
//! **Invariant:** a line leaves the batch when the system has taken all of it, and not before.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use super::{
    batch::Batch,
    buffer::{Buffer, Orders},
    diagnostics,
    disk::{Disk, Files},
    output::Output,
};

pub(super) fn start(buffer: Arc<Buffer>, output: Output) -> io::Result<JoinHandle<()>> {
    let writer = Writer::new(buffer, output);
    thread::Builder::new().name("log".into()).stack_size(STACK).spawn(|| writer.run())
}

struct Writer<D: Disk = Files> {
    buffer: Arc<Buffer>,
    output: Output<D>,
    batch: Batch,
    failing: bool,
    /// Rotating fails, and that has been said.
    growing: bool,
}

impl Writer {
    fn run(mut self) {
        let (mut pause, mut closing) = (RETRY, false);
        loop {
            let orders = self.buffer.take(&mut self.batch, pause);
            closing |= orders.close;
            self.obey(orders);
            pause = self.drain();
            while closing && self.batch.is_empty() && self.buffer.take_rest(&mut self.batch) {
                pause = self.drain();
            }
            // What only is not ready is waited for: whoever closes says for how long.
            if closing && (self.batch.is_empty() || pause != RETRY_NOT_READY) {
                break;
            }
        }
        if let Err(error) = self.output.sync() {
            diagnostics::error(format_args!("delivery log: {} may be incomplete: {error}", self.output));
        }
        self.buffer.finish();
    }

    fn obey(&mut self, orders: Orders) {
        if let Some(output) = orders.output {
            // What was logged before the switch belongs to the old place, if that takes it.
            self.drain();
            self.output.leave(&mut self.batch);
            self.output = output;
        } else if orders.reopen {
            self.output.reopen(&mut self.batch);
        }
        if let Some(rotation) = orders.rotation {
            self.output.set_rotation(rotation);
        }
    }

    /// Writes what it can; how long to wait before it is worth trying again.
    fn drain(&mut self) -> Duration {
        while !self.batch.is_empty() {
            let written = self.advance(SystemTime::now());
            self.report_growth();
            match written {
                // A stdout that somebody made non-blocking, or a file that somebody is about to make.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return RETRY_NOT_READY,
                Err(error) => {
                    self.report_trouble(&error);
                    return RETRY;
                }
                Ok(()) if self.failing => {
                    self.failing = false;
                    diagnostics::info(format_args!("delivery log: writing to {} again", self.output));
                }
                Ok(()) => {}
            }
        }
        RETRY
    }

    fn report_trouble(&mut self, error: &io::Error) {
        if !self.failing {
            self.failing = true;
            diagnostics::error(format_args!("delivery log: cannot write to {}, trying every second: {error}", self.output));
        }
    }

    fn report_growth(&mut self) {
        match self.output.rotated() {
            Some(Err(error)) if !self.growing => {
                self.growing = true;
                diagnostics::error(format_args!("delivery log: {} cannot be rotated, and grows: {error}", self.output));
            }
            Some(Ok(())) => self.growing = false,
            _ => {}
        }
    }
}

impl<D: Disk> Writer<D> {
    fn new(buffer: Arc<Buffer>, output: Output<D>) -> Writer<D> {
        Writer { buffer, output, batch: Batch::default(), failing: false, growing: false }
    }

    /// One write, and what everybody has to know of it.
    fn advance(&mut self, now: SystemTime) -> io::Result<()> {
        let written = self.output.write(&mut self.batch, now);
        self.buffer.progress(&self.batch);
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::WouldBlock
        {
            self.buffer.fail(&mut self.batch);
        }
        written
    }
}

const RETRY: Duration = Duration::from_secs(1);
/// For what is ready by itself before long.
const RETRY_NOT_READY: Duration = Duration::from_millis(10);
const STACK: usize = 128 * 1024;

#[cfg(test)]
mod simulation;
