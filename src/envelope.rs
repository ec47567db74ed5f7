//! In what shape: what an envelope puts around a payload, before any format writes it.
//!
//! An event and its payload come in; a small tree of [`Node`]s goes out, on the stack and only for as long as a format
//! needs to write it. It borrows every text; JSON in it stays JSON text.
//!
//! **Invariant:** names and order of the fields are the interface's, and the same for every format.

use crate::event::Event;

/// What stands around the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// `{event_time, event_type, current_context, data}`
    Event,
    /// `{payload: {type, epoch_timestamp, data}, md5}`
    Md5,
    /// The payload itself.
    None,
    /// `{type, timestamp, data}`, as Standard Webhooks has it.
    Standard,
}

impl Envelope {
    /// Hands `write` the shape of `payload` in this envelope, and gives back what it made of it.
    pub fn wrap<R>(self, event: &Event<'_>, payload: &str, write: impl FnOnce(&Node<'_>) -> R) -> R {
        let event_type = Node::Text(event.event_type);
        match self {
            Envelope::Event => write(&Node::Object(&[
                ("event_time", Node::Text(event.time.text)),
                ("event_type", event_type),
                ("current_context", event.context.map_or(Node::Null, Node::Json)),
                ("data", Node::Json(payload)),
            ])),
            Envelope::Md5 => {
                let sealed = [
                    ("type", event_type),
                    ("epoch_timestamp", Node::Integer(event.time.unix_seconds)),
                    ("data", Node::Json(payload)),
                ];
                write(&Node::Object(&[("payload", Node::Object(&sealed)), ("md5", Node::Md5)]))
            }
            Envelope::None => write(&Node::Json(payload)),
            Envelope::Standard => write(&Node::Object(&[
                ("type", event_type),
                ("timestamp", Node::Text(event.time.text)),
                ("data", Node::Json(payload)),
            ])),
        }
    }

    /// As [`Envelope::wrap`], for the ping of a test: what seals type and time itself carries nothing else.
    pub fn wrap_ping<R>(self, event: &Event<'_>, write: impl FnOnce(&Node<'_>) -> R) -> R {
        match self {
            Envelope::Md5 => {
                let sealed =
                    [("type", Node::Text(event.event_type)), ("epoch_timestamp", Node::Integer(event.time.unix_seconds))];
                write(&Node::Object(&[("payload", Node::Object(&sealed)), ("md5", Node::Md5)]))
            }
            Envelope::Event | Envelope::None | Envelope::Standard => self.wrap(event, event.data, write),
        }
    }
}

/// A part of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node<'a> {
    Integer(i64),
    /// Valid JSON text.
    Json(&'a str),
    /// The lower-case hex MD5 of the field before this one, as its format writes it.
    Md5,
    Null,
    /// Fields in their order. The names need no escape in any format.
    Object(&'a [(&'a str, Node<'a>)]),
    /// Visible ASCII that neither JSON nor XML escapes.
    Text(&'a str),
}
