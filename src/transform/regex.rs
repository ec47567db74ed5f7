//! jq's regular expressions, of ASCII only: each search takes time proportional to the text.
//!
//! **Invariant:** a group may match before another that stands left of it, or not at all; then it is null, as in jq.

use jaq_json::{Map, Val};
use jaq_std::ValT as _;
use regex_bites::bytes::{Captures, Match, Regex, RegexBuilder};

use super::natives::{Result, bytes, error};

/// Of each match an array: the whole match, then its groups, as jq's `match` shows them.
pub(super) fn matches(value: &Val, regex: &Val, flags: &Val) -> Result {
    let pattern = Pattern::new(regex, flags)?;
    let text = bytes(value)?;
    let names: Vec<Val> =
        pattern.regex.capture_names().map(|name| name.map_or(Val::Null, |name| Val::from(name.to_owned()))).collect();
    let (mut at, mut before, mut shown) = (0, 0, 0);
    let found = pattern.found(text).map(|captures| {
        shown += names.len();
        if shown > MOST_GROUPS {
            return Err(error("a regular expression matches too often: with all groups, more than 65536 times"));
        }
        let whole = captures.get(0);
        let start = whole.as_ref().map_or(at, Match::start);
        before += characters(&text[at..start]);
        at = start;
        let groups = captures.iter().zip(&names).enumerate().map(|(n, (group, name))| {
            let offset = group.as_ref().map_or(-1, |group| (before + characters(&text[at..group.start()])) as isize);
            let length = group.as_ref().map_or(0, |group| characters(group.as_bytes()));
            let mut object = Map::default();
            object.insert(key("offset"), Val::from(offset));
            object.insert(key("length"), Val::from(length));
            object.insert(key("string"), group.map_or(Val::Null, |group| value.as_sub_str(group.as_bytes())));
            if n > 0 {
                object.insert(key("name"), name.clone());
            }
            Val::obj(object)
        });
        Ok(groups.collect())
    });
    found.collect()
}

/// The text in pieces: what matches is an object of its named groups, what stands between is a text.
pub(super) fn edits(value: &Val, regex: &Val, flags: &Val) -> Result {
    let pattern = Pattern::new(regex, flags)?;
    let names: Vec<_> = pattern.regex.capture_names().map(|name| name.map(key)).collect();
    pattern.pieces(value, |captures, pieces| {
        let named = captures.iter().zip(&names).filter_map(|(group, name)| Some((group, name.clone()?)));
        let named = named.map(|(group, name)| (name, group.map_or(Val::Null, |group| value.as_sub_str(group.as_bytes()))));
        pieces.push(Val::obj(named.collect()));
    })
}

/// What stands between the matches.
pub(super) fn split(value: &Val, regex: &Val, flags: &Val) -> Result {
    Pattern::new(regex, flags)?.pieces(value, |_, _| {})
}

struct Pattern {
    regex: Regex,
    is_global: bool,
    skips_empty: bool,
}

impl Pattern {
    /// Of a regex, or an array of one and its flags.
    fn new(regex: &Val, flags: &Val) -> Result<Pattern> {
        let (regex, more) = match regex {
            Val::Arr(both) => (both.first().unwrap_or(&Val::Null), both.get(1).unwrap_or(&Val::Null)),
            regex => (regex, &Val::Null),
        };
        let mut builder = RegexBuilder::new(text(regex)?);
        let (mut is_global, mut skips_empty) = (false, false);
        for flags in [flags, more] {
            let flags = if let Val::Null = flags { "" } else { text(flags)? };
            for flag in flags.chars() {
                match flag {
                    'g' => is_global = true,
                    'n' => skips_empty = true,
                    'i' => _ = builder.case_insensitive(true),
                    'm' => _ = builder.multi_line(true),
                    's' => _ = builder.dot_matches_new_line(true),
                    'l' => _ = builder.swap_greed(true),
                    'x' => _ = builder.ignore_whitespace(true),
                    'p' => _ = builder.multi_line(true).dot_matches_new_line(true),
                    other => return Err(error(&format!("invalid regex flag: {other}"))),
                }
            }
        }
        let regex = builder.build().map_err(|why| error(&format!("invalid regex: {why}")))?;
        Ok(Pattern { regex, is_global, skips_empty })
    }

    fn found<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Captures<'a>> {
        let is_wanted = |captures: &Captures<'_>| !self.skips_empty || captures.get(0).is_none_or(|whole| !whole.is_empty());
        self.regex.captures_iter(text).filter(is_wanted).take(if self.is_global { usize::MAX } else { 1 })
    }

    fn pieces(&self, value: &Val, mut at_match: impl FnMut(&Captures<'_>, &mut Vec<Val>)) -> Result {
        let text = bytes(value)?;
        let (mut pieces, mut end) = (Vec::new(), 0);
        for captures in self.found(text) {
            let Some(whole) = captures.get(0) else { continue };
            pieces.push(value.as_sub_str(&text[end..whole.start()]));
            at_match(&captures, &mut pieces);
            end = whole.end();
        }
        pieces.push(value.as_sub_str(&text[end..]));
        Ok(pieces.into_iter().collect())
    }
}

fn text(value: &Val) -> Result<&str> {
    std::str::from_utf8(bytes(value)?).map_err(|why| error(&why.to_string()))
}

/// As many as the text has; bytes that are no UTF-8 count as they can be read.
fn characters(text: &[u8]) -> usize {
    text.utf8_chunks().map(|chunk| chunk.valid().chars().count() + usize::from(!chunk.invalid().is_empty())).sum()
}

fn key(name: &str) -> Val {
    Val::from(name.to_owned())
}

/// A match is shown in a kilobyte, whatever its length, and all of them at once.
const MOST_GROUPS: usize = 1 << 16;
