//! Reads valid JSON text forward, once, token by token.
//!
//! Validity was checked at the door, so there is nothing here that checks it. Strings without an escape are borrowed,
//! numbers stay text.
//!
//! **Invariant:** each byte is looked at a fixed number of times, whatever the depth, and no text at all makes this panic
//! or run for ever: an invalid one only ends early or gives other tokens.

use std::borrow::Cow;

/// A piece of JSON; commas and colons are implied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    ArrayEnd,
    ArrayStart,
    /// A member's name; its value comes next.
    Key(Cow<'a, str>),
    /// A number as written, `true` or `false`.
    Literal(&'a str),
    Null,
    ObjectEnd,
    ObjectStart,
    Text(Cow<'a, str>),
}

/// The tokens of a JSON text, in order.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str) -> Tokens<'a> {
        Tokens { text, at: 0 }
    }

    fn string(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        let mut escaped = false;
        let mut end = start + 1;
        loop {
            end += memchr::memchr2(b'"', b'\\', self.text.as_bytes().get(end..)?)?;
            if self.text.as_bytes()[end] == b'"' {
                break;
            }
            escaped = true;
            end += 2;
        }
        self.at = end + 1;
        let text = if escaped {
            Cow::Owned(serde_json::from_str(self.text.get(start..=end)?).ok()?)
        } else {
            Cow::Borrowed(self.text.get(start + 1..end)?)
        };
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        let is_key = self.text.as_bytes().get(self.at) == Some(&b':');
        Some(if is_key { Token::Key(text) } else { Token::Text(text) })
    }

    fn literal(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        self.skip(|byte| !matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'));
        let text = self.text.get(start..self.at)?;
        Some(if text == "null" { Token::Null } else { Token::Literal(text) })
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        while self.text.as_bytes().get(self.at).is_some_and(|&byte| skipped(byte)) {
            self.at += 1;
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':'));
        let token = match self.text.as_bytes().get(self.at)? {
            b'"' => return self.string(),
            b'[' => Token::ArrayStart,
            b']' => Token::ArrayEnd,
            b'{' => Token::ObjectStart,
            b'}' => Token::ObjectEnd,
            _ => return self.literal(),
        };
        self.at += 1;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_token_is_told_from_the_others() {
        let text = " { \"a\\u0062\" : [ -0 ,1e400, true,null,\"x\" , \"\\\"\\\\\" ] ,\"\":{}}\n";
        let expected = [
            Token::ObjectStart,
            Token::Key("ab".into()),
            Token::ArrayStart,
            Token::Literal("-0"),
            Token::Literal("1e400"),
            Token::Literal("true"),
            Token::Null,
            Token::Text("x".into()),
            Token::Text("\"\\".into()),
            Token::ArrayEnd,
            Token::Key("".into()),
            Token::ObjectStart,
            Token::ObjectEnd,
            Token::ObjectEnd,
        ];
        assert_eq!(Tokens::of(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_string_without_an_escape_is_borrowed() {
        let Some(Token::Text(Cow::Borrowed(text))) = Tokens::of("\"né\"").next() else { panic!("copied") };
        assert_eq!(text, "né");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_run_for_ever(text in r#"([\[\]{}":, \\]|null|1|é|\\u00e9|.){0,40}"#) {
            prop_assert!(Tokens::of(&text).count() <= text.len());
        }
    }
}
