//! From an event's JSON texts to jaq's values.
//!
//! **Invariant:** a number is written again as it was: only integers whose text is the one jaq would write become numbers that
//! can be counted with at once, all others keep their text until then.

use jaq_json::{Map, Num, Val};

use crate::event::{Event, MAX_DEPTH};

/// `{id, type, time, context, data}`, of a CloudEvent also `source`, `subject` and the extensions.
pub(super) fn event(event: &Event<'_>) -> Val {
    let mut object = Map::with_capacity_and_hasher(5, Default::default());
    let text = |text: &str| Val::utf8_str(text.as_bytes().to_vec());
    object.insert(text("id"), text(event.id));
    object.insert(text("type"), text(event.event_type));
    object.insert(text("time"), text(event.time.text));
    object.insert(text("context"), event.context.map_or(Val::Null, json));
    object.insert(text("data"), json(event.data));
    if let Some(cloud) = &event.cloud {
        object.insert(text("source"), text(event.source));
        object.extend(cloud.subject.map(|subject| (text("subject"), text(subject))));
        // Of what stands here only `context` can be an extension's name, and a CloudEvent has no other.
        object.extend(cloud.extensions().map(|(name, value)| (text(name), json(value))));
    }
    Val::obj(object)
}

/// A value of valid JSON.
fn json(text: &str) -> Val {
    Reader { text, at: 0, is_broken: false }.value()
}

/// The one value of a text that may be no JSON, but is not too deep; why it has none.
pub(super) fn checked(text: &[u8]) -> Result<Val, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| error.to_string())?;
    let mut reader = Reader { text, at: 0, is_broken: false };
    let value = reader.value();
    if reader.is_broken { Err("half a surrogate pair".to_owned()) } else { Ok(value) }
}

/// A number as jq reads one: with a plus, leading zeros or nothing before or behind its point. It is written as JSON has it.
pub(super) fn lenient_number(text: &[u8]) -> Option<Val> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t', '\n', '\r']);
    let (sign, rest) = text.strip_prefix('-').map_or(("", text.strip_prefix('+').unwrap_or(text)), |rest| ("-", rest));
    let (mantissa, exponent) = rest.split_at(rest.find(['e', 'E']).unwrap_or(rest.len()));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let power = exponent.get(1..).map(|power| power.strip_prefix(['+', '-']).unwrap_or(power));
    if !is_number(whole) || !is_number(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    if power.is_some_and(|power| power.is_empty() || !is_number(power)) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(number(&[sign, whole, point, fraction, exponent].concat()))
}

/// A number that JSON has.
fn number(text: &str) -> Val {
    let is_plain = text != "-0" && text.len() <= DIGITS && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let integer = if is_plain { Num::from_str_radix(text, 10) } else { None };
    Val::Num(integer.unwrap_or_else(|| Num::Dec(text.to_owned().into())))
}

/// Whether `text` opens more arrays and objects inside one another than an event may have; it need not be JSON.
pub(super) fn is_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// Reads JSON that was checked, also for its depth.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Whether a string could not be read, which is only so where it has half a surrogate pair.
    is_broken: bool,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Val {
        match self.peek() {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string(),
            b't' => self.word(4, Val::Bool(true)),
            b'f' => self.word(5, Val::Bool(false)),
            b'n' => self.word(4, Val::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self) -> Val {
        self.at += 1;
        let mut object = Map::default();
        while self.peek() == b'"' {
            let key = self.string();
            self.pass(b':');
            let value = self.value();
            object.insert(key, value);
            self.pass(b',');
        }
        self.at += 1;
        Val::obj(object)
    }

    fn array(&mut self) -> Val {
        self.at += 1;
        let mut array = Vec::new();
        while !matches!(self.peek(), b']' | END) {
            array.push(self.value());
            self.pass(b',');
        }
        self.at += 1;
        Val::Arr(array.into())
    }

    fn string(&mut self) -> Val {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        let mut at = start + 1;
        while let Some(offset) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
            at += offset;
            if bytes[at] == b'"' {
                break;
            }
            escaped = true;
            at += 2;
        }
        self.at = at + 1;
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        let text = match escaped {
            true => serde_json::from_str::<String>(quoted).unwrap_or_else(|_| self.broken()).into_bytes(),
            false => quoted.get(1..quoted.len() - 1).unwrap_or_default().as_bytes().to_vec(),
        };
        Val::utf8_str(text)
    }

    fn number(&mut self) -> Val {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end =
            rest.find(|character: char| !matches!(character, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
        let text = &rest[..end];
        self.at += end.max(1);
        number(text)
    }

    fn broken(&mut self) -> String {
        self.is_broken = true;
        String::new()
    }

    fn word(&mut self, length: usize, value: Val) -> Val {
        self.at += length;
        value
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> u8 {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let blank = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += blank.unwrap_or(rest.len());
        self.text.as_bytes().get(self.at).copied().unwrap_or(END)
    }

    /// Goes past `byte`, if that is next.
    fn pass(&mut self, byte: u8) {
        if self.peek() == byte {
            self.at += 1;
        }
    }
}

/// Longer integers keep their text and count as floats: to read one takes the square of its length.
const DIGITS: usize = 400;

/// No byte of JSON.
const END: u8 = 0;
