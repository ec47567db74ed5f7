//! Whether a route's pattern is one.
//!
//! **Invariant:** pure.

use crate::event;

/// A pattern of event types that is well formed.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) negative: bool,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    #[error("is empty")]
    Empty,
    #[error("a segment between two dots is empty")]
    EmptySegment,
    #[error("`*` stands for one whole segment, `**` for any number: they cannot be part of one")]
    PartialWildcard,
    #[error("types are at most 255 of A-Z a-z 0-9 . _ - : /")]
    WrongCharacter,
}

impl Pattern {
    /// Reads `purchase.*`, `**`, `!purchase.test`.
    pub(super) fn parse(text: &str) -> Result<Pattern, PatternError> {
        let (negative, positive) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        if positive.is_empty() {
            return Err(PatternError::Empty);
        }
        for segment in positive.split('.').filter(|segment| !matches!(*segment, "*" | "**")) {
            if segment.is_empty() {
                return Err(PatternError::EmptySegment);
            }
            if segment.contains('*') {
                return Err(PatternError::PartialWildcard);
            }
            if !event::is_type(segment) {
                return Err(PatternError::WrongCharacter);
            }
        }
        Ok(Pattern { negative })
    }
}
