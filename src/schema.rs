//! What schemas are written with: JSON in the order in which it is made.
//!
//! In come keywords and their values, out goes JSON by way of serde. The schemas themselves are made where the tables are
//! that they show: [`crate::config`], [`crate::log`].
//!
//! **Invariant:** pure, and an object's keys stand in the order in which they were given.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

pub enum Json {
    List(Vec<Json>),
    Number(u64),
    Object(Vec<(String, Json)>),
    /// A value as it is written in a table.
    Raw(&'static str),
    Switch(bool),
    Text(String),
}

pub type Keywords = Vec<(&'static str, Json)>;

pub fn object(keywords: Keywords) -> Json {
    Json::Object(keywords.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub fn reference(to: String) -> Json {
    object(vec![("$ref", Json::Text(to))])
}

pub fn text(text: &str) -> Json {
    Json::Text(text.to_owned())
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::List(list) => list.serialize(serializer),
            Json::Number(number) => number.serialize(serializer),
            Json::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Json::Raw(raw) => serde_json::from_str::<&RawValue>(raw).map_err(serde::ser::Error::custom)?.serialize(serializer),
            Json::Switch(flag) => flag.serialize(serializer),
            Json::Text(text) => text.serialize(serializer),
        }
    }
}
