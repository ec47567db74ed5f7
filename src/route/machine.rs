//! Several routes' patterns as one automaton over a type's segments.
//!
//! **Invariant:** what it says of a type's end is what the patterns say of the type.

use super::{Few, Route, pattern::Segment};

/// All patterns side by side. A place is a segment of a pattern that is expected next, or a pattern's end.
pub(super) struct Machine<'p> {
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
    pub(super) fn of(route: &'p Route, others: &[&'p Route]) -> Machine<'p> {
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

    /// How many places there are, which is what it takes to make one.
    pub(super) fn size(&self) -> usize {
        self.places.len()
    }

    /// The segments, besides the empty one and `unnamed`, that make a difference here.
    pub(super) fn expected(&self, places: &Few) -> impl Iterator<Item = &'p str> {
        places.iter().filter_map(|place| self.places[*place as usize].expects.and_then(Segment::literal))
    }

    pub(super) fn start(&self) -> Few {
        let mut places = Few::new();
        for (at, place) in self.places.iter().enumerate() {
            if at == 0 || self.places[at - 1].pattern != place.pattern {
                self.enter(at, &mut places);
            }
        }
        self.settle(places)
    }

    pub(super) fn next(&self, places: &Few, segment: &str) -> Few {
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
    pub(super) fn is_hopeful(&self, places: &Few) -> bool {
        let mut places = places.iter().map(|place| &self.places[*place as usize]);
        let mut selects = false;
        places.all(|place| {
            selects |= place.route == 0 && !place.negated;
            !place.is_trap
        }) && selects
    }

    /// Whether a type that ends here is one that is looked for.
    pub(super) fn is_wanted(&self, places: &Few) -> bool {
        let mut selects = vec![None; self.routes];
        for place in places.iter().map(|place| &self.places[*place as usize]).filter(|place| place.expects.is_none()) {
            let selected = &mut selects[place.route];
            *selected = Some(!place.negated && *selected != Some(false));
        }
        selects.iter().enumerate().all(|(route, selected)| (*selected == Some(true)) == (route == 0))
    }
}
