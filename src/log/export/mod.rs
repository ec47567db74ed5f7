//! Lines of the log for people and for other programs: a table, CSV, a report, and what they come to.
//!
//! In come entries one by one, out goes text. Where it goes, how wide that is and what time it is are arguments.
//!
//! **Invariant:** pure; whatever the number of lines, a bounded number of them is in memory; what a stranger wrote can steer
//! neither a terminal nor a spreadsheet.

mod csv;
pub mod pdf;
mod stats;
mod table;

pub use self::{
    csv::Csv,
    stats::Stats,
    table::{Look, Table},
};

/// Milliseconds, in three digits and a unit.
fn took(milliseconds: f64) -> String {
    let (number, unit) = match milliseconds {
        ..1000.0 => (milliseconds, "ms"),
        _ => (milliseconds / 1000.0, "s"),
    };
    match number {
        ..10.0 => format!("{number:.2}{unit}"),
        10.0..100.0 => format!("{number:.1}{unit}"),
        _ => format!("{number:.0}{unit}"),
    }
}
