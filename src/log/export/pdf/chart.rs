//! The chart of deliveries over time: stacked bars.

use jiff::Timestamp;

use super::{
    paper::{DARK, FAINT, GOOD, Ink, LEFT, LIGHT, LOST, Paper, TROUBLE, WIDTH},
    text::Weight,
    timeline::{Bars, Counts, DAY},
    totals::{CHARTED, grouped},
};

/// Draws `bars` from the paper's place on downwards; it takes [`HEIGHT`].
pub(super) fn draw(paper: &mut Paper, bars: &Bars) {
    legend(paper);
    let caption = format!("A bar is {}. Times are UTC.", words(bars.span));
    paper.label([LEFT, paper.y - SIZE], &caption, SIZE, FAINT);
    let base = paper.y - HEIGHT + 34.0;
    let step = nice(bars.counts.iter().map(total).max().unwrap_or(0));
    let most = bars.counts.iter().map(total).max().unwrap_or(0).div_ceil(step).max(1) * step;
    let scale = PLOT_HEIGHT / most as f32;
    for line in 0..=most / step {
        let y = base + (line * step) as f32 * scale;
        if line > 0 {
            paper.fill([PLOT_LEFT, y], [PLOT_WIDTH, 0.4], LIGHT);
        }
        paper.label_before([PLOT_LEFT - 6.0, y - SIZE * 0.35], &grouped(line * step), SIZE, FAINT);
    }
    let slot = PLOT_WIDTH / bars.counts.len() as f32;
    let width = (slot * 0.8).min(MOST_WIDTH);
    for (place, counts) in bars.counts.iter().enumerate() {
        let x = PLOT_LEFT + slot * place as f32 + (slot - width) / 2.0;
        let mut y = base;
        for (count, ink) in counts.iter().zip(INKS).filter(|(count, _)| **count > 0) {
            // One of a million is still to be seen.
            let height = (*count as f32 * scale).max(0.6);
            paper.fill([x, y], [width, height], ink);
            y += height;
        }
    }
    paper.fill([PLOT_LEFT, base - 0.8], [PLOT_WIDTH, 0.8], FAINT);
    times(paper, bars, base);
    paper.y -= HEIGHT;
}

fn legend(paper: &mut Paper) {
    let y = paper.y - SIZE;
    let mut x = LEFT + WIDTH;
    for ((name, _), ink) in CHARTED.iter().zip(INKS).rev() {
        let line = paper.fonts.line(name, Weight::Regular);
        x -= line.width(SIZE);
        paper.write([x, y], &line, SIZE, DARK);
        x -= 10.0;
        paper.fill([x, y - 0.5], [6.5, 6.5], ink);
        x -= 16.0;
    }
}

/// The names of the times below the bars, and of the day where another begins.
fn times(paper: &mut Paper, bars: &Bars, base: f32) {
    let step = bars.step(15);
    let (upper, lower) = match step {
        DAY.. => ("%-d %b", "%Y"),
        60.. => ("%H:%M", "%-d %b %Y"),
        _ => ("%H:%M:%S", "%-d %b %Y"),
    };
    let mut before = String::new();
    for (second, fraction) in bars.ticks(step) {
        let Ok(time) = Timestamp::from_second(second) else { continue };
        let x = PLOT_LEFT + fraction * PLOT_WIDTH;
        paper.fill([x - 0.3, base - 4.0], [0.6, 3.2], FAINT);
        centred(paper, x, base - 6.0 - SIZE, &time.strftime(upper).to_string());
        let day = time.strftime(lower).to_string();
        if day != before {
            centred(paper, x, base - 8.0 - 2.0 * SIZE, &day);
            before = day;
        }
    }
}

fn centred(paper: &mut Paper, x: f32, y: f32, text: &str) {
    let line = paper.fonts.line(text, Weight::Regular);
    paper.write([x - line.width(SIZE) / 2.0, y], &line, SIZE, FAINT);
}

fn total(counts: &Counts) -> u64 {
    counts.iter().sum()
}

/// A step of 1, 2 or 5 times a power of ten, of which `most` takes five at most.
fn nice(most: u64) -> u64 {
    let mut power = 1;
    loop {
        if let Some(step) = [1, 2, 5].iter().map(|digit| digit * power).find(|step| most.div_ceil(*step) <= 5) {
            return step;
        }
        power *= 10;
    }
}

fn words(span: i64) -> String {
    let (count, unit) = match span {
        DAY.. => (span / DAY, "day"),
        3_600.. => (span / 3_600, "hour"),
        60.. => (span / 60, "minute"),
        _ => (span, "second"),
    };
    if count == 1 { format!("one {unit}") } else { format!("{count} {unit}s") }
}

/// What it takes, with the legend and the names of the times.
pub(super) const HEIGHT: f32 = PLOT_HEIGHT + 60.0;
const PLOT_HEIGHT: f32 = 150.0;
const PLOT_LEFT: f32 = LEFT + 44.0;
const PLOT_WIDTH: f32 = WIDTH - 60.0;
/// Of a bar.
const MOST_WIDTH: f32 = 30.0;
const SIZE: f32 = 8.0;
/// In the order of [`CHARTED`].
const INKS: [Ink; 3] = [GOOD, TROUBLE, LOST];
