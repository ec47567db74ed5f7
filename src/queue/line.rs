//! How an event is written in a line of a state file, and read back.

use std::{borrow::Cow, io};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::value::RawValue;

use crate::{
    event::{
        Event, Time, Trace,
        cloud::{CloudEvent, Members},
        is_id, is_type,
    },
    pipeline,
};

/// An event: a CloudEvent in its JSON format, any other as the app posts it.
pub(super) enum EventText<'a> {
    Cloud(Box<CloudEvent<'a>>),
    Plain(Plain<'a>),
    /// A CloudEvent that is only to be written.
    Structured(Box<RawValue>),
}

/// `{type, id, time, context, data}`; `context` is absent where none was given.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    context: Option<&'a RawValue>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<'a> EventText<'a> {
    pub(super) fn new(event: &Event<'a>) -> serde_json::Result<EventText<'a>> {
        if event.cloud.is_some() {
            let text = pipeline::structured(event).map_err(<serde_json::Error as serde::ser::Error>::custom)?;
            let text = String::from_utf8(text).map_err(<serde_json::Error as serde::ser::Error>::custom)?;
            return RawValue::from_string(text).map(EventText::Structured);
        }
        Ok(EventText::Plain(Plain {
            event_type: event.event_type.into(),
            id: event.id.into(),
            time: event.time.text.into(),
            context: event.context.map(serde_json::from_str).transpose()?,
            data: serde_json::from_str(event.data)?,
        }))
    }

    /// The event, or the name of the field that is none.
    pub(super) fn event<'t>(&'t self, trace: Option<&'t Trace>) -> Result<Event<'t>, &'static str> {
        match self {
            EventText::Cloud(cloud) => {
                let (text, unix_seconds) = cloud.time.as_ref().ok_or("event.time")?;
                Ok(Event {
                    id: &cloud.id,
                    event_type: &cloud.event_type,
                    time: Time { text, unix_seconds: *unix_seconds },
                    context: None,
                    data: cloud.data,
                    source: &cloud.source,
                    cloud: Some(cloud.attributes()),
                    trace,
                })
            }
            EventText::Plain(plain) => plain.event(trace),
            EventText::Structured(_) => Err("event"),
        }
    }
}

impl Plain<'_> {
    fn event<'t>(&'t self, trace: Option<&'t Trace>) -> Result<Event<'t>, &'static str> {
        Ok(Event {
            id: Some(&*self.id).filter(|id| is_id(id)).ok_or("event.id")?,
            event_type: Some(&*self.event_type).filter(|text| is_type(text)).ok_or("event.type")?,
            time: Time::parse(&self.time).ok_or("event.time")?,
            context: self.context.map(RawValue::get),
            data: self.data.get(),
            source: "",
            cloud: None,
            trace,
        })
    }
}

impl Serialize for EventText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            EventText::Cloud(_) => Err(S::Error::custom("what was read is not written again")),
            EventText::Plain(plain) => plain.serialize(serializer),
            EventText::Structured(text) => text.serialize(serializer),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for EventText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&'de RawValue>::deserialize(deserializer)?.get();
        // Only a CloudEvent has members that a plain event does not have.
        let plain = match serde_json::from_str(text) {
            Ok(plain) => return Ok(EventText::Plain(plain)),
            Err(error) => error,
        };
        let members: Members<'de> = serde_json::from_str(text).map_err(D::Error::custom)?;
        members.cloud_event().map(|event| EventText::Cloud(Box::new(event))).map_err(|_| D::Error::custom(plain))
    }
}

/// Appends `line` as one line: line breaks between the tokens of what the app sent become spaces.
pub(super) fn append(out: &mut Vec<u8>, line: &impl Serialize) -> io::Result<()> {
    let start = out.len();
    serde_json::to_writer(&mut *out, line)?;
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    out.push(b'\n');
    Ok(())
}
