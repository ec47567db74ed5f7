//! The path: what is made of an event once, at the door, and once an attempt.
//!
//! [`prepare`] turns an event and the endpoints that get it into a [`Prepared`]: the event kept, and one body per distinct
//! shape, which endpoints of that shape share. [`render`] makes the request of one attempt: the stamp and the signatures
//! are new each time, the body is the same bytes.
//!
//! **Invariant:** after `prepare` content can no longer fail; `render` has no error.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use smallvec::SmallVec;

use crate::{
    encode::{self, Shape},
    endpoint::{Auth, Endpoint, HeaderPlaceholder, HeaderText},
    envelope::Envelope,
    event::{Event, Head, Kept, cloud},
    sign::Stamp,
    transform::{self, Program},
};

/// An event on its way: kept whole, with the bodies its endpoints get.
#[derive(Debug)]
pub struct Prepared {
    pub event: Kept,
    pub bodies: Vec<Body>,
}

/// The exact bytes of a request's body, and what they are.
#[derive(Clone, Debug)]
pub struct Body {
    pub bytes: Bytes,
    pub content_type: HeaderValue,
    /// What belongs to the body but stands in the head: the attributes of a CloudEvent in binary mode.
    pub headers: Option<Box<BodyHeaders>>,
    /// It cannot stand in a batch: it is not JSON, or some of it stands in the head.
    pub is_alone: bool,
}

pub type BodyHeaders = [(HeaderName, HeaderValue)];

impl Prepared {
    /// The bytes of memory this takes, with all its bodies.
    pub fn footprint(&self) -> usize {
        self.measure(&self.bodies)
    }

    /// The bytes of memory this would take if it had that body alone, or none.
    pub fn footprint_with(&self, body: Option<u32>) -> usize {
        self.measure(body.map_or(&[], |body| std::slice::from_ref(&self.bodies[body as usize])))
    }

    fn measure(&self, bodies: &[Body]) -> usize {
        let data = self.event.data();
        let in_a_body = bodies.iter().any(|body| body.bytes.as_ptr_range().contains(&data.as_ptr()));
        let data = if in_a_body { 0 } else { data.len() + BODY_OVERHEAD };
        self.event.footprint() + data + bodies.iter().map(Body::footprint).sum::<usize>()
    }
}

impl Body {
    fn footprint(&self) -> usize {
        let header = |(name, value): &(HeaderName, HeaderValue)| name.as_str().len() + value.len() + HEADER_OVERHEAD;
        let headers = self.headers.as_ref().map_or(0, |headers| headers.iter().map(header).sum());
        self.bytes.len() + BODY_OVERHEAD + headers
    }
}

/// What an endpoint gets of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// The body at this place.
    Body(u32),
    /// The transform failed.
    Failed(transform::RunError),
    /// The transform gave nothing.
    Filtered,
}

/// Keeps an event and makes a body for each endpoint, through its route's transform where that has one; the second part of
/// the answer says which body is whose, in the order of `endpoints`.
pub fn prepare<'e>(
    input: &transform::Input<'_>,
    endpoints: impl Iterator<Item = (&'e Endpoint, Option<&'e Arc<Program>>)>,
) -> Result<(Prepared, SmallVec<[Made; 2]>), encode::TooLarge> {
    let event = input.event();
    let mut shapes: SmallVec<[Mould<'_>; 2]> = SmallVec::new();
    let mut payloads = Payloads { input, made: Vec::new() };
    let mut bodies: Vec<Body> = Vec::with_capacity(1);
    let mut whose = SmallVec::new();
    let mut data = None;
    for (endpoint, transform) in endpoints {
        let shape = &endpoint.shape;
        let is_same = |(other, by): &Mould<'_>| (Arc::ptr_eq(other, shape) || other == &shape) && same(*by, transform);
        if let Some(known) = shapes.iter().position(is_same) {
            whose.push(Made::Body(known as u32));
            continue;
        }
        let payload = match payloads.of(transform) {
            Ok(Some(payload)) => payload,
            Ok(None) => {
                whose.push(Made::Filtered);
                continue;
            }
            Err(error) => {
                whose.push(Made::Failed(error));
                continue;
            }
        };
        let body = shape.body(event, payload)?;
        let headers = body_headers(shape.envelope.headers(event, payload)).map_err(|_| encode::TooLarge)?;
        let bytes = Bytes::from(body.bytes);
        data = data.or_else(|| body.data_at.map(|range| bytes.slice(range)));
        whose.push(Made::Body(bodies.len() as u32));
        shapes.push((shape, transform));
        let is_alone = shape.format != encode::Format::Json || headers.is_some();
        bodies.push(Body { bytes, content_type: shape.content_type.clone(), headers, is_alone });
    }
    Ok((Prepared { event: Kept::new(event, data), bodies }, whose))
}

/// What a body is made by.
type Mould<'e> = (&'e Arc<Shape>, Option<&'e Arc<Program>>);

/// What a transform makes of an event.
type Payload = Result<Option<String>, transform::RunError>;

/// What transforms make of an event, each once.
struct Payloads<'p> {
    input: &'p transform::Input<'p>,
    made: Vec<(&'p Arc<Program>, Payload)>,
}

impl<'p> Payloads<'p> {
    fn of(&mut self, transform: Option<&'p Arc<Program>>) -> Result<Option<&str>, transform::RunError> {
        let Some(program) = transform else { return Ok(Some(self.input.event().data)) };
        let known = self.made.iter().position(|(other, _)| same(Some(other), transform));
        let at = known.unwrap_or_else(|| {
            self.made.push((program, program.value(self.input)));
            self.made.len() - 1
        });
        self.made[at].1.as_ref().map(Option::as_deref).map_err(transform::RunError::clone)
    }
}

fn same(one: Option<&Arc<Program>>, other: Option<&Arc<Program>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
        _ => false,
    }
}

/// The body of a batch: a JSON array of what each event alone would have been.
pub fn batch<'b>(bodies: impl Iterator<Item = &'b Body>) -> Body {
    let bodies: SmallVec<[&Body; 16]> = bodies.collect();
    let mut bytes = Vec::with_capacity(bodies.iter().map(|body| body.bytes.len() + 1).sum::<usize>() + 1);
    let mut content_type = None;
    for body in bodies {
        bytes.push(if content_type.is_none() { b'[' } else { b',' });
        bytes.extend_from_slice(&body.bytes);
        content_type.get_or_insert(&body.content_type);
    }
    bytes.push(b']');
    let content_type = match content_type {
        // CloudEvents' JSON format has a name of its own for several (HTTP protocol binding, 3.3).
        Some(one) if one == cloud::MEDIA_TYPE => HeaderValue::from_static(cloud::BATCH_MEDIA_TYPE),
        Some(one) => one.clone(),
        None => HeaderValue::from_static("application/json"),
    };
    Body { bytes: bytes.into(), content_type, headers: None, is_alone: true }
}

/// Headers made of these names and values; none where there are none.
///
/// # Errors
/// One of them can be no header: of an event that came by the door, whose alphabets were checked, a name of 64 KiB.
pub fn body_headers(pairs: Vec<(String, String)>) -> http::Result<Option<Box<BodyHeaders>>> {
    if pairs.is_empty() {
        return Ok(None);
    }
    let header = |(name, value): (String, String)| Ok((HeaderName::try_from(name)?, HeaderValue::try_from(value)?));
    pairs.into_iter().map(header).collect::<http::Result<_>>().map(Some)
}

/// An event as a CloudEvent in the JSON event format.
pub fn structured(event: &Event<'_>) -> Result<Vec<u8>, encode::TooLarge> {
    let content_type = HeaderValue::from_static(cloud::MEDIA_TYPE);
    let shape = Shape { envelope: Envelope::CloudEvents, format: encode::Format::Json, content_type };
    shape.body(event, event.data).map(|body| body.bytes)
}

/// The request of a ping, the event of a test: it has one attempt, and neither route nor transform; `batch_id` is its id where
/// the endpoint takes batches.
pub fn ping(endpoint: &Endpoint, event: &Event<'_>, batch_id: &str, now: SystemTime) -> Result<Request<Bytes>, encode::TooLarge> {
    let shape = &endpoint.shape;
    let headers = body_headers(shape.envelope.headers(event, event.data)).map_err(|_| encode::TooLarge)?;
    let (bytes, content_type) = (shape.ping(event)?.bytes.into(), shape.content_type.clone());
    let mut body = Body { bytes, content_type, headers, is_alone: true };
    let Event { id, event_type, time, trace, .. } = *event;
    let mut head = Head { id, event_type, time, trace };
    if endpoint.batch.is_some() {
        (head, body) = (Head::of_batch(batch_id), batch(std::iter::once(&body)));
    }
    Ok(render(endpoint, Attempt { event: head, body: &body, number: 1, now, headers: HeaderMap::new() }))
}

/// One attempt at an event: which, when, and over whose header map, for making one anew costs more than filling it.
pub struct Attempt<'a> {
    pub event: Head<'a>,
    pub body: &'a Body,
    pub number: u32,
    pub now: SystemTime,
    /// Empty; its memory is used again.
    pub headers: HeaderMap,
}

/// The request of an attempt at `endpoint`.
pub fn render(endpoint: &Endpoint, attempt: Attempt<'_>) -> Request<Bytes> {
    let Attempt { event, body, number, now, mut headers } = attempt;
    headers.insert(header::HOST, endpoint.target.authority.clone());
    headers.insert(header::CONTENT_TYPE, body.content_type.clone());
    if body.bytes.is_empty() {
        // An empty form is a body too, but HTTP's machinery says nothing of what is not there.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(WEBHOOK_ID, visible(event.id.as_bytes()));
    for (name, value) in body.headers.iter().flatten() {
        headers.insert(name, value.clone());
    }
    for (name, text) in &endpoint.headers {
        headers.insert(name, header_value(text, &event, number));
    }
    if let Some(Auth::Header(name, value)) = &endpoint.auth {
        headers.insert(name, value.clone());
    }
    if let Some(trace) = event.trace.filter(|_| endpoint.trace) {
        headers.insert(TRACEPARENT, visible(trace.parent.as_bytes()));
        if let Some(state) = &trace.state {
            headers.insert(TRACESTATE, visible(state.as_bytes()));
        }
    }
    if !endpoint.signatures.is_empty() {
        let stamp = Stamp {
            id: event.id,
            event_type: event.event_type,
            unix_millis: now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64,
            method: endpoint.method.as_str(),
            path: endpoint.target.path_and_query.path_and_query().map_or("/", |path| path.as_str()),
            target_uri: &endpoint.target.uri_text,
            content_type: body.content_type.as_bytes(),
            body: &body.bytes,
        };
        for signer in &endpoint.signatures {
            signer.sign(&stamp, &mut headers);
        }
    }
    let mut request = Request::new(body.bytes.clone());
    *request.method_mut() = endpoint.method.clone();
    *request.uri_mut() = endpoint.target.path_and_query.clone();
    *request.headers_mut() = headers;
    request
}

fn header_value(text: &HeaderText, event: &Head<'_>, attempt: u32) -> HeaderValue {
    match text {
        HeaderText::Fixed(value) => value.clone(),
        HeaderText::Template(template) => {
            let mut value = Vec::with_capacity(64);
            template.render(&mut value, |placeholder, out| match placeholder {
                HeaderPlaceholder::Attempt => out.extend_from_slice(attempt.to_string().as_bytes()),
                HeaderPlaceholder::Id => out.extend_from_slice(event.id.as_bytes()),
                HeaderPlaceholder::Time => out.extend_from_slice(event.time.text.as_bytes()),
                HeaderPlaceholder::Type => out.extend_from_slice(event.event_type.as_bytes()),
            });
            visible(&value)
        }
    }
}

/// A header's value from bytes whose alphabet was checked where they came in.
fn visible(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(bytes).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Sent unless an endpoint's `headers` replace it.
pub const USER_AGENT: &str = concat!("sidehook/", env!("CARGO_PKG_VERSION"));
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What a header takes beside its texts.
const HEADER_OVERHEAD: usize = size_of::<(HeaderName, HeaderValue)>() + 64;

/// What a body takes beside its bytes: its entry, the count of its owners, and the allocator's own words.
const BODY_OVERHEAD: usize = size_of::<Body>() + 64;
