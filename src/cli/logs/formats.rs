//! Formats that are made of what a line says, on their way to an output.

use std::{
    io::{self, BufWriter, IntoInnerError, Write},
    time::SystemTime,
};

use super::{output::Output, printer::Writer};
use crate::{
    cli::terminal,
    log::{
        export::{self, Look, pdf},
        reader::Entry,
    },
};

pub(super) struct Table(export::Table<BufWriter<Output>>);

impl Table {
    pub(super) fn new(output: Output, look: Look) -> Table {
        Table(export::Table::new(BufWriter::new(output), look))
    }
}

impl Writer for Table {
    fn add(&mut self, _: &[u8], entry: &Entry<'_>) -> io::Result<()> {
        self.0.add(entry, SystemTime::now())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()?;
        self.0.into_inner().into_inner().map_err(IntoInnerError::into_error)?.keep()
    }
}

pub(super) struct Csv(export::Csv<Output>);

impl Csv {
    pub(super) fn new(output: Output) -> io::Result<Csv> {
        Ok(Csv(export::Csv::new(output)?))
    }
}

impl Writer for Csv {
    fn add(&mut self, _: &[u8], entry: &Entry<'_>) -> io::Result<()> {
        self.0.add(entry)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn end(self: Box<Self>) -> io::Result<()> {
        self.0.into_inner()?.keep()
    }
}

pub(super) struct Stats {
    output: Output,
    sums: export::Stats,
    /// As a table, which looks so; else JSON.
    table: Option<Look>,
}

impl Stats {
    pub(super) fn new(output: Output, table: Option<Look>) -> Stats {
        Stats { output, sums: export::Stats::default(), table }
    }
}

impl Writer for Stats {
    fn add(&mut self, _: &[u8], entry: &Entry<'_>) -> io::Result<()> {
        self.sums.add(entry);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        let text = match self.table {
            Some(Look { width, colours, .. }) => self.sums.table(width, colours),
            None => self.sums.json() + "\n",
        };
        self.output.write_all(text.as_bytes())?;
        self.output.keep()
    }
}

pub(super) struct Pdf {
    output: Output,
    report: pdf::Report,
}

impl Pdf {
    pub(super) fn new(output: Output, options: pdf::Options) -> Pdf {
        Pdf { output, report: pdf::Report::new(options) }
    }
}

impl Writer for Pdf {
    fn add(&mut self, _: &[u8], entry: &Entry<'_>) -> io::Result<()> {
        self.report.add(entry);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(mut self: Box<Self>) -> io::Result<()> {
        let left_out = self.report.finish(&mut self.output).map_err(|error| match error {
            pdf::Error::Write(error) => error,
            error @ pdf::Error::Font(_) => io::Error::other(error),
        })?;
        self.output.keep()?;
        if left_out > 0 {
            terminal::complain(format_args!("warning: the report's table leaves out {left_out} lines; its sums count them"));
        }
        Ok(())
    }
}
