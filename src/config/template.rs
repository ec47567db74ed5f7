//! What is wrong with a text with placeholders, shown at it.

use super::{
    problems::{Code, Problem, Problems},
    raw::nearest,
    source::Span,
};
use crate::sign::TemplateError;

/// The problem of `text`, the string at `span`.
pub(super) fn problem(span: &Span, text: &str, error: &TemplateError, problems: &Problems) -> Problem {
    let (at, length) = match error {
        TemplateError::Unbalanced { at } => (*at, 1),
        TemplateError::Unknown { at, name, .. } => (*at, name.len() + 2),
    };
    let place = problems.within(span, text, at..at + length);
    let problem = |message: &str| Problem::error(Code::BadValue, &place, message);
    match error {
        TemplateError::Unbalanced { .. } => {
            problem("a `{` or `}` has no partner").help("a brace that is only text is written twice: `{{` and `}}`")
        }
        // What looks like one may be a piece of a secret.
        TemplateError::Unknown { .. } if problems.hides(span) => problem("there is no such placeholder"),
        TemplateError::Unknown { name, known, .. } => {
            let found = problem(&format!("there is no placeholder `{{{name}}}`"));
            if text.get(..at).is_some_and(|before| before.ends_with('$')) {
                return found.help("variables are not put into the text: { env = \"NAME\" } is a value from one");
            }
            let listed: Vec<_> = known.iter().map(|known| format!("{{{known}}}")).collect();
            match meant(name, known) {
                Some(meant) => found.label(format!("did you mean `{{{meant}}}`?")),
                None => found.help(format!("there are {}", listed.join(", "))),
            }
        }
    }
}

fn meant<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let lower = name.trim().to_lowercase();
    let bare = lower.strip_prefix("event").unwrap_or(&lower).trim_start_matches(['_', '.']);
    let other = ALIASES.iter().filter(|(alias, _)| *alias == bare).map(|(_, meant)| *meant).chain([bare]);
    let exact = other.filter_map(|other| known.iter().find(|known| **known == other).copied()).next();
    exact.or_else(|| nearest(name, known.iter().copied()))
}

/// What others call them; the first that is known there counts.
const ALIASES: &[(&str, &str)] = &[
    ("attempts", "attempt"),
    ("data", "body"),
    ("event", "type"),
    ("payload", "body"),
    ("time", "timestamp"),
    ("timestamp", "time"),
    ("ts", "timestamp"),
    ("ts", "time"),
    ("url", "path"),
];
