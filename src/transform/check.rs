//! What an expression may say: everything that ends, and that looks at nothing but its event.
//!
//! Comes in: the parsed expression. Goes out: the same, flat where it may be and with what has no bound of its own replaced,
//! and the names it uses from outside.

use std::collections::BTreeSet;

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    ops::Math,
    path::Part,
};

use super::{balance::balance, error::Error, place, update::make};

/// A name with its number of arguments.
pub(super) type Name<'s> = (&'s str, usize);

/// Looks through an expression.
pub(super) struct Check<'s> {
    /// The innermost last.
    scope: Vec<Known<'s>>,
    /// What is used and not defined in the expression itself.
    pub(super) used: BTreeSet<Name<'s>>,
    /// What the user's own text may not use.
    refused: &'static [(&'static str, &'static str)],
    problem: Option<(Name<'s>, Option<&'static str>)>,
    variables: Vec<&'s str>,
    /// How many expressions the one looked at is inside of, calls included, and the most that there were.
    depth: usize,
    deepest: usize,
}

/// A name in scope.
struct Known<'s> {
    name: Name<'s>,
    is_open: bool,
    /// What a call of it is deep.
    depth: usize,
}

impl<'s> Check<'s> {
    /// For what people wrote.
    pub(super) fn strict() -> Check<'s> {
        Check { refused: REFUSED, ..Check::lenient() }
    }

    /// For jq's own definitions, whose recursion is known.
    pub(super) fn lenient() -> Check<'s> {
        let (scope, variables) = (Vec::new(), Vec::new());
        Check { scope, used: BTreeSet::new(), refused: &[], problem: None, variables, depth: 0, deepest: 0 }
    }

    /// Checks an expression that is part of `source`.
    pub(super) fn expression(&mut self, source: &str, term: &mut Term<&'s str>) -> Result<(), Error> {
        self.term(term);
        if let Some(name) = self.variables.iter().find(|name| **name == "$ENV") {
            return Err(Error::Refused { name: (*name).to_owned(), why: PROCESS, at: place(source, name) });
        }
        match self.problem {
            None if self.deepest > DEEPEST => Err(Error::Deep { at: 0..source.len() }),
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
        self.open(def);
    }

    /// Looks through a definition; what a call of it is deep.
    fn open(&mut self, def: &mut Def<&'s str>) -> usize {
        let (mark, depth, deepest) = (self.scope.len(), self.depth, self.deepest);
        self.scope.push(Known { name: (def.name, def.args.len()), is_open: true, depth: 0 });
        // `$x` is a variable alone: unlike in jq, it cannot be called as `x`.
        let arguments = def.args.iter().filter(|argument| !argument.starts_with('$'));
        self.scope.extend(arguments.map(|argument| Known { name: (argument, 0), is_open: false, depth: 0 }));
        self.deepest = depth;
        self.term(&mut def.body);
        // Beyond the limit it does not matter by how much, and calls multiply.
        let own = (self.deepest - depth).min(DEEPEST + 1);
        self.deepest = self.deepest.max(deepest);
        self.scope.truncate(mark);
        own
    }

    fn term(&mut self, term: &mut Term<&'s str>) {
        balance(term);
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        self.inside(term);
        self.depth -= 1;
    }

    fn terms<'t>(&mut self, terms: impl IntoIterator<Item = &'t mut Term<&'s str>>)
    where
        's: 't,
    {
        terms.into_iter().for_each(|term| self.term(term));
    }

    fn inside(&mut self, term: &mut Term<&'s str>) {
        match term {
            Term::Id | Term::Recurse | Term::Break(_) => {}
            // JSON has no leading zeros, and the text is what is written.
            Term::Num(number) => {
                let zeros = number.len() - number.trim_start_matches('0').len();
                let is_digit_next = number[zeros..].starts_with(|next: char| next.is_ascii_digit());
                *number = &number[if is_digit_next { zeros } else { zeros.saturating_sub(1) }..];
            }
            Term::Var(name) => self.variables.push(name),
            Term::Str(format, parts) => self.text(*format, parts),
            Term::Arr(inner) => self.terms(inner.as_deref_mut()),
            Term::Obj(entries) => {
                for (key, value) in entries {
                    self.term(key);
                    self.terms(value);
                }
            }
            Term::Neg(inner) | Term::Label(_, inner) => self.term(inner),
            Term::BinOp(..) => self.operation(term),
            Term::Fold(_, over, pattern, terms) => {
                self.term(over);
                self.pattern(pattern);
                self.terms(terms);
            }
            Term::TryCatch(inner, catch) => {
                self.term(inner);
                self.terms(catch.as_deref_mut());
            }
            Term::IfThenElse(branches, other) => {
                let depth = self.depth;
                for (condition, then) in branches {
                    self.term(condition);
                    self.term(then);
                    self.depth += 1;
                }
                self.terms(other.as_deref_mut());
                self.depth = depth;
            }
            Term::Def(defs, rest) => {
                let outside = self.scope.len();
                for def in defs {
                    let depth = self.open(def);
                    self.scope.push(Known { name: (def.name, def.args.len()), is_open: false, depth });
                }
                self.term(rest);
                self.scope.truncate(outside);
            }
            Term::Call(name, arguments) => {
                let depth = self.call((name, arguments.len()));
                self.deepest = self.deepest.max(self.depth + depth);
                // They are run from somewhere inside of it.
                self.depth += depth;
                self.terms(arguments.iter_mut());
                self.depth -= depth;
                // As a path that is changed, the one by name has no end.
                if *name == "recurse" && arguments.is_empty() && self.used.remove(&("recurse", 0)) {
                    *term = Term::Recurse;
                }
            }
            Term::Path(inner, path) => {
                self.term(inner);
                let depth = self.depth;
                for (part, _) in &mut path.0 {
                    match part {
                        Part::Index(index) => self.index(index),
                        Part::Range(from, to) => from.iter_mut().chain(to).for_each(|bound| self.index(bound)),
                    }
                    self.depth += 1;
                }
                self.deepest = self.deepest.max(self.depth);
                self.depth = depth;
            }
        }
    }

    fn text(&mut self, format: Option<&'s str>, parts: &mut [StrPart<&'s str, Term<&'s str>>]) {
        if let Some(format) = format {
            self.call((format, 0));
        }
        for part in parts {
            let StrPart::Term(term) = part else { continue };
            self.term(term);
            if format.is_none() {
                self.pass(term, TEXT);
            }
        }
    }

    /// An index may be any number that is whole.
    fn index(&mut self, index: &mut Term<&'s str>) {
        self.term(index);
        let is_known = match index {
            Term::Str(..) => true,
            Term::Num(number) => number.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        };
        if !is_known {
            self.pass(index, WHOLE);
        }
    }

    /// Makes `term` one whose output goes through a filter of ours.
    fn pass(&mut self, term: &mut Term<&'s str>, through: Name<'static>) {
        self.used.insert(through);
        let call = Term::Call(through.0, Vec::new());
        *term = Term::BinOp(std::mem::take(term).into(), BinaryOp::Pipe(None), call.into());
    }

    fn operation(&mut self, term: &mut Term<&'s str>) {
        let Term::BinOp(left, operator, right) = term else { return };
        if let BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateAlt | BinaryOp::UpdateMath(_) = operator {
            make(left);
        }
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
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
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
        self.depth -= 1;
    }

    /// What the call is deep, as far as that is known.
    fn call(&mut self, name: Name<'s>) -> usize {
        match self.scope.iter().rev().find(|known| known.name == name) {
            Some(known) => {
                if known.is_open && !self.refused.is_empty() {
                    self.problem.get_or_insert((name, None));
                }
                known.depth
            }
            None => {
                let is_meant = |(refused, _): &&(&str, &str)| match refused.split_once('/') {
                    Some((refused, arguments)) => refused == name.0 && arguments.parse() == Ok(name.1),
                    None => *refused == name.0,
                };
                if let Some((_, why)) = self.refused.iter().find(is_meant) {
                    self.problem.get_or_insert((name, Some(why)));
                }
                self.used.insert(name);
                CALL
            }
        }
    }
}

/// Why a filter is refused that need not end.
pub const ENDLESS: &str = "it could run without end";
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
    ("jn", ENDLESS),
    ("range", ENDLESS),
    ("recurse/1", ENDLESS),
    ("recurse/2", ENDLESS),
    ("repeat", ENDLESS),
    ("stderr", PROCESS),
    ("stderr_empty", PROCESS),
    ("until", ENDLESS),
    ("while", ENDLESS),
    ("yn", ENDLESS),
];

/// Stands for `*`: no name that an expression could use.
pub(super) const MULTIPLY: Name<'static> = ("!multiply", 2);

/// Makes what a step of a path that is changed steps into.
pub(super) const MADE: Name<'static> = ("!made", 1);

/// Makes a text of what stands in one.
pub(super) const TEXT: Name<'static> = ("!text", 0);

/// Makes an integer of a number that is one.
pub(super) const WHOLE: Name<'static> = ("!whole", 0);

/// So many expressions inside one another have room on any stack.
pub(super) const DEEPEST: usize = 200;

/// What one of jq's own filters is deep: none that takes others calls them from further inside.
const CALL: usize = 5;

const FACTOR: &str = "$!factor";
