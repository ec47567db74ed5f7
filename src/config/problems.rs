//! What is wrong with a config file, each problem with the place it points to.
//!
//! Comes in: problems, as the other parts find them. Goes out: text for people (see `render`), or each problem by itself,
//! as machines read it.
//!
//! **Invariant:** no text that may be a secret is ever rendered: hidden places of the source are shown as `***`.

use std::{
    borrow::Cow,
    fmt::{self, Display},
    path::{Path, PathBuf},
};

use super::{
    Content,
    render::{Paint, render},
    source::{Source, Span},
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
    /// Another place that has to do with it, and what it is there.
    pub beside: Option<(Span, String)>,
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

/// A problem as machines read it.
#[derive(Debug, serde::Serialize)]
pub struct Entry<'a> {
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    /// Absent where the file as a whole is meant.
    #[serde(flatten)]
    range: Option<Range>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    /// Other places that have to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<[Related<'a>; 1]>,
}

/// Lines and columns from 1, columns in characters; the end is behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Range {
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
}

#[derive(Debug, serde::Serialize)]
struct Related<'a> {
    #[serde(flatten)]
    range: Range,
    label: &'a str,
}

macro_rules! codes {
    ($($code:ident $word:literal $means:literal)*) => {
        /// The kinds of problem; their words are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($code,)*
        }

        impl Code {
            pub const ALL: &[Code] = &[$(Code::$code,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$code => $word,)*
                }
            }

            /// In a line.
            pub fn means(self) -> &'static str {
                match self {
                    $(Code::$code => $means,)*
                }
            }
        }
    };
}

codes! {
    BadValue "bad-value" "a value of the right type that cannot be"
    Cleartext "cleartext" "credentials that go over `http://` to another machine (warning)"
    Conflict "conflict" "two settings that do not go together"
    Duplicate "duplicate" "the same thing twice"
    Empty "empty" "the file is empty"
    Expression "expression" "jq that cannot be compiled, or is not allowed"
    LiteralSecret "literal-secret" "a secret stands in the file (warning)"
    MissingKey "missing-key" "a key that must be there is not"
    MountedFile "mounted-file" "a file that is mounted without its folder (warning)"
    NoRetry "no-retry" "retries that never come (warning)"
    Overflow "overflow" "a queue too small for how long retries last (warning)"
    ReadableSecret "readable-secret" "a secret file that every user can read (warning)"
    Secret "secret" "a secret that cannot be had or used"
    SelectsNothing "selects-nothing" "a route that no event can match (warning)"
    Shadowed "shadowed" "a route whose endpoints have all its events by earlier ones (warning)"
    ShortSecret "short-secret" "a secret of less than 24 bytes (warning)"
    StateFolder "state-folder" "a state folder that cannot be written (warning)"
    Syntax "syntax" "no TOML"
    UnknownEndpoint "unknown-endpoint" "a route names an endpoint that is not there"
    UnknownKey "unknown-key" "a key that does not exist, or not in this table"
    Unproven "unproven" "an MD5 that proves nothing, and nothing beside it (warning)"
    Unreadable "unreadable" "the file cannot be read"
    Unused "unused" "something without effect (warning)"
    WrongType "wrong-type" "a value of another type, or a number without its unit"
}

// Cold, so that the hundreds of places that make one call these instead of holding copies: a tenth of a megabyte.
impl Problem {
    #[cold]
    pub(super) fn error(code: Code, span: &Span, message: impl Into<String>) -> Problem {
        Problem { span: Some(span.clone()), ..Problem::whole(code, message) }
    }

    #[cold]
    pub(super) fn warning(code: Code, span: &Span, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(code, span, message) }
    }

    /// An error of the file as a whole.
    #[cold]
    pub(super) fn whole(code: Code, message: impl Into<String>) -> Problem {
        Problem { code, severity: Severity::Error, message: message.into(), span: None, label: None, help: None, beside: None }
    }

    #[cold]
    pub(super) fn label(self, label: impl Into<String>) -> Problem {
        Problem { label: Some(label.into()), ..self }
    }

    #[cold]
    pub(super) fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }

    /// Shows another place too, where there is one in the file.
    #[cold]
    pub(super) fn beside(self, span: Option<&Span>, label: impl Into<String>) -> Problem {
        Problem { beside: span.map(|span| (span.clone(), label.into())), ..self }
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
    #[cold]
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

    /// Forgets those that `unwanted` holds of; only what is listed.
    pub(super) fn forget(&mut self, unwanted: impl Fn(&Problem, &Problems) -> bool) {
        let list = std::mem::take(&mut self.list);
        self.list = list.into_iter().filter(|problem| !unwanted(problem, self)).collect();
    }

    /// Whether any of these bytes is hidden; only once that is in order.
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
        Entry {
            severity: problem.severity.as_str(),
            code: problem.code.as_str(),
            message: &problem.message,
            range: problem.span.as_ref().map(|span| self.range(span)),
            label: problem.label.as_deref(),
            help: problem.help.as_deref(),
            related: problem.beside.as_ref().map(|(span, label)| [Related { range: self.range(span), label }]),
        }
    }

    /// Line and column of a place, both from 1, columns in characters.
    pub fn position(&self, span: &Span) -> (usize, usize) {
        self.source.position(span.start)
    }

    pub fn range(&self, span: &Span) -> Range {
        let ((line, column), (end_line, end_column)) = (self.source.position(span.start), self.source.position(span.end));
        Range { line, column, end_line, end_column }
    }

    /// How many there are, and in which file.
    pub fn summary(&self) -> String {
        let counted = |number: usize, thing: &str| format!("{number} {thing}{}", if number == 1 { "" } else { "s" });
        let (errors, warnings) = (self.errors(), self.list.len() + self.further - self.errors());
        let counts = match (errors, warnings) {
            (errors, 0) => counted(errors, "error"),
            (0, warnings) => counted(warnings, "warning"),
            (errors, warnings) => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
        };
        format!("{counts} in {}", self.source.path.display())
    }

    /// As a terminal shows them that has colours.
    pub fn coloured(&self) -> Coloured<'_> {
        Coloured(self)
    }

    /// All in the file's order, a blank line between two.
    fn write(&self, paint: Paint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.list.iter().enumerate() {
            f.write_str(if nth > 0 { "\n" } else { "" })?;
            render(problem, &self.source, paint, f)?;
        }
        if self.further > 0 {
            writeln!(f, "\n… and {} more errors", self.further)?;
        }
        Ok(())
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(Paint::NONE, f)
    }
}

/// Problems with colours (ANSI).
pub struct Coloured<'a>(&'a Problems);

impl Display for Coloured<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(Paint::COLOURS, f)
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
