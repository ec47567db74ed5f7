//! What has become of the lines of a replay, as it goes on and at its end.

use std::collections::BTreeMap;

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

    /// As long as it goes on, for `seconds` by now.
    pub(super) fn so_far(&self, seconds: f64) -> String {
        let (accepted, back) = (self.accepted, self.put_back());
        format!("{accepted} accepted, {back} put back, {:.0}/s", accepted as f64 / seconds)
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
