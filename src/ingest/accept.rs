//! From events to deliveries: all of a request's, or none.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use smallvec::SmallVec;
use tokio::time::timeout;

use super::{
    Plan, Refusal,
    dedupe::{Memo, Memory, Name, Noted},
    follow::Followed,
    ids::Ids,
    parse::{Events, Posted},
    reply,
};
use crate::{
    encode,
    endpoint::WhenFull,
    event::{Event, Time, Trace, cloud::Attributes},
    log::{self, Log, record},
    pipeline::{self, Made, Prepared},
    queue::{
        self, Addressee, Awaited, Counted, DeadLetters, Delivery, Ledger, Letter, Outlet, Parcel, Place, Share, Slot, Stage,
        Waiter,
    },
    retry::{ErrorCode, Reason},
    transform::{self, Program},
};

/// What accepting needs besides a plan.
pub(super) struct Desk<'a> {
    pub plan: &'a Plan,
    /// Where all goes to one endpoint, whatever the routes say.
    pub only: Option<&'a Outlet>,
    pub ledger: &'a Arc<Ledger>,
    pub dead_letters: &'a DeadLetters,
    pub log: &'a Log,
    pub ids: &'a Ids,
    pub stamp: &'a Mutex<log::Stamp>,
    pub memory: &'a Mutex<Memory>,
    /// The app waits for the deliveries' end.
    pub awaited: bool,
}

/// What is left to do once a request's events are queued.
pub(super) enum Accepted {
    /// This is the body of the answer.
    Answered(Vec<u8>),
    /// What becomes of them is to be waited for.
    Followed(Vec<Followed>),
}

/// A request's events, all of which can be accepted. Dropped, it gives back what it holds.
pub(super) struct Draft<'p, 'e> {
    taken: SmallVec<[Taken<'p, 'e>; 1]>,
    noted: Noted<'p>,
    batch: bool,
    now: SystemTime,
    trace: Option<&'e Trace>,
    /// Its lines are in the log.
    logged: bool,
}

/// An event that will be answered as accepted.
enum Taken<'p, 'e> {
    Duplicate(Name<'e>, Memo),
    New(Ready<'p>),
}

/// An event with all it takes to deliver it, not yet on its way.
struct Ready<'p> {
    parcel: Arc<Parcel>,
    bound: SmallVec<[Bound<'p>; 2]>,
    /// Routes whose `when` has failed, by their places, and why.
    unanswered: Vec<(usize, transform::RunError)>,
}

/// An endpoint that an event goes to, and the transform of the route that says so.
type Aim<'p> = (&'p Outlet, Option<&'p Arc<Program>>);

/// Where an event is counted, once for all its deliveries.
struct Room<'r> {
    share: Share,
    overflow: Option<Arc<Counted>>,
    /// What its request has displaced so far.
    burst: &'r mut usize,
}

/// One endpoint's part in an event.
struct Bound<'p> {
    outlet: &'p Outlet,
    fate: Fate,
}

enum Fate {
    Dropped,
    Failed(transform::RunError, Place),
    Filtered,
    Overflow(Place),
    Queued { body: u32, slot: Slot },
    Skipped,
}

impl<'p> Desk<'p> {
    /// Takes all that accepting every event needs, or nothing.
    pub(super) fn draft<'e>(
        &self,
        posted: &'e Events<'_>,
        trace: Option<&'e Trace>,
        now: SystemTime,
    ) -> Result<Draft<'p, 'e>, Refusal>
    where
        'p: 'e,
    {
        let mut stamp = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = Now { time: now, text: stamp.at(now) };
        let mut noted = Noted::new(self.memory, self.plan.dedupe);
        let mut taken = SmallVec::with_capacity(posted.events.len());
        let mut burst = 0;
        for (n, event) in posted.events.iter().enumerate() {
            let known = event.id.as_deref().filter(|_| self.is_remembering());
            taken.push(match known.map(|id| Name { source: self.source(event), id }) {
                Some(name) => self
                    .take_named(event, name, &mut noted, || self.ready(event, trace, moment, &mut burst))
                    .map_err(|refusal| if posted.batch { refusal.in_batch(n) } else { refusal })?,
                None => Taken::New(self.ready(event, trace, moment, &mut burst)?),
            });
        }
        Ok(Draft { taken, noted, batch: posted.batch, now, trace, logged: false })
    }

    /// Has what will be answered written to the log before it is.
    pub(super) async fn log_first<'e>(&self, mut draft: Draft<'p, 'e>) -> Result<Draft<'p, 'e>, Refusal> {
        let receipt = {
            let answers: Vec<_> = draft.taken.iter().map(Taken::answer).collect();
            let lines: Vec<_> = answers.iter().map(|answer| log::Record::Event(answer.line(draft.trace))).collect();
            self.log.write_first(draft.now, &lines)
        };
        if !timeout(STORAGE, receipt.written()).await.unwrap_or_default() {
            return Err(Refusal::StorageFailed);
        }
        // What a duplicate repeats may have been refused since, for want of its own line.
        for event in &draft.taken {
            if let Taken::Duplicate(name, _) = event
                && draft.noted.find(*name).is_none()
            {
                return Err(Refusal::StorageFailed);
            }
        }
        draft.logged = true;
        Ok(draft)
    }

    /// Queues every event. Nothing can fail any more.
    pub(super) fn accept(&self, draft: Draft<'p, '_>) -> Accepted {
        let Draft { taken, noted, batch, now, trace, logged } = draft;
        let accepted = if self.awaited {
            Accepted::Followed(taken.iter().map(Taken::follow).collect())
        } else {
            let answers: SmallVec<[_; 1]> = taken.iter().map(Taken::answer).collect();
            Accepted::Answered(reply::body(&answers, batch))
        };
        noted.keep();
        for event in taken {
            match event {
                Taken::Duplicate(name, memo) => {
                    let answer = memo.answer(name.id);
                    let record = log::Record::Event(answer.line(trace));
                    if logged { self.log.count(&record) } else { self.log.write(now, &record) }
                }
                Taken::New(ready) => self.dispatch(ready, now),
            }
        }
        accepted
    }

    fn source<'e>(&self, posted: &'e Posted<'_>) -> &'e str
    where
        'p: 'e,
    {
        posted.cloud.as_ref().map_or(&self.plan.source, |cloud| &cloud.source)
    }

    fn is_remembering(&self) -> bool {
        self.only.is_none() && self.plan.dedupe.ids > 0
    }

    /// Takes an event that came with an id, unless that is known.
    fn take_named<'e>(
        &self,
        posted: &Posted<'_>,
        name: Name<'e>,
        noted: &mut Noted<'_>,
        ready: impl FnOnce() -> Result<Ready<'p>, Refusal>,
    ) -> Result<Taken<'p, 'e>, Refusal> {
        match noted.find(name) {
            Some(memo) if *memo.event_type != *posted.event_type => {
                let problem = format!("the `id` was that of an event of type `{}`", memo.event_type);
                Err(Refusal::InvalidEvent(problem.into()))
            }
            Some(memo) => Ok(Taken::Duplicate(name, memo)),
            None => {
                let ready = ready()?;
                let names: SmallVec<[_; 4]> = ready.bound.iter().map(|bound| Arc::clone(&bound.outlet.endpoint.name)).collect();
                noted.remember(name, &posted.event_type, &names);
                Ok(Taken::New(ready))
            }
        }
    }

    /// Makes an event's bodies and takes the places of its deliveries; dropping the result gives them back.
    fn ready(&self, posted: &Posted<'_>, trace: Option<&Trace>, now: Now<'_>, burst: &mut usize) -> Result<Ready<'p>, Refusal> {
        let generated;
        let id = match &posted.id {
            Some(id) => id,
            None => {
                generated = self.ids.next(now.time);
                generated.as_str()
            }
        };
        let time = match &posted.time {
            Some((text, unix_seconds)) => Time { text, unix_seconds: *unix_seconds },
            None => now.as_event_time(),
        };
        let cloud = posted.cloud.as_ref().map(|cloud| Attributes {
            subject: cloud.subject.as_deref(),
            data_schema: cloud.data_schema.as_deref(),
            extensions: &cloud.extensions,
        });
        let (event_type, source) = (&*posted.event_type, self.source(posted));
        let event = Event { id, event_type, time, context: posted.context, data: posted.data, source, cloud, trace };
        let input = transform::Input::new(event);
        let mut unanswered = Vec::new();
        let outlets = self.outlets(&input, &mut unanswered);
        let active = outlets.iter().filter(|(outlet, _)| outlet.endpoint.active);
        let (prepared, made) = pipeline::prepare(&input, active.map(|(outlet, transform)| (&*outlet.endpoint, *transform)))
            .map_err(|encode::TooLarge| Refusal::GrownTooLarge(encode::MAX_GROWN))?;
        let mut room = Room { share: self.ledger.share(prepared.footprint()), overflow: None, burst };
        let mut made = made.into_iter();
        let mut bound = SmallVec::new();
        for (outlet, _) in outlets {
            let fate = match if outlet.endpoint.active { made.next() } else { None } {
                Some(Made::Body(body)) => self.place(outlet, &prepared, body, &mut room)?,
                Some(Made::Failed(error)) => Fate::Failed(error, self.shelf(outlet, &prepared, &mut room)?),
                Some(Made::Filtered) => Fate::Filtered,
                None => Fate::Skipped,
            };
            bound.push(Bound { outlet, fate });
        }
        let Room { share, .. } = room;
        let parcel = match self.awaited {
            false => Parcel::new(prepared, now.time, share),
            true => Parcel::awaited(prepared, now.time, share, Waiter::new(bound.iter().map(Bound::awaited).collect())),
        };
        Ok(Ready { parcel, bound, unanswered })
    }

    /// The endpoints an event goes to, each with its route's transform; routes that could not say go to `unanswered`.
    fn outlets(
        &self,
        input: &transform::Input<'_>,
        unanswered: &mut Vec<(usize, transform::RunError)>,
    ) -> SmallVec<[Aim<'p>; 4]> {
        let Plan { table, outlets, .. } = self.plan;
        let event_type = input.event().event_type;
        if let Some(only) = self.only {
            let at = outlets.iter().position(|outlet| std::ptr::eq(outlet, only));
            let route = at.and_then(|at| table.first_to(at, event_type));
            return SmallVec::from_slice(&[(only, route.and_then(|route| table.route(route).transform.as_ref()))]);
        }
        let selects = |route, program: &Program| {
            program.is_true(input).unwrap_or_else(|error| {
                unanswered.push((route, error));
                false
            })
        };
        let choices = table.select(event_type, selects);
        choices.iter().map(|choice| (&outlets[choice.endpoint], table.route(choice.route).transform.as_ref())).collect()
    }

    /// A place for an event that goes to the dead letters at once.
    fn shelf(&self, outlet: &Outlet, prepared: &Prepared, room: &mut Room<'_>) -> Result<Place, Refusal> {
        let account = &outlet.handle.account;
        if let Ok(slot) = account.reserve(prepared.footprint_with(None), &mut room.share) {
            return Ok(Place::Queue(slot));
        }
        self.dead_letters.reserve(prepared.footprint(), &mut room.overflow).map_err(|_| Refusal::QueueFull {
            endpoint: outlet.endpoint.name.as_ref().into(),
            retry_after: account.wait_for(1, Instant::now()),
        })
    }

    fn place(&self, outlet: &Outlet, prepared: &Prepared, body: u32, room: &mut Room<'_>) -> Result<Fate, Refusal> {
        let account = &outlet.handle.account;
        if let Ok(slot) = account.reserve(prepared.footprint_with(Some(body)), &mut room.share) {
            return Ok(Fate::Queued { body, slot });
        }
        let overflow = match outlet.endpoint.queue.when_full {
            // Who posts to one endpoint, as `replay` does, can wait: a second dead letter would be no help.
            _ if self.only.is_some() => None,
            WhenFull::DropOldest => {
                let displaced = account.displace(prepared.footprint_with(Some(body)), &mut room.share, room.burst);
                return Ok(displaced.map_or(Fate::Dropped, |slot| Fate::Queued { body, slot }));
            }
            WhenFull::DeadLetter => self.dead_letters.reserve(prepared.footprint(), &mut room.overflow).ok(),
            WhenFull::Reject => None,
        };
        overflow.map(Fate::Overflow).ok_or_else(|| Refusal::QueueFull {
            endpoint: outlet.endpoint.name.as_ref().into(),
            retry_after: account.wait_for(1, Instant::now()),
        })
    }

    /// The endpoint was removed while the log was written to.
    fn give_up(&self, outlet: &Outlet, delivery: Delivery) {
        let (parcel, place) = delivery.into_parts();
        let to = Addressee::Removed(Arc::clone(&outlet.endpoint.name));
        let letter = Letter { parcel, to, reason: Reason::EndpointRemoved, error_code: None, attempts: 0 };
        self.dead_letters.put(letter, place);
    }

    /// Puts an event on its way. Nothing can fail any more.
    fn dispatch(&self, ready: Ready<'_>, now: SystemTime) {
        let event = ready.parcel.prepared.event.head();
        for (route, error) in &ready.unanswered {
            let named = self.plan.table.route(*route).name.as_deref();
            let place = format!("routes[{route}]");
            let error = error.to_string();
            let trace_id = event.trace.map(Trace::id);
            let fate = record::Fate::Filtered { route: named.unwrap_or(&place), error: &error };
            let line = record::Event { fate, event_id: event.id, event_type: event.event_type, trace_id };
            self.log.write(now, &log::Record::Event(line));
        }
        if ready.bound.is_empty() {
            let trace_id = event.trace.map(Trace::id);
            let line = record::Event { fate: record::Fate::Unrouted, event_id: event.id, event_type: event.event_type, trace_id };
            self.log.write(now, &log::Record::Event(line));
        }
        for Bound { outlet, fate } in ready.bound {
            let parcel = Arc::clone(&ready.parcel);
            match fate {
                Fate::Dropped => {
                    let code = ErrorCode::QueueFull.as_str();
                    let outcome = record::Outcome::Dropped { reason: Reason::QueueFull.as_str(), error_code: Some(&code) };
                    let line = queue::delivery_line(&outlet.endpoint, &event, 0, None, outcome);
                    self.log.write(now, &log::Record::Delivery(line));
                }
                Fate::Failed(error, place) => {
                    let (error, code) = (error.to_string(), ErrorCode::Transform);
                    let word = code.as_str();
                    let failure = record::Failure {
                        error: &error,
                        error_code: &word,
                        class: code.class().as_str(),
                        http_status: None,
                        duration: None,
                        response: None,
                    };
                    let outcome = record::Outcome::Failed { failure };
                    let line = queue::delivery_line(&outlet.endpoint, &event, 0, None, outcome);
                    self.log.write(now, &log::Record::Delivery(line));
                    let to = Addressee::Known(Arc::clone(&outlet.endpoint));
                    let (reason, error_code) = (Reason::Transform, Some(code));
                    self.dead_letters.put(Letter { parcel, to, reason, error_code, attempts: 0 }, place);
                }
                Fate::Filtered => {
                    let line = queue::delivery_line(&outlet.endpoint, &event, 0, None, record::Outcome::Filtered);
                    self.log.write(now, &log::Record::Delivery(line));
                }
                Fate::Overflow(place) => {
                    let to = Addressee::Known(Arc::clone(&outlet.endpoint));
                    let (reason, error_code) = (Reason::QueueFull, Some(ErrorCode::QueueFull));
                    self.dead_letters.put(Letter { parcel, to, reason, error_code, attempts: 0 }, place);
                }
                Fate::Queued { body, slot } => {
                    if let Err(delivery) = outlet.handle.offer(Delivery::new(parcel, body, 0, slot)) {
                        self.give_up(outlet, delivery);
                    }
                }
                Fate::Skipped => {
                    let line = queue::delivery_line(&outlet.endpoint, &event, 0, None, record::Outcome::Skipped);
                    self.log.write(now, &log::Record::Delivery(line));
                }
            }
        }
    }
}

impl Bound<'_> {
    fn awaited(&self) -> Awaited {
        let stage = match self.fate {
            Fate::Dropped => Stage::Dropped,
            Fate::Failed(..) | Fate::Overflow(_) | Fate::Queued { .. } => Stage::Pending,
            Fate::Filtered => Stage::Filtered,
            Fate::Skipped => Stage::Skipped,
        };
        Awaited::new(Arc::clone(&self.outlet.endpoint.name), stage)
    }
}

impl Memo {
    pub(super) fn answer<'a>(&'a self, id: &'a str) -> reply::Accepted<'a> {
        let endpoints = self.endpoints.iter().map(|name| &**name).collect();
        reply::Accepted { id, event_type: &self.event_type, endpoints, duplicate: true, deliveries: None }
    }
}

impl Taken<'_, '_> {
    fn follow(&self) -> Followed {
        match self {
            Taken::Duplicate(name, memo) => Followed::Duplicate(name.id.into(), memo.clone()),
            Taken::New(Ready { parcel, .. }) => Followed::New(Arc::clone(parcel)),
        }
    }

    fn answer(&self) -> reply::Accepted<'_> {
        match self {
            Taken::Duplicate(name, memo) => memo.answer(name.id),
            Taken::New(Ready { parcel, bound, .. }) => {
                let event = parcel.prepared.event.head();
                let endpoints = bound.iter().map(|bound| &*bound.outlet.endpoint.name).collect();
                reply::Accepted { id: event.id, event_type: event.event_type, endpoints, duplicate: false, deliveries: None }
            }
        }
    }
}

impl reply::Accepted<'_> {
    /// What the log says of it.
    fn line<'l>(&'l self, trace: Option<&'l Trace>) -> record::Event<'l> {
        let fate = match self.duplicate {
            false => record::Fate::Accepted { endpoints: &self.endpoints },
            true => record::Fate::Duplicate,
        };
        record::Event { fate, event_id: self.id, event_type: self.event_type, trace_id: trace.map(Trace::id) }
    }
}

/// How long a line may take to be written that an answer waits for.
const STORAGE: Duration = Duration::from_secs(5);

/// The moment a request is accepted: the same for all its events.
#[derive(Clone, Copy)]
struct Now<'a> {
    time: SystemTime,
    text: &'a str,
}

impl<'a> Now<'a> {
    fn as_event_time(self) -> Time<'a> {
        let unix_seconds = self.time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        Time { text: self.text, unix_seconds }
    }
}
