//! CloudEvents, in each way HTTP carries them.

use http::HeaderMap;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, SeqAccess, Visitor},
};

use super::{
    Refusal,
    parse::{Cloud, Events, Posted, check_depth, check_strings, invalid, utf8},
};
use crate::event::cloud::{self, CloudEvent, Members, Problem};

/// Reads one event in the JSON event format.
pub(super) fn event(body: &[u8]) -> Result<Events<'_>, Refusal> {
    let text = utf8(body)?;
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| invalid(&error))?;
    check_strings(text)?;
    Ok(Events { events: vec![posted(text, members, "")?], batch: false })
}

/// Reads several in the JSON batch format.
pub(super) fn batch(body: &[u8], max_batch: usize) -> Result<Events<'_>, Refusal> {
    let text = utf8(body)?;
    if !text.trim_ascii_start().starts_with('[') {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| invalid(&error))?;
        return Err(Refusal::InvalidEvent("a batch is an array of events".into()));
    }
    let mut too_many = false;
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Batch { max: max_batch, too_many: &mut too_many }.deserialize(&mut reader);
    let read = read.and_then(|members| reader.end().map(|()| members));
    if too_many {
        return Err(Refusal::TooManyEvents(max_batch));
    }
    let read = read.map_err(|error| invalid(&error))?;
    check_strings(text)?;
    if read.is_empty() {
        return Err(Refusal::InvalidEvent("the batch is empty".into()));
    }
    let events = read.into_iter().enumerate().map(|(n, members)| posted(text, members, &format!("event {n}: ")));
    Ok(Events { events: events.collect::<Result<_, _>>()?, batch: true })
}

/// Reads binary mode: what the event says of itself is in `headers`.
pub(super) fn binary<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Result<Events<'a>, Refusal> {
    let text = utf8(body)?;
    if !text.trim_ascii().is_empty() {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| invalid(&error))?;
        check_strings(text)?;
    }
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let event = cloud::binary(headers, text.trim_ascii()).map_err(|problem| refusal(&problem, ""))?;
    check_depth(text, Some(event.data).filter(|data| *data != "null"))?;
    Ok(Events { events: vec![of(event)], batch: false })
}

fn posted<'a>(text: &str, members: Members<'a>, name: &str) -> Result<Posted<'a>, Refusal> {
    let event = members.cloud_event().map_err(|problem| refusal(&problem, name))?;
    // What is not there is no part of the text.
    if event.data != "null" {
        check_depth(text, Some(event.data))?;
    }
    Ok(of(event))
}

fn of(event: CloudEvent<'_>) -> Posted<'_> {
    let CloudEvent { id, source, event_type, time, subject, data_schema, extensions, data } = event;
    let cloud = Some(Box::new(Cloud { source, subject, data_schema, extensions }));
    Posted { id: Some(id), event_type, time, context: None, data, cloud }
}

fn refusal(problem: &Problem, name: &str) -> Refusal {
    match problem {
        Problem::Attribute(what) => Refusal::InvalidEvent(format!("{name}{what}").into()),
        Problem::Data(what) => Refusal::UnsupportedMediaType(format!("{name}{what}").into()),
    }
}

/// Reads an array of at most `max` events.
struct Batch<'s> {
    max: usize,
    too_many: &'s mut bool,
}

impl<'de> DeserializeSeed<'de> for Batch<'_> {
    type Value = Vec<Members<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Vec<Members<'de>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(members) = seq.next_element::<Members<'de>>()? {
            if events.len() == self.max {
                *self.too_many = true;
                return Err(A::Error::custom("too many events"));
            }
            events.push(members);
        }
        Ok(events)
    }
}
