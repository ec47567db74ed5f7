//! In what order, how many at once and how fast an endpoint's deliveries go out.

use std::time::Duration;

use super::{Scope, bytes, expression, or, place};
use crate::{
    config::{
        problems::{Code, Problem},
        raw::{self, At, Order},
        secrets::Text,
        source::Span,
    },
    endpoint::{Batch, Breaker, HeaderPlaceholder, Pace, Sequence},
    envelope::Envelope,
    sign::Template,
};

pub(super) fn order(typed: &raw::Pace, scope: &mut Scope<'_>) -> Sequence {
    match typed.order.as_ref().map(|order| &order.value) {
        Some(Order::Fifo) => Sequence::Fifo,
        Some(Order::Keyed(key)) => expression::program("key", key, scope).map_or(Sequence::Fifo, Sequence::Keyed),
        Some(Order::Parallel) | None => Sequence::Parallel,
    }
}

pub(super) fn pace(typed: &raw::Pace) -> Pace {
    let breaker = typed.breaker.as_ref().and_then(|breaker| breaker.value.as_ref());
    Pace {
        interval: typed.interval.as_ref().map(|interval| interval.value),
        breaker: breaker.map(|breaker| Breaker {
            failures: or(&breaker.failures, 10) as u32,
            pause: or(&breaker.pause, Duration::from_secs(30)),
        }),
        disable_after: typed.disable_after.as_ref().map(|most| most.value as u32).filter(|most| *most > 0),
    }
}

/// The batch that is asked for, if the rest of the endpoint goes with one.
pub(super) fn batch(name: &At<String>, typed: &raw::Endpoint, scope: &mut Scope<'_>) -> Option<Batch> {
    let At { value: Some(batch), span } = typed.pace.batch.as_ref()? else { return None };
    for (against, place) in objections(typed) {
        let message = format!("`batch` does not go with {against} (endpoints.{})", name.value);
        let problem = Problem::error(Code::Conflict, span, message).help("`batch = false` sends events one by one");
        scope.problems.push(problem.beside(place, "this is against it"));
    }
    Some(Batch {
        max_events: bytes(or(&batch.max_events, 100)),
        max_bytes: bytes(or(&batch.max_bytes, 256 << 10)),
        max_wait: or(&batch.max_wait, Duration::from_millis(200)),
    })
}

/// What is against a batch, and where it stands.
fn objections(typed: &raw::Endpoint) -> Vec<(String, Option<&Span>)> {
    let mut against = Vec::new();
    let format = place(&typed.format);
    match or(&typed.format, raw::Format::Json) {
        raw::Format::Form => against.push(("`format = \"form\"`: a batch is a JSON array".to_owned(), format)),
        raw::Format::Json => {}
        raw::Format::Xml => against.push(("`format = \"xml\"`: a batch is a JSON array".to_owned(), format)),
    }
    let envelope = place(&typed.envelope);
    match or(&typed.envelope, Envelope::Event) {
        Envelope::CloudEventsBinary => {
            let why = "`envelope = \"cloudevents-binary\"`, whose headers are about one event";
            against.push((why.to_owned(), envelope));
        }
        Envelope::Md5 => against.push(("`envelope = \"md5\"`, which is about one event".to_owned(), envelope)),
        Envelope::CloudEvents | Envelope::Event | Envelope::None | Envelope::Standard => {}
    }
    for header in &typed.headers {
        let Text::Literal(text) = &header.value.value else { continue };
        let Ok(template) = Template::<HeaderPlaceholder>::parse(text) else { continue };
        for (word, placeholder) in [("{type}", HeaderPlaceholder::Type), ("{time}", HeaderPlaceholder::Time)] {
            if template.uses(placeholder) {
                let why = format!("`{word}` in the header `{}`: a batch has neither type nor time", header.name.value);
                against.push((why, Some(&header.value.span)));
            }
        }
    }
    for signature in typed.signatures.iter().flat_map(|signatures| &signatures.value) {
        if signature.recipe.uses_type() {
            let why = "a signature that tells the event's type, as `github` does";
            against.push((why.to_owned(), Some(&signature.span)));
        }
    }
    against
}
