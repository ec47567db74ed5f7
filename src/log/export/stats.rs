//! What deliveries came to, by endpoint.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::took;
use crate::{
    log::{counters::ENDS, reader::Entry},
    screen,
};

/// Sums of the lines that were added; some kilobytes an endpoint, however many they are.
#[derive(Debug, Default)]
pub struct Stats {
    lines: u64,
    /// The earliest and the latest timestamp.
    span: Option<(String, String)>,
    endpoints: BTreeMap<Box<str>, Endpoint>,
}

impl Stats {
    pub fn add(&mut self, entry: &Entry<'_>) {
        self.lines += 1;
        self.stretch(&entry.timestamp);
        let (Some("delivery"), Some(endpoint), Some(outcome)) =
            (entry.kind.as_deref(), entry.endpoint.as_deref(), entry.outcome.as_deref())
        else {
            return;
        };
        let endpoint = match self.endpoints.get_mut(endpoint) {
            Some(endpoint) => endpoint,
            None => self.endpoints.entry(endpoint.into()).or_default(),
        };
        if let Some(end) = ENDS.iter().position(|end| *end == outcome) {
            endpoint.totals.ends[end] += 1;
        }
        if let Some(duration_ms) = entry.duration_ms
            && endpoint.request.is_another(entry, duration_ms)
        {
            endpoint.totals.durations.add(duration_ms);
        }
    }

    /// Timestamps of one zone and precision are in order as texts are.
    fn stretch(&mut self, timestamp: &str) {
        let Some((first, last)) = &mut self.span else {
            self.span = Some((timestamp.to_owned(), timestamp.to_owned()));
            return;
        };
        let end = if timestamp < first.as_str() {
            first
        } else if timestamp > last.as_str() {
            last
        } else {
            return;
        };
        end.clear();
        end.push_str(timestamp);
    }

    /// One object, on one line that is not ended: `from`, `to` (timestamps), `lines`, `total` and `endpoints`, the latter by name. `total` and
    /// each endpoint have `deliveries` (a number for each way to end), `success` (from 0 to 1), `attempts` and `duration_ms`
    /// (`p50`, `p95`, `p99`). What cannot be said is null.
    pub fn json(&self) -> String {
        let (from, to) = self.span.as_ref().map(|(from, to)| (from.as_str(), to.as_str())).unzip();
        let endpoints = self.endpoints.iter().map(|(name, endpoint)| (&**name, &endpoint.totals)).collect();
        let told = Told { from, to, lines: self.lines, total: &self.total(), endpoints };
        // Of texts and numbers JSON can be made.
        serde_json::to_string(&told).unwrap_or_default()
    }

    /// For people: the time it is about, and a row for each endpoint and for all. An outcome that there was none of has no
    /// column. Where `width`, in columns, is too narrow for the table, each endpoint has lines of its own.
    pub fn table(&self, width: Option<usize>, colours: bool) -> String {
        let total = self.total();
        let is_there = |end: &usize| USUAL.contains(&ENDS[*end]) || total.ends[*end] > 0;
        let mut ends: Vec<usize> = (0..ENDS.len()).filter(is_there).collect();
        ends.sort_by_key(|end| ENDS[*end] != DELIVERED);
        let mut rows = vec![headings(&ends)];
        rows.extend(self.endpoints.iter().map(|(name, endpoint)| endpoint.totals.cells(name, &ends)));
        rows.push(total.cells("all", &ends));
        let about = match &self.span {
            Some((from, to)) => format!("{from} to {to}, lines: {}", self.lines),
            None => "no lines".to_owned(),
        };
        let mut text = String::new();
        screen::push_cut(&mut text, &about, usize::MAX);
        text.push_str("\n\n");
        let widths: Vec<usize> =
            (0..rows[0].len()).map(|at| rows.iter().map(|row| screen::columns(&row[at])).max().unwrap_or_default()).collect();
        let total_width = widths.iter().map(|wide| wide + GAP).sum::<usize>() - GAP;
        let bold = if colours { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        // It is written to memory, which does not fail.
        let _ = match width.is_none_or(|width| total_width <= width) {
            true => side_by_side(&mut text, &rows, &widths, bold),
            false => one_below_the_other(&mut text, &rows, width.unwrap_or_default(), bold),
        };
        text
    }

    fn total(&self) -> Totals {
        let mut total = Totals::default();
        for Endpoint { totals, .. } in self.endpoints.values() {
            for (sum, end) in total.ends.iter_mut().zip(totals.ends) {
                *sum += end;
            }
            total.durations.add_all(&totals.durations);
        }
        total
    }
}

fn side_by_side(text: &mut String, rows: &[Vec<String>], widths: &[usize], bold: (&str, &str)) -> fmt::Result {
    for (nth, row) in rows.iter().enumerate() {
        let (on, off) = if nth == 0 { bold } else { ("", "") };
        text.write_str(on)?;
        let used = screen::push_cut(text, &row[0], usize::MAX);
        write!(text, "{:1$}", "", widths[0] - used)?;
        for (cell, width) in row.iter().zip(widths).skip(1) {
            write!(text, "{:GAP$}{cell:>width$}", "")?;
        }
        writeln!(text, "{off}")?;
    }
    Ok(())
}

fn one_below_the_other(text: &mut String, rows: &[Vec<String>], width: usize, bold: (&str, &str)) -> fmt::Result {
    let [headings, rows @ ..] = rows else { return Ok(()) };
    let widest = headings.iter().skip(1).map(String::len).max().unwrap_or_default();
    for row in rows {
        text.write_str(bold.0)?;
        screen::push_cut(text, &row[0], width);
        writeln!(text, "{}", bold.1)?;
        for (heading, cell) in headings.iter().zip(row).skip(1) {
            writeln!(text, "{:GAP$}{heading:widest$}{:GAP$}{cell}", "", "")?;
        }
    }
    Ok(())
}

fn headings(ends: &[usize]) -> Vec<String> {
    let ends = ends.iter().map(|end| ENDS[*end]);
    ["ENDPOINT"].into_iter().chain(ends).chain(["success", "attempts", "p50", "p95", "p99"]).map(str::to_uppercase).collect()
}

#[derive(Debug, Default)]
struct Endpoint {
    totals: Totals,
    request: Request,
}

/// The request that the latest line was about.
#[derive(Debug, Default)]
struct Request {
    batch_id: String,
    attempt: Option<u32>,
    duration_ms: f64,
}

impl Request {
    /// Whether a line is about another request than the one before it. A batch has a line for each of its events, written
    /// one after the other; an attempt while the sidecar stops has the number of the next one, but not its duration.
    fn is_another(&mut self, entry: &Entry<'_>, duration_ms: f64) -> bool {
        let batch_id = entry.batch_id.as_deref().unwrap_or_default();
        let is_same = !batch_id.is_empty()
            && self.batch_id == batch_id
            && self.attempt == entry.attempt
            && self.duration_ms.to_bits() == duration_ms.to_bits();
        if !is_same {
            self.batch_id.clear();
            self.batch_id.push_str(batch_id);
            (self.attempt, self.duration_ms) = (entry.attempt, duration_ms);
        }
        !is_same
    }
}

#[derive(Debug, Default)]
struct Totals {
    /// As [`ENDS`].
    ends: [u64; ENDS.len()],
    durations: Durations,
}

impl Totals {
    /// How many were delivered, of how many that were to be and came to an end: what is `filtered` or `skipped` was not to
    /// be, and what is `pending` did not come to one.
    fn successes(&self) -> (u64, u64) {
        let of = |ends: &[&str]| ENDS.iter().zip(self.ends).filter(|(end, _)| ends.contains(end)).map(|(_, count)| count).sum();
        (of(&[DELIVERED]), of(&[DELIVERED, "dead_lettered", "dropped"]))
    }

    fn cells(&self, name: &str, ends: &[usize]) -> Vec<String> {
        let (delivered, ended) = self.successes();
        let success = super::success(delivered, ended).unwrap_or_else(|| "-".to_owned());
        let quantile = |percent| self.durations.quantile(percent).map_or("-".to_owned(), took);
        let ends = ends.iter().map(|end| self.ends[*end].to_string());
        let rest = [success, self.durations.count.to_string(), quantile(50), quantile(95), quantile(99)];
        [name.to_owned()].into_iter().chain(ends).chain(rest).collect()
    }
}

impl Serialize for Totals {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let deliveries: BTreeMap<&str, u64> = ENDS.into_iter().zip(self.ends).collect();
        let (delivered, ended) = self.successes();
        let durations: BTreeMap<&str, Option<f64>> =
            [("p50", 50), ("p95", 95), ("p99", 99)].map(|(name, percent)| (name, self.durations.quantile(percent))).into();
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("deliveries", &deliveries)?;
        map.serialize_entry("success", &(ended > 0).then(|| delivered as f64 / ended as f64))?;
        map.serialize_entry("attempts", &self.durations.count)?;
        map.serialize_entry("duration_ms", &durations)?;
        map.end()
    }
}

#[derive(Serialize)]
struct Told<'s> {
    from: Option<&'s str>,
    to: Option<&'s str>,
    lines: u64,
    total: &'s Totals,
    endpoints: BTreeMap<&'s str, &'s Totals>,
}

/// How often a request took how long: to the microsecond below 128 µs, above that within 1/128 (0.8 %) of the truth.
///
/// Each power of two is divided into 64 equal parts, as in HDR histograms, up to the longest that was seen.
#[derive(Debug, Default)]
struct Durations {
    counts: Vec<u64>,
    count: u64,
}

impl Durations {
    fn add(&mut self, milliseconds: f64) {
        // As a cast, what is negative becomes 0 and what is too large the largest.
        let micros = (milliseconds * 1000.0).round() as u64;
        let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(PARTS.trailing_zeros() + 1);
        let place = shift as usize * PARTS + (micros >> shift) as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.count += 1;
    }

    fn add_all(&mut self, others: &Durations) {
        self.counts.resize(self.counts.len().max(others.counts.len()), 0);
        for (sum, count) in self.counts.iter_mut().zip(&others.counts) {
            *sum += count;
        }
        self.count += others.count;
    }

    /// The time, in milliseconds, within which `percent` of all requests were over; `None` if there were none.
    fn quantile(&self, percent: u64) -> Option<f64> {
        let rank = (u128::from(self.count) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += u128::from(*count);
            seen >= rank
        })?;
        Some(middle(place) / 1000.0)
    }
}

/// The middle of a place's values, in microseconds.
fn middle(place: usize) -> f64 {
    let shift = (place / PARTS).saturating_sub(1);
    let least = (place - shift * PARTS) as f64;
    (least + 0.5) * (1_u64 << shift) as f64 - 0.5
}

/// Of each power of two.
const PARTS: usize = 64;

/// Outcomes that have a column in any case.
const USUAL: [&str; 2] = [DELIVERED, "dead_lettered"];

const DELIVERED: &str = "delivered";

const GAP: usize = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn deliveries_are_counted_by_how_they_ended_and_requests_by_their_durations() {
        let mut stats = Stats::default();
        for (endpoint, outcome, duration_ms) in [
            ("billing", "retrying", Some(50.0)),
            ("billing", "delivered", Some(10.0)),
            ("billing", "delivered", Some(20.0)),
            ("billing", "failed", Some(50.0)),
            ("billing", "dead_lettered", None),
            ("billing", "failed", None),
            ("shop", "skipped", None),
        ] {
            stats.add(&line(endpoint, outcome, duration_ms));
        }
        stats.add(&Entry { kind: Some("event".into()), ..line("shop", "filtered", None) });
        assert_eq!(
            stats.json(),
            concat!(
                r#"{"from":"2026-11-22T19:21:53Z","to":"2026-11-22T19:21:53Z","lines":8,"#,
                r#""total":{"deliveries":{"dead_lettered":1,"delivered":2,"dropped":0,"filtered":0,"pending":0,"skipped":1},"#,
                r#""success":0.6666666666666666,"attempts":4,"duration_ms":{"p50":20.0955,"p95":49.9195,"p99":49.9195}},"#,
                r#""endpoints":{"billing":{"deliveries":{"dead_lettered":1,"delivered":2,"dropped":0,"filtered":0,"pending":0,"skipped":0},"#,
                r#""success":0.6666666666666666,"attempts":4,"duration_ms":{"p50":20.0955,"p95":49.9195,"p99":49.9195}},"#,
                r#""shop":{"deliveries":{"dead_lettered":0,"delivered":0,"dropped":0,"filtered":0,"pending":0,"skipped":1},"#,
                r#""success":null,"attempts":0,"duration_ms":{"p50":null,"p95":null,"p99":null}}}}"#,
            )
        );
        assert_eq!(
            stats.table(None, false),
            "2026-11-22T19:21:53Z to 2026-11-22T19:21:53Z, lines: 8\n\n\
             ENDPOINT  DELIVERED  DEAD_LETTERED  SKIPPED  SUCCESS  ATTEMPTS     P50     P95     P99\n\
             billing           2              1        0   66.66%         4  20.1ms  49.9ms  49.9ms\n\
             shop              0              0        1        -         0       -       -       -\n\
             all               2              1        1   66.66%         4  20.1ms  49.9ms  49.9ms\n"
        );
    }

    #[test]
    fn the_lines_of_a_batch_are_one_request() {
        let mut stats = Stats::default();
        let of_batch = |id: &'static str, attempt, duration_ms| Entry {
            batch_id: Some(id.into()),
            attempt: Some(attempt),
            ..line("billing", "retrying", Some(duration_ms))
        };
        let requests =
            [("bat_1", 1, 5.0), ("bat_2", 1, 5.0), ("bat_1", 2, 5.0), ("bat_1", 2, 6.0), ("bat_1", 2, 5.0), ("bat_1", 3, 5.0)];
        for (id, attempt, duration_ms) in requests {
            for _ in 0..3 {
                stats.add(&of_batch(id, attempt, duration_ms));
                stats.add(&line("billing", "dead_lettered", None));
                stats.add(&Entry { endpoint: Some("shop".into()), ..of_batch("bat_9", 1, 1.0) });
            }
        }
        assert_eq!(stats.endpoints["billing"].totals.durations.count, requests.len() as u64);
        assert_eq!(stats.endpoints["shop"].totals.durations.count, 1);
        let alone = Entry { batch_id: None, ..of_batch("", 1, 5.0) };
        stats.add(&alone);
        stats.add(&alone);
        assert_eq!(stats.endpoints["billing"].totals.durations.count, requests.len() as u64 + 2);
    }

    #[test]
    fn not_all_is_less_than_a_hundred_percent() {
        let totals = |delivered, dropped| Totals { ends: [0, delivered, dropped, 7, 7, 7], ..Totals::default() };
        for (totals, success) in
            [(totals(99_999, 1), "99.99%"), (totals(5, 0), "100.00%"), (totals(0, 3), "0.00%"), (totals(0, 0), "-")]
        {
            assert_eq!(totals.cells("", &[])[1], success);
        }
    }

    #[test]
    fn the_span_is_that_of_the_lines_in_whatever_order_they_come() {
        let mut stats = Stats::default();
        assert!(
            stats.table(None, false).starts_with("no lines\n")
                && stats.json().starts_with(r#"{"from":null,"to":null,"lines":0,"#)
        );
        for timestamp in ["2026-11-22T12:00:00Z", "2026-11-21T12:00:00Z", "2026-11-23T12:00:00Z", "2026-11-22T13:00:00Z"] {
            stats.add(&Entry { timestamp: timestamp.into(), ..Entry::default() });
        }
        assert!(stats.table(None, false).starts_with("2026-11-21T12:00:00Z to 2026-11-23T12:00:00Z, lines: 4\n"));
        stats.add(&Entry { timestamp: "yes\n\u{1b}terday".into(), ..Entry::default() });
        assert!(stats.table(None, false).starts_with("2026-11-21T12:00:00Z to yes \\u{1b}terday, lines: 5\n"));
    }

    #[test]
    fn where_the_table_does_not_fit_each_endpoint_has_lines_of_its_own() {
        let mut stats = Stats::default();
        stats.add(&line("bil\u{1b}[2Jling", "delivered", Some(1.0)));
        assert!(stats.table(Some(85), false).contains("\nbil\\u{1b}[2Jling  "));
        assert_eq!(
            stats.table(Some(84), true).split_once("\n\n").unwrap().1.lines().take(4).collect::<Vec<_>>(),
            ["\x1b[1mbil\\u{1b}[2Jling\x1b[0m", "  DELIVERED      1", "  DEAD_LETTERED  0", "  SUCCESS        100.00%"]
        );
    }

    #[test]
    fn every_value_has_its_place_and_none_is_too_large() {
        let mut durations = Durations::default();
        for milliseconds in [0.0, -1.0, 1e-9, 1e300, f64::MAX] {
            durations.add(milliseconds);
        }
        assert_eq!((durations.count, durations.quantile(1)), (5, Some(0.0)));
        assert!(durations.counts.len() < 4096);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_percent_of_the_exact_ones(
            micros in proptest::collection::vec(prop_oneof![0..200_u64, 0..100_000_u64, 0..4_000_000_000_u64], 1..300),
            split in 0..300_usize,
        ) {
            let split = split.min(micros.len());
            let [mut all, mut rest] = [Durations::default(), Durations::default()];
            micros[..split].iter().for_each(|micros| all.add(*micros as f64 / 1000.0));
            micros[split..].iter().for_each(|micros| rest.add(*micros as f64 / 1000.0));
            all.add_all(&rest);
            let mut sorted = micros.clone();
            sorted.sort_unstable();
            for percent in [1, 50, 95, 99, 100] {
                let exact = sorted[(sorted.len() * percent).div_ceil(100) - 1] as f64 / 1000.0;
                let told = all.quantile(percent as u64).unwrap();
                prop_assert!((told - exact).abs() <= exact / 128.0 + 1e-9, "p{percent}: {told} for {exact}");
            }
        }
    }

    fn line(endpoint: &'static str, outcome: &'static str, duration_ms: Option<f64>) -> Entry<'static> {
        Entry {
            timestamp: "2026-11-22T19:21:53Z".into(),
            kind: Some("delivery".into()),
            outcome: Some(outcome.into()),
            endpoint: Some(endpoint.into()),
            duration_ms,
            ..Entry::default()
        }
    }
}
