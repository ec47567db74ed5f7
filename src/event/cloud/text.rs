//! What the texts of attributes may be, and how headers carry them.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, percent_decode, utf8_percent_encode};

/// A header's value for a text: percent-encoded as the HTTP protocol binding has it (3.1.3.2).
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNSAFE).to_string()
}

/// What a header's value stands for. Earlier versions put a quoted string around it, which is taken off first.
pub(super) fn decoded(value: &[u8]) -> Option<Cow<'_, str>> {
    match unquoted(value) {
        Some(text) => percent_decode(&text).decode_utf8().ok().map(|text| Cow::Owned(text.into_owned())),
        None => percent_decode(value).decode_utf8().ok(),
    }
}

/// The text of a quoted string (RFC 7230, section 3.2.6); `None` where `value` is none.
fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(value.len());
    let mut bytes = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?.iter();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'\\' => *bytes.next()?,
            b'"' => return None,
            byte => *byte,
        });
    }
    Some(text)
}

/// What a string of the CloudEvents type system must not have; lone surrogates are in no text here.
pub(super) fn is_no_string_character(character: char) -> bool {
    let is_noncharacter = matches!(character, '\u{fdd0}'..='\u{fdef}') || u32::from(character) & 0xfffe == 0xfffe;
    character.is_control() || is_noncharacter
}

/// Whether `text` may be a URI reference (RFC 3986, by its characters) or an IRI's.
pub fn is_uri_reference(text: &str) -> bool {
    let forbidden = |character: char| character.is_control() || character == ' ' || "\"<>\\^`{|}".contains(character);
    !text.is_empty() && !text.contains(forbidden)
}

/// The same for a URI: it names its scheme (RFC 3986, section 3.1).
pub(super) fn is_uri(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    is_uri_reference(text) && scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(goes_on)
}

/// What is percent-encoded besides what is not ASCII: a space, a double quote, a percent sign, and control characters.
const UNSAFE: &AsciiSet = &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'%');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quoted_string_is_unescaped_before_it_is_decoded() {
        for (value, expected) in [
            (r#""Euro%20%E2%82%AC""#, Some("Euro €")),
            (r#""a \"b\" c""#, Some("a \"b\" c")),
            (r#""a\\b""#, Some("a\\b")),
            (r#""\%41""#, Some("A")),
            (r#""""#, Some("")),
            (r#"a \"b\""#, Some("a \\\"b\\\"")),
            (r#"""#, Some("\"")),
            (r#""a" b""#, Some("\"a\" b\"")),
            (r#""a\""#, Some("\"a\\\"")),
            ("100%", Some("100%")),
            ("%C0%A0", None),
        ] {
            assert_eq!(decoded(value.as_bytes()).as_deref(), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_visible_ascii_and_read_back(text in "\\PC{0,40}|.{0,40}") {
            let header = encoded(&text);
            prop_assert!(header.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(decoded(header.as_bytes()), Some(Cow::Borrowed(text.as_str())));
        }
    }
}
