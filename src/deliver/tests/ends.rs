//! How a lane ends: drained, retired, or with an endpoint that is not active.

use super::*;

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
