//! JSON: texts are copied as they are, and what stands around them is compact.
//!
//! **Invariant:** the buffer is made once, in its final size.

use std::ops::Range;

use super::{Body, Node, md5_hex};

/// Writes `node`; where `data` is one of its texts (the same memory), its place is noted.
pub(super) fn write(node: &Node<'_>, data: &str) -> Body {
    let mut json = Json { body: Body { bytes: Vec::with_capacity(length(node)), data_at: None }, data };
    json.node(node, 0..0);
    json.body
}

/// How many bytes `node` is as JSON.
pub(super) fn length(node: &Node<'_>) -> usize {
    match *node {
        Node::Integer(number) => number.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1 + usize::from(number < 0),
        Node::Json(text) => text.len(),
        Node::Md5 => 32 + 2,
        Node::Null => 4,
        Node::Object(fields) => {
            let inside: usize = fields.iter().map(|(name, node)| name.len() + 3 + length(node)).sum();
            inside + fields.len().max(1) + 1
        }
        Node::Text(text) => text.len() + 2,
    }
}

struct Json<'a> {
    body: Body,
    data: &'a str,
}

impl Json<'_> {
    /// Writes `node`; `before` is where the value before it stands.
    fn node(&mut self, node: &Node<'_>, before: Range<usize>) {
        match *node {
            Node::Integer(number) => self.raw(&number.to_string()),
            Node::Json(text) => {
                let start = self.body.bytes.len();
                self.raw(text);
                if std::ptr::eq(text, self.data) {
                    self.body.data_at = Some(start..self.body.bytes.len());
                }
            }
            Node::Md5 => self.quoted(&md5_hex(&self.body.bytes[before])),
            Node::Null => self.raw("null"),
            Node::Object(fields) => self.object(fields),
            Node::Text(text) => self.quoted(text),
        }
    }

    fn object(&mut self, fields: &[(&str, Node<'_>)]) {
        self.raw("{");
        let mut before = 0..0;
        for (index, (name, node)) in fields.iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            self.quoted(name);
            self.raw(":");
            let start = self.body.bytes.len();
            self.node(node, before);
            before = start..self.body.bytes.len();
        }
        self.raw("}");
    }

    fn quoted(&mut self, text: &str) {
        self.raw("\"");
        self.raw(text);
        self.raw("\"");
    }

    fn raw(&mut self, text: &str) {
        self.body.bytes.extend_from_slice(text.as_bytes());
    }
}
