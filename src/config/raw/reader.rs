//! Reads values out of the TOML tree, one at a time, and says what is wrong with those that cannot be read.
//!
//! Comes in: a node of the tree. Goes out: its value with its place ([`At`]), or a problem and `None`.
//!
//! **Invariant:** `None` for a key that is in the file means that a problem was reported.

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    keys::{self, Home, Meant},
    meant,
};
use crate::config::{
    problems::{Code, Problem, Problems},
    source::Span,
};

/// A value, and where it stands.
#[derive(Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// A value that is still a node of the tree, and the key it is the value of.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a DeValue<'a>,
    pub(super) span: Span,
}

impl<'a> Node<'a> {
    pub(super) fn of(key: &'a Spanned<DeString<'_>>, value: &'a Spanned<DeValue<'a>>) -> Node<'a> {
        // A table under a header has the header's brackets as its span; its name is where people look.
        let under_header = value.get_ref().is_table() && value.span().start <= key.span().start;
        let span = if under_header { key.span() } else { value.span() };
        Node { key: key.get_ref(), value: value.get_ref(), span }
    }

    /// An element of the list that `key` names.
    pub(super) fn element(key: &'a str, value: &'a Spanned<DeValue<'a>>) -> Node<'a> {
        Node { key, value: value.get_ref(), span: value.span() }
    }

    pub(super) fn wrong_type<T>(&self, wanted: &str, problems: &mut Problems) -> Option<T> {
        self.wrong(wanted, String::new(), problems)
    }

    /// The same, and what to write, where that is known; it is not said of what may be a secret.
    pub(super) fn wrong<T>(&self, wanted: &str, label: String, problems: &mut Problems) -> Option<T> {
        self.report_type(wanted, label, problems);
        None
    }

    #[cold]
    fn report_type(&self, wanted: &str, label: String, problems: &mut Problems) {
        let found = match self.value {
            DeValue::Array(_) => "a list",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Float(_) => "a decimal number",
            DeValue::Integer(_) => "a number",
            DeValue::String(_) => "a string",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` must be {wanted}, not {found}", self.key);
        let problem = Problem::error(Code::WrongType, &self.span, message);
        let tells = !label.is_empty() && !problems.hides(&self.span);
        problems.push(if tells { problem.label(label) } else { problem });
    }

    /// A string or a number as it would stand in a file.
    pub(super) fn written(&self) -> Option<String> {
        match self.value {
            DeValue::Float(number) => Some(number.as_str().to_owned()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::String(text) => Some(format!("\"{}\"", text.escape_debug())),
            _ => None,
        }
    }

    pub(super) fn bad<T>(&self, label: impl Into<String>, problems: &mut Problems) -> Option<T> {
        self.report_value(label.into(), problems);
        None
    }

    #[cold]
    fn report_value(&self, label: String, problems: &mut Problems) {
        problems.push(Problem::error(Code::BadValue, &self.span, format!("bad value for `{}`", self.key)).label(label));
    }
}

/// A table whose keys are known.
pub(super) struct Section<'a, 'p> {
    home: &'static Home,
    /// Its path from the top, `endpoints.billing.retry`.
    pub(super) path: String,
    table: &'a DeTable<'a>,
    pub(super) span: Span,
    /// What the keys that are not of it were likely meant to be, as it was told.
    told: Vec<&'static str>,
    pub(super) problems: &'p mut Problems,
}

impl<'a, 'p> Section<'a, 'p> {
    /// Takes `node` as a table of this kind, and reports the keys that are not of it.
    pub(super) fn open(node: &Node<'a>, home: &'static Home, path: String, problems: &'p mut Problems) -> Option<Self> {
        let Some(table) = node.value.as_table() else {
            return node.wrong_type("a table", problems);
        };
        Some(Section::of(table, node.span.clone(), (home, path), problems))
    }

    pub(super) fn of(
        table: &'a DeTable<'a>,
        span: Span,
        (home, path): (&'static Home, String),
        problems: &'p mut Problems,
    ) -> Self {
        let mut told = Vec::new();
        for (key, value) in table.iter().filter(|(key, _)| !home.has(key.get_ref())) {
            let (problem, meant) = unknown_key(key, headed(value.get_ref()), home, &path);
            told.extend(meant);
            problems.push(problem);
        }
        Section { home, path, table, span, told, problems }
    }

    /// Whether the file has the key, readable or not.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether there is a key that is not of it, which was reported.
    pub(super) fn has_unknown(&self) -> bool {
        self.table.keys().any(|key| !self.home.has(key.get_ref()))
    }

    #[inline(never)] // a look-up in a tree, at each of a hundred keys
    pub(super) fn node(&self, key: &'static str) -> Option<Node<'a>> {
        debug_assert!(self.home.has(key), "{key} is in keys/");
        self.table.get_key_value(key).map(|(key, value)| Node::of(key, value))
    }

    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node<'a>, &mut Problems) -> Option<T>,
    ) -> Option<At<T>> {
        let node = self.node(key)?;
        let value = read(&node, self.problems)?;
        Some(At { value, span: node.span })
    }

    /// Reads a key that must be there.
    pub(super) fn require<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Node<'a>, &mut Problems) -> Option<T>,
    ) -> Option<At<T>> {
        if !self.has(key) {
            self.report_missing(key);
        }
        self.read(key, read)
    }

    #[cold]
    fn report_missing(&mut self, key: &'static str) {
        // One that was written under another name has been told so.
        if !self.told.contains(&key) {
            let message = format!("{} needs `{key}`", keys::title(&self.path));
            self.problems.push(Problem::error(Code::MissingKey, &self.span, message).label(format!("`{key}` is missing")));
        }
    }

    /// Opens a table inside this one.
    pub(super) fn section(&mut self, key: &'static str, home: &'static Home) -> Option<Section<'a, '_>> {
        let node = self.node(key)?;
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Section::open(&node, home, path, self.problems)
    }
}

/// A table's entries as they stand in the file: the tree has them in the order of the alphabet.
pub(super) fn in_file_order<'a>(table: &'a DeTable<'a>) -> Vec<(&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// The brackets of the header that a value at the top level has, if it has one.
fn headed(value: &DeValue<'_>) -> Option<[&'static str; 2]> {
    match value {
        DeValue::Table(_) => Some(["[", "]"]),
        DeValue::Array(array) if !array.is_empty() && array.iter().all(|value| value.get_ref().is_table()) => Some(["[[", "]]"]),
        _ => None,
    }
}

/// What to say of the key, and the key of this table that it likely stands for.
fn unknown_key(
    key: &Spanned<DeString<'_>>,
    headed: Option<[&str; 2]>,
    home: &'static Home,
    path: &str,
) -> (Problem, Option<&'static str>) {
    let name = key.get_ref().escape_debug();
    let is_reference = std::ptr::eq(home, &keys::REFERENCE);
    let message = match headed {
        Some([open, close]) if path.is_empty() => format!("unknown table {open}{name}{close}"),
        _ if is_reference => format!("unknown key `{name}` in `{path}`"),
        _ => format!("unknown key `{name}` in {}", keys::title(path)),
    };
    let problem = Problem::error(Code::UnknownKey, &key.span(), message);
    if let Some((here, hint)) = meant::elsewhere(key.get_ref(), if is_reference { "reference" } else { path }) {
        return (problem.label(hint), Some(here));
    }
    let meant = keys::meant(key.get_ref(), home, path);
    let spelled = if let Meant::Spelled(key) = &meant { Some(*key) } else { None };
    let problem = match meant {
        Meant::Spelled(table) if path.is_empty() => problem.label(format!("did you mean {}?", keys::title(table))),
        Meant::Elsewhere(title) if !is_reference => problem.label(format!("belongs in {title}")),
        Meant::Nothing if std::ptr::eq(home, &keys::ENDPOINT) && headed.is_some() => {
            problem.label("an endpoint's name has no dots, and its tables are known")
        }
        Meant::Elsewhere(_) | Meant::Nothing => {
            problem.help(format!("there are {}", home.names().collect::<Vec<_>>().join(", ")))
        }
        Meant::Spelled(key) => problem.label(format!("did you mean `{key}`?")),
    };
    (problem, spelled)
}
