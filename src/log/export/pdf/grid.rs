//! Tables whose headings are repeated on each page.

use super::{
    paper::{DARK, FAINT, Ink, LEFT, LIGHT, Paper},
    text::{Line, Weight},
};

pub(super) struct Grid {
    pub(super) columns: &'static [Column],
    /// Of the text.
    pub(super) size: f32,
}

pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: f32,
    pub(super) side: Side,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Side {
    Left,
    Right,
}

pub(super) struct Cell<'t> {
    pub(super) text: &'t str,
    pub(super) ink: Ink,
    /// A mark before the text.
    pub(super) mark: Option<Ink>,
}

impl<'t> From<&'t str> for Cell<'t> {
    fn from(text: &'t str) -> Cell<'t> {
        Cell { text, ink: DARK, mark: None }
    }
}

impl Grid {
    /// The headings, with room for a row below them.
    pub(super) fn begin(&self, paper: &mut Paper) {
        if paper.room() < 3.0 * self.height(1) {
            paper.turn();
        }
        self.head(paper);
    }

    pub(super) fn row(&self, paper: &mut Paper, cells: &[Cell<'_>]) {
        self.weighed_row(paper, cells, Weight::Regular);
    }

    /// The last row, of sums.
    pub(super) fn sums(&self, paper: &mut Paper, cells: &[Cell<'_>]) {
        self.weighed_row(paper, cells, Weight::Bold);
    }

    fn weighed_row(&self, paper: &mut Paper, cells: &[Cell<'_>], weight: Weight) {
        let texts: Vec<Vec<Line>> = self
            .columns
            .iter()
            .zip(cells)
            .map(|(column, cell)| {
                let indent = if cell.mark.is_some() { MARK } else { 0.0 };
                paper.fonts.lines(cell.text, weight, (column.width - indent) / self.size, MOST_LINES)
            })
            .collect();
        let height = self.height(texts.iter().map(Vec::len).max().unwrap_or(1));
        if paper.room() < height {
            paper.turn();
            self.head(paper);
        }
        let baseline = paper.y - PADDING - self.size * 0.8;
        let mut x = LEFT;
        for ((column, cell), lines) in self.columns.iter().zip(cells).zip(&texts) {
            let mut indent = 0.0;
            if let Some(ink) = cell.mark {
                paper.fill([x, baseline], [self.size * 0.6, self.size * 0.6], ink);
                indent = MARK;
            }
            for (number, line) in lines.iter().enumerate() {
                let y = baseline - number as f32 * self.size * LEADING;
                paper.write([column.start(x, line, self.size) + indent, y], line, self.size, cell.ink);
            }
            x += column.width + GAP;
        }
        paper.y -= height;
        paper.fill([LEFT, paper.y], [self.width(), 0.4], LIGHT);
    }

    fn head(&self, paper: &mut Paper) {
        let y = paper.y - PADDING - self.size * 0.8;
        let mut x = LEFT;
        for column in self.columns {
            let line = paper.fonts.line(column.title, Weight::Bold);
            paper.write([column.start(x, &line, self.size), y], &line, self.size, FAINT);
            x += column.width + GAP;
        }
        paper.y -= self.height(1);
        paper.fill([LEFT, paper.y], [self.width(), 0.8], FAINT);
    }

    fn width(&self) -> f32 {
        self.columns.iter().map(|column| column.width + GAP).sum::<f32>() - GAP
    }

    fn height(&self, lines: usize) -> f32 {
        2.0 * PADDING + self.size * (1.0 + LEADING * (lines - 1) as f32)
    }
}

impl Column {
    /// Where a line begins in a column at `x`.
    fn start(&self, x: f32, line: &Line, size: f32) -> f32 {
        match self.side {
            Side::Left => x,
            Side::Right => x + self.width - line.width(size),
        }
    }
}

const PADDING: f32 = 2.6;
/// From line to line in a cell, in multiples of the font's size.
const LEADING: f32 = 1.2;
/// In a cell; what is longer is cut.
const MOST_LINES: usize = 2;
/// Between two columns.
const GAP: f32 = 8.0;
/// What a mark takes.
const MARK: f32 = 8.0;
