//! One pattern of a route's `events`.

use std::fmt;

use crate::event;

/// A dotted pattern, maybe negated by a leading `!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub negated: bool,
    pub(super) segments: Box<[Segment]>,
}

/// What stands between two dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// `**`: any number of segments, none included.
    Deep,
    Literal(Box<str>),
    /// `*`: one whole segment.
    One,
}

impl Segment {
    pub(super) fn literal(&self) -> Option<&str> {
        match self {
            Segment::Literal(literal) => Some(literal),
            Segment::Deep | Segment::One => None,
        }
    }
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("`{0}` cannot be in an event type: only A-Z a-z 0-9 . _ - : / are")]
    Character(char),
    #[error("an empty pattern matches nothing; everything is \"**\"")]
    Empty,
    #[error("`{0}`: a star stands for whole segments only, as in `a.*` or `a.**`")]
    PartialStar(Box<str>),
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        let (negated, dotted) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        if dotted.is_empty() {
            return Err(PatternError::Empty);
        }
        let mut segments: Vec<Segment> = dotted.split('.').map(segment).collect::<Result<_, _>>()?;
        segments.dedup_by(|next, previous| *next == Segment::Deep && *previous == Segment::Deep);
        Ok(Pattern { negated, segments: segments.into() })
    }

    /// Whether `event_type` has this shape, negation left aside.
    pub fn matches(&self, event_type: &str) -> bool {
        let parts: Vec<&str> = event_type.split('.').collect();
        // As globs are matched: on a mismatch only the last `**` can still give way, so this is at most parts × segments.
        let (mut at, mut part, mut last_deep) = (0, 0, None);
        while part < parts.len() {
            match self.segments.get(at) {
                Some(Segment::Deep) => {
                    last_deep = Some((at, part));
                    at += 1;
                }
                Some(Segment::Literal(literal)) if **literal == *parts[part] => (at, part) = (at + 1, part + 1),
                Some(Segment::One) => (at, part) = (at + 1, part + 1),
                Some(Segment::Literal(_)) | None => {
                    let Some((deep, taken)) = last_deep else { return false };
                    last_deep = Some((deep, taken + 1));
                    (at, part) = (deep + 1, taken + 1);
                }
            }
        }
        self.segments[at..].iter().all(|rest| *rest == Segment::Deep)
    }
}

fn segment(text: &str) -> Result<Segment, PatternError> {
    match text {
        "*" => Ok(Segment::One),
        "**" => Ok(Segment::Deep),
        _ if text.contains('*') => Err(PatternError::PartialStar(text.into())),
        _ => match text.chars().find(|c| !event::is_type(c.encode_utf8(&mut [0; 4]))) {
            Some(wrong) => Err(PatternError::Character(wrong)),
            None => Ok(Segment::Literal(text.into())),
        },
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.negated { "!" } else { "" })?;
        for (n, segment) in self.segments.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { "." })?;
            f.write_str(match segment {
                Segment::Deep => "**",
                Segment::Literal(literal) => literal,
                Segment::One => "*",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_whole_segments() {
        for (pattern, yes, no) in [
            ("a.b", vec!["a.b"], vec!["a", "a.b.c", "A.b", "ab"]),
            ("a.*", vec!["a.b", "a."], vec!["a", "a.b.c", "b.a"]),
            ("*.b", vec!["a.b", ".b"], vec!["b", "a.a.b"]),
            ("a.**", vec!["a", "a.b", "a.b.c"], vec!["b", "ab"]),
            ("**", vec!["a", "a.b", "."], vec![]),
            ("**.z", vec!["z", "a.z", "a.b.z", "z.z"], vec!["z.a", "az"]),
            ("a.**.z", vec!["a.z", "a.b.z", "a.z.z"], vec!["a", "z", "a.z.b"]),
            ("a.**.*.z", vec!["a.b.z", "a.b.c.z"], vec!["a.z"]),
            ("**.b.**.d", vec!["b.d", "a.b.c.d", "b.b.d.d"], vec!["b", "d.b"]),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.to_string(), pattern);
            yes.iter().for_each(|text| assert!(parsed.matches(text), "{pattern} should match {text}"));
            no.iter().for_each(|text| assert!(!parsed.matches(text), "{pattern} should not match {text}"));
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
        assert_eq!(Pattern::parse("!"), Err(PatternError::Empty));
        assert_eq!(Pattern::parse("a.b*"), Err(PatternError::PartialStar("b*".into())));
        assert_eq!(Pattern::parse("a b"), Err(PatternError::Character(' ')));
        assert_eq!(Pattern::parse("!!a"), Err(PatternError::Character('!')));
        assert!(Pattern::parse("!a.**").unwrap().negated);
    }
}
