//! Which lines are asked for, as it is typed.

use clap::builder::PossibleValuesParser;
use jiff::Timestamp;

use crate::{
    cli::moment::moment,
    log::{
        self,
        reader::{Condition, Filter, needle},
    },
    route::Pattern,
};

/// What a line must be; an option given several times is content with one of its values.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which lines")]
pub(super) struct Wanted {
    /// Of this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Vec<String>,
    /// About events of this type, or that match, as in a route: `order.*`, `**.failed`; `!test.**` leaves out
    #[arg(long, value_name = "PATTERN", value_parser = Pattern::parse)]
    event: Vec<Pattern>,
    /// With this outcome, such as delivered, retrying, failed or dead_lettered
    #[arg(long, hide_possible_values = true, value_parser = PossibleValuesParser::new(log::outcomes()))]
    outcome: Vec<String>,
    /// About the event with this id
    #[arg(long, value_name = "ID")]
    event_id: Vec<String>,
    /// Sent in this batch
    #[arg(long, value_name = "ID")]
    batch_id: Vec<String>,
    /// Of this trace
    #[arg(long, value_name = "ID")]
    trace_id: Vec<String>,
    /// From this time on (RFC 3339), or this date (in UTC), or so long ago at most, e.g. 15m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Before this time, before this date begins, or so long ago at least
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    until: Option<Timestamp>,
}

impl Wanted {
    /// Whether no time is in what is asked for.
    pub(super) fn is_never(&self) -> bool {
        self.since.zip(self.until).is_some_and(|(since, until)| since >= until)
    }

    /// What is asked for, by names, for who reads what was found.
    pub(super) fn told(&self) -> Vec<(String, String)> {
        let patterns: Vec<String> = self.event.iter().map(Pattern::to_string).collect();
        let time = |time: &Option<Timestamp>| time.iter().map(Timestamp::to_string).collect();
        let asked = [
            ("endpoint", self.endpoint.clone()),
            ("event", patterns),
            ("outcome", self.outcome.clone()),
            ("event id", self.event_id.clone()),
            ("batch id", self.batch_id.clone()),
            ("trace id", self.trace_id.clone()),
            ("since", time(&self.since)),
            ("until", time(&self.until)),
        ];
        let asked = asked.into_iter().filter(|(_, values): &(_, Vec<String>)| !values.is_empty());
        asked.map(|(name, values)| (name.to_owned(), values.join(", "))).collect()
    }

    pub(super) fn filter(&self) -> Filter {
        let mut filter = Filter::default().between(self.since, self.until);
        let mut and = |values: &[String], field| {
            if !values.is_empty() {
                filter = std::mem::take(&mut filter).and(Condition::one_of(field, values.to_vec()));
            }
        };
        and(&self.endpoint, |entry| entry.endpoint.as_deref());
        and(&self.outcome, |entry| entry.outcome.as_deref());
        and(&self.event_id, |entry| entry.event_id.as_deref());
        and(&self.batch_id, |entry| entry.batch_id.as_deref());
        and(&self.trace_id, |entry| entry.trace_id.as_deref());
        if self.event.is_empty() { filter } else { filter.and(of_type(&self.event)) }
    }
}

/// What a type has to be like: one of the patterns, if there are any without `!`, and none of those with it.
fn of_type(patterns: &[Pattern]) -> Condition {
    let (without, with): (Vec<Pattern>, Vec<Pattern>) = patterns.iter().cloned().partition(|pattern| pattern.negated);
    let needles = if with.is_empty() { vec![None] } else { with.iter().map(literal).collect() };
    Condition::new(
        |entry| entry.event_type.as_deref(),
        needles,
        move |event_type| {
            let one_of = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(event_type));
            (with.is_empty() || one_of(&with)) && !one_of(&without)
        },
    )
}

/// What is in every line with a type that matches: the pattern's beginning or its end, whichever is longer.
fn literal(pattern: &Pattern) -> Option<Vec<u8>> {
    let text = pattern.to_string();
    let (Some(first), Some(last)) = (text.find('*'), text.rfind('*')) else { return needle(&text, true, true) };
    let (begins, ends) = (&text[..first], &text[last + 1..]);
    // `**` may stand for nothing, and then there is no dot either.
    let begins = if text[first..].starts_with("**") { begins.trim_end_matches('.') } else { begins };
    let ends = if text[..=last].ends_with("**") { ends.trim_start_matches('.') } else { ends };
    let found = [needle(begins, true, false), needle(ends, false, true)];
    found.into_iter().flatten().max_by_key(Vec::len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::reader::Entry;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn matches(texts: &[&str], event_type: &str) -> bool {
        let filter = Filter::default().and(of_type(&patterns(texts)));
        filter.matches(&Entry { event_type: Some(event_type.into()), ..Entry::default() })
    }

    #[test]
    fn patterns_select_as_in_a_route_and_an_exclamation_mark_alone_takes_away_from_all() {
        assert!(matches(&["order.*", "user.**"], "user.a.b") && !matches(&["order.*"], "order.a.b"));
        assert!(!matches(&["order.*", "!order.test"], "order.test") && matches(&["order.*", "!order.test"], "order.a"));
        assert!(matches(&["!test.**"], "order.a") && !matches(&["!test.**"], "test.a"));
    }

    #[test]
    fn the_longer_literal_of_a_pattern_is_looked_for() {
        for (pattern, literal) in [
            ("order.created", Some("\"order.created\"")),
            ("order.*", Some("\"order.")),
            ("order.**", Some("\"order")),
            ("**.completed", Some("completed\"")),
            ("*.completed", Some(".completed\"")),
            ("a.**.completed", Some("completed\"")),
            ("a.*.b.**", Some("\"a.")),
            ("a.**", None),
            ("**", None),
        ] {
            let found = super::literal(&Pattern::parse(pattern).unwrap());
            assert_eq!(found.as_deref(), literal.map(str::as_bytes), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn every_type_that_matches_has_the_literal(pattern in "(ab|c|\\*|\\*\\*)(\\.(ab|c|\\*|\\*\\*)){0,3}", event_type in "(ab|c)(\\.(ab|c)){0,4}") {
            let pattern = Pattern::parse(&pattern).unwrap();
            if let Some(literal) = literal(&pattern).filter(|_| pattern.matches(&event_type)) {
                let quoted = format!("\"{event_type}\"");
                prop_assert!(quoted.contains(str::from_utf8(&literal).unwrap()), "{} {}", pattern, event_type);
            }
        }
    }
}
