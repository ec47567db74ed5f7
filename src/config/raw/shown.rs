//! The file as others may see it: as JSON, its secrets as `***`.
//!
//! **Invariant:** what diagnostics would hide is hidden here too.

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::reader::in_file_order;
use crate::config::problems::Problems;

/// The tables and keys of a file, in its order. `problems` knows what is hidden.
pub(super) fn shown(table: &DeTable<'_>, problems: &mut Problems) -> Box<str> {
    problems.seal();
    // Only a float that is none, as JSON has it, cannot be written; no key takes one.
    serde_json::to_string(&Table(table, problems)).unwrap_or_default().into()
}

struct Table<'a>(&'a DeTable<'a>, &'a Problems);

struct Value<'a>(&'a Spanned<DeValue<'a>>, &'a Problems);

impl Serialize for Table<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Table(table, problems) = self;
        let mut map = serializer.serialize_map(Some(table.len()))?;
        for (key, value) in in_file_order(table) {
            map.serialize_entry(&**key.get_ref(), &Value(value, problems))?;
        }
        map.end()
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value(value, problems) = self;
        match value.get_ref() {
            DeValue::Array(array) => {
                let mut seq = serializer.serialize_seq(Some(array.len()))?;
                for element in array.iter() {
                    seq.serialize_element(&Value(element, problems))?;
                }
                seq.end()
            }
            DeValue::Table(table) => Table(table, problems).serialize(serializer),
            DeValue::String(text) => serializer.serialize_str(&problems.masked(&value.span(), text)),
            _ if problems.hides(&value.span()) => serializer.serialize_str("***"),
            DeValue::Boolean(flag) => serializer.serialize_bool(*flag),
            DeValue::Datetime(time) => serializer.collect_str(time),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => serializer.serialize_i64(number),
                Err(_) => serializer.collect_str(number),
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) => serializer.serialize_f64(number),
                Err(_) => serializer.collect_str(number),
            },
        }
    }
}
