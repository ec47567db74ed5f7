//! What is assigned to where nothing is: jq makes it, jaq refuses it.

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Term},
    },
    path::{Part, Path},
};

use super::check::MADE;

/// Lets the steps of a path that is changed make what they step into. Alone, a key costs nothing: it steps into what the
/// program has at hand.
pub(super) fn make(path: &mut Term<&str>) {
    match path {
        Term::BinOp(left, BinaryOp::Comma | BinaryOp::Pipe(None), right) => {
            make(left);
            make(right);
        }
        Term::Path(inner, steps) => {
            let is_lone = steps.0.len() == 1;
            let mut made = std::mem::take(&mut **inner);
            let mut so_far = Vec::new();
            for (part, optional) in std::mem::take(&mut steps.0) {
                if let Part::Index(index) = &part
                    && is_simple(index)
                    && !(is_lone && matches!(index, Term::Str(..)))
                {
                    if !so_far.is_empty() {
                        made = Term::Path(made.into(), Path(std::mem::take(&mut so_far)));
                    }
                    let make = Term::Call(MADE.0, vec![index.clone()]);
                    made = Term::BinOp(made.into(), BinaryOp::Pipe(None), make.into());
                }
                so_far.push((part, optional));
            }
            *path = Term::Path(made.into(), Path(so_far));
        }
        _ => {}
    }
}

/// Whether an index is one value, whatever it is an index of.
fn is_simple(index: &Term<&str>) -> bool {
    match index {
        Term::Num(_) | Term::Var(_) => true,
        Term::Str(_, parts) => !parts.iter().any(|part| matches!(part, StrPart::Term(_))),
        _ => false,
    }
}
