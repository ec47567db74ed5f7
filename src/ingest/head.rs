//! What a request's head says of its body: whom it is for, and as what it is written.

use std::borrow::Cow;

use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;

use super::Refusal;
use crate::{
    event::{Trace, cloud, media::MediaType},
    pipeline,
};

/// Where a request was posted to.
#[derive(Debug, PartialEq)]
pub(super) enum Way<'p> {
    /// `/endpoints/{name}/events`: to that endpoint alone.
    Endpoint(Cow<'p, str>),
    /// `/events`: whither the routes lead.
    Events,
    /// `/events/{type}`: the same, for a body that is `data`.
    Typed(Cow<'p, str>),
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/cloudevents+json`.
    CloudEvent,
    /// `application/cloudevents-batch+json`.
    CloudEvents,
    /// Of any type: what the event says of itself is in the head, as CloudEvents' binary mode has it.
    Headers,
    /// `application/json`.
    Json,
    /// `application/x-ndjson`: one event a line.
    Lines,
}

/// What a path asks for; nothing where there is nothing.
pub(super) fn way(path: &str) -> Option<Way<'_>> {
    // What is not UTF-8 is no type and no name either, and is refused as such later.
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    if let Some(rest) = path.strip_prefix("/endpoints/") {
        let name = rest.strip_suffix("/events").filter(|name| !name.is_empty() && !name.contains('/'))?;
        return Some(Way::Endpoint(decoded(name)));
    }
    match path.strip_prefix("/events")? {
        "" => Some(Way::Events),
        rest => rest.strip_prefix('/').map(|event_type| Way::Typed(decoded(event_type))),
    }
}

/// The media type of a body that was posted on `way`.
pub(super) fn media(headers: &HeaderMap, way: &Way<'_>) -> Result<Media, Refusal> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Refusal::UnsupportedMediaType("a Content-Encoding is not understood here".into()));
    }
    let value = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    let is_binary = headers.contains_key("ce-specversion");
    if value == b"application/json" && !is_binary {
        return Ok(Media::Json);
    }
    let declared = MediaType::parse(std::str::from_utf8(value).unwrap_or_default());
    if matches!(way, Way::Typed(_)) {
        // Its `type` and `id` stand in the head: taken for data alone it would lose them.
        if is_binary {
            return Err(Refusal::UnsupportedMediaType("CloudEvents are posted to /events".into()));
        }
        if !declared.is_some_and(|media| media.is("application/json")) {
            return Err(Refusal::UnsupportedMediaType("the Content-Type must be application/json here".into()));
        }
    }
    // The type decides before the headers of an event do (HTTP protocol binding, section 3).
    let media = match declared {
        Some(media) if media.is(cloud::MEDIA_TYPE) => Media::CloudEvent,
        Some(media) if media.is(cloud::BATCH_MEDIA_TYPE) => Media::CloudEvents,
        // What is not there is of no type, and JSON's is not always named.
        _ if is_binary && has_no_body(headers) => return Ok(Media::Headers),
        None if is_binary && value.is_empty() => Media::Headers,
        Some(media) if is_binary && media.is_json() => Media::Headers,
        _ if is_binary => return Err(Refusal::UnsupportedMediaType("data that is not JSON is not understood here".into())),
        Some(media) if media.is("application/json") => Media::Json,
        Some(media) if media.is("application/x-ndjson") => Media::Lines,
        _ => {
            return Err(Refusal::UnsupportedMediaType(
                "the Content-Type must be application/json, application/x-ndjson or application/cloudevents+json".into(),
            ));
        }
    };
    if declared.is_some_and(|media| !media.is_utf8) {
        return Err(Refusal::UnsupportedMediaType("the charset must be UTF-8".into()));
    }
    Ok(media)
}

/// Whether a request has no body (RFC 9112, section 6.3), as its head says.
fn has_no_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    length.map_or(!headers.contains_key(header::TRANSFER_ENCODING), |length| length == "0")
}

/// For how many seconds the answer is to wait for the deliveries: `Prefer: wait=N` (RFC 7240, section 4.3), the first if
/// there are several. What is no number of seconds is no preference; more than [`MAX_WAIT`] is that.
pub(super) fn wait(headers: &HeaderMap) -> Option<u64> {
    let lines = headers.get_all("prefer").into_iter().filter_map(|line| line.to_str().ok());
    let preferences = lines.flat_map(|line| line.split(',')).map(|preference| preference.split(';').next().unwrap_or_default());
    let mut named = preferences.map(|preference| preference.split_once('=').unwrap_or((preference, "")));
    let (_, seconds) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))?;
    let seconds = seconds.trim().trim_matches('"');
    if seconds.is_empty() || !seconds.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(seconds.parse().unwrap_or(MAX_WAIT).min(MAX_WAIT))
}

pub(super) fn trace(headers: &HeaderMap) -> Option<Trace> {
    let parent = headers.get(pipeline::TRACEPARENT)?.to_str().ok()?;
    Trace::parse(parent, headers.get(pipeline::TRACESTATE).and_then(|state| state.to_str().ok()))
}

/// The longest that an answer may wait.
const MAX_WAIT: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_for_waiting_is_found_among_others_and_bounded() {
        for (lines, expected) in [
            (&["wait=5"][..], Some(5)),
            (&["wait=0"], Some(0)),
            (&["respond-async, Wait = 7; x=1, wait=9"], Some(7)),
            (&["respond-async", "wait=\"8\""], Some(8)),
            (&["wait=61"], Some(60)),
            (&["wait=99999999999999999999999"], Some(60)),
            (&["wait"], None),
            (&["wait="], None),
            (&["wait=-1"], None),
            (&["wait=1.5"], None),
            (&["waiting=5"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("prefer", line.parse().unwrap());
            }
            assert_eq!(wait(&headers), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_content_type_decides_before_the_headers_of_an_event_do() {
        let media = |content_type: &str, is_binary: bool, length: &str| {
            let mut headers = HeaderMap::new();
            if !content_type.is_empty() {
                headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            }
            if is_binary {
                headers.insert("ce-specversion", "1.0".parse().unwrap());
            }
            headers.insert(header::CONTENT_LENGTH, length.parse().unwrap());
            media(&headers, &Way::Events).ok()
        };
        for (content_type, plain, with_headers) in [
            ("application/json", Some(Media::Json), Some(Media::Headers)),
            ("Application/JSON; charset=utf-8", Some(Media::Json), Some(Media::Headers)),
            ("application/vnd.x+json", None, Some(Media::Headers)),
            ("application/cloudevents+json", Some(Media::CloudEvent), Some(Media::CloudEvent)),
            ("application/CloudEvents+json;charset=utf-8", Some(Media::CloudEvent), Some(Media::CloudEvent)),
            ("application/cloudevents-batch+json", Some(Media::CloudEvents), Some(Media::CloudEvents)),
            ("application/x-ndjson", Some(Media::Lines), None),
            ("application/json; charset=utf-16", None, None),
            ("text/plain", None, None),
            ("", None, Some(Media::Headers)),
        ] {
            let actual = (media(content_type, false, "1"), media(content_type, true, "1"));
            assert_eq!(actual, (plain, with_headers), "{content_type}");
        }
        assert_eq!(media("text/plain; charset=latin1", true, "0"), Some(Media::Headers), "there is no data that is no JSON");
        assert_eq!(media("text/plain", false, "0"), None);
    }

    #[test]
    fn a_path_says_whom_its_events_are_for() {
        for (path, expected) in [
            ("/events", Some(Way::Events)),
            ("/events/a%2Eb/c", Some(Way::Typed("a.b/c".into()))),
            ("/events/", Some(Way::Typed("".into()))),
            ("/endpoints/billing/events", Some(Way::Endpoint("billing".into()))),
            ("/endpoints/b%69lling/events", Some(Way::Endpoint("billing".into()))),
            ("/endpoints/events/events", Some(Way::Endpoint("events".into()))),
            ("/endpoints//events", None),
            ("/endpoints/events", None),
            ("/endpoints/a/b/events", None),
            ("/endpoints/a/events/b", None),
            ("/endpoints/a", None),
            ("/eventsx", None),
            ("/", None),
        ] {
            assert_eq!(way(path), expected, "{path}");
        }
    }
}
