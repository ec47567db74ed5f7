//! The patterns without `!` of all routes, as one tree over segments.
//!
//! **Invariant:** a look-up costs what the event's segments and the routes it finds cost, however many others there are.

use std::collections::HashMap;

use super::{
    Few, Route,
    pattern::{Pattern, Segment},
};

#[derive(Debug)]
pub(super) struct Tree {
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

impl Tree {
    /// Of the routes that are active.
    pub(super) fn of(routes: &[Route]) -> Tree {
        let mut tree = Tree { nodes: vec![Node::default()] };
        for (n, route) in routes.iter().enumerate().filter(|(_, route)| route.active) {
            for pattern in route.patterns.iter().filter(|pattern| !pattern.negated) {
                tree.plant(pattern, n as u32);
            }
        }
        tree
    }

    /// The routes with a pattern that matches, in the file's order, negation left aside.
    pub(super) fn candidates(&self, event_type: &str) -> Few {
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
