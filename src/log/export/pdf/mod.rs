//! The log as a report for people who do not read logs: figures, a chart, totals, and the lines as a table.
//!
//! In come an [`Options`] and entries, one by one; out goes a PDF (1.7, ISO 32000-1). The first pages need what only the
//! last entry tells, so they are drawn last and put first. What is kept meanwhile are full pages, compressed, and counters.
//!
//! ```text
//! Entry ─┬─► rows ──► grid ──► paper: pages
//!        └─► totals, timeline ──► summary, chart ──► paper: the first pages
//! ```
//!
//! **Invariant:** pure, the same entries make the same bytes; what a character of a line would do to who reads it, it does
//! not: what the fonts lack, or nobody sees, stands as `U+XXXX`.

mod chart;
mod font;
mod grid;
mod object;
mod paper;
mod rows;
mod summary;
mod text;
mod timeline;
mod totals;
mod widths;

use std::{io, time::SystemTime};

use jiff::Timestamp;

pub use self::font::{Error as FontError, Font};
use self::{
    paper::{Imprint, Paper},
    text::Fonts,
    totals::Totals,
};
use crate::log::reader::Entry;

pub struct Options {
    pub title: String,
    /// What was asked for, by names: shown as it is.
    pub filter: Vec<(String, String)>,
    pub made: SystemTime,
    /// What the report is set in; Helvetica has what this lacks.
    pub font: Option<Font>,
}

/// A report that is being made.
pub struct Report {
    title: String,
    filter: Vec<(String, String)>,
    made: Timestamp,
    paper: Paper,
    totals: Totals,
    /// Rows that the table may still get.
    room: u64,
    left_out: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the font cannot be embedded")]
    Font(#[from] font::Error),
    #[error("cannot write the report")]
    Write(#[from] io::Error),
}

impl Report {
    pub fn new(options: Options) -> Report {
        Report {
            title: options.title,
            filter: options.filter,
            made: Timestamp::try_from(options.made).unwrap_or_default(),
            paper: Paper::new(Fonts { given: options.font }),
            totals: Totals::default(),
            room: MOST_ROWS,
            left_out: 0,
        }
    }

    pub fn add(&mut self, entry: &Entry<'_>) {
        let time = entry.timestamp.parse().ok();
        self.totals.add(entry, time);
        if self.room == 0 {
            self.left_out += 1;
            return;
        }
        if self.totals.lines == 1 {
            rows::begin(&mut self.paper);
        }
        self.room -= 1;
        rows::add(&mut self.paper, entry, time);
    }

    /// Writes the file, and returns how many entries its table leaves out: there is no end to what can be counted, but to
    /// what can be shown.
    pub fn finish(self, out: &mut impl io::Write) -> Result<u64, Error> {
        let Report { title, filter, made, mut paper, totals, left_out, .. } = self;
        if left_out > 0 {
            rows::end(&mut paper, left_out);
        }
        let imprint = Imprint { title: &title, made };
        let table = paper.end_part();
        summary::draw(&mut paper, &imprint, &filter, totals);
        let mut pages = paper.end_part();
        let mut bookmarks = vec![("Summary", 0)];
        if !table.is_empty() {
            bookmarks.push((rows::TITLE, pages.len()));
        }
        pages.extend(table);
        out.write_all(&paper.finish(&pages, &bookmarks, &imprint)?)?;
        Ok(left_out)
    }
}

/// Some 25 000 pages.
const MOST_ROWS: u64 = 1_000_000;

#[cfg(test)]
mod tests;
