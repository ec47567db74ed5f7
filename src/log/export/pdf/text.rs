//! Text, as far as a page can show it: measured, and broken into lines.

use super::{
    font::Font,
    widths::{BOLD, FIRST, REGULAR},
};

/// The fonts of a report: Helvetica, which every reader has, and before it the one it was given.
pub(super) struct Fonts {
    pub(super) given: Option<Font>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Weight {
    Bold,
    Regular,
}

/// What a glyph is drawn with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Face {
    Helvetica,
    HelveticaBold,
    Given,
    /// The given font, drawn thicker: there is no second file.
    GivenBold,
}

#[derive(Clone, Copy)]
pub(super) struct Glyph {
    pub(super) face: Face,
    /// Of the face: one byte in Helvetica (Windows-1252), two in the given font.
    pub(super) code: u16,
    /// In thousandths of the font's size.
    width: f32,
    edge: Edge,
}

/// Whether a line may end after a glyph.
#[derive(Clone, Copy, PartialEq)]
enum Edge {
    /// If need be.
    Firm,
    /// Never.
    Glued,
    /// Gladly, as after a dot.
    Soft,
    /// After a space, and more gladly.
    Space,
}

#[derive(Default)]
pub(super) struct Line {
    pub(super) glyphs: Vec<Glyph>,
    width: f32,
}

impl Fonts {
    /// `text` in as many lines of `width` as it takes, and at `most`; what is left out leaves a `…`. The width is in
    /// multiples of the font's size. There is always a line.
    #[inline(never)]
    pub(super) fn lines(&mut self, text: &str, weight: Weight, width: f32, most: usize) -> Vec<Line> {
        let width = width * 1000.0;
        let mut rest = Vec::new();
        let mut enough = most as f32 * width;
        for character in text.chars() {
            let before = rest.len();
            self.push(character, weight, &mut rest);
            enough -= rest[before..].iter().map(|glyph| glyph.width).sum::<f32>();
            if enough < 0.0 {
                break;
            }
        }
        let mut lines = Vec::new();
        while lines.len() + 1 < most && sum(&rest) > width {
            let end = break_of(&rest, width);
            let next = rest.split_off(end);
            lines.push(Line::of(std::mem::replace(&mut rest, next)));
        }
        lines.push(self.cut(rest, weight, width));
        lines
    }

    /// `text` in one line of any width.
    #[inline(never)]
    pub(super) fn line(&mut self, text: &str, weight: Weight) -> Line {
        let mut glyphs = Vec::new();
        text.chars().for_each(|character| self.push(character, weight, &mut glyphs));
        Line::of(glyphs)
    }

    /// The size of the given font, in multiples of Helvetica's.
    pub(super) fn scale(&self) -> f32 {
        self.given.as_ref().map_or(1.0, Font::scale)
    }

    fn cut(&mut self, mut glyphs: Vec<Glyph>, weight: Weight, width: f32) -> Line {
        if sum(&glyphs) > width {
            let dots = self.line("…", weight);
            let end = fitting(&glyphs, width - dots.width);
            glyphs.truncate(whole(&glyphs, end));
            glyphs.extend(dots.glyphs);
        }
        Line::of(glyphs)
    }

    fn push(&mut self, character: char, weight: Weight, glyphs: &mut Vec<Glyph>) {
        let edge = match character {
            ' ' => Edge::Space,
            '.' | '/' | '_' | '-' | ':' | ',' => Edge::Soft,
            _ => Edge::Firm,
        };
        if let Some(glyph) = self.glyph(character, weight, edge) {
            glyphs.push(glyph);
            return;
        }
        let code = format!("U+{:04X}", u32::from(character));
        glyphs.extend(code.chars().filter_map(|character| self.glyph(character, weight, Edge::Glued)));
        if let Some(last) = glyphs.last_mut() {
            last.edge = Edge::Firm;
        }
    }

    fn glyph(&mut self, character: char, weight: Weight, edge: Edge) -> Option<Glyph> {
        if is_unseen(character) {
            return None;
        }
        if let Some(sign) = self.given.as_mut().and_then(|font| font.sign(character)) {
            let face = if weight == Weight::Bold { Face::GivenBold } else { Face::Given };
            return Some(Glyph { face, code: sign.number, width: sign.width * self.scale(), edge });
        }
        let code = windows_1252(character)?;
        let (face, widths) = match weight {
            Weight::Bold => (Face::HelveticaBold, &BOLD),
            Weight::Regular => (Face::Helvetica, &REGULAR),
        };
        Some(Glyph { face, code: code.into(), width: widths[usize::from(code - FIRST)].into(), edge })
    }
}

impl Line {
    fn of(glyphs: Vec<Glyph>) -> Line {
        Line { width: sum(&glyphs), glyphs }
    }

    pub(super) fn width(&self, size: f32) -> f32 {
        self.width * size / 1000.0
    }
}

fn sum(glyphs: &[Glyph]) -> f32 {
    glyphs.iter().map(|glyph| glyph.width).sum()
}

/// How many glyphs `width` takes.
fn fitting(glyphs: &[Glyph], width: f32) -> usize {
    let mut used = 0.0;
    let fits = |glyph: &&Glyph| {
        used += glyph.width;
        used <= width
    };
    glyphs.iter().take_while(fits).count()
}

/// Where a line that is too long ends: after a space or a soft edge of its second half, if there is one.
fn break_of(glyphs: &[Glyph], width: f32) -> usize {
    let end = fitting(glyphs, width);
    let after = |edge| {
        let last = glyphs[end / 2..end].iter().rposition(|glyph| glyph.edge == edge);
        last.map(|last| end / 2 + last + 1)
    };
    let end = after(Edge::Space).or_else(|| after(Edge::Soft)).unwrap_or_else(|| whole(glyphs, end));
    // A line that takes nothing would be followed by the same one.
    end.max(1)
}

/// `end`, or before the `U+XXXX` that it would cut.
fn whole(glyphs: &[Glyph], end: usize) -> usize {
    glyphs[..end].iter().rposition(|glyph| glyph.edge != Edge::Glued).map_or(0, |last| last + 1)
}

/// Whether a character is none to be seen: it steers whoever obeys it, or hides between others.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..)
}

/// The character in the encoding that Helvetica is used with (ISO 32000-1, D.2: WinAnsiEncoding).
fn windows_1252(character: char) -> Option<u8> {
    match character {
        ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(character)).ok(),
        _ => BETWEEN.iter().find(|(other, _)| *other == character).map(|(_, code)| *code),
    }
}

/// Where Windows-1252 is not Latin-1.
const BETWEEN: [(char, u8); 27] = [
    ('€', 0x80),
    ('‚', 0x82),
    ('ƒ', 0x83),
    ('„', 0x84),
    ('…', 0x85),
    ('†', 0x86),
    ('‡', 0x87),
    ('ˆ', 0x88),
    ('‰', 0x89),
    ('Š', 0x8a),
    ('‹', 0x8b),
    ('Œ', 0x8c),
    ('Ž', 0x8e),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('•', 0x95),
    ('–', 0x96),
    ('—', 0x97),
    ('˜', 0x98),
    ('™', 0x99),
    ('š', 0x9a),
    ('›', 0x9b),
    ('œ', 0x9c),
    ('ž', 0x9e),
    ('Ÿ', 0x9f),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_helvetica_lacks_or_nobody_sees_is_named() {
        for (text, shown) in [
            ("café €5 – “ok” ÿ", "café €5 – “ok” ÿ"),
            ("(a) \\ %", "(a) \\ %"),
            ("日本", "U+65E5U+672C"),
            ("😀", "U+1F600"),
            ("a\u{1b}[2J\n\t\0\u{7f}\u{85}", "aU+001B[2JU+000AU+0009U+0000U+007FU+0085"),
            ("\u{202e}x\u{2066}\u{200b}\u{ad}\u{feff}", "U+202ExU+2066U+200BU+00ADU+FEFF"),
        ] {
            assert_eq!(read(&helvetica().line(text, Weight::Regular)), shown);
        }
    }

    #[test]
    fn long_text_breaks_at_spaces_else_at_dots_else_anywhere_and_is_cut() {
        for (text, lines) in [
            ("short", &["short"][..]),
            ("", &[""]),
            ("connection refused", &["connection ", "refused"]),
            ("purchase.completed", &["purchase.", "completed"]),
            ("xxxxxxxxxxxxxxxxxxx", &["xxxxxxxxxxxx", "xxxxxxx"]),
            ("one two three four five six", &["one two ", "three four fi…"]),
            ("xxxxxxxxU+日日日", &["xxxxxxxxU+", "U+65E5…"]),
        ] {
            let found: Vec<String> = helvetica().lines(text, Weight::Regular, 6.1, 2).iter().map(read).collect();
            assert_eq!(found, lines);
        }
    }

    proptest! {
        #[test]
        fn lines_fit_and_what_is_left_out_is_marked(text in "\\PC{0,80}|[a-z ./-]{0,200}", width in 6.0..40.0_f32, most in 1..4_usize) {
            let mut fonts = helvetica();
            let lines = fonts.lines(&text, Weight::Bold, width, most);
            prop_assert!((1..=most).contains(&lines.len()));
            prop_assert!(lines.iter().all(|line| line.width(1.0) <= width * 1.0001));
            let shown: String = lines.iter().map(read).collect();
            let whole = read(&fonts.line(&text, Weight::Bold));
            match shown.strip_suffix('…') {
                Some(begin) if shown != whole => prop_assert!(whole.starts_with(begin)),
                _ => prop_assert_eq!(shown, whole),
            }
        }
    }

    fn helvetica() -> Fonts {
        Fonts { given: None }
    }

    fn read(line: &Line) -> String {
        let character = |glyph: &Glyph| {
            let between = BETWEEN.iter().find(|(_, code)| u16::from(*code) == glyph.code);
            between.map_or(char::from(glyph.code as u8), |(character, _)| *character)
        };
        line.glyphs.iter().map(character).collect()
    }
}
