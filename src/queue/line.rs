//! How an event is written in a line of a state file, and read back.

use std::{borrow::Cow, io};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::{Event, Time, Trace, is_id, is_type};

/// `{type, id, time, context, data}`; `context` is absent where none was given.
#[derive(Serialize, Deserialize)]
pub(super) struct EventText<'a> {
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
        Ok(EventText {
            event_type: event.event_type.into(),
            id: event.id.into(),
            time: event.time.text.into(),
            context: event.context.map(serde_json::from_str).transpose()?,
            data: serde_json::from_str(event.data)?,
        })
    }

    /// The event, or the name of the field that is none.
    pub(super) fn event<'t>(&'t self, trace: Option<&'t Trace>) -> Result<Event<'t>, &'static str> {
        Ok(Event {
            id: Some(&*self.id).filter(|id| is_id(id)).ok_or("event.id")?,
            event_type: Some(&*self.event_type).filter(|text| is_type(text)).ok_or("event.type")?,
            time: Time::parse(&self.time).ok_or("event.time")?,
            context: self.context.map(RawValue::get),
            data: self.data.get(),
            trace,
        })
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
