//! Which routes change nothing: those that select no event, and those whose endpoints have all of it already.
//!
//! A route is compared with the few earlier ones that select a type that it selects itself; as long as there is a type that
//! escapes them, those that select that one are added. So a route that nobody shadows costs one look-up.
//!
//! **Invariant:** what is said is so; where finding out would take too much work nothing is said.

use std::collections::HashSet;

use super::{
    Route,
    sample::{Sample, effort, sample, unnamed},
    tree::Tree,
};

/// How a route changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// No event has a type that it selects.
    SelectsNothing,
    /// What it selects goes to all of its endpoints by these earlier routes, in the file's order.
    Shadowed(Vec<usize>),
}

/// The active routes that change nothing, by their indices; each is looked for when it is asked for.
pub fn idle(routes: &[Route]) -> impl Iterator<Item = (usize, Idle)> + '_ {
    Search::of(routes)
}

struct Search<'a> {
    routes: &'a [Route],
    /// The next one.
    at: usize,
    /// The endpoints of those before.
    named: HashSet<usize>,
    tree: Tree,
    /// A segment that no pattern names.
    unnamed: String,
    /// What may still be done.
    work: u64,
}

impl Search<'_> {
    fn of(routes: &[Route]) -> Search<'_> {
        Search { routes, at: 0, named: HashSet::new(), tree: Tree::of(routes), unnamed: unnamed(routes), work: MOST }
    }
}

impl Iterator for Search<'_> {
    type Item = (usize, Idle);

    fn next(&mut self) -> Option<(usize, Idle)> {
        while let Some(route) = self.routes.get(self.at).filter(|_| self.work > 0) {
            let at = self.at;
            self.at += 1;
            if !route.active {
                continue;
            }
            let idle = match sample(route, &[], &self.unnamed, &mut self.work) {
                Sample::Nothing => Some(Idle::SelectsNothing),
                _ if !route.to.iter().all(|endpoint| self.named.contains(endpoint)) => None,
                _ => self.shadows(at).map(Idle::Shadowed),
            };
            self.named.extend(&route.to);
            if let Some(idle) = idle {
                return Some((at, idle));
            }
        }
        None
    }
}

impl Search<'_> {
    /// The earlier routes that leave nothing to this one.
    fn shadows(&mut self, at: usize) -> Option<Vec<usize>> {
        let route = &self.routes[at];
        let mut by: Vec<usize> = Vec::new();
        for endpoint in &route.to {
            let mut leading: Vec<usize> =
                by.iter().copied().filter(|earlier| self.routes[*earlier].to.contains(endpoint)).collect();
            loop {
                let others: Vec<&Route> = leading.iter().map(|earlier| &self.routes[*earlier]).collect();
                match sample(route, &others, &self.unnamed, &mut self.work) {
                    Sample::Nothing => break,
                    Sample::Type(text) => leading.push(self.earlier(at, *endpoint, &text)?),
                    Sample::Unknown => return None,
                }
            }
            by.extend(leading);
            by.sort_unstable();
            by.dedup();
        }
        Some(by)
    }

    /// The first route before `at` that sends whatever that one selects of this type to `endpoint`.
    fn earlier(&mut self, at: usize, endpoint: usize, event_type: &str) -> Option<usize> {
        let when = self.routes[at].when.as_ref().map(|when| when.source());
        let candidates = self.tree.candidates(event_type);
        self.work = self.work.saturating_sub(effort(event_type) + candidates.len() as u64);
        for earlier in candidates.into_iter().map(|earlier| earlier as usize).take_while(|earlier| *earlier < at) {
            let route = &self.routes[earlier];
            self.work = self.work.checked_sub((route.to.len() + route.patterns.len()) as u64)?;
            let asks_no_more = route.when.as_ref().is_none_or(|own| Some(own.source()) == when);
            if asks_no_more && route.to.contains(&endpoint) && !route.excludes(event_type) {
                return Some(earlier);
            }
        }
        None
    }
}

/// Of work for all routes together, in places and patterns looked at: a few times what ten thousand routes take that
/// nobody shadows.
const MOST: u64 = 200_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        route::{
            Table,
            tests::{route, texts},
        },
        transform::Library,
    };

    fn when(source: &str, route: Route) -> Route {
        Route { when: Some(Arc::new(Library::new().compile(source).unwrap())), ..route }
    }

    fn idle(routes: &[Route]) -> Vec<(usize, Idle)> {
        super::idle(routes).collect()
    }

    fn shadowed(at: usize, by: &[usize]) -> Vec<(usize, Idle)> {
        vec![(at, Idle::Shadowed(by.to_vec()))]
    }

    #[test]
    fn a_route_is_shadowed_where_earlier_ones_lead_to_all_its_endpoints() {
        let (all, a, b) = (|to| route(&["**"], to), |to| route(&["a.*"], to), |to| route(&["a.b"], to));
        assert_eq!(idle(&[all(&[0]), a(&[0])]), shadowed(1, &[0]));
        assert_eq!(idle(&[all(&[0]), a(&[0, 1])]), []);
        assert_eq!(idle(&[all(&[0]), all(&[1]), a(&[1, 0])]), shadowed(2, &[0, 1]));
        assert_eq!(idle(&[a(&[0]), all(&[0])]), []);
        assert_eq!(idle(&[b(&[0]), route(&["a.**", "!a.b"], &[0, 1]), all(&[1]), a(&[0])]), shadowed(3, &[0, 1]));
        assert_eq!(idle(&[b(&[0]), route(&["a.**", "!a.b", "!a.c"], &[0]), a(&[0])]), []);
        assert_eq!(idle(&[a(&[0]), a(&[0])]), shadowed(1, &[0]));
    }

    #[test]
    fn a_when_shadows_only_what_has_the_same() {
        let (all, a) = (route(&["**"], &[0]), route(&["a"], &[0]));
        assert_eq!(idle(&[when(".data.x", all.clone()), a.clone()]), []);
        assert_eq!(idle(&[when(".data.x", all.clone()), when(".data.y", a.clone())]), []);
        assert_eq!(idle(&[when(".data.x", all.clone()), when(".data.x", a.clone())]), shadowed(1, &[0]));
        assert_eq!(idle(&[all, when(".data.x", a)]), shadowed(1, &[0]));
    }

    #[test]
    fn what_is_inactive_neither_shadows_nor_is_looked_at() {
        let off = |patterns: &[&str]| Route { active: false, ..route(patterns, &[0]) };
        assert_eq!(idle(&[off(&["**"]), route(&["a"], &[0]), off(&["a"]), off(&["a", "!a"])]), []);
    }

    #[test]
    fn a_route_that_cancels_itself_out_selects_nothing() {
        let routes = [route(&["a.*", "!a.**"], &[0]), route(&["a.**", "!a.b"], &[0]), route(&["a.*", "a", "!a.**"], &[1])];
        assert_eq!(idle(&routes), [(0, Idle::SelectsNothing), (2, Idle::SelectsNothing)]);
    }

    #[test]
    fn a_large_plan_is_looked_at_as_a_whole_and_a_hostile_one_as_far_as_it_pays() {
        let many = |make: &dyn Fn(usize) -> Route| (0..10_000).map(make).collect::<Vec<_>>();
        let literal = |n: usize| format!("shop{}.order{n}.*", n % 50);
        let deep = vec!["**.a.**.b"; 50].join(".");
        let ends = |routes: &[Route]| {
            let mut search = Search::of(routes);
            (search.by_ref().count(), search.work)
        };
        for routes in [
            many(&|n| route(&[literal(n)], &[n % 1000])),
            many(&|n| route(&[literal(n)], &[0])),
            many(&|n| route(&[literal(n), "!**.test".to_owned()], &[0])),
        ] {
            let (found, left) = ends(&routes);
            assert!(found == 0 && left > MOST / 2, "{found} idle, {left} left");
        }
        assert!(ends(&many(&|n| route(&[literal(n / 2)], &[0]))).0 > 1000);
        for routes in [
            many(&|_| route(&["**"], &[0])),
            many(&|n| route(&["**"], &[n % 1000])),
            many(&|n| route(&[deep.clone(), format!("!**.{n}.**.a")], &[0])),
            vec![route(&(0..5000).map(literal).collect::<Vec<_>>(), &[0]); 2],
        ] {
            // That it ends soon is all.
            let (_, left) = ends(&routes);
            assert!(left < MOST);
        }
    }

    proptest! {
        #[test]
        fn a_shadowed_route_is_never_chosen(
            routes in proptest::collection::vec(
                (proptest::collection::vec("!?(a|b|\\*|\\*\\*)(\\.(a|b|\\*|\\*\\*)){0,2}", 1..3), proptest::collection::vec(0..2usize, 1..2)),
                1..6,
            ),
        ) {
            let routes: Vec<Route> = routes.iter().map(|(patterns, to)| route(patterns, to)).collect();
            let found = idle(&routes);
            let table = Table::new(routes.clone());
            let chosen: HashSet<usize> =
                texts(&["a", "b", "x"], 5).iter().flat_map(|text| table.select(text, |_, _| true)).map(|choice| choice.route).collect();
            for at in 0..routes.len() {
                // With patterns this short what a route is chosen for shows in short types.
                prop_assert_eq!(found.iter().any(|(idle, _)| *idle == at), !chosen.contains(&at), "{}: {:?}", at, found);
            }
        }
    }
}
