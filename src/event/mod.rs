//! The traveller: one event, as the app posted it.
//!
//! An [`Event`] borrows everything from the request; a [`Kept`] is its owned form, in two allocations, for as long as a
//! delivery needs it. `data` and `context` are JSON text, carried byte for byte and never parsed into a tree.
//!
//! **Invariant:** an `Event` is valid: its type, id and time follow the interface's grammar, and its JSON texts are
//! well-formed UTF-8 JSON, at most [`MAX_DEPTH`] deep, without lone surrogate escapes.

pub mod cloud;
pub mod media;
mod time;

use std::fmt;

use bytes::Bytes;

use self::cloud::Attributes;
pub use self::time::Time;

/// The most arrays and objects that may stand inside one another in `data` or `context`.
pub const MAX_DEPTH: usize = 127;

/// One event, borrowed from wherever its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    pub id: &'a str,
    pub event_type: &'a str,
    pub time: Time<'a>,
    /// JSON text; `None` where the app gave none.
    pub context: Option<&'a str>,
    /// JSON text.
    pub data: &'a str,
    /// A URI reference: the CloudEvent's own, or this sidecar's.
    pub source: &'a str,
    /// Of what came as a CloudEvent.
    pub cloud: Option<Attributes<'a>>,
    pub trace: Option<&'a Trace>,
}

/// What names an event: all of it but what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    pub id: &'a str,
    pub event_type: &'a str,
    pub time: Time<'a>,
    pub trace: Option<&'a Trace>,
}

impl<'a> Head<'a> {
    /// A batch has an id and nothing else.
    pub fn of_batch(id: &'a str) -> Head<'a> {
        Head { id, event_type: "", time: Time { text: "", unix_seconds: 0 }, trace: None }
    }
}

/// A W3C trace context, as the app sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// `version-traceid-parentid-flags`, checked.
    pub parent: Box<str>,
    pub state: Option<Box<str>>,
}

impl Trace {
    /// Reads a `traceparent` (W3C Trace Context, version 00 and, as it asks, later ones by their first four fields).
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Trace> {
        let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let zeros = |part: &str| part.bytes().all(|byte| byte == b'0');
        let mut fields = parent.split('-');
        let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let shape = version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
        let content = [version, trace, span, flags].into_iter().all(hex) && !zeros(trace) && !zeros(span);
        let known = version != "ff" && (version != "00" || fields.next().is_none());
        (shape && content && known).then(|| Trace { parent: parent.into(), state: state.map(Box::from) })
    }

    /// The 32 hex digits that name the trace.
    pub fn id(&self) -> &str {
        self.parent.get(3..35).unwrap_or_default()
    }
}

/// Whether `text` may be an event's type: 1–255 of `A-Z a-z 0-9 . _ - : /`.
pub fn is_type(text: &str) -> bool {
    (1..=LONGEST_TYPE).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':' | b'/'))
}

/// In characters, which are bytes.
pub const LONGEST_TYPE: usize = 255;

/// Whether `text` may be an event's id: 1–255 visible ASCII characters.
pub fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An id sidehook makes: a prefix and a UUIDv7 (RFC 9562) in lower-case hex without dashes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GeneratedId([u8; 36]);

impl GeneratedId {
    /// `evt_…`, for an event that came without an id.
    pub fn event(unix_millis: u64, random: &[u8; 10]) -> GeneratedId {
        GeneratedId::with(*b"evt_00000000000000000000000000000000", unix_millis, random)
    }

    /// `bat_…`, for a batch.
    pub fn batch(unix_millis: u64, random: &[u8; 10]) -> GeneratedId {
        GeneratedId::with(*b"bat_00000000000000000000000000000000", unix_millis, random)
    }

    fn with(mut text: [u8; 36], unix_millis: u64, random: &[u8; 10]) -> GeneratedId {
        let id = uuid::Builder::from_unix_timestamp_millis(unix_millis, random).into_uuid();
        id.simple().encode_lower(&mut text[4..]);
        GeneratedId(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for GeneratedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event that has left its request behind.
#[derive(Debug)]
pub struct Kept {
    /// id, type, time and context, one after the other.
    text: Box<str>,
    type_at: u32,
    time_at: u32,
    context_at: u32,
    has_context: bool,
    unix_seconds: i64,
    data: Bytes,
    cloud: Option<Box<KeptAttributes>>,
    trace: Option<Box<Trace>>,
}

/// What a CloudEvent says of itself, owned.
#[derive(Debug)]
struct KeptAttributes {
    source: Box<str>,
    subject: Option<Box<str>>,
    data_schema: Option<Box<str>>,
    extensions: Box<str>,
}

impl Kept {
    /// Keeps `event`; `data` holds the event's data already (a slice of an encoded body), or it is copied here.
    pub fn new(event: &Event<'_>, data: Option<Bytes>) -> Kept {
        let context = event.context.unwrap_or_default();
        let (id, kind, time) = (event.id.len(), event.event_type.len(), event.time.text.len());
        let mut text = String::with_capacity(id + kind + time + context.len());
        for part in [event.id, event.event_type, event.time.text, context] {
            text.push_str(part);
        }
        Kept {
            text: text.into_boxed_str(),
            type_at: id as u32,
            time_at: (id + kind) as u32,
            context_at: (id + kind + time) as u32,
            has_context: event.context.is_some(),
            unix_seconds: event.time.unix_seconds,
            data: data.unwrap_or_else(|| Bytes::copy_from_slice(event.data.as_bytes())),
            cloud: event.cloud.map(|attributes| Box::new(KeptAttributes::new(event.source, &attributes))),
            trace: event.trace.cloned().map(Box::new),
        }
    }

    /// The event whole, but for the source of one that is no CloudEvent. It looks through all of `data`; on the way of a delivery the [`Kept::head`] is enough.
    pub fn view(&self) -> Event<'_> {
        let Head { id, event_type, time, trace } = self.head();
        let context = self.has_context.then(|| self.part(self.context_at, self.text.len() as u32));
        Event {
            id,
            event_type,
            time,
            context,
            data: std::str::from_utf8(&self.data).unwrap_or_default(),
            source: self.cloud.as_ref().map_or("", |cloud| &cloud.source),
            cloud: self.cloud.as_ref().map(|cloud| cloud.view()),
            trace,
        }
    }

    pub fn head(&self) -> Head<'_> {
        Head {
            id: self.part(0, self.type_at),
            event_type: self.part(self.type_at, self.time_at),
            time: Time { text: self.part(self.time_at, self.context_at), unix_seconds: self.unix_seconds },
            trace: self.trace.as_deref(),
        }
    }

    /// The JSON text of the event's data.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    fn part(&self, from: u32, to: u32) -> &str {
        self.text.get(from as usize..to as usize).unwrap_or_default()
    }

    /// The bytes of memory behind this event that its `data` does not share with a body.
    pub fn footprint(&self) -> usize {
        let trace = self.trace.as_ref().map_or(0, |trace| trace.parent.len() + trace.state.as_ref().map_or(0, |s| s.len()) + 64);
        let cloud = self.cloud.as_ref().map_or(0, |cloud| cloud.footprint());
        size_of::<Kept>() + self.text.len() + trace + cloud
    }
}

impl KeptAttributes {
    fn new(source: &str, attributes: &Attributes<'_>) -> KeptAttributes {
        KeptAttributes {
            source: source.into(),
            subject: attributes.subject.map(Box::from),
            data_schema: attributes.data_schema.map(Box::from),
            extensions: attributes.extensions.into(),
        }
    }

    fn view(&self) -> Attributes<'_> {
        Attributes { subject: self.subject.as_deref(), data_schema: self.data_schema.as_deref(), extensions: &self.extensions }
    }

    fn footprint(&self) -> usize {
        let optional = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<KeptAttributes>()
            + self.source.len()
            + optional(&self.subject)
            + optional(&self.data_schema)
            + self.extensions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_ids_keep_to_their_alphabets() {
        assert!(is_type("purchase.completed:v1/a-b_C"));
        assert!(!is_type("") && !is_type("a b") && !is_type("ä") && !is_type(&"a".repeat(256)));
        assert!(is_id("!~evt_1") && !is_id("a b") && !is_id("") && !is_id("\u{7f}"));
    }

    #[test]
    fn a_generated_id_is_a_uuid_of_version_7() {
        let id = GeneratedId::event(0x0190_0000_0000, &[0xff; 10]);
        assert_eq!(id.as_str(), "evt_0190000000007fffbfffffffffffffff");
    }

    #[test]
    fn what_is_kept_is_what_came() {
        let trace = Trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some("a=1"));
        let time = Time { text: "2016-06-21T02:33:30Z", unix_seconds: 1_466_476_410 };
        for context in [None, Some(""), Some("{\"a\":1}")] {
            let (data, source, trace) = ("[1.0]", "", trace.as_ref());
            let event = Event { id: "e1", event_type: "a.b", time, context, data, source, cloud: None, trace };
            assert_eq!(Kept::new(&event, None).view(), event);
            let cloud = Some(Attributes { subject: Some("s"), data_schema: None, extensions: "\"a\":1" });
            let event = Event { source: "/s", cloud, ..event };
            assert_eq!(Kept::new(&event, None).view(), event);
        }
    }

    #[test]
    fn a_traceparent_is_checked() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(
            Trace::parse(good, None).map(|trace| trace.id().to_owned()).as_deref(),
            Some("0af7651916cd43dd8448eb211c80319c")
        );
        for wrong in [
            "",
            "00-0-0-0",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::parse(wrong, None), None, "{wrong}");
        }
        assert_eq!(Trace::parse(&format!("{good}-x"), None), None);
    }
}
