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
    event::{Event, Head, Kept},
    sign::Stamp,
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
}

impl Prepared {
    /// The bytes of memory this takes, with all its bodies.
    pub fn footprint(&self) -> usize {
        self.measure(&self.bodies)
    }

    /// The bytes of memory this would take if it had that body alone.
    pub fn footprint_with(&self, body: u32) -> usize {
        self.measure(std::slice::from_ref(&self.bodies[body as usize]))
    }

    fn measure(&self, bodies: &[Body]) -> usize {
        let data = self.event.data();
        let in_a_body = bodies.iter().any(|body| body.bytes.as_ptr_range().contains(&data.as_ptr()));
        let data = if in_a_body { 0 } else { data.len() + BODY_OVERHEAD };
        self.event.footprint() + data + bodies.iter().map(|body| body.bytes.len() + BODY_OVERHEAD).sum::<usize>()
    }
}

/// Keeps `event` and makes a body for each endpoint; the second part of the answer says which body is whose, in the order
/// of `endpoints`.
pub fn prepare<'e>(
    event: &Event<'_>,
    endpoints: impl Iterator<Item = &'e Endpoint>,
) -> Result<(Prepared, SmallVec<[u32; 4]>), encode::TooLarge> {
    let mut shapes: SmallVec<[&Arc<Shape>; 2]> = SmallVec::new();
    let mut bodies: Vec<Body> = Vec::with_capacity(1);
    let mut whose = SmallVec::new();
    let mut data = None;
    for endpoint in endpoints {
        let shape = &endpoint.shape;
        let known = shapes.iter().position(|other| Arc::ptr_eq(other, shape) || other == &shape);
        whose.push(known.unwrap_or(shapes.len()) as u32);
        if known.is_none() {
            let body = shape.body(event, event.data)?;
            let bytes = Bytes::from(body.bytes);
            data = data.or_else(|| body.data_at.map(|range| bytes.slice(range)));
            shapes.push(shape);
            bodies.push(Body { bytes, content_type: shape.content_type.clone() });
        }
    }
    Ok((Prepared { event: Kept::new(event, data), bodies }, whose))
}

/// The request of a ping, the event of a test: it has one attempt, and neither route nor transform.
pub fn ping(endpoint: &Endpoint, event: &Event<'_>, now: SystemTime) -> Result<Request<Bytes>, encode::TooLarge> {
    let shape = &endpoint.shape;
    let body = Body { bytes: shape.ping(event)?.bytes.into(), content_type: shape.content_type.clone() };
    let Event { id, event_type, time, trace, .. } = *event;
    let event = Head { id, event_type, time, trace };
    Ok(render(endpoint, Attempt { event, body: &body, number: 1, now, headers: HeaderMap::new() }))
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
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    headers.insert(WEBHOOK_ID, visible(event.id.as_bytes()));
    for (name, text) in &endpoint.headers {
        headers.insert(name.clone(), header_value(text, &event, number));
    }
    if let Some(Auth::Header(name, value)) = &endpoint.auth {
        headers.insert(name.clone(), value.clone());
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

/// What a body takes beside its bytes: its entry, the count of its owners, and the allocator's own words.
const BODY_OVERHEAD: usize = size_of::<Body>() + 64;
