//! jq expressions, compiled; what is wrong with one is shown at the character in it.

use std::sync::Arc;

use super::Scope;
use crate::{
    config::{
        problems::{Code, Problem},
        raw::{At, nearest},
    },
    transform::{self, Error, Library, Program},
};

/// Compiles the expression that stands at the key `key`.
pub(super) fn program(key: &str, typed: &At<String>, scope: &mut Scope<'_>) -> Option<Arc<Program>> {
    if let Some(known) = scope.programs.get(&typed.value) {
        return Some(Arc::clone(known));
    }
    let library = scope.jq.get_or_init(Library::new);
    match library.compile(&typed.value) {
        Ok(program) => {
            let program = Arc::new(program);
            scope.programs.insert(typed.value.clone(), Arc::clone(&program));
            Some(program)
        }
        Err(error) => {
            let span = scope.problems.within(&typed.span, &typed.value, error.at());
            let problem = Problem::error(Code::Expression, &span, format!("bad jq in `{key}`: {error}"));
            let help = help(&error, library);
            scope.problems.push(match help {
                Some(help) => problem.help(help),
                None => problem,
            });
            None
        }
    }
}

fn help(error: &Error, library: &Library) -> Option<String> {
    match error {
        Error::Undefined { name, what: "filter", .. } => {
            nearest(name, library.names()).map(|near| format!("did you mean `{near}`? A name in quotes is a text"))
        }
        Error::Undefined { what: "variable", .. } => Some("the event is in .id, .type, .time, .context and .data".to_owned()),
        Error::Recursive { .. } | Error::Refused { why: transform::ENDLESS, .. } => {
            Some("`map`, `reduce`, `..`, `walk` and `limit` go through what an event has, and end".to_owned())
        }
        Error::Syntax { expected, .. } if expected.ends_with("not `'`") => Some("jq has a text in double quotes".to_owned()),
        Error::Deep { .. } => Some("a list, as in `IN(\"a\", \"b\")`, may have any length".to_owned()),
        _ => None,
    }
}
