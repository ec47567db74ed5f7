//! What an expression may say: everything that ends, and that looks at nothing but its event.
//!
//! Comes in: the parsed expression. Goes out: the same, with multiplication replaced by one that has a bound, and the names
//! it uses from outside.

use std::{collections::BTreeSet, ops::Range};

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    ops::Math,
    path::Part,
};

use super::place;

/// Why an expression is no program; the ranges are of bytes in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{name}` calls itself: it could run without end")]
    Recursive { name: String, at: Range<usize> },
    #[error("`{name}` is not available here: {why}")]
    Refused { name: String, why: &'static str, at: Range<usize> },
    #[error("expected {expected}")]
    Syntax { expected: String, at: Range<usize> },
    #[error("there is no {what} `{name}`")]
    Undefined { name: String, what: &'static str, at: Range<usize> },
    #[error("`{name}` does not take {given}")]
    WrongArguments { name: String, given: String, at: Range<usize> },
}

impl Error {
    /// The bytes of the expression that this is about.
    pub fn at(&self) -> Range<usize> {
        match self {
            Error::Recursive { at, .. }
            | Error::Refused { at, .. }
            | Error::Syntax { at, .. }
            | Error::Undefined { at, .. }
            | Error::WrongArguments { at, .. } => at.clone(),
        }
    }
}

/// A name with its number of arguments.
pub(super) type Name<'s> = (&'s str, usize);

/// Looks through an expression.
pub(super) struct Check<'s> {
    /// The names in scope, the innermost last, and whether each is still being defined.
    scope: Vec<(Name<'s>, bool)>,
    /// What is used and not defined in the expression itself.
    pub(super) used: BTreeSet<Name<'s>>,
    /// What the user's own text may not use.
    refused: &'static [(&'static str, &'static str)],
    problem: Option<(Name<'s>, Option<&'static str>)>,
    variables: Vec<&'s str>,
}

impl<'s> Check<'s> {
    /// For what people wrote.
    pub(super) fn strict() -> Check<'s> {
        Check { refused: REFUSED, ..Check::lenient() }
    }

    /// For jq's own definitions, whose recursion is known.
    pub(super) fn lenient() -> Check<'s> {
        Check { scope: Vec::new(), used: BTreeSet::new(), refused: &[], problem: None, variables: Vec::new() }
    }

    /// Checks an expression that is part of `source`.
    pub(super) fn expression(&mut self, source: &str, term: &mut Term<&'s str>) -> Result<(), Error> {
        self.term(term);
        if let Some(name) = self.variables.iter().find(|name| **name == "$ENV") {
            return Err(Error::Refused { name: (*name).to_owned(), why: PROCESS, at: place(source, name) });
        }
        match self.problem {
            None => Ok(()),
            Some(((name, _), why)) => {
                let at = place(source, name);
                let name = name.to_owned();
                Err(why.map_or(Error::Recursive { name: name.clone(), at: at.clone() }, |why| Error::Refused { name, why, at }))
            }
        }
    }

    /// Looks through a definition of the prelude.
    pub(super) fn definition(&mut self, def: &mut Def<&'s str>) {
        let mark = self.scope.len();
        self.open(def);
        self.scope.truncate(mark);
    }

    fn open(&mut self, def: &mut Def<&'s str>) {
        self.scope.push(((def.name, def.args.len()), true));
        // `$x` can be called as `x` too.
        self.scope.extend(def.args.iter().map(|argument| ((argument.trim_start_matches('$'), 0), false)));
        self.term(&mut def.body);
    }

    fn term(&mut self, term: &mut Term<&'s str>) {
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) => {}
            Term::Var(name) => self.variables.push(name),
            Term::Str(format, parts) => {
                if let Some(format) = format {
                    self.call((format, 0));
                }
                parts.iter_mut().for_each(|part| {
                    if let StrPart::Term(term) = part {
                        self.term(term);
                    }
                });
            }
            Term::Arr(inner) => inner.iter_mut().for_each(|inner| self.term(inner)),
            Term::Obj(entries) => {
                for (key, value) in entries {
                    self.term(key);
                    value.iter_mut().for_each(|value| self.term(value));
                }
            }
            Term::Neg(inner) | Term::Label(_, inner) => self.term(inner),
            Term::BinOp(..) => self.operation(term),
            Term::Fold(_, over, pattern, terms) => {
                self.term(over);
                self.pattern(pattern);
                terms.iter_mut().for_each(|term| self.term(term));
            }
            Term::TryCatch(inner, catch) => {
                self.term(inner);
                catch.iter_mut().for_each(|catch| self.term(catch));
            }
            Term::IfThenElse(branches, other) => {
                for (condition, then) in branches {
                    self.term(condition);
                    self.term(then);
                }
                other.iter_mut().for_each(|other| self.term(other));
            }
            Term::Def(defs, rest) => {
                let outside = self.scope.len();
                for def in defs {
                    let mark = self.scope.len();
                    self.open(def);
                    self.scope.truncate(mark);
                    self.scope.push(((def.name, def.args.len()), false));
                }
                self.term(rest);
                self.scope.truncate(outside);
            }
            Term::Call(name, arguments) => {
                self.call((name, arguments.len()));
                arguments.iter_mut().for_each(|argument| self.term(argument));
            }
            Term::Path(inner, path) => {
                self.term(inner);
                for (part, _) in &mut path.0 {
                    match part {
                        Part::Index(index) => self.term(index),
                        Part::Range(from, to) => from.iter_mut().chain(to).for_each(|bound| self.term(bound)),
                    }
                }
            }
        }
    }

    fn operation(&mut self, term: &mut Term<&'s str>) {
        let Term::BinOp(left, operator, right) = term else { return };
        self.term(left);
        self.term(right);
        match operator {
            BinaryOp::Pipe(Some(pattern)) => self.pattern(pattern),
            BinaryOp::Math(Math::Mul) => {
                self.used.insert(MULTIPLY);
                *term = Term::Call(MULTIPLY.0, vec![std::mem::take(left), std::mem::take(right)]);
            }
            // `l *= r` is `r as $x | l |= . * $x`.
            BinaryOp::UpdateMath(Math::Mul) => {
                self.used.insert(MULTIPLY);
                let product = Term::Call(MULTIPLY.0, vec![Term::Id, Term::Var(FACTOR)]);
                let update = Term::BinOp(std::mem::take(left), BinaryOp::Update, product.into());
                let bind = BinaryOp::Pipe(Some(Pattern::Var(FACTOR)));
                *term = Term::BinOp(std::mem::take(right), bind, update.into());
            }
            _ => {}
        }
    }

    fn pattern(&mut self, pattern: &mut Pattern<&'s str>) {
        match pattern {
            Pattern::Var(_) => {}
            Pattern::Arr(patterns) => patterns.iter_mut().for_each(|pattern| self.pattern(pattern)),
            Pattern::Obj(entries) => {
                for (key, pattern) in entries {
                    self.term(key);
                    self.pattern(pattern);
                }
            }
        }
    }

    fn call(&mut self, name: Name<'s>) {
        match self.scope.iter().rev().find(|(other, _)| *other == name) {
            Some((_, true)) if !self.refused.is_empty() => {
                self.problem.get_or_insert((name, None));
            }
            Some(_) => {}
            None => {
                let is_meant = |(refused, _): &&(&str, &str)| match refused.split_once('/') {
                    Some((refused, arguments)) => refused == name.0 && arguments.parse() == Ok(name.1),
                    None => *refused == name.0,
                };
                if let Some((_, why)) = self.refused.iter().find(is_meant) {
                    self.problem.get_or_insert((name, Some(why)));
                }
                self.used.insert(name);
            }
        }
    }
}

const ENDLESS: &str = "it could run without end";
const PROCESS: &str = "it reads the process, not the event";

/// Names, with `/` and a number of arguments where others of the name may stay.
const REFUSED: &[(&str, &str)] = &[
    ("combinations", ENDLESS),
    ("debug", PROCESS),
    ("debug_empty", PROCESS),
    ("env", PROCESS),
    ("halt", PROCESS),
    ("halt_error", PROCESS),
    ("input", PROCESS),
    ("inputs", PROCESS),
    ("range", ENDLESS),
    ("recurse/1", ENDLESS),
    ("recurse/2", ENDLESS),
    ("repeat", ENDLESS),
    ("stderr", PROCESS),
    ("stderr_empty", PROCESS),
    ("until", ENDLESS),
    ("while", ENDLESS),
];

/// Stands for `*`: no name that an expression could use.
pub(super) const MULTIPLY: Name<'static> = ("!multiply", 2);

const FACTOR: &str = "$!factor";
