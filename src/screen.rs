//! What a terminal may be shown.
//!
//! In comes text that a stranger may have written; out goes text that cannot steer a terminal, and columns counted.
//!
//! **Invariant:** what comes out has no character that [`misleads`], but for line breaks and tabs where it says so.

use unicode_width::UnicodeWidthChar;

/// Whether a terminal must not get it: it obeys control characters (a tab is harmless); those that turn the direction of
/// writing would show a line that is not there, and those without a width one that seems right.
pub fn misleads(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_unseen = matches!(character, '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}');
    (character.is_control() && character != '\t') || turns || is_unseen
}

/// `text` with what would mislead escaped, but for line feeds; a tab stays, too.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if misleads(character) && character != '\n' {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Appends `text` to a line, blanks and line breaks as one blank each, what would mislead escaped, and cut with `…` where
/// it takes more than `limit` columns. Returns the columns taken.
pub fn push_cut(line: &mut String, text: &str, limit: usize) -> usize {
    // Most texts are one plain word.
    if text.len() <= limit && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        line.push_str(text);
        return text.len();
    }
    let (mut used, mut fitting) = (0, (line.len(), 0));
    let mut is_begun = false;
    for word in text.split_whitespace() {
        let blank = is_begun.then_some(' ');
        is_begun = true;
        for character in blank.into_iter().chain(word.chars()) {
            let width = push(line, character);
            used += width;
            if used > limit {
                line.truncate(fitting.0);
                let mark = usize::from(limit > 0);
                line.extend("…".chars().take(mark));
                return fitting.1 + mark;
            }
            if used < limit {
                fitting = (line.len(), used);
            }
        }
    }
    used
}

/// The columns that `text` takes, shown so and whole.
pub fn columns(text: &str) -> usize {
    push_cut(&mut String::new(), text, usize::MAX)
}

fn push(line: &mut String, character: char) -> usize {
    if misleads(character) {
        let before = line.len();
        line.extend(character.escape_default());
        return line.len() - before;
    }
    line.push(character);
    match character {
        // It asks for the wide form of what stands before it, which some terminals show.
        '\u{fe0f}' => 1,
        _ => character.width().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn what_a_stranger_wrote_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2J\r\n\tb"), "a\\u{1b}[2J\\r\n\tb");
        assert_eq!(printable("a\u{202e}b\u{200b}c"), "a\\u{202e}b\\u{200b}c");
    }

    #[test]
    fn a_text_that_fits_is_whole_and_a_longer_one_ends_in_a_mark() {
        for (text, limit, shown) in [
            ("delivered", 9, "delivered"),
            ("delivered", 8, "deliver…"),
            ("a\r\n\tb  c ", 5, "a b c"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}e\u{301}e\u{301}", 3, "e\u{301}e\u{301}e\u{301}"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("\u{1b}[31m", 99, "\\u{1b}[31m"),
            ("\u{1b}[31m", 7, "\\u{1b}…"),
            ("\u{1b}[31m", 6, "…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            ("", 0, ""),
        ] {
            let mut line = "> ".to_owned();
            let used = push_cut(&mut line, text, limit);
            assert_eq!((&line[2..], used), (shown, shown.width()), "{text:?} in {limit}");
        }
    }

    proptest! {
        #[test]
        fn a_text_takes_no_more_columns_than_it_may(text in "(\\PC|[\\x00-\\x20\u{7f}-\u{9f}]|[語\u{301}\u{fe0f}\u{202e}\u{1f600}❤]){0,40}", limit in 0..30_usize) {
            let mut line = String::new();
            let used = push_cut(&mut line, &text, limit);
            prop_assert!(line.width() <= used && used <= limit, "{line:?}");
            prop_assert!(!line.chars().any(|c| c.is_control() || misleads(c)), "{line:?}");
        }
    }
}
