//! The text of a config file, as diagnostics show it.
//!
//! Comes in: the text, and the places that may hold secrets. Goes out: line and column of a place, and its line with what
//! stands under it.
//!
//! **Invariant:** no hidden place is shown; `***` stands for it.

use std::{
    borrow::Cow,
    ops::Range,
    path::{Path, PathBuf},
};

use unicode_width::UnicodeWidthStr;

use crate::screen::misleads;

/// Bytes of the source.
pub type Span = Range<usize>;

pub(super) struct Source {
    pub(super) path: PathBuf,
    text: String,
    hidden: Vec<Span>,
}

impl Source {
    pub(super) fn new(path: &Path, text: &str) -> Source {
        Source { path: path.into(), text: text.into(), hidden: Vec::new() }
    }

    pub(super) fn hide(&mut self, span: Span) {
        self.hidden.push(span);
    }

    /// Puts what is hidden in order: nothing is shown before.
    pub(super) fn seal(&mut self) {
        self.hidden.sort_by_key(|span| span.start);
        self.hidden.dedup_by(|next, span| {
            let overlap = next.start <= span.end;
            span.end = if overlap { span.end.max(next.end) } else { span.end };
            overlap
        });
    }

    /// Whether any of these bytes is hidden; only once it is sealed.
    pub(super) fn hides(&self, span: &Span) -> bool {
        self.hidden_in(span).next().is_some()
    }

    /// What is hidden of these bytes.
    fn hidden_in(&self, span: &Span) -> impl Iterator<Item = &Span> {
        let first = self.hidden.partition_point(|hidden| hidden.end <= span.start);
        let end = span.end;
        self.hidden[first..].iter().take_while(move |hidden| hidden.start < end)
    }

    /// `value`, the TOML string at `span`, with `***` for what is hidden of it: for all of it where it is written differently.
    pub(super) fn masked<'v>(&self, span: &Span, value: &'v str) -> Cow<'v, str> {
        if !self.hides(span) {
            return Cow::Borrowed(value);
        }
        let written = self.text.get(span.clone()).unwrap_or_default();
        let Some(start) = written.find(value).filter(|_| !value.is_empty()) else { return Cow::Borrowed("***") };
        let (start, mut masked, mut at) = (span.start + start, String::new(), 0);
        for hidden in self.hidden_in(span) {
            let from = hidden.start.saturating_sub(start).clamp(at, value.len());
            masked.push_str(value.get(at..from).unwrap_or_default());
            masked.push_str("***");
            at = hidden.end.saturating_sub(start).min(value.len());
        }
        masked.push_str(value.get(at..).unwrap_or_default());
        Cow::Owned(masked)
    }

    /// Line and column of a place, both from 1, columns in characters.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        let at = self.floor(at);
        let line_start = self.line(at).start;
        let line = 1 + memchr::memchr_iter(b'\n', &self.text.as_bytes()[..line_start]).count();
        (line, 1 + self.text[line_start..at].chars().filter(|character| *character != BYTE_ORDER_MARK).count())
    }

    /// The place of the bytes `part` of `value`, where that is the TOML string at `span`; all of it where it is written too
    /// differently for that. What would be behind the last character is that.
    pub(super) fn within(&self, span: &Span, value: &str, part: Span) -> Span {
        let Some(written) = self.text.get(span.clone()) else { return span.clone() };
        let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| written.starts_with(quotes)).unwrap_or_default();
        let inner = written.get(quotes.len()..written.len().saturating_sub(quotes.len())).unwrap_or_default();
        let mut start = span.start + quotes.len();
        let mut inner = inner;
        if quotes.len() == 3 {
            let line_end = inner.len() - inner.strip_prefix("\r\n").or_else(|| inner.strip_prefix('\n')).unwrap_or(inner).len();
            (start, inner) = (start + line_end, &inner[line_end..]);
        }
        if inner != value {
            let escaped = quotes.starts_with('"').then(|| offsets(inner, value, &part)).flatten();
            return escaped.map_or_else(|| span.clone(), |part| start + part.start..start + part.end);
        }
        let last = value.char_indices().next_back().map_or(0, |(at, _)| at);
        let from = part.start.min(last);
        start + from..(start + part.end).max(start + from + 1).min(span.end)
    }

    /// The line a place is in, as people may see it, and the number of that line.
    pub(super) fn line_of(&self, at: usize) -> (usize, Vec<Cell>) {
        let at = self.floor(at);
        let line = self.line(at);
        let mut cells: Vec<Cell> = Vec::new();
        for (offset, character) in self.text[line.clone()].char_indices() {
            let at = line.start + offset;
            let (text, end) = match self.hidden_at(at) {
                Some(hidden) if at > hidden.start && at > line.start => continue,
                Some(hidden) => ("***".to_owned(), hidden.end.min(line.end)),
                None => (shown(character), at + character.len_utf8()),
            };
            cells.push(Cell { bytes: at..end, width: text.width(), text });
        }
        (self.position(at).0, cells)
    }

    fn hidden_at(&self, at: usize) -> Option<&Span> {
        let next = self.hidden.partition_point(|hidden| hidden.start <= at);
        self.hidden[..next].last().filter(|hidden| hidden.contains(&at))
    }

    /// The line a place is in, without its end.
    fn line(&self, at: usize) -> Span {
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        let end = if self.text[start..end].ends_with('\r') && end > at { end - 1 } else { end };
        start..end
    }

    fn floor(&self, mut at: usize) -> usize {
        at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// Where the bytes `part` of `value` stand in `written`, the same with TOML's escapes.
fn offsets(written: &str, value: &str, part: &Span) -> Option<Span> {
    let (mut rest, mut at, mut found) = (written, 0, Vec::new());
    for character in value.chars() {
        rest = joined(rest);
        found.push((at, written.len() - rest.len()));
        let (meant, length) = unescaped(rest)?;
        if meant != character {
            return None;
        }
        rest = rest.get(length..)?;
        at += character.len_utf8();
    }
    found.push((at, written.len()));
    let offset = |wanted: usize| found.iter().rfind(|(at, _)| *at <= wanted).map(|(_, offset)| *offset);
    let start = offset(part.start.min(at.saturating_sub(1)))?;
    Some(start..offset(part.end)?.max(start + 1))
}

/// Behind a backslash at the end of a line, and the blanks and lines that it joins.
fn joined(mut text: &str) -> &str {
    while let Some(behind) = text.strip_prefix('\\') {
        let next = behind.trim_start_matches([' ', '\t', '\r', '\n']);
        if !behind[..behind.len() - next.len()].contains('\n') {
            break;
        }
        text = next;
    }
    text
}

/// The first character that TOML means, and how many bytes it takes.
fn unescaped(text: &str) -> Option<(char, usize)> {
    let mut characters = text.chars();
    let first = characters.next()?;
    if first != '\\' {
        return Some((first, first.len_utf8()));
    }
    let digits = match characters.next()? {
        'b' => return Some(('\u{8}', 2)),
        'e' => return Some(('\u{1b}', 2)),
        'f' => return Some(('\u{c}', 2)),
        'n' => return Some(('\n', 2)),
        'r' => return Some(('\r', 2)),
        't' => return Some(('\t', 2)),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        other => return Some((other, 1 + other.len_utf8())),
    };
    let code = u32::from_str_radix(text.get(2..2 + digits)?, 16).ok()?;
    Some((char::from_u32(code)?, 2 + digits))
}

/// A character of a source line, or what stands for the hidden ones.
pub(super) struct Cell {
    /// Of the source.
    pub(super) bytes: Span,
    pub(super) text: String,
    /// In columns of a terminal.
    pub(super) width: usize,
}

/// A tab has no width of its own.
fn shown(character: char) -> String {
    match character {
        '\t' => "    ".to_owned(),
        BYTE_ORDER_MARK => String::new(),
        _ => printable(character.encode_utf8(&mut [0; 4])),
    }
}

pub(super) fn printable(text: &str) -> String {
    text.chars().map(|character| if misleads(character) { '\u{fffd}' } else { character }).collect()
}

const BYTE_ORDER_MARK: char = '\u{feff}';
