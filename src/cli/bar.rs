//! A bar on stderr that says how far a command is.

use std::{
    fmt::Display,
    io,
    time::{Duration, Instant},
};

use super::terminal;

pub(super) struct Bar {
    shown: bool,
    started: Instant,
    drawn: Option<Instant>,
}

impl Bar {
    pub(super) fn new(shown: bool) -> Bar {
        Bar { shown, started: Instant::now(), drawn: None }
    }

    /// Draws it if it is time to: `progress` is from 0 to 1, and `told` is what stands behind it, given the seconds it took.
    pub(super) fn draw<D: Display>(&mut self, progress: f64, told: impl FnOnce(f64) -> D) {
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW) {
            self.draw_now(progress, told);
        }
    }

    pub(super) fn draw_now<D: Display>(&mut self, progress: f64, told: impl FnOnce(f64) -> D) {
        if !self.shown {
            return;
        }
        self.drawn = Some(Instant::now());
        let told = told(self.started.elapsed().as_secs_f64().max(0.001));
        terminal::overwrite(line(progress, told, terminal::width(io::stderr()).unwrap_or(usize::MAX)));
    }

    pub(super) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            terminal::overwrite("");
        }
    }
}

/// What fits into a line of so many columns: what does not could not be written over.
fn line(progress: f64, told: impl Display, columns: usize) -> String {
    let told = format!("{:3.0}%  {told}", progress * 100.0);
    // Some terminals begin a new line once the last column is taken.
    let room = columns.saturating_sub(1);
    let width = WIDTH.min(room.saturating_sub(told.chars().count() + "[] ".len()));
    if width < LEAST {
        return told.chars().take(room).collect();
    }
    let done = (progress * width as f64) as usize;
    let bar: String = (0..width).map(|place| if place < done { '#' } else { '.' }).collect();
    format!("[{bar}] {told}")
}

const WIDTH: usize = 30;

/// A shorter bar says less than the number beside it.
const LEAST: usize = 5;

const REDRAW: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_stays_in_its_line() {
        for (columns, shown) in [
            (usize::MAX, "[###############...............]  50%  17 found, 5 MB/s"),
            (40, "[#######.......]  50%  17 found, 5 MB/s"),
            (31, "[##...]  50%  17 found, 5 MB/s"),
            (30, " 50%  17 found, 5 MB/s"),
            (10, " 50%  17 "),
            (0, ""),
        ] {
            assert_eq!(line(0.5, "17 found, 5 MB/s", columns), shown, "{columns}");
        }
    }
}
