//! Who: which endpoints get an event.
//!
//! In comes an event type, out come the endpoints in the order the routes name them, each with the first route that
//! selects the event and names it. The [`Table`] is compiled once per plan: patterns without `!` become a tree over
//! segments, so that a look-up walks the event's segments and never the list of routes; only the few routes the tree
//! finds have their `!` patterns asked.
//!
//! **Invariant:** the tree selects what the patterns themselves would, one by one; a property test holds that.

mod pattern;

use std::{collections::HashMap, sync::Arc};

use smallvec::SmallVec;

use pattern::Segment;
pub use pattern::{Pattern, PatternError};

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
    nodes: Vec<Node>,
}

/// A place in the tree: what may come next, and which routes have a pattern that ends here.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, u32>,
    one: Option<u32>,
    deep: Option<u32>,
    /// Reached by `**`: stays where it is, whatever segment comes.
    is_deep: bool,
    ends: Vec<u32>,
}

impl Table {
    pub fn new(routes: impl Into<Arc<[Route]>>) -> Table {
        let routes = routes.into();
        let mut table = Table { routes: Arc::clone(&routes), nodes: vec![Node::default()] };
        for (n, route) in routes.iter().enumerate().filter(|(_, route)| route.active) {
            for pattern in route.patterns.iter().filter(|pattern| !pattern.negated) {
                table.plant(pattern, n as u32);
            }
        }
        table
    }

    /// The endpoints an event of this type goes to; `selects` answers for each route that has a `when`, in the file's order.
    pub fn select(&self, event_type: &str, mut selects: impl FnMut(usize, &Program) -> bool) -> SmallVec<[Choice; 4]> {
        let mut choices: SmallVec<[Choice; 4]> = SmallVec::new();
        for route in self.candidates(event_type) {
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
        self.candidates(event_type).into_iter().map(|route| route as usize).find(|route| names(&self.routes[*route]))
    }

    pub fn route(&self, at: usize) -> &Route {
        &self.routes[at]
    }

    /// The routes with a pattern that matches, in the file's order, negation left aside.
    fn candidates(&self, event_type: &str) -> Few {
        let mut here = Few::new();
        self.enter(0, &mut here);
        let mut next = Few::new();
        for segment in event_type.split('.') {
            for &at in &here {
                let node = &self.nodes[at as usize];
                if node.is_deep {
                    self.enter(at, &mut next);
                }
                for to in node.literals.get(segment).into_iter().chain(&node.one) {
                    self.enter(*to, &mut next);
                }
            }
            std::mem::swap(&mut here, &mut next);
            next.clear();
        }
        let mut routes: Few = here.iter().flat_map(|at| &self.nodes[*at as usize].ends).copied().collect();
        routes.sort_unstable();
        routes.dedup();
        routes
    }

    /// Adds a node, and what `**` reaches from it without a segment.
    fn enter(&self, at: u32, places: &mut Few) {
        let mut at = Some(at);
        while let Some(node) = at.filter(|node| !places.contains(node)) {
            places.push(node);
            at = self.nodes[node as usize].deep;
        }
    }

    fn plant(&mut self, pattern: &Pattern, route: u32) {
        let mut at = 0u32;
        for segment in &pattern.segments {
            let fresh = self.nodes.len() as u32;
            let node = &mut self.nodes[at as usize];
            at = match segment {
                Segment::Deep => *node.deep.get_or_insert(fresh),
                Segment::Literal(literal) => *node.literals.entry(literal.clone()).or_insert(fresh),
                Segment::One => *node.one.get_or_insert(fresh),
            };
            if at == fresh {
                self.nodes.push(Node { is_deep: *segment == Segment::Deep, ..Node::default() });
            }
        }
        self.nodes[at as usize].ends.push(route);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(patterns: &[&str], to: &[usize]) -> Route {
        let patterns = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
        Route { name: None, patterns, when: None, transform: None, to: to.to_vec(), active: true }
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
        let table = Table::new(vec![route(&[&deep, "!**.a.**.b.**.c"], &[0])]);
        let long = "a.".repeat(127) + "a";
        assert_eq!(endpoints(&table, &long), [0]);
    }

    proptest! {
        #[test]
        fn the_tree_selects_what_the_patterns_would(
            routes in proptest::collection::vec(proptest::collection::vec("!?(a|b|\\*|\\*\\*)(\\.(a|b|c|\\*|\\*\\*)){0,4}", 1..4), 1..6),
            event_type in "(a|b|c)(\\.(a|b|c)){0,5}",
        ) {
            let routes: Vec<Route> = routes.iter().enumerate().map(|(n, patterns)| route(&patterns.iter().map(String::as_str).collect::<Vec<_>>(), &[n])).collect();
            let selected = |route: &Route| route.patterns.iter().any(|p| !p.negated && p.matches(&event_type)) && !route.excludes(&event_type);
            let expected: Vec<usize> = routes.iter().filter(|route| selected(route)).map(|route| route.to[0]).collect();
            prop_assert_eq!(endpoints(&Table::new(routes), &event_type), expected);
        }
    }
}
