//! In which order deliveries go out, and together with which others.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;

use super::{
    ids, nth,
    world::{Dialled, Reply, Seen, World, endpoint, seconds, whole_seconds},
};
use crate::{
    encode::{Format, Shape},
    endpoint::{Batch, Bounds, Endpoint, Sequence, WhenFull},
    envelope::Envelope,
    transform::Library,
};

fn fifo() -> Endpoint {
    Endpoint { order: Sequence::Fifo, ..endpoint() }
}

/// Requests of several say no attempt: the bodies do, in a batch.
fn batching(max_events: usize) -> Endpoint {
    let batch = Batch { max_events, max_bytes: 1 << 20, max_wait: Duration::from_millis(200) };
    Endpoint { batch: Some(batch), concurrency: 1, ..Endpoint::example() }
}

fn elements(seen: &[Seen]) -> Vec<usize> {
    let count = |seen: &Seen| serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(&seen.body).unwrap().len();
    seen.iter().map(count).collect()
}

#[tokio::test(start_paused = true)]
async fn fifo_keeps_the_order_through_retries() {
    let reply = |seen: Seen| Reply::Status(if seen.id == "e-1" && seen.attempt() < 3 { 500 } else { 200 });
    let world = World::start(fifo(), reply);
    (0..4).for_each(|n| world.post(&format!("e-{n}")));
    let seen = world.received(6).await;
    assert_eq!(ids(&seen), ["e-0", "e-1", "e-1", "e-1", "e-2", "e-3"]);
    assert_eq!(whole_seconds(&seen), [0, 0, 60, 120, 120, 120]);
    assert_eq!(world.finished().await.receiver.most_at_once(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_given_up_makes_way_for_the_next() {
    let world = World::start(fifo(), nth(|n| Reply::Status(if n == 1 { 400 } else { 200 })));
    (0..3).for_each(|n| world.post(&format!("e-{n}")));
    assert_eq!(ids(&world.received(3).await), ["e-0", "e-1", "e-2"]);
    assert_eq!(world.finished().await.given_up(), [("e-0", "permanent", 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_in_order_is_left_in_order() {
    let world = World::start(fifo(), |_| Reply::Status(500));
    (0..4).for_each(|n| world.post(&format!("e-{n}")));
    world.received(1).await;
    world.drain(seconds(5));
    let ended = world.ended().await;
    let left: Vec<_> = ended.left.iter().map(|(id, attempts)| (id.as_str(), *attempts)).collect();
    assert_eq!(left, [("e-0", 1), ("e-1", 0), ("e-2", 0), ("e-3", 0)]);
    assert!(ended.at < seconds(1), "nothing more could go out, and it waited until {:?}", ended.at);
}

#[tokio::test(start_paused = true)]
async fn a_reload_to_fifo_holds_for_what_waits() {
    let world = World::start(Endpoint { concurrency: 2, ..endpoint() }, |_| Reply::After(seconds(1), 200));
    (0..5).for_each(|n| world.post(&format!("e-{n}")));
    world.received(2).await;
    world.settle(Endpoint { concurrency: 2, ..fifo() });
    let seen = world.received(5).await;
    assert_eq!((ids(&seen), whole_seconds(&seen)), (vec!["e-0", "e-1", "e-2", "e-3", "e-4"], vec![0, 0, 1, 2, 3]));
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_out_when_it_is_full_or_its_first_event_has_waited() {
    let world = World::start(batching(3), |_| Reply::Status(200));
    (0..4).for_each(|n| world.post(&format!("e-{n}")));
    let seen = world.received(2).await;
    assert_eq!(elements(&seen), [3, 1]);
    assert!(seen[0].at < Duration::from_millis(5) && seen[1].at >= Duration::from_millis(200), "{:?}", seen[1].at);
    assert_eq!(seen[1].header("content-type"), "application/json");
    assert!(seen.iter().all(|seen| seen.id.starts_with("bat_") && seen.id.len() == 36) && seen[0].id != seen[1].id);
    let ended = world.finished().await;
    assert_eq!(ended.ids("delivered"), ["e-0", "e-1", "e-2", "e-3"]);
    assert!(ended.telling("delivered").iter().all(|line| line["batch_id"].as_str().unwrap().starts_with("bat_")));
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_no_more_bytes_than_it_may() {
    let one = {
        let world = World::start(batching(1), |_| Reply::Status(200));
        world.post("e-0");
        world.received(1).await[0].body.len()
    };
    let two = 2 * one - 1;
    for (most, sizes) in [(two, &[2, 2][..]), (two - 1, &[1, 1, 1, 1])] {
        let batch = Batch { max_events: 100, max_bytes: most, max_wait: Duration::from_millis(200) };
        let world = World::start(Endpoint { batch: Some(batch), ..batching(1) }, |_| Reply::Status(200));
        (0..4).for_each(|n| world.post(&format!("e-{n}")));
        let seen = world.received(sizes.len()).await;
        assert_eq!(elements(&seen), sizes);
        assert!(seen.iter().all(|seen| seen.body.len() <= most));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_keeps_its_id_and_its_events_over_retries() {
    let world = World::start(batching(2), nth(|n| Reply::Status(if n < 3 { 503 } else { 200 })));
    world.post("e-0");
    world.post("e-1");
    world.received(1).await;
    (2..4).for_each(|n| world.post(&format!("e-{n}")));
    let seen = world.received(4).await;
    let of_first: Vec<_> = seen.iter().filter(|other| other.id == seen[0].id).collect();
    assert!(of_first.len() > 1 && of_first.iter().all(|other| other.body == seen[0].body));
    let ended = world.finished().await;
    let mut delivered = ended.ids("delivered");
    delivered.sort_unstable();
    assert_eq!((delivered, ended.held), (vec!["e-0", "e-1", "e-2", "e-3"], (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_halved_until_the_bad_event_is_found() {
    for status in [400, 413, 422] {
        let bad = move |seen: Seen| {
            let refused = String::from_utf8_lossy(&seen.body).contains("e-5");
            Reply::Status(if refused { status } else { 200 })
        };
        let world = World::start(batching(8), bad);
        (0..8).for_each(|n| world.post_saying(&format!("e-{n}")));
        let seen = world.received(7).await;
        let mut sizes = elements(&seen);
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 2, 2, 4, 4, 8], "{status}");
        let ids: std::collections::HashSet<_> = seen.iter().map(|seen| &seen.id).collect();
        assert_eq!(ids.len(), 7, "halves have ids of their own");
        let ended = world.finished().await;
        assert_eq!(ended.given_up(), [("e-5", "permanent", 1)], "{status}");
        assert_eq!(ended.telling("delivered").len(), 7);
        assert_eq!((ended.telling("failed").len(), ended.held), (1, (0, 0, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn another_permanent_refusal_is_of_the_whole_batch() {
    let world = World::start(batching(3), |_| Reply::Status(401));
    (0..3).for_each(|n| world.post(&format!("e-{n}")));
    world.received(1).await;
    let ended = world.finished().await;
    assert_eq!((ended.receiver.so_far().len(), ended.given_up().len()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_partial_batch_goes_out_at_shutdown() {
    let batch = Batch { max_events: 100, max_bytes: 1 << 20, max_wait: seconds(3600) };
    let world = World::start(Endpoint { batch: Some(batch), ..batching(1) }, |_| Reply::Status(200));
    (0..3).for_each(|n| world.post(&format!("e-{n}")));
    world.settled().await;
    world.drain(seconds(10));
    let ended = world.ended().await;
    assert_eq!((ended.telling("delivered").len(), ended.left.len()), (3, 0));
    assert!(ended.at < seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_past_its_age_gives_up_the_old_events_alone() {
    let mut endpoint = batching(2);
    endpoint.retry.max_age = Some(seconds(100));
    let world = World::start(endpoint, nth(|n| Reply::Status(if n == 1 { 500 } else { 200 })));
    world.post_accepted("e-0", std::time::SystemTime::now() - seconds(90));
    world.post("e-1");
    let seen = world.received(2).await;
    assert_eq!((elements(&seen), whole_seconds(&seen)), (vec![2, 1], vec![0, 60]));
    assert_ne!(seen[0].id, seen[1].id, "another batch is no repetition");
    let ended = world.finished().await;
    assert_eq!(ended.given_up(), [("e-0", "max_age", 1)]);
    assert_eq!(ended.ids("delivered"), ["e-1"]);
}

#[tokio::test(start_paused = true)]
async fn each_event_has_all_its_attempts_whatever_its_batch_has_had() {
    let world = World::start(batching(9), nth(|n| Reply::Status(if n <= 2 { 503 } else { 200 })));
    world.post_tried("old", 3);
    (0..3).for_each(|n| world.post(&format!("e-{n}")));
    let ended = world.finished().await;
    assert_eq!(ended.given_up(), [("old", "attempts", 4)]);
    assert_eq!(ended.ids("delivered"), ["e-0", "e-1", "e-2"]);
    assert!(ended.telling("delivered").iter().all(|line| line["attempt"] == 2), "{:#?}", ended.log);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_stand_in_a_batch_goes_out_alone_as_it_is() {
    let xml = (Envelope::Event, Format::Xml { root: "notification".into() });
    for (envelope, format) in [xml, (Envelope::CloudEventsBinary, Format::Json)] {
        let shape = Arc::new(Shape { envelope, format, content_type: HeaderValue::from_static("application/json") });
        let before = Endpoint { batch: None, shape, ..batching(1) };
        let world = World::start(before, nth(|n| if n == 1 { Reply::After(seconds(5), 503) } else { Reply::Status(200) }));
        (0..3).for_each(|n| world.post(&format!("e-{n}")));
        let first = world.received(1).await.remove(0);
        world.settle(batching(9));
        (3..5).for_each(|n| world.post(&format!("e-{n}")));
        let seen = world.received(5).await;
        assert_eq!(ids(&seen)[..3], ["e-0", "e-1", "e-2"]);
        assert!(seen[3].id.starts_with("bat_") && seen[3].body.starts_with(b"["));
        assert_eq!((ids(&seen)[4], &seen[4].body), ("e-0", &first.body));
        assert!([0, 1, 2, 4].iter().all(|n| seen[*n].header("ce-type") == first.header("ce-type")));
        assert_eq!(world.finished().await.telling("delivered").len(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_after_batches_were_turned_off_comes_back_one_by_one() {
    for order in [Sequence::Parallel, Sequence::Fifo] {
        let batched = Endpoint { order: order.clone(), ..batching(3) };
        let world = World::start(batched, nth(|n| if n == 1 { Reply::After(seconds(5), 503) } else { Reply::Status(200) }));
        (0..5).for_each(|n| world.post(&format!("e-{n}")));
        world.received(1).await;
        world.settle(Endpoint { order: order.clone(), concurrency: 1, ..endpoint() });
        let seen = world.received(6).await;
        let (mut came, waited) = (ids(&seen)[1..].to_vec(), whole_seconds(&seen));
        match order {
            Sequence::Fifo => assert_eq!(waited, [0, 65, 65, 65, 65, 65]),
            _ => came.rotate_left(2),
        }
        assert_eq!(came, ["e-0", "e-1", "e-2", "e-3", "e-4"]);
        assert_eq!(world.finished().await.telling("delivered").len(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_a_batch_of_one_and_goes_out_alone_is_not_called_a_batch_in_the_log() {
    let world = World::start(batching(1), nth(|n| Reply::Status(if n <= 2 { 503 } else { 200 })));
    world.post("e-0");
    let batch = world.received(1).await.remove(0).id;
    world.settled().await;
    world.settle(endpoint());
    let seen = world.received(2).await;
    world.settled().await;
    world.settle(batching(1));
    let ended = world.finished().await;
    assert_eq!(seen[1].id, "e-0");
    let told: Vec<_> = ended.log.iter().filter(|line| line["kind"] == "delivery").map(|line| line["batch_id"].as_str()).collect();
    let last = ended.receiver.so_far().remove(2).id;
    assert_eq!(told, [Some(&*batch), None, Some(&*last)]);
    assert_ne!(last, batch);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_time_joins_no_batch_before_it() {
    let reply = |seen: Seen| match (seen.header("x-attempt"), seen.id.as_str()) {
        ("1", "e-0") => Reply::Status(500),
        ("1", "e-1") => Reply::Asking(500, "500"),
        _ => Reply::Status(200),
    };
    let world = World::start(endpoint(), reply);
    (0..2).for_each(|n| world.post(&format!("e-{n}")));
    world.received(2).await;
    world.settled().await;
    world.settle(Endpoint { order: Sequence::Fifo, ..batching(9) });
    let seen = world.received(4).await;
    assert_eq!((whole_seconds(&seen), elements(&seen[2..])), (vec![0, 0, 60, 500], vec![1, 1]));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_another_half_of_a_batch_that_is_out_makes_no_room() {
    let queue = Bounds { events: 4, bytes: 64 << 20, when_full: WhenFull::DropOldest };
    let replies = |n| if n == 1 { Reply::Status(400) } else { Reply::After(seconds(5), 200) };
    let world = World::start(Endpoint { queue, order: Sequence::Fifo, ..batching(4) }, nth(replies));
    (0..4).for_each(|n| world.post(&format!("e-{n}")));
    world.received(2).await;
    assert!(world.is_full(0), "all four are under way");
    assert_eq!(world.finished().await.telling("delivered").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_smaller_queue_that_drops_nothing_takes_nothing_from_the_larger_one_that_did() {
    let queue = |events, when_full| Bounds { events, bytes: 64 << 20, when_full };
    for when_full in [WhenFull::DeadLetter, WhenFull::Reject] {
        let before = Endpoint { queue: queue(100, WhenFull::DropOldest), concurrency: 1, ..endpoint() };
        let world = World::start(before, |_| Reply::After(seconds(1), 200));
        (0..5).for_each(|n| world.post(&format!("e-{n}")));
        // The lane hears of both at once.
        world.settle(Endpoint { queue: queue(2, when_full), concurrency: 1, ..endpoint() });
        let ended = world.finished().await;
        assert_eq!((ended.telling("dropped").len(), ended.telling("delivered").len()), (0, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_that_waits_makes_room() {
    let queue = Bounds { events: 3, bytes: 64 << 20, when_full: WhenFull::DropOldest };
    let world = World::start(Endpoint { queue, concurrency: 1, ..endpoint() }, |_| Reply::After(seconds(1), 200));
    world.post("e-0");
    world.received(1).await;
    (1..3).for_each(|n| world.post(&format!("e-{n}")));
    (3..5).for_each(|n| world.post_displacing(&format!("e-{n}")));
    let ended = world.finished().await;
    assert_eq!(ended.ids("dropped"), ["e-1", "e-2"], "what is under way stays");
    assert_eq!(ended.ids("delivered"), ["e-0", "e-3", "e-4"]);
    assert_eq!((ended.telling("dropped")[0]["reason"].as_str(), ended.held), (Some("queue_full"), (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn as_many_make_room_as_it_takes() {
    let queue = Bounds { events: 6, bytes: 64 << 20, when_full: WhenFull::DropOldest };
    let with = |queue| Endpoint { queue, concurrency: 1, ..endpoint() };
    let world = World::start(with(queue), |_| Reply::After(seconds(1), 200));
    world.post("e-0");
    world.received(1).await;
    (1..6).for_each(|n| world.post(&format!("e-{n}")));
    world.settled().await;
    world.settle(with(Bounds { events: 3, ..queue }));
    world.post_displacing("e-6");
    let ended = world.finished().await;
    assert_eq!(ended.ids("dropped"), ["e-1", "e-2", "e-3", "e-4"]);
    assert_eq!(ended.ids("delivered"), ["e-0", "e-5", "e-6"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_at_a_reload_makes_no_room_after_it() {
    let queue = Bounds { events: 1, bytes: 64 << 20, when_full: WhenFull::Reject };
    let with = |queue| Endpoint { queue, concurrency: 1, ..endpoint() };
    let world = World::start(with(queue), |_| Reply::After(seconds(1), 200));
    world.post("e-0");
    world.received(1).await;
    world.settle(with(Bounds { when_full: WhenFull::DropOldest, ..queue }));
    world.settled().await;
    assert!(world.is_full(0));
    assert_eq!(world.finished().await.ids("delivered"), ["e-0"]);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_what_is_under_way_make_no_room() {
    let queue = Bounds { events: 10, bytes: 4096, when_full: WhenFull::DropOldest };
    let world = World::start(Endpoint { queue, concurrency: 1, ..endpoint() }, |_| Reply::After(seconds(1), 200));
    (0..2).for_each(|n| world.post(&format!("e-{n}")));
    world.received(1).await;
    let each = world.account.held().1 / 2;
    // The bookkeeping comes on top.
    assert_eq!([3000 - each, 4097 - each].map(|bytes| world.is_full(bytes)), [false, true]);
    assert_eq!(world.finished().await.ids("delivered"), ["e-0", "e-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_keeps_its_id_over_a_reload_that_leaves_the_order_as_it_is() {
    let world = World::start(batching(3), nth(|n| Reply::Status(if n == 1 { 503 } else { 200 })));
    (0..3).for_each(|n| world.post(&format!("e-{n}")));
    world.received(1).await;
    world.settled().await;
    let batch = Batch { max_events: 4, max_bytes: 1 << 20, max_wait: seconds(9) };
    let queue = Bounds { when_full: WhenFull::DropOldest, ..batching(3).queue };
    world.settle(Endpoint { batch: Some(batch), queue, ..batching(3) });
    let seen = world.received(2).await;
    assert_eq!((&seen[0].id, &seen[0].body), (&seen[1].id, &seen[1].body));
    assert_eq!(whole_seconds(&seen), [0, 60]);
    assert_eq!(world.finished().await.telling("delivered").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_larger_than_is_allowed_now_comes_back_one_by_one() {
    let world = World::start(batching(3), nth(|n| Reply::Status(if n == 1 { 503 } else { 200 })));
    (0..3).for_each(|n| world.post(&format!("e-{n}")));
    world.received(1).await;
    world.settled().await;
    world.settle(batching(2));
    assert_eq!(elements(&world.received(4).await), [3, 1, 1, 1]);
    assert_eq!(world.finished().await.ids("delivered"), ["e-0", "e-1", "e-2"]);
}

#[tokio::test(start_paused = true)]
async fn while_a_changed_order_is_put_into_force_others_have_their_turn() {
    const EVENTS: usize = 4000;
    let reply = |seen: Seen| if seen.id == "e-0" { Reply::Hang } else { Reply::Status(200) };
    let world = World::start_with(fifo(), reply, |_| Dialled::AtOnce);
    (0..EVENTS).for_each(|n| world.post_saying(&format!("e-{n}")));
    world.received(1).await;
    world.settled().await;
    let order = Sequence::Keyed(Arc::new(Library::new().compile(".data").unwrap()));
    world.settle(Endpoint { order, concurrency: EVENTS, ..endpoint() });
    let mut before = 1;
    while before < EVENTS {
        tokio::task::yield_now().await;
        let now = world.receiver.so_far().len();
        assert!(now - before <= EVENTS / 4, "{} of them held everything up", now - before);
        before = now;
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_batch_is_counted_while_it_is_under_way() {
    let world = World::start(batching(4), |_| Reply::After(seconds(1), 200));
    (0..4).for_each(|n| world.post(&format!("e-{n}")));
    let before = world.ledger.used();
    let seen = world.received(1).await;
    assert_eq!((elements(&seen), world.ledger.used() - before), (vec![4], seen[0].body.len()));
    assert_eq!(world.finished().await.held, (0, 0, 0));
}
