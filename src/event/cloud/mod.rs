//! CloudEvents 1.0.2: reading an event in its JSON format, or from the headers of the HTTP protocol binding's binary mode.
//!
//! **Invariant:** what comes out follows the interface's grammar; its data and its extensions' values are JSON text as it came.

mod text;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use self::text::{decoded, is_no_string_character, is_uri};
pub use self::text::{encoded, is_uri_reference};
use super::{Time, is_id, is_type, media::MediaType};

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

/// The members of a JSON object, doubled ones included, with their values as they stand; of more than `MAX_MEMBERS` the first.
#[derive(Debug)]
pub struct Members<'a>(Option<Vec<(Cow<'a, str>, &'a str)>>);

impl<'a> Members<'a> {
    /// Reads the members as a CloudEvent in the JSON event format.
    ///
    /// # Errors
    /// It is none, or its data is not JSON.
    pub fn cloud_event(self) -> Result<CloudEvent<'a>, Problem> {
        let members = self.0.ok_or_else(|| attribute("an event is an object"))?;
        if members.len() > MAX_MEMBERS {
            return Err(too_many());
        }
        let mut read = Reading::default();
        let mut data = None;
        for (n, (name, value)) in members.iter().enumerate() {
            let is_format = matches!(&**name, "data" | "data_base64");
            if !is_format {
                check_name(name)?;
            }
            if members[..n].iter().any(|(earlier, _)| earlier == name) {
                return Err(attribute(format!("`{name}` is there twice")));
            }
            match &**name {
                "data" => data = Some(*value),
                _ if *value == "null" => {}
                _ if is_format => return Err(Problem::Data("data that is not JSON (`data_base64`) is not understood here")),
                _ => read.member(name, value)?,
            }
        }
        read.event(data)
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
        check_name(name)?;
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
    read.event(Some(data).filter(|data| !data.trim_ascii().is_empty()))
}

/// Attributes on their way to an event.
#[derive(Default)]
struct Reading<'a> {
    known: [Option<Cow<'a, str>>; KNOWN.len()],
    extensions: String,
    /// How many those are.
    extended: usize,
}

impl<'a> Reading<'a> {
    /// A member of the JSON format: its value has a type.
    fn member(&mut self, name: &str, value: &'a str) -> Result<(), Problem> {
        if value.starts_with('"') {
            let text = serde_json::from_str::<Text<'a>>(value).map_err(|_| attribute(format!("`{name}` is no text")))?;
            return self.text(name, text.0);
        }
        let is_scalar = value.parse::<i32>().is_ok() || matches!(value, "true" | "false");
        if KNOWN.contains(&name) || !is_scalar {
            let kinds = if KNOWN.contains(&name) { "a string" } else { "a string, a boolean or an integer of 32 bits" };
            return Err(attribute(format!("`{name}` must be {kinds}")));
        }
        self.extend(name, value)
    }

    fn text(&mut self, name: &str, value: Cow<'a, str>) -> Result<(), Problem> {
        if value.contains(is_no_string_character) {
            return Err(attribute(format!("`{name}` has a control character or a noncharacter")));
        }
        if let Some(at) = KNOWN.iter().position(|known| *known == name) {
            self.known[at] = Some(value);
            return Ok(());
        }
        let quoted = serde_json::to_string(&value).map_err(|_| attribute(format!("`{name}` is no text")))?;
        self.extend(name, &quoted)
    }

    fn extend(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        self.extended += 1;
        if self.extended > MAX_EXTENSIONS {
            return Err(too_many());
        }
        if !self.extensions.is_empty() {
            self.extensions.push(',');
        }
        self.extensions.extend(["\"", name, "\":", value]);
        Ok(())
    }

    fn event(self, data: Option<&'a str>) -> Result<CloudEvent<'a>, Problem> {
        let [version, id, source, event_type, subject, time, content_type, data_schema] = self.known;
        required("specversion", version, |version| version == "1.0", "\"1.0\"")?;
        let id = required("id", id, is_id, "1 to 255 visible ASCII characters")?;
        let source = required("source", source, is_uri_reference, "a URI reference")?;
        let event_type = required("type", event_type, is_type, "1 to 255 of A-Z a-z 0-9 . _ - : /")?;
        if subject.as_ref().is_some_and(|subject| subject.is_empty()) {
            return Err(attribute("`subject` must not be empty"));
        }
        if data_schema.as_ref().is_some_and(|schema| !is_uri(schema)) {
            return Err(attribute("`dataschema` must be a URI"));
        }
        let read = |text: Cow<'a, str>| match Time::parse(&text).map(|time| time.unix_seconds) {
            Some(seconds) => Ok((text, seconds)),
            None => Err(attribute("`time` must be an RFC 3339 time, such as 2026-11-22T19:21:53Z")),
        };
        let time = time.map(read).transpose()?;
        let data = data.unwrap_or("null");
        if let Some(content_type) = content_type {
            let media = MediaType::parse(&content_type).ok_or_else(|| attribute("`datacontenttype` must be a media type"))?;
            // Where there is no data there is none that is not JSON.
            if data != "null" && !(media.is_json() && media.is_utf8) {
                return Err(Problem::Data("data that is not JSON in UTF-8 is not understood here (`datacontenttype`)"));
            }
        }
        let extensions = self.extensions;
        Ok(CloudEvent { id, source, event_type, time, subject, data_schema, extensions, data })
    }
}

/// The attribute `name`, which every event has.
fn required<'a>(
    name: &str,
    value: Option<Cow<'a, str>>,
    is_good: impl Fn(&str) -> bool,
    rule: &str,
) -> Result<Cow<'a, str>, Problem> {
    let value = value.ok_or_else(|| attribute(format!("`{name}` is missing")))?;
    if is_good(&value) { Ok(value) } else { Err(attribute(format!("`{name}` must be {rule}"))) }
}

/// Refuses what can be no attribute's name.
fn check_name(name: &str) -> Result<(), Problem> {
    if name.len() > MAX_NAME {
        return Err(attribute(format!("an attribute's name has at most {MAX_NAME} characters")));
    }
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(attribute(format!("`{name}` is no attribute's name: those are of a-z and 0-9")));
    }
    Ok(())
}

fn too_many() -> Problem {
    attribute(format!("an event has at most {MAX_EXTENSIONS} extensions"))
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
                    let value = map.next_value::<&RawValue>()?.get();
                    // One too many says that they are; the rest need only be JSON.
                    if pairs.len() <= MAX_MEMBERS {
                        pairs.push((key.0, value));
                    }
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

/// The most extension attributes of an event: each is compared with every other, and may become a header.
const MAX_EXTENSIONS: usize = 64;

/// The most members that an event in the JSON format can have, then: `data` and `data_base64` are no attributes.
const MAX_MEMBERS: usize = MAX_EXTENSIONS + KNOWN.len() + 2;

/// The longest name of an attribute. The specification wants 20 at most, and a header's name is bounded too.
const MAX_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<CloudEvent<'_>, Problem> {
        serde_json::from_str::<Members<'_>>(json).unwrap().cloud_event()
    }

    /// So many extensions.
    fn extended(n: usize) -> String {
        (0..n).map(|n| format!(r#","x{n}":1"#)).collect()
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
            (r#"{"id":"1","source":"/s","type":"t"}"#.to_owned(), "`specversion` is missing"),
            (r#"{"specversion":"1.0","id":null,"source":"/s","type":"t"}"#.to_owned(), "`id` is missing"),
            (r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#.to_owned(), "`specversion` must be \"1.0\""),
            (r#"{"specversion":"1.0","id":"","source":"/s","type":"t"}"#.to_owned(), "`id`"),
            (r#"{"specversion":"1.0","id":"1","type":"t"}"#.to_owned(), "`source` is missing"),
            (r#"{"specversion":"1.0","id":"1","source":"/s"}"#.to_owned(), "`type` is missing"),
            (r#"{"specversion":"1.0","id":"1","source":"a b","type":"t"}"#.to_owned(), "`source`"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":7}"#.to_owned(), "`type` must be a string"),
            (base(r#","time":"today""#), "`time`"),
            (base(r#","subject":"""#), "`subject`"),
            (base(r#","dataschema":"x""#), "`dataschema`"),
            (base(r#","dataschema":"/a:b""#), "`dataschema`"),
            (base(r#","dataschema":"1a:b""#), "`dataschema`"),
            (base(r#","dataschema":":b""#), "`dataschema`"),
            (base(r#","datacontenttype":"""#), "`datacontenttype` must be a media type"),
            (base(r#","datacontenttype":"json""#), "`datacontenttype` must be a media type"),
            (base(r#","data":1,"data":2"#), "`data` is there twice"),
            (base(r#","Ext":1"#), "`Ext` is no attribute's name"),
            (base(r#","Upper":null"#), "`Upper` is no attribute's name"),
            (base(&format!(r#","{}":1"#, "a".repeat(65))), "an attribute's name has at most 64 characters"),
            (base(&extended(65)), "an event has at most 64 extensions"),
            (base(r#","subject":"a\u0000""#), "`subject` has a control character"),
            (base(r#","ext":"\u001f""#), "`ext` has a control character"),
            (base(r#","ext":"\u007f""#), "`ext` has a control character"),
            (base(r#","ext":"\u009f""#), "`ext` has a control character"),
            (base(r#","ext":"\ufdd0""#), "`ext` has a control character or a noncharacter"),
            (base(r#","ext":"\udbff\udfff""#), "`ext` has a control character or a noncharacter"),
            (base(r#","ext":1.5"#), "`ext` must be a string, a boolean or an integer of 32 bits"),
            (base(r#","ext":2147483648"#), "`ext`"),
            (base(r#","ext":{}"#), "`ext`"),
        ] {
            match read(&json) {
                Err(Problem::Attribute(said)) if said.starts_with(says) => {}
                other => panic!("{json}: {other:?}"),
            }
        }
        for more in [
            r#","data_base64":"AA==""#,
            r#","datacontenttype":"text/xml","data":"<a/>""#,
            r#","datacontenttype":"application/json; charset=utf-16","data":1"#,
        ] {
            assert!(matches!(read(&base(more)), Err(Problem::Data(_))), "{more}");
        }
    }

    #[test]
    fn what_the_specification_allows_is_read() {
        let base = |more: &str| format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{more}}}"#);
        for (more, extensions) in [
            (r#","ext":-0"#.to_owned(), vec![("ext", "-0")]),
            (r#","ext":-2147483648"#.to_owned(), vec![("ext", "-2147483648")]),
            (r#","ext":"\ud83d\ude00\ufffd\u00a0\ufdcf""#.to_owned(), vec![("ext", "\"😀\u{fffd}\u{a0}\u{fdcf}\"")]),
            (format!(r#","{0}":true"#, "a".repeat(64)), vec![(&*"a".repeat(64), "true")]),
            (r#","dataschema":"urn:a","data_base64":null"#.to_owned(), vec![]),
            (r#","datacontenttype":"text/plain""#.to_owned(), vec![]),
            (r#","datacontenttype":"text/plain","data":null"#.to_owned(), vec![]),
        ] {
            let json = base(&more);
            let event = read(&json).unwrap_or_else(|problem| panic!("{json}: {problem}"));
            assert_eq!(event.attributes().extensions().collect::<Vec<_>>(), extensions);
        }
        let many = base(&extended(64));
        assert_eq!(read(&many).unwrap().attributes().extensions().count(), 64);
    }

    #[test]
    fn members_without_number_cost_no_more_than_reading_them() {
        let many: Vec<String> = (0..110_000).map(|n| format!("\"{n:05}\":1")).collect();
        let json = format!("{{{}}}", many.join(","));
        let members: Members<'_> = serde_json::from_str(&json).unwrap();
        assert_eq!(members.0.as_ref().map(Vec::len), Some(MAX_MEMBERS + 1));
        assert!(members.cloud_event().is_err());
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
        let long = "ce-".to_owned() + &"a".repeat(65);
        assert!(binary(valid.into_iter().chain([(&*long, &b"1"[..])]), "1").is_err());
    }
}
