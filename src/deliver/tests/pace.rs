//! How fast attempts come, and when a receiver is left alone.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    ids, nth,
    world::{Reply, Seen, World, endpoint, seconds, whole_seconds},
};
use crate::{
    endpoint::{Batch, Breaker, Digest, Endpoint, Pace, Sequence},
    queue::{Condition, Register},
    retry::{On, Waits},
};

fn rated(interval: Duration) -> Endpoint {
    Endpoint { pace: Pace { interval: Some(interval), ..Pace::default() }, ..endpoint() }
}

fn breaking(failures: u32) -> Endpoint {
    let breaker = Some(Breaker { failures, pause: seconds(300) });
    Endpoint { pace: Pace { breaker, ..Pace::default() }, ..endpoint() }
}

fn disabling(most: u32) -> Endpoint {
    Endpoint { concurrency: 1, pace: Pace { disable_after: Some(most), ..Pace::default() }, ..endpoint() }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_spread_evenly_also_at_the_start_and_retries_count() {
    let reply = |seen: Seen| Reply::Status(if seen.id == "e-0" && seen.attempt() == 1 { 500 } else { 200 });
    let world = World::start(rated(Duration::from_millis(100)), reply);
    (0..1000).for_each(|n| world.post(&format!("e-{n}")));
    let seen = world.received(1001).await;
    for pair in seen.windows(2) {
        let apart = pair[1].at - pair[0].at;
        assert!((98..=102).contains(&apart.as_millis()), "{apart:?} apart");
    }
    let retry = seen.iter().rposition(|seen| seen.id == "e-0").unwrap();
    assert!((595..=605).contains(&retry), "the retry had its turn after a minute, not at {retry}");
}

#[tokio::test(start_paused = true)]
async fn a_faster_rate_holds_at_once() {
    let world = World::start(rated(seconds(3600)), |_| Reply::Status(200));
    (0..3).for_each(|n| world.post(&format!("e-{n}")));
    world.received(1).await;
    world.settle(rated(seconds(1)));
    assert_eq!(whole_seconds(&world.received(3).await), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn while_draining_waiting_retries_are_tried_as_fast_as_the_rate_lets_them() {
    let world = World::start(rated(Duration::from_millis(100)), nth(|n| Reply::Status(if n <= 10 { 503 } else { 200 })));
    (0..10).for_each(|n| world.post(&format!("e-{n}")));
    world.received(10).await;
    world.settled().await;
    world.drain(seconds(30));
    let ended = world.ended().await;
    assert_eq!((ended.telling("delivered").len(), ended.left.len(), ended.at.as_secs()), (10, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn while_draining_a_partial_batch_goes_out_as_soon_as_the_rate_lets_it() {
    let batch = Some(Batch { max_events: 2, max_bytes: 1 << 20, max_wait: seconds(3600) });
    let world = World::start(Endpoint { batch, headers: Vec::new(), ..rated(seconds(1)) }, |_| Reply::Status(200));
    (0..3).for_each(|n| world.post(&format!("e-{n}")));
    world.received(1).await;
    world.drain(seconds(30));
    let ended = world.ended().await;
    assert_eq!((ended.telling("delivered").len(), ended.at.as_secs()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_after_failures_in_a_row_and_probes_with_one() {
    let world = World::start(breaking(5), nth(|n| Reply::Status(if n <= 6 { 503 } else { 200 })));
    (0..5).for_each(|n| world.post(&format!("e-{n}")));
    world.received(5).await;
    (5..50).for_each(|n| world.post(&format!("e-{n}")));
    let seen = world.received(55).await;
    // The sixth request is the first probe, the seventh the second, and only then the others follow.
    assert_eq!(whole_seconds(&seen)[..8], [0, 0, 0, 0, 0, 300, 600, 600]);
    let ended = world.finished().await;
    assert_eq!((ended.telling("paused").len(), ended.telling("resumed").len()), (1, 1));
    assert_eq!((ended.telling("delivered").len(), ended.letters.len()), (50, 0));
}

#[tokio::test(start_paused = true)]
async fn failures_that_are_not_in_a_row_open_no_breaker() {
    let world =
        World::start(Endpoint { concurrency: 1, ..breaking(3) }, nth(|n| Reply::Status(if n % 3 == 0 { 200 } else { 503 })));
    (0..12).for_each(|n| world.post(&format!("e-{n}")));
    world.received(12).await;
    assert!(world.finished().await.telling("paused").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_refused_for_good_shows_that_the_receiver_is_back() {
    let replies = |n| {
        Reply::Status(if n <= 2 {
            503
        } else if n == 3 {
            400
        } else {
            200
        })
    };
    let world = World::start(breaking(2), nth(replies));
    (0..4).for_each(|n| world.post(&format!("e-{n}")));
    let ended = world.finished().await;
    assert_eq!((ended.telling("resumed").len(), ended.given_up().len()), (1, 1));
    assert_eq!(ended.telling("delivered").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_reload_while_a_probe_is_under_way_does_not_end_the_probing() {
    for status in [200, 400, 503] {
        let batch = Some(Batch { max_events: 2, max_bytes: 1 << 20, max_wait: Duration::ZERO });
        let endpoint = |timeout| Endpoint { headers: Vec::new(), batch, timeout, concurrency: 1, ..breaking(1) };
        let replies = move |n| match n {
            1 => Reply::Status(503),
            2 => Reply::After(seconds(5), status),
            _ => Reply::Status(200),
        };
        let world = World::start(endpoint(seconds(10)), nth(replies));
        (0..4).for_each(|n| world.post(&format!("e-{n}")));
        world.received(2).await;
        world.settle(endpoint(seconds(9)));
        let ended = world.finished().await;
        assert_eq!((ended.telling("delivered").len(), ended.telling("resumed").len()), (4, 1), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn permanent_failures_in_a_row_disable_and_others_in_between_do_not() {
    let replies = [404, 404, 200, 404, 503, 404, 404, 404];
    let world = World::start(disabling(3), nth(move |n| Reply::Status(*replies.get(n - 1).unwrap_or(&200))));
    (0..12).for_each(|n| world.post(&format!("e-{n}")));
    world.received(8).await;
    world.settled().await;
    let status = world.status().await;
    assert!(
        matches!(&status.condition, Condition::Disabled { reason: Some(reason) } if reason.contains("3 permanent failures")),
        "{status:?}"
    );
    let ended = world.finished().await;
    assert_eq!((ended.receiver.so_far().len(), ended.telling("disabled").len()), (8, 1));
    let disabled = ended.given_up().iter().filter(|(_, reason, _)| *reason == "disabled").count();
    assert_eq!(disabled, 5, "four fresh ones and the one that waited for its retry");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_resumes_by_itself_after_its_time() {
    let endpoint = Endpoint { resume_after: Some(seconds(600)), ..disabling(1) };
    let world = World::start(endpoint, nth(|n| Reply::Status(if n == 1 { 404 } else { 200 })));
    world.post("e-0");
    world.received(1).await;
    world.settled().await;
    assert!(world.account.is_disabled());
    tokio::time::sleep(seconds(601)).await;
    assert!(!world.account.is_disabled());
    world.post("e-1");
    world.received(2).await;
    let ended = world.finished().await;
    assert_eq!(ended.telling("enabled")[0]["reason"], "resume_after is over");
    assert_eq!(ended.ids("delivered"), ["e-1"]);
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_its_retry_when_an_ordered_endpoint_was_disabled_is_in_nobodys_way() {
    let pace = Pace { disable_after: Some(2), ..Pace::default() };
    let mut endpoint = Endpoint { order: Sequence::Fifo, resume_after: Some(seconds(600)), pace, ..endpoint() };
    endpoint.retry.on = On::Any;
    let world = World::start(endpoint, nth(|n| Reply::Status(if n <= 2 { 404 } else { 200 })));
    (0..3).for_each(|n| world.post(&format!("e-{n}")));
    world.received(2).await;
    tokio::time::sleep(seconds(601)).await;
    (3..6).for_each(|n| world.post(&format!("e-{n}")));
    let ended = world.finished().await;
    assert_eq!(ended.given_up(), [("e-0", "disabled", 2), ("e-1", "disabled", 0), ("e-2", "disabled", 0)]);
    assert_eq!((ended.ids("delivered"), ended.held), (vec!["e-3", "e-4", "e-5"], (0, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn what_is_disabled_stays_so_over_a_restart_until_a_setting_changes() {
    let digest = |digest: &str| Endpoint { digest: Digest(digest.into()), ..disabling(1) };
    let world = World::start(digest("a"), |_| Reply::Status(404));
    world.post("e-0");
    world.received(1).await;
    world.settled().await;
    let world = world.restarted(digest("a"), |_| Reply::Status(200)).await;
    assert!(world.account.is_disabled());
    let world = world.restarted(digest("b"), |_| Reply::Status(404)).await;
    assert!(!world.account.is_disabled());
    let world = world.restarted(digest("a"), |_| Reply::Status(404)).await;
    assert!(!world.account.is_disabled(), "back to the old settings is no way back");
    world.post("e-1");
    world.received(1).await;
    world.settled().await;
    let ended = world.restarted(digest("c"), |_| Reply::Status(200)).await.finished().await;
    assert_eq!(ended.telling("enabled")[0]["reason"], "its settings changed");
}

#[tokio::test(start_paused = true)]
async fn the_same_settings_in_other_words_keep_it_disabled_over_a_restart_too() {
    let digest = |digest: &str| Endpoint { digest: Digest(digest.into()), ..disabling(1) };
    let world = World::start(digest("a"), |_| Reply::Status(404));
    world.post("e-0");
    world.received(1).await;
    world.settled().await;
    world.settle(digest("b"));
    world.settled().await;
    assert!(world.account.is_disabled());
    let world = world.restarted(digest("b"), |_| Reply::Status(200)).await;
    assert!(world.account.is_disabled());
}

#[tokio::test(start_paused = true)]
async fn what_a_removed_endpoint_is_disabled_by_is_not_remembered() {
    let gone = || World::start(disabling(5), |_| Reply::After(seconds(5), 410));
    let world = gone();
    world.post("e-0");
    world.received(1).await;
    world.retire();
    tokio::time::sleep(seconds(6)).await;
    assert!(world.account.is_disabled() && !world.is_known_as_disabled());
    // What was known goes with it, whichever of the two comes first.
    let world = gone();
    world.post("e-0");
    tokio::time::sleep(seconds(6)).await;
    assert!(world.is_known_as_disabled());
    world.retire();
    world.settled().await;
    assert!(!world.is_known_as_disabled());
}

#[tokio::test(start_paused = true)]
async fn a_status_tells_what_waits_and_for_how_long() {
    let world = World::start(Endpoint { concurrency: 1, ..endpoint() }, |_| Reply::Hang);
    world.post_accepted("e-0", SystemTime::now() - seconds(500));
    world.received(1).await;
    world.post_accepted("e-1", SystemTime::now() - seconds(70));
    world.post("e-2");
    let status = world.status().await;
    assert_eq!((status.waiting, status.in_flight, status.condition.clone()), (2, 1, Condition::Enabled));
    assert_eq!(status.oldest_waiting.map(|age| age.as_secs()), Some(70));
    assert!(status.bytes > 0 && status.last_error.is_none());
    assert_eq!(ids(&world.receiver.so_far()), ["e-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_split_ends_a_row_of_transient_failures() {
    let batch = Some(Batch { max_events: 2, max_bytes: 1 << 20, max_wait: Duration::ZERO });
    let replies = [503, 400, 503, 200];
    let endpoint = Endpoint { batch, headers: Vec::new(), concurrency: 1, ..breaking(2) };
    let world = World::start(endpoint, nth(move |n| Reply::Status(*replies.get(n - 1).unwrap_or(&200))));
    (0..2).for_each(|n| world.post(&format!("e-{n}")));
    world.received(5).await;
    assert!(world.finished().await.telling("paused").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_over_at_its_time_also_where_nothing_waits() {
    let mut endpoint = endpoint();
    endpoint.retry.waits = Waits::Schedule([].into());
    let world = World::start(endpoint, |_| Reply::Asking(503, "120"));
    world.post("e-0");
    world.received(1).await;
    tokio::time::sleep(seconds(119)).await;
    assert!(matches!(world.status().await.condition, Condition::Paused { .. }));
    tokio::time::sleep(seconds(2)).await;
    assert_eq!(world.status().await.condition, Condition::Enabled);
}

#[tokio::test(start_paused = true)]
async fn who_is_enabled_is_not_paused_any_more_either() {
    let reply = |seen: Seen| match seen.id.as_str() {
        "asks" => Reply::Asking(503, "3600"),
        "gone" => Reply::After(seconds(5), 410),
        _ => Reply::Status(200),
    };
    let world = World::start(endpoint(), reply);
    ["asks", "gone"].into_iter().for_each(|id| world.post(id));
    world.received(2).await;
    tokio::time::sleep(seconds(6)).await;
    assert!(world.account.is_disabled());
    world.enable();
    world.settled().await;
    world.post("e-0");
    assert_eq!(world.received(3).await[2].at.as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn who_was_enabled_again_is_so_after_a_restart() {
    let world = World::start(disabling(1), |_| Reply::Status(404));
    world.post("e-0");
    world.received(1).await;
    world.settled().await;
    assert!(world.account.is_disabled());
    world.enable();
    world.settled().await;
    let world = world.restarted(disabling(1), |_| Reply::Status(200)).await;
    assert!(!world.account.is_disabled());
}

#[tokio::test(start_paused = true)]
async fn the_time_for_which_an_endpoint_was_disabled_before_a_restart_counts() {
    let endpoint = || Endpoint { resume_after: Some(seconds(600)), ..disabling(1) };
    let register = Arc::new(Register::default());
    register.note(&endpoint(), "the receiver answered 410 Gone", SystemTime::now() - seconds(500));
    let world = World::start_knowing(endpoint(), |_| Reply::Status(200), register);
    tokio::time::sleep(seconds(90)).await;
    assert!(world.account.is_disabled());
    tokio::time::sleep(seconds(20)).await;
    assert!(!world.account.is_disabled());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_in_the_config_again_is_enabled() {
    let reply = |seen: Seen| if seen.id == "gone" { Reply::Status(410) } else { Reply::After(seconds(5), 200) };
    let world = World::start(endpoint(), reply);
    ["gone", "under-way"].into_iter().for_each(|id| world.post(id));
    world.received(2).await;
    world.settled().await;
    world.retire();
    world.settled().await;
    assert!(world.account.is_disabled());
    assert!(world.reopen().await);
    assert!(!world.account.is_disabled());
    assert_eq!(world.finished().await.telling("enabled")[0]["reason"], "it is in the config again");
}

#[tokio::test(start_paused = true)]
async fn a_wait_has_its_jitter() {
    for (random, wait) in [((|| 0.0) as fn() -> f64, 30), (|| 0.5, 60), (|| 1.0, 90)] {
        let mut endpoint = endpoint();
        endpoint.retry.jitter = 0.5;
        let world = World::start_drawing(endpoint, |seen| Reply::Status(if seen.attempt() == 1 { 500 } else { 200 }), random);
        world.post("e-0");
        assert_eq!(whole_seconds(&world.received(2).await), [0, wait]);
    }
}
