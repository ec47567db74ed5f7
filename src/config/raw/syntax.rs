//! What is no TOML, said so that it can be mended.
//!
//! Comes in: an error of the parser, and the source. Goes out: a problem, at the place where something is to be written.
//!
//! **Invariant:** no text of the file is quoted that is hidden.

use toml::de::{DeTable, DeValue, Error};

use crate::config::{
    problems::{Code, Problem, Problems},
    source::Span,
};

/// Whether the rest of the file can be read as if the error were not there: it is one in a value, or in a doubled key.
pub(super) fn is_confined(error: &Error) -> bool {
    let message = error.message();
    ["string values must", "invalid boolean", "invalid float", "unexpected leading", "missing escaped", "duplicate key"]
        .iter()
        .any(|start| message.starts_with(start))
}

/// Whether the parser took all that follows for something else: to say what it makes of that would be noise.
pub(super) fn swallows(source: &str, error: &Error) -> bool {
    let begins_line = Place::of(source, error.span().unwrap_or(0..0)).begins_line();
    let message = error.message();
    let open = ["missing comma between", "unclosed array, ", "unclosed inline"].iter().any(|start| message.starts_with(start));
    (open && begins_line) || (message.starts_with("invalid key-value pair") && is_json(source))
}

/// The table that the error finds to be there already: that its keys are too says nothing more.
pub(super) fn doubled(source: &str, error: &Error) -> Option<Span> {
    let place = Place::of(source, error.span().unwrap_or(0..0));
    let is_one = is_duplicate(error) && place.is_header();
    let end = || source[place.at..].find("\n[").map_or(source.len(), |next| place.at + next);
    is_one.then(|| place.at..end())
}

pub(super) fn is_duplicate(error: &Error) -> bool {
    error.message() == "duplicate key"
}

fn is_json(source: &str) -> bool {
    source.trim_start().starts_with('{')
}

pub(super) fn problem(source: &str, error: &Error, problems: &Problems) -> Problem {
    let span = error.span().unwrap_or(0..0);
    let place = Place::of(source, span.clone());
    let (message, expected) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message, Some(expected)),
        None => (error.message(), None),
    };
    let of = |span: &Span, message: &str| Problem::error(Code::Syntax, span, message);
    if let Some(problem) = place.whole_line() {
        return problem;
    }
    match message {
        "string values must be quoted" | "invalid boolean" | "invalid float" => place.unquoted(problems),
        "key with no value" | "missing assignment between key-value pairs" => place.no_value(),
        "invalid unquoted key" if place.before.trim_end().ends_with(':') || place.after.starts_with(':') => place.no_value(),
        "invalid unquoted key" => {
            of(&span, "this cannot stand in a key without quotes").label("letters, digits, `-` and `_` can")
        }
        "invalid key-value pair" if is_json(source) => {
            of(&span, "the config file is TOML, not JSON").help("[listen] begins a table, and key = value stands on a line each")
        }
        "unclosed table" | "unclosed array table" => place.header(),
        "unexpected key or value" => place.behind_value(),
        "invalid basic string" | "invalid literal string" if expected.is_some_and(|expected| expected.len() == 3) => {
            let quote = if message.contains("basic") { "\"" } else { "'" };
            of(&span, "the string does not end").label(format!("its closing {quote} is missing"))
        }
        "invalid multi-line basic string" | "invalid multi-line literal string"
            if expected.is_some_and(|expected| expected.len() == 3) =>
        {
            let quotes = if message.contains("basic") { "\"\"\"" } else { "'''" };
            let start = source[..place.at].rfind(quotes).unwrap_or(place.at);
            of(&(start..start + quotes.len()), "the string does not end").label(format!("its closing {quotes} is missing"))
        }
        "invalid basic string" | "invalid literal string" => {
            let code = place.after.chars().next().map_or(0, u32::from);
            of(&span, "a string cannot hold this character").label(format!("in \"…\" it is \\u{code:04X}"))
        }
        "missing escaped value" => {
            of(&span, "a backslash in \"…\" begins an escape, and this is none").help("in '…' a backslash is a backslash")
        }
        "missing comma between array elements" if place.begins_line() => place.not_closed(('[', ']'), "the list"),
        "unclosed array" => place.not_closed(('[', ']'), "the list"),
        "missing comma between key-value pairs" if place.begins_line() => place.not_closed(('{', '}'), "the table"),
        "unclosed inline table" => place.not_closed(('{', '}'), "the table"),
        "missing comma between array elements" | "missing comma between key-value pairs" => {
            of(&span, "a comma is missing").label("write `,` before this")
        }
        "extra assignment between key-value pairs" => {
            let key = place.before.trim_end().rfind([' ', ';']).map_or(0, |blank| blank + 1);
            let key = place.line_start + key..place.line_start + place.before.trim_end().len();
            of(&key, "a comma is missing").label("write `,` before this")
        }
        "duplicate key" => place.duplicate(),
        "unexpected leading zero" => {
            let problem = of(&span, "a number does not begin with 0");
            let digits: String = place.after.chars().take_while(char::is_ascii_digit).collect();
            if place.key() == "mode" { problem.label(format!("write \"{digits}\"")) } else { problem }
        }
        "carriage return must be followed by newline" => {
            of(&span, "a line ends with a carriage return alone").help("save the file with line feeds (LF), or both (CRLF)")
        }
        "extra `=`" => of(&span, "one `=` too many"),
        _ => match expected.filter(|expected| *expected != "nothing") {
            Some(expected) => of(&span, message).label(format!("expected {expected}")),
            None => of(&span, message),
        },
    }
}

/// Where the parser stumbled.
struct Place<'a> {
    at: usize,
    span: Span,
    line_start: usize,
    /// The line up to there.
    before: &'a str,
    /// The line from there on.
    after: &'a str,
    source: &'a str,
}

impl<'a> Place<'a> {
    fn of(source: &'a str, span: Span) -> Place<'a> {
        let mut at = span.start.min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        let line_start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[at..].find('\n').map_or(source.len(), |newline| at + newline);
        Place { at, span, line_start, before: &source[line_start..at], after: source[at..line_end].trim_end(), source }
    }

    fn error(&self, message: &str) -> Problem {
        Problem::error(Code::Syntax, &self.span, message)
    }

    /// The text that the parser found fault with.
    fn word(&self) -> &'a str {
        self.source.get(self.span.clone()).filter(|word| !word.is_empty()).unwrap_or_else(|| {
            let end = self.after.find([' ', ',', ']', '}', '#']).unwrap_or(self.after.len());
            &self.after[..end]
        })
    }

    /// What the line begins with.
    fn key(&self) -> &'a str {
        self.before.split('=').next().unwrap_or_default().trim()
    }

    fn is_header(&self) -> bool {
        self.before.trim_start().starts_with('[')
    }

    fn begins_line(&self) -> bool {
        self.before.trim().is_empty()
    }

    /// What makes the line as a whole none of TOML's.
    fn whole_line(&self) -> Option<Problem> {
        let line = &self.source[self.line_start..self.at + self.after.len()];
        let text = line.trim_start();
        let start = self.line_start + line.len() - text.len();
        let of = |length: usize, message: &str| Problem::error(Code::Syntax, &(start..start + length), message);
        match text {
            _ if text.starts_with("//") || text.starts_with("/*") => Some(of(2, "a comment begins with `#`")),
            _ if text.starts_with("- ") || text.starts_with("---") => Some(of(1, "the config file is TOML, not YAML")),
            _ if text.starts_with("--") => Some(of(2, "a comment begins with `#`")),
            _ if text.starts_with("```") => {
                Some(of(3, "the config file is TOML, without Markdown around it").label("take it out"))
            }
            _ if text.starts_with(';') => Some(of(1, "a comment begins with `#`")),
            _ if ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|mark| text.starts_with(mark)) => {
                Some(of(7, "a merge conflict was left in the file"))
            }
            _ => None,
        }
    }

    /// A value that is no string, and no other value either.
    fn unquoted(&self, problems: &Problems) -> Problem {
        let word = self.word();
        let hidden = problems.hides(&self.span);
        match word.to_lowercase().trim() {
            "" => self.error("a value is missing").label("write one behind the `=`"),
            "true" | "yes" | "on" => self.error("this is no value of TOML").label("write true"),
            "false" | "no" | "off" => self.error("this is no value of TOML").label("write false"),
            "null" | "nil" | "~" => self.error("TOML has no null").label("leave the key out"),
            lower if lower.starts_with(['“', '”', '„', '‘', '’', '`', '«']) => {
                self.error("these are no quotes of TOML").label("write straight ones: \"…\" or '…'")
            }
            lower if lower.starts_with('$') => self
                .error("variables are not put into the text")
                .label("a string needs quotes")
                .help("where a secret, a `url` or a header's value may stand, { env = \"NAME\" } names a variable"),
            _ if hidden || word.contains(['"', '\\', '\'']) || word.contains("://") => {
                self.error("a string needs quotes").label("write it as \"…\"")
            }
            _ => self.error("a string needs quotes").label(format!("write \"{word}\"")),
        }
    }

    /// A key without `=`.
    fn no_value(&self) -> Problem {
        let colon = match self.before.trim_end().strip_suffix(':') {
            Some(before) => Some(self.line_start + before.len()),
            None => self.after.trim_start().starts_with(':').then(|| self.at + self.after.len() - self.after.trim_start().len()),
        };
        match colon {
            Some(at) => Problem::error(Code::Syntax, &(at..at + 1), "TOML writes `=` behind a key, not `:`").label("write `=`"),
            None if self.after.trim().is_empty() => self.error("a key without a value").label("write `= …`"),
            None if self.after.trim_start().starts_with(['"', '\'', '[', '{']) => {
                self.error("`=` is missing").label("write `=` before this")
            }
            None => self.error("`=` is missing").label("write `=` behind the key; one with blanks needs quotes"),
        }
    }

    fn header(&self) -> Problem {
        let brackets = if self.before.trim_start().starts_with("[[") { "]]" } else { "]" };
        let problem = self.error("a table's header does not end");
        match self.after.trim() {
            rest if rest.ends_with(brackets) && rest != "]" => problem.label("names are joined by dots, and have no blanks"),
            _ if self.before.contains('"') => problem.label(format!("a closing \" or {brackets} is missing")),
            _ => problem.label(format!("write `{brackets}`")),
        }
    }

    /// Something behind a value, in the same line.
    fn behind_value(&self) -> Problem {
        let rest = self.after.trim_start();
        let word = rest.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(rest.len());
        match rest {
            _ if rest.starts_with("//") => self.error("a comment begins with `#`"),
            _ if rest.starts_with(']') => self.error("one `]` too many"),
            _ if rest.contains('=') && rest.starts_with([';', ',']) => {
                self.error("each key stands on a line of its own").label("begin a new line in place of this")
            }
            _ if rest.starts_with([';', ',']) => {
                self.error(&format!("a line does not end with `{}`", &rest[..1])).label("leave it out")
            }
            _ if rest.starts_with('=') => self.error("each key stands on a line of its own"),
            _ if word > 0 && rest[word..].trim_start().starts_with('=') => {
                self.error("each key stands on a line of its own").label("begin a new line here")
            }
            _ if self.before.trim_end().ends_with(['"', '\'']) => self
                .error("the string ended before this")
                .help("a string that holds quotes stands in quotes of the other kind, or in '''…'''"),
            _ => self.error("something stands behind the value"),
        }
    }

    /// A bracket that was opened before, and nothing closes.
    fn not_closed(&self, (open, close): (char, char), what: &str) -> Problem {
        let mut depth = 0;
        let opening = self.source[..self.at].char_indices().rev().find(|(_, character)| {
            depth += i32::from(*character == open) - i32::from(*character == close);
            depth > 0
        });
        let message = format!("{what} does not end, or a comma is missing");
        let Some((start, _)) = opening else { return self.error(&message) };
        let problem = Problem::error(Code::Syntax, &(start..start + 1), message).label(format!("its `{close}` is missing"));
        let elsewhere = !self.after.is_empty() && !self.source[start..self.at].trim().is_empty();
        problem.beside(elsewhere.then_some(&(self.at..self.at + self.word().len().max(1))), "this is read as part of it")
    }

    fn duplicate(&self) -> Problem {
        let name = self.word();
        let (before, _) = DeTable::parse_recoverable(&self.source[..self.line_start]);
        let earlier = self.path().and_then(|path| key_at(before.get_ref(), &path));
        let problem = match self.is_header() {
            true if self.before.trim() == "[" && name == "routes" => {
                self.error("the table `routes` is there already").label("write each route as [[routes]]")
            }
            true => self.error(&format!("the table `{name}` is there already")),
            false => self.error(&format!("the key `{name}` is there already")),
        };
        problem.beside(earlier.as_ref(), "first here")
    }

    /// The path of the key that ends here, where that can be told from the lines.
    fn path(&self) -> Option<Vec<&'a str>> {
        let key = &self.source[self.line_start..self.span.end.min(self.source.len())];
        if key.trim_start().starts_with('[') {
            return Some(dotted(key));
        }
        // In an inline table only the parser knows.
        if key.contains(['{', '=']) {
            return None;
        }
        let header = self.source[..self.line_start].lines().rev().find(|line| line.trim_start().starts_with('['));
        let header = header.map(|line| line.split(']').next().unwrap_or_default());
        Some(header.into_iter().flat_map(dotted).chain(dotted(key)).collect())
    }
}

fn dotted(text: &str) -> Vec<&str> {
    text.trim().trim_start_matches('[').split('.').map(|name| name.trim().trim_matches(['"', '\''])).collect()
}

/// Where the key at `path` stands, in a list of tables that of the last one.
fn key_at(table: &DeTable<'_>, path: &[&str]) -> Option<Span> {
    let (name, rest) = path.split_first()?;
    let (key, value) = table.get_key_value(*name)?;
    let inner = match value.get_ref() {
        DeValue::Array(array) => array.iter().next_back().and_then(|last| last.get_ref().as_table()),
        value => value.as_table(),
    };
    if rest.is_empty() { Some(key.span()) } else { key_at(inner?, rest) }
}
