//! Routes that change nothing, and endpoints that no route leads to.

use std::collections::HashSet;

use super::Evidence;
use crate::{
    config::problems::{Code, Problem, Problems},
    route::{Idle, Route, idle},
};

pub(super) fn warn(evidence: &Evidence<'_>, problems: &mut Problems) {
    for (at, idle) in idle(evidence.routes).take(MOST) {
        problems.push(match idle {
            Idle::SelectsNothing => selects_nothing(at, evidence),
            Idle::Shadowed(by) => shadowed(at, &by, evidence),
        });
    }
    named_twice(evidence, problems);
    unused(evidence, problems);
}

fn selects_nothing(at: usize, evidence: &Evidence<'_>) -> Problem {
    let cancels = evidence.routes[at].patterns.iter().any(|pattern| pattern.negated);
    let span = &evidence.file.routes[at].events_span;
    Problem::warning(Code::SelectsNothing, span, "this route selects no event").label(match cancels {
        true => "its `!` patterns take away all that the others select",
        false => "no event has so long a type",
    })
}

fn shadowed(at: usize, by: &[usize], evidence: &Evidence<'_>) -> Problem {
    let span = |at: usize| &evidence.file.routes[at].events_span;
    let by_these = match by.len() {
        ..=1 => "by this one".to_owned(),
        several => format!("by this one and {} more", several - 1),
    };
    Problem::warning(Code::Shadowed, span(at), "this route changes nothing")
        .label("all its endpoints get these events by earlier routes")
        .help("the first route that selects an event and names an endpoint counts: move this one up, or take it out")
        .beside(by.first().map(|first| span(*first)), by_these)
}

fn named_twice(evidence: &Evidence<'_>, problems: &mut Problems) {
    for typed in evidence.file.routes.iter().filter(|route| route.active.as_ref().is_none_or(|active| active.value)) {
        let mut named = HashSet::new();
        for name in typed.to.iter().filter(|name| !named.insert(&name.value)) {
            let message = format!("the route names the endpoint `{}` twice", name.value);
            problems.push(Problem::warning(Code::Duplicate, &name.span, message).label("once is enough"));
        }
    }
}

/// One that only inactive routes name is left alone: somebody switched it off.
fn unused(evidence: &Evidence<'_>, problems: &mut Problems) {
    let named: HashSet<usize> = evidence.routes.iter().flat_map(|route: &Route| &route.to).copied().collect();
    for (at, (name, _)) in evidence.file.endpoints.iter().enumerate() {
        if !named.contains(&at) && evidence.endpoints[at].active {
            let problem = Problem::warning(Code::Unused, &name.span, format!("no route names the endpoint `{}`", name.value));
            problems.push(problem.help(format!("it gets only what is posted to /endpoints/{}/events", name.value)));
        }
    }
}

/// As many as would be shown.
const MOST: usize = 250;
