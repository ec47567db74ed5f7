//! A bar on stderr that says how far a command is.

use std::{
    fmt::Display,
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
        let done = (progress * WIDTH as f64) as usize;
        let bar: String = (0..WIDTH).map(|place| if place < done { '#' } else { '.' }).collect();
        let told = told(self.started.elapsed().as_secs_f64().max(0.001));
        terminal::overwrite(format_args!("[{bar}] {:3.0}%  {told}", progress * 100.0));
    }

    pub(super) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            terminal::overwrite("");
        }
    }
}

const WIDTH: usize = 30;

const REDRAW: Duration = Duration::from_millis(100);
