//! Routes that change nothing, and endpoints that no route leads to.

use std::collections::HashSet;

use super::Reading;
use crate::{
    config::problems::{Code, Problem, Problems},
    route::{Idle, Route, idle},
};

pub(super) fn warn(reading: &Reading<'_>, problems: &mut Problems) {
    for (at, idle) in idle(reading.routes).take(MOST) {
        let span = &reading.file.routes[at].events_span;
        problems.push(match idle {
            Idle::SelectsNothing => {
                let cancels = reading.routes[at].patterns.iter().any(|pattern| pattern.negated);
                let problem = Problem::warning(Code::SelectsNothing, span, "this route selects no event");
                problem.label(match cancels {
                    true => "its `!` patterns take away all that the others select",
                    false => "no event has so long a type",
                })
            }
            Idle::Shadowed(by) => {
                let (first, others) = (by.first(), by.len().saturating_sub(1));
                let first = first.map(|first| &reading.file.routes[*first].events_span);
                let problem = Problem::warning(Code::Shadowed, span, "this route changes nothing")
                    .label("all its endpoints get these events by earlier routes")
                    .help("the first route that selects an event and names an endpoint counts: move this one up, or take it out");
                problem.beside(
                    first,
                    match others {
                        0 => "by this one".to_owned(),
                        others => format!("by this one and {others} more"),
                    },
                )
            }
        });
    }
    named_twice(reading, problems);
    unused(reading, problems);
}

fn named_twice(reading: &Reading<'_>, problems: &mut Problems) {
    for typed in reading.file.routes.iter().filter(|route| route.active.as_ref().is_none_or(|active| active.value)) {
        let mut named = HashSet::new();
        for name in typed.to.iter().filter(|name| !named.insert(&name.value)) {
            let message = format!("the route names the endpoint `{}` twice", name.value);
            problems.push(Problem::warning(Code::Duplicate, &name.span, message).label("once is enough"));
        }
    }
}

/// One that only inactive routes name is left alone: somebody switched it off.
fn unused(reading: &Reading<'_>, problems: &mut Problems) {
    let named: HashSet<usize> = reading.routes.iter().flat_map(|route: &Route| &route.to).copied().collect();
    for (at, (name, _)) in reading.file.endpoints.iter().enumerate() {
        if !named.contains(&at) && reading.endpoints[at].active {
            let problem = Problem::warning(Code::Unused, &name.span, format!("no route names the endpoint `{}`", name.value));
            problems.push(problem.help(format!("it gets only what is posted to /endpoints/{}/events", name.value)));
        }
    }
}

/// As many as would be shown.
const MOST: usize = 250;
