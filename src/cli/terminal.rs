//! stdout and stderr, as commands write to them.
//!
//! **Invariant:** a reader that has gone is no panic, and what a stranger wrote cannot steer the terminal.

use std::{
    env,
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use crate::{config::Problems, screen};

/// Writes a line to stdout. That nobody reads any more is no reason to stop: the exit code still counts.
pub(super) fn print(text: impl Display) {
    let _ = try_print(text);
}

/// Writes a line to stdout, for what is worth nothing unless it is read.
pub(super) fn try_print(text: impl Display) -> io::Result<()> {
    let mut line = text.to_string();
    line.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

/// Writes lines to stderr. There is no other place left to complain at.
pub(super) fn complain(text: impl Display) {
    let mut lines = text.to_string();
    if !lines.ends_with('\n') && !lines.is_empty() {
        lines.push('\n');
    }
    let _ = io::stderr().write_all(lines.as_bytes());
}

/// Writes what is found in a config to stderr, in colours on a terminal.
pub(super) fn complain_of(problems: &Problems) {
    match wants_colours(&io::stderr()) {
        true => complain(problems.coloured()),
        false => complain(problems),
    }
}

/// Writes to stderr why a command ends.
pub(super) fn fail(reason: impl Display) {
    match wants_colours(&io::stderr()) {
        true => complain(format_args!("\x1b[1;31merror\x1b[0m\x1b[1m: {reason}\x1b[0m")),
        false => complain(format_args!("error: {reason}")),
    }
}

/// Writes to stderr over the line that is there.
pub(super) fn overwrite(text: impl Display) {
    let _ = write!(io::stderr(), "\r\x1b[K{text}");
}

/// Green on a terminal.
pub(super) fn good(text: impl Display) -> String {
    painted("32", text)
}

/// Red on a terminal.
pub(super) fn bad(text: impl Display) -> String {
    painted("31", text)
}

fn painted(code: &str, text: impl Display) -> String {
    if wants_colours(&io::stdout()) { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
}

/// The columns of the terminal that `stream` is, if it is one that says so.
pub(super) fn width(stream: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// Colours are for people, and not for those who said so (no-color.org).
pub(super) fn wants_colours(stream: &impl IsTerminal) -> bool {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && obeys(stream)
}

/// Whether it is a terminal that does what is asked of it, such as to clear a line.
pub(super) fn obeys(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Bytes that came from elsewhere as text: what would mislead is escaped, but for line breaks.
pub(super) fn printable(bytes: &[u8]) -> String {
    screen::printable(&String::from_utf8_lossy(bytes))
}

/// The same inside a line, cut where it is long.
pub(super) fn in_line(text: &str) -> String {
    let mut line = String::new();
    screen::push_cut(&mut line, text, LONGEST);
    line
}

pub(super) fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |mut indented, line| {
        let _ = writeln!(indented, "    {line}");
        indented
    })
}

/// `1 route`, `2 routes`.
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// What is shown of a text inside a line, in columns.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_cannot_steer_the_terminal() {
        assert_eq!(printable(b"a\x1b[2J\r\n\tb\xff"), "a\\u{1b}[2J\\r\n\tb\u{fffd}");
    }

    #[test]
    fn what_stands_in_a_line_stays_in_it() {
        assert_eq!(in_line(".data\n  | .x\u{9b}"), ".data | .x\\u{9b}");
        assert_eq!(in_line(&"ä".repeat(201)), format!("{}…", "ä".repeat(199)));
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([count(0, "route"), count(1, "route"), count(2, "route")], ["0 routes", "1 route", "2 routes"]);
    }
}
