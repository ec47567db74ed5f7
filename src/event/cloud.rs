//! CloudEvents 1.0.2: reading an event in its JSON format, or from the headers of the HTTP protocol binding's binary mode.
//!
//! **Invariant:** what comes out follows the interface's grammar; its data and its extensions' values are JSON text as it came.

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, percent_decode, utf8_percent_encode};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Time, is_id, is_type};

/// What a CloudEvent says of itself beyond what every event does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes<'a> {
    pub subject: Option<&'a str>,
    pub data_schema: Option<&'a str>,
    /// The extension attributes in their order: `"name":value,…` without blanks; the values are strings, booleans and integers.
    pub extensions: &'a str,
}

impl<'a> Attributes<'a> {
    /// The extension attributes, with their values as JSON text.
    pub fn extensions(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.extensions;
        std::iter::from_fn(move || {
            let (name, after) = rest.strip_prefix('"')?.split_once("\":")?;
            let end = value_end(after);
            let value = &after[..end];
            rest = after[end..].strip_prefix(',').unwrap_or_default();
            Some((name, value))
        })
    }
}

/// Where a string, boolean or integer ends that begins `text`.
fn value_end(text: &str) -> usize {
    if !text.starts_with('"') {
        return text.find(',').unwrap_or(text.len());
    }
    let mut escaped = true;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    // The first quote is no end: it counts as escaped.
    end.map_or(text.len(), |end| end + 1)
}

/// A CloudEvent as it was read.
#[derive(Debug, PartialEq)]
pub struct CloudEvent<'a> {
    pub id: Cow<'a, str>,
    pub source: Cow<'a, str>,
    pub event_type: Cow<'a, str>,
    /// RFC 3339 text, and its whole Unix seconds.
    pub time: Option<(Cow<'a, str>, i64)>,
    pub subject: Option<Cow<'a, str>>,
    pub data_schema: Option<Cow<'a, str>>,
    pub extensions: String,
    /// JSON text; `null` where there was none.
    pub data: &'a str,
}

impl CloudEvent<'_> {
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes { subject: self.subject.as_deref(), data_schema: self.data_schema.as_deref(), extensions: &self.extensions }
    }
}

/// Why something is no CloudEvent that is understood here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The message names the attribute.
    #[error("{0}")]
    Attribute(Box<str>),
    /// The data is not JSON.
    #[error("{0}")]
    Data(&'static str),
}

/// The members of a JSON object, doubled ones included, with their values as they stand.
#[derive(Debug)]
pub struct Members<'a>(Option<Vec<(Cow<'a, str>, &'a str)>>);

impl<'a> Members<'a> {
    /// Reads the members as a CloudEvent in the JSON event format.
    ///
    /// # Errors
    /// It is none, or its data is not JSON.
    pub fn cloud_event(self) -> Result<CloudEvent<'a>, Problem> {
        let mut members = self.0.ok_or_else(|| attribute("an event is an object"))?;
        let mut data = None;
        for (n, (name, _)) in members.iter().enumerate() {
            if members[..n].iter().any(|(earlier, _)| earlier == name) {
                return Err(attribute(format!("`{name}` is there twice")));
            }
        }
        if members.iter().any(|(name, value)| name == "data_base64" && *value != "null") {
            return Err(Problem::Data("data that is not JSON (`data_base64`) is not understood here"));
        }
        let mut read = Reading::default();
        for (name, value) in members.drain(..) {
            match &*name {
                "data" => data = Some(value),
                _ if value == "null" => {}
                _ => read.member(&name, value)?,
            }
        }
        read.event(data.unwrap_or("null"))
    }
}

/// Reads the `ce-…` headers of binary mode, with the body as its data: none where that is empty.
///
/// # Errors
/// They make no CloudEvent.
pub fn binary<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>, data: &'a str) -> Result<CloudEvent<'a>, Problem> {
    let mut read = Reading::default();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in headers.filter_map(|(name, value)| Some((name.strip_prefix("ce-")?, value))) {
        if seen.contains(&name) {
            return Err(attribute(format!("`ce-{name}` is there twice")));
        }
        seen.push(name);
        let value = decoded(value).ok_or_else(|| attribute(format!("`ce-{name}` is not UTF-8 in percent-encoding")))?;
        match name {
            "data" | "datacontenttype" => return Err(attribute(format!("`ce-{name}` has no place in binary mode"))),
            _ => read.text(name, value)?,
        }
    }
    read.event(if data.trim_ascii().is_empty() { "null" } else { data })
}

/// A header's value for a text: percent-encoded as the HTTP protocol binding has it (3.1.3.2).
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNSAFE).to_string()
}

/// What a header's value stands for. A double quote around all of it was allowed by earlier versions, and is taken off.
fn decoded(value: &[u8]) -> Option<Cow<'_, str>> {
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    percent_decode(unquoted).decode_utf8().ok()
}

/// Attributes on their way to an event.
#[derive(Default)]
struct Reading<'a> {
    known: [Option<Cow<'a, str>>; KNOWN.len()],
    extensions: String,
}

impl<'a> Reading<'a> {
    /// A member of the JSON format: its value has a type.
    fn member(&mut self, name: &str, value: &'a str) -> Result<(), Problem> {
        if value.starts_with('"') {
            let text = serde_json::from_str::<Text<'a>>(value).map_err(|_| attribute(format!("`{name}` is no text")))?;
            return self.text(name, text.0);
        }
        let is_integer = value.parse::<i32>().is_ok() && value != "-0";
        if KNOWN.contains(&name) || !(is_integer || matches!(value, "true" | "false")) {
            let kinds = if KNOWN.contains(&name) { "a string" } else { "a string, a boolean or an integer of 32 bits" };
            return Err(attribute(format!("`{name}` must be {kinds}")));
        }
        self.extend(name, value)
    }

    fn text(&mut self, name: &str, value: Cow<'a, str>) -> Result<(), Problem> {
        if let Some(at) = KNOWN.iter().position(|known| *known == name) {
            self.known[at] = Some(value);
            return Ok(());
        }
        let quoted = serde_json::to_string(&value).map_err(|_| attribute(format!("`{name}` is no text")))?;
        self.extend(name, &quoted)
    }

    fn extend(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return Err(attribute(format!("`{name}` is no attribute's name: those are of a-z and 0-9")));
        }
        if !self.extensions.is_empty() {
            self.extensions.push(',');
        }
        self.extensions.extend(["\"", name, "\":", value]);
        Ok(())
    }

    fn event(self, data: &'a str) -> Result<CloudEvent<'a>, Problem> {
        let [version, id, source, event_type, subject, time, content_type, data_schema] = self.known;
        if version.as_deref() != Some("1.0") {
            return Err(attribute("`specversion` must be \"1.0\""));
        }
        let content_type = content_type.unwrap_or(Cow::Borrowed("application/json"));
        if !is_json(&content_type) {
            return Err(Problem::Data("data that is not JSON is not understood here (`datacontenttype`)"));
        }
        let filled = |text: &Cow<'_, str>| !text.is_empty();
        let id = id.filter(|id| is_id(id)).ok_or_else(|| attribute("`id` must be 1 to 255 visible ASCII characters"))?;
        let source = source.filter(filled).ok_or_else(|| attribute("`source` must be a URI reference"))?;
        if !is_uri_reference(&source) {
            return Err(attribute("`source` must be a URI reference"));
        }
        let event_type = event_type
            .filter(|text| is_type(text))
            .ok_or_else(|| attribute("`type` must be 1 to 255 of A-Z a-z 0-9 . _ - : /"))?;
        if subject.as_ref().is_some_and(|subject| subject.is_empty()) {
            return Err(attribute("`subject` must not be empty"));
        }
        if data_schema.as_ref().is_some_and(|schema| !is_uri_reference(schema) || !schema.contains(':')) {
            return Err(attribute("`dataschema` must be a URI"));
        }
        let read = |text: Cow<'a, str>| match Time::parse(&text).map(|time| time.unix_seconds) {
            Some(seconds) => Ok((text, seconds)),
            None => Err(attribute("`time` must be an RFC 3339 time, such as 2026-11-22T19:21:53Z")),
        };
        let time = time.map(read).transpose()?;
        let extensions = self.extensions;
        Ok(CloudEvent { id, source, event_type, time, subject, data_schema, extensions, data })
    }
}

/// Whether a media type's data is JSON (RFC 6839 for the suffix).
pub fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

/// Whether `text` may be a URI reference (RFC 3986, by its characters) or an IRI's.
pub fn is_uri_reference(text: &str) -> bool {
    let forbidden = |character: char| character.is_control() || character == ' ' || "\"<>\\^`{|}".contains(character);
    !text.is_empty() && !text.contains(forbidden)
}

fn attribute(message: impl Into<Box<str>>) -> Problem {
    Problem::Attribute(message.into())
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Taken raw first, so that what is no object is an event's fault and not JSON's.
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if !raw.starts_with('{') {
            return Ok(Members(None));
        }
        let pairs: Pairs<'de> = serde_json::from_str(raw).map_err(serde::de::Error::custom)?;
        Ok(Members(Some(pairs.0)))
    }
}

struct Pairs<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    pairs.push((key.0, map.next_value::<&RawValue>()?.get()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A JSON string's text, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Of the JSON event format.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";

/// Of the JSON batch format.
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// The attributes that are no extensions, in the order in which they are unpacked.
const KNOWN: [&str; 8] = ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"];

/// What is percent-encoded besides what is not ASCII: a space, a double quote, a percent sign, and control characters.
const UNSAFE: &AsciiSet = &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'%');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Result<CloudEvent<'_>, Problem> {
        serde_json::from_str::<Members<'_>>(json).unwrap().cloud_event()
    }

    #[test]
    fn the_json_format_is_read_with_its_extensions_in_order() {
        let json = r#"{"specversion":"1.0","zone":"é\"","id":"A-1","n":-7,"source":"/my/ctx","type":"com.example","flag":true,"gone":null,"time":"2018-04-05T17:31:00Z","subject":"straße","datacontenttype":"application/vnd.x+json; charset=utf-8","dataschema":"https://x/s","data": {"a" : 1.0}}"#;
        let event = read(json).unwrap();
        assert_eq!(
            (&*event.id, &*event.source, &*event.event_type, event.data),
            ("A-1", "/my/ctx", "com.example", "{\"a\" : 1.0}")
        );
        let attributes = event.attributes();
        assert_eq!((attributes.subject, attributes.data_schema), (Some("straße"), Some("https://x/s")));
        assert_eq!(attributes.extensions().collect::<Vec<_>>(), [("zone", "\"é\\\"\""), ("n", "-7"), ("flag", "true")]);
        assert_eq!(read(r#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#).unwrap().data, "null");
    }

    #[test]
    fn what_is_no_cloud_event_is_told_by_its_attribute() {
        let base = |more: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{more}}}"#);
        for (json, says) in [
            ("[]".to_owned(), "an event is an object"),
            (r#"{"id":"1","source":"/s","type":"t"}"#.to_owned(), "`specversion` must be \"1.0\""),
            (r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#.to_owned(), "`specversion`"),
            (r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#.to_owned(), "`id`"),
            (r#"{"specversion":"1.0","id":"1","type":"t"}"#.to_owned(), "`source`"),
            (r#"{"specversion":"1.0","id":"1","source":"a b","type":"t"}"#.to_owned(), "`source`"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":7}"#.to_owned(), "`type` must be a string"),
            (base(r#","time":"today""#), "`time`"),
            (base(r#","subject":"""#), "`subject`"),
            (base(r#","dataschema":"x""#), "`dataschema`"),
            (base(r#","data":1,"data":2"#), "`data` is there twice"),
            (base(r#","Ext":1"#), "`Ext` is no attribute's name"),
            (base(r#","ext":1.5"#), "`ext` must be a string, a boolean or an integer of 32 bits"),
            (base(r#","ext":2147483648"#), "`ext`"),
            (base(r#","ext":{}"#), "`ext`"),
        ] {
            match read(&json) {
                Err(Problem::Attribute(said)) if said.starts_with(says) => {}
                other => panic!("{json}: {other:?}"),
            }
        }
        for more in [r#","data_base64":"AA==""#, r#","datacontenttype":"text/xml","data":"<a/>""#] {
            assert!(matches!(read(&base(more)), Err(Problem::Data(_))), "{more}");
        }
    }

    #[test]
    fn binary_mode_is_read_from_headers() {
        let headers: [(&str, &[u8]); 7] = [
            ("host", b"x"),
            ("ce-specversion", b"1.0"),
            ("ce-id", b"a%20b!"),
            ("ce-source", b"/s"),
            ("ce-type", b"t"),
            ("ce-subject", b"Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("ce-ext1", b"%22x%22"),
        ];
        let mut valid = headers;
        valid[2].1 = b"a-b";
        let event = binary(valid.into_iter(), " [1] ").unwrap();
        assert_eq!((event.subject.as_deref(), event.data), (Some("Euro € 😀"), " [1] "));
        assert_eq!(event.attributes().extensions().collect::<Vec<_>>(), [("ext1", r#""\"x\"""#)]);
        assert!(binary(headers.into_iter(), "1").is_err(), "an id with a blank");
        let twice = valid.into_iter().chain([("ce-id", &b"c"[..])]);
        assert_eq!(binary(twice, "1").unwrap_err().to_string(), "`ce-id` is there twice");
        assert_eq!(binary(valid.into_iter(), "").unwrap().data, "null");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_visible_ascii_and_read_back(text in "\\PC{0,40}|.{0,40}") {
            let header = encoded(&text);
            prop_assert!(header.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(decoded(header.as_bytes()), Some(Cow::Borrowed(text.as_str())));
        }
    }
}
