//! In what shape: what an envelope puts around a payload, before any format writes it.
//!
//! An event and its payload come in; a small tree of [`Node`]s goes out, on the stack and only for as long as a format
//! needs to write it. It borrows every text; JSON in it stays JSON text.
//!
//! **Invariant:** names and order of the fields are the interface's, and the same for every format.

use std::borrow::Cow;

use crate::event::{
    Event,
    cloud::{self, Attributes},
};

/// What stands around the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// CloudEvents 1.0 in its JSON event format: the attributes around `data`.
    CloudEvents,
    /// CloudEvents 1.0 in the HTTP binding's binary mode: the payload alone, the attributes are headers.
    CloudEventsBinary,
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
            Envelope::CloudEvents => {
                // Unlike ids and types these may hold what JSON escapes.
                let attributes = attributes(event, payload);
                let quoted: Vec<_> = attributes.iter().map(|(_, value)| value.json()).collect();
                let mut fields: Vec<_> =
                    attributes.iter().zip(&quoted).map(|((name, _), json)| (*name, Node::Json(json))).collect();
                fields.push(("data", Node::Json(payload)));
                write(&Node::Object(&fields))
            }
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
            Envelope::CloudEventsBinary | Envelope::None => write(&Node::Json(payload)),
            Envelope::Standard => write(&Node::Object(&[
                ("type", event_type),
                ("timestamp", Node::Text(event.time.text)),
                ("data", Node::Json(payload)),
            ])),
        }
    }

    /// Whether a body in this envelope is JSON, whatever the format.
    pub fn is_json_only(self) -> bool {
        matches!(self, Envelope::CloudEvents | Envelope::CloudEventsBinary)
    }

    /// The headers that stand around a body in this envelope.
    pub fn headers(self, event: &Event<'_>, payload: &str) -> Vec<(String, String)> {
        match self {
            Envelope::CloudEventsBinary => attributes(event, payload)
                .into_iter()
                // The body's own `content-type` says it.
                .filter(|(name, _)| *name != "datacontenttype")
                .map(|(name, value)| (format!("ce-{name}"), cloud::encoded(&value.text())))
                .collect(),
            _ => Vec::new(),
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
            Envelope::CloudEvents | Envelope::CloudEventsBinary | Envelope::Event | Envelope::None | Envelope::Standard => {
                self.wrap(event, event.data, write)
            }
        }
    }
}

/// The context attributes of an event as a CloudEvent, in their order. A schema describes the data as it came, and not what
/// a transform has made of it.
fn attributes<'e>(event: &'e Event<'_>, payload: &str) -> Vec<(&'e str, Value<'e>)> {
    let cloud = event.cloud.as_ref();
    let is_as_it_came = std::ptr::eq(payload, event.data);
    let mut attributes = vec![
        ("specversion", Value::Text("1.0")),
        ("id", Value::Text(event.id)),
        ("source", Value::Text(event.source)),
        ("type", Value::Text(event.event_type)),
    ];
    attributes.extend(cloud.and_then(|cloud| cloud.subject).map(|subject| ("subject", Value::Text(subject))));
    attributes.push(("time", Value::Text(event.time.text)));
    attributes.push(("datacontenttype", Value::Text("application/json")));
    let schema = cloud.and_then(|cloud| cloud.data_schema).filter(|_| is_as_it_came);
    attributes.extend(schema.map(|schema| ("dataschema", Value::Text(schema))));
    attributes.extend(cloud.into_iter().flat_map(Attributes::extensions).map(|(name, json)| (name, Value::Json(json))));
    attributes
}

/// An attribute's value.
enum Value<'a> {
    /// A string, a boolean or an integer.
    Json(&'a str),
    Text(&'a str),
}

impl Value<'_> {
    fn json(&self) -> Cow<'_, str> {
        match self {
            Value::Json(json) => Cow::Borrowed(json),
            // A string can always be written.
            Value::Text(text) => Cow::Owned(serde_json::to_string(text).unwrap_or_default()),
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Json(json) if json.starts_with('"') => Cow::Owned(serde_json::from_str(json).unwrap_or_default()),
            Value::Json(text) | Value::Text(text) => Cow::Borrowed(text),
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
