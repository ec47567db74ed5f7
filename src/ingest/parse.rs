//! From a body's bytes to events.
//!
//! JSON is read by serde_json, but never into a tree: `data` and `context` stay slices of the body. What serde_json does not
//! ask when it skips a value (depth, lone surrogates) is asked here, and only of bodies that could have it.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Refusal;
use crate::event::{MAX_DEPTH, Time, is_id, is_type};

/// An event as it was posted: checked, and without what sidehook adds where it is missing.
#[derive(Debug, PartialEq)]
pub(super) struct Posted<'a> {
    pub id: Option<Cow<'a, str>>,
    pub event_type: Cow<'a, str>,
    /// RFC 3339 text, and its whole Unix seconds.
    pub time: Option<(Cow<'a, str>, i64)>,
    pub context: Option<&'a str>,
    pub data: &'a str,
    /// What else a CloudEvent says of itself.
    pub cloud: Option<Box<Cloud<'a>>>,
}

/// What only CloudEvents have.
#[derive(Debug, PartialEq)]
pub(super) struct Cloud<'a> {
    pub source: Cow<'a, str>,
    pub subject: Option<Cow<'a, str>>,
    pub data_schema: Option<Cow<'a, str>>,
    pub extensions: String,
}

/// The events of a body, and whether they came as a batch.
#[derive(Debug, PartialEq)]
pub(super) struct Events<'a> {
    pub events: Vec<Posted<'a>>,
    pub batch: bool,
}

/// Reads the body of `POST /events`: an object, or an array of them.
pub(super) fn events(body: &[u8], max_batch: usize) -> Result<Events<'_>, Refusal> {
    let text = utf8(body)?;
    let batch = text.trim_ascii_start().starts_with('[');
    let mut too_many = false;
    let fields = if batch {
        let seed = Batch { max: max_batch, too_many: &mut too_many };
        let mut reader = serde_json::Deserializer::from_str(text);
        let read = seed.deserialize(&mut reader).and_then(|fields| reader.end().map(|()| fields));
        if too_many {
            return Err(Refusal::TooManyEvents(max_batch));
        }
        read.map_err(|error| invalid(&error))?
    } else {
        vec![serde_json::from_str(text).map_err(|error| invalid(&error))?]
    };
    let name = |n: usize| if batch { format!("event {n}: ") } else { String::new() };
    Ok(Events { events: checked(text, fields, name)?, batch })
}

/// Reads NDJSON: an event a line, lines of nothing but whitespace aside.
pub(super) fn lines(body: &[u8], max_batch: usize) -> Result<Events<'_>, Refusal> {
    let text = utf8(body)?;
    let written = || text.split('\n').zip(1..).filter(|(line, _)| !line.trim_ascii().is_empty());
    let mut fields = Vec::new();
    for (line, number) in written() {
        if fields.len() == max_batch {
            return Err(Refusal::TooManyEvents(max_batch));
        }
        fields.push(serde_json::from_str(line).map_err(|error| invalid_in(number, &error))?);
    }
    // Only for the message: counting again costs less than keeping every line's number.
    let name = |n: usize| format!("event {n} (line {}): ", written().nth(n).map_or(0, |(_, number)| number));
    Ok(Events { events: checked(text, fields, name)?, batch: true })
}

/// The events that were read from `text`, once they are seen to be good; `name` says which one is not.
fn checked<'a>(text: &'a str, read: Vec<Fields<'a>>, name: impl Fn(usize) -> String) -> Result<Vec<Posted<'a>>, Refusal> {
    check_strings(text)?;
    if read.is_empty() {
        return Err(Refusal::InvalidEvent("the batch is empty".into()));
    }
    let mut events = Vec::with_capacity(read.len());
    for (n, fields) in read.into_iter().enumerate() {
        let posted = fields.posted().map_err(|problem| Refusal::InvalidEvent(format!("{}{problem}", name(n)).into()))?;
        check_depth(text, posted.context)?;
        check_depth(text, Some(posted.data))?;
        events.push(posted);
    }
    Ok(events)
}

/// Reads the body of `POST /events/{type}`: it is `data`.
pub(super) fn data<'a>(event_type: Cow<'a, str>, body: &'a [u8]) -> Result<Events<'a>, Refusal> {
    if !is_type(&event_type) {
        return Err(Refusal::InvalidEvent(TYPE.into()));
    }
    let data = json(body)?;
    Ok(Events { events: vec![Posted { id: None, event_type, time: None, context: None, data, cloud: None }], batch: false })
}

/// One JSON value, held to what `data` and `context` are held to, without the whitespace around it.
///
/// # Errors
/// It is not UTF-8, no JSON, too deep, or has a lone surrogate.
pub fn json(body: &[u8]) -> Result<&str, Refusal> {
    let text = utf8(body)?;
    let value = serde_json::from_str::<&RawValue>(text).map_err(|error| invalid(&error))?.get();
    check_strings(text)?;
    check_depth(text, Some(value))?;
    Ok(value)
}

pub(super) fn utf8(body: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(body).map_err(|error| at(&body[..error.valid_up_to()], "this is not UTF-8"))
}

pub(super) fn invalid(error: &serde_json::Error) -> Refusal {
    invalid_in(error.line(), error)
}

/// What is wrong in the text's line of that number.
fn invalid_in(line: usize, error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    Refusal::InvalidJson { line, column: error.column(), what: Cow::Owned(what.to_owned()) }
}

/// What is wrong with the byte after `before`.
fn at(before: &[u8], what: &'static str) -> Refusal {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    Refusal::InvalidJson { line, column, what: Cow::Borrowed(what) }
}

/// Refuses lone surrogate escapes in valid JSON: they are no characters, and no receiver could read them.
pub(super) fn check_strings(text: &str) -> Result<(), Refusal> {
    let bytes = text.as_bytes();
    let mut at_byte = 0;
    // Valid JSON has backslashes in strings only, and each begins an escape.
    while let Some(found) = memchr::memchr(b'\\', &bytes[at_byte..]) {
        let start = at_byte + found;
        at_byte = start + 2;
        if bytes.get(start + 1) != Some(&b'u') {
            continue;
        }
        at_byte = start + 6;
        match escaped(bytes, start) {
            Some(0xd800..=0xdbff) if matches!(escaped(bytes, at_byte), Some(0xdc00..=0xdfff)) => at_byte += 6,
            Some(0xd800..=0xdfff) => return Err(at(&bytes[..start], "a lone surrogate is no character")),
            _ => {}
        }
    }
    Ok(())
}

/// The code unit of the `\uXXXX` that begins at `start`.
fn escaped(bytes: &[u8], start: usize) -> Option<u16> {
    let digits = bytes.get(start..start + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Refuses valid JSON, a part of `whole`, that is nested too deeply.
pub(super) fn check_depth(whole: &str, part: Option<&str>) -> Result<(), Refusal> {
    let Some(part) = part else { return Ok(()) };
    if count_opening(part.as_bytes()) <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (n, byte) in part.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            let before = part.as_ptr() as usize - whole.as_ptr() as usize + n;
            return Err(at(&whole.as_bytes()[..before], "more than 127 arrays and objects inside one another"));
        }
    }
    Ok(())
}

/// How many brackets open in `bytes`, those in strings included: few bodies have enough to be looked at more closely.
fn count_opening(bytes: &[u8]) -> usize {
    // Counted in bytes, in pieces of at most 255 that sixteen divides: so the compiler does sixteen at once.
    let opening = |piece: &[u8]| piece.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    bytes.chunks(240).map(|piece| usize::from(opening(piece))).sum()
}

/// The members of one event, as they stand.
#[derive(Default)]
struct Fields<'a> {
    id: Option<&'a str>,
    event_type: Option<&'a str>,
    time: Option<&'a str>,
    context: Option<&'a str>,
    data: Option<&'a str>,
    problem: Option<Box<str>>,
}

impl<'a> Fields<'a> {
    fn posted(self) -> Result<Posted<'a>, Box<str>> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let given = |text: Option<&'a str>| text.filter(|text| *text != "null");
        let event_type = string(self.event_type.ok_or("`type` is missing")?).filter(|text| is_type(text)).ok_or(TYPE)?;
        let id = given(self.id).map(|id| string(id).filter(|id| is_id(id)).ok_or(ID)).transpose()?;
        let read = |text: Cow<'a, str>| Time::parse(&text).map(|time| time.unix_seconds).map(|seconds| (text, seconds));
        let time = given(self.time).map(|time| string(time).and_then(read).ok_or(TIME)).transpose()?;
        let data = self.data.ok_or("`data` is missing")?;
        Ok(Posted { id, event_type, time, context: given(self.context), data, cloud: None })
    }

    fn set(&mut self, key: Key, value: &'a str) {
        let (place, names) = match key {
            Key::Context => (&mut self.context, "`context` (`current_context`)"),
            Key::Data => (&mut self.data, "`data`"),
            Key::Id => (&mut self.id, "`id`"),
            Key::Time => (&mut self.time, "`time` (`event_time`)"),
            Key::Type => (&mut self.event_type, "`type` (`event_type`)"),
            Key::Unknown(name) => {
                self.problem.get_or_insert_with(|| format!("`{name}` is no member of an event").into());
                return;
            }
        };
        if place.replace(value).is_some() {
            self.problem.get_or_insert_with(|| format!("{names} is there twice").into());
        }
    }
}

/// The text of a JSON string; `None` for any other value.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Members)
    }
}

struct Members;

impl Members {
    /// Something else than an object is an event's fault, not JSON's: it is read to its end before it is refused.
    fn no_object<'a, E>(self) -> Result<Fields<'a>, E> {
        Ok(Fields { problem: Some("an event is an object".into()), ..Fields::default() })
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key()? {
            fields.set(key, map.next_value::<&RawValue>()?.get());
        }
        Ok(fields)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.no_object()
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        self.no_object()
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        self.no_object()
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        self.no_object()
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        self.no_object()
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        self.no_object()
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        self.no_object()
    }
}

/// A member's name; the second name of a member is as good as the first.
enum Key {
    Context,
    Data,
    Id,
    Time,
    Type,
    Unknown(Box<str>),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Key, E> {
                Ok(match name {
                    "context" | "current_context" => Key::Context,
                    "data" => Key::Data,
                    "id" => Key::Id,
                    "time" | "event_time" => Key::Time,
                    "type" | "event_type" => Key::Type,
                    unknown => Key::Unknown(unknown.chars().take(64).collect()),
                })
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// Reads an array of at most `max` events.
struct Batch<'s> {
    max: usize,
    too_many: &'s mut bool,
}

impl<'de> DeserializeSeed<'de> for Batch<'_> {
    type Value = Vec<Fields<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Vec<Fields<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(fields) = seq.next_element()? {
            if events.len() == self.max {
                *self.too_many = true;
                return Err(A::Error::custom("too many events"));
            }
            events.push(fields);
        }
        Ok(events)
    }
}

const ID: &str = "`id` must be a string of 1 to 255 visible ASCII characters";
const TIME: &str = "`time` (`event_time`) must be an RFC 3339 time, such as 2026-11-22T19:21:53Z";
const TYPE: &str = "`type` (`event_type`) must be a string of 1 to 255 of A-Z a-z 0-9 . _ - : /";

#[cfg(test)]
mod tests {
    use super::*;

    fn one(body: &str) -> Result<Posted<'_>, Refusal> {
        events(body.as_bytes(), 1000).map(|mut read| read.events.remove(0))
    }

    fn detail(body: &str) -> String {
        match events(body.as_bytes(), 2) {
            Ok(read) => panic!("{body} was read as {read:?}"),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn data_and_context_are_slices_of_the_body() {
        let body =
            r#" {"type":"a.b","data": { "n" : 1.0 , "n":1e400,"t":"\u00e9\ud83d\ude00"} ,"context":[ 12345678901234567890 ]} "#;
        let posted = one(body).unwrap();
        assert_eq!(posted.data, r#"{ "n" : 1.0 , "n":1e400,"t":"\u00e9\ud83d\ude00"}"#);
        assert_eq!(posted.context, Some("[ 12345678901234567890 ]"));
        assert!(body.as_bytes().as_ptr_range().contains(&posted.data.as_ptr()));
    }

    #[test]
    fn members_have_second_names_and_null_is_as_absent() {
        let posted =
            one(r#"{"event_type":"a","event_time":"2026-11-22T19:21:53Z","current_context":{},"data":null,"id":null}"#).unwrap();
        assert_eq!(
            (&*posted.event_type, posted.time, posted.context),
            ("a", Some(("2026-11-22T19:21:53Z".into(), 1_795_375_313)), Some("{}"))
        );
        assert_eq!((posted.data, posted.id), ("null", None));
        assert_eq!(
            one(r#"{"type":"\u0061","data":1,"context":null,"time":null}"#).unwrap(),
            Posted { id: None, event_type: "a".into(), time: None, context: None, data: "1", cloud: None }
        );
    }

    #[test]
    fn what_is_no_event_is_refused_by_the_name_of_the_field() {
        for (body, says) in [
            ("1", "an event is an object"),
            ("{}", "`type` is missing"),
            (r#"{"type":"a"}"#, "`data` is missing"),
            (r#"{"type":null,"data":1}"#, TYPE),
            (r#"{"type":"a b","data":1}"#, TYPE),
            (r#"{"type":"a","data":1,"id":7}"#, ID),
            (r#"{"type":"a","data":1,"id":""}"#, ID),
            (r#"{"type":"a","data":1,"time":"today"}"#, TIME),
            (r#"{"type":"a","data":1,"extra":1}"#, "`extra` is no member of an event"),
            (r#"{"type":"a","event_type":"a","data":1}"#, "`type` (`event_type`) is there twice"),
            (r#"{"type":"a","data":1,"data":2}"#, "`data` is there twice"),
            ("[]", "the batch is empty"),
            (r#"[{"type":"a","data":1},{"type":"a"}]"#, "event 1: `data` is missing"),
            (r#"[{"type":"a","data":1},[[1]]]"#, "event 1: an event is an object"),
            (r#"[1,2,3]"#, "more than listen.max_batch events, 2"),
        ] {
            assert_eq!(detail(body), says, "{body}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_line_and_column() {
        for (body, says) in [
            ("", "line 1, column 0: EOF while parsing a value"),
            ("{\"type\":\"a\",\n \"data\":tru}", "line 2, column 12: expected ident"),
            ("{\"type\":\"a\",\"data\":1} x", "line 1, column 23: trailing characters"),
            ("[{\"type\":\"a\",\"data\":1},]", "line 1, column 24: trailing comma"),
            ("{\"type\":\"a\",\"data\":\"\\ud800\"}", "line 1, column 21: a lone surrogate is no character"),
            ("{\"type\":\"a\",\"data\":\"\\udc00\\ud800\"}", "line 1, column 21: a lone surrogate is no character"),
            ("{\"type\":\"a\",\n\"data\":\"\\ud800\\u0041\"}", "line 2, column 9: a lone surrogate is no character"),
        ] {
            assert_eq!(detail(body), says, "{body}");
        }
        let broken = events(b"{\"type\":\"a\",\"data\":\"\xff\"}", 9);
        assert_eq!(broken.unwrap_err().to_string(), "line 1, column 21: this is not UTF-8");
    }

    #[test]
    fn ndjson_is_an_event_a_line_and_blank_lines_are_none() {
        let body = "\n{\"type\":\"a\",\"data\": [1, 2] }\r\n \t\r\n\n{\"type\":\"b\",\"data\":2}";
        let read = lines(body.as_bytes(), 2).unwrap();
        let seen: Vec<_> = read.events.iter().map(|event| (&*event.event_type, event.data)).collect();
        assert_eq!((seen, read.batch), (vec![("a", "[1, 2]"), ("b", "2")], true));
    }

    #[test]
    fn what_is_wrong_in_ndjson_is_told_with_its_line() {
        let good = r#"{"type":"a","data":1}"#;
        for (body, says) in [
            (String::new(), "the batch is empty".to_owned()),
            (" \n\r\n".to_owned(), "the batch is empty".to_owned()),
            (format!("{good}\n\n{{\"type\":\"a\",\"data\":tru}}"), "line 3, column 23: expected ident".to_owned()),
            (format!("{good}\n{{\"type\":\"a\",\n\"data\":1}}"), "line 2, column 12: EOF while parsing a value".to_owned()),
            (format!("{good} {good}\n"), "line 1, column 23: trailing characters".to_owned()),
            (format!("\n{good}\n\n{{\"type\":\"a\"}}\n"), "event 1 (line 4): `data` is missing".to_owned()),
            (format!("{good}\n[{good}]\n"), "event 1 (line 2): an event is an object".to_owned()),
            (format!("{good}\n{good}\n{good}\n"), "more than listen.max_batch events, 2".to_owned()),
            (
                format!("{good}\n{{\"type\":\"a\",\"data\":\"\\ud800\"}}\n"),
                "line 2, column 21: a lone surrogate is no character".to_owned(),
            ),
        ] {
            assert_eq!(lines(body.as_bytes(), 2).unwrap_err().to_string(), says, "{body}");
        }
        let broken = lines(b"{\"type\":\"a\",\"data\":1}\n\xff", 9);
        assert_eq!(broken.unwrap_err().to_string(), "line 2, column 1: this is not UTF-8");
    }

    #[test]
    fn escaped_backslashes_before_a_u_are_no_escape() {
        assert_eq!(one(r#"{"type":"a","data":"\\ud800"}"#).unwrap().data, r#""\\ud800""#);
    }

    #[test]
    fn nesting_is_counted_in_data_and_context_alone() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let event = |data: &str| format!(r#"[{{"type":"a","data":{data}}}]"#);
        assert!(events(event(&nested(127)).as_bytes(), 9).is_ok());
        let error = events(event(&nested(128)).as_bytes(), 9).unwrap_err();
        assert_eq!(error.to_string(), "line 1, column 148: more than 127 arrays and objects inside one another");
        let strings = format!("[{}\"\\\"[\"]", "\"[[[[\",".repeat(100));
        assert!(events(event(&strings).as_bytes(), 9).is_ok());
        assert!(data("a".into(), nested(128).as_bytes()).is_err());
        assert!(data("a".into(), format!("[{}]", vec!["[]"; 500].join(",")).as_bytes()).is_ok());
    }

    #[test]
    fn a_typed_path_takes_any_json_as_data() {
        let read = data("a.b".into(), b" 1e400\n").unwrap();
        assert_eq!((read.events[0].data, read.batch), ("1e400", false));
        assert!(matches!(data("a b".into(), b"1"), Err(Refusal::InvalidEvent(_))));
        assert!(matches!(data("a".into(), b"1 2"), Err(Refusal::InvalidJson { .. })));
    }
}
