//! How each event has ended, and what there is to show for it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Act,
    account::{Auditor, Fate, Way, number},
    door::Posted,
};
use crate::{deliver::tests::world::seconds, endpoint::WhenFull};

impl Auditor<'_> {
    pub(super) fn close(&self) {
        let ended = &self.past.ended;
        assert!(ended.at <= self.past.limit, "it took until {:?}, and {:?} was the limit", ended.at, self.past.limit);
        assert_eq!(ended.held, (0, 0, 0), "events and bytes in the account, bytes in the ledger");
        assert!(self.out.is_empty() && self.again.is_empty(), "there are attempts under way");
        let left: Vec<usize> = ended.left.iter().map(|(id, _)| number(&id.as_str().into())).collect();
        assert!(left.is_sorted() && (left.is_empty() || self.is_draining), "left over: {left:?}");
        let mut pending: BTreeMap<usize, u32> = left.iter().copied().zip(ended.left.iter().map(|(_, made)| *made)).collect();
        let mut letters: BTreeMap<usize, &Value> = BTreeMap::new();
        for letter in &ended.letters {
            let twice = letters.insert(number(&letter["event"]["id"]), letter);
            assert!(twice.is_none(), "two letters: {letter}");
        }
        assert_eq!(pending.len(), left.len(), "left over twice: {left:?}");
        for event in 0..self.ways.len() {
            self.check_end(event, letters.remove(&event), pending.remove(&event));
        }
        assert!(pending.is_empty() && letters.is_empty(), "{pending:?} {letters:?}");
        self.check_counters();
    }

    fn check_end(&self, event: usize, letter: Option<&Value>, left: Option<u32>) {
        let (way, posted) = (&self.ways[event], &self.past.events[event]);
        let rest: Vec<&str> = way.lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
        let reason = way.lines.front().and_then(|line| line["reason"].as_str()).unwrap_or_default();
        let what = format!(
            "e-{event}, {:?} and {:?}, {} attempts: {:?}, left {left:?}",
            posted.posted, way.fate, way.counted, way.lines
        );
        let may = |reason: &str| match reason {
            "disabled" => way.may_be_disabled,
            "endpoint_removed" => way.may_be_removed,
            "max_age" => posted.is_old && way.counted > 0,
            _ => false,
        };
        let entered = if posted.posted == Posted::Displacing { Posted::Queued } else { posted.posted };
        let is_right = match (entered, way.fate, &*rest) {
            (Posted::Refused, None, []) | (Posted::Queued, Some(Fate::Delivered), []) => true,
            (Posted::Dropped, None, ["dropped"]) => true,
            (Posted::Overflowed, None, ["dead_lettered"]) => reason == "queue_full",
            (Posted::Queued, Some(Fate::GivenUp(wanted)), ["dead_lettered"]) => wanted.is_none_or(|wanted| wanted == reason),
            (Posted::Queued, None, ["dead_lettered"]) => may(reason),
            (Posted::Queued, None, ["dropped"]) => self.may_be_dropped(event),
            (Posted::Queued, None, []) => left.is_some(),
            _ => false,
        };
        let is_pending = (entered, way.fate, rest.is_empty()) == (Posted::Queued, None, true);
        assert!(is_right && is_pending == left.is_some(), "{what}");
        assert_eq!(letter.is_some(), rest == ["dead_lettered"], "{what}");
        let may_be_left = |made| made == way.counted || way.is_vague && made + 1 == way.counted;
        assert!(left.is_none_or(may_be_left), "{what}");
        if let (Some(letter), Some(line)) = (letter, way.lines.front()) {
            let attempts = letter["attempts"].as_u64();
            assert_eq!((attempts, line["attempt"].as_u64().or(Some(0))), (Some(way.counted.into()), attempts), "{what}");
            assert_eq!((&letter["reason"], &letter["error_code"]), (&line["reason"], &line["error_code"]), "{what}");
        }
    }

    /// Whether there was no room once, or less of it, and no older one waited all the while.
    fn may_be_dropped(&self, event: usize) -> bool {
        let has_waited = |way: &Way<'_>| way.first_began.is_some_and(|began| began > self.displaced_at + seconds(1));
        if self.ways[..event].iter().any(has_waited) {
            return false;
        }
        let mut dropping = self.versions.values().filter(|settings| settings.queue.when_full == WhenFull::DropOldest);
        let first = dropping.next().map(|settings| settings.queue);
        let is_resized = dropping.any(|settings| Some(settings.queue) != first);
        is_resized || self.past.events.iter().any(|event| event.posted == Posted::Displacing)
    }

    fn check_counters(&self) {
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut turns: BTreeMap<&str, &str> = BTreeMap::new();
        let was_another = self.past.acts.iter().any(|act| matches!(act, Act::Back { same: false }));
        for line in &self.past.ended.log {
            let (kind, outcome) = (line["kind"].as_str().unwrap(), line["outcome"].as_str().unwrap());
            *counts.entry((kind, outcome)).or_default() += 1;
            let pair = if matches!(outcome, "disabled" | "enabled") { "disabled" } else { "paused" };
            if kind == "endpoint" {
                let last = turns.insert(pair, outcome);
                // Of a pause a lane that has ended says no more, nor of what is forgotten with its endpoint.
                let is_turn = last.map_or(outcome == pair, |last| last != outcome || pair == "paused" || was_another);
                assert!(is_turn, "{outcome} after {last:?}: {line}");
            }
        }
        for ((kind, outcome), count) in counts {
            let counters = &self.past.ended.counters;
            let counted = if kind == "delivery" { counters.deliveries("hook", outcome) } else { counters.others(kind, outcome) };
            assert_eq!(counted, count, "{kind} {outcome}");
        }
    }
}
