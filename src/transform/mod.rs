//! What is made of an event: jq programs (jaq), compiled once when the config is read.
//!
//! ```text
//!  expression ─► balance, check: refused, recursive, too deep? ─► Library::compile ─► Program
//!  Event ─► Input (once per event) ─► Program::value / Program::is_true
//! ```
//!
//! A program sees the event as `{id, type, time, context, data}`, a CloudEvent's also with `source`, `subject` and its
//! extensions. Numbers keep their text unless they are computed with.
//!
//! Promised is: nothing runs for ever, since what could is refused when the config is read (recursive definitions, generators
//! without a bound of their own), and what reads the process is too; an expression is no deeper than any stack has room for;
//! a text that is made of values, by repetition or replacement, is at most 1 MiB. Not promised, since jaq has no place for a
//! bound: how long nested loops over an event take, what memory a program gathers in arrays, objects and by adding texts, and
//! the stack for a value that it wraps 100 000 times (`reduce .[] as $x (null; [.])`): comparing and dropping it recurse.
//!
//! **Invariant:** pure; an error, or a panic inside jaq, is an [`RunError`] of that run alone.

mod balance;
mod check;
mod error;
mod library;
mod natives;
mod paths;
mod read;
mod regex;
mod update;
mod write;

use std::{
    cell::OnceCell,
    fmt::{self, Write as _},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use jaq_core::{Ctx, Filter, Vars, data::JustLut};
use jaq_json::Val;

pub use self::{check::ENDLESS, error::Error, library::Library};
use crate::event::Event;

/// A program that is known to end.
pub struct Program {
    source: Box<str>,
    filter: Filter<JustLut<Val>>,
}

/// An event, as programs see it: made when the first one looks.
#[derive(Debug)]
pub struct Input<'e> {
    event: Event<'e>,
    value: OnceCell<Val>,
}

/// Why a run gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error("{0}")]
    Jq(Box<str>),
    #[error("the output is no JSON: it has {0}")]
    NotJson(&'static str),
    #[error("jq failed: please report this bug")]
    Panicked,
    #[error("the output has more than 127 arrays and objects inside one another")]
    TooDeep,
    #[error("the output is larger than 1 MiB")]
    TooLarge,
}

impl<'e> Input<'e> {
    pub fn new(event: Event<'e>) -> Input<'e> {
        Input { event, value: OnceCell::new() }
    }

    pub fn event(&self) -> &Event<'e> {
        &self.event
    }

    fn value(&self) -> Val {
        self.value.get_or_init(|| read::event(&self.event)).clone()
    }
}

impl Program {
    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The program's first output as JSON text; none where it has none.
    ///
    /// # Errors
    /// The program fails, or what comes out is no JSON, too large or too deep.
    pub fn value(&self, input: &Input<'_>) -> Result<Option<String>, RunError> {
        self.first(input, |output| write::json(&output))
    }

    /// Whether the program's first output is neither false nor null; without an output it is not.
    ///
    /// # Errors
    /// The program fails.
    pub fn is_true(&self, input: &Input<'_>) -> Result<bool, RunError> {
        let output = self.first(input, |output| Ok(!matches!(output, Val::Null | Val::Bool(false))))?;
        Ok(output.unwrap_or_default())
    }

    fn first<T>(&self, input: &Input<'_>, read: impl FnOnce(Val) -> Result<T, RunError>) -> Result<Option<T>, RunError> {
        let run = || {
            let context = Ctx::<JustLut<Val>>::new(&self.filter.lut, Vars::new([]));
            let first = self.filter.id.run((context, input.value())).next();
            match first.map(|output| output.map_err(|exception| exception.get_err())) {
                None => Ok(None),
                Some(Ok(output)) => read(output).map(Some),
                Some(Err(Ok(error))) => Err(RunError::Jq(message(error))),
                // A `break` that nobody waits for.
                Some(Err(Err(_))) => Err(RunError::Jq("break".into())),
            }
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(RunError::Panicked))
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Program) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.source).finish()
    }
}

/// What jq says, for one line of a log: a value in it may be as large as the event, and much deeper.
fn message(error: jaq_core::Error<Val>) -> Box<str> {
    let mut shown = Line(String::new());
    // Ends early where the line is full.
    _ = write!(shown, "{error}");
    // In quotes is what the program itself said, a text.
    if shown.0.starts_with('"')
        && let Val::TStr(text) = error.into_val()
    {
        let text = String::from_utf8_lossy(&text);
        shown.0.clear();
        _ = shown.write_str(&text);
    }
    shown.0.into()
}

/// Takes the first [`MESSAGE`] characters.
struct Line(String);

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MESSAGE.saturating_sub(self.0.chars().count());
        let end = text.char_indices().nth(room).map(|(at, _)| at);
        self.0.push_str(&text[..end.unwrap_or(text.len())]);
        end.map_or(Ok(()), |_| Err(fmt::Error))
    }
}

/// Where `part`, a piece of `whole`, is in it.
fn place(whole: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len());
    start..(start + part.len()).min(whole.len())
}

/// In characters.
const MESSAGE: usize = 500;

/// The largest output, and the largest string made by repetition, in bytes.
const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests;
