//! A type that shows what a route selects and others do not; or that there is none.
//!
//! Patterns are languages of dotted segments. All patterns of a question run side by side over the segments that they name,
//! the empty one, and one that none of them names; shorter types come first, so that a type's own limit is kept exactly.
//!
//! **Invariant:** an answer is exact. A question that would take too much work has none.

use std::collections::HashSet;

use super::{
    Few, Route,
    machine::Machine,
    pattern::{Pattern, Segment},
};
use crate::event::LONGEST_TYPE;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    /// There is no such type.
    Nothing,
    Type(String),
    Unknown,
}

/// A type that the patterns of `route` select, and of `others` none. `unnamed` is a segment that no pattern names; what is
/// done comes off `work`.
pub(super) fn sample(route: &Route, others: &[&Route], unnamed: &str, work: &mut u64) -> Sample {
    // Most patterns show at their plainest what they select.
    let patterns: u64 = others.iter().chain([&route]).map(|route| route.patterns.len() as u64).sum();
    for pattern in route.patterns.iter().filter(|pattern| !pattern.negated).take(PLAIN) {
        let text = plain(pattern, unnamed);
        *work = work.saturating_sub(patterns * effort(&text));
        let is_short = (1..=LONGEST_TYPE).contains(&text.len());
        if is_short && route.matches(&text) && !others.iter().any(|other| other.matches(&text)) {
            return Sample::Type(text);
        }
    }
    search(route, others, unnamed, work)
}

/// What it takes to match a type, at the most: `**` may try each of its segments against each.
pub(super) fn effort(event_type: &str) -> u64 {
    let segments = 1 + event_type.bytes().filter(|byte| *byte == b'.').count() as u64;
    1 + segments * segments / 16
}

/// The shortest segment, or one of them, that none of these routes names; empty is none.
pub(super) fn unnamed(routes: &[Route]) -> String {
    let segments = || routes.iter().flat_map(|route| &route.patterns).flat_map(|pattern| &pattern.segments);
    let of_length = |length: u32| {
        let is_long = |segment: &&str| segment.len() == length as usize;
        let named: HashSet<&str> = segments().filter_map(Segment::literal).filter(is_long).collect();
        let mut texts = (0..LETTERS.len().pow(length)).map(|n| {
            (0..length).map(|digit| char::from(LETTERS[n / LETTERS.len().pow(digit) % LETTERS.len()])).collect::<String>()
        });
        texts.find(|text| !named.contains(&**text))
    };
    // Four letters make more texts than a plan has room for.
    (1..=4).find_map(of_length).unwrap_or_default()
}

/// What a pattern matches at its plainest.
fn plain(pattern: &Pattern, unnamed: &str) -> String {
    let segments = pattern.segments.iter().filter_map(|segment| match segment {
        Segment::Deep => None,
        Segment::Literal(literal) => Some(&**literal),
        Segment::One => Some(unnamed),
    });
    let text = segments.collect::<Vec<_>>().join(".");
    if text.is_empty() { unnamed.to_owned() } else { text }
}

fn search(route: &Route, others: &[&Route], unnamed: &str, work: &mut u64) -> Sample {
    let machine = Machine::of(route, others);
    *work = work.saturating_sub(machine.size() as u64);
    let may_take = (*work).min(MOST_FOR_ONE);
    let mut search = Search {
        machine,
        unnamed,
        steps: Vec::new(),
        waiting: vec![Vec::new(); LONGEST_TYPE + 1],
        is_cut: false,
        work: may_take,
    };
    let found = search.run();
    *work -= may_take - search.work;
    found
}

struct Search<'p> {
    machine: Machine<'p>,
    unnamed: &'p str,
    steps: Vec<Step<'p>>,
    /// The steps to go on from, by their lengths: every one but the first makes a type longer.
    waiting: Vec<Vec<usize>>,
    /// Whether something was too long for a type.
    is_cut: bool,
    /// What may still be done.
    work: u64,
}

/// A type's beginning, and where in the patterns it leads.
struct Step<'p> {
    places: Few,
    segment: &'p str,
    /// The step before, if this is not the first.
    before: Option<usize>,
    /// In characters, dots included.
    length: usize,
}

impl Search<'_> {
    fn run(&mut self) -> Sample {
        let mut known: HashSet<(Few, bool)> = HashSet::new();
        self.expand(None, &self.machine.start());
        for length in 0..=LONGEST_TYPE {
            while let Some(at) = self.waiting[length].pop().filter(|_| self.work > 0) {
                // One empty segment alone is no type, but may begin one.
                let is_type = length > 0;
                let places = self.steps[at].places.clone();
                if is_type && self.machine.is_wanted(&places) {
                    return Sample::Type(self.text(at));
                }
                if known.insert((places.clone(), is_type)) {
                    self.expand(Some(at), &places);
                }
            }
        }
        // Where the unnamed segment makes a type too long, one that these patterns alone do not name may be shorter.
        let is_certain = self.work > 0 && !(self.is_cut && self.unnamed.len() > 1);
        if is_certain { Sample::Nothing } else { Sample::Unknown }
    }

    /// Adds the steps that may follow.
    fn expand(&mut self, before: Option<usize>, places: &Few) {
        let from = before.map_or(0, |before| self.steps[before].length + 1);
        let mut segments: Vec<&str> = self.machine.expected(places).chain(["", self.unnamed]).collect();
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            self.work = self.work.saturating_sub(1 + places.len() as u64);
            if self.work == 0 {
                return;
            }
            let length = from + segment.len();
            if length > LONGEST_TYPE {
                self.is_cut = true;
                continue;
            }
            let places = self.machine.next(places, segment);
            if self.machine.is_hopeful(&places) {
                self.waiting[length].push(self.steps.len());
                self.steps.push(Step { places, segment, before, length });
            }
        }
    }

    /// The type that ends with this step.
    fn text(&self, last: usize) -> String {
        let way = std::iter::successors(Some(last), |at| self.steps[*at].before);
        let mut segments: Vec<&str> = way.map(|at| self.steps[at].segment).collect();
        segments.reverse();
        segments.join(".")
    }
}

/// What a segment is made of.
const LETTERS: &[u8] = b"xyzabcdefghijklmnopqrstuvwABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:/";

/// Patterns of which the plainest is tried.
const PLAIN: usize = 4;

/// Of work for one question, in places looked at.
const MOST_FOR_ONE: u64 = 20_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        event,
        route::tests::{self, texts},
    };

    fn route(patterns: &[impl AsRef<str>]) -> Route {
        tests::route(patterns, &[])
    }

    fn found(patterns: &[&str], others: &[&[&str]]) -> Sample {
        let others: Vec<Route> = others.iter().map(|other| route(other)).collect();
        search(&route(patterns), &others.iter().collect::<Vec<_>>(), "x", &mut MOST_FOR_ONE.clone())
    }

    fn a_type(text: &str) -> Sample {
        Sample::Type(text.to_owned())
    }

    #[test]
    fn the_shortest_type_that_only_the_route_selects_is_found() {
        assert_eq!(found(&["a.*"], &[]), a_type("a."));
        assert_eq!(found(&["**"], &[]), a_type("."));
        assert_eq!(found(&["*", "!a"], &[]), a_type("x"));
        assert_eq!(found(&["a.**", "!a.*"], &[]), a_type("a"));
        assert_eq!(found(&["a.**", "!a"], &[&["a.*", "!a."], &["a.b.**"]]), a_type("a."));
        assert_eq!(found(&["a.**"], &[&["a"], &["a.*.**", "!**.z"]]), a_type("a.z"));
    }

    #[test]
    fn nothing_is_said_only_where_there_is_nothing() {
        assert_eq!(found(&["a", "b", "!*"], &[]), Sample::Nothing);
        assert_eq!(found(&["a.**", "!a", "!a.*.**"], &[]), Sample::Nothing);
        assert_eq!(found(&["**.a"], &[&["a"], &["*.**.a"]]), Sample::Nothing);
        assert_eq!(found(&["**"], &[&["*"], &["*.*"], &["*.*.*.**"]]), Sample::Nothing);
        assert_eq!(found(&["a.*"], &[&["a.**", "!a.b"], &["*.b"]]), Sample::Nothing);
        assert_eq!(found(&["a.**"], &[&["**", "!a.b"], &["a.b", "!a.*"]]), a_type("a.b"));
    }

    #[test]
    fn a_type_has_1_to_255_characters() {
        let stars = |many: usize| vec!["*"; many].join(".");
        assert_eq!(found(&[&stars(256)], &[]), a_type(&".".repeat(255)));
        assert_eq!(found(&[&stars(257)], &[]), Sample::Nothing);
        assert_eq!(found(&[&"a".repeat(255)], &[]), a_type(&"a".repeat(255)));
        assert_eq!(found(&[&"a".repeat(256)], &[]), Sample::Nothing);
        // One segment that is empty is no type, two are.
        assert_eq!(found(&["**", "!*.*.**", "!x", "!*"], &[]), Sample::Nothing);
        assert_eq!(found(&["**."], &[]), a_type("."));
    }

    #[test]
    fn nothing_is_said_where_a_segment_that_others_name_might_still_fit() {
        let last = |length: usize| route(&[format!("{}.*", "a".repeat(length)), format!("!{}.", "a".repeat(length))]);
        let found = |length: usize| search(&last(length), &[], "xx", &mut MOST_FOR_ONE.clone());
        assert_eq!(found(252), a_type(&format!("{}.xx", "a".repeat(252))));
        assert_eq!(found(253), Sample::Unknown);
    }

    #[test]
    fn the_segment_that_nobody_names_is_the_shortest_there_is() {
        assert_eq!(unnamed(&[route(&["x.*", "!**.y"]), route(&["z"])]), "a");
        let letters = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain("_-:/".chars());
        let all: Vec<String> = letters.map(String::from).collect();
        assert_eq!(unnamed(&[route(&all)]), "xx");
    }

    #[test]
    fn hostile_patterns_end_in_bounded_work() {
        let deep = |segments: &[&str]| vec![segments.join("."); 50].join(".");
        let (one, two, three) = (deep(&["**", "a", "**", "b"]), deep(&["**", "b", "**", "c"]), deep(&["**", "a", "**", "c"]));
        let wide = format!("**.a.{}", vec!["*"; 60].join("."));
        let far = |last: &str| format!("**.a.{}.{last}", vec!["*"; 40].join("."));
        for (patterns, others) in [
            (vec![&*one], vec![vec![&*two], vec![&*three]]),
            (vec![&*one, &*two, &*three], vec![vec!["**", "!**.z"]]),
            (vec!["**"], vec![vec![&*wide], vec![&*one, "!**.a"], vec!["**", "!**.a.*.*.*.*.*.*"]]),
            (vec![&*far("b"), &*far("c")], vec![vec![&*wide]]),
        ] {
            let others: Vec<Route> = others.iter().map(|other| route(other)).collect();
            let mut work = MOST_FOR_ONE * 3;
            let others: Vec<&Route> = others.iter().collect();
            let made = search(&route(&patterns), &others, "x", &mut work);
            assert!(work >= MOST_FOR_ONE, "{made:?} took {}", MOST_FOR_ONE * 3 - work);
        }
    }

    proptest! {
        #[test]
        fn it_says_what_trying_all_short_types_says(
            routes in proptest::collection::vec(proptest::collection::vec("!?(a|b|\\*|\\*\\*)(\\.(a|b|\\*|\\*\\*)?){0,3}", 1..4), 1..5),
        ) {
            let routes: Vec<Route> = routes.iter().map(|patterns| route(patterns)).collect();
            let others: Vec<&Route> = routes[1..].iter().collect();
            let wanted = |text: &&String| routes[0].matches(text) && !others.iter().any(|other| other.matches(text));
            let short: Vec<String> = texts(&["", "a", "b", "x"], 4).into_iter().filter(|text| event::is_type(text)).collect();
            for found in [
                sample(&routes[0], &others, "x", &mut MOST_FOR_ONE.clone()),
                search(&routes[0], &others, "x", &mut MOST_FOR_ONE.clone()),
            ] {
                match found {
                    Sample::Nothing => prop_assert_eq!(short.iter().find(wanted), None),
                    Sample::Type(text) => prop_assert!(event::is_type(&text) && wanted(&&text), "{}", text),
                    Sample::Unknown => prop_assert!(false, "too much work for short patterns"),
                }
            }
        }
    }
}
