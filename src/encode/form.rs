//! Form: `application/x-www-form-urlencoded` (WHATWG URL, section 5), nested in brackets as PHP, Rack and qs read it.
//!
//! In arrays scalars take `[]`, and containers their place among all elements: a reader that gives `[]` the next free
//! index then never puts two elements in one place, and keeps their order.
//!
//! **Invariant:** the path of a value is encoded once, not once for each value below it.

use std::{fmt::Write, ops::Range};

use form_urlencoded::byte_serialize;

use super::{
    MAX_GROWN, Node, TooLarge, json, md5_hex,
    walk::{Token, Tokens},
};

/// Writes `node` as pairs; a value that is no object is `data`.
pub(super) fn write(node: &Node<'_>) -> Result<Vec<u8>, TooLarge> {
    let mut form = Form { pairs: String::with_capacity(json::length(node) * 3 + 128), path: String::with_capacity(256) };
    match *node {
        Node::Object(fields) => form.object(fields, Keys::Bare)?,
        Node::Json(text) if text.trim_ascii_start().starts_with('{') => form.json(text, Keys::Bare)?,
        _ => {
            form.path.push_str("data");
            form.node(node, 0..0)?;
        }
    }
    let mut bytes = form.pairs.into_bytes();
    bytes.shrink_to_fit();
    Ok(bytes)
}

struct Form {
    /// All pairs so far.
    pairs: String,
    /// The name of the value at hand, encoded.
    path: String,
}

/// How an object's keys stand in a path.
#[derive(Clone, Copy)]
enum Keys {
    /// At the start of it.
    Bare,
    /// In brackets.
    Bracketed,
}

/// An array or object that is being written; `at` is where its own path ends.
enum Open {
    Array { at: usize, next: usize },
    Object { at: usize, keys: Keys },
}

impl Form {
    /// Writes `node` at the path; `before` is where the field before it stands.
    fn node(&mut self, node: &Node<'_>, before: Range<usize>) -> Result<(), TooLarge> {
        match *node {
            Node::Integer(number) => self.pair(&number.to_string()),
            Node::Json(text) => self.json(text, Keys::Bracketed),
            Node::Md5 => {
                let digest = md5_hex(self.pairs[before].trim_start_matches('&').as_bytes());
                self.pair(&digest)
            }
            Node::Null => self.pair(""),
            Node::Object(fields) => self.object(fields, Keys::Bracketed),
            Node::Text(text) => self.pair(text),
        }
    }

    fn object(&mut self, fields: &[(&str, Node<'_>)], keys: Keys) -> Result<(), TooLarge> {
        let at = self.path.len();
        let mut before = 0..0;
        for (name, node) in fields {
            self.key(name, at, keys);
            let start = self.pairs.len();
            self.node(node, before)?;
            before = start..self.pairs.len();
        }
        self.path.truncate(at);
        Ok(())
    }

    /// Writes JSON text at the path.
    fn json(&mut self, text: &str, outermost: Keys) -> Result<(), TooLarge> {
        let mut keys = outermost;
        let mut stack: Vec<Open> = Vec::new();
        for token in Tokens::of(text) {
            match token {
                Token::ArrayEnd | Token::ObjectEnd => {
                    stack.pop();
                }
                Token::ArrayStart => {
                    self.enter(&mut stack);
                    stack.push(Open::Array { at: self.path.len(), next: 0 });
                }
                Token::Key(name) => {
                    if let Some(&Open::Object { at, keys }) = stack.last() {
                        self.key(&name, at, keys);
                    }
                }
                Token::Literal(text) => self.scalar(text, &mut stack)?,
                Token::Null => self.scalar("", &mut stack)?,
                Token::ObjectStart => {
                    self.enter(&mut stack);
                    stack.push(Open::Object { at: self.path.len(), keys });
                    keys = Keys::Bracketed;
                }
                Token::Text(text) => self.scalar(&text, &mut stack)?,
            }
        }
        Ok(())
    }

    /// Makes the path that of the container that begins next.
    fn enter(&mut self, stack: &mut [Open]) {
        if let Some(Open::Array { at, next }) = stack.last_mut() {
            self.path.truncate(*at);
            let _infallible = write!(self.path, "{OPEN}{next}{CLOSE}");
            *next += 1;
        }
    }

    /// Makes the path that of the member `name` of an object.
    fn key(&mut self, name: &str, at: usize, keys: Keys) {
        self.path.truncate(at);
        match keys {
            Keys::Bare => self.path.extend(byte_serialize(name.as_bytes())),
            Keys::Bracketed => {
                self.path.push_str(OPEN);
                self.path.extend(byte_serialize(name.as_bytes()));
                self.path.push_str(CLOSE);
            }
        }
    }

    fn scalar(&mut self, value: &str, stack: &mut [Open]) -> Result<(), TooLarge> {
        if let Some(Open::Array { at, next }) = stack.last_mut() {
            self.path.truncate(*at);
            self.path.push_str(OPEN);
            self.path.push_str(CLOSE);
            *next += 1;
        }
        self.pair(value)
    }

    fn pair(&mut self, value: &str) -> Result<(), TooLarge> {
        // Three bytes for one is the most that encoding makes of a value.
        if self.pairs.len() + self.path.len() + 3 * value.len() > MAX_GROWN {
            return Err(TooLarge);
        }
        if !self.pairs.is_empty() {
            self.pairs.push('&');
        }
        self.pairs.push_str(&self.path);
        self.pairs.push('=');
        self.pairs.extend(byte_serialize(value.as_bytes()));
        Ok(())
    }
}

const OPEN: &str = "%5B";
const CLOSE: &str = "%5D";
