//! XML 1.0: keys are elements, arrays repeat them, and quick-xml writes the markup.
//!
//! quick-xml neither checks names nor keeps out the characters that XML cannot carry, and it escapes another set than
//! the interface's: both are done here, and it gets what is already escaped.
//!
//! **Invariant:** the text is well-formed, whatever JSON came in.

use std::{
    borrow::Cow,
    io::{self, Write},
    ops::Range,
};

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesStart, BytesText, Event},
};

use super::{
    MAX_GROWN, Node, TooLarge,
    escape::{Escaped, Place},
    json, md5_hex,
    walk::{Token, Tokens},
};

/// Whether `name` can be an element as it is: `[A-Za-z_][A-Za-z0-9._-]*`, and not `xml…` in any case.
pub fn is_element_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let reserved = bytes.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"xml"));
    let starts = bytes.first().is_some_and(|&first| first.is_ascii_alphabetic() || first == b'_');
    starts && !reserved && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Writes `node` as a document whose root element is `root`.
pub(super) fn write(node: &Node<'_>, root: &str) -> Result<Vec<u8>, TooLarge> {
    let sink = Bounded(Vec::with_capacity(json::length(node) * 2 + 128));
    let mut xml = Xml { writer: Writer::new(sink), scratch: String::new() };
    xml.document(node, root).map_err(|_| TooLarge)?;
    let mut bytes = xml.writer.into_inner().0;
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// A buffer that takes [`MAX_GROWN`] bytes and then fails: its only error.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.len() + bytes.len() > MAX_GROWN {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Xml {
    writer: Writer<Bounded>,
    scratch: String,
}

/// An array or object that is being written.
struct Open<'a> {
    /// In an array, the element of each value; in an object that is its key.
    each: Option<BytesStart<'a>>,
    /// What ends with it; an array that repeats its key has no element of its own.
    close: Option<BytesStart<'a>>,
}

/// What becomes of an array.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Array {
    /// It stands inside its element, as `<item>`s.
    Inside,
    /// It repeats its element.
    Repeats,
}

impl Xml {
    fn document(&mut self, node: &Node<'_>, root: &str) -> io::Result<()> {
        self.writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        match *node {
            Node::Json(text) => self.json(BytesStart::new(root), text, Array::Inside),
            _ => self.field(root, node, 0..0),
        }
    }

    /// Writes `node` as `<name>`; `before` is where the field before it stands.
    fn field(&mut self, name: &str, node: &Node<'_>, before: Range<usize>) -> io::Result<()> {
        let tag = BytesStart::new(name);
        match *node {
            Node::Integer(number) => self.leaf(&tag, &number.to_string()),
            Node::Json(text) => self.json(tag, text, Array::Repeats),
            Node::Md5 => {
                let digest = md5_hex(&self.writer.get_ref().0[before]);
                self.leaf(&tag, &digest)
            }
            Node::Null => self.nil(&tag),
            Node::Object(fields) => {
                self.open(&tag)?;
                let mut before = 0..0;
                for (name, node) in fields {
                    let start = self.writer.get_ref().0.len();
                    self.field(name, node, before)?;
                    before = start..self.writer.get_ref().0.len();
                }
                self.close(&tag)
            }
            Node::Text(text) => self.leaf(&tag, text),
        }
    }

    /// Writes JSON text as the element `key`.
    fn json<'a>(&mut self, mut key: BytesStart<'a>, text: &'a str, outermost: Array) -> io::Result<()> {
        let mut stack: Vec<Open<'a>> = Vec::new();
        for token in Tokens::of(text) {
            let (tag, array) = match stack.last() {
                None => (&key, outermost),
                Some(Open { each: None, .. }) => (&key, Array::Repeats),
                Some(Open { each: Some(each), .. }) => (each, Array::Inside),
            };
            match token {
                Token::ArrayEnd | Token::ObjectEnd => {
                    if let Some(Open { close: Some(tag), .. }) = stack.pop() {
                        self.close(&tag)?;
                    }
                }
                Token::ArrayStart if array == Array::Repeats => {
                    let each = Some(tag.clone());
                    stack.push(Open { each, close: None });
                }
                Token::ArrayStart => {
                    self.open(tag)?;
                    let close = Some(tag.clone());
                    stack.push(Open { each: Some(BytesStart::new("item")), close });
                }
                Token::Key(name) => key = element(name),
                Token::Literal(text) => self.leaf(tag, text)?,
                Token::Null => self.nil(tag)?,
                Token::ObjectStart => {
                    self.open(tag)?;
                    let close = Some(tag.clone());
                    stack.push(Open { each: None, close });
                }
                Token::Text(text) => {
                    self.open(tag)?;
                    for piece in Escaped::new(&text, Place::Text) {
                        self.text(piece)?;
                    }
                    self.close(tag)?;
                }
            }
        }
        Ok(())
    }

    fn leaf(&mut self, tag: &BytesStart<'_>, escaped: &str) -> io::Result<()> {
        self.open(tag)?;
        self.text(escaped)?;
        self.close(tag)
    }

    fn nil(&mut self, tag: &BytesStart<'_>) -> io::Result<()> {
        self.scratch.clear();
        self.scratch.push_str(tag);
        self.scratch.push_str(" nil=\"true\"");
        self.writer.write_event(Event::Empty(BytesStart::from_content(self.scratch.as_str(), tag.name().as_ref().len())))
    }

    fn open(&mut self, tag: &BytesStart<'_>) -> io::Result<()> {
        self.writer.write_event(Event::Start(tag.borrow()))
    }

    fn close(&mut self, tag: &BytesStart<'_>) -> io::Result<()> {
        self.writer.write_event(Event::End(tag.to_end()))
    }

    fn text(&mut self, escaped: &str) -> io::Result<()> {
        self.writer.write_event(Event::Text(BytesText::from_escaped(escaped)))
    }
}

/// The element of an object's key.
fn element(key: Cow<'_, str>) -> BytesStart<'_> {
    if is_element_name(&key) {
        return BytesStart::new(key);
    }
    let mut content = String::with_capacity(key.len() + ENTRY.len() + 7);
    content.push_str(ENTRY);
    content.push_str(" key=\"");
    content.extend(Escaped::new(&key, Place::Attribute));
    content.push('"');
    BytesStart::from_content(content, ENTRY.len())
}

const ENTRY: &str = "entry";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_xml_or_the_interface_refuses_are_no_element_names() {
        for good in ["a", "_", "a1", "A.b-c_d", "_xml", "x", "xm", "ml"] {
            assert!(is_element_name(good), "{good}");
        }
        for bad in ["", "1", "-a", ".a", "a b", "a:b", "é", "aé", "xml", "XmLa", "a>", "\u{0}"] {
            assert!(!is_element_name(bad), "{bad}");
        }
    }
}
