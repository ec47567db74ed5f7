//! The config file as a JSON Schema, for editors.
//!
//! Comes in: the table of keys. Goes out: draft-04, which the TOML editors know. What an editor shows of a mistake is the
//! sentence of its validator, so a key is held by keywords of its own wherever that can be: "not valid under any of the
//! schemas" helps nobody. A key's values of different types share one schema, for most keywords concern one type alone;
//! and a description stands beside no `$ref` and no `allOf`, where editors would not see it.
//!
//! **Invariant:** what `check` finds to be right is right.

use super::raw::keys::{ENDPOINT, Home, Key, Kind, Otherwise, REFERENCE, SIGNATURE, TOP};
use crate::schema::{Json, Keywords, object, reference, text};

/// The schema, as pretty-printed JSON.
///
/// # Errors
/// None that could happen: a default that is no JSON.
pub fn schema() -> Result<String, serde_json::Error> {
    let definitions = DEFINED.map(|(name, home)| (name.to_owned(), definition(home)));
    let mut top = vec![
        ("$schema", text("http://json-schema.org/draft-04/schema#")),
        ("title", text("sidehook")),
        ("description", text("The config file of sidehook, a webhook sidecar")),
        ("type", text("object")),
    ];
    top.extend(of_table(&TOP, Properties::Written));
    top.push(("definitions", Json::Object(definitions.into())));
    serde_json::to_string_pretty(&object(top))
}

/// How the keys of a table are said.
#[derive(Clone, Copy)]
enum Properties {
    /// By naming those of a definition.
    Named(&'static str),
    /// Likewise, without the keys that are each endpoint's own.
    Shared(&'static str),
    Written,
}

/// What a kind of value comes to, apart from the types: a union's parts are put together.
#[derive(Default)]
struct Parts {
    types: Vec<&'static str>,
    /// Of a closed set.
    words: Vec<Json>,
    /// Keywords about strings, which hold for those that are not among `words`.
    strings: Keywords,
    others: Keywords,
}

impl Parts {
    fn of(kind: &'static Kind) -> Parts {
        let mut parts = Parts::default();
        parts.add(kind);
        parts
    }

    fn add(&mut self, kind: &'static Kind) {
        let bounds = |least, most| vec![("minimum", Json::Number(least)), ("maximum", Json::Number(most))];
        match kind {
            Kind::Count { least, most } => self.put("integer", bounds(*least, *most)),
            Kind::Defaults(home) => {
                let properties = defined(home).map_or(Properties::Written, Properties::Shared);
                self.put("object", of_table(home, properties));
            }
            Kind::Either(kinds) => kinds.iter().for_each(|kind| self.add(kind)),
            Kind::Filled => self.put_text(vec![("minLength", Json::Number(1))]),
            Kind::Flag => self.put("boolean", Vec::new()),
            Kind::Fraction => self.put("number", bounds(0, 1)),
            Kind::List { of, least, most } => {
                let mut keywords = vec![("items", element(of))];
                keywords.extend((*least > 0).then_some(("minItems", Json::Number(*least as u64))));
                keywords.extend(most.map(|most| ("maxItems", Json::Number(most as u64))));
                self.put("array", keywords);
            }
            Kind::Named { keys, of } => {
                let named = Json::Object(vec![((*keys).to_owned(), element(of))]);
                self.put("object", vec![("patternProperties", named), ("additionalProperties", Json::Switch(false))]);
            }
            Kind::Off => self.words.push(Json::Switch(false)),
            Kind::Pattern(pattern) => self.put_text(vec![("pattern", Json::Text(pattern()))]),
            Kind::Secret(literal) => {
                self.add(literal);
                self.add(const { &Kind::Table(&REFERENCE) });
            }
            Kind::Table(home) => {
                let properties = defined(home).map_or(Properties::Written, Properties::Named);
                self.put("object", of_table(home, properties));
            }
            Kind::Text => self.put_text(Vec::new()),
            Kind::Words(words) => self.words.extend(words().into_iter().map(text)),
        }
    }

    fn put(&mut self, of_type: &'static str, keywords: Keywords) {
        self.types.push(of_type);
        self.others.extend(keywords);
    }

    fn put_text(&mut self, keywords: Keywords) {
        self.types.push("string");
        self.strings.extend(keywords);
    }

    fn keywords(self) -> Keywords {
        let Parts { types, words, strings, mut others } = self;
        if types.is_empty() {
            return vec![("enum", Json::List(words))];
        }
        let types = match &*types {
            [one] => text(one),
            several => Json::List(several.iter().map(|one| text(one)).collect()),
        };
        let mut written = vec![("type", types)];
        written.extend(strings);
        if words.is_empty() {
            written.append(&mut others);
            return written;
        }
        others.insert(0, ("oneOf", Json::List(vec![object(vec![("enum", Json::List(words))]), object(written)])));
        others
    }
}

/// An element of a list, or what a name stands for: nothing is said of it by itself.
fn element(kind: &'static Kind) -> Json {
    let definition = match kind {
        Kind::Table(home) => defined(home),
        _ => None,
    };
    definition.map_or_else(|| object(Parts::of(kind).keywords()), |name| reference(format!("#/definitions/{name}")))
}

fn property(key: &'static Key) -> Json {
    // Editors show the description, and of a default only that there is one.
    let description = match key.otherwise {
        Otherwise::Nothing | Otherwise::Required => key.about.to_owned(),
        Otherwise::Said(words) => format!("{} (default: {words})", key.about),
        Otherwise::Value(default) => format!("{} (default: `{default}`)", key.about),
    };
    let mut keywords = vec![("description", Json::Text(description))];
    if let Otherwise::Value(default) = key.otherwise {
        keywords.push(("default", Json::Raw(default)));
    }
    keywords.extend(Parts::of(&key.kind).keywords());
    object(keywords)
}

fn definition(home: &'static Home) -> Json {
    let mut keywords = vec![("type", text("object"))];
    keywords.extend(of_table(home, Properties::Written));
    object(keywords)
}

/// The keywords that hold for a table of this kind.
fn of_table(home: &'static Home, properties: Properties) -> Keywords {
    let shared = matches!(properties, Properties::Shared(_));
    let keys = || home.keys.iter().filter(move |key| !(shared && key.own));
    let written = |name: &'static str| match properties {
        Properties::Named(definition) | Properties::Shared(definition) => {
            reference(format!("#/definitions/{definition}/properties/{name}"))
        }
        Properties::Written => match &*keys().filter(|key| key.name == name).collect::<Vec<_>>() {
            [key] => property(key),
            several => object(vec![("anyOf", Json::List(several.iter().map(|key| property(key)).collect()))]),
        },
    };
    let names = home.names().filter(|name| keys().any(|key| key.name == *name));
    let mut keywords = vec![("properties", Json::Object(names.map(|name| (name.to_owned(), written(name))).collect()))];
    let required: Vec<Json> = keys().filter(|key| key.is_required() && key.of.is_empty()).map(|key| text(key.name)).collect();
    keywords.extend((!required.is_empty()).then_some(("required", Json::List(required))));
    keywords.push(("additionalProperties", Json::Switch(false)));
    if std::ptr::eq(home, &REFERENCE) {
        keywords.extend([("minProperties", Json::Number(1)), ("maxProperties", Json::Number(1))]);
    }
    if let Some(by) = home.by {
        keywords.extend(variants(home, by));
    }
    keywords
}

/// What goes with which word of the key `by`: what it cannot be without, and, word by word, what belongs to others.
fn variants(home: &'static Home, by: &'static str) -> Keywords {
    let words = home.keys.iter().filter(|key| key.name == by).flat_map(|key| match key.kind {
        Kind::Words(words) => words(),
        _ => Vec::new(),
    });
    let is = |words: Vec<Json>| (by.to_owned(), object(vec![("enum", Json::List(words))]));
    let several = |name: &str| home.keys.iter().filter(|key| key.name == name).count() > 1;
    let variant = |word: &'static str| {
        let own = || home.keys.iter().filter(|key| !key.of.is_empty() && key.goes_with(word));
        let mut properties = vec![is(vec![text(word)])];
        properties.extend(own().filter(|key| several(key.name)).map(|key| (key.name.to_owned(), property(key))));
        let mut keywords = vec![("properties", Json::Object(properties))];
        let required: Vec<Json> = own().filter(|key| key.is_required()).map(|key| text(key.name)).collect();
        keywords.extend((!required.is_empty()).then_some(("required", Json::List(required))));
        object(keywords)
    };
    let owners = |name: &'static str| {
        let words = home.keys.iter().filter(|key| key.name == name).flat_map(|key| key.of);
        let needs = object(vec![("properties", Json::Object(vec![is(words.map(|word| text(word)).collect())]))]);
        (name.to_owned(), needs)
    };
    let foreign = home.names().filter(|name| home.keys.iter().any(|key| key.name == *name && !key.of.is_empty()));
    vec![("dependencies", Json::Object(foreign.map(owners).collect())), ("anyOf", Json::List(words.map(variant).collect()))]
}

/// The definition that a kind of table is, if it recurs.
fn defined(home: &'static Home) -> Option<&'static str> {
    DEFINED.iter().find(|(_, defined)| std::ptr::eq(*defined, home)).map(|(name, _)| *name)
}

/// The tables that recur.
static DEFINED: [(&str, &Home); 3] = [("endpoint", &ENDPOINT), ("signature", &SIGNATURE), ("secret", &REFERENCE)];
