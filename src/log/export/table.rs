//! Lines as a table, for people.

use std::{
    borrow::Cow,
    io::{self, Write},
    time::SystemTime,
};

use super::{attempt, detail, took};
use crate::{log::reader::Entry, screen};

/// A heading, then a row for each entry.
///
/// The first rows are held back, and the columns are made as wide as these want and the terminal lets them; what is then
/// longer is cut. Where the terminal is too narrow, columns are left out: an id is there whole or not at all, and what became
/// of the delivery goes last.
pub struct Table<W> {
    out: W,
    look: Look,
    layout: Option<Layout>,
    held: Vec<Row<'static>>,
    line: String,
}

/// How a table looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The terminal's, in columns. `None` where there is no terminal: every column is there and nothing is cut.
    pub width: Option<usize>,
    pub colours: bool,
    /// Times as the log has them, in place of how long ago that was.
    pub clock: bool,
}

impl<W: Write> Table<W> {
    pub fn new(out: W, look: Look) -> Table<W> {
        Table { out, look, layout: None, held: Vec::new(), line: String::new() }
    }

    pub fn add(&mut self, entry: &Entry<'_>, now: SystemTime) -> io::Result<()> {
        let row = Row::of(entry, self.look, now);
        if let Some(layout) = &self.layout {
            return write(&mut self.out, &mut self.line, layout, &row);
        }
        self.held.push(row.into_owned());
        if self.held.len() < HELD { Ok(()) } else { self.settle() }
    }

    /// Writes what is held back: at the end, and where the next entry may be long in coming.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.layout.is_none() && !self.held.is_empty() {
            self.settle()?;
        }
        self.out.flush()
    }

    /// To what it writes, which may hold back something too.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn settle(&mut self) -> io::Result<()> {
        let layout = self.layout.insert(Layout::of(&self.held, self.look.width));
        let heading = Row { cells: COLUMNS.each_ref().map(|column| column.heading.into()), paint: None };
        layout.push(&mut self.line, &heading);
        match self.look.colours {
            true => writeln!(self.out, "{BOLD}{}{PLAIN}", self.line)?,
            false => writeln!(self.out, "{}", self.line)?,
        }
        self.held.drain(..).try_for_each(|row| write(&mut self.out, &mut self.line, layout, &row))
    }
}

fn write(out: &mut impl Write, line: &mut String, layout: &Layout, row: &Row<'_>) -> io::Result<()> {
    layout.push(line, row);
    line.push('\n');
    out.write_all(line.as_bytes())
}

/// The columns that are there, by their places in [`COLUMNS`], each with its width.
struct Layout {
    columns: Vec<(usize, usize)>,
    cuts: bool,
    /// The columns in which all rows fitted that were known: a later text that is longer, such as the next power of ten of a
    /// counted id, is whole where its row has room at the end.
    stretches: [bool; COLUMNS.len()],
}

impl Layout {
    fn of(rows: &[Row<'_>], width: Option<usize>) -> Layout {
        let wanted = COLUMNS.each_ref().map(|column| column.usual);
        let wanted =
            rows.iter().fold(wanted, |wanted, row| std::array::from_fn(|at| wanted[at].max(screen::columns(&row.cells[at]))));
        let mut columns: Vec<(usize, usize)> = wanted.into_iter().map(|wide| wide.min(MOST)).enumerate().collect();
        let Some(width) = width else {
            // What comes last needs no width.
            columns[DETAIL].1 = 0;
            return Layout { columns, cuts: false, stretches: [false; COLUMNS.len()] };
        };
        for (column, wide) in &mut columns {
            *wide = COLUMNS[*column].least.map_or(*wide, |least| least.min(*wide));
        }
        let total = |columns: &[(usize, usize)]| columns.iter().map(|(_, wide)| wide + GAP).sum::<usize>() - GAP;
        for left_out in LEFT_OUT {
            if total(&columns) > width {
                columns.retain(|(column, _)| *column != left_out);
            }
        }
        let mut spare = width.saturating_sub(total(&columns));
        for (column, wide) in &mut columns {
            let more = if *column == DETAIL { spare } else { spare.min(wanted[*column].min(MOST) - *wide) };
            *wide += more;
            spare -= more;
        }
        columns[0].1 = columns[0].1.min(width);
        let stretches = std::array::from_fn(|column| columns.contains(&(column, wanted[column])));
        Layout { columns, cuts: true, stretches }
    }

    /// Makes `line` of it, without an end.
    fn push(&self, line: &mut String, row: &Row<'_>) {
        line.clear();
        let mut spare = self.spare(row);
        for &(column, width) in &self.columns {
            let limit = match (self.cuts, self.stretches[column]) {
                (false, _) => usize::MAX,
                (true, false) => width,
                (true, true) => (width + spare).min(width.max(MOST)),
            };
            let paint = row.paint.filter(|_| column == OUTCOME);
            line.push_str(paint.unwrap_or_default());
            let used = screen::push_cut(line, &row.cells[column], limit);
            line.push_str(paint.map_or("", |_| PLAIN));
            spare = spare.saturating_sub(used.saturating_sub(width));
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(used) + GAP));
        }
        line.truncate(line.trim_end().len());
    }

    /// The columns that a row leaves free at its end.
    fn spare(&self, row: &Row<'_>) -> usize {
        match self.columns.last() {
            Some(&(DETAIL, width)) if self.cuts => width.saturating_sub(screen::columns(&row.cells[DETAIL])),
            _ => 0,
        }
    }
}

struct Row<'e> {
    cells: [Cow<'e, str>; COLUMNS.len()],
    /// The outcome's.
    paint: Option<&'static str>,
}

impl<'e> Row<'e> {
    fn of(entry: &'e Entry<'_>, look: Look, now: SystemTime) -> Row<'e> {
        let text = |text: &'e Option<Cow<'_, str>>| Cow::Borrowed(text.as_deref().unwrap_or_default());
        let cells = [
            time(&entry.timestamp, look, now),
            text(&entry.endpoint),
            text(&entry.event_type),
            text(&entry.event_id),
            text(&entry.outcome),
            attempt(entry).into(),
            entry.http_status.map(|status| status.to_string()).unwrap_or_default().into(),
            entry.duration_ms.map(took).unwrap_or_default().into(),
            detail(entry),
        ];
        Row { cells, paint: paint(entry).filter(|_| look.colours) }
    }

    fn into_owned(self) -> Row<'static> {
        Row { cells: self.cells.map(|cell| Cow::Owned(cell.into_owned())), paint: self.paint }
    }
}

fn time(timestamp: &str, look: Look, now: SystemTime) -> Cow<'_, str> {
    if !look.clock {
        return ago(timestamp, now).map_or(timestamp.into(), Cow::Owned);
    }
    match (look.width, timestamp.split_once('.')) {
        (Some(_), Some((seconds, fraction))) if fraction.ends_with('Z') => format!("{seconds}Z").into(),
        _ => timestamp.into(),
    }
}

/// `None` where that is no time.
fn ago(timestamp: &str, now: SystemTime) -> Option<String> {
    let then = SystemTime::from(timestamp.parse::<jiff::Timestamp>().ok()?);
    let (span, is_over) = match now.duration_since(then) {
        Ok(span) => (span, true),
        Err(error) => (error.duration(), false),
    };
    let span = match span.as_secs() {
        0 => return Some("now".to_owned()),
        seconds @ 1..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    };
    Some(if is_over { format!("{span} ago") } else { format!("in {span}") })
}

fn paint(entry: &Entry<'_>) -> Option<&'static str> {
    match (entry.level.as_deref()?, entry.outcome.as_deref()?) {
        ("error", _) => Some("\x1b[31m"),
        ("warn", _) => Some("\x1b[33m"),
        (_, "delivered" | "enabled" | "resumed") => Some("\x1b[32m"),
        _ => None,
    }
}

struct Column {
    heading: &'static str,
    /// The width that it has at the least, whatever the first rows want.
    usual: usize,
    /// How narrow it may be made; `None`: not at all.
    least: Option<usize>,
}

const COLUMNS: [Column; 9] = [
    Column { heading: "TIME", usual: 7, least: None },
    Column { heading: "ENDPOINT", usual: 8, least: Some(8) },
    Column { heading: "EVENT", usual: 18, least: Some(14) },
    Column { heading: "ID", usual: 2, least: None },
    Column { heading: "OUTCOME", usual: 13, least: None },
    Column { heading: "ATTEMPT", usual: 7, least: None },
    Column { heading: "STATUS", usual: 6, least: None },
    Column { heading: "TOOK", usual: 6, least: None },
    Column { heading: "DETAIL", usual: 16, least: Some(16) },
];

const OUTCOME: usize = 4;

const DETAIL: usize = 8;

/// What a narrow terminal does not show, the first in this order: the codes in the last column have the status.
const LEFT_OUT: [usize; 8] = [3, 6, 7, 5, 2, DETAIL, 0, 1];

/// Of a column but the last: no name is so long that is meant to be read.
const MOST: usize = 40;

const GAP: usize = 2;

/// A screenful, or a little more.
const HELD: usize = 100;

const BOLD: &str = "\x1b[1m";

const PLAIN: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn a_row_has_what_became_of_a_delivery_and_why() {
        let rows = [
            entry(
                r#""level":"info","kind":"delivery","outcome":"delivered","attempt":1,"max_attempts":12,"http_status":200,"duration_ms":12.345"#,
            ),
            entry(
                r#""level":"warn","kind":"delivery","outcome":"retrying","attempt":2,"max_attempts":12,"duration_ms":10000.2,"error":"no answer\nwithin 10s","error_code":"timeout""#,
            ),
            entry(
                r#""level":"error","kind":"delivery","outcome":"dead_lettered","attempt":12,"max_attempts":12,"reason":"attempts","error_code":"status_503""#,
            ),
        ];
        let told = Entry {
            timestamp: "2026-11-22T19:21:53.123456Z".into(),
            kind: Some("config".into()),
            outcome: Some("rejected".into()),
            message: Some("config rejected, the running one stays".into()),
            error: Some("line 3: no".into()),
            ..Entry::default()
        };
        let shown = shown(rows.iter().chain([&told]), look(Some(140)));
        assert_eq!(
            shown,
            "TIME     ENDPOINT  EVENT               ID     OUTCOME        ATTEMPT  STATUS  TOOK    DETAIL\n\
             2m ago   billing   purchase.completed  evt_1  delivered      1/12     200     12.3ms\n\
             2m ago   billing   purchase.completed  evt_1  retrying       2/12             10.0s   timeout: no answer within 10s\n\
             2m ago   billing   purchase.completed  evt_1  dead_lettered  12/12                    attempts: status_503\n\
             2m ago                                        rejected                                config rejected, the running one stays: line 3: no\n"
        );
    }

    #[test]
    fn a_narrow_terminal_gets_fewer_columns_and_no_wider_rows() {
        let failed = entry(
            r#""outcome":"failed","kind":"delivery","attempt":2,"max_attempts":3,"http_status":503,"duration_ms":1.5,"error_code":"status_503","error":"the receiver answered 503""#,
        );
        let heading = |width| shown([&failed], look(Some(width))).lines().next().unwrap_or_default().to_owned();
        for (width, columns) in [
            (120, "TIME ENDPOINT EVENT ID OUTCOME ATTEMPT STATUS TOOK DETAIL"),
            (95, "TIME ENDPOINT EVENT OUTCOME ATTEMPT STATUS TOOK DETAIL"),
            (80, "TIME ENDPOINT EVENT OUTCOME ATTEMPT DETAIL"),
            (50, "TIME ENDPOINT OUTCOME DETAIL"),
            (13, "OUTCOME"),
            (3, "OU…"),
        ] {
            assert_eq!(heading(width).split_whitespace().collect::<Vec<_>>().join(" "), columns, "{width}");
        }
        let shown = shown([&failed], look(Some(80)));
        assert!(shown.ends_with("failed         2/3      status_503: the …\n"), "{shown}");
    }

    #[test]
    fn a_long_name_leaves_room_for_why_something_failed() {
        let long = Entry { event_type: Some("x".repeat(300).into()), message: Some("why".into()), ..entry("") };
        let shown = shown([&long], look(Some(200)));
        assert!(shown.contains(&format!(" {}…  ", "x".repeat(MOST - 1))) && shown.ends_with("why\n"), "{shown}");
    }

    #[test]
    fn where_there_is_no_terminal_nothing_is_cut() {
        let long = "x".repeat(500);
        let entry = Entry { event_type: Some(long.as_str().into()), message: Some(long.as_str().into()), ..entry("") };
        let shown = shown([&entry], Look { clock: true, ..look(None) });
        assert!(shown.contains("2026-11-22T19:21:53.123456Z") && shown.matches(&long).count() == 2, "{shown}");
    }

    #[test]
    fn times_are_told_as_people_tell_them() {
        let now = SystemTime::from("2026-11-22T12:00:00Z".parse::<jiff::Timestamp>().unwrap());
        for (then, told) in [
            ("2026-11-22T11:59:59.5Z", "now"),
            ("2026-11-22T11:59:01Z", "59s ago"),
            ("2026-11-22T11:59:00Z", "1m ago"),
            ("2026-11-22T11:00:01Z", "59m ago"),
            ("2026-11-21T12:00:01Z", "23h ago"),
            ("2025-11-22T12:00:00Z", "365d ago"),
            ("2026-11-22T12:00:05Z", "in 5s"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(time(then, look(Some(80)), now), told);
        }
        let clock = Look { clock: true, ..look(Some(80)) };
        assert_eq!(time("2026-11-22T19:21:53.123456Z", clock, now), "2026-11-22T19:21:53Z");
        let elsewhere = "2026-11-22T20:21:53.123456+01:00";
        assert_eq!(time(elsewhere, clock, now), elsewhere);
    }

    #[test]
    fn the_outcome_has_the_colour_of_its_level_and_rows_stay_aligned() {
        let rows = [
            "info\",\"outcome\":\"delivered",
            "warn\",\"outcome\":\"retrying",
            "error\",\"outcome\":\"failed",
            "info\",\"outcome\":\"skipped",
        ];
        let rows = rows.map(|row| entry(&format!("\"level\":\"{row}\",\"attempt\":1")));
        let coloured = shown(&rows, Look { colours: true, ..look(Some(100)) });
        for painted in ["\x1b[32mdelivered\x1b[0m ", "\x1b[33mretrying\x1b[0m ", "\x1b[31mfailed\x1b[0m ", "  skipped "] {
            assert!(coloured.contains(painted), "{coloured}");
        }
        let bare = ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m"];
        let bare = bare.iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(bare, shown(&rows, look(Some(100))));
    }

    #[test]
    fn rows_are_held_back_until_there_is_a_screenful() {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, look(Some(100)));
        for _ in 1..HELD {
            table.add(&entry(""), now()).unwrap();
        }
        assert!(table.out.is_empty());
        table.add(&entry(""), now()).unwrap();
        assert_eq!(table.out.iter().filter(|byte| **byte == b'\n').count(), HELD + 1);
        table.add(&entry(""), now()).unwrap();
        assert_eq!(table.out.iter().filter(|byte| **byte == b'\n').count(), HELD + 2);
    }

    #[test]
    fn a_text_that_came_later_and_is_longer_is_whole_where_its_row_has_room() {
        let last = |width, later: &str, more: &str| {
            let mut out = Vec::new();
            let mut table = Table::new(&mut out, look(Some(width)));
            table.add(&entry(r#""outcome":"delivered""#), now()).unwrap();
            table.flush().unwrap();
            let later = Entry { event_id: Some(later.into()), ..entry(more) };
            table.add(&later, now()).unwrap();
            String::from_utf8(out).unwrap().lines().last().unwrap_or_default().to_owned()
        };
        assert!(last(140, "evt_1000", r#""outcome":"delivered""#).ends_with(" evt_1000  delivered"));
        let error = format!(r#""kind":"delivery","outcome":"failed","error":"{}""#, "x".repeat(200));
        assert!(last(140, "evt_1000", &error).contains(" evt_…  failed "));
        assert!(last(140, &"9".repeat(500), r#""outcome":"delivered""#).contains(&format!(" {}…  delivered", "9".repeat(39))));
    }

    #[test]
    fn no_rows_have_no_heading() {
        assert_eq!(shown([], look(Some(80))), "");
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_the_terminal_or_steers_it(
            texts in proptest::collection::vec("(\\PC|[a-z]{3}|[\\x00-\\x20\u{7f}-\u{9f}]|[語\u{301}\u{fe0f}\u{202e}\u{1f600}]){0,30}", 8..9),
            numbers: (Option<u32>, Option<u32>, Option<u16>),
            duration_ms in proptest::option::of(proptest::num::f64::NORMAL),
            later: bool,
            width in 1..200_usize,
        ) {
            let text = |nth: usize| Some(Cow::Borrowed(texts[nth].as_str()));
            let hostile = Entry {
                timestamp: texts[0].as_str().into(),
                kind: text(1),
                outcome: text(2),
                endpoint: text(3),
                event_type: text(4),
                event_id: text(5),
                error: text(6),
                message: text(7),
                attempt: numbers.0,
                max_attempts: numbers.1,
                http_status: numbers.2,
                duration_ms,
                ..Entry::default()
            };
            let mut out = Vec::new();
            let mut table = Table::new(&mut out, look(Some(width)));
            table.add(&if later { entry("") } else { hostile.clone() }, now()).unwrap();
            table.flush().unwrap();
            table.add(&hostile, now()).unwrap();
            let shown = String::from_utf8(out).unwrap();
            prop_assert_eq!(shown.lines().count(), 3);
            for row in shown.split('\n') {
                prop_assert!(row.width() <= width, "{} > {width}: {row:?}", row.width());
                prop_assert!(!row.chars().any(|c| c.is_control() || screen::misleads(c)), "{row:?}");
            }
        }
    }

    fn shown<'e>(entries: impl IntoIterator<Item = &'e Entry<'e>>, look: Look) -> String {
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, look);
        for entry in entries {
            table.add(entry, now()).unwrap();
        }
        table.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn entry(rest: &str) -> Entry<'static> {
        let comma = if rest.is_empty() { "" } else { "," };
        let line = format!(
            r#"{{"timestamp":"2026-11-22T19:21:53.123456Z","endpoint":"billing","event_type":"purchase.completed","event_id":"evt_1"{comma}{rest}}}"#
        );
        Entry::read(line.leak().as_bytes()).unwrap()
    }

    fn look(width: Option<usize>) -> Look {
        Look { width, colours: false, clock: false }
    }

    /// Two minutes after the entries.
    fn now() -> SystemTime {
        SystemTime::from("2026-11-22T19:21:53.123456Z".parse::<jiff::Timestamp>().unwrap()) + Duration::from_secs(120)
    }
}
