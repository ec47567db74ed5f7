//! The first pages: what was asked for, the figures, the chart, and the totals.

use super::{
    chart,
    grid::{Cell, Column, Grid, Side},
    paper::{DARK, FAINT, Imprint, LEFT, LIGHT, Paper, TOP, WIDTH},
    text::Weight,
    totals::{BETWEEN, CHARTED, OUTCOMES, Outcomes, Totals, grouped},
};

/// Draws the pages; `left_out` is how many rows the table of lines lacks.
pub(super) fn draw(paper: &mut Paper, imprint: &Imprint<'_>, filter: &[(String, String)], totals: Totals) {
    title(paper, imprint, filter, &totals);
    if totals.lines == 0 {
        paper.y -= 40.0;
        paper.label([LEFT, paper.y], "No line of the log matches.", 12.0, DARK);
        return;
    }
    figures(paper, &totals);
    let (all, endpoints, others) = (totals.all(), totals.endpoints, totals.others);
    if let Some(bars) = totals.timeline.bars() {
        heading(paper, "Deliveries over time", chart::HEIGHT);
        chart::draw(paper, &bars);
    }
    if !endpoints.is_empty() {
        heading(paper, "Deliveries per endpoint", 60.0);
        ENDPOINTS.begin(paper);
        for (name, outcomes) in &endpoints {
            endpoint(paper, named(name), outcomes, Weight::Regular);
        }
        endpoint(paper, "All endpoints", &all, Weight::Bold);
    }
    if !others.is_empty() {
        heading(paper, "Other lines", 60.0);
        OTHERS.begin(paper);
        for (name, counts) in &others {
            let (kind, outcome) = name.split_once(BETWEEN).unwrap_or((name, ""));
            OTHERS.row(paper, &[named(kind).into(), named(outcome).into(), (&*grouped(counts.0[0])).into()]);
        }
    }
}

/// A section's title, on the next page if less than `room` is left of this one.
pub(super) fn heading(paper: &mut Paper, text: &str, room: f32) {
    if paper.room() < room + 30.0 {
        paper.turn();
    }
    let line = paper.fonts.line(text, Weight::Bold);
    if paper.y < TOP {
        paper.y -= 14.0;
    }
    paper.write([LEFT, paper.y - 10.0], &line, 11.0, DARK);
    paper.y -= 19.0;
}

fn title(paper: &mut Paper, imprint: &Imprint<'_>, filter: &[(String, String)], totals: &Totals) {
    let lines = paper.fonts.lines(imprint.title, Weight::Bold, WIDTH / TITLE_SIZE, 2);
    for line in &lines {
        paper.y -= TITLE_SIZE * 1.1;
        paper.write([LEFT, paper.y + 4.0], line, TITLE_SIZE, DARK);
    }
    paper.y -= 6.0;
    let time = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let span = totals.times.map(|(first, last)| format!("{} to {}", time(first), time(last)));
    let asked: Vec<String> = filter.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let joined = asked.join("   ");
    property(paper, "Made", &format!("{} by sidehook {}", time(imprint.made), env!("CARGO_PKG_VERSION")));
    if let Some(span) = &span {
        property(paper, "Lines from", span);
    }
    property(paper, "Filter", if asked.is_empty() { "none" } else { &joined });
    paper.y -= 6.0;
    paper.rule(paper.y, 0.8, LIGHT);
}

fn property(paper: &mut Paper, name: &str, value: &str) {
    let lines = paper.fonts.lines(value, Weight::Regular, (WIDTH - PROPERTY) / PROPERTY_SIZE, 6);
    paper.label([LEFT, paper.y - PROPERTY_SIZE], name, PROPERTY_SIZE, FAINT);
    for line in &lines {
        paper.write([LEFT + PROPERTY, paper.y - PROPERTY_SIZE], line, PROPERTY_SIZE, DARK);
        paper.y -= PROPERTY_SIZE * 1.4;
    }
}

/// A row of large numbers.
fn figures(paper: &mut Paper, totals: &Totals) {
    let all = totals.all();
    let figures = [
        (all.success(), "Success, of the deliveries that ended"),
        (grouped(all.delivered()), CHARTED[0].0),
        (grouped(all.lost()), CHARTED[2].0),
        (grouped(all.failed_attempts()), CHARTED[1].0),
        (grouped(totals.lines), "Lines of the log"),
    ];
    let width = WIDTH / figures.len() as f32;
    for (place, (number, name)) in figures.iter().enumerate() {
        let x = LEFT + width * place as f32;
        let number = paper.fonts.line(number, Weight::Bold);
        paper.write([x, paper.y - 28.0], &number, 18.0, DARK);
        paper.label([x, paper.y - 41.0], name, 8.0, FAINT);
    }
    paper.y -= 50.0;
}

fn endpoint(paper: &mut Paper, name: &str, outcomes: &Outcomes, weight: Weight) {
    let counts = outcomes.0.map(grouped);
    let success = outcomes.success();
    let mut cells: Vec<Cell<'_>> = vec![name.into()];
    cells.extend(counts.iter().map(|count| Cell { ink: if count == "0" { FAINT } else { DARK }, ..(&**count).into() }));
    cells.push((&*success).into());
    match weight {
        Weight::Bold => ENDPOINTS.sums(paper, &cells),
        Weight::Regular => ENDPOINTS.row(paper, &cells),
    }
}

fn named(name: &str) -> &str {
    if name.is_empty() { "–" } else { name }
}

const TITLE_SIZE: f32 = 20.0;
const PROPERTY: f32 = 64.0;
const PROPERTY_SIZE: f32 = 9.0;

const ENDPOINTS: Grid = Grid {
    columns: &[
        Column { title: "Endpoint", width: 226.0, side: Side::Left },
        number("Delivered"),
        number("Retrying"),
        number("Failed"),
        Column { title: "Dead-lettered", width: 64.0, side: Side::Right },
        number("Dropped"),
        number("Filtered"),
        number("Skipped"),
        number("Pending"),
        number("Success"),
    ],
    size: 8.0,
};
const _: () = assert!(ENDPOINTS.columns.len() == OUTCOMES.len() + 2);

const OTHERS: Grid = Grid {
    columns: &[
        Column { title: "Kind", width: 218.0, side: Side::Left },
        Column { title: "Outcome", width: 218.0, side: Side::Left },
        number("Lines"),
    ],
    size: 8.0,
};

const fn number(title: &'static str) -> Column {
    Column { title, width: 51.0, side: Side::Right }
}
