//! The table of lines: one row each.

use jiff::Timestamp;

use super::{
    grid::{Cell, Column, Grid, Side},
    paper::{DARK, FAINT, GOOD, Ink, LEFT, LIGHT, LOST, Paper, TROUBLE},
    summary,
    totals::grouped,
};
use crate::log::{
    export::{attempt, detail, took},
    reader::Entry,
};

pub(super) fn begin(paper: &mut Paper) {
    summary::heading(paper, TITLE, 0.0);
    ROWS.begin(paper);
}

/// A row, as of `time`, if the entry has one.
pub(super) fn add(paper: &mut Paper, entry: &Entry<'_>, time: Option<Timestamp>) {
    let time = time.map(|time| time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string());
    let outcome = entry.outcome.as_deref().unwrap_or("");
    let status = entry.http_status.map(|status| status.to_string()).unwrap_or_default();
    let (attempt, detail) = (attempt(entry), detail(entry));
    let duration = entry.duration_ms.map(took).unwrap_or_default();
    let cells = [
        time.as_deref().unwrap_or(&entry.timestamp).into(),
        Cell { text: outcome, ink: DARK, mark: Some(ink(outcome)) },
        entry.endpoint.as_deref().unwrap_or("").into(),
        entry.event_type.as_deref().unwrap_or("").into(),
        entry.event_id.as_deref().unwrap_or("").into(),
        (&*attempt).into(),
        (&*status).into(),
        (&*duration).into(),
        (&*detail).into(),
    ];
    ROWS.row(paper, &cells);
}

/// Says how many rows there would be further.
pub(super) fn end(paper: &mut Paper, left_out: u64) {
    if paper.room() < 20.0 {
        paper.turn();
    }
    let text = format!("Left out here: {} further lines. The summary counts them.", grouped(left_out));
    paper.label([LEFT, paper.y - 14.0], &text, 9.0, FAINT);
}

fn ink(outcome: &str) -> Ink {
    match outcome {
        "delivered" | "enabled" | "resumed" | "loaded" => GOOD,
        "retrying" | "failed" | "paused" => TROUBLE,
        "dead_lettered" | "dropped" | "disabled" | "rejected" | "log_lost" => LOST,
        _ => LIGHT,
    }
}

pub(super) const TITLE: &str = "Log lines";

const ROWS: Grid = Grid {
    columns: &[
        Column { title: "Time (UTC)", width: 86.0, side: Side::Left },
        Column { title: "Outcome", width: 60.0, side: Side::Left },
        Column { title: "Endpoint", width: 74.0, side: Side::Left },
        Column { title: "Event type", width: 100.0, side: Side::Left },
        Column { title: "Event id", width: 150.0, side: Side::Left },
        Column { title: "Attempt", width: 32.0, side: Side::Right },
        Column { title: "Status", width: 28.0, side: Side::Right },
        Column { title: "Duration", width: 38.0, side: Side::Right },
        Column { title: "Detail", width: 138.0, side: Side::Left },
    ],
    size: 7.2,
};
