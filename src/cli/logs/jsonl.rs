//! Lines as they stand in the log.

use std::io::{self, BufWriter, Write};

use super::{output::Output, printer::Writer};
use crate::{cli::terminal, log::reader::Entry};

pub(super) struct Jsonl {
    out: BufWriter<Output>,
    /// Somebody looks at it, and what is no line of ours may hold what a terminal obeys.
    seen: bool,
}

impl Jsonl {
    pub(super) fn new(out: Output, seen: bool) -> Jsonl {
        Jsonl { out: BufWriter::with_capacity(BUFFER, out), seen }
    }
}

impl Writer for Jsonl {
    fn add(&mut self, line: &[u8], _: &Entry<'_>) -> io::Result<()> {
        if self.seen {
            self.out.write_all(terminal::printable(line).as_bytes())?;
        } else {
            self.out.write_all(line)?;
        }
        self.out.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn end(self: Box<Self>) -> io::Result<()> {
        self.out.into_inner().map_err(|error| error.into_error())?.keep()
    }
}

/// Bytes a write.
const BUFFER: usize = 64 << 10;
