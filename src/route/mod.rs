//! Who: which endpoints get an event.
//!
//! In comes an event type, out come the endpoints in the order the routes name them, each with the first route that
//! selects the event and names it. The [`Table`] is compiled once per plan: patterns without `!` become a tree over
//! segments, so that a look-up walks the event's segments and never the list of routes; only the few routes the tree
//! finds have their `!` patterns asked. [`idle`] says which routes change nothing.
//!
//! **Invariant:** the tree selects what the patterns themselves would, one by one; a property test holds that.

mod idle;
mod machine;
mod pattern;
mod sample;
mod tree;

use std::sync::Arc;

use smallvec::SmallVec;

use self::tree::Tree;
pub use self::{
    idle::{Idle, idle},
    pattern::{Pattern, PatternError},
};
use crate::transform::Program;

/// One `[[routes]]` entry.
#[derive(Clone, Debug)]
pub struct Route {
    pub name: Option<Box<str>>,
    pub patterns: Vec<Pattern>,
    /// Selects among the events whose type matches.
    pub when: Option<Arc<Program>>,
    /// What the route's endpoints get in place of an event's data.
    pub transform: Option<Arc<Program>>,
    /// Indices into the plan's endpoints, each once.
    pub to: Vec<usize>,
    pub active: bool,
}

impl Route {
    /// Whether its patterns alone select events of this type.
    fn matches(&self, event_type: &str) -> bool {
        self.patterns.iter().any(|pattern| !pattern.negated && pattern.matches(event_type)) && !self.excludes(event_type)
    }

    fn excludes(&self, event_type: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.negated && pattern.matches(event_type))
    }
}

/// An endpoint that gets an event, and the route that says so. Both are indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub endpoint: usize,
    pub route: usize,
}

/// Indices; seldom so many that they need memory of their own.
type Few = SmallVec<[u32; 8]>;

/// All routes of a plan, compiled.
#[derive(Debug)]
pub struct Table {
    routes: Arc<[Route]>,
    tree: Tree,
}

impl Table {
    pub fn new(routes: impl Into<Arc<[Route]>>) -> Table {
        let routes = routes.into();
        Table { tree: Tree::of(&routes), routes }
    }

    /// The endpoints an event of this type goes to; `selects` answers for each route that has a `when`, in the file's order.
    pub fn select(&self, event_type: &str, mut selects: impl FnMut(usize, &Program) -> bool) -> SmallVec<[Choice; 4]> {
        let mut choices: SmallVec<[Choice; 4]> = SmallVec::new();
        for route in self.tree.candidates(event_type) {
            let chosen = &self.routes[route as usize];
            let asked = |program: &Arc<Program>| selects(route as usize, program);
            if chosen.excludes(event_type) || !chosen.when.as_ref().is_none_or(asked) {
                continue;
            }
            for &endpoint in &chosen.to {
                if choices.iter().all(|choice| choice.endpoint != endpoint) {
                    choices.push(Choice { endpoint, route: route as usize });
                }
            }
        }
        choices
    }

    /// The first route whose patterns match this type and that names `endpoint`, whatever its `when` may say.
    pub fn first_to(&self, endpoint: usize, event_type: &str) -> Option<usize> {
        let names = |route: &Route| route.to.contains(&endpoint) && !route.excludes(event_type);
        self.tree.candidates(event_type).into_iter().map(|route| route as usize).find(|route| names(&self.routes[*route]))
    }

    pub fn route(&self, at: usize) -> &Route {
        &self.routes[at]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn route(patterns: &[impl AsRef<str>], to: &[usize]) -> Route {
        let patterns = patterns.iter().map(|pattern| Pattern::parse(pattern.as_ref()).unwrap()).collect();
        Route { name: None, patterns, when: None, transform: None, to: to.to_vec(), active: true }
    }

    /// All texts of at most so many of these segments.
    pub(super) fn texts(segments: &[&str], most: usize) -> Vec<String> {
        let mut longest = vec![String::new()];
        let mut texts = Vec::new();
        for length in 1..=most {
            let dot = if length > 1 { "." } else { "" };
            longest =
                longest.iter().flat_map(|text| segments.iter().map(move |segment| format!("{text}{dot}{segment}"))).collect();
            texts.extend_from_slice(&longest);
        }
        texts
    }

    fn endpoints(table: &Table, event_type: &str) -> Vec<usize> {
        table.select(event_type, |_, _| true).iter().map(|choice| choice.endpoint).collect()
    }

    #[test]
    fn an_endpoint_gets_an_event_once_by_the_first_route_that_names_it() {
        let table = Table::new(vec![route(&["a.*"], &[2, 0]), route(&["**"], &[0, 1]), route(&["b"], &[3])]);
        let choice = |endpoint, route| Choice { endpoint, route };
        assert_eq!(table.select("a.b", |_, _| true)[..], [choice(2, 0), choice(0, 0), choice(1, 1)]);
        assert_eq!(endpoints(&table, "b"), [0, 1, 3]);
    }

    #[test]
    fn a_negated_pattern_excludes_wherever_it_stands() {
        let table = Table::new(vec![route(&["!a.secret", "a.**", "!**.test"], &[0])]);
        assert_eq!(endpoints(&table, "a.b"), [0]);
        assert_eq!(endpoints(&table, "a.secret"), [0; 0]);
        assert_eq!(endpoints(&table, "a.b.test"), [0; 0]);
    }

    #[test]
    fn an_inactive_route_selects_nothing() {
        let table = Table::new(vec![Route { active: false, ..route(&["**"], &[0]) }]);
        assert_eq!(endpoints(&table, "a"), [0; 0]);
        assert_eq!(endpoints(&Table::new([]), "a"), [0; 0]);
    }

    #[test]
    fn a_route_whose_when_says_no_leaves_its_endpoints_to_the_next() {
        let when = |source| Some(Arc::new(crate::transform::Library::new().compile(source).unwrap()));
        let first = Route { when: when(".data.a"), ..route(&["a.*"], &[0, 1]) };
        let table = Table::new(vec![first, route(&["**"], &[1]), Route { when: when("."), ..route(&["b"], &[0]) }]);
        let mut asked = Vec::new();
        let choices = table.select("a.b", |route, program| {
            asked.push((route, program.source().to_owned()));
            false
        });
        assert_eq!((choices[..].to_vec(), asked), (vec![Choice { endpoint: 1, route: 1 }], vec![(0, ".data.a".to_owned())]));
        assert_eq!((table.first_to(0, "a.b"), table.first_to(0, "c"), table.first_to(1, "c")), (Some(0), None, Some(1)));
    }

    #[test]
    fn hostile_types_and_patterns_cost_no_more_than_their_product() {
        let deep = vec!["**.a"; 60].join(".");
        let table = Table::new(vec![route(&[&*deep, "!**.a.**.b.**.c"], &[0])]);
        let long = "a.".repeat(127) + "a";
        assert_eq!(endpoints(&table, &long), [0]);
    }

    proptest! {
        #[test]
        fn the_tree_selects_what_the_patterns_would(
            routes in proptest::collection::vec(proptest::collection::vec("!?(a|b|\\*|\\*\\*)(\\.(a|b|c|\\*|\\*\\*)){0,4}", 1..4), 1..6),
            event_type in "(a|b|c)(\\.(a|b|c)){0,5}",
        ) {
            let routes: Vec<Route> = routes.iter().enumerate().map(|(n, patterns)| route(patterns, &[n])).collect();
            let expected: Vec<usize> = routes.iter().filter(|route| route.matches(&event_type)).map(|route| route.to[0]).collect();
            prop_assert_eq!(endpoints(&Table::new(routes), &event_type), expected);
        }
    }
}
