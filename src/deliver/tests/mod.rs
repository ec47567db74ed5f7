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

mod order;
mod pace;
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
async fn a_changed_concurrency_holds_from_the_next_attempt_on() {
    let world = World::start(Endpoint { concurrency: 4, ..endpoint() }, |_| Reply::After(seconds(1), 200));
    (0..8).for_each(|n| world.post(&format!("e-{n}")));
    world.received(4).await;
    world.settle(one_at_a_time());
    assert_eq!(whole_seconds(&world.received(8).await), [0, 0, 0, 0, 1, 2, 3, 4]);
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
async fn a_panic_in_an_attempt_is_a_failed_attempt_and_takes_nothing_along() {
    let world = World::start(one_at_a_time(), |seen| if seen.attempt() == 1 { Reply::Panic } else { Reply::Status(200) });
    world.post("e-1");
    world.post("e-2");
    let seen = world.received(4).await;
    assert_eq!((ids(&seen), whole_seconds(&seen)), (vec!["e-1", "e-2", "e-1", "e-2"], vec![0, 0, 60, 60]));
    let ended = world.finished().await;
    assert_eq!((ended.telling("retrying").len(), ended.ids("delivered")), (2, vec!["e-1", "e-2"]));
    assert_eq!(ended.held, (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_panics_every_time_is_dead_lettered_and_its_place_is_free() {
    let world = World::start(endpoint(), |_| Reply::Panic);
    world.post("e-1");
    let ended = world.finished().await;
    assert_eq!(ended.given_up(), [("e-1", "attempts", 4)]);
    assert_eq!((ended.receiver.so_far().len(), ended.held), (4, (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_lane_itself_takes_nothing_along() {
    let curse = |seen: world::Seen| match seen.id.as_str() {
        "e-1" if seen.connection == 0 => Reply::Cursed(seconds(5), 200),
        _ => Reply::Status(200),
    };
    for order in [Sequence::Parallel, Sequence::Fifo] {
        let world = World::start(Endpoint { order, ..one_at_a_time() }, curse);
        (1..=3).for_each(|n| world.post(&format!("e-{n}")));
        world.received(1).await;
        // Its connection leads elsewhere now, and is closed when the answer is there.
        world.settle(Endpoint { target: Target::parse("http://other.example/", false).unwrap(), ..one_at_a_time() });
        let seen = world.received(4).await;
        let mut again = ids(&seen[1..]);
        again.sort_unstable();
        assert_eq!(again, ["e-1", "e-2", "e-3"], "what was in hand is tried again, for nobody knows what became of it");
        let ended = world.finished().await;
        assert_eq!((ended.ids("delivered").len(), ended.held), (3, (0, 0, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_a_probe_does_not_leave_the_lane_waiting_for_it() {
    let pace = Pace { breaker: Some(Breaker { failures: 1, pause: seconds(30) }), ..Pace::default() };
    let endpoint = Endpoint { pace, timeout: seconds(100), ..one_at_a_time() };
    let replies = |n| match n {
        1 => Reply::Status(500),
        // By then the connection is too old to be kept.
        2 => Reply::Cursed(seconds(61), 200),
        _ => Reply::Status(200),
    };
    let world = World::start(endpoint, nth(replies));
    world.post("e-1");
    world.received(3).await;
    let ended = world.finished().await;
    assert_eq!((ended.ids("delivered"), ended.held), (vec!["e-1"], (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_what_is_left_of_an_answer_is_the_end_of_its_connection_alone() {
    let world = World::start(one_at_a_time(), nth(|n| if n == 1 { Reply::Garbled } else { Reply::Status(200) }));
    world.post("e-1");
    world.received(1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.post("e-2");
    let seen = world.received(2).await;
    assert_eq!((seen[1].connection, whole_seconds(&seen)), (1, vec![0, 0]), "the lane has not noticed");
    let ended = world.finished().await;
    assert_eq!((ended.ids("delivered"), ended.held), (vec!["e-1", "e-2"], (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_panics_again_and_again_still_hears_that_it_is_to_drain_and_hands_all_back() {
    // The connection is closed by the lane itself, once it has lain idle.
    let endpoint = Endpoint { idle_timeout: seconds(2), ..one_at_a_time() };
    let world = World::start(endpoint, nth(|n| if n == 1 { Reply::Cursed(seconds(0), 200) } else { Reply::Hang }));
    world.post("e-1");
    world.received(1).await;
    tokio::time::sleep(seconds(3)).await;
    ["e-2", "e-3"].into_iter().for_each(|id| world.post(id));
    world.drain(seconds(5));
    let ended = world.ended().await;
    let mut left: Vec<_> = ended.left.iter().map(|(id, _)| id.as_str()).collect();
    left.sort_unstable();
    assert_eq!((ended.ids("delivered"), left, ended.held), (vec!["e-1"], vec!["e-2", "e-3"], (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_a_lane_holds_whose_very_end_panics_can_still_be_had() {
    let world = World::start(one_at_a_time(), nth(|n| if n == 1 { Reply::Cursed(seconds(0), 200) } else { Reply::Hang }));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.settle(Endpoint { active: false, ..one_at_a_time() });
    world.post("e-2");
    world.drain(Duration::ZERO);
    assert_eq!(world.broken().await, ["e-2"]);
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

/// An endpoint of which every part that can be seen says `version`.
fn versioned(version: &str, concurrency: usize) -> Endpoint {
    let mut versioned = endpoint();
    versioned.target = Target::parse(&format!("http://{version}.example/{version}"), false).unwrap();
    let marker = HeaderText::Fixed(HeaderValue::from_str(version).unwrap());
    versioned.headers.push((HeaderName::from_static("x-version"), marker));
    versioned.signatures = vec![signer(version)];
    versioned.concurrency = concurrency;
    versioned
}

fn signer(version: &str) -> Signer {
    Signer::new(Scheme::preset("github").unwrap(), &[Secret::new(format!("secret of {version}"))]).unwrap()
}

#[track_caller]
fn assert_all_of_one_version(seen: &world::Seen) {
    let version = seen.header("x-version");
    assert_eq!(&*seen.dialled, format!("http://{version}.example/{version}"));
    assert_eq!((seen.header("host"), &*seen.path), (&*format!("{version}.example"), &*format!("/{version}")));
    signer(version).verify(&seen.headers, "POST", &seen.path, &seen.body).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_takes_all_the_new_settings_and_keeps_its_body() {
    let world =
        World::start(versioned("old", 1), |seen| Reply::Status(if seen.header("x-version") == "old" { 500 } else { 200 }));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    let mut new = versioned("new", 1);
    new.shape = std::sync::Arc::new(crate::encode::Shape {
        envelope: crate::envelope::Envelope::Md5,
        format: crate::encode::Format::Form,
        content_type: HeaderValue::from_static("application/x-www-form-urlencoded"),
    });
    world.settle(new);
    let seen = world.received(2).await;
    seen.iter().for_each(assert_all_of_one_version);
    assert_eq!((seen[0].header("x-version"), seen[1].header("x-version")), ("old", "new"));
    assert_eq!((&seen[1].body, seen[1].header("content-type")), (&seen[0].body, "application/json"));
    // The wait was set when the attempt failed.
    assert_eq!(seen[1].at.as_secs(), 60);
    let ended = world.finished().await;
    assert_eq!(ended.telling("delivered")[0]["url"], "http://new.example/new");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_ends_with_the_settings_it_began_with() {
    let world = World::start(versioned("old", 1), |_| Reply::After(seconds(5), 200));
    world.post("e-1");
    world.post("e-2");
    world.received(1).await;
    world.settle(versioned("new", 1));
    let seen = world.received(2).await;
    seen.iter().for_each(assert_all_of_one_version);
    let ended = world.finished().await;
    let urls: Vec<_> = ended.telling("delivered").iter().map(|line| line["url"].clone()).collect();
    assert_eq!(urls, ["http://old.example/old", "http://new.example/new"]);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_mixes_settings_however_often_they_change() {
    let replies = |n: usize| match n % 5 {
        0 => Reply::After(Duration::from_millis(300), 500),
        1 => Reply::Broken { silent: true },
        _ => Reply::After(Duration::from_millis(170), 200),
    };
    let world = World::start(versioned("v0", 4), nth(replies));
    (0..100).for_each(|n| world.post(&format!("e-{n}")));
    for version in 1..=40 {
        sleep(Duration::from_millis(90)).await;
        world.settle(versioned(&format!("v{version}"), 1 + version % 7));
    }
    let ended = world.finished().await;
    let seen = ended.receiver.so_far();
    seen.iter().for_each(assert_all_of_one_version);
    let versions: std::collections::HashSet<_> = seen.iter().map(|seen| seen.header("x-version")).collect();
    assert!(versions.len() > 10, "{versions:?}");
    assert_eq!(ended.telling("delivered").len() + ended.letters.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_until_it_was_idle_for_idle_timeout() {
    let world = World::start(endpoint(), |_| Reply::Status(200));
    for (id, pause) in [("e-1", 3), ("e-2", 3), ("e-3", 30), ("e-4", 0)] {
        world.post(id);
        sleep(seconds(pause)).await;
    }
    let seen = world.received(4).await;
    assert_eq!(seen.iter().map(|seen| seen.connection).collect::<Vec<_>>(), [0, 0, 0, 1]);
    // It was closed when its time was over, not when it was next wanted.
    let closed: Vec<_> = world.receiver.closed().iter().map(|(number, at)| (*number, at.as_secs())).collect();
    assert_eq!(closed, [(0, 6 + 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_constant_use_is_given_up_after_a_minute() {
    let world = World::start(one_at_a_time(), |_| Reply::Status(200));
    for n in 0..50 {
        world.post(&format!("e-{n}"));
        sleep(seconds(3)).await;
    }
    let seen = world.received(50).await;
    assert!(seen.iter().all(|seen| seen.connection == seen.at.as_secs() as usize / 60), "{seen:#?}");
    assert_eq!(world.finished().await.telling("delivered").len(), 50);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_when_the_target_changes_and_not_for_other_settings() {
    let world = World::start(versioned("old", 8), |_| Reply::Status(200));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.settle(Endpoint { timeout: seconds(9), ..versioned("old", 8) });
    world.post("e-2");
    assert_eq!(world.received(2).await[1].connection, 0);
    world.settled().await;
    assert!(world.receiver.closed().is_empty());
    world.settle(versioned("new", 8));
    world.settled().await;
    assert_eq!(world.receiver.closed().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_when_the_target_changes_is_not_kept() {
    let world = World::start(versioned("old", 1), |_| Reply::After(seconds(1), 200));
    world.post("e-1");
    world.received(1).await;
    world.settle(versioned("new", 1));
    sleep(seconds(2)).await;
    assert_eq!(world.receiver.closed().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_draining_waiting_retries_are_tried_at_once_and_a_failure_does_not_count() {
    let world = World::start(endpoint(), |seen| Reply::Status(if seen.id == "good" && seen.attempt() == 2 { 200 } else { 500 }));
    world.post("good");
    world.post("bad");
    world.received(2).await;
    world.settled().await;
    world.drain(seconds(30));
    let ended = world.ended().await;
    assert_eq!((ended.ids("delivered"), &*ended.left), (vec!["good"], &[("bad".to_owned(), 1)][..]));
    assert_eq!((ended.at.as_secs(), ended.receiver.so_far().len()), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_last_retry_that_fails_while_draining_is_not_given_up() {
    let policy = Policy { waits: Waits::Fixed { attempts: 2, delay: seconds(60) }, ..endpoint().retry };
    let world = World::start(Endpoint { retry: policy, ..endpoint() }, |_| Reply::Status(500));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.drain(seconds(30));
    let ended = world.ended().await;
    assert_eq!((ended.left, ended.letters.len()), (vec![("e-1".to_owned(), 1)], 0));
}

#[tokio::test(start_paused = true)]
async fn while_draining_a_retry_that_fails_for_good_is_dead_lettered() {
    let world = World::start(endpoint(), |seen| Reply::Status(if seen.attempt() == 1 { 500 } else { 404 }));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.drain(seconds(30));
    let ended = world.ended().await;
    assert_eq!((ended.given_up(), ended.left.len()), (vec![("e-1", "permanent", 2)], 0));
}

#[tokio::test(start_paused = true)]
async fn while_draining_a_first_attempt_that_fails_counts_and_is_handed_back() {
    let world = World::start(one_at_a_time(), |_| Reply::After(seconds(1), 500));
    (1..=3).for_each(|n| world.post(&format!("e-{n}")));
    world.received(1).await;
    world.drain(seconds(30));
    let ended = world.ended().await;
    let one_each = ["e-1", "e-2", "e-3"].map(|id| (id.to_owned(), 1));
    assert_eq!((ended.left, ended.at.as_secs()), (one_each.to_vec(), 3));
}

#[tokio::test(start_paused = true)]
async fn a_paused_endpoint_is_not_tried_while_draining() {
    let world = World::start(endpoint(), |_| Reply::Asking(503, "120"));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.post("e-2");
    world.drain(seconds(300));
    let mut ended = world.ended().await;
    ended.left.sort();
    assert_eq!((ended.receiver.so_far().len(), ended.at.as_secs()), (1, 0));
    assert_eq!(ended.left, [("e-1".to_owned(), 1), ("e-2".to_owned(), 0)]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_asks_for_a_pause_while_draining_gets_it() {
    let world = World::start(one_at_a_time(), |_| Reply::Asking(503, "120"));
    (1..=3).for_each(|n| world.post(&format!("e-{n}")));
    world.drain(seconds(300));
    let ended = world.ended().await;
    assert_eq!((ended.receiver.so_far().len(), ended.left.len(), ended.at.as_secs()), (1, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_what_is_under_way_is_handed_back_uncounted_and_no_longer_sent() {
    let world = World::start(one_at_a_time(), |_| Reply::Hang);
    world.post("e-1");
    world.post("e-2");
    world.received(1).await;
    world.drain(seconds(5));
    let ended = world.ended().await;
    assert_eq!(ended.left, [("e-1".to_owned(), 0), ("e-2".to_owned(), 0)]);
    assert_eq!((ended.at.as_secs(), ended.receiver.closed().len(), ended.held), (5, 1, (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_second_drain_may_shorten_the_first() {
    let world = World::start(one_at_a_time(), |_| Reply::Hang);
    world.post("e-1");
    world.received(1).await;
    world.drain(seconds(9));
    sleep(seconds(2)).await;
    world.drain(Duration::ZERO);
    let ended = world.ended().await;
    assert_eq!((ended.left, ended.at.as_secs()), (vec![("e-1".to_owned(), 0)], 2));
}

#[tokio::test(start_paused = true)]
async fn an_idle_lane_that_is_drained_ends_at_once() {
    let world = World::start(endpoint(), |_| Reply::Status(200));
    world.drain(seconds(300));
    let ended = world.ended().await;
    assert_eq!((ended.left.len(), ended.at), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_retired_lane_ends_when_its_last_retry_has_had_its_time() {
    let world = World::start(endpoint(), |seen| Reply::Status(if seen.attempt() < 3 { 500 } else { 200 }));
    world.post("e-1");
    let ended = world.finished().await;
    assert_eq!((ended.ids("delivered"), ended.at.as_secs()), (vec!["e-1"], 120));
    assert!(ended.left.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retired_lane_that_is_drained_keeps_to_the_deadline() {
    let world = World::start(endpoint(), |_| Reply::Hang);
    world.post("e-1");
    world.retire();
    world.received(1).await;
    world.drain(seconds(3));
    let ended = world.ended().await;
    assert_eq!((ended.left.len(), ended.at.as_secs()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn what_a_lane_was_given_but_had_not_read_when_it_ends_is_handed_back() {
    let world = World::start(endpoint(), |_| Reply::Hang);
    world.drain(Duration::ZERO);
    (0..200).for_each(|n| world.post(&format!("e-{n}")));
    let ended = world.ended().await;
    assert_eq!((ended.left.len(), ended.held), (200, (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_retirement_can_be_taken_back_until_the_lane_has_ended() {
    let world = World::start(endpoint(), |seen| Reply::Status(if seen.attempt() == 1 { 500 } else { 200 }));
    world.post("e-1");
    world.received(1).await;
    world.retire();
    world.settled().await;
    assert!(world.reopen().await);
    sleep(seconds(600)).await;
    world.post("e-2");
    world.received(4).await;
    world.retire();
    world.settled().await;
    assert!(!world.reopen().await);
    assert_eq!(world.ended().await.ids("delivered"), ["e-1", "e-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_nobody_can_reach_any_more_ends_as_if_retired() {
    let world = World::start(endpoint(), |seen| Reply::Status(if seen.attempt() == 1 { 500 } else { 200 }));
    world.post("e-1");
    let ended = world.abandoned().await;
    assert_eq!(ended.ids("delivered"), ["e-1"]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_lane_that_nobody_can_reach_any_more_ends() {
    let world = World::start(Endpoint { idle_timeout: Duration::ZERO, ..endpoint() }, |_| Reply::Status(200));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    assert_eq!(world.abandoned().await.ids("delivered"), ["e-1"]);
}

#[tokio::test(start_paused = true)]
async fn gone_disables_the_endpoint_until_a_setting_changes() {
    let world = World::start(endpoint(), |seen| Reply::Status(if seen.id == "e-1" { 410 } else { 200 }));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.post("e-2");
    world.settled().await;
    world.settle(endpoint());
    world.post("e-3");
    world.settled().await;
    assert_eq!(world.receiver.so_far().len(), 1);
    world.settle(Endpoint { timeout: seconds(9), ..endpoint() });
    world.post("e-4");
    let ended = world.finished().await;
    assert_eq!(ended.given_up(), [("e-1", "permanent", 1), ("e-2", "disabled", 0), ("e-3", "disabled", 0)]);
    assert_eq!(ended.letters[1]["error_code"], "disabled");
    assert_eq!((ended.telling("disabled").len(), ended.telling("enabled").len()), (1, 1));
    assert_eq!((ended.ids("delivered"), ended.held), (vec!["e-4"], (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_an_attempt_with_old_settings_says_nothing_of_the_new() {
    for reply in [410, 503] {
        let world = World::start(endpoint(), move |seen| match (seen.attempt(), reply) {
            (1, 503) if seen.id == "e-1" => Reply::AskingAfter(seconds(5), 503, "3600"),
            (1, status) if seen.id == "e-1" => Reply::After(seconds(5), status),
            _ => Reply::Status(200),
        });
        world.post("e-1");
        world.received(1).await;
        world.settle(Endpoint { timeout: seconds(9), ..endpoint() });
        sleep(seconds(6)).await;
        world.post("e-2");
        world.settled().await;
        assert_eq!(world.receiver.so_far()[1].id, "e-2", "{reply}");
        let ended = world.abandoned().await;
        assert!(ended.telling("disabled").is_empty() && ended.telling("paused").is_empty(), "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_an_inactive_endpoint_that_is_removed_becomes_dead_letters() {
    let world = World::start(endpoint(), |_| Reply::Status(500));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.settle(Endpoint { active: false, ..endpoint() });
    let ended = world.finished().await;
    assert_eq!(ended.given_up(), [("e-1", "endpoint_removed", 1)]);
    assert_eq!(ended.held, (0, 0, 0));
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
async fn what_waits_when_an_endpoint_is_gone_is_dead_lettered_and_what_is_under_way_may_arrive() {
    let world = World::start(Endpoint { concurrency: 2, ..endpoint() }, |seen| match seen.id.as_str() {
        "waits" => Reply::Status(500),
        "arrives" => Reply::After(seconds(9), 200),
        _ => Reply::After(seconds(1), 410),
    });
    for id in ["waits", "arrives", "gone", "queued"] {
        world.post(id);
    }
    let mut ended = world.finished().await;
    ended.letters.sort_by_key(|letter| letter["event"]["id"].to_string());
    assert_eq!(ended.given_up(), [("gone", "permanent", 1), ("queued", "disabled", 0), ("waits", "disabled", 1)]);
    assert_eq!(ended.ids("delivered"), ["arrives"]);
}

#[tokio::test(start_paused = true)]
async fn an_inactive_endpoint_holds_what_waits_and_goes_on_when_it_is_active_again() {
    let world = World::start(endpoint(), |seen| Reply::Status(if seen.attempt() == 1 { 500 } else { 200 }));
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    world.settle(Endpoint { active: false, ..endpoint() });
    sleep(seconds(600)).await;
    assert_eq!(world.receiver.so_far().len(), 1);
    world.settle(endpoint());
    assert_eq!(world.received(2).await[1].at.as_secs(), 600);
    assert_eq!(world.finished().await.held, (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_inactive_endpoint_is_not_tried_while_draining() {
    let world = World::start(Endpoint { active: false, ..endpoint() }, |_| Reply::Status(200));
    world.post("e-1");
    world.drain(seconds(300));
    let ended = world.ended().await;
    assert_eq!((ended.left, ended.at.as_secs()), (vec![("e-1".to_owned(), 0)], 0));
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

#[tokio::test(start_paused = true)]
async fn a_token_is_used_until_the_auth_changes() {
    let auth = |who| {
        let target = Target::parse("http://auth.example/token", false).unwrap();
        let authorization = HeaderValue::from_static(who);
        let auth = OAuth2 { target, authorization, body: bytes::Bytes::new(), secrets: Vec::new() };
        Endpoint { auth: Some(Auth::OAuth2(std::sync::Arc::new(auth))), ..one_at_a_time() }
    };
    let reply = |seen: world::Seen| match &*seen.path {
        "/token" => Reply::Saying(200, format!("{{\"access_token\": \"of-{}\"}}", seen.header("authorization"))),
        _ => Reply::Status(200),
    };
    let world = World::start(auth("a"), reply);
    for (n, who) in ["a", "a", "b"].into_iter().enumerate() {
        world.settle(Endpoint { timeout: seconds(9 - n as u64), ..auth(who) });
        world.post(&format!("e-{n}"));
        world.settled().await;
    }
    let seen = world.received(5).await;
    let told: Vec<_> = seen.iter().map(|seen| (&*seen.path, seen.header("authorization"))).collect();
    let [first, second] = ["Bearer of-a", "Bearer of-b"].map(|token| ("/hook", token));
    assert_eq!(told, [("/token", "a"), first, first, ("/token", "b"), second]);
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
