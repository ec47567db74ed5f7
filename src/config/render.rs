//! A problem as people read it, in the manner of rustc.
//!
//! ```text
//! error[wrong-type]: `timeout` is a number without a unit
//!  --> sidehook.toml:3:11
//!   |
//! 3 | timeout = 5
//!   |           ^ write "5s"
//! ```
//!
//! Comes in: a problem, and the source it is about. Goes out: text, with colours where somebody asks for them.
//!
//! **Invariant:** a caret stands under what it is about, however wide the characters before it are; of a place that spans
//! several lines it stands under the first.

use std::fmt::{self, Display};

use super::{
    problems::{Problem, Severity},
    source::{Cell, Source, Span, printable},
};

/// With colours (ANSI), or without.
#[derive(Clone, Copy)]
pub(super) struct Paint(bool);

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Error,
    /// Of gutters, and of what stands beside the problem.
    Frame,
    Warning,
}

/// A place in a line, and what is said of it.
struct Mark<'a> {
    span: &'a Span,
    label: Option<&'a str>,
    underline: &'static str,
    style: Style,
}

/// What of a line is shown, from one column to another.
struct Window {
    from: usize,
    to: usize,
}

impl Window {
    /// Where a column of the line is shown.
    fn place(&self, column: usize) -> usize {
        column.clamp(self.from, self.to) - self.from + usize::from(self.from > 0)
    }
}

impl Paint {
    pub(super) const COLOURS: Paint = Paint(true);
    pub(super) const NONE: Paint = Paint(false);

    fn styled(self, style: Style, text: impl Display) -> String {
        let code = match style {
            _ if !self.0 => return text.to_string(),
            Style::Bold => "1",
            Style::Error => "1;31",
            Style::Frame => "1;34",
            Style::Warning => "1;33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

pub(super) fn render(problem: &Problem, source: &Source, paint: Paint, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let style = match problem.severity {
        Severity::Error => Style::Error,
        Severity::Warning => Style::Warning,
    };
    let title = format!("{}[{}]", problem.severity.as_str(), problem.code.as_str());
    let message = format!(": {}", printable(&problem.message));
    writeln!(f, "{}{}", paint.styled(style, title), paint.styled(Style::Bold, message))?;
    let arrow = paint.styled(Style::Frame, "-->");
    let gutter = match &problem.span {
        None => {
            writeln!(f, " {arrow} {}", source.path.display())?;
            1
        }
        Some(span) => {
            let primary = Mark { span, label: problem.label.as_deref(), underline: "^", style };
            let beside = problem.beside.as_ref();
            let beside = beside.map(|(span, label)| Mark { span, label: Some(label), underline: "-", style: Style::Frame });
            let last = beside.iter().map(|mark| mark.span.start).fold(span.start, usize::max);
            let gutter = source.position(last).0.to_string().len();
            let (line, column) = source.position(span.start);
            writeln!(f, "{:gutter$}{arrow} {}:{line}:{column}", "", source.path.display())?;
            snippet(primary, beside, gutter, (source, paint), f)?;
            gutter
        }
    };
    let Some(help) = &problem.help else { return Ok(()) };
    let (equals, title) = (paint.styled(Style::Frame, "="), paint.styled(Style::Bold, "help"));
    writeln!(f, "{:gutter$} {equals} {title}: {}", "", printable(help))
}

/// The lines of the marks in the file's order, each with what stands under it.
fn snippet(
    primary: Mark<'_>,
    beside: Option<Mark<'_>>,
    gutter: usize,
    (source, paint): (&Source, Paint),
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let bar = paint.styled(Style::Frame, "|");
    writeln!(f, "{:gutter$} {bar}", "")?;
    let mut lines: Vec<(usize, Vec<Cell>, Vec<Mark<'_>>)> = Vec::new();
    for mark in std::iter::once(primary).chain(beside) {
        let (number, cells) = source.line_of(mark.span.start);
        match lines.iter_mut().find(|(other, ..)| *other == number) {
            Some((.., marks)) => marks.push(mark),
            None => lines.push((number, cells, vec![mark])),
        }
    }
    lines.sort_by_key(|(number, ..)| *number);
    let mut previous = None;
    for (number, cells, marks) in &lines {
        if previous.is_some_and(|previous| previous + 1 < *number) {
            writeln!(f, "{}", paint.styled(Style::Frame, "..."))?;
        }
        previous = Some(*number);
        let window = window(cells, &marks[0]);
        writeln!(f, "{} {bar} {}", paint.styled(Style::Frame, format_args!("{number:gutter$}")), cut(cells, &window))?;
        for row in rows(cells, marks, &window, paint) {
            writeln!(f, "{:gutter$} {bar} {row}", "")?;
        }
    }
    Ok(())
}

/// What stands under a line: underlines, and labels beside or below them.
fn rows(cells: &[Cell], marks: &[Mark<'_>], window: &Window, paint: Paint) -> Vec<String> {
    let mut placed: Vec<(usize, usize, &Mark<'_>)> = marks
        .iter()
        .map(|mark| {
            let (start, end) = columns(cells, mark.span);
            let start = window.place(start);
            (start, window.place(end).max(start + 1), mark)
        })
        .collect();
    placed.sort_by_key(|(start, ..)| *start);
    let row = |from: usize, (start, end, mark): (usize, usize, &Mark<'_>), label: Option<&str>| {
        let underline = paint.styled(mark.style, mark.underline.repeat(end - start));
        let label = label.map(|label| format!(" {}", paint.styled(mark.style, printable(label)))).unwrap_or_default();
        format!("{:blanks$}{underline}{label}", "", blanks = start - from)
    };
    match placed[..] {
        [first, second] if first.1 <= second.0 => {
            let mut rows = vec![row(0, first, None) + &row(first.1, second, second.2.label)];
            let below = first.2.label.map(|label| ["|".to_owned(), printable(label)]);
            rows.extend(
                below
                    .into_iter()
                    .flatten()
                    .map(|text| format!("{:blanks$}{}", "", paint.styled(first.2.style, text), blanks = first.0)),
            );
            rows
        }
        _ => placed.into_iter().map(|placed| row(0, placed, placed.2.label)).collect(),
    }
}

/// From which column to which a place is, as far as it is in this line.
fn columns(cells: &[Cell], span: &Span) -> (usize, usize) {
    let before = cells.iter().take_while(|cell| cell.bytes.end <= span.start).map(|cell| cell.width).sum();
    let inside = cells.iter().filter(|cell| cell.bytes.end > span.start && cell.bytes.start < span.end);
    let width: usize = inside.map(|cell| cell.width).sum();
    (before, before + width.max(1))
}

/// A line too long for a screen is cut around its mark.
fn window(cells: &[Cell], mark: &Mark<'_>) -> Window {
    let length: usize = cells.iter().map(|cell| cell.width).sum();
    if length <= WIDTH {
        return Window { from: 0, to: WIDTH };
    }
    let from = columns(cells, mark.span).0.saturating_sub(WIDTH / 2);
    Window { from, to: from + WIDTH }
}

fn cut(cells: &[Cell], window: &Window) -> String {
    let mut text = String::from(if window.from > 0 { "…" } else { "" });
    let mut column = 0;
    for cell in cells {
        if column >= window.to {
            text.push('…');
            break;
        }
        if column >= window.from {
            text.push_str(&cell.text);
        }
        column += cell.width;
    }
    text
}

/// Of a screen, in columns.
const WIDTH: usize = 160;
