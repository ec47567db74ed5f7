//! Structured fields (RFC 9651), as far as signatures have them.
//!
//! **Invariant:** what is read is a piece of the field's text, as it stands there.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName};

use crate::sign::VerifyError;

/// The value of a field, all its lines put together (RFC 9421, section 2.1).
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<String, VerifyError> {
    let mut text = String::new();
    for (n, line) in headers.get_all(name).into_iter().enumerate() {
        let line = std::str::from_utf8(line.as_bytes()).map_err(|_| VerifyError::Unreadable { name: name.clone() })?;
        let separator = if n == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{}", line.trim());
    }
    if headers.contains_key(name) { Ok(text) } else { Err(VerifyError::Missing { name: name.clone() }) }
}

/// The members of a dictionary (RFC 9651, section 3.2), with their values as they stand.
pub(super) fn members(text: &str) -> Vec<(&str, &str)> {
    let (mut quoted, mut escaped, mut depth) = (false, false, 0i32);
    let pieces = text.split(move |character| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        character == ',' && !quoted && depth == 0
    });
    pieces.filter_map(|piece| piece.trim().split_once('=')).collect()
}

/// A member of `signature-input`: an inner list and its parameters (RFC 9651, section 3.1.1).
pub(super) struct Input<'a> {
    /// With their quotes, and their own parameters.
    pub(super) components: Vec<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Input<'a> {
    pub(super) fn read(text: &'a str) -> Option<Input<'a>> {
        let mut rest = text.strip_prefix('(')?;
        let mut components = Vec::new();
        loop {
            rest = rest.trim_start_matches(' ');
            if let Some(behind) = rest.strip_prefix(')') {
                let (parameters, rest) = parameters(behind)?;
                return rest.is_empty().then_some(Input { components, parameters });
            }
            let (_, behind) = bare_item(rest)?;
            let (_, behind) = parameters(behind)?;
            components.push(&rest[..rest.len() - behind.len()]);
            rest = behind;
        }
    }

    /// Without its quotes.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.parameters.iter().find(|(other, _)| *other == name)?;
        Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
    }

    /// As both sides write it, whatever blanks it came with.
    pub(super) fn canonical(&self) -> String {
        let mut text = format!("({})", self.components.join(" "));
        for (name, value) in &self.parameters {
            let separator = if value.is_empty() { "" } else { "=" };
            // Writing to a string cannot fail.
            let _ = write!(text, ";{name}{separator}{value}");
        }
        text
    }
}

/// The parameters that `rest` begins with, and what is behind them.
fn parameters(mut rest: &str) -> Option<(Vec<(&str, &str)>, &str)> {
    let mut parameters = Vec::new();
    while let Some(behind) = rest.strip_prefix(';') {
        let behind = behind.trim_start_matches(' ');
        let is_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*');
        let (name, behind) = behind.split_at(behind.bytes().take_while(|byte| is_key(*byte)).count());
        let (value, behind) = match behind.strip_prefix('=') {
            Some(value) => bare_item(value)?,
            None => ("", behind),
        };
        parameters.push((name, value));
        rest = behind;
    }
    Some((parameters, rest))
}

/// The value, a string or anything shorter, that `text` begins with, and what is behind it.
fn bare_item(text: &str) -> Option<(&str, &str)> {
    let end = match text.strip_prefix('"') {
        Some(string) => {
            let mut escaped = false;
            let closes = |character: char| {
                let closes = character == '"' && !escaped;
                escaped = character == '\\' && !escaped;
                closes
            };
            string.find(closes)? + 2
        }
        None => text.find([' ', ';', ')']).unwrap_or(text.len()),
    };
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_is_split_at_its_own_commas_only() {
        let text = r#"sig1=("a" "b");keyid="x,\"y",  sig2=:AA==:"#;
        assert_eq!(members(text), [("sig1", r#"("a" "b");keyid="x,\"y""#), ("sig2", ":AA==:")]);
    }

    #[test]
    fn an_input_is_read_whatever_its_blanks() {
        let plain = r#"("@method" "a";b=1 "c;d");created=5;keyid="k;created=9\"";flag;tag=x"#;
        let spaced = r#"(  "@method"   "a";b=1 "c;d" ); created=5; keyid="k;created=9\""; flag;tag=x"#;
        for text in [plain, spaced] {
            let input = Input::read(text).unwrap();
            assert_eq!(input.canonical(), plain);
            assert_eq!(input.components, ["\"@method\"", "\"a\";b=1", "\"c;d\""]);
            assert_eq!((input.parameter("created"), input.parameter("tag"), input.parameter("b")), (Some("5"), Some("x"), None));
        }
        for wrong in ["", "\"a\"", "(\"a\"", "(\"a\")x", "(\"a\");b=", "(\"a)"] {
            assert!(Input::read(wrong).is_none(), "{wrong}");
        }
    }
}
