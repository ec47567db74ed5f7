//! What is wrong with a config file, each problem with the place it points to.
//!
//! Comes in: problems, as the other parts find them. Goes out: text for people in the manner of rustc (file, line, column,
//! the source line, a caret under the exact value, a suggestion), or each problem by itself.
//!
//! **Invariant:** no text that may be a secret is ever rendered: hidden places of the source are shown as `***`.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write as _},
    path::{Path, PathBuf},
};

use super::{
    Content,
    source::{Source, Span, printable},
};

/// Everything that is wrong with one file, errors and warnings.
pub struct Problems {
    source: Box<Source>,
    list: Vec<Problem>,
    /// Errors beyond those listed.
    further: usize,
    files: Vec<PathBuf>,
    content: Content,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    /// `None` where the file as a whole is meant.
    pub span: Option<Span>,
    /// Stands beside the caret.
    pub label: Option<String>,
    pub help: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A problem as machines read it; line and column from 1, absent where the file as a whole is meant.
#[derive(Debug, serde::Serialize)]
pub struct Entry<'a> {
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

/// The kinds of problem; their words are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    BadValue,
    Cleartext,
    Conflict,
    Duplicate,
    Empty,
    Expression,
    LiteralSecret,
    MissingKey,
    MountedFile,
    NoRetry,
    NotAvailable,
    Overflow,
    ReadableSecret,
    Secret,
    SelectsNothing,
    Shadowed,
    ShortSecret,
    StateFolder,
    Syntax,
    UnknownEndpoint,
    UnknownKey,
    Unproven,
    Unreadable,
    Unused,
    WrongType,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadValue => "bad-value",
            Code::Cleartext => "cleartext",
            Code::Conflict => "conflict",
            Code::Duplicate => "duplicate",
            Code::Empty => "empty",
            Code::Expression => "expression",
            Code::LiteralSecret => "literal-secret",
            Code::MissingKey => "missing-key",
            Code::MountedFile => "mounted-file",
            Code::NoRetry => "no-retry",
            Code::NotAvailable => "not-available",
            Code::Overflow => "overflow",
            Code::ReadableSecret => "readable-secret",
            Code::Secret => "secret",
            Code::SelectsNothing => "selects-nothing",
            Code::Shadowed => "shadowed",
            Code::ShortSecret => "short-secret",
            Code::StateFolder => "state-folder",
            Code::Syntax => "syntax",
            Code::UnknownEndpoint => "unknown-endpoint",
            Code::UnknownKey => "unknown-key",
            Code::Unproven => "unproven",
            Code::Unreadable => "unreadable",
            Code::Unused => "unused",
            Code::WrongType => "wrong-type",
        }
    }
}

impl Problem {
    pub(super) fn error(code: Code, span: &Span, message: impl Into<String>) -> Problem {
        Problem { span: Some(span.clone()), ..Problem::whole(code, message) }
    }

    pub(super) fn warning(code: Code, span: &Span, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(code, span, message) }
    }

    /// An error of the file as a whole.
    pub(super) fn whole(code: Code, message: impl Into<String>) -> Problem {
        Problem { code, severity: Severity::Error, message: message.into(), span: None, label: None, help: None }
    }

    pub(super) fn label(self, label: impl Into<String>) -> Problem {
        Problem { label: Some(label.into()), ..self }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }
}

impl Problems {
    pub(super) fn of(path: &Path, source: &str) -> Problems {
        Problems {
            source: Box::new(Source::new(path, source)),
            list: Vec::new(),
            further: 0,
            files: Vec::new(),
            content: Content::default(),
        }
    }

    /// Adds a problem, once: a setting of `[defaults]` is looked at for every endpoint.
    /// What nobody would read any more is only counted.
    pub(super) fn push(&mut self, problem: Problem) {
        if self.list.contains(&problem) {
            return;
        }
        let listed = self.list.iter().filter(|listed| listed.severity == problem.severity).count();
        match problem.severity {
            _ if listed < MOST => self.list.push(problem),
            Severity::Error => self.further += 1,
            Severity::Warning => {}
        }
    }

    /// The place of a part of a string's value, where that string stands at `span`.
    pub(super) fn within(&self, span: &Span, value: &str, part: Span) -> Span {
        self.source.within(span, value, part)
    }

    /// Never shows these bytes of the source.
    pub(super) fn hide(&mut self, span: Span) {
        self.source.hide(span);
    }

    /// Puts what is hidden in order.
    pub(super) fn seal(&mut self) {
        self.source.seal();
    }

    /// Whether any of these bytes is hidden.
    pub(super) fn hides(&self, span: &Span) -> bool {
        self.source.hides(span)
    }

    /// `value`, the string at `span`, with `***` for what is hidden of it.
    pub(super) fn masked<'v>(&self, span: &Span, value: &'v str) -> Cow<'v, str> {
        self.source.masked(span, value)
    }

    /// Says which files a repair may change, and puts the problems in the file's order.
    pub(super) fn finish(&mut self, files: Vec<PathBuf>) {
        self.files = files;
        self.list.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        self.source.seal();
    }

    /// The same, found in files that held `content`.
    pub(super) fn of_content(self, content: Content) -> Problems {
        Problems { content, ..self }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn errors(&self) -> usize {
        self.list.iter().filter(|problem| problem.severity == Severity::Error).count() + self.further
    }

    /// The config file and the secret files it names: a change of one of them may be the repair.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What those files held when they were read.
    pub fn content(&self) -> Content {
        self.content
    }

    /// Each as machines read it, in the file's order.
    pub fn entries(&self) -> Vec<Entry<'_>> {
        self.list.iter().map(|problem| self.entry(problem)).collect()
    }

    fn entry<'a>(&self, problem: &'a Problem) -> Entry<'a> {
        let place = problem.span.as_ref().map(|span| self.position(span));
        Entry {
            severity: problem.severity.as_str(),
            code: problem.code.as_str(),
            message: &problem.message,
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            label: problem.label.as_deref(),
            help: problem.help.as_deref(),
        }
    }

    /// Line and column of a place, both from 1, columns in characters.
    pub fn position(&self, span: &Span) -> (usize, usize) {
        self.source.position(span)
    }

    fn render(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}[{}]: {}", problem.severity.as_str(), problem.code.as_str(), printable(&problem.message))?;
        let Some(span) = &problem.span else {
            writeln!(f, " --> {}", self.source.path.display())?;
            return problem.help.iter().try_for_each(|help| writeln!(f, "  = help: {help}"));
        };
        let (line, column) = self.source.position(span);
        let gutter = line.to_string().len();
        let shown = self.source.show(span);
        writeln!(f, "{:gutter$}--> {}:{line}:{column}", "", self.source.path.display())?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {}", shown.text)?;
        write!(f, "{:gutter$} | {}{}", "", shown.before, "^".repeat(shown.carets))?;
        match &problem.label {
            Some(label) => writeln!(f, " {}", printable(label))?,
            None => f.write_char('\n')?,
        }
        problem.help.iter().try_for_each(|help| writeln!(f, "{:gutter$} = help: {}", "", printable(help)))
    }
}

/// All problems in the file's order, a blank line between two.
impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.list.iter().enumerate() {
            if nth > 0 {
                f.write_char('\n')?;
            }
            self.render(problem, f)?;
        }
        if self.further > 0 {
            writeln!(f, "\n… and {} more errors", self.further)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

impl std::error::Error for Problems {}

/// Of errors, and of warnings.
const MOST: usize = 250;
