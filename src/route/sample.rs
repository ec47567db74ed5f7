//! A type that shows what a route selects and others do not; or that there is none.
//!
//! Patterns are languages of dotted segments. All patterns of a question run side by side over the segments that they name,
//! the empty one, and one that none of them names; shorter types come first, so that a type's own limit is kept exactly.
//!
//! **Invariant:** an answer is exact. A question that would take too much work has none.

use std::collections::HashSet;

use super::{
    Few, Route,
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
    let patterns = route.patterns.len() + others.iter().map(|other| other.patterns.len()).sum::<usize>();
    for pattern in route.patterns.iter().filter(|pattern| !pattern.negated).take(PLAIN) {
        *work = work.saturating_sub(patterns as u64);
        let text = plain(pattern, unnamed);
        let is_short = (1..=LONGEST_TYPE).contains(&text.len());
        if is_short && route.matches(&text) && !others.iter().any(|other| other.matches(&text)) {
            return Sample::Type(text);
        }
    }
    search(route, others, unnamed, work)
}

/// The shortest segment that none of these routes names.
pub(super) fn unnamed(routes: &[Route]) -> String {
    let segments = routes.iter().flat_map(|route| &route.patterns).flat_map(|pattern| &pattern.segments);
    let named: HashSet<&str> = segments.filter_map(literal).collect();
    let letters = "xyzabcdefghijklmnopqrstuvwABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-:/".as_bytes();
    let text = |mut n: usize| {
        let mut text = String::new();
        loop {
            text.push(char::from(letters[n % letters.len()]));
            n /= letters.len();
            if n == 0 {
                return text;
            }
            n -= 1;
        }
    };
    (0..).map(text).find(|text| !named.contains(&**text)).unwrap_or_default()
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

fn literal(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(literal) => Some(literal),
        Segment::Deep | Segment::One => None,
    }
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

fn search(route: &Route, others: &[&Route], unnamed: &str, work: &mut u64) -> Sample {
    let machine = Machine::of(route, others);
    *work = work.saturating_sub(machine.places.len() as u64);
    let total = (*work).min(MOST_FOR_ONE);
    let mut left = total;
    let found = machine.run(unnamed, &mut left);
    *work -= total - left;
    found
}

/// All patterns side by side. A place is a segment of a pattern that is expected next, or a pattern's end.
struct Machine<'p> {
    places: Vec<Place<'p>>,
    /// How many routes there are; the first is the one that is asked about.
    routes: usize,
}

struct Place<'p> {
    /// `None` at the pattern's end.
    expects: Option<&'p Segment>,
    pattern: usize,
    route: usize,
    negated: bool,
    /// Whatever follows, the type is not one that is looked for.
    is_trap: bool,
}

impl<'p> Machine<'p> {
    fn of(route: &'p Route, others: &[&'p Route]) -> Machine<'p> {
        let mut places = Vec::new();
        let mut patterns = 0;
        for (nth, of) in std::iter::once(route).chain(others.iter().copied()).enumerate() {
            let is_plain = of.patterns.iter().all(|pattern| !pattern.negated);
            for pattern in &of.patterns {
                let excludes = if nth == 0 { pattern.negated } else { is_plain };
                let last = pattern.segments.len() - 1;
                for (at, segment) in pattern.segments.iter().map(Some).chain([None]).enumerate() {
                    places.push(Place {
                        expects: segment,
                        pattern: patterns,
                        route: nth,
                        negated: pattern.negated,
                        is_trap: excludes && at == last && segment == Some(&Segment::Deep),
                    });
                }
                patterns += 1;
            }
        }
        Machine { places, routes: others.len() + 1 }
    }

    fn run(&self, unnamed: &'p str, work: &mut u64) -> Sample {
        let mut steps: Vec<Step<'p>> = Vec::new();
        // By their lengths: every step but the first makes a type longer.
        let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); LONGEST_TYPE + 1];
        let mut known: HashSet<(Few, bool)> = HashSet::new();
        let mut cut = !self.expand(None, self.start(), unnamed, (&mut steps, &mut waiting), work);
        for length in 0..=LONGEST_TYPE {
            while let Some(at) = waiting[length].pop() {
                if *work == 0 {
                    return Sample::Unknown;
                }
                // One empty segment alone is no type, but may begin one.
                let is_type = length > 0;
                let places = steps[at].places.clone();
                if is_type && self.is_wanted(&places) {
                    return Sample::Type(text(&steps, at));
                }
                if known.insert((places.clone(), is_type)) {
                    cut |= !self.expand(Some(at), places, unnamed, (&mut steps, &mut waiting), work);
                }
            }
        }
        // Where the unnamed segment makes a type too long, one that these patterns alone do not name may be shorter.
        let is_certain = *work > 0 && !(cut && unnamed.len() > 1);
        if is_certain { Sample::Nothing } else { Sample::Unknown }
    }

    /// Adds the steps that may follow; `false` where some would be too long for a type.
    fn expand(
        &self,
        before: Option<usize>,
        places: Few,
        unnamed: &'p str,
        (steps, waiting): (&mut Vec<Step<'p>>, &mut Vec<Vec<usize>>),
        work: &mut u64,
    ) -> bool {
        let mut complete = true;
        let from = before.map_or(0, |before| steps[before].length + 1);
        let expected = places.iter().filter_map(|place| literal(self.places[*place as usize].expects?));
        let mut segments: Vec<&str> = expected.chain(["", unnamed]).collect();
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            *work = work.saturating_sub(1 + places.len() as u64);
            if *work == 0 {
                break;
            }
            let length = from + segment.len();
            if length > LONGEST_TYPE {
                complete = false;
                continue;
            }
            let places = self.next(&places, segment);
            if self.is_hopeful(&places) {
                waiting[length].push(steps.len());
                steps.push(Step { places, segment, before, length });
            }
        }
        complete
    }

    fn start(&self) -> Few {
        let mut places = Few::new();
        for (at, place) in self.places.iter().enumerate() {
            if at == 0 || self.places[at - 1].pattern != place.pattern {
                self.enter(at, &mut places);
            }
        }
        self.settle(places)
    }

    fn next(&self, places: &Few, segment: &str) -> Few {
        let mut next = Few::new();
        for &at in places {
            let at = at as usize;
            match self.places[at].expects {
                Some(Segment::Deep) => self.enter(at, &mut next),
                Some(Segment::Literal(literal)) if **literal == *segment => self.enter(at + 1, &mut next),
                Some(Segment::One) => self.enter(at + 1, &mut next),
                Some(Segment::Literal(_)) | None => {}
            }
        }
        self.settle(next)
    }

    /// Adds a place, and what `**` reaches from it without a segment.
    fn enter(&self, at: usize, places: &mut Few) {
        places.push(at as u32);
        if self.places[at].expects == Some(&Segment::Deep) {
            self.enter(at + 1, places);
        }
    }

    /// Puts places in order. What leads to a `**` that is reached already leads nowhere else, and is left out.
    fn settle(&self, mut places: Few) -> Few {
        places.sort_unstable_by(|one, other| other.cmp(one));
        places.dedup();
        let mut deep = None;
        places.retain(|place| {
            let Place { expects, pattern, .. } = self.places[*place as usize];
            let is_needed = deep != Some(pattern);
            if expects == Some(&Segment::Deep) {
                deep = Some(pattern);
            }
            is_needed
        });
        places
    }

    /// Whether a type that leads here, or goes on from here, may be one that is looked for.
    fn is_hopeful(&self, places: &Few) -> bool {
        let mut places = places.iter().map(|place| &self.places[*place as usize]);
        let mut selects = false;
        places.all(|place| {
            selects |= place.route == 0 && !place.negated;
            !place.is_trap
        }) && selects
    }

    /// Whether a type that ends here is one that is looked for.
    fn is_wanted(&self, places: &Few) -> bool {
        let mut selects = vec![None; self.routes];
        for place in places.iter().map(|place| &self.places[*place as usize]).filter(|place| place.expects.is_none()) {
            let selected = &mut selects[place.route];
            *selected = Some(!place.negated && *selected != Some(false));
        }
        selects.iter().enumerate().all(|(route, selected)| (*selected == Some(true)) == (route == 0))
    }
}

fn text(steps: &[Step<'_>], last: usize) -> String {
    let way = std::iter::successors(Some(last), |at| steps[*at].before);
    let mut segments: Vec<&str> = way.map(|at| steps[at].segment).collect();
    segments.reverse();
    segments.join(".")
}

/// Patterns of which the plainest is tried.
const PLAIN: usize = 4;

/// Of work for one question, in places looked at.
const MOST_FOR_ONE: u64 = 50_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event;

    fn route(patterns: &[impl AsRef<str>]) -> Route {
        let patterns = patterns.iter().map(|pattern| Pattern::parse(pattern.as_ref()).unwrap()).collect();
        Route { name: None, patterns, when: None, transform: None, to: Vec::new(), active: true }
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

    /// All types of at most four segments of these.
    fn short_types() -> Vec<String> {
        let segments = ["", "a", "b", "x"];
        let mut types: Vec<String> = segments.map(String::from).to_vec();
        let mut longer = types.clone();
        for _ in 0..3 {
            longer = longer.iter().flat_map(|text| segments.map(|segment| format!("{text}.{segment}"))).collect();
            types.extend(longer.clone());
        }
        types.retain(|text| event::is_type(text));
        types
    }

    proptest! {
        #[test]
        fn it_says_what_trying_all_short_types_says(
            routes in proptest::collection::vec(proptest::collection::vec("!?(a|b|\\*|\\*\\*)(\\.(a|b|\\*|\\*\\*)?){0,3}", 1..4), 1..5),
        ) {
            let routes: Vec<Route> = routes.iter().map(|patterns| route(patterns)).collect();
            let others: Vec<&Route> = routes[1..].iter().collect();
            let wanted = |text: &&String| routes[0].matches(text) && !others.iter().any(|other| other.matches(text));
            let short = short_types();
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
