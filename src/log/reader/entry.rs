//! A line of the log as it was read.
//!
//! Nearly every line is as this crate writes it, and is read in one pass that copies nothing; whatever else JSON allows
//! (spaces, nested values, escapes in keys) is left to serde_json.

use std::{borrow::Cow, fmt};

use memchr::{memchr, memchr2};
use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A line, in either format, as far as it has these keys; the names are those of the plain one. A value of another type than
/// the log's is left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry<'a> {
    /// RFC 3339.
    pub timestamp: Cow<'a, str>,
    pub level: Option<Cow<'a, str>>,
    pub message: Option<Cow<'a, str>>,
    pub kind: Option<Cow<'a, str>>,
    pub outcome: Option<Cow<'a, str>>,
    pub event_id: Option<Cow<'a, str>>,
    pub event_type: Option<Cow<'a, str>>,
    pub endpoint: Option<Cow<'a, str>>,
    pub method: Option<Cow<'a, str>>,
    pub url: Option<Cow<'a, str>>,
    pub attempt: Option<u32>,
    pub max_attempts: Option<u32>,
    pub http_status: Option<u16>,
    pub duration_ms: Option<f64>,
    pub bytes: Option<u64>,
    pub trace_id: Option<Cow<'a, str>>,
    pub batch_id: Option<Cow<'a, str>>,
    pub error: Option<Cow<'a, str>>,
    pub error_code: Option<Cow<'a, str>>,
    pub reason: Option<Cow<'a, str>>,
    pub response: Option<Cow<'a, str>>,
}

impl<'a> Entry<'a> {
    /// Reads a line; `None` where it is none of the log's: no JSON object, or without a timestamp.
    pub fn read(line: &'a [u8]) -> Option<Entry<'a>> {
        let line = str::from_utf8(line).ok()?;
        let mut entry = Entry::default();
        if entry.read_plain(line).is_none() {
            entry = Entry::default();
            entry.read_any(line)?;
        }
        (!entry.timestamp.is_empty()).then_some(entry)
    }

    /// Reads a line without spaces, nested values and escapes in keys.
    fn read_plain(&mut self, line: &'a str) -> Option<()> {
        let bytes = line.as_bytes();
        // Every byte is looked at, without a way out of the loop: so it compiles to vector instructions.
        if bytes.iter().fold(false, |control, byte| control | (*byte < b' ')) || bytes.first() != Some(&b'{') {
            return None;
        }
        let mut at = 1;
        loop {
            let key = line[at..].strip_prefix('"')?;
            let key = &key[..memchr(b'"', key.as_bytes())?];
            // An escape could only hide a quote, and then this is not the key's end and no colon follows.
            at += key.len() + 2;
            if bytes.get(at) != Some(&b':') || key.contains('\\') {
                return None;
            }
            let value = value(&line[at + 1..])?;
            self.set(key, value);
            at += 1 + value.len();
            match bytes.get(at)? {
                b',' => at += 1,
                b'}' => return (at + 1 == bytes.len()).then_some(()),
                _ => return None,
            }
        }
    }

    fn read_any(&mut self, line: &'a str) -> Option<()> {
        let mut deserializer = serde_json::Deserializer::from_str(line);
        deserializer.deserialize_map(Keys(self)).ok()?;
        deserializer.end().ok()
    }

    /// Takes over a value, as it stands in the line, if its key is known.
    fn set(&mut self, key: &str, value: &'a str) {
        match key {
            "timestamp" | "@timestamp" => self.timestamp = text(value).unwrap_or_default(),
            "level" | "log.level" => self.level = text(value),
            "message" => self.message = text(value),
            "kind" | "sidehook.kind" => self.kind = text(value),
            "outcome" | "sidehook.outcome" => self.outcome = text(value),
            "event_id" | "event.id" => self.event_id = text(value),
            "event_type" | "sidehook.event_type" => self.event_type = text(value),
            "endpoint" | "sidehook.endpoint" => self.endpoint = text(value),
            "method" | "http.request.method" => self.method = text(value),
            "url" | "url.full" => self.url = text(value),
            "attempt" | "sidehook.attempt" => self.attempt = value.parse().ok(),
            "max_attempts" | "sidehook.max_attempts" => self.max_attempts = value.parse().ok(),
            "http_status" | "http.response.status_code" => self.http_status = value.parse().ok(),
            "duration_ms" => self.duration_ms = value.parse().ok(),
            "event.duration" => self.duration_ms = value.parse().ok().map(|nanos: f64| nanos / 1e6),
            "bytes" | "http.request.body.bytes" => self.bytes = value.parse().ok(),
            "trace_id" | "trace.id" => self.trace_id = text(value),
            "batch_id" | "sidehook.batch_id" => self.batch_id = text(value),
            "error" | "error.message" => self.error = text(value),
            "error_code" | "error.code" => self.error_code = text(value),
            "reason" | "event.reason" => self.reason = text(value),
            "response" | "http.response.body.content" => self.response = text(value),
            _ => {}
        }
    }
}

struct Keys<'e, 'a>(&'e mut Entry<'a>);

impl<'a> Visitor<'a> for Keys<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
            self.0.set(&key, value.get());
        }
        Ok(())
    }
}

/// The string or literal that `text` begins with.
fn value(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        let literal = &text[..memchr2(b',', b'}', bytes)?];
        return (is_plain_number(literal) || serde_json::from_str::<IgnoredAny>(literal).is_ok()).then_some(literal);
    }
    let (mut end, mut escapes) = (1, false);
    loop {
        end += memchr2(b'"', b'\\', bytes.get(end..)?)?;
        if bytes[end] == b'"' {
            break;
        }
        (end, escapes) = (end + 2, true);
    }
    let string = &text[..=end];
    (!escapes || serde_json::from_str::<IgnoredAny>(string).is_ok()).then_some(string)
}

/// Whether it is digits, with or without a fraction: what numbers of the log are.
fn is_plain_number(literal: &str) -> bool {
    let (whole, fraction) = literal.split_once('.').unwrap_or((literal, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction) && (whole.len() == 1 || !whole.starts_with('0'))
}

/// What a JSON string says; `None` for any other value.
fn text(value: &str) -> Option<Cow<'_, str>> {
    let inside = value.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(value).ok().map(Cow::Owned)
}

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "the reference is what anybody's reader makes of a line")]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const PLAIN: &str = r#"{"timestamp":"2026-11-22T19:21:53.123456Z","level":"warn","message":"m","kind":"delivery","outcome":"retrying","event_id":"e","event_type":"a.b","endpoint":"billing","endpoint_id":"app_1","method":"POST","url":"https://x/","attempt":1,"max_attempts":4,"http_status":503,"duration_ms":12.345,"bytes":512,"trace_id":"t","batch_id":"b","error":"\"no\"","error_code":"status_503","reason":"r","response":"a\n\u2028"}"#;
    const ECS: &str = r#"{"@timestamp":"2026-11-22T19:21:53.123456Z","log.level":"warn","message":"m","ecs.version":"8.11.0","service.name":"sidehook","event.dataset":"sidehook.deliveries","sidehook.kind":"delivery","sidehook.outcome":"retrying","event.action":"retrying","event.outcome":"failure","event.id":"e","sidehook.event_type":"a.b","sidehook.endpoint":"billing","sidehook.endpoint_id":"app_1","http.request.method":"POST","url.full":"https://x/","sidehook.attempt":1,"sidehook.max_attempts":4,"http.response.status_code":503,"event.duration":12345000,"http.request.body.bytes":512,"trace.id":"t","sidehook.batch_id":"b","error.message":"\"no\"","error.code":"status_503","event.reason":"r","http.response.body.content":"a\n\u2028"}"#;

    #[test]
    fn both_formats_say_the_same() {
        let plain = Entry::read(PLAIN.as_bytes()).unwrap();
        assert_eq!((&*plain.timestamp, plain.level.as_deref()), ("2026-11-22T19:21:53.123456Z", Some("warn")));
        assert_eq!((plain.attempt, plain.max_attempts, plain.http_status), (Some(1), Some(4), Some(503)));
        assert_eq!((plain.duration_ms, plain.bytes), (Some(12.345), Some(512)));
        assert_eq!((plain.error.as_deref(), plain.response.as_deref()), (Some("\"no\""), Some("a\n\u{2028}")));
        let absent = format!("{plain:?}").matches("None").count();
        assert_eq!(absent, 0, "{plain:?}");
        assert_eq!(Entry::read(ECS.as_bytes()).unwrap(), plain);
    }

    #[test]
    fn what_we_write_is_read_without_a_copy_or_a_detour() {
        let mut entry = Entry::default();
        assert!(entry.read_plain(PLAIN).is_some());
        assert!(matches!((&entry.timestamp, &entry.url), (Cow::Borrowed(_), Some(Cow::Borrowed(_)))));
        assert!(Entry::default().read_plain(ECS).is_some());
    }

    #[test]
    fn spaces_nesting_and_escapes_are_read_as_well() {
        let spaced =
            r#" { "timestamp" : "2026", "a" : {"endpoint": "no", "b": [1, {}]}, "\u0065ndpoint":"yes", "attempt": null } "#;
        let entry = Entry::read(spaced.as_bytes()).unwrap();
        assert_eq!((&*entry.timestamp, entry.endpoint.as_deref(), entry.attempt), ("2026", Some("yes"), None));
        let escaped = Entry::read(br#"{"timestamp":"2026","\u0065ndpoint":"yes"}"#).unwrap();
        assert_eq!(escaped.endpoint.as_deref(), Some("yes"));
    }

    #[test]
    fn what_is_no_line_is_nothing() {
        let whole = PLAIN.as_bytes();
        for cut in 0..whole.len() {
            assert_eq!(Entry::read(&whole[..cut]), None, "{cut}");
            assert_eq!(Entry::read(&whole[cut + 1..]), None, "{cut}");
        }
        for wrong in [
            r#"{"timestamp":"a","endpoint":"b","me{"timestamp":"c","endpoint":"b"}"#,
            r#"{"timestamp":"a","x":01}"#,
            r#"{"timestamp":"a","x":"\q"}"#,
            r#"{"timestamp":"a",}"#,
            r#"{"timestamp":"a"}x"#,
            r#"{"timestamp":"a","x\":1}"#,
            r#"{"timestamp":"a","x":tru}"#,
            "{\"timestamp\":\"a\",\"x\":\"\t\"}",
            r#"{"endpoint":"b"}"#,
            r#"{"timestamp":1}"#,
            r#"["timestamp"]"#,
            "{}",
            "null",
        ] {
            assert_eq!(Entry::read(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Entry::read(b"{\"timestamp\":\"a\",\"x\":\"\xff\"}"), None);
    }

    /// What serde_json makes of the line's tree.
    fn reference(line: &str) -> Option<(String, Option<String>, Option<u64>)> {
        let tree: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| tree.get(key).and_then(Value::as_str).map(str::to_owned);
        let timestamp = text("timestamp").filter(|timestamp| !timestamp.is_empty())?;
        Some((timestamp, text("endpoint"), tree.get("bytes").and_then(Value::as_u64)))
    }

    proptest! {
        #[test]
        fn any_object_is_read_as_json_is(
            timestamp in "\\PC{0,9}", endpoint in any::<String>(), bytes in any::<u32>(), other in "\\PC{0,9}",
            spaced in any::<bool>(), damage in proptest::option::of((any::<prop::sample::Index>(), any::<char>())),
        ) {
            let tree = json!({"bytes": bytes, "endpoint": endpoint, "timestamp": timestamp, other: {"endpoint": [1.5e3, null]}});
            let mut line = if spaced { serde_json::to_string_pretty(&tree).unwrap() } else { tree.to_string() };
            if let Some((at, character)) = damage {
                let mut characters: Vec<char> = line.chars().collect();
                let at = at.index(characters.len());
                characters[at] = character;
                line = characters.into_iter().collect();
            }
            let read = Entry::read(line.as_bytes()).map(|entry| {
                (entry.timestamp.into_owned(), entry.endpoint.map(Cow::into_owned), entry.bytes)
            });
            // A tree refuses numbers out of range and lone surrogates, which matters nowhere here.
            if let Some(expected) = reference(&line) {
                prop_assert_eq!(read, Some(expected), "{}", line);
            }
        }

        #[test]
        fn a_torn_line_is_never_read(cut in 1..PLAIN.len(), joined in any::<bool>()) {
            let line = if joined { format!("{}{PLAIN}", &PLAIN[..cut]) } else { PLAIN[..cut].to_owned() };
            prop_assert_eq!(Entry::read(line.as_bytes()), None);
        }
    }
}
