//! A line of the log as a JSON Schema (2020-12), for those that read it by program.
//!
//! Comes in: the table of keys. Goes out: what each key holds, said once, and which of them the lines of each kind and
//! outcome have.
//!
//! **Invariant:** what the log writes is valid, and a line with a key too many, too few or wrongly filled is not.

use std::collections::BTreeSet;

use super::{
    Format,
    keys::{ERROR_CODES, HEAD, Holds, KEYS, Key, SHAPES, Shape, TRUNCATED},
};
use crate::schema::{Json, Keywords, object, reference, text};

/// The schema, as pretty-printed JSON.
///
/// # Errors
/// None that could happen.
pub fn schema(format: Format) -> Result<String, serde_json::Error> {
    let (id, title) = match format {
        Format::Ecs => ("urn:sidehook:log:ecs", "A line of sidehook's delivery log, in Elastic Common Schema"),
        Format::Plain => ("urn:sidehook:log:plain", "A line of sidehook's delivery log"),
    };
    let properties = KEYS.iter().filter_map(|key| Some((key.name(format)?.to_owned(), object(property(key, format)))));
    let top = vec![
        ("$schema", text("https://json-schema.org/draft/2020-12/schema")),
        ("$id", text(id)),
        ("title", text(title)),
        ("description", text("JSON Lines: a line is one object, at most 7 KiB long, one attempt or change of state")),
        ("type", text("object")),
        ("properties", Json::Object(properties.collect())),
        ("oneOf", Json::List(SHAPES.iter().map(|shape| variant(shape, format)).collect())),
    ];
    serde_json::to_string_pretty(&object(top))
}

impl Key {
    fn name(&self, format: Format) -> Option<&'static str> {
        let name = match format {
            Format::Ecs => self.ecs,
            Format::Plain => self.plain,
        };
        (!name.is_empty()).then_some(name)
    }
}

fn property(key: &Key, format: Format) -> Keywords {
    let about = match (key.holds, format) {
        (Holds::Duration, Format::Ecs) => format!("{}, in nanoseconds", key.about),
        (Holds::Duration, Format::Plain) => format!("{}, in milliseconds", key.about),
        _ => key.about.to_owned(),
    };
    let mut keywords = vec![("description", Json::Text(about))];
    keywords.extend(values(key.holds, format));
    keywords
}

fn values(holds: Holds, format: Format) -> Keywords {
    let list = |words: &[&str]| Json::List(words.iter().copied().map(text).collect());
    match holds {
        Holds::Code => {
            let answered = object(vec![("pattern", text("^status_[1-9][0-9]{2}$"))]);
            let others = object(vec![("enum", list(ERROR_CODES))]);
            vec![("type", text("string")), ("anyOf", Json::List(vec![others, answered]))]
        }
        Holds::Count { least, most } => {
            let mut keywords = vec![("type", text("integer")), ("minimum", Json::Number(least))];
            keywords.extend(most.map(|most| ("maximum", Json::Number(most))));
            keywords
        }
        Holds::Duration => {
            let whole = if format == Format::Ecs { "integer" } else { "number" };
            vec![("type", text(whole)), ("minimum", Json::Number(0))]
        }
        Holds::Formed(pattern, most) => {
            vec![("type", text("string")), ("pattern", text(pattern)), ("maxLength", Json::Number(most))]
        }
        Holds::Of(word) => {
            let words: BTreeSet<&str> = SHAPES.iter().filter_map(|shape| word(&shape.record)).collect();
            vec![("type", text("string")), ("enum", list(&Vec::from_iter(words)))]
        }
        Holds::Text => vec![("type", text("string"))],
        Holds::Texts => vec![("type", text("array")), ("items", object(values(Holds::Text, format)))],
        Holds::Time => vec![("type", text("string")), ("format", text("date-time")), ("pattern", text(TIME))],
        Holds::Words([word]) => vec![("const", text(word))],
        Holds::Words(words) => vec![("type", text("string")), ("enum", list(words))],
        Holds::Yes => vec![("const", Json::Switch(true))],
    }
}

/// The lines of one kind and outcome.
fn variant(shape: &Shape, format: Format) -> Json {
    let record = &shape.record;
    let words = KEYS.iter().filter_map(|key| match key.holds {
        Holds::Of(word) => Some((key.name(format)?, object(vec![("const", text(word(record)?))]))),
        _ => None,
    });
    let refers = |key: &Key| {
        let name = key.name(format)?;
        let is_narrower = KEYS.iter().any(|other| other.ecs == key.ecs && other.about != key.about);
        let held = if is_narrower { object(property(key, format)) } else { reference(format!("#/properties/{name}")) };
        Some((name, held))
    };
    let always = words.chain([HEAD].iter().chain(shape.always).copied().flatten().filter_map(refers));
    let mut properties: Vec<(String, Json)> = always.map(|(name, held)| (name.to_owned(), held)).collect();
    let required = properties.iter().map(|(name, _)| text(name)).collect();
    let sometimes = shape.sometimes.iter().copied().flatten().chain([&TRUNCATED]).filter_map(refers);
    properties.extend(sometimes.map(|(name, held)| (name.to_owned(), held)));
    object(vec![
        ("title", Json::Text(format!("{}: {}", record.kind(), record.outcome()))),
        ("description", text(shape.about)),
        ("properties", Json::Object(properties)),
        ("required", Json::List(required)),
        ("additionalProperties", Json::Switch(false)),
    ])
}

const TIME: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$";

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "a validator takes a tree")]
pub(crate) mod tests;
