//! Texts for people that may repeat secrets, as an answer does that shows what it was sent.
//!
//! Comes in: the secrets, and the text. Goes out: the text with `***` in their place. A secret is found in whatever way its
//! characters are spelled: as they are, or escaped as in JSON, HTML and URLs, each character in its own way.
//!
//! **Invariant:** no part of a secret stays beside its mask, also where secrets overlap or the text ends inside one.

use smallvec::{SmallVec, smallvec};
use zeroize::Zeroizing;

use super::secret::Secret;

/// Secrets to be looked for.
pub struct Mask<'a> {
    secrets: Vec<&'a str>,
    misread: Vec<Zeroizing<String>>,
}

impl<'a> Mask<'a> {
    pub fn new(secrets: impl IntoIterator<Item = &'a Secret>) -> Mask<'a> {
        let secrets: Vec<&str> = secrets.into_iter().map(Secret::expose).filter(|text| !text.is_empty()).collect();
        // Many receivers read UTF-8 in a header as Latin-1.
        let misread = secrets.iter().filter(|text| !text.is_ascii()).map(|text| text.bytes().map(char::from).collect::<String>());
        Mask { misread: misread.map(Zeroizing::new).collect(), secrets }
    }

    /// The text without the secrets.
    pub fn over(&self, text: &str) -> String {
        self.masked(text, false)
    }

    /// The same for the beginning of a longer text, whose end may be the beginning of a secret.
    pub fn over_beginning(&self, text: &str) -> String {
        // What was cut inside a character ends in its replacement.
        let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let masked = self.masked(whole, true);
        if masked.ends_with(MASK) { masked } else { masked + &text[whole.len()..] }
    }

    fn masked(&self, text: &str, goes_on: bool) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut hidden = 0;
        let secrets = || self.secrets.iter().copied().chain(self.misread.iter().map(|text| text.as_str()));
        for (at, character) in text.char_indices() {
            let longest = secrets().filter_map(|secret| spelled(&text[at..], secret, goes_on)).max();
            if let Some(end) = longest.map(|length| at + length).filter(|end| *end > hidden) {
                if at >= hidden {
                    masked.push_str(MASK);
                }
                hidden = end;
            }
            if at >= hidden {
                masked.push(character);
            }
        }
        masked
    }
}

/// Whether a text that is no secret by itself, such as a name or a part of a URL, is worth masking: shorter ones stand in
/// every other text by chance.
pub fn is_telling(text: &str) -> bool {
    text.chars().nth(TELLING - 1).is_some()
}

/// How many bytes of `text` spell `secret`, or, where the text `goes_on`, are all of it and spell the beginning.
fn spelled(text: &str, secret: &str, goes_on: bool) -> Option<usize> {
    // Several, for a `%` may be itself or begin another character's spelling.
    let mut ends: SmallVec<[usize; 4]> = smallvec![0];
    for character in secret.chars() {
        let mut next = SmallVec::new();
        for end in ends {
            let (lengths, is_cut) = spellings(&text[end..], character);
            if is_cut && goes_on && end > 0 {
                return Some(text.len());
            }
            next.extend(lengths.into_iter().map(|length| end + length));
        }
        if next.is_empty() {
            return None;
        }
        ends = next;
    }
    ends.into_iter().max()
}

/// How long the spellings of `character` are that `text` begins with, and whether it ends before one of them does.
fn spellings(text: &str, character: char) -> (SmallVec<[usize; 2]>, bool) {
    let mut lengths = SmallVec::new();
    let Some(first) = text.chars().next() else { return (lengths, true) };
    if first == character {
        lengths.push(first.len_utf8());
    }
    if !matches!(first, '\\' | '&' | '%' | '+') {
        return (lengths, false);
    }
    let mut is_cut = false;
    for spelling in escapes(character) {
        let length = spelling.len().min(text.len());
        if text.as_bytes()[..length].eq_ignore_ascii_case(&spelling.as_bytes()[..length]) {
            if length == spelling.len() {
                lengths.push(length);
            } else {
                is_cut = true;
            }
        }
    }
    (lengths, is_cut)
}

/// How JSON (RFC 8259, section 7), HTML and URLs escape a character.
fn escapes(character: char) -> Vec<String> {
    let mut units = [0; 2];
    let units: String = character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    let mut bytes = [0; 4];
    let bytes: String = character.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02x}")).collect();
    let code = u32::from(character);
    let numbers = [format!("&#{code};"), format!("&#0{code};"), format!("&#x{code:x};")];
    let short = SHORT.iter().filter(|(of, _)| *of == character).map(|(_, spelling)| (*spelling).to_owned());
    [units, bytes].into_iter().chain(numbers).chain(short).collect()
}

const SHORT: &[(char, &str)] = &[
    ('"', "\\\""),
    ('\\', "\\\\"),
    ('/', "\\/"),
    ('\u{8}', "\\b"),
    ('\u{c}', "\\f"),
    ('\n', "\\n"),
    ('\r', "\\r"),
    ('\t', "\\t"),
    ('"', "&quot;"),
    ('&', "&amp;"),
    ('\'', "&apos;"),
    ('<', "&lt;"),
    ('>', "&gt;"),
    (' ', "+"),
];

const MASK: &str = "***";

/// In characters.
const TELLING: usize = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        texts.iter().map(|text| Secret::new((*text).to_owned())).collect()
    }

    #[test]
    fn secrets_that_overlap_or_contain_one_another_are_masked_whole() {
        for (texts, text, expected) in [
            (&["abc12345", "abc12345SUFFIX"][..], "x abc12345SUFFIX, abc12345.", "x ***, ***."),
            (&["abcd", "cdef"], "abcdef abcd", "*** ***"),
            (&["hunter2"], "hunter2hunter2 hunter", "****** hunter"),
            (&[""], "a", "a"),
            (&["naïve-sécrèt"], "«naïve-sécrèt»", "«***»"),
        ] {
            assert_eq!(Mask::new(&secrets(texts)).over(text), expected, "{text}");
        }
    }

    #[test]
    fn a_secret_is_masked_in_whatever_way_it_is_escaped() {
        let secrets = secrets(&["p&s\"w<r d/é%😀'"]);
        for text in [
            "p&s\"w<r d/é%😀'",
            "p&s\\\"w<r d\\/é%😀'",
            "p\\u0026s\\\"w\\u003Cr d/\\u00e9%\\ud83d\\ude00'",
            "p&amp;s&quot;w&lt;r d/é%😀&#39;",
            "p&amp;s&#34;w&lt;r d/é%😀&#x27;",
            "p&amp;s&quot;w&lt;r d/é%😀&#039;",
            "p%26s%22w%3Cr%20d%2F%C3%A9%25%F0%9F%98%80%27",
            "p&s\"w<r d/Ã©%ð\u{9f}\u{98}\u{80}'",
            "p&s\\\"w<r d/\\u00c3\\u00a9%\\u00f0\\u009f\\u0098\\u0080'",
            "p%26s%22w%3cr+d%2f%c3%a9%25%f0%9f%98%80'",
        ] {
            assert_eq!(Mask::new(&secrets).over(&format!("<{text}>")), "<***>", "{text}");
        }
    }

    #[test]
    fn a_text_that_was_cut_inside_a_secret_ends_in_the_mask() {
        let secrets = secrets(&["ab&\"é"]);
        let mask = Mask::new(&secrets);
        for end in ["a", "ab", "ab&", "ab&am", "ab&amp;", "ab&amp;&quo", "ab%26%22%C3", "ab&\"\u{fffd}"] {
            assert_eq!(mask.over_beginning(&format!("x {end}")), "x ***", "{end}");
            assert_eq!(mask.over(&format!("x {end}")), format!("x {end}"), "{end}");
        }
        assert_eq!(mask.over_beginning("100 % &"), "100 % &");
        assert_eq!(mask.over_beginning("x\u{fffd}"), "x\u{fffd}");
    }

    proptest! {
        #[test]
        fn a_secret_is_found_anywhere(before in "[a-d%&]{0,6}", secret in "[a-d%&\"é]{1,6}", after in "[a-d%&]{0,6}") {
            let secrets = secrets(&[&secret]);
            let json = serde_json::to_string(&secret).unwrap();
            for spelling in [&secret, &json[1..json.len() - 1]] {
                let masked = Mask::new(&secrets).over(&format!("{before}{spelling}{after}"));
                prop_assert!(masked.contains(MASK), "{masked}");
                prop_assert!(!masked.contains(&secret), "{masked}");
            }
        }
    }
}
