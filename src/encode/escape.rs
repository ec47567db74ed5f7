//! The interface's XML escapes, and a stand-in for what XML 1.0 cannot carry.
//!
//! **Invariant:** whatever text goes in, what comes out is well-formed where its [`Place`] says it stands.

/// Where a text stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Attribute,
    Text,
}

/// A text in pieces: runs that need no escape, and what stands for a character that does.
pub(super) struct Escaped<'a> {
    text: &'a str,
    place: Place,
}

impl<'a> Escaped<'a> {
    pub(super) fn new(text: &'a str, place: Place) -> Escaped<'a> {
        Escaped { text, place }
    }

    /// How many bytes from here on stand for themselves.
    fn plain(&self) -> usize {
        let bytes = self.text.as_bytes();
        let special = match self.place {
            Place::Attribute => &SPECIAL_IN_ATTRIBUTE,
            Place::Text => &SPECIAL_IN_TEXT,
        };
        let mut end = 0;
        while let Some(plain) = bytes[end..].iter().position(|&byte| special[byte as usize]) {
            end += plain;
            match bytes[end..] {
                [NONCHARACTER_START, 0xBF, 0xBE | 0xBF, ..] => return end,
                [NONCHARACTER_START, ..] => end += 3,
                _ => return end,
            }
        }
        bytes.len()
    }
}

impl<'a> Iterator for Escaped<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let first = *self.text.as_bytes().first()?;
        let plain = self.plain();
        if plain > 0 {
            let (run, rest) = self.text.split_at(plain);
            self.text = rest;
            return Some(run);
        }
        let (escape, length) = match first {
            b'&' => ("&amp;", 1),
            b'<' => ("&lt;", 1),
            b'>' => ("&gt;", 1),
            b'"' => ("&quot;", 1),
            b'\t' => ("&#9;", 1),
            b'\n' => ("&#10;", 1),
            b'\r' => ("&#13;", 1),
            NONCHARACTER_START => ("\u{FFFD}", 3),
            _ => ("\u{FFFD}", 1),
        };
        self.text = &self.text[length..];
        Some(escape)
    }
}

/// The bytes at which a text may need an escape. XML 1.0 `Char` is 9, A, D, 20–D7FF, E000–FFFD, 10000–10FFFF.
const fn special(place: Place) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'&' | b'<' | b'>' | b'\r' | NONCHARACTER_START => true,
            b'"' | b'\t' | b'\n' => matches!(place, Place::Attribute),
            byte => byte < b' ',
        };
        byte += 1;
    }
    table
}

const SPECIAL_IN_ATTRIBUTE: [bool; 256] = special(Place::Attribute);
const SPECIAL_IN_TEXT: [bool; 256] = special(Place::Text);
/// The first byte of U+FFFE and U+FFFF (`EF BF BE`, `EF BF BF`), and of others that are fine.
const NONCHARACTER_START: u8 = 0xEF;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_are_escaped_each_in_its_own_way() {
        let escaped = |text, place| Escaped::new(text, place).collect::<String>();
        let text = "a&<>\"'\t\n\r\u{0}\u{1f}\u{7f}\u{fffd}\u{fffe}\u{ffff}\u{feff}\u{e000}😀";
        let replaced = "\u{fffd}\u{fffd}\u{7f}\u{fffd}\u{fffd}\u{fffd}\u{feff}\u{e000}😀";
        assert_eq!(escaped(text, Place::Text), format!("a&amp;&lt;&gt;\"'\t\n&#13;{replaced}"));
        assert_eq!(escaped(text, Place::Attribute), format!("a&amp;&lt;&gt;&quot;'&#9;&#10;&#13;{replaced}"));
    }
}
