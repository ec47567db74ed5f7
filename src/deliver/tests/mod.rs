//! Lanes over a receiver that does as it is told, in a time that stands still but for timers.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use tokio::time::sleep;

use self::world::{Dialled, Reply, World, endpoint, seconds, whole_seconds};
use crate::{
    endpoint::{Auth, Batch, Breaker, Endpoint, HeaderText, OAuth2, Pace, Sequence, Target},
    retry::{Policy, Waits},
    sign::{Scheme, Secret, Signer},
};

mod ends;
mod order;
mod pace;
mod panics;
mod settings;
mod storm;
mod world;

/// Replies to the n-th request, from 1.
fn nth(replies: impl Fn(usize) -> Reply + Send + Sync + 'static) -> impl Fn(world::Seen) -> Reply + Send + Sync {
    let count = std::sync::atomic::AtomicUsize::new(0);
    move |_| replies(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1)
}

fn one_at_a_time() -> Endpoint {
    Endpoint { concurrency: 1, ..endpoint() }
}

fn ids(seen: &[world::Seen]) -> Vec<&str> {
    seen.iter().map(|seen| seen.id.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_waiting_retry_holds_no_permit_and_comes_back_at_its_time() {
    let world =
        World::start(one_at_a_time(), |seen| Reply::Status(if seen.id == "e-1" && seen.attempt() < 3 { 500 } else { 200 }));
    for id in ["e-1", "e-2", "e-3"] {
        world.post(id);
    }
    let seen = world.received(5).await;
    assert_eq!(ids(&seen), ["e-1", "e-2", "e-3", "e-1", "e-1"]);
    assert_eq!(whole_seconds(&seen), [0, 0, 0, 60, 120]);
    let ended = world.finished().await;
    assert_eq!(ended.ids("delivered"), ["e-2", "e-3", "e-1"]);
    assert_eq!(ended.held, (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn attempts_never_exceed_the_concurrency_and_use_all_of_it() {
    let world = World::start(Endpoint { concurrency: 3, ..endpoint() }, |_| Reply::After(seconds(1), 200));
    (0..20).for_each(|n| world.post(&format!("e-{n}")));
    let ended = world.finished().await;
    assert_eq!(ended.receiver.most_at_once(), 3);
    assert_eq!((ended.telling("delivered").len(), ended.at.as_secs()), (20, 7));
}

#[tokio::test(start_paused = true)]
async fn fresh_deliveries_are_tried_in_the_order_they_came() {
    let world = World::start(one_at_a_time(), |_| Reply::Status(200));
    let wanted: Vec<String> = (0..300).map(|n| format!("e-{n}")).collect();
    wanted.iter().for_each(|id| world.post(id));
    assert_eq!(ids(&world.received(300).await), wanted);
}

#[tokio::test(start_paused = true)]
async fn retry_after_on_503_and_429_pauses_the_endpoint_until_then() {
    for status in [503, 429] {
        let world =
            World::start(endpoint(), nth(move |n| if n == 1 { Reply::Asking(status, "120") } else { Reply::Status(200) }));
        world.post("e-1");
        world.received(1).await;
        world.settled().await;
        world.post("e-2");
        let seen = world.received(3).await;
        assert_eq!(whole_seconds(&seen), [0, 120, 120], "{status}");
        let ended = world.finished().await;
        assert_eq!((ended.telling("paused").len(), ended.telling("resumed").len()), (1, 1), "{status}");
        assert_eq!(ended.telling("delivered").len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_on_another_status_holds_that_delivery_alone() {
    let world = World::start(endpoint(), nth(|n| if n == 1 { Reply::Asking(500, "120") } else { Reply::Status(200) }));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.post("e-2");
    let seen = world.received(3).await;
    assert_eq!((ids(&seen), whole_seconds(&seen)), (vec!["e-1", "e-2", "e-1"], vec![0, 0, 120]));
    assert!(world.finished().await.telling("paused").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_lengthened_by_a_later_answer_and_told_of_once() {
    let replies = |n| match n {
        1 => Reply::Asking(503, "30"),
        2 => Reply::Asking(503, "200"),
        _ => Reply::Status(200),
    };
    let world = World::start(endpoint(), nth(replies));
    world.post("e-1");
    world.post("e-2");
    assert_eq!(whole_seconds(&world.received(4).await), [0, 0, 200, 200]);
    let ended = world.finished().await;
    assert_eq!((ended.telling("paused").len(), ended.telling("resumed").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_has_no_answer_in_time_is_a_timeout_also_when_the_dial_took_half_of_it() {
    let world = World::start_with(endpoint(), |_| Reply::Hang, |_| Dialled::After(seconds(6)));
    world.post("e-1");
    let seen = world.received(2).await;
    assert_eq!(whole_seconds(&seen), [6, 10 + 60 + 6]);
    world.drain(Duration::ZERO);
    let ended = world.ended().await;
    let line = ended.telling("retrying")[0];
    assert_eq!((&line["error_code"], line["duration_ms"].as_f64().map(f64::round)), (&"timeout".into(), Some(10_000.0)));
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_takes_too_long_is_a_connect_timeout() {
    let dialled = |n| if n == 0 { Dialled::Hang } else { Dialled::After(Duration::ZERO) };
    let world = World::start_with(endpoint(), |_| Reply::Status(200), dialled);
    world.post("e-1");
    assert_eq!(whole_seconds(&world.received(1).await), [70]);
    let ended = world.finished().await;
    assert_eq!(ended.telling("retrying")[0]["error_code"], "connect_timeout");
    assert_eq!(ended.telling("delivered")[0]["attempt"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_without_an_end_is_delivered_and_its_connection_is_closed() {
    let world = World::start(one_at_a_time(), |_| Reply::Endless);
    world.post("e-1");
    world.post("e-2");
    let seen = world.received(2).await;
    assert_eq!((seen[0].connection, seen[1].connection), (0, 1));
    let ended = world.finished().await;
    assert_eq!(ended.ids("delivered"), ["e-1", "e-2"]);
    // Only the head counts for how long it took.
    assert!(ended.telling("delivered")[0]["duration_ms"].as_f64().is_some_and(|ms| ms < 100.0), "{:?}", ended.log);
}

#[tokio::test(start_paused = true)]
async fn a_stale_connection_is_replaced_at_once_and_that_is_no_attempt() {
    let replies = |n| if n == 2 { Reply::Broken { silent: true } } else { Reply::Status(200) };
    let world = World::start(one_at_a_time(), nth(replies));
    world.post("e-1");
    world.post("e-2");
    let seen = world.received(3).await;
    let told: Vec<_> = seen.iter().map(|seen| (seen.id.as_str(), seen.connection, seen.attempt(), seen.at.as_secs())).collect();
    assert_eq!(told, [("e-1", 0, 1, 0), ("e-2", 0, 1, 0), ("e-2", 1, 1, 0)]);
    let ended = world.finished().await;
    assert!(ended.telling("retrying").is_empty(), "{:#?}", ended.log);
    assert_eq!(ended.telling("delivered")[1]["attempt"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_connection_is_replaced_once_and_then_the_attempt_has_failed() {
    let replies = |n| if n == 2 || n == 3 { Reply::Broken { silent: true } } else { Reply::Status(200) };
    let world = World::start(one_at_a_time(), nth(replies));
    world.post("e-1");
    world.post("e-2");
    let seen = world.received(4).await;
    let told: Vec<_> = seen.iter().map(|seen| (seen.connection, seen.attempt(), seen.at.as_secs())).collect();
    assert_eq!(told, [(0, 1, 0), (0, 1, 0), (1, 1, 0), (2, 2, 60)]);
    assert_eq!(world.finished().await.telling("retrying").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_inside_an_answer_is_a_failed_attempt() {
    let replies = |n| if n == 2 { Reply::Broken { silent: false } } else { Reply::Status(200) };
    let world = World::start(one_at_a_time(), nth(replies));
    world.post("e-1");
    world.post("e-2");
    let seen = world.received(3).await;
    assert_eq!((seen[2].attempt(), seen[2].at.as_secs()), (2, 60));
    assert_eq!(world.finished().await.telling("retrying")[0]["error_code"], "reset");
}

#[tokio::test(start_paused = true)]
async fn an_event_past_its_age_is_given_up_after_its_attempt() {
    let policy = Policy { max_age: Some(seconds(3600)), ..endpoint().retry };
    let world = World::start(Endpoint { retry: policy, ..endpoint() }, |_| Reply::Status(500));
    world.post_accepted("old", SystemTime::now() - seconds(7200));
    let ended = world.finished().await;
    assert_eq!(ended.given_up(), [("old", "max_age", 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_given_up_whole_and_frees_its_place() {
    let world = World::start(endpoint(), |_| Reply::Status(404));
    world.post("e-1");
    let ended = world.finished().await;
    assert_eq!(ended.given_up(), [("e-1", "permanent", 1)]);
    assert_eq!(ended.letters[0]["event"]["data"]["n"], 1.0);
    assert_eq!((ended.telling("failed").len(), ended.ids("dead_lettered"), ended.held), (1, vec!["e-1"], (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_the_receiver_echoes_is_masked_in_the_log() {
    let secrets = vec![Secret::new("hunter2".to_owned())];
    let world = World::start(Endpoint { secrets, ..endpoint() }, |_| Reply::Saying(404, "no hunter2 here, hunter2".to_owned()));
    world.post("e-1");
    assert_eq!(world.finished().await.telling("failed")[0]["response"], "no *** here, ***");
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_masked_also_where_the_log_cuts_it_and_inside_a_longer_one() {
    let secrets = ["hunter2", "hunter2-and-more"].map(|text| Secret::new(text.to_owned()));
    for start in 256 - "hunter2-and-more".len()..=256 {
        let secrets = secrets.to_vec();
        let echo = format!("{}hunter2-and-more!", ".".repeat(start));
        let world = World::start(Endpoint { secrets, ..endpoint() }, move |_| Reply::Saying(404, echo.clone()));
        world.post("e-1");
        let ended = world.finished().await;
        let response = ended.telling("failed")[0]["response"].as_str().unwrap();
        assert!(!response.contains('h') && !response.contains("more"), "{response}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_answer_that_does_not_end_has_arrived_and_holds_no_permit() {
    let world = World::start(one_at_a_time(), |seen| if seen.id == "e-1" { Reply::Endless } else { Reply::Status(200) });
    world.post("e-1");
    world.post("e-2");
    let seen = world.received(2).await;
    assert_eq!(whole_seconds(&seen), [0, 0]);
    assert_eq!(world.finished().await.ids("delivered"), ["e-1", "e-2"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_become_too_old_while_it_waited_is_not_tried_again() {
    let both = Batch { max_events: 2, max_bytes: 1 << 20, max_wait: Duration::ZERO };
    for (batch, requests) in [(None, 1), (Some(both), 2)] {
        let aged = |max_age| {
            let retry = Policy { max_age, ..endpoint().retry };
            Endpoint { batch, headers: Vec::new(), retry, ..endpoint() }
        };
        let world = World::start(aged(None), nth(|n| Reply::Status(if n == 1 { 500 } else { 200 })));
        world.post_accepted("old", SystemTime::now() - seconds(900));
        if requests == 2 {
            world.post("new");
        }
        world.received(1).await;
        world.settled().await;
        world.settle(aged(Some(seconds(300))));
        let ended = world.finished().await;
        assert_eq!(ended.given_up(), [("old", "max_age", 1)]);
        let seen = ended.receiver.so_far();
        assert_eq!((seen.len(), ended.telling("delivered").len()), (requests, requests - 1));
        assert!(seen.len() == 1 || seen[0].id != seen[1].id, "another batch is no repetition");
        assert_eq!(ended.held, (0, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn of_answers_that_do_not_end_no_more_are_read_at_once_than_may_be_under_way() {
    let world = World::start(Endpoint { concurrency: 2, ..endpoint() }, |_| Reply::Endless);
    (0..6).for_each(|n| world.post(&format!("e-{n}")));
    world.received(6).await;
    world.settled().await;
    assert_eq!(world.receiver.closed().len(), 4);
}

/// What may happen to a lane.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Post,
    Settle { concurrency: usize, active: bool },
    Wait(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => Just(Happening::Post),
        1 => (1..5_usize, any::<bool>()).prop_map(|(concurrency, active)| Happening::Settle { concurrency, active }),
        2 => (0..200_u64).prop_map(Happening::Wait),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        4 => Just(Reply::Status(200)),
        2 => (0..20_u64).prop_map(|n| Reply::After(seconds(n), 200)),
        2 => Just(Reply::Status(500)),
        1 => Just(Reply::Status(404)),
        1 => Just(Reply::Status(410)),
        1 => Just(Reply::Asking(503, "90")),
        1 => any::<bool>().prop_map(|silent| Reply::Broken { silent }),
        1 => Just(Reply::Endless),
        1 => Just(Reply::Hang),
        1 => Just(Reply::Panic),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_happens_each_delivery_ends_once_and_no_place_leaks(
        happenings in proptest::collection::vec(happening(), 1..60),
        replies in proptest::collection::vec(reply(), 1..40),
        grace in 0..100_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (posted, ended) = runtime.block_on(live(happenings, replies, grace));
        let mut ends: HashMap<&str, usize> = HashMap::new();
        let letters: Vec<_> = ended.given_up();
        let left = ended.left.iter().map(|(id, _)| id.as_str());
        for id in ended.ids("delivered").into_iter().chain(letters.iter().map(|letter| letter.0)).chain(left) {
            *ends.entry(id).or_default() += 1;
        }
        prop_assert!(ends.values().all(|times| *times == 1), "{:?}", ends);
        prop_assert_eq!(ends.len(), posted);
        prop_assert_eq!(ended.held, (0, 0, 0));
        prop_assert!(ended.receiver.most_at_once() <= 4);
        prop_assert!(ended.left.iter().all(|(_, attempts)| *attempts < 4));
    }
}

/// Lets it all happen to a lane, then drains it; how many were posted, and what became of them.
async fn live(happenings: Vec<Happening>, replies: Vec<Reply>, grace: u64) -> (usize, world::Ended) {
    let world = World::start(one_at_a_time(), nth(move |n| replies[n % replies.len()].clone()));
    let mut posted = 0;
    for happening in happenings {
        match happening {
            Happening::Post => {
                world.post(&format!("e-{posted}"));
                posted += 1;
            }
            Happening::Settle { concurrency, active } => world.settle(Endpoint { concurrency, active, ..endpoint() }),
            Happening::Wait(n) => sleep(seconds(n)).await,
        }
    }
    world.drain(seconds(grace));
    (posted, world.ended().await)
}
