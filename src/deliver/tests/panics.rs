//! A panic is a bug, and takes nothing along.

use super::*;

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
