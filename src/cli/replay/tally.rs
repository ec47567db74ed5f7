//! What has become of the lines of a replay, as it goes on and at its end.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use crate::cli::terminal;

/// Lines by their fate. All but the accepted ones are put back.
#[derive(Default, serde::Serialize)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    /// Not selected by the filters.
    pub(super) filtered: u64,
    /// Not a dead letter.
    pub(super) damaged: u64,
    /// By status and code.
    pub(super) refused: BTreeMap<String, u64>,
    /// Not come to.
    pub(super) unsent: u64,
}

impl Tally {
    pub(super) fn refuse(&mut self, why: String) {
        *self.refused.entry(why).or_default() += 1;
    }

    /// Whether every line that was meant was accepted.
    pub(super) fn is_clean(&self) -> bool {
        self.damaged == 0 && self.unsent == 0 && self.refused.is_empty()
    }

    pub(super) fn put_back(&self) -> u64 {
        self.filtered + self.damaged + self.unsent + self.refused.values().sum::<u64>()
    }

    pub(super) fn told(&self) -> String {
        let mut parts = Vec::new();
        for (number, what) in [(self.filtered, "not selected"), (self.damaged, "damaged"), (self.unsent, "not sent")] {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        parts.extend(self.refused.iter().map(|(why, number)| format!("{number} refused with {why}")));
        match self.put_back() {
            0 => format!("{} accepted", self.accepted),
            back => format!("{} accepted, {back} put back: {}", self.accepted, parts.join(", ")),
        }
    }
}

/// A bar on stderr, where that is a terminal.
pub(super) struct Bar {
    shown: bool,
    started: Instant,
    drawn: Option<Instant>,
}

impl Bar {
    pub(super) fn new() -> Bar {
        Bar { shown: io::stderr().is_terminal(), started: Instant::now(), drawn: None }
    }

    pub(super) fn draw(&mut self, progress: f64, tally: &Tally, note: &str) {
        if !self.shown || self.drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW && note.is_empty()) {
            return;
        }
        self.drawn = Some(Instant::now());
        let rate = tally.accepted as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let done = (progress * WIDTH as f64) as usize;
        let bar: String = (0..WIDTH).map(|place| if place < done { '#' } else { '.' }).collect();
        let (percent, accepted, back) = (progress * 100.0, tally.accepted, tally.put_back());
        terminal::overwrite(format_args!("[{bar}] {percent:3.0}%  {accepted} accepted, {back} put back, {rate:.0}/s {note}"));
    }

    pub(super) fn clear(&self) {
        if self.drawn.is_some() {
            terminal::overwrite("");
        }
    }
}

const WIDTH: usize = 30;

const REDRAW: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_back_says_why() {
        let mut tally = Tally { accepted: 3, ..Tally::default() };
        assert_eq!((tally.told(), tally.is_clean()), ("3 accepted".to_owned(), true));
        tally.filtered = 2;
        assert!(tally.is_clean());
        tally.refuse("409 endpoint_disabled".to_owned());
        assert!(!tally.is_clean());
        assert_eq!(tally.told(), "3 accepted, 3 put back: 2 not selected, 1 refused with 409 endpoint_disabled");
    }
}
