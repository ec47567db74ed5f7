//! What was left at the end of one process and is taken up by the next.
//!
//! One line is one delivery: `{timestamp, endpoint, attempts, accepted_unix_ms, content_type, body, headers, alone, event}`, and for a dead letter
//! that could not be written `{…, reason, error_code}`; `event` as in the dead letters, and `traceparent` where it had one.
//! `body` is text, for JSON, XML and form are; `alone` is there where it cannot stand in a batch.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::{
    Delivery, Directory, Letter, Parcel,
    dead_letters::open_for_lines,
    line::{self, EventText},
    state::private,
};
use crate::{
    endpoint::Endpoint,
    event::{Kept, Trace},
    log::{self, diagnostics, record},
    pipeline::{self, Body, Prepared},
    retry::{ErrorCode, Reason},
};

/// A delivery that outlives its process.
pub enum Leftover {
    Delivery(Arc<Endpoint>, Delivery),
    Letter(Letter),
}

impl Leftover {
    fn endpoint(&self) -> &str {
        match self {
            Leftover::Delivery(endpoint, _) => &endpoint.name,
            Leftover::Letter(letter) => letter.to.name(),
        }
    }

    fn parcel(&self) -> &Parcel {
        match self {
            Leftover::Delivery(_, delivery) => &delivery.parcel,
            Leftover::Letter(letter) => &letter.parcel,
        }
    }

    /// The line that says what became of it.
    pub fn line<'a>(&'a self, outcome: record::Outcome<'a>) -> record::Delivery<'a> {
        let event = self.parcel().prepared.event.head();
        match self {
            Leftover::Delivery(endpoint, delivery) => {
                let bytes = delivery.body().bytes.len();
                super::delivery_line(endpoint, &event, delivery.attempts, Some(bytes), outcome)
            }
            Leftover::Letter(letter) => super::letter_line(letter, &event, outcome),
        }
    }

    fn attempts(&self) -> u32 {
        match self {
            Leftover::Delivery(_, delivery) => delivery.attempts,
            Leftover::Letter(letter) => letter.attempts,
        }
    }
}

/// Writes what is left, all of it or nothing, and waits until the disk has it.
pub fn write(directory: &Directory, leftovers: &[Leftover], now: SystemTime) -> io::Result<()> {
    let file = open_for_lines(&directory.pending())?;
    let before = file.metadata()?.len();
    append(&file, leftovers, now).inspect_err(|_| {
        // All are called dropped now: the next start must not deliver some of them.
        let _ = file.set_len(before);
    })
}

fn append(file: &File, leftovers: &[Leftover], now: SystemTime) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(64 << 10, file);
    let mut line = Vec::new();
    for leftover in leftovers {
        line.clear();
        write_line(&mut line, leftover, now)?;
        file.write_all(&line)?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn write_line(out: &mut Vec<u8>, leftover: &Leftover, now: SystemTime) -> io::Result<()> {
    let (body, failed) = match leftover {
        Leftover::Delivery(_, delivery) => (Some(delivery.body()), None),
        Leftover::Letter(letter) => (None, Some(letter)),
    };
    let parcel = leftover.parcel();
    let event = parcel.prepared.event.view();
    let accepted = parcel.accepted.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let line = Line {
        timestamp: log::timestamp(now).into(),
        endpoint: leftover.endpoint().into(),
        attempts: leftover.attempts(),
        accepted_unix_ms: accepted.as_millis() as u64,
        content_type: body.map(|body| String::from_utf8_lossy(body.content_type.as_bytes())),
        body: body.map(|body| String::from_utf8_lossy(&body.bytes)),
        headers: body.and_then(|body| body.headers.as_ref()).map(|headers| headers.iter().map(written).collect()),
        alone: body.is_some_and(|body| body.is_alone),
        reason: failed.map(|letter| letter.reason.as_str().into()),
        error_code: failed.and_then(|letter| letter.error_code).map(ErrorCode::as_str),
        traceparent: event.trace.map(|trace| trace.parent.as_ref().into()),
        tracestate: event.trace.and_then(|trace| trace.state.as_deref()).map(Cow::from),
        event: EventText::new(&event)?,
    };
    line::append(out, &line)
}

fn written((name, value): &(HeaderName, HeaderValue)) -> (String, String) {
    (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    endpoint: Cow<'a, str>,
    attempts: u32,
    accepted_unix_ms: u64,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    content_type: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    body: Option<Cow<'a, str>>,
    /// Of the body.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    headers: Option<Vec<(String, String)>>,
    #[serde(skip_serializing_if = "is_false", default)]
    alone: bool,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    error_code: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    tracestate: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: EventText<'a>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A line of the pending file, read back.
pub struct Entry {
    pub endpoint: Box<str>,
    pub attempts: u32,
    pub accepted: SystemTime,
    /// One body, or none for a dead letter.
    pub prepared: Prepared,
    /// Why it is a dead letter, where it is one.
    pub failed: Option<(Reason, Option<ErrorCode>)>,
}

/// Reads the pending file line by line and hands each entry on. A line that cannot be read is set aside into the damaged
/// file, and said on stderr; the rest is read all the same. The file is removed when all of it is in good hands.
pub fn take_up(directory: &Directory, mut each: impl FnMut(Entry)) -> io::Result<()> {
    let path = directory.pending();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let (mut lines, mut line, mut number) = (BufReader::with_capacity(64 << 10, file), Vec::new(), 0u64);
    while lines.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        match read_line(&line) {
            Ok(entry) => each(entry),
            Err(error) => {
                let damaged = directory.damaged();
                diagnostics::error(format_args!(
                    "{} line {number} cannot be read and is set aside in {}: {error}",
                    path.display(),
                    damaged.display()
                ));
                if !line.ends_with(b"\n") {
                    line.push(b'\n');
                }
                private().open(damaged)?.write_all(&line)?;
            }
        }
        line.clear();
    }
    std::fs::remove_file(path)
}

/// Why a line is no delivery.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("{0} is not valid")]
    Field(&'static str),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

fn read_line(line: &[u8]) -> Result<Entry, LineError> {
    let line: Line<'_> = serde_json::from_slice(line)?;
    let trace = line.traceparent.as_deref().and_then(|parent| Trace::parse(parent, line.tracestate.as_deref()));
    let event = line.event.event(trace.as_ref()).map_err(LineError::Field)?;
    let failed = match (&line.reason, line.error_code.as_deref()) {
        (Some(reason), code) => {
            let reason = Reason::from_word(reason).ok_or(LineError::Field("reason"))?;
            let code = code.map(|code| ErrorCode::from_word(code).ok_or(LineError::Field("error_code"))).transpose()?;
            Some((reason, code))
        }
        (None, _) => None,
    };
    let body = match (line.body, line.content_type) {
        (Some(body), Some(content_type)) => Some(Body {
            bytes: Bytes::from(body.into_owned()),
            content_type: HeaderValue::try_from(&*content_type).map_err(|_| LineError::Field("content_type"))?,
            headers: pipeline::body_headers(line.headers.unwrap_or_default()).map_err(|_| LineError::Field("headers"))?,
            is_alone: line.alone,
        }),
        _ if failed.is_some() => None,
        _ => return Err(LineError::Field("body")),
    };
    // The data of a JSON body stands in it as it came: one copy in memory, not two.
    let in_body = body.as_ref().and_then(|body| {
        memchr::memmem::find(&body.bytes, event.data.as_bytes()).map(|at| body.bytes.slice(at..at + event.data.len()))
    });
    Ok(Entry {
        endpoint: line.endpoint.as_ref().into(),
        attempts: line.attempts,
        accepted: SystemTime::UNIX_EPOCH + Duration::from_millis(line.accepted_unix_ms),
        prepared: Prepared { event: Kept::new(&event, in_body), bodies: body.into_iter().collect() },
        failed,
    })
}
