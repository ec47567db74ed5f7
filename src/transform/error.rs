//! Why a text is no program.

use std::ops::Range;

use super::check::DEEPEST;

/// Why an expression is no program; the ranges are of bytes in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{name}` calls itself: it could run without end")]
    Recursive { name: String, at: Range<usize> },
    #[error("`{name}` is not available here: {why}")]
    Refused { name: String, why: &'static str, at: Range<usize> },
    #[error("it is too deep: more than {DEEPEST} expressions inside one another")]
    Deep { at: Range<usize> },
    #[error("it is longer than 32 KiB")]
    Long { at: Range<usize> },
    #[error("expected {expected}")]
    Syntax { expected: String, at: Range<usize> },
    #[error("there is no memory to read it")]
    Unread { at: Range<usize> },
    #[error("there is no {what} `{name}`")]
    Undefined { name: String, what: &'static str, at: Range<usize> },
    #[error("`{name}` does not take {given}")]
    WrongArguments { name: String, given: String, at: Range<usize> },
}

impl Error {
    /// The bytes of the expression that this is about.
    pub fn at(&self) -> Range<usize> {
        match self {
            Error::Deep { at }
            | Error::Long { at }
            | Error::Unread { at }
            | Error::Recursive { at, .. }
            | Error::Refused { at, .. }
            | Error::Syntax { at, .. }
            | Error::Undefined { at, .. }
            | Error::WrongArguments { at, .. } => at.clone(),
        }
    }
}
