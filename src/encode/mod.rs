//! As what: a payload in its envelope becomes the exact bytes a receiver gets.
//!
//! An event and its payload, both JSON text, come in; a [`Body`] goes out, written in one forward pass into one buffer
//! and never through a tree. JSON text is copied, not read; XML and form walk it token by token, without recursion, so
//! that its depth costs neither stack nor time. Nothing here keeps state: endpoints with equal [`Shape`]s share a body.
//!
//! **Invariant:** the same shape, event and payload give the same bytes, and no body that grew while it was written is
//! larger than [`MAX_GROWN`].

use std::ops::Range;

use http::HeaderValue;
use md5::{Digest, Md5};

use crate::{
    envelope::{Envelope, Node},
    event::Event,
};

mod escape;
mod form;
mod json;
#[cfg(test)]
mod tests;
mod walk;
mod xml;

pub use xml::is_element_name;

/// What a body looks like, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    pub envelope: Envelope,
    pub format: Format,
    /// The format's own, unless the config overrides it.
    pub content_type: HeaderValue,
}

impl Shape {
    /// Writes `payload`, JSON text (the event's own data, or a transform's output), in this shape.
    ///
    /// # Errors
    /// [`TooLarge`], in XML and form only: both repeat names, so a small payload can ask for gigabytes.
    pub fn body(&self, event: &Event<'_>, payload: &str) -> Result<Body, TooLarge> {
        self.envelope.wrap(event, payload, |node| self.write(node, event))
    }

    /// Writes the ping of a test in this shape; `event` is the ping.
    ///
    /// # Errors
    /// As [`Shape::body`], which no ping comes near.
    pub fn ping(&self, event: &Event<'_>) -> Result<Body, TooLarge> {
        self.envelope.wrap_ping(event, |node| self.write(node, event))
    }

    fn write(&self, node: &Node<'_>, event: &Event<'_>) -> Result<Body, TooLarge> {
        match &self.format {
            Format::Form => Ok(Body { bytes: form::write(node)?, data_at: None }),
            Format::Json => Ok(json::write(node, event.data)),
            Format::Xml { root } => Ok(Body { bytes: xml::write(node, root)?, data_at: None }),
        }
    }
}

/// How a shape is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/x-www-form-urlencoded` of the WHATWG URL standard, nested in brackets.
    Form,
    Json,
    /// XML 1.0 in UTF-8.
    Xml {
        /// The name of the root element: an [element name](is_element_name).
        root: Box<str>,
    },
}

impl Format {
    /// The media type where the config names no other.
    pub fn content_type(&self) -> &'static str {
        match self {
            Format::Form => "application/x-www-form-urlencoded",
            Format::Json => "application/json",
            Format::Xml { .. } => "application/xml",
        }
    }
}

/// The bytes of a request, without spare capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub bytes: Vec<u8>,
    /// Where the event's data stands verbatim, so that it can be kept as a slice of the body: in JSON, when the payload
    /// is the event's data itself (the same memory).
    pub data_at: Option<Range<usize>>,
}

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("written out, the body would be over {} MiB", MAX_GROWN >> 20)]
pub struct TooLarge;

/// The most bytes an XML or form body may have.
pub const MAX_GROWN: usize = 64 << 20;

/// The lower-case hex MD5 (RFC 1321) of `bytes`.
fn md5_hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Md5::digest(bytes))
}
